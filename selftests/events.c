// SPDX-License-Identifier: GPL-2.0
/* Interrupts, NMIs, exceptions: queued by the client, delivered in order. */
#include <sys/mman.h>

#include "guest.h"

#define VECTOR	0x55

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

static struct vcpu *start(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, fn, 0);
	return vcpu;
}

static void interrupt(struct vcpu *vcpu, u32 vector)
{
	struct minivmm_interrupt irq = { vector };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
}

static volatile u64 hits, hit_rip, hit_error, hit_vector;

static void guest_count(struct guest_regs *regs)
{
	hits++;
	hit_rip = regs->rip;
	hit_error = regs->error;
	hit_vector = regs->vector;
}

/* ------------------------------------------------------------------------ */
/* Interrupts                                                                */

static void guest_sti_hlt(void)
{
	guest_handlers[VECTOR] = guest_count;
	asm volatile("sti; hlt; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_vector, VECTOR);
}

TEST(interrupt_wakes_hlt)
{
	struct vcpu *vcpu = start(guest_sti_hlt);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	EXPECT_EQ(vcpu->run->if_flag, 1);
	interrupt(vcpu, VECTOR);
	ASSERT_DONE(vcpu);
}

static void guest_window(void)
{
	guest_handlers[VECTOR] = guest_count;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 0);
	guest_sync(2, 0);
	asm volatile("sti; nop; nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

/* With IF = 0 the client asks for the window and is told when it opens. */
TEST(interrupt_window)
{
	struct vcpu *vcpu = start(guest_window);

	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 0);
	EXPECT_EQ(vcpu->run->if_flag, 0);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_SYNC(vcpu, 2);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	EXPECT_EQ(vcpu->run->if_flag, 1);
	vcpu->run->request_interrupt_window = 0;
	interrupt(vcpu, VECTOR);
	ASSERT_DONE(vcpu);
}

/* An interrupt that waits goes in before the window counts as open. */
TEST(interrupt_before_window)
{
	struct vcpu *vcpu;

	if (!dev_is_minivmm())
		SKIP("KVM injects with IF = 0, which the CPU refuses");
	vcpu = start(guest_window);
	ASSERT_SYNC(vcpu, 1);
	interrupt(vcpu, VECTOR);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_SYNC(vcpu, 2);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	vcpu->run->request_interrupt_window = 0;
	ASSERT_DONE(vcpu);
}

static void guest_open_window(void)
{
	asm volatile("sti" : : : "memory");
	guest_sync(1, 0);
	guest_sync(2, 0);
	asm volatile("cli" : : : "memory");
}

/* A window that is open already is reported without running the guest. */
TEST(interrupt_window_open_already)
{
	struct vcpu *vcpu = start(guest_open_window);

	ASSERT_SYNC(vcpu, 1);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	vcpu->run->request_interrupt_window = 0;
	ASSERT_SYNC(vcpu, 2);
	ASSERT_DONE(vcpu);
}

static volatile u64 order[4];

static void guest_log(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
}

static void guest_pushed(void)
{
	u64 rip_before, rip_after;

	guest_handlers[VECTOR] = guest_count;
	asm volatile("sti; nop" : : : "memory");
	asm volatile("lea 1f(%%rip), %0\n1:" : "=r"(rip_before));
	guest_sync(1, 0);
	asm volatile("lea 1f(%%rip), %0\n1:" : "=r"(rip_after));
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(hit_rip != 0);
	GUEST_ASSERT(rip_after != rip_before);
	GUEST_ASSERT_EQ(hit_error, 0);
}

/* Open window: the interrupt comes before the next instruction. */
TEST(interrupt_at_once)
{
	struct vcpu *vcpu = start(guest_pushed);

	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	interrupt(vcpu, VECTOR);
	ASSERT_DONE(vcpu);
}

static void guest_all_vectors(void)
{
	int i;

	for (i = 32; i < 256; i++)
		guest_handlers[i] = guest_count;
	for (i = 32; i < 256; i++) {
		asm volatile("sti; hlt; cli" : : : "memory");
		GUEST_ASSERT_EQ(hits, i - 31);
		GUEST_ASSERT_EQ(hit_vector, i);
	}
}

/* 0xf0 is the library's own (return from ring 3). */
TEST(all_vectors)
{
	struct vcpu *vcpu = start(guest_all_vectors);
	u64 *idt = vm_gpa(vcpu->vm, IDT_GPA);
	int i;

	memcpy(idt + 2 * 0xf0, idt + 2 * 0xef, 16);
	idt[2 * 0xf0] += 16;
	for (i = 32; i < 256; i++) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
		interrupt(vcpu, i);
	}
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* The STI and MOV SS shadows, set by the client                             */

static void guest_shadow(void)
{
	guest_handlers[VECTOR] = guest_count;
	asm volatile("sti; nop" : : : "memory");
	guest_sync(1, 0);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(hits, 1);
	asm volatile("cli" : : : "memory");
}

TEST(shadow_holds_interrupts_back)
{
	struct vcpu *vcpu = start(guest_shadow);
	struct minivmm_vcpu_events events;

	ASSERT_SYNC(vcpu, 1);
	events = vcpu_events(vcpu);
	events.interrupt.shadow = MINIVMM_X86_SHADOW_INT_STI;
	events.flags |= MINIVMM_VCPUEVENT_VALID_SHADOW;
	vcpu_set_events(vcpu, &events);
	vcpu->run->request_interrupt_window = 1;
	/* one instruction later the window opens, long before the next sync */
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(vcpu_events(vcpu).interrupt.shadow, 0);
	vcpu->run->request_interrupt_window = 0;
	interrupt(vcpu, VECTOR);
	ASSERT_SYNC(vcpu, 2);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* NMIs                                                                      */

static void guest_nmi(void)
{
	guest_handlers[NMI_VECTOR] = guest_count;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_vector, NMI_VECTOR);
}

/* IF does not hold an NMI back. */
TEST(nmi)
{
	struct vcpu *vcpu = start(guest_nmi);

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_DONE(vcpu);
}

static void guest_in_nmi(struct guest_regs *regs)
{
	u64 mine = ++hits;

	guest_sync(10 + mine, 0);
	/* the second NMI must wait for our IRET */
	GUEST_ASSERT_EQ(hits, mine);
	hit_rip = regs->rip;
}

static void guest_nmi_blocked(void)
{
	guest_handlers[NMI_VECTOR] = guest_in_nmi;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 2);
}

TEST(nmi_blocked_until_iret)
{
	struct vcpu *vcpu = start(guest_nmi_blocked);

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_SYNC(vcpu, 11);
	EXPECT_EQ(vcpu_events(vcpu).nmi.masked, 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_SYNC(vcpu, 12);
	EXPECT_EQ(vcpu_events(vcpu).nmi.masked, 1);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(vcpu_events(vcpu).nmi.masked, 0);
}

static void guest_nmi_hlt(void)
{
	guest_handlers[NMI_VECTOR] = guest_count;
	asm volatile("hlt" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(nmi_wakes_hlt)
{
	struct vcpu *vcpu = start(guest_nmi_hlt);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_DONE(vcpu);
}

static void guest_nmi_and_irq(void)
{
	guest_handlers[NMI_VECTOR] = guest_log;
	guest_handlers[VECTOR] = guest_log;
	asm volatile("sti; nop" : : : "memory");
	guest_sync(1, 0);
	asm volatile("nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 2);
	/* whichever is delivered first, both come, and each once */
	GUEST_ASSERT_EQ(order[0] + order[1], NMI_VECTOR + VECTOR);
}

TEST(nmi_and_interrupt)
{
	struct vcpu *vcpu = start(guest_nmi_and_irq);

	ASSERT_SYNC(vcpu, 1);
	interrupt(vcpu, VECTOR);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_DONE(vcpu);
}

static void guest_nmi_in_shadow(void)
{
	u64 i;

	guest_handlers[NMI_VECTOR] = guest_count;
	asm volatile("sti; nop" : : : "memory");
	for (i = 1; i <= 2; i++) {
		guest_sync(i, 0);
		asm volatile("nop; nop" : : : "memory");
		GUEST_ASSERT_EQ(hits, i);
	}
	asm volatile("cli" : : : "memory");
}

/* It waits for one instruction, and the guest does execute that. */
TEST(nmi_in_shadow)
{
	static const u8 shadows[] = {
		MINIVMM_X86_SHADOW_INT_STI, MINIVMM_X86_SHADOW_INT_MOV_SS,
	};
	struct vcpu *vcpu = start(guest_nmi_in_shadow);
	struct minivmm_vcpu_events events;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_SYNC(vcpu, i + 1);
		events = vcpu_events(vcpu);
		events.interrupt.shadow = shadows[i];
		events.flags |= MINIVMM_VCPUEVENT_VALID_SHADOW;
		vcpu_set_events(vcpu, &events);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	}
	ASSERT_DONE(vcpu);
}

static void guest_exception_and_nmi(void)
{
	guest_handlers[NMI_VECTOR] = guest_log;
	guest_handlers[GP_VECTOR] = guest_log;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 2);
	/* the NMI hits the first instruction of the exception's handler */
	GUEST_ASSERT_EQ(order[0], NMI_VECTOR);
	GUEST_ASSERT_EQ(order[1], GP_VECTOR);
}

/* State of a vCPU that was saved with both under way: neither gets lost. */
TEST(exception_and_nmi_injected)
{
	struct vcpu *vcpu = start(guest_exception_and_nmi);
	struct minivmm_vcpu_events events;

	if (!dev_is_minivmm())
		SKIP("KVM loses the NMI");
	ASSERT_SYNC(vcpu, 1);
	events = vcpu_events(vcpu);
	events.exception.injected = 1;
	events.exception.nr = GP_VECTOR;
	events.exception.has_error_code = 1;
	events.nmi.injected = 1;
	vcpu_set_events(vcpu, &events);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Exceptions from the client                                                */

static void guest_exception_set(void)
{
	guest_handlers[GP_VECTOR] = guest_count;
	guest_handlers[UD_VECTOR] = guest_count;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_vector, GP_VECTOR);
	GUEST_ASSERT_EQ(hit_error, 0x1234);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT_EQ(hit_vector, UD_VECTOR);
	GUEST_ASSERT_EQ(hit_error, 0);
}

static void inject(struct vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct minivmm_vcpu_events events = vcpu_events(vcpu);

	events.exception.injected = 1;
	events.exception.nr = vector;
	events.exception.has_error_code = has_error;
	events.exception.error_code = error;
	vcpu_set_events(vcpu, &events);
}

TEST(injected_exceptions)
{
	struct vcpu *vcpu = start(guest_exception_set);

	ASSERT_SYNC(vcpu, 1);
	inject(vcpu, GP_VECTOR, true, 0x1234);
	ASSERT_SYNC(vcpu, 2);
	EXPECT_EQ(vcpu_events(vcpu).exception.injected, 0);
	inject(vcpu, UD_VECTOR, false, 0);
	ASSERT_DONE(vcpu);
}

static void guest_page_fault_set(void)
{
	guest_handlers[PF_VECTOR] = guest_count;
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_error, PF_U | PF_W);
	GUEST_ASSERT_EQ(read_cr2(), 0xabcdef123000);
}

TEST(injected_page_fault)
{
	struct vcpu *vcpu = start(guest_page_fault_set);
	struct minivmm_sregs sregs;

	ASSERT_SYNC(vcpu, 1);
	sregs = vcpu_sregs(vcpu);
	sregs.cr2 = 0xabcdef123000;
	vcpu_set_sregs(vcpu, &sregs);
	inject(vcpu, PF_VECTOR, true, PF_U | PF_W);
	ASSERT_DONE(vcpu);
}

/* Real mode exceptions push no error code: SDM volume 3, 21.1.4. */
guest_code16(real_gp,
	     "hlt\n"
	     ".org 0x100\n"
	     "popw %ax\n"
	     "hlt");

TEST(injected_in_real_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u16 *ivt = vm_gpa(vcpu->vm, 0);

	ivt[2 * GP_VECTOR] = BLOB_GPA + 0x100;
	vcpu_setup_real(vcpu, &real_gp);
	inject(vcpu, GP_VECTOR, false, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	/* on the stack: IP, CS, FLAGS and nothing else */
	EXPECT_EQ(vcpu_regs(vcpu).rax & 0xffff, BLOB_GPA);
	EXPECT_EQ(vcpu_regs(vcpu).rsp, 0xfff0 - 4);
}

/* ------------------------------------------------------------------------ */
/* Exceptions of the guest's own                                             */

static void guest_software(void)
{
	u64 here;

	guest_handlers[BP_VECTOR] = guest_count;
	guest_handlers[0x80] = guest_count;
	asm volatile("lea 1f(%%rip), %0; int3; 1:" : "=r"(here) : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_rip, here);
	asm volatile("lea 1f(%%rip), %0; int $0x80; 1:"
		     : "=r"(here) : : "memory");
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT_EQ(hit_rip, here);
	GUEST_ASSERT_EQ(hit_vector, 0x80);
	asm volatile("lea 1f(%%rip), %0; int $3; 1:"
		     : "=r"(here) : : "memory");
	GUEST_ASSERT_EQ(hit_rip, here);
	GUEST_ASSERT_EQ(hit_vector, BP_VECTOR);
}

TEST(software_interrupts)
{
	run_guest(guest_software);
}

static u64 user_int(u64 unused)
{
	return guest_try("int $0x81") + unused;
}

static void guest_gate_privilege(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_int, 0), GP_VECTOR);
}

TEST(gate_privilege)
{
	run_guest(guest_gate_privilege);
}

static void guest_faults(void)
{
	struct guest_gprs gprs = { .a = 1 };
	u64 error;

	GUEST_ASSERT_EQ(guest_try_regs("divl %%ebx", gprs), DE_VECTOR);
	GUEST_ASSERT_EQ(guest_try("ud2"), UD_VECTOR);
	GUEST_ASSERT_EQ(guest_try_error(error, "mov %%ax, %%ds", "a"(0x118)),
			GP_VECTOR);
	GUEST_ASSERT_EQ(error, 0x118);
	GUEST_ASSERT_EQ(guest_try("testb $0, (%%rdi)", "D"(NONCANONICAL)),
			GP_VECTOR);
	*guest_pte(DATA_GPA) = 0;
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(guest_try_error(error, "movb $0, 5(%%rdi)",
					"D"(DATA_GPA)), PF_VECTOR);
	GUEST_ASSERT_EQ(error, PF_W);
	GUEST_ASSERT_EQ(read_cr2(), DATA_GPA + 5);
}

TEST(faults)
{
	run_guest(guest_faults);
}

static volatile u64 hit_flags;

static void guest_note_flags(struct guest_regs *regs)
{
	hits++;
	hit_flags = regs->rflags;
	regs->rip += 2;
}

/*
 * SDM 18.3.1.1: a fault pushes RF = 1, also one that the monitor finds: #GP of
 * WRMSR and, of the CPU itself, #UD.
 */
static void guest_resume_flag(void)
{
	guest_handlers[GP_VECTOR] = guest_note_flags;
	guest_handlers[UD_VECTOR] = guest_note_flags;
	asm volatile("wrmsr" : : "a"(0), "c"(0xdeadbeef), "d"(0) : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(hit_flags & RFLAGS_RF);
	asm volatile("ud2" : : : "memory");
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT(hit_flags & RFLAGS_RF);
	/* a trap does not */
	guest_handlers[DB_VECTOR] = guest_note_flags;
	asm volatile(".byte 0xf1; nop; nop" : : : "memory");
	GUEST_ASSERT_EQ(hits, 3);
	GUEST_ASSERT(!(hit_flags & RFLAGS_RF));
}

TEST(resume_flag)
{
	run_guest(guest_resume_flag);
}

static u64 user_unaligned(u64 address)
{
	u64 flags = read_flags(), vector;

	asm volatile("pushq %0; popfq" : : "r"(flags | RFLAGS_AC) : "memory");
	vector = guest_try("movl $0, 1(%%rdi)", "D"(address));
	asm volatile("pushq %0; popfq" : : "r"(flags) : "memory");
	return vector;
}

/* The monitor intercepts #AC, for the sake of the host; the guest gets it. */
static void guest_alignment_check(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_unaligned, DATA_GPA),
			GUEST_NO_FAULT);
	write_cr0(read_cr0() | CR0_AM);
	GUEST_ASSERT_EQ(guest_call_user(user_unaligned, DATA_GPA), AC_VECTOR);
}

TEST(alignment_check)
{
	run_guest(guest_alignment_check);
}

static void guest_int1(void)
{
	u64 here;

	guest_handlers[DB_VECTOR] = guest_count;
	asm volatile("lea 1f(%%rip), %0; .byte 0xf1; 1:"
		     : "=r"(here) : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_rip, here);
}

TEST(int1)
{
	run_guest(guest_int1);
}

/*
 * Delivery of an exception touches memory that the monitor has not mapped
 * yet: the EPT violation interrupts the delivery, which must be resumed, once.
 */
static void guest_cold_stack(void)
{
	const u64 cold = STACK_GPA + 8 * STACK_SIZE;
	u64 i;

	guest_handlers[0x80] = guest_count;
	for (i = 0; i < 4; i++)
		asm volatile("movq %%rsp, %%rbx\n"
			     "movq %0, %%rsp\n"
			     "int $0x80\n"
			     "movq %%rbx, %%rsp\n"
			     : : "r"(cold - i * PAGE_SIZE) : "rbx", "memory");
	GUEST_ASSERT_EQ(hits, 4);
}

TEST(delivery_over_ept_violation)
{
	run_guest(guest_cold_stack);
}

static void guest_cold_stack_irq(void)
{
	const u64 cold = STACK_GPA + 8 * STACK_SIZE;

	guest_handlers[VECTOR] = guest_count;
	asm volatile("movq %%rsp, %%rbx\n"
		     "movq %0, %%rsp\n"
		     "sti\n"
		     "hlt\n"
		     "cli\n"
		     "movq %%rbx, %%rsp\n"
		     : : "r"(cold) : "rbx", "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(interrupt_over_ept_violation)
{
	struct vcpu *vcpu = start(guest_cold_stack_irq);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	interrupt(vcpu, VECTOR);
	ASSERT_DONE(vcpu);
}

guest_code64(device_stack,
	     "movl $0xd0001000, %esp\n"
	     "int $0x80\n"
	     "hlt");

/* The frame of an exception would go to a device: nobody can emulate that. */
TEST(delivery_to_device)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vm_load_image(vcpu->vm);
	vcpu_setup_blob64(vcpu, &device_stack);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	/* KVM tries to emulate the INT n before it notices. */
	if (dev_is_minivmm())
		EXPECT_EQ(vcpu->run->internal.suberror,
			  MINIVMM_INTERNAL_ERROR_DELIVERY_EV);
}

/*
 * The client may put memory there and go on, with what it likes in between: the
 * event that was under way is delivered once, and first.
 */
static struct vcpu *start_on_device(void *fn)
{
	if (!dev_is_minivmm())
		SKIP("KVM emulates the instruction that was interrupted");
	return start(fn);
}

static void assert_delivery_fails(struct vcpu *vcpu)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(vcpu->run->internal.suberror,
		  MINIVMM_INTERNAL_ERROR_DELIVERY_EV);
}

static u8 *add_memory(struct vcpu *vcpu)
{
	const u64 size = 2 * PAGE_SIZE;
	u8 *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(memory != MAP_FAILED);
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, MMIO_GPA, size, memory));
	return memory;
}

/* Run one instruction, given with its operands, on a stack that is a device. */
#define ON_DEVICE_STACK(insn, ...)					\
	do {								\
		const u64 stack_ = MMIO_GPA + 2 * PAGE_SIZE;		\
									\
		asm volatile("movq %%rsp, %%rbx\n"			\
			     "movq %[stack], %%rsp\n"			\
			     insn "\n"					\
			     "movq %%rbx, %%rsp\n"			\
			     : : [stack] "r"(stack_), ##__VA_ARGS__	\
			     : "rbx", "memory");			\
	} while (0)

/* Before the first instruction of its handler comes @other. */
static void guest_int_n_and(u64 other)
{
	guest_handlers[other] = guest_log;
	guest_handlers[0x80] = guest_log;
	ON_DEVICE_STACK("int $0x80");
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT_EQ(order[0], other);
	GUEST_ASSERT_EQ(order[1], 0x80);
	asm volatile("sti; nop; nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 2);
}

static void guest_int_n_and_nmi(void)
{
	guest_int_n_and(NMI_VECTOR);
}

TEST(int_n_before_nmi)
{
	struct vcpu *vcpu = start_on_device(guest_int_n_and_nmi);

	assert_delivery_fails(vcpu);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	add_memory(vcpu);
	ASSERT_DONE(vcpu);
}

static void guest_int_n_and_exception(void)
{
	guest_int_n_and(GP_VECTOR);
}

/* An exception overtakes it; RIP is at the INT n still, which runs again. */
TEST(exception_before_int_n)
{
	struct vcpu *vcpu = start_on_device(guest_int_n_and_exception);

	assert_delivery_fails(vcpu);
	inject(vcpu, GP_VECTOR, true, 0);
	add_memory(vcpu);
	ASSERT_DONE(vcpu);
}

static void guest_fix_page(struct guest_regs *regs)
{
	guest_count(regs);
	GUEST_ASSERT_EQ(read_cr2(), DATA_GPA + 0x123);
	*guest_pte(DATA_GPA) = DATA_GPA | PTE_P | PTE_RW | PTE_US;
}

static void guest_page_fault_on_device(void)
{
	guest_handlers[PF_VECTOR] = guest_fix_page;
	*guest_pte(DATA_GPA) = 0;
	invlpg(DATA_GPA);
	ON_DEVICE_STACK("movb $1, 0x123(%[data])", [data] "r"(DATA_GPA));
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_error, PF_W);
}

/* The host faults between a guest's #PF and its delivery: CR2 is the guest's. */
TEST(cr2_survives_host_faults)
{
	struct vcpu *vcpu = start_on_device(guest_page_fault_on_device);
	u8 *memory;

	assert_delivery_fails(vcpu);
	EXPECT_EQ(vcpu_sregs(vcpu).cr2, DATA_GPA + 0x123);
	memory = add_memory(vcpu);
	*(volatile u8 *)memory = 1;
	*(volatile u8 *)(memory + PAGE_SIZE) = 1;
	ASSERT_DONE(vcpu);
}

static void guest_irq_on_device(void)
{
	guest_handlers[VECTOR] = guest_count;
	ON_DEVICE_STACK("sti; hlt; incq %[data]; cli", [data] "m"(hits));
	GUEST_ASSERT_EQ(hits, 2);
}

/* The instruction that an interrupt interrupts is no MMIO access. */
TEST(interrupt_to_device)
{
	struct vcpu *vcpu = start_on_device(guest_irq_on_device);
	u64 rip;

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	rip = vcpu_regs(vcpu).rip;
	interrupt(vcpu, VECTOR);
	assert_delivery_fails(vcpu);
	EXPECT_EQ(vcpu_regs(vcpu).rip, rip);
	EXPECT_EQ(*vm_guest_ptr(vcpu->vm, &hits), 0);
	assert_delivery_fails(vcpu);
	EXPECT_EQ(vcpu_regs(vcpu).rip, rip);
	add_memory(vcpu);
	ASSERT_DONE(vcpu);
}

static void guest_idt_on_device(void)
{
	const struct table_register idt = { 0xfff, MMIO_GPA };

	asm volatile("lidt %0" : : "m"(idt));
	GUEST_ASSERT_EQ(guest_try("ud2"), UD_VECTOR);
}

/* Nor can a gate be read from a device. */
TEST(idt_on_device)
{
	struct vcpu *vcpu = start_on_device(guest_idt_on_device);
	u8 *memory;

	assert_delivery_fails(vcpu);
	memory = add_memory(vcpu);
	memcpy(memory, vm_gpa(vcpu->vm, IDT_GPA), IDT_LIMIT + 1);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Triple fault                                                              */

static const struct table_register no_idt;

static void guest_triple_fault(void)
{
	asm volatile("lidt %0; ud2" : : "m"(no_idt));
}

TEST(triple_fault)
{
	struct vcpu *vcpu = start(guest_triple_fault);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
}

static void guest_double_fault(struct guest_regs *regs)
{
	GUEST_ASSERT_EQ(regs->error, 0);
	guest_sync(8, 0);
	for (;;)
		guest_sync(9, 0);
}

static void guest_causes_df(void)
{
	/* #GP's gate is not present: #NP while delivering, so #DF */
	guest_handlers[DF_VECTOR] = guest_double_fault;
	((u8 *)IDT_GPA)[16 * GP_VECTOR + 5] &= 0x7f;
	asm volatile("mov %0, %%ds" : : "r"(0x118));
	GUEST_ASSERT(0);
}

TEST(double_fault)
{
	struct vcpu *vcpu = start(guest_causes_df);

	ASSERT_SYNC(vcpu, 8);
}

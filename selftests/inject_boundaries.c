// SPDX-License-Identifier: GPL-2.0
/*
 * An interrupt is sent at every kind of instruction boundary, and between
 * them: it arrives once, at the first boundary that allows it, with the address
 * of that boundary on the stack.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sched.h>
#include <sys/mman.h>

#include "threads.h"
#include "x2apic.h"

#define VECTOR		0x75
#define TEST_PORT	0x50
#define COLD_TOP	(DATA_GPA + 0x40000)	/* of a stack of two pages */

/* What a guest asks its host to do, as the stage of guest_sync() */
#define DO_IRQ		(1U << 0)
#define DO_NMI		(1U << 1)
#define DO_SHADOW_STI	(1U << 2)
#define DO_SHADOW_SS	(1U << 3)
/* take away from the guest ... (the host's own memory keeps what is in it) */
#define DO_COLD_IDT	(1U << 4)
#define DO_COLD_CODE	(1U << 5)
#define DO_COLD_TABLES	(1U << 6)
/* what is in there is lost */
#define DO_COLD_STACK	(1U << 7)

/* ------------------------------------------------------------------------ */
/* The guest's common part                                                   */

static volatile u64 hits, hit_rip, hit_rax, hit_rflags, hit_cs, skip_to;
static volatile u64 nmis, nmi_rip;
static volatile u64 order[4], ordered;
/* send an interrupt at the next exit that is no guest call */
static volatile u64 irq_on_exit;

static struct guest_call pend_irq = { .type = GUEST_SYNC, .args = { DO_IRQ } };

static void guest_on_irq(struct guest_regs *regs)
{
	hits++;
	hit_rip = regs->rip;
	hit_rax = regs->rax;
	hit_rflags = regs->rflags;
	hit_cs = regs->cs;
	if (ordered < ARRAY_SIZE(order))
		order[ordered++] = VECTOR;
	if (skip_to)
		regs->rip = skip_to;
	x2apic_eoi();
}

static void guest_on_nmi(struct guest_regs *regs)
{
	nmis++;
	nmi_rip = regs->rip;
	if (ordered < ARRAY_SIZE(order))
		order[ordered++] = NMI_VECTOR;
}

static void guest_init(void)
{
	guest_handlers[VECTOR] = guest_on_irq;
	guest_handlers[NMI_VECTOR] = guest_on_nmi;
	x2apic_enable();
}

/* Interrupts are disabled; afterwards one is pending. */
static void pend(u64 what)
{
	hits = 0;
	nmis = 0;
	ordered = 0;
	guest_sync(what, 0);
	GUEST_ASSERT_EQ(hits, 0);
}

/* OUT, at which the host sends an interrupt, for use in assembly */
#define OUT_PENDS	"outl %%eax, %%dx\n"
#define OUT_OPERANDS	"a"(&pend_irq), "d"(GUEST_CALL_PORT)

#define GUEST_ASSERT_HIT_AT(where)					\
	do {								\
		GUEST_ASSERT_EQ(hits, 1);				\
		GUEST_ASSERT_EQ(hit_rip, where);			\
	} while (0)

/* ------------------------------------------------------------------------ */
/* The host's common part                                                    */

/* The guest's next access goes through an EPT violation. */
static void make_cold(struct vm *vm, u64 gpa, u64 size, bool keep)
{
	u8 copy[4 * PAGE_SIZE];
	u8 *at = vm_gpa(vm, gpa & PAGE_MASK);

	ASSERT(size <= sizeof(copy));
	memcpy(copy, at, size);
	ASSERT_OK(madvise(at, size, MADV_DONTNEED));
	if (keep)
		memcpy(at, copy, size);
}

static void set_shadow(struct vcpu *vcpu, u8 shadow)
{
	struct minivmm_vcpu_events events;

	/* Finishing an exit's instruction would end the shadow. */
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	events = vcpu_events(vcpu);
	events.interrupt.shadow = shadow;
	events.flags |= MINIVMM_VCPUEVENT_VALID_SHADOW;
	vcpu_set_events(vcpu, &events);
}

static void act(struct vcpu *vcpu, u64 what)
{
	struct vm *vm = vcpu->vm;

	if (what & DO_SHADOW_STI)
		set_shadow(vcpu, MINIVMM_X86_SHADOW_INT_STI);
	if (what & DO_SHADOW_SS)
		set_shadow(vcpu, MINIVMM_X86_SHADOW_INT_MOV_SS);
	if (what & DO_IRQ)
		vm_send_msi(vm, 0, VECTOR);
	if (what & DO_NMI)
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	if (what & DO_COLD_IDT)
		make_cold(vm, IDT_GPA, PAGE_SIZE, true);
	if (what & DO_COLD_CODE)
		make_cold(vm, (uintptr_t)guest_on_irq, 2 * PAGE_SIZE, true);
	if (what & DO_COLD_TABLES) {
		make_cold(vm, PML4_GPA, 4 * PAGE_SIZE, true);
		make_cold(vm, PT_GPA, 4 * PAGE_SIZE, true);
	}
	if (what & DO_COLD_STACK)
		make_cold(vm, COLD_TOP - 2 * PAGE_SIZE, 2 * PAGE_SIZE, false);
}

/* What the guest writes and reads by port and MMIO: 1, 2, 3 ... */
static u8 next_out, next_in;

static void answer(struct vcpu *vcpu, int reason)
{
	struct minivmm_run *run = vcpu->run;
	u32 i, len = run->mmio.len;
	u8 *data = run->mmio.data;
	bool out = run->mmio.is_write;

	if (reason == MINIVMM_EXIT_IO) {
		data = vcpu_io_data(vcpu);
		len = run->io.size * run->io.count;
		out = run->io.direction == MINIVMM_EXIT_IO_OUT;
	} else if (reason != MINIVMM_EXIT_MMIO) {
		vcpu_describe_exit(vcpu, reason);
		FAIL("exit %s", exit_name(reason));
	}
	for (i = 0; i < len; i++) {
		if (out)
			ASSERT_EQ(data[i], ++next_out);
		else
			data[i] = ++next_in;
	}
	if (*vm_guest_ptr(vcpu->vm, &irq_on_exit)) {
		*vm_guest_ptr(vcpu->vm, &irq_on_exit) = 0;
		act(vcpu, DO_IRQ);
	}
}

/* Run a guest to its end, on a new VM, with what it asks for. */
static void drive(enum chips chips, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create_chips(chips), 0);
	struct guest_call call;
	int reason;

	next_out = 0;
	next_in = 0;
	vcpu_setup_long(vcpu, fn, 0);
	for (;;) {
		reason = vcpu_run(vcpu);
		switch (vcpu_guest_call(vcpu, reason, &call)) {
		case GUEST_SYNC:
			act(vcpu, call.args[0]);
			break;
		case GUEST_DONE:
			vm_free(vcpu->vm);
			return;
		default:
			answer(vcpu, reason);
		}
	}
}

static void drive_both(void *fn)
{
	drive(CHIPS_KERNEL, fn);
	drive(CHIPS_SPLIT, fn);
}

/* ------------------------------------------------------------------------ */
/* Shadows                                                                   */

static void guest_sti(void)
{
	u64 where;

	guest_init();
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : : "memory");
	GUEST_ASSERT_HIT_AT(where);
	/* an STI with interrupts enabled delays nothing */
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "sti\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : : "memory");
	GUEST_ASSERT_HIT_AT(where);
	/* nothing in between */
	pend(DO_IRQ);
	asm volatile("sti; cli; nop; nop" : : : "memory");
	GUEST_ASSERT_EQ(hits, 0);
	sti();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(sti)
{
	drive_both(guest_sti);
}

static void guest_mov_ss(void)
{
	u64 after, later;

	guest_init();
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "lea 2f(%%rip), %1\n"
		     "movl %%ss, %%eax\n"
		     "sti\n"
		     "movl %%eax, %%ss\n"
		     "1: nop\n"
		     "2: nop\n"
		     "cli\n"
		     : "=&r"(after), "=&r"(later) : : "rax", "memory");
	GUEST_ASSERT_EQ(hits, 1);
	/* SDM volume 3, 6.8.3: of two such in a row, the second may not count */
	GUEST_ASSERT(hit_rip == after || hit_rip == later);
}

TEST(mov_ss)
{
	drive_both(guest_mov_ss);
}

static void guest_shadow_set(void)
{
	static const u32 shadows[] = { DO_SHADOW_STI, DO_SHADOW_SS };
	u64 where;
	int i;

	guest_init();
	for (i = 0; i < 2; i++) {
		hits = 0;
		pend_irq.args[0] = DO_IRQ | shadows[i];
		sti();
		asm volatile("lea 1f(%%rip), %0\n"
			     OUT_PENDS
			     "nop\n"
			     "1: nop\n"
			     "cli\n"
			     : "=&r"(where) : OUT_OPERANDS : "memory");
		GUEST_ASSERT_HIT_AT(where);
	}
}

/* The client puts the vCPU into a shadow: one more instruction, no two. */
TEST(shadow_set)
{
	drive_both(guest_shadow_set);
}

/* ------------------------------------------------------------------------ */
/* HLT                                                                       */

static void guest_hlt(void)
{
	u64 where, after;

	guest_init();
	/* HLT is in the shadow: it halts, and ends at once. */
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "hlt\n"
		     "1: cli\n" : "=&r"(where) : : "memory");
	GUEST_ASSERT_HIT_AT(where);
	/* Before HLT: nothing is left that could end it. */
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "lea 2f(%%rip), %1\n"
		     "movq %1, %2\n"
		     "sti\n"
		     "nop\n"
		     "1: hlt\n"
		     "2: cli\n"
		     : "=&r"(where), "=&r"(after), "=m"(skip_to)
		     : : "memory");
	skip_to = 0;
	GUEST_ASSERT_HIT_AT(where);
}

TEST(hlt)
{
	drive_both(guest_hlt);
}

static volatile u64 halting, awake;

/* An interrupt that must not come does not end HLT; an NMI does. */
static void guest_hlt_blocked(void)
{
	u64 where;

	guest_init();
	pend(DO_IRQ);
	halting = 1;
	asm volatile("lea 1f(%%rip), %0\n"
		     "hlt\n"
		     "1:\n" : "=&r"(where) : : "memory");
	awake = 1;
	GUEST_ASSERT(nmis);
	GUEST_ASSERT_EQ(hits, 0);
	sti();
	GUEST_ASSERT_EQ(hits, 1);
	cli();

	pend(DO_IRQ);
	write_cr8(VECTOR >> 4);
	halting = 2;
	asm volatile("sti; hlt" : : : "memory");
	awake = 2;
	GUEST_ASSERT(nmis);
	GUEST_ASSERT_EQ(hits, 0);
	write_cr8(0);
	GUEST_ASSERT_EQ(hits, 1);
	halting = 3;
}

/* An NMI (as an MSI, the vCPU is busy), another if the first came too early */
static void *wake(void *arg)
{
	struct vcpu *vcpu = arg;
	volatile u64 *halts = vm_guest_ptr(vcpu->vm, &halting);
	volatile u64 *woken = vm_guest_ptr(vcpu->vm, &awake);

	while (*halts < 3) {
		pause_us(20000);
		if (*woken < *halts && *halts < 3)
			vm_send_msi(vcpu->vm, 0, DM_NMI);
	}
	return NULL;
}

TEST(hlt_blocked)
{
	enum chips chips;
	struct vcpu *vcpu;
	struct guest_call call;
	pthread_t thread;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = vcpu_create(vm_create_chips(chips), 0);
		vcpu_setup_long(vcpu, guest_hlt_blocked, 0);
		ASSERT(!pthread_create(&thread, NULL, wake, vcpu));
		while (vcpu_run_guest(vcpu, &call) != GUEST_DONE)
			act(vcpu, call.args[0]);
		pthread_join(thread, NULL);
	}
}

/* ------------------------------------------------------------------------ */
/* What changes IF                                                           */

static void guest_popf(void)
{
	u64 where;

	guest_init();
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "pushfq\n"
		     "orq $0x200, (%%rsp)\n"
		     "popfq\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : : "memory", "cc");
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT(hit_rflags & RFLAGS_IF);
	/* enabled, and disabled by POPF before it comes */
	pend(DO_IRQ);
	asm volatile("pushfq\n"
		     "sti\n"
		     "popfq\n"
		     "nop\n" : : : "memory", "cc");
	GUEST_ASSERT_EQ(hits, 0);
	sti();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(popf)
{
	drive_both(guest_popf);
}

static void guest_iret(void)
{
	u64 where;

	guest_init();
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "movq %%rsp, %%rcx\n"
		     "movl %%ss, %%eax\n"
		     "pushq %%rax\n"
		     "pushq %%rcx\n"
		     "pushfq\n"
		     "orq $0x200, (%%rsp)\n"
		     "movl %%cs, %%eax\n"
		     "pushq %%rax\n"
		     "pushq %0\n"
		     "iretq\n"
		     "ud2\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : : "rax", "rcx", "memory", "cc");
	GUEST_ASSERT_HIT_AT(where);
}

TEST(iret)
{
	drive_both(guest_iret);
}

static u64 user_sti(u64 where)
{
	/* IOPL 3 */
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : : "memory");
	return where;
}

static u64 user_out(u64 where)
{
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     OUT_PENDS
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : OUT_OPERANDS : "memory");
	return where;
}

static void guest_user_mode(void)
{
	u64 where;

	guest_init();
	pend(DO_IRQ);
	where = guest_call_user(user_sti, 0);
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT_EQ(hit_cs, SEL_UCODE64);
	pend_irq.args[0] = DO_IRQ | DO_COLD_IDT;
	hits = 0;
	where = guest_call_user(user_out, 0);
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT_EQ(hit_cs, SEL_UCODE64);
}

TEST(user_mode)
{
	drive_both(guest_user_mode);
}

/* ------------------------------------------------------------------------ */
/* The task priority                                                         */

static void guest_tpr(void)
{
	u64 where, class = VECTOR >> 4;

	guest_init();
	pend(DO_IRQ);
	write_cr8(class);
	sti();
	GUEST_ASSERT_EQ(hits, 0);
	asm volatile("lea 1f(%%rip), %0\n"
		     "movq %1, %%cr8\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : "r"(class - 1) : "memory");
	GUEST_ASSERT_HIT_AT(where);

	/* raised again before interrupts are enabled */
	pend(DO_IRQ);
	write_cr8(0xf);
	write_cr8(0);
	write_cr8(class);
	sti();
	GUEST_ASSERT_EQ(hits, 0);
	/* the register behind CR8 */
	asm volatile("lea 1f(%%rip), %0\n"
		     "wrmsr\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where)
		     : "c"(X2APIC_MSR(APIC_TPR)), "a"(0), "d"(0) : "memory");
	GUEST_ASSERT_HIT_AT(where);

	/* lowered in the shadow of STI */
	pend(DO_IRQ);
	write_cr8(0xf);
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "movq %1, %%cr8\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : "r"(0UL) : "memory");
	GUEST_ASSERT_HIT_AT(where);

	/* sent while TPR holds it back, interrupts enabled */
	pend_irq.args[0] = DO_IRQ;
	hits = 0;
	write_cr8(0xf);
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     OUT_PENDS
		     "nop\n"
		     "movq %3, %%cr8\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where) : OUT_OPERANDS, "r"(0UL) : "memory");
	GUEST_ASSERT_HIT_AT(where);
}

TEST(tpr)
{
	drive_both(guest_tpr);
}

/* ------------------------------------------------------------------------ */
/* Memory that is not there when the interrupt is delivered                  */

/* On a stack that is cold, if what was asked for says so */
#define ON_COLD_STACK(where, insns, ...)				\
	do {								\
		const u64 stack_ = COLD_TOP;				\
									\
		asm volatile("lea 1f(%%rip), %0\n"			\
			     "movq %%rsp, %%rbx\n"			\
			     "movq %1, %%rsp\n"				\
			     insns					\
			     "movq %%rbx, %%rsp\n"			\
			     : "=&r"(where)				\
			     : "r"(stack_), ##__VA_ARGS__		\
			     : "rbx", "memory");			\
	} while (0)

static void guest_cold(void)
{
	const u64 all = DO_COLD_IDT | DO_COLD_CODE | DO_COLD_TABLES |
			DO_COLD_STACK;
	u64 what, where;

	guest_init();
	for (what = 0; what <= all; what += DO_COLD_IDT) {
		pend(DO_IRQ | what);
		ON_COLD_STACK(where, "sti; nop; 1: nop; cli\n");
		GUEST_ASSERT_HIT_AT(where);
		pend(DO_IRQ | what);
		ON_COLD_STACK(where, "sti; hlt; 1: cli\n");
		GUEST_ASSERT_HIT_AT(where);
	}
}

TEST(cold_memory)
{
	drive_both(guest_cold);
}

/* The same from ring 3, where the TSS names the stack */
static void guest_cold_from_user(void)
{
	const u64 all = DO_COLD_IDT | DO_COLD_CODE | DO_COLD_TABLES |
			DO_COLD_STACK;
	u64 what, where, *rsp0 = (u64 *)(TSS_GPA + 4);

	guest_init();
	*rsp0 = COLD_TOP;
	for (what = 0; what <= all; what += DO_COLD_IDT) {
		pend(DO_IRQ | what);
		where = guest_call_user(user_sti, 0);
		GUEST_ASSERT_HIT_AT(where);
	}
}

TEST(cold_memory_from_user)
{
	drive_both(guest_cold_from_user);
}

static void guest_cold_nmi(void)
{
	const u64 all = DO_COLD_IDT | DO_COLD_CODE | DO_COLD_TABLES |
			DO_COLD_STACK;
	u64 what, where;

	guest_init();
	for (what = 0; what <= all; what += DO_COLD_IDT) {
		pend(DO_IRQ);
		pend_irq.args[0] = DO_NMI | what;
		ON_COLD_STACK(where,
			      OUT_PENDS "1: nop; sti; nop; nop; cli\n",
			      OUT_OPERANDS);
		GUEST_ASSERT_EQ(nmis, 1);
		GUEST_ASSERT_EQ(nmi_rip, where);
		GUEST_ASSERT_EQ(hits, 1);
	}
}

TEST(cold_memory_nmi)
{
	drive_both(guest_cold_nmi);
}

/* ------------------------------------------------------------------------ */
/* At an exit to user space                                                  */

static void exit_follows(void)
{
	hits = 0;
	irq_on_exit = 1;
}

static void guest_exits(void)
{
	u64 where, value, mmio = MMIO_GPA;

	guest_init();
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "outb %%al, %%dx\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where) : "a"(1), "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_HIT_AT(where);
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "inl %%dx, %%eax\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where), "=&a"(value) : "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT_EQ(value, 0x04030201);
	GUEST_ASSERT_EQ(hit_rax, value);
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "movb $2, (%1)\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : "r"(mmio) : "memory");
	GUEST_ASSERT_HIT_AT(where);
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "nop\n"
		     "movl (%2), %%eax\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where), "=&a"(value) : "r"(mmio) : "memory");
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT_EQ(value, 0x08070605);
	GUEST_ASSERT_EQ(hit_rax, value);
	/* the exit is in the shadow, which ends with it */
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "sti\n"
		     "outb %%al, %%dx\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where) : "a"(3), "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_HIT_AT(where);
	/* and with interrupts disabled it must wait */
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "outb %%al, %%dx\n"
		     "sti\n"
		     "nop\n"
		     "1: nop\n"
		     "cli\n"
		     : "=&r"(where) : "a"(4), "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_HIT_AT(where);
}

TEST(exits_to_user_space)
{
	drive_both(guest_exits);
}

#define STRING	100

/* Between two elements, or after the last; no element is lost or repeated. */
static void guest_string_io(void)
{
	u8 *data = (u8 *)DATA_GPA;
	u64 insn, after, count = STRING, at = DATA_GPA, i;

	guest_init();
	for (i = 0; i < STRING; i++)
		data[i] = i + 1;
	exit_follows();
	asm volatile("lea 1f(%%rip), %0\n"
		     "lea 2f(%%rip), %1\n"
		     "cld\n"
		     "sti\n"
		     "nop\n"
		     "1: rep outsb\n"
		     "2: nop\n"
		     "cli\n"
		     : "=&r"(insn), "=&r"(after), "+c"(count), "+S"(at)
		     : "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(hit_rip == insn || hit_rip == after);
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(at, DATA_GPA + STRING);
	exit_follows();
	count = STRING;
	at = DATA_GPA + STRING;
	asm volatile("lea 1f(%%rip), %0\n"
		     "lea 2f(%%rip), %1\n"
		     "sti\n"
		     "nop\n"
		     "1: rep insb\n"
		     "2: nop\n"
		     "cli\n"
		     : "=&r"(insn), "=&r"(after), "+c"(count), "+D"(at)
		     : "d"(TEST_PORT) : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(hit_rip == insn || hit_rip == after);
	GUEST_ASSERT_EQ(count, 0);
	for (i = 0; i < 2 * STRING; i++)
		GUEST_ASSERT_EQ(data[i], 1 + i % STRING);
}

TEST(string_io)
{
	drive_both(guest_string_io);
}

/* ------------------------------------------------------------------------ */
/* Together with other events                                                */

/* An NMI goes first; its IRET lets the interrupt in. */
static void guest_nmi(void)
{
	u64 where;

	guest_init();
	hits = 0;
	pend_irq.args[0] = DO_IRQ | DO_NMI;
	sti();
	asm volatile("lea 1f(%%rip), %0\n"
		     OUT_PENDS
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : OUT_OPERANDS : "memory");
	GUEST_ASSERT_EQ(nmis, 1);
	GUEST_ASSERT_EQ(nmi_rip, where);
	GUEST_ASSERT_HIT_AT(where);
	GUEST_ASSERT_EQ(order[0], NMI_VECTOR);
	GUEST_ASSERT_EQ(order[1], VECTOR);
	/* both, and the interrupt has to wait */
	pend(DO_IRQ);
	pend_irq.args[0] = DO_NMI;
	asm volatile("lea 1f(%%rip), %0\n"
		     OUT_PENDS
		     "sti\n"
		     "nop\n"
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : OUT_OPERANDS : "memory");
	GUEST_ASSERT_EQ(nmis, 1);
	GUEST_ASSERT_HIT_AT(where);
}

TEST(nmi)
{
	drive_both(guest_nmi);
}

static void guest_irq_in_nmi(struct guest_regs *regs)
{
	guest_on_nmi(regs);
	guest_sync(DO_IRQ, 0);
	/* in an NMI's handler interrupts are allowed, when it says so */
	sti();
	GUEST_ASSERT_EQ(hits, 1);
	cli();
	guest_sync(DO_IRQ, 0);
}

static void guest_within_nmi(void)
{
	u64 where;

	guest_init();
	guest_handlers[NMI_VECTOR] = guest_irq_in_nmi;
	pend_irq.args[0] = DO_NMI;
	sti();
	asm volatile("lea 1f(%%rip), %0\n"
		     OUT_PENDS
		     "1: nop\n"
		     "cli\n" : "=&r"(where) : OUT_OPERANDS : "memory");
	GUEST_ASSERT_EQ(nmis, 1);
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT_EQ(hit_rip, where);
}

TEST(within_nmi)
{
	drive_both(guest_within_nmi);
}

static volatile u64 faults, fault_rip, fault_resume, fault_hits;

static void guest_on_fault(struct guest_regs *regs)
{
	faults++;
	fault_rip = regs->rip;
	fault_hits = hits;
	regs->rip = fault_resume;
}

/* The interrupt waits until the handler of the fault has returned. */
static void guest_faults(void)
{
	u64 where, resume;

	guest_init();
	guest_handlers[UD_VECTOR] = guest_on_fault;
	pend(DO_IRQ);
	asm volatile("lea 1f(%%rip), %0\n"
		     "lea 2f(%%rip), %1\n"
		     "movq %1, %2\n"
		     "sti\n"
		     "1: ud2\n"
		     "2: nop\n"
		     "cli\n"
		     : "=&r"(where), "=&r"(resume), "=m"(fault_resume)
		     : : "memory");
	GUEST_ASSERT_EQ(faults, 1);
	GUEST_ASSERT_EQ(fault_rip, where);
	GUEST_ASSERT_EQ(fault_hits, 0);
	GUEST_ASSERT_HIT_AT(resume);
}

TEST(fault_in_shadow)
{
	drive_both(guest_faults);
}

/*
 * Bochs does not look for virtual interrupts at a VM entry whose injected event
 * faults in turn; another entry makes up for it.
 */
static void guest_on_double_fault(struct guest_regs *regs)
{
	guest_on_fault(regs);
	guest_sync(0, 0);
}

static void guest_double_fault(void)
{
	const u64 all = DO_COLD_IDT | DO_COLD_CODE | DO_COLD_TABLES |
			DO_COLD_STACK;
	u64 what, where, resume;

	guest_init();
	/* the gate of #GP is not present: #NP while delivering it, so #DF */
	((u8 *)IDT_GPA)[16 * GP_VECTOR + 5] &= 0x7f;
	guest_handlers[DF_VECTOR] = guest_on_double_fault;
	for (what = 0; what <= all; what += DO_COLD_IDT) {
		pend(DO_IRQ | what);
		faults = 0;
		asm volatile("lea 1f(%%rip), %0\n"
			     "lea 2f(%%rip), %1\n"
			     "movq %1, %2\n"
			     "movq %%rsp, %%rbx\n"
			     "movq %3, %%rsp\n"
			     "movl $0x118, %%eax\n"
			     "sti\n"
			     "1: movl %%eax, %%ds\n"
			     "2: nop\n"
			     "cli\n"
			     "movq %%rbx, %%rsp\n"
			     : "=&r"(where), "=&r"(resume), "=m"(fault_resume)
			     : "r"(COLD_TOP) : "rax", "rbx", "memory");
		GUEST_ASSERT_EQ(faults, 1);
		GUEST_ASSERT_EQ(fault_rip, where);
		GUEST_ASSERT_EQ(fault_hits, 0);
		GUEST_ASSERT_HIT_AT(resume);
	}
}

TEST(double_fault)
{
	drive_both(guest_double_fault);
}

/* ------------------------------------------------------------------------ */
/* From another thread, at any moment                                        */

static volatile u64 sent, stop_guest;
static atomic_bool stop;

static void *send(void *arg)
{
	struct vcpu *vcpu = arg;
	volatile u64 *s = vm_guest_ptr(vcpu->vm, &sent);
	volatile u64 *h = vm_guest_ptr(vcpu->vm, &hits);

	while (!stop) {
		if (*h == *s) {
			++*s;
			vm_send_msi(vcpu->vm, 0, VECTOR);
		}
		pause_us(*s * 37 % 211);
	}
	return NULL;
}

static void drive_with_sender(enum chips chips, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create_chips(chips), 0);
	pthread_t thread;

	vcpu_setup_long(vcpu, fn, 0);
	/* the local APIC must be enabled */
	ASSERT_SYNC(vcpu, 0);
	stop = false;
	ASSERT(!pthread_create(&thread, NULL, send, vcpu));
	ASSERT_DONE(vcpu);
	stop = true;
	pthread_join(thread, NULL);
	/* one may have come too late for the guest */
	ASSERT(*vm_guest_ptr(vcpu->vm, &sent) -
	       *vm_guest_ptr(vcpu->vm, &hits) <= 1);
	vm_free(vcpu->vm);
}

static void guest_on_async(struct guest_regs *regs)
{
	GUEST_ASSERT_EQ(hits + 1, sent);
	hit_rip = regs->rip;
	GUEST_ASSERT(regs->rflags & RFLAGS_IF);
	hits++;
	x2apic_eoi();
}

#define ASYNC_HITS	400

/* Where it may come and where not; [0] is where the loop begins. */
static u64 allowed[8];
static volatile u64 seen[8];

static void guest_on_async_loop(struct guest_regs *regs)
{
	u64 i;

	guest_on_async(regs);
	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i] == regs->rip)
			seen[i]++;
	/* outside the loop, or at one of its open boundaries */
	if (regs->rip < allowed[0] || regs->rip > allowed[7])
		return;
	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i] == regs->rip)
			return;
	GUEST_ASSERT_EQ(regs->rip - allowed[0], 0);
}

static void guest_async(void)
{
	u64 loops, i, found = 0;

	guest_handlers[VECTOR] = guest_on_async_loop;
	x2apic_enable();
	asm volatile("lea 10f(%%rip), %%rax; movq %%rax, 0(%0)\n"
		     "lea 11f(%%rip), %%rax; movq %%rax, 8(%0)\n"
		     "lea 12f(%%rip), %%rax; movq %%rax, 16(%0)\n"
		     "lea 13f(%%rip), %%rax; movq %%rax, 24(%0)\n"
		     "lea 14f(%%rip), %%rax; movq %%rax, 32(%0)\n"
		     "lea 15f(%%rip), %%rax; movq %%rax, 40(%0)\n"
		     "lea 16f(%%rip), %%rax; movq %%rax, 48(%0)\n"
		     "lea 17f(%%rip), %%rax; movq %%rax, 56(%0)\n"
		     : : "r"(allowed) : "rax", "memory");
	guest_sync(0, 0);
	sti();
	while (hits < ASYNC_HITS) {
		loops = 1000;
		asm volatile("movl %%ss, %%eax\n"
			     "10: movl %%eax, %%ss\n"	/* no boundary follows */
			     "nop\n"
			     "11: nop\n"
			     "12: cli\n"		/* nor here */
			     "nop\n"
			     "pushfq\n"
			     "orq $0x200, (%%rsp)\n"
			     "popfq\n"
			     "13: cli\n"
			     "nop\n"
			     "sti\n"			/* nor here */
			     "nop\n"
			     "14: movl %%eax, %%ss\n"
			     "pushq %%rax\n"
			     "15: popq %%rax\n"
			     "16: decl %%ecx\n"
			     "17: jnz 10b\n"
			     : "+c"(loops) : : "rax", "memory", "cc");
	}
	cli();
	/* Several of the open ones are found, or this would find nothing out. */
	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		found += !!seen[i];
	GUEST_ASSERT(found >= 2);
}

TEST(at_any_moment)
{
	drive_with_sender(CHIPS_KERNEL, guest_async);
	drive_with_sender(CHIPS_SPLIT, guest_async);
}

#define REP_SIZE	0x60000UL
#define REP_HITS	5

static volatile u64 rep_insn, rep_hits;

static void guest_on_rep(struct guest_regs *regs)
{
	guest_on_async(regs);
	if (regs->rip != rep_insn)
		return;
	/* what is done and what is left add up */
	GUEST_ASSERT(regs->rcx > 0 && regs->rcx <= REP_SIZE / 8);
	GUEST_ASSERT_EQ(regs->rdi + 8 * regs->rcx,
			DATA_GPA + 0x10000 + REP_SIZE);
	if (regs->rcx < REP_SIZE / 8)
		rep_hits++;
}

static void guest_rep(void)
{
	u64 value = 0, count, at, i;
	volatile u64 *words = (u64 *)(DATA_GPA + 0x10000);

	guest_handlers[VECTOR] = guest_on_rep;
	x2apic_enable();
	guest_sync(0, 0);
	while (rep_hits < REP_HITS) {
		value++;
		count = REP_SIZE / 8;
		at = DATA_GPA + 0x10000;
		asm volatile("lea 1f(%%rip), %%rdx\n"
			     "movq %%rdx, %2\n"
			     "cld\n"
			     "sti\n"
			     "nop\n"
			     "1: rep stosq\n"
			     "cli\n"
			     : "+c"(count), "+D"(at), "=m"(rep_insn)
			     : "a"(value) : "rdx", "memory");
		GUEST_ASSERT_EQ(count, 0);
		GUEST_ASSERT_EQ(at, DATA_GPA + 0x10000 + REP_SIZE);
		for (i = 0; i < REP_SIZE / 8; i += 101)
			GUEST_ASSERT_EQ(words[i], value);
	}
}

TEST(rep_string)
{
	drive_with_sender(CHIPS_KERNEL, guest_rep);
}

/* ------------------------------------------------------------------------ */
/* The other modes                                                           */

#define PORT_PEND	0x10
#define PORT_CHECK	0x11
#define PORT_END	0x12

#define AT(name, label)	"$(" label " - blob_start_" name " + 0x1000)"

#define WRITE_MSR(index, value)						\
	"movl $" index ", %ecx; movl $" value ", %eax;"			\
	"xorl %edx, %edx; wrmsr\n"

/*
 * Each case: where it must come in DI, pend, do, check. The handler counts in
 * BX and says in SI where it came.  @s is the operand size's suffix, @r the
 * registers' prefix, @frame what IRET needs above RFLAGS, @iret the return.
 */
#define CASES(name, s, r, frame, iret)					\
	"movl $0x1b, %ecx; rdmsr; orl $0x800, %eax; wrmsr\n"		\
	"orl $0x400, %eax; wrmsr\n"					\
	WRITE_MSR("0x80f", "0x1ff")					\
	WRITE_MSR("0x835", "0x10000")					\
	"xorl %ebx, %ebx\n"						\
	"mov" s " " AT(name, "1f") ", %" r "di\n"			\
	"outb %al, $0x10; sti; nop; 1: nop; cli; outb %al, $0x11\n"	\
	"mov" s " " AT(name, "1f") ", %" r "di\n"			\
	"outb %al, $0x10; sti; hlt; 1: cli; outb %al, $0x11\n"		\
	"mov" s " " AT(name, "1f") ", %" r "di\n"			\
	"sti; nop; outb %al, $0x10; 1: nop; cli; outb %al, $0x11\n"	\
	"mov" s " " AT(name, "1f") ", %" r "di\n"			\
	"outb %al, $0x10; pushf" s "; pop" s " %" r "ax\n"		\
	"or" s " $0x200, %" r "ax; push" s " %" r "ax; popf" s "\n"	\
	"1: nop; cli; outb %al, $0x11\n"				\
	"mov" s " " AT(name, "1f") ", %" r "di\n"			\
	"outb %al, $0x10\n"						\
	frame								\
	"pushf" s "; pop" s " %" r "ax\n"				\
	"or" s " $0x200, %" r "ax; push" s " %" r "ax\n"		\
	"movl %cs, %ecx; push" s " %" r "cx\n"				\
	"push" s " %" r "di\n"						\
	iret "\n"							\
	"1: nop; cli; outb %al, $0x11\n"				\
	"outb %al, $0x12\n"						\
	".org 0x400\n"							\
	"incl %ebx\n"							\
	"pop" s " %" r "si; push" s " %" r "si\n"			\
	WRITE_MSR("0x80b", "0")						\
	iret

#define NR_CASES	5

guest_code16(cases16, CASES("cases16", "w", "", "", "iretw"));
guest_code32(cases32, CASES("cases32", "l", "e", "", "iretl"));
guest_code64(cases64, CASES("cases64", "q", "r",
			    "movq %rsp, %rcx; pushq $0x90; pushq %rcx\n",
			    "iretq"));

static void run_cases(struct vcpu *vcpu)
{
	struct minivmm_regs regs;
	u64 checked = 0;

	for (;;) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
		switch (vcpu->run->io.port) {
		case PORT_PEND:
			vm_send_msi(vcpu->vm, 0, VECTOR);
			break;
		case PORT_CHECK:
			regs = vcpu_regs(vcpu);
			checked++;
			EXPECT_EQ(regs.rbx, checked);
			EXPECT_EQ(regs.rsi, regs.rdi);
			break;
		case PORT_END:
			EXPECT_EQ(checked, NR_CASES);
			vm_free(vcpu->vm);
			return;
		default:
			FAIL("an exit at port 0x%x", vcpu->run->io.port);
		}
	}
}

/* A gate of 8 bytes, as 32-bit protected mode has */
static void set_gate32(struct vm *vm)
{
	u64 target = BLOB_GPA + 0x400;

	((u64 *)vm_gpa(vm, IDT_GPA))[VECTOR] =
		target | (u64)SEL_CODE32 << 16 | 0x8eULL << 40;
}

TEST(real_mode)
{
	enum chips chips;
	struct vcpu *vcpu;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = vcpu_create(vm_create_chips(chips), 0);
		((u32 *)vm_gpa(vcpu->vm, 0))[VECTOR] = BLOB_GPA + 0x400;
		vcpu_setup_real(vcpu, &cases16);
		run_cases(vcpu);
	}
}

static void run_cases32(void (*setup)(struct vcpu *, const struct blob *))
{
	enum chips chips;
	struct vcpu *vcpu;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = vcpu_create(vm_create_chips(chips), 0);
		set_gate32(vcpu->vm);
		setup(vcpu, &cases32);
		run_cases(vcpu);
	}
}

TEST(protected_mode)
{
	run_cases32(vcpu_setup_prot32);
}

TEST(paging32)
{
	run_cases32(vcpu_setup_paging32);
}

TEST(pae)
{
	run_cases32(vcpu_setup_pae);
}

TEST(long_mode)
{
	enum chips chips;
	struct vcpu *vcpu;
	u64 *gate;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = vcpu_create(vm_create_chips(chips), 0);
		gate = (u64 *)vm_gpa(vcpu->vm, IDT_GPA) + 2 * VECTOR;
		gate[0] = (BLOB_GPA + 0x400) | (u64)SEL_CODE64 << 16 |
			  0x8eULL << 40;
		vcpu_setup_blob64(vcpu, &cases64);
		run_cases(vcpu);
	}
}

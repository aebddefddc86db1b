// SPDX-License-Identifier: GPL-2.0
/* SET_GUEST_DEBUG: single steps, breakpoints, exceptions that are given. */
#include <unistd.h>

#include "guest.h"
#include "x2apic.h"

#define ENABLE	MINIVMM_GUESTDBG_ENABLE
#define STEP	(ENABLE | MINIVMM_GUESTDBG_SINGLESTEP)
#define SW_BP	(ENABLE | MINIVMM_GUESTDBG_USE_SW_BP)
#define HW_BP	(ENABLE | MINIVMM_GUESTDBG_USE_HW_BP)
#define BLOCK	MINIVMM_GUESTDBG_BLOCKIRQ

#define IRQ_VECTOR	0x55

static int set_debug(struct vcpu *vcpu, u32 control)
{
	struct minivmm_guest_debug dbg = {
		.control = control, .arch.debugreg[7] = DR7_FIXED,
	};

	return ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, &dbg);
}

/* Breakpoint @i at @address; @kind: R/W and LEN, bits 19:16 of DR7 for i = 0 */
static void set_breakpoint(struct vcpu *vcpu, u32 control, int i, u64 address,
			   u64 kind)
{
	struct minivmm_guest_debug dbg = {
		.control = HW_BP | control,
		.arch.debugreg[7] = DR7_FIXED | 2ULL << (2 * i) |
				    kind << (16 + 4 * i),
	};

	dbg.arch.debugreg[i] = address;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, &dbg));
}

#define CODE	0ULL
#define WRITE_4	0xdULL

static void assert_debug(struct vcpu *vcpu, int line, u32 exception, u64 pc,
			 u64 dr6)
{
	const struct minivmm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	assert_exit(__FILE__, line, vcpu, MINIVMM_EXIT_DEBUG);
	if (arch->exception != exception || arch->pc != pc ||
	    (exception == DB_VECTOR && arch->dr6 != (dr6 | DR6_FIXED))) {
		test_fail(__FILE__, line,
			  "exception %u at %#llx, dr6 %#llx; expected %u at %#llx, dr6 %#llx",
			  arch->exception, arch->pc, arch->dr6, exception, pc,
			  (u64)(dr6 | DR6_FIXED));
		test_exit();
	}
}

#define ASSERT_DEBUG(vcpu, exception, pc, dr6) \
	assert_debug(vcpu, __LINE__, exception, (u64)(pc), dr6)
#define ASSERT_STEP(vcpu, pc)	ASSERT_DEBUG(vcpu, DB_VECTOR, pc, DR6_BS)

static struct vcpu *make_guest(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, fn, 0);
	return vcpu;
}

/* Run to a code address with a breakpoint there. */
static void run_to(struct vcpu *vcpu, u64 address)
{
	set_breakpoint(vcpu, 0, 0, address, CODE);
	ASSERT_DEBUG(vcpu, DB_VECTOR, address, 1);
}

static void move_rip(struct vcpu *vcpu, s64 by)
{
	struct minivmm_regs regs = vcpu_regs(vcpu);

	regs.rip += by;
	vcpu_set_regs(vcpu, &regs);
}

/* ---- single steps ------------------------------------------------------------ */

guest_code64(steps,
	     "nop\n"
	     "xorl %eax, %eax\n"
	     "cpuid\n"			/* emulated */
	     "movl $0x277, %ecx\n"
	     "rdmsr\n"			/* emulated */
	     "wrmsr\n"
	     "sti\n"
	     "nop\n"
	     "cli\n"
	     "1: jmp 1b\n");

static const u8 steps_len[] = { 1, 2, 2, 5, 2, 2, 1, 1, 1 };

static struct vcpu *start(const struct blob *blob)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, blob);
	return vcpu;
}

TEST(steps)
{
	struct vcpu *vcpu = start(&steps);
	u64 pc = BLOB_GPA;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps_len); i++) {
		pc += steps_len[i];
		ASSERT_OK(set_debug(vcpu, STEP));
		ASSERT_STEP(vcpu, pc);
		EXPECT_EQ(vcpu_regs(vcpu).rip, pc);
		EXPECT(!(vcpu_regs(vcpu).rflags & RFLAGS_TF));
	}
	ASSERT_STEP(vcpu, pc);
	ASSERT_STEP(vcpu, pc);
}

/* Once asked for, each RUN is a step. */
TEST(steps_go_on)
{
	struct vcpu *vcpu = start(&steps);
	u64 pc = BLOB_GPA;
	unsigned int i;

	ASSERT_OK(set_debug(vcpu, STEP));
	for (i = 0; i < ARRAY_SIZE(steps_len); i++) {
		pc += steps_len[i];
		ASSERT_STEP(vcpu, pc);
	}
}

guest_code64(devices,
	     "movl $0x1234, %edx\n"		/* 5 */
	     "outl %eax, %dx\n"			/* 1 */
	     "inl %dx, %eax\n"			/* 1 */
	     "movl $0xd0000000, %esi\n"		/* 5 */
	     "movl %eax, (%rsi)\n"		/* 2 */
	     "movl (%rsi), %ebx\n"		/* 2 */
	     "nop\n");

/* An instruction that user space helps with is over when it has. */
TEST(steps_over_ports)
{
	struct vcpu *vcpu = start(&devices);

	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_STEP(vcpu, BLOB_GPA + 5);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_STEP(vcpu, BLOB_GPA + 6);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	*(u32 *)vcpu_io_data(vcpu) = 0x12345678;
	ASSERT_STEP(vcpu, BLOB_GPA + 7);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0x12345678);
}

TEST(steps_over_device_memory)
{
	struct vcpu *vcpu = start(&devices);

	if (!dev_is_minivmm())
		SKIP("stock KVM's step over a write goes on to the next instruction");
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_STEP(vcpu, BLOB_GPA + 7);
	ASSERT_STEP(vcpu, BLOB_GPA + 12);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_STEP(vcpu, BLOB_GPA + 14);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	*(u32 *)vcpu->run->mmio.data = 0x87654321;
	ASSERT_STEP(vcpu, BLOB_GPA + 16);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0x87654321);
	ASSERT_STEP(vcpu, BLOB_GPA + 17);
}

/* A debugger that goes away in between is not told. */
TEST(detached_in_the_middle)
{
	struct vcpu *vcpu = start(&devices);

	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_STEP(vcpu, BLOB_GPA + 5);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_OK(set_debug(vcpu, 0));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
}

guest_code64(iterations,
	     "movl $0x300000, %edi\n"	/* 5 */
	     "movl $3, %ecx\n"		/* 5 */
	     "rep stosb\n"		/* 2 */
	     "nop\n");

TEST(repeated_instruction)
{
	struct vcpu *vcpu = start(&iterations);

	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_STEP(vcpu, BLOB_GPA + 5);
	ASSERT_STEP(vcpu, BLOB_GPA + 10);
	ASSERT_STEP(vcpu, BLOB_GPA + 10);
	EXPECT_EQ(vcpu_regs(vcpu).rcx, 2);
	ASSERT_STEP(vcpu, BLOB_GPA + 10);
	ASSERT_STEP(vcpu, BLOB_GPA + 12);
}

guest_code16(real_mode,
	     "nop\n"
	     "1: jmp 1b\n");

/* The address is linear. */
TEST(segment_base)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	vcpu_setup_real(vcpu, &real_mode);
	sregs = vcpu_sregs(vcpu);
	sregs.cs.base = BLOB_GPA - 0x100;
	sregs.cs.selector = sregs.cs.base >> 4;
	vcpu_set_sregs(vcpu, &sregs);
	regs = vcpu_regs(vcpu);
	regs.rip = 0x100;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_STEP(vcpu, BLOB_GPA + 1);
	EXPECT_EQ(vcpu_regs(vcpu).rip, 0x101);
}

guest_code64(mov_ss,
	     "movw %ss, %ax\n"		/* 3 */
	     "movw %ax, %ss\n"		/* 2, and then the shadow */
	     "nop\n"
	     "nop\n");

/* A trap in MOV SS's shadow may come before or after the next instruction. */
TEST(step_in_shadow)
{
	struct vcpu *vcpu = start(&mov_ss);
	u64 pc;

	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_DEBUG);
	do {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_DEBUG);
		pc = vcpu->run->debug.arch.pc;
		EXPECT_EQ(vcpu->run->debug.arch.dr6, DR6_FIXED | DR6_BS);
	} while (pc < BLOB_GPA + 6);
	EXPECT_EQ(pc, BLOB_GPA + 6);
	ASSERT_STEP(vcpu, BLOB_GPA + 7);
}

/* ---- the guest does not see the debugger ------------------------------------------ */

static volatile u64 guest_traps;

static void on_trap(struct guest_regs *regs)
{
	(void)regs;
	guest_traps++;
}

static void guest_flags(void)
{
	u64 flags;

	asm volatile("flags_start: pushfq\n popq %0" : "=r"(flags));
	GUEST_ASSERT(!(flags & RFLAGS_TF));
	asm volatile("pushfq\n popq %%rax\n pushq %%rax\n popfq\n" : : : "rax", "cc");
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(guest_traps, 0);
}

extern const char flags_start[];

/* Step until something else happens; how many steps it took */
static int step_to_exit(struct vcpu *vcpu, int expected)
{
	int steps = 0, reason;

	ASSERT_OK(set_debug(vcpu, STEP));
	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason != MINIVMM_EXIT_DEBUG)
			break;
		ASSERT(steps++ < 2000);
	}
	ASSERT_EQ(reason, expected);
	return steps;
}

TEST(flags_are_the_guests)
{
	struct vcpu *vcpu = make_guest(guest_flags);

	if (!dev_is_minivmm())
		SKIP("stock KVM steps with the guest's RFLAGS.TF");
	run_to(vcpu, (u64)flags_start);
	EXPECT_GE(step_to_exit(vcpu, MINIVMM_EXIT_IO), 5);
	ASSERT_EQ(vcpu_guest_call(vcpu, MINIVMM_EXIT_IO, NULL), GUEST_SYNC);
	ASSERT_OK(set_debug(vcpu, 0));
	ASSERT_DONE(vcpu);
}

/*
 * The guest steps itself over four instructions, of which two set shadows and
 * one is emulated.
 */
static void guest_steps_itself(void)
{
	guest_handlers[DB_VECTOR] = on_trap;
	asm volatile("self_start: pushfq\n"
		     "orq $0x100, (%%rsp)\n"
		     "popfq\n"
		     "nop\n"
		     "sti\n"
		     "cpuid\n"
		     "cli\n"
		     "pushfq\n"
		     "andq $~0x100, (%%rsp)\n"
		     "popfq\n"
		     : : "a"(0) : "rbx", "rcx", "rdx", "memory", "cc");
	guest_sync(1, guest_traps);
}

extern const char self_start[];

static u64 traps_of_guest(struct vcpu *vcpu)
{
	struct guest_call call;

	ASSERT_EQ(vcpu_guest_call(vcpu, MINIVMM_EXIT_IO, &call), GUEST_SYNC);
	return call.args[1];
}

TEST(both_step)
{
	struct vcpu *vcpu = make_guest(guest_steps_itself);
	u64 alone;

	if (!dev_is_minivmm())
		SKIP("stock KVM steps with the guest's RFLAGS.TF");
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	alone = traps_of_guest(vcpu);
	EXPECT_EQ(alone, 7);

	vcpu = make_guest(guest_steps_itself);
	run_to(vcpu, (u64)self_start);
	EXPECT_GE(step_to_exit(vcpu, MINIVMM_EXIT_IO), 10);
	EXPECT_EQ(traps_of_guest(vcpu), alone);
}

static void guest_debug_registers(void)
{
	u64 value;

	asm volatile("mov %0, %%dr0" : : "r"(0x1234560ULL));
	asm volatile("mov %0, %%dr7" : : "r"(0x402ULL));
	guest_sync(1, 0);
	asm volatile("mov %%dr0, %0" : "=r"(value));
	GUEST_ASSERT_EQ(value, 0x1234560);
	asm volatile("mov %%dr7, %0" : "=r"(value));
	GUEST_ASSERT_EQ(value, 0x402);
	asm volatile("mov %0, %%dr0" : : "r"(0x7654320ULL));
	guest_sync(2, 0);
}

/* Its registers are its own, also those that are not in the CPU just now. */
TEST(registers_are_the_guests)
{
	struct vcpu *vcpu = make_guest(guest_debug_registers);
	struct minivmm_debugregs regs;

	ASSERT_SYNC(vcpu, 1);
	set_breakpoint(vcpu, 0, 0, 0x99990, WRITE_4);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(regs.db[0], 0x1234560);
	EXPECT_EQ(regs.dr7, 0x402);
	ASSERT_SYNC(vcpu, 2);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &regs));
	EXPECT_EQ(regs.db[0], 0x7654320);
	ASSERT_DONE(vcpu);
}

static u32 watched;

static void guest_watches(void)
{
	guest_handlers[DB_VECTOR] = on_trap;
	asm volatile("mov %0, %%dr0" : : "r"(&watched));
	asm volatile("mov %0, %%dr7" : : "r"(0x000d0402ULL));
	guest_sync(1, 0);
	*(volatile u32 *)&watched = 1;	/* the debugger has the registers */
	guest_sync(2, guest_traps);
	*(volatile u32 *)&watched = 2;
	guest_sync(3, guest_traps);
}

/* The guest's breakpoints come back when the debugger's go. */
TEST(guests_breakpoints_return)
{
	struct vcpu *vcpu = make_guest(guest_watches);

	ASSERT_SYNC(vcpu, 1);
	set_breakpoint(vcpu, 0, 0, 0x99990, WRITE_4);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0);
	ASSERT_OK(set_debug(vcpu, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), 1);
}

/* ---- breakpoints -------------------------------------------------------------- */

static u32 data;

static void guest_breakpoints(void)
{
	asm volatile("bp_code: nop");
	asm volatile("movl $1234, %0\n bp_written: nop" : "=m"(data));
	asm volatile("bp_dr: mov %%dr0, %%rax\n nop" : : : "rax");
	guest_sync(1, 0);
}

extern const char bp_code[], bp_written[], bp_dr[];

TEST(hardware_breakpoints)
{
	struct vcpu *vcpu = make_guest(guest_breakpoints);
	int i;

	for (i = 0; i < 4; i++) {
		set_breakpoint(vcpu, 0, i, (u64)bp_code, CODE);
		ASSERT_DEBUG(vcpu, DB_VECTOR, bp_code, 1 << i);
		/* a fault: it would be there again */
		ASSERT_DEBUG(vcpu, DB_VECTOR, bp_code, 1 << i);
	}
	for (i = 0; i < 4; i++) {
		move_rip(vcpu, bp_code - (const char *)vcpu_regs(vcpu).rip);
		set_breakpoint(vcpu, 0, i, (u64)&data, WRITE_4);
		ASSERT_DEBUG(vcpu, DB_VECTOR, bp_written, 1 << i);
		/* a trap: the write is done, and over */
		EXPECT_EQ(*vm_guest_ptr(vcpu->vm, &data), 1234);
	}
	ASSERT_SYNC(vcpu, 1);
}

TEST(general_detect)
{
	struct vcpu *vcpu = make_guest(guest_breakpoints);
	struct minivmm_guest_debug dbg = {
		.control = HW_BP, .arch.debugreg[7] = DR7_FIXED | DR7_GD,
	};

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, &dbg));
	ASSERT_DEBUG(vcpu, DB_VECTOR, bp_dr, DR6_BD);
	EXPECT_EQ(vcpu->run->debug.arch.dr7, DR7_FIXED | DR7_GD);
	ASSERT_OK(set_debug(vcpu, 0));
	ASSERT_SYNC(vcpu, 1);
}

/* A step that ends with a watched write says both. */
TEST(step_and_watchpoint)
{
	struct vcpu *vcpu = make_guest(guest_breakpoints);

	run_to(vcpu, (u64)bp_code);
	set_breakpoint(vcpu, STEP, 2, (u64)&data, WRITE_4);
	ASSERT_STEP(vcpu, bp_code + 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_DEBUG);
	EXPECT_EQ(vcpu->run->debug.arch.pc, (u64)bp_written);
	EXPECT_EQ(vcpu->run->debug.arch.dr6, DR6_FIXED | DR6_BS | 4);
	ASSERT_STEP(vcpu, bp_written + 1);
}

static volatile u64 trap_rip;

static void on_breakpoint(struct guest_regs *regs)
{
	guest_traps++;
	trap_rip = regs->rip;
}

static void guest_int3(void)
{
	guest_handlers[BP_VECTOR] = on_breakpoint;
	guest_handlers[DB_VECTOR] = on_breakpoint;
	guest_sync(1, 0);
	asm volatile("int3_start: int3\n int3_end: nop");
	guest_sync(2, guest_traps);
	guest_sync(3, trap_rip);
}

extern const char int3_start[], int3_end[];

static struct vcpu *start_int3(void)
{
	struct vcpu *vcpu = make_guest(guest_int3);

	ASSERT_SYNC(vcpu, 1);
	return vcpu;
}

TEST(software_breakpoint)
{
	struct vcpu *vcpu = start_int3();

	ASSERT_OK(set_debug(vcpu, SW_BP));
	ASSERT_DEBUG(vcpu, BP_VECTOR, int3_start, 0);
	EXPECT_EQ(vcpu_regs(vcpu).rip, (u64)int3_start);
	move_rip(vcpu, 1);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0);
}

/* Without a debugger, or with one that does not ask, it is the guest's. */
TEST(int3_is_the_guests)
{
	struct vcpu *vcpu = start_int3();

	ASSERT_OK(set_debug(vcpu, MINIVMM_GUESTDBG_USE_SW_BP));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), (u64)int3_end);
}

/* It was not the debugger's: as if the guest had executed it alone. */
TEST(inject_bp)
{
	struct vcpu *vcpu = start_int3();

	ASSERT_OK(set_debug(vcpu, SW_BP));
	ASSERT_DEBUG(vcpu, BP_VECTOR, int3_start, 0);
	ASSERT_OK(set_debug(vcpu, SW_BP | MINIVMM_GUESTDBG_INJECT_BP));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), (u64)int3_end);
}

/* The same, by the way QEMU takes */
TEST(inject_bp_as_event)
{
	struct vcpu *vcpu = start_int3();
	struct minivmm_vcpu_events events;

	ASSERT_OK(set_debug(vcpu, SW_BP));
	ASSERT_DEBUG(vcpu, BP_VECTOR, int3_start, 0);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_VCPU_EVENTS, &events));
	events.exception.injected = 1;
	events.exception.nr = BP_VECTOR;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), (u64)int3_end);
}

TEST(inject_db)
{
	struct vcpu *vcpu = start_int3();

	ASSERT_OK(set_debug(vcpu, SW_BP));
	ASSERT_DEBUG(vcpu, BP_VECTOR, int3_start, 0);
	ASSERT_OK(set_debug(vcpu, SW_BP | MINIVMM_GUESTDBG_INJECT_DB));
	ASSERT_ERRNO(set_debug(vcpu, SW_BP | MINIVMM_GUESTDBG_INJECT_DB),
		     EBUSY);
	ASSERT_ERRNO(set_debug(vcpu, SW_BP | MINIVMM_GUESTDBG_INJECT_BP),
		     EBUSY);
	/* at the instruction, which is executed after the handler */
	ASSERT_DEBUG(vcpu, BP_VECTOR, int3_start, 0);
	ASSERT_OK(set_debug(vcpu, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 2);
}

/* ---- interrupts held back ------------------------------------------------------- */

static u64 counted(void)
{
	return event_counts[IRQ_VECTOR] * 16 + event_counts[NMI_VECTOR];
}

static void guest_blocked(void)
{
	guest_handlers[IRQ_VECTOR] = count_event;
	guest_handlers[NMI_VECTOR] = count_event;
	guest_sync(1, 0);
	asm volatile("blocked_start: sti\n nop\n nop\n nop\n");
	guest_sync(2, counted());
}

extern const char blocked_start[];

static void check_blocked(struct vcpu *vcpu)
{
	int i;

	set_breakpoint(vcpu, BLOCK, 0, (u64)blocked_start, CODE);
	ASSERT_DEBUG(vcpu, DB_VECTOR, blocked_start, 1);
	ASSERT_OK(set_debug(vcpu, STEP | BLOCK));
	for (i = 1; i <= 3; i++)
		ASSERT_STEP(vcpu, blocked_start + i);
	/* ... and without steps */
	ASSERT_OK(set_debug(vcpu, ENABLE | BLOCK));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0);
}

TEST(nmi_blocked)
{
	struct vcpu *vcpu = make_guest(guest_blocked);

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	check_blocked(vcpu);
}

TEST(interrupt_blocked)
{
	struct vcpu *vcpu = make_guest(guest_blocked);
	struct minivmm_interrupt irq = { IRQ_VECTOR };

	if (!dev_is_minivmm())
		SKIP("stock KVM does not hold back what the client queues");
	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
	/* waiting for the next, too, which cannot be while this one waits */
	vcpu->run->request_interrupt_window = 1;
	check_blocked(vcpu);
}

static void guest_unblocked(void)
{
	guest_handlers[IRQ_VECTOR] = count_event;
	guest_handlers[NMI_VECTOR] = count_event;
	asm volatile("sti");
	guest_sync(1, 0);
	guest_sync(2, counted());
	guest_sync(3, counted());
}

/* Nothing that was held back is lost. */
TEST(unblocked)
{
	struct vcpu *vcpu = make_guest(guest_unblocked);
	struct minivmm_interrupt irq = { IRQ_VECTOR };

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(set_debug(vcpu, ENABLE | BLOCK));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	if (dev_is_minivmm())
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0);
	ASSERT_OK(set_debug(vcpu, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), dev_is_minivmm() ? 0x11 : 1);
}

static u64 apic_counted(void)
{
	return event_counts[IRQ_VECTOR] + event_counts[IRQ_VECTOR + 1];
}

static void guest_apic_blocked(void)
{
	guest_handlers[IRQ_VECTOR] = count_event_x2apic;
	guest_handlers[IRQ_VECTOR + 1] = count_event_x2apic;
	x2apic_enable();
	guest_sync(1, 0);
	asm volatile("sti");
	wrmsr(X2APIC_MSR(APIC_SELF_IPI), IRQ_VECTOR);
	wrmsr(X2APIC_MSR(APIC_SELF_IPI), IRQ_VECTOR + 1);
	guest_sync(2, apic_counted());
	asm volatile("nop");
	guest_sync(3, apic_counted());
	wrmsr(X2APIC_MSR(APIC_SELF_IPI), IRQ_VECTOR);
	asm volatile("nop");
	guest_sync(4, apic_counted());
}

/* The same with the CPU that delivers interrupts by itself */
TEST(apic_blocked)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, guest_apic_blocked, 0);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(set_debug(vcpu, ENABLE | BLOCK));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 0);
	ASSERT_OK(set_debug(vcpu, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 3), 2);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 4), 3);
}

/* ---- events under single step --------------------------------------------------- */

static volatile u64 uds;

static void on_ud(struct guest_regs *regs)
{
	regs->rip += 2;
	uds++;
}

static void guest_faults(void)
{
	guest_handlers[UD_VECTOR] = on_ud;
	guest_sync(1, 0);
	asm volatile("ud_start: ud2\n ud_end: nop\n");
	guest_sync(2, uds);
}

extern const char ud_start[], ud_end[];

/* The step ends in the handler, and the guest's flags stay its own. */
TEST(step_into_handler)
{
	struct vcpu *vcpu = make_guest(guest_faults);
	struct minivmm_sregs sregs;
	u64 *stack;

	if (!dev_is_minivmm())
		SKIP("stock KVM's step ends behind the handler");
	ASSERT_SYNC(vcpu, 1);
	run_to(vcpu, (u64)ud_start);
	ASSERT_OK(set_debug(vcpu, STEP));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_DEBUG);
	EXPECT_NE(vcpu->run->debug.arch.pc, (u64)ud_start);
	EXPECT_NE(vcpu->run->debug.arch.pc, (u64)ud_end);
	sregs = vcpu_sregs(vcpu);
	EXPECT_EQ(sregs.cs.dpl, 0);
	stack = vm_gpa(vcpu->vm, vcpu_regs(vcpu).rsp);
	EXPECT_EQ(stack[0], (u64)ud_start);
	EXPECT(!(stack[2] & RFLAGS_TF));
	ASSERT_OK(set_debug(vcpu, 0));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
}

/* ---- bad input --------------------------------------------------------------------- */

TEST(bad_input)
{
	struct vcpu *vcpu = start(&steps);

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, (void *)0x1000),
		     EFAULT);
	EXPECT_OK(set_debug(vcpu, 0));
	/* flags without ENABLE are taken, and mean nothing */
	EXPECT_OK(set_debug(vcpu, MINIVMM_GUESTDBG_SINGLESTEP));
	if (!dev_is_minivmm())
		SKIP("stock KVM ignores unknown flags");
	EXPECT_ERRNO(set_debug(vcpu, ENABLE | 4), EINVAL);
	EXPECT_ERRNO(set_debug(vcpu, 1U << 31), EINVAL);
}

TEST(impossible_dr7)
{
	struct vcpu *vcpu = start(&steps);
	struct minivmm_guest_debug dbg = {
		.control = HW_BP | MINIVMM_GUESTDBG_SINGLESTEP,
		.arch.debugreg[7] = 0xffffffff00000000,
	};

	if (!dev_is_minivmm())
		SKIP("stock KVM's entry fails");
	/* dropped, as what a chip cannot hold */
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, &dbg));
	ASSERT_STEP(vcpu, BLOB_GPA + 1);
	EXPECT_EQ(vcpu->run->debug.arch.dr7, DR7_FIXED);
}

TEST(capabilities)
{
	struct vm *vm = vm_create();

	EXPECT_EQ(ioctl(vm->fd, MINIVMM_CHECK_EXTENSION,
			MINIVMM_CAP_SET_GUEST_DEBUG), 1);
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_CHECK_EXTENSION,
			MINIVMM_CAP_SET_GUEST_DEBUG2), 0x1f0003);
}

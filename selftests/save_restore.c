// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU is saved in the middle of whatever it does, restored into a new vCPU
 * of a new VM, and goes on: nothing is lost, nothing happens twice.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "state.h"
#include "threads.h"
#include "x2apic.h"

#define MSI_VECTOR	0x61
#define SELF_VECTOR	0x72
#define TIMER_VECTOR	0x83
#define PIT_VECTOR	0x94
#define SOFT_VECTOR	0xb0
#define PIT_PIN		0
#define TEST_PORT	0x60
#define PIT_CHANNEL0	0x40
#define PIT_CONTROL	0x43
#define PIC_MASTER	0x20

/* ------------------------------------------------------------------------ */
/* From one VM to the next                                                   */

static struct vm *new_vm(enum chips chips)
{
	struct minivmm_pit_config pit = {};
	struct vm *vm = vm_create_bare();

	if (chips == CHIPS_KERNEL) {
		ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
		ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &pit));
	} else {
		ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP,
					MINIVMM_IOAPIC_NUM_PINS));
	}
	return vm;
}

static bool has_deadline(struct vm *vm)
{
	return ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
		     MINIVMM_CAP_TSC_DEADLINE_TIMER) > 0;
}

static struct vcpu *start(enum chips chips, void *fn, u64 arg)
{
	struct minivmm_pit_config pit = {};
	struct vm *vm = vm_create_chips(chips);
	struct vcpu *vcpu;

	if (chips == CHIPS_KERNEL)
		ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_PIT2, &pit));
	/* Who has the TSC deadline leaves it to the client to say so. */
	if (has_deadline(vm))
		cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
	vcpu = vcpu_create(vm, 0);
	vcpu_setup_long(vcpu, fn, arg);
	/* KVM ignores a TSC that is near what it has: it shall be far. */
	ASSERT(vcpu_set_msr(vcpu, MSR_IA32_TSC, 1ULL << 42));
	return vcpu;
}

/*
 * Move the vCPU, and its VM's memory, to a new VM; the old one is gone then.
 * @fired: see vcpu_compare()
 */
static struct vcpu *move(struct vcpu *old, enum chips chips, u32 fired)
{
	static struct vcpu_state before, after;
	static struct chips_state chips_before, chips_after;
	struct vm *vm = new_vm(chips), *old_vm = old->vm;
	struct vcpu *vcpu = vcpu_create_bare(vm, 0);

	vm->mem = old_vm->mem;
	vm->image_loaded = true;
	ASSERT_OK(vm_set_slot(vm, 0, 0, 0, VM_MEM_SIZE, vm->mem));
	vcpu_save(old, &before);
	if (chips == CHIPS_KERNEL) {
		chips_save(old_vm, &chips_before);
		chips_restore(vm, &chips_before);
	}
	vcpu_restore(vcpu, &before, true);
	memset(&after, 0, sizeof(after));
	vcpu_save(vcpu, &after);
	vcpu_compare(&before, &after, fired);
	if (chips == CHIPS_KERNEL) {
		chips_save(vm, &chips_after);
		chips_compare(&chips_before, &chips_after);
	}
	old_vm->mem = NULL;
	vm_free(old_vm);
	return vcpu;
}

/* ------------------------------------------------------------------------ */
/* A guest with as much state as one can have                                */

static u64 patterns[16][4], now[16][4];
static u8 x87_first[10], x87_now[10];

static const struct {
	u32 index;
	u64 value;
} msr_values[] = {
	{ MSR_STAR, 0x0013000800000000 },
	{ MSR_LSTAR, 0xffff800012345678 },
	{ MSR_CSTAR, 0xffff800087654321 },
	{ MSR_SYSCALL_MASK, 0x47700 },
	{ MSR_FS_BASE, 0x7f1234567000 },
	{ MSR_GS_BASE, 0x7f7654321000 },
	{ MSR_KERNEL_GS_BASE, 0xffff888000001000 },
	{ MSR_IA32_SYSENTER_CS, 0x10 },
	{ MSR_IA32_SYSENTER_ESP, 0xffff800000001111 },
	{ MSR_IA32_SYSENTER_EIP, 0xffff800000002222 },
	{ MSR_IA32_PAT, 0x0007010600070106 },
};

static bool guest_has_avx(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[2] >> 28 & 1;
}

#define EACH_VECTOR	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"

static void guest_fill_fpu(void)
{
	u64 i;

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXSAVE);
	asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
	for (i = 0; i < 64; i++)
		patterns[i / 4][i % 4] = (i + 1) * 0x0123456789abcdefUL;
	asm volatile(EACH_VECTOR
		     "vmovdqu 32*\\n(%0), %%ymm\\n\n"
		     ".endr" : : "r"(patterns) : "memory");
	asm volatile("fninit; fldpi; fld1; fldl2e; fmulp; faddp\n"
		     "fld %%st(0); fstpt %0" : "=m"(x87_first));
}

static void guest_check_fpu(void)
{
	u64 i;

	asm volatile(EACH_VECTOR
		     "vmovdqu %%ymm\\n, 32*\\n(%0)\n"
		     ".endr" : : "r"(now) : "memory");
	for (i = 0; i < 64; i++)
		GUEST_ASSERT_EQ(now[i / 4][i % 4], patterns[i / 4][i % 4]);
	asm volatile("fld %%st(0); fstpt %0" : "=m"(x87_now));
	for (i = 0; i < sizeof(x87_now); i++)
		GUEST_ASSERT_EQ(x87_now[i], x87_first[i]);
}

static void guest_fill_registers(void)
{
	u64 i;

	for (i = 0; i < ARRAY_SIZE(msr_values); i++)
		wrmsr(msr_values[i].index, msr_values[i].value);
	asm volatile("mov %0, %%dr0; mov %1, %%dr1\n"
		     "mov %2, %%dr2; mov %3, %%dr3"
		     : : "r"(0x1111UL), "r"(0x2222UL), "r"(0x3333UL),
		     "r"(0xffff800044444444UL));
}

static void guest_check_registers(void)
{
	u64 i, d0, d1, d2, d3;

	for (i = 0; i < ARRAY_SIZE(msr_values); i++)
		GUEST_ASSERT_EQ(rdmsr(msr_values[i].index),
				msr_values[i].value);
	asm volatile("mov %%dr0, %0; mov %%dr1, %1\n"
		     "mov %%dr2, %2; mov %%dr3, %3"
		     : "=r"(d0), "=r"(d1), "=r"(d2), "=r"(d3));
	GUEST_ASSERT_EQ(d0, 0x1111);
	GUEST_ASSERT_EQ(d1, 0x2222);
	GUEST_ASSERT_EQ(d2, 0x3333);
	GUEST_ASSERT_EQ(d3, 0xffff800044444444);
}

/* ------------------------------------------------------------------------ */
/* Events in flight                                                          */

static volatile u64 msis_sent, msis, nmis_sent, nmis;
static volatile u64 timers_armed, timers, timers_extra, deadline_mode;
static volatile u64 selfs, softs, faults, pit_ticks, with_pit;
static volatile u64 rounds, checksum, quit, with_xapic;

static void guest_write_apic(u32 reg, u32 value)
{
	if (with_xapic)
		xapic_write(reg, value);
	else
		wrmsr(X2APIC_MSR(reg), value);
}

static void guest_on_msi(struct guest_regs *regs)
{
	(void)regs;
	GUEST_ASSERT_EQ(msis + 1, msis_sent);
	msis++;
	guest_write_apic(APIC_EOI, 0);
}

static void guest_on_nmi(struct guest_regs *regs)
{
	(void)regs;
	GUEST_ASSERT_EQ(nmis + 1, nmis_sent);
	nmis++;
}

static void guest_on_timer(struct guest_regs *regs)
{
	(void)regs;
	if (timers == timers_armed)
		timers_extra++;
	else
		timers++;
	guest_write_apic(APIC_EOI, 0);
}

static void guest_on_self(struct guest_regs *regs)
{
	(void)regs;
	selfs++;
	guest_write_apic(APIC_EOI, 0);
}

static void guest_on_pit(struct guest_regs *regs)
{
	(void)regs;
	pit_ticks++;
	guest_write_apic(APIC_EOI, 0);
}

static void guest_on_soft(struct guest_regs *regs)
{
	(void)regs;
	softs++;
}

static void guest_on_ud(struct guest_regs *regs)
{
	faults++;
	regs->rip += 2;
}

static void guest_start_pit(void)
{
	/* 8259s with a state of their own, though LINT0 is masked */
	outb(PIC_MASTER, 0x11);
	outb(PIC_MASTER + 1, 0x28);
	outb(PIC_MASTER + 1, 4);
	outb(PIC_MASTER + 1, 1);
	outb(PIC_MASTER + 1, 0xa5);
	ioapic_set_rte(PIT_PIN, PIT_VECTOR);
	ioapic_set_rte(7, 0xe7 | RTE_MASKED | RTE_LEVEL | RTE_DEST(3));
	/* rate generator, about 1 ms */
	outb(PIT_CONTROL, 0x34);
	outb(PIT_CHANNEL0, 1193 & 0xff);
	outb(PIT_CHANNEL0, 1193 >> 8);
}

/* In units of 0.1 ms or so, in the testbed */
static void guest_arm_timer(u64 when)
{
	timers_armed++;
	if (deadline_mode)
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + when * 10000);
	else
		guest_write_apic(APIC_TMICT, when * 100000);
}

static void guest_init(void)
{
	guest_handlers[MSI_VECTOR] = guest_on_msi;
	guest_handlers[NMI_VECTOR] = guest_on_nmi;
	guest_handlers[TIMER_VECTOR] = guest_on_timer;
	guest_handlers[SELF_VECTOR] = guest_on_self;
	guest_handlers[PIT_VECTOR] = guest_on_pit;
	guest_handlers[SOFT_VECTOR] = guest_on_soft;
	guest_handlers[UD_VECTOR] = guest_on_ud;
	if (with_xapic)
		apic_start(XAPIC);
	else
		x2apic_enable();
	guest_write_apic(APIC_TDCR, 0xb);
	guest_write_apic(APIC_LVT_TIMER, TIMER_VECTOR |
			 (deadline_mode ? LVT_DEADLINE : 0));
	if (guest_has_avx())
		guest_fill_fpu();
	guest_fill_registers();
	if (with_pit)
		guest_start_pit();
}

static u64 mix(u64 sum, u64 round)
{
	return sum * 6364136223846793005UL + round;
}

static void guest_round(void)
{
	u64 round = ++rounds;

	checksum = mix(checksum, round);
	asm volatile("ud2" : : : "memory");
	GUEST_ASSERT_EQ(faults, round);
	asm volatile("int %0" : : "i"(SOFT_VECTOR) : "memory");
	GUEST_ASSERT_EQ(softs, round);
	if (with_xapic)
		xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | SELF_VECTOR);
	else
		wrmsr(X2APIC_MSR(APIC_SELF_IPI), SELF_VECTOR);
	asm volatile("nop" : : : "memory");
	GUEST_ASSERT_EQ(selfs, round);
	if (timers == timers_armed)
		guest_arm_timer(1 + round % 8);
	outl(TEST_PORT, round);
	GUEST_ASSERT_EQ(inl(TEST_PORT), (u32)round * 3);
	if (guest_has_avx())
		guest_check_fpu();
	if (round % 4 == 0)
		guest_check_registers();
	if (round % 8)
		return;
	cli();
	while (timers != timers_armed)
		asm volatile("sti; hlt; cli" : : : "memory");
	sti();
}

static void guest_work(void)
{
	u64 tick;

	guest_init();
	sti();
	while (!quit)
		guest_round();
	/* Everything that is under way has to arrive yet. */
	while (timers != timers_armed || msis != msis_sent ||
	       nmis != nmis_sent)
		cpu_relax();
	tick = pit_ticks;
	while (with_pit && pit_ticks < tick + 2)
		cpu_relax();
	GUEST_ASSERT_EQ(apic_read(APIC_ISR + 0x30), 0);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void signal_in(u32 us)
{
	struct itimerval timer = { .it_value.tv_usec = us };

	ASSERT_OK(setitimer(ITIMER_REAL, &timer, NULL));
}

static void answer_io(struct vcpu *vcpu)
{
	static u32 last;

	ASSERT_EQ(vcpu->run->io.port, TEST_PORT);
	if (vcpu->run->io.direction == MINIVMM_EXIT_IO_OUT) {
		memcpy(&last, vcpu_io_data(vcpu), 4);
		return;
	}
	last *= 3;
	memcpy(vcpu_io_data(vcpu), &last, 4);
}

#define MOVES	100

/* Send what has been acknowledged, if it is its turn. */
static void send_some(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	volatile u64 *sent = vm_guest_ptr(vm, &msis_sent);

	if (*sent == *vm_guest_ptr(vm, &msis) && random_below(2)) {
		++*sent;
		vm_send_msi(vm, 0, MSI_VECTOR);
	}
	sent = vm_guest_ptr(vm, &nmis_sent);
	if (*sent == *vm_guest_ptr(vm, &nmis) && random_below(2)) {
		++*sent;
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	}
}

static void in_flight(enum chips chips, bool deadline, u64 mode)
{
	struct vcpu *vcpu = start(chips, guest_work, 0);
	struct sigaction action = { .sa_handler = on_signal };
	u64 i, sum = 0, halted = 0, moves = 0;
	struct minivmm_mp_state mp_state;
	struct vm *vm;
	int reason = -EINTR;

	if (deadline && !has_deadline(vcpu->vm))
		SKIP("no TSC deadline timer");
	*vm_guest_ptr(vcpu->vm, &deadline_mode) = deadline;
	*vm_guest_ptr(vcpu->vm, &with_xapic) = mode == XAPIC;
	*vm_guest_ptr(vcpu->vm, &with_pit) = chips == CHIPS_KERNEL;
	ASSERT_OK(sigaction(SIGALRM, &action, NULL));
	for (;;) {
		if (reason == -EINTR)
			signal_in(100 + random_below(2500));
		reason = vcpu_run(vcpu);
		if (vcpu_guest_call(vcpu, reason, NULL) == GUEST_DONE)
			break;
		if (reason == MINIVMM_EXIT_IO) {
			answer_io(vcpu);
		} else if (reason != -EINTR) {
			vcpu_describe_exit(vcpu, reason);
			FAIL("exit %s", exit_name(reason));
		}
		if (*vm_guest_ptr(vcpu->vm, &rounds) == 0)
			continue;
		if (reason != -EINTR && random_below(20))
			continue;
		send_some(vcpu);
		if (random_below(2))
			continue;
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_MP_STATE, &mp_state));
		halted += mp_state.mp_state == MINIVMM_MP_STATE_HALTED;
		/* a signal would fail the creation of a VM */
		signal_in(0);
		vcpu = move(vcpu, chips, TIMER_VECTOR);
		reason = -EINTR;
		if (++moves == MOVES)
			*vm_guest_ptr(vcpu->vm, &quit) = 1;
	}
	signal_in(0);
	vm = vcpu->vm;
	for (i = 1; i <= *vm_guest_ptr(vm, &rounds); i++)
		sum = mix(sum, i);
	EXPECT_EQ(*vm_guest_ptr(vm, &checksum), sum);
	EXPECT_EQ(*vm_guest_ptr(vm, &msis), *vm_guest_ptr(vm, &msis_sent));
	EXPECT_EQ(*vm_guest_ptr(vm, &nmis), *vm_guest_ptr(vm, &nmis_sent));
	/* KVM's one-shot timer fires again when restored after it has fired */
	if (dev_is_minivmm())
		EXPECT_EQ(*vm_guest_ptr(vm, &timers_extra), 0);
	EXPECT_GE(*vm_guest_ptr(vm, &msis), 10);
	EXPECT_GE(*vm_guest_ptr(vm, &nmis), 10);
	ksft_print_msg("%llu moves, %llu of a halted vCPU; %llu rounds\n",
		       moves, halted, *vm_guest_ptr(vm, &rounds));
	ksft_print_msg("%llu MSIs, %llu NMIs, %llu timers, %llu more, %llu ticks\n",
		       *vm_guest_ptr(vm, &msis), *vm_guest_ptr(vm, &nmis),
		       *vm_guest_ptr(vm, &timers),
		       *vm_guest_ptr(vm, &timers_extra),
		       *vm_guest_ptr(vm, &pit_ticks));
}

TEST(in_flight_kernel)
{
	in_flight(CHIPS_KERNEL, false, X2APIC);
}

TEST(in_flight_split)
{
	in_flight(CHIPS_SPLIT, false, X2APIC);
}

TEST(in_flight_deadline)
{
	in_flight(CHIPS_SPLIT, true, X2APIC);
}

TEST(in_flight_xapic)
{
	in_flight(CHIPS_KERNEL, false, XAPIC);
}

/* ------------------------------------------------------------------------ */
/* Injected, but not delivered                                               */

#define STACK_PAGE	(DATA_GPA + 0x8000)
#define HIT_VECTOR	0x77

static volatile u64 hits, hit_vector, hit_rip, hit_expected;

static void guest_on_hit(struct guest_regs *regs)
{
	hits++;
	hit_vector = regs->vector;
	hit_rip = regs->rip;
	if (regs->vector == HIT_VECTOR)
		x2apic_eoi();
	if (regs->vector == UD_VECTOR)
		regs->rip += 2;
}

static struct guest_call ready_call = { .type = GUEST_SYNC, .args = { 1 } };

/* On a stack that the host takes away at the OUT */
#define ON_LOST_STACK(insns)						\
	do {								\
		const u64 stack_ = STACK_PAGE + PAGE_SIZE;		\
									\
		asm volatile("lea 1f(%%rip), %%rbx\n"			\
			     "movq %%rbx, %0\n"				\
			     "movq %%rsp, %%rbx\n"			\
			     "movq %1, %%rsp\n"				\
			     "sti\n"					\
			     "nop\n"					\
			     "outl %%eax, %%dx\n"			\
			     insns					\
			     "cli\n"					\
			     "movq %%rbx, %%rsp\n"			\
			     : "=m"(hit_expected)			\
			     : "r"(stack_), "a"(&ready_call),		\
			       "d"(GUEST_CALL_PORT)			\
			     : "rbx", "memory");			\
	} while (0)

enum kind { IRQ, NMI, FAULT, SOFT_INT };

static void guest_hit(u64 kind)
{
	static const u8 vectors[] = {
		[IRQ] = HIT_VECTOR, [NMI] = NMI_VECTOR, [FAULT] = UD_VECTOR,
		[SOFT_INT] = 0x80,
	};

	guest_handlers[vectors[kind]] = guest_on_hit;
	x2apic_enable();
	if (kind == FAULT)
		ON_LOST_STACK("1: ud2\n");
	else if (kind == SOFT_INT)
		ON_LOST_STACK("int $0x80; 1:\n");
	else
		ON_LOST_STACK("1: nop\n");
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(hit_vector, vectors[kind]);
	GUEST_ASSERT_EQ(hit_rip, hit_expected);
	sti();
	GUEST_ASSERT_EQ(hits, 1);
}

static void injected(enum chips chips, enum kind kind, int moves)
{
	struct vcpu *vcpu = start(chips, guest_hit, kind);
	void *stack = vm_gpa(vcpu->vm, STACK_PAGE);
	struct minivmm_vcpu_events events;
	int i;

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(mprotect(stack, PAGE_SIZE, PROT_NONE));
	if (kind == IRQ)
		vm_send_msi(vcpu->vm, 0, HIT_VECTOR);
	if (kind == NMI)
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	/* delivery gets as far as the stack */
	ASSERT_EQ(vcpu_run(vcpu), -EFAULT);
	events = vcpu_events(vcpu);
	EXPECT_EQ(events.interrupt.injected, kind == IRQ);
	EXPECT_EQ(events.nmi.injected, kind == NMI);
	EXPECT_EQ(events.exception.injected, kind == FAULT);
	if (kind == IRQ)
		EXPECT_EQ(events.interrupt.nr, HIT_VECTOR);
	if (kind == FAULT)
		EXPECT_EQ(events.exception.nr, UD_VECTOR);
	for (i = 0; i < moves; i++)
		vcpu = move(vcpu, chips, 0);
	ASSERT_OK(mprotect(stack, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_DONE(vcpu);
	vm_free(vcpu->vm);
}

static void all_injected(enum kind kind)
{
	enum chips chips;
	int moves;

	for (chips = 0; chips < CHIPS_END; chips++)
		for (moves = 0; moves <= 2; moves++)
			injected(chips, kind, moves);
}

TEST(injected_interrupt)
{
	all_injected(IRQ);
}

TEST(injected_nmi)
{
	all_injected(NMI);
}

TEST(injected_fault)
{
	all_injected(FAULT);
}

TEST(injected_int_n)
{
	all_injected(SOFT_INT);
}

/* ------------------------------------------------------------------------ */
/* Pending, and held back                                                    */

static void guest_held(void)
{
	guest_handlers[HIT_VECTOR] = guest_on_hit;
	guest_handlers[NMI_VECTOR] = guest_on_nmi;
	x2apic_enable();
	write_cr8(0xf);
	sti();
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 0);
	cli();
	write_cr8(0);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(hits, 0);
	GUEST_ASSERT_EQ(nmis, 0);
	nmis_sent = 1;
	guest_sync(3, 0);
	GUEST_ASSERT_EQ(nmis, 1);
	sti();
	GUEST_ASSERT_EQ(hits, 1);
	/* twice: in service, and pending again behind it */
	guest_sync(4, 0);
	GUEST_ASSERT_EQ(hits, 2);
}

TEST(held_back)
{
	enum chips chips;
	struct vcpu *vcpu;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = start(chips, guest_held, 0);
		ASSERT_SYNC(vcpu, 1);
		vm_send_msi(vcpu->vm, 0, HIT_VECTOR);
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 2);
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 3);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 4);
		vm_send_msi(vcpu->vm, 0, HIT_VECTOR);
		vcpu = move(vcpu, chips, 0);
		ASSERT_DONE(vcpu);
	}
}

static void guest_in_handler(struct guest_regs *regs)
{
	u64 mine = ++hits;

	(void)regs;
	guest_sync(10 + mine, 0);
	/* ours is in service: the next has to wait for EOI, IF or not */
	sti();
	GUEST_ASSERT_EQ(hits, mine);
	guest_sync(20 + mine, 0);
	cli();
	x2apic_eoi();
}

static void guest_in_nmi(struct guest_regs *regs)
{
	u64 mine = ++nmis;

	(void)regs;
	guest_sync(30 + mine, 0);
	GUEST_ASSERT_EQ(nmis, mine);
}

static void guest_nested(void)
{
	guest_handlers[HIT_VECTOR] = guest_in_handler;
	guest_handlers[NMI_VECTOR] = guest_in_nmi;
	x2apic_enable();
	sti();
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 2);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(nmis, 2);
}

/* In service, and the same vector pending again; the same with NMIs */
TEST(in_service)
{
	enum chips chips;
	struct vcpu *vcpu;

	for (chips = 0; chips < CHIPS_END; chips++) {
		vcpu = start(chips, guest_nested, 0);
		ASSERT_SYNC(vcpu, 1);
		vm_send_msi(vcpu->vm, 0, HIT_VECTOR);
		ASSERT_SYNC(vcpu, 11);
		vm_send_msi(vcpu->vm, 0, HIT_VECTOR);
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 21);
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 12);
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 22);
		ASSERT_SYNC(vcpu, 2);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
		ASSERT_SYNC(vcpu, 31);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
		vcpu = move(vcpu, chips, 0);
		ASSERT_SYNC(vcpu, 32);
		vcpu = move(vcpu, chips, 0);
		ASSERT_DONE(vcpu);
	}
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC's timer and time: it never comes early, and a periodic one
 * does not drift, whether the guest runs or sleeps meanwhile.
 *
 * Nothing here limits how late it may come: that is the host's load.  How late
 * it was, in ticks of the guest's TSC, is printed.
 */
#include <time.h>

#include "apic.h"

#define VECTOR		0x40
#define FIRES		200
/* Ticks of the APIC timer at divisor 1, which is 1 GHz here and on KVM */
#define PERIOD_NS	1000000UL

/* Guest TSC when it was handled, and when it was due */
static volatile u64 handled[FIRES], due[FIRES];
static volatile u32 fires;
static volatile u64 tsc_khz, halts;

static void guest_log(struct guest_regs *regs)
{
	(void)regs;
	if (fires < FIRES)
		handled[fires] = rdtsc();
	fires++;
	apic_eoi();
}

static void guest_init(u32 mode)
{
	guest_handlers[VECTOR] = guest_log;
	apic_start(X2APIC);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR | mode);
}

/* Until there were so many interrupts */
static void guest_wait(u32 count)
{
	while (fires < count) {
		if (halts)
			asm volatile("sti; hlt; cli" : : : "memory");
		else
			asm volatile("sti; nop; nop; cli" : : : "memory");
	}
}

static u64 guest_ticks(u64 ns)
{
	return ns * tsc_khz / 1000000;
}

static void guest_periodic(void)
{
	u64 start;
	u32 i;

	guest_init(LVT_PERIODIC);
	start = rdtsc();
	apic_write(APIC_TMICT, PERIOD_NS);
	guest_wait(FIRES);
	apic_write(APIC_TMICT, 0);
	for (i = 0; i < FIRES; i++)
		due[i] = start + guest_ticks((i + 1) * PERIOD_NS);
}

static void guest_one_shot(void)
{
	u32 i;

	guest_init(0);
	for (i = 0; i < FIRES; i++) {
		due[i] = rdtsc() + guest_ticks(1000 * (i + 1));
		apic_write(APIC_TMICT, 1000 * (i + 1));
		guest_wait(i + 1);
	}
}

static void guest_deadline(void)
{
	u32 i;

	guest_init(LVT_DEADLINE);
	for (i = 0; i < FIRES; i++) {
		due[i] = rdtsc() + 100 * (i + 1);
		wrmsr(MSR_IA32_TSC_DEADLINE, due[i]);
		guest_wait(i + 1);
	}
}

static struct vm *run(void *fn, bool halt)
{
	struct vcpu *vcpu;

	cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
	vcpu = vcpu_create(vm_create_irqchip(), 0);
	vcpu_setup_long(vcpu, fn, 0);
	*vm_guest_ptr(vcpu->vm, &halts) = halt;
	*vm_guest_ptr(vcpu->vm, &tsc_khz) =
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_TSC_KHZ, 0));
	ASSERT_DONE(vcpu);
	ASSERT_EQ(*vm_guest_ptr(vcpu->vm, &fires), FIRES);
	return vcpu->vm;
}

/* The least lateness of some: what the host's load does not add to */
static u64 least_late(struct vm *vm, u32 from, u32 to)
{
	volatile u64 *when = &vm_guest_ptr(vm, &handled)[0][0];
	volatile u64 *want = &vm_guest_ptr(vm, &due)[0][0];
	u64 least = ~0UL;
	u32 i;

	for (i = from; i < to; i++)
		if (when[i] - want[i] < least)
			least = when[i] - want[i];
	return least;
}

/* But for a tick of the clocks' conversion, none comes before its time. */
static void never_early(struct vm *vm)
{
	volatile u64 *when = &vm_guest_ptr(vm, &handled)[0][0];
	volatile u64 *want = &vm_guest_ptr(vm, &due)[0][0];
	u64 worst = 0;
	u32 i;

	for (i = 0; i < FIRES; i++) {
		if (when[i] + 1 < want[i])
			FAIL("interrupt %u came %llu ticks early", i,
			     want[i] - when[i]);
		if (when[i] > want[i] && when[i] - want[i] > worst)
			worst = when[i] - want[i];
	}
	printf("# late by %llu to %llu ticks of %llu kHz\n",
	       least_late(vm, 0, FIRES), worst, *vm_guest_ptr(vm, &tsc_khz));
}

/*
 * Each period begins where the last one ended, not where it was handled.  A
 * host that cannot keep up has two periods be one interrupt, which is late by
 * whole periods; so lateness counts modulo the period.
 */
static void no_drift(struct vm *vm)
{
	u64 period = PERIOD_NS * *vm_guest_ptr(vm, &tsc_khz) / 1000000;
	u64 first = least_late(vm, 0, FIRES / 4);
	u64 last = least_late(vm, FIRES - FIRES / 4, FIRES) % period;

	printf("# late by %llu at first, by %llu at last, of %llu\n", first,
	       last, period);
	EXPECT(last < first + period / 4);
}

TEST(periodic_running)
{
	struct vm *vm = run(guest_periodic, false);

	never_early(vm);
	no_drift(vm);
}

TEST(periodic_halted)
{
	struct vm *vm = run(guest_periodic, true);

	never_early(vm);
	no_drift(vm);
}

TEST(one_shot_running)
{
	never_early(run(guest_one_shot, false));
}

TEST(one_shot_halted)
{
	never_early(run(guest_one_shot, true));
}

TEST(deadline_running)
{
	never_early(run(guest_deadline, false));
}

TEST(deadline_halted)
{
	never_early(run(guest_deadline, true));
}

/* The host's clock agrees with the guest's count of periods: none is lost. */
TEST(periods_in_host_time)
{
	struct timespec begin, end;
	u64 ns;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	run(guest_periodic, true);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ns = (end.tv_sec - begin.tv_sec) * 1000000000UL + end.tv_nsec -
	     begin.tv_nsec;
	printf("# %u periods of %lu ns took %llu ns\n", FIRES, PERIOD_NS, ns);
	/* They cannot have come faster than they are. */
	EXPECT_GE(ns, (FIRES - 1) * PERIOD_NS);
}

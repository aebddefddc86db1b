// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC's timer: one-shot, periodic, TSC-deadline, and what disarms it.
 * SDM volume 3, 11.5.4.  When it comes is apic_timer.c's.
 */
#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* The timer: SDM 11.5.4                                                     */

static void run_timer(void *fn, u64 mode)
{
	/* left out by older KVMs: it needs a local APIC */
	cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
	run_with_apic(fn, mode);
}

static void guest_timer_start(u64 mode, u32 lvt)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	apic_write(APIC_TDCR, 0xb);		/* divide by 1 */
	apic_write(APIC_LVT_TIMER, lvt | 0x41);
}

static void guest_one_shot(u64 mode)
{
	guest_timer_start(mode, 0);
	apic_write(APIC_TMICT, 100000);
	while (!hits)
		wait_interrupt();
	GUEST_ASSERT_EQ(order[0], 0x41);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMICT), 100000);
}

TEST_BOTH(timer_one_shot, run_timer(guest_one_shot, mode))

static void guest_one_shot_once(u64 mode)
{
	u64 begin;

	guest_one_shot(mode);
	begin = rdtsc();
	asm volatile("sti" : : : "memory");
	while (rdtsc() - begin < 200000)
		;
	asm volatile("cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	/* the next write of the initial count is another shot */
	apic_write(APIC_TMICT, 100000);
	while (hits < 2)
		wait_interrupt();
}

TEST(timer_one_shot_once)
{
	run_timer(guest_one_shot_once, XAPIC);
}

static void guest_periodic(u64 mode)
{
	guest_timer_start(mode, LVT_PERIODIC);
	apic_write(APIC_TMICT, 300000);
	while (hits < 4)
		wait_interrupt();
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
}

TEST_BOTH(timer_periodic, run_timer(guest_periodic, mode))

static void guest_count_down(u64 mode)
{
	u32 first, last, i;

	guest_timer_start(mode, LVT_MASKED);
	apic_write(APIC_TMICT, 0xffffffff);
	first = apic_read(APIC_TMCCT);
	for (i = 0; i < 100000; i++) {
		last = apic_read(APIC_TMCCT);
		if (last != first)
			break;
	}
	GUEST_ASSERT(first != 0);
	GUEST_ASSERT(last < first);
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
}

TEST_BOTH(timer_counts_down, run_timer(guest_count_down, mode))

static void guest_masked_timer(u64 mode)
{
	guest_timer_start(mode, LVT_MASKED);
	apic_write(APIC_TMICT, 1000);
	while (apic_read(APIC_TMCCT))
		;
	take_interrupts();
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, 0x41));
	GUEST_ASSERT_EQ(hits, 0);
	/* the shot is gone: unmasking does not bring it back */
	apic_write(APIC_LVT_TIMER, 0x41);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(timer_masked)
{
	if (!dev_is_minivmm())
		SKIP("KVM keeps the shot until the mask goes");
	run_timer(guest_masked_timer, XAPIC);
}

static void guest_deadline(u64 mode)
{
	u64 deadline;

	guest_timer_start(mode, LVT_DEADLINE);
	deadline = rdtsc() + 100000;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	while (!hits)
		wait_interrupt();
	GUEST_ASSERT(rdtsc() >= deadline);
	/* disarmed by its going off */
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
}

TEST_BOTH(timer_deadline, run_timer(guest_deadline, mode))

static void guest_deadline_reads_back(u64 mode)
{
	u64 deadline = rdtsc() + (1UL << 40);

	guest_timer_start(mode, LVT_DEADLINE);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), deadline);
}

TEST(deadline_reads_back)
{
	run_timer(guest_deadline_reads_back, XAPIC);
}

static void guest_deadline_past(u64 mode)
{
	guest_timer_start(mode, LVT_DEADLINE);
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	wait_interrupt();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
}

TEST(deadline_in_the_past)
{
	run_timer(guest_deadline_past, XAPIC);
}

/* Let the TSC pass a deadline, with interrupts enabled. */
static void guest_pass(u64 deadline)
{
	asm volatile("sti" : : : "memory");
	while (rdtsc() < deadline + 300000)
		;
	asm volatile("nop; cli" : : : "memory");
}

/* What @disarm does to it the timer survives, but not what it was set to. */
static void disarmed(u64 mode, void (*disarm)(void))
{
	u64 deadline;

	guest_timer_start(mode, LVT_DEADLINE);
	deadline = rdtsc() + 200000;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	disarm();
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	guest_pass(deadline);
	GUEST_ASSERT_EQ(hits, 0);
	/* and can be armed again */
	wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 50000);
	while (!hits)
		wait_interrupt();
}

static void write_zero(void)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

static void guest_deadline_zero(u64 mode)
{
	disarmed(mode, write_zero);
}

TEST(deadline_zero_disarms)
{
	run_timer(guest_deadline_zero, XAPIC);
}

static void change_mode(void)
{
	apic_write(APIC_LVT_TIMER, 0x41);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
}

static void guest_deadline_mode_change(u64 mode)
{
	disarmed(mode, change_mode);
}

/* SDM 11.5.4.1: a change of the mode disarms the timer. */
TEST(deadline_mode_change_disarms)
{
	run_timer(guest_deadline_mode_change, XAPIC);
}

static void guest_count_mode_change(u64 mode)
{
	u64 begin;

	guest_timer_start(mode, 0);
	begin = rdtsc();
	apic_write(APIC_TMICT, 3000000);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	guest_pass(begin + 3000000);
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(count_mode_change_disarms)
{
	run_timer(guest_count_mode_change, XAPIC);
}

static void guest_other_mode(u64 mode)
{
	guest_timer_start(mode, 0);
	/* ignored in the count modes, and the count in deadline mode */
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
	apic_write(APIC_TMICT, 1000);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	guest_pass(rdtsc());
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(timer_of_other_mode_is_ignored)
{
	run_timer(guest_other_mode, XAPIC);
}

static void guest_stop_timer(u64 mode)
{
	u64 begin;

	guest_timer_start(mode, 0);
	begin = rdtsc();
	apic_write(APIC_TMICT, 3000000);
	apic_write(APIC_TMICT, 0);
	guest_pass(begin + 3000000);
	GUEST_ASSERT_EQ(hits, 0);
	apic_write(APIC_TMICT, 300000);
	while (!hits)
		wait_interrupt();
}

TEST(count_zero_disarms)
{
	run_timer(guest_stop_timer, XAPIC);
}

static void guest_deadline_without_cpuid(void)
{
	guest_timer_start(XAPIC, LVT_DEADLINE);
	GUEST_ASSERT_EQ(apic_read(APIC_LVT_TIMER), 0x41);
	wrmsr_safe(MSR_IA32_TSC_DEADLINE, 1);
	guest_pass(rdtsc());
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(deadline_without_cpuid)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx &= ~(1U << 24);
	run_with_apic(guest_deadline_without_cpuid, 0);
}

static void guest_spin_timer(u64 mode)
{
	guest_timer_start(mode, LVT_DEADLINE);
	asm volatile("sti" : : : "memory");
	while (hits < 5) {
		u64 before = hits;

		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 50000);
		while (hits == before)
			;
	}
	asm volatile("cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 5);
}

/* It ends a loop that leaves to the host for nothing else. */
TEST(timer_interrupts_spinning)
{
	run_timer(guest_spin_timer, X2APIC);
}

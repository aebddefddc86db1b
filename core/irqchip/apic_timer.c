// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer (SDM 11.5.4): one-shot, periodic, TSC-deadline.
 *
 * A timer is a host TSC value, lapic->deadline, and nothing else runs while the
 * guest does: the back end has the CPU leave the guest at that time. A vCPU that
 * is blocked is woken by an hrtimer, which is started only then. One that is in
 * user space finds out when it comes back.
 *
 * The input clock is 1 GHz, as KVM's: a count is in nanoseconds times divisor.
 */
#include <linux/export.h>
#include <linux/hrtimer.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "../compat.h"
#include "lapic.h"

#define TIMER_MODE		(3 << 17)
#define TIMER_ONE_SHOT		0
#define TIMER_PERIODIC		APIC_LVT_TIMER_PERIODIC

/*
 * A periodic timer's shortest period, in ns: faster, and the guest would never
 * get out of its handler, nor the host's CPU out of this vCPU's exits.
 */
#define MIN_PERIOD		20000ULL

static bool is_deadline_mode(const struct mv_lapic *lapic)
{
	return lapic->timer_mode == APIC_LVT_TIMER_TSCDEADLINE;
}

/* SDM figure 11-10: 000b is 2, 110b is 128, 111b is 1 */
static u32 to_divisor(u32 tdcr)
{
	return 1 << (((tdcr & 3) + ((tdcr & 8) >> 1) + 1) & 7);
}

/* Both below 2^61: a count has 32 bits, the divisor 7, a rate in kHz 22. */
static u64 count_to_tsc(const struct mv_lapic *lapic, u32 count)
{
	return (u64)count * lapic->divisor * tsc_khz / USEC_PER_SEC;
}

/* At most KTIME_MAX: the division below traps if its result does not fit. */
static u64 tsc_to_ns(u64 tsc)
{
	if (tsc / tsc_khz >= KTIME_MAX / NSEC_PER_MSEC)
		return KTIME_MAX;
	return mul_u64_u32_div(tsc, USEC_PER_SEC, tsc_khz);
}

static enum hrtimer_restart wake(struct hrtimer *timer)
{
	struct mv_lapic *lapic = container_of(timer, struct mv_lapic,
					      wake_timer);

	rcuwait_wake_up(&lapic->vcpu->wait);
	return HRTIMER_NORESTART;
}

void mv_apic_timer_init(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;

	lapic->vcpu = vcpu;
	lapic->deadline = MV_NEVER;
	mv_hrtimer_setup(&lapic->wake_timer, wake, CLOCK_MONOTONIC,
			 HRTIMER_MODE_ABS_HARD);
}

/**
 * mv_apic_timer_stop() - the timer is not armed any more
 * @vcpu: the vCPU
 */
void mv_apic_timer_stop(struct mv_vcpu *vcpu)
{
	vcpu->lapic->deadline = MV_NEVER;
	vcpu->lapic->period = 0;
	vcpu->lapic->tsc_deadline = 0;
}

static void start(struct mv_lapic *lapic, u32 first, u32 count)
{
	u64 now = rdtsc();

	lapic->deadline = MV_NEVER;
	lapic->period = 0;
	if (!count)
		return;
	if (lapic->timer_mode == TIMER_PERIODIC)
		lapic->period = max(count_to_tsc(lapic, count),
				    MIN_PERIOD * tsc_khz / USEC_PER_SEC);
	lapic->deadline = now + count_to_tsc(lapic, first);
}

/**
 * mv_apic_timer_start() - the guest wrote the initial count
 * @vcpu: the vCPU
 * @count: 0 stops the timer; in TSC-deadline mode nothing happens, and the
 *	register is 0 (SDM 11.5.4.1)
 */
void mv_apic_timer_start(struct mv_vcpu *vcpu, u32 count)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (is_deadline_mode(lapic))
		count = 0;
	mv_apic_set_reg(lapic, APIC_TMICT, count);
	if (!is_deadline_mode(lapic))
		start(lapic, count, count);
}

/**
 * mv_apic_timer_resume() - go on with a timer that was saved, or reset
 * @vcpu: the vCPU, its registers in place
 * @count: what was left of it; a periodic timer has something left always
 *
 * IA32_TSC_DEADLINE is an MSR of its own.
 */
void mv_apic_timer_resume(struct mv_vcpu *vcpu, u32 count)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 initial = mv_apic_reg(lapic, APIC_TMICT);

	lapic->timer_mode = mv_apic_reg(lapic, APIC_LVTT) & TIMER_MODE;
	lapic->divisor = to_divisor(mv_apic_reg(lapic, APIC_TDCR));
	if (!count && lapic->timer_mode == TIMER_PERIODIC)
		count = initial;
	if (count && !is_deadline_mode(lapic))
		start(lapic, count, initial);
}

/* A count in progress goes on with the new rate. */
void mv_apic_timer_divide(struct mv_vcpu *vcpu, u32 tdcr)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 left;

	mv_apic_timer_check(vcpu);
	left = mv_apic_timer_count(vcpu);
	mv_apic_set_reg(lapic, APIC_TDCR, tdcr);
	lapic->divisor = to_divisor(tdcr);
	if (left)
		start(lapic, left, mv_apic_reg(lapic, APIC_TMICT));
}

/**
 * mv_apic_timer_mode() - the guest wrote the timer's LVT entry
 * @vcpu: the vCPU
 * @lvt: what is there now
 *
 * A change from or to TSC-deadline mode disarms the timer (SDM 11.5.4.1); one
 * between the others takes effect when the count runs out.
 */
void mv_apic_timer_mode(struct mv_vcpu *vcpu, u32 lvt)
{
	struct mv_lapic *lapic = vcpu->lapic;
	bool was_deadline = is_deadline_mode(lapic);

	if (lapic->timer_mode == (lvt & TIMER_MODE))
		return;
	lapic->timer_mode = lvt & TIMER_MODE;
	if (was_deadline != is_deadline_mode(lapic)) {
		mv_apic_timer_stop(vcpu);
		mv_apic_set_reg(lapic, APIC_TMICT, 0);
		return;
	}
	lapic->period = 0;
	if (lapic->deadline != MV_NEVER && lapic->timer_mode == TIMER_PERIODIC)
		lapic->period = max(count_to_tsc(lapic,
						 mv_apic_reg(lapic, APIC_TMICT)),
				    MIN_PERIOD * tsc_khz / USEC_PER_SEC);
}

static u32 count_left(const struct mv_lapic *lapic, u64 tsc)
{
	return DIV_ROUND_UP(max(tsc_to_ns(tsc), 1ULL), lapic->divisor);
}

/**
 * mv_apic_timer_count() - the current count
 * @vcpu: the vCPU
 *
 * Return: 0 when it has run out, or in TSC-deadline mode; never before.
 */
u32 mv_apic_timer_count(const struct mv_vcpu *vcpu)
{
	const struct mv_lapic *lapic = vcpu->lapic;
	u64 now = rdtsc();

	if (lapic->deadline == MV_NEVER || is_deadline_mode(lapic))
		return 0;
	if (now < lapic->deadline)
		return count_left(lapic, lapic->deadline - now);
	if (!lapic->period)
		return 0;
	now = (now - lapic->deadline) % lapic->period;
	return count_left(lapic, lapic->period - now);
}

/**
 * mv_get_tsc_deadline() - RDMSR of IA32_TSC_DEADLINE (SDM 11.5.4.1)
 * @vcpu: the vCPU
 */
u64 mv_get_tsc_deadline(struct mv_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return 0;
	mv_apic_timer_check(vcpu);
	return vcpu->lapic->tsc_deadline;
}

/**
 * mv_set_tsc_deadline() - WRMSR of IA32_TSC_DEADLINE
 * @vcpu: the vCPU
 * @data: guest TSC; 0 disarms. In another mode nothing happens.
 * @client: does not matter
 *
 * Context: the vCPU's own, also inside the run section. Return: 0.
 */
int mv_set_tsc_deadline(struct mv_vcpu *vcpu, u64 data, bool client)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (!lapic || !is_deadline_mode(lapic))
		return 0;
	lapic->tsc_deadline = data;
	lapic->deadline = data ? mv_host_tsc(vcpu, data) : MV_NEVER;
	return 0;
}

/**
 * mv_apic_tsc_moved() - the guest's TSC was written, or runs at another rate
 * @vcpu: the vCPU
 */
void mv_apic_tsc_moved(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (lapic && lapic->tsc_deadline)
		lapic->deadline = mv_host_tsc(vcpu, lapic->tsc_deadline);
}

/**
 * mv_apic_timer_fire() - the deadline is past
 * @vcpu: the vCPU
 * @now: host TSC, not before lapic->deadline; whoever reads it again may have
 *	moved to a CPU whose TSC is a little behind
 *
 * A periodic timer goes on from its deadline, not from now: it does not drift.
 * Periods that nobody could take are one interrupt.
 *
 * Context: the vCPU's own, also inside the run section.
 */
void mv_apic_timer_fire(struct mv_vcpu *vcpu, u64 now)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 lvt = mv_apic_reg(lapic, APIC_LVTT);

	if (lapic->period)
		lapic->deadline += ((now - lapic->deadline) / lapic->period +
				    1) * lapic->period;
	else
		lapic->deadline = MV_NEVER;
	lapic->tsc_deadline = 0;
	if (!(lvt & APIC_LVT_MASKED))
		mv_apic_raise(vcpu, lvt);
}
EXPORT_SYMBOL_GPL(mv_apic_timer_fire);

/**
 * mv_apic_timer_check() - fire if it is time
 * @vcpu: the vCPU, with a local APIC
 *
 * Context: the vCPU's own.
 */
void mv_apic_timer_check(struct mv_vcpu *vcpu)
{
	u64 now = rdtsc();

	if (now >= vcpu->lapic->deadline)
		mv_apic_timer_fire(vcpu, now);
}

/**
 * mv_apic_timer_block() - have a blocked vCPU woken when its timer fires
 * @vcpu: the vCPU, about to block
 *
 * The host's clock is slewed, the TSC is not: it may be woken somewhat early,
 * and must come here again then.
 *
 * Context: process context. Return: false if there is nothing to undo.
 */
bool mv_apic_timer_block(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u64 tsc, now;

	if (lapic->deadline == MV_NEVER)
		return false;
	tsc = rdtsc();
	now = ktime_get_ns();
	if (lapic->deadline > tsc)
		now += min_t(u64, tsc_to_ns(lapic->deadline - tsc) + 1,
			     KTIME_MAX - now);
	hrtimer_start(&lapic->wake_timer, now, HRTIMER_MODE_ABS_HARD);
	return true;
}

/**
 * mv_apic_timer_unblock() - undo mv_apic_timer_block()
 * @vcpu: the vCPU
 */
void mv_apic_timer_unblock(struct mv_vcpu *vcpu)
{
	/* The deadline may be over by the TSC, and the wake-up still to come. */
	hrtimer_cancel(&vcpu->lapic->wake_timer);
}

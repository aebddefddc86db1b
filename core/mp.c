// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs: telling one something, INIT and SIPI, blocking and waking.
 *
 * The protocol between whoever has news for a vCPU and the vCPU is
 *
 *	the other CPU			the vCPU
 *	news (request, post)		vcpu->cpu = this CPU, or -1 again
 *	full barrier			full barrier
 *	look at vcpu->cpu		look for news
 *
 * so one of them sees the other. A vCPU that is in the guest gets an IPI, which
 * waits until the guest runs if interrupts are still off; one that is blocked is
 * woken; one that is anywhere else looks before it enters or blocks.
 */
#include <linux/export.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/smp.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>
#include <uapi/asm/debugreg.h>
#include "core.h"

/* Poll for as long as this before blocking, if that has paid off lately */
static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns,
		 "longest time in ns that a halted vCPU spins before it blocks");

#define POLL_START_NS	10000

/* ---- telling a vCPU ------------------------------------------------------------ */

/* The macro of this name, since 6.4, traces by what modules cannot reach. */
static void send_ipi(int cpu)
{
	void (*send)(int cpu) = smp_ops.smp_send_reschedule;

	send(cpu);
}

static void kick(struct mv_vcpu *vcpu, bool posted)
{
	int me = get_cpu(), cpu;

	/* the news before vcpu->cpu: see above */
	smp_mb__after_atomic();
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu < 0)
		rcuwait_wake_up(&vcpu->wait);
	else if (cpu != me && posted && mv_ops->notify)
		mv_ops->notify(cpu);
	else if (cpu != me)
		send_ipi(cpu);
	/* On this CPU it is the vCPU itself, which will look. */
	put_cpu();
}

/**
 * mv_kick_posted() - lapic->posted has news
 * @vcpu: the vCPU
 *
 * Context: any, after an atomic operation that made the news visible.
 */
void mv_kick_posted(struct mv_vcpu *vcpu)
{
	kick(vcpu, true);
}

/**
 * mv_request() - have a vCPU look at something before it enters the guest
 * @vcpu: the vCPU
 * @request: MV_REQ_*
 *
 * Context: any.
 */
void mv_request(struct mv_vcpu *vcpu, int request)
{
	if (!test_and_set_bit(request, &vcpu->requests))
		kick(vcpu, false);
}

/**
 * mv_eoi_vectors_changed() - all vCPUs know vm->eoi_vectors
 * @vm: the VM; eoi_gen has been raised
 *
 * Context: interrupts on. Returns when no vCPU is in a run section that began
 * before; they load the vectors when they enter the next.
 */
void mv_eoi_vectors_changed(struct mv_vm *vm)
{
	mv_leave_guest(vm);
}

/* ---- INIT, SIPI ------------------------------------------------------------------- */

static bool is_boot_cpu(const struct mv_vcpu *vcpu)
{
	return vcpu->apic_base & MSR_IA32_APICBASE_BSP;
}

/* SDM 9.4: the boot CPU starts over, the others wait for a SIPI. */
static void take_init(struct mv_vcpu *vcpu)
{
	mv_state_init(vcpu);
	mv_apic_reset(vcpu);
	vcpu->mp_state = is_boot_cpu(vcpu) ? MINIVMM_MP_STATE_RUNNABLE :
					     MINIVMM_MP_STATE_INIT_RECEIVED;
}

/* SDM 9.4.4.1: real mode, at the 4 KiB page that the vector says */
static void take_sipi(struct mv_vcpu *vcpu)
{
	u8 vector = READ_ONCE(vcpu->sipi_vector);

	if (vcpu->mp_state != MINIVMM_MP_STATE_INIT_RECEIVED)
		return;
	/* In this state NMIs are ignored, not held (SDM 9.4.2). */
	memset(&vcpu->ev.nmi, 0, sizeof(vcpu->ev.nmi));
	mv_need(vcpu, MV_STATE_CODE);
	vcpu->seg[MV_CS].selector = vector << 8;
	vcpu->seg[MV_CS].base = vector << 12;
	vcpu->rip = 0;
	vcpu->dirty |= MV_STATE_CODE | MV_STATE_RIP;
	vcpu->mp_state = MINIVMM_MP_STATE_RUNNABLE;
}

/* INIT first: a SIPI that came before it is for nobody, one after it counts. */
static void take_startup(struct mv_vcpu *vcpu)
{
	if (test_and_clear_bit(MV_REQ_INIT, &vcpu->requests))
		take_init(vcpu);
	if (test_and_clear_bit(MV_REQ_SIPI, &vcpu->requests))
		take_sipi(vcpu);
}

/**
 * mv_handle_requests() - do what others asked the vCPU for
 * @vcpu: the vCPU; vcpu->requests is not 0
 *
 * Return: as run-loop handlers do; 0: the client's I/O APIC has an EOI, or its
 * debugger a step.
 */
int mv_handle_requests(struct mv_vcpu *vcpu)
{
	if (test_and_clear_bit(MV_REQ_EVENT, &vcpu->requests)) {
		mv_pull_nmis(vcpu);
		vcpu->check_events = true;
	}
	if (test_and_clear_bit(MV_REQ_MSRS, &vcpu->requests))
		vcpu->dirty |= MV_STATE_CPUID;
	if (test_and_clear_bit(MV_REQ_APIC_PAGE, &vcpu->requests))
		mv_apic_page_leave(vcpu);
	if (test_and_clear_bit(MV_REQ_RESAMPLE, &vcpu->requests))
		mv_pic_resample(vcpu->vm);
	if (vcpu->lapic)
		take_startup(vcpu);
	/* One at a time for user space: the other waits for the next RUN. */
	if (test_and_clear_bit(MV_REQ_EOI, &vcpu->requests))
		return mv_irqchip_eoi(vcpu, vcpu->eoi_vector);
	if (test_and_clear_bit(MV_REQ_STEPPED, &vcpu->requests))
		return mv_exit_debug(vcpu, X86_TRAP_DB, DR_STEP);
	return 1;
}

/**
 * mv_get_mp_state() - MINIVMM_GET_MP_STATE
 * @vcpu: the vCPU
 */
u32 mv_get_mp_state(struct mv_vcpu *vcpu)
{
	if (vcpu->lapic)
		take_startup(vcpu);
	return vcpu->mp_state;
}

/**
 * mv_set_mp_state() - MINIVMM_SET_MP_STATE
 * @vcpu: the vCPU
 * @state: without a local APIC here, a vCPU is always runnable
 *
 * Return: 0 or -EINVAL.
 */
int mv_set_mp_state(struct mv_vcpu *vcpu, u32 state)
{
	if (!vcpu->lapic)
		return state == MINIVMM_MP_STATE_RUNNABLE ? 0 : -EINVAL;
	switch (state) {
	case MINIVMM_MP_STATE_RUNNABLE:
	case MINIVMM_MP_STATE_UNINITIALIZED:
	case MINIVMM_MP_STATE_INIT_RECEIVED:
	case MINIVMM_MP_STATE_HALTED:
		vcpu->mp_state = state;
		return 0;
	case MINIVMM_MP_STATE_SIPI_RECEIVED:
		vcpu->mp_state = MINIVMM_MP_STATE_INIT_RECEIVED;
		set_bit(MV_REQ_SIPI, &vcpu->requests);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- blocking ---------------------------------------------------------------------- */

/**
 * mv_interrupt_waits() - would a guest that has interrupts on take one now?
 * @vcpu: the vCPU, with a local APIC
 *
 * Context: the vCPU's own, also inside the run section.
 */
bool mv_interrupt_waits(struct mv_vcpu *vcpu)
{
	mv_apic_timer_check(vcpu);
	mv_apic_pull(vcpu);
	return mv_apic_pending(vcpu) >= 0 || mv_extint_pending(vcpu);
}
EXPORT_SYMBOL_GPL(mv_interrupt_waits);

/* What ends a HLT (SDM vol. 2, HLT); requests are looked at by themselves. */
static bool halt_ends(struct mv_vcpu *vcpu)
{
	const struct mv_events *ev = &vcpu->ev;

	if (ev->exception.pending || ev->exception.injected ||
	    ev->interrupt.queued || ev->nmi.injected)
		return true;
	if (ev->nmi.pending && !(vcpu->intr_shadow & MV_SHADOW_NMI))
		return true;
	return mv_interrupt_waits(vcpu) && (vcpu->rflags & X86_EFLAGS_IF);
}

/* Also true when there is something else to do than to wait. */
static bool wait_over(struct mv_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->requests))
		return true;
	if (vcpu->mp_state != MINIVMM_MP_STATE_HALTED || !halt_ends(vcpu))
		return false;
	vcpu->mp_state = MINIVMM_MP_STATE_RUNNABLE;
	return true;
}

/*
 * By the TSC, which costs less to read than the host's clock. If it jumps, so
 * does how long to poll, and nothing else; the division would trap if its result
 * did not fit.
 */
static u64 ns_since(u64 tsc)
{
	s64 ticks = rdtsc() - tsc;

	return ticks > 0 ? mul_u64_u32_div(ticks, USEC_PER_SEC, tsc_khz) : 0;
}

/* Waking costs more than a short spin. */
static bool poll(struct mv_vcpu *vcpu, u64 start)
{
	while (vcpu->poll_ns && !need_resched() && single_task_running()) {
		if (wait_over(vcpu))
			return true;
		if (ns_since(start) >= vcpu->poll_ns)
			break;
		cpu_relax();
	}
	return false;
}

/* The same, counted; @polled: ns */
static bool poll_first(struct mv_vcpu *vcpu, u64 start, u64 *polled)
{
	struct mv_vcpu_stats *stats = &vcpu->stats;
	bool over;

	*polled = 0;
	if (!vcpu->poll_ns)
		return false;
	over = poll(vcpu, start);
	*polled = ns_since(start);
	stats->halt_attempted_poll++;
	if (over) {
		stats->halt_successful_poll++;
		stats->halt_poll_success_ns += *polled;
	} else {
		stats->halt_poll_fail_ns += *polled;
	}
	return over;
}

/* A wait that a longer spin would have met makes it longer; a long one ends it. */
static void adapt_polling(struct mv_vcpu *vcpu, u64 waited)
{
	u64 limit = READ_ONCE(halt_poll_ns);

	if (waited > limit)
		vcpu->poll_ns = 0;
	else if (waited > vcpu->poll_ns)
		vcpu->poll_ns = clamp_t(u64, vcpu->poll_ns * 2,
					min_t(u64, POLL_START_NS, limit), limit);
}

/* Until the wait is over (true), or a signal comes */
static bool block(struct mv_vcpu *vcpu)
{
	bool timer = false, over;

	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		over = wait_over(vcpu);
		if (over || signal_pending(current))
			break;
		/* Each time: what woke us may have been the timer, too early. */
		timer |= mv_apic_timer_block(vcpu);
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
	if (timer)
		mv_apic_timer_unblock(vcpu);
	return over;
}

/**
 * mv_wait() - a vCPU that is not runnable waits until it may be
 * @vcpu: the vCPU, with a local APIC
 *
 * Return: 1: the run loop looks again.
 */
int mv_wait(struct mv_vcpu *vcpu)
{
	struct mv_vcpu_stats *stats = &vcpu->stats;
	u64 start = rdtsc(), polled, waited;

	if (poll_first(vcpu, start, &polled)) {
		adapt_polling(vcpu, polled);
		return 1;
	}
	WRITE_ONCE(stats->blocking, 1);
	stats->halt_wakeup += block(vcpu);
	WRITE_ONCE(stats->blocking, 0);
	waited = max(ns_since(start), polled);
	stats->halt_wait_ns += waited - polled;
	adapt_polling(vcpu, waited);
	return 1;
}

/* ---- spinning guests ------------------------------------------------------------------ */

/**
 * mv_set_thread() - this thread runs the vCPU from now on
 * @vcpu: the vCPU
 *
 * Context: may sleep, when it was another one before.
 */
void mv_set_thread(struct mv_vcpu *vcpu)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, true);
	struct pid *now = task_pid(current);

	if (likely(old == now))
		return;
	rcu_assign_pointer(vcpu->pid, get_pid(now));
	vcpu->steal.seen = MV_STEAL_UNKNOWN;
	if (old) {
		synchronize_rcu();
		put_pid(old);
	}
}

static bool yield_to_vcpu(struct mv_vcpu *vcpu)
{
	struct task_struct *task;
	bool yielded;

	rcu_read_lock();
	task = get_pid_task(rcu_dereference(vcpu->pid), PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return false;
	yielded = yield_to(task, true) > 0;
	put_task_struct(task);
	return yielded;
}

/**
 * mv_yield_to() - the guest wants another vCPU of its own to run
 * @vcpu: the one that asks
 * @id: the other's number; if it runs, waits or does not exist, nothing happens
 *
 * Return: 1: on with the guest.
 */
int mv_yield_to(struct mv_vcpu *vcpu, u32 id)
{
	struct mv_vcpu *other;

	if (id >= MV_MAX_VCPU_ID)
		return 1;
	id = array_index_nospec(id, MV_MAX_VCPU_ID);
	/* all of it, if it is there at all */
	other = smp_load_acquire(&vcpu->vm->vcpus[id]);
	if (other && other != vcpu && READ_ONCE(other->cpu) < 0 &&
	    !rcuwait_active(&other->wait))
		yield_to_vcpu(other);
	return 1;
}

/**
 * mv_yield() - the guest spins; let a vCPU run that may end that
 * @vcpu: the spinning one
 *
 * One that wants to run but was preempted, starting after the one that got the
 * CPU last time: whoever holds the lock comes to its turn.
 *
 * Return: 1: on with the guest.
 */
int mv_yield(struct mv_vcpu *vcpu)
{
	struct mv_vm *vm = vcpu->vm;
	u32 count = READ_ONCE(vm->max_id) + 1;
	u32 start = READ_ONCE(vm->last_yield);
	u32 i;

	for (i = 1; i <= count; i++) {
		u32 id = (start + i) % count;
		/* all of it, if it is there at all */
		struct mv_vcpu *other = smp_load_acquire(&vm->vcpus[id]);

		if (!other || other == vcpu || READ_ONCE(other->cpu) >= 0 ||
		    rcuwait_active(&other->wait))
			continue;
		vcpu->stats.directed_yield_attempted++;
		if (yield_to_vcpu(other)) {
			vcpu->stats.directed_yield_successful++;
			WRITE_ONCE(vm->last_yield, id);
			break;
		}
	}
	return 1;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits to be delivered to the guest, and how events combine.
 */
#include <linux/export.h>
#include <linux/string.h>
#include <uapi/asm/debugreg.h>
#include <asm/trapnr.h>
#include <asm/processor-flags.h>
#include "core.h"

/* SDM 6.15, "Interrupt 8": what makes a double fault of two exceptions */
enum exception_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum exception_class exception_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_PF:
		return PAGE_FAULT;
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

static void set_exception(struct mv_vcpu *vcpu, u8 vector, bool has_error,
			  u32 error)
{
	vcpu->ev.exception.pending = true;
	vcpu->ev.exception.injected = false;
	vcpu->ev.exception.soft = false;
	vcpu->ev.exception.vector = vector;
	vcpu->ev.exception.has_error = has_error;
	vcpu->ev.exception.error = error;
	/* An INT n that was cut short is executed again after the handler. */
	if (vcpu->ev.interrupt.soft)
		vcpu->ev.interrupt.queued = false;
	vcpu->ev.interrupt.soft = false;
	vcpu->check_events = true;
}

/**
 * mv_queue_exception() - the guest gets an exception before it goes on
 * @vcpu: the vCPU
 * @vector: 0 to 31, not 2
 * @has_error: the exception pushes an error code
 * @error: that code
 *
 * If one is on its way already the two make a double fault, a triple fault, or
 * the second takes the first one's place (SDM table 6-5).
 *
 * Context: any, also inside the run section.
 */
void mv_queue_exception(struct mv_vcpu *vcpu, u8 vector, bool has_error,
			u32 error)
{
	bool busy = vcpu->ev.exception.pending | vcpu->ev.exception.injected;
	u8 first = vcpu->ev.exception.vector;
	enum exception_class was = exception_class(first);
	enum exception_class is = exception_class(vector);

	if (busy && first == X86_TRAP_DF && is != BENIGN)
		vcpu->ev.triple_fault = true;
	else if (busy && ((was == CONTRIBUTORY && is == CONTRIBUTORY) ||
			  (was == PAGE_FAULT && is != BENIGN)))
		set_exception(vcpu, X86_TRAP_DF, true, 0);
	else
		set_exception(vcpu, vector, has_error, error);
}
EXPORT_SYMBOL_GPL(mv_queue_exception);

/**
 * mv_queue_fault() - the same, for what a walk or a check found
 * @vcpu: the vCPU
 * @fault: with the address for CR2 if it is a page fault
 */
void mv_queue_fault(struct mv_vcpu *vcpu, const struct mv_fault *fault)
{
	if (fault->vector == X86_TRAP_PF)
		vcpu->cr2 = fault->address;
	mv_queue_exception(vcpu, fault->vector, fault->has_error, fault->error);
}

/**
 * mv_queue_db() - the guest gets a debug exception
 * @vcpu: the vCPU
 * @dr6: what happened: DR_TRAP0 to DR_TRAP3, DR_STEP, MV_DR6_BD
 *
 * The breakpoint bits say what holds now, the others pile up until the guest
 * clears them; general detect goes off (SDM 18.2.3, 18.2.4).
 *
 * Context: any, also inside the run section.
 */
void mv_queue_db(struct mv_vcpu *vcpu, u64 dr6)
{
	vcpu->dr6 = (vcpu->dr6 & ~(u64)DR_TRAP_BITS) | dr6 | MV_DR6_FIXED;
	if (vcpu->dr7 & MV_DR7_GD) {
		vcpu->dr7 &= ~MV_DR7_GD;
		vcpu->dirty |= MV_STATE_DR7;
	}
	mv_queue_exception(vcpu, X86_TRAP_DB, false, 0);
}
EXPORT_SYMBOL_GPL(mv_queue_db);

/**
 * mv_ready_for_interrupt() - would an interrupt queued now go in at once?
 * @vcpu: not in the run section
 */
bool mv_ready_for_interrupt(struct mv_vcpu *vcpu)
{
	const struct mv_events *ev = &vcpu->ev;

	return (vcpu->rflags & X86_EFLAGS_IF) &&
	       !(vcpu->intr_shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS)) &&
	       !ev->interrupt.queued && !ev->exception.pending &&
	       !ev->exception.injected && !ev->nmi.injected;
}

/* The client's 8259 pair is in front of a local APIC. */
static int queue_extint(struct mv_vcpu *vcpu, u32 vector)
{
	if (vcpu->vm->irqchip == MV_IRQCHIP_KERNEL)
		return -ENXIO;
	if (vcpu->extint >= 0)
		return -EEXIST;
	vcpu->extint = vector;
	vcpu->check_events = true;
	return 0;
}

/**
 * mv_queue_interrupt() - MINIVMM_INTERRUPT
 * @vcpu: the vCPU
 * @vector: 0 to 255
 *
 * It goes in when the guest can take it. Of two, the later counts, as the
 * client's interrupt chip would have it.
 *
 * Return: 0; -EINVAL; with a local APIC here, -EEXIST if one waits already, or
 * -ENXIO if the 8259 pair is here as well.
 */
int mv_queue_interrupt(struct mv_vcpu *vcpu, u32 vector)
{
	if (vector >= MINIVMM_NR_INTERRUPTS)
		return -EINVAL;
	if (vcpu->lapic)
		return queue_extint(vcpu, vector);
	vcpu->ev.interrupt.queued = true;
	vcpu->ev.interrupt.soft = false;
	vcpu->ev.interrupt.vector = vector;
	vcpu->check_events = true;
	return 0;
}

/* One NMI may wait while another is being handled (SDM 6.7.1). */
static u8 nmi_limit(const struct mv_vcpu *vcpu)
{
	return (vcpu->intr_shadow & MV_SHADOW_NMI) || vcpu->ev.nmi.injected ?
	       1 : 2;
}

void mv_queue_nmi(struct mv_vcpu *vcpu)
{
	if (vcpu->ev.nmi.pending < nmi_limit(vcpu))
		vcpu->ev.nmi.pending++;
	vcpu->check_events = true;
}

/* NMIs that others sent, since the last look */
void mv_pull_nmis(struct mv_vcpu *vcpu)
{
	int n = atomic_xchg(&vcpu->nmis, 0);

	while (n--)
		mv_queue_nmi(vcpu);
}

/*
 * An interrupt of the client's 8259 pair that waits was acknowledged there: a
 * client that saves state must get it back as one that is being delivered.
 */
static void get_interrupt(const struct mv_vcpu *vcpu,
			  struct minivmm_vcpu_events *events)
{
	const struct mv_events *ev = &vcpu->ev;

	events->interrupt.injected = ev->interrupt.queued &&
				     !ev->interrupt.soft;
	events->interrupt.nr = ev->interrupt.vector;
	if (!ev->interrupt.queued && vcpu->extint >= 0) {
		events->interrupt.injected = true;
		events->interrupt.nr = vcpu->extint;
	}
}

#define EVENT_FLAGS	(MINIVMM_VCPUEVENT_VALID_NMI_PENDING | \
			 MINIVMM_VCPUEVENT_VALID_SIPI_VECTOR | \
			 MINIVMM_VCPUEVENT_VALID_SHADOW)

/*
 * Soft events are not reported: the interface has no room for the instruction
 * length they need, and executing the instruction again raises them again.
 */
void mv_get_events(struct mv_vcpu *vcpu, struct minivmm_vcpu_events *events)
{
	const struct mv_events *ev = &vcpu->ev;

	mv_pull_nmis(vcpu);
	memset(events, 0, sizeof(*events));
	if (!ev->exception.soft) {
		events->exception.injected = ev->exception.injected |
					     ev->exception.pending;
		events->exception.pending = ev->exception.pending;
	}
	events->exception.nr = ev->exception.vector;
	events->exception.has_error_code = ev->exception.has_error;
	events->exception.error_code = ev->exception.error;

	get_interrupt(vcpu, events);
	if (vcpu->intr_shadow & MV_SHADOW_STI)
		events->interrupt.shadow |= MINIVMM_X86_SHADOW_INT_STI;
	if (vcpu->intr_shadow & MV_SHADOW_MOVSS)
		events->interrupt.shadow |= MINIVMM_X86_SHADOW_INT_MOV_SS;

	events->nmi.injected = ev->nmi.injected;
	events->nmi.pending = ev->nmi.pending;
	events->nmi.masked = !!(vcpu->intr_shadow & MV_SHADOW_NMI);
	events->sipi_vector = vcpu->sipi_vector;
	events->flags = MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
			MINIVMM_VCPUEVENT_VALID_SHADOW;
	if (vcpu->lapic)
		events->flags |= MINIVMM_VCPUEVENT_VALID_SIPI_VECTOR;
	if (READ_ONCE(vcpu->vm->triple_fault_event)) {
		events->flags |= MINIVMM_VCPUEVENT_VALID_TRIPLE_FAULT;
		events->triple_fault.pending = ev->triple_fault;
	}
}

static u32 shadow_from(struct mv_vcpu *vcpu,
		       const struct minivmm_vcpu_events *events)
{
	u32 shadow = vcpu->intr_shadow;

	if (events->flags & MINIVMM_VCPUEVENT_VALID_SHADOW) {
		shadow &= ~(MV_SHADOW_STI | MV_SHADOW_MOVSS);
		if (events->interrupt.shadow & MINIVMM_X86_SHADOW_INT_STI)
			shadow |= MV_SHADOW_STI;
		if (events->interrupt.shadow & MINIVMM_X86_SHADOW_INT_MOV_SS)
			shadow |= MV_SHADOW_MOVSS;
	}
	shadow &= ~MV_SHADOW_NMI;
	if (events->nmi.masked)
		shadow |= MV_SHADOW_NMI;
	return shadow;
}

/**
 * mv_valid_events() - would mv_set_events() take these?
 * @vcpu: the vCPU
 * @events: from the client
 */
bool mv_valid_events(struct mv_vcpu *vcpu,
		     const struct minivmm_vcpu_events *events)
{
	u32 flags = EVENT_FLAGS;

	if (READ_ONCE(vcpu->vm->triple_fault_event))
		flags |= MINIVMM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (events->flags & ~flags)
		return false;
	if (!events->exception.injected && !events->exception.pending)
		return true;
	return events->exception.nr <= 31 &&
	       events->exception.nr != X86_TRAP_NMI;
}

/**
 * mv_set_events() - MINIVMM_SET_VCPU_EVENTS
 * @vcpu: the vCPU
 * @events: what waits from now on; SMM does not exist here
 *
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_set_events(struct mv_vcpu *vcpu,
		  const struct minivmm_vcpu_events *events)
{
	struct mv_events *ev = &vcpu->ev;

	if (!mv_valid_events(vcpu, events))
		return -EINVAL;

	ev->exception.injected = events->exception.injected;
	ev->exception.pending = false;
	ev->exception.soft = false;
	ev->exception.vector = events->exception.nr;
	if (ev->exception.injected && ev->exception.vector == X86_TRAP_BP)
		mv_set_bp_len(vcpu);
	ev->exception.has_error = events->exception.has_error_code;
	ev->exception.error = events->exception.error_code;
	vcpu->extint = -1;
	ev->interrupt.queued = events->interrupt.injected;
	ev->interrupt.soft = false;
	ev->interrupt.vector = events->interrupt.nr;
	ev->nmi.injected = events->nmi.injected;
	if (events->flags & MINIVMM_VCPUEVENT_VALID_SIPI_VECTOR)
		vcpu->sipi_vector = events->sipi_vector;
	vcpu->intr_shadow = shadow_from(vcpu, events);
	if (events->flags & MINIVMM_VCPUEVENT_VALID_NMI_PENDING) {
		/* with those that others sent before, as GET_VCPU_EVENTS has them */
		atomic_set(&vcpu->nmis, 0);
		ev->nmi.pending = min(events->nmi.pending, nmi_limit(vcpu));
	}
	if (events->flags & MINIVMM_VCPUEVENT_VALID_TRIPLE_FAULT)
		ev->triple_fault = events->triple_fault.pending;
	vcpu->dirty |= MV_STATE_SHADOW;
	vcpu->check_events = true;
	return 0;
}

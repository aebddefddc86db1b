// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivering events to the guest: exceptions, NMIs, interrupts.
 *
 * VM entry delivers at most one event (SDM 27.6). If the guest exits before
 * the delivery is over, the IDT-vectoring field says so (SDM 28.2.4), and the
 * same event goes in again at the next entry. What must wait is announced with
 * an interrupt or NMI window.
 */
#include <asm/trapnr.h>
#include <asm/processor-flags.h>
#include "hw.h"
#include "trace.h"
#include "vmx.h"

/**
 * vmx_set_window() - ask, or stop asking, for an exit when the guest is ready
 * @vcpu: its VMCS is current
 * @control: CPU_BASED_INTR_WINDOW_EXITING, CPU_BASED_NMI_WINDOW_EXITING, or for
 *	after the next instruction, CPU_BASED_MONITOR_TRAP_FLAG
 * @on: ask
 */
void vmx_set_window(struct mv_vcpu *vcpu, u32 control, bool on)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 primary = on ? vmx->primary | control : vmx->primary & ~control;

	if (primary == vmx->primary)
		return;
	vmx->primary = primary;
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, primary);
}

static void inject(struct mv_vcpu *vcpu, enum vmx_injecting what, u32 info)
{
	to_vmx(vcpu)->injecting = what;
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info | INTR_INFO_VALID_MASK);
}

/* Real mode has no error codes, and VM entry refuses one there (SDM 27.2.1.3) */
static bool error_code_allowed(void)
{
	return vmcs_read(GUEST_CR0) & X86_CR0_PE;
}

static void inject_exception(struct mv_vcpu *vcpu)
{
	const struct mv_events *ev = &vcpu->ev;
	u32 info = ev->exception.vector;

	if (ev->exception.soft) {
		info |= ev->exception.vector == X86_TRAP_DB ?
			INTR_TYPE_PRIV_SW_EXCEPTION : INTR_TYPE_SOFT_EXCEPTION;
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, ev->insn_len);
	} else {
		info |= INTR_TYPE_HARD_EXCEPTION;
	}
	if (ev->exception.has_error && error_code_allowed()) {
		vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, ev->exception.error);
		info |= INTR_INFO_DELIVER_CODE_MASK;
	}
	inject(vcpu, VMX_INJ_EXCEPTION, info);
}

static void inject_interrupt(struct mv_vcpu *vcpu)
{
	const struct mv_events *ev = &vcpu->ev;
	u32 info = ev->interrupt.vector | INTR_TYPE_EXT_INTR;

	if (ev->interrupt.soft) {
		info = ev->interrupt.vector | INTR_TYPE_SOFT_INTR;
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, ev->insn_len);
	}
	vcpu->stats.irq_injections++;
	trace_minivmm_inj_virq(ev->interrupt.vector, ev->interrupt.soft);
	inject(vcpu, VMX_INJ_IRQ, info);
}

static bool interrupt_allowed(u32 shadow)
{
	return !(shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS)) &&
	       (vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_IF);
}

/*
 * A fault pushes RF = 1, so that a breakpoint on the instruction does not
 * trigger a second time (SDM 18.3.1.1); an entry pushes RF as it is (27.6.1.1).
 * One that is delivered again has it already. #DB, #BP and #OF are traps here.
 */
static void set_resume_flag(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DB:
	case X86_TRAP_BP:
	case X86_TRAP_OF:
	case X86_TRAP_DF:
	case X86_TRAP_MC:
		return;
	}
	vmcs_write(GUEST_RFLAGS, vmcs_read(GUEST_RFLAGS) | X86_EFLAGS_RF);
}

/*
 * Picks what goes in now. An exception belongs to the instruction before all
 * else; of an NMI and an interrupt the NMI has priority (SDM 6.9).
 */
static void inject_first(struct mv_vcpu *vcpu, u32 shadow)
{
	struct mv_events *ev = &vcpu->ev;

	if (ev->exception.pending || ev->exception.injected) {
		trace_minivmm_inj_exception(ev->exception.vector,
					    ev->exception.has_error,
					    ev->exception.error,
					    ev->exception.injected);
		if (ev->exception.pending)
			set_resume_flag(ev->exception.vector);
		ev->exception.pending = false;
		ev->exception.injected = true;
		inject_exception(vcpu);
		return;
	}
	/* It was being delivered already; an NMI now would come too early. */
	if (ev->interrupt.queued && ev->interrupt.soft && !ev->nmi.injected) {
		inject_interrupt(vcpu);
		return;
	}
	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_BLOCKIRQ) && !ev->nmi.injected)
		return;
	if (ev->nmi.pending && !ev->nmi.injected &&
	    !(shadow & (MV_SHADOW_NMI | MV_SHADOW_STI | MV_SHADOW_MOVSS))) {
		ev->nmi.pending--;
		ev->nmi.injected = true;
	}
	if (ev->nmi.injected) {
		vcpu->stats.nmi_injections++;
		inject(vcpu, VMX_INJ_NMI, INTR_TYPE_NMI_INTR | X86_TRAP_NMI);
		return;
	}
	if (!ev->interrupt.queued && !vmx_apic_waits(vcpu))
		return;
	if (!interrupt_allowed(shadow))
		return;
	if (!ev->interrupt.queued) {
		if (!vmx_apic_take(vcpu))
			return;
		/* Others hear of it first: the window that it needs is open. */
		if (unlikely(test_bit(MV_REQ_RESAMPLE, &vcpu->requests)))
			return;
	}
	inject_interrupt(vcpu);
}

/**
 * vmx_inject() - put the next event into the VMCS, open windows for the rest
 * @vcpu: its VMCS is current
 */
void vmx_inject(struct mv_vcpu *vcpu)
{
	const struct mv_events *ev = &vcpu->ev;
	u32 shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	/* Whoever holds events back will say when they may go in. */
	bool blocked = mv_debugging(vcpu, MINIVMM_GUESTDBG_BLOCKIRQ);
	bool nmi_waits, irq_waits;
	enum vmx_injecting now;

	vcpu->check_events = false;
	inject_first(vcpu, shadow);
	now = to_vmx(vcpu)->injecting;
	/* Few events can be injected into a CPU that is in a HLT (SDM 27.3.1.5). */
	if (vmx_hlt_in_guest(vcpu) && now)
		vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	nmi_waits = (ev->nmi.pending && !blocked) ||
		    (ev->nmi.injected && now != VMX_INJ_NMI);
	irq_waits = (ev->interrupt.queued && now != VMX_INJ_IRQ) ||
		    vmx_apic_waits(vcpu);
	/* The client hears of a window when it can use it. */
	if (blocked)
		irq_waits = vcpu->want_window && !ev->interrupt.queued;
	else
		irq_waits |= vcpu->want_window;
	vmx_apic_set_threshold(vcpu);
	/* An STI's shadow does not close the NMI window, but it ends with IF=1. */
	vmx_set_window(vcpu, CPU_BASED_NMI_WINDOW_EXITING,
		       nmi_waits && !(shadow & MV_SHADOW_STI));
	vmx_set_window(vcpu, CPU_BASED_INTR_WINDOW_EXITING,
		       irq_waits ||
		       (nmi_waits && (shadow & MV_SHADOW_STI)));
}

/**
 * vmx_injected() - the entry succeeded, and with it took the event
 * @vcpu: the vCPU
 */
void vmx_injected(struct mv_vcpu *vcpu)
{
	struct mv_events *ev = &vcpu->ev;

	switch (to_vmx(vcpu)->injecting) {
	case VMX_INJ_EXCEPTION:
		ev->exception.injected = false;
		break;
	case VMX_INJ_NMI:
		ev->nmi.injected = false;
		break;
	case VMX_INJ_IRQ:
		ev->interrupt.queued = false;
		break;
	}
	to_vmx(vcpu)->injecting = VMX_INJ_NONE;
}

static void requeue_exception(struct mv_vcpu *vcpu, u32 info, bool soft)
{
	struct mv_events *ev = &vcpu->ev;

	ev->exception.injected = true;
	ev->exception.pending = false;
	ev->exception.soft = soft;
	ev->exception.vector = info & INTR_INFO_VECTOR_MASK;
	ev->exception.has_error = info & INTR_INFO_DELIVER_CODE_MASK;
	ev->exception.error = 0;
	if (ev->exception.has_error)
		ev->exception.error = vmcs_read(IDT_VECTORING_ERROR_CODE);
	if (soft)
		ev->insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

static void requeue_interrupt(struct mv_vcpu *vcpu, u32 info, bool soft)
{
	struct mv_events *ev = &vcpu->ev;

	ev->interrupt.queued = true;
	ev->interrupt.soft = soft;
	ev->interrupt.vector = info & INTR_INFO_VECTOR_MASK;
	if (soft)
		ev->insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

/**
 * vmx_requeue() - take back an event whose delivery the exit cut short
 * @vcpu: its VMCS is current; vcpu->exit.vectoring says whether there was one
 *
 * An NMI was blocking NMIs when it was interrupted; it must not block itself
 * the second time (SDM 31.7.1.2).
 */
void vmx_requeue(struct mv_vcpu *vcpu)
{
	u32 info = vmcs_read(IDT_VECTORING_INFO_FIELD);

	vcpu->exit.vectoring = info & VECTORING_INFO_VALID_MASK;
	if (!vcpu->exit.vectoring)
		return;

	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		vcpu->ev.nmi.injected = true;
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO,
			   vmcs_read(GUEST_INTERRUPTIBILITY_INFO) &
			   ~GUEST_INTR_STATE_NMI);
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		requeue_exception(vcpu, info, false);
		break;
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		requeue_exception(vcpu, info, true);
		break;
	case INTR_TYPE_EXT_INTR:
		requeue_interrupt(vcpu, info, false);
		break;
	case INTR_TYPE_SOFT_INTR:
		requeue_interrupt(vcpu, info, true);
		break;
	}
	vcpu->check_events = true;
}

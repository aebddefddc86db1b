// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's debugger: single steps, breakpoints, exceptions it gives.
 *
 * It is kept apart from what the guest does with its own TF and debug registers.
 * The CPU stops after an instruction that it has executed; one that we emulate
 * says so itself, by mv_step_over(), and the run loop stops before the next.
 */
#include <linux/string.h>
#include <asm/trapnr.h>
#include "core.h"

#define INJECT_FLAGS	(MINIVMM_GUESTDBG_INJECT_DB | MINIVMM_GUESTDBG_INJECT_BP)

/**
 * mv_set_bp_len() - the #BP that waits is that of an INT3
 * @vcpu: its return address is behind the instruction, which was executed or
 *	shown to the debugger
 */
void mv_set_bp_len(struct mv_vcpu *vcpu)
{
	vcpu->ev.exception.soft = true;
	vcpu->ev.insn_len = vcpu->debug.bp_len ?: 1;
}

static void inject(struct mv_vcpu *vcpu, u32 control)
{
	if (control & MINIVMM_GUESTDBG_INJECT_DB) {
		mv_queue_exception(vcpu, X86_TRAP_DB, false, 0);
	} else {
		mv_queue_exception(vcpu, X86_TRAP_BP, false, 0);
		mv_set_bp_len(vcpu);
	}
}

/**
 * mv_set_guest_debug() - MINIVMM_SET_GUEST_DEBUG
 * @vcpu: the vCPU
 * @dbg: what the debugger wants from now on
 *
 * Return: 0; -EINVAL for unknown flags, -EBUSY if an exception waits before the
 * one to inject; nothing changed then.
 */
int mv_set_guest_debug(struct mv_vcpu *vcpu,
		       const struct minivmm_guest_debug *dbg)
{
	u32 control = dbg->control & ~INJECT_FLAGS;

	if (dbg->control & ~MV_DEBUG_FLAGS)
		return -EINVAL;
	if ((dbg->control & INJECT_FLAGS) &&
	    (vcpu->ev.exception.pending || vcpu->ev.triple_fault))
		return -EBUSY;

	if (dbg->control & INJECT_FLAGS)
		inject(vcpu, dbg->control);
	if (!(control & MINIVMM_GUESTDBG_ENABLE))
		control = 0;
	vcpu->debug.control = control;
	if (control & MINIVMM_GUESTDBG_USE_HW_BP) {
		memcpy(vcpu->debug.dr, dbg->arch.debugreg,
		       sizeof(vcpu->debug.dr));
		vcpu->debug.dr7 = (dbg->arch.debugreg[7] & MV_DR7_VOLATILE) |
				  MV_DR7_FIXED;
	}
	clear_bit(MV_REQ_STEPPED, &vcpu->requests);
	vcpu->dirty |= MV_STATE_DEBUG | MV_STATE_DR7;
	/* Interrupts that were held back, by us or by the CPU, may go in. */
	vcpu->check_events = true;
	if (vcpu->lapic)
		vcpu->lapic->changed = true;
	return 0;
}

static u64 linear_rip(struct mv_vcpu *vcpu)
{
	mv_need(vcpu, MV_STATE_SEGS);
	if (mv_is_64bit(vcpu))
		return vcpu->rip;
	return (u32)(vcpu->seg[MV_CS].base + vcpu->rip);
}

/**
 * mv_exit_debug() - something for the debugger
 * @vcpu: the vCPU
 * @vector: #DB or #BP
 * @dr6: what happened: DR_TRAP0 to DR_TRAP3, DR_STEP, MV_DR6_BD
 *
 * Context: outside the run section.
 * Return: 0, as run-loop handlers do.
 */
int mv_exit_debug(struct mv_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct minivmm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	arch->exception = vector;
	arch->pad = 0;
	arch->pc = linear_rip(vcpu);
	arch->dr6 = dr6 | MV_DR6_FIXED;
	arch->dr7 = mv_live_dr7(vcpu);
	vcpu->run->exit_reason = MINIVMM_EXIT_DEBUG;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls: KVM's numbers, arguments and results. Those that are not here
 * answer -KVM_ENOSYS, and CPUID does not offer them.
 *
 * The instruction differs between vendors: VMCALL (0f 01 c1) on Intel's CPUs,
 * VMMCALL (0f 01 d9) on AMD's, and the other one is #UD. Guests that chose by
 * the CPU they were installed on get theirs mended, as from KVM.
 */
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include <uapi/asm/kvm_para.h>
#include <uapi/linux/kvm_para.h>
#include "core.h"

#define HYPERCALL_LEN	3

/**
 * mv_hypercall_features() - the bits of CPUID leaf 0x40000001, EAX
 */
u32 mv_hypercall_features(void)
{
	return BIT(KVM_FEATURE_PV_SCHED_YIELD);
}

/**
 * mv_hypercall() - the guest executed the hypercall instruction
 * @vcpu: RAX says what it wants, RBX, RCX, RDX, RSI are the arguments; the
 *	answer goes to RAX
 * @cpl: its privilege level
 * @is_64bit: it is in 64-bit mode; otherwise all have 32 bits
 *
 * Does not skip the instruction.
 *
 * Context: inside the run section.
 * Return: true if the back end is to leave with MV_EXIT_YIELD.
 */
bool mv_hypercall(struct mv_vcpu *vcpu, unsigned int cpl, bool is_64bit)
{
	u64 number = vcpu->regs[MV_RAX], arg = vcpu->regs[MV_RBX];
	s64 answer = -KVM_ENOSYS;
	bool yield = false;

	if (!is_64bit) {
		number = (u32)number;
		arg = (u32)arg;
	}
	if (cpl) {
		answer = -KVM_EPERM;
	} else if (number == KVM_HC_VAPIC_POLL_IRQ) {
		answer = 0;	/* the exit itself was what it is for */
	} else if (number == KVM_HC_SCHED_YIELD &&
		   mv_guest_has_pv(vcpu, BIT(KVM_FEATURE_PV_SCHED_YIELD))) {
		answer = 0;
		yield = true;
		vcpu->exit.yield_to = arg;
	}
	vcpu->regs[MV_RAX] = is_64bit ? (u64)answer : (u32)answer;
	return yield;
}
EXPORT_SYMBOL_GPL(mv_hypercall);

static int ud(struct mv_vcpu *vcpu)
{
	mv_queue_exception(vcpu, X86_TRAP_UD, false, 0);
	return 1;
}

/* They differ in the last byte alone, so the guest sees either one or the other. */
static int mend(struct mv_vcpu *vcpu)
{
	u32 access = mv_cpl_access(vcpu) | MV_ACCESS_WRITE;
	u64 gva = vcpu->rip + HYPERCALL_LEN - 1;
	struct mv_fault fault;
	int ret;

	if (!mv_is_64bit(vcpu))
		gva = (u32)(gva + vcpu->seg[MV_CS].base);
	ret = mv_write_gva(vcpu, gva, &mv_ops->caps.hypercall, 1, access,
			   &fault);
	if (ret == -EFAULT)
		mv_queue_fault(vcpu, &fault);
	else if (ret)
		return ud(vcpu);
	return 1;
}

/**
 * mv_handle_ud() - the guest executed what its CPU does not know
 * @vcpu: the vCPU
 *
 * The other vendor's hypercall is rewritten and executed again, unless the
 * client said that it should not; all else gets #UD.
 */
int mv_handle_ud(struct mv_vcpu *vcpu)
{
	u8 insn[HYPERCALL_LEN];
	struct mv_fault fault;

	if (READ_ONCE(vcpu->vm->disabled_quirks) &
	    MINIVMM_X86_QUIRK_FIX_HYPERCALL_INSN)
		return ud(vcpu);
	if (mv_fetch_insn(vcpu, insn, sizeof(insn), &fault) != sizeof(insn))
		return ud(vcpu);
	if (insn[0] != 0x0f || insn[1] != 0x01 ||
	    (insn[2] != 0xc1 && insn[2] != 0xd9) ||
	    insn[2] == mv_ops->caps.hypercall)
		return ud(vcpu);
	return mend(vcpu);
}

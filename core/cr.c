// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control, debug and extended control registers: which values are possible,
 * and the guest's own accesses to them (SDM 2.5, 2.6, 18.2).
 */
#include <linux/bits.h>
#include <uapi/asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "core.h"

#define CR0_WRITABLE	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | \
			 X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | \
			 X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* A change of one of these makes cached translations wrong (SDM 4.10.4.1) */
#define CR4_TLB_BITS	(X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | \
			 X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP | \
			 X86_CR4_PKE)
/* … and with PAE paging one of these has the CPU read the PDPTEs (4.4.1) */
#define CR0_PDPTE_BITS	(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_PDPTE_BITS	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | \
			 X86_CR4_SMEP)
#define PDPTE_PRESENT	BIT_ULL(0)
#define PDPTE_RESERVED	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))

static int inject_gp(struct mv_vcpu *vcpu)
{
	mv_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return 1;
}

/* What of a value arrives in CR0: reserved bits stay clear, ET stays set */
u64 mv_cr0_bits(u64 cr0)
{
	return (cr0 & CR0_WRITABLE) | X86_CR0_ET;
}

/* CR0: nothing in the upper half, no paging unprotected, no NW without CD */
bool mv_valid_cr0(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE))
		return false;
	return !(cr0 & X86_CR0_NW) || (cr0 & X86_CR0_CD);
}

/* CR4: only bits whose features the guest's CPUID has */
bool mv_valid_cr4(struct mv_vcpu *vcpu, u64 cr4)
{
	return !(cr4 & ~vcpu->cpuid.cr4_allowed);
}

/* EFER: what a client may set; the guest's own writes obey its CPUID too */
bool mv_valid_efer(u64 efer)
{
	return !(efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX));
}

/* SDM 13.3: x87 always; AVX needs SSE; the AVX-512 states only together */
bool mv_valid_xcr0(struct mv_vcpu *vcpu, u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;
	/* x87 is always on: clients set it also for guests without XSAVE. */
	u64 possible = vcpu->fpu_features | XFEATURE_MASK_FP;

	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~possible))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 &&
			   (xcr0 & XFEATURE_MASK_YMM));
}

/**
 * mv_load_pdptrs() - read the four PDPTEs that PAE paging keeps in the CPU
 * @vcpu: CR3 points at them; register groups are valid
 *
 * Context: may sleep.
 * Return: false if a present one has reserved bits set, or there is no memory;
 * vcpu->pdptr is unchanged then.
 */
bool mv_load_pdptrs(struct mv_vcpu *vcpu)
{
	u64 reserved = PDPTE_RESERVED | ~(BIT_ULL(vcpu->cpuid.maxphyaddr) - 1);
	u64 pdptr[4];
	int i;

	if (mv_read_gpa(vcpu, vcpu->cr3 & GENMASK(31, 5), pdptr, sizeof(pdptr)))
		return false;
	for (i = 0; i < 4; i++)
		if ((pdptr[i] & PDPTE_PRESENT) && (pdptr[i] & reserved))
			return false;
	memcpy(vcpu->pdptr, pdptr, sizeof(pdptr));
	vcpu->dirty |= MV_STATE_CRS;
	return true;
}

/* Is this new value of CR0 allowed in the mode the guest is in? (SDM 2.5) */
static bool cr0_allowed(struct mv_vcpu *vcpu, u64 cr0)
{
	u64 changed = vcpu->cr0 ^ cr0;

	if (!mv_valid_cr0(cr0))
		return false;
	if (!(changed & X86_CR0_PG))
		return true;
	if (cr0 & X86_CR0_PG)
		return !(vcpu->efer & EFER_LME) ||
		       ((vcpu->cr4 & X86_CR4_PAE) &&
			!(vcpu->seg[MV_CS].ar & MV_AR_L));
	return !mv_is_64bit(vcpu) && !(vcpu->cr4 & X86_CR4_PCIDE);
}

/*
 * Paging goes on or off in IA-32e mode. A 16-bit TSS is impossible there; the
 * CPU would refuse the guest's state.
 */
static void switch_lma(struct mv_vcpu *vcpu, bool on)
{
	struct mv_segment *tr = &vcpu->seg[MV_TR];

	if (on) {
		vcpu->efer |= EFER_LMA;
		tr->ar = (tr->ar & ~MV_AR_TYPE) | 11;
		vcpu->dirty |= MV_STATE_TABLES;
	} else {
		vcpu->efer &= ~(u64)EFER_LMA;
	}
	vcpu->dirty |= MV_STATE_SYSCALL;
}

static bool set_cr0(struct mv_vcpu *vcpu, u64 cr0)
{
	u64 old = vcpu->cr0, changed;

	if (!cr0_allowed(vcpu, cr0))
		return false;
	cr0 = mv_cr0_bits(cr0);
	changed = old ^ cr0;
	vcpu->cr0 = cr0;
	if (!(vcpu->efer & EFER_LME) && mv_pae_paging(vcpu) &&
	    (changed & CR0_PDPTE_BITS) && !mv_load_pdptrs(vcpu)) {
		vcpu->cr0 = old;
		return false;
	}
	if ((changed & X86_CR0_PG) && (vcpu->efer & EFER_LME))
		switch_lma(vcpu, cr0 & X86_CR0_PG);
	vcpu->dirty |= MV_STATE_CRS;
	if (changed & (X86_CR0_PG | X86_CR0_WP))
		vcpu->dirty |= MV_STATE_TLB;
	return true;
}

static bool cr4_allowed(struct mv_vcpu *vcpu, u64 cr4)
{
	bool pcid_on = (cr4 & ~vcpu->cr4) & X86_CR4_PCIDE;

	if (!mv_valid_cr4(vcpu, cr4))
		return false;
	if ((vcpu->efer & EFER_LMA) && !(cr4 & X86_CR4_PAE))
		return false;
	return !pcid_on || ((vcpu->efer & EFER_LMA) && !(vcpu->cr3 & 0xfff));
}

static bool set_cr4(struct mv_vcpu *vcpu, u64 cr4)
{
	u64 old = vcpu->cr4, changed = old ^ cr4;

	if (!cr4_allowed(vcpu, cr4))
		return false;
	vcpu->cr4 = cr4;
	if (mv_pae_paging(vcpu) && (changed & CR4_PDPTE_BITS) &&
	    !mv_load_pdptrs(vcpu)) {
		vcpu->cr4 = old;
		return false;
	}
	vcpu->dirty |= MV_STATE_CRS;
	if (changed & CR4_TLB_BITS)
		vcpu->dirty |= MV_STATE_TLB;
	if (changed & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		mv_cpuid_update(vcpu);
	return true;
}

/*
 * Only where the client has the local APIC does CR8 exit. A lower task priority
 * may let an interrupt of the client's chips through.
 */
static int write_cr8(struct mv_vcpu *vcpu, u64 value)
{
	u64 old = vcpu->cr8;

	if (value > 15)
		return inject_gp(vcpu);
	vcpu->cr8 = value;
	mv_skip_insn(vcpu);
	if (value >= old)
		return 1;
	vcpu->run->exit_reason = MINIVMM_EXIT_SET_TPR;
	return 0;
}

static int write_cr(struct mv_vcpu *vcpu, u8 cr, u64 value)
{
	bool done;

	switch (cr) {
	case 0:
		done = set_cr0(vcpu, value);
		break;
	case 4:
		done = set_cr4(vcpu, value);
		break;
	case 8:
		return write_cr8(vcpu, value);
	default:
		return mv_emulation_failure(vcpu, NULL, 0);
	}
	if (!done)
		return inject_gp(vcpu);
	mv_skip_insn(vcpu);
	return 1;
}

/**
 * mv_handle_cr() - the guest accessed a control register
 * @vcpu: vcpu->exit.cr says which and how; register groups are valid
 *
 * The CPU has checked the privilege level.
 */
int mv_handle_cr(struct mv_vcpu *vcpu)
{
	const struct mv_exit *exit = &vcpu->exit;
	u64 value = vcpu->regs[exit->cr.reg];

	mv_need(vcpu, MV_STATE_CRS | MV_STATE_SEGS);
	switch (exit->cr.op) {
	case MV_CR_WRITE:
		if (!mv_is_64bit(vcpu))
			value = (u32)value;
		return write_cr(vcpu, exit->cr.cr, value);
	case MV_CR_READ:
		if (exit->cr.cr != 8)
			return mv_emulation_failure(vcpu, NULL, 0);
		mv_set_reg(vcpu, exit->cr.reg, vcpu->cr8);
		mv_skip_insn(vcpu);
		return 1;
	case MV_CR_CLTS:
		return write_cr(vcpu, 0, vcpu->cr0 & ~(u64)X86_CR0_TS);
	case MV_CR_LMSW:
		/* sets PE, MP, EM, TS; cannot clear PE */
		value = (vcpu->cr0 & ~14ULL) | (exit->cr.source & 15);
		return write_cr(vcpu, 0, value);
	}
	return mv_emulation_failure(vcpu, NULL, 0);
}

static bool set_dr(struct mv_vcpu *vcpu, u8 dr, u64 value)
{
	switch (dr) {
	case 0 ... 3:
		vcpu->dr[dr] = value;
		break;
	case 6:
		if (value >> 32)
			return false;
		vcpu->dr6 = (value & MV_DR6_VOLATILE) | MV_DR6_FIXED;
		break;
	default:
		if (value >> 32)
			return false;
		vcpu->dr7 = (value & MV_DR7_VOLATILE) | MV_DR7_FIXED;
		vcpu->dirty |= MV_STATE_DR7;
		break;
	}
	return true;
}

static u64 get_dr(const struct mv_vcpu *vcpu, u8 dr)
{
	if (dr < 4)
		return vcpu->dr[dr];
	return dr == 6 ? vcpu->dr6 : vcpu->dr7;
}

/**
 * mv_handle_dr() - the guest moved to or from a debug register
 * @vcpu: vcpu->exit.dr says which and how; register groups are valid
 *
 * Not every CPU checks the privilege level before it exits, so all is ours:
 * that, DR7.GD and CR4.DE.
 */
int mv_handle_dr(struct mv_vcpu *vcpu)
{
	u8 dr = vcpu->exit.dr.dr;
	enum mv_reg reg = vcpu->exit.dr.reg;
	u64 value = vcpu->regs[reg];

	mv_need(vcpu, MV_STATE_CRS | MV_STATE_SEGS);
	if ((dr == 4 || dr == 5) && (vcpu->cr4 & X86_CR4_DE)) {
		mv_queue_exception(vcpu, X86_TRAP_UD, false, 0);
		return 1;
	}
	if (mv_cpl_access(vcpu))
		return inject_gp(vcpu);
	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_HW_BP) &&
	    (vcpu->debug.dr7 & MV_DR7_GD))
		return mv_exit_debug(vcpu, X86_TRAP_DB, MV_DR6_BD);
	if (vcpu->dr7 & MV_DR7_GD) {
		mv_queue_db(vcpu, MV_DR6_BD);
		return 1;
	}
	if (dr == 4 || dr == 5)
		dr += 2;
	if (!vcpu->exit.dr.write) {
		mv_set_reg(vcpu, reg, get_dr(vcpu, dr));
	} else {
		if (!mv_is_64bit(vcpu))
			value = (u32)value;
		if (!set_dr(vcpu, dr, value))
			return inject_gp(vcpu);
	}
	mv_skip_insn(vcpu);
	return 1;
}

/**
 * mv_handle_xsetbv() - the guest sets an extended control register
 * @vcpu: ECX has the number, EDX:EAX the value; XCR0 is the only one
 */
int mv_handle_xsetbv(struct mv_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[MV_RAX] | vcpu->regs[MV_RDX] << 32;

	/* Not every CPU checks the privilege level before it exits. */
	mv_need(vcpu, MV_STATE_SEGS | MV_STATE_CRS);
	if (mv_cpl_access(vcpu) || (u32)vcpu->regs[MV_RCX] ||
	    !mv_valid_xcr0(vcpu, value))
		return inject_gp(vcpu);
	vcpu->xcr0 = value;
	mv_cpuid_update(vcpu);
	mv_skip_insn(vcpu);
	return 1;
}

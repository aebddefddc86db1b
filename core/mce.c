// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's machine-check banks (SDM 16.3).
 *
 * Nothing in a VM breaks by itself: the banks are registers that stay as they
 * are until the client reports an error with MINIVMM_X86_SET_MCE, one of its
 * own making or one that its host told it of.
 */
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "core.h"

#define SUPPORTED	(MCG_CTL_P | MCG_SER_P)
/* The number of banks, and that of extended registers, which nobody looks at */
#define CLIENTS_FIELDS	(MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK)

/* The registers of a bank, in the order of their MSRs */
enum { CTL, STATUS, ADDR, MISC };

/* Machine-check conditions that KVM lets Linux mask, for old chips' errata */
#define CTL_OPTIONAL	(BIT_ULL(10) | BIT_ULL(0))

static unsigned int nr_banks(const struct mv_vcpu *vcpu)
{
	return vcpu->mce.cap & MCG_BANKCNT_MASK;
}

/**
 * mv_mce_reset() - the banks of a vCPU whose client has not said what it wants
 * @vcpu: the vCPU
 */
void mv_mce_reset(struct mv_vcpu *vcpu)
{
	memset(&vcpu->mce, 0, sizeof(vcpu->mce));
	vcpu->mce.cap = MV_MAX_MCE_BANKS;
}

/* The register of a bank that the vCPU has behind MSR @index; or NULL */
static u64 *bank_register(struct mv_vcpu *vcpu, u32 index)
{
	u32 nr = 4 * nr_banks(vcpu);

	index -= MSR_IA32_MC0_CTL;
	if (index >= nr)
		return NULL;
	index = array_index_nospec(index, nr);
	return &vcpu->mce.bank[index / 4][index % 4];
}

/**
 * mv_mce_read() - an MSR that no row of the table has: a bank's?
 * @vcpu: the vCPU
 * @index: its number
 * @data: its value
 *
 * Context: any. Return: 0, or -ENOENT if there is none.
 */
int mv_mce_read(struct mv_vcpu *vcpu, u32 index, u64 *data)
{
	const u64 *reg = bank_register(vcpu, index);

	if (!reg)
		return -ENOENT;
	*data = *reg;
	return 0;
}

/**
 * mv_mce_write() - the same for a write
 * @vcpu: the vCPU
 * @index: its number
 * @data: for a CTL all or nothing; for a STATUS, from the guest, nothing
 * @client: the client writes it, who restores errors too
 *
 * Context: any. Return: 0, -EINVAL or -ENOENT.
 */
int mv_mce_write(struct mv_vcpu *vcpu, u32 index, u64 data, bool client)
{
	u64 *reg = bank_register(vcpu, index);

	if (!reg)
		return -ENOENT;
	if (index % 4 == CTL && data && ~(data | CTL_OPTIONAL))
		return -EINVAL;
	if (index % 4 == STATUS && data && !client)
		return -EINVAL;
	*reg = data;
	return 0;
}

/**
 * mv_get_mce_cap_supported() - MINIVMM_X86_GET_MCE_CAP_SUPPORTED
 * @user: gets the bits of IA32_MCG_CAP that a guest can have
 */
int mv_get_mce_cap_supported(u64 __user *user)
{
	return put_user((u64)SUPPORTED, user);
}

/**
 * mv_setup_mce() - MINIVMM_X86_SETUP_MCE
 * @vcpu: the vCPU
 * @cap: what IA32_MCG_CAP shall be; every bank reports every error
 */
int mv_setup_mce(struct mv_vcpu *vcpu, u64 cap)
{
	unsigned int nr = cap & MCG_BANKCNT_MASK, i;

	if (!nr || nr > MV_MAX_MCE_BANKS)
		return -EINVAL;
	if (cap & ~(SUPPORTED | CLIENTS_FIELDS))
		return -EINVAL;
	vcpu->mce.cap = cap;
	if (cap & MCG_CTL_P)
		vcpu->mce.ctl = ~0ULL;
	for (i = 0; i < nr; i++)
		vcpu->mce.bank[i][CTL] = ~0ULL;
	return 0;
}

static void record(u64 *bank, const struct minivmm_x86_mce *mce)
{
	u64 lost = bank[STATUS] & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0;

	bank[ADDR] = mce->addr;
	bank[MISC] = mce->misc;
	bank[STATUS] = mce->status | lost;
}

/* One that the guest must hear of at once: #MC, or there is no way to. */
static void uncorrected(struct mv_vcpu *vcpu, u64 *bank,
			const struct minivmm_x86_mce *mce)
{
	if ((vcpu->mce.cap & MCG_CTL_P) && ~vcpu->mce.ctl)
		return;
	if (~bank[CTL])
		return;
	mv_need(vcpu, MV_STATE_CRS);
	if ((vcpu->mce.status & MCG_STATUS_MCIP) ||
	    !(vcpu->cr4 & X86_CR4_MCE)) {
		vcpu->ev.triple_fault = true;
		return;
	}
	record(bank, mce);
	vcpu->mce.status = mce->mcg_status;
	mv_queue_exception(vcpu, X86_TRAP_MC, false, 0);
}

/**
 * mv_set_mce() - MINIVMM_X86_SET_MCE
 * @vcpu: the vCPU
 * @mce: an error, and the bank it is in
 *
 * A bank keeps the worst and first error (SDM 16.3.2.2.1).
 *
 * Return: 0, also if the guest has turned its reporting off; -EINVAL if there
 * is no such bank, or no error.
 */
int mv_set_mce(struct mv_vcpu *vcpu, const struct minivmm_x86_mce *mce)
{
	unsigned int nr = nr_banks(vcpu);
	u64 *bank;

	if (mce->bank >= nr || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = vcpu->mce.bank[array_index_nospec(mce->bank, nr)];
	if (mce->status & MCI_STATUS_UC)
		uncorrected(vcpu, bank, mce);
	else if (!(bank[STATUS] & MCI_STATUS_VAL) ||
		 !(bank[STATUS] & MCI_STATUS_UC))
		record(bank, mce);
	else
		bank[STATUS] |= MCI_STATUS_OVER;
	return 0;
}

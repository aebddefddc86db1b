// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers in the run page, so that clients need no ioctl for them.
 *
 * User space can write the page at any moment: what it says is copied once,
 * checked whole, then used. What we put there is for user space alone.
 */
#include <linux/compiler.h>
#include <linux/string.h>
#include "core.h"

/**
 * mv_load_sync_regs() - the client changed registers in the run page
 * @vcpu: the vCPU
 * @which: MINIVMM_SYNC_X86_*
 *
 * Segments and control registers may be refused, so they go first, when the
 * events, which may be refused too, have been looked at.
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_load_sync_regs(struct mv_vcpu *vcpu, u64 which)
{
	struct minivmm_sync_regs regs;

	memcpy(&regs, &vcpu->run->s.regs, sizeof(regs));
	barrier();	/* it is the copy that is looked at */
	if ((which & MINIVMM_SYNC_X86_EVENTS) &&
	    !mv_valid_events(vcpu, &regs.events))
		return -EINVAL;
	if ((which & MINIVMM_SYNC_X86_SREGS) &&
	    mv_set_sregs(vcpu, &regs.sregs))
		return -EINVAL;
	if (which & MINIVMM_SYNC_X86_REGS)
		mv_set_regs(vcpu, &regs.regs);
	if (which & MINIVMM_SYNC_X86_EVENTS)
		mv_set_events(vcpu, &regs.events);
	WRITE_ONCE(vcpu->run->minivmm_dirty_regs, 0);
	return 0;
}

/**
 * mv_store_sync_regs() - the client wants registers in the run page
 * @vcpu: the vCPU
 * @which: MINIVMM_SYNC_X86_*
 */
void mv_store_sync_regs(struct mv_vcpu *vcpu, u64 which)
{
	struct minivmm_sync_regs *page = &vcpu->run->s.regs;

	if (which & MINIVMM_SYNC_X86_REGS)
		mv_get_regs(vcpu, &page->regs);
	if (which & MINIVMM_SYNC_X86_SREGS)
		mv_get_sregs(vcpu, &page->sregs);
	if (which & MINIVMM_SYNC_X86_EVENTS)
		mv_get_events(vcpu, &page->events);
}

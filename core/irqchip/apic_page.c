// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page for CPUs that virtualize xAPICs (mv_caps.apic_page): what the guest
 * does to it the CPU does to the vCPU's own registers, or it exits.
 *
 * The page is mapped where all xAPICs are after a reset. But all vCPUs share the
 * second-level tables, and one whose local APIC is off, an x2APIC or elsewhere
 * would find memory there; and guest memory there hides the local APICs. So it is
 * mapped, on a fault (mmu.c), only while nothing blocks it. Otherwise accesses to
 * xAPICs are emulated like those to any device.
 *
 * Who blocks it is counted first, then zaps it, under the lock under which others
 * look at the count before they map it: a slot before it can be found, a vCPU
 * before it enters the guest again. Other vCPUs may go on with what their TLBs
 * hold: for them it is right.
 */
#include <linux/gfp.h>
#include "../core.h"

/**
 * mv_apic_page_create() - the VM will have local APICs
 * @vm: the VM, its lock held
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_apic_page_create(struct mv_vm *vm)
{
	if (vm->apic_page || !mv_ops->caps.apic_page)
		return 0;
	vm->apic_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vm->apic_page ? 0 : -ENOMEM;
}

/**
 * mv_apic_page_destroy() - undo mv_apic_page_create()
 * @vm: nothing is mapped any more
 */
void mv_apic_page_destroy(struct mv_vm *vm)
{
	free_page((unsigned long)vm->apic_page);
}

static void zap(struct mv_vm *vm)
{
	mv_change_frames(vm, MV_APIC_GFN, MV_APIC_GFN + 1, MV_ZAP);
}

/**
 * mv_apic_moved() - IA32_APIC_BASE changed
 * @vcpu: the vCPU, with a local APIC
 * @from: old value
 * @to: new value
 *
 * Context: the vCPU's own, also inside the run section.
 */
void mv_apic_moved(struct mv_vcpu *vcpu, u64 from, u64 to)
{
	atomic_t *blockers = &vcpu->vm->apic_page_blockers;

	if (mv_apic_at_home(from) && !mv_apic_at_home(to)) {
		atomic_inc(blockers);
		set_bit(MV_REQ_APIC_PAGE, &vcpu->requests);
	} else if (!mv_apic_at_home(from) && mv_apic_at_home(to)) {
		atomic_dec(blockers);
	}
}

/**
 * mv_apic_page_leave() - MV_REQ_APIC_PAGE: the vCPU must not find the page
 * @vcpu: the vCPU; the flush is that of its next run section
 *
 * Context: may sleep.
 */
void mv_apic_page_leave(struct mv_vcpu *vcpu)
{
	zap(vcpu->vm);
}

/**
 * mv_apic_page_hide() - a slot will be where the page may be
 * @vm: the VM
 *
 * Context: may sleep.
 */
void mv_apic_page_hide(struct mv_vm *vm)
{
	atomic_inc(&vm->apic_page_blockers);
	zap(vm);
	mv_flush_guest_tlbs(vm);
}

/**
 * mv_apic_page_unhide() - the slot, and all that was mapped through it, is gone
 * @vm: the VM
 */
void mv_apic_page_unhide(struct mv_vm *vm)
{
	atomic_dec(&vm->apic_page_blockers);
}

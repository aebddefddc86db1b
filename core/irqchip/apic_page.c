// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page for CPUs that virtualize xAPICs (mv_caps.apic_page): what the guest
 * does to it the CPU does to the vCPU's own registers, or it exits.
 *
 * The page is mapped where all xAPICs are after a reset. But all vCPUs share the
 * second-level tables, and one whose local APIC is off, an x2APIC or elsewhere
 * would find memory there. So it is mapped, on a fault (mmu.c), only while there
 * is none such, and no slot either. Otherwise accesses to xAPICs are emulated
 * like those to any device. An APIC that moves away is counted first, then its
 * vCPU zaps the page before it enters again; who maps it looks at the count
 * under the lock that the zap takes. Other vCPUs may go on with what their TLBs
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
	struct mv_vm *vm = vcpu->vm;

	if (mv_apic_at_home(from) && !mv_apic_at_home(to)) {
		atomic_inc(&vm->apics_away);
		set_bit(MV_REQ_APIC_PAGE, &vcpu->requests);
	} else if (!mv_apic_at_home(from) && mv_apic_at_home(to)) {
		atomic_dec(&vm->apics_away);
	}
}

/**
 * mv_apic_page_zap() - the page must go: a vCPU, or a slot, is in its way
 * @vm: the VM; what is in its way is known already
 *
 * Context: may sleep. The flush that must follow is up to the caller; a vCPU's
 * own comes at the beginning of its next run section.
 */
void mv_apic_page_zap(struct mv_vm *vm)
{
	u64 gfn = MV_APIC_BASE >> PAGE_SHIFT;

	mv_change_frames(vm, gfn, gfn + 1, MV_ZAP);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-modification logging (SDM 29.3.6): when the CPU sets the dirty flag of an
 * EPT entry it notes the guest-physical address in a page of 512. It starts at
 * the end; when it is through, the guest exits. We empty it at the end of every
 * run section, so outside sections the core's log is all there is.
 */
#include "hw.h"
#include "vmx.h"

#define PML_ENTRIES	512

/**
 * vmx_pml_setup() - the fields of a new VMCS that are the log's
 * @vcpu: its VMCS is current
 */
void vmx_pml_setup(struct mv_vcpu *vcpu)
{
	if (!vmx_has_pml())
		return;
	vmcs_write(PML_ADDRESS, __pa(to_vmx(vcpu)->pml));
	vmcs_write(GUEST_PML_INDEX, PML_ENTRIES - 1);
}

/**
 * vmx_pml_begin() - log if any slot of the VM is logged
 * @vcpu: about to enter the guest
 *
 * Context: beginning of the run section.
 */
void vmx_pml_begin(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool logging = vmx_has_pml() && READ_ONCE(vcpu->vm->nr_logging);

	if (likely(vmx->logging == logging))
		return;
	vmx->logging = logging;
	vcpu->dirty |= MV_STATE_CPUID;	/* the secondary controls */
}

/**
 * vmx_pml_empty() - what the CPU has noted goes into the core's log
 * @vcpu: it is current, and logging
 *
 * The index is that of the next entry to write, or out of range when there is
 * none left.
 *
 * Context: run section.
 */
void vmx_pml_empty(struct mv_vcpu *vcpu)
{
	u16 index = vmcs_read(GUEST_PML_INDEX);
	unsigned int first;

	if (index == PML_ENTRIES - 1)
		return;
	first = index < PML_ENTRIES ? index + 1 : 0;
	mv_mark_logged(vcpu, &to_vmx(vcpu)->pml[first], PML_ENTRIES - first);
	vmcs_write(GUEST_PML_INDEX, PML_ENTRIES - 1);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivery to local APICs: there are none yet, so nobody is addressed.
 */
#include "../core.h"

int mv_irq_deliver(struct mv_vm *vm, const struct mv_irq *irq)
{
	return -1;
}

int mv_msi_deliver(struct mv_vm *vm, u64 address, u32 data)
{
	return -1;
}

void mv_extint_raised(struct mv_vm *vm)
{
}

void mv_eoi_vectors_changed(struct mv_vm *vm)
{
}

bool mv_lapic_mmio_read(struct mv_vcpu *vcpu, u64 gpa, void *data,
			unsigned int len)
{
	return false;
}

bool mv_lapic_mmio_write(struct mv_vcpu *vcpu, u64 gpa, const void *data,
			 unsigned int len)
{
	return false;
}

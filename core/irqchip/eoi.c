// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who must hear of the end of an interrupt: the I/O APIC, or the client that
 * has one, of the vectors in vm->eoi_vectors and no others.
 */
#include <linux/bitmap.h>
#include "chips.h"

/* A vCPU that sees the new generation sees the vectors. */
static void publish(struct mv_vm *vm, const unsigned long *vectors)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->eoi_vectors); i++)
		WRITE_ONCE(vm->eoi_vectors[i], vectors[i]);
	/* pairs with the vCPU's reading of it, before it reads the vectors */
	smp_store_release(&vm->eoi_gen, vm->eoi_gen + 1);
}

/**
 * mv_eoi_widen() - the ends of more vectors must be heard of
 * @vm: the VM
 * @vectors: bitmap of 256
 *
 * When this returns, no vCPU runs that would keep them to itself.
 *
 * Context: sleeps. Callers exclude each other, and mv_eoi_narrow().
 */
void mv_eoi_widen(struct mv_vm *vm, const unsigned long *vectors)
{
	DECLARE_BITMAP(all, MINIVMM_NR_INTERRUPTS);

	if (bitmap_subset(vectors, vm->eoi_vectors, MINIVMM_NR_INTERRUPTS))
		return;
	bitmap_or(all, vectors, vm->eoi_vectors, MINIVMM_NR_INTERRUPTS);
	publish(vm, all);
	mv_eoi_vectors_changed(vm);
}

/**
 * mv_eoi_narrow() - only the ends of these vectors must be heard of
 * @vm: the VM
 * @vectors: bitmap of 256; all have been in mv_eoi_widen()
 *
 * There is no hurry: to hear of too many does no harm.
 */
void mv_eoi_narrow(struct mv_vm *vm, const unsigned long *vectors)
{
	if (!bitmap_equal(vectors, vm->eoi_vectors, MINIVMM_NR_INTERRUPTS))
		publish(vm, vectors);
}

/**
 * mv_irqchip_eoi() - the guest ended an interrupt of a vector in eoi_vectors
 * @vcpu: on this vCPU
 * @vector: the vector
 *
 * Context: the vCPU's thread, outside the run section; may sleep.
 *
 * Return: as a handler of the run loop: 1; or, if the I/O APIC is the client's,
 * 0 with MINIVMM_EXIT_IOAPIC_EOI.
 */
int mv_irqchip_eoi(struct mv_vcpu *vcpu, u8 vector)
{
	if (vcpu->vm->irqchip == MV_IRQCHIP_KERNEL) {
		mv_ioapic_eoi(vcpu->vm->chips, vector);
		return 1;
	}
	vcpu->run->exit_reason = MINIVMM_EXIT_IOAPIC_EOI;
	vcpu->run->eoi.vector = vector;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which interrupt chips a VM has in the kernel: none, local APICs, or all; and
 * the state of those that are the VM's.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include "chips.h"

/* vm->irq_lock is held. */
static int connect_chips(struct mv_vm *vm)
{
	struct mv_chips *chips = vm->chips;
	struct mv_iodev *const devs[] = {
		&chips->master, &chips->slave, &chips->elcr, &chips->window,
	};
	int ret = mv_default_routing(vm);

	return ret ?: mv_iobus_add(vm, devs, ARRAY_SIZE(devs));
}

/* vm->lock is held, no vCPU is there. */
static int create_chips(struct mv_vm *vm)
{
	struct mv_chips *chips = kzalloc(sizeof(*chips), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!chips)
		return -ENOMEM;
	chips->vm = vm;
	raw_spin_lock_init(&chips->lock);
	mv_pic_init(chips);
	mv_ioapic_init(chips);

	mutex_lock(&vm->irq_lock);
	vm->chips = chips;
	ret = connect_chips(vm);
	if (ret) {
		mv_routes_destroy(vm);
		vm->chips = NULL;
		kfree(chips);
	}
	mutex_unlock(&vm->irq_lock);
	return ret;
}

/**
 * mv_create_irqchip() - MINIVMM_CREATE_IRQCHIP
 * @vm: the VM
 *
 * Return: 0; -EEXIST; -EINVAL if it has vCPUs; -ENOMEM.
 */
int mv_create_irqchip(struct mv_vm *vm)
{
	int ret;

	mutex_lock(&vm->lock);
	if (vm->irqchip != MV_IRQCHIP_USER)
		ret = -EEXIST;
	else if (vm->nr_vcpus)
		ret = -EINVAL;
	else
		ret = create_chips(vm);
	if (!ret)
		/* pairs with mv_irqchip_mode() */
		smp_store_release(&vm->irqchip, MV_IRQCHIP_KERNEL);
	mutex_unlock(&vm->lock);
	return ret;
}

/**
 * mv_split_irqchip() - MINIVMM_CAP_SPLIT_IRQCHIP
 * @vm: the VM
 * @pins: that many GSIs are pins of the client's I/O APIC
 *
 * Return: 0; -EINVAL if these are too many; -EEXIST if there are chips, and,
 * as KVM has it, if there are vCPUs.
 */
int mv_split_irqchip(struct mv_vm *vm, u64 pins)
{
	int ret = 0;

	if (pins > MV_MAX_ROUTES)
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (vm->irqchip != MV_IRQCHIP_USER || vm->nr_vcpus) {
		ret = -EEXIST;
	} else {
		vm->split_pins = pins;
		/* pairs with mv_irqchip_mode() */
		smp_store_release(&vm->irqchip, MV_IRQCHIP_SPLIT);
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/**
 * mv_chips_destroy() - free the chips
 * @vm: nobody uses them any more
 */
void mv_chips_destroy(struct mv_vm *vm)
{
	kfree(vm->chips);
}

/**
 * mv_get_irqchip() - MINIVMM_GET_IRQCHIP
 * @vm: the VM
 * @state: chip_id says which chip; its state is filled in
 *
 * Return: 0; -ENXIO if there are no chips; -EINVAL if there is no such.
 */
int mv_get_irqchip(struct mv_vm *vm, struct minivmm_irqchip *state)
{
	if (mv_irqchip_mode(vm) != MV_IRQCHIP_KERNEL)
		return -ENXIO;
	switch (state->chip_id) {
	case MINIVMM_IRQCHIP_PIC_MASTER:
	case MINIVMM_IRQCHIP_PIC_SLAVE:
		mv_pic_get(vm->chips, state->chip_id, &state->chip.pic);
		return 0;
	case MINIVMM_IRQCHIP_IOAPIC:
		mv_ioapic_get(vm->chips, &state->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

/**
 * mv_set_irqchip() - MINIVMM_SET_IRQCHIP
 * @vm: the VM
 * @state: chip_id says which chip; what cannot be is dropped
 *
 * Return: 0; -ENXIO if there are no chips; -EINVAL if there is no such.
 */
int mv_set_irqchip(struct mv_vm *vm, const struct minivmm_irqchip *state)
{
	if (mv_irqchip_mode(vm) != MV_IRQCHIP_KERNEL)
		return -ENXIO;
	switch (state->chip_id) {
	case MINIVMM_IRQCHIP_PIC_MASTER:
	case MINIVMM_IRQCHIP_PIC_SLAVE:
		mv_pic_put(vm->chips, state->chip_id, &state->chip.pic);
		return 0;
	case MINIVMM_IRQCHIP_IOAPIC:
		mv_ioapic_put(vm->chips, &state->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

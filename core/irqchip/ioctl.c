// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's ioctls that have to do with interrupts: arguments in and out, each
 * read once.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "../core.h"

static int get_irqchip(struct mv_vm *vm, struct minivmm_irqchip __user *user)
{
	struct minivmm_irqchip *state = memdup_user(user, sizeof(*state));
	int ret;

	if (IS_ERR(state))
		return PTR_ERR(state);
	ret = mv_get_irqchip(vm, state);
	if (!ret && copy_to_user(user, state, sizeof(*state)))
		ret = -EFAULT;
	kfree(state);
	return ret;
}

static int set_irqchip(struct mv_vm *vm, struct minivmm_irqchip __user *user)
{
	struct minivmm_irqchip *state = memdup_user(user, sizeof(*state));
	int ret;

	if (IS_ERR(state))
		return PTR_ERR(state);
	ret = mv_set_irqchip(vm, state);
	kfree(state);
	return ret;
}

static int irq_line(struct mv_vm *vm, struct minivmm_irq_level __user *user,
		    bool want_status)
{
	struct minivmm_irq_level line;

	if (copy_from_user(&line, user, sizeof(line)))
		return -EFAULT;
	if (mv_irqchip_mode(vm) == MV_IRQCHIP_USER)
		return -ENXIO;
	line.status = mv_gsi_set(vm, MV_SOURCE_USER, line.irq, line.level);
	if (want_status && copy_to_user(user, &line, sizeof(line)))
		return -EFAULT;
	return 0;
}

static int set_gsi_routing(struct mv_vm *vm,
			   struct minivmm_irq_routing __user *user)
{
	struct minivmm_irq_routing_entry *entries = NULL;
	struct minivmm_irq_routing head;
	int ret;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (mv_irqchip_mode(vm) == MV_IRQCHIP_USER || head.flags ||
	    head.nr > MV_MAX_ROUTES)
		return -EINVAL;
	if (head.nr)
		entries = vmemdup_user(user->entries,
				       head.nr * sizeof(entries[0]));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = mv_set_gsi_routing(vm, entries, head.nr);
	kvfree(entries);
	return ret;
}

static int signal_msi(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_msi msi;

	if (copy_from_user(&msi, argp, sizeof(msi)))
		return -EFAULT;
	return mv_signal_msi(vm, &msi);
}

static int create_pit2(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_pit_config config;

	if (copy_from_user(&config, argp, sizeof(config)))
		return -EFAULT;
	return mv_create_pit(vm, config.flags);
}

static int get_pit2(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_pit_state2 state;
	int ret = mv_get_pit2(vm, &state);

	if (ret)
		return ret;
	return copy_to_user(argp, &state, sizeof(state)) ? -EFAULT : 0;
}

static int set_pit2(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_pit_state2 state;

	if (copy_from_user(&state, argp, sizeof(state)))
		return -EFAULT;
	return mv_set_pit2(vm, &state);
}

static int irqfd(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_irqfd args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	return mv_irqfd(vm, &args);
}

static int ioeventfd(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_ioeventfd args;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	return mv_ioeventfd(vm, &args);
}

/**
 * mv_irq_ioctl() - an ioctl of the VM that vm.c does not know
 * @vm: the VM
 * @cmd: its number
 * @argp: its argument
 *
 * Return: its result, or -ENOTTY if there is no such.
 */
int mv_irq_ioctl(struct mv_vm *vm, unsigned int cmd, void __user *argp)
{
	switch (cmd) {
	case MINIVMM_CREATE_IRQCHIP:
		return mv_create_irqchip(vm);
	case MINIVMM_GET_IRQCHIP:
		return get_irqchip(vm, argp);
	case MINIVMM_SET_IRQCHIP:
		return set_irqchip(vm, argp);
	case MINIVMM_IRQ_LINE:
		return irq_line(vm, argp, false);
	case MINIVMM_IRQ_LINE_STATUS:
		return irq_line(vm, argp, true);
	case MINIVMM_SET_GSI_ROUTING:
		return set_gsi_routing(vm, argp);
	case MINIVMM_SIGNAL_MSI:
		return signal_msi(vm, argp);
	case MINIVMM_CREATE_PIT:
		return mv_create_pit(vm, MINIVMM_PIT_SPEAKER_DUMMY);
	case MINIVMM_CREATE_PIT2:
		return create_pit2(vm, argp);
	case MINIVMM_GET_PIT2:
		return get_pit2(vm, argp);
	case MINIVMM_SET_PIT2:
		return set_pit2(vm, argp);
	case MINIVMM_IRQFD:
		return irqfd(vm, argp);
	case MINIVMM_IOEVENTFD:
		return ioeventfd(vm, argp);
	default:
		return -ENOTTY;
	}
}

/**
 * mv_irq_init() - a new VM has no chips yet
 * @vm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int mv_irq_init(struct mv_vm *vm)
{
	mutex_init(&vm->irq_lock);
	spin_lock_init(&vm->irqfds_lock);
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_LIST_HEAD(&vm->resamplers);
	return init_srcu_struct(&vm->irq_srcu);
}

/**
 * mv_irq_destroy() - the chips and all that could interrupt go
 * @vm: no vCPU runs, no ioctl is under way
 *
 * When this returns no timer, eventfd or work item knows the VM.
 */
void mv_irq_destroy(struct mv_vm *vm)
{
	mv_irqfds_destroy(vm);
	mv_pit_destroy(vm);
	mv_iobus_destroy(vm);
	mv_routes_destroy(vm);
	mv_chips_destroy(vm);
	cleanup_srcu_struct(&vm->irq_srcu);
}

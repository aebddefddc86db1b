// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's file descriptor and its life.
 *
 * The descriptor and each vCPU's descriptor hold a reference. vCPUs live as
 * long as their VM: closing a vCPU's descriptor does not free its number.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "core.h"

static struct mv_vm *mv_vm_create(void)
{
	struct mv_vm *vm;
	int ret = -ENODEV;

	if (!try_module_get(mv_ops->owner))
		return ERR_PTR(ret);
	ret = -ENOMEM;
	vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		goto put_module;
	kref_init(&vm->refs);
	mutex_init(&vm->lock);
	raw_spin_lock_init(&vm->logical.lock);
	vm->mm = current->mm;
	mv_tsc_init(vm);
	mv_clock_create(vm);
	mmgrab(vm->mm);
	ret = mv_ops->vm_create(vm);
	if (ret)
		goto drop_mm;
	ret = mv_slots_init(vm);
	if (ret)
		goto destroy_backend;
	ret = mv_irq_init(vm);
	if (ret)
		goto destroy_slots;
	ret = mv_mmu_init(vm);
	if (ret)
		goto destroy_irqs;
	return vm;

destroy_irqs:
	mv_irq_destroy(vm);
destroy_slots:
	mv_slots_destroy(vm);
destroy_backend:
	mv_ops->vm_destroy(vm);
drop_mm:
	mmdrop(vm->mm);
	kvfree(vm);
put_module:
	module_put(mv_ops->owner);
	return ERR_PTR(ret);
}

static void mv_vm_destroy(struct kref *ref)
{
	struct mv_vm *vm = container_of(ref, struct mv_vm, refs);
	int id;

	/* First: after this nothing interrupts the vCPUs, ... */
	mv_irq_destroy(vm);
	/* ... and after this nobody touches the second-level tables. */
	mv_mmu_destroy(vm);
	mv_slots_destroy(vm);
	for (id = 0; id < MV_MAX_VCPU_ID; id++)
		if (vm->vcpus[id])
			mv_vcpu_destroy(vm->vcpus[id]);
	mv_ops->vm_destroy(vm);
	mmdrop(vm->mm);
	kvfree(vm);
	module_put(mv_ops->owner);
}

void mv_vm_get(struct mv_vm *vm)
{
	kref_get(&vm->refs);
}

void mv_vm_put(struct mv_vm *vm)
{
	kref_put(&vm->refs, mv_vm_destroy);
}

static int mv_vm_release(struct inode *inode, struct file *file)
{
	mv_vm_put(file->private_data);
	return 0;
}

static int vm_set_memory_region(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_userspace_memory_region mem;

	if (copy_from_user(&mem, argp, sizeof(mem)))
		return -EFAULT;
	return mv_set_memory_region(vm, &mem);
}

/*
 * KVM wants three pages for a TSS, and one for page tables, to run real mode
 * on CPUs without unrestricted guest. We need neither, and take the addresses
 * that a client is obliged to give.
 */
static int vm_set_tss_addr(unsigned long arg)
{
	return arg > (u32)(-3 * PAGE_SIZE) ? -EINVAL : 0;
}

static int vm_set_identity_map_addr(struct mv_vm *vm, void __user *argp)
{
	u64 addr;
	bool late;

	/* as KVM: too late counts more than a bad pointer */
	mutex_lock(&vm->lock);
	late = vm->nr_vcpus;
	mutex_unlock(&vm->lock);
	if (late)
		return -EINVAL;
	return copy_from_user(&addr, argp, sizeof(addr)) ? -EFAULT : 0;
}

static int vm_get_clock(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_clock_data data;

	mv_get_clock(vm, &data);
	return copy_to_user(argp, &data, sizeof(data)) ? -EFAULT : 0;
}

static int vm_set_clock(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_clock_data data;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	return mv_set_clock(vm, &data);
}

static long mv_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mv_vm *vm = file->private_data;
	void __user *argp = (void __user *)arg;

	/* Slots are addresses in the process that made the VM. */
	if (vm->mm != current->mm || vm->dead)
		return -EIO;

	switch (cmd) {
	case MINIVMM_CREATE_VCPU:
		return mv_vcpu_create_fd(vm, arg);
	case MINIVMM_SET_USER_MEMORY_REGION:
		return vm_set_memory_region(vm, argp);
	case MINIVMM_SET_TSS_ADDR:
		return vm_set_tss_addr(arg);
	case MINIVMM_SET_IDENTITY_MAP_ADDR:
		return vm_set_identity_map_addr(vm, argp);
	case MINIVMM_GET_CLOCK:
		return vm_get_clock(vm, argp);
	case MINIVMM_SET_CLOCK:
		return vm_set_clock(vm, argp);
	case MINIVMM_CHECK_EXTENSION:
		return mv_check_extension(arg);
	default:
		return mv_irq_ioctl(vm, cmd, argp);
	}
}

static const struct file_operations mv_vm_fops = {
	.owner = THIS_MODULE,
	.release = mv_vm_release,
	.unlocked_ioctl = mv_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/**
 * mv_vm_create_fd() - MINIVMM_CREATE_VM
 *
 * Return: a file descriptor, or a negative errno.
 */
int mv_vm_create_fd(void)
{
	struct mv_vm *vm = mv_vm_create();
	int fd;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("minivmm-vm", &mv_vm_fops, vm,
			      O_RDWR | O_CLOEXEC);
	if (fd < 0)
		mv_vm_put(vm);
	return fd;
}

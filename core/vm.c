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
	vm->pid = task_pid_nr(current);
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
	ret = mv_coalesced_create(vm);
	if (ret)
		goto destroy_irqs;
	ret = mv_mmu_init(vm);
	if (ret)
		goto destroy_coalesced;
	return vm;

destroy_coalesced:
	mv_coalesced_destroy(vm);
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
	mv_coalesced_destroy(vm);
	mv_slots_destroy(vm);
	for (id = 0; id < MV_MAX_VCPU_ID; id++)
		if (vm->vcpus[id])
			mv_vcpu_destroy(vm->vcpus[id]);
	mv_apic_page_destroy(vm);
	mv_msr_filter_destroy(vm);
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

/* How many shadow pages KVM may have, at least 64. We have none to count. */
static int vm_set_nr_mmu_pages(struct mv_vm *vm, unsigned long nr)
{
	if (nr < 64)
		return -EINVAL;
	WRITE_ONCE(vm->nr_mmu_pages, nr);
	return 0;
}

static int vm_get_dirty_log(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_dirty_log log;

	if (copy_from_user(&log, argp, sizeof(log)))
		return -EFAULT;
	return mv_get_dirty_log(vm, &log);
}

static int vm_clear_dirty_log(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_clear_dirty_log log;

	if (copy_from_user(&log, argp, sizeof(log)))
		return -EFAULT;
	return mv_clear_dirty_log(vm, &log);
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

static int vm_coalesced_zone(struct mv_vm *vm, void __user *argp, bool remove)
{
	struct minivmm_coalesced_mmio_zone zone;

	if (copy_from_user(&zone, argp, sizeof(zone)))
		return -EFAULT;
	return mv_coalesced_zone(vm, &zone, remove);
}

static int vm_set_msr_filter(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_msr_filter filter;

	if (copy_from_user(&filter, argp, sizeof(filter)))
		return -EFAULT;
	return mv_set_msr_filter(vm, &filter);
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
	case MINIVMM_ENABLE_CAP:
		return mv_vm_enable_cap(vm, argp);
	case MINIVMM_SET_USER_MEMORY_REGION:
		return vm_set_memory_region(vm, argp);
	case MINIVMM_SET_NR_MMU_PAGES:
		return vm_set_nr_mmu_pages(vm, arg);
	case MINIVMM_GET_NR_MMU_PAGES:
		/* as much as KVM's int has: more would be an error's number */
		return min_t(unsigned long, READ_ONCE(vm->nr_mmu_pages), INT_MAX);
	case MINIVMM_GET_DIRTY_LOG:
		return vm_get_dirty_log(vm, argp);
	case MINIVMM_CLEAR_DIRTY_LOG:
		return vm_clear_dirty_log(vm, argp);
	case MINIVMM_SET_BOOT_CPU_ID:
		return mv_set_boot_cpu(vm, arg);
	case MINIVMM_GET_TSC_KHZ:
		return READ_ONCE(vm->tsc_khz);
	case MINIVMM_SET_TSC_KHZ:
		/* 32 bits of the argument count, for KVM */
		return mv_vm_set_tsc_khz(vm, arg);
	case MINIVMM_SET_TSS_ADDR:
		return vm_set_tss_addr(arg);
	case MINIVMM_SET_IDENTITY_MAP_ADDR:
		return vm_set_identity_map_addr(vm, argp);
	case MINIVMM_GET_CLOCK:
		return vm_get_clock(vm, argp);
	case MINIVMM_SET_CLOCK:
		return vm_set_clock(vm, argp);
	case MINIVMM_REGISTER_COALESCED_MMIO:
		return vm_coalesced_zone(vm, argp, false);
	case MINIVMM_UNREGISTER_COALESCED_MMIO:
		return vm_coalesced_zone(vm, argp, true);
	case MINIVMM_CHECK_EXTENSION:
		return mv_check_extension(arg);
	case MINIVMM_GET_STATS_FD:
		return mv_vm_stats_fd(vm);
	case MINIVMM_X86_SET_MSR_FILTER:
		return vm_set_msr_filter(vm, argp);
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

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client turns on or off in a VM or vCPU: MINIVMM_ENABLE_CAP, the boot
 * CPU, a vCPU's attributes.
 */
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>
#include "core.h"

/* From now on vCPU numbers are below @limit; once, and before the first vCPU. */
static int set_max_id(struct mv_vm *vm, u64 limit)
{
	int ret = -EINVAL;

	if (limit > MV_MAX_VCPU_ID)
		return ret;
	mutex_lock(&vm->lock);
	if (!vm->id_limit || vm->id_limit == limit) {
		vm->id_limit = limit;
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/* Those that this CPU cannot leave out go on, as with KVM. */
static int disable_exits(struct mv_vm *vm, u64 exits)
{
	int ret = -EINVAL;

	if (exits & ~(u64)MINIVMM_X86_DISABLE_VALID_EXITS)
		return ret;
	mutex_lock(&vm->lock);
	if (!vm->nr_vcpus) {
		vm->disabled_exits |= exits & MV_DISABLE_EXITS;
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/* Once on they stay on. */
static int set_x2apic_api(struct mv_vm *vm, u64 flags)
{
	if (flags & ~MV_X2APIC_API_FLAGS)
		return -EINVAL;
	if (flags & MINIVMM_X2APIC_API_USE_32BIT_IDS)
		vm->x2apic_format_32 = true;
	if (flags & MINIVMM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		vm->x2apic_no_broadcast_quirk = true;
	return 0;
}

static int set_msr_exits(struct mv_vm *vm, u64 reasons)
{
	if (reasons & ~(u64)MV_MSR_EXIT_REASONS)
		return -EINVAL;
	WRITE_ONCE(vm->msr_exits, reasons);
	return 0;
}

/* They may change while the guest runs; its next exit sees it. */
static int disable_quirks(struct mv_vm *vm, u64 quirks)
{
	WRITE_ONCE(vm->disabled_quirks, quirks);
	return 0;
}

/**
 * mv_vm_enable_cap() - MINIVMM_ENABLE_CAP on a VM
 * @vm: the VM
 * @argp: struct minivmm_enable_cap
 *
 * Context: may sleep. Return: 0, -EFAULT, -EINVAL, or what the capability has of
 * its own.
 */
int mv_vm_enable_cap(struct mv_vm *vm, void __user *argp)
{
	struct minivmm_enable_cap cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;
	switch (cap.cap) {
	case MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return mv_set_dirty_options(vm, cap.args[0]);
	case MINIVMM_CAP_SPLIT_IRQCHIP:
		return mv_split_irqchip(vm, cap.args[0]);
	case MINIVMM_CAP_X2APIC_API:
		return set_x2apic_api(vm, cap.args[0]);
	case MINIVMM_CAP_X86_DISABLE_EXITS:
		return disable_exits(vm, cap.args[0]);
	case MINIVMM_CAP_X86_TRIPLE_FAULT_EVENT:
		WRITE_ONCE(vm->triple_fault_event, cap.args[0]);
		return 0;
	case MINIVMM_CAP_X86_USER_SPACE_MSR:
		return set_msr_exits(vm, cap.args[0]);
	case MINIVMM_CAP_DISABLE_QUIRKS2:
		if (cap.args[0] & ~MV_QUIRKS)
			return -EINVAL;
		fallthrough;
	case MINIVMM_CAP_DISABLE_QUIRKS:
		return disable_quirks(vm, cap.args[0]);
	case MINIVMM_CAP_MSR_PLATFORM_INFO:
		WRITE_ONCE(vm->no_platform_info, !cap.args[0]);
		return 0;
	case MINIVMM_CAP_MAX_VCPU_ID:
		return set_max_id(vm, cap.args[0]);
	default:
		return -EINVAL;
	}
}

/**
 * mv_vcpu_enable_cap() - MINIVMM_ENABLE_CAP on a vCPU
 * @vcpu: the vCPU
 * @argp: struct minivmm_enable_cap
 *
 * Context: may sleep. Return: 0, -EINVAL, -EFAULT.
 */
int mv_vcpu_enable_cap(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_enable_cap cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	if (cap.flags || cap.cap != MINIVMM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	vcpu->cpuid.enforce_pv = cap.args[0];
	return 0;
}

/**
 * mv_set_boot_cpu() - MINIVMM_SET_BOOT_CPU_ID
 * @vm: the VM
 * @id: number of the vCPU that boots; the others wait for it
 *
 * Return: 0, or -EBUSY if a vCPU exists.
 */
int mv_set_boot_cpu(struct mv_vm *vm, u32 id)
{
	int ret = -EBUSY;

	mutex_lock(&vm->lock);
	if (!vm->nr_vcpus) {
		vm->boot_id = id;
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

static int tsc_offset_attr(struct mv_vcpu *vcpu, unsigned int cmd,
			   u64 __user *user)
{
	u64 offset;

	switch (cmd) {
	case MINIVMM_GET_DEVICE_ATTR:
		return put_user(vcpu->tsc_offset, user);
	case MINIVMM_SET_DEVICE_ATTR:
		if (get_user(offset, user))
			return -EFAULT;
		mv_client_set_tsc_offset(vcpu, offset);
		return 0;
	default:	/* MINIVMM_HAS_DEVICE_ATTR */
		return 0;
	}
}

/**
 * mv_vcpu_device_attr() - MINIVMM_GET_, SET_, HAS_DEVICE_ATTR on a vCPU
 * @vcpu: the vCPU; it has one attribute, the TSC's offset
 * @cmd: which of the three
 * @argp: struct minivmm_device_attr
 *
 * Context: may sleep. Return: 0, -ENXIO, -EFAULT.
 */
int mv_vcpu_device_attr(struct mv_vcpu *vcpu, unsigned int cmd,
			void __user *argp)
{
	struct minivmm_device_attr attr;

	if (copy_from_user(&attr, argp, sizeof(attr)))
		return -EFAULT;
	if (attr.group != MINIVMM_VCPU_TSC_CTRL ||
	    attr.attr != MINIVMM_VCPU_TSC_OFFSET)
		return -ENXIO;
	return tsc_offset_attr(vcpu, cmd, u64_to_user_ptr(attr.addr));
}

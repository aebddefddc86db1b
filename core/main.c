// SPDX-License-Identifier: GPL-2.0-only
/*
 * minivmm: /dev/minivmm, and the back end behind it.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "core.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_entry);
EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_exit);
EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_page_fault);
EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_msr);
EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_inj_virq);
EXPORT_TRACEPOINT_SYMBOL_GPL(minivmm_inj_exception);

const struct mv_ops *mv_ops;

/**
 * mv_check_extension() - MINIVMM_CHECK_EXTENSION, on the device or a VM
 * @cap: MINIVMM_CAP_*, or any other number
 *
 * Return: what is supported, 0 for what is not.
 */
int mv_check_extension(long cap)
{
	switch (cap) {
	case MINIVMM_CAP_IRQCHIP:
	case MINIVMM_CAP_HLT:
	case MINIVMM_CAP_USER_MEMORY:
	case MINIVMM_CAP_SET_TSS_ADDR:
	case MINIVMM_CAP_EXT_CPUID:
	case MINIVMM_CAP_MMU_SHADOW_CACHE_CONTROL:
	case MINIVMM_CAP_PIT:
	case MINIVMM_CAP_NOP_IO_DELAY:
	case MINIVMM_CAP_MP_STATE:
	case MINIVMM_CAP_SYNC_MMU:
	case MINIVMM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case MINIVMM_CAP_USER_NMI:
	case MINIVMM_CAP_SET_GUEST_DEBUG:
	case MINIVMM_CAP_IRQ_INJECT_STATUS:
	case MINIVMM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case MINIVMM_CAP_IRQFD:
	case MINIVMM_CAP_PIT2:
	case MINIVMM_CAP_PIT_STATE2:
	case MINIVMM_CAP_IOEVENTFD:
	case MINIVMM_CAP_SET_BOOT_CPU_ID:
	case MINIVMM_CAP_SET_IDENTITY_MAP_ADDR:
	case MINIVMM_CAP_INTERNAL_ERROR_DATA:
	case MINIVMM_CAP_VCPU_EVENTS:
	case MINIVMM_CAP_DEBUGREGS:
	case MINIVMM_CAP_X86_ROBUST_SINGLESTEP:
	case MINIVMM_CAP_ENABLE_CAP:
	case MINIVMM_CAP_XSAVE:
	case MINIVMM_CAP_GET_TSC_KHZ:
	case MINIVMM_CAP_TSC_DEADLINE_TIMER:
	case MINIVMM_CAP_SIGNAL_MSI:
	case MINIVMM_CAP_READONLY_MEM:
	case MINIVMM_CAP_IRQFD_RESAMPLE:
	case MINIVMM_CAP_ENABLE_CAP_VM:
	case MINIVMM_CAP_IOEVENTFD_NO_LENGTH:
	case MINIVMM_CAP_CHECK_EXTENSION_VM:
	case MINIVMM_CAP_DISABLE_QUIRKS:
	case MINIVMM_CAP_SPLIT_IRQCHIP:
	case MINIVMM_CAP_IOEVENTFD_ANY_LENGTH:
	case MINIVMM_CAP_VCPU_ATTRIBUTES:
	case MINIVMM_CAP_IMMEDIATE_EXIT:
	case MINIVMM_CAP_PRE_FAULT_MEMORY:
	case MINIVMM_CAP_COALESCED_PIO:
	case MINIVMM_CAP_X86_USER_SPACE_MSR:
	case MINIVMM_CAP_X86_MSR_FILTER:
	case MINIVMM_CAP_SREGS2:
	case MINIVMM_CAP_BINARY_STATS_FD:
	case MINIVMM_CAP_X86_TRIPLE_FAULT_EVENT:
	case MINIVMM_CAP_GET_MSR_FEATURES:
	case MINIVMM_CAP_MSR_PLATFORM_INFO:
	case MINIVMM_CAP_ENFORCE_PV_FEATURE_CPUID:
		return 1;
	case MINIVMM_CAP_CLOCKSOURCE:
		return mv_clock_offered();
	case MINIVMM_CAP_ADJUST_CLOCK:
		return MV_CLOCK_FLAGS;
	case MINIVMM_CAP_DISABLE_QUIRKS2:
		return MV_QUIRKS;
	case MINIVMM_CAP_TSC_CONTROL:
	case MINIVMM_CAP_VM_TSC_CONTROL:
		return mv_tsc_can_scale();
	case MINIVMM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case MINIVMM_CAP_XSAVE2:
		/* none of the components we have lies beyond it */
		return sizeof(struct minivmm_xsave);
	case MINIVMM_CAP_X86_DISABLE_EXITS:
		return MV_DISABLE_EXITS;
	case MINIVMM_CAP_SET_GUEST_DEBUG2:
		return MV_DEBUG_FLAGS;
	case MINIVMM_CAP_SYNC_REGS:
		return MINIVMM_SYNC_X86_VALID_FIELDS;
	case MINIVMM_CAP_INTR_SHADOW:
		return MINIVMM_X86_SHADOW_INT_MOV_SS |
		       MINIVMM_X86_SHADOW_INT_STI;
	case MINIVMM_CAP_IRQ_ROUTING:
		return MV_MAX_ROUTES;
	case MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return MV_DIRTY_OPTIONS;
	case MINIVMM_CAP_X2APIC_API:
		return MV_X2APIC_API_FLAGS;
	case MINIVMM_CAP_COALESCED_MMIO:
		return MINIVMM_COALESCED_MMIO_PAGE_OFFSET;
	case MINIVMM_CAP_MCE:
		return MV_MAX_MCE_BANKS;
	case MINIVMM_CAP_NR_VCPUS:
		return min_t(unsigned int, num_online_cpus(), MV_MAX_VCPUS);
	case MINIVMM_CAP_MAX_VCPUS:
		return MV_MAX_VCPUS;
	case MINIVMM_CAP_MAX_VCPU_ID:
		return MV_MAX_VCPU_ID;
	case MINIVMM_CAP_NR_MEMSLOTS:
		return MV_MAX_SLOTS;
	default:
		return 0;
	}
}

static long mv_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case MINIVMM_GET_API_VERSION:
		return arg ? -EINVAL : MINIVMM_API_VERSION;
	case MINIVMM_CREATE_VM:
		/* the only machine type is 0 */
		return arg ? -EINVAL : mv_vm_create_fd();
	case MINIVMM_CHECK_EXTENSION:
		return mv_check_extension(arg);
	case MINIVMM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : MV_VCPU_MMAP_SIZE;
	case MINIVMM_GET_SUPPORTED_CPUID:
		return mv_get_supported_cpuid(argp);
	case MINIVMM_GET_MSR_INDEX_LIST:
		return mv_msr_index_list(argp);
	case MINIVMM_X86_GET_MCE_CAP_SUPPORTED:
		return mv_get_mce_cap_supported(argp);
	case MINIVMM_GET_MSR_FEATURE_INDEX_LIST:
		return mv_msr_feature_list(argp);
	case MINIVMM_GET_MSRS:
		return mv_get_msr_features(argp);
	default:
		/* Not ENOTTY: clients see here what they see from KVM. */
		return -EINVAL;
	}
}

/*
 * An open device holds the back end. misc_open() and misc_deregister() exclude
 * each other, so there is one as long as we can be here.
 */
static int mv_dev_open(struct inode *inode, struct file *file)
{
	return try_module_get(mv_ops->owner) ? 0 : -ENODEV;
}

static int mv_dev_release(struct inode *inode, struct file *file)
{
	module_put(mv_ops->owner);
	return 0;
}

static const struct file_operations mv_dev_fops = {
	.owner = THIS_MODULE,
	.open = mv_dev_open,
	.release = mv_dev_release,
	.unlocked_ioctl = mv_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice mv_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "minivmm",
	.fops = &mv_dev_fops,
};

/**
 * mv_register_backend() - a back end is ready; /dev/minivmm appears
 * @ops: must stay until mv_unregister_backend()
 *
 * Return: 0, -EBUSY if there is one already, or what misc_register() gives.
 */
int mv_register_backend(const struct mv_ops *ops)
{
	int ret;

	if (cmpxchg(&mv_ops, NULL, ops)) {
		/* Which, is not to be asked: it may be leaving. */
		pr_err("minivmm: %s: another back end is loaded\n", ops->name);
		return -EBUSY;
	}
	/* Not the number of the last time, which may be another's by now. */
	mv_dev.minor = MISC_DYNAMIC_MINOR;
	ret = misc_register(&mv_dev);
	if (ret)
		mv_ops = NULL;
	else
		pr_info("minivmm: ready, using %s\n", ops->name);
	return ret;
}
EXPORT_SYMBOL_GPL(mv_register_backend);

/**
 * mv_unregister_backend() - the back end goes; no VM is left
 * @ops: what was registered
 *
 * VMs and open devices hold the back end's module: none is left here.
 */
void mv_unregister_backend(const struct mv_ops *ops)
{
	misc_deregister(&mv_dev);
	mv_ops = NULL;
}
EXPORT_SYMBOL_GPL(mv_unregister_backend);

static int __init mv_init(void)
{
	int ret;

	mv_msr_init();
	mv_clock_init();
	ret = mv_fpu_init();
	return ret ?: mv_irqfd_init();
}

static void __exit mv_exit(void)
{
	mv_irqfd_exit();
}

module_init(mv_init);
module_exit(mv_exit);

MODULE_DESCRIPTION("A small virtual machine monitor with KVM's interface");
MODULE_LICENSE("GPL");

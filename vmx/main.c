// SPDX-License-Identifier: GPL-2.0-only
/*
 * minivmm-intel: the VMX back end of minivmm.
 */
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include "hw.h"
#include "vmx.h"

bool vmx_irqoff_watchdog;
module_param_named(irqoff_watchdog, vmx_irqoff_watchdog, bool, 0444);
MODULE_PARM_DESC(irqoff_watchdog,
		 "leave the guest every 10 ms, for CPUs (Bochs) that lose interrupt exits while the guest has interrupts off");

bool vmx_use_apicv = true;
module_param_named(apicv, vmx_use_apicv, bool, 0444);
MODULE_PARM_DESC(apicv,
		 "let the CPU deliver interrupts to guests, if it can (default Y)");

bool vmx_use_eptad = true;
module_param_named(eptad, vmx_use_eptad, bool, 0444);
MODULE_PARM_DESC(eptad,
		 "let the CPU mark pages that guests use, if it can (default Y)");

bool vmx_use_pml = true;
module_param_named(pml, vmx_use_pml, bool, 0444);
MODULE_PARM_DESC(pml,
		 "let the CPU log pages that guests write, if it can (default Y; needs eptad)");

DEFINE_PER_CPU(struct vmx_counts, vmx_counts);
/* The vCPU whose VMCS is current here, inside the run section */
DEFINE_PER_CPU(struct mv_vcpu *, vmx_current);
DEFINE_STATIC_KEY_FALSE(vmx_count_key);

static int set_count_vmx(const char *val, const struct kernel_param *kp)
{
	bool on;
	int ret = kstrtobool(val, &on);

	if (ret)
		return ret;
	if (on)
		static_branch_enable(&vmx_count_key);
	else
		static_branch_disable(&vmx_count_key);
	return 0;
}

static int get_count_vmx(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%c\n",
			  static_key_enabled(&vmx_count_key) ? 'Y' : 'N');
}

static const struct kernel_param_ops count_vmx_ops = {
	.set = set_count_vmx,
	.get = get_count_vmx,
};

module_param_cb(count_vmx, &count_vmx_ops, NULL, 0644);
MODULE_PARM_DESC(count_vmx,
		 "count VMREADs, VMWRITEs and WRMSRs in debugfs minivmm/");

/**
 * vmx_access_failed() - a VMREAD or VMWRITE failed
 * @what: which of them
 * @field: field encoding (SDM appendix B)
 *
 * Always a bug of ours: the field does not exist on this CPU, or no VMCS is
 * current. Says so once; the VM of the running section dies.
 */
void vmx_access_failed(const char *what, unsigned long field)
{
	struct mv_vcpu *vcpu = __this_cpu_read(vmx_current);

	WARN_ONCE(1, "minivmm: %s of field %#lx failed\n", what, field);
	if (vcpu)
		vcpu->vm->dead = true;
}

static u64 sum_counts(size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *(u64 *)((void *)per_cpu_ptr(&vmx_counts, cpu) + offset);
	return sum;
}

static int count_get(void *data, u64 *val)
{
	*val = sum_counts((size_t)data);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(count_fops, count_get, NULL, "%llu\n");

static struct dentry *debugfs_dir;

static void create_debugfs(void)
{
	debugfs_dir = debugfs_create_dir("minivmm", NULL);
	debugfs_create_file("vmread", 0444, debugfs_dir,
			    (void *)offsetof(struct vmx_counts, vmread),
			    &count_fops);
	debugfs_create_file("vmwrite", 0444, debugfs_dir,
			    (void *)offsetof(struct vmx_counts, vmwrite),
			    &count_fops);
	debugfs_create_file("wrmsr", 0444, debugfs_dir,
			    (void *)offsetof(struct vmx_counts, wrmsr),
			    &count_fops);
}

static struct mv_ops vmx_ops = {
	.owner = THIS_MODULE,
	.name = "VMX",
	.vm_create = vmx_vm_create,
	.vm_destroy = vmx_vm_destroy,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.run = vmx_run,
	.fetch = vmx_fetch,
	.host_event = vmx_host_event,
	.map = vmx_ept_map,
	.change = vmx_ept_change,
};

static int __init vmx_init(void)
{
	int ret = vmx_caps_init(&vmx_ops.caps);

	if (ret)
		return ret;
	if (vmx_has_apicv())
		vmx_ops.notify = vmx_notify;
	ret = vmx_host_init();
	if (ret)
		return ret;
	ret = vmx_vmcs_init();
	if (ret)
		goto host_exit;
	ret = mv_register_backend(&vmx_ops);
	if (ret)
		goto vmcs_exit;
	create_debugfs();
	return 0;

vmcs_exit:
	vmx_vmcs_exit();
host_exit:
	vmx_host_exit();
	return ret;
}

static void __exit vmx_module_exit(void)
{
	debugfs_remove(debugfs_dir);
	mv_unregister_backend(&vmx_ops);
	vmx_vmcs_exit();
	vmx_host_exit();
}

module_init(vmx_init);
module_exit(vmx_module_exit);

MODULE_DESCRIPTION("minivmm back end for Intel VMX");
MODULE_LICENSE("GPL");

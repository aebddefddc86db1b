// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's file descriptor: creation, the mapped run page, ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core.h"

static void free_pages_of(struct mv_vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_data);
}

static struct mv_vcpu *mv_vcpu_create(struct mv_vm *vm, u32 id)
{
	struct mv_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(ret);
	mutex_init(&vcpu->mutex);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	rcuwait_init(&vcpu->wait);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run || !vcpu->pio_data)
		goto free_pages;
	ret = mv_fpu_create(vcpu);
	if (ret)
		goto free_pages;
	ret = mv_msr_create(vcpu);
	if (ret)
		goto destroy_fpu;
	mv_state_reset(vcpu);
	if (vm->irqchip != MV_IRQCHIP_USER) {
		ret = mv_apic_create(vcpu);
		if (ret)
			goto destroy_msrs;
		/* Those that do not boot wait for an INIT. */
		if (id != vm->boot_id)
			vcpu->mp_state = MINIVMM_MP_STATE_UNINITIALIZED;
	}
	ret = mv_ops->vcpu_create(vcpu);
	if (ret)
		goto destroy_apic;
	return vcpu;

destroy_apic:
	mv_apic_destroy(vcpu);
destroy_msrs:
	mv_msr_destroy(vcpu);
destroy_fpu:
	mv_fpu_destroy(vcpu);
free_pages:
	free_pages_of(vcpu);
	kfree(vcpu);
	return ERR_PTR(ret);
}

/**
 * mv_vcpu_destroy() - free a vCPU
 * @vcpu: nobody has a file descriptor for it any more
 */
void mv_vcpu_destroy(struct mv_vcpu *vcpu)
{
	mv_ops->vcpu_destroy(vcpu);
	mv_apic_destroy(vcpu);
	put_pid(rcu_dereference_protected(vcpu->pid, true));
	mv_msr_destroy(vcpu);
	mv_fpu_destroy(vcpu);
	mv_page_cache_free(vcpu);
	kfree(vcpu->mmio);
	kvfree(vcpu->cpuid.entries);
	free_pages_of(vcpu);
	kfree(vcpu);
}

static int mv_vcpu_release(struct inode *inode, struct file *file)
{
	struct mv_vcpu *vcpu = file->private_data;

	mv_vm_put(vcpu->vm);
	return 0;
}

/* The run page, the data of port I/O, the VM's ring of coalesced writes */
static vm_fault_t mv_vcpu_fault(struct vm_fault *vmf)
{
	struct mv_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff == 0)
		vmf->page = virt_to_page(vcpu->run);
	else if (vmf->pgoff == MINIVMM_PIO_PAGE_OFFSET)
		vmf->page = virt_to_page(vcpu->pio_data);
	else if (vmf->pgoff == MINIVMM_COALESCED_MMIO_PAGE_OFFSET)
		vmf->page = virt_to_page(vcpu->vm->coalesced_ring);
	else
		return VM_FAULT_SIGBUS;
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct mv_vcpu_vm_ops = {
	.fault = mv_vcpu_fault,
};

static int mv_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &mv_vcpu_vm_ops;
	return 0;
}

static int vcpu_get_regs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_regs regs;

	mv_get_regs(vcpu, &regs);
	return copy_to_user(argp, &regs, sizeof(regs)) ? -EFAULT : 0;
}

static int vcpu_set_regs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_regs regs;

	if (copy_from_user(&regs, argp, sizeof(regs)))
		return -EFAULT;
	mv_set_regs(vcpu, &regs);
	return 0;
}

static int vcpu_get_sregs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_sregs sregs;

	mv_get_sregs(vcpu, &sregs);
	return copy_to_user(argp, &sregs, sizeof(sregs)) ? -EFAULT : 0;
}

static int vcpu_set_sregs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_sregs sregs;

	if (copy_from_user(&sregs, argp, sizeof(sregs)))
		return -EFAULT;
	return mv_set_sregs(vcpu, &sregs);
}

static int vcpu_get_sregs2(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_sregs2 sregs;

	mv_get_sregs2(vcpu, &sregs);
	return copy_to_user(argp, &sregs, sizeof(sregs)) ? -EFAULT : 0;
}

static int vcpu_set_sregs2(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_sregs2 sregs;

	if (copy_from_user(&sregs, argp, sizeof(sregs)))
		return -EFAULT;
	return mv_set_sregs2(vcpu, &sregs);
}

static int vcpu_get_fpu(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_fpu fpu;

	mv_get_fpu(vcpu, &fpu);
	return copy_to_user(argp, &fpu, sizeof(fpu)) ? -EFAULT : 0;
}

static int vcpu_set_fpu(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_fpu fpu;

	if (copy_from_user(&fpu, argp, sizeof(fpu)))
		return -EFAULT;
	return mv_set_fpu(vcpu, &fpu);
}

static int vcpu_get_xcrs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_xcrs xcrs;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	mv_get_xcrs(vcpu, &xcrs);
	return copy_to_user(argp, &xcrs, sizeof(xcrs)) ? -EFAULT : 0;
}

static int vcpu_set_xcrs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_xcrs xcrs;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	if (copy_from_user(&xcrs, argp, sizeof(xcrs)))
		return -EFAULT;
	return mv_set_xcrs(vcpu, &xcrs);
}

static int vcpu_get_events(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_vcpu_events events;

	mv_get_events(vcpu, &events);
	return copy_to_user(argp, &events, sizeof(events)) ? -EFAULT : 0;
}

static int vcpu_set_events(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_vcpu_events events;

	if (copy_from_user(&events, argp, sizeof(events)))
		return -EFAULT;
	return mv_set_events(vcpu, &events);
}

static int vcpu_get_debugregs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_debugregs dbg;

	mv_get_debugregs(vcpu, &dbg);
	return copy_to_user(argp, &dbg, sizeof(dbg)) ? -EFAULT : 0;
}

static int vcpu_set_debugregs(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_debugregs dbg;

	if (copy_from_user(&dbg, argp, sizeof(dbg)))
		return -EFAULT;
	return mv_set_debugregs(vcpu, &dbg);
}

static int vcpu_set_guest_debug(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_guest_debug dbg;

	if (copy_from_user(&dbg, argp, sizeof(dbg)))
		return -EFAULT;
	return mv_set_guest_debug(vcpu, &dbg);
}

static int vcpu_get_mp_state(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_mp_state state = { mv_get_mp_state(vcpu) };

	return copy_to_user(argp, &state, sizeof(state)) ? -EFAULT : 0;
}

static int vcpu_set_mp_state(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_mp_state state;

	if (copy_from_user(&state, argp, sizeof(state)))
		return -EFAULT;
	return mv_set_mp_state(vcpu, state.mp_state);
}

static int vcpu_get_lapic(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_lapic_state *state;
	int ret;

	state = kmalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
	if (!state)
		return -ENOMEM;
	ret = mv_get_lapic(vcpu, state);
	if (!ret && copy_to_user(argp, state, sizeof(*state)))
		ret = -EFAULT;
	kfree(state);
	return ret;
}

static int vcpu_set_lapic(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_lapic_state *state;
	int ret;

	if (!vcpu->lapic)
		return -EINVAL;
	state = memdup_user(argp, sizeof(*state));
	if (IS_ERR(state))
		return PTR_ERR(state);
	ret = mv_set_lapic(vcpu, state);
	kfree(state);
	return ret;
}

static int vcpu_pre_fault(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_pre_fault_memory range;
	int ret;

	if (copy_from_user(&range, argp, sizeof(range)))
		return -EFAULT;
	ret = mv_pre_fault(vcpu, &range);
	/* How far it went is of interest after a failure too. */
	if (copy_to_user(argp, &range, sizeof(range)))
		return -EFAULT;
	return ret;
}

/* KVM's page for Windows XP's TPR, which CPUs with a TPR shadow do without */
static int vcpu_set_vapic_addr(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_vapic_addr va;

	if (!vcpu->lapic)
		return -EINVAL;
	if (copy_from_user(&va, argp, sizeof(va)))
		return -EFAULT;
	return va.vapic_addr ? -EINVAL : 0;
}

static int vcpu_setup_mce(struct mv_vcpu *vcpu, void __user *argp)
{
	u64 cap;

	if (copy_from_user(&cap, argp, sizeof(cap)))
		return -EFAULT;
	return mv_setup_mce(vcpu, cap);
}

static int vcpu_set_mce(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_x86_mce mce;

	if (copy_from_user(&mce, argp, sizeof(mce)))
		return -EFAULT;
	return mv_set_mce(vcpu, &mce);
}

static int vcpu_translate(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_translation tr;
	int ret;

	if (copy_from_user(&tr, argp, sizeof(tr)))
		return -EFAULT;
	ret = mv_translate(vcpu, &tr);
	if (ret)
		return ret;
	return copy_to_user(argp, &tr, sizeof(tr)) ? -EFAULT : 0;
}

static int vcpu_interrupt(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_interrupt irq;

	if (copy_from_user(&irq, argp, sizeof(irq)))
		return -EFAULT;
	return mv_queue_interrupt(vcpu, irq.irq);
}

static int vcpu_nmi(struct mv_vcpu *vcpu)
{
	mv_queue_nmi(vcpu);
	return 0;
}

static int vcpu_set_signal_mask(struct mv_vcpu *vcpu, void __user *argp)
{
	struct minivmm_signal_mask __user *user = argp;
	sigset_t set;
	u32 len;

	if (!user) {
		vcpu->sigmask_set = false;
		return 0;
	}
	if (get_user(len, &user->len))
		return -EFAULT;
	if (len != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, user->sigset, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigmask = set;
	vcpu->sigmask_set = true;
	return 0;
}

static int vcpu_ioctl_locked(struct mv_vcpu *vcpu, unsigned int cmd,
			     unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	/* Without jump tables (retpolines) a switch is a search. */
	if (likely(cmd == MINIVMM_RUN))
		return arg ? -EINVAL : mv_vcpu_run(vcpu);
	switch (cmd) {
	case MINIVMM_GET_REGS:
		return vcpu_get_regs(vcpu, argp);
	case MINIVMM_SET_REGS:
		return vcpu_set_regs(vcpu, argp);
	case MINIVMM_GET_SREGS:
		return vcpu_get_sregs(vcpu, argp);
	case MINIVMM_SET_SREGS:
		return vcpu_set_sregs(vcpu, argp);
	case MINIVMM_GET_SREGS2:
		return vcpu_get_sregs2(vcpu, argp);
	case MINIVMM_SET_SREGS2:
		return vcpu_set_sregs2(vcpu, argp);
	case MINIVMM_GET_FPU:
		return vcpu_get_fpu(vcpu, argp);
	case MINIVMM_SET_FPU:
		return vcpu_set_fpu(vcpu, argp);
	case MINIVMM_GET_XSAVE:
	case MINIVMM_GET_XSAVE2:
		return mv_get_xsave(vcpu, argp);
	case MINIVMM_SET_XSAVE:
		return mv_set_xsave(vcpu, argp);
	case MINIVMM_GET_XCRS:
		return vcpu_get_xcrs(vcpu, argp);
	case MINIVMM_SET_XCRS:
		return vcpu_set_xcrs(vcpu, argp);
	case MINIVMM_GET_MSRS:
		return mv_get_msrs(vcpu, argp);
	case MINIVMM_SET_MSRS:
		return mv_set_msrs(vcpu, argp);
	case MINIVMM_GET_CPUID2:
		return mv_get_cpuid(vcpu, argp);
	case MINIVMM_SET_CPUID2:
		return mv_set_cpuid(vcpu, argp);
	case MINIVMM_GET_TSC_KHZ:
		return vcpu->tsc_khz;
	case MINIVMM_SET_TSC_KHZ:
		/* 32 bits of the argument count, for KVM */
		return mv_set_tsc_khz(vcpu, arg);
	case MINIVMM_GET_VCPU_EVENTS:
		return vcpu_get_events(vcpu, argp);
	case MINIVMM_SET_VCPU_EVENTS:
		return vcpu_set_events(vcpu, argp);
	case MINIVMM_GET_DEBUGREGS:
		return vcpu_get_debugregs(vcpu, argp);
	case MINIVMM_SET_DEBUGREGS:
		return vcpu_set_debugregs(vcpu, argp);
	case MINIVMM_SET_GUEST_DEBUG:
		return vcpu_set_guest_debug(vcpu, argp);
	case MINIVMM_GET_MP_STATE:
		return vcpu_get_mp_state(vcpu, argp);
	case MINIVMM_SET_MP_STATE:
		return vcpu_set_mp_state(vcpu, argp);
	case MINIVMM_GET_LAPIC:
		return vcpu_get_lapic(vcpu, argp);
	case MINIVMM_SET_LAPIC:
		return vcpu_set_lapic(vcpu, argp);
	case MINIVMM_PRE_FAULT_MEMORY:
		return vcpu_pre_fault(vcpu, argp);
	case MINIVMM_SET_VAPIC_ADDR:
		return vcpu_set_vapic_addr(vcpu, argp);
	case MINIVMM_X86_SETUP_MCE:
		return vcpu_setup_mce(vcpu, argp);
	case MINIVMM_X86_SET_MCE:
		return vcpu_set_mce(vcpu, argp);
	case MINIVMM_TRANSLATE:
		return vcpu_translate(vcpu, argp);
	case MINIVMM_INTERRUPT:
		return vcpu_interrupt(vcpu, argp);
	case MINIVMM_NMI:
		return vcpu_nmi(vcpu);
	case MINIVMM_GET_STATS_FD:
		return mv_vcpu_stats_fd(vcpu);
	case MINIVMM_SET_SIGNAL_MASK:
		return vcpu_set_signal_mask(vcpu, argp);
	case MINIVMM_ENABLE_CAP:
		return mv_vcpu_enable_cap(vcpu, argp);
	case MINIVMM_SET_DEVICE_ATTR:
	case MINIVMM_GET_DEVICE_ATTR:
	case MINIVMM_HAS_DEVICE_ATTR:
		return mv_vcpu_device_attr(vcpu, cmd, argp);
	default:
		/* Not ENOTTY: clients see here what they see from KVM. */
		return -EINVAL;
	}
}

static long mv_vcpu_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	struct mv_vcpu *vcpu = file->private_data;
	int ret;

	if (vcpu->vm->mm != current->mm || vcpu->vm->dead)
		return -EIO;
	if (_IOC_TYPE(cmd) != MINIVMMIO)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	ret = vcpu_ioctl_locked(vcpu, cmd, arg);
	mutex_unlock(&vcpu->mutex);
	/* A bug of ours, caught just now: whatever came out is not to be used */
	if (unlikely(vcpu->vm->dead))
		ret = -EIO;
	return ret;
}

static const struct file_operations mv_vcpu_fops = {
	.owner = THIS_MODULE,
	.release = mv_vcpu_release,
	.unlocked_ioctl = mv_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = mv_vcpu_mmap,
	.llseek = noop_llseek,
};

/* vm->lock is held: the number cannot be taken twice. */
static int create_fd_locked(struct mv_vm *vm, u32 id)
{
	struct mv_vcpu *vcpu;
	int fd;

	if (vm->id_limit && id >= vm->id_limit)
		return -EINVAL;
	if (vm->vcpus[id])
		return -EEXIST;
	if (vm->nr_vcpus == MV_MAX_VCPUS)
		return -EINVAL;
	vcpu = mv_vcpu_create(vm, id);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);

	mv_vm_get(vm);
	fd = anon_inode_getfd("minivmm-vcpu", &mv_vcpu_fops, vcpu,
			      O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		mv_vcpu_destroy(vcpu);
		mv_vm_put(vm);
		return fd;
	}
	WRITE_ONCE(vm->max_id, max(vm->max_id, id));
	/* Others may send to it from now on. */
	smp_store_release(&vm->vcpus[id], vcpu);
	vm->nr_vcpus++;
	return fd;
}

/**
 * mv_vcpu_create_fd() - MINIVMM_CREATE_VCPU
 * @vm: the VM
 * @id: its number there, below MV_MAX_VCPU_ID
 *
 * Return: a file descriptor, or a negative errno.
 */
int mv_vcpu_create_fd(struct mv_vm *vm, u32 id)
{
	int fd;

	if (id >= MV_MAX_VCPU_ID)
		return -EINVAL;
	id = array_index_nospec(id, MV_MAX_VCPU_ID);
	mutex_lock(&vm->lock);
	fd = create_fd_locked(vm, id);
	mutex_unlock(&vm->lock);
	return fd;
}

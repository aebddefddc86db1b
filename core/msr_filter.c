// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSR accesses that are the client's business: a filter of what its guest may
 * access, and exits for accesses that fail.
 *
 * Run sections read the filter. Their interrupts are off, which makes them
 * readers of RCU.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/trapnr.h>
#include "core.h"

#define RANGE_FLAGS	(MINIVMM_MSR_FILTER_READ | MINIVMM_MSR_FILTER_WRITE)

struct msr_range {
	u32 flags;
	u32 base, nmsrs;
	unsigned long *bitmap;
};

/* One allocation: the ranges' bitmaps are in @bits. */
struct mv_msr_filter {
	bool default_allow;
	u32 count;
	struct msr_range ranges[MINIVMM_MSR_FILTER_MAX_RANGES];
	unsigned long bits[];
};

/**
 * mv_msr_allowed() - may the guest access an MSR?
 * @filter: the filter
 * @index: the MSR; none of the x2APIC's, which are not filtered
 * @access: MINIVMM_MSR_FILTER_READ or _WRITE
 *
 * Context: any.
 */
bool mv_msr_allowed(const struct mv_msr_filter *filter, u32 index, u32 access)
{
	u32 i;

	for (i = 0; i < filter->count; i++) {
		const struct msr_range *range = &filter->ranges[i];
		u32 bit = index - range->base;

		if (!(range->flags & access) || index < range->base ||
		    bit >= range->nmsrs)
			continue;
		/* The guest chooses @index. */
		bit = array_index_nospec(bit, range->nmsrs);
		return test_bit(bit, range->bitmap);
	}
	return filter->default_allow;
}

static size_t bitmap_longs(const struct minivmm_msr_filter_range *range)
{
	return BITS_TO_LONGS(range->nmsrs);
}

/* What a range takes of mv_msr_filter.bits; bitmaps that are too long: nothing */
static size_t range_longs(const struct minivmm_msr_filter_range *range)
{
	size_t longs = bitmap_longs(range);

	return longs * sizeof(long) > MINIVMM_MSR_FILTER_MAX_BITMAP_SIZE ?
	       0 : longs;
}

/* @bits: room for range_longs(). The client's bitmap is read in whole longs. */
static int take_range(struct mv_msr_filter *filter, unsigned long *bits,
		      const struct minivmm_msr_filter_range *args)
{
	if (!args->nmsrs)
		return 0;
	if (!args->flags || (args->flags & ~RANGE_FLAGS) || !range_longs(args))
		return -EINVAL;
	if (copy_from_user(bits, (void __user *)args->bitmap,
			   range_longs(args) * sizeof(long)))
		return -EFAULT;
	filter->ranges[filter->count++] = (struct msr_range) {
		.flags = args->flags,
		.base = args->base,
		.nmsrs = args->nmsrs,
		.bitmap = bits,
	};
	return 0;
}

static struct mv_msr_filter *
create_filter(const struct minivmm_msr_filter *args)
{
	struct mv_msr_filter *filter;
	unsigned long *bits;
	size_t longs = 0;
	int i, ret = 0;

	for (i = 0; i < MINIVMM_MSR_FILTER_MAX_RANGES; i++)
		longs += range_longs(&args->ranges[i]);
	filter = kvzalloc(struct_size(filter, bits, longs), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->default_allow = !(args->flags & MINIVMM_MSR_FILTER_DEFAULT_DENY);
	bits = filter->bits;
	for (i = 0; i < MINIVMM_MSR_FILTER_MAX_RANGES && !ret; i++) {
		ret = take_range(filter, bits, &args->ranges[i]);
		bits += range_longs(&args->ranges[i]);
	}
	if (!ret)
		return filter;
	kvfree(filter);
	return ERR_PTR(ret);
}

/* A filter that denies all needs a range that says so, as with KVM. */
static bool denies_by_default_alone(const struct minivmm_msr_filter *args)
{
	int i;

	for (i = 0; i < MINIVMM_MSR_FILTER_MAX_RANGES; i++)
		if (args->ranges[i].nmsrs)
			return false;
	return args->flags & MINIVMM_MSR_FILTER_DEFAULT_DENY;
}

/* Under vm->lock no vCPU can be made that would miss it. */
static struct mv_msr_filter *replace(struct mv_vm *vm,
				     struct mv_msr_filter *filter)
{
	struct mv_msr_filter *old;
	u32 id;

	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->msr_filter, filter,
				  lockdep_is_held(&vm->lock));
	WRITE_ONCE(vm->msrs_exit, mv_direct_msr_denied(filter));
	for (id = 0; id <= vm->max_id; id++)
		if (vm->vcpus[id])
			mv_request(vm->vcpus[id], MV_REQ_MSRS);
	mutex_unlock(&vm->lock);
	return old;
}

/**
 * mv_set_msr_filter() - MINIVMM_X86_SET_MSR_FILTER
 * @vm: the VM
 * @args: the filter that takes the place of the one before
 *
 * Context: may sleep. No vCPU uses the old filter when this returns.
 * Return: 0, -EINVAL, -EFAULT or -ENOMEM with nothing changed.
 */
int mv_set_msr_filter(struct mv_vm *vm, const struct minivmm_msr_filter *args)
{
	struct mv_msr_filter *filter;

	if (args->flags & ~MINIVMM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	if (denies_by_default_alone(args))
		return -EINVAL;
	filter = create_filter(args);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	filter = replace(vm, filter);
	synchronize_rcu();
	kvfree(filter);
	return 0;
}

/**
 * mv_msr_filter_destroy() - the VM goes
 * @vm: no vCPU is left
 */
void mv_msr_filter_destroy(struct mv_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->msr_filter, true));
}

/* ---- exits ------------------------------------------------------------------ */

static u32 exit_reason(int error)
{
	switch (error) {
	case -EACCES:
		return MINIVMM_MSR_EXIT_REASON_FILTER;
	case -ENOENT:
		return MINIVMM_MSR_EXIT_REASON_UNKNOWN;
	default:
		return MINIVMM_MSR_EXIT_REASON_INVAL;
	}
}

static int inject_gp(struct mv_vcpu *vcpu)
{
	mv_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return 1;
}

/* What the access was stays in vcpu->exit: user space can write the run page. */
static int complete_msr(struct mv_vcpu *vcpu)
{
	struct minivmm_run *run = vcpu->run;
	u64 data;

	if (READ_ONCE(run->msr.error))
		return inject_gp(vcpu);
	if (!vcpu->exit.msr.write) {
		data = READ_ONCE(run->msr.data);
		vcpu->regs[MV_RAX] = (u32)data;
		vcpu->regs[MV_RDX] = data >> 32;
	}
	mv_skip_insn(vcpu);
	return 1;
}

/**
 * mv_handle_msr() - an RDMSR or WRMSR failed
 * @vcpu: vcpu->exit.msr says which and why
 */
int mv_handle_msr(struct mv_vcpu *vcpu)
{
	const struct mv_exit *exit = &vcpu->exit;
	u32 reason = exit_reason(exit->msr.error);
	struct minivmm_run *run = vcpu->run;

	if (!(READ_ONCE(vcpu->vm->msr_exits) & reason))
		return inject_gp(vcpu);
	run->exit_reason = exit->msr.write ? MINIVMM_EXIT_X86_WRMSR :
					     MINIVMM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = exit->msr.index;
	run->msr.data = exit->msr.data;
	vcpu->complete = complete_msr;
	return 0;
}

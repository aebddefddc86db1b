// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time-stamp counter.
 *
 *	guest TSC = host TSC * ratio + offset
 *
 * in 64 bits, the product cut to whole ticks, as the CPU does it for the
 * guest's RDTSC (SDM 25.6.5, 26.3). The ratio is a fixed-point
 * number with caps.tsc_frac_bits bits of fraction; a back end that cannot
 * scale has none, and every ratio is 1.
 */
#include <linux/bits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "core.h"

/* A rate so near to the host's is the host's: clients restore what they read. */
#define TOLERANCE_PPM	250

/* In kHz; above, KVM refuses. */
#define MAX_KHZ		0x7fffffffULL

static u64 ratio_of_one(void)
{
	return BIT_ULL(mv_ops->caps.tsc_frac_bits);
}

static u64 scale(u64 ratio, u64 host_tsc)
{
	return mul_u64_u64_shr(host_tsc, ratio, mv_ops->caps.tsc_frac_bits);
}

/**
 * mv_guest_tsc() - what the guest's TSC reads
 * @vcpu: the vCPU
 * @host_tsc: when the host's reads this
 *
 * Context: any.
 */
u64 mv_guest_tsc(const struct mv_vcpu *vcpu, u64 host_tsc)
{
	return scale(vcpu->tsc_ratio, host_tsc) + vcpu->tsc_offset;
}

/* The first host TSC at which the scaled one has come to @ticks, or U64_MAX */
static u64 unscale(u64 ratio, u64 ticks)
{
	u64 one = ratio_of_one();
	u64 host_tsc;

	if (ratio == one)
		return ticks;
	/* The division below traps if its result does not fit. */
	if (mul_u64_u64_shr(ticks, one, 64) >= ratio)
		return U64_MAX;
	host_tsc = mul_u64_u64_div_u64(ticks, one, ratio);
	return host_tsc + (scale(ratio, host_tsc) < ticks);
}

/**
 * mv_host_tsc() - when does the guest's TSC reach a value?
 * @vcpu: the vCPU
 * @guest_tsc: an unsigned number: what is above the guest's TSC is ahead
 *
 * Context: any.
 * Return: the first host TSC at which the guest's reads @guest_tsc or more; 0
 * if it did so before the host's started, U64_MAX if it never will.
 */
u64 mv_host_tsc(const struct mv_vcpu *vcpu, u64 guest_tsc)
{
	u64 ticks = guest_tsc - vcpu->tsc_offset;

	/* The offset is a signed number, so the difference has 65 bits. */
	if ((s64)vcpu->tsc_offset >= 0) {
		if (guest_tsc < vcpu->tsc_offset)
			return 0;
	} else if (ticks < guest_tsc) {
		return U64_MAX;
	}
	return unscale(vcpu->tsc_ratio, ticks);
}

/* ---- the rate ------------------------------------------------------------------ */

static bool is_host_rate(u32 khz)
{
	u64 margin = div_u64((u64)tsc_khz * TOLERANCE_PPM, 1000000);

	return khz >= tsc_khz - margin && khz <= tsc_khz + margin;
}

/**
 * mv_tsc_can_scale() - MINIVMM_CAP_TSC_CONTROL
 */
bool mv_tsc_can_scale(void)
{
	return mv_ops->caps.tsc_frac_bits;
}

/**
 * mv_tsc_is_scaled() - does the guest's TSC run at another rate?
 * @vcpu: the vCPU; a rate within TOLERANCE_PPM of the host's is the host's
 */
bool mv_tsc_is_scaled(const struct mv_vcpu *vcpu)
{
	return vcpu->tsc_ratio != ratio_of_one();
}

/* 0 if the CPU cannot do it */
static u64 ratio_for(u32 khz)
{
	const struct mv_caps *caps = &mv_ops->caps;
	u64 limit, ratio;

	if (is_host_rate(khz))
		return ratio_of_one();
	if (!mv_tsc_can_scale())
		return 0;
	limit = min(MAX_KHZ, scale(caps->tsc_max_ratio, tsc_khz));
	if (khz >= limit)
		return 0;
	ratio = mul_u64_u32_div(ratio_of_one(), khz, tsc_khz);
	return ratio < caps->tsc_max_ratio ? ratio : 0;
}

/* ---- the client's and the guest's writes ------------------------------------- */

static void set_offset(struct mv_vcpu *vcpu, u64 offset)
{
	vcpu->tsc_offset = offset;
	vcpu->dirty |= MV_STATE_MSRS;
	mv_clock_forget(vcpu);
	mv_apic_tsc_moved(vcpu);
}

/**
 * mv_tsc_reset() - a new vCPU counts as the others do
 * @vcpu: the vCPU; its VM's TSC starts at 0 when the VM is made
 */
void mv_tsc_reset(struct mv_vcpu *vcpu)
{
	struct mv_vm *vm = vcpu->vm;
	u64 offset;

	spin_lock(&vm->time_lock);
	vcpu->tsc_khz = vm->tsc_khz;
	vcpu->tsc_ratio = vm->tsc_ratio;
	if (vm->tsc_sync.ratio == vcpu->tsc_ratio)
		offset = vm->tsc_sync.offset;
	else
		offset = -scale(vcpu->tsc_ratio, vm->tsc_base);
	spin_unlock(&vm->time_lock);
	set_offset(vcpu, offset);
}

/**
 * mv_tsc_init() - a new VM's TSC starts at 0
 * @vm: the VM
 */
void mv_tsc_init(struct mv_vm *vm)
{
	spin_lock_init(&vm->time_lock);
	vm->tsc_khz = tsc_khz;
	vm->tsc_ratio = ratio_of_one();
	vm->tsc_base = rdtsc();
	vm->tsc_sync.offset = -vm->tsc_base;
	vm->tsc_sync.ratio = ratio_of_one();
}

/*
 * Clients write one vCPU's TSC after the other and mean the same moment. So
 * a value within a second of what the one written before reads by now, or 0,
 * which stands for a reset, is not taken at its word.
 */
static bool means_to_sync(const struct mv_vcpu *vcpu, u64 host_tsc, u64 data)
{
	const struct mv_vm *vm = vcpu->vm;
	u64 expected = scale(vcpu->tsc_ratio, host_tsc) + vm->tsc_sync.offset;
	u64 second = vcpu->tsc_khz * 1000ULL;

	if (vcpu->tsc_ratio != vm->tsc_sync.ratio)
		return false;
	if (!data)
		return true;
	return vm->tsc_sync.written &&
	       data - expected + second - 1 < 2 * second - 1;
}

/**
 * mv_client_write_tsc() - SET_MSRS of IA32_TSC
 * @vcpu: the vCPU
 * @data: the value; see means_to_sync()
 *
 * Context: process context, vcpu->mutex held.
 */
void mv_client_write_tsc(struct mv_vcpu *vcpu, u64 data)
{
	struct mv_vm *vm = vcpu->vm;
	u64 host_tsc = rdtsc();

	spin_lock(&vm->time_lock);
	if (!means_to_sync(vcpu, host_tsc, data)) {
		vm->tsc_sync.offset = data - scale(vcpu->tsc_ratio, host_tsc);
		vm->tsc_sync.ratio = vcpu->tsc_ratio;
	}
	if (data)
		vm->tsc_sync.written = true;
	set_offset(vcpu, vm->tsc_sync.offset);
	spin_unlock(&vm->time_lock);
}

/**
 * mv_client_set_tsc_offset() - the client says what is added to the host's TSC
 * @vcpu: the vCPU
 * @offset: the number
 *
 * Context: process context, vcpu->mutex held.
 */
void mv_client_set_tsc_offset(struct mv_vcpu *vcpu, u64 offset)
{
	struct mv_vm *vm = vcpu->vm;

	spin_lock(&vm->time_lock);
	vm->tsc_sync.offset = offset;
	vm->tsc_sync.ratio = vcpu->tsc_ratio;
	vm->tsc_sync.written = true;
	set_offset(vcpu, offset);
	spin_unlock(&vm->time_lock);
}

/**
 * mv_guest_write_tsc() - WRMSR of IA32_TSC by the guest
 * @vcpu: the vCPU. TSC_ADJUST moves along (SDM 18.17.3).
 * @data: the value
 *
 * Context: inside the run section.
 */
void mv_guest_write_tsc(struct mv_vcpu *vcpu, u64 data)
{
	u64 offset = data - scale(vcpu->tsc_ratio, rdtsc());

	vcpu->tsc_adjust += offset - vcpu->tsc_offset;
	set_offset(vcpu, offset);
}

/**
 * mv_guest_write_tsc_adjust() - WRMSR of IA32_TSC_ADJUST by the guest
 * @vcpu: the vCPU. The TSC moves along.
 * @data: the value
 *
 * Context: inside the run section.
 */
void mv_guest_write_tsc_adjust(struct mv_vcpu *vcpu, u64 data)
{
	set_offset(vcpu, vcpu->tsc_offset + data - vcpu->tsc_adjust);
	vcpu->tsc_adjust = data;
}

/**
 * mv_set_tsc_khz() - MINIVMM_SET_TSC_KHZ
 * @vcpu: the vCPU
 * @khz: how fast the guest's TSC shall run; 0: as the host's
 *
 * The TSC goes on as if it had run at that rate since the VM was made, so that
 * vCPUs that agreed before agree again when all have been told.
 *
 * Return: 0, or -EINVAL if the CPU cannot do it.
 */
int mv_set_tsc_khz(struct mv_vcpu *vcpu, u32 khz)
{
	u64 start = mv_guest_tsc(vcpu, vcpu->vm->tsc_base);
	u64 ratio;

	if (!khz)
		khz = tsc_khz;
	ratio = ratio_for(khz);
	if (!ratio)
		return -EINVAL;
	vcpu->tsc_khz = khz;
	vcpu->tsc_ratio = ratio;
	set_offset(vcpu, start - scale(ratio, vcpu->vm->tsc_base));
	return 0;
}

/**
 * mv_vm_set_tsc_khz() - MINIVMM_SET_TSC_KHZ on a VM: for vCPUs to come
 * @vm: the VM
 * @khz: as of mv_set_tsc_khz()
 *
 * Return: 0, or -EINVAL if the CPU cannot do it.
 */
int mv_vm_set_tsc_khz(struct mv_vm *vm, u32 khz)
{
	u64 ratio;

	if (!khz)
		khz = tsc_khz;
	ratio = ratio_for(khz);
	if (!ratio)
		return -EINVAL;
	spin_lock(&vm->time_lock);
	vm->tsc_khz = khz;
	vm->tsc_ratio = ratio;
	spin_unlock(&vm->time_lock);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual clock, KVM's "kvmclock".
 *
 * A VM's clock is a linear function of the host's TSC and of nothing else: it
 * was @ns when the host's TSC read @tsc, and it has run at one rate since. The
 * page that a guest reads holds the same function of the guest's TSC. So it is
 * written once; only SET_CLOCK, and a change of the guest's TSC, write it
 * again. All vCPUs' pages give the same time, to the nanosecond.
 */
#include <linux/compiler.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>
#include <uapi/asm/kvm_para.h>
#include "core.h"

static bool offered __ro_after_init;

/**
 * mv_clock_init() - can guests have the clock?
 *
 * The host's TSC must tick at one rate on all CPUs and never stop. If that is
 * found wrong later, the clock stays, without the promise to agree.
 *
 * Context: module load.
 */
void __init mv_clock_init(void)
{
	offered = boot_cpu_has(X86_FEATURE_CONSTANT_TSC) &&
		  boot_cpu_has(X86_FEATURE_NONSTOP_TSC) &&
		  !check_tsc_unstable();
}

bool mv_clock_offered(void)
{
	return offered;
}

/**
 * mv_clock_features() - the clock's bits of CPUID leaf 0x40000001, EAX
 */
u32 mv_clock_features(void)
{
	if (!offered)
		return 0;
	return BIT(KVM_FEATURE_CLOCKSOURCE) | BIT(KVM_FEATURE_CLOCKSOURCE2) |
	       BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
}

/* 1e6 / @khz as mul * 2^(shift - 32), with all 32 bits of mul in use */
static struct mv_tick_length tick_length(u32 khz)
{
	int shift = fls64((NSEC_PER_MSEC * 1ULL << 32) / khz) - 32;

	return (struct mv_tick_length) {
		.mul = shift < 0 ? (NSEC_PER_MSEC * 1ULL << (32 - shift)) / khz :
				   (NSEC_PER_MSEC * 1ULL << 32 >> shift) / khz,
		.shift = shift,
	};
}

/* vm->time_lock is held. */
static u64 clock_at(const struct mv_vm *vm, u64 host_tsc)
{
	const struct mv_tick_length *tick = &vm->clock.tick;
	u64 ticks = host_tsc - vm->clock.tsc;

	/* if the TSCs of two CPUs disagree: nobody's clock goes back far */
	if ((s64)ticks < 0)
		return vm->clock.ns;
	ticks = tick->shift < 0 ? ticks >> -tick->shift : ticks << tick->shift;
	return vm->clock.ns + mul_u64_u32_shr(ticks, tick->mul, 32);
}

/**
 * mv_clock_create() - a new VM's clock starts at 0
 * @vm: vm->tsc_base is known
 */
void mv_clock_create(struct mv_vm *vm)
{
	vm->clock.tsc = vm->tsc_base;
	vm->clock.tick = tick_length(tsc_khz);
	vm->clock.gen = 1;
}

/* ---- what the guest reads --------------------------------------------------------- */

/*
 * Both structures begin with a version: odd while the rest is written. What is
 * there already counts on, for the guest may have read it.
 *
 * The guest chose the address. If there is nothing to write to, it just has no
 * clock, as under KVM.
 */
static void write_versioned(struct mv_vcpu *vcpu, u64 gpa, u32 *version,
			    unsigned int size)
{
	u32 last;

	if (mv_read_gpa(vcpu, gpa, &last, sizeof(last)))
		return;
	*version = (last + 1) | 1;
	if (mv_write_gpa(vcpu, gpa, version, sizeof(*version)))
		return;
	smp_wmb();	/* readers on other vCPUs: version, rest, version */
	if (mv_write_gpa(vcpu, gpa, version, size))
		return;
	smp_wmb();	/* likewise */
	++*version;
	mv_write_gpa(vcpu, gpa, version, sizeof(*version));
}

/* vm->time_lock is held. */
static void fill_time_info(const struct mv_vcpu *vcpu,
			   struct pvclock_vcpu_time_info *info)
{
	const struct mv_vm *vm = vcpu->vm;
	struct mv_tick_length tick = vm->clock.tick;

	if (mv_tsc_is_scaled(vcpu))
		tick = tick_length(vcpu->tsc_khz);
	info->tsc_timestamp = mv_guest_tsc(vcpu, vm->clock.tsc);
	info->system_time = vm->clock.ns;
	info->tsc_to_system_mul = tick.mul;
	info->tsc_shift = tick.shift;
	info->flags = check_tsc_unstable() ? 0 : PVCLOCK_TSC_STABLE_BIT;
}

/* The real time when the clock was 0 */
static void write_wall_clock(struct mv_vcpu *vcpu, u64 gpa)
{
	struct minivmm_clock_data now;
	struct pvclock_wall_clock wall = {};
	u64 ns;
	u32 rest;

	mv_get_clock(vcpu->vm, &now);
	ns = div_u64_rem(now.realtime - now.clock, NSEC_PER_SEC, &rest);
	wall.sec = ns;
	wall.nsec = rest;
	write_versioned(vcpu, gpa, &wall.version, sizeof(wall));
}

/**
 * mv_clock_update() - write what the guest reads
 * @vcpu: mv_clock_stale()
 *
 * Context: RUN, outside the run section. May sleep.
 */
void mv_clock_update(struct mv_vcpu *vcpu)
{
	struct pvclock_vcpu_time_info info = {};
	struct mv_vm *vm = vcpu->vm;

	spin_lock(&vm->time_lock);
	vcpu->clock.gen = vm->clock.gen;
	fill_time_info(vcpu, &info);
	spin_unlock(&vm->time_lock);

	if (vcpu->clock.msr & KVM_MSR_ENABLED)
		write_versioned(vcpu, vcpu->clock.msr & ~KVM_MSR_ENABLED,
				&info.version, sizeof(info));
	if (vcpu->clock.wall_gpa) {
		write_wall_clock(vcpu, vcpu->clock.wall_gpa);
		vcpu->clock.wall_gpa = 0;
	}
}

/**
 * mv_clock_forget() - the vCPU's page is wrong, or not where it should be
 * @vcpu: has seen no generation of the clock
 *
 * Context: any, vcpu->mutex held.
 */
void mv_clock_forget(struct mv_vcpu *vcpu)
{
	if (vcpu->clock.msr & KVM_MSR_ENABLED)
		vcpu->clock.gen = 0;
}

/**
 * mv_write_system_time() - MSR_KVM_SYSTEM_TIME_NEW, or its old number
 * @vcpu: the vCPU
 * @data: the page's GPA, bit 0: enabled
 *
 * Context: any, vcpu->mutex held.
 */
void mv_write_system_time(struct mv_vcpu *vcpu, u64 data)
{
	vcpu->clock.msr = data;
	mv_clock_forget(vcpu);
}

/**
 * mv_write_wall_clock() - MSR_KVM_WALL_CLOCK_NEW, or its old number
 * @vcpu: the vCPU that writes; the MSR is one for all
 * @data: the structure's GPA; 0: none
 *
 * Context: any, vcpu->mutex held.
 */
void mv_write_wall_clock(struct mv_vcpu *vcpu, u64 data)
{
	WRITE_ONCE(vcpu->vm->clock.wall_msr, data);
	vcpu->clock.wall_gpa = data;
	if (data)
		vcpu->clock.gen = 0;
}

/* ---- what the client sees ----------------------------------------------------------- */

/**
 * mv_get_clock() - MINIVMM_GET_CLOCK
 * @vm: the VM
 * @data: its clock, the real time and the host's TSC, all of one moment
 *
 * Context: interrupts on.
 */
void mv_get_clock(struct mv_vm *vm, struct minivmm_clock_data *data)
{
	memset(data, 0, sizeof(*data));
	spin_lock(&vm->time_lock);
	local_irq_disable();
	data->host_tsc = rdtsc_ordered();
	data->realtime = ktime_get_real_ns();
	local_irq_enable();
	data->clock = clock_at(vm, data->host_tsc);
	spin_unlock(&vm->time_lock);
	data->flags = MINIVMM_CLOCK_REALTIME | MINIVMM_CLOCK_HOST_TSC;
	if (!check_tsc_unstable())
		data->flags |= MINIVMM_CLOCK_TSC_STABLE;
}

/**
 * mv_set_clock() - MINIVMM_SET_CLOCK
 * @vm: the VM
 * @data: the clock; with MINIVMM_CLOCK_REALTIME, at that time. The other flags
 *	are taken, and mean nothing, so that what GET_CLOCK gave can be set.
 *
 * When it returns no vCPU runs with the old one.
 *
 * Context: may sleep. Return: 0 or -EINVAL.
 */
int mv_set_clock(struct mv_vm *vm, const struct minivmm_clock_data *data)
{
	u64 clock = data->clock;

	if (data->flags & ~MV_CLOCK_FLAGS || data->pad0 ||
	    memchr_inv(data->pad, 0, sizeof(data->pad)))
		return -EINVAL;
	if (data->flags & MINIVMM_CLOCK_REALTIME) {
		u64 now = ktime_get_real_ns();

		/* A host whose time is behind must not turn the clock back. */
		if (now > data->realtime)
			clock += now - data->realtime;
	}
	spin_lock(&vm->time_lock);
	vm->clock.tsc = rdtsc_ordered();
	vm->clock.ns = clock;
	/* 0 is what a vCPU has seen that must write its page anyway. */
	WRITE_ONCE(vm->clock.gen, vm->clock.gen + 1 ?: 1);
	spin_unlock(&vm->time_lock);
	mv_leave_guest(vm);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time: how long a vCPU was kept from a CPU by other threads.
 *
 * The scheduler counts how long a thread that could run had to wait. The time
 * that went by since the guest heard of it is added to its page before the
 * guest goes on.
 */
#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/stddef.h>
#include <uapi/asm/kvm_para.h>
#include "core.h"

bool mv_steal_offered(void)
{
	return IS_ENABLED(CONFIG_SCHED_INFO);
}

/**
 * mv_steal_features() - the bit of CPUID leaf 0x40000001, EAX
 */
u32 mv_steal_features(void)
{
	return mv_steal_offered() ? BIT(KVM_FEATURE_STEAL_TIME) : 0;
}

/**
 * mv_valid_steal_time() - can MSR_KVM_STEAL_TIME have this value?
 * @data: the GPA of struct kvm_steal_time, 64 bytes aligned; bit 0: enabled
 */
bool mv_valid_steal_time(u64 data)
{
	return !(data & KVM_STEAL_RESERVED_MASK);
}

/**
 * mv_write_steal_time() - MSR_KVM_STEAL_TIME
 * @vcpu: the vCPU
 * @data: mv_valid_steal_time()
 *
 * Context: any, vcpu->mutex held.
 */
void mv_write_steal_time(struct mv_vcpu *vcpu, u64 data)
{
	vcpu->steal.msr = data;
	vcpu->steal.seen = MV_STEAL_UNKNOWN;
}

static void add_steal(struct mv_vcpu *vcpu, u64 ns)
{
	u64 gpa = vcpu->steal.msr & KVM_STEAL_VALID_BITS;
	struct kvm_steal_time st;
	u64 version_gpa = gpa + offsetof(struct kvm_steal_time, version);

	if (mv_read_gpa(vcpu, gpa, &st, sizeof(st)))
		return;
	/* odd while the rest is written */
	st.version = (st.version + 1) | 1;
	if (mv_write_gpa(vcpu, version_gpa, &st.version, sizeof(st.version)))
		return;
	smp_wmb();	/* a reader on another vCPU: version, rest, version */
	st.steal += ns;
	if (mv_write_gpa(vcpu, gpa, &st.steal, sizeof(st.steal)))
		return;
	smp_wmb();	/* likewise */
	st.version++;
	mv_write_gpa(vcpu, version_gpa, &st.version, sizeof(st.version));
}

/**
 * mv_steal_update() - the vCPU's thread had to wait: tell the guest
 * @vcpu: mv_steal_stale()
 *
 * The sum is kept in the guest's page alone, so it survives migration. If
 * there is no memory at the address, the guest does not get to know.
 *
 * Context: RUN, outside the run section. May sleep.
 */
void mv_steal_update(struct mv_vcpu *vcpu)
{
	u64 total = mv_run_delay();
	u64 last = vcpu->steal.seen;

	vcpu->steal.seen = total;
	/* After the MSR was written, or in another thread: count from here. */
	add_steal(vcpu, total > last ? total - last : 0);
}

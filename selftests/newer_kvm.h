/* SPDX-License-Identifier: GPL-2.0 */
/* What KVM has and the <linux/kvm.h> of an older distribution has not (6.11). */
#ifndef SELFTESTS_NEWER_KVM_H
#define SELFTESTS_NEWER_KVM_H

#include <linux/kvm.h>

#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY	236

struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

#endif

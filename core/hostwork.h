/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host wants of a thread before it may enter the guest: signals,
 * rescheduling, task work.
 *
 * The kernel has one function for all hypervisors. Until 6.18 it took KVM's
 * struct kvm_vcpu, to set the exit reason and count a signal; one that nobody
 * looks at serves all our vCPUs.
 */
#ifndef MINIVMM_HOSTWORK_H
#define MINIVMM_HOSTWORK_H

#ifdef CONFIG_VIRT_XFER_TO_GUEST_WORK
#include <linux/entry-virt.h>

static inline int mv_handle_host_work(void)
{
	return xfer_to_guest_mode_handle_work();
}
#else
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

static inline int mv_handle_host_work(void)
{
	static struct kvm_run unused_run;
	static struct kvm_vcpu unused = { .run = &unused_run };

	return xfer_to_guest_mode_handle_work(&unused);
}
#endif

/* Without locks: a signal that comes later sends an IPI, which ends the guest */
static inline bool mv_host_work_pending(void)
{
	return __xfer_to_guest_mode_work_pending();
}

#endif

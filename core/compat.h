/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that knows kernel versions. */
#ifndef MINIVMM_COMPAT_H
#define MINIVMM_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/version.h>
#include <linux/wait.h>

/* cpuid(), cpuid_count() and cpuid_eax() moved here in 6.16. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#include <asm/cpuid/api.h>
#else
#include <asm/processor.h>
#endif

/* 6.10 took the source from __assign_str(): it is what __string() was given. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define mv_assign_name()	__assign_str(name)
#else
#define mv_assign_name()	__assign_str(name, name)
#endif

/* 6.8 took the count, which had been 1 everywhere. */
static inline void mv_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* Before 6.15 the function was set apart. */
static inline void
mv_hrtimer_setup(struct hrtimer *timer,
		 enum hrtimer_restart (*function)(struct hrtimer *timer),
		 clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/*
 * Before all others, who do not see what this one takes. Since 6.17 there can
 * be one only (-EBUSY); before, the one that came last took all.
 */
static inline int mv_add_wait_queue_first(struct wait_queue_head *head,
					  struct wait_queue_entry *entry)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return add_wait_queue_priority_exclusive(head, entry);
#else
	add_wait_queue_priority(head, entry);
	return 0;
#endif
}

#endif

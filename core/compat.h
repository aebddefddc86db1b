/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that knows kernel versions. */
#ifndef MINIVMM_COMPAT_H
#define MINIVMM_COMPAT_H

#include <linux/version.h>

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

/* 6.15 took the callback into the set-up. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define mv_hrtimer_setup	hrtimer_setup
#else
#define mv_hrtimer_setup(timer, callback, clock, mode)		\
do {								\
	hrtimer_init(timer, clock, mode);			\
	(timer)->function = callback;				\
} while (0)
#endif

#endif

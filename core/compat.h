/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that knows kernel versions. */
#ifndef MINIVMM_COMPAT_H
#define MINIVMM_COMPAT_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
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

/*
 * One page of the client's, however long it takes. Since 6.2 a signal can end
 * that, which before only a fatal one could.
 */
static inline int mv_get_user_page(unsigned long hva, unsigned int flags,
				   struct page **page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return get_user_pages_unlocked(hva, 1, page,
				       flags | FOLL_INTERRUPTIBLE);
#else
	return get_user_pages_unlocked(hva, 1, page, flags);
#endif
}

/*
 * Entries of the host's page tables for memory with a struct page that is not
 * ordinary; 6.17 made it so.
 */
#ifdef _PAGE_DEVMAP
#define MV_PAGE_DEVMAP	_PAGE_DEVMAP
#else
#define MV_PAGE_DEVMAP	0
#endif

/* A VM_PFNMAP mapping's frame; mmap_lock is held. 6.12 took follow_pte() away. */
static inline int mv_follow_pfn(struct vm_area_struct *vma, unsigned long hva,
				u64 *pfn, bool *writable)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *lock;	/* of the page table */
	pte_t *pte;
	int ret = follow_pte(vma->vm_mm, hva, &pte, &lock);

	if (ret)
		return ret;
	__acquire(lock);	/* which sparse has not been told */
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, lock);
#endif
	return 0;
}

/* What the MMU notifier's questions for the age of pages return: int, then bool */
typedef typeof(((struct mmu_notifier_ops *)0)->test_young(NULL, NULL, 0))
	mv_young_t;

#endif

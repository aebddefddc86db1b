/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What core/mmio.c, fetch.c and gva.c, and the declarations that they include, use
 * of the kernel.
 * The Makefile has all other headers of the kernel include this one.
 */
#ifndef MINIVMM_UNIT_KERNEL_H
#define MINIVMM_UNIT_KERNEL_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define BIT(nr)			(1UL << (nr))
#define BIT_ULL(nr)		(1ULL << (nr))
#define GENMASK_ULL(high, low)	((~0ULL >> (63 - (high))) & (~0ULL << (low)))
#define PAGE_SHIFT		12
#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define U16_MAX			0xffff
#define U32_MAX			0xffffffffU
#define IS_ERR_VALUE(x)		((unsigned long)(x) >= -4095UL)
#define offset_in_page(p)	((unsigned long)(p) & (PAGE_SIZE - 1))
#define min_t(type, a, b) ({				\
	type _a = (a), _b = (b);			\
	_a < _b ? _a : _b;				\
})
#define __ffs(word)		((unsigned int)__builtin_ctzl(word))
#define kzalloc(size, gfp)	calloc(1, size)

void pagefault_disable(void);
void pagefault_enable(void);

/* The client's memory: p is in it; lost or read-only where the test says so. */
bool user_page_lost(const void *p);
bool user_page_fixed(const void *p);
#define access_ok(p, len)	((void)(p), true)
#define get_user(x, p)						\
	(user_page_lost(p) ? ((x) = 0, -EFAULT) :		\
			     (memcpy(&(x), p, sizeof(x)), 0))
#define user_read_access_begin(p, len)	((void)(p), true)
#define user_read_access_end()	((void)0)
#define unsafe_get_user(x, p, label) \
	do { if (get_user(x, p)) goto label; } while (0)
/* Nobody else writes: it succeeds where it can. */
#define __try_cmpxchg_user(p, old, new, label) \
	(user_page_fixed(p) ? -EFAULT : ((void)*(old), *(p) = (new), 0))
#define boot_cpu_has(feature)	true

#define EFER_LMA		(1 << 10)
#define EFER_NX			(1 << 11)
#define X86_TRAP_UD		6
#define X86_TRAP_SS		12
#define X86_TRAP_GP		13
#define X86_TRAP_PF		14

#define __user
#define __rcu

/* A tracepoint that is never on. */
#define TP_PROTO(...)		__VA_ARGS__
#define TRACE_EVENT(name, proto, args, ...)		\
	static inline void trace_##name(proto) {}	\
	static inline bool trace_##name##_enabled(void) { return 1; }

/* What hides the kernel's version is of no use here. */
#define MINIVMM_COMPAT_H

#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE) /* as there */
#define READ_ONCE(x)		(*(volatile __typeof__(x) *)&(x))
#define BITS_PER_LONG		64
#define likely(x)		(x)
#define unlikely(x)		(x)
#define rcu_access_pointer(p)	READ_ONCE(p)
#define set_bit(nr, word)	__atomic_fetch_or(word, BIT(nr), __ATOMIC_SEQ_CST)
#define ____cacheline_aligned_in_smp

#define spinlock_t		int
#define raw_spinlock_t		int
#define atomic_t		int
#define atomic64_t		s64

#define smp_rmb()	__atomic_thread_fence(__ATOMIC_ACQUIRE) /* as there */

struct cpumask { int v; };
struct interval_tree_node { unsigned long start, last; };
struct latch_tree_node { int v; };
struct latch_tree_root { int v; };
struct hrtimer { int v; };
struct kref { int v; };
struct list_head { int v; };
struct page;
struct mmu_notifier { int v; };
struct mutex { int v; };
struct rcu_head { int v; };
struct rb_root_cached { int v; };
struct rcuwait { int v; };
struct srcu_struct { int v; };
struct xarray { int v; };

#endif

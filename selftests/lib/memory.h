/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests that walk memory while the host does something to it.
 *
 * The region is slot 1.  Each vCPU has a word of its own in each page, and so
 * has the host: a count and a checksum of it, the page and the owner.  A walk
 * looks at every word of a page, and raises the own one:
 *
 *  - the own word must be what its owner wrote last: no lost write,
 *  - another's must be no older than what that one had announced before: no
 *    stale read, and its checksum must be right: no page of somebody else.
 *
 * Where the host throws pages away, a word may be 0 as well.
 */
#ifndef SELFTESTS_MEMORY_H
#define SELFTESTS_MEMORY_H

#include "hostmem.h"
#include "threads.h"

#define WALK_MAX_PAGES	4096UL
#define WALK_MAX_VCPUS	4

/* The host takes pages away for good: they are empty when they come back. */
#define WALK_DISCARDS	(1U << 0)
/* Memory may be away for a moment: MINIVMM_RUN fails, the vCPU tries again. */
#define WALK_EFAULT	(1U << 1)
/* Where there is no memory, a device reads as 0 and swallows writes. */
#define WALK_MMIO	(1U << 2)

struct walk {
	struct vm *vm;
	u64 *memory;
	u64 pages;
	int vcpus;
	u32 flags;
	/* changes if some vCPU had to try again */
	volatile u64 retries;
	pthread_t threads[WALK_MAX_VCPUS];
};

/**
 * walk_start - a VM whose vCPUs walk a region from now on
 * @memory: of the host, @pages long
 * @flags: WALK_*
 */
struct walk *walk_start(void *memory, u64 pages, int vcpus, u32 flags);

/** walk_host - the host walks all of it once */
void walk_host(struct walk *walk);

/** walk_wait - until every vCPU has walked all of it @rounds times more */
void walk_wait(struct walk *walk, u64 rounds);

/** walk_pause - stop the vCPUs between two pages, until walk_resume() */
void walk_pause(struct walk *walk);
void walk_resume(struct walk *walk);

/** walk_narrow - from now on the vCPUs walk the first @pages only */
void walk_narrow(struct walk *walk, u64 pages);

/** walk_page_image - what the host would find in an empty page once it has been
 * there: for a page that somebody else puts in place
 */
void walk_page_image(struct walk *walk, u64 page, void *image);

/** walk_copy_ok - is this copy of a page one that has ever been there? */
bool walk_copy_ok(u64 page, const void *copy);

/** walk_check - held against what everybody wrote last; vCPUs are stopped */
void walk_check(struct walk *walk);

/** walk_end - stop the vCPUs, walk_check(), print a line; the VM is freed */
void walk_end(struct walk *walk);

/* ------------------------------------------------------------------------ */
/* Memory cgroups                                                            */

/**
 * cgroup_enter - move this process to a new memory cgroup
 *
 * Ends the test as skipped where the host has none.  The group is left behind
 * empty; a later test takes it over.
 */
void cgroup_enter(void);

/** cgroup_set - write one of its files; cgroup_get - read a number from one */
bool cgroup_set(const char *file, const char *text);
s64 cgroup_get(const char *file, const char *key);

#endif /* SELFTESTS_MEMORY_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * The host moves the pages that a guest uses to others, for compaction or
 * because it no longer trusts them.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	1024UL

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

static s64 migrated(void)
{
	return host_lookup("/proc/vmstat", "pgmigrate_success");
}

/*
 * Page by page in turn with another mapping, which then goes: the pages are
 * scattered, with holes between them.
 */
static u64 *map_scattered(void)
{
	u64 *memory = map_small(PAGES), *others = map_small(PAGES), page;

	for (page = 0; page < PAGES; page++) {
		*page_at(memory, page) = 0;
		*page_at(others, page) = 0;
	}
	ASSERT_OK(munmap(others, PAGES * PAGE_SIZE));
	return memory;
}

static bool compact(void)
{
	return host_write("/proc/sys/vm/compact_memory", "1");
}

/* How many pages moved; it depends on where the host had free ones. */
static s64 compact_under_walk(void)
{
	struct walk *walk = walk_start(map_scattered(), PAGES, 2, 0);
	s64 before = migrated();
	int i;

	walk_wait(walk, 1);
	for (i = 0; i < 8; i++) {
		ASSERT(compact());
		walk_host(walk);
		walk_wait(walk, 1);
	}
	walk_end(walk);
	return migrated() - before;
}

TEST(compaction)
{
	s64 moved = 0;
	int i;

	if (!compact())
		SKIP("the host's kernel does not compact memory");
	for (i = 0; i < 16 && moved < 64; i++)
		moved += compact_under_walk();
	ksft_print_msg("%lld pages migrated\n", moved);
	EXPECT_GE(moved, 64);
}

/* The page is exchanged for another, and never used again. */
TEST(soft_offline)
{
	u64 *memory = map_small(PAGES), page;
	struct walk *walk;
	s64 before = migrated();
	int done = 0, i;

	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	for (i = 0; i < 64; i++) {
		page = random_below(PAGES);
		if (!madvise(page_at(memory, page), PAGE_SIZE,
			     MADV_SOFT_OFFLINE))
			done++;
		else if (errno == EINVAL || errno == EPERM)
			SKIP("the host's kernel takes no page out of use");
	}
	walk_host(walk);
	walk_wait(walk, 2);
	walk_end(walk);
	ksft_print_msg("%d pages taken out of use, %lld migrated\n", done,
		       migrated() - before);
	EXPECT_GE(done, 16);
}

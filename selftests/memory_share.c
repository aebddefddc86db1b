// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that the guest has in common with others for a while (KSM, fork), and
 * mappings that move, under a guest that uses them.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	256UL
#define SIZE	(PAGES * PAGE_SIZE)

/* ------------------------------------------------------------------------ */
/* Merged pages                                                              */

#define KSM	"/sys/kernel/mm/ksm/"

/* In the guest's image: what all pages shall hold; what each holds */
static volatile u64 quit, target, held[PAGES], turns[2];

/* Each vCPU has every other page, and writes one of 16 of them at a time. */
static void guest_merge(u64 id)
{
	volatile u64 *word;
	u64 page, round, value;

	asm volatile("sti");
	for (round = 0; !quit; round++) {
		for (page = id; page < PAGES; page += 2) {
			word = (u64 *)(REGION_GPA + page * PAGE_SIZE);
			GUEST_ASSERT_EQ(*word, held[page]);
			if ((page / 2 + round) % 16 || held[page] == target)
				continue;
			/* in this order: the host looks when it sees "held" */
			*word = value = target;
			held[page] = value;
		}
		turns[id]++;
	}
}

static bool merge_fast(bool on)
{
	/* 2: forget what other processes have merged */
	if (!on)
		return host_write_number(KSM "run", 0);
	return host_write_number(KSM "run", 2) &&
	       host_write_number(KSM "pages_to_scan", 1000) &&
	       host_write_number(KSM "sleep_millisecs", 1) &&
	       host_write_number(KSM "run", 1);
}

static void wait_until_written(struct vm *vm, u64 value)
{
	volatile u64 *pages = vm_guest_ptr(vm, &held[0]);
	u64 page;
	int ms = 0;

	for (page = 0; page < PAGES; page++)
		while (pages[page] != value) {
			pause_us(1000);
			if (++ms > 20000)
				FAIL("the guest does not get on");
		}
}

/* Until most of what is there is one page */
static void wait_until_merged(void)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (host_lookup(KSM "pages_sharing", "") >= (s64)PAGES / 2)
			return;
		pause_us(5000);
	}
	FAIL("the host merges %lld pages only",
	     host_lookup(KSM "pages_sharing", ""));
}

TEST(merged_while_in_use)
{
	u64 *memory = map_small(PAGES), value, page;
	struct vm *vm = vm_create();

	if (madvise(memory, SIZE, MADV_MERGEABLE) || !merge_fast(true))
		SKIP("the host's kernel does not merge pages");
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, memory));
	vcpus_setup(vm, 2, guest_merge);
	vcpus_start(vm);
	for (value = 1; value <= 5; value++) {
		*vm_guest_ptr(vm, &target) = value;
		wait_until_written(vm, value);
		for (page = 0; page < PAGES; page++)
			ASSERT_EQ(*page_at(memory, page), value);
		wait_until_merged();
	}
	*vm_guest_ptr(vm, &quit) = 1;
	vcpus_join(vm, NULL);
	for (page = 0; page < PAGES; page++)
		EXPECT_EQ(*page_at(memory, page), 5);
	merge_fast(false);
	vm_free(vm);
}

/* ------------------------------------------------------------------------ */
/* fork                                                                      */

/* What the child has stands still, and is sound; what it writes is its own. */
static void child(u64 *memory)
{
	static u64 copy[PAGES * PAGE_SIZE / 8];
	u64 page;
	int i;

	memcpy(copy, memory, SIZE);
	for (page = 0; page < PAGES; page++)
		if (!walk_copy_ok(page, page_at(copy, page)))
			_exit(1);
	for (i = 0; i < 10; i++)
		sched_yield();
	if (memcmp(copy, memory, SIZE))
		_exit(2);
	for (page = 0; page < PAGES; page += 2)
		memset(page_at(memory, page), 0xdd, PAGE_SIZE);
	_exit(0);
}

TEST(fork_with_a_writing_child)
{
	u64 *memory = map_small(PAGES);
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i, status;
	pid_t pid;

	walk_wait(walk, 1);
	for (i = 0; i < 15; i++) {
		pid = ASSERT_OK(fork());
		if (!pid)
			child(memory);
		walk_host(walk);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(status, 0);
		walk_wait(walk, 1);
	}
	walk_end(walk);
}

/* ------------------------------------------------------------------------ */
/* Moving mappings, and what may be done with them                           */

static void move(u64 *from, u64 *to, u64 size)
{
	ASSERT(mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	       to);
}

TEST(mremap_there_and_back)
{
	u64 *memory = map_small(PAGES), *spare = map_small(PAGES);
	struct walk *walk = walk_start(memory, PAGES, 2, WALK_EFAULT);
	u64 first, pages;
	int i;

	walk_wait(walk, 1);
	for (i = 0; i < 40; i++) {
		first = random_below(PAGES);
		pages = 1 + random_below(PAGES - first);
		move(page_at(memory, first), spare, pages * PAGE_SIZE);
		pause_us(200);
		move(spare, page_at(memory, first), pages * PAGE_SIZE);
		if (i % 4 == 0)
			walk_host(walk);
	}
	walk_wait(walk, 1);
	walk_end(walk);
}

/* Whole page tables move in one go. */
TEST(mremap_of_huge_pages)
{
	const u64 size = 2 * HUGE_SIZE;
	u64 *memory = map_aligned(size), *spare = map_aligned(size);
	struct walk *walk;
	int i;

	madvise(memory, size, MADV_HUGEPAGE);
	walk = walk_start(memory, size / PAGE_SIZE, 2, WALK_EFAULT);
	walk_wait(walk, 1);
	for (i = 0; i < 10; i++) {
		move(memory, spare, size);
		pause_us(200);
		move(spare, memory, size);
		walk_wait(walk, 1);
		walk_host(walk);
	}
	walk_end(walk);
}

TEST(protection_comes_and_goes)
{
	u64 *memory = map_small(PAGES);
	struct walk *walk = walk_start(memory, PAGES, 2, WALK_EFAULT);
	u64 first, size;
	int i;

	walk_wait(walk, 1);
	for (i = 0; i < 40; i++) {
		first = random_below(PAGES);
		size = (1 + random_below(PAGES - first)) * PAGE_SIZE;
		ASSERT_OK(mprotect(page_at(memory, first), size,
				   i & 1 ? PROT_NONE : PROT_READ));
		pause_us(200);
		ASSERT_OK(mprotect(page_at(memory, first), size,
				   PROT_READ | PROT_WRITE));
	}
	walk_wait(walk, 1);
	walk_host(walk);
	walk_end(walk);
}

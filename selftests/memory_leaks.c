// SPDX-License-Identifier: GPL-2.0
/*
 * After all that a host does to guest memory, and a VM that is gone, the host
 * has as much memory as before.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dirty.h"
#include "guest.h"
#include "memory.h"

#define LOG		MINIVMM_MEM_LOG_DIRTY_PAGES
#define PAGES		1024UL
#define SIZE		(PAGES * PAGE_SIZE)
#define WARM_UP		4
#define ROUNDS		16

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static u64 bitmap[BITMAP_WORDS(PAGES)];

static void log_for_a_while(struct walk *walk)
{
	ASSERT_OK(vm_set_slot(walk->vm, 1, LOG, REGION_GPA, SIZE,
			      walk->memory));
	walk_wait(walk, 1);
	ASSERT_OK(get_dirty_log(walk->vm, 1, bitmap));
	walk_wait(walk, 1);
	ASSERT_OK(vm_set_slot(walk->vm, 1, 0, REGION_GPA, SIZE, walk->memory));
}

static void fork_once(void)
{
	pid_t pid = ASSERT_OK(fork());
	int status;

	if (!pid)
		_exit(0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
}

static void add_and_delete_slots(struct walk *walk)
{
	u32 slot;

	for (slot = 2; slot < 40; slot++)
		ASSERT_OK(vm_set_slot(walk->vm, slot, slot & 1 ? LOG : 0,
				      REGION_GPA + slot * SIZE, SIZE,
				      walk->memory));
	for (slot = 2; slot < 20; slot++)
		ASSERT_OK(vm_set_slot(walk->vm, slot, 0, 0, 0, NULL));
}

static void round_of_everything(void)
{
	u64 *memory = map_aligned(SIZE);
	struct walk *walk;

	madvise(memory, SIZE, MADV_HUGEPAGE);
	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	log_for_a_while(walk);
	madvise(memory, SIZE, MADV_COLLAPSE);
	add_and_delete_slots(walk);
	fork_once();
	walk_host(walk);
	walk_wait(walk, 1);
	madvise(memory, SIZE, MADV_PAGEOUT);
	walk_wait(walk, 1);
	walk_end(walk);
	ASSERT_OK(munmap(memory, SIZE));
}

/* What the kernel does later (RCU, threads that end) has a moment for it. */
static s64 settled_free_kib(s64 at_least)
{
	s64 kib = free_kib();
	int i;

	for (i = 0; i < 100 && kib < at_least; i++) {
		pause_us(20000);
		kib = free_kib();
	}
	return kib;
}

/* In KiB. Each CPU keeps up to half a MiB of them to itself, until this write. */
static s64 page_tables(void)
{
	ASSERT(host_write("/proc/sys/vm/stat_refresh", "1"));
	return host_lookup("/proc/meminfo", "SecPageTables");
}

TEST(memory_and_page_tables_come_back)
{
	s64 before = 0, tables = 0, lost;
	int i;

	for (i = 0; i < WARM_UP + ROUNDS; i++) {
		if (i == WARM_UP) {
			before = free_kib();
			tables = page_tables();
		}
		round_of_everything();
	}
	lost = before - settled_free_kib(before);
	ksft_print_msg("%lld KiB less after %d rounds\n", lost, ROUNDS);
	/* Each round maps through some 20 tables; the CPUs' caches vary. */
	EXPECT(lost < ROUNDS * 20);
	tables = page_tables() - tables;
	ksft_print_msg("%lld KiB of page tables more\n", tables);
	EXPECT(tables < ROUNDS * 4);
}

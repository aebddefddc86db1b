// SPDX-License-Identifier: GPL-2.0
/*
 * Huge pages of the host, transparent ones and those of hugetlbfs: made,
 * taken apart and thrown away under a guest that uses them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES		2048UL
#define SIZE		(PAGES * PAGE_SIZE)
#define HUGE_PAGES	(HUGE_SIZE / PAGE_SIZE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static u64 *map_huge(void)
{
	u64 *memory = map_aligned(SIZE);

	if (madvise(memory, SIZE, MADV_HUGEPAGE))
		SKIP("the host's kernel has no transparent huge pages");
	return memory;
}

static void collapse(u64 *memory)
{
	int i;

	/* Who holds a page just now is in the way. */
	for (i = 0; i < 100 && huge_kib(memory, SIZE) < SIZE >> 10; i++)
		if (madvise(memory, SIZE, MADV_COLLAPSE) && errno == EINVAL)
			SKIP("the host's kernel has no MADV_COLLAPSE");
	ASSERT_EQ(huge_kib(memory, SIZE), SIZE >> 10);
}

/* One page of each huge page is mapped otherwise for a moment. */
static void split_mappings(u64 *memory)
{
	u64 page;

	for (page = 7; page < PAGES; page += HUGE_PAGES) {
		ASSERT_OK(mprotect(page_at(memory, page), PAGE_SIZE,
				   PROT_READ));
		ASSERT_OK(mprotect(page_at(memory, page), PAGE_SIZE,
				   PROT_READ | PROT_WRITE));
	}
}

/* The pages themselves, not only their mappings */
static bool split_pages(u64 *memory)
{
	char text[128];

	snprintf(text, sizeof(text), "%d,0x%llx,0x%llx,0", getpid(),
		 (u64)memory, (u64)memory + SIZE);
	return host_write("/sys/kernel/debug/split_huge_pages", text);
}

TEST(collapse_and_split)
{
	u64 *memory = map_huge();
	struct walk *walk = walk_start(memory, PAGES, 2, WALK_EFAULT);
	int i;

	walk_wait(walk, 1);
	for (i = 0; i < 6; i++) {
		collapse(memory);
		walk_wait(walk, 1);
		split_mappings(memory);
		walk_host(walk);
		walk_wait(walk, 1);
	}
	walk_end(walk);
}

TEST(split_by_the_host)
{
	u64 *memory = map_huge();
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i;

	walk_wait(walk, 1);
	for (i = 0; i < 6; i++) {
		collapse(memory);
		walk_host(walk);
		if (!split_pages(memory))
			SKIP("the host cannot split pages on demand");
		walk_wait(walk, 1);
	}
	walk_end(walk);
}

/* A new mapping in the place of one page: it stays a mapping of its own. */
static void map_anew(u64 *page)
{
	ASSERT_OK(munmap(page, PAGE_SIZE));
	pause_us(200);
	ASSERT(mmap(page, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
}

/* Parts go away and come back; what is around them stays. */
TEST(holes_in_huge_pages)
{
	u64 *memory = map_huge(), page;
	struct walk *walk;
	int i;

	walk = walk_start(memory, PAGES, 2, WALK_DISCARDS | WALK_EFAULT);
	walk_wait(walk, 1);
	for (i = 0; i < 6; i++) {
		collapse(memory);
		walk_wait(walk, 1);
		for (page = i; page < PAGES; page += HUGE_PAGES / 2)
			ASSERT_OK(madvise(page_at(memory, page), PAGE_SIZE,
					  MADV_DONTNEED));
		walk_wait(walk, 1);
		walk_host(walk);
	}
	collapse(memory);
	walk_wait(walk, 1);
	for (page = 3; page < PAGES; page += HUGE_PAGES)
		map_anew(page_at(memory, page));
	walk_wait(walk, 1);
	walk_host(walk);
	walk_end(walk);
}

#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

TEST(khugepaged)
{
	u64 *memory = map_aligned(SIZE);
	struct walk *walk;
	int i;

	if (!host_write_number(KHUGEPAGED "scan_sleep_millisecs", 1) ||
	    !host_write_number(KHUGEPAGED "alloc_sleep_millisecs", 1) ||
	    !host_write_number(KHUGEPAGED "pages_to_scan", 8192))
		SKIP("the host's kernel has no khugepaged");
	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	ASSERT_OK(madvise(memory, SIZE, MADV_HUGEPAGE));
	for (i = 0; i < 1000 && huge_kib(memory, SIZE) < SIZE >> 11; i++)
		pause_us(10000);
	EXPECT_GE(huge_kib(memory, SIZE), SIZE >> 11);
	walk_wait(walk, 2);
	walk_end(walk);
	host_write_number(KHUGEPAGED "scan_sleep_millisecs", 10000);
}

/* The child takes the huge pages apart when it writes, or the parent does. */
TEST(fork_of_huge_pages)
{
	u64 *memory = map_huge(), page;
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i, status;
	pid_t pid;

	walk_wait(walk, 1);
	for (i = 0; i < 4; i++) {
		collapse(memory);
		pid = ASSERT_OK(fork());
		if (!pid) {
			for (page = 0; page < PAGES; page += 5) {
				if (!walk_copy_ok(page, page_at(memory, page)))
					_exit(1);
				memset(page_at(memory, page), 0xcc, PAGE_SIZE);
			}
			_exit(0);
		}
		walk_host(walk);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(status, 0);
		walk_wait(walk, 1);
	}
	walk_end(walk);
}

/* ------------------------------------------------------------------------ */
/* hugetlbfs                                                                 */

#define HUGETLB_2M	"/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define HUGETLB_1G	"/sys/kernel/mm/hugepages/hugepages-1048576kB/"

static void need_hugetlb(const char *dir, u64 count)
{
	char path[128];

	snprintf(path, sizeof(path), "%snr_hugepages", dir);
	if (!host_write_number(path, count))
		SKIP("the host's kernel has no hugetlbfs pages of this size");
	if (host_lookup(path, "") < (s64)count)
		SKIP("the host has no %llu huge pages to give (--mem, --append)",
		     count);
}

static void release_hugetlb(const char *dir, u64 count)
{
	char path[128];

	snprintf(path, sizeof(path), "%sfree_hugepages", dir);
	/* none is still held by a mapping of the guest's */
	EXPECT_EQ(host_lookup(path, ""), count);
	snprintf(path, sizeof(path), "%snr_hugepages", dir);
	host_write_number(path, 0);
}

TEST(hugetlb_private)
{
	struct walk *walk;
	u64 *memory;
	int i;

	need_hugetlb(HUGETLB_2M, PAGES / HUGE_PAGES);
	memory = map_memory(SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
			    -1);
	walk = walk_start(memory, PAGES, 2, WALK_DISCARDS);
	for (i = 0; i < 8; i++) {
		walk_wait(walk, 1);
		if (madvise(page_at(memory, i % 4 * HUGE_PAGES), HUGE_SIZE,
			    MADV_DONTNEED))
			SKIP("the host cannot throw hugetlb pages away");
		walk_host(walk);
	}
	walk_end(walk);
	ASSERT_OK(munmap(memory, SIZE));
	release_hugetlb(HUGETLB_2M, PAGES / HUGE_PAGES);
}

TEST(hugetlb_memfd)
{
	struct walk *walk;
	u64 *memory;
	int fd, i;

	need_hugetlb(HUGETLB_2M, PAGES / HUGE_PAGES);
	fd = ASSERT_OK(memfd_create("huge", MFD_HUGETLB));
	ASSERT_OK(ftruncate(fd, SIZE));
	memory = map_memory(SIZE, MAP_SHARED, fd);
	walk = walk_start(memory, PAGES, 2, WALK_DISCARDS);
	for (i = 0; i < 8; i++) {
		walk_wait(walk, 1);
		ASSERT_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE,
				    i % 4 * HUGE_SIZE, HUGE_SIZE));
		walk_host(walk);
	}
	walk_end(walk);
	ASSERT_OK(munmap(memory, SIZE));
	close(fd);
	release_hugetlb(HUGETLB_2M, PAGES / HUGE_PAGES);
}

/* A page in each 2 MiB of a GiB, where a single mapping can have it all */
#define GIB_GPA		GIB
#define GIB_SAMPLES	(GIB / HUGE_SIZE)

static u64 *gib_word(u64 base, u64 i)
{
	return (u64 *)(base + i * HUGE_SIZE + i * 8 % PAGE_SIZE);
}

static void guest_gib(u64 id)
{
	u64 i;

	asm volatile("sti");
	for (i = id; i < GIB_SAMPLES; i += 2)
		*(volatile u64 *)gib_word(GIB_GPA, i) = i * 3 + 1;
	for (i = id; i < GIB_SAMPLES; i += 2)
		GUEST_ASSERT_EQ(*(volatile u64 *)gib_word(GIB_GPA, i),
				i * 3 + 1);
}

TEST(hugetlb_1gib)
{
	struct vm *vm;
	u64 *memory, i;

	need_hugetlb(HUGETLB_1G, 1);
	memory = map_memory(GIB, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			    30 << MAP_HUGE_SHIFT, -1);
	vm = vm_create();
	ASSERT_OK(vm_set_slot(vm, 1, 0, GIB_GPA, GIB, memory));
	vcpus_setup(vm, 2, guest_gib);
	vcpus_start(vm);
	vcpus_join(vm, NULL);
	for (i = 0; i < GIB_SAMPLES; i++)
		ASSERT_EQ(*gib_word((u64)memory, i), i * 3 + 1);
	vm_free(vm);
	ASSERT_OK(munmap(memory, GIB));
	release_hugetlb(HUGETLB_1G, 1);
}

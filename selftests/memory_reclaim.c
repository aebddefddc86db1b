// SPDX-License-Identifier: GPL-2.0
/*
 * The host takes guest memory back because it wants it: swap, memory cgroups,
 * the OOM killer. What the guest uses stays, what it does not goes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	1024UL

static void need_swap(void)
{
	if (host_lookup("/proc/meminfo", "SwapTotal") <= 0)
		SKIP("the host has no swap device (testbed/run --swap)");
}

static s64 swapped_out(void)
{
	return host_lookup("/proc/vmstat", "pswpout");
}

/*
 * Once is not enough for pages that have been used since the host last looked,
 * and no try is for those that the guest uses all the time.
 */
static void page_out(struct walk *walk, bool while_in_use)
{
	int i;

	if (!while_in_use)
		walk_pause(walk);
	for (i = 0; i < 4; i++)
		ASSERT_OK(madvise(walk->memory, walk->pages * PAGE_SIZE,
				  MADV_PAGEOUT));
	walk_resume(walk);
}

TEST(swap_out_and_in)
{
	u64 *memory = map_small(PAGES);
	s64 before = swapped_out(), in = host_lookup("/proc/vmstat", "pswpin");
	struct walk *walk;
	int i;

	need_swap();
	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	for (i = 0; i < 12; i++) {
		page_out(walk, i % 2);
		walk_host(walk);
		walk_wait(walk, 1);
	}
	walk_end(walk);
	ksft_print_msg("%lld pages out, %lld in\n", swapped_out() - before,
		       host_lookup("/proc/vmstat", "pswpin") - in);
	EXPECT_GE(swapped_out() - before, PAGES);
}

/*
 * The host takes memory back until @limit is kept. Written to memory.max at once,
 * while all memory has just been in use, it would kill.
 */
static void cgroup_shrink(const char *limit)
{
	int i;

	for (i = 0; i < 100; i++) {
		ASSERT(cgroup_set("memory.high", limit));
		if (cgroup_get("memory.current", "") <= atoll(limit))
			break;
		pause_us(1000);
	}
	ASSERT(cgroup_set("memory.max", limit));
	ASSERT(cgroup_set("memory.high", "max"));
}

/* Half of the guest's memory has room, and all of it is wanted. */
TEST(cgroup_limit)
{
	u64 *memory = map_small(PAGES);
	s64 before = swapped_out(), high, killed;
	struct walk *walk;
	char text[32];

	need_swap();
	cgroup_enter();
	killed = cgroup_get("memory.events", "oom_kill");
	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	high = cgroup_get("memory.current", "") - PAGES * PAGE_SIZE / 2;
	snprintf(text, sizeof(text), "%lld", high);
	walk_pause(walk);
	cgroup_shrink(text);
	walk_resume(walk);
	walk_host(walk);
	walk_wait(walk, 3);
	EXPECT_GE(high, cgroup_get("memory.current", ""));
	EXPECT_GE(swapped_out() - before, PAGES / 2);
	ASSERT(cgroup_set("memory.max", "max"));
	walk_wait(walk, 1);
	walk_end(walk);
	EXPECT_EQ(cgroup_get("memory.events", "oom_kill"), killed);
}

/* ------------------------------------------------------------------------ */
/* What the host's reclaim takes for unused                                  */

#define AGED_PAGES	2048UL
#define HOT_PAGES	256UL

static u64 swapped_pages(u64 *memory, u64 pages)
{
	int fd = ASSERT_OK(open("/proc/self/pagemap", O_RDONLY));
	u64 i, entry, count = 0;

	for (i = 0; i < pages; i++) {
		ASSERT_EQ(pread(fd, &entry, 8,
				((u64)memory / PAGE_SIZE + i) * 8), 8);
		count += entry >> 62 & 1;
	}
	close(fd);
	return count;
}

/*
 * The hot pages were touched first, so they are the first that go, unless the
 * guest's own accesses count.
 */
TEST(used_pages_stay)
{
	u64 *memory = map_small(AGED_PAGES), cold, round;
	struct walk *walk;
	s64 back;

	if (host_cpus() < 2)
		SKIP("needs a host with two CPUs: the guest runs all the time");
	need_swap();
	cgroup_enter();
	walk = walk_start(memory, AGED_PAGES, 1, 0);
	walk_wait(walk, 1);
	walk_narrow(walk, HOT_PAGES);
	walk_wait(walk, 2);
	back = host_lookup("/proc/vmstat", "pswpin");
	for (round = 0; round < 8; round++) {
		/* all of it need not be there to take */
		if (!cgroup_set("memory.reclaim", "512K") && errno == ENOENT)
			SKIP("the host's kernel has no memory.reclaim");
		walk_wait(walk, 10);
	}
	walk_pause(walk);
	back = host_lookup("/proc/vmstat", "pswpin") - back;
	cold = swapped_pages(page_at(memory, HOT_PAGES),
			     AGED_PAGES - HOT_PAGES);
	walk_resume(walk);
	ksft_print_msg("%llu of %lu cold pages swapped out, %lld in again\n",
		       cold, AGED_PAGES - HOT_PAGES, back);
	EXPECT_GE(cold, 128);
	/* what is in use has not gone, or it would have had to come back */
	EXPECT(back < (s64)HOT_PAGES / 4);
	walk_narrow(walk, AGED_PAGES);
	walk_wait(walk, 1);
	walk_end(walk);
}

/* ------------------------------------------------------------------------ */
/* A client that is killed                                                   */

static void guest_fill_all(u64 pages)
{
	u64 i;

	asm volatile("sti");
	for (i = 0; i < pages; i++)
		*(volatile u64 *)(REGION_GPA + i * PAGE_SIZE) = i;
}

static void *run_one(void *vcpu)
{
	ASSERT_DONE(vcpu);
	return NULL;
}

#define BIG_PAGES	16384UL

/* Both vCPUs take memory until there is none. */
static void take_too_much(void)
{
	struct vm *vm = vm_create();
	pthread_t other;
	int i;

	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, BIG_PAGES * PAGE_SIZE,
			      map_small(BIG_PAGES)));
	for (i = 0; i < 2; i++)
		vcpu_setup_long(vcpu_create(vm, i), guest_fill_all, BIG_PAGES);
	pthread_create(&other, NULL, run_one, vm->vcpus[1]);
	run_one(vm->vcpus[0]);
	pthread_join(other, NULL);
	_exit(99);
}

static void oom_once(void)
{
	pid_t pid = ASSERT_OK(fork());
	int status;

	if (!pid) {
		cgroup_enter();
		cgroup_set("memory.swap.max", "0");
		ASSERT(cgroup_set("memory.max", "24M"));
		take_too_much();
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		test_exit();
	ASSERT(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

#define PRINTK	"/proc/sys/kernel/printk"

TEST(oom_kill_of_the_client)
{
	char level[64] = "";
	int fd = ASSERT_OK(open(PRINTK, O_RDONLY)), i;
	s64 before = 0, lost;

	ASSERT_OK(read(fd, level, sizeof(level) - 1));
	/* The kernel prints a call trace of who wanted the memory. */
	host_write(PRINTK, "4");
	for (i = 0; i < 6; i++) {
		if (i == 2)
			before = free_kib();
		oom_once();
	}
	host_write(PRINTK, level);
	for (i = 0; i < 100 && before - free_kib() > 1024; i++)
		pause_us(10000);
	lost = before - free_kib();
	ksft_print_msg("%lld KiB less after four killed clients\n", lost);
	EXPECT(lost <= 1024);
}

/* ------------------------------------------------------------------------ */
/* Who pays for the page tables                                              */

#define SPARSE_REGIONS	128UL

static void guest_touch_sparse(u64 regions)
{
	u64 i;

	for (i = 0; i < regions; i++)
		*(volatile u64 *)(REGION_GPA + i * HUGE_SIZE) = i;
}

static s64 charged_kib(void)
{
	/* "kernel" has all that is allocated, page tables are on top of it */
	return (cgroup_get("memory.stat", "kernel") +
		cgroup_get("memory.stat", "sec_pagetables")) >> 10;
}

/* A page in each 2 MiB takes a page and a page table. */
TEST(page_tables_are_charged)
{
	const u64 size = SPARSE_REGIONS * HUGE_SIZE;
	s64 before, used, after;
	struct vm *vm;
	u64 *memory, i;

	cgroup_enter();
	memory = map_aligned(size);
	madvise(memory, size, MADV_NOHUGEPAGE);
	/* the host's own page tables are not the question */
	for (i = 0; i < SPARSE_REGIONS; i++)
		*page_at(memory, i * (HUGE_SIZE / PAGE_SIZE)) = 1;
	vm = vm_create();
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, size, memory));
	vcpu_setup_long(vcpu_create(vm, 0), guest_touch_sparse, SPARSE_REGIONS);
	before = charged_kib();
	ASSERT_DONE(vm->vcpus[0]);
	used = charged_kib();
	vm_free(vm);
	after = charged_kib();
	ksft_print_msg("charged: %lld, %lld, %lld KiB\n", before, used, after);
	EXPECT_GE(used - before, (s64)SPARSE_REGIONS * 4 * 9 / 10);
	EXPECT(after - before < (s64)SPARSE_REGIONS);
}

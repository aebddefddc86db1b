// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that the host changes while vCPUs run on other CPUs: no lost
 * write, no stale read.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define REGION_GPA	0x10000000UL
#define PAGES		64UL
#define SIZE		(PAGES * PAGE_SIZE)
#define NR_VCPUS	2
#define SECONDS		3

/* In the guest's image: the host writes, the guest obeys. */
static volatile u64 quit;

static pthread_t threads[NR_VCPUS];

static u64 *map_region(void)
{
	u64 *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(memory != MAP_FAILED);
	return memory;
}

static u64 *word(u64 *memory, u64 page)
{
	return memory + page * (PAGE_SIZE / 8);
}

static u64 random_number(void)
{
	static u64 state = 7;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return state >> 33;
}

/* ------------------------------------------------------------------------ */
/* vCPUs in threads                                                          */

/*
 * Memory that is away for a moment fails the access, which is then tried
 * again; where a slot is away, a device reads as zero.
 */
static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		switch (reason) {
		case -EFAULT:
			sched_yield();
			continue;
		case MINIVMM_EXIT_MMIO:
			memset(vcpu->run->mmio.data, 0, 8);
			continue;
		}
		switch (vcpu_guest_call(vcpu, reason, NULL)) {
		case GUEST_SYNC:
			continue;
		case GUEST_DONE:
			return NULL;
		}
		vcpu_describe_exit(vcpu, reason);
		FAIL("exit %s", exit_name(reason));
	}
}

static struct vm *start_guest(void *fn, u64 *memory)
{
	struct vm *vm = vm_create();
	int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("needs a host with two CPUs");
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, memory));
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_setup_long(vcpu_create(vm, i), fn, i);
	for (i = 0; i < NR_VCPUS; i++)
		ASSERT(!pthread_create(&threads[i], NULL, run_vcpu,
				       vm->vcpus[i]));
	return vm;
}

static void end_guest(struct vm *vm)
{
	int i;

	*vm_guest_ptr(vm, &quit) = 1;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);
}

/* Seconds of the host's time, which runs by instructions in Bochs */
static bool time_left(void)
{
	static struct timespec begin;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!begin.tv_sec)
		begin = now;
	return now.tv_sec - begin.tv_sec < SECONDS;
}

static void pause_some(void)
{
	struct timespec time = { .tv_nsec = random_number() % 200000 };

	nanosleep(&time, NULL);
}

/* ------------------------------------------------------------------------ */
/* No stale read: what a page held before MADV_DONTNEED never comes back     */

/* The host counts: page contents first, then this */
static volatile u64 published[PAGES];

static void guest_reader(u64 id)
{
	u64 page, expected, value, round = 0;

	while (!quit) {
		for (page = 0; page < PAGES; page++) {
			expected = published[page];
			asm volatile("" : : : "memory");
			value = *(volatile u64 *)(REGION_GPA +
						  page * PAGE_SIZE);
			/* 0: taken away just now, not yet filled again */
			if (value)
				GUEST_ASSERT(value >= expected);
		}
		if (++round % 16 == 0)
			guest_sync(id, round);
	}
}

TEST(no_stale_read)
{
	u64 *memory = map_region(), page, count = 0;
	struct vm *vm = start_guest(guest_reader, memory);

	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	while (time_left()) {
		page = random_number() % PAGES;
		count++;
		ASSERT_OK(madvise(word(memory, page), PAGE_SIZE,
				  MADV_DONTNEED));
		__atomic_store_n(word(memory, page), count, __ATOMIC_RELEASE);
		vm_guest_ptr(vm, &published[0])[page] = count;
		if (count % 8 == 0)
			pause_some();
	}
	end_guest(vm);
	ksft_print_msg("%llu pages replaced\n", count);
}

/* ------------------------------------------------------------------------ */
/* No lost write: both sides add to the same words                           */

/* What each vCPU has added to each page */
static volatile u64 added[NR_VCPUS][PAGES];

static void guest_adder(u64 id)
{
	u64 page, round = 0, mine;
	u64 *at;

	while (!quit) {
		for (page = 0; page < PAGES; page++) {
			at = (u64 *)(REGION_GPA + page * PAGE_SIZE);
			/* a word of all, and one of this vCPU alone */
			asm volatile("lock incq (%0)" : : "r"(at) : "memory");
			mine = ((volatile u64 *)at)[1 + id];
			GUEST_ASSERT_EQ(mine, added[id][page]);
			((volatile u64 *)at)[1 + id] = mine + 1;
			added[id][page]++;
		}
		if (++round % 16 == 0)
			guest_sync(id, round);
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		ksft_print_msg("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* A child shares the pages until one side writes, and then is gone. */
static void fork_once(u64 *memory)
{
	int status;
	pid_t pid = ASSERT_OK(fork());
	u64 i, before;

	if (pid) {
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(status, 0);
		return;
	}
	/* The child's copy stands still, and its writes are its own. */
	before = *memory;
	for (i = 0; i < 20; i++)
		sched_yield();
	if (*(volatile u64 *)memory != before)
		_exit(1);
	*memory = 0xbad;
	_exit(0);
}

static void move_away_and_back(u64 *page)
{
	static u64 *spare;

	if (!spare)
		spare = map_region();
	ASSERT(mremap(page, PAGE_SIZE, PAGE_SIZE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, spare) == spare);
	pause_some();
	ASSERT(mremap(spare, PAGE_SIZE, PAGE_SIZE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, page) == page);
}

/* One of the things that a host does to memory without losing it */
static void disturb(u64 *memory)
{
	u64 first = random_number() % PAGES;
	u64 pages = 1 + random_number() % (PAGES - first);
	u64 *page = word(memory, first);
	u64 size = pages * PAGE_SIZE;

	switch (random_number() % 7) {
	case 0:
		ASSERT_OK(mprotect(page, size, PROT_READ));
		pause_some();
		ASSERT_OK(mprotect(page, size, PROT_READ | PROT_WRITE));
		break;
	case 1:
		ASSERT_OK(mprotect(page, size, PROT_NONE));
		ASSERT_OK(mprotect(page, size, PROT_READ | PROT_WRITE));
		break;
	case 2:
		ASSERT_OK(madvise(page, size, MADV_PAGEOUT));
		break;
	case 3:
		ASSERT_OK(madvise(page, size, MADV_COLD));
		break;
	case 4:
		write_file("/proc/sys/vm/compact_memory", "1");
		break;
	case 5:
		fork_once(memory);
		break;
	case 6:
		move_away_and_back(page);
		break;
	}
}

TEST(no_lost_write)
{
	u64 *memory = map_region(), mine[PAGES] = {}, page, sum;
	struct vm *vm = start_guest(guest_adder, memory);
	volatile u64 (*guests)[PAGES] = vm_guest_ptr(vm, &added[0]);
	int i, disturbed = 0;

	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	while (time_left()) {
		disturb(memory);
		disturbed++;
		for (i = 0; i < 32; i++) {
			page = random_number() % PAGES;
			__atomic_fetch_add(word(memory, page), 1,
					   __ATOMIC_SEQ_CST);
			mine[page]++;
		}
	}
	end_guest(vm);
	for (page = 0; page < PAGES; page++) {
		sum = mine[page] + guests[0][page] + guests[1][page];
		EXPECT_EQ(*word(memory, page), sum);
		EXPECT_EQ(word(memory, page)[1], guests[0][page]);
		EXPECT_EQ(word(memory, page)[2], guests[1][page]);
	}
	ksft_print_msg("disturbed %d times, page 0 raised %llu times\n",
		       disturbed, *memory);
}

/* ------------------------------------------------------------------------ */
/* Slots come, go and move under running vCPUs                               */

#define OTHER_GPA	(REGION_GPA + 0x1000000UL)

/* What is there is a device's 0 or the page's own number, nothing else. */
static void guest_check_pages(u64 gpa)
{
	u64 page, value;

	for (page = 0; page < PAGES; page++) {
		value = *(volatile u64 *)(gpa + page * PAGE_SIZE);
		if (value)
			GUEST_ASSERT_EQ(value, page + 1);
	}
}

/*
 * vCPU 1 looks where the slot mostly is, and so has no reason to leave: the
 * host must get it out.
 */
static void guest_slot_reader(u64 id)
{
	u64 round = 0;

	while (!quit) {
		guest_check_pages(REGION_GPA);
		if (id == 0)
			guest_check_pages(OTHER_GPA);
		if (++round % 128 == 0)
			guest_sync(id, round);
	}
}

static void fill(u64 *memory)
{
	u64 page;

	for (page = 0; page < PAGES; page++)
		*word(memory, page) = page + 1;
}

TEST(slots_change)
{
	u64 *memory = map_region(), *used, page;
	struct vm *vm;
	int rounds = 0;

	fill(memory);
	vm = start_guest(guest_slot_reader, memory);
	while (time_left()) {
		pause_some();
		ASSERT_OK(vm_set_slot(vm, 1, 0, OTHER_GPA, SIZE, memory));
		pause_some();
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, memory));
		pause_some();
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 0, NULL));
		/* No guest may find what the memory is used for from now on. */
		for (page = 0; page < PAGES; page++)
			*(volatile u64 *)word(memory, page) = 0xa5a5;
		pause_some();
		/* Unmapping, the host interrupts the other CPUs by itself. */
		used = mmap(memory, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		ASSERT(used == memory);
		fill(memory);
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, memory));
		rounds++;
	}
	end_guest(vm);
	ksft_print_msg("%d rounds\n", rounds);
	EXPECT_GE(rounds, 5);
}

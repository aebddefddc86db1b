// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory is the client's own mapping: it appears when touched, and what
 * the host does with it, the guest sees.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

/* ------------------------------------------------------------------------ */
/* A guest that accesses memory on command                                   */

enum op { READ, WRITE, FILL, CHECK };

struct command {
	enum op op;
	u64 offset, value, pages;
};

static volatile struct command command;

/* FILL and CHECK use the first word of each page: value + its number. */
static u64 guest_execute(void)
{
	volatile u64 *word = (u64 *)(REGION_GPA + command.offset);
	u64 i;

	switch (command.op) {
	case READ:
		return *word;
	case WRITE:
		*word = command.value;
		break;
	case FILL:
		for (i = 0; i < command.pages; i++, word += PAGE_SIZE / 8)
			*word = command.value + i;
		break;
	case CHECK:
		for (i = 0; i < command.pages; i++, word += PAGE_SIZE / 8)
			if (*word != command.value + i)
				return i;
		return command.pages;
	}
	return 0;
}

static void guest_server(void)
{
	for (;;)
		guest_sync(0, guest_execute());
}

static struct vcpu *server(void *region, u64 size, u32 flags)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, flags, REGION_GPA, size, region));
	vcpu_setup_long(vcpu, guest_server, 0);
	/* the first command is carried out before the first stop */
	vm_guest_ptr(vcpu->vm, &command)->op = CHECK;
	ASSERT_SYNC(vcpu, 0);
	return vcpu;
}

static void give(struct vcpu *vcpu, enum op op, u64 offset, u64 value,
		 u64 pages)
{
	volatile struct command *cmd = vm_guest_ptr(vcpu->vm, &command);

	cmd->op = op;
	cmd->offset = offset;
	cmd->value = value;
	cmd->pages = pages;
}

static u64 guest_read(struct vcpu *vcpu, u64 offset)
{
	give(vcpu, READ, offset, 0, 0);
	return ASSERT_SYNC(vcpu, 0);
}

static void guest_write(struct vcpu *vcpu, u64 offset, u64 value)
{
	give(vcpu, WRITE, offset, value, 0);
	ASSERT_SYNC(vcpu, 0);
}

static void guest_fill(struct vcpu *vcpu, u64 value, u64 pages)
{
	give(vcpu, FILL, 0, value, pages);
	ASSERT_SYNC(vcpu, 0);
}

/* The first page that does not hold what guest_fill() wrote, or @pages */
static u64 guest_check(struct vcpu *vcpu, u64 value, u64 pages)
{
	give(vcpu, CHECK, 0, value, pages);
	return ASSERT_SYNC(vcpu, 0);
}

/* The host fails the access; the guest can try again when it is mended. */
#define ASSERT_GUEST_EFAULT(vcpu, op, offset, value)			\
	ASSERT_EQ(run_twice(vcpu, op, offset, value), -EFAULT)

static int run_twice(struct vcpu *vcpu, enum op op, u64 offset, u64 value)
{
	int first;

	give(vcpu, op, offset, value, 1);
	first = vcpu_run(vcpu);
	ASSERT_EQ(vcpu_run(vcpu), first);
	return first;
}

/* ------------------------------------------------------------------------ */
/* Demand paging                                                             */

static int count_resident(void *memory, u64 pages)
{
	unsigned char resident[pages];
	int count = 0;
	u64 i;

	ASSERT_OK(mincore(memory, pages * PAGE_SIZE, resident));
	for (i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

TEST(only_touched_pages_exist)
{
	const u64 pages = 1024;
	u64 *memory = map_small(pages);
	struct vcpu *vcpu = server(memory, pages * PAGE_SIZE, 0);

	EXPECT_EQ(count_resident(memory, pages), 0);
	guest_write(vcpu, 3 * PAGE_SIZE, 0x33);
	EXPECT_EQ(guest_read(vcpu, 500 * PAGE_SIZE + 8), 0);
	guest_write(vcpu, 1023 * PAGE_SIZE + 4088, 0x44);
	EXPECT_EQ(count_resident(memory, pages), 3);
	EXPECT_EQ(*page_at(memory, 3), 0x33);
	EXPECT_EQ(page_at(memory, 1023)[511], 0x44);
	/* a page that the guest has read first can still be written */
	guest_write(vcpu, 500 * PAGE_SIZE + 8, 0x55);
	EXPECT_EQ(page_at(memory, 500)[1], 0x55);
	EXPECT_EQ(count_resident(memory, pages), 3);
}

TEST(both_sides_see_one_memory)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);
	u64 i;

	for (i = 1; i < 20; i++) {
		*memory = i;
		EXPECT_EQ(guest_read(vcpu, 0), i);
		guest_write(vcpu, PAGE_SIZE, ~i);
		EXPECT_EQ(*page_at(memory, 1), ~i);
	}
}

/* ------------------------------------------------------------------------ */
/* Taking memory away, and giving it back                                    */

TEST(munmap_and_map_again)
{
	u64 *memory = map_small(4);
	struct vcpu *vcpu = server(memory, 4 * PAGE_SIZE, 0);

	guest_fill(vcpu, 100, 4);
	ASSERT_OK(munmap(page_at(memory, 1), PAGE_SIZE));
	EXPECT_EQ(guest_read(vcpu, 0), 100);
	ASSERT_GUEST_EFAULT(vcpu, READ, PAGE_SIZE, 0);
	ASSERT(mmap(page_at(memory, 1), PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED);
	/* the read that failed is done now, in the new page */
	ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 0);
	*page_at(memory, 1) = 200;
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 200);
	EXPECT_EQ(guest_read(vcpu, 2 * PAGE_SIZE), 102);
	/* another page in the place of one that is in use */
	ASSERT(mmap(page_at(memory, 2), PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED);
	EXPECT_EQ(guest_read(vcpu, 2 * PAGE_SIZE), 0);
}

TEST(dontneed)
{
	u64 *memory = map_small(16);
	struct vcpu *vcpu = server(memory, 16 * PAGE_SIZE, 0);
	int i;

	for (i = 1; i < 10; i++) {
		guest_fill(vcpu, 0x5500 * i, 16);
		ASSERT_OK(madvise(page_at(memory, 3), 4 * PAGE_SIZE,
				  MADV_DONTNEED));
		EXPECT_EQ(guest_check(vcpu, 0x5500 * i, 16), 3);
		EXPECT_EQ(guest_read(vcpu, 6 * PAGE_SIZE), 0);
		EXPECT_EQ(guest_read(vcpu, 7 * PAGE_SIZE), 0x5500 * i + 7);
	}
}

TEST(protection)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);

	guest_fill(vcpu, 7, 2);
	ASSERT_OK(mprotect(memory, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(guest_read(vcpu, 0), 7);
	ASSERT_GUEST_EFAULT(vcpu, WRITE, 0, 70);
	EXPECT_EQ(*memory, 7);
	ASSERT_OK(mprotect(memory, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_SYNC(vcpu, 0);
	EXPECT_EQ(*memory, 70);

	ASSERT_OK(mprotect(memory, PAGE_SIZE, PROT_NONE));
	ASSERT_GUEST_EFAULT(vcpu, READ, 0, 0);
	ASSERT_OK(mprotect(memory, PAGE_SIZE, PROT_READ));
	ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 70);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 8);
}

TEST(mremap)
{
	u64 *memory = map_small(4), *elsewhere = map_small(4);
	struct vcpu *vcpu = server(memory, 4 * PAGE_SIZE, 0);

	guest_fill(vcpu, 40, 4);
	ASSERT(mremap(page_at(memory, 1), 2 * PAGE_SIZE, 2 * PAGE_SIZE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == elsewhere);
	EXPECT_EQ(*elsewhere, 41);
	EXPECT_EQ(guest_read(vcpu, 3 * PAGE_SIZE), 43);
	ASSERT_GUEST_EFAULT(vcpu, READ, 2 * PAGE_SIZE, 0);
	*page_at(elsewhere, 1) = 420;
	ASSERT(mremap(elsewhere, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, page_at(memory, 1)) ==
	       page_at(memory, 1));
	ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 420);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 41);
}

/* ------------------------------------------------------------------------ */
/* Copy on write                                                             */

/* A child that waits for a byte, then compares; the exit status says how. */
struct checker {
	int pipe[2];
	pid_t pid;
};

static struct checker fork_checker(u64 *memory, u64 expected)
{
	struct checker child;
	char byte;

	ASSERT_OK(pipe(child.pipe));
	child.pid = ASSERT_OK(fork());
	if (child.pid)
		return child;
	if (read(child.pipe[0], &byte, 1) != 1)
		_exit(2);
	if (*memory != expected)
		_exit(1);
	*memory = 0xbad;
	_exit(0);
}

static void let_check(const struct checker *child)
{
	int status;

	ASSERT_EQ(write(child->pipe[1], "x", 1), 1);
	ASSERT_EQ(waitpid(child->pid, &status, 0), child->pid);
	ASSERT_EQ(status, 0);
}

TEST(fork)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);
	struct checker child;

	guest_write(vcpu, 0, 1);
	child = fork_checker(memory, 1);
	/* The guest goes on in what its process has, the parent. */
	EXPECT_EQ(guest_read(vcpu, 0), 1);
	guest_write(vcpu, 0, 2);
	EXPECT_EQ(*memory, 2);
	let_check(&child);
	EXPECT_EQ(guest_read(vcpu, 0), 2);
	*memory = 3;
	EXPECT_EQ(guest_read(vcpu, 0), 3);
}

/* The parent writes first: its page is the copy, and the guest must see it. */
TEST(fork_parent_writes)
{
	u64 *memory = map_small(1);
	struct vcpu *vcpu = server(memory, PAGE_SIZE, 0);
	struct checker child;

	guest_write(vcpu, 0, 1);
	child = fork_checker(memory, 1);
	EXPECT_EQ(guest_read(vcpu, 0), 1);
	*memory = 2;
	EXPECT_EQ(guest_read(vcpu, 0), 2);
	guest_write(vcpu, 0, 3);
	EXPECT_EQ(*memory, 3);
	let_check(&child);
	EXPECT_EQ(guest_read(vcpu, 0), 3);
}

/* The zero page that a read gets is everybody's. */
TEST(zero_page)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);

	EXPECT_EQ(*memory, 0);
	EXPECT_EQ(*page_at(memory, 1), 0);
	EXPECT_EQ(guest_read(vcpu, 0), 0);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 0);
	guest_write(vcpu, 0, 0x77);
	EXPECT_EQ(*memory, 0x77);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 0);
	EXPECT_EQ(*page_at(memory, 1), 0);
}

/* ------------------------------------------------------------------------ */
/* Huge pages, merged pages                                                  */

TEST(huge_page_splits)
{
	const u64 pages = 2 * HUGE_SIZE / PAGE_SIZE;
	u64 *memory = map_memory(3 * HUGE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct vcpu *vcpu;

	memory = (u64 *)(((uintptr_t)memory + HUGE_SIZE - 1) &
			 ~(HUGE_SIZE - 1));
	if (madvise(memory, 2 * HUGE_SIZE, MADV_HUGEPAGE))
		SKIP("the host's kernel has no transparent huge pages");
	vcpu = server(memory, 2 * HUGE_SIZE, 0);
	guest_fill(vcpu, 1000, pages);
	if (host_lookup("/proc/self/smaps_rollup", "AnonHugePages") <= 0)
		SKIP("the host gave no huge page");

	ASSERT_OK(madvise(page_at(memory, 5), PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(guest_check(vcpu, 1000, pages), 5);
	guest_write(vcpu, 5 * PAGE_SIZE, 1005);
	EXPECT_EQ(guest_check(vcpu, 1000, pages), pages);

	ASSERT_OK(munmap(page_at(memory, 700), PAGE_SIZE));
	ASSERT_GUEST_EFAULT(vcpu, WRITE, 700 * PAGE_SIZE, 1700);
	ASSERT(mmap(page_at(memory, 700), PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	       MAP_FAILED);
	ASSERT_SYNC(vcpu, 0);
	EXPECT_EQ(guest_check(vcpu, 1000, pages), pages);
}

#define KSM	"/sys/kernel/mm/ksm/"

TEST(merged_pages)
{
	const u64 pages = 64;
	u64 *memory = map_small(pages);
	struct vcpu *vcpu = server(memory, pages * PAGE_SIZE, 0);
	u64 i;

	for (i = 0; i < pages; i++)
		guest_write(vcpu, i * PAGE_SIZE, 0x4242);
	/* 2: forget what other processes have merged */
	if (madvise(memory, pages * PAGE_SIZE, MADV_MERGEABLE) ||
	    !host_write_number(KSM "run", 2) ||
	    !host_write_number(KSM "pages_to_scan", 1000) ||
	    !host_write_number(KSM "sleep_millisecs", 1) ||
	    !host_write_number(KSM "run", 1))
		SKIP("the host's kernel does not merge pages");
	for (i = 0; i < 500 && host_lookup(KSM "pages_sharing", "") < 32; i++)
		usleep(10000);
	host_write_number(KSM "run", 0);
	ASSERT_GE(host_lookup(KSM "pages_sharing", ""), 32);

	/* One page now; whoever writes gets one of their own. */
	guest_write(vcpu, 3 * PAGE_SIZE, 0x4343);
	*page_at(memory, 4) = 0x4444;
	for (i = 0; i < pages; i++)
		EXPECT_EQ(guest_read(vcpu, i * PAGE_SIZE),
			  i == 3 ? 0x4343 : i == 4 ? 0x4444 : 0x4242);
	EXPECT_EQ(*page_at(memory, 3), 0x4343);
	EXPECT_EQ(*page_at(memory, 5), 0x4242);
}

/* ------------------------------------------------------------------------ */
/* Files                                                                     */

static int make_file(u64 pages)
{
	int fd = ASSERT_OK(memfd_create("memory", MFD_CLOEXEC));

	ASSERT_OK(ftruncate(fd, pages * PAGE_SIZE));
	return fd;
}

TEST(shared_file)
{
	int fd = make_file(4);
	u64 *memory = map_memory(4 * PAGE_SIZE, MAP_SHARED, fd);
	u64 *other = map_memory(4 * PAGE_SIZE, MAP_SHARED, fd), value = 5;
	struct vcpu *vcpu = server(memory, 4 * PAGE_SIZE, 0);

	guest_fill(vcpu, 10, 4);
	EXPECT_EQ(*page_at(other, 2), 12);
	ASSERT_EQ(pwrite(fd, &value, 8, PAGE_SIZE), 8);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 5);
	guest_write(vcpu, PAGE_SIZE, 6);
	ASSERT_EQ(pread(fd, &value, 8, PAGE_SIZE), 8);
	EXPECT_EQ(value, 6);

	/* A hole, then the end of the file, where pages were */
	ASSERT_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    2 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(guest_read(vcpu, 2 * PAGE_SIZE), 0);
	ASSERT_OK(ftruncate(fd, PAGE_SIZE));
	EXPECT_EQ(guest_read(vcpu, 0), 10);
	ASSERT_GUEST_EFAULT(vcpu, READ, 3 * PAGE_SIZE, 0);
	ASSERT_OK(ftruncate(fd, 4 * PAGE_SIZE));
	ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 0);
}

TEST(private_file)
{
	int fd = make_file(2);
	u64 *memory = map_memory(2 * PAGE_SIZE, MAP_PRIVATE, fd), value = 5;
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);

	ASSERT_EQ(pwrite(fd, &value, 8, 0), 8);
	EXPECT_EQ(guest_read(vcpu, 0), 5);
	guest_write(vcpu, 0, 6);
	EXPECT_EQ(*memory, 6);
	ASSERT_EQ(pread(fd, &value, 8, 0), 8);
	EXPECT_EQ(value, 5);
	EXPECT_EQ(guest_read(vcpu, 0), 6);
}

/* ------------------------------------------------------------------------ */
/* Reclaim and migration                                                     */

static bool have_swap(void)
{
	char line[256];
	FILE *file = fopen("/proc/swaps", "r");
	int lines = 0;

	while (file && fgets(line, sizeof(line), file))
		lines++;
	if (file)
		fclose(file);
	return lines > 1;
}

/* Once is not enough for pages that the host knows the guest to have used. */
static s64 page_out(void *memory, u64 size)
{
	s64 swapped;
	int i = 0;

	do {
		ASSERT_OK(madvise(memory, size, MADV_PAGEOUT));
		swapped = host_lookup("/proc/self/status", "VmSwap") * 1024;
	} while (swapped < size / 2 && ++i < 5);
	return swapped;
}

TEST(swap)
{
	const u64 pages = 256, size = pages * PAGE_SIZE;
	u64 *memory = map_small(pages);
	struct vcpu *vcpu;
	int round;

	if (!have_swap())
		SKIP("the host has no swap device");
	vcpu = server(memory, size, 0);
	for (round = 0; round < 4; round++) {
		guest_fill(vcpu, round << 20, pages);
		EXPECT_GE(page_out(memory, size), size / 2);
		EXPECT_EQ(guest_check(vcpu, round << 20, pages), pages);
	}
}

TEST(migration)
{
	const u64 pages = 512;
	u64 *memory = map_small(pages);
	struct vcpu *vcpu = server(memory, pages * PAGE_SIZE, 0);
	s64 before = host_lookup("/proc/vmstat", "pgmigrate_success");
	int round;
	u64 i;

	/* with holes, so that there is something to compact */
	guest_fill(vcpu, 0, pages);
	for (i = 0; i < pages; i += 2)
		madvise(page_at(memory, i), PAGE_SIZE, MADV_DONTNEED);
	for (round = 1; round < 5; round++) {
		guest_fill(vcpu, round << 20, pages);
		if (!host_write_number("/proc/sys/vm/compact_memory", 1))
			SKIP("the host's kernel does not compact memory");
		EXPECT_EQ(guest_check(vcpu, round << 20, pages), pages);
	}
	ksft_print_msg("%lld pages migrated\n",
		       host_lookup("/proc/vmstat", "pgmigrate_success") - before);
}

/* ------------------------------------------------------------------------ */
/* Slots                                                                     */

TEST(read_only_slot)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, MINIVMM_MEM_READONLY);

	*memory = 0x11;
	EXPECT_EQ(guest_read(vcpu, 0), 0x11);
	/* also where the host's page is in place and writable */
	give(vcpu, WRITE, 8, 0x22, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(vcpu->run->mmio.phys_addr, REGION_GPA + 8);
	EXPECT_EQ(vcpu->run->mmio.len, 8);
	EXPECT(vcpu->run->mmio.is_write);
	EXPECT_EQ(*(u64 *)vcpu->run->mmio.data, 0x22);
	ASSERT_SYNC(vcpu, 0);
	EXPECT_EQ(memory[1], 0);
	EXPECT_EQ(guest_read(vcpu, 8), 0);
	memory[1] = 0x33;
	EXPECT_EQ(guest_read(vcpu, 8), 0x33);
	/* one that nobody has touched is read as zeroes, and not written */
	give(vcpu, WRITE, PAGE_SIZE, 0x44, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_SYNC(vcpu, 0);
	EXPECT_EQ(guest_read(vcpu, PAGE_SIZE), 0);
}

TEST(slots_come_and_go)
{
	u64 *memory = map_small(2), *other = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);
	struct vm *vm = vcpu->vm;
	int i;

	*other = 0xee;
	for (i = 0; i < 5; i++) {
		guest_write(vcpu, 0, i);
		/* gone: a device */
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 0, NULL));
		give(vcpu, READ, 0, 0, 0);
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
		*(u64 *)vcpu->run->mmio.data = 0xdd;
		ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 0xdd);
		/* other memory in its place */
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 2 * PAGE_SIZE,
				      other));
		EXPECT_EQ(guest_read(vcpu, 0), 0xee);
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 0, NULL));
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 2 * PAGE_SIZE,
				      memory));
		EXPECT_EQ(guest_read(vcpu, 0), i);
		/* moved up and back */
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA + 0x400000,
				      2 * PAGE_SIZE, memory));
		EXPECT_EQ(guest_read(vcpu, 0x400000), i);
		give(vcpu, READ, 0, 0, 0);
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
		ASSERT_SYNC(vcpu, 0);
		ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 2 * PAGE_SIZE,
				      memory));
	}
}

/* One mapping in two places of the guest's memory */
TEST(aliases)
{
	u64 *memory = map_small(2);
	struct vcpu *vcpu = server(memory, 2 * PAGE_SIZE, 0);

	ASSERT_OK(vm_set_slot(vcpu->vm, 2, 0, REGION_GPA + 0x10000,
			      2 * PAGE_SIZE, memory));
	guest_write(vcpu, 0, 0x12);
	EXPECT_EQ(guest_read(vcpu, 0x10000), 0x12);
	ASSERT_OK(madvise(memory, PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(guest_read(vcpu, 0), 0);
	EXPECT_EQ(guest_read(vcpu, 0x10000), 0);
}

/* ------------------------------------------------------------------------ */

#define LEAK_ROUNDS	40
#define LEAK_REGIONS	64

/* A VM with a second-level table for each of 64 regions, 256 KiB at least */
static void make_and_free_vm(void *memory)
{
	struct vcpu *vcpu = server(memory, LEAK_REGIONS * HUGE_SIZE, 0);
	int i;

	for (i = 0; i < LEAK_REGIONS; i++)
		guest_write(vcpu, i * HUGE_SIZE, i);
	vm_free(vcpu->vm);
}

TEST(nothing_leaks)
{
	u64 size = LEAK_REGIONS * HUGE_SIZE;
	void *memory = map_memory(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1);
	s64 before, lost;
	int i;

	madvise(memory, size, MADV_NOHUGEPAGE);
	/* what is kept for next time is allocated by now */
	for (i = 0; i < 4; i++)
		make_and_free_vm(memory);
	before = free_kib();
	for (i = 0; i < LEAK_ROUNDS; i++)
		make_and_free_vm(memory);
	lost = before - free_kib();
	ksft_print_msg("%lld of %lld KiB less after %d VMs\n", lost, before,
		       LEAK_ROUNDS);
	EXPECT(lost < LEAK_ROUNDS * LEAK_REGIONS * 4 / 2);
}

#define MOVES		768

/* The tables that map a slot go with it, wherever it has been. */
TEST(moved_slot_leaves_nothing)
{
	u64 *memory = map_small(1);
	struct vcpu *vcpu = server(memory, PAGE_SIZE, 0);
	s64 before = 0, lost;
	u64 i;

	for (i = 0; i < MOVES; i++) {
		if (i == 16)
			before = free_kib();
		ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0,
				      REGION_GPA + i * HUGE_SIZE, PAGE_SIZE,
				      memory));
		guest_write(vcpu, i * HUGE_SIZE, i);
	}
	lost = before - free_kib();
	ksft_print_msg("%lld of %lld KiB less after %d moves\n", lost, before,
		       MOVES);
	EXPECT(lost < MOVES * 4 / 2);
}

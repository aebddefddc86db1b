// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the host takes back while its slot is being deleted: from the
 * first to the last moment of the deletion no vCPU may write to a page that is
 * somebody else's by now.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>
#include <unistd.h>

#include "guest.h"

#define REGION_GPA	0x10000000UL
#define PAGES		64UL
#define BLOCKED_GPA	0x20000000UL
#define FRESH_PAGES	4096UL
#define MARK		0x4141414141414141UL

static struct vm *vm;

static void *map(u64 pages, int flags)
{
	void *memory = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	ASSERT(memory != MAP_FAILED);
	/* single pages go back to the host soonest */
	madvise(memory, pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	return memory;
}

static void guest_write_for_ever(void)
{
	volatile u64 *word = (u64 *)REGION_GPA;
	u64 i;

	asm volatile("sti");
	for (;;)
		for (i = 0; i < PAGES; i++)
			word[i * PAGE_SIZE / 8] = MARK;
}

static void guest_read_blocked(void)
{
	GUEST_ASSERT_EQ(*(volatile u64 *)BLOCKED_GPA, 0);
}

/* Ends when the slot is gone: there is a device then. */
static void *run_writer(void *vcpu)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	return NULL;
}

static void *run_reader(void *vcpu)
{
	ASSERT_DONE(vcpu);
	return NULL;
}

static void *delete_slot(void *memory)
{
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 0, memory));
	return NULL;
}

/* A page that whoever touches it waits for, until release_page() */
static int hold_page(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page, PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		SKIP("no userfaultfd: %s", strerror(errno));
	ASSERT_OK(ioctl(fd, UFFDIO_API, &api));
	ASSERT_OK(ioctl(fd, UFFDIO_REGISTER, &reg));
	return fd;
}

static void release_page(int fd, void *page)
{
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)page, PAGE_SIZE },
	};

	ASSERT_OK(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
}

static void wait_for_fault(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	ASSERT_EQ(poll(&pollfd, 1, 10000), 1);
	ASSERT_EQ(pollfd.revents, POLLIN);
}

static u64 marks(const u64 *memory, u64 pages)
{
	u64 i, count = 0;

	for (i = 0; i < pages; i++)
		count += *(volatile const u64 *)&memory[i * PAGE_SIZE / 8] == MARK;
	return count;
}

static struct vcpu *setup(int id, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, fn, 0);
	return vcpu;
}

static void wait_for_marks(const u64 *memory)
{
	int i;

	for (i = 0; i < 1000 && marks(memory, PAGES) < PAGES; i++)
		usleep(1000);
	ASSERT_EQ(marks(memory, PAGES), PAGES);
}

/* One round; how long the host waits moves it through the whole deletion. */
static void take_memory_back(int round)
{
	u64 *memory = map(PAGES, 0), *fresh;
	pthread_t writer, deleter;

	vm = vm_create();
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, PAGES * PAGE_SIZE, memory));
	pthread_create(&writer, NULL, run_writer,
		       setup(0, guest_write_for_ever));
	wait_for_marks(memory);
	pthread_create(&deleter, NULL, delete_slot, memory);
	usleep(round * 5);
	ASSERT_OK(madvise(memory, PAGES * PAGE_SIZE, MADV_DONTNEED));
	fresh = map(FRESH_PAGES, MAP_POPULATE);
	EXPECT_EQ(marks(fresh, FRESH_PAGES), 0);

	pthread_join(deleter, NULL);
	pthread_join(writer, NULL);
	munmap(fresh, FRESH_PAGES * PAGE_SIZE);
	munmap(memory, PAGES * PAGE_SIZE);
	vm_free(vm);
}

/*
 * The slot's memory is freed and used again while the slot is deleted, and while
 * a vCPU writes to all of it.
 */
TEST(memory_taken_back_during_deletion)
{
	int round;

	for (round = 0; round < 40; round++)
		take_memory_back(round);
}

/* A vCPU that waits for a page, perhaps for ever, does not hold up deletions. */
TEST(deletion_while_a_page_is_awaited)
{
	u64 *memory = map(PAGES, 0);
	void *held = map(1, 0);
	int fd = hold_page(held);
	pthread_t reader;

	vm = vm_create();
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, PAGES * PAGE_SIZE, memory));
	ASSERT_OK(vm_set_slot(vm, 2, 0, BLOCKED_GPA, PAGE_SIZE, held));
	pthread_create(&reader, NULL, run_reader, setup(0, guest_read_blocked));
	wait_for_fault(fd);
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, 0, memory));
	release_page(fd, held);
	pthread_join(reader, NULL);
}

/* ... not even of the slot that has the page: it comes to a device then. */
TEST(deletion_of_the_slot_awaited)
{
	void *held = map(1, 0);
	int fd = hold_page(held);
	pthread_t reader;

	vm = vm_create();
	ASSERT_OK(vm_set_slot(vm, 2, 0, BLOCKED_GPA, PAGE_SIZE, held));
	pthread_create(&reader, NULL, run_writer, setup(0, guest_read_blocked));
	wait_for_fault(fd);
	ASSERT_OK(vm_set_slot(vm, 2, 0, BLOCKED_GPA, 0, held));
	release_page(fd, held);
	pthread_join(reader, NULL);
}

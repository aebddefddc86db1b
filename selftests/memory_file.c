// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that is a file: memfd with seals and holes, mappings that can
 * only be read; and memory that the client gives back of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	512UL
#define SIZE	(PAGES * PAGE_SIZE)

static int make_memfd(u64 size)
{
	int fd = ASSERT_OK(memfd_create("guest", MFD_ALLOW_SEALING));

	ASSERT_OK(ftruncate(fd, size));
	return fd;
}

TEST(holes_in_a_memfd)
{
	int fd = make_memfd(SIZE), i;
	u64 *memory = map_memory(SIZE, MAP_SHARED, fd), first, pages;
	struct walk *walk = walk_start(memory, PAGES, 2, WALK_DISCARDS);

	for (i = 0; i < 12; i++) {
		walk_wait(walk, 1);
		first = random_below(PAGES);
		pages = 1 + random_below(PAGES - first);
		ASSERT_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE, first * PAGE_SIZE,
				    pages * PAGE_SIZE));
		walk_host(walk);
	}
	walk_end(walk);
}

/* What lies behind the end of a file is not there, until it grows again. */
TEST(memfd_shrinks_and_grows)
{
	int fd = make_memfd(SIZE), i;
	u64 *memory = map_memory(SIZE, MAP_SHARED, fd);
	struct walk *walk = walk_start(memory, PAGES, 2,
				       WALK_DISCARDS | WALK_EFAULT);

	for (i = 0; i < 12; i++) {
		walk_wait(walk, 1);
		ASSERT_OK(ftruncate(fd, random_below(PAGES) * PAGE_SIZE));
		pause_us(300);
		ASSERT_OK(ftruncate(fd, SIZE));
	}
	walk_end(walk);
}

/* A file and a copy of it in use at once, by two guests */
TEST(shared_and_private)
{
	int fd = make_memfd(SIZE);
	u64 *shared = map_memory(SIZE, MAP_SHARED, fd);
	u64 *private = map_memory(SIZE, MAP_PRIVATE, fd);
	struct walk *copy = walk_start(private, PAGES, 1, 0), *walk;

	/* from here on nothing of the file shows through */
	walk_wait(copy, 1);
	walk = walk_start(shared, PAGES, 1, 0);
	walk_wait(walk, 3);
	walk_wait(copy, 3);
	walk_host(walk);
	walk_host(copy);
	walk_end(walk);
	walk_end(copy);
}

/* ------------------------------------------------------------------------ */
/* Memory that can be read only                                              */

#define RO_PAGES	4UL

static volatile struct {
	u64 address, value, write;
} order;

static void guest_obey(void)
{
	volatile u64 *word;

	for (;;) {
		word = (u64 *)order.address;
		if (order.write)
			*word = order.value;
		guest_sync(0, *word);
	}
}

static void give(struct vcpu *vcpu, u64 address, bool write, u64 value)
{
	*vm_guest_ptr(vcpu->vm, &order.address) = address;
	*vm_guest_ptr(vcpu->vm, &order.value) = value;
	*vm_guest_ptr(vcpu->vm, &order.write) = write;
}

static u64 guest_read(struct vcpu *vcpu, u64 address)
{
	give(vcpu, address, false, 0);
	return ASSERT_SYNC(vcpu, 0);
}

static struct vcpu *reader(void *memory, u32 flags)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, flags, REGION_GPA,
			      RO_PAGES * PAGE_SIZE, memory));
	vcpu_setup_long(vcpu, guest_obey, 0);
	return vcpu;
}

static u64 *map_read_only(int fd, int flags)
{
	void *memory = mmap(NULL, RO_PAGES * PAGE_SIZE, PROT_READ, flags, fd,
			    0);

	ASSERT(memory != MAP_FAILED);
	return memory;
}

static void put_file(int fd, u64 page, u64 value)
{
	ASSERT_EQ(pwrite(fd, &value, 8, page * PAGE_SIZE), 8);
}

/* The guest reads what the file has now; writing fails, and changes nothing. */
static void check_read_only(int fd, u64 *memory)
{
	struct vcpu *vcpu = reader(memory, 0);
	u64 i;

	for (i = 1; i <= 5; i++) {
		put_file(fd, i % RO_PAGES, i);
		EXPECT_EQ(guest_read(vcpu, REGION_GPA +
				     i % RO_PAGES * PAGE_SIZE), i);
		give(vcpu, REGION_GPA + i % RO_PAGES * PAGE_SIZE, true, 77);
		EXPECT_EQ(vcpu_run(vcpu), -EFAULT);
		EXPECT_EQ(vcpu_run(vcpu), -EFAULT);
		EXPECT_EQ(*page_at(memory, i % RO_PAGES), i);
		/* past the write that failed: back to the loop's start */
		vcpu_setup_long(vcpu, guest_obey, 0);
	}
	vm_free(vcpu->vm);
}

TEST(read_only_mapping)
{
	int fd = make_memfd(RO_PAGES * PAGE_SIZE);

	check_read_only(fd, map_read_only(fd, MAP_SHARED));
	check_read_only(fd, map_read_only(fd, MAP_PRIVATE));
}

/* Opened for reading: there is no way to write it through this mapping. */
TEST(read_only_file)
{
	int fd = make_memfd(RO_PAGES * PAGE_SIZE), ro;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = ASSERT_OK(open(path, O_RDONLY));
	check_read_only(fd, map_read_only(ro, MAP_SHARED));
}

/* In a read-only slot a write is a device's, whatever the mapping allows. */
TEST(read_only_slot_of_a_file)
{
	int fd = make_memfd(RO_PAGES * PAGE_SIZE);
	struct vcpu *vcpu = reader(map_read_only(fd, MAP_SHARED),
				   MINIVMM_MEM_READONLY);

	put_file(fd, 2, 0x1234);
	EXPECT_EQ(guest_read(vcpu, REGION_GPA + 2 * PAGE_SIZE), 0x1234);
	give(vcpu, REGION_GPA + 2 * PAGE_SIZE + 8, true, 0x77);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT(vcpu->run->mmio.is_write);
	EXPECT_EQ(vcpu->run->mmio.phys_addr, REGION_GPA + 2 * PAGE_SIZE + 8);
	EXPECT_EQ(*(u64 *)vcpu->run->mmio.data, 0x77);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 0);
	vm_free(vcpu->vm);
}

/* A seal that the guest's mapping is in the way of, and those that it obeys */
TEST(seals)
{
	int fd = make_memfd(RO_PAGES * PAGE_SIZE);
	u64 *memory = map_memory(RO_PAGES * PAGE_SIZE, MAP_SHARED, fd);
	struct vcpu *vcpu = reader(memory, 0);

	give(vcpu, REGION_GPA, true, 5);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 5);
	EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	ASSERT_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
			F_SEAL_FUTURE_WRITE));
	EXPECT_ERRNO(ftruncate(fd, PAGE_SIZE), EPERM);
	EXPECT_ERRNO(ftruncate(fd, 2 * RO_PAGES * PAGE_SIZE), EPERM);
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, PAGE_SIZE), EPERM);
	/* this mapping is older than the seal */
	give(vcpu, REGION_GPA + PAGE_SIZE, true, 6);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 6);
	vm_free(vcpu->vm);
	/* a later one can only be read, by a guest as well */
	vcpu = reader(map_read_only(fd, MAP_SHARED), 0);
	EXPECT_EQ(guest_read(vcpu, REGION_GPA), 5);
	give(vcpu, REGION_GPA, true, 7);
	EXPECT_EQ(vcpu_run(vcpu), -EFAULT);
	EXPECT_EQ(*memory, 5);
	vm_free(vcpu->vm);
}

/* ------------------------------------------------------------------------ */
/* Memory given back                                                         */

TEST(dontneed)
{
	u64 *memory = map_small(PAGES), first, pages;
	struct walk *walk = walk_start(memory, PAGES, 2, WALK_DISCARDS);
	int i;

	for (i = 0; i < 40; i++) {
		first = random_below(PAGES);
		pages = 1 + random_below(PAGES - first);
		ASSERT_OK(madvise(page_at(memory, first), pages * PAGE_SIZE,
				  MADV_DONTNEED));
		if (i % 4 == 0)
			walk_host(walk);
	}
	walk_wait(walk, 1);
	walk_end(walk);
}

/*
 * What MADV_FREE gives back is the host's to take, but no more once somebody
 * has written there again. Each round all pages are written before the host is
 * made to look for some.
 */
TEST(free_and_written_again)
{
	u64 *memory = map_small(PAGES);
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i;

	for (i = 0; i < 8; i++) {
		walk_wait(walk, 1);
		ASSERT_OK(madvise(memory, SIZE, MADV_FREE));
		walk_wait(walk, 2);
		ASSERT_OK(madvise(memory, SIZE, MADV_PAGEOUT));
		walk_host(walk);
	}
	walk_end(walk);
}

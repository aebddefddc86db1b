// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: as many as there can be, at the edges of what the guest can
 * address, changed while vCPUs run. What is refused changes nothing.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define LOG	MINIVMM_MEM_LOG_DIRTY_PAGES
#define RO	MINIVMM_MEM_READONLY

static int max_slots(struct vm *vm)
{
	return ioctl(vm->fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_NR_MEMSLOTS);
}

/* ------------------------------------------------------------------------ */
/* What is refused                                                           */

static u32 host_address_bits(void)
{
	u32 out[4];

	cpuid(0x80000008, 0, out);
	return out[0] & 0xff;
}

/* The last page that the CPU can address, and the first that it cannot */
TEST(address_limit)
{
	u64 end = 1ULL << host_address_bits();
	struct vm *vm = vm_create_bare();
	void *memory = map_small(2);

	if (host_address_bits() > 48)
		SKIP("this CPU's physical addresses have more than 48 bits");
	EXPECT_OK(vm_set_slot(vm, 0, 0, end - PAGE_SIZE, PAGE_SIZE, memory));
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0, 0, NULL));
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, end, PAGE_SIZE, memory), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, end - PAGE_SIZE, 2 * PAGE_SIZE,
				 memory), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, -PAGE_SIZE, PAGE_SIZE, memory),
		     EINVAL);
	EXPECT_OK(vm_set_slot(vm, 0, 0, end - 2 * PAGE_SIZE, 2 * PAGE_SIZE,
			      memory));
	/* nor can it be moved there */
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, end - PAGE_SIZE, 2 * PAGE_SIZE,
				 memory), EINVAL);
}

/* A table of small slots; every request that touches another one's range */
TEST(overlaps)
{
	struct vm *vm = vm_create_bare();
	void *memory = map_small(16);
	u64 i, first, pages;

	for (i = 0; i < 8; i++)
		ASSERT_OK(vm_set_slot(vm, i, 0, (4 * i + 2) * PAGE_SIZE,
				      2 * PAGE_SIZE, memory));
	for (first = 0; first < 34; first++) {
		for (pages = 1; pages <= 6; pages++) {
			/* free are 4n and 4n + 1 */
			bool fits = first % 4 + pages <= 2 || first >= 32;
			int ret = vm_set_slot(vm, 8, 0, first * PAGE_SIZE,
					      pages * PAGE_SIZE, memory);

			if (fits) {
				ASSERT_EQ(ret, 0);
				ASSERT_OK(vm_set_slot(vm, 8, 0, 0, 0, NULL));
			} else {
				ASSERT_EQ(ret, -1);
				ASSERT_EQ(errno, EEXIST);
			}
		}
	}
	/* over its own old place is no overlap, over a neighbour's is one */
	EXPECT_OK(vm_set_slot(vm, 3, 0, 13 * PAGE_SIZE, 2 * PAGE_SIZE,
			      memory));
	EXPECT_ERRNO(vm_set_slot(vm, 3, 0, 11 * PAGE_SIZE, 2 * PAGE_SIZE,
				 memory), EEXIST);
}

TEST(flags)
{
	struct vm *vm = vm_create_bare();
	void *memory = map_small(2);

	EXPECT_ERRNO(vm_set_slot(vm, 0, 1 << 2, 0, PAGE_SIZE, memory), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 1U << 31 | LOG, 0, PAGE_SIZE, memory),
		     EINVAL);
	ASSERT_OK(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE, memory));
	/* the log goes on and off; read-only it is made, or not */
	EXPECT_OK(vm_set_slot(vm, 0, LOG, 0, PAGE_SIZE, memory));
	EXPECT_OK(vm_set_slot(vm, 0, LOG, 0, PAGE_SIZE, memory));
	EXPECT_ERRNO(vm_set_slot(vm, 0, LOG | RO, 0, PAGE_SIZE, memory),
		     EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, LOG, 0, 2 * PAGE_SIZE, memory), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, LOG, 0, PAGE_SIZE,
				 (char *)memory + PAGE_SIZE), EINVAL);
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE, memory));
	EXPECT_ERRNO(vm_set_slot(vm, 0, RO, 0, PAGE_SIZE, memory), EINVAL);
	EXPECT_OK(vm_set_slot(vm, 1, RO, PAGE_SIZE, PAGE_SIZE, memory));
	EXPECT_ERRNO(vm_set_slot(vm, 1, 0, PAGE_SIZE, PAGE_SIZE, memory),
		     EINVAL);
	EXPECT_OK(vm_set_slot(vm, 1, RO | LOG, PAGE_SIZE, PAGE_SIZE, memory));
	EXPECT_OK(vm_set_slot(vm, 1, RO, 2 * PAGE_SIZE, PAGE_SIZE, memory));
	/* moving and logging in one request */
	EXPECT_OK(vm_set_slot(vm, 0, LOG, 3 * PAGE_SIZE, PAGE_SIZE, memory));
}

/* ------------------------------------------------------------------------ */
/* As many as there can be                                                   */

#define MANY_GPA	0x40000000UL

/* A page each, none next to another; slot 0 has the program. */
static u64 many_gpa(u64 slot)
{
	return MANY_GPA + 2 * slot * PAGE_SIZE;
}

/* Near by, then far apart: what each slot's page holds, or a device's 0 */
static void guest_read_many(u64 slots)
{
	u64 i, step, value;

	asm volatile("sti");
	for (step = 1; step < slots; step *= 7)
		for (i = 1; i < slots; i += step) {
			value = *(volatile u64 *)many_gpa(i);
			GUEST_ASSERT_EQ(value, i % 97 ? i : 0);
		}
}

static void run_many(struct vcpu *vcpu)
{
	int reason;

	do {
		reason = vcpu_run(vcpu);
		if (reason == MINIVMM_EXIT_MMIO)
			memset(vcpu->run->mmio.data, 0, 8);
	} while (reason == MINIVMM_EXIT_MMIO);
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
}

TEST(all_slots_in_use)
{
	struct vm *vm = vm_create();
	int slots = max_slots(vm), i, at;
	u64 *memory = map_small(slots);

	for (i = 0; i < slots - 1; i++) {
		/* in an order that is none: 7919 is prime */
		at = 1 + (u64)i * 7919 % (slots - 1);
		*page_at(memory, at) = at;
		ASSERT_OK(vm_set_slot(vm, at, 0, many_gpa(at), PAGE_SIZE,
				      page_at(memory, at)));
	}
	EXPECT_ERRNO(vm_set_slot(vm, slots, 0, MANY_GPA + PAGE_SIZE, PAGE_SIZE,
				 memory), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 5, 0, many_gpa(6), PAGE_SIZE,
				 page_at(memory, 5)), EEXIST);
	for (i = 97; i < slots; i += 97)
		ASSERT_OK(vm_set_slot(vm, i, 0, 0, 0, NULL));
	vcpu_setup_long(vcpu_create(vm, 0), guest_read_many, slots);
	run_many(vm->vcpus[0]);
	ksft_print_msg("%d slots\n", slots);
	vm_free(vm);
}

/* KVM's number; clients ask for it. */
TEST(number_of_slots)
{
	struct vm *vm = vm_create_bare();

	EXPECT_EQ(max_slots(vm), 32764);
}

/* ------------------------------------------------------------------------ */
/* While vCPUs run                                                           */

#define PAGES		256UL
#define HALF		(PAGES / 2)

/* The log goes on and off, for a slot in use; nothing is lost. */
TEST(flags_change_under_load)
{
	u64 *memory = map_aligned(PAGES * PAGE_SIZE);
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i;

	for (i = 0; i < 60; i++) {
		ASSERT_OK(vm_set_slot(walk->vm, 1, i & 1 ? 0 : LOG, REGION_GPA,
				      PAGES * PAGE_SIZE, memory));
		if (i % 8 == 0)
			walk_host(walk);
		walk_wait(walk, i % 4 == 0);
	}
	walk_end(walk);
}

/* Others come and go around the one in use, some with the same memory. */
TEST(neighbours_come_and_go)
{
	u64 *memory = map_small(PAGES), *other = map_small(64);
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	u64 end = REGION_GPA + PAGES * PAGE_SIZE, i, slot;

	for (i = 0; i < 30; i++) {
		for (slot = 2; slot < 18; slot++)
			ASSERT_OK(vm_set_slot(walk->vm, slot, 0,
					      end + slot * 4 * PAGE_SIZE,
					      4 * PAGE_SIZE,
					      slot & 1 ? other : memory));
		ASSERT_OK(vm_set_slot(walk->vm, 18, RO, end, PAGE_SIZE,
				      page_at(memory, i)));
		for (slot = 2; slot < 19; slot++)
			ASSERT_OK(vm_set_slot(walk->vm, slot, 0, 0, 0, NULL));
	}
	walk_wait(walk, 1);
	walk_end(walk);
}

/* One slot, two, moved, one again, between two accesses of running vCPUs */
TEST(slot_goes_and_comes_back)
{
	u64 *memory = map_small(PAGES), size = PAGES * PAGE_SIZE;
	struct walk *walk = walk_start(memory, PAGES, 2, 0);
	int i;

	for (i = 0; i < 15; i++) {
		walk_wait(walk, 1);
		walk_pause(walk);
		ASSERT_OK(vm_set_slot(walk->vm, 1, 0, REGION_GPA, 0, NULL));
		/* in two halves, which change places in the table */
		ASSERT_OK(vm_set_slot(walk->vm, 2 + i % 2, 0, REGION_GPA,
				      size / 2, memory));
		ASSERT_OK(vm_set_slot(walk->vm, 3 - i % 2, 0,
				      REGION_GPA + size / 2, size / 2,
				      page_at(memory, HALF)));
		walk_resume(walk);
		walk_wait(walk, 1);
		walk_pause(walk);
		/* the lower half to elsewhere and back, then one slot again */
		ASSERT_OK(vm_set_slot(walk->vm, 2 + i % 2, 0,
				      REGION_GPA + 4 * size, size / 2,
				      memory));
		ASSERT_OK(vm_set_slot(walk->vm, 2 + i % 2, 0, REGION_GPA,
				      size / 2, memory));
		walk_resume(walk);
		walk_wait(walk, 1);
		walk_pause(walk);
		ASSERT_OK(vm_set_slot(walk->vm, 2, 0, 0, 0, NULL));
		ASSERT_OK(vm_set_slot(walk->vm, 3, 0, 0, 0, NULL));
		ASSERT_OK(vm_set_slot(walk->vm, 1, 0, REGION_GPA, size,
				      memory));
		walk_resume(walk);
	}
	walk_end(walk);
}

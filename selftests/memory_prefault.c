// SPDX-License-Identifier: GPL-2.0
/* PRE_FAULT_MEMORY: mapped before the guest asks, and what is refused. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	600UL
#define SIZE	(PAGES * PAGE_SIZE)

static struct minivmm_pre_fault_memory range;

static int prefault(struct vcpu *vcpu, u64 gpa, u64 size)
{
	range = (struct minivmm_pre_fault_memory) { .gpa = gpa, .size = size };
	return ioctl(vcpu->fd, MINIVMM_PRE_FAULT_MEMORY, &range);
}

static void guest_write_all(u64 pages)
{
	u64 i;

	for (i = 0; i < pages; i++)
		*(volatile u64 *)(REGION_GPA + i * PAGE_SIZE) += i;
}

static struct vcpu *guest_in(void *memory)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	if (ioctl(vcpu->vm->fd, MINIVMM_CHECK_EXTENSION,
		  MINIVMM_CAP_PRE_FAULT_MEMORY) <= 0)
		SKIP("not offered (KVM: since 6.11)");
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, REGION_GPA, SIZE, memory));
	vcpu_setup_long(vcpu, guest_write_all, PAGES);
	return vcpu;
}

static u64 resident(void *memory)
{
	unsigned char pages[PAGES];
	u64 i, count = 0;

	ASSERT_OK(mincore(memory, SIZE, pages));
	for (i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

TEST(maps_what_is_asked_for)
{
	u64 *memory = map_small(PAGES), i;
	struct vcpu *vcpu = guest_in(memory);

	ASSERT_OK(prefault(vcpu, REGION_GPA + 10 * PAGE_SIZE, 100 * PAGE_SIZE));
	EXPECT_EQ(range.gpa, REGION_GPA + 110 * PAGE_SIZE);
	EXPECT_EQ(range.size, 0);
	EXPECT_EQ(resident(memory), 100);
	/* a second time, and over what is there */
	ASSERT_OK(prefault(vcpu, REGION_GPA, SIZE));
	EXPECT_EQ(range.gpa, REGION_GPA + SIZE);
	EXPECT_EQ(resident(memory), PAGES);
	for (i = 0; i < PAGES; i++)
		*page_at(memory, i) = 1000;
	ASSERT_DONE(vcpu);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(*page_at(memory, i), 1000 + i);
}

TEST(huge_pages)
{
	u64 *memory = map_aligned(2 * HUGE_SIZE), i;
	struct vcpu *vcpu;

	if (madvise(memory, 2 * HUGE_SIZE, MADV_HUGEPAGE))
		SKIP("the host's kernel has no transparent huge pages");
	*memory = 0;
	vcpu = guest_in(memory);
	ASSERT_OK(prefault(vcpu, REGION_GPA, SIZE));
	EXPECT_EQ(range.size, 0);
	ASSERT_DONE(vcpu);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(*page_at(memory, i), i);
}

TEST(errors)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory);

	EXPECT_ERRNO(prefault(vcpu, REGION_GPA, 0), EINVAL);
	EXPECT_ERRNO(prefault(vcpu, REGION_GPA + 1, PAGE_SIZE), EINVAL);
	EXPECT_ERRNO(prefault(vcpu, REGION_GPA, PAGE_SIZE + 1), EINVAL);
	EXPECT_ERRNO(prefault(vcpu, -PAGE_SIZE, 2 * PAGE_SIZE), EINVAL);
	EXPECT_ERRNO(prefault(vcpu, -PAGE_SIZE, PAGE_SIZE), EINVAL);
	range = (struct minivmm_pre_fault_memory) {
		.gpa = REGION_GPA, .size = PAGE_SIZE, .flags = 1,
	};
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_PRE_FAULT_MEMORY, &range), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_PRE_FAULT_MEMORY, NULL), EFAULT);
	/* where there is no memory */
	EXPECT_ERRNO(prefault(vcpu, MMIO_GPA, PAGE_SIZE), ENOENT);
	EXPECT_EQ(resident(memory), 0);
}

/* It stops where it cannot go on, and says where that is. */
TEST(in_part)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory);

	ASSERT_OK(prefault(vcpu, REGION_GPA + SIZE - 4 * PAGE_SIZE,
			   8 * PAGE_SIZE));
	EXPECT_EQ(range.gpa, REGION_GPA + SIZE);
	EXPECT_EQ(range.size, 4 * PAGE_SIZE);
	EXPECT_EQ(resident(memory), 4);
	/* the client has unmapped the slot's memory */
	ASSERT_OK(munmap(page_at(memory, 8), PAGE_SIZE));
	ASSERT_OK(prefault(vcpu, REGION_GPA, 16 * PAGE_SIZE));
	EXPECT_EQ(range.gpa, REGION_GPA + 8 * PAGE_SIZE);
	EXPECT_ERRNO(prefault(vcpu, REGION_GPA + 8 * PAGE_SIZE, PAGE_SIZE),
		     EFAULT);
}

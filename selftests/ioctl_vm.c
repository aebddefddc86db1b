// SPDX-License-Identifier: GPL-2.0
/* The ioctls of a VM, with good, bad and hostile arguments. */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define BAD_POINTER	((void *)0x1000)
#define MEM_SIZE	(64 * PAGE_SIZE)

static char *host_memory(void)
{
	char *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(mem != MAP_FAILED);
	return mem;
}

TEST(unknown_ioctl)
{
	struct vm *vm = vm_create_bare();

	EXPECT_ERRNO(ioctl(vm->fd, _IO(MINIVMMIO, 0xff), 0), ENOTTY);
	EXPECT_ERRNO(ioctl(vm->fd, _IO('x', 0x41), 0), ENOTTY);
	EXPECT_ERRNO(ioctl(vm->fd, ~0U, 0), ENOTTY);
	EXPECT_ERRNO(ioctl(vm->fd, _IOW(MINIVMMIO, 0x46, char), 0), ENOTTY);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_RUN, 0), ENOTTY);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VM, 0), ENOTTY);
}

TEST(no_read_write_mmap)
{
	struct vm *vm = vm_create_bare();
	char byte = 0;

	EXPECT_ERRNO(read(vm->fd, &byte, 1), EINVAL);
	EXPECT_ERRNO(write(vm->fd, &byte, 1), EINVAL);
	EXPECT(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, vm->fd, 0) ==
	       MAP_FAILED);
}

TEST(create_vcpu)
{
	struct vm *vm = vm_create_bare();
	int max = ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
			MINIVMM_CAP_MAX_VCPU_ID);
	int fd = ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 3));

	EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 3), EEXIST);
	EXPECT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 0));
	EXPECT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, max - 1));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VCPU, max), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VCPU, -1), EINVAL);
	/* the number stays taken as long as the VM lives */
	close(fd);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 3), EEXIST);
}

TEST(slot_pointer)
{
	struct vm *vm = vm_create_bare();

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_USER_MEMORY_REGION,
			   BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_USER_MEMORY_REGION, NULL),
		     EFAULT);
}

TEST(slot_alignment)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();

	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0x800, PAGE_SIZE, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE + 1, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, 0x800, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE, mem + 1), EINVAL);
}

TEST(slot_number_and_flags)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();
	int slots = ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
			  MINIVMM_CAP_NR_MEMSLOTS);

	EXPECT_ERRNO(vm_set_slot(vm, slots, 0, 0, PAGE_SIZE, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0xffff, 0, 0, PAGE_SIZE, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, ~0U, 0, 0, PAGE_SIZE, mem), EINVAL);
	EXPECT_OK(vm_set_slot(vm, slots - 1, 0, 0, PAGE_SIZE, mem));
	EXPECT_ERRNO(vm_set_slot(vm, 0, 1U << 31, MEM_SIZE, PAGE_SIZE, mem),
		     EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, ~0U, MEM_SIZE, PAGE_SIZE, mem),
		     EINVAL);
}

TEST(slot_wrap)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();

	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, -PAGE_SIZE, 2 * PAGE_SIZE, mem),
		     EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, -PAGE_SIZE, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 1ULL << 62, 1ULL << 63, mem),
		     EINVAL);
	/* beyond any physical address width */
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 1ULL << 52, PAGE_SIZE, mem),
		     EINVAL);
	/* HVAs that are not user space's */
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE,
				 (void *)0xffff888000000000), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE,
				 (void *)0x8000000000000000), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, 2 * PAGE_SIZE,
				 (void *)-PAGE_SIZE), EINVAL);
}

TEST(slot_overlap)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();

	ASSERT_OK(vm_set_slot(vm, 0, 0, 0x10000, 4 * PAGE_SIZE, mem));
	EXPECT_ERRNO(vm_set_slot(vm, 1, 0, 0x10000, PAGE_SIZE, mem), EEXIST);
	EXPECT_ERRNO(vm_set_slot(vm, 1, 0, 0x13000, PAGE_SIZE, mem), EEXIST);
	EXPECT_ERRNO(vm_set_slot(vm, 1, 0, 0xf000, 2 * PAGE_SIZE, mem),
		     EEXIST);
	EXPECT_ERRNO(vm_set_slot(vm, 1, 0, 0, MEM_SIZE, mem), EEXIST);
	/* neighbours are none; the same host memory twice is fine */
	EXPECT_OK(vm_set_slot(vm, 1, 0, 0x14000, PAGE_SIZE, mem));
	EXPECT_OK(vm_set_slot(vm, 2, 0, 0xf000, PAGE_SIZE, mem));
	/* a move onto another slot */
	EXPECT_ERRNO(vm_set_slot(vm, 2, 0, 0x10000, PAGE_SIZE, mem), EEXIST);
	/* what failed changed nothing */
	EXPECT_OK(vm_set_slot(vm, 2, 0, 0xf000, 0, mem));
}

TEST(slot_delete_and_move)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();

	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, 0, NULL), EINVAL);
	ASSERT_OK(vm_set_slot(vm, 0, 0, 0, 2 * PAGE_SIZE, mem));
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0x10000, 2 * PAGE_SIZE, mem));
	EXPECT_OK(vm_set_slot(vm, 1, 0, 0, PAGE_SIZE, mem));
	/* neither size nor address nor read-only may change in place */
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0x10000, PAGE_SIZE, mem), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0x10000, 2 * PAGE_SIZE,
				 mem + PAGE_SIZE), EINVAL);
	EXPECT_ERRNO(vm_set_slot(vm, 0, MINIVMM_MEM_READONLY, 0x10000,
				 2 * PAGE_SIZE, mem), EINVAL);
	/* the same again is no change */
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0x10000, 2 * PAGE_SIZE, mem));
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0, 0, NULL));
	EXPECT_ERRNO(vm_set_slot(vm, 0, 0, 0, 0, NULL), EINVAL);
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0x10000, PAGE_SIZE, mem));
}

TEST(many_slots)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();
	int i;

	for (i = 0; i < 32; i++)
		ASSERT_OK(vm_set_slot(vm, i, 0, (u64)i * 2 * PAGE_SIZE,
				      PAGE_SIZE, mem));
	for (i = 0; i < 32; i += 2)
		ASSERT_OK(vm_set_slot(vm, i, 0, 0, 0, NULL));
	for (i = 0; i < 32; i += 2)
		ASSERT_OK(vm_set_slot(vm, i, 0, (u64)(i + 40) * PAGE_SIZE * 2,
				      PAGE_SIZE, mem));
}

/* Memory that is not there is found out when the guest touches it. */
TEST(slot_without_mapping)
{
	struct vm *vm = vm_create_bare();
	char *mem = host_memory();

	munmap(mem, MEM_SIZE);
	EXPECT_OK(vm_set_slot(vm, 0, 0, 0, MEM_SIZE, mem));
}

/* KVM has had no GET since 6.4: its result, an int, is not what was set. */
TEST(nr_mmu_pages)
{
	struct vm *vm = vm_create_bare();

	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_NR_MMU_PAGES, 0), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_NR_MMU_PAGES, 63), EINVAL);
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_NR_MMU_PAGES, 64));
	if (ioctl(vm->fd, MINIVMM_GET_NR_MMU_PAGES, 0) < 0) {
		ASSERT_EQ(errno, ENOTTY);
		ASSERT(!dev_is_minivmm());
		return;
	}
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_NR_MMU_PAGES, 0), 64);
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_NR_MMU_PAGES, INT_MAX));
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_NR_MMU_PAGES, 0), INT_MAX);
	/* never what looks like an error */
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_NR_MMU_PAGES, -ENOMEM));
	if (dev_is_minivmm())
		EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_NR_MMU_PAGES, 0), INT_MAX);
}

TEST(tss_address)
{
	struct vm *vm = vm_create_bare();

	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, 0xfffbd000));
	/* three pages must fit below 4 GiB */
	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, 0xffffd000));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, 0xffffd001), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, 0xffffffff), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_TSS_ADDR, 1ULL << 40), EINVAL);
}

TEST(identity_map_address)
{
	struct vm *vm = vm_create_bare();
	u64 address = 0xfffbc000;

	EXPECT_OK(ioctl(vm->fd, MINIVMM_SET_IDENTITY_MAP_ADDR, &address));
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IDENTITY_MAP_ADDR, BAD_POINTER),
		     EFAULT);
	vcpu_create(vm, 0);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IDENTITY_MAP_ADDR, BAD_POINTER),
		     EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_IDENTITY_MAP_ADDR, &address),
		     EINVAL);
}

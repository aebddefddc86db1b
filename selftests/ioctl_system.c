// SPDX-License-Identifier: GPL-2.0
/* The ioctls of the device itself, with good, bad and hostile arguments. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

/* An address that no mapping has */
#define BAD_POINTER	((void *)0x1000)

/* Every MINIVMM_CAP_ of the header, listed by the Makefile */
static const struct {
	int number;
	const char *name;
} caps[] = {
#define CAP(cap)	{ cap, #cap },
#include "caps.h"
#undef CAP
};

/* KVM's names for things that x86 never has */
#define CAP_PPC_UNSET_IRQ	53
#define CAP_S390_PSW		42
#define CAP_ARM_PSCI		87
/* ... and for what CREATE_IRQCHIP announces */
#define CAP_IRQCHIP		0
#define IOCTL_CREATE_IRQCHIP	_IO(MINIVMMIO, 0x60)

TEST(api_version)
{
	int fd = dev_open();

	EXPECT_EQ(ioctl(fd, MINIVMM_GET_API_VERSION, 0), MINIVMM_API_VERSION);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_API_VERSION, 1), EINVAL);
}

TEST(unknown_ioctl)
{
	/* EINVAL, not ENOTTY, is what clients of KVM see here. */
	const int expected = EINVAL;
	int fd = dev_open();

	EXPECT_ERRNO(ioctl(fd, _IO(MINIVMMIO, 0xff), 0), expected);
	EXPECT_ERRNO(ioctl(fd, _IO('x', 0x00), 0), expected);
	EXPECT_ERRNO(ioctl(fd, ~0U, 0), expected);
	/* right number, wrong size */
	EXPECT_ERRNO(ioctl(fd, _IOWR(MINIVMMIO, 0x02, char[64]), 0), expected);
	/* a vCPU's and a VM's */
	EXPECT_ERRNO(ioctl(fd, MINIVMM_RUN, 0), expected);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_CREATE_VCPU, 0), expected);
}

TEST(no_read_write_mmap)
{
	int fd = dev_open();
	char byte = 0;

	EXPECT_ERRNO(read(fd, &byte, 1), EINVAL);
	EXPECT_ERRNO(write(fd, &byte, 1), EINVAL);
	EXPECT(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0) ==
	       MAP_FAILED);
}

TEST(create_vm)
{
	int fd = dev_open();
	int vm = ASSERT_OK(ioctl(fd, MINIVMM_CREATE_VM, 0));

	EXPECT(fcntl(vm, F_GETFD) & FD_CLOEXEC);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_CREATE_VM, 1), EINVAL);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_CREATE_VM, ~0UL), EINVAL);
	close(vm);
}

TEST(vcpu_mmap_size)
{
	int fd = dev_open();
	int size = ASSERT_OK(ioctl(fd, MINIVMM_GET_VCPU_MMAP_SIZE, 0));

	/* the run page and the PIO page at least */
	EXPECT_GE(size, 2 * PAGE_SIZE);
	EXPECT_EQ(size % PAGE_SIZE, 0);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
}

TEST(capabilities_offered)
{
	struct vm *vm = vm_create();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		/* the CPU's to give */
		if (caps[i].number == MINIVMM_CAP_TSC_CONTROL ||
		    caps[i].number == MINIVMM_CAP_CLOCKSOURCE)
			continue;
		/* KVM has the number, and events.interrupt.shadow, but says 0 */
		if (caps[i].number == MINIVMM_CAP_INTR_SHADOW &&
		    !dev_is_minivmm())
			continue;
		/* since 6.11 */
		if (caps[i].number == MINIVMM_CAP_PRE_FAULT_MEMORY &&
		    !dev_is_minivmm())
			continue;
		if (ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
			  caps[i].number) <= 0)
			test_fail(__FILE__, __LINE__, "%s is not offered",
				  caps[i].name);
		if (ioctl(vm->fd, MINIVMM_CHECK_EXTENSION, caps[i].number) <= 0)
			test_fail(__FILE__, __LINE__, "%s: not on the VM",
				  caps[i].name);
	}
}

TEST(capabilities_denied)
{
	struct vm *vm = vm_create_bare();
	int fd = vm->dev_fd;

	EXPECT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, CAP_PPC_UNSET_IRQ), 0);
	EXPECT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, CAP_S390_PSW), 0);
	EXPECT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, CAP_ARM_PSCI), 0);
	EXPECT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, 0x7fffffff), 0);
	EXPECT_EQ(ioctl(fd, MINIVMM_CHECK_EXTENSION, ~0UL), 0);
	/* honest both ways: offered and working, or neither */
	if (ioctl(fd, MINIVMM_CHECK_EXTENSION, CAP_IRQCHIP))
		EXPECT_OK(ioctl(vm->fd, IOCTL_CREATE_IRQCHIP, 0));
	else
		EXPECT_ERRNO(ioctl(vm->fd, IOCTL_CREATE_IRQCHIP, 0), ENOTTY);
}

TEST(vcpu_limits_are_sane)
{
	int fd = dev_open();
	int max = ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_MAX_VCPUS);

	EXPECT_GE(max, ioctl(fd, MINIVMM_CHECK_EXTENSION,
			     MINIVMM_CAP_NR_VCPUS));
	EXPECT_GE(ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_MAX_VCPU_ID),
		  max);
	EXPECT_GE(ioctl(fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_NR_MEMSLOTS),
		  32);
}

TEST(msr_index_list)
{
	struct minivmm_msr_list probe = { .nmsrs = 0 };
	struct minivmm_msr_list *list;
	int fd = dev_open();
	u32 count, i;

	ASSERT_ERRNO(ioctl(fd, MINIVMM_GET_MSR_INDEX_LIST, &probe), E2BIG);
	count = probe.nmsrs;
	ASSERT(count > 0 && count < 4096);
	list = calloc(1, sizeof(*list) + (count + 1) * sizeof(u32));
	list->nmsrs = count - 1;
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSR_INDEX_LIST, list), E2BIG);
	EXPECT_EQ(list->nmsrs, count);
	EXPECT_EQ(list->indices[0], 0);

	list->indices[count] = 0xdeadbeef;
	ASSERT_OK(ioctl(fd, MINIVMM_GET_MSR_INDEX_LIST, list));
	EXPECT_EQ(list->nmsrs, count);
	EXPECT_EQ(list->indices[count], 0xdeadbeef);
	for (i = 0; i < count; i++)
		if (list->indices[i] == MSR_LSTAR)
			break;
	EXPECT_NE(i, count);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSR_INDEX_LIST, BAD_POINTER),
		     EFAULT);
}

TEST(supported_cpuid)
{
	struct minivmm_cpuid2 *cpuid = supported_cpuid();
	struct minivmm_cpuid_entry2 *entry;
	u32 i, j;

	ASSERT(cpuid->nent > 0 && cpuid->nent < 256);
	entry = cpuid_entry(cpuid, 0, 0);
	ASSERT(entry && entry->eax >= 1);
	entry = cpuid_entry(cpuid, 1, 0);
	ASSERT(entry);
	/* VMX is not for the guest: nested virtualisation is no part of us. */
	if (dev_is_minivmm())
		EXPECT_EQ(entry->ecx >> 5 & 1, 0);
	for (i = 0; i < cpuid->nent; i++) {
		entry = &cpuid->entries[i];
		EXPECT_EQ(entry->padding[0] | entry->padding[1] |
			  entry->padding[2], 0);
		for (j = 0; j < i; j++)
			if (cpuid->entries[j].function == entry->function &&
			    cpuid->entries[j].index == entry->index)
				FAIL("leaf 0x%x.%u appears twice",
				     entry->function, entry->index);
	}
}

TEST(supported_cpuid_bad)
{
	struct {
		struct minivmm_cpuid2 header;
		struct minivmm_cpuid_entry2 entry;
	} small = { .header.nent = 1 };
	int fd = dev_open();
	struct minivmm_cpuid2 *big;

	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, &small), E2BIG);
	small.header.nent = 0;
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, &small), E2BIG);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, BAD_POINTER),
		     EFAULT);
	/* A count that lies far beyond the buffer must not be believed. */
	big = mmap(NULL, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(big != MAP_FAILED);
	big->nent = 0xffffffff;
	EXPECT_OK(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, big));
	EXPECT(big->nent < 256);
}

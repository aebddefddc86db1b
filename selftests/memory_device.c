// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is no RAM of the host's (VM_PFNMAP): the text buffer of the VGA
 * card, which /dev/mem lets be mapped, as guest memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define VGA_TEXT	0xb8000UL
#define VGA_ROM		0xc0000UL
#define PAGES		8UL
#define SIZE		(PAGES * PAGE_SIZE)

static u16 before[SIZE / 2];

static void *map_device(void *at, u64 address, int prot)
{
	int fd = open("/dev/mem", prot & PROT_WRITE ? O_RDWR : O_RDONLY);
	void *memory;

	if (fd < 0)
		SKIP("no /dev/mem: %s", strerror(errno));
	memory = mmap(at, SIZE, prot, MAP_SHARED | (at ? MAP_FIXED : 0), fd,
		      address);
	if (memory == MAP_FAILED)
		SKIP("the host does not let the VGA card be mapped: %s",
		     strerror(errno));
	close(fd);
	return memory;
}

/* Is it memory at all? Put back what was there at the end. */
static volatile u16 *map_text(void)
{
	volatile u16 *text = map_device(NULL, VGA_TEXT, PROT_READ | PROT_WRITE);
	u64 i;

	for (i = 0; i < SIZE / 2; i++)
		before[i] = text[i];
	text[7] = 0x1234;
	text[8] = 0x4321;
	if (text[7] != 0x1234 || text[8] != 0x4321)
		SKIP("the host's VGA card has no text buffer");
	return text;
}

static void put_back(volatile u16 *text)
{
	u64 i;

	for (i = 0; i < SIZE / 2; i++)
		text[i] = before[i];
}

static u16 value_at(u64 i, u64 round)
{
	return i * 7 + round * 31 + 1;
}

/* Each vCPU has every other character. */
static void guest_text(u64 id)
{
	volatile u16 *text = (u16 *)REGION_GPA;
	u64 round, i;

	asm volatile("sti");
	for (round = 0; round < 4; round++) {
		for (i = id; i < SIZE / 2; i += 2)
			text[i] = value_at(i, round);
		for (i = id; i < SIZE / 2; i += 2)
			GUEST_ASSERT_EQ(text[i], value_at(i, round));
	}
}

TEST(device_memory)
{
	volatile u16 *text = map_text();
	struct vm *vm = vm_create();
	u64 i, wrong = 0;

	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, (void *)text));
	vcpus_setup(vm, 2, guest_text);
	vcpus_start(vm);
	vcpus_join(vm, NULL);
	for (i = 0; i < SIZE / 2; i++)
		wrong += text[i] != value_at(i, 3);
	put_back(text);
	EXPECT_EQ(wrong, 0);
	vm_free(vm);
}

static void guest_read_word(u64 offset)
{
	for (;;)
		guest_sync(0, *(volatile u16 *)(REGION_GPA + offset));
}

/* Unmapped, mapped again: the guest has what the mapping has, or nothing. */
TEST(device_mapping_goes_and_comes)
{
	volatile u16 *text = map_text();
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int i;

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, REGION_GPA, SIZE, (void *)text));
	vcpu_setup_long(vcpu, guest_read_word, 14);
	for (i = 0; i < 4; i++) {
		text[7] = 0x700 + i;
		EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 0x700 + i);
		ASSERT_OK(munmap((void *)text, SIZE));
		EXPECT_EQ(vcpu_run(vcpu), -EFAULT);
		/* RAM in the same place */
		ASSERT(mmap((void *)text, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		       text);
		EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 0);
		text = map_device((void *)text, VGA_TEXT,
				  PROT_READ | PROT_WRITE);
	}
	put_back(text);
	vm_free(vcpu->vm);
}

static void guest_sum(u64 size)
{
	u64 i, sum = 0;

	for (i = 0; i < size / 8; i++)
		sum = sum * 3 + ((volatile u64 *)REGION_GPA)[i];
	guest_sync(0, sum);
	((volatile u64 *)REGION_GPA)[1] = 1;
}

/* The card's ROM: nobody may write through this mapping. */
TEST(device_memory_read_only)
{
	u64 *rom = map_device(NULL, VGA_ROM, PROT_READ), sum = 0, i;
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 word = rom[1];
	int reason;

	for (i = 0; i < SIZE / 8; i++)
		sum = sum * 3 + rom[i];
	ASSERT_NE(sum, 0);
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, REGION_GPA, SIZE, rom));
	vcpu_setup_long(vcpu, guest_sum, SIZE);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), sum);
	/* No memory to write to: a device's (as on KVM), or a failure. */
	reason = vcpu_run(vcpu);
	EXPECT(reason == -EFAULT ||
	       (reason == MINIVMM_EXIT_MMIO && vcpu->run->mmio.is_write));
	EXPECT_EQ(rom[1], word);
	vm_free(vcpu->vm);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The log of dirty pages: exactly those that were written, by the guest or for
 * it, since the log was last cleared.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "dirty.h"
#include "guest.h"
#include "memory.h"

#define LOG	MINIVMM_MEM_LOG_DIRTY_PAGES
#define RO	MINIVMM_MEM_READONLY

#define MANUAL	MINIVMM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define ALL_SET	(MANUAL | MINIVMM_DIRTY_LOG_INITIALLY_SET)

/* No multiple of 64 */
#define PAGES	1100UL
#define SIZE	(PAGES * PAGE_SIZE)
#define WORDS	BITMAP_WORDS(PAGES)

static u64 bitmap[WORDS + 1];

/* ------------------------------------------------------------------------ */
/* A guest that reads and writes on command                                  */

static volatile struct {
	u64 page, pages, write;
} order;

static void guest_obey(void)
{
	volatile u64 *word;
	u64 i;

	for (;;) {
		for (i = 0; i < order.pages; i++) {
			word = (u64 *)(REGION_GPA +
				       (order.page + i) * PAGE_SIZE);
			if (order.write)
				*word += 1;
			else
				(void)*word;
		}
		guest_sync(0, 0);
	}
}

static void obey(struct vcpu *vcpu, u64 page, u64 pages, bool write)
{
	*vm_guest_ptr(vcpu->vm, &order.page) = page;
	*vm_guest_ptr(vcpu->vm, &order.pages) = pages;
	*vm_guest_ptr(vcpu->vm, &order.write) = write;
	ASSERT_SYNC(vcpu, 0);
}

static void guest_write(struct vcpu *vcpu, u64 page, u64 pages)
{
	obey(vcpu, page, pages, true);
}

static void guest_read(struct vcpu *vcpu, u64 page, u64 pages)
{
	obey(vcpu, page, pages, false);
}

static void set_flags(struct vcpu *vcpu, void *memory, u32 flags)
{
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, flags, REGION_GPA, SIZE, memory));
}

static int manual_mode(struct vm *vm, u64 mode)
{
	return vm_enable_cap(vm, MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2, mode);
}

static struct vcpu *guest_in(void *memory, u32 flags, u64 mode)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	if (mode)
		ASSERT_OK(manual_mode(vm, mode));
	set_flags(vcpu, memory, flags);
	vcpu_setup_long(vcpu, guest_obey, 0);
	return vcpu;
}

/* The log as it is now; nothing behind its end may be written. */
static void fetch(struct vcpu *vcpu)
{
	memset(bitmap, 0xff, sizeof(bitmap));
	ASSERT_OK(get_dirty_log(vcpu->vm, 1, bitmap));
	ASSERT_EQ(bitmap[WORDS], ~0ULL);
	ASSERT_EQ(bitmap[WORDS - 1] >> PAGES % 64, 0);
}

/* How many pages are in the log that should not be, or are missing */
static u64 wrong(struct vcpu *vcpu, u64 first, u64 pages)
{
	u64 i, count = 0;

	fetch(vcpu);
	for (i = 0; i < PAGES; i++)
		count += test_bit(bitmap, i) != (i - first < pages);
	return count;
}

/* Exactly these pages */
#define EXPECT_DIRTY(vcpu, first, pages) \
	EXPECT_EQ(wrong(vcpu, first, pages), 0)

/* ------------------------------------------------------------------------ */
/* Errors                                                                    */

TEST(get_errors)
{
	void *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, 0, 0);
	struct vm *vm = vcpu->vm;
	int slots = ioctl(vm->fd, MINIVMM_CHECK_EXTENSION,
			  MINIVMM_CAP_NR_MEMSLOTS);

	/* without a log, without a slot, without a number for one */
	EXPECT_ERRNO(get_dirty_log(vm, 1, bitmap), ENOENT);
	EXPECT_ERRNO(get_dirty_log(vm, 2, bitmap), ENOENT);
	EXPECT_ERRNO(get_dirty_log(vm, slots, bitmap), EINVAL);
	EXPECT_ERRNO(get_dirty_log(vm, 0x20001, bitmap), EINVAL);
	EXPECT_ERRNO(get_dirty_log(vm, ~0U, bitmap), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_GET_DIRTY_LOG, NULL), EFAULT);
	set_flags(vcpu, memory, LOG);
	EXPECT_ERRNO(get_dirty_log(vm, 1, NULL), EFAULT);
	EXPECT_ERRNO(get_dirty_log(vm, 1, (void *)-4096UL), EFAULT);
	EXPECT_OK(get_dirty_log(vm, 1, bitmap));
	set_flags(vcpu, memory, 0);
	EXPECT_ERRNO(get_dirty_log(vm, 1, bitmap), ENOENT);
}

TEST(clear_errors)
{
	void *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, LOG, MANUAL);
	struct vm *vm = vcpu->vm;

	memset(bitmap, 0, sizeof(bitmap));
	EXPECT_ERRNO(clear_dirty_log(vm, 2, 0, 64, bitmap), ENOENT);
	EXPECT_ERRNO(clear_dirty_log(vm, 0x20001, 0, 64, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 1, 64, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 63, 64, bitmap), EINVAL);
	/* not to the end, and no multiple of 64 */
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 0, 63, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 1088, 11, bitmap), EINVAL);
	/* beyond the end */
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 1088, 13, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 0, 1152, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 1152, 64, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, -64ULL, 64, bitmap), EINVAL);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 0, 64, NULL), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CLEAR_DIRTY_LOG, NULL), EFAULT);
	EXPECT_OK(clear_dirty_log(vm, 1, 0, 64, bitmap));
	EXPECT_OK(clear_dirty_log(vm, 1, 1088, 12, bitmap));
	EXPECT_OK(clear_dirty_log(vm, 1, 0, PAGES, bitmap));
	set_flags(vcpu, memory, 0);
	EXPECT_ERRNO(clear_dirty_log(vm, 1, 0, 64, bitmap), ENOENT);
}

TEST(manual_mode_errors)
{
	const int cap = MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	struct vm *vm = vm_create_bare();
	struct minivmm_enable_cap with_flags = {
		.cap = cap, .flags = 1, .args = { MANUAL },
	};

	EXPECT_EQ(ioctl(vm->fd, MINIVMM_CHECK_EXTENSION, cap), ALL_SET);
	EXPECT_ERRNO(manual_mode(vm, 4), EINVAL);
	EXPECT_ERRNO(manual_mode(vm, MANUAL | 4), EINVAL);
	EXPECT_ERRNO(manual_mode(vm, 1ULL << 32 | MANUAL), EINVAL);
	EXPECT_ERRNO(manual_mode(vm, MINIVMM_DIRTY_LOG_INITIALLY_SET), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_ENABLE_CAP, &with_flags), EINVAL);
	EXPECT_OK(manual_mode(vm, MANUAL));
	EXPECT_OK(manual_mode(vm, ALL_SET));
	EXPECT_OK(manual_mode(vm, 0));
}

/* ------------------------------------------------------------------------ */
/* What is in the log                                                        */

static void check_plain(u64 *memory)
{
	struct vcpu *vcpu = guest_in(memory, 0, 0);

	guest_write(vcpu, 0, PAGES);
	set_flags(vcpu, memory, LOG);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 3, 1);
	EXPECT_DIRTY(vcpu, 3, 1);
	EXPECT_DIRTY(vcpu, 0, 0);
	/* again, and one that was logged before */
	guest_write(vcpu, 3, 1);
	guest_write(vcpu, 3, 2);
	EXPECT_DIRTY(vcpu, 3, 2);
	guest_read(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 60, 600);
	EXPECT_DIRTY(vcpu, 60, 600);
	guest_write(vcpu, PAGES - 1, 1);
	EXPECT_DIRTY(vcpu, PAGES - 1, 1);
	/* not the client's own writes */
	*page_at(memory, 9) = 1;
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, PAGES);
	vm_free(vcpu->vm);
}

TEST(small_pages)
{
	check_plain(map_small(PAGES));
}

static u64 *map_huge(void)
{
	u64 *memory = map_aligned(4 * HUGE_SIZE);

	if (madvise(memory, 4 * HUGE_SIZE, MADV_HUGEPAGE))
		SKIP("the host's kernel has no transparent huge pages");
	*memory = 1;
	if (huge_kib(memory, 4 * HUGE_SIZE) <= 0)
		SKIP("the host gave no huge page");
	return memory;
}

/* A huge page is written to in part. */
TEST(huge_pages)
{
	check_plain(map_huge());
}

/* Nobody has touched the pages before: they arrive with the log on. */
TEST(first_touch)
{
	struct vcpu *vcpu = guest_in(map_small(PAGES), LOG, 0);

	guest_read(vcpu, 0, 100);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 70, 60);
	EXPECT_DIRTY(vcpu, 70, 60);
	guest_read(vcpu, 0, PAGES);
	guest_write(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, PAGES);
}

/* A page that the host has taken and given back since is as dirty as before. */
TEST(page_comes_back)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, LOG, 0);

	guest_write(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, PAGES);
	guest_write(vcpu, 10, 4);
	ASSERT_OK(madvise(memory, SIZE, MADV_DONTNEED));
	EXPECT_DIRTY(vcpu, 10, 4);
	guest_read(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 20, 1);
	EXPECT_DIRTY(vcpu, 20, 1);
}

/* Off and on: a new log, in which all is clean */
TEST(off_and_on)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, LOG, 0);

	guest_write(vcpu, 0, 50);
	set_flags(vcpu, memory, 0);
	guest_write(vcpu, 50, 50);
	set_flags(vcpu, memory, LOG);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 49, 2);
	EXPECT_DIRTY(vcpu, 49, 2);
}

TEST(read_only_slot)
{
	struct vcpu *vcpu = guest_in(map_small(PAGES), LOG | RO, 0);

	guest_read(vcpu, 0, PAGES);
	*vm_guest_ptr(vcpu->vm, &order.write) = 1;
	*vm_guest_ptr(vcpu->vm, &order.pages) = 1;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_SYNC(vcpu, 0);
	EXPECT_DIRTY(vcpu, 0, 0);
}

/* The same memory in two slots: each logs what was written through it. */
TEST(two_slots_of_one_mapping)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, LOG, 0);

	ASSERT_OK(vm_set_slot(vcpu->vm, 2, LOG, REGION_GPA + SIZE, SIZE,
			      memory));
	guest_write(vcpu, PAGES + 5, 1);
	EXPECT_DIRTY(vcpu, 0, 0);
	ASSERT_OK(get_dirty_log(vcpu->vm, 2, bitmap));
	EXPECT(test_bit(bitmap, 5));
	guest_write(vcpu, 6, 1);
	EXPECT_DIRTY(vcpu, 6, 1);
	ASSERT_OK(get_dirty_log(vcpu->vm, 2, bitmap));
	EXPECT_EQ(count_bits(bitmap, PAGES), 0);
}

/* ------------------------------------------------------------------------ */
/* Cleared by hand                                                           */

static void clear(struct vcpu *vcpu, u64 first, u64 pages)
{
	ASSERT_OK(clear_dirty_log(vcpu->vm, 1, first, pages,
				  bitmap + first / 64));
}

TEST(get_does_not_clear)
{
	u64 *memory = map_small(PAGES);
	struct vcpu *vcpu = guest_in(memory, LOG, MANUAL);

	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 100, 100);
	EXPECT_DIRTY(vcpu, 100, 100);
	EXPECT_DIRTY(vcpu, 100, 100);
	/* 128 to 191 */
	clear(vcpu, 128, 64);
	fetch(vcpu);
	EXPECT_EQ(count_bits(bitmap, PAGES), 36);
	EXPECT(test_bit(bitmap, 127) && !test_bit(bitmap, 128));
	EXPECT(!test_bit(bitmap, 191) && test_bit(bitmap, 192));
	/* written again without having been cleared, and with */
	guest_write(vcpu, 127, 2);
	fetch(vcpu);
	EXPECT_EQ(count_bits(bitmap, PAGES), 37);
	clear(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 1099, 1);
	EXPECT_DIRTY(vcpu, 1099, 1);
	clear(vcpu, 1088, 12);
	EXPECT_DIRTY(vcpu, 0, 0);
}

/* What the caller's bitmap does not name stays dirty. */
TEST(clear_by_bitmap)
{
	struct vcpu *vcpu = guest_in(map_small(PAGES), LOG, MANUAL);
	u64 mask[WORDS] = {};
	u64 i;

	guest_write(vcpu, 0, PAGES);
	for (i = 0; i < PAGES; i += 2)
		mask[i / 64] |= 1ULL << i % 64;
	ASSERT_OK(clear_dirty_log(vcpu->vm, 1, 0, PAGES, mask));
	fetch(vcpu);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(test_bit(bitmap, i), i & 1);
	ASSERT_OK(clear_dirty_log(vcpu->vm, 1, 0, PAGES, mask));
	fetch(vcpu);
	EXPECT_EQ(count_bits(bitmap, PAGES), PAGES / 2);
	guest_write(vcpu, 500, 1);
	fetch(vcpu);
	EXPECT(test_bit(bitmap, 500));
	EXPECT_EQ(count_bits(bitmap, PAGES), PAGES / 2 + 1);
}

static void check_initially_set(u64 *memory)
{
	struct vcpu *vcpu = guest_in(memory, 0, ALL_SET);

	guest_write(vcpu, 0, PAGES);
	set_flags(vcpu, memory, LOG);
	EXPECT_DIRTY(vcpu, 0, PAGES);
	guest_write(vcpu, 0, 10);
	EXPECT_DIRTY(vcpu, 0, PAGES);
	clear(vcpu, 0, PAGES);
	EXPECT_DIRTY(vcpu, 0, 0);
	guest_write(vcpu, 3, 1);
	EXPECT_DIRTY(vcpu, 3, 1);
	guest_write(vcpu, 512, 80);
	fetch(vcpu);
	EXPECT_EQ(count_bits(bitmap, PAGES), 81);
	vm_free(vcpu->vm);
}

TEST(initially_set)
{
	check_initially_set(map_small(PAGES));
}

TEST(initially_set_huge_pages)
{
	check_initially_set(map_huge());
}

/* Without the capability, too: GET leaves nothing to clear, but may be told */
TEST(clear_in_automatic_mode)
{
	struct vcpu *vcpu = guest_in(map_small(PAGES), LOG, 0);

	guest_write(vcpu, 0, 128);
	memset(bitmap, 0xff, sizeof(bitmap));
	ASSERT_OK(clear_dirty_log(vcpu->vm, 1, 0, 64, bitmap));
	EXPECT_DIRTY(vcpu, 64, 64);
	guest_write(vcpu, 1, 1);
	EXPECT_DIRTY(vcpu, 1, 1);
}

/* ------------------------------------------------------------------------ */
/* Written on the guest's behalf: slot 0, which has all there is of a guest  */

#define SLOT0_PAGES	(VM_MEM_SIZE / PAGE_SIZE)
/* A part of slot 0 that nothing else uses, with a page table of its own */
#define TARGET_GPA	0xe00000UL
#define PORT		0x555

static u64 slot0_bitmap[BITMAP_WORDS(SLOT0_PAGES)];

static bool dirty(u64 gpa)
{
	return test_bit(slot0_bitmap, gpa / PAGE_SIZE);
}

static void fetch_slot0(struct vm *vm)
{
	memset(slot0_bitmap, 0xff, sizeof(slot0_bitmap));
	ASSERT_OK(get_dirty_log(vm, 0, slot0_bitmap));
}

static struct vcpu *logged_guest(void *fn)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, 0);
	ASSERT_OK(vm_set_slot(vm, 0, LOG, 0, VM_MEM_SIZE, vm->mem));
	ASSERT_SYNC(vcpu, 1);
	fetch_slot0(vm);
	fetch_slot0(vm);
	EXPECT_EQ(count_bits(slot0_bitmap, SLOT0_PAGES), 0);
	return vcpu;
}

static void guest_ins(void)
{
	u64 to = TARGET_GPA + PAGE_SIZE - 8, count = 16;

	guest_sync(1, 0);
	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(PORT) : "memory");
	guest_sync(2, *(volatile u64 *)(TARGET_GPA + PAGE_SIZE));
}

/* A device's bytes that go to RAM, across a page boundary */
TEST(string_input)
{
	struct vcpu *vcpu = logged_guest(guest_ins);
	int reason, bytes = 0;

	while ((reason = vcpu_run(vcpu)) == MINIVMM_EXIT_IO &&
	       vcpu->run->io.port == PORT) {
		memset(vcpu_io_data(vcpu), 0x5a,
		       vcpu->run->io.size * vcpu->run->io.count);
		bytes += vcpu->run->io.size * vcpu->run->io.count;
	}
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_SYNC);
	EXPECT_EQ(bytes, 16);
	EXPECT_EQ(*(u64 *)vm_gpa(vcpu->vm, TARGET_GPA + PAGE_SIZE),
		  0x5a5a5a5a5a5a5a5aULL);
	fetch_slot0(vcpu->vm);
	EXPECT(dirty(TARGET_GPA));
	EXPECT(dirty(TARGET_GPA + PAGE_SIZE));
	EXPECT(!dirty(TARGET_GPA + 2 * PAGE_SIZE));
}

static void guest_movs(void)
{
	u64 from = MMIO_GPA, to = TARGET_GPA;

	/* no access, no write: the entries of the walk to TARGET_GPA */
	*guest_pte(TARGET_GPA) &= ~(PTE_A | PTE_D);
	invlpg(TARGET_GPA);
	guest_sync(1, 0);
	asm volatile("movsq" : "+D"(to), "+S"(from) : : "memory");
	guest_sync(2, *guest_pte(TARGET_GPA));
}

/*
 * From a device's memory to RAM: both the page and the page table are written
 * by who emulates that, the latter to set A and D.
 */
TEST(emulated_store_and_its_page_table)
{
	struct vcpu *vcpu = logged_guest(guest_movs);
	u64 entry;

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	*(u64 *)vcpu->run->mmio.data = 0x1122334455667788ULL;
	/* before the guest has been there by itself */
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	fetch_slot0(vcpu->vm);
	EXPECT_EQ(*(u64 *)vm_gpa(vcpu->vm, TARGET_GPA), 0x1122334455667788ULL);
	entry = *vm_pte(vcpu->vm, TARGET_GPA);
	EXPECT(entry & PTE_A);
	EXPECT(entry & PTE_D);
	EXPECT(dirty(TARGET_GPA));
	EXPECT(dirty(PT_GPA + (TARGET_GPA >> 21) * PAGE_SIZE));
	ASSERT_SYNC(vcpu, 2);
}

#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01

static void guest_clock(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, TARGET_GPA | 1);
	guest_sync(1, 0);
	guest_sync(2, 0);
	/* read, or the page could be left as it is */
	guest_sync(3, *(volatile u64 *)TARGET_GPA);
}

/* The clock's page is written anew when the clock is set. */
TEST(kvmclock_page)
{
	struct vcpu *vcpu = logged_guest(guest_clock);
	struct minivmm_clock_data clock = {};
	u32 before[8], after[8];

	memcpy(before, vm_gpa(vcpu->vm, TARGET_GPA), sizeof(before));
	clock.clock = 1ULL << 40;
	ASSERT_OK(ioctl(vcpu->vm->fd, MINIVMM_SET_CLOCK, &clock));
	ASSERT_SYNC(vcpu, 2);
	memcpy(after, vm_gpa(vcpu->vm, TARGET_GPA), sizeof(after));
	EXPECT(memcmp(before, after, sizeof(before)));
	fetch_slot0(vcpu->vm);
	EXPECT(dirty(TARGET_GPA));
}

/* A page table that the CPU itself marks, when nobody else writes to it */
static void guest_walk(void)
{
	*guest_pte(TARGET_GPA) &= ~(PTE_A | PTE_D);
	invlpg(TARGET_GPA);
	guest_sync(1, 0);
	*(volatile u64 *)TARGET_GPA = 1;
	guest_sync(2, 0);
}

TEST(page_table_marked_by_the_cpu)
{
	struct vcpu *vcpu = logged_guest(guest_walk);

	ASSERT_SYNC(vcpu, 2);
	EXPECT_EQ(*vm_pte(vcpu->vm, TARGET_GPA) & (PTE_A | PTE_D),
		  PTE_A | PTE_D);
	fetch_slot0(vcpu->vm);
	EXPECT(dirty(TARGET_GPA));
	EXPECT(dirty(PT_GPA + (TARGET_GPA >> 21) * PAGE_SIZE));
}

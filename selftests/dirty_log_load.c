// SPDX-License-Identifier: GPL-2.0
/*
 * The log of dirty pages while vCPUs write: no write is ever lost.
 *
 * The harvester keeps a copy of what each page held when it was last found
 * dirty. A page that differs from its copy has been written since, so it must
 * be found in the next harvest but for what has just happened: a vCPU enters
 * its writes in the log when it leaves the guest, at the latest. So each leaves
 * once in between. When all is over, nothing may differ.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirty.h"
#include "guest.h"
#include "memory.h"

#define PAGES		1536UL
#define SIZE		(PAGES * PAGE_SIZE)	/* three huge pages */
#define WORDS		BITMAP_WORDS(PAGES)
#define NR_VCPUS	3
#define HARVESTS	120

/* Each vCPU leaves the guest after so many writes. */
#define EXIT_EVERY	8

#define MANUAL		MINIVMM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define ALL_SET		(MANUAL | MINIVMM_DIRTY_LOG_INITIALLY_SET)

/* ------------------------------------------------------------------------ */
/* The guest: numbers that never repeat, to random pages                     */

static volatile u64 quit, written[NR_VCPUS];

static volatile u64 *word_of_vcpu(u64 memory, u64 page, u64 id)
{
	return (u64 *)(memory + page * PAGE_SIZE + id * 1024);
}

/* By an instruction that the hypervisor has to carry out */
static void write_by_emulation(volatile u64 *word)
{
	u64 from = MMIO_GPA;

	asm volatile("movsq" : "+D"(word), "+S"(from) : : "memory");
}

static void guest_writer(u64 id)
{
	u64 n, page, random = id + 1, i;

	asm volatile("sti");
	for (n = 1; !quit; n++) {
		random = random * 6364136223846793005UL + 1442695040888963407UL;
		page = (random >> 33) % PAGES;
		if (id == 1 && n % 16 == 0)
			write_by_emulation(word_of_vcpu(REGION_GPA, page, id));
		else
			*word_of_vcpu(REGION_GPA, page, id) = n << 8 | id;
		written[id] = n;
		if (n % EXIT_EVERY == 0)
			guest_sync(id, n);
		/* so that a harvest finds some pages clean */
		for (i = 0; i < 300; i++)
			asm volatile("nop");
	}
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	u64 n = 1ULL << 56;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason == MINIVMM_EXIT_MMIO) {
			n++;
			memcpy(vcpu->run->mmio.data, &n, 8);
		} else if (reason != -EINTR &&
			   vcpu_guest_call(vcpu, reason, NULL) != GUEST_SYNC) {
			break;
		}
	}
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
	return NULL;
}

/* ------------------------------------------------------------------------ */
/* The harvester                                                             */

static u64 copies[PAGES][NR_VCPUS], bitmap[WORDS];
static bool pending[PAGES];
static u64 *memory, found, found_clean;
static struct vm *vm;
static pthread_t threads[NR_VCPUS];

static void copy_page(u64 page)
{
	u64 id;

	for (id = 0; id < NR_VCPUS; id++)
		copies[page][id] = *word_of_vcpu((u64)memory, page, id);
}

static bool differs(u64 page)
{
	u64 id;

	for (id = 0; id < NR_VCPUS; id++)
		if (copies[page][id] != *word_of_vcpu((u64)memory, page, id))
			return true;
	return false;
}

/* What has been written since it was copied */
static void look(void)
{
	u64 page;

	for (page = 0; page < PAGES; page++)
		pending[page] = differs(page);
}

static void fetch(u64 mode)
{
	u64 first, pages;

	memset(bitmap, 0, sizeof(bitmap));
	ASSERT_OK(get_dirty_log(vm, 1, bitmap));
	if (!mode)
		return;
	for (first = 0; first < PAGES; first += pages) {
		pages = 64 * (1 + random_below(8));
		if (pages > PAGES - first)
			pages = PAGES - first;
		ASSERT_OK(clear_dirty_log(vm, 1, first, pages,
					  bitmap + first / 64));
	}
}

static void harvest(u64 mode)
{
	u64 page;

	fetch(mode);
	for (page = 0; page < PAGES; page++) {
		if (test_bit(bitmap, page)) {
			copy_page(page);
			found++;
		} else if (pending[page]) {
			FAIL("a write to page %llu is not in the log", page);
		} else {
			found_clean++;
		}
	}
}

static void start(u64 mode, void (*writer)(u64 id))
{
	int i;

	vm = vm_create();
	if (mode)
		ASSERT_OK(vm_enable_cap(vm,
					MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
					mode));
	ASSERT_OK(vm_set_slot(vm, 1, 0, REGION_GPA, SIZE, memory));
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_setup_long(vcpu_create(vm, i), writer, i);
	for (i = 0; i < NR_VCPUS; i++)
		ASSERT(!pthread_create(&threads[i], NULL, run_vcpu,
				       vm->vcpus[i]));
}

/* Until each vCPU has written some more, and has left the guest once */
static void let_them_write(u64 count)
{
	volatile u64 *counts = vm_guest_ptr(vm, &written[0]);
	u64 targets[NR_VCPUS];
	int i, ms = 0;

	for (i = 0; i < NR_VCPUS; i++)
		targets[i] = counts[i] + EXIT_EVERY + 1 + count;
	for (i = 0; i < NR_VCPUS; i++)
		while (counts[i] < targets[i]) {
			pause_us(500);
			if (++ms > 20000)
				FAIL("vCPU %d does not get on", i);
		}
}

static void stop(void)
{
	int i;

	*vm_guest_ptr(vm, &quit) = 1;
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);
}

static void set_log(bool on)
{
	ASSERT_OK(vm_set_slot(vm, 1, on ? MINIVMM_MEM_LOG_DIRTY_PAGES : 0,
			      REGION_GPA, SIZE, memory));
}

static void begin_log(u64 mode)
{
	u64 page;

	set_log(true);
	for (page = 0; page < PAGES; page++)
		copy_page(page);
	memset(pending, 0, sizeof(pending));
	if (mode != ALL_SET)
		return;
	harvest(mode);
	ASSERT_EQ(count_bits(bitmap, PAGES), PAGES);
}

static void end_log(u64 mode)
{
	u64 page;

	look();
	harvest(mode);
	for (page = 0; page < PAGES; page++)
		ASSERT(!differs(page));
	fetch(mode);
	EXPECT_EQ(count_bits(bitmap, PAGES), 0);
}

static void harvest_under_load(u64 mode)
{
	int i;

	start(mode, guest_writer);
	let_them_write(100);
	begin_log(mode);
	for (i = 0; i < HARVESTS; i++) {
		look();
		let_them_write(i % 4 * 4);
		harvest(mode);
	}
	stop();
	end_log(mode);
	ksft_print_msg("%llu pages found dirty, %llu clean\n", found,
		       found_clean);
	/* neither all nor nothing */
	EXPECT_GE(found, HARVESTS);
	EXPECT_GE(found_clean, HARVESTS);
	vm_free(vm);
}

static void map_huge(void)
{
	memory = map_aligned(SIZE);
	if (madvise(memory, SIZE, MADV_HUGEPAGE))
		SKIP("the host's kernel has no transparent huge pages");
	memset(memory, 0, SIZE);
	if (huge_kib(memory, SIZE) <= 0)
		SKIP("the host gave no huge page");
}

TEST(automatic)
{
	memory = map_small(PAGES);
	harvest_under_load(0);
}

TEST(automatic_huge)
{
	map_huge();
	harvest_under_load(0);
}

TEST(manual)
{
	memory = map_small(PAGES);
	harvest_under_load(MANUAL);
}

TEST(manual_huge)
{
	map_huge();
	harvest_under_load(MANUAL);
}

TEST(initially_set)
{
	memory = map_small(PAGES);
	harvest_under_load(ALL_SET);
}

TEST(initially_set_huge)
{
	map_huge();
	harvest_under_load(ALL_SET);
}

/* The log goes on and off, as for migrations that are given up. */
TEST(on_and_off)
{
	int i, round;

	map_huge();
	start(0, guest_writer);
	for (round = 0; round < 8; round++) {
		begin_log(0);
		for (i = 0; i < 10; i++) {
			look();
			let_them_write(4);
			harvest(0);
		}
		set_log(false);
		let_them_write(10);
	}
	begin_log(0);
	stop();
	end_log(0);
	vm_free(vm);
}

/* The host takes pages away and moves them meanwhile. */
TEST(while_the_host_changes_pages)
{
	int i;

	memory = map_small(PAGES);
	start(0, guest_writer);
	begin_log(0);
	for (i = 0; i < HARVESTS / 2; i++) {
		switch (i % 4) {
		case 0:
			ASSERT_OK(madvise(memory, SIZE, MADV_PAGEOUT));
			break;
		case 1:
			host_write("/proc/sys/vm/compact_memory", "1");
			break;
		case 2:
			ASSERT_OK(madvise(memory, SIZE, MADV_COLD));
			break;
		}
		look();
		let_them_write(4);
		harvest(0);
	}
	stop();
	end_log(0);
	vm_free(vm);
}

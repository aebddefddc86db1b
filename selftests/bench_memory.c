// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of bench: guest memory.  Pages arrive, are logged, harvested and taken
 * back; slots come and go; what the kernel keeps for all that.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "dirty.h"
#include "hostmem.h"

#define LOG		MINIVMM_MEM_LOG_DIRTY_PAGES

#define SMALL_PAGES	4096UL
#define HUGE_PAGES	64UL
#define PER_HUGE	(HUGE_SIZE / PAGE_SIZE)
#define ROUNDS		4

/* ------------------------------------------------------------------------ */
/* A guest that writes to one address in so many                             */

/* EDI, ECX, EDX: first address, number of them, distance */
guest_code32(write_loop,
	     "1: movb %al, (%edi)\n"
	     "addl %edx, %edi\n"
	     "decl %ecx\n"
	     "jnz 1b\n"
	     "outb %al, $0x10");

#define WRITE_LOOP_INSNS	3

static void guest_write(struct vcpu *vcpu, u64 offset, u64 count, u64 step)
{
	struct minivmm_regs regs = vcpu_regs(vcpu);

	regs.rip = BLOB_GPA;
	regs.rdi = REGION_GPA + offset;
	regs.rcx = count;
	regs.rdx = step;
	vcpu_set_regs(vcpu, &regs);
	run_to(vcpu, MINIVMM_EXIT_IO);
}

/* Writable memory that the host has in place, in pages of either size */
static void *map_in_place(u64 size, bool huge)
{
	void *memory = map_aligned(size);

	ASSERT_OK(madvise(memory, size, huge ? MADV_HUGEPAGE :
			  MADV_NOHUGEPAGE));
	ASSERT_OK(madvise(memory, size, MADV_POPULATE_WRITE));
	if (huge)
		ASSERT_EQ(huge_kib(memory, size), size >> 10);
	return memory;
}

static void set_slot(struct vm *vm, u32 flags, u64 size, void *memory)
{
	ASSERT_OK(vm_set_slot(vm, 1, flags, REGION_GPA, size, memory));
}

static struct vm *writers(u64 size, void *memory, int vcpus)
{
	struct vm *vm = vm_create();
	int i;

	set_slot(vm, 0, size, memory);
	for (i = 0; i < vcpus; i++)
		vcpu_setup_prot32(vcpu_create(vm, i), &write_loop);
	return vm;
}

/* Nothing of the region is mapped any more. */
static void unmap_all(struct vm *vm, u64 size, void *memory)
{
	set_slot(vm, 0, 0, NULL);
	set_slot(vm, 0, size, memory);
}

static void free_vm(struct vm *vm, void *memory, u64 size)
{
	vm_free(vm);
	munmap(memory, size);
}

/* ------------------------------------------------------------------------ */
/* Pages arrive                                                              */

/* op->len is the distance of two writes, op->flags: huge pages */
static struct sample measure_fault(const struct op *op)
{
	u64 size = op->flags ? HUGE_PAGES * HUGE_SIZE : SMALL_PAGES * PAGE_SIZE;
	void *memory = map_in_place(size, op->flags);
	struct vm *vm = writers(size, memory, 1);
	u64 count = size / op->len, rounds = op->runs, i;
	struct sample sample = { .ops = count * rounds };

	for (i = 0; i < rounds + 1; i++) {
		unmap_all(vm, size, memory);
		if (i)
			begin(&sample);
		guest_write(vm->vcpus[0], 0, count, op->len);
		if (i)
			end(&sample);
	}
	sample.ticks -= sample.ops * WRITE_LOOP_INSNS;
	free_vm(vm, memory, size);
	return sample;
}

/* Four vCPUs, each with a slot of its own that shows the same memory. */
#define CROWD		4

static pthread_barrier_t barrier;

struct part {
	struct vcpu *vcpu;
	u64 offset, count, step;
	u64 first, last;	/* TSC */
};

static void *write_part(void *arg)
{
	struct part *part = arg;

	pthread_barrier_wait(&barrier);
	part->first = __builtin_ia32_rdtsc();
	guest_write(part->vcpu, part->offset, part->count, part->step);
	part->last = __builtin_ia32_rdtsc();
	return NULL;
}

/* Its time is from the first one's start to the last one's end. */
static void write_at_once(struct sample *sample, struct vm *vm, u64 size,
			  u64 step)
{
	u64 first = ~0UL, last = 0, i;
	s64 ticks = sample->ticks;
	pthread_t threads[CROWD];
	struct part parts[CROWD];

	pthread_barrier_init(&barrier, NULL, CROWD);
	begin(sample);
	for (i = 0; i < CROWD; i++) {
		parts[i] = (struct part) {
			.vcpu = vm->vcpus[i], .offset = i * size,
			.count = size / step, .step = step,
		};
		pthread_create(&threads[i], NULL, write_part, &parts[i]);
	}
	for (i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		first = parts[i].first < first ? parts[i].first : first;
		last = parts[i].last > last ? parts[i].last : last;
	}
	end(sample);
	sample->ticks = ticks + last - first;
	pthread_barrier_destroy(&barrier);
}

static void set_slots(struct vm *vm, u64 size, void *memory)
{
	u32 i;

	for (i = 0; i < CROWD; i++)
		ASSERT_OK(vm_set_slot(vm, 1 + i, 0, REGION_GPA + i * size, size,
				      memory));
}

static struct sample measure_fault_at_once(const struct op *op)
{
	u64 size = op->flags ? HUGE_PAGES * HUGE_SIZE : SMALL_PAGES * PAGE_SIZE;
	struct sample sample = { .ops = CROWD * size / op->len * op->runs };
	void *memory = map_in_place(size, op->flags);
	struct vm *vm = writers(size, memory, CROWD);
	struct sample warm_up = {};
	u32 i;

	set_slot(vm, 0, 0, NULL);
	for (i = 0; i < op->runs + 1; i++) {
		set_slots(vm, size, memory);
		write_at_once(i ? &sample : &warm_up, vm, size, op->len);
		set_slots(vm, 0, NULL);
	}
	free_vm(vm, memory, size);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* The log                                                                   */

#define LOG_PAGES	16384UL
#define LOG_SIZE	(LOG_PAGES * PAGE_SIZE)

static u64 bitmap[BITMAP_WORDS(LOG_PAGES)];

static void harvest(struct vm *vm)
{
	ASSERT_OK(get_dirty_log(vm, 1, bitmap));
}

/* All is mapped; then the log begins, and each page is written. */
static struct sample measure_first_write(const struct op *op)
{
	void *memory = map_in_place(LOG_SIZE, op->flags);
	struct vm *vm = writers(LOG_SIZE, memory, 1);
	struct sample sample = { .ops = LOG_PAGES * op->runs };
	u32 i;

	for (i = 0; i < op->runs + 1; i++) {
		set_slot(vm, 0, LOG_SIZE, memory);
		unmap_all(vm, LOG_SIZE, memory);
		guest_write(vm->vcpus[0], 0, LOG_PAGES, PAGE_SIZE);
		if (i)
			begin(&sample);
		set_slot(vm, LOG, LOG_SIZE, memory);
		guest_write(vm->vcpus[0], 0, LOG_PAGES, PAGE_SIZE);
		if (i)
			end(&sample);
	}
	sample.ticks -= sample.ops * WRITE_LOOP_INSNS;
	free_vm(vm, memory, LOG_SIZE);
	return sample;
}

/* Pages in the log, harvested, are written again: one in op->len. */
static struct sample measure_log(const struct op *op)
{
	void *memory = map_in_place(LOG_SIZE, false);
	struct vm *vm = writers(LOG_SIZE, memory, 1);
	u64 count = LOG_PAGES / op->len;
	struct sample sample = { .ops = op->runs }, writes = {};
	u32 i;

	set_slot(vm, LOG, LOG_SIZE, memory);
	guest_write(vm->vcpus[0], 0, LOG_PAGES, PAGE_SIZE);
	harvest(vm);
	for (i = 0; i < op->runs + 1; i++) {
		begin(&writes);
		guest_write(vm->vcpus[0], 0, count, op->len * PAGE_SIZE);
		end(&writes);
		if (!i) {
			writes = (struct sample) {};
			harvest(vm);
			continue;
		}
		begin(&sample);
		harvest(vm);
		end(&sample);
		ASSERT_EQ(count_bits(bitmap, LOG_PAGES), count);
	}
	free_vm(vm, memory, LOG_SIZE);
	if (op->exit_reason != MINIVMM_EXIT_IO)
		return sample;
	/* the row is about the writes */
	writes.ops = count * op->runs;
	writes.ticks -= writes.ops * WRITE_LOOP_INSNS;
	return writes;
}

/* ------------------------------------------------------------------------ */
/* Slots come and go                                                         */

#define OTHERS_GPA	0x40000000UL

/* op->len others are there; one is added and deleted. */
static struct sample measure_slots(const struct op *op)
{
	struct vm *vm = vm_create_bare();
	struct sample sample = { .ops = op->runs };
	void *memory = map_small(2);
	u32 i;

	for (i = 0; i < op->len; i++)
		if (vm_set_slot(vm, i + 1, 0, OTHERS_GPA + 2 * i * PAGE_SIZE,
				PAGE_SIZE, memory)) {
			/* fewer than that is all it can have */
			vm_free(vm);
			return (struct sample) {};
		}
	for (i = 0; i < op->runs + op->runs / 4; i++) {
		if (i == op->runs / 4)
			begin(&sample);
		ASSERT_OK(vm_set_slot(vm, 0, 0, 0, PAGE_SIZE, memory));
		ASSERT_OK(vm_set_slot(vm, 0, 0, 0, 0, NULL));
	}
	end(&sample);
	vm_free(vm);
	munmap(memory, 2 * PAGE_SIZE);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* The host takes pages back                                                 */

/* What MADV_DONTNEED of op->len bytes costs, one piece after the other */
static void give_back(struct sample *sample, void *memory, u64 size, u64 len)
{
	u64 offset;

	begin(sample);
	for (offset = 0; offset < size; offset += len)
		ASSERT_OK(madvise((char *)memory + offset, len,
				  MADV_DONTNEED));
	end(sample);
}

static struct sample measure_unmap(const struct op *op)
{
	u64 size = 8 * HUGE_SIZE, i;
	struct sample sample = { .ops = size / op->len * op->runs };
	struct sample alone = {};
	void *memory;
	struct vm *vm;

	/* without a guest: what is the host's own */
	for (i = 0; i < op->runs; i++) {
		memory = map_in_place(size, op->flags);
		give_back(&alone, memory, size, op->len);
		munmap(memory, size);
	}
	for (i = 0; i < op->runs; i++) {
		memory = map_in_place(size, op->flags);
		vm = writers(size, memory, 1);
		guest_write(vm->vcpus[0], 0, size / PAGE_SIZE, PAGE_SIZE);
		give_back(&sample, memory, size, op->len);
		free_vm(vm, memory, size);
	}
	sample.ticks -= alone.ticks;
	for (i = 0; i < NR_COUNTERS; i++)
		sample.counts[i] -= alone.counts[i];
	return sample;
}

/* ------------------------------------------------------------------------ */
/* What the kernel keeps                                                     */

/* Slots that show the same memory make a large guest of a small host. */
#define ALIASES		8
#define ALIAS_SIZE	(64UL << 20)

static struct sample measure_bytes_per_gib(const struct op *op)
{
	void *memory = map_in_place(ALIAS_SIZE, op->flags);
	struct vm *vm = writers(ALIAS_SIZE, memory, 1);
	u64 size = ALIASES * ALIAS_SIZE;
	struct sample sample = { .ops = 1 };
	s64 before;
	u32 i;

	/* another GiB than slot 0 is in, and the guest's code has run */
	guest_write(vm->vcpus[0], 0, 1, PAGE_SIZE);
	before = free_kib();
	for (i = 0; i < ALIASES; i++)
		ASSERT_OK(vm_set_slot(vm, i + 2, 0, OTHERS_GPA +
				      i * ALIAS_SIZE, ALIAS_SIZE, memory));
	guest_write(vm->vcpus[0], OTHERS_GPA - REGION_GPA, size / PAGE_SIZE,
		    PAGE_SIZE);
	sample.ticks = (before - free_kib()) * 1024 * (GIB / size);
	free_vm(vm, memory, ALIAS_SIZE);
	return sample;
}

#define IDLE_VMS	96

/* A VM with a slot and a vCPU that has not run, as its client leaves it */
static int make_idle_vm(int dev, void *memory, int *vcpu)
{
	struct minivmm_userspace_memory_region region = {
		.memory_size = PAGE_SIZE, .userspace_addr = (u64)memory,
	};
	int vm = ASSERT_OK(ioctl(dev, MINIVMM_CREATE_VM, 0));

	ASSERT_OK(ioctl(vm, MINIVMM_SET_USER_MEMORY_REGION, &region));
	*vcpu = ASSERT_OK(ioctl(vm, MINIVMM_CREATE_VCPU, 0));
	return vm;
}

static struct sample measure_bytes_per_vm(const struct op *op)
{
	int dev = dev_open(), fds[IDLE_VMS][2], warm_up[2], i;
	void *memory = map_small(1);
	struct sample sample = { .ops = IDLE_VMS };
	s64 before;

	(void)op;
	warm_up[0] = make_idle_vm(dev, memory, &warm_up[1]);
	before = free_kib();
	for (i = 0; i < IDLE_VMS; i++)
		fds[i][0] = make_idle_vm(dev, memory, &fds[i][1]);
	sample.ticks = (before - free_kib()) * 1024;
	for (i = 0; i < IDLE_VMS; i++) {
		close(fds[i][1]);
		close(fds[i][0]);
	}
	close(warm_up[1]);
	close(warm_up[0]);
	close(dev);
	munmap(memory, PAGE_SIZE);
	return sample;
}

/* ------------------------------------------------------------------------ */

#define WRITES	.exit_reason = MINIVMM_EXIT_IO

const struct op memory_ops[] = {
	{
		.name = "fault_4k", .measure = measure_fault,
		.len = PAGE_SIZE, .runs = ROUNDS,
	}, {
		.name = "fault_4k_apart", .measure = measure_fault,
		.len = 16 * PAGE_SIZE, .runs = 4 * ROUNDS,
	}, {
		.name = "fault_2m", .measure = measure_fault,
		.flags = 1, .len = HUGE_SIZE, .runs = 4 * ROUNDS,
	}, {
		.name = "fault_4k_4vcpus", .measure = measure_fault_at_once,
		.cpus = 2, .len = PAGE_SIZE, .runs = ROUNDS,
	}, {
		.name = "fault_2m_4vcpus", .measure = measure_fault_at_once,
		.cpus = 2, .flags = 1, .len = HUGE_SIZE, .runs = 4 * ROUNDS,
	}, {
		.name = "log_first_write", .measure = measure_first_write,
		.caps = { CAP(MANUAL_DIRTY_LOG_PROTECT2) }, .runs = 2,
	}, {
		.name = "log_first_write_2m", .measure = measure_first_write,
		.caps = { CAP(MANUAL_DIRTY_LOG_PROTECT2) }, .runs = 2,
		.flags = 1,
	}, {
		.name = "log_write", .measure = measure_log,
		.caps = { CAP(MANUAL_DIRTY_LOG_PROTECT2) }, .runs = 4,
		.len = 1, WRITES,
	}, {
		.name = "harvest_1_percent", .measure = measure_log,
		.caps = { CAP(MANUAL_DIRTY_LOG_PROTECT2) }, .runs = 8,
		.len = 100,
	}, {
		.name = "harvest_all", .measure = measure_log,
		.caps = { CAP(MANUAL_DIRTY_LOG_PROTECT2) }, .runs = 4,
		.len = 1,
	}, {
		.name = "slot_of_1", .measure = measure_slots,
		.runs = 50,
	}, {
		.name = "slot_of_10000", .measure = measure_slots,
		.len = 9999, .runs = 20,
	}, {
		.name = "unmap_4k", .measure = measure_unmap,
		.len = PAGE_SIZE, .runs = 2,
	}, {
		.name = "unmap_2m", .measure = measure_unmap,
		.flags = 1, .len = HUGE_SIZE, .runs = 4,
	}, {
		.name = "unmap_2m_of_4k", .measure = measure_unmap,
		.len = HUGE_SIZE, .runs = 4,
	}, {
		.name = "bytes_per_gib", .measure = measure_bytes_per_gib,
		.in_bytes = true,
	}, {
		.name = "bytes_per_gib_2m", .measure = measure_bytes_per_gib,
		.in_bytes = true, .flags = 1,
	}, {
		.name = "bytes_per_vm", .measure = measure_bytes_per_vm,
		.in_bytes = true,
	},
};

const u32 nr_memory_ops = ARRAY_SIZE(memory_ops);

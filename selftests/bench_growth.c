// SPDX-License-Identifier: GPL-2.0
/*
 * bench --growth: what a fault, a harvest of the log and a change of the slots
 * cost as the guest's memory grows, and as the number of its slots does.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "dirty.h"
#include "hostmem.h"

#define LOG		MINIVMM_MEM_LOG_DIRTY_PAGES
#define MIB		(1UL << 20)

/* So many pages of the region exist, at equal distances. */
#define TOUCHED		512UL

/* Above what the library maps; a GiB is one page of the guest's. */
#define BASE		(4 * GIB)
#define ADDRESS_LIMIT	(1024 * GIB)

static const u32 sizes_mib[] = {
	64, 256, 1024, 4096, 16384, 65536, 262144, 1048576,
};

static const u32 slot_counts[] = { 1, 8, 64, 512, 4096, 32000 };

/* ------------------------------------------------------------------------ */
/* A guest that writes to addresses far apart                                */

/* RDI, RCX, RDX: first address, number of them, distance */
guest_code64(far_loop,
	     "1: movb %al, (%rdi)\n"
	     "addq %rdx, %rdi\n"
	     "decq %rcx\n"
	     "jnz 1b\n"
	     "outb %al, $0x10");

#define FAR_LOOP_INSNS	3

/* The second half TiB's page table, where slot 0 has nothing else */
#define PDPT2_GPA	0x800000UL

static struct vcpu *far_writer(struct vm *vm)
{
	const u64 flags = PTE_P | PTE_RW | PTE_US | PTE_PS;
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 *first = vm_gpa(vm, PDPT_GPA), *second = vm_gpa(vm, PDPT2_GPA), i;

	for (i = BASE / GIB; i < 512; i++)
		first[i] = i * GIB | flags;
	for (i = 0; i < 512; i++)
		second[i] = (512 + i) * GIB | flags;
	((u64 *)vm_gpa(vm, PML4_GPA))[1] = PDPT2_GPA | PTE_P | PTE_RW | PTE_US;
	vcpu_setup_blob64(vcpu, &far_loop);
	return vcpu;
}

static void far_write(struct vcpu *vcpu, u64 gpa, u64 count, u64 step)
{
	struct minivmm_regs regs = vcpu_regs(vcpu);

	regs.rip = BLOB_GPA;
	regs.rdi = gpa;
	regs.rcx = count;
	regs.rdx = step;
	vcpu_set_regs(vcpu, &regs);
	run_to(vcpu, MINIVMM_EXIT_IO);
}

static struct vcpu *warm_far_writer(struct vm *vm)
{
	struct vcpu *vcpu = far_writer(vm);

	/* its code and its page tables are no part of a measurement */
	far_write(vcpu, STACK_GPA, 1, 0);
	return vcpu;
}

/* ------------------------------------------------------------------------ */
/* By size                                                                   */

/* The last TiB of the CPU's begins below us: what fits. */
static u64 region_size(const struct op *op)
{
	u64 size = op->len * MIB;

	return size < ADDRESS_LIMIT - BASE ? size : ADDRESS_LIMIT - BASE;
}

/* Sparse, but for the pages that the guest will touch */
static char *map_sparse(u64 size)
{
	char *memory = map_memory(size, MAP_PRIVATE | MAP_ANONYMOUS |
				  MAP_NORESERVE, -1);
	u64 i;

	madvise(memory, size, MADV_NOHUGEPAGE);
	for (i = 0; i < TOUCHED; i++)
		memory[i * (size / TOUCHED / PAGE_SIZE * PAGE_SIZE)] = 1;
	return memory;
}

static void touch_all(struct vcpu *vcpu, u64 size)
{
	far_write(vcpu, BASE, TOUCHED, size / TOUCHED / PAGE_SIZE * PAGE_SIZE);
}

static struct sample measure_fault(const struct op *op)
{
	u64 size = region_size(op);
	char *memory = map_sparse(size);
	struct vm *vm = vm_create();
	struct vcpu *vcpu = warm_far_writer(vm);
	struct sample sample = { .ops = TOUCHED };

	ASSERT_OK(vm_set_slot(vm, 1, 0, BASE, size, memory));
	begin(&sample);
	touch_all(vcpu, size);
	end(&sample);
	sample.ticks -= sample.ops * FAR_LOOP_INSNS;
	vm_free(vm);
	munmap(memory, size);
	return sample;
}

static struct sample measure_harvest(const struct op *op)
{
	u64 size = region_size(op), bytes = BITMAP_WORDS(size / PAGE_SIZE) * 8;
	char *memory = map_sparse(size);
	void *bitmap = map_memory(bytes, MAP_PRIVATE | MAP_ANONYMOUS |
				  MAP_POPULATE, -1);
	struct vm *vm = vm_create();
	struct vcpu *vcpu = warm_far_writer(vm);
	struct sample sample = { .ops = 2 };
	u32 i;

	ASSERT_OK(vm_set_slot(vm, 1, LOG, BASE, size, memory));
	for (i = 0; i < sample.ops + 1; i++) {
		touch_all(vcpu, size);
		if (i)
			begin(&sample);
		ASSERT_OK(get_dirty_log(vm, 1, bitmap));
		if (i)
			end(&sample);
	}
	vm_free(vm);
	munmap(memory, size);
	munmap(bitmap, bytes);
	return sample;
}

static struct sample measure_slot(const struct op *op)
{
	u64 size = region_size(op);
	char *memory = map_sparse(size);
	struct vm *vm = vm_create();
	struct vcpu *vcpu = warm_far_writer(vm);
	struct sample sample = { .ops = 8 };
	u32 i;

	for (i = 0; i < sample.ops + 2; i++) {
		if (i >= 2)
			begin(&sample);
		ASSERT_OK(vm_set_slot(vm, 1, 0, BASE, size, memory));
		if (i >= 2)
			end(&sample);
		/* it has something to take away */
		touch_all(vcpu, size);
		if (i >= 2)
			begin(&sample);
		ASSERT_OK(vm_set_slot(vm, 1, 0, BASE, 0, NULL));
		if (i >= 2)
			end(&sample);
	}
	vm_free(vm);
	munmap(memory, size);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* By the number of slots                                                    */

/* A page each, none next to another */
#define DISTANCE	(2 * PAGE_SIZE)

static char *slots_memory(const struct op *op)
{
	return (char *)map_small(op->len < TOUCHED ? TOUCHED : op->len);
}

/* A VM with that many slots from number 2 on; false: it cannot have so many */
static bool fill_slots(struct vm *vm, const struct op *op, char *memory)
{
	u32 i;

	for (i = 0; i < op->len; i++)
		if (vm_set_slot(vm, i + 2, 0, BASE + i * DISTANCE, PAGE_SIZE,
				memory + i * PAGE_SIZE))
			return false;
	return true;
}

static void end_slots(struct vm *vm, const struct op *op, char *memory)
{
	vm_free(vm);
	munmap(memory, (op->len < TOUCHED ? TOUCHED : op->len) * PAGE_SIZE);
}

/* Pages of different slots, as far apart as can be */
static struct sample measure_fault_of_many(const struct op *op)
{
	u64 count = op->len < TOUCHED ? op->len : TOUCHED;
	u64 step = op->len / count, i;
	char *memory = slots_memory(op);
	struct vm *vm = vm_create();
	struct vcpu *vcpu = warm_far_writer(vm);
	struct sample sample = {};

	for (i = 0; i < count; i++)
		memory[i * step * PAGE_SIZE] = 1;
	if (fill_slots(vm, op, memory)) {
		sample.ops = count;
		begin(&sample);
		far_write(vcpu, BASE, count, step * DISTANCE);
		end(&sample);
		sample.ticks -= sample.ops * FAR_LOOP_INSNS;
	}
	end_slots(vm, op, memory);
	return sample;
}

static struct sample measure_harvest_of_many(const struct op *op)
{
	static u64 bitmap[BITMAP_WORDS(TOUCHED)];
	char *memory = slots_memory(op);
	char *logged = (char *)map_small(TOUCHED);
	u64 gpa = BASE + op->len * DISTANCE;
	struct vm *vm = vm_create();
	struct vcpu *vcpu = warm_far_writer(vm);
	struct sample sample = {};
	u32 i;

	memset(logged, 1, TOUCHED * PAGE_SIZE);
	if (fill_slots(vm, op, memory)) {
		ASSERT_OK(vm_set_slot(vm, 1, LOG, gpa, TOUCHED * PAGE_SIZE,
				      logged));
		sample.ops = 4;
		for (i = 0; i < sample.ops; i++) {
			far_write(vcpu, gpa, TOUCHED, PAGE_SIZE);
			begin(&sample);
			ASSERT_OK(get_dirty_log(vm, 1, bitmap));
			end(&sample);
		}
	}
	end_slots(vm, op, memory);
	munmap(logged, TOUCHED * PAGE_SIZE);
	return sample;
}

static struct sample measure_slot_of_many(const struct op *op)
{
	char *memory = slots_memory(op);
	struct vm *vm = vm_create();
	struct sample sample = {};
	u32 i;

	if (fill_slots(vm, op, memory)) {
		sample.ops = 10;
		for (i = 0; i < sample.ops + 2; i++) {
			if (i == 2)
				begin(&sample);
			ASSERT_OK(vm_set_slot(vm, 1, 0, MMIO_GPA, PAGE_SIZE,
					      memory));
			ASSERT_OK(vm_set_slot(vm, 1, 0, MMIO_GPA, 0, NULL));
		}
		end(&sample);
	}
	end_slots(vm, op, memory);
	return sample;
}

/* ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	struct sample (*measure)(const struct op *op);
	bool by_size, log;
} curves[] = {
	{ "fault", measure_fault, true, false },
	{ "harvest", measure_harvest, true, true },
	{ "slot", measure_slot, true, false },
	{ "fault_slots", measure_fault_of_many, false, false },
	{ "harvest_slots", measure_harvest_of_many, false, true },
	{ "slot_slots", measure_slot_of_many, false, false },
};

bool growth_point(u32 curve, u32 point, struct op *op)
{
	u32 count;

	if (curve >= ARRAY_SIZE(curves))
		return false;
	count = curves[curve].by_size ? ARRAY_SIZE(sizes_mib) :
		ARRAY_SIZE(slot_counts);
	*op = (struct op) { .name = curves[curve].name };
	if (point >= count)
		return true;
	op->measure = curves[curve].measure;
	op->len = curves[curve].by_size ? sizes_mib[point] :
		  slot_counts[point];
	if (curves[curve].log)
		op->caps[0] = CAP(MANUAL_DIRTY_LOG_PROTECT2);
	return true;
}

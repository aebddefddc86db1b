// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended page tables (SDM 29.3): guest-physical to host-physical.
 *
 * Four levels of 512 entries, as in the CPU's own paging; a leaf is at level 0
 * (4 KiB), 1 (2 MiB) or 2 (1 GiB). Whoever calls holds the lock of a region of
 * 2 MiB, which is a table of level 0, or of all of them (mv_ops.map and .change).
 * So leaves and tables of level 0, and the entries that point to these, have one
 * writer; the entries above may be filled by two at once (cmpxchg), and are
 * cleared under all locks only. CPUs walk the tables at any time, and set the
 * accessed and dirty flags, so entries change by single 64-bit operations. A
 * table that is taken out is freed only when all CPUs have left the guest and
 * will flush before they enter it again.
 */
#include <linux/cpu.h>
#include <linux/find.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "hw.h"
#include "vmx.h"

#define EPT_LEVELS	4
#define EPT_ENTRIES	512
#define EPT_ADDR	GENMASK_ULL(51, 12)
#define EPT_RWX		(VMX_EPT_READABLE_MASK | VMX_EPT_WRITABLE_MASK | \
			 VMX_EPT_EXECUTABLE_MASK)
#define EPT_LARGE	BIT_ULL(7)
#define EPT_ACCESSED	VMX_EPT_ACCESS_BIT
#define EPT_DIRTY	VMX_EPT_DIRTY_BIT
/*
 * Guest RAM is ordinary cacheable memory of the host whatever the guest's PAT
 * says: write-back, PAT ignored. A device is uncached.
 */
#define EPT_RAM		((6ULL << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT)

/* Entries looked at under one hold of the locks: interrupts may be waiting */
#define WALK_BUDGET	4096

/* Level 3 is the root (512 GiB an entry), level 0 holds the pages. */
static unsigned int ept_index(u64 gfn, int level)
{
	return (gfn >> (9 * level)) & (EPT_ENTRIES - 1);
}

static u64 *ept_table(u64 entry)
{
	return __va(entry & EPT_ADDR);
}

static bool is_table(u64 entry, int level)
{
	return entry && level && !(entry & EPT_LARGE);
}

/* Leaves in a table of level 0. Its region's lock is held. */
static unsigned long nr_leaves(u64 *table)
{
	return page_private(virt_to_page(table));
}

static void add_leaves(u64 *table, long n)
{
	set_page_private(virt_to_page(table), nr_leaves(table) + n);
}

static void count_leaves(struct mv_vm *vm, u64 *table, int level, long n)
{
	atomic64_add(n, &vm->mapped[level]);
	if (!level)
		add_leaves(table, n);
}

/**
 * vmx_split_exec() - must guests not execute from large pages?
 *
 * On some CPUs a guest that changes the size of a page it executes from can
 * stop the machine (iTLB multihit, CVE-2018-12207).
 */
bool vmx_split_exec(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) &&
	       !cpu_mitigations_off();
}

/* ---- mapping -------------------------------------------------------------- */

/*
 * A table of what @leaf, at level @level, maps; @table is empty. Small pages can
 * always be executed.
 */
static void split_leaf(u64 *table, u64 leaf, int level)
{
	u64 step = MV_LEVEL_PAGES(level - 1) << PAGE_SHIFT;
	int i;

	if (level == 1)
		leaf = (leaf & ~EPT_LARGE) | VMX_EPT_EXECUTABLE_MASK;
	for (i = 0; i < EPT_ENTRIES; i++)
		table[i] = leaf + i * step;
}

/*
 * Puts a table where @old is, a leaf or nothing. Both translate alike, and rights
 * are only added, so no flush. Returns the entry; 0 if another CPU was there first, with a leaf.
 */
static u64 add_table(struct mv_vm *vm, u64 *entry, u64 old, int level,
		     struct mv_page_cache *cache)
{
	u64 *table = cache->page[cache->nr - 1];
	u64 new = __pa(table) | EPT_RWX;

	if (old)
		split_leaf(table, old, level);
	if (!try_cmpxchg(entry, &old, new)) {
		clear_page(table);
		return is_table(old, level) ? old : 0;
	}
	cache->nr--;
	if (old) {
		count_leaves(vm, NULL, level, -1);
		count_leaves(vm, table, level - 1, EPT_ENTRIES);
	}
	return new;
}

/* All of a leaf but the address */
static u64 leaf_flags(int level, u32 prot)
{
	u64 flags = VMX_EPT_READABLE_MASK | EPT_ACCESSED;

	if (!(prot & MV_MAP_DATA) && (!level || !vmx_split_exec()))
		flags |= VMX_EPT_EXECUTABLE_MASK;
	if (level)
		flags |= EPT_LARGE;
	if (!(prot & MV_MAP_UNCACHED))
		flags |= EPT_RAM;
	if (prot & MV_MAP_WRITE)
		flags |= VMX_EPT_WRITABLE_MASK;
	if (!(prot & MV_MAP_CLEAN))
		flags |= EPT_DIRTY;
	return flags;
}

/*
 * A leaf that can be written already is as it should be, and stays: a CPU may be
 * setting its dirty flag just now, or have that cached, and if the flag were lost
 * the next harvest would not flush. The dirty flag of one that nobody could write
 * means nothing.
 */
static void set_leaves(struct mv_vm *vm, const struct mv_mapping *map,
		       u64 *table, u64 *entry, int level)
{
	unsigned int nr = level ? 1 : map->nr, i;
	u64 mask = MV_LEVEL_PAGES(level) - 1;
	u64 flags = leaf_flags(level, map->prot);
	long added = 0;

	for (i = 0; i < nr; i++) {
		u64 old = READ_ONCE(entry[i]);

		if (old & VMX_EPT_WRITABLE_MASK)
			continue;
		added += !old;
		WRITE_ONCE(entry[i], (map->pfn[i] & ~mask) << PAGE_SHIFT |
			   flags);
	}
	if (added)
		count_leaves(vm, table, level, added);
}

/**
 * vmx_ept_map() - let the guest reach some pages
 * @vm: the VM
 * @map: which
 * @cache: where new tables come from
 *
 * More rights to the same frame need no flush: a CPU that still has the old
 * entry faults and drops it (SDM 29.4.3.1).
 *
 * Context: see mv_ops.map. Return: likewise.
 */
bool vmx_ept_map(struct mv_vm *vm, const struct mv_mapping *map,
		 struct mv_page_cache *cache)
{
	u64 *table = to_vmx_vm(vm)->root, *entry, old;
	int l;

	for (l = EPT_LEVELS - 1; ; l--) {
		entry = &table[ept_index(map->gfn, l)];
		old = READ_ONCE(*entry);
		if (l <= map->level && !is_table(old, l))
			break;
		if (!is_table(old, l)) {
			if (!cache->nr)
				return false;
			old = add_table(vm, entry, old, l, cache);
		}
		if (!old)
			return true;
		table = ept_table(old);
	}
	set_leaves(vm, map, table, entry, l);
	return true;
}

/* ---- changing what is mapped ------------------------------------------------ */

/**
 * struct ept_walk - one call of vmx_ept_change()
 * @vm: the VM
 * @frames: whose mappings change; @frames->first is where the walk is
 * @how: what to do with leaves
 * @removes: that they go
 * @tables: of those that are needed no more
 * @budget: entries that may still be looked at
 * @changed: a leaf was changed, or found young
 */
struct ept_walk {
	struct mv_vm *vm;
	struct mv_frames *frames;
	enum mv_change how;
	bool removes;
	struct list_head *tables;
	int budget;
	bool changed;
};

/* Without accessed flags a page counts as unused when it has gone. */
static bool removes(enum mv_change how)
{
	return how == MV_ZAP || how == MV_UNMAP ||
	       (how == MV_AGE && !vmx_has_ept_ad());
}

/* What shows the next write: the dirty flag's change is logged for small pages. */
static u64 write_bit(int level)
{
	return !level && vmx_has_pml() ? EPT_DIRTY : VMX_EPT_WRITABLE_MASK;
}

/* What becomes of a leaf; itself, if nothing does */
static u64 changed_leaf(const struct ept_walk *w, u64 leaf, int level)
{
	if (w->removes)
		return 0;
	switch (w->how) {
	case MV_PROTECT:
		return leaf & ~write_bit(level);
	case MV_AGE:
		return leaf & ~EPT_ACCESSED;
	default:
		return leaf;
	}
}

/*
 * False if it is no leaf any more: one of 1 GiB, which regions share, may have
 * been split meanwhile.
 */
static bool change_leaf(struct ept_walk *w, u64 *table, u64 *entry, int level)
{
	u64 old = READ_ONCE(*entry), new;

	do {
		if (!old)
			return true;
		if (is_table(old, level))
			return false;
		new = changed_leaf(w, old, level);
		if (new == old)
			break;
	} while (!try_cmpxchg(entry, &old, new));

	if (!new)
		count_leaves(w->vm, table, level, -1);
	/* without the flag, whatever is mapped may be in use */
	if (new != old || (w->how == MV_TEST_AGE &&
			   (old & EPT_ACCESSED || !vmx_has_ept_ad())))
		w->changed = true;
	return true;
}

/* Puts a table that no entry points to any more aside, with those below it. */
static void detach_table(struct mv_vm *vm, u64 *table, int level,
			 struct list_head *tables)
{
	int i;

	for (i = 0; level && i < EPT_ENTRIES; i++) {
		if (is_table(table[i], level))
			detach_table(vm, ept_table(table[i]), level - 1,
				     tables);
		else if (table[i])
			atomic64_dec(&vm->mapped[level]);
	}
	if (!level)
		atomic64_sub(nr_leaves(table), &vm->mapped[0]);
	set_page_private(virt_to_page(table), 0);
	list_add(&virt_to_page(table)->lru, tables);
}

/*
 * May the table go that an entry of level @level, for frames [@from, @to), points
 * to? Whole, without a look at its leaves, if it is not too large for that.
 */
static bool goes_whole(const struct ept_walk *w, int level, u64 from, u64 to)
{
	return w->removes && w->frames->first == from &&
	       to <= w->frames->end &&
	       level <= (w->how == MV_UNMAP ? 2 : 1);
}

static bool is_empty(const struct ept_walk *w, u64 *table, int level)
{
	if (!w->removes)
		return false;
	if (!level)
		return !nr_leaves(table);
	return w->how == MV_UNMAP && !memchr_inv(table, 0, PAGE_SIZE);
}

static void remove_table(struct ept_walk *w, u64 *entry, int level)
{
	u64 *table = ept_table(xchg(entry, 0));

	detach_table(w->vm, table, level - 1, w->tables);
	w->budget -= EPT_ENTRIES * (level - 1);
	w->changed = true;
}

/* The next frame, from @first on, that is meant */
static void skip_others(struct mv_frames *frames)
{
	u64 i = frames->first - frames->base;

	if (!test_bit(i, frames->only))
		frames->first = frames->base +
				find_next_bit(frames->only, frames->end -
					      frames->base, i);
}

/* @level: of @table; its first entry maps frame @base. */
static void walk_table(struct ept_walk *w, u64 *table, int level, u64 base)
{
	struct mv_frames *frames = w->frames;
	u64 span = MV_LEVEL_PAGES(level);

	while (frames->first < base + EPT_ENTRIES * span &&
	       frames->first < frames->end && w->budget-- > 0) {
		u64 *entry = &table[ept_index(frames->first, level)];
		u64 old = READ_ONCE(*entry);
		u64 from = frames->first & ~(span - 1), to = from + span;

		if (is_table(old, level) && !goes_whole(w, level, from, to)) {
			walk_table(w, ept_table(old), level - 1, from);
			if (is_empty(w, ept_table(old), level - 1))
				remove_table(w, entry, level);
			continue;
		}
		if (is_table(old, level))
			remove_table(w, entry, level);
		else if (old && !change_leaf(w, table, entry, level))
			continue;
		frames->first = min(to, frames->end);
		if (frames->only && frames->first < frames->end)
			skip_others(frames);
	}
}

/**
 * vmx_ept_change() - zap, protect or age what is mapped
 * @vm: the VM
 * @frames: which guest frames; then, where to go on
 * @how: what to do
 * @tables: gets the tables that are needed no more, linked by page->lru
 *
 * A large page that is only partly in the range changes as a whole.
 *
 * Context: see mv_ops.change. Return: likewise.
 */
bool vmx_ept_change(struct mv_vm *vm, struct mv_frames *frames,
		    enum mv_change how, struct list_head *tables)
{
	struct ept_walk w = {
		.vm = vm, .frames = frames, .how = how,
		.removes = removes(how),
		.tables = tables, .budget = WALK_BUDGET,
	};

	if (frames->only)
		skip_others(frames);
	walk_table(&w, to_vmx_vm(vm)->root, EPT_LEVELS - 1, 0);
	return w.changed;
}

/* ---- a VM's tables ----------------------------------------------------------- */

/**
 * vmx_vm_create() - empty EPT for a new VM
 * @vm: the VM
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int vmx_vm_create(struct mv_vm *vm)
{
	struct vmx_vm *vmx_vm = kzalloc(sizeof(*vmx_vm), GFP_KERNEL_ACCOUNT);

	if (!vmx_vm)
		return -ENOMEM;
	vmx_vm->root = mv_table_alloc(vm);
	if (!vmx_vm->root) {
		kfree(vmx_vm);
		return -ENOMEM;
	}
	vmx_vm->eptp = __pa(vmx_vm->root) | VMX_EPTP_PWL_4 | VMX_EPTP_MT_WB;
	if (vmx_has_ept_ad())
		vmx_vm->eptp |= VMX_EPTP_AD_ENABLE_BIT;
	vm->backend = vmx_vm;
	return 0;
}

/**
 * vmx_vm_destroy() - free the EPT
 * @vm: no vCPU of it is left, and nothing is mapped
 *
 * CPUs may still cache translations tagged with this EPTP. Whoever gets the
 * page as its EPT root next flushes on its first entry to each CPU.
 */
void vmx_vm_destroy(struct mv_vm *vm)
{
	mv_table_free(vm, to_vmx_vm(vm)->root);
	kfree(to_vmx_vm(vm));
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended page tables (SDM 29.3): guest-physical to host-physical.
 *
 * Four levels of 512 entries, as in the CPU's own paging. Everything here runs
 * under vm->mmu_lock; entries change by single 64-bit stores, since the CPUs
 * walk the tables at any time. A table that is taken out is freed only when all
 * CPUs have left the guest and will flush before they enter it again.
 */
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
/*
 * Guest RAM is ordinary cacheable memory of the host whatever the guest's PAT
 * says: write-back, PAT ignored.
 */
#define EPT_LEAF_RAM	((6ULL << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT)

/* Level 3 is the root (512 GiB an entry), level 0 holds the pages. */
static unsigned int ept_index(u64 gfn, int level)
{
	return (gfn >> (9 * level)) & (EPT_ENTRIES - 1);
}

static u64 *ept_table(u64 entry)
{
	return __va(entry & EPT_ADDR);
}

/**
 * vmx_ept_map() - let the guest reach a page
 * @vm: the VM, mmu_lock held
 * @gfn: guest frame, below 2^36
 * @pfn: host frame
 * @prot: MV_MAP_*; reading and executing are always allowed
 * @cache: at least as many pages as there are levels below the root
 *
 * More rights to the same frame need no flush: a CPU that still has the old
 * entry faults and drops it (SDM 29.4.3.1).
 */
void vmx_ept_map(struct mv_vm *vm, u64 gfn, u64 pfn, u32 prot,
		 struct mv_page_cache *cache)
{
	u64 *table = to_vmx_vm(vm)->root, leaf;
	int level;

	for (level = EPT_LEVELS - 1; level; level--) {
		u64 *entry = &table[ept_index(gfn, level)];

		if (!*entry) {
			void *page = cache->page[--cache->nr];

			WRITE_ONCE(*entry, __pa(page) | EPT_RWX);
		}
		table = ept_table(*entry);
	}

	leaf = (pfn << PAGE_SHIFT) | EPT_LEAF_RAM | VMX_EPT_READABLE_MASK |
	       VMX_EPT_EXECUTABLE_MASK;
	if (prot & MV_MAP_WRITE)
		leaf |= VMX_EPT_WRITABLE_MASK;
	WRITE_ONCE(table[ept_index(gfn, 0)], leaf);
}

/* Puts a table that no entry points to any more aside, with those below it. */
static void detach_table(u64 *table, int level, struct list_head *tables)
{
	int i;

	for (i = 0; level && i < EPT_ENTRIES; i++) {
		if (table[i])
			detach_table(ept_table(table[i]), level - 1, tables);
	}
	list_add(&virt_to_page(table)->lru, tables);
}

/* @level: of @table; its first entry maps frame @base. Empty tables go, too. */
static bool zap_table(u64 *table, int level, u64 base, u64 start, u64 end,
		      struct list_head *tables)
{
	u64 span = 1ULL << (9 * level);
	bool zapped = false;
	u64 i, first, last;

	first = start > base ? (start - base) >> (9 * level) : 0;
	last = min_t(u64, (end - base + span - 1) >> (9 * level), EPT_ENTRIES);
	for (i = first; i < last; i++) {
		u64 entry = table[i], from = base + i * span;

		if (!entry)
			continue;
		if (level && (from < start || from + span > end)) {
			if (!zap_table(ept_table(entry), level - 1, from, start,
				       end, tables))
				continue;
			zapped = true;
			/* A small slot that moves must not leave a trail. */
			if (memchr_inv(ept_table(entry), 0, PAGE_SIZE))
				continue;
		}
		WRITE_ONCE(table[i], 0);
		zapped = true;
		if (level)
			detach_table(ept_table(entry), level - 1, tables);
	}
	return zapped;
}

/**
 * vmx_ept_zap() - take pages away from the guest
 * @vm: the VM, mmu_lock held
 * @start: first guest frame
 * @end: the one after the last
 * @tables: gets the tables that are needed no more, linked by page->lru
 *
 * Return: true if anything was mapped; the caller must flush the guest's TLBs
 * before the pages and the tables may be used for something else.
 */
bool vmx_ept_zap(struct mv_vm *vm, u64 start, u64 end, struct list_head *tables)
{
	return zap_table(to_vmx_vm(vm)->root, EPT_LEVELS - 1, 0, start, end,
			 tables);
}

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
	vmx_vm->root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx_vm->root) {
		kfree(vmx_vm);
		return -ENOMEM;
	}
	vmx_vm->eptp = __pa(vmx_vm->root) | VMX_EPTP_PWL_4 | VMX_EPTP_MT_WB;
	vm->backend = vmx_vm;
	return 0;
}

/**
 * vmx_vm_destroy() - free the EPT
 * @vm: no vCPU of it is left
 *
 * CPUs may still cache translations tagged with this EPTP. Whoever gets the
 * page as its EPT root next flushes on its first entry to each CPU.
 */
void vmx_vm_destroy(struct mv_vm *vm)
{
	struct page *page, *next;
	LIST_HEAD(tables);

	detach_table(to_vmx_vm(vm)->root, EPT_LEVELS - 1, &tables);
	list_for_each_entry_safe(page, next, &tables, lru)
		__free_page(page);
	kfree(to_vmx_vm(vm));
}

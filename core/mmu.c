// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest pages: getting them on a fault, and giving them back.
 *
 * Nothing is mapped in advance: the guest faults, the host's memory management
 * provides the page, the back end maps it, the guest tries again. No page is
 * pinned. The MMU notifier tells us before the host takes one away.
 *
 * Locks: the frames of a 2 MiB region are mapped and changed under one of
 * vm->regions, so faults in different regions do not meet. What concerns several
 * regions takes mmu_lock and then all of them.
 *
 * A fault and an invalidation can cross. The fault notes vm->inv_seq, gets the
 * page without any lock, and maps it under its region's lock only if no
 * invalidation of it is under way and none has ended since; else the guest faults
 * once more. Documentation/locking.md says why that holds.
 *
 * Two invalidations can cross too: the second finds nothing mapped while the
 * first has yet to flush the TLBs. So whoever changes mappings raises
 * vm->tlb_gen, and everybody flushes who finds vm->flushed_gen behind it.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "core.h"
#include "host_pages.h"
#include "slots.h"

/* ---- tables --------------------------------------------------------------- */

/**
 * mv_table_alloc() - a page for a second-level table, zeroed
 * @vm: whose
 *
 * Context: may sleep. Return: the page, charged to the caller's memory cgroup,
 * or NULL.
 */
void *mv_table_alloc(struct mv_vm *vm)
{
	void *table = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	mod_lruvec_page_state(virt_to_page(table), NR_SECONDARY_PAGETABLE, 1);
	atomic64_inc(&vm->nr_tables);
	return table;
}
EXPORT_SYMBOL_GPL(mv_table_alloc);

/**
 * mv_table_free() - give it back
 * @vm: whose
 * @table: no CPU can be looking at it
 *
 * Context: any but the run section.
 */
void mv_table_free(struct mv_vm *vm, void *table)
{
	atomic64_dec(&vm->nr_tables);
	mod_lruvec_page_state(virt_to_page(table), NR_SECONDARY_PAGETABLE, -1);
	free_page((unsigned long)table);
}
EXPORT_SYMBOL_GPL(mv_table_free);

static void free_tables(struct mv_vm *vm, struct list_head *tables)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, tables, lru)
		mv_table_free(vm, page_address(page));
}

static int fill_page_cache(struct mv_vcpu *vcpu)
{
	struct mv_page_cache *cache = &vcpu->page_cache;

	while (cache->nr < MV_PAGE_CACHE) {
		void *table = mv_table_alloc(vcpu->vm);

		if (!table)
			return -ENOMEM;
		cache->page[cache->nr++] = table;
	}
	return 0;
}

void mv_page_cache_free(struct mv_vcpu *vcpu)
{
	struct mv_page_cache *cache = &vcpu->page_cache;

	while (cache->nr)
		mv_table_free(vcpu->vm, cache->page[--cache->nr]);
}

/* ---- locks ---------------------------------------------------------------- */

static struct mv_region *region_of(struct mv_vm *vm, u64 gfn)
{
	return &vm->regions[(gfn / MV_LEVEL_PAGES(1)) % MV_REGIONS];
}

static bool in_one_region(u64 start, u64 end)
{
	return start / MV_LEVEL_PAGES(1) == (end - 1) / MV_LEVEL_PAGES(1);
}

/* Sparse cannot count locks in a loop: for it they are free in between. */
static void lock_regions(struct mv_vm *vm)
{
	int i;

	for (i = 0; i < MV_REGIONS; i++) {
		raw_spin_lock_nest_lock(&vm->regions[i].lock, &vm->mmu_lock);
		__release(&vm->regions[i].lock);
	}
}

static void unlock_regions(struct mv_vm *vm)
{
	int i;

	for (i = MV_REGIONS - 1; i >= 0; i--) {
		__acquire(&vm->regions[i].lock);
		raw_spin_unlock(&vm->regions[i].lock);
	}
}

/**
 * mv_lock_frames() - nothing is mapped, and no mapping changes, until unlocked
 * @vm: the VM
 *
 * Context: interrupts on; they are off while it is held.
 */
void mv_lock_frames(struct mv_vm *vm)
	__acquires(&vm->mmu_lock)
{
	raw_spin_lock_irq(&vm->mmu_lock);
	lock_regions(vm);
}

void mv_unlock_frames(struct mv_vm *vm)
	__releases(&vm->mmu_lock)
{
	unlock_regions(vm);
	raw_spin_unlock_irq(&vm->mmu_lock);
}

/* ---- faults -------------------------------------------------------------- */

/**
 * mv_prepare_faults() - set aside what the run section cannot allocate
 * @vcpu: about to enter it
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_prepare_faults(struct mv_vcpu *vcpu)
{
	if (likely(vcpu->page_cache.nr == MV_PAGE_CACHE))
		return 0;
	return fill_page_cache(vcpu);
}

/* The slot of a fault; NULL: the access finds no memory. RCU read side. */
static const struct mv_slot *faulting_slot(struct mv_vcpu *vcpu)
{
	const struct mv_slot *slot;

	slot = mv_find_slot(vcpu, vcpu->exit.fault.gpa >> PAGE_SHIFT);
	if (slot && slot->readonly && vcpu->exit.fault.write)
		return NULL;
	return slot;
}

/* The largest mapping of a frame that the slot's place and size allow */
static int level_in_slot(const struct mv_slot *slot, u64 gfn)
{
	int level;

	for (level = mv_ops->caps.max_level; level; level--) {
		u64 mask = MV_LEVEL_PAGES(level) - 1;
		u64 first = gfn & ~mask;

		if (!((slot->gfn ^ (slot->hva >> PAGE_SHIFT)) & mask) &&
		    first >= slot->gfn &&
		    first + mask < slot->gfn + slot->npages)
			break;
	}
	return level;
}

/* Small ones where only these can be executed */
static int choose_level(struct mv_vcpu *vcpu, const struct mv_host_pages *pages)
{
	if (!pages->level ||
	    (vcpu->exit.fault.fetch && mv_ops->caps.split_exec))
		return 0;
	return min(pages->level, level_in_slot(pages->slot, pages->gfn));
}

/* RCU read side. */
static void start_lookup(struct mv_vcpu *vcpu, const struct mv_slot *slot,
			 struct mv_host_pages *pages)
{
	pages->slot = slot;
	pages->gfn = vcpu->exit.fault.gpa >> PAGE_SHIFT;
	pages->hva = mv_slot_hva(slot, pages->gfn);
	pages->wrote = vcpu->exit.fault.write;
	pages->seq = READ_ONCE(vcpu->vm->inv_seq);
	smp_rmb();	/* the sequence before the pages: see map_pages() */
}

/*
 * What is around a page is often touched next: with it come those of its block
 * that are in the slot, and for which the host looks into the same table.
 */
static bool look_around(struct mv_vcpu *vcpu, struct mv_host_pages *pages)
{
	const struct mv_slot *slot = pages->slot;
	unsigned int place = mv_place_in_block(pages->gfn);
	u64 in_slot = pages->gfn - slot->gfn;
	u64 in_table = (pages->hva >> PAGE_SHIFT) % PTRS_PER_PTE;
	u64 before = min(in_slot, in_table);
	u64 after = min(slot->npages - in_slot, PTRS_PER_PTE - in_table) - 1;

	return mv_pages_in_place(vcpu->vm->mm, pages,
				 place - min_t(u64, place, before),
				 min_t(u64, place + after, MV_BLOCK - 1));
}

/*
 * Are these pages, or may they be, on their way out? Their region's lock is
 * held: an invalidation that has not been seen here has yet to take it.
 */
static bool invalidated(const struct mv_vm *vm,
			const struct mv_host_pages *pages)
{
	unsigned long mask = (MV_LEVEL_PAGES(pages->level) << PAGE_SHIFT) - 1;
	unsigned long block = pages->hva -
			      (mv_place_in_block(pages->gfn) << PAGE_SHIFT);
	unsigned long start = (block + (pages->first << PAGE_SHIFT)) & ~mask;
	unsigned long last = (block + (pages->last << PAGE_SHIFT)) | mask;
	bool active = READ_ONCE(vm->inv_active) &&
		      last >= READ_ONCE(vm->inv_start) &&
		      start < READ_ONCE(vm->inv_end);

	smp_rmb();	/* pairs with invalidate_end() */
	return active || READ_ONCE(vm->inv_seq) != pages->seq;
}

/* Before the guest can write them, and while the host's mapping stands */
static void set_host_dirty(const struct mv_host_pages *pages)
{
	unsigned int i;

	for (i = pages->first; i <= pages->last; i++) {
		struct folio *folio = page_folio(pfn_to_page(pages->pfn[i]));

		if (!folio_test_dirty(folio))
			folio_set_dirty(folio);
	}
}

/* The functions from here to map_locked() are called with the region's lock. */
static bool map_block(struct mv_vcpu *vcpu, const struct mv_host_pages *pages,
		      int level, u32 prot)
{
	struct mv_mapping map = {
		.gfn = pages->gfn - mv_place_in_block(pages->gfn) +
		       pages->first,
		.nr = pages->last - pages->first + 1,
		.pfn = &pages->pfn[pages->first],
		.level = level,
		.prot = prot,
	};

	return mv_ops->map(vcpu->vm, &map, &vcpu->page_cache);
}

/* The 2 MiB around the fault, which the host has in one piece, in small pages */
static bool map_in_small(struct mv_vcpu *vcpu,
			 const struct mv_host_pages *pages, u32 prot)
{
	u64 mask = MV_LEVEL_PAGES(1) - 1, pfn[MV_BLOCK], i;
	struct mv_mapping map = { .nr = MV_BLOCK, .pfn = pfn, .prot = prot };
	unsigned int j;

	pfn[0] = pages->pfn[mv_place_in_block(pages->gfn)] & ~mask;
	for (i = 0; i <= mask; i += MV_BLOCK) {
		map.gfn = (pages->gfn & ~mask) + i;
		for (j = 1; j < MV_BLOCK; j++)
			pfn[j] = pfn[0] + j;
		if (!mv_ops->map(vcpu->vm, &map, &vcpu->page_cache))
			return false;
		pfn[0] += MV_BLOCK;
	}
	return true;
}

/*
 * Where writes are logged: small pages. If the CPU says itself what it wrote they
 * can all be writable, else only one that now counts as written.
 */
static bool map_logged(struct mv_vcpu *vcpu, struct mv_host_pages *pages,
		       struct mv_dirty *dirty, u32 prot)
{
	unsigned int place = mv_place_in_block(pages->gfn);

	if (mv_ops->caps.logs_writes) {
		if (pages->writable)
			prot |= MV_MAP_WRITE | MV_MAP_CLEAN;
		if (pages->level)
			return map_in_small(vcpu, pages, prot);
	} else if (pages->wrote) {
		prot |= MV_MAP_WRITE;
		pages->first = place;
		pages->last = place;
		set_bit(pages->gfn - pages->slot->gfn, dirty->bits);
	}
	return map_block(vcpu, pages, 0, prot);
}

static bool map_locked(struct mv_vcpu *vcpu, struct mv_host_pages *pages)
{
	struct mv_dirty *dirty = pages->slot->dirty;
	u32 prot = pages->uncached ? MV_MAP_UNCACHED : 0;

	if (pages->writable && pages->clean)
		set_host_dirty(pages);
	if (dirty)
		return map_logged(vcpu, pages, dirty, prot);
	if (pages->writable)
		prot |= MV_MAP_WRITE;
	return map_block(vcpu, pages, pages->level, prot);
}

/*
 * Maps the pages unless something crossed us; then the guest retries. False: a
 * table was needed, and none is left.
 */
static bool map_pages(struct mv_vcpu *vcpu, struct mv_host_pages *pages)
{
	struct mv_vm *vm = vcpu->vm;
	bool all = pages->level > 1;
	raw_spinlock_t *lock = all ? &vm->mmu_lock :
				     &region_of(vm, pages->gfn)->lock;
	unsigned long flags;
	bool done = true;

	raw_spin_lock_irqsave(lock, flags);
	if (all)
		lock_regions(vm);
	if (!invalidated(vm, pages) && !pages->slot->dead)
		done = map_locked(vcpu, pages);
	if (all)
		unlock_regions(vm);
	raw_spin_unlock_irqrestore(lock, flags);
	return done;
}

/* No slot is there, but perhaps vm->apic_page can be: see apic_page.c. */
static bool map_apic_page(struct mv_vcpu *vcpu)
{
	struct mv_vm *vm = vcpu->vm;
	raw_spinlock_t *lock = &region_of(vm, MV_APIC_GFN)->lock;
	unsigned long flags;
	u64 pfn;
	struct mv_mapping map = {
		.gfn = MV_APIC_GFN,
		.nr = 1,
		.pfn = &pfn,
		.prot = MV_MAP_WRITE | MV_MAP_DATA,
	};
	bool mapped;

	if (vcpu->exit.fault.gpa >> PAGE_SHIFT != MV_APIC_GFN ||
	    vcpu->exit.fault.fetch || !vm->apic_page)
		return false;
	pfn = __pa(vm->apic_page) >> PAGE_SHIFT;
	raw_spin_lock_irqsave(lock, flags);
	mapped = !atomic_read(&vm->apic_page_blockers) &&
		 mv_ops->map(vm, &map, &vcpu->page_cache);
	raw_spin_unlock_irqrestore(lock, flags);
	return mapped;
}

/* RCU read side. @pages is good for one who goes on with MV_FAULT_SLEEP. */
static enum mv_fault_result fault_in_place(struct mv_vcpu *vcpu,
					   struct mv_host_pages *pages)
{
	const struct mv_slot *slot = faulting_slot(vcpu);

	if (!slot)
		return map_apic_page(vcpu) ? MV_FAULT_MAPPED : MV_FAULT_DEVICE;
	start_lookup(vcpu, slot, pages);
	if (!look_around(vcpu, pages))
		return MV_FAULT_SLEEP;
	pages->level = choose_level(vcpu, pages);
	pages->writable &= !slot->readonly;
	return map_pages(vcpu, pages) ? MV_FAULT_MAPPED : MV_FAULT_SLEEP;
}

/**
 * mv_fault_in_atomic() - map a page that the host has in place
 * @vcpu: vcpu->exit.fault says where and how
 *
 * Context: inside the run section, which is a reader of RCU.
 * Return: MV_FAULT_MAPPED to retry; else which exit to make.
 */
enum mv_fault_result mv_fault_in_atomic(struct mv_vcpu *vcpu)
{
	struct mv_host_pages pages;

	return fault_in_place(vcpu, &pages);
}
EXPORT_SYMBOL_GPL(mv_fault_in_atomic);

/*
 * Gets the page from the host, which may take long: a page comes from disk, or
 * from whoever serves a userfaultfd. Only a write makes the host give up a
 * shared page for a private one. *@page: a reference to drop, or NULL.
 */
static int get_host_page(struct mv_vm *vm, struct mv_host_pages *pages,
			 struct page **page)
{
	u64 *pfn = &pages->pfn[mv_place_in_block(pages->gfn)];
	int nr;

	pages->first = mv_place_in_block(pages->gfn);
	pages->last = pages->first;
	pages->level = 0;
	pages->writable = pages->wrote;
	pages->clean = true;
	pages->uncached = false;
	nr = mv_get_user_page(pages->hva, pages->wrote ? FOLL_WRITE : 0, page);
	if (nr == 1) {
		*pfn = page_to_pfn(*page);
		return 0;
	}
	*page = NULL;
	if (nr && nr != -EFAULT)
		return nr;
	pages->writable = true;
	pages->clean = false;
	nr = mv_get_device_frame(vm->mm, pages->hva, pages->wrote, pfn,
				 &pages->writable);
	pages->uncached = !nr && !page_is_ram(*pfn);
	return nr;
}

/*
 * The page is there now. If the host's tables do not show it in a way that is of
 * use to us, the one that we were given is mapped, if it still belongs there.
 */
static void map_given(struct mv_vcpu *vcpu, struct mv_host_pages *given)
{
	struct mv_host_pages pages;

	rcu_read_lock();
	if (fault_in_place(vcpu, &pages) == MV_FAULT_SLEEP &&
	    pages.hva == given->hva) {
		given->slot = pages.slot;
		given->writable &= !pages.slot->readonly;
		map_pages(vcpu, given);
	}
	rcu_read_unlock();
}

/* 1: mapped, or the guest shall look again; -ENOENT: no memory there */
static int fault_in(struct mv_vcpu *vcpu)
{
	enum mv_fault_result result;
	struct mv_host_pages pages;
	struct page *page;
	int ret;

	rcu_read_lock();
	result = fault_in_place(vcpu, &pages);
	rcu_read_unlock();
	if (result != MV_FAULT_SLEEP)
		return result == MV_FAULT_DEVICE ? -ENOENT : 1;
	ret = get_host_page(vcpu->vm, &pages, &page);
	if (ret)
		return ret;
	map_given(vcpu, &pages);
	if (page)
		put_page(page);
	return 1;
}

/**
 * mv_handle_gpa_fault() - get a page that the host did not have in place
 * @vcpu: vcpu->exit.fault says where and how
 *
 * Return: as run-loop handlers do; -EFAULT if the client's mapping fails.
 */
int mv_handle_gpa_fault(struct mv_vcpu *vcpu)
{
	int ret = fill_page_cache(vcpu);

	if (ret)
		return ret;
	ret = fault_in(vcpu);
	/* The slot went away just now: the guest shall meet what is there. */
	if (ret == -ENOENT)
		return 1;
	/* The run loop turns a signal into what the client expects. */
	if (ret < 0 && signal_pending(current))
		return 1;
	return ret < 0 ? -EFAULT : ret;
}

/* One step of mv_pre_fault(): as if the guest read there. */
static int pre_fault_page(struct mv_vcpu *vcpu, u64 gpa)
{
	int ret = fill_page_cache(vcpu);

	if (ret)
		return ret;
	if (signal_pending(current))
		return -EINTR;
	vcpu->exit.fault.gpa = gpa;
	vcpu->exit.fault.write = false;
	vcpu->exit.fault.fetch = false;
	ret = fault_in(vcpu);
	return ret < 0 ? ret : 0;
}

/**
 * mv_pre_fault() - MINIVMM_PRE_FAULT_MEMORY: map guest memory before it is used
 * @vcpu: between two runs
 * @range: moves on as far as it went
 *
 * Context: may sleep, vcpu->mutex held.
 * Return: 0 if any of it is done; -EINVAL, -EINTR, -ENOENT where no memory is,
 * -ENOMEM, -EFAULT.
 */
int mv_pre_fault(struct mv_vcpu *vcpu, struct minivmm_pre_fault_memory *range)
{
	/* Perhaps of an instruction that waits to be completed */
	struct mv_exit exit = vcpu->exit;
	u64 size = range->size;
	int ret = 0;

	if (range->flags || memchr_inv(range->padding, 0,
				       sizeof(range->padding)))
		return -EINVAL;
	if (!size || !PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(size) ||
	    range->gpa + size <= range->gpa)
		return -EINVAL;
	while (range->size) {
		ret = pre_fault_page(vcpu, range->gpa);
		if (ret)
			break;
		range->gpa += PAGE_SIZE;
		range->size -= PAGE_SIZE;
		cond_resched();
	}
	vcpu->exit = exit;
	return range->size == size ? ret : 0;
}

/* ---- taking pages back ---------------------------------------------------- */

static void raise_flushed_gen(struct mv_vm *vm, u64 gen)
{
	raw_spin_lock_irq(&vm->mmu_lock);
	vm->flushed_gen = max(vm->flushed_gen, gen);
	raw_spin_unlock_irq(&vm->mmu_lock);
}

/**
 * mv_flush_guest_tlbs() - no CPU uses a translation any more that was changed
 * @vm: whose translations; changed by anybody, before the call
 *
 * Run sections have interrupts off, so when the IPI has been answered the CPU
 * is out of its section, and the next one sees the new generation.
 *
 * Context: interrupts on, mmu_lock not held; does not sleep.
 */
void mv_flush_guest_tlbs(struct mv_vm *vm)
{
	u64 gen = atomic64_read(&vm->tlb_gen);

	if (READ_ONCE(vm->flushed_gen) >= gen)
		return;
	mv_leave_guest(vm);
	raise_flushed_gen(vm, gen);
}

/* Does the CPU have to forget what it knew? */
static bool must_flush(enum mv_change how)
{
	switch (how) {
	case MV_ZAP:
	case MV_UNMAP:
	case MV_PROTECT:
		return true;
	case MV_AGE:
		return !mv_ops->caps.accessed;
	case MV_TEST_AGE:
		break;
	}
	return false;
}

/* Some of it, from @frames->first on; the locks for that are held. */
static bool change_locked(struct mv_vm *vm, struct mv_frames *frames,
			  enum mv_change how, struct list_head *tables)
{
	bool changed = mv_ops->change(vm, frames, how, tables);

	if (changed && must_flush(how))
		atomic64_inc(&vm->tlb_gen);
	return changed;
}

/* The same under the locks that it takes; mmu_lock is held. */
static bool change_some(struct mv_vm *vm, struct mv_frames *frames,
			enum mv_change how, struct list_head *tables)
{
	struct mv_region *region = region_of(vm, frames->first);
	bool changed;

	if (how != MV_UNMAP && in_one_region(frames->first, frames->end)) {
		raw_spin_lock(&region->lock);
		changed = change_locked(vm, frames, how, tables);
		raw_spin_unlock(&region->lock);
	} else {
		lock_regions(vm);
		changed = change_locked(vm, frames, how, tables);
		unlock_regions(vm);
	}
	return changed;
}

static void free_unused_tables(struct mv_vm *vm, struct list_head *tables)
{
	if (list_empty(tables))
		return;
	mv_flush_guest_tlbs(vm);
	free_tables(vm, tables);
}

static void change_frames(struct mv_vm *vm, struct mv_frames frames,
			  enum mv_change how)
{
	bool one = how != MV_UNMAP && in_one_region(frames.first, frames.end);
	raw_spinlock_t *lock = one ? &region_of(vm, frames.first)->lock :
				     &vm->mmu_lock;
	LIST_HEAD(tables);

	while (frames.first < frames.end) {
		raw_spin_lock_irq(lock);
		if (one)
			change_locked(vm, &frames, how, &tables);
		else
			change_some(vm, &frames, how, &tables);
		raw_spin_unlock_irq(lock);
		cond_resched();
	}
	free_unused_tables(vm, &tables);
}

/**
 * mv_change_frames() - unmap guest frames [@start, @end), or protect them
 * @vm: the VM
 * @start: first frame
 * @end: the one after the last
 * @how: MV_UNMAP or MV_PROTECT
 *
 * mv_flush_guest_tlbs() must follow before one relies on it. Tables that became
 * empty are freed here, after a flush of their own.
 *
 * Context: may sleep.
 */
void mv_change_frames(struct mv_vm *vm, u64 start, u64 end, enum mv_change how)
{
	change_frames(vm, (struct mv_frames) { start, end }, how);
}

/**
 * mv_protect_frames() - MV_PROTECT for some of the frames [@start, @end)
 * @vm: the VM
 * @start: first frame
 * @end: the one after the last
 * @only: a bit for each from @start on, which says whether it is meant
 *
 * mv_flush_guest_tlbs() must follow. It is cheapest for frames of one region.
 *
 * Context: may sleep.
 */
void mv_protect_frames(struct mv_vm *vm, u64 start, u64 end,
		       const unsigned long *only)
{
	change_frames(vm, (struct mv_frames) { start, end, only, start },
		      MV_PROTECT);
}

/* ---- what the host does with the client's memory --------------------------- */

/* Lets interrupts in, and others run. False: the slots are not the same. */
static bool take_a_breath(struct mv_vm *vm, unsigned long gen, bool may_sleep)
	__must_hold(&vm->mmu_lock)
{
	raw_spin_unlock_irq(&vm->mmu_lock);
	if (may_sleep)
		cond_resched();
	raw_spin_lock_irq(&vm->mmu_lock);
	return vm->slots->hva_gen == gen;
}

/* The frames of a slot that lie in the HVA range [@start, @end) */
static struct mv_frames slot_frames(const struct mv_slot *slot,
				    unsigned long start, unsigned long end)
{
	start = max(start, slot->hva);
	end = min(end, slot->hva + (slot->npages << PAGE_SHIFT));
	return (struct mv_frames) {
		.first = slot->gfn + ((start - slot->hva) >> PAGE_SHIFT),
		.end = slot->gfn + ((end - 1 - slot->hva) >> PAGE_SHIFT) + 1,
	};
}

/*
 * Changes all frames whose memory is in an HVA range; dying slots have some too.
 * If the slots change meanwhile it starts all over: what is done is done.
 */
static bool change_hva_range(struct mv_vm *vm, unsigned long start,
			     unsigned long end, enum mv_change how,
			     bool may_sleep)
{
	struct interval_tree_node *node;
	bool changed = false;
	LIST_HEAD(tables);
	unsigned long gen;

	raw_spin_lock_irq(&vm->mmu_lock);
again:
	gen = vm->slots->hva_gen;
	node = interval_tree_iter_first(&vm->slots->by_hva, start, end - 1);
	while (node) {
		struct mv_frames frames =
			slot_frames(container_of(node, struct mv_slot,
						 hva_node), start, end);

		while (frames.first < frames.end) {
			changed |= change_some(vm, &frames, how, &tables);
			if (frames.first < frames.end &&
			    !take_a_breath(vm, gen, may_sleep))
				goto again;
		}
		node = interval_tree_iter_next(node, start, end - 1);
		if (node && !take_a_breath(vm, gen, may_sleep))
			goto again;
	}
	raw_spin_unlock_irq(&vm->mmu_lock);
	free_unused_tables(vm, &tables);
	return changed;
}

static struct mv_vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct mv_vm, notifier);
}

/* Several can be under way; together they cover one range, however wide. */
static void begin_invalidation(struct mv_vm *vm, unsigned long start,
			       unsigned long end)
{
	raw_spin_lock_irq(&vm->mmu_lock);
	if (vm->inv_active) {
		start = min(vm->inv_start, start);
		end = max(vm->inv_end, end);
	}
	WRITE_ONCE(vm->inv_start, start);
	WRITE_ONCE(vm->inv_end, end);
	WRITE_ONCE(vm->inv_active, vm->inv_active + 1);
	raw_spin_unlock_irq(&vm->mmu_lock);
}

static int invalidate_start(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct mv_vm *vm = notifier_vm(mn);

	begin_invalidation(vm, range->start, range->end);
	change_hva_range(vm, range->start, range->end, MV_ZAP,
			 mmu_notifier_range_blockable(range));
	mv_flush_guest_tlbs(vm);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct mv_vm *vm = notifier_vm(mn);

	raw_spin_lock_irq(&vm->mmu_lock);
	WRITE_ONCE(vm->inv_seq, vm->inv_seq + 1);
	smp_wmb();	/* whoever misses it in inv_active sees it in inv_seq */
	WRITE_ONCE(vm->inv_active, vm->inv_active - 1);
	raw_spin_unlock_irq(&vm->mmu_lock);
}

/* Has the guest used these pages since they were asked for last? */
static mv_young_t clear_flush_young(struct mmu_notifier *mn,
				    struct mm_struct *mm, unsigned long start,
				    unsigned long end)
{
	struct mv_vm *vm = notifier_vm(mn);
	bool young = change_hva_range(vm, start, end, MV_AGE, false);

	mv_flush_guest_tlbs(vm);
	return young;
}

/* A CPU that remembers the page as used will not mark it again: no harm. */
static mv_young_t clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			      unsigned long start, unsigned long end)
{
	struct mv_vm *vm = notifier_vm(mn);
	bool young = change_hva_range(vm, start, end, MV_AGE, false);

	if (must_flush(MV_AGE))
		mv_flush_guest_tlbs(vm);
	return young;
}

static mv_young_t test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			     unsigned long address)
{
	return change_hva_range(notifier_vm(mn), address, address + PAGE_SIZE,
				MV_TEST_AGE, false);
}

/* The address space is gone; no invalidation comes after this one. */
static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mv_vm *vm = notifier_vm(mn);

	change_hva_range(vm, 0, ULONG_MAX, MV_ZAP, true);
	mv_flush_guest_tlbs(vm);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.release = mm_release,
};

/**
 * mv_mmu_init() - listen to what the host does with the client's memory
 * @vm: made by its own process; its slots are there
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int mv_mmu_init(struct mv_vm *vm)
{
	int i;

	raw_spin_lock_init(&vm->mmu_lock);
	for (i = 0; i < MV_REGIONS; i++)
		raw_spin_lock_init(&vm->regions[i].lock);
	/* A vCPU that has not flushed yet remembers generation 0. */
	atomic64_set(&vm->tlb_gen, 1);
	vm->flushed_gen = 1;
	vm->notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}

/**
 * mv_mmu_destroy() - the VM's last reference is gone
 * @vm: no vCPU can run
 *
 * Context: may sleep.
 */
void mv_mmu_destroy(struct mv_vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	/* a bit at a time, which freeing the whole tree would not */
	mv_change_frames(vm, 0, BIT_ULL(36), MV_UNMAP);
}

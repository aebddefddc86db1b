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
#include "slots.h"

/* Pages in place that one fault maps: to the end of an aligned block of these */
#define FAULT_AROUND	8

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
 * mv_put_held_pages() - drop the references taken inside the run section
 * @held: may be empty
 *
 * Context: process context.
 */
void mv_put_held_pages(struct mv_held_pages *held)
{
	while (held->nr)
		put_page(held->page[--held->nr]);
}

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

/**
 * struct host_pages - pages that the host has given for consecutive frames
 * @slot: theirs; looked at only under RCU
 * @gfn: the first frame
 * @hva: where that is in the client
 * @level: size of the mapping around it; @nr is 1 unless this is 0
 * @nr: how many
 * @page: a reference to each; NULL: not @pfn's, it is a device of the host
 * @pfn: the host frame, for a device
 * @writable: the guest may write them
 * @wrote: the guest wants to write the first
 * @seq: vm->inv_seq before they were looked up
 */
struct host_pages {
	const struct mv_slot *slot;
	u64 gfn;
	unsigned long hva;
	int level;
	unsigned int nr;
	struct page **page;
	u64 pfn;
	bool writable;
	bool wrote;
	unsigned long seq;
};

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

/*
 * How the host maps an address of the client now. Interrupts off keep its page
 * tables from being freed, as in get_user_pages_fast().
 */
static int level_in_host(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	int level = 0;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 2;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 1;
out:
	local_irq_restore(flags);
	return level;
}

/* RCU read side. */
static void start_lookup(struct mv_vcpu *vcpu, const struct mv_slot *slot,
			 struct host_pages *pages)
{
	pages->slot = slot;
	pages->gfn = vcpu->exit.fault.gpa >> PAGE_SHIFT;
	pages->hva = mv_slot_hva(slot, pages->gfn);
	pages->writable = !slot->readonly;
	pages->wrote = vcpu->exit.fault.write;
	pages->seq = READ_ONCE(vcpu->vm->inv_seq);
	smp_rmb();	/* the sequence before the pages: see map_pages() */
}

/* Small pages where writes are logged, or where only they can be executed */
static int choose_level(struct mv_vcpu *vcpu, const struct host_pages *pages)
{
	int level;

	if (READ_ONCE(pages->slot->dirty) ||
	    (vcpu->exit.fault.fetch && mv_ops->caps.split_exec))
		return 0;
	level = level_in_slot(pages->slot, pages->gfn);
	return level ? min(level, level_in_host(vcpu->vm->mm, pages->hva)) : 0;
}

/*
 * Are these pages, or may they be, on their way out? Their region's lock is
 * held: an invalidation that has not been seen here has yet to take it.
 */
static bool invalidated(const struct mv_vm *vm, const struct host_pages *pages)
{
	unsigned long size = MV_LEVEL_PAGES(pages->level) << PAGE_SHIFT;
	unsigned long start = pages->hva & ~(size - 1);
	unsigned long end = start + size * pages->nr;
	bool active = READ_ONCE(vm->inv_active) &&
		      end > READ_ONCE(vm->inv_start) &&
		      start < READ_ONCE(vm->inv_end);

	smp_rmb();	/* pairs with invalidate_end() */
	return active || READ_ONCE(vm->inv_seq) != pages->seq;
}

/*
 * Where writes are logged, only what counts as written is writable, unless the
 * CPU says itself what it wrote.
 */
static u32 logged_prot(struct mv_dirty *dirty, const struct host_pages *pages,
		       unsigned int i)
{
	u64 bit = pages->gfn + i - pages->slot->gfn;

	if (mv_ops->caps.logs_writes)
		return MV_MAP_WRITE | MV_MAP_CLEAN;
	if (pages->wrote && !i)
		set_bit(bit, dirty->bits);
	return test_bit(bit, dirty->bits) ? MV_MAP_WRITE : 0;
}

/* The region's lock is held. */
static void map_page(struct mv_vcpu *vcpu, const struct host_pages *pages,
		     unsigned int i)
{
	struct mv_dirty *dirty = pages->slot->dirty;
	u64 pfn = pages->pfn;
	u32 prot = 0;

	if (pages->page)
		pfn = page_to_pfn(pages->page[i]);
	else if (!page_is_ram(pfn))
		prot = MV_MAP_UNCACHED;
	if (pages->writable)
		prot |= dirty ? logged_prot(dirty, pages, i) : MV_MAP_WRITE;
	mv_ops->map(vcpu->vm, pages->gfn + i, pfn, dirty ? 0 : pages->level,
		    prot, &vcpu->page_cache);
}

/* Maps the pages unless something crossed us; then the guest retries. */
static void map_pages(struct mv_vcpu *vcpu, const struct host_pages *pages)
{
	struct mv_vm *vm = vcpu->vm;
	bool all = pages->level > 1;
	raw_spinlock_t *lock = all ? &vm->mmu_lock :
				     &region_of(vm, pages->gfn)->lock;
	unsigned long flags;
	unsigned int i;

	/* Before the guest can write, and while the host's mapping stands */
	for (i = 0; pages->writable && pages->page && i < pages->nr; i++)
		folio_set_dirty(page_folio(pages->page[i]));

	raw_spin_lock_irqsave(lock, flags);
	if (all)
		lock_regions(vm);
	if (!invalidated(vm, pages) && !pages->slot->dead)
		for (i = 0; i < pages->nr; i++)
			map_page(vcpu, pages, i);
	if (all)
		unlock_regions(vm);
	raw_spin_unlock_irqrestore(lock, flags);
}

/*
 * Up to @max pages that are in place already. Those that are writable are
 * mapped so even for a read, which saves the fault of the first write.
 */
static bool get_pages_in_place(struct host_pages *pages, unsigned int max)
{
	int nr = 0;

	if (pages->writable)
		nr = get_user_pages_fast_only(pages->hva, max, FOLL_WRITE,
					      pages->page);
	if (nr <= 0 && !pages->wrote) {
		pages->writable = false;
		nr = get_user_pages_fast_only(pages->hva, max, 0, pages->page);
	}
	pages->nr = max(nr, 0);
	return pages->nr;
}

/* How many pages to map at once: what follows is often touched next. */
static unsigned int fault_around(const struct host_pages *pages)
{
	u64 in_window = FAULT_AROUND - (pages->gfn & (FAULT_AROUND - 1));

	if (pages->level)
		return 1;
	return min(in_window,
		   pages->slot->gfn + pages->slot->npages - pages->gfn);
}

static bool prepared(const struct mv_vcpu *vcpu)
{
	return vcpu->held.nr + FAULT_AROUND <= MV_HELD_PAGES &&
	       vcpu->page_cache.nr == MV_PAGE_CACHE;
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

/* No slot is there, but perhaps vm->apic_page can be: see apic_page.c. */
static bool map_apic_page(struct mv_vcpu *vcpu)
{
	struct mv_vm *vm = vcpu->vm;
	raw_spinlock_t *lock = &region_of(vm, MV_APIC_GFN)->lock;
	bool map;

	if (vcpu->exit.fault.gpa >> PAGE_SHIFT != MV_APIC_GFN ||
	    vcpu->exit.fault.fetch || !vm->apic_page ||
	    vcpu->page_cache.nr != MV_PAGE_CACHE)
		return false;
	raw_spin_lock(lock);
	map = !atomic_read(&vm->apic_page_blockers);
	if (map)
		mv_ops->map(vm, MV_APIC_GFN, __pa(vm->apic_page) >> PAGE_SHIFT,
			    0, MV_MAP_WRITE | MV_MAP_DATA, &vcpu->page_cache);
	raw_spin_unlock(lock);
	return map;
}

static enum mv_fault_result fault_in_atomic(struct mv_vcpu *vcpu)
{
	struct mv_held_pages *held = &vcpu->held;
	const struct mv_slot *slot = faulting_slot(vcpu);
	struct host_pages pages = { .page = &held->page[held->nr] };

	if (!slot)
		return map_apic_page(vcpu) ? MV_FAULT_MAPPED : MV_FAULT_DEVICE;
	if (!prepared(vcpu))
		return MV_FAULT_SLEEP;
	start_lookup(vcpu, slot, &pages);
	pages.level = choose_level(vcpu, &pages);
	if (!get_pages_in_place(&pages, fault_around(&pages)))
		return MV_FAULT_SLEEP;
	map_pages(vcpu, &pages);
	held->nr += pages.nr;
	return MV_FAULT_MAPPED;
}

/**
 * mv_fault_in_atomic() - map a page that the host has in place
 * @vcpu: vcpu->exit.fault says where and how
 *
 * Context: inside the run section.
 * Return: MV_FAULT_MAPPED to retry; else which exit to make.
 */
enum mv_fault_result mv_fault_in_atomic(struct mv_vcpu *vcpu)
{
	enum mv_fault_result result;

	rcu_read_lock();
	result = fault_in_atomic(vcpu);
	rcu_read_unlock();
	return result;
}
EXPORT_SYMBOL_GPL(mv_fault_in_atomic);

/*
 * Gets the page from the host, which may take long: a page comes from disk, or
 * from whoever serves a userfaultfd. Only a write makes the host give up a
 * shared page for a private one.
 */
static int get_host_page(struct mv_vm *vm, struct host_pages *pages)
{
	bool slot_writable = pages->writable;
	int nr;

	if (get_pages_in_place(pages, 1))
		return 0;
	pages->nr = 1;
	pages->writable = pages->wrote;
	nr = mv_get_user_page(pages->hva, pages->wrote ? FOLL_WRITE : 0,
			      pages->page);
	if (nr == 1)
		return 0;
	if (nr && nr != -EFAULT)
		return nr;
	pages->page = NULL;
	pages->writable = slot_writable;
	return mv_get_device_frame(vm->mm, pages->hva, pages->wrote,
				   &pages->pfn, &pages->writable);
}

/* Maps what the host gave if it is still what belongs there; else retry. */
static void map_if_unchanged(struct mv_vcpu *vcpu, struct host_pages *pages)
{
	const struct mv_slot *slot;

	rcu_read_lock();
	slot = faulting_slot(vcpu);
	if (slot && mv_slot_hva(slot, pages->gfn) == pages->hva) {
		pages->slot = slot;
		pages->writable &= !slot->readonly;
		if (pages->page)
			pages->level = choose_level(vcpu, pages);
		map_pages(vcpu, pages);
	}
	rcu_read_unlock();
}

/* 1: mapped, or the guest shall look again; -ENOENT: no memory there */
static int fault_in(struct mv_vcpu *vcpu)
{
	const struct mv_slot *slot;
	struct page *page;
	struct host_pages pages = { .page = &page };
	int ret;

	rcu_read_lock();
	slot = faulting_slot(vcpu);
	if (slot)
		start_lookup(vcpu, slot, &pages);
	rcu_read_unlock();
	if (!slot)
		return -ENOENT;
	ret = get_host_page(vcpu->vm, &pages);
	if (ret)
		return ret;
	map_if_unchanged(vcpu, &pages);
	if (pages.page)
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

/* Some of it, from *@first on; the locks for that are held. */
static bool change_locked(struct mv_vm *vm, u64 *first, u64 end,
			  enum mv_change how, struct list_head *tables)
{
	bool changed = mv_ops->change(vm, first, end, how, tables);

	if (changed && must_flush(how))
		atomic64_inc(&vm->tlb_gen);
	return changed;
}

/* The same under the locks that it takes; mmu_lock is held. */
static bool change_some(struct mv_vm *vm, u64 *first, u64 end,
			enum mv_change how, struct list_head *tables)
{
	struct mv_region *region = region_of(vm, *first);
	bool changed;

	if (how != MV_UNMAP && in_one_region(*first, end)) {
		raw_spin_lock(&region->lock);
		changed = change_locked(vm, first, end, how, tables);
		raw_spin_unlock(&region->lock);
	} else {
		lock_regions(vm);
		changed = change_locked(vm, first, end, how, tables);
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
	bool one = how != MV_UNMAP && in_one_region(start, end);
	raw_spinlock_t *lock = one ? &region_of(vm, start)->lock :
				     &vm->mmu_lock;
	LIST_HEAD(tables);

	while (start < end) {
		raw_spin_lock_irq(lock);
		if (one)
			change_locked(vm, &start, end, how, &tables);
		else
			change_some(vm, &start, end, how, &tables);
		raw_spin_unlock_irq(lock);
		cond_resched();
	}
	free_unused_tables(vm, &tables);
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
static void slot_frames(const struct mv_slot *slot, unsigned long start,
			unsigned long end, u64 *first, u64 *last)
{
	start = max(start, slot->hva);
	end = min(end, slot->hva + (slot->npages << PAGE_SHIFT));
	*first = slot->gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->gfn + ((end - 1 - slot->hva) >> PAGE_SHIFT);
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
		u64 first, last;

		slot_frames(container_of(node, struct mv_slot, hva_node),
			    start, end, &first, &last);
		while (first <= last) {
			changed |= change_some(vm, &first, last + 1, how,
					       &tables);
			if (first <= last &&
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

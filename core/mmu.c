// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest pages: getting them on a fault, and giving them back.
 *
 * Nothing is mapped in advance: the guest faults, the host's memory management
 * provides the page, the back end maps it, the guest tries again. No page is
 * pinned. The MMU notifier tells us before the host takes one away.
 *
 * A fault and an invalidation can cross. The fault notes vm->inv_seq, gets the
 * page without any lock, and maps it under mmu_lock only if no invalidation of
 * it is under way and none has ended since; else the guest faults once more.
 *
 * Two invalidations can cross too: the second finds nothing mapped while the
 * first has yet to flush the TLBs. So whoever zaps raises vm->tlb_gen, and
 * everybody flushes who finds vm->flushed_gen behind it.
 */
#include <linux/sched/signal.h>
#include "core.h"
#include "slots.h"

/* Frames zapped under one hold of mmu_lock: interrupts may be waiting for it */
#define ZAP_BATCH	4096
/* Pages in place that one fault maps: to the end of an aligned block of these */
#define FAULT_AROUND	8

/* ---- faults -------------------------------------------------------------- */

static int fill_page_cache(struct mv_page_cache *cache)
{
	while (cache->nr < MV_PAGE_CACHE) {
		void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		cache->page[cache->nr++] = page;
	}
	return 0;
}

void mv_page_cache_free(struct mv_page_cache *cache)
{
	while (cache->nr)
		free_page((unsigned long)cache->page[--cache->nr]);
}

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
	return fill_page_cache(&vcpu->page_cache);
}

/**
 * struct host_pages - pages that the host has given for consecutive frames
 * @gfn: the first frame
 * @hva: where that is in the client
 * @nr: how many
 * @page: a reference to each
 * @writable: the guest may write them
 * @seq: vm->inv_seq before they were looked up
 */
struct host_pages {
	u64 gfn;
	unsigned long hva;
	unsigned int nr;
	struct page **page;
	bool writable;
	unsigned long seq;
};

/* The caller holds vm->srcu. */
static void start_lookup(struct mv_vm *vm, const struct mv_slot *slot, u64 gfn,
			 struct host_pages *pages)
{
	pages->gfn = gfn;
	pages->hva = mv_slot_hva(slot, gfn);
	pages->writable = !(slot->flags & MINIVMM_MEM_READONLY);
	pages->seq = READ_ONCE(vm->inv_seq);
	smp_rmb();	/* the sequence before the pages: see map_pages() */
}

/* Are these pages, or may they be, on their way out? mmu_lock is held. */
static bool invalidated(const struct mv_vm *vm, const struct host_pages *pages)
{
	unsigned long end = pages->hva + (pages->nr << PAGE_SHIFT);

	return vm->inv_seq != pages->seq ||
	       (vm->inv_active && end > vm->inv_start &&
		pages->hva < vm->inv_end);
}

/* Maps the pages unless an invalidation crossed us; then the guest retries. */
static void map_pages(struct mv_vcpu *vcpu, const struct host_pages *pages)
{
	struct mv_vm *vm = vcpu->vm;
	unsigned long flags;
	unsigned int i;

	/* Before the guest can write, and while the host's mapping stands */
	for (i = 0; pages->writable && i < pages->nr; i++)
		folio_set_dirty(page_folio(pages->page[i]));

	raw_spin_lock_irqsave(&vm->mmu_lock, flags);
	for (i = 0; !invalidated(vm, pages) && i < pages->nr; i++)
		mv_ops->map(vm, pages->gfn + i, page_to_pfn(pages->page[i]),
			    pages->writable ? MV_MAP_WRITE : 0,
			    &vcpu->page_cache);
	raw_spin_unlock_irqrestore(&vm->mmu_lock, flags);
}

/*
 * Up to @max pages that are in place already. Those that are writable are
 * mapped so even for a read, which saves the fault of the first write.
 */
static bool get_pages_in_place(struct host_pages *pages, unsigned int max,
			       bool write)
{
	int nr = 0;

	if (pages->writable)
		nr = get_user_pages_fast_only(pages->hva, max, FOLL_WRITE,
					      pages->page);
	if (nr <= 0 && !write) {
		pages->writable = false;
		nr = get_user_pages_fast_only(pages->hva, max, 0, pages->page);
	}
	pages->nr = max(nr, 0);
	return pages->nr;
}

/* How many pages to map at once: what follows is often touched next. */
static unsigned int fault_around(const struct mv_slot *slot, u64 gfn)
{
	u64 in_window = FAULT_AROUND - (gfn & (FAULT_AROUND - 1));

	return min(in_window, slot->gfn + slot->npages - gfn);
}

static bool prepared(const struct mv_vcpu *vcpu)
{
	return vcpu->held.nr + FAULT_AROUND <= MV_HELD_PAGES &&
	       vcpu->page_cache.nr == MV_PAGE_CACHE;
}

static enum mv_fault_result fault_in_atomic(struct mv_vcpu *vcpu, u64 gfn,
					    bool write)
{
	struct mv_held_pages *held = &vcpu->held;
	const struct mv_slot *slot = mv_find_slot(vcpu->vm, gfn, write);
	struct host_pages pages = { .page = &held->page[held->nr] };

	if (!slot)
		return MV_FAULT_DEVICE;
	if (!prepared(vcpu))
		return MV_FAULT_SLEEP;
	start_lookup(vcpu->vm, slot, gfn, &pages);
	if (!get_pages_in_place(&pages, fault_around(slot, gfn), write))
		return MV_FAULT_SLEEP;
	map_pages(vcpu, &pages);
	held->nr += pages.nr;
	return MV_FAULT_MAPPED;
}

/**
 * mv_fault_in_atomic() - map a page that the host has in place
 * @vcpu: the vCPU
 * @gpa: guest-physical address of the fault
 * @write: the guest wants to write
 *
 * Context: inside the run section.
 * Return: MV_FAULT_MAPPED to retry; else which exit to make.
 */
enum mv_fault_result mv_fault_in_atomic(struct mv_vcpu *vcpu, u64 gpa,
					bool write)
{
	struct mv_vm *vm = vcpu->vm;
	int idx = srcu_read_lock(&vm->srcu);
	enum mv_fault_result result = fault_in_atomic(vcpu, gpa >> PAGE_SHIFT,
						      write);

	srcu_read_unlock(&vm->srcu, idx);
	return result;
}
EXPORT_SYMBOL_GPL(mv_fault_in_atomic);

/* Only a write makes the host give up a shared page for a private one. */
static int get_host_page(struct host_pages *pages, bool write)
{
	int nr;

	if (get_pages_in_place(pages, 1, write))
		return 0;
	pages->writable = write;
	nr = get_user_pages_fast(pages->hva, 1, write ? FOLL_WRITE : 0,
				 pages->page);
	pages->nr = 1;
	return nr == 1 ? 0 : nr ?: -EFAULT;
}

/* The caller holds vm->srcu. */
static int fault_in(struct mv_vcpu *vcpu, u64 gfn, bool write)
{
	const struct mv_slot *slot = mv_find_slot(vcpu->vm, gfn, write);
	struct page *page;
	struct host_pages pages = { .page = &page };
	int ret;

	/* The slot went away just now: the guest shall meet what is there. */
	if (!slot)
		return 1;
	start_lookup(vcpu->vm, slot, gfn, &pages);
	ret = get_host_page(&pages, write);
	if (ret)
		return ret;
	map_pages(vcpu, &pages);
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
	struct mv_vm *vm = vcpu->vm;
	int ret, idx;

	ret = fill_page_cache(&vcpu->page_cache);
	if (ret)
		return ret;
	idx = srcu_read_lock(&vm->srcu);
	ret = fault_in(vcpu, vcpu->exit.fault.gpa >> PAGE_SHIFT,
		       vcpu->exit.fault.write);
	srcu_read_unlock(&vm->srcu, idx);
	/* The run loop turns a signal into what the client expects. */
	if (ret < 0 && signal_pending(current))
		return 1;
	return ret < 0 ? -EFAULT : ret;
}

/* ---- taking pages back ---------------------------------------------------- */

static void raise_flushed_gen(struct mv_vm *vm, u64 gen)
{
	raw_spin_lock_irq(&vm->mmu_lock);
	vm->flushed_gen = max(vm->flushed_gen, gen);
	raw_spin_unlock_irq(&vm->mmu_lock);
}

/**
 * mv_flush_guest_tlbs() - no CPU uses a translation any more that was zapped
 * @vm: whose translations; zapped by anybody, before the call
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

static void free_tables(struct list_head *tables)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, tables, lru)
		__free_page(page);
}

/**
 * mv_zap_frames() - take guest frames [@start, @end) away
 * @vm: the VM; new mappings of these frames are impossible meanwhile
 * @start: first frame
 * @end: the one after the last
 * @may_sleep: let others run now and then
 *
 * mv_flush_guest_tlbs() must follow before the pages are used for anything
 * else. Tables that became empty are freed here, after a flush of their own.
 */
void mv_zap_frames(struct mv_vm *vm, u64 start, u64 end, bool may_sleep)
{
	LIST_HEAD(tables);

	while (start < end) {
		u64 stop = min_t(u64, end, (start | (ZAP_BATCH - 1)) + 1);

		raw_spin_lock_irq(&vm->mmu_lock);
		if (mv_ops->zap(vm, start, stop, &tables))
			atomic64_inc(&vm->tlb_gen);
		raw_spin_unlock_irq(&vm->mmu_lock);
		if (may_sleep)
			cond_resched();
		start = stop;
	}
	if (!list_empty(&tables)) {
		mv_flush_guest_tlbs(vm);
		free_tables(&tables);
	}
}

/* Zaps the part of @slot that lies in the HVA range [@start, @end). */
static void zap_slot_hva(struct mv_vm *vm, const struct mv_slot *slot,
			 unsigned long start, unsigned long end, bool may_sleep)
{
	start = max(start, slot->hva);
	end = min(end, slot->hva + (slot->npages << PAGE_SHIFT));
	if (start >= end)
		return;
	mv_zap_frames(vm, slot->gfn + ((start - slot->hva) >> PAGE_SHIFT),
		      slot->gfn + ((end - 1 - slot->hva) >> PAGE_SHIFT) + 1,
		      may_sleep);
}

/* Dead slots too: what they mapped may still be there. */
static void zap_hva_range(struct mv_vm *vm, unsigned long start,
			  unsigned long end, bool may_sleep)
{
	int idx = srcu_read_lock(&vm->srcu);
	const struct mv_slots *slots = mv_slots(vm);
	u32 i;

	for (i = 0; i < slots->nr; i++)
		zap_slot_hva(vm, &slots->slot[i], start, end, may_sleep);
	srcu_read_unlock(&vm->srcu, idx);
	mv_flush_guest_tlbs(vm);
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
	if (!vm->inv_active++) {
		vm->inv_start = start;
		vm->inv_end = end;
	} else {
		vm->inv_start = min(vm->inv_start, start);
		vm->inv_end = max(vm->inv_end, end);
	}
	raw_spin_unlock_irq(&vm->mmu_lock);
}

static int invalidate_start(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	begin_invalidation(notifier_vm(mn), range->start, range->end);
	zap_hva_range(notifier_vm(mn), range->start, range->end,
		      mmu_notifier_range_blockable(range));
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn,
			   const struct mmu_notifier_range *range)
{
	struct mv_vm *vm = notifier_vm(mn);

	raw_spin_lock_irq(&vm->mmu_lock);
	WRITE_ONCE(vm->inv_seq, vm->inv_seq + 1);
	vm->inv_active--;
	raw_spin_unlock_irq(&vm->mmu_lock);
}

/* The address space is gone; no invalidation comes after this one. */
static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	zap_hva_range(notifier_vm(mn), 0, ULONG_MAX, true);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
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
	raw_spin_lock_init(&vm->mmu_lock);
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
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: slots, faults, and giving pages back.
 *
 * A slot says where in the client's address space a range of guest-physical
 * memory lies. Nothing is mapped in advance: the guest faults, the host's
 * memory management provides the page, the back end maps it, the guest tries
 * again. No page is pinned. The MMU notifier tells us before the host takes
 * one away.
 *
 * A fault and an invalidation can cross. The fault notes vm->inv_seq, gets the
 * page without any lock, and maps it under mmu_lock only if no invalidation is
 * under way and none has ended since; else it starts over.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include "core.h"

/* Frames zapped under one hold of mmu_lock: interrupts may be waiting for it */
#define ZAP_BATCH	4096
/* A four-level second-level table reaches 48 bits; KVM's limit for a slot */
#define MAX_GPA_BITS	48
#define MAX_SLOT_PAGES	((1UL << 31) - 1)

static const struct mv_slot *find_slot(const struct mv_slots *slots, u64 gfn)
{
	u32 lo = 0, hi = slots->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct mv_slot *slot = &slots->slot[mid];

		if (gfn < slot->gfn)
			hi = mid;
		else if (gfn >= slot->gfn + slot->npages)
			lo = mid + 1;
		else
			return slot;
	}
	return NULL;
}

static const struct mv_slots *get_slots(struct mv_vm *vm)
{
	return srcu_dereference(vm->slots, &vm->srcu);
}

/* The HVA of a guest frame, or 0 if there is none for this access. */
static unsigned long gfn_to_hva(struct mv_vm *vm, u64 gfn, bool write)
{
	const struct mv_slot *slot = find_slot(get_slots(vm), gfn);

	if (!slot || (write && (slot->flags & MINIVMM_MEM_READONLY)))
		return 0;
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

/**
 * mv_gpa_is_ram() - would an access find memory?
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @write: the access writes; read-only memory counts as none then
 *
 * Context: any.
 */
bool mv_gpa_is_ram(struct mv_vcpu *vcpu, u64 gpa, bool write)
{
	struct mv_vm *vm = vcpu->vm;
	int idx = srcu_read_lock(&vm->srcu);
	bool ram = gfn_to_hva(vm, gpa >> PAGE_SHIFT, write);

	srcu_read_unlock(&vm->srcu, idx);
	return ram;
}

/**
 * mv_gpa_to_hva() - where the client has a guest-physical address
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @write: as in mv_gpa_is_ram()
 *
 * The slot may go away at once; the address is good for user-space accessors,
 * which fail then, and for nothing else.
 *
 * Return: the address, or -ENXIO (test with IS_ERR_VALUE()).
 */
unsigned long mv_gpa_to_hva(struct mv_vcpu *vcpu, u64 gpa, bool write)
{
	struct mv_vm *vm = vcpu->vm;
	int idx = srcu_read_lock(&vm->srcu);
	unsigned long hva = gfn_to_hva(vm, gpa >> PAGE_SHIFT, write);

	srcu_read_unlock(&vm->srcu, idx);
	return hva ? hva + offset_in_page(gpa) : -ENXIO;
}

static int copy_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data,
		    unsigned int len, bool write)
{
	unsigned long hva = mv_gpa_to_hva(vcpu, gpa, write), left;

	if (IS_ERR_VALUE(hva))
		return -ENXIO;
	if (write)
		left = copy_to_user((void __user *)hva, data, len);
	else
		left = copy_from_user(data, (void __user *)hva, len);
	return left ? -EFAULT : 0;
}

static int access_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data,
		      unsigned int len, bool write)
{
	int ret = 0;

	while (len && !ret) {
		unsigned int part = min_t(unsigned int, len,
					  PAGE_SIZE - offset_in_page(gpa));

		ret = copy_gpa(vcpu, gpa, data, part, write);
		gpa += part;
		data += part;
		len -= part;
	}
	return ret;
}

int mv_read_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	return access_gpa(vcpu, gpa, data, len, false);
}

int mv_write_gpa(struct mv_vcpu *vcpu, u64 gpa, const void *data,
		 unsigned int len)
{
	return access_gpa(vcpu, gpa, (void *)data, len, true);
}

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

static void put_host_page(struct page *page, bool dirty)
{
	struct folio *folio = page_folio(page);

	if (dirty)
		folio_set_dirty(folio);
	folio_mark_accessed(folio);
	folio_put(folio);
}

/**
 * mv_put_held_pages() - drop the references taken inside the run section
 * @held: may be empty
 *
 * Context: process context.
 */
void mv_put_held_pages(struct mv_held_pages *held)
{
	while (held->nr) {
		unsigned long entry = held->page[--held->nr];

		put_host_page((struct page *)(entry & ~1UL), entry & 1);
	}
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

/* Maps the page unless an invalidation crossed us; then the guest retries. */
static void map_page(struct mv_vcpu *vcpu, u64 gfn, struct page *page,
		     bool writable, unsigned long seq)
{
	struct mv_vm *vm = vcpu->vm;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->mmu_lock, flags);
	if (!vm->inv_active && vm->inv_seq == seq)
		mv_ops->map(vm, gfn, page_to_pfn(page),
			    writable ? MV_MAP_WRITE : 0, &vcpu->page_cache);
	raw_spin_unlock_irqrestore(&vm->mmu_lock, flags);
}

/* A page that is in place already; with *writable, one that can be written */
static struct page *get_page_in_place(unsigned long hva, bool write,
				      bool *writable)
{
	struct page *page;

	if (*writable &&
	    get_user_pages_fast_only(hva, 1, FOLL_WRITE, &page) == 1)
		return page;
	*writable = false;
	if (!write && get_user_pages_fast_only(hva, 1, 0, &page) == 1)
		return page;
	return NULL;
}

static bool held_full(const struct mv_vcpu *vcpu)
{
	return vcpu->held.nr == MV_HELD_PAGES ||
	       vcpu->page_cache.nr < MV_PAGE_CACHE;
}

static enum mv_fault_result fault_in_atomic(struct mv_vcpu *vcpu, u64 gfn,
					    bool write)
{
	struct mv_vm *vm = vcpu->vm;
	const struct mv_slot *slot = find_slot(get_slots(vm), gfn);
	unsigned long seq;
	struct page *page;
	bool writable;

	if (!slot || (write && (slot->flags & MINIVMM_MEM_READONLY)))
		return MV_FAULT_DEVICE;
	if (held_full(vcpu))
		return MV_FAULT_SLEEP;
	writable = !(slot->flags & MINIVMM_MEM_READONLY);

	seq = READ_ONCE(vm->inv_seq);
	smp_rmb();	/* the sequence before the page: see map_page() */
	page = get_page_in_place(slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT),
				 write, &writable);
	if (!page)
		return MV_FAULT_SLEEP;
	map_page(vcpu, gfn, page, writable, seq);
	vcpu->held.page[vcpu->held.nr++] = (unsigned long)page | writable;
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

/*
 * A page that is in place and writable is mapped so even for a read, which
 * saves the fault of the first write. Only a write makes the host give up a
 * shared page for a private one.
 */
static struct page *get_host_page(unsigned long hva, bool write, bool *writable)
{
	bool may_write = *writable;
	struct page *page = get_page_in_place(hva, write, writable);
	int n;

	if (page)
		return page;
	n = get_user_pages_fast(hva, 1, write ? FOLL_WRITE : 0, &page);
	if (n != 1)
		return ERR_PTR(n ?: -EFAULT);
	*writable = may_write && write;
	return page;
}

/* The caller holds vm->srcu. */
static int fault_in(struct mv_vcpu *vcpu, u64 gfn, bool write)
{
	struct mv_vm *vm = vcpu->vm;
	const struct mv_slot *slot = find_slot(get_slots(vm), gfn);
	unsigned long seq;
	struct page *page;
	bool writable;

	/* The slot went away just now: the guest shall meet what is there. */
	if (!slot || (write && (slot->flags & MINIVMM_MEM_READONLY)))
		return 1;
	writable = !(slot->flags & MINIVMM_MEM_READONLY);

	seq = READ_ONCE(vm->inv_seq);
	smp_rmb();	/* the sequence before the page: see map_page() */
	page = get_host_page(slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT),
			     write, &writable);
	if (IS_ERR(page))
		return PTR_ERR(page);
	map_page(vcpu, gfn, page, writable, seq);
	put_host_page(page, writable);
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
	return ret;
}

/* ---- taking pages back ---------------------------------------------------- */

static void left_guest(void *unused)
{
}

/**
 * mv_flush_guest_tlbs() - no CPU uses an old translation of @vm any more
 * @vm: translations were taken away before the call
 *
 * Run sections have interrupts off, so when the IPI has been answered the CPU
 * is out of its section, and the next one sees the new generation.
 *
 * Context: interrupts on; does not sleep.
 */
void mv_flush_guest_tlbs(struct mv_vm *vm)
{
	atomic64_inc(&vm->tlb_gen);
	smp_mb__after_atomic();	/* pairs with enter_guest() */
	preempt_disable();
	smp_call_function_many(&vm->running, left_guest, NULL, true);
	preempt_enable();
}

/* New mappings of these frames must be impossible meanwhile. */
static bool zap_range(struct mv_vm *vm, u64 start, u64 end, bool may_sleep)
{
	bool zapped = false;

	while (start < end) {
		u64 stop = min_t(u64, end, start + ZAP_BATCH);

		raw_spin_lock_irq(&vm->mmu_lock);
		zapped |= mv_ops->zap(vm, start, stop);
		raw_spin_unlock_irq(&vm->mmu_lock);
		if (may_sleep)
			cond_resched();
		start = stop;
	}
	return zapped;
}

static struct mv_vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct mv_vm, notifier);
}

/* Zaps the part of @slot that lies in the HVA range [@start, @end). */
static bool zap_slot_hva(struct mv_vm *vm, const struct mv_slot *slot,
			 unsigned long start, unsigned long end, bool may_sleep)
{
	unsigned long slot_end = slot->hva + (slot->npages << PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	return zap_range(vm, slot->gfn + ((start - slot->hva) >> PAGE_SHIFT),
			 slot->gfn + ((end - 1 - slot->hva) >> PAGE_SHIFT) + 1,
			 may_sleep);
}

static void zap_hva_range(struct mv_vm *vm, unsigned long start,
			  unsigned long end, bool may_sleep)
{
	int idx = srcu_read_lock(&vm->srcu);
	const struct mv_slots *slots = get_slots(vm);
	bool zapped = false;
	u32 i;

	for (i = 0; i < slots->nr; i++)
		zapped |= zap_slot_hva(vm, &slots->slot[i], start, end,
				       may_sleep);
	srcu_read_unlock(&vm->srcu, idx);
	if (zapped)
		mv_flush_guest_tlbs(vm);
}

static int invalidate_start(struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	struct mv_vm *vm = notifier_vm(mn);

	raw_spin_lock_irq(&vm->mmu_lock);
	vm->inv_active++;
	raw_spin_unlock_irq(&vm->mmu_lock);
	zap_hva_range(vm, range->start, range->end,
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

/* ---- slots ---------------------------------------------------------------- */

static struct mv_slots *alloc_slots(u32 nr)
{
	return kvzalloc(struct_size((struct mv_slots *)NULL, slot, nr),
			GFP_KERNEL_ACCOUNT);
}

/*
 * Publishes a new table and waits until nobody uses the old one. A fault that
 * is still under way has then mapped its page, and can be zapped.
 */
static void publish(struct mv_vm *vm, struct mv_slots *slots)
{
	struct mv_slots *old = rcu_replace_pointer(vm->slots, slots,
					lockdep_is_held(&vm->slots_lock));

	synchronize_srcu(&vm->srcu);
	kvfree(old);
}

/* A copy of the table without slot @id, and with @add unless it is NULL. */
static struct mv_slots *copy_slots(const struct mv_slots *old, u32 id,
				   const struct mv_slot *add)
{
	struct mv_slots *new = alloc_slots(old->nr + 1);
	u32 i;

	if (!new)
		return NULL;
	for (i = 0; i < old->nr; i++) {
		const struct mv_slot *slot = &old->slot[i];

		if (slot->id == id)
			continue;
		if (add && add->gfn < slot->gfn) {
			new->slot[new->nr++] = *add;
			add = NULL;
		}
		new->slot[new->nr++] = *slot;
	}
	if (add)
		new->slot[new->nr++] = *add;
	return new;
}

static const struct mv_slot *slot_by_id(const struct mv_slots *slots, u32 id)
{
	u32 i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	return NULL;
}

static bool overlaps(const struct mv_slots *slots, const struct mv_slot *new)
{
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		const struct mv_slot *slot = &slots->slot[i];

		if (slot->id != new->id &&
		    slot->gfn < new->gfn + new->npages &&
		    new->gfn < slot->gfn + slot->npages)
			return true;
	}
	return false;
}

static u64 max_gfn(void)
{
	return 1ULL << (min_t(u8, boot_cpu_data.x86_phys_bits, MAX_GPA_BITS) -
			PAGE_SHIFT);
}

static bool valid_region(const struct minivmm_userspace_memory_region *mem)
{
	if (mem->flags & ~MINIVMM_MEM_READONLY || mem->slot >= MV_MAX_SLOTS)
		return false;
	if (!PAGE_ALIGNED(mem->memory_size) ||
	    !PAGE_ALIGNED(mem->guest_phys_addr) ||
	    !PAGE_ALIGNED(mem->userspace_addr))
		return false;
	if (mem->memory_size >> PAGE_SHIFT > MAX_SLOT_PAGES)
		return false;
	if (mem->guest_phys_addr + mem->memory_size < mem->guest_phys_addr ||
	    (mem->guest_phys_addr + mem->memory_size) >> PAGE_SHIFT > max_gfn())
		return false;
	return access_ok((void __user *)(unsigned long)mem->userspace_addr,
			 mem->memory_size);
}

/* Removes slot @id and everything mapped through it. */
static int remove_slot(struct mv_vm *vm, const struct mv_slots *slots, u32 id)
{
	struct mv_slot old = *slot_by_id(slots, id);
	struct mv_slots *new = copy_slots(slots, id, NULL);

	if (!new)
		return -ENOMEM;
	publish(vm, new);
	if (zap_range(vm, old.gfn, old.gfn + old.npages, true))
		mv_flush_guest_tlbs(vm);
	return 0;
}

static int add_slot(struct mv_vm *vm, const struct mv_slots *slots,
		    const struct mv_slot *slot)
{
	struct mv_slots *new = copy_slots(slots, slot->id, slot);

	if (!new)
		return -ENOMEM;
	publish(vm, new);
	return 0;
}

/* The slot exists: it can move, and nothing else about it can change. */
static int change_slot(struct mv_vm *vm, const struct mv_slots *slots,
		       const struct mv_slot *old, const struct mv_slot *new)
{
	struct mv_slots *moved;

	if (old->hva != new->hva || old->npages != new->npages ||
	    old->flags != new->flags)
		return -EINVAL;
	if (old->gfn == new->gfn)
		return 0;
	if (overlaps(slots, new))
		return -EEXIST;
	/* The table of the end goes first, while failing is still harmless. */
	moved = copy_slots(slots, new->id, new);
	if (!moved)
		return -ENOMEM;
	if (remove_slot(vm, slots, old->id)) {
		kvfree(moved);
		return -ENOMEM;
	}
	publish(vm, moved);
	return 0;
}

static int set_region_locked(struct mv_vm *vm,
			     const struct minivmm_userspace_memory_region *mem)
{
	const struct mv_slots *slots = rcu_dereference_protected(vm->slots,
					lockdep_is_held(&vm->slots_lock));
	const struct mv_slot *old = slot_by_id(slots, mem->slot);
	struct mv_slot new = {
		.gfn = mem->guest_phys_addr >> PAGE_SHIFT,
		.npages = mem->memory_size >> PAGE_SHIFT,
		.hva = mem->userspace_addr,
		.id = mem->slot,
		.flags = mem->flags,
	};

	if (!new.npages)
		return old ? remove_slot(vm, slots, new.id) : -EINVAL;
	if (old)
		return change_slot(vm, slots, old, &new);
	if (overlaps(slots, &new))
		return -EEXIST;
	return add_slot(vm, slots, &new);
}

/**
 * mv_set_memory_region() - MINIVMM_SET_USER_MEMORY_REGION
 * @vm: the VM; vCPUs may be running
 * @mem: checked here
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for what cannot be; -EEXIST for an overlap; -ENOMEM.
 */
int mv_set_memory_region(struct mv_vm *vm,
			 const struct minivmm_userspace_memory_region *mem)
{
	int ret;

	if (!valid_region(mem))
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	ret = set_region_locked(vm, mem);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

/**
 * mv_memory_init() - no slots yet, the notifier listening
 * @vm: created by its own process
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int mv_memory_init(struct mv_vm *vm)
{
	struct mv_slots *slots = alloc_slots(0);
	int ret;

	if (!slots)
		return -ENOMEM;
	mutex_init(&vm->slots_lock);
	raw_spin_lock_init(&vm->mmu_lock);
	/* A vCPU that has not flushed yet remembers generation 0. */
	atomic64_set(&vm->tlb_gen, 1);
	ret = init_srcu_struct(&vm->srcu);
	if (ret)
		goto free_slots;
	RCU_INIT_POINTER(vm->slots, slots);
	vm->notifier.ops = &notifier_ops;
	ret = mmu_notifier_register(&vm->notifier, vm->mm);
	if (ret)
		goto cleanup_srcu;
	return 0;

cleanup_srcu:
	cleanup_srcu_struct(&vm->srcu);
free_slots:
	kvfree(slots);
	return ret;
}

/**
 * mv_memory_destroy() - the VM's last reference is gone
 * @vm: no vCPU can run
 *
 * Context: may sleep.
 */
void mv_memory_destroy(struct mv_vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	kvfree(rcu_dereference_protected(vm->slots, true));
	cleanup_srcu_struct(&vm->srcu);
}

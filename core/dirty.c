// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log: which pages of a slot have been written since it was last
 * asked.
 *
 * A page whose bit is 0 shows its next write: the guest's by a fault, or in the
 * CPU's own log (mv_caps.logs_writes), ours by mv_mark_dirty(). A harvest takes
 * the bits first and protects the pages after that, so a write in between is in
 * the pages that the client is about to copy.
 */
#include <linux/bitmap.h>
#include <linux/find.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core.h"
#include "slots.h"

static unsigned long *harvest(struct mv_dirty *dirty)
{
	return &dirty->bits[dirty->nlongs];
}

static bool initially_set(const struct mv_vm *vm)
{
	return vm->dirty_options & MINIVMM_DIRTY_LOG_INITIALLY_SET;
}

/**
 * mv_dirty_alloc() - a log, as it is at the start
 * @vm: whose options say whether all pages count as written
 * @npages: of the slot
 *
 * Context: may sleep, slots->lock held. Return: the log, or NULL.
 */
struct mv_dirty *mv_dirty_alloc(struct mv_vm *vm, u64 npages)
{
	unsigned long nlongs = BITS_TO_LONGS(npages);
	struct mv_dirty *dirty;

	dirty = kvzalloc(struct_size(dirty, bits, 2 * nlongs),
			 GFP_KERNEL_ACCOUNT);
	if (!dirty)
		return NULL;
	dirty->nlongs = nlongs;
	if (initially_set(vm))
		bitmap_set(dirty->bits, 0, npages);
	return dirty;
}

static void set_log(struct mv_vm *vm, struct mv_slot *slot,
		    struct mv_dirty *dirty)
{
	mv_lock_frames(vm);
	slot->dirty = dirty;
	WRITE_ONCE(vm->nr_logging, vm->nr_logging + (dirty ? 1 : -1));
	mv_unlock_frames(vm);
}

/**
 * mv_dirty_start() - log the writes to a slot
 * @vm: the VM
 * @slot: not logged
 * @dirty: its new log
 *
 * Pages that count as written need no protection yet.
 *
 * Context: may sleep, slots->lock held.
 */
void mv_dirty_start(struct mv_vm *vm, struct mv_slot *slot,
		    struct mv_dirty *dirty)
{
	set_log(vm, slot, dirty);
	if (initially_set(vm))
		return;
	mv_change_frames(vm, slot->gfn, slot->gfn + slot->npages, MV_PROTECT);
	mv_flush_guest_tlbs(vm);
}

/**
 * mv_dirty_stop() - log them no longer
 * @vm: the VM
 * @slot: logged
 *
 * All that was mapped in small pages goes, and comes back in large ones.
 *
 * Context: may sleep, slots->lock held.
 */
void mv_dirty_stop(struct mv_vm *vm, struct mv_slot *slot)
{
	struct mv_dirty *dirty = slot->dirty;

	set_log(vm, slot, NULL);
	mv_change_frames(vm, slot->gfn, slot->gfn + slot->npages, MV_UNMAP);
	mv_flush_guest_tlbs(vm);
	kvfree_rcu(dirty, rcu);
}

/**
 * mv_mark_dirty() - guest memory has just been written
 * @vcpu: on whose behalf
 * @gpa: where, one page
 *
 * Call it after the write, so that whoever finds the bit finds the data.
 *
 * Context: any, also inside the run section.
 */
void mv_mark_dirty(struct mv_vcpu *vcpu, u64 gpa)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	const struct mv_slot *slot;
	struct mv_dirty *dirty;

	if (!READ_ONCE(vcpu->vm->nr_logging))
		return;
	rcu_read_lock();
	slot = mv_find_slot(vcpu, gfn);
	dirty = slot ? READ_ONCE(slot->dirty) : NULL;
	if (dirty)
		set_bit(gfn - slot->gfn, dirty->bits);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(mv_mark_dirty);

/**
 * mv_mark_logged() - the CPU's own log says that guest memory has been written
 * @vcpu: whose log
 * @gpa: where, an element for each page
 * @nr: how many
 *
 * One look for the slot does for as long as they are in the same.
 *
 * Context: run section, which is a reader of RCU.
 */
void mv_mark_logged(struct mv_vcpu *vcpu, const u64 *gpa, unsigned int nr)
{
	struct mv_dirty *dirty = NULL;
	u64 first = 0, npages = 0;

	for (; nr--; gpa++) {
		u64 gfn = *gpa >> PAGE_SHIFT;

		if (unlikely(gfn - first >= npages)) {
			const struct mv_slot *slot = mv_find_slot(vcpu, gfn);

			if (!slot)
				continue;
			first = slot->gfn;
			npages = slot->npages;
			dirty = READ_ONCE(slot->dirty);
		}
		if (dirty)
			set_bit(gfn - first, dirty->bits);
	}
}
EXPORT_SYMBOL_GPL(mv_mark_logged);

/**
 * mv_set_dirty_options() - MINIVMM_CAP_MANUAL_DIRTY_LOG_PROTECT2
 * @vm: the VM
 * @options: MV_DIRTY_OPTIONS; the second needs the first
 *
 * Context: may sleep. Return: 0 or -EINVAL.
 */
int mv_set_dirty_options(struct mv_vm *vm, u64 options)
{
	if (options & ~(u64)MV_DIRTY_OPTIONS ||
	    options == MINIVMM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	mutex_lock(&vm->slots->lock);
	vm->dirty_options = options;
	mutex_unlock(&vm->slots->lock);
	return 0;
}

/* ---- the client's side ---------------------------------------------------- */

static struct mv_slot *logged_slot(struct mv_vm *vm, u32 id)
{
	struct mv_slot *slot;

	if (id >= MV_MAX_SLOTS)
		return ERR_PTR(-EINVAL);
	slot = xa_load(&vm->slots->by_id, id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

/* The CPUs' own logs come into ours when they leave the guest. */
static void empty_cpu_logs(struct mv_vm *vm)
{
	if (mv_ops->caps.logs_writes)
		mv_leave_guest(vm);
}

#define REGION_WORDS	(MV_LEVEL_PAGES(1) / BITS_PER_LONG)

/* Words of the log from word @i on whose pages are in one region, mostly */
static unsigned long words_of_region(const struct mv_slot *slot,
				     unsigned long i, unsigned long left)
{
	return min_t(unsigned long, left, REGION_WORDS -
		     (slot->gfn / BITS_PER_LONG + i) % REGION_WORDS);
}

/* As most regions of a large guest are: so this is what a harvest costs there. */
static bool region_is_clean(const unsigned long *word)
{
	BUILD_BUG_ON(REGION_WORDS != 8);
	return !(word[0] | word[1] | word[2] | word[3] |
		 word[4] | word[5] | word[6] | word[7]);
}

/* Pages of a part of the log that were harvested show their writes again. */
static void protect_taken(struct mv_vm *vm, const struct mv_slot *slot,
			  unsigned long i, unsigned long n)
{
	u64 page = i * BITS_PER_LONG;

	mv_protect_frames(vm, slot->gfn + page,
			  slot->gfn + min(slot->npages,
					  page + n * BITS_PER_LONG),
			  &harvest(slot->dirty)[i]);
}

/* False: there were none. */
static bool take_words(struct mv_dirty *dirty, unsigned long i,
		       unsigned long end, bool chosen)
{
	unsigned long *taken = harvest(dirty), any = 0, bits;

	for (; i < end; i++) {
		bits = READ_ONCE(dirty->bits[i]);
		if (chosen)
			bits &= taken[i];
		if (bits)
			bits &= atomic_long_fetch_andnot(bits,
				(atomic_long_t *)&dirty->bits[i]);
		taken[i] = bits;
		any |= bits;
	}
	return any;
}

/*
 * Words [@i, @end) of the log move into the harvest: all of their bits, or those
 * @chosen there.
 */
static void take_log(struct mv_vm *vm, struct mv_slot *slot, unsigned long i,
		     unsigned long end, bool chosen)
{
	struct mv_dirty *dirty = slot->dirty;
	const unsigned long *from = chosen ? harvest(dirty) : dirty->bits;
	unsigned long n;

	if (!chosen)
		memset(&harvest(dirty)[i], 0, (end - i) * sizeof(long));
	for (; i < end; i += n) {
		n = words_of_region(slot, i, end - i);
		if (n == REGION_WORDS && region_is_clean(&from[i]))
			continue;
		if (take_words(dirty, i, i + n, chosen))
			protect_taken(vm, slot, i, n);
	}
	mv_flush_guest_tlbs(vm);
}

/* The client did not get it. */
static void give_log_back(struct mv_dirty *dirty)
{
	unsigned long i;

	for (i = 0; i < dirty->nlongs; i++)
		atomic_long_or(harvest(dirty)[i],
			       (atomic_long_t *)&dirty->bits[i]);
}

static int get_log(struct mv_vm *vm, const struct minivmm_dirty_log *log)
{
	struct mv_slot *slot = logged_slot(vm, log->slot);
	struct mv_dirty *dirty;
	unsigned long *from;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	empty_cpu_logs(vm);
	dirty = slot->dirty;
	from = dirty->bits;
	if (!vm->dirty_options) {
		take_log(vm, slot, 0, dirty->nlongs, false);
		from = harvest(dirty);
	}
	if (!copy_to_user(log->dirty_bitmap, from,
			  dirty->nlongs * sizeof(*from)))
		return 0;
	if (!vm->dirty_options)
		give_log_back(dirty);
	return -EFAULT;
}

/**
 * mv_get_dirty_log() - MINIVMM_GET_DIRTY_LOG
 * @vm: the VM
 * @log: which slot, and where its bitmap goes
 *
 * Clears the log, unless the client does that itself.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -ENOENT if that slot is not logged, -EFAULT.
 */
int mv_get_dirty_log(struct mv_vm *vm, const struct minivmm_dirty_log *log)
{
	int ret;

	mutex_lock(&vm->slots->lock);
	ret = get_log(vm, log);
	mutex_unlock(&vm->slots->lock);
	return ret;
}

/* Whole words, or up to the slot's end */
static bool valid_part(const struct mv_slot *slot,
		       const struct minivmm_clear_dirty_log *log)
{
	u64 left;

	if (log->first_page > slot->npages || log->first_page % BITS_PER_LONG)
		return false;
	left = slot->npages - log->first_page;
	return log->num_pages == left ||
	       (log->num_pages < left && log->num_pages % BITS_PER_LONG == 0);
}

static int clear_log(struct mv_vm *vm,
		     const struct minivmm_clear_dirty_log *log)
{
	struct mv_slot *slot = logged_slot(vm, log->slot);
	unsigned long nlongs = BITS_TO_LONGS((u64)log->num_pages);
	unsigned long first = log->first_page / BITS_PER_LONG;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (!valid_part(slot, log))
		return -EINVAL;
	if (copy_from_user(&harvest(slot->dirty)[first], log->dirty_bitmap,
			   nlongs * sizeof(long)))
		return -EFAULT;
	empty_cpu_logs(vm);
	take_log(vm, slot, first, first + nlongs, true);
	return 0;
}

/**
 * mv_clear_dirty_log() - MINIVMM_CLEAR_DIRTY_LOG
 * @vm: the VM
 * @log: which pages of which slot
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -ENOENT if that slot is not logged, -EFAULT.
 */
int mv_clear_dirty_log(struct mv_vm *vm,
		       const struct minivmm_clear_dirty_log *log)
{
	int ret;

	mutex_lock(&vm->slots->lock);
	ret = clear_log(vm, log);
	mutex_unlock(&vm->slots->lock);
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory slots, for slots.c, mmu.c and dirty.c. */
#ifndef MINIVMM_SLOTS_H
#define MINIVMM_SLOTS_H

#include <linux/interval_tree.h>
#include <linux/mm.h>
#include <linux/rbtree_latch.h>
#include <linux/xarray.h>
#include "core.h"

/**
 * struct mv_dirty - which pages of a slot have been written
 * @rcu: freed when nobody can be setting a bit
 * @nlongs: length of @bits
 * @bits: a bit for each page; a second copy follows, for a harvest in progress
 *	(guarded by mv_slots.lock)
 */
struct mv_dirty {
	struct rcu_head rcu;
	unsigned long nlongs;
	unsigned long bits[];
};

/**
 * struct mv_slot - a range of guest-physical memory and where the client has it
 * @gfn: first guest frame
 * @npages: size in 4 KiB pages, never 0
 * @hva: address of the first byte in the client
 * @id: the client's number for it
 * @readonly: a write finds no memory
 * @dead: on its way out: nothing is mapped through it any more. Written under
 *	the lock of all frames, read under that of one's region
 * @dirty: the log, or NULL; likewise, or under RCU
 * @gfn_node: in mv_slots.by_gfn
 * @hva_node: in mv_slots.by_hva
 * @rcu: freed when nobody looks at it
 *
 * Where it lies never changes: a slot that moves is a new one.
 */
struct mv_slot {
	u64 gfn;
	u64 npages;
	unsigned long hva;
	u32 id;
	bool readonly;
	bool dead;
	struct mv_dirty *dirty;
	struct latch_tree_node gfn_node;
	struct interval_tree_node hva_node;
	struct rcu_head rcu;
};

/**
 * struct mv_slots - all slots of a VM
 * @lock: serializes changes and harvests of the log; sleeps
 * @by_id: guarded by @lock
 * @by_gfn: read under RCU, changed under @lock
 * @by_hva: guarded by vm->mmu_lock; has dying slots too, as long as anything is
 *	mapped through them
 * @hva_gen: raised when @by_hva changes, under vm->mmu_lock
 * @gen: raised when a slot has left @by_gfn, before it is freed
 */
struct mv_slots {
	struct mutex lock;	/* changes, harvests */
	struct xarray by_id;
	struct latch_tree_root by_gfn;
	struct rb_root_cached by_hva;
	unsigned long hva_gen;
	unsigned long gen;
};

static inline unsigned long mv_slot_hva(const struct mv_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

const struct mv_slot *mv_find_slot(struct mv_vcpu *vcpu, u64 gfn);

/* dirty.c: the caller has mv_slots.lock */
struct mv_dirty *mv_dirty_alloc(struct mv_vm *vm, u64 npages);
void mv_dirty_start(struct mv_vm *vm, struct mv_slot *slot,
		    struct mv_dirty *dirty);
void mv_dirty_stop(struct mv_vm *vm, struct mv_slot *slot);

#endif

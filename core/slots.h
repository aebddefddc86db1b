/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of memory slots, for slots.c and mmu.c. */
#ifndef MINIVMM_SLOTS_H
#define MINIVMM_SLOTS_H

#include <linux/mm.h>
#include "core.h"

/**
 * struct mv_slot - a range of guest-physical memory and where the client has it
 * @gfn: first guest frame
 * @npages: size in 4 KiB pages, never 0
 * @hva: address of the first byte in the client
 * @id: the client's number for it
 * @flags: MINIVMM_MEM_*, MV_SLOT_DEAD
 */
struct mv_slot {
	u64 gfn;
	u64 npages;
	unsigned long hva;
	u32 id;
	u32 flags;
};

/* On its way out: no access finds it, invalidations still do */
#define MV_SLOT_DEAD	BIT(31)

/* Sorted by @gfn, never changed once published. */
struct mv_slots {
	u32 nr;
	struct mv_slot slot[];
};

/* The table; the caller holds vm->srcu. */
static inline const struct mv_slots *mv_slots(struct mv_vm *vm)
{
	return srcu_dereference(vm->slots, &vm->srcu);
}

static inline unsigned long mv_slot_hva(const struct mv_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

const struct mv_slot *mv_find_slot(struct mv_vm *vm, u64 gfn, bool write);

#endif

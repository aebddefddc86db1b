/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's pages behind guest frames, for mmu.c and host_pages.c. */
#ifndef MINIVMM_HOST_PAGES_H
#define MINIVMM_HOST_PAGES_H

#include "core.h"

struct mv_slot;

/* One fault maps what is in place of an aligned block of so many pages. */
#define MV_BLOCK	8

/**
 * struct mv_host_pages - what the host has behind the frame of a fault
 * @slot: its slot; looked at only under RCU
 * @gfn: the frame
 * @hva: where the client has it
 * @wrote: the guest wants to write it
 * @seq: vm->inv_seq before the pages were looked up
 * @level: how large the page is that the host has around it
 * @first: the pages that were found, of the block around @gfn: from this one …
 * @last: … to this one, @gfn's among them
 * @pfn: host frames of the block's pages
 * @writable: the guest may write them
 * @clean: the host does not know yet that they have been, or may be, written
 * @uncached: they are a device of the host
 */
struct mv_host_pages {
	const struct mv_slot *slot;
	u64 gfn;
	unsigned long hva;
	bool wrote;
	unsigned long seq;
	int level;
	unsigned int first, last;
	u64 pfn[MV_BLOCK];
	bool writable;
	bool clean;
	bool uncached;
};

static inline unsigned int mv_place_in_block(u64 gfn)
{
	return gfn & (MV_BLOCK - 1);
}

bool mv_pages_in_place(struct mm_struct *mm, struct mv_host_pages *pages,
		       unsigned int min, unsigned int max);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The pages that instructions were fetched from last, and the ways there. */
#ifndef MINIVMM_FETCH_H
#define MINIVMM_FETCH_H

#include "core.h"

#define MV_CODE_PAGES	4

/**
 * struct mv_code_page - a page that an instruction was fetched from
 * @gva: its linear address; bits 11:0 are MV_ACCESS_* of the fetch
 * @cr0: what the registers were that say how to get there
 * @cr3: likewise
 * @cr4: likewise
 * @efer: likewise
 * @slots_gen: and vm->slots->gen
 * @hva: where the client has the page; 0: none is remembered
 * @path: the entries of the guest's page tables that lead there
 */
struct mv_code_page {
	u64 gva;
	u64 cr0, cr3, cr4, efer;
	unsigned long slots_gen;
	unsigned long hva;
	struct mv_path path;
};

/* By number of the page */
struct mv_code_cache {
	struct mv_code_page page[MV_CODE_PAGES];
};

int mv_fetch_again(struct mv_vcpu *vcpu, struct mv_code_cache *cache,
		   u64 bytes[2], struct mv_fault *fault);

#endif

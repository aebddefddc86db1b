/* SPDX-License-Identifier: GPL-2.0 */
/* Which pages of a running guest have changed since they were last looked at. */
#ifndef MINIVMM_DIRTY_H
#define MINIVMM_DIRTY_H

#include "ram.h"
#include "vm.h"

/* Pages that are looked at together: what the kernel can clear the log of */
#define DIRTY_CHUNK		4096

struct dirty_log {
	const struct vm *vm;
	const struct ram *ram;
	bool logging;		/* or the guest must not run: nobody logs */
	bool manual;		/* the kernel clears its log when told to, not when read */
	u64 *pages[RAM_MAX_REGIONS];	/* a bit each: yet to be sent */
	u64 *news;
};

void dirty_init(struct dirty_log *log, const struct vm *vm, const struct ram *ram);
bool dirty_start(struct dirty_log *log);
bool dirty_update(struct dirty_log *log);
bool dirty_clear(struct dirty_log *log, unsigned int region, u64 first, u64 count);
u64 dirty_count(const struct dirty_log *log);
void dirty_finish(struct dirty_log *log);

static inline bool dirty_test(const struct dirty_log *log, unsigned int region, u64 page)
{
	return log->pages[region][page / 64] >> page % 64 & 1;
}

#endif /* MINIVMM_DIRTY_H */

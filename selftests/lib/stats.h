/* SPDX-License-Identifier: GPL-2.0 */
/* GET_STATS_FD: counters by name. */
#ifndef SELFTESTS_STATS_H
#define SELFTESTS_STATS_H

#include "vm.h"

struct stats {
	int fd;
	struct minivmm_stats_header header;
	char id[128];
};

/** stats_open - of a VM, or of a vCPU: its file descriptor */
void stats_open(struct stats *stats, int of_fd);

/** stats_desc - the description of counter @i, to be freed */
struct minivmm_stats_desc *stats_desc(const struct stats *stats, u32 i);

/** stats_get - the first value of a counter; the test fails if there is none */
u64 stats_get(const struct stats *stats, const char *name);

#endif /* SELFTESTS_STATS_H */

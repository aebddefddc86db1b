// SPDX-License-Identifier: GPL-2.0
/* Reading a statistics fd: see stats.h. */
#include <stdlib.h>
#include <unistd.h>

#include "stats.h"

void stats_open(struct stats *stats, int of_fd)
{
	stats->fd = ASSERT_OK(ioctl(of_fd, MINIVMM_GET_STATS_FD, 0));
	ASSERT_EQ(read(stats->fd, &stats->header, sizeof(stats->header)),
		  sizeof(stats->header));
	ASSERT(stats->header.name_size <= sizeof(stats->id));
	ASSERT_EQ(pread(stats->fd, stats->id, stats->header.name_size,
			stats->header.id_offset), stats->header.name_size);
}

struct minivmm_stats_desc *stats_desc(const struct stats *stats, u32 i)
{
	size_t size = sizeof(struct minivmm_stats_desc) +
		      stats->header.name_size;
	struct minivmm_stats_desc *desc = malloc(size);

	ASSERT_EQ(pread(stats->fd, desc, size,
			stats->header.desc_offset + i * size), size);
	return desc;
}

u64 stats_get(const struct stats *stats, const char *name)
{
	u64 value;
	u32 i;

	for (i = 0; i < stats->header.num_desc; i++) {
		struct minivmm_stats_desc *desc = stats_desc(stats, i);

		if (strcmp(desc->name, name)) {
			free(desc);
			continue;
		}
		ASSERT_EQ(pread(stats->fd, &value, sizeof(value),
				stats->header.data_offset + desc->offset),
			  sizeof(value));
		free(desc);
		return value;
	}
	FAIL("no counter %s", name);
}

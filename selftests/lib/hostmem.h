/* SPDX-License-Identifier: GPL-2.0 */
/* The host's memory, to be a guest's, and what the host says about it. */
#ifndef SELFTESTS_HOSTMEM_H
#define SELFTESTS_HOSTMEM_H

#include "vm.h"

/* Where tests about memory have it: slot 1 */
#define REGION_GPA	0x10000000UL
#define HUGE_SIZE	0x200000UL
#define GIB		(1UL << 30)

/** map_memory - mmap() or fail; readable and writable */
void *map_memory(u64 size, int flags, int fd);

/** map_small - anonymous, private, in small pages */
u64 *map_small(u64 pages);

/** map_aligned - anonymous, private, at a multiple of 2 MiB */
u64 *map_aligned(u64 size);

/** page_at - the first word of a page */
u64 *page_at(u64 *memory, u64 page);

/** huge_kib - how much of this memory is in transparent huge pages */
s64 huge_kib(void *memory, u64 size);

/** host_lookup - the number behind @key in a file of "key: number" lines, -1 */
s64 host_lookup(const char *path, const char *key);

/** host_write - into a file of /proc or /sys; false if that is impossible */
bool host_write(const char *path, const char *text);
bool host_write_number(const char *path, u64 value);

/** free_kib - free memory, with what CPUs keep for their next allocations */
s64 free_kib(void);

#endif /* SELFTESTS_HOSTMEM_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* The log of dirty pages, as clients ask for it. */
#ifndef SELFTESTS_DIRTY_H
#define SELFTESTS_DIRTY_H

#include "vm.h"

#define BITMAP_WORDS(pages)	(((pages) + 63) / 64)

static inline int get_dirty_log(struct vm *vm, u32 slot, void *bitmap)
{
	struct minivmm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return ioctl(vm->fd, MINIVMM_GET_DIRTY_LOG, &log);
}

static inline int clear_dirty_log(struct vm *vm, u32 slot, u64 first, u32 pages,
				  void *bitmap)
{
	struct minivmm_clear_dirty_log log = {
		.slot = slot, .first_page = first, .num_pages = pages,
		.dirty_bitmap = bitmap,
	};

	return ioctl(vm->fd, MINIVMM_CLEAR_DIRTY_LOG, &log);
}

static inline bool test_bit(const u64 *bitmap, u64 bit)
{
	return bitmap[bit / 64] >> bit % 64 & 1;
}

static inline u64 count_bits(const u64 *bitmap, u64 pages)
{
	u64 i, count = 0;

	for (i = 0; i < pages; i++)
		count += test_bit(bitmap, i);
	return count;
}

#endif /* SELFTESTS_DIRTY_H */

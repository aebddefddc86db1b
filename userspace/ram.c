// SPDX-License-Identifier: GPL-2.0
/* The guest's memory and where it sits in the guest physical address space. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ram.h"
#include "report.h"

static void add_region(struct ram *ram, u64 gpa, u64 end, u64 offset)
{
	struct ram_region *r = &ram->region[ram->nr_regions];

	if (gpa >= end)
		return;
	r->gpa = gpa;
	r->size = end - gpa;
	r->hva = ram->hva + offset;
	ram->nr_regions++;
}

/**
 * ram_low_end - the end of the RAM below 4 GiB
 * @ram: the guest's memory
 */
u64 ram_low_end(const struct ram *ram)
{
	return ram->size < RAM_HIGH_HOLE ? ram->size : RAM_HIGH_HOLE;
}

/**
 * ram_create - reserve the guest's memory; the host gives pages on first touch
 * @ram: filled in
 * @size: bytes, page aligned, RAM_MIN_SIZE..RAM_MAX_SIZE
 */
void ram_create(struct ram *ram, u64 size)
{
	u64 low;

	memset(ram, 0, sizeof(*ram));
	ram->size = size;
	ram->hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->hva == MAP_FAILED)
		die(EXIT_SETUP, "-m: cannot reserve %llu MiB of guest memory: %s",
		    size / MIB, strerror(errno));
	/* Fewer faults and shorter walks; without THP in the host just ignored. */
	madvise(ram->hva, size, MADV_HUGEPAGE);

	low = ram_low_end(ram);
	add_region(ram, 0, RAM_VIDEO_HOLE, 0);
	add_region(ram, RAM_VIDEO_HOLE_END, low, RAM_VIDEO_HOLE_END);
	add_region(ram, RAM_HIGH_HOLE_END, RAM_HIGH_HOLE_END + size - low, low);
}

/**
 * ram_ptr - guest physical memory as the launcher sees it
 * @ram: the guest's memory
 * @gpa: guest physical address
 * @len: bytes that must be there
 *
 * Return: a pointer to @len bytes, or NULL when they are not all RAM.
 */
void *ram_ptr(const struct ram *ram, u64 gpa, u64 len)
{
	for (unsigned int i = 0; i < ram->nr_regions; i++) {
		const struct ram_region *r = &ram->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return len <= r->size - (gpa - r->gpa) ? r->hva + (gpa - r->gpa) : NULL;
	}
	return NULL;
}

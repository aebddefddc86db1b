/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's memory and where it sits in the guest physical address space. */
#ifndef MINIVMM_RAM_H
#define MINIVMM_RAM_H

#include "base.h"

#define RAM_MIN_SIZE		(2 * MIB)
#define RAM_MAX_SIZE		(1024 * GIB)

/*
 * A PC's map: RAM up to the video memory, the BIOS area and RAM from 0xc0000
 * up to the hole that PCI, APICs and firmware live in, the rest above 4 GiB.
 */
#define RAM_VIDEO_HOLE		0xa0000ULL
#define RAM_VIDEO_HOLE_END	0xc0000ULL
#define RAM_HIGH_HOLE		(3 * GIB)
#define RAM_HIGH_HOLE_END	(4 * GIB)

#define RAM_MAX_REGIONS		3

struct ram_region {
	u64 gpa;
	u64 size;
	u8 *hva;
};

struct ram {
	u64 size;		/* as the user asked for */
	u8 *hva;
	struct ram_region region[RAM_MAX_REGIONS];
	unsigned int nr_regions;
};

void ram_create(struct ram *ram, u64 size);
void *ram_ptr(const struct ram *ram, u64 gpa, u64 len);
u64 ram_low_end(const struct ram *ram);

#endif /* MINIVMM_RAM_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What the launcher puts where in the guest's first MiB. */
#ifndef MINIVMM_LAYOUT_H
#define MINIVMM_LAYOUT_H

#define LAYOUT_GDT		0x00500
#define LAYOUT_ZERO_PAGE	0x07000
#define LAYOUT_BOOT_SECTOR	0x07c00		/* minivmm raw --mode 16 */
#define LAYOUT_PAGE_TABLES	0x09000		/* 6 pages: PML4, PDPT, 4 PDs */
#define LAYOUT_CMDLINE		0x20000
#define LAYOUT_LOW_END		0x9fc00		/* where a PC's EBDA begins */
#define LAYOUT_ACPI		0xe0000
#define LAYOUT_BIOS_END		0x100000
#define LAYOUT_RAW		0x100000	/* minivmm raw --mode 32|64 */

#endif /* MINIVMM_LAYOUT_H */

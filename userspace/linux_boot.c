// SPDX-License-Identifier: GPL-2.0
/*
 * The 64-bit Linux boot protocol: check a bzImage, put it, its initrd, its
 * command line and the "zero page" into guest memory.
 *
 * "BP" in the comments is Documentation/x86/boot.rst in the kernel's source.
 */
#include <string.h>

#include "layout.h"
#include "linux_boot.h"
#include "report.h"

#define SECTOR			512
#define HEADER_OFFSET		0x1f1
#define HEADER_JUMP_TARGET	0x202		/* plus the byte before it */
#define BOOT_FLAG		0xaa55
#define HEADER_MAGIC		0x53726448	/* "HdrS" */
#define PROTOCOL_64BIT		0x020c		/* the first with xloadflags */
#define DEFAULT_SETUP_SECTS	4
#define ENTRY_64		0x200
#define LOADER_UNDEFINED	0xff
#define PAGE_SIZE		4096ULL

/* BP: the header ends where the jump at its start lands; what follows is code. */
static void read_header(struct linux_image *image)
{
	const struct file *k = &image->kernel;
	u64 len = sizeof(image->header);
	u64 used;

	if (k->size < HEADER_OFFSET + len)
		die(EXIT_SETUP, "%s: not a bzImage (only %llu bytes)", k->path, k->size);
	used = HEADER_JUMP_TARGET + k->data[HEADER_JUMP_TARGET - 1] - HEADER_OFFSET;
	memcpy(&image->header, k->data + HEADER_OFFSET, used < len ? used : len);
}

static void check_header(const struct linux_image *image)
{
	const struct setup_header *h = &image->header;
	const char *path = image->kernel.path;

	if (h->boot_flag != BOOT_FLAG || h->header != HEADER_MAGIC)
		die(EXIT_SETUP, "%s: not a bzImage (no Linux boot header)", path);
	if (h->version < PROTOCOL_64BIT)
		die(EXIT_SETUP, "%s: boot protocol %u.%02u is too old, 2.12 is needed (Linux 3.8)",
		    path, h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LOADED_HIGH))
		die(EXIT_SETUP, "%s: a zImage, not a bzImage", path);
	if (!(h->xloadflags & XLF_KERNEL_64))
		die(EXIT_SETUP, "%s: not a 64-bit kernel", path);
}

static void check_payload(struct linux_image *image)
{
	const struct setup_header *h = &image->header;
	const struct file *k = &image->kernel;

	image->payload_offset = ((h->setup_sects ?: DEFAULT_SETUP_SECTS) + 1) * SECTOR;
	/* syssize, not the file's size: a signature may follow the kernel. */
	image->payload_size = h->syssize * 16ULL;
	if (k->size < image->payload_offset + image->payload_size)
		die(EXIT_SETUP, "%s: truncated: %llu bytes, its header promises %llu",
		    k->path, k->size, image->payload_offset + image->payload_size);
	if (image->payload_size > h->init_size || image->payload_size <= ENTRY_64)
		die(EXIT_SETUP, "%s: damaged boot header (kernel of %llu bytes in %u)",
		    k->path, image->payload_size, h->init_size);
}

/**
 * linux_open - open and check everything a Linux guest is made of
 * @image: filled in
 * @kernel: path of the bzImage
 * @initrd: path of the initrd, or NULL
 * @cmdline: the kernel's command line
 *
 * Ends the process with a message that names the file and the reason.
 */
void linux_open(struct linux_image *image, const char *kernel, const char *initrd,
		const char *cmdline)
{
	memset(image, 0, sizeof(*image));
	file_open(&image->kernel, kernel, "kernel");
	read_header(image);
	check_header(image);
	check_payload(image);

	if (initrd)
		file_open(&image->initrd, initrd, "initrd");

	image->cmdline = cmdline;
	if (strlen(cmdline) > image->header.cmdline_size)
		die(EXIT_SETUP, "-p: the command line has %zu characters, %s takes %u",
		    strlen(cmdline), kernel, image->header.cmdline_size);
	if (strlen(cmdline) >= LAYOUT_LOW_END - LAYOUT_CMDLINE)
		die(EXIT_SETUP, "-p: the command line is too long");
}

static void add_e820(struct boot_params *bp, u64 addr, u64 end, u32 type)
{
	struct boot_e820_entry *e = &bp->e820_table[bp->e820_entries];

	if (addr >= end)
		return;
	*e = (struct boot_e820_entry){ .addr = addr, .size = end - addr, .type = type };
	bp->e820_entries++;
}

static void fill_e820(struct boot_params *bp, const struct ram *ram)
{
	enum { USABLE = 1, RESERVED = 2 };
	u64 low = ram_low_end(ram);

	add_e820(bp, 0, LAYOUT_LOW_END, USABLE);
	add_e820(bp, LAYOUT_LOW_END, RAM_VIDEO_HOLE, RESERVED);
	add_e820(bp, LAYOUT_ACPI, LAYOUT_BIOS_END, RESERVED);
	add_e820(bp, LAYOUT_BIOS_END, low, USABLE);
	add_e820(bp, RAM_HIGH_HOLE_END, RAM_HIGH_HOLE_END + ram->size - low, USABLE);
}

/* As high as BP's initrd_addr_max allows: out of the way of the kernel's own growth. */
static u64 load_initrd(const struct linux_image *image, struct ram *ram, u64 kernel_end)
{
	const struct file *initrd = &image->initrd;
	u64 top = ram_low_end(ram);
	u64 room;
	u64 gpa;

	if (top > image->header.initrd_addr_max + 1ULL)
		top = image->header.initrd_addr_max + 1ULL;
	room = top > kernel_end ? top - kernel_end : 0;
	if (initrd->size > room)
		die(EXIT_SETUP,
		    "%s: the initrd (%llu KiB) does not fit in memory: -m %lluM leaves %llu KiB",
		    initrd->path, initrd->size / KIB, ram->size / MIB, room / KIB);
	gpa = (top - initrd->size) & ~(PAGE_SIZE - 1);
	if (gpa < kernel_end)
		gpa = kernel_end;
	memcpy(ram_ptr(ram, gpa, initrd->size), initrd->data, initrd->size);
	return gpa;
}

/**
 * linux_load - put a Linux guest into memory
 * @image: what linux_open() checked
 * @ram: the guest's memory
 *
 * Return: the address of the 64-bit entry point.
 */
u64 linux_load(const struct linux_image *image, struct ram *ram)
{
	struct boot_params *bp = ram_ptr(ram, LAYOUT_ZERO_PAGE, sizeof(*bp));
	u64 load = image->header.pref_address;
	u64 end = load + image->header.init_size;

	/* BP: init_size bytes from the load address must be there for the kernel. */
	if (load < LAYOUT_BIOS_END || end < load || end > ram_low_end(ram))
		die(EXIT_SETUP, "%s: needs at least -m %lluM, not %lluM", image->kernel.path,
		    (end + MIB - 1) / MIB, ram->size / MIB);
	memcpy(ram_ptr(ram, load, image->payload_size),
	       image->kernel.data + image->payload_offset, image->payload_size);

	memset(bp, 0, sizeof(*bp));
	bp->hdr = image->header;
	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.code32_start = load;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp->acpi_rsdp_addr = LAYOUT_ACPI;
	fill_e820(bp, ram);
	strcpy(ram_ptr(ram, LAYOUT_CMDLINE, strlen(image->cmdline) + 1), image->cmdline);

	if (image->initrd.path) {
		bp->hdr.ramdisk_image = load_initrd(image, ram, end);
		bp->hdr.ramdisk_size = image->initrd.size;
	}
	return load + ENTRY_64;
}

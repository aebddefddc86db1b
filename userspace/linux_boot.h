/* SPDX-License-Identifier: GPL-2.0 */
/* The 64-bit Linux boot protocol: Documentation/x86/boot.rst in the kernel. */
#ifndef MINIVMM_LINUX_BOOT_H
#define MINIVMM_LINUX_BOOT_H

#include <asm/bootparam.h>

#include "file.h"
#include "ram.h"

struct linux_image {
	struct file kernel;
	struct file initrd;	/* path NULL: none */
	const char *cmdline;
	struct setup_header header;
	u64 payload_offset;	/* in the kernel's file */
	u64 payload_size;
};

void linux_open(struct linux_image *image, const char *kernel, const char *initrd,
		const char *cmdline);
u64 linux_load(const struct linux_image *image, struct ram *ram);

#endif /* MINIVMM_LINUX_BOOT_H */

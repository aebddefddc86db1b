/* SPDX-License-Identifier: GPL-2.0 */
/* What the unit tests use of the kernel's <linux/kernel.h>. */
#ifndef MINIVMM_UNIT_KERNEL_H
#define MINIVMM_UNIT_KERNEL_H

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define BIT(nr)			(1UL << (nr))

#endif

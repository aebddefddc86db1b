/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pure files of core/ need of the kernel's <linux/types.h>, so that
 * they build in user space unchanged.
 */
#ifndef MINIVMM_UNIT_TYPES_H
#define MINIVMM_UNIT_TYPES_H

#include <stdbool.h>
#include_next <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

#define fallthrough __attribute__((__fallthrough__))

#endif

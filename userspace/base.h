/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's short names, so that the device models read like kernel code.
 */
#ifndef MINIVMM_BASE_H
#define MINIVMM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#define u8	__u8
#define u16	__u16
#define u32	__u32
#define u64	__u64
#define s64	__s64

#define S64_MIN		(-0x7fffffffffffffffLL - 1)

#define __printf(a, b)	__attribute((format(printf, a, b)))
#define __noreturn		__attribute((noreturn))
#define __packed		__attribute((packed))

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))
#define BIT(n)		(1U << (n))
#define BIT_ULL(n)	(1ULL << (n))

#define KIB		1024ULL
#define MIB		(1024 * KIB)
#define GIB		(1024 * MIB)

#define NSEC_PER_SEC	1000000000ULL

#endif /* MINIVMM_BASE_H */

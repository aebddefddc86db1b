/* SPDX-License-Identifier: GPL-2.0 */
/* Results and flags of the instructions that core/decode.c claims. */
#ifndef MINIVMM_ALU_H
#define MINIVMM_ALU_H

#include <linux/types.h>

#include "decode.h"

u64 mv_alu(enum mv_insn_op op, unsigned int size, u64 dst, u64 src,
	   u64 *rflags);
u64 mv_sign_extend(u64 value, unsigned int size);

/**
 * mv_truncate() - the low bytes of a value
 * @value: any value
 * @size: 1, 2, 4 or 8 bytes
 *
 * Return: @value with all bits above @size bytes cleared.
 */
static inline u64 mv_truncate(u64 value, unsigned int size)
{
	return value & (~0ULL >> (64 - 8 * size));
}

#endif

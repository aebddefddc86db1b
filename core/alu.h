/* SPDX-License-Identifier: GPL-2.0 */
/* Results and flags of the instructions that core/decode.c claims. */
#ifndef MINIVMM_ALU_H
#define MINIVMM_ALU_H

#include <linux/types.h>

#include "decode.h"

u64 mv_alu(enum mv_insn_op op, unsigned int size, u64 dst, u64 src,
	   u64 *rflags);
u64 mv_sign_extend(u64 value, unsigned int size);
u64 mv_truncate(u64 value, unsigned int size);

#endif

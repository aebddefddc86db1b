// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic of emulated instructions: pure functions, compared with the
 * real CPU by selftests/unit/test_alu.c.
 *
 * Where the SDM leaves a flag undefined, we do what Intel's processors are
 * seen to do: logic clears AF, the bit instructions leave all but CF alone.
 */
#include <asm/processor-flags.h>
#include <linux/types.h>

#include "alu.h"

#define ARITHMETIC_FLAGS (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			  X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

/**
 * mv_sign_extend() - extend a signed value to 64 bits
 * @value: its low @size bytes count
 * @size: 1, 2, 4 or 8 bytes
 *
 * Return: the 64-bit value.
 */
u64 mv_sign_extend(u64 value, unsigned int size)
{
	unsigned int shift = 64 - 8 * size;

	return (u64)((s64)(value << shift) >> shift);
}

static bool sign_bit(u64 value, unsigned int size)
{
	return value >> (8 * size - 1) & 1;
}

/* PF: the low byte has an even number of ones (SDM vol. 1, 3.4.3.1). */
static bool parity_even(u64 value)
{
	/* Bit n of the constant is the parity of the four-bit number n. */
	return !((0x6996 >> ((value ^ (value >> 4)) & 0xf)) & 1);
}

static u64 result_flags(u64 result, unsigned int size)
{
	u64 flags = 0;

	if (!result)
		flags |= X86_EFLAGS_ZF;
	if (sign_bit(result, size))
		flags |= X86_EFLAGS_SF;
	if (parity_even(result))
		flags |= X86_EFLAGS_PF;
	return flags;
}

/* @carries has a bit set where that bit of the sum or difference carried. */
static u64 carry_flags(u64 carries, bool overflow, unsigned int size)
{
	u64 flags = 0;

	if (sign_bit(carries, size))
		flags |= X86_EFLAGS_CF;
	if (carries & 0x8)
		flags |= X86_EFLAGS_AF;
	if (overflow)
		flags |= X86_EFLAGS_OF;
	return flags;
}

static u64 add(unsigned int size, u64 dst, u64 src, bool carry, u64 *flags)
{
	u64 sum = mv_truncate(dst + src + carry, size);
	u64 carries = (dst & src) | ((dst | src) & ~sum);
	bool overflow = sign_bit((dst ^ sum) & (src ^ sum), size);

	*flags = result_flags(sum, size) | carry_flags(carries, overflow, size);
	return sum;
}

static u64 subtract(unsigned int size, u64 dst, u64 src, bool borrow,
		    u64 *flags)
{
	u64 diff = mv_truncate(dst - src - borrow, size);
	u64 borrows = (~dst & src) | ((~dst | src) & diff);
	bool overflow = sign_bit((dst ^ src) & (dst ^ diff), size);

	*flags = result_flags(diff, size) |
		 carry_flags(borrows, overflow, size);
	return diff;
}

static u64 logic(unsigned int size, u64 result, u64 *flags)
{
	*flags = result_flags(result, size);
	return result;
}

/* BT, BTS, BTR, BTC: CF is the old bit. */
static u64 bit_test(enum mv_insn_op op, unsigned int size, u64 dst, u64 src,
		    u64 *rflags)
{
	u64 bit = 1ULL << (src & (8 * size - 1));

	*rflags &= ~(u64)X86_EFLAGS_CF;
	if (dst & bit)
		*rflags |= X86_EFLAGS_CF;

	switch (op) {
	case MV_OP_BTS:
		return dst | bit;
	case MV_OP_BTR:
		return dst & ~bit;
	case MV_OP_BTC:
		return dst ^ bit;
	default:
		return dst;
	}
}

/**
 * mv_alu() - the result and the flags of an instruction (SDM vol. 2)
 * @op: any; those that only move data return @src and change no flag
 * @size: of the operands: 1, 2, 4 or 8 bytes
 * @dst: destination; bits above @size are ignored
 * @src: source; bits above @size are ignored; unused by NOT, NEG, INC, DEC
 * @rflags: in: ADC and SBB use CF; out: the arithmetic flags updated
 *
 * Context: any.
 *
 * Return: the new destination, zero-extended.  CMP returns the difference
 * and TEST the conjunction, which nobody stores.
 */
u64 mv_alu(enum mv_insn_op op, unsigned int size, u64 dst, u64 src,
	   u64 *rflags)
{
	bool carry = *rflags & X86_EFLAGS_CF;
	u64 changed = ARITHMETIC_FLAGS;
	u64 flags = 0;
	u64 result;

	dst = mv_truncate(dst, size);
	src = mv_truncate(src, size);

	switch (op) {
	case MV_OP_ADD:
	case MV_OP_XADD:
		result = add(size, dst, src, false, &flags);
		break;
	case MV_OP_ADC:
		result = add(size, dst, src, carry, &flags);
		break;
	case MV_OP_SUB:
	case MV_OP_CMP:
		result = subtract(size, dst, src, false, &flags);
		break;
	case MV_OP_SBB:
		result = subtract(size, dst, src, carry, &flags);
		break;
	case MV_OP_NEG:
		result = subtract(size, 0, dst, false, &flags);
		break;
	case MV_OP_INC:
		result = add(size, dst, 1, false, &flags);
		changed &= ~(u64)X86_EFLAGS_CF;
		break;
	case MV_OP_DEC:
		result = subtract(size, dst, 1, false, &flags);
		changed &= ~(u64)X86_EFLAGS_CF;
		break;
	case MV_OP_AND:
	case MV_OP_TEST:
		result = logic(size, dst & src, &flags);
		break;
	case MV_OP_OR:
		result = logic(size, dst | src, &flags);
		break;
	case MV_OP_XOR:
		result = logic(size, dst ^ src, &flags);
		break;
	case MV_OP_NOT:
		return mv_truncate(~dst, size);
	case MV_OP_BT:
	case MV_OP_BTS:
	case MV_OP_BTR:
	case MV_OP_BTC:
		return bit_test(op, size, dst, src, rflags);
	default:
		return src;
	}

	*rflags = (*rflags & ~changed) | (flags & changed);
	return result;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decoder for the instructions that may touch MMIO.
 *
 * The CPU reports that an access to guest-physical memory failed, but not what
 * the instruction wanted to do: on x86 the monitor must decode it.  This
 * decoder claims the forms that drivers and firmware use on device memory and
 * says so when it does not know an instruction, never guessing.
 *
 * It is pure: bytes in, struct mv_insn out.  The same file is built in user
 * space as a unit test and as a fuzz target (selftests/unit/).
 */
#ifndef MINIVMM_DECODE_H
#define MINIVMM_DECODE_H

#include <linux/types.h>

/* SDM vol. 2, 2.3.11: a longer instruction raises #GP(0). */
#define MV_INSN_MAX		15

#define MV_NO_REG		0xff

/* Register numbers are those of ModRM/REX (SDM vol. 2, table 2-2, 3.1.1.1). */
#define MV_REG_AX		0
#define MV_REG_BX		3
#define MV_REG_SP		4
#define MV_REG_BP		5
#define MV_REG_SI		6
#define MV_REG_DI		7

/* Segment numbers are those of MOV Sreg. */
enum mv_insn_seg {
	MV_INSN_ES,
	MV_INSN_CS,
	MV_INSN_SS,
	MV_INSN_DS,
	MV_INSN_FS,
	MV_INSN_GS,
};

/* Default operand and address size of the code segment: CS.L, else CS.D. */
enum mv_insn_mode {
	MV_INSN_16,
	MV_INSN_32,
	MV_INSN_64,
};

enum mv_insn_op {
	MV_OP_NONE,
	/* ModRM.reg of 80..83 and bits 5:3 of 00..3B number these eight. */
	MV_OP_ADD,
	MV_OP_OR,
	MV_OP_ADC,
	MV_OP_SBB,
	MV_OP_AND,
	MV_OP_SUB,
	MV_OP_XOR,
	MV_OP_CMP,
	MV_OP_TEST,
	MV_OP_NOT,
	MV_OP_NEG,
	MV_OP_INC,
	MV_OP_DEC,
	MV_OP_BT,
	MV_OP_BTS,
	MV_OP_BTR,
	MV_OP_BTC,
	MV_OP_MOV,
	MV_OP_MOVZX,
	MV_OP_MOVSX,		/* MOVSXD too */
	MV_OP_XCHG,
	MV_OP_XADD,
	MV_OP_CMPXCHG,
	MV_OP_MOVS,
	MV_OP_CMPS,
	MV_OP_STOS,
	MV_OP_LODS,
	MV_OP_SCAS,
};

/* Where the operands are; the destination is named first. */
enum mv_insn_form {
	MV_FORM_NONE,
	MV_FORM_MR,		/* memory, register */
	MV_FORM_RM,		/* register, memory */
	MV_FORM_MI,		/* memory, immediate */
	MV_FORM_M,		/* memory */
	MV_FORM_STRING,		/* rSI and/or rDI, and rAX */
};

/**
 * struct mv_insn_mem - a memory operand
 * @base: register number or MV_NO_REG
 * @index: register number or MV_NO_REG
 * @scale: the index is multiplied by this: 1, 2, 4 or 8
 * @seg: enum mv_insn_seg, overrides and the SS/DS rule applied
 * @rip: relative to the address of the next instruction
 * @disp: displacement, sign-extended
 *
 * The sum is truncated to mv_insn.addr_size before the segment base is added.
 */
struct mv_insn_mem {
	u8 base;
	u8 index;
	u8 scale;
	u8 seg;
	bool rip;
	s64 disp;
};

/**
 * struct mv_insn - a decoded instruction
 * @len: length in bytes, prefixes included
 * @op: enum mv_insn_op
 * @form: enum mv_insn_form
 * @mem_size: bytes of the memory operand(s): 1, 2, 4 or 8
 * @reg_size: bytes of the register operand; differs from @mem_size for MOVZX
 *	and MOVSX only
 * @addr_size: 2, 4 or 8; also the size of rCX, rSI and rDI in string forms
 * @rep: 0, 0xf2 or 0xf3; only ever set for string forms
 * @reg: register operand, or MV_NO_REG
 * @high_byte: @reg is AX..BX but AH..BH is meant
 * @lock: LOCK prefix present
 * @reads: the memory operand is read
 * @writes: the memory operand is written
 * @bit_string: BT family with a register offset: the byte offset
 *	(offset >> 3), rounded down to @mem_size, is added to the address
 * @mem: the memory operand; of MOVS and CMPS the source at rSI
 * @imm: immediate, sign-extended
 *
 * MOVS writes and CMPS reads a second operand of @mem_size bytes at ES:rDI,
 * which no prefix can change.
 */
struct mv_insn {
	u8 len;
	u8 op;
	u8 form;
	u8 mem_size;
	u8 reg_size;
	u8 addr_size;
	u8 rep;
	u8 reg;
	bool high_byte;
	bool lock;
	bool reads;
	bool writes;
	bool bit_string;
	struct mv_insn_mem mem;
	s64 imm;
};

/* What mv_decode() returns besides 0. */
#define MV_DECODE_TRUNCATED	(-1)	/* the instruction has more bytes */
#define MV_DECODE_UNCLAIMED	(-2)	/* not one of ours */
#define MV_DECODE_UD		(-3)	/* raises #UD */
#define MV_DECODE_GP		(-4)	/* longer than 15 bytes: raises #GP(0) */

int mv_decode(struct mv_insn *insn, const u8 *bytes, unsigned int avail,
	      enum mv_insn_mode mode);

#endif

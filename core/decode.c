// SPDX-License-Identifier: GPL-2.0
/*
 * Decoder for the instructions that may touch MMIO: see decode.h.
 *
 * The order of the code is the order of the bytes (SDM vol. 2, 2.1):
 * prefixes, REX, opcode, ModRM, SIB, displacement, immediate.
 */
#include <linux/types.h>

#include "decode.h"

/* Properties of an opcode.  A group's row passes its own on to its members. */
#define R	0x001	/* reads its memory operand */
#define W	0x002	/* writes its memory operand */
#define RW	(R | W)
#define LK	0x004	/* LOCK is allowed */
#define B	0x008	/* one-byte operands; else 2, 4 or 8 by mode and prefix */
#define M8	0x010	/* ... but one byte in memory */
#define M16	0x020	/* ... but two bytes in memory */
#define M32	0x040	/* ... but at most four bytes in memory */
#define IB	0x080	/* immediate byte, sign-extended */
#define IZ	0x100	/* immediate of the operand size, but at most four bytes */
#define MOFFS	0x200	/* rAX, and an address in place of ModRM */
#define X64	0x400	/* exists in 64-bit mode only */
#define N64	0x800	/* exists outside 64-bit mode only */
#define NP	0x1000	/* 66, F2 and F3 would make it another instruction */
#define DQ	0x2000	/* four bytes even where the operand size is two */

enum group {
	NO_GROUP,
	GROUP_1,
	GROUP_3,
	GROUP_4,
	GROUP_8,
	GROUP_11,
};

struct opcode {
	u8 op;
	u8 form;
	u8 group;	/* ModRM.reg selects the row in groups[] */
	u16 flags;
};

#define TWO_BYTE	0x100	/* index of 0F 00 in opcodes[] */

/* SDM vol. 2, appendix A, tables.  Absent: not claimed. */
static const struct opcode opcodes[2 * TWO_BYTE] = {
	[0x00] = { MV_OP_ADD, MV_FORM_MR, .flags = RW | LK | B },
	[0x01] = { MV_OP_ADD, MV_FORM_MR, .flags = RW | LK },
	[0x02] = { MV_OP_ADD, MV_FORM_RM, .flags = R | B },
	[0x03] = { MV_OP_ADD, MV_FORM_RM, .flags = R },
	[0x08] = { MV_OP_OR, MV_FORM_MR, .flags = RW | LK | B },
	[0x09] = { MV_OP_OR, MV_FORM_MR, .flags = RW | LK },
	[0x0a] = { MV_OP_OR, MV_FORM_RM, .flags = R | B },
	[0x0b] = { MV_OP_OR, MV_FORM_RM, .flags = R },
	[0x10] = { MV_OP_ADC, MV_FORM_MR, .flags = RW | LK | B },
	[0x11] = { MV_OP_ADC, MV_FORM_MR, .flags = RW | LK },
	[0x12] = { MV_OP_ADC, MV_FORM_RM, .flags = R | B },
	[0x13] = { MV_OP_ADC, MV_FORM_RM, .flags = R },
	[0x18] = { MV_OP_SBB, MV_FORM_MR, .flags = RW | LK | B },
	[0x19] = { MV_OP_SBB, MV_FORM_MR, .flags = RW | LK },
	[0x1a] = { MV_OP_SBB, MV_FORM_RM, .flags = R | B },
	[0x1b] = { MV_OP_SBB, MV_FORM_RM, .flags = R },
	[0x20] = { MV_OP_AND, MV_FORM_MR, .flags = RW | LK | B },
	[0x21] = { MV_OP_AND, MV_FORM_MR, .flags = RW | LK },
	[0x22] = { MV_OP_AND, MV_FORM_RM, .flags = R | B },
	[0x23] = { MV_OP_AND, MV_FORM_RM, .flags = R },
	[0x28] = { MV_OP_SUB, MV_FORM_MR, .flags = RW | LK | B },
	[0x29] = { MV_OP_SUB, MV_FORM_MR, .flags = RW | LK },
	[0x2a] = { MV_OP_SUB, MV_FORM_RM, .flags = R | B },
	[0x2b] = { MV_OP_SUB, MV_FORM_RM, .flags = R },
	[0x30] = { MV_OP_XOR, MV_FORM_MR, .flags = RW | LK | B },
	[0x31] = { MV_OP_XOR, MV_FORM_MR, .flags = RW | LK },
	[0x32] = { MV_OP_XOR, MV_FORM_RM, .flags = R | B },
	[0x33] = { MV_OP_XOR, MV_FORM_RM, .flags = R },
	[0x38] = { MV_OP_CMP, MV_FORM_MR, .flags = R | B },
	[0x39] = { MV_OP_CMP, MV_FORM_MR, .flags = R },
	[0x3a] = { MV_OP_CMP, MV_FORM_RM, .flags = R | B },
	[0x3b] = { MV_OP_CMP, MV_FORM_RM, .flags = R },

	/* 63 /r without REX.W has a memory operand of the operand size. */
	[0x63] = { MV_OP_MOVSX, MV_FORM_RM, .flags = R | M32 | X64 },

	[0x80] = { .group = GROUP_1, .flags = IB | B },
	[0x81] = { .group = GROUP_1, .flags = IZ },
	[0x82] = { .group = GROUP_1, .flags = IB | B | N64 },
	[0x83] = { .group = GROUP_1, .flags = IB },
	[0x84] = { MV_OP_TEST, MV_FORM_MR, .flags = R | B },
	[0x85] = { MV_OP_TEST, MV_FORM_MR, .flags = R },
	[0x86] = { MV_OP_XCHG, MV_FORM_MR, .flags = RW | LK | B },
	[0x87] = { MV_OP_XCHG, MV_FORM_MR, .flags = RW | LK },
	[0x88] = { MV_OP_MOV, MV_FORM_MR, .flags = W | B },
	[0x89] = { MV_OP_MOV, MV_FORM_MR, .flags = W },
	[0x8a] = { MV_OP_MOV, MV_FORM_RM, .flags = R | B },
	[0x8b] = { MV_OP_MOV, MV_FORM_RM, .flags = R },

	[0xa0] = { MV_OP_MOV, MV_FORM_RM, .flags = R | MOFFS | B },
	[0xa1] = { MV_OP_MOV, MV_FORM_RM, .flags = R | MOFFS },
	[0xa2] = { MV_OP_MOV, MV_FORM_MR, .flags = W | MOFFS | B },
	[0xa3] = { MV_OP_MOV, MV_FORM_MR, .flags = W | MOFFS },
	[0xa4] = { MV_OP_MOVS, MV_FORM_STRING, .flags = R | B },
	[0xa5] = { MV_OP_MOVS, MV_FORM_STRING, .flags = R },
	[0xa6] = { MV_OP_CMPS, MV_FORM_STRING, .flags = R | B },
	[0xa7] = { MV_OP_CMPS, MV_FORM_STRING, .flags = R },
	[0xaa] = { MV_OP_STOS, MV_FORM_STRING, .flags = W | B },
	[0xab] = { MV_OP_STOS, MV_FORM_STRING, .flags = W },
	[0xac] = { MV_OP_LODS, MV_FORM_STRING, .flags = R | B },
	[0xad] = { MV_OP_LODS, MV_FORM_STRING, .flags = R },
	[0xae] = { MV_OP_SCAS, MV_FORM_STRING, .flags = R | B },
	[0xaf] = { MV_OP_SCAS, MV_FORM_STRING, .flags = R },

	[0xc6] = { .group = GROUP_11, .flags = IB | B },
	[0xc7] = { .group = GROUP_11, .flags = IZ },
	[0xf6] = { .group = GROUP_3, .flags = B },
	[0xf7] = { .group = GROUP_3 },
	[0xfe] = { .group = GROUP_4, .flags = B },
	[0xff] = { .group = GROUP_4 },

	[TWO_BYTE | 0xa3] = { MV_OP_BT, MV_FORM_MR, .flags = R },
	[TWO_BYTE | 0xab] = { MV_OP_BTS, MV_FORM_MR, .flags = RW | LK },
	[TWO_BYTE | 0xb0] = { MV_OP_CMPXCHG, MV_FORM_MR, .flags = RW | LK | B },
	[TWO_BYTE | 0xb1] = { MV_OP_CMPXCHG, MV_FORM_MR, .flags = RW | LK },
	[TWO_BYTE | 0xb3] = { MV_OP_BTR, MV_FORM_MR, .flags = RW | LK },
	[TWO_BYTE | 0xb6] = { MV_OP_MOVZX, MV_FORM_RM, .flags = R | M8 },
	[TWO_BYTE | 0xb7] = { MV_OP_MOVZX, MV_FORM_RM, .flags = R | M16 },
	[TWO_BYTE | 0xba] = { .group = GROUP_8, .flags = IB },
	[TWO_BYTE | 0xbb] = { MV_OP_BTC, MV_FORM_MR, .flags = RW | LK },
	[TWO_BYTE | 0xbe] = { MV_OP_MOVSX, MV_FORM_RM, .flags = R | M8 },
	[TWO_BYTE | 0xbf] = { MV_OP_MOVSX, MV_FORM_RM, .flags = R | M16 },
	[TWO_BYTE | 0xc0] = { MV_OP_XADD, MV_FORM_MR, .flags = RW | LK | B },
	[TWO_BYTE | 0xc1] = { MV_OP_XADD, MV_FORM_MR, .flags = RW | LK },
	/* MOVNTI: the non-temporal hint has no meaning for a device. */
	[TWO_BYTE | 0xc3] = { MV_OP_MOV, MV_FORM_MR, .flags = W | NP | DQ },
};

/* SDM vol. 2, appendix A, table A-6: the group's opcode by ModRM.reg. */
static const struct opcode groups[][8] = {
	[GROUP_1] = {
		[0] = { MV_OP_ADD, MV_FORM_MI, .flags = RW | LK },
		[1] = { MV_OP_OR, MV_FORM_MI, .flags = RW | LK },
		[2] = { MV_OP_ADC, MV_FORM_MI, .flags = RW | LK },
		[3] = { MV_OP_SBB, MV_FORM_MI, .flags = RW | LK },
		[4] = { MV_OP_AND, MV_FORM_MI, .flags = RW | LK },
		[5] = { MV_OP_SUB, MV_FORM_MI, .flags = RW | LK },
		[6] = { MV_OP_XOR, MV_FORM_MI, .flags = RW | LK },
		[7] = { MV_OP_CMP, MV_FORM_MI, .flags = R },
	},
	[GROUP_3] = {
		[0] = { MV_OP_TEST, MV_FORM_MI, .flags = R | IZ },
		[1] = { MV_OP_TEST, MV_FORM_MI, .flags = R | IZ },
		[2] = { MV_OP_NOT, MV_FORM_M, .flags = RW | LK },
		[3] = { MV_OP_NEG, MV_FORM_M, .flags = RW | LK },
	},
	[GROUP_4] = {
		[0] = { MV_OP_INC, MV_FORM_M, .flags = RW | LK },
		[1] = { MV_OP_DEC, MV_FORM_M, .flags = RW | LK },
	},
	[GROUP_8] = {
		[4] = { MV_OP_BT, MV_FORM_MI, .flags = R },
		[5] = { MV_OP_BTS, MV_FORM_MI, .flags = RW | LK },
		[6] = { MV_OP_BTR, MV_FORM_MI, .flags = RW | LK },
		[7] = { MV_OP_BTC, MV_FORM_MI, .flags = RW | LK },
	},
	[GROUP_11] = {
		[0] = { MV_OP_MOV, MV_FORM_MI, .flags = W },
	},
};

#define REX_W	0x8
#define REX_R	0x4
#define REX_X	0x2
#define REX_B	0x1

/* The bytes, how far we are, and what the prefixes said. */
struct cursor {
	const u8 *bytes;
	unsigned int avail;
	unsigned int pos;
	enum mv_insn_mode mode;
	bool operand_prefix;
	bool address_prefix;
	u8 rep;
	bool has_rex;
	u8 rex;
	u8 seg_override;	/* enum mv_insn_seg or MV_NO_REG */
	u8 op_size;
};

/* Read @n bytes, little-endian and sign-extended. */
static int fetch(struct cursor *c, unsigned int n, s64 *value)
{
	unsigned int shift = 64 - 8 * n;
	unsigned int i;
	u64 v = 0;

	if (c->pos + n > MV_INSN_MAX)
		return MV_DECODE_GP;
	if (c->pos + n > c->avail)
		return MV_DECODE_TRUNCATED;
	for (i = 0; i < n; i++)
		v |= (u64)c->bytes[c->pos + i] << (8 * i);
	c->pos += n;
	*value = (s64)(v << shift) >> shift;
	return 0;
}

static int fetch_byte(struct cursor *c, u8 *byte)
{
	s64 value;
	int ret = fetch(c, 1, &value);

	if (!ret)
		*byte = (u8)value;
	return ret;
}

static void override_segment(struct cursor *c, enum mv_insn_seg seg)
{
	/* SDM vol. 1, 3.4.2.1: only FS and GS exist in 64-bit mode. */
	if (c->mode != MV_INSN_64 || seg >= MV_INSN_FS)
		c->seg_override = seg;
}

/* Take note of a legacy prefix; false if @byte is none. */
static bool take_prefix(struct cursor *c, struct mv_insn *insn, u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		override_segment(c, (byte >> 3) & 3);
		return true;
	case 0x64:
	case 0x65:
		override_segment(c, byte - 0x64 + MV_INSN_FS);
		return true;
	case 0x66:
		c->operand_prefix = true;
		return true;
	case 0x67:
		c->address_prefix = true;
		return true;
	case 0xf0:
		insn->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		c->rep = byte;	/* the last one counts */
		return true;
	default:
		return false;
	}
}

/*
 * Read the prefixes and the opcode's first byte.  REX counts only when it is
 * the last byte before the opcode (SDM vol. 2, 2.2.1).
 */
static int fetch_prefixes(struct cursor *c, struct mv_insn *insn, u8 *opcode)
{
	bool rex = false;
	int ret;

	do {
		c->has_rex = rex;
		c->rex = rex ? *opcode & 0xf : 0;
		ret = fetch_byte(c, opcode);
		if (ret)
			return ret;
		rex = c->mode == MV_INSN_64 && (*opcode & 0xf0) == 0x40;
	} while (rex || take_prefix(c, insn, *opcode));
	return 0;
}

/* SDM vol. 1, 3.6 and table 3-4. */
static void resolve_sizes(struct cursor *c, struct mv_insn *insn)
{
	switch (c->mode) {
	case MV_INSN_16:
		c->op_size = c->operand_prefix ? 4 : 2;
		insn->addr_size = c->address_prefix ? 4 : 2;
		break;
	case MV_INSN_32:
		c->op_size = c->operand_prefix ? 2 : 4;
		insn->addr_size = c->address_prefix ? 2 : 4;
		break;
	case MV_INSN_64:
		c->op_size = c->operand_prefix ? 2 : 4;
		if (c->rex & REX_W)
			c->op_size = 8;
		insn->addr_size = c->address_prefix ? 4 : 8;
		break;
	}
}

/* SDM vol. 2, table 2-1: 16-bit addressing. */
static int decode_mem16(struct cursor *c, struct mv_insn_mem *mem,
			u8 mod, u8 rm)
{
	static const u8 bases[8] = {
		MV_REG_BX, MV_REG_BX, MV_REG_BP, MV_REG_BP,
		MV_REG_SI, MV_REG_DI, MV_REG_BP, MV_REG_BX,
	};
	static const u8 indexes[4] = {
		MV_REG_SI, MV_REG_DI, MV_REG_SI, MV_REG_DI,
	};

	if (mod == 0 && rm == 6)
		return fetch(c, 2, &mem->disp);

	mem->base = bases[rm];
	if (rm < 4)
		mem->index = indexes[rm];
	return mod ? fetch(c, mod, &mem->disp) : 0;
}

/* SDM vol. 2, table 2-3; 2.2.1.2: REX.X and REX.B extend index and base. */
static int decode_sib(struct cursor *c, struct mv_insn_mem *mem, u8 mod)
{
	u8 sib, base, index;
	int ret;

	ret = fetch_byte(c, &sib);
	if (ret)
		return ret;

	index = ((sib >> 3) & 7) | (c->rex & REX_X ? 8 : 0);
	if (index != MV_REG_SP) {
		mem->index = index;
		mem->scale = 1 << (sib >> 6);
	}

	base = sib & 7;
	mem->base = base | (c->rex & REX_B ? 8 : 0);
	if (base == MV_REG_BP && mod == 0) {
		/* REX.B is not decoded here: no R13 either (table 2-5). */
		mem->base = MV_NO_REG;
		return fetch(c, 4, &mem->disp);
	}
	return 0;
}

/* SDM vol. 2, table 2-2: 32-bit and 64-bit addressing. */
static int decode_mem32(struct cursor *c, struct mv_insn_mem *mem,
			u8 mod, u8 rm)
{
	int ret;

	if (mod == 0 && rm == MV_REG_BP) {
		/* SDM vol. 2, 2.2.1.6: 64-bit mode made it RIP-relative. */
		mem->rip = c->mode == MV_INSN_64;
		return fetch(c, 4, &mem->disp);
	}

	mem->base = rm | (c->rex & REX_B ? 8 : 0);
	if (rm == MV_REG_SP) {
		ret = decode_sib(c, mem, mod);
		if (ret)
			return ret;
	}
	if (mod == 0)
		return 0;
	return fetch(c, mod == 1 ? 1 : 4, &mem->disp);
}

/* SDM vol. 1, 3.7.4: a base of rBP or rSP means the stack, R12 and R13 not. */
static u8 resolve_segment(const struct cursor *c, const struct mv_insn_mem *mem)
{
	if (c->seg_override != MV_NO_REG)
		return c->seg_override;
	if (mem->base == MV_REG_BP || mem->base == MV_REG_SP)
		return MV_INSN_SS;
	return MV_INSN_DS;
}

static int decode_mem(struct cursor *c, struct mv_insn *insn, u8 modrm)
{
	u8 mod = modrm >> 6, rm = modrm & 7;
	int ret;

	if (insn->addr_size == 2)
		ret = decode_mem16(c, &insn->mem, mod, rm);
	else
		ret = decode_mem32(c, &insn->mem, mod, rm);
	if (ret)
		return ret;
	insn->mem.seg = resolve_segment(c, &insn->mem);
	return 0;
}

/* MOV A0..A3: rAX and an address of the address size. */
static int decode_moffs(struct cursor *c, struct mv_insn *insn)
{
	insn->reg = MV_REG_AX;
	insn->mem.seg = resolve_segment(c, &insn->mem);
	return fetch(c, insn->addr_size, &insn->mem.disp);
}

static void decode_string(struct cursor *c, struct mv_insn *insn)
{
	insn->rep = c->rep;
	switch (insn->op) {
	case MV_OP_STOS:
	case MV_OP_SCAS:
		insn->reg = MV_REG_AX;
		insn->mem.base = MV_REG_DI;
		insn->mem.seg = MV_INSN_ES;	/* not to be overridden */
		break;
	case MV_OP_LODS:
		insn->reg = MV_REG_AX;
		fallthrough;
	default:
		insn->mem.base = MV_REG_SI;
		insn->mem.seg = resolve_segment(c, &insn->mem);
		break;
	}
}

/* SDM vol. 2, 2.2.1.2: any REX prefix replaces AH..BH by SPL..DIL. */
static void decode_reg(const struct cursor *c, struct mv_insn *insn, u8 modrm)
{
	u8 reg = ((modrm >> 3) & 7) | (c->rex & REX_R ? 8 : 0);

	if (insn->reg_size == 1 && !c->has_rex && reg >= 4) {
		insn->high_byte = true;
		reg -= 4;
	}
	insn->reg = reg;
}

static void apply_flags(const struct cursor *c, struct mv_insn *insn,
			const struct opcode *row, u16 flags)
{
	insn->op = row->op;
	insn->form = row->form;
	insn->reads = flags & R;
	insn->writes = flags & W;
	insn->reg_size = flags & B ? 1 : c->op_size;
	if (flags & DQ && insn->reg_size == 2)
		insn->reg_size = 4;
	insn->mem_size = insn->reg_size;
	if (flags & M8)
		insn->mem_size = 1;
	else if (flags & M16)
		insn->mem_size = 2;
	else if (flags & M32 && insn->mem_size > 4)
		insn->mem_size = 4;
}

static int decode_imm(struct cursor *c, struct mv_insn *insn, u16 flags)
{
	unsigned int size = 1;

	if (!(flags & (IB | IZ)))
		return 0;
	if (flags & IZ && !(flags & B))
		size = c->op_size == 2 ? 2 : 4;
	return fetch(c, size, &insn->imm);
}

/* Read the rest of the opcode; its row, or NULL if we do not claim it. */
static int fetch_opcode(struct cursor *c, u8 first, const struct opcode **row)
{
	unsigned int index = first;
	u8 second;
	int ret;

	if (first == 0x0f) {
		ret = fetch_byte(c, &second);
		if (ret)
			return ret;
		index = TWO_BYTE | second;
	}

	*row = &opcodes[index];
	if (!(*row)->form && !(*row)->group)
		return MV_DECODE_UNCLAIMED;
	if ((*row)->flags & (c->mode == MV_INSN_64 ? N64 : X64))
		return MV_DECODE_UNCLAIMED;
	if ((*row)->flags & NP && (c->operand_prefix || c->rep))
		return MV_DECODE_UNCLAIMED;
	return 0;
}

/* Everything between the opcode and the immediate. */
static int decode_operands(struct cursor *c, struct mv_insn *insn,
			   const struct opcode *row, u16 *flags)
{
	u8 modrm;
	int ret;

	*flags = row->flags;
	if (row->form == MV_FORM_STRING) {
		apply_flags(c, insn, row, *flags);
		decode_string(c, insn);
		return 0;
	}
	if (*flags & MOFFS) {
		apply_flags(c, insn, row, *flags);
		return decode_moffs(c, insn);
	}

	ret = fetch_byte(c, &modrm);
	if (ret)
		return ret;
	if (modrm >> 6 == 3)
		return MV_DECODE_UNCLAIMED;	/* no memory operand */
	if (row->group) {
		row = &groups[row->group][(modrm >> 3) & 7];
		if (!row->form)
			return MV_DECODE_UNCLAIMED;
		*flags |= row->flags;
	}

	apply_flags(c, insn, row, *flags);
	if (row->form == MV_FORM_MR || row->form == MV_FORM_RM)
		decode_reg(c, insn, modrm);
	insn->bit_string = row->form == MV_FORM_MR &&
			   row->op >= MV_OP_BT && row->op <= MV_OP_BTC;
	return decode_mem(c, insn, modrm);
}

/**
 * mv_decode() - decode an instruction that may have a memory operand
 * @insn: result, meaningful only if 0 is returned
 * @bytes: the instruction
 * @avail: how many of its bytes are at @bytes; those after its end are ignored
 * @mode: default operand and address size of the code segment
 *
 * Context: any; no state but its arguments.
 *
 * Return: 0; or MV_DECODE_TRUNCATED: call again with more bytes (never with
 * @avail >= MV_INSN_MAX); MV_DECODE_UNCLAIMED: report an internal error;
 * MV_DECODE_UD, MV_DECODE_GP: give the guest that fault.
 */
int mv_decode(struct mv_insn *insn, const u8 *bytes, unsigned int avail,
	      enum mv_insn_mode mode)
{
	struct cursor c = {
		.bytes = bytes,
		.avail = avail,
		.mode = mode,
		.seg_override = MV_NO_REG,
	};
	const struct opcode *row;
	u16 flags;
	u8 first;
	int ret;

	*insn = (struct mv_insn) {
		.reg = MV_NO_REG,
		.mem = { .base = MV_NO_REG, .index = MV_NO_REG, .scale = 1 },
	};

	ret = fetch_prefixes(&c, insn, &first);
	if (ret)
		return ret;
	resolve_sizes(&c, insn);
	ret = fetch_opcode(&c, first, &row);
	if (ret)
		return ret;
	ret = decode_operands(&c, insn, row, &flags);
	if (ret)
		return ret;
	ret = decode_imm(&c, insn, flags);
	if (ret)
		return ret;
	if (insn->lock && !(flags & LK))
		return MV_DECODE_UD;

	insn->len = c.pos;
	return 0;
}

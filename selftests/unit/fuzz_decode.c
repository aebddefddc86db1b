// SPDX-License-Identifier: GPL-2.0
/*
 * core/decode.c against Zydis, an independent decoder.
 *
 * Random bytes, biased to the forms that we claim, go through both.  What we
 * claim must agree in everything that we report; what we call #UD or #GP must
 * be invalid to Zydis; and a form in forms[] must be claimed whenever Zydis
 * decodes it with a memory operand.  Each form must have been hit in every
 * mode where it exists, so that none can be claimed and never exercised.
 *
 * usage: fuzz_decode [-n INPUTS | -t SECONDS] [-s SEED]
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <Zydis/Zydis.h>

#include "alu.h"
#include "decode.h"
#include "kselftest.h"
#include "rand.h"

#define ANY	(-1)	/* ModRM.reg is a register, not part of the opcode */
#define ALL	7	/* modes: a bit for each enum mv_insn_mode */
#define ONLY64	BIT(MV_INSN_64)
#define NOT64	(ALL & ~ONLY64)

static const struct form {
	u16 opcode;		/* 0x0f00 | second byte for two-byte opcodes */
	s8 reg;
	u8 modes;
	enum mv_insn_op op;
	enum mv_insn_form form;
} forms[] = {
	{ 0x00, ANY, ALL, MV_OP_ADD, MV_FORM_MR },
	{ 0x01, ANY, ALL, MV_OP_ADD, MV_FORM_MR },
	{ 0x02, ANY, ALL, MV_OP_ADD, MV_FORM_RM },
	{ 0x03, ANY, ALL, MV_OP_ADD, MV_FORM_RM },
	{ 0x08, ANY, ALL, MV_OP_OR, MV_FORM_MR },
	{ 0x09, ANY, ALL, MV_OP_OR, MV_FORM_MR },
	{ 0x0a, ANY, ALL, MV_OP_OR, MV_FORM_RM },
	{ 0x0b, ANY, ALL, MV_OP_OR, MV_FORM_RM },
	{ 0x10, ANY, ALL, MV_OP_ADC, MV_FORM_MR },
	{ 0x11, ANY, ALL, MV_OP_ADC, MV_FORM_MR },
	{ 0x12, ANY, ALL, MV_OP_ADC, MV_FORM_RM },
	{ 0x13, ANY, ALL, MV_OP_ADC, MV_FORM_RM },
	{ 0x18, ANY, ALL, MV_OP_SBB, MV_FORM_MR },
	{ 0x19, ANY, ALL, MV_OP_SBB, MV_FORM_MR },
	{ 0x1a, ANY, ALL, MV_OP_SBB, MV_FORM_RM },
	{ 0x1b, ANY, ALL, MV_OP_SBB, MV_FORM_RM },
	{ 0x20, ANY, ALL, MV_OP_AND, MV_FORM_MR },
	{ 0x21, ANY, ALL, MV_OP_AND, MV_FORM_MR },
	{ 0x22, ANY, ALL, MV_OP_AND, MV_FORM_RM },
	{ 0x23, ANY, ALL, MV_OP_AND, MV_FORM_RM },
	{ 0x28, ANY, ALL, MV_OP_SUB, MV_FORM_MR },
	{ 0x29, ANY, ALL, MV_OP_SUB, MV_FORM_MR },
	{ 0x2a, ANY, ALL, MV_OP_SUB, MV_FORM_RM },
	{ 0x2b, ANY, ALL, MV_OP_SUB, MV_FORM_RM },
	{ 0x30, ANY, ALL, MV_OP_XOR, MV_FORM_MR },
	{ 0x31, ANY, ALL, MV_OP_XOR, MV_FORM_MR },
	{ 0x32, ANY, ALL, MV_OP_XOR, MV_FORM_RM },
	{ 0x33, ANY, ALL, MV_OP_XOR, MV_FORM_RM },
	{ 0x38, ANY, ALL, MV_OP_CMP, MV_FORM_MR },
	{ 0x39, ANY, ALL, MV_OP_CMP, MV_FORM_MR },
	{ 0x3a, ANY, ALL, MV_OP_CMP, MV_FORM_RM },
	{ 0x3b, ANY, ALL, MV_OP_CMP, MV_FORM_RM },
	{ 0x63, ANY, ONLY64, MV_OP_MOVSX, MV_FORM_RM },
	{ 0x80, 0, ALL, MV_OP_ADD, MV_FORM_MI },
	{ 0x80, 1, ALL, MV_OP_OR, MV_FORM_MI },
	{ 0x80, 2, ALL, MV_OP_ADC, MV_FORM_MI },
	{ 0x80, 3, ALL, MV_OP_SBB, MV_FORM_MI },
	{ 0x80, 4, ALL, MV_OP_AND, MV_FORM_MI },
	{ 0x80, 5, ALL, MV_OP_SUB, MV_FORM_MI },
	{ 0x80, 6, ALL, MV_OP_XOR, MV_FORM_MI },
	{ 0x80, 7, ALL, MV_OP_CMP, MV_FORM_MI },
	{ 0x81, 0, ALL, MV_OP_ADD, MV_FORM_MI },
	{ 0x81, 1, ALL, MV_OP_OR, MV_FORM_MI },
	{ 0x81, 2, ALL, MV_OP_ADC, MV_FORM_MI },
	{ 0x81, 3, ALL, MV_OP_SBB, MV_FORM_MI },
	{ 0x81, 4, ALL, MV_OP_AND, MV_FORM_MI },
	{ 0x81, 5, ALL, MV_OP_SUB, MV_FORM_MI },
	{ 0x81, 6, ALL, MV_OP_XOR, MV_FORM_MI },
	{ 0x81, 7, ALL, MV_OP_CMP, MV_FORM_MI },
	{ 0x82, 0, NOT64, MV_OP_ADD, MV_FORM_MI },
	{ 0x82, 1, NOT64, MV_OP_OR, MV_FORM_MI },
	{ 0x82, 2, NOT64, MV_OP_ADC, MV_FORM_MI },
	{ 0x82, 3, NOT64, MV_OP_SBB, MV_FORM_MI },
	{ 0x82, 4, NOT64, MV_OP_AND, MV_FORM_MI },
	{ 0x82, 5, NOT64, MV_OP_SUB, MV_FORM_MI },
	{ 0x82, 6, NOT64, MV_OP_XOR, MV_FORM_MI },
	{ 0x82, 7, NOT64, MV_OP_CMP, MV_FORM_MI },
	{ 0x83, 0, ALL, MV_OP_ADD, MV_FORM_MI },
	{ 0x83, 1, ALL, MV_OP_OR, MV_FORM_MI },
	{ 0x83, 2, ALL, MV_OP_ADC, MV_FORM_MI },
	{ 0x83, 3, ALL, MV_OP_SBB, MV_FORM_MI },
	{ 0x83, 4, ALL, MV_OP_AND, MV_FORM_MI },
	{ 0x83, 5, ALL, MV_OP_SUB, MV_FORM_MI },
	{ 0x83, 6, ALL, MV_OP_XOR, MV_FORM_MI },
	{ 0x83, 7, ALL, MV_OP_CMP, MV_FORM_MI },
	{ 0x84, ANY, ALL, MV_OP_TEST, MV_FORM_MR },
	{ 0x85, ANY, ALL, MV_OP_TEST, MV_FORM_MR },
	{ 0x86, ANY, ALL, MV_OP_XCHG, MV_FORM_MR },
	{ 0x87, ANY, ALL, MV_OP_XCHG, MV_FORM_MR },
	{ 0x88, ANY, ALL, MV_OP_MOV, MV_FORM_MR },
	{ 0x89, ANY, ALL, MV_OP_MOV, MV_FORM_MR },
	{ 0x8a, ANY, ALL, MV_OP_MOV, MV_FORM_RM },
	{ 0x8b, ANY, ALL, MV_OP_MOV, MV_FORM_RM },
	{ 0xa0, ANY, ALL, MV_OP_MOV, MV_FORM_RM },
	{ 0xa1, ANY, ALL, MV_OP_MOV, MV_FORM_RM },
	{ 0xa2, ANY, ALL, MV_OP_MOV, MV_FORM_MR },
	{ 0xa3, ANY, ALL, MV_OP_MOV, MV_FORM_MR },
	{ 0xa4, ANY, ALL, MV_OP_MOVS, MV_FORM_STRING },
	{ 0xa5, ANY, ALL, MV_OP_MOVS, MV_FORM_STRING },
	{ 0xa6, ANY, ALL, MV_OP_CMPS, MV_FORM_STRING },
	{ 0xa7, ANY, ALL, MV_OP_CMPS, MV_FORM_STRING },
	{ 0xaa, ANY, ALL, MV_OP_STOS, MV_FORM_STRING },
	{ 0xab, ANY, ALL, MV_OP_STOS, MV_FORM_STRING },
	{ 0xac, ANY, ALL, MV_OP_LODS, MV_FORM_STRING },
	{ 0xad, ANY, ALL, MV_OP_LODS, MV_FORM_STRING },
	{ 0xae, ANY, ALL, MV_OP_SCAS, MV_FORM_STRING },
	{ 0xaf, ANY, ALL, MV_OP_SCAS, MV_FORM_STRING },
	{ 0xc6, 0, ALL, MV_OP_MOV, MV_FORM_MI },
	{ 0xc7, 0, ALL, MV_OP_MOV, MV_FORM_MI },
	{ 0xf6, 0, ALL, MV_OP_TEST, MV_FORM_MI },
	{ 0xf6, 1, ALL, MV_OP_TEST, MV_FORM_MI },
	{ 0xf6, 2, ALL, MV_OP_NOT, MV_FORM_M },
	{ 0xf6, 3, ALL, MV_OP_NEG, MV_FORM_M },
	{ 0xf7, 0, ALL, MV_OP_TEST, MV_FORM_MI },
	{ 0xf7, 1, ALL, MV_OP_TEST, MV_FORM_MI },
	{ 0xf7, 2, ALL, MV_OP_NOT, MV_FORM_M },
	{ 0xf7, 3, ALL, MV_OP_NEG, MV_FORM_M },
	{ 0xfe, 0, ALL, MV_OP_INC, MV_FORM_M },
	{ 0xfe, 1, ALL, MV_OP_DEC, MV_FORM_M },
	{ 0xff, 0, ALL, MV_OP_INC, MV_FORM_M },
	{ 0xff, 1, ALL, MV_OP_DEC, MV_FORM_M },
	{ 0x0fa3, ANY, ALL, MV_OP_BT, MV_FORM_MR },
	{ 0x0fab, ANY, ALL, MV_OP_BTS, MV_FORM_MR },
	{ 0x0fb0, ANY, ALL, MV_OP_CMPXCHG, MV_FORM_MR },
	{ 0x0fb1, ANY, ALL, MV_OP_CMPXCHG, MV_FORM_MR },
	{ 0x0fb3, ANY, ALL, MV_OP_BTR, MV_FORM_MR },
	{ 0x0fb6, ANY, ALL, MV_OP_MOVZX, MV_FORM_RM },
	{ 0x0fb7, ANY, ALL, MV_OP_MOVZX, MV_FORM_RM },
	{ 0x0fba, 4, ALL, MV_OP_BT, MV_FORM_MI },
	{ 0x0fba, 5, ALL, MV_OP_BTS, MV_FORM_MI },
	{ 0x0fba, 6, ALL, MV_OP_BTR, MV_FORM_MI },
	{ 0x0fba, 7, ALL, MV_OP_BTC, MV_FORM_MI },
	{ 0x0fbb, ANY, ALL, MV_OP_BTC, MV_FORM_MR },
	{ 0x0fbe, ANY, ALL, MV_OP_MOVSX, MV_FORM_RM },
	{ 0x0fbf, ANY, ALL, MV_OP_MOVSX, MV_FORM_RM },
	{ 0x0fc0, ANY, ALL, MV_OP_XADD, MV_FORM_MR },
	{ 0x0fc1, ANY, ALL, MV_OP_XADD, MV_FORM_MR },
	{ 0x0fc3, ANY, ALL, MV_OP_MOV, MV_FORM_MR },
};

#define NR_FORMS	ARRAY_SIZE(forms)
#define NR_MODES	3

/* What Zydis calls our operations; of string forms the one-byte name. */
static const ZydisMnemonic mnemonics[] = {
	[MV_OP_ADD] = ZYDIS_MNEMONIC_ADD,
	[MV_OP_OR] = ZYDIS_MNEMONIC_OR,
	[MV_OP_ADC] = ZYDIS_MNEMONIC_ADC,
	[MV_OP_SBB] = ZYDIS_MNEMONIC_SBB,
	[MV_OP_AND] = ZYDIS_MNEMONIC_AND,
	[MV_OP_SUB] = ZYDIS_MNEMONIC_SUB,
	[MV_OP_XOR] = ZYDIS_MNEMONIC_XOR,
	[MV_OP_CMP] = ZYDIS_MNEMONIC_CMP,
	[MV_OP_TEST] = ZYDIS_MNEMONIC_TEST,
	[MV_OP_NOT] = ZYDIS_MNEMONIC_NOT,
	[MV_OP_NEG] = ZYDIS_MNEMONIC_NEG,
	[MV_OP_INC] = ZYDIS_MNEMONIC_INC,
	[MV_OP_DEC] = ZYDIS_MNEMONIC_DEC,
	[MV_OP_BT] = ZYDIS_MNEMONIC_BT,
	[MV_OP_BTS] = ZYDIS_MNEMONIC_BTS,
	[MV_OP_BTR] = ZYDIS_MNEMONIC_BTR,
	[MV_OP_BTC] = ZYDIS_MNEMONIC_BTC,
	[MV_OP_MOV] = ZYDIS_MNEMONIC_MOV,
	[MV_OP_MOVZX] = ZYDIS_MNEMONIC_MOVZX,
	[MV_OP_MOVSX] = ZYDIS_MNEMONIC_MOVSX,
	[MV_OP_XCHG] = ZYDIS_MNEMONIC_XCHG,
	[MV_OP_XADD] = ZYDIS_MNEMONIC_XADD,
	[MV_OP_CMPXCHG] = ZYDIS_MNEMONIC_CMPXCHG,
	[MV_OP_MOVS] = ZYDIS_MNEMONIC_MOVSB,
	[MV_OP_CMPS] = ZYDIS_MNEMONIC_CMPSB,
	[MV_OP_STOS] = ZYDIS_MNEMONIC_STOSB,
	[MV_OP_LODS] = ZYDIS_MNEMONIC_LODSB,
	[MV_OP_SCAS] = ZYDIS_MNEMONIC_SCASB,
};

static const ZydisMnemonic wide_strings[][9] = {
	[MV_OP_MOVS] = { [2] = ZYDIS_MNEMONIC_MOVSW, [4] = ZYDIS_MNEMONIC_MOVSD,
			 [8] = ZYDIS_MNEMONIC_MOVSQ },
	[MV_OP_CMPS] = { [2] = ZYDIS_MNEMONIC_CMPSW, [4] = ZYDIS_MNEMONIC_CMPSD,
			 [8] = ZYDIS_MNEMONIC_CMPSQ },
	[MV_OP_STOS] = { [2] = ZYDIS_MNEMONIC_STOSW, [4] = ZYDIS_MNEMONIC_STOSD,
			 [8] = ZYDIS_MNEMONIC_STOSQ },
	[MV_OP_LODS] = { [2] = ZYDIS_MNEMONIC_LODSW, [4] = ZYDIS_MNEMONIC_LODSD,
			 [8] = ZYDIS_MNEMONIC_LODSQ },
	[MV_OP_SCAS] = { [2] = ZYDIS_MNEMONIC_SCASW, [4] = ZYDIS_MNEMONIC_SCASD,
			 [8] = ZYDIS_MNEMONIC_SCASQ },
};

/* One input and what Zydis says about it. */
struct input {
	u8 bytes[MV_INSN_MAX];
	enum mv_insn_mode mode;
	ZyanStatus status;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};

static ZydisDecoder decoders[NR_MODES];
static u64 hits[NR_FORMS][NR_MODES];
static u64 nr_claimed, nr_unclaimed, nr_ud, nr_gp;

/* Buffers of exactly n bytes: AddressSanitizer sees a read beyond the end. */
static u8 *exact[MV_INSN_MAX + 1];

static const char *reason;	/* why the last comparison failed */

static bool differ(const char *what)
{
	reason = what;
	return false;
}

/* Generating an input */

static void put(struct input *in, unsigned int *len, u8 byte)
{
	if (*len < MV_INSN_MAX)
		in->bytes[(*len)++] = byte;
}

static void put_prefixes(struct input *in, unsigned int *len, u64 *rand)
{
	static const u8 prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0x66, 0x67,
		0xf0, 0xf0, 0xf2, 0xf3, 0x40, 0x48,
	};
	unsigned int nr = rand_percent(rand, 1) ? MV_INSN_MAX : 4;
	unsigned int i;

	for (i = rand_below(rand, nr); i; i--)
		put(in, len, prefixes[rand_below(rand, sizeof(prefixes))]);
	if (in->mode == MV_INSN_64 && rand_percent(rand, 50))
		put(in, len, 0x40 | rand_below(rand, 16));
}

static void generate(struct input *in, u64 *rand)
{
	const struct form *form = &forms[rand_below(rand, NR_FORMS)];
	unsigned int len = 0, i;
	u8 modrm;

	for (i = 0; i < MV_INSN_MAX; i++)
		in->bytes[i] = rand64(rand);
	in->mode = rand_below(rand, NR_MODES);
	put_prefixes(in, &len, rand);
	if (rand_percent(rand, 10))
		return;			/* any opcode */

	if (form->opcode > 0xff)
		put(in, &len, 0x0f);
	put(in, &len, form->opcode);

	modrm = rand64(rand);
	if (rand_percent(rand, 90) && modrm >> 6 == 3)
		modrm &= 0x3f;
	if (form->reg != ANY && rand_percent(rand, 90))
		modrm = (modrm & ~0x38) | form->reg << 3;
	if (form->form != MV_FORM_STRING && rand_percent(rand, 98))
		put(in, &len, modrm);
}

/* Comparing */

static u64 low(u64 value, unsigned int bytes)
{
	return mv_truncate(value, bytes);
}

static u8 gpr_number(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return MV_NO_REG;
	reg = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return ZydisRegisterGetId(reg);
}

static bool is_high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

static bool same_reg(const struct mv_insn *insn, const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return differ("register operand");
	if (gpr_number(op->reg.value) != insn->reg ||
	    is_high_byte(op->reg.value) != insn->high_byte)
		return differ("register");
	if (op->size != 8 * insn->reg_size)
		return differ("register size");
	return true;
}

static bool same_address(const struct mv_insn *insn,
			 const struct mv_insn_mem *mem,
			 const ZydisDecodedOperand *op)
{
	bool rip = op->mem.base == ZYDIS_REGISTER_RIP ||
		   op->mem.base == ZYDIS_REGISTER_EIP;

	if (rip != mem->rip)
		return differ("RIP-relative");
	if ((rip ? MV_NO_REG : gpr_number(op->mem.base)) != mem->base)
		return differ("base");
	if (gpr_number(op->mem.index) != mem->index)
		return differ("index");
	if (mem->index != MV_NO_REG && op->mem.scale != mem->scale)
		return differ("scale");
	if (mem->index == MV_NO_REG && mem->scale != 1)
		return differ("scale without index");
	if (low(op->mem.disp.value, insn->addr_size) !=
	    low(mem->disp, insn->addr_size))
		return differ("displacement");
	if (op->mem.segment - ZYDIS_REGISTER_ES != mem->seg)
		return differ("segment");
	return true;
}

static bool same_mem(const struct mv_insn *insn, const struct mv_insn_mem *mem,
		     bool reads, bool writes, const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return differ("memory operand");
	if (op->size != 8 * insn->mem_size)
		return differ("memory operand's size");
	if (!!(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != reads)
		return differ("reads memory");
	if (!!(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != writes)
		return differ("writes memory");
	return same_address(insn, mem, op);
}

static bool same_main_mem(const struct mv_insn *insn,
			  const ZydisDecodedOperand *op)
{
	return same_mem(insn, &insn->mem, insn->reads, insn->writes, op);
}

/* An offset of the BT family counts modulo the operand's bits. */
static bool same_imm(const struct mv_insn *insn, const ZydisDecodedOperand *op)
{
	bool bit = insn->op >= MV_OP_BT && insn->op <= MV_OP_BTC;
	unsigned int size = bit ? 1 : insn->mem_size;

	if (op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return differ("immediate operand");
	if (low(op->imm.value.u, size) != low(insn->imm, size))
		return differ("immediate");
	return true;
}

/* Zydis names the destination first, as the SDM does. */
static bool same_string(const struct mv_insn *insn,
			const ZydisDecodedOperand *ops)
{
	static const struct mv_insn_mem es_di = {
		.base = MV_REG_DI, .index = MV_NO_REG, .scale = 1,
		.seg = MV_INSN_ES,
	};

	switch (insn->op) {
	case MV_OP_MOVS:
		return same_mem(insn, &es_di, false, true, &ops[0]) &&
		       same_main_mem(insn, &ops[1]);
	case MV_OP_CMPS:
		return same_main_mem(insn, &ops[0]) &&
		       same_mem(insn, &es_di, true, false, &ops[1]);
	case MV_OP_STOS:
		return same_main_mem(insn, &ops[0]) && same_reg(insn, &ops[1]);
	case MV_OP_LODS:
		return same_reg(insn, &ops[0]) && same_main_mem(insn, &ops[1]);
	case MV_OP_SCAS:
		return same_reg(insn, &ops[0]) && same_main_mem(insn, &ops[1]);
	default:
		return differ("not a string operation");
	}
}

static bool same_operands(const struct mv_insn *insn, const struct input *in)
{
	const ZydisDecodedOperand *ops = in->ops;

	switch (insn->form) {
	case MV_FORM_MR:
		return same_main_mem(insn, &ops[0]) && same_reg(insn, &ops[1]);
	case MV_FORM_RM:
		return same_reg(insn, &ops[0]) && same_main_mem(insn, &ops[1]);
	case MV_FORM_MI:
		return same_main_mem(insn, &ops[0]) && same_imm(insn, &ops[1]);
	case MV_FORM_M:
		return same_main_mem(insn, &ops[0]);
	case MV_FORM_STRING:
		return same_string(insn, ops);
	default:
		return differ("no form");
	}
}

static bool same_prefixes(const struct mv_insn *insn, const struct input *in)
{
	u64 attributes = in->z.attributes;
	bool f3 = attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
	bool f2 = attributes & ZYDIS_ATTRIB_HAS_REPNE;
	u8 rep = f3 ? 0xf3 : f2 ? 0xf2 : 0;

	if (!!(attributes & ZYDIS_ATTRIB_HAS_LOCK) != insn->lock)
		return differ("LOCK");
	if (in->z.address_width != 8 * insn->addr_size)
		return differ("address size");
	if (insn->rep != rep)
		return differ("REP");
	return true;
}

static u16 opcode_of(const ZydisDecodedInstruction *z)
{
	return z->opcode_map == ZYDIS_OPCODE_MAP_0F ? 0x0f00 | z->opcode :
						      z->opcode;
}

/* The row of forms[] that this is, or NULL. */
static const struct form *find_form(const struct input *in)
{
	const ZydisDecodedInstruction *z = &in->z;
	unsigned int i;

	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    z->opcode_map > ZYDIS_OPCODE_MAP_0F)
		return NULL;
	for (i = 0; i < NR_FORMS; i++) {
		if (forms[i].opcode == opcode_of(z) &&
		    forms[i].modes & BIT(in->mode) &&
		    (forms[i].reg == ANY || forms[i].reg == z->raw.modrm.reg))
			return &forms[i];
	}
	return NULL;
}

static ZydisMnemonic expected_mnemonic(const struct mv_insn *insn, u16 opcode)
{
	if (opcode == 0x63)
		return ZYDIS_MNEMONIC_MOVSXD;
	if (opcode == 0x0fc3)
		return ZYDIS_MNEMONIC_MOVNTI;
	if (insn->form == MV_FORM_STRING && insn->mem_size > 1)
		return wide_strings[insn->op][insn->mem_size];
	return mnemonics[insn->op];
}

static bool check_claimed(const struct mv_insn *insn, const struct input *in)
{
	const struct form *form;

	if (!ZYAN_SUCCESS(in->status))
		return differ("claimed, but invalid");
	form = find_form(in);
	if (!form)
		return differ("claimed, but not in forms[]");
	if (insn->len != in->z.length)
		return differ("length");
	if (insn->op != form->op || insn->form != form->form)
		return differ("operation");
	if (in->z.mnemonic != expected_mnemonic(insn, form->opcode))
		return differ("mnemonic");
	if (!same_prefixes(insn, in) || !same_operands(insn, in))
		return false;
	nr_claimed++;
	hits[form - forms][in->mode]++;
	return true;
}

static bool has_memory_operand(const struct input *in)
{
	unsigned int i;

	for (i = 0; i < in->z.operand_count; i++) {
		if (in->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return true;
	}
	return false;
}

static bool check_unclaimed(const struct input *in)
{
	nr_unclaimed++;
	if (ZYAN_SUCCESS(in->status) && find_form(in) && has_memory_operand(in))
		return differ("not claimed, but in forms[]");
	return true;
}

/* With fewer bytes the answer is "more" or the same as with all of them. */
static bool check_short(const struct mv_insn *full, int ret,
			const struct input *in, unsigned int avail)
{
	struct mv_insn insn;
	int short_ret;

	memcpy(exact[avail], in->bytes, avail);
	short_ret = mv_decode(&insn, exact[avail], avail, in->mode);
	if (short_ret == MV_DECODE_TRUNCATED)
		return ret || avail < full->len ||
		       differ("wants more bytes than it has");
	if (short_ret != ret)
		return differ("changes its mind with more bytes");
	if (!ret && (avail < full->len || memcmp(&insn, full, sizeof(insn))))
		return differ("decodes a part differently");
	return true;
}

static bool check(const struct input *in, u64 *rand)
{
	struct mv_insn insn;
	int ret;

	memcpy(exact[MV_INSN_MAX], in->bytes, MV_INSN_MAX);
	ret = mv_decode(&insn, exact[MV_INSN_MAX], MV_INSN_MAX, in->mode);
	if (!check_short(&insn, ret, in, rand_below(rand, MV_INSN_MAX)))
		return false;

	switch (ret) {
	case 0:
		return check_claimed(&insn, in);
	case MV_DECODE_UNCLAIMED:
		return check_unclaimed(in);
	case MV_DECODE_UD:
		nr_ud++;
		return !ZYAN_SUCCESS(in->status) || differ("#UD, but valid");
	case MV_DECODE_GP:
		nr_gp++;
		return in->status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
		       in->status == ZYDIS_STATUS_NO_MORE_DATA ||
		       differ("#GP, but not too long");
	default:
		return differ("unexpected return value");
	}
}

/* Running and reporting */

static void print_failure(const struct input *in, u64 nr)
{
	static const char * const bits[] = { "16", "32", "64" };
	unsigned int i;

	ksft_print_msg("input %llu, %s-bit: %s:", (unsigned long long)nr,
		       bits[in->mode], reason);
	for (i = 0; i < MV_INSN_MAX; i++)
		printf(" %02x", in->bytes[i]);
	printf(" (Zydis: %#x %s)\n", (unsigned int)in->status,
	       ZYAN_SUCCESS(in->status) ?
	       ZydisMnemonicGetString(in->z.mnemonic) : "");
}

/*
 * Zydis 4.0 takes a SIB byte with base 5 and ModRM.mod 0 for R13 without
 * displacement if REX.B is set.  It is no base and a displacement: REX.B is
 * "not decoded" there (SDM vol. 2, table 2-5), and real CPUs do that.
 */
static void correct_sib(const struct input *in, ZydisDecodedOperand *mem)
{
	if (in->z.attributes & ZYDIS_ATTRIB_HAS_SIB &&
	    in->z.raw.sib.base == 5 && !in->z.raw.modrm.mod) {
		mem->mem.base = ZYDIS_REGISTER_NONE;
		mem->mem.disp.value = in->z.raw.disp.value;
	}
}

/*
 * Zydis 4.0 has MOVSXD with a 16-bit register read 32 bits.  The SDM says 16,
 * and a real CPU reads two bytes before an unmapped page without a fault.
 */
static void correct_movsxd(const struct input *in, ZydisDecodedOperand *mem)
{
	if (in->z.mnemonic == ZYDIS_MNEMONIC_MOVSXD &&
	    in->z.operand_width == 16)
		mem->size = 16;
}

static void ask_zydis(struct input *in)
{
	unsigned int i;

	in->status = ZydisDecoderDecodeFull(&decoders[in->mode], in->bytes,
					    MV_INSN_MAX, &in->z, in->ops);
	if (!ZYAN_SUCCESS(in->status))
		return;
	for (i = 0; i < in->z.operand_count; i++) {
		if (in->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			correct_sib(in, &in->ops[i]);
			correct_movsxd(in, &in->ops[i]);
		}
	}
}

static u64 seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* @limit inputs, or as many as fit into @time seconds if that is not 0. */
static bool fuzz(u64 *rand, u64 limit, u64 time)
{
	u64 end = seconds() + time;
	struct input in;
	u64 nr;

	for (nr = 0; time || nr < limit; nr++) {
		if (time && nr % 4096 == 0 && seconds() >= end)
			break;
		generate(&in, rand);
		ask_zydis(&in);
		if (!check(&in, rand)) {
			print_failure(&in, nr);
			return false;
		}
	}
	ksft_print_msg("%llu inputs: %llu claimed, %llu not, %llu #UD, %llu #GP\n",
		       (unsigned long long)nr, (unsigned long long)nr_claimed,
		       (unsigned long long)nr_unclaimed,
		       (unsigned long long)nr_ud, (unsigned long long)nr_gp);
	return true;
}

static void report_form(unsigned int i)
{
	const struct form *form = &forms[i];
	bool hit = true;
	unsigned int mode;
	const char *map = form->opcode > 0xff ? "0f " : "";
	u8 opcode = form->opcode;
	char name[16];

	for (mode = 0; mode < NR_MODES; mode++) {
		if (form->modes & BIT(mode) && !hits[i][mode])
			hit = false;
	}
	if (form->reg == ANY)
		snprintf(name, sizeof(name), "%s%02x", map, opcode);
	else
		snprintf(name, sizeof(name), "%s%02x/%d", map, opcode,
			 form->reg);
	ksft_test_result(hit, "decode %-6s %-8s %7llu %7llu %7llu\n", name,
			 ZydisMnemonicGetString(mnemonics[form->op]),
			 (unsigned long long)hits[i][MV_INSN_16],
			 (unsigned long long)hits[i][MV_INSN_32],
			 (unsigned long long)hits[i][MV_INSN_64]);
}

static void set_up(void)
{
	unsigned int i;

	for (i = 0; i <= MV_INSN_MAX; i++) {
		exact[i] = malloc(i);
		if (!exact[i] && i) {
			perror("fuzz_decode: malloc");
			exit(1);
		}
	}
	ZydisDecoderInit(&decoders[MV_INSN_16], ZYDIS_MACHINE_MODE_LEGACY_16,
			 ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoders[MV_INSN_32], ZYDIS_MACHINE_MODE_LEGACY_32,
			 ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[MV_INSN_64], ZYDIS_MACHINE_MODE_LONG_64,
			 ZYDIS_STACK_WIDTH_64);
}

int main(int argc, char **argv)
{
	u64 limit = 1000000, time = 0, seed = 1;
	unsigned int i;
	bool good;
	int opt;

	while ((opt = getopt(argc, argv, "n:t:s:")) != -1) {
		switch (opt) {
		case 'n':
			limit = strtoull(optarg, NULL, 0);
			break;
		case 't':
			time = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: fuzz_decode [-n INPUTS | -t SECONDS] [-s SEED]\n");
			return 2;
		}
	}

	set_up();
	ksft_print_header();
	ksft_set_plan(NR_FORMS + 1);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	good = fuzz(&seed, limit, time);
	ksft_print_msg("hits in 16-bit, 32-bit and 64-bit mode:\n");
	for (i = 0; i < NR_FORMS; i++)
		report_form(i);
	ksft_test_result(good, "decode agrees with Zydis\n");
	ksft_finished();
}

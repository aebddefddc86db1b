// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a guest program from a mode and a number.
 *
 * What exits or is emulated is much likelier than what the CPU does alone.
 * Left out: what minivmm documents that it does not do (instructions that
 * core/decode.c does not claim, on device memory; task switches; string I/O to
 * and from devices), MSRs that one of the two does not have, and all that shows
 * time or is random.
 */
#include <string.h>

#include "diff.h"

/* Bits 3, 5 and 15 are always 0, and VM entry insists. */
#define RFLAGS_RESERVED	0x8028UL

struct gen {
	struct program *p;
	u64 random;
	int bits;
};

/* An instruction in the making, from the opcode on */
struct insn {
	u8 b[32];
	u8 n;
	u8 rip_at;		/* a displacement to be made relative here */
	u64 rip_target;
	u8 rex;
	bool p66, p67;
	u8 seg;
	u8 pre;			/* LOCK or REP */
};

static u32 below(struct gen *g, u32 n)
{
	return next_random(&g->random) % n;
}

static bool chance(struct gen *g, u32 percent)
{
	return below(g, 100) < percent;
}

/* @array is an array or a compound literal, evaluated once. */
#define PICK(g, array)	((array)[below(g, ARRAY_SIZE(array))])

/* ---- bytes ---------------------------------------------------------------- */

static void byte(struct insn *i, u8 b)
{
	i->b[i->n++] = b;
}

static void bytes(struct insn *i, u64 value, u32 n)
{
	while (n--) {
		byte(i, value);
		value >>= 8;
	}
}

/* The next instruction begins. */
static bool begin(struct gen *g)
{
	struct program *p = g->p;

	if (p->nr == MAX_INSNS || p->len > MAX_CODE - 24)
		return false;
	p->start[p->nr++] = p->len;
	p->start[p->nr] = p->len;
	return true;
}

static void raw(struct gen *g, const void *data, u32 n)
{
	struct program *p = g->p;

	memcpy(p->code + p->len, data, n);
	p->len += n;
	p->start[p->nr] = p->len;
}

static void finish(struct gen *g, struct insn *i)
{
	struct program *p = g->p;
	u8 pre[8], n = 0;
	u32 total;

	if (!begin(g))
		return;
	if (i->pre)
		pre[n++] = i->pre;
	if (i->seg)
		pre[n++] = i->seg;
	if (i->p66)
		pre[n++] = 0x66;
	if (i->p67)
		pre[n++] = 0x67;
	if (i->rex)
		pre[n++] = i->rex;
	total = n + i->n;
	if (i->rip_at) {
		u32 disp = i->rip_target - (p->org + p->len + total);

		memcpy(i->b + i->rip_at, &disp, 4);
	}
	raw(g, pre, n);
	raw(g, i->b, i->n);
}

static void simple(struct gen *g, const void *data, u32 n)
{
	if (begin(g))
		raw(g, data, n);
}

#define SIMPLE(g, string)	simple(g, string, sizeof(string) - 1)

/* ---- values ---------------------------------------------------------------- */

static u64 value(struct gen *g)
{
	static const u64 values[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
		0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0x8000000000000000, ~0ULL, ~1ULL,
	};

	if (chance(g, 60))
		return PICK(g, values);
	return next_random(&g->random) >> below(g, 64);
}

static u64 pointer16(struct gen *g)
{
	static const u16 offsets[] = {
		0, 1, 4, 0x10, 0xffc, 0xffe, 0xfff, 0x1000, 0x3000, 0x3ffe,
		0x4000, 0x8000, 0xfff8, 0xfffc, 0xfffe, 0xffff, 0x17c, 0x5551,
	};

	return chance(g, 90) ? PICK(g, offsets) : below(g, 0x10000);
}

static u64 pointer(struct gen *g)
{
	static const u64 special[] = {
		PAGE_RO, PAGE_SUPERVISOR, PAGE_ABSENT, PAGE_NX, PAGE_DEVICE,
		PAGE_UNUSED, PAGE_ROM, PAGE_RESERVED, PAGE_RESERVED + 0x1000,
		RAM_SIZE, ROM_GPA, ROM_GPA + ROM_SIZE, 0x200000, 0x400000,
		DEVICE_GPA + 0x1000,
	};
	static const u64 far[] = {
		0x7fffffffffff, 0x800000000000, 0xffff7fffffffffff,
		0xffffff8000030000, 0xffffff800001fffe, 0x8000000000000000,
		0x40030000, 0x80000000, 0xfffffffe, 0x7ffffffffffe,
		0xffffffffffffffff, 0xfffffffffffffffc,
	};
	u32 what = below(g, 100);

	if (g->bits == 16)
		return pointer16(g);
	if (what < 45)
		return DEVICE_GPA + below(g, 0x2000);
	if (what < 75)
		return PICK(g, special) - below(g, 9) + below(g, 2) * 0x100;
	if (what < 92)
		return DATA_GPA + below(g, 0x1800);
	return PICK(g, far);
}

/* ---- operands -------------------------------------------------------------- */

static u8 reg_number(struct gen *g)
{
	return below(g, g->bits == 64 ? 16 : 8);
}

/* RBX, RBP, RSI, RDI, R8 and up start as pointers. */
static u8 base_register(struct gen *g)
{
	static const u8 pointers[] = { 3, 5, 6, 7 };

	if (chance(g, 8))
		return reg_number(g);
	if (g->bits == 64 && chance(g, 50))
		return 8 + below(g, 8);
	return PICK(g, pointers);
}

static void memory16(struct gen *g, struct insn *i, u8 reg)
{
	u8 mod = below(g, 3), rm = below(g, 8);

	if (chance(g, 25)) {
		mod = 0;
		rm = 6;
	}
	byte(i, mod << 6 | reg << 3 | rm);
	if (mod == 2 || (mod == 0 && rm == 6))
		bytes(i, pointer16(g), 2);
	else if (mod == 1)
		byte(i, below(g, 16) - 4);
}

static void memory_absolute(struct gen *g, struct insn *i, u8 reg)
{
	if (g->bits == 64 && chance(g, 50)) {
		byte(i, reg << 3 | 5);
		i->rip_at = i->n;
		i->rip_target = pointer(g);
		bytes(i, 0, 4);
	} else if (g->bits == 64 || chance(g, 20)) {
		byte(i, reg << 3 | 4);
		byte(i, 0x25);
		bytes(i, pointer(g), 4);
	} else {
		byte(i, reg << 3 | 5);
		bytes(i, pointer(g), 4);
	}
}

static void memory32(struct gen *g, struct insn *i, u8 reg)
{
	u8 mod = below(g, 10) < 4 ? 0 : below(g, 10) < 8 ? 1 : 2;
	u8 base = base_register(g), index = chance(g, 80) ? 1 : reg_number(g);
	bool sib = chance(g, 30);

	if (chance(g, 20)) {
		memory_absolute(g, i, reg);
		return;
	}
	if (mod == 0 && (base & 7) == 5)
		mod = 1;
	if (base & 8)
		i->rex |= 0x41;
	if (sib && index & 8)
		i->rex |= 0x42;
	byte(i, mod << 6 | reg << 3 | (sib || (base & 7) == 4 ? 4 : base & 7));
	if (sib)
		byte(i, below(g, 4) << 6 | (index & 7) << 3 | (base & 7));
	else if ((base & 7) == 4)
		byte(i, 0x24);
	if (mod == 1)
		byte(i, below(g, 24) - 8);
	else if (mod == 2)
		bytes(i, (s64)below(g, 0x2000) - 0x1000, 4);
}

static void memory(struct gen *g, struct insn *i, u8 reg)
{
	bool sixteen = (g->bits == 16) != i->p67 && g->bits != 64;

	if (sixteen)
		memory16(g, i, reg);
	else
		memory32(g, i, reg);
}

/* Sizes, and prefixes that change little */
static void prefixes(struct gen *g, struct insn *i, u32 lock)
{
	static const u8 segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	i->p66 = chance(g, 25);
	/* 16-bit addresses are where the page tables are */
	i->p67 = chance(g, g->bits == 32 ? 1 : 8);
	if (chance(g, g->bits == 32 ? 12 : 30))
		i->seg = PICK(g, segs);
	if (g->bits == 64 && chance(g, 35))
		i->rex = 0x40 | below(g, 2) * 8 | below(g, 2) * 4;
	if (g->bits == 64 && chance(g, 5))
		i->rex = 0x40 | below(g, 16);
	if (chance(g, lock))
		i->pre = 0xf0;
}

static u32 operand_size(struct gen *g, struct insn *i)
{
	if (i->rex & 8)
		return 8;
	return (g->bits == 16) == i->p66 ? 4 : 2;
}

/* ---- what may touch devices ------------------------------------------------- */

static void arithmetic(struct gen *g)
{
	struct insn i = { 0 };

	prefixes(g, &i, 15);
	byte(&i, below(g, 8) << 3 | below(g, 4));
	memory(g, &i, below(g, 8));
	finish(g, &i);
}

static void arithmetic_immediate(struct gen *g)
{
	struct insn i = { 0 };
	u8 opcode = 0x80 | below(g, 4);

	if (opcode == 0x82 && (g->bits == 64 || chance(g, 80)))
		opcode = 0x83;
	prefixes(g, &i, 20);
	byte(&i, opcode);
	memory(g, &i, below(g, 8));
	bytes(&i, value(g), opcode != 0x81 ? 1 :
	      operand_size(g, &i) == 2 ? 2 : 4);
	finish(g, &i);
}

static void move(struct gen *g)
{
	static const u8 opcodes[] = {
		0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b,
		0x88, 0x89, 0x8a, 0x8b,
	};
	struct insn i = { 0 };

	prefixes(g, &i, 6);
	byte(&i, PICK(g, opcodes));
	memory(g, &i, below(g, 8));
	finish(g, &i);
}

static void move_immediate(struct gen *g)
{
	struct insn i = { 0 };
	u8 opcode = 0xc6 | below(g, 2);

	prefixes(g, &i, 3);
	byte(&i, opcode);
	memory(g, &i, 0);
	bytes(&i, value(g), opcode == 0xc6 ? 1 :
	      operand_size(g, &i) == 2 ? 2 : 4);
	finish(g, &i);
}

static void move_offset(struct gen *g)
{
	struct insn i = { 0 };
	u32 size;

	prefixes(g, &i, 2);
	byte(&i, 0xa0 | below(g, 4));
	size = g->bits == 64 ? (i.p67 ? 4 : 8) : (g->bits == 16) != i.p67 ? 2 : 4;
	bytes(&i, pointer(g), size);
	finish(g, &i);
}

/* TEST, NOT, NEG; INC, DEC */
static void unary(struct gen *g)
{
	static const u8 f6[] = { 0, 0, 1, 2, 2, 3, 3 };
	struct insn i = { 0 };
	u8 opcode = (chance(g, 60) ? 0xf6 : 0xfe) | below(g, 2);
	u8 reg = opcode < 0xfe ? PICK(g, f6) : below(g, 2);

	prefixes(g, &i, 25);
	byte(&i, opcode);
	memory(g, &i, reg);
	if (opcode < 0xfe && reg < 2)
		bytes(&i, value(g), opcode == 0xf6 ? 1 :
		      operand_size(g, &i) == 2 ? 2 : 4);
	finish(g, &i);
}

static void two_byte(struct gen *g)
{
	static const u8 opcodes[] = {
		0xa3, 0xab, 0xb3, 0xbb, 0xb0, 0xb1, 0xb1, 0xb6, 0xb7, 0xbe,
		0xbf, 0xc0, 0xc1, 0xba, 0xba, 0xba, 0xc3,
	};
	struct insn i = { 0 };
	u8 opcode = PICK(g, opcodes);

	prefixes(g, &i, 25);
	byte(&i, 0x0f);
	byte(&i, opcode);
	if (opcode == 0xc3)
		i.p66 = false;
	memory(g, &i, opcode == 0xba ? 4 + below(g, 4) : below(g, 8));
	if (opcode == 0xba)
		byte(&i, value(g));
	finish(g, &i);
}

static void movsxd(struct gen *g)
{
	struct insn i = { 0 };

	if (g->bits != 64)
		return;
	prefixes(g, &i, 3);
	/* with a 16-bit register KVM reads 32 bits; SDM volume 2: 16 */
	i.p66 = false;
	byte(&i, 0x63);
	memory(g, &i, below(g, 8));
	finish(g, &i);
}

static void set_register(struct gen *g, u8 reg, u32 v)
{
	struct insn i = { 0 };

	i.p66 = g->bits == 16;
	if (reg & 8)
		i.rex = 0x41;
	byte(&i, 0xb8 | (reg & 7));
	bytes(&i, v, 4);
	finish(g, &i);
}

static void string(struct gen *g)
{
	static const u8 opcodes[] = {
		0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
	};
	struct insn i = { 0 };

	if (chance(g, 50))
		set_register(g, 1, below(g, 9));
	if (chance(g, 30))
		set_register(g, 6, pointer(g));
	if (chance(g, 30))
		set_register(g, 7, pointer(g));
	prefixes(g, &i, 2);
	/* Bochs panics at a REP with 32-bit addresses in 64-bit mode. */
	if (g->bits == 64)
		i.p67 = false;
	if (chance(g, 60))
		i.pre = 0xf2 | below(g, 2);
	byte(&i, PICK(g, opcodes));
	finish(g, &i);
}

/* ---- ports ------------------------------------------------------------------ */

static void port(struct gen *g)
{
	static const u8 opcodes[] = {
		0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef,
	};
	struct insn i = { 0 };
	u8 opcode = PICK(g, opcodes);

	if (opcode >= 0xec && chance(g, 50))
		set_register(g, 2, below(g, 0x208));
	prefixes(g, &i, 2);
	byte(&i, opcode);
	/* KVM ends an OUT to port 0x7e before it asks for it: a quirk of its own */
	if (opcode < 0xec)
		byte(&i, below(g, 0x7e));
	finish(g, &i);
}

/* Not to or from devices: that is not ours to do. */
static void string_port(struct gen *g)
{
	static const u8 opcodes[] = { 0x6c, 0x6d, 0x6e, 0x6f };
	static const u32 places[] = {
		DATA_GPA, DATA_GPA + 0xffc, PAGE_RO - 3, PAGE_RO, PAGE_ABSENT - 6,
		PAGE_SUPERVISOR, PAGE_UNUSED + 8, PAGE_RESERVED + 0x1ffd,
		PAGE_RESERVED + 0x1008,
	};
	struct insn i = { 0 };
	u8 opcode = PICK(g, opcodes);

	if (g->p->nr + 6 > MAX_INSNS)
		return;
	/* KVM may hand over one element, and we many: no event at an exit */
	g->p->inject = INJECT_NONE;
	/* 16 bits: ES is where devices are */
	if (g->bits == 16 && opcode < 0x6e) {
		SIMPLE(g, "\x1e");
		SIMPLE(g, "\x07");
	}
	set_register(g, 2, below(g, 0x400));
	if (chance(g, 85))
		set_register(g, 1, below(g, 12));
	set_register(g, opcode < 0x6e ? 7 : 6,
		     g->bits == 16 ? 0x3000 + below(g, 0x1000) :
		     PICK(g, places));
	i.p66 = chance(g, 20);
	i.p67 = g->bits == 16 && chance(g, 8);
	i.rex = g->bits == 64 && chance(g, 15) ? 0x48 : 0;
	if (chance(g, 70))
		i.pre = 0xf2 | below(g, 2);
	byte(&i, opcode);
	finish(g, &i);
}

/* ---- control, debug, model-specific registers ------------------------------- */

static void move_control(struct gen *g)
{
	static const u8 cr0[] = {
		0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 16, 16, 18, 18, 29, 30, 30, 31,
		31, 31,
	};
	static const u8 cr4[] = {
		0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17,
		18, 20, 21, 22, 23, 31,
	};
	struct minivmm_sregs sregs;
	u8 b[3] = { 0x0f, 0x22 };
	u32 v;

	machine_sregs(g->p, &sregs);
	switch (below(g, 10)) {
	case 0 ... 3:
		v = sregs.cr0 ^ 1U << PICK(g, cr0);
		if (chance(g, 40))
			v ^= 1U << PICK(g, cr0);
		/* out of long mode, gates have another format: a wild handler */
		if (g->p->mode == COMPAT32 && !(v & CR0_PG))
			g->p->inject = INJECT_NONE;
		b[2] = 0xc0;
		break;
	case 4 ... 6:
		v = sregs.cr4 ^ 1U << PICK(g, cr4);
		if (chance(g, 30))
			v ^= 1U << PICK(g, cr4);
		b[2] = 0xe0;
		break;
	case 7:
		v = sregs.cr3 | (chance(g, 50) ? 0x18 : 0);
		if (chance(g, 10))
			v = value(g);
		b[2] = 0xd8;
		break;
	case 8:
		v = chance(g, 90) ? below(g, 17) : (u8)value(g);
		simple(g, "\xb8\x08\0\0\0", g->bits == 16 ? 3 : 5);
		set_register(g, 0, v);
		if (g->bits == 64)
			SIMPLE(g, "\x44\x0f\x22\xc0");
		else
			SIMPLE(g, "\x0f\x22\xc8");	/* CR1 */
		return;
	default:
		b[1] = 0x20;		/* a read, of any */
		b[2] = 0xc0 | below(g, 64);
		if (g->bits == 64 && chance(g, 40)) {
			u8 cr8[4] = { 0x44, 0x0f, 0x20, 0xc0 | below(g, 8) };

			simple(g, cr8, 4);
			return;
		}
		simple(g, b, 3);
		return;
	}
	set_register(g, 0, v);
	simple(g, b, 3);
}

static void machine_status_word(struct gen *g)
{
	struct insn i = { 0 };

	if (chance(g, 25)) {
		SIMPLE(g, "\x0f\x06");		/* CLTS */
		return;
	}
	if (chance(g, 60)) {
		set_register(g, 0, below(g, 16) | below(g, 2) << 16);
		simple(g, chance(g, 70) ? "\x0f\x01\xf0" : "\x0f\x01\xe0", 3);
		return;
	}
	i.p66 = chance(g, 30);
	byte(&i, 0x0f);
	byte(&i, 0x01);
	byte(&i, 0xe0 | below(g, 2) << 4 | below(g, 8));
	finish(g, &i);
}

static void move_debug(struct gen *g)
{
	u8 b[3] = { 0x0f, 0x21 | below(g, 2) << 1, 0xc0 };
	u8 dr = below(g, 8);
	u32 v;

	b[2] |= dr << 3;
	if (b[1] == 0x21) {
		b[2] |= below(g, 8);
		if ((b[2] & 7) == 4)
			b[2] ^= 1;
		simple(g, b, 3);
		return;
	}
	v = value(g);
	if (dr < 4)
		v = chance(g, 30) ? g->p->org + below(g, 64) : pointer(g);
	else if (dr & 1)
		v = 0x400 | (chance(g, 30) ? 0x2000 : 0) |
		    (chance(g, 40) ? next_random(&g->random) & 0xffff03ff : 0);
	set_register(g, 0, v);
	if (g->bits == 64 && chance(g, 10))
		SIMPLE(g, "\x48\xff\xc8\x48\xc1\xc0\x20");
	simple(g, b, 3);
}

static void set_xcr(struct gen *g)
{
	static const u8 values[] = { 0, 1, 2, 3, 5, 6, 7, 0xe7, 0x27, 0xff, 0xf };

	if (chance(g, 60)) {
		set_register(g, 0, CR4_OSXSAVE | CR4_PAE | CR4_PSE);
		SIMPLE(g, "\x0f\x22\xe0");
	}
	set_register(g, 1, chance(g, 90) ? 0 : below(g, 3));
	set_register(g, 0, chance(g, 90) ? PICK(g, values) : value(g));
	set_register(g, 2, chance(g, 90) ? 0 : value(g));
	SIMPLE(g, "\x0f\x01\xd1");
	if (chance(g, 40))
		SIMPLE(g, "\x0f\x01\xd0");
}

/* Both have these, with the same meaning: see Documentation/abi.md. */
static u64 msr_value(struct gen *g, u32 index, u32 *hi)
{
	u64 v = value(g);

	switch (index) {
	case 0xc0000080:
		v = 1U << below(g, 16) | (chance(g, 60) ? 0x500 : 0);
		break;
	case 0x277:
		v = 0x0007040600070406 ^ (u64)below(g, 8) << 8 * below(g, 8);
		break;
	case 0x1b:
		v = 0xfee00900 ^ 1U << below(g, 20);
		break;
	case 0xc0000084:
		/* Bochs lets bits 63:32 be set, and stock KVM asks the CPU. */
		v = (u32)v;
		break;
	case 0x1a0:
		/* KVM takes any, we what a guest has a use for */
		v = 0x1801 ^ below(g, 2);
		break;
	case 0x2ff:
		v = below(g, 8) | below(g, 4) << 10;
		break;
	case 0x200 ... 0x26f:
		if (chance(g, 60))
			v &= 0x0606060606060606;
		break;
	case 0xc0000100 ... 0xc0000102:
	case 0xc0000082 ... 0xc0000083:
	case 0x175 ... 0x176:
		if (chance(g, 60))
			v = pointer(g);
		break;
	}
	*hi = v >> 32;
	return v;
}

static void msr(struct gen *g)
{
	static const u32 indexes[] = {
		0x174, 0x175, 0x176, 0x1a0, 0x277, 0x277, 0xc0000080, 0xc0000080,
		0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
		0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0x1b, 0x1b,
		0x2ff, 0x200, 0x201, 0x20f, 0x250, 0x258, 0x268, 0x26f, 0xfe,
		0x17, 0x2a, 0x8b,
		0x3001, 0x4fff, 0xc0002000, 0xffffffff, 0x12345678, 0x80000000,
	};
	u32 index = PICK(g, indexes), hi, lo = msr_value(g, index, &hi);

	set_register(g, 1, index);
	if (chance(g, 35)) {
		SIMPLE(g, "\x0f\x32");
		return;
	}
	set_register(g, 0, lo);
	set_register(g, 2, hi);
	SIMPLE(g, "\x0f\x30");
	if (chance(g, 30))
		SIMPLE(g, "\x0f\x32");
}

static void cpuid(struct gen *g)
{
	static const u32 leaves[] = {
		0, 1, 1, 2, 4, 5, 6, 7, 0xa, 0xb, 0xd, 0xd, 0x14, 0x16, 0x20,
		0x40000000, 0x40000001, 0x40000100, 0x80000000, 0x80000001,
		0x80000008, 0x80000007, 0x90000000, 0xffffffff,
	};

	set_register(g, 0, PICK(g, leaves));
	set_register(g, 1, below(g, 5));
	SIMPLE(g, "\x0f\xa2");
}

static void invalidate(struct gen *g)
{
	struct insn i = { 0 };

	switch (below(g, 4)) {
	case 0:
		SIMPLE(g, "\x0f\x08");		/* INVD */
		return;
	case 1:
		SIMPLE(g, "\x0f\x09");		/* WBINVD */
		return;
	case 2:
		prefixes(g, &i, 3);
		byte(&i, 0x0f);
		byte(&i, 0x01);
		memory(g, &i, 7);		/* INVLPG */
		break;
	default:
		set_register(g, 0, below(g, 6));
		i.p66 = true;
		i.rex = 0;
		byte(&i, 0x0f);
		byte(&i, 0x38);
		byte(&i, 0x82);
		/* type EAX, descriptor in RAM: in device memory it is not ours */
		if (g->bits == 16) {
			byte(&i, 0x06);
			bytes(&i, 0x3000, 2);
		} else {
			byte(&i, 0x04);
			byte(&i, 0x25);
			bytes(&i, chance(g, 50) ? DATA_GPA : PAGE_ABSENT, 4);
		}
		break;
	}
	finish(g, &i);
}

/* ---- exceptions and where control goes --------------------------------------- */

static void raise(struct gen *g)
{
	switch (below(g, 14)) {
	case 0 ... 2: {
		u8 b[2] = { 0xcd, chance(g, 50) ? below(g, 32) : below(g, 256) };

		/* KVM has RIP past an OUT to port 0x7e, as a handler's is. */
		if (b[1] == 0x7e)
			b[1]++;
		simple(g, b, 2);
		return;
	}
	case 3:
		SIMPLE(g, "\xcc");
		return;
	case 4:
		SIMPLE(g, "\xce");
		return;
	case 5:
	case 6:
		SIMPLE(g, "\xf1");
		return;
	case 7:
		SIMPLE(g, "\x0f\x0b");
		return;
	case 8:
		SIMPLE(g, "\x31\xc9");
		SIMPLE(g, "\xf7\xf1");
		return;
	case 9:
		SIMPLE(g, "\xd4\x00");
		return;
	case 10:
		SIMPLE(g, "\x0f\xff\xc0");
		return;
	case 11:
		SIMPLE(g, "\xd9\xd0");		/* FNOP: #NM */
		return;
	case 12:
		SIMPLE(g, "\x0f\x28\xc1");	/* MOVAPS */
		return;
	default:
		SIMPLE(g, "\xdb\xe3");
		return;
	}
}

/* NT would have IRET switch tasks where there are tasks. */
static u32 flags_value(struct gen *g)
{
	u32 flags = below(g, 0x1000) & ~0x100U;

	if (chance(g, 15))
		flags |= RFLAGS_TF;
	if (chance(g, 30))
		flags |= RFLAGS_IOPL;
	if (chance(g, 20))
		flags |= RFLAGS_AC;
	if (g->bits == 64 && chance(g, 10))
		flags |= RFLAGS_NT;
	return flags;
}

/* PUSH of an immediate of the operand size that the mode has */
static void push(struct gen *g, u32 v)
{
	struct insn i = { 0 };

	byte(&i, 0x68);
	bytes(&i, v, g->bits == 16 ? 2 : 4);
	finish(g, &i);
}

static void pop_flags(struct gen *g)
{
	push(g, flags_value(g));
	if (chance(g, 20))
		SIMPLE(g, "\x66\x9d");
	else
		SIMPLE(g, "\x9d");
}

static u16 selector(struct gen *g)
{
	static const u16 selectors[] = {
		0, 1, 3, SEL_CODE32, SEL_DATA, SEL_CODE16, SEL_DS16, SEL_CODE64,
		SEL_UCODE32, SEL_UDATA, SEL_UCODE64, SEL_SMALL, SEL_DOWN,
		SEL_READ, SEL_ABSENT, SEL_CONFORM, SEL_EXEC, SEL_ODD, 0x0c,
		0x17, 0x1f, 0xffff, 0xe0, SEL_UDATA, SEL_DATA, SEL_LDT,
	};
	static const u16 real[] = {
		0, 0, 0x1000, 0x2000, 0x4000, 0x1f00, 0xffff, 0x100, 3,
	};

	return g->p->mode <= VM86 ? PICK(g, real) : PICK(g, selectors);
}

static void segment(struct gen *g)
{
	static const u8 pops[] = { 0x07, 0x17, 0x1f };
	u8 b[3] = { 0x8e, 0xc0 | below(g, 6) << 3 };
	struct insn i = { 0 };
	u16 sel = selector(g);

	switch (below(g, 7)) {
	case 0 ... 3:
		set_register(g, 0, sel);
		simple(g, b, 2);
		break;
	case 4:
		push(g, sel);
		simple(g, &PICK(g, pops), 1);
		break;
	case 5:
		push(g, sel);
		simple(g, chance(g, 50) ? "\x0f\xa1" : "\x0f\xa9", 2);
		break;
	default:
		/* LAR, LSL, VERR, VERW, SLDT, STR */
		set_register(g, 0, sel);
		byte(&i, 0x0f);
		if (chance(g, 50)) {
			byte(&i, 0x02 | below(g, 2));
			byte(&i, 0xd8);
		} else {
			byte(&i, 0x00);
			byte(&i, 0xc0 | PICK(g, ((u8[]){ 0, 1, 4, 5 })) << 3);
		}
		finish(g, &i);
		break;
	}
}

/* LGDT, LIDT, SGDT, SIDT, LLDT, LTR */
static void system_table(struct gen *g)
{
	struct insn i = { 0 };
	u32 at;
	u8 reg;

	byte(&i, 0x0f);
	if (chance(g, 40)) {
		set_register(g, 0, chance(g, 50) ? selector(g) :
			     chance(g, 50) ? SEL_LDT : SEL_TSS);
		byte(&i, 0x00);
		byte(&i, 0xd0 | below(g, 2) << 3);
		finish(g, &i);
		return;
	}
	byte(&i, 0x01);
	reg = PICK(g, ((u8[]){ 0, 1, 2, 3, 3 }));
	/* LGDT and LIDT: tables that are there, or memory that is not */
	at = TABLES_GPA + (reg == 2 ? 0 : 16 * (1 + below(g, 3)));
	if (g->p->mode >= PAGED32 && chance(g, 30))
		at = PAGE_ABSENT - 2 * below(g, 2);
	else if (reg < 2)
		at = DATA_GPA + below(g, 0x800);
	if (g->bits == 16) {
		byte(&i, reg << 3 | 6);
		bytes(&i, at - 0x10000, 2);
	} else {
		byte(&i, reg << 3 | 4);
		byte(&i, 0x25);
		bytes(&i, at, 4);
	}
	finish(g, &i);
}

static u16 code_selector(struct gen *g)
{
	struct minivmm_sregs sregs;

	machine_sregs(g->p, &sregs);
	/* real mode: elsewhere the program's addresses are not what they seem */
	return g->p->mode <= VM86 || chance(g, 60) ? sregs.cs.selector :
						     selector(g);
}

/* To the instruction after it, if all goes well */
static void far_return(struct gen *g)
{
	u16 sel = code_selector(g);
	bool iret = chance(g, 50);
	u32 size = g->bits == 16 ? 3 : 5, tail = g->bits == 64 ? 2 : 1;
	u32 pushes = iret ? (g->bits == 64 ? 5 : 3) : 2;
	u32 next = g->p->org + g->p->len + pushes * size + tail;

	if (g->p->nr + pushes + 1 > MAX_INSNS ||
	    g->p->len + pushes * size > MAX_CODE - 48)
		return;
	if (iret && g->bits == 64) {
		push(g, chance(g, 70) ? (g->p->user ? SEL_UDATA : SEL_DATA) :
		     selector(g));
		push(g, g->p->regs[4] - 0x100);
	}
	if (iret)
		push(g, flags_value(g));
	push(g, sel);
	push(g, next);
	if (g->bits == 64)
		simple(g, iret ? "\x48\xcf" : "\x48\xcb", 2);
	else
		simple(g, iret ? "\xcf" : "\xcb", 1);
}

static void far_jump(struct gen *g)
{
	struct insn i = { 0 };
	u32 size = g->bits == 16 ? 5 : 7;

	if (g->bits == 64)
		return;
	byte(&i, chance(g, 50) ? 0xea : 0x9a);
	bytes(&i, g->p->org + g->p->len + size, g->bits == 16 ? 2 : 4);
	/* a call gate, too; not a task */
	bytes(&i, chance(g, 20) ? SEL_GATE : code_selector(g), 2);
	finish(g, &i);
}

static void fast_call(struct gen *g)
{
	if (g->bits == 64 || chance(g, 20)) {
		if (chance(g, 60) && !g->p->user) {
			set_register(g, 1, 0xc0000080);
			set_register(g, 0, 0x501);
			set_register(g, 2, 0);
			SIMPLE(g, "\x0f\x30");
		}
		if (chance(g, 60))
			SIMPLE(g, "\x0f\x05");		/* SYSCALL */
		else if (g->bits == 64)
			SIMPLE(g, "\x48\x0f\x07");	/* SYSRET */
		return;
	}
	if (chance(g, 50)) {
		SIMPLE(g, "\x0f\x34");		/* SYSENTER */
		return;
	}
	set_register(g, 2, TARGET_GPA);
	set_register(g, 1, USER_STACK_TOP - 0x80);
	SIMPLE(g, "\x0f\x35");				/* SYSEXIT */
}

/* VMCALL, and what a guest without VMX, SMX and performance counters cannot do */
static void refused(struct gen *g)
{
	static const u8 insns[][3] = {
		{ 0x0f, 0x01, 0xc2 },	/* VMLAUNCH */
		{ 0x0f, 0x01, 0xc3 },	/* VMRESUME */
		{ 0x0f, 0x01, 0xc4 },	/* VMXOFF */
		{ 0x0f, 0x01, 0xd4 },	/* VMFUNC */
		{ 0x0f, 0x33, 0x90 },	/* RDPMC */
		{ 0x0f, 0x37, 0x90 },	/* GETSEC */
		{ 0x0f, 0xaa, 0x90 },	/* RSM */
		{ 0x0f, 0x78, 0xc8 },	/* VMREAD */
		{ 0x0f, 0x01, 0xca },	/* CLAC */
		{ 0x0f, 0x01, 0xf8 },	/* SWAPGS */
	};

	if (chance(g, 20)) {
		/* a hypercall that nobody has */
		set_register(g, 0, 100);
		SIMPLE(g, "\x0f\x01\xc1");
		return;
	}
	simple(g, PICK(g, insns), 3);
}

/* ---- the rest ------------------------------------------------------------------ */

/* STI or MOV SS, then what exits or faults in their shadow */
static void shadow(struct gen *g)
{
	static const u8 after[][2] = {
		{ 0x0f, 0xa2 }, { 0xe6, 0x80 }, { 0xe4, 0x81 }, { 0x90, 0x90 },
		{ 0xf1, 0x90 }, { 0xfa, 0x90 }, { 0x0f, 0x0b }, { 0xcd, 0x21 },
	};

	if (chance(g, 60)) {
		SIMPLE(g, "\xfb");
	} else {
		SIMPLE(g, "\x8c\xd0");
		SIMPLE(g, "\x8e\xd0");
	}
	if (chance(g, 70))
		simple(g, PICK(g, after), 2);
}

static void plain(struct gen *g)
{
	struct insn i = { 0 };

	switch (below(g, 6)) {
	case 0:
		byte(&i, 0x50 | below(g, 16));	/* PUSH, POP */
		if (i.b[0] == 0x5c)
			i.b[0] = 0x58;
		break;
	case 1:
		byte(&i, 0x70 | below(g, 16));	/* Jcc over a NOP */
		byte(&i, 1);
		finish(g, &i);
		SIMPLE(g, "\x90");
		return;
	case 2:
		byte(&i, 0xfa | below(g, 4));	/* CLI, STI, CLD, STD */
		break;
	case 3:
		byte(&i, 0x9c);
		break;
	default:
		prefixes(g, &i, 0);
		i.seg = 0;
		byte(&i, below(g, 8) << 3 | below(g, 4));
		byte(&i, 0xc0 | below(g, 64));
		/* not the stack pointer */
		if ((i.b[1] & 7) == 4 || (i.b[1] >> 3 & 7) == 4)
			i.b[1] = 0xc8;
		i.rex &= ~1;
		break;
	}
	finish(g, &i);
}

/* Writes the immediate of the instruction after it, or turns it into another */
static void self_modify(struct gen *g)
{
	static const u8 opcodes[] = { 0x90, 0xf8, 0xf9, 0xf5, 0xcc, 0xf1, 0xf4 };
	struct insn i = { 0 };
	u32 length = g->bits == 16 ? 6 : g->bits == 64 ? 8 : 7;
	u32 next = g->p->org + g->p->len + length;

	if (g->p->nr + 3 > MAX_INSNS)
		return;
	i.seg = 0x2e;
	if (g->bits == 64)
		i.seg = 0;
	byte(&i, 0xc6);
	if (g->bits == 16) {
		byte(&i, 0x06);
		bytes(&i, next, 2);
	} else if (g->bits == 64) {
		byte(&i, 0x04);
		byte(&i, 0x25);
		bytes(&i, next, 4);
	} else {
		byte(&i, 0x05);
		bytes(&i, next, 4);
	}
	/* 16 and 32-bit: DS or SS, code is not writable */
	if (g->bits == 16)
		i.seg = 0x36;
	else if (g->bits == 32)
		i.seg = 0x3e;
	byte(&i, PICK(g, opcodes));
	finish(g, &i);
	SIMPLE(g, "\x90");
}

/* Page-table entries of the pages of data */
static void edit_page_table(struct gen *g)
{
	static const u8 bits[] = { 0, 1, 2, 5, 6, 7, 8, 12, 17, 18, 30 };
	u32 page = 0x13 + below(g, 13), entry;
	struct insn i = { 0 };
	bool directory;

	if (g->p->mode < PAGED32 || g->p->nr + 3 > MAX_INSNS)
		return;
	entry = g->p->mode == PAGED32 ? PT32_GPA + 4 * page : PT_GPA + 8 * page;
	directory = g->p->mode == LONG64 && chance(g, 20);
	if (directory)
		entry = PD_GPA + 8 * below(g, 3) + 4 * below(g, 2);
	/* BTC dword [entry], bit */
	byte(&i, 0x0f);
	byte(&i, 0xba);
	byte(&i, 0x3c);
	byte(&i, 0x25);
	bytes(&i, entry, 4);
	byte(&i, PICK(g, bits));
	finish(g, &i);
	/* What is still cached is nobody's business: SDM volume 3, 4.10.4.3 */
	if (directory) {
		SIMPLE(g, "\x0f\x20\xd8");	/* MOV EAX, CR3 */
		SIMPLE(g, "\x0f\x22\xd8");
		return;
	}
	memset(&i, 0, sizeof(i));
	byte(&i, 0x0f);				/* INVLPG */
	byte(&i, 0x01);
	byte(&i, 0x3c);
	byte(&i, 0x25);
	bytes(&i, page * PAGE_SIZE, 4);
	finish(g, &i);
}

/* A stack that cannot be pushed to: the next exception becomes a double fault */
static void bad_stack(struct gen *g)
{
	static const u32 stacks[] = {
		PAGE_ABSENT + 8, PAGE_RO + 16, PAGE_RESERVED + 4, 0, 1, 3,
		DATA_GPA + 0x20,
	};

	if (g->p->mode == PROT32)
		return;
	/* in real mode without harm to the vectors at 0 */
	set_register(g, 4, g->p->mode == REAL16 ? below(g, 2) :
		     g->bits == 16 ? below(g, 8) : PICK(g, stacks));
}

static const struct {
	void (*make)(struct gen *g);
	u8 weight;
} makers[] = {
	{ arithmetic, 14 }, { arithmetic_immediate, 8 }, { move, 12 },
	{ move_immediate, 5 }, { move_offset, 5 }, { unary, 8 },
	{ two_byte, 14 }, { movsxd, 2 }, { string, 14 }, { port, 8 },
	{ string_port, 7 }, { move_control, 10 }, { machine_status_word, 3 },
	{ move_debug, 7 }, { set_xcr, 3 }, { msr, 9 }, { cpuid, 4 },
	{ invalidate, 4 }, { raise, 8 }, { pop_flags, 5 }, { segment, 8 },
	{ system_table, 3 }, { far_return, 4 }, { far_jump, 3 },
	{ fast_call, 3 }, { refused, 2 }, { shadow, 5 }, { plain, 12 },
	{ self_modify, 3 }, { edit_page_table, 4 }, { bad_stack, 2 },
};

static void any(struct gen *g)
{
	u32 total = 0, i, pick;

	for (i = 0; i < ARRAY_SIZE(makers); i++)
		total += makers[i].weight;
	pick = below(g, total);
	for (i = 0; pick >= makers[i].weight; i++)
		pick -= makers[i].weight;
	makers[i].make(g);
}

static void first_registers(struct gen *g)
{
	struct program *p = g->p;
	int i;

	for (i = 0; i < 16; i++)
		p->regs[i] = i < 3 ? value(g) : pointer(g);
	p->regs[1] = chance(g, 85) ? below(g, 8) : value(g);
	p->regs[4] = p->user ? USER_STACK_TOP - 0x80 : STACK_TOP - 0x800;
	if (g->bits == 16)
		p->regs[4] = 0xff80;
	p->rflags = flags_value(g) & ~(RFLAGS_TF | RFLAGS_RESERVED);
	if (chance(g, 8))
		p->rflags |= RFLAGS_TF;
	if (p->mode == VM86)
		p->rflags |= RFLAGS_VM;
}

static void first_controls(struct gen *g)
{
	struct program *p = g->p;

	p->cr0 = (chance(g, 60) ? CR0_WP : 0) | (chance(g, 30) ? CR0_AM : 0) |
		 (chance(g, 10) ? CR0_TS : 0) | (chance(g, 30) ? CR0_MP : 0);
	p->cr4 = (chance(g, 50) ? CR4_OSFXSR : 0) | (chance(g, 20) ? CR4_DE : 0) |
		 (chance(g, 20) ? CR4_PGE : 0) | (chance(g, 30) ? CR4_PSE : 0) |
		 (chance(g, 20) ? CR4_OSXSAVE : 0);
	if (p->mode == LONG64 || p->mode == PAE32 || p->mode == COMPAT32) {
		p->efer = chance(g, 70) ? EFER_NXE : 0;
		p->cr4 |= chance(g, 15) ? CR4_SMEP : 0;
		p->cr4 |= chance(g, 15) ? CR4_SMAP : 0;
	}
	if (p->mode == LONG64) {
		p->efer |= chance(g, 50) ? EFER_SCE : 0;
		p->cr4 |= chance(g, 10) ? CR4_PCIDE : 0;
		p->cr4 |= chance(g, 30) ? CR4_FSGSBASE : 0;
	}
}

void generate(struct program *p, enum diff_mode mode, u64 seed)
{
	struct gen g = { .p = p, .bits = mode_bits(mode) };
	u32 wanted;

	memset(p, 0, sizeof(*p));
	g.random = seed * NR_MODES + mode;
	next_random(&g.random);
	p->seed = seed;
	p->mode = mode;
	p->user = mode == VM86 || (mode >= PROT32 && chance(&g, 35));
	first_controls(&g);
	first_registers(&g);
	/* before the instructions, which may take it back */
	if (chance(&g, 35)) {
		p->inject = 1 + below(&g, 3);
		p->inject_at = below(&g, 6);
	}
	/* all on one page, or across a page's end */
	p->org = CODE_GPA + (chance(&g, 85) ? below(&g, 0x400) :
			     PAGE_SIZE - 1 - below(&g, 40));
	wanted = 2 + below(&g, MAX_INSNS - 6);
	while (p->nr < wanted && p->len < MAX_CODE - 100)
		any(&g);
}

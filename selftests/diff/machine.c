// SPDX-License-Identifier: GPL-2.0
/*
 * The machine that a program starts in.
 *
 * All memory that is nothing else is HLT, so that a program that jumps away
 * ends. Where there is paging, linear is physical, but for some pages that are
 * there for accesses to go wrong; pages next to each other differ, so an
 * operand that crosses from one to the next meets both.
 */
#include <string.h>

#include "diff.h"

const char * const mode_names[NR_MODES] = {
	"real16", "vm86", "prot16", "prot32", "paged32", "pae32", "compat32",
	"long64",
};

static u8 memory[NR_MODES][2][RAM_SIZE];
static bool made[NR_MODES][2];

const u8 *machine_rom(void)
{
	static u8 rom[ROM_SIZE] __attribute__((aligned(4096)));
	u32 i;

	for (i = 0; i < ROM_SIZE; i++)
		rom[i] = i * 13 + (i >> 8);
	return rom;
}

static void put64(u8 *m, u64 gpa, u64 value)
{
	memcpy(m + gpa, &value, 8);
}

static void put32(u8 *m, u64 gpa, u32 value)
{
	memcpy(m + gpa, &value, 4);
}

/* SDM volume 3, 3.4.5; @flags: G, D, L, AVL from the high bit on */
static u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffffULL) | (base & 0xffffffULL) << 16 |
	       (u64)access << 40 | (limit >> 16 & 0xfULL) << 48 |
	       (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static void make_gdt(u8 *m, bool lma)
{
	static const struct {
		u8 sel;
		u32 base, limit;
		u8 access, flags;
	} segments[] = {
		{ SEL_CODE32, 0, 0xfffff, 0x9b, 0xc },
		{ SEL_DATA, 0, 0xfffff, 0x93, 0xc },
		{ SEL_CODE16, 0, 0xffff, 0x9b, 0 },
		{ SEL_DS16, 0x10000, 0xffff, 0x93, 0 },
		{ SEL_ES16, 0x20000, 0xffff, 0x93, 0 },
		{ SEL_FS16, 0x40000, 0xffff, 0x93, 0 },
		{ SEL_GS16, 0x1f000, 0xffff, 0x93, 0 },
		{ SEL_SS16, 0, 0xffff, 0x93, 0 },
		{ SEL_CODE64, 0, 0xfffff, 0x9b, 0xa },
		{ SEL_UCODE32 & ~3, 0, 0xfffff, 0xfb, 0xc },
		{ SEL_UDATA & ~3, 0, 0xfffff, 0xf3, 0xc },
		{ SEL_UCODE64 & ~3, 0, 0xfffff, 0xfb, 0xa },
		{ SEL_SMALL, 0x20000, 0xfff, 0xf3, 4 },
		{ SEL_DOWN, 0, 0x19fff >> 12, 0xf7, 0xc },
		{ SEL_READ, 0x10000, 0xfffff, 0xf0, 0x5 },
		{ SEL_ABSENT, 0, 0xfffff, 0x73, 0xc },
		{ SEL_CONFORM, 0, 0xfffff, 0x9e, 0xc },
		{ SEL_EXEC, 0, 0xfffff, 0xf8, 0xc },
		{ SEL_UCODE16 & ~3, 0, 0xffff, 0xfb, 0 },
		{ SEL_ODD, 0, 0xfffff, 0x80, 0xc },
		{ SEL_TSS, TSS_GPA, 0x1ff, 0x8b, 0 },
		{ SEL_LDT, LDT_GPA, 0x3f, 0x82, 0 },
	};
	u32 i;

	memset(m + GDT_GPA, 0, GDT_LIMIT + 1);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		put64(m, GDT_GPA + segments[i].sel,
		      descriptor(segments[i].base, segments[i].limit,
				 segments[i].access, segments[i].flags));
	/* a call gate: 64 or 32 bits, to where HLT is */
	put64(m, GDT_GPA + SEL_GATE,
	      TARGET_GPA | (u64)(lma ? SEL_CODE64 : SEL_CODE32) << 16 |
	      0xecULL << 40);
	memset(m + LDT_GPA, 0, 0x40);
	put64(m, LDT_GPA + 0x08, descriptor(0x10000, 0xfffff, 0xf3, 0xc));
	put64(m, LDT_GPA + 0x10, descriptor(DEVICE_GPA, 0xff, 0xf3, 4));
	put64(m, LDT_GPA + 0x18, descriptor(0, 0xfffff, 0xfb, 0xc));
}

/* A handler is "out %al, $vector; iret". */
static void make_idt(u8 *m, enum diff_mode mode)
{
	bool lma = mode >= COMPAT32;
	u32 v, gate, stub;

	for (v = 0; v < 256; v++) {
		stub = STUBS_GPA + 4 * v;
		m[stub] = 0xe6;
		m[stub + 1] = v;
		memcpy(m + stub + 2, lma ? "\x48\xcf" : "\xcf\x90", 2);
		if (mode == REAL16) {
			put32(m, 4 * v, stub);
			continue;
		}
		/* DPL 3 for INT3, INTO and some of the rest */
		gate = v == 3 || v == 4 || (v >= 32 && v % 2) ? 0xee00 : 0x8e00;
		if (v % 8 == 7 && v > 32)
			gate += 0x100;		/* a trap gate */
		if (!lma) {
			put32(m, IDT_GPA + 8 * v, stub | SEL_CODE32 << 16);
			put32(m, IDT_GPA + 8 * v + 4, gate);
			continue;
		}
		if (v == DF_VECTOR)
			gate |= 1;		/* a stack of its own */
		put32(m, IDT_GPA + 16 * v, stub | SEL_CODE64 << 16);
		put32(m, IDT_GPA + 16 * v + 4, gate);
		put64(m, IDT_GPA + 16 * v + 8, 0);
	}
}

/* I/O permissions: ports below 0x200 but every eighth, and none above */
static void make_tss(u8 *m, bool lma)
{
	u8 *tss = m + TSS_GPA;

	memset(tss, 0, 0x200);
	if (lma) {
		put64(m, TSS_GPA + 4, STACK_TOP);
		put64(m, TSS_GPA + 36, IST_TOP);
	} else {
		put32(m, TSS_GPA + 4, STACK_TOP);
		put32(m, TSS_GPA + 8, SEL_DATA);
	}
	tss[0x66] = 0x90;
	memset(tss + 0x90, 0x80, 0x40);
	memset(tss + 0xd0, 0xff, 0x130);
}

/* What is special about a linear page. In: identity, writable, for users */
static u64 special_page(u64 page, u64 pte, bool wide, bool user)
{
	/* so that SMEP and SMAP leave the system's own memory alone */
	if (page < DATA_GPA &&
	    !(user && (page == CODE_GPA || page == CODE_GPA + PAGE_SIZE ||
		       page == USER_STACK_TOP - PAGE_SIZE)))
		return pte & ~PTE_US;
	switch (page) {
	case PAGE_RO:
		return pte & ~PTE_RW;
	case PAGE_SUPERVISOR:
		return pte & ~PTE_US;
	case PAGE_ABSENT:
		return 0xdead000;
	case PAGE_NX:
		return wide ? pte | PTE_NX : pte;
	case PAGE_DEVICE:
		return (pte & 0xfff) | 0x30000;
	case PAGE_UNUSED:
		return pte & ~(PTE_A | PTE_D);
	case PAGE_ROM:
		return (pte & 0xfff) | ROM_GPA;
	case PAGE_RESERVED:
		return wide ? pte | 1UL << 51 : pte;
	default:
		return pte;
	}
}

static void make_page_tables(u8 *m, bool user)
{
	const u64 table = PTE_P | PTE_RW | PTE_US | PTE_A;
	const u64 leaf = table | PTE_D;
	u64 i;

	memset(m + PML4_GPA, 0, PAGE_SIZE);
	memset(m + PDPT_GPA, 0, 5 * PAGE_SIZE);
	put64(m, PML4_GPA, PDPT_GPA | table);
	put64(m, PML4_GPA + 511 * 8, PDPT_GPA | table);
	put64(m, PDPT_GPA, PD_GPA | table);
	put64(m, PDPT_GPA + 8, 0x40000000 | PTE_PS | leaf);
	put64(m, PDPT_PAE_GPA, PD_GPA | PTE_P);
	put64(m, PD_GPA, PT_GPA | table);
	put64(m, PD_GPA + 8, 0x200000 | PTE_PS | leaf);
	put64(m, PD_GPA + 16, 0x20000 | PTE_PS | leaf);	/* reserved bit */
	put32(m, PD32_GPA, PT32_GPA | table);
	put32(m, PD32_GPA + 4, 0x400000 | PTE_PS | leaf);
	for (i = 0; i < 512; i++) {
		u64 page = i * PAGE_SIZE;

		put64(m, PT_GPA + 8 * i, special_page(page, page | leaf, true, user));
		put32(m, PT32_GPA + 4 * i,
		      special_page(page, page | leaf, false, user));
	}
}

/* The GDT; the IDT, all of it, only up to #DF, or nothing of it */
static void make_operands(u8 *m, enum diff_mode mode)
{
	static const u16 limits[] = { 0x7ff, 0x47, 0 };
	u32 i, at = TABLES_GPA;
	u16 limit = GDT_LIMIT;

	memset(m + at, 0, 64);
	memcpy(m + at, &limit, 2);
	put64(m, at + 2, GDT_GPA);
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		at += 16;
		limit = mode >= COMPAT32 ? 2 * limits[i] : limits[i];
		memcpy(m + at, &limit, 2);
		put64(m, at + 2, mode == REAL16 ? 0 : IDT_GPA);
	}
}

const u8 *machine_memory(const struct program *p)
{
	enum diff_mode mode = p->mode;
	u8 *m = memory[mode][p->user];
	u32 i;

	if (made[mode][p->user])
		return m;
	memset(m, 0xf4, RAM_SIZE);
	for (i = DATA_GPA; i < RAM_SIZE; i++)
		m[i] = i % 5 ? i * 7 + (i >> 8) : 0;
	make_gdt(m, mode >= COMPAT32);
	make_idt(m, mode);
	make_tss(m, mode >= COMPAT32);
	make_operands(m, mode);
	make_page_tables(m, p->user);
	made[mode][p->user] = true;
	return m;
}

/* ---- registers ---------------------------------------------------------- */

void machine_regs(const struct program *p, struct minivmm_regs *regs)
{
	const u64 *r = p->regs;

	*regs = (struct minivmm_regs) {
		.rax = r[0], .rcx = r[1], .rdx = r[2], .rbx = r[3],
		.rsp = r[4], .rbp = r[5], .rsi = r[6], .rdi = r[7],
		.r8 = r[8], .r9 = r[9], .r10 = r[10], .r11 = r[11],
		.r12 = r[12], .r13 = r[13], .r14 = r[14], .r15 = r[15],
		.rip = p->org, .rflags = p->rflags | RFLAGS_FIXED,
	};
}

static struct minivmm_segment from_table(const u8 *m, u16 sel)
{
	struct minivmm_segment seg = { .selector = sel };
	u64 d;

	memcpy(&d, m + GDT_GPA + (sel & ~7), 8);
	seg.base = (d >> 16 & 0xffffff) | (d >> 56) << 24;
	seg.limit = (d & 0xffff) | (d >> 48 & 0xf) << 16;
	seg.type = d >> 40 & 15;
	seg.s = d >> 44 & 1;
	seg.dpl = d >> 45 & 3;
	seg.present = d >> 47 & 1;
	seg.avl = d >> 52 & 1;
	seg.l = d >> 53 & 1;
	seg.db = d >> 54 & 1;
	seg.g = d >> 55 & 1;
	if (seg.g)
		seg.limit = seg.limit << 12 | 0xfff;
	return seg;
}

static struct minivmm_segment real_segment(u16 selector, u8 type, u8 dpl)
{
	return (struct minivmm_segment) {
		.base = selector << 4, .limit = 0xffff, .selector = selector,
		.type = type, .present = 1, .s = 1, .dpl = dpl,
	};
}

static void real_segments(struct minivmm_sregs *s, bool vm86)
{
	u8 dpl = vm86 ? 3 : 0;

	s->cs = real_segment(0, vm86 ? 3 : 11, dpl);
	s->ss = real_segment(0, 3, dpl);
	s->ds = real_segment(0x1000, 3, dpl);
	s->es = real_segment(0x2000, 3, dpl);
	s->fs = real_segment(0x4000, 3, dpl);
	s->gs = real_segment(0x1f00, 3, dpl);
}

static void load_segments(const struct program *p, const u8 *m,
			  struct minivmm_sregs *s)
{
	u16 data = p->user ? SEL_UDATA : SEL_DATA;

	switch (p->mode) {
	case REAL16:
	case VM86:
		real_segments(s, p->mode == VM86);
		return;
	case PROT16:
		s->cs = from_table(m, SEL_CODE16);
		s->ss = from_table(m, SEL_SS16);
		s->ds = from_table(m, SEL_DS16);
		s->es = from_table(m, SEL_ES16);
		s->fs = from_table(m, SEL_FS16);
		s->gs = from_table(m, SEL_GS16);
		return;
	case LONG64:
		s->cs = from_table(m, p->user ? SEL_UCODE64 : SEL_CODE64);
		s->fs = from_table(m, data);
		s->fs.base = DEVICE_GPA;
		s->gs = from_table(m, data);
		s->gs.base = DATA_GPA;
		break;
	default:
		s->cs = from_table(m, p->user ? SEL_UCODE32 : SEL_CODE32);
		s->fs = from_table(m, SEL_SMALL | (p->user ? 3 : 0));
		s->gs = from_table(m, SEL_DOWN | (p->user ? 3 : 0));
		break;
	}
	s->ss = from_table(m, data);
	s->ds = s->ss;
	s->es = s->ss;
}

static const struct {
	u64 cr0, cr3, cr4, efer;
} control[NR_MODES] = {
	[REAL16] = { 0 },
	[VM86] = { CR0_PE },
	[PROT16] = { CR0_PE },
	[PROT32] = { CR0_PE },
	[PAGED32] = { CR0_PE | CR0_PG, PD32_GPA, CR4_PSE },
	[PAE32] = { CR0_PE | CR0_PG, PDPT_PAE_GPA, CR4_PAE },
	[COMPAT32] = { CR0_PE | CR0_PG, PML4_GPA, CR4_PAE,
		       EFER_LME | EFER_LMA },
	[LONG64] = { CR0_PE | CR0_PG, PML4_GPA, CR4_PAE, EFER_LME | EFER_LMA },
};

void machine_sregs(const struct program *p, struct minivmm_sregs *s)
{
	const u8 *m = machine_memory(p);

	memset(s, 0, sizeof(*s));
	load_segments(p, m, s);
	s->tr = from_table(m, SEL_TSS);
	s->ldt = from_table(m, SEL_LDT);
	s->gdt.base = GDT_GPA;
	s->gdt.limit = GDT_LIMIT;
	s->idt.base = p->mode == REAL16 ? 0 : IDT_GPA;
	s->idt.limit = p->mode == REAL16 ? 0x3ff :
		       p->mode >= COMPAT32 ? 0xfff : 0x7ff;
	s->cr0 = CR0_ET | CR0_NE | control[p->mode].cr0 | p->cr0;
	s->cr3 = control[p->mode].cr3;
	s->cr4 = control[p->mode].cr4 | p->cr4;
	s->efer = control[p->mode].efer | p->efer;
	s->apic_base = 0xfee00900;
}

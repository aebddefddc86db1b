/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The differential test: random guest programs on two devices.
 *
 *	gen.c		makes a program from a number
 *	machine.c	the machine it starts in: memory, tables, registers
 *	run.c		runs it on a device and writes down all that is seen
 *	compare.c	two such records: equal, or what differs first
 *	rules.c		the differences that are explained
 *	show.c		shows a program and what it did
 *	diff_exec.c	the loop around them
 *
 * A program and its inputs follow from mode and seed alone, so a difference
 * can be shown again.
 */
#ifndef SELFTESTS_DIFF_H
#define SELFTESTS_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/minivmm.h>
#include <linux/types.h>

#include "x86.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum diff_mode {
	REAL16, VM86, PROT16, PROT32, PAGED32, PAE32, COMPAT32, LONG64,
	NR_MODES
};

extern const char * const mode_names[NR_MODES];

/* Guest-physical memory: one slot of RAM, one of ROM, the rest is devices. */
#define RAM_SIZE	0x20000UL
#define ROM_GPA		0x40000UL
#define ROM_SIZE	0x1000UL
#define NR_PAGES	(RAM_SIZE / PAGE_SIZE)

#define CODE_GPA	0x1000UL	/* two pages */
#define STUBS_GPA	0x3000UL	/* exception handlers */
#define TARGET_GPA	0x3c00UL	/* where SYSCALL and the like go */
#define GDT_GPA		0x4000UL
#define IDT_GPA		0x5000UL
#define TSS_GPA		0x6000UL
#define PML4_GPA	0x7000UL
#define LDT_GPA		0x8000UL	/* arithmetic yields this address easily */
#define PDPT_GPA	0x9000UL
#define PD_GPA		0xa000UL
#define PT_GPA		0xb000UL
#define PD32_GPA	0xc000UL
#define PDPT_PAE_GPA	0xd000UL
#define PT32_GPA	0xe000UL
#define STACK_TOP	0x11000UL	/* two pages */
#define USER_STACK_TOP	0x12000UL
#define IST_TOP		0x13000UL
/* From here on each linear page is special where there is paging. */
#define DATA_GPA	0x13000UL
#define TABLES_GPA	0x13e00UL	/* operands of LGDT and LIDT */
#define PAGE_RO		0x15000UL
#define PAGE_SUPERVISOR	0x16000UL
#define PAGE_ABSENT	0x17000UL
#define PAGE_NX		0x18000UL
#define PAGE_DEVICE	0x19000UL
#define PAGE_UNUSED	0x1a000UL	/* neither accessed nor dirty */
#define PAGE_ROM	0x1b000UL
#define PAGE_RESERVED	0x1c000UL
#define DEVICE_GPA	0x20000UL

#define GDT_LIMIT	0xdf
enum {
	SEL_CODE32 = 0x08, SEL_DATA = 0x10, SEL_CODE16 = 0x18, SEL_DS16 = 0x20,
	SEL_ES16 = 0x28, SEL_FS16 = 0x30, SEL_GS16 = 0x38, SEL_SS16 = 0x40,
	SEL_CODE64 = 0x48, SEL_UCODE32 = 0x53, SEL_UDATA = 0x5b,
	SEL_UCODE64 = 0x63, SEL_SMALL = 0x68, SEL_DOWN = 0x70, SEL_READ = 0x78,
	SEL_ABSENT = 0x80, SEL_CONFORM = 0x88, SEL_TSS = 0x90, SEL_LDT = 0xa0,
	SEL_GATE = 0xb0, SEL_EXEC = 0xc0, SEL_UCODE16 = 0xcb, SEL_ODD = 0xd0,
};

#define NR_GPRS		16
#define MAX_INSNS	24
#define MAX_CODE	320

enum inject { INJECT_NONE, INJECT_NMI, INJECT_WINDOW, INJECT_LATE };

/**
 * struct program - a guest program and the state it starts in
 * @seed: what it was made from, with @mode
 * @user: at CPL 3
 * @org: address of @code
 * @start: offset of each instruction, and of the end
 * @regs: in the order of the encoding; RSP is among them
 * @inject: what comes from outside
 * @inject_at: before which exit
 * @changes: how often the cause of an explained difference was taken out of it
 */
struct program {
	u64 seed;
	enum diff_mode mode;
	bool user;
	u16 org;
	u16 len;
	u8 nr;
	u8 code[MAX_CODE];
	u16 start[MAX_INSNS + 1];
	u64 regs[16];
	u64 rflags;
	u64 cr0, cr4, efer;		/* on top of what the mode needs */
	enum inject inject;
	u8 inject_at;
	u8 changes;
};

static inline u64 next_random(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline int mode_bits(enum diff_mode mode)
{
	if (mode == LONG64)
		return 64;
	return mode <= PROT16 ? 16 : 32;
}

void generate(struct program *p, enum diff_mode mode, u64 seed);

/* The machine */
const u8 *machine_memory(const struct program *p);
const u8 *machine_rom(void);
void machine_regs(const struct program *p, struct minivmm_regs *regs);
void machine_sregs(const struct program *p, struct minivmm_sregs *sregs);

/* What a run showed */
enum event_type {
	EV_IN = 1, EV_OUT, EV_READ, EV_WRITE, EV_EXCEPTION, EV_WINDOW, EV_TPR,
};

struct event {
	u8 type;
	u8 size;	/* bytes, or the vector */
	u8 if_flag, ready;
	u32 error;
	u64 addr;	/* port, GPA, or the RIP that was pushed */
	u64 data;	/* or the RFLAGS that were pushed */
	u64 cr2;
	u64 gpr[NR_GPRS];	/* of an exception */
	/* Of an access; not compared: in its midst each may have them as it likes */
	u64 rip, rflags;
	u8 insn[15];		/* of #UD; the program may have changed itself */
};

static inline bool same_event(const struct event *a, const struct event *b)
{
	return !memcmp(a, b, offsetof(struct event, rip));
}

enum stop {
	STOP_HLT = 1, STOP_END, STOP_SHUTDOWN, STOP_EMULATION, STOP_DELIVERY,
	STOP_UNEXPECTED, STOP_FAIL_ENTRY, STOP_LOST, STOP_LIMIT, STOP_SPUN,
	STOP_EFAULT, STOP_OTHER,
};

extern const char * const stop_names[];

#define MAX_EVENTS	96
#define NR_MSRS		24

struct record {
	u8 stop;
	u8 nr;
	u8 insn[15];	/* of STOP_EMULATION */
	u32 detail;
	struct minivmm_regs regs;
	struct minivmm_sregs sregs;
	struct minivmm_debugregs dr;
	struct minivmm_vcpu_events events;
	u64 xcr0;
	u64 msrs[NR_MSRS];
	u64 page_hash[NR_PAGES];	/* 0: unchanged */
	struct event ev[MAX_EVENTS];	/* the first @nr */
};

extern const u32 compared_msrs[NR_MSRS];

struct device;

struct device *device_open(const char *path, struct minivmm_cpuid2 *cpuid);
void device_close(struct device *dev);
void device_run(struct device *dev, const struct program *p,
		struct record *rec);
struct minivmm_cpuid2 *device_cpuid(const char *path);

__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *fmt, ...);

/**
 * struct difference - of two records of one program
 * @k: the first event that is not the same, KVM's; NULL: it has no more
 * @o: ours
 * @before: the last one that is the same, ours; NULL: none
 * @what: in words
 */
struct difference {
	const struct program *p;
	const struct record *kvm, *ours;
	const struct event *k, *o, *before;
	const char *what;
};

/* How to take the cause of a difference out of a program */
enum remedy {
	DROP_INSN, DROP_INJECTION,
	NO_REST,	/* all else has been compared */
};

/**
 * struct rule - a kind of difference that is explained
 * @why: in words, with the section of the SDM
 */
struct rule {
	const char *why;
	bool (*explains)(const struct difference *d);
	enum remedy remedy;
};

#define NR_RULES	15

extern const struct rule rules[NR_RULES];

extern const char * const reg_names[NR_GPRS + 2];

/* What differs first, in words; NULL: nothing. */
const char *first_difference(const struct record *kvm,
			     const struct record *ours);
/* False if they agree. */
bool compare(const struct program *p, const struct record *kvm,
	     const struct record *ours, struct difference *d);
const struct rule *explain(const struct difference *d);
bool same_segment(const struct minivmm_segment *a,
		  const struct minivmm_segment *b);

/* Makes a NOP of an instruction. False if it is one, or there is none. */
bool drop_insn(struct program *p, int nr);
bool is_dropped(const struct program *p, int nr);
/* @p is @d->p without the cause of the difference. False if that is not known. */
bool drop_cause(const struct difference *d, const struct rule *rule,
		struct program *p);

void print_program(const struct program *p);
void print_records(const struct record *kvm, const struct record *ours);

#endif

// SPDX-License-Identifier: GPL-2.0
/*
 * Two records of one program: what differs, and whether we know why.
 *
 * Whatever is masked here has its reason beside it.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "diff.h"

const char * const stop_names[] = {
	[STOP_HLT] = "HLT", [STOP_END] = "end", [STOP_SHUTDOWN] = "shutdown",
	[STOP_EMULATION] = "emulation failure", [STOP_DELIVERY] = "delivery",
	[STOP_UNEXPECTED] = "unexpected exit", [STOP_FAIL_ENTRY] = "failed entry",
	[STOP_LOST] = "left the program", [STOP_LIMIT] = "too many exits",
	[STOP_SPUN] = "spun", [STOP_EFAULT] = "EFAULT", [STOP_OTHER] = "other",
};

static const char * const event_names[] = {
	[EV_IN] = "in", [EV_OUT] = "out", [EV_READ] = "read",
	[EV_WRITE] = "write", [EV_EXCEPTION] = "exception",
	[EV_WINDOW] = "window", [EV_TPR] = "tpr",
};

static char what[80];

static bool same_event(const struct event *a, const struct event *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static const char *compare_events(const struct record *a,
				  const struct record *b)
{
	int i, n = a->nr < b->nr ? a->nr : b->nr;

	for (i = 0; i < n; i++) {
		if (!same_event(&a->ev[i], &b->ev[i])) {
			snprintf(what, sizeof(what), "event %d", i);
			return what;
		}
	}
	if (a->nr != b->nr)
		return "number of events";
	return NULL;
}

static const char * const reg_names[] = {
	"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9",
	"r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
};

static const char *compare_regs(const struct record *a, const struct record *b)
{
	const u64 *x = (const u64 *)&a->regs, *y = (const u64 *)&b->regs;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(reg_names); i++)
		if (x[i] != y[i])
			return reg_names[i];
	return NULL;
}

/* Of an unusable segment only the selector means something (SDM 25.4.1). */
static bool same_segment(const struct minivmm_segment *a,
			 const struct minivmm_segment *b)
{
	if (a->unusable && b->unusable)
		return a->selector == b->selector;
	return !memcmp(a, b, offsetof(struct minivmm_segment, padding));
}

static const char *compare_sregs(const struct minivmm_sregs *a,
				 const struct minivmm_sregs *b)
{
	static const char * const names[] = {
		"cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt",
	};
	const struct minivmm_segment *x = &a->cs, *y = &b->cs;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!same_segment(&x[i], &y[i]))
			return names[i];
	if (a->gdt.base != b->gdt.base || a->gdt.limit != b->gdt.limit)
		return "gdt";
	if (a->idt.base != b->idt.base || a->idt.limit != b->idt.limit)
		return "idt";
	if (a->cr0 != b->cr0)
		return "cr0";
	if (a->cr2 != b->cr2)
		return "cr2";
	if (a->cr3 != b->cr3)
		return "cr3";
	if (a->cr4 != b->cr4)
		return "cr4";
	if (a->cr8 != b->cr8)
		return "cr8";
	if (a->efer != b->efer)
		return "efer";
	return a->apic_base != b->apic_base ? "apic_base" : NULL;
}

static const char *compare_rest(const struct record *a, const struct record *b)
{
	u32 i;

	if (memcmp(&a->dr, &b->dr, sizeof(a->dr)))
		return "debug registers";
	if (a->xcr0 != b->xcr0)
		return "xcr0";
	for (i = 0; i < NR_MSRS; i++) {
		if (a->msrs[i] != b->msrs[i]) {
			snprintf(what, sizeof(what), "MSR 0x%x",
				 compared_msrs[i]);
			return what;
		}
	}
	if (a->events.interrupt.shadow != b->events.interrupt.shadow)
		return "interrupt shadow";
	if (a->events.nmi.masked != b->events.nmi.masked)
		return "blocking of NMIs";
	for (i = 0; i < NR_PAGES; i++) {
		/* a frame that could not be read has RF as Bochs leaves it */
		if (a->stop == STOP_LOST && (i == a->regs.rsp >> 12 ||
					     i == (a->regs.rsp + 40) >> 12))
			continue;
		if (a->page_hash[i] != b->page_hash[i]) {
			snprintf(what, sizeof(what), "memory of page 0x%x",
				 i << 12);
			return what;
		}
	}
	return NULL;
}

static const char *first_difference(const struct record *a,
				    const struct record *b)
{
	const char *diff = compare_events(a, b);

	if (diff)
		return diff;
	if (a->stop != b->stop || a->detail != b->detail)
		return "how it ended";
	/* in the middle of an instruction that user space takes part in */
	if (a->stop == STOP_LIMIT)
		return NULL;
	diff = compare_regs(a, b);
	if (!diff)
		diff = compare_sregs(&a->sregs, &b->sregs);
	return diff ? diff : compare_rest(a, b);
}

/* ---- differences with a reason ------------------------------------------------ */

/* The first event that is not the same, if both or one have it */
struct pair {
	const struct event *kvm, *ours, *before;
};

static struct pair first_pair(const struct record *kvm,
			      const struct record *ours)
{
	struct pair pair = { 0 };
	int i = 0;

	while (i < kvm->nr && i < ours->nr &&
	       same_event(&kvm->ev[i], &ours->ev[i]))
		i++;
	pair.kvm = i < kvm->nr ? &kvm->ev[i] : NULL;
	pair.ours = i < ours->nr ? &ours->ev[i] : NULL;
	pair.before = i ? &ours->ev[i - 1] : NULL;
	return pair;
}

/* The opcode at an address in the program; -1: not there. *rep if it has one */
static int opcode_at(const struct program *p, u64 rip, bool *rep)
{
	u32 at = rip - p->org;

	*rep = false;
	for (; at < p->len; at++) {
		switch (p->code[at]) {
		case 0xf2:
		case 0xf3:
			*rep = true;
			break;
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
		case 0x66: case 0x67: case 0xf0:
			break;
		default:
			if (mode_bits(p->mode) == 64 && p->code[at] >> 4 == 4)
				break;
			return p->code[at];
		}
	}
	return -1;
}

static bool is_string(int op)
{
	return (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) ||
	       (op >= 0x6c && op <= 0x6f);
}

static bool is_step(const struct event *ev)
{
	/* or a double fault, if it cannot be delivered */
	return ev && ev->type == EV_EXCEPTION &&
	       (ev->size == DB_VECTOR || ev->size == DF_VECTOR) &&
	       (ev->data & RFLAGS_TF);
}

/*
 * KVM forgets the single-step trap of an instruction whose write, or OUTS, user
 * space carries out (x86_emulate_instruction(): r is 0 then), and of all but the
 * last iteration of a string instruction. SDM 18.3.1.4: it comes after each. So
 * when it asks for the write no #DB waits.
 */
static bool lost_step(const struct program *p, const struct pair *d,
		      const struct record *ours)
{
	struct event late;
	bool rep, asked;

	if (d->kvm && d->ours && d->kvm->type == d->ours->type &&
	    d->kvm->type <= EV_WRITE) {
		late = *d->kvm;
		late.ready = 0;
		return same_event(&late, d->ours);
	}
	asked = d->before && (d->before->type == EV_WRITE ||
			      d->before->type == EV_OUT);
	/* where the #DB goes there is no handler of ours any more */
	if (asked && !d->ours &&
	    (ours->stop == STOP_LOST ||
	     (!d->kvm && ours->nr > 1 && is_step(&ours->ev[ours->nr - 2]))))
		return true;
	/* another event, right after the #DB */
	if (d->before && d->before->type <= EV_WRITE && d->ours &&
	    d->ours->type == EV_EXCEPTION &&
	    d->ours->addr == STUBS_GPA + 4 * DB_VECTOR)
		return true;
	return is_step(d->ours) &&
	       (asked || is_string(opcode_at(p, d->ours->addr, &rep)));
}

/*
 * KVM does not advance past a repeated string instruction with its last
 * iteration, but has it executed again with a count of 0. An interrupt in
 * between sees it: we return after the instruction, as a CPU does.
 */
static bool rep_not_over(const struct program *p, const struct pair *d)
{
	bool rep;
	int op;

	if (!d->kvm || !d->ours || d->kvm->type != EV_EXCEPTION ||
	    d->ours->type != EV_EXCEPTION || d->kvm->size != d->ours->size)
		return false;
	op = opcode_at(p, d->kvm->addr, &rep);
	return rep && is_string(op) && d->ours->addr > d->kvm->addr;
}

/*
 * We take an NMI or interrupt between two iterations, KVM after some more; to us
 * the first iteration ends the shadow of a MOV SS, to KVM the last.
 */
static bool rep_interrupted(const struct program *p, const struct pair *d,
			    const struct record *ours)
{
	struct event ready;
	bool rep;

	/* it could not be delivered */
	if (!d->ours && ours->stop == STOP_SHUTDOWN && p->inject && d->kvm &&
	    is_string(opcode_at(p, ours->regs.rip, &rep)) && rep)
		return true;

	if (d->kvm && d->ours && d->before && d->ours->type <= EV_WRITE &&
	    d->before->type == d->ours->type) {
		ready = *d->kvm;
		ready.ready = 1;
		return same_event(&ready, d->ours);
	}
	if (d->ours && d->ours->type == EV_WINDOW)
		return d->kvm && d->before && d->kvm->type <= EV_WRITE &&
		       d->kvm->type == d->before->type;
	return d->ours && d->ours->type == EV_EXCEPTION &&
	       (d->ours->size == NMI_VECTOR || d->ours->size >= 32) &&
	       is_string(opcode_at(p, d->ours->addr, &rep)) && rep;
}

/*
 * A fault in a later iteration of REP CMPS or SCAS: the flags are as before the
 * instruction (SDM volume 2, REP). To us each iteration is an instruction of its
 * own, as it would be if an interrupt came in between; nothing depends on it,
 * as these instructions only write flags.
 */
#define ARITHMETIC	0x8d5ULL

static bool rep_flags(const struct program *p, const struct pair *d,
		      const struct record *ours)
{
	u64 rip = d->ours ? d->ours->addr : ours->regs.rip;
	struct event masked;
	bool rep;
	int op = opcode_at(p, rip, &rep);

	if (!rep || (op != 0xa6 && op != 0xa7 && op != 0xae && op != 0xaf))
		return false;
	if (!d->kvm || !d->ours)
		return !d->kvm && !d->ours && ours->stop == STOP_SHUTDOWN;
	masked = *d->ours;
	masked.data = (masked.data & ~ARITHMETIC) | (d->kvm->data & ARITHMETIC);
	return d->kvm->type == EV_EXCEPTION && same_event(&masked, d->kvm);
}

/* Where our last word was that we do not do this instruction */
static bool gave_up_at(const struct pair *d, const struct record *ours, u64 *rip)
{
	if (!d->ours) {
		*rip = ours->regs.rip;
		return ours->stop == STOP_EMULATION;
	}
	*rip = d->ours->addr;
	return d->ours->type == EV_EXCEPTION && d->ours->size == UD_VECTOR;
}

/*
 * With device memory minivmm does no INS and OUTS, has no stack there and no
 * operand of LGDT and LIDT: documented in abi.md.
 */
static bool not_claimed(const struct program *p, const struct pair *d,
			const struct record *ours)
{
	bool rep;
	u64 rip;

	if (!gave_up_at(d, ours, &rip))
		return false;
	switch (opcode_at(p, rip, &rep)) {
	case 0x06: case 0x07: case 0x16: case 0x17: case 0x1e: case 0x1f:
	case 0x50 ... 0x61: case 0x68: case 0x6c ... 0x6f: case 0x9a:
	case 0x9c: case 0x9d: case 0xc2: case 0xc3: case 0xc8 ... 0xcb:
	case 0xcf: case 0xe8:
		return true;
	case 0x0f:
		return p->code[rip - p->org + 1] == 0x01;
	default:
		return false;
	}
}

/*
 * An interrupt that the client queues when KVM says that it may is lost if the
 * instruction that it waited for ends in a single-step trap.
 */
static bool lost_interrupt(const struct program *p, const struct pair *d)
{
	if (p->inject != INJECT_LATE || !is_step(d->before) || !d->ours ||
	    d->ours->type != EV_EXCEPTION)
		return false;
	return d->ours->size == DF_VECTOR ||
	       (d->ours->size >= 32 && d->before->addr == d->ours->addr);
}

/*
 * An access that wraps at 4 GiB in a segment of 4 GiB may fault or not (SDM
 * volume 3, 6.3).
 */
static bool wraps(const struct program *p, const struct pair *d,
		  const struct record *ours)
{
	if (mode_bits(p->mode) == 64 || !d->kvm || d->kvm->addr < 0xfffffff0 ||
	    (d->kvm->type != EV_READ && d->kvm->type != EV_WRITE))
		return false;
	if (!d->ours)
		return ours->stop == STOP_LOST;
	return d->ours->type == EV_EXCEPTION;
}

/*
 * #DB clears DR7.GD (SDM volume 3, 18.2.4), except on KVM if the guest has set it
 * without an exit: KVM looks into a copy of DR7 that is old then.
 */
static bool general_detect(const struct record *kvm, const struct record *ours)
{
	return (kvm->dr.dr7 ^ ours->dr.dr7) == DR7_GD &&
	       (kvm->dr.dr7 & DR7_GD);
}

/*
 * MOVS and CMPS have two operands. KVM reads the first before it finds that it
 * cannot have the second; we access nothing then. The SDM allows both: faults
 * come before the instruction is complete, but in which order an instruction
 * accesses its operands it does not say (volume 3, 9.2). Of INS, likewise: KVM
 * has read the port by the time that it faults.
 */
static bool first_operand_read(const struct program *p, const struct pair *d,
			       const struct record *ours)
{
	u64 rip = d->ours ? d->ours->addr : ours->regs.rip;
	bool rep;
	int op;

	if (!d->kvm || (d->ours && d->ours->type != EV_EXCEPTION))
		return false;
	op = opcode_at(p, rip, &rep);
	return d->kvm->type == EV_READ ? op >= 0xa4 && op <= 0xa7 :
	       d->kvm->type == EV_IN && (op == 0x6c || op == 0x6d);
}

const char *compare(const struct program *p, const struct record *kvm,
		    const struct record *ours, const char **why)
{
	const char *diff = first_difference(kvm, ours);
	struct pair d;

	*why = NULL;
	if (!diff)
		return NULL;
	d = first_pair(kvm, ours);
	if (lost_step(p, &d, ours))
		*why = "KVM loses the single-step trap of an MMIO write";
	else if (rep_not_over(p, &d))
		*why = "KVM repeats a string instruction with a count of 0";
	else if (rep_interrupted(p, &d, ours))
		*why = "KVM takes no interrupt between iterations";
	else if (rep_flags(p, &d, ours))
		*why = "KVM undoes the flags of all iterations";
	else if (lost_interrupt(p, &d))
		*why = "KVM loses an interrupt to a single-step trap";
	else if (not_claimed(p, &d, ours))
		*why = "minivmm does not do this with device memory";
	else if (wraps(p, &d, ours))
		*why = "an access wraps at 4 GiB";
	else if (!d.kvm && !d.ours && general_detect(kvm, ours))
		*why = "KVM leaves DR7.GD set";
	else if (first_operand_read(p, &d, ours))
		*why = "KVM reads one operand though the other faults";
	else if (ours->stop == STOP_DELIVERY && !d.ours)
		*why = "KVM emulates while an event is delivered";
	return diff;
}

/* ---- showing them ------------------------------------------------------------ */

/* An instruction that the difference does not need */
static bool nop(const struct program *p, int i)
{
	u32 k;

	for (k = p->start[i]; k < p->start[i + 1]; k++)
		if (p->code[k] != 0x90)
			return false;
	return true;
}

void print_program(const struct program *p)
{
	int i, k;

	printf("# %s seed %llu%s, code at 0x%x, rflags 0x%llx, ",
	       mode_names[p->mode], p->seed, p->user ? " (CPL 3)" : "", p->org,
	       p->rflags);
	printf("cr0 +0x%llx, cr4 +0x%llx, efer +0x%llx, inject %d at %d\n",
	       p->cr0, p->cr4, p->efer, p->inject, p->inject_at);
	for (i = 0; i < 16; i++)
		printf("%s%s%d=%llx", i % 8 ? " " : i ? "\n# " : "# ", "r", i,
		       p->regs[i]);
	printf("\n");
	for (i = 0; i < p->nr; i++) {
		if (nop(p, i))
			continue;
		printf("# code%d %4x:", mode_bits(p->mode), p->org + p->start[i]);
		for (k = p->start[i]; k < p->start[i + 1]; k++)
			printf(" %02x", p->code[k]);
		printf("\n");
	}
}

static void print_event(const char *who, const struct event *ev)
{
	printf("#   %-8s %-9s size %-3d addr %llx data %llx error %x cr2 %llx if %d ready %d\n",
	       who, event_names[ev->type], ev->size, ev->addr, ev->data,
	       ev->error, ev->cr2, ev->if_flag, ev->ready);
}

static void print_two(const char *name, u64 a, u64 b)
{
	if (a != b)
		printf("#   %-10s kvm %llx minivmm %llx\n", name, a, b);
}

static void print_segment(const char *name, const struct minivmm_segment *a,
			  const struct minivmm_segment *b)
{
	const struct minivmm_segment *s[2] = { a, b };
	int i;

	if (same_segment(a, b))
		return;
	for (i = 0; i < 2; i++) {
		printf("#   %-4s %-8s sel %x base %llx limit %x type %x ",
		       name, i ? "minivmm" : "kvm", s[i]->selector, s[i]->base,
		       s[i]->limit, s[i]->type);
		printf("s %d dpl %d p %d db %d l %d g %d avl %d unusable %d\n",
		       s[i]->s, s[i]->dpl, s[i]->present, s[i]->db, s[i]->l,
		       s[i]->g, s[i]->avl, s[i]->unusable);
	}
}

void print_records(const struct record *kvm, const struct record *ours)
{
	static const char * const segs[] = {
		"cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt",
	};
	const u64 *x = (const u64 *)&kvm->regs, *y = (const u64 *)&ours->regs;
	int i, n = kvm->nr > ours->nr ? kvm->nr : ours->nr;

	for (i = 0; i < n; i++) {
		bool both = i < kvm->nr && i < ours->nr;

		if (both && same_event(&kvm->ev[i], &ours->ev[i])) {
			print_event("both", &kvm->ev[i]);
			continue;
		}
		if (i < kvm->nr)
			print_event("kvm", &kvm->ev[i]);
		if (i < ours->nr)
			print_event("minivmm", &ours->ev[i]);
		break;
	}
	printf("#   ended: kvm %s %x, minivmm %s %x\n", stop_names[kvm->stop],
	       kvm->detail, stop_names[ours->stop], ours->detail);
	for (i = 0; i < (int)ARRAY_SIZE(reg_names); i++)
		print_two(reg_names[i], x[i], y[i]);
	for (i = 0; i < 8; i++)
		print_segment(segs[i], &kvm->sregs.cs + i, &ours->sregs.cs + i);
	print_two("cr0", kvm->sregs.cr0, ours->sregs.cr0);
	print_two("cr2", kvm->sregs.cr2, ours->sregs.cr2);
	print_two("cr3", kvm->sregs.cr3, ours->sregs.cr3);
	print_two("cr4", kvm->sregs.cr4, ours->sregs.cr4);
	print_two("cr8", kvm->sregs.cr8, ours->sregs.cr8);
	print_two("efer", kvm->sregs.efer, ours->sregs.efer);
	print_two("apic_base", kvm->sregs.apic_base, ours->sregs.apic_base);
	print_two("dr6", kvm->dr.dr6, ours->dr.dr6);
	print_two("dr7", kvm->dr.dr7, ours->dr.dr7);
	print_two("xcr0", kvm->xcr0, ours->xcr0);
	print_two("shadow", kvm->events.interrupt.shadow,
		  ours->events.interrupt.shadow);
	print_two("nmi masked", kvm->events.nmi.masked,
		  ours->events.nmi.masked);
}

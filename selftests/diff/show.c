// SPDX-License-Identifier: GPL-2.0
/*
 * Shows a program and what it did, for a reader and for testbed/diff, which
 * disassembles it.
 */
#include <stdio.h>

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

void print_program(const struct program *p)
{
	int i, k;

	printf("# %s seed %llu%s, code at 0x%x, rflags 0x%llx, ",
	       mode_names[p->mode], p->seed, p->user ? " (CPL 3)" : "", p->org,
	       p->rflags);
	printf("cr0 +0x%llx, cr4 +0x%llx, efer +0x%llx, inject %d at %d",
	       p->cr0, p->cr4, p->efer, p->inject, p->inject_at);
	if (p->changes)
		printf(", without the causes of %d differences", p->changes);
	printf("\n");
	for (i = 0; i < 16; i++)
		printf("%s%s%d=%llx", i % 8 ? " " : i ? "\n# " : "# ", "r", i,
		       p->regs[i]);
	printf("\n");
	for (i = 0; i < p->nr; i++) {
		if (is_dropped(p, i))
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

static void print_two_events(const struct event *kvm, const struct event *ours)
{
	int i;

	print_event("kvm", kvm);
	print_event("minivmm", ours);
	if (kvm->type != EV_EXCEPTION || ours->type != EV_EXCEPTION)
		return;
	for (i = 0; i < NR_GPRS; i++)
		print_two(reg_names[i], kvm->gpr[i], ours->gpr[i]);
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
		if (both)
			print_two_events(&kvm->ev[i], &ours->ev[i]);
		else if (i < kvm->nr)
			print_event("kvm", &kvm->ev[i]);
		else
			print_event("minivmm", &ours->ev[i]);
		break;
	}
	printf("#   ended: kvm %s %x, minivmm %s %x\n", stop_names[kvm->stop],
	       kvm->detail, stop_names[ours->stop], ours->detail);
	if (ours->stop == STOP_EMULATION) {
		printf("#   minivmm did not emulate");
		for (i = 0; i < 14; i++)
			printf(" %02x", ours->insn[i]);
		printf("\n");
	}
	for (i = 0; i < NR_GPRS + 2; i++)
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

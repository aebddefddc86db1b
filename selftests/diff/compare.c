// SPDX-License-Identifier: GPL-2.0
/*
 * Two records of one program: what differs first.
 *
 * Whatever is masked here has its reason beside it.
 */
#include <stdio.h>

#include "diff.h"

static char what[80];

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

const char * const reg_names[] = {
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
bool same_segment(const struct minivmm_segment *a,
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

const char *first_difference(const struct record *a, const struct record *b)
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

bool compare(const struct program *p, const struct record *kvm,
	     const struct record *ours, struct difference *d)
{
	int i = 0;

	*d = (struct difference) {
		.p = p, .kvm = kvm, .ours = ours,
		.what = first_difference(kvm, ours),
	};
	while (i < kvm->nr && i < ours->nr &&
	       same_event(&kvm->ev[i], &ours->ev[i]))
		i++;
	d->k = i < kvm->nr ? &kvm->ev[i] : NULL;
	d->o = i < ours->nr ? &ours->ev[i] : NULL;
	d->before = i ? &ours->ev[i - 1] : NULL;
	return d->what;
}

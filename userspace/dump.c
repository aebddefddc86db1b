// SPDX-License-Identifier: GPL-2.0
/* Why a vCPU ended, and what it looked like then, on stderr. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vcpu.h"

#define INSN_BYTES		16
#define BASIC_EXIT_REASON(r)	((r) & 0xffff)

static const char *entry_failure(u64 reason)
{
	/* SDM volume 3C, appendix C; 27.8 "VM-entry failures during or after loading". */
	switch (BASIC_EXIT_REASON(reason)) {
	case 33:
		return "invalid guest state";
	case 34:
		return "MSR loading";
	case 41:
		return "machine check";
	default:
		return "invalid control or host state";
	}
}

static const char *suberror(u32 code)
{
	switch (code) {
	case MINIVMM_INTERNAL_ERROR_EMULATION:
		return "an instruction it cannot emulate";
	case MINIVMM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case MINIVMM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while delivering an event";
	case MINIVMM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "an exit it does not expect";
	default:
		return "an unknown condition";
	}
}

static void explain_internal_error(const struct minivmm_run *run)
{
	char data[16 * 19 + 1] = "";
	u32 n = run->internal.ndata;

	if (n > ARRAY_SIZE(run->internal.data))
		n = ARRAY_SIZE(run->internal.data);
	for (u32 i = 0; i < n; i++)
		sprintf(data + strlen(data), " %#llx", run->internal.data[i]);
	warn("internal error: the module met %s (suberror %u, data:%s)",
	     suberror(run->internal.suberror), run->internal.suberror, n ? data : " none");
}

static void explain_exit(const struct minivmm_run *run)
{
	switch (run->exit_reason) {
	case MINIVMM_EXIT_FAIL_ENTRY:
		warn("VM entry failed: %s (hardware reason %#llx, CPU %u); dmesg may say more",
		     entry_failure(run->fail_entry.hardware_entry_failure_reason),
		     run->fail_entry.hardware_entry_failure_reason, run->fail_entry.cpu);
		break;
	case MINIVMM_EXIT_INTERNAL_ERROR:
		explain_internal_error(run);
		break;
	case MINIVMM_EXIT_UNKNOWN:
		warn("internal error: unhandled hardware exit reason %#llx",
		     run->hw.hardware_exit_reason);
		break;
	default:
		warn("internal error: exit reason %u is not one this program knows",
		     run->exit_reason);
		break;
	}
}

/**
 * vcpu_explain - say in one line why the vCPU ended the machine
 * @vcpu: the vCPU, its thread joined
 * @code: what it reported; for EXIT_TRIPLE_FAULT and EXIT_INTERNAL
 */
void vcpu_explain(const struct vcpu *vcpu, enum exit_code code)
{
	if (vcpu->failed_call)
		warn("internal error: %s failed: %s", vcpu->failed_call, strerror(vcpu->error));
	else if (code == EXIT_TRIPLE_FAULT)
		warn("guest shut down: triple fault");
	else
		explain_exit(vcpu->run);
}

static void dump_segment(const char *name, const struct minivmm_segment *s)
{
	fprintf(stderr,
		"%-4s %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u%s\n",
		name, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l,
		s->db, s->g, s->unusable ? " unusable" : "");
}

static void dump_regs(const struct minivmm_regs *r)
{
	fprintf(stderr,
		"rip  %016llx rflags %016llx\n"
		"rax  %016llx rbx  %016llx rcx  %016llx rdx  %016llx\n"
		"rsi  %016llx rdi  %016llx rsp  %016llx rbp  %016llx\n"
		"r8   %016llx r9   %016llx r10  %016llx r11  %016llx\n"
		"r12  %016llx r13  %016llx r14  %016llx r15  %016llx\n",
		r->rip, r->rflags, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15);
}

static void dump_sregs(const struct minivmm_sregs *s)
{
	fprintf(stderr, "cr0  %016llx cr2  %016llx cr3  %016llx cr4  %016llx efer %016llx\n",
		s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
	dump_segment("cs", &s->cs);
	dump_segment("ds", &s->ds);
	dump_segment("es", &s->es);
	dump_segment("fs", &s->fs);
	dump_segment("gs", &s->gs);
	dump_segment("ss", &s->ss);
	dump_segment("tr", &s->tr);
	dump_segment("ldt", &s->ldt);
	fprintf(stderr, "gdt  base %016llx limit %04x\nidt  base %016llx limit %04x\n",
		s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit);
}

/* Byte by byte: the instruction may cross into a page that is not mapped. */
static unsigned int read_code(const struct vcpu *vcpu, u64 linear, u8 *bytes)
{
	unsigned int n;

	for (n = 0; n < INSN_BYTES; n++) {
		struct minivmm_translation t = { .linear_address = linear + n };
		const u8 *byte;

		if (ioctl(vcpu->fd, MINIVMM_TRANSLATE, &t) || !t.valid)
			break;
		byte = ram_ptr(vcpu->ram, t.physical_address, 1);
		if (!byte)
			break;
		bytes[n] = *byte;
	}
	return n;
}

static void dump_code(const struct vcpu *vcpu, u64 linear)
{
	u8 bytes[INSN_BYTES];
	unsigned int n = read_code(vcpu, linear, bytes);

	fprintf(stderr, "code at %016llx:", linear);
	for (unsigned int i = 0; i < n; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fputs(n ? "\n" : " not mapped\n", stderr);
}

/**
 * vcpu_dump - print the vCPU's registers and the code it stands at
 * @vcpu: the vCPU, its thread joined
 */
void vcpu_dump(const struct vcpu *vcpu)
{
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	if (ioctl(vcpu->fd, MINIVMM_GET_REGS, &regs) ||
	    ioctl(vcpu->fd, MINIVMM_GET_SREGS, &sregs)) {
		warn("cannot read the vCPU's registers");
		return;
	}
	fprintf(stderr, "CPU %u\n", vcpu->id);
	dump_regs(&regs);
	dump_sregs(&sregs);
	dump_code(vcpu, sregs.cs.base + regs.rip);
}

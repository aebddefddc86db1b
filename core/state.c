// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's registers: reset values, and in and out of the client's hands.
 *
 * Everything is checked before anything changes.
 */
#include <linux/string.h>
#include <uapi/asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "core.h"

#define APIC_BASE_DEFAULT	0xfee00000ULL
#define APIC_BASE_ENABLE	BIT_ULL(11)
#define APIC_BASE_BSP		BIT_ULL(8)

/* The registers of struct minivmm_regs, in enum mv_reg's order */
static const u8 abi_reg[MV_NR_REGS] = {
	[MV_RAX] = offsetof(struct minivmm_regs, rax),
	[MV_RCX] = offsetof(struct minivmm_regs, rcx),
	[MV_RDX] = offsetof(struct minivmm_regs, rdx),
	[MV_RBX] = offsetof(struct minivmm_regs, rbx),
	[MV_RSP] = offsetof(struct minivmm_regs, rsp),
	[MV_RBP] = offsetof(struct minivmm_regs, rbp),
	[MV_RSI] = offsetof(struct minivmm_regs, rsi),
	[MV_RDI] = offsetof(struct minivmm_regs, rdi),
	[MV_R8] = offsetof(struct minivmm_regs, r8),
	[MV_R9] = offsetof(struct minivmm_regs, r9),
	[MV_R10] = offsetof(struct minivmm_regs, r10),
	[MV_R11] = offsetof(struct minivmm_regs, r11),
	[MV_R12] = offsetof(struct minivmm_regs, r12),
	[MV_R13] = offsetof(struct minivmm_regs, r13),
	[MV_R14] = offsetof(struct minivmm_regs, r14),
	[MV_R15] = offsetof(struct minivmm_regs, r15),
};

static void reset_segments(struct mv_vcpu *vcpu)
{
	int i;

	for (i = 0; i < MV_LDTR; i++) {
		vcpu->seg[i].limit = 0xffff;
		vcpu->seg[i].ar = 0x93;		/* data, writable, accessed */
	}
	vcpu->seg[MV_CS].selector = 0xf000;
	vcpu->seg[MV_CS].base = 0xffff0000;
	vcpu->seg[MV_CS].ar = 0x9b;		/* code, readable, accessed */
	vcpu->seg[MV_LDTR].limit = 0xffff;
	vcpu->seg[MV_LDTR].ar = 0x82;
	vcpu->seg[MV_TR].limit = 0xffff;
	vcpu->seg[MV_TR].ar = 0x8b;		/* busy 32-bit TSS */
	vcpu->gdt.limit = 0xffff;
	vcpu->idt.limit = 0xffff;
}

/* What power-up, reset and INIT have in common (SDM table 10-1) */
static void reset_registers(struct mv_vcpu *vcpu)
{
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	memset(vcpu->seg, 0, sizeof(vcpu->seg));
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	memset(&vcpu->ev, 0, sizeof(vcpu->ev));
	reset_segments(vcpu);
	vcpu->gdt.base = 0;
	vcpu->idt.base = 0;
	vcpu->regs[MV_RDX] = 0x600;
	vcpu->rip = 0xfff0;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->cr2 = 0;
	vcpu->cr3 = 0;
	vcpu->cr4 = 0;
	vcpu->cr8 = 0;
	vcpu->efer = 0;
	vcpu->dr6 = MV_DR6_FIXED;
	vcpu->dr7 = MV_DR7_FIXED;
	vcpu->intr_shadow = 0;
	vcpu->complete = NULL;
	vcpu->extint = -1;
	vcpu->check_events = true;
	vcpu->valid = MV_STATE_LAZY;
	vcpu->dirty = MV_STATE_ALL;
}

/**
 * mv_state_init() - the state after an INIT (SDM table 10-1, 10.1.1)
 * @vcpu: keeps what INIT leaves alone: FPU and XCR0, MSRs but EFER, the TSC, and
 *	how the caches are set up. Its local APIC is not touched here.
 */
void mv_state_init(struct mv_vcpu *vcpu)
{
	mv_need(vcpu, MV_STATE_CRS);
	vcpu->cr0 = (vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
	reset_registers(vcpu);
	mv_cpuid_update(vcpu);
}

/**
 * mv_state_reset() - the state after power-up (SDM table 10-1)
 * @vcpu: new and zeroed
 */
void mv_state_reset(struct mv_vcpu *vcpu)
{
	vcpu->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	reset_registers(vcpu);
	vcpu->xcr0 = XFEATURE_MASK_FP;
	vcpu->apic_base = APIC_BASE_DEFAULT | APIC_BASE_ENABLE;
	if (vcpu->id == vcpu->vm->boot_id)
		vcpu->apic_base |= APIC_BASE_BSP;
	mv_tsc_reset(vcpu);
	mv_msr_reset(vcpu);
	/* Until the client says which CPU it wants: all that there is. */
	mv_cpuid_reset(vcpu);
}

void mv_get_regs(struct mv_vcpu *vcpu, struct minivmm_regs *regs)
{
	int i;

	for (i = 0; i < MV_NR_REGS; i++)
		*(u64 *)((void *)regs + abi_reg[i]) = vcpu->regs[i];
	regs->rip = vcpu->rip;
	regs->rflags = vcpu->rflags;
}

/**
 * mv_set_regs() - MINIVMM_SET_REGS
 * @vcpu: the vCPU
 * @regs: any values; what the CPU does not take shows as a failed entry
 *
 * An exception that was waiting belonged to the old registers. So did the
 * instruction whose I/O user space was asked to do, if the vCPU is moved away
 * from it: a client may reset a vCPU on an OUT.
 */
void mv_set_regs(struct mv_vcpu *vcpu, const struct minivmm_regs *regs)
{
	int i;

	for (i = 0; i < MV_NR_REGS; i++)
		vcpu->regs[i] = *(const u64 *)((void *)regs + abi_reg[i]);
	if (vcpu->rip != regs->rip)
		vcpu->complete = NULL;
	vcpu->rip = regs->rip;
	vcpu->rflags = regs->rflags | X86_EFLAGS_FIXED;
	vcpu->ev.exception.pending = false;
	vcpu->dirty |= MV_STATE_RIP | MV_STATE_RSP | MV_STATE_RFLAGS;
}

static void get_segment(const struct mv_segment *seg,
			struct minivmm_segment *abi)
{
	abi->base = seg->base;
	abi->limit = seg->limit;
	abi->selector = seg->selector;
	abi->type = seg->ar & MV_AR_TYPE;
	abi->s = !!(seg->ar & MV_AR_S);
	abi->dpl = MV_AR_DPL(seg->ar);
	abi->avl = !!(seg->ar & MV_AR_AVL);
	abi->l = !!(seg->ar & MV_AR_L);
	abi->db = !!(seg->ar & MV_AR_DB);
	abi->g = !!(seg->ar & MV_AR_G);
	abi->unusable = !!(seg->ar & MV_AR_UNUSABLE);
	/* what clients must agree on: present is the opposite of unusable */
	abi->present = !abi->unusable;
}

/*
 * A usable code, data or task segment is always "accessed" or "busy" in the
 * CPU (SDM 27.3.1.2); clients often leave that out.
 */
static void set_segment(struct mv_vcpu *vcpu, enum mv_seg i,
			const struct minivmm_segment *abi)
{
	struct mv_segment *seg = &vcpu->seg[i];
	u32 type = (abi->type & 15) | (i != MV_LDTR);

	seg->base = abi->base;
	seg->limit = abi->limit;
	seg->selector = abi->selector;
	seg->ar = type | (abi->s & 1) << 4 | (abi->dpl & 3) << 5 |
		  (abi->present & 1) << 7 | (abi->avl & 1) << 12 |
		  (abi->l & 1) << 13 | (abi->db & 1) << 14 |
		  (abi->g & 1) << 15;
	if (abi->unusable || !abi->present)
		seg->ar |= MV_AR_UNUSABLE;
}

void mv_get_sregs(struct mv_vcpu *vcpu, struct minivmm_sregs *sregs)
{
	mv_need(vcpu, MV_STATE_SEGS | MV_STATE_CRS);
	memset(sregs, 0, sizeof(*sregs));
	get_segment(&vcpu->seg[MV_CS], &sregs->cs);
	get_segment(&vcpu->seg[MV_DS], &sregs->ds);
	get_segment(&vcpu->seg[MV_ES], &sregs->es);
	get_segment(&vcpu->seg[MV_FS], &sregs->fs);
	get_segment(&vcpu->seg[MV_GS], &sregs->gs);
	get_segment(&vcpu->seg[MV_SS], &sregs->ss);
	get_segment(&vcpu->seg[MV_TR], &sregs->tr);
	get_segment(&vcpu->seg[MV_LDTR], &sregs->ldt);
	sregs->gdt.base = vcpu->gdt.base;
	sregs->gdt.limit = vcpu->gdt.limit;
	sregs->idt.base = vcpu->idt.base;
	sregs->idt.limit = vcpu->idt.limit;
	sregs->cr0 = vcpu->cr0;
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vcpu->cr3;
	sregs->cr4 = vcpu->cr4;
	sregs->cr8 = mv_get_cr8(vcpu);
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->apic_base;
	if (vcpu->ev.interrupt.queued && !vcpu->ev.interrupt.soft)
		sregs->interrupt_bitmap[vcpu->ev.interrupt.vector / 64] |=
			BIT_ULL(vcpu->ev.interrupt.vector % 64);
}

/* The mode bits must describe a mode that exists (SDM 4.1.1, 10.8.5). */
static bool valid_mode(const struct minivmm_sregs *sregs)
{
	bool pae = sregs->cr4 & X86_CR4_PAE;
	bool lma = sregs->efer & EFER_LMA;

	if ((sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG))
		return pae && lma;
	return !lma && !sregs->cs.l;
}

static bool valid_sregs(struct mv_vcpu *vcpu, const struct minivmm_sregs *sregs)
{
	u64 cr3_reserved = 0;

	if (sregs->efer & EFER_LMA)
		cr3_reserved = ~(BIT_ULL(boot_cpu_data.x86_phys_bits) - 1);
	return valid_mode(sregs) && mv_valid_cr0(sregs->cr0) &&
	       mv_valid_cr4(vcpu, sregs->cr4) && !(sregs->cr3 & cr3_reserved) &&
	       mv_valid_efer(sregs->efer) && sregs->cr8 < 16 &&
	       mv_valid_apic_base(vcpu, sregs->apic_base);
}

/* What mv_get_sregs() found there: it was being delivered. */
static void set_interrupt_bitmap(struct mv_vcpu *vcpu, const u64 *bitmap)
{
	int vector = find_first_bit((const unsigned long *)bitmap,
				    MINIVMM_NR_INTERRUPTS);

	if (vector >= MINIVMM_NR_INTERRUPTS)
		return;
	vcpu->ev.interrupt.queued = true;
	vcpu->ev.interrupt.soft = false;
	vcpu->ev.interrupt.vector = vector;
	vcpu->check_events = true;
}

/**
 * mv_set_sregs() - MINIVMM_SET_SREGS
 * @vcpu: the vCPU
 * @sregs: segments are taken as they come; control registers must be possible
 *
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_set_sregs(struct mv_vcpu *vcpu, const struct minivmm_sregs *sregs)
{
	if (!valid_sregs(vcpu, sregs))
		return -EINVAL;

	mv_need(vcpu, MV_STATE_SEGS);
	if (vcpu->seg[MV_CS].base != sregs->cs.base)
		vcpu->complete = NULL;	/* as in mv_set_regs() */
	set_segment(vcpu, MV_CS, &sregs->cs);
	set_segment(vcpu, MV_DS, &sregs->ds);
	set_segment(vcpu, MV_ES, &sregs->es);
	set_segment(vcpu, MV_FS, &sregs->fs);
	set_segment(vcpu, MV_GS, &sregs->gs);
	set_segment(vcpu, MV_SS, &sregs->ss);
	set_segment(vcpu, MV_TR, &sregs->tr);
	set_segment(vcpu, MV_LDTR, &sregs->ldt);
	vcpu->gdt.base = sregs->gdt.base;
	vcpu->gdt.limit = sregs->gdt.limit;
	vcpu->idt.base = sregs->idt.base;
	vcpu->idt.limit = sregs->idt.limit;
	vcpu->cr0 = mv_cr0_bits(sregs->cr0);
	vcpu->cr2 = sregs->cr2;
	vcpu->cr3 = sregs->cr3;
	vcpu->cr4 = sregs->cr4;
	vcpu->efer = sregs->efer;
	mv_apic_set_base(vcpu, sregs->apic_base, true);
	mv_set_cr8(vcpu, sregs->cr8);
	vcpu->valid = MV_STATE_LAZY;
	vcpu->dirty |= MV_STATE_LAZY | MV_STATE_TLB | MV_STATE_SYSCALL;
	/* If they cannot be read now the guest could not have got here either */
	if (mv_pae_paging(vcpu))
		mv_load_pdptrs(vcpu);
	mv_cpuid_update(vcpu);
	set_interrupt_bitmap(vcpu, sregs->interrupt_bitmap);
	return 0;
}

void mv_get_debugregs(struct mv_vcpu *vcpu, struct minivmm_debugregs *dbg)
{
	memset(dbg, 0, sizeof(*dbg));
	memcpy(dbg->db, vcpu->dr, sizeof(dbg->db));
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
}

/**
 * mv_set_debugregs() - MINIVMM_SET_DEBUGREGS
 * @vcpu: the vCPU
 * @dbg: no flags; bits 63:32 of DR6 and DR7 zero
 *
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_set_debugregs(struct mv_vcpu *vcpu, const struct minivmm_debugregs *dbg)
{
	if (dbg->flags || dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;

	memcpy(vcpu->dr, dbg->db, sizeof(vcpu->dr));
	vcpu->dr6 = (dbg->dr6 & MV_DR6_VOLATILE) | MV_DR6_FIXED;
	vcpu->dr7 = (dbg->dr7 & MV_DR7_VOLATILE) | MV_DR7_FIXED;
	vcpu->dirty |= MV_STATE_DR7;
	return 0;
}

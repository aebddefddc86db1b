// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC (SDM chapter 11): its registers, as xAPIC and x2APIC, and what
 * it does with interrupts that have arrived.
 *
 * Whoever sends posts in lapic->posted and tells the vCPU (deliver.c). Only the
 * vCPU itself moves interrupts on, from there to IRR and from IRR to ISR, so
 * the registers need no lock. Where the CPU virtualizes the APIC it does the
 * same moves in the same page, in the guest.
 */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/log2.h>
#include <linux/gfp.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include "../core.h"
#include "lapic.h"

#define APIC_VERSION	0x14		/* integrated, as since the Pentium 4 */
#define APIC_MAX_LVT	5

#define LVT_DELIVERY_STATUS	BIT(12)
#define LVT_REMOTE_IRR		BIT(14)

#define R		BIT(0)		/* readable */
#define W		BIT(1)		/* writable */
#define XAPIC		BIT(2)		/* only as xAPIC */
#define X2APIC		BIT(3)		/* only as x2APIC */
#define X2APIC_RO	BIT(4)		/* read only as x2APIC */

/**
 * struct apic_reg - a register that exists
 * @flags: see above
 * @mask: the bits that can be written; the others are reserved
 * @ignored: read-only bits among them: a write of 1 is no fault
 */
struct apic_reg {
	u8 flags;
	u32 mask;
	u32 ignored;
};

/* By offset / 16, which is also the x2APIC MSR's number (SDM tables 11-1, 11-6) */
static const struct apic_reg apic_regs[APIC_NR_REGS] = {
	[APIC_ID >> 4]		= { R },
	[APIC_LVR >> 4]		= { R },
	[APIC_TASKPRI >> 4]	= { R | W, 0xff },
	[APIC_ARBPRI >> 4]	= { R | XAPIC },
	[APIC_PROCPRI >> 4]	= { R },
	[APIC_EOI >> 4]		= { W },
	[APIC_LDR >> 4]		= { R | W | X2APIC_RO, 0xff000000 },
	[APIC_DFR >> 4]		= { R | W | XAPIC, 0xf0000000 },
	[APIC_SPIV >> 4]	= { R | W, 0x3ff },
	[APIC_ISR >> 4 ... (APIC_IRR >> 4) + 7] = { R },
	[APIC_ESR >> 4]		= { R | W },
	[APIC_ICR >> 4]		= { R | W, 0xccfff & ~LVT_DELIVERY_STATUS,
				    LVT_DELIVERY_STATUS },
	[APIC_ICR2 >> 4]	= { R | W | XAPIC, 0xff000000 },
	[APIC_LVTT >> 4]	= { R | W, 0x700ff, LVT_DELIVERY_STATUS },
	[APIC_LVTTHMR >> 4]	= { R | W, 0x107ff, LVT_DELIVERY_STATUS },
	[APIC_LVTPC >> 4]	= { R | W, 0x107ff, LVT_DELIVERY_STATUS },
	[APIC_LVT0 >> 4]	= { R | W, 0x1a7ff,
				    LVT_DELIVERY_STATUS | LVT_REMOTE_IRR },
	[APIC_LVT1 >> 4]	= { R | W, 0x1a7ff,
				    LVT_DELIVERY_STATUS | LVT_REMOTE_IRR },
	[APIC_LVTERR >> 4]	= { R | W, 0x100ff, LVT_DELIVERY_STATUS },
	[APIC_TMICT >> 4]	= { R | W, ~0U },
	[APIC_TMCCT >> 4]	= { R },
	[APIC_TDCR >> 4]	= { R | W, 0xb },
	[APIC_SELF_IPI >> 4]	= { W | X2APIC, 0xff },
};

/* ---- sets of vectors: ISR, TMR, IRR ---------------------------------------- */

static u32 *vector_word(const struct mv_lapic *lapic, u32 set, u8 vector)
{
	return lapic->regs + set + (vector >> 5) * 0x10;
}

static void set_vector(struct mv_lapic *lapic, u32 set, u8 vector)
{
	*vector_word(lapic, set, vector) |= BIT(vector & 31);
}

static void clear_vector(struct mv_lapic *lapic, u32 set, u8 vector)
{
	*vector_word(lapic, set, vector) &= ~BIT(vector & 31);
}

/**
 * mv_apic_highest() - the vector of highest priority in a register set
 * @vcpu: the vCPU
 * @set: APIC_ISR or APIC_IRR
 *
 * Return: the vector, or -1.
 */
int mv_apic_highest(const struct mv_vcpu *vcpu, u32 set)
{
	const u32 *word = vcpu->lapic->regs + set;
	int i;

	for (i = 7; i >= 0; i--) {
		if (word[i * 4])
			return i * 32 + __fls(word[i * 4]);
	}
	return -1;
}
EXPORT_SYMBOL_GPL(mv_apic_highest);

/**
 * mv_apic_pull() - what was posted arrives in IRR
 * @vcpu: the vCPU, with a local APIC
 *
 * Context: the vCPU's own: inside the run section, or with its mutex.
 * Return: true if IRR has news; the back end has been told.
 */
bool mv_apic_pull(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;
	struct mv_posted *posted = &lapic->posted;
	unsigned int i;

	if (!READ_ONCE(posted->on))
		return false;
	/* Before PIR is read: who posts later sets it again (SDM 30.6). */
	xchg(&posted->on, 0);
	for (i = 0; i < ARRAY_SIZE(posted->pir); i++) {
		u64 pir = READ_ONCE(posted->pir[i]);
		u32 *irr = lapic->regs + APIC_IRR + i * 0x20;

		if (!pir)
			continue;
		pir = xchg(&posted->pir[i], 0);
		irr[0] |= pir;
		irr[4] |= pir >> 32;
	}
	lapic->changed = true;
	return true;
}
EXPORT_SYMBOL_GPL(mv_apic_pull);

/**
 * mv_apic_raise() - an edge-triggered interrupt of the vCPU's own
 * @vcpu: the vCPU, which needs not be told
 * @vector: which
 *
 * Context: the vCPU's own.
 */
void mv_apic_raise(struct mv_vcpu *vcpu, u8 vector)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (unlikely(vector < 16)) {
		mv_apic_error(vcpu, APIC_ESR_RECVILL);
		return;
	}
	mv_apic_set_tmr(lapic, vector, false);
	set_vector(lapic, APIC_IRR, vector);
	lapic->changed = true;
}

/* SDM 11.8.3.1: the processor priority's class decides. */
static u32 processor_priority(const struct mv_vcpu *vcpu)
{
	u32 tpr = mv_apic_reg(vcpu->lapic, APIC_TASKPRI);
	int isr = max(mv_apic_highest(vcpu, APIC_ISR), 0);

	return (tpr & 0xf0) >= (isr & 0xf0) ? tpr : isr & 0xf0;
}

/**
 * mv_apic_pending() - the vector that the APIC would deliver now
 * @vcpu: the vCPU, with a local APIC
 *
 * Context: the vCPU's own. Return: the vector, or -1.
 */
int mv_apic_pending(const struct mv_vcpu *vcpu)
{
	int irr = mv_apic_highest(vcpu, APIC_IRR);

	if (irr < 0 || !mv_apic_enabled(vcpu))
		return -1;
	return (irr & 0xf0) > (processor_priority(vcpu) & 0xf0) ? irr : -1;
}
EXPORT_SYMBOL_GPL(mv_apic_pending);

/**
 * mv_apic_accept() - the CPU takes an interrupt: from IRR to ISR
 * @vcpu: the vCPU
 * @vector: from mv_apic_pending()
 *
 * For a back end whose CPU does not do so itself.
 *
 * Context: the vCPU's own.
 */
void mv_apic_accept(struct mv_vcpu *vcpu, u8 vector)
{
	clear_vector(vcpu->lapic, APIC_IRR, vector);
	set_vector(vcpu->lapic, APIC_ISR, vector);
}
EXPORT_SYMBOL_GPL(mv_apic_accept);

/**
 * mv_apic_eoi_done() - the guest ended an interrupt; who else must know?
 * @vcpu: the vCPU
 * @vector: whose bit in ISR is clear now
 *
 * Context: the vCPU's own. The run loop tells the I/O APIC before the guest
 * goes on.
 */
void mv_apic_eoi_done(struct mv_vcpu *vcpu, u8 vector)
{
	if (!test_bit(vector, vcpu->vm->eoi_vectors))
		return;
	vcpu->eoi_vector = vector;
	set_bit(MV_REQ_EOI, &vcpu->requests);
}
EXPORT_SYMBOL_GPL(mv_apic_eoi_done);

static void end_of_interrupt(struct mv_vcpu *vcpu)
{
	int vector = mv_apic_highest(vcpu, APIC_ISR);

	if (vector < 0)
		return;
	clear_vector(vcpu->lapic, APIC_ISR, vector);
	vcpu->lapic->changed = true;
	mv_apic_eoi_done(vcpu, vector);
}

/* ---- writing registers -------------------------------------------------------- */

void mv_apic_set_tpr(struct mv_vcpu *vcpu, u32 tpr)
{
	mv_apic_set_reg(vcpu->lapic, APIC_TASKPRI, tpr);
	vcpu->check_events = true;
}

/* Software-disabled, all local interrupts are masked (SDM 11.4.7.2). */
static void write_svr(struct mv_vcpu *vcpu, u32 value)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 lvt;

	mv_apic_set_reg(lapic, APIC_SPIV, value);
	if (value & APIC_SPIV_APIC_ENABLED)
		return;
	for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 0x10)
		mv_apic_set_reg(lapic, lvt,
				mv_apic_reg(lapic, lvt) | APIC_LVT_MASKED);
}

static void write_lvt(struct mv_vcpu *vcpu, u32 offset, u32 value)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (!mv_apic_sw_enabled(lapic))
		value |= APIC_LVT_MASKED;
	mv_apic_set_reg(lapic, offset, value);
	if (offset == APIC_LVTT)
		mv_apic_timer_mode(vcpu, value);
	/* Unmasked now, the client's or our 8259 pair may have been waiting. */
	vcpu->check_events = true;
}

/* Each write shows the errors since the one before (SDM 11.5.3). */
static void write_esr(struct mv_lapic *lapic)
{
	mv_apic_set_reg(lapic, APIC_ESR, xchg(&lapic->errors, 0));
}

static void write_icr(struct mv_vcpu *vcpu, u32 low, u32 dest)
{
	mv_send_ipi(vcpu, low & ~LVT_DELIVERY_STATUS, dest);
}

/* @value has no reserved bits; the register can be written in this mode. */
static void write_reg(struct mv_vcpu *vcpu, u32 offset, u32 value)
{
	struct mv_lapic *lapic = vcpu->lapic;

	switch (offset) {
	case APIC_TASKPRI:
		mv_apic_set_tpr(vcpu, value);
		break;
	case APIC_EOI:
		end_of_interrupt(vcpu);
		break;
	case APIC_LDR:
	case APIC_DFR:
		mv_logical_change(vcpu, offset, value);
		break;
	case APIC_SPIV:
		write_svr(vcpu, value);
		break;
	case APIC_ESR:
		write_esr(lapic);
		break;
	case APIC_ICR:
		mv_apic_set_reg(lapic, APIC_ICR, value);
		write_icr(vcpu, value, mv_apic_reg(lapic, APIC_ICR2) >> 24);
		break;
	case APIC_LVTT ... APIC_LVTERR:
		write_lvt(vcpu, offset, value);
		break;
	case APIC_TMICT:
		mv_apic_timer_start(vcpu, value);
		break;
	case APIC_TDCR:
		mv_apic_timer_divide(vcpu, value);
		break;
	case APIC_SELF_IPI:
		mv_apic_raise(vcpu, value);
		break;
	default:
		mv_apic_set_reg(lapic, offset, value);
		break;
	}
}

static u32 read_reg(struct mv_vcpu *vcpu, u32 offset)
{
	switch (offset) {
	case APIC_IRR ... APIC_IRR + 0x70:
		mv_apic_pull(vcpu);
		break;
	case APIC_PROCPRI:
		return processor_priority(vcpu);
	case APIC_TMCCT:
		return mv_apic_timer_count(vcpu);
	}
	return mv_apic_reg(vcpu->lapic, offset);
}

/* LVT timer mode 10b, TSC-deadline, exists if CPUID has it. */
/* An xAPIC's ICR keeps what is reserved, as KVM's does; nothing looks at it. */
static u32 write_mask(const struct mv_vcpu *vcpu, u32 offset)
{
	u32 mask = apic_regs[offset >> 4].mask;

	if (offset == APIC_ICR && !mv_apic_is_x2apic(vcpu))
		return (u32)~LVT_DELIVERY_STATUS;
	if (offset == APIC_LVTT && !vcpu->cpuid.tsc_deadline)
		mask &= ~APIC_LVT_TIMER_TSCDEADLINE;
	return mask;
}

/* ---- x2APIC: MSRs ---------------------------------------------------------------- */

static const struct apic_reg *x2apic_reg(const struct mv_vcpu *vcpu, u32 index)
{
	const struct apic_reg *reg;

	index -= APIC_BASE_MSR;
	if (!vcpu->lapic || !mv_apic_is_x2apic(vcpu) || index >= APIC_NR_REGS)
		return NULL;
	reg = &apic_regs[array_index_nospec(index, APIC_NR_REGS)];
	return reg->flags & XAPIC ? NULL : reg;
}

/**
 * mv_x2apic_read() - RDMSR of 800H to 8FFH
 * @vcpu: the vCPU
 * @index: ECX
 * @data: the value
 *
 * Context: inside the run section.
 * Return: 0; nonzero: the guest gets #GP(0).
 */
int mv_x2apic_read(struct mv_vcpu *vcpu, u32 index, u64 *data)
{
	const struct apic_reg *reg = x2apic_reg(vcpu, index);
	u32 offset = (index - APIC_BASE_MSR) << 4;

	if (!reg || !(reg->flags & R))
		return -EINVAL;
	if (offset == APIC_ICR)
		*data = mv_apic_icr(vcpu->lapic);
	else
		*data = read_reg(vcpu, offset);
	return 0;
}

/**
 * mv_x2apic_write() - WRMSR of 800H to 8FFH
 * @vcpu: the vCPU
 * @index: ECX
 * @data: EDX:EAX
 *
 * Context: inside the run section.
 * Return: 0; nonzero: the guest gets #GP(0), and nothing changed.
 */
int mv_x2apic_write(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	const struct apic_reg *reg = x2apic_reg(vcpu, index);
	u32 offset = (index - APIC_BASE_MSR) << 4;
	u32 mask;

	if (!reg || !(reg->flags & W) || (reg->flags & X2APIC_RO))
		return -EINVAL;
	mask = write_mask(vcpu, offset);
	if ((u32)data & ~(mask | reg->ignored))
		return -EINVAL;
	if (offset == APIC_ICR) {
		data &= ~(u64)LVT_DELIVERY_STATUS;
		mv_apic_set_icr(vcpu->lapic, data);
		write_icr(vcpu, data, data >> 32);
		return 0;
	}
	if (data >> 32)
		return -EINVAL;
	write_reg(vcpu, offset, data & mask);
	return 0;
}

/* ---- xAPIC: a page of memory ------------------------------------------------------- */

static bool in_apic_page(const struct mv_vcpu *vcpu, u64 gpa)
{
	return vcpu->lapic && mv_apic_enabled(vcpu) && !mv_apic_is_x2apic(vcpu) &&
	       !((gpa ^ vcpu->apic_base) & GENMASK_ULL(51, PAGE_SHIFT));
}

static const struct apic_reg *xapic_reg(u32 offset, u8 access)
{
	const struct apic_reg *reg;

	if (offset >= MINIVMM_APIC_REG_SIZE)
		return NULL;
	reg = &apic_regs[array_index_nospec(offset >> 4, APIC_NR_REGS)];
	return (reg->flags & access) && !(reg->flags & X2APIC) ? reg : NULL;
}

/**
 * mv_lapic_mmio_read() - a load from where the vCPU's xAPIC may be
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @data: the value
 * @len: 1 to 8 bytes
 *
 * What the SDM leaves undefined, other accesses than those of aligned 32-bit
 * words, gives the bytes that are there within a register, else zeros.
 *
 * Context: the vCPU's own, outside the run section.
 * Return: true if it was the APIC's.
 */
bool mv_lapic_mmio_read(struct mv_vcpu *vcpu, u64 gpa, void *data,
			unsigned int len)
{
	u32 offset = offset_in_page(gpa), value;

	if (!in_apic_page(vcpu, gpa))
		return false;
	memset(data, 0, len);
	if ((offset & 15) + len > 4)
		return true;
	if (!xapic_reg(offset, R)) {
		mv_apic_error(vcpu, APIC_ESR_ILLREGA);
		return true;
	}
	value = read_reg(vcpu, offset & ~15U);
	memcpy(data, (u8 *)&value + (offset & 3), len);
	return true;
}

/**
 * mv_lapic_mmio_write() - a store to where the vCPU's xAPIC may be
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @data: the value
 * @len: 1 to 8 bytes; other than aligned 32-bit words are ignored
 *
 * Context: the vCPU's own, also inside the run section.
 * Return: true if it was the APIC's.
 */
bool mv_lapic_mmio_write(struct mv_vcpu *vcpu, u64 gpa, const void *data,
			 unsigned int len)
{
	u32 offset = offset_in_page(gpa), value;

	if (!in_apic_page(vcpu, gpa))
		return false;
	if (len != 4 || (offset & 15))
		return true;
	if (!xapic_reg(offset, W)) {
		mv_apic_error(vcpu, APIC_ESR_ILLREGA);
		return true;
	}
	memcpy(&value, data, sizeof(value));
	write_reg(vcpu, offset, value & write_mask(vcpu, offset));
	return true;
}

/* ---- registers that the CPU writes itself -------------------------------------------- */

/* The ID and what follows from it, in the form of the current mode */
static void set_id(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 id = vcpu->id;

	if (mv_apic_is_x2apic(vcpu)) {
		mv_apic_set_reg(lapic, APIC_ID, id);
		mv_apic_set_reg(lapic, APIC_LDR,
				(id >> 4) << 16 | BIT(id & 15));
	} else {
		mv_apic_set_reg(lapic, APIC_ID, id << 24);
	}
}

/**
 * mv_apic_written() - the guest wrote a register, and the CPU has done so
 * @vcpu: the vCPU
 * @offset: the register, in lapic->regs: what has been written is there, what
 *	was there before is lost
 *
 * What is left to do is all but to write it.
 *
 * Context: the vCPU's own, inside the run section.
 */
void mv_apic_written(struct mv_vcpu *vcpu, u32 offset)
{
	u32 value = mv_apic_reg(vcpu->lapic, offset);

	if (offset == APIC_ID) {
		set_id(vcpu);
		mv_apic_error(vcpu, APIC_ESR_ILLREGA);
	} else if (offset < MINIVMM_APIC_REG_SIZE) {
		write_reg(vcpu, offset, value & write_mask(vcpu, offset));
	}
}
EXPORT_SYMBOL_GPL(mv_apic_written);

/* ---- IA32_APIC_BASE, reset ------------------------------------------------------------ */

/* SDM 11.12.5, figure 11-27: which modes lead to which */
static bool mode_change_allowed(u64 from, u64 to)
{
	if (!(to & X2APIC_ENABLE))
		return !(from & X2APIC_ENABLE) ||
		       !(to & MSR_IA32_APICBASE_ENABLE);
	return from & MSR_IA32_APICBASE_ENABLE;
}

/**
 * mv_apic_reset() - registers as after a reset or an INIT (SDM 11.4.7)
 * @vcpu: the vCPU; its IA32_APIC_BASE says which mode it is in
 *
 * The 8259 pair's interrupts come through to the boot CPU: firmware, which a
 * client may not have, sets up this virtual wire (SDM 11.5.1), and KVM does.
 *
 * Context: the vCPU's own.
 */
void mv_apic_reset(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 lvt;

	mv_apic_timer_stop(vcpu);
	mv_logical_leave(vcpu);
	xchg(&lapic->posted.on, 0);
	bitmap_zero(lapic->posted.pir, MINIVMM_NR_INTERRUPTS);
	memset(lapic->regs, 0, PAGE_SIZE);
	lapic->errors = 0;
	mv_apic_set_reg(lapic, APIC_LVR, APIC_VERSION | APIC_MAX_LVT << 16);
	mv_apic_set_reg(lapic, APIC_DFR, APIC_DFR_FLAT);
	mv_apic_set_reg(lapic, APIC_SPIV, 0xff);
	for (lvt = APIC_LVTT; lvt <= APIC_LVTERR; lvt += 0x10)
		mv_apic_set_reg(lapic, lvt, APIC_LVT_MASKED);
	if (vcpu->apic_base & MSR_IA32_APICBASE_BSP)
		mv_apic_set_reg(lapic, APIC_LVT0,
				MV_DELIVER_EXTINT << 8);
	mv_apic_timer_resume(vcpu, 0);
	set_id(vcpu);
	lapic->changed = true;
	vcpu->check_events = true;
}

/**
 * mv_apic_set_base() - IA32_APIC_BASE
 * @vcpu: the vCPU
 * @value: mv_valid_apic_base()
 * @client: any mode may follow any other
 *
 * Context: the vCPU's own, also inside the run section.
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_apic_set_base(struct mv_vcpu *vcpu, u64 value, bool client)
{
	u64 old = vcpu->apic_base;
	u64 changed = old ^ value;

	if (!client && !mode_change_allowed(old, value))
		return -EINVAL;
	WRITE_ONCE(vcpu->apic_base, value);
	mv_cpuid_update(vcpu);
	if (!vcpu->lapic)
		return 0;
	mv_apic_moved(vcpu, old, value);
	if (!(value & MSR_IA32_APICBASE_ENABLE)) {
		/* Off, it forgets everything (SDM 11.4.3). */
		if (changed & MSR_IA32_APICBASE_ENABLE)
			mv_apic_reset(vcpu);
	} else if (changed & (X2APIC_ENABLE | MSR_IA32_APICBASE_ENABLE)) {
		mv_logical_leave(vcpu);
		set_id(vcpu);
		mv_apic_set_reg(vcpu->lapic, APIC_ICR2, 0);
		mv_apic_set_icr(vcpu->lapic, 0);
		mv_logical_join(vcpu);
	}
	vcpu->dirty |= MV_STATE_APIC;
	vcpu->check_events = true;
	return 0;
}

/* ---- the client's view ------------------------------------------------------------------ */

/**
 * mv_get_lapic() - MINIVMM_GET_LAPIC
 * @vcpu: the vCPU
 * @state: in KVM's form: in x2APIC mode too ICR is in two halves, and the ID is
 *	in bits 31:24 unless the client asked for 32 bits
 *
 * Return: 0, or -EINVAL if the APIC is the client's.
 */
int mv_get_lapic(struct mv_vcpu *vcpu, struct minivmm_lapic_state *state)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 id = vcpu->id;

	if (!lapic)
		return -EINVAL;
	mv_apic_timer_check(vcpu);
	mv_apic_pull(vcpu);
	mv_apic_set_reg(lapic, APIC_PROCPRI, processor_priority(vcpu));
	memcpy(state->regs, lapic->regs, sizeof(state->regs));
	*(u32 *)(state->regs + APIC_TMCCT) = mv_apic_timer_count(vcpu);
	/* whatever a CPU let the guest write there */
	*(u32 *)(state->regs + APIC_ID) = id << 24;
	if (!mv_apic_is_x2apic(vcpu))
		return 0;
	if (vcpu->vm->x2apic_format_32)
		*(u32 *)(state->regs + APIC_ID) = id;
	*(u32 *)(state->regs + APIC_ICR2) = mv_apic_icr(lapic) >> 32;
	*(u32 *)(state->regs + APIC_ICR + 4) = 0;
	return 0;
}

static bool valid_id(const struct mv_vcpu *vcpu, u32 id)
{
	if (mv_apic_is_x2apic(vcpu) && vcpu->vm->x2apic_format_32)
		return id == vcpu->id;
	return id == vcpu->id << 24;
}

/*
 * Nothing that a guest could not have written, or read; but for vectors below 16
 * in IRR, which are never above any priority.
 */
static void copy_regs(struct mv_vcpu *vcpu, const u32 *from)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 offset;

	for (offset = 0; offset < MINIVMM_APIC_REG_SIZE; offset += 0x10) {
		const struct apic_reg *reg = &apic_regs[offset >> 4];
		u32 mask = reg->mask;

		if (offset == APIC_ICR)
			mask = write_mask(vcpu, offset);
		else if (offset >= APIC_IRR && offset <= APIC_IRR + 0x70)
			mask = ~0U;
		else if (offset >= APIC_ISR && offset < APIC_IRR)
			mask = offset & 0x70 ? ~0U : ~0xffffU;
		else if (offset == APIC_ESR)
			mask = 0xff;
		else if (!(reg->flags & R) || !(reg->flags & W))
			continue;
		mv_apic_set_reg(lapic, offset, from[offset / 4] & mask);
	}
	mv_apic_set_reg(lapic, APIC_DFR,
			mv_apic_reg(lapic, APIC_DFR) | ~0xf0000000U);
}

/**
 * mv_set_lapic() - MINIVMM_SET_LAPIC
 * @vcpu: the vCPU
 * @state: as mv_get_lapic() gives it; the timer goes on from its count
 *
 * What has been posted meanwhile is not lost. IA32_APIC_BASE must have been set
 * before.
 *
 * Return: 0, or -EINVAL with nothing changed.
 */
int mv_set_lapic(struct mv_vcpu *vcpu, const struct minivmm_lapic_state *state)
{
	const u32 *from = (const u32 *)state->regs;
	u64 tsc_deadline;

	if (!vcpu->lapic || !valid_id(vcpu, from[APIC_ID / 4]))
		return -EINVAL;
	tsc_deadline = vcpu->lapic->tsc_deadline;
	mv_apic_timer_stop(vcpu);
	mv_logical_leave(vcpu);
	copy_regs(vcpu, from);
	set_id(vcpu);
	if (mv_apic_is_x2apic(vcpu))
		mv_apic_set_icr(vcpu->lapic, from[APIC_ICR / 4] |
				(u64)from[APIC_ICR2 / 4] << 32);
	mv_logical_join(vcpu);
	mv_apic_timer_resume(vcpu, from[APIC_TMCCT / 4]);
	/* in this mode only */
	mv_set_tsc_deadline(vcpu, tsc_deadline, true);
	vcpu->lapic->changed = true;
	vcpu->check_events = true;
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

/**
 * mv_apic_create() - a local APIC for a new vCPU
 * @vcpu: its IA32_APIC_BASE is set
 *
 * Context: may sleep, the VM's lock held. Return: 0 or -ENOMEM.
 */
int mv_apic_create(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic;

	BUILD_BUG_ON(sizeof(struct mv_posted) != 64);
	BUILD_BUG_ON(sizeof(*lapic) > PAGE_SIZE);
	if (mv_apic_page_create(vcpu->vm))
		return -ENOMEM;
	lapic = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!lapic)
		return -ENOMEM;
	lapic->regs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!lapic->regs) {
		free_page((unsigned long)lapic);
		return -ENOMEM;
	}
	vcpu->lapic = lapic;
	mv_apic_timer_init(vcpu);
	mv_apic_reset(vcpu);
	return 0;
}

/**
 * mv_apic_destroy() - undo mv_apic_create()
 * @vcpu: nobody can send to it any more
 */
void mv_apic_destroy(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (!lapic)
		return;
	free_page((unsigned long)lapic->regs);
	free_page((unsigned long)lapic);
	vcpu->lapic = NULL;
}

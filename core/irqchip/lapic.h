/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the local APIC share: lapic.c (registers), apic_timer.c,
 * deliver.c (who gets an interrupt).
 */
#ifndef MINIVMM_LAPIC_H
#define MINIVMM_LAPIC_H

#include <linux/nospec.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "../core.h"

#define APIC_NR_REGS	(MINIVMM_APIC_REG_SIZE >> 4)

static inline u32 mv_apic_reg(const struct mv_lapic *lapic, u32 offset)
{
	return READ_ONCE(*(u32 *)(lapic->regs + offset));
}

static inline void mv_apic_set_reg(struct mv_lapic *lapic, u32 offset, u32 value)
{
	WRITE_ONCE(*(u32 *)(lapic->regs + offset), value);
}

/* ICR as one register of 64 bits, as x2APIC has it (SDM 11.12.9) */
static inline u64 mv_apic_icr(const struct mv_lapic *lapic)
{
	return *(u64 *)(lapic->regs + APIC_ICR);
}

static inline void mv_apic_set_icr(struct mv_lapic *lapic, u64 value)
{
	*(u64 *)(lapic->regs + APIC_ICR) = value;
}

/* Others may be changing TMR as well. Level-triggered interrupts are rare. */
static inline void mv_apic_set_tmr(struct mv_lapic *lapic, u8 vector, bool level)
{
	u32 *tmr = lapic->regs + APIC_TMR + (vector >> 5) * 0x10;

	if (unlikely(level))
		set_bit(vector & 31, (unsigned long *)tmr);
	else if (unlikely(READ_ONCE(*tmr) & BIT(vector & 31)))
		clear_bit(vector & 31, (unsigned long *)tmr);
}

/* These are asked of other vCPUs as well: the answer may be old news. */

static inline bool mv_apic_enabled(const struct mv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic_base) & MSR_IA32_APICBASE_ENABLE;
}

static inline bool mv_apic_is_x2apic(const struct mv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic_base) & X2APIC_ENABLE;
}

static inline bool mv_apic_sw_enabled(const struct mv_lapic *lapic)
{
	return mv_apic_reg(lapic, APIC_SPIV) & APIC_SPIV_APIC_ENABLED;
}

/* ---- lapic.c -------------------------------------------------------------- */

void mv_apic_raise(struct mv_vcpu *vcpu, u8 vector);

/* ---- deliver.c ------------------------------------------------------------ */

bool mv_apic_post(struct mv_vcpu *vcpu, u8 vector, bool level);
void mv_apic_error(struct mv_vcpu *vcpu, u32 error);
void mv_send_ipi(struct mv_vcpu *vcpu, u32 icr, u32 dest);
void mv_logical_leave(struct mv_vcpu *vcpu);
void mv_logical_join(struct mv_vcpu *vcpu);
void mv_logical_change(struct mv_vcpu *vcpu, u32 offset, u32 value);

/* ---- apic_timer.c ----------------------------------------------------------- */

void mv_apic_timer_init(struct mv_vcpu *vcpu);
void mv_apic_timer_stop(struct mv_vcpu *vcpu);
void mv_apic_timer_start(struct mv_vcpu *vcpu, u32 count);
void mv_apic_timer_divide(struct mv_vcpu *vcpu, u32 tdcr);
void mv_apic_timer_mode(struct mv_vcpu *vcpu, u32 lvt);
void mv_apic_timer_resume(struct mv_vcpu *vcpu, u32 count);
u32 mv_apic_timer_count(const struct mv_vcpu *vcpu);

#endif

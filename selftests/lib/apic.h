/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Local APIC and I/O APIC: numbers for both sides, accesses for the guest.
 *
 * A register is named by its offset in xAPIC's page. The guest's functions
 * find out from IA32_APIC_BASE which of the two interfaces is on.
 */
#ifndef SELFTESTS_APIC_H
#define SELFTESTS_APIC_H

#include "guest.h"

#define XAPIC_GPA		0xfee00000UL
#define IOAPIC_GPA		0xfec00000UL

/* What apic_start() and vcpu_set_apic_mode() switch on */
#define XAPIC			0UL
#define X2APIC			1UL

/* IA32_APIC_BASE */
#define APICBASE_BSP		(1UL << 8)
#define APICBASE_EXTD		(1UL << 10)
#define APICBASE_EN		(1UL << 11)

/* SDM volume 3, table 11-1; table 11-6 for x2APIC */
#define APIC_ID			0x20
#define APIC_VERSION		0x30
#define APIC_TPR		0x80
#define APIC_APR		0x90
#define APIC_PPR		0xa0
#define APIC_EOI		0xb0
#define APIC_RRD		0xc0
#define APIC_LDR		0xd0
#define APIC_DFR		0xe0
#define APIC_SVR		0xf0
#define APIC_ISR		0x100
#define APIC_TMR		0x180
#define APIC_IRR		0x200
#define APIC_ESR		0x280
#define APIC_LVT_CMCI		0x2f0
#define APIC_ICR		0x300
#define APIC_ICR2		0x310
#define APIC_LVT_TIMER		0x320
#define APIC_LVT_THERMAL	0x330
#define APIC_LVT_PMC		0x340
#define APIC_LVT_LINT0		0x350
#define APIC_LVT_LINT1		0x360
#define APIC_LVT_ERROR		0x370
#define APIC_TMICT		0x380
#define APIC_TMCCT		0x390
#define APIC_TDCR		0x3e0
#define APIC_SELF_IPI		0x3f0

#define X2APIC_MSR(reg)		(0x800 + (reg) / 16)
#define MSR_IA32_TSC_DEADLINE	0x6e0

#define SVR_ENABLE		(1U << 8)
#define SVR_NO_EOI_BROADCAST	(1U << 12)
#define VERSION_DIRECTED_EOI	(1U << 24)
#define DFR_FLAT		0xffffffffU
#define DFR_CLUSTER		0x0fffffffU

/* Delivery mode in ICR, LVT, MSI data and I/O APIC */
#define DM_FIXED		(0U << 8)
#define DM_LOWEST		(1U << 8)
#define DM_NMI			(4U << 8)
#define DM_INIT			(5U << 8)
#define DM_SIPI			(6U << 8)
#define DM_EXTINT		(7U << 8)

#define ICR_LOGICAL		(1U << 11)
#define ICR_BUSY		(1U << 12)
#define ICR_ASSERT		(1U << 14)
#define ICR_LEVEL		(1U << 15)
#define ICR_SELF		(1U << 18)
#define ICR_ALL			(2U << 18)
#define ICR_OTHERS		(3U << 18)

#define LVT_PENDING		(1U << 12)
#define LVT_REMOTE_IRR		(1U << 14)
#define LVT_MASKED		(1U << 16)
#define LVT_PERIODIC		(1U << 17)
#define LVT_DEADLINE		(2U << 17)

#define ESR_SEND_ILLEGAL	(1U << 5)
#define ESR_RECEIVE_ILLEGAL	(1U << 6)
#define ESR_ILLEGAL_REGISTER	(1U << 7)

/* MSI: SDM volume 3, 11.11 */
#define MSI_DEST(id)		(XAPIC_GPA | (id) << 12)
#define MSI_LOGICAL		(1U << 2)
#define MSI_HINT		(1U << 3)
#define MSI_ASSERT		(1U << 14)
#define MSI_LEVEL		(1U << 15)

/* An I/O APIC's redirection entry */
#define RTE_LOGICAL		(1UL << 11)
#define RTE_REMOTE_IRR		(1UL << 14)
#define RTE_LEVEL		(1UL << 15)
#define RTE_MASKED		(1UL << 16)
#define RTE_DEST(id)		((u64)(id) << 56)

/* ------------------------------------------------------------------------ */
/* The guest's side                                                          */

static inline u32 xapic_read(u32 reg)
{
	return *(volatile u32 *)(XAPIC_GPA + reg);
}

static inline void xapic_write(u32 reg, u32 value)
{
	*(volatile u32 *)(XAPIC_GPA + reg) = value;
}

static inline bool apic_is_x2apic(void)
{
	return rdmsr(MSR_IA32_APICBASE) & APICBASE_EXTD;
}

static inline u32 apic_read(u32 reg)
{
	return apic_is_x2apic() ? rdmsr(X2APIC_MSR(reg)) : xapic_read(reg);
}

static inline void apic_write(u32 reg, u32 value)
{
	if (apic_is_x2apic())
		wrmsr(X2APIC_MSR(reg), value);
	else
		xapic_write(reg, value);
}

static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/** apic_send - write the interrupt command register: an IPI */
static inline void apic_send(u32 dest, u32 low)
{
	if (apic_is_x2apic()) {
		wrmsr(X2APIC_MSR(APIC_ICR), (u64)dest << 32 | low);
		return;
	}
	xapic_write(APIC_ICR2, dest << 24);
	xapic_write(APIC_ICR, low);
}

static inline bool apic_test_bit(u32 reg, u32 vector)
{
	return apic_read(reg + vector / 32 * 16) >> (vector % 32) & 1;
}

/** apic_start - switch to XAPIC or X2APIC mode and enable by software */
static inline void apic_start(u64 mode)
{
	if (mode == X2APIC)
		wrmsr(MSR_IA32_APICBASE,
		      rdmsr(MSR_IA32_APICBASE) | APICBASE_EXTD);
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
}

/** take_interrupts - all that are pending and may come, come here */
static inline void take_interrupts(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

/** wait_interrupt - halt with interrupts enabled until something comes */
static inline void wait_interrupt(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline u32 ioapic_read(u32 index)
{
	*(volatile u32 *)IOAPIC_GPA = index;
	return *(volatile u32 *)(IOAPIC_GPA + 0x10);
}

static inline void ioapic_write(u32 index, u32 value)
{
	*(volatile u32 *)IOAPIC_GPA = index;
	*(volatile u32 *)(IOAPIC_GPA + 0x10) = value;
}

static inline u64 ioapic_rte(u32 pin)
{
	return ioapic_read(0x10 + 2 * pin) |
	       (u64)ioapic_read(0x11 + 2 * pin) << 32;
}

static inline void ioapic_set_rte(u32 pin, u64 rte)
{
	ioapic_write(0x11 + 2 * pin, rte >> 32);
	ioapic_write(0x10 + 2 * pin, rte);
}

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

/** lapic_reg - a register in what GET_LAPIC returned */
static inline u32 *lapic_reg(struct minivmm_lapic_state *lapic, u32 reg)
{
	return (u32 *)(lapic->regs + reg);
}

static inline bool lapic_test_bit(struct minivmm_lapic_state *lapic, u32 reg,
				  u32 vector)
{
	return *lapic_reg(lapic, reg + vector / 32 * 16) >> (vector % 32) & 1;
}

/** vcpu_apic_reg - one register through GET_LAPIC */
static inline u32 vcpu_apic_reg(struct vcpu *vcpu, u32 reg)
{
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	return *lapic_reg(&lapic, reg);
}

static inline bool vcpu_apic_bit(struct vcpu *vcpu, u32 reg, u32 vector)
{
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	return lapic_test_bit(&lapic, reg, vector);
}

/** vcpu_set_apic_reg - change one register through SET_LAPIC */
static inline void vcpu_set_apic_reg(struct vcpu *vcpu, u32 reg, u32 value)
{
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	*lapic_reg(&lapic, reg) = value;
	vcpu_set_lapic(vcpu, &lapic);
}

/** vcpu_set_apic_mode - XAPIC or X2APIC, through SET_SREGS */
static inline void vcpu_set_apic_mode(struct vcpu *vcpu, u64 mode)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	sregs.apic_base |= APICBASE_EN;
	sregs.apic_base &= ~APICBASE_EXTD;
	if (mode == X2APIC)
		sregs.apic_base |= APICBASE_EXTD;
	vcpu_set_sregs(vcpu, &sregs);
}

static inline u32 vcpu_mp_state(struct vcpu *vcpu)
{
	struct minivmm_mp_state state;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_MP_STATE, &state));
	return state.mp_state;
}

static inline void vcpu_set_mp_state(struct vcpu *vcpu, u32 value)
{
	struct minivmm_mp_state state = { value };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &state));
}

/** vm_msi - SIGNAL_MSI: its return value, errno set */
static inline int vm_msi(struct vm *vm, u64 address, u32 data)
{
	struct minivmm_msi msi = {
		.address_lo = address,
		.address_hi = address >> 32,
		.data = data,
	};

	return ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi);
}

/** vm_irq_line - IRQ_LINE */
static inline void vm_irq_line(struct vm *vm, u32 gsi, u32 level)
{
	struct minivmm_irq_level line = { .irq = gsi, .level = level };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQ_LINE, &line));
}

/** vm_irq_line_status - IRQ_LINE_STATUS: the status */
static inline int vm_irq_line_status(struct vm *vm, u32 gsi, u32 level)
{
	struct minivmm_irq_level line = { .irq = gsi, .level = level };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQ_LINE_STATUS, &line));
	return line.status;
}

#endif /* SELFTESTS_APIC_H */

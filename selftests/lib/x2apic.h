/* SPDX-License-Identifier: GPL-2.0 */
/* The local APIC, from the guest's side (x2APIC) and the host's. */
#ifndef SELFTESTS_X2APIC_H
#define SELFTESTS_X2APIC_H

#include "guest.h"

/* SDM volume 3, table 11-6 */
#define X2APIC_ID	0x802
#define X2APIC_TPR	0x808
#define X2APIC_EOI	0x80b
#define X2APIC_LDR	0x80d
#define X2APIC_SVR	0x80f
#define X2APIC_IRR	0x820
#define X2APIC_ICR	0x830
#define X2APIC_LVT_TIMER	0x832
#define X2APIC_LVT_LINT0	0x835
#define X2APIC_TMICT	0x838
#define X2APIC_TMCCT	0x839
#define X2APIC_TDCR	0x83e
#define X2APIC_SELF_IPI	0x83f

#define APICBASE_EXTD	(1UL << 10)
#define APICBASE_EN	(1UL << 11)
#define SVR_ENABLE	(1UL << 8)

#define LVT_MASKED	(1UL << 16)

#define ICR_NMI		(4UL << 8)
#define ICR_LOGICAL	(1UL << 11)
#define ICR_SELF	(1UL << 18)
#define ICR_ALL		(2UL << 18)
#define ICR_OTHERS	(3UL << 18)

/** guest_cpu - the number of the vCPU, from the stack it is on */
static inline u64 guest_cpu(void)
{
	u64 rsp;

	asm volatile("mov %%rsp, %0" : "=r"(rsp));
	return (rsp - STACK_GPA) / STACK_SIZE;
}

/** cpu_relax - what a guest does while it waits, with interrupts enabled */
static inline void cpu_relax(void)
{
	asm volatile("pause" : : : "memory");
}

static inline void sti(void)
{
	asm volatile("sti; nop" : : : "memory");
}

static inline void cli(void)
{
	asm volatile("cli" : : : "memory");
}

/** x2apic_enable - x2APIC mode, software enabled, LINT0 masked */
static inline void x2apic_enable(void)
{
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | APICBASE_EN);
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | APICBASE_EXTD);
	wrmsr(X2APIC_SVR, SVR_ENABLE | 0xff);
	/* what is left of a PC's reset state lets the 8259s in */
	wrmsr(X2APIC_LVT_LINT0, LVT_MASKED);
}

static inline void x2apic_eoi(void)
{
	wrmsr(X2APIC_EOI, 0);
}

/** x2apic_icr - send an IPI; what was written to memory before is seen first */
static inline void x2apic_icr(u64 to, u64 what)
{
	/* WRMSR to an x2APIC register waits for no store: SDM 11.12.3 */
	asm volatile("mfence; lfence" : : : "memory");
	wrmsr(X2APIC_ICR, to << 32 | what);
}

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

enum chips { CHIPS_KERNEL, CHIPS_SPLIT, CHIPS_END };

/** vm_create_chips - a VM with all controllers, or the local APICs, in-kernel */
static inline struct vm *vm_create_chips(enum chips chips)
{
	struct minivmm_enable_cap cap = {
		.cap = MINIVMM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};
	struct vm *vm = vm_create();

	if (chips == CHIPS_KERNEL)
		ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
	else
		ASSERT_OK(ioctl(vm->fd, MINIVMM_ENABLE_CAP, &cap));
	return vm;
}

/** vm_send_msi - send an MSI: physical destination, edge */
static inline void vm_send_msi(struct vm *vm, u32 to, u32 vector)
{
	struct minivmm_msi msi = {
		.address_lo = 0xfee00000 | to << 12, .data = vector,
	};

	ASSERT_EQ(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), 1);
}

#endif /* SELFTESTS_X2APIC_H */

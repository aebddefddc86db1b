/* SPDX-License-Identifier: GPL-2.0 */
/* Short ways for guests in x2APIC mode, and for those who interrupt them. */
#ifndef SELFTESTS_X2APIC_H
#define SELFTESTS_X2APIC_H

#include "apic.h"

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
	wrmsr(X2APIC_MSR(APIC_SVR), SVR_ENABLE | 0xff);
	/* what is left of a PC's reset state lets the 8259s in */
	wrmsr(X2APIC_MSR(APIC_LVT_LINT0), LVT_MASKED);
}

static inline void x2apic_eoi(void)
{
	wrmsr(X2APIC_MSR(APIC_EOI), 0);
}

/** count_event_x2apic - count_event() for an interrupt that wants an EOI */
static inline void count_event_x2apic(struct guest_regs *regs)
{
	count_event(regs);
	x2apic_eoi();
}

/** x2apic_icr - send an IPI, after all that was written to memory before */
static inline void x2apic_icr(u64 to, u64 what)
{
	/* WRMSR waits for no store here: SDM volume 3, 11.12.3 */
	asm volatile("mfence; lfence" : : : "memory");
	wrmsr(X2APIC_MSR(APIC_ICR), to << 32 | what);
}

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

enum chips { CHIPS_KERNEL, CHIPS_SPLIT, CHIPS_END };

/** vm_create_chips - a VM with all controllers, or the local APICs, in-kernel */
static inline struct vm *vm_create_chips(enum chips chips)
{
	return chips == CHIPS_KERNEL ? vm_create_irqchip() : vm_create_split();
}

/** vm_send_msi - send an MSI: physical destination, edge */
static inline void vm_send_msi(struct vm *vm, u32 to, u32 vector)
{
	ASSERT_EQ(vm_msi(vm, MSI_DEST(to), vector), 1);
}

#endif /* SELFTESTS_X2APIC_H */

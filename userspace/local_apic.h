/* SPDX-License-Identifier: GPL-2.0 */
/* The local APICs in user space as part of the machine: a vCPU's end of the chips. */
#ifndef MINIVMM_LOCAL_APIC_H
#define MINIVMM_LOCAL_APIC_H

#include <stdatomic.h>

#include "apic.h"
#include "ioapic.h"
#include "irq.h"
#include "loop.h"
#include "state.h"

struct irqchip;
struct vcpu;

struct local_apic {
	struct irq_source source;
	struct irqchip *chip;
	struct apic *apic;
	struct vcpu *vcpu;
	atomic_bool intr;		/* an interrupt waits; readable without the lock */
	u8 cr8;				/* the vCPU's; of its thread alone */
	bool enabled;			/* in IA32_APIC_BASE; of its thread alone */
	struct loop_source expiry;	/* an alarm for the APIC's timer */
	u64 deadline_ns;		/* what that is set to */
};

/* Under the lock of the chips, which work as one */
struct local_apics {
	struct apic_bus bus;
	unsigned int nr_parked;
	struct local_apic cpu[APIC_MAX_CPUS];
};

void local_apics_init(struct irqchip *chip, unsigned int cpus);
struct local_apic *local_apic_add(struct irqchip *chip, struct vcpu *vcpu, struct loop *loop);

/* The chips' locked */
void local_apics_set_extint(struct irqchip *chip, bool level);
int local_apics_deliver(struct ioapic *ioapic, u64 entry);

/* While no vCPU runs */
void local_apics_save(const struct irqchip *chip, struct stream_out *out);
bool local_apics_load(struct irqchip *chip, struct saved *saved);
void local_apic_resume(struct local_apic *local);

/* In the vCPU's thread */
bool local_apic_mmio(struct local_apic *local);
bool local_apic_msr(struct local_apic *local);
void local_apic_after_exit(struct local_apic *local);
bool local_apic_park(struct local_apic *local);
void local_apic_unpark(struct local_apic *local);

#endif /* MINIVMM_LOCAL_APIC_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interrupt chips between the devices and the vCPUs: those in user space
 * (irqchip.c), and those in the kernel (irqchip_kernel.c).
 */
#ifndef MINIVMM_IRQCHIP_H
#define MINIVMM_IRQCHIP_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "ioapic.h"
#include "irq.h"
#include "local_apic.h"
#include "pic.h"
#include "state.h"
#include "vm.h"

/* Whose the chips are */
enum irqchip_mode {
	IRQCHIP_AUTO,		/* the kernel's where it has them, else ours */
	IRQCHIP_KERNEL,		/* the kernel's, and so is the 8254 */
	IRQCHIP_SPLIT,		/* the kernel's local APICs, our 8259s and I/O APIC */
	IRQCHIP_USER,		/* ours, and so are the local APICs */
};

struct vcpu;

struct irqchip {
	enum irqchip_mode mode;
	const struct vm *vm;
	pthread_mutex_t lock;		/* devices call in with theirs held */

	/* the 8259 pair and, in IRQCHIP_SPLIT, who gets its interrupts */
	struct pic pic;
	struct device ports[3];
	struct irq_source extint;
	struct vcpu *vcpu;
	atomic_bool intr;		/* the INTR line, readable without the lock */

	struct ioapic ioapic;
	struct device ioapic_registers;
	u64 routed[IOAPIC_NR_PINS];	/* entries that the kernel has routes for, or 0 */

	bool tsc_deadline;		/* in IRQCHIP_USER: its MSR comes to us */
	struct local_apics apics;	/* in IRQCHIP_USER */
};

/* ISA interrupt 0 is at pin 2 of the I/O APIC, which has no cascade there. */
static inline unsigned int irqchip_pin(unsigned int irq)
{
	return irq ? irq : 2;
}

int irqchip_init(struct irqchip *chip, struct bus *pio, struct bus *mmio, struct vcpu *vcpus,
		 unsigned int cpus);
struct irq_line irqchip_line(struct irqchip *chip, unsigned int irq);
void irqchip_eoi(struct irqchip *chip, u8 vector);
void irqchip_save(const struct irqchip *chip, struct stream_out *out);
bool irqchip_load(struct irqchip *chip, struct saved *saved);

/* irqchip_kernel.c */
void irqchip_create(struct irqchip *chip, enum irqchip_mode mode, const struct vm *vm,
		    unsigned int cpus);
void irqchip_set_kernel_line(struct irqchip *chip, unsigned int irq, bool level);
int irqchip_send_msi(struct ioapic *ioapic, u64 entry);
void irqchip_update_routes(struct irqchip *chip);
void irqchip_save_kernel(const struct irqchip *chip, struct stream_out *out);
bool irqchip_load_kernel(const struct irqchip *chip, struct saved *saved);
void irqchip_save_kernel_pit(const struct irqchip *chip, struct stream_out *out);
bool irqchip_load_kernel_pit(const struct irqchip *chip, struct saved *saved);

#endif /* MINIVMM_IRQCHIP_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interrupt chips in user space: the 8259 pair with its lock, its ports
 * and the vCPU behind its INTR line.
 */
#ifndef MINIVMM_IRQCHIP_H
#define MINIVMM_IRQCHIP_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "irq.h"
#include "pic.h"

struct vcpu;

struct irqchip {
	pthread_mutex_t lock;		/* innermost: devices call in with theirs held */
	struct pic pic;
	struct device ports[3];
	struct vcpu *vcpu;
	atomic_bool intr;		/* the INTR line, readable without the lock */
};

int irqchip_init(struct irqchip *chip, struct bus *pio, struct vcpu *vcpu);
struct irq_line irqchip_line(struct irqchip *chip, unsigned int gsi);
bool irqchip_intr(struct irqchip *chip);
u8 irqchip_acknowledge(struct irqchip *chip);

#endif /* MINIVMM_IRQCHIP_H */

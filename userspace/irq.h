/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupts as the devices and the vCPUs see them. What is between the two, in
 * user space or in the kernel, is not their business.
 */
#ifndef MINIVMM_IRQ_H
#define MINIVMM_IRQ_H

#include "base.h"

/* A device's end: a level it sets. */
struct irq_line {
	void (*set)(void *chip, unsigned int irq, bool level);
	void *chip;
	unsigned int irq;	/* as a PC numbers them, 0..15 */
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	line->set(line->chip, line->irq, level);
}

/*
 * A vCPU's end, of what the kernel does not deliver by itself: @intr tells, from
 * any thread and without a lock, whether an interrupt waits; @acknowledge takes
 * it, in the vCPU's thread, and returns its vector. Whoever makes @intr true
 * kicks the vCPU (vcpu_kick()).
 */
struct irq_source {
	bool (*intr)(struct irq_source *source);
	u8 (*acknowledge)(struct irq_source *source);
};

#endif /* MINIVMM_IRQ_H */

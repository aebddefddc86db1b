/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An interrupt line as a device sees it: a level it sets. What is behind it,
 * the 8259 pair in user space or a chip in the kernel, is not its business.
 */
#ifndef MINIVMM_IRQ_H
#define MINIVMM_IRQ_H

#include "base.h"

struct irq_line {
	void (*set)(void *chip, unsigned int gsi, bool level);
	void *chip;
	unsigned int gsi;
};

static inline void irq_set(const struct irq_line *irq, bool level)
{
	irq->set(irq->chip, irq->gsi, level);
}

#endif /* MINIVMM_IRQ_H */

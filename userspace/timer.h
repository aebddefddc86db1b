/* SPDX-License-Identifier: GPL-2.0 */
/* The 8254 as part of the machine: ports, clock and interrupts. */
#ifndef MINIVMM_TIMER_H
#define MINIVMM_TIMER_H

#include <pthread.h>

#include "bus.h"
#include "irq.h"
#include "loop.h"
#include "pit.h"
#include "state.h"

#define TIMER_IRQ		0

struct timer {
	pthread_mutex_t lock;
	struct pit pit;
	struct device ports;
	struct device speaker;
	struct irq_line irq;
	struct loop_source expiry;	/* an alarm for channel 0 */
};

int timer_init(struct timer *timer, struct bus *pio, struct loop *loop, struct irq_line irq);
void timer_save(const struct timer *timer, struct stream_out *out);
bool timer_load(struct timer *timer, struct saved *saved);

#endif /* MINIVMM_TIMER_H */

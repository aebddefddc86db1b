/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 16550A serial port. Bytes come and go through calls; console.c connects
 * them to the terminal.
 */
#ifndef MINIVMM_UART_H
#define MINIVMM_UART_H

#include <pthread.h>

#include "base.h"
#include "irq.h"
#include "state.h"

#define UART_FIFO_SIZE		16

struct uart;

/* Called with the UART's lock held: they must not call back into it. */
struct uart_ops {
	/* The guest sent a byte. @polled: with its transmit interrupt off. */
	void (*transmit)(struct uart *uart, u8 byte, bool polled);
	/* May the guest send a byte now? */
	bool (*tx_ready)(struct uart *uart);
	/* The guest read a byte: there is room in the receive FIFO. */
	void (*rx_room)(struct uart *uart);
};

struct uart {
	pthread_mutex_t lock;
	const struct uart_ops *ops;
	struct irq_line irq;
	u8 ier;
	u8 fcr;
	u8 lcr;
	u8 mcr;
	u8 msr_delta;
	u8 lsr_error;		/* the sticky error bits of LSR */
	u8 scr;
	u8 dll;
	u8 dlm;
	bool thr_interrupt;	/* transmitter went empty, not yet acknowledged */
	u8 rx[UART_FIFO_SIZE];
	unsigned int rx_head;
	unsigned int rx_count;
};

void uart_init(struct uart *uart, const struct uart_ops *ops, struct irq_line irq);
u8 uart_read(struct uart *uart, unsigned int reg);
void uart_write(struct uart *uart, unsigned int reg, u8 value);
unsigned int uart_receive(struct uart *uart, const u8 *bytes, unsigned int n);
void uart_tx_ready(struct uart *uart);
void uart_save(struct uart *uart, struct stream_out *out);
bool uart_load(struct uart *uart, struct saved *saved);

#endif /* MINIVMM_UART_H */

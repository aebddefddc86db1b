/* SPDX-License-Identifier: GPL-2.0 */
/* The serial port's other end: stdin, stdout and the escape key. */
#ifndef MINIVMM_CONSOLE_H
#define MINIVMM_CONSOLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "loop.h"
#include "panic_watch.h"
#include "uart.h"

#define CONSOLE_IRQ		4
#define CONSOLE_OUT_SIZE	65536
#define CONSOLE_OUT_RESERVE	512	/* kept free for what is on its way */
#define CONSOLE_IN_SIZE		256

struct console {
	struct uart uart;
	struct device ports;
	struct loop *loop;
	void (*quit)(void *machine);
	void (*panicked)(void *machine);
	void *machine;
	struct panic_watch panic;	/* under the UART's lock */

	/* stdin: the I/O thread's, but for starved */
	struct loop_source in;
	struct loop_source room;	/* rung when the UART can take more */
	atomic_bool starved;		/* in_buf has bytes that did not fit */
	bool in_open;
	bool in_pollable;
	bool in_watched;
	bool interactive;		/* stdin is a terminal: the escape key works */
	bool escaped;			/* Ctrl-A was pressed */
	u8 in_buf[CONSOLE_IN_SIZE];
	unsigned int in_pos;
	unsigned int in_len;

	/* stdout: a thread of its own writes, so that nobody waits for a slow reader */
	pthread_t writer;
	pthread_mutex_t out_lock;
	pthread_cond_t out_filled;
	pthread_cond_t out_drained;
	bool out_stop;			/* the writer ends when the ring is empty */
	bool out_unblocked;		/* nobody waits for room */
	u8 out[CONSOLE_OUT_SIZE];
	unsigned int out_head;
	atomic_uint out_len;
	bool out_busy;			/* as saved: the guest waits for room */
};

int console_init(struct console *console, struct bus *pio, struct loop *loop,
		 struct irq_line irq);
void console_save(struct console *console, struct stream_out *out);
bool console_load(struct console *console, struct saved *saved);
void console_start(struct console *console);
void console_unblock(struct console *console);
void console_finish(struct console *console, bool wait);

#endif /* MINIVMM_CONSOLE_H */

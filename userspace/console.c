// SPDX-License-Identifier: GPL-2.0
/*
 * The serial port's other end: what the guest sends goes to stdout through a
 * ring and a writer thread; stdin goes to the guest as fast as it reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "report.h"

#define UART_BASE		0x3f8
#define UART_PORTS		8

#define KEY_CTRL_A		1

/* How long the writer lets bytes gather: one write instead of one per byte. */
#define OUT_GATHER_NS		4000000

static struct console *uart_console(struct uart *uart)
{
	return container_of(uart, struct console, uart);
}

/* ------------------------------------------------------------------------ */
/* The guest's output                                                        */

/*
 * Wait for room, with the UART unlocked: only a polling guest that ignores
 * THRE gets here with the ring full, and nothing it says is ever lost.
 */
static void out_wait(struct console *c)
{
	if (atomic_load(&c->out_len) <= CONSOLE_OUT_SIZE - CONSOLE_OUT_RESERVE)
		return;
	pthread_mutex_lock(&c->out_lock);
	while (c->out_len > CONSOLE_OUT_SIZE - CONSOLE_OUT_RESERVE && !c->out_unblocked)
		pthread_cond_wait(&c->out_drained, &c->out_lock);
	pthread_mutex_unlock(&c->out_lock);
}

static void out_push(struct console *c, u8 byte)
{
	pthread_mutex_lock(&c->out_lock);
	if (c->out_len < CONSOLE_OUT_SIZE) {
		c->out[(c->out_head + c->out_len) % CONSOLE_OUT_SIZE] = byte;
		if (!c->out_len++)
			pthread_cond_signal(&c->out_filled);
	}
	pthread_mutex_unlock(&c->out_lock);
}

static void uart_transmit(struct uart *uart, u8 byte, bool polled)
{
	struct console *c = uart_console(uart);

	out_push(c, byte);
	if (!polled)
		return;
	panic_watch_byte(&c->panic, byte);
	if (c->panic.ended)
		c->panicked(c->machine);
}

static bool uart_tx_room(struct uart *uart)
{
	return atomic_load(&uart_console(uart)->out_len) <= CONSOLE_OUT_SIZE - CONSOLE_OUT_RESERVE;
}

/* Others, who share it, may have made stdout non-blocking. */
static bool wait_for_reader(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&out, 1, -1) == 1 || errno == EINTR;
}

/* Writes what is in the ring, without the lock while the host may block. */
static void out_write(struct console *c)
{
	unsigned int head = c->out_head;
	unsigned int len = c->out_len;
	ssize_t written;
	bool was_full;

	if (len > CONSOLE_OUT_SIZE - head)
		len = CONSOLE_OUT_SIZE - head;
	pthread_mutex_unlock(&c->out_lock);
	do {
		written = write(STDOUT_FILENO, c->out + head, len);
	} while (written < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_reader())));
	/* Nobody reads any more: the guest's words go nowhere, it runs on. */
	if (written < 0)
		written = len;

	pthread_mutex_lock(&c->out_lock);
	/* Now, not before the write: meanwhile the guest may have filled it. */
	was_full = c->out_len > CONSOLE_OUT_SIZE - CONSOLE_OUT_RESERVE;
	c->out_head = (head + written) % CONSOLE_OUT_SIZE;
	c->out_len -= written;
	if (!was_full)
		return;
	pthread_cond_broadcast(&c->out_drained);
	pthread_mutex_unlock(&c->out_lock);
	uart_tx_ready(&c->uart);
	pthread_mutex_lock(&c->out_lock);
}

static void *writer(void *opaque)
{
	static const struct timespec gather = { .tv_nsec = OUT_GATHER_NS };
	struct console *c = opaque;

	pthread_mutex_lock(&c->out_lock);
	for (;;) {
		while (!c->out_len && !c->out_stop)
			pthread_cond_wait(&c->out_filled, &c->out_lock);
		if (!c->out_len)
			break;
		if (!c->out_stop) {
			pthread_mutex_unlock(&c->out_lock);
			nanosleep(&gather, NULL);
			pthread_mutex_lock(&c->out_lock);
		}
		out_write(c);
	}
	pthread_mutex_unlock(&c->out_lock);
	return NULL;
}

/* ------------------------------------------------------------------------ */
/* The guest's input                                                         */

/* Ctrl-A x ends the session, Ctrl-A twice is one Ctrl-A. Return: bytes left. */
static unsigned int filter_escapes(struct console *c, u8 *bytes, unsigned int n)
{
	unsigned int out = 0;

	if (!c->interactive)
		return n;
	for (unsigned int i = 0; i < n; i++) {
		u8 byte = bytes[i];

		if (!c->escaped && byte == KEY_CTRL_A) {
			c->escaped = true;
			continue;
		}
		if (c->escaped && (byte == 'x' || byte == 'X'))
			c->quit(c->machine);
		c->escaped = false;
		bytes[out++] = byte;
	}
	return out;
}

/* Return: whether the buffer is empty now. */
static bool in_deliver(struct console *c)
{
	c->in_pos += uart_receive(&c->uart, c->in_buf + c->in_pos, c->in_len - c->in_pos);
	return c->in_pos == c->in_len;
}

static void in_watch(struct console *c, bool watch)
{
	if (watch == c->in_watched)
		return;
	c->in_watched = watch;
	/* Removed, not masked: a hang-up is reported whatever the mask. */
	if (watch)
		loop_add(c->loop, &c->in);
	else
		loop_remove(c->loop, &c->in);
}

static bool in_read(struct console *c)
{
	ssize_t n = read(c->in.fd, c->in_buf, sizeof(c->in_buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return c->in_pollable;
	if (n <= 0) {
		c->in_open = false;
		in_watch(c, false);
		return false;
	}
	c->in_pos = 0;
	c->in_len = filter_escapes(c, c->in_buf, n);
	return true;
}

/* Hands over what is there; reads more while the guest keeps up. */
static void in_pump(struct console *c)
{
	do {
		if (!in_deliver(c)) {
			/* Room made before the flag was up would be missed. */
			atomic_store(&c->starved, true);
			if (!in_deliver(c)) {
				in_watch(c, false);
				return;
			}
		}
		atomic_store(&c->starved, false);
		if (c->in_open && c->in_pollable) {
			in_watch(c, true);
			return;
		}
	} while (c->in_open && in_read(c));
}

static void in_ready(struct loop_source *source)
{
	struct console *c = container_of(source, struct console, in);

	if (in_read(c))
		in_pump(c);
}

static void room_rung(struct loop_source *bell)
{
	bell_clear(bell);
	in_pump(container_of(bell, struct console, room));
}

static void uart_rx_room(struct uart *uart)
{
	struct console *c = uart_console(uart);

	if (atomic_exchange(&c->starved, false))
		bell_ring(&c->room);
}

/* ------------------------------------------------------------------------ */
/* Set-up                                                                    */

static const struct uart_ops uart_ops = {
	.transmit = uart_transmit,
	.tx_ready = uart_tx_room,
	.rx_room = uart_rx_room,
};

static u64 ports_read(struct device *dev, u64 offset, unsigned int len)
{
	struct console *c = dev->opaque;

	(void)len;
	return uart_read(&c->uart, offset);
}

static void ports_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct console *c = dev->opaque;

	(void)len;
	if (offset == UART_TX)
		out_wait(c);
	uart_write(&c->uart, offset, value);
}

static const struct device_ops ports_ops = {
	.width = 1, .read = ports_read, .write = ports_write,
};

/**
 * console_init - put the serial port on the bus
 * @console: callbacks set by the caller, the rest filled in
 * @pio: the port bus
 * @loop: whose thread reads stdin
 * @irq: the port's interrupt line
 *
 * Return: as bus_add().
 */
int console_init(struct console *console, struct bus *pio, struct loop *loop,
		 struct irq_line irq)
{
	console->loop = loop;
	uart_init(&console->uart, &uart_ops, irq);
	pthread_mutex_init(&console->out_lock, NULL);
	pthread_cond_init(&console->out_filled, NULL);
	pthread_cond_init(&console->out_drained, NULL);
	console->ports = (struct device){
		.name = "serial port", .base = UART_BASE, .len = UART_PORTS,
		.ops = &ports_ops, .opaque = console,
	};
	return bus_add(pio, &console->ports);
}

/* What the guest has sent is sent, though it may still be on its way to stdout. */
static const struct state_desc console_desc = {
	.id = SECTION_CONSOLE, .name = "console",
	.fields = (const struct state_field[]){
		STATE_BOOL(struct console, out_busy),
		STATE_BOOL(struct console, escaped),
		STATE_ARRAY(struct console, in_buf, 0xff),
		STATE_NUMBER(struct console, in_pos, 0, CONSOLE_IN_SIZE),
		STATE_NUMBER(struct console, in_len, 0, CONSOLE_IN_SIZE),
		STATE_ARRAY(struct console, panic.line, 0xff),
		STATE_NUMBER(struct console, panic.len, 0, PANIC_LINE_MAX - 1),
		STATE_BOOL(struct console, panic.panicked),
		STATE_BOOL(struct console, panic.ended),
		{ }
	},
};

/**
 * console_save - add the console's state to a stream, and its serial port's
 * @console: the console; neither vCPUs nor the loop run
 * @out: the stream
 */
void console_save(struct console *console, struct stream_out *out)
{
	console->out_busy = !uart_tx_room(&console->uart);
	uart_save(&console->uart, out);
	state_save(out, &console_desc, 0, console);
}

/**
 * console_load - make the console what was saved, and its serial port
 * @console: after console_init()
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool console_load(struct console *console, struct saved *saved)
{
	if (!uart_load(&console->uart, saved) || !state_load(saved, &console_desc, 0, console))
		return false;
	if (console->in_pos > console->in_len)
		return saved_fail(saved, "the state of the console is impossible");
	if (console->out_busy)
		uart_tx_ready(&console->uart);
	return true;
}

/**
 * console_start - begin to pass bytes, both ways
 * @console: the console
 */
void console_start(struct console *console)
{
	if (pthread_create(&console->writer, NULL, writer, console))
		die(EXIT_SETUP, "cannot start the console's thread");

	bell_init(&console->room, room_rung);
	loop_add(console->loop, &console->room);
	console->in = (struct loop_source){ .fd = STDIN_FILENO, .ready = in_ready };
	console->interactive = isatty(STDIN_FILENO);
	console->in_open = fcntl(STDIN_FILENO, F_GETFD) >= 0;
	console->in_pollable = console->in_open && !loop_add(console->loop, &console->in);
	console->in_watched = console->in_pollable;
	/* A regular file cannot be waited for: it is read as the guest reads. */
	if ((console->in_open && !console->in_pollable) || console->in_pos < console->in_len)
		bell_ring(&console->room);
}

/**
 * console_unblock - let no vCPU wait for a slow reader any more
 * @console: the console
 */
void console_unblock(struct console *console)
{
	pthread_mutex_lock(&console->out_lock);
	console->out_unblocked = true;
	pthread_cond_broadcast(&console->out_drained);
	pthread_mutex_unlock(&console->out_lock);
}

/**
 * console_finish - write what the guest has said, then stop
 * @console: the console; no vCPU runs any more
 * @wait: until the reader has taken everything, however long that takes
 */
void console_finish(struct console *console, bool wait)
{
	struct timespec deadline;

	pthread_mutex_lock(&console->out_lock);
	console->out_stop = true;
	pthread_cond_signal(&console->out_filled);
	pthread_mutex_unlock(&console->out_lock);
	if (wait) {
		pthread_join(console->writer, NULL);
	} else {
		clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec++;
		pthread_timedjoin_np(console->writer, NULL, &deadline);
	}
}

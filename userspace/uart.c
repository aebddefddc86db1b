// SPDX-License-Identifier: GPL-2.0
/*
 * 16550A serial port: both FIFOs, all interrupt sources in their priority,
 * modem lines and loop-back. The line is infinitely fast: a byte written to
 * the transmitter is gone at once, unless the other side asks for patience.
 *
 * "DS" in the comments is National Semiconductor's PC16550D data sheet.
 */
#include <linux/serial_reg.h>
#include <string.h>

#include "uart.h"

#define MSR_DELTAS	(UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_TERI | UART_MSR_DDCD)

/* The other end is always there: carrier, data set ready, clear to send. */
#define MSR_CONNECTED	(UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

#define IIR_RX_TIMEOUT	0x0c
#define IIR_FIFOS	0xc0

static const u8 rx_triggers[4] = { 1, 4, 8, 14 };

static bool fifo_enabled(const struct uart *uart)
{
	return uart->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned int rx_depth(const struct uart *uart)
{
	return fifo_enabled(uart) ? UART_FIFO_SIZE : 1;
}

static u8 modem_lines(const struct uart *uart)
{
	u8 mcr = uart->mcr;

	if (!(mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	/* DS, loop-back: the outputs are connected to the inputs. */
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

/* The pending interrupt of highest priority, in IIR's coding. */
static u8 interrupt_id(const struct uart *uart)
{
	if ((uart->ier & UART_IER_RLSI) && uart->lsr_error)
		return UART_IIR_RLSI;
	if ((uart->ier & UART_IER_RDI) && uart->rx_count) {
		if (!fifo_enabled(uart) || uart->rx_count >= rx_triggers[uart->fcr >> 6])
			return UART_IIR_RDI;
		/* DS: four character times without a new one; ours are instants. */
		return IIR_RX_TIMEOUT;
	}
	if ((uart->ier & UART_IER_THRI) && uart->thr_interrupt)
		return UART_IIR_THRI;
	if ((uart->ier & UART_IER_MSI) && uart->msr_delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void update_irq(struct uart *uart)
{
	/* On a PC, OUT2 opens the way to the interrupt line; loop-back closes it. */
	bool connected = (uart->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2;

	irq_set(&uart->irq, connected && interrupt_id(uart) != UART_IIR_NO_INT);
}

static bool rx_push(struct uart *uart, u8 byte)
{
	if (uart->rx_count == rx_depth(uart))
		return false;
	uart->rx[(uart->rx_head + uart->rx_count++) % UART_FIFO_SIZE] = byte;
	return true;
}

static u8 rx_pop(struct uart *uart)
{
	u8 byte;

	if (!uart->rx_count)
		return 0;
	byte = uart->rx[uart->rx_head];
	uart->rx_head = (uart->rx_head + 1) % UART_FIFO_SIZE;
	uart->rx_count--;
	if (!(uart->mcr & UART_MCR_LOOP))
		uart->ops->rx_room(uart);
	return byte;
}

static void transmit(struct uart *uart, u8 byte)
{
	if (uart->mcr & UART_MCR_LOOP) {
		if (!rx_push(uart, byte))
			uart->lsr_error |= UART_LSR_OE;
	} else {
		uart->ops->transmit(uart, byte, !(uart->ier & UART_IER_THRI));
	}
	uart->thr_interrupt = uart->ops->tx_ready(uart);
}

static u8 read_lsr(struct uart *uart)
{
	u8 lsr = uart->lsr_error;

	if (uart->rx_count)
		lsr |= UART_LSR_DR;
	if (uart->ops->tx_ready(uart))
		lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	uart->lsr_error = 0;
	return lsr;
}

static u8 read_iir(struct uart *uart)
{
	u8 iir = interrupt_id(uart);

	/* DS: reading IIR acknowledges the transmitter's interrupt, no other. */
	if (iir == UART_IIR_THRI)
		uart->thr_interrupt = false;
	return iir | (fifo_enabled(uart) ? IIR_FIFOS : 0);
}

static u8 read_msr(struct uart *uart)
{
	u8 msr = modem_lines(uart) | uart->msr_delta;

	uart->msr_delta = 0;
	return msr;
}

static void write_ier(struct uart *uart, u8 value)
{
	bool thri_enabled = (value & ~uart->ier) & UART_IER_THRI;

	uart->ier = value & 0x0f;
	/* Enabling the interrupt with an empty transmitter raises it at once. */
	if (thri_enabled && uart->ops->tx_ready(uart))
		uart->thr_interrupt = true;
}

static void write_fcr(struct uart *uart, u8 value)
{
	bool toggled = (value ^ uart->fcr) & UART_FCR_ENABLE_FIFO;

	/* DS: the other bits are not programmed unless bit 0 is set with them. */
	if (!(value & UART_FCR_ENABLE_FIFO))
		value = 0;
	uart->fcr = value & ~(UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	/* DS: switching modes clears both FIFOs. Ours sends nothing late. */
	if (toggled || (value & UART_FCR_CLEAR_RCVR)) {
		uart->rx_count = 0;
		uart->ops->rx_room(uart);
	}
}

static void write_mcr(struct uart *uart, u8 value)
{
	u8 before = modem_lines(uart);
	u8 after;

	uart->mcr = value & 0x1f;
	after = modem_lines(uart);
	/* Bits 7..4 changed show in 3..0; RI shows its trailing edge alone. */
	uart->msr_delta |= ((before ^ after) >> 4) & (MSR_DELTAS & ~UART_MSR_TERI);
	if (before & ~after & UART_MSR_RI)
		uart->msr_delta |= UART_MSR_TERI;
}

/**
 * uart_init - power-on state
 * @uart: the port
 * @ops: where its bytes go
 * @irq: its interrupt line
 */
void uart_init(struct uart *uart, const struct uart_ops *ops, struct irq_line irq)
{
	memset(uart, 0, sizeof(*uart));
	pthread_mutex_init(&uart->lock, NULL);
	uart->ops = ops;
	uart->irq = irq;
	uart->dll = 1;		/* 115200 baud */
}

/**
 * uart_read - the guest reads a register
 * @uart: the port
 * @reg: 0..7
 */
u8 uart_read(struct uart *uart, unsigned int reg)
{
	u8 value = 0;
	bool dlab;

	pthread_mutex_lock(&uart->lock);
	dlab = uart->lcr & UART_LCR_DLAB;
	switch (reg) {
	case UART_RX:
		value = dlab ? uart->dll : rx_pop(uart);
		break;
	case UART_IER:
		value = dlab ? uart->dlm : uart->ier;
		break;
	case UART_IIR:
		value = read_iir(uart);
		break;
	case UART_LCR:
		value = uart->lcr;
		break;
	case UART_MCR:
		value = uart->mcr;
		break;
	case UART_LSR:
		value = read_lsr(uart);
		break;
	case UART_MSR:
		value = read_msr(uart);
		break;
	case UART_SCR:
		value = uart->scr;
		break;
	}
	update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return value;
}

/**
 * uart_write - the guest writes a register
 * @uart: the port
 * @reg: 0..7
 * @value: the byte
 */
void uart_write(struct uart *uart, unsigned int reg, u8 value)
{
	bool dlab;

	pthread_mutex_lock(&uart->lock);
	dlab = uart->lcr & UART_LCR_DLAB;
	switch (reg) {
	case UART_TX:
		if (dlab)
			uart->dll = value;
		else
			transmit(uart, value);
		break;
	case UART_IER:
		if (dlab)
			uart->dlm = value;
		else
			write_ier(uart, value);
		break;
	case UART_FCR:
		write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		write_mcr(uart, value);
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	}
	update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

/**
 * uart_receive - bytes arrive on the line
 * @uart: the port
 * @bytes: what arrives
 * @n: how many
 *
 * Return: how many fitted. The caller keeps the rest until ops->rx_room().
 */
unsigned int uart_receive(struct uart *uart, const u8 *bytes, unsigned int n)
{
	unsigned int taken = 0;

	pthread_mutex_lock(&uart->lock);
	/* DS, loop-back: the receiver is disconnected from the line. */
	if (!(uart->mcr & UART_MCR_LOOP))
		while (taken < n && rx_push(uart, bytes[taken]))
			taken++;
	update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

/**
 * uart_tx_ready - ops->tx_ready() has become true again
 * @uart: the port
 */
void uart_tx_ready(struct uart *uart)
{
	pthread_mutex_lock(&uart->lock);
	uart->thr_interrupt = true;
	update_irq(uart);
	pthread_mutex_unlock(&uart->lock);
}

static const struct state_desc uart_desc = {
	.id = SECTION_UART, .name = "serial port",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct uart, ier, 0, 0x0f),
		STATE_ANY(struct uart, fcr),
		STATE_ANY(struct uart, lcr),
		STATE_NUMBER(struct uart, mcr, 0, 0x1f),
		STATE_NUMBER(struct uart, msr_delta, 0, 0x0f),
		STATE_ANY(struct uart, lsr_error),
		STATE_ANY(struct uart, scr),
		STATE_ANY(struct uart, dll),
		STATE_ANY(struct uart, dlm),
		STATE_BOOL(struct uart, thr_interrupt),
		STATE_ARRAY(struct uart, rx, 0xff),
		STATE_NUMBER(struct uart, rx_head, 0, UART_FIFO_SIZE - 1),
		STATE_NUMBER(struct uart, rx_count, 0, UART_FIFO_SIZE),
		{ }
	},
};

/**
 * uart_save - add the port's state to a stream
 * @uart: the port, which nobody uses
 * @out: the stream
 */
void uart_save(struct uart *uart, struct stream_out *out)
{
	state_save(out, &uart_desc, 0, uart);
}

/**
 * uart_load - make the port what was saved; drives its interrupt line
 * @uart: the port
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool uart_load(struct uart *uart, struct saved *saved)
{
	if (!state_load(saved, &uart_desc, 0, uart))
		return false;
	if (uart->rx_count > rx_depth(uart))
		return saved_fail(saved, "the state of the serial port is impossible");
	update_irq(uart);
	return true;
}

// SPDX-License-Identifier: GPL-2.0
/* The 16550A against its data sheet. */
#include <linux/serial_reg.h>
#include <string.h>

#include "tap.h"
#include "uart.h"

static struct uart uart;
static u8 sent[64];
static unsigned int nr_sent, nr_polled, nr_room;
static bool ready, irq;

static void transmit(struct uart *u, u8 byte, bool polled)
{
	(void)u;
	sent[nr_sent++] = byte;
	nr_polled += polled;
}

static bool tx_ready(struct uart *u)
{
	(void)u;
	return ready;
}

static void rx_room(struct uart *u)
{
	(void)u;
	nr_room++;
}

static void set_irq(void *chip, unsigned int gsi, bool level)
{
	(void)chip;
	(void)gsi;
	irq = level;
}

static const struct uart_ops ops = {
	.transmit = transmit, .tx_ready = tx_ready, .rx_room = rx_room,
};

static void reset(void)
{
	ready = true;
	irq = false;
	nr_sent = 0;
	nr_polled = 0;
	nr_room = 0;
	uart_init(&uart, &ops, (struct irq_line){ .set = set_irq });
	uart_write(&uart, UART_MCR, UART_MCR_OUT2);
}

static void receive(const char *text)
{
	uart_receive(&uart, (const u8 *)text, strlen(text));
}

static void test_transmit(void)
{
	reset();
	EQUAL(uart_read(&uart, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT, "idle: empty");
	uart_write(&uart, UART_TX, 'a');
	CHECK(nr_sent == 1 && sent[0] == 'a', "a byte goes out");
	EQUAL(nr_polled, 1, "as polled output");
	CHECK(!irq, "no interrupt unless enabled");
	uart_write(&uart, UART_IER, UART_IER_THRI);
	CHECK(irq, "enabling it with an empty transmitter interrupts");
	EQUAL(uart_read(&uart, UART_IIR), UART_IIR_THRI, "IIR says why");
	CHECK(!irq, "and that acknowledges it");
	EQUAL(uart_read(&uart, UART_IIR), UART_IIR_NO_INT, "once");
	uart_write(&uart, UART_TX, 'b');
	CHECK(irq, "the next byte raises it anew");
	EQUAL(nr_polled, 1, "and is not polled output");
	ready = false;
	uart_write(&uart, UART_TX, 'c');
	CHECK(!irq, "a busy transmitter does not");
	EQUAL(uart_read(&uart, UART_LSR), 0, "LSR shows it busy");
	ready = true;
	uart_tx_ready(&uart);
	CHECK(irq, "until it is done");
}

static void test_receive(void)
{
	reset();
	uart_write(&uart, UART_IER, UART_IER_RDI);
	receive("x");
	CHECK(irq, "a byte interrupts");
	EQUAL(uart_read(&uart, UART_IIR), UART_IIR_RDI, "as received data");
	EQUAL(uart_receive(&uart, (const u8 *)"yz", 2), 0, "without FIFO a second one waits");
	EQUAL(uart_read(&uart, UART_LSR) & UART_LSR_DR, UART_LSR_DR, "LSR shows data");
	EQUAL(uart_read(&uart, UART_RX), 'x', "it reads");
	CHECK(!irq, "the interrupt is gone");
	EQUAL(nr_room, 1, "the sender hears of the room");
	EQUAL(uart_read(&uart, UART_RX), 0, "an empty receiver reads zero");
}

static void test_fifo(void)
{
	reset();
	uart_write(&uart, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_NO_INT, "IIR shows the FIFOs");
	uart_write(&uart, UART_IER, UART_IER_RDI);
	receive("1234567");
	EQUAL(uart_read(&uart, UART_IIR), 0xcc, "below the trigger: time-out");
	receive("8");
	EQUAL(uart_read(&uart, UART_IIR), 0xc4, "at the trigger: data");
	EQUAL(uart_receive(&uart, (const u8 *)"abcdefghijkl", 12), 8, "sixteen fit");
	EQUAL(uart_read(&uart, UART_RX), '1', "in order");
	EQUAL(uart_receive(&uart, (const u8 *)"AB", 2), 1, "one read makes room for one");
	uart_write(&uart, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	CHECK(!irq && !(uart_read(&uart, UART_LSR) & UART_LSR_DR), "cleared it is empty");
	uart_write(&uart, UART_FCR, UART_FCR_TRIGGER_14);
	EQUAL(uart_read(&uart, UART_IIR), UART_IIR_NO_INT, "FCR without its bit 0 turns them off");
}

static void test_priorities(void)
{
	reset();
	uart_write(&uart, UART_FCR, UART_FCR_ENABLE_FIFO);
	uart_write(&uart, UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	for (int i = 0; i < 17; i++)
		uart_write(&uart, UART_TX, 'a' + i);
	uart_write(&uart, UART_MCR, UART_MCR_OUT2);
	uart_write(&uart, UART_IER, 0x0f);
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_RLSI, "first the line status");
	EQUAL(uart_read(&uart, UART_LSR) & UART_LSR_OE, UART_LSR_OE, "an overrun");
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_RDI, "then data");
	for (int i = 0; i < 16; i++)
		uart_read(&uart, UART_RX);
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_THRI, "then the transmitter");
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_MSI, "then the modem lines");
	uart_read(&uart, UART_MSR);
	EQUAL(uart_read(&uart, UART_IIR), 0xc0 | UART_IIR_NO_INT, "then silence");
	EQUAL(nr_sent, 0, "loop-back sends nothing out");
}

static void test_modem_and_registers(void)
{
	reset();
	EQUAL(uart_read(&uart, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS,
	      "the other end is ready");
	uart_write(&uart, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	EQUAL(uart_read(&uart, UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS,
	      "loop-back: OUT2 is DCD, RTS is CTS");
	uart_read(&uart, UART_MSR);
	uart_write(&uart, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	EQUAL(uart_read(&uart, UART_MSR), UART_MSR_RI | UART_MSR_DDCD | UART_MSR_DCTS,
	      "with the changes");
	EQUAL(uart_read(&uart, UART_MSR), UART_MSR_RI, "shown once");
	uart_write(&uart, UART_MCR, UART_MCR_LOOP);
	EQUAL(uart_read(&uart, UART_MSR), UART_MSR_TERI, "RI shows its trailing edge");
	EQUAL(uart_receive(&uart, (const u8 *)"q", 1), 0, "loop-back disconnects the line");

	reset();
	uart_write(&uart, UART_MCR, 0);
	uart_write(&uart, UART_IER, UART_IER_THRI);
	CHECK(!irq, "OUT2 gates the interrupt");
	uart_write(&uart, UART_MCR, UART_MCR_OUT2);
	CHECK(irq, "and lets it through");

	uart_write(&uart, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	uart_write(&uart, UART_DLL, 12);
	uart_write(&uart, UART_DLM, 1);
	EQUAL(uart_read(&uart, UART_DLL) | uart_read(&uart, UART_DLM) << 8, 268, "divisor");
	uart_write(&uart, UART_LCR, UART_LCR_WLEN8);
	EQUAL(uart_read(&uart, UART_IER), UART_IER_THRI, "behind it IER is as it was");
	EQUAL(uart_read(&uart, UART_LCR), UART_LCR_WLEN8, "line control");
	uart_write(&uart, UART_IER, 0xff);
	EQUAL(uart_read(&uart, UART_IER), 0x0f, "IER has four bits");
	uart_write(&uart, UART_SCR, 0x5a);
	EQUAL(uart_read(&uart, UART_SCR), 0x5a, "scratch");
}

int main(void)
{
	test_transmit();
	test_receive();
	test_fifo();
	test_priorities();
	test_modem_and_registers();
	return tap_end();
}

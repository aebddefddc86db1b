// SPDX-License-Identifier: GPL-2.0
/* The I/O APIC against its data sheet. */
#include "ioapic.h"
#include "tap.h"

#define SELECT		0x00
#define WINDOW		0x10

#define VECTOR		0x31
#define EDGE		VECTOR
#define LEVEL		(IOAPIC_LEVEL | VECTOR)

static unsigned int sent;	/* messages, since the last take() */
static u64 last;		/* and the last one's entry */
static int answer;		/* of the local APICs */

static int deliver(struct ioapic *ioapic, u64 entry)
{
	(void)ioapic;
	sent++;
	last = entry;
	return answer;
}

static unsigned int take(void)
{
	unsigned int n = sent;

	sent = 0;
	return n;
}

static u32 get(struct ioapic *ioapic, u32 reg)
{
	ioapic_write(ioapic, SELECT, reg);
	return ioapic_read(ioapic, WINDOW);
}

static void set(struct ioapic *ioapic, u32 reg, u32 value)
{
	ioapic_write(ioapic, SELECT, reg);
	ioapic_write(ioapic, WINDOW, value);
}

static void set_entry(struct ioapic *ioapic, unsigned int pin, u64 entry)
{
	set(ioapic, 0x11 + 2 * pin, entry >> 32);
	set(ioapic, 0x10 + 2 * pin, entry);
}

static u64 get_entry(struct ioapic *ioapic, unsigned int pin)
{
	return get(ioapic, 0x10 + 2 * pin) | (u64)get(ioapic, 0x11 + 2 * pin) << 32;
}

static void reset(struct ioapic *ioapic)
{
	ioapic->deliver = deliver;
	ioapic_reset(ioapic);
	answer = 1;
	sent = 0;
}

static void test_registers(void)
{
	struct ioapic ioapic;

	reset(&ioapic);
	EQUAL(get(&ioapic, 1), 0x00170011, "version 0x11, 24 pins");
	set(&ioapic, 1, 0xffffffff);
	EQUAL(get(&ioapic, 1), 0x00170011, "which cannot be written");
	set(&ioapic, 0, 0xffffffff);
	EQUAL(get(&ioapic, 0), 0x0f000000, "an ID of 4 bits");
	EQUAL(get(&ioapic, 2), 0x0f000000, "is the arbitration ID too");
	EQUAL(ioapic_read(&ioapic, SELECT), 2, "the selection reads back");
	EQUAL(get_entry(&ioapic, 0), IOAPIC_MASKED, "pins are masked at first");
	EQUAL(get_entry(&ioapic, 23), IOAPIC_MASKED, "to the last");
	set_entry(&ioapic, 5, ~0ULL);
	EQUAL(get_entry(&ioapic, 5), 0xff0000000001afffULL, "reserved and status bits read 0");
	EQUAL(get(&ioapic, 0x40), 0, "no register there");
	set(&ioapic, 0x40, 1);
	set(&ioapic, 3, 1);
	EQUAL(ioapic_read(&ioapic, 0x40), 0, "nor an EOI register");
	ioapic_write(&ioapic, 0x40, VECTOR);
	EQUAL(take(), 0, "nothing was sent by all that");
}

static void test_edge(void)
{
	struct ioapic ioapic;

	reset(&ioapic);
	EQUAL(ioapic_set_irq(&ioapic, 4, true), -1, "a masked pin is ignored");
	set_entry(&ioapic, 4, EDGE | 0x0700000000000000ULL);
	EQUAL(take(), 0, "an edge while masked is lost");
	EQUAL(ioapic_set_irq(&ioapic, 4, true), 0, "a high line is no edge");
	EQUAL(ioapic_set_irq(&ioapic, 4, false), 1, "down");
	EQUAL(ioapic_set_irq(&ioapic, 4, true), 1, "an edge");
	EQUAL(take(), 1, "is one message");
	EQUAL(last, EDGE | 0x0700000000000000ULL, "as the entry says");
	CHECK(!(get_entry(&ioapic, 4) & IOAPIC_REMOTE_IRR), "which needs no EOI");
	ioapic_eoi(&ioapic, VECTOR);
	EQUAL(take(), 0, "nor acts on one");
	ioapic_set_irq(&ioapic, 4, false);
	answer = -1;
	EQUAL(ioapic_set_irq(&ioapic, 4, true), -1, "nobody is addressed");
	EQUAL(ioapic_set_irq(&ioapic, 24, true), -1, "no such pin");
	take();

	set_entry(&ioapic, 6, IOAPIC_LEVEL | 4 << 8);
	answer = 1;
	EQUAL(ioapic_set_irq(&ioapic, 6, true), 1, "an NMI");
	EQUAL(ioapic_set_irq(&ioapic, 6, true), 0, "is an edge, whatever the entry says");
	EQUAL(take(), 1, "so comes once");
}

static void test_level(void)
{
	struct ioapic ioapic;

	reset(&ioapic);
	ioapic_set_irq(&ioapic, 9, true);
	set_entry(&ioapic, 9, LEVEL | IOAPIC_MASKED);
	EQUAL(take(), 0, "a masked level waits");
	set_entry(&ioapic, 9, LEVEL);
	EQUAL(take(), 1, "until unmasked");
	CHECK(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR, "remote IRR is set");
	EQUAL(ioapic_set_irq(&ioapic, 9, true), 0, "until EOI there is no other");
	set_entry(&ioapic, 9, LEVEL);
	CHECK(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR, "the guest cannot clear remote IRR");
	ioapic_eoi(&ioapic, VECTOR + 1);
	EQUAL(take(), 0, "another vector's EOI is nothing");
	ioapic_eoi(&ioapic, VECTOR);
	EQUAL(take(), 1, "EOI while the line is high: again");
	ioapic_set_irq(&ioapic, 9, false);
	ioapic_eoi(&ioapic, VECTOR);
	EQUAL(take(), 0, "EOI with the line low: done");
	CHECK(!(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR), "remote IRR is clear");

	ioapic_set_irq(&ioapic, 9, true);
	set_entry(&ioapic, 9, LEVEL | IOAPIC_MASKED);
	take();
	ioapic_eoi(&ioapic, VECTOR);
	EQUAL(take(), 0, "EOI of a masked pin does not send again");
	set_entry(&ioapic, 9, LEVEL);
	EQUAL(take(), 1, "unmasking does");
	set_entry(&ioapic, 9, EDGE | IOAPIC_MASKED);
	CHECK(!(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR), "edge mode clears remote IRR");

	answer = -1;
	set_entry(&ioapic, 9, LEVEL);
	CHECK(!(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR), "nobody took it, so no EOI will come");
	answer = 0;
	EQUAL(ioapic_set_irq(&ioapic, 9, true), 0, "pending already");
	CHECK(get_entry(&ioapic, 9) & IOAPIC_REMOTE_IRR, "its EOI will be for both");
}

static void test_vectors(void)
{
	unsigned long bitmap[256 / (8 * sizeof(long))] = { 1 };
	struct ioapic ioapic;

	reset(&ioapic);
	set_entry(&ioapic, 1, 0xef);
	set_entry(&ioapic, 2, IOAPIC_LEVEL | 0x41);
	set_entry(&ioapic, 3, IOAPIC_LEVEL | IOAPIC_MASKED | 0xc2);
	ioapic_level_vectors(&ioapic, bitmap);
	EQUAL(bitmap[0], 1, "bits are added");
	EQUAL(bitmap[1], 2, "a level");
	EQUAL(bitmap[3], 4, "a masked level, but no edge");
}

static void test_state(void)
{
	struct minivmm_ioapic_state state, again;
	struct ioapic ioapic, copy;

	reset(&ioapic);
	set(&ioapic, 0, 0x03000000);
	set_entry(&ioapic, 9, LEVEL | 0x0100000000000000ULL);
	set_entry(&ioapic, 4, EDGE);
	ioapic_set_irq(&ioapic, 9, true);
	ioapic_set_irq(&ioapic, 4, true);
	ioapic_get_state(&ioapic, &state);
	EQUAL(state.base_address, 0xfec00000, "the address");
	EQUAL(state.irr, 0x210, "the lines");
	reset(&copy);
	ioapic_set_state(&copy, &state);
	EQUAL(take(), 0, "what is in service does not come again");
	ioapic_get_state(&copy, &again);
	CHECK(!memcmp(&state, &again, sizeof(state)), "state goes out and in");
	state.redirtbl[9] &= ~IOAPIC_REMOTE_IRR;
	ioapic_set_state(&copy, &state);
	EQUAL(take(), 1, "a level that waits comes");
	memset(&state, 0xff, sizeof(state));
	ioapic_set_state(&copy, &state);
	EQUAL(get(&copy, 0), 0x0f000000, "nonsense becomes something possible");
}

int main(void)
{
	test_registers();
	test_edge();
	test_level();
	test_vectors();
	test_state();
	return tap_end();
}

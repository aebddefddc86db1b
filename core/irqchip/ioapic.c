// SPDX-License-Identifier: GPL-2.0
/*
 * 82093AA I/O APIC: 24 input pins, each with an entry that says which message
 * to send to which local APICs.
 *
 * "DS" in the comments is Intel's 82093AA data sheet, order number 290566.
 */
#include "ioapic.h"

#define SELECT			0x00
#define WINDOW			0x10

#define REG_ID			0x00
#define REG_VERSION		0x01
#define REG_ARBITRATION		0x02
#define REG_TABLE		0x10

/* Bits 23..16: the last entry. Version 0x11 has no EOI register: EOIs are broadcast. */
#define VERSION			(0x11 | (IOAPIC_NR_PINS - 1) << 16)
#define ID_SHIFT		24
#define ID_MASK			0xf

#define MODE_LOWEST_PRIORITY	1

/* What of an entry exists; bits 17 to 55 are reserved. */
#define ENTRY_READ_ONLY		(IOAPIC_DELIVERY_STATUS | IOAPIC_REMOTE_IRR)
#define ENTRY_WRITABLE		(0xff0000000001ffffULL & ~ENTRY_READ_ONLY)

#define LONG_BITS		(8 * sizeof(unsigned long))

/* DS 3.2.4: all but fixed and lowest priority are edges, whatever bit 15 says. */
static bool is_level(u64 entry)
{
	return (entry & IOAPIC_LEVEL) && IOAPIC_MODE(entry) <= MODE_LOWEST_PRIORITY;
}

static int send(struct ioapic *ioapic, unsigned int pin)
{
	u64 *entry = &ioapic->entry[pin];
	int ret = ioapic->deliver(ioapic, *entry);

	/* Taken, even if together with one that was pending: an EOI will follow. */
	if (ret >= 0 && is_level(*entry))
		*entry |= IOAPIC_REMOTE_IRR;
	return ret;
}

/* A level is a request for as long as it lasts, an edge only when it comes. */
static void send_if_level(struct ioapic *ioapic, unsigned int pin)
{
	u64 entry = ioapic->entry[pin];

	if (is_level(entry) && (ioapic->lines & BIT(pin)) &&
	    !(entry & (IOAPIC_MASKED | IOAPIC_REMOTE_IRR)))
		send(ioapic, pin);
}

/**
 * ioapic_reset - power-on state: every pin masked
 * @ioapic: the I/O APIC; @ioapic->deliver stays
 */
void ioapic_reset(struct ioapic *ioapic)
{
	ioapic->select = 0;
	ioapic->id = 0;
	ioapic->lines = 0;
	for (unsigned int i = 0; i < IOAPIC_NR_PINS; i++)
		ioapic->entry[i] = IOAPIC_MASKED;
}

/**
 * ioapic_set_irq - drive an input pin
 * @ioapic: the I/O APIC
 * @pin: which one
 * @level: whether it is asserted; an entry's polarity is what the guest thinks
 *	of the wire and changes nothing
 *
 * Return: positive if it made a difference: what deliver() returned, or 1 for a
 * pin that is released; 0 if the request joined one before it; negative if it
 * was ignored.
 */
int ioapic_set_irq(struct ioapic *ioapic, unsigned int pin, bool level)
{
	bool rises;
	u64 entry;

	if (pin >= IOAPIC_NR_PINS)
		return -1;
	if (!level) {
		ioapic->lines &= ~BIT(pin);
		return 1;
	}
	rises = !(ioapic->lines & BIT(pin));
	ioapic->lines |= BIT(pin);

	/* DS 3.2.4, interrupt mask: an edge on a masked pin is not remembered. */
	entry = ioapic->entry[pin];
	if (entry & IOAPIC_MASKED)
		return -1;
	if (is_level(entry) ? entry & IOAPIC_REMOTE_IRR : !rises)
		return 0;
	return send(ioapic, pin);
}

static u32 read_window(const struct ioapic *ioapic)
{
	unsigned int index = ioapic->select - REG_TABLE;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:	/* DS 3.2.3: loaded with the ID */
		return ioapic->id << ID_SHIFT;
	case REG_VERSION:
		return VERSION;
	}
	if (index >= 2 * IOAPIC_NR_PINS)
		return 0;
	return ioapic->entry[index / 2] >> (index & 1 ? 32 : 0);
}

static void write_entry(struct ioapic *ioapic, unsigned int pin, bool high, u32 value)
{
	u64 old = ioapic->entry[pin];
	u64 entry;

	if (high)
		entry = (u32)old | (u64)value << 32;
	else
		entry = (old & ~0xffffffffULL) | value;
	entry = (entry & ENTRY_WRITABLE) | (old & IOAPIC_REMOTE_IRR);
	/* An edge has no remote IRR. Linux ends one that hangs by this. */
	if (!is_level(entry))
		entry &= ~IOAPIC_REMOTE_IRR;
	ioapic->entry[pin] = entry;
	send_if_level(ioapic, pin);
}

static void write_window(struct ioapic *ioapic, u32 value)
{
	unsigned int index = ioapic->select - REG_TABLE;

	if (ioapic->select == REG_ID)
		ioapic->id = (value >> ID_SHIFT) & ID_MASK;
	else if (index < 2 * IOAPIC_NR_PINS)
		write_entry(ioapic, index / 2, index & 1, value);
}

/**
 * ioapic_read - the guest reads a register
 * @ioapic: the I/O APIC
 * @offset: from IOAPIC_BASE
 */
u32 ioapic_read(struct ioapic *ioapic, u32 offset)
{
	switch (offset) {
	case SELECT:
		return ioapic->select;
	case WINDOW:
		return read_window(ioapic);
	default:
		return 0;
	}
}

/**
 * ioapic_write - the guest writes a register
 * @ioapic: the I/O APIC
 * @offset: from IOAPIC_BASE
 * @value: what it writes
 */
void ioapic_write(struct ioapic *ioapic, u32 offset, u32 value)
{
	switch (offset) {
	case SELECT:
		ioapic->select = value & 0xff;
		break;
	case WINDOW:
		write_window(ioapic, value);
		break;
	}
}

/**
 * ioapic_eoi - a local APIC broadcasts the end of a level triggered interrupt
 * @ioapic: the I/O APIC
 * @vector: the interrupt's
 */
void ioapic_eoi(struct ioapic *ioapic, u8 vector)
{
	for (unsigned int i = 0; i < IOAPIC_NR_PINS; i++) {
		u64 *entry = &ioapic->entry[i];

		if (!is_level(*entry) || IOAPIC_VECTOR(*entry) != vector)
			continue;
		*entry &= ~IOAPIC_REMOTE_IRR;
		send_if_level(ioapic, i);
	}
}

/**
 * ioapic_level_vectors - of which vectors must ioapic_eoi() be told?
 * @ioapic: the I/O APIC
 * @bitmap: of 256 vectors: bits are added; masked entries count, because their
 *	interrupt may be in service
 */
void ioapic_level_vectors(const struct ioapic *ioapic, unsigned long bitmap[])
{
	for (unsigned int i = 0; i < IOAPIC_NR_PINS; i++) {
		u8 vector = IOAPIC_VECTOR(ioapic->entry[i]);

		if (is_level(ioapic->entry[i]))
			bitmap[vector / LONG_BITS] |= 1UL << vector % LONG_BITS;
	}
}

/**
 * ioapic_get_state - for MINIVMM_GET_IRQCHIP
 * @ioapic: the I/O APIC
 * @state: filled in
 */
void ioapic_get_state(const struct ioapic *ioapic, struct minivmm_ioapic_state *state)
{
	memset(state, 0, sizeof(*state));
	state->base_address = IOAPIC_BASE;
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	state->irr = ioapic->lines;
	memcpy(state->redirtbl, ioapic->entry, sizeof(state->redirtbl));
}

/**
 * ioapic_set_state - for MINIVMM_SET_IRQCHIP
 * @ioapic: the I/O APIC
 * @state: from ioapic_get_state(), from KVM, or anything else; what an I/O APIC
 *	cannot be is dropped
 *
 * Levels that are asserted and not in service are delivered.
 */
void ioapic_set_state(struct ioapic *ioapic, const struct minivmm_ioapic_state *state)
{
	ioapic->select = state->ioregsel & 0xff;
	ioapic->id = state->id & ID_MASK;
	ioapic->lines = state->irr & (BIT(IOAPIC_NR_PINS) - 1);
	for (unsigned int i = 0; i < IOAPIC_NR_PINS; i++) {
		u64 entry = state->redirtbl[i] & (ENTRY_WRITABLE | IOAPIC_REMOTE_IRR);

		ioapic->entry[i] = is_level(entry) ? entry : entry & ~IOAPIC_REMOTE_IRR;
	}
	for (unsigned int i = 0; i < IOAPIC_NR_PINS; i++)
		send_if_level(ioapic, i);
}

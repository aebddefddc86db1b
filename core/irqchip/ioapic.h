/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The I/O APIC, an 82093AA, as pure logic: the caller locks, and delivers.
 */
#ifndef MINIVMM_IOAPIC_H
#define MINIVMM_IOAPIC_H

#include "chip.h"

#define IOAPIC_BASE		0xfec00000ULL
#define IOAPIC_LEN		0x100
#define IOAPIC_NR_PINS		MINIVMM_IOAPIC_NUM_PINS

/* A redirection table entry (DS 3.2.4) */
#define IOAPIC_VECTOR(entry)	((u8)(entry))
#define IOAPIC_MODE(entry)	(((entry) >> 8) & 7)
#define IOAPIC_LOGICAL		(1ULL << 11)
#define IOAPIC_DELIVERY_STATUS	(1ULL << 12)
#define IOAPIC_ACTIVE_LOW	(1ULL << 13)
#define IOAPIC_REMOTE_IRR	(1ULL << 14)
#define IOAPIC_LEVEL		(1ULL << 15)
#define IOAPIC_MASKED		(1ULL << 16)
#define IOAPIC_DEST(entry)	((u8)((entry) >> 56))

/**
 * struct ioapic - an I/O APIC
 * @select: the register that the window shows
 * @id: its APIC ID, 4 bits
 * @lines: levels of the input pins, 1 is asserted
 * @entry: the redirection table
 * @deliver: sends the message that an entry describes; returns how many local
 *	APICs took it, 0 if it was pending already, negative if nobody is addressed
 */
struct ioapic {
	u32 select;
	u32 id;
	u32 lines;
	u64 entry[IOAPIC_NR_PINS];
	int (*deliver)(struct ioapic *ioapic, u64 entry);
};

void ioapic_reset(struct ioapic *ioapic);
int ioapic_set_irq(struct ioapic *ioapic, unsigned int pin, bool level);
u32 ioapic_read(struct ioapic *ioapic, u32 offset);
void ioapic_write(struct ioapic *ioapic, u32 offset, u32 value);
void ioapic_eoi(struct ioapic *ioapic, u8 vector);
void ioapic_level_vectors(const struct ioapic *ioapic, unsigned long bitmap[]);
void ioapic_get_state(const struct ioapic *ioapic, struct minivmm_ioapic_state *state);
void ioapic_set_state(struct ioapic *ioapic, const struct minivmm_ioapic_state *state);

#endif /* MINIVMM_IOAPIC_H */

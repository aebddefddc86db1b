/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's I/O APIC and 8259 pair, for the files that make them up. */
#ifndef MINIVMM_CHIPS_H
#define MINIVMM_CHIPS_H

#include "../iobus.h"
#include "ioapic.h"
#include "pic.h"

/**
 * struct mv_chips - the chips and their registers' places
 * @vm: whose they are
 * @lock: guards all that follows up to @table_lock; raw, interrupts off: taken
 *	in interrupts and in the run section
 * @pic: the 8259 pair
 * @intr: its INTR line
 * @auto_ended: inputs whose interrupt has ended by itself, and for which
 *	mv_pic_resample() has not run yet
 * @ioapic: the I/O APIC
 * @pic_sources: for each input of the pair a bit for each enum mv_irq_source
 *	that holds it
 * @ioapic_sources: the same for the I/O APIC
 * @table_lock: serializes changes of the redirection table; taken inside
 *	vm->irq_srcu, so not held when waiting for that
 * @master: 8259 at port 0x20
 * @slave: 8259 at port 0xa0
 * @elcr: edge or level, port 0x4d0
 * @window: the I/O APIC's registers in memory
 */
struct mv_chips {
	struct mv_vm *vm;
	raw_spinlock_t lock;
	struct pic pic;
	bool intr;
	unsigned long auto_ended;
	struct ioapic ioapic;
	u8 pic_sources[PIC_NR_IRQS];
	u8 ioapic_sources[IOAPIC_NR_PINS];
	struct mutex table_lock;	/* changes of ioapic.entry */
	struct mv_iodev master, slave, elcr, window;
};

/* @source raises or lowers its share of an input: the input's level */
static inline bool mv_drive(u8 *sources, enum mv_irq_source source, bool level)
{
	if (level)
		*sources |= BIT(source);
	else
		*sources &= ~BIT(source);
	return *sources;
}

/* i8259.c */
void mv_pic_init(struct mv_chips *chips);
void mv_pic_get(struct mv_chips *chips, unsigned int chip,
		struct minivmm_pic_state *state);
void mv_pic_put(struct mv_chips *chips, unsigned int chip,
		const struct minivmm_pic_state *state);

/* ioapic_dev.c */
void mv_ioapic_init(struct mv_chips *chips);
void mv_ioapic_get(struct mv_chips *chips, struct minivmm_ioapic_state *state);
void mv_ioapic_put(struct mv_chips *chips,
		   const struct minivmm_ioapic_state *state);
void mv_ioapic_eoi(struct mv_chips *chips, u8 vector);

#endif

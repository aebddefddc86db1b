// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC in the kernel: the model of ioapic.c behind a lock, at its place
 * in memory, sending to local APICs.
 *
 * A local APIC tells of the end of those interrupts only that are in
 * vm->eoi_vectors. A change of the redirection table is tried on a copy first:
 * its vectors are made known before the table can send them.
 */
#include <linux/bitmap.h>
#include <linux/minmax.h>
#include "chips.h"

static int deliver(struct ioapic *ioapic, u64 entry)
{
	struct mv_chips *chips = container_of(ioapic, struct mv_chips, ioapic);
	const struct mv_irq irq = {
		.dest = IOAPIC_DEST(entry),
		.vector = IOAPIC_VECTOR(entry),
		.mode = IOAPIC_MODE(entry),
		.logical = entry & IOAPIC_LOGICAL,
		.level = entry & IOAPIC_LEVEL,
	};

	return mv_irq_deliver(chips->vm, &irq);
}

static int deliver_to_nobody(struct ioapic *ioapic, u64 entry)
{
	return -1;
}

/**
 * mv_ioapic_set() - drive an input of the I/O APIC
 * @vm: has the chips
 * @pin: 0 to 23
 * @source: who drives it; the input is high if any does
 * @level: its share
 *
 * Context: any.
 *
 * Return: positive if it was delivered, 0 if it joined one before it, negative
 * if it was ignored.
 */
int mv_ioapic_set(struct mv_vm *vm, unsigned int pin,
		  enum mv_irq_source source, bool level)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&chips->lock, flags);
	level = mv_drive(&chips->ioapic_sources[pin], source, level);
	ret = ioapic_set_irq(&chips->ioapic, pin, level);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return ret;
}

/* A change of the table: a guest's write of a register, or, @state, all of it */
struct change {
	u32 offset;
	u32 value;
	const struct minivmm_ioapic_state *state;
};

static void apply(struct ioapic *ioapic, const struct change *change)
{
	if (change->state)
		ioapic_set_state(ioapic, change->state);
	else
		ioapic_write(ioapic, change->offset, change->value);
}

/* Sleeps: no vCPU may go on with a smaller set of vectors than the table's. */
static void change_table(struct mv_chips *chips, const struct change *change)
{
	DECLARE_BITMAP(vectors, MINIVMM_NR_INTERRUPTS) = {};
	unsigned long flags;
	struct ioapic trial;

	mutex_lock(&chips->table_lock);
	raw_spin_lock_irqsave(&chips->lock, flags);
	trial = chips->ioapic;
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	trial.deliver = deliver_to_nobody;
	apply(&trial, change);
	ioapic_level_vectors(&trial, vectors);
	mv_eoi_widen(chips->vm, vectors);

	raw_spin_lock_irqsave(&chips->lock, flags);
	apply(&chips->ioapic, change);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	mv_eoi_narrow(chips->vm, vectors);
	mutex_unlock(&chips->table_lock);
}

/**
 * mv_ioapic_eoi() - a level-triggered interrupt has ended
 * @chips: the chips
 * @vector: the interrupt's
 *
 * Irqfds let go of their lines before those that are still high are sent again.
 *
 * Context: sleeps.
 */
void mv_ioapic_eoi(struct mv_chips *chips, u8 vector)
{
	unsigned long flags, ended = 0;
	unsigned int pin;

	raw_spin_lock_irqsave(&chips->lock, flags);
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		if ((chips->ioapic.entry[pin] & IOAPIC_REMOTE_IRR) &&
		    IOAPIC_VECTOR(chips->ioapic.entry[pin]) == vector)
			ended |= BIT(pin);
	raw_spin_unlock_irqrestore(&chips->lock, flags);

	for_each_set_bit(pin, &ended, IOAPIC_NR_PINS)
		mv_resample(chips->vm, MINIVMM_IRQCHIP_IOAPIC, pin);

	raw_spin_lock_irqsave(&chips->lock, flags);
	ioapic_eoi(&chips->ioapic, vector);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

/* Registers have 32 bits, one in each 16 bytes; wider reads are filled up. */
static void window_read(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			unsigned int len, void *data)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags;
	u64 value;

	raw_spin_lock_irqsave(&chips->lock, flags);
	value = ioapic_read(&chips->ioapic, addr - dev->base);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	memcpy(data, &value, min_t(unsigned int, len, sizeof(value)));
}

static void window_write(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			 unsigned int len, const void *data)
{
	struct change change = { .offset = addr - dev->base };

	memcpy(&change.value, data, min_t(unsigned int, len,
					  sizeof(change.value)));
	change_table(vm->chips, &change);
}

static const struct mv_iodev_ops window_ops = {
	.read = window_read,
	.write = window_write,
};

void mv_ioapic_init(struct mv_chips *chips)
{
	mutex_init(&chips->table_lock);
	chips->ioapic.deliver = deliver;
	ioapic_reset(&chips->ioapic);
	chips->window = (struct mv_iodev) {
		.space = MV_SPACE_MEMORY, .base = IOAPIC_BASE,
		.len = IOAPIC_LEN, .ops = &window_ops,
	};
}

void mv_ioapic_get(struct mv_chips *chips, struct minivmm_ioapic_state *state)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->lock, flags);
	ioapic_get_state(&chips->ioapic, state);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

void mv_ioapic_put(struct mv_chips *chips,
		   const struct minivmm_ioapic_state *state)
{
	const struct change change = { .state = state };

	change_table(chips, &change);
}

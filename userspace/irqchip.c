// SPDX-License-Identifier: GPL-2.0
/*
 * The 8259 pair as part of the machine: its lock, its ports, and the kick to
 * the vCPU when INTR rises.
 */
#include <string.h>

#include "irqchip.h"
#include "vcpu.h"

/* Ends every change of the pair: publish INTR, drop the lock, wake the vCPU. */
static void publish_and_unlock(struct irqchip *chip)
{
	bool intr = pic_intr(&chip->pic);
	bool rises = intr && !atomic_load(&chip->intr);

	/* Sequentially consistent, and before the kick: see vcpu_kick(). */
	atomic_store(&chip->intr, intr);
	pthread_mutex_unlock(&chip->lock);
	if (rises)
		vcpu_kick(chip->vcpu);
}

static void irqchip_set(void *opaque, unsigned int gsi, bool level)
{
	struct irqchip *chip = opaque;

	pthread_mutex_lock(&chip->lock);
	pic_set_irq(&chip->pic, gsi, level);
	publish_and_unlock(chip);
}

static u64 ports_read(struct device *dev, u64 offset, unsigned int len)
{
	struct irqchip *chip = dev->opaque;
	u8 value;

	(void)len;
	pthread_mutex_lock(&chip->lock);
	value = pic_read(&chip->pic, dev->base + offset);
	publish_and_unlock(chip);	/* a poll acknowledges */
	return value;
}

static void ports_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct irqchip *chip = dev->opaque;

	(void)len;
	pthread_mutex_lock(&chip->lock);
	pic_write(&chip->pic, dev->base + offset, value);
	publish_and_unlock(chip);
}

static const struct device_ops ports_ops = {
	.width = 1,
	.read = ports_read,
	.write = ports_write,
};

/**
 * irqchip_init - put the interrupt controllers on the bus
 * @chip: the chips
 * @pio: the port bus
 * @vcpu: who gets the interrupts
 *
 * Return: as bus_add().
 */
int irqchip_init(struct irqchip *chip, struct bus *pio, struct vcpu *vcpu)
{
	static const struct {
		const char *name;
		u16 base;
	} ports[] = {
		{ "pic master", PIC_MASTER_BASE },
		{ "pic slave", PIC_SLAVE_BASE },
		{ "elcr", PIC_ELCR_BASE },
	};

	memset(chip, 0, sizeof(*chip));
	pthread_mutex_init(&chip->lock, NULL);
	pic_reset(&chip->pic);
	chip->vcpu = vcpu;
	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		int err;

		chip->ports[i] = (struct device){
			.name = ports[i].name, .base = ports[i].base, .len = 2,
			.ops = &ports_ops, .opaque = chip,
		};
		err = bus_add(pio, &chip->ports[i]);
		if (err)
			return err;
	}
	return 0;
}

/**
 * irqchip_line - one of the chips' inputs
 * @chip: the chips
 * @gsi: 0..15
 */
struct irq_line irqchip_line(struct irqchip *chip, unsigned int gsi)
{
	return (struct irq_line){ .set = irqchip_set, .chip = chip, .gsi = gsi };
}

/**
 * irqchip_intr - does an interrupt wait for the vCPU?
 * @chip: the chips
 */
bool irqchip_intr(struct irqchip *chip)
{
	return atomic_load(&chip->intr);
}

/**
 * irqchip_acknowledge - the vCPU takes the interrupt
 * @chip: the chips
 *
 * Return: the vector to inject.
 */
u8 irqchip_acknowledge(struct irqchip *chip)
{
	u8 vector;

	pthread_mutex_lock(&chip->lock);
	vector = pic_acknowledge(&chip->pic);
	publish_and_unlock(chip);
	return vector;
}

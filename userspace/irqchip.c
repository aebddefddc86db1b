// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt chips in user space as part of the machine: their lock, their
 * registers, and the kick to the vCPU when INTR rises.
 */
#include <string.h>

#include "acpi.h"
#include "irqchip.h"
#include "vcpu.h"

/* Ends every change of the chips: publish INTR, wake the vCPU, drop the lock. */
static void publish_and_unlock(struct irqchip *chip)
{
	bool intr = pic_intr(&chip->pic);
	bool rises = intr && !atomic_load(&chip->intr);

	/* Sequentially consistent, and before the kick: see vcpu_kick(). */
	atomic_store(&chip->intr, intr);
	if (chip->mode == IRQCHIP_USER)
		local_apics_set_extint(chip, intr);
	else if (rises)
		vcpu_kick(chip->vcpu);
	pthread_mutex_unlock(&chip->lock);
}

/* Every line goes to both kinds of chip; the guest has set up one of them. */
static void set_line(void *opaque, unsigned int irq, bool level)
{
	struct irqchip *chip = opaque;

	if (chip->mode == IRQCHIP_KERNEL) {
		irqchip_set_kernel_line(chip, irq, level);
		return;
	}
	pthread_mutex_lock(&chip->lock);
	pic_set_irq(&chip->pic, irq, level);
	ioapic_set_irq(&chip->ioapic, irqchip_pin(irq), level);
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

static u64 registers_read(struct device *dev, u64 offset, unsigned int len)
{
	struct irqchip *chip = dev->opaque;
	u32 value;

	(void)len;
	pthread_mutex_lock(&chip->lock);
	value = ioapic_read(&chip->ioapic, offset);
	pthread_mutex_unlock(&chip->lock);
	return value;
}

static void registers_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct irqchip *chip = dev->opaque;

	(void)len;
	pthread_mutex_lock(&chip->lock);
	ioapic_write(&chip->ioapic, offset, value);
	if (chip->mode == IRQCHIP_SPLIT)
		irqchip_update_routes(chip);
	pthread_mutex_unlock(&chip->lock);
}

static const struct device_ops registers_ops = {
	.width = 4,
	.read = registers_read,
	.write = registers_write,
};

static bool extint_intr(struct irq_source *source)
{
	return atomic_load(&container_of(source, struct irqchip, extint)->intr);
}

static u8 extint_acknowledge(struct irq_source *source)
{
	struct irqchip *chip = container_of(source, struct irqchip, extint);
	u8 vector;

	pthread_mutex_lock(&chip->lock);
	vector = pic_acknowledge(&chip->pic);
	publish_and_unlock(chip);
	return vector;
}

static int add_pic(struct irqchip *chip, struct bus *pio)
{
	static const struct {
		const char *name;
		u16 base;
	} ports[] = {
		{ "pic master", PIC_MASTER_BASE },
		{ "pic slave", PIC_SLAVE_BASE },
		{ "elcr", PIC_ELCR_BASE },
	};

	pic_reset(&chip->pic);
	/* As firmware leaves it: the SCI is level triggered. */
	pic_write(&chip->pic, PIC_ELCR_BASE + ACPI_SCI_IRQ / 8, BIT(ACPI_SCI_IRQ % 8));
	chip->extint.intr = extint_intr;
	chip->extint.acknowledge = extint_acknowledge;
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

static int add_ioapic(struct irqchip *chip, struct bus *mmio)
{
	chip->ioapic.deliver = chip->mode == IRQCHIP_USER ? local_apics_deliver : irqchip_send_msi;
	chip->ioapic_registers = (struct device){
		.name = "ioapic", .base = IOAPIC_BASE, .len = IOAPIC_LEN,
		.ops = &registers_ops, .opaque = chip,
	};
	return bus_add(mmio, &chip->ioapic_registers);
}

/**
 * irqchip_init - put the chips that are in user space on the buses
 * @chip: after irqchip_create()
 * @pio: the port bus
 * @mmio: the memory bus
 * @vcpus: who gets the interrupts; the first one those of the 8259s
 * @cpus: how many they are
 *
 * Return: as bus_add().
 */
int irqchip_init(struct irqchip *chip, struct bus *pio, struct bus *mmio, struct vcpu *vcpus,
		 unsigned int cpus)
{
	pthread_mutex_init(&chip->lock, NULL);
	chip->vcpu = vcpus;
	/* Its pins are masked, for ever where no guest can reach it. */
	ioapic_reset(&chip->ioapic);
	if (chip->mode == IRQCHIP_KERNEL)
		return 0;
	if (chip->mode == IRQCHIP_USER)
		local_apics_init(chip, cpus);
	return add_pic(chip, pio) ?: add_ioapic(chip, mmio);
}

/**
 * irqchip_line - one of the chips' inputs
 * @chip: the chips
 * @irq: 0..15
 */
struct irq_line irqchip_line(struct irqchip *chip, unsigned int irq)
{
	return (struct irq_line){ .set = set_line, .chip = chip, .irq = irq };
}

/**
 * irqchip_eoi - a local APIC broadcasts the end of a level triggered interrupt
 * @chip: the chips
 * @vector: the interrupt's
 */
void irqchip_eoi(struct irqchip *chip, u8 vector)
{
	pthread_mutex_lock(&chip->lock);
	ioapic_eoi(&chip->ioapic, vector);
	pthread_mutex_unlock(&chip->lock);
}

static const struct state_desc pic_desc = {
	.id = SECTION_PIC, .name = "8259",
	.fields = (const struct state_field[]){
		STATE_ANY(struct pic_chip, irr),
		STATE_ANY(struct pic_chip, imr),
		STATE_ANY(struct pic_chip, isr),
		STATE_ANY(struct pic_chip, lines),
		STATE_ANY(struct pic_chip, elcr),
		STATE_ANY(struct pic_chip, vector_base),
		STATE_NUMBER(struct pic_chip, lowest, 0, 7),
		STATE_NUMBER(struct pic_chip, init_step, 0, 4),
		STATE_BOOL(struct pic_chip, wants_icw4),
		STATE_BOOL(struct pic_chip, single),
		STATE_BOOL(struct pic_chip, auto_eoi),
		STATE_BOOL(struct pic_chip, rotate_on_auto_eoi),
		STATE_BOOL(struct pic_chip, nested),
		STATE_BOOL(struct pic_chip, special_mask),
		STATE_BOOL(struct pic_chip, read_isr),
		STATE_BOOL(struct pic_chip, poll),
		{ }
	},
};

static const struct state_desc ioapic_desc = {
	.id = SECTION_IOAPIC, .name = "I/O APIC",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct ioapic, select, 0, 0xff),
		STATE_NUMBER(struct ioapic, id, 0, 0xf),
		STATE_NUMBER(struct ioapic, lines, 0, (1 << IOAPIC_NR_PINS) - 1),
		STATE_ARRAY(struct ioapic, entry, ~0ULL),
		{ }
	},
};

/**
 * irqchip_save - add the chips' state to a stream, but for the CPUs' local APICs
 * in the kernel, which is theirs
 * @chip: the chips, which nobody uses
 * @out: the stream
 */
void irqchip_save(const struct irqchip *chip, struct stream_out *out)
{
	if (chip->mode == IRQCHIP_KERNEL) {
		irqchip_save_kernel(chip, out);
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(chip->pic.chip); i++)
		state_save(out, &pic_desc, i, &chip->pic.chip[i]);
	state_save(out, &ioapic_desc, 0, &chip->ioapic);
	if (chip->mode == IRQCHIP_USER)
		local_apics_save(chip, out);
}

/**
 * irqchip_load - make the chips what was saved
 * @chip: the chips; the devices are loaded, so their lines are right
 * @saved: where their state is
 *
 * Return: whether it could be done.
 */
bool irqchip_load(struct irqchip *chip, struct saved *saved)
{
	if (chip->mode == IRQCHIP_KERNEL)
		return irqchip_load_kernel(chip, saved);
	for (unsigned int i = 0; i < ARRAY_SIZE(chip->pic.chip); i++)
		if (!state_load(saved, &pic_desc, i, &chip->pic.chip[i]))
			return false;
	if (!state_load(saved, &ioapic_desc, 0, &chip->ioapic))
		return false;
	if (chip->mode == IRQCHIP_USER && !local_apics_load(chip, saved))
		return false;
	pthread_mutex_lock(&chip->lock);
	if (chip->mode == IRQCHIP_SPLIT)
		irqchip_update_routes(chip);
	publish_and_unlock(chip);
	return true;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8259 pair in the kernel: the model of pic.c behind a lock, at its ports.
 */
#include <linux/bitops.h>
#include "chips.h"

/* After all that may change INTR; the lock is held. */
static void update_intr(struct mv_chips *chips)
{
	bool intr = pic_intr(&chips->pic);
	bool rises = intr && !chips->intr;

	WRITE_ONCE(chips->intr, intr);
	if (rises)
		mv_extint_raised(chips->vm);
}

/**
 * mv_pic_set() - drive an input of the 8259 pair
 * @vm: has the chips
 * @pin: 0 to 15
 * @source: who drives it; the input is high if any does
 * @level: its share
 *
 * Context: any.
 *
 * Return: positive if it was delivered, 0 if it joined one before it, negative
 * if it was ignored.
 */
int mv_pic_set(struct mv_vm *vm, unsigned int pin, enum mv_irq_source source,
	       bool level)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags;
	int ret;

	raw_spin_lock_irqsave(&chips->lock, flags);
	level = mv_drive(&chips->pic_sources[pin], source, level);
	ret = pic_set_irq(&chips->pic, pin, level);
	update_intr(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return ret;
}

/**
 * mv_pic_intr() - does the pair want to interrupt?
 * @vm: the VM
 *
 * Context: any, also inside the run section. No lock: whoever must know of a
 * rising INTR gets mv_extint_raised().
 */
bool mv_pic_intr(struct mv_vm *vm)
{
	return vm->chips && READ_ONCE(vm->chips->intr);
}

/*
 * Ends an INTA; the lock is held. In automatic-EOI mode that may have ended the
 * interrupt, whose line an irqfd may hold. The line falls before INTR is looked
 * at, or it would rise once more for nothing.
 *
 * Return: whether mv_pic_resample() must follow, which does so.
 */
static bool acknowledged(struct mv_chips *chips)
{
	unsigned long ended = pic_take_auto_ended(&chips->pic);

	if (likely(!ended) || list_empty(&chips->vm->resamplers)) {
		update_intr(chips);
		return false;
	}
	chips->auto_ended |= ended;
	WRITE_ONCE(chips->intr, false);
	return true;
}

/**
 * mv_pic_acknowledge() - a vCPU takes the pair's interrupt: INTA
 * @vcpu: the vCPU; its VM has the chips
 *
 * If that ends the interrupt, the vCPU gets MV_REQ_RESAMPLE, and should not
 * enter the guest before.
 *
 * Context: the vCPU's own, also inside the run section.
 *
 * Return: the vector. If the request is gone since mv_pic_intr(), that of a
 * spurious interrupt, as on a PC.
 */
int mv_pic_acknowledge(struct mv_vcpu *vcpu)
{
	struct mv_chips *chips = vcpu->vm->chips;
	unsigned long flags;
	int vector;

	raw_spin_lock_irqsave(&chips->lock, flags);
	vector = pic_acknowledge(&chips->pic);
	if (acknowledged(chips))
		set_bit(MV_REQ_RESAMPLE, &vcpu->requests);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return vector;
}

static unsigned long in_service(const struct pic *pic)
{
	return pic->chip[0].isr | pic->chip[1].isr << 8;
}

static void resample(struct mv_vm *vm, unsigned long ended)
{
	unsigned int pin;

	for_each_set_bit(pin, &ended, PIC_NR_IRQS)
		mv_resample(vm, pin < 8 ? MINIVMM_IRQCHIP_PIC_MASTER :
					  MINIVMM_IRQCHIP_PIC_SLAVE, pin & 7);
}

/**
 * mv_pic_resample() - tell irqfds of interrupts that have ended by themselves
 * @vm: has the chips
 *
 * Context: sleeps.
 */
void mv_pic_resample(struct mv_vm *vm)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags, ended;

	raw_spin_lock_irqsave(&chips->lock, flags);
	ended = chips->auto_ended;
	chips->auto_ended = 0;
	raw_spin_unlock_irqrestore(&chips->lock, flags);

	resample(vm, ended);

	raw_spin_lock_irqsave(&chips->lock, flags);
	update_intr(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

/* An EOI may end an interrupt whose line an irqfd holds, which falls first. */
static void write_port(struct mv_vm *vm, u16 port, u8 value)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags, before, ended;

	raw_spin_lock_irqsave(&chips->lock, flags);
	before = in_service(&chips->pic);
	pic_write(&chips->pic, port, value);
	ended = before & ~in_service(&chips->pic);
	raw_spin_unlock_irqrestore(&chips->lock, flags);

	resample(vm, ended);

	raw_spin_lock_irqsave(&chips->lock, flags);
	update_intr(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

static u8 read_port(struct mv_vm *vm, u16 port)
{
	struct mv_chips *chips = vm->chips;
	unsigned long flags;
	bool ended;
	u8 value;

	raw_spin_lock_irqsave(&chips->lock, flags);
	value = pic_read(&chips->pic, port);
	/* In poll mode a read is an INTA. */
	ended = acknowledged(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);

	if (ended)
		mv_pic_resample(vm);
	return value;
}

/* A wider access is one to each port, as on the bus of a PC. */
static void ports_read(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
		       unsigned int len, void *data)
{
	u8 *byte = data;
	unsigned int i;

	for (i = 0; i < len; i++)
		byte[i] = read_port(vm, addr + i);
}

static void ports_write(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			unsigned int len, const void *data)
{
	const u8 *byte = data;
	unsigned int i;

	for (i = 0; i < len; i++)
		write_port(vm, addr + i, byte[i]);
}

static const struct mv_iodev_ops ports_ops = {
	.read = ports_read,
	.write = ports_write,
};

static struct mv_iodev ports_at(u16 base)
{
	return (struct mv_iodev) {
		.space = MV_SPACE_PORT, .base = base, .len = 2,
		.ops = &ports_ops,
	};
}

/**
 * mv_pic_init() - the pair after power-on, and where its ports are
 * @chips: new; the ports are not on the bus yet
 */
void mv_pic_init(struct mv_chips *chips)
{
	pic_reset(&chips->pic);
	chips->master = ports_at(PIC_MASTER_BASE);
	chips->slave = ports_at(PIC_SLAVE_BASE);
	chips->elcr = ports_at(PIC_ELCR_BASE);
}

/**
 * mv_pic_get() - one chip's state
 * @chips: the chips
 * @chip: 0 for the master, 1 for the slave
 * @state: filled in
 */
void mv_pic_get(struct mv_chips *chips, unsigned int chip,
		struct minivmm_pic_state *state)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->lock, flags);
	pic_get_state(&chips->pic, chip, state);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

/**
 * mv_pic_put() - give one chip a state
 * @chips: the chips
 * @chip: 0 for the master, 1 for the slave
 * @state: what cannot be is dropped
 */
void mv_pic_put(struct mv_chips *chips, unsigned int chip,
		const struct minivmm_pic_state *state)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->lock, flags);
	pic_set_state(&chips->pic, chip, state);
	update_intr(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
}

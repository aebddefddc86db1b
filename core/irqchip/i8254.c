// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 in the kernel: the model of pit.c at its ports, and a timer that
 * pulses GSI 0 whenever channel 0's output rises.
 *
 * Edges that come while the one before has not been taken are one interrupt, as
 * on a PC. KVM would count and replay them unless told not to: here a guest that
 * tells the time by counting ticks loses some when the host is busy.
 */
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include "../compat.h"
#include "../iobus.h"
#include "pit.h"

#define PIT_GSI		0
/* A guest can ask for an edge every microsecond; the host has other work. */
#define MIN_PERIOD_NS	(200 * NSEC_PER_USEC)

/**
 * struct mv_pit - the timer and its ports' places
 * @vm: whose it is
 * @lock: guards all that follows up to @timer; raw, interrupts off
 * @pit: the model, on the host's monotonic clock
 * @legacy_off: an HPET has taken over channel 0's interrupt
 * @timer: for channel 0's next edge
 * @channels: ports 0x40 to 0x43
 * @speaker: port 0x61
 */
struct mv_pit {
	struct mv_vm *vm;
	raw_spinlock_t lock;
	struct pit pit;
	bool legacy_off;
	struct hrtimer timer;
	struct mv_iodev channels, speaker;
};

/*
 * Under the lock. The handler may run meanwhile: it comes here after us. A
 * client can set times that no timer can be armed for: never.
 */
static void arm(struct mv_pit *p, u64 not_before)
{
	u64 edge = pit_next_edge(&p->pit, 0, ktime_get_ns());

	if (edge > KTIME_MAX)
		hrtimer_try_to_cancel(&p->timer);
	else
		hrtimer_start(&p->timer, ns_to_ktime(max(edge, not_before)),
			      HRTIMER_MODE_ABS_HARD);
}

static enum hrtimer_restart edge(struct hrtimer *timer)
{
	struct mv_pit *p = container_of(timer, struct mv_pit, timer);
	unsigned long flags;
	bool legacy_off;

	raw_spin_lock_irqsave(&p->lock, flags);
	legacy_off = p->legacy_off;
	arm(p, ktime_get_ns() + MIN_PERIOD_NS);
	raw_spin_unlock_irqrestore(&p->lock, flags);
	if (!legacy_off) {
		mv_gsi_set(p->vm, MV_SOURCE_PIT, PIT_GSI, true);
		mv_gsi_set(p->vm, MV_SOURCE_PIT, PIT_GSI, false);
	}
	/* A vCPU may have armed it, too: see arm(). */
	return HRTIMER_NORESTART;
}

static void channels_read(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			  unsigned int len, void *data)
{
	struct mv_pit *p = container_of(dev, struct mv_pit, channels);
	u8 *byte = data;
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&p->lock, flags);
	for (i = 0; i < len; i++)
		byte[i] = pit_read(&p->pit, addr - dev->base + i,
				   ktime_get_ns());
	raw_spin_unlock_irqrestore(&p->lock, flags);
}

/* Channel 0, or the control word if it selects channel 0 */
static bool concerns_channel_0(unsigned int reg, u8 value)
{
	return !reg || (reg == 3 && !(value >> 6));
}

static void channels_write(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			   unsigned int len, const void *data)
{
	struct mv_pit *p = container_of(dev, struct mv_pit, channels);
	const u8 *byte = data;
	unsigned long flags;
	unsigned int i, reg;

	raw_spin_lock_irqsave(&p->lock, flags);
	for (i = 0; i < len; i++) {
		reg = addr - dev->base + i;
		pit_write(&p->pit, reg, byte[i], ktime_get_ns());
		if (concerns_channel_0(reg, byte[i]))
			arm(p, 0);
	}
	raw_spin_unlock_irqrestore(&p->lock, flags);
}

static void speaker_read(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			 unsigned int len, void *data)
{
	struct mv_pit *p = container_of(dev, struct mv_pit, speaker);
	unsigned long flags;

	raw_spin_lock_irqsave(&p->lock, flags);
	*(u8 *)data = pit_speaker_read(&p->pit, ktime_get_ns());
	raw_spin_unlock_irqrestore(&p->lock, flags);
}

static void speaker_write(struct mv_vm *vm, struct mv_iodev *dev, u64 addr,
			  unsigned int len, const void *data)
{
	struct mv_pit *p = container_of(dev, struct mv_pit, speaker);
	unsigned long flags;

	raw_spin_lock_irqsave(&p->lock, flags);
	pit_speaker_write(&p->pit, *(u8 *)data, ktime_get_ns());
	raw_spin_unlock_irqrestore(&p->lock, flags);
}

static const struct mv_iodev_ops channels_ops = {
	.read = channels_read,
	.write = channels_write,
};

static const struct mv_iodev_ops speaker_ops = {
	.read = speaker_read,
	.write = speaker_write,
};

static struct mv_pit *alloc_pit(struct mv_vm *vm)
{
	struct mv_pit *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return NULL;
	p->vm = vm;
	raw_spin_lock_init(&p->lock);
	pit_reset(&p->pit);
	mv_hrtimer_setup(&p->timer, edge, CLOCK_MONOTONIC,
			 HRTIMER_MODE_ABS_HARD);
	p->channels = (struct mv_iodev) {
		.space = MV_SPACE_PORT, .base = PIT_BASE, .len = 4,
		.ops = &channels_ops,
	};
	p->speaker = (struct mv_iodev) {
		.space = MV_SPACE_PORT, .base = PIT_SPEAKER_PORT, .len = 1,
		.ops = &speaker_ops,
	};
	return p;
}

/* vm->lock is held. */
static int create_pit(struct mv_vm *vm, u32 flags)
{
	struct mv_pit *p = alloc_pit(vm);
	struct mv_iodev *devs[2];
	int ret;

	if (!p)
		return -ENOMEM;
	devs[0] = &p->channels;
	devs[1] = &p->speaker;
	mutex_lock(&vm->irq_lock);
	ret = mv_iobus_add(vm, devs, flags & MINIVMM_PIT_SPEAKER_DUMMY ? 2 : 1);
	mutex_unlock(&vm->irq_lock);
	if (ret) {
		kfree(p);
		return ret;
	}
	/* pairs with get_pit() */
	smp_store_release(&vm->pit, p);
	return 0;
}

/**
 * mv_create_pit() - MINIVMM_CREATE_PIT, MINIVMM_CREATE_PIT2
 * @vm: the VM
 * @flags: MINIVMM_PIT_SPEAKER_DUMMY: with port 0x61
 *
 * Return: 0; -EINVAL: unknown flags; -EEXIST; -ENOENT if there is no 8259 that
 * it could be connected to; -ENOMEM.
 */
int mv_create_pit(struct mv_vm *vm, u32 flags)
{
	int ret;

	mutex_lock(&vm->lock);
	if (vm->pit)
		ret = -EEXIST;
	else if (flags & ~MINIVMM_PIT_SPEAKER_DUMMY)
		ret = -EINVAL;
	else if (vm->irqchip != MV_IRQCHIP_KERNEL)
		ret = -ENOENT;
	else
		ret = create_pit(vm, flags);
	mutex_unlock(&vm->lock);
	return ret;
}

/**
 * mv_pit_destroy() - stop and free the timer
 * @vm: no vCPU runs any more
 */
void mv_pit_destroy(struct mv_vm *vm)
{
	if (vm->pit)
		hrtimer_cancel(&vm->pit->timer);
	kfree(vm->pit);
}

static struct mv_pit *get_pit(struct mv_vm *vm)
{
	/* pairs with create_pit(): who sees the pointer sees a whole timer */
	return smp_load_acquire(&vm->pit);
}

/**
 * mv_get_pit2() - MINIVMM_GET_PIT2
 * @vm: the VM
 * @state: filled in
 *
 * Return: 0 or -ENXIO if there is no timer.
 */
int mv_get_pit2(struct mv_vm *vm, struct minivmm_pit_state2 *state)
{
	struct mv_pit *p = get_pit(vm);
	unsigned long flags;

	if (!p)
		return -ENXIO;
	raw_spin_lock_irqsave(&p->lock, flags);
	pit_get_state(&p->pit, state);
	if (p->legacy_off)
		state->flags |= MINIVMM_PIT_FLAGS_HPET_LEGACY;
	raw_spin_unlock_irqrestore(&p->lock, flags);
	return 0;
}

/**
 * mv_set_pit2() - MINIVMM_SET_PIT2
 * @vm: the VM
 * @state: what cannot be is replaced
 *
 * Return: 0; -ENXIO if there is no timer; -EINVAL: unknown flags.
 */
int mv_set_pit2(struct mv_vm *vm, const struct minivmm_pit_state2 *state)
{
	struct mv_pit *p = get_pit(vm);
	unsigned long flags;

	if (!p)
		return -ENXIO;
	if (state->flags & ~(MINIVMM_PIT_FLAGS_HPET_LEGACY |
			     MINIVMM_PIT_FLAGS_SPEAKER_DATA_ON))
		return -EINVAL;
	raw_spin_lock_irqsave(&p->lock, flags);
	pit_set_state(&p->pit, state);
	p->legacy_off = state->flags & MINIVMM_PIT_FLAGS_HPET_LEGACY;
	arm(p, 0);
	raw_spin_unlock_irqrestore(&p->lock, flags);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The 8254 as part of the machine. A timerfd wakes the I/O thread at channel
 * 0's next rising edge, which then interrupts the vCPU. Edges that passed while
 * nobody could deliver them are one interrupt, as on a PC with interrupts off.
 */
#include <assert.h>
#include <string.h>

#include "alarm.h"
#include "timer.h"

/* Has the alarm expire at channel 0's first edge after @now. */
static void arm(struct timer *timer, u64 now)
{
	static_assert(PIT_NEVER == ALARM_NEVER, "the same time");
	alarm_set(&timer->expiry, pit_next_edge(&timer->pit, 0, now));
}

static void expired(struct loop_source *source)
{
	struct timer *timer = container_of(source, struct timer, expiry);

	pthread_mutex_lock(&timer->lock);
	/* Not any more: the guest reprogrammed the channel meanwhile. */
	if (alarm_take(source)) {
		irq_set(&timer->irq, false);
		irq_set(&timer->irq, true);
		arm(timer, now_ns());
	}
	pthread_mutex_unlock(&timer->lock);
}

static u64 ports_read(struct device *dev, u64 offset, unsigned int len)
{
	struct timer *timer = dev->opaque;
	u8 value;

	(void)len;
	pthread_mutex_lock(&timer->lock);
	value = pit_read(&timer->pit, offset, now_ns());
	pthread_mutex_unlock(&timer->lock);
	return value;
}

static void ports_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct timer *timer = dev->opaque;
	u64 now = now_ns();

	(void)len;
	pthread_mutex_lock(&timer->lock);
	pit_write(&timer->pit, offset, value, now);
	/* Channel 0, or the control word if it selects channel 0. */
	if (!offset || (offset == 3 && !(value >> 6))) {
		if (!pit_out(&timer->pit, 0, now))
			irq_set(&timer->irq, false);
		arm(timer, now);
	}
	pthread_mutex_unlock(&timer->lock);
}

static u64 speaker_read(struct device *dev, u64 offset, unsigned int len)
{
	struct timer *timer = dev->opaque;
	u8 value;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&timer->lock);
	value = pit_speaker_read(&timer->pit, now_ns());
	pthread_mutex_unlock(&timer->lock);
	return value;
}

static void speaker_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct timer *timer = dev->opaque;

	(void)offset;
	(void)len;
	pthread_mutex_lock(&timer->lock);
	pit_speaker_write(&timer->pit, value, now_ns());
	pthread_mutex_unlock(&timer->lock);
}

static const struct device_ops ports_ops = {
	.width = 1, .read = ports_read, .write = ports_write,
};

static const struct device_ops speaker_ops = {
	.width = 1, .read = speaker_read, .write = speaker_write,
};

/**
 * timer_init - put the interval timer on the bus
 * @timer: the timer
 * @pio: the port bus
 * @loop: whose thread raises the interrupts
 * @irq: channel 0's interrupt line
 *
 * Return: as bus_add().
 */
int timer_init(struct timer *timer, struct bus *pio, struct loop *loop, struct irq_line irq)
{
	int err;

	memset(timer, 0, sizeof(*timer));
	pthread_mutex_init(&timer->lock, NULL);
	pit_reset(&timer->pit);
	timer->irq = irq;
	alarm_init(&timer->expiry, expired);
	loop_add(loop, &timer->expiry);

	timer->ports = (struct device){
		.name = "pit", .base = PIT_BASE, .len = 4, .ops = &ports_ops, .opaque = timer,
	};
	timer->speaker = (struct device){
		.name = "speaker", .base = PIT_SPEAKER_PORT, .len = 1,
		.ops = &speaker_ops, .opaque = timer,
	};
	err = bus_add(pio, &timer->ports);
	return err ?: bus_add(pio, &timer->speaker);
}

static const struct state_desc channel_desc = {
	.id = SECTION_PIT_CHANNEL, .name = "8254's channel",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct pit_channel, mode, 0, 5),
		STATE_NUMBER(struct pit_channel, access, 0, 3),
		STATE_BOOL(struct pit_channel, bcd),
		STATE_BOOL(struct pit_channel, gate),
		STATE_BOOL(struct pit_channel, null_count),
		STATE_BOOL(struct pit_channel, write_high),
		STATE_BOOL(struct pit_channel, read_high),
		STATE_BOOL(struct pit_channel, status_latched),
		STATE_BOOL(struct pit_channel, count_latched),
		STATE_ANY(struct pit_channel, write_low),
		STATE_ANY(struct pit_channel, status),
		STATE_ANY(struct pit_channel, latch),
		STATE_NUMBER(struct pit_channel, count, 1, 0x10000),
		STATE_TIME(struct pit_channel, start_ns),
		STATE_ANY(struct pit_channel, paused_ns),
		{ }
	},
};

static const struct state_desc pit_desc = {
	.id = SECTION_PIT, .name = "8254",
	.fields = (const struct state_field[]){
		STATE_BOOL(struct pit, speaker_data),
		STATE_BOOL(struct pit, refresh),
		{ }
	},
};

/**
 * timer_save - add the timer's state to a stream
 * @timer: the timer, which nobody uses
 * @out: the stream
 */
void timer_save(const struct timer *timer, struct stream_out *out)
{
	state_save(out, &pit_desc, 0, &timer->pit);
	for (unsigned int i = 0; i < ARRAY_SIZE(timer->pit.channel); i++)
		state_save(out, &channel_desc, i, &timer->pit.channel[i]);
}

/**
 * timer_load - make the timer what was saved
 * @timer: the timer; the loop does not run yet
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool timer_load(struct timer *timer, struct saved *saved)
{
	if (!state_load(saved, &pit_desc, 0, &timer->pit))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(timer->pit.channel); i++)
		if (!state_load(saved, &channel_desc, i, &timer->pit.channel[i]))
			return false;
	arm(timer, now_ns());
	return true;
}

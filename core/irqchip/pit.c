// SPDX-License-Identifier: GPL-2.0
/*
 * 8254 programmable interval timer: three channels, all six modes, and the
 * parts of port 0x61 that belong to it.
 *
 * A channel is not stepped. Everything it shows follows from when its count
 * was started and what time it is. One simplification: a count written while
 * modes 2 and 3 run takes effect at once, not at the end of the period.
 *
 * "DS" in the comments is Intel's 8254 data sheet, order number 231164.
 */
#include "pit.h"

#define REG_CONTROL		3

#define ACCESS_LOW		1
#define ACCESS_HIGH		2
#define ACCESS_BOTH		3

#define READ_BACK		3
#define READ_BACK_NO_COUNT	BIT(5)
#define READ_BACK_NO_STATUS	BIT(4)

#define STATUS_OUT		BIT(7)
#define STATUS_NULL_COUNT	BIT(6)

/* As KVM's state has them: reads and writes alternate between 3 and 4. */
#define STATE_HIGH_OF_TWO	4
#define STATE_SPEAKER_DATA	BIT(1)		/* in its flags */
/* Load times that are none: no count yet; up to 0, the time before a pause. */
#define STATE_NOT_LOADED	S64_MIN

#define MAX_MODE		5
#define MAX_COUNT		0x10000
#define MAX_BCD_COUNT		10000

#define SPEAKER_GATE2		BIT(0)
#define SPEAKER_DATA		BIT(1)
#define SPEAKER_REFRESH		BIT(4)
#define SPEAKER_OUT2		BIT(5)

/* Whole seconds apart from the rest: the products must fit 64 bits. */
static u64 ns_to_ticks(u64 ns)
{
	return ns / NSEC_PER_SEC * PIT_HZ + ns % NSEC_PER_SEC * PIT_HZ / NSEC_PER_SEC;
}

/* Rounded up: at the time returned the tick has happened. */
static u64 ticks_to_ns(u64 ticks)
{
	return ticks / PIT_HZ * NSEC_PER_SEC +
	       (ticks % PIT_HZ * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

static u32 from_bcd(u16 v)
{
	return (v >> 12) * 1000 + ((v >> 8) & 15) * 100 + ((v >> 4) & 15) * 10 + (v & 15);
}

static u16 to_bcd(u32 v)
{
	return (v / 1000 % 10) << 12 | (v / 100 % 10) << 8 | (v / 10 % 10) << 4 | v % 10;
}

static u32 max_count(const struct pit_channel *c)
{
	return c->bcd ? MAX_BCD_COUNT : MAX_COUNT;
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5 start at a rising gate; in the others the gate lets the count run. */
static bool triggered(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool paused(const struct pit_channel *c)
{
	return !triggered(c) && !c->gate;
}

static u64 elapsed_ticks(const struct pit_channel *c, u64 now_ns)
{
	u64 ns = paused(c) ? c->paused_ns : now_ns - c->start_ns;

	return ns_to_ticks(ns);
}

static bool channel_out(const struct pit_channel *c, u64 now_ns)
{
	u64 t;

	/* DS, mode definitions: the control word sets OUT low in mode 0 alone. */
	if (c->null_count)
		return c->mode != 0;
	t = elapsed_ticks(c, now_ns);
	switch (c->mode) {
	case 0:
	case 1:
		return t >= c->count;
	case 2:
		return paused(c) || t % c->count != c->count - 1;
	case 3:
		return paused(c) || t % c->count < (c->count + 1) / 2;
	default:
		return t != c->count;
	}
}

/* What the counting element holds, as a read returns it. */
static u16 channel_count(const struct pit_channel *c, u64 now_ns)
{
	u32 wrap = max_count(c);
	u64 t = elapsed_ticks(c, now_ns);
	u32 left;

	if (c->mode == 2) {
		left = c->count - t % c->count;
	} else if (c->mode == 3) {
		/* DS, mode 3: counts down by two, twice a period. */
		left = (c->count & ~1U) - (t % c->count * 2) % (c->count & ~1U ?: 1);
	} else {
		left = (c->count + wrap - t % wrap) % wrap;
	}
	left %= wrap;
	return c->bcd ? to_bcd(left) : left;
}

static void channel_start(struct pit_channel *c, u16 value, u64 now_ns)
{
	c->count = (c->bcd ? from_bcd(value) : value) ?: max_count(c);
	c->paused_ns = 0;
	/* DS, modes 1 and 5: a new count waits for the next trigger. */
	if (!triggered(c) || c->null_count)
		c->start_ns = now_ns;
	if (triggered(c))
		return;
	c->null_count = false;
}

static void channel_set_gate(struct pit_channel *c, bool gate, u64 now_ns)
{
	bool rising = gate && !c->gate;
	bool falling = !gate && c->gate;

	if (triggered(c)) {
		if (rising && c->count) {
			c->start_ns = now_ns;
			c->null_count = false;
		}
	} else if (falling) {
		c->paused_ns = now_ns - c->start_ns;
	} else if (rising) {
		/* DS, modes 2 and 3: a rising gate reloads the count. */
		c->start_ns = now_ns - (periodic(c) ? 0 : c->paused_ns);
	}
	c->gate = gate;
}

static u8 channel_status(const struct pit_channel *c, u64 now_ns)
{
	return (channel_out(c, now_ns) ? STATUS_OUT : 0) |
	       (c->null_count ? STATUS_NULL_COUNT : 0) |
	       c->access << 4 | c->mode << 1 | c->bcd;
}

static void channel_latch_count(struct pit_channel *c, u64 now_ns)
{
	/* DS: a second latch command before the read is ignored. */
	if (c->count_latched)
		return;
	c->count_latched = true;
	c->latch = channel_count(c, now_ns);
}

static void channel_control(struct pit_channel *c, u8 value, u64 now_ns)
{
	u8 access = (value >> 4) & 3;
	u8 mode = (value >> 1) & 7;

	if (!access) {
		channel_latch_count(c, now_ns);
		return;
	}
	c->access = access;
	c->mode = mode > MAX_MODE ? mode - 4 : mode;
	c->bcd = value & 1;
	c->null_count = true;
	c->count_latched = false;
	c->status_latched = false;
	c->write_high = access == ACCESS_HIGH;
	c->read_high = access == ACCESS_HIGH;
}

static void read_back(struct pit *pit, u8 value, u64 now_ns)
{
	for (int i = 0; i < 3; i++) {
		struct pit_channel *c = &pit->channel[i];

		if (!(value & (2 << i)))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			channel_latch_count(c, now_ns);
		if (!(value & READ_BACK_NO_STATUS) && !c->status_latched) {
			c->status_latched = true;
			c->status = channel_status(c, now_ns);
		}
	}
}

static u8 channel_read(struct pit_channel *c, u64 now_ns)
{
	bool high = c->read_high;
	u16 count;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	count = c->count_latched ? c->latch : channel_count(c, now_ns);
	if (c->access == ACCESS_BOTH)
		c->read_high = !high;
	if (high || c->access == ACCESS_LOW)
		c->count_latched = false;
	return high ? count >> 8 : count;
}

static void channel_write(struct pit_channel *c, u8 value, u64 now_ns)
{
	if (c->access == ACCESS_BOTH && !c->write_high) {
		c->write_low = value;
		c->write_high = true;
		return;
	}
	switch (c->access) {
	case ACCESS_LOW:
		channel_start(c, value, now_ns);
		break;
	case ACCESS_HIGH:
		channel_start(c, value << 8, now_ns);
		break;
	case ACCESS_BOTH:
		c->write_high = false;
		channel_start(c, value << 8 | c->write_low, now_ns);
		break;
	}
}

/**
 * pit_reset - power-on state: nothing counts, channels 0 and 1 gated on
 * @pit: the timer
 */
void pit_reset(struct pit *pit)
{
	memset(pit, 0, sizeof(*pit));
	for (int i = 0; i < 3; i++) {
		struct pit_channel *c = &pit->channel[i];

		c->mode = 3;
		c->access = ACCESS_BOTH;
		c->count = MAX_COUNT;
		c->null_count = true;
		c->gate = i < 2;
	}
}

/**
 * pit_read - the guest reads one of the timer's four ports
 * @pit: the timer
 * @reg: 0..3, the offset from port 0x40
 * @now_ns: the time, on any clock that does not run backwards
 */
u8 pit_read(struct pit *pit, unsigned int reg, u64 now_ns)
{
	if (reg == REG_CONTROL)
		return 0xff;	/* DS: no operation, the bus floats */
	return channel_read(&pit->channel[reg], now_ns);
}

/**
 * pit_write - the guest writes one of the timer's four ports
 * @pit: the timer
 * @reg: 0..3, the offset from port 0x40
 * @value: the byte
 * @now_ns: the time, on the clock of pit_read()
 */
void pit_write(struct pit *pit, unsigned int reg, u8 value, u64 now_ns)
{
	unsigned int select = value >> 6;

	if (reg != REG_CONTROL)
		channel_write(&pit->channel[reg], value, now_ns);
	else if (select == READ_BACK)
		read_back(pit, value, now_ns);
	else
		channel_control(&pit->channel[select], value, now_ns);
}

/**
 * pit_speaker_read - the guest reads port 0x61
 * @pit: the timer
 * @now_ns: the time, on the clock of pit_read()
 */
u8 pit_speaker_read(struct pit *pit, u64 now_ns)
{
	/* Old software times itself by the refresh bit: it toggles at each look. */
	pit->refresh = !pit->refresh;
	return (pit->channel[2].gate ? SPEAKER_GATE2 : 0) |
	       (pit->speaker_data ? SPEAKER_DATA : 0) |
	       (pit->refresh ? SPEAKER_REFRESH : 0) |
	       (channel_out(&pit->channel[2], now_ns) ? SPEAKER_OUT2 : 0);
}

/**
 * pit_speaker_write - the guest writes port 0x61
 * @pit: the timer
 * @value: the byte
 * @now_ns: the time, on the clock of pit_read()
 */
void pit_speaker_write(struct pit *pit, u8 value, u64 now_ns)
{
	pit->speaker_data = value & SPEAKER_DATA;
	channel_set_gate(&pit->channel[2], value & SPEAKER_GATE2, now_ns);
}

/**
 * pit_out - the level of a channel's OUT pin
 * @pit: the timer
 * @channel: 0..2
 * @now_ns: the time, on the clock of pit_read()
 */
bool pit_out(const struct pit *pit, unsigned int channel, u64 now_ns)
{
	return channel_out(&pit->channel[channel], now_ns);
}

/**
 * pit_next_edge - when a channel's OUT pin rises next
 * @pit: the timer
 * @channel: 0..2
 * @after_ns: look for edges later than this
 *
 * Return: the time of the edge, or PIT_NEVER if there is none to come.
 */
u64 pit_next_edge(const struct pit *pit, unsigned int channel, u64 after_ns)
{
	const struct pit_channel *c = &pit->channel[channel];
	u64 ticks;
	u64 edge;

	if (c->null_count || paused(c))
		return PIT_NEVER;

	if (periodic(c)) {
		ticks = elapsed_ticks(c, after_ns);
		edge = c->start_ns + ticks_to_ns((ticks / c->count + 1) * c->count);
		/* Rounding: after_ns may be the very edge it was given before. */
		if (edge <= after_ns)
			edge = c->start_ns + ticks_to_ns((ticks / c->count + 2) * c->count);
		return edge;
	}

	/* Modes 4 and 5 strobe low for one tick when the count has run out. */
	ticks = c->mode >= 4 ? (u64)c->count + 1 : c->count;
	edge = c->start_ns + ticks_to_ns(ticks);
	return edge > after_ns ? edge : PIT_NEVER;
}

/* Which byte comes next: 1 and 2 the only one, 3 and 4 the low and high of two. */
static u8 byte_state(const struct pit_channel *c, bool high)
{
	return c->access == ACCESS_BOTH && high ? STATE_HIGH_OF_TWO : c->access;
}

static u8 latch_state(const struct pit_channel *c)
{
	if (!c->count_latched)
		return 0;
	/* KVM counts a latch's bytes on their own: when one is left it is a high one. */
	return c->read_high ? ACCESS_HIGH : c->access;
}

static s64 load_time(const struct pit_channel *c)
{
	if (c->null_count)
		return STATE_NOT_LOADED;
	return paused(c) ? -(s64)c->paused_ns : (s64)c->start_ns;
}

/**
 * pit_get_state - for MINIVMM_GET_PIT2
 * @pit: the timer
 * @state: filled in; count_load_time on the clock of pit_read()
 */
void pit_get_state(const struct pit *pit, struct minivmm_pit_state2 *state)
{
	memset(state, 0, sizeof(*state));
	for (int i = 0; i < 3; i++) {
		const struct pit_channel *c = &pit->channel[i];

		state->channels[i] = (struct minivmm_pit_channel_state){
			.count = c->count,
			.latched_count = c->latch,
			.count_latched = latch_state(c),
			.status_latched = c->status_latched,
			.status = c->status,
			.read_state = byte_state(c, c->read_high),
			.write_state = byte_state(c, c->write_high),
			.write_latch = c->write_low,
			.rw_mode = c->access,
			.mode = c->mode,
			.bcd = c->bcd,
			.gate = c->gate,
			.count_load_time = load_time(c),
		};
	}
	state->flags = pit->speaker_data ? STATE_SPEAKER_DATA : 0;
}

static void set_load_time(struct pit_channel *c, s64 time)
{
	if (time == STATE_NOT_LOADED)
		c->null_count = true;
	else if (!paused(c))
		c->start_ns = time;
	else if (time < 0)
		c->paused_ns = -time;
}

static void channel_set_state(struct pit_channel *c, const struct minivmm_pit_channel_state *state)
{
	*c = (struct pit_channel){
		.mode = state->mode,
		.access = state->rw_mode,
		.bcd = state->bcd,
		.gate = state->gate,
		.write_high = state->write_state == STATE_HIGH_OF_TWO,
		.read_high = state->read_state == STATE_HIGH_OF_TWO ||
			     state->count_latched == ACCESS_HIGH,
		.status_latched = state->status_latched,
		.count_latched = state->count_latched,
		.write_low = state->write_latch,
		.status = state->status,
		.latch = state->latched_count,
		.count = state->count,
	};
	/* KVM's reset leaves both undefined: as ours then. */
	if (c->mode > MAX_MODE) {
		c->mode = 3;
		c->null_count = true;
	}
	if (!c->access || c->access > ACCESS_BOTH)
		c->access = ACCESS_BOTH;
	if (c->access != ACCESS_BOTH) {
		c->read_high = c->access == ACCESS_HIGH;
		c->write_high = c->read_high;
	}
	if (!c->count || c->count > max_count(c))
		c->count = max_count(c);
	set_load_time(c, state->count_load_time);
}

/**
 * pit_set_state - for MINIVMM_SET_PIT2
 * @pit: the timer; channel 0's next edge changes
 * @state: from pit_get_state(), from KVM, or anything else; what an 8254 cannot
 *	be is replaced
 */
void pit_set_state(struct pit *pit, const struct minivmm_pit_state2 *state)
{
	for (int i = 0; i < 3; i++)
		channel_set_state(&pit->channel[i], &state->channels[i]);
	pit->speaker_data = state->flags & STATE_SPEAKER_DATA;
}

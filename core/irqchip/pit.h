/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The 8254 interval timer and port 0x61, as pure logic: the caller passes the
 * time in, and raises the interrupts.
 */
#ifndef MINIVMM_PIT_H
#define MINIVMM_PIT_H

#include "chip.h"

#define PIT_BASE		0x40
#define PIT_SPEAKER_PORT	0x61
#define PIT_HZ			1193182ULL
#define PIT_NEVER		(~0ULL)

struct pit_channel {
	u8 mode;		/* 0..5 */
	u8 access;		/* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool null_count;	/* programmed, but no count written yet */
	bool write_high;	/* the next byte written is the high one */
	bool read_high;		/* the next byte read is the high one */
	bool status_latched;
	bool count_latched;
	u8 write_low;		/* the low byte waiting for its high one */
	u8 status;
	u16 latch;
	u32 count;		/* 1..65536 ticks */
	u64 start_ns;		/* when counting began, while it runs */
	u64 paused_ns;		/* how long it had run, while the gate holds it */
};

struct pit {
	struct pit_channel channel[3];
	bool speaker_data;
	bool refresh;
};

void pit_reset(struct pit *pit);
u8 pit_read(struct pit *pit, unsigned int reg, u64 now_ns);
void pit_write(struct pit *pit, unsigned int reg, u8 value, u64 now_ns);
u8 pit_speaker_read(struct pit *pit, u64 now_ns);
void pit_speaker_write(struct pit *pit, u8 value, u64 now_ns);
bool pit_out(const struct pit *pit, unsigned int channel, u64 now_ns);
u64 pit_next_edge(const struct pit *pit, unsigned int channel, u64 after_ns);
void pit_get_state(const struct pit *pit, struct minivmm_pit_state2 *state);
void pit_set_state(struct pit *pit, const struct minivmm_pit_state2 *state);

#endif /* MINIVMM_PIT_H */

// SPDX-License-Identifier: GPL-2.0
/* The 8254 against its data sheet; time is what the test says it is. */
#include "pit.h"
#include "tap.h"

#define CONTROL		3
#define T0		5000000000ULL	/* some time, not zero */

/* The time at which @ticks have passed since T0. */
static u64 at(u64 ticks)
{
	return T0 + (ticks * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

/* Programs a channel, low byte then high byte, at T0. */
static void program(struct pit *pit, unsigned int channel, u8 mode, u16 count)
{
	pit_write(pit, CONTROL, channel << 6 | 0x30 | mode << 1, T0);
	pit_write(pit, channel, count & 0xff, T0);
	pit_write(pit, channel, count >> 8, T0);
}

static u16 latched(struct pit *pit, unsigned int channel, u64 now)
{
	u16 low;

	pit_write(pit, CONTROL, channel << 6, now);
	low = pit_read(pit, channel, now + 1000000);
	return low | pit_read(pit, channel, now + 2000000) << 8;
}

static void test_mode0(void)
{
	struct pit pit;

	pit_reset(&pit);
	EQUAL(pit_next_edge(&pit, 0, T0), PIT_NEVER, "nothing counts after reset");
	program(&pit, 0, 0, 1000);
	CHECK(!pit_out(&pit, 0, T0), "mode 0: OUT is low");
	CHECK(!pit_out(&pit, 0, at(999)), "until the count has run out");
	CHECK(pit_out(&pit, 0, at(1000)), "then high");
	CHECK(pit_out(&pit, 0, at(100000)), "and stays");
	EQUAL(pit_next_edge(&pit, 0, T0), at(1000), "one edge");
	EQUAL(pit_next_edge(&pit, 0, at(1000)), PIT_NEVER, "and no other");
	EQUAL(latched(&pit, 0, at(400)), 600, "the count goes down");
	EQUAL(latched(&pit, 0, at(1001)), 0xffff, "and wraps");
}

static void test_periodic(void)
{
	struct pit pit;
	u64 edge = T0;
	bool exact = true;

	pit_reset(&pit);
	program(&pit, 0, 2, 1193);
	CHECK(pit_out(&pit, 0, at(0)), "mode 2: OUT is high");
	CHECK(!pit_out(&pit, 0, at(1192)), "low in the last tick");
	CHECK(pit_out(&pit, 0, at(1193)), "high again");
	EQUAL(latched(&pit, 0, at(1193 * 5 + 3)), 1190, "the count reloads");
	for (unsigned int i = 1; i <= 100000; i++) {
		edge = pit_next_edge(&pit, 0, edge);
		exact &= edge == at((u64)i * 1193);
	}
	CHECK(exact, "100000 edges, no drift");

	program(&pit, 0, 3, 0);
	CHECK(pit_out(&pit, 0, at(32767)), "mode 3: high for one half");
	CHECK(!pit_out(&pit, 0, at(32768)), "low for the other");
	EQUAL(pit_next_edge(&pit, 0, T0), at(65536), "a count of 0 is 65536");
	EQUAL(latched(&pit, 0, at(100)), 65536 - 200, "the count goes down by two");
	program(&pit, 0, 7, 100);
	EQUAL(pit_next_edge(&pit, 0, at(150)), at(200), "mode 7 is mode 3");
	program(&pit, 0, 3, 1);
	latched(&pit, 0, at(5));
	CHECK(pit_next_edge(&pit, 0, at(5)) > at(5), "the shortest count is survived");
}

static void test_mode4(void)
{
	struct pit pit;

	pit_reset(&pit);
	program(&pit, 0, 4, 500);
	CHECK(pit_out(&pit, 0, at(499)), "mode 4: OUT is high");
	CHECK(!pit_out(&pit, 0, at(500)), "low for one tick");
	CHECK(pit_out(&pit, 0, at(501)), "high again");
	EQUAL(pit_next_edge(&pit, 0, T0), at(501), "one edge");
	EQUAL(pit_next_edge(&pit, 0, at(501)), PIT_NEVER, "and no other");
	program(&pit, 0, 4, 300);
	EQUAL(pit_next_edge(&pit, 0, T0), at(301), "a new count starts anew");
}

static void test_gate(void)
{
	struct pit pit;

	pit_reset(&pit);
	program(&pit, 2, 0, 1000);
	CHECK(!(pit_speaker_read(&pit, at(5000)) & 0x20), "gate low: channel 2 waits");
	pit_speaker_write(&pit, 1, at(5000));
	CHECK(!(pit_speaker_read(&pit, at(5900)) & 0x20), "gate high: it counts");
	pit_speaker_write(&pit, 0, at(5900));
	CHECK(!(pit_speaker_read(&pit, at(9000)) & 0x20), "gate low: it pauses");
	pit_speaker_write(&pit, 1, at(9000));
	CHECK(!(pit_speaker_read(&pit, at(9098)) & 0x20), "gate high: it goes on");
	CHECK(pit_speaker_read(&pit, at(9102)) & 0x20, "to its end");
	EQUAL(pit_speaker_read(&pit, at(9102)) & 3, 1, "port 0x61 shows the gate");
	EQUAL((pit_speaker_read(&pit, T0) ^ pit_speaker_read(&pit, T0)) & 0x10, 0x10,
	      "its refresh bit toggles");

	pit_speaker_write(&pit, 0, T0);
	program(&pit, 2, 1, 1000);
	CHECK(pit_out(&pit, 2, at(10)), "mode 1: OUT is high before the trigger");
	pit_speaker_write(&pit, 1, at(100));
	CHECK(!pit_out(&pit, 2, at(1000)), "low after it");
	pit_speaker_write(&pit, 0, at(1000));
	pit_speaker_write(&pit, 1, at(1050));
	CHECK(!pit_out(&pit, 2, at(2000)), "triggered again it starts again");
	CHECK(pit_out(&pit, 2, at(2051)), "and ends");
}

static void test_access(void)
{
	struct pit pit;

	pit_reset(&pit);
	pit_write(&pit, CONTROL, 0x10, T0);	/* channel 0, low byte only, mode 0 */
	pit_write(&pit, 0, 200, T0);
	EQUAL(pit_next_edge(&pit, 0, T0), at(200), "low byte only");
	EQUAL(pit_read(&pit, 0, at(50)), 150, "reads back as such");
	pit_write(&pit, CONTROL, 0x24, T0);	/* channel 0, high byte only, mode 2 */
	pit_write(&pit, 0, 2, T0);
	EQUAL(pit_next_edge(&pit, 0, T0), at(512), "high byte only");
	pit_write(&pit, CONTROL, 0x31, T0);	/* channel 0, both, mode 0, BCD */
	pit_write(&pit, 0, 0x34, T0);
	EQUAL(pit_next_edge(&pit, 0, T0), PIT_NEVER, "half a count does not start it");
	pit_write(&pit, 0, 0x12, T0);
	EQUAL(pit_next_edge(&pit, 0, T0), at(1234), "BCD");
	EQUAL(latched(&pit, 0, at(34)), 0x1200, "reads back in BCD");
}

static void test_read_back(void)
{
	struct pit pit;

	pit_reset(&pit);
	program(&pit, 0, 2, 1000);
	pit_write(&pit, CONTROL, 0xc2, at(100));	/* count and status, channel 0 */
	EQUAL(pit_read(&pit, 0, at(200)), 0xb4, "status first: OUT, both bytes, mode 2");
	EQUAL(pit_read(&pit, 0, at(200)), 900 & 0xff, "then the latched count");
	EQUAL(pit_read(&pit, 0, at(200)), 900 >> 8, "both bytes");
	pit_write(&pit, CONTROL, 0x30, T0);
	pit_write(&pit, CONTROL, 0xe2, T0);
	EQUAL(pit_read(&pit, 0, T0), 0x70, "null count until one is written");
	program(&pit, 0, 2, 1000);
	pit_write(&pit, CONTROL, 0x00, at(100));
	pit_write(&pit, CONTROL, 0x00, at(300));
	EQUAL(pit_read(&pit, 0, at(400)), 900 & 0xff, "the second latch is ignored");
	EQUAL(pit_read(&pit, CONTROL, T0), 0xff, "the control port reads as ones");
}

static void check_round_trip(const struct pit *pit, const char *what)
{
	struct minivmm_pit_state2 state, again;
	struct pit copy;

	pit_reset(&copy);
	pit_get_state(pit, &state);
	pit_set_state(&copy, &state);
	pit_get_state(&copy, &again);
	CHECK(!memcmp(&state, &again, sizeof(state)), what);
	for (unsigned int i = 0; i < 3; i++) {
		EQUAL(pit_next_edge(&copy, i, at(7)), pit_next_edge(pit, i, at(7)), what);
		EQUAL(pit_out(&copy, i, at(7)), pit_out(pit, i, at(7)), what);
	}
}

static void test_state(void)
{
	struct minivmm_pit_state2 state;
	struct pit pit;

	pit_reset(&pit);
	check_round_trip(&pit, "state after reset");
	program(&pit, 0, 2, 1193);
	program(&pit, 1, 0, 20);
	pit_speaker_write(&pit, 3, T0);
	program(&pit, 2, 3, 50);
	check_round_trip(&pit, "state of channels that run");
	pit_write(&pit, CONTROL, 0x00, at(3));
	pit_read(&pit, 0, at(4));
	check_round_trip(&pit, "a latch read by half");
	pit_get_state(&pit, &state);
	EQUAL(state.channels[0].count_latched, 2, "as KVM has it: the high byte is left");
	EQUAL(state.channels[0].count_load_time, T0, "and when the count was loaded");
	EQUAL(state.flags, 2, "and the speaker");
	program(&pit, 2, 0, 1000);
	pit_speaker_write(&pit, 0, at(400));
	check_round_trip(&pit, "a paused channel");
	pit_get_state(&pit, &state);
	pit_set_state(&pit, &state);
	EQUAL(latched(&pit, 2, at(5000)), 600, "which keeps its count");
	pit_write(&pit, CONTROL, 0x34, at(9));
	pit_write(&pit, 0, 0x12, at(9));
	check_round_trip(&pit, "a count written by half");

	memset(&state, 0xff, sizeof(state));
	pit_set_state(&pit, &state);
	EQUAL(pit_next_edge(&pit, 0, T0), PIT_NEVER, "nonsense becomes something possible");
	memset(&state, 0, sizeof(state));
	state.channels[0].gate = 1;
	pit_set_state(&pit, &state);
	EQUAL(pit_next_edge(&pit, 0, 0), (0x10000 * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ,
	      "a count of 0 is the longest");
}

int main(void)
{
	test_mode0();
	test_periodic();
	test_mode4();
	test_gate();
	test_access();
	test_read_back();
	test_state();
	return tap_end();
}

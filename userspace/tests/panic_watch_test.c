// SPDX-License-Identifier: GPL-2.0
/* Which console output is a panic and which is not. */
#include <string.h>

#include "panic_watch.h"
#include "tap.h"

static void feed(struct panic_watch *watch, const char *text)
{
	while (*text)
		panic_watch_byte(watch, *text++);
}

int main(void)
{
	struct panic_watch watch = { 0 };
	char noise[4 * PANIC_LINE_MAX];

	feed(&watch, "[    0.1] Kernel panic handler registered\r\n");
	CHECK(!watch.panicked, "other lines are none");
	feed(&watch, "[    0.2] ---[ end Kernel panic - not syncing: x ]---\r\n");
	CHECK(!watch.panicked && !watch.ended, "nor is an end without a start");
	memset(noise, 'x', sizeof(noise) - 1);
	noise[sizeof(noise) - 1] = 0;
	feed(&watch, noise);
	feed(&watch, "\r\n");
	feed(&watch, "[    1.0] Kernel panic - not syncing: Attempted to kill init!\r\n");
	CHECK(watch.panicked, "the first line of a panic, after one too long");
	CHECK(!watch.ended, "is not its end");
	feed(&watch, "[    1.1] CPU: 0 PID: 1 Comm: init\r\n");
	CHECK(!watch.ended, "nor is what follows");
	feed(&watch, "[    1.2] ---[ end Kernel panic - not syncing: Attempted ]---\r\n");
	CHECK(watch.ended, "the last line is");
	return tap_end();
}

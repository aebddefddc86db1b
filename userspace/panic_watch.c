// SPDX-License-Identifier: GPL-2.0
/*
 * Notices on the console that a Linux guest has panicked.
 *
 * An unmodified kernel tells a machine without a pvpanic device nothing but
 * this text. It is fed what the kernel's own console writes (polled, with the
 * transmit interrupt off), not what programs write through the tty (interrupt
 * driven), so printing an old log does not count.
 */
#include <string.h>

#include "panic_watch.h"

static void check_line(struct panic_watch *watch)
{
	watch->line[watch->len] = 0;
	if (strstr(watch->line, "---[ end Kernel panic - not syncing"))
		watch->ended = watch->panicked;
	else if (strstr(watch->line, "Kernel panic - not syncing"))
		watch->panicked = true;
}

/**
 * panic_watch_byte - look at one more byte of the kernel's console
 * @watch: what was seen so far
 * @byte: the byte
 */
void panic_watch_byte(struct panic_watch *watch, u8 byte)
{
	if (byte == '\n') {
		check_line(watch);
		watch->len = 0;
	} else if (watch->len < PANIC_LINE_MAX - 1) {
		watch->line[watch->len++] = byte;
	}
}

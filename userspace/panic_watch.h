/* SPDX-License-Identifier: GPL-2.0 */
/* Notices on the console that a Linux guest has panicked. */
#ifndef MINIVMM_PANIC_WATCH_H
#define MINIVMM_PANIC_WATCH_H

#include "base.h"

#define PANIC_LINE_MAX		160

struct panic_watch {
	char line[PANIC_LINE_MAX];
	unsigned int len;
	bool panicked;		/* the first line of a panic was seen */
	bool ended;		/* and its last: the guest spins for ever now */
};

void panic_watch_byte(struct panic_watch *watch, u8 byte);

#endif /* MINIVMM_PANIC_WATCH_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What minivmm says when something is wrong, and how it ends. */
#ifndef MINIVMM_REPORT_H
#define MINIVMM_REPORT_H

#include "base.h"

/* Exit codes; scripts rely on them: see minivmm(1). */
enum exit_code {
	EXIT_POWERED_OFF	= 0,
	EXIT_SETUP		= 1,	/* usage, files, memory */
	EXIT_DEVICE		= 2,	/* no device, or it refuses */
	EXIT_REBOOT		= 3,
	EXIT_PANIC		= 4,
	EXIT_TRIPLE_FAULT	= 5,
	EXIT_INTERNAL		= 6,	/* failed entry, internal error */
	EXIT_MOVED		= 7,	/* to another launcher, where it goes on */
};

void __printf(1, 2) warn(const char *format, ...);
void __printf(2, 3) __noreturn die(enum exit_code code, const char *format, ...);

#endif /* MINIVMM_REPORT_H */

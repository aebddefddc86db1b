/* SPDX-License-Identifier: GPL-2.0 */
/* The clock that timers run on. */
#ifndef MINIVMM_MONOTONIC_H
#define MINIVMM_MONOTONIC_H

#include <time.h>

#include "base.h"

static inline u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

#endif /* MINIVMM_MONOTONIC_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* A deterministic source of numbers: a failure can be had again by its seed. */
#ifndef MINIVMM_UNIT_RAND_H
#define MINIVMM_UNIT_RAND_H

#include <linux/types.h>

/* splitmix64: every seed is a good one, 0 too. */
static inline u64 rand64(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline unsigned int rand_below(u64 *state, unsigned int limit)
{
	return (rand64(state) >> 32) * limit >> 32;
}

/* True in about @percent of 100 calls. */
static inline bool rand_percent(u64 *state, unsigned int percent)
{
	return rand_below(state, 100) < percent;
}

#endif

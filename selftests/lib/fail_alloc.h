/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls for which there is no memory: testbed/fail_alloc.c lets the n-th
 * allocation fail that minivmm makes in this thread, for n = 1, 2, ...
 */
#ifndef SELFTESTS_FAIL_ALLOC_H
#define SELFTESTS_FAIL_ALLOC_H

#include "harness.h"

/**
 * struct call - a call that allocates memory, and its surroundings
 * @call: -1 and errno, or what the call returns
 * @undo: after it succeeded: all is as before
 * @unchanged: after it failed: asserts that nothing has changed; or NULL
 * @failures: of so many allocations at least each must make it fail; others may
 *	have something to fall back on
 * @rounds: how often to do it all for what may be lost; 0: 8
 * @slow: it is not called again after each failure, only after all of them
 * @efault: it may fail with EFAULT as well: the host had no page for the client
 */
struct call {
	int (*call)(void);
	void (*undo)(void);
	void (*unchanged)(void);
	int failures;
	int rounds;
	bool slow;
	bool efault;
};

/**
 * fail_every_allocation - of @call, one after the other, again and again
 *
 * Asserts that the call fails with ENOMEM or does all that it should, that after
 * a failure it works, and that no memory and no object is lost.  Skips the test
 * where fail_alloc cannot be had.
 */
void fail_every_allocation(const struct call *call);

/* The parts of it, for calls that are made in a process of their own */

/** fail_alloc_open - if it is not yet, or skip the test; children share it */
void fail_alloc_open(void);

/** fail_alloc_close - its module can be unloaded */
void fail_alloc_close(void);

/** fail_alloc_arm - from here on the @n-th fails, and with @all those after it */
void fail_alloc_arm(int n, bool all);

/** fail_alloc_disarm - where the first that failed was; false: none was */
bool fail_alloc_disarm(char site[256]);

#endif /* SELFTESTS_FAIL_ALLOC_H */

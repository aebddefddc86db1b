/* SPDX-License-Identifier: GPL-2.0 */
/* TAP output for unit tests: one line per check, the plan at the end. */
#ifndef MINIVMM_TESTS_TAP_H
#define MINIVMM_TESTS_TAP_H

#include <stdbool.h>
#include <stdio.h>

static unsigned int tap_checks, tap_failures;

static inline void tap_check(bool passed, const char *what, const char *file, int line)
{
	tap_checks++;
	printf("%sok %u - %s\n", passed ? "" : "not ", tap_checks, what);
	if (!passed) {
		tap_failures++;
		printf("# %s:%d\n", file, line);
	}
}

static inline void tap_equal(unsigned long long got, unsigned long long want, const char *what,
			     const char *file, int line)
{
	tap_check(got == want, what, file, line);
	if (got != want)
		printf("# got %#llx, want %#llx\n", got, want);
}

/* Return: main()'s exit code. */
static inline int tap_end(void)
{
	printf("1..%u\n", tap_checks);
	return tap_failures ? 1 : 0;
}

#define CHECK(condition, what)	tap_check(condition, what, __FILE__, __LINE__)
#define EQUAL(got, want, what)	tap_equal(got, want, what, __FILE__, __LINE__)

#endif /* MINIVMM_TESTS_TAP_H */

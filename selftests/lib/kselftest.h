/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP output and exit codes under the names that tools/testing/selftests/
 * kselftest.h uses, so that a test reads the same in either tree.
 */
#ifndef SELFTESTS_KSELFTEST_H
#define SELFTESTS_KSELFTEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define KSFT_PASS	0
#define KSFT_FAIL	1
#define KSFT_SKIP	4

extern struct ksft_count {
	unsigned int plan, pass, fail, skip;
} ksft_cnt;

/** ksft_print_header - start the TAP output; line-buffers stdout */
void ksft_print_header(void);

/** ksft_set_plan - announce how many results will follow */
void ksft_set_plan(unsigned int plan);

/** ksft_print_msg - a diagnostic line */
__attribute__((format(printf, 1, 2))) void ksft_print_msg(const char *fmt, ...);

/* One result each.  The text ends with a newline, as in the kernel's. */
__attribute__((format(printf, 1, 2))) void ksft_test_result_pass(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void ksft_test_result_fail(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void ksft_test_result_skip(const char *fmt, ...);

/** ksft_test_result - pass or fail by a condition */
__attribute__((format(printf, 2, 3)))
void ksft_test_result(bool condition, const char *fmt, ...);

/** ksft_exit_skip - the whole program cannot run here: say why, exit 4 */
__attribute__((format(printf, 1, 2))) __attribute__((noreturn))
void ksft_exit_skip(const char *fmt, ...);

/** ksft_finished - print the totals; exit 0, 1, or 4 if all were skipped */
__attribute__((noreturn)) void ksft_finished(void);

#endif /* SELFTESTS_KSELFTEST_H */

// SPDX-License-Identifier: GPL-2.0
#include "kselftest.h"

struct ksft_count ksft_cnt;

void ksft_print_header(void)
{
	/* Whole lines only: the console is shared with the kernel log. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	printf("TAP version 13\n");
}

void ksft_set_plan(unsigned int plan)
{
	ksft_cnt.plan = plan;
	printf("1..%u\n", plan);
}

static unsigned int next_number(void)
{
	return ksft_cnt.pass + ksft_cnt.fail + ksft_cnt.skip;
}

void ksft_print_msg(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	va_end(args);
}

void ksft_test_result_pass(const char *fmt, ...)
{
	va_list args;

	ksft_cnt.pass++;
	va_start(args, fmt);
	printf("ok %u ", next_number());
	vprintf(fmt, args);
	va_end(args);
}

void ksft_test_result_fail(const char *fmt, ...)
{
	va_list args;

	ksft_cnt.fail++;
	va_start(args, fmt);
	printf("not ok %u ", next_number());
	vprintf(fmt, args);
	va_end(args);
}

void ksft_test_result_skip(const char *fmt, ...)
{
	va_list args;

	ksft_cnt.skip++;
	va_start(args, fmt);
	printf("ok %u # SKIP ", next_number());
	vprintf(fmt, args);
	va_end(args);
}

void ksft_test_result(bool condition, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (condition)
		ksft_test_result_pass("%s", text);
	else
		ksft_test_result_fail("%s", text);
}

void ksft_exit_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("1..0 # SKIP ");
	vprintf(fmt, args);
	va_end(args);
	exit(KSFT_SKIP);
}

void ksft_finished(void)
{
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n",
	       ksft_cnt.pass, ksft_cnt.fail, ksft_cnt.skip);
	if (ksft_cnt.fail || next_number() != ksft_cnt.plan)
		exit(KSFT_FAIL);
	exit(ksft_cnt.pass ? KSFT_PASS : KSFT_SKIP);
}

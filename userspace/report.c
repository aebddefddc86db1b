// SPDX-License-Identifier: GPL-2.0
/* Messages on stderr: one line, led by the program's name. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "report.h"
#include "terminal.h"

static void report(const char *format, va_list args)
{
	/* A raw terminal would show the line as a staircase. */
	terminal_restore();
	fflush(stdout);
	fputs("minivmm: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

/**
 * warn - print one line on stderr
 * @format: as for printf, without a newline
 */
void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(format, args);
	va_end(args);
}

/**
 * die - print one line on stderr and end the process
 * @code: the exit code
 * @format: as for printf, without a newline
 */
void die(enum exit_code code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(format, args);
	va_end(args);
	exit(code);
}

// SPDX-License-Identifier: GPL-2.0
/* Messages on stderr: one line, led by the program's name. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"
#include "terminal.h"

static void report(const char *format, va_list args)
{
	fflush(stdout);
	fputs("minivmm: ", stderr);
	vfprintf(stderr, format, args);
	/* While it is the guest's, the terminal does not begin a line by itself. */
	fputs(terminal_is_raw() && isatty(STDERR_FILENO) ? "\r\n" : "\n", stderr);
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

	terminal_restore();
	va_start(args, format);
	report(format, args);
	va_end(args);
	exit(code);
}

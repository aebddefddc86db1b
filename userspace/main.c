// SPDX-License-Identifier: GPL-2.0
/* minivmm: run virtual machines on /dev/minivmm, or on /dev/kvm. */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "report.h"

static void print_help(void)
{
	puts("Usage: minivmm COMMAND [OPTION]...\n"
	     "Run virtual machines on /dev/minivmm, or on /dev/kvm.\n"
	     "\n"
	     "  run -k BZIMAGE         boot a Linux kernel\n"
	     "  raw FILE --mode N      run a file of 16, 32 or 64-bit machine code\n"
	     "  snapshot FILE          write the state of a running machine to a file\n"
	     "  migrate unix:SOCKET    move a running machine to another minivmm\n"
	     "  info                   say what this CPU offers, and what is missing to run\n"
	     "\n"
	     "  --help                 this text; COMMAND --help tells a command's options\n"
	     "  --version              the version");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "run", command_run },
		{ "raw", command_raw },
		{ "snapshot", command_snapshot },
		{ "migrate", command_migrate },
		{ "info", command_info },
	};
	const char *name = argc > 1 ? argv[1] : "";

	for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);

	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		print_help();
		return EXIT_POWERED_OFF;
	}
	if (!strcmp(name, "--version")) {
		puts("minivmm " MINIVMM_VERSION);
		return EXIT_POWERED_OFF;
	}
	if (*name)
		die(EXIT_SETUP, "no command \"%s\"; see `minivmm --help`", name);
	die(EXIT_SETUP, "no command given; see `minivmm --help`");
}

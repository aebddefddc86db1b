/* SPDX-License-Identifier: GPL-2.0 */
/* Options that several commands share. */
#ifndef MINIVMM_OPTIONS_H
#define MINIVMM_OPTIONS_H

#include "base.h"
#include "irqchip.h"
#include "machine.h"

#define MAX_CPUS		4096	/* what the ACPI tables have room for */
#define DEFAULT_MEMORY		(256 * MIB)

/* Of a machine, for getopt_long(), and what parse_machine_option() takes them for */
#define MACHINE_OPTIONS						\
	{ "mem", required_argument, NULL, 'm' },		\
	{ "cpus", required_argument, NULL, 'c' },		\
	{ "irqchip", required_argument, NULL, 'I' },		\
	{ "dev", required_argument, NULL, 'd' },		\
	{ "control", required_argument, NULL, 'C' },		\
	{ "migrate-to", required_argument, NULL, 'T' }

bool parse_machine_option(int option, const char *text, struct machine_options *machine,
			  u64 *memory);

int command_run(int argc, char **argv);
int command_raw(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_info(int argc, char **argv);

#endif /* MINIVMM_OPTIONS_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* Options that several commands share. */
#ifndef MINIVMM_OPTIONS_H
#define MINIVMM_OPTIONS_H

#include "base.h"
#include "irqchip.h"

#define MAX_CPUS		4096	/* what the ACPI tables have room for */
#define DEFAULT_MEMORY		(256 * MIB)

u64 parse_memory(const char *text);
unsigned int parse_cpus(const char *text);
enum irqchip_mode parse_irqchip(const char *text);

int command_run(int argc, char **argv);
int command_raw(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_info(int argc, char **argv);

#endif /* MINIVMM_OPTIONS_H */

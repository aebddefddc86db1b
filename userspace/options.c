// SPDX-License-Identifier: GPL-2.0
/* Options that several commands share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "ram.h"
#include "report.h"
#include "unix_socket.h"

#define PAGE_SIZE		4096

static u64 unit(const char *suffix)
{
	if (!*suffix || !strcasecmp(suffix, "m"))
		return MIB;
	if (!strcasecmp(suffix, "k"))
		return KIB;
	if (!strcasecmp(suffix, "g"))
		return GIB;
	return 0;
}

/* A number, of MiB unless K, M or G follows */
static u64 parse_memory(const char *text)
{
	unsigned long long n;
	u64 bytes, scale;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	scale = unit(end);
	if (*text < '0' || *text > '9' || end == text || !scale)
		die(EXIT_SETUP, "-m %s: not a size; write for example 256M or 2G", text);
	if (errno || n > RAM_MAX_SIZE / scale || n * scale < RAM_MIN_SIZE)
		die(EXIT_SETUP, "-m %s: out of range, %lluM to %lluG are possible", text,
		    RAM_MIN_SIZE / MIB, RAM_MAX_SIZE / GIB);
	bytes = n * scale;
	if (bytes % PAGE_SIZE)
		die(EXIT_SETUP, "-m %s: not a multiple of 4K", text);
	return bytes;
}

static unsigned int parse_cpus(const char *text)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end)
		die(EXIT_SETUP, "-c %s: not a number of CPUs", text);
	if (errno || n < 1 || n > MAX_CPUS)
		die(EXIT_SETUP, "-c %s: out of range, 1 to %u are possible", text, MAX_CPUS);
	return n;
}

static enum irqchip_mode parse_irqchip(const char *text)
{
	if (!strcmp(text, "kernel"))
		return IRQCHIP_KERNEL;
	if (!strcmp(text, "split"))
		return IRQCHIP_SPLIT;
	if (!strcmp(text, "user"))
		return IRQCHIP_USER;
	die(EXIT_SETUP, "--irqchip %s: kernel, split and user are possible", text);
}

/**
 * parse_machine_option - one of MACHINE_OPTIONS
 * @option: its letter
 * @text: its argument; the process ends when there is anything wrong with it
 * @machine: what it is of
 * @memory: the machine's, in bytes
 *
 * Return: false if it is another option.
 */
bool parse_machine_option(int option, const char *text, struct machine_options *machine,
			  u64 *memory)
{
	static struct unix_address control, migrate_to;

	switch (option) {
	case 'm':
		*memory = parse_memory(text);
		return true;
	case 'c':
		machine->cpus = parse_cpus(text);
		return true;
	case 'I':
		machine->irqchip = parse_irqchip(text);
		return true;
	case 'd':
		machine->device = text;
		return true;
	case 'C':
		control = parse_unix("--control", text);
		machine->control = &control;
		return true;
	case 'T':
		migrate_to = parse_unix("--migrate-to", text);
		machine->migrate_to = &migrate_to;
		return true;
	}
	return false;
}

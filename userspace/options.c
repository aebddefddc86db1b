// SPDX-License-Identifier: GPL-2.0
/* Options that several commands share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "ram.h"
#include "report.h"

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

/**
 * parse_memory - the argument of -m
 * @text: a number, of MiB unless K, M or G follows
 *
 * Return: bytes. Ends the process when there is anything wrong with it.
 */
u64 parse_memory(const char *text)
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

/**
 * parse_cpus - the argument of -c
 * @text: a number
 *
 * Return: how many CPUs. Ends the process when there is anything wrong with it.
 */
unsigned int parse_cpus(const char *text)
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

/**
 * parse_irqchip - the argument of --irqchip
 * @text: kernel, split or user
 *
 * Return: the mode. Ends the process if it is none.
 */
enum irqchip_mode parse_irqchip(const char *text)
{
	if (!strcmp(text, "kernel"))
		return IRQCHIP_KERNEL;
	if (!strcmp(text, "split"))
		return IRQCHIP_SPLIT;
	if (!strcmp(text, "user"))
		return IRQCHIP_USER;
	die(EXIT_SETUP, "--irqchip %s: kernel, split and user are possible", text);
}

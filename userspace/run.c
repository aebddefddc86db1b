// SPDX-License-Identifier: GPL-2.0
/* minivmm run: boot a Linux kernel. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "incoming.h"
#include "layout.h"
#include "linux_boot.h"
#include "machine.h"
#include "options.h"

/*
 * In front of the user's command line, where anything can be overridden: the
 * console we have, and a reset after a panic instead of spinning for ever.
 */
#define CMDLINE_PREFIX		"console=ttyS0 panic=-1"

struct run_options {
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	struct machine_options machine;
	u64 memory;
	const char *restore;
	struct unix_address *incoming;
	bool described;		/* the machine: by options that a saved one has no use for */
};

static void print_help(void)
{
	puts("Usage: minivmm run -k BZIMAGE [OPTION]...\n"
	     "       minivmm run --restore FILE [OPTION]...\n"
	     "       minivmm run --incoming SOCKET [OPTION]...\n"
	     "Boot a Linux kernel in a virtual machine, its serial console on this terminal,\n"
	     "or go on with a machine that was saved or comes from another minivmm: its memory,\n"
	     "CPUs and interrupt chips are what they were.\n"
	     "\n"
	     "  -k, --kernel BZIMAGE   the kernel, as distributions ship it\n"
	     "  -i, --initrd FILE      its initial RAM disk\n"
	     "  -p, --params TEXT      its command line, put after \"" CMDLINE_PREFIX "\"\n"
	     "  -m, --mem SIZE         its memory, in MiB or with K, M or G (default 256M)\n"
	     "  -c, --cpus N           its CPUs (default 1)\n"
	     "      --irqchip WHERE    its interrupt chips: in the kernel (default, where the\n"
	     "                         device has them), split (only the local APICs there) or user\n"
	     "      --restore FILE     go on from what `minivmm snapshot` wrote\n"
	     "      --incoming SOCKET  wait there for a guest that is migrated, and go on with it\n"
	     "      --dev DEVICE       the device (" VM_DEFAULT_DEVICE "; /dev/kvm works too)\n"
	     "      --control SOCKET   listen there for `minivmm snapshot` and `minivmm migrate`\n"
	     "      --migrate-to SOCKET  on SIGUSR1, move the guest to who listens there\n"
	     "  -h, --help             this text\n"
	     "\n"
	     "A SOCKET is unix:PATH.\n"
	     "At a terminal, Ctrl-A x ends the machine and Ctrl-A Ctrl-A types a Ctrl-A.\n"
	     "Exit codes: 0 powered off or halted, 1 wrong usage or file, 2 device missing or\n"
	     "refusing, 3 reboot requested, 4 guest panicked, 5 triple fault, 6 internal error,\n"
	     "7 the guest has moved.");
}

static void parse_options(struct run_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "params", required_argument, NULL, 'p' },
		MACHINE_OPTIONS,
		{ "restore", required_argument, NULL, 'R' },
		{ "incoming", required_argument, NULL, 'N' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	static struct unix_address incoming;
	int c;

	while ((c = getopt_long(argc, argv, "k:i:p:m:c:h", options, NULL)) != -1) {
		o->described |= !!strchr("kipmcI", c);
		if (parse_machine_option(c, optarg, &o->machine, &o->memory))
			continue;
		switch (c) {
		case 'k':
			o->kernel = optarg;
			break;
		case 'i':
			o->initrd = optarg;
			break;
		case 'p':
			o->cmdline = optarg;
			break;
		case 'R':
			o->restore = optarg;
			break;
		case 'N':
			incoming = parse_unix("--incoming", optarg);
			o->incoming = &incoming;
			break;
		case 'h':
			print_help();
			exit(EXIT_POWERED_OFF);
		default:
			die(EXIT_SETUP, "see `minivmm run --help`");
		}
	}
	if (optind != argc)
		die(EXIT_SETUP, "run takes no argument \"%s\"; see `minivmm run --help`",
		    argv[optind]);
	if (o->restore && o->incoming)
		die(EXIT_SETUP, "--restore and --incoming: one of them is possible");
	if (!o->restore && !o->incoming && !o->kernel)
		die(EXIT_SETUP, "run needs a kernel: -k BZIMAGE");
	if ((o->restore || o->incoming) && o->described)
		die(EXIT_SETUP, "-k, -i, -p, -m, -c and --irqchip are for a new machine");
}

static char *command_line(const char *user)
{
	char *line;

	if (asprintf(&line, "%s%s%s", CMDLINE_PREFIX, user ? " " : "", user ?: "") < 0)
		die(EXIT_SETUP, "out of memory");
	return line;
}

/* What became of the guest, for the cases that its console does not tell. */
static void report_end(struct machine *m, enum exit_code code)
{
	switch (code) {
	case EXIT_REBOOT:
		warn("the guest asked for a reboot");
		break;
	case EXIT_PANIC:
		warn("the guest's kernel panicked");
		break;
	case EXIT_TRIPLE_FAULT:
	case EXIT_INTERNAL:
		vcpu_explain(m->ended_by, code);
		vcpu_dump(m->ended_by);
		break;
	case EXIT_MOVED:
		warn("the guest has moved");
		break;
	default:
		break;
	}
}

static void boot(struct machine *m, const struct run_options *o)
{
	struct linux_image image;
	u64 entry;

	linux_open(&image, o->kernel, o->initrd, command_line(o->cmdline));
	ram_create(&m->ram, o->memory);
	entry = linux_load(&image, &m->ram);

	machine_build(m, &o->machine);
	acpi_tables_write(&m->ram, m->nr_vcpus);
	vcpu_setup_long(&m->vcpus[0], &m->ram, entry, LAYOUT_ZERO_PAGE);
}

static void go_on(struct machine *m, struct run_options *o)
{
	struct incoming incoming;

	if (o->restore)
		incoming_open_file(&incoming, o->restore);
	else
		incoming_accept(&incoming, o->incoming);
	incoming_build(&incoming, m, &o->machine);
}

/**
 * command_run - minivmm run
 * @argc: as main() got it, from the command's name on
 * @argv: the same
 *
 * Return: the exit code.
 */
int command_run(int argc, char **argv)
{
	struct run_options o = {
		.machine = { .device = VM_DEFAULT_DEVICE, .cpus = 1, .irqchip = IRQCHIP_AUTO },
		.memory = DEFAULT_MEMORY,
	};
	static struct machine machine;
	enum exit_code code;

	parse_options(&o, argc, argv);
	if (o.kernel)
		boot(&machine, &o);
	else
		go_on(&machine, &o);
	code = machine_run(&machine);
	report_end(&machine, code);
	return code;
}

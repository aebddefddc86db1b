// SPDX-License-Identifier: GPL-2.0
/* minivmm raw: run a tiny guest, a file of plain machine code. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "file.h"
#include "machine.h"
#include "options.h"

struct raw_options {
	const char *file;
	struct machine_options machine;
	int mode;
	u64 memory;
};

static void print_help(void)
{
	puts("Usage: minivmm raw FILE --mode 16|32|64 [OPTION]...\n"
	     "Run a file of machine code in a virtual machine, its serial port on this terminal.\n"
	     "\n"
	     "      --mode 16          real mode, loaded at 0000:7c00 like a boot sector\n"
	     "      --mode 32          flat protected mode, loaded at 1 MiB\n"
	     "      --mode 64          64-bit mode, 4 GiB identity mapped, loaded at 1 MiB\n"
	     "  -m, --mem SIZE         its memory, in MiB or with K, M or G (default 256M)\n"
	     "  -c, --cpus N           its CPUs (default 1)\n"
	     "      --irqchip WHERE    its interrupt chips: kernel, split or user (the default)\n"
	     "      --dev DEVICE       the device (" VM_DEFAULT_DEVICE "; /dev/kvm works too)\n"
	     "      --control SOCKET   listen there for `minivmm snapshot` and `minivmm migrate`\n"
	     "      --migrate-to SOCKET  on SIGUSR1, move the guest to who listens there\n"
	     "  -h, --help             this text\n"
	     "\n"
	     "A SOCKET is unix:PATH.\n"
	     "The guest starts with interrupts off and the stack below its first byte, on the\n"
	     "first CPU. It ends with HLT, or by ACPI where the kernel has the interrupt chips;\n"
	     "then its registers are printed on stderr and the exit code is 0. The other exit\n"
	     "codes are those of `minivmm run`.");
}

static int parse_mode(const char *text)
{
	if (!strcmp(text, "16"))
		return 16;
	if (!strcmp(text, "32"))
		return 32;
	if (!strcmp(text, "64"))
		return 64;
	die(EXIT_SETUP, "--mode %s: 16, 32 and 64 are possible", text);
}

static void parse_options(struct raw_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'M' },
		MACHINE_OPTIONS,
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "m:c:h", options, NULL)) != -1) {
		if (parse_machine_option(c, optarg, &o->machine, &o->memory))
			continue;
		switch (c) {
		case 'M':
			o->mode = parse_mode(optarg);
			break;
		case 'h':
			print_help();
			exit(EXIT_POWERED_OFF);
		default:
			die(EXIT_SETUP, "see `minivmm raw --help`");
		}
	}
	if (optind != argc - 1 || !o->mode)
		die(EXIT_SETUP, "raw needs one file and --mode 16, 32 or 64");
	o->file = argv[optind];
}

static u64 load(const struct raw_options *o, struct ram *ram)
{
	u64 entry = o->mode == 16 ? LAYOUT_BOOT_SECTOR : LAYOUT_RAW;
	struct file file;
	void *place;

	file_open(&file, o->file, "guest");
	place = ram_ptr(ram, entry, file.size);
	if (!place)
		die(EXIT_SETUP, "%s: %llu KiB do not fit in memory at %#llx", o->file,
		    (file.size + KIB - 1) / KIB, entry);
	memcpy(place, file.data, file.size);
	return entry;
}

static void setup(struct machine *m, int mode, u64 entry)
{
	if (mode == 16)
		vcpu_setup_real(&m->vcpus[0], entry);
	else if (mode == 32)
		vcpu_setup_protected(&m->vcpus[0], entry);
	else
		vcpu_setup_long(&m->vcpus[0], &m->ram, entry, 0);
}

/**
 * command_raw - minivmm raw
 * @argc: as main() got it, from the command's name on
 * @argv: the same
 *
 * Return: the exit code.
 */
int command_raw(int argc, char **argv)
{
	struct raw_options o = {
		.machine = { .device = VM_DEFAULT_DEVICE, .cpus = 1, .irqchip = IRQCHIP_USER },
		.memory = DEFAULT_MEMORY,
	};
	static struct machine machine;
	enum exit_code code;
	u64 entry;

	parse_options(&o, argc, argv);
	ram_create(&machine.ram, o.memory);
	entry = load(&o, &machine.ram);

	machine_build(&machine, &o.machine);
	setup(&machine, o.mode, entry);
	code = machine_run(&machine);
	if (code == EXIT_TRIPLE_FAULT || code == EXIT_INTERNAL)
		vcpu_explain(machine.ended_by, code);
	if (code == EXIT_MOVED)
		warn("the guest has moved");
	else
		vcpu_dump(machine.ended_by);
	return code;
}

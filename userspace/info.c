// SPDX-License-Identifier: GPL-2.0
/*
 * minivmm info: what this CPU offers, and if minivmm cannot run, why not and
 * what to do. Reads files only, but for one open of /dev/minivmm.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "vm.h"

#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCKED	BIT_ULL(0)
#define FEATURE_CONTROL_VMX	BIT_ULL(2)	/* outside SMX */
#define MSR_VMX_BASIC		0x480
#define MSR_VMX_EPT_VPID_CAP	0x48c
#define EPT_CAP_WALK_4		BIT_ULL(6)
#define EPT_CAP_WB		BIT_ULL(14)

/* The lines of /proc/cpuinfo that matter, without "name : ". */
struct cpu {
	char vendor[64];
	char model[128];
	char flags[8192];
	char vmx_flags[1024];
};

static unsigned int problems;

static void __printf(2, 3) problem(const char *advice, const char *format, ...)
{
	va_list args;

	fputs("problem   ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n          -> %s\n", advice);
	problems++;
}

/* A space-separated list, as /proc/cpuinfo has them. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p = list;

	while ((p = strstr(p, word))) {
		if ((p == list || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
		p += len;
	}
	return false;
}

static void take_field(const char *line, const char *name, char *field, size_t size)
{
	size_t len = strlen(name);
	const char *value = strchr(line, ':');

	if (*field || strncmp(line, name, len) || !strchr("\t :", line[len]) || !value)
		return;
	value += strspn(value, ": \t");
	snprintf(field, size, "%.*s", (int)strcspn(value, "\n"), value);
}

static void read_cpuinfo(struct cpu *cpu)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		die(EXIT_SETUP, "/proc/cpuinfo: %s", strerror(errno));
	while (getline(&line, &size, f) > 0) {
		take_field(line, "vendor_id", cpu->vendor, sizeof(cpu->vendor));
		take_field(line, "model name", cpu->model, sizeof(cpu->model));
		take_field(line, "flags", cpu->flags, sizeof(cpu->flags));
		take_field(line, "vmx flags", cpu->vmx_flags, sizeof(cpu->vmx_flags));
	}
	free(line);
	fclose(f);
}

static bool read_msr(u32 index, u64 *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = pread(fd, value, sizeof(*value), index) == sizeof(*value);
	close(fd);
	return ok;
}

static bool firmware_refuses(u64 feature_control)
{
	return (feature_control & FEATURE_CONTROL_LOCKED) &&
	       !(feature_control & FEATURE_CONTROL_VMX);
}

static void check_vmx(const struct cpu *cpu)
{
	u64 control;

	if (has_word(cpu->flags, "vmx"))
		return;
	if (has_word(cpu->flags, "svm"))
		problem("use a machine with an Intel CPU",
			"AMD's SVM is not supported, only Intel's VMX");
	else if (strcmp(cpu->vendor, "GenuineIntel"))
		problem("use a machine with an Intel CPU",
			"this is not an Intel CPU, so it has no VMX");
	else if (has_word(cpu->flags, "hypervisor"))
		problem("turn on nested virtualisation for this VM in the hypervisor below",
			"this is a virtual machine whose CPU offers no VMX");
	else if (read_msr(MSR_FEATURE_CONTROL, &control) && firmware_refuses(control))
		problem("turn on \"Intel Virtualization Technology\" in the firmware's setup",
			"the firmware has turned VMX off and locked it");
	else
		problem("turn on \"Intel Virtualization Technology\" in the firmware's setup",
			"VMX is off, or the CPU has none");
}

static void check_requirements(const struct cpu *cpu)
{
	u64 ept;

	if (!has_word(cpu->flags, "vmx"))
		return;
	/* Kernels before 5.9 do not print the line; the module will say. */
	if (*cpu->vmx_flags && !has_word(cpu->vmx_flags, "ept"))
		problem("use a machine with a newer CPU",
			"VMX without EPT, its second-level page tables");
	if (*cpu->vmx_flags && !has_word(cpu->vmx_flags, "unrestricted_guest"))
		problem("use a machine with a newer CPU",
			"VMX without unrestricted guest");
	if (read_msr(MSR_VMX_EPT_VPID_CAP, &ept) &&
	    (ept & (EPT_CAP_WALK_4 | EPT_CAP_WB)) != (EPT_CAP_WALK_4 | EPT_CAP_WB))
		problem("use a machine with a newer CPU",
			"EPT without 4-level tables or write-back memory (%#llx)", ept);
	if (has_word(cpu->flags, "fred"))
		problem("boot the host with fred=off",
			"the host kernel uses FRED, which minivmm does not support yet");
}

static bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

static bool locked_down(void)
{
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "";

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	/* The mode in force is in brackets. */
	return line[0] && !strstr(line, "[none]");
}

static void check_modules(void)
{
	bool core = module_loaded("minivmm");
	bool intel = module_loaded("minivmm_intel");

	printf("modules   minivmm %s, minivmm-intel %s, kvm_intel %s\n",
	       core ? "loaded" : "not loaded", intel ? "loaded" : "not loaded",
	       module_loaded("kvm_intel") ? "loaded" : "not loaded");
	if (core && intel)
		return;
	if (locked_down())
		problem("sign the modules (mokutil), or turn Secure Boot off",
			"Secure Boot has locked the kernel down: it refuses unsigned modules");
	problem("insmod minivmm.ko, then minivmm-intel.ko; dmesg says why if that fails",
		"the module %s is not loaded", core ? "minivmm-intel" : "minivmm");
}

static void create_vm(int device)
{
	int vm = ioctl(device, MINIVMM_CREATE_VM, 0);

	if (vm >= 0)
		close(vm);
	else if (errno == EBUSY)
		problem("modprobe -r kvm_intel, or boot with kvm.enable_virt_at_load=0",
			"another hypervisor owns VMX");
	else
		problem("dmesg may say why", "%s does not create a VM: %s", VM_DEFAULT_DEVICE,
			strerror(errno));
}

static void check_device(void)
{
	int fd = open(VM_DEFAULT_DEVICE, O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0) {
		printf("device    %s: %s\n", VM_DEFAULT_DEVICE, strerror(errno));
		if (errno == EACCES || errno == EPERM)
			problem("run as root, or give your user access to the device",
				"no permission to open %s", VM_DEFAULT_DEVICE);
		else if (module_loaded("minivmm_intel"))
			problem("dmesg may say why",
				"the modules are there, but %s cannot be opened",
				VM_DEFAULT_DEVICE);
		return;
	}
	version = ioctl(fd, MINIVMM_GET_API_VERSION, 0);
	printf("device    %s, API version %d\n", VM_DEFAULT_DEVICE, version);
	if (version != MINIVMM_API_VERSION)
		problem("use the modules and the launcher of one build",
			"the API version is not %d", MINIVMM_API_VERSION);
	else
		create_vm(fd);
	close(fd);
}

static void print_cpu(const struct cpu *cpu)
{
	u64 basic;

	printf("cpu       %s\n", *cpu->model ? cpu->model : "unknown");
	printf("vmx       %s\n", has_word(cpu->flags, "vmx") ? "yes" : "no");
	if (*cpu->vmx_flags)
		printf("offers    %s\n", cpu->vmx_flags);
	if (read_msr(MSR_VMX_BASIC, &basic))
		printf("vmcs      revision %#llx, %llu bytes\n", basic & 0x7fffffff,
		       basic >> 32 & 0x1fff);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c = getopt_long(argc, argv, "h", options, NULL);

	if (c == 'h') {
		puts("Usage: minivmm info\n"
		     "Say what this CPU offers for virtual machines and, if minivmm cannot run here,\n"
		     "why not and what to do. Exit codes: 0 it can run, 2 it cannot.");
		exit(EXIT_POWERED_OFF);
	}
	if (c != -1 || optind != argc)
		die(EXIT_SETUP, "info takes no arguments; see `minivmm info --help`");
}

/**
 * command_info - minivmm info
 * @argc: as main() got it, from the command's name on
 * @argv: the same
 *
 * Return: the exit code.
 */
int command_info(int argc, char **argv)
{
	static struct cpu cpu;

	parse_options(argc, argv);
	read_cpuinfo(&cpu);
	print_cpu(&cpu);
	check_vmx(&cpu);
	check_requirements(&cpu);
	check_modules();
	check_device();
	puts(problems ? "result    minivmm cannot run here yet" : "result    minivmm can run here");
	return problems ? EXIT_DEVICE : EXIT_POWERED_OFF;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * diff_exec - the same random guest programs on stock KVM and on minivmm.
 *
 *	--seed N	the first program (1)
 *	--count N	programs for each mode (400)
 *	--mode NAME	one mode only: real16 vm86 prot16 prot32 paged32 pae32
 *			compat32 long64
 *	--dump		show each program and what it did
 *	--dev, --kvm PATH	the two devices
 *
 * A program goes to minivmm first: one that spins is stopped there, and is then
 * kept from stock KVM, which in Bochs could not stop it. The two never have a
 * VM at the same time, since stock KVM owns VT-x while it has one; so programs
 * run in batches.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff/diff.h"
#include "lib/kselftest.h"

#define BATCH		500
#define SHOWN		4	/* differences shown for a mode */

static const char *kvm_path = "/dev/kvm", *our_path = "/dev/minivmm";
static struct minivmm_cpuid2 *cpuid;
static bool dump;

void die(const char *fmt, ...)
{
	va_list args;

	printf("Bail out! diff_exec: ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(KSFT_FAIL);
}

static struct program programs[BATCH];
static struct record ours[BATCH], kvms[BATCH];

struct tally {
	unsigned int run, spun, explained, carried, different;
};

/* ---- one difference ------------------------------------------------------------ */

static void run_one(const char *path, const struct program *p,
		    struct record *rec)
{
	struct device *dev = device_open(path, cpuid);

	device_run(dev, p, rec);
	device_close(dev);
}

static bool still_differs(const struct program *p, struct record *kvm,
			  struct record *our)
{
	const char *why;

	run_one(our_path, p, our);
	if (our->stop == STOP_SPUN)
		return false;
	run_one(kvm_path, p, kvm);
	return compare(p, kvm, our, &why) && !why;
}

/* The first event that differs, or how it ended: what kind of difference */
static u32 kind(const struct record *kvm, const struct record *our)
{
	u32 i = 0;

	while (i < kvm->nr && i < our->nr &&
	       !memcmp(&kvm->ev[i], &our->ev[i], sizeof(kvm->ev[i])))
		i++;
	if (i == kvm->nr || i == our->nr)
		return kvm->stop << 8 | our->stop;
	return kvm->ev[i].type << 24 | kvm->ev[i].size << 16 |
	       our->ev[i].type << 8 | our->ev[i].size;
}

/* Makes NOPs of the instructions that the difference does not need. */
static void shrink(struct program *p, struct record *kvm, struct record *our)
{
	struct program smaller = *p;
	struct record a, b;
	int i;

	for (i = p->nr - 1; i >= -1; i--) {
		smaller = *p;
		if (i >= 0)
			memset(smaller.code + smaller.start[i], 0x90,
			       smaller.start[i + 1] - smaller.start[i]);
		else
			smaller.inject = INJECT_NONE;
		if (!still_differs(&smaller, &a, &b) ||
		    kind(&a, &b) != kind(kvm, our))
			continue;
		*p = smaller;
		*kvm = a;
		*our = b;
	}
}

/*
 * Alone, on fresh VMs: stock KVM carries some state from one program to the
 * next that no call can set, such as a pending single step. False if that was it.
 */
static bool show(struct program *p, bool print)
{
	struct record kvm, our;
	const char *why;

	if (!still_differs(p, &kvm, &our))
		return false;
	if (!print)
		return true;
	shrink(p, &kvm, &our);
	printf("# first difference: %s\n", compare(p, &kvm, &our, &why));
	print_program(p);
	print_records(&kvm, &our);
	return true;
}

/* ---- differences that are explained ------------------------------------------ */

static struct {
	const char *why;
	unsigned int count;
} reasons[16];

static void count_reason(const char *why)
{
	unsigned int i = 0;

	while (reasons[i].why && reasons[i].why != why)
		i++;
	if (i == ARRAY_SIZE(reasons) - 1)
		die("too many reasons");
	reasons[i].why = why;
	reasons[i].count++;
}

static void print_reasons(void)
{
	unsigned int i;

	for (i = 0; reasons[i].why; i++)
		printf("# explained %u times: %s\n", reasons[i].count,
		       reasons[i].why);
}

/* ---- many programs --------------------------------------------------------------- */

static void run_batch(enum diff_mode mode, u64 seed, u32 n, struct tally *t)
{
	struct device *dev = device_open(our_path, cpuid);
	const char *why;
	u32 i;

	for (i = 0; i < n; i++) {
		generate(&programs[i], mode, seed + i);
		device_run(dev, &programs[i], &ours[i]);
	}
	device_close(dev);
	dev = device_open(kvm_path, cpuid);
	for (i = 0; i < n; i++)
		if (ours[i].stop != STOP_SPUN)
			device_run(dev, &programs[i], &kvms[i]);
	device_close(dev);

	for (i = 0; i < n; i++) {
		if (ours[i].stop == STOP_SPUN) {
			t->spun++;
			continue;
		}
		t->run++;
		if (dump) {
			print_program(&programs[i]);
			print_records(&kvms[i], &ours[i]);
		}
		if (!compare(&programs[i], &kvms[i], &ours[i], &why))
			continue;
		if (why) {
			t->explained++;
			count_reason(why);
		} else if (show(&programs[i], t->different < SHOWN)) {
			t->different++;
		} else {
			t->carried++;
		}
	}
}

static void run_mode(enum diff_mode mode, u64 seed, u32 count)
{
	struct tally t = { 0 };
	u32 n;

	for (; count; count -= n, seed += n) {
		n = count < BATCH ? count : BATCH;
		run_batch(mode, seed, n, &t);
	}
	printf("# %s: %u programs, %u differ, %u explained, %u not when alone, %u spun\n",
	       mode_names[mode], t.run, t.different, t.explained, t.carried,
	       t.spun);
	ksft_test_result(t.run && !t.different, "%s\n", mode_names[mode]);
}

static int mode_number(const char *name)
{
	int i;

	for (i = 0; i < NR_MODES; i++)
		if (!strcmp(name, mode_names[i]))
			return i;
	die("no mode %s", name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "mode", required_argument, NULL, 'm' },
		{ "dev", required_argument, NULL, 'd' },
		{ "kvm", required_argument, NULL, 'k' },
		{ "dump", no_argument, NULL, 'u' },
		{ }
	};
	int option, mode, only = -1;
	u32 count = 400;
	u64 seed = 1;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			count = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			only = mode_number(optarg);
			break;
		case 'd':
			our_path = optarg;
			break;
		case 'k':
			kvm_path = optarg;
			break;
		case 'u':
			dump = true;
			break;
		default:
			return 2;
		}
	}
	ksft_print_header();
	if (access(kvm_path, R_OK | W_OK))
		ksft_exit_skip("no %s to compare with\n", kvm_path);
	ksft_set_plan(only < 0 ? NR_MODES : 1);
	cpuid = device_cpuid(our_path);
	for (mode = 0; mode < NR_MODES; mode++)
		if (only < 0 || only == mode)
			run_mode(mode, seed, count);
	print_reasons();
	ksft_finished();
}

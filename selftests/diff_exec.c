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
 *
 * After a difference that is explained all else may differ. So the program runs
 * again, in the next batch, without the instruction or the event that made the
 * difference, until it agrees to its end.
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

static struct program programs[BATCH], again[BATCH];
static struct record ours[BATCH], kvms[BATCH];
static u32 nr_again;

/**
 * struct tally - what became of the programs of a mode
 * @run: of both devices
 * @spun: of ours alone
 * @explained: that had an explained difference
 * @to_end: of these, that agreed to their end without its cause
 * @carried: that differed, but do not on fresh VMs, where ours does the same
 * @different: without an explanation
 */
struct tally {
	u32 run, spun, explained, to_end, carried, different;
};

static struct tally tallies[NR_MODES];
static u32 explained_by[NR_RULES];

/* The programs still to be made */
struct series {
	int mode, last;
	u64 seed;
	u32 done, count;
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
	struct difference d;

	run_one(our_path, p, our);
	if (our->stop == STOP_SPUN)
		return false;
	run_one(kvm_path, p, kvm);
	return compare(p, kvm, our, &d) && !explain(&d);
}

/* The first event that differs, or how it ended */
static u32 kind(const struct program *p, const struct record *kvm,
		const struct record *our)
{
	struct difference d;

	compare(p, kvm, our, &d);
	if (!d.k || !d.o)
		return kvm->stop << 8 | our->stop;
	return d.k->type << 24 | d.k->size << 16 | d.o->type << 8 | d.o->size;
}

/* Makes NOPs of the instructions that the difference does not need. */
static void shrink(struct program *p, struct record *kvm, struct record *our)
{
	u32 wanted = kind(p, kvm, our);
	static struct record a, b;
	struct program smaller;
	int i;

	for (i = p->nr - 1; i >= -1; i--) {
		smaller = *p;
		if (i >= 0 && !drop_insn(&smaller, i))
			continue;
		if (i < 0)
			smaller.inject = INJECT_NONE;
		if (!still_differs(&smaller, &a, &b) ||
		    kind(&smaller, &a, &b) != wanted)
			continue;
		*p = smaller;
		*kvm = a;
		*our = b;
	}
}

/*
 * Alone, on fresh VMs: stock KVM carries some state from one program to the
 * next that no call can set, such as a pending single step. False if that was
 * it; we carry none: @before is what ours did among others.
 */
static bool show(struct program *p, const struct record *before, bool print)
{
	static struct record kvm, our;
	struct difference d;

	if (!still_differs(p, &kvm, &our)) {
		if (!compare(p, before, &our, &d))
			return false;
		printf("# minivmm does not do the same on a fresh VM (called kvm): %s\n",
		       d.what);
		print_program(p);
		print_records(&our, before);
		return true;
	}
	if (!print)
		return true;
	shrink(p, &kvm, &our);
	compare(p, &kvm, &our, &d);
	printf("# first difference: %s\n", d.what);
	print_program(p);
	print_records(&kvm, &our);
	return true;
}

/* ---- many programs --------------------------------------------------------------- */

static void judge(u32 i)
{
	struct program *p = &programs[i];
	struct tally *t = &tallies[p->mode];
	const struct rule *rule;
	struct difference d;

	if (ours[i].stop == STOP_SPUN) {
		t->spun += !p->changes;
		return;
	}
	t->run += !p->changes;
	if (dump) {
		print_program(p);
		print_records(&kvms[i], &ours[i]);
	}
	if (!compare(p, &kvms[i], &ours[i], &d)) {
		t->to_end += p->changes > 0;
		return;
	}
	rule = explain(&d);
	if (rule) {
		explained_by[rule - rules]++;
		t->explained += !p->changes;
		if (drop_cause(&d, rule, &again[nr_again]))
			nr_again++;
		else
			t->to_end += rule->remedy == NO_REST;
	} else if (show(p, &ours[i], t->different < SHOWN)) {
		t->different++;
	} else {
		t->carried++;
	}
}

/* Those that run again, then new ones. Returns how many. */
static u32 next_batch(struct series *s)
{
	u32 n = nr_again;

	memcpy(programs, again, n * sizeof(again[0]));
	nr_again = 0;
	for (; n < BATCH && s->mode <= s->last; n++) {
		generate(&programs[n], s->mode, s->seed + s->done++);
		if (s->done == s->count) {
			s->mode++;
			s->done = 0;
		}
	}
	return n;
}

static void run_series(struct series *s)
{
	struct device *dev;
	u32 n, i;

	for (n = next_batch(s); n; n = next_batch(s)) {
		dev = device_open(our_path, cpuid);
		for (i = 0; i < n; i++)
			device_run(dev, &programs[i], &ours[i]);
		device_close(dev);
		dev = device_open(kvm_path, cpuid);
		for (i = 0; i < n; i++)
			if (ours[i].stop != STOP_SPUN)
				device_run(dev, &programs[i], &kvms[i]);
		device_close(dev);
		for (i = 0; i < n; i++)
			judge(i);
	}
}

static void print_results(int first, int last)
{
	struct tally *t;
	int i;

	for (i = 0; i < NR_RULES; i++)
		if (explained_by[i])
			printf("# explained %u times: %s\n", explained_by[i],
			       rules[i].why);
	for (i = first; i <= last; i++) {
		t = &tallies[i];
		printf("# %s: %u programs, %u differ, %u explained (%u agree without that), ",
		       mode_names[i], t->run, t->different, t->explained,
		       t->to_end);
		printf("%u not when alone, %u spun\n", t->carried, t->spun);
		ksft_test_result(t->run && !t->different, "%s\n",
				 mode_names[i]);
	}
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
	struct series s = { 0, NR_MODES - 1, .seed = 1, .count = 400 };
	int option, first;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			s.seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			s.count = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			s.mode = mode_number(optarg);
			s.last = s.mode;
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
	if (!s.count)
		return 2;
	first = s.mode;
	ksft_set_plan(s.last - first + 1);
	cpuid = device_cpuid(our_path);
	run_series(&s);
	print_results(first, s.last);
	ksft_finished();
}

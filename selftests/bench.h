/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of bench share: a row, what measuring it gives. */
#ifndef SELFTESTS_BENCH_H
#define SELFTESTS_BENCH_H

#include "vm.h"

/* minivmm's own counters: see bench.c for their names */
#define NR_COUNTERS	3

/**
 * struct sample - what a measurement gives: so many operations took that much
 * @ops: number of operations
 * @ticks: instructions, by the time-stamp counter, for all of them
 * @gaps: how often the guest that was interrupted found time missing
 * @counts: minivmm's own counters, for all of them, in a run that counts
 *
 * A difference of two measurements can be below zero, if something hit the one
 * that is subtracted.
 */
struct sample {
	u64 ops;
	s64 ticks;
	u64 gaps;
	s64 counts[NR_COUNTERS];
};

#define MAX_CAPS	4

/**
 * struct op - one row
 * @measure: measures it on dev_path()
 * @caps: what the device must offer, by CAP()
 * @cpus: the host's CPUs that it takes at least
 * @shows_gaps: print struct sample's gaps
 * @in_bytes: the row is about the kernel's memory: ticks are bytes
 * @guest: for measure_loop() and its like: the guest in assembly,
 * @exit_reason: what the guest leaves with,
 * @ops_per_run: operations until it does,
 * @runs: how often it runs,
 * @loop_insns: the guest's own instructions per operation, not part of it
 * @guest_fn: for the rows with a guest in C: its function,
 * @partner_fn: that of the second vCPU,
 * @reset: called before each run,
 * @counts_irqs: each operation is an interrupt, which its handler counts
 * @vcpus: the VM's vCPUs, if the row is about their number,
 * @flags, @len: of the ioeventfd, if the row is about one; for the rows about
 *	memory: huge pages, and a distance, see there
 */
struct op {
	const char *name;
	struct sample (*measure)(const struct op *op);
	u32 caps[MAX_CAPS];
	u32 cpus;
	bool shows_gaps;
	bool in_bytes;
	const struct blob *guest;
	u32 exit_reason;
	u32 ops_per_run;
	u32 runs;
	u32 loop_insns;
	void *guest_fn;
	void *partner_fn;
	void (*reset)(struct vcpu *vcpu);
	bool counts_irqs;
	u32 vcpus;
	u32 flags;
	u32 len;
};

/* An element of struct op's caps: 0, which is MINIVMM_CAP_IRQCHIP, ends them. */
#define CAP(name)	(MINIVMM_CAP_##name + 1)

/**
 * begin, end - around what is measured; what several pairs enclose adds up
 *
 * The other way round, end() before begin(), they subtract what they enclose.
 */
void begin(struct sample *sample);
void end(struct sample *sample);

/** run_to - MINIVMM_RUN; it must stop with this exit reason */
void run_to(struct vcpu *vcpu, u32 reason);

extern const struct op apic_ops[], eventfd_ops[], memory_ops[], host_ops[];
extern const u32 nr_apic_ops, nr_eventfd_ops, nr_memory_ops, nr_host_ops;

/**
 * growth_point - a point of a curve of bench --growth
 *
 * op->len is where it is: MiB or slots; op->measure is NULL behind the last.
 * Returns false behind the last curve.
 */
bool growth_point(u32 curve, u32 point, struct op *op);

#endif /* SELFTESTS_BENCH_H */

// SPDX-License-Identifier: GPL-2.0
/* VMs, vCPUs and partners for bench's rows of interrupts; see bench_irq.h. */
#define _GNU_SOURCE
#include <sched.h>

#include "bench_irq.h"

#define APIC_BASE_EXTD		(1U << 10)	/* x2APIC mode */
#define APIC_BASE_ENABLE	(1U << 11)
#define SVR_ENABLE		(1U << 8)

#define CPUID_X2APIC		(1U << 21)
#define CPUID_TSC_DEADLINE	(1U << 24)

/* Longer than a handler takes, shorter than any VM exit */
#define GAP_TICKS	150

extern const char bench_irq_handler[], bench_reply_handler[];

volatile u32 guest_irqs, guest_replies, guest_gaps;
volatile u32 guest_receiving, guest_seen, guest_stop;

/* ------------------------------------------------------------------------ */

/* SDM volume 3, 6.14.1: a present 64-bit interrupt gate */
static void set_gate(struct vm *vm, int vector, const void *handler)
{
	u64 *gate = (u64 *)vm_gpa(vm, IDT_GPA) + 2 * vector;
	u64 target = (uintptr_t)handler;

	gate[0] = (target & 0xffff) | (u64)SEL_CODE64 << 16 | 0x8eULL << 40 |
		  (target >> 16 & 0xffff) << 48;
	gate[1] = target >> 32;
}

struct vm *irq_vm(void)
{
	struct vm *vm = vm_create();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
	vm_load_image(vm);
	set_gate(vm, IRQ_VECTOR, bench_irq_handler);
	set_gate(vm, REPLY_VECTOR, bench_reply_handler);
	return vm;
}

/* The device's own, which supported_cpuid() asks of the first device only */
static void set_cpuid(struct vm *vm, int fd)
{
	static struct {
		struct minivmm_cpuid2 header;
		struct minivmm_cpuid_entry2 entries[256];
	} cpuid;
	struct minivmm_cpuid_entry2 *entry;

	cpuid.header.nent = ARRAY_SIZE(cpuid.entries);
	ASSERT_OK(ioctl(vm->dev_fd, MINIVMM_GET_SUPPORTED_CPUID, &cpuid));
	entry = cpuid_entry(&cpuid.header, 1, 0);
	ASSERT(entry);
	entry->ecx |= CPUID_X2APIC | CPUID_TSC_DEADLINE;
	ASSERT_OK(ioctl(fd, MINIVMM_SET_CPUID2, &cpuid));
}

struct minivmm_lapic_state lapic_state(int fd)
{
	struct minivmm_lapic_state state;

	ASSERT_OK(ioctl(fd, MINIVMM_GET_LAPIC, &state));
	return state;
}

void set_lapic_state(int fd, const struct minivmm_lapic_state *state)
{
	ASSERT_OK(ioctl(fd, MINIVMM_SET_LAPIC, state));
}

void irq_vcpu_init(struct vm *vm, int fd)
{
	struct minivmm_mp_state runnable = { MINIVMM_MP_STATE_RUNNABLE };
	struct minivmm_lapic_state lapic;
	struct minivmm_sregs sregs;

	set_cpuid(vm, fd);
	ASSERT_OK(ioctl(fd, MINIVMM_GET_SREGS, &sregs));
	sregs.apic_base |= APIC_BASE_EXTD | APIC_BASE_ENABLE;
	ASSERT_OK(ioctl(fd, MINIVMM_SET_SREGS, &sregs));
	lapic = lapic_state(fd);
	*(u32 *)(lapic.regs + APIC_SVR) |= SVR_ENABLE;
	set_lapic_state(fd, &lapic);
	ASSERT_OK(ioctl(fd, MINIVMM_SET_MP_STATE, &runnable));
}

struct vcpu *irq_vcpu(struct vm *vm, int id, void *fn, u64 arg)
{
	struct vcpu *vcpu = vcpu_create_bare(vm, id);

	irq_vcpu_init(vm, vcpu->fd);
	vcpu_setup_long(vcpu, fn, arg);
	return vcpu;
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ------------------------------------------------------------------------ */

static int compare_numbers(const void *a, const void *b)
{
	const s64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of the s64 at @offset of each */
static s64 quartile_at(const struct sample *runs, u32 nr, size_t offset)
{
	s64 numbers[nr];
	u32 i;

	for (i = 0; i < nr; i++)
		numbers[i] = *(const s64 *)((const char *)&runs[i] + offset);
	qsort(numbers, nr, sizeof(*numbers), compare_numbers);
	return numbers[nr / 4];
}

struct sample lower_quartile(const struct sample *runs, u32 nr)
{
	struct sample sample = {};
	int i;

	sample.ticks = quartile_at(runs, nr, offsetof(struct sample, ticks));
	for (i = 0; i < NR_COUNTERS; i++)
		sample.counts[i] = quartile_at(runs, nr,
					       offsetof(struct sample, counts) +
					       i * sizeof(s64));
	return sample;
}

static struct sample timed_run(struct vcpu *vcpu)
{
	struct sample sample = {};
	u64 ticks;

	begin(&sample);
	ticks = ASSERT_SYNC(vcpu, 0);
	end(&sample);
	end(&sample);
	ASSERT_SYNC(vcpu, 1);
	begin(&sample);
	sample.ticks = ticks;
	return sample;
}

#define HOST_TICK	400000

/*
 * Runs that begin some host's ticks apart, for what @reset takes, must not all be
 * hit by one.  Not for those with a partner: it changes who is scheduled first.
 */
static void shift_phase(u32 i)
{
	u64 until = rdtsc() + i % 8 * (HOST_TICK / 8);

	while (rdtsc() < until)
		;
}

struct sample measure_timed(const struct op *op, struct vcpu *vcpu,
			    void (*reset)(struct vcpu *vcpu))
{
	struct sample runs[op->runs + 1], sample;
	s64 ticks;
	u32 i;

	for (i = 0; i < op->runs + 1; i++) {
		if (reset) {
			reset(vcpu);
			shift_phase(i);
		}
		runs[i] = timed_run(vcpu);
	}
	/* The first one was to warm up. */
	sample = lower_quartile(runs + 1, op->runs);
	ticks = sample.ticks - op->ops_per_run * op->loop_insns;
	sample.ticks = ticks > 0 ? ticks : 0;
	sample.ops = op->ops_per_run;
	return sample;
}

/* ------------------------------------------------------------------------ */

static void *partner_run(void *arg)
{
	struct partner *partner = arg;
	u32 i;

	pin(partner->cpu);
	for (i = 0; i < partner->syncs; i++)
		ASSERT_EQ(vcpu_run_guest(partner->vcpu, NULL), GUEST_SYNC);
	return NULL;
}

void partner_start(struct partner *partner, struct vcpu *vcpu, u32 syncs,
		   int cpu)
{
	partner->vcpu = vcpu;
	partner->syncs = syncs;
	partner->cpu = cpu;
	ASSERT(!pthread_create(&partner->thread, NULL, partner_run, partner));
}

void partner_join(struct partner *partner)
{
	pthread_join(partner->thread, NULL);
}

void receiver_start(struct partner *partner, struct vcpu *vcpu)
{
	volatile u32 *receiving = vm_guest_ptr(vcpu->vm, &guest_receiving);

	pin(0);
	partner_start(partner, vcpu, 1, 1);
	while (!*receiving)
		sched_yield();
}

void receiver_stop(struct partner *partner)
{
	*vm_guest_ptr(partner->vcpu->vm, &guest_stop) = 1;
	partner_join(partner);
}

/* ------------------------------------------------------------------------ */
/* In the guest                                                              */

void guest_receive(u64 unused __attribute__((unused)))
{
	u64 now, last = rdtsc();

	sti();
	guest_receiving = 1;
	while (!guest_stop) {
		now = rdtsc();
		if (now - last > GAP_TICKS)
			guest_gaps++;
		last = now;
		guest_seen = guest_replies;
	}
	guest_sync(0, 0);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of bench: the local APIC, its timer, and interrupts between vCPUs.  The
 * guest times itself; what it says is the cost of its WRMSRs, MOVs to CR8 and
 * HLTs, and of what they set off.
 */
#include <unistd.h>

#include "bench_irq.h"

/* ------------------------------------------------------------------------ */
/* One vCPU by itself                                                        */

static void self_ipi(u64 ops)
{
	sti();
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_SELF_IPI, IRQ_VECTOR, 0,
				     "wrmsr"));
}

static void icr_self(u64 ops)
{
	sti();
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_ICR, IRQ_VECTOR, 0,
				     "wrmsr"));
}

static void eoi(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_EOI, 0, 0, "wrmsr"));
}

/* Priority 0 and 15 in turn */
static void tpr(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, 0, 0, 0,
				     "xorl $15, %%eax\n"
				     "movq %%rax, %%cr8"));
}

#define TPR_INSNS	1

/* A deadline that is over before WRMSR is; wait for the handler. */
static void deadline_now(u64 ops)
{
	wrmsr(MSR_X2APIC_LVT_TIMER, LVT_TSC_DEADLINE | IRQ_VECTOR);
	sti();
	for (;;) {
		guest_irqs = 0;
		guest_say(TIMED_LOOP(ops, MSR_TSC_DEADLINE, 0, 0,
				     "incl %%r9d\n"
				     "rdtsc\n"
				     "addl $2, %%eax\n"
				     "adcl $0, %%edx\n"
				     "wrmsr\n"
				     "2: incl %%r8d\n"
				     "cmpl %%r9d, guest_irqs\n"
				     "jne 2b"));
	}
}

#define DEADLINE_INSNS	4

/* A second ahead, as the testbed's clock goes */
static void deadline_far(u64 ops)
{
	wrmsr(MSR_X2APIC_LVT_TIMER, LVT_TSC_DEADLINE | IRQ_VECTOR);
	for (;;) {
		guest_say(TIMED_LOOP(ops, MSR_TSC_DEADLINE, 0, 0,
				     "rdtsc\n"
				     "addl $100000000, %%eax\n"
				     "adcl $0, %%edx\n"
				     "wrmsr"));
		wrmsr(MSR_TSC_DEADLINE, 0);
	}
}

#define ARM_INSNS	3

#define WAKEUP_TICKS	50000

/* From the deadline until the handler has returned, HLT before */
static void deadline_hlt(u64 ops)
{
	u64 i, deadline, late;

	wrmsr(MSR_X2APIC_LVT_TIMER, LVT_TSC_DEADLINE | IRQ_VECTOR);
	for (;;) {
		for (i = 0, late = 0; i < ops; i++) {
			deadline = rdtsc() + WAKEUP_TICKS;
			wrmsr(MSR_TSC_DEADLINE, deadline);
			asm volatile("sti; hlt; cli" : : : "memory");
			late += rdtsc() - deadline;
		}
		guest_say(late);
	}
}

/* The same by MOVs to an xAPIC's page. Nobody takes the interrupts. */
#define XAPIC(reg)	(0xfee00000U | (reg))
#define ICR_SELF	(1U << 18)
#define LVT_MASKED	(1U << 16)

static void xapic_icr(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0x300), ICR_SELF | IRQ_VECTOR,
				     0, "movl %%eax, (%%rcx)"));
}

static void xapic_eoi(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0xb0), 0, 0,
				     "movl %%eax, (%%rcx)"));
}

static void xapic_tpr(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0x80), 0, 0,
				     "xorl $0xf0, %%eax\n"
				     "movl %%eax, (%%rcx)"));
}

/* ICR's, which says whether the last one is on its way */
static void xapic_read(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0x300), 0, 0,
				     "movl (%%rcx), %%eax"));
}

/* What the CPU cannot do by itself: to write the LVT, to read a count */
static void xapic_lvt(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0x340), LVT_MASKED, 0,
				     "movl %%eax, (%%rcx)"));
}

static void xapic_count(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, XAPIC(0x390), 0, 0,
				     "movl (%%rcx), %%eax"));
}

/* Every vector but the exceptions': in service, so that each EOI ends one */
#define EOIS_PER_RUN	(256 - 32)

static void all_in_service(struct vcpu *vcpu)
{
	struct minivmm_lapic_state state = lapic_state(vcpu->fd);
	int i;

	for (i = 1; i < 8; i++)
		*(u32 *)(state.regs + APIC_ISR + i * 16) = ~0U;
	set_lapic_state(vcpu->fd, &state);
}

static struct sample measure_xapic(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, op->guest_fn, op->ops_per_run);
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);
	struct sample sample;

	sregs.apic_base &= ~(1UL << 10);
	vcpu_set_sregs(vcpu, &sregs);
	sample = measure_timed(op, vcpu, op->reset);
	vm_free(vm);
	return sample;
}

static struct sample measure_guest(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, op->guest_fn, op->ops_per_run);
	struct sample sample = measure_timed(op, vcpu, op->reset);

	if (op->counts_irqs)
		ASSERT_EQ(*vm_guest_ptr(vm, &guest_irqs),
			  op->ops_per_run * (op->runs + 1));
	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* To vCPUs that do not run                                                  */

#define MAX_VCPUS	255

static int receivers[MAX_VCPUS];
static struct minivmm_lapic_state quiet[MAX_VCPUS];

/* To so many vCPUs from the first on: bits 31:0, 63:32 of the argument */
static void send_to_each(u64 arg)
{
	for (;;)
		guest_say(TIMED_LOOP(arg, MSR_X2APIC_ICR, IRQ_VECTOR, arg >> 32,
				     "wrmsr\n"
				     "incl %%edx"));
}

#define EACH_INSNS	1

static void send_to_all(u64 unused __attribute__((unused)))
{
	for (;;)
		guest_say(TIMED_LOOP(1, MSR_X2APIC_ICR, ICR_OTHERS | IRQ_VECTOR,
				     0, "wrmsr"));
}

/* Nothing is pending any more: the next interrupt is a new one again. */
static void quieten(struct vcpu *sender)
{
	int i;

	for (i = 1; i < MAX_VCPUS && receivers[i]; i++)
		set_lapic_state(receivers[i], &quiet[i]);
	(void)sender;
}

static struct sample measure_send(const struct op *op, void *guest_fn, u64 arg)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, guest_fn, arg);
	struct sample sample;
	u32 i;

	for (i = 1; i < op->vcpus; i++) {
		receivers[i] = ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, i));
		irq_vcpu_init(vm, receivers[i]);
		quiet[i] = lapic_state(receivers[i]);
	}
	sample = measure_timed(op, vcpu, quieten);
	for (i = 1; i < op->vcpus; i++) {
		close(receivers[i]);
		receivers[i] = 0;
	}
	vm_free(vm);
	return sample;
}

/* To at most so many of them, lest the host's tick hits every run */
#define MAX_SENDS	63

static struct sample measure_unicast(const struct op *row)
{
	struct op op = *row;
	u64 first;

	op.ops_per_run = op.vcpus - 1 < MAX_SENDS ? op.vcpus - 1 : MAX_SENDS;
	first = op.vcpus - op.ops_per_run;
	return measure_send(&op, send_to_each, first << 32 | op.ops_per_run);
}

/* Each receiver counts as an operation. */
static struct sample measure_broadcast(const struct op *row)
{
	struct op op = *row;

	op.ops_per_run = op.vcpus - 1;
	return measure_send(&op, send_to_all, 0);
}

/* ------------------------------------------------------------------------ */
/* To a vCPU that is halted on the same CPU, and back                        */

static void ping(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_ICR, REPLY_VECTOR, 1,
				     "wrmsr\n"
				     "sti\n"
				     "hlt\n"
				     "cli"));
}

static void pong(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_ICR, IRQ_VECTOR, 0,
				     "sti\n"
				     "hlt\n"
				     "cli\n"
				     "wrmsr"));
}

#define PING_INSNS	2

/* ------------------------------------------------------------------------ */
/* A word in memory that two vCPUs change in turn, waiting with PAUSE        */

volatile u32 guest_turn;

static void spin_even(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, 0, 0, 0,
				     "incl guest_turn\n"
				     "2: pause\n"
				     "testl $1, guest_turn\n"
				     "jnz 2b"));
}

static void spin_odd(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, 0, 0, 0,
				     "2: pause\n"
				     "testl $1, guest_turn\n"
				     "jz 2b\n"
				     "incl guest_turn"));
}

static struct sample measure_pair(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, op->guest_fn, op->ops_per_run);
	struct vcpu *other = irq_vcpu(vm, 1, op->partner_fn, op->ops_per_run);
	struct partner partner;
	struct sample sample;

	pin(0);
	partner_start(&partner, other, 2 * (op->runs + 1), 0);
	sample = measure_timed(op, vcpu, NULL);
	partner_join(&partner);
	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* To a vCPU that runs on another CPU, until it has handled the interrupt    */

static void send_and_wait(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, MSR_X2APIC_ICR, REPLY_VECTOR, 1,
				     "movl guest_seen, %%r9d\n"
				     "incl %%r9d\n"
				     "wrmsr\n"
				     "2: cmpl %%r9d, guest_seen\n"
				     "jne 2b"));
}

static struct sample measure_ipi_running(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, op->guest_fn, op->ops_per_run);
	struct vcpu *other = irq_vcpu(vm, 1, guest_receive, 0);
	struct partner partner;
	struct sample sample;

	receiver_start(&partner, other);
	sample = measure_timed(op, vcpu, NULL);
	sample.gaps = *vm_guest_ptr(vm, &guest_gaps) / (op->runs + 1);
	receiver_stop(&partner);
	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */

const struct op apic_ops[] = {
	{
		.name = "self_ipi", .measure = measure_guest,
		.counts_irqs = true,
		.caps = { CAP(IRQCHIP) }, .guest_fn = self_ipi,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS + HANDLER_INSNS,
	}, {
		.name = "icr_self", .measure = measure_guest,
		.counts_irqs = true,
		.caps = { CAP(IRQCHIP) }, .guest_fn = icr_self,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS + HANDLER_INSNS,
	}, {
		.name = "eoi", .measure = measure_guest,
		.reset = all_in_service,
		.caps = { CAP(IRQCHIP) }, .guest_fn = eoi,
		.ops_per_run = EOIS_PER_RUN, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "tpr", .measure = measure_guest,
		.caps = { CAP(IRQCHIP) }, .guest_fn = tpr,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS + TPR_INSNS,
	}, {
		.name = "xapic_icr_self", .measure = measure_xapic,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_icr,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "xapic_eoi", .measure = measure_xapic,
		.reset = all_in_service,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_eoi,
		.ops_per_run = EOIS_PER_RUN, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "xapic_tpr", .measure = measure_xapic,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_tpr,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS + TPR_INSNS,
	}, {
		.name = "xapic_read", .measure = measure_xapic,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_read,
		.ops_per_run = 1000, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "xapic_lvt", .measure = measure_xapic,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_lvt,
		.ops_per_run = 200, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "xapic_count", .measure = measure_xapic,
		.caps = { CAP(IRQCHIP) }, .guest_fn = xapic_count,
		.ops_per_run = 200, .runs = 10,
		.loop_insns = LOOP_INSNS,
	}, {
		.name = "tsc_deadline", .measure = measure_guest,
		.caps = { CAP(IRQCHIP), CAP(TSC_DEADLINE_TIMER) },
		.guest_fn = deadline_now,
		.ops_per_run = 200, .runs = 10,
		.loop_insns = LOOP_INSNS + HANDLER_INSNS + DEADLINE_INSNS,
	}, {
		.name = "tsc_deadline_arm", .measure = measure_guest,
		.caps = { CAP(IRQCHIP), CAP(TSC_DEADLINE_TIMER) },
		.guest_fn = deadline_far,
		.ops_per_run = 200, .runs = 10,
		.loop_insns = LOOP_INSNS + ARM_INSNS,
	}, {
		.name = "hlt_wakeup", .measure = measure_guest,
		.counts_irqs = true,
		.caps = { CAP(IRQCHIP), CAP(TSC_DEADLINE_TIMER) },
		.guest_fn = deadline_hlt,
		.ops_per_run = 20, .runs = 10,
		.loop_insns = HANDLER_INSNS,
	}, {
		.name = "ipi_send", .measure = measure_unicast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 8, .runs = 100,
		.loop_insns = LOOP_INSNS + EACH_INSNS,
	}, {
		.name = "ipi_halted", .measure = measure_pair,
		.caps = { CAP(IRQCHIP) },
		.guest_fn = ping, .partner_fn = pong,
		.ops_per_run = 100, .runs = 10,
		.loop_insns = 2 * (LOOP_INSNS + PING_INSNS + HANDLER_INSNS),
	}, {
		.name = "ipi_running", .measure = measure_ipi_running,
		.caps = { CAP(IRQCHIP) }, .cpus = 2, .shows_gaps = true,
		.guest_fn = send_and_wait,
		.ops_per_run = 1000, .runs = 5,
	}, {
		.name = "pause_handoff", .measure = measure_pair,
		.caps = { CAP(IRQCHIP) },
		.guest_fn = spin_even, .partner_fn = spin_odd,
		.ops_per_run = 20, .runs = 8,
	}, {
		.name = "ipi_unicast_2", .measure = measure_unicast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 2, .runs = 16,
		.loop_insns = LOOP_INSNS + EACH_INSNS,
	}, {
		.name = "ipi_unicast_16", .measure = measure_unicast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 16, .runs = 16,
		.loop_insns = LOOP_INSNS + EACH_INSNS,
	}, {
		.name = "ipi_unicast_64", .measure = measure_unicast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 64, .runs = 16,
		.loop_insns = LOOP_INSNS + EACH_INSNS,
	}, {
		.name = "ipi_unicast_255", .measure = measure_unicast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 255, .runs = 16,
		.loop_insns = LOOP_INSNS + EACH_INSNS,
	}, {
		.name = "ipi_broadcast_2", .measure = measure_broadcast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 2, .runs = 16,
	}, {
		.name = "ipi_broadcast_16", .measure = measure_broadcast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 16, .runs = 16,
	}, {
		.name = "ipi_broadcast_64", .measure = measure_broadcast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 64, .runs = 16,
	}, {
		.name = "ipi_broadcast_255", .measure = measure_broadcast,
		.caps = { CAP(IRQCHIP) }, .vcpus = 255, .runs = 16,
	},
};

const u32 nr_apic_ops = ARRAY_SIZE(apic_ops);

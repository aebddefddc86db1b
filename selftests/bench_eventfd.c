// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of bench: doorbells of the guest that signal an eventfd, eventfds and
 * MSIs of the host that interrupt the guest.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench_irq.h"

#define DOORBELL_PORT	0xc050
#define DOORBELL_GPA	MMIO_GPA

/* Queues of one device that share a doorbell; the guest rings for the last. */
#define QUEUES		16

#define MSI_GSI		24
#define MSI_ADDRESS	0xfee00000	/* to local APIC 0 */

/* ------------------------------------------------------------------------ */
/* Doorbells                                                                 */

static void ring_port(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, 0, QUEUES - 1, DOORBELL_PORT,
				     "outw %%ax, %%dx"));
}

static void ring_memory(u64 ops)
{
	for (;;)
		guest_say(TIMED_LOOP(ops, DOORBELL_GPA, QUEUES - 1, 0,
				     "movw %%ax, (%%rcx)"));
}

static int add_doorbell(struct vm *vm, u32 flags, u32 len, u64 value)
{
	struct minivmm_ioeventfd doorbell = {
		.datamatch = value,
		.addr = flags & MINIVMM_IOEVENTFD_FLAG_PIO ?
			DOORBELL_PORT : DOORBELL_GPA,
		.len = len,
		.fd = ASSERT_OK(eventfd(0, EFD_CLOEXEC)),
		.flags = flags,
	};

	ASSERT_OK(ioctl(vm->fd, MINIVMM_IOEVENTFD, &doorbell));
	return doorbell.fd;
}

/* The last queue's counts every ring, of warm-up and measurement. */
static struct sample measure_doorbell(const struct op *op)
{
	bool matches = op->flags & MINIVMM_IOEVENTFD_FLAG_DATAMATCH;
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, op->guest_fn, op->ops_per_run);
	int i, first = matches ? 0 : QUEUES - 1, fds[QUEUES];
	struct sample sample;
	u64 rings;

	for (i = first; i < QUEUES; i++)
		fds[i] = add_doorbell(vm, op->flags, op->len, matches ? i : 0);
	sample = measure_timed(op, vcpu, NULL);
	ASSERT_EQ(read(fds[QUEUES - 1], &rings, 8), 8);
	ASSERT_EQ(rings, op->ops_per_run * (op->runs + 1));
	vm_free(vm);
	for (i = first; i < QUEUES; i++)
		close(fds[i]);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* Interrupts of the host                                                    */

static void route_msi(struct vm *vm)
{
	struct {
		struct minivmm_irq_routing header;
		struct minivmm_irq_routing_entry entry;
	} routing = {
		.header.nr = 1,
		.entry = {
			.gsi = MSI_GSI,
			.type = MINIVMM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = MSI_ADDRESS,
				.data = REPLY_VECTOR,
			},
		},
	};

	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &routing));
}

static int add_irqfd(struct vm *vm)
{
	struct minivmm_irqfd irqfd = {
		.fd = ASSERT_OK(eventfd(0, EFD_CLOEXEC)),
		.gsi = MSI_GSI,
	};

	route_msi(vm);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQFD, &irqfd));
	return irqfd.fd;
}

static void signal_eventfd(int fd)
{
	u64 one = 1;

	ASSERT_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

static void signal_msi(struct vm *vm)
{
	struct minivmm_msi msi = {
		.address_lo = MSI_ADDRESS, .data = REPLY_VECTOR,
	};

	ASSERT_OK(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi));
}

/* To the host and back, again and again */
static void come_and_go(u64 unused __attribute__((unused)))
{
	sti();
	for (;;)
		outb(GUEST_CALL_PORT, 0);
}

#define NOTHING		-2
#define BY_IOCTL	-1	/* and 0 or more: by that eventfd */

#define CHUNK		20	/* runs, so few that the host's tick is rare */

/* What so many runs cost with an interrupt, or nothing, before each */
static struct sample run_chunk(struct vcpu *vcpu, int how)
{
	struct sample sample = {};
	u32 i;

	begin(&sample);
	for (i = 0; i < CHUNK; i++) {
		if (how == BY_IOCTL)
			signal_msi(vcpu->vm);
		else if (how != NOTHING)
			signal_eventfd(how);
		run_to(vcpu, MINIVMM_EXIT_IO);
	}
	end(&sample);
	return sample;
}

/* What a run costs more when there is an interrupt before it */
static struct sample measure_before_run(const struct op *op, int how,
					struct vcpu *vcpu)
{
	u32 nr = op->runs / CHUNK, i;
	struct sample with[nr], without[nr], extra, base;

	run_chunk(vcpu, NOTHING);
	run_chunk(vcpu, how);
	for (i = 0; i < nr; i++) {
		with[i] = run_chunk(vcpu, how);
		without[i] = run_chunk(vcpu, NOTHING);
	}
	ASSERT_EQ(*vm_guest_ptr(vcpu->vm, &guest_replies), op->runs + CHUNK);
	extra = lower_quartile(with, nr);
	base = lower_quartile(without, nr);
	extra.ops = CHUNK;
	extra.ticks -= base.ticks + CHUNK * op->loop_insns;
	for (i = 0; i < NR_COUNTERS; i++)
		extra.counts[i] -= base.counts[i];
	return extra;
}

static struct sample measure_irqfd(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, come_and_go, 0);
	int fd = add_irqfd(vm);
	struct sample sample = measure_before_run(op, fd, vcpu);

	vm_free(vm);
	close(fd);
	return sample;
}

static struct sample measure_signal_msi(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, come_and_go, 0);
	struct sample sample = measure_before_run(op, BY_IOCTL, vcpu);

	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* A guest that halts until it is interrupted, then rings a doorbell         */

static void serve(u64 ops)
{
	u64 i;

	for (i = 0; i < ops; i++)
		asm volatile("sti\n"
			     "hlt\n"
			     "cli\n"
			     "outw %%ax, %%dx"
			     : : "a"(QUEUES - 1), "d"(DOORBELL_PORT)
			     : "memory");
	guest_sync(0, 0);
}

#define SERVE_INSNS	4	/* STI, CLI, the loop */

static void request(int irqfd, int doorbell)
{
	u64 rings;

	signal_eventfd(irqfd);
	ASSERT_EQ(read(doorbell, &rings, sizeof(rings)), sizeof(rings));
}

static struct sample measure_irqfd_halted(const struct op *op)
{
	u32 warm_up = op->runs / 4, i;
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, serve, op->runs + warm_up);
	int irqfd = add_irqfd(vm);
	int doorbell = add_doorbell(vm, MINIVMM_IOEVENTFD_FLAG_PIO, 2, 0);
	struct sample sample = { .ops = op->runs };
	struct partner partner;

	pin(0);
	partner_start(&partner, vcpu, 1, 0);
	for (i = 0; i < warm_up; i++)
		request(irqfd, doorbell);
	begin(&sample);
	for (i = 0; i < op->runs; i++)
		request(irqfd, doorbell);
	end(&sample);
	partner_join(&partner);
	sample.ticks -= sample.ops * op->loop_insns;
	vm_free(vm);
	close(irqfd);
	close(doorbell);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* A guest that runs on another CPU, until its handler's answer is seen      */

static void interrupt_and_wait(struct vm *vm, int fd, u32 times)
{
	volatile u32 *seen = vm_guest_ptr(vm, &guest_seen);
	u32 i, before;

	for (i = 0; i < times; i++) {
		before = *seen;
		signal_eventfd(fd);
		while (*seen == before)
			;
	}
}

static struct sample measure_irqfd_running(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct vcpu *vcpu = irq_vcpu(vm, 0, guest_receive, 0);
	int fd = add_irqfd(vm);
	struct sample sample = { .ops = op->runs };
	struct partner partner;

	receiver_start(&partner, vcpu);
	interrupt_and_wait(vm, fd, op->runs / 4);
	sample.gaps -= *vm_guest_ptr(vm, &guest_gaps);
	begin(&sample);
	interrupt_and_wait(vm, fd, op->runs);
	end(&sample);
	sample.gaps += *vm_guest_ptr(vm, &guest_gaps);
	receiver_stop(&partner);
	vm_free(vm);
	close(fd);
	return sample;
}

/* ------------------------------------------------------------------------ */

#define PIO		MINIVMM_IOEVENTFD_FLAG_PIO
#define DATAMATCH	MINIVMM_IOEVENTFD_FLAG_DATAMATCH

const struct op eventfd_ops[] = {
	{
		.name = "ioeventfd_pio", .measure = measure_doorbell,
		.caps = { CAP(IRQCHIP), CAP(IOEVENTFD) },
		.guest_fn = ring_port, .flags = PIO, .len = 2,
		.ops_per_run = 1000, .runs = 10, .loop_insns = LOOP_INSNS,
	}, {
		.name = "ioeventfd_pio_match", .measure = measure_doorbell,
		.caps = { CAP(IRQCHIP), CAP(IOEVENTFD) },
		.guest_fn = ring_port, .flags = PIO | DATAMATCH, .len = 2,
		.ops_per_run = 1000, .runs = 10, .loop_insns = LOOP_INSNS,
	}, {
		.name = "ioeventfd_mmio", .measure = measure_doorbell,
		.caps = { CAP(IRQCHIP), CAP(IOEVENTFD) },
		.guest_fn = ring_memory, .len = 2,
		.ops_per_run = 1000, .runs = 10, .loop_insns = LOOP_INSNS,
	}, {
		.name = "ioeventfd_mmio_match", .measure = measure_doorbell,
		.caps = { CAP(IRQCHIP), CAP(IOEVENTFD) },
		.guest_fn = ring_memory, .flags = DATAMATCH, .len = 2,
		.ops_per_run = 1000, .runs = 10, .loop_insns = LOOP_INSNS,
	}, {
		.name = "ioeventfd_mmio_any", .measure = measure_doorbell,
		.caps = {
			CAP(IRQCHIP), CAP(IOEVENTFD), CAP(IOEVENTFD_ANY_LENGTH),
		},
		.guest_fn = ring_memory, .len = 0,
		.ops_per_run = 1000, .runs = 10, .loop_insns = LOOP_INSNS,
	}, {
		.name = "irqfd", .measure = measure_irqfd,
		.caps = { CAP(IRQCHIP), CAP(IRQFD), CAP(IRQ_ROUTING) },
		.runs = 2000, .loop_insns = HANDLER_INSNS,
	}, {
		.name = "irqfd_halted", .measure = measure_irqfd_halted,
		.caps = {
			CAP(IRQCHIP), CAP(IRQFD), CAP(IRQ_ROUTING),
			CAP(IOEVENTFD),
		},
		.runs = 1000, .loop_insns = HANDLER_INSNS + SERVE_INSNS,
	}, {
		.name = "irqfd_running", .measure = measure_irqfd_running,
		.caps = { CAP(IRQCHIP), CAP(IRQFD), CAP(IRQ_ROUTING) },
		.cpus = 2, .shows_gaps = true, .runs = 2000,
	}, {
		.name = "signal_msi", .measure = measure_signal_msi,
		.caps = { CAP(IRQCHIP), CAP(SIGNAL_MSI) },
		.runs = 2000, .loop_insns = HANDLER_INSNS,
	},
};

const u32 nr_eventfd_ops = ARRAY_SIZE(eventfd_ops);

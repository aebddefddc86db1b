// SPDX-License-Identifier: GPL-2.0
/* eventfds into the guest and out of it: each signal counts once. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "threads.h"
#include "x2apic.h"

#define DOORBELL_PORT	0x520
#define DOORBELL_GPA	(MMIO_GPA + 0x120)
#define PIO		MINIVMM_IOEVENTFD_FLAG_PIO
#define DATAMATCH	MINIVMM_IOEVENTFD_FLAG_DATAMATCH
#define DEASSIGN	MINIVMM_IOEVENTFD_FLAG_DEASSIGN

static int new_eventfd(void)
{
	return ASSERT_OK(eventfd(0, EFD_CLOEXEC));
}

static void eventfd_signal(int fd, u64 value)
{
	ASSERT_EQ(write(fd, &value, sizeof(value)), sizeof(value));
}

/* Waits until it is not 0. */
static u64 eventfd_take(int fd)
{
	u64 value;

	ASSERT_EQ(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

/* Waits no longer than some milliseconds; 0 when nothing comes. */
static u64 eventfd_take_within(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 ? eventfd_take(fd) : 0;
}

static u64 eventfd_now(int fd)
{
	return eventfd_take_within(fd, 0);
}

static int ioeventfd(struct vm *vm, u32 flags, u64 address, u32 len, u64 match,
		     int fd)
{
	struct minivmm_ioeventfd arg = {
		.datamatch = match, .addr = address, .len = len, .fd = fd,
		.flags = flags,
	};

	return ioctl(vm->fd, MINIVMM_IOEVENTFD, &arg);
}

static struct vcpu *start(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, fn, 0);
	return vcpu;
}

/* ------------------------------------------------------------------------ */
/* Out of the guest                                                          */

#define KICKERS		4
#define KICKS		4000

static void guest_kick_port(u64 me)
{
	u64 i;

	for (i = 0; i < KICKS; i++)
		outl(DOORBELL_PORT, i + me);
}

static void guest_kick_mmio(u64 me)
{
	u64 i;

	for (i = 0; i < KICKS; i++)
		*(volatile u32 *)DOORBELL_GPA = i + me;
}

/* No kick is lost, and none is seen by user space. */
static void kicks(void *fn, u32 flags, u64 address, u32 len)
{
	struct vm *vm = vm_create();
	int fd = new_eventfd();
	u64 sum = 0;

	ASSERT_OK(ioeventfd(vm, flags, address, len, 0, fd));
	vcpus_setup(vm, KICKERS, fn);
	vcpus_start(vm);
	while (!vcpus_done(vm)) {
		if (random_below(4) == 0)
			vcpus_migrate(vm);
		sum += eventfd_take_within(fd, 1);
	}
	vcpus_join(vm, NULL);
	sum += eventfd_now(fd);
	EXPECT_EQ(sum, KICKERS * KICKS);
}

TEST(port_kicks)
{
	kicks(guest_kick_port, PIO, DOORBELL_PORT, 4);
}

TEST(port_kicks_any_length)
{
	kicks(guest_kick_port, PIO, DOORBELL_PORT, 0);
}

TEST(mmio_kicks)
{
	kicks(guest_kick_mmio, 0, DOORBELL_GPA, 4);
}

TEST(mmio_kicks_any_length)
{
	kicks(guest_kick_mmio, 0, DOORBELL_GPA, 0);
}

static void guest_all_lengths(void)
{
	outb(DOORBELL_PORT, 1);
	asm volatile("outw %%ax, %0" : : "Nd"((u16)DOORBELL_PORT), "a"(2));
	outl(DOORBELL_PORT, 3);
	guest_sync(1, 0);
	*(volatile u8 *)DOORBELL_GPA = 1;
	*(volatile u16 *)DOORBELL_GPA = 2;
	*(volatile u32 *)DOORBELL_GPA = 3;
	*(volatile u64 *)DOORBELL_GPA = 4;
}

TEST(any_length)
{
	struct vcpu *vcpu = start(guest_all_lengths);
	int fd = new_eventfd();

	ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 0, 0, fd));
	ASSERT_OK(ioeventfd(vcpu->vm, 0, DOORBELL_GPA, 0, 0, fd));
	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(eventfd_now(fd), 3);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(fd), 4);
}

static void assert_mmio(struct vcpu *vcpu, u64 address, u32 len, u64 value)
{
	u64 data = 0;

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(vcpu->run->mmio.is_write, 1);
	EXPECT_EQ(vcpu->run->mmio.phys_addr, address);
	ASSERT_EQ(vcpu->run->mmio.len, len);
	memcpy(&data, vcpu->run->mmio.data, len);
	EXPECT_EQ(data, value);
}

static void guest_lengths_and_neighbours(void)
{
	outb(DOORBELL_PORT, 1);
	outl(DOORBELL_PORT + 4, 2);
	outl(DOORBELL_PORT, 3);
	*(volatile u16 *)DOORBELL_GPA = 4;
	*(volatile u64 *)DOORBELL_GPA = 5;
	*(volatile u32 *)(DOORBELL_GPA + 4) = 6;
	*(volatile u32 *)DOORBELL_GPA = 7;
}

/* Only an access of exactly that length at exactly that address is a kick. */
TEST(one_length)
{
	struct vcpu *vcpu = start(guest_lengths_and_neighbours);
	int port = new_eventfd(), mmio = new_eventfd();

	ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 4, 0, port));
	ASSERT_OK(ioeventfd(vcpu->vm, 0, DOORBELL_GPA, 4, 0, mmio));
	ASSERT_OUT(vcpu, DOORBELL_PORT, 1);
	ASSERT_OUT(vcpu, DOORBELL_PORT + 4, 2);
	EXPECT_EQ(eventfd_now(port), 0);
	assert_mmio(vcpu, DOORBELL_GPA, 2, 4);
	assert_mmio(vcpu, DOORBELL_GPA, 8, 5);
	assert_mmio(vcpu, DOORBELL_GPA + 4, 4, 6);
	EXPECT_EQ(eventfd_now(mmio), 0);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(port), 1);
	EXPECT_EQ(eventfd_now(mmio), 1);
}

#define WIDE_MATCH	0x1122334455667788UL

static void guest_matches(void)
{
	u32 i;

	for (i = 0; i < 6; i++)
		outl(DOORBELL_PORT, i);
	*(volatile u64 *)DOORBELL_GPA = WIDE_MATCH ^ 1UL << 63;
	*(volatile u64 *)DOORBELL_GPA = WIDE_MATCH;
}

/* Several at one address, told apart by what is written */
TEST(datamatch)
{
	struct vcpu *vcpu = start(guest_matches);
	int one = new_eventfd(), four = new_eventfd(), wide = new_eventfd();
	const u32 flags = PIO | DATAMATCH;

	ASSERT_OK(ioeventfd(vcpu->vm, flags, DOORBELL_PORT, 4, 1, one));
	ASSERT_OK(ioeventfd(vcpu->vm, flags, DOORBELL_PORT, 4, 4, four));
	ASSERT_OK(ioeventfd(vcpu->vm, DATAMATCH, DOORBELL_GPA, 8, WIDE_MATCH,
			    wide));
	ASSERT_OUT(vcpu, DOORBELL_PORT, 0);
	ASSERT_OUT(vcpu, DOORBELL_PORT, 2);
	EXPECT_EQ(eventfd_now(one), 1);
	ASSERT_OUT(vcpu, DOORBELL_PORT, 3);
	EXPECT_EQ(eventfd_now(four), 0);
	ASSERT_OUT(vcpu, DOORBELL_PORT, 5);
	EXPECT_EQ(eventfd_now(four), 1);
	assert_mmio(vcpu, DOORBELL_GPA, 8, WIDE_MATCH ^ 1UL << 63);
	EXPECT_EQ(eventfd_now(wide), 0);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(wide), 1);
	EXPECT_EQ(eventfd_now(one), 0);
	EXPECT_EQ(eventfd_now(four), 0);
}

static void guest_reads_doorbells(void)
{
	GUEST_ASSERT_EQ(inl(DOORBELL_PORT), 0x11);
	GUEST_ASSERT_EQ(*(volatile u32 *)DOORBELL_GPA, 0x22);
}

/* A read is no kick: it is user space that answers. */
TEST(reads)
{
	struct vcpu *vcpu = start(guest_reads_doorbells);
	int fd = new_eventfd();

	ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 4, 0, fd));
	ASSERT_OK(ioeventfd(vcpu->vm, 0, DOORBELL_GPA, 4, 0, fd));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_EQ(vcpu->run->io.direction, MINIVMM_EXIT_IO_IN);
	*(u32 *)vcpu_io_data(vcpu) = 0x11;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_EQ(vcpu->run->mmio.is_write, 0);
	memcpy(vcpu->run->mmio.data, "\x22\0\0\0", 4);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(fd), 0);
}

#define STRING	37

static void guest_string_kicks(void)
{
	u64 count = STRING, from = DATA_GPA;

	asm volatile("cld; rep outsl" : "+c"(count), "+S"(from)
		     : "d"(DOORBELL_PORT) : "memory");
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(from, DATA_GPA + 4 * STRING);
}

/* Each element of a string is a kick of its own. */
TEST(string_kicks)
{
	struct vcpu *vcpu = start(guest_string_kicks);
	int fd = new_eventfd();

	ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 4, 0, fd));
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(fd), STRING);
}

TEST(ioeventfd_refused)
{
	struct vm *vm = vm_create();
	int fd = new_eventfd(), other = new_eventfd();
	const u32 port = DOORBELL_PORT;

	EXPECT_ERRNO(ioeventfd(vm, PIO, port, 3, 0, fd), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, 1 << 30, port, 4, 0, fd), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, PIO | DATAMATCH, port, 0, 0, fd), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, 0, ~0ULL, 4, 0, fd), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, PIO, port, 4, 0, -1), EBADF);
	EXPECT_ERRNO(ioeventfd(vm, PIO, port, 4, 0, vm->fd), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, PIO | DEASSIGN, port, 4, 0, fd), ENOENT);
	ASSERT_OK(ioeventfd(vm, PIO, port, 4, 0, fd));
	/* what would match the same write is refused, whoever it is */
	EXPECT_ERRNO(ioeventfd(vm, PIO, port, 4, 0, other), EEXIST);
	EXPECT_ERRNO(ioeventfd(vm, PIO | DATAMATCH, port, 4, 1, fd), EEXIST);
	EXPECT_ERRNO(ioeventfd(vm, PIO, port, 0, 0, fd), EEXIST);
	EXPECT_OK(ioeventfd(vm, PIO, port, 2, 0, other));
	EXPECT_ERRNO(ioeventfd(vm, PIO | DEASSIGN, port, 4, 0, other), ENOENT);
	EXPECT_OK(ioeventfd(vm, PIO | DEASSIGN, port, 4, 0, fd));
	EXPECT_OK(ioeventfd(vm, PIO, port, 4, 0, other));
}

static atomic_int port_exits;

static void *count_exits(void *arg)
{
	struct vcpu *vcpu = arg;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (vcpu_guest_call(vcpu, reason, NULL) == GUEST_DONE)
			return NULL;
		if (reason != MINIVMM_EXIT_IO ||
		    vcpu->run->io.port != DOORBELL_PORT)
			FAIL("exit %s", exit_name(reason));
		port_exits++;
	}
}

/* Every write is a kick or an exit, and never both. */
TEST(assigned_while_kicked)
{
	struct vcpu *vcpu = start(guest_kick_port);
	int fd = new_eventfd(), changes = 0;
	pthread_t thread;
	u64 sum = 0;

	ASSERT(!pthread_create(&thread, NULL, count_exits, vcpu));
	while (sum + port_exits < KICKS) {
		ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 4, 0, fd));
		pause_us(random_below(500));
		ASSERT_OK(ioeventfd(vcpu->vm, PIO | DEASSIGN, DOORBELL_PORT, 4,
				    0, fd));
		pause_us(random_below(500));
		sum += eventfd_now(fd);
		changes++;
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(sum + port_exits, KICKS);
	ksft_print_msg("assigned %d times: %llu kicks, %d exits\n", changes,
		       sum, port_exits);
}

static void guest_two_kicks(void)
{
	outl(DOORBELL_PORT, 1);
	guest_sync(1, 0);
	outl(DOORBELL_PORT, 2);
}

/* Nobody reads it any more, but the kernel still has it. */
TEST(doorbell_closed_while_assigned)
{
	struct vcpu *vcpu = start(guest_two_kicks);
	int fd = new_eventfd();

	ASSERT_OK(ioeventfd(vcpu->vm, PIO, DOORBELL_PORT, 4, 0, fd));
	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(eventfd_now(fd), 1);
	close(fd);
	ASSERT_DONE(vcpu);
	vm_free(vcpu->vm);
}

/* ------------------------------------------------------------------------ */
/* Into the guest                                                            */

#define GSI		24	/* the first that is no pin */
#define PIN		10
#define VECTOR		0x90
#define OTHER_VECTOR	0xa0
#define QUIT_VECTOR	0x40	/* below: what is pending comes first */
#define MARKER_VECTOR	0x41
#define ACK_PORT	0x530
#define READY_PORT	0x540
#define RESAMPLE	MINIVMM_IRQFD_FLAG_RESAMPLE

static volatile u64 irqs, quit;
/* The redirection entry of PIN, for a VM that has one */
static volatile u64 pin_rte;

static int irq, ack, ready;

static int irqfd(struct vm *vm, u32 flags, int fd, u32 gsi, int resamplefd)
{
	struct minivmm_irqfd arg = {
		.fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resamplefd,
	};

	return ioctl(vm->fd, MINIVMM_IRQFD, &arg);
}

/* GSI is an MSI to vCPU 0; the GSIs of pins are as they are by default. */
static void route(struct vm *vm, u32 vector)
{
	struct {
		struct minivmm_irq_routing header;
		struct minivmm_irq_routing_entry entries[2];
	} routing = {
		.header.nr = 1,
		.entries = { {
			.gsi = GSI, .type = MINIVMM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = vector },
		}, {
			.gsi = PIN, .type = MINIVMM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { MINIVMM_IRQCHIP_IOAPIC, PIN },
		} },
	};

	if (*vm_guest_ptr(vm, &pin_rte))
		routing.header.nr = 2;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &routing));
}

static void guest_on_irq(struct guest_regs *regs)
{
	(void)regs;
	irqs++;
	x2apic_eoi();
	outl(ACK_PORT, irqs);
}

/* Tells the host that nothing of a higher priority is pending. */
static void guest_on_marker(struct guest_regs *regs)
{
	(void)regs;
	x2apic_eoi();
	outl(READY_PORT, irqs);
}

static void guest_on_quit(struct guest_regs *regs)
{
	(void)regs;
	quit = 1;
	x2apic_eoi();
}

static void guest_count_irqs(void)
{
	guest_handlers[VECTOR] = guest_on_irq;
	guest_handlers[OTHER_VECTOR] = guest_on_irq;
	guest_handlers[QUIT_VECTOR] = guest_on_quit;
	guest_handlers[MARKER_VECTOR] = guest_on_marker;
	x2apic_enable();
	if (pin_rte)
		ioapic_set_rte(PIN, pin_rte);
	outl(READY_PORT, 0);
	while (!quit)
		asm volatile("sti; hlt; cli" : : : "memory");
}

/* A guest that counts interrupts; with them as interrupts of a pin if @rte */
static struct vm *start_counter(enum chips chips, u64 rte)
{
	struct vm *vm = vm_create_chips(chips);

	vcpus_setup(vm, 1, guest_count_irqs);
	*vm_guest_ptr(vm, &pin_rte) = rte;
	route(vm, VECTOR);
	irq = new_eventfd();
	ack = new_eventfd();
	ready = new_eventfd();
	ASSERT_OK(ioeventfd(vm, PIO, ACK_PORT, 4, 0, ack));
	ASSERT_OK(ioeventfd(vm, PIO, READY_PORT, 4, 0, ready));
	vcpus_start(vm);
	eventfd_take(ready);
	return vm;
}

/* Returns how many interrupts the guest has had. */
static u64 end_counter(struct vm *vm)
{
	vm_send_msi(vm, 0, QUIT_VECTOR);
	vcpus_join(vm, NULL);
	EXPECT_EQ(eventfd_now(ack), 0);
	return *vm_guest_ptr(vm, &irqs);
}

#define SIGNALS		1500

static void *send_signals(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < SIGNALS; i++) {
		/* an eventfd's value is not a number of interrupts */
		eventfd_signal(irq, 1 + i % 3);
		EXPECT_EQ(eventfd_take(ack), 1);
	}
	return NULL;
}

static void signal_from_thread(struct vm *vm)
{
	pthread_t thread;

	ASSERT(!pthread_create(&thread, NULL, send_signals, NULL));
	while (pthread_tryjoin_np(thread, NULL)) {
		vcpus_migrate(vm);
		thread_migrate(thread);
		pause_us(random_below(3000));
	}
}

static void signal_from_process(void)
{
	pid_t pid = ASSERT_OK(fork());
	int status;

	if (!pid) {
		send_signals(NULL);
		test_exit();
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

TEST(msi_from_thread)
{
	struct vm *vm = start_counter(CHIPS_SPLIT, 0);

	ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
	signal_from_thread(vm);
	EXPECT_EQ(end_counter(vm), SIGNALS);
}

TEST(msi_from_process)
{
	struct vm *vm = start_counter(CHIPS_KERNEL, 0);

	ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
	signal_from_process();
	EXPECT_EQ(end_counter(vm), SIGNALS);
}

TEST(edge_pin_from_thread)
{
	struct vm *vm = start_counter(CHIPS_KERNEL, VECTOR);

	ASSERT_OK(irqfd(vm, 0, irq, PIN, 0));
	signal_from_thread(vm);
	EXPECT_EQ(end_counter(vm), SIGNALS);
}

TEST(edge_pin_from_process)
{
	struct vm *vm = start_counter(CHIPS_KERNEL, VECTOR);

	ASSERT_OK(irqfd(vm, 0, irq, PIN, 0));
	signal_from_process();
	EXPECT_EQ(end_counter(vm), SIGNALS);
}

/* A signal from before the eventfd was assigned is an interrupt too. */
TEST(signalled_before_assigned)
{
	struct vm *vm = start_counter(CHIPS_SPLIT, 0);

	eventfd_signal(irq, 1);
	ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
	EXPECT_EQ(eventfd_take(ack), 1);
	EXPECT_EQ(end_counter(vm), 1);
}

static atomic_bool stop;

static void *change_route(void *vm)
{
	u32 changes = 0;

	while (!stop) {
		route(vm, ++changes % 2 ? OTHER_VECTOR : VECTOR);
		pause_us(changes * 37 % 500);
	}
	return NULL;
}

/* The old route or the new one, never neither or both */
TEST(routed_while_signalled)
{
	struct vm *vm = start_counter(CHIPS_SPLIT, 0);
	pthread_t thread;

	ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
	ASSERT(!pthread_create(&thread, NULL, change_route, vm));
	send_signals(NULL);
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(end_counter(vm), SIGNALS);
}

TEST(irqfd_refused)
{
	struct vm *vm = vm_create_chips(CHIPS_SPLIT);
	int fd = new_eventfd();

	route(vm, VECTOR);
	EXPECT_ERRNO(irqfd(vm, 1 << 30, fd, GSI, 0), EINVAL);
	EXPECT_ERRNO(irqfd(vm, 0, -1, GSI, 0), EBADF);
	EXPECT_ERRNO(irqfd(vm, 0, vm->fd, GSI, 0), EINVAL);
	ASSERT_OK(irqfd(vm, 0, fd, GSI, 0));
	EXPECT_ERRNO(irqfd(vm, 0, fd, GSI, 0), EBUSY);
	EXPECT_OK(irqfd(vm, MINIVMM_IRQFD_FLAG_DEASSIGN, fd, GSI, 0));
	EXPECT_OK(irqfd(vm, 0, fd, GSI, 0));
}

/* ------------------------------------------------------------------------ */
/* Level-triggered, and told of the EOI                                      */

static struct minivmm_ioapic_state ioapic(struct vm *vm)
{
	struct minivmm_irqchip chip = { .chip_id = MINIVMM_IRQCHIP_IOAPIC };

	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip));
	return chip.chip.ioapic;
}

static bool pin_is_high(struct vm *vm)
{
	return ioapic(vm).irr >> PIN & 1;
}

static void guest_on_level(struct guest_regs *regs)
{
	(void)regs;
	irqs++;
	guest_sync(10, irqs);
	x2apic_eoi();
}

static void guest_level(void)
{
	u64 i;

	guest_handlers[VECTOR] = guest_on_level;
	x2apic_enable();
	ioapic_set_rte(PIN, VECTOR | RTE_LEVEL | RTE_MASKED);
	sti();
	guest_sync(1, 0);
	/* asserted while the pin was masked */
	GUEST_ASSERT_EQ(irqs, 0);
	ioapic_set_rte(PIN, VECTOR | RTE_LEVEL);
	GUEST_ASSERT_EQ(irqs, 1);
	guest_sync(2, 0);
	for (i = 2; i <= 5; i++) {
		/* asserted by the host while it has us */
		guest_sync(3, i);
		asm volatile("nop" : : : "memory");
		GUEST_ASSERT_EQ(irqs, i);
	}
	cli();
	guest_sync(4, 0);
	GUEST_ASSERT_EQ(irqs, 5);
	sti();
	/* twice, before any EOI, is once */
	GUEST_ASSERT_EQ(irqs, 6);
	guest_sync(5, 0);
	GUEST_ASSERT_EQ(irqs, 6);
}

TEST(resample)
{
	struct vcpu *vcpu = vcpu_create(vm_create_chips(CHIPS_KERNEL), 0);
	struct vm *vm = vcpu->vm;
	int resample = new_eventfd(), i;

	irq = new_eventfd();
	vcpu_setup_long(vcpu, guest_level, 0);
	ASSERT_OK(irqfd(vm, RESAMPLE, irq, PIN, resample));
	ASSERT_SYNC(vcpu, 1);
	eventfd_signal(irq, 1);
	EXPECT(pin_is_high(vm));
	ASSERT_EQ(ASSERT_SYNC(vcpu, 10), 1);
	/* Being served does not lower it, the EOI does. */
	EXPECT(pin_is_high(vm));
	EXPECT(ioapic(vm).redirtbl[PIN] & RTE_REMOTE_IRR);
	EXPECT_EQ(eventfd_now(resample), 0);
	ASSERT_SYNC(vcpu, 2);
	EXPECT(!pin_is_high(vm));
	EXPECT(!(ioapic(vm).redirtbl[PIN] & RTE_REMOTE_IRR));
	EXPECT_EQ(eventfd_now(resample), 1);
	for (i = 2; i <= 5; i++) {
		ASSERT_EQ(ASSERT_SYNC(vcpu, 3), i);
		EXPECT_EQ(eventfd_now(resample), i > 2);
		eventfd_signal(irq, 1);
		ASSERT_EQ(ASSERT_SYNC(vcpu, 10), i);
	}
	ASSERT_SYNC(vcpu, 4);
	EXPECT_EQ(eventfd_now(resample), 1);
	eventfd_signal(irq, 1);
	eventfd_signal(irq, 1);
	ASSERT_EQ(ASSERT_SYNC(vcpu, 10), 6);
	ASSERT_SYNC(vcpu, 5);
	EXPECT_EQ(eventfd_now(resample), 1);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(eventfd_now(resample), 0);
}

#define REASSERTIONS	1000

/* The device still wants service after each EOI. */
TEST(resample_again_and_again)
{
	struct vm *vm = start_counter(CHIPS_KERNEL, VECTOR | RTE_LEVEL);
	int resample = new_eventfd(), i;

	ASSERT_OK(irqfd(vm, RESAMPLE, irq, PIN, resample));
	for (i = 0; i < REASSERTIONS; i++) {
		eventfd_signal(irq, 1);
		EXPECT_EQ(eventfd_take(resample), 1);
		EXPECT_EQ(eventfd_take(ack), 1);
	}
	EXPECT_EQ(end_counter(vm), REASSERTIONS);
	EXPECT_EQ(eventfd_now(resample), 0);
}

/* Two devices share a line: an EOI is news for both. */
TEST(resample_shared)
{
	struct vm *vm = start_counter(CHIPS_KERNEL, VECTOR | RTE_LEVEL);
	int resample[2] = { new_eventfd(), new_eventfd() };
	int other = new_eventfd(), i;

	ASSERT_OK(irqfd(vm, RESAMPLE, irq, PIN, resample[0]));
	ASSERT_OK(irqfd(vm, RESAMPLE, other, PIN, resample[1]));
	for (i = 0; i < 50; i++) {
		eventfd_signal(i % 2 ? irq : other, 1);
		EXPECT_EQ(eventfd_take(resample[0]), 1);
		EXPECT_EQ(eventfd_take(resample[1]), 1);
		EXPECT_EQ(eventfd_take(ack), 1);
	}
	EXPECT_EQ(end_counter(vm), 50);
}

/* Who goes takes his signal with him. */
TEST(resample_deassigned_while_high)
{
	struct vm *vm = vm_create_chips(CHIPS_KERNEL);
	int resample = new_eventfd(), fd = new_eventfd();

	ASSERT_OK(irqfd(vm, RESAMPLE, fd, PIN, resample));
	eventfd_signal(fd, 1);
	EXPECT(pin_is_high(vm));
	ASSERT_OK(irqfd(vm, MINIVMM_IRQFD_FLAG_DEASSIGN, fd, PIN, 0));
	EXPECT(!pin_is_high(vm));
	EXPECT_EQ(eventfd_now(resample), 0);
}

/* ------------------------------------------------------------------------ */
/* Ends                                                                      */

static void *signal_without_end(void *unused)
{
	(void)unused;
	while (!stop) {
		eventfd_signal(irq, 1);
		pause_us(50);
	}
	return NULL;
}

/* Once DEASSIGN has returned, nothing comes any more. */
TEST(deassigned_while_signalled)
{
	struct vm *vm = start_counter(CHIPS_SPLIT, 0);
	pthread_t thread;
	u64 before;
	int i;

	ASSERT(!pthread_create(&thread, NULL, signal_without_end, NULL));
	for (i = 0; i < 100; i++) {
		ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
		eventfd_take(ack);
		ASSERT_OK(irqfd(vm, MINIVMM_IRQFD_FLAG_DEASSIGN, irq, GSI, 0));
		/* a lower one arrives behind all that were sent before */
		vm_send_msi(vm, 0, MARKER_VECTOR);
		eventfd_take(ready);
		before = *vm_guest_ptr(vm, &irqs);
		pause_us(random_below(2000));
		EXPECT_EQ(*vm_guest_ptr(vm, &irqs), before);
		eventfd_now(ack);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(end_counter(vm), before);
}

/* The last descriptor goes: so does the assignment. */
TEST(irqfd_closed_while_assigned)
{
	struct vm *vm = start_counter(CHIPS_SPLIT, 0);
	int i, rounds = 50;

	for (i = 0; i < rounds; i++) {
		ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
		eventfd_signal(irq, 1);
		/* with the signal under way, or taken */
		if (i % 2)
			EXPECT_EQ(eventfd_take(ack), 1);
		close(irq);
		if (i % 2 == 0)
			EXPECT_EQ(eventfd_take(ack), 1);
		irq = new_eventfd();
	}
	EXPECT_EQ(end_counter(vm), rounds);
	vm_free(vm);
}

/* A signal that nobody takes stays in the eventfd. */
TEST(vm_closed_while_signalled)
{
	pthread_t thread;
	struct vm *vm;
	int i;

	irq = new_eventfd();
	ASSERT(!pthread_create(&thread, NULL, signal_without_end, NULL));
	for (i = 0; i < 50; i++) {
		vm = vm_create_chips(i % 2 ? CHIPS_SPLIT : CHIPS_KERNEL);
		vcpu_create(vm, 0);
		route(vm, VECTOR);
		ASSERT_OK(irqfd(vm, 0, irq, GSI, 0));
		pause_us(random_below(1000));
		vm_free(vm);
	}
	stop = true;
	pthread_join(thread, NULL);
	eventfd_now(irq);
	eventfd_signal(irq, 5);
	EXPECT_EQ(eventfd_now(irq), 5);
}

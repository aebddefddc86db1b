// SPDX-License-Identifier: GPL-2.0
/* irqfds and ioeventfds. */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apic.h"

#define CHURN		200

#define PORT		0x1234
#define LAST_PORT	0x1300
#define GSI		5

static int new_eventfd(void)
{
	return ASSERT_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static void signal_eventfd(int fd)
{
	u64 one = 1;

	ASSERT_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

/* How often it was signalled since the last look */
static u64 signals(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) < 0)
		ASSERT_EQ(errno, EAGAIN);
	return count;
}

/* ------------------------------------------------------------------------ */
/* ioeventfd                                                                 */

static int ioeventfd(struct vm *vm, int fd, u64 addr, u32 len, u32 flags,
		     u64 match)
{
	struct minivmm_ioeventfd args = {
		.datamatch = match, .addr = addr, .len = len, .fd = fd,
		.flags = flags,
	};

	return ioctl(vm->fd, MINIVMM_IOEVENTFD, &args);
}

#define PIO	MINIVMM_IOEVENTFD_FLAG_PIO
#define MATCH	MINIVMM_IOEVENTFD_FLAG_DATAMATCH
#define REMOVE	MINIVMM_IOEVENTFD_FLAG_DEASSIGN

guest_code16(out_guest,
	     "movw $0x1234, %dx\n"
	     "movl $0x11223344, %eax\n"
	     "1: outb %al, %dx\n"
	     "outw %ax, %dx\n"
	     "outl %eax, %dx\n"
	     "movw $0x1300, %dx; outb %al, %dx; movw $0x1234, %dx\n"
	     "jmp 1b\n");

/* One round of the guest: which of its three writes came to user space */
static u32 out_round(struct vcpu *vcpu)
{
	u32 sizes = 0;

	for (;;) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
		if (vcpu->run->io.port == LAST_PORT)
			return sizes;
		ASSERT_EQ(vcpu->run->io.port, PORT);
		sizes |= vcpu->run->io.size;
	}
}

TEST(port_lengths)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int fd = new_eventfd();
	u32 len;

	vcpu_setup_real(vcpu, &out_guest);
	EXPECT_EQ(out_round(vcpu), 7);
	for (len = 1; len <= 4; len *= 2) {
		ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, len, PIO, 0));
		EXPECT_EQ(out_round(vcpu), 7 & ~len);
		EXPECT_EQ(signals(fd), 1);
		ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, len, PIO | REMOVE, 0));
	}
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, 0, PIO, 0));
	EXPECT_EQ(out_round(vcpu), 0);
	EXPECT_EQ(signals(fd), 3);
	/* memory is another space, 8 bytes another length */
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, 0, PIO | REMOVE, 0));
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, 0, 0, 0));
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, 8, PIO, 0));
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT - 1, 2, PIO, 0));
	EXPECT_EQ(out_round(vcpu), 7);
	EXPECT_EQ(signals(fd), 0);
}

TEST(port_datamatch)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int fds[64], hit = new_eventfd();
	int i;

	vcpu_setup_real(vcpu, &out_guest);
	/* as a device with many queues has it */
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = new_eventfd();
		ASSERT_OK(ioeventfd(vcpu->vm, fds[i], PORT, 2, PIO | MATCH,
				    i * 3));
	}
	EXPECT_EQ(out_round(vcpu), 7);
	ASSERT_OK(ioeventfd(vcpu->vm, hit, PORT, 2, PIO | MATCH, 0x3344));
	EXPECT_EQ(out_round(vcpu), 1 | 4);
	EXPECT_EQ(signals(hit), 1);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		EXPECT_EQ(signals(fds[i]), 0);
	/* bits that no write of this length has never match */
	ASSERT_OK(ioeventfd(vcpu->vm, hit, PORT, 1, PIO | MATCH, 0x3344));
	EXPECT_EQ(out_round(vcpu), 1 | 4);
}

struct churn {
	struct vcpu *vcpu;
	bool stop;
	u64 rounds, exits;
};

static void *run_rounds(void *arg)
{
	struct churn *churn = arg;

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		churn->exits += __builtin_popcount(out_round(churn->vcpu));
		churn->rounds++;
	}
	return NULL;
}

/* Whatever changes while the guest runs, each write has exactly one taker. */
TEST(no_write_is_lost)
{
	struct churn churn = { .vcpu = vcpu_create(vm_create(), 0) };
	struct vm *vm = churn.vcpu->vm;
	int fd = new_eventfd(), other = new_eventfd(), i;
	pthread_t thread;

	vcpu_setup_real(churn.vcpu, &out_guest);
	ASSERT_EQ(pthread_create(&thread, NULL, run_rounds, &churn), 0);
	for (i = 0; i < CHURN; i++) {
		u32 len = 1 << i % 2;
		u64 match = i & 4 ? 0x11223344 : i;

		ASSERT_OK(ioeventfd(vm, fd, PORT, len, PIO, 0));
		ASSERT_OK(ioeventfd(vm, other, PORT, 4, PIO | MATCH, match));
		ASSERT_OK(ioeventfd(vm, fd, PORT, len, PIO | REMOVE, 0));
		ASSERT_OK(ioeventfd(vm, other, PORT, 4, PIO | MATCH | REMOVE,
				    match));
	}
	__atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(churn.exits + signals(fd) + signals(other),
		  3 * churn.rounds);
}

guest_code16(outs_guest,
	     "movw $0x1234, %dx\n"
	     "1: movw $data_outs - blob_start_outs_guest + 0x1000, %si\n"
	     "movw $6, %cx\n"
	     "cld; rep outsb\n"
	     "movw $0x1300, %dx; outb %al, %dx; movw $0x1234, %dx\n"
	     "jmp 1b\n"
	     "data_outs: .byte 7, 1, 7, 7, 2, 3\n");

/* Of a string, those that match are the kernel's, the others come in order. */
TEST(port_string)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	static const u8 expected[] = { 1, 2, 3 };
	int fd = new_eventfd();
	u8 got[8];
	u32 n = 0, i;

	vcpu_setup_real(vcpu, &outs_guest);
	ASSERT_OK(ioeventfd(vcpu->vm, fd, PORT, 1, PIO | MATCH, 7));
	for (;;) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
		if (vcpu->run->io.port == LAST_PORT)
			break;
		for (i = 0; i < vcpu->run->io.count && n < sizeof(got); i++)
			got[n++] = ((u8 *)vcpu_io_data(vcpu))[i];
	}
	/* KVM lets the first element decide for all. */
	if (!dev_is_minivmm())
		return;
	EXPECT_EQ(n, sizeof(expected));
	EXPECT_EQ(memcmp(got, expected, sizeof(expected)), 0);
	EXPECT_EQ(signals(fd), 3);
}

static void mmio_guest(void)
{
	volatile u8 *mmio = (u8 *)MMIO_GPA;

	for (;;) {
		*mmio = 0x88;
		*(volatile u16 *)mmio = 0x7788;
		*(volatile u32 *)mmio = 0x55667788;
		*(volatile u64 *)mmio = 0x1122334455667788;
		guest_sync(0, 0);
	}
}

static u32 mmio_round(struct vcpu *vcpu)
{
	struct guest_call call;
	u32 sizes = 0;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason != MINIVMM_EXIT_MMIO) {
			ASSERT_EQ(vcpu_guest_call(vcpu, reason, &call),
				  GUEST_SYNC);
			return sizes;
		}
		ASSERT(vcpu->run->mmio.is_write);
		sizes |= vcpu->run->mmio.len;
	}
}

TEST(mmio_lengths)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int fd = new_eventfd();
	u32 len;

	vcpu_setup_long(vcpu, mmio_guest, 0);
	EXPECT_EQ(mmio_round(vcpu), 15);
	for (len = 1; len <= 8; len *= 2) {
		ASSERT_OK(ioeventfd(vcpu->vm, fd, MMIO_GPA, len, 0, 0));
		EXPECT_EQ(mmio_round(vcpu), 15 & ~len);
		EXPECT_EQ(signals(fd), 1);
		ASSERT_OK(ioeventfd(vcpu->vm, fd, MMIO_GPA, len, REMOVE, 0));
	}
	ASSERT_OK(ioeventfd(vcpu->vm, fd, MMIO_GPA, 0, 0, 0));
	EXPECT_EQ(mmio_round(vcpu), 0);
	EXPECT_EQ(signals(fd), 4);
}

TEST(mmio_datamatch)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int hit = new_eventfd(), miss = new_eventfd();

	vcpu_setup_long(vcpu, mmio_guest, 0);
	ASSERT_OK(ioeventfd(vcpu->vm, hit, MMIO_GPA, 8, MATCH,
			    0x1122334455667788));
	ASSERT_OK(ioeventfd(vcpu->vm, hit, MMIO_GPA, 4, MATCH, 0x55667788));
	ASSERT_OK(ioeventfd(vcpu->vm, miss, MMIO_GPA, 2, MATCH, 0x88));
	EXPECT_EQ(mmio_round(vcpu), 1 | 2);
	EXPECT_EQ(signals(hit), 2);
	EXPECT_EQ(signals(miss), 0);
}

static void mmio_read_guest(void)
{
	volatile u32 *mmio = (u32 *)MMIO_GPA;

	GUEST_ASSERT(*mmio == 0xcafe);
	asm volatile("orl $0x10000, %0" : "+m"(*mmio));
}

/* Reads are for user space, even at an ioeventfd's address. */
TEST(reads_pass)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int fd = new_eventfd(), i;

	vcpu_setup_long(vcpu, mmio_read_guest, 0);
	ASSERT_OK(ioeventfd(vcpu->vm, fd, MMIO_GPA, 4, MATCH, 0x1cafe));
	for (i = 0; i < 2; i++) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
		ASSERT(!vcpu->run->mmio.is_write);
		*(u32 *)vcpu->run->mmio.data = 0xcafe;
	}
	ASSERT_DONE(vcpu);
	EXPECT_EQ(signals(fd), 1);
}

TEST(ioeventfd_errors)
{
	struct vm *vm = vm_create();
	int fd = new_eventfd(), not_eventfd = dev_open();

	EXPECT_ERRNO(ioeventfd(vm, fd, 0, 3, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0, 16, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, fd, ~0ULL, 4, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0, 4, 1 << 7, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0, 0, MATCH, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, -1, 0, 4, 0, 0), EBADF);
	EXPECT_ERRNO(ioeventfd(vm, not_eventfd, 0, 4, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0, 4, REMOVE, 0), ENOENT);
}

TEST(ioeventfd_collisions)
{
	struct vm *vm = vm_create();
	int fd = new_eventfd(), other = new_eventfd();

	ASSERT_OK(ioeventfd(vm, fd, 0x100, 4, MATCH, 7));
	EXPECT_ERRNO(ioeventfd(vm, other, 0x100, 4, MATCH, 7), EEXIST);
	EXPECT_ERRNO(ioeventfd(vm, other, 0x100, 4, 0, 0), EEXIST);
	EXPECT_ERRNO(ioeventfd(vm, other, 0x100, 0, 0, 0), EEXIST);
	EXPECT_OK(ioeventfd(vm, other, 0x100, 4, MATCH, 8));
	EXPECT_OK(ioeventfd(vm, other, 0x100, 2, 0, 0));
	EXPECT_ERRNO(ioeventfd(vm, other, 0x100, 2, MATCH, 7), EEXIST);
	EXPECT_OK(ioeventfd(vm, other, 0x101, 0, 0, 0));
	EXPECT_ERRNO(ioeventfd(vm, other, 0x101, 1, 0, 0), EEXIST);
	EXPECT_ERRNO(ioeventfd(vm, other, 0x101, 8, MATCH, 0), EEXIST);
	EXPECT_OK(ioeventfd(vm, other, 0x100, 4, MATCH | PIO, 7));

	/* everything must be as it was assigned */
	EXPECT_ERRNO(ioeventfd(vm, other, 0x100, 4, MATCH | REMOVE, 7),
		     ENOENT);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0x100, 4, REMOVE, 7), ENOENT);
	EXPECT_ERRNO(ioeventfd(vm, fd, 0x100, 2, MATCH | REMOVE, 7), ENOENT);
	EXPECT_OK(ioeventfd(vm, fd, 0x100, 4, MATCH | REMOVE, 7));
	EXPECT_ERRNO(ioeventfd(vm, fd, 0x100, 4, MATCH | REMOVE, 7), ENOENT);
	EXPECT_OK(ioeventfd(vm, fd, 0x100, 4, MATCH, 7));
	close(fd);
	vm_free(vm);
}

/* ------------------------------------------------------------------------ */
/* irqfd                                                                     */

static int irqfd(struct vm *vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct minivmm_irqfd args = {
		.fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample,
	};

	return ioctl(vm->fd, MINIVMM_IRQFD, &args);
}

#define IRQFD_REMOVE	MINIVMM_IRQFD_FLAG_DEASSIGN
#define RESAMPLE	MINIVMM_IRQFD_FLAG_RESAMPLE

static struct minivmm_irqchip get_pic(struct vm *vm)
{
	struct minivmm_irqchip chip = {
		.chip_id = MINIVMM_IRQCHIP_PIC_MASTER,
	};

	ASSERT_OK(ioctl(vm->fd, MINIVMM_GET_IRQCHIP, &chip));
	return chip;
}

/* An 8259 that has seen nothing yet; @level are the inputs that have levels */
static void clear_pic(struct vm *vm, u8 level)
{
	struct minivmm_irqchip chip = get_pic(vm);

	chip.chip.pic = (struct minivmm_pic_state) {
		.elcr = level, .elcr_mask = chip.chip.pic.elcr_mask,
	};
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip));
}

static struct vm *vm_with_chips(void)
{
	struct vm *vm = vm_create();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
	clear_pic(vm, 0);
	return vm;
}

/* KVM raises lines of a chip in a work item; we need not wait, but may. */
static bool requested(struct vm *vm)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (get_pic(vm).chip.pic.irr & 1 << GSI)
			return true;
		usleep(1000);
	}
	return false;
}

static void expect_nothing(struct vm *vm)
{
	usleep(20000);
	EXPECT(!(get_pic(vm).chip.pic.irr & 1 << GSI));
}

TEST(irqfd_injects)
{
	struct vm *vm = vm_with_chips();
	int fd = new_eventfd();

	ASSERT_OK(irqfd(vm, fd, GSI, 0, 0));
	expect_nothing(vm);
	signal_eventfd(fd);
	EXPECT(requested(vm));
	/* it is consumed, and the line was only pulsed */
	EXPECT_EQ(signals(fd), 0);
	clear_pic(vm, 0);
	signal_eventfd(fd);
	EXPECT(requested(vm));

	ASSERT_OK(irqfd(vm, fd, GSI, IRQFD_REMOVE, 0));
	clear_pic(vm, 0);
	signal_eventfd(fd);
	expect_nothing(vm);
	EXPECT_EQ(signals(fd), 1);
}

TEST(irqfd_signalled_before)
{
	struct vm *vm = vm_with_chips();
	int fd = new_eventfd();

	signal_eventfd(fd);
	ASSERT_OK(irqfd(vm, fd, GSI, 0, 0));
	EXPECT(requested(vm));
}

TEST(irqfd_other_process)
{
	struct vm *vm = vm_with_chips();
	int fd = new_eventfd(), status;
	pid_t pid;

	ASSERT_OK(irqfd(vm, fd, GSI, 0, 0));
	pid = ASSERT_OK(fork());
	if (!pid) {
		signal_eventfd(fd);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(requested(vm));
}

TEST(irqfd_hangs_up)
{
	struct vm *vm = vm_with_chips();
	int fd, i;

	for (i = 0; i < 20; i++) {
		fd = new_eventfd();
		ASSERT_OK(irqfd(vm, fd, GSI, i & 1 ? RESAMPLE : 0, fd));
		close(fd);
	}
	/* and with the VM, with its eventfd still open */
	fd = new_eventfd();
	ASSERT_OK(irqfd(vm, fd, GSI, 0, 0));
	vm_free(vm);
	signal_eventfd(fd);
	EXPECT_EQ(signals(fd), 1);
}

static void *signal_on(void *arg)
{
	u64 one = 1;
	int *fd = arg, now;

	while ((now = __atomic_load_n(fd, __ATOMIC_RELAXED)) >= 0)
		if (write(now, &one, sizeof(one)) < 0)
			ASSERT_EQ(errno, EAGAIN);
	return NULL;
}

/* The eventfd is signalled, the routes change, and the irqfd comes and goes. */
TEST(irqfd_churn)
{
	struct minivmm_irq_routing none = { 0 };
	int fd = new_eventfd(), resample = new_eventfd(), target = fd, i;
	struct vm *vm = vm_with_chips();
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, signal_on, &target), 0);
	for (i = 0; i < CHURN; i++) {
		ASSERT_OK(irqfd(vm, fd, i % 24, i & 1 ? RESAMPLE : 0,
				resample));
		if (i % 8 == 0)
			ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING,
					&none));
		if (i % 16 == 15) {
			vm_free(vm);
			vm = vm_with_chips();
		} else {
			ASSERT_OK(irqfd(vm, fd, i % 24, IRQFD_REMOVE, 0));
		}
	}
	__atomic_store_n(&target, -1, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
}

TEST(irqfd_errors)
{
	struct vm *vm = vm_with_chips(), *bare = vm_create();
	int fd = new_eventfd(), not_eventfd = dev_open();

	EXPECT_ERRNO(irqfd(vm, fd, GSI, 1 << 7, 0), EINVAL);
	EXPECT_ERRNO(irqfd(vm, -1, GSI, 0, 0), EBADF);
	EXPECT_ERRNO(irqfd(vm, not_eventfd, GSI, 0, 0), EINVAL);
	EXPECT_ERRNO(irqfd(vm, fd, GSI, RESAMPLE, -1), EBADF);
	EXPECT_ERRNO(irqfd(vm, fd, GSI, RESAMPLE, not_eventfd), EINVAL);
	EXPECT_ERRNO(irqfd(bare, fd, GSI, 0, 0), EINVAL);
	EXPECT_ERRNO(irqfd(vm, -1, GSI, IRQFD_REMOVE, 0), EBADF);
	/* none of this is an error, nor has an effect */
	EXPECT_OK(irqfd(vm, fd, GSI, IRQFD_REMOVE, 0));
	EXPECT_OK(irqfd(vm, fd, ~0U, 0, 0));
	signal_eventfd(fd);
	expect_nothing(vm);
	/* an eventfd is one irqfd */
	EXPECT_ERRNO(irqfd(vm, fd, GSI, 0, 0), EBUSY);
	EXPECT_OK(irqfd(vm, fd, GSI, IRQFD_REMOVE, 0));
	EXPECT_ERRNO(irqfd(vm, fd, GSI, 0, 0), EBUSY);
	EXPECT_OK(irqfd(vm, fd, ~0U, IRQFD_REMOVE, 0));
	EXPECT_OK(irqfd(vm, fd, GSI, 0, 0));
}

TEST(resample_needs_the_chips)
{
	struct minivmm_enable_cap cap = {
		.cap = MINIVMM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};
	struct vm *vm = vm_create();
	int fd = new_eventfd();

	ASSERT_OK(ioctl(vm->fd, MINIVMM_ENABLE_CAP, &cap));
	EXPECT_ERRNO(irqfd(vm, fd, GSI, RESAMPLE, fd), EINVAL);
	EXPECT_OK(irqfd(vm, fd, GSI, 0, 0));
}

/* Ends interrupt 5 of the master 8259, which the host says is in service. */
guest_code16(eoi_guest,
	     "1: movw $0x1300, %dx; outb %al, %dx\n"
	     "movb $0x65, %al; outb %al, $0x20\n"
	     "jmp 1b\n");

static void serve(struct vm *vm)
{
	struct minivmm_irqchip chip = get_pic(vm);

	chip.chip.pic.isr |= 1 << GSI;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_IRQCHIP, &chip));
}

TEST(resample)
{
	struct vm *vm = vm_with_chips();
	int fd = new_eventfd(), fd2 = new_eventfd();
	int resample = new_eventfd(), resample2 = new_eventfd();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_real(vcpu, &eoi_guest);
	clear_pic(vm, 1 << GSI);
	ASSERT_OK(irqfd(vm, fd, GSI, RESAMPLE, resample));
	ASSERT_OK(irqfd(vm, fd2, GSI, RESAMPLE, resample2));
	ASSERT_OUT(vcpu, LAST_PORT, 0);
	signal_eventfd(fd);
	EXPECT(requested(vm));
	serve(vm);
	EXPECT_EQ(signals(resample), 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	/* all are told, and the line is low until one raises it again */
	EXPECT_EQ(signals(resample), 1);
	EXPECT_EQ(signals(resample2), 1);
	expect_nothing(vm);
	signal_eventfd(fd2);
	EXPECT(requested(vm));
	/* the line is held for as long as there is one that could hold it */
	ASSERT_OK(irqfd(vm, fd2, GSI, IRQFD_REMOVE, 0));
	EXPECT(requested(vm));
	ASSERT_OK(irqfd(vm, fd, GSI, IRQFD_REMOVE, 0));
	expect_nothing(vm);
}

TEST(resample_and_line)
{
	struct minivmm_irq_level line = { .irq = GSI, .level = 1 };
	struct vm *vm = vm_with_chips();
	int fd = new_eventfd(), resample = new_eventfd();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_real(vcpu, &eoi_guest);
	clear_pic(vm, 1 << GSI);
	ASSERT_OK(irqfd(vm, fd, GSI, RESAMPLE, resample));
	signal_eventfd(fd);
	EXPECT(requested(vm));
	/* IRQ_LINE holds the same line: an EOI lets go of the irqfd's share */
	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQ_LINE, &line));
	serve(vm);
	ASSERT_OUT(vcpu, LAST_PORT, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(signals(resample), 1);
	EXPECT(requested(vm));
	line.level = 0;
	ASSERT_OK(ioctl(vm->fd, MINIVMM_IRQ_LINE, &line));
	expect_nothing(vm);
}

/* ------------------------------------------------------------------------ */
/* irqfds of a guest with a local APIC                                       */

#define VECTOR		0x60
#define PIN		20

static volatile u32 taken;

static void count_and_end(struct guest_regs *regs __attribute__((unused)))
{
	taken++;
	apic_eoi();
}

static void apic_guest(void)
{
	guest_handlers[VECTOR] = count_and_end;
	apic_start(XAPIC);
	ioapic_set_rte(PIN, RTE_LEVEL | VECTOR);
	for (;;) {
		guest_sync(0, taken);
		take_interrupts();
	}
}

static struct vcpu *start_apic_guest(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 0);

	vcpu_setup_long(vcpu, apic_guest, 0);
	ASSERT_EQ(ASSERT_SYNC(vcpu, 0), 0);
	return vcpu;
}

/* One interrupt for each signal: the line is low before its pin looks again. */
TEST(resample_ioapic)
{
	int fd = new_eventfd(), resample = new_eventfd(), i;
	struct vcpu *vcpu = start_apic_guest();

	ASSERT_OK(irqfd(vcpu->vm, fd, PIN, RESAMPLE, resample));
	for (i = 1; i <= 5; i++) {
		signal_eventfd(fd);
		/* KVM has a work item raise the line. */
		if (!dev_is_minivmm())
			usleep(20000);
		EXPECT_EQ(ASSERT_SYNC(vcpu, 0), i);
		EXPECT_EQ(signals(resample), 1);
	}
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 5);
	EXPECT_EQ(signals(resample), 0);
}

#define PIC_MASTER	0x20
#define PIC_SLAVE	0xa0
#define PIC_ELCR	0x4d0
#define PIC_BASE	0x30
#define MASTER_PIN	5
#define SLAVE_PIN	11
#define AUTO_EOI	3		/* ICW4, for x86 */
#define POLL		0x0c		/* OCW3 */
#define STORM		50		/* of a line that does not fall */

static volatile bool poll;

/* There is no EOI. */
static void count_auto(struct guest_regs *regs __attribute__((unused)))
{
	if (++taken == STORM)
		outb(PIC_MASTER + 1, 0xff);
}

static void init_chip(u16 port, u8 vector, u8 cascade)
{
	outb(port, 0x11);
	outb(port + 1, vector);
	outb(port + 1, cascade);
	outb(port + 1, AUTO_EOI);
	outb(port + 1, 0);
}

/* Two inputs have levels. It takes what comes, or asks for it. */
static void auto_eoi_guest(void)
{
	guest_handlers[PIC_BASE + MASTER_PIN] = count_auto;
	guest_handlers[PIC_BASE + SLAVE_PIN] = count_auto;
	apic_start(XAPIC);
	init_chip(PIC_MASTER, PIC_BASE, 4);
	init_chip(PIC_SLAVE, PIC_BASE + 8, 2);
	outb(PIC_ELCR, 1 << MASTER_PIN);
	outb(PIC_ELCR + 1, 1 << (SLAVE_PIN - 8));
	apic_write(APIC_LVT_LINT0, DM_EXTINT);
	for (;;) {
		guest_sync(0, taken);
		if (!poll) {
			take_interrupts();
			continue;
		}
		outb(PIC_MASTER, POLL);
		guest_sync(1, inb(PIC_MASTER));
	}
}

static void raise_irqfd(int fd)
{
	signal_eventfd(fd);
	/* KVM has a work item raise the line. */
	if (!dev_is_minivmm())
		usleep(20000);
}

static void expect_auto_eoi(struct vcpu *vcpu, u32 gsi)
{
	int fd = new_eventfd(), resample = new_eventfd(), i;
	u64 before = ASSERT_SYNC(vcpu, 0);

	ASSERT_OK(irqfd(vcpu->vm, fd, gsi, RESAMPLE, resample));
	for (i = 1; i <= 3; i++) {
		raise_irqfd(fd);
		EXPECT_EQ(ASSERT_SYNC(vcpu, 0), before + i);
		EXPECT_EQ(signals(resample), 1);
	}
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), before + 3);
	EXPECT_EQ(signals(resample), 0);
	ASSERT_OK(irqfd(vcpu->vm, fd, gsi, IRQFD_REMOVE, 0));
}

/* In automatic-EOI mode an interrupt is over when it is acknowledged. */
TEST(resample_auto_eoi)
{
	int fd = new_eventfd(), resample = new_eventfd();
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 0);
	u64 polled;

	vcpu_setup_long(vcpu, auto_eoi_guest, 0);
	expect_auto_eoi(vcpu, MASTER_PIN);
	expect_auto_eoi(vcpu, SLAVE_PIN);

	/* a poll is an acknowledge, too */
	*vm_guest_ptr(vcpu->vm, &poll) = true;
	ASSERT_OK(irqfd(vcpu->vm, fd, MASTER_PIN, RESAMPLE, resample));
	raise_irqfd(fd);
	polled = ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(polled & 7, MASTER_PIN);
	/* that there is one: KVM of 6.1 does not say so */
	EXPECT(polled & 0x80 || !dev_is_minivmm());
	EXPECT_EQ(signals(resample), 1);
	ASSERT_SYNC(vcpu, 0);
	EXPECT(!(ASSERT_SYNC(vcpu, 1) & 0x80));
	EXPECT_EQ(signals(resample), 0);
}

/* A message is in the local APIC when the write to the eventfd returns. */
TEST(irqfd_msi)
{
	struct {
		struct minivmm_irq_routing head;
		struct minivmm_irq_routing_entry entry;
	} routes = {
		.head.nr = 1,
		.entry = {
			.gsi = 1000, .type = MINIVMM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = MSI_DEST(0), .data = VECTOR },
		},
	};
	struct vcpu *vcpu = start_apic_guest();
	int fd = new_eventfd();

	ASSERT_OK(ioctl(vcpu->vm->fd, MINIVMM_SET_GSI_ROUTING, &routes));
	ASSERT_OK(irqfd(vcpu->vm, fd, 1000, 0, 0));
	signal_eventfd(fd);
	EXPECT(vcpu_apic_bit(vcpu, APIC_IRR, VECTOR));
	EXPECT_EQ(ASSERT_SYNC(vcpu, 0), 1);
}

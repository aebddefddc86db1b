// SPDX-License-Identifier: GPL-2.0
/* GET_STATS_FD: the format, and that the counters count. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "stats.h"

static void check_desc(const struct minivmm_stats_desc *desc, u32 *data_size)
{
	EXPECT(strlen(desc->name) > 0);
	EXPECT_GE(desc->size, 1);
	EXPECT_EQ(desc->offset % sizeof(u64), 0);
	if ((desc->flags & 0xf0) == MINIVMM_STATS_UNIT_SECONDS)
		EXPECT_EQ((s64)desc->exponent, -9);
	else
		EXPECT_EQ(desc->exponent, 0);
	if (desc->offset + desc->size * sizeof(u64) > *data_size)
		*data_size = desc->offset + desc->size * sizeof(u64);
}

static void check_format(const struct stats *stats)
{
	const struct minivmm_stats_header *header = &stats->header;
	u32 i, data_size = 0;
	char *data;

	EXPECT_EQ(header->flags, 0);
	EXPECT_GE(header->num_desc, 1);
	EXPECT_EQ(header->id_offset, sizeof(*header));
	EXPECT_GE(header->desc_offset, header->id_offset + header->name_size);
	EXPECT(strlen(stats->id) < header->name_size);
	EXPECT(!strncmp(stats->id, "kvm-", 4));
	for (i = 0; i < header->num_desc; i++) {
		struct minivmm_stats_desc *desc = stats_desc(stats, i);

		check_desc(desc, &data_size);
		free(desc);
	}
	/* all of it at once, and nothing behind it */
	data = malloc(data_size + 1);
	EXPECT_EQ(pread(stats->fd, data, data_size + 1, header->data_offset),
		  data_size);
	EXPECT_EQ(pread(stats->fd, data, 1, header->data_offset + data_size),
		  0);
	EXPECT_ERRNO(pread(stats->fd, (void *)0x1000, 8, 0), EFAULT);
	EXPECT_ERRNO(write(stats->fd, data, 1), EBADF);
	EXPECT(fcntl(stats->fd, F_GETFD) & FD_CLOEXEC);
	free(data);
}

TEST(format)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 3);
	struct stats of_vm, of_vcpu;
	char id[64];

	stats_open(&of_vm, vm->fd);
	check_format(&of_vm);
	stats_open(&of_vcpu, vcpu->fd);
	check_format(&of_vcpu);
	snprintf(id, sizeof(id), "kvm-%d", getpid());
	EXPECT(!strcmp(of_vm.id, id));
	snprintf(id, sizeof(id), "kvm-%d/vcpu-3", getpid());
	EXPECT(!strcmp(of_vcpu.id, id));
}

TEST(read_in_pieces)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	char whole[16384], piece[16384];
	ssize_t size, at = 0, got;
	struct stats stats;

	stats_open(&stats, vcpu->fd);
	size = pread(stats.fd, whole, sizeof(whole), 0);
	ASSERT(size > 0 && size < sizeof(whole));
	do {
		got = ASSERT_OK(pread(stats.fd, piece + at, 7, at));
		at += got;
	} while (got);
	EXPECT_EQ(at, size);
	EXPECT(!memcmp(whole, piece, size));
}

static void guest_exits(void)
{
	u32 regs[4];
	int i;

	for (i = 0; i < 100; i++)
		cpuid(0, 0, regs);
	guest_sync(1, 0);
	*(volatile u32 *)MMIO_GPA = 1;
	*(volatile u32 *)MMIO_GPA;
	asm volatile("vmcall" : : "a"(1000) : "memory");
	hlt();
	/* a page that was never touched */
	*(volatile u32 *)(DATA_GPA + 0x80000) = 1;
}

TEST(counted)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct stats stats;
	u64 exits, io, halts, calls, faults, fixed;

	vcpu_setup_long(vcpu, guest_exits, 0);
	stats_open(&stats, vcpu->fd);
	exits = stats_get(&stats, "exits");
	ASSERT_SYNC(vcpu, 1);
	EXPECT_GE(stats_get(&stats, "exits"), exits + 101);
	EXPECT_GE(stats_get(&stats, "pf_taken"), 1);
	EXPECT_GE(stats_get(&stats, "pf_fixed"), 1);

	io = stats_get(&stats, "io_exits");
	halts = stats_get(&stats, "halt_exits");
	calls = stats_get(&stats, "hypercalls");
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(stats_get(&stats, "mmio_exits"), 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(stats_get(&stats, "mmio_exits"), 2);
	EXPECT_GE(stats_get(&stats, "insn_emulation"), 2);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(stats_get(&stats, "halt_exits"), halts + 1);
	EXPECT_EQ(stats_get(&stats, "hypercalls"), calls + 1);
	EXPECT_EQ(stats_get(&stats, "io_exits"), io);
	faults = stats_get(&stats, "pf_taken");
	fixed = stats_get(&stats, "pf_fixed");
	madvise(vm_gpa(vcpu->vm, DATA_GPA + 0x80000), PAGE_SIZE, MADV_DONTNEED);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(stats_get(&stats, "io_exits"), io + 1);
	EXPECT_GE(stats_get(&stats, "pf_taken"), faults + 1);
	EXPECT_GE(stats_get(&stats, "pf_fixed"), fixed + 1);
}

static void on_interrupt(struct guest_regs *regs)
{
	(void)regs;
}

static void guest_interrupts(void)
{
	guest_handlers[0x55] = on_interrupt;
	guest_handlers[NMI_VECTOR] = on_interrupt;
	asm volatile("sti");
	guest_sync(1, 0);
	asm volatile("nop");
	guest_sync(2, 0);
}

TEST(injections)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_interrupt irq = { 0x55 };
	struct stats stats;

	vcpu_setup_long(vcpu, guest_interrupts, 0);
	ASSERT_SYNC(vcpu, 1);
	stats_open(&stats, vcpu->fd);
	EXPECT_EQ(stats_get(&stats, "irq_injections"), 0);
	EXPECT_EQ(stats_get(&stats, "nmi_injections"), 0);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_SYNC(vcpu, 2);
	/* again, whenever a page of the handler's was not there yet */
	EXPECT_GE(stats_get(&stats, "irq_injections"), 1);
	EXPECT_GE(stats_get(&stats, "nmi_injections"), 1);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void guest_halts(void)
{
	asm volatile("sti; hlt");
}

TEST(signals_and_waits)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct itimerval timer = { .it_value.tv_usec = 50000 };
	struct sigaction action = { .sa_handler = on_alarm };
	struct stats stats;

	vcpu_setup_long(vcpu, guest_halts, 0);
	stats_open(&stats, vcpu->fd);
	sigaction(SIGALRM, &action, NULL);
	ASSERT_OK(setitimer(ITIMER_REAL, &timer, NULL));
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(stats_get(&stats, "signal_exits"), 1);
	EXPECT_EQ(stats_get(&stats, "halt_exits"), 1);
	EXPECT(stats_get(&stats, "halt_wait_ns") > 0);
	EXPECT_EQ(stats_get(&stats, "blocking"), 0);
}

/* A descriptor outlives those of its VM; another process may read. */
TEST(outlives_the_vm)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct stats of_vm, of_vcpu;
	int status;
	pid_t pid;

	stats_open(&of_vm, vm->fd);
	stats_open(&of_vcpu, vcpu->fd);
	pid = fork();
	if (!pid)
		_exit(stats_get(&of_vcpu, "exits") != 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	if (!dev_is_minivmm())
		SKIP("in stock KVM 6.1 the descriptor does not hold the VM");
	vm_free(vm);
	EXPECT_EQ(stats_get(&of_vcpu, "exits"), 0);
	check_format(&of_vm);
}

TEST(not_on_the_device)
{
	int fd = dev_open();

	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_STATS_FD, 0), EINVAL);
}

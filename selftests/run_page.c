// SPDX-License-Identifier: GPL-2.0
/*
 * The run page is shared with whoever maps it, and may say anything at any
 * time.  The worst that a hostile client may achieve is an error of its own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

guest_code64(device_user,
	     "movl $0xd0000000, %esi\n"
	     "movl $0x300000, %edi\n"
	     "1: movl $0x1234, %edx\n"
	     "inl %dx, %eax\n"
	     "outl %eax, %dx\n"
	     "movl (%rsi), %eax\n"
	     "movl %eax, (%rsi)\n"
	     "pushq %rsi\n"
	     "pushq %rdi\n"
	     "movl $600, %ecx\n"
	     "rep insb\n"
	     "popq %rdi\n"
	     "movl $600, %ecx\n"
	     "movq %rdi, %rsi\n"
	     "rep outsb\n"
	     "popq %rsi\n"
	     "movl $16, %ecx\n"
	     "pushq %rdi\n"
	     "pushq %rsi\n"
	     "rep movsb\n"
	     "popq %rsi\n"
	     "popq %rdi\n"
	     "jmp 1b");

static struct vcpu *start(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &device_user);
	return vcpu;
}

static u32 random_state = 12345;

static u32 next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

/* What is input must be valid, else every RUN would end before it begins. */
static void make_inputs_valid(struct minivmm_run *run)
{
	run->immediate_exit = 0;
	run->request_interrupt_window = 0;
	run->cr8 = 0;
	run->minivmm_valid_regs = 0;
	run->minivmm_dirty_regs = 0;
}

/* Overwrite the page as a whole. */
static void scribble(struct minivmm_run *run, size_t size)
{
	u8 *byte = (u8 *)run;
	size_t i;

	for (i = 0; i < size; i++)
		byte[i] = next_random();
	make_inputs_valid(run);
}

static void expect_sane(struct vcpu *vcpu, int reason)
{
	struct minivmm_run *run = vcpu->run;

	switch (reason) {
	case MINIVMM_EXIT_IO:
		/* written by the kernel this time, so within the mapping */
		EXPECT(run->io.size == 1 || run->io.size == 4);
		EXPECT(run->io.data_offset + (u64)run->io.size * run->io.count
		       <= vcpu->run_size);
		break;
	case MINIVMM_EXIT_MMIO:
		EXPECT(run->mmio.len <= 8);
		break;
	default:
		FAIL("exit %s", exit_name(reason));
	}
}

/* Between exits: the kernel must not rely on what it wrote there. */
TEST(scribbled_between_exits)
{
	struct vcpu *vcpu = start();
	int i;

	for (i = 0; i < 500; i++) {
		expect_sane(vcpu, vcpu_run(vcpu));
		scribble(vcpu->run, sizeof(*vcpu->run));
	}
}

/* The same with bytes that a careless kernel would index or loop with */
TEST(extreme_values)
{
	static const u8 patterns[] = { 0x00, 0xff, 0x7f, 0x80 };
	struct vcpu *vcpu = start();
	struct minivmm_run *run = vcpu->run;
	int i;

	for (i = 0; i < 500; i++) {
		expect_sane(vcpu, vcpu_run(vcpu));
		memset(run, patterns[i % 4], sizeof(*run));
		make_inputs_valid(run);
	}
}

TEST(bad_cr8)
{
	struct vcpu *vcpu = start();

	vcpu->run->cr8 = 16;
	EXPECT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->cr8 = ~0UL;
	EXPECT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->cr8 = 0;
	EXPECT_EQ(vcpu_run(vcpu), MINIVMM_EXIT_IO);
}

/* Register sharing that nobody offered is refused, not ignored. */
TEST(unknown_shared_registers)
{
	struct vcpu *vcpu = start();

	vcpu->run->minivmm_valid_regs = 1UL << 63;
	EXPECT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_valid_regs = 0;
	vcpu->run->minivmm_dirty_regs = 1UL << 63;
	EXPECT_EQ(vcpu_run(vcpu), -EINVAL);
	vcpu->run->minivmm_dirty_regs = 0;
	EXPECT_EQ(vcpu_run(vcpu), MINIVMM_EXIT_IO);
}

/* apic_base is output only: SET_SREGS is how it is set. */
TEST(apic_base_is_output)
{
	struct vcpu *vcpu = start();

	vcpu->run->apic_base = ~0UL;
	EXPECT_EQ(vcpu_run(vcpu), MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->apic_base, 0xfee00900);
	EXPECT_EQ(vcpu_sregs(vcpu).apic_base, 0xfee00900);
}

static volatile bool stop;

static void *scribbler(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!stop) {
		scribble(vcpu->run, sizeof(*vcpu->run));
		sched_yield();
	}
	return NULL;
}

/* While RUN runs: each word is read once or the second look differs. */
TEST(scribbled_while_running)
{
	struct vcpu *vcpu = start();
	pthread_t thread;
	int i;

	ASSERT_EQ(pthread_create(&thread, NULL, scribbler, vcpu), 0);
	for (i = 0; i < 3000; i++) {
		/* what it wrote there may be gone already: only errors tell */
		if (ioctl(vcpu->fd, MINIVMM_RUN, 0) && errno != EINTR &&
		    errno != EINVAL)
			FAIL("RUN: %s", strerror(errno));
	}
	stop = true;
	pthread_join(thread, NULL);
	memset(vcpu->run, 0, sizeof(*vcpu->run));
	/* the machinery works on, for this vCPU and for a new one */
	expect_sane(vcpu, vcpu_run(vcpu));
	expect_sane(vcpu, vcpu_run(vcpu));
}

/* ------------------------------------------------------------------------ */
/* Mapping it                                                                */

static sigjmp_buf after_fault;

static void on_fault(int signal)
{
	siglongjmp(after_fault, signal);
}

/* Refused, or mapped to nothing: a touch is SIGBUS */
static bool maps_nothing(int fd, off_t offset)
{
	volatile char *page;

	page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, offset);
	if (page == MAP_FAILED)
		return true;
	if (!sigsetjmp(after_fault, 1)) {
		(void)*page;
		return false;
	}
	munmap((void *)page, PAGE_SIZE);
	return true;
}

TEST(mapping_limits)
{
	struct vcpu *vcpu = start();

	signal(SIGBUS, on_fault);
	EXPECT(!maps_nothing(vcpu->fd, 0));
	EXPECT(!maps_nothing(vcpu->fd, MINIVMM_PIO_PAGE_OFFSET * PAGE_SIZE));
	EXPECT(maps_nothing(vcpu->fd, vcpu->run_size));
	EXPECT(maps_nothing(vcpu->fd, vcpu->run_size + 1000 * PAGE_SIZE));
	EXPECT(maps_nothing(vcpu->fd, 1L << 40));
	EXPECT(mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, vcpu->fd, 0x800) ==
	       MAP_FAILED);
}

/* Two mappings are the same page; a private one must not be a trap. */
TEST(mapped_twice)
{
	struct vcpu *vcpu = start();
	struct minivmm_run *second, *private;

	second = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		      vcpu->fd, 0);
	ASSERT(second != MAP_FAILED);
	private = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		       vcpu->fd, 0);
	ASSERT_EQ(vcpu_run(vcpu), MINIVMM_EXIT_IO);
	EXPECT_EQ(second->exit_reason, MINIVMM_EXIT_IO);
	if (private != MAP_FAILED)
		private->exit_reason = 0xdead;
	EXPECT_EQ(second->exit_reason, MINIVMM_EXIT_IO);
	second->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
}

/* The run page as memory of a slot: the client may be that mad. */
TEST(mapped_as_guest_memory)
{
	struct vcpu *vcpu = start();

	/* the guest reads and writes its own run page: strange, not fatal */
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, MMIO_GPA, PAGE_SIZE,
			      vcpu->run));
	vcpu_run(vcpu);
	vcpu_run(vcpu);
	vcpu_run(vcpu);
}

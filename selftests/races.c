// SPDX-License-Identifier: GPL-2.0
/* Several threads at one VM, at one vCPU: serialised, nothing lost or torn. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

guest_code64(counting, "1: incl %eax; outl %eax, $0x10; jmp 1b");

static struct vcpu *start(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &counting);
	return vcpu;
}

#define THREADS	4

static void run_threads(void *(*body)(void *), void *arg)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, body, arg), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* ------------------------------------------------------------------------ */

#define RUNS	1000

static atomic_int exits;

static void *run_many_times(void *vcpu)
{
	int i;

	for (i = 0; i < RUNS; i++)
		if (!ioctl(((struct vcpu *)vcpu)->fd, MINIVMM_RUN, 0))
			exits++;
	return NULL;
}

/* RUN by several threads is RUN one after the other: an OUT for each. */
TEST(many_runners)
{
	struct vcpu *vcpu = start();

	run_threads(run_many_times, vcpu);
	EXPECT_EQ(exits, THREADS * RUNS);
	EXPECT_EQ(vcpu_regs(vcpu).rax, exits);
}

/* ------------------------------------------------------------------------ */

static volatile bool stop;

/* Get everything, set it again: between RUNs, so it must change nothing. */
static void *use_all_ioctls(void *arg)
{
	struct vcpu *vcpu = arg;
	struct minivmm_sregs sregs;
	struct minivmm_debugregs debugregs;
	struct minivmm_xsave xsave;
	struct minivmm_fpu fpu;
	struct timespec time = { .tv_nsec = 50000 };
	u64 value;

	while (!stop) {
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &xsave));
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave));
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_FPU, &fpu));
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &debugregs));
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &debugregs));
		sregs = vcpu_sregs(vcpu);
		EXPECT_EQ(sregs.cr3, PML4_GPA);
		vcpu_set_sregs(vcpu, &sregs);
		vcpu_regs(vcpu);
		vcpu_events(vcpu);
		EXPECT(vcpu_get_msr(vcpu, MSR_LSTAR, &value));
		EXPECT(vcpu_set_msr(vcpu, MSR_LSTAR, value + 4096));
		nanosleep(&time, NULL);
	}
	return NULL;
}

TEST(ioctls_between_runs)
{
	struct vcpu *vcpu = start();
	pthread_t thread;
	u32 i;

	ASSERT_EQ(pthread_create(&thread, NULL, use_all_ioctls, vcpu), 0);
	for (i = 1; i <= 3000; i++)
		ASSERT_OUT(vcpu, 0x10, i);
	stop = true;
	pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------ */

static atomic_int created[VM_MAX_VCPUS];

static void *create_all(void *arg)
{
	struct vm *vm = arg;
	int id, fd;

	for (id = 0; id < VM_MAX_VCPUS; id++) {
		fd = ioctl(vm->fd, MINIVMM_CREATE_VCPU, id);
		if (fd >= 0)
			created[id]++;
		else
			EXPECT_EQ(errno, EEXIST);
	}
	return NULL;
}

TEST(vcpus_created_in_parallel)
{
	struct vm *vm = vm_create();
	int id;

	run_threads(create_all, vm);
	for (id = 0; id < VM_MAX_VCPUS; id++)
		EXPECT_EQ(created[id], 1);
}

static void *create_and_run(void *unused)
{
	struct vcpu *vcpu;
	int i;

	(void)unused;
	for (i = 0; i < 10; i++) {
		vcpu = start();
		ASSERT_OUT(vcpu, 0x10, 1);
		vm_free(vcpu->vm);
	}
	return NULL;
}

TEST(vms_created_in_parallel)
{
	supported_cpuid();	/* fills its cache: not for many threads at once */
	run_threads(create_and_run, NULL);
}

/* ------------------------------------------------------------------------ */

static void *own_slot(void *arg)
{
	static atomic_int next = 1;
	struct vm *vm = arg;
	u32 slot = next++;
	u64 gpa = MMIO_GPA + slot * 0x100000;
	int i;

	for (i = 0; i < 50; i++) {
		ASSERT_OK(vm_set_slot(vm, slot, 0, gpa, 16 * PAGE_SIZE,
				      vm_gpa(vm, DATA_GPA)));
		ASSERT_OK(vm_set_slot(vm, slot, 0, 0, 0, NULL));
	}
	return NULL;
}

/* Slots change in several threads; the running guest has its own. */
static void *change_slots(void *vm)
{
	run_threads(own_slot, vm);
	stop = true;
	return NULL;
}

TEST(slots_changed_in_parallel)
{
	struct vcpu *vcpu = start();
	pthread_t thread;
	u32 i;

	ASSERT_EQ(pthread_create(&thread, NULL, change_slots, vcpu->vm), 0);
	for (i = 1; !stop; i++)
		ASSERT_OUT(vcpu, 0x10, i);
	pthread_join(thread, NULL);
	EXPECT_EQ(vcpu_regs(vcpu).rax, i - 1);
}

/* ------------------------------------------------------------------------ */

static void *kick(void *arg)
{
	struct timespec time = { .tv_nsec = 200000 };
	struct vcpu *vcpu = arg;
	struct minivmm_interrupt irq = { 0x40 };

	while (!stop) {
		ioctl(vcpu->fd, MINIVMM_NMI, 0);
		ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq);
		nanosleep(&time, NULL);
	}
	return NULL;
}

guest_code64(iret, "iretq");
guest_code64(interruptible, "sti; 1: incl %eax; outl %eax, $0x10; jmp 1b");

/* Events from another thread: the guest takes them and loses its place never */
TEST(events_from_another_thread)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 *idt = vm_gpa(vcpu->vm, IDT_GPA);
	pthread_t thread;
	u32 i;

	vcpu_setup_blob64(vcpu, &interruptible);
	memcpy(vm_gpa(vcpu->vm, DATA_GPA), iret.start, 2);
	for (i = 0; i < 256; i++)
		idt[2 * i] = (DATA_GPA & 0xffff) | (u64)SEL_CODE64 << 16 |
			     0x8eUL << 40 | (DATA_GPA >> 16) << 48;
	ASSERT_EQ(pthread_create(&thread, NULL, kick, vcpu), 0);
	for (i = 1; i <= 3000; i++)
		ASSERT_OUT(vcpu, 0x10, i);
	stop = true;
	pthread_join(thread, NULL);
}

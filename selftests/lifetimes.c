// SPDX-License-Identifier: GPL-2.0
/*
 * File descriptors and mappings may go away in any order, by any hand, with
 * the guest running.  Whether something leaked is seen afterwards: the testbed
 * removes the modules and reads the kernel log.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

guest_code64(counting,
	     "sti\n"
	     "1: incl %eax\n"
	     "outl %eax, $0x10\n"
	     "jmp 1b");

/* Spins with interrupts enabled: only a signal ends its RUN. */
guest_code64(spinning, "sti; 1: pause; jmp 1b");

static struct vcpu *start(const struct blob *blob)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, blob);
	return vcpu;
}

/* Close the device, the VM and the vCPU in each of the six orders. */
TEST(close_orders)
{
	static const int orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct vcpu *vcpu;
	int fds[3], i, j;

	for (i = 0; i < 6; i++) {
		vcpu = start(&counting);
		ASSERT_OUT(vcpu, 0x10, 1);
		fds[0] = vcpu->vm->dev_fd;
		fds[1] = vcpu->vm->fd;
		fds[2] = vcpu->fd;
		for (j = 0; j < 3; j++)
			close(fds[orders[i][j]]);
		munmap(vcpu->run, vcpu->run_size);
		munmap(vcpu->vm->mem, VM_MEM_SIZE);
	}
}

/* The vCPU holds the VM, slots and all, and the VM the module. */
TEST(vcpu_outlives_vm)
{
	struct vcpu *vcpu = start(&counting);

	close(vcpu->vm->dev_fd);
	close(vcpu->vm->fd);
	ASSERT_OUT(vcpu, 0x10, 1);
	ASSERT_OUT(vcpu, 0x10, 2);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 2);
}

TEST(mapping_outlives_descriptors)
{
	struct vcpu *vcpu = start(&counting);

	ASSERT_OUT(vcpu, 0x10, 1);
	close(vcpu->vm->dev_fd);
	close(vcpu->vm->fd);
	close(vcpu->fd);
	EXPECT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_IO);
	EXPECT_EQ(*(u32 *)vcpu_io_data(vcpu), 1);
	vcpu->run->immediate_exit = 1;
	munmap(vcpu->run, vcpu->run_size);
}

/* The mapping alone holds nothing that a new VM could trip over. */
TEST(many_vms)
{
	struct vcpu *vcpu;
	int i;

	for (i = 0; i < 50; i++) {
		vcpu = start(&counting);
		ASSERT_OUT(vcpu, 0x10, 1);
		vm_free(vcpu->vm);
	}
}

static int back_end_users(void)
{
	const char *path = "/sys/module/minivmm_intel/refcnt";
	FILE *file = fopen(path, "r");
	int users;

	if (!file)
		SKIP("%s: %s", path, strerror(errno));
	ASSERT_EQ(fscanf(file, "%d", &users), 1);
	fclose(file);
	return users;
}

/* The device's own descriptor uses the back end as well: for CREATE_VM. */
TEST(open_device_holds_back_end)
{
	int before, fd;

	if (!dev_is_minivmm())
		SKIP("KVM registers its device in the back end");
	before = back_end_users();
	fd = dev_open();
	ASSERT_EQ(back_end_users(), before + 1);
	ASSERT_ERRNO(syscall(SYS_delete_module, "minivmm_intel", O_NONBLOCK),
		     EWOULDBLOCK);
	close(ASSERT_OK(ioctl(fd, MINIVMM_CREATE_VM, 0)));
	close(fd);
	EXPECT_EQ(back_end_users(), before);
}

TEST(dup)
{
	struct vcpu *vcpu = start(&counting);
	int copy = ASSERT_OK(dup(vcpu->fd));

	ASSERT_OUT(vcpu, 0x10, 1);
	close(vcpu->fd);
	vcpu->fd = copy;
	ASSERT_OUT(vcpu, 0x10, 2);
}

/* Memory goes first: the guest finds no page, and RUN says EFAULT. */
TEST(memory_goes_first)
{
	struct vcpu *vcpu = start(&counting);

	ASSERT_OUT(vcpu, 0x10, 1);
	munmap(vcpu->vm->mem, VM_MEM_SIZE);
	ASSERT_EQ(vcpu_run(vcpu), -EFAULT);
	ASSERT_EQ(vcpu_run(vcpu), -EFAULT);
}

/* ------------------------------------------------------------------------ */
/* fork                                                                      */

static int in_child(void (*body)(struct vcpu *vcpu), struct vcpu *vcpu)
{
	int status;
	pid_t pid = ASSERT_OK(fork());

	if (!pid) {
		body(vcpu);
		test_exit();
	}
	ASSERT_OK(waitpid(pid, &status, 0));
	return status;
}

static void child_uses(struct vcpu *vcpu)
{
	struct minivmm_regs regs;

	/* another address space: the HVAs of the slots mean nothing there */
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_RUN, 0), EIO);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_REGS, &regs), EIO);
	EXPECT_ERRNO(ioctl(vcpu->vm->fd, MINIVMM_CREATE_VCPU, 1), EIO);
	EXPECT_ERRNO(vm_set_slot(vcpu->vm, 1, 0, 1ULL << 32, PAGE_SIZE,
				 vcpu->vm->mem), EIO);
}

TEST(fork_child_is_refused)
{
	struct vcpu *vcpu = start(&counting);

	ASSERT_OUT(vcpu, 0x10, 1);
	EXPECT_EQ(in_child(child_uses, vcpu), 0);
	ASSERT_OUT(vcpu, 0x10, 2);
}

/* The child is the last to hold the descriptors, the memory is gone. */
TEST(child_closes_last)
{
	struct vcpu *vcpu = start(&counting);
	int ready[2], status;
	char byte = 0;
	pid_t pid, keeper;

	ASSERT_OUT(vcpu, 0x10, 1);
	ASSERT_OK(pipe(ready));
	pid = ASSERT_OK(fork());
	if (!pid) {
		/* a VM of this process, kept by its child after its death */
		struct vcpu *mine = start(&counting);

		ASSERT_OUT(mine, 0x10, 1);
		keeper = ASSERT_OK(fork());
		if (keeper)
			_exit(0);
		ASSERT_EQ(read(ready[0], &byte, 1), 1);
		EXPECT_ERRNO(ioctl(mine->fd, MINIVMM_RUN, 0), EIO);
		close(mine->fd);
		close(mine->vm->fd);
		_exit(0);
	}
	ASSERT_OK(waitpid(pid, &status, 0));
	ASSERT_EQ(write(ready[1], &byte, 1), 1);
	ASSERT_OUT(vcpu, 0x10, 2);
}

/* ------------------------------------------------------------------------ */
/* Death                                                                     */

#define VCPUS	3

static void *run_forever(void *vcpu)
{
	for (;;)
		vcpu_run(vcpu);
	return NULL;
}

static void start_threads(const struct blob *blob)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;
	pthread_t thread;
	int i;

	for (i = 0; i < VCPUS; i++) {
		vcpu = vcpu_create(vm, i);
		vcpu_setup_blob64(vcpu, blob);
		ASSERT_EQ(pthread_create(&thread, NULL, run_forever, vcpu), 0);
	}
}

static void nap(int milliseconds)
{
	struct timespec time = { .tv_nsec = milliseconds * 1000000L };

	nanosleep(&time, NULL);
}

static void kill_mid_run(const struct blob *blob, int delay)
{
	int status;
	pid_t pid = ASSERT_OK(fork());

	if (!pid) {
		start_threads(blob);
		for (;;)
			pause();
	}
	nap(delay);
	kill(pid, SIGKILL);
	ASSERT_OK(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The delays let the killer strike during creation, first faults, and runs. */
TEST(kill_9_in_the_guest)
{
	int delay;

	for (delay = 2; delay <= 128; delay *= 2)
		kill_mid_run(&spinning, delay);
}

TEST(kill_9_between_exits)
{
	int delay;

	for (delay = 2; delay <= 128; delay *= 2)
		kill_mid_run(&counting, delay);
}

TEST(exit_while_another_thread_runs)
{
	int status;
	pid_t pid = ASSERT_OK(fork());

	if (!pid) {
		start_threads(&spinning);
		nap(20);
		_exit(7);
	}
	ASSERT_OK(waitpid(pid, &status, 0));
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* A crash dumps core or not; either way the vCPUs stop. */
TEST(crash_while_another_thread_runs)
{
	int status;
	pid_t pid = ASSERT_OK(fork());

	if (!pid) {
		start_threads(&spinning);
		nap(20);
		raise(SIGSEGV);
	}
	ASSERT_OK(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* close() of a descriptor whose RUN is in progress: that RUN goes on. */
static void *run_once(void *arg)
{
	struct vcpu *vcpu = arg;

	return (void *)(long)vcpu_run(vcpu);
}

static void ignore(int signal)
{
	(void)signal;
}

TEST(close_during_run)
{
	struct vcpu *vcpu = start(&spinning);
	struct sigaction action = { .sa_handler = ignore };
	pthread_t thread;
	void *result;

	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(pthread_create(&thread, NULL, run_once, vcpu), 0);
	nap(20);
	close(vcpu->fd);
	close(vcpu->vm->fd);
	nap(20);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &result);
	EXPECT_EQ((long)result, -EINTR);
}

/* Several vCPUs of a VM, some never run, some mid-run, all gone at once */
TEST(many_vcpus)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;
	int i;

	for (i = 0; i < VM_MAX_VCPUS; i++) {
		vcpu = vcpu_create(vm, i);
		if (i % 2)
			continue;
		vcpu_setup_blob64(vcpu, &counting);
		ASSERT_OUT(vcpu, 0x10, 1);
	}
	vm_free(vm);
}

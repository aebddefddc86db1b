// SPDX-License-Identifier: GPL-2.0
/* Signals and immediate_exit end RUN: none is lost, none is late. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

/* Both wait with IF = 1, see the note in lib/guest.h. */
guest_code64(spinning, "sti; 1: pause; jmp 1b");
guest_code64(talking, "sti; 1: incl %eax; outl %eax, $0x10; jmp 1b");
guest_code64(two_outs, "outb %al, $0x10; outb %al, $0x11; hlt");

static volatile sig_atomic_t signals;
static struct minivmm_run *run_page;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
}

/* The documented use: the handler makes the next RUN return. */
static void on_signal_exit(int signal)
{
	(void)signal;
	signals++;
	run_page->immediate_exit = 1;
}

static void catch(int signal, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	ASSERT_OK(sigaction(signal, &action, NULL));
}

static struct vcpu *start(const struct blob *blob)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, blob);
	run_page = vcpu->run;
	return vcpu;
}

static void alarm_in(int microseconds)
{
	struct itimerval timer = { .it_value.tv_usec = microseconds };

	ASSERT_OK(setitimer(ITIMER_REAL, &timer, NULL));
}

TEST(sigalrm_interrupts_run)
{
	struct vcpu *vcpu = start(&spinning);

	catch(SIGALRM, on_signal);
	alarm_in(20000);
	vcpu->run->exit_reason = 0xdead;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_INTR);
	EXPECT_EQ(signals, 1);
	/* and the guest can go on */
	alarm_in(20000);
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(signals, 2);
}

guest_code64(deaf, "cli; 1: pause; jmp 1b");

/* A guest with interrupts disabled is interrupted all the same. */
TEST(guest_with_interrupts_disabled)
{
	struct vcpu *vcpu = start(&deaf);
	int i;

	if (!dev_is_minivmm())
		SKIP("a guest that spins with IF=0 hangs Bochs under KVM");
	catch(SIGALRM, on_signal);
	for (i = 1; i <= 5; i++) {
		alarm_in(20000);
		ASSERT_EQ(vcpu_run(vcpu), -EINTR);
		EXPECT_EQ(signals, i);
	}
}

/* RUN is not restarted behind the client's back, whatever SA_RESTART says. */
TEST(no_restart)
{
	struct vcpu *vcpu = start(&spinning);
	struct sigaction action = {
		.sa_handler = on_signal, .sa_flags = SA_RESTART,
	};

	ASSERT_OK(sigaction(SIGALRM, &action, NULL));
	alarm_in(20000);
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(signals, 1);
}

TEST(pending_signal)
{
	struct vcpu *vcpu = start(&spinning);
	sigset_t set, old;
	struct {
		struct minivmm_signal_mask mask;
		u64 set;
	} __attribute__((packed)) arg = { .mask.len = 8 };

	catch(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGUSR1);
	/* blocked outside, open inside RUN: it returns at once */
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg));
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_INTR);
	/* RUN swapped the mask back: the signal is still pending, blocked */
	EXPECT_EQ(signals, 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(signals, 1);
}

/*
 * Blocked outside, open inside RUN, and it arrives while the guest runs. What
 * the thread blocks neither kills it nor is it dropped: sigwait() shall find it.
 */
static void signal_waits_after_run(void)
{
	struct vcpu *vcpu = start(&spinning);
	sigset_t set, pending;
	struct {
		struct minivmm_signal_mask mask;
		u64 set;
	} __attribute__((packed)) arg = { .mask.len = 8 };

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg));
	alarm_in(20000);
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	ASSERT_OK(sigpending(&pending));
	EXPECT_EQ(sigismember(&pending, SIGALRM), 1);
}

TEST(blocked_signal_does_not_kill)
{
	catch(SIGALRM, SIG_DFL);
	signal_waits_after_run();
}

TEST(blocked_signal_is_not_ignored)
{
	catch(SIGALRM, SIG_IGN);
	signal_waits_after_run();
}

/* The other way round: open outside, blocked inside RUN */
TEST(signal_blocked_in_run)
{
	struct vcpu *vcpu = start(&talking);
	struct {
		struct minivmm_signal_mask mask;
		u64 set;
	} __attribute__((packed)) arg = {
		.mask.len = 8, .set = 1UL << (SIGALRM - 1),
	};
	int reason;

	catch(SIGALRM, on_signal);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg));
	alarm_in(5000);
	while (!signals) {
		reason = vcpu_run(vcpu);
		if (reason != MINIVMM_EXIT_IO)
			FAIL("%s", exit_name(reason));
	}
	/* without the mask it interrupts again */
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, NULL));
	vcpu_setup_blob64(vcpu, &spinning);
	alarm_in(5000);
	EXPECT_EQ(vcpu_run(vcpu), -EINTR);
}

TEST(immediate_exit)
{
	struct vcpu *vcpu = start(&two_outs);

	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu_regs(vcpu).rip, BLOB_GPA);
	vcpu->run->immediate_exit = 0;
	ASSERT_OUT(vcpu, 0x10, 0);
	/* it completes the exit before, and executes nothing more */
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu_regs(vcpu).rip, BLOB_GPA + 2);
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	ASSERT_OUT(vcpu, 0x11, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

guest_code64(reads, "inl $0x10, %eax; movl $0xd0000000, %esi;"
	     "movl (%rsi), %ebx; hlt");

/* How clients finish an IN or an MMIO read before they save a vCPU's state */
TEST(immediate_exit_completes_reads)
{
	struct vcpu *vcpu = start(&reads);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	*(u32 *)vcpu_io_data(vcpu) = 0x12345678;
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0x12345678);
	/* what was the last exit is still to be seen */
	EXPECT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_IO);
	vcpu->run->immediate_exit = 0;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	memcpy(vcpu->run->mmio.data, "\x11\x22\x33\x44", 4);
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0x44332211);
	EXPECT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_MMIO);
	vcpu->run->immediate_exit = 0;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

/*
 * The race that immediate_exit exists for: a signal between the client's last
 * look and the ioctl.  It is hit by signals at ever other instants; a lost one
 * would leave RUN spinning until the harness kills the test.
 */
TEST(immediate_exit_race)
{
	struct vcpu *vcpu = start(&spinning);
	int i;

	catch(SIGALRM, on_signal_exit);
	for (i = 1; i <= 200; i++) {
		vcpu->run->immediate_exit = 0;
		alarm_in(1 + i * 7 % 97);
		ASSERT_EQ(vcpu_run(vcpu), -EINTR);
		while (signals < i)
			;
	}
}

static pthread_t runner;
static volatile bool stop;

static void *send_signals(void *arg)
{
	struct timespec time = { .tv_nsec = 300000 };

	while (!stop) {
		pthread_kill(runner, SIGRTMIN);
		nanosleep(&time, NULL);
	}
	return arg;
}

/* Real-time signals queue; a storm of them must not starve or confuse RUN. */
TEST(rt_signal_storm)
{
	struct vcpu *vcpu = start(&talking);
	u32 expected = 1;
	pthread_t sender;
	int reason, interrupted = 0;

	catch(SIGRTMIN, on_signal);
	runner = pthread_self();
	ASSERT_EQ(pthread_create(&sender, NULL, send_signals, NULL), 0);
	while (expected < 3000 || interrupted < 10) {
		reason = vcpu_run(vcpu);
		if (reason == -EINTR) {
			interrupted++;
			continue;
		}
		ASSERT_EQ(reason, MINIVMM_EXIT_IO);
		/* neither a lost nor a repeated OUT */
		ASSERT_EQ(*(u32 *)vcpu_io_data(vcpu), expected);
		expected++;
	}
	stop = true;
	pthread_join(sender, NULL);
}

/* SIGSTOP and SIGCONT: RUN may return EINTR but the guest is unharmed. */
TEST(stop_and_continue)
{
	struct vcpu *vcpu = start(&talking);
	u32 expected = 1;
	pid_t parent = getpid(), child;
	struct timespec time = { .tv_nsec = 2000000 };
	int i, reason;

	child = ASSERT_OK(fork());
	if (!child) {
		for (i = 0; i < 10; i++) {
			kill(parent, SIGSTOP);
			nanosleep(&time, NULL);
			kill(parent, SIGCONT);
			nanosleep(&time, NULL);
		}
		_exit(0);
	}
	while (expected < 5000) {
		reason = vcpu_run(vcpu);
		if (reason == -EINTR)
			continue;
		ASSERT_EQ(reason, MINIVMM_EXIT_IO);
		ASSERT_EQ(*(u32 *)vcpu_io_data(vcpu), expected);
		expected++;
	}
}

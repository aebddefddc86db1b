// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs that move between CPUs at moments of somebody else's choice: guest and
 * host still find their registers as they left them.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <asm/prctl.h>

#include "canaries.h"

#define NR_VMS		2
#define NR_VCPUS	2	/* of each */
#define NR_GUESTS	(NR_VMS * NR_VCPUS)

struct runner {
	pthread_t thread;
	struct vcpu *vcpu;
	atomic_int tid;
	int moves;
};

static struct runner runners[NR_GUESTS];
static atomic_int running = NR_GUESTS;

/* Between two runs, the thread's own GS base and 64-bit registers */
static void *run_to_the_end(void *arg)
{
	struct runner *runner = arg;
	u64 data = (uintptr_t)runner * 0x9e3779b97f4a7c15, value;
	int cpu = sched_getcpu();

	ASSERT_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, &data));
	runner->tid = gettid();
	while (canary_step(runner->vcpu)) {
		asm volatile("movq %%gs:0, %0" : "=r"(value));
		ASSERT_EQ(value, data);
		if (sched_getcpu() != cpu) {
			cpu = sched_getcpu();
			runner->moves++;
		}
	}
	running--;
	return NULL;
}

static void start_runners(void)
{
	struct vm *vm = NULL;
	int i;

	for (i = 0; i < NR_GUESTS; i++) {
		if (i % NR_VCPUS == 0)
			vm = vm_create();
		runners[i].vcpu = canary_vcpu(vm, i % NR_VCPUS, 3 * i + 1);
		*vm_guest_ptr(vm, &canary_rounds) = 300;
	}
	for (i = 0; i < NR_GUESTS; i++)
		ASSERT(!pthread_create(&runners[i].thread, NULL,
				       run_to_the_end, &runners[i]));
}

/* To another CPU, or now and then to whichever the scheduler likes */
static void move(struct runner *runner, u64 random)
{
	int nr = sysconf(_SC_NPROCESSORS_ONLN), i;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(random % nr, &set);
	for (i = 0; random % 16 == 15 && i < nr; i++)
		CPU_SET(i, &set);
	/* It may have ended meanwhile. */
	if (runner->tid)
		sched_setaffinity(runner->tid, sizeof(set), &set);
}

TEST(guests_migrate)
{
	u64 seed = 20, random;
	int i, moves = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP("needs a host with two CPUs");
	start_runners();
	while (running) {
		random = next_random(&seed);
		move(&runners[random >> 8 & (NR_GUESTS - 1)], random >> 20);
		usleep(random >> 40 & 511);
	}
	for (i = 0; i < NR_GUESTS; i++) {
		pthread_join(runners[i].thread, NULL);
		moves += runners[i].moves;
	}
	ksft_print_msg("%d moves\n", moves);
	EXPECT_GE(moves, NR_GUESTS);
}

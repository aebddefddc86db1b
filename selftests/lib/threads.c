// SPDX-License-Identifier: GPL-2.0
/* Guests with several vCPUs; see threads.h. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "threads.h"

/* Seconds after which a guest that does not end counts as hung */
#define HANG_TIMEOUT	30

static pthread_t threads[VM_MAX_VCPUS];
static atomic_int running;
static u64 random_state = 7;

void vcpus_setup(struct vm *vm, int count, void *fn)
{
	struct minivmm_mp_state state = { MINIVMM_MP_STATE_RUNNABLE };
	struct vcpu *vcpu;
	int i;

	for (i = 0; i < count; i++) {
		vcpu = vcpu_create(vm, i);
		vcpu_setup_long(vcpu, fn, i);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &state));
	}
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason == -EINTR)
			continue;
		switch (vcpu_guest_call(vcpu, reason, NULL)) {
		case GUEST_SYNC:
			continue;
		case GUEST_DONE:
			running--;
			return NULL;
		}
		vcpu_describe_exit(vcpu, reason);
		FAIL("vCPU %d: exit %s", vcpu->id, exit_name(reason));
	}
}

void vcpus_start(struct vm *vm)
{
	int i;

	for (i = 0; i < VM_MAX_VCPUS; i++)
		running += !!vm->vcpus[i];
	for (i = 0; i < VM_MAX_VCPUS; i++)
		if (vm->vcpus[i])
			ASSERT(!pthread_create(&threads[i], NULL, run_vcpu,
					       vm->vcpus[i]));
}

bool vcpus_done(struct vm *vm)
{
	(void)vm;
	return !running;
}

void vcpus_join(struct vm *vm, void (*describe)(struct vm *vm))
{
	struct timespec limit;
	int i, hung = 0;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_TIMEOUT;
	for (i = 0; i < VM_MAX_VCPUS; i++) {
		if (!vm->vcpus[i] ||
		    !pthread_timedjoin_np(threads[i], NULL, &limit))
			continue;
		ksft_print_msg("vCPU %d does not end\n", i);
		hung++;
	}
	if (hung && describe)
		describe(vm);
	ASSERT_EQ(hung, 0);
}

int host_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

void thread_migrate(pthread_t thread)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(random_below(host_cpus()), &set);
	/* a thread that has ended is no error */
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

void vcpus_migrate(struct vm *vm)
{
	int i = random_below(VM_MAX_VCPUS);

	while (!vm->vcpus[i])
		i = (i + 1) % VM_MAX_VCPUS;
	thread_migrate(threads[i]);
}

void pause_us(u32 us)
{
	struct timespec time = {
		.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000,
	};

	nanosleep(&time, NULL);
}

void random_seed(u64 seed)
{
	random_state = seed;
}

u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ULL +
		       1442695040888963407ULL;
	return (u32)(random_state >> 33) % limit;
}

/* A line of /proc/cpuinfo has it: "vmx flags : ... flexpriority apicv ..." */
bool host_cpu_has(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[4096], word[32];
	bool has = false;

	ASSERT(file);
	snprintf(word, sizeof(word), " %s ", flag);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = ' ';
		has |= !strncmp(line, "vmx flags", 9) && strstr(line, word);
	}
	fclose(file);
	return has;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests with several vCPUs: a thread for each, and what disturbs them.
 */
#ifndef SELFTESTS_THREADS_H
#define SELFTESTS_THREADS_H

#include <pthread.h>

#include "vm.h"

/**
 * vcpus_setup - create vCPUs 0 to @count - 1, all about to call fn(id)
 *
 * With local APICs in the kernel none of them waits for INIT and SIPI.
 */
void vcpus_setup(struct vm *vm, int count, void *fn);

/**
 * vcpus_start - run every vCPU in a thread of its own until its guest is done
 *
 * Guest calls and signals are passed over; any other exit ends the test.
 */
void vcpus_start(struct vm *vm);

/**
 * vcpus_done - whether all those threads have ended
 */
bool vcpus_done(struct vm *vm);

/**
 * vcpus_join - wait for the threads; name those that do not end
 * @describe: prints more about a hang, or NULL
 */
void vcpus_join(struct vm *vm, void (*describe)(struct vm *vm));

/** vcpus_migrate - move one vCPU's thread to a CPU of the host, both random */
void vcpus_migrate(struct vm *vm);

/** thread_migrate - move a thread to a random CPU of the host */
void thread_migrate(pthread_t thread);

/** host_cpus - how many CPUs the host has */
int host_cpus(void);

/** host_cpu_has - whether its CPU has a feature of VMX, in Linux's words */
bool host_cpu_has(const char *flag);

/** pause_us - sleep so many microseconds */
void pause_us(u32 us);

/** random_seed - start the sequence of random_below() */
void random_seed(u64 seed);

/** random_below - a number below @limit; for one thread at a time */
u32 random_below(u32 limit);

#endif /* SELFTESTS_THREADS_H */

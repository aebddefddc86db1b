// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of bench: what the host alone takes, for system calls, for changing
 * threads and for waking one.  No hypervisor can do with less.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bench_irq.h"

#define CHUNK		20	/* so few that the host's tick is rare */

static int new_eventfd(void)
{
	return ASSERT_OK(eventfd(0, EFD_CLOEXEC));
}

static void write_eventfd(int fd)
{
	u64 one = 1;

	ASSERT_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

static void read_eventfd(int fd)
{
	u64 count;

	ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
}

/* The lower quartile of chunks of what @once does */
static struct sample measure_chunks(const struct op *op, void (*once)(int fd),
				    int fd)
{
	u32 nr = op->runs / CHUNK, i, j;
	struct sample chunks[nr], sample;

	memset(chunks, 0, sizeof(chunks));
	once(fd);
	for (i = 0; i < nr; i++) {
		begin(&chunks[i]);
		for (j = 0; j < CHUNK; j++)
			once(fd);
		end(&chunks[i]);
	}
	sample = lower_quartile(chunks, nr);
	sample.ops = CHUNK;
	return sample;
}

static struct sample measure_write(const struct op *op)
{
	int fd = new_eventfd();
	struct sample sample = measure_chunks(op, write_eventfd, fd);

	close(fd);
	return sample;
}

static void refused_msi(int fd)
{
	struct minivmm_msi msi = { .flags = ~0 };

	ASSERT_ERRNO(ioctl(fd, MINIVMM_SIGNAL_MSI, &msi), EINVAL);
}

static struct sample measure_ioctl(const struct op *op)
{
	struct vm *vm = irq_vm();
	struct sample sample = measure_chunks(op, refused_msi, vm->fd);

	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */

static int to_partner, from_partner;

static void *answer(void *runs)
{
	u32 i;

	pin(0);
	for (i = 0; i < *(u32 *)runs; i++) {
		read_eventfd(to_partner);
		write_eventfd(from_partner);
	}
	return NULL;
}

static void ask(int fd)
{
	write_eventfd(to_partner);
	read_eventfd(fd);
}

static struct sample measure_handoff(const struct op *op)
{
	u32 runs = op->runs + 1;
	struct sample sample;
	pthread_t thread;

	pin(0);
	to_partner = new_eventfd();
	from_partner = new_eventfd();
	ASSERT(!pthread_create(&thread, NULL, answer, &runs));
	sample = measure_chunks(op, ask, from_partner);
	pthread_join(thread, NULL);
	close(to_partner);
	close(from_partner);
	return sample;
}

#define SLEEP_NS	500000
#define NS_PER_TICK	10	/* in the testbed */

static s64 sleep_late(void)
{
	struct timespec when;
	u64 start;

	clock_gettime(CLOCK_MONOTONIC, &when);
	start = rdtsc();
	when.tv_nsec += SLEEP_NS;
	if (when.tv_nsec >= 1000000000) {
		when.tv_nsec -= 1000000000;
		when.tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
	return rdtsc() - start - SLEEP_NS / NS_PER_TICK;
}

static struct sample measure_sleep(const struct op *op)
{
	struct sample runs[op->runs], sample;
	u32 i;

	memset(runs, 0, sizeof(runs));
	prctl(PR_SET_TIMERSLACK, 1);
	for (i = 0; i < op->runs; i++)
		runs[i].ticks = sleep_late();
	sample = lower_quartile(runs, op->runs);
	sample.ops = 1;
	return sample;
}

const struct op host_ops[] = {
	{
		.name = "host_write", .measure = measure_write, .runs = 2000,
	}, {
		.name = "host_ioctl", .measure = measure_ioctl,
		.caps = { CAP(IRQCHIP), CAP(SIGNAL_MSI) }, .runs = 2000,
	}, {
		.name = "host_handoff", .measure = measure_handoff, .runs = 1000,
	}, {
		.name = "host_sleep", .measure = measure_sleep, .runs = 200,
	},
};

const u32 nr_host_ops = ARRAY_SIZE(host_ops);

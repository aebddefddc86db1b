// SPDX-License-Identifier: GPL-2.0
/* Guests that walk memory while the host does something to it; see memory.h. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

/* The host is one of them, the last. */
#define WALKERS		(WALK_MAX_VCPUS + 1)
#define HOST		WALK_MAX_VCPUS

/* Seconds of the host's time without a walk from end to end: hung */
#define HANG_SECONDS	30

/* ------------------------------------------------------------------------ */
/* Both sides                                                                */

/* What each has written last to its word of each page */
struct written {
	volatile u64 count[WALKERS][WALK_MAX_PAGES];
};

/* In the guest's image; the host's accesses go to the guest's copy. */
static struct {
	volatile u64 quit, pause, pages, discards;
	volatile u64 rounds[WALK_MAX_VCPUS], paused[WALK_MAX_VCPUS];
	struct written written;
} shared;

/* A count, with 24 bits that say whose it is and where */
static u64 word_of(u64 page, u64 owner, u64 count)
{
	u64 sum = (count * WALKERS + owner) * WALK_MAX_PAGES + page + 1;

	sum *= 0x9e3779b97f4a7c15UL;
	return count << 24 | sum >> 40;
}

/* One in each eighth of a page, at different places in different pages */
static volatile u64 *word_at(u64 memory, u64 page, u64 owner)
{
	return (u64 *)(memory + page * PAGE_SIZE + owner * 512 +
		       page * 40 % 512 / 8 * 8);
}

enum walk_error { WALK_OK, WALK_LOST, WALK_STALE, WALK_FOREIGN };

static enum walk_error check_other(u64 memory, struct written *written,
				   u64 page, u64 other, bool discards)
{
	u64 announced = written->count[other][page], word;

	asm volatile("" : : : "memory");
	word = *word_at(memory, page, other);
	if (!word && (!announced || discards))
		return WALK_OK;
	if (word != word_of(page, other, word >> 24))
		return WALK_FOREIGN;
	return word >> 24 < announced && !discards ? WALK_STALE : WALK_OK;
}

static enum walk_error walk_page(u64 memory, struct written *written, u64 page,
				 u64 self, bool discards)
{
	volatile u64 *own = word_at(memory, page, self);
	u64 count = written->count[self][page], word = *own, other;
	enum walk_error error;

	if (!word && discards)
		count = 0;
	else if (word != (count ? word_of(page, self, count) : 0))
		return WALK_LOST;
	for (other = 0; other < WALKERS; other++) {
		error = check_other(memory, written, page, other, discards);
		if (other != self && error)
			return error;
	}
	*own = word_of(page, self, count + 1);
	asm volatile("" : : : "memory");
	written->count[self][page] = count + 1;
	return WALK_OK;
}

/* ------------------------------------------------------------------------ */
/* The guest                                                                 */

static void guest_step(u64 id, u64 page)
{
	/* in the abort's text: the page, and what the own word should be */
	switch (walk_page(REGION_GPA, &shared.written, page, id,
			  shared.discards)) {
	case WALK_OK:
		break;
	case WALK_LOST:
		guest_abort(__FILE__, __LINE__, "lost write: page, count",
			    page, shared.written.count[id][page]);
	case WALK_STALE:
		guest_abort(__FILE__, __LINE__, "stale read: page, vCPU",
			    page, id);
	case WALK_FOREIGN:
		guest_abort(__FILE__, __LINE__, "foreign data: page, vCPU",
			    page, id);
	}
}

static void guest_walker(u64 id)
{
	u64 i;

	/* A Bochs host could not interrupt us otherwise. */
	asm volatile("sti");
	while (!shared.quit) {
		for (i = 0; i < shared.pages; i++) {
			while (shared.pause && !shared.quit) {
				shared.paused[id] = 1;
				guest_sync(id, 0);
			}
			shared.paused[id] = 0;
			guest_step(id, id & 1 ? shared.pages - 1 - i : i);
		}
		shared.rounds[id]++;
	}
}

/* ------------------------------------------------------------------------ */
/* The host                                                                  */

static __typeof__(shared) *guests(struct walk *walk)
{
	return vm_guest_ptr(walk->vm, &shared);
}

struct runner {
	struct walk *walk;
	struct vcpu *vcpu;
};

static bool run_once(struct walk *walk, struct vcpu *vcpu)
{
	int reason = vcpu_run(vcpu);

	if (reason == -EINTR)
		return true;
	if (reason == -EFAULT && walk->flags & WALK_EFAULT) {
		walk->retries++;
		sched_yield();
		return true;
	}
	if (reason == MINIVMM_EXIT_MMIO && walk->flags & WALK_MMIO) {
		walk->retries++;
		memset(vcpu->run->mmio.data, 0, 8);
		return true;
	}
	switch (vcpu_guest_call(vcpu, reason, NULL)) {
	case GUEST_SYNC:
		sched_yield();
		return true;
	case GUEST_DONE:
		return false;
	}
	vcpu_describe_exit(vcpu, reason);
	FAIL("exit %s", exit_name(reason));
}

static void *run_vcpu(void *arg)
{
	struct runner runner = *(struct runner *)arg;

	free(arg);
	while (run_once(runner.walk, runner.vcpu))
		;
	return NULL;
}

static void start_vcpu(struct walk *walk, int id)
{
	struct runner *runner = malloc(sizeof(*runner));

	runner->walk = walk;
	runner->vcpu = walk->vm->vcpus[id];
	ASSERT(!pthread_create(&walk->threads[id], NULL, run_vcpu, runner));
}

struct walk *walk_start(void *memory, u64 pages, int vcpus, u32 flags)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int i;

	ASSERT(pages <= WALK_MAX_PAGES && vcpus <= WALK_MAX_VCPUS);
	walk->memory = memory;
	walk->pages = pages;
	walk->vcpus = vcpus;
	walk->flags = flags;
	walk->vm = vm_create();
	ASSERT_OK(vm_set_slot(walk->vm, 1, 0, REGION_GPA, pages * PAGE_SIZE,
			      memory));
	for (i = 0; i < vcpus; i++)
		vcpu_setup_long(vcpu_create(walk->vm, i), guest_walker, i);
	guests(walk)->pages = pages;
	guests(walk)->discards = !!(flags & WALK_DISCARDS);
	for (i = 0; i < vcpus; i++)
		start_vcpu(walk, i);
	return walk;
}

static const char * const errors[] = {
	[WALK_LOST] = "lost write", [WALK_STALE] = "stale read",
	[WALK_FOREIGN] = "foreign data",
};

void walk_host(struct walk *walk)
{
	enum walk_error error;
	u64 page;

	for (page = 0; page < walk->pages; page++) {
		error = walk_page((u64)walk->memory, &guests(walk)->written,
				  page, HOST, walk->flags & WALK_DISCARDS);
		if (error)
			FAIL("the host: %s, page %llu", errors[error], page);
	}
}

static bool within_time(int *ms)
{
	pause_us(1000);
	return ++*ms < HANG_SECONDS * 1000;
}

void walk_wait(struct walk *walk, u64 rounds)
{
	u64 target[WALK_MAX_VCPUS];
	int i, ms = 0;

	for (i = 0; i < walk->vcpus; i++)
		target[i] = guests(walk)->rounds[i] + rounds;
	for (i = 0; i < walk->vcpus; i++)
		while (guests(walk)->rounds[i] < target[i])
			if (!within_time(&ms))
				FAIL("vCPU %d does not get on", i);
}

void walk_pause(struct walk *walk)
{
	int i, ms = 0;

	guests(walk)->pause = 1;
	for (i = 0; i < walk->vcpus; i++)
		while (!guests(walk)->paused[i])
			if (!within_time(&ms))
				FAIL("vCPU %d does not stop", i);
}

void walk_resume(struct walk *walk)
{
	int i;

	for (i = 0; i < walk->vcpus; i++)
		guests(walk)->paused[i] = 0;
	guests(walk)->pause = 0;
}

void walk_narrow(struct walk *walk, u64 pages)
{
	guests(walk)->pages = pages;
}

void walk_page_image(struct walk *walk, u64 page, void *image)
{
	memset(image, 0, PAGE_SIZE);
	*word_at((u64)image - page * PAGE_SIZE, page, HOST) =
		word_of(page, HOST, 1);
	if (!guests(walk)->written.count[HOST][page])
		guests(walk)->written.count[HOST][page] = 1;
}

bool walk_copy_ok(u64 page, const void *copy)
{
	u64 owner, word;

	for (owner = 0; owner < WALKERS; owner++) {
		word = *word_at((u64)copy - page * PAGE_SIZE, page, owner);
		if (word && word != word_of(page, owner, word >> 24))
			return false;
	}
	return true;
}

static void check_word(struct walk *walk, u64 page, u64 owner)
{
	u64 count = guests(walk)->written.count[owner][page];
	u64 word = *word_at((u64)walk->memory, page, owner);

	if (!word && walk->flags & WALK_DISCARDS)
		return;
	if (word != (count ? word_of(page, owner, count) : 0))
		FAIL("page %llu, owner %llu: 0x%llx after %llu writes", page,
		     owner, word, count);
}

void walk_check(struct walk *walk)
{
	u64 page, owner;

	for (page = 0; page < walk->pages; page++)
		for (owner = 0; owner < WALKERS; owner++)
			check_word(walk, page, owner);
}

static u64 all_rounds(struct walk *walk)
{
	u64 rounds = 0;
	int i;

	for (i = 0; i < walk->vcpus; i++)
		rounds += guests(walk)->rounds[i];
	return rounds;
}

void walk_end(struct walk *walk)
{
	struct timespec limit;
	int i;

	guests(walk)->quit = 1;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_SECONDS;
	for (i = 0; i < walk->vcpus; i++)
		if (pthread_timedjoin_np(walk->threads[i], NULL, &limit))
			FAIL("vCPU %d does not end", i);
	walk_check(walk);
	ksft_print_msg("%llu pages walked %llu times, %llu retries\n",
		       walk->pages, all_rounds(walk), walk->retries);
	vm_free(walk->vm);
	free(walk);
}

/* ------------------------------------------------------------------------ */
/* Memory cgroups                                                            */

#define CGROUPS	"/tmp/minivmm-cgroups"
#define CGROUP	CGROUPS "/selftest"

void cgroup_enter(void)
{
	mkdir(CGROUPS, 0755);
	if (access(CGROUPS "/cgroup.procs", F_OK) &&
	    mount("none", CGROUPS, "cgroup2", 0, NULL))
		SKIP("no cgroup2: %s", strerror(errno));
	host_write(CGROUPS "/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	if (access(CGROUP "/memory.max", F_OK))
		SKIP("the host has no memory cgroups");
	ASSERT(cgroup_set("memory.max", "max"));
	ASSERT(cgroup_set("memory.high", "max"));
	cgroup_set("memory.swap.max", "max");
	ASSERT(cgroup_set("cgroup.procs", "0"));
}

bool cgroup_set(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	return host_write(path, text);
}

s64 cgroup_get(const char *file, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	return host_lookup(path, key);
}

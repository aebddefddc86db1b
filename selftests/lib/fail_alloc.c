// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "hostmem.h"
#include "threads.h"

#define DEVICE		"/dev/fail_alloc"
#define MODULE		"/testbed/modules/fail_alloc.ko"

/* More allocations than any call makes */
#define MAX_ALLOCATIONS	100
#define ROUNDS		8

/* ------------------------------------------------------------------------ */
/* The device                                                                */

static int device = -1;

void fail_alloc_open(void)
{
	int file;

	if (device >= 0)
		return;
	if (!dev_is_minivmm())
		SKIP("allocations of minivmm fail, not those of stock KVM");
	if (access(DEVICE, F_OK)) {
		file = open(MODULE, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			SKIP("no %s and no %s", DEVICE, MODULE);
		ASSERT_OK(syscall(SYS_finit_module, file, "", 0));
		close(file);
	}
	device = ASSERT_OK(open(DEVICE, O_RDWR | O_CLOEXEC));
}

void fail_alloc_close(void)
{
	close(device);
	device = -1;
}

void fail_alloc_arm(int n, bool all)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d%s", n, all ? "+" : "");

	ASSERT_EQ(write(device, text, len), len);
}

bool fail_alloc_disarm(char site[256])
{
	ssize_t len = read(device, site, 255);
	char *text;

	ASSERT(len > 0);
	site[len - 1] = '\0';
	text = strchr(site, ' ');
	ASSERT(text);
	memmove(site, text + 1, strlen(text));
	return strcmp(site, "-");
}

/* ------------------------------------------------------------------------ */
/* One call                                                                  */

static void succeed(const struct call *call)
{
	ASSERT_OK(call->call());
	call->undo();
}

/*
 * False: it makes less than @n allocations.  *@failed counts calls that failed.
 */
static bool try_once(const struct call *call, int n, bool all, bool say,
		     int *failed)
{
	char site[256];
	int ret, err;

	fail_alloc_arm(n, all);
	errno = 0;
	ret = call->call();
	err = errno;
	if (!fail_alloc_disarm(site)) {
		ASSERT(ret >= 0);
		call->undo();
		return false;
	}
	if (say)
		ksft_print_msg("%d: %s: %s\n", n, site,
			       ret < 0 ? strerror(err) : "goes on");
	if (ret >= 0) {
		call->undo();
		return true;
	}
	if (err != ENOMEM && !(call->efault && err == EFAULT))
		FAIL("no memory at %s: %s", site, strerror(err));
	*failed += 1;
	if (call->unchanged)
		call->unchanged();
	if (!call->slow)
		succeed(call);
	return true;
}

/* How many calls failed */
static int try_all(const struct call *call, bool all, bool say)
{
	int n, failed = 0;

	for (n = 1; try_once(call, n, all, say, &failed); n++)
		ASSERT(n < MAX_ALLOCATIONS);
	return failed;
}

/* ------------------------------------------------------------------------ */
/* Nothing is lost                                                           */

#define MAX_CACHES	512

struct caches {
	int nr;
	struct cache {
		char name[64];
		long objects;
	} cache[MAX_CACHES];
};

/*
 * Opened once for all: whoever opens and closes files leaves some that are freed
 * later, which cannot be told from those that are lost.
 */
static int shrink[MAX_CACHES], nr_shrink, drop_caches;
static FILE *slabinfo;

static void open_caches(void)
{
	DIR *dir = opendir("/sys/kernel/slab");
	struct dirent *entry;
	char path[300];

	if (!dir || nr_shrink)
		return;
	while ((entry = readdir(dir))) {
		/* the others are links to these */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink",
			 entry->d_name);
		ASSERT(nr_shrink < MAX_CACHES);
		shrink[nr_shrink++] = ASSERT_OK(open(path, O_WRONLY | O_CLOEXEC));
	}
	closedir(dir);
	slabinfo = fopen("/proc/slabinfo", "re");
	drop_caches = ASSERT_OK(open("/proc/sys/vm/drop_caches",
				     O_WRONLY | O_CLOEXEC));
	/* from now on without a line in the log for each time */
	ASSERT_EQ(pwrite(drop_caches, "4", 1, 0), 1);
}

/* What CPUs keep of free objects goes back, so that those in use can be counted. */
static void shrink_caches(void)
{
	int i;

	for (i = 0; i < nr_shrink; i++)
		ASSERT_EQ(pwrite(shrink[i], "1", 1, 0), 1);
}

static void count_objects(struct caches *caches)
{
	struct cache *cache = caches->cache;
	char line[512];

	ASSERT(slabinfo);
	rewind(slabinfo);
	caches->nr = 0;
	while (fgets(line, sizeof(line), slabinfo)) {
		ASSERT(caches->nr < MAX_CACHES);
		if (sscanf(line, "%63s %ld", cache->name, &cache->objects) == 2) {
			cache++;
			caches->nr++;
		}
	}
	ASSERT(caches->nr > 0);
}

/* What minivmm allocates is in these, but for whole pages. */
static bool is_ours(const char *cache)
{
	static const char *const others[] = {
		"filp", "dentry", "radix_tree_node",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(cache, others[i]))
			return true;
	return !strncmp(cache, "kmalloc-", 8);
}

/* A cache that has @lost objects more than before, or NULL */
static const struct cache *grown(const struct caches *before,
				 const struct caches *now, int lost)
{
	int i;

	ASSERT_EQ(before->nr, now->nr);
	for (i = 0; i < now->nr; i++)
		if (now->cache[i].objects - before->cache[i].objects >= lost &&
		    is_ours(now->cache[i].name))
			return &now->cache[i];
	return NULL;
}

struct stock {
	struct caches caches;
	s64 free_kib;
};

static void take_stock(struct stock *stock)
{
	/* It also makes kfree_rcu() begin, which waits for more, seconds long. */
	ASSERT_EQ(pwrite(drop_caches, "2", 1, 0), 1);
	pause_us(20000);
	shrink_caches();
	count_objects(&stock->caches);
	stock->free_kib = free_kib();
}

static struct stock before, now;

/* What one round loses once, @rounds lose as often.  NULL, or what it is */
static const char *what_is_lost(int rounds)
{
	const s64 noise = 32, lost = rounds * (PAGE_SIZE / 1024);
	const struct cache *cache = grown(&before.caches, &now.caches, rounds);

	if (cache)
		return cache->name;
	return before.free_kib - now.free_kib < (lost > noise ? lost : noise) ?
	       NULL : "pages";
}

/* The same once all that is freed later has had its time */
static const char *rounds_lose(const struct call *call, int rounds)
{
	const char *what;
	int i;

	take_stock(&before);
	for (i = 0; i < rounds; i++)
		try_all(call, i & 1, false);
	for (i = 0; i < 50; i++) {
		take_stock(&now);
		what = what_is_lost(rounds);
		if (!what)
			break;
	}
	return what;
}

void fail_every_allocation(const struct call *call)
{
	int i, rounds = call->rounds ?: ROUNDS;
	const char *what;

	fail_alloc_open();
	succeed(call);
	/* The first of all CREATE_VMs allocates what its process keeps: not again. */
	EXPECT_GE(try_all(call, false, true), call->failures);
	EXPECT_GE(try_all(call, true, false), call->failures);
	open_caches();
	take_stock(&before);
	/* The host itself may keep something now and then: not each time. */
	for (i = 0; i < 3; i++) {
		what = rounds_lose(call, rounds);
		if (!what)
			break;
		ksft_print_msg("lost: %s\n", what);
	}
	if (what)
		FAIL("lost again and again: %s", what);
	fail_alloc_close();
}

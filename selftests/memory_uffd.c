// SPDX-License-Identifier: GPL-2.0
/*
 * userfaultfd: pages that arrive when the guest wants them, as in post-copy
 * migration, and writes that are announced before they happen, as in snapshots.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"

#define PAGES	512UL
#define SIZE	(PAGES * PAGE_SIZE)

static struct walk *walk;
static u64 *memory;
static int fd;
static volatile bool handler_quits;
static volatile u64 faults;

static void register_memory(u64 features, u64 mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (u64)memory, SIZE }, .mode = mode,
	};

	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		SKIP("no userfaultfd: %s", strerror(errno));
	if (ioctl(fd, UFFDIO_API, &api))
		SKIP("not with these features: %s", strerror(errno));
	ASSERT_OK(ioctl(fd, UFFDIO_REGISTER, &reg));
}

/* The next page that somebody waits for; false when it is time to end */
static bool next_fault(u64 *page, u64 *flags)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	while (!handler_quits) {
		if (poll(&pollfd, 1, 20) <= 0 ||
		    read(fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		ASSERT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
		ASSERT(msg.arg.pagefault.address - (u64)memory < SIZE);
		*page = (msg.arg.pagefault.address - (u64)memory) / PAGE_SIZE;
		*flags = msg.arg.pagefault.flags;
		faults++;
		return true;
	}
	return false;
}

static pthread_t start_handler(void *(*fn)(void *arg))
{
	pthread_t thread;

	ASSERT(!pthread_create(&thread, NULL, fn, NULL));
	return thread;
}

static void stop_handler(pthread_t thread)
{
	handler_quits = true;
	pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------ */
/* Missing pages                                                             */

static void *handle_missing(void *arg)
{
	static u64 image[PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
	struct uffdio_copy copy;
	u64 page, flags;

	while (next_fault(&page, &flags)) {
		walk_page_image(walk, page, image);
		copy = (struct uffdio_copy) {
			.dst = (u64)page_at(memory, page), .src = (u64)image,
			.len = PAGE_SIZE,
		};
		/* Two vCPUs may have wanted the same page. */
		if (ioctl(fd, UFFDIO_COPY, &copy) && errno != EEXIST)
			FAIL("UFFDIO_COPY: %s", strerror(errno));
	}
	return arg;
}

/* Every page arrives once, with what the other side had written. */
TEST(post_copy)
{
	pthread_t handler;

	memory = map_small(PAGES);
	register_memory(0, UFFDIO_REGISTER_MODE_MISSING);
	/* the vCPUs wait for the handler, which wants to know the walk */
	walk = walk_start(memory, PAGES, 2, 0);
	handler = start_handler(handle_missing);
	walk_wait(walk, 2);
	walk_host(walk);
	EXPECT_GE(faults, PAGES);
	walk_wait(walk, 1);
	walk_end(walk);
	stop_handler(handler);
}

/* Again and again: pages are thrown away while the guest runs. */
TEST(post_copy_again)
{
	pthread_t handler;
	u64 first, i;

	memory = map_small(PAGES);
	register_memory(0, UFFDIO_REGISTER_MODE_MISSING);
	/* the vCPUs wait for the handler, which wants to know the walk */
	walk = walk_start(memory, PAGES, 2, WALK_DISCARDS);
	handler = start_handler(handle_missing);
	for (i = 0; i < 8; i++) {
		walk_wait(walk, 1);
		first = random_below(PAGES - 64);
		ASSERT_OK(madvise(page_at(memory, first), 64 * PAGE_SIZE,
				  MADV_DONTNEED));
	}
	walk_wait(walk, 1);
	EXPECT_GE(faults, PAGES + 64);
	walk_end(walk);
	stop_handler(handler);
}

/* ------------------------------------------------------------------------ */
/* Write protection                                                          */

static u64 snapshot[SIZE / 8], saved[SIZE / 8];
static volatile bool is_saved[PAGES];

static void protect(u64 page, u64 pages, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (u64)page_at(memory, page), pages * PAGE_SIZE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	int i;

	/* a mapping that changes just now has it tried again */
	for (i = 0; i < 100 && ioctl(fd, UFFDIO_WRITEPROTECT, &wp); i++)
		ASSERT_EQ(errno, EAGAIN);
}

static void *handle_writes(void *arg)
{
	u64 page, flags;

	while (next_fault(&page, &flags)) {
		ASSERT(flags & UFFD_PAGEFAULT_FLAG_WP);
		if (!is_saved[page]) {
			memcpy(page_at(saved, page), page_at(memory, page),
			       PAGE_SIZE);
			is_saved[page] = true;
		}
		protect(page, 1, false);
	}
	return arg;
}

/* The first write after the snapshot is announced; so the copy is the past. */
static void take_snapshot(void)
{
	u64 page;

	walk_pause(walk);
	memset((void *)is_saved, 0, sizeof(is_saved));
	memcpy(snapshot, memory, SIZE);
	protect(0, PAGES, true);
	walk_resume(walk);
	walk_wait(walk, 2);
	for (page = 0; page < PAGES; page++) {
		ASSERT(is_saved[page]);
		if (memcmp(page_at(saved, page), page_at(snapshot, page),
			   PAGE_SIZE))
			FAIL("page %llu was written unannounced", page);
	}
}

TEST(write_protection)
{
	pthread_t handler;
	u64 i;

	memory = map_small(PAGES);
	register_memory(UFFD_FEATURE_PAGEFAULT_FLAG_WP,
			UFFDIO_REGISTER_MODE_WP);
	walk = walk_start(memory, PAGES, 2, 0);
	walk_wait(walk, 1);
	handler = start_handler(handle_writes);
	for (i = 0; i < 6; i++)
		take_snapshot();
	EXPECT_GE(faults, 6 * PAGES);
	walk_end(walk);
	stop_handler(handler);
}

// SPDX-License-Identifier: GPL-2.0
/* The I/O loop: epoll with a callback per file. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "report.h"

static int new_epoll(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		die(EXIT_SETUP, "cannot set up the I/O loop: %s", strerror(errno));
	return fd;
}

static bool add_to(int epoll_fd, struct loop_source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	if (!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, source->fd, &event))
		return true;
	if (errno != EPERM)
		die(EXIT_SETUP, "cannot watch file descriptor %d: %s", source->fd, strerror(errno));
	return false;
}

/**
 * loop_init - set the loop up; ends the process when the host refuses
 * @loop: filled in
 */
void loop_init(struct loop *loop)
{
	atomic_store(&loop->done, false);
	atomic_store(&loop->paused, false);
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = new_epoll();
	loop->paused_fd = new_epoll();
	bell_init(&loop->resumed, bell_clear);
	loop->resumed.anytime = true;
	add_to(loop->paused_fd, &loop->resumed);
}

/**
 * loop_add - have a source's callback run whenever its file is readable
 * @loop: the loop
 * @source: stays the caller's and must outlive the loop
 *
 * Return: 0, or -EPERM for a file that is always ready (a regular one).
 */
int loop_add(struct loop *loop, struct loop_source *source)
{
	if (!add_to(loop->epoll_fd, source))
		return -EPERM;
	if (source->anytime)
		add_to(loop->paused_fd, source);
	return 0;
}

/**
 * loop_remove - forget a source
 * @loop: the loop
 * @source: one that was added
 */
void loop_remove(struct loop *loop, struct loop_source *source)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

/* What is not for now stays ready. */
static void run_callback(struct loop *loop, struct loop_source *source)
{
	pthread_mutex_lock(&loop->lock);
	if (!atomic_load(&loop->done) && (source->anytime || !atomic_load(&loop->paused)))
		source->ready(source);
	pthread_mutex_unlock(&loop->lock);
}

/**
 * loop_run - run callbacks until one sets loop->done
 * @loop: the loop
 */
void loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->done)) {
		int fd = atomic_load(&loop->paused) ? loop->paused_fd : loop->epoll_fd;
		struct epoll_event event;

		/* One at a time: a callback may remove any other source. */
		if (epoll_wait(fd, &event, 1, -1) == 1)
			run_callback(loop, event.data.ptr);
	}
}

static void set_paused(struct loop *loop, bool paused)
{
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->paused, paused);
	pthread_mutex_unlock(&loop->lock);
}

/**
 * loop_pause - from now on no callback runs, but for those of anytime
 * @loop: the loop, of another thread; a callback that runs is waited for
 */
void loop_pause(struct loop *loop)
{
	set_paused(loop, true);
}

/**
 * loop_resume - let callbacks run again
 * @loop: the loop, after loop_pause()
 */
void loop_resume(struct loop *loop)
{
	set_paused(loop, false);
	bell_ring(&loop->resumed);
}

/**
 * bell_init - make a doorbell; it still has to be added to a loop
 * @bell: filled in
 * @rung: called in the loop's thread; must call bell_clear()
 */
void bell_init(struct loop_source *bell, void (*rung)(struct loop_source *bell))
{
	bell->ready = rung;
	bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell->fd < 0)
		die(EXIT_SETUP, "cannot make an eventfd: %s", strerror(errno));
}

/**
 * bell_ring - have the bell's callback run
 * @bell: the bell
 */
void bell_ring(struct loop_source *bell)
{
	eventfd_write(bell->fd, 1);
}

/**
 * bell_clear - silence the bell
 * @bell: the bell
 */
void bell_clear(struct loop_source *bell)
{
	eventfd_t value;

	eventfd_read(bell->fd, &value);
}

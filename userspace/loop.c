// SPDX-License-Identifier: GPL-2.0
/* The I/O loop: epoll with a callback per file. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "report.h"

/**
 * loop_init - set the loop up; ends the process when the host refuses
 * @loop: filled in
 */
void loop_init(struct loop *loop)
{
	loop->done = false;
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		die(EXIT_SETUP, "cannot set up the I/O loop: %s", strerror(errno));
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
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	if (!epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event))
		return 0;
	if (errno != EPERM)
		die(EXIT_SETUP, "cannot watch file descriptor %d: %s", source->fd, strerror(errno));
	return -EPERM;
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

/**
 * loop_run - run callbacks until one sets loop->done
 * @loop: the loop
 */
void loop_run(struct loop *loop)
{
	while (!loop->done) {
		struct epoll_event event;

		/* One at a time: a callback may remove any other source. */
		if (epoll_wait(loop->epoll_fd, &event, 1, -1) == 1) {
			struct loop_source *source = event.data.ptr;

			pthread_mutex_lock(&loop->lock);
			if (!loop->done)
				source->ready(source);
			pthread_mutex_unlock(&loop->lock);
		}
	}
}

/**
 * loop_pause - from now on no callback runs; waits for the one that does
 * @loop: the loop, of another thread
 */
void loop_pause(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
}

/**
 * loop_resume - let callbacks run again
 * @loop: the loop, after loop_pause()
 */
void loop_resume(struct loop *loop)
{
	pthread_mutex_unlock(&loop->lock);
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

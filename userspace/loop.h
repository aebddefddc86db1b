/* SPDX-License-Identifier: GPL-2.0 */
/* The I/O loop: one thread that waits for files, timers and signals. */
#ifndef MINIVMM_LOOP_H
#define MINIVMM_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "base.h"

struct loop_source {
	int fd;
	bool anytime;		/* its callback runs while the loop is paused, too */
	void (*ready)(struct loop_source *source);
};

struct loop {
	pthread_mutex_t lock;	/* held while a callback runs */
	int epoll_fd;
	int paused_fd;		/* the same, of what counts while it is paused */
	atomic_bool paused;	/* written under the lock */
	atomic_bool done;
	struct loop_source resumed;	/* a bell */
};

void loop_init(struct loop *loop);
int loop_add(struct loop *loop, struct loop_source *source);
void loop_remove(struct loop *loop, struct loop_source *source);
void loop_run(struct loop *loop);
void loop_pause(struct loop *loop);
void loop_resume(struct loop *loop);

/* An eventfd as a source: a doorbell that any thread may ring. */
void bell_init(struct loop_source *bell, void (*rung)(struct loop_source *bell));
void bell_ring(struct loop_source *bell);
void bell_clear(struct loop_source *bell);

#endif /* MINIVMM_LOOP_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What a running machine is asked to do: over its control socket, or by a signal. */
#ifndef MINIVMM_CONTROL_H
#define MINIVMM_CONTROL_H

#include <pthread.h>

#include "unix_socket.h"

/*
 * A request is one message with a file descriptor, where the machine is to go. The
 * answer is one message too: CONTROL_DONE or what went wrong.
 */
#define CONTROL_SNAPSHOT	"snapshot"
#define CONTROL_MIGRATE		"migrate"
#define CONTROL_DONE		"done"
#define CONTROL_MAX_MESSAGE	256

struct machine;

struct control {
	struct machine *machine;
	const struct unix_address *address;	/* of its socket, or NULL */
	const struct unix_address *migrate_to;	/* when told by a signal, or NULL */
	int listen_fd;
	int bell;				/* an eventfd: migrate */
	pthread_t thread;
};

void control_init(struct control *control, struct machine *m);
void control_start(struct control *control);
void control_migrate(struct control *control);
void control_finish(struct control *control);

#endif /* MINIVMM_CONTROL_H */

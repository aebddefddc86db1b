/* SPDX-License-Identifier: GPL-2.0 */
/* A machine comes in as a stream: from a file, or from another launcher. */
#ifndef MINIVMM_INCOMING_H
#define MINIVMM_INCOMING_H

#include "machine.h"
#include "unix_socket.h"

struct incoming {
	const char *name;	/* where it comes from, for messages */
	int fd;
	bool migration;		/* the other end waits to hear that it was taken */
	struct saved saved;
};

void incoming_open_file(struct incoming *in, const char *path);
void incoming_accept(struct incoming *in, const struct unix_address *address);
void incoming_build(struct incoming *in, struct machine *m, struct machine_options *o);

#endif /* MINIVMM_INCOMING_H */

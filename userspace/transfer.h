/* SPDX-License-Identifier: GPL-2.0 */
/* A machine goes out as a stream: to a file, or to another launcher. */
#ifndef MINIVMM_TRANSFER_H
#define MINIVMM_TRANSFER_H

#include "stream.h"

struct machine;

/* What the destination answers when it has everything; then it runs the guest. */
#define TRANSFER_TAKEN		"taken\n"

struct transfer_error {
	char text[STREAM_ERROR_MAX];
};

bool transfer_snapshot(struct machine *m, int fd, struct transfer_error *error);
bool transfer_migrate(struct machine *m, int fd, struct transfer_error *error);

#endif /* MINIVMM_TRANSFER_H */

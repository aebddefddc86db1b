/* SPDX-License-Identifier: GPL-2.0 */
/* Sockets in the file system, named unix:PATH. */
#ifndef MINIVMM_UNIX_SOCKET_H
#define MINIVMM_UNIX_SOCKET_H

#include <sys/un.h>

#include "base.h"

struct unix_address {
	const char *name;	/* as given, for messages */
	struct sockaddr_un addr;
};

struct unix_address parse_unix(const char *option, const char *text);
int unix_listen(const struct unix_address *address, int type);
int unix_connect(const struct unix_address *address, int type);

#endif /* MINIVMM_UNIX_SOCKET_H */

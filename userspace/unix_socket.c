// SPDX-License-Identifier: GPL-2.0
/* Sockets in the file system, named unix:PATH. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "unix_socket.h"

#define PREFIX		"unix:"
/* What a socket is called until somebody listens */
#define PART		".part"

/**
 * parse_unix - an argument that names a socket
 * @option: whose argument, for the message
 * @text: unix:PATH
 *
 * Return: the address. Ends the process when there is anything wrong with it.
 */
struct unix_address parse_unix(const char *option, const char *text)
{
	struct unix_address address = { .name = text, .addr.sun_family = AF_UNIX };
	const char *path = text + strlen(PREFIX);

	if (strncmp(text, PREFIX, strlen(PREFIX)) || !*path)
		die(EXIT_SETUP, "%s %s: not a socket; write unix:PATH", option, text);
	if (strlen(path) > sizeof(address.addr.sun_path) - sizeof(PART))
		die(EXIT_SETUP, "%s %s: the path is longer than %zu bytes", option, text,
		    sizeof(address.addr.sun_path) - sizeof(PART));
	strcpy(address.addr.sun_path, path);
	return address;
}

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die(EXIT_SETUP, "cannot make a socket: %s", strerror(errno));
	return fd;
}

/**
 * unix_connect - connect to a socket that somebody listens on
 * @address: its address
 * @type: SOCK_...
 *
 * Return: a file descriptor, or -1 with errno.
 */
int unix_connect(const struct unix_address *address, int type)
{
	int fd = new_socket(type);
	int err;

	if (!connect(fd, (const struct sockaddr *)&address->addr, sizeof(address->addr)))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* What is there already may go only if it is a socket, as of a process that was killed. */
static bool may_replace(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return true;
	errno = EEXIST;
	return S_ISSOCK(st.st_mode);
}

/**
 * unix_listen - make a socket that only this user can connect to
 * @address: its address
 * @type: SOCK_...
 *
 * It appears under its name when one can connect to it. Context: there is one thread.
 *
 * Return: a file descriptor. Ends the process if it cannot be.
 */
int unix_listen(const struct unix_address *address, int type)
{
	struct sockaddr_un part = address->addr;
	int fd = new_socket(type);
	mode_t mask = umask(077);

	strcat(part.sun_path, PART);
	if (!may_replace(address->addr.sun_path) || !may_replace(part.sun_path) ||
	    (unlink(part.sun_path) && errno != ENOENT) ||
	    bind(fd, (const struct sockaddr *)&part, sizeof(part)) || listen(fd, 1) ||
	    rename(part.sun_path, address->addr.sun_path))
		die(EXIT_SETUP, "%s: cannot listen there: %s", address->name, strerror(errno));
	umask(mask);
	return fd;
}

// SPDX-License-Identifier: GPL-2.0
/* A thread that does what a running machine is asked to do, one thing at a time. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "machine.h"
#include "report.h"
#include "transfer.h"

/* Who connects and says nothing keeps others waiting for so long at most. */
#define PATIENCE_S		5

/* Return: whether there is a whole request; *@fd is -1 if it came without a file. */
static bool receive(int connection, char *request, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec text = { .iov_base = request, .iov_len = CONTROL_MAX_MESSAGE - 1 };
	/* Room for one file: CMSG_SPACE() would have some for another, unseen. */
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int)),
	};
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	c = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	*fd = -1;
	/* An empty request may have one, too. */
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (n <= 0)
		return false;
	request[n] = 0;
	return true;
}

static void reply(int connection, const char *text)
{
	send(connection, text, strlen(text), MSG_NOSIGNAL);
}

/* Return: whether the machine has moved. */
static bool obey(struct control *control, int connection, const char *request, int fd)
{
	struct transfer_error error = { .text = "no such request" };
	bool migrate = !strcmp(request, CONTROL_MIGRATE);
	bool done = false;

	if (fd < 0)
		strcpy(error.text, "no file came with the request");
	else if (migrate)
		done = transfer_migrate(control->machine, fd, &error);
	else if (!strcmp(request, CONTROL_SNAPSHOT))
		done = transfer_snapshot(control->machine, fd, &error);
	reply(connection, done ? CONTROL_DONE : error.text);
	return done && migrate;
}

/* Return: whether the machine has moved. */
static bool serve(struct control *control)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int connection = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	char request[CONTROL_MAX_MESSAGE];
	bool moved = false;
	int fd = -1;

	if (connection < 0)
		return false;
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (receive(connection, request, &fd))
		moved = obey(control, connection, request, fd);
	if (fd >= 0)
		close(fd);
	close(connection);
	return moved;
}

/* Return: whether the machine has moved. */
static bool migrate(struct control *control)
{
	const struct unix_address *to = control->migrate_to;
	struct transfer_error error;
	int fd = unix_connect(to, SOCK_STREAM);
	bool moved;

	if (fd < 0) {
		warn("%s: cannot connect: %s; the guest stays here", to->name, strerror(errno));
		return false;
	}
	moved = transfer_migrate(control->machine, fd, &error);
	if (!moved)
		warn("%s: %s; the guest stays here", to->name, error.text);
	close(fd);
	return moved;
}

static void *control_thread(void *opaque)
{
	struct control *control = opaque;
	bool moved = false;

	while (!moved) {
		struct pollfd fds[] = {
			{ .fd = control->listen_fd, .events = POLLIN },
			{ .fd = control->bell, .events = POLLIN },
		};
		eventfd_t value;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			moved = serve(control);
		else if (!eventfd_read(control->bell, &value))
			moved = migrate(control);
	}
	machine_moved(control->machine);
	return NULL;
}

/**
 * control_init - make the control socket
 * @control: its addresses set
 * @m: the machine it is for
 */
void control_init(struct control *control, struct machine *m)
{
	control->machine = m;
	control->listen_fd = -1;
	if (control->address)
		control->listen_fd = unix_listen(control->address, SOCK_SEQPACKET);
	control->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->bell < 0)
		die(EXIT_SETUP, "cannot make an eventfd: %s", strerror(errno));
}

/**
 * control_start - begin to do what is asked
 * @control: after control_init(); the machine runs
 */
void control_start(struct control *control)
{
	if (!control->address && !control->migrate_to)
		return;
	if (pthread_create(&control->thread, NULL, control_thread, control))
		die(EXIT_SETUP, "cannot start the control thread");
}

/**
 * control_migrate - have the machine move to where its options say
 * @control: with a destination
 */
void control_migrate(struct control *control)
{
	eventfd_write(control->bell, 1);
}

/**
 * control_finish - remove the control socket
 * @control: of a machine that ends
 *
 * What the thread does ends with the process, and is of no effect then.
 */
void control_finish(struct control *control)
{
	if (control->address)
		unlink(control->address->addr.sun_path);
}

// SPDX-License-Identifier: GPL-2.0
/* minivmm snapshot, minivmm migrate: ask a running machine over its control socket. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "options.h"
#include "report.h"

static void print_snapshot_help(void)
{
	puts("Usage: minivmm snapshot FILE --control unix:SOCKET\n"
	     "Write the state of a running machine to FILE. The machine pauses meanwhile.\n"
	     "\n"
	     "      --control unix:SOCKET  where the machine listens: its own option --control\n"
	     "  -h, --help                 this text\n"
	     "\n"
	     "FILE is replaced when the snapshot is whole. `minivmm run --restore FILE` goes on\n"
	     "from there. Exit codes: 0 done, 1 not done.");
}

static void print_migrate_help(void)
{
	puts("Usage: minivmm migrate unix:DESTINATION --control unix:SOCKET\n"
	     "Move a running machine to where `minivmm run --incoming unix:DESTINATION` waits.\n"
	     "\n"
	     "      --control unix:SOCKET  where the machine listens: its own option --control\n"
	     "  -h, --help                 this text\n"
	     "\n"
	     "If that fails, for any reason, the machine goes on where it is. Exit codes: 0 it\n"
	     "has moved, 1 it has not.");
}

struct client_options {
	const char *argument;
	const char *control;
};

static struct client_options parse_options(int argc, char **argv, void (*print_help)(void),
					   const char *argument)
{
	static const struct option options[] = {
		{ "control", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct client_options o = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'C':
			o.control = optarg;
			break;
		case 'h':
			print_help();
			exit(EXIT_POWERED_OFF);
		default:
			die(EXIT_SETUP, "see `minivmm %s --help`", argv[0]);
		}
	}
	if (optind != argc - 1 || !o.control)
		die(EXIT_SETUP, "%s needs one %s and --control unix:SOCKET", argv[0], argument);
	o.argument = argv[optind];
	return o;
}

static bool send_request(int connection, const char *request, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	} };
	struct iovec text = { .iov_base = (char *)request, .iov_len = strlen(request) };
	const struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(connection, &message, MSG_NOSIGNAL) >= 0;
}

static int connect_control(const char *name)
{
	struct unix_address address = parse_unix("--control", name);
	int fd = unix_connect(&address, SOCK_SEQPACKET);

	if (fd < 0)
		die(EXIT_SETUP, "%s: no machine listens there: %s", name, strerror(errno));
	return fd;
}

/* Return: whether it was done; @answer says why not. */
static bool ask(int connection, const char *request, int fd, char answer[CONTROL_MAX_MESSAGE])
{
	ssize_t n = -1;

	if (send_request(connection, request, fd))
		n = recv(connection, answer, CONTROL_MAX_MESSAGE - 1, 0);
	if (n <= 0)
		n = snprintf(answer, CONTROL_MAX_MESSAGE, "the machine has ended");
	answer[n] = 0;
	return !strcmp(answer, CONTROL_DONE);
}

/**
 * command_snapshot - minivmm snapshot
 * @argc: as main() got it, from the command's name on
 * @argv: the same
 *
 * Return: the exit code.
 */
int command_snapshot(int argc, char **argv)
{
	struct client_options o = parse_options(argc, argv, print_snapshot_help, "file");
	int connection = connect_control(o.control);
	char answer[CONTROL_MAX_MESSAGE];
	char *part;
	int fd;

	/* Under its name only when it is whole; until then nobody else's either */
	if (asprintf(&part, "%s.XXXXXX", o.argument) < 0)
		die(EXIT_SETUP, "out of memory");
	fd = mkostemp(part, O_CLOEXEC);
	if (fd < 0)
		die(EXIT_SETUP, "%s: cannot create it: %s", part, strerror(errno));
	if (ask(connection, CONTROL_SNAPSHOT, fd, answer) &&
	    (fsync(fd) || rename(part, o.argument)))
		snprintf(answer, sizeof(answer), "cannot write: %s", strerror(errno));
	if (!strcmp(answer, CONTROL_DONE))
		return EXIT_POWERED_OFF;
	unlink(part);
	die(EXIT_SETUP, "%s: %s", o.argument, answer);
}

/**
 * command_migrate - minivmm migrate
 * @argc: as main() got it, from the command's name on
 * @argv: the same
 *
 * Return: the exit code.
 */
int command_migrate(int argc, char **argv)
{
	struct client_options o = parse_options(argc, argv, print_migrate_help, "destination");
	struct unix_address to = parse_unix("migrate", o.argument);
	int connection = connect_control(o.control);
	int fd = unix_connect(&to, SOCK_STREAM);
	char answer[CONTROL_MAX_MESSAGE];

	if (fd < 0)
		die(EXIT_SETUP, "%s: nobody waits there for a machine: %s", o.argument,
		    strerror(errno));
	if (!ask(connection, CONTROL_MIGRATE, fd, answer))
		die(EXIT_SETUP, "%s: %s", o.argument, answer);
	return EXIT_POWERED_OFF;
}

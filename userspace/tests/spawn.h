/* SPDX-License-Identifier: GPL-2.0 */
/* Run one of the launcher's commands in a child process, its output caught. */
#ifndef MINIVMM_TESTS_SPAWN_H
#define MINIVMM_TESTS_SPAWN_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define SPAWN_MAX_ARGS	24
#define SPAWN_TIMEOUT_S	60

/* stdout of those that are started from now on */
static bool spawn_nonblocking;

struct spawn {
	pid_t pid;
	int in;			/* the child's stdin; -1: closed */
	int out;		/* its stdout and stderr */
	int status;		/* as from waitpid() */
	char *text;		/* all it wrote, zero terminated */
	size_t len;
};

/* The last argument is NULL. stdin is a pipe, or /dev/null without @input. */
static inline void spawn_start(struct spawn *s, bool input, int (*command)(int, char **), ...)
{
	char *argv[SPAWN_MAX_ARGS + 1] = { "command" };
	int in[2], out[2], argc = 1;
	va_list args;

	va_start(args, command);
	while (argc < SPAWN_MAX_ARGS && (argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);

	memset(s, 0, sizeof(*s));
	if (pipe(in) || pipe(out))
		exit(99);
	fflush(stdout);
	s->pid = fork();
	if (!s->pid) {
		/* Whatever happens, it does not outlive the test. */
		alarm(SPAWN_TIMEOUT_S);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		if (spawn_nonblocking && fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK))
			_exit(99);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		if (!input && !freopen("/dev/null", "r", stdin))
			_exit(99);
		exit(command(argc, argv));
	}
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
}

/* Waits for more of what the child writes. Return: false if it closes its output. */
static inline bool spawn_read_some(struct spawn *s)
{
	char buf[4096];
	ssize_t n = read(s->out, buf, sizeof(buf));

	if (n <= 0)
		return false;
	s->text = realloc(s->text, s->len + n + 1);
	memcpy(s->text + s->len, buf, n);
	s->len += n;
	s->text[s->len] = 0;
	return true;
}

/* Reads until the child closes its output, or until @until shows up in it. */
static inline bool spawn_read(struct spawn *s, const char *until)
{
	for (;;) {
		if (until && s->text && strstr(s->text, until))
			return true;
		if (!spawn_read_some(s))
			return !until;
	}
}

/* Waits for its end. Return: its exit code, or 128 + the signal that ended it. */
static inline int spawn_end(struct spawn *s)
{
	spawn_read(s, NULL);
	if (s->in >= 0)
		close(s->in);
	close(s->out);
	waitpid(s->pid, &s->status, 0);
	if (!s->text)
		s->text = calloc(1, 1);
	return WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 128 + WTERMSIG(s->status);
}

/* After the checks: shows what it wrote if one of them failed. */
static inline void spawn_free(struct spawn *s, unsigned int failures_before)
{
	if (tap_failures != failures_before)
		for (char *line = strtok(s->text, "\n"); line; line = strtok(NULL, "\n"))
			printf("# | %.200s\n", line);
	free(s->text);
	s->text = NULL;
}

#endif /* MINIVMM_TESTS_SPAWN_H */

// SPDX-License-Identifier: GPL-2.0
/* The terminal is as it was before, whichever way the process ended. */
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "report.h"
#include "tap.h"
#include "terminal.h"

static bool is_raw(int fd)
{
	struct termios t;

	return !tcgetattr(fd, &t) && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static void by_exit(void)
{
	exit(0);
}

static void by_die(void)
{
	die(EXIT_SETUP, "expected");
}

static void by_segv(void)
{
	raise(SIGSEGV);
}

static void by_abort(void)
{
	abort();
}

static void by_term(void)
{
	terminal_restore_on_signals();
	raise(SIGTERM);
}

static void by_hangup(void)
{
	terminal_restore_on_signals();
	raise(SIGHUP);
}

/* A warning: the terminal is the guest's still. */
static void by_exit_after_warning(void)
{
	warn("expected");
	exit(is_raw(STDIN_FILENO) ? 0 : 97);
}

/* As a job that its shell has put into the background */
static void by_exit_in_background(void)
{
	int status;
	pid_t job;

	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	job = fork();
	if (!job) {
		setpgid(0, 0);
		exit(0);
	}
	waitpid(job, &status, WUNTRACED);
	if (WIFSTOPPED(status)) {
		kill(job, SIGKILL);
		_exit(97);
	}
	_exit(0);
}

/* Runs @end on a terminal of its own. Return: whether that was raw, then not. */
static bool restored_after(void (*end)(void), int *status)
{
	int master, slave, ready[2];
	bool was_raw;
	char byte;
	pid_t pid;

	if (openpty(&master, &slave, NULL, NULL, NULL) || pipe(ready))
		return false;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(slave, STDIN_FILENO);
		dup2(slave, STDERR_FILENO);
		terminal_make_raw();
		byte = is_raw(STDIN_FILENO);
		if (write(ready[1], &byte, 1) != 1)
			_exit(99);
		end();
		_exit(98);
	}
	was_raw = read(ready[0], &byte, 1) == 1 && byte;
	waitpid(pid, status, 0);
	return was_raw && !is_raw(slave);
}

int main(void)
{
	int status;

	CHECK(restored_after(by_exit, &status), "exit");
	EQUAL(WEXITSTATUS(status), 0, "with its code");
	CHECK(restored_after(by_exit_after_warning, &status), "exit after a warning");
	EQUAL(WEXITSTATUS(status), 0, "which has left it raw");
	CHECK(restored_after(by_exit_in_background, &status), "exit in the background");
	EQUAL(WEXITSTATUS(status), 0, "without being stopped");
	CHECK(restored_after(by_die, &status), "die");
	EQUAL(WEXITSTATUS(status), EXIT_SETUP, "with its code");
	CHECK(restored_after(by_segv, &status), "segmentation fault");
	EQUAL(WTERMSIG(status), SIGSEGV, "ends by that signal");
	CHECK(restored_after(by_abort, &status), "abort");
	EQUAL(WTERMSIG(status), SIGABRT, "ends by that signal");
	CHECK(restored_after(by_term, &status), "SIGTERM");
	EQUAL(WTERMSIG(status), SIGTERM, "ends by that signal");
	CHECK(restored_after(by_hangup, &status), "SIGHUP");
	EQUAL(WTERMSIG(status), SIGHUP, "ends by that signal");
	return tap_end();
}

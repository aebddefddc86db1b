// SPDX-License-Identifier: GPL-2.0
/* The user's terminal: raw while the guest has it, restored on every way out. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"
#include "base.h"

static struct termios saved;
static atomic_bool is_raw;

static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
static const int requests[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

/**
 * terminal_restore - give the terminal back as it was
 *
 * Safe to call at any time, from signal handlers too, and more than once.
 */
void terminal_restore(void)
{
	sigset_t set, before;

	if (!atomic_exchange(&is_raw, false))
		return;
	/* Else a process in the background would be stopped. */
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/**
 * terminal_is_raw - does the terminal take a newline for just that?
 */
bool terminal_is_raw(void)
{
	return atomic_load(&is_raw);
}

static void restore_and_reraise(int signo)
{
	terminal_restore();
	/* SA_RESETHAND has restored the default action: this one is final. */
	raise(signo);
}

static void restore_on(const int *signals, unsigned int n)
{
	struct sigaction action = {
		.sa_handler = restore_and_reraise,
		.sa_flags = SA_RESETHAND,
	};

	for (unsigned int i = 0; i < n; i++)
		sigaction(signals[i], &action, NULL);
}

/**
 * terminal_restore_on_signals - let the usual signals end the process again
 *
 * For the time when nobody reads the signalfd any more.
 */
void terminal_restore_on_signals(void)
{
	sigset_t set;

	restore_on(requests, ARRAY_SIZE(requests));
	sigemptyset(&set);
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		sigaddset(&set, requests[i]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/**
 * terminal_make_raw - pass every key to the guest
 *
 * Does nothing when stdin is no terminal.
 */
void terminal_make_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved))
		return;
	atexit(terminal_restore);
	restore_on(crashes, ARRAY_SIZE(crashes));

	raw = saved;
	cfmakeraw(&raw);
	is_raw = true;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

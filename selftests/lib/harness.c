// SPDX-License-Identifier: GPL-2.0
/* main() of every test program: options, one child per test, TAP output. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define DEFAULT_DEV	"/dev/minivmm"

/* What a child tells its parent, in shared memory */
struct result {
	atomic_bool failed;
	char reason[160];
};

static struct test *tests, **tests_tail = &tests;
static const char *device;
static struct result *result;

void test_register(struct test *test)
{
	*tests_tail = test;
	tests_tail = &test->next;
}

const char *dev_path(void)
{
	return device;
}

bool dev_is_minivmm(void)
{
	const char *name = strrchr(device, '/');

	return !strncmp(name ? name + 1 : device, "minivmm", 7);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ksft_print_msg("%s:%d: %s\n", file, line, text);
	result->failed = true;
}

void test_exit(void)
{
	fflush(stdout);
	_exit(result->failed ? KSFT_FAIL : KSFT_PASS);
}

void test_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(result->reason, sizeof(result->reason), fmt, args);
	va_end(args);
	fflush(stdout);
	_exit(result->failed ? KSFT_FAIL : KSFT_SKIP);
}

/*
 * Wait up to @seconds; SIGCHLD is blocked, so none can be lost between the
 * look and the sleep.  Returns false if the child is still there.
 */
static bool wait_child(pid_t pid, int seconds, int *status)
{
	struct timespec limit = { .tv_sec = seconds };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid)
		if (sigtimedwait(&set, NULL, &limit) < 0 && errno == EAGAIN)
			return false;
	return true;
}

static void report(const struct test *test, int status)
{
	if (WIFSIGNALED(status)) {
		ksft_print_msg("killed by signal %d (%s)\n", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
		ksft_test_result_fail("%s\n", test->name);
	} else if (WEXITSTATUS(status) == KSFT_SKIP) {
		ksft_test_result_skip("%s: %s\n", test->name, result->reason);
	} else {
		ksft_test_result(!WEXITSTATUS(status), "%s\n", test->name);
	}
}

static void block_sigchld(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(how, &set, NULL);
}

static void run_test(const struct test *test)
{
	int status;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(KSFT_FAIL);
	}
	if (!pid) {
		setpgid(0, 0);
		block_sigchld(SIG_UNBLOCK);
		test->body();
		test_exit();
	}
	setpgid(pid, pid);
	if (wait_child(pid, TEST_TIMEOUT, &status)) {
		kill(-pid, SIGKILL);
		report(test, status);
		return;
	}
	ksft_print_msg("no end after %d seconds\n", TEST_TIMEOUT);
	kill(-pid, SIGKILL);
	if (!wait_child(pid, 10, &status))
		ksft_print_msg("and SIGKILL does not end it\n");
	ksft_test_result_fail("%s\n", test->name);
}

static bool wanted(const struct test *test, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, test->name))
			return true;
	return false;
}

static void usage(const char *program)
{
	fprintf(stderr, "usage: %s [--dev PATH] [--list] [TEST...]\n", program);
	exit(KSFT_FAIL);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dev", required_argument, NULL, 'd' },
		{ "list", no_argument, NULL, 'l' },
		{ }
	};
	const struct test *test;
	int option;

	device = getenv("MINIVMM_DEV");
	if (!device)
		device = DEFAULT_DEV;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			device = optarg;
			break;
		case 'l':
			for (test = tests; test; test = test->next)
				puts(test->name);
			exit(KSFT_PASS);
		default:
			usage(argv[0]);
		}
	}
}

int main(int argc, char **argv)
{
	const struct test *test;
	unsigned int count = 0;

	parse_options(argc, argv);
	for (test = tests; test; test = test->next)
		count += wanted(test, argv + optind);
	if (!count)
		usage(argv[0]);

	ksft_print_header();
	if (access(device, R_OK | W_OK))
		ksft_exit_skip("%s: %s (is the module loaded?)\n", device,
			       strerror(errno));
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED) {
		perror("mmap");
		return KSFT_FAIL;
	}
	block_sigchld(SIG_BLOCK);
	ksft_set_plan(count);
	for (test = tests; test; test = test->next)
		if (wanted(test, argv + optind))
			run_test(test);
	ksft_finished();
}

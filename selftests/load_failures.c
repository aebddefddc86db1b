// SPDX-License-Identifier: GPL-2.0
/*
 * Loading the modules: without memory they are not loaded, and nothing is left
 * of them.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_alloc.h"

/* What testbed/run loads, and with which parameters */
#define LOADED		"/testbed/load"

static void parameters_of(const char *module, char text[256])
{
	FILE *file = fopen(LOADED, "r");
	size_t len = strlen(module);
	char line[256];

	if (!file)
		SKIP("no %s: these are somebody's modules", LOADED);
	text[0] = '\0';
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, module, len) && line[len] == ' ')
			strcpy(text, line + len + 1);
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
}

static int load(const char *module)
{
	char path[64], parameters[256];
	int file, ret, err;

	parameters_of(module, parameters);
	snprintf(path, sizeof(path), "/testbed/modules/%s.ko", module);
	file = ASSERT_OK(open(path, O_RDONLY | O_CLOEXEC));
	ret = syscall(SYS_finit_module, file, parameters, 0);
	err = errno;
	close(file);
	errno = err;
	return ret;
}

static void unload(const char *module)
{
	ASSERT_OK(syscall(SYS_delete_module, module, 0));
}

static int load_core(void)
{
	return load("minivmm");
}

static void unload_core(void)
{
	unload("minivmm");
}

static int load_back_end(void)
{
	return load("minivmm-intel");
}

static void unload_back_end(void)
{
	unload("minivmm_intel");
}

/* In a child, so that the modules are loaded again if it fails */
static void sweep_loading(const struct call *call, void (*load_again)(void))
{
	pid_t pid = ASSERT_OK(fork());
	int status;

	if (!pid) {
		fail_every_allocation(call);
		test_exit();
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	load_again();
	ASSERT_EQ(status, 0);
}

static void reload_back_end(void)
{
	if (load_back_end())
		ASSERT_EQ(errno, EEXIST);
}

static void reload_both(void)
{
	if (load_core())
		ASSERT_EQ(errno, EEXIST);
	reload_back_end();
}

TEST(load_back_end)
{
	const struct call call = {
		.call = load_back_end, .undo = unload_back_end, .failures = 6,
		.rounds = 2, .slow = true,
	};

	fail_alloc_open();
	unload_back_end();
	sweep_loading(&call, reload_back_end);
}

TEST(load_core)
{
	const struct call call = {
		.call = load_core, .undo = unload_core, .failures = 2,
		.rounds = 2, .slow = true,
	};

	fail_alloc_open();
	unload_back_end();
	unload_core();
	sweep_loading(&call, reload_both);
}

/* Another device takes the minor number that it had. */
TEST(back_end_comes_back)
{
	fail_alloc_open();
	fail_alloc_close();
	unload_back_end();
	unload("fail_alloc");
	fail_alloc_open();
	fail_alloc_close();
	ASSERT_OK(load_back_end());
	ASSERT_OK(open(dev_path(), O_RDWR | O_CLOEXEC));
}

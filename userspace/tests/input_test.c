// SPDX-License-Identifier: GPL-2.0
/* Wrong options and files: the exit code, and a line that names them. */
#include <asm/bootparam.h>
#include <fcntl.h>

#include "base.h"
#include "options.h"
#include "report.h"
#include "spawn.h"

#define SECTOR		512
#define HEADER_OFFSET	0x1f1
#define NO_DEVICE	"/nonexistent/device"

static char dir[32];

static const char *path(const char *name)
{
	static char paths[4][64];
	static unsigned int next;
	char *p = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static void write_file(const char *name, const void *data, size_t size)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		exit(99);
	close(fd);
}

/* A kernel of two sectors that asks for 8 MiB at 16 MiB. */
static struct setup_header good_header(void)
{
	return (struct setup_header){
		.setup_sects = 1,
		.syssize = 2 * SECTOR / 16,
		.boot_flag = 0xaa55,
		.jump = 0x66eb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.xloadflags = XLF_KERNEL_64,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 255,
		.pref_address = 16 * MIB,
		.init_size = 8 * MIB,
	};
}

static void write_kernel(const struct setup_header *header, size_t size)
{
	u8 kernel[4 * SECTOR] = { 0 };

	memcpy(kernel + HEADER_OFFSET, header, sizeof(*header));
	write_file("kernel", kernel, size);
}

static void check(struct spawn *s, int code, const char *text, const char *what)
{
	unsigned int failures = tap_failures;

	EQUAL(spawn_end(s), code, what);
	CHECK(strstr(s->text, text) && !strncmp(s->text, "minivmm: ", 9), text);
	spawn_free(s, failures);
}

/* Runs the kernel with one more option. */
static void check_run(const char *option, const char *value, const char *text, const char *what)
{
	struct spawn s;

	spawn_start(&s, false, command_run, "-k", path("kernel"), "--dev", NO_DEVICE,
		    option, value, NULL);
	check(&s, EXIT_SETUP, text, what);
}

/* Runs a kernel with this header. */
static void check_header(const struct setup_header *header, const char *text)
{
	struct spawn s;

	write_kernel(header, 4 * SECTOR);
	spawn_start(&s, false, command_run, "-k", path("kernel"), "--dev", NO_DEVICE, NULL);
	check(&s, EXIT_SETUP, text, "a kernel is refused");
}

static void test_kernels(void)
{
	struct setup_header h = good_header();
	struct spawn s;

	h.boot_flag = 0;
	check_header(&h, "kernel: not a bzImage (no Linux boot header)");
	h = good_header();
	h.header = 0;
	check_header(&h, "kernel: not a bzImage (no Linux boot header)");
	h = good_header();
	h.version = 0x0204;
	check_header(&h, "kernel: boot protocol 2.04 is too old");
	h = good_header();
	h.loadflags = 0;
	check_header(&h, "kernel: a zImage");
	h = good_header();
	h.xloadflags = 0;
	check_header(&h, "kernel: not a 64-bit kernel");
	h = good_header();
	h.init_size = SECTOR;
	check_header(&h, "kernel: damaged boot header");
	h = good_header();
	h.pref_address = 0x1000;
	check_header(&h, "kernel: needs at least -m");
	h = good_header();
	h.pref_address = ~0ULL - 4096;
	check_header(&h, "kernel: needs at least -m");

	h = good_header();
	write_kernel(&h, 3 * SECTOR);
	spawn_start(&s, false, command_run, "-k", path("kernel"), NULL);
	check(&s, EXIT_SETUP, "kernel: truncated: 1536 bytes, its header promises 2048",
	      "half a kernel is refused");
	write_kernel(&h, 100);
	spawn_start(&s, false, command_run, "-k", path("kernel"), NULL);
	check(&s, EXIT_SETUP, "kernel: not a bzImage (only 100 bytes)", "a tiny file is refused");
	write_kernel(&h, 0);
	spawn_start(&s, false, command_run, "-k", path("kernel"), NULL);
	check(&s, EXIT_SETUP, "kernel: the kernel is empty", "an empty file is refused");
	spawn_start(&s, false, command_run, "-k", dir, NULL);
	check(&s, EXIT_SETUP, "not a regular file", "a directory is refused");
	spawn_start(&s, false, command_run, "-k", path("nothing"), NULL);
	check(&s, EXIT_SETUP, "nothing: cannot open the kernel: No such file",
	      "a missing kernel is refused");
}

static void test_run_options(void)
{
	struct setup_header h = good_header();
	static u8 initrd[MIB];
	char cmdline[300];
	struct spawn s;

	write_kernel(&h, 4 * SECTOR);
	write_file("initrd", initrd, sizeof(initrd));
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	cmdline[sizeof(cmdline) - 1] = 0;

	check_run("-m", "0", "-m 0: out of range", "no memory");
	check_run("-m", "1M", "-m 1M: out of range", "too little memory");
	check_run("-m", "9999999G", "-m 9999999G: out of range", "too much memory");
	check_run("-m", "99999999999999999999", "out of range", "a number that overflows");
	check_run("-m", "-256", "-m -256: not a size", "negative memory");
	check_run("-m", "lots", "-m lots: not a size", "memory in words");
	check_run("-m", "256T", "-m 256T: not a size", "an unknown unit");
	check_run("-m", "", "-m : not a size", "an empty size");
	check_run("-m", "4099K", "-m 4099K: not a multiple of 4K", "half a page");
	check_run("-m", "23M", "kernel: needs at least -m 24M, not 23M",
		  "too little for the kernel");
	check_run("-c", "0", "-c 0: out of range, 1 to 4096", "no CPU");
	check_run("-c", "4097", "-c 4097: out of range", "too many CPUs");
	check_run("-c", "99999999999999999999", "out of range", "far too many CPUs");
	check_run("-c", "-1", "-c -1: not a number of CPUs", "negative CPUs");
	check_run("-c", "2x", "-c 2x: not a number of CPUs", "something after the number");
	check_run("-c", "", "-c : not a number of CPUs", "an empty number");
	check_run("--irqchip", "pic", "--irqchip pic: kernel, split and user", "unknown chips");
	check_run("-p", cmdline, "-p: the command line has", "a command line that is too long");
	check_run("-i", path("nothing"), "nothing: cannot open the initrd", "a missing initrd");

	spawn_start(&s, false, command_run, "-k", path("kernel"), "-i", path("initrd"),
		    "-m", "24580K", NULL);
	check(&s, EXIT_SETUP, "initrd: the initrd (1024 KiB) does not fit in memory",
	      "an initrd that does not fit");
	spawn_start(&s, false, command_run, "-k", path("kernel"), "-i", path("initrd"),
		    "-m", "25M", "--dev", NO_DEVICE, NULL);
	check(&s, EXIT_DEVICE, NO_DEVICE ": No such file", "one that just fits gets to the device");
	spawn_start(&s, false, command_run, "-k", path("kernel"), "--dev", "/dev/null", NULL);
	check(&s, EXIT_DEVICE, "/dev/null: not a virtual machine device", "a wrong device");
	spawn_start(&s, false, command_run, NULL);
	check(&s, EXIT_SETUP, "run needs a kernel", "no kernel");
	check_run("--restore", path("nothing"), "for a new machine", "a kernel, and a snapshot");
	check_run("--incoming", "unix:x", "for a new machine", "a kernel, and a migration");
	check_run("--control", path("socket"), "not a socket; write unix:PATH", "no socket");
	check_run("--control", "unix:", "not a socket; write unix:PATH", "a socket without a name");
	check_run("--migrate-to", cmdline, "--migrate-to xxx", "a destination that is none");
	memcpy(cmdline, "unix:", 5);
	check_run("--control", cmdline, "the path is longer than 102 bytes", "a name too long");
	spawn_start(&s, false, command_run, "-k", path("kernel"), "more", NULL);
	check(&s, EXIT_SETUP, "no argument \"more\"", "an argument too many");
}

static void test_raw_options(void)
{
	static u8 big[640 * KIB];
	struct spawn s;

	write_file("guest", "\xf4", 1);
	write_file("big", big, sizeof(big));
	spawn_start(&s, false, command_raw, path("guest"), NULL);
	check(&s, EXIT_SETUP, "raw needs one file and --mode", "no mode");
	spawn_start(&s, false, command_raw, "--mode", "16", NULL);
	check(&s, EXIT_SETUP, "raw needs one file and --mode", "no file");
	spawn_start(&s, false, command_raw, path("guest"), "--mode", "8", NULL);
	check(&s, EXIT_SETUP, "--mode 8: 16, 32 and 64", "a wrong mode");
	spawn_start(&s, false, command_raw, path("big"), "--mode", "16", NULL);
	check(&s, EXIT_SETUP, "big: 640 KiB do not fit in memory at 0x7c00", "a file too large");
	spawn_start(&s, false, command_raw, path("guest"), "--mode", "16", "--dev", NO_DEVICE,
		    NULL);
	check(&s, EXIT_DEVICE, NO_DEVICE ": No such file", "no device");
}

static void test_restore_options(void)
{
	struct spawn s;

	spawn_start(&s, false, command_run, "--restore", path("nothing"), NULL);
	check(&s, EXIT_SETUP, "nothing: cannot open the snapshot: No such", "no snapshot");
	spawn_start(&s, false, command_run, "--restore", dir, NULL);
	check(&s, EXIT_SETUP, "not a regular file", "a directory");
	spawn_start(&s, false, command_run, "--restore", path("kernel"), NULL);
	check(&s, EXIT_SETUP, "kernel: not a saved machine", "a kernel");
	spawn_start(&s, false, command_run, "--restore", path("kernel"), "--incoming", "unix:x",
		    NULL);
	check(&s, EXIT_SETUP, "one of them is possible", "two machines");
	spawn_start(&s, false, command_run, "--restore", path("kernel"), "-m", "4M", NULL);
	check(&s, EXIT_SETUP, "for a new machine", "other memory than it has");
	spawn_start(&s, false, command_snapshot, path("file"), NULL);
	check(&s, EXIT_SETUP, "needs one file and --control", "nobody to ask");
	spawn_start(&s, false, command_snapshot, path("file"), "--control", "unix:/nonexistent/x",
		    NULL);
	check(&s, EXIT_SETUP, "no machine listens there", "nobody there");
	spawn_start(&s, false, command_migrate, "host:1", "--control", "unix:x", NULL);
	check(&s, EXIT_SETUP, "not a socket; write unix:PATH", "another kind of destination");
	spawn_start(&s, false, command_migrate, "--control", "unix:x", NULL);
	check(&s, EXIT_SETUP, "needs one destination", "no destination");
}

int main(void)
{
	char command[sizeof(dir) + 8];

	strcpy(dir, "/tmp/minivmm-input-XXXXXX");
	if (!mkdtemp(dir))
		return 99;
	test_kernels();
	test_run_options();
	test_raw_options();
	test_restore_options();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) ? 99 : tap_end();
}

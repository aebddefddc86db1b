// SPDX-License-Identifier: GPL-2.0
/*
 * The whole machine, with tiny guests: how each end is reported, interrupts in
 * both directions, the console. Runs where a virtual machine device is: on
 * /dev/minivmm, or on the device named by the first argument. As launcher_on_kvm
 * it runs on /dev/kvm.
 */
#include <fcntl.h>
#include <linux/minivmm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base.h"
#include "options.h"
#include "report.h"
#include "spawn.h"
#include "vm.h"

#define GUEST(name) \
	extern const u8 guest_##name[], guest_##name##_end[]

GUEST(hello);
GUEST(triple_fault);
GUEST(keyboard_reset);
GUEST(acpi_reset);
GUEST(acpi_off);
GUEST(timer_halted);
GUEST(timer_running);
GUEST(timer_window);
GUEST(echo);
GUEST(flood);
GUEST(panic);
GUEST(not_a_panic);
GUEST(panic_spins);
GUEST(spin);
GUEST(halt);
GUEST(flat);
GUEST(unclaimed);
GUEST(nowhere);
GUEST(two_cpus);
GUEST(second_faults);
GUEST(second_restarts);
GUEST(both_halt);
GUEST(timer_apic);
GUEST(timer_deadline);
GUEST(timer_ioapic);
GUEST(echo_level);

static const char *device = VM_DEFAULT_DEVICE;
static const char *irqchip = "user";
static const char *cpus = "1";
static char file[32];

/* Writes the guest to a file and starts it. */
static void start(struct spawn *s, bool input, const u8 *guest, const u8 *guest_end,
		  const char *mode)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	size_t size = guest_end - guest;

	if (fd < 0 || write(fd, guest, size) != (ssize_t)size)
		exit(99);
	close(fd);
	spawn_start(s, input, command_raw, file, "--mode", mode, "-m", "4M", "--dev", device,
		    "-c", cpus, "--irqchip", irqchip, NULL);
}

#define START(s, input, name, mode) \
	start(s, input, guest_##name, guest_##name##_end, mode)

static void check(const u8 *guest, const u8 *guest_end, const char *mode, int code,
		  const char *text, const char *what)
{
	unsigned int failures = tap_failures;
	struct spawn s;

	start(&s, false, guest, guest_end, mode);
	EQUAL(spawn_end(&s), code, what);
	if (*text)
		CHECK(strstr(s.text, text), text);
	spawn_free(&s, failures);
}

#define ENDS(name, mode, code, text, what) \
	check(guest_##name, guest_##name##_end, mode, code, text, what)

static void test_ends(void)
{
	ENDS(hello, "16", EXIT_POWERED_OFF, "Hi", "HLT with interrupts off");
	ENDS(hello, "16", EXIT_POWERED_OFF, "rip  0000000000007c0d", "shows the registers");
	ENDS(flat, "32", EXIT_POWERED_OFF, "3", "32 bits");
	ENDS(unclaimed, "64", EXIT_POWERED_OFF, "6", "64 bits, and addresses nobody claims");
	ENDS(acpi_off, "16", EXIT_POWERED_OFF, "", "ACPI power-off");
	ENDS(acpi_reset, "16", EXIT_REBOOT, "", "ACPI reset");
	ENDS(keyboard_reset, "16", EXIT_REBOOT, "", "reset by the keyboard controller");
	ENDS(panic, "16", EXIT_PANIC, "not syncing", "panic, then a reset");
	ENDS(not_a_panic, "16", EXIT_REBOOT, "not syncing", "a program that talks of a panic");
	ENDS(panic_spins, "16", EXIT_PANIC, "end Kernel panic", "panic, then an endless loop");
	ENDS(triple_fault, "16", EXIT_TRIPLE_FAULT, "minivmm: guest shut down: triple fault",
	     "triple fault");
	ENDS(triple_fault, "16", EXIT_TRIPLE_FAULT, "code at", "shows the code");
	ENDS(nowhere, "64", EXIT_INTERNAL, "minivmm: internal error: the module met",
	     "code where no memory is");
	ENDS(nowhere, "64", EXIT_INTERNAL, "rip  00000000e0000000", "shows the registers");
}

static void test_timer(void)
{
	ENDS(timer_halted, "16", EXIT_POWERED_OFF, "T", "the timer wakes a halted guest");
	ENDS(timer_running, "16", EXIT_POWERED_OFF, "T", "it interrupts a running guest");
	ENDS(timer_window, "16", EXIT_POWERED_OFF, "T", "it waits while interrupts are off");
}

/* @n bytes through the guest and back, in one go. */
static void test_echo(const u8 *guest, const u8 *guest_end, const char *mode, unsigned int n,
		      const char *what)
{
	unsigned int failures = tap_failures;
	char *bytes = malloc(n + 2);
	struct spawn s;

	for (unsigned int i = 0; i < n; i++)
		bytes[i] = 'A' + i * 7 % 26;
	strcpy(bytes + n, "q");
	start(&s, true, guest, guest_end, mode);
	CHECK(spawn_read(&s, ">"), "the guest is up");
	if (write(s.in, bytes, n + 1) != n + 1)
		exit(99);
	EQUAL(spawn_end(&s), EXIT_POWERED_OFF, what);
	CHECK(s.len > n && !strncmp(s.text + 1, bytes, n), "what comes back is what was sent");
	spawn_free(&s, failures);
	free(bytes);
}

#define ECHOES(name, mode, n, what) \
	test_echo(guest_##name, guest_##name##_end, mode, n, what)

static void test_flood(bool nonblocking, const char *what)
{
	static const struct timespec second = { .tv_sec = 1 };
	unsigned int count = 0;
	struct spawn s;

	spawn_nonblocking = nonblocking;
	START(&s, false, flood, "16");
	spawn_nonblocking = false;
	/* The ring and the pipe are full before anybody reads. */
	nanosleep(&second, NULL);
	EQUAL(spawn_end(&s), EXIT_POWERED_OFF, what);
	while (s.text[count] == 'x')
		count++;
	EQUAL(count, 200000, "not a byte is lost");
	free(s.text);
}

/* A signal ends a guest that runs or sleeps, at once and as that signal. */
static void test_signal(const u8 *guest, const u8 *guest_end, int signo, const char *what)
{
	unsigned int failures = tap_failures;
	struct spawn s;
	time_t start_time;

	start(&s, true, guest, guest_end, "16");
	CHECK(spawn_read(&s, ">"), "the guest is up");
	start_time = time(NULL);
	kill(s.pid, signo);
	EQUAL(spawn_end(&s), 128 + signo, what);
	CHECK(time(NULL) - start_time < 5, "at once");
	spawn_free(&s, failures);
}

/* What a PC with 8259s does, whoever has them. */
static void test_pic(void)
{
	test_timer();
	ECHOES(echo, "16", 5, "a few bytes through the guest");
	ECHOES(echo, "16", 5000, "many bytes through the guest");
}

/*
 * The TSC-deadline timer. With its preemption timer, KVM keeps the deadlines of
 * local APICs that are ours to itself: then the guest is offered none.
 */
static void test_deadline(void)
{
	bool maybe = !strcmp(device, "/dev/kvm") && !strcmp(irqchip, "user");
	unsigned int failures = tap_failures;
	struct spawn s;

	START(&s, false, timer_deadline, "32");
	EQUAL(spawn_end(&s), EXIT_POWERED_OFF, "the local APIC's timer in TSC-deadline mode");
	if (maybe && strstr(s.text, "N"))
		printf("# %s has none for us\n", device);
	else
		CHECK(strstr(s.text, "TPC"), "deadlines to come, past, and without a count");
	spawn_free(&s, failures);
}

/* And what takes APICs. */
static void test_apics(void)
{
	cpus = "2";
	ENDS(timer_ioapic, "32", EXIT_POWERED_OFF, "T", "the timer by the I/O APIC");
	ENDS(timer_apic, "32", EXIT_POWERED_OFF, "TS", "the local APIC's timer, and to itself");
	test_deadline();
	ECHOES(echo_level, "32", 100, "a level, again after each EOI");
	ENDS(two_cpus, "32", EXIT_POWERED_OFF, "21", "the second CPU starts");
	ENDS(second_restarts, "32", EXIT_POWERED_OFF, "1N2", "it takes an NMI, and an INIT");
	ENDS(second_faults, "32", EXIT_TRIPLE_FAULT, "CPU 1\n", "and its end is reported");
	test_signal(guest_halt, guest_halt_end, SIGTERM, "SIGTERM, one CPU never started");
	cpus = "1";
}

/* A halt that nothing can end is seen where the halted wait for us. */
static void test_halts(void)
{
	cpus = "3";
	ENDS(hello, "16", EXIT_POWERED_OFF, "Hi", "all CPUs halted or never started");
	ENDS(both_halt, "32", EXIT_POWERED_OFF, "H", "two halted, one never started");
	cpus = "1";
}

static bool has(int cap)
{
	int fd = open(device, O_RDWR);
	int value = ioctl(fd, MINIVMM_CHECK_EXTENSION, cap);

	close(fd);
	return value > 0;
}

static void test_irqchip(const char *mode, int cap)
{
	if (!has(cap)) {
		printf("# %s has no %s interrupt chips\n", device, mode);
		return;
	}
	printf("# --irqchip %s\n", mode);
	irqchip = mode;
	test_pic();
	test_apics();
	irqchip = "user";
}

int main(int argc, char **argv)
{
	if (strstr(argv[0], "launcher_on_kvm"))
		device = "/dev/kvm";
	if (argc > 1)
		device = argv[1];
	if (access(device, R_OK | W_OK)) {
		printf("1..0 # SKIP no %s\n", device);
		return 4;
	}
	strcpy(file, "/tmp/minivmm-guest-XXXXXX");
	close(mkstemp(file));
	test_ends();
	test_pic();
	test_apics();
	test_halts();
	test_flood(false, "more output than there is room for");
	test_flood(true, "the same, into a pipe that does not block");
	test_signal(guest_spin, guest_spin_end, SIGTERM, "SIGTERM, running guest");
	test_signal(guest_halt, guest_halt_end, SIGINT, "SIGINT, halted guest");
	test_signal(guest_halt, guest_halt_end, SIGHUP, "SIGHUP, halted guest");
	test_irqchip("split", MINIVMM_CAP_SPLIT_IRQCHIP);
	test_irqchip("kernel", MINIVMM_CAP_IRQCHIP);
	unlink(file);
	return tap_end();
}

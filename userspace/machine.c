// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual PC: puts the devices on the buses, runs the vCPU's thread beside
 * the I/O loop, and takes everything down in order when one of them ends it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "machine.h"
#include "terminal.h"

#define MACHINE_RUNNING		(-1)

/* The first reason counts: what follows is fallout. Any thread may call it. */
static void machine_end(void *opaque, enum exit_code code)
{
	struct machine *m = opaque;
	int running = MACHINE_RUNNING;

	/* With panic=N on its command line, a panicking kernel resets, its way. */
	if ((code == EXIT_REBOOT || code == EXIT_TRIPLE_FAULT) && m->console.panic.panicked)
		code = EXIT_PANIC;
	if (atomic_compare_exchange_strong(&m->result, &running, code))
		bell_ring(&m->stopped);
	atomic_store(&m->vcpu.stop, true);
}

static void machine_power_off(void *opaque)
{
	machine_end(opaque, EXIT_POWERED_OFF);
}

static void machine_reset(void *opaque)
{
	machine_end(opaque, EXIT_REBOOT);
}

static void machine_panicked(void *opaque)
{
	machine_end(opaque, EXIT_PANIC);
}

static void stop_loop(struct loop_source *source)
{
	struct machine *m = container_of(source, struct machine, stopped);

	bell_clear(source);
	m->loop.done = true;
}

static void signal_arrived(struct loop_source *source)
{
	struct machine *m = container_of(source, struct machine, signals);
	struct signalfd_siginfo info;

	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	m->signal = info.ssi_signo;
	m->loop.done = true;
}

/* Signals come through the loop, which takes the machine down in order. */
static void catch_signals(struct machine *m)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	/* Before any thread exists: they all inherit the mask. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);

	m->signals.ready = signal_arrived;
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0)
		die(EXIT_SETUP, "cannot make a signalfd: %s", strerror(errno));
	loop_add(&m->loop, &m->signals);
}

static void add_devices(struct machine *m)
{
	int err;

	m->console.quit = machine_power_off;
	m->console.panicked = machine_panicked;
	m->console.machine = m;
	err = irqchip_init(&m->irqchip, &m->pio, &m->vcpu);
	err = err ?: timer_init(&m->timer, &m->pio, &m->loop,
				irqchip_line(&m->irqchip, TIMER_IRQ));
	err = err ?: console_init(&m->console, &m->pio, &m->loop,
				  irqchip_line(&m->irqchip, CONSOLE_IRQ));
	err = err ?: rtc_init(&m->rtc, &m->pio);
	err = err ?: i8042_init(&m->i8042, &m->pio, machine_reset, m);
	err = err ?: acpi_pm_init(&m->acpi_pm, &m->pio, machine_power_off, machine_reset, m);
	if (err)
		die(EXIT_INTERNAL, "two devices claim the same ports");
	/*
	 * Unclaimed, hence all ones: the PCI configuration ports (no PCI), the
	 * POST port 0x80, the other serial ports.
	 */
}

/**
 * machine_build - put the machine together, up to but without its registers
 * @m: zeroed, but for @ram, which exists and holds the guest
 * @device: the virtual machine device's path
 */
void machine_build(struct machine *m, const char *device)
{
	vm_open_device(&m->vm, device);
	atomic_store(&m->result, MACHINE_RUNNING);
	loop_init(&m->loop);
	catch_signals(m);
	bell_init(&m->stopped, stop_loop);
	loop_add(&m->loop, &m->stopped);
	add_devices(m);

	vm_create(&m->vm, &m->ram);
	m->vcpu.pio = &m->pio;
	m->vcpu.mmio = &m->mmio;
	m->vcpu.ram = &m->ram;
	m->vcpu.irqchip = &m->irqchip;
	m->vcpu.ended = machine_end;
	m->vcpu.machine = m;
	vcpu_create(&m->vcpu, &m->vm);
}

/**
 * machine_run - run the machine to its end
 * @m: built, its vCPU's registers set
 *
 * A signal that asks the process to end is taken as such, after clean-up.
 *
 * Return: why it ended.
 */
enum exit_code machine_run(struct machine *m)
{
	terminal_make_raw();
	console_start(&m->console);
	vcpu_start(&m->vcpu);
	loop_run(&m->loop);

	terminal_restore_on_signals();
	console_unblock(&m->console);
	vcpu_stop(&m->vcpu);
	console_finish(&m->console, !m->signal);
	terminal_restore();
	if (m->signal) {
		signal(m->signal, SIG_DFL);
		raise(m->signal);
	}
	return atomic_load(&m->result);
}

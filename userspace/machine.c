// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual PC: puts the devices on the buses, runs the vCPUs' threads beside
 * the I/O loop, and takes everything down in order when one of them ends it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "guest_cpuid.h"
#include "machine.h"
#include "terminal.h"

#define MACHINE_RUNNING		(-1)

/* The first reason counts: what follows is fallout. Any thread may call it. */
static void machine_end(struct machine *m, struct vcpu *vcpu, enum exit_code code)
{
	int running = MACHINE_RUNNING;

	/* With panic=N on its command line, a panicking kernel resets, its way. */
	if ((code == EXIT_REBOOT || code == EXIT_TRIPLE_FAULT) && m->console.panic.panicked)
		code = EXIT_PANIC;
	if (atomic_compare_exchange_strong(&m->result, &running, code)) {
		if (vcpu)
			m->ended_by = vcpu;
		bell_ring(&m->stopped);
	}
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		atomic_store(&m->vcpus[i].stop, true);
}

static void vcpu_ended(struct vcpu *vcpu, enum exit_code code)
{
	machine_end(vcpu->machine, vcpu, code);
}

static void machine_power_off(void *opaque)
{
	machine_end(opaque, NULL, EXIT_POWERED_OFF);
}

static void machine_reset(void *opaque)
{
	machine_end(opaque, NULL, EXIT_REBOOT);
}

static void machine_panicked(void *opaque)
{
	machine_end(opaque, NULL, EXIT_PANIC);
}

static void stop_loop(struct loop_source *source)
{
	struct machine *m = container_of(source, struct machine, stopped);

	bell_clear(source);
	atomic_store(&m->loop.done, true);
}

static void signal_arrived(struct loop_source *source)
{
	struct machine *m = container_of(source, struct machine, signals);
	struct signalfd_siginfo info;

	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		control_migrate(&m->control);
		return;
	}
	m->signal = info.ssi_signo;
	atomic_store(&m->loop.done, true);
}

/* Signals come through the loop, which takes the machine down in order. */
static void catch_signals(struct machine *m)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	if (m->control.migrate_to)
		sigaddset(&set, SIGUSR1);
	/* Before any thread exists: they all inherit the mask. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A reader that is gone, a file that is too large: write() says so. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);

	m->signals.ready = signal_arrived;
	/* The machine may be paused for as long as somebody takes to read it. */
	m->signals.anytime = true;
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
	err = irqchip_init(&m->irqchip, &m->pio, &m->mmio, m->vcpus, m->nr_vcpus);
	if (m->irqchip.mode != IRQCHIP_KERNEL)
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

static enum irqchip_mode choose_irqchip(const struct vm *vm, const struct machine_options *o)
{
	bool in_kernel = vm_extension(vm, MINIVMM_CAP_IRQCHIP) > 0;
	bool can_split = vm_extension(vm, MINIVMM_CAP_SPLIT_IRQCHIP) > 0;
	enum irqchip_mode mode = o->irqchip;

	if (mode == IRQCHIP_AUTO)
		mode = in_kernel ? IRQCHIP_KERNEL : IRQCHIP_USER;
	if (mode == IRQCHIP_KERNEL && !in_kernel)
		die(EXIT_DEVICE, "%s: has no interrupt chips; try --irqchip user", vm->path);
	if (mode == IRQCHIP_SPLIT && !can_split)
		die(EXIT_DEVICE, "%s: has no split interrupt chips; try --irqchip kernel or user",
		    vm->path);
	if (mode == IRQCHIP_USER && o->cpus > APIC_MAX_CPUS)
		die(EXIT_SETUP, "-c %u: with interrupt chips in user space %u CPUs are possible",
		    o->cpus, APIC_MAX_CPUS);
	return mode;
}

static void check_cpus(const struct vm *vm, unsigned int cpus)
{
	int max = vm_extension(vm, MINIVMM_CAP_MAX_VCPUS);

	if (max < 1)
		max = 1;
	if (cpus > (unsigned int)max)
		die(EXIT_DEVICE, "-c %u: %s runs at most %d CPUs", cpus, vm->path, max);
}

static void add_local_apic(struct machine *m, struct vcpu *vcpu)
{
	vcpu->local_apic = local_apic_add(&m->irqchip, vcpu, &m->loop);
	vcpu->irqs = &vcpu->local_apic->source;
}

static void create_vcpus(struct machine *m)
{
	bool kernel_apic = m->irqchip.mode != IRQCHIP_USER;
	struct cpuid_machine machine = {
		.cpus = m->nr_vcpus,
		.kernel_apic = kernel_apic,
		.tsc_deadline = kernel_apic ?
				vm_extension(&m->vm, MINIVMM_CAP_TSC_DEADLINE_TIMER) > 0 :
				m->irqchip.tsc_deadline,
	};
	struct minivmm_cpuid2 *cpuid = vm_supported_cpuid(&m->vm);

	cpuid_adapt(cpuid, VM_MAX_CPUID_ENTRIES, &machine);
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		struct vcpu *vcpu = &m->vcpus[i];

		vcpu->id = i;
		vcpu->pio = &m->pio;
		vcpu->mmio = &m->mmio;
		vcpu->ram = &m->ram;
		vcpu->irqchip = &m->irqchip;
		vcpu->ended = vcpu_ended;
		vcpu->machine = m;
		if (!kernel_apic)
			add_local_apic(m, vcpu);
		vcpu_create(vcpu, &m->vm, cpuid);
	}
	/* The 8259s are wired to the boot CPU. */
	if (m->irqchip.mode == IRQCHIP_SPLIT)
		m->vcpus[0].irqs = &m->irqchip.extint;
	free(cpuid);
}

/**
 * machine_build - put the machine together, up to but without its registers
 * @m: zeroed, but for @ram, which exists and holds the guest
 * @o: what kind of machine
 */
void machine_build(struct machine *m, const struct machine_options *o)
{
	enum irqchip_mode mode;

	vm_open_device(&m->vm, o->device);
	check_cpus(&m->vm, o->cpus);
	mode = choose_irqchip(&m->vm, o);
	m->vcpus = calloc(o->cpus, sizeof(*m->vcpus));
	if (!m->vcpus)
		die(EXIT_SETUP, "out of memory");
	m->nr_vcpus = o->cpus;
	m->ended_by = &m->vcpus[0];
	atomic_store(&m->result, MACHINE_RUNNING);
	loop_init(&m->loop);
	m->control.address = o->control;
	m->control.migrate_to = o->migrate_to;
	catch_signals(m);
	bell_init(&m->stopped, stop_loop);
	loop_add(&m->loop, &m->stopped);

	vm_create(&m->vm, &m->ram);
	irqchip_create(&m->irqchip, mode, &m->vm, m->nr_vcpus);
	add_devices(m);
	create_vcpus(m);
	control_init(&m->control, m);
}

/**
 * machine_pause - have nothing happen in the machine any more
 * @m: the machine, running
 *
 * Context: not the I/O loop's thread, nor a vCPU's.
 *
 * Return: false if it has ended meanwhile. In any case machine_resume() follows.
 */
bool machine_pause(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_pause(&m->vcpus[i]);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_wait_paused(&m->vcpus[i]);
	loop_pause(&m->loop);
	return atomic_load(&m->result) == MACHINE_RUNNING && !atomic_load(&m->loop.done);
}

/**
 * machine_resume - let the machine go on
 * @m: the machine, after machine_pause()
 */
void machine_resume(struct machine *m)
{
	loop_resume(&m->loop);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_resume(&m->vcpus[i]);
}

/**
 * machine_moved - end the machine, which runs elsewhere now
 * @m: the machine, after machine_pause()
 */
void machine_moved(struct machine *m)
{
	machine_end(m, NULL, EXIT_MOVED);
	atomic_store(&m->loop.done, true);
	loop_resume(&m->loop);
}

/**
 * machine_run - run the machine to its end
 * @m: built, its first vCPU's registers set, or loaded
 *
 * A signal that asks the process to end is taken as such, after clean-up.
 *
 * Return: why it ended.
 */
enum exit_code machine_run(struct machine *m)
{
	terminal_make_raw();
	console_start(&m->console);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_start(&m->vcpus[i]);
	control_start(&m->control);
	loop_run(&m->loop);
	control_finish(&m->control);

	terminal_restore_on_signals();
	console_unblock(&m->console);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_stop(&m->vcpus[i]);
	console_finish(&m->console, !m->signal);
	terminal_restore();
	if (m->signal) {
		signal(m->signal, SIG_DFL);
		raise(m->signal);
	}
	return atomic_load(&m->result);
}

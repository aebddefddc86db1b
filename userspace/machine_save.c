// SPDX-License-Identifier: GPL-2.0
/* The whole machine but its memory, saved and loaded. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine.h"
#include "options.h"

static const struct state_desc config_desc = {
	.id = SECTION_MACHINE, .name = "machine",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct machine_config, memory, RAM_MIN_SIZE, RAM_MAX_SIZE),
		STATE_NUMBER(struct machine_config, cpus, 1, MAX_CPUS),
		STATE_NUMBER(struct machine_config, irqchip, IRQCHIP_KERNEL, IRQCHIP_USER),
		{ }
	},
};

static const struct state_desc clock_desc = {
	.id = SECTION_CLOCK, .name = "paravirtual clock",
	.fields = (const struct state_field[]){
		STATE_ANY(struct minivmm_clock_data, clock),
		{ }
	},
};

/**
 * machine_save_config - add what kind of machine it is to a stream
 * @m: the machine
 * @out: the stream
 */
void machine_save_config(const struct machine *m, struct stream_out *out)
{
	const struct machine_config config = {
		.memory = m->ram.size, .cpus = m->nr_vcpus, .irqchip = m->irqchip.mode,
	};

	state_save(out, &config_desc, 0, &config);
}

/**
 * machine_parse_config - what kind of machine a stream has
 * @section: its first section
 * @config: filled in
 *
 * Return: whether there can be such a machine.
 */
bool machine_parse_config(const struct section *section, struct machine_config *config)
{
	return section->id == SECTION_MACHINE && state_parse(&config_desc, section, config) &&
	       !(config->memory % STREAM_PAGE_SIZE);
}

static void save_clock(const struct machine *m, struct stream_out *out)
{
	struct minivmm_clock_data clock = { 0 };

	if (vm_extension(&m->vm, MINIVMM_CAP_ADJUST_CLOCK) <= 0)
		return;
	if (ioctl(m->vm.fd, MINIVMM_GET_CLOCK, &clock))
		stream_out_fail(out, "cannot read the clock: %s", strerror(errno));
	state_save(out, &clock_desc, 0, &clock);
}

/**
 * machine_save - add the machine's state to a stream, but for its memory
 * @m: the machine, paused
 * @out: the stream
 */
void machine_save(struct machine *m, struct stream_out *out)
{
	save_clock(m, out);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_save(&m->vcpus[i], out);
	irqchip_save(&m->irqchip, out);
	if (m->irqchip.mode == IRQCHIP_KERNEL)
		irqchip_save_kernel_pit(&m->irqchip, out);
	else
		timer_save(&m->timer, out);
	console_save(&m->console, out);
	rtc_save(&m->rtc, out);
	i8042_save(&m->i8042, out);
	acpi_pm_save(&m->acpi_pm, out);
}

static bool load_clock(const struct machine *m, struct saved *saved)
{
	struct minivmm_clock_data clock = { 0 };

	if (vm_extension(&m->vm, MINIVMM_CAP_ADJUST_CLOCK) <= 0)
		return true;
	if (!state_load(saved, &clock_desc, 0, &clock))
		return false;
	return !ioctl(m->vm.fd, MINIVMM_SET_CLOCK, &clock) ||
	       saved_fail(saved, "%s refuses the clock: %s", m->vm.path, strerror(errno));
}

/* From the devices to the CPUs: each drives the lines of what comes after it. */
static bool load_all(struct machine *m, struct saved *saved)
{
	bool kernel = m->irqchip.mode == IRQCHIP_KERNEL;

	if (!rtc_load(&m->rtc, saved) || !i8042_load(&m->i8042, saved) ||
	    !acpi_pm_load(&m->acpi_pm, saved) || !console_load(&m->console, saved) ||
	    !irqchip_load(&m->irqchip, saved) || !load_clock(m, saved))
		return false;
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		if (!vcpu_load(&m->vcpus[i], saved))
			return false;
	return kernel ? irqchip_load_kernel_pit(&m->irqchip, saved) :
			timer_load(&m->timer, saved);
}

/**
 * machine_load - make the machine what was saved
 * @m: the machine, built, its memory loaded
 * @saved: its state
 *
 * Return: whether it could be done; if not, the machine is of no use.
 */
bool machine_load(struct machine *m, struct saved *saved)
{
	return load_all(m, saved) && saved_all_used(saved);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * ACPI fixed hardware: PM1 event and control blocks, the power management
 * timer, the reset register. There are no buttons, so no event is ever raised.
 */
#include <string.h>

#include "acpi.h"
#include "monotonic.h"

#define PM1_STATUS		0
#define PM1_ENABLE		2
#define PM1_CONTROL		4
#define PM_TIMER		8
#define RESET			12

#define CONTROL_SCI_EN		BIT(0)
#define CONTROL_SLP_TYP(v)	(((v) >> 10) & 7)
#define CONTROL_SLP_EN		BIT(13)

#define PM_TIMER_HZ		3579545ULL

static u32 pm_timer(const struct acpi_pm *pm)
{
	u64 ns = now_ns() - pm->timer_start_ns;

	return ns / NSEC_PER_SEC * PM_TIMER_HZ + ns % NSEC_PER_SEC * PM_TIMER_HZ / NSEC_PER_SEC;
}

static u32 pm_register(struct acpi_pm *pm, unsigned int reg)
{
	switch (reg) {
	case PM1_STATUS:
		return (u32)pm->enable << 16;
	case PM1_CONTROL:
		/* There is no SMI command port: ACPI is always enabled. */
		return pm->control | CONTROL_SCI_EN;
	case PM_TIMER:
		return pm_timer(pm);
	default:
		return 0;
	}
}

static u64 pm_read(struct device *dev, u64 offset, unsigned int len)
{
	struct acpi_pm *pm = dev->opaque;
	u32 value;

	(void)len;
	pthread_mutex_lock(&pm->lock);
	value = pm_register(pm, offset & ~3);
	pthread_mutex_unlock(&pm->lock);
	return value >> 8 * (offset & 3);
}

static void write_control(struct acpi_pm *pm, u16 value)
{
	pm->control = value & ~CONTROL_SLP_EN;	/* write-only */
	if ((value & CONTROL_SLP_EN) && CONTROL_SLP_TYP(value) == ACPI_S5_TYPE)
		pm->power_off(pm->machine);
}

static void pm_write(struct device *dev, u64 offset, u64 value, unsigned int len)
{
	struct acpi_pm *pm = dev->opaque;

	pthread_mutex_lock(&pm->lock);
	if (offset == PM1_ENABLE && len == 2)
		pm->enable = value;
	else if (offset == PM1_STATUS && len == 4)
		pm->enable = value >> 16;
	else if (offset == PM1_CONTROL && len >= 2)
		write_control(pm, value);
	else if (offset == RESET && value == ACPI_RESET_VALUE)
		pm->reset(pm->machine);
	pthread_mutex_unlock(&pm->lock);
}

static const struct device_ops pm_ops = {
	.width = 4,
	.read = pm_read,
	.write = pm_write,
};

/**
 * acpi_pm_init - put the ACPI fixed hardware on the bus
 * @pm: its state
 * @pio: the port bus
 * @power_off: called when the guest enters S5
 * @reset: called when the guest writes the reset register
 * @machine: passed to both
 *
 * Return: as bus_add().
 */
int acpi_pm_init(struct acpi_pm *pm, struct bus *pio, void (*power_off)(void *machine),
		 void (*reset)(void *machine), void *machine)
{
	memset(pm, 0, sizeof(*pm));
	pthread_mutex_init(&pm->lock, NULL);
	pm->timer_start_ns = now_ns();
	pm->power_off = power_off;
	pm->reset = reset;
	pm->machine = machine;
	pm->ports = (struct device){
		.name = "acpi pm", .base = ACPI_PM_BASE, .len = ACPI_PM_LEN,
		.ops = &pm_ops, .opaque = pm,
	};
	return bus_add(pio, &pm->ports);
}

static const struct state_desc acpi_pm_desc = {
	.id = SECTION_ACPI_PM, .name = "ACPI hardware",
	.fields = (const struct state_field[]){
		STATE_ANY(struct acpi_pm, enable),
		STATE_ANY(struct acpi_pm, control),
		STATE_TIME(struct acpi_pm, timer_start_ns),
		{ }
	},
};

/**
 * acpi_pm_save - add the hardware's state to a stream
 * @pm: the hardware, which nobody uses
 * @out: the stream
 */
void acpi_pm_save(const struct acpi_pm *pm, struct stream_out *out)
{
	state_save(out, &acpi_pm_desc, 0, pm);
}

/**
 * acpi_pm_load - make the hardware what was saved
 * @pm: the hardware
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool acpi_pm_load(struct acpi_pm *pm, struct saved *saved)
{
	return state_load(saved, &acpi_pm_desc, 0, pm);
}

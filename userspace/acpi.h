/* SPDX-License-Identifier: GPL-2.0 */
/* ACPI: the tables (acpi_tables.c) and the fixed hardware (acpi_pm.c). */
#ifndef MINIVMM_ACPI_H
#define MINIVMM_ACPI_H

#include <pthread.h>

#include "bus.h"
#include "ram.h"
#include "state.h"

#define ACPI_SCI_IRQ		9
#define ACPI_PM_BASE		0x600
#define ACPI_PM1_EVENT		(ACPI_PM_BASE + 0)	/* status, enable: 2 + 2 bytes */
#define ACPI_PM1_CONTROL	(ACPI_PM_BASE + 4)	/* 2 bytes */
#define ACPI_PM_TIMER		(ACPI_PM_BASE + 8)	/* 4 bytes */
#define ACPI_RESET		(ACPI_PM_BASE + 12)	/* 1 byte */
#define ACPI_PM_LEN		13

#define ACPI_RESET_VALUE	0x01
#define ACPI_S5_TYPE		5			/* SLP_TYP of the off state */

struct acpi_pm {
	struct device ports;
	pthread_mutex_t lock;
	u16 enable;
	u16 control;
	u64 timer_start_ns;	/* when the PM timer was 0 */
	void (*power_off)(void *machine);
	void (*reset)(void *machine);
	void *machine;
};

void acpi_tables_write(struct ram *ram, unsigned int cpus);
int acpi_pm_init(struct acpi_pm *pm, struct bus *pio, void (*power_off)(void *machine),
		 void (*reset)(void *machine), void *machine);
void acpi_pm_save(const struct acpi_pm *pm, struct stream_out *out);
bool acpi_pm_load(struct acpi_pm *pm, struct saved *saved);

#endif /* MINIVMM_ACPI_H */

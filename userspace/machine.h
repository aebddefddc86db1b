/* SPDX-License-Identifier: GPL-2.0 */
/* The virtual PC: everything together, from power-on to its end. */
#ifndef MINIVMM_MACHINE_H
#define MINIVMM_MACHINE_H

#include "acpi.h"
#include "bus.h"
#include "console.h"
#include "i8042.h"
#include "irqchip.h"
#include "loop.h"
#include "ram.h"
#include "report.h"
#include "rtc.h"
#include "timer.h"
#include "vcpu.h"
#include "vm.h"

struct machine_options {
	const char *device;		/* the virtual machine device's path */
	unsigned int cpus;
	enum irqchip_mode irqchip;
};

struct machine {
	struct ram ram;
	struct bus pio;
	struct bus mmio;
	struct loop loop;
	struct vm vm;
	struct vcpu *vcpus;		/* the first one boots, the guest starts the others */
	unsigned int nr_vcpus;
	struct vcpu *ended_by;		/* for vcpu_explain(): the first that ended it */
	struct irqchip irqchip;
	struct timer timer;
	struct console console;
	struct rtc rtc;
	struct i8042 i8042;
	struct acpi_pm acpi_pm;
	struct loop_source signals;
	struct loop_source stopped;
	atomic_int result;		/* an enum exit_code, or MACHINE_RUNNING */
	int signal;			/* that ended the machine, or 0 */
};

void machine_build(struct machine *m, const struct machine_options *o);
enum exit_code machine_run(struct machine *m);

#endif /* MINIVMM_MACHINE_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* The virtual PC: everything together, from power-on to its end. */
#ifndef MINIVMM_MACHINE_H
#define MINIVMM_MACHINE_H

#include "acpi.h"
#include "bus.h"
#include "console.h"
#include "control.h"
#include "i8042.h"
#include "irqchip.h"
#include "loop.h"
#include "ram.h"
#include "report.h"
#include "rtc.h"
#include "state.h"
#include "timer.h"
#include "vcpu.h"
#include "vm.h"

struct machine_options {
	const char *device;		/* the virtual machine device's path */
	unsigned int cpus;
	enum irqchip_mode irqchip;
	struct unix_address *control;		/* its control socket, or NULL */
	struct unix_address *migrate_to;	/* where SIGUSR1 has it go, or NULL */
};

/* What a stream says of the machine in it */
struct machine_config {
	u64 memory;
	u32 cpus;
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
	struct control control;
};

void machine_build(struct machine *m, const struct machine_options *o);
enum exit_code machine_run(struct machine *m);
bool machine_pause(struct machine *m);
void machine_resume(struct machine *m);
void machine_moved(struct machine *m);

/* machine_save.c */
void machine_save_config(const struct machine *m, struct stream_out *out);
bool machine_parse_config(const struct section *section, struct machine_config *config);
void machine_save(struct machine *m, struct stream_out *out);
bool machine_load(struct machine *m, struct saved *saved);

#endif /* MINIVMM_MACHINE_H */

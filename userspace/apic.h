/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APICs of all CPUs and the messages between them, as pure logic: no
 * lock, no system call, the time passed in. x2APIC mode is not there: its MSRs
 * never come to user space.
 */
#ifndef MINIVMM_APIC_H
#define MINIVMM_APIC_H

#include "base.h"

#define APIC_BASE		0xfee00000ULL
#define APIC_LEN		0x1000ULL
#define APIC_BASE_BOOT		BIT(8)	/* IA32_APIC_BASE: the boot processor, enabled */
#define APIC_BASE_ENABLE	BIT(11)
#define APIC_MAX_CPUS		255	/* IDs of 8 bits; 255 addresses everybody */
#define APIC_TICK_NS		100ULL	/* of the timer's clock, before its divider */
#define APIC_NEVER		(~0ULL)
#define APIC_EXTINT		(-1)	/* no vector: the 8259 pair has it */

/* SDM 11.6.1; the I/O APIC's entries and MSI data encode them alike. */
enum apic_mode {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_SIPI = 6,
	APIC_EXTERNAL = 7,
};

struct apic_message {
	u8 dest;
	u8 vector;
	enum apic_mode mode;
	bool logical;		/* @dest is a logical destination */
	bool level;		/* level triggered: its EOI is broadcast */
};

/* What the APICs do to the machine. @cpu is the number and the APIC's ID. */
struct apic_ops {
	void (*wake)(void *machine, unsigned int cpu);	/* apic_intr() may be new */
	void (*nmi)(void *machine, unsigned int cpu);
	void (*init)(void *machine, unsigned int cpu);	/* its APIC is reset already */
	void (*sipi)(void *machine, unsigned int cpu, u8 vector);
	void (*eoi)(void *machine, u8 vector);		/* of a level triggered interrupt */
};

enum apic_lvt {
	LVT_TIMER,
	LVT_THERMAL,
	LVT_PERFORMANCE,
	LVT_LINT0,
	LVT_LINT1,
	LVT_ERROR,
	APIC_NR_LVT,
};

/* A register of 256 bits, one for each vector */
struct apic_vectors {
	u32 word[8];
};

struct apic {
	struct apic_bus *bus;
	u8 id;
	bool enabled;		/* IA32_APIC_BASE's enable bit */
	bool wait_for_sipi;
	bool extint;		/* an ExtINT message waits for its acknowledge */
	bool lint[2];		/* the pins: asserted? */
	u8 tpr;
	u32 ldr;
	u32 dfr;
	u32 svr;
	u32 esr;		/* as last written to be read */
	u32 errors;		/* since then */
	u32 icr_low;
	u32 icr_high;
	u32 lvt[APIC_NR_LVT];
	struct apic_vectors isr;
	struct apic_vectors tmr;
	struct apic_vectors irr;
	u32 timer_initial;
	u32 timer_divide;
	bool timer_running;
	u64 timer_start_ns;	/* when the present count down began */
	bool has_deadline;	/* the timer knows TSC-deadline mode */
	u64 deadline;		/* IA32_TSC_DEADLINE; 0: not armed */
	u64 deadline_ns;	/* when the TSC comes to it */
};

struct apic_bus {
	const struct apic_ops *ops;
	void *machine;
	unsigned int nr;
	struct apic apic[APIC_MAX_CPUS];	/* by ID */
};

/* What the processor's clocks say at one moment, and how fast its TSC is */
struct apic_clocks {
	u64 now_ns;
	u64 tsc;
	u32 tsc_khz;
};

void apic_bus_init(struct apic_bus *bus, unsigned int nr, const struct apic_ops *ops,
		   void *machine);
bool apic_deliver(struct apic_bus *bus, const struct apic_message *msg);

u32 apic_read(struct apic *apic, unsigned int offset, u64 now_ns);
void apic_write(struct apic *apic, unsigned int offset, u32 value, u64 now_ns);
void apic_set_enabled(struct apic *apic, bool enabled);
void apic_set_virtual_wire(struct apic *apic);
void apic_set_lint(struct apic *apic, unsigned int pin, bool level);
u8 apic_cr8(const struct apic *apic);
void apic_set_cr8(struct apic *apic, u8 cr8);

bool apic_intr(const struct apic *apic);
int apic_acknowledge(struct apic *apic);

void apic_offer_deadline(struct apic_bus *bus);
u64 apic_deadline(struct apic *apic, u64 now_ns);
void apic_set_deadline(struct apic *apic, u64 deadline, const struct apic_clocks *clocks);
u64 apic_timer_deadline(const struct apic *apic);
void apic_timer_run(struct apic *apic, u64 now_ns);
bool apic_possible(const struct apic *apic);

#endif /* MINIVMM_APIC_H */

// SPDX-License-Identifier: GPL-2.0
/* The local APICs against the SDM, volume 3A, chapter 11. */
#include <string.h>

#include "apic.h"
#include "tap.h"

#define ID		0x020
#define VERSION		0x030
#define TPR		0x080
#define PPR		0x0a0
#define EOI		0x0b0
#define LDR		0x0d0
#define DFR		0x0e0
#define SVR		0x0f0
#define ISR		0x100
#define TMR		0x180
#define IRR		0x200
#define ESR		0x280
#define ICR		0x300
#define ICR2		0x310
#define TIMER		0x320
#define THERMAL		0x330
#define PERFORMANCE	0x340
#define LINT0		0x350
#define LINT1		0x360
#define ERROR		0x370
#define INITIAL		0x380
#define CURRENT		0x390
#define DIVIDE		0x3e0

#define ENABLE		0x1ff		/* SVR: on, spurious vector 0xff */
#define MASKED		0x10000
#define PERIODIC	0x20000
#define DEADLINE	0x40000
#define LEVEL		0x8000
#define REMOTE_IRR	0x4000
#define LOGICAL		0x800
#define ASSERT		0x4000
#define SELF		0x40000
#define ALL		0x80000
#define OTHERS		0xc0000
#define MODE(m)		((m) << 8)

#define CPUS		4
#define NO_VECTOR	0x1000

static struct apic_bus bus;
static struct apic *boot = &bus.apic[0];
static u64 now;

/* What the APICs asked of the machine, since they were last asked. */
static struct {
	unsigned int wake[CPUS], nmi[CPUS], init[CPUS], sipi[CPUS];
	unsigned int sipi_vector;
	unsigned int eoi;
} seen;

static void wake(void *machine, unsigned int cpu)
{
	(void)machine;
	seen.wake[cpu]++;
}

static void nmi(void *machine, unsigned int cpu)
{
	(void)machine;
	seen.nmi[cpu]++;
}

static void init(void *machine, unsigned int cpu)
{
	(void)machine;
	seen.init[cpu]++;
}

static void sipi(void *machine, unsigned int cpu, u8 vector)
{
	(void)machine;
	seen.sipi[cpu]++;
	seen.sipi_vector = vector;
}

static void eoi(void *machine, u8 vector)
{
	(void)machine;
	seen.eoi = vector;
}

static const struct apic_ops ops = {
	.wake = wake, .nmi = nmi, .init = init, .sipi = sipi, .eoi = eoi,
};

static u32 get(struct apic *apic, unsigned int offset)
{
	return apic_read(apic, offset, now);
}

static void set(struct apic *apic, unsigned int offset, u32 value)
{
	apic_write(apic, offset, value, now);
}

static void forget(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.eoi = NO_VECTOR;
	seen.sipi_vector = NO_VECTOR;
}

static void power_on(void)
{
	now = 1000000;
	apic_bus_init(&bus, CPUS, &ops, NULL);
	forget();
}

/* All on, each with a bit of the flat logical destination. */
static void power_on_enabled(void)
{
	power_on();
	for (unsigned int i = 0; i < CPUS; i++) {
		set(&bus.apic[i], SVR, ENABLE);
		set(&bus.apic[i], LDR, 0x01000000 << i);
	}
}

static bool send(u8 dest, bool logical, enum apic_mode mode, u8 vector)
{
	const struct apic_message msg = {
		.dest = dest, .logical = logical, .mode = mode, .vector = vector,
	};

	return apic_deliver(&bus, &msg);
}

static void interrupt(u8 vector)
{
	send(0, false, APIC_FIXED, vector);
}

/* Which CPUs have @vector in their IRR, one bit each; they lose it. */
static unsigned int take(u8 vector)
{
	unsigned int cpus = 0;

	for (unsigned int i = 0; i < CPUS; i++) {
		u32 *word = &bus.apic[i].irr.word[vector / 32];

		if (*word & BIT(vector % 32))
			cpus |= BIT(i);
		*word &= ~BIT(vector % 32);
	}
	return cpus;
}

static unsigned int mask_of(const unsigned int *counts)
{
	unsigned int cpus = 0;

	for (unsigned int i = 0; i < CPUS; i++)
		cpus |= counts[i] ? BIT(i) : 0;
	return cpus;
}

static void test_reset(void)
{
	power_on();
	EQUAL(get(boot, ID), 0, "the boot processor's ID");
	EQUAL(get(&bus.apic[3], ID), 0x03000000, "another's");
	EQUAL(get(boot, VERSION), 0x50014, "version 14h, six LVT entries");
	EQUAL(get(boot, TPR), 0, "TPR");
	EQUAL(get(boot, PPR), 0, "PPR");
	EQUAL(get(boot, LDR), 0, "LDR");
	EQUAL(get(boot, DFR), 0xffffffff, "DFR: flat");
	EQUAL(get(boot, SVR), 0xff, "SVR: disabled");
	EQUAL(get(boot, ICR), 0, "ICR");
	for (unsigned int i = TIMER; i <= ERROR; i += 0x10)
		EQUAL(get(boot, i), MASKED, "an LVT entry: masked");
	EQUAL(get(boot, INITIAL), 0, "initial count");
	EQUAL(get(boot, CURRENT), 0, "current count");
	EQUAL(get(boot, DIVIDE), 0, "divide");
	EQUAL(get(boot, ESR), 0, "no error");
	CHECK(!apic_intr(boot), "no interrupt");
}

static void test_writable_bits(void)
{
	static const struct {
		unsigned int offset;
		u32 reads;
		const char *what;
	} registers[] = {
		{ ID, 0x02000000, "ID: nothing" },
		{ VERSION, 0x50014, "version: nothing" },
		{ TPR, 0xff, "TPR: 8 bits" },
		{ LDR, 0xff000000, "LDR: 8 high bits" },
		{ DFR, 0xffffffff, "DFR: the model, ones below" },
		{ SVR, 0x3ff, "SVR: vector, enable, focus" },
		{ ICR2, 0xff000000, "ICR: the destination" },
		{ TIMER, 0x300ff, "LVT timer: no deadline mode" },
		{ THERMAL, 0x107ff, "LVT thermal" },
		{ PERFORMANCE, 0x107ff, "LVT performance" },
		{ LINT0, 0x1a7ff, "LVT LINT0" },
		{ LINT1, 0x1a7ff, "LVT LINT1" },
		{ ERROR, 0x100ff, "LVT error" },
		{ DIVIDE, 0xb, "divide: three bits" },
		{ INITIAL, 0xffffffff, "initial count: all" },
	};

	power_on_enabled();
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++) {
		set(&bus.apic[2], registers[i].offset, 0xffffffff);
		EQUAL(get(&bus.apic[2], registers[i].offset), registers[i].reads,
		      registers[i].what);
	}
	set(&bus.apic[2], DFR, 0);
	EQUAL(get(&bus.apic[2], DFR), 0x0fffffff, "DFR: cluster model");
	set(&bus.apic[2], PPR, 0x20);
	set(&bus.apic[2], ISR, 1);
	set(&bus.apic[2], CURRENT, 1);
	set(&bus.apic[2], ESR, 0);
	EQUAL(get(&bus.apic[2], ESR), 0, "writes to read-only registers are no errors");
	EQUAL(get(&bus.apic[2], ISR), 0, "and change nothing");
}

static void test_basics(void)
{
	power_on_enabled();
	interrupt(0x45);
	EQUAL(seen.wake[0], 1, "an interrupt wakes the processor");
	EQUAL(get(boot, IRR + 0x20), 0x20, "is in IRR");
	EQUAL(get(boot, TMR + 0x20), 0, "as an edge");
	CHECK(apic_intr(boot), "and wants in");
	EQUAL(apic_acknowledge(boot), 0x45, "with its vector");
	EQUAL(get(boot, IRR + 0x20), 0, "acknowledged it leaves IRR");
	EQUAL(get(boot, ISR + 0x20), 0x20, "and is in service");
	EQUAL(get(boot, PPR), 0x40, "which sets the processor's priority");
	interrupt(0x45);
	CHECK(!apic_intr(boot), "a second one waits");
	EQUAL(get(boot, IRR + 0x20), 0x20, "in IRR");
	set(boot, EOI, 0);
	EQUAL(get(boot, ISR + 0x20), 0, "EOI ends the service");
	EQUAL(seen.eoi, NO_VECTOR, "silently, it was an edge");
	EQUAL(apic_acknowledge(boot), 0x45, "then it comes");
	set(boot, EOI, 0);
	set(boot, EOI, 0);
	EQUAL(get(boot, PPR), 0, "one EOI too many does nothing");
}

static void test_priorities(void)
{
	power_on_enabled();
	interrupt(0x31);
	interrupt(0xf2);
	interrupt(0x52);
	EQUAL(apic_acknowledge(boot), 0xf2, "the highest vector first");
	CHECK(!apic_intr(boot), "lower ones wait");
	set(boot, EOI, 0);
	EQUAL(apic_acknowledge(boot), 0x52, "then the next");
	interrupt(0x5f);
	CHECK(!apic_intr(boot), "the same class does not nest");
	interrupt(0x60);
	EQUAL(apic_acknowledge(boot), 0x60, "a higher class does");
	EQUAL(get(boot, PPR), 0x60, "priority of the innermost");
	set(boot, EOI, 0);
	EQUAL(get(boot, PPR), 0x50, "EOI ends the innermost");
	set(boot, EOI, 0);
	EQUAL(apic_acknowledge(boot), 0x5f, "then the rest of the class");
	set(boot, EOI, 0);
	EQUAL(apic_acknowledge(boot), 0x31, "and the lowest");
}

static void test_task_priority(void)
{
	power_on_enabled();
	interrupt(0x55);
	set(boot, TPR, 0x50);
	EQUAL(get(boot, PPR), 0x50, "TPR alone sets PPR");
	CHECK(!apic_intr(boot), "its own class is held back");
	EQUAL(apic_acknowledge(boot), 0xff, "acknowledged nevertheless: the spurious vector");
	EQUAL(get(boot, ISR + 0x70), 0, "which is not in service");
	EQUAL(apic_cr8(boot), 5, "CR8 shows the class");
	apic_set_cr8(boot, 4);
	EQUAL(get(boot, TPR), 0x40, "CR8 sets TPR");
	EQUAL(apic_acknowledge(boot), 0x55, "lower it and the interrupt comes");
	set(boot, TPR, 0x57);
	EQUAL(get(boot, PPR), 0x57, "equal classes: PPR is TPR");
	set(boot, TPR, 0x4f);
	EQUAL(get(boot, PPR), 0x50, "a lower TPR: the class in service");
	set(boot, TPR, 0xff);
	interrupt(0xfe);
	CHECK(!apic_intr(boot), "15 holds everything back");
}

static void test_level(void)
{
	const struct apic_message msg = { .dest = 0, .vector = 0x61, .level = true };

	power_on_enabled();
	apic_deliver(&bus, &msg);
	EQUAL(get(boot, TMR + 0x30), 0x2, "a level interrupt is in TMR");
	apic_acknowledge(boot);
	EQUAL(seen.eoi, NO_VECTOR, "the I/O APIC waits");
	set(boot, EOI, 0);
	EQUAL(seen.eoi, 0x61, "for the EOI");
	forget();
	interrupt(0x61);
	EQUAL(get(boot, TMR + 0x30), 0, "the same vector as an edge clears TMR");
	apic_acknowledge(boot);
	set(boot, EOI, 0);
	EQUAL(seen.eoi, NO_VECTOR, "and its EOI stays here");
}

static void test_physical(void)
{
	power_on_enabled();
	CHECK(send(2, false, APIC_FIXED, 0x40), "somebody takes it");
	EQUAL(take(0x40), 0x4, "physical: one by its ID");
	EQUAL(mask_of(seen.wake), 0x4, "nobody else is disturbed");
	send(0xff, false, APIC_FIXED, 0x40);
	EQUAL(take(0x40), 0xf, "0xff: everybody");
	CHECK(!send(4, false, APIC_FIXED, 0x40), "nobody");
	EQUAL(take(0x40), 0, "an ID that is not there");
	send(1, false, APIC_LOWEST, 0x40);
	EQUAL(take(0x40), 0x2, "lowest priority among one");
}

static void test_logical(void)
{
	power_on_enabled();
	send(0x06, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0x6, "flat: a bit each");
	send(0xff, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0xf, "flat: everybody");
	CHECK(!send(0xf0, true, APIC_FIXED, 0x41), "nobody");
	EQUAL(take(0x41), 0, "flat: nobody");

	for (unsigned int i = 0; i < CPUS; i++) {
		set(&bus.apic[i], DFR, 0x0fffffff);
		/* 0 and 1 in cluster 0, 2 and 3 in cluster 1 */
		set(&bus.apic[i], LDR, (i / 2 << 4 | 1 << i % 2) << 24);
	}
	send(0x03, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0x3, "cluster: both of the first");
	send(0x12, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0x8, "cluster: one of the second");
	send(0x23, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0, "cluster: none is there");
	send(0xff, true, APIC_FIXED, 0x41);
	EQUAL(take(0x41), 0xf, "cluster: everybody");
}

static void test_lowest_priority(void)
{
	power_on_enabled();
	set(&bus.apic[0], TPR, 0x40);
	set(&bus.apic[1], TPR, 0x30);
	set(&bus.apic[2], TPR, 0x20);
	set(&bus.apic[3], TPR, 0x10);
	send(0x07, true, APIC_LOWEST, 0x90);
	EQUAL(take(0x90), 0x4, "the lowest priority of those addressed");
	send(3, false, APIC_FIXED, 0x80);
	apic_acknowledge(&bus.apic[3]);
	send(0xff, true, APIC_LOWEST, 0x90);
	EQUAL(take(0x90), 0x4, "what is in service counts");
	set(&bus.apic[2], SVR, 0xff);
	send(0xff, true, APIC_LOWEST, 0x90);
	EQUAL(take(0x90), 0x2, "a disabled one does not");
	for (unsigned int i = 0; i < CPUS; i++)
		set(&bus.apic[i], SVR, 0xff);
	CHECK(!send(0xff, true, APIC_LOWEST, 0x90), "no candidate");
	EQUAL(take(0x90), 0, "all disabled: nobody");
}

static void test_modes(void)
{
	power_on();
	send(1, false, APIC_NMI, 0);
	EQUAL(mask_of(seen.nmi), 0x2, "NMI, to a disabled APIC too");
	send(1, false, APIC_SMI, 0);
	send(1, false, 3, 0x40);
	EQUAL(mask_of(seen.wake), 0, "SMI and the reserved mode do nothing");
	send(1, false, APIC_EXTERNAL, 0);
	CHECK(apic_intr(&bus.apic[1]), "ExtINT");
	EQUAL(apic_acknowledge(&bus.apic[1]), APIC_EXTINT, "leaves the vector to the 8259 pair");
	CHECK(!apic_intr(&bus.apic[1]), "once");
}

static void test_init_sipi(void)
{
	power_on_enabled();
	send(1, false, APIC_SIPI, 0x9a);
	EQUAL(seen.sipi[1], 1, "after power-up the others wait for a SIPI");
	EQUAL(seen.sipi_vector, 0x9a, "it has the vector");
	send(1, false, APIC_SIPI, 0x9a);
	EQUAL(seen.sipi[1], 1, "a second one is ignored");
	send(0, false, APIC_SIPI, 0x9a);
	EQUAL(seen.sipi[0], 0, "the boot processor never waited");

	set(&bus.apic[1], LDR, 0x02000000);
	send(1, false, APIC_FIXED, 0x40);
	send(1, false, APIC_INIT, 0);
	EQUAL(seen.init[1], 1, "INIT to a running processor");
	EQUAL(get(&bus.apic[1], LDR), 0, "resets its APIC");
	EQUAL(get(&bus.apic[1], SVR), 0xff, "disables it");
	EQUAL(get(&bus.apic[1], IRR + 0x20), 0, "forgets its interrupts");
	EQUAL(get(&bus.apic[1], ID), 0x01000000, "but not its ID");
	send(1, false, APIC_SIPI, 0x10);
	EQUAL(seen.sipi[1], 2, "and it waits for a SIPI again");
	send(0, false, APIC_INIT, 0);
	send(0, false, APIC_SIPI, 0x10);
	EQUAL(seen.sipi[0], 0, "the boot processor does not, even then");
}

static void test_icr(void)
{
	power_on_enabled();
	set(boot, ICR2, 0x02000000);
	set(boot, ICR, 0x42);
	EQUAL(take(0x42), 0x4, "physical");
	EQUAL(get(boot, ICR), 0x42, "it reads back, delivered");
	set(boot, ICR2, 0x0a000000);
	set(boot, ICR, LOGICAL | 0x42);
	EQUAL(take(0x42), 0xa, "logical");
	set(boot, ICR, SELF | 0x42);
	EQUAL(take(0x42), 0x1, "self");
	set(boot, ICR, ALL | 0x42);
	EQUAL(take(0x42), 0xf, "all");
	set(&bus.apic[2], ICR, OTHERS | 0x42);
	EQUAL(take(0x42), 0xb, "all but self");

	set(boot, ICR, OTHERS | ASSERT | MODE(APIC_NMI));
	EQUAL(mask_of(seen.nmi), 0xe, "NMI to the others");
	forget();
	set(boot, ICR, SELF | ASSERT | MODE(APIC_NMI));
	set(boot, ICR, ALL | ASSERT | MODE(APIC_INIT));
	EQUAL(mask_of(seen.nmi) | mask_of(seen.init), 0, "only vectors go to oneself by shorthand");
	set(boot, ICR2, 0x03000000);
	set(boot, ICR, LEVEL | MODE(APIC_INIT));
	EQUAL(seen.init[3], 0, "INIT level de-assert does nothing");
	set(boot, ICR, LEVEL | ASSERT | MODE(APIC_INIT));
	EQUAL(mask_of(seen.init), 0x8, "INIT");
	set(boot, ICR, MODE(APIC_SIPI) | 0x8);
	EQUAL(mask_of(seen.sipi), 0x8, "SIPI");
	EQUAL(seen.sipi_vector, 0x8, "with its vector");
	forget();
	set(boot, ICR, MODE(APIC_EXTERNAL));
	EQUAL(mask_of(seen.wake), 0, "ExtINT cannot be sent");
	set(boot, ICR, OTHERS | MODE(APIC_LOWEST) | 0x42);
	EQUAL(take(0x42), 0x2, "lowest priority of the others");
}

static void test_errors(void)
{
	power_on_enabled();
	set(boot, ERROR, 0xfe);
	set(boot, ICR, SELF | 0x0f);
	EQUAL(get(boot, ESR), 0, "an error shows only after a write to ESR");
	EQUAL(take(0xfe), 0x1, "but interrupts at once");
	get(boot, 0x3f0);
	EQUAL(take(0xfe), 0, "one interrupt until ESR is written");
	set(boot, ESR, 0xffffffff);
	EQUAL(get(boot, ESR), 0xa0, "illegal vector sent, illegal register");
	interrupt(0x0f);
	EQUAL(take(0xfe), 0x1, "armed again");
	EQUAL(get(boot, ESR), 0xa0, "ESR stays until written");
	set(boot, ESR, 0);
	EQUAL(get(boot, ESR), 0x40, "illegal vector received");
	set(boot, ESR, 0);
	EQUAL(get(boot, ESR), 0, "and then nothing");
	EQUAL(take(0x0f), 0, "vectors below 16 are not accepted");
	set(boot, ERROR, 0x05);
	set(boot, 0x000, 1);
	set(boot, ESR, 0);
	EQUAL(get(boot, ESR), 0xc0, "the error interrupt may have an illegal vector too");
	set(boot, ERROR, MASKED | 0xfe);
	get(boot, 0x400);
	EQUAL(take(0xfe), 0, "masked: no interrupt");
}

static void test_disabled(void)
{
	power_on_enabled();
	set(boot, LINT0, 0x33);
	interrupt(0x44);
	set(boot, SVR, 0xff);
	EQUAL(get(boot, LINT0), MASKED | 0x33, "disabling masks the LVT");
	set(boot, LINT0, 0x33);
	EQUAL(get(boot, LINT0), MASKED | 0x33, "which stays masked");
	interrupt(0x45);
	EQUAL(take(0x45), 0, "nothing is accepted");
	EQUAL(apic_acknowledge(boot), 0x44, "what was pending is held");
	set(boot, EOI, 0);
	set(boot, ICR2, 0x01000000);
	set(boot, ICR, 0x46);
	EQUAL(take(0x46), 0x2, "it still sends");
	send(0, false, APIC_INIT, 0);
	EQUAL(seen.init[0], 1, "and takes INIT");
}

static void test_no_apic(void)
{
	power_on_enabled();
	set(&bus.apic[1], TPR, 0x40);
	apic_set_enabled(&bus.apic[1], false);
	send(0xff, false, APIC_FIXED, 0x47);
	EQUAL(take(0x47), 0xd, "without an APIC no message arrives");
	send(1, false, APIC_INIT, 0);
	send(1, false, APIC_SIPI, 1);
	EQUAL(seen.init[1] + seen.sipi[1], 0, "not even these");
	apic_set_lint(&bus.apic[1], 1, true);
	EQUAL(seen.nmi[1], 1, "LINT1 is the NMI pin");
	apic_set_lint(&bus.apic[1], 0, true);
	EQUAL(seen.wake[1], 1, "LINT0");
	CHECK(apic_intr(&bus.apic[1]), "is the INTR pin");
	EQUAL(apic_acknowledge(&bus.apic[1]), APIC_EXTINT, "the 8259 pair has the vector");
	apic_set_lint(&bus.apic[1], 0, false);
	CHECK(!apic_intr(&bus.apic[1]), "and takes the request back");
	apic_set_enabled(&bus.apic[1], true);
	EQUAL(get(&bus.apic[1], TPR), 0, "enabled again it is as after reset");
	EQUAL(get(&bus.apic[1], SVR), 0xff, "in all");
}

static void test_lint_edge(void)
{
	power_on_enabled();
	apic_set_lint(boot, 0, true);
	EQUAL(mask_of(seen.wake), 0, "a masked pin does nothing");
	set(boot, LINT0, 0x50);
	EQUAL(take(0x50), 0, "an edge that is past is lost");
	apic_set_lint(boot, 0, true);
	EQUAL(take(0x50), 0, "no change, no edge");
	apic_set_lint(boot, 0, false);
	apic_set_lint(boot, 0, true);
	EQUAL(take(0x50), 0x1, "an edge interrupts");

	set(boot, LINT1, MODE(APIC_NMI));
	apic_set_lint(boot, 1, true);
	EQUAL(mask_of(seen.nmi), 0x1, "LINT1 as NMI");
	set(&bus.apic[1], LINT1, MODE(APIC_INIT));
	apic_set_lint(&bus.apic[1], 1, true);
	EQUAL(mask_of(seen.init), 0x2, "or INIT");
}

static void test_lint_level(void)
{
	power_on_enabled();
	set(boot, LINT0, LEVEL | 0x51);
	apic_set_lint(boot, 0, true);
	EQUAL(get(boot, LINT0), REMOTE_IRR | LEVEL | 0x51, "remote IRR is set");
	EQUAL(apic_acknowledge(boot), 0x51, "a level interrupts");
	apic_set_lint(boot, 0, false);
	apic_set_lint(boot, 0, true);
	EQUAL(take(0x51), 0, "once");
	set(boot, EOI, 0);
	EQUAL(take(0x51), 0x1, "and again after EOI while it is asserted");
	apic_set_lint(boot, 0, false);
	set(boot, LINT0, MASKED | LEVEL | 0x51);
	EQUAL(get(boot, LINT0), MASKED | REMOTE_IRR | LEVEL | 0x51, "masking keeps remote IRR");
	set(boot, LINT0, 0x51);
	set(boot, LINT0, MASKED | LEVEL | 0x51);
	EQUAL(get(boot, LINT0), MASKED | LEVEL | 0x51, "edge mode forgets it");
	apic_set_lint(boot, 0, true);
	EQUAL(take(0x51), 0, "masked");
	set(boot, LINT0, LEVEL | 0x51);
	EQUAL(take(0x51), 0x1, "unmasked it is seen");
}

static void test_extint(void)
{
	power_on();
	apic_set_virtual_wire(boot);
	EQUAL(get(boot, LINT0), MODE(APIC_EXTERNAL), "virtual wire: LINT0 is ExtINT");
	EQUAL(get(boot, LINT1), MODE(APIC_NMI), "LINT1 is NMI");
	EQUAL(get(boot, SVR), ENABLE, "the APIC is on");
	apic_set_lint(boot, 0, true);
	EQUAL(seen.wake[0], 1, "INTR wakes");
	set(boot, TPR, 0xff);
	CHECK(apic_intr(boot), "whatever the priority");
	interrupt(0x70);
	EQUAL(apic_acknowledge(boot), APIC_EXTINT, "before any vector");
	CHECK(apic_intr(boot), "as long as the pair asserts it");
	apic_set_lint(boot, 0, false);
	CHECK(!apic_intr(boot), "and no longer");
	set(boot, LINT0, MASKED | MODE(APIC_EXTERNAL));
	apic_set_lint(boot, 0, true);
	CHECK(!apic_intr(boot), "masked: not at all");
	set(boot, LINT0, MODE(APIC_EXTERNAL));
	CHECK(apic_intr(boot), "until unmasked");
}

static void test_timer_one_shot(void)
{
	power_on_enabled();
	set(boot, DIVIDE, 0xb);
	set(boot, TIMER, 0xec);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "not started");
	set(boot, INITIAL, 1000);
	EQUAL(apic_timer_deadline(boot), now + 1000 * APIC_TICK_NS, "1000 ticks");
	now += 400 * APIC_TICK_NS + 1;
	EQUAL(get(boot, CURRENT), 600, "it counts down");
	EQUAL(get(boot, INITIAL), 1000, "the initial count stays");
	now += 600 * APIC_TICK_NS - 2;
	apic_timer_run(boot, now);
	EQUAL(take(0xec), 0, "not a moment early");
	EQUAL(get(boot, CURRENT), 1, "one tick to go");
	now++;
	apic_timer_run(boot, now);
	EQUAL(take(0xec), 0x1, "it interrupts");
	EQUAL(get(boot, CURRENT), 0, "and stands at 0");
	now += 5000 * APIC_TICK_NS;
	apic_timer_run(boot, now);
	EQUAL(take(0xec), 0, "once");
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "no further deadline");
	set(boot, TIMER, PERIODIC | 0xec);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "nor in another mode, without a count");
	set(boot, INITIAL, 1000);
	set(boot, INITIAL, 0);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "0 stops it");
	EQUAL(get(boot, CURRENT), 0, "at once");
}

static void test_timer_periodic(void)
{
	u64 start;

	power_on_enabled();
	start = now;
	set(boot, DIVIDE, 0xb);
	set(boot, TIMER, PERIODIC | 0xed);
	set(boot, INITIAL, 100);
	now = start + 100 * APIC_TICK_NS;
	apic_timer_run(boot, now);
	EQUAL(take(0xed), 0x1, "the first period");
	EQUAL(apic_timer_deadline(boot), start + 200 * APIC_TICK_NS, "the next follows");
	EQUAL(get(boot, CURRENT), 100, "reloaded");
	now = start + 1030 * APIC_TICK_NS;
	apic_timer_run(boot, now);
	EQUAL(take(0xed), 0x1, "periods slept through are one interrupt");
	EQUAL(apic_timer_deadline(boot), start + 1100 * APIC_TICK_NS, "and none is shifted");
	EQUAL(get(boot, CURRENT), 70, "the count fits");
	set(boot, TIMER, MASKED | PERIODIC | 0xed);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "masked: nobody need wake");
	now = start + 1550 * APIC_TICK_NS;
	EQUAL(get(boot, CURRENT), 50, "but it counts");
	set(boot, TIMER, PERIODIC | 0xed);
	EQUAL(take(0xed), 0, "what passed masked is lost");
	EQUAL(apic_timer_deadline(boot), start + 1600 * APIC_TICK_NS, "unmasked it goes on");
	set(boot, TIMER, 0xed);
	now = start + 1700 * APIC_TICK_NS;
	apic_timer_run(boot, now);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "made one-shot, this period is the last");
}

static void test_timer_divide(void)
{
	static const u8 codes[] = { 0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa };

	power_on_enabled();
	set(boot, TIMER, 0xee);
	for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
		set(boot, DIVIDE, codes[i]);
		set(boot, INITIAL, 3);
		EQUAL(apic_timer_deadline(boot) - now, (3 * APIC_TICK_NS) << i, "a divider");
	}
	set(boot, DIVIDE, 0xb);
	set(boot, INITIAL, 0xffffffff);
	EQUAL(apic_timer_deadline(boot) - now, 0xffffffff * APIC_TICK_NS, "the longest count");
	set(boot, INITIAL, 1000);
	now += 400 * APIC_TICK_NS;
	set(boot, DIVIDE, 0x0);
	EQUAL(get(boot, CURRENT), 600, "a new divider leaves the count");
	EQUAL(apic_timer_deadline(boot) - now, 600 * 2 * APIC_TICK_NS, "which goes on slower");
}

#define KHZ		2500000		/* 2.5 ticks a ns */

/* Its TSC is at @tsc now. */
static void set_deadline(struct apic *apic, u64 deadline, u64 tsc)
{
	const struct apic_clocks clocks = { .now_ns = now, .tsc = tsc, .tsc_khz = KHZ };

	apic_set_deadline(apic, deadline, &clocks);
}

static void start_deadline_mode(void)
{
	power_on_enabled();
	apic_offer_deadline(&bus);
	set(boot, TIMER, DEADLINE | 0xef);
}

static void test_deadline(void)
{
	start_deadline_mode();
	EQUAL(get(boot, TIMER), DEADLINE | 0xef, "the mode is there");
	EQUAL(apic_deadline(boot, now), 0, "not armed");
	set_deadline(boot, 10001, 5000);
	EQUAL(apic_deadline(boot, now), 10001, "armed");
	EQUAL(apic_timer_deadline(boot), now + 2001, "5001 ticks, rounded up");
	now += 2000;
	apic_timer_run(boot, now);
	EQUAL(take(0xef), 0, "not a moment early");
	now++;
	apic_timer_run(boot, now);
	EQUAL(take(0xef), 0x1, "it interrupts");
	EQUAL(apic_deadline(boot, now), 0, "the MSR is 0 then");
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "no further one");
	set_deadline(boot, 10001, 10001);
	EQUAL(take(0xef), 0x1, "now is at once");
	set_deadline(boot, 1, 10001);
	EQUAL(take(0xef), 0x1, "and so is what is past");
	EQUAL(apic_deadline(boot, now), 0, "over");
	set_deadline(boot, 20000, 10001);
	set_deadline(boot, 30001, 10001);
	EQUAL(apic_timer_deadline(boot), now + 8000, "another takes its place");
	set_deadline(boot, 0, 10001);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "0 disarms");
	set_deadline(boot, ~0ULL, 10001);
	EQUAL(apic_deadline(boot, now), ~0ULL, "the last there is");
	EQUAL(apic_timer_deadline(boot) - now, (~0ULL - 10001) / 5 * 2 + 2, "is far");
	set_deadline(boot, ~0ULL, 0);
	set_deadline(&bus.apic[1], 1, 1);
	EQUAL(take(0xef), 0, "another's, which is in no such mode");
}

/* SDM 11.5.4.1: what the other modes and this one have to do with each other. */
static void test_deadline_modes(void)
{
	start_deadline_mode();
	set(boot, INITIAL, 1000);
	EQUAL(get(boot, INITIAL), 0, "a count is ignored");
	EQUAL(get(boot, CURRENT), 0, "there is none");
	set_deadline(boot, 10000, 5000);
	set(boot, TIMER, 0xef);
	EQUAL(apic_deadline(boot, now), 0, "one-shot mode disarms it");
	set_deadline(boot, 10000, 5000);
	EQUAL(apic_deadline(boot, now), 0, "and takes none");
	set(boot, TIMER, DEADLINE | 0xef);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "not armed when it comes back");
	set(boot, TIMER, PERIODIC | 0xef);
	set(boot, INITIAL, 1000);
	set(boot, TIMER, DEADLINE | 0xef);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "it ends a count");
	set(boot, TIMER, PERIODIC | 0xef);
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "for good");
	set(boot, TIMER, DEADLINE | 0xef);

	set_deadline(boot, 10000, 5000);
	set(boot, TIMER, MASKED | DEADLINE | 0xef);
	EQUAL(apic_deadline(boot, now), 10000, "masked it stays armed");
	EQUAL(apic_timer_deadline(boot), APIC_NEVER, "but nobody need wake");
	now += 2000;
	EQUAL(apic_deadline(boot, now), 0, "and is over when it is over");
	set(boot, TIMER, DEADLINE | 0xef);
	EQUAL(take(0xef), 0, "what passed masked is lost");
	set_deadline(boot, 10000, 5000);
	set(boot, TIMER, DEADLINE | 0xee);
	EQUAL(apic_deadline(boot, now), 10000, "a new vector leaves it armed");
	set_deadline(boot, 10000, 5000);
	apic_set_enabled(boot, false);
	EQUAL(apic_deadline(boot, now), 0, "without an APIC it is off");

	power_on_enabled();
	set(boot, TIMER, DEADLINE | 0xef);
	EQUAL(get(boot, TIMER), 0xef, "not offered, the bit is reserved");
}

static void test_possible(void)
{
	power_on_enabled();
	CHECK(apic_possible(boot), "after power-up");
	boot->deadline = 1;
	CHECK(!apic_possible(boot), "a deadline in another mode");
	boot->deadline = 0;
	boot->timer_running = true;
	CHECK(!apic_possible(boot), "it counts from nothing");
	boot->timer_running = false;
	boot->lvt[LVT_TIMER] = DEADLINE;
	CHECK(!apic_possible(boot), "a mode that it does not know");
	apic_offer_deadline(&bus);
	boot->deadline = 1;
	CHECK(apic_possible(boot), "a deadline");
	boot->timer_initial = 1;
	boot->timer_running = true;
	CHECK(!apic_possible(boot), "it counts as well");
}

int main(void)
{
	test_reset();
	test_writable_bits();
	test_basics();
	test_priorities();
	test_task_priority();
	test_level();
	test_physical();
	test_logical();
	test_lowest_priority();
	test_modes();
	test_init_sipi();
	test_icr();
	test_errors();
	test_disabled();
	test_no_apic();
	test_lint_edge();
	test_lint_level();
	test_extint();
	test_timer_one_shot();
	test_timer_periodic();
	test_timer_divide();
	test_deadline();
	test_deadline_modes();
	test_possible();
	return tap_end();
}

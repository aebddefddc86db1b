// SPDX-License-Identifier: GPL-2.0
/*
 * The local APICs in user space as part of the machine: their place in memory,
 * the clock of their timers, and the kick to a vCPU that has something to take.
 *
 * The 8259 pair's INTR is wired to LINT0 of the boot CPU, as on a PC.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "alarm.h"
#include "local_apic.h"
#include "msr.h"
#include "vcpu.h"

/* After whatever may have changed what the vCPU should take. */
static void publish(struct local_apic *local)
{
	bool intr = apic_intr(local->apic);
	bool rises = intr && !atomic_load(&local->intr);

	/* Sequentially consistent, and before the kick: see vcpu_kick(). */
	atomic_store(&local->intr, intr);
	if (rises)
		vcpu_kick(local->vcpu);
}

static void woken(void *machine, unsigned int cpu)
{
	struct irqchip *chip = machine;

	publish(&chip->apics.cpu[cpu]);
}

static void got_nmi(void *machine, unsigned int cpu)
{
	struct irqchip *chip = machine;

	vcpu_nmi(chip->apics.cpu[cpu].vcpu);
}

static void got_init(void *machine, unsigned int cpu)
{
	struct irqchip *chip = machine;

	publish(&chip->apics.cpu[cpu]);		/* what was pending is gone */
	vcpu_init(chip->apics.cpu[cpu].vcpu);
}

static void got_sipi(void *machine, unsigned int cpu, u8 vector)
{
	struct irqchip *chip = machine;

	vcpu_sipi(chip->apics.cpu[cpu].vcpu, vector);
}

static void sent_eoi(void *machine, u8 vector)
{
	struct irqchip *chip = machine;

	ioapic_eoi(&chip->ioapic, vector);
}

static const struct apic_ops apic_ops = {
	.wake = woken, .nmi = got_nmi, .init = got_init, .sipi = got_sipi, .eoi = sent_eoi,
};

/**
 * local_apics_init - all local APICs as a PC's firmware leaves them
 * @chip: the chips they are part of
 * @cpus: how many local_apic_add() will add
 */
void local_apics_init(struct irqchip *chip, unsigned int cpus)
{
	apic_bus_init(&chip->apics.bus, cpus, &apic_ops, chip);
	apic_set_virtual_wire(&chip->apics.bus.apic[0]);
	if (chip->tsc_deadline)
		apic_offer_deadline(&chip->apics.bus);
}

/* Has the alarm expire when the APIC's timer does. */
static void arm(struct local_apic *local)
{
	u64 deadline = apic_timer_deadline(local->apic);

	static_assert(APIC_NEVER == ALARM_NEVER, "the same time");
	if (deadline == local->deadline_ns)
		return;
	local->deadline_ns = deadline;
	alarm_set(&local->expiry, deadline);
}

static void expired(struct loop_source *source)
{
	struct local_apic *local = container_of(source, struct local_apic, expiry);

	pthread_mutex_lock(&local->chip->lock);
	/* Not any more: the guest set another time meanwhile. */
	if (alarm_take(source)) {
		apic_timer_run(local->apic, now_ns());
		arm(local);
	}
	pthread_mutex_unlock(&local->chip->lock);
}

static bool source_intr(struct irq_source *source)
{
	return atomic_load(&container_of(source, struct local_apic, source)->intr);
}

static u8 source_acknowledge(struct irq_source *source)
{
	struct local_apic *local = container_of(source, struct local_apic, source);
	struct irqchip *chip = local->chip;
	int vector;

	pthread_mutex_lock(&chip->lock);
	vector = apic_acknowledge(local->apic);
	if (vector == APIC_EXTINT) {
		vector = pic_acknowledge(&chip->pic);
		local_apics_set_extint(chip, pic_intr(&chip->pic));
	}
	publish(local);
	pthread_mutex_unlock(&chip->lock);
	return vector;
}

/**
 * local_apic_add - give a vCPU its local APIC
 * @chip: the chips, after local_apics_init()
 * @vcpu: the vCPU; its ID is the APIC's
 * @loop: whose thread runs the APIC's timer
 */
struct local_apic *local_apic_add(struct irqchip *chip, struct vcpu *vcpu, struct loop *loop)
{
	struct local_apic *local = &chip->apics.cpu[vcpu->id];

	local->source.intr = source_intr;
	local->source.acknowledge = source_acknowledge;
	local->chip = chip;
	local->apic = &chip->apics.bus.apic[vcpu->id];
	local->vcpu = vcpu;
	local->enabled = true;
	local->deadline_ns = APIC_NEVER;
	alarm_init(&local->expiry, expired);
	loop_add(loop, &local->expiry);
	return local;
}

/**
 * local_apics_set_extint - drive the 8259 pair's INTR
 * @chip: the chips, locked
 * @level: asserted?
 */
void local_apics_set_extint(struct irqchip *chip, bool level)
{
	struct local_apic *boot = &chip->apics.cpu[0];

	apic_set_lint(boot->apic, 0, level);
	publish(boot);
}

/**
 * local_apics_deliver - deliver what an entry of the I/O APIC says
 * @ioapic: the chips', which are locked
 * @entry: one of its entries
 *
 * Return: as ioapic.deliver()
 */
int local_apics_deliver(struct ioapic *ioapic, u64 entry)
{
	struct irqchip *chip = container_of(ioapic, struct irqchip, ioapic);
	const struct apic_message msg = {
		.dest = IOAPIC_DEST(entry),
		.vector = IOAPIC_VECTOR(entry),
		.mode = IOAPIC_MODE(entry),
		.logical = entry & IOAPIC_LOGICAL,
		.level = entry & IOAPIC_LEVEL,
	};

	return apic_deliver(&chip->apics.bus, &msg) ? 1 : -1;
}

/*
 * SDM 11.4.1: registers are accessed as aligned 32-bit words. Reads of a part
 * work on every processor there is; other writes are undefined, and ignored.
 */
static void access_register(struct local_apic *local, unsigned int offset)
{
	struct minivmm_run *run = local->vcpu->run;
	unsigned int reg = offset & ~0xfU;
	u32 value;

	if (!run->mmio.is_write) {
		value = apic_read(local->apic, reg, now_ns());
		value = offset & 0xc ? 0 : value >> 8 * (offset & 3);
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		memcpy(run->mmio.data, &value, sizeof(value));
	} else if (offset == reg && run->mmio.len == sizeof(value)) {
		memcpy(&value, run->mmio.data, sizeof(value));
		apic_write(local->apic, reg, value, now_ns());
	}
}

/**
 * local_apic_mmio - the vCPU has accessed memory: is it its local APIC?
 * @local: the local APIC
 *
 * Every vCPU finds its own at the same address, so it is no device of the bus.
 * Context: the vCPU's thread, after MINIVMM_EXIT_MMIO.
 *
 * Return: whether it was; then the access is done.
 */
bool local_apic_mmio(struct local_apic *local)
{
	struct minivmm_run *run = local->vcpu->run;
	u64 offset = run->mmio.phys_addr - APIC_BASE;

	if (!local->enabled || offset >= APIC_LEN)
		return false;
	pthread_mutex_lock(&local->chip->lock);
	access_register(local, offset);
	/* It may have been the task priority, or have let an interrupt through. */
	local->cr8 = apic_cr8(local->apic);
	run->cr8 = local->cr8;
	publish(local);
	arm(local);
	pthread_mutex_unlock(&local->chip->lock);
	return true;
}

/*
 * The TSC first: a deadline is late by the time between the two readings, rather
 * than early. It is read each time since the guest may have set it.
 */
static struct apic_clocks read_clocks(const struct vcpu *vcpu)
{
	struct minivmm_msr_entry tsc = { .index = MSR_IA32_TSC };

	if (!vcpu_get_msr(vcpu, &tsc))
		die(EXIT_INTERNAL, "cannot read the TSC of CPU %u: %s", vcpu->id,
		    strerror(errno));
	return (struct apic_clocks){
		.tsc = tsc.data, .tsc_khz = vcpu->tsc_khz, .now_ns = now_ns(),
	};
}

/**
 * local_apic_msr - the vCPU has accessed an MSR: is it its local APIC's?
 * @local: the local APIC
 *
 * Context: the vCPU's thread, after MINIVMM_EXIT_X86_RDMSR or _WRMSR.
 *
 * Return: whether it was; then the access is done.
 */
bool local_apic_msr(struct local_apic *local)
{
	struct minivmm_run *run = local->vcpu->run;
	struct apic_clocks clocks;

	if (run->msr.index != MSR_IA32_TSC_DEADLINE || !local->apic->has_deadline)
		return false;
	clocks = read_clocks(local->vcpu);
	pthread_mutex_lock(&local->chip->lock);
	if (run->exit_reason == MINIVMM_EXIT_X86_WRMSR)
		apic_set_deadline(local->apic, run->msr.data, &clocks);
	else
		run->msr.data = apic_deadline(local->apic, clocks.now_ns);
	publish(local);
	arm(local);
	pthread_mutex_unlock(&local->chip->lock);
	return true;
}

/**
 * local_apic_after_exit - take over what the vCPU itself has of its APIC
 * @local: the local APIC
 *
 * CR8 is the task priority (SDM 11.8.6), IA32_APIC_BASE enables the APIC.
 * Context: the vCPU's thread, after MINIVMM_RUN.
 */
void local_apic_after_exit(struct local_apic *local)
{
	const struct minivmm_run *run = local->vcpu->run;
	bool enabled = run->apic_base & APIC_BASE_ENABLE;

	if (run->cr8 == local->cr8 && enabled == local->enabled)
		return;
	pthread_mutex_lock(&local->chip->lock);
	if (run->cr8 != local->cr8)
		apic_set_cr8(local->apic, run->cr8);
	if (enabled != local->enabled)
		apic_set_enabled(local->apic, enabled);
	local->cr8 = run->cr8;
	local->enabled = enabled;
	publish(local);
	arm(local);
	pthread_mutex_unlock(&local->chip->lock);
}

/**
 * local_apic_park - from now on the vCPU hears of NMI, INIT and SIPI alone
 * @local: the local APIC
 *
 * Return: whether that was the last one, so that none is left to send them.
 */
bool local_apic_park(struct local_apic *local)
{
	struct local_apics *all = &local->chip->apics;
	bool last;

	pthread_mutex_lock(&local->chip->lock);
	last = ++all->nr_parked == all->bus.nr;
	/* Sent, but its receiver has not left yet. */
	for (unsigned int i = 0; i < all->bus.nr; i++)
		last &= !atomic_load(&all->cpu[i].vcpu->events);
	pthread_mutex_unlock(&local->chip->lock);
	return last;
}

/**
 * local_apic_unpark - the vCPU is about to look at its events
 * @local: the local APIC, after local_apic_park()
 */
void local_apic_unpark(struct local_apic *local)
{
	pthread_mutex_lock(&local->chip->lock);
	local->chip->apics.nr_parked--;
	pthread_mutex_unlock(&local->chip->lock);
}

static const struct state_desc apic_desc = {
	.id = SECTION_LOCAL_APIC, .name = "local APIC",
	.fields = (const struct state_field[]){
		STATE_BOOL(struct apic, enabled),
		STATE_BOOL(struct apic, wait_for_sipi),
		STATE_BOOL(struct apic, extint),
		STATE_ARRAY(struct apic, lint, 1),
		STATE_ANY(struct apic, tpr),
		STATE_ANY(struct apic, ldr),
		STATE_ANY(struct apic, dfr),
		STATE_ANY(struct apic, svr),
		STATE_ANY(struct apic, esr),
		STATE_ANY(struct apic, errors),
		STATE_ANY(struct apic, icr_low),
		STATE_ANY(struct apic, icr_high),
		STATE_ARRAY(struct apic, lvt, ~0U),
		STATE_ARRAY(struct apic, isr.word, ~0U),
		STATE_ARRAY(struct apic, tmr.word, ~0U),
		STATE_ARRAY(struct apic, irr.word, ~0U),
		STATE_ANY(struct apic, timer_initial),
		STATE_ANY(struct apic, timer_divide),
		STATE_BOOL(struct apic, timer_running),
		STATE_TIME(struct apic, timer_start_ns),
		STATE_BOOL(struct apic, has_deadline),
		STATE_ANY(struct apic, deadline),
		{ }
	},
};

/**
 * local_apics_save - add all local APICs to a stream
 * @chip: the chips
 * @out: the stream
 */
void local_apics_save(const struct irqchip *chip, struct stream_out *out)
{
	for (unsigned int i = 0; i < chip->apics.bus.nr; i++)
		state_save(out, &apic_desc, i, &chip->apics.bus.apic[i]);
}

static bool load(struct local_apic *local, u32 id, struct saved *saved)
{
	struct apic *apic = local->apic;

	if (!state_load(saved, &apic_desc, id, apic))
		return false;
	if (apic->has_deadline && !local->chip->tsc_deadline)
		return saved_fail(saved, "%s has no TSC-deadline timer for the guest",
				  local->chip->vm->path);
	if (!apic_possible(apic))
		return saved_fail(saved, "the state of local APIC %u is impossible", id);
	/* Until its TSC is there: local_apic_resume(). */
	apic->deadline_ns = APIC_NEVER;
	/* What the vCPU has of it, and its thread knows */
	local->enabled = apic->enabled;
	local->cr8 = apic_cr8(apic);
	local->vcpu->run->cr8 = local->cr8;
	return true;
}

/**
 * local_apics_load - make all local APICs what was saved
 * @chip: the chips
 * @saved: where their state is
 *
 * Return: whether it could be done.
 */
bool local_apics_load(struct irqchip *chip, struct saved *saved)
{
	for (unsigned int i = 0; i < chip->apics.bus.nr; i++) {
		struct local_apic *local = &chip->apics.cpu[i];

		if (!load(local, i, saved))
			return false;
		apic_timer_run(local->apic, now_ns());
		publish(local);
		arm(local);
	}
	return true;
}

/**
 * local_apic_resume - go on with a deadline that was loaded
 * @local: the local APIC; its vCPU is loaded, and so is its TSC
 */
void local_apic_resume(struct local_apic *local)
{
	const struct apic_clocks clocks = read_clocks(local->vcpu);

	apic_set_deadline(local->apic, local->apic->deadline, &clocks);
	publish(local);
	arm(local);
}

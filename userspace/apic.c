// SPDX-License-Identifier: GPL-2.0
/*
 * Local APICs in xAPIC mode: registers, priorities, timer, and the delivery of
 * messages among them.
 *
 * The timer is not stepped: its count follows from when it was started and what
 * time it is. "SDM" in the comments is Intel's manual, volume 3A, chapter 11.
 */
#include <string.h>

#include "apic.h"

/* Offsets of the registers, SDM table 11-1 */
#define REG_ID			0x020
#define REG_VERSION		0x030
#define REG_TPR			0x080
#define REG_PPR			0x0a0
#define REG_EOI			0x0b0
#define REG_LDR			0x0d0
#define REG_DFR			0x0e0
#define REG_SVR			0x0f0
#define REG_ISR			0x100
#define REG_TMR			0x180
#define REG_IRR			0x200
#define REG_ESR			0x280
#define REG_ICR_LOW		0x300
#define REG_ICR_HIGH		0x310
#define REG_LVT			0x320
#define REG_TIMER_INITIAL	0x380
#define REG_TIMER_CURRENT	0x390
#define REG_TIMER_DIVIDE	0x3e0

#define REG_STRIDE		0x10
#define VECTORS_LEN		(8 * REG_STRIDE)

/* SDM 11.4.8: an integrated APIC with six LVT entries */
#define VERSION			((APIC_NR_LVT - 1) << 16 | 0x14)

#define SVR_VECTOR		0xff
#define SVR_ENABLE		BIT(8)
#define SVR_WRITABLE		0x3ff
#define SVR_RESET		0xff

#define DFR_FLAT		0xf0000000U
#define DFR_ONES		0x0fffffffU

#define LVT_MODE(lvt)		((enum apic_mode)((lvt) >> 8 & 7))
#define LVT_REMOTE_IRR		BIT(14)
#define LVT_LEVEL		BIT(15)
#define LVT_MASKED		BIT(16)
#define LVT_TIMER_MODE		(3U << 17)
#define LVT_PERIODIC		BIT(17)
#define LVT_TSC_DEADLINE	BIT(18)
#define LVT_MODE_EXTERNAL	(APIC_EXTERNAL << 8)
#define LVT_MODE_NMI		(APIC_NMI << 8)

#define ICR_LOGICAL		BIT(11)
#define ICR_ASSERT		BIT(14)
#define ICR_SHORTHAND(icr)	((icr) >> 18 & 3)
#define ICR_WRITABLE		0xccfff		/* SDM figure 11-12, but the delivery status */

#define ICR_TO_DESTINATION	0
#define ICR_TO_SELF		1
#define ICR_TO_ALL		2
#define ICR_TO_OTHERS		3

/* SDM figure 11-9 */
#define ESR_SEND_ILLEGAL	BIT(5)
#define ESR_RECEIVE_ILLEGAL	BIT(6)
#define ESR_REGISTER_ILLEGAL	BIT(7)

#define FIRST_LEGAL_VECTOR	16		/* SDM 11.5.2 */
#define DEST_ALL		0xff
#define CLASS(priority)		((priority) & 0xf0)

/*
 * SDM figure 11-8. The polarity bit is kept; our pins know only asserted or not.
 * The timer may have one more, LVT_TSC_DEADLINE.
 */
static const u32 lvt_writable[APIC_NR_LVT] = {
	[LVT_TIMER]		= 0x300ff,
	[LVT_THERMAL]		= 0x107ff,
	[LVT_PERFORMANCE]	= 0x107ff,
	[LVT_LINT0]		= 0x1a7ff,
	[LVT_LINT1]		= 0x1a7ff,
	[LVT_ERROR]		= 0x100ff,
};

static bool vectors_test(const struct apic_vectors *v, u8 vector)
{
	return v->word[vector / 32] & BIT(vector % 32);
}

static void vectors_set(struct apic_vectors *v, u8 vector, bool value)
{
	if (value)
		v->word[vector / 32] |= BIT(vector % 32);
	else
		v->word[vector / 32] &= ~BIT(vector % 32);
}

/* The highest vector, or 0 if there is none: vectors below 16 never get in. */
static u8 vectors_highest(const struct apic_vectors *v)
{
	for (int i = 7; i >= 0; i--)
		if (v->word[i])
			return i * 32 + 31 - __builtin_clz(v->word[i]);
	return 0;
}

/* SDM 11.8.3.1 */
static u8 processor_priority(const struct apic *apic)
{
	u8 isrv = vectors_highest(&apic->isr);

	return CLASS(apic->tpr) >= CLASS(isrv) ? apic->tpr : CLASS(isrv);
}

/* The vector that may interrupt the processor now, or 0. */
static u8 deliverable(const struct apic *apic)
{
	u8 irrv = vectors_highest(&apic->irr);

	return CLASS(irrv) > CLASS(processor_priority(apic)) ? irrv : 0;
}

static void wake(const struct apic *apic)
{
	apic->bus->ops->wake(apic->bus->machine, apic->id);
}

static bool accept_fixed(struct apic *apic, u8 vector, bool level);

/* SDM 11.5.3: one interrupt, until a write to the ESR arms it again. */
static void report_error(struct apic *apic, u32 error)
{
	u32 lvt = apic->lvt[LVT_ERROR];
	bool armed = !apic->errors;

	apic->errors |= error;
	if (armed && !(lvt & LVT_MASKED))
		accept_fixed(apic, lvt, false);
}

/* SDM 11.8.4, and 11.4.7.2: a disabled APIC takes no vectors. */
static bool accept_fixed(struct apic *apic, u8 vector, bool level)
{
	if (!(apic->svr & SVR_ENABLE))
		return false;
	if (vector < FIRST_LEGAL_VECTOR) {
		report_error(apic, ESR_RECEIVE_ILLEGAL);
		return false;
	}
	vectors_set(&apic->irr, vector, true);
	vectors_set(&apic->tmr, vector, level);
	wake(apic);
	return true;
}

/* SDM 11.4.7.1, 11.4.7.3: what a reset and an INIT have in common. */
static void reset(struct apic *apic)
{
	apic->extint = false;
	apic->tpr = 0;
	apic->ldr = 0;
	apic->dfr = DFR_FLAT | DFR_ONES;
	apic->svr = SVR_RESET;
	apic->esr = 0;
	apic->errors = 0;
	apic->icr_low = 0;
	apic->icr_high = 0;
	for (unsigned int i = 0; i < APIC_NR_LVT; i++)
		apic->lvt[i] = LVT_MASKED;
	memset(&apic->isr, 0, sizeof(apic->isr));
	memset(&apic->tmr, 0, sizeof(apic->tmr));
	memset(&apic->irr, 0, sizeof(apic->irr));
	apic->timer_initial = 0;
	apic->timer_divide = 0;
	apic->timer_running = false;
	apic->deadline = 0;
}

/* SDM 9.4.3: it executes the firmware after an INIT, the others wait. */
static bool is_boot_processor(const struct apic *apic)
{
	return !apic->id;
}

static void accept_init(struct apic *apic)
{
	reset(apic);
	apic->wait_for_sipi = !is_boot_processor(apic);
	apic->bus->ops->init(apic->bus->machine, apic->id);
}

/* SDM 9.4.3: only the first SIPI after an INIT counts. */
static void accept_sipi(struct apic *apic, u8 vector)
{
	if (!apic->wait_for_sipi)
		return;
	apic->wait_for_sipi = false;
	apic->bus->ops->sipi(apic->bus->machine, apic->id, vector);
}

static void accept_external(struct apic *apic)
{
	apic->extint = true;
	wake(apic);
}

static bool accept(struct apic *apic, const struct apic_message *msg)
{
	/* SDM 11.4.3: without its APIC a processor receives nothing. */
	if (!apic->enabled)
		return false;
	switch (msg->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept_fixed(apic, msg->vector, msg->level);
	case APIC_NMI:
		apic->bus->ops->nmi(apic->bus->machine, apic->id);
		return true;
	case APIC_INIT:
		accept_init(apic);
		return true;
	case APIC_SIPI:
		accept_sipi(apic, msg->vector);
		return true;
	case APIC_EXTERNAL:
		accept_external(apic);
		return true;
	case APIC_SMI:		/* no system management mode here */
		break;
	}
	return false;
}

/* SDM 11.6.2 */
static bool addressed(const struct apic *apic, const struct apic_message *msg)
{
	u8 ldr = apic->ldr >> 24;

	if (msg->dest == DEST_ALL)
		return true;
	if (!msg->logical)
		return msg->dest == apic->id;
	if ((apic->dfr & DFR_FLAT) == DFR_FLAT)
		return msg->dest & ldr;
	return msg->dest >> 4 == ldr >> 4 && (msg->dest & ldr & 0xf);
}

/* SDM 11.6.2.4: who has the least to do; an APIC that would drop it has no say. */
static struct apic *less_busy(struct apic *best, struct apic *apic)
{
	if (!apic->enabled || !(apic->svr & SVR_ENABLE))
		return best;
	return !best || processor_priority(apic) < processor_priority(best) ? apic : best;
}

static bool deliver(struct apic_bus *bus, const struct apic_message *msg, const struct apic *except)
{
	struct apic *best = NULL;
	bool taken = false;

	for (unsigned int i = 0; i < bus->nr; i++) {
		struct apic *apic = &bus->apic[i];

		if (apic == except || !addressed(apic, msg))
			continue;
		if (msg->mode == APIC_LOWEST)
			best = less_busy(best, apic);
		else
			taken |= accept(apic, msg);
	}
	return best ? accept(best, msg) : taken;
}

/**
 * apic_deliver - deliver a message to the APICs that it addresses
 * @bus: the APICs
 * @msg: from an I/O APIC, a device (MSI) or an APIC
 *
 * Return: whether any has taken it.
 */
bool apic_deliver(struct apic_bus *bus, const struct apic_message *msg)
{
	if (msg->logical || msg->dest == DEST_ALL)
		return deliver(bus, msg, NULL);
	return msg->dest < bus->nr && accept(&bus->apic[msg->dest], msg);
}

/**
 * apic_bus_init - all APICs as after power-up
 * @bus: filled in
 * @nr: how many, 1..APIC_MAX_CPUS; number 0 is the boot processor's
 * @ops: called from whatever changes an APIC
 * @machine: their argument
 */
void apic_bus_init(struct apic_bus *bus, unsigned int nr, const struct apic_ops *ops,
		   void *machine)
{
	memset(bus, 0, sizeof(*bus));
	bus->ops = ops;
	bus->machine = machine;
	bus->nr = nr;
	for (unsigned int i = 0; i < nr; i++) {
		struct apic *apic = &bus->apic[i];

		apic->bus = bus;
		apic->id = i;
		apic->enabled = true;
		apic->wait_for_sipi = !is_boot_processor(apic);
		reset(apic);
	}
}

/* An event whose LVT entry says what becomes of it (SDM 11.5.1). */
static void local_event(struct apic *apic, enum apic_lvt entry, bool level)
{
	u32 lvt = apic->lvt[entry];
	const struct apic_message msg = {
		.vector = lvt, .mode = LVT_MODE(lvt), .level = level,
	};

	if (!(lvt & LVT_MASKED))
		accept(apic, &msg);
}

static bool level_triggered(u32 lvt)
{
	return LVT_MODE(lvt) == APIC_FIXED && lvt & LVT_LEVEL;
}

/* SDM 11.5.1, remote IRR: one interrupt at a time, until its EOI. */
static void level_event(struct apic *apic, enum apic_lvt entry)
{
	u32 *lvt = &apic->lvt[entry];

	if (!apic->lint[entry - LVT_LINT0] || !level_triggered(*lvt) ||
	    *lvt & (LVT_MASKED | LVT_REMOTE_IRR))
		return;
	*lvt |= LVT_REMOTE_IRR;
	local_event(apic, entry, true);
}

/* SDM 11.5.1: ExtINT is a level whatever the trigger mode says. */
static bool extint_asserted(const struct apic *apic, unsigned int pin)
{
	u32 lvt = apic->lvt[LVT_LINT0 + pin];

	return apic->lint[pin] && LVT_MODE(lvt) == APIC_EXTERNAL && !(lvt & LVT_MASKED);
}

/**
 * apic_set_lint - drive one of the local interrupt pins
 * @apic: the APIC
 * @pin: 0 (the 8259 pair's INTR) or 1 (NMI)
 * @level: asserted?
 */
void apic_set_lint(struct apic *apic, unsigned int pin, bool level)
{
	enum apic_lvt entry = LVT_LINT0 + pin;
	bool rises = level && !apic->lint[pin];

	apic->lint[pin] = level;
	if (!rises)
		return;
	if (!apic->enabled) {
		/* SDM 11.4.3: the pins are INTR and NMI then. */
		if (pin)
			apic->bus->ops->nmi(apic->bus->machine, apic->id);
		else
			wake(apic);
	} else if (level_triggered(apic->lvt[entry])) {
		level_event(apic, entry);
	} else if (LVT_MODE(apic->lvt[entry]) == APIC_EXTERNAL) {
		wake(apic);
	} else {
		local_event(apic, entry, false);
	}
}

static void end_of_interrupt(struct apic *apic)
{
	u8 vector = vectors_highest(&apic->isr);

	if (!vector)
		return;
	vectors_set(&apic->isr, vector, false);
	if (!vectors_test(&apic->tmr, vector))
		return;
	/* SDM 11.8.5: whoever holds the line may send the interrupt again. */
	apic->bus->ops->eoi(apic->bus->machine, vector);
	for (enum apic_lvt i = LVT_LINT0; i <= LVT_LINT1; i++) {
		if ((apic->lvt[i] & 0xff) != vector)
			continue;
		apic->lvt[i] &= ~LVT_REMOTE_IRR;
		level_event(apic, i);
	}
}

static void send_to(struct apic *apic, struct apic_message *msg, unsigned int shorthand)
{
	/* SDM table 11-3: nothing but vectors goes to oneself by shorthand. */
	bool invalid = msg->mode != APIC_FIXED;

	switch (shorthand) {
	case ICR_TO_DESTINATION:
		apic_deliver(apic->bus, msg);
		break;
	case ICR_TO_SELF:
		if (!invalid)
			accept(apic, msg);
		break;
	case ICR_TO_ALL:
		msg->dest = DEST_ALL;
		if (!invalid)
			deliver(apic->bus, msg, NULL);
		break;
	case ICR_TO_OTHERS:
		msg->dest = DEST_ALL;
		deliver(apic->bus, msg, apic);
		break;
	}
}

static void send(struct apic *apic)
{
	u32 icr = apic->icr_low;
	struct apic_message msg = {
		.dest = apic->icr_high >> 24,
		.vector = icr,
		.mode = LVT_MODE(icr),
		.logical = icr & ICR_LOGICAL,
	};

	/* SDM 11.6.1: the level de-assert only synchronised IDs, long ago. */
	if (msg.mode == APIC_INIT && !(icr & ICR_ASSERT))
		return;
	if (msg.mode <= APIC_LOWEST && msg.vector < FIRST_LEGAL_VECTOR) {
		report_error(apic, ESR_SEND_ILLEGAL);
		return;
	}
	if (msg.mode == APIC_EXTERNAL)	/* reserved in the ICR */
		return;
	send_to(apic, &msg, ICR_SHORTHAND(icr));
}

/* SDM figure 11-10: bits 0, 1 and 3; 111 is 1, 000 is 2. */
static u64 timer_tick_ns(const struct apic *apic)
{
	u32 code = (apic->timer_divide & 3) | (apic->timer_divide >> 1 & 4);

	return APIC_TICK_NS << ((code + 1) & 7);
}

static u64 timer_period_ns(const struct apic *apic)
{
	return apic->timer_initial * timer_tick_ns(apic);
}

static u32 timer_mode(const struct apic *apic)
{
	return apic->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static bool in_deadline_mode(const struct apic *apic)
{
	return timer_mode(apic) == LVT_TSC_DEADLINE;
}

/* SDM 11.5.4.1: the MSR is 0 once the interrupt was generated, masked or not. */
static void deadline_run(struct apic *apic, u64 now_ns)
{
	if (!apic->deadline || now_ns < apic->deadline_ns)
		return;
	apic->deadline = 0;
	local_event(apic, LVT_TIMER, false);
}

/**
 * apic_timer_run - have the timer catch up
 * @apic: the APIC
 * @now_ns: the time, on any clock that does not run backwards
 *
 * Periods that passed meanwhile are one interrupt, as the IRR has one bit.
 */
void apic_timer_run(struct apic *apic, u64 now_ns)
{
	u64 period = timer_period_ns(apic);
	u64 elapsed = now_ns - apic->timer_start_ns;

	deadline_run(apic, now_ns);
	if (!apic->timer_running || elapsed < period)
		return;
	if (timer_mode(apic) == LVT_PERIODIC)
		apic->timer_start_ns += elapsed / period * period;
	else
		apic->timer_running = false;
	local_event(apic, LVT_TIMER, false);
}

/**
 * apic_timer_deadline - when to call apic_timer_run() next
 * @apic: the APIC
 *
 * Return: the time of the timer's next interrupt, or APIC_NEVER.
 */
u64 apic_timer_deadline(const struct apic *apic)
{
	if (apic->lvt[LVT_TIMER] & LVT_MASKED)
		return APIC_NEVER;
	if (apic->deadline)
		return apic->deadline_ns;
	if (!apic->timer_running)
		return APIC_NEVER;
	return apic->timer_start_ns + timer_period_ns(apic);
}

/**
 * apic_offer_deadline - the timers know TSC-deadline mode
 * @bus: the APICs, after apic_bus_init()
 */
void apic_offer_deadline(struct apic_bus *bus)
{
	for (unsigned int i = 0; i < bus->nr; i++)
		bus->apic[i].has_deadline = true;
}

/**
 * apic_deadline - the guest reads IA32_TSC_DEADLINE
 * @apic: the APIC of the processor that reads
 * @now_ns: the time, on the clock of apic_timer_run()
 *
 * Return: its value, 0 if the timer is not armed by it.
 */
u64 apic_deadline(struct apic *apic, u64 now_ns)
{
	apic_timer_run(apic, now_ns);
	return apic->deadline;
}

/* Rounded up: not before. */
static u64 tsc_to_ns(u64 tsc, const struct apic_clocks *clocks)
{
	unsigned __int128 ns;

	if (tsc <= clocks->tsc)
		return clocks->now_ns;
	ns = (unsigned __int128)(tsc - clocks->tsc) * (NSEC_PER_SEC / 1000);
	ns = (ns + clocks->tsc_khz - 1) / clocks->tsc_khz + clocks->now_ns;
	return ns < APIC_NEVER ? ns : APIC_NEVER;
}

/**
 * apic_set_deadline - the guest writes IA32_TSC_DEADLINE
 * @apic: the APIC of the processor that writes
 * @deadline: a value of its TSC, past or to come; 0 disarms the timer
 * @clocks: what its clocks say now
 *
 * SDM 11.5.4.1: in another mode of the timer the write is ignored.
 */
void apic_set_deadline(struct apic *apic, u64 deadline, const struct apic_clocks *clocks)
{
	apic_timer_run(apic, clocks->now_ns);
	if (!in_deadline_mode(apic))
		return;
	apic->deadline = deadline;
	apic->deadline_ns = tsc_to_ns(deadline, clocks);
	apic_timer_run(apic, clocks->now_ns);
}

/* The timer has caught up: the time since the start is less than the count. */
static u32 timer_current(const struct apic *apic, u64 now_ns)
{
	if (!apic->timer_running)
		return 0;
	return apic->timer_initial - (now_ns - apic->timer_start_ns) / timer_tick_ns(apic);
}

/* SDM 11.5.4: the write starts the timer, a zero stops it; 11.5.4.1: or is ignored. */
static void timer_start(struct apic *apic, u32 count, u64 now_ns)
{
	if (in_deadline_mode(apic))
		return;
	apic->timer_initial = count;
	apic->timer_running = count;
	apic->timer_start_ns = now_ns;
}

/* The count goes on from where it is, at another speed. */
static void timer_set_divide(struct apic *apic, u32 value, u64 now_ns)
{
	u32 counted = apic->timer_initial - timer_current(apic, now_ns);

	apic->timer_divide = value & 0xb;
	apic->timer_start_ns = now_ns - counted * timer_tick_ns(apic);
}

/* SDM 11.5.4.1: a change from or to TSC-deadline mode disarms the timer. */
static void timer_set_mode(struct apic *apic, u32 value)
{
	bool was_deadline = in_deadline_mode(apic);

	apic->lvt[LVT_TIMER] = value;
	if (in_deadline_mode(apic) == was_deadline)
		return;
	apic->timer_initial = 0;
	apic->timer_running = false;
	apic->deadline = 0;
}

static u32 writable(const struct apic *apic, enum apic_lvt entry)
{
	if (entry == LVT_TIMER && apic->has_deadline)
		return lvt_writable[entry] | LVT_TSC_DEADLINE;
	return lvt_writable[entry];
}

static void write_lvt(struct apic *apic, enum apic_lvt entry, u32 value)
{
	u32 *lvt = &apic->lvt[entry];

	value &= writable(apic, entry);
	/* SDM 11.4.7.2: a disabled APIC's entries are masked, and stay so. */
	if (!(apic->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (entry == LVT_TIMER) {
		timer_set_mode(apic, value);
		return;
	}
	/* SDM 11.5.1: no meaning, hence no trace, in other modes. */
	*lvt = value | (level_triggered(value) ? *lvt & LVT_REMOTE_IRR : 0);
	if (entry == LVT_LINT0 || entry == LVT_LINT1)
		level_event(apic, entry);
}

static void write_svr(struct apic *apic, u32 value)
{
	apic->svr = value & SVR_WRITABLE;
	if (apic->svr & SVR_ENABLE)
		return;
	for (unsigned int i = 0; i < APIC_NR_LVT; i++)
		apic->lvt[i] |= LVT_MASKED;
}

/* Is @offset in an array of @len bytes from @base on? If so, *@index is where. */
static bool in_array(unsigned int offset, unsigned int base, unsigned int len, unsigned int *index)
{
	if (offset < base || offset >= base + len)
		return false;
	*index = (offset - base) / REG_STRIDE;
	return true;
}

/**
 * apic_read - the guest reads a register
 * @apic: the APIC of the processor that reads
 * @offset: into the APIC's page, a multiple of 16
 * @now_ns: the time, on the clock of apic_timer_run()
 */
u32 apic_read(struct apic *apic, unsigned int offset, u64 now_ns)
{
	unsigned int i;

	apic_timer_run(apic, now_ns);
	if (in_array(offset, REG_ISR, VECTORS_LEN, &i))
		return apic->isr.word[i];
	if (in_array(offset, REG_TMR, VECTORS_LEN, &i))
		return apic->tmr.word[i];
	if (in_array(offset, REG_IRR, VECTORS_LEN, &i))
		return apic->irr.word[i];
	if (in_array(offset, REG_LVT, APIC_NR_LVT * REG_STRIDE, &i))
		return apic->lvt[i];

	switch (offset) {
	case REG_ID:
		return (u32)apic->id << 24;
	case REG_VERSION:
		return VERSION;
	case REG_TPR:
		return apic->tpr;
	case REG_PPR:
		return processor_priority(apic);
	case REG_EOI:
		return 0;
	case REG_LDR:
		return apic->ldr;
	case REG_DFR:
		return apic->dfr;
	case REG_SVR:
		return apic->svr;
	case REG_ESR:
		return apic->esr;
	case REG_ICR_LOW:
		return apic->icr_low;
	case REG_ICR_HIGH:
		return apic->icr_high;
	case REG_TIMER_INITIAL:
		return apic->timer_initial;
	case REG_TIMER_CURRENT:
		return timer_current(apic, now_ns);
	case REG_TIMER_DIVIDE:
		return apic->timer_divide;
	default:
		report_error(apic, ESR_REGISTER_ILLEGAL);
		return 0;
	}
}

static bool read_only(unsigned int offset)
{
	return offset == REG_ID || offset == REG_VERSION || offset == REG_PPR ||
	       offset == REG_TIMER_CURRENT || (offset >= REG_ISR && offset < REG_ESR);
}

/**
 * apic_write - the guest writes a register
 * @apic: the APIC of the processor that writes
 * @offset: into the APIC's page, a multiple of 16
 * @value: what it writes
 * @now_ns: the time, on the clock of apic_timer_run()
 */
void apic_write(struct apic *apic, unsigned int offset, u32 value, u64 now_ns)
{
	unsigned int i;

	apic_timer_run(apic, now_ns);
	if (in_array(offset, REG_LVT, APIC_NR_LVT * REG_STRIDE, &i)) {
		write_lvt(apic, i, value);
		return;
	}

	switch (offset) {
	case REG_TPR:
		apic->tpr = value;
		break;
	case REG_EOI:
		end_of_interrupt(apic);
		break;
	case REG_LDR:
		apic->ldr = value & 0xff000000;
		break;
	case REG_DFR:
		apic->dfr = value | DFR_ONES;
		break;
	case REG_SVR:
		write_svr(apic, value);
		break;
	case REG_ESR:
		apic->esr = apic->errors;
		apic->errors = 0;
		break;
	case REG_ICR_LOW:
		apic->icr_low = value & ICR_WRITABLE;
		send(apic);
		break;
	case REG_ICR_HIGH:
		apic->icr_high = value & 0xff000000;
		break;
	case REG_TIMER_INITIAL:
		timer_start(apic, value, now_ns);
		break;
	case REG_TIMER_DIVIDE:
		timer_set_divide(apic, value, now_ns);
		break;
	default:
		if (!read_only(offset))
			report_error(apic, ESR_REGISTER_ILLEGAL);
		break;
	}
}

/**
 * apic_set_enabled - the guest writes IA32_APIC_BASE's enable bit
 * @apic: the APIC
 * @enabled: the bit; while clear the processor has no APIC
 */
void apic_set_enabled(struct apic *apic, bool enabled)
{
	/* SDM 11.4.3: what is enabled again is as after a reset. */
	if (!enabled)
		reset(apic);
	apic->enabled = enabled;
}

/**
 * apic_set_virtual_wire - what a PC's firmware leaves to the operating system
 * @apic: the boot processor's APIC
 *
 * MP specification 1.4, 3.6.2.2: the APIC is on, the 8259 pair interrupts
 * through LINT0, NMI through LINT1, until the guest wants it otherwise.
 */
void apic_set_virtual_wire(struct apic *apic)
{
	apic->svr = SVR_ENABLE | SVR_VECTOR;
	apic->lvt[LVT_LINT0] = LVT_MODE_EXTERNAL;
	apic->lvt[LVT_LINT1] = LVT_MODE_NMI;
}

/**
 * apic_cr8 - the processor's view of the task priority
 * @apic: the APIC
 */
u8 apic_cr8(const struct apic *apic)
{
	return apic->tpr >> 4;
}

/**
 * apic_set_cr8 - the processor has written CR8 (SDM 11.8.6.1)
 * @apic: the APIC
 * @cr8: its new value, 0..15
 */
void apic_set_cr8(struct apic *apic, u8 cr8)
{
	apic->tpr = cr8 << 4;
}

/**
 * apic_intr - does an interrupt wait that the processor should take?
 * @apic: the APIC
 */
bool apic_intr(const struct apic *apic)
{
	if (!apic->enabled)
		return apic->lint[0];
	return apic->extint || extint_asserted(apic, 0) || extint_asserted(apic, 1) ||
	       deliverable(apic);
}

/**
 * apic_acknowledge - the processor takes the interrupt
 * @apic: the APIC
 *
 * Return: the vector to deliver, or APIC_EXTINT if the 8259 pair has it. If all
 * reasons to interrupt are gone, that is the spurious vector (SDM 11.9).
 */
int apic_acknowledge(struct apic *apic)
{
	u8 vector = deliverable(apic);

	if (!apic->enabled || apic->extint || extint_asserted(apic, 0) ||
	    extint_asserted(apic, 1)) {
		apic->extint = false;
		return APIC_EXTINT;
	}
	if (!vector)
		return apic->svr & SVR_VECTOR;
	vectors_set(&apic->irr, vector, false);
	vectors_set(&apic->isr, vector, true);
	return vector;
}

/**
 * apic_possible - can an APIC be in this state?
 * @apic: loaded, each value a possible one
 */
bool apic_possible(const struct apic *apic)
{
	if (in_deadline_mode(apic))
		return apic->has_deadline && !apic->timer_running;
	return !apic->deadline && (!apic->timer_running || apic->timer_initial);
}

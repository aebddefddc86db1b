// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who gets an interrupt: destinations of IPIs, MSIs and I/O APIC entries (SDM
 * 11.6.2, 11.12.10), and handing it over.
 *
 * A vCPU's number is its APIC ID, so vm->vcpus[] is the table for physical
 * destinations, and for the logical ones of x2APICs, which follow from the ID.
 * Logical IDs of xAPICs have small tables of their own. Nothing is searched,
 * whatever the number of vCPUs, unless a guest gives two the same logical ID.
 *
 * Everything here may be called with interrupts off, by anybody.
 */
#include <linux/bitops.h>
#include <linux/log2.h>
#include "lapic.h"

#define ICR_SHORTHAND(icr)	(((icr) >> 18) & 3)
enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

/* ---- one vCPU ---------------------------------------------------------------- */

/**
 * mv_apic_post() - an interrupt arrives at a local APIC
 * @vcpu: the vCPU
 * @vector: which
 * @level: what TMR shall say
 *
 * Context: any. Return: false if the same vector was on its way already.
 */
bool mv_apic_post(struct mv_vcpu *vcpu, u8 vector, bool level)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (unlikely(vector < 16)) {
		mv_apic_error(vcpu, APIC_ESR_RECVILL);
		return true;
	}
	mv_apic_set_tmr(lapic, vector, level);
	if (test_and_set_bit(vector, lapic->posted.pir))
		return false;
	if (!test_and_set_bit(0, &lapic->posted.on))
		mv_kick_posted(vcpu);
	return true;
}

static void post_nmi(struct mv_vcpu *vcpu)
{
	/* One is being handled, one is latched: more merge (SDM 6.7.1). */
	atomic_add_unless(&vcpu->nmis, 1, 2);
	mv_request(vcpu, MV_REQ_EVENT);
}

/* Returns 1 if it was taken, 0 if it merged with another, -1 if refused. */
static int accept(struct mv_vcpu *vcpu, const struct mv_irq *irq)
{
	switch (irq->mode) {
	case MV_DELIVER_FIXED:
	case MV_DELIVER_LOWEST:
		if (!mv_apic_sw_enabled(vcpu->lapic))
			return -1;
		return mv_apic_post(vcpu, irq->vector, irq->level);
	case MV_DELIVER_NMI:
		post_nmi(vcpu);
		return 1;
	case MV_DELIVER_INIT:
		mv_request(vcpu, MV_REQ_INIT);
		return 1;
	case MV_DELIVER_SIPI:
		WRITE_ONCE(vcpu->sipi_vector, irq->vector);
		mv_request(vcpu, MV_REQ_SIPI);
		return 1;
	case MV_DELIVER_SMI:		/* there is no SMM */
	case MV_DELIVER_EXTINT:		/* comes by mv_extint_raised() */
		break;
	}
	return -1;
}

/**
 * mv_apic_error() - a local APIC detected an error (SDM 11.5.3)
 * @vcpu: whose APIC
 * @error: APIC_ESR_* bit
 */
void mv_apic_error(struct mv_vcpu *vcpu, u32 error)
{
	u32 lvt = mv_apic_reg(vcpu->lapic, APIC_LVTERR);

	if (test_and_set_bit(__ffs(error), &vcpu->lapic->errors))
		return;
	/* A vector that is illegal itself makes no further error. */
	if (mv_apic_sw_enabled(vcpu->lapic) && !(lvt & APIC_LVT_MASKED) &&
	    (lvt & APIC_VECTOR_MASK) >= 16)
		mv_apic_post(vcpu, lvt, false);
}

/* ---- logical IDs of xAPICs ------------------------------------------------------ */

/* A CPU may have written DFR: its other bits, which read as ones, can be wrong. */
static u32 logical_model(const struct mv_vcpu *vcpu)
{
	return mv_apic_reg(vcpu->lapic, APIC_DFR) | APIC_DFR_CLUSTER;
}

/*
 * Where the vCPU belongs in the tables, with DFR and LDR as they are; NULL if it
 * has no logical ID. @scan: it has one that is not in them.
 */
static struct mv_vcpu **logical_slot(struct mv_vcpu *vcpu, bool *scan)
{
	struct mv_logical *logical = &vcpu->vm->logical;
	u32 ldr = mv_apic_reg(vcpu->lapic, APIC_LDR) >> 24;
	u32 dfr = logical_model(vcpu);
	u32 bits = dfr == APIC_DFR_FLAT ? ldr : ldr & 15;

	if (!bits)
		return NULL;
	if (!is_power_of_2(bits) ||
	    (dfr != APIC_DFR_FLAT && dfr != APIC_DFR_CLUSTER)) {
		*scan = true;
		return NULL;
	}
	if (dfr == APIC_DFR_FLAT)
		return &logical->flat[ilog2(bits)];
	return &logical->cluster[ldr >> 4][ilog2(bits)];
}

static void leave_locked(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;

	if (lapic->place)
		WRITE_ONCE(*lapic->place, NULL);
	lapic->place = NULL;
}

static void join_locked(struct mv_vcpu *vcpu)
{
	bool scan = false;
	struct mv_vcpu **slot = logical_slot(vcpu, &scan);

	if (scan || (slot && *slot)) {
		WRITE_ONCE(vcpu->vm->logical.scan, true);
	} else if (slot) {
		WRITE_ONCE(*slot, vcpu);
		vcpu->lapic->place = slot;
	}
}

/* The vCPU stops being an xAPIC with a logical ID. */
void mv_logical_leave(struct mv_vcpu *vcpu)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vcpu->vm->logical.lock, flags);
	leave_locked(vcpu);
	raw_spin_unlock_irqrestore(&vcpu->vm->logical.lock, flags);
}

void mv_logical_join(struct mv_vcpu *vcpu)
{
	unsigned long flags;

	if (mv_apic_is_x2apic(vcpu))
		return;
	raw_spin_lock_irqsave(&vcpu->vm->logical.lock, flags);
	join_locked(vcpu);
	raw_spin_unlock_irqrestore(&vcpu->vm->logical.lock, flags);
}

/**
 * mv_logical_change() - an xAPIC gets another logical ID, or model
 * @vcpu: the vCPU
 * @offset: APIC_LDR or APIC_DFR
 * @value: its new value; DFR's other bits read as ones
 */
void mv_logical_change(struct mv_vcpu *vcpu, u32 offset, u32 value)
{
	unsigned long flags;

	if (offset == APIC_DFR)
		value |= APIC_DFR_CLUSTER;
	raw_spin_lock_irqsave(&vcpu->vm->logical.lock, flags);
	leave_locked(vcpu);
	mv_apic_set_reg(vcpu->lapic, offset, value);
	join_locked(vcpu);
	raw_spin_unlock_irqrestore(&vcpu->vm->logical.lock, flags);
}

/* ---- destinations ------------------------------------------------------------------ */

/**
 * struct delivery - one message on its way
 * @irq: the message
 * @result: as mv_irq_deliver() returns
 * @chosen: for lowest priority: who would get it so far
 */
struct delivery {
	const struct mv_irq *irq;
	int result;
	struct mv_vcpu *chosen;
};

static void hand_over(struct delivery *d, struct mv_vcpu *vcpu)
{
	int taken = accept(vcpu, d->irq);

	/* Addressed, but its APIC is off: nobody took it, which is no error. */
	d->result = max(d->result, 0) + max(taken, 0);
}

/* The one with the lower task priority; of two alike, who has had fewer */
static bool has_lower_priority(const struct mv_vcpu *a, const struct mv_vcpu *b)
{
	u32 tpr_a = mv_apic_reg(a->lapic, APIC_TASKPRI) & 0xf0;
	u32 tpr_b = mv_apic_reg(b->lapic, APIC_TASKPRI) & 0xf0;

	if (tpr_a != tpr_b)
		return tpr_a < tpr_b;
	return READ_ONCE(a->lapic->taken) < READ_ONCE(b->lapic->taken);
}

/* The message addresses this vCPU; NULL: nobody has that ID. */
static void offer(struct delivery *d, struct mv_vcpu *vcpu)
{
	if (!vcpu || !mv_apic_enabled(vcpu))
		return;
	if (d->irq->mode != MV_DELIVER_LOWEST)
		hand_over(d, vcpu);
	else if (mv_apic_sw_enabled(vcpu->lapic) &&
		 (!d->chosen || has_lower_priority(vcpu, d->chosen)))
		d->chosen = vcpu;
}

static struct mv_vcpu *vcpu_by_id(struct mv_vm *vm, u32 id)
{
	if (id >= MV_MAX_VCPU_ID)
		return NULL;
	/* The guest chooses @id. */
	id = array_index_nospec(id, MV_MAX_VCPU_ID);
	/* all of it, if it is there at all: see create_fd_locked() */
	return smp_load_acquire(&vm->vcpus[id]);
}

static void offer_all(struct delivery *d, struct mv_vm *vm,
		      const struct mv_vcpu *but)
{
	u32 id;

	for (id = 0; id <= READ_ONCE(vm->max_id); id++) {
		struct mv_vcpu *vcpu = vcpu_by_id(vm, id);

		if (vcpu && vcpu != but)
			offer(d, vcpu);
	}
}

/* SDM 11.12.10.2: 16 bits of cluster number, a bit for each of 16 members */
static void offer_x2apic_logical(struct delivery *d, struct mv_vm *vm)
{
	unsigned long members = d->irq->dest & 0xffff;
	u32 cluster = d->irq->dest >> 16;
	unsigned int bit;

	for_each_set_bit(bit, &members, 16) {
		struct mv_vcpu *vcpu = vcpu_by_id(vm, cluster * 16 + bit);

		if (vcpu && mv_apic_is_x2apic(vcpu))
			offer(d, vcpu);
	}
}

static bool matches_xapic_logical(const struct mv_vcpu *vcpu, u8 dest)
{
	u32 ldr = mv_apic_reg(vcpu->lapic, APIC_LDR) >> 24;

	if (mv_apic_is_x2apic(vcpu))
		return false;
	if (logical_model(vcpu) == APIC_DFR_FLAT)
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 15);
}

static void scan_xapic_logical(struct delivery *d, struct mv_vm *vm)
{
	u32 id;

	for (id = 0; id <= READ_ONCE(vm->max_id); id++) {
		struct mv_vcpu *vcpu = vcpu_by_id(vm, id);

		if (vcpu && matches_xapic_logical(vcpu, d->irq->dest))
			offer(d, vcpu);
	}
}

/* SDM 11.6.2.2: both models, since each receiver has its own */
static void offer_xapic_logical(struct delivery *d, struct mv_vm *vm)
{
	unsigned long dest = d->irq->dest, members = dest & 15;
	unsigned int bit;

	if (READ_ONCE(vm->logical.scan)) {
		scan_xapic_logical(d, vm);
		return;
	}
	for_each_set_bit(bit, &dest, 8)
		offer(d, READ_ONCE(vm->logical.flat[bit]));
	for_each_set_bit(bit, &members, 4)
		offer(d, READ_ONCE(vm->logical.cluster[(dest >> 4) & 15][bit]));
}

static bool is_broadcast(const struct mv_irq *irq)
{
	return irq->dest == 0xffffffff || (irq->dest == 0xff && !irq->dest_32);
}

/* The client may want 0xff to be an ID like others where IDs have 32 bits. */
static void offer_broadcast(struct delivery *d, struct mv_vm *vm)
{
	bool only_xapics = d->irq->dest == 0xff && vm->x2apic_no_broadcast_quirk;
	u32 id;

	for (id = 0; id <= READ_ONCE(vm->max_id); id++) {
		struct mv_vcpu *vcpu = vcpu_by_id(vm, id);

		if (vcpu && (!only_xapics || id == 0xff ||
			     !mv_apic_is_x2apic(vcpu)))
			offer(d, vcpu);
	}
}

static int finish(struct delivery *d)
{
	if (d->chosen) {
		WRITE_ONCE(d->chosen->lapic->taken, d->chosen->lapic->taken + 1);
		hand_over(d, d->chosen);
	}
	return d->result;
}

int mv_irq_deliver(struct mv_vm *vm, const struct mv_irq *irq)
{
	struct delivery d = { .irq = irq, .result = -1 };

	if (is_broadcast(irq)) {
		offer_broadcast(&d, vm);
	} else if (!irq->logical) {
		offer(&d, vcpu_by_id(vm, irq->dest));
	} else {
		offer_x2apic_logical(&d, vm);
		if (irq->dest <= 0xff)
			offer_xapic_logical(&d, vm);
	}
	return finish(&d);
}

/**
 * mv_send_ipi() - the guest wrote ICR (SDM 11.6.1)
 * @vcpu: the sender
 * @icr: the low half
 * @dest: destination field: 8 bits, of an x2APIC 32
 *
 * IPIs are edge triggered. An INIT de-assert, which CPUs with a version like
 * ours do not support, is the only one that says it is not.
 */
void mv_send_ipi(struct mv_vcpu *vcpu, u32 icr, u32 dest)
{
	struct mv_irq irq = {
		.dest = dest,
		.dest_32 = mv_apic_is_x2apic(vcpu),
		.vector = icr,
		.mode = (icr >> 8) & 7,
		.logical = icr & APIC_DEST_LOGICAL,
	};
	struct delivery d = { .irq = &irq };

	if (irq.mode == MV_DELIVER_INIT &&
	    (icr & (APIC_INT_LEVELTRIG | APIC_INT_ASSERT)) == APIC_INT_LEVELTRIG)
		return;
	if (irq.mode <= MV_DELIVER_LOWEST && irq.vector < 16) {
		mv_apic_error(vcpu, APIC_ESR_SENDILL);
		return;
	}
	switch (ICR_SHORTHAND(icr)) {
	case TO_DEST:
		mv_irq_deliver(vcpu->vm, &irq);
		return;
	case TO_SELF:
		if (irq.mode == MV_DELIVER_FIXED && mv_apic_sw_enabled(vcpu->lapic))
			mv_apic_raise(vcpu, irq.vector);
		else
			offer(&d, vcpu);
		break;
	case TO_ALL:
		offer_all(&d, vcpu->vm, NULL);
		break;
	case TO_OTHERS:
		offer_all(&d, vcpu->vm, vcpu);
		break;
	}
	finish(&d);
}

int mv_msi_deliver(struct mv_vm *vm, u64 address, u32 data)
{
	struct mv_irq irq = {
		.dest = (address >> 12) & 0xff,
		.vector = data,
		.mode = (data >> 8) & 7,
		.logical = address & BIT(2),
		.level = data & BIT(15),
	};

	/* redirection hint: one of a logical destination (SDM 11.11.1) */
	if ((address & (BIT(2) | BIT(3))) == (BIT(2) | BIT(3)) &&
	    irq.mode == MV_DELIVER_FIXED)
		irq.mode = MV_DELIVER_LOWEST;
	if (vm->x2apic_format_32)
		irq.dest |= (address >> 32) & 0xffffff00;
	return mv_irq_deliver(vm, &irq);
}

/* ---- the 8259 pair ---------------------------------------------------------------------- */

/* Virtual wire: through LINT0, or past a local APIC that is off (SDM 11.5.1) */
static bool takes_extint(const struct mv_vcpu *vcpu)
{
	u32 lint0 = mv_apic_reg(vcpu->lapic, APIC_LVT0);

	if (!mv_apic_enabled(vcpu))
		return true;
	return !(lint0 & APIC_LVT_MASKED) &&
	       ((lint0 >> 8) & 7) == MV_DELIVER_EXTINT;
}

/**
 * mv_extint_ready() - could an 8259 pair have this vCPU take an interrupt?
 * @vcpu: the vCPU, with a local APIC
 */
bool mv_extint_ready(struct mv_vcpu *vcpu)
{
	return vcpu->extint < 0 && takes_extint(vcpu);
}

/**
 * mv_extint_pending() - does an interrupt of an 8259 pair wait for the vCPU?
 * @vcpu: the vCPU, with a local APIC
 *
 * Context: the vCPU's own, also inside the run section.
 */
bool mv_extint_pending(struct mv_vcpu *vcpu)
{
	if (!takes_extint(vcpu))
		return false;
	return vcpu->vm->irqchip == MV_IRQCHIP_KERNEL ? mv_pic_intr(vcpu->vm) :
							vcpu->extint >= 0;
}
EXPORT_SYMBOL_GPL(mv_extint_pending);

/**
 * mv_extint_take() - the CPU acknowledges it
 * @vcpu: the vCPU; mv_extint_pending()
 *
 * Context: as above. Return: the vector.
 */
u8 mv_extint_take(struct mv_vcpu *vcpu)
{
	int vector = vcpu->extint;

	if (vcpu->vm->irqchip == MV_IRQCHIP_KERNEL)
		return mv_pic_acknowledge(vcpu);
	vcpu->extint = -1;
	return vector;
}
EXPORT_SYMBOL_GPL(mv_extint_take);

void mv_extint_raised(struct mv_vm *vm)
{
	u32 id;

	for (id = 0; id <= READ_ONCE(vm->max_id); id++) {
		struct mv_vcpu *vcpu = vcpu_by_id(vm, id);

		if (vcpu && takes_extint(vcpu))
			mv_request(vcpu, MV_REQ_EVENT);
	}
}

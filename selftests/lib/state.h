/* SPDX-License-Identifier: GPL-2.0 */
/* All that a client saves of a vCPU and of its VM's controllers. */
#ifndef SELFTESTS_STATE_H
#define SELFTESTS_STATE_H

#include "vm.h"

#define STATE_MAX_MSRS	512
#define STATE_MAX_CPUID	256

struct vcpu_state {
	struct minivmm_regs regs;
	struct minivmm_sregs sregs;
	struct minivmm_fpu fpu;
	struct minivmm_xsave xsave;
	struct minivmm_xcrs xcrs;
	struct minivmm_debugregs debugregs;
	struct minivmm_vcpu_events events;
	struct minivmm_mp_state mp_state;
	struct minivmm_lapic_state lapic;
	struct {
		struct minivmm_cpuid2 header;
		struct minivmm_cpuid_entry2 entries[STATE_MAX_CPUID];
	} cpuid;
	struct {
		struct minivmm_msrs header;
		struct minivmm_msr_entry entries[STATE_MAX_MSRS];
	} msrs;
};

struct chips_state {
	struct minivmm_irqchip chips[3];
	struct minivmm_pit_state2 pit;
};

/** vcpu_save - everything, as it is; an exit's instruction is finished first */
void vcpu_save(struct vcpu *vcpu, struct vcpu_state *state);

/**
 * vcpu_restore - put it into a vCPU, in the order that clients use
 * @fresh: this vCPU has not run, so its CPUID may be set
 */
void vcpu_restore(struct vcpu *vcpu, struct vcpu_state *state, bool fresh);

/**
 * vcpu_compare - EXPECT two states to be equal, but for what runs by itself
 *
 * That is the TSC and what follows it, and the timer's count.
 * @fired: a vector that may have become pending in between, or 0
 */
void vcpu_compare(struct vcpu_state *a, struct vcpu_state *b, u32 fired);

/** chips_save - interrupt controllers and interval timer */
void chips_save(struct vm *vm, struct chips_state *state);

/** chips_restore - put them into another VM */
void chips_restore(struct vm *vm, struct chips_state *state);

/** chips_compare - EXPECT them to be equal, but for the timer's pin and time */
void chips_compare(struct chips_state *a, struct chips_state *b);

#endif /* SELFTESTS_STATE_H */

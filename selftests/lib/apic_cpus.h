/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the apic_*.c tests of delivery share: VMs of several vCPUs, the first of
 * which sends what the host says; handlers that log what came.
 */
#ifndef SELFTESTS_APIC_CPUS_H
#define SELFTESTS_APIC_CPUS_H

#include "apic.h"

#define NR_VCPUS	4

/* A pin of the I/O APIC that has no PIC beside it */
#define PIN		18

/* Where SIPI with this vector starts a processor */
#define TRAMPOLINE_VECTOR	0x09
#define TRAMPOLINE_GPA		0x9000UL

/** TEST_BOTH - a test for each of the interfaces; @call uses mode */
#define TEST_BOTH(test_name, call)					\
	static void test_both_##test_name(const u64 mode)		\
	{								\
		call;							\
	}								\
	TEST(xapic_##test_name)						\
	{								\
		test_both_##test_name(XAPIC);				\
	}								\
	TEST(x2apic_##test_name)					\
	{								\
		test_both_##test_name(X2APIC);				\
	}

/* ------------------------------------------------------------------------ */
/* The guest's side                                                          */

/** hits, order - how many interrupts the handlers below saw, and their vectors */
extern volatile u64 hits, order[16];

/** guest_log - a handler that logs and ends the interrupt */
void guest_log(struct guest_regs *regs);
/** guest_log_nmi - one that only logs */
void guest_log_nmi(struct guest_regs *regs);

void log_vectors(const u8 *vectors, int nr);
void assert_order(const u8 *vectors, int nr);

/** LOG_VECTORS - the guest's interrupts of these vectors are logged */
#define LOG_VECTORS(...)						\
	log_vectors((const u8 []){ __VA_ARGS__ },			\
		    sizeof((const u8 []){ __VA_ARGS__ }))
/** ASSERT_ORDER - the guest has logged these, in this order, and no others */
#define ASSERT_ORDER(...)						\
	assert_order((const u8 []){ __VA_ARGS__ },			\
		     sizeof((const u8 []){ __VA_ARGS__ }))

static inline void self_ipi(u32 vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

/** guest_sender - sync 0, send what the host's ipi() says, and again */
void guest_sender(void);

/** guest_receiver - sync 1 with the hits, take interrupts and NMIs, and again */
void guest_receiver(void);

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

/** run_with_apic - run fn(mode) to its end, in a VM of its own */
void run_with_apic(void *fn, u64 mode);

/** enable_apic - in this mode, enabled by software, LINT0 masked */
void enable_apic(struct vcpu *vcpu, u64 mode);

/** add_cpu - a vCPU that can run fn(mode), its local APIC enabled */
struct vcpu *add_cpu(struct vm *vm, int id, u64 mode, void *fn);

/** start_cpus - a VM of NR_VCPUS, the first ready to send */
struct vm *start_cpus(u64 mode);

/** start_flat - the same of xAPICs; vCPU n has bit n as its logical ID, flat model */
struct vm *start_flat(void);

/** start_pair - one of two: a guest_sender() and a guest_receiver() */
struct vm *start_pair(u64 mode);

/** ipi - have the first vCPU, which is a guest_sender(), write ICR */
void ipi(struct vm *vm, u32 dest, u32 low);

/** receivers - a bit for each of NR_VCPUS that has this vector pending */
u32 receivers(struct vm *vm, u32 vector);

static inline bool one_bit(u32 mask)
{
	return mask && !(mask & (mask - 1));
}

#define EXPECT_IPI(machine, dest, low, vector, mask)			\
	do {								\
		struct vm *vm_ = (machine);				\
		u32 vector_ = (vector);					\
									\
		ipi(vm_, dest, (low) | ICR_ASSERT | vector_);		\
		EXPECT_EQ(receivers(vm_, vector_), mask);		\
	} while (0)

/** taken - run to the guest's next sync 1: the hits that it has counted */
u64 taken(struct vcpu *vcpu);

/** add_trampoline - code for an AP to start at */
void add_trampoline(struct vm *vm);
/** expect_at_trampoline - run an AP that a SIPI has started */
void expect_at_trampoline(struct vcpu *vcpu);

#endif /* SELFTESTS_APIC_CPUS_H */

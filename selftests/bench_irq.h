/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests of bench that take interrupts: 64-bit mode, the local APIC of the
 * kernel in x2APIC mode, handlers of a known number of instructions.
 */
#ifndef SELFTESTS_BENCH_IRQ_H
#define SELFTESTS_BENCH_IRQ_H

#include <pthread.h>

#include "bench.h"
#include "guest.h"

#define IRQ_VECTOR	0x40	/* counted in guest_irqs */
#define REPLY_VECTOR	0x41	/* counted in guest_replies */

#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_EOI		0x80b
#define MSR_X2APIC_ICR		0x830
#define MSR_X2APIC_LVT_TIMER	0x832
#define MSR_X2APIC_SELF_IPI	0x83f

#define LVT_TSC_DEADLINE	(2U << 17)
#define ICR_OTHERS		(3U << 18)	/* all but the sender */

/* Of the local APIC's page */
#define APIC_SVR	0xf0
#define APIC_ISR	0x100	/* 8 times 32 bits, 16 bytes apart */

#define HANDLER_INSNS	11

/*
 * Both are written by guests: read the guest's copy, vm_guest_ptr().  Handlers
 * count the interrupts; a guest that looks at the clock all the time counts the
 * gaps, times that it was not running.
 */
extern volatile u32 guest_irqs, guest_replies, guest_gaps;
extern volatile u32 guest_receiving, guest_seen, guest_stop;

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

/** irq_vm - a VM with interrupt controllers, handlers and the program in it */
struct vm *irq_vm(void);

/** irq_vcpu - a vCPU of it that will call fn(arg) */
struct vcpu *irq_vcpu(struct vm *vm, int id, void *fn, u64 arg);

/**
 * irq_vcpu_init - what irq_vcpu() does before the vCPU's registers
 *
 * CPUID with x2APIC and the TSC deadline timer, a local APIC that is enabled,
 * in x2APIC mode; runnable.
 */
void irq_vcpu_init(struct vm *vm, int fd);

struct minivmm_lapic_state lapic_state(int fd);
void set_lapic_state(int fd, const struct minivmm_lapic_state *state);

/** pin - this thread stays on that CPU, if the host has it */
void pin(int cpu);

/**
 * lower_quartile - of the ticks and of each count of @nr runs
 *
 * A quarter was cheaper.  The host's own timer interrupt hits the more runs the
 * longer they are, but rarely three of four; and it costs VM exits, too.
 */
struct sample lower_quartile(const struct sample *runs, u32 nr);

/**
 * measure_timed - run a guest made of TIMED_LOOP()s
 * @op: runs, operations per run, the guest's own instructions
 * @vcpu: its vCPU
 * @reset: called before each run
 *
 * The guest says guest_sync(0, ticks) and guest_sync(1, 0) in turn; the second
 * is what a run costs in VM exits without the loop.  The result is the runs'
 * lower_quartile().
 */
struct sample measure_timed(const struct op *op, struct vcpu *vcpu,
			    void (*reset)(struct vcpu *vcpu));

/** struct partner - a thread that runs a second vCPU */
struct partner {
	pthread_t thread;
	struct vcpu *vcpu;
	u32 syncs;		/* until it ends */
	int cpu;
};

/** partner_start - run the vCPU until it has stopped at @syncs guest_sync()s */
void partner_start(struct partner *partner, struct vcpu *vcpu, u32 syncs,
		   int cpu);
/** partner_join - wait for that */
void partner_join(struct partner *partner);

/** receiver_start - run guest_receive() elsewhere, until it does run */
void receiver_start(struct partner *partner, struct vcpu *vcpu);
/** receiver_stop - end it */
void receiver_stop(struct partner *partner);

/* ------------------------------------------------------------------------ */
/* The guest's side                                                          */

/**
 * guest_receive - take interrupts and count gaps until told to stop
 *
 * It is guest_seen that says so when an interrupt has been handled, not the
 * handler: if the next one came before its EOI, the guest would go from handler
 * to handler, in one gap.
 */
void guest_receive(u64 unused);

#define TIMED_INSNS	7	/* of TIMED_LOOP, outside the loop */
#define LOOP_INSNS	2	/* of TIMED_LOOP, per operation */
#define SPIN_INSNS	3

/**
 * TIMED_LOOP - repeat instructions; the ticks that it took
 * @ops: how often
 * @c, @a, @d: ECX, EAX and EDX before the first time
 * @insns: the instructions.  r8d and r9d start as 0; r8d counts how often they
 *	   went round a loop of SPIN_INSNS instructions, which are subtracted.
 */
#define TIMED_LOOP(ops, c, a, d, insns)					\
	({								\
		u32 ops_ = (ops), start_, ticks_;			\
									\
		asm volatile("rdtsc\n"					\
			     "movl %%eax, %[start]\n"			\
			     "xorl %%r8d, %%r8d\n"			\
			     "xorl %%r9d, %%r9d\n"			\
			     "movl %[c_], %%ecx\n"			\
			     "movl %[a_], %%eax\n"			\
			     "movl %[d_], %%edx\n"			\
			     "1: " insns "\n"				\
			     "decl %[left]\n"				\
			     "jnz 1b\n"					\
			     "rdtsc\n"					\
			     "subl %[start], %%eax\n"			\
			     "leal (%%r8, %%r8, 2), %%r8d\n"		\
			     "subl %%r8d, %%eax\n"			\
			     : "=&a"(ticks_), [start]"=&r"(start_),	\
			       [left]"+r"(ops_)				\
			     : [c_]"r"((u32)(c)), [a_]"r"((u32)(a)),	\
			       [d_]"r"((u32)(d))			\
			     : "rcx", "rdx", "r8", "r9", "memory", "cc"); \
		ticks_ - TIMED_INSNS;					\
	})

/** guest_say - tell measure_timed() the ticks of a run, then nothing */
static inline void guest_say(u32 ticks)
{
	guest_sync(0, ticks);
	guest_sync(1, 0);
}

static inline void sti(void)
{
	asm volatile("sti" : : : "memory");
}

#endif /* SELFTESTS_BENCH_IRQ_H */

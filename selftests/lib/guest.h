/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's side of a test written in C.
 *
 * Nothing here may be called by the host's side, and a guest may call neither
 * libc nor the host's helpers.  A guest starts with interrupts disabled; one
 * that waits must enable them or leave to the host in bounded steps (a Bochs
 * host cannot interrupt a guest that spins with IF=0).
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#include "vm.h"

/* The port of guest calls: OUT of a struct guest_call's address */
#define GUEST_CALL_PORT	0x7e0

/* ------------------------------------------------------------------------ */
/* Calls to the host                                                         */

/** guest_sync - stop at the host's ASSERT_SYNC(vcpu, stage) with a value */
void guest_sync(u64 stage, u64 value);

__attribute__((noreturn))
void guest_abort(const char *file, u32 line, const char *text, u64 a, u64 b);

#define GUEST_ASSERT(cond)						\
	do {								\
		if (!(cond))						\
			guest_abort(__FILE__, __LINE__, #cond, 0, 0);	\
	} while (0)

#define GUEST_ASSERT_EQ(a, b)						\
	do {								\
		u64 guest_a = (u64)(a), guest_b = (u64)(b);		\
									\
		if (guest_a != guest_b)					\
			guest_abort(__FILE__, __LINE__, #a " == " #b,	\
				    guest_a, guest_b);			\
	} while (0)

/* ------------------------------------------------------------------------ */
/* Exceptions and interrupts                                                 */

/* What lib/guest_entry.S pushes */
struct guest_regs {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

typedef void (*guest_handler_t)(struct guest_regs *regs);

/**
 * guest_handlers - functions for exceptions and interrupts, by vector
 *
 * A handler may change *regs.  An exception without a handler that no
 * guest_try() expects ends the test as failed.
 */
extern guest_handler_t guest_handlers[256];

/** count_event - a handler that counts in event_counts[], by vector */
void count_event(struct guest_regs *regs);
extern volatile u64 event_counts[256];

#define GUEST_NO_FAULT	0x100

/**
 * guest_try - run one instruction that may fault
 * @insn: its text; operands are %[name] of the input constraints that follow.
 *	  It must change no register; r9 and r10 are taken.
 *
 * Returns the vector or GUEST_NO_FAULT; guest_try_error() also assigns the
 * error code.
 */
#define guest_try_error(error, insn, ...)				\
	({								\
		register u64 vector_ asm("r9") = GUEST_NO_FAULT;	\
		register u64 error_ asm("r10") = 0;			\
									\
		asm volatile("771: " insn "\n772:\n"			\
			     ".pushsection guest_extable, \"a\"\n"	\
			     ".quad 771b, 772b\n"			\
			     ".popsection"				\
			     : "+r"(vector_), "+r"(error_)		\
			     : __VA_ARGS__				\
			     : "memory", "cc");				\
		error = error_;						\
		vector_;						\
	})

#define guest_try(insn, ...)						\
	({								\
		__attribute__((unused)) u64 ignored_;			\
									\
		guest_try_error(ignored_, insn, ##__VA_ARGS__);		\
	})

/* General registers before and after guest_try_regs() */
struct guest_gprs {
	u64 a, b, c, d, si, di;
};

/**
 * guest_try_regs - guest_try() for an instruction that changes registers
 * @insn: its text, without operands of ours
 * @gprs: struct guest_gprs to load before and store after
 */
#define guest_try_regs(insn, gprs)					\
	({								\
		struct guest_gprs *gprs_ = &(gprs);			\
		register u64 vector_ asm("r9") = GUEST_NO_FAULT;	\
		register u64 error_ asm("r10") = 0;			\
									\
		asm volatile("771: " insn "\n772:\n"			\
			     ".pushsection guest_extable, \"a\"\n"	\
			     ".quad 771b, 772b\n"			\
			     ".popsection"				\
			     : "+r"(vector_), "+r"(error_),		\
			       "+a"(gprs_->a), "+b"(gprs_->b),		\
			       "+c"(gprs_->c), "+d"(gprs_->d),		\
			       "+S"(gprs_->si), "+D"(gprs_->di)		\
			     : : "memory", "cc", "r11");		\
		vector_;						\
	})

/**
 * guest_call_user - call fn(arg) in ring 3, I/O allowed; returns its value
 *
 * One vCPU of a VM at a time.
 */
u64 guest_call_user(u64 (*fn)(u64 arg), u64 arg);

/* ------------------------------------------------------------------------ */
/* Instructions                                                              */

static inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u32 inl(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	asm volatile("cpuid"
		     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
		     : "a"(leaf), "c"(subleaf));
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

static inline u64 rdmsr(u32 index)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 index, u64 value)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)value),
		     "d"((u32)(value >> 32)) : "memory");
}

/** wrmsr_safe - WRMSR; the vector of the fault or GUEST_NO_FAULT */
static inline u64 wrmsr_safe(u32 index, u64 value)
{
	return guest_try("wrmsr", "c"(index), "a"((u32)value),
			 "d"((u32)(value >> 32)));
}

/** rdmsr_safe - RDMSR; the vector of the fault or GUEST_NO_FAULT */
static inline u64 rdmsr_safe(u32 index, u64 *value)
{
	struct guest_gprs gprs = { .c = index };
	u64 vector = guest_try_regs("rdmsr", gprs);

	*value = gprs.d << 32 | (u32)gprs.a;
	return vector;
}

#define GUEST_CR(n)							\
	static inline u64 read_cr##n(void)				\
	{								\
		u64 value;						\
									\
		asm volatile("mov %%cr" #n ", %0" : "=r"(value));	\
		return value;						\
	}								\
									\
	static inline void write_cr##n(u64 value)			\
	{								\
		asm volatile("mov %0, %%cr" #n : : "r"(value) : "memory"); \
	}
GUEST_CR(0)
GUEST_CR(2)
GUEST_CR(3)
GUEST_CR(4)
GUEST_CR(8)

static inline u64 read_flags(void)
{
	u64 flags;

	asm volatile("pushfq; popq %0" : "=r"(flags));
	return flags;
}

static inline void hlt(void)
{
	asm volatile("hlt" : : : "memory");
}

static inline void invlpg(u64 address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/** guest_pte - the guest's own view of vm_pte() */
static inline u64 *guest_pte(u64 gva)
{
	return (u64 *)PT_GPA + gva / PAGE_SIZE;
}

#endif /* SELFTESTS_GUEST_H */

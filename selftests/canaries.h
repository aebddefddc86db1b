/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Canaries: values in every register that a switch between guest and host, or
 * between two guests, could lose.
 */
#ifndef SELFTESTS_CANARIES_H
#define SELFTESTS_CANARIES_H

#include "guest.h"

#define CANARY_PORT	0x7e

static inline u64 next_random(u64 *state)
{
	/* Knuth's MMIX generator; its low bits are poor */
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state ^ *state >> 33;
}

/* ------------------------------------------------------------------------ */
/* x87, SSE, AVX, AVX-512, PKRU: one area in XSAVE's standard format         */

#define FPU_LEGACY	3ULL		/* x87 and SSE */
#define FPU_PKRU	9
#define FPU_HEADER	512
#define FPU_COMPONENTS	(7ULL | 0xe0 | 1 << FPU_PKRU)

struct fpu_area {
	u8 bytes[4096];
} __attribute__((aligned(64)));

struct fpu_part {
	u32 offset, size;
};

/* Legacy fields with a life of their own are left out (SDM table 13-1). */
static inline struct fpu_part fpu_part(int component, int i)
{
	u32 regs[4];

	if (component == 0)
		return i < 8 ? (struct fpu_part) { 32 + 16 * i, 10 } :
			       (struct fpu_part) { 0, 0 };
	if (component == 1)
		return i ? (struct fpu_part) { 0, 0 } :
			   (struct fpu_part) { 160, 256 };
	cpuid(0xd, component, regs);
	/* PKRU is 4 bytes, and 4 of padding */
	return (struct fpu_part) {
		regs[1], i ? 0 : component == FPU_PKRU ? 4 : regs[0]
	};
}

/*
 * Volatile: a compiler may otherwise turn such loops into memset() or
 * memcmp(), which use the very registers.
 */
static inline void fpu_fill(struct fpu_area *area, u64 mask, u64 seed)
{
	volatile u8 *bytes = area->bytes;
	struct fpu_part part;
	int c, i;
	u32 j;

	for (j = 0; j < sizeof(*area); j++)
		bytes[j] = 0;
	for (c = 0; c < 64; c++) {
		if (!(mask >> c & 1))
			continue;
		for (i = 0; (part = fpu_part(c, i)).size; i++)
			for (j = 0; j < part.size; j++)
				bytes[part.offset + j] = next_random(&seed);
		/* key 0 stays usable, and XSAVE must not find a part unused */
		if (c == FPU_PKRU)
			bytes[part.offset] = 0x54;
	}
	*(volatile u16 *)(bytes + 0) = 0x37f;		/* FCW */
	bytes[4] = 0xff;				/* all ST in use */
	*(volatile u32 *)(bytes + 24) = 0x1f80 | (seed >> 40 & 0x6000);
	*(volatile u64 *)(bytes + FPU_HEADER) = mask;
}

/* Offset of the first difference, or -1 */
static inline int fpu_differs(struct fpu_area *a, struct fpu_area *b, u64 mask)
{
	volatile u8 *x = a->bytes, *y = b->bytes;
	struct fpu_part part;
	int c, i;
	u32 j;

	if (*(volatile u32 *)(x + 24) != *(volatile u32 *)(y + 24))
		return 24;
	for (c = 0; c < 64; c++) {
		if (!(mask >> c & 1))
			continue;
		for (i = 0; (part = fpu_part(c, i)).size; i++)
			for (j = part.offset; j < part.offset + part.size; j++)
				if (x[j] != y[j])
					return j;
	}
	return -1;
}

static inline bool cpu_has_xsave(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[2] >> 26 & 1;
}

static inline void fpu_load(struct fpu_area *area, u64 mask)
{
	if (mask == FPU_LEGACY)
		asm volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
	else
		asm volatile("xrstor64 (%0)"
			     : : "r"(area), "a"((u32)mask), "d"(0) : "memory");
}

static inline void fpu_store(struct fpu_area *area, u64 mask)
{
	if (mask == FPU_LEGACY)
		asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
	else
		asm volatile("xsave64 (%0)"
			     : : "r"(area), "a"((u32)mask), "d"(0) : "memory");
}

/* ------------------------------------------------------------------------ */
/* General registers                                                         */

/* Loads 15 of them, leaves to the host, and says what they are then. */
void canary_gprs(const u64 in[15], u64 out[15]);

asm(".pushsection .text\n"
	"canary_gprs:\n"
	"pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"pushq %rsi\n"
	"movq 0x00(%rdi), %r15; movq 0x08(%rdi), %r14; movq 0x10(%rdi), %r13\n"
	"movq 0x18(%rdi), %r12; movq 0x20(%rdi), %r11; movq 0x28(%rdi), %r10\n"
	"movq 0x30(%rdi), %r9; movq 0x38(%rdi), %r8; movq 0x40(%rdi), %rbp\n"
	"movq 0x50(%rdi), %rsi; movq 0x58(%rdi), %rdx; movq 0x60(%rdi), %rcx\n"
	"movq 0x68(%rdi), %rbx; movq 0x70(%rdi), %rax; movq 0x48(%rdi), %rdi\n"
	"outb %al, $0x7e\n"
	"pushq %rax; pushq %rbx; pushq %rcx; pushq %rdx; pushq %rsi; pushq %rdi\n"
	"pushq %rbp; pushq %r8; pushq %r9; pushq %r10; pushq %r11; pushq %r12\n"
	"pushq %r13; pushq %r14; pushq %r15\n"
	"movq %rsp, %rsi\n"
	"movq 0x78(%rsp), %rdi\n"
	"movl $15, %ecx\n"
	"cld\n"
	"rep movsq\n"
	"addq $0x80, %rsp\n"
	"popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"ret\n"
	".popsection");

static inline void guest_check_gprs(u64 seed)
{
	u64 in[15], out[15];
	int i;

	for (i = 0; i < 15; i++)
		in[i] = next_random(&seed);
	canary_gprs(in, out);
	for (i = 0; i < 15; i++)
		GUEST_ASSERT_EQ(out[i], in[i]);
}

/* ------------------------------------------------------------------------ */
/* MSRs, debug registers, CR2                                                */

enum canary_width { ADDRESS, BITS16, BITS32 };

static const struct {
	u32 index;
	enum canary_width width;
} canary_msrs[] = {
	{ MSR_FS_BASE, ADDRESS },
	{ MSR_GS_BASE, ADDRESS },
	{ MSR_KERNEL_GS_BASE, ADDRESS },
	{ MSR_CSTAR, ADDRESS },
	{ MSR_IA32_SYSENTER_CS, BITS16 },
	{ MSR_IA32_SYSENTER_ESP, ADDRESS },
	{ MSR_IA32_SYSENTER_EIP, ADDRESS },
	{ MSR_TSC_AUX, BITS32 },
};

static inline u64 msr_value(int i, u64 *seed)
{
	u64 value = next_random(seed);

	switch (canary_msrs[i].width) {
	case BITS16:
		return value & 0xffff;
	case BITS32:
		return value & 0xffffffff;
	case ADDRESS:
		break;
	}
	return value >> 17;
}

static inline void guest_set_msrs(u64 seed)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(canary_msrs); i++)
		wrmsr(canary_msrs[i].index, msr_value(i, &seed));
}

static inline void guest_check_msrs(u64 seed)
{
	u32 low, high, aux;
	u64 value = 0, kernel = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(canary_msrs); i++) {
		value = msr_value(i, &seed);
		GUEST_ASSERT_EQ(rdmsr(canary_msrs[i].index), value);
		if (canary_msrs[i].index == MSR_KERNEL_GS_BASE)
			kernel = value;
	}
	/* What the CPU has, not only what RDMSR says */
	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	GUEST_ASSERT_EQ(aux, value);
	asm volatile("swapgs");
	GUEST_ASSERT_EQ(rdmsr(MSR_GS_BASE), kernel);
	asm volatile("swapgs");
}

extern const char canary_landing_0[], canary_landing_1[];

asm(".pushsection .text\n"
	"canary_landing_0: xorl %eax, %eax; jmp 1f\n"
	"canary_landing_1: movl $1, %eax\n"
	"1: pushfq; popq %rdx; pushq %r11; popfq; jmp *%rcx\n"
	".popsection");

#define SFMASK_0	(RFLAGS_CF | RFLAGS_DF)
#define SFMASK_1	RFLAGS_ZF

static inline void guest_set_syscall(u64 seed)
{
	wrmsr(MSR_STAR, (u64)SEL_CODE64 << 32 | (u32)seed);
	wrmsr(MSR_LSTAR, (u64)(seed & 1 ? canary_landing_1 :
					  canary_landing_0));
	wrmsr(MSR_SYSCALL_MASK, seed & 1 ? SFMASK_1 : SFMASK_0);
}

/* SYSCALL lands where this guest wants, with the flags that it masks. */
static inline void guest_check_syscall(u64 seed)
{
	u64 where, flags, all = RFLAGS_CF | RFLAGS_DF | RFLAGS_ZF;

	GUEST_ASSERT_EQ((u32)rdmsr(MSR_STAR), (u32)seed);
	asm volatile("pushfq\n"
		     "orq $0x441, (%%rsp)\n"
		     "popfq\n"
		     "syscall\n"
		     "cld"
		     : "=a"(where), "=d"(flags) : : "rcx", "r11", "cc",
		       "memory");
	GUEST_ASSERT_EQ(where, seed & 1);
	GUEST_ASSERT_EQ(flags & all,
			all & ~(seed & 1 ? SFMASK_1 : SFMASK_0));
}

#define GUEST_DR(n)							\
	static inline u64 read_dr##n(void)				\
	{								\
		u64 value;						\
									\
		asm volatile("mov %%db" #n ", %0" : "=r"(value));	\
		return value;						\
	}								\
									\
	static inline void write_dr##n(u64 value)			\
	{								\
		asm volatile("mov %0, %%db" #n : : "r"(value));		\
	}
GUEST_DR(0)
GUEST_DR(1)
GUEST_DR(2)
GUEST_DR(3)
GUEST_DR(6)
GUEST_DR(7)

/* Execution breakpoints at addresses where nothing is; half of the time on */
#define DR_ADDRESS(seed, n)	(((seed) >> 17) + (n) * 0x1000)
#define DR6_VALUE(seed)		(DR6_FIXED | ((seed) >> 8 & 0xf))

static inline u64 dr7_value(u64 seed)
{
	return DR7_FIXED | (seed & 1 ? seed & 0xff : 0);
}

static inline void guest_set_drs(u64 seed)
{
	write_dr0(DR_ADDRESS(seed, 0));
	write_dr1(DR_ADDRESS(seed, 1));
	write_dr2(DR_ADDRESS(seed, 2));
	write_dr3(DR_ADDRESS(seed, 3));
	write_dr6(DR6_VALUE(seed));
	write_dr7(dr7_value(seed));
}

static inline void guest_check_drs(u64 seed)
{
	GUEST_ASSERT_EQ(read_dr0(), DR_ADDRESS(seed, 0));
	GUEST_ASSERT_EQ(read_dr1(), DR_ADDRESS(seed, 1));
	GUEST_ASSERT_EQ(read_dr2(), DR_ADDRESS(seed, 2));
	GUEST_ASSERT_EQ(read_dr3(), DR_ADDRESS(seed, 3));
	GUEST_ASSERT_EQ(read_dr6(), DR6_VALUE(seed));
	GUEST_ASSERT_EQ(read_dr7(), dr7_value(seed));
}

/* ------------------------------------------------------------------------ */
/* The guest                                                                 */

static volatile u64 canary_rounds = 40;

static inline u64 xgetbv(void)
{
	u32 low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (u64)high << 32;
}

/* Every third guest uses SSE alone, AVX, or all there is. */
static inline u64 guest_enable_fpu(u64 seed)
{
	const u64 choice[] = { FPU_LEGACY, 7, FPU_COMPONENTS };
	u32 regs[4];
	u64 mask;

	if (!cpu_has_xsave())
		return FPU_LEGACY;
	cpuid(0xd, 0, regs);
	mask = regs[0] & choice[seed % 3];
	write_cr4(read_cr4() | CR4_OSXSAVE);
	asm volatile("xsetbv" : : "a"((u32)mask), "d"(0), "c"(0));
	return mask;
}

/* Leave to the host's user space, to its kernel, or stay and be preempted. */
static inline void guest_leave(u64 how)
{
	u32 regs[4];
	int i;

	switch (how & 3) {
	case 0:
		guest_check_gprs(how);
		break;
	case 1:
		*(volatile u32 *)MMIO_GPA = how;
		break;
	case 2:
		cpuid(0, 0, regs);
		break;
	case 3:
		for (i = 0; i < 3000; i++)
			asm volatile("");
		break;
	}
}

static void guest_canary(u64 seed)
{
	struct fpu_area loaded, stored;
	u64 mask = guest_enable_fpu(seed);
	u64 state = seed, value, round, fill = 0;

	for (round = 0; round < canary_rounds; round++) {
		if (round % 4 == 0) {
			fill = next_random(&state);
			fpu_fill(&loaded, mask, fill);
			guest_set_msrs(fill);
			guest_set_syscall(fill);
			guest_set_drs(fill);
			write_cr2(fill);
			fpu_load(&loaded, mask);
		}
		value = next_random(&state);
		guest_leave(value);
		GUEST_ASSERT_EQ(read_cr2(), fill);
		fpu_store(&stored, mask);
		GUEST_ASSERT_EQ(fpu_differs(&loaded, &stored, mask), -1);
		guest_check_msrs(fill);
		guest_check_syscall(fill);
		guest_check_drs(fill);
		if (cpu_has_xsave())
			GUEST_ASSERT_EQ(xgetbv(), mask);
	}
}

/* ------------------------------------------------------------------------ */
/* The host's side                                                           */

/* A vCPU of this VM with a guest that keeps canaries of its own */
static inline struct vcpu *canary_vcpu(struct vm *vm, int id, u64 seed)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, guest_canary, seed);
	return vcpu;
}

/* What an exit means: true while there is more to run */
static inline bool canary_goes_on(struct vcpu *vcpu, int reason)
{
	if (reason == MINIVMM_EXIT_MMIO ||
	    (reason == MINIVMM_EXIT_IO && vcpu->run->io.port == CANARY_PORT))
		return true;
	if (vcpu_guest_call(vcpu, reason, NULL) == GUEST_DONE)
		return false;
	vcpu_describe_exit(vcpu, reason);
	FAIL("exit %s", exit_name(reason));
}

static inline bool canary_step(struct vcpu *vcpu)
{
	return canary_goes_on(vcpu, vcpu_run(vcpu));
}

#endif /* SELFTESTS_CANARIES_H */

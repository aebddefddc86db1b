// SPDX-License-Identifier: GPL-2.0
/*
 * Retry or advance: a fault that the monitor repaired re-executes its
 * instruction, an instruction that it emulated is over: RIP is behind it by
 * its length, the STI and MOV SS shadows have ended, and TF has trapped.
 */
#include "guest.h"

#define PORT		0x1234
#define VECTOR		0x55

/* The harness's part in PIO and MMIO: every read gives 0x11s */
static int run_device(struct vcpu *vcpu)
{
	struct minivmm_run *run = vcpu->run;
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason == MINIVMM_EXIT_MMIO)
			memset(run->mmio.data, 0x11, 8);
		else if (reason == MINIVMM_EXIT_IO && run->io.port == PORT)
			memset(vcpu_io_data(vcpu), 0x11,
			       run->io.size * run->io.count);
		else
			return reason;
	}
}

static void run_device_guest(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int reason, type;

	vcpu_setup_long(vcpu, fn, dev_is_minivmm());
	reason = run_device(vcpu);
	type = vcpu_guest_call(vcpu, reason, NULL);
	if (type != GUEST_DONE)
		vcpu_describe_exit(vcpu, reason);
	ASSERT_EQ(type, GUEST_DONE);
	vm_free(vcpu->vm);
}

/* ------------------------------------------------------------------------ */
/* Retry                                                                     */

/* First touches, so EPT violations, by instructions that must not run twice */
static void guest_cold_memory(void)
{
	volatile u64 *cold = (u64 *)(DATA_GPA + 0x10000);
	u64 old, i;

	for (i = 0; i < 8; i++) {
		old = 5;
		asm volatile("lock xaddq %0, %1"
			     : "+r"(old), "+m"(cold[i * 512]) : : "memory");
		GUEST_ASSERT_EQ(old, 0);
		GUEST_ASSERT_EQ(cold[i * 512], 5);
	}
	/* over two cold pages at once, and PUSH onto one */
	*(volatile u64 *)(DATA_GPA + 0x30ffc) = 0x1122334455667788;
	GUEST_ASSERT_EQ(*(volatile u64 *)(DATA_GPA + 0x30ffc),
			0x1122334455667788);
	asm volatile("movq %%rsp, %%rbx\n"
		     "movq %1, %%rsp\n"
		     "pushq $0x77\n"
		     "movq %%rsp, %0\n"
		     "movq %%rbx, %%rsp\n"
		     : "=&r"(old) : "r"(DATA_GPA + 0x41000)
		     : "rbx", "memory");
	GUEST_ASSERT_EQ(old, DATA_GPA + 0x41000 - 8);
	GUEST_ASSERT_EQ(*(volatile u64 *)old, 0x77);
}

TEST(ept_violation_retries)
{
	run_guest(guest_cold_memory);
}

/* A string instruction that faults half-way continues where it was. */
static void guest_cold_string(void)
{
	u8 *from = (u8 *)(DATA_GPA + 0x50000), *to = from + 0x8000;
	u64 si = (u64)from, di = (u64)to, cx = 5 * PAGE_SIZE;
	u64 i;

	for (i = 0; i < cx; i++)
		from[i] = i * 7;
	asm volatile("rep movsb" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	GUEST_ASSERT_EQ(cx, 0);
	GUEST_ASSERT_EQ(di, to + 5 * PAGE_SIZE);
	for (i = 0; i < 5 * PAGE_SIZE; i++)
		GUEST_ASSERT_EQ(to[i], (u8)(i * 7));
}

TEST(string_resumes)
{
	run_guest(guest_cold_string);
}

/* Page tables themselves are cold: the walk is what faults. */
static void guest_cold_tables(void)
{
	u64 *pml4 = (u64 *)PML4_GPA;
	u64 tables = DATA_GPA + 0x80000, i;

	/* a chain in pages that nobody has touched, and data in another */
	for (i = 0; i < 3; i++)
		*(volatile u64 *)(tables + i * PAGE_SIZE) =
			(tables + (i + 1) * PAGE_SIZE) | PTE_P | PTE_RW;
	pml4[1] = tables | PTE_P | PTE_RW;
	*(volatile u64 *)0x8000000000 = 0x1234;
	GUEST_ASSERT_EQ(*(volatile u64 *)(tables + 3 * PAGE_SIZE), 0x1234);
}

TEST(table_walk_retries)
{
	run_guest(guest_cold_tables);
}

/* ------------------------------------------------------------------------ */
/* Advance, by the right length                                              */

#define GUEST_LENGTH(insn, length)					\
	do {								\
		u64 bx_ = 0;						\
									\
		asm volatile("movl $0x40000000, %%eax\n"		\
			     "xorl %%ecx, %%ecx\n"			\
			     "movl $0x1234, %%edx\n"			\
			     "movl $0xd0000000, %%esi\n"		\
			     "771:" insn "\n772:\n"			\
			     ".if 772b - 771b - " #length "\n"		\
			     ".error \"not that long\"\n"		\
			     ".endif\n"					\
			     "movl $0x12345678, %%ebx\n"		\
			     : "+b"(bx_)				\
			     : : "rax", "rcx", "rdx", "rsi", "rdi",	\
			       "memory", "cc");				\
		GUEST_ASSERT_EQ(bx_, 0x12345678);			\
	} while (0)

/*
 * Each is followed by a five-byte MOV: a wrong length would execute its
 * middle, or the instruction's own tail, and not arrive here unharmed.
 */
static void guest_lengths(void)
{
	GUEST_LENGTH("cpuid", 2);
	GUEST_LENGTH(".byte 0x66, 0x0f, 0xa2", 3);
	GUEST_LENGTH(".byte 0x48, 0x0f, 0xa2", 3);
	GUEST_LENGTH(".byte 0x2e, 0x3e, 0x66, 0x67, 0x0f, 0xa2", 6);
	GUEST_LENGTH("outb %%al, %%dx", 1);
	GUEST_LENGTH("outw %%ax, %%dx", 2);
	GUEST_LENGTH(".byte 0x67, 0x66, 0x2e, 0x48, 0xef", 5);
	GUEST_LENGTH("inb %%dx, %%al", 1);
	GUEST_LENGTH(".byte 0x2e, 0x67, 0xed", 3);
	GUEST_LENGTH("movb %%al, (%%rsi)", 2);
	GUEST_LENGTH("movl $0x12345678, 0x12(%%rsi)", 7);
	GUEST_LENGTH("movl $0x12345678, 0x12(%%rsi,%%rcx,4)", 8);
	GUEST_LENGTH("movq 0x1234(%%rsi), %%rdi", 7);
	GUEST_LENGTH(".byte 0x2e, 0x3e, 0x48, 0x8b, 0x7e, 0x10", 6);
	GUEST_LENGTH("movabsb 0xd0000000, %%al", 9);
	GUEST_LENGTH(".byte 0x0f, 0x01, 0xf9", 3);		/* rdtscp */
	GUEST_LENGTH("movl $0xc0000082, %%ecx; rdmsr", 7);
	GUEST_LENGTH("movq %%cr0, %%rdi; movq %%rdi, %%cr0", 6);
	GUEST_LENGTH("movq %%cr4, %%rdi; movq %%rdi, %%cr4", 6);
	GUEST_LENGTH("wbinvd", 2);
	GUEST_LENGTH("invlpg (%%rsi)", 3);
	GUEST_LENGTH("pause", 2);
}

TEST(lengths)
{
	run_device_guest(guest_lengths);
}

/* RIP wraps at 64 KiB in real mode and at 4 GiB in 32-bit mode. */
guest_code16(at_the_top, "outb %al, $0x10; hlt");

TEST(rip_in_real_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	vcpu_setup_real(vcpu, &at_the_top);
	sregs = vcpu_sregs(vcpu);
	sregs.cs.base = 0x50000;
	vcpu_set_sregs(vcpu, &sregs);
	regs = vcpu_regs(vcpu);
	regs.rip = 0xfff0;
	vcpu_set_regs(vcpu, &regs);
	memcpy(vm_gpa(vcpu->vm, 0x5fff0), at_the_top.start, 3);
	ASSERT_OUT(vcpu, 0x10, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rip, 0xfff3);
}

TEST(rip_in_32_bit_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;
	char *page;

	/* the last bytes of 4 GiB: OUT ends exactly at the border */
	vcpu_setup_prot32(vcpu, &at_the_top);
	page = vm_gpa(vcpu->vm, DATA_GPA);
	memset(page, 0x90, PAGE_SIZE);
	memcpy(page + PAGE_SIZE - 2, at_the_top.start, 2);
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, 0xfffff000, PAGE_SIZE, page));
	regs = vcpu_regs(vcpu);
	regs.rip = 0xfffffff0;
	vcpu_set_regs(vcpu, &regs);
	*(u8 *)vm_gpa(vcpu->vm, 0) = 0xf4;	/* hlt at the wrapped RIP */
	ASSERT_OUT(vcpu, 0x10, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rip, 1);
}

/* ------------------------------------------------------------------------ */
/* The interrupt shadow ends with the emulated instruction                   */

static volatile u64 hits, hit_rip;

static void guest_count(struct guest_regs *regs)
{
	hits++;
	hit_rip = regs->rip;
	regs->rflags &= ~RFLAGS_IF;
}

#define GUEST_STI(insn)							\
	do {								\
		u64 after_;						\
									\
		asm volatile("lea 1f(%%rip), %0\n"			\
			     "movl $0x1234, %%edx\n"			\
			     "movl $0xd0000000, %%esi\n"		\
			     "xorl %%eax, %%eax\n"			\
			     "xorl %%ecx, %%ecx\n"			\
			     "sti\n" insn "\n1: nop; nop; cli"		\
			     : "=&r"(after_)				\
			     : : "rax", "rbx", "rcx", "rdx", "rsi",	\
			       "memory", "cc");				\
		GUEST_ASSERT_EQ(hits, 1);				\
		GUEST_ASSERT_EQ(hit_rip, after_);			\
		hits = 0;						\
	} while (0)

static void guest_sti_shadow(void)
{
	guest_handlers[VECTOR] = guest_count;
	guest_sync(1, 0);
	GUEST_STI("cpuid");
	guest_sync(2, 0);
	GUEST_STI("outb %%al, %%dx");
	guest_sync(3, 0);
	GUEST_STI("movl %%eax, (%%rsi)");
	guest_sync(4, 0);
	GUEST_STI("movl (%%rsi), %%eax");
}

/*
 * The client wants a window.  It opens right behind the emulated instruction:
 * not before it (the shadow), not any later (the shadow stuck).
 */
TEST(sti_shadow_ends)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_interrupt irq = { VECTOR };
	struct guest_call call;
	int reason, windows = 0;

	vcpu_setup_long(vcpu, guest_sti_shadow, 0);
	for (;;) {
		reason = run_device(vcpu);
		if (reason == MINIVMM_EXIT_IRQ_WINDOW_OPEN) {
			windows++;
			vcpu->run->request_interrupt_window = 0;
			ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
			continue;
		}
		switch (vcpu_guest_call(vcpu, reason, &call)) {
		case GUEST_SYNC:
			vcpu->run->request_interrupt_window = 1;
			continue;
		case GUEST_DONE:
			EXPECT_EQ(windows, 4);
			return;
		default:
			FAIL("exit %s", exit_name(reason));
		}
	}
}

#define SHADOW_INSN(name, insn)						\
	guest_code64(name,						\
		     "movl $0x1234, %edx\n"				\
		     "movl $0xd0000000, %esi\n"				\
		     "movl $0x90, %eax\n"				\
		     "movl %eax, %ss\n"					\
		     insn "\n"						\
		     "hlt")

SHADOW_INSN(mov_ss_out, "outb %al, %dx");
SHADOW_INSN(mov_ss_mmio, "movl %eax, (%rsi)");
SHADOW_INSN(mov_ss_in, "inl %dx, %eax");
SHADOW_INSN(mov_ss_hlt, "hlt");
SHADOW_INSN(mov_ss_cpuid, "cpuid");
SHADOW_INSN(mov_ss_rdmsr, "movl $0xc0000082, %ecx; movl $0x90, %eax;"
	    "movl %eax, %ss; rdmsr");

TEST(mov_ss_shadow_ends)
{
	const struct blob *blobs[] = {
		&mov_ss_out, &mov_ss_mmio, &mov_ss_in, &mov_ss_hlt,
		&mov_ss_cpuid, &mov_ss_rdmsr,
	};
	struct vcpu *vcpu;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(blobs); i++) {
		vcpu = vcpu_create(vm_create(), 0);
		vcpu_setup_blob64(vcpu, blobs[i]);
		ASSERT_EQ(run_device(vcpu), MINIVMM_EXIT_HLT);
		EXPECT_EQ(vcpu_events(vcpu).interrupt.shadow, 0);
		vm_free(vcpu->vm);
	}
}

/* ------------------------------------------------------------------------ */
/* TF: a #DB behind each instruction, emulated or not                        */

#define MAX_TRAPS	32

static volatile u64 traps, trap_rip[MAX_TRAPS], trap_dr6;

static void guest_on_db(struct guest_regs *regs)
{
	u64 dr6;

	asm volatile("mov %%db6, %0" : "=r"(dr6));
	asm volatile("mov %0, %%db6" : : "r"(DR6_FIXED));
	trap_dr6 = dr6;
	if (traps < MAX_TRAPS)
		trap_rip[traps] = regs->rip;
	traps++;
}

/* Set TF; trap behind NOP and behind the instruction; clear TF. */
#define GUEST_STEP(insn)						\
	do {								\
		u64 before_, after_;					\
									\
		traps = 0;						\
		trap_dr6 = 0;						\
		asm volatile("lea 1f(%%rip), %0\n"			\
			     "lea 2f(%%rip), %1\n"			\
			     "movl $0x1234, %%edx\n"			\
			     "movl $0xd0000000, %%esi\n"		\
			     "xorl %%eax, %%eax\n"			\
			     "movl $0xc0000082, %%ecx\n"		\
			     "pushfq\n"					\
			     "orl $0x100, (%%rsp)\n"			\
			     "popfq\n"					\
			     "nop\n"					\
			     "1: " insn "\n"				\
			     "2: pushfq\n"				\
			     "andl $~0x100, (%%rsp)\n"			\
			     "popfq\n"					\
			     : "=&r"(before_), "=&r"(after_)		\
			     : : "rax", "rbx", "rcx", "rdx", "rsi",	\
			       "memory", "cc");				\
		/* NOP, the instruction, PUSHF, AND, POPF */		\
		GUEST_ASSERT_EQ(traps, 5);				\
		GUEST_ASSERT_EQ(trap_rip[0], before_);			\
		GUEST_ASSERT_EQ(trap_rip[1], after_);			\
		GUEST_ASSERT(trap_dr6 & DR6_BS);			\
	} while (0)

static void guest_single_step(u64 minivmm)
{
	guest_handlers[DB_VECTOR] = guest_on_db;
	GUEST_STEP("nop");
	GUEST_STEP("cpuid");
	GUEST_STEP("outb %%al, %%dx");
	GUEST_STEP("inl %%dx, %%eax");
	GUEST_STEP("rdmsr");
	/* KVM forgets the trap when the write goes to user space. */
	if (minivmm)
		GUEST_STEP("movl %%eax, (%%rsi)");
	GUEST_STEP("movl (%%rsi), %%eax");
	GUEST_STEP("wbinvd");
	GUEST_STEP("movl $0, 0x305000");	/* an EPT violation: one trap */
}

TEST(single_step)
{
	run_device_guest(guest_single_step);
}

/* The trap of a MOV SS waits, and is one with that of the next instruction. */
#define GUEST_STEP_MOV_SS(insn)						\
	do {								\
		u64 after_;						\
									\
		traps = 0;						\
		asm volatile("lea 1f(%%rip), %0\n"			\
			     "movl $0x1234, %%edx\n"			\
			     "movl $0xd0000000, %%esi\n"		\
			     "xorl %%eax, %%eax\n"			\
			     "movl $0xc0000082, %%ecx\n"		\
			     "movl %%ss, %%ebx\n"			\
			     "pushfq\n"					\
			     "orl $0x100, (%%rsp)\n"			\
			     "popfq\n"					\
			     "movl %%ebx, %%ss\n"			\
			     insn "\n"					\
			     "1: pushfq\n"				\
			     "andl $~0x100, (%%rsp)\n"			\
			     "popfq\n"					\
			     : "=&r"(after_)				\
			     : : "rax", "rbx", "rcx", "rdx", "rsi",	\
			       "memory", "cc");				\
		/* the instruction, PUSHF, AND, POPF */			\
		GUEST_ASSERT_EQ(trap_rip[0], after_);			\
		GUEST_ASSERT_EQ(traps, 4);				\
	} while (0)

static void guest_single_step_mov_ss(void)
{
	guest_handlers[DB_VECTOR] = guest_on_db;
	GUEST_STEP_MOV_SS("nop");
	GUEST_STEP_MOV_SS("cpuid");
	GUEST_STEP_MOV_SS("rdmsr");
	GUEST_STEP_MOV_SS("outb %%al, %%dx");
	GUEST_STEP_MOV_SS("inl %%dx, %%eax");
	GUEST_STEP_MOV_SS("movl (%%rsi), %%eax");
}

TEST(single_step_mov_ss)
{
	run_device_guest(guest_single_step_mov_ss);
}

/* Each iteration of a repeated string is an instruction of its own. */
static void guest_step_string(u64 minivmm)
{
	u64 i;

	guest_handlers[DB_VECTOR] = guest_on_db;
	traps = 0;
	asm volatile("pushfq\n"
		     "orl $0x100, (%%rsp)\n"
		     "movl $3, %%ecx\n"
		     "movl $0x1234, %%edx\n"
		     "movq %0, %%rsi\n"
		     "popfq\n"
		     "rep outsb\n"
		     "pushfq\n"
		     "andl $~0x100, (%%rsp)\n"
		     "popfq\n"
		     : : "r"(DATA_GPA) : "rcx", "rdx", "rsi", "memory", "cc");
	for (i = 1; minivmm && i < 3; i++)
		GUEST_ASSERT_EQ(trap_rip[i - 1], trap_rip[0]);
	/* SDM volume 3, 18.3.1.4: KVM traps once, at the end */
	GUEST_ASSERT_EQ(traps, minivmm ? 6 : 4);
}

TEST(single_step_string)
{
	run_device_guest(guest_step_string);
}

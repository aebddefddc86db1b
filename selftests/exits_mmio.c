// SPDX-License-Identifier: GPL-2.0
/* Accesses to guest-physical addresses without a slot: forms and sizes. */
#include "guest.h"

#define DEVICE_SIZE	8192
#define MAX_ACCESSES	64

/* The device: plain memory that remembers how it was accessed */
static struct access {
	u64 address;
	u32 len;
	bool write;
} accesses[MAX_ACCESSES];
static int nr_accesses;
static u8 memory[DEVICE_SIZE];

static void device_access(struct minivmm_run *run)
{
	u64 offset = run->mmio.phys_addr - MMIO_GPA;

	ASSERT_GE(8, run->mmio.len);
	ASSERT_GE(DEVICE_SIZE, offset + run->mmio.len);
	if (run->mmio.is_write)
		memcpy(memory + offset, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, memory + offset, run->mmio.len);
	if (nr_accesses < MAX_ACCESSES)
		accesses[nr_accesses] = (struct access) {
			offset, run->mmio.len, run->mmio.is_write
		};
	nr_accesses++;
}

static int run_device(struct vcpu *vcpu)
{
	int reason;

	nr_accesses = 0;
	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason != MINIVMM_EXIT_MMIO)
			return reason;
		device_access(vcpu->run);
	}
}

static void reset_memory(void)
{
	int i;

	for (i = 0; i < DEVICE_SIZE; i++)
		memory[i] = i;
}

static void run_device_guest(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int reason;

	reset_memory();
	vcpu_setup_long(vcpu, fn, 0);
	reason = run_device(vcpu);
	if (vcpu_guest_call(vcpu, reason, NULL) != GUEST_DONE) {
		vcpu_describe_exit(vcpu, reason);
		FAIL("exit %s", exit_name(reason));
	}
	vm_free(vcpu->vm);
}

static void expect_access(int i, bool write, u64 offset, u32 len)
{
	ASSERT(i < nr_accesses);
	EXPECT_EQ(accesses[i].write, write);
	EXPECT_EQ(accesses[i].address, offset);
	EXPECT_EQ(accesses[i].len, len);
}

/* ------------------------------------------------------------------------ */

#define MMIO	((volatile u8 *)MMIO_GPA)

/* rAX before and after one instruction that has rSI = MMIO + offset */
#define GUEST_OP(insn, offset, rax, expected)				\
	do {								\
		u64 ax = (rax);						\
									\
		asm volatile(insn : "+a"(ax)				\
			     : "S"(MMIO + (offset)), "c"(0UL)		\
			     : "memory", "cc", "rbx", "rdx");		\
		GUEST_ASSERT_EQ(ax, expected);				\
	} while (0)

static void guest_reads(void)
{
	GUEST_OP("movb (%%rsi), %%al", 0x10, -1UL, 0xffffffffffffff10);
	GUEST_OP("movb (%%rsi), %%ah", 0x10, -1UL, 0xffffffffffff10ff);
	GUEST_OP("movw (%%rsi), %%ax", 0x10, -1UL, 0xffffffffffff1110);
	GUEST_OP("movl (%%rsi), %%eax", 0x10, -1UL, 0x13121110);
	GUEST_OP("movq (%%rsi), %%rax", 0x10, -1UL, 0x1716151413121110);
	GUEST_OP("movq 3(%%rsi), %%rax", 0x10, -1UL, 0x1a19181716151413);
	GUEST_OP("movl 0x10(%%rsi,%%rcx,8), %%eax", 0x10, -1UL, 0x23222120);
	GUEST_OP("movl 0x10(%%esi), %%eax", 0x10, -1UL, 0x23222120);
	GUEST_OP("movzbl (%%rsi), %%eax", 0x90, -1UL, 0x90);
	GUEST_OP("movzwl (%%rsi), %%eax", 0x90, -1UL, 0x9190);
	GUEST_OP("movsbl (%%rsi), %%eax", 0x90, 0, 0xffffff90);
	GUEST_OP("movsbq (%%rsi), %%rax", 0x90, 0, 0xffffffffffffff90);
	GUEST_OP("movswq (%%rsi), %%rax", 0x90, 0, 0xffffffffffff9190);
	GUEST_OP("movslq (%%rsi), %%rax", 0x90, 0, 0xffffffff93929190);
	GUEST_OP("movabsl 0xd0000010, %%eax", 0, 0, 0x13121110);
	GUEST_OP("movabsb 0xd0000010, %%al", 0, 0, 0x10);
}

TEST(reads)
{
	run_device_guest(guest_reads);
	ASSERT_EQ(nr_accesses, 16);
	expect_access(0, false, 0x10, 1);
	expect_access(2, false, 0x10, 2);
	expect_access(3, false, 0x10, 4);
	expect_access(4, false, 0x10, 8);
	expect_access(5, false, 0x13, 8);
	expect_access(8, false, 0x90, 1);
	expect_access(9, false, 0x90, 2);
	expect_access(13, false, 0x90, 4);
}

static void guest_writes(void)
{
	const u64 value = 0x8877665544332211;

	GUEST_OP("movb %%al, (%%rsi)", 0x00, value, value);
	GUEST_OP("movb %%ah, (%%rsi)", 0x08, value, value);
	GUEST_OP("movw %%ax, (%%rsi)", 0x10, value, value);
	GUEST_OP("movl %%eax, (%%rsi)", 0x18, value, value);
	GUEST_OP("movq %%rax, (%%rsi)", 0x20, value, value);
	GUEST_OP("movb $0x81, (%%rsi)", 0x28, value, value);
	GUEST_OP("movw $0x8283, (%%rsi)", 0x30, value, value);
	GUEST_OP("movl $0x84858687, (%%rsi)", 0x38, value, value);
	GUEST_OP("movq $-2, (%%rsi)", 0x40, value, value);
	GUEST_OP("movabsl %%eax, 0xd0000048", 0, value, value);
}

TEST(writes)
{
	static const struct {
		u32 offset, len;
		u64 value;
	} expected[] = {
		{ 0x00, 1, 0x11 }, { 0x08, 1, 0x22 }, { 0x10, 2, 0x2211 },
		{ 0x18, 4, 0x44332211 }, { 0x20, 8, 0x8877665544332211 },
		{ 0x28, 1, 0x81 }, { 0x30, 2, 0x8283 },
		{ 0x38, 4, 0x84858687 }, { 0x40, 8, -2UL },
		{ 0x48, 4, 0x44332211 },
	};
	unsigned int i;

	run_device_guest(guest_writes);
	ASSERT_EQ(nr_accesses, ARRAY_SIZE(expected));
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		expect_access(i, true, expected[i].offset, expected[i].len);
		EXPECT(!memcmp(memory + expected[i].offset, &expected[i].value,
			       expected[i].len));
	}
}

/* Read, modify, write: two accesses each, flags as the instruction says */
static void guest_modifies(void)
{
	GUEST_OP("addl %%eax, (%%rsi); movl (%%rsi), %%eax", 0x00, 1,
		 0x03020101);
	GUEST_OP("orb $0x80, (%%rsi); movzbl (%%rsi), %%eax", 0x08, 0, 0x88);
	GUEST_OP("andw $0xff, (%%rsi); movzwl (%%rsi), %%eax", 0x10, 0, 0x10);
	GUEST_OP("xorq %%rax, (%%rsi); movq (%%rsi), %%rax", 0x18,
		 0x1f1e1d1c1b1a1918, 0);
	GUEST_OP("subl $0x20, (%%rsi); movl (%%rsi), %%eax", 0x20, 0,
		 0x23222100);
	GUEST_OP("incb (%%rsi); movzbl (%%rsi), %%eax", 0x28, 0, 0x29);
	GUEST_OP("decl (%%rsi); movl (%%rsi), %%eax", 0x30, 0, 0x3332312f);
	GUEST_OP("notb (%%rsi); movzbl (%%rsi), %%eax", 0x38, 0, 0xc7);
	GUEST_OP("negb (%%rsi); movzbl (%%rsi), %%eax", 0x40, 0, 0xc0);
	GUEST_OP("xchgl %%eax, (%%rsi)", 0x48, 0x12345678, 0x4b4a4948);
	GUEST_OP("lock; addl $1, (%%rsi); movl (%%rsi), %%eax", 0x50, 0,
		 0x53525151);
	GUEST_OP("xaddl %%eax, (%%rsi)", 0x58, 1, 0x5b5a5958);
	GUEST_OP("btsl $31, (%%rsi); movl (%%rsi), %%eax", 0x60, 0,
		 0xe3626160);
	GUEST_OP("btrl $0, (%%rsi); movl (%%rsi), %%eax", 0x61, 0, 0x64e36260);
}

TEST(read_modify_write)
{
	run_device_guest(guest_modifies);
	expect_access(0, false, 0x00, 4);
	expect_access(1, true, 0x00, 4);
	expect_access(2, false, 0x00, 4);
}

#define GUEST_FLAGS(insn, offset, rax, mask, expected)			\
	GUEST_OP(insn "; pushfq; popq %%rax; andl $" #mask ", %%eax",	\
		 offset, rax, expected)

/* SDM volume 1, 3.4.3.1: CF 0x1, PF 0x4, AF 0x10, ZF 0x40, SF 0x80, OF 0x800 */
static void guest_compares(void)
{
	GUEST_FLAGS("cmpl %%eax, (%%rsi)", 0x10, 0x13121110, 0x8d5, 0x44);
	GUEST_FLAGS("cmpb %%al, (%%rsi)", 0x10, 0x11, 0x8d5, 0x95);
	GUEST_FLAGS("cmpl (%%rsi), %%eax", 0x10, 0, 0x8d5, 0x85);
	GUEST_FLAGS("cmpb $0x10, (%%rsi)", 0x10, 0, 0x8d5, 0x44);
	/* AF is undefined after TEST and the bit instructions' flags but CF */
	GUEST_FLAGS("testb $0x80, (%%rsi)", 0x80, 0, 0x8c5, 0x80);
	GUEST_FLAGS("testl %%eax, (%%rsi)", 0x80, 0, 0x8c5, 0x44);
	GUEST_FLAGS("addb $0x70, (%%rsi)", 0x18, 0, 0x8d5, 0x884);
	GUEST_FLAGS("subb $1, (%%rsi)", 0x00, 0, 0x8d5, 0x95);
	GUEST_FLAGS("btl $4, (%%rsi)", 0x10, 0, 0x1, 1);
	GUEST_FLAGS("stc; adcb $0, (%%rsi); cmpb $0x22, (%%rsi)", 0x21, 0,
		    0x8d5, 0x44);
	GUEST_FLAGS("stc; sbbb $0, (%%rsi); cmpb $0x28, (%%rsi)", 0x29, 0,
		    0x8d5, 0x44);
	/* arithmetic with a register as destination */
	GUEST_OP("addl (%%rsi), %%eax", 0x10, 1, 0x13121111);
	GUEST_OP("andl (%%rsi), %%eax", 0x10, 0xff, 0x10);
	GUEST_OP("xorq (%%rsi), %%rax", 0x10, 0x1716151413121110, 0);
	/* CMPXCHG, equal and not */
	GUEST_OP("movl $0x77, %%edx; cmpxchgl %%edx, (%%rsi);"
		 "movl (%%rsi), %%eax", 0x40, 0x43424140, 0x77);
	GUEST_OP("movl $0x77, %%edx; cmpxchgl %%edx, (%%rsi)", 0x50, 0,
		 0x53525150);
}

TEST(flags)
{
	run_device_guest(guest_compares);
}

/* ------------------------------------------------------------------------ */
/* String instructions                                                       */

static u8 * const ram = (u8 *)DATA_GPA;

#define GUEST_STRING(insn, from, to, count, ax, from_end, to_end)	\
	do {								\
		u64 si = (u64)(from), di = (u64)(to), cx = (count);	\
									\
		asm volatile(insn : "+S"(si), "+D"(di), "+c"(cx)	\
			     : "a"(ax) : "memory", "cc");		\
		GUEST_ASSERT_EQ(si, (u64)(from_end));			\
		GUEST_ASSERT_EQ(di, (u64)(to_end));			\
		GUEST_ASSERT_EQ(cx, 0);					\
	} while (0)

static void guest_strings(void)
{
	int i;

	GUEST_STRING("rep movsb", MMIO, ram, 5, 0, MMIO + 5, ram + 5);
	GUEST_STRING("rep movsl", MMIO + 8, ram + 8, 2, 0, MMIO + 16, ram + 16);
	for (i = 0; i < 16; i++)
		if (i < 5 || i >= 8)
			GUEST_ASSERT_EQ(ram[i], i);
	for (i = 0; i < 16; i++)
		ram[i] = 0xa0 + i;
	GUEST_STRING("rep movsw", ram, MMIO + 0x20, 4, 0, ram + 8, MMIO + 0x28);
	GUEST_STRING("rep movsq", ram, MMIO + 0x30, 2, 0, ram + 16,
		     MMIO + 0x40);
	GUEST_STRING("rep stosl", 0, MMIO + 0x40, 3, 0x55aa55aa, 0,
		     MMIO + 0x4c);
	GUEST_STRING("std; rep stosb; cld", 0, MMIO + 0x53, 4, 0x99, 0,
		     MMIO + 0x4f);
	GUEST_STRING("rep stosb", 0, MMIO + 0x50, 0, 0x11, 0, MMIO + 0x50);
}

TEST(strings)
{
	int i;

	run_device_guest(guest_strings);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(memory[0x20 + i], 0xa0 + i);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(memory[0x30 + i], 0xa0 + i);
	for (i = 0; i < 12; i++)
		EXPECT_EQ(memory[0x40 + i], i % 2 ? 0x55 : 0xaa);
	EXPECT_EQ(memory[0x4f], 0x4f);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(memory[0x50 + i], 0x99);
	EXPECT_EQ(memory[0x54], 0x54);
}

static void guest_long_string(void)
{
	int i;

	GUEST_STRING("rep movsb", MMIO + 4000, ram, 300, 0, MMIO + 4300,
		     ram + 300);
	for (i = 0; i < 300; i++)
		GUEST_ASSERT_EQ(ram[i], (u8)(4000 + i));
}

TEST(string_over_pages)
{
	run_device_guest(guest_long_string);
}

/* ------------------------------------------------------------------------ */
/* Borders                                                                   */

static void guest_over_device_pages(void)
{
	GUEST_OP("movq (%%rsi), %%rax", 0xffd, 0, 0x0403020100fffefd);
	GUEST_OP("movl %%eax, (%%rsi)", 0xffe, 0x44332211, 0x44332211);
}

/* An access over a page border is one per page: each may be another device. */
TEST(over_pages)
{
	run_device_guest(guest_over_device_pages);
	ASSERT_EQ(nr_accesses, 4);
	expect_access(0, false, 0xffd, 3);
	expect_access(1, false, 0x1000, 5);
	expect_access(2, true, 0xffe, 2);
	expect_access(3, true, 0x1000, 2);
	EXPECT_EQ(memory[0xffe], 0x11);
	EXPECT_EQ(memory[0xfff], 0x22);
	EXPECT_EQ(memory[0x1000], 0x33);
	EXPECT_EQ(memory[0x1001], 0x44);
}

guest_code64(ram_border,
	     "movl $0x00fffffe, %esi\n"
	     "movl $0x44332211, (%rsi)\n"
	     "movl (%rsi), %eax\n"
	     "hlt");

/* Half of the access is memory, half is not. */
TEST(over_the_end_of_memory)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u8 *end = vm_gpa(vcpu->vm, VM_MEM_SIZE - 2);

	vcpu_setup_blob64(vcpu, &ram_border);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(vcpu->run->mmio.is_write, 1);
	EXPECT_EQ(vcpu->run->mmio.phys_addr, VM_MEM_SIZE);
	EXPECT_EQ(vcpu->run->mmio.len, 2);
	EXPECT_EQ(vcpu->run->mmio.data[0], 0x33);
	EXPECT_EQ(vcpu->run->mmio.data[1], 0x44);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	EXPECT_EQ(end[0], 0x11);
	EXPECT_EQ(end[1], 0x22);
	EXPECT_EQ(vcpu->run->mmio.is_write, 0);
	vcpu->run->mmio.data[0] = 0xaa;
	vcpu->run->mmio.data[1] = 0xbb;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0xbbaa2211);
}

/* ------------------------------------------------------------------------ */
/* Other modes                                                               */

guest_code16(real_mode,
	     "movw $0x1234, 0x10\n"
	     "movb 0x20, %bl\n"
	     "movl 0x20, %ecx\n"
	     "movw $0x30, %bp\n"
	     "movw %ds:(%bp), %dx\n"
	     "hlt");

TEST(real_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	reset_memory();
	vcpu_setup_real(vcpu, &real_mode);
	sregs = vcpu_sregs(vcpu);
	sregs.ds.base = MMIO_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EQ(run_device(vcpu), MINIVMM_EXIT_HLT);
	ASSERT_EQ(nr_accesses, 4);
	expect_access(0, true, 0x10, 2);
	expect_access(1, false, 0x20, 1);
	expect_access(2, false, 0x20, 4);
	expect_access(3, false, 0x30, 2);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rbx & 0xff, 0x20);
	EXPECT_EQ(regs.rcx, 0x23222120);
	EXPECT_EQ(regs.rdx & 0xffff, 0x3130);
	EXPECT_EQ(memory[0x10], 0x34);
}

guest_code32(paging32,
	     "movl %eax, 0xd0000010\n"
	     "movl 0xd0000020, %eax\n"
	     "movb %ah, 0x30(%ebx)\n"
	     "hlt");

TEST(paging32)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;

	reset_memory();
	vcpu_setup_paging32(vcpu, &paging32);
	regs = vcpu_regs(vcpu);
	regs.rax = 0x99887766;
	regs.rbx = MMIO_GPA;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EQ(run_device(vcpu), MINIVMM_EXIT_HLT);
	ASSERT_EQ(nr_accesses, 3);
	expect_access(0, true, 0x10, 4);
	expect_access(1, false, 0x20, 4);
	expect_access(2, true, 0x30, 1);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0x23222120);
	EXPECT_EQ(memory[0x30], 0x21);
}

/* ------------------------------------------------------------------------ */
/* What the decoder does not claim                                           */

guest_code64(unclaimed,
	     "movl $0xd0000000, %esi\n"
	     "fldt (%rsi)\n"
	     "hlt");

TEST(unclaimed_instruction)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_run *run = vcpu->run;

	vcpu_setup_blob64(vcpu, &unclaimed);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(run->internal.suberror, MINIVMM_INTERNAL_ERROR_EMULATION);
	EXPECT_GE(run->internal.ndata, 3);
	EXPECT(run->emulation_failure.flags &
	       MINIVMM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	EXPECT_GE(run->emulation_failure.insn_size, 2);
	EXPECT_EQ(run->emulation_failure.insn_bytes[0], 0xdb);
	EXPECT_EQ(run->emulation_failure.insn_bytes[1], 0x2e);
	/* nothing of it has happened */
	EXPECT_EQ(vcpu_regs(vcpu).rip, BLOB_GPA + 5);
}

static void guest_unclaimed(void)
{
	GUEST_ASSERT_EQ(guest_try("fldt (%%rdi)", "D"(MMIO_GPA)), UD_VECTOR);
}

/* The guest's kernel: the client decides; if that goes on, so does the guest. */
TEST(unclaimed_instruction_then_ud)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_unclaimed, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	ASSERT_DONE(vcpu);
}

static u64 user_unclaimed(u64 address)
{
	return guest_try("fldt (%%rdi)", "D"(address));
}

static void guest_unclaimed_in_ring3(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_unclaimed, MMIO_GPA), UD_VECTOR);
}

/* A process of the guest cannot stop it. */
TEST(unclaimed_instruction_in_ring3)
{
	run_guest(guest_unclaimed_in_ring3);
}

guest_code64(fetch,
	     "movl $0xd0000000, %eax\n"
	     "jmp *%rax\n"
	     "hlt");

/* Code cannot be fetched from a device. */
TEST(fetch_from_device)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &fetch);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(vcpu->run->internal.suberror,
		  MINIVMM_INTERNAL_ERROR_EMULATION);
	EXPECT_EQ(vcpu_regs(vcpu).rip, MMIO_GPA);
}

// SPDX-License-Identifier: GPL-2.0
/* IN, OUT, INS and OUTS: sizes, REP, direction, page borders, faults. */
#include "guest.h"

#define PORT		0x1234
#define BUFFER_SIZE	8192

/* The device behind PORT: logs what it gets, gives 0, 1, 2 ... */
struct device {
	u8 out[BUFFER_SIZE];
	u32 outs;		/* bytes in out[] */
	u32 ins;		/* bytes given */
	u32 size;		/* the last exit's */
};

static void device_io(struct vcpu *vcpu, struct device *dev)
{
	struct minivmm_run *run = vcpu->run;
	u64 bytes = (u64)run->io.size * run->io.count;
	u8 *data = vcpu_io_data(vcpu);
	u64 i;

	ASSERT(run->io.count > 0);
	ASSERT_GE(run->io.data_offset, PAGE_SIZE);
	ASSERT_GE(vcpu->run_size, run->io.data_offset + bytes);
	dev->size = run->io.size;
	if (run->io.direction == MINIVMM_EXIT_IO_OUT) {
		ASSERT_GE(BUFFER_SIZE, dev->outs + bytes);
		memcpy(dev->out + dev->outs, data, bytes);
		dev->outs += bytes;
	} else {
		ASSERT_EQ(run->io.direction, MINIVMM_EXIT_IO_IN);
		for (i = 0; i < bytes; i++)
			data[i] = dev->ins++;
	}
}

/* Run, playing the device, until something else exits. */
static int run_device(struct vcpu *vcpu, struct device *dev)
{
	int reason;

	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason != MINIVMM_EXIT_IO || vcpu->run->io.port != PORT)
			return reason;
		device_io(vcpu, dev);
	}
}

static void run_device_guest(struct device *dev, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int reason;

	memset(dev, 0, sizeof(*dev));
	vcpu_setup_long(vcpu, fn, dev_is_minivmm());
	reason = run_device(vcpu, dev);
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
	vm_free(vcpu->vm);
}

static struct device device;

/* ------------------------------------------------------------------------ */

guest_code64(out_sizes,
	     "movabs $0x1122334455667788, %rax\n"
	     "outb %al, $0x42\n"
	     "outw %ax, $0x42\n"
	     "outl %eax, $0xff\n"
	     "movl $0xfffd1234, %edx\n"	/* only DX counts */
	     "outb %al, %dx\n"
	     "outw %ax, %dx\n"
	     "outl %eax, %dx\n"
	     "rex.w outl %eax, %dx\n"
	     "hlt");

static void expect_out(struct vcpu *vcpu, u16 port, u8 size, u32 value)
{
	ASSERT_OUT(vcpu, port, value);
	EXPECT_EQ(vcpu->run->io.size, size);
	EXPECT_EQ(vcpu->run->io.count, 1);
}

TEST(out_sizes)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &out_sizes);
	expect_out(vcpu, 0x42, 1, 0x88);
	expect_out(vcpu, 0x42, 2, 0x7788);
	expect_out(vcpu, 0xff, 4, 0x55667788);
	expect_out(vcpu, 0x1234, 1, 0x88);
	expect_out(vcpu, 0x1234, 2, 0x7788);
	expect_out(vcpu, 0x1234, 4, 0x55667788);
	expect_out(vcpu, 0x1234, 4, 0x55667788);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0x1122334455667788);
}

/* SDM volume 1, 3.4.1.1: 8 and 16 bits keep the rest, 32 bits clear it. */
guest_code64(in_sizes,
	     "movabs $0x1122334455667788, %rax\n"
	     "inb $0x42, %al; movq %rax, %rbx\n"
	     "movabs $0x1122334455667788, %rax\n"
	     "inw $0x42, %ax; movq %rax, %rcx\n"
	     "movabs $0x1122334455667788, %rax\n"
	     "inl $0x42, %eax; movq %rax, %rsi\n"
	     "hlt");

TEST(in_sizes)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;
	int size;

	vcpu_setup_blob64(vcpu, &in_sizes);
	for (size = 1; size <= 4; size *= 2) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
		ASSERT_EQ(vcpu->run->io.direction, MINIVMM_EXIT_IO_IN);
		EXPECT_EQ(vcpu->run->io.size, size);
		EXPECT_EQ(vcpu->run->io.count, 1);
		/* bytes beyond the size must be ignored */
		memset(vcpu_io_data(vcpu), 0xab, 8);
	}
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rbx, 0x11223344556677ab);
	EXPECT_EQ(regs.rcx, 0x112233445566abab);
	EXPECT_EQ(regs.rsi, 0xabababab);
}

/* ------------------------------------------------------------------------ */
/* Strings.  The buffer is DATA_GPA's first pages.                           */

static u8 * const buffer = (u8 *)DATA_GPA;

static void fill_buffer(void)
{
	int i;

	for (i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = i * 3;
}

/* One string instruction; rSI, rDI and rCX end where they must. */
#define GUEST_OUTS(insn, from, count, expect_si, expect_cx)		\
	do {								\
		u64 si = (u64)(from), cx = (count);			\
									\
		asm volatile(insn : "+S"(si), "+c"(cx)			\
			     : "d"(PORT) : "memory");			\
		GUEST_ASSERT_EQ(si, (u64)(expect_si));			\
		GUEST_ASSERT_EQ(cx, expect_cx);				\
	} while (0)

#define GUEST_INS(insn, to, count, expect_di, expect_cx)		\
	do {								\
		u64 di = (u64)(to), cx = (count);			\
									\
		asm volatile(insn : "+D"(di), "+c"(cx)			\
			     : "d"(PORT) : "memory");			\
		GUEST_ASSERT_EQ(di, (u64)(expect_di));			\
		GUEST_ASSERT_EQ(cx, expect_cx);				\
	} while (0)

static void guest_outs(void)
{
	fill_buffer();
	GUEST_OUTS("outsb", buffer, 7, buffer + 1, 7);
	GUEST_OUTS("outsw", buffer, 7, buffer + 2, 7);
	GUEST_OUTS("outsl", buffer, 7, buffer + 4, 7);
	GUEST_OUTS("rep outsb", buffer, 5, buffer + 5, 0);
	GUEST_OUTS("rep outsw", buffer, 5, buffer + 10, 0);
	GUEST_OUTS("rep outsl", buffer, 5, buffer + 20, 0);
	GUEST_OUTS("rep outsl", buffer, 0, buffer, 0);
	GUEST_OUTS("addr32 rep outsb", buffer, 3, buffer + 3, 0);
	GUEST_OUTS("std; rep outsw; cld", buffer + 6, 3, buffer, 0);
}

TEST(outs)
{
	static const u8 expected[] = {
		0,  0, 3,  0, 3, 6, 9,
		0, 3, 6, 9, 12,
		0, 3, 6, 9, 12, 15, 18, 21, 24, 27,
		0, 3, 6, 9, 12, 15, 18, 21, 24, 27,
		30, 33, 36, 39, 42, 45, 48, 51, 54, 57,
		0, 3, 6,
		18, 21, 12, 15, 6, 9,
	};

	run_device_guest(&device, guest_outs);
	ASSERT_EQ(device.outs, sizeof(expected));
	EXPECT(!memcmp(device.out, expected, sizeof(expected)));
}

static void guest_ins(void)
{
	int i;

	GUEST_INS("insb", buffer, 7, buffer + 1, 7);
	GUEST_INS("insw", buffer + 1, 7, buffer + 3, 7);
	GUEST_INS("insl", buffer + 3, 7, buffer + 7, 7);
	GUEST_INS("rep insb", buffer + 7, 3, buffer + 10, 0);
	GUEST_INS("rep insw", buffer + 10, 3, buffer + 16, 0);
	GUEST_INS("rep insl", buffer + 16, 3, buffer + 28, 0);
	GUEST_INS("rep insl", buffer, 0, buffer, 0);
	GUEST_INS("addr32 rep insb", buffer + 28, 2, buffer + 30, 0);
	for (i = 0; i < 30; i++)
		GUEST_ASSERT_EQ(buffer[i], i);
	GUEST_ASSERT_EQ(buffer[30], 0);
	GUEST_INS("std; rep insb; cld", buffer + 3, 4, buffer - 1, 0);
	for (i = 0; i < 4; i++)
		GUEST_ASSERT_EQ(buffer[i], 33 - i);
}

TEST(ins)
{
	run_device_guest(&device, guest_ins);
	EXPECT_EQ(device.ins, 34);
}

/* A count of 0 accesses nothing, so no address is wrong. */
static void guest_rep_of_nothing(void)
{
	GUEST_ASSERT_EQ(guest_try("rep insb", "c"(0), "d"(PORT),
				  "D"(NONCANONICAL)), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(guest_try("rep outsb", "c"(0), "d"(PORT),
				  "S"(NONCANONICAL)), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(guest_try("rep insb", "c"(1), "d"(PORT),
				  "D"(NONCANONICAL)), GP_VECTOR);
}

TEST(rep_of_nothing)
{
	run_device_guest(&device, guest_rep_of_nothing);
	EXPECT_EQ(device.outs, 0);
}

/* More than a page at once, and items that straddle the border */
static void guest_long_strings(void)
{
	int i;

	fill_buffer();
	GUEST_OUTS("rep outsl", buffer + 1, 1500, buffer + 6001, 0);
	GUEST_INS("rep insl", buffer + 1, 1500, buffer + 6001, 0);
	GUEST_ASSERT_EQ(buffer[0], 0);
	for (i = 0; i < 6000; i++)
		GUEST_ASSERT_EQ(buffer[i + 1], i & 0xff);
	GUEST_ASSERT_EQ(buffer[6001], (u8)(6001 * 3));
}

TEST(long_strings)
{
	int i;

	run_device_guest(&device, guest_long_strings);
	ASSERT_EQ(device.outs, 6000);
	EXPECT_EQ(device.ins, 6000);
	for (i = 0; i < 6000; i++)
		if (device.out[i] != (u8)((i + 1) * 3))
			FAIL("byte %d is 0x%x", i, device.out[i]);
}

/* Backwards over the border of two pages */
static void guest_backwards(void)
{
	int i;

	fill_buffer();
	GUEST_OUTS("std; rep outsb; cld", buffer + 4100, 10, buffer + 4090, 0);
	GUEST_INS("std; rep insw; cld", buffer + 4100, 10, buffer + 4080, 0);
	for (i = 0; i < 10; i++)
		GUEST_ASSERT_EQ(*(u16 *)(buffer + 4100 - 2 * i),
				2 * i | (2 * i + 1) << 8);
}

TEST(backwards_over_pages)
{
	int i;

	run_device_guest(&device, guest_backwards);
	ASSERT_EQ(device.outs, 10);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(device.out[i], (u8)((4100 - i) * 3));
}

/* ------------------------------------------------------------------------ */
/* A page that is not there: fault, repair, and no item lost or doubled.     */

static u64 faults, fault_error, fault_address;

static void guest_map_page(struct guest_regs *regs)
{
	faults++;
	fault_error = regs->error;
	fault_address = read_cr2();
	*guest_pte(fault_address) |= PTE_P | PTE_RW;
	invlpg(fault_address);
}

static void guest_unmap_page(u8 *address, u64 bits)
{
	*guest_pte((u64)address) &= ~bits;
	invlpg((u64)address);
}

static void guest_outs_fault(void)
{
	guest_handlers[PF_VECTOR] = guest_map_page;
	fill_buffer();
	guest_unmap_page(buffer + 4096, PTE_P);
	GUEST_OUTS("rep outsb", buffer + 4000, 200, buffer + 4200, 0);
	GUEST_ASSERT_EQ(faults, 1);
	GUEST_ASSERT_EQ(fault_error, 0);
	GUEST_ASSERT_EQ(fault_address, buffer + 4096);
}

TEST(outs_page_fault)
{
	int i;

	run_device_guest(&device, guest_outs_fault);
	ASSERT_EQ(device.outs, 200);
	for (i = 0; i < 200; i++)
		EXPECT_EQ(device.out[i], (u8)((4000 + i) * 3));
}

static void guest_ins_fault(u64 exact)
{
	int i;

	guest_handlers[PF_VECTOR] = guest_map_page;
	guest_unmap_page(buffer + 4096, PTE_P);
	GUEST_INS("rep insb", buffer + 4000, 200, buffer + 4200, 0);
	GUEST_ASSERT_EQ(faults, 1);
	GUEST_ASSERT_EQ(fault_error, PF_W);
	GUEST_ASSERT_EQ(fault_address, buffer + 4096);
	/* KVM reads ahead and loses what it read when the fault comes. */
	for (i = 0; i < (exact ? 200 : 96); i++)
		GUEST_ASSERT_EQ(buffer[4000 + i], i);
}

TEST(ins_page_fault)
{
	run_device_guest(&device, guest_ins_fault);
	if (dev_is_minivmm())
		EXPECT_EQ(device.ins, 200);
}

static void guest_ins_read_only(void)
{
	guest_handlers[PF_VECTOR] = guest_map_page;
	guest_unmap_page(buffer, PTE_RW);
	GUEST_INS("insl", buffer + 8, 0, buffer + 12, 0);
	GUEST_ASSERT_EQ(faults, 1);
	GUEST_ASSERT_EQ(fault_error, PF_W | PF_P);
}

TEST(ins_read_only_page)
{
	run_device_guest(&device, guest_ins_read_only);
}

/* ------------------------------------------------------------------------ */
/* Segments                                                                  */

static void guest_outs_segment(void)
{
	fill_buffer();
	wrmsr(MSR_FS_BASE, DATA_GPA + 0x100);
	GUEST_OUTS("rep outsb %%fs:(%%rsi), %%dx", 0x10, 4, 0x14, 0);
}

TEST(outs_segment_override)
{
	int i;

	run_device_guest(&device, guest_outs_segment);
	ASSERT_EQ(device.outs, 4);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(device.out[i], (u8)((0x110 + i) * 3));
}

guest_code16(real_strings,
	     "cld\n"
	     "movw $0x1234, %dx\n"
	     "movw $0x10, %si\n"
	     "movl $0x70003, %ecx\n"	/* only CX counts */
	     "rep outsb\n"
	     "movw $0xfffe, %di\n"	/* and DI wraps */
	     "movl $4, %ecx\n"
	     "rep insb\n"
	     "hlt");

TEST(real_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u8 *mem = vm_gpa(vcpu->vm, 0);
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	vcpu_setup_real(vcpu, &real_strings);
	sregs = vcpu_sregs(vcpu);
	sregs.ds.base = DATA_GPA;
	sregs.es.base = 0x20000;
	vcpu_set_sregs(vcpu, &sregs);
	memcpy(mem + DATA_GPA + 0x10, "xyz", 3);
	memset(&device, 0, sizeof(device));
	ASSERT_EQ(run_device(vcpu, &device), MINIVMM_EXIT_HLT);
	ASSERT_EQ(device.outs, 3);
	EXPECT(!memcmp(device.out, "xyz", 3));
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rsi, 0x13);
	EXPECT_EQ(regs.rdi, 2);
	EXPECT_EQ(regs.rcx & 0xffff, 0);
	EXPECT_EQ(device.ins, 4);
	EXPECT_EQ(mem[0x2fffe], 0);
	EXPECT_EQ(mem[0x2ffff], 1);
	EXPECT_EQ(mem[0x20000], 2);
	EXPECT_EQ(mem[0x20001], 3);
}

guest_code32(beyond_limit,
	     "movl $0xffd, %esi\n"
	     "movl $0x1234, %edx\n"
	     "outsl\n"
	     "hlt");

/* #GP with an IDT that holds nothing is a triple fault. */
TEST(outs_beyond_segment_limit)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;

	vcpu_setup_prot32(vcpu, &beyond_limit);
	sregs = vcpu_sregs(vcpu);
	sregs.ds.limit = 0xfff;
	sregs.ds.g = 0;
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	memset(&device, 0, sizeof(device));
	EXPECT_EQ(run_device(vcpu, &device), MINIVMM_EXIT_SHUTDOWN);
	EXPECT_EQ(device.outs, 0);
}

/* ------------------------------------------------------------------------ */
/* A client that does not finish the instruction but goes elsewhere          */

#define ELSEWHERE	(BLOB_GPA + 0x100)

guest_code64(elsewhere_out, "outb %al, $0x10; .org 0x100; incl %eax; hlt");
guest_code64(elsewhere_in, "inl $0x10, %eax; .org 0x100; incl %eax; hlt");
guest_code64(elsewhere_outs, "rep outsb; .org 0x100; incl %eax; hlt");
guest_code64(elsewhere_ins, "rep insb; .org 0x100; incl %eax; hlt");
guest_code64(elsewhere_read, "movl (%rsi), %eax; .org 0x100; incl %eax; hlt");

/*
 * Stop in the first instruction, with 0xff.. as its input; then set RIP, as one
 * does who resets a CPU because of what it wrote. Nothing of that instruction
 * may show up: no step of RIP, no register, no memory.
 */
static void go_elsewhere(const struct blob *blob, u64 rsi, int expected)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;

	vcpu_setup_blob64(vcpu, blob);
	regs = vcpu_regs(vcpu);
	regs.rdx = 0x10;
	regs.rcx = 2;
	regs.rsi = rsi;
	regs.rdi = DATA_GPA;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EXIT(vcpu, expected);
	if (expected == MINIVMM_EXIT_MMIO)
		memset(vcpu->run->mmio.data, 0xff, 4);
	else if (vcpu->run->io.direction == MINIVMM_EXIT_IO_IN)
		memset(vcpu_io_data(vcpu), 0xff,
		       vcpu->run->io.size * vcpu->run->io.count);
	regs.rip = ELSEWHERE;
	regs.rax = 0x12345678;
	regs.rcx = 0x99;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rip, ELSEWHERE + 3);
	EXPECT_EQ(regs.rax, 0x12345679);
	EXPECT_EQ(regs.rcx, 0x99);
	EXPECT_EQ(regs.rsi, rsi);
	EXPECT_EQ(regs.rdi, DATA_GPA);
	EXPECT_EQ(*(u16 *)vm_gpa(vcpu->vm, DATA_GPA), 0);
	vm_free(vcpu->vm);
}

TEST(new_rip_cancels_out)
{
	go_elsewhere(&elsewhere_out, DATA_GPA, MINIVMM_EXIT_IO);
}

TEST(new_rip_cancels_in)
{
	go_elsewhere(&elsewhere_in, DATA_GPA, MINIVMM_EXIT_IO);
}

TEST(new_rip_cancels_outs)
{
	go_elsewhere(&elsewhere_outs, DATA_GPA, MINIVMM_EXIT_IO);
}

TEST(new_rip_cancels_ins)
{
	if (!dev_is_minivmm())
		SKIP("KVM ends the old instruction, with the new registers");
	go_elsewhere(&elsewhere_ins, DATA_GPA, MINIVMM_EXIT_IO);
}

TEST(new_rip_cancels_mmio_read)
{
	if (!dev_is_minivmm())
		SKIP("KVM ends the old instruction, with the new registers");
	go_elsewhere(&elsewhere_read, MMIO_GPA, MINIVMM_EXIT_MMIO);
}

/* ------------------------------------------------------------------------ */
/* A client that lowers RCX: that many elements, from the first on           */

guest_code64(fewer, "rep insb; hlt");

static void lower_count(u64 rcx)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u8 *data = vm_gpa(vcpu->vm, DATA_GPA);
	struct minivmm_regs regs;
	int i;

	vcpu_setup_blob64(vcpu, &fewer);
	regs = vcpu_regs(vcpu);
	regs.rdx = 0x10;
	regs.rcx = 4;
	regs.rdi = DATA_GPA;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	memset(vcpu_io_data(vcpu), 0xaa, 4);
	regs = vcpu_regs(vcpu);
	regs.rcx = rcx;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rcx, 0);
	EXPECT_EQ(regs.rdi, DATA_GPA + rcx);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(data[i], i < rcx ? 0xaa : 0);
}

TEST(client_lowers_count)
{
	lower_count(3);
	lower_count(1);
	/* KVM leaves such a vCPU at the instruction. */
	if (dev_is_minivmm())
		lower_count(0);
}

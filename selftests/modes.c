// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that goes through all operating modes by itself: real mode, 32-bit
 * without and with paging, PSE, PAE, 64-bit, compatibility mode, and back.
 * Each station tells the host, who looks at the state there.
 */
#include "guest.h"

/* A station: OUT of its number */
#define AT(n)	"movb $" #n ", %al; outb %al, $0x10\n"

/*
 * Offsets are from BLOB_GPA; labels are absolute in .rodata, so targets are
 * placed by .org and written as numbers.
 */
guest_code16(all_modes,
	     "cli\n"
	     AT(1)					/* real mode */
	     "lgdtl 0x1f00\n"
	     "movl %cr0, %eax\n"
	     "orb $1, %al\n"
	     "movl %eax, %cr0\n"
	     "ljmpl $0x98, $0x1100\n"
	     ".org 0x100\n"
	     ".code32\n"
	     "movw $0x90, %ax\n"
	     "movw %ax, %ds\n"
	     "movw %ax, %es\n"
	     "movw %ax, %ss\n"
	     "movl $0x20fff0, %esp\n"
	     AT(2)					/* 32-bit, no paging */
	     "movl %cr4, %eax\n"
	     "orl $0x10, %eax\n"			/* PSE */
	     "movl %eax, %cr4\n"
	     "movl $0x40000, %eax\n"
	     "movl %eax, %cr3\n"
	     "movl %cr0, %eax\n"
	     "orl $0x80000000, %eax\n"
	     "movl %eax, %cr0\n"
	     "movl 0x80300000, %ebx\n"			/* through the alias */
	     AT(3)					/* 32-bit paging */
	     "movl %cr0, %eax\n"
	     "andl $0x7fffffff, %eax\n"
	     "movl %eax, %cr0\n"
	     "movl %cr4, %eax\n"
	     "orl $0x20, %eax\n"			/* PAE */
	     "movl %eax, %cr4\n"
	     "movl $0x46000, %eax\n"
	     "movl %eax, %cr3\n"
	     "movl %cr0, %eax\n"
	     "orl $0x80000000, %eax\n"
	     "movl %eax, %cr0\n"
	     "movl 0x80300000, %ebx\n"
	     AT(4)					/* PAE paging */
	     "movl %cr0, %eax\n"
	     "andl $0x7fffffff, %eax\n"
	     "movl %eax, %cr0\n"
	     "movl $0x30000, %eax\n"
	     "movl %eax, %cr3\n"
	     "movl $0xc0000080, %ecx\n"
	     "rdmsr\n"
	     "orl $0x100, %eax\n"			/* LME */
	     "wrmsr\n"
	     "movl %cr0, %eax\n"
	     "orl $0x80000000, %eax\n"
	     "movl %eax, %cr0\n"
	     AT(5)					/* compatibility mode */
	     "ljmp $0x88, $0x1300\n"
	     ".org 0x300\n"
	     ".code64\n"
	     "movabs $0x123456789abcdef0, %r15\n"
	     AT(6)					/* 64-bit mode */
	     "movl $0x1400, %eax\n"
	     "pushq $0x98\n"
	     "pushq %rax\n"
	     "lretq\n"
	     ".org 0x400\n"
	     ".code32\n"
	     AT(7)					/* compatibility again */
	     "movl %cr0, %eax\n"
	     "andl $0x7fffffff, %eax\n"
	     "movl %eax, %cr0\n"			/* LMA goes with PG */
	     "movl $0xc0000080, %ecx\n"
	     "rdmsr\n"
	     "andl $~0x100, %eax\n"
	     "wrmsr\n"
	     "movl %cr4, %eax\n"
	     "andl $~0x30, %eax\n"
	     "movl %eax, %cr4\n"
	     AT(8)					/* 32-bit, no paging */
	     "movw $0xa8, %ax\n"
	     "movw %ax, %ds\n"
	     "movw %ax, %es\n"
	     "movw %ax, %ss\n"
	     "ljmp $0xa0, $0x1500\n"
	     ".org 0x500\n"
	     ".code16\n"
	     AT(9)					/* 16-bit protected */
	     "movl %cr0, %eax\n"
	     "andb $0xfe, %al\n"
	     "movl %eax, %cr0\n"
	     "ljmp $0x100, $0x600\n"
	     ".org 0x600\n"
	     "xorw %ax, %ax\n"
	     "movw %ax, %ds\n"
	     "movw %ax, %ss\n"
	     "movw $0xfff0, %sp\n"
	     AT(10)					/* real mode again */
	     "hlt");

static struct minivmm_sregs at_station(struct vcpu *vcpu, u32 number)
{
	ASSERT_OUT(vcpu, 0x10, number);
	return vcpu_sregs(vcpu);
}

TEST(there_and_back)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u32 *pgdir = vm_gpa(vcpu->vm, PGDIR32_GPA);
	u64 *pd = vm_gpa(vcpu->vm, PD_GPA);
	u8 *gdtr = vm_gpa(vcpu->vm, 0x1f00);
	struct minivmm_sregs sregs;

	/* 0x80300000 is somewhere else in each kind of tables */
	pgdir[0x200] = 0x400000 | PTE_PS | PTE_P;
	pd[512 * 2 + 1] = 0x800000 | PTE_PS | PTE_P;
	*(u32 *)vm_gpa(vcpu->vm, 0x700000) = 0x11112222;
	*(u32 *)vm_gpa(vcpu->vm, 0x900000) = 0x33334444;

	vcpu_setup_real(vcpu, &all_modes);
	*(u16 *)gdtr = GDT_LIMIT;
	*(u32 *)(gdtr + 2) = GDT_GPA;

	sregs = at_station(vcpu, 1);
	EXPECT_EQ(sregs.cr0 & CR0_PE, 0);
	sregs = at_station(vcpu, 2);
	EXPECT_EQ(sregs.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	EXPECT_EQ(sregs.cs.db, 1);
	EXPECT_EQ(sregs.cs.selector, SEL_CODE32);
	EXPECT_EQ(sregs.gdt.base, GDT_GPA);
	sregs = at_station(vcpu, 3);
	EXPECT_EQ(sregs.cr0 & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
	EXPECT_EQ(sregs.cr3, PGDIR32_GPA);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0x11112222);
	sregs = at_station(vcpu, 4);
	EXPECT_EQ(sregs.cr4 & CR4_PAE, CR4_PAE);
	EXPECT_EQ(sregs.cr3, PDPT_PAE_GPA);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0x33334444);
	EXPECT_EQ(sregs.efer & EFER_LMA, 0);
	sregs = at_station(vcpu, 5);
	EXPECT_EQ(sregs.efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	EXPECT_EQ(sregs.cs.l, 0);
	sregs = at_station(vcpu, 6);
	EXPECT_EQ(sregs.cs.l, 1);
	EXPECT_EQ(vcpu_regs(vcpu).r15, 0x123456789abcdef0);
	sregs = at_station(vcpu, 7);
	EXPECT_EQ(sregs.cs.l, 0);
	EXPECT_EQ(sregs.efer & EFER_LMA, EFER_LMA);
	sregs = at_station(vcpu, 8);
	EXPECT_EQ(sregs.efer & (EFER_LME | EFER_LMA), 0);
	EXPECT_EQ(sregs.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	sregs = at_station(vcpu, 9);
	EXPECT_EQ(sregs.cs.db, 0);
	EXPECT_EQ(sregs.cs.selector, SEL_CODE16);
	sregs = at_station(vcpu, 10);
	EXPECT_EQ(sregs.cr0 & CR0_PE, 0);
	EXPECT_EQ(sregs.cs.selector, 0x100);
	EXPECT_EQ(sregs.cs.base, 0x1000);
	/* what 64-bit mode left in R15 is still there */
	EXPECT_EQ(vcpu_regs(vcpu).r15, 0x123456789abcdef0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

/* ------------------------------------------------------------------------ */
/* PAE: the four PDPTEs are registers, loaded with CR3 (SDM volume 3, 4.4.1)  */

guest_code32(pdpte,
	     "movl 0xc0300000, %ebx\n"
	     "outb %al, $0x10\n"
	     "movl 0xc0300000, %ecx\n"	/* tables changed, registers not */
	     "movl %cr3, %eax\n"
	     "movl %eax, %cr3\n"
	     "movl 0xc0300000, %edx\n"
	     "hlt");

TEST(pae_pdpte_change)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 *pdpt = vm_gpa(vcpu->vm, PDPT_PAE_GPA);
	u64 *pd = vm_gpa(vcpu->vm, PD_GPA);
	u64 *other = vm_gpa(vcpu->vm, DATA_GPA + PAGE_SIZE);
	struct minivmm_regs regs;

	vcpu_setup_pae(vcpu, &pdpte);
	pd[512 * 3 + 1] = 0x400000 | PTE_PS | PTE_P;
	other[1] = 0x800000 | PTE_PS | PTE_P;
	*(u32 *)vm_gpa(vcpu->vm, 0x500000) = 0x11112222;
	*(u32 *)vm_gpa(vcpu->vm, 0x900000) = 0x33334444;
	ASSERT_OUT(vcpu, 0x10, 0);
	pdpt[3] = (DATA_GPA + PAGE_SIZE) | PTE_P;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	regs = vcpu_regs(vcpu);
	EXPECT_EQ(regs.rbx, 0x11112222);
	EXPECT_EQ(regs.rcx, 0x11112222);
	EXPECT_EQ(regs.rdx, 0x33334444);
}

guest_code32(bad_pdpte,
	     "movl $0x46000, %eax\n"
	     "movl %eax, %cr3\n"
	     "hlt");

/* A PDPTE with reserved bits makes MOV to CR3 fault, and changes nothing. */
TEST(pae_reserved_bits)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 *pdpt = vm_gpa(vcpu->vm, PDPT_PAE_GPA);
	struct minivmm_sregs sregs;

	vcpu_setup_pae(vcpu, &bad_pdpte);
	sregs = vcpu_sregs(vcpu);
	sregs.idt.limit = 0;	/* so #GP is a triple fault */
	vcpu_set_sregs(vcpu, &sregs);
	pdpt[3] |= PTE_RW;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
}

guest_code32(no_pdptes,
	     "movl $0xd0000000, %eax\n"
	     "movl %eax, %cr3\n"
	     "hlt");

/* Where there is no memory all bits read as ones, so it is the same. */
TEST(pae_no_memory)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;

	vcpu_setup_pae(vcpu, &no_pdptes);
	sregs = vcpu_sregs(vcpu);
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
	EXPECT_EQ(vcpu_sregs(vcpu).cr3, PDPT_PAE_GPA);
}

/* ------------------------------------------------------------------------ */
/* Paging features                                                           */

guest_code32(wp_guest,
	     "movl $1, 0x300000\n"	/* read-only, CR0.WP clear */
	     "movl %cr0, %eax\n"
	     "orl $0x10000, %eax\n"
	     "movl %eax, %cr0\n"
	     "outb %al, $0x10\n"
	     "movl $2, 0x300000\n"	/* #PF, no IDT */
	     "hlt");

TEST(cr0_wp)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u32 *pt = vm_gpa(vcpu->vm, PT32_GPA);
	struct minivmm_sregs sregs;

	vcpu_setup_paging32(vcpu, &wp_guest);
	pt[0x300] &= ~PTE_RW;
	sregs = vcpu_sregs(vcpu);
	sregs.cr0 &= ~CR0_WP;
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(*(u32 *)vm_gpa(vcpu->vm, 0x300000), 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
	EXPECT_EQ(*(u32 *)vm_gpa(vcpu->vm, 0x300000), 1);
	EXPECT_EQ(vcpu_sregs(vcpu).cr2, 0x300000);
}

/* The CPU sets accessed and dirty bits in the guest's own tables. */
static void guest_accessed_dirty(void)
{
	volatile u64 *page = (u64 *)DATA_GPA;

	GUEST_ASSERT_EQ(*guest_pte(DATA_GPA) & (PTE_A | PTE_D), 0);
	(void)*page;
	GUEST_ASSERT_EQ(*(volatile u64 *)guest_pte(DATA_GPA) & (PTE_A | PTE_D),
			PTE_A);
	*page = 1;
	GUEST_ASSERT_EQ(*(volatile u64 *)guest_pte(DATA_GPA) & (PTE_A | PTE_D),
			PTE_A | PTE_D);
}

TEST(accessed_and_dirty)
{
	run_guest(guest_accessed_dirty);
}

/* A change of the tables is seen after INVLPG, and after a CR3 load. */
static void guest_tlb(void)
{
	volatile u64 *window = (u64 *)DATA_GPA;
	u64 *pte = guest_pte(DATA_GPA);
	u64 first = DATA_GPA + 0x10000, second = DATA_GPA + 0x20000;

	*(u64 *)first = 1;
	*(u64 *)second = 2;
	*pte = first | PTE_P | PTE_RW;
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(*window, 1);
	*pte = second | PTE_P | PTE_RW;
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(*window, 2);
	*pte = first | PTE_P | PTE_RW;
	write_cr3(read_cr3());
	GUEST_ASSERT_EQ(*window, 1);
	/* global entries survive CR3 loads, not a change of CR4.PGE */
	write_cr4(read_cr4() | CR4_PGE);
	*pte = second | PTE_P | PTE_RW | PTE_G;
	write_cr4(read_cr4() & ~CR4_PGE);
	GUEST_ASSERT_EQ(*window, 2);
	*pte = 0;
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(guest_try("testb $0, (%%rdi)", "D"(window)),
			PF_VECTOR);
}

TEST(tlb)
{
	run_guest(guest_tlb);
}

/* ------------------------------------------------------------------------ */
/* Real mode: interrupts by the vector table, big segments                   */

guest_code16(real_int,
	     "movw $0x1234, %cx\n"
	     "int $0x21\n"
	     "hlt\n"
	     ".org 0x100\n"
	     "incw %cx\n"
	     "outb %al, $0x10\n"
	     "iretw\n");

TEST(real_mode_interrupts)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u16 *ivt = vm_gpa(vcpu->vm, 0);

	ivt[2 * 0x21] = 0x100;
	ivt[2 * 0x21 + 1] = BLOB_GPA >> 4;
	vcpu_setup_real(vcpu, &real_int);
	ASSERT_OUT(vcpu, 0x10, 0);
	EXPECT_EQ(vcpu_sregs(vcpu).cs.base, BLOB_GPA);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_sregs(vcpu).cs.base, 0);
	EXPECT_EQ(vcpu_regs(vcpu).rcx, 0x1235);
}

guest_code16(unreal,
	     "movl $0x345678, %ebx\n"
	     "movl $0x99, (%ebx)\n"
	     "movl (%ebx), %ecx\n"
	     "hlt");

/* "Unreal" mode: real mode with a limit of 4 GiB in a data segment */
TEST(unreal_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;

	vcpu_setup_real(vcpu, &unreal);
	sregs = vcpu_sregs(vcpu);
	sregs.ds.limit = 0xffffffff;
	sregs.ds.g = 1;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rcx, 0x99);
	EXPECT_EQ(*(u32 *)vm_gpa(vcpu->vm, 0x345678), 0x99);
}

/* From the reset vector, as firmware starts */
TEST(reset_vector)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u8 *rom = vm_gpa(vcpu->vm, DATA_GPA);

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, MINIVMM_MEM_READONLY, 0xffff0000,
			      0x10000, rom));
	memcpy(rom + 0xfff0, "\xe6\x10\xf4", 3);	/* outb %al, $0x10; hlt */
	ASSERT_OUT(vcpu, 0x10, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rip, 0xfff3);
}

/* ------------------------------------------------------------------------ */
/* Virtual-8086 mode: entered by the client, left by a fault                  */

guest_code16(v86, "movw $0x4321, %bx; outb %al, $0x10; outb %al, $0x10; hlt");

TEST(virtual_8086)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_segment seg = {
		.limit = 0xffff, .type = 3, .present = 1, .dpl = 3, .s = 1,
	};
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	vcpu_setup_prot32(vcpu, &v86);
	sregs = vcpu_sregs(vcpu);
	sregs.cs = seg;
	sregs.ds = seg;
	sregs.es = seg;
	sregs.fs = seg;
	sregs.gs = seg;
	sregs.ss = seg;
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	regs = vcpu_regs(vcpu);
	regs.rflags = RFLAGS_FIXED | RFLAGS_VM | RFLAGS_IOPL;
	vcpu_set_regs(vcpu, &regs);
	/* IN and OUT obey the TSS's bitmap, whatever IOPL: all zero, then none */
	ASSERT_OUT(vcpu, 0x10, 0);
	*(u16 *)vm_gpa(vcpu->vm, TSS_GPA + 102) = 0xffff;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
	EXPECT_EQ(vcpu_regs(vcpu).rbx, 0x4321);
}

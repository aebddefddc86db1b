// SPDX-License-Identifier: GPL-2.0
/* TRANSLATE walks the guest's page tables in each paging mode. */
#include "vm.h"

guest_code32(nothing, "hlt");

static struct minivmm_translation translate(struct vcpu *vcpu, u64 linear)
{
	struct minivmm_translation tr = { .linear_address = linear };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_TRANSLATE, &tr));
	return tr;
}

static void expect_translation(struct vcpu *vcpu, u64 linear, u64 physical)
{
	struct minivmm_translation tr = translate(vcpu, linear);

	EXPECT_EQ(tr.valid, 1);
	EXPECT_EQ(tr.physical_address, physical);
}

static struct vcpu *new_vcpu(void)
{
	return vcpu_create(vm_create(), 0);
}

TEST(no_paging)
{
	struct vcpu *vcpu = new_vcpu();

	vcpu_setup_real(vcpu, &nothing);
	expect_translation(vcpu, 0x12345, 0x12345);
	vcpu_setup_prot32(vcpu, &nothing);
	expect_translation(vcpu, 0xfee00010, 0xfee00010);
}

TEST(paging32)
{
	struct vcpu *vcpu = new_vcpu();
	u32 *pt = vm_gpa(vcpu->vm, PT32_GPA);
	u32 *pgdir = vm_gpa(vcpu->vm, PGDIR32_GPA);

	vcpu_setup_paging32(vcpu, &nothing);
	pt[0x300] = 0x123000 | PTE_P;
	pt[0x301] = 0;
	pgdir[0x200] = 0;
	/* PSE-36: bits 39:32 of the address are in bits 20:13 of the entry */
	pgdir[0x201] = 0xc00000 | 5 << 13 | PTE_PS | PTE_P;
	expect_translation(vcpu, 0x300abc, 0x123abc);
	expect_translation(vcpu, 0xd0001234, 0xd0001234);
	expect_translation(vcpu, 0x80400123, 0x500c00123);
	EXPECT_EQ(translate(vcpu, 0x301000).valid, 0);
	EXPECT_EQ(translate(vcpu, 0x80000000).valid, 0);
}

TEST(pae)
{
	struct vcpu *vcpu = new_vcpu();
	u64 *pd = vm_gpa(vcpu->vm, PD_GPA);

	vcpu_setup_pae(vcpu, &nothing);
	*vm_pte(vcpu->vm, 0x300000) = 0x7654321000 | PTE_P;
	*vm_pte(vcpu->vm, 0x301000) = 0;
	pd[512 * 3] = 0x600000000 | PTE_PS | PTE_P;
	expect_translation(vcpu, 0x300abc, 0x7654321abc);
	expect_translation(vcpu, 0xc0012345, 0x600012345);
	EXPECT_EQ(translate(vcpu, 0x301000).valid, 0);
}

TEST(long_mode)
{
	struct vcpu *vcpu = new_vcpu();
	u64 *pml4 = vm_gpa(vcpu->vm, PML4_GPA);
	u64 *pdpt = vm_gpa(vcpu->vm, PDPT_GPA);

	vcpu_setup_blob64(vcpu, &nothing);
	*vm_pte(vcpu->vm, 0x300000) = 0x7654321000 | PTE_P | PTE_NX;
	*vm_pte(vcpu->vm, 0x301000) = 0;
	pml4[0x1ff] = PDPT_GPA | PTE_P;
	expect_translation(vcpu, 0x300abc, 0x7654321abc);
	expect_translation(vcpu, 0xd0012345, 0xd0012345);
	/* the upper half, by the same tables */
	expect_translation(vcpu, 0xffffff8000300abc, 0x7654321abc);
	EXPECT_EQ(translate(vcpu, 0x301000).valid, 0);
	EXPECT_EQ(translate(vcpu, 0x8000000000).valid, 0);
	pdpt[5] = 0x2c0000000 | PTE_PS | PTE_P;
	expect_translation(vcpu, 0x140000000 + 0x12345678, 0x2d2345678);
}

/* Tables that lie outside all slots, and entries with reserved bits */
TEST(broken_tables)
{
	struct vcpu *vcpu = new_vcpu();
	u64 *pml4 = vm_gpa(vcpu->vm, PML4_GPA);
	struct minivmm_sregs sregs;

	vcpu_setup_blob64(vcpu, &nothing);
	pml4[1] = MMIO_GPA | PTE_P | PTE_RW;
	EXPECT_EQ(translate(vcpu, 0x8000000000).valid, 0);
	*vm_pte(vcpu->vm, 0x300000) = 1UL << 51 | PTE_P;
	EXPECT_EQ(translate(vcpu, 0x300000).valid, 0);
	sregs = vcpu_sregs(vcpu);
	sregs.cr3 = MMIO_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	EXPECT_EQ(translate(vcpu, 0x1000).valid, 0);
}

// SPDX-License-Identifier: GPL-2.0
/* GET_SREGS2, SET_SREGS2: PAE paging's PDPTEs are part of the state. */
#include <stddef.h>
#include <string.h>

#include "vm.h"

#define VALID	MINIVMM_SREGS2_FLAGS_PDPTRS_VALID
#define COMMON	offsetof(struct minivmm_sregs, interrupt_bitmap)

guest_code32(writes,
	     "movl $0x1234, %edx\n"
	     "1: outl %eax, %dx\n"
	     "jmp 1b");

guest_code64(writes64,
	     "movl $0x1234, %edx\n"
	     "1: outl %eax, %dx\n"
	     "jmp 1b");

static struct minivmm_sregs2 get_sregs2(struct vcpu *vcpu)
{
	struct minivmm_sregs2 sregs;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_SREGS2, &sregs));
	return sregs;
}

static int set_sregs2(struct vcpu *vcpu, const struct minivmm_sregs2 *sregs)
{
	return ioctl(vcpu->fd, MINIVMM_SET_SREGS2, sregs);
}

static struct vcpu *start_pae(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_pae(vcpu, &writes);
	return vcpu;
}

static void expect_common(struct vcpu *vcpu)
{
	struct minivmm_sregs2 two = get_sregs2(vcpu);
	struct minivmm_sregs one = vcpu_sregs(vcpu);

	EXPECT(!memcmp(&one, &two, COMMON));
}

TEST(long_mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs2 sregs;

	vcpu_setup_blob64(vcpu, &writes64);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	expect_common(vcpu);
	sregs = get_sregs2(vcpu);
	EXPECT_EQ(sregs.flags, 0);
	EXPECT_EQ(sregs.pdptrs[0] | sregs.pdptrs[3], 0);
	sregs.cr2 = 0x123000;
	sregs.fs.base = 0x456000;
	EXPECT_OK(set_sregs2(vcpu, &sregs));
	EXPECT_EQ(vcpu_sregs(vcpu).cr2, 0x123000);
	expect_common(vcpu);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT_EQ(get_sregs2(vcpu).fs.base, 0x456000);
}

TEST(pdptes)
{
	struct vcpu *vcpu = start_pae();
	u64 *table = vm_gpa(vcpu->vm, PDPT_PAE_GPA);
	struct minivmm_sregs2 sregs;

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	expect_common(vcpu);
	sregs = get_sregs2(vcpu);
	EXPECT_EQ(sregs.flags, VALID);
	EXPECT(!memcmp(sregs.pdptrs, table, sizeof(sregs.pdptrs)));
	/* the CPU has its own: memory does not count */
	memset(table, 0, sizeof(sregs.pdptrs));
	EXPECT_OK(set_sregs2(vcpu, &sregs));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	EXPECT(!memcmp(get_sregs2(vcpu).pdptrs, sregs.pdptrs,
		       sizeof(sregs.pdptrs)));
	/* ... unless the client does not say */
	sregs.flags = 0;
	EXPECT_OK(set_sregs2(vcpu, &sregs));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
}

/* State from one vCPU to another, before its memory has been copied */
TEST(moved)
{
	struct vcpu *from = start_pae(), *to = start_pae();
	struct minivmm_sregs2 sregs;
	struct minivmm_regs regs;

	ASSERT_EXIT(from, MINIVMM_EXIT_IO);
	ASSERT_EXIT(from, MINIVMM_EXIT_IO);
	sregs = get_sregs2(from);
	regs = vcpu_regs(from);
	memset(vm_gpa(to->vm, PDPT_PAE_GPA), 0, sizeof(sregs.pdptrs));
	ASSERT_OK(set_sregs2(to, &sregs));
	vcpu_set_regs(to, &regs);
	EXPECT(!memcmp(get_sregs2(to).pdptrs, sregs.pdptrs,
		       sizeof(sregs.pdptrs)));
	ASSERT_EXIT(to, MINIVMM_EXIT_IO);
}

TEST(bad_input)
{
	struct vcpu *vcpu = start_pae();
	struct minivmm_sregs2 sregs = get_sregs2(vcpu), bad = sregs;

	EXPECT_ERRNO(set_sregs2(vcpu, (void *)0x1000), EFAULT);
	bad.flags |= 2;
	EXPECT_ERRNO(set_sregs2(vcpu, &bad), EINVAL);
	bad = sregs;
	bad.cr4 = ~0ULL;
	EXPECT_ERRNO(set_sregs2(vcpu, &bad), EINVAL);
	/* PDPTEs, but no PAE paging */
	bad = sregs;
	bad.cr4 &= ~CR4_PAE;
	EXPECT_ERRNO(set_sregs2(vcpu, &bad), EINVAL);
	bad = sregs;
	bad.cr0 &= ~CR0_PG;
	EXPECT_ERRNO(set_sregs2(vcpu, &bad), EINVAL);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
}

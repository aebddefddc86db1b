// SPDX-License-Identifier: GPL-2.0
/* All state that can be set is read back unchanged, and the guest sees it. */
#include <stdlib.h>

#include "guest.h"

static void fill(void *to, size_t size, u8 seed)
{
	u8 *byte = to;
	size_t i;

	for (i = 0; i < size; i++)
		byte[i] = seed + i * 7;
}

TEST(reset_state)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs = vcpu_regs(vcpu);
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	/* SDM volume 3, table 9-1 */
	EXPECT_EQ(regs.rip, 0xfff0);
	EXPECT_EQ(regs.rflags, RFLAGS_FIXED);
	EXPECT_EQ(regs.rsp, 0);
	EXPECT_EQ(sregs.cs.selector, 0xf000);
	EXPECT_EQ(sregs.cs.base, 0xffff0000);
	EXPECT_EQ(sregs.cs.limit, 0xffff);
	EXPECT_EQ(sregs.ds.limit, 0xffff);
	EXPECT_EQ(sregs.ds.base, 0);
	EXPECT_EQ(sregs.idt.limit, 0xffff);
	EXPECT_EQ(sregs.gdt.limit, 0xffff);
	EXPECT_EQ(sregs.cr0, CR0_ET | CR0_NW | CR0_CD);
	EXPECT_EQ(sregs.cr4, 0);
	EXPECT_EQ(sregs.efer, 0);
	/* the boot CPU's APIC: enabled, at its place */
	EXPECT_EQ(sregs.apic_base, 0xfee00900);
}

TEST(regs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs set, got;

	fill(&set, sizeof(set), 1);
	set.rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_DF;
	vcpu_set_regs(vcpu, &set);
	got = vcpu_regs(vcpu);
	EXPECT(!memcmp(&set, &got, sizeof(set)));
}

TEST(sregs)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_sregs set, got;

	vcpu_setup_long(vcpu, NULL, 0);
	set = vcpu_sregs(vcpu);
	set.cr2 = 0x123456789abcd000;
	set.cr8 = 5;
	set.fs.base = 0x7f0012345678;
	set.gs.base = 0xffff800012345678;
	set.ds.unusable = 1;
	set.ds.present = 0;
	set.es.limit = 0xfff;
	set.es.g = 0;
	set.es.base = 0x12340;
	set.gdt.limit = 0x1234;
	set.idt.base = 0xffffffff80001000;
	/* bits that no CPU has are ignored; KVM would show them to the client */
	if (dev_is_minivmm())
		set.cr0 |= 0x1ffaffc0;
	vcpu_set_sregs(vcpu, &set);
	set.cr0 &= ~0x1ffaffc0UL;
	got = vcpu_sregs(vcpu);
	EXPECT_EQ(got.cr0, set.cr0);
	EXPECT_EQ(got.cr2, set.cr2);
	EXPECT_EQ(got.cr3, set.cr3);
	EXPECT_EQ(got.cr4, set.cr4);
	EXPECT_EQ(got.cr8, set.cr8);
	EXPECT_EQ(got.efer, set.efer);
	EXPECT_EQ(got.apic_base, set.apic_base);
	EXPECT(!memcmp(&got.cs, &set.cs, sizeof(set.cs)));
	EXPECT(!memcmp(&got.es, &set.es, sizeof(set.es)));
	EXPECT(!memcmp(&got.fs, &set.fs, sizeof(set.fs)));
	EXPECT(!memcmp(&got.gs, &set.gs, sizeof(set.gs)));
	EXPECT(!memcmp(&got.ss, &set.ss, sizeof(set.ss)));
	EXPECT(!memcmp(&got.tr, &set.tr, sizeof(set.tr)));
	EXPECT(!memcmp(&got.gdt, &set.gdt, sizeof(set.gdt)));
	EXPECT(!memcmp(&got.idt, &set.idt, sizeof(set.idt)));
	EXPECT_EQ(got.ds.unusable, 1);
}

/* interrupt_bitmap carries the interrupt that waits for injection. */
TEST(sregs_interrupt_bitmap)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_interrupt interrupt = { 0x47 };
	struct minivmm_sregs sregs;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &interrupt));
	sregs = vcpu_sregs(vcpu);
	EXPECT_EQ(sregs.interrupt_bitmap[0], 0);
	EXPECT_EQ(sregs.interrupt_bitmap[1], 1UL << (0x47 - 64));
}

TEST(fpu)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_fpu set, got;

	memset(&set, 0, sizeof(set));
	fill(set.fpr, sizeof(set.fpr), 3);
	fill(set.xmm, sizeof(set.xmm), 5);
	set.fcw = 0x27f;
	set.fsw = 0x3800;
	set.ftwx = 0x5a;
	set.last_opcode = 0x123;
	set.last_ip = 0x1234567;
	set.last_dp = 0x7654321;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_FPU, &set));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_FPU, &got));
	EXPECT(!memcmp(set.fpr, got.fpr, sizeof(set.fpr)));
	EXPECT(!memcmp(set.xmm, got.xmm, sizeof(set.xmm)));
	EXPECT_EQ(got.fcw, set.fcw);
	EXPECT_EQ(got.fsw, set.fsw);
	EXPECT_EQ(got.ftwx, set.ftwx);
	EXPECT_EQ(got.last_opcode, set.last_opcode);
	EXPECT_EQ(got.last_ip, set.last_ip);
	EXPECT_EQ(got.last_dp, set.last_dp);
}

static u64 *xsave_header(struct minivmm_xsave *xsave)
{
	return (u64 *)(xsave->region + 512 / 4);
}

TEST(xsave)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_xsave set, got;
	struct minivmm_fpu fpu;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &set));
	xsave_header(&set)[0] |= 7;
	set.region[0] = 0x37f;
	set.region[24 / 4] = 0x1f80;
	fill((u8 *)set.region + 160, 256, 9);	/* XMM0-15 */
	fill((u8 *)set.region + 576, 256, 11);	/* the upper halves of YMM */
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &set));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &got));
	EXPECT_EQ(xsave_header(&got)[0] & 7, 7);
	EXPECT_EQ(xsave_header(&got)[1], 0);
	EXPECT(!memcmp((u8 *)set.region + 160, (u8 *)got.region + 160, 256));
	EXPECT(!memcmp((u8 *)set.region + 576, (u8 *)got.region + 576, 256));
	/* both interfaces show one and the same register file */
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_FPU, &fpu));
	EXPECT(!memcmp(fpu.xmm, (u8 *)set.region + 160, 256));
}

/* A component that XSTATE_BV leaves out is in its initial state. */
/* All of it fits into what GET_XSAVE gives: the two are the same. */
TEST(xsave2)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_xsave one, two;

	EXPECT_EQ(ioctl(vm->fd, MINIVMM_CHECK_EXTENSION, MINIVMM_CAP_XSAVE2),
		  sizeof(two));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &one));
	memset(&two, 0xff, sizeof(two));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE2, &two));
	EXPECT(!memcmp(&one, &two, sizeof(one)));
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_XSAVE2, (void *)0x1000),
		     EFAULT);
}

TEST(xsave_init_state)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_xsave xsave;
	struct minivmm_fpu fpu;
	unsigned int i;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &xsave));
	xsave_header(&xsave)[0] = 0;
	fill(xsave.region, 512, 13);
	xsave.region[24 / 4] = 0x1f80;
	xsave.region[28 / 4] = 0xffff;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_FPU, &fpu));
	EXPECT_EQ(fpu.fcw, 0x37f);
	for (i = 0; i < sizeof(fpu.xmm); i++)
		EXPECT_EQ(((u8 *)fpu.xmm)[i], 0);
}

TEST(xcrs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_xcrs xcrs;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XCRS, &xcrs));
	ASSERT_EQ(xcrs.nr_xcrs, 1);
	EXPECT_EQ(xcrs.flags, 0);
	EXPECT_EQ(xcrs.xcrs[0].xcr, 0);
	EXPECT_EQ(xcrs.xcrs[0].value, 1);
	xcrs.xcrs[0].value = 3;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_XCRS, &xcrs));
	memset(&xcrs, 0, sizeof(xcrs));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XCRS, &xcrs));
	EXPECT_EQ(xcrs.nr_xcrs, 1);
	EXPECT_EQ(xcrs.xcrs[0].value, 3);
}

static const struct {
	u32 index;
	u64 value;
} msr_values[] = {
	{ MSR_STAR, 0x0023001000000000 },
	{ MSR_LSTAR, 0xffffffff81000000 },
	{ MSR_CSTAR, 0xffffffff82000000 },
	{ MSR_SYSCALL_MASK, 0x47700 },
	{ MSR_KERNEL_GS_BASE, 0xffff888012345000 },
	{ MSR_FS_BASE, 0x7f1234567000 },
	{ MSR_GS_BASE, 0xffff888076543000 },
	{ MSR_IA32_SYSENTER_CS, 0x10 },
	{ MSR_IA32_SYSENTER_ESP, 0xfffffe0000001000 },
	{ MSR_IA32_SYSENTER_EIP, 0xffffffff83000000 },
	{ MSR_IA32_PAT, 0x0007040600070406 },
	{ MSR_TSC_AUX, 0x12345678 },
	{ MSR_EFER, EFER_SCE | EFER_NXE },
};

static void guest_reads_msrs(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msr_values); i++)
		if (msr_values[i].index != MSR_EFER)
			GUEST_ASSERT_EQ(rdmsr(msr_values[i].index),
					msr_values[i].value);
}

TEST(msrs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	unsigned int i;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(msr_values); i++)
		if (!vcpu_set_msr(vcpu, msr_values[i].index,
				  msr_values[i].value))
			test_fail(__FILE__, __LINE__, "cannot set MSR 0x%x",
				  msr_values[i].index);
	for (i = 0; i < ARRAY_SIZE(msr_values); i++) {
		EXPECT(vcpu_get_msr(vcpu, msr_values[i].index, &value));
		EXPECT_EQ(value, msr_values[i].value);
	}
	/* the guest's code must not be sent to those bases: set again */
	vcpu_setup_long(vcpu, guest_reads_msrs, 0);
	for (i = 0; i < ARRAY_SIZE(msr_values) - 1; i++)
		ASSERT(vcpu_set_msr(vcpu, msr_values[i].index,
				    msr_values[i].value));
	ASSERT_DONE(vcpu);
}

TEST(msr_list_is_readable)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_msr_list *list;
	const u32 max = 1024;
	u64 value;
	u32 i;

	list = calloc(1, sizeof(*list) + max * sizeof(u32));
	list->nmsrs = max;
	ASSERT_OK(ioctl(vm->dev_fd, MINIVMM_GET_MSR_INDEX_LIST, list));
	for (i = 0; i < list->nmsrs; i++)
		if (!vcpu_get_msr(vcpu, list->indices[i], &value))
			test_fail(__FILE__, __LINE__,
				  "MSR 0x%x is listed but unreadable",
				  list->indices[i]);
}

TEST(tsc_runs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	u64 first, second;

	ASSERT(vcpu_set_msr(vcpu, MSR_IA32_TSC, 1ULL << 50));
	ASSERT(vcpu_get_msr(vcpu, MSR_IA32_TSC, &first));
	ASSERT(vcpu_get_msr(vcpu, MSR_IA32_TSC, &second));
	EXPECT_GE(first, 1ULL << 50);
	EXPECT_GE(second, first);
	EXPECT(second < 1ULL << 51);
}

static void guest_reads_drs(void)
{
	u64 dr;

	asm volatile("mov %%db0, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, 0x1111111111111000);
	asm volatile("mov %%db3, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, 0x4444444444444000);
	asm volatile("mov %%db6, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, DR6_FIXED | DR6_BS);
	asm volatile("mov %%db7, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, DR7_FIXED);
}

TEST(debugregs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_debugregs set, got;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &got));
	EXPECT_EQ(got.dr6, DR6_FIXED);
	EXPECT_EQ(got.dr7, DR7_FIXED);
	memset(&set, 0, sizeof(set));
	set.db[0] = 0x1111111111111000;
	set.db[1] = 0x2222222222222000;
	set.db[2] = 0x3333333333333000;
	set.db[3] = 0x4444444444444000;
	set.dr6 = DR6_FIXED | DR6_BS;
	set.dr7 = DR7_FIXED;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &set));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &got));
	EXPECT(!memcmp(&set, &got, sizeof(set)));
	vcpu_setup_long(vcpu, guest_reads_drs, 0);
	ASSERT_DONE(vcpu);
}

TEST(events)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_vcpu_events set, got;

	memset(&set, 0, sizeof(set));
	set.exception.injected = 1;
	set.exception.nr = GP_VECTOR;
	set.exception.has_error_code = 1;
	set.exception.error_code = 0x88;
	set.nmi.pending = 1;
	set.nmi.masked = 1;
	set.interrupt.shadow = MINIVMM_X86_SHADOW_INT_STI;
	set.flags = MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
		    MINIVMM_VCPUEVENT_VALID_SHADOW;
	vcpu_set_events(vcpu, &set);
	got = vcpu_events(vcpu);
	EXPECT_EQ(got.exception.injected, 1);
	EXPECT_EQ(got.exception.nr, GP_VECTOR);
	EXPECT_EQ(got.exception.has_error_code, 1);
	EXPECT_EQ(got.exception.error_code, 0x88);
	EXPECT_EQ(got.nmi.pending, 1);
	EXPECT_EQ(got.nmi.masked, 1);
	EXPECT_EQ(got.interrupt.shadow, MINIVMM_X86_SHADOW_INT_STI);
	EXPECT(got.flags & MINIVMM_VCPUEVENT_VALID_SHADOW);

	memset(&set, 0, sizeof(set));
	set.interrupt.injected = 1;
	set.interrupt.nr = 0x99;
	set.flags = MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
		    MINIVMM_VCPUEVENT_VALID_SHADOW;
	vcpu_set_events(vcpu, &set);
	got = vcpu_events(vcpu);
	EXPECT_EQ(got.exception.injected, 0);
	EXPECT_EQ(got.interrupt.injected, 1);
	EXPECT_EQ(got.interrupt.nr, 0x99);
	EXPECT_EQ(got.nmi.pending, 0);
	EXPECT_EQ(got.nmi.masked, 0);
	EXPECT_EQ(got.interrupt.shadow, 0);
}

TEST(mp_state)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_mp_state state = { 77 };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_MP_STATE, &state));
	EXPECT_EQ(state.mp_state, MINIVMM_MP_STATE_RUNNABLE);
}

TEST(cpuid2)
{
	struct vcpu *vcpu = vcpu_create_bare(vm_create(), 0);
	struct {
		struct minivmm_cpuid2 header;
		struct minivmm_cpuid_entry2 entries[2];
	} set = {
		.header.nent = 2,
		.entries = {
			{ .function = 0, .eax = 1, .ebx = 0x11, .ecx = 0x22 },
			{ .function = 1, .eax = 0x33, .edx = 0x44 },
		},
	}, got = { .header.nent = 2 };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &set));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_CPUID2, &got));
	EXPECT_EQ(got.header.nent, 2);
	EXPECT_EQ(got.entries[0].ebx, 0x11);
	EXPECT_EQ(got.entries[0].ecx, 0x22);
	EXPECT_EQ(got.entries[1].function, 1);
	EXPECT_EQ(got.entries[1].eax, 0x33);
}

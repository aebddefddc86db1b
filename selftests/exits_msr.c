// SPDX-License-Identifier: GPL-2.0
/* RDMSR and WRMSR in the guest: values, #GP for what does not exist. */
#include "guest.h"

#define MSR_UNKNOWN	0x12345678
#define MSR_IA32_DEBUGCTL	0x1d9
#define DEBUGCTL_LBR		(1UL << 0)
#define DEBUGCTL_BTF		(1UL << 1)
#define DEBUGCTL_BTS		(1UL << 7)

static void guest_round_trip(void)
{
	static const struct {
		u32 index;
		u64 value;
	} msrs[] = {
		{ MSR_STAR, 0x0023001000001234 },
		{ MSR_LSTAR, 0xffffffff81234567 },
		{ MSR_CSTAR, 0xffffffff82345678 },
		{ MSR_SYSCALL_MASK, 0x47700 },
		{ MSR_KERNEL_GS_BASE, 0xffff888012345678 },
		{ MSR_FS_BASE, 0x7f1234567000 },
		{ MSR_GS_BASE, 0xffff888076543000 },
		{ MSR_IA32_SYSENTER_CS, 0x88 },
		{ MSR_IA32_SYSENTER_ESP, 0xfffffe0000001000 },
		{ MSR_IA32_SYSENTER_EIP, 0xffffffff83000000 },
		{ MSR_IA32_PAT, 0x0007040600070406 },
		{ MSR_TSC_AUX, 0x89abcdef },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i].index, msrs[i].value);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		GUEST_ASSERT_EQ(rdmsr(msrs[i].index), msrs[i].value);
}

TEST(round_trip)
{
	run_guest(guest_round_trip);
}

static void guest_unknown(void)
{
	u64 value, error;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_UNKNOWN, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_try_error(error, "wrmsr", "c"(MSR_UNKNOWN),
					"a"(0), "d"(0)), GP_VECTOR);
	GUEST_ASSERT_EQ(error, 0);
	/* just outside the bitmaps' two ranges */
	GUEST_ASSERT_EQ(rdmsr_safe(0x2000, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0xbfffffff, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0xc0002000, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0xffffffff, &value), GP_VECTOR);
}

TEST(unknown)
{
	run_guest(guest_unknown);
}

static void guest_bad_values(void)
{
	const u64 efer = rdmsr(MSR_EFER);

	GUEST_ASSERT_EQ(wrmsr_safe(MSR_LSTAR, NONCANONICAL), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_CSTAR, NONCANONICAL), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_FS_BASE, NONCANONICAL), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_GS_BASE, NONCANONICAL), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_KERNEL_GS_BASE, NONCANONICAL),
			GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_PAT, 2), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_PAT, 8UL << 56), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_TSC_AUX, 1UL << 32), GP_VECTOR);
	/* a reserved bit; LME with paging on; LMA is read-only */
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_EFER, efer | 1UL << 20), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_EFER, efer & ~EFER_LME), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_EFER, efer & ~EFER_LMA),
			GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr(MSR_EFER), efer);
	wrmsr(MSR_EFER, efer & ~EFER_SCE);
	GUEST_ASSERT_EQ(rdmsr(MSR_EFER), efer & ~EFER_SCE);
}

TEST(bad_values)
{
	run_guest(guest_bad_values);
}

/* EFER.SCE is the guest's: SYSCALL without it is #UD. */
static void guest_syscall_disabled(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
	GUEST_ASSERT_EQ(guest_try("syscall"), UD_VECTOR);
}

TEST(efer_sce)
{
	run_guest(guest_syscall_disabled);
}

/* EFER.NXE too: with it off, bit 63 of an entry is reserved. */
static void guest_nxe(void)
{
	u64 error;

	*guest_pte(DATA_GPA) |= PTE_NX;
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(guest_try("testb $0, (%[p])", [p] "D"(DATA_GPA)),
			GUEST_NO_FAULT);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	invlpg(DATA_GPA);
	GUEST_ASSERT_EQ(guest_try_error(error, "testb $0, (%[p])",
					[p] "D"(DATA_GPA)), PF_VECTOR);
	GUEST_ASSERT_EQ(error, PF_RSVD | PF_P);
}

TEST(efer_nxe)
{
	run_guest(guest_nxe);
}

static void guest_tsc(void)
{
	u64 first = rdtsc(), second;

	GUEST_ASSERT(rdmsr(MSR_IA32_TSC) >= first);
	wrmsr(MSR_IA32_TSC, 1UL << 52);
	second = rdtsc();
	GUEST_ASSERT(second >= 1UL << 52 && second < 1UL << 53);
	wrmsr(MSR_IA32_TSC, 0);
	second = rdtsc();
	GUEST_ASSERT(second < 1UL << 52);
}

TEST(tsc)
{
	run_guest(guest_tsc);
}

static void guest_apic_base(void)
{
	u64 base = rdmsr(MSR_IA32_APICBASE);

	GUEST_ASSERT_EQ(base & 0xfffff000, 0xfee00000);
	GUEST_ASSERT(base & 1 << 8);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_APICBASE, base | 1), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_APICBASE, base | 1UL << 60),
			GP_VECTOR);
}

TEST(apic_base)
{
	run_guest(guest_apic_base);
}

/* What Linux reads or writes at boot without looking first */
static void guest_linux_boot(void)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_IA32_MISC_ENABLE, &value),
			GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr_safe(0x8b, &value), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr_safe(0xfe, &value), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr_safe(0x2ff, &value), GUEST_NO_FAULT);
}

TEST(linux_boot)
{
	run_guest(guest_linux_boot);
}

/*
 * A kernel that steps over branches for a debugger sets BTF, with no CPUID bit to
 * ask first. Other bits are of features that the guest does not have.
 */
static void guest_debugctl(void)
{
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_DEBUGCTL), 0);
	wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_LBR);
	wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_BTF);
	wrmsr(MSR_IA32_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_DEBUGCTL), 0);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_DEBUGCTL, DEBUGCTL_BTS), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_DEBUGCTL,
				   DEBUGCTL_BTF | DEBUGCTL_BTS), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_DEBUGCTL, 1UL << 63), GP_VECTOR);
	wrmsr(MSR_IA32_DEBUGCTL, 0);
}

TEST(debugctl)
{
	run_guest(guest_debugctl);
}

static void guest_vmx_msrs(void)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_IA32_VMX_BASIC, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_VMX_BASIC, 0), GP_VECTOR);
}

/* The host's VMX is not shown. */
TEST(vmx_msrs)
{
	if (!dev_is_minivmm())
		SKIP("stock KVM offers nested VMX");
	run_guest(guest_vmx_msrs);
}

/* IA32_XSS can be 0 only: no supervisor states (SDM volume 1, 13.3). */
static void guest_xss(void)
{
	unsigned int bit;

	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_XSS), 0);
	wrmsr(MSR_IA32_XSS, 0);
	for (bit = 0; bit < 64; bit++)
		GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_XSS, 1UL << bit),
				GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_XSS), 0);
}

TEST(xss)
{
	struct minivmm_cpuid_entry2 *d1 = cpuid_entry(supported_cpuid(), 0xd, 1);
	struct vcpu *vcpu;
	u64 value = 1;
	int bit;

	if (!d1 || !(d1->eax & 1 << 3))
		SKIP("no XSAVES");
	if (d1->ecx | d1->edx)
		SKIP("supervisor states are offered");
	vcpu = vcpu_create(vm_create(), 0);
	EXPECT(vcpu_get_msr(vcpu, MSR_IA32_XSS, &value));
	EXPECT_EQ(value, 0);
	EXPECT(vcpu_set_msr(vcpu, MSR_IA32_XSS, 0));
	for (bit = 0; bit < 64; bit++)
		EXPECT(!vcpu_set_msr(vcpu, MSR_IA32_XSS, 1ULL << bit));
	vcpu_setup_long(vcpu, guest_xss, 0);
	ASSERT_DONE(vcpu);
}

static u64 user_rdmsr(u64 index)
{
	u64 value;

	return rdmsr_safe(index, &value);
}

static u64 user_wrmsr(u64 index)
{
	return wrmsr_safe(index, 0);
}

static void guest_ring3(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_rdmsr, MSR_LSTAR), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_call_user(user_wrmsr, MSR_LSTAR), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_call_user(user_rdmsr, MSR_FS_BASE), GP_VECTOR);
}

TEST(ring3)
{
	run_guest(guest_ring3);
}

// SPDX-License-Identifier: GPL-2.0
/* Machine-check banks, and errors that the client puts there. */
#include "guest.h"

#define MSR_MCG_CAP	0x179
#define MSR_MCG_STATUS	0x17a
#define MSR_MCG_CTL	0x17b
#define MSR_MC_CTL(n)	(0x400 + 4 * (n))
#define MSR_MC_STATUS(n) (0x401 + 4 * (n))
#define MSR_MC_ADDR(n)	(0x402 + 4 * (n))
#define MSR_MC_MISC(n)	(0x403 + 4 * (n))

#define MCG_CTL_P	(1ULL << 8)
#define MCG_TES_P	(1ULL << 11)
#define MCG_SER_P	(1ULL << 24)
#define MCG_RIPV	(1ULL << 0)
#define MCG_MCIP	(1ULL << 2)

#define MCI_VAL		(1ULL << 63)
#define MCI_OVER	(1ULL << 62)
#define MCI_UC		(1ULL << 61)
#define MCI_EN		(1ULL << 60)

#define MC_VECTOR	18
#define CR4_MCE		(1UL << 6)
#define BANKS		10

static int setup_mce(struct vcpu *vcpu, u64 cap)
{
	return ioctl(vcpu->fd, MINIVMM_X86_SETUP_MCE, &cap);
}

static struct vcpu *mce_vcpu(void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	ASSERT_OK(setup_mce(vcpu, MCG_CTL_P | MCG_SER_P | BANKS));
	vcpu_setup_long(vcpu, fn, 0);
	return vcpu;
}

static int set_mce(struct vcpu *vcpu, u8 bank, u64 status, u64 addr)
{
	struct minivmm_x86_mce mce = {
		.status = status, .addr = addr, .misc = 0x55,
		.mcg_status = MCG_RIPV | MCG_MCIP, .bank = bank,
	};

	return ioctl(vcpu->fd, MINIVMM_X86_SET_MCE, &mce);
}

static u64 get_msr(struct vcpu *vcpu, u32 index)
{
	u64 data = 0;

	ASSERT(vcpu_get_msr(vcpu, index, &data));
	return data;
}

TEST(supported)
{
	int fd = dev_open();
	u64 cap = 0;

	ASSERT_OK(ioctl(fd, MINIVMM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	EXPECT(cap & MCG_CTL_P);
	EXPECT(cap & MCG_SER_P);
	EXPECT_EQ(cap & 0xff, 0);
	EXPECT_EQ(cap & MCG_TES_P, 0);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_X86_GET_MCE_CAP_SUPPORTED, 8), EFAULT);
}

TEST(setup_arguments)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	EXPECT_EQ(get_msr(vcpu, MSR_MCG_CAP), 32);
	EXPECT_ERRNO(setup_mce(vcpu, MCG_CTL_P), EINVAL);
	EXPECT_ERRNO(setup_mce(vcpu, 33), EINVAL);
	EXPECT_ERRNO(setup_mce(vcpu, 10 | MCG_TES_P), EINVAL);
	EXPECT_ERRNO(setup_mce(vcpu, 10 | 1ULL << 63), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_X86_SETUP_MCE, 8), EFAULT);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_X86_SET_MCE, 8), EFAULT);
	EXPECT_EQ(get_msr(vcpu, MSR_MCG_CAP), 32);
	EXPECT_OK(setup_mce(vcpu, 32 | MCG_CTL_P));
	EXPECT_EQ(get_msr(vcpu, MSR_MCG_CAP), 32 | MCG_CTL_P);
}

/* No error, and no bank */
TEST(set_arguments)
{
	struct vcpu *vcpu = mce_vcpu(NULL);

	EXPECT_ERRNO(set_mce(vcpu, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(set_mce(vcpu, 0, MCI_UC, 0), EINVAL);
	EXPECT_ERRNO(set_mce(vcpu, BANKS, MCI_VAL, 0), EINVAL);
	EXPECT_ERRNO(set_mce(vcpu, 255, MCI_VAL, 0), EINVAL);
}

TEST(client_msrs)
{
	struct vcpu *vcpu = mce_vcpu(NULL);
	u64 data;

	EXPECT_EQ(get_msr(vcpu, MSR_MCG_CTL), ~0ULL);
	EXPECT_EQ(get_msr(vcpu, MSR_MC_CTL(0)), ~0ULL);
	EXPECT_EQ(get_msr(vcpu, MSR_MC_CTL(BANKS - 1)), ~0ULL);
	EXPECT(!vcpu_set_msr(vcpu, MSR_MCG_CAP, 32));
	EXPECT(!vcpu_get_msr(vcpu, MSR_MC_CTL(BANKS), &data));
	EXPECT(!vcpu_set_msr(vcpu, MSR_MC_CTL(BANKS), 0));
	/* what the guest could not write, but a client must restore */
	EXPECT(vcpu_set_msr(vcpu, MSR_MC_STATUS(1), MCI_VAL | 3));
	EXPECT_EQ(get_msr(vcpu, MSR_MC_STATUS(1)), MCI_VAL | 3);
	EXPECT(vcpu_set_msr(vcpu, MSR_MC_MISC(BANKS - 1), 7));
	EXPECT_EQ(get_msr(vcpu, MSR_MC_MISC(BANKS - 1)), 7);
	EXPECT(!vcpu_set_msr(vcpu, MSR_MC_CTL(1), 3));
	EXPECT(!vcpu_set_msr(vcpu, MSR_MCG_CTL, 3));
	/* without the control register, there is but its 0 */
	ASSERT_OK(setup_mce(vcpu, BANKS));
	EXPECT(!vcpu_set_msr(vcpu, MSR_MCG_CTL, ~0ULL));
	EXPECT(vcpu_set_msr(vcpu, MSR_MCG_CTL, 0));
}

static void guest_msrs(void)
{
	u64 value;
	u32 i;

	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_CAP), MCG_CTL_P | MCG_SER_P | BANKS);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_MCG_CAP, BANKS), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_STATUS), 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_CTL), ~0ULL);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_MCG_CTL, 1), GP_VECTOR);
	for (i = 0; i < BANKS; i++) {
		GUEST_ASSERT_EQ(rdmsr(MSR_MC_CTL(i)), ~0ULL);
		GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(i)), 0);
		wrmsr(MSR_MC_CTL(i), 0);
		GUEST_ASSERT_EQ(rdmsr(MSR_MC_CTL(i)), 0);
		GUEST_ASSERT_EQ(wrmsr_safe(MSR_MC_CTL(i), 2), GP_VECTOR);
		/* Linux's way around errata of AMD's and of P6 */
		wrmsr(MSR_MC_CTL(i), ~0ULL & ~(1ULL << 10));
		wrmsr(MSR_MC_CTL(i), ~0ULL & ~1ULL);
		wrmsr(MSR_MC_STATUS(i), 0);
		GUEST_ASSERT_EQ(wrmsr_safe(MSR_MC_STATUS(i), MCI_VAL),
				GP_VECTOR);
		wrmsr(MSR_MC_ADDR(i), i);
		GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(i)), i);
	}
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_MC_CTL(BANKS), &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_MC_CTL(BANKS), 0), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_MC_MISC(31), &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_MC_CTL(0) - 1, &value), GP_VECTOR);
}

TEST(guest_msrs)
{
	struct vcpu *vcpu = mce_vcpu(guest_msrs);

	ASSERT_DONE(vcpu);
}

static void guest_no_ctl(void)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_CAP), 32);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_MCG_CTL, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_MCG_CTL, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(31)), 0);
}

/* A client that says nothing */
TEST(guest_default)
{
	run_guest(guest_no_ctl);
}

static volatile u32 mc_count;

static void mc_handler(__attribute__((unused)) struct guest_regs *regs)
{
	mc_count++;
}

static void guest_uncorrected(void)
{
	guest_handlers[MC_VECTOR] = mc_handler;
	write_cr4(read_cr4() | CR4_MCE);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(mc_count, 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_STATUS), MCG_RIPV | MCG_MCIP);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(2)), MCI_VAL | MCI_UC | MCI_EN);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(2)), 0x1234000);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_MISC(2)), 0x55);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(1)), 0);
	wrmsr(MSR_MCG_STATUS, 0);
	guest_sync(2, 0);
	/* the second one found the first */
	GUEST_ASSERT_EQ(mc_count, 2);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(2)),
			MCI_VAL | MCI_UC | MCI_EN | MCI_OVER);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(2)), 0x5678000);
	wrmsr(MSR_MC_STATUS(2), 0);
	wrmsr(MSR_MCG_STATUS, 0);
	/* not reported: the bank, then all */
	wrmsr(MSR_MC_CTL(2), 0);
	guest_sync(3, 0);
	wrmsr(MSR_MC_CTL(2), ~0ULL);
	wrmsr(MSR_MCG_CTL, 0);
	guest_sync(4, 0);
	GUEST_ASSERT_EQ(mc_count, 2);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(2)), 0);
}

TEST(uncorrected)
{
	struct vcpu *vcpu = mce_vcpu(guest_uncorrected);
	u64 status = MCI_VAL | MCI_UC | MCI_EN;

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(set_mce(vcpu, 2, status, 0x1234000));
	ASSERT_SYNC(vcpu, 2);
	ASSERT_OK(set_mce(vcpu, 2, status, 0x5678000));
	ASSERT_SYNC(vcpu, 3);
	ASSERT_OK(set_mce(vcpu, 2, status, 0));
	ASSERT_SYNC(vcpu, 4);
	ASSERT_OK(set_mce(vcpu, 2, status, 0));
	ASSERT_DONE(vcpu);
}

static void guest_corrected(void)
{
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(0)), MCI_VAL | 7);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(0)), 0x1000);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(0)), MCI_VAL | MCI_OVER | 8);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(0)), 0x2000);
	GUEST_ASSERT_EQ(rdmsr(MSR_MCG_STATUS), 0);
	guest_sync(3, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_STATUS(0)), MCI_VAL | MCI_UC | MCI_OVER);
	GUEST_ASSERT_EQ(rdmsr(MSR_MC_ADDR(0)), 0);
}

/* Found by who looks; they do not take the place of an uncorrected one. */
TEST(corrected)
{
	struct vcpu *vcpu = mce_vcpu(guest_corrected);

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(set_mce(vcpu, 0, MCI_VAL | 7, 0x1000));
	ASSERT_SYNC(vcpu, 2);
	ASSERT_OK(set_mce(vcpu, 0, MCI_VAL | 8, 0x2000));
	ASSERT_SYNC(vcpu, 3);
	ASSERT(vcpu_set_msr(vcpu, MSR_MC_STATUS(0), MCI_VAL | MCI_UC));
	ASSERT(vcpu_set_msr(vcpu, MSR_MC_ADDR(0), 0));
	ASSERT_OK(set_mce(vcpu, 0, MCI_VAL | 9, 0x3000));
	ASSERT_DONE(vcpu);
}

static void guest_shutdown(void)
{
	guest_handlers[MC_VECTOR] = mc_handler;
	guest_sync(1, 0);
}

/* CR4.MCE is off, or the last one is still being handled (SDM 16.3.1.2) */
TEST(shutdown)
{
	struct vcpu *vcpu = mce_vcpu(guest_shutdown);
	struct minivmm_sregs sregs;

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(set_mce(vcpu, 0, MCI_VAL | MCI_UC, 0));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);

	vcpu = mce_vcpu(guest_shutdown);
	ASSERT_SYNC(vcpu, 1);
	sregs = vcpu_sregs(vcpu);
	sregs.cr4 |= CR4_MCE;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT(vcpu_set_msr(vcpu, MSR_MCG_STATUS, MCG_MCIP));
	ASSERT_OK(set_mce(vcpu, 0, MCI_VAL | MCI_UC, 0));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_SHUTDOWN);
}

TEST(vapic_addr)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_vapic_addr va = { 0 };

	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_VAPIC_ADDR, &va));
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VAPIC_ADDR, 8), EFAULT);
	va.vapic_addr = MMIO_GPA;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VAPIC_ADDR, &va), EINVAL);
	vcpu = vcpu_create(vm_create(), 0);
	va.vapic_addr = 0;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VAPIC_ADDR, &va), EINVAL);
}

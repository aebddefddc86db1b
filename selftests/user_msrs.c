// SPDX-License-Identifier: GPL-2.0
/*
 * MSR accesses that are the client's: X86_SET_MSR_FILTER, and the exits of
 * CAP_X86_USER_SPACE_MSR.
 */
#include <pthread.h>
#include <unistd.h>

#include "apic.h"

/* Nobody has these. */
#define MSR_UNKNOWN	0x474f4f00
#define MSR_FAR		0xdeadbeef

#define ALL_REASONS	(MINIVMM_MSR_EXIT_REASON_INVAL |	\
			 MINIVMM_MSR_EXIT_REASON_UNKNOWN |	\
			 MINIVMM_MSR_EXIT_REASON_FILTER)
#define READ_WRITE	(MINIVMM_MSR_FILTER_READ | MINIVMM_MSR_FILTER_WRITE)

/* Bitmaps are read in units of 8 bytes. */
static u64 nothing[MINIVMM_MSR_FILTER_MAX_BITMAP_SIZE / 8];
static u64 everything = ~0ULL;

static int set_filter(struct vm *vm, const struct minivmm_msr_filter *filter)
{
	return ioctl(vm->fd, MINIVMM_X86_SET_MSR_FILTER, filter);
}

/* Deny one MSR, allow all else. */
static void deny(struct vm *vm, u32 index, u32 access)
{
	struct minivmm_msr_filter filter = {
		.ranges[0] = {
			.flags = access, .nmsrs = 1, .base = index,
			.bitmap = (void *)nothing,
		},
	};

	ASSERT_OK(set_filter(vm, &filter));
}

static void allow_all(struct vm *vm)
{
	struct minivmm_msr_filter filter = {};

	ASSERT_OK(set_filter(vm, &filter));
}

static struct vcpu *make_guest(void *fn, u64 reasons)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, 0);
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_USER_SPACE_MSR, reasons));
	return vcpu;
}

static void assert_rdmsr(struct vcpu *vcpu, u32 index, u32 reason)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_X86_RDMSR);
	ASSERT_EQ(vcpu->run->msr.index, index);
	ASSERT_EQ(vcpu->run->msr.reason, reason);
	ASSERT_EQ(vcpu->run->msr.error, 0);
}

static void assert_wrmsr(struct vcpu *vcpu, u32 index, u32 reason, u64 data)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_X86_WRMSR);
	ASSERT_EQ(vcpu->run->msr.index, index);
	ASSERT_EQ(vcpu->run->msr.reason, reason);
	ASSERT_EQ(vcpu->run->msr.data, data);
	ASSERT_EQ(vcpu->run->msr.error, 0);
}

/* ---- the exits ------------------------------------------------------------ */

static void guest_unknown(void)
{
	struct guest_gprs gprs = {
		.c = MSR_UNKNOWN, .a = ~0ULL, .d = ~0ULL, .b = 0x1122334455667788,
	};

	GUEST_ASSERT_EQ(guest_try_regs("rdmsr", gprs), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(gprs.a, 0x89abcdef);
	GUEST_ASSERT_EQ(gprs.d, 0x01234567);
	GUEST_ASSERT_EQ(gprs.b, 0x1122334455667788);
	GUEST_ASSERT_EQ(gprs.c, MSR_UNKNOWN);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_FAR, 0x1234567890), GUEST_NO_FAULT);
}

TEST(unknown_is_the_clients)
{
	struct vcpu *vcpu = make_guest(guest_unknown, ALL_REASONS);
	u64 rip;

	assert_rdmsr(vcpu, MSR_UNKNOWN, MINIVMM_MSR_EXIT_REASON_UNKNOWN);
	rip = vcpu_regs(vcpu).rip;
	vcpu->run->msr.data = 0x0123456789abcdef;
	/* the instruction ends with the next RUN, even one that enters nothing */
	vcpu->run->immediate_exit = 1;
	ASSERT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(vcpu_regs(vcpu).rip, rip + 2);
	assert_wrmsr(vcpu, MSR_FAR, MINIVMM_MSR_EXIT_REASON_UNKNOWN,
		     0x1234567890);
	ASSERT_DONE(vcpu);
}

static void guest_errors(void)
{
	u64 value, error;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_UNKNOWN, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_try_error(error, "wrmsr", "c"(MSR_UNKNOWN),
					"a"(1), "d"(0)), GP_VECTOR);
	GUEST_ASSERT_EQ(error, 0);
}

TEST(client_says_error)
{
	struct vcpu *vcpu = make_guest(guest_errors, ALL_REASONS);

	assert_rdmsr(vcpu, MSR_UNKNOWN, MINIVMM_MSR_EXIT_REASON_UNKNOWN);
	vcpu->run->msr.error = 1;
	assert_wrmsr(vcpu, MSR_UNKNOWN, MINIVMM_MSR_EXIT_REASON_UNKNOWN, 1);
	vcpu->run->msr.error = 0xff;
	ASSERT_DONE(vcpu);
}

static void guest_invalid(void)
{
	wrmsr_safe(MSR_IA32_PAT, 2);
	wrmsr_safe(MSR_IA32_APICBASE, ~0ULL);
}

/* It exists, but not with this value. */
TEST(invalid_is_the_clients)
{
	struct vcpu *vcpu = make_guest(guest_invalid,
				       MINIVMM_MSR_EXIT_REASON_INVAL);

	assert_wrmsr(vcpu, MSR_IA32_PAT, MINIVMM_MSR_EXIT_REASON_INVAL, 2);
	assert_wrmsr(vcpu, MSR_IA32_APICBASE, MINIVMM_MSR_EXIT_REASON_INVAL,
		     ~0ULL);
	ASSERT_DONE(vcpu);
}

static void guest_other_reasons(void)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_UNKNOWN, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_UNKNOWN, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_LSTAR, &value), GP_VECTOR);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_PAT, 2), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_UNKNOWN, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_LSTAR, &value), GP_VECTOR);
}

/* A reason that was not asked for is #GP. */
TEST(other_reasons)
{
	struct vcpu *vcpu = make_guest(guest_other_reasons,
				       MINIVMM_MSR_EXIT_REASON_INVAL);

	deny(vcpu->vm, MSR_LSTAR, READ_WRITE);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(vm_enable_cap(vcpu->vm, MINIVMM_CAP_X86_USER_SPACE_MSR, 0));
	ASSERT_DONE(vcpu);
}

/* ---- the filter ------------------------------------------------------------- */

static void guest_denied(void)
{
	u64 value;

	GUEST_ASSERT_EQ(wrmsr_safe(MSR_LSTAR, 0x1000), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_LSTAR, &value), GP_VECTOR);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_LSTAR, &value), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(value, 0x1000);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_LSTAR, 0x2000), GP_VECTOR);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_LSTAR), 0x1000);
	wrmsr(MSR_LSTAR, 0x2000);
	GUEST_ASSERT_EQ(rdmsr(MSR_LSTAR), 0x2000);
}

TEST(denied_is_gp)
{
	struct vcpu *vcpu = make_guest(guest_denied, 0);

	deny(vcpu->vm, MSR_LSTAR, MINIVMM_MSR_FILTER_READ);
	ASSERT_SYNC(vcpu, 1);
	deny(vcpu->vm, MSR_LSTAR, MINIVMM_MSR_FILTER_WRITE);
	ASSERT_SYNC(vcpu, 2);
	allow_all(vcpu->vm);
	ASSERT_DONE(vcpu);
}

/* The client itself is not filtered. */
TEST(client_not_filtered)
{
	struct vcpu *vcpu = make_guest(guest_denied, 0);
	u64 value;

	deny(vcpu->vm, MSR_LSTAR, READ_WRITE);
	EXPECT(vcpu_set_msr(vcpu, MSR_LSTAR, 0x5000));
	EXPECT(vcpu_get_msr(vcpu, MSR_LSTAR, &value));
	EXPECT_EQ(value, 0x5000);
}

#define FS_VALUE	0x7f1234567000
#define GS_VALUE	0xffff888076543000
#define KGS_VALUE	0xffff888012345678

static u64 read_fs_0(void)
{
	u64 value;

	asm volatile("mov %%fs:0, %0" : "=r"(value));
	return value;
}

/* One of four is denied; the others must be as they always are. */
static void guest_direct(void)
{
	u64 value;

	wrmsr(MSR_FS_BASE, DATA_GPA);
	wrmsr(MSR_GS_BASE, GS_VALUE);
	wrmsr(MSR_KERNEL_GS_BASE, KGS_VALUE);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_FS_BASE), 0x1111);
	GUEST_ASSERT_EQ(rdmsr(MSR_GS_BASE), GS_VALUE);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), KGS_VALUE);
	/* writes are not denied, and work */
	wrmsr(MSR_FS_BASE, DATA_GPA + 8);
	*(u64 *)(DATA_GPA + 8) = 0x77;
	GUEST_ASSERT_EQ(read_fs_0(), 0x77);
	wrmsr(MSR_KERNEL_GS_BASE, FS_VALUE);
	asm volatile("swapgs");
	GUEST_ASSERT_EQ(rdmsr(MSR_GS_BASE), FS_VALUE);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), GS_VALUE);
	wrmsr(MSR_GS_BASE, KGS_VALUE);
	asm volatile("swapgs");
	GUEST_ASSERT_EQ(rdmsr(MSR_GS_BASE), GS_VALUE);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), KGS_VALUE);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_GS_BASE, NONCANONICAL), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_KERNEL_GS_BASE, NONCANONICAL),
			GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), KGS_VALUE);
	value = rdtsc();
	GUEST_ASSERT(rdmsr(MSR_IA32_TSC) >= value);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC), 0x2222);
	GUEST_ASSERT_EQ(rdmsr(MSR_FS_BASE), DATA_GPA + 8);
	guest_sync(3, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x3333);
	wrmsr(MSR_KERNEL_GS_BASE, 0x4444);	/* vanishes */
	guest_sync(4, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_KERNEL_GS_BASE), KGS_VALUE);
}

/* MSRs that otherwise need no exit */
TEST(direct_msrs)
{
	struct vcpu *vcpu = make_guest(guest_direct,
				       MINIVMM_MSR_EXIT_REASON_FILTER);

	ASSERT_SYNC(vcpu, 1);
	deny(vcpu->vm, MSR_FS_BASE, MINIVMM_MSR_FILTER_READ);
	assert_rdmsr(vcpu, MSR_FS_BASE, MINIVMM_MSR_EXIT_REASON_FILTER);
	vcpu->run->msr.data = 0x1111;
	ASSERT_SYNC(vcpu, 2);
	deny(vcpu->vm, MSR_IA32_TSC, READ_WRITE);
	assert_rdmsr(vcpu, MSR_IA32_TSC, MINIVMM_MSR_EXIT_REASON_FILTER);
	vcpu->run->msr.data = 0x2222;
	ASSERT_SYNC(vcpu, 3);
	deny(vcpu->vm, MSR_KERNEL_GS_BASE, READ_WRITE);
	assert_rdmsr(vcpu, MSR_KERNEL_GS_BASE, MINIVMM_MSR_EXIT_REASON_FILTER);
	vcpu->run->msr.data = 0x3333;
	assert_wrmsr(vcpu, MSR_KERNEL_GS_BASE, MINIVMM_MSR_EXIT_REASON_FILTER,
		     0x4444);
	ASSERT_SYNC(vcpu, 4);
	allow_all(vcpu->vm);
	ASSERT_DONE(vcpu);
}

static void guest_default_deny(void)
{
	u64 value;

	/* the first range that has it, for the access, counts */
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_STAR, &value), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_STAR, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_LSTAR, 0), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_LSTAR, &value), GP_VECTOR);
	/* nobody has it */
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_IA32_PAT, &value), GP_VECTOR);
	/* in the first, whose bitmap says no; the last is too late */
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_CSTAR, &value), GP_VECTOR);
}

TEST(default_deny)
{
	static u64 star_only = 1;
	struct minivmm_msr_filter filter = {
		.flags = MINIVMM_MSR_FILTER_DEFAULT_DENY,
		.ranges = {
			{ .flags = MINIVMM_MSR_FILTER_READ, .nmsrs = 3,
			  .base = MSR_STAR, .bitmap = (void *)&star_only },
			{ .nmsrs = 0, .flags = ~0U },
			{ .flags = MINIVMM_MSR_FILTER_WRITE, .nmsrs = 1,
			  .base = MSR_LSTAR, .bitmap = (void *)&everything },
			{ .flags = READ_WRITE, .nmsrs = 1,
			  .base = MSR_CSTAR, .bitmap = (void *)&everything },
		},
	};
	struct vcpu *vcpu = make_guest(guest_default_deny, 0);

	ASSERT_OK(set_filter(vcpu->vm, &filter));
	ASSERT_DONE(vcpu);
}

#define X2APIC_ENABLE	(1 << 10)
#define X2APIC_ID	0x802

static void guest_x2apic(void)
{
	u64 value;

	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | X2APIC_ENABLE);
	GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_ID, &value), GUEST_NO_FAULT);
}

/* The x2APIC's registers are never filtered. */
TEST(x2apic_not_filtered)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, guest_x2apic, 0);
	deny(vm, X2APIC_ID, READ_WRITE);
	ASSERT_DONE(vcpu);
}

static void guest_deadline(void)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, 0x123456789abcdef);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0x77);
}

/*
 * The TSC deadline, of a local APIC that is the client's, as its own timer needs
 * it. With its preemption timer, KVM drops a write before it asks the filter.
 */
TEST(tsc_deadline)
{
	struct vcpu *vcpu = make_guest(guest_deadline,
				       MINIVMM_MSR_EXIT_REASON_FILTER);

	deny(vcpu->vm, MSR_IA32_TSC_DEADLINE, READ_WRITE);
	if (!dev_is_minivmm())
		SKIP("KVM may drop the write");
	assert_wrmsr(vcpu, MSR_IA32_TSC_DEADLINE,
		     MINIVMM_MSR_EXIT_REASON_FILTER, 0x123456789abcdef);
	assert_rdmsr(vcpu, MSR_IA32_TSC_DEADLINE,
		     MINIVMM_MSR_EXIT_REASON_FILTER);
	vcpu->run->msr.data = 0x77;
	ASSERT_DONE(vcpu);
}

/* ---- bad input -------------------------------------------------------------- */

TEST(bad_filters)
{
	struct vm *vm = vm_create();
	struct minivmm_msr_filter filter = { .flags = 2 };
	struct minivmm_msr_filter_range *range = &filter.ranges[15];

	EXPECT_ERRNO(set_filter(vm, (void *)0x1000), EFAULT);
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);
	/* would deny all, and says so in no range */
	filter.flags = MINIVMM_MSR_FILTER_DEFAULT_DENY;
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);

	filter.flags = 0;
	range->nmsrs = 1;
	range->bitmap = (void *)nothing;
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);	/* no access */
	range->flags = 4;
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);
	range->flags = READ_WRITE;
	range->bitmap = (void *)0x1000;
	EXPECT_ERRNO(set_filter(vm, &filter), EFAULT);
	range->bitmap = (void *)nothing;
	range->nmsrs = sizeof(nothing) * 8 + 1;
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);
	range->nmsrs = ~0U;
	EXPECT_ERRNO(set_filter(vm, &filter), EINVAL);
	range->nmsrs = sizeof(nothing) * 8;
	EXPECT_OK(set_filter(vm, &filter));
}

TEST(bad_reasons)
{
	struct vm *vm = vm_create();

	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_X86_USER_SPACE_MSR, 8),
		     EINVAL);
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_X86_USER_SPACE_MSR,
				   1ULL << 32), EINVAL);
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_X86_USER_SPACE_MSR,
				ALL_REASONS));
}

/* A failed call leaves the filter as it was. */
TEST(failure_changes_nothing)
{
	struct vcpu *vcpu = make_guest(guest_denied, 0);
	struct minivmm_msr_filter bad = {
		.ranges[1] = {
			.flags = READ_WRITE, .nmsrs = 1,
			.bitmap = (void *)0x1000,
		},
	};

	deny(vcpu->vm, MSR_LSTAR, MINIVMM_MSR_FILTER_READ);
	EXPECT_ERRNO(set_filter(vcpu->vm, &bad), EFAULT);
	ASSERT_SYNC(vcpu, 1);
}

/* ---- while the guest runs ------------------------------------------------------ */

static volatile bool stop;

static void *replace_filters(void *arg)
{
	struct vm *vm = arg;
	int i;

	for (i = 0; i < 200 && !stop; i++) {
		deny(vm, MSR_FS_BASE, READ_WRITE);
		deny(vm, MSR_LSTAR, READ_WRITE);
	}
	stop = true;
	return NULL;
}

static void guest_race(u64 value)
{
	for (;;) {
		u64 got;

		/* #GP under one filter, what was written under the other */
		if (rdmsr_safe(MSR_FS_BASE, &got) == GUEST_NO_FAULT)
			GUEST_ASSERT_EQ(got, value);
		if (rdmsr_safe(MSR_LSTAR, &got) == GUEST_NO_FAULT)
			GUEST_ASSERT_EQ(got, 0);
		guest_sync(1, 0);
	}
}

TEST(replaced_while_running)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct minivmm_sregs sregs;
	pthread_t thread;
	int rounds = 0;

	vcpu_setup_long(vcpu, guest_race, DATA_GPA);
	sregs = vcpu_sregs(vcpu);
	sregs.fs.base = DATA_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	ASSERT_EQ(pthread_create(&thread, NULL, replace_filters, vm), 0);
	while (!stop) {
		ASSERT_SYNC(vcpu, 1);
		rounds++;
	}
	pthread_join(thread, NULL);
	ASSERT(rounds);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC's registers: reset, masks, what is reserved, both interfaces
 * and the changes between them. SDM volume 3, chapter 11.
 */
#include "apic.h"

#define VECTOR	0x55

static struct vcpu *start_id(void *fn, u64 arg, int id)
{
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), id);

	vcpu_setup_long(vcpu, fn, arg);
	vcpu_set_mp_state(vcpu, MINIVMM_MP_STATE_RUNNABLE);
	return vcpu;
}

static struct vcpu *start(void *fn, u64 arg)
{
	return start_id(fn, arg, 0);
}

static void run(void *fn, u64 arg)
{
	struct vcpu *vcpu = start(fn, arg);

	ASSERT_DONE(vcpu);
}

/* Older KVMs leave it out of what they support: it needs a local APIC. */
static void offer_deadline_timer(void)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
}

static void hide_deadline_timer(void)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx &= ~(1U << 24);
}

static volatile u64 hits;

static void guest_count(struct guest_regs *regs)
{
	hits += !!regs->vector;
	apic_eoi();
}

static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1U << (id & 15);
}

/* ------------------------------------------------------------------------ */
/* Reset: SDM 11.4.7                                                         */

static const u32 lvts[] = {
	APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PMC, APIC_LVT_LINT1,
	APIC_LVT_ERROR,
};

static void check_reset(struct vcpu *vcpu, u64 mode)
{
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);
	u32 i, lint0 = *lapic_reg(&lapic, APIC_LVT_LINT0);

	EXPECT_EQ(*lapic_reg(&lapic, APIC_ID), (u32)vcpu->id << 24);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_TPR), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_PPR), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_LDR),
		  mode == X2APIC ? x2apic_ldr(vcpu->id) : 0);
	if (mode == XAPIC)
		EXPECT_EQ(*lapic_reg(&lapic, APIC_DFR), DFR_FLAT);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_SVR), 0xff);
	for (i = 0; i < 8 * 16; i += 16) {
		EXPECT_EQ(*lapic_reg(&lapic, APIC_ISR + i), 0);
		EXPECT_EQ(*lapic_reg(&lapic, APIC_TMR + i), 0);
		EXPECT_EQ(*lapic_reg(&lapic, APIC_IRR + i), 0);
	}
	EXPECT_EQ(*lapic_reg(&lapic, APIC_ESR), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_ICR), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_ICR2), 0);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		EXPECT_EQ(*lapic_reg(&lapic, lvts[i]), LVT_MASKED);
	/* KVM's BSP starts as firmware would leave it: the PIC gets through. */
	if (vcpu->id || lint0 != DM_EXTINT)
		EXPECT_EQ(lint0, LVT_MASKED);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_TMICT), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_TMCCT), 0);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_TDCR), 0);
}

TEST(reset_values)
{
	struct vm *vm = vm_create_irqchip();

	check_reset(vcpu_create(vm, 0), XAPIC);
	check_reset(vcpu_create(vm, 1), XAPIC);
	check_reset(vcpu_create(vm, 7), XAPIC);
}

TEST(reset_apic_base)
{
	struct vm *vm = vm_create_irqchip();

	EXPECT_EQ(vcpu_sregs(vcpu_create(vm, 0)).apic_base,
		  XAPIC_GPA | APICBASE_EN | APICBASE_BSP);
	EXPECT_EQ(vcpu_sregs(vcpu_create(vm, 1)).apic_base,
		  XAPIC_GPA | APICBASE_EN);
}

TEST(reset_mp_state)
{
	struct vm *vm = vm_create_irqchip();

	EXPECT_EQ(vcpu_mp_state(vcpu_create(vm, 0)), MINIVMM_MP_STATE_RUNNABLE);
	EXPECT_EQ(vcpu_mp_state(vcpu_create(vm, 1)),
		  MINIVMM_MP_STATE_UNINITIALIZED);
}

static void guest_reset_values(u64 id)
{
	u32 i;

	GUEST_ASSERT_EQ(xapic_read(APIC_ID), id << 24);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_PPR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_DFR), DFR_FLAT);
	GUEST_ASSERT_EQ(xapic_read(APIC_SVR), 0xff);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR2), 0);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		GUEST_ASSERT_EQ(xapic_read(lvts[i]), LVT_MASKED);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMICT), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMCCT), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TDCR), 0);
}

TEST(xapic_reset_values_in_guest)
{
	run(guest_reset_values, 0);
}

TEST(xapic_reset_values_in_guest_ap)
{
	struct vcpu *vcpu = start_id(guest_reset_values, 3, 3);

	ASSERT_DONE(vcpu);
}

static void guest_x2apic_reset_values(u64 id)
{
	u32 i;

	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) | APICBASE_EXTD);
	GUEST_ASSERT_EQ(apic_read(APIC_ID), id);
	GUEST_ASSERT_EQ(apic_read(APIC_LDR), x2apic_ldr(id));
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_SVR), 0xff);
	GUEST_ASSERT_EQ(rdmsr(X2APIC_MSR(APIC_ICR)), 0);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		GUEST_ASSERT_EQ(apic_read(lvts[i]), LVT_MASKED);
	GUEST_ASSERT_EQ(apic_read(APIC_TMICT), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TDCR), 0);
}

TEST(x2apic_reset_values_in_guest)
{
	run(guest_x2apic_reset_values, 0);
}

TEST(x2apic_reset_values_in_guest_ap)
{
	struct vcpu *vcpu = start_id(guest_x2apic_reset_values, 5, 5);

	ASSERT_DONE(vcpu);
}

static void guest_version(u64 mode)
{
	u32 version;

	apic_start(mode);
	version = apic_read(APIC_VERSION);
	/* an integrated APIC; entries up to LVT error's at least */
	GUEST_ASSERT((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
	GUEST_ASSERT((version >> 16 & 0xff) >= 5);
	GUEST_ASSERT((version >> 16 & 0xff) <= 6);
	GUEST_ASSERT_EQ(version & 0xfe00ff00, 0);
}

TEST(xapic_version)
{
	run(guest_version, XAPIC);
}

TEST(x2apic_version)
{
	run(guest_version, X2APIC);
}

/* Changes every register that INIT has to set back. */
static void guest_scramble(u64 mode)
{
	u32 i;

	apic_start(mode);
	apic_write(APIC_TPR, 0x90);
	if (mode == XAPIC) {
		apic_write(APIC_LDR, 0x12000000);
		apic_write(APIC_DFR, DFR_CLUSTER);
	}
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], LVT_MASKED | 0x40);
	apic_write(APIC_LVT_LINT0, LVT_MASKED | 0x40);
	apic_write(APIC_TMICT, 0xfffffff0);
	apic_write(APIC_TDCR, 0xb);
	apic_send(4, ICR_SELF | ICR_ASSERT | 0x81);
	guest_sync(1, 0);
}

static void init_ap(u64 mode)
{
	struct vcpu *vcpu = start_id(guest_scramble, mode, 1);

	ASSERT_SYNC(vcpu, 1);
	EXPECT(vcpu_apic_bit(vcpu, APIC_IRR, 0x81));
	vcpu_set_apic_reg(vcpu, APIC_ISR + 0x20, 2);
	vcpu_set_apic_reg(vcpu, APIC_TMR + 0x20, 2);
	ASSERT_OK(vm_msi(vcpu->vm, MSI_DEST(1), DM_INIT | MSI_ASSERT));
	ASSERT_EQ(vcpu_mp_state(vcpu), MINIVMM_MP_STATE_INIT_RECEIVED);
	check_reset(vcpu, mode);
	EXPECT_EQ(vcpu_sregs(vcpu).apic_base, XAPIC_GPA | APICBASE_EN |
		  (mode == X2APIC ? APICBASE_EXTD : 0));
}

TEST(xapic_init_resets)
{
	init_ap(XAPIC);
}

/* INIT leaves the APIC in x2APIC mode, with its ID: SDM 11.12.5.1. */
TEST(x2apic_init_resets)
{
	init_ap(X2APIC);
}

/* ------------------------------------------------------------------------ */
/* What can be written                                                       */

struct mask {
	u32 reg;
	u32 writable;
	u32 ignore;		/* read-only to the CPU, kept by KVM */
};

static const struct mask masks[] = {
	{ APIC_TPR, 0xff },
	{ APIC_LVT_TIMER, 0x300ff, LVT_PENDING },
	{ APIC_LVT_THERMAL, 0x107ff, LVT_PENDING },
	{ APIC_LVT_PMC, 0x107ff, LVT_PENDING },
	{ APIC_LVT_LINT0, 0x1a7ff, LVT_PENDING | LVT_REMOTE_IRR },
	{ APIC_LVT_LINT1, 0x1a7ff, LVT_PENDING | LVT_REMOTE_IRR },
	{ APIC_LVT_ERROR, 0x100ff, LVT_PENDING },
	{ APIC_TMICT, 0xffffffff },
	{ APIC_TDCR, 0xb },
};

static volatile bool strict;

static void guest_check_mask(const struct mask *mask, u32 value)
{
	u32 ignore = strict ? 0 : mask->ignore;

	apic_write(mask->reg, value);
	GUEST_ASSERT_EQ(apic_read(mask->reg) & ~ignore,
			value & mask->writable & ~ignore);
}

static void guest_masks(u64 mode)
{
	const struct mask *mask;
	u32 i, all;

	apic_start(mode);
	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		mask = &masks[i];
		/* x2APIC faults where xAPIC ignores */
		all = mode == X2APIC ? mask->writable : 0xffffffff;
		guest_check_mask(mask, all);
		guest_check_mask(mask, all & 0x5a5a5a5a);
		guest_check_mask(mask, all & 0xa5a5a5a5);
		guest_check_mask(mask, 0);
	}
}

static void run_strict(void *fn, u64 arg)
{
	struct vcpu *vcpu = start(fn, arg);

	*vm_guest_ptr(vcpu->vm, &strict) = dev_is_minivmm();
	ASSERT_DONE(vcpu);
}

TEST(xapic_masks)
{
	hide_deadline_timer();
	run_strict(guest_masks, XAPIC);
}

TEST(x2apic_masks)
{
	hide_deadline_timer();
	run_strict(guest_masks, X2APIC);
}

static void guest_xapic_destination_masks(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_LDR, 0xffffffff);
	GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0xff000000);
	xapic_write(APIC_LDR, 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0);
	xapic_write(APIC_DFR, 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_DFR), 0x0fffffff);
	xapic_write(APIC_DFR, 0xf0000000);
	GUEST_ASSERT_EQ(xapic_read(APIC_DFR), 0xffffffff);
	xapic_write(APIC_ICR2, 0xffffffff);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR2), 0xff000000);
	xapic_write(APIC_ICR2, 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR2), 0);
}

TEST(xapic_destination_masks)
{
	run(guest_xapic_destination_masks, 0);
}

/* The delivery status is read-only, and idle: nothing takes time here. */
static void guest_xapic_icr(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_ICR2, 0x77000000);
	xapic_write(APIC_ICR, ICR_ASSERT | ICR_LOGICAL | ICR_BUSY | 0x31);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR), ICR_ASSERT | ICR_LOGICAL | 0x31);
	GUEST_ASSERT_EQ(xapic_read(APIC_ICR2), 0x77000000);
}

TEST(xapic_icr)
{
	run(guest_xapic_icr, 0);
}

static void guest_x2apic_icr(void)
{
	const u64 value = 0x1234567800000031UL | ICR_ASSERT;

	apic_start(X2APIC);
	wrmsr(X2APIC_MSR(APIC_ICR), value);
	GUEST_ASSERT_EQ(rdmsr(X2APIC_MSR(APIC_ICR)), value);
}

/* One register of 64 bits: SDM 11.12.9 */
TEST(x2apic_icr)
{
	run(guest_x2apic_icr, 0);
}

static void guest_svr(u64 mode)
{
	apic_start(mode);
	apic_write(APIC_SVR, 0x1a5);
	GUEST_ASSERT_EQ(apic_read(APIC_SVR), 0x1a5);
	apic_write(APIC_SVR, 0x15a);
	GUEST_ASSERT_EQ(apic_read(APIC_SVR), 0x15a);
	apic_write(APIC_SVR, 0x0ff);
	GUEST_ASSERT_EQ(apic_read(APIC_SVR), 0x0ff);
}

TEST(xapic_svr)
{
	run(guest_svr, XAPIC);
}

TEST(x2apic_svr)
{
	run(guest_svr, X2APIC);
}

static void guest_svr_masks(u64 mode)
{
	u32 i;

	apic_start(mode);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], 0x40 + i);
	apic_write(APIC_SVR, 0xff);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		GUEST_ASSERT_EQ(apic_read(lvts[i]), LVT_MASKED | (0x40 + i));
	/* The mask cannot be cleared while the APIC is disabled. */
	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		apic_write(lvts[i], 0x60 + i);
		GUEST_ASSERT_EQ(apic_read(lvts[i]), LVT_MASKED | (0x60 + i));
	}
	/* Nor does enabling it clear any. */
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		GUEST_ASSERT_EQ(apic_read(lvts[i]), LVT_MASKED | (0x60 + i));
}

/* SDM 11.4.7.2: software disable */
TEST(xapic_software_disable_masks_lvt)
{
	run(guest_svr_masks, XAPIC);
}

TEST(x2apic_software_disable_masks_lvt)
{
	run(guest_svr_masks, X2APIC);
}

static void guest_deadline_mode_bit(u64 expected)
{
	apic_start(XAPIC);
	xapic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_DEADLINE | 0x40);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_TIMER), expected);
}

/* Bit 18 of the LVT timer exists with CPUID.1:ECX.TSC_Deadline alone. */
TEST(lvt_timer_without_deadline)
{
	hide_deadline_timer();
	run(guest_deadline_mode_bit, LVT_MASKED | 0x40);
}

TEST(lvt_timer_with_deadline)
{
	offer_deadline_timer();
	run(guest_deadline_mode_bit, LVT_MASKED | LVT_DEADLINE | 0x40);
}

/* ------------------------------------------------------------------------ */
/* Read-only, write-only, reserved                                           */

static const u32 read_only[] = {
	APIC_VERSION, APIC_PPR, APIC_ISR, APIC_ISR + 0x70, APIC_TMR,
	APIC_TMR + 0x70, APIC_IRR, APIC_IRR + 0x70, APIC_TMCCT,
};

static void guest_xapic_read_only(void)
{
	u32 i, before;

	apic_start(XAPIC);
	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		before = xapic_read(read_only[i]);
		xapic_write(read_only[i], ~before);
		GUEST_ASSERT_EQ(xapic_read(read_only[i]), before);
	}
}

TEST(xapic_read_only)
{
	run(guest_xapic_read_only, 0);
}

static void guest_x2apic_read_only(void)
{
	u32 i;

	apic_start(X2APIC);
	for (i = 0; i < ARRAY_SIZE(read_only); i++)
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(read_only[i]), 0),
				GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ID), 0), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_LDR), 1), GP_VECTOR);
}

TEST(x2apic_read_only)
{
	run(guest_x2apic_read_only, 0);
}

static void guest_x2apic_write_only(void)
{
	u64 value;

	apic_start(X2APIC);
	GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(APIC_EOI), &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(APIC_SELF_IPI), &value),
			GP_VECTOR);
}

TEST(x2apic_write_only)
{
	run(guest_x2apic_write_only, 0);
}

/* Offsets that neither interface has: SDM table 11-6 */
static const u32 reserved[] = {
	0x000, 0x010, 0x040, 0x070, 0x290, 0x2e0, 0x3a0, 0x3d0,
};

/* And those that x2APIC has not */
static const u32 no_x2apic[] = { APIC_APR, APIC_RRD, APIC_DFR, APIC_ICR2 };

/* No fault and no exit; neighbours are not hit. */
static void guest_xapic_reserved(void)
{
	u32 i;

	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0x20);
	for (i = 0; i < ARRAY_SIZE(reserved); i++) {
		xapic_write(reserved[i], 0xffffffff);
		xapic_read(reserved[i]);
	}
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0x20);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMICT), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TDCR), 0);
}

TEST(xapic_reserved)
{
	run(guest_xapic_reserved, 0);
}

static void guest_x2apic_reserved_writes(void)
{
	u32 i, msr;

	apic_start(X2APIC);
	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(reserved[i]), 0),
				GP_VECTOR);
	for (i = 0; i < ARRAY_SIZE(no_x2apic); i++)
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(no_x2apic[i]), 0),
				GP_VECTOR);
	for (msr = 0x840; msr < 0x900; msr += 0x1f)
		GUEST_ASSERT_EQ(wrmsr_safe(msr, 0), GP_VECTOR);
}

TEST(x2apic_reserved_writes)
{
	run(guest_x2apic_reserved_writes, 0);
}

static void guest_x2apic_reserved_reads(void)
{
	u32 i, msr;
	u64 value;

	apic_start(X2APIC);
	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(reserved[i]), &value),
				GP_VECTOR);
	for (i = 0; i < ARRAY_SIZE(no_x2apic); i++)
		GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(no_x2apic[i]), &value),
				GP_VECTOR);
	for (msr = 0x840; msr < 0x900; msr += 0x1f)
		GUEST_ASSERT_EQ(rdmsr_safe(msr, &value), GP_VECTOR);
}

TEST(x2apic_reserved_reads)
{
	run(guest_x2apic_reserved_reads, 0);
}

/* With as many LVT entries as the version register says */
static void guest_x2apic_cmci(void)
{
	u64 value, vector;

	apic_start(X2APIC);
	vector = wrmsr_safe(X2APIC_MSR(APIC_LVT_CMCI), LVT_MASKED);
	if ((apic_read(APIC_VERSION) >> 16 & 0xff) >= 6) {
		GUEST_ASSERT_EQ(vector, GUEST_NO_FAULT);
		GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(APIC_LVT_CMCI), &value),
				GUEST_NO_FAULT);
		GUEST_ASSERT_EQ(value, LVT_MASKED);
	} else {
		GUEST_ASSERT_EQ(vector, GP_VECTOR);
	}
}

TEST(x2apic_cmci)
{
	run(guest_x2apic_cmci, 0);
}

static const u32 writable[] = {
	APIC_TPR, APIC_EOI, APIC_SVR, APIC_ESR, APIC_LVT_TIMER,
	APIC_LVT_THERMAL, APIC_LVT_PMC, APIC_LVT_LINT0, APIC_LVT_LINT1,
	APIC_LVT_ERROR, APIC_TMICT, APIC_TDCR, APIC_SELF_IPI,
};

static void guest_x2apic_upper_half(void)
{
	u32 i;

	apic_start(X2APIC);
	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(writable[i]), 1UL << 32),
				GP_VECTOR);
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(writable[i]), 1UL << 63),
				GP_VECTOR);
	}
}

/* Bits 63:32 are reserved in all but ICR: SDM 11.12.1.2. */
TEST(x2apic_upper_half)
{
	run(guest_x2apic_upper_half, 0);
}

static const struct {
	u32 reg;
	u32 reserved;
} reserved_bits[] = {
	{ APIC_TPR, ~0xffU },
	{ APIC_SVR, ~(0x1ffU | 1U << 9 | SVR_NO_EOI_BROADCAST) },
	{ APIC_LVT_TIMER, ~(0x700ffU | LVT_PENDING) },
	{ APIC_LVT_THERMAL, ~(0x107ffU | LVT_PENDING) },
	{ APIC_LVT_PMC, ~(0x107ffU | LVT_PENDING) },
	{ APIC_LVT_LINT0, ~(0x1a7ffU | LVT_PENDING | LVT_REMOTE_IRR) },
	{ APIC_LVT_LINT1, ~(0x1a7ffU | LVT_PENDING | LVT_REMOTE_IRR) },
	{ APIC_LVT_ERROR, ~(0x100ffU | LVT_PENDING) },
	{ APIC_TDCR, ~0xbU },
};

static void guest_x2apic_reserved_bits(void)
{
	u32 i, bit, msr;

	apic_start(X2APIC);
	for (i = 0; i < ARRAY_SIZE(reserved_bits); i++) {
		msr = X2APIC_MSR(reserved_bits[i].reg);
		for (bit = 0; bit < 32; bit++)
			if (reserved_bits[i].reserved >> bit & 1)
				GUEST_ASSERT_EQ(wrmsr_safe(msr, 1UL << bit),
						GP_VECTOR);
	}
}

TEST(x2apic_reserved_bits)
{
	if (!dev_is_minivmm())
		SKIP("KVM drops reserved bits without a fault");
	run(guest_x2apic_reserved_bits, 0);
}

static void guest_x2apic_icr_reserved(void)
{
	u32 bit;

	apic_start(X2APIC);
	for (bit = 20; bit < 32; bit++)
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ICR), 1UL << bit),
				GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ICR), 1UL << 13), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ICR), 3UL << 16), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(X2APIC_MSR(APIC_ICR)), 0);
}

TEST(x2apic_icr_reserved)
{
	run(guest_x2apic_icr_reserved, 0);
}

static void guest_x2apic_eoi(void)
{
	apic_start(X2APIC);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_EOI), 0), GUEST_NO_FAULT);
	if (strict)
		GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_EOI), 1), GP_VECTOR);
}

/* KVM without APICv takes any value. */
TEST(x2apic_eoi)
{
	run_strict(guest_x2apic_eoi, 0);
}

static void guest_x2apic_self_ipi(void)
{
	apic_start(X2APIC);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_SELF_IPI), 0x100 | VECTOR),
			GP_VECTOR);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, VECTOR));
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_SELF_IPI), VECTOR),
			GUEST_NO_FAULT);
	GUEST_ASSERT(apic_test_bit(APIC_IRR, VECTOR));
}

TEST(x2apic_self_ipi)
{
	run(guest_x2apic_self_ipi, 0);
}

/* In xAPIC mode the offset of SELF IPI is reserved. */
static void guest_xapic_no_self_ipi(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_SELF_IPI, VECTOR);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, VECTOR));
}

TEST(xapic_no_self_ipi)
{
	run(guest_xapic_no_self_ipi, 0);
}

static void guest_x2apic_esr(void)
{
	apic_start(X2APIC);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ESR), 1), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ESR), 0), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(apic_read(APIC_ESR), 0);
}

TEST(x2apic_esr)
{
	run(guest_x2apic_esr, 0);
}

/* Derived from the ID, whatever the host tries to set: SDM 11.12.10.2 */
TEST(x2apic_ldr_is_derived)
{
	static const int ids[] = { 0, 3, 15, 16, 35 };
	struct vm *vm = vm_create_irqchip();
	struct vcpu vcpu = { .vm = vm };
	int i, max = ASSERT_OK(ioctl(vm->dev_fd, MINIVMM_CHECK_EXTENSION,
				     MINIVMM_CAP_MAX_VCPU_ID));

	for (i = 0; i < (int)ARRAY_SIZE(ids) && ids[i] < max; i++) {
		vcpu.id = ids[i];
		vcpu.fd = ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU,
					  ids[i]));
		ASSERT_OK(ioctl(vcpu.fd, MINIVMM_SET_CPUID2,
				supported_cpuid()));
		vcpu_set_apic_mode(&vcpu, X2APIC);
		EXPECT_EQ(vcpu_apic_reg(&vcpu, APIC_LDR), x2apic_ldr(ids[i]));
		vcpu_set_apic_reg(&vcpu, APIC_LDR, 0x12345678);
		EXPECT_EQ(vcpu_apic_reg(&vcpu, APIC_LDR), x2apic_ldr(ids[i]));
	}
}

static void guest_x2apic_msrs_closed(void)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(APIC_ID), &value), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(X2APIC_MSR(APIC_TPR), &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_TPR), 0), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_EOI), 0), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_SELF_IPI), VECTOR),
			GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(X2APIC_MSR(APIC_ICR), ICR_SELF | VECTOR),
			GP_VECTOR);
}

TEST(x2apic_msrs_in_xapic_mode)
{
	run(guest_x2apic_msrs_closed, 0);
}

static void guest_x2apic_msrs_disabled(void)
{
	wrmsr(MSR_IA32_APICBASE, XAPIC_GPA | APICBASE_BSP);
	guest_x2apic_msrs_closed();
}

TEST(x2apic_msrs_when_disabled)
{
	run(guest_x2apic_msrs_disabled, 0);
}

/* Where xAPIC's page is then depends on the VM: memory, a device, nothing. */
static void mmio_closed(void *fn)
{
	struct vcpu *vcpu = start(fn, 0);
	int reason;

	do
		reason = vcpu_run(vcpu);
	while (reason == MINIVMM_EXIT_MMIO);
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
}

static void guest_page_in_x2apic_mode(void)
{
	apic_start(X2APIC);
	apic_write(APIC_TPR, 0x10);
	xapic_write(APIC_TPR, 0x50);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x10);
}

TEST(xapic_page_in_x2apic_mode)
{
	mmio_closed(guest_page_in_x2apic_mode);
}

static void guest_page_when_disabled(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0x10);
	wrmsr(MSR_IA32_APICBASE, XAPIC_GPA | APICBASE_BSP);
	xapic_write(APIC_TPR, 0x50);
	wrmsr(MSR_IA32_APICBASE, XAPIC_GPA | APICBASE_BSP | APICBASE_EN);
	GUEST_ASSERT(xapic_read(APIC_TPR) != 0x50);
}

TEST(xapic_page_when_disabled)
{
	mmio_closed(guest_page_when_disabled);
}

/* ------------------------------------------------------------------------ */
/* IA32_APIC_BASE: SDM 11.12.5, figure 11-27                                 */

#define BASE_DISABLED	(XAPIC_GPA | APICBASE_BSP)
#define BASE_XAPIC	(BASE_DISABLED | APICBASE_EN)
#define BASE_X2APIC	(BASE_XAPIC | APICBASE_EXTD)
#define BASE_INVALID	(BASE_DISABLED | APICBASE_EXTD)

static void guest_refused(u64 base)
{
	u64 before = rdmsr(MSR_IA32_APICBASE);

	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_APICBASE, base), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_APICBASE), before);
}

static void guest_allowed(u64 base)
{
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_APICBASE, base), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_APICBASE), base);
}

static void guest_from_xapic(void)
{
	guest_allowed(BASE_XAPIC);
	guest_refused(BASE_INVALID);
	guest_allowed(BASE_DISABLED);
	guest_allowed(BASE_XAPIC);
	guest_allowed(BASE_X2APIC);
}

TEST(transitions_from_xapic)
{
	run(guest_from_xapic, 0);
}

static void guest_from_x2apic(void)
{
	guest_allowed(BASE_X2APIC);
	guest_allowed(BASE_X2APIC);
	guest_refused(BASE_XAPIC);
	guest_refused(BASE_INVALID);
	guest_allowed(BASE_DISABLED);
}

TEST(transitions_from_x2apic)
{
	run(guest_from_x2apic, 0);
}

static void guest_from_disabled(void)
{
	guest_allowed(BASE_DISABLED);
	guest_allowed(BASE_DISABLED);
	guest_refused(BASE_X2APIC);
	guest_refused(BASE_INVALID);
	guest_allowed(BASE_XAPIC);
}

TEST(transitions_from_disabled)
{
	run(guest_from_disabled, 0);
}

static void guest_base_reserved(u64 max_bits)
{
	u32 bit;

	for (bit = 0; bit < 8; bit++)
		guest_refused(BASE_XAPIC | 1UL << bit);
	guest_refused(BASE_XAPIC | 1UL << 9);
	for (bit = max_bits; bit < 64; bit++)
		guest_refused(BASE_XAPIC | 1UL << bit);
}

TEST(apic_base_reserved_bits)
{
	struct minivmm_cpuid_entry2 *entry;

	entry = cpuid_entry(supported_cpuid(), 0x80000008, 0);
	run(guest_base_reserved, entry->eax & 0xff);
}

static void guest_without_x2apic(void)
{
	guest_refused(BASE_X2APIC);
}

TEST(no_x2apic_without_cpuid)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx &= ~(1U << 21);
	run(guest_without_x2apic, 0);
}

static bool guest_cpuid_has_apic(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[3] >> 9 & 1;
}

static void guest_cpuid_follows(void)
{
	GUEST_ASSERT(guest_cpuid_has_apic());
	wrmsr(MSR_IA32_APICBASE, BASE_DISABLED);
	GUEST_ASSERT(!guest_cpuid_has_apic());
	wrmsr(MSR_IA32_APICBASE, BASE_XAPIC);
	GUEST_ASSERT(guest_cpuid_has_apic());
	wrmsr(MSR_IA32_APICBASE, BASE_X2APIC);
	GUEST_ASSERT(guest_cpuid_has_apic());
}

TEST(cpuid_follows_apic_base)
{
	run(guest_cpuid_follows, 0);
}

static void guest_to_x2apic(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0x62);
	xapic_write(APIC_SVR, SVR_ENABLE | 0xe7);
	xapic_write(APIC_LVT_THERMAL, LVT_MASKED | 0x43);
	xapic_write(APIC_TDCR, 3);
	xapic_write(APIC_LDR, 0x80000000);
	apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	wrmsr(MSR_IA32_APICBASE, BASE_X2APIC);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x62);
	GUEST_ASSERT_EQ(apic_read(APIC_SVR), SVR_ENABLE | 0xe7);
	GUEST_ASSERT_EQ(apic_read(APIC_LVT_THERMAL), LVT_MASKED | 0x43);
	GUEST_ASSERT_EQ(apic_read(APIC_TDCR), 3);
	GUEST_ASSERT_EQ(apic_read(APIC_LDR), 1);
	GUEST_ASSERT(apic_test_bit(APIC_IRR, VECTOR));
}

/* SDM 11.12.5.1: all but ID, LDR and ICR's upper half stays. */
TEST(xapic_to_x2apic_keeps_state)
{
	run(guest_to_x2apic, 0);
}

static void guest_through_disabled(u64 mode)
{
	apic_start(mode);
	apic_write(APIC_TPR, 0x62);
	apic_write(APIC_LVT_THERMAL, 0x43);
	apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	wrmsr(MSR_IA32_APICBASE, BASE_DISABLED);
	wrmsr(MSR_IA32_APICBASE, BASE_XAPIC);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_SVR), 0xff);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_THERMAL), LVT_MASKED);
	GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, VECTOR));
}

/* SDM 11.4.3: enabled again, it is as after power-up. */
TEST(xapic_disabled_loses_state)
{
	if (!dev_is_minivmm())
		SKIP("KVM keeps it");
	run(guest_through_disabled, XAPIC);
}

TEST(x2apic_disabled_loses_state)
{
	if (!dev_is_minivmm())
		SKIP("KVM keeps it");
	run(guest_through_disabled, X2APIC);
}

static void guest_sync_base(void)
{
	guest_sync(1, rdmsr(MSR_IA32_APICBASE));
	wrmsr(MSR_IA32_APICBASE, BASE_X2APIC);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_APICBASE), BASE_XAPIC);
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
}

/* The MSR, SREGS and the run page are one; the host may go any way. */
TEST(apic_base_in_all_interfaces)
{
	struct vcpu *vcpu = start(guest_sync_base, 0);
	u64 base;

	EXPECT_EQ(ASSERT_SYNC(vcpu, 1), BASE_XAPIC);
	EXPECT_EQ(vcpu->run->apic_base, BASE_XAPIC);
	EXPECT_EQ(vcpu_sregs(vcpu).apic_base, BASE_XAPIC);
	ASSERT_SYNC(vcpu, 2);
	EXPECT_EQ(vcpu->run->apic_base, BASE_X2APIC);
	EXPECT_EQ(vcpu_sregs(vcpu).apic_base, BASE_X2APIC);
	ASSERT(vcpu_get_msr(vcpu, MSR_IA32_APICBASE, &base));
	EXPECT_EQ(base, BASE_X2APIC);
	/* what a guest may not do; the run page is not an input here */
	vcpu_set_apic_mode(vcpu, XAPIC);
	ASSERT_DONE(vcpu);
}

#define NEW_BASE	0xd0000000UL

static void guest_relocated(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0x72);
	wrmsr(MSR_IA32_APICBASE, NEW_BASE | APICBASE_BSP | APICBASE_EN);
	GUEST_ASSERT_EQ(*(volatile u32 *)(NEW_BASE + APIC_TPR), 0x72);
	*(volatile u32 *)(NEW_BASE + APIC_TPR) = 0x41;
	GUEST_ASSERT_EQ(read_cr8(), 4);
	wrmsr(MSR_IA32_APICBASE, BASE_XAPIC);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0x41);
}

TEST(relocated_page)
{
	run(guest_relocated, 0);
}

/* ------------------------------------------------------------------------ */
/* TPR, CR8, PPR                                                             */

static void guest_cr8(u64 mode)
{
	apic_start(mode);
	write_cr8(5);
	GUEST_ASSERT_EQ(read_cr8(), 5);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x50);
	apic_write(APIC_TPR, 0x3c);
	GUEST_ASSERT_EQ(read_cr8(), 3);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x3c);
	/* writing the same class through CR8 clears the sub-class */
	write_cr8(3);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x30);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x30);
}

TEST(xapic_cr8_is_tpr)
{
	run(guest_cr8, XAPIC);
}

TEST(x2apic_cr8_is_tpr)
{
	run(guest_cr8, X2APIC);
}

static void guest_cr8_reserved(void)
{
	u32 bit;

	for (bit = 4; bit < 64; bit++)
		GUEST_ASSERT_EQ(guest_try("mov %%rax, %%cr8",
					  "a"(1UL << bit)), GP_VECTOR);
	GUEST_ASSERT_EQ(read_cr8(), 0);
}

TEST(cr8_reserved_bits)
{
	run(guest_cr8_reserved, 0);
}

static void guest_cr8_host(u64 mode)
{
	apic_start(mode);
	write_cr8(6);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(read_cr8(), 9);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x90);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(read_cr8(), 2);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x27);
	apic_write(APIC_TPR, 0xb5);
	guest_sync(3, 0);
	/* run->cr8 is an input only where the APIC is the client's */
	GUEST_ASSERT_EQ(read_cr8(), 0xb);
}

static void cr8_and_host(u64 mode)
{
	struct vcpu *vcpu = start(guest_cr8_host, mode);
	struct minivmm_sregs sregs;

	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu->run->cr8, 6);
	sregs = vcpu_sregs(vcpu);
	EXPECT_EQ(sregs.cr8, 6);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_TPR), 0x60);
	sregs.cr8 = 9;
	vcpu_set_sregs(vcpu, &sregs);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_TPR), 0x90);
	ASSERT_SYNC(vcpu, 2);
	vcpu_set_apic_reg(vcpu, APIC_TPR, 0x27);
	EXPECT_EQ(vcpu_sregs(vcpu).cr8, 2);
	ASSERT_SYNC(vcpu, 3);
	EXPECT_EQ(vcpu->run->cr8, 0xb);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_TPR), 0xb5);
	vcpu->run->cr8 = 1;
	ASSERT_DONE(vcpu);
}

TEST(xapic_cr8_and_host)
{
	cr8_and_host(XAPIC);
}

TEST(x2apic_cr8_and_host)
{
	cr8_and_host(X2APIC);
}

static void guest_in_service(struct guest_regs *regs)
{
	hits += !!regs->vector;
	/* SDM 11.8.3.1: of ISRV its class alone, of TPR all */
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x60);
	apic_write(APIC_TPR, 0x57);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x60);
	apic_write(APIC_TPR, 0x63);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x63);
	apic_write(APIC_TPR, 0x91);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x91);
	apic_write(APIC_TPR, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x60);
	apic_eoi();
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0);
}

static void guest_ppr(u64 mode)
{
	guest_handlers[0x6a] = guest_in_service;
	apic_start(mode);
	apic_write(APIC_TPR, 0x25);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x25);
	apic_write(APIC_TPR, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0x6a);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(xapic_ppr)
{
	run(guest_ppr, XAPIC);
}

TEST(x2apic_ppr)
{
	run(guest_ppr, X2APIC);
}

/* ------------------------------------------------------------------------ */
/* The error status register: SDM 11.5.3                                     */

static u32 guest_esr(void)
{
	apic_write(APIC_ESR, 0);
	return apic_read(APIC_ESR);
}

static void guest_errors(u64 mode)
{
	guest_handlers[VECTOR] = guest_count;
	apic_start(mode);
	GUEST_ASSERT_EQ(guest_esr(), 0);
	apic_send(0, ICR_SELF | ICR_ASSERT | 5);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, 5));
	/* It shows what there was when it was written last. */
	GUEST_ASSERT_EQ(apic_read(APIC_ESR), 0);
	GUEST_ASSERT(guest_esr() & (ESR_SEND_ILLEGAL | ESR_RECEIVE_ILLEGAL));
	GUEST_ASSERT_EQ(guest_esr(), 0);
	/* And an interrupt, once for each error. */
	apic_write(APIC_LVT_ERROR, VECTOR);
	apic_send(0, ICR_SELF | ICR_ASSERT | 5);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(xapic_error_illegal_vector)
{
	if (!dev_is_minivmm())
		SKIP("KVM's ESR is always zero");
	run(guest_errors, XAPIC);
}

TEST(x2apic_error_illegal_vector)
{
	if (!dev_is_minivmm())
		SKIP("KVM's ESR is always zero");
	run(guest_errors, X2APIC);
}

static void guest_error_register(void)
{
	apic_start(XAPIC);
	xapic_read(0x40);
	GUEST_ASSERT_EQ(guest_esr(), ESR_ILLEGAL_REGISTER);
	GUEST_ASSERT_EQ(guest_esr(), 0);
	xapic_write(0x3d0, 0);
	GUEST_ASSERT_EQ(guest_esr(), ESR_ILLEGAL_REGISTER);
}

TEST(xapic_error_illegal_register)
{
	if (!dev_is_minivmm())
		SKIP("KVM's ESR is always zero");
	run(guest_error_register, 0);
}

static void guest_no_errors(u64 mode)
{
	apic_start(mode);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0x10);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0xff);
	apic_send(9, ICR_ASSERT | 0x40);
	GUEST_ASSERT_EQ(guest_esr(), 0);
}

TEST(xapic_no_error)
{
	run(guest_no_errors, XAPIC);
}

TEST(x2apic_no_error)
{
	run(guest_no_errors, X2APIC);
}

/* ------------------------------------------------------------------------ */
/* GET_LAPIC, SET_LAPIC                                                      */

static void guest_stop_in_service(struct guest_regs *regs)
{
	guest_sync(1, regs->vector);
}

/* Something in all registers, one interrupt in service, two pending */
static void guest_fill(u64 mode)
{
	u32 i;

	guest_handlers[0x71] = guest_stop_in_service;
	apic_start(mode);
	apic_write(APIC_TPR, 0x34);
	if (mode == XAPIC) {
		apic_write(APIC_LDR, 0x12000000);
		apic_write(APIC_DFR, DFR_CLUSTER);
	}
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		apic_write(lvts[i], LVT_MASKED | (0x40 + i));
	apic_write(APIC_TDCR, 0xb);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0x71);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0x42);
	apic_send(0, ICR_SELF | ICR_ASSERT | 0x31);
	apic_send(mode == X2APIC ? 0x12345678 : 0x77, ICR_ASSERT | 0x52);
	take_interrupts();
}

static void round_trip(u64 mode)
{
	struct vcpu *from = start(guest_fill, mode), *to;
	struct minivmm_lapic_state lapic, copy;
	u32 reg;

	EXPECT_EQ(ASSERT_SYNC(from, 1), 0x71);
	lapic = vcpu_lapic(from);
	EXPECT(lapic_test_bit(&lapic, APIC_ISR, 0x71));
	EXPECT(lapic_test_bit(&lapic, APIC_IRR, 0x42));
	EXPECT(lapic_test_bit(&lapic, APIC_IRR, 0x31));
	EXPECT_EQ(*lapic_reg(&lapic, APIC_PPR), 0x70);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_ICR), ICR_ASSERT | 0x52);
	EXPECT_EQ(*lapic_reg(&lapic, APIC_ICR2),
		  mode == X2APIC ? 0x12345678 : 0x77000000);
	to = vcpu_create(vm_create_irqchip(), 0);
	vcpu_set_apic_mode(to, mode);
	vcpu_set_lapic(to, &lapic);
	copy = vcpu_lapic(to);
	/* KVM computes PPR from a cache of what is in service, not yet set. */
	if (!dev_is_minivmm())
		*lapic_reg(&copy, APIC_PPR) = *lapic_reg(&lapic, APIC_PPR);
	for (reg = 0; reg < MINIVMM_APIC_REG_SIZE; reg += 16)
		if (*lapic_reg(&lapic, reg) != *lapic_reg(&copy, reg))
			test_fail(__FILE__, __LINE__,
				  "register 0x%x: 0x%x became 0x%x", reg,
				  *lapic_reg(&lapic, reg),
				  *lapic_reg(&copy, reg));
}

TEST(xapic_round_trip)
{
	round_trip(XAPIC);
}

TEST(x2apic_round_trip)
{
	round_trip(X2APIC);
}

static void guest_restored(u64 mode)
{
	guest_handlers[0x71] = guest_count;
	guest_handlers[0x42] = guest_count;
	guest_handlers[0x31] = guest_count;
	GUEST_ASSERT_EQ(apic_is_x2apic(), mode);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x34);
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x70);
	GUEST_ASSERT_EQ(apic_read(APIC_LVT_PMC), LVT_MASKED | 0x42);
	/* in service, then in PPR's way */
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
	apic_eoi();
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	apic_write(APIC_TPR, 0);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
}

static void restored(u64 mode)
{
	struct vcpu *from = start(guest_fill, mode), *to;
	struct minivmm_lapic_state lapic;

	ASSERT_SYNC(from, 1);
	lapic = vcpu_lapic(from);
	to = vcpu_create(vm_create_irqchip(), 0);
	vcpu_setup_long(to, guest_restored, mode);
	vcpu_set_apic_mode(to, mode);
	vcpu_set_lapic(to, &lapic);
	ASSERT_DONE(to);
}

/* The guest goes on where it was, with what was in service and pending. */
TEST(xapic_restored_runs)
{
	restored(XAPIC);
}

TEST(x2apic_restored_runs)
{
	restored(X2APIC);
}

static struct vcpu *start_32bit_ids(int id)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu;

	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_X2APIC_API,
				MINIVMM_X2APIC_API_USE_32BIT_IDS));
	vcpu = vcpu_create(vm, id);
	vcpu_set_apic_mode(vcpu, X2APIC);
	return vcpu;
}

/* Without the capability it is where xAPIC has it. */
TEST(x2apic_id_format)
{
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 5);

	vcpu_set_apic_mode(vcpu, X2APIC);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_ID), 5 << 24);
}

TEST(x2apic_id_format_32bit)
{
	struct vcpu *vcpu = start_32bit_ids(5);

	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_ID), 5);
}

TEST(xapic_id_after_x2apic)
{
	struct vcpu *vcpu = start_32bit_ids(5);

	if (!dev_is_minivmm())
		SKIP("KVM leaves the ID in x2APIC's format");
	vcpu_set_apic_mode(vcpu, XAPIC);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_ID), 5 << 24);
}

/* In x2APIC mode the ID is the vCPU's, and cannot be another. */
TEST(set_lapic_bad_id)
{
	struct vcpu *vcpu = start_32bit_ids(5);
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	*lapic_reg(&lapic, APIC_ID) = 6;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &lapic), EINVAL);
	*lapic_reg(&lapic, APIC_ID) = 5 << 24;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &lapic), EINVAL);
	*lapic_reg(&lapic, APIC_ID) = 5;
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &lapic));
}

TEST(lapic_without_irqchip)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_lapic_state lapic = {};

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_LAPIC, &lapic), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &lapic), EINVAL);
}

TEST(lapic_bad_pointer)
{
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 0);

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_LAPIC, 8), EFAULT);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, 8), EFAULT);
}

static void guest_nothing(void)
{
	GUEST_ASSERT_EQ(read_cr8(), 0xf);
}

/* A client may write anything; what there is to lose is its guest alone. */
TEST(set_lapic_any_bits)
{
	struct vcpu *vcpu = start(guest_nothing, XAPIC);
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	memset(lapic.regs + APIC_TPR, 0xff, MINIVMM_APIC_REG_SIZE - APIC_TPR);
	*lapic_reg(&lapic, APIC_TMICT) = 0;
	vcpu_set_lapic(vcpu, &lapic);
	ASSERT_DONE(vcpu);
}

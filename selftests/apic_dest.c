// SPDX-License-Identifier: GPL-2.0
/*
 * Who gets an interrupt: physical and logical destinations, shorthands, lowest
 * priority, of IPIs and MSIs.  SDM volume 3, 11.6, 11.11, 11.12.10.
 *
 * One vCPU runs at a time, in the test's only thread: an interrupt that a vCPU
 * took stays in its IRR until it runs, where GET_LAPIC shows it.
 */
#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* Physical destinations and shorthands                                      */

static void physical(u64 mode)
{
	struct vm *vm = start_cpus(mode);

	EXPECT_IPI(vm, 0, 0, 0x40, 1 << 0);
	EXPECT_IPI(vm, 1, 0, 0x41, 1 << 1);
	EXPECT_IPI(vm, 2, 0, 0x42, 1 << 2);
	EXPECT_IPI(vm, 3, 0, 0xfe, 1 << 3);
}

TEST_BOTH(physical, physical(mode))

TEST(xapic_physical_nobody)
{
	struct vm *vm = start_cpus(XAPIC);

	EXPECT_IPI(vm, 4, 0, 0x40, 0);
	EXPECT_IPI(vm, 0xfe, 0, 0x41, 0);
	EXPECT_IPI(vm, 3, 0, 0x42, 8);
}

TEST(x2apic_physical_nobody)
{
	struct vm *vm = start_cpus(X2APIC);

	EXPECT_IPI(vm, 4, 0, 0x40, 0);
	EXPECT_IPI(vm, 0x100, 0, 0x41, 0);
	EXPECT_IPI(vm, 0x01000000, 0, 0x42, 0);
	EXPECT_IPI(vm, 0xfffffffe, 0, 0x43, 0);
	EXPECT_IPI(vm, 3, 0, 0x44, 8);
}

TEST(xapic_broadcast)
{
	struct vm *vm = start_cpus(XAPIC);

	EXPECT_IPI(vm, 0xff, 0, 0x40, 0xf);
}

TEST(x2apic_broadcast)
{
	struct vm *vm = start_cpus(X2APIC);

	EXPECT_IPI(vm, 0xffffffff, 0, 0x40, 0xf);
	/* xAPIC's is an ID like any other */
	EXPECT_IPI(vm, 0xff, 0, 0x41, 0);
}

static void shorthands(u64 mode)
{
	struct vm *vm = start_cpus(mode);

	/* whatever the destination field says */
	EXPECT_IPI(vm, 2, ICR_SELF, 0x40, 1);
	EXPECT_IPI(vm, 2, ICR_ALL, 0x41, 0xf);
	EXPECT_IPI(vm, 2, ICR_OTHERS, 0x42, 0xe);
}

TEST_BOTH(shorthands, shorthands(mode))

/* Each vCPU is the sender once: shorthands start from it. */
static void guest_send_others(u64 vector)
{
	apic_send(0, ICR_OTHERS | ICR_ASSERT | vector);
	guest_sync(1, 0);
}

TEST(others_from_ap)
{
	struct vm *vm = start_cpus(X2APIC);

	vcpu_setup_long(vm->vcpus[2], guest_send_others, 0x45);
	ASSERT_SYNC(vm->vcpus[2], 1);
	EXPECT_EQ(receivers(vm, 0x45), 0xb);
}

/* ------------------------------------------------------------------------ */
/* Logical destinations: SDM 11.6.2.2, 11.12.10                              */

TEST(xapic_logical_flat)
{
	struct vm *vm = start_flat();

	EXPECT_IPI(vm, 1, ICR_LOGICAL, 0x40, 1);
	EXPECT_IPI(vm, 8, ICR_LOGICAL, 0x41, 8);
	EXPECT_IPI(vm, 6, ICR_LOGICAL, 0x42, 6);
	EXPECT_IPI(vm, 0xff, ICR_LOGICAL, 0x43, 0xf);
	EXPECT_IPI(vm, 0xf0, ICR_LOGICAL, 0x44, 0);
	EXPECT_IPI(vm, 0, ICR_LOGICAL, 0x45, 0);
}

/* Several bits in one LDR, and the same bit in several */
TEST(xapic_logical_flat_groups)
{
	struct vm *vm = start_flat();

	if (!dev_is_minivmm())
		SKIP("KVM takes one bit of each LDR");
	vcpu_set_apic_reg(vm->vcpus[1], APIC_LDR, 0x12000000);
	vcpu_set_apic_reg(vm->vcpus[2], APIC_LDR, 0x14000000);
	EXPECT_IPI(vm, 0x10, ICR_LOGICAL, 0x40, 6);
	EXPECT_IPI(vm, 0x02, ICR_LOGICAL, 0x41, 2);
	EXPECT_IPI(vm, 0x04, ICR_LOGICAL, 0x42, 4);
}

static struct vm *start_cluster(void)
{
	static const u32 ldr[NR_VCPUS] = { 0x11, 0x12, 0x21, 0x22 };
	struct vm *vm = start_cpus(XAPIC);
	int id;

	for (id = 0; id < NR_VCPUS; id++) {
		vcpu_set_apic_reg(vm->vcpus[id], APIC_DFR, DFR_CLUSTER);
		vcpu_set_apic_reg(vm->vcpus[id], APIC_LDR, ldr[id] << 24);
	}
	return vm;
}

TEST(xapic_logical_cluster)
{
	struct vm *vm = start_cluster();

	EXPECT_IPI(vm, 0x11, ICR_LOGICAL, 0x40, 1 << 0);
	EXPECT_IPI(vm, 0x12, ICR_LOGICAL, 0x41, 1 << 1);
	EXPECT_IPI(vm, 0x13, ICR_LOGICAL, 0x42, 3 << 0);
	EXPECT_IPI(vm, 0x22, ICR_LOGICAL, 0x43, 1 << 3);
	EXPECT_IPI(vm, 0x2f, ICR_LOGICAL, 0x44, 3 << 2);
	EXPECT_IPI(vm, 0x31, ICR_LOGICAL, 0x45, 0);
	EXPECT_IPI(vm, 0x14, ICR_LOGICAL, 0x46, 0);
	EXPECT_IPI(vm, 0xff, ICR_LOGICAL, 0x47, 0xf);
}

TEST(x2apic_logical)
{
	struct vm *vm = start_cpus(X2APIC);

	EXPECT_IPI(vm, 0x1, ICR_LOGICAL, 0x40, 1);
	EXPECT_IPI(vm, 0xa, ICR_LOGICAL, 0x41, 0xa);
	EXPECT_IPI(vm, 0xffff, ICR_LOGICAL, 0x42, 0xf);
	EXPECT_IPI(vm, 0xfff0, ICR_LOGICAL, 0x43, 0);
	EXPECT_IPI(vm, 0x10001, ICR_LOGICAL, 0x44, 0);
	EXPECT_IPI(vm, 0xffffffff, ICR_LOGICAL, 0x45, 0xf);
}

/* A cluster has 16: ID 16 is the first of the second. */
TEST(x2apic_logical_second_cluster)
{
	struct vm *vm = start_cpus(X2APIC);
	struct vcpu far = { .vm = vm, .id = 18 };

	far.fd = ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, far.id));
	ASSERT_OK(ioctl(far.fd, MINIVMM_SET_CPUID2, supported_cpuid()));
	enable_apic(&far, X2APIC);
	EXPECT_IPI(vm, 0x10004, ICR_LOGICAL, 0x40, 0);
	EXPECT(vcpu_apic_bit(&far, APIC_IRR, 0x40));
	EXPECT_IPI(vm, 0x0004, ICR_LOGICAL, 0x41, 4);
	EXPECT(!vcpu_apic_bit(&far, APIC_IRR, 0x41));
	EXPECT_IPI(vm, 18, 0, 0x42, 0);
	EXPECT(vcpu_apic_bit(&far, APIC_IRR, 0x42));
}

/* Who has set no LDR yet is in no set. */
TEST(xapic_logical_without_ldr)
{
	struct vm *vm = start_cpus(XAPIC);

	vcpu_set_apic_reg(vm->vcpus[3], APIC_LDR, 0x08000000);
	EXPECT_IPI(vm, 0x0f, ICR_LOGICAL, 0x40, 8);
}

static void guest_set_ldr(u64 mode)
{
	apic_start(mode);
	apic_write(APIC_LDR, 0x40000000);
	guest_sync(1, 0);
	apic_write(APIC_LDR, 0x20000000);
	guest_sync(2, 0);
}

/* What a guest writes counts at once. */
TEST(xapic_logical_follows_ldr)
{
	struct vm *vm = start_cpus(XAPIC);

	vcpu_setup_long(vm->vcpus[1], guest_set_ldr, XAPIC);
	ASSERT_SYNC(vm->vcpus[1], 1);
	EXPECT_IPI(vm, 0x40, ICR_LOGICAL, 0x40, 2);
	ASSERT_SYNC(vm->vcpus[1], 2);
	EXPECT_IPI(vm, 0x40, ICR_LOGICAL, 0x41, 0);
	EXPECT_IPI(vm, 0x20, ICR_LOGICAL, 0x42, 2);
}

/* ------------------------------------------------------------------------ */
/* Lowest priority                                                           */

TEST(xapic_lowest_priority)
{
	struct vm *vm = start_flat();
	u32 vector, mask;

	for (vector = 0x40; vector < 0x60; vector++) {
		ipi(vm, 0xe, ICR_LOGICAL | DM_LOWEST | ICR_ASSERT | vector);
		mask = receivers(vm, vector);
		EXPECT(one_bit(mask));
		EXPECT_EQ(mask & ~0xe, 0);
	}
}

TEST(msi_lowest_priority)
{
	struct vm *vm = start_flat();
	u32 vector, mask;

	for (vector = 0x40; vector < 0x60; vector++) {
		EXPECT_EQ(vm_msi(vm, MSI_DEST(0xe) | MSI_LOGICAL | MSI_HINT,
				 DM_LOWEST | vector), 1);
		mask = receivers(vm, vector);
		EXPECT(one_bit(mask));
		EXPECT_EQ(mask & ~0xe, 0);
	}
}

/* The redirection hint asks for one of the set as well: SDM 11.11.1. */
TEST(msi_redirection_hint)
{
	struct vm *vm = start_flat();

	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xe) | MSI_LOGICAL | MSI_HINT, 0x40), 1);
	EXPECT(one_bit(receivers(vm, 0x40)));
	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xe) | MSI_LOGICAL, 0x41), 3);
	EXPECT_EQ(receivers(vm, 0x41), 0xe);
}

TEST(lowest_priority_x2apic)
{
	struct vm *vm = start_cpus(X2APIC);
	u32 vector, mask;

	for (vector = 0x40; vector < 0x60; vector++) {
		ASSERT_OK(vm_msi(vm, MSI_DEST(0x6) | MSI_LOGICAL,
				 DM_LOWEST | vector));
		mask = receivers(vm, vector);
		EXPECT(one_bit(mask));
		EXPECT_EQ(mask & ~0x6, 0);
	}
}

/* It goes to one that takes it. */
TEST(lowest_priority_skips_disabled)
{
	struct vm *vm = start_flat();
	u32 vector;

	if (!dev_is_minivmm())
		SKIP("KVM's hash of the vector may pick one that is disabled");
	vcpu_set_apic_reg(vm->vcpus[1], APIC_SVR, 0xff);
	for (vector = 0x40; vector < 0x50; vector++) {
		EXPECT_EQ(vm_msi(vm, MSI_DEST(0x6) | MSI_LOGICAL,
				 DM_LOWEST | vector), 1);
		EXPECT_EQ(receivers(vm, vector), 4);
	}
}

/* ------------------------------------------------------------------------ */
/* SIGNAL_MSI                                                                */

TEST(msi_physical)
{
	struct vm *vm = start_cpus(XAPIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(2), 0x40), 1);
	EXPECT_EQ(receivers(vm, 0x40), 4);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xff), 0x41), 4);
	EXPECT_EQ(receivers(vm, 0x41), 0xf);
}

TEST(msi_logical)
{
	struct vm *vm = start_flat();

	EXPECT_EQ(vm_msi(vm, MSI_DEST(0x5) | MSI_LOGICAL, 0x40), 2);
	EXPECT_EQ(receivers(vm, 0x40), 5);
}

TEST(msi_x2apic)
{
	struct vm *vm = start_cpus(X2APIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(3), 0x40), 1);
	EXPECT_EQ(receivers(vm, 0x40), 8);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(0x3) | MSI_LOGICAL, 0x41), 2);
	EXPECT_EQ(receivers(vm, 0x41), 3);
}

/* KVM's quirk: an MSI has 8 bits of destination, and all ones are all. */
TEST(msi_x2apic_broadcast)
{
	struct vm *vm = start_cpus(X2APIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xff), 0x40), 4);
	EXPECT_EQ(receivers(vm, 0x40), 0xf);
}

static struct vm *start_32bit(u64 flags)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_X2APIC_API, flags));
	for (id = 0; id < NR_VCPUS; id++)
		add_cpu(vm, id, X2APIC, guest_sender);
	return vm;
}

TEST(msi_x2apic_no_broadcast_quirk)
{
	struct vm *vm;

	vm = start_32bit(MINIVMM_X2APIC_API_USE_32BIT_IDS |
			 MINIVMM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	EXPECT(vm_msi(vm, MSI_DEST(0xff), 0x40) <= 0);
	EXPECT_EQ(receivers(vm, 0x40), 0);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x41), 1);
	EXPECT_EQ(receivers(vm, 0x41), 2);
}

/* Bits 31:8 of the destination are bits 63:40 of the address. */
TEST(msi_32bit_destination)
{
	struct vm *vm;

	vm = start_32bit(MINIVMM_X2APIC_API_USE_32BIT_IDS |
			 MINIVMM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(2), 0x40), 1);
	EXPECT_EQ(receivers(vm, 0x40), 4);
	vm_msi(vm, MSI_DEST(2) | 1UL << 40, 0x41);
	EXPECT_EQ(receivers(vm, 0x41), 0);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xff) | 0xffffffUL << 40, 0x42), 4);
	EXPECT_EQ(receivers(vm, 0x42), 0xf);
}

TEST(msi_to_nobody)
{
	struct vm *vm = start_cpus(XAPIC);

	EXPECT(vm_msi(vm, MSI_DEST(9), 0x40) <= 0);
	EXPECT_EQ(receivers(vm, 0x40), 0);
}

TEST(msi_to_disabled)
{
	struct vm *vm = start_cpus(XAPIC);

	vcpu_set_apic_reg(vm->vcpus[1], APIC_SVR, 0xff);
	EXPECT(vm_msi(vm, MSI_DEST(1), 0x40) <= 0);
	EXPECT_EQ(vm_msi(vm, MSI_DEST(0xff), 0x41), 3);
}

TEST(msi_coalesced)
{
	struct vm *vm = start_cpus(XAPIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x40), 1);
	if (!dev_is_minivmm())
		SKIP("KVM reports every one as delivered");
	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x40), 0);
}

TEST(msi_nmi)
{
	struct vm *vm = start_pair(XAPIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), DM_NMI | 0x41), 1);
	EXPECT(!vcpu_apic_bit(vm->vcpus[1], APIC_IRR, 0x41));
	EXPECT_EQ(taken(vm->vcpus[1]), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], NMI_VECTOR);
}

TEST(msi_init)
{
	struct vm *vm = start_pair(XAPIC);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), DM_INIT | MSI_ASSERT), 1);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_INIT_RECEIVED);
}

/* ExtINT is for the PIC's pin; there is nobody to ask for a vector here. */
TEST(msi_extint)
{
	struct vm *vm = start_pair(XAPIC);

	EXPECT(vm_msi(vm, MSI_DEST(1), DM_EXTINT | 0x41) <= 0);
	EXPECT(!vcpu_apic_bit(vm->vcpus[1], APIC_IRR, 0x41));
	EXPECT_EQ(taken(vm->vcpus[1]), 0);
}

/* TMR says how the vector came last: SDM 11.8.4. */
TEST(msi_trigger_mode)
{
	struct vm *vm = start_pair(XAPIC);
	struct vcpu *vcpu = vm->vcpus[1];

	ASSERT_OK(vm_msi(vm, MSI_DEST(1), MSI_LEVEL | MSI_ASSERT | 0x41));
	ASSERT_OK(vm_msi(vm, MSI_DEST(1), 0x51));
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_TMR, 0x41), 1);
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_TMR, 0x51), 0);
	EXPECT_EQ(taken(vcpu), 2);
	ASSERT_OK(vm_msi(vm, MSI_DEST(1), 0x41));
	ASSERT_OK(vm_msi(vm, MSI_DEST(1), MSI_LEVEL | MSI_ASSERT | 0x51));
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_TMR, 0x41), 0);
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_TMR, 0x51), 1);
	EXPECT_EQ(taken(vcpu), 4);
}

TEST(msi_refused)
{
	struct vm *vm = start_cpus(XAPIC);
	struct minivmm_msi msi = { .address_lo = MSI_DEST(1), .data = 0x40 };

	msi.flags = 2;
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, &msi), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SIGNAL_MSI, 8), EFAULT);
	EXPECT_EQ(receivers(vm, 0x40), 0);
}

TEST(msi_without_irqchip)
{
	struct vm *vm = vm_create();

	vcpu_create(vm, 0);
	EXPECT_ERRNO(vm_msi(vm, MSI_DEST(0), 0x40), EINVAL);
}

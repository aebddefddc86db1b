// SPDX-License-Identifier: GPL-2.0
/*
 * IPIs that are no ordinary interrupts, NMI, INIT and SIPI, and receivers that are
 * disabled.  SDM volume 3, 9.4, 11.4.7.
 *
 * One vCPU runs at a time, in the test's only thread: an interrupt that a vCPU
 * took stays in its IRR until it runs, where GET_LAPIC shows it.
 */
#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* Several vCPUs that run                                                    */

static void ipi_taken(u64 mode)
{
	struct vm *vm = start_pair(mode);

	ipi(vm, 1, ICR_ASSERT | 0x41);
	EXPECT_EQ(taken(vm->vcpus[1]), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], 0x41);
	ipi(vm, 0, ICR_OTHERS | ICR_ASSERT | 0x51);
	EXPECT_EQ(taken(vm->vcpus[1]), 2);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[1], 0x51);
	EXPECT_EQ(taken(vm->vcpus[1]), 2);
}

TEST_BOTH(ipi_taken, ipi_taken(mode))

static void nmi_ipi(u64 mode)
{
	struct vm *vm = start_pair(mode);

	/* the vector means nothing */
	ipi(vm, 1, DM_NMI | ICR_ASSERT | 0x41);
	EXPECT(!vcpu_apic_bit(vm->vcpus[1], APIC_IRR, 0x41));
	EXPECT_EQ(taken(vm->vcpus[1]), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], NMI_VECTOR);
	ipi(vm, 0, DM_NMI | ICR_OTHERS | ICR_ASSERT);
	EXPECT_EQ(taken(vm->vcpus[1]), 2);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[1], NMI_VECTOR);
}

TEST_BOTH(nmi, nmi_ipi(mode))

/* SDM 11.4.7.2: software-disabled, it takes NMI, INIT and SIPI alone. */
TEST(disabled_takes_nmi)
{
	struct vm *vm = start_pair(XAPIC);

	vcpu_set_apic_reg(vm->vcpus[1], APIC_SVR, 0xff);
	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	EXPECT_EQ(taken(vm->vcpus[1]), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], NMI_VECTOR);
}

static void disabled_fixed(u64 mode)
{
	struct vm *vm = start_cpus(mode);

	vcpu_set_apic_reg(vm->vcpus[1], APIC_SVR, 0xff);
	EXPECT_IPI(vm, 1, 0, 0x40, 0);
	EXPECT_IPI(vm, 0, ICR_ALL, 0x41, 0xd);
	vcpu_set_apic_reg(vm->vcpus[1], APIC_SVR, SVR_ENABLE | 0xff);
	EXPECT_EQ(receivers(vm, 0x40), 0);
	EXPECT_IPI(vm, 1, 0, 0x42, 2);
}

TEST_BOTH(disabled_takes_no_fixed, disabled_fixed(mode))

static void guest_disable(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	self_ipi(0x41);
	apic_write(APIC_SVR, 0xff);
	/* SDM 11.4.7.2: what is pending is held, and needs masking */
	GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x41));
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(disabled_holds_pending)
{
	run_with_apic(guest_disable, XAPIC);
}

TEST(hardware_disabled_takes_nothing)
{
	struct vm *vm = start_cpus(XAPIC);
	struct minivmm_sregs sregs = vcpu_sregs(vm->vcpus[1]);

	sregs.apic_base &= ~APICBASE_EN;
	vcpu_set_sregs(vm->vcpus[1], &sregs);
	EXPECT_IPI(vm, 1, 0, 0x40, 0);
	EXPECT_IPI(vm, 0xff, 0, 0x41, 0xd);
	EXPECT_IPI(vm, 0, ICR_OTHERS, 0x42, 0xc);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_RUNNABLE);
}

/* ------------------------------------------------------------------------ */
/* INIT and SIPI: SDM 9.4.4                                                  */

/*
 * KVM looks IDs up in a map that it does not draw anew when a vCPU comes; every
 * client known sets the registers some time.
 */
static void create_ap(struct vm *vm, int id)
{
	struct vcpu *vcpu = vcpu_create(vm, id);
	struct minivmm_lapic_state lapic = vcpu_lapic(vcpu);

	if (!dev_is_minivmm())
		vcpu_set_lapic(vcpu, &lapic);
}

/* An AP as it is created, and a BSP that sends */
static struct vm *start_with_ap(u64 mode)
{
	struct vm *vm = vm_create_irqchip();

	add_cpu(vm, 0, mode, guest_sender);
	create_ap(vm, 1);
	add_trampoline(vm);
	ASSERT_SYNC(vm->vcpus[0], 0);
	return vm;
}

static void start_up(u64 mode)
{
	struct vm *vm = start_with_ap(mode);

	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]),
		  MINIVMM_MP_STATE_UNINITIALIZED);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ASSERT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_INIT_RECEIVED);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	expect_at_trampoline(vm->vcpus[1]);
}

TEST(xapic_init_sipi)
{
	start_up(XAPIC);
}

/* The AP is in xAPIC mode still: each side has its own. */
TEST(x2apic_init_sipi)
{
	start_up(X2APIC);
}

/* As a BIOS does: level-triggered INIT, de-assert, two SIPIs, to all others */
TEST(init_sipi_broadcast)
{
	struct vm *vm = start_with_ap(XAPIC);

	create_ap(vm, 2);
	ipi(vm, 0, ICR_OTHERS | DM_INIT | ICR_LEVEL | ICR_ASSERT);
	ipi(vm, 0, ICR_OTHERS | DM_INIT | ICR_LEVEL);
	ipi(vm, 0, ICR_OTHERS | DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	ipi(vm, 0, ICR_OTHERS | DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	expect_at_trampoline(vm->vcpus[1]);
	expect_at_trampoline(vm->vcpus[2]);
}

/* Both before the AP's thread has looked: INIT, then SIPI */
TEST(init_sipi_pending_together)
{
	struct vm *vm = start_pair(XAPIC);

	add_trampoline(vm);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	expect_at_trampoline(vm->vcpus[1]);
}

/* What wait-for-SIPI does not wait for */
TEST(init_without_sipi_waits)
{
	struct vm *vm = start_with_ap(XAPIC);

	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	ipi(vm, 1, ICR_ASSERT | 0x41);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]),
		  MINIVMM_MP_STATE_INIT_RECEIVED);
}

TEST(sipi_without_init)
{
	struct vm *vm = start_with_ap(XAPIC);

	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]),
		  MINIVMM_MP_STATE_UNINITIALIZED);
}

TEST(sipi_while_running)
{
	struct vm *vm = start_pair(XAPIC);

	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	ASSERT_SYNC(vm->vcpus[1], 1);
	/* nor is it kept for the next INIT */
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]),
		  MINIVMM_MP_STATE_INIT_RECEIVED);
}

TEST(second_sipi_is_ignored)
{
	struct vm *vm = start_with_ap(XAPIC);

	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ASSERT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_INIT_RECEIVED);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	expect_at_trampoline(vm->vcpus[1]);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | 0x0a);
	vcpu_setup_long(vm->vcpus[1], guest_receiver, 0);
	ASSERT_SYNC(vm->vcpus[1], 1);
}

/* De-asserting INIT has been a no-op since the Pentium: SDM 11.6.1. */
TEST(init_deassert)
{
	struct vm *vm = start_pair(XAPIC);

	ipi(vm, 0, ICR_ALL | DM_INIT | ICR_LEVEL);
	EXPECT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_RUNNABLE);
	ASSERT_SYNC(vm->vcpus[1], 1);
}

/* SDM table 10-1, INIT */
TEST(init_resets_vcpu)
{
	struct vm *vm = start_pair(XAPIC);
	struct vcpu *ap = vm->vcpus[1];
	struct minivmm_sregs sregs;

	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ASSERT_EQ(vcpu_mp_state(ap), MINIVMM_MP_STATE_INIT_RECEIVED);
	sregs = vcpu_sregs(ap);
	EXPECT_EQ(vcpu_regs(ap).rip, 0xfff0);
	EXPECT_EQ(vcpu_regs(ap).rflags, RFLAGS_FIXED);
	EXPECT_EQ(vcpu_regs(ap).rax, 0);
	EXPECT_EQ(sregs.cs.selector, 0xf000);
	EXPECT_EQ(sregs.cs.base, 0xffff0000);
	EXPECT_EQ(sregs.cr0 & ~(CR0_CD | CR0_NW), CR0_ET);
	EXPECT_EQ(sregs.cr3, 0);
	EXPECT_EQ(sregs.cr4, 0);
	EXPECT_EQ(sregs.efer, 0);
	EXPECT_EQ(sregs.idt.base, 0);
	EXPECT_EQ(sregs.idt.limit, 0xffff);
}

/* The BSP does not wait for a SIPI: it starts at the reset vector. */
TEST(init_to_bsp)
{
	struct vm *vm = start_cpus(XAPIC);
	struct vcpu *bsp = vm->vcpus[0];

	ASSERT_OK(vm_msi(vm, MSI_DEST(0), DM_INIT | MSI_ASSERT));
	EXPECT_EQ(vcpu_mp_state(bsp), MINIVMM_MP_STATE_RUNNABLE);
	EXPECT_EQ(vcpu_regs(bsp).rip, 0xfff0);
	EXPECT_EQ(vcpu_sregs(bsp).cs.base, 0xffff0000);
}

TEST(disabled_takes_init_sipi)
{
	struct vm *vm = start_with_ap(XAPIC);

	vcpu_set_mp_state(vm->vcpus[1], MINIVMM_MP_STATE_RUNNABLE);
	EXPECT_EQ(vcpu_apic_reg(vm->vcpus[1], APIC_SVR), 0xff);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ASSERT_EQ(vcpu_mp_state(vm->vcpus[1]), MINIVMM_MP_STATE_INIT_RECEIVED);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	expect_at_trampoline(vm->vcpus[1]);
}

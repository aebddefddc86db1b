// SPDX-License-Identifier: GPL-2.0
/*
 * Who gets an interrupt, and when: IPIs, MSIs, I/O APIC and PIC pins, timers.
 * SDM volume 3, chapter 11.
 *
 * Most tests run one vCPU at a time, in the test's only thread: an interrupt
 * that a vCPU took stays in its IRR until it runs, where GET_LAPIC shows it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "apic.h"

#define NR_VCPUS	4

/* ------------------------------------------------------------------------ */
/* VMs of NR_VCPUS; the first sends what the host says                       */

static volatile u32 icr_dest, icr_low;

static void guest_sender(void)
{
	for (;;) {
		guest_sync(0, 0);
		apic_send(icr_dest, icr_low);
	}
}

static void enable_apic(struct vcpu *vcpu, u64 mode)
{
	vcpu_set_apic_mode(vcpu, mode);
	vcpu_set_apic_reg(vcpu, APIC_SVR, SVR_ENABLE | 0xff);
	vcpu_set_apic_reg(vcpu, APIC_LVT_LINT0, LVT_MASKED);
}

static struct vcpu *add_cpu(struct vm *vm, int id, u64 mode, void *fn)
{
	struct vcpu *vcpu = vcpu_create(vm, id);

	vcpu_setup_long(vcpu, fn, mode);
	vcpu_set_mp_state(vcpu, MINIVMM_MP_STATE_RUNNABLE);
	enable_apic(vcpu, mode);
	return vcpu;
}

static struct vm *start_cpus(u64 mode)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	for (id = 0; id < NR_VCPUS; id++)
		add_cpu(vm, id, mode, guest_sender);
	ASSERT_SYNC(vm->vcpus[0], 0);
	return vm;
}

static void ipi(struct vm *vm, u32 dest, u32 low)
{
	*vm_guest_ptr(vm, &icr_dest) = dest;
	*vm_guest_ptr(vm, &icr_low) = low;
	ASSERT_SYNC(vm->vcpus[0], 0);
}

/* A bit for each vCPU that has this vector pending */
static u32 receivers(struct vm *vm, u32 vector)
{
	u32 mask = 0;
	int id;

	for (id = 0; id < NR_VCPUS; id++)
		if (vcpu_apic_bit(vm->vcpus[id], APIC_IRR, vector))
			mask |= 1U << id;
	return mask;
}

#define EXPECT_IPI(machine, dest, low, vector, mask)			\
	do {								\
		struct vm *vm_ = (machine);				\
		u32 vector_ = (vector);					\
									\
		ipi(vm_, dest, (low) | ICR_ASSERT | vector_);		\
		EXPECT_EQ(receivers(vm_, vector_), mask);		\
	} while (0)

/* Run to the guest's next sync: the hits that it has counted */
static u64 taken(struct vcpu *vcpu)
{
	return ASSERT_SYNC(vcpu, 1);
}

static bool one_bit(u32 mask)
{
	return mask && !(mask & (mask - 1));
}

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

TEST(xapic_physical)
{
	physical(XAPIC);
}

TEST(x2apic_physical)
{
	physical(X2APIC);
}

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

TEST(xapic_shorthands)
{
	shorthands(XAPIC);
}

TEST(x2apic_shorthands)
{
	shorthands(X2APIC);
}

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

static struct vm *start_flat(void)
{
	struct vm *vm = start_cpus(XAPIC);
	int id;

	for (id = 0; id < NR_VCPUS; id++) {
		vcpu_set_apic_reg(vm->vcpus[id], APIC_DFR, DFR_FLAT);
		vcpu_set_apic_reg(vm->vcpus[id], APIC_LDR, 1 << (24 + id));
	}
	return vm;
}

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
/* Who takes interrupts: handlers that log                                   */

static volatile u64 hits, order[16];

static void guest_log(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	apic_eoi();
}

static void guest_log_nmi(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
}

static void run(void *fn, u64 mode)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, mode);
	ASSERT_DONE(vcpu);
}

static void self_ipi(u32 vector)
{
	apic_send(0, ICR_SELF | ICR_ASSERT | vector);
}

static void guest_self_ipi(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	self_ipi(0x41);
	GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x41));
	GUEST_ASSERT_EQ(hits, 0);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, 0x41));
	GUEST_ASSERT(!apic_test_bit(APIC_ISR, 0x41));
}

TEST(xapic_self_ipi)
{
	run(guest_self_ipi, XAPIC);
}

TEST(x2apic_self_ipi)
{
	run(guest_self_ipi, X2APIC);
}

static void guest_self_ipi_msr(void)
{
	guest_handlers[0x41] = guest_log;
	apic_start(X2APIC);
	asm volatile("sti" : : : "memory");
	wrmsr(X2APIC_MSR(APIC_SELF_IPI), 0x41);
	asm volatile("nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(x2apic_self_ipi_msr)
{
	run(guest_self_ipi_msr, 0);
}

static void guest_self_ipi_open(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	asm volatile("sti" : : : "memory");
	self_ipi(0x41);
	asm volatile("nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

/* With interrupts enabled it comes at once. */
TEST(xapic_self_ipi_at_once)
{
	run(guest_self_ipi_open, XAPIC);
}

TEST(x2apic_self_ipi_at_once)
{
	run(guest_self_ipi_open, X2APIC);
}

static void guest_all_vectors(u64 mode)
{
	u64 vector;

	apic_start(mode);
	for (vector = 32; vector < 256; vector++) {
		if (vector == 0xf0)	/* the library's */
			continue;
		guest_handlers[vector] = guest_log;
		hits = 0;
		self_ipi(vector);
		take_interrupts();
		GUEST_ASSERT_EQ(hits, 1);
		GUEST_ASSERT_EQ(order[0], vector);
	}
}

TEST(xapic_all_vectors)
{
	run(guest_all_vectors, XAPIC);
}

TEST(x2apic_all_vectors)
{
	run(guest_all_vectors, X2APIC);
}

static void guest_hlt_ipi(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	self_ipi(0x41);
	wait_interrupt();
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(pending_ends_hlt)
{
	run(guest_hlt_ipi, X2APIC);
}

/* ------------------------------------------------------------------------ */
/* Priority: SDM 11.8.3                                                      */

static void guest_priority(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[0x61] = guest_log;
	guest_handlers[0x63] = guest_log;
	guest_handlers[0x51] = guest_log;
	apic_start(mode);
	self_ipi(0x51);
	self_ipi(0x61);
	self_ipi(0x41);
	self_ipi(0x63);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 4);
	GUEST_ASSERT_EQ(order[0], 0x63);
	GUEST_ASSERT_EQ(order[1], 0x61);
	GUEST_ASSERT_EQ(order[2], 0x51);
	GUEST_ASSERT_EQ(order[3], 0x41);
}

TEST(xapic_priority_order)
{
	run(guest_priority, XAPIC);
}

TEST(x2apic_priority_order)
{
	run(guest_priority, X2APIC);
}

static void guest_nesting(struct guest_regs *regs)
{
	u64 before = hits;

	/* a lower class and one's own wait, a higher one interrupts */
	order[hits++] = regs->vector;
	self_ipi(0x41);
	self_ipi(0x68);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, before + 1);
	self_ipi(0x71);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, before + 2);
	GUEST_ASSERT_EQ(order[before + 1], 0x71);
	GUEST_ASSERT(apic_test_bit(APIC_ISR, 0x61));
	GUEST_ASSERT(!apic_test_bit(APIC_ISR, 0x71));
	apic_eoi();
	take_interrupts();
	GUEST_ASSERT_EQ(hits, before + 4);
}

static void guest_nested(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[0x68] = guest_log;
	guest_handlers[0x71] = guest_log;
	guest_handlers[0x61] = guest_nesting;
	apic_start(mode);
	self_ipi(0x61);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 4);
	GUEST_ASSERT_EQ(order[2], 0x68);
	GUEST_ASSERT_EQ(order[3], 0x41);
}

TEST(xapic_nesting)
{
	run(guest_nested, XAPIC);
}

TEST(x2apic_nesting)
{
	run(guest_nested, X2APIC);
}

static void guest_inner(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	GUEST_ASSERT(apic_test_bit(APIC_ISR, 0x51));
	GUEST_ASSERT(apic_test_bit(APIC_ISR, 0x81));
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x80);
	/* EOI is for the highest in service */
	apic_eoi();
	GUEST_ASSERT(apic_test_bit(APIC_ISR, 0x51));
	GUEST_ASSERT(!apic_test_bit(APIC_ISR, 0x81));
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0x50);
}

static void guest_outer(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	self_ipi(0x81);
	take_interrupts();
	apic_eoi();
	GUEST_ASSERT_EQ(apic_read(APIC_PPR), 0);
}

static void guest_eoi_order(u64 mode)
{
	guest_handlers[0x51] = guest_outer;
	guest_handlers[0x81] = guest_inner;
	apic_start(mode);
	self_ipi(0x51);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
}

TEST(xapic_eoi_order)
{
	run(guest_eoi_order, XAPIC);
}

TEST(x2apic_eoi_order)
{
	run(guest_eoi_order, X2APIC);
}

static void guest_again(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	if (hits == 1) {
		/* one more is kept while one is in service, not two */
		self_ipi(0x61);
		self_ipi(0x61);
		GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x61));
		GUEST_ASSERT(apic_test_bit(APIC_ISR, 0x61));
	}
	apic_eoi();
}

static void guest_one_more(u64 mode)
{
	guest_handlers[0x61] = guest_again;
	apic_start(mode);
	self_ipi(0x61);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
}

TEST(xapic_irr_holds_one_more)
{
	run(guest_one_more, XAPIC);
}

TEST(x2apic_irr_holds_one_more)
{
	run(guest_one_more, X2APIC);
}

static void guest_eoi_idle(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	apic_eoi();
	self_ipi(0x41);
	apic_eoi();
	GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x41));
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
}

/* With nothing in service it has nothing to end. */
TEST(xapic_eoi_when_idle)
{
	run(guest_eoi_idle, XAPIC);
}

TEST(x2apic_eoi_when_idle)
{
	run(guest_eoi_idle, X2APIC);
}

static void guest_tpr(u64 mode)
{
	guest_handlers[0x4f] = guest_log;
	guest_handlers[0x50] = guest_log;
	apic_start(mode);
	self_ipi(0x4f);
	self_ipi(0x50);
	apic_write(APIC_TPR, 0x50);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
	/* the class decides, not the sub-class */
	apic_write(APIC_TPR, 0x4f);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(order[0], 0x50);
	apic_write(APIC_TPR, 0x40);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	apic_write(APIC_TPR, 0x3f);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT_EQ(order[1], 0x4f);
}

TEST(xapic_tpr_masks)
{
	run(guest_tpr, XAPIC);
}

TEST(x2apic_tpr_masks)
{
	run(guest_tpr, X2APIC);
}

static void guest_cr8(u64 mode)
{
	guest_handlers[0x61] = guest_log;
	apic_start(mode);
	write_cr8(6);
	self_ipi(0x61);
	asm volatile("sti; nop" : : : "memory");
	GUEST_ASSERT_EQ(hits, 0);
	/* lowered with interrupts enabled: it comes at once */
	write_cr8(5);
	asm volatile("nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(xapic_cr8_masks)
{
	run(guest_cr8, XAPIC);
}

TEST(x2apic_cr8_masks)
{
	run(guest_cr8, X2APIC);
}

static void guest_tpr_15(u64 mode)
{
	guest_handlers[0xff] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	write_cr8(15);
	self_ipi(0xff);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
	apic_send(0, DM_NMI | ICR_ASSERT);
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(order[0], NMI_VECTOR);
}

/* CR8 = 15 holds back all interrupts, but no NMI. */
TEST(xapic_tpr_lets_nmi_through)
{
	run(guest_tpr_15, XAPIC);
}

TEST(x2apic_tpr_lets_nmi_through)
{
	run(guest_tpr_15, X2APIC);
}

static void guest_no_spurious(u64 mode)
{
	guest_handlers[0xff] = guest_log;
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	self_ipi(0x41);
	/* masked again before it can be taken: nothing, not a spurious one */
	asm volatile("sti; cli" : : : "memory");
	if (!hits) {
		write_cr8(4);
		take_interrupts();
		GUEST_ASSERT_EQ(hits, 0);
		write_cr8(0);
		take_interrupts();
	}
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(order[0], 0x41);
}

TEST(no_spurious_vector)
{
	run(guest_no_spurious, XAPIC);
}

static void guest_spurious_fixed(u64 mode)
{
	guest_handlers[0xff] = guest_log;
	apic_start(mode);
	self_ipi(0xff);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(!apic_test_bit(APIC_ISR, 0xff));
}

/* As the vector of a real interrupt, that of SVR is one like any other. */
TEST(spurious_vector_as_fixed)
{
	run(guest_spurious_fixed, XAPIC);
}

/* ------------------------------------------------------------------------ */
/* Several vCPUs that run                                                    */

static void guest_receiver(void)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[0x51] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	for (;;) {
		guest_sync(1, hits);
		take_interrupts();
	}
}

static struct vm *start_pair(u64 mode)
{
	struct vm *vm = vm_create_irqchip();

	add_cpu(vm, 0, mode, guest_sender);
	add_cpu(vm, 1, mode, guest_receiver);
	ASSERT_SYNC(vm->vcpus[0], 0);
	ASSERT_SYNC(vm->vcpus[1], 1);
	return vm;
}

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

TEST(xapic_ipi_taken)
{
	ipi_taken(XAPIC);
}

TEST(x2apic_ipi_taken)
{
	ipi_taken(X2APIC);
}

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

TEST(xapic_nmi)
{
	nmi_ipi(XAPIC);
}

TEST(x2apic_nmi)
{
	nmi_ipi(X2APIC);
}

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

TEST(xapic_disabled_takes_no_fixed)
{
	disabled_fixed(XAPIC);
}

TEST(x2apic_disabled_takes_no_fixed)
{
	disabled_fixed(X2APIC);
}

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
	run(guest_disable, XAPIC);
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

/* Where SIPI with vector 9 starts a processor */
#define TRAMPOLINE_VECTOR	0x09
#define TRAMPOLINE_GPA		0x9000UL

guest_code16(trampoline,
	     "movw %cs, %ax\n"
	     "outw %ax, $0x10\n"
	     "1: hlt\n"
	     "jmp 1b");

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
	memcpy(vm_gpa(vm, TRAMPOLINE_GPA), trampoline.start,
	       (const char *)trampoline.end - (const char *)trampoline.start);
	ASSERT_SYNC(vm->vcpus[0], 0);
	return vm;
}

/* RUN of a vCPU that waits returns once for what ended the wait. */
static int run_ap(struct vcpu *vcpu)
{
	int reason, tries = 0;

	do
		reason = vcpu_run(vcpu);
	while (reason == -EAGAIN && ++tries < 3);
	return reason;
}

static void expect_at_trampoline(struct vcpu *vcpu)
{
	ASSERT_EQ(run_ap(vcpu), MINIVMM_EXIT_IO);
	EXPECT_EQ(vcpu->run->io.port, 0x10);
	EXPECT_EQ(*(u16 *)vcpu_io_data(vcpu), TRAMPOLINE_VECTOR << 8);
	EXPECT_EQ(vcpu_sregs(vcpu).cs.base, TRAMPOLINE_GPA);
	EXPECT_EQ(vcpu_mp_state(vcpu), MINIVMM_MP_STATE_RUNNABLE);
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

	memcpy(vm_gpa(vm, TRAMPOLINE_GPA), trampoline.start,
	       (const char *)trampoline.end - (const char *)trampoline.start);
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

/* ------------------------------------------------------------------------ */
/* I/O APIC in the kernel; pins 16 and up, which have no PIC beside them      */

#define PIN	18

static struct vcpu *start_device(void *fn, u64 mode)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, mode);
	return vcpu;
}

/* A device's guest: a redirection entry, then interrupts between syncs */
static volatile u64 rte;

static void guest_device(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	for (;;) {
		ioapic_set_rte(PIN, rte);
		guest_sync(1, hits);
		take_interrupts();
	}
}

static struct vcpu *start_pin(u64 entry, u64 mode)
{
	struct vcpu *vcpu = start_device(guest_device, mode);

	*vm_guest_ptr(vcpu->vm, &rte) = entry;
	ASSERT_SYNC(vcpu, 1);
	return vcpu;
}

TEST(ioapic_edge)
{
	struct vcpu *vcpu = start_pin(0x41, XAPIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_TMR, 0x41), 0);
	EXPECT_EQ(taken(vcpu), 1);
	/* high still: no other edge */
	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	EXPECT_EQ(taken(vcpu), 1);
	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 2);
}

/* A pulse is enough. */
TEST(ioapic_edge_pulse)
{
	struct vcpu *vcpu = start_pin(0x41, X2APIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	EXPECT_EQ(taken(vcpu), 1);
}

TEST(ioapic_edge_masked)
{
	struct vcpu *vcpu = start_pin(RTE_MASKED | 0x41, XAPIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 0);
	/* 82093AA 3.2.4: an edge while masked is lost */
	*vm_guest_ptr(vcpu->vm, &rte) = 0x41;
	EXPECT_EQ(taken(vcpu), 0);
	EXPECT_EQ(taken(vcpu), 0);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 1);
}

TEST(ioapic_level_masked)
{
	struct vcpu *vcpu = start_pin(RTE_MASKED | RTE_LEVEL | 0x41, XAPIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 0);
	vm_irq_line(vcpu->vm, PIN, 0);
	*vm_guest_ptr(vcpu->vm, &rte) = RTE_LEVEL | 0x41;
	EXPECT_EQ(taken(vcpu), 0);
	EXPECT_EQ(taken(vcpu), 0);
	*vm_guest_ptr(vcpu->vm, &rte) = RTE_MASKED | RTE_LEVEL | 0x41;
	EXPECT_EQ(taken(vcpu), 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	/* a level waits until the mask goes */
	*vm_guest_ptr(vcpu->vm, &rte) = RTE_LEVEL | 0x41;
	EXPECT_EQ(taken(vcpu), 0);
	vm_irq_line(vcpu->vm, PIN, 0);
	EXPECT_EQ(taken(vcpu), 1);
}

static void guest_log_level(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	GUEST_ASSERT(apic_test_bit(APIC_TMR, 0x41));
	GUEST_ASSERT(ioapic_rte(PIN) & RTE_REMOTE_IRR);
	/* the device's line goes down in the third */
	if (hits == 3)
		guest_sync(2, hits);
	apic_eoi();
}

static void guest_level(u64 mode)
{
	guest_handlers[0x41] = guest_log_level;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_LEVEL | 0x41);
	GUEST_ASSERT_EQ(ioapic_rte(PIN), RTE_LEVEL | 0x41);
	guest_sync(1, 0);
	asm volatile("sti; nop; nop; nop; nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 3);
	GUEST_ASSERT_EQ(ioapic_rte(PIN), RTE_LEVEL | 0x41);
}

static void level(u64 mode)
{
	struct vcpu *vcpu = start_device(guest_level, mode);

	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, PIN, 1);
	ASSERT_SYNC(vcpu, 2);
	vm_irq_line(vcpu->vm, PIN, 0);
	ASSERT_DONE(vcpu);
}

/* It comes again after each EOI for as long as the line is high. */
TEST(ioapic_level_xapic)
{
	level(XAPIC);
}

TEST(ioapic_level_x2apic)
{
	level(X2APIC);
}

static void guest_no_eoi(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
}

static void guest_remote_irr(u64 mode)
{
	guest_handlers[0x41] = guest_no_eoi;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_LEVEL | 0x41);
	guest_sync(1, 0);
	take_interrupts();
	guest_sync(2, hits);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, 0x41));
	GUEST_ASSERT(ioapic_rte(PIN) & RTE_REMOTE_IRR);
	apic_eoi();
	GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x41));
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
}

/* Until EOI, remote IRR holds the pin back, whatever the line does. */
TEST(ioapic_remote_irr)
{
	struct vcpu *vcpu = start_device(guest_remote_irr, XAPIC);

	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 2), 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	vm_irq_line(vcpu->vm, PIN, 1);
	ASSERT_DONE(vcpu);
}

/* The message is on its way once the line was high. */
TEST(ioapic_level_dropped_early)
{
	struct vcpu *vcpu = start_pin(RTE_LEVEL | 0x41, XAPIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	vm_irq_line(vcpu->vm, PIN, 0);
	EXPECT_EQ(taken(vcpu), 1);
	EXPECT_EQ(taken(vcpu), 1);
}

TEST(ioapic_nmi)
{
	struct vcpu *vcpu = start_pin(DM_NMI | 0x41, XAPIC);

	vm_irq_line(vcpu->vm, PIN, 1);
	EXPECT_EQ(taken(vcpu), 1);
	EXPECT_EQ(vm_guest_ptr(vcpu->vm, &order[0])[0], NMI_VECTOR);
}

static void guest_ioapic_setup(u64 mode)
{
	apic_start(mode);
	for (;;) {
		ioapic_set_rte(PIN, rte);
		guest_sync(0, 0);
	}
}

static void set_pin(struct vm *vm, u64 entry)
{
	*vm_guest_ptr(vm, &rte) = entry;
	vm_irq_line(vm, PIN, 0);
	ASSERT_SYNC(vm->vcpus[0], 0);
	vm_irq_line(vm, PIN, 1);
}

TEST(ioapic_destinations)
{
	struct vm *vm = start_flat();

	vcpu_setup_long(vm->vcpus[0], guest_ioapic_setup, XAPIC);
	set_pin(vm, RTE_DEST(2) | 0x40);
	EXPECT_EQ(receivers(vm, 0x40), 4);
	set_pin(vm, RTE_DEST(0xff) | 0x41);
	EXPECT_EQ(receivers(vm, 0x41), 0xf);
	set_pin(vm, RTE_DEST(0x6) | RTE_LOGICAL | 0x42);
	EXPECT_EQ(receivers(vm, 0x42), 6);
	set_pin(vm, RTE_DEST(0xe) | RTE_LOGICAL | DM_LOWEST | 0x43);
	EXPECT(one_bit(receivers(vm, 0x43)));
	EXPECT_EQ(receivers(vm, 0x43) & ~0xe, 0);
	set_pin(vm, RTE_DEST(9) | 0x44);
	EXPECT_EQ(receivers(vm, 0x44), 0);
}

TEST(ioapic_line_status)
{
	struct vcpu *vcpu = start_pin(0x41, XAPIC);
	struct vm *vm = vcpu->vm;

	EXPECT_EQ(vm_irq_line_status(vm, PIN, 1), 1);
	/* no edge */
	EXPECT_EQ(vm_irq_line_status(vm, PIN, 1), 0);
	EXPECT_EQ(vm_irq_line_status(vm, PIN, 0), 1);
	*vm_guest_ptr(vm, &rte) = RTE_MASKED | 0x41;
	EXPECT_EQ(taken(vcpu), 1);
	EXPECT(vm_irq_line_status(vm, PIN, 1) <= 0);
}

/* ------------------------------------------------------------------------ */
/* The PIC, through LINT0                                                    */

#define PIC_MASTER	0x20
#define PIC_SLAVE	0xa0
#define PIC_BASE	0x30

static void guest_pic_init(void)
{
	outb(PIC_MASTER, 0x11);
	outb(PIC_MASTER + 1, PIC_BASE);
	outb(PIC_MASTER + 1, 4);
	outb(PIC_MASTER + 1, 1);
	outb(PIC_SLAVE, 0x11);
	outb(PIC_SLAVE + 1, PIC_BASE + 8);
	outb(PIC_SLAVE + 1, 2);
	outb(PIC_SLAVE + 1, 1);
	outb(PIC_MASTER + 1, 0);
	outb(PIC_SLAVE + 1, 0);
}

/* No EOI to the local APIC: an ExtINT is never in its ISR. */
static void guest_log_pic(struct guest_regs *regs)
{
	order[hits++] = regs->vector;
	GUEST_ASSERT(!apic_test_bit(APIC_ISR, regs->vector));
	if (regs->vector >= PIC_BASE + 8)
		outb(PIC_SLAVE, 0x20);
	outb(PIC_MASTER, 0x20);
}

static volatile u64 lint0;

static void guest_pic(u64 mode)
{
	u64 vector;

	for (vector = PIC_BASE; vector < PIC_BASE + 16; vector++)
		guest_handlers[vector] = guest_log_pic;
	apic_start(mode);
	guest_pic_init();
	for (;;) {
		apic_write(APIC_LVT_LINT0, lint0);
		guest_sync(1, hits);
		take_interrupts();
	}
}

static void pic_through_lint0(u64 mode)
{
	struct vcpu *vcpu = start_device(guest_pic, mode);

	*vm_guest_ptr(vcpu->vm, &lint0) = DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 3, 1);
	EXPECT_EQ(taken(vcpu), 1);
	EXPECT_EQ(vm_guest_ptr(vcpu->vm, &order[0])[0], PIC_BASE + 3);
	vm_irq_line(vcpu->vm, 3, 0);
	vm_irq_line(vcpu->vm, 11, 1);
	EXPECT_EQ(taken(vcpu), 2);
	EXPECT_EQ(vm_guest_ptr(vcpu->vm, &order[0])[1], PIC_BASE + 11);
	EXPECT_EQ(taken(vcpu), 2);
}

TEST(pic_xapic)
{
	pic_through_lint0(XAPIC);
}

TEST(pic_x2apic)
{
	pic_through_lint0(X2APIC);
}

TEST(pic_lint0_masked)
{
	struct vcpu *vcpu = start_device(guest_pic, XAPIC);

	*vm_guest_ptr(vcpu->vm, &lint0) = LVT_MASKED | DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 3, 1);
	EXPECT_EQ(taken(vcpu), 0);
	EXPECT_EQ(taken(vcpu), 0);
	if (!dev_is_minivmm())
		SKIP("KVM does not look again when LINT0 is unmasked");
	*vm_guest_ptr(vcpu->vm, &lint0) = DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(taken(vcpu), 1);
}

static void guest_pic_before_apic(u64 mode)
{
	guest_handlers[PIC_BASE + 5] = guest_log_pic;
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	guest_pic_init();
	apic_write(APIC_LVT_LINT0, DM_EXTINT);
	guest_sync(1, 0);
	/* TPR does not hold it back: SDM 11.8.3 */
	write_cr8(15);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(order[0], PIC_BASE + 5);
	GUEST_ASSERT(apic_test_bit(APIC_IRR, 0x41));
}

TEST(pic_ignores_tpr)
{
	struct vcpu *vcpu = start_device(guest_pic_before_apic, XAPIC);

	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(vm_msi(vcpu->vm, MSI_DEST(0), 0x41));
	vm_irq_line(vcpu->vm, 5, 1);
	ASSERT_DONE(vcpu);
}

static void guest_pic_hardware_disabled(void)
{
	guest_handlers[PIC_BASE + 4] = guest_log_nmi;
	wrmsr(MSR_IA32_APICBASE, XAPIC_GPA | APICBASE_BSP);
	guest_pic_init();
	guest_sync(1, 0);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
}

/* Without a local APIC, LINT0 is the processor's INTR pin. */
TEST(pic_with_apic_disabled)
{
	struct vcpu *vcpu = start_device(guest_pic_hardware_disabled, 0);

	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 4, 1);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Split: the client's I/O APIC and PIC                                      */

struct routing {
	struct minivmm_irq_routing header;
	struct minivmm_irq_routing_entry entries[2];
};

static void route(struct vm *vm, u32 data0, u32 data1)
{
	struct routing routing = { .header.nr = 2 };
	u32 i;

	for (i = 0; i < 2; i++) {
		routing.entries[i].gsi = i;
		routing.entries[i].type = MINIVMM_IRQ_ROUTING_MSI;
		routing.entries[i].u.msi.address_lo = MSI_DEST(0);
		routing.entries[i].u.msi.data = i ? data1 : data0;
	}
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_GSI_ROUTING, &routing));
}

static volatile u64 svr_bits;

static void guest_split(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[0x51] = guest_log;
	apic_start(mode);
	apic_write(APIC_SVR, SVR_ENABLE | 0xff | svr_bits);
	for (;;) {
		guest_sync(1, hits);
		take_interrupts();
	}
}

static struct vcpu *start_split(void *fn, u64 mode)
{
	struct vcpu *vcpu = vcpu_create(vm_create_split(), 0);

	vcpu_setup_long(vcpu, fn, mode);
	return vcpu;
}

static void split_level(u64 mode)
{
	const u32 level = MSI_LEVEL | MSI_ASSERT;
	struct vcpu *vcpu = start_split(guest_split, mode);

	route(vcpu->vm, level | 0x41, level | 0x51);
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 0, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x41);
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_ISR, 0x41), 0);
	EXPECT_EQ(taken(vcpu), 1);
	/* and as a message, which is all that the client's chip sends */
	ASSERT_OK(vm_msi(vcpu->vm, MSI_DEST(0), level | 0x51));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x51);
	EXPECT_EQ(taken(vcpu), 2);
}

TEST(split_level_eoi_xapic)
{
	split_level(XAPIC);
}

TEST(split_level_eoi_x2apic)
{
	split_level(X2APIC);
}

TEST(split_edge_has_no_eoi)
{
	struct vcpu *vcpu = start_split(guest_split, XAPIC);

	route(vcpu->vm, 0x41, MSI_LEVEL | MSI_ASSERT | 0x51);
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 0, 1);
	EXPECT_EQ(taken(vcpu), 1);
	ASSERT_OK(vm_msi(vcpu->vm, MSI_DEST(0), 0x41));
	EXPECT_EQ(taken(vcpu), 2);
}

/* Two at once: an exit for each, the higher first */
TEST(split_two_eois)
{
	const u32 level = MSI_LEVEL | MSI_ASSERT;
	struct vcpu *vcpu = start_split(guest_split, XAPIC);

	route(vcpu->vm, level | 0x41, level | 0x51);
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 0, 1);
	vm_irq_line(vcpu->vm, 1, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x51);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x41);
	EXPECT_EQ(taken(vcpu), 2);
}

/* A new routing counts for interrupts that are pending already. */
TEST(split_route_changes)
{
	const u32 level = MSI_LEVEL | MSI_ASSERT;
	struct vcpu *vcpu = start_split(guest_split, XAPIC);

	route(vcpu->vm, level | 0x41, 0x61);
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 0, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	ASSERT_SYNC(vcpu, 1);
	route(vcpu->vm, 0x41, level | 0x51);
	ASSERT_OK(vm_msi(vcpu->vm, MSI_DEST(0), 0x41));
	EXPECT_EQ(taken(vcpu), 2);
	vm_irq_line(vcpu->vm, 1, 1);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x51);
	EXPECT_EQ(taken(vcpu), 3);
}

/* SDM 11.8.5: with SVR bit 12 the guest tells the I/O APIC itself. */
TEST(split_directed_eoi)
{
	const u32 level = MSI_LEVEL | MSI_ASSERT;
	struct vcpu *vcpu = start_split(guest_split, XAPIC);
	u32 version = vcpu_apic_reg(vcpu, APIC_VERSION);

	if (!dev_is_minivmm())
		SKIP("KVM exits all the same");
	if (!(version & VERSION_DIRECTED_EOI))
		SKIP("the version register does not offer it");
	*vm_guest_ptr(vcpu->vm, &svr_bits) = SVR_NO_EOI_BROADCAST;
	route(vcpu->vm, level | 0x41, level | 0x51);
	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vcpu->vm, 0, 1);
	EXPECT_EQ(taken(vcpu), 1);
}

static void guest_split_extint(u64 mode)
{
	guest_handlers[0x35] = guest_log_nmi;
	apic_start(mode);
	for (;;) {
		apic_write(APIC_LVT_LINT0, lint0);
		guest_sync(1, hits);
		take_interrupts();
	}
}

static void interrupt(struct vcpu *vcpu, u32 vector)
{
	struct minivmm_interrupt irq = { vector };

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
}

static void split_extint(u64 mode)
{
	struct vcpu *vcpu = start_split(guest_split_extint, mode);

	*vm_guest_ptr(vcpu->vm, &lint0) = DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	interrupt(vcpu, 0x35);
	EXPECT_EQ(taken(vcpu), 1);
	EXPECT_EQ(vcpu_apic_bit(vcpu, APIC_ISR, 0x35), 0);
	EXPECT_EQ(taken(vcpu), 1);
}

TEST(split_extint_xapic)
{
	split_extint(XAPIC);
}

TEST(split_extint_x2apic)
{
	split_extint(X2APIC);
}

TEST(split_extint_masked)
{
	struct vcpu *vcpu = start_split(guest_split_extint, XAPIC);

	*vm_guest_ptr(vcpu->vm, &lint0) = LVT_MASKED | DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	interrupt(vcpu, 0x35);
	EXPECT_EQ(taken(vcpu), 0);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 0);
	if (!dev_is_minivmm())
		SKIP("KVM does not look again when LINT0 is unmasked");
	*vm_guest_ptr(vcpu->vm, &lint0) = DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(taken(vcpu), 1);
}

/* One at a time */
TEST(split_extint_busy)
{
	struct vcpu *vcpu = start_split(guest_split_extint, XAPIC);
	struct minivmm_interrupt irq = { 0x36 };

	*vm_guest_ptr(vcpu->vm, &lint0) = DM_EXTINT;
	ASSERT_SYNC(vcpu, 1);
	interrupt(vcpu, 0x35);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq), EEXIST);
	EXPECT_EQ(taken(vcpu), 1);
}

static void guest_split_window(u64 mode)
{
	guest_handlers[0x35] = guest_log_nmi;
	apic_start(mode);
	apic_write(APIC_LVT_LINT0, DM_EXTINT);
	guest_sync(1, 0);
	take_interrupts();
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(hits, 1);
}

TEST(split_extint_window)
{
	struct vcpu *vcpu = start_split(guest_split_window, XAPIC);

	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 0);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	vcpu->run->request_interrupt_window = 0;
	interrupt(vcpu, 0x35);
	ASSERT_SYNC(vcpu, 2);
	ASSERT_DONE(vcpu);
}

/* The PIC in the kernel leaves the client none to speak for. */
TEST(interrupt_with_kernel_pic)
{
	struct vm *vm = start_cpus(XAPIC);
	struct minivmm_interrupt irq = { 0x35 };

	EXPECT_ERRNO(ioctl(vm->vcpus[0]->fd, MINIVMM_INTERRUPT, &irq), ENXIO);
}

/* ------------------------------------------------------------------------ */
/* NMIs from the client, LINT1                                               */

static void guest_client_nmi(u64 mode)
{
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	apic_write(APIC_LVT_LINT1, DM_NMI);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(hits, 1);
	/* KVM's ioctl is the processor's NMI, not LINT1: clients look there */
	apic_write(APIC_LVT_LINT1, LVT_MASKED | DM_NMI);
	guest_sync(2, 0);
	GUEST_ASSERT_EQ(hits, 2);
}

TEST(client_nmi)
{
	struct vcpu *vcpu = start_device(guest_client_nmi, XAPIC);

	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_LVT_LINT1), DM_NMI);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_SYNC(vcpu, 2);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_LVT_LINT1), LVT_MASKED | DM_NMI);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_NMI, 0));
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* The timer: SDM 11.5.4                                                     */

static void run_timer(void *fn, u64 mode)
{
	/* left out by older KVMs: it needs a local APIC */
	cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
	run(fn, mode);
}

static void guest_timer_start(u64 mode, u32 lvt)
{
	guest_handlers[0x41] = guest_log;
	apic_start(mode);
	apic_write(APIC_TDCR, 0xb);		/* divide by 1 */
	apic_write(APIC_LVT_TIMER, lvt | 0x41);
}

static void guest_one_shot(u64 mode)
{
	guest_timer_start(mode, 0);
	apic_write(APIC_TMICT, 100000);
	while (!hits)
		wait_interrupt();
	GUEST_ASSERT_EQ(order[0], 0x41);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMICT), 100000);
}

TEST(xapic_timer_one_shot)
{
	run_timer(guest_one_shot, XAPIC);
}

TEST(x2apic_timer_one_shot)
{
	run_timer(guest_one_shot, X2APIC);
}

static void guest_one_shot_once(u64 mode)
{
	u64 begin;

	guest_one_shot(mode);
	begin = rdtsc();
	asm volatile("sti" : : : "memory");
	while (rdtsc() - begin < 200000)
		;
	asm volatile("cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 1);
	/* the next write of the initial count is another shot */
	apic_write(APIC_TMICT, 100000);
	while (hits < 2)
		wait_interrupt();
}

TEST(timer_one_shot_once)
{
	run_timer(guest_one_shot_once, XAPIC);
}

static void guest_periodic(u64 mode)
{
	guest_timer_start(mode, LVT_PERIODIC);
	apic_write(APIC_TMICT, 300000);
	while (hits < 4)
		wait_interrupt();
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
}

TEST(xapic_timer_periodic)
{
	run_timer(guest_periodic, XAPIC);
}

TEST(x2apic_timer_periodic)
{
	run_timer(guest_periodic, X2APIC);
}

static void guest_count_down(u64 mode)
{
	u32 first, last, i;

	guest_timer_start(mode, LVT_MASKED);
	apic_write(APIC_TMICT, 0xffffffff);
	first = apic_read(APIC_TMCCT);
	for (i = 0; i < 100000; i++) {
		last = apic_read(APIC_TMCCT);
		if (last != first)
			break;
	}
	GUEST_ASSERT(first != 0);
	GUEST_ASSERT(last < first);
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
}

TEST(xapic_timer_counts_down)
{
	run_timer(guest_count_down, XAPIC);
}

TEST(x2apic_timer_counts_down)
{
	run_timer(guest_count_down, X2APIC);
}

static void guest_masked_timer(u64 mode)
{
	guest_timer_start(mode, LVT_MASKED);
	apic_write(APIC_TMICT, 1000);
	while (apic_read(APIC_TMCCT))
		;
	take_interrupts();
	GUEST_ASSERT(!apic_test_bit(APIC_IRR, 0x41));
	GUEST_ASSERT_EQ(hits, 0);
	/* the shot is gone: unmasking does not bring it back */
	apic_write(APIC_LVT_TIMER, 0x41);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(timer_masked)
{
	if (!dev_is_minivmm())
		SKIP("KVM keeps the shot until the mask goes");
	run_timer(guest_masked_timer, XAPIC);
}

static void guest_deadline(u64 mode)
{
	u64 deadline;

	guest_timer_start(mode, LVT_DEADLINE);
	deadline = rdtsc() + 100000;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	while (!hits)
		wait_interrupt();
	GUEST_ASSERT(rdtsc() >= deadline);
	/* disarmed by its going off */
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
}

TEST(xapic_timer_deadline)
{
	run_timer(guest_deadline, XAPIC);
}

TEST(x2apic_timer_deadline)
{
	run_timer(guest_deadline, X2APIC);
}

static void guest_deadline_reads_back(u64 mode)
{
	u64 deadline = rdtsc() + (1UL << 40);

	guest_timer_start(mode, LVT_DEADLINE);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), deadline);
}

TEST(deadline_reads_back)
{
	run_timer(guest_deadline_reads_back, XAPIC);
}

static void guest_deadline_past(u64 mode)
{
	guest_timer_start(mode, LVT_DEADLINE);
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	wait_interrupt();
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
}

TEST(deadline_in_the_past)
{
	run_timer(guest_deadline_past, XAPIC);
}

/* Let the TSC pass a deadline, with interrupts enabled. */
static void guest_pass(u64 deadline)
{
	asm volatile("sti" : : : "memory");
	while (rdtsc() < deadline + 300000)
		;
	asm volatile("nop; cli" : : : "memory");
}

static void guest_deadline_zero(u64 mode)
{
	u64 deadline;

	guest_timer_start(mode, LVT_DEADLINE);
	deadline = rdtsc() + 200000;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	guest_pass(deadline);
	GUEST_ASSERT_EQ(hits, 0);
	/* and can be armed again */
	wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 50000);
	while (!hits)
		wait_interrupt();
}

TEST(deadline_zero_disarms)
{
	run_timer(guest_deadline_zero, XAPIC);
}

static void guest_deadline_mode_change(u64 mode)
{
	u64 deadline;

	guest_timer_start(mode, LVT_DEADLINE);
	deadline = rdtsc() + 200000;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	apic_write(APIC_LVT_TIMER, 0x41);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	guest_pass(deadline);
	GUEST_ASSERT_EQ(hits, 0);
	/* and can be armed again */
	wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 50000);
	while (!hits)
		wait_interrupt();
}

/* SDM 11.5.4.1: a change of the mode disarms the timer. */
TEST(deadline_mode_change_disarms)
{
	run_timer(guest_deadline_mode_change, XAPIC);
}

static void guest_count_mode_change(u64 mode)
{
	u64 begin;

	guest_timer_start(mode, 0);
	begin = rdtsc();
	apic_write(APIC_TMICT, 3000000);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	guest_pass(begin + 3000000);
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(count_mode_change_disarms)
{
	run_timer(guest_count_mode_change, XAPIC);
}

static void guest_other_mode(u64 mode)
{
	guest_timer_start(mode, 0);
	/* ignored in the count modes, and the count in deadline mode */
	wrmsr(MSR_IA32_TSC_DEADLINE, 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x41);
	apic_write(APIC_TMICT, 1000);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	guest_pass(rdtsc());
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(timer_of_other_mode_is_ignored)
{
	run_timer(guest_other_mode, XAPIC);
}

static void guest_stop_timer(u64 mode)
{
	u64 begin;

	guest_timer_start(mode, 0);
	begin = rdtsc();
	apic_write(APIC_TMICT, 3000000);
	apic_write(APIC_TMICT, 0);
	guest_pass(begin + 3000000);
	GUEST_ASSERT_EQ(hits, 0);
	apic_write(APIC_TMICT, 300000);
	while (!hits)
		wait_interrupt();
}

TEST(count_zero_disarms)
{
	run_timer(guest_stop_timer, XAPIC);
}

static void guest_deadline_without_cpuid(void)
{
	guest_timer_start(XAPIC, LVT_DEADLINE);
	GUEST_ASSERT_EQ(apic_read(APIC_LVT_TIMER), 0x41);
	wrmsr_safe(MSR_IA32_TSC_DEADLINE, 1);
	guest_pass(rdtsc());
	GUEST_ASSERT_EQ(hits, 0);
}

TEST(deadline_without_cpuid)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx &= ~(1U << 24);
	run(guest_deadline_without_cpuid, 0);
}

static void guest_spin_timer(u64 mode)
{
	guest_timer_start(mode, LVT_DEADLINE);
	asm volatile("sti" : : : "memory");
	while (hits < 5) {
		u64 before = hits;

		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + 50000);
		while (hits == before)
			;
	}
	asm volatile("cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, 5);
}

/* It ends a loop that leaves to the host for nothing else. */
TEST(timer_interrupts_spinning)
{
	run_timer(guest_spin_timer, X2APIC);
}

/* ------------------------------------------------------------------------ */
/* A vCPU in a thread of its own: what wakes it, what gets its attention      */

static volatile bool ready;

static void guest_halts(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_DEST(1) | 0x41);
	ready = true;
	while (!hits)
		wait_interrupt();
}

static void guest_spins(u64 mode)
{
	guest_handlers[0x41] = guest_log;
	guest_handlers[NMI_VECTOR] = guest_log_nmi;
	apic_start(mode);
	ioapic_set_rte(PIN, RTE_DEST(1) | 0x41);
	asm volatile("sti" : : : "memory");
	ready = true;
	while (!hits)
		;
}

static void *run_to_done(void *arg)
{
	ASSERT_DONE((struct vcpu *)arg);
	return NULL;
}

static pthread_t thread;

static struct vm *start_thread(void *fn, u64 mode, void *(*routine)(void *))
{
	struct vm *vm = vm_create_irqchip();

	add_cpu(vm, 0, mode, guest_sender);
	add_cpu(vm, 1, mode, fn);
	ASSERT_SYNC(vm->vcpus[0], 0);
	ASSERT(!pthread_create(&thread, NULL, routine, vm->vcpus[1]));
	while (!*vm_guest_ptr(vm, &ready))
		sched_yield();
	return vm;
}

static void end_thread(struct vm *vm, u64 vector)
{
	pthread_join(thread, NULL);
	EXPECT_EQ(*vm_guest_ptr(vm, &hits), 1);
	EXPECT_EQ(vm_guest_ptr(vm, &order[0])[0], vector);
}

TEST(ipi_wakes)
{
	struct vm *vm = start_thread(guest_halts, X2APIC, run_to_done);

	ipi(vm, 1, ICR_ASSERT | 0x41);
	end_thread(vm, 0x41);
}

TEST(ipi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, XAPIC, run_to_done);

	ipi(vm, 1, ICR_ASSERT | 0x41);
	end_thread(vm, 0x41);
}

TEST(nmi_wakes)
{
	struct vm *vm = start_thread(guest_halts, XAPIC, run_to_done);

	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	end_thread(vm, NMI_VECTOR);
}

TEST(nmi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, X2APIC, run_to_done);

	ipi(vm, 1, DM_NMI | ICR_ASSERT);
	end_thread(vm, NMI_VECTOR);
}

TEST(msi_wakes)
{
	struct vm *vm = start_thread(guest_halts, XAPIC, run_to_done);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x41), 1);
	end_thread(vm, 0x41);
}

TEST(msi_interrupts)
{
	struct vm *vm = start_thread(guest_spins, X2APIC, run_to_done);

	EXPECT_EQ(vm_msi(vm, MSI_DEST(1), 0x41), 1);
	end_thread(vm, 0x41);
}

TEST(ioapic_wakes)
{
	struct vm *vm = start_thread(guest_halts, X2APIC, run_to_done);

	vm_irq_line(vm, PIN, 1);
	end_thread(vm, 0x41);
}

TEST(ioapic_interrupts)
{
	struct vm *vm = start_thread(guest_spins, XAPIC, run_to_done);

	vm_irq_line(vm, PIN, 1);
	end_thread(vm, 0x41);
}

static void *run_to_trampoline(void *arg)
{
	expect_at_trampoline(arg);
	return NULL;
}

static void init_thread(void *fn)
{
	struct vm *vm = start_thread(fn, XAPIC, run_to_trampoline);

	memcpy(vm_gpa(vm, TRAMPOLINE_GPA), trampoline.start,
	       (const char *)trampoline.end - (const char *)trampoline.start);
	ipi(vm, 1, DM_INIT | ICR_ASSERT);
	ipi(vm, 1, DM_SIPI | ICR_ASSERT | TRAMPOLINE_VECTOR);
	pthread_join(thread, NULL);
	EXPECT_EQ(*vm_guest_ptr(vm, &hits), 0);
}

TEST(init_wakes)
{
	init_thread(guest_halts);
}

TEST(init_interrupts)
{
	init_thread(guest_spins);
}

#define ROUNDS	500

static volatile u64 turns[2];

static void guest_turn(struct guest_regs *regs)
{
	turns[regs->vector & 1]++;
	apic_eoi();
}

/* Whoever gets the ball sends it back; half of the waits are in HLT. */
static void guest_ping_pong(u64 id)
{
	u64 round;

	guest_handlers[0x50] = guest_turn;
	guest_handlers[0x51] = guest_turn;
	apic_start(X2APIC);
	ready = true;
	for (round = 1; round <= ROUNDS; round++) {
		if (id == 0)
			apic_send(1, ICR_ASSERT | 0x51);
		if (round & 1)
			asm volatile("sti" : : : "memory");
		while (turns[id] < round)
			if (!(round & 1))
				wait_interrupt();
		asm volatile("cli" : : : "memory");
		GUEST_ASSERT_EQ(turns[id], round);
		if (id == 1)
			apic_send(0, ICR_ASSERT | 0x50);
	}
}

/* No wake-up is lost between a look and HLT. */
TEST(ping_pong)
{
	struct vm *vm = vm_create_irqchip();
	int id;

	for (id = 0; id < 2; id++) {
		add_cpu(vm, id, X2APIC, guest_ping_pong);
		vcpu_setup_long(vm->vcpus[id], guest_ping_pong, id);
	}
	ASSERT(!pthread_create(&thread, NULL, run_to_done, vm->vcpus[1]));
	while (!*vm_guest_ptr(vm, &ready))
		sched_yield();
	ASSERT_DONE(vm->vcpus[0]);
	pthread_join(thread, NULL);
	EXPECT_EQ(vm_guest_ptr(vm, &turns[0])[0], ROUNDS);
	EXPECT_EQ(vm_guest_ptr(vm, &turns[0])[1], ROUNDS);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts from outside: pins of the I/O APIC and the PIC, in the kernel and
 * in the client, LINT0 and LINT1.
 */
#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* I/O APIC in the kernel                                                    */

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
TEST_BOTH(ioapic_level, level(mode))

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

TEST_BOTH(pic, pic_through_lint0(mode))

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

TEST_BOTH(split_level_eoi, split_level(mode))

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

TEST_BOTH(split_extint, split_extint(mode))

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

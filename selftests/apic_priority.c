// SPDX-License-Identifier: GPL-2.0
/*
 * When a local APIC's interrupts are taken: priorities, TPR, EOI.  SDM volume 3,
 * 11.8.  The interrupts are the vCPU's own.
 */
#include "apic_cpus.h"

/* ------------------------------------------------------------------------ */
/* Interrupts to oneself                                                     */

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

TEST_BOTH(self_ipi, run_with_apic(guest_self_ipi, mode))

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
	run_with_apic(guest_self_ipi_msr, 0);
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
TEST_BOTH(self_ipi_at_once, run_with_apic(guest_self_ipi_open, mode))

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

TEST_BOTH(all_vectors, run_with_apic(guest_all_vectors, mode))

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
	run_with_apic(guest_hlt_ipi, X2APIC);
}

/* ------------------------------------------------------------------------ */
/* Priority: SDM 11.8.3                                                      */

static void guest_priority(u64 mode)
{
	LOG_VECTORS(0x41, 0x51, 0x61, 0x63);
	apic_start(mode);
	self_ipi(0x51);
	self_ipi(0x61);
	self_ipi(0x41);
	self_ipi(0x63);
	take_interrupts();
	ASSERT_ORDER(0x63, 0x61, 0x51, 0x41);
}

TEST_BOTH(priority_order, run_with_apic(guest_priority, mode))

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
	LOG_VECTORS(0x41, 0x68, 0x71);
	guest_handlers[0x61] = guest_nesting;
	apic_start(mode);
	self_ipi(0x61);
	take_interrupts();
	ASSERT_ORDER(0x61, 0x71, 0x68, 0x41);
}

TEST_BOTH(nesting, run_with_apic(guest_nested, mode))

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

TEST_BOTH(eoi_order, run_with_apic(guest_eoi_order, mode))

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

TEST_BOTH(irr_holds_one_more, run_with_apic(guest_one_more, mode))

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
TEST_BOTH(eoi_when_idle, run_with_apic(guest_eoi_idle, mode))

static void guest_tpr(u64 mode)
{
	LOG_VECTORS(0x4f, 0x50);
	apic_start(mode);
	self_ipi(0x4f);
	self_ipi(0x50);
	apic_write(APIC_TPR, 0x50);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 0);
	/* the class decides, not the sub-class */
	apic_write(APIC_TPR, 0x4f);
	take_interrupts();
	ASSERT_ORDER(0x50);
	apic_write(APIC_TPR, 0x40);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	apic_write(APIC_TPR, 0x3f);
	take_interrupts();
	ASSERT_ORDER(0x50, 0x4f);
}

TEST_BOTH(tpr_masks, run_with_apic(guest_tpr, mode))

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

TEST_BOTH(cr8_masks, run_with_apic(guest_cr8, mode))

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
	ASSERT_ORDER(NMI_VECTOR);
}

/* CR8 = 15 holds back all interrupts, but no NMI. */
TEST_BOTH(tpr_lets_nmi_through, run_with_apic(guest_tpr_15, mode))

static void guest_no_spurious(u64 mode)
{
	LOG_VECTORS(0x41, 0xff);
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
	ASSERT_ORDER(0x41);
}

TEST(no_spurious_vector)
{
	run_with_apic(guest_no_spurious, XAPIC);
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
	run_with_apic(guest_spurious_fixed, XAPIC);
}

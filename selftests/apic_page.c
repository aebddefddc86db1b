// SPDX-License-Identifier: GPL-2.0
/*
 * What a CPU does of an xAPIC's page by itself, and what it leaves to the
 * monitor: SDM volume 3, 30.4. Every kind of access, whoever does it.
 */
#include "apic.h"
#include "stats.h"
#include "threads.h"

#define VECTOR	0x55

static struct vcpu *start(void *fn, u64 arg)
{
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 0);

	vcpu_setup_long(vcpu, fn, arg);
	return vcpu;
}

static volatile u64 hits;

static void guest_count(struct guest_regs *regs)
{
	hits += !!regs->vector;
	xapic_write(APIC_EOI, 0);
}

/* ------------------------------------------------------------------------ */
/* Without an exit                                                           */

static bool apicv_is_on(void)
{
	const char *path = dev_is_minivmm() ?
			   "/sys/module/minivmm_intel/parameters/apicv" :
			   "/sys/module/kvm_intel/parameters/enable_apicv";
	FILE *file = fopen(path, "r");
	int value = file ? fgetc(file) : 'N';

	if (file)
		fclose(file);
	return value == 'Y' && host_cpu_has("apicv");
}

static void need_apicv(void)
{
	if (!apicv_is_on())
		SKIP("no virtual-interrupt delivery");
}

/* Fewer than there are vectors above the exceptions' */
#define ACCESSES	200

/* What guest_accesses() does, so often */
static volatile u32 access_reg, access_value;
static volatile bool access_writes;

static void guest_accesses(void)
{
	u32 i;

	apic_start(XAPIC);
	for (;;) {
		guest_sync(1, 0);
		for (i = 0; i < ACCESSES; i++) {
			if (access_writes)
				xapic_write(access_reg, access_value);
			else
				xapic_read(access_reg);
		}
		guest_sync(2, 0);
	}
}

static u64 exits(struct stats *stats)
{
	return stats_get(stats, "exits") - stats_get(stats, "irq_exits");
}

static u64 exits_of(struct vcpu *vcpu, struct stats *stats, u32 reg)
{
	u64 before;

	*vm_guest_ptr(vcpu->vm, &access_reg) = reg;
	ASSERT_SYNC(vcpu, 1);
	before = exits(stats);
	ASSERT_SYNC(vcpu, 2);
	return exits(stats) - before;
}

struct accessor {
	struct vcpu *vcpu;
	struct stats stats;
};

static struct accessor accessor(bool writes)
{
	struct accessor a = { .vcpu = start(guest_accesses, 0) };

	stats_open(&a.stats, a.vcpu->fd);
	*vm_guest_ptr(a.vcpu->vm, &access_writes) = writes;
	return a;
}

/* The guest's call is one; a few more can be the host's. */
static void expect_exits(struct accessor *a, u32 reg, u64 each)
{
	u64 count = exits_of(a->vcpu, &a->stats, reg);

	if (count < each * ACCESSES ||
	    count > each * ACCESSES + ACCESSES / 10)
		test_fail(__FILE__, __LINE__,
			  "register 0x%x: %llu exits for %d accesses", reg,
			  count, ACCESSES);
}

static const u32 quiet_reads[] = {
	APIC_ID, APIC_VERSION, APIC_TPR, APIC_LDR, APIC_DFR, APIC_SVR,
	APIC_ISR, APIC_ISR + 0x70, APIC_TMR, APIC_TMR + 0x70,
	APIC_IRR, APIC_IRR + 0x70, APIC_ESR, APIC_ICR, APIC_ICR2,
	APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PMC, APIC_LVT_LINT0,
	APIC_LVT_LINT1, APIC_LVT_ERROR, APIC_TMICT, APIC_TDCR,
};

TEST(reads_without_exit)
{
	struct accessor a;
	u32 i;

	need_apicv();
	a = accessor(false);
	for (i = 0; i < ARRAY_SIZE(quiet_reads); i++)
		expect_exits(&a, quiet_reads[i], 0);
}

/* SDM 30.4.2: what has to be computed */
TEST(reads_with_exit)
{
	struct accessor a = accessor(false);

	expect_exits(&a, APIC_PPR, 1);
	expect_exits(&a, APIC_TMCCT, 1);
}

TEST(task_priority_without_exit)
{
	struct accessor a;

	if (!host_cpu_has("flexpriority"))
		SKIP("the CPU cannot");
	a = accessor(false);
	expect_exits(&a, APIC_TPR, 0);
	*vm_guest_ptr(a.vcpu->vm, &access_writes) = true;
	*vm_guest_ptr(a.vcpu->vm, &access_value) = 0x30;
	expect_exits(&a, APIC_TPR, 0);
	EXPECT_EQ(vcpu_apic_reg(a.vcpu, APIC_TPR), 0x30);
}

/* Each ends one: that of vector 0 exits on KVM, which some pin may have. */
TEST(eoi_without_exit)
{
	struct accessor a;
	u32 i;

	need_apicv();
	a = accessor(true);
	ASSERT_SYNC(a.vcpu, 1);
	ASSERT_SYNC(a.vcpu, 2);
	for (i = 0x10; i < 0x80; i += 0x10)
		vcpu_set_apic_reg(a.vcpu, APIC_ISR + i, ~0U);
	expect_exits(&a, APIC_EOI, 0);
	EXPECT_EQ(vcpu_apic_reg(a.vcpu, APIC_ISR + 0x10), 0xffffff);
}

TEST(icr_without_exit)
{
	struct accessor a;

	need_apicv();
	a = accessor(true);
	*vm_guest_ptr(a.vcpu->vm, &access_value) = ICR_SELF | ICR_ASSERT |
						   VECTOR;
	expect_exits(&a, APIC_ICR, 0);
	EXPECT(vcpu_apic_bit(a.vcpu, APIC_IRR, VECTOR));
	*vm_guest_ptr(a.vcpu->vm, &access_value) = 0xffffffff;
	expect_exits(&a, APIC_ICR2, 0);
	EXPECT_EQ(vcpu_apic_reg(a.vcpu, APIC_ICR2), 0xff000000);
}

static const u32 loud_writes[] = {
	APIC_LDR, APIC_DFR, APIC_SVR, APIC_ESR, APIC_LVT_TIMER,
	APIC_LVT_THERMAL, APIC_LVT_PMC, APIC_LVT_LINT0, APIC_LVT_LINT1,
	APIC_LVT_ERROR, APIC_TMICT, APIC_TDCR,
};

TEST(writes_with_one_exit)
{
	struct accessor a = accessor(true);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(loud_writes); i++)
		expect_exits(&a, loud_writes[i], 1);
}

/* While the client has a log of what is written */
TEST(logged)
{
	struct accessor a;
	struct vm *vm;

	need_apicv();
	a = accessor(true);
	vm = a.vcpu->vm;
	ASSERT_OK(vm_set_slot(vm, 0, MINIVMM_MEM_LOG_DIRTY_PAGES, 0,
			      VM_MEM_SIZE, vm->mem));
	expect_exits(&a, APIC_TPR, 0);
	expect_exits(&a, APIC_LVT_PMC, 1);
}

static void guest_self_ipis(void)
{
	u32 i;

	guest_handlers[VECTOR] = guest_count;
	apic_start(XAPIC);
	guest_sync(1, 0);
	asm volatile("sti" : : : "memory");
	for (i = 0; i < ACCESSES; i++)
		xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR);
	asm volatile("nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(hits, ACCESSES);
	guest_sync(2, 0);
}

/* Sent, taken and ended */
TEST(interrupts_without_exit)
{
	struct vcpu *vcpu;
	struct stats stats;
	u64 before;

	need_apicv();
	vcpu = start(guest_self_ipis, 0);
	stats_open(&stats, vcpu->fd);
	ASSERT_SYNC(vcpu, 1);
	before = exits(&stats);
	ASSERT_SYNC(vcpu, 2);
	EXPECT(exits(&stats) - before < ACCESSES / 10);
}

/* ------------------------------------------------------------------------ */
/* One set of registers, whoever looks                                       */

static volatile u32 seen[64];

static void guest_fill_and_read(void)
{
	u32 reg;

	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0xffffff37);
	xapic_write(APIC_LDR, 0x12345678);
	xapic_write(APIC_DFR, 0x00abcdef);
	xapic_write(APIC_SVR, SVR_ENABLE | 0xaa);
	for (reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg += 0x10)
		xapic_write(reg, LVT_MASKED | (reg >> 4));
	xapic_write(APIC_TDCR, 0xffffff0b);
	xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR);
	xapic_write(APIC_ICR2, 0x89abcdef);
	for (reg = 0; reg < 0x400; reg += 0x10)
		seen[reg / 16] = xapic_read(reg);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0x48);
	GUEST_ASSERT_EQ(xapic_read(APIC_LDR), 0x9a000000);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_PMC), LVT_MASKED | 0x7c);
	GUEST_ASSERT_EQ(xapic_read(APIC_IRR + VECTOR / 32 * 16), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
}

static const u32 expected[][2] = {
	{ APIC_ID, 0 }, { APIC_TPR, 0x37 }, { APIC_LDR, 0x12000000 },
	{ APIC_DFR, 0x0fffffff }, { APIC_SVR, SVR_ENABLE | 0xaa },
	{ APIC_LVT_PMC, LVT_MASKED | 0x34 }, { APIC_TDCR, 0xb },
	{ APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR },
	{ APIC_ICR2, 0x89000000 }, { APIC_ESR, 0 },
};

TEST(same_for_guest_and_client)
{
	struct vcpu *vcpu = start(guest_fill_and_read, 0);
	struct minivmm_lapic_state lapic;
	volatile u32 *guest;
	u32 i;

	ASSERT_SYNC(vcpu, 1);
	guest = vm_guest_ptr(vcpu->vm, &seen[0]);
	lapic = vcpu_lapic(vcpu);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		EXPECT_EQ(guest[expected[i][0] / 16], expected[i][1]);
	for (i = 0; i < ARRAY_SIZE(quiet_reads); i++)
		EXPECT_EQ(guest[quiet_reads[i] / 16],
			  *lapic_reg(&lapic, quiet_reads[i]));
	*lapic_reg(&lapic, APIC_TPR) = 0x48;
	*lapic_reg(&lapic, APIC_LDR) = 0x9a000000;
	*lapic_reg(&lapic, APIC_LVT_PMC) = LVT_MASKED | 0x7c;
	*lapic_reg(&lapic, APIC_IRR + VECTOR / 32 * 16) = 0;
	vcpu_set_lapic(vcpu, &lapic);
	ASSERT_DONE(vcpu);
}

static void guest_writes_id(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_ID, 0x7f000000);
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
	*(volatile u8 *)(XAPIC_GPA + APIC_ID + 3) = 5;
	GUEST_ASSERT_EQ(xapic_read(APIC_ID), 0);
	/* it is still the one that messages find */
	xapic_write(APIC_ICR2, 0);
	xapic_write(APIC_ICR, ICR_ASSERT | VECTOR);
	GUEST_ASSERT(apic_test_bit(APIC_IRR, VECTOR));
}

TEST(id_is_read_only)
{
	if (!dev_is_minivmm())
		SKIP("KVM's can be written");
	ASSERT_DONE(start(guest_writes_id, 0));
}

/* The timer goes by what has been written, also where the CPU wrote it. */
static void guest_timer_modes(void)
{
	u32 left;

	apic_start(XAPIC);
	xapic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
	xapic_write(APIC_TDCR, 0xb);
	xapic_write(APIC_TMICT, 0x80000000);
	left = xapic_read(APIC_TMCCT);
	GUEST_ASSERT(left > 0x70000000 && left <= 0x80000000);
	xapic_write(APIC_TDCR, 0xa);		/* by 128 */
	left = xapic_read(APIC_TMCCT);
	GUEST_ASSERT(left > 0x70000000 && left <= 0x80000000);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMICT), 0x80000000);
	/* to another mode of counting: goes on; to deadlines: stops */
	xapic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_PERIODIC | VECTOR);
	GUEST_ASSERT(xapic_read(APIC_TMCCT) > 0x70000000);
	xapic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_DEADLINE | VECTOR);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMCCT), 0);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMICT), 0);
	xapic_write(APIC_TMICT, 0x1000);
	GUEST_ASSERT_EQ(xapic_read(APIC_TMCCT), 0);
	wrmsr(MSR_IA32_TSC_DEADLINE, ~0UL >> 1);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), ~0UL >> 1);
	xapic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_TSC_DEADLINE), 0);
}

TEST(timer_modes)
{
	cpuid_entry(supported_cpuid(), 1, 0)->ecx |= 1U << 24;
	ASSERT_DONE(start(guest_timer_modes, 0));
}

/* ------------------------------------------------------------------------ */
/* Accesses of all kinds                                                     */

#define GUEST_READ(type, offset) \
	(*(volatile type *)(XAPIC_GPA + (offset)))

/* Bytes of a register, and zeros around it; what no driver does. */
static void guest_read_widths(void)
{
	apic_start(XAPIC);
	xapic_write(APIC_SVR, SVR_ENABLE | 0xa5);
	GUEST_ASSERT_EQ(GUEST_READ(u8, APIC_SVR), 0xa5);
	GUEST_ASSERT_EQ(GUEST_READ(u8, APIC_SVR + 1), 1);
	GUEST_ASSERT_EQ(GUEST_READ(u8, APIC_SVR + 3), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u16, APIC_SVR), 0x1a5);
	GUEST_ASSERT_EQ(GUEST_READ(u16, APIC_SVR + 1), 1);
	GUEST_ASSERT_EQ(GUEST_READ(u16, APIC_SVR + 2), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u32, APIC_SVR), 0x1a5);
	GUEST_ASSERT_EQ(GUEST_READ(u32, APIC_SVR - 2), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u32, APIC_SVR + 1), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u16, APIC_SVR + 3), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u64, APIC_SVR), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u32, APIC_SVR + 4), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u32, 0x400), 0);
	GUEST_ASSERT_EQ(GUEST_READ(u64, 0xff8), 0);
}

TEST(read_widths)
{
	if (!dev_is_minivmm())
		SKIP("KVM leaves some of it undefined");
	ASSERT_DONE(start(guest_read_widths, 0));
}

/* Of a write that is no aligned word a register takes all or nothing. */
static void guest_write_widths(void)
{
	u32 i, value;

	apic_start(XAPIC);
	for (i = 0; i < 4; i++) {
		xapic_write(APIC_LVT_THERMAL, LVT_MASKED | 0x31);
		xapic_write(APIC_LVT_PMC, LVT_MASKED | 0x32);
		xapic_write(APIC_LVT_LINT0, LVT_MASKED | 0x33);
		GUEST_READ(u8, APIC_LVT_PMC + i) = 0x41;
		value = xapic_read(APIC_LVT_PMC);
		GUEST_ASSERT(value == (LVT_MASKED | 0x32) ||
			     (value & 0x107ff) == (((LVT_MASKED | 0x32) &
				~(0xff << 8 * i)) | (0x41 << 8 * i & 0x107ff)));
		GUEST_READ(u32, APIC_LVT_PMC - 4 + i) = 0x77777777;
		GUEST_READ(u64, APIC_LVT_PMC - 8 + i) = ~0UL;
		GUEST_READ(u64, APIC_LVT_PMC + 4 + i) = ~0UL;
		GUEST_ASSERT_EQ(xapic_read(APIC_LVT_THERMAL),
				LVT_MASKED | 0x31);
		GUEST_ASSERT_EQ(xapic_read(APIC_LVT_LINT0), LVT_MASKED | 0x33);
	}
	GUEST_READ(u64, APIC_TPR) = ~0UL;
	GUEST_READ(u64, 0xff8) = ~0UL;
	GUEST_ASSERT(xapic_read(APIC_TPR) <= 0xff);
	GUEST_ASSERT_EQ(xapic_read(APIC_APR + 0x70), 0);
}

TEST(write_widths)
{
	ASSERT_DONE(start(guest_write_widths, 0));
}

/* Across the page's ends: the other half is a device of the client's. */
static void guest_across_ends(void)
{
	apic_start(XAPIC);
	xapic_read(APIC_ID);
	GUEST_ASSERT_EQ(GUEST_READ(u32, 0xffe), 0xbeef0000);
	GUEST_ASSERT_EQ(GUEST_READ(u32, -2L), 0xbeef);
	GUEST_READ(u32, 0xffe) = 0x12345678;
	GUEST_READ(u64, -4L) = 0;
	GUEST_ASSERT_EQ(xapic_read(APIC_VERSION) & 0xf0, 0x10);
}

TEST(across_the_ends)
{
	struct vcpu *vcpu = start(guest_across_ends, 0);
	u32 word = 0xbeef;
	int reason, count = 0;

	if (!dev_is_minivmm())
		SKIP("KVM takes some of it for the APIC's");
	while ((reason = vcpu_run(vcpu)) == MINIVMM_EXIT_MMIO) {
		u64 gpa = vcpu->run->mmio.phys_addr;

		count++;
		EXPECT(gpa < XAPIC_GPA || gpa >= XAPIC_GPA + PAGE_SIZE);
		if (!vcpu->run->mmio.is_write)
			memcpy(vcpu->run->mmio.data, &word, 4);
	}
	EXPECT_EQ(count, 4);
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
}

static void guest_rmw_one(u32 rmw_reg, u32 fixed)
{
	volatile u32 *reg = (u32 *)(XAPIC_GPA + rmw_reg);
	u32 old;

	xapic_write(rmw_reg, fixed | 0x10);
	asm volatile("orl %1, %0" : "+m"(*reg) : "r"(0x25) : "cc");
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x35);
	asm volatile("lock andl %1, %0" : "+m"(*reg) : "r"(fixed | 0x31)
		     : "cc");
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x31);
	asm volatile("lock incl %0" : "+m"(*reg) : : "cc");
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x32);
	asm volatile("btsl $2, %0" : "+m"(*reg) : : "cc");
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x36);
	asm volatile("subl $6, %0" : "+m"(*reg) : : "cc");
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x30);
	old = fixed | 0x41;
	asm volatile("xchgl %0, %1" : "+r"(old), "+m"(*reg));
	GUEST_ASSERT_EQ(old, fixed | 0x30);
	old = 3;
	asm volatile("lock xaddl %0, %1" : "+r"(old), "+m"(*reg) : : "cc");
	GUEST_ASSERT_EQ(old, fixed | 0x41);
	old = fixed | 0x44;
	asm volatile("lock cmpxchgl %2, %1" : "+a"(old), "+m"(*reg)
		     : "r"(fixed | 0x52) : "cc");
	GUEST_ASSERT_EQ(old, fixed | 0x44);
	GUEST_ASSERT_EQ(xapic_read(rmw_reg), fixed | 0x52);
}

static void guest_rmw(void)
{
	apic_start(XAPIC);
	guest_rmw_one(APIC_TPR, 0);
	guest_rmw_one(APIC_LVT_PMC, LVT_MASKED);
	guest_rmw_one(APIC_SVR, SVR_ENABLE);
}

TEST(read_modify_write)
{
	ASSERT_DONE(start(guest_rmw, 0));
}

static u32 copy[256];

static void rep_movsl(u64 di, u64 si, u64 cx)
{
	asm volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	GUEST_ASSERT_EQ(cx, 0);
}

static void guest_strings(void)
{
	u64 di = XAPIC_GPA + APIC_LVT_THERMAL, cx = 8;
	u32 i, word = LVT_MASKED | 0x77;

	apic_start(XAPIC);
	xapic_write(APIC_TPR, 0x2a);
	xapic_write(APIC_LVT_PMC, LVT_MASKED | 0x66);
	rep_movsl((u64)copy, XAPIC_GPA, 256);
	for (i = 0; i < ARRAY_SIZE(quiet_reads); i++)
		GUEST_ASSERT_EQ(copy[quiet_reads[i] / 4],
				xapic_read(quiet_reads[i]));
	/* to it; and from register to register */
	rep_movsl(XAPIC_GPA + APIC_LVT_PMC, (u64)&word, 1);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_PMC), word);
	rep_movsl(XAPIC_GPA + APIC_LVT_THERMAL, XAPIC_GPA + APIC_LVT_PMC, 1);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_THERMAL), word);
	/* the word of each register alone */
	asm volatile("rep stosl" : "+D"(di), "+c"(cx)
		     : "a"(LVT_MASKED | 0x12) : "memory");
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_THERMAL), LVT_MASKED | 0x12);
	GUEST_ASSERT_EQ(xapic_read(APIC_LVT_PMC), LVT_MASKED | 0x12);
	GUEST_ASSERT_EQ(xapic_read(APIC_TPR), 0x2a);
}

TEST(strings)
{
	ASSERT_DONE(start(guest_strings, 0));
}

/* ------------------------------------------------------------------------ */
/* The end of a write that traps                                             */

static volatile u64 db_rip[16], db_count;

static void guest_log_db(struct guest_regs *regs)
{
	db_rip[db_count++ & 15] = regs->rip;
}

static void guest_traps(u64 reg)
{
	u64 first, second;

	guest_handlers[DB_VECTOR] = guest_log_db;
	apic_start(XAPIC);
	xapic_read(APIC_ID);
	asm volatile("lea 1f(%%rip), %[first]\n"
		     "lea 2f(%%rip), %[second]\n"
		     "pushfq\n"
		     "orl $0x100, (%%rsp)\n"
		     "popfq\n"
		     "movl %[value], (%[reg])\n"
		     "1: nop\n"
		     "2: pushfq\n"
		     "andl $~0x100, (%%rsp)\n"
		     "popfq\n"
		     : [first]"=&r"(first), [second]"=&r"(second)
		     : [reg]"r"(XAPIC_GPA + reg), [value]"r"(LVT_MASKED | 0x40)
		     : "memory", "cc");
	GUEST_ASSERT_EQ(db_count, 5);
	GUEST_ASSERT_EQ(db_rip[0], first);
	GUEST_ASSERT_EQ(db_rip[1], second);
}

/* With RFLAGS.TF: one trap for each instruction, done or emulated */
TEST(single_step_of_the_guest)
{
	static const u32 regs[] = {
		APIC_LVT_PMC, APIC_TPR, APIC_EOI, APIC_ESR, APIC_ICR2, 0x3d0,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(regs); i++)
		ASSERT_DONE(start(guest_traps, regs[i]));
}

static void guest_level_eoi(u64 pin)
{
	guest_handlers[VECTOR] = guest_count;
	apic_start(XAPIC);
	ioapic_set_rte(pin, RTE_LEVEL | VECTOR);
	guest_sync(1, 0);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 1);
	guest_sync(2, 0);
	take_interrupts();
	GUEST_ASSERT_EQ(hits, 2);
}

/* The I/O APIC hears of the end of its own. */
TEST(eoi_of_a_level)
{
	struct vcpu *vcpu = start(guest_level_eoi, 18);
	struct vm *vm = vcpu->vm;

	ASSERT_SYNC(vcpu, 1);
	vm_irq_line(vm, 18, 1);
	/* it comes in, its handler ends it, it is there again: IF=0 by then */
	vm_irq_line(vm, 18, 0);
	ASSERT_SYNC(vcpu, 2);
	vm_irq_line(vm, 18, 1);
	vm_irq_line(vm, 18, 0);
	ASSERT_DONE(vcpu);
}

#define STEP_SETUP	"movl $0x10040, %eax\n"
guest_code64(steps,
	     STEP_SETUP			/* 5 bytes */
	     "movl $0xfee00340, %edi\n"	/* 5: LVT, an APIC write */
	     "movl %eax, (%rdi)\n"	/* 2 */
	     "movl $0xfee00080, %edi\n"	/* 5: TPR, no exit */
	     "movl %eax, (%rdi)\n"	/* 2 */
	     "movl $0xfee000a0, %edi\n"	/* 5: PPR, an APIC access */
	     "movl (%rdi), %eax\n"	/* 2 */
	     "movl $0xfee000b0, %edi\n"	/* 5: EOI */
	     "movl %eax, (%rdi)\n"	/* 2 */
	     "nop\n"
	     "hlt");

static const u8 step_len[] = { 5, 5, 2, 5, 2, 5, 2, 5, 2, 1 };

/* The client's debugger stops behind each. */
TEST(single_step_of_the_client)
{
	struct minivmm_guest_debug debug = {
		.control = MINIVMM_GUESTDBG_ENABLE |
			   MINIVMM_GUESTDBG_SINGLESTEP,
	};
	struct vcpu *vcpu = vcpu_create(vm_create_irqchip(), 0);
	u64 rip = BLOB_GPA;
	u32 i;

	if (!dev_is_minivmm())
		SKIP("stock KVM's step over a write goes on to the next instruction");
	vcpu_setup_blob64(vcpu, &steps);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_GUEST_DEBUG, &debug));
	for (i = 0; i < ARRAY_SIZE(step_len); i++) {
		rip += step_len[i];
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_DEBUG);
		EXPECT_EQ(vcpu->run->debug.arch.pc, rip);
	}
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_LVT_PMC), LVT_MASKED | 0x40);
	EXPECT_EQ(vcpu_apic_reg(vcpu, APIC_TPR), 0x40);
}

/* ------------------------------------------------------------------------ */
/* What no driver does: whatever comes, the host goes on                     */

#define APIC_PTR(offset)	((void *)(XAPIC_GPA + (offset)))

static void hostile_push(void)
{
	asm volatile("mov %0, %%rsp; push %%rax" : : "r"(XAPIC_GPA + 0x90));
}

static void hostile_call(void)
{
	asm volatile("mov %0, %%rsp; call 1f; 1:" : : "r"(XAPIC_GPA + 0x348));
}

static void hostile_iret(void)
{
	asm volatile("mov %0, %%rsp; iretq" : : "r"(XAPIC_GPA + 0x100));
}

static void hostile_exception(void)
{
	asm volatile("mov %0, %%rsp; ud2" : : "r"(XAPIC_GPA + 0x390));
}

static void hostile_int(void)
{
	asm volatile("mov %0, %%rsp; int $0x80" : : "r"(XAPIC_GPA + 0x90));
}

static void hostile_irq(void)
{
	xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR);
	asm volatile("mov %0, %%rsp; sti; nop; nop; out %%al, $0x10"
		     : : "r"(XAPIC_GPA + 0x400), "a"(0));
}

static void hostile_nmi(void)
{
	xapic_write(APIC_ICR2, 0);
	asm volatile("mov %0, %%rsp; movl %1, (%2); nop; nop"
		     : : "r"(XAPIC_GPA + 0x400), "r"(DM_NMI | ICR_ASSERT),
			 "r"(XAPIC_GPA + APIC_ICR));
}

static void load_table(bool idt, u64 base)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) table = { 0xfff, base };

	if (idt)
		asm volatile("lidt %0" : : "m"(table));
	else
		asm volatile("lgdt %0" : : "m"(table));
}

static void hostile_idt(void)
{
	load_table(true, XAPIC_GPA);
	asm volatile("int3");
}

static void hostile_idt_irq(void)
{
	load_table(true, XAPIC_GPA);
	xapic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | 0x20);
	asm volatile("sti; nop; nop; out %al, $0x10");
}

static void hostile_gdt(void)
{
	load_table(false, XAPIC_GPA);
	asm volatile("mov %0, %%ds" : : "r"(0x80));
}

static void hostile_gdt_far(void)
{
	load_table(false, XAPIC_GPA);
	asm volatile("pushq $0x80; pushq $0; lretq");
}

static void hostile_cr3(void)
{
	write_cr3(XAPIC_GPA);
}

/* A page table there, whose entry is the TPR; then all entries */
static void hostile_page_table(void)
{
	u64 *pd = (u64 *)PD_GPA, address;

	xapic_write(APIC_TPR, 0x27);
	pd[0x20] = XAPIC_GPA | 7;
	for (address = 0x20UL << 21; address < 0x21UL << 21; address += 4096)
		guest_try("testb $1, (%%rax)", "a"(address));
}

static void hostile_page_table_write(void)
{
	u64 *pd = (u64 *)PD_GPA, address;

	pd[0x20] = XAPIC_GPA | 7;
	for (address = 0x20UL << 21; address < 0x21UL << 21; address += 4096)
		guest_try("movb %%bl, (%%rax)", "a"(address));
}

static void hostile_directory(void)
{
	u64 *pdpt = (u64 *)PDPT_GPA;

	pdpt[5] = XAPIC_GPA | 7;
	guest_try("testb $1, (%%rax)", "a"((5UL << 30) + (0x10 << 21)));
}

static void hostile_tss(void)
{
	u64 *tss = (u64 *)(GDT_GPA + SEL_TSS);

	tss[0] = 0xfe0089e000000067UL & ~0xffff0000UL;
	tss[1] = 0;
	asm volatile("ltr %w0" : : "r"(SEL_TSS));
	guest_call_user((u64 (*)(u64))0x1000, 0);
}

static void hostile_code(void)
{
	asm volatile("jmp *%0" : : "r"(XAPIC_GPA + APIC_TPR));
}

static void hostile_sgdt(void)
{
	asm volatile("sgdt (%0)" : : "r"(XAPIC_GPA + 0x340) : "memory");
}

static void hostile_lidt(void)
{
	asm volatile("lidt (%0)" : : "r"(XAPIC_GPA + 0x340) : "memory");
}

static void hostile_fpu(void)
{
	static const u32 offsets[] = { 0x80, 0x320, 0x340, 0xb0, 0 };
	u32 i;

	write_cr4(read_cr4() | 3 << 9);
	write_cr0(read_cr0() & ~0xcUL);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		guest_try("fnstenv (%%rax)", "a"(APIC_PTR(offsets[i])));
}

static void hostile_fxsave(void)
{
	write_cr4(read_cr4() | 3 << 9);
	guest_try("fxsave (%%rax)", "a"(APIC_PTR(0)));
}

static void hostile_sse(void)
{
	write_cr4(read_cr4() | 3 << 9);
	guest_try("movups %%xmm0, (%%rax)", "a"(APIC_PTR(0x340)));
}

static void hostile_sse_load(void)
{
	write_cr4(read_cr4() | 3 << 9);
	guest_try("movups (%%rax), %%xmm0", "a"(APIC_PTR(0x340)));
}

static void hostile_cmpxchg16b(void)
{
	guest_try("lock cmpxchg16b (%%rdi)", "D"(APIC_PTR(0x340)));
}

static void hostile_cache(void)
{
	asm volatile("clflush (%0); prefetcht0 (%0); prefetchw (%0)"
		     : : "r"(APIC_PTR(0x340)));
	asm volatile("clflush (%0)" : : "r"(APIC_PTR(0xc00)));
}

static void hostile_enter(void)
{
	asm volatile("mov %0, %%rsp; mov %0, %%rbp; enter $16, $3"
		     : : "r"(XAPIC_GPA + 0x3f0));
}

#define STRING_PORT	0x20

static void hostile_ins(void)
{
	u64 di = XAPIC_GPA + APIC_LVT_PMC, si = di, cx = 3;

	asm volatile("rep insl" : "+D"(di), "+c"(cx) : "d"(STRING_PORT) : "memory");
	cx = 3;
	asm volatile("rep outsl" : "+S"(si), "+c"(cx) : "d"(STRING_PORT) : "memory");
}

static void hostile_msr(void)
{
	/* the paravirtual clock, and steal time */
	wrmsr(0x4b564d01, XAPIC_GPA | 1);
	guest_sync(3, 0);
	wrmsr(0x4b564d03, XAPIC_GPA | 1);
	guest_sync(3, 0);
}

static void hostile_verr(void)
{
	guest_try("verr (%%rax)", "a"(APIC_PTR(0x340)));
}

static void (*const hostile[])(void) = {
	hostile_push, hostile_call, hostile_iret, hostile_exception,
	hostile_int, hostile_irq, hostile_nmi, hostile_idt, hostile_idt_irq,
	hostile_gdt, hostile_gdt_far, hostile_cr3, hostile_page_table,
	hostile_page_table_write, hostile_directory, hostile_tss, hostile_code,
	hostile_sgdt, hostile_lidt, hostile_fpu, hostile_fxsave, hostile_sse,
	hostile_sse_load, hostile_cmpxchg16b, hostile_cache, hostile_enter,
	hostile_ins, hostile_msr, hostile_verr,
};

static void guest_hostile(u64 which)
{
	guest_handlers[VECTOR] = guest_count;
	guest_handlers[NMI_VECTOR] = guest_count;
	apic_start(XAPIC);
	xapic_read(APIC_ID);
	hostile[which]();
}

static bool is_end(struct vcpu *vcpu, int reason)
{
	switch (reason) {
	case MINIVMM_EXIT_MMIO:
		return false;
	case MINIVMM_EXIT_IO:
		return vcpu->run->io.port != STRING_PORT;
	case MINIVMM_EXIT_INTERNAL_ERROR:
	case MINIVMM_EXIT_SHUTDOWN:
		return true;
	}
	FAIL("%s", exit_name(reason));
}

static void run_hostile(u32 which)
{
	struct vcpu *vcpu = start(guest_hostile, which);
	int reason, i;

	for (i = 0; i < 100; i++) {
		reason = vcpu_run(vcpu);
		if (is_end(vcpu, reason))
			break;
	}
	ksft_print_msg("%u: %s\n", which, exit_name(reason));
	/* It is a vCPU still, and its local APIC is one. */
	vcpu_setup_long(vcpu, guest_rmw, 0);
	vcpu_set_apic_reg(vcpu, APIC_SVR, SVR_ENABLE | 0xff);
	vm_free(vcpu->vm);
}

TEST(hostile)
{
	u32 i;

	if (!dev_is_minivmm())
		SKIP("KVM emulates on and on; Bochs stops at code in the page");
	for (i = 0; i < ARRAY_SIZE(hostile); i++)
		run_hostile(i);
	ASSERT_DONE(start(guest_rmw, 0));
}

static void guest_say_count(struct guest_regs *regs)
{
	guest_count(regs);
	guest_sync(1, hits);
}

static void guest_irq_on_page(void)
{
	guest_handlers[VECTOR] = guest_say_count;
	apic_start(XAPIC);
	hostile_irq();
}

/* Nobody can deliver an event there; the client is told which. */
TEST(delivery_through_the_page)
{
	struct vcpu *vcpu = start(guest_irq_on_page, 0);
	struct minivmm_vcpu_events events;
	struct minivmm_regs regs;

	if (!dev_is_minivmm())
		SKIP("KVM emulates the instruction that was interrupted");
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(vcpu->run->internal.suberror,
		  MINIVMM_INTERNAL_ERROR_DELIVERY_EV);
	events = vcpu_events(vcpu);
	EXPECT_EQ(events.interrupt.injected, 1);
	EXPECT_EQ(events.interrupt.nr, VECTOR);
	/* with a stack it comes, once */
	regs = vcpu_regs(vcpu);
	regs.rsp = STACK_TOP(0) - 0x1000;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_EQ(ASSERT_SYNC(vcpu, 1), 1);
	ASSERT_OUT(vcpu, 0x10, 0);
}

/* Code there is what nobody can run, or emulate. */
TEST(code_in_the_page)
{
	struct vcpu *vcpu = start(hostile_code, 0);

	if (!dev_is_minivmm())
		SKIP("Bochs stops there");
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(vcpu->run->internal.suberror,
		  MINIVMM_INTERNAL_ERROR_EMULATION);
	EXPECT_EQ(vcpu_regs(vcpu).rip, XAPIC_GPA + APIC_TPR);
}

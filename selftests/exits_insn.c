// SPDX-License-Identifier: GPL-2.0
/* Instructions that exit, or that may: each does what the SDM says. */
#include "guest.h"

static bool cpu_has(u32 leaf, u32 index, int reg, int bit)
{
	struct minivmm_cpuid_entry2 *entry;

	entry = cpuid_entry(supported_cpuid(), leaf, index);
	return entry && (&entry->eax)[reg] >> bit & 1;
}

enum { EAX, EBX, ECX, EDX };

/* ------------------------------------------------------------------------ */
/* CPUID                                                                     */

/* "GenuineIntel": only Intel's CPUs answer beyond the last leaf */
#define GENU	0x756e6547
#define INEI	0x49656e69
#define NTEL	0x6c65746e

static void guest_cpuid(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
	GUEST_ASSERT_EQ(regs[0], 7);
	GUEST_ASSERT_EQ(regs[1], GENU);
	cpuid(1, 0, regs);
	GUEST_ASSERT_EQ(regs[0], 0x22);
	/* the index counts only where the entry says so */
	cpuid(1, 5, regs);
	GUEST_ASSERT_EQ(regs[0], 0x22);
	cpuid(7, 0, regs);
	GUEST_ASSERT_EQ(regs[2], 0x8003);
	cpuid(7, 1, regs);
	GUEST_ASSERT_EQ(regs[2], 0x44);
	cpuid(7, 2, regs);
	GUEST_ASSERT_EQ(regs[0] | regs[1] | regs[2] | regs[3], 0);
	/* SDM volume 2, CPUID: beyond the last leaf, the last basic one's */
	cpuid(0x7fffffff, 0, regs);
	GUEST_ASSERT_EQ(regs[2], 0x8003);
}

TEST(cpuid)
{
	struct {
		struct minivmm_cpuid2 header;
		struct minivmm_cpuid_entry2 entries[4];
	} set = {
		.header.nent = 4,
		.entries = {
			{ .function = 0, .eax = 7, .ebx = GENU,
			  .ecx = NTEL, .edx = INEI },
			{ .function = 1, .eax = 0x22 },
			{ .function = 7, .index = 0, .ecx = 0x8003, .eax = 1,
			  .flags = MINIVMM_CPUID_FLAG_SIGNIFCANT_INDEX },
			{ .function = 7, .index = 1, .ecx = 0x44,
			  .flags = MINIVMM_CPUID_FLAG_SIGNIFCANT_INDEX },
		},
	};
	struct vcpu *vcpu = vcpu_create_bare(vm_create(), 0);

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &set));
	vcpu_setup_long(vcpu, guest_cpuid, 0);
	ASSERT_DONE(vcpu);
}

/* Bits that mirror CR4 follow it: OSXSAVE. */
static void guest_cpuid_osxsave(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	GUEST_ASSERT_EQ(regs[2] >> 27 & 1, 0);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	cpuid(1, 0, regs);
	GUEST_ASSERT_EQ(regs[2] >> 27 & 1, 1);
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	cpuid(1, 0, regs);
	GUEST_ASSERT_EQ(regs[2] >> 27 & 1, 0);
}

TEST(cpuid_osxsave)
{
	if (!cpu_has(1, 0, ECX, 26))
		SKIP("no XSAVE");
	run_guest(guest_cpuid_osxsave);
}

static u64 user_cpuid(u64 leaf)
{
	u32 regs[4];

	cpuid(leaf, 0, regs);
	return regs[0];
}

static void guest_cpuid_ring3(void)
{
	u32 regs[4];

	cpuid(0, 0, regs);
	GUEST_ASSERT_EQ(guest_call_user(user_cpuid, 0), regs[0]);
}

TEST(cpuid_ring3)
{
	run_guest(guest_cpuid_ring3);
}

/* ------------------------------------------------------------------------ */
/* HLT, PAUSE, caches, time                                                  */

guest_code64(hlt_blob, "hlt; outb %al, $0x10; hlt");

TEST(hlt)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_blob64(vcpu, &hlt_blob);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	/* RIP is behind it; RUN goes on there */
	EXPECT_EQ(vcpu_regs(vcpu).rip, BLOB_GPA + 1);
	ASSERT_OUT(vcpu, 0x10, 0);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

static u64 user_privileged(u64 which)
{
	switch (which) {
	case 0:
		return guest_try("hlt");
	case 1:
		return guest_try("invd");
	case 2:
		return guest_try("wbinvd");
	case 3:
		return guest_try("invlpg (%%rax)", "a"(DATA_GPA));
	case 4:
		return guest_try("clts");
	case 5:
		return guest_try("mov %%rax, %%cr0", "a"(0));
	case 6:
		return guest_try("lmsw %%ax", "a"(0));
	case 7:
		return guest_try("mov %%rax, %%db7", "a"(0));
	case 8:
		return guest_try("lidt (%%rax)", "a"(DATA_GPA));
	case 9:
		return guest_try("lgdt (%%rax)", "a"(DATA_GPA));
	case 10:
		return guest_try("ltr %%ax", "a"(SEL_TSS));
	case 11:
		return guest_try("lldt %%ax", "a"(0));
	case 12:
		return guest_try("mov %%rax, %%cr8", "a"(0));
	}
	return ~0UL;
}

static void guest_privileged(void)
{
	int i;

	for (i = 0; i <= 12; i++)
		GUEST_ASSERT_EQ(guest_call_user(user_privileged, i),
				GP_VECTOR);
}

TEST(privileged_in_ring3)
{
	run_guest(guest_privileged);
}

static void guest_harmless(void)
{
	u64 first, second;

	asm volatile("wbinvd" : : : "memory");
	asm volatile("pause" : : : "memory");
	invlpg(DATA_GPA);
	invlpg(NONCANONICAL);	/* SDM: a NOP */
	first = rdtsc();
	second = rdtsc();
	GUEST_ASSERT(second > first);
}

TEST(harmless)
{
	run_guest(guest_harmless);
}

/* Dropping dirty lines would lose host data: INVD must be a WBINVD at most. */
static void guest_invd(void)
{
	volatile u64 *word = (u64 *)DATA_GPA;

	*word = 0x123456789abcdef0;
	asm volatile("invd" : : : "memory");
	GUEST_ASSERT_EQ(*word, 0x123456789abcdef0);
}

TEST(invd)
{
	run_guest(guest_invd);
}

static void guest_rdtscp(void)
{
	u32 low, high, aux;

	wrmsr(MSR_TSC_AUX, 0x1234567);
	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	GUEST_ASSERT_EQ(aux, 0x1234567);
	GUEST_ASSERT(rdtsc() > ((u64)high << 32 | low));
}

TEST(rdtscp)
{
	if (!cpu_has(0x80000001, 0, EDX, 27))
		SKIP("no RDTSCP");
	run_guest(guest_rdtscp);
}

static void guest_hidden(void)
{
	GUEST_ASSERT_EQ(guest_try("rdtscp", "a"(0), "c"(0), "d"(0)), UD_VECTOR);
	GUEST_ASSERT_EQ(guest_try("rdpid %%rax", "a"(0)), UD_VECTOR);
	GUEST_ASSERT_EQ(guest_try("invpcid (%%rdi), %%rax", "a"(2UL),
				  "D"(DATA_GPA)), UD_VECTOR);
}

/*
 * Instructions that the guest's CPUID denies do not exist, though the CPU has
 * them: RDTSCP and RDPID would show the host's TSC_AUX.
 */
TEST(hidden_by_cpuid)
{
	struct vcpu *vcpu = vcpu_create_bare(vm_create(), 0);
	struct minivmm_cpuid2 *cpuid = supported_cpuid();
	struct minivmm_cpuid_entry2 *entry;

	if (!cpu_has(0x80000001, 0, EDX, 27) && !cpu_has(7, 0, EBX, 10))
		SKIP("the CPU has neither RDTSCP nor INVPCID");
	entry = cpuid_entry(cpuid, 0x80000001, 0);
	entry->edx &= ~(1U << 27);
	entry = cpuid_entry(cpuid, 7, 0);
	entry->ebx &= ~(1U << 10);
	entry->ecx &= ~(1U << 22);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid));
	vcpu_setup_long(vcpu, guest_hidden, 0);
	ASSERT_DONE(vcpu);
}

static u64 user_rdtsc(u64 unused)
{
	struct guest_gprs gprs = { };

	return guest_try_regs("rdtsc", gprs) + unused;
}

/* CR4.TSD is the guest's own. */
static void guest_tsd(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_rdtsc, 0), GUEST_NO_FAULT);
	write_cr4(read_cr4() | CR4_TSD);
	GUEST_ASSERT_EQ(guest_call_user(user_rdtsc, 0), GP_VECTOR);
	rdtsc();
}

TEST(tsd)
{
	run_guest(guest_tsd);
}

static u64 user_rdpmc(u64 counter)
{
	struct guest_gprs gprs = { .c = counter };

	return guest_try_regs("rdpmc", gprs);
}

static void guest_rdpmc(void)
{
	struct guest_gprs gprs = { .c = 0x3fffffff };

	GUEST_ASSERT_EQ(guest_try_regs("rdpmc", gprs), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_call_user(user_rdpmc, 0), GP_VECTOR);
}

TEST(rdpmc)
{
	run_guest(guest_rdpmc);
}

/* Not offered, but guests try them all the same: no-ops, as KVM's are */
static void guest_monitor(void)
{
	GUEST_ASSERT_EQ(guest_try("monitor", "a"(DATA_GPA), "c"(0), "d"(0)),
			GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(guest_try("mwait", "a"(0), "c"(0)), GUEST_NO_FAULT);
}

TEST(monitor_mwait)
{
	run_guest(guest_monitor);
}

static void guest_random(void)
{
	u64 value;
	u8 carry;

	asm volatile("rdrand %0; setc %1" : "=r"(value), "=q"(carry));
	GUEST_ASSERT_EQ(carry, 1);
}

TEST(rdrand)
{
	if (!cpu_has(1, 0, ECX, 30))
		SKIP("no RDRAND");
	run_guest(guest_random);
}

/* ------------------------------------------------------------------------ */
/* XSETBV, XSAVES                                                            */

static u64 xsetbv(u32 index, u64 value)
{
	return guest_try("xsetbv", "c"(index), "a"((u32)value),
			 "d"((u32)(value >> 32)));
}

static u64 xgetbv(u32 index)
{
	u32 low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return (u64)high << 32 | low;
}

static u64 user_xsetbv(u64 value)
{
	return xsetbv(0, value);
}

static void guest_xsetbv(u64 all)
{
	GUEST_ASSERT_EQ(xsetbv(0, 3), UD_VECTOR);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	GUEST_ASSERT_EQ(xgetbv(0), 1);
	GUEST_ASSERT_EQ(xsetbv(0, 3), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(xgetbv(0), 3);
	GUEST_ASSERT_EQ(xsetbv(0, all), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(xgetbv(0), all);
	/* SDM volume 1, 13.3 */
	GUEST_ASSERT_EQ(xsetbv(0, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(xsetbv(0, 2), GP_VECTOR);
	GUEST_ASSERT_EQ(xsetbv(0, 5), GP_VECTOR);
	GUEST_ASSERT_EQ(xsetbv(0, 1UL << 62 | 1), GP_VECTOR);
	GUEST_ASSERT_EQ(xsetbv(1, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(xgetbv(0), all);
	GUEST_ASSERT_EQ(guest_call_user(user_xsetbv, 1), GP_VECTOR);
}

TEST(xsetbv)
{
	struct minivmm_cpuid_entry2 *entry;
	struct vcpu *vcpu;

	entry = cpuid_entry(supported_cpuid(), 0xd, 0);
	if (!cpu_has(1, 0, ECX, 26) || !entry)
		SKIP("no XSAVE");
	vcpu = vcpu_create(vm_create(), 0);
	vcpu_setup_long(vcpu, guest_xsetbv,
			entry->eax | (u64)entry->edx << 32);
	ASSERT_DONE(vcpu);
}

static u64 xsaves(u64 *area, u64 states)
{
	return guest_try("xsaves (%%rdi)", "D"(area), "a"((u32)states),
			 "d"((u32)(states >> 32)));
}

static u64 xrstors(u64 *area, u64 states)
{
	return guest_try("xrstors (%%rdi)", "D"(area), "a"((u32)states),
			 "d"((u32)(states >> 32)));
}

/*
 * Of all states that one asks for it saves those of XCR0 and IA32_XSS (SDM volume 1,
 * 13.11): the host's supervisor states, if it has any, are not among them. In the
 * compacted format (bit 63) an area says which.
 */
static void guest_xsaves(u64 all)
{
	u64 *area = (u64 *)DATA_GPA;

	write_cr4(read_cr4() | CR4_OSXSAVE);
	GUEST_ASSERT_EQ(xsetbv(0, all), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(xsaves(area, ~0UL), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(area[65], 1UL << 63 | all);
	GUEST_ASSERT_EQ(xrstors(area, ~0UL), GUEST_NO_FAULT);
	area[65] |= 1UL << 8;
	GUEST_ASSERT_EQ(xrstors(area, ~0UL), GP_VECTOR);
}

static void guest_no_xsaves(void)
{
	u64 *area = (u64 *)DATA_GPA, value;

	write_cr4(read_cr4() | CR4_OSXSAVE);
	GUEST_ASSERT_EQ(xsaves(area, 3UL), UD_VECTOR);
	GUEST_ASSERT_EQ(xrstors(area, 3UL), UD_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(MSR_IA32_XSS, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_XSS, 0), GP_VECTOR);
}

TEST(xsaves)
{
	struct minivmm_cpuid_entry2 *states;
	struct vcpu *vcpu;

	states = cpuid_entry(supported_cpuid(), 0xd, 0);
	if (!cpu_has(0xd, 1, EAX, 3))
		SKIP("no XSAVES");
	vcpu = vcpu_create(vm_create(), 0);
	vcpu_setup_long(vcpu, guest_xsaves,
			states->eax | (u64)states->edx << 32);
	ASSERT_DONE(vcpu);
}

/* Who does not have it by CPUID gets #UD, the host's CPU or not (SDM 26.3). */
TEST(no_xsaves)
{
	if (!cpu_has(1, 0, ECX, 26))
		SKIP("no XSAVE");
	cpuid_entry(supported_cpuid(), 0xd, 1)->eax &= ~(1U << 3);
	run_guest(guest_no_xsaves);
}

/* ------------------------------------------------------------------------ */
/* Control registers                                                         */

#define TRY_CR(n, value)	guest_try("mov %[v], %%cr" #n, [v] "r"((u64)(value)))

static void guest_cr0(void)
{
	const u64 cr0 = read_cr0();

	GUEST_ASSERT_EQ(cr0, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP |
			CR0_PG);
	/* SDM volume 3, 2.5: what cannot be combined; high bits */
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 & ~CR0_PE), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 | CR0_NW), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 | 1UL << 32), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 & ~CR0_PG), GP_VECTOR);
	GUEST_ASSERT_EQ(read_cr0(), cr0);
	/* reserved bits of the lower half are ignored: SDM volume 3, 2.5 */
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 | 0x1ffaffc0), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(read_cr0(), cr0);
	GUEST_ASSERT_EQ(TRY_CR(0, cr0 | CR0_CD | 0x1ffaffc0), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(read_cr0(), cr0 | CR0_CD);
	write_cr0(cr0 | CR0_CD | CR0_NW);
	GUEST_ASSERT_EQ(read_cr0(), cr0 | CR0_CD | CR0_NW);
	/* NE off is the guest's right, though VMX wants it on */
	write_cr0(cr0 & ~CR0_NE);
	GUEST_ASSERT_EQ(read_cr0(), cr0 & ~CR0_NE);
	write_cr0((cr0 | CR0_AM) & ~CR0_WP);
	GUEST_ASSERT_EQ(read_cr0(), (cr0 | CR0_AM) & ~CR0_WP);
	/* ET cannot be cleared */
	write_cr0(cr0 & ~CR0_ET);
	GUEST_ASSERT_EQ(read_cr0(), cr0);
}

TEST(mov_cr0)
{
	run_guest(guest_cr0);
}

static void guest_clts_lmsw(void)
{
	const u64 cr0 = read_cr0();
	u64 msw;

	write_cr0(cr0 | CR0_TS);
	GUEST_ASSERT_EQ(guest_try("fnop"), NM_VECTOR);
	asm volatile("clts");
	GUEST_ASSERT_EQ(read_cr0(), cr0);
	GUEST_ASSERT_EQ(guest_try("fnop"), GUEST_NO_FAULT);
	/* LMSW sets TS, EM, MP and PE only, and cannot clear PE */
	asm volatile("lmsw %w0" : : "r"(0xfff8));
	GUEST_ASSERT_EQ(read_cr0(), (cr0 & ~CR0_MP) | CR0_TS);
	asm volatile("smsw %0" : "=r"(msw));
	GUEST_ASSERT_EQ(msw & 0xffff, ((cr0 & ~CR0_MP) | CR0_TS) & 0xffff);
	*(u16 *)DATA_GPA = CR0_MP | CR0_PE;
	asm volatile("lmsw (%0)" : : "r"(DATA_GPA));
	GUEST_ASSERT_EQ(read_cr0(), cr0);
}

TEST(clts_lmsw)
{
	run_guest(guest_clts_lmsw);
}

static void guest_cr2_cr3(void)
{
	const u64 cr3 = read_cr3();

	write_cr2(0x123456789abcdef0);
	GUEST_ASSERT_EQ(read_cr2(), 0x123456789abcdef0);
	GUEST_ASSERT_EQ(cr3, PML4_GPA);
	/* a copy of the tables elsewhere; PWT and PCD are kept */
	*(u64 *)DATA_GPA = *(u64 *)PML4_GPA;
	write_cr3(DATA_GPA | 0x18);
	GUEST_ASSERT_EQ(read_cr3(), DATA_GPA | 0x18);
	GUEST_ASSERT_EQ(TRY_CR(3, cr3 | 1UL << 60), GP_VECTOR);
	GUEST_ASSERT_EQ(read_cr3(), DATA_GPA | 0x18);
	write_cr3(cr3);
}

TEST(mov_cr2_cr3)
{
	run_guest(guest_cr2_cr3);
}

static void guest_cr4(void)
{
	const u64 cr4 = read_cr4();

	GUEST_ASSERT_EQ(cr4, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
	GUEST_ASSERT_EQ(TRY_CR(4, cr4 & ~CR4_PAE), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(4, cr4 | 1UL << 15), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(4, cr4 | 1UL << 32), GP_VECTOR);
	GUEST_ASSERT_EQ(TRY_CR(4, cr4 | CR4_LA57), GP_VECTOR);
	write_cr4(cr4 | CR4_PGE | CR4_DE);
	GUEST_ASSERT_EQ(read_cr4(), cr4 | CR4_PGE | CR4_DE);
	write_cr4(cr4);
	GUEST_ASSERT_EQ(read_cr4(), cr4);
}

TEST(mov_cr4)
{
	run_guest(guest_cr4);
}

static void guest_cr4_vmxe(void)
{
	GUEST_ASSERT_EQ(TRY_CR(4, read_cr4() | CR4_VMXE), GP_VECTOR);
}

/* Guest CPUID without VMX: CR4.VMXE is a reserved bit. */
TEST(cr4_vmxe_is_hidden)
{
	if (!dev_is_minivmm())
		SKIP("stock KVM offers nested VMX");
	run_guest(guest_cr4_vmxe);
}

static void guest_cr8(void)
{
	GUEST_ASSERT_EQ(read_cr8(), 0);
	write_cr8(9);
	GUEST_ASSERT_EQ(read_cr8(), 9);
	GUEST_ASSERT_EQ(TRY_CR(8, 16), GP_VECTOR);
	GUEST_ASSERT_EQ(read_cr8(), 9);
	guest_sync(1, 0);
	GUEST_ASSERT_EQ(read_cr8(), 5);
	write_cr8(0);
}

/* MOV CR8 may leave to user space (SET_TPR); run->cr8 goes both ways. */
TEST(mov_cr8)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int reason, type;

	vcpu_setup_long(vcpu, guest_cr8, 0);
	for (;;) {
		reason = vcpu_run(vcpu);
		if (reason == MINIVMM_EXIT_SET_TPR)
			continue;
		type = vcpu_guest_call(vcpu, reason, NULL);
		if (type != GUEST_SYNC)
			break;
		EXPECT_EQ(vcpu->run->cr8, 9);
		EXPECT_EQ(vcpu_sregs(vcpu).cr8, 9);
		vcpu->run->cr8 = 5;
	}
	EXPECT_EQ(type, GUEST_DONE);
	EXPECT_EQ(vcpu->run->cr8, 0);
}

/* ------------------------------------------------------------------------ */
/* Debug registers                                                           */

static void guest_dr(void)
{
	u64 dr;

	asm volatile("mov %0, %%db0" : : "r"(0x123456789a000));
	asm volatile("mov %%db0, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, 0x123456789a000);
	/* fixed bits; upper halves must be zero */
	asm volatile("mov %0, %%db6" : : "r"(0UL));
	asm volatile("mov %%db6, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr & 0xfffe1ff0, 0xfffe0ff0);
	GUEST_ASSERT_EQ(guest_try("mov %%rax, %%db6", "a"(1UL << 32)),
			GP_VECTOR);
	GUEST_ASSERT_EQ(guest_try("mov %%rax, %%db7", "a"(1UL << 32)),
			GP_VECTOR);
	asm volatile("mov %0, %%db7" : : "r"(0x2aaUL));
	asm volatile("mov %%db7, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr, 0x6aa);
	asm volatile("mov %0, %%db7" : : "r"(0UL));
	/* DR4 is DR6 unless CR4.DE says that it is none */
	asm volatile("mov %%db4, %0" : "=r"(dr));
	GUEST_ASSERT_EQ(dr & 0xfffe1ff0, 0xfffe0ff0);
	write_cr4(read_cr4() | CR4_DE);
	GUEST_ASSERT_EQ(guest_try("mov %%rax, %%db4", "a"(0)), UD_VECTOR);
}

TEST(mov_dr)
{
	run_guest(guest_dr);
}

static volatile u64 db_rip, db_count, db_dr6;

static void guest_on_db(struct guest_regs *regs)
{
	u64 dr6;

	db_count++;
	db_rip = regs->rip;
	asm volatile("mov %%db6, %0" : "=r"(dr6));
	db_dr6 = dr6;
	asm volatile("mov %0, %%db6" : : "r"(DR6_FIXED));
	asm volatile("mov %0, %%db7" : : "r"(DR7_FIXED));
}

static void guest_breakpoints(void)
{
	volatile u64 *word = (u64 *)DATA_GPA;

	guest_handlers[DB_VECTOR] = guest_on_db;
	/* DR1 watches 8 bytes for writes: SDM volume 3, 18.2.4 */
	asm volatile("mov %0, %%db1" : : "r"(word));
	asm volatile("mov %0, %%db7" : : "r"(DR7_FIXED | 1 << 2 | 0x9UL << 20));
	GUEST_ASSERT_EQ(*word, 0);
	GUEST_ASSERT_EQ(db_count, 0);
	*word = 5;
	asm volatile("nop");
	GUEST_ASSERT_EQ(db_count, 1);
	GUEST_ASSERT_EQ(db_dr6 & 0xf, 2);
	/* DR7.GD: the access itself is the event */
	asm volatile("mov %0, %%db7" : : "r"(DR7_FIXED | DR7_GD));
	asm volatile("mov %0, %%db0" : : "r"(0UL));
	GUEST_ASSERT_EQ(db_count, 2);
	GUEST_ASSERT(db_dr6 & DR6_BD);
}

TEST(breakpoints)
{
	run_guest(guest_breakpoints);
}

/* SS from memory that DR1 watches for reads and writes, and what follows */
#define WATCHED_SS(selector, insn)					\
	({								\
		u64 address_ = (u64)(selector), after_, zero_ = 0, leaf_ = 0; \
									\
		db_count = 0;						\
		asm volatile("mov %0, %%db1" : : "r"(address_));	\
		asm volatile("mov %0, %%db7"				\
			     : : "r"(DR7_FIXED | 1 << 2 | 0x7UL << 20)); \
		asm volatile("leaq 1f(%%rip), %[after]\n"		\
			     "movw (%[address]), %%ss\n"		\
			     insn "\n"					\
			     "1: nop\n"					\
			     : [after] "=&S"(after_), "+a"(zero_),	\
			       "+c"(leaf_)				\
			     : [address] "D"(address_)			\
			     : "rbx", "rdx", "memory");			\
		after_;							\
	})

/* The #DB of a MOV SS waits for the next instruction: SDM volume 3, 6.8.3. */
static void guest_breakpoint_behind_mov_ss(void)
{
	volatile u16 *selector = (u16 *)DATA_GPA;

	guest_handlers[DB_VECTOR] = guest_on_db;
	*selector = SEL_DATA;
	GUEST_ASSERT_EQ(WATCHED_SS(selector, "nop"), db_rip);
	GUEST_ASSERT_EQ(db_count, 1);
	GUEST_ASSERT_EQ(db_dr6 & 0xf, 2);
	/* emulated where the guest exits */
	GUEST_ASSERT_EQ(WATCHED_SS(selector, "cpuid"), db_rip);
	GUEST_ASSERT_EQ(db_count, 1);
	GUEST_ASSERT_EQ(db_dr6 & 0xf, 2);
	/* emulated by the client */
	GUEST_ASSERT_EQ(WATCHED_SS(selector, "outb %%al, $0x10"), db_rip);
	GUEST_ASSERT_EQ(db_count, 1);
	GUEST_ASSERT_EQ(db_dr6 & 0xf, 2);
}

TEST(breakpoint_behind_mov_ss)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_breakpoint_behind_mov_ss, 0);
	ASSERT_OUT(vcpu, 0x10, 0);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* VMX and its like: #UD without CR4.VMXE; nothing of it is offered          */

#define EXPECT_UD(...)	GUEST_ASSERT_EQ(guest_try(__VA_ARGS__), UD_VECTOR)

static void guest_vmx(void)
{
	struct guest_gprs gprs = { .a = 0x7fffffff };
	u64 *area = (u64 *)DATA_GPA;

	EXPECT_UD("vmxon (%%rdi)", "D"(area));
	EXPECT_UD("vmxoff");
	EXPECT_UD("vmclear (%%rdi)", "D"(area));
	EXPECT_UD("vmptrld (%%rdi)", "D"(area));
	EXPECT_UD("vmptrst (%%rdi)", "D"(area));
	EXPECT_UD("vmread %%rax, (%%rdi)", "a"(0), "D"(area));
	EXPECT_UD("vmwrite (%%rdi), %%rax", "a"(0), "D"(area));
	EXPECT_UD("vmlaunch");
	EXPECT_UD("vmresume");
	EXPECT_UD("invept (%%rdi), %%rax", "a"(0), "D"(area));
	EXPECT_UD("invvpid (%%rdi), %%rax", "a"(0), "D"(area));
	EXPECT_UD("vmfunc", "a"(0), "c"(0));
	/* SMX, SVM, SGX */
	EXPECT_UD("getsec", "a"(0));
	EXPECT_UD("vmrun", "a"(0));
	EXPECT_UD("encls", "a"(0));
	EXPECT_UD("rsm");
	/* TDX; user waits; PCONFIG */
	EXPECT_UD(".byte 0x66, 0x0f, 0x01, 0xcc", "a"(0));	/* tdcall */
	EXPECT_UD(".byte 0x66, 0x0f, 0x01, 0xcf", "a"(0));	/* seamcall */
	EXPECT_UD("umwait %%ecx", "a"(0), "c"(0), "d"(0));
	EXPECT_UD("tpause %%ecx", "a"(0), "c"(0), "d"(0));
	EXPECT_UD("pconfig", "a"(0));
	/* VMCALL alone is the guest's: an unknown hypercall, KVM's ENOSYS */
	GUEST_ASSERT_EQ(guest_try_regs("vmcall", gprs), GUEST_NO_FAULT);
	GUEST_ASSERT_EQ(gprs.a, -1000UL);
}

TEST(vmx_instructions)
{
	run_guest(guest_vmx);
}

static u64 user_vmcall(u64 number)
{
	asm volatile("vmcall" : "+a"(number) : : "memory");
	return number;
}

/* A process may make no hypercall at all: KVM's EPERM. */
static void guest_vmcall_ring3(void)
{
	GUEST_ASSERT_EQ(guest_call_user(user_vmcall, 100), -1UL);
}

TEST(vmcall_ring3)
{
	run_guest(guest_vmcall_ring3);
}

guest_code32(vmcall32, "movl $100, %eax; vmcall; hlt");

TEST(vmcall_32bit)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_prot32(vcpu, &vmcall32);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rax, (u32)-1000);
}

static void guest_invpcid(u64 has)
{
	u64 *descriptor = (u64 *)DATA_GPA;

	GUEST_ASSERT_EQ(guest_try("invpcid (%%rdi), %%rax", "a"(2UL),
				  "D"(descriptor)),
			has ? GUEST_NO_FAULT : UD_VECTOR);
	if (!has)
		return;
	/* types end at 3; a PCID needs CR4.PCIDE */
	GUEST_ASSERT_EQ(guest_try("invpcid (%%rdi), %%rax", "a"(4UL),
				  "D"(descriptor)), GP_VECTOR);
	descriptor[0] = 1;
	GUEST_ASSERT_EQ(guest_try("invpcid (%%rdi), %%rax", "a"(1UL),
				  "D"(descriptor)), GP_VECTOR);
}

TEST(invpcid)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_invpcid, cpu_has(7, 0, EBX, 10));
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Descriptor tables                                                         */

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void guest_tables(void)
{
	struct table_register gdt, idt, new;
	u16 selector;

	asm volatile("sgdt %0" : "=m"(gdt));
	GUEST_ASSERT_EQ(gdt.base, GDT_GPA);
	asm volatile("sidt %0" : "=m"(idt));
	GUEST_ASSERT_EQ(idt.base, IDT_GPA);
	new = (struct table_register) { 0x777, 0x12345000 };
	asm volatile("lgdt %1; sgdt %0; lgdt %2"
		     : "=m"(new) : "m"(new), "m"(gdt));
	GUEST_ASSERT_EQ(new.base, 0x12345000);
	GUEST_ASSERT_EQ(new.limit, 0x777);
	asm volatile("lldt %w0" : : "r"(SEL_LDT));
	asm volatile("sldt %0" : "=m"(selector));
	GUEST_ASSERT_EQ(selector, SEL_LDT);
	/* the TSS descriptor is busy */
	GUEST_ASSERT_EQ(guest_try("ltr %%ax", "a"(SEL_TSS)), GP_VECTOR);
	((u8 *)GDT_GPA)[SEL_TSS + 5] &= ~2;
	asm volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
	GUEST_ASSERT_EQ(((u8 *)GDT_GPA)[SEL_TSS + 5], 0x8b);
}

TEST(descriptor_tables)
{
	run_guest(guest_tables);
}

/*
 * A task switch: the CPU leaves it to the monitor.  KVM emulates it, here
 * from a TSS to itself, so to the next instruction; we tell the client, with
 * the guest still in front of this one.
 */
guest_code32(task_switch, "ljmp $0xd0, $0; hlt");

TEST(task_switch)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_prot32(vcpu, &task_switch);
	/* the CPU itself refuses a busy TSS */
	*((u8 *)vm_gpa(vcpu->vm, GDT_GPA) + SEL_TSS + 5) = 0x89;
	if (!dev_is_minivmm()) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
		return;
	}
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(vcpu->run->internal.suberror,
		  MINIVMM_INTERNAL_ERROR_EMULATION);
	EXPECT_EQ(vcpu_regs(vcpu).rip, BLOB_GPA);
}

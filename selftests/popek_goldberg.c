// SPDX-License-Identifier: GPL-2.0
/*
 * The x86 instructions that are sensitive but not privileged (Robin and Irvine
 * count 17 after Popek and Goldberg): they do not trap, and without VMX would
 * show or use the host's state.  In non-root mode each must see the guest's,
 * in ring 0 and in ring 3.  The guest's tables have bases, limits and
 * selectors that Linux never uses (lib/vm.h).
 */
#include "guest.h"

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* Each check runs in both rings; this tells it where it is. */
static u64 in_ring3;

static u64 user_check(u64 check)
{
	in_ring3 = 1;
	((void (*)(void))check)();
	in_ring3 = 0;
	return 42;
}

static void guest_both_rings(u64 check)
{
	((void (*)(void))check)();
	GUEST_ASSERT_EQ(guest_call_user(user_check, check), 42);
}

static void in_both_rings(void (*check)(void))
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_both_rings, (u64)check);
	ASSERT_DONE(vcpu);
}

static void sgdt_sidt(void)
{
	struct table_register table;

	asm volatile("sgdt %0" : "=m"(table));
	GUEST_ASSERT_EQ(table.base, GDT_GPA);
	GUEST_ASSERT_EQ(table.limit, GDT_LIMIT);
	asm volatile("sidt %0" : "=m"(table));
	GUEST_ASSERT_EQ(table.base, IDT_GPA);
	GUEST_ASSERT_EQ(table.limit, IDT_LIMIT);
}

TEST(sgdt_sidt)
{
	in_both_rings(sgdt_sidt);
}

static void sldt_str(void)
{
	u64 selector = -1UL;

	asm volatile("sldt %0" : "+r"(selector));
	GUEST_ASSERT_EQ(selector, 0);
	selector = -1UL;
	asm volatile("str %0" : "+r"(selector));
	GUEST_ASSERT_EQ(selector, SEL_TSS);
}

TEST(sldt_str)
{
	in_both_rings(sldt_str);
}

static void guest_ldt(void)
{
	u64 selector;

	asm volatile("lldt %w0" : : "r"(SEL_LDT));
	asm volatile("sldt %0" : "=r"(selector));
	GUEST_ASSERT_EQ(selector, SEL_LDT);
	guest_sync(1, 0);
	asm volatile("sldt %0" : "=r"(selector));
	GUEST_ASSERT_EQ(selector, SEL_LDT);
}

TEST(loaded_ldt)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_ldt, 0);
	ASSERT_SYNC(vcpu, 1);
	EXPECT_EQ(vcpu_sregs(vcpu).ldt.selector, SEL_LDT);
	EXPECT_EQ(vcpu_sregs(vcpu).ldt.base, 0x50000);
	ASSERT_DONE(vcpu);
}

/* The host runs with AM, TS as it likes, and NE; the guest's differ. */
static void smsw(void)
{
	u64 msw;

	asm volatile("smsw %0" : "=r"(msw));
	GUEST_ASSERT_EQ(msw & 0xffffffff, CR0_PE | CR0_ET | CR0_WP | CR0_PG);
}

static void guest_smsw(void)
{
	write_cr0(CR0_PE | CR0_PG | CR0_WP);
	smsw();
	guest_sync(1, 0);
	smsw();
}

TEST(smsw)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_smsw, 0);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_DONE(vcpu);
}

/* POPF changes IF and IOPL in ring 0 only, and silently. */
static u64 try_popf(u64 flags)
{
	u64 result;

	asm volatile("pushfq; pushq %1; popfq; pushfq; popq %0; popfq"
		     : "=&r"(result) : "r"(flags) : "memory", "cc");
	return result;
}

static void guest_pushf_popf(void)
{
	u64 flags = read_flags();

	GUEST_ASSERT_EQ(flags & (RFLAGS_IF | RFLAGS_IOPL), 0);
	GUEST_ASSERT_EQ(try_popf(RFLAGS_IOPL | RFLAGS_NT | RFLAGS_FIXED),
			RFLAGS_IOPL | RFLAGS_NT | RFLAGS_FIXED);
	GUEST_ASSERT_EQ(try_popf(RFLAGS_DF | RFLAGS_AC | RFLAGS_FIXED),
			RFLAGS_DF | RFLAGS_AC | RFLAGS_FIXED);
	/* ring 3 with IOPL 3: IF may change, IOPL may not */
	GUEST_ASSERT_EQ(guest_call_user(try_popf, RFLAGS_FIXED),
			RFLAGS_IOPL | RFLAGS_FIXED);
	GUEST_ASSERT_EQ(guest_call_user(try_popf, RFLAGS_IF | RFLAGS_FIXED),
			RFLAGS_IOPL | RFLAGS_IF | RFLAGS_FIXED);
}

TEST(pushf_popf)
{
	run_guest(guest_pushf_popf);
}

static u64 try_lar(u16 selector, u64 *rights)
{
	u8 found;

	*rights = 0;
	asm volatile("larl %k2, %k0; setz %1"
		     : "+r"(*rights), "=q"(found) : "r"((u32)selector) : "cc");
	return found;
}

static u64 try_lsl(u16 selector, u64 *limit)
{
	u8 found;

	*limit = 0;
	asm volatile("lsll %k2, %k0; setz %1"
		     : "+r"(*limit), "=q"(found) : "r"((u32)selector) : "cc");
	return found;
}

static bool try_verr(u16 selector)
{
	u8 ok;

	asm volatile("verr %w1; setz %0" : "=q"(ok) : "r"(selector) : "cc");
	return ok;
}

static bool try_verw(u16 selector)
{
	u8 ok;

	asm volatile("verw %w1; setz %0" : "=q"(ok) : "r"(selector) : "cc");
	return ok;
}

/* Linux's __KERNEL_CS, __KERNEL_DS, __USER_DS, __USER_CS, TSS, per-CPU node */
static const u16 host_selectors[] = { 0x10, 0x18, 0x2b, 0x33, 0x40, 0x7b };

static void lar_lsl(void)
{
	u64 value;
	unsigned int i;

	GUEST_ASSERT_EQ(try_lar(SEL_UDATA, &value), 1);
	GUEST_ASSERT_EQ(value & 0xf0ff00, 0xc0f300);
	GUEST_ASSERT_EQ(try_lsl(SEL_UDATA, &value), 1);
	GUEST_ASSERT_EQ(value, 0xffffffff);
	/* a ring 0 segment is invisible from ring 3 */
	GUEST_ASSERT_EQ(try_lar(SEL_DATA, &value), !in_ring3);
	GUEST_ASSERT_EQ(try_lsl(SEL_TSS, &value), !in_ring3);
	GUEST_ASSERT_EQ(value, in_ring3 ? 0 : 0x67);
	for (i = 0; i < ARRAY_SIZE(host_selectors); i++) {
		GUEST_ASSERT_EQ(try_lar(host_selectors[i], &value), 0);
		GUEST_ASSERT_EQ(try_lsl(host_selectors[i], &value), 0);
	}
}

TEST(lar_lsl)
{
	in_both_rings(lar_lsl);
}

static void verr_verw(void)
{
	unsigned int i;

	GUEST_ASSERT(try_verr(SEL_UDATA) && try_verw(SEL_UDATA));
	GUEST_ASSERT(try_verr(SEL_UCODE64) && !try_verw(SEL_UCODE64));
	GUEST_ASSERT_EQ(try_verr(SEL_DATA), !in_ring3);
	for (i = 0; i < ARRAY_SIZE(host_selectors); i++) {
		GUEST_ASSERT(!try_verr(host_selectors[i]));
		GUEST_ASSERT(!try_verw(host_selectors[i]));
	}
}

TEST(verr_verw)
{
	in_both_rings(verr_verw);
}

static void mov_segments(void)
{
	u64 error, sel;
	unsigned int i;

	asm volatile("mov %%cs, %0" : "=r"(sel));
	GUEST_ASSERT_EQ(sel, in_ring3 ? SEL_UCODE64 : SEL_CODE64);
	asm volatile("mov %%ss, %0" : "=r"(sel));
	GUEST_ASSERT_EQ(sel, in_ring3 ? SEL_UDATA : SEL_DATA);
	asm volatile("mov %0, %%es; mov %%es, %0; mov %1, %%es"
		     : "+r"(sel) : "r"(SEL_UDATA));
	for (i = 0; i < ARRAY_SIZE(host_selectors); i++) {
		GUEST_ASSERT_EQ(guest_try_error(error, "mov %%ax, %%fs",
						"a"(host_selectors[i])),
				GP_VECTOR);
		GUEST_ASSERT_EQ(error, host_selectors[i] & ~3);
		GUEST_ASSERT_EQ(guest_try("mov %%ax, %%ss",
					  "a"(host_selectors[i])), GP_VECTOR);
	}
	asm volatile("mov %0, %%gs" : : "r"(SEL_UDATA));
	asm volatile("push %%gs; pop %0" : "=r"(sel));
	GUEST_ASSERT_EQ(sel, SEL_UDATA);
	asm volatile("mov %0, %%gs" : : "r"(0));
}

TEST(mov_segments)
{
	in_both_rings(mov_segments);
}

/* Far transfers check the guest's descriptors, and go to guest code. */
static void far_transfers(void)
{
	struct {
		u32 offset;
		u16 selector;
	} __attribute__((packed)) target;
	u64 done = 0, error;
	unsigned int i;

	/* CALL by a far pointer in memory; a far RET leads back */
	asm volatile("movl $1f, (%1)\n"
		     "movw %%cs, 4(%1)\n"
		     "lcall *(%1)\n"
		     "jmp 2f\n"
		     "1: incq %0\n"
		     "lret\n"
		     "2:\n"
		     : "+r"(done) : "r"(&target) : "memory", "cc");
	GUEST_ASSERT_EQ(done, 1);
	asm volatile("movl $1f, (%1)\n"
		     "movw %%cs, 4(%1)\n"
		     "ljmp *(%1)\n"
		     "ud2\n"
		     "1: incq %0\n"
		     : "+r"(done) : "r"(&target) : "memory", "cc");
	GUEST_ASSERT_EQ(done, 2);
	asm volatile("mov %%cs, %%eax\n"
		     "pushq %%rax\n"
		     "pushq $1f\n"
		     "lretq\n"
		     "ud2\n"
		     "1: incq %0\n"
		     : "+r"(done) : : "rax", "memory", "cc");
	GUEST_ASSERT_EQ(done, 3);
	for (i = 0; i < ARRAY_SIZE(host_selectors); i++) {
		target.offset = 0;
		target.selector = host_selectors[i];
		GUEST_ASSERT_EQ(guest_try_error(error, "lcall *(%%rdi)",
						"D"(&target)), GP_VECTOR);
		GUEST_ASSERT_EQ(error, host_selectors[i] & ~3);
		GUEST_ASSERT_EQ(guest_try("ljmp *(%%rdi)", "D"(&target)),
				GP_VECTOR);
	}
}

TEST(far_transfers)
{
	in_both_rings(far_transfers);
}

static volatile u64 int_hits;

static void guest_on_int(struct guest_regs *regs)
{
	int_hits++;
	GUEST_ASSERT_EQ(regs->cs, in_ring3 ? SEL_UCODE64 : SEL_CODE64);
}

/* INT n goes through the guest's IDT: Linux's int 0x80 would answer else. */
static void int_n(void)
{
	int_hits = 0;
	asm volatile("int $0x80" : : : "memory");
	GUEST_ASSERT_EQ(int_hits, 1);
	asm volatile("int3" : : : "memory");
	GUEST_ASSERT_EQ(int_hits, 2);
}

static u64 user_int_n(u64 arg)
{
	in_ring3 = 1;
	int_n();
	in_ring3 = 0;
	return arg;
}

static void guest_int_n(void)
{
	guest_handlers[0x80] = guest_on_int;
	guest_handlers[BP_VECTOR] = guest_on_int;
	((u8 *)IDT_GPA)[16 * 0x80 + 5] |= 0x60;	/* DPL 3 */
	int_n();
	GUEST_ASSERT_EQ(guest_call_user(user_int_n, 42), 42);
}

TEST(int_n)
{
	run_guest(guest_int_n);
}

/* IRET loads CS, SS and RFLAGS from the guest's own tables. */
static void guest_iret(void)
{
	u64 flags, rsp;

	asm volatile("movq %%rsp, %1\n"
		     "pushq %2\n"
		     "pushq %1\n"
		     "pushq $0x40002\n"		/* RFLAGS.AC */
		     "pushq %3\n"
		     "pushq $1f\n"
		     "iretq\n"
		     "1: pushfq\n"
		     "popq %0\n"
		     : "=&r"(flags), "=&r"(rsp)
		     : "i"(SEL_DATA), "i"(SEL_CODE64) : "memory", "cc");
	GUEST_ASSERT_EQ(flags, RFLAGS_AC | RFLAGS_FIXED);
	/* to the host's __KERNEL_CS: #GP on the IRET itself */
	asm volatile("movq %%rsp, %%rbx\n"
		     "pushq $0x18\n"
		     "pushq %%rbx\n"
		     "pushq $2\n"
		     "pushq $0x10\n"
		     "pushq $0\n"
		     "movl $0x100, %%r9d\n"
		     "1: iretq\n"
		     "2: movq %%rbx, %%rsp\n"
		     "movq %%r9, %0\n"
		     ".pushsection guest_extable, \"a\"\n"
		     ".quad 1b, 2b\n"
		     ".popsection"
		     : "=r"(flags) : : "rbx", "r9", "r10", "memory", "cc");
	GUEST_ASSERT_EQ(flags, GP_VECTOR);
}

TEST(iret)
{
	run_guest(guest_iret);
}

/* SYSCALL leads to where the guest's MSRs say. */
static void guest_syscall(void)
{
	u64 rax = 0, cs, ss, target;

	asm volatile("lea 1f(%%rip), %0\n"
		     "jmp 2f\n"
		     "1: movl $0x1234, %%eax\n"
		     "jmp *%%rcx\n"
		     "2:\n"
		     : "=r"(target));
	wrmsr(MSR_STAR, (u64)SEL_CODE64 << 32);
	wrmsr(MSR_LSTAR, target);
	wrmsr(MSR_SYSCALL_MASK, 0);
	asm volatile("syscall" : "+a"(rax) : : "rcx", "r11", "memory");
	GUEST_ASSERT_EQ(rax, 0x1234);
	asm volatile("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
	GUEST_ASSERT_EQ(cs, SEL_CODE64);
	GUEST_ASSERT_EQ(ss, SEL_DATA);
}

TEST(syscall)
{
	run_guest(guest_syscall);
}

// SPDX-License-Identifier: GPL-2.0
/* The ioctls of a vCPU, with bad and hostile arguments. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define BAD_POINTER	((void *)0x1000)

#define REQUEST(r)	{ r, #r }

static const struct {
	unsigned long number;
	const char *name;
} pointer_requests[] = {
	REQUEST(MINIVMM_GET_REGS), REQUEST(MINIVMM_SET_REGS),
	REQUEST(MINIVMM_GET_SREGS), REQUEST(MINIVMM_SET_SREGS),
	REQUEST(MINIVMM_TRANSLATE), REQUEST(MINIVMM_INTERRUPT),
	REQUEST(MINIVMM_GET_MSRS), REQUEST(MINIVMM_SET_MSRS),
	REQUEST(MINIVMM_SET_SIGNAL_MASK),
	REQUEST(MINIVMM_GET_FPU), REQUEST(MINIVMM_SET_FPU),
	REQUEST(MINIVMM_SET_CPUID2), REQUEST(MINIVMM_GET_CPUID2),
	REQUEST(MINIVMM_GET_MP_STATE), REQUEST(MINIVMM_SET_MP_STATE),
	REQUEST(MINIVMM_GET_VCPU_EVENTS), REQUEST(MINIVMM_SET_VCPU_EVENTS),
	REQUEST(MINIVMM_GET_DEBUGREGS), REQUEST(MINIVMM_SET_DEBUGREGS),
	REQUEST(MINIVMM_GET_XSAVE), REQUEST(MINIVMM_SET_XSAVE),
	REQUEST(MINIVMM_GET_XCRS), REQUEST(MINIVMM_SET_XCRS),
};

static struct vcpu *new_vcpu(void)
{
	return vcpu_create(vm_create(), 0);
}

static void expect_efault(struct vcpu *vcpu, int i, void *pointer)
{
	int ret = ioctl(vcpu->fd, pointer_requests[i].number, pointer);

	if (ret != -1 || errno != EFAULT)
		test_fail(__FILE__, __LINE__, "%s at %p: %d, %s",
			  pointer_requests[i].name, pointer, ret,
			  strerror(errno));
}

TEST(bad_pointers)
{
	struct vcpu *vcpu = new_vcpu();
	unsigned int i;
	char *pages;

	/* Two pages, the second gone: a structure that begins but ends not */
	pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(pages != MAP_FAILED);
	munmap(pages + PAGE_SIZE, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(pointer_requests); i++) {
		expect_efault(vcpu, i, BAD_POINTER);
		expect_efault(vcpu, i, (void *)0xffff888000000000);
		expect_efault(vcpu, i, pages + PAGE_SIZE - 2);
	}
}

/* What GET wants to write must not land in memory that is read-only. */
TEST(read_only_results)
{
	struct vcpu *vcpu = new_vcpu();
	unsigned int i;
	void *page;

	page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(page != MAP_FAILED);
	for (i = 0; i < ARRAY_SIZE(pointer_requests); i++)
		if (_IOC_DIR(pointer_requests[i].number) == _IOC_READ)
			expect_efault(vcpu, i, page);
}

/* Of what does not exist here no argument is right, whatever its address. */
TEST(no_lapic)
{
	struct vcpu *vcpu = new_vcpu();

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_LAPIC, NULL), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, NULL), EINVAL);
}

TEST(unknown_ioctl)
{
	struct vcpu *vcpu = new_vcpu();
	/* EINVAL, not ENOTTY, is what clients of KVM see here. */
	const int expected = EINVAL;

	EXPECT_ERRNO(ioctl(vcpu->fd, _IO(MINIVMMIO, 0xff), 0), expected);
	EXPECT_ERRNO(ioctl(vcpu->fd, _IOR(MINIVMMIO, 0x81, char), 0),
		     expected);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_CREATE_VCPU, 1), expected);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_CREATE_VM, 0), expected);
	/* Another subsystem's number never reaches us: both say the same. */
	EXPECT(ioctl(vcpu->fd, _IO('x', 0x80), 0) == -1);
}

TEST(run_takes_no_argument)
{
	struct vcpu *vcpu = new_vcpu();

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_RUN, 1), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_RUN, ~0UL), EINVAL);
}

TEST(no_read_write)
{
	struct vcpu *vcpu = new_vcpu();
	char byte = 0;

	EXPECT_ERRNO(read(vcpu->fd, &byte, 1), EINVAL);
	EXPECT_ERRNO(write(vcpu->fd, &byte, 1), EINVAL);
}

/*
 * System registers that no CPU can have, SDM volume 3, 2.5 and 4.1.1.  Stock
 * KVM 6.1 lets some through to fail at VM entry; those are marked "lax".
 */
static const struct bad_sregs {
	const char *name;
	u64 cr0, cr3, cr4, efer;
	u8 cs_l;
	bool lax;
} bad_sregs[] = {
	{ "CR4 reserved bit", CR0_ET, 0, 1UL << 15, 0 },
	{ "CR4 high bit", CR0_ET, 0, 1UL << 40, 0 },
	{ "long mode without PAE", CR0_PE | CR0_PG, PML4_GPA, 0,
	  EFER_LME | EFER_LMA },
	{ "LME and PG without LMA", CR0_PE | CR0_PG, PML4_GPA, CR4_PAE,
	  EFER_LME },
	{ "LMA without PG", CR0_PE, 0, CR4_PAE, EFER_LME | EFER_LMA },
	{ "LMA without LME", CR0_PE | CR0_PG, PML4_GPA, CR4_PAE, EFER_LMA },
	{ "CR3 beyond the physical address width", CR0_PE | CR0_PG,
	  1UL << 60, CR4_PAE, EFER_LME | EFER_LMA },
	{ "CS.L outside long mode", CR0_PE, 0, 0, 0, .cs_l = 1 },
	{ "PG without PE", CR0_PG, PML4_GPA, 0, 0, .lax = true },
	{ "NW without CD", CR0_PE | CR0_NW, 0, 0, 0, .lax = true },
	{ "CR0 high bit", CR0_PE | 1UL << 40, 0, 0, 0, .lax = true },
	{ "EFER reserved bit", CR0_PE, 0, 0, 1UL << 20, .lax = true },
};

TEST(bad_sregs)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_sregs before = vcpu_sregs(vcpu), sregs, after;
	const struct bad_sregs *bad;
	int ret;

	for (bad = bad_sregs; bad < bad_sregs + ARRAY_SIZE(bad_sregs); bad++) {
		sregs = before;
		sregs.cr0 = bad->cr0;
		sregs.cr3 = bad->cr3;
		sregs.cr4 = bad->cr4;
		sregs.efer = bad->efer;
		sregs.cs.l = bad->cs_l;
		ret = ioctl(vcpu->fd, MINIVMM_SET_SREGS, &sregs);
		if (bad->lax && !dev_is_minivmm()) {
			vcpu_set_sregs(vcpu, &before);
			continue;
		}
		if (ret != -1 || errno != EINVAL)
			test_fail(__FILE__, __LINE__, "%s: returned %d",
				  bad->name, ret);
		/* refused means unchanged */
		after = vcpu_sregs(vcpu);
		if (memcmp(&after, &before, sizeof(after)))
			test_fail(__FILE__, __LINE__, "%s: state changed",
				  bad->name);
	}
}

TEST(bad_apic_base)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	sregs.apic_base |= 1UL << 60;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_SREGS, &sregs), EINVAL);
}

TEST(bad_events)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_vcpu_events good = vcpu_events(vcpu), events;

	events = good;
	events.flags = 1U << 31;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events), EINVAL);
	events = good;
	events.flags = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events), EINVAL);
	/* exceptions end at 31, and an NMI is none */
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 32;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events), EINVAL);
	events.exception.nr = NMI_VECTOR;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events), EINVAL);
	/* payloads are an extension that nobody enabled */
	events = good;
	events.flags |= MINIVMM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events), EINVAL);
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &good));
}

TEST(bad_debugregs)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_debugregs good, regs;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &good));
	regs = good;
	regs.flags = 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &regs), EINVAL);
	regs = good;
	regs.dr6 |= 1UL << 32;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &regs), EINVAL);
	regs = good;
	regs.dr7 |= 1UL << 63;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &regs), EINVAL);
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &good));
}

static int set_xcr0(struct vcpu *vcpu, u64 value)
{
	struct minivmm_xcrs xcrs = {
		.nr_xcrs = 1, .xcrs[0].value = value,
	};

	return ioctl(vcpu->fd, MINIVMM_SET_XCRS, &xcrs);
}

TEST(bad_xcrs)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_xcrs good, xcrs;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XCRS, &good));
	xcrs = good;
	xcrs.nr_xcrs = MINIVMM_MAX_XCRS + 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XCRS, &xcrs), EINVAL);
	xcrs.nr_xcrs = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XCRS, &xcrs), EINVAL);
	xcrs = good;
	xcrs.flags = 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XCRS, &xcrs), EINVAL);
	/* SDM volume 1, 13.3: x87 always, AVX only with SSE, no unknown bits */
	EXPECT_ERRNO(set_xcr0(vcpu, 0), EINVAL);
	EXPECT_ERRNO(set_xcr0(vcpu, 2), EINVAL);
	EXPECT_ERRNO(set_xcr0(vcpu, 5), EINVAL);
	EXPECT_ERRNO(set_xcr0(vcpu, 1UL << 62 | 1), EINVAL);
	EXPECT_OK(set_xcr0(vcpu, 1));
	EXPECT_OK(set_xcr0(vcpu, 3));
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_XCRS, &good));
}

TEST(bad_xsave)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_xsave good, xsave;
	u64 *header = (u64 *)(xsave.region + 512 / 4);

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &good));
	/* XSTATE_BV, then XCOMP_BV, then reserved words: SDM volume 1, 13.4.2 */
	xsave = good;
	header[0] |= 1UL << 62;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave), EINVAL);
	xsave = good;
	header[1] = 1UL << 63;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave), EINVAL);
	xsave = good;
	header[3] = 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave), EINVAL);
	/* MXCSR's reserved bits would fault in the host's XRSTOR. */
	xsave = good;
	header[0] |= 3;
	xsave.region[24 / 4] = 0xffffffff;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &xsave), EINVAL);
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &good));
}

/* The guest must survive whatever the FPU was set to, so must the host. */
guest_code16(fpu_guest, "fnop; hlt");

TEST(hostile_fpu)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_fpu fpu;

	vcpu_setup_real(vcpu, &fpu_guest);
	memset(&fpu, 0xff, sizeof(fpu));
	if (ioctl(vcpu->fd, MINIVMM_SET_FPU, &fpu))
		EXPECT_EQ(errno, EINVAL);
	/* all exceptions unmasked and pending: not until a waiting insn */
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

static struct minivmm_msrs *alloc_msrs(u32 count)
{
	struct minivmm_msrs *msrs;

	msrs = calloc(1, sizeof(*msrs) + count * sizeof(msrs->entries[0]));
	msrs->nmsrs = count;
	return msrs;
}

TEST(msrs_count)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_msrs *msrs = alloc_msrs(512);

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_MSRS, msrs), E2BIG);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_MSRS, msrs), E2BIG);
	msrs->nmsrs = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_MSRS, msrs), E2BIG);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_MSRS, msrs), E2BIG);
	msrs->nmsrs = 0;
	EXPECT_EQ(ioctl(vcpu->fd, MINIVMM_GET_MSRS, msrs), 0);
	EXPECT_EQ(ioctl(vcpu->fd, MINIVMM_SET_MSRS, msrs), 0);
}

/* The return value is where processing stopped. */
TEST(msrs_partial)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_msrs *msrs = alloc_msrs(3);
	u64 value;

	ASSERT(vcpu_set_msr(vcpu, MSR_CSTAR, 0x3333));
	msrs->entries[0].index = MSR_LSTAR;
	msrs->entries[0].data = 0x1111;
	msrs->entries[1].index = 0xdeadbeef;
	msrs->entries[2].index = MSR_CSTAR;
	msrs->entries[2].data = 0x2222;
	EXPECT_EQ(ioctl(vcpu->fd, MINIVMM_SET_MSRS, msrs), 1);
	EXPECT(vcpu_get_msr(vcpu, MSR_LSTAR, &value));
	EXPECT_EQ(value, 0x1111);
	EXPECT(vcpu_get_msr(vcpu, MSR_CSTAR, &value));
	EXPECT_EQ(value, 0x3333);
	EXPECT_EQ(ioctl(vcpu->fd, MINIVMM_GET_MSRS, msrs), 1);
	EXPECT_EQ(msrs->entries[2].data, 0x2222);
}

/* Values that WRMSR refuses with #GP, SDM volume 4 */
TEST(msrs_bad_values)
{
	static const struct {
		u32 index;
		u64 value;
	} bad[] = {
		{ MSR_LSTAR, NONCANONICAL },
		{ MSR_CSTAR, NONCANONICAL },
		{ MSR_KERNEL_GS_BASE, NONCANONICAL },
		{ MSR_FS_BASE, NONCANONICAL },
		{ MSR_GS_BASE, NONCANONICAL },
		{ MSR_IA32_PAT, 0x0202020202020202 },
		{ MSR_EFER, 1UL << 40 },
	};
	struct vcpu *vcpu = new_vcpu();
	u64 before, after;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT(vcpu_get_msr(vcpu, bad[i].index, &before));
		if (vcpu_set_msr(vcpu, bad[i].index, bad[i].value))
			test_fail(__FILE__, __LINE__,
				  "MSR 0x%x took 0x%llx", bad[i].index,
				  bad[i].value);
		ASSERT(vcpu_get_msr(vcpu, bad[i].index, &after));
		EXPECT_EQ(before, after);
	}
}

TEST(cpuid_counts)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_cpuid2 *cpuid, *set = supported_cpuid();
	const u32 max = 4096;
	u32 i;

	cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	cpuid->nent = max;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid), E2BIG);
	cpuid->nent = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid), E2BIG);
	cpuid->nent = 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_CPUID2, cpuid), E2BIG);
	cpuid->nent = 256;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_CPUID2, cpuid));
	/* KVM 6.1 leaves nent as it was: the entries tell */
	for (i = 0; i < set->nent; i++) {
		EXPECT_EQ(cpuid->entries[i].function,
			  set->entries[i].function);
		EXPECT_EQ(cpuid->entries[i].index, set->entries[i].index);
	}
	EXPECT_EQ(cpuid->entries[i].function, 0);
	EXPECT_EQ(cpuid->entries[i].eax, 0);
}

TEST(interrupt_range)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_interrupt interrupt = { 256 };

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &interrupt), EINVAL);
	interrupt.irq = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &interrupt), EINVAL);
	interrupt.irq = 255;
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &interrupt));
}

TEST(bad_mp_state)
{
	struct vcpu *vcpu = new_vcpu();
	struct minivmm_mp_state state = { 99 };

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &state), EINVAL);
	state.mp_state = ~0U;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &state), EINVAL);
	state.mp_state = MINIVMM_MP_STATE_RUNNABLE;
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &state));
}

TEST(signal_mask_length)
{
	struct vcpu *vcpu = new_vcpu();
	struct {
		struct minivmm_signal_mask mask;
		u64 set;
	} __attribute__((packed)) arg = { .mask.len = 4 };

	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg), EINVAL);
	arg.mask.len = 128;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg), EINVAL);
	arg.mask.len = 8;
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, &arg));
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_SIGNAL_MASK, NULL));
}

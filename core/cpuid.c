// SPDX-License-Identifier: GPL-2.0-only
/*
 * What CPU the guest sees.
 *
 * GET_SUPPORTED_CPUID: this machine's CPUID, cut down to the features listed
 * here. Nothing passes by default: a feature that is in no table does not
 * exist for a guest, because it needs state, MSRs or intercepts we do not have.
 *
 * SET_CPUID2: the client's choice, stored as it is; the CPUID instruction is
 * answered from it. Only what protects the host (control register bits, XCR0)
 * is held against the hardware.
 */
#include <linux/bits.h>
#include <linux/export.h>
#include <linux/limits.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/processor.h>
#include <uapi/asm/kvm_para.h>

#include "compat.h"
#include "core.h"
#include "trace.h"

enum { EAX, EBX, ECX, EDX };

#define CPUID_HYPERVISOR	0x40000000
#define CPUID_EXTENDED		0x80000000

#define MAX_BASIC		0xd
#define MAX_HYPERVISOR		0x40000001
#define MAX_EXTENDED		0x80000008

/* What the second-level tables translate: four levels. */
#define MAX_PHYS_BITS		48

/* Bits that the guest's own control registers decide (SDM vol. 2, CPUID) */
#define LEAF1_ECX_OSXSAVE	BIT(27)
#define LEAF1_ECX_SSE3		BIT(0)
#define LEAF1_ECX_MONITOR	BIT(3)
#define LEAF1_ECX_X2APIC	BIT(21)
#define LEAF1_ECX_TSC_DEADLINE	BIT(24)
#define LEAF1_EDX_APIC		BIT(9)
#define LEAF7_ECX_OSPKE		BIT(4)

#define LEAF1_ECX_XSAVE		BIT(26)
/* Leaf 0DH, subleaf 1; either instruction writes the compacted format. */
#define LEAFD_EAX_XSAVEC	BIT(1)
#define LEAFD_EAX_XSAVES	BIT(3)
#define LEAFD_EAX_COMPACTED	(LEAFD_EAX_XSAVEC | LEAFD_EAX_XSAVES)

/* States that features need: without them the instructions are #UD. */
#define NEED_AVX		XFEATURE_MASK_YMM
#define NEED_AVX512		XFEATURE_MASK_AVX512
#define NEED_PKRU		XFEATURE_MASK_PKRU
#define NEED_XSAVE		XFEATURE_MASK_FP

/**
 * struct leaf_mask - features of one output register that a guest can have
 * @function: CPUID leaf
 * @index: subleaf
 * @reg: EAX, EBX, ECX or EDX
 * @bits: what passes through
 * @xstate: states that must be among mv_fpu_features(); several rows for one
 *	register add up
 */
struct leaf_mask {
	u32 function;
	u8 index;
	u8 reg;
	u32 bits;
	u64 xstate;
};

static const struct leaf_mask masks[] = {
	/*
	 * Without: DTES64 2, MONITOR 3, DS-CPL 4, VMX 5, SMX 6, EIST 7, TM2 8,
	 * CNXT-ID 10, SDBG 11, xTPR 14, PDCM 15, DCA 18.
	 */
	{ 1, 0, ECX, BIT(0) |		/* SSE3 */
		     BIT(1) |		/* PCLMULQDQ */
		     BIT(9) |		/* SSSE3 */
		     BIT(13) |		/* CMPXCHG16B */
		     BIT(17) |		/* PCID */
		     BIT(19) |		/* SSE4.1 */
		     BIT(20) |		/* SSE4.2 */
		     BIT(21) |		/* x2APIC */
		     BIT(22) |		/* MOVBE */
		     BIT(23) |		/* POPCNT */
		     BIT(25) |		/* AES */
		     BIT(30) },		/* RDRAND */
	{ 1, 0, ECX, BIT(26), NEED_XSAVE },
	{ 1, 0, ECX, BIT(12) |		/* FMA */
		     BIT(28) |		/* AVX */
		     BIT(29), NEED_AVX },	/* F16C */
	/* Without: PSN 18, DS 21, ACPI 22, HTT 28, TM 29, PBE 31. */
	{ 1, 0, EDX, BIT(0) |		/* FPU */
		     BIT(1) |		/* VME */
		     BIT(2) |		/* DE */
		     BIT(3) |		/* PSE */
		     BIT(4) |		/* TSC */
		     BIT(5) |		/* MSR */
		     BIT(6) |		/* PAE */
		     BIT(7) |		/* MCE */
		     BIT(8) |		/* CMPXCHG8B */
		     BIT(9) |		/* APIC; follows IA32_APIC_BASE */
		     BIT(11) |		/* SYSENTER */
		     BIT(12) |		/* MTRR */
		     BIT(13) |		/* PGE */
		     BIT(14) |		/* MCA */
		     BIT(15) |		/* CMOV */
		     BIT(16) |		/* PAT */
		     BIT(17) |		/* PSE36 */
		     BIT(19) |		/* CLFLUSH */
		     BIT(23) |		/* MMX */
		     BIT(24) |		/* FXSR */
		     BIT(25) |		/* SSE */
		     BIT(26) |		/* SSE2 */
		     BIT(27) },		/* self-snoop */
	/* ARAT: whatever timer the client gives its guest, it never stops. */
	{ 6, 0, EAX, BIT(2) },
	/* Without: SGX 2, HLE 4, RTM 11, RDT 12 15, MPX 14, PT 25. */
	{ 7, 0, EBX, BIT(0) |		/* FSGSBASE */
		     BIT(1) |		/* TSC_ADJUST */
		     BIT(3) |		/* BMI1 */
		     BIT(6) |		/* FDP on exceptions only */
		     BIT(7) |		/* SMEP */
		     BIT(8) |		/* BMI2 */
		     BIT(9) |		/* ERMS */
		     BIT(10) |		/* INVPCID */
		     BIT(13) |		/* FCS and FDS are 0 */
		     BIT(18) |		/* RDSEED */
		     BIT(19) |		/* ADX */
		     BIT(20) |		/* SMAP */
		     BIT(23) |		/* CLFLUSHOPT */
		     BIT(24) |		/* CLWB */
		     BIT(29) },		/* SHA */
	{ 7, 0, EBX, BIT(5), NEED_AVX },	/* AVX2 */
	{ 7, 0, EBX, BIT(16) |		/* AVX512F */
		     BIT(17) |		/* AVX512DQ */
		     BIT(21) |		/* AVX512_IFMA */
		     BIT(26) |		/* AVX512PF */
		     BIT(27) |		/* AVX512ER */
		     BIT(28) |		/* AVX512CD */
		     BIT(30) |		/* AVX512BW */
		     BIT(31), NEED_AVX512 },	/* AVX512VL */
	/* Without: WAITPKG 5, CET 7, TME 13, LA57 16, bus lock 24, ENQCMD 29. */
	{ 7, 0, ECX, BIT(0) |		/* PREFETCHWT1 */
		     BIT(2) |		/* UMIP */
		     BIT(8) |		/* GFNI */
		     BIT(22) |		/* RDPID */
		     BIT(25) |		/* CLDEMOTE */
		     BIT(27) |		/* MOVDIRI */
		     BIT(28) },		/* MOVDIR64B */
	{ 7, 0, ECX, BIT(3), NEED_PKRU },	/* PKU */
	{ 7, 0, ECX, BIT(9) |		/* VAES */
		     BIT(10), NEED_AVX },	/* VPCLMULQDQ */
	{ 7, 0, ECX, BIT(1) |		/* AVX512_VBMI */
		     BIT(6) |		/* AVX512_VBMI2 */
		     BIT(11) |		/* AVX512_VNNI */
		     BIT(12) |		/* AVX512_BITALG */
		     BIT(14), NEED_AVX512 },	/* AVX512_VPOPCNTDQ */
	/* Without all that IA32_SPEC_CTRL and IA32_ARCH_CAPABILITIES bring. */
	{ 7, 0, EDX, BIT(4) |		/* fast short REP MOV */
		     BIT(10) |		/* MD_CLEAR: VERW clears buffers */
		     BIT(14) },		/* SERIALIZE */
	{ 7, 0, EDX, BIT(2) |		/* AVX512_4VNNIW */
		     BIT(3) |		/* AVX512_4FMAPS */
		     BIT(8) |		/* AVX512_VP2INTERSECT */
		     BIT(23), NEED_AVX512 },	/* AVX512_FP16 */
	{ 7, 1, EAX, BIT(4), NEED_AVX },	/* AVX_VNNI */
	{ 7, 1, EAX, BIT(5), NEED_AVX512 },	/* AVX512_BF16 */
	/* Without XFD 4: no AMX. And no supervisor states. */
	{ 0xd, 1, EAX, BIT(0) |		/* XSAVEOPT */
		       BIT(1) |		/* XSAVEC */
		       BIT(2) |		/* XGETBV with ECX = 1 */
		       BIT(3), NEED_XSAVE },	/* XSAVES, IA32_XSS */
	{ 0x80000001, 0, ECX, BIT(0) |	/* LAHF/SAHF in 64-bit mode */
			      BIT(5) |	/* LZCNT */
			      BIT(8) },	/* PREFETCHW */
	{ 0x80000001, 0, EDX, BIT(11) |	/* SYSCALL */
			      BIT(20) |	/* NX */
			      BIT(26) |	/* 1-GiB pages */
			      BIT(27) |	/* RDTSCP */
			      BIT(29) },	/* 64-bit */
	/* The TSC runs at a constant rate in all states. */
	{ 0x80000007, 0, EDX, BIT(8) },
};

/* CR4 bits and the CPUID feature that allows each (SDM 2.5) */
static const struct {
	u64 cr4;
	u32 function;
	u8 reg;
	u32 bit;
} cr4_features[] = {
	{ X86_CR4_UMIP,		7, ECX, BIT(2) },
	{ X86_CR4_FSGSBASE,	7, EBX, BIT(0) },
	{ X86_CR4_PCIDE,	1, ECX, BIT(17) },
	{ X86_CR4_OSXSAVE,	1, ECX, BIT(26) },
	{ X86_CR4_SMEP,		7, EBX, BIT(7) },
	{ X86_CR4_SMAP,		7, EBX, BIT(20) },
	{ X86_CR4_PKE,		7, ECX, BIT(3) },
};

/*
 * CR4 bits of every 64-bit CPU: KVM allows them whatever CPUID says, so
 * clients may leave them out there.
 */
#define CR4_ALWAYS (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | \
		    X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | \
		    X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static u32 *entry_reg(struct minivmm_cpuid_entry2 *e, unsigned int reg)
{
	u32 *const regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return regs[reg];
}

/* ---- GET_SUPPORTED_CPUID -------------------------------------------------- */

struct cpuid_list {
	struct minivmm_cpuid_entry2 *entries;
	u32 nent;
	u32 max;
};

/* The features of @reg in this leaf that a guest can have */
static u32 leaf_bits(u32 function, u32 index, unsigned int reg)
{
	u64 xstate = mv_fpu_features();
	u32 bits = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		const struct leaf_mask *m = &masks[i];

		if (m->function == function && m->index == index &&
		    m->reg == reg && (m->xstate & ~xstate) == 0)
			bits |= m->bits;
	}
	return bits;
}

/* A new entry, holding what this machine's CPUID says; NULL: list full */
static struct minivmm_cpuid_entry2 *add_entry(struct cpuid_list *list,
					      u32 function, u32 index,
					      bool indexed)
{
	struct minivmm_cpuid_entry2 *e;

	if (list->nent == list->max)
		return NULL;
	e = &list->entries[list->nent++];
	e->function = function;
	e->index = index;
	e->flags = indexed ? MINIVMM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	cpuid_count(function, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

/* The same, with only the feature bits of the table left */
static struct minivmm_cpuid_entry2 *add_features(struct cpuid_list *list,
						 u32 function, u32 index,
						 bool indexed)
{
	struct minivmm_cpuid_entry2 *e;

	e = add_entry(list, function, index, indexed);
	if (!e)
		return NULL;
	e->eax &= leaf_bits(function, index, EAX);
	e->ebx &= leaf_bits(function, index, EBX);
	e->ecx &= leaf_bits(function, index, ECX);
	e->edx &= leaf_bits(function, index, EDX);
	return e;
}

static struct minivmm_cpuid_entry2 *add_zero(struct cpuid_list *list,
					     u32 function, bool indexed)
{
	return add_features(list, function, 0, indexed);
}

static int add_leaf1(struct cpuid_list *list)
{
	struct minivmm_cpuid_entry2 *e;
	u32 eax, ebx, ecx, edx;

	cpuid(1, &eax, &ebx, &ecx, &edx);
	e = add_features(list, 1, 0, false);
	if (!e)
		return -E2BIG;
	e->eax = eax;
	/* The count of logical CPUs and the APIC ID are the client's to fill. */
	e->ebx = ebx & 0xffff;
	/*
	 * x2APIC is ours, whatever the CPU has. TSC-deadline is, too, but has a
	 * capability of its own: clients add it.
	 */
	e->ecx |= BIT(21);
	e->ecx |= BIT(31);	/* runs under a hypervisor */
	if (!(mv_ops->caps.cr4 & X86_CR4_PCIDE))
		e->ecx &= ~BIT(17);
	return 0;
}

/* Deterministic cache parameters: subleaves up to the first of type 0 */
static int add_leaf4(struct cpuid_list *list)
{
	struct minivmm_cpuid_entry2 *e;
	u32 i = 0;

	do {
		e = add_entry(list, 4, i++, true);
		if (!e)
			return -E2BIG;
	} while (e->eax & 0x1f);
	return 0;
}

static int add_leaf7(struct cpuid_list *list)
{
	struct minivmm_cpuid_entry2 *e;
	u32 max = cpuid_eax(7);

	e = add_features(list, 7, 0, true);
	if (!e)
		return -E2BIG;
	e->eax = min(max, 1U);
	if (!mv_ops->caps.invpcid)
		e->ebx &= ~BIT(10);
	if (!(mv_ops->caps.cr4 & X86_CR4_UMIP))
		e->ecx &= ~BIT(2);
	if (!mv_ops->caps.rdtscp)
		e->ecx &= ~BIT(22);
	if (max && !add_features(list, 7, 1, true))
		return -E2BIG;
	return 0;
}

/* Processor extended state: one subleaf for each state a guest can enable */
static int add_leaf_d(struct cpuid_list *list)
{
	u64 features = mv_fpu_features();
	struct minivmm_cpuid_entry2 *e;
	u32 i;

	e = add_zero(list, 0xd, true);
	if (!e)
		return -E2BIG;
	if (!features)
		return 0;
	e->eax = lower_32_bits(features);
	e->edx = upper_32_bits(features);
	e->ebx = mv_fpu_size(features, false);
	e->ecx = e->ebx;

	e = add_features(list, 0xd, 1, true);
	if (!e)
		return -E2BIG;
	if (!mv_ops->caps.xsaves)
		e->eax &= ~LEAFD_EAX_XSAVES;
	if (e->eax & LEAFD_EAX_COMPACTED)
		e->ebx = mv_fpu_size(features, true);

	for (i = 2; i < 63; i++) {
		if (!(features & BIT_ULL(i)))
			continue;
		e = add_entry(list, 0xd, i, true);
		if (!e)
			return -E2BIG;
		e->ecx &= BIT(1);	/* aligned to 64 in the compacted form */
		e->edx = 0;
	}
	return 0;
}

static int add_basic(struct cpuid_list *list)
{
	u32 max = min_t(u32, cpuid_eax(0), MAX_BASIC);
	struct minivmm_cpuid_entry2 *e;
	u32 leaf;
	int err;

	e = add_entry(list, 0, 0, false);
	if (!e)
		return -E2BIG;
	e->eax = max;

	for (leaf = 1; leaf <= max; leaf++) {
		switch (leaf) {
		case 1:
			err = add_leaf1(list);
			break;
		case 2:		/* cache and TLB descriptors */
			err = add_entry(list, leaf, 0, false) ? 0 : -E2BIG;
			break;
		case 4:
			err = add_leaf4(list);
			break;
		case 7:
			err = add_leaf7(list);
			break;
		case 0xb:	/* topology: the client's to fill */
			err = add_zero(list, leaf, true) ? 0 : -E2BIG;
			break;
		case 0xd:
			err = add_leaf_d(list);
			break;
		default:	/* nothing in the table: zeros, as no PMU in 0xa */
			err = add_zero(list, leaf, false) ? 0 : -E2BIG;
			break;
		}
		if (err)
			return err;
	}
	return 0;
}

/*
 * The signature is KVM's, since the interface below is a subset of KVM's:
 * guests that know it take only what the feature word offers, and clients look
 * for these leaves to add their own. The delay of port I/O that is not needed
 * is that for devices of the ISA bus: there are none.
 */
static const char signature[12] = "KVMKVMKVM\0\0";

static int add_hypervisor(struct cpuid_list *list)
{
	struct minivmm_cpuid_entry2 *e;

	e = add_zero(list, CPUID_HYPERVISOR, false);
	if (!e)
		return -E2BIG;
	e->eax = MAX_HYPERVISOR;
	memcpy(&e->ebx, signature, 4);
	memcpy(&e->ecx, signature + 4, 4);
	memcpy(&e->edx, signature + 8, 4);
	e = add_zero(list, MAX_HYPERVISOR, false);
	if (!e)
		return -E2BIG;
	e->eax = BIT(KVM_FEATURE_NOP_IO_DELAY) | mv_clock_features() |
		 mv_steal_features() | mv_hypercall_features();
	return 0;
}

/* Linear and physical address bits */
static void cut_address_bits(struct minivmm_cpuid_entry2 *e)
{
	e->eax = min_t(u32, e->eax & 0xff, MAX_PHYS_BITS) | 48 << 8;
	e->ebx = 0;
	e->ecx = 0;
	e->edx = 0;
}

static int add_extended(struct cpuid_list *list)
{
	u32 max = min_t(u32, cpuid_eax(CPUID_EXTENDED), MAX_EXTENDED);
	struct minivmm_cpuid_entry2 *e;
	u32 leaf;

	e = add_zero(list, CPUID_EXTENDED, false);
	if (!e)
		return -E2BIG;
	e->eax = max;

	for (leaf = CPUID_EXTENDED + 1; leaf <= max; leaf++) {
		switch (leaf) {
		case 0x80000002:	/* brand string */
		case 0x80000003:
		case 0x80000004:
		case 0x80000005:	/* caches */
		case 0x80000006:
		case 0x80000008:
			e = add_entry(list, leaf, 0, false);
			break;
		default:
			e = add_features(list, leaf, 0, false);
			break;
		}
		if (!e)
			return -E2BIG;
		if (leaf == 0x80000001 && !mv_ops->caps.rdtscp)
			e->edx &= ~BIT(27);
		if (leaf == 0x80000008)
			cut_address_bits(e);
	}
	return 0;
}

static int fill_supported(struct cpuid_list *list)
{
	int err = add_basic(list);

	if (!err)
		err = add_hypervisor(list);
	if (!err)
		err = add_extended(list);
	return err;
}

/**
 * mv_get_supported_cpuid() - MINIVMM_GET_SUPPORTED_CPUID
 * @user: nent in: entries there is room for; out: entries written
 *
 * Context: may sleep.
 * Return: 0, -E2BIG if there is not room for all, -EFAULT, -ENOMEM.
 */
int mv_get_supported_cpuid(struct minivmm_cpuid2 __user *user)
{
	struct cpuid_list list = { };
	int err;

	if (get_user(list.max, &user->nent))
		return -EFAULT;
	if (!list.max)
		return -E2BIG;
	list.max = min_t(u32, list.max, MV_MAX_CPUID);
	list.entries = kvcalloc(list.max, sizeof(*list.entries),
				GFP_KERNEL_ACCOUNT);
	if (!list.entries)
		return -ENOMEM;

	err = fill_supported(&list);
	if (!err && (copy_to_user(user->entries, list.entries,
				  array_size(list.nent, sizeof(*list.entries))) ||
		     put_user(list.nent, &user->nent)))
		err = -EFAULT;
	kvfree(list.entries);
	return err;
}

/* ---- the guest's own CPUID ------------------------------------------------ */

/* The exact entry, or NULL */
static struct minivmm_cpuid_entry2 *find_entry(struct mv_vcpu *vcpu,
					       u32 function, u32 index)
{
	struct minivmm_cpuid_entry2 *e = vcpu->cpuid.entries;
	const struct minivmm_cpuid_entry2 *end = e + vcpu->cpuid.nent;
	unsigned int number = function & 0x3fffffff;
	unsigned int class = function >> 30;

	if (likely(number < 32 && class < 3)) {
		unsigned int start;

		/* The guest chooses @function. */
		class = array_index_nospec(class, 3);
		number = array_index_nospec(number, 32);
		start = vcpu->cpuid.start[class][number];
		if (!start)
			return NULL;
		e += start - 1;
	}
	for (; e < end; e++) {
		if (e->function == function &&
		    (!(e->flags & MINIVMM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		     e->index == index))
			return e;
	}
	return NULL;
}

/**
 * mv_cpuid_find() - a leaf of the guest's CPUID
 * @vcpu: the vCPU
 * @function: EAX
 * @index: ECX; ignored where the client's entry does not ask for it
 *
 * Return: the entry, or NULL. It lives until the next mv_set_cpuid().
 */
struct minivmm_cpuid_entry2 *mv_cpuid_find(struct mv_vcpu *vcpu, u32 function,
					   u32 index)
{
	return find_entry(vcpu, function, index);
}

static u32 guest_feature(struct mv_vcpu *vcpu, u32 function, unsigned int reg)
{
	struct minivmm_cpuid_entry2 *e = find_entry(vcpu, function, 0);

	return e ? *entry_reg(e, reg) : 0;
}

/*
 * Beyond the last leaf, Intel's CPUs answer with the highest basic leaf, for
 * the same ECX (SDM vol. 2, CPUID); others with zeros.
 */
static struct minivmm_cpuid_entry2 *out_of_range(struct mv_vcpu *vcpu,
						 u32 function, u32 index)
{
	struct minivmm_cpuid_entry2 *basic = find_entry(vcpu, 0, 0);
	struct minivmm_cpuid_entry2 *class;

	if (!basic || basic->ebx != 0x756e6547)		/* "Genu"ineIntel */
		return NULL;
	if (function >> 28 == CPUID_HYPERVISOR >> 28)
		class = find_entry(vcpu, function & 0xffffff00, 0);
	else
		class = find_entry(vcpu, function & CPUID_EXTENDED, 0);
	if (class && function <= class->eax)
		return NULL;
	return find_entry(vcpu, basic->eax, index);
}

/* Leaves without an entry of their own; a rare case */
static noinline void emulate_missing(struct mv_vcpu *vcpu)
{
	u32 function = vcpu->regs[MV_RAX];
	u32 index = vcpu->regs[MV_RCX];
	struct minivmm_cpuid_entry2 *e = out_of_range(vcpu, function, index);

	vcpu->regs[MV_RAX] = 0;
	vcpu->regs[MV_RBX] = 0;
	vcpu->regs[MV_RCX] = 0;
	vcpu->regs[MV_RDX] = 0;
	if (e) {
		vcpu->regs[MV_RAX] = e->eax;
		vcpu->regs[MV_RBX] = e->ebx;
		vcpu->regs[MV_RCX] = e->ecx;
		vcpu->regs[MV_RDX] = e->edx;
		return;
	}
	/* Levels beyond the last keep CL and the x2APIC ID (SDM, leaf 0BH). */
	if (function == 0xb || function == 0x1f) {
		e = find_entry(vcpu, function, 1);
		if (e) {
			vcpu->regs[MV_RCX] = index & 0xff;
			vcpu->regs[MV_RDX] = e->edx;
		}
	}
}

/**
 * mv_emulate_cpuid() - the CPUID instruction
 * @vcpu: EAX and ECX say which leaf; EAX, EBX, ECX, EDX are set
 *
 * Does not skip the instruction.
 *
 * Context: inside the run section.
 */
void mv_emulate_cpuid(struct mv_vcpu *vcpu)
{
	u32 function = vcpu->regs[MV_RAX], index = vcpu->regs[MV_RCX];
	const struct minivmm_cpuid_entry2 *e = find_entry(vcpu, function, index);

	if (likely(e)) {
		/* The upper halves become zero, as on the CPU. */
		vcpu->regs[MV_RAX] = e->eax;
		vcpu->regs[MV_RBX] = e->ebx;
		vcpu->regs[MV_RCX] = e->ecx;
		vcpu->regs[MV_RDX] = e->edx;
	} else {
		emulate_missing(vcpu);
	}
	trace_minivmm_cpuid(function, index, vcpu->regs[MV_RAX],
			    vcpu->regs[MV_RBX], vcpu->regs[MV_RCX],
			    vcpu->regs[MV_RDX], e);
}
EXPORT_SYMBOL_GPL(mv_emulate_cpuid);

static void set_bits_if(u32 *reg, u32 bits, bool on)
{
	*reg = on ? *reg | bits : *reg & ~bits;
}

/**
 * mv_cpuid_update() - let CPUID follow the guest's control registers
 * @vcpu: the vCPU
 *
 * To be called after a change of CR4, XCR0, IA32_APIC_BASE or the leaves. Of
 * CR4 it reads bits that a guest cannot change without an exit, so MV_STATE_CRS
 * need not be valid.
 *
 * Context: anywhere, with the vCPU.
 */
void mv_cpuid_update(struct mv_vcpu *vcpu)
{
	struct minivmm_cpuid_entry2 *e;

	e = find_entry(vcpu, 1, 0);
	if (e) {
		set_bits_if(&e->ecx, LEAF1_ECX_OSXSAVE,
			    vcpu->cr4 & X86_CR4_OSXSAVE);
		/* A disabled local APIC is not there (SDM 11.4.3). */
		if (!(vcpu->apic_base & MSR_IA32_APICBASE_ENABLE))
			e->edx &= ~LEAF1_EDX_APIC;
		else if (vcpu->cpuid.apic)
			e->edx |= LEAF1_EDX_APIC;
		if (READ_ONCE(vcpu->vm->disabled_quirks) &
		    MINIVMM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
			set_bits_if(&e->ecx, LEAF1_ECX_MONITOR,
				    mv_misc_enable_mwait(vcpu));
	}
	vcpu->cpuid.mwait = e && (e->ecx & LEAF1_ECX_MONITOR);
	e = find_entry(vcpu, 7, 0);
	if (e)
		set_bits_if(&e->ecx, LEAF7_ECX_OSPKE,
			    vcpu->cr4 & X86_CR4_PKE);
	e = find_entry(vcpu, 0xd, 0);
	if (e)
		e->ebx = mv_fpu_size(vcpu->xcr0, false);
	e = find_entry(vcpu, 0xd, 1);
	if (e && (e->eax & LEAFD_EAX_COMPACTED))
		e->ebx = mv_fpu_size(vcpu->xcr0, true);
}

static void index_entries(struct mv_vcpu *vcpu)
{
	u32 i;

	memset(vcpu->cpuid.start, 0, sizeof(vcpu->cpuid.start));
	for (i = 0; i < vcpu->cpuid.nent; i++) {
		u32 function = vcpu->cpuid.entries[i].function;
		u32 number = function & 0x3fffffff;
		u32 class = function >> 30;

		if (class < 3 && number < 32 &&
		    !vcpu->cpuid.start[class][number])
			vcpu->cpuid.start[class][number] = i + 1;
	}
}

/* CR4 bits the hardware and this driver can give to any guest */
static u64 host_cr4(void)
{
	u64 cr4 = CR4_ALWAYS;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
		cr4 |= cr4_features[i].cr4;
	cr4 &= mv_ops->caps.cr4;
	/* Without these the CPU would run on with the host's states. */
	if (!mv_fpu_features())
		cr4 &= ~X86_CR4_OSXSAVE;
	if (!(mv_fpu_features() & XFEATURE_MASK_PKRU))
		cr4 &= ~X86_CR4_PKE;
	return cr4;
}

static void update_cr4_allowed(struct mv_vcpu *vcpu)
{
	u64 cr4 = CR4_ALWAYS;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (guest_feature(vcpu, cr4_features[i].function,
				  cr4_features[i].reg) & cr4_features[i].bit)
			cr4 |= cr4_features[i].cr4;
	}
	vcpu->cpuid.cr4_allowed = cr4 & host_cr4();
}

static void update_efer_allowed(struct mv_vcpu *vcpu)
{
	u32 edx = guest_feature(vcpu, 0x80000001, EDX);
	u64 efer = EFER_SCE;

	if (edx & BIT(29))
		efer |= EFER_LME | EFER_LMA;
	if (edx & BIT(20))
		efer |= EFER_NX;
	vcpu->cpuid.efer_allowed = efer;
}

/* As the SDM has it for CPUs without leaf 80000008H (4.1.4): 36 bits. */
static u8 guest_phys_bits(struct mv_vcpu *vcpu)
{
	u32 eax = guest_feature(vcpu, 0x80000008, EAX);
	u32 bits = eax & 0xff;

	return bits >= 32 && bits <= 52 ? bits : 36;
}

/*
 * The word of features in KVM's leaves, which begin at the first multiple of 100H
 * that has the signature: clients may put another hypervisor's before them.
 */
static u32 pv_features(struct mv_vcpu *vcpu)
{
	u32 i;

	for (i = 0; i < vcpu->cpuid.nent; i++) {
		const struct minivmm_cpuid_entry2 *e = &vcpu->cpuid.entries[i];

		if ((e->function & 0xffff00ff) == CPUID_HYPERVISOR &&
		    !memcmp(&e->ebx, signature, sizeof(signature)))
			return guest_feature(vcpu, e->function + 1, EAX);
	}
	return 0;
}

/**
 * mv_guest_has_pv() - is this paravirtual feature there for the guest?
 * @vcpu: the vCPU
 * @features: bits of KVM's feature leaf, all of them; 0: always
 *
 * Whether its CPUID names it counts only where the client wants so.
 *
 * Context: any, with the vCPU.
 */
bool mv_guest_has_pv(const struct mv_vcpu *vcpu, u32 features)
{
	return !vcpu->cpuid.enforce_pv ||
	       !(features & ~vcpu->cpuid.pv_features);
}

/**
 * mv_mwait_is_ud() - do MONITOR and MWAIT not exist for the guest?
 * @vcpu: the vCPU
 *
 * As long as the client keeps KVM's quirk they are there, as NOPs, for any guest.
 *
 * Context: inside the run section.
 */
bool mv_mwait_is_ud(const struct mv_vcpu *vcpu)
{
	return !vcpu->cpuid.mwait &&
	       (READ_ONCE(vcpu->vm->disabled_quirks) &
		MINIVMM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS);
}
EXPORT_SYMBOL_GPL(mv_mwait_is_ud);

static bool has_xsaves(struct mv_vcpu *vcpu)
{
	struct minivmm_cpuid_entry2 *d1 = find_entry(vcpu, 0xd, 1);

	return mv_ops->caps.xsaves && d1 && (d1->eax & LEAFD_EAX_XSAVES) &&
	       (guest_feature(vcpu, 1, ECX) & LEAF1_ECX_XSAVE);
}

/* What follows from the leaves, computed once and not at each use */
static void derive(struct mv_vcpu *vcpu)
{
	struct minivmm_cpuid_entry2 *d = find_entry(vcpu, 0xd, 0);
	u64 states = d ? d->eax | (u64)d->edx << 32 : 0;

	update_cr4_allowed(vcpu);
	update_efer_allowed(vcpu);
	vcpu->cpuid.maxphyaddr = guest_phys_bits(vcpu);
	vcpu->cpuid.rdtscp = mv_ops->caps.rdtscp &&
		((guest_feature(vcpu, 0x80000001, EDX) & BIT(27)) ||
		 (guest_feature(vcpu, 7, ECX) & BIT(22)));
	vcpu->cpuid.invpcid = mv_ops->caps.invpcid &&
		(guest_feature(vcpu, 7, EBX) & BIT(10));
	vcpu->cpuid.xsaves = has_xsaves(vcpu);
	vcpu->cpuid.apic = guest_feature(vcpu, 1, EDX) & LEAF1_EDX_APIC;
	vcpu->cpuid.x2apic = guest_feature(vcpu, 1, ECX) & LEAF1_ECX_X2APIC;
	vcpu->cpuid.tsc_deadline = guest_feature(vcpu, 1, ECX) &
				   LEAF1_ECX_TSC_DEADLINE;
	vcpu->cpuid.sse3 = guest_feature(vcpu, 1, ECX) & LEAF1_ECX_SSE3;
	vcpu->cpuid.pv_features = pv_features(vcpu);
	vcpu->fpu_features = states & mv_fpu_features();
	vcpu->dirty |= MV_STATE_CPUID | MV_STATE_SYSCALL;
}

/**
 * mv_cpuid_reset() - a new vCPU, before its client says which CPU it is
 * @vcpu: the vCPU
 *
 * CPUID is all zeros, yet everything the hardware has is allowed: as in KVM,
 * tiny clients may go without MINIVMM_SET_CPUID2.
 */
void mv_cpuid_reset(struct mv_vcpu *vcpu)
{
	vcpu->cpuid.cr4_allowed = host_cr4();
	vcpu->cpuid.efer_allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
	vcpu->cpuid.maxphyaddr = 36;
	vcpu->cpuid.rdtscp = mv_ops->caps.rdtscp;
	vcpu->cpuid.invpcid = mv_ops->caps.invpcid;
	vcpu->cpuid.xsaves = mv_ops->caps.xsaves;
	vcpu->cpuid.x2apic = true;
	vcpu->cpuid.tsc_deadline = true;
	vcpu->fpu_features = mv_fpu_features();
}

/* Linear addresses have 48 bits here; 57 and 0 are what clients also say. */
static bool valid_entries(const struct minivmm_cpuid_entry2 *entries, u32 nent)
{
	u32 i;

	for (i = 0; i < nent; i++) {
		u32 bits = (entries[i].eax >> 8) & 0xff;

		if (entries[i].function == 0x80000008 &&
		    bits != 48 && bits != 57 && bits != 0)
			return false;
	}
	return true;
}

static void use_entries(struct mv_vcpu *vcpu,
			struct minivmm_cpuid_entry2 *entries, u32 nent)
{
	vcpu->cpuid.entries = entries;
	vcpu->cpuid.nent = nent;
	index_entries(vcpu);
}

/*
 * A CPU that has run stays what it is: the client can only say the same again.
 * Bits that follow the guest's registers are as they must be by now, whatever the
 * client has for them. Takes @entries.
 */
static int confirm(struct mv_vcpu *vcpu, struct minivmm_cpuid_entry2 *entries,
		   u32 nent)
{
	struct minivmm_cpuid_entry2 *old = vcpu->cpuid.entries;
	u32 old_nent = vcpu->cpuid.nent;
	bool same;

	use_entries(vcpu, entries, nent);
	mv_cpuid_update(vcpu);
	same = nent == old_nent &&
	       !memcmp(entries, old, array_size(nent, sizeof(*old)));
	use_entries(vcpu, old, old_nent);
	mv_cpuid_update(vcpu);
	kvfree(entries);
	return same ? 0 : -EINVAL;
}

/**
 * mv_set_cpuid() - MINIVMM_SET_CPUID2
 * @vcpu: the vCPU
 * @user: the leaves the guest shall see
 *
 * Context: may sleep.
 * Return: 0, -E2BIG, -EINVAL, -EFAULT, -ENOMEM; nothing changed on error. -EINVAL
 * is also for other leaves than the guest has run with.
 */
int mv_set_cpuid(struct mv_vcpu *vcpu, struct minivmm_cpuid2 __user *user)
{
	struct minivmm_cpuid_entry2 *entries = NULL;
	u32 nent, i;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (nent > MV_MAX_CPUID)
		return -E2BIG;
	if (nent) {
		entries = vmemdup_user(user->entries,
				       array_size(nent, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	if (!valid_entries(entries, nent)) {
		kvfree(entries);
		return -EINVAL;
	}
	for (i = 0; i < nent; i++)
		memset(entries[i].padding, 0, sizeof(entries[i].padding));

	if (vcpu->has_run)
		return confirm(vcpu, entries, nent);
	kvfree(vcpu->cpuid.entries);
	use_entries(vcpu, entries, nent);
	derive(vcpu);
	mv_cpuid_update(vcpu);
	return 0;
}

/**
 * mv_get_cpuid() - MINIVMM_GET_CPUID2
 * @vcpu: the vCPU
 * @user: nent in: entries there is room for; out: entries written
 *
 * Context: may sleep. Return: 0, -E2BIG, -EFAULT.
 */
int mv_get_cpuid(struct mv_vcpu *vcpu, struct minivmm_cpuid2 __user *user)
{
	size_t size = array_size(vcpu->cpuid.nent,
				 sizeof(*vcpu->cpuid.entries));
	u32 nent;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (nent < vcpu->cpuid.nent)
		return -E2BIG;
	if (copy_to_user(user->entries, vcpu->cpuid.entries, size) ||
	    put_user(vcpu->cpuid.nent, &user->nent))
		return -EFAULT;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's x87, SSE and extended state.
 *
 * While a vCPU is outside the run section its state lies in one page in the
 * standard XSAVE format (SDM vol. 1, 13.4), always complete: also a component
 * in its initial configuration has its bytes there. XSAVE keeps it so; XSAVEOPT
 * and XSAVEC would not.
 *
 * What comes from user space is checked before it reaches the page, so XRSTOR
 * never faults.
 */
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "compat.h"
#include "core.h"

/* User states that a guest can have; no supervisor state, no AMX, no MPX */
#define STATES (XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | \
		XFEATURE_MASK_AVX512 | XFEATURE_MASK_PKRU)
#define NR_STATES	(XFEATURE_PKRU + 1)

#define LEGACY_SIZE	512
#define HEADER_SIZE	64
#define FCW_INITIAL	0x37f

/* The mask of CPUs whose FXSAVE writes 0 for it (SDM vol. 1, 11.6.6) */
#define MXCSR_MASK_DEFAULT	0xffbf

/*
 * The CPU's layout: constant from module load on
 * @xcr0: the host's XCR0; 0 if it does not use XSAVE
 * @xss: the host's IA32_XSS; 0 if it does not use XSAVES
 * @features: the states among them that a guest can have
 * @mxcsr_mask: bits of MXCSR that are not reserved
 * @state: where each component lies, from CPUID leaf 0DH
 */
static struct {
	u64 xcr0;
	u64 xss;
	u64 features;
	u32 mxcsr_mask;
	struct {
		u32 offset;
		u32 size;
		bool align64;
	} state[NR_STATES];
} layout __ro_after_init;

static void xsave(void *area, u64 states)
{
	asm volatile("xsave64 (%0)"
		     : : "r" (area), "a" (lower_32_bits(states)),
			 "d" (upper_32_bits(states)) : "memory");
}

static void xrstor(const void *area, u64 states)
{
	asm volatile("xrstor64 (%0)"
		     : : "r" (area), "a" (lower_32_bits(states)),
			 "d" (upper_32_bits(states)) : "memory");
}

static void write_xss(u64 states)
{
	native_wrmsr(MSR_IA32_XSS, lower_32_bits(states), upper_32_bits(states));
}

static void fxsave(void *area)
{
	asm volatile("fxsave64 (%0)" : : "r" (area) : "memory");
}

static void fxrstor(const void *area)
{
	asm volatile("fxrstor64 (%0)" : : "r" (area) : "memory");
}

static void __init find_states(void)
{
	u64 features = layout.xcr0 & STATES;
	unsigned int i;

	if (!cpu_feature_enabled(X86_FEATURE_OSPKE))
		features &= ~XFEATURE_MASK_PKRU;

	for (i = 2; i < NR_STATES; i++) {
		u32 size, offset, ecx, edx;

		if (!(features & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &size, &offset, &ecx, &edx);
		if (offset >= PAGE_SIZE || size > PAGE_SIZE - offset) {
			features &= ~BIT_ULL(i);
			continue;
		}
		layout.state[i].offset = offset;
		layout.state[i].size = size;
		layout.state[i].align64 = ecx & BIT(1);
	}

	/* XCR0 takes AVX-512 whole, and on top of AVX (SDM vol. 1, 13.3). */
	if ((features & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512 ||
	    !(features & XFEATURE_MASK_YMM))
		features &= ~XFEATURE_MASK_AVX512;
	layout.features = features;
}

/**
 * mv_fpu_init() - learn the CPU's layout of extended state
 *
 * Context: module load, before everything else here.
 * Return: 0 or -ENOMEM.
 */
int __init mv_fpu_init(void)
{
	struct fxregs_state *fx = (void *)get_zeroed_page(GFP_KERNEL);

	if (!fx)
		return -ENOMEM;
	kernel_fpu_begin();
	fxsave(fx);
	kernel_fpu_end();
	layout.mxcsr_mask = fx->mxcsr_mask ?: MXCSR_MASK_DEFAULT;
	free_page((unsigned long)fx);

	if (boot_cpu_has(X86_FEATURE_OSXSAVE)) {
		layout.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		find_states();
	}
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		layout.xss = native_read_msr(MSR_IA32_XSS);
	return 0;
}

/**
 * mv_fpu_features() - what a guest's XCR0 can hold
 *
 * Return: state components as in XCR0; 0 if this host does without XSAVE.
 */
u64 mv_fpu_features(void)
{
	return layout.features;
}

/**
 * mv_fpu_size() - bytes of an XSAVE area
 * @features: the components in it, of those in mv_fpu_features()
 * @compacted: in the compacted format, not the standard one
 *
 * Return: its size as CPUID leaf 0DH reports it (SDM vol. 1, 13.4.3).
 */
u32 mv_fpu_size(u64 features, bool compacted)
{
	u32 size = LEGACY_SIZE + HEADER_SIZE;
	unsigned int i;

	for (i = 2; i < NR_STATES; i++) {
		if (!(features & layout.features & BIT_ULL(i)))
			continue;
		if (!compacted) {
			size = max(size, layout.state[i].offset +
					 layout.state[i].size);
			continue;
		}
		if (layout.state[i].align64)
			size = ALIGN(size, 64);
		size += layout.state[i].size;
	}
	return size;
}

/**
 * mv_fpu_pkru() - the guest's protection key rights
 * @vcpu: outside the run section
 *
 * Return: PKRU.
 */
u32 mv_fpu_pkru(const struct mv_vcpu *vcpu)
{
	if (!(layout.features & XFEATURE_MASK_PKRU))
		return 0;
	return *(const u32 *)(vcpu->fpu + layout.state[XFEATURE_PKRU].offset);
}

/*
 * Writes the initial configuration of each component that the header says is
 * in it (SDM vol. 1, 13.6). MXCSR has no such bit: XRSTOR always loads it.
 */
static void complete_area(struct xregs_state *area)
{
	u64 initial = ~area->header.xfeatures;
	struct fxregs_state *fx = &area->i387;
	unsigned int i;

	if (initial & XFEATURE_MASK_FP) {
		fx->cwd = FCW_INITIAL;
		fx->swd = 0;
		fx->twd = 0;
		fx->fop = 0;
		fx->rip = 0;
		fx->rdp = 0;
		memset(fx->st_space, 0, sizeof(fx->st_space));
	}
	if (initial & XFEATURE_MASK_SSE)
		memset(fx->xmm_space, 0, sizeof(fx->xmm_space));
	for (i = 2; i < NR_STATES; i++) {
		if (initial & BIT_ULL(i))
			memset((void *)area + layout.state[i].offset, 0,
			       layout.state[i].size);
	}
	if (!layout.xcr0)
		area->header.xfeatures = XFEATURE_MASK_FPSSE;
}

/**
 * mv_fpu_create() - the FPU of a new vCPU, as after FNINIT
 * @vcpu: the vCPU
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_fpu_create(struct mv_vcpu *vcpu)
{
	struct xregs_state *area;

	area = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!area)
		return -ENOMEM;
	area->i387.mxcsr = MXCSR_DEFAULT;
	complete_area(area);
	area->header.xfeatures = XFEATURE_MASK_FPSSE;
	vcpu->fpu = area;
	return 0;
}

/**
 * mv_fpu_destroy() - free it
 * @vcpu: the vCPU
 */
void mv_fpu_destroy(struct mv_vcpu *vcpu)
{
	free_page((unsigned long)vcpu->fpu);
}

/**
 * mv_fpu_enter() - the guest's state into the CPU
 * @vcpu: the vCPU
 *
 * The CPU refuses to move states that XCR0 leaves out, so all moves happen
 * under the host's XCR0; the guest's is in force only between this and
 * mv_fpu_leave(). So is its IA32_XSS, which is 0: its XSAVES must not show it the
 * host's supervisor states (SDM vol. 1, 13.11). PKRU is not for
 * kernel_fpu_begin() to save: the kernel keeps it in the CPU from one system
 * call to the next.
 *
 * Context: interrupts off, between kernel_fpu_begin() and kernel_fpu_end().
 */
void mv_fpu_enter(struct mv_vcpu *vcpu)
{
	if (unlikely(!layout.xcr0)) {
		fxrstor(vcpu->fpu);
		return;
	}
	if (layout.features & XFEATURE_MASK_PKRU)
		vcpu->host_pkru = rdpkru();
	xrstor(vcpu->fpu, layout.features);
	if (vcpu->xcr0 != layout.xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(layout.xss) && vcpu->cpuid.xsaves)
		write_xss(0);
}

/**
 * mv_fpu_leave() - the guest's state out of the CPU
 * @vcpu: the vCPU
 *
 * Context: as mv_fpu_enter(), which came before on the same CPU.
 */
void mv_fpu_leave(struct mv_vcpu *vcpu)
{
	if (unlikely(!layout.xcr0)) {
		fxsave(vcpu->fpu);
		return;
	}
	if (unlikely(layout.xss) && vcpu->cpuid.xsaves)
		write_xss(layout.xss);
	if (vcpu->xcr0 != layout.xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, layout.xcr0);
	xsave(vcpu->fpu, layout.features);
	if ((layout.features & XFEATURE_MASK_PKRU) &&
	    mv_fpu_pkru(vcpu) != vcpu->host_pkru)
		wrpkru(vcpu->host_pkru);
}

/**
 * mv_get_fpu() - MINIVMM_GET_FPU
 * @vcpu: the vCPU
 * @fpu: filled in
 */
void mv_get_fpu(struct mv_vcpu *vcpu, struct minivmm_fpu *fpu)
{
	const struct fxregs_state *fx = vcpu->fpu;

	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
}

/**
 * mv_set_fpu() - MINIVMM_SET_FPU
 * @vcpu: the vCPU; states other than x87 and SSE stay
 * @fpu: what the client wants
 *
 * Return: 0; -EINVAL for reserved bits in MXCSR, with nothing changed.
 */
int mv_set_fpu(struct mv_vcpu *vcpu, const struct minivmm_fpu *fpu)
{
	struct xregs_state *area = vcpu->fpu;
	struct fxregs_state *fx = &area->i387;

	if (fpu->mxcsr & ~layout.mxcsr_mask)
		return -EINVAL;
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->mxcsr = fpu->mxcsr;
	area->header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}

/**
 * mv_get_xsave() - MINIVMM_GET_XSAVE
 * @vcpu: the vCPU
 * @user: struct minivmm_xsave
 *
 * Context: may sleep. Return: 0 or -EFAULT.
 */
int mv_get_xsave(struct mv_vcpu *vcpu, void __user *user)
{
	BUILD_BUG_ON(sizeof(struct minivmm_xsave) != PAGE_SIZE);

	return copy_to_user(user, vcpu->fpu, PAGE_SIZE) ? -EFAULT : 0;
}

/* Everything that makes XRSTOR of the standard format fault (SDM, XRSTOR) */
static bool xrstor_accepts(const struct xregs_state *area)
{
	u64 features = layout.features ?: XFEATURE_MASK_FPSSE;
	const struct xstate_header *header = &area->header;

	return !(header->xfeatures & ~features) && !header->xcomp_bv &&
	       !memchr_inv(header->reserved, 0, sizeof(header->reserved)) &&
	       !(area->i387.mxcsr & ~layout.mxcsr_mask);
}

/**
 * mv_set_xsave() - MINIVMM_SET_XSAVE
 * @vcpu: the vCPU
 * @user: struct minivmm_xsave
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENOMEM; -EINVAL for what no CPU state can be: unknown
 * components, the compacted format, reserved bits. Nothing changed on error.
 */
int mv_set_xsave(struct mv_vcpu *vcpu, void __user *user)
{
	struct xregs_state *area = memdup_user(user, PAGE_SIZE);
	int err = -EINVAL;

	if (IS_ERR(area))
		return PTR_ERR(area);
	if (xrstor_accepts(area)) {
		complete_area(area);
		memcpy(vcpu->fpu, area, PAGE_SIZE);
		err = 0;
	}
	kfree(area);
	return err;
}

/**
 * mv_get_xcrs() - MINIVMM_GET_XCRS
 * @vcpu: the vCPU
 * @xcrs: filled in: XCR0, the only one there is; nothing without XSAVE
 */
void mv_get_xcrs(struct mv_vcpu *vcpu, struct minivmm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!layout.xcr0)
		return;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
}

/**
 * mv_set_xcrs() - MINIVMM_SET_XCRS
 * @vcpu: the vCPU
 * @xcrs: the registers to set
 *
 * Return: 0; -EINVAL for anything but a valid XCR0, with nothing changed.
 */
int mv_set_xcrs(struct mv_vcpu *vcpu, const struct minivmm_xcrs *xcrs)
{
	u64 xcr0 = vcpu->xcr0;
	u32 i;

	if (!layout.xcr0 || xcrs->nr_xcrs > MINIVMM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK ||
		    !mv_valid_xcr0(vcpu, xcrs->xcrs[i].value))
			return -EINVAL;
		xcr0 = xcrs->xcrs[i].value;
	}
	vcpu->xcr0 = xcr0;
	mv_cpuid_update(vcpu);
	return 0;
}

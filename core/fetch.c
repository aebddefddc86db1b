// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes of the instruction at RIP, as the CPU would fetch them: through CS
 * and the guest's page tables.
 *
 * A driver of the guest's executes the same few instructions again and again,
 * and walking to them is most of the work. So the last walks are remembered,
 * with all that they depended on, and not repeated while that is the same. The
 * guest can change its page tables at any time and need not tell anybody, so
 * their entries are read and compared each time, like the bytes themselves. The
 * result is that of a new walk, not of a TLB.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "decode.h"
#include "fetch.h"
#include "slots.h"

/* The linear address of RIP, and how many bytes CS has from there */
static unsigned int code_range(const struct mv_vcpu *vcpu, unsigned int max,
			       u64 *gva)
{
	const struct mv_segment *cs = &vcpu->seg[MV_CS];
	u32 eip = vcpu->rip;

	if (mv_is_64bit(vcpu)) {
		*gva = vcpu->rip;
		return max;
	}
	*gva = (u32)(cs->base + eip);
	if (eip > cs->limit)
		return 0;
	return min_t(u64, max, (u64)cs->limit - eip + 1);
}

/* RIP is outside CS. In real mode there are no error codes. */
static int outside_segment(const struct mv_vcpu *vcpu, struct mv_fault *fault)
{
	*fault = (struct mv_fault) {
		.vector = X86_TRAP_GP,
		.has_error = vcpu->cr0 & X86_CR0_PE,
	};
	return -EFAULT;
}

static u32 fetch_access(struct mv_vcpu *vcpu)
{
	return MV_ACCESS_FETCH | mv_cpl_access(vcpu);
}

/**
 * mv_fetch_insn() - the bytes of the instruction at RIP
 * @vcpu: the vCPU
 * @buf: where to
 * @max: how many at most
 * @fault: what the guest must get for -EFAULT
 *
 * An instruction may be shorter than @max and the page after it missing, so
 * only a first byte that cannot be had is an error.
 *
 * Context: may sleep, unless page faults are disabled and MV_STATE_CODE and
 * MV_STATE_CRS are valid: then it also fails where it had to.
 * Return: bytes read, -EFAULT, -ENXIO where there is no RAM.
 */
int mv_fetch_insn(struct mv_vcpu *vcpu, u8 *buf, unsigned int max,
		  struct mv_fault *fault)
{
	u32 access = fetch_access(vcpu);
	unsigned int len, first;
	struct mv_fault later;
	u64 gva;
	int err;

	len = code_range(vcpu, max, &gva);
	if (!len)
		return outside_segment(vcpu, fault);

	first = min_t(u64, len, PAGE_SIZE - offset_in_page(gva));
	err = mv_read_gva(vcpu, gva, buf, first, access, fault);
	if (err)
		return err;
	if (first < len &&
	    mv_read_gva(vcpu, gva + first, buf + first, len - first, access,
			&later))
		len = first;
	return len;
}

/* ---- again ------------------------------------------------------------------ */

/* Is all but what lies in the guest's memory as it was? */
static bool same_registers(const struct mv_vcpu *vcpu,
			   const struct mv_code_page *page, u64 gva, u32 access)
{
	return page->hva && page->gva == ((gva & PAGE_MASK) | access) &&
	       page->cr3 == vcpu->cr3 && page->cr0 == vcpu->cr0 &&
	       page->cr4 == vcpu->cr4 && page->efer == vcpu->efer &&
	       page->slots_gen == READ_ONCE(vcpu->vm->slots->gen);
}

/*
 * The entries first, then the bytes, as the CPU does. All addresses are a slot's,
 * which was checked to be the client's when it was made.
 */
static bool read_if_same(const struct mv_code_page *page, u64 gva, u64 bytes[2])
{
	const u64 __user *code = (void __user *)(page->hva +
						 offset_in_page(gva));
	const struct mv_path_step *step = page->path.step;
	const struct mv_path_step *end = step + page->path.nr;
	u64 pte;

	if (!user_read_access_begin(code, 2 * sizeof(*code)))
		return false;
	for (; step < end; step++) {
		unsafe_get_user(pte, (u64 __user *)step->hva, differs);
		if (pte != step->pte)
			goto differs;
	}
	unsafe_get_user(bytes[0], code, differs);
	unsafe_get_user(bytes[1], code + 1, differs);
	user_read_access_end();
	return true;

differs:
	user_read_access_end();
	return false;
}

/* Walks, and remembers how if that will be of use. */
static int walk_and_read(struct mv_vcpu *vcpu, struct mv_code_page *page,
			 u64 gva, u32 access, u64 bytes[2],
			 struct mv_fault *fault)
{
	/* before the walk: what it finds may be gone, then it does not count */
	unsigned long gen = READ_ONCE(vcpu->vm->slots->gen);
	unsigned long hva;
	u64 gpa;
	int err;

	page->hva = 0;
	smp_rmb();	/* the generation before the slots: see unlink_slot() */
	err = mv_code_to_gpa(vcpu, gva, access, &gpa, &page->path, fault);
	if (err)
		return err;
	hva = mv_gpa_to_hva(vcpu, gpa, false);
	if (IS_ERR_VALUE(hva) ||
	    get_user(bytes[0], (u64 __user *)hva) ||
	    get_user(bytes[1], (u64 __user *)hva + 1))
		return -ENXIO;
	if (page->path.nr == MV_NO_PATH)
		return 0;
	page->gva = (gva & PAGE_MASK) | access;
	page->cr0 = vcpu->cr0;
	page->cr3 = vcpu->cr3;
	page->cr4 = vcpu->cr4;
	page->efer = vcpu->efer;
	page->slots_gen = gen;
	page->hva = hva & PAGE_MASK;
	return 0;
}

/**
 * mv_fetch_again() - mv_fetch_insn() of whatever is at RIP
 * @vcpu: the vCPU
 * @cache: its own; all zeros in the beginning
 * @bytes: up to MV_INSN_MAX bytes, and zeros behind them
 * @fault: what the guest must get for -EFAULT
 *
 * Context, return: as mv_fetch_insn().
 */
int mv_fetch_again(struct mv_vcpu *vcpu, struct mv_code_cache *cache,
		   u64 bytes[2], struct mv_fault *fault)
{
	u32 access = fetch_access(vcpu);
	struct mv_code_page *page;
	u64 gva;
	int err;

	/* 16 bytes come in one go, unless they would lie in two pages. */
	if (code_range(vcpu, MV_INSN_MAX, &gva) < MV_INSN_MAX ||
	    offset_in_page(gva) > PAGE_SIZE - 16) {
		bytes[0] = 0;
		bytes[1] = 0;
		return mv_fetch_insn(vcpu, (u8 *)bytes, MV_INSN_MAX, fault);
	}
	mv_need(vcpu, MV_STATE_CRS);
	page = &cache->page[(gva >> PAGE_SHIFT) % MV_CODE_PAGES];
	if (!same_registers(vcpu, page, gva, access) ||
	    !read_if_same(page, gva, bytes)) {
		err = walk_and_read(vcpu, page, gva, access, bytes, fault);
		if (err)
			return err;
	}
	bytes[1] &= ~0ULL >> 8;
	return MV_INSN_MAX;
}

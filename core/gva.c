// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's own address translation: segmentation (SDM vol. 3, 3.4, 5.3) and
 * paging (chapter 4), done by us where we read or write what an instruction of
 * the guest's refers to.
 *
 * Page tables are the guest's memory, which it changes while we look; each
 * entry is read once and used as read. Accessed and dirty bits are set with a
 * compare-and-exchange, as the CPU does.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "core.h"

#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)
#define PTE_PKEY(pte)	(((pte) >> 59) & 0xf)

/* #PF error code (SDM 4.7) beside the bits of MV_ACCESS_* */
#define PF_PRESENT	BIT(0)
#define PF_RESERVED	BIT(3)
#define PF_PKEY		BIT(5)

#define MAX_LEVELS	MV_PATH_MAX

/**
 * struct paging - how the guest's paging mode reads its tables
 * @root: guest-physical address of the first table to look into
 * @levels: how many tables there are from there
 * @entry_size: bytes of an entry: 4 or 8
 * @index_bits: address bits that one table translates
 * @reserved: bits that no entry may have
 */
struct paging {
	u64 root;
	u8 levels;
	u8 entry_size;
	u8 index_bits;
	u64 reserved;
};

/**
 * struct walk - one translation under way
 * @gva: what is translated
 * @access: MV_ACCESS_*
 * @mode: the paging mode, once more for each try
 * @pte: the entries used, by level
 * @pte_gpa: where each lies
 * @pte_hva: and where that is in the client
 * @level: the level that maps the page: 1 for 4 KiB
 * @rights: PTE_U, PTE_W and PTE_A if all entries have them, PTE_NX if any has
 * @error: #PF error code when the walk fails
 */
struct walk {
	u64 gva;
	u32 access;
	struct paging mode;
	u64 pte[MAX_LEVELS + 1];
	u64 pte_gpa[MAX_LEVELS + 1];
	unsigned long pte_hva[MAX_LEVELS + 1];
	int level;
	u64 rights;
	u32 error;
};

static bool canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

static u64 bit_range(unsigned int high, unsigned int low)
{
	return high < low ? 0 : GENMASK_ULL(high, low);
}

/* ---- paging ---------------------------------------------------------------- */

static bool protected_mode(const struct mv_vcpu *vcpu)
{
	return vcpu->cr0 & X86_CR0_PE;
}

/**
 * mv_cpl_access() - the access rights of the guest's current privilege level
 * @vcpu: the vCPU; MV_STATE_CODE is fetched
 *
 * Return: MV_ACCESS_USER at CPL 3, else 0. SS.DPL is the CPL (SDM 25.4.1).
 */
u32 mv_cpl_access(struct mv_vcpu *vcpu)
{
	mv_need(vcpu, MV_STATE_CODE);
	return MV_AR_DPL(vcpu->seg[MV_SS].ar) == 3 ? MV_ACCESS_USER : 0;
}

/* Fills in @mode; false: PAE paging with the PDPTE not present */
static bool paging_mode(const struct mv_vcpu *vcpu, u64 gva,
			struct paging *mode)
{
	u64 pdpte;

	if (!(vcpu->cr4 & X86_CR4_PAE)) {
		*mode = (struct paging) {
			.root = vcpu->cr3 & 0xfffff000,
			.levels = 2, .entry_size = 4, .index_bits = 10,
		};
		return true;
	}

	*mode = (struct paging) {
		.entry_size = 8, .index_bits = 9,
		.reserved = bit_range(51, vcpu->cpuid.maxphyaddr),
	};
	if (!(vcpu->efer & EFER_NX))
		mode->reserved |= PTE_NX;
	if (vcpu->efer & EFER_LMA) {
		mode->levels = 4;
		mode->root = vcpu->cr3 & bit_range(51, 12);
		return true;
	}

	/* PAE: bits 62:52 too; the CPU holds the PDPTEs (SDM 4.4.1, 4.4.2). */
	mode->reserved |= bit_range(62, 52);
	mode->levels = 2;
	pdpte = vcpu->pdptr[(gva >> 30) & 3];
	mode->root = pdpte & bit_range(51, 12);
	return pdpte & PTE_P;
}

static unsigned int level_shift(const struct paging *mode, int level)
{
	return 12 + mode->index_bits * (level - 1);
}

static bool is_leaf(const struct mv_vcpu *vcpu, const struct paging *mode,
		    int level, u64 pte)
{
	if (level == 1)
		return true;
	if (level > 3 || !(pte & PTE_PS))
		return false;
	return mode->entry_size == 8 || (vcpu->cr4 & X86_CR4_PSE);
}

/* The address bits above 32 of a 4-MiB page: PSE-36 (SDM 4.3) */
static u64 pse36_high(u64 pte)
{
	return (pte & bit_range(20, 13)) << (32 - 13);
}

static u64 reserved_bits(const struct mv_vcpu *vcpu, const struct paging *mode,
			 int level, u64 pte)
{
	u64 reserved = mode->reserved;

	if (mode->entry_size == 4) {
		unsigned int width = min_t(u8, vcpu->cpuid.maxphyaddr, 40);

		/* bits 20:13 hold address bits 39:32 */
		return level == 2 && is_leaf(vcpu, mode, level, pte) ?
		       bit_range(21, width - 19) : 0;
	}
	if (level == 4)
		return reserved | PTE_PS;
	if (level == 1 || !(pte & PTE_PS))
		return reserved;
	/*
	 * Bits below a large page's address, but for PAT in bit 12. Whether
	 * there are 1-GiB pages is the hardware's to say: it walks the tables
	 * when the guest does.
	 */
	if (level == 3 && !boot_cpu_has(X86_FEATURE_GBPAGES))
		return reserved | PTE_PS;
	return reserved | bit_range(level_shift(mode, level) - 1, 13);
}

static int read_pte(struct mv_vcpu *vcpu, struct walk *w, int level,
		    u64 table)
{
	const struct paging *mode = &w->mode;
	u64 index = w->gva >> level_shift(mode, level);
	u64 gpa;
	unsigned long hva;
	u32 pte32;
	int err;

	index &= BIT(mode->index_bits) - 1;
	gpa = table + index * mode->entry_size;
	w->pte_gpa[level] = gpa;
	hva = mv_gpa_to_hva(vcpu, gpa, false);
	if (IS_ERR_VALUE(hva))
		return -EFAULT;
	w->pte_hva[level] = hva;
	if (mode->entry_size == 8)
		return get_user(w->pte[level], (u64 __user *)hva);
	err = get_user(pte32, (u32 __user *)hva);
	w->pte[level] = pte32;
	return err;
}

/*
 * Down the tables to the page. Nonzero: the error code of the #PF, less the
 * bits of the access. Tables in memory that is not there read as not present:
 * the CPU would read an open bus.
 */
static int walk_tables(struct mv_vcpu *vcpu, struct walk *w)
{
	u64 table = w->mode.root;
	int level;

	w->rights = PTE_U | PTE_W | PTE_A;
	for (level = w->mode.levels; ; level--) {
		u64 pte;

		if (read_pte(vcpu, w, level, table))
			goto not_present;
		pte = w->pte[level];
		if (!(pte & PTE_P))
			goto not_present;
		if (pte & reserved_bits(vcpu, &w->mode, level, pte)) {
			w->error = PF_PRESENT | PF_RESERVED;
			return -EFAULT;
		}
		w->rights &= pte | ~(PTE_U | PTE_W | PTE_A);
		w->rights |= pte & PTE_NX;
		w->level = level;
		if (is_leaf(vcpu, &w->mode, level, pte))
			return 0;
		table = pte & bit_range(51, 12);
	}

not_present:
	w->error = 0;
	return -EFAULT;
}

/*
 * Protection keys hold for data in user-mode pages of 4-level paging, at any
 * privilege level (SDM 4.6.2).
 */
static bool pkey_allows(struct mv_vcpu *vcpu, const struct walk *w)
{
	u32 rights;

	if (!(vcpu->cr4 & X86_CR4_PKE) || !(vcpu->efer & EFER_LMA) ||
	    !(w->rights & PTE_U) || (w->access & MV_ACCESS_FETCH))
		return true;
	rights = mv_fpu_pkru(vcpu) >> (2 * PTE_PKEY(w->pte[w->level]));
	if (rights & BIT(0))	/* access disable */
		return false;
	if (!(rights & BIT(1)) || !(w->access & MV_ACCESS_WRITE))
		return true;
	return !(w->access & MV_ACCESS_USER) && !(vcpu->cr0 & X86_CR0_WP);
}

/* May supervisor mode touch this user-mode page? (SDM 4.6.1) */
static bool supervisor_allows(const struct mv_vcpu *vcpu, const struct walk *w)
{
	if (w->access & MV_ACCESS_FETCH)
		return !(vcpu->cr4 & X86_CR4_SMEP);
	if (!(vcpu->cr4 & X86_CR4_SMAP))
		return true;
	return (vcpu->rflags & X86_EFLAGS_AC) &&
	       !(w->access & MV_ACCESS_IMPLICIT);
}

/* Access rights (SDM 4.6) */
static bool rights_allow(const struct mv_vcpu *vcpu, const struct walk *w)
{
	bool user_page = w->rights & PTE_U;

	/* With NXE clear this is a reserved bit, and does not get here. */
	if ((w->access & MV_ACCESS_FETCH) && (w->rights & PTE_NX))
		return false;
	if (w->access & MV_ACCESS_USER) {
		if (!user_page)
			return false;
	} else if (user_page && !supervisor_allows(vcpu, w)) {
		return false;
	}
	if (!(w->access & MV_ACCESS_WRITE) || (w->rights & PTE_W))
		return true;
	return !(w->access & MV_ACCESS_USER) && !(vcpu->cr0 & X86_CR0_WP);
}

static int check_rights(struct mv_vcpu *vcpu, struct walk *w)
{
	bool pkey = pkey_allows(vcpu, w);

	if (pkey && rights_allow(vcpu, w))
		return 0;
	w->error = PF_PRESENT | (pkey ? 0 : PF_PKEY);
	return -EFAULT;
}

static int cmpxchg_pte32(unsigned long hva, u64 old, u64 new)
{
	u32 __user *ptr = (u32 __user *)hva;
	u32 old32 = old;
	u32 new32 = new;

	if (!access_ok(ptr, sizeof(*ptr)))
		return -EFAULT;
	return __try_cmpxchg_user(ptr, &old32, new32, fault);
}

static int cmpxchg_pte64(unsigned long hva, u64 old, u64 new)
{
	u64 __user *ptr = (u64 __user *)hva;

	if (!access_ok(ptr, sizeof(*ptr)))
		return -EFAULT;
	return __try_cmpxchg_user(ptr, &old, new, fault);
}

/*
 * Sets the accessed bits and, for a write, the page's dirty bit (SDM 4.8).
 * Tables in memory the client cannot write stay as they are.
 *
 * Return: 0, or -EAGAIN if the guest changed an entry: walk again.
 */
static int set_accessed_dirty(struct mv_vcpu *vcpu, const struct walk *w)
{
	int level;

	for (level = w->mode.levels; level >= w->level; level--) {
		u64 old = w->pte[level];
		u64 new = old | PTE_A;
		unsigned long hva;
		int ret;

		if (level == w->level && (w->access & MV_ACCESS_WRITE))
			new |= PTE_D;
		if (new == old)
			continue;
		hva = mv_gpa_to_hva(vcpu, w->pte_gpa[level], true);
		if (IS_ERR_VALUE(hva))
			continue;
		if (w->mode.entry_size == 8)
			ret = cmpxchg_pte64(hva, old, new);
		else
			ret = cmpxchg_pte32(hva, old, new);
		if (ret > 0)
			return -EAGAIN;
		if (!ret)
			mv_mark_dirty(vcpu, w->pte_gpa[level]);
	}
	return 0;
}

static u64 mapped_gpa(const struct walk *w)
{
	unsigned int shift = level_shift(&w->mode, w->level);
	u64 pte = w->pte[w->level];
	u64 gpa = pte & bit_range(51, shift);

	if (w->mode.entry_size == 4) {
		gpa &= U32_MAX;
		if (w->level == 2)
			gpa |= pse36_high(pte);
	}
	return gpa | (w->gva & (BIT_ULL(shift) - 1));
}

static int page_fault(const struct mv_vcpu *vcpu, const struct walk *w,
		      struct mv_fault *fault)
{
	u32 error = w->error;

	error |= w->access & (MV_ACCESS_WRITE | MV_ACCESS_USER);
	/* Fetches are told apart where something forbids them (SDM 4.7). */
	if ((w->access & MV_ACCESS_FETCH) &&
	    ((vcpu->cr4 & X86_CR4_SMEP) ||
	     ((vcpu->cr4 & X86_CR4_PAE) && (vcpu->efer & EFER_NX))))
		error |= MV_ACCESS_FETCH;
	*fault = (struct mv_fault) {
		.vector = X86_TRAP_PF,
		.has_error = true,
		.error = error,
		.address = w->gva,
	};
	return -EFAULT;
}

/* A fault with error code 0; in real mode there are no error codes. */
static int simple_fault(const struct mv_vcpu *vcpu, u8 vector,
			struct mv_fault *fault)
{
	*fault = (struct mv_fault) {
		.vector = vector,
		.has_error = protected_mode(vcpu),
	};
	return -EFAULT;
}

/* One try; -EAGAIN: the tables changed under us. */
static int try_walk(struct mv_vcpu *vcpu, struct walk *w)
{
	int err;

	if (!paging_mode(vcpu, w->gva, &w->mode)) {
		w->error = 0;
		return -EFAULT;
	}
	err = walk_tables(vcpu, w);
	if (!err)
		err = check_rights(vcpu, w);
	if (!err)
		err = set_accessed_dirty(vcpu, w);
	return err;
}

/* How often the guest can win the race for its tables before it gets a fault */
#define MAX_TRIES	64

static int walk_to_gpa(struct mv_vcpu *vcpu, struct walk *w, u64 *gpa,
		       struct mv_fault *fault)
{
	int err = -EAGAIN;
	int i;

	for (i = 0; i < MAX_TRIES && err == -EAGAIN; i++)
		err = try_walk(vcpu, w);
	if (err)
		return page_fault(vcpu, w, fault);
	*gpa = mapped_gpa(w);
	return 0;
}

/* @w->gva and @w->access say what is wanted; the rest stays 0 without paging. */
static int translate(struct mv_vcpu *vcpu, struct walk *w, u64 *gpa,
		     struct mv_fault *fault)
{
	mv_need(vcpu, MV_STATE_CRS);
	if (vcpu->efer & EFER_LMA) {
		if (!canonical(w->gva))
			return simple_fault(vcpu, X86_TRAP_GP, fault);
	} else {
		w->gva = (u32)w->gva;
	}
	if (vcpu->cr0 & X86_CR0_PG)
		return walk_to_gpa(vcpu, w, gpa, fault);
	*gpa = w->gva;
	return 0;
}

/**
 * mv_gva_to_gpa() - translate a linear address as the CPU would for an access
 * @vcpu: the vCPU; what is needed of its state is fetched
 * @gva: linear address
 * @access: MV_ACCESS_*
 * @gpa: the guest-physical address
 * @fault: what the guest must get when that fails
 *
 * Sets accessed and dirty bits in the guest's tables.
 *
 * Context: the client's mm is current. May sleep, unless page faults are disabled
 * and MV_STATE_CRS is valid: then it also fails where it had to.
 * Return: 0, or -EFAULT with @fault filled in.
 */
int mv_gva_to_gpa(struct mv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		  struct mv_fault *fault)
{
	struct walk w = { .gva = gva, .access = access };

	return translate(vcpu, &w, gpa, fault);
}

/**
 * mv_code_to_gpa() - the same for an instruction fetch, and which way it went
 * @vcpu: the vCPU
 * @gva: linear address
 * @access: MV_ACCESS_FETCH, or with MV_ACCESS_USER
 * @gpa: the guest-physical address
 * @path: the entries of the guest's tables
 * @fault: what the guest must get when that fails
 *
 * While CR0, CR3, CR4, EFER, the slots and the entries in @path are what they
 * were, another walk would end at the same address and change nothing in the
 * tables.
 *
 * Context: as mv_gva_to_gpa().
 * Return: 0, with @path->nr MV_NO_PATH if nothing like that can be said: an
 * accessed flag was not set before; or the tables are not those of 4-level
 * paging, for which it is not worth it. Or -EFAULT with @fault filled in.
 */
int mv_code_to_gpa(struct mv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		   struct mv_path *path, struct mv_fault *fault)
{
	struct walk w = { .gva = gva, .access = access };
	int err = translate(vcpu, &w, gpa, fault);
	int level;

	path->nr = 0;
	if (err || !(vcpu->cr0 & X86_CR0_PG))
		return err;
	if (!(vcpu->efer & EFER_LMA) || !(w.rights & PTE_A)) {
		path->nr = MV_NO_PATH;
		return 0;
	}
	for (level = w.mode.levels; level >= w.level; level--) {
		path->step[path->nr].hva = w.pte_hva[level];
		path->step[path->nr++].pte = w.pte[level];
	}
	return 0;
}

/**
 * mv_translate() - MINIVMM_TRANSLATE
 * @vcpu: the vCPU
 * @tr: linear_address in, the rest out
 *
 * For debuggers: checks no access rights and changes nothing in the guest. As
 * in KVM, writeable and usermode are constant.
 *
 * Context: may sleep. Return: 0.
 */
int mv_translate(struct mv_vcpu *vcpu, struct minivmm_translation *tr)
{
	struct walk w = { .gva = tr->linear_address };
	bool valid;

	mv_need(vcpu, MV_STATE_CRS);
	if (!(vcpu->efer & EFER_LMA))
		w.gva = (u32)w.gva;

	tr->physical_address = w.gva;
	valid = canonical(w.gva);
	if (valid && (vcpu->cr0 & X86_CR0_PG)) {
		valid = paging_mode(vcpu, w.gva, &w.mode) &&
			!walk_tables(vcpu, &w);
		if (valid)
			tr->physical_address = mapped_gpa(&w);
	}
	if (!valid)
		tr->physical_address = ~0ULL;
	tr->valid = valid;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

/* ---- memory through it ------------------------------------------------------ */

static unsigned int left_in_page(u64 gva, unsigned int len)
{
	return min_t(u64, len, PAGE_SIZE - (gva & ~PAGE_MASK));
}

/*
 * Memory of the client's that fails is no fault of the guest's: for it, too,
 * there is no RAM.
 */
static int no_ram(int err)
{
	return err ? -ENXIO : 0;
}

/**
 * mv_read_gva() - read guest memory at a linear address
 * @vcpu: the vCPU
 * @gva: linear address; the range may cross pages
 * @data: where to
 * @len: bytes
 * @access: MV_ACCESS_*
 * @fault: what the guest must get for -EFAULT
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENXIO where there is no RAM.
 */
int mv_read_gva(struct mv_vcpu *vcpu, u64 gva, void *data, unsigned int len,
		u32 access, struct mv_fault *fault)
{
	while (len) {
		unsigned int part = left_in_page(gva, len);
		u64 gpa;
		int err;

		err = mv_gva_to_gpa(vcpu, gva, access, &gpa, fault);
		if (err)
			return err;
		err = no_ram(mv_read_gpa(vcpu, gpa, data, part));
		if (err)
			return err;
		gva += part;
		data += part;
		len -= part;
	}
	return 0;
}

/* Would a write to all of it go through? Only then may its first byte. */
static int check_write(struct mv_vcpu *vcpu, u64 gva, unsigned int len,
		       u32 access, struct mv_fault *fault)
{
	while (len) {
		unsigned int part = left_in_page(gva, len);
		u64 gpa;
		int err;

		err = mv_gva_to_gpa(vcpu, gva, access, &gpa, fault);
		if (err)
			return err;
		if (IS_ERR_VALUE(mv_gpa_to_hva(vcpu, gpa, true)))
			return -ENXIO;
		gva += part;
		len -= part;
	}
	return 0;
}

/**
 * mv_write_gva() - write guest memory at a linear address
 * @vcpu: the vCPU
 * @gva: linear address; the range may cross pages
 * @data: where from
 * @len: bytes
 * @access: MV_ACCESS_*; MV_ACCESS_WRITE is understood
 * @fault: what the guest must get for -EFAULT
 *
 * A fault in a later page leaves the earlier ones unwritten.
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENXIO where there is no RAM or it is read-only.
 */
int mv_write_gva(struct mv_vcpu *vcpu, u64 gva, const void *data,
		 unsigned int len, u32 access, struct mv_fault *fault)
{
	int err;

	access |= MV_ACCESS_WRITE;
	if (left_in_page(gva, len) != len) {
		err = check_write(vcpu, gva, len, access, fault);
		if (err)
			return err;
	}
	while (len) {
		unsigned int part = left_in_page(gva, len);
		u64 gpa;

		err = mv_gva_to_gpa(vcpu, gva, access, &gpa, fault);
		if (err)
			return err;
		err = no_ram(mv_write_gpa(vcpu, gpa, data, part));
		if (err)
			return err;
		gva += part;
		data += part;
		len -= part;
	}
	return 0;
}

/* ---- segmentation ------------------------------------------------------------ */

/* 64-bit mode: FS and GS have a base; nothing has a limit (SDM 3.4.4). */
static bool linearize_64(const struct mv_vcpu *vcpu, enum mv_seg seg,
			 u64 offset, unsigned int len, u64 *gva)
{
	*gva = offset;
	if (seg == MV_FS || seg == MV_GS)
		*gva += vcpu->seg[seg].base;
	/* An access that goes past the end of the space is not canonical. */
	return canonical(*gva) && canonical(*gva + len - 1);
}

/* Code is never written, and read only if it is readable (SDM 5.5). */
static bool type_allows(const struct mv_segment *s, bool write)
{
	bool code = s->ar & BIT(3);
	bool bit1 = s->ar & BIT(1);	/* readable code, writable data */

	if (s->ar & MV_AR_UNUSABLE)
		return false;
	return write ? !code && bit1 : !code || bit1;
}

static bool limit_allows(const struct mv_segment *s, u64 offset,
			 unsigned int len)
{
	bool expand_down = (s->ar & (BIT(3) | BIT(2))) == BIT(2);
	u64 last = offset + len - 1;

	if (!expand_down)
		return last <= s->limit;
	return offset > s->limit &&
	       last <= (s->ar & MV_AR_DB ? U32_MAX : U16_MAX);
}

/**
 * mv_linear_state() - what mv_linearize() takes of the vCPU's state
 * @vcpu: the vCPU; MV_STATE_CODE is valid
 * @seg: the segment
 *
 * Return: state groups beside MV_STATE_CODE.
 */
u32 mv_linear_state(const struct mv_vcpu *vcpu, enum mv_seg seg)
{
	u32 group = 0;

	if (seg == MV_FS || seg == MV_GS)
		group = MV_STATE_FSGS;
	if (mv_is_64bit(vcpu))
		return group;
	if (seg == MV_DS || seg == MV_ES)
		group = MV_STATE_DATA;
	return group | MV_STATE_CRS;
}

/**
 * mv_linearize() - the linear address of an operand
 * @vcpu: the vCPU; what is needed of its state is fetched
 * @seg: the segment the instruction uses
 * @offset: effective address, cut to the address size
 * @len: bytes that will be accessed, at least 1
 * @write: will they be written?
 * @gva: the linear address
 * @fault: #SS for the stack segment, else #GP
 *
 * Return: 0, or -EFAULT with @fault filled in.
 */
int mv_linearize(struct mv_vcpu *vcpu, enum mv_seg seg, u64 offset,
		 unsigned int len, bool write, u64 *gva,
		 struct mv_fault *fault)
{
	const struct mv_segment *s = &vcpu->seg[seg];
	bool ok;

	mv_need(vcpu, MV_STATE_CODE);
	mv_need(vcpu, mv_linear_state(vcpu, seg));
	if (mv_is_64bit(vcpu)) {
		ok = linearize_64(vcpu, seg, offset, len, gva);
	} else {
		ok = limit_allows(s, offset, len);
		/* Real and virtual-8086 mode know limits only (SDM 21.1.1). */
		if (protected_mode(vcpu) && !(vcpu->rflags & X86_EFLAGS_VM))
			ok = ok && type_allows(s, write);
		*gva = (u32)(s->base + offset);
	}
	if (ok)
		return 0;
	return simple_fault(vcpu, seg == MV_SS ? X86_TRAP_SS : X86_TRAP_GP,
			    fault);
}

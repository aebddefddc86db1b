// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that the host has in place, as its page tables have them.
 *
 * The tables are walked without a lock: interrupts off keep them from being
 * freed, as in get_user_pages_fast(). Unlike there, no reference is taken. What
 * is found may be gone at once; before it goes the MMU notifier hears of it, and
 * who looked here maps nothing then (mmu.c). So whatever the guest gets is, at
 * that moment, still where the host's tables say.
 */
#include <linux/mm.h>
#include "compat.h"
#include "host_pages.h"

/*
 * Not for us to take from here: what has no struct page; what a protection key
 * guards, since the guest's PKRU may be loaded.
 */
#define NOT_PLAIN	(_PAGE_SPECIAL | MV_PAGE_DEVMAP | _PAGE_PKEY_MASK)

/**
 * struct leaf - an entry of the host's page tables
 * @value: 0: there is none
 * @level: the size of what it maps
 * @pte: where it is, on level 0
 */
struct leaf {
	pteval_t value;
	int level;
	pte_t *pte;
};

/* Interrupts are off. */
static struct leaf find_leaf(struct mm_struct *mm, unsigned long hva)
{
	struct leaf leaf = {};
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		return leaf;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return leaf;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		return leaf;
	if (pud_leaf(pud))
		return (struct leaf) { pud_val(pud), 2 };
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd))
		return leaf;
	if (pmd_leaf(pmd))
		return (struct leaf) { pmd_val(pmd), 1 };
	leaf.pte = pte_offset_kernel(&pmd, hva);
	leaf.value = pte_val(ptep_get(leaf.pte));
	return leaf;
}

/* Nothing but pages of one large page is asked for. */
static void take_large(struct mv_host_pages *pages, const struct leaf *leaf,
		       unsigned int min, unsigned int max)
{
	u64 mask = MV_LEVEL_PAGES(leaf->level) - 1;
	u64 pfn = (leaf->value & PTE_PFN_MASK) >> PAGE_SHIFT;
	unsigned int i;

	pfn = (pfn & ~mask) + ((pages->hva >> PAGE_SHIFT) & mask) -
	      mv_place_in_block(pages->gfn);
	for (i = min; i <= max; i++)
		pages->pfn[i] = pfn + i;
	pages->first = min;
	pages->last = max;
}

/*
 * The page and its neighbours, as far as they are like it: accessed or not is all
 * the difference there may be.
 */
static void take_small(struct mv_host_pages *pages, const struct leaf *leaf,
		       unsigned int min, unsigned int max)
{
	const pteval_t frame = PTE_PFN_MASK;
	const pteval_t flags = ~(frame | _PAGE_ACCESSED | _PAGE_SOFT_DIRTY);
	unsigned int place = mv_place_in_block(pages->gfn), i;
	const pte_t *block = leaf->pte - place;
	pteval_t value = leaf->value;

	for (i = place; ; value = native_pte_val(READ_ONCE(block[++i]))) {
		if ((value ^ leaf->value) & flags)
			break;
		pages->pfn[i] = (value & frame) >> PAGE_SHIFT;
		pages->last = i;
		if (i == max)
			break;
	}
	for (i = place; i > min; i--) {
		value = native_pte_val(READ_ONCE(block[i - 1]));
		if ((value ^ leaf->value) & flags)
			break;
		pages->pfn[i - 1] = (value & frame) >> PAGE_SHIFT;
	}
	pages->first = i;
}

static bool look_up(struct mm_struct *mm, struct mv_host_pages *pages,
		    unsigned int min, unsigned int max)
{
	pteval_t need = _PAGE_PRESENT | _PAGE_USER;
	struct leaf leaf = find_leaf(mm, pages->hva);

	if (pages->wrote)
		need |= _PAGE_RW;
	if ((leaf.value & (need | NOT_PLAIN)) != need)
		return false;
	pages->level = leaf.level;
	pages->writable = leaf.value & _PAGE_RW;
	pages->clean = !(leaf.value & _PAGE_DIRTY);
	pages->uncached = false;
	if (leaf.level)
		take_large(pages, &leaf, min, max);
	else
		take_small(pages, &leaf, min, max);
	return true;
}

/**
 * mv_pages_in_place() - the page of a fault and its neighbours
 * @mm: the client's
 * @pages: @gfn, @hva, @wrote say which; the rest, but for @slot and @seq, is
 *	filled in. A page that the client may write is @writable even for a read,
 *	which saves the fault of the first write
 * @min: pages of the block may be taken from this one …
 * @max: … to this one, which share a page table, or a large page
 *
 * Context: any, but @mm's user must not be leaving it.
 * Return: false if the page is not there, or not for this access, or is none that
 * can be had this way.
 */
bool mv_pages_in_place(struct mm_struct *mm, struct mv_host_pages *pages,
		       unsigned int min, unsigned int max)
{
	unsigned long flags;
	bool found;

	local_irq_save(flags);
	found = look_up(mm, pages, min, max);
	local_irq_restore(flags);
	return found;
}

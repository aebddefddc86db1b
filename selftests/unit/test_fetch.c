// SPDX-License-Identifier: GPL-2.0
/*
 * core/fetch.c remembers walks. Whatever the guest or its client change between
 * two fetches, the bytes, the fault and the accessed flags in the tables must be
 * those of a new walk, core/gva.c's. So: one change at random or none, fetch
 * both ways from the same memory, compare.
 */
#include <linux/kernel.h>
#include <stdio.h>

#include "core.h"
#include "decode.h"
#include "fetch.h"
#include "kselftest.h"
#include "rand.h"
#include "slots.h"

#define SAMPLES		500000

/* Guest-physical pages: two tables of each level, then code */
#define NR_PAGES	16
#define NR_TABLES	8
#define PTE_SANE	0x07ULL		/* present, writable, user */
#define PTE_A		0x20ULL
#define PTE_PS		0x80ULL

static u64 mem[NR_PAGES][PAGE_SIZE / 8] __attribute__((aligned(4096)));
static u64 before[NR_PAGES][PAGE_SIZE / 8], after[NR_PAGES][PAGE_SIZE / 8];
static unsigned int where[NR_PAGES];	/* the client has it in this page of mem */
static bool no_slot[NR_PAGES];		/* of guest-physical pages */
static bool away[NR_PAGES], fixed[NR_PAGES];	/* of the client's: lost, read-only */

static struct mv_slots slots;
static struct mv_vm vm = { .slots = &slots };
static struct mv_vcpu vcpu = { .vm = &vm, .valid = MV_STATE_LAZY };
static unsigned int lookups;

static const struct mv_ops no_ops;
const struct mv_ops *mv_ops = &no_ops;

/* ------------------------------------------------------------------------ */
/* The kernel that gva.c and fetch.c see                                     */

unsigned long mv_gpa_to_hva(struct mv_vcpu *v, u64 gpa, bool write)
{
	u64 page = gpa / PAGE_SIZE;

	lookups++;
	if (page >= NR_PAGES || no_slot[page])
		return -ENXIO;
	return (unsigned long)mem[where[page]] + offset_in_page(gpa);
}

static unsigned int page_at(unsigned long hva)
{
	return (hva - (unsigned long)mem) / PAGE_SIZE;
}

bool user_page_lost(const void *p)
{
	return away[page_at((unsigned long)p)];
}

bool user_page_fixed(const void *p)
{
	return fixed[page_at((unsigned long)p)] || user_page_lost(p);
}

int mv_read_gpa(struct mv_vcpu *v, u64 gpa, void *data, unsigned int len)
{
	unsigned long hva = mv_gpa_to_hva(v, gpa, false);

	if (IS_ERR_VALUE(hva))
		return -ENXIO;
	if (user_page_lost((void *)hva))
		return -EFAULT;
	memcpy(data, (void *)hva, len);
	return 0;
}

int mv_write_gpa(struct mv_vcpu *v, u64 gpa, const void *data, unsigned int len)
{
	abort();
}

void mv_mark_dirty(struct mv_vcpu *v, u64 gpa)
{
}

u32 mv_fpu_pkru(const struct mv_vcpu *v)
{
	return 0;
}

/* ------------------------------------------------------------------------ */
/* What changes                                                              */

static u64 sane_entry(u64 *rand, unsigned int table)
{
	/* to one of the next level: of a pair of tables, or to code */
	u64 next = (table / 2 + 1) * 2 + rand_below(rand, 2);

	if (table / 2 == 3)
		next = NR_TABLES + rand_below(rand, NR_PAGES - NR_TABLES);
	return next * PAGE_SIZE | PTE_SANE |
	       (rand_percent(rand, 75) ? PTE_A : 0);
}

static void change_entry(u64 *rand)
{
	static const u8 bits[] = { 0, 1, 2, 5, 6, 7, 12, 13, 51, 63 };
	unsigned int table = rand_below(rand, NR_TABLES);
	u64 *entry = &mem[where[table]][rand_below(rand, 2)];

	if (rand_percent(rand, 70))
		*entry = sane_entry(rand, table);
	else
		*entry ^= 1ULL << bits[rand_below(rand, ARRAY_SIZE(bits))];
}

static void change_code(u64 *rand)
{
	u8 *page = (u8 *)mem[NR_TABLES + rand_below(rand, NR_PAGES - NR_TABLES)];

	page[(vcpu.rip + rand_below(rand, 17)) % PAGE_SIZE] = rand64(rand);
}

static void change_rip(u64 *rand)
{
	u64 page = rand_below(rand, 2) | (u64)rand_below(rand, 2) << 9;

	vcpu.rip = page * PAGE_SIZE +
		   (rand_percent(rand, 90) ? 64 * rand_below(rand, 4) :
					     PAGE_SIZE - rand_below(rand, 20));
	if (rand_percent(rand, 1))
		vcpu.rip |= 1ULL << 63;
}

static void change_mode(u64 *rand)
{
	static const u64 cr4_bits[] = {
		X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PSE, X86_CR4_PGE,
		X86_CR4_PAE,
	};

	switch (rand_below(rand, 7)) {
	case 0:
		vcpu.cr3 = rand_below(rand, 2) * PAGE_SIZE;
		break;
	case 1:
		vcpu.cr4 ^= cr4_bits[rand_below(rand, ARRAY_SIZE(cr4_bits))];
		break;
	case 2:
		vcpu.efer ^= EFER_NX;
		break;
	case 3:
		vcpu.efer ^= EFER_LMA;
		break;
	case 4:
		vcpu.cr0 ^= rand_percent(rand, 50) ? X86_CR0_PG : X86_CR0_WP;
		break;
	case 5:
		vcpu.seg[MV_SS].ar ^= 3 << 5;
		break;
	case 6:
		vcpu.seg[MV_CS].ar ^= MV_AR_L;
		break;
	}
	vcpu.pdptr[0] = (2 + rand_below(rand, 2)) * PAGE_SIZE | 1;
}

/* Back to where most samples should be: 4-level paging, 64-bit code */
static void usual_mode(void)
{
	vcpu.cr0 = X86_CR0_PG | X86_CR0_PE;
	vcpu.cr3 = 0;
	vcpu.cr4 = X86_CR4_PAE;
	vcpu.efer = EFER_LMA | EFER_NX;
	vcpu.seg[MV_SS].ar = 0;
	vcpu.seg[MV_CS].ar = MV_AR_L;
	vcpu.seg[MV_CS].limit = ~0;
	vcpu.cpuid.maxphyaddr = 40;
}

/* The generation moves when a slot goes, not when one comes. */
static void change_slots(u64 *rand)
{
	unsigned int a = rand_below(rand, NR_PAGES);
	unsigned int b = rand_below(rand, NR_PAGES), page = where[a];

	if (rand_percent(rand, 30)) {
		no_slot[a] = !no_slot[a];
		slots.gen += no_slot[a];
		return;
	}
	where[a] = where[b];
	where[b] = page;
	slots.gen++;
}

static void change_memory(u64 *rand)
{
	unsigned int page = rand_below(rand, NR_PAGES);

	if (rand_percent(rand, 50))
		fixed[page] = !fixed[page];
	else
		away[page] = !away[page] && rand_percent(rand, 10);
}

static void change_something(u64 *rand)
{
	unsigned int what = rand_below(rand, 100);

	if (what < 25)
		change_entry(rand);
	else if (what < 40)
		change_code(rand);
	else if (what < 55)
		change_rip(rand);
	else if (what < 65)
		change_mode(rand);
	else if (what < 83)
		usual_mode();
	else if (what < 90)
		change_slots(rand);
	else if (what < 98)
		change_memory(rand);
	else
		vcpu.seg[MV_CS].limit = rand_percent(rand, 50) ? ~0 : 0x1040;
}

static void build_tables(u64 *rand)
{
	unsigned int page;

	for (page = 0; page < NR_PAGES; page++) {
		where[page] = page;
		no_slot[page] = false;
		away[page] = false;
		fixed[page] = false;
	}
	slots.gen++;
	for (page = 0; page < NR_TABLES; page++) {
		mem[page][0] = sane_entry(rand, page);
		mem[page][1] = sane_entry(rand, page);
	}
}

/* ------------------------------------------------------------------------ */

struct fetched {
	int ret;
	union {
		u64 words[2];
		u8 bytes[16];
	};
	struct mv_fault fault;
};

static bool same_fault(const struct mv_fault *a, const struct mv_fault *b)
{
	return a->vector == b->vector && a->has_error == b->has_error &&
	       a->error == b->error && a->address == b->address;
}

static bool same_fetch(const struct fetched *a, const struct fetched *b)
{
	if (a->ret != b->ret)
		return false;
	if (a->ret == -EFAULT)
		return same_fault(&a->fault, &b->fault);
	return a->ret < 0 || !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static bool check(struct mv_code_cache *cache, unsigned int *again)
{
	struct fetched anew = {}, cached = {};

	memcpy(before, mem, sizeof(mem));
	anew.ret = mv_fetch_insn(&vcpu, anew.bytes, MV_INSN_MAX, &anew.fault);
	memcpy(after, mem, sizeof(mem));
	memcpy(mem, before, sizeof(mem));
	lookups = 0;
	cached.ret = mv_fetch_again(&vcpu, cache, cached.words, &cached.fault);
	*again += !lookups && cached.ret > 0;
	return same_fetch(&anew, &cached) && !memcmp(mem, after, sizeof(mem));
}

int main(void)
{
	static struct mv_code_cache cache;
	unsigned int nr, again = 0;
	bool good = true;
	u64 rand = 1;

	ksft_print_header();
	ksft_set_plan(2);
	usual_mode();
	for (nr = 0; good && nr < SAMPLES; nr++) {
		if (nr % 200 == 0)
			build_tables(&rand);
		if (rand_percent(&rand, 30))
			change_something(&rand);
		good = check(&cache, &again);
	}
	if (!good)
		ksft_print_msg("sample %u, RIP %#llx\n", nr,
			       (unsigned long long)vcpu.rip);
	ksft_print_msg("%u samples, %u without a walk\n", nr, again);
	ksft_test_result(good, "fetch finds what a new walk finds\n");
	ksft_test_result(again > nr / 10, "fetch remembered walks\n");
	ksft_finished();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's CPUs claim to be: what the device supports, fitted to the
 * machine: how many they are, whether they have local APICs, the TSC's rate.
 *
 * Leaves and bits are those of the SDM, volume 2A, CPUID.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "apic.h"
#include "base.h"
#include "guest_cpuid.h"

/* 1.EBX, ECX, EDX */
#define L1_EBX_CLFLUSH_BRAND	0x0000ffff
#define L1_EBX_CPUS_SHIFT	16
#define L1_EBX_CPUS_MAX		0xff
#define L1_EBX_APIC_ID_SHIFT	24
#define L1_EBX_BUT_APIC_ID	0x00ffffff
#define L1_ECX_X2APIC		BIT(21)
#define L1_ECX_TSC_DEADLINE	BIT(24)
/* These two show what the guest has set, in CR4 and IA32_MISC_ENABLE. */
#define L1_ECX_MONITOR		BIT(3)
#define L1_ECX_OSXSAVE		BIT(27)
#define L1_ECX_HYPERVISOR	BIT(31)
#define L1_EDX_HTT		BIT(28)

/* 4.EAX: the cache's level, who shares it, the cores of the package; both less 1 */
#define L4_EAX_CACHE		0x00003fff
#define L4_EAX_LEVEL(eax)	(((eax) >> 5) & 7)
#define L4_EAX_SHARING_SHIFT	14
#define L4_EAX_SHARING_MAX	0xfff
#define L4_EAX_CORES_SHIFT	26
#define L4_EAX_CORES_MAX	0x3f
#define FIRST_SHARED_LEVEL	3

/* b.ECX: the kind of level */
#define LEAF_TOPOLOGY		0xb
#define LB_ECX_TYPE_SHIFT	8
#define LB_TYPE_THREADS		1
#define LB_TYPE_CORES		2

/* 7.ECX, like OSXSAVE */
#define L7_ECX_OSPKE		BIT(4)

/* 80000001.ECX: extended APIC space; 80000007.EDX: invariant TSC */
#define L81_ECX_EXTAPIC		BIT(3)
#define L87_EDX_INVARIANT_TSC	BIT(8)

#define LEAF_TSC		0x15
#define LEAF_FREQUENCY		0x16
/*
 * Linux takes the crystal for the clock of the APIC's timer, and multiplies its
 * kHz by the ratio's numerator in 32 bits: with this denominator, a TSC of up to
 * 8.5 GHz fits, to 20 kHz.
 */
#define CRYSTAL_HZ		(NSEC_PER_SEC / APIC_TICK_NS)
#define CRYSTAL_DENOMINATOR	500

#define LEAF_HYPERVISOR		0x40000000
#define LEAF_KVM_FEATURES	0x40000001
#define KVM_SIGNATURE		"KVMKVMKVM\0\0"

/*
 * KVM's paravirtual features that need no local APIC: both clocks, steal time,
 * stable clock source. And one that is a promise of the devices, which are
 * ours: no guest need write to port 0x80 to give them time.
 */
#define KVM_FEATURES_NO_APIC	(BIT(0) | BIT(3) | BIT(5) | BIT(24))
#define KVM_FEATURE_NOP_IO_DELAY BIT(1)

static struct minivmm_cpuid_entry2 *find(struct minivmm_cpuid2 *cpuid, u32 function)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && !cpuid->entries[i].index)
			return &cpuid->entries[i];
	return NULL;
}

/* Return: a new entry, zeroed, or NULL if there is no room. */
static struct minivmm_cpuid_entry2 *add(struct minivmm_cpuid2 *cpuid, unsigned int max,
					u32 function)
{
	struct minivmm_cpuid_entry2 *e;

	if (cpuid->nent == max)
		return NULL;
	e = &cpuid->entries[cpuid->nent++];
	memset(e, 0, sizeof(*e));
	e->function = function;
	return e;
}

static struct minivmm_cpuid_entry2 *find_or_add(struct minivmm_cpuid2 *cpuid,
						unsigned int max, u32 function)
{
	return find(cpuid, function) ?: add(cpuid, max, function);
}

static void drop(struct minivmm_cpuid2 *cpuid, u32 function)
{
	u32 kept = 0;

	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
}

/* One reading of both clocks, the TSC's taken in the middle of the other's. */
static void read_clocks(u64 *tsc, u64 *ns)
{
	u64 best = ~0ULL;

	for (int i = 0; i < 8; i++) {
		struct timespec before, after;
		u64 t, width;

		clock_gettime(CLOCK_MONOTONIC, &before);
		t = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC, &after);
		width = (after.tv_sec - before.tv_sec) * NSEC_PER_SEC +
			after.tv_nsec - before.tv_nsec;
		if (width >= best)
			continue;
		best = width;
		*tsc = t;
		*ns = before.tv_sec * NSEC_PER_SEC + before.tv_nsec + width / 2;
	}
}

/* The TSC's rate by the host's clock, or 0 if the rate is not constant. */
static u32 tsc_khz(void)
{
	static const struct timespec window = { .tv_nsec = 10000000 };
	u32 eax, ebx, ecx, edx = 0;
	u64 tsc0, tsc1, ns0, ns1;

	__get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx);
	if (!(edx & L87_EDX_INVARIANT_TSC))
		return 0;
	read_clocks(&tsc0, &ns0);
	nanosleep(&window, NULL);
	read_clocks(&tsc1, &ns1);
	return (tsc1 - tsc0) * 1000000 / (ns1 - ns0);
}

/*
 * Tell the guest the TSC's rate, so that it need not measure it against the
 * 8254 at every boot: slow, and wrong on a busy host.
 */
static void set_tsc_rate(struct minivmm_cpuid2 *cpuid, unsigned int max,
			 const struct cpuid_machine *machine)
{
	struct minivmm_cpuid_entry2 *basic, *tsc, *frequency;
	u32 khz;

	/* The kernel's APICs run on another clock, which matters where this is all. */
	if (machine->kernel_apic && !machine->tsc_deadline)
		return;
	khz = tsc_khz();
	if (!khz)
		return;
	tsc = find_or_add(cpuid, max, LEAF_TSC);
	frequency = find_or_add(cpuid, max, LEAF_FREQUENCY);
	basic = find(cpuid, 0);
	if (!tsc || !frequency || !basic)
		return;
	if (basic->eax < LEAF_FREQUENCY)
		basic->eax = LEAF_FREQUENCY;
	/* TSC rate = crystal * EBX / EAX, the crystal in ECX in Hz. */
	tsc->eax = CRYSTAL_DENOMINATOR;
	tsc->ebx = khz * 1000ULL * CRYSTAL_DENOMINATOR / CRYSTAL_HZ;
	tsc->ecx = CRYSTAL_HZ;
	frequency->eax = khz / 1000;
	frequency->ebx = khz / 1000;
	frequency->ecx = 0;
}

/* The bits of an APIC ID that tell the CPUs apart. */
static unsigned int id_bits(const struct cpuid_machine *machine)
{
	unsigned int bits = 0;

	while (1U << bits < machine->cpus)
		bits++;
	return bits;
}

static u32 at_most(u32 value, u32 max)
{
	return value < max ? value : max;
}

static void adapt_features(struct minivmm_cpuid_entry2 *e, const struct cpuid_machine *machine)
{
	u32 ids = at_most(1U << id_bits(machine), L1_EBX_CPUS_MAX);

	e->ebx = (e->ebx & L1_EBX_CLFLUSH_BRAND) | ids << L1_EBX_CPUS_SHIFT;
	e->ecx |= L1_ECX_HYPERVISOR;
	e->ecx &= ~L1_ECX_TSC_DEADLINE;
	e->edx &= ~L1_EDX_HTT;
	if (machine->tsc_deadline)
		e->ecx |= L1_ECX_TSC_DEADLINE;
	if (machine->cpus > 1)
		e->edx |= L1_EDX_HTT;
	if (!machine->kernel_apic)
		e->ecx &= ~L1_ECX_X2APIC;
}

/* Every core has caches of its own but for the last level, which all share. */
static void adapt_cache(struct minivmm_cpuid_entry2 *e, const struct cpuid_machine *machine)
{
	u32 others = (1U << id_bits(machine)) - 1;

	e->eax &= L4_EAX_CACHE;
	if (!e->eax)
		return;		/* the end of the list */
	e->eax |= at_most(others, L4_EAX_CORES_MAX) << L4_EAX_CORES_SHIFT;
	if (L4_EAX_LEVEL(e->eax) >= FIRST_SHARED_LEVEL)
		e->eax |= at_most(others, L4_EAX_SHARING_MAX) << L4_EAX_SHARING_SHIFT;
}

/* One level of the topology: how far to shift an APIC ID for the next level's. */
static void add_level(struct minivmm_cpuid2 *cpuid, unsigned int max, u32 index, u32 type,
		      u32 shift, u32 cpus)
{
	struct minivmm_cpuid_entry2 *e = add(cpuid, max, LEAF_TOPOLOGY);

	if (!e)
		return;
	e->index = index;
	e->flags = MINIVMM_CPUID_FLAG_SIGNIFCANT_INDEX;
	e->eax = shift;
	e->ebx = cpus;
	e->ecx = type << LB_ECX_TYPE_SHIFT | index;
}

static void set_topology(struct minivmm_cpuid2 *cpuid, unsigned int max,
			 const struct cpuid_machine *machine)
{
	drop(cpuid, LEAF_TOPOLOGY);
	add_level(cpuid, max, 0, LB_TYPE_THREADS, 0, 1);
	add_level(cpuid, max, 1, LB_TYPE_CORES, id_bits(machine), machine->cpus);
	add_level(cpuid, max, 2, 0, 0, 0);
}

static void adapt_kvm_features(struct minivmm_cpuid2 *cpuid, struct minivmm_cpuid_entry2 *e,
			       const struct cpuid_machine *machine)
{
	const struct minivmm_cpuid_entry2 *base = find(cpuid, LEAF_HYPERVISOR);
	u32 signature[3];

	if (!base)
		return;
	signature[0] = base->ebx;
	signature[1] = base->ecx;
	signature[2] = base->edx;
	if (memcmp(signature, KVM_SIGNATURE, sizeof(signature)))
		return;
	if (!machine->kernel_apic)
		e->eax &= KVM_FEATURES_NO_APIC;
	e->eax |= KVM_FEATURE_NOP_IO_DELAY;
}

static void clear(struct minivmm_cpuid_entry2 *e)
{
	e->eax = 0;
	e->ebx = 0;
	e->ecx = 0;
	e->edx = 0;
}

static void adapt_entry(struct minivmm_cpuid2 *cpuid, struct minivmm_cpuid_entry2 *e,
			const struct cpuid_machine *machine)
{
	switch (e->function) {
	case 0x1:
		adapt_features(e, machine);
		break;
	case 0x4:
		adapt_cache(e, machine);
		break;
	case 0xa:	/* performance counters interrupt through the APIC */
		if (!machine->kernel_apic)
			clear(e);
		break;
	case LEAF_TOPOLOGY:
	case 0x1f:	/* a second topology leaf, of the host */
		clear(e);
		break;
	case LEAF_KVM_FEATURES:
		adapt_kvm_features(cpuid, e, machine);
		break;
	case 0x80000001:
		if (!machine->kernel_apic)
			e->ecx &= ~L81_ECX_EXTAPIC;
		break;
	}
}

/**
 * cpuid_adapt - fit the device's CPUID to our machine
 * @cpuid: from vm_supported_cpuid(), changed in place
 * @max_entries: how many entries there is room for
 * @machine: what it is fitted to
 */
void cpuid_adapt(struct minivmm_cpuid2 *cpuid, unsigned int max_entries,
		 const struct cpuid_machine *machine)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		adapt_entry(cpuid, &cpuid->entries[i], machine);
	set_topology(cpuid, max_entries, machine);
	set_tsc_rate(cpuid, max_entries, machine);
}

/**
 * cpuid_set_apic_id - make a table that of one CPU
 * @cpuid: after cpuid_adapt(), or of another CPU
 * @id: the CPU's APIC ID
 */
void cpuid_set_apic_id(struct minivmm_cpuid2 *cpuid, u32 id)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct minivmm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0x1)
			e->ebx = (e->ebx & L1_EBX_BUT_APIC_ID) | id << L1_EBX_APIC_ID_SHIFT;
		else if (e->function == LEAF_TOPOLOGY)
			e->edx = id;
	}
}

/* The bits of a leaf that are features of the CPU, all others cleared */
static struct minivmm_cpuid_entry2 features(const struct minivmm_cpuid_entry2 *e)
{
	struct minivmm_cpuid_entry2 f = { .function = e->function, .index = e->index };

	switch (e->function) {
	case 0x1:
		f.ecx = e->ecx & ~(L1_ECX_MONITOR | L1_ECX_OSXSAVE);
		f.edx = e->edx;
		break;
	case 0x7:
		f.eax = e->index ? e->eax : 0;
		f.ebx = e->ebx;
		f.ecx = e->ecx & ~(e->index ? 0 : L7_ECX_OSPKE);
		f.edx = e->edx;
		break;
	case 0xd:
		f.eax = e->index <= 1 ? e->eax : 0;
		break;
	case LEAF_KVM_FEATURES:
		f.eax = e->eax;
		break;
	case 0x80000001:
		f.ecx = e->ecx;
		f.edx = e->edx;
		break;
	case 0x80000007:
		f.edx = e->edx;
		break;
	case 0x80000008:
		f.ebx = e->ebx;
		break;
	}
	return f;
}

static const struct minivmm_cpuid_entry2 *find_subleaf(const struct minivmm_cpuid2 *cpuid,
						       const struct minivmm_cpuid_entry2 *like)
{
	static const struct minivmm_cpuid_entry2 none;

	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == like->function &&
		    cpuid->entries[i].index == like->index)
			return &cpuid->entries[i];
	return &none;
}

/**
 * cpuid_lacks - is a guest used to features that there are not?
 * @ours: what this machine's CPUs are
 * @entries: what the guest's were
 * @count: how many entries
 * @leaf: set to where one is missing
 */
bool cpuid_lacks(const struct minivmm_cpuid2 *ours, const struct minivmm_cpuid_entry2 *entries,
		 u32 count, u32 *leaf)
{
	for (u32 i = 0; i < count; i++) {
		const struct minivmm_cpuid_entry2 f = features(&entries[i]);
		const struct minivmm_cpuid_entry2 *here = find_subleaf(ours, &f);

		if (f.eax & ~here->eax || f.ebx & ~here->ebx || f.ecx & ~here->ecx ||
		    f.edx & ~here->edx) {
			*leaf = f.function;
			return true;
		}
	}
	return false;
}

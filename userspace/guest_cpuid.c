// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's CPU claims to be: what the device supports, fitted to a
 * machine with one CPU, no local APIC and a TSC whose rate it is told.
 *
 * Leaves and bits are those of the SDM, volume 2A, CPUID.
 */
#include <cpuid.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "base.h"
#include "guest_cpuid.h"

/* 1.EBX, ECX, EDX */
#define L1_EBX_CLFLUSH_BRAND	0x0000ffff
#define L1_EBX_ONE_CPU		0x00010000
#define L1_ECX_X2APIC		BIT(21)
#define L1_ECX_TSC_DEADLINE	BIT(24)
#define L1_ECX_HYPERVISOR	BIT(31)
#define L1_EDX_APIC		BIT(9)
#define L1_EDX_HTT		BIT(28)

/* 6.EAX: the APIC timer that never stops */
#define L6_EAX_ARAT		BIT(2)

/* 80000001.ECX: extended APIC space; 80000007.EDX: invariant TSC */
#define L81_ECX_EXTAPIC		BIT(3)
#define L87_EDX_INVARIANT_TSC	BIT(8)

#define LEAF_TSC		0x15
#define LEAF_FREQUENCY		0x16
#define CRYSTAL_KHZ		100

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

static struct minivmm_cpuid_entry2 *find_or_add(struct minivmm_cpuid2 *cpuid,
						unsigned int max, u32 function)
{
	struct minivmm_cpuid_entry2 *e = find(cpuid, function);

	if (e || cpuid->nent == max)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	memset(e, 0, sizeof(*e));
	e->function = function;
	return e;
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
static void set_tsc_rate(struct minivmm_cpuid2 *cpuid, unsigned int max)
{
	struct minivmm_cpuid_entry2 *basic, *tsc, *frequency;
	u32 khz = tsc_khz();

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
	tsc->eax = CRYSTAL_KHZ;
	tsc->ebx = khz;
	tsc->ecx = CRYSTAL_KHZ * 1000;
	frequency->eax = khz / 1000;
	frequency->ebx = khz / 1000;
	frequency->ecx = 0;
}

static void adapt_features(struct minivmm_cpuid_entry2 *e)
{
	e->ebx = (e->ebx & L1_EBX_CLFLUSH_BRAND) | L1_EBX_ONE_CPU;
	e->ecx &= ~(L1_ECX_X2APIC | L1_ECX_TSC_DEADLINE);
	e->ecx |= L1_ECX_HYPERVISOR;
	e->edx &= ~(L1_EDX_APIC | L1_EDX_HTT);
}

static void adapt_kvm_features(struct minivmm_cpuid2 *cpuid, struct minivmm_cpuid_entry2 *e)
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
	e->eax &= KVM_FEATURES_NO_APIC;
	e->eax |= KVM_FEATURE_NOP_IO_DELAY;
}

static void adapt_entry(struct minivmm_cpuid2 *cpuid, struct minivmm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 0x1:
		adapt_features(e);
		break;
	case 0x4:
		/* No cache is shared, there is one core. */
		e->eax &= 0x3fff;
		break;
	case 0x6:
		e->eax &= ~L6_EAX_ARAT;
		break;
	case 0xa:	/* performance counters interrupt through the APIC */
	case 0xb:	/* topology: APIC ids */
	case 0x1f:
		e->eax = 0;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	case LEAF_KVM_FEATURES:
		adapt_kvm_features(cpuid, e);
		break;
	case 0x80000001:
		e->ecx &= ~L81_ECX_EXTAPIC;
		break;
	}
}

/**
 * cpuid_adapt - fit the device's CPUID to our machine
 * @cpuid: from vm_supported_cpuid(), changed in place
 * @max_entries: how many entries there is room for
 */
void cpuid_adapt(struct minivmm_cpuid2 *cpuid, unsigned int max_entries)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		adapt_entry(cpuid, &cpuid->entries[i]);
	set_tsc_rate(cpuid, max_entries);
}

/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest's CPU claims to be. */
#ifndef MINIVMM_GUEST_CPUID_H
#define MINIVMM_GUEST_CPUID_H

#include <linux/minivmm.h>

#include "base.h"

/**
 * struct cpuid_machine - what the machine around the CPUs is like
 * @cpus: how many: cores of one package; their APIC IDs are 0, 1, ...
 * @kernel_apic: their local APICs are in the kernel
 * @tsc_deadline: and their timers know the TSC-deadline mode
 */
struct cpuid_machine {
	unsigned int cpus;
	bool kernel_apic;
	bool tsc_deadline;
};

void cpuid_adapt(struct minivmm_cpuid2 *cpuid, unsigned int max_entries,
		 const struct cpuid_machine *machine);
void cpuid_set_apic_id(struct minivmm_cpuid2 *cpuid, u32 id);
bool cpuid_lacks(const struct minivmm_cpuid2 *ours, const struct minivmm_cpuid_entry2 *entries,
		 u32 count, u32 *leaf);

#endif /* MINIVMM_GUEST_CPUID_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest's CPU claims to be. */
#ifndef MINIVMM_GUEST_CPUID_H
#define MINIVMM_GUEST_CPUID_H

#include <linux/minivmm.h>

void cpuid_adapt(struct minivmm_cpuid2 *cpuid, unsigned int max_entries);

#endif /* MINIVMM_GUEST_CPUID_H */

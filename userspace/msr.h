/* SPDX-License-Identifier: GPL-2.0 */
/* MSRs that the launcher knows, and those that it has (msr.c). */
#ifndef MINIVMM_MSR_H
#define MINIVMM_MSR_H

#include "vm.h"

#define MSR_IA32_TSC		0x10
#define MSR_IA32_TSC_DEADLINE	0x6e0

bool msr_can_have_deadline(const struct vm *vm);
void msr_take_deadline(const struct vm *vm);

#endif /* MINIVMM_MSR_H */

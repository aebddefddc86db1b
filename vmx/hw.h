/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions, and raw forms of a few others.
 *
 * The kernel's own accessors for MSRs and CR4 trace, check or keep shadows;
 * inside the run section the plain instruction is what is wanted.
 */
#ifndef MINIVMM_HW_H
#define MINIVMM_HW_H

#include <linux/jump_label.h>
#include <linux/percpu.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/asm.h>
#include "vmx.h"

/**
 * struct vmx_counts - VMCS accesses and MSR writes, counted while count_vmx=1
 *
 * In the testbed every instruction costs the same; on hardware these do not,
 * so the benchmark reports them next to its instruction counts.
 */
struct vmx_counts {
	u64 vmread, vmwrite, wrmsr;
};

DECLARE_PER_CPU(struct vmx_counts, vmx_counts);
DECLARE_PER_CPU(struct mv_vcpu *, vmx_current);
DECLARE_STATIC_KEY_FALSE(vmx_count_key);

#define vmx_count(what)						\
do {								\
	if (static_branch_unlikely(&vmx_count_key))		\
		this_cpu_inc(vmx_counts.what);			\
} while (0)

/* A failed VMREAD or VMWRITE is our bug: says which field, kills the VM. */
void vmx_access_failed(const char *what, unsigned long field);

static __always_inline u64 vmcs_read(unsigned long field)
{
	bool failed;
	u64 value;

	vmx_count(vmread);
	asm volatile("vmread %[field], %[value]"
		     : [value] "=r" (value), "=@ccbe" (failed)
		     : [field] "r" (field) : "memory");
	if (unlikely(failed)) {
		vmx_access_failed("VMREAD", field);
		return 0;
	}
	return value;
}

static __always_inline void vmcs_write(unsigned long field, u64 value)
{
	bool failed;

	vmx_count(vmwrite);
	asm volatile("vmwrite %[value], %[field]"
		     : "=@ccbe" (failed)
		     : [field] "r" (field), [value] "r" (value) : "memory");
	if (unlikely(failed))
		vmx_access_failed("VMWRITE", field);
}

/*
 * These return true on VMfail (SDM 31.2). Their operand is a physical address
 * in memory.
 */

static inline bool vmx_vmclear(const u64 *pa)
{
	bool failed;

	asm volatile("vmclear %[pa]" : "=@ccbe" (failed)
		     : [pa] "m" (*pa) : "memory");
	return failed;
}

static inline bool vmx_vmptrld(const u64 *pa)
{
	bool failed;

	asm volatile("vmptrld %[pa]" : "=@ccbe" (failed)
		     : [pa] "m" (*pa) : "memory");
	return failed;
}

/* Also true on #GP: the firmware forbids VMX on this CPU (SDM 24.7). */
static inline bool vmx_vmxon(const u64 *pa)
{
	bool failed = true;

	asm volatile("1: vmxon %[pa]\n\t"
		     "setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [failed] "+r" (failed) : [pa] "m" (*pa) : "cc", "memory");
	return failed;
}

static inline void vmx_vmxoff(void)
{
	asm volatile("vmxoff" ::: "cc", "memory");
}

#define VMX_INVEPT_CONTEXT	1
#define VMX_INVVPID_CONTEXT	1

static inline bool vmx_invept(u64 eptp)
{
	struct { u64 eptp, zero; } desc = { eptp, 0 };
	bool failed;

	asm volatile("invept %[desc], %[type]" : "=@ccbe" (failed)
		     : [desc] "m" (desc), [type] "r" (VMX_INVEPT_CONTEXT + 0UL)
		     : "memory");
	return failed;
}

static inline bool vmx_invvpid(u16 vpid)
{
	struct { u64 vpid, gva; } desc = { vpid, 0 };
	bool failed;

	asm volatile("invvpid %[desc], %[type]" : "=@ccbe" (failed)
		     : [desc] "m" (desc), [type] "r" (VMX_INVVPID_CONTEXT + 0UL)
		     : "memory");
	return failed;
}

static inline u64 hw_rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (msr));
	return lo | (u64)hi << 32;
}

static inline void hw_wrmsr(u32 msr, u64 value)
{
	vmx_count(wrmsr);
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)value),
		     "d" ((u32)(value >> 32)) : "memory");
}

static inline unsigned long hw_read_cr4(void)
{
	unsigned long cr4;

	asm volatile("mov %%cr4, %0" : "=r" (cr4) : : "memory");
	return cr4;
}

static inline void hw_write_cr4(unsigned long cr4)
{
	asm volatile("mov %0, %%cr4" : : "r" (cr4) : "memory");
}

static inline unsigned long hw_read_dr(int n)
{
	unsigned long value;

	switch (n) {
	case 0:
		asm volatile("mov %%db0, %0" : "=r" (value));
		return value;
	case 1:
		asm volatile("mov %%db1, %0" : "=r" (value));
		return value;
	case 2:
		asm volatile("mov %%db2, %0" : "=r" (value));
		return value;
	case 3:
		asm volatile("mov %%db3, %0" : "=r" (value));
		return value;
	default:
		asm volatile("mov %%db7, %0" : "=r" (value));
		return value;
	}
}

static inline void hw_write_dr(int n, unsigned long value)
{
	switch (n) {
	case 0:
		asm volatile("mov %0, %%db0" : : "r" (value));
		break;
	case 1:
		asm volatile("mov %0, %%db1" : : "r" (value));
		break;
	case 2:
		asm volatile("mov %0, %%db2" : : "r" (value));
		break;
	case 3:
		asm volatile("mov %0, %%db3" : : "r" (value));
		break;
	default:
		asm volatile("mov %0, %%db7" : : "r" (value) : "memory");
		break;
	}
}

#endif

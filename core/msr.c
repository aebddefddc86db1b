// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: one table, a row for each MSR that exists.
 *
 * Any other MSR is #GP for the guest and the end of the list for the client.
 * The guest comes here inside the run section, the client with ioctls; rows
 * say where the two differ.
 */
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/tsc.h>
#include <uapi/asm/kvm_para.h>

#include "compat.h"
#include "core.h"

#define NR_VARIABLE_MTRRS	8
#define NR_FIXED_MTRRS		11

/* Eight variable ranges, the fixed ones, write-combining (SDM 12.11.1) */
#define MTRR_CAP	(BIT(10) | BIT(8) | NR_VARIABLE_MTRRS)

/* What a CPU without branch trace and PEBS reports (SDM vol. 4) */
#define MISC_ENABLE_RESET	(MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
/* What a guest may turn on or off, with no effect */
#define MISC_ENABLE_WRITABLE	(MSR_IA32_MISC_ENABLE_FAST_STRING | \
				 MSR_IA32_MISC_ENABLE_TCC | \
				 MSR_IA32_MISC_ENABLE_ENHANCED_SPEEDSTEP)

/* No errata of the host's microcode show in a guest: any revision will do. */
#define UCODE_REV_RESET		BIT_ULL(32)

#define PAT_RESET		0x0007040600070406ULL

/* The MTRRs' numbers (SDM 12.11). A variable one is a base and a mask. */
enum {
	MTRR_CAPABILITY = 0xfe,
	MTRR_VARIABLE = 0x200,
	MTRR_FIXED_64K = 0x250,
	MTRR_FIXED_16K = 0x258,
	MTRR_FIXED_4K = 0x268,
	MTRR_DEF_TYPE = 0x2ff,
};

/* An enabled second-level cache, the value KVM has for it */
#define BBL_CR_CTL3_VALUE	0xbe702111

#define EFER_KNOWN		(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

/* MSRs that nothing here depends on: written, remembered, read */
struct mv_msr_store {
	u64 mtrr_def_type;
	u64 mtrr_fixed[NR_FIXED_MTRRS];
	u64 mtrr_var[2 * NR_VARIABLE_MTRRS];
	u64 misc_enable;
	u64 ucode_rev;
	u64 platform_info;
	u64 power_ctl;
};

/* What a row says, beside where the value is kept */
#define CONSTANT	BIT(0)	/* .value, or .get; no part of the vCPU's state */
#define GUEST_REWRITES	BIT(1)	/* ... and the guest may write that value */
#define GUEST_READ_ONLY	BIT(2)	/* the guest's write: #GP */
#define IGNORE_WRITES	BIT(3)	/* the guest's write: nothing happens */
#define DIRECT		BIT(4)	/* the guest accesses it without an exit */
#define NEED_RDTSCP	BIT(5)	/* exists with RDTSCP or RDPID only */
#define IN_STORE	BIT(6)	/* kept in struct mv_msr_store */
#define NEED_TSC_DEADLINE BIT(7) /* exists if the local APIC's timer has it */
#define NEED_MCG_CTL	BIT(8)	/* exists if IA32_MCG_CAP says so */
#define PLATFORM_INFO	BIT(9)	/* the guest's read: #GP if its client wants so */
#define IN_SEGS		BIT(10)	/* right only when MV_STATE_SEGS is valid */
#define NEED_XSAVES	BIT(11)	/* exists with XSAVES only */

#define VCPU(field)	.offset = offsetof(struct mv_vcpu, field)
#define STORE(field)	.offset = offsetof(struct mv_msr_store, field)

/**
 * struct msr_row - one MSR, or several in a row
 * @index: its number
 * @count: how many, with consecutive numbers and values; 0: one
 * @flags: see above
 * @pv: bit of KVM's feature leaf that it belongs to; see mv_guest_has_pv()
 * @offset: of the u64 in struct mv_vcpu, or in struct mv_msr_store
 * @dirty: group that a change makes the back end load
 * @value: of a CONSTANT
 * @ignored: bits that may be written to a CONSTANT, in vain
 * @get: computes the value, if it is not kept anywhere
 * @exists: does it, on this host? Absent: yes.
 * @valid: can the MSR have this value? Absent: any.
 * @set: writes a value that is @valid, if that takes more than keeping it.
 *	Nonzero: it cannot be written now.
 */
struct msr_row {
	u32 index;
	u8 count;
	u16 flags;
	u16 offset;
	u32 pv;
	u32 dirty;
	u64 value;
	u64 ignored;
	u64 (*get)(struct mv_vcpu *vcpu);
	bool (*exists)(void);
	bool (*valid)(struct mv_vcpu *vcpu, u32 index, u64 data);
	int (*set)(struct mv_vcpu *vcpu, u64 data, bool client);
};

/* ---- which values are possible --------------------------------------------- */

/* The back end loads these into the CPU, whose WRMSR would fault. */
static bool valid_canonical(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return (u64)((s64)(data << 16) >> 16) == data;
}

static bool valid_32bit(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return !(data >> 32);
}

/* UC, WC, WT, WP, WB (SDM 12.11.2.1) */
static bool valid_memory_type(u8 type)
{
	return type < 7 && (BIT(type) & 0x73);
}

/* The same and UC- (SDM 12.12.2) */
static bool valid_pat(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = data >> i;

		if (type != 7 && !valid_memory_type(type))
			return false;
	}
	return true;
}

static bool valid_mtrr_def_type(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return !(data & ~0xcffULL) && valid_memory_type(data);
}

static bool valid_mtrr_fixed(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		if (!valid_memory_type(data >> i))
			return false;
	}
	return true;
}

static u64 beyond_maxphyaddr(const struct mv_vcpu *vcpu)
{
	return ~0ULL << vcpu->cpuid.maxphyaddr;
}

/* Even: base and type. Odd: mask and valid bit (SDM 12.11.2.3) */
static bool valid_mtrr_var(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	u64 reserved = beyond_maxphyaddr(vcpu);

	if (index & 1)
		return !(data & (reserved | 0x7ff));
	return !(data & (reserved | 0xf00)) && valid_memory_type(data);
}

/**
 * mv_valid_apic_base() - can IA32_APIC_BASE have this value? (SDM 11.4.4)
 * @vcpu: the vCPU
 * @value: x2APIC mode needs the APIC to be on, and CPUID to have it
 */
bool mv_valid_apic_base(struct mv_vcpu *vcpu, u64 value)
{
	u64 reserved = beyond_maxphyaddr(vcpu) | 0x2ff;

	if (!vcpu->cpuid.x2apic || !(value & MSR_IA32_APICBASE_ENABLE))
		reserved |= X2APIC_ENABLE;
	return !(value & reserved);
}

static bool valid_apic_base(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return mv_valid_apic_base(vcpu, data);
}

/* ---- the ones that do something -------------------------------------------- */

static u64 get_tsc(struct mv_vcpu *vcpu)
{
	return mv_guest_tsc(vcpu, rdtsc());
}

static int set_tsc(struct mv_vcpu *vcpu, u64 data, bool client)
{
	if (client)
		mv_client_write_tsc(vcpu, data);
	else
		mv_guest_write_tsc(vcpu, data);
	return 0;
}

/* A client restores the TSC by itself: for it this is a number only. */
static int set_tsc_adjust(struct mv_vcpu *vcpu, u64 data, bool client)
{
	if (client)
		vcpu->tsc_adjust = data;
	else
		mv_guest_write_tsc_adjust(vcpu, data);
	return 0;
}

static int set_system_time(struct mv_vcpu *vcpu, u64 data, bool client)
{
	mv_write_system_time(vcpu, data);
	return 0;
}

static u64 get_mcg_cap(struct mv_vcpu *vcpu)
{
	return vcpu->mce.cap;
}

/* All errors are reported, or none. */
static bool valid_mcg_ctl(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return !data || (!~data && (vcpu->mce.cap & MCG_CTL_P));
}

static u64 get_wall_clock(struct mv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->vm->clock.wall_msr);
}

static int set_wall_clock(struct mv_vcpu *vcpu, u64 data, bool client)
{
	mv_write_wall_clock(vcpu, data);
	return 0;
}

static bool valid_steal_time(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	return mv_valid_steal_time(data);
}

static int set_steal_time(struct mv_vcpu *vcpu, u64 data, bool client)
{
	mv_write_steal_time(vcpu, data);
	return 0;
}

/* Bits 63:32 ignore writes and read as 0 (SDM vol. 4). */
static int set_sysenter_cs(struct mv_vcpu *vcpu, u64 data, bool client)
{
	vcpu->sysenter_cs = (u32)data;
	return 0;
}

/* SDM 2.2.1; LMA is the CPU's alone. */
static int set_efer(struct mv_vcpu *vcpu, u64 data, bool client)
{
	u64 allowed = client ? EFER_KNOWN : vcpu->cpuid.efer_allowed;
	u64 changed;

	if (data & ~allowed)
		return -EINVAL;
	data = (data & ~(u64)EFER_LMA) | (vcpu->efer & EFER_LMA);
	changed = data ^ vcpu->efer;
	if (!client && (changed & EFER_LME) && (vcpu->cr0 & X86_CR0_PG))
		return -EINVAL;
	vcpu->efer = data;
	if (changed & EFER_NX)
		vcpu->dirty |= MV_STATE_TLB;
	return 0;
}

static int set_misc_enable(struct mv_vcpu *vcpu, u64 data, bool client)
{
	u64 changed = data ^ vcpu->msrs->misc_enable;
	u64 writable = MISC_ENABLE_WRITABLE;
	bool mwait;

	/* Unless that quirk of KVM's is off, nothing depends on the bit. */
	mwait = READ_ONCE(vcpu->vm->disabled_quirks) &
		MINIVMM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;
	if (mwait && vcpu->cpuid.sse3)
		writable |= MSR_IA32_MISC_ENABLE_MWAIT;
	if (!client && (changed & ~writable))
		return -EINVAL;
	if (mwait && (changed & ~writable & MSR_IA32_MISC_ENABLE_MWAIT))
		return -EINVAL;
	vcpu->msrs->misc_enable = data;
	if (mwait && (changed & MSR_IA32_MISC_ENABLE_MWAIT))
		mv_cpuid_update(vcpu);
	return 0;
}

/**
 * mv_misc_enable_mwait() - does IA32_MISC_ENABLE offer MONITOR and MWAIT?
 * @vcpu: the vCPU
 */
bool mv_misc_enable_mwait(const struct mv_vcpu *vcpu)
{
	return vcpu->msrs->misc_enable & MSR_IA32_MISC_ENABLE_MWAIT;
}

/* ---- the table --------------------------------------------------------------- */

static const struct msr_row rows[] = {
	{ MSR_IA32_TSC, .get = get_tsc, .set = set_tsc, .flags = DIRECT },
	{ MSR_IA32_TSC_ADJUST, VCPU(tsc_adjust), .set = set_tsc_adjust },
	{ MSR_IA32_APICBASE, VCPU(apic_base), .valid = valid_apic_base,
	  .set = mv_apic_set_base },
	{ MSR_IA32_TSC_DEADLINE, .flags = NEED_TSC_DEADLINE,
	  .get = mv_get_tsc_deadline, .set = mv_set_tsc_deadline },
	{ MSR_EFER, VCPU(efer), .set = set_efer,
	  .dirty = MV_STATE_CRS | MV_STATE_SYSCALL },
	{ MSR_IA32_CR_PAT, VCPU(pat), .valid = valid_pat,
	  .dirty = MV_STATE_MSRS },
	{ MSR_IA32_SYSENTER_CS, VCPU(sysenter_cs), .set = set_sysenter_cs,
	  .dirty = MV_STATE_MSRS },
	{ MSR_IA32_SYSENTER_ESP, VCPU(sysenter_esp), .valid = valid_canonical,
	  .dirty = MV_STATE_MSRS },
	{ MSR_IA32_SYSENTER_EIP, VCPU(sysenter_eip), .valid = valid_canonical,
	  .dirty = MV_STATE_MSRS },
	{ MSR_STAR, VCPU(star), .dirty = MV_STATE_SYSCALL },
	{ MSR_LSTAR, VCPU(lstar), .valid = valid_canonical,
	  .dirty = MV_STATE_SYSCALL },
	/* remembered only: in 64-bit mode SYSCALL goes to LSTAR */
	{ MSR_CSTAR, VCPU(cstar), .valid = valid_canonical },
	{ MSR_SYSCALL_MASK, VCPU(sfmask), .valid = valid_32bit,
	  .dirty = MV_STATE_SYSCALL },
	{ MSR_TSC_AUX, VCPU(tsc_aux), .flags = NEED_RDTSCP,
	  .valid = valid_32bit, .dirty = MV_STATE_SYSCALL },
	{ MSR_KERNEL_GS_BASE, VCPU(kernel_gs_base), .flags = DIRECT | IN_SEGS,
	  .valid = valid_canonical },
	{ MSR_FS_BASE, VCPU(seg[MV_FS].base), .flags = DIRECT | IN_SEGS,
	  .valid = valid_canonical, .dirty = MV_STATE_FSGS },
	{ MSR_GS_BASE, VCPU(seg[MV_GS].base), .flags = DIRECT | IN_SEGS,
	  .valid = valid_canonical, .dirty = MV_STATE_FSGS },

	{ MTRR_CAPABILITY, .flags = CONSTANT, .value = MTRR_CAP },
	{ MTRR_DEF_TYPE, STORE(mtrr_def_type), .flags = IN_STORE,
	  .valid = valid_mtrr_def_type },
	{ MTRR_VARIABLE, .count = 2 * NR_VARIABLE_MTRRS, STORE(mtrr_var),
	  .flags = IN_STORE, .valid = valid_mtrr_var },
	{ MTRR_FIXED_64K, STORE(mtrr_fixed[0]), .flags = IN_STORE,
	  .valid = valid_mtrr_fixed },
	{ MTRR_FIXED_16K, .count = 2, STORE(mtrr_fixed[1]),
	  .flags = IN_STORE, .valid = valid_mtrr_fixed },
	{ MTRR_FIXED_4K, .count = 8, STORE(mtrr_fixed[3]),
	  .flags = IN_STORE, .valid = valid_mtrr_fixed },

	{ MSR_IA32_MISC_ENABLE, STORE(misc_enable), .flags = IN_STORE,
	  .set = set_misc_enable },
	{ MSR_PLATFORM_INFO, STORE(platform_info),
	  .flags = IN_STORE | GUEST_READ_ONLY | PLATFORM_INFO },
	{ MSR_IA32_POWER_CTL, STORE(power_ctl), .flags = IN_STORE },
	/* Operating systems clear it before CPUID fills it in (SDM 10.11.7). */
	{ MSR_IA32_UCODE_REV, STORE(ucode_rev),
	  .flags = IN_STORE | IGNORE_WRITES },
	{ MSR_IA32_UCODE_WRITE, .flags = CONSTANT | IGNORE_WRITES },

	/* KVM's; whether the guest's CPUID has them is asked only on demand */
	{ MSR_KVM_SYSTEM_TIME, VCPU(clock.msr), .exists = mv_clock_offered,
	  .pv = BIT(KVM_FEATURE_CLOCKSOURCE), .set = set_system_time },
	{ MSR_KVM_SYSTEM_TIME_NEW, VCPU(clock.msr), .exists = mv_clock_offered,
	  .pv = BIT(KVM_FEATURE_CLOCKSOURCE2), .set = set_system_time },
	{ MSR_KVM_WALL_CLOCK, .exists = mv_clock_offered,
	  .pv = BIT(KVM_FEATURE_CLOCKSOURCE),
	  .get = get_wall_clock, .set = set_wall_clock },
	{ MSR_KVM_WALL_CLOCK_NEW, .exists = mv_clock_offered,
	  .pv = BIT(KVM_FEATURE_CLOCKSOURCE2),
	  .get = get_wall_clock, .set = set_wall_clock },
	{ MSR_KVM_STEAL_TIME, VCPU(steal.msr), .exists = mv_steal_offered,
	  .pv = BIT(KVM_FEATURE_STEAL_TIME),
	  .valid = valid_steal_time, .set = set_steal_time },

	/* Machine-check banks are mce.c's */
	{ MSR_IA32_MCG_CAP, .flags = CONSTANT, .get = get_mcg_cap },
	{ MSR_IA32_MCG_STATUS, VCPU(mce.status) },
	{ MSR_IA32_MCG_CTL, VCPU(mce.ctl), .flags = NEED_MCG_CTL,
	  .valid = valid_mcg_ctl },
	{ MSR_IA32_P5_MC_ADDR, .flags = CONSTANT },
	{ MSR_IA32_P5_MC_TYPE, .flags = CONSTANT },
	/* No VMX, no SMX, and locked, so nobody can turn them on */
	{ MSR_IA32_FEAT_CTL, .flags = CONSTANT, .value = FEAT_CTL_LOCKED },
	/* No supervisor states: XSAVES saves user states, or none */
	{ MSR_IA32_XSS, .flags = CONSTANT | GUEST_REWRITES | NEED_XSAVES },
	/*
	 * Neither last-branch records nor single steps on branches. CPUID has
	 * no bit for these two, so guests do not ask before they set them.
	 */
	{ MSR_IA32_DEBUGCTLMSR, .flags = CONSTANT | GUEST_REWRITES,
	  .ignored = DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF },
	/* Read by operating systems without asking whether they are there */
	{ MSR_IA32_PLATFORM_ID, .flags = CONSTANT },
	{ MSR_IA32_EBL_CR_POWERON, .flags = CONSTANT },
	{ MSR_IA32_BBL_CR_CTL3, .flags = CONSTANT, .value = BBL_CR_CTL3_VALUE },
};

/*
 * The row of each MSR number, plus 1. All lie in three ranges, so a byte for
 * every number there makes the search one load.
 */
#define NR_LOW		0xe00
#define HIGH_BASE	0xc0000080
#define NR_HIGH		0x100
#define KVM_BASE	0x4b564d00
#define NR_KVM		0x10

static u8 low_rows[NR_LOW] __ro_after_init;
static u8 high_rows[NR_HIGH] __ro_after_init;
static u8 kvm_rows[NR_KVM] __ro_after_init;

/* The guest chooses @i: it must not steer a speculative load elsewhere. */
static u8 *element(u8 *rows_of, u32 size, u32 i)
{
	return i < size ? &rows_of[array_index_nospec(i, size)] : NULL;
}

static u8 *row_number(u32 index)
{
	return element(low_rows, NR_LOW, index) ?:
	       element(high_rows, NR_HIGH, index - HIGH_BASE) ?:
	       element(kvm_rows, NR_KVM, index - KVM_BASE);
}

static u32 row_count(const struct msr_row *row)
{
	return row->count ?: 1;
}

/**
 * mv_msr_init() - index the table
 *
 * Context: module load, before any other function here.
 */
void __init mv_msr_init(void)
{
	u32 i, n;

	BUILD_BUG_ON(ARRAY_SIZE(rows) >= U8_MAX);

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (n = 0; n < row_count(&rows[i]); n++) {
			u8 *number = row_number(rows[i].index + n);

			if (!WARN_ON(!number))
				*number = i + 1;
		}
	}
}

/* Does this host have it? */
static bool row_exists(const struct msr_row *row)
{
	if ((row->flags & NEED_RDTSCP) && !mv_ops->caps.rdtscp)
		return false;
	if ((row->flags & NEED_XSAVES) && !mv_ops->caps.xsaves)
		return false;
	return !row->exists || row->exists();
}

static const struct msr_row *find_row(u32 index)
{
	const u8 *number = row_number(index);
	const struct msr_row *row;

	if (!number || !*number)
		return NULL;
	row = &rows[*number - 1];
	return row_exists(row) ? row : NULL;
}

static u64 *kept_at(struct mv_vcpu *vcpu, const struct msr_row *row, u32 index)
{
	void *base = row->flags & IN_STORE ? (void *)vcpu->msrs : (void *)vcpu;

	return (u64 *)(base + row->offset) + (index - row->index);
}

static u64 get_value(struct mv_vcpu *vcpu, const struct msr_row *row, u32 index)
{
	if (row->get)
		return row->get(vcpu);
	if (row->flags & CONSTANT)
		return row->value;
	return *kept_at(vcpu, row, index);
}

static int set_value(struct mv_vcpu *vcpu, const struct msr_row *row, u32 index,
		     u64 data, bool client)
{
	int err = 0;

	if (row->flags & CONSTANT)
		return (data & ~row->ignored) == get_value(vcpu, row, index) ?
		       0 : -EINVAL;
	if (row->valid && !row->valid(vcpu, index, data))
		return -EINVAL;
	if (row->set)
		err = row->set(vcpu, data, client);
	else
		*kept_at(vcpu, row, index) = data;
	if (!err)
		vcpu->dirty |= row->dirty;
	return err;
}

/* Rows that need a second look before the guest gets at them */
#define CONDITIONS	(NEED_RDTSCP | NEED_TSC_DEADLINE | NEED_MCG_CTL | \
			 PLATFORM_INFO | IN_SEGS | NEED_XSAVES)

static int check_conditions(const struct mv_vcpu *vcpu,
			    const struct msr_row *row)
{
	if ((row->flags & NEED_RDTSCP) && !vcpu->cpuid.rdtscp)
		return -EINVAL;
	if ((row->flags & NEED_XSAVES) && !vcpu->cpuid.xsaves)
		return -EINVAL;
	if ((row->flags & NEED_TSC_DEADLINE) && !vcpu->cpuid.tsc_deadline)
		return -EINVAL;
	if ((row->flags & NEED_MCG_CTL) && !(vcpu->mce.cap & MCG_CTL_P))
		return -EINVAL;
	if ((row->flags & PLATFORM_INFO) &&
	    READ_ONCE(vcpu->vm->no_platform_info))
		return -EINVAL;
	if (!mv_guest_has_pv(vcpu, row->pv))
		return -EINVAL;
	if ((row->flags & IN_SEGS) &&
	    (vcpu->valid & MV_STATE_SEGS) != MV_STATE_SEGS)
		return -EAGAIN;
	return 0;
}

/* Does the client's filter deny it? In the run section, a reader of RCU. */
static bool denied(struct mv_vcpu *vcpu, u32 index, u32 access)
{
	const struct mv_msr_filter *filter =
		rcu_dereference_sched(vcpu->vm->msr_filter);

	return unlikely(filter) && !mv_msr_allowed(filter, index, access);
}

/**
 * mv_direct_msr_denied() - does a filter deny MSRs that otherwise need no exit?
 * @filter: not necessarily in use yet
 */
bool mv_direct_msr_denied(const struct mv_msr_filter *filter)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].flags & DIRECT))
			continue;
		if (!mv_msr_allowed(filter, rows[i].index,
				    MINIVMM_MSR_FILTER_READ) ||
		    !mv_msr_allowed(filter, rows[i].index,
				    MINIVMM_MSR_FILTER_WRITE))
			return true;
	}
	return false;
}

/* The APIC's registers, 800H to 8FFH (SDM 11.12.1.2), are lapic.c's. */
static bool is_x2apic_msr(u32 index)
{
	return (index & ~0xffU) == APIC_BASE_MSR;
}

/**
 * mv_read_msr() - RDMSR by the guest
 * @vcpu: the vCPU
 * @index: ECX
 * @data: the value
 *
 * Context: inside the run section.
 * Return: 0; or why it fails: -ENOENT: there is none; -EACCES: the client's
 * filter; -EINVAL: all else. -EAGAIN: to be called again when MV_STATE_SEGS is
 * valid, and vcpu->kernel_gs_base.
 */
int mv_read_msr(struct mv_vcpu *vcpu, u32 index, u64 *data)
{
	const struct msr_row *row;
	int err;

	if (is_x2apic_msr(index))
		return mv_x2apic_read(vcpu, index, data);
	if (denied(vcpu, index, MINIVMM_MSR_FILTER_READ))
		return -EACCES;
	row = find_row(index);
	if (!row)
		return mv_mce_read(vcpu, index, data);
	if (row->flags & CONDITIONS || row->pv) {
		err = check_conditions(vcpu, row);
		if (err)
			return err;
	}
	*data = get_value(vcpu, row, index);
	return 0;
}
EXPORT_SYMBOL_GPL(mv_read_msr);

/**
 * mv_write_msr() - WRMSR by the guest
 * @vcpu: the vCPU. The register group that the MSR is in must be valid, since
 *	it becomes dirty as a whole.
 * @index: ECX
 * @data: EDX:EAX
 *
 * What the back end has to load is dirty afterwards.
 *
 * Context: inside the run section.
 * Return: 0; negative, as mv_read_msr(): nothing changed; 1: done, but the core
 * has work before the guest may go on.
 */
int mv_write_msr(struct mv_vcpu *vcpu, u32 index, u64 data)
{
	const struct msr_row *row;
	int err;

	if (is_x2apic_msr(index))
		return mv_x2apic_write(vcpu, index, data);
	if (denied(vcpu, index, MINIVMM_MSR_FILTER_WRITE))
		return -EACCES;
	row = find_row(index);
	if (!row)
		return mv_mce_write(vcpu, index, data, false);
	if (row->flags & CONDITIONS || row->pv) {
		err = check_conditions(vcpu, row);
		if (err)
			return err;
	}
	if (row->flags & IGNORE_WRITES)
		return 0;
	if (row->flags & GUEST_READ_ONLY)
		return -EINVAL;
	if ((row->flags & (CONSTANT | GUEST_REWRITES)) == CONSTANT)
		return -EINVAL;
	err = set_value(vcpu, row, index, data, false);
	return err ?: mv_clock_stale(vcpu) || mv_steal_stale(vcpu);
}
EXPORT_SYMBOL_GPL(mv_write_msr);

/* ---- the client's side --------------------------------------------------------- */

/**
 * mv_msr_create() - what a new vCPU needs for its MSRs
 * @vcpu: the vCPU
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int mv_msr_create(struct mv_vcpu *vcpu)
{
	vcpu->msrs = kzalloc(sizeof(*vcpu->msrs), GFP_KERNEL_ACCOUNT);
	return vcpu->msrs ? 0 : -ENOMEM;
}

/**
 * mv_msr_destroy() - undo mv_msr_create()
 * @vcpu: the vCPU
 */
void mv_msr_destroy(struct mv_vcpu *vcpu)
{
	kfree(vcpu->msrs);
}

/* As the host has them: its kernel knows whether REP MOVS and STOS are fast. */
static u64 fast_strings(void)
{
	return boot_cpu_has(X86_FEATURE_REP_GOOD) ?
	       MSR_IA32_MISC_ENABLE_FAST_STRING : 0;
}

/**
 * mv_msr_reset() - MSRs as after a reset (SDM vol. 3, table 10-1)
 * @vcpu: the vCPU
 *
 * mv_state_reset() sets what the vCPU's state in the run loop depends on: EFER,
 * segment bases, IA32_APIC_BASE and the TSC.
 */
void mv_msr_reset(struct mv_vcpu *vcpu)
{
	vcpu->pat = PAT_RESET;
	vcpu->sysenter_cs = 0;
	vcpu->sysenter_esp = 0;
	vcpu->sysenter_eip = 0;
	vcpu->star = 0;
	vcpu->lstar = 0;
	vcpu->cstar = 0;
	vcpu->sfmask = 0;
	vcpu->kernel_gs_base = 0;
	vcpu->tsc_aux = 0;
	vcpu->tsc_adjust = 0;
	mv_mce_reset(vcpu);
	*vcpu->msrs = (struct mv_msr_store) {
		.misc_enable = MISC_ENABLE_RESET | fast_strings(),
		.ucode_rev = UCODE_REV_RESET,
	};
	vcpu->dirty |= MV_STATE_MSRS | MV_STATE_SYSCALL;
}

/*
 * The MSRs that are part of a vCPU's state, written to @indices unless that is
 * NULL. Return: how many, or -EFAULT.
 */
static int list_msrs(u32 __user *indices)
{
	int count = 0;
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].flags & CONSTANT)
			continue;
		if (!row_exists(&rows[i]))
			continue;
		for (n = 0; n < row_count(&rows[i]); n++) {
			if (indices && put_user(rows[i].index + n,
						&indices[count]))
				return -EFAULT;
			count++;
		}
	}
	return count;
}

/**
 * mv_msr_index_list() - MINIVMM_GET_MSR_INDEX_LIST
 * @user: nmsrs in: room; out: how many MSRs a vCPU's state has
 *
 * Context: may sleep. Return: 0, -EFAULT, -E2BIG with nmsrs filled in.
 */
int mv_msr_index_list(struct minivmm_msr_list __user *user)
{
	u32 count = list_msrs(NULL);
	u32 room;

	if (get_user(room, &user->nmsrs) || put_user(count, &user->nmsrs))
		return -EFAULT;
	if (room < count)
		return -E2BIG;
	return list_msrs(user->indices) < 0 ? -EFAULT : 0;
}

static int client_msr(struct mv_vcpu *vcpu, struct minivmm_msr_entry *entry,
		      bool write)
{
	const struct msr_row *row = find_row(entry->index);

	if (!row && write)
		return mv_mce_write(vcpu, entry->index, entry->data, true);
	if (!row)
		return mv_mce_read(vcpu, entry->index, &entry->data);
	if (!mv_guest_has_pv(vcpu, row->pv))
		return -EINVAL;
	mv_need(vcpu, row->dirty);
	if (write)
		return set_value(vcpu, row, entry->index, entry->data, true);
	entry->data = get_value(vcpu, row, entry->index);
	return 0;
}

/* What there is to offer to a guest; a client can ask without having a vCPU. */
static const u32 feature_msrs[] = {
	MSR_IA32_UCODE_REV, MSR_IA32_PERF_CAPABILITIES
};

static int feature_msr(struct minivmm_msr_entry *entry)
{
	switch (entry->index) {
	case MSR_IA32_UCODE_REV:
		entry->data = (u64)boot_cpu_data.microcode << 32;
		return 0;
	case MSR_IA32_PERF_CAPABILITIES:
		entry->data = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Without a vCPU it is about features. */
static int do_msr(struct mv_vcpu *vcpu, struct minivmm_msr_entry *entry,
		  bool write)
{
	return vcpu ? client_msr(vcpu, entry, write) : feature_msr(entry);
}

static int do_msrs(struct mv_vcpu *vcpu, struct minivmm_msrs __user *user,
		   bool write)
{
	struct minivmm_msr_entry *entries;
	size_t size;
	int done;
	u32 n;

	if (get_user(n, &user->nmsrs))
		return -EFAULT;
	if (n >= MV_MAX_MSRS)
		return -E2BIG;
	size = array_size(n, sizeof(*entries));
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);

	for (done = 0; done < n; done++) {
		if (do_msr(vcpu, &entries[done], write))
			break;
	}
	if (!write && copy_to_user(user->entries, entries, size))
		done = -EFAULT;
	kfree(entries);
	return done;
}

/**
 * mv_get_msrs() - MINIVMM_GET_MSRS
 * @vcpu: the vCPU
 * @user: entries[].index in, entries[].data out
 *
 * Context: may sleep.
 * Return: how many were read, up to the first that does not exist; -EFAULT,
 * -E2BIG, -ENOMEM.
 */
int mv_get_msrs(struct mv_vcpu *vcpu, struct minivmm_msrs __user *user)
{
	return do_msrs(vcpu, user, false);
}

/**
 * mv_get_msr_features() - MINIVMM_GET_MSRS on the device
 * @user: as for mv_get_msrs(), and so is the result
 */
int mv_get_msr_features(struct minivmm_msrs __user *user)
{
	return do_msrs(NULL, user, false);
}

/**
 * mv_msr_feature_list() - MINIVMM_GET_MSR_FEATURE_INDEX_LIST
 * @user: as for mv_msr_index_list()
 *
 * Context: may sleep. Return: 0, -EFAULT, -E2BIG with nmsrs filled in.
 */
int mv_msr_feature_list(struct minivmm_msr_list __user *user)
{
	u32 room, count = ARRAY_SIZE(feature_msrs);

	if (get_user(room, &user->nmsrs) || put_user(count, &user->nmsrs))
		return -EFAULT;
	if (room < count)
		return -E2BIG;
	return copy_to_user(user->indices, feature_msrs,
			    sizeof(feature_msrs)) ? -EFAULT : 0;
}

/**
 * mv_set_msrs() - MINIVMM_SET_MSRS
 * @vcpu: the vCPU
 * @user: the MSRs to write
 *
 * Context: may sleep.
 * Return: how many were written, up to the first that does not exist or cannot
 * have the value; -EFAULT, -E2BIG, -ENOMEM.
 */
int mv_set_msrs(struct mv_vcpu *vcpu, struct minivmm_msrs __user *user)
{
	return do_msrs(vcpu, user, true);
}

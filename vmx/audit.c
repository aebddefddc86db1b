// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why did VM entry fail? The CPU only says that some check broke, so this file
 * makes all the checks that the SDM lists and names those that the current
 * VMCS breaks: 27.2 for the controls and the host's state (VMfail with error
 * 7 or 8), 27.3.1 for the guest's state (exit reason 33 with bit 31 set).
 *
 * Each function below is one section of the SDM, in its order and its words.
 * What depends on a control that minivmm never sets has no check: an entry
 * that fails there gets the dump.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <uapi/asm/debugreg.h>
#include <asm/processor.h>
#include "compat.h"
#include "hw.h"
#include "vmx.h"

enum vmx_ctl { CTL_PIN, CTL_PRIMARY, CTL_SECONDARY, CTL_EXIT, CTL_ENTRY,
	       NR_CTLS };

/**
 * struct audit - the VMCS, as far as more than one check looks at it
 * @section: of the SDM, the one being checked
 * @reg: the register being checked, the first half of a field's name
 * @broken: checks that failed so far
 * @phys_reserved: bits beyond the CPU's physical-address width
 * @virt_bits: the CPU's linear-address width
 * @ctl: the controls, by enum vmx_ctl
 * @cr0: the guest's CR0
 * @cr4: the guest's CR4
 * @rflags: the guest's RFLAGS
 * @event: the VM-entry interruption-information field, 0 if not valid
 * @shadow: the interruptibility state
 * @activity: the activity state
 * @unrestricted: "unrestricted guest" is 1
 * @long_mode: "IA-32e mode guest" is 1
 * @v86: the guest will be in virtual-8086 mode
 * @seg: the guest's segment registers
 */
struct audit {
	const char *section;
	const char *reg;
	unsigned int broken;
	u64 phys_reserved;
	unsigned int virt_bits;
	u32 ctl[NR_CTLS];
	u64 cr0, cr4, rflags;
	u32 event, shadow, activity;
	bool unrestricted, long_mode, v86;
	struct mv_segment seg[MV_NR_SEGS];
};

static void require(struct audit *a, bool ok, const char *field, u64 value,
		    const char *rule)
{
	if (ok)
		return;
	pr_warn("minivmm: VM entry check failed: %s%s=%#llx: %s (SDM %s)\n",
		a->reg, field, value, rule, a->section);
	a->broken++;
}

static bool is_canonical(const struct audit *a, u64 address)
{
	unsigned int shift = 64 - a->virt_bits;

	return (u64)((s64)(address << shift) >> shift) == address;
}

static void check_canonical(struct audit *a, const char *field, u64 address)
{
	require(a, is_canonical(a, address), field, address,
		"must contain a canonical address");
}

static void check_pat(struct audit *a, u64 pat)
{
	const u8 valid = BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7);
	bool ok = true;
	int i;

	for (i = 0; i < 64; i += 8)
		ok = ok && (pat >> i & 0xff) < 8 && valid & BIT(pat >> i & 7);
	require(a, ok, "PAT", pat,
		"each byte must be 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)");
}

/* Bits 61 and 62 of CR3 turn on linear-address masking, where there is any. */
static u64 cr3_reserved(const struct audit *a)
{
	bool lam = cpuid_eax(0) >= 7 && cpuid_eax(7) >= 1;
	u32 eax = 0, ebx, ecx, edx;

	if (lam)
		cpuid_count(7, 1, &eax, &ebx, &ecx, &edx);
	return a->phys_reserved & ~(eax & BIT(26) ? BIT_ULL(61) | BIT_ULL(62) : 0);
}

/* ---- 27.2.1: VMX controls ------------------------------------------------- */

static const struct {
	const char *name;
	u32 field, msr, true_msr;
} ctls[NR_CTLS] = {
	[CTL_PIN] = { "pin-based controls", PIN_BASED_VM_EXEC_CONTROL,
		      MSR_IA32_VMX_PINBASED_CTLS,
		      MSR_IA32_VMX_TRUE_PINBASED_CTLS },
	[CTL_PRIMARY] = { "primary controls", CPU_BASED_VM_EXEC_CONTROL,
			  MSR_IA32_VMX_PROCBASED_CTLS,
			  MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
	[CTL_SECONDARY] = { "secondary controls", SECONDARY_VM_EXEC_CONTROL,
			    MSR_IA32_VMX_PROCBASED_CTLS2,
			    MSR_IA32_VMX_PROCBASED_CTLS2 },
	[CTL_EXIT] = { "VM-exit controls", VM_EXIT_CONTROLS,
		       MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
	[CTL_ENTRY] = { "VM-entry controls", VM_ENTRY_CONTROLS,
			MSR_IA32_VMX_ENTRY_CTLS,
			MSR_IA32_VMX_TRUE_ENTRY_CTLS },
};

/* Appendix A.3 to A.5: the low half must be 1, the high half may be 1. */
static void check_reserved_controls(struct audit *a)
{
	bool have_true = hw_rdmsr(MSR_IA32_VMX_BASIC) & BIT_ULL(55);
	int i;

	for (i = 0; i < NR_CTLS; i++) {
		u64 cap = hw_rdmsr(have_true ? ctls[i].true_msr : ctls[i].msr);
		u32 must = cap, may = cap >> 32;

		require(a, !(must & ~a->ctl[i]) && !(a->ctl[i] & ~may),
			ctls[i].name, a->ctl[i],
			"reserved bits must be set properly");
	}
}

/* If @bit of @ctl is @value, @bit2 of @ctl2 must be @value2. */
static const struct {
	enum vmx_ctl ctl;
	u32 bit;
	bool value;
	enum vmx_ctl ctl2;
	u32 bit2;
	bool value2;
	const char *rule;
} implications[] = {
	{ CTL_PIN, PIN_BASED_NMI_EXITING, false,
	  CTL_PIN, PIN_BASED_VIRTUAL_NMIS, false,
	  "if \"NMI exiting\" is 0, \"virtual NMIs\" must be 0" },
	{ CTL_PIN, PIN_BASED_VIRTUAL_NMIS, false,
	  CTL_PRIMARY, CPU_BASED_NMI_WINDOW_EXITING, false,
	  "if \"virtual NMIs\" is 0, \"NMI-window exiting\" must be 0" },
	{ CTL_SECONDARY, SECONDARY_EXEC_UNRESTRICTED_GUEST, true,
	  CTL_SECONDARY, SECONDARY_EXEC_ENABLE_EPT, true,
	  "if \"unrestricted guest\" is 1, \"enable EPT\" must be 1" },
	{ CTL_SECONDARY, SECONDARY_EXEC_ENABLE_PML, true,
	  CTL_SECONDARY, SECONDARY_EXEC_ENABLE_EPT, true,
	  "if \"enable PML\" is 1, \"enable EPT\" must be 1" },
	{ CTL_PRIMARY, CPU_BASED_TPR_SHADOW, false,
	  CTL_SECONDARY, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, false,
	  "if \"use TPR shadow\" is 0, \"virtualize x2APIC mode\" must be 0" },
	{ CTL_PRIMARY, CPU_BASED_TPR_SHADOW, false,
	  CTL_SECONDARY, SECONDARY_EXEC_APIC_REGISTER_VIRT, false,
	  "if \"use TPR shadow\" is 0, \"APIC-register virtualization\" must be 0" },
	{ CTL_PRIMARY, CPU_BASED_TPR_SHADOW, false,
	  CTL_SECONDARY, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, false,
	  "if \"use TPR shadow\" is 0, \"virtual-interrupt delivery\" must be 0" },
	{ CTL_SECONDARY, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, true,
	  CTL_SECONDARY, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, false,
	  "if \"virtualize x2APIC mode\" is 1, \"virtualize APIC accesses\" must be 0" },
	{ CTL_SECONDARY, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, true,
	  CTL_PIN, PIN_BASED_EXT_INTR_MASK, true,
	  "if \"virtual-interrupt delivery\" is 1, \"external-interrupt exiting\" must be 1" },
	{ CTL_PIN, PIN_BASED_POSTED_INTR, true,
	  CTL_SECONDARY, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, true,
	  "if \"process posted interrupts\" is 1, \"virtual-interrupt delivery\" must be 1" },
	{ CTL_PIN, PIN_BASED_POSTED_INTR, true,
	  CTL_EXIT, VM_EXIT_ACK_INTR_ON_EXIT, true,
	  "if \"process posted interrupts\" is 1, \"acknowledge interrupt on exit\" must be 1" },
	{ CTL_PIN, PIN_BASED_VMX_PREEMPTION_TIMER, false,
	  CTL_EXIT, VM_EXIT_SAVE_VMX_PREEMPTION_TIMER, false,
	  "if the VMX-preemption timer is not activated, \"save\" of its value must be 0" },
};

static void check_implications(struct audit *a)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(implications); i++) {
		u32 ctl = a->ctl[implications[i].ctl];
		u32 ctl2 = a->ctl[implications[i].ctl2];
		bool value = ctl & implications[i].bit;
		bool value2 = ctl2 & implications[i].bit2;

		require(a, value != implications[i].value ||
			value2 == implications[i].value2,
			ctls[implications[i].ctl2].name, ctl2,
			implications[i].rule);
	}
}

static void check_eptp(struct audit *a)
{
	u64 eptp = vmcs_read(EPT_POINTER);
	u64 cap = hw_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	u64 type = eptp & VMX_EPTP_MT_MASK, walk = eptp & VMX_EPTP_PWL_MASK;

	require(a, (type == VMX_EPTP_MT_WB && cap & VMX_EPTP_WB_BIT) ||
		(type == VMX_EPTP_MT_UC && cap & VMX_EPTP_UC_BIT),
		"EPTP", eptp, "bits 2:0 must be a supported EPT memory type");
	require(a, (walk == VMX_EPTP_PWL_4 && cap & VMX_EPT_PAGE_WALK_4_BIT) ||
		(walk == VMX_EPTP_PWL_5 && cap & VMX_EPT_PAGE_WALK_5_BIT),
		"EPTP", eptp,
		"bits 5:3 must be one less than a supported page-walk length");
	require(a, !(eptp & VMX_EPTP_AD_ENABLE_BIT) || cap & VMX_EPT_AD_BIT,
		"EPTP", eptp,
		"bit 6 must be 0 if accessed and dirty flags are not supported");
	require(a, !(eptp & (GENMASK_ULL(11, 7) | a->phys_reserved)), "EPTP",
		eptp, "reserved bits must be 0");
}

static void check_page(struct audit *a, const char *name, u64 address)
{
	require(a, !(address & (GENMASK_ULL(11, 0) | a->phys_reserved)), name,
		address,
		"must be 4-KByte aligned and within the physical-address width");
}

/* 27.2.1.1 */
static void check_execution_controls(struct audit *a)
{
	u32 targets = vmcs_read(CR3_TARGET_COUNT);

	check_reserved_controls(a);
	check_implications(a);
	require(a, targets <= (vmx_config.misc >> 16 & 0x1ff), "CR3-target count",
		targets, "must not exceed the number of CR3-target values");
	if (a->ctl[CTL_PRIMARY] & CPU_BASED_USE_MSR_BITMAPS)
		check_page(a, "MSR-bitmap address", vmcs_read(MSR_BITMAP));
	if (a->ctl[CTL_PRIMARY] & CPU_BASED_TPR_SHADOW)
		check_page(a, "virtual-APIC address",
			   vmcs_read(VIRTUAL_APIC_PAGE_ADDR));
	if (a->ctl[CTL_SECONDARY] & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
		check_page(a, "APIC-access address",
			   vmcs_read(APIC_ACCESS_ADDR));
	if (a->ctl[CTL_SECONDARY] & SECONDARY_EXEC_ENABLE_VPID)
		require(a, vmcs_read(VIRTUAL_PROCESSOR_ID), "VPID", 0,
			"must not be 0 if \"enable VPID\" is 1");
	if (a->ctl[CTL_SECONDARY] & SECONDARY_EXEC_ENABLE_EPT)
		check_eptp(a);
	if (a->ctl[CTL_SECONDARY] & SECONDARY_EXEC_ENABLE_PML)
		check_page(a, "PML address", vmcs_read(PML_ADDRESS));
}

static void check_msr_area(struct audit *a, const char *name,
			   unsigned long count_field, unsigned long addr_field)
{
	u64 addr = vmcs_read(addr_field);

	if (vmcs_read(count_field))
		require(a, !(addr & (GENMASK_ULL(3, 0) | a->phys_reserved)), name,
			addr,
			"must be 16-byte aligned and within the physical-address width");
}

/* 27.2.1.2 */
static void check_exit_controls(struct audit *a)
{
	check_msr_area(a, "VM-exit MSR-store address", VM_EXIT_MSR_STORE_COUNT,
		       VM_EXIT_MSR_STORE_ADDR);
	check_msr_area(a, "VM-exit MSR-load address", VM_EXIT_MSR_LOAD_COUNT,
		       VM_EXIT_MSR_LOAD_ADDR);
}

static u32 event_type(const struct audit *a)
{
	return a->event & INTR_INFO_INTR_TYPE_MASK;
}

static u8 event_vector(const struct audit *a)
{
	return a->event & INTR_INFO_VECTOR_MASK;
}

static bool event_is(const struct audit *a, u32 type)
{
	return (a->event & INTR_INFO_VALID_MASK) && event_type(a) == type;
}

/* An instruction's event: the return address depends on its length. */
static bool event_is_soft(const struct audit *a)
{
	return event_is(a, INTR_TYPE_SOFT_INTR) ||
	       event_is(a, INTR_TYPE_PRIV_SW_EXCEPTION) ||
	       event_is(a, INTR_TYPE_SOFT_EXCEPTION);
}

/* IA32_VMX_BASIC[56] frees software from the rule about vectors. */
static bool error_code_ok(const struct audit *a)
{
	const u32 with_error = BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) |
			       BIT(14) | BIT(17) | BIT(21);
	bool deliver = a->event & INTR_INFO_DELIVER_CODE_MASK;

	if (event_type(a) != INTR_TYPE_HARD_EXCEPTION ||
	    (a->unrestricted && !(a->cr0 & X86_CR0_PE)))
		return !deliver;
	if (event_vector(a) > 31 || hw_rdmsr(MSR_IA32_VMX_BASIC) & BIT_ULL(56))
		return true;
	return deliver == !!(with_error & BIT(event_vector(a)));
}

static void check_event(struct audit *a)
{
	const char *name = "interruption-information";
	u32 length = vmcs_read(VM_ENTRY_INSTRUCTION_LEN);
	u32 error = vmcs_read(VM_ENTRY_EXCEPTION_ERROR_CODE);
	bool zero_ok = vmx_config.misc & VMX_MISC_ZERO_LEN_INS;

	require(a, !event_is(a, INTR_TYPE_RESERVED), name, a->event,
		"the interruption type must not be the reserved value 1");
	require(a, !event_is(a, INTR_TYPE_NMI_INTR) || event_vector(a) == 2,
		name, a->event, "if the type is NMI, the vector must be 2");
	require(a, !event_is(a, INTR_TYPE_HARD_EXCEPTION) ||
		event_vector(a) <= 31,
		name, a->event,
		"if the type is hardware exception, the vector must be at most 31");
	require(a, !event_is(a, INTR_TYPE_OTHER_EVENT) || !event_vector(a),
		name, a->event, "if the type is other event, the vector must be 0");
	require(a, error_code_ok(a), name, a->event,
		"deliver-error-code must be 1 exactly for protected-mode hardware exceptions with an error code");
	require(a, !(a->event & GENMASK(30, 12)), name, a->event,
		"reserved bits 30:12 must be 0");
	if (a->event & INTR_INFO_DELIVER_CODE_MASK)
		require(a, !(error & GENMASK(31, 16)), "exception error code",
			error, "bits 31:16 must be 0");
	if (event_is_soft(a))
		require(a, length <= 15 && (length || zero_ok),
			"instruction length", length,
			"must be in the range 1 to 15 for a software event");
}

/* 27.2.1.3 */
static void check_entry_controls(struct audit *a)
{
	if (a->event & INTR_INFO_VALID_MASK)
		check_event(a);
	check_msr_area(a, "VM-entry MSR-load address", VM_ENTRY_MSR_LOAD_COUNT,
		       VM_ENTRY_MSR_LOAD_ADDR);
	require(a, !(a->ctl[CTL_ENTRY] &
		     (VM_ENTRY_SMM | VM_ENTRY_DEACT_DUAL_MONITOR)),
		ctls[CTL_ENTRY].name, a->ctl[CTL_ENTRY],
		"\"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0 outside SMM");
}

/* ---- 27.2.2 to 27.2.4: the host's state ------------------------------------ */

/* Bits @fixed0 must be 1, bits outside @fixed1 must be 0 (SDM A.7, A.8). */
static void check_fixed(struct audit *a, const char *name, u64 value,
			u64 fixed0, u64 fixed1, u64 unchecked)
{
	u64 wrong = ((~value & fixed0) | (value & ~fixed1)) & ~unchecked;

	require(a, !wrong, name, value,
		"must not set any bit to a value not supported in VMX operation");
}

/* 27.2.2 */
static void check_host_registers(struct audit *a)
{
	u64 cr3 = vmcs_read(HOST_CR3), efer = vmcs_read(HOST_IA32_EFER);
	u64 both = EFER_LMA | EFER_LME;

	check_fixed(a, "CR0", vmcs_read(HOST_CR0), vmx_config.cr0_fixed0,
		    vmx_config.cr0_fixed1, 0);
	check_fixed(a, "CR4", vmcs_read(HOST_CR4), vmx_config.cr4_fixed0,
		    vmx_config.cr4_fixed1, 0);
	require(a, !(cr3 & cr3_reserved(a)), "CR3", cr3,
		"bits beyond the physical-address width must be 0");
	check_canonical(a, "SYSENTER_ESP", vmcs_read(HOST_IA32_SYSENTER_ESP));
	check_canonical(a, "SYSENTER_EIP", vmcs_read(HOST_IA32_SYSENTER_EIP));
	if (a->ctl[CTL_EXIT] & VM_EXIT_LOAD_IA32_PAT)
		check_pat(a, vmcs_read(HOST_IA32_PAT));
	if (a->ctl[CTL_EXIT] & VM_EXIT_LOAD_IA32_EFER)
		require(a, (efer & both) == both, "EFER", efer,
			"LMA and LME must each equal \"host address-space size\"");
}

/* 27.2.3 */
static void check_host_segments(struct audit *a)
{
	static const struct {
		const char *selector;
		u32 field;
		bool maybe_null;
	} selectors[] = {
		{ "CS.selector", HOST_CS_SELECTOR, false },
		{ "SS.selector", HOST_SS_SELECTOR, true },
		{ "DS.selector", HOST_DS_SELECTOR, true },
		{ "ES.selector", HOST_ES_SELECTOR, true },
		{ "FS.selector", HOST_FS_SELECTOR, true },
		{ "GS.selector", HOST_GS_SELECTOR, true },
		{ "TR.selector", HOST_TR_SELECTOR, false },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(selectors); i++) {
		u16 selector = vmcs_read(selectors[i].field);

		require(a, !(selector & 7), selectors[i].selector, selector,
			"RPL and the TI flag must be 0");
		require(a, selector || selectors[i].maybe_null,
			selectors[i].selector, selector, "must not be 0");
	}
	check_canonical(a, "FS.base", vmcs_read(HOST_FS_BASE));
	check_canonical(a, "GS.base", vmcs_read(HOST_GS_BASE));
	check_canonical(a, "GDTR.base", vmcs_read(HOST_GDTR_BASE));
	check_canonical(a, "IDTR.base", vmcs_read(HOST_IDTR_BASE));
	check_canonical(a, "TR.base", vmcs_read(HOST_TR_BASE));
}

/* 27.2.4, for the only hosts there are: 64-bit ones */
static void check_host_address_space(struct audit *a)
{
	u64 cr4 = vmcs_read(HOST_CR4);

	require(a, a->ctl[CTL_EXIT] & VM_EXIT_HOST_ADDR_SPACE_SIZE,
		"VM-exit controls", a->ctl[CTL_EXIT],
		"\"host address-space size\" must be 1 in IA-32e mode");
	require(a, cr4 & X86_CR4_PAE, "CR4", cr4, "PAE must be 1");
	check_canonical(a, "RIP", vmcs_read(HOST_RIP));
}

/* ---- 27.3.1.1: control registers, debug registers and MSRs ------------------ */

static void check_guest_crs(struct audit *a)
{
	u64 unchecked = X86_CR0_NW | X86_CR0_CD;
	u64 cr3 = vmcs_read(GUEST_CR3);

	if (a->unrestricted)
		unchecked |= X86_CR0_PE | X86_CR0_PG;
	check_fixed(a, "CR0", a->cr0, vmx_config.cr0_fixed0,
		    vmx_config.cr0_fixed1, unchecked);
	require(a, !(a->cr0 & X86_CR0_PG) || a->cr0 & X86_CR0_PE, "CR0", a->cr0,
		"if PG is 1, PE must be 1");
	check_fixed(a, "CR4", a->cr4, vmx_config.cr4_fixed0,
		    vmx_config.cr4_fixed1, 0);
	require(a, !(a->cr4 & BIT(23)) || a->cr0 & X86_CR0_WP, "CR4", a->cr4,
		"if CET is 1, CR0.WP must be 1");
	require(a, !a->long_mode || a->cr0 & X86_CR0_PG, "CR0", a->cr0,
		"if \"IA-32e mode guest\" is 1, PG must be 1");
	require(a, !a->long_mode || a->cr4 & X86_CR4_PAE, "CR4", a->cr4,
		"if \"IA-32e mode guest\" is 1, PAE must be 1");
	require(a, a->long_mode || !(a->cr4 & X86_CR4_PCIDE), "CR4", a->cr4,
		"if \"IA-32e mode guest\" is 0, PCIDE must be 0");
	require(a, !(cr3 & cr3_reserved(a)), "CR3", cr3,
		"bits beyond the physical-address width must be 0");
}

static void check_guest_efer(struct audit *a)
{
	const u64 known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
	u64 efer = vmcs_read(GUEST_IA32_EFER);
	bool lma = efer & EFER_LMA;

	require(a, !(efer & ~known), "EFER", efer, "reserved bits must be 0");
	require(a, lma == a->long_mode, "EFER", efer,
		"LMA must equal \"IA-32e mode guest\"");
	require(a, !(a->cr0 & X86_CR0_PG) || lma == !!(efer & EFER_LME), "EFER",
		efer, "if CR0.PG is 1, LMA must equal LME");
}

static void check_guest_registers(struct audit *a)
{
	u64 debugctl_reserved = GENMASK_ULL(5, 3) | GENMASK_ULL(63, 16);
	u64 debugctl = vmcs_read(GUEST_IA32_DEBUGCTL);
	u64 dr7 = vmcs_read(GUEST_DR7);

	check_guest_crs(a);
	if (a->ctl[CTL_ENTRY] & VM_ENTRY_LOAD_DEBUG_CONTROLS) {
		require(a, !(debugctl & debugctl_reserved), "DEBUGCTL", debugctl,
			"reserved bits must be 0");
		require(a, !(dr7 & GENMASK_ULL(63, 32)), "DR7", dr7,
			"bits 63:32 must be 0");
	}
	check_canonical(a, "SYSENTER_ESP", vmcs_read(GUEST_SYSENTER_ESP));
	check_canonical(a, "SYSENTER_EIP", vmcs_read(GUEST_SYSENTER_EIP));
	if (a->ctl[CTL_ENTRY] & VM_ENTRY_LOAD_IA32_PAT)
		check_pat(a, vmcs_read(GUEST_IA32_PAT));
	if (a->ctl[CTL_ENTRY] & VM_ENTRY_LOAD_IA32_EFER)
		check_guest_efer(a);
}

/* ---- 27.3.1.2: segment registers ---------------------------------------------- */

static const char * const seg_names[MV_NR_SEGS] = {
	"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"
};

static bool usable(const struct mv_segment *s)
{
	return !(s->ar & MV_AR_UNUSABLE);
}

static u8 rpl(const struct mv_segment *s)
{
	return s->selector & 3;
}

static void check_selectors(struct audit *a)
{
	const struct mv_segment *seg = a->seg;

	require(a, !(seg[MV_TR].selector & 4), "TR.selector",
		seg[MV_TR].selector, "the TI flag must be 0");
	require(a, !usable(&seg[MV_LDTR]) || !(seg[MV_LDTR].selector & 4),
		"LDTR.selector", seg[MV_LDTR].selector,
		"if LDTR is usable, the TI flag must be 0");
	if (!a->v86 && !a->unrestricted)
		require(a, rpl(&seg[MV_SS]) == rpl(&seg[MV_CS]), "SS.RPL",
			rpl(&seg[MV_SS]), "must equal CS.RPL");
}

/* In virtual-8086 mode the hidden parts are those of a real-mode segment. */
static void check_v86_segment(struct audit *a, const struct mv_segment *s)
{
	require(a, s->base == s->selector * 16ull, ".base", s->base,
		"must be the selector times 16 in virtual-8086 mode");
	require(a, s->limit == 0xffff, ".limit", s->limit,
		"must be FFFFH in virtual-8086 mode");
	require(a, s->ar == 0xf3, ".AR", s->ar,
		"must be F3H in virtual-8086 mode");
}

static void check_base(struct audit *a, enum mv_seg n)
{
	const struct mv_segment *s = &a->seg[n];

	if (n == MV_TR || n == MV_FS || n == MV_GS ||
	    (n == MV_LDTR && usable(s)))
		check_canonical(a, ".base", s->base);
	else if (n == MV_CS || usable(s))
		require(a, !(s->base >> 32), ".base", s->base,
			"bits 63:32 must be 0");
}

/* What holds for every usable segment's descriptor, of whatever type */
static void check_common(struct audit *a, const struct mv_segment *s, bool system)
{
	bool code_or_data = s->ar & MV_AR_S;
	bool pages = s->ar & MV_AR_G;

	require(a, code_or_data != system, ".S", code_or_data,
		system ? "must be 0 (system)" : "must be 1 (code or data)");
	require(a, s->ar & MV_AR_P, ".P", 0, "must be 1 (present)");
	require(a, !(s->ar & (GENMASK(11, 8) | GENMASK(31, 17))), ".AR", s->ar,
		"reserved bits 11:8 and 31:17 must be 0");
	require(a, (s->limit & 0xfff) == 0xfff || !pages, ".limit", s->limit,
		"if any bit in 11:0 is 0, G must be 0");
	require(a, !(s->limit & 0xfff00000) || pages, ".limit", s->limit,
		"if any bit in 31:20 is 1, G must be 1");
}

static void check_cs(struct audit *a)
{
	const struct mv_segment *cs = &a->seg[MV_CS];
	u8 type = cs->ar & MV_AR_TYPE, dpl = MV_AR_DPL(cs->ar);
	u8 ss_dpl = MV_AR_DPL(a->seg[MV_SS].ar);

	require(a, (type & 9) == 9 || (type == 3 && a->unrestricted), ".type",
		type, a->unrestricted ? "must be 3, 9, 11, 13 or 15" :
					"must be 9, 11, 13 or 15");
	require(a, type != 3 || !dpl, ".DPL", dpl, "must be 0 if the type is 3");
	require(a, (type & 13) != 9 || dpl == ss_dpl, ".DPL", dpl,
		"must equal SS.DPL if the type is 9 or 11");
	require(a, (type & 13) != 13 || dpl <= ss_dpl, ".DPL", dpl,
		"must not exceed SS.DPL if the type is 13 or 15");
	require(a, !a->long_mode || !(cs->ar & MV_AR_L) || !(cs->ar & MV_AR_DB),
		".AR", cs->ar, "in IA-32e mode, if L is 1, D/B must be 0");
	check_common(a, cs, false);
}

static void check_ss(struct audit *a)
{
	const struct mv_segment *ss = &a->seg[MV_SS];
	u8 type = ss->ar & MV_AR_TYPE, dpl = MV_AR_DPL(ss->ar);
	u8 cs_type = a->seg[MV_CS].ar & MV_AR_TYPE;

	require(a, a->unrestricted || dpl == rpl(ss), ".DPL", dpl,
		"must equal SS.RPL");
	require(a, cs_type != 3 || !dpl, ".DPL", dpl,
		"must be 0 if the type of CS is 3");
	require(a, a->cr0 & X86_CR0_PE || !dpl, ".DPL", dpl,
		"must be 0 if CR0.PE is 0");
	if (!usable(ss))
		return;
	require(a, type == 3 || type == 7, ".type", type, "must be 3 or 7");
	check_common(a, ss, false);
}

static void check_data_segment(struct audit *a, const struct mv_segment *s)
{
	u8 type = s->ar & MV_AR_TYPE, dpl = MV_AR_DPL(s->ar);

	if (!usable(s))
		return;
	require(a, type & 1, ".type", type, "bit 0 (accessed) must be 1");
	require(a, !(type & 8) || type & 2, ".type", type,
		"if bit 3 (code) is 1, bit 1 (readable) must be 1");
	require(a, a->unrestricted || type > 11 || dpl >= rpl(s), ".DPL", dpl,
		"must not be less than the selector's RPL");
	check_common(a, s, false);
}

static void check_tr(struct audit *a)
{
	const struct mv_segment *tr = &a->seg[MV_TR];
	u8 type = tr->ar & MV_AR_TYPE;

	require(a, type == 11 || (type == 3 && !a->long_mode), ".type", type,
		a->long_mode ? "must be 11 (64-bit busy TSS)" :
			       "must be 3 or 11 (16-bit or 32-bit busy TSS)");
	require(a, usable(tr), ".unusable", 1, "must be 0");
	check_common(a, tr, true);
}

static void check_ldtr(struct audit *a)
{
	const struct mv_segment *ldtr = &a->seg[MV_LDTR];
	u8 type = ldtr->ar & MV_AR_TYPE;

	if (!usable(ldtr))
		return;
	require(a, type == 2, ".type", type, "must be 2 (LDT)");
	check_common(a, ldtr, true);
}

static void check_segments(struct audit *a)
{
	enum mv_seg n;

	check_selectors(a);
	for (n = 0; n < MV_NR_SEGS; n++) {
		a->reg = seg_names[n];
		check_base(a, n);
		if (n == MV_TR)
			check_tr(a);
		else if (n == MV_LDTR)
			check_ldtr(a);
		else if (a->v86)
			check_v86_segment(a, &a->seg[n]);
		else if (n == MV_CS)
			check_cs(a);
		else if (n == MV_SS)
			check_ss(a);
		else
			check_data_segment(a, &a->seg[n]);
	}
	a->reg = "";
}

/* ---- 27.3.1.3: descriptor-table registers --------------------------------------- */

static void check_tables(struct audit *a)
{
	u32 gdt_limit = vmcs_read(GUEST_GDTR_LIMIT);
	u32 idt_limit = vmcs_read(GUEST_IDTR_LIMIT);

	check_canonical(a, "GDTR.base", vmcs_read(GUEST_GDTR_BASE));
	check_canonical(a, "IDTR.base", vmcs_read(GUEST_IDTR_BASE));
	require(a, gdt_limit <= 0xffff, "GDTR.limit", gdt_limit,
		"bits 31:16 must be 0");
	require(a, idt_limit <= 0xffff, "IDTR.limit", idt_limit,
		"bits 31:16 must be 0");
}

/* ---- 27.3.1.4: RIP and RFLAGS ----------------------------------------------------- */

static void check_rip_rflags(struct audit *a)
{
	u64 reserved = GENMASK_ULL(63, 22) | BIT(15) | BIT(5) | BIT(3);
	u64 rip = vmcs_read(GUEST_RIP);
	/* The CPU does not ask for bit N-1 to be the same, as canonical is. */
	s64 high = (s64)rip >> a->virt_bits;

	if (a->long_mode && a->seg[MV_CS].ar & MV_AR_L)
		require(a, !high || high == -1, "RIP", rip,
			"bits beyond the linear-address width must be identical");
	else
		require(a, !(rip >> 32), "RIP", rip,
			"bits 63:32 must be 0 outside 64-bit mode");
	require(a, !(a->rflags & reserved), "RFLAGS.reserved", a->rflags,
		"bits 63:22, 15, 5 and 3 must be 0");
	require(a, a->rflags & X86_EFLAGS_FIXED, "RFLAGS.reserved", a->rflags,
		"bit 1 must be 1");
	if (a->long_mode || !(a->cr0 & X86_CR0_PE))
		require(a, !(a->rflags & X86_EFLAGS_VM), "RFLAGS.VM", a->rflags,
			"must be 0 in IA-32e mode or if CR0.PE is 0");
	if (event_is(a, INTR_TYPE_EXT_INTR))
		require(a, a->rflags & X86_EFLAGS_IF, "RFLAGS.IF", a->rflags,
			"must be 1 to inject an external interrupt");
}

/* ---- 27.3.1.5: state that is not in a register --------------------------------------- */

/* Does the activity state block the event that this entry injects? */
static bool event_blocked(const struct audit *a)
{
	u8 vector = event_vector(a);
	bool mc = event_is(a, INTR_TYPE_HARD_EXCEPTION) && vector == 18;
	bool db = event_is(a, INTR_TYPE_HARD_EXCEPTION) && vector == 1;

	switch (a->activity) {
	case GUEST_ACTIVITY_HLT:
		return !event_is(a, INTR_TYPE_EXT_INTR) &&
		       !event_is(a, INTR_TYPE_NMI_INTR) && !mc && !db &&
		       !event_is(a, INTR_TYPE_OTHER_EVENT);
	case GUEST_ACTIVITY_SHUTDOWN:
		return !event_is(a, INTR_TYPE_NMI_INTR) && !mc;
	default:
		return a->activity == GUEST_ACTIVITY_WAIT_SIPI;
	}
}

static void check_activity(struct audit *a)
{
	u32 state = a->activity;
	/* IA32_VMX_MISC[8:6] report the states 3:1; 0 is always there. */
	bool supported = !state || (state < 4 && vmx_config.misc & BIT(5 + state));

	require(a, supported, "activity", state,
		"must be an activity state supported by the processor");
	require(a, state != GUEST_ACTIVITY_HLT || !MV_AR_DPL(a->seg[MV_SS].ar),
		"activity", state, "must not be HLT if SS.DPL is not 0");
	require(a, !state ||
		!(a->shadow & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)),
		"activity", state,
		"must be active if STI or MOV SS blocks events");
	require(a, !(a->event & INTR_INFO_VALID_MASK) || !event_blocked(a),
		"activity", state, "must not block the event being injected");
}

static void check_interruptibility(struct audit *a)
{
	const char *name = "interruptibility";
	bool sti = a->shadow & GUEST_INTR_STATE_STI;
	bool movss = a->shadow & GUEST_INTR_STATE_MOV_SS;
	bool virtual_nmis = a->ctl[CTL_PIN] & PIN_BASED_VIRTUAL_NMIS;

	require(a, !(a->shadow & GENMASK(31, 5)), name, a->shadow,
		"reserved bits 31:5 must be 0");
	require(a, !sti || !movss, name, a->shadow,
		"blocking by STI and by MOV SS must not both be 1");
	require(a, !sti || a->rflags & X86_EFLAGS_IF, name, a->shadow,
		"blocking by STI must be 0 if RFLAGS.IF is 0");
	if (event_is(a, INTR_TYPE_EXT_INTR))
		require(a, !sti && !movss, name, a->shadow,
			"blocking by STI and by MOV SS must be 0 to inject an external interrupt");
	require(a, !(a->shadow & GUEST_INTR_STATE_SMI), name, a->shadow,
		"blocking by SMI must be 0 outside SMM");
	if (event_is(a, INTR_TYPE_NMI_INTR)) {
		require(a, !movss, name, a->shadow,
			"blocking by MOV SS must be 0 to inject an NMI");
		require(a, !sti, name, a->shadow,
			"blocking by STI must be 0 to inject an NMI, on some processors");
		require(a, !virtual_nmis || !(a->shadow & GUEST_INTR_STATE_NMI),
			name, a->shadow,
			"blocking by NMI must be 0 to inject an NMI");
	}
	require(a, !(a->shadow & GUEST_INTR_STATE_ENCLAVE_INTR) || !movss, name,
		a->shadow, "an enclave interruption excludes blocking by MOV SS");
}

/* The single-step trap must be as TF left it, if an event can still be held. */
static void check_pending_debug(struct audit *a)
{
	u64 reserved = GENMASK_ULL(10, 4) | BIT(13) | BIT(15) |
		       GENMASK_ULL(63, 17);
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);
	bool btf = vmcs_read(GUEST_IA32_DEBUGCTL) & DEBUGCTLMSR_BTF;
	bool step = (a->rflags & X86_EFLAGS_TF) && !btf;

	require(a, !(pending & reserved), "pending debug", pending,
		"reserved bits must be 0");
	if (a->shadow & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS) ||
	    a->activity == GUEST_ACTIVITY_HLT)
		require(a, !!(pending & DR_STEP) == step, "pending debug", pending,
			"with STI or MOV SS blocking or in HLT, BS must be 1 exactly if RFLAGS.TF is 1 and DEBUGCTL.BTF is 0");
}

static void check_non_register_state(struct audit *a)
{
	u64 link = vmcs_read(VMCS_LINK_POINTER);

	check_activity(a);
	check_interruptibility(a);
	check_pending_debug(a);
	require(a, link == ~0ull ||
		!(link & (GENMASK_ULL(11, 0) | a->phys_reserved)),
		"VMCS link pointer", link,
		"must be all ones, or 4-KByte aligned and within the physical-address width");
}

/* ---- 27.3.1.6: page-directory-pointer-table entries ------------------------------------ */

static void check_pdptes(struct audit *a)
{
	static const struct {
		const char *name;
		u32 field;
	} pdptes[] = {
		{ "PDPTE0", GUEST_PDPTR0 }, { "PDPTE1", GUEST_PDPTR1 },
		{ "PDPTE2", GUEST_PDPTR2 }, { "PDPTE3", GUEST_PDPTR3 },
	};
	u64 reserved = GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) | a->phys_reserved;
	int i;

	if (!(a->cr0 & X86_CR0_PG) || !(a->cr4 & X86_CR4_PAE) || a->long_mode)
		return;
	for (i = 0; i < ARRAY_SIZE(pdptes); i++) {
		u64 pdpte = vmcs_read(pdptes[i].field);

		require(a, !(pdpte & 1) || !(pdpte & reserved), pdptes[i].name,
			pdpte, "if P is 1, reserved bits must be 0");
	}
}

/* ---- all of them ---------------------------------------------------------------------------- */

static const struct {
	const char *section;
	const char *reg;
	void (*check)(struct audit *a);
} sections[] = {
	{ "27.2.1.1", "", check_execution_controls },
	{ "27.2.1.2", "", check_exit_controls },
	{ "27.2.1.3", "", check_entry_controls },
	{ "27.2.2", "host ", check_host_registers },
	{ "27.2.3", "host ", check_host_segments },
	{ "27.2.4", "host ", check_host_address_space },
	{ "27.3.1.1", "", check_guest_registers },
	{ "27.3.1.2", "", check_segments },
	{ "27.3.1.3", "", check_tables },
	{ "27.3.1.4", "", check_rip_rflags },
	{ "27.3.1.5", "", check_non_register_state },
	{ "27.3.1.6", "", check_pdptes },
};

/* A segment's fields are two encodings apart from the next segment's. */
static void read_segment(struct mv_segment *s, enum mv_seg n)
{
	s->selector = vmcs_read(GUEST_ES_SELECTOR + 2 * n);
	s->base = vmcs_read(GUEST_ES_BASE + 2 * n);
	s->limit = vmcs_read(GUEST_ES_LIMIT + 2 * n);
	s->ar = vmcs_read(GUEST_ES_AR_BYTES + 2 * n);
}

static void read_vmcs(struct audit *a)
{
	u32 widths = cpuid_eax(0x80000008);
	int i;

	a->phys_reserved = GENMASK_ULL(63, widths & 0xff);
	a->virt_bits = widths >> 8 & 0xff;
	for (i = 0; i < NR_CTLS; i++)
		a->ctl[i] = vmcs_read(ctls[i].field);
	a->unrestricted = a->ctl[CTL_SECONDARY] &
			  SECONDARY_EXEC_UNRESTRICTED_GUEST;
	a->long_mode = a->ctl[CTL_ENTRY] & VM_ENTRY_IA32E_MODE;
	a->cr0 = vmcs_read(GUEST_CR0);
	a->cr4 = vmcs_read(GUEST_CR4);
	a->rflags = vmcs_read(GUEST_RFLAGS);
	a->v86 = a->rflags & X86_EFLAGS_VM;
	a->event = vmcs_read(VM_ENTRY_INTR_INFO_FIELD);
	if (!(a->event & INTR_INFO_VALID_MASK))
		a->event = 0;
	a->shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	a->activity = vmcs_read(GUEST_ACTIVITY_STATE);
	for (i = 0; i < MV_NR_SEGS; i++)
		read_segment(&a->seg[i], i);
}

/**
 * vmx_audit() - say in the kernel log why VM entry failed
 * @vcpu: its VMCS is the current one
 *
 * Context: inside the run section, after VMLAUNCH or VMRESUME failed with
 * VM-instruction error 7 or 8, or with an exit for invalid guest state. Rate-
 * limited, for a client can provoke it as often as it likes.
 */
void vmx_audit(struct mv_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 20);
	struct audit a = {};
	int i;

	if (!__ratelimit(&limit))
		return;
	read_vmcs(&a);
	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		a.section = sections[i].section;
		a.reg = sections[i].reg;
		sections[i].check(&a);
	}
	if (!a.broken) {
		pr_warn("minivmm: VM entry failed, but no check that we know is broken\n");
		vmx_dump(vcpu);
	}
}

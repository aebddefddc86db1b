// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this CPU can do, and which controls every VMCS gets.
 *
 * Each set of controls is negotiated from its capability MSR (SDM A.3 to A.5):
 * the low half says which bits must be 1, the high half which may be 1. What
 * minivmm cannot do without is refused here, by name, and nowhere else.
 */
#include <linux/kernel.h>
#include <linux/printk.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include "hw.h"
#include "vmx.h"

struct vmx_config vmx_config;

#define PIN_REQUIRED	(PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | \
			 PIN_BASED_VIRTUAL_NMIS | PIN_BASED_VMX_PREEMPTION_TIMER)
#define PRIMARY_REQUIRED (CPU_BASED_HLT_EXITING | CPU_BASED_RDPMC_EXITING | \
			  CPU_BASED_CR8_LOAD_EXITING |			\
			  CPU_BASED_CR8_STORE_EXITING |			\
			  CPU_BASED_MOV_DR_EXITING |			\
			  CPU_BASED_UNCOND_IO_EXITING |			\
			  CPU_BASED_USE_MSR_BITMAPS |			\
			  CPU_BASED_MONITOR_EXITING |			\
			  CPU_BASED_MWAIT_EXITING |			\
			  CPU_BASED_USE_TSC_OFFSETTING |		\
			  CPU_BASED_TPR_SHADOW |			\
			  CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
/* Set when an event waits for the guest to become ready, or for a single step */
#define PRIMARY_LATER	(CPU_BASED_INTR_WINDOW_EXITING | \
			 CPU_BASED_NMI_WINDOW_EXITING | \
			 CPU_BASED_MONITOR_TRAP_FLAG)
/*
 * Reserved bits that default to 1, but need not with the TRUE capability MSRs:
 * CR3 accesses and INVLPG are the guest's own business under EPT.
 */
#define PRIMARY_CLEAR	(CPU_BASED_CR3_LOAD_EXITING | \
			 CPU_BASED_CR3_STORE_EXITING | \
			 CPU_BASED_INVLPG_EXITING)
#define SECONDARY_REQUIRED (SECONDARY_EXEC_ENABLE_EPT | \
			    SECONDARY_EXEC_UNRESTRICTED_GUEST)
/* All of them, with posted interrupts, or none */
#define SECONDARY_APICV	(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | \
			 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE | \
			 SECONDARY_EXEC_APIC_REGISTER_VIRT)
#define SECONDARY_OPTIONAL (SECONDARY_EXEC_ENABLE_VPID | \
			    SECONDARY_EXEC_ENABLE_RDTSCP | \
			    SECONDARY_EXEC_ENABLE_INVPCID | \
			    SECONDARY_EXEC_ENCLS_EXITING | \
			    SECONDARY_EXEC_WBINVD_EXITING | \
			    SECONDARY_EXEC_PAUSE_LOOP_EXITING | \
			    SECONDARY_EXEC_ENABLE_PML | \
			    SECONDARY_APICV | \
			    SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES | \
			    SECONDARY_EXEC_TSC_SCALING | \
			    SECONDARY_XSAVES)
#define EXIT_REQUIRED	(VM_EXIT_HOST_ADDR_SPACE_SIZE | \
			 VM_EXIT_ACK_INTR_ON_EXIT | \
			 VM_EXIT_LOAD_IA32_PAT | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY_REQUIRED	(VM_ENTRY_LOAD_DEBUG_CONTROLS | \
			 VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)
#define EPT_REQUIRED	(VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | \
			 VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT)

/**
 * struct vmx_controls - one negotiation
 * @name: for the log
 * @msr: capability MSR
 * @true_msr: the one that counts where IA32_VMX_BASIC[55] is set
 * @required: bits we must have
 * @optional: bits we take if we can
 * @forbidden: bits that must be possible to leave 0
 * @result: where the outcome goes
 * @later: bits that must be possible, but are 0 at first
 */
struct vmx_controls {
	const char *name;
	u32 msr, true_msr;
	u32 required, optional, forbidden;
	u32 *result;
	u32 later;
};

static int negotiate(const struct vmx_controls *c, bool have_true)
{
	u64 cap = hw_rdmsr(have_true ? c->true_msr : c->msr);
	u32 must = cap, may = cap >> 32;
	u32 missing = (c->required | c->later) & ~may;
	u32 forbidden = c->forbidden | c->later;

	if (missing) {
		pr_err("minivmm: this CPU lacks VMX %s controls %#x, which minivmm needs\n",
		       c->name, missing);
		return -EOPNOTSUPP;
	}
	if (must & forbidden) {
		pr_err("minivmm: this CPU cannot clear VMX %s controls %#x\n",
		       c->name, must & forbidden);
		return -EOPNOTSUPP;
	}
	*c->result = c->required | (c->optional & may) | must;
	return 0;
}

static int negotiate_all(void)
{
	bool have_true = hw_rdmsr(MSR_IA32_VMX_BASIC) & BIT_ULL(55);
	const struct vmx_controls controls[] = {
		{ "pin-based", MSR_IA32_VMX_PINBASED_CTLS,
		  MSR_IA32_VMX_TRUE_PINBASED_CTLS, PIN_REQUIRED,
		  PIN_BASED_POSTED_INTR, 0,
		  &vmx_config.pin },
		{ "primary", MSR_IA32_VMX_PROCBASED_CTLS,
		  MSR_IA32_VMX_TRUE_PROCBASED_CTLS, PRIMARY_REQUIRED, 0,
		  PRIMARY_CLEAR, &vmx_config.primary, PRIMARY_LATER },
		{ "VM-exit", MSR_IA32_VMX_EXIT_CTLS,
		  MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT_REQUIRED, 0, 0,
		  &vmx_config.exit },
		{ "VM-entry", MSR_IA32_VMX_ENTRY_CTLS,
		  MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_REQUIRED, 0,
		  VM_ENTRY_IA32E_MODE, &vmx_config.entry },
		/* read only now: it exists because a primary control says so */
		{ "secondary", MSR_IA32_VMX_PROCBASED_CTLS2,
		  MSR_IA32_VMX_PROCBASED_CTLS2, SECONDARY_REQUIRED,
		  SECONDARY_OPTIONAL, 0, &vmx_config.secondary },
	};
	int i, ret = 0;

	for (i = 0; i < ARRAY_SIZE(controls) && !ret; i++)
		ret = negotiate(&controls[i], have_true);
	return ret;
}

static int check_ept(void)
{
	u32 vpid;

	vmx_config.ept_vpid = hw_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	if ((vmx_config.ept_vpid & EPT_REQUIRED) != EPT_REQUIRED) {
		pr_err("minivmm: this CPU's EPT lacks 4-level, write-back or INVEPT (capabilities %#llx)\n",
		       vmx_config.ept_vpid);
		return -EOPNOTSUPP;
	}
	if (!vmx_use_eptad)
		vmx_config.ept_vpid &= ~VMX_EPT_AD_BIT;
	if (!vmx_use_pml || !vmx_has_ept_ad())
		vmx_config.secondary &= ~SECONDARY_EXEC_ENABLE_PML;
	/*
	 * A VPID is of no use if its translations cannot be dropped. <asm/vmx.h>
	 * numbers these bits from 32.
	 */
	vpid = vmx_config.ept_vpid >> 32;
	if (!(vpid & VMX_VPID_INVVPID_BIT) ||
	    !(vpid & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT))
		vmx_config.secondary &= ~SECONDARY_EXEC_ENABLE_VPID;
	return 0;
}

static void check_apicv(void)
{
	if (vmx_use_apicv && VMX_NOTIFICATION_VECTOR && vmx_has_apicv() &&
	    (vmx_config.secondary & SECONDARY_APICV) == SECONDARY_APICV)
		return;
	vmx_config.pin &= ~PIN_BASED_POSTED_INTR;
	vmx_config.secondary &= ~SECONDARY_APICV;
}

static int check_cpu(void)
{
	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("minivmm: no VT-x: this CPU has none, or the firmware turned it off; look for \"VMX\" or \"Virtualization\" in its set-up\n");
		return -EOPNOTSUPP;
	}
#ifdef X86_FEATURE_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		pr_err("minivmm: hosts with FRED are not supported yet; boot with fred=off\n");
		return -EOPNOTSUPP;
	}
#endif
	return 0;
}

/**
 * vmx_caps_init() - find out what this CPU offers and settle the controls
 * @caps: filled in with what the core must know
 *
 * Context: process context, at module load.
 * Return: 0, or -EOPNOTSUPP with the reason in the log.
 */
int vmx_caps_init(struct mv_caps *caps)
{
	int ret = check_cpu();

	if (!ret)
		ret = negotiate_all();
	if (!ret)
		ret = check_ept();
	if (ret)
		return ret;

	/* INS and OUTS say what they are made of (SDM A.1, bit 54). */
	if (!(hw_rdmsr(MSR_IA32_VMX_BASIC) & BIT_ULL(54))) {
		pr_err("minivmm: this CPU gives no information about INS and OUTS\n");
		return -EOPNOTSUPP;
	}
	vmx_config.revision = hw_rdmsr(MSR_IA32_VMX_BASIC) & 0x7fffffff;
	vmx_config.misc = hw_rdmsr(MSR_IA32_VMX_MISC);
	vmx_config.cr0_fixed0 = hw_rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	vmx_config.cr0_fixed1 = hw_rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	vmx_config.cr4_fixed0 = hw_rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	vmx_config.cr4_fixed1 = hw_rdmsr(MSR_IA32_VMX_CR4_FIXED1);

	check_apicv();

	caps->rdtscp = vmx_config.secondary & SECONDARY_EXEC_ENABLE_RDTSCP;
	caps->invpcid = vmx_config.secondary & SECONDARY_EXEC_ENABLE_INVPCID;
	/* A kernel that does without (noxsaves) does not load IA32_XSS. */
	caps->xsaves = (vmx_config.secondary & SECONDARY_XSAVES) &&
		       boot_cpu_has(X86_FEATURE_XSAVES);
	caps->hypercall = 0xc1;		/* 0f 01 c1: VMCALL */
	caps->cr4 = vmx_config.cr4_fixed1 & ~X86_CR4_VMXE;
	if (vmx_config.ept_vpid & VMX_EPT_2MB_PAGE_BIT)
		caps->max_level = vmx_config.ept_vpid & VMX_EPT_1GB_PAGE_BIT ?
				  2 : 1;
	caps->split_exec = vmx_split_exec();
	caps->accessed = vmx_has_ept_ad();
	caps->logs_writes = vmx_has_pml();
	caps->apic_page = vmx_has_apic_page();
	if (vmx_has_tsc_scaling()) {
		caps->tsc_frac_bits = 48;	/* SDM 25.6.5 */
		caps->tsc_max_ratio = U64_MAX;
	}
	return 0;
}

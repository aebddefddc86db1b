// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the current VMCS holds, for the kernel log. The host-state area stays
 * out: it has addresses that a client able to read the log must not learn.
 */
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include "hw.h"
#include "vmx.h"

/**
 * struct vmx_field - a field to print
 * @name: as in the SDM, short
 * @field: its encoding
 * @pin: the field is there only if these pin-based controls are on
 * @secondary: and these secondary controls
 */
struct vmx_field {
	const char *name;
	u32 field;
	u32 pin, secondary;
};

static const struct vmx_field exit_fields[] = {
	{ "reason", VM_EXIT_REASON },
	{ "qualification", EXIT_QUALIFICATION },
	{ "instruction error", VM_INSTRUCTION_ERROR },
	{ "instruction length", VM_EXIT_INSTRUCTION_LEN },
	{ "instruction info", VMX_INSTRUCTION_INFO },
	{ "guest-linear address", GUEST_LINEAR_ADDRESS },
	{ "guest-physical addr", GUEST_PHYSICAL_ADDRESS },
	{ "interruption info", VM_EXIT_INTR_INFO },
	{ "interruption error", VM_EXIT_INTR_ERROR_CODE },
	{ "IDT-vectoring info", IDT_VECTORING_INFO_FIELD },
	{ "IDT-vectoring error", IDT_VECTORING_ERROR_CODE },
};

static const struct vmx_field guest_fields[] = {
	{ "RIP", GUEST_RIP },
	{ "RSP", GUEST_RSP },
	{ "RFLAGS", GUEST_RFLAGS },
	{ "CR0", GUEST_CR0 },
	{ "CR3", GUEST_CR3 },
	{ "CR4", GUEST_CR4 },
	{ "EFER", GUEST_IA32_EFER },
	{ "PAT", GUEST_IA32_PAT },
	{ "DR7", GUEST_DR7 },
	{ "DEBUGCTL", GUEST_IA32_DEBUGCTL },
	{ "SYSENTER_CS", GUEST_SYSENTER_CS },
	{ "SYSENTER_ESP", GUEST_SYSENTER_ESP },
	{ "SYSENTER_EIP", GUEST_SYSENTER_EIP },
	{ "activity", GUEST_ACTIVITY_STATE },
	{ "interruptibility", GUEST_INTERRUPTIBILITY_INFO },
	{ "pending debug", GUEST_PENDING_DBG_EXCEPTIONS },
	{ "VMCS link pointer", VMCS_LINK_POINTER },
	{ "PDPTE0", GUEST_PDPTR0, 0, SECONDARY_EXEC_ENABLE_EPT },
	{ "PDPTE1", GUEST_PDPTR1, 0, SECONDARY_EXEC_ENABLE_EPT },
	{ "PDPTE2", GUEST_PDPTR2, 0, SECONDARY_EXEC_ENABLE_EPT },
	{ "PDPTE3", GUEST_PDPTR3, 0, SECONDARY_EXEC_ENABLE_EPT },
};

static const struct vmx_field control_fields[] = {
	{ "pin-based", PIN_BASED_VM_EXEC_CONTROL },
	{ "primary", CPU_BASED_VM_EXEC_CONTROL },
	{ "secondary", SECONDARY_VM_EXEC_CONTROL },
	{ "exception bitmap", EXCEPTION_BITMAP },
	{ "VM-exit", VM_EXIT_CONTROLS },
	{ "VM-entry", VM_ENTRY_CONTROLS },
	{ "interruption info", VM_ENTRY_INTR_INFO_FIELD },
	{ "interruption error", VM_ENTRY_EXCEPTION_ERROR_CODE },
	{ "instruction length", VM_ENTRY_INSTRUCTION_LEN },
	{ "TSC offset", TSC_OFFSET },
	{ "TSC multiplier", TSC_MULTIPLIER, 0, SECONDARY_EXEC_TSC_SCALING },
	{ "CR0 mask", CR0_GUEST_HOST_MASK },
	{ "CR0 read shadow", CR0_READ_SHADOW },
	{ "CR4 mask", CR4_GUEST_HOST_MASK },
	{ "CR4 read shadow", CR4_READ_SHADOW },
	{ "EPTP", EPT_POINTER, 0, SECONDARY_EXEC_ENABLE_EPT },
	{ "PML address", PML_ADDRESS, 0, SECONDARY_EXEC_ENABLE_PML },
	{ "PML index", GUEST_PML_INDEX, 0, SECONDARY_EXEC_ENABLE_PML },
	{ "VPID", VIRTUAL_PROCESSOR_ID, 0, SECONDARY_EXEC_ENABLE_VPID },
	{ "preemption timer", VMX_PREEMPTION_TIMER_VALUE,
	  PIN_BASED_VMX_PREEMPTION_TIMER },
	{ "APIC-access page", APIC_ACCESS_ADDR, 0,
	  SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES },
	{ "interrupt status", GUEST_INTR_STATUS, 0,
	  SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY },
	{ "notification vector", POSTED_INTR_NV, PIN_BASED_POSTED_INTR },
	{ "posted descriptor", POSTED_INTR_DESC_ADDR, PIN_BASED_POSTED_INTR },
};

/* Two fields to a line */
static void dump_fields(const struct vmx_field *fields, unsigned int nr)
{
	u32 pin = vmcs_read(PIN_BASED_VM_EXEC_CONTROL);
	u32 secondary = vmcs_read(SECONDARY_VM_EXEC_CONTROL);
	char line[48] = "";
	unsigned int i;

	for (i = 0; i < nr; i++) {
		const struct vmx_field *f = &fields[i];
		u64 value;

		if ((f->pin & ~pin) || (f->secondary & ~secondary))
			continue;
		value = vmcs_read(f->field);
		if (line[0]) {
			pr_warn("minivmm: %s  %-20s %016llx\n", line, f->name,
				value);
			line[0] = '\0';
		} else {
			snprintf(line, sizeof(line), "  %-20s %016llx", f->name,
				 value);
		}
	}
	if (line[0])
		pr_warn("minivmm: %s\n", line);
}

/* A segment's fields are two encodings apart from the next segment's. */
static void dump_segments(void)
{
	static const char * const names[MV_NR_SEGS] = {
		"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"
	};
	int i;

	pr_warn("minivmm:   segment  selector  access    limit             base\n");
	for (i = 0; i < MV_NR_SEGS; i++)
		pr_warn("minivmm:   %-7s      %04llx   %05llx %08llx %016llx\n",
			names[i], vmcs_read(GUEST_ES_SELECTOR + 2 * i),
			vmcs_read(GUEST_ES_AR_BYTES + 2 * i),
			vmcs_read(GUEST_ES_LIMIT + 2 * i),
			vmcs_read(GUEST_ES_BASE + 2 * i));
	pr_warn("minivmm:   GDTR                      %08llx %016llx\n",
		vmcs_read(GUEST_GDTR_LIMIT), vmcs_read(GUEST_GDTR_BASE));
	pr_warn("minivmm:   IDTR                      %08llx %016llx\n",
		vmcs_read(GUEST_IDTR_LIMIT), vmcs_read(GUEST_IDTR_BASE));
}

/**
 * vmx_dump() - print the guest's state, the controls and the last exit
 * @vcpu: its VMCS is the current one
 *
 * Context: inside the run section. Rate-limited: at most two in five seconds.
 */
void vmx_dump(struct mv_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 2);
	u32 reason = vmcs_read(VM_EXIT_REASON);

	if (!__ratelimit(&limit))
		return;
	pr_warn("minivmm: vCPU %u, last exit %#x (%s), guest state:\n",
		vcpu->id, reason, vmx_exit_name(reason));
	dump_fields(guest_fields, ARRAY_SIZE(guest_fields));
	dump_segments();
	pr_warn("minivmm: exit information:\n");
	dump_fields(exit_fields, ARRAY_SIZE(exit_fields));
	pr_warn("minivmm: controls:\n");
	dump_fields(control_fields, ARRAY_SIZE(control_fields));
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map of the VMX back end: its structures, and every function that
 * crosses a file, grouped under the file that defines it. Field, control and
 * exit reason names are those of the kernel's <asm/vmx.h>.
 */
#ifndef MINIVMM_VMX_H
#define MINIVMM_VMX_H

#include <asm/desc.h>
#include <asm/irq_vectors.h>
#include <asm/msr-index.h>
#include <asm/vmx.h>
#include "backend.h"

/*
 * The vector that tells a CPU of posted interrupts. The kernel has it for KVM,
 * with a handler that does nothing, which is all that is needed.
 */
#ifdef POSTED_INTR_VECTOR
#define VMX_NOTIFICATION_VECTOR	POSTED_INTR_VECTOR
#else
#define VMX_NOTIFICATION_VECTOR	0
#endif

/* Enable XSAVES/XRSTORS; the kernel's name for it changed in 6.2. */
#define SECONDARY_XSAVES	VMCS_CONTROL_BIT(XSAVES)

/**
 * struct vmx_config - the controls every VMCS gets, and what the CPU offers
 * @revision: VMCS revision identifier (SDM A.1)
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP (SDM A.10)
 * @misc: IA32_VMX_MISC (SDM A.6)
 * @cr0_fixed1, @cr4_fixed1: bits that may be 1 in VMX operation (A.7, A.8)
 * @cr0_fixed0, @cr4_fixed0: bits that must be 1 there
 */
struct vmx_config {
	u32 revision;
	u32 pin, primary, secondary, exit, entry;
	u64 ept_vpid;
	u64 misc;
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
};

enum vmx_injecting { VMX_INJ_NONE, VMX_INJ_EXCEPTION, VMX_INJ_NMI, VMX_INJ_IRQ };

/**
 * struct vmx_host - the host's state that a run section sets aside
 * @syscall_msrs: STAR, LSTAR and SFMASK hold the guest's values
 * @tsc_aux_loaded: so does TSC_AUX
 * @drs_loaded: so do DR0 to DR3
 */
struct vmx_host {
	u64 cr4;
	struct desc_ptr gdt, idt;
	u16 ds, es, fs, gs, ldt;
	u64 fs_base, kernel_gs_base;
	u64 debugctl, pebs, test_ctrl;
	u64 tsc_aux;
	u64 spec_ctrl;
	unsigned long dr[4], dr7;
	bool syscall_msrs, tsc_aux_loaded, drs_loaded;
};

/**
 * struct vmx_vcpu - what VMX needs for one vCPU
 * @vmcs: the VMCS; active on a CPU only inside the run section
 * @fresh: the VMCS has never been written
 * @launched: VMRESUME instead of VMLAUNCH; false after each VMCLEAR
 * @cpu: the CPU whose constants stand in the host-state area, or -1
 * @vpid: tag for this vCPU's translations, 0 if the CPU has none to give
 * @tlb_gen: the vm->tlb_gen that @cpu's TLB has seen
 * @injecting: the event that the next entry delivers
 * @primary: the primary controls as they stand in the VMCS
 * @host_cr3, @host_cr4, @host_fs_base: as they stand in the host-state area
 * @host_rsp: likewise; kept by the entry stub
 * @pml: what the CPU logs; a page, or NULL
 * @vmcs_pa: physical address of @vmcs
 * @host: for the section under way; here, since a stack's would be cleared
 * @logging: it does, or will from the next entry on
 * @timer: the VMX-preemption timer's value as it stands in the VMCS
 * @threshold: likewise the TPR threshold
 * @eoi_loaded: the EOI-exit bitmaps have been written
 * @serial: no other vCPU has, or had, the same
 */
struct vmx_vcpu {
	void *vmcs;
	bool fresh;
	bool launched;
	u8 injecting;		/* enum vmx_injecting */
	u16 vpid;
	int cpu;
	u32 primary;
	u64 tlb_gen;
	u64 host_cr3, host_cr4, host_fs_base;
	unsigned long host_rsp;
	u32 timer;
	u32 threshold;
	bool eoi_loaded;
	bool logging;
	u64 *pml;
	u64 serial;
	u64 vmcs_pa;
	struct vmx_host host;
};

/* The four-level EPT of one VM */
struct vmx_vm {
	u64 *root;
	u64 eptp;
};

/* ---- main.c --------------------------------------------------------------- */

extern bool vmx_irqoff_watchdog;
extern bool vmx_use_apicv;
extern bool vmx_use_eptad;
extern bool vmx_use_pml;

/* ---- caps.c: what this CPU can do, and which of it we use ------------------ */

extern struct vmx_config vmx_config;

int vmx_caps_init(struct mv_caps *caps);

static inline bool vmx_has_vpid(void)
{
	return vmx_config.secondary & SECONDARY_EXEC_ENABLE_VPID;
}

/* Accessed and dirty flags in EPT entries */
static inline bool vmx_has_ept_ad(void)
{
	return vmx_config.ept_vpid & VMX_EPT_AD_BIT;
}

static inline bool vmx_has_pml(void)
{
	return vmx_config.secondary & SECONDARY_EXEC_ENABLE_PML;
}

static inline bool vmx_has_tsc_scaling(void)
{
	return vmx_config.secondary & SECONDARY_EXEC_TSC_SCALING;
}

/* Virtual-interrupt delivery and all that comes with it */
static inline bool vmx_has_apicv(void)
{
	return vmx_config.pin & PIN_BASED_POSTED_INTR;
}

/* The same for one vCPU, whose debugger may hold interrupts back */
static inline bool vmx_apicv_on(const struct mv_vcpu *vcpu)
{
	return vcpu->lapic && vmx_has_apicv() &&
	       !mv_debugging(vcpu, MINIVMM_GUESTDBG_BLOCKIRQ);
}

/* HLT does not exit: the VMCS can be in the activity state that it brings. */
static inline bool vmx_hlt_in_guest(const struct mv_vcpu *vcpu)
{
	return unlikely(vcpu->vm->disabled_exits &
			MINIVMM_X86_DISABLE_EXITS_HLT);
}

/* The CPU virtualizes accesses to xAPICs: at least the task priority */
static inline bool vmx_has_apic_page(void)
{
	return vmx_config.secondary & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
}

static inline bool vmx_x2apic_virtualized(const struct mv_vcpu *vcpu)
{
	return vmx_apicv_on(vcpu) && (vcpu->apic_base & X2APIC_ENABLE);
}

/* ---- vmcs.c: the VMCS's life, and moving state through it ------------------ */

int vmx_vcpu_create(struct mv_vcpu *vcpu);
void vmx_vcpu_destroy(struct mv_vcpu *vcpu);
int vmx_vmcs_init(void);
void vmx_vmcs_exit(void);
void vmx_vmcs_setup(struct mv_vcpu *vcpu);
void vmx_pass_msr(unsigned long *bitmap, u32 msr, bool read, bool write);
void vmx_set_pending_step(bool on);
void vmx_load_dirty(struct mv_vcpu *vcpu);
void vmx_save_hot(struct mv_vcpu *vcpu);
void vmx_save_lazy(struct mv_vcpu *vcpu, u32 groups);

/* ---- host.c: the host's half of a run section ------------------------------ */

int vmx_host_init(void);
void vmx_host_exit(void);
int vmx_begin(struct mv_vcpu *vcpu, struct vmx_host *host);
void vmx_end(struct mv_vcpu *vcpu, struct vmx_host *host);
void vmx_host_save(struct mv_vcpu *vcpu, struct vmx_host *host);
void vmx_host_restore(struct mv_vcpu *vcpu, struct vmx_host *host);
void vmx_load_guest_msrs(struct mv_vcpu *vcpu, struct vmx_host *host);

/* ---- run.c: the run section ------------------------------------------------ */

void vmx_run(struct mv_vcpu *vcpu);
void vmx_fetch(struct mv_vcpu *vcpu, u32 groups);
void vmx_host_event(u8 vector);

/* ---- enter.S ---------------------------------------------------------------- */

/*
 * Runs the guest until its next exit. @regs: MV_NR_REGS registers, RSP unused.
 * Nonzero if VMLAUNCH/VMRESUME itself failed (SDM 31.2: VMfail).
 */
int vmx_enter(u64 *regs, struct vmx_vcpu *vmx, bool launched, u32 spec_ctrl);
void vmx_exit_point(void);
/* Calls a handler of the host's IDT as an interrupt would. */
void vmx_call_handler(unsigned long handler);

/* ---- event.c: event injection ------------------------------------------------ */

void vmx_inject(struct mv_vcpu *vcpu);
void vmx_injected(struct mv_vcpu *vcpu);
void vmx_requeue(struct mv_vcpu *vcpu);
void vmx_set_window(struct mv_vcpu *vcpu, u32 control, bool on);

/* ---- apic.c: the local APIC with the CPU's help --------------------------------- */

void vmx_apic_msr_bitmap(unsigned long *bitmap);
u32 vmx_apic_secondary(const struct mv_vcpu *vcpu, u32 secondary);
void vmx_apic_load_pin(struct mv_vcpu *vcpu);
void vmx_apic_setup(struct mv_vcpu *vcpu);
void vmx_apic_enter(struct mv_vcpu *vcpu);
bool vmx_apic_waits(struct mv_vcpu *vcpu);
bool vmx_apic_take(struct mv_vcpu *vcpu);
void vmx_apic_set_threshold(struct mv_vcpu *vcpu);
void vmx_notify(int cpu);

/* ---- exit.c: one handler per exit reason -------------------------------------- */

/* true: enter the guest again; false: vcpu->exit says why not. */
bool vmx_handle_exit(struct mv_vcpu *vcpu, struct vmx_host *host, u32 reason);
const char *vmx_exit_name(u32 reason);

/* ---- ept.c --------------------------------------------------------------------- */

int vmx_vm_create(struct mv_vm *vm);
void vmx_vm_destroy(struct mv_vm *vm);
bool vmx_split_exec(void);
bool vmx_ept_map(struct mv_vm *vm, const struct mv_mapping *map,
		 struct mv_page_cache *cache);
bool vmx_ept_change(struct mv_vm *vm, struct mv_frames *frames,
		    enum mv_change how, struct list_head *tables);

/* ---- pml.c: the CPU's log of what the guest writes ------------------------------- */

void vmx_pml_setup(struct mv_vcpu *vcpu);
void vmx_pml_begin(struct mv_vcpu *vcpu);
void vmx_pml_empty(struct mv_vcpu *vcpu);

/* ---- audit.c, dump.c: why an entry failed; what the VMCS holds ------------------- */

/*
 * Both read the current VMCS inside the run section and print, rate-limited,
 * to the kernel log. vmx_audit() names each check of SDM 27.2 and 27.3 that
 * the VMCS breaks as "minivmm: VM entry check failed: …".
 */
void vmx_audit(struct mv_vcpu *vcpu);
void vmx_dump(struct mv_vcpu *vcpu);

static inline struct vmx_vcpu *to_vmx(const struct mv_vcpu *vcpu)
{
	return vcpu->backend;
}

static inline struct vmx_vm *to_vmx_vm(const struct mv_vm *vm)
{
	return vm->backend;
}

#endif

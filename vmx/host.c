// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's half of a run section: VMX on and off, what a VM exit restores
 * from the VMCS, and what it does not and we must.
 *
 * Interrupts are off from vmx_begin() to vmx_end(), so the CPU is ours, but
 * NMIs come at any time and find the host's GDT, IDT, TSS and GS base in place.
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <asm/cpufeature.h>
#include <uapi/asm/debugreg.h>
#include <asm/fsgsbase.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>
#include "hw.h"
#include "vmx.h"

#define DR7_RESET	0x400UL	/* bit 10 is always 1 (SDM 18.2.4) */

/* The physical address of its VMXON region */
static DEFINE_PER_CPU(u64, vmxon_region);
static DEFINE_PER_CPU(u64, last_to_run);	/* the vCPU's serial number */

/* The same on every CPU and for as long as the kernel runs */
static struct {
	u64 star, lstar, sfmask;
	u64 sysenter_cs, sysenter_eip;
	u64 pat;
} host_const;

static void free_vmxon_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		if (per_cpu(vmxon_region, cpu))
			free_page((unsigned long)
				  __va(per_cpu(vmxon_region, cpu)));
}

/**
 * vmx_host_init() - a VMXON region for each CPU that may ever come online
 *
 * Context: module load. Return: 0 or -ENOMEM.
 */
int vmx_host_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		u32 *page = (u32 *)get_zeroed_page(GFP_KERNEL);

		if (!page) {
			free_vmxon_regions();
			return -ENOMEM;
		}
		*page = vmx_config.revision;
		per_cpu(vmxon_region, cpu) = __pa(page);
	}
	host_const.star = hw_rdmsr(MSR_STAR);
	host_const.lstar = hw_rdmsr(MSR_LSTAR);
	host_const.sfmask = hw_rdmsr(MSR_SYSCALL_MASK);
	host_const.sysenter_cs = hw_rdmsr(MSR_IA32_SYSENTER_CS);
	host_const.sysenter_eip = hw_rdmsr(MSR_IA32_SYSENTER_EIP);
	host_const.pat = hw_rdmsr(MSR_IA32_CR_PAT);
	return 0;
}

void vmx_host_exit(void)
{
	free_vmxon_regions();
}

/*
 * L1TF: a guest must not read the host's data out of the L1 cache through
 * page-table entries of its own.
 */
static void flush_l1d(void)
{
	if (boot_cpu_has_bug(X86_BUG_L1TF) &&
	    boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		hw_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}

#ifdef X86_FEATURE_USE_IBPB
#define HAS_IBPB	X86_FEATURE_USE_IBPB	/* and the kernel wants it */
#else
#define HAS_IBPB	X86_FEATURE_IBPB
#endif

/*
 * A vCPU must not run on predictions that another has made. The kernel separates
 * processes only if they asked for it.
 */
static void drop_predictions(const struct vmx_vcpu *vmx)
{
	if (likely(__this_cpu_read(last_to_run) == vmx->serial))
		return;
	__this_cpu_write(last_to_run, vmx->serial);
	if (cpu_feature_enabled(HAS_IBPB))
		hw_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

/**
 * vmx_begin() - VMX on, this vCPU's VMCS current
 * @vcpu: the vCPU
 * @host: filled in by this and vmx_host_save()
 *
 * Context: interrupts off, until vmx_end().
 * Return: 0; -EBUSY if another hypervisor owns VMX on this CPU; -EIO if VMXON
 * or VMPTRLD failed. On failure the CPU is as it was.
 */
int vmx_begin(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	host->cr4 = hw_read_cr4();
	if (unlikely(host->cr4 & X86_CR4_VMXE))
		return -EBUSY;
	hw_write_cr4(host->cr4 | X86_CR4_VMXE);
	if (unlikely(vmx_vmxon(this_cpu_ptr(&vmxon_region))))
		goto cr4_off;
	/* VMCLEAR puts a new region into a state VMPTRLD accepts. */
	if (unlikely(vmx->fresh && vmx_vmclear(&vmx->vmcs_pa)))
		goto vmx_off;
	if (unlikely(vmx_vmptrld(&vmx->vmcs_pa)))
		goto vmx_off;
	__this_cpu_write(vmx_current, vcpu);
	return 0;

vmx_off:
	vmx_vmxoff();
cr4_off:
	hw_write_cr4(host->cr4);
	return -EIO;
}

/**
 * vmx_end() - VMCS written back to memory, VMX off
 * @vcpu: the vCPU
 * @host: as vmx_begin() left it
 */
void vmx_end(struct mv_vcpu *vcpu, struct vmx_host *host)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	/* VMSCAPE: the client must not run on the guest's predictions. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
	__this_cpu_write(vmx_current, NULL);
	WARN_ON_ONCE(vmx_vmclear(&to_vmx(vcpu)->vmcs_pa));
	to_vmx(vcpu)->launched = false;
	vmx_vmxoff();
	hw_write_cr4(host->cr4);
}

/* The base of this CPU's TSS, from its GDT (SDM 8.2.3: 16 bytes in IA-32e). */
static u64 tss_base(const struct desc_ptr *gdt)
{
	const struct ldttss_desc *desc = (void *)gdt->address + GDT_ENTRY_TSS * 8;

	return desc->base0 | (u64)desc->base1 << 16 | (u64)desc->base2 << 24 |
	       (u64)desc->base3 << 32;
}

/*
 * The host-state area (SDM 25.5), the part that is constant for a CPU. Data
 * segments are null in the VMCS, which cannot hold a user's selector;
 * vmx_host_restore() loads them again where they matter.
 */
static void write_host_constants(const struct vmx_host *host)
{
	vmcs_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(HOST_DS_SELECTOR, 0);
	vmcs_write(HOST_ES_SELECTOR, 0);
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_write(HOST_TR_BASE, tss_base(&host->gdt));
	vmcs_write(HOST_GDTR_BASE, host->gdt.address);
	vmcs_write(HOST_IDTR_BASE, host->idt.address);
	vmcs_write(HOST_GS_BASE, hw_rdmsr(MSR_GS_BASE));
	vmcs_write(HOST_CR0, native_read_cr0());
	vmcs_write(HOST_RIP, (unsigned long)vmx_exit_point);
	vmcs_write(HOST_IA32_SYSENTER_CS, host_const.sysenter_cs);
	vmcs_write(HOST_IA32_SYSENTER_EIP, host_const.sysenter_eip);
	vmcs_write(HOST_IA32_SYSENTER_ESP, hw_rdmsr(MSR_IA32_SYSENTER_ESP));
	vmcs_write(HOST_IA32_PAT, host_const.pat);
	vmcs_write(HOST_IA32_EFER, hw_rdmsr(MSR_EFER));
}

/* And the part that follows the process: rarely different from last time. */
static void write_host_process(struct vmx_vcpu *vmx,
			       const struct vmx_host *host)
{
	u64 cr3 = __native_read_cr3();
	u64 cr4 = host->cr4 | X86_CR4_VMXE;

	if (vmx->host_cr3 != cr3) {
		vmcs_write(HOST_CR3, cr3);
		vmx->host_cr3 = cr3;
	}
	if (vmx->host_cr4 != cr4) {
		vmcs_write(HOST_CR4, cr4);
		vmx->host_cr4 = cr4;
	}
	if (vmx->host_fs_base != host->fs_base) {
		vmcs_write(HOST_FS_BASE, host->fs_base);
		vmx->host_fs_base = host->fs_base;
	}
}

static void save_segments(struct vmx_host *host)
{
	savesegment(ds, host->ds);
	savesegment(es, host->es);
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	asm volatile("sldt %0" : "=r" (host->ldt));
	host->kernel_gs_base = hw_rdmsr(MSR_KERNEL_GS_BASE);
	if (cpu_feature_enabled(X86_FEATURE_FSGSBASE))
		host->fs_base = rdfsbase();
	else
		host->fs_base = hw_rdmsr(MSR_FS_BASE);
}

/*
 * What must not be on while the guest runs. PEBS would write its records to
 * the host's buffer through the guest's page tables; split-lock detection
 * would give #AC to guests that never asked for it.
 */
static void set_aside_msrs(struct vmx_host *host)
{
	host->pebs = 0;
	host->test_ctrl = 0;
	if (cpu_feature_enabled(X86_FEATURE_PEBS))
		host->pebs = hw_rdmsr(MSR_IA32_PEBS_ENABLE);
	if (unlikely(host->pebs))
		hw_wrmsr(MSR_IA32_PEBS_ENABLE, 0);
	if (!cpu_feature_enabled(X86_FEATURE_SPLIT_LOCK_DETECT))
		return;
	host->test_ctrl = hw_rdmsr(MSR_TEST_CTRL);
	if (host->test_ctrl & MSR_TEST_CTRL_SPLIT_LOCK_DETECT)
		hw_wrmsr(MSR_TEST_CTRL, host->test_ctrl &
					~MSR_TEST_CTRL_SPLIT_LOCK_DETECT);
	else
		host->test_ctrl = 0;
}

static u32 host_spec_ctrl(void)
{
	if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
		return hw_rdmsr(MSR_IA32_SPEC_CTRL);
	return 0;
}

/* Guest breakpoints are live only if DR7 enables one (SDM 18.2.4). */
static void load_drs(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	const u64 *drs;
	int i;

	host->dr7 = hw_read_dr(7);
	host->drs_loaded = mv_live_dr7(vcpu) & (DR_LOCAL_ENABLE_MASK |
						DR_GLOBAL_ENABLE_MASK);
	if (likely(!host->drs_loaded))
		return;
	drs = mv_live_drs(vcpu);
	/* The host's own breakpoints must not fire at the guest's addresses. */
	hw_write_dr(7, DR7_RESET);
	for (i = 0; i < 4; i++) {
		host->dr[i] = hw_read_dr(i);
		hw_write_dr(i, drs[i]);
	}
}

/**
 * vmx_host_save() - set the host's state aside, put the guest's in place
 * @vcpu: its VMCS is current; a fresh one is filled in
 * @host: where the host's state goes
 */
void vmx_host_save(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int cpu = raw_smp_processor_id();

	if (unlikely(vmx->fresh)) {
		vmx_vmcs_setup(vcpu);
		vmx->fresh = false;
	}
	native_store_gdt(&host->gdt);
	store_idt(&host->idt);
	save_segments(host);
	host->debugctl = hw_rdmsr(MSR_IA32_DEBUGCTLMSR);
	set_aside_msrs(host);
	host->spec_ctrl = host_spec_ctrl();
	host->syscall_msrs = false;
	host->tsc_aux_loaded = false;

	if (unlikely(vmx->cpu != cpu)) {
		write_host_constants(host);
		vmx->cpu = cpu;
		vmx->tlb_gen = 0;	/* this CPU's TLB is unknown ground */
	}
	write_host_process(vmx, host);

	load_drs(vcpu, host);
	flush_l1d();
	drop_predictions(vmx);
	hw_wrmsr(MSR_KERNEL_GS_BASE, vcpu->kernel_gs_base);
	vmx_load_guest_msrs(vcpu, host);
}

/**
 * vmx_load_guest_msrs() - MSRs that the guest uses without the VMCS
 * @vcpu: the vCPU
 * @host: remembers which ones were loaded
 *
 * SYSCALL works in IA-32e mode only, on Intel's CPUs; the guest reads and
 * writes these MSRs through exits, so before that they need not be loaded.
 * Called again whenever the guest has changed one.
 */
void vmx_load_guest_msrs(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	if ((vcpu->efer & (EFER_LMA | EFER_SCE)) == (EFER_LMA | EFER_SCE)) {
		hw_wrmsr(MSR_STAR, vcpu->star);
		hw_wrmsr(MSR_LSTAR, vcpu->lstar);
		hw_wrmsr(MSR_SYSCALL_MASK, vcpu->sfmask);
		host->syscall_msrs = true;
	}
	if (vcpu->cpuid.rdtscp) {
		if (!host->tsc_aux_loaded)
			host->tsc_aux = hw_rdmsr(MSR_TSC_AUX);
		hw_wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
		host->tsc_aux_loaded = true;
	}
}

static void restore_msrs(struct mv_vcpu *vcpu, const struct vmx_host *host)
{
	vcpu->kernel_gs_base = hw_rdmsr(MSR_KERNEL_GS_BASE);
	if (host->syscall_msrs) {
		hw_wrmsr(MSR_STAR, host_const.star);
		hw_wrmsr(MSR_LSTAR, host_const.lstar);
		hw_wrmsr(MSR_SYSCALL_MASK, host_const.sfmask);
	}
	if (host->tsc_aux_loaded)
		hw_wrmsr(MSR_TSC_AUX, host->tsc_aux);
	if (unlikely(host->pebs))
		hw_wrmsr(MSR_IA32_PEBS_ENABLE, host->pebs);
	if (unlikely(host->test_ctrl))
		hw_wrmsr(MSR_TEST_CTRL, host->test_ctrl);
	/* A VM exit clears it (SDM 28.5.1); perf and block-stepping use it. */
	if (host->debugctl)
		hw_wrmsr(MSR_IA32_DEBUGCTLMSR, host->debugctl);
}

/*
 * Selectors that user space put there: the VM exit made them null. Loading FS
 * or GS also loads a base, so the bases come last. GS is loaded with the user's
 * half swapped in, where an NMI may look at it: no guest's value must be there.
 */
static void restore_segments(const struct vmx_host *host)
{
	if (unlikely(host->ldt))
		asm volatile("lldt %0" : : "r" (host->ldt));
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		hw_wrmsr(MSR_FS_BASE, host->fs_base);
	}
	hw_wrmsr(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	if (unlikely(host->gs)) {
		load_gs_index(host->gs);
		hw_wrmsr(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	}
}

/* A VM exit sets DR7 to 400H (SDM 28.5.1). */
static void restore_drs(const struct vmx_host *host)
{
	int i;

	for (i = 0; host->drs_loaded && i < 4; i++)
		hw_write_dr(i, host->dr[i]);
	if (unlikely(host->dr7 != DR7_RESET))
		hw_write_dr(7, host->dr7);
}

/**
 * vmx_host_restore() - the host's state back, the guest's set aside
 * @vcpu: the vCPU
 * @host: from vmx_host_save()
 *
 * Descriptor-table limits are FFFFH and the TR limit 67H after a VM exit
 * (SDM 28.5.2, 28.5.3). The kernel counts on the true ones.
 */
void vmx_host_restore(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	native_load_gdt(&host->gdt);
	native_load_idt(&host->idt);
	invalidate_tss_limit();
	restore_msrs(vcpu, host);
	restore_segments(host);
	restore_drs(host);
}

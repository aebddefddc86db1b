// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMCS: its life, and moving guest state through it.
 *
 * A VMCS is current, and its fields reachable, only inside the run section.
 * Everywhere else the guest's registers are those in struct mv_vcpu.
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>
#include <uapi/asm/debugreg.h>
#include "hw.h"
#include "vmx.h"

/*
 * CR0 and CR4 bits the guest may change without an exit: those that neither
 * change the paging mode nor depend on the guest's CPUID.
 */
#define CR0_GUEST_OWNED	(X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | \
			 X86_CR0_WP | X86_CR0_AM)
#define CR4_GUEST_OWNED	(X86_CR4_PVI | X86_CR4_TSD | X86_CR4_PCE | \
			 X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static DEFINE_IDA(vpids);
static atomic64_t last_serial;
/*
 * [1]: for vCPUs whose x2APIC the CPU virtualizes. The second of each: all other
 * MSRs exit, since the client's filter denies one of those that need not.
 */
static unsigned long *msr_bitmaps[2][2];

/**
 * vmx_pass_msr() - let the guest access an MSR itself (SDM 25.6.9)
 * @bitmap: MSR bitmap
 * @msr: bits 12:0 of its number count, and bit 31
 * @read: it may read it
 * @write: it may write it
 */
void vmx_pass_msr(unsigned long *bitmap, u32 msr, bool read, bool write)
{
	/* bytes: low reads, high reads (C000_xxxx), low writes, high writes */
	void *reads = (void *)bitmap + (msr >= 0xc0000000 ? 1024 : 0);

	if (read)
		clear_bit(msr & 0x1fff, reads);
	if (write)
		clear_bit(msr & 0x1fff, reads + 2048);
}

static void pass_direct_msrs(unsigned long *bitmap)
{
	vmx_pass_msr(bitmap, MSR_FS_BASE, true, true);
	vmx_pass_msr(bitmap, MSR_GS_BASE, true, true);
	vmx_pass_msr(bitmap, MSR_KERNEL_GS_BASE, true, true);
	vmx_pass_msr(bitmap, MSR_IA32_TSC, true, false);
}

/**
 * vmx_vmcs_init() - what all VMCSs share
 *
 * Context: module load. Return: 0 or -ENOMEM.
 */
int vmx_vmcs_init(void)
{
	unsigned long *bitmap;
	int i;

	for (i = 0; i < 4; i++) {
		bitmap = (void *)__get_free_page(GFP_KERNEL);
		if (!bitmap) {
			vmx_vmcs_exit();
			return -ENOMEM;
		}
		memset(bitmap, 0xff, PAGE_SIZE);
		if (!(i & 1))
			pass_direct_msrs(bitmap);
		if (i & 2)
			vmx_apic_msr_bitmap(bitmap);
		msr_bitmaps[i >> 1][i & 1] = bitmap;
	}
	return 0;
}

void vmx_vmcs_exit(void)
{
	int i;

	for (i = 0; i < 4; i++)
		free_page((unsigned long)msr_bitmaps[i >> 1][i & 1]);
	ida_destroy(&vpids);
}

/**
 * vmx_vcpu_create() - memory for a vCPU's VMCS
 * @vcpu: the vCPU
 *
 * The fields are written at the first entry, in VMX operation.
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int vmx_vcpu_create(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx;
	int vpid;

	BUILD_BUG_ON(offsetof(struct mv_vcpu, regs) != 0);
	BUILD_BUG_ON(offsetof(struct vmx_vcpu, host_rsp) != 56); /* enter.S */

	vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	if (!vmx)
		return -ENOMEM;
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		goto free;
	if (vmx_has_pml()) {
		vmx->pml = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!vmx->pml)
			goto free_vmcs;
	}
	vmx->vmcs_pa = __pa(vmx->vmcs);
	*(u32 *)vmx->vmcs = vmx_config.revision;
	vmx->fresh = true;
	vmx->cpu = -1;
	vmx->serial = atomic64_inc_return(&last_serial);
	if (vmx_has_vpid()) {
		/* Without a tag of its own a vCPU runs untagged: correct, slower */
		vpid = ida_alloc_range(&vpids, 1, U16_MAX, GFP_KERNEL_ACCOUNT);
		vmx->vpid = max(vpid, 0);
	}
	vcpu->backend = vmx;
	return 0;

free_vmcs:
	free_page((unsigned long)vmx->vmcs);
free:
	kfree(vmx);
	return -ENOMEM;
}

void vmx_vcpu_destroy(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->vpid)
		ida_free(&vpids, vmx->vpid);
	free_page((unsigned long)vmx->pml);
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx);
}

/*
 * Instructions that the guest's CPUID does not have raise #UD there. The local
 * APIC is virtualized as its mode wants it. Writes are logged while a slot is.
 */
static void load_features(struct mv_vcpu *vcpu)
{
	u32 secondary = vmx_apic_secondary(vcpu, vmx_config.secondary);
	bool x2apic = vmx_x2apic_virtualized(vcpu);
	unsigned long *bitmap = msr_bitmaps[x2apic][vcpu->vm->msrs_exit];

	if (!to_vmx(vcpu)->vpid)
		secondary &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (!vcpu->cpuid.rdtscp)
		secondary &= ~SECONDARY_EXEC_ENABLE_RDTSCP;
	if (!vcpu->cpuid.invpcid)
		secondary &= ~SECONDARY_EXEC_ENABLE_INVPCID;
	if (!vcpu->cpuid.xsaves)
		secondary &= ~SECONDARY_XSAVES;
	if (!to_vmx(vcpu)->logging)
		secondary &= ~SECONDARY_EXEC_ENABLE_PML;
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, secondary);
	vmcs_write(MSR_BITMAP, __pa(bitmap));
}

/*
 * What the client's debugger wants to hear of. Single steps are by the monitor
 * trap flag (SDM 26.5.2), so RFLAGS.TF is the guest's alone.
 *
 * #DB always exits: the core keeps the guest's DR6 and DR7. #AC: a guest could
 * make the CPU deliver it for ever without an exit (CVE-2015-5307). #MC is the
 * host's.
 */
static void load_debug(struct mv_vcpu *vcpu)
{
	u32 exceptions = BIT(X86_TRAP_DB) | BIT(X86_TRAP_UD) |
			 BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);

	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_SW_BP))
		exceptions |= BIT(X86_TRAP_BP);
	vmcs_write(EXCEPTION_BITMAP, exceptions);
	vmx_set_window(vcpu, CPU_BASED_MONITOR_TRAP_FLAG,
		       mv_debugging(vcpu, MINIVMM_GUESTDBG_SINGLESTEP));
	vmx_apic_load_pin(vcpu);
	load_features(vcpu);
}

static void setup_controls(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->vpid)
		vmcs_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	/* No enclaves in the guest: all of ENCLS exits. */
	if (vmx_config.secondary & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write(ENCLS_EXITING_BITMAP, ~0ULL);
	/* The guest's IA32_XSS is 0: no XSAVES or XRSTORS would exit. */
	if (vmx_config.secondary & SECONDARY_XSAVES)
		vmcs_write(XSS_EXIT_BITMAP, 0);

	/* CR8 is in our APIC, which the CPU keeps up to date, or the client's. */
	vmx->primary = vmx_config.primary &
		~(vcpu->lapic ? CPU_BASED_CR8_LOAD_EXITING |
				CPU_BASED_CR8_STORE_EXITING :
				CPU_BASED_TPR_SHADOW);
	if (vmx_hlt_in_guest(vcpu))
		vmx->primary &= ~CPU_BASED_HLT_EXITING;
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, vmx->primary);
	vmcs_write(VM_EXIT_CONTROLS, vmx_config.exit);

	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(CR3_TARGET_COUNT, 0);
	vmcs_write(EPT_POINTER, to_vmx_vm(vcpu->vm)->eptp);
	vmcs_write(CR0_GUEST_HOST_MASK, ~CR0_GUEST_OWNED);
	vmcs_write(CR4_GUEST_HOST_MASK, ~CR4_GUEST_OWNED);
	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/**
 * vmx_vmcs_setup() - write the fields of a new VMCS that never change
 * @vcpu: its VMCS is current
 *
 * The host-state area is host.c's.
 */
void vmx_vmcs_setup(struct mv_vcpu *vcpu)
{
	setup_controls(vcpu);
	vmx_apic_setup(vcpu);
	vmx_pml_setup(vcpu);
	vmcs_write(VMCS_LINK_POINTER, ~0ULL);
	vmcs_write(GUEST_IA32_DEBUGCTL, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vcpu->dirty = MV_STATE_ALL;
}

/*
 * The eight segment registers have consecutive fields, in enum mv_seg's order
 * (SDM appendix B). The VMCS marks unusable ones in bit 16 of the access
 * rights, as we do. Inline: constant field numbers halve the instructions.
 */
static __always_inline void load_segment(struct mv_vcpu *vcpu, enum mv_seg i)
{
	vmcs_write(GUEST_ES_SELECTOR + 2 * i, vcpu->seg[i].selector);
	vmcs_write(GUEST_ES_BASE + 2 * i, vcpu->seg[i].base);
	vmcs_write(GUEST_ES_LIMIT + 2 * i, vcpu->seg[i].limit);
	vmcs_write(GUEST_ES_AR_BYTES + 2 * i, vcpu->seg[i].ar);
}

static __always_inline void save_segment(struct mv_vcpu *vcpu, enum mv_seg i)
{
	vcpu->seg[i].selector = vmcs_read(GUEST_ES_SELECTOR + 2 * i);
	vcpu->seg[i].base = vmcs_read(GUEST_ES_BASE + 2 * i);
	vcpu->seg[i].limit = vmcs_read(GUEST_ES_LIMIT + 2 * i);
	vcpu->seg[i].ar = vmcs_read(GUEST_ES_AR_BYTES + 2 * i);
}

static void load_segments(struct mv_vcpu *vcpu, u32 groups)
{
	if (groups & MV_STATE_CODE) {
		load_segment(vcpu, MV_CS);
		load_segment(vcpu, MV_SS);
	}
	if (groups & MV_STATE_DATA) {
		load_segment(vcpu, MV_DS);
		load_segment(vcpu, MV_ES);
	}
	if (groups & MV_STATE_FSGS) {
		load_segment(vcpu, MV_FS);
		load_segment(vcpu, MV_GS);
	}
	if (groups & MV_STATE_TABLES) {
		load_segment(vcpu, MV_LDTR);
		load_segment(vcpu, MV_TR);
		vmcs_write(GUEST_GDTR_BASE, vcpu->gdt.base);
		vmcs_write(GUEST_GDTR_LIMIT, vcpu->gdt.limit);
		vmcs_write(GUEST_IDTR_BASE, vcpu->idt.base);
		vmcs_write(GUEST_IDTR_LIMIT, vcpu->idt.limit);
	}
}

static void save_segments(struct mv_vcpu *vcpu, u32 groups)
{
	if (groups & MV_STATE_CODE) {
		save_segment(vcpu, MV_CS);
		save_segment(vcpu, MV_SS);
	}
	if (groups & MV_STATE_DATA) {
		save_segment(vcpu, MV_DS);
		save_segment(vcpu, MV_ES);
	}
	if (groups & MV_STATE_FSGS) {
		save_segment(vcpu, MV_FS);
		save_segment(vcpu, MV_GS);
	}
	if (groups & MV_STATE_TABLES) {
		save_segment(vcpu, MV_LDTR);
		save_segment(vcpu, MV_TR);
		vcpu->gdt.base = vmcs_read(GUEST_GDTR_BASE);
		vcpu->gdt.limit = vmcs_read(GUEST_GDTR_LIMIT);
		vcpu->idt.base = vmcs_read(GUEST_IDTR_BASE);
		vcpu->idt.limit = vmcs_read(GUEST_IDTR_LIMIT);
	}
}

/*
 * VMX operation fixes some bits (SDM 24.8): NE and VMXE here, since an
 * unrestricted guest has PE and PG to itself. The read shadows show the guest
 * what it wrote.
 */
static void load_crs(struct mv_vcpu *vcpu)
{
	u64 fixed0 = vmx_config.cr0_fixed0 & ~(X86_CR0_PE | X86_CR0_PG);
	u32 entry = vmx_config.entry;
	int i;

	vmcs_write(GUEST_CR0, vcpu->cr0 | fixed0);
	vmcs_write(CR0_READ_SHADOW, vcpu->cr0);
	vmcs_write(GUEST_CR3, vcpu->cr3);
	vmcs_write(GUEST_CR4, vcpu->cr4 | vmx_config.cr4_fixed0);
	vmcs_write(CR4_READ_SHADOW, vcpu->cr4);
	vmcs_write(GUEST_IA32_EFER, vcpu->efer);
	if (vcpu->efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	vmcs_write(VM_ENTRY_CONTROLS, entry);
	for (i = 0; mv_pae_paging(vcpu) && i < 4; i++)
		vmcs_write(GUEST_PDPTR0 + 2 * i, vcpu->pdptr[i]);
}

/* Host-owned bits read as the guest wrote them, the others as they are. */
static void save_crs(struct mv_vcpu *vcpu)
{
	int i;

	vcpu->cr0 = (vmcs_read(GUEST_CR0) & CR0_GUEST_OWNED) |
		    (vcpu->cr0 & ~CR0_GUEST_OWNED);
	vcpu->cr3 = vmcs_read(GUEST_CR3);
	vcpu->cr4 = (vmcs_read(GUEST_CR4) & CR4_GUEST_OWNED) |
		    (vcpu->cr4 & ~CR4_GUEST_OWNED);
	for (i = 0; mv_pae_paging(vcpu) && i < 4; i++)
		vcpu->pdptr[i] = vmcs_read(GUEST_PDPTR0 + 2 * i);
}

/**
 * vmx_set_pending_step() - is a single-step trap pending?
 * @on: yes; breakpoints that wait for the end of a shadow stay as they are
 */
void vmx_set_pending_step(bool on)
{
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS) & ~(u64)DR_STEP;

	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, pending | (on ? DR_STEP : 0));
}

/*
 * An instruction that set a shadow under TF leaves a single-step trap pending,
 * and VM entry insists on that (SDM 27.3.1.5).
 */
static void load_shadow(struct mv_vcpu *vcpu, bool changed)
{
	bool shadow = vcpu->intr_shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS);
	bool step = vcpu->rflags & X86_EFLAGS_TF;

	if (changed)
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO, vcpu->intr_shadow);
	if (shadow || changed)
		vmx_set_pending_step(shadow && step);
}

static void load_msrs(struct mv_vcpu *vcpu)
{
	vmcs_write(GUEST_IA32_PAT, vcpu->pat);
	vmcs_write(GUEST_SYSENTER_CS, vcpu->sysenter_cs);
	vmcs_write(GUEST_SYSENTER_ESP, vcpu->sysenter_esp);
	vmcs_write(GUEST_SYSENTER_EIP, vcpu->sysenter_eip);
	vmcs_write(TSC_OFFSET, vcpu->tsc_offset);
	if (vmx_has_tsc_scaling())
		vmcs_write(TSC_MULTIPLIER, vcpu->tsc_ratio);
}

/* What exits rarely change. Its stack frame is not for every entry to set up. */
static noinline void load_rare(struct mv_vcpu *vcpu, u32 dirty)
{
	if (dirty & MV_STATE_SEGS)
		load_segments(vcpu, dirty);
	if (dirty & MV_STATE_CRS)
		load_crs(vcpu);
	if (dirty & MV_STATE_MSRS)
		load_msrs(vcpu);
	if (dirty & MV_STATE_DR7)
		vmcs_write(GUEST_DR7, mv_live_dr7(vcpu));
	if (dirty & MV_STATE_DEBUG)
		load_debug(vcpu);
	if (dirty & (MV_STATE_CPUID | MV_STATE_APIC))
		load_features(vcpu);
	if (dirty & MV_STATE_AWAKE)
		vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	/* An untagged vCPU is flushed by every entry (SDM 29.4.3.1). */
	if ((dirty & MV_STATE_TLB) && to_vmx(vcpu)->vpid)
		WARN_ON_ONCE(vmx_invvpid(to_vmx(vcpu)->vpid));
}

/**
 * vmx_load_dirty() - move changed register groups into the current VMCS
 * @vcpu: vcpu->dirty says which; none is dirty afterwards
 *
 * Context: inside the run section.
 */
void vmx_load_dirty(struct mv_vcpu *vcpu)
{
	u32 dirty = vcpu->dirty;

	vcpu->dirty = 0;
	if (dirty & MV_STATE_RIP)
		vmcs_write(GUEST_RIP, vcpu->rip);
	if (dirty & MV_STATE_RSP)
		vmcs_write(GUEST_RSP, vcpu->regs[MV_RSP]);
	if (dirty & MV_STATE_RFLAGS)
		vmcs_write(GUEST_RFLAGS, vcpu->rflags);
	if (dirty & (MV_STATE_SHADOW | MV_STATE_RFLAGS))
		load_shadow(vcpu, dirty & MV_STATE_SHADOW);
	if (dirty & ~(MV_STATE_RIP | MV_STATE_RSP | MV_STATE_RFLAGS |
		      MV_STATE_SHADOW))
		load_rare(vcpu, dirty);
}

/**
 * vmx_save_hot() - what struct mv_vcpu always has right outside the section
 * @vcpu: its VMCS is current
 *
 * What is dirty still has to go there: a request ended the section before the
 * first entry, or the handler of the last exit changed it. A handler that calls
 * this leaves the fields in the VMCS alone afterwards.
 */
void vmx_save_hot(struct mv_vcpu *vcpu)
{
	u32 have = vcpu->dirty | vcpu->valid;

	if (!(have & MV_STATE_RIP))
		vcpu->rip = vmcs_read(GUEST_RIP);
	if (!(have & MV_STATE_RSP))
		vcpu->regs[MV_RSP] = vmcs_read(GUEST_RSP);
	if (!(have & MV_STATE_RFLAGS))
		vcpu->rflags = vmcs_read(GUEST_RFLAGS);
	if (!(have & MV_STATE_SHADOW))
		vcpu->intr_shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	vcpu->valid |= MV_STATE_HOT;
}

/**
 * vmx_save_lazy() - bring lazy groups out of the current VMCS
 * @vcpu: those already valid are left alone
 * @groups: of MV_STATE_LAZY
 */
void vmx_save_lazy(struct mv_vcpu *vcpu, u32 groups)
{
	groups &= ~vcpu->valid;
	if (groups & MV_STATE_SEGS)
		save_segments(vcpu, groups);
	if (groups & MV_STATE_CRS)
		save_crs(vcpu);
	vcpu->valid |= groups;
}

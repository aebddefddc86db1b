// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run section: VMX on, guest in, guest out, VMX off.
 *
 * Interrupts stay off from end to end. A host interrupt makes the guest exit
 * and the section end; the exit has acknowledged it, and the core has it handled
 * by vmx_host_event() first of all.
 */
#include <linux/kernel.h>
#include <linux/printk.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>
#include "hw.h"
#include "trace.h"
#include "vmx.h"

/*
 * Exits handled in one section before it ends in any case, so that the host
 * gets its interrupts even if the CPU failed to exit for one.
 */
#define EXITS_PER_SECTION	512

/* Drops what this CPU's TLB may hold of translations that were taken away. */
static void flush_stale(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 gen = atomic64_read(&vcpu->vm->tlb_gen);

	if (likely(vmx->tlb_gen == gen))
		return;
	WARN_ON_ONCE(vmx_invept(to_vmx_vm(vcpu->vm)->eptp));
	vmx->tlb_gen = gen;
	vcpu->stats.tlb_flush++;
}

static void entry_failed(struct mv_vcpu *vcpu, u64 hw_reason)
{
	vcpu->exit.reason = MV_EXIT_FAIL_ENTRY;
	vcpu->exit.fail.hw_reason = hw_reason;
	vcpu->exit.fail.cpu = raw_smp_processor_id();
	vmx_audit(vcpu);
	/* The event, if there was one, still waits in vcpu->ev. */
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	to_vmx(vcpu)->injecting = VMX_INJ_NONE;
	vcpu->check_events = true;
}

/*
 * Everything the core, or the last exit, changed goes into the VMCS. First the
 * local APIC: it may have news for the others.
 */
static void prepare_entry(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	if (vcpu->lapic)
		vmx_apic_enter(vcpu);
	if (vcpu->dirty) {
		if (vcpu->dirty & MV_STATE_SYSCALL)
			vmx_load_guest_msrs(vcpu, host);
		vmx_load_dirty(vcpu);
	}
	if (vcpu->check_events)
		vmx_inject(vcpu);
	if (trace_minivmm_entry_enabled())
		trace_minivmm_entry(vcpu->id, vmcs_read(GUEST_RIP));
	/* Last: a tracepoint's reader may fault. */
	if (vcpu->cr2 != native_read_cr2())
		native_write_cr2(vcpu->cr2);
}

/* One entry and its exit. True: enter again. */
static bool run_once(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 reason;

	if (unlikely(READ_ONCE(vcpu->requests)))
		return false;
	prepare_entry(vcpu, host);
	vcpu->valid = 0;
	if (unlikely(vmx_enter(vcpu->regs, vmx, vmx->launched,
			       host->spec_ctrl))) {
		entry_failed(vcpu, vmcs_read(VM_INSTRUCTION_ERROR));
		return false;
	}
	vcpu->stats.exits++;
	vcpu->cr2 = native_read_cr2();
	reason = vmcs_read(VM_EXIT_REASON);
	if (unlikely(reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		/* The CPU does not deliver this one itself (SDM 27.9). */
		if ((u16)reason == EXIT_REASON_MCE_DURING_VMENTRY)
			vcpu->exit.host_event = X86_TRAP_MC;
		entry_failed(vcpu, reason);
		return false;
	}
	vmx->launched = true;
	if (vmx->injecting)
		vmx_injected(vcpu);
	return vmx_handle_exit(vcpu, host, reason);
}

/**
 * vmx_host_event() - what ended the guest's run is the host's to handle
 * @vector: NMI, machine check, or an interrupt that the exit acknowledged
 *
 * The exit of an NMI left NMIs blocked; the handler's IRET unblocks them (SDM
 * 28.3).
 *
 * Context: interrupts off, outside VMX operation. An interrupt's handler leaves
 * them on.
 */
void vmx_host_event(u8 vector)
{
	struct desc_ptr idt;

	if (vector == X86_TRAP_NMI) {
		asm volatile("int $2");
	} else if (vector == X86_TRAP_MC) {
		asm volatile("int $18");
	} else {
		store_idt(&idt);
		vmx_call_handler(gate_offset((gate_desc *)idt.address + vector));
	}
}

/**
 * vmx_run() - run the guest until the core is needed
 * @vcpu: the vCPU; vcpu->exit says why it came back
 *
 * Context: interrupts off, guest FPU state loaded. Does not sleep.
 */
void vmx_run(struct mv_vcpu *vcpu)
{
	struct vmx_host *host = &to_vmx(vcpu)->host;
	int budget = EXITS_PER_SECTION;
	int err = vmx_begin(vcpu, host);

	if (unlikely(err)) {
		vcpu->exit.reason = err == -EBUSY ? MV_EXIT_BUSY : MV_EXIT_BUG;
		return;
	}
	vmx_host_save(vcpu, host);
	flush_stale(vcpu);
	vmx_pml_begin(vcpu);

	vcpu->exit.reason = MV_EXIT_NONE;
	while (run_once(vcpu, host) && --budget)
		;

	if (to_vmx(vcpu)->logging)
		vmx_pml_empty(vcpu);
	vmx_save_hot(vcpu);
	vmx_host_restore(vcpu, host);
	vmx_end(vcpu, host);
}

/**
 * vmx_fetch() - bring lazy register groups into struct mv_vcpu
 * @vcpu: has run at least once
 * @groups: of MV_STATE_LAZY
 *
 * Context: process context, interrupts on. If another hypervisor has taken
 * this CPU since, or VMX fails, the VM dies: its state cannot be had.
 */
void vmx_fetch(struct mv_vcpu *vcpu, u32 groups)
{
	struct vmx_host *host = &to_vmx(vcpu)->host;
	unsigned long flags;
	int err;

	local_irq_save(flags);
	err = vmx_begin(vcpu, host);
	if (!err) {
		vmx_save_lazy(vcpu, groups);
		vmx_end(vcpu, host);
	}
	local_irq_restore(flags);
	if (err) {
		pr_err_ratelimited("minivmm: cannot read guest state (%d): another hypervisor owns VMX; VM of %s[%d] killed\n",
				   err, current->comm, current->pid);
		vcpu->vm->dead = true;
	}
}

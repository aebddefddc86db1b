// SPDX-License-Identifier: GPL-2.0-only
/*
 * One row for every basic exit reason of SDM appendix C, and its handler.
 *
 * A handler returns true to enter the guest again, false to leave the run
 * section with vcpu->exit filled in. Each decides by itself between retry (RIP
 * stays: a fault was repaired) and advance (skip(): the instruction has been
 * emulated). A reason without a handler is one that we never enable: it ends
 * in an internal error and a dump, never in the guest.
 *
 * Documentation/exits.md is checked against this table.
 */
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <uapi/asm/debugreg.h>
#include <asm/msr.h>
#include <asm/trapnr.h>
#include "hw.h"
#include "trace.h"
#include "vmx.h"

/**
 * struct vmx_exit - a row of the exit table
 * @name: as in SDM appendix C
 * @handle: NULL if the exit cannot happen; @why says why not
 * @vectoring: can interrupt the delivery of an event (SDM 28.2.4)
 * @why: which control is off, or which feature the guest never gets
 */
struct vmx_exit {
	const char *name;
	bool (*handle)(struct mv_vcpu *vcpu, struct vmx_host *host);
	bool vectoring;
	const char *why;
};

static bool unexpected_exit(struct mv_vcpu *vcpu, u32 reason);

static bool leave(struct mv_vcpu *vcpu, enum mv_exit_reason reason)
{
	vcpu->exit.reason = reason;
	return false;
}

/* For the core: the exit's instruction is emulated there, and skipped there. */
static bool leave_insn(struct mv_vcpu *vcpu, enum mv_exit_reason reason)
{
	vcpu->exit.insn_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	return leave(vcpu, reason);
}

/*
 * RIP wraps at 4 GiB outside 64-bit mode. Only a carry out of bit 31 can tell
 * the difference, so only then is the mode looked up.
 */
static u64 next_rip(struct mv_vcpu *vcpu)
{
	u64 rip = vmcs_read(GUEST_RIP);
	u64 next = rip + vmcs_read(VM_EXIT_INSTRUCTION_LEN);

	if (unlikely((rip ^ next) & BIT_ULL(32))) {
		vmx_save_lazy(vcpu, MV_STATE_CODE);
		if (!mv_is_64bit(vcpu))
			next = (u32)next;
	}
	return next;
}

/*
 * Advance: past an instruction that has been emulated. What the CPU does at an
 * instruction's end is ours to do: the shadow of an STI or MOV SS before it
 * ends, and TF traps.
 */
static bool skip(struct mv_vcpu *vcpu)
{
	u32 shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);

	vmcs_write(GUEST_RIP, next_rip(vcpu));
	if (unlikely(shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS))) {
		vmcs_write(GUEST_INTERRUPTIBILITY_INFO,
			   shadow & ~(MV_SHADOW_STI | MV_SHADOW_MOVSS));
		vmx_set_pending_step(false);	/* queued instead, below */
	}
	if (unlikely(vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_TF))
		mv_queue_db(vcpu, DR_STEP);
	mv_step_over(vcpu);
	return true;
}

static bool inject_ud(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	mv_queue_exception(vcpu, X86_TRAP_UD, false, 0);
	return true;
}

static bool inject_gp(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	mv_queue_exception(vcpu, X86_TRAP_GP, true, 0);
	return true;
}

/* Nothing to emulate, but the instruction is over. */
static bool do_nothing(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return skip(vcpu);
}

/*
 * A fault on IRET unblocked NMIs too early: block them again. @info is the field
 * that says so in bit 12, unless the exit cut short an event (SDM 28.2.3).
 */
static void reblock_nmi(const struct mv_vcpu *vcpu, u64 info)
{
	if (likely(!(info & INTR_INFO_UNBLOCK_NMI)) || vcpu->exit.vectoring)
		return;
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO,
		   vmcs_read(GUEST_INTERRUPTIBILITY_INFO) |
		   GUEST_INTR_STATE_NMI);
}

static bool leave_debug(struct mv_vcpu *vcpu, u8 vector, u64 dr6)
{
	vcpu->exit.debug.vector = vector;
	vcpu->exit.debug.dr6 = dr6;
	vmx_save_lazy(vcpu, MV_STATE_SEGS);
	return leave(vcpu, MV_EXIT_DEBUG);
}

/*
 * A breakpoint of the debugger's. A single-step trap that the guest was to get
 * is not lost, and VM entry insists on it in a shadow (SDM 27.3.1.5).
 */
static bool leave_breakpoint(struct mv_vcpu *vcpu, u64 bits)
{
	u32 shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);

	if ((bits & DR_STEP) ||
	    ((shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS)) &&
	     (vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_TF)))
		vmx_set_pending_step(true);
	return leave_debug(vcpu, X86_TRAP_DB, bits & DR_TRAP_BITS);
}

/*
 * #DB: its bits are in the exit qualification, DR6 is as it was (SDM 28.1).
 * An INT1 ends here too, as a trap: RIP moves past it.
 */
static bool handle_db(struct mv_vcpu *vcpu, u32 info)
{
	u64 bits = vmcs_read(EXIT_QUALIFICATION);
	u32 shadow = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);

	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_HW_BP) &&
	    (bits & DR_TRAP_BITS))
		return leave_breakpoint(vcpu, bits);
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vmcs_write(GUEST_RIP, next_rip(vcpu));
	else if ((shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS)) &&
		 (vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_TF))
		vmx_set_pending_step(true);
	mv_queue_db(vcpu, bits & (DR_TRAP_BITS | DR_STEP | MV_DR6_BD));
	return true;
}

/* SDM 6.15, "Interrupt 17": CPL 3, CR0.AM and RFLAGS.AC, all three */
static bool guest_checks_alignment(struct mv_vcpu *vcpu)
{
	vmx_save_lazy(vcpu, MV_STATE_CRS | MV_STATE_CODE);
	return MV_AR_DPL(vcpu->seg[MV_SS].ar) == 3 &&
	       (vcpu->cr0 & X86_CR0_AM) &&
	       (vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_AC);
}

static bool handle_exception_nmi(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u32 info = vmcs_read(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR ||
	    vector == X86_TRAP_MC) {
		vcpu->exit.host_event = vector;
		return leave(vcpu, MV_EXIT_NONE);
	}
	reblock_nmi(vcpu, info);
	if (vector == X86_TRAP_UD)
		return leave(vcpu, MV_EXIT_UD);
	if (vector == X86_TRAP_DB)
		return handle_db(vcpu, info);
	if (vector == X86_TRAP_BP) {
		vcpu->debug.bp_len = vmcs_read(VM_EXIT_INSTRUCTION_LEN);
		return leave_debug(vcpu, vector, 0);
	}
	/*
	 * With SMT the host's split-lock detection can be on again, although
	 * vmx_host_save() turned it off: the next section does once more.
	 */
	if (vector == X86_TRAP_AC && !guest_checks_alignment(vcpu))
		return leave(vcpu, MV_EXIT_NONE);
	if (vector == X86_TRAP_AC) {
		mv_queue_exception(vcpu, vector, true,
				   vmcs_read(VM_EXIT_INTR_ERROR_CODE));
		return true;
	}
	return unexpected_exit(vcpu, EXIT_REASON_EXCEPTION_NMI);
}

/* The exit took it from the host's APIC: the section ends, the host handles it. */
static bool handle_external_interrupt(struct mv_vcpu *vcpu,
				      struct vmx_host *host)
{
	vcpu->stats.irq_exits++;
	vcpu->exit.host_event = vmcs_read(VM_EXIT_INTR_INFO);
	return leave(vcpu, MV_EXIT_NONE);
}

/* The host takes it when the section is over and interrupts are on. */
static bool handle_host_work(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return leave(vcpu, MV_EXIT_NONE);
}

static bool handle_triple_fault(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return leave(vcpu, MV_EXIT_SHUTDOWN);
}

static bool handle_interrupt_window(struct mv_vcpu *vcpu,
				    struct vmx_host *host)
{
	vcpu->stats.irq_window_exits++;
	vmx_set_window(vcpu, CPU_BASED_INTR_WINDOW_EXITING, false);
	vcpu->check_events = true;
	/* What the client has queued already goes in before it gives the next. */
	if (vcpu->want_window && !vcpu->ev.interrupt.queued)
		return leave(vcpu, MV_EXIT_WINDOW);
	return true;
}

static bool handle_nmi_window(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	vcpu->stats.nmi_window_exits++;
	vmx_set_window(vcpu, CPU_BASED_NMI_WINDOW_EXITING, false);
	vcpu->check_events = true;
	return true;
}

/* Hardware task switches are not emulated; the client learns where and what. */
static bool handle_task_switch(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return leave(vcpu, MV_EXIT_EMULATE);
}

static bool handle_cpuid(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	mv_emulate_cpuid(vcpu);
	return skip(vcpu);
}

/* An interrupt that waits already ends it at once. */
static bool handle_hlt(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	vcpu->stats.halt_exits++;
	skip(vcpu);
	if (vcpu->lapic && mv_interrupt_waits(vcpu) &&
	    (vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_IF))
		return true;
	return leave(vcpu, MV_EXIT_HLT);
}

/* Only loops exit (SDM 26.1.3). */
static bool handle_pause(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	skip(vcpu);
	return leave(vcpu, MV_EXIT_PAUSE);
}

/* The next entry has the timer fire, unless this is just the watchdog. */
static bool handle_preemption_timer(struct mv_vcpu *vcpu,
				    struct vmx_host *host)
{
	if (!vmx_irqoff_watchdog ||
	    (vcpu->lapic && rdtsc() >= vcpu->lapic->deadline))
		return true;
	return leave(vcpu, MV_EXIT_NONE);
}

/*
 * Three exits that follow a write of the local APIC's registers, as traps do: the
 * instruction is over, and what the debugger wants of its end comes from us.
 *
 * An interrupt that the task priority held back may go in now.
 */
static bool handle_tpr_below_threshold(struct mv_vcpu *vcpu,
				       struct vmx_host *host)
{
	vcpu->check_events = true;
	mv_step_over(vcpu);
	return true;
}

/* The CPU has done the EOI; the I/O APIC is to be told (SDM 30.1.4). */
static bool handle_eoi(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	mv_apic_eoi_done(vcpu, vmcs_read(EXIT_QUALIFICATION));
	mv_step_over(vcpu);
	return true;
}

/*
 * The CPU has written the register and gone on, but leaves the rest to us (SDM
 * 30.4.3.3). Of an xAPIC's registers it can be any byte.
 */
static bool handle_apic_write(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	mv_apic_written(vcpu, vmcs_read(EXIT_QUALIFICATION) & 0xff0);
	mv_step_over(vcpu);
	return true;
}

static bool handle_vmcall(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	bool is_64bit = (vcpu->efer & EFER_LMA) &&
			(vmcs_read(GUEST_CS_AR_BYTES) & MV_AR_L);
	unsigned int cpl = MV_AR_DPL(vmcs_read(GUEST_SS_AR_BYTES));
	bool yield = mv_hypercall(vcpu, cpl, is_64bit);

	vcpu->stats.hypercalls++;
	skip(vcpu);
	return yield ? leave(vcpu, MV_EXIT_YIELD) : true;
}

static bool handle_mwait(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return mv_mwait_is_ud(vcpu) ? inject_ud(vcpu, host) : skip(vcpu);
}

/* Exit qualification: SDM table 28-3 */
static bool handle_cr_access(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	static const enum mv_cr_op ops[] = {
		MV_CR_WRITE, MV_CR_READ, MV_CR_CLTS, MV_CR_LMSW
	};
	u64 qual = vmcs_read(EXIT_QUALIFICATION);

	vcpu->exit.cr.cr = qual & 15;
	vcpu->exit.cr.op = ops[(qual >> 4) & 3];
	vcpu->exit.cr.reg = (qual >> 8) & 15;
	vcpu->exit.cr.source = qual >> 16;
	vmx_save_lazy(vcpu, MV_STATE_CRS | MV_STATE_SEGS);
	return leave_insn(vcpu, MV_EXIT_CR);
}

/* Exit qualification: SDM table 28-4 */
static bool handle_dr_access(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u64 qual = vmcs_read(EXIT_QUALIFICATION);

	vcpu->exit.dr.dr = qual & 7;
	vcpu->exit.dr.write = !(qual & BIT(4));
	vcpu->exit.dr.reg = (qual >> 8) & 15;
	vmx_save_lazy(vcpu, MV_STATE_CRS | MV_STATE_SEGS);
	return leave_insn(vcpu, MV_EXIT_DR);
}

/* Exit qualification: SDM table 28-5; instruction information: table 28-9 */
static bool handle_io(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u64 qual = vmcs_read(EXIT_QUALIFICATION);

	vcpu->stats.io_exits++;
	vcpu->exit.pio.port = qual >> 16;
	vcpu->exit.pio.size = (qual & 7) + 1;
	vcpu->exit.pio.in = qual & BIT(3);
	vcpu->exit.pio.string = qual & BIT(4);
	if (vcpu->exit.pio.string) {
		u32 info = vmcs_read(VMX_INSTRUCTION_INFO);

		vcpu->exit.pio.rep = qual & BIT(5);
		vcpu->exit.pio.addr_size = 2 << ((info >> 7) & 7);
		/* INS always writes to ES */
		vcpu->exit.pio.seg = vcpu->exit.pio.in ? MV_ES :
							 (info >> 15) & 7;
		vmx_save_lazy(vcpu, MV_STATE_CRS | MV_STATE_SEGS);
	} else if (!vcpu->exit.pio.in && mv_has_devices(vcpu->vm) &&
		   mv_ring_port(vcpu, vcpu->exit.pio.port,
				vcpu->exit.pio.size)) {
		return skip(vcpu);
	}
	return leave_insn(vcpu, MV_EXIT_PIO);
}

/*
 * Segment bases are in the CPU or the VMCS. They exit only if the client's filter
 * denies an MSR that needs no exit otherwise.
 */
static void save_bases(struct mv_vcpu *vcpu)
{
	vcpu->kernel_gs_base = hw_rdmsr(MSR_KERNEL_GS_BASE);
	vmx_save_lazy(vcpu, MV_STATE_SEGS);
}

/* #GP, unless the client wants to hear of such accesses. */
static bool msr_failed(struct mv_vcpu *vcpu, struct vmx_host *host, bool write,
		       u64 data, int error)
{
	if (!READ_ONCE(vcpu->vm->msr_exits))
		return inject_gp(vcpu, host);
	vcpu->exit.msr.write = write;
	vcpu->exit.msr.index = vcpu->regs[MV_RCX];
	vcpu->exit.msr.data = data;
	vcpu->exit.msr.error = error;
	return leave_insn(vcpu, MV_EXIT_MSR);
}

static bool handle_rdmsr(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u32 index = vcpu->regs[MV_RCX];
	u64 data = 0;
	int fault;

	fault = mv_read_msr(vcpu, index, &data);
	if (unlikely(fault == -EAGAIN)) {
		save_bases(vcpu);
		fault = mv_read_msr(vcpu, index, &data);
	}
	trace_minivmm_msr(false, index, data, fault);
	if (fault)
		return msr_failed(vcpu, host, false, 0, fault);
	vcpu->regs[MV_RAX] = (u32)data;
	vcpu->regs[MV_RDX] = data >> 32;
	return skip(vcpu);
}

static bool handle_wrmsr(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u32 index = vcpu->regs[MV_RCX];
	u64 data = (u32)vcpu->regs[MV_RAX] | vcpu->regs[MV_RDX] << 32;
	int ret;

	/* EFER is loaded together with the control registers. */
	if (index == MSR_EFER)
		vmx_save_lazy(vcpu, MV_STATE_CRS);
	ret = mv_write_msr(vcpu, index, data);
	if (unlikely(ret == -EAGAIN)) {
		save_bases(vcpu);
		ret = mv_write_msr(vcpu, index, data);
		hw_wrmsr(MSR_KERNEL_GS_BASE, vcpu->kernel_gs_base);
	}
	trace_minivmm_msr(true, index, data, ret < 0);
	if (ret < 0)
		return msr_failed(vcpu, host, true, data, ret);
	skip(vcpu);
	return ret ? leave(vcpu, MV_EXIT_NONE) : true;
}

/* The IDT, or the stack of a handler, lies where there is no memory. */
static bool leave_delivery(struct mv_vcpu *vcpu, u32 reason, u64 gpa)
{
	/* the data KVM gives */
	vcpu->exit.internal.ndata = 4;
	vcpu->exit.internal.data[0] = vmcs_read(IDT_VECTORING_INFO_FIELD);
	vcpu->exit.internal.data[1] = reason;
	vcpu->exit.internal.data[2] = vmcs_read(EXIT_QUALIFICATION);
	vcpu->exit.internal.data[3] = gpa;
	return leave(vcpu, MV_EXIT_DELIVERY);
}

/*
 * An access that vcpu->exit.fault describes has found no memory: the core
 * emulates it, at once if it can; else it needs more registers, which are
 * cheapest to get with the VMCS at hand.
 */
static bool emulate_access(struct mv_vcpu *vcpu)
{
	u32 groups;

	vcpu->stats.pf_emulate++;
	vmx_save_hot(vcpu);
	vmx_save_lazy(vcpu, MV_STATE_CODE | MV_STATE_CRS);
	groups = mv_mmio_atomic(vcpu);
	if (!groups)
		return true;
	vmx_save_lazy(vcpu, groups);
	return leave(vcpu, MV_EXIT_MMIO);
}

/*
 * What the CPU does not do of an xAPIC. Exit qualification: SDM table 28-6. The
 * types above 1 are of accesses for the delivery of an event, by a linear (3) or
 * a guest-physical (10) address, and of other guest-physical accesses (15), as of
 * page tables; none of them tells where. A fetch (2) does not get here: the page
 * is not executable.
 */
static bool handle_apic_access(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u64 qual = vmcs_read(EXIT_QUALIFICATION);
	u32 type = (qual >> 12) & 15;

	vcpu->exit.fault.gpa = MV_APIC_BASE | (type <= 1 ? qual & 0xfff : 0);
	vcpu->exit.fault.write = type == 1;
	vcpu->exit.fault.fetch = type == 2;
	vcpu->exit.fault.operand = type <= 1;
	if (vcpu->exit.vectoring)
		return leave_delivery(vcpu, EXIT_REASON_APIC_ACCESS,
				      vcpu->exit.fault.gpa);
	return emulate_access(vcpu);
}

/*
 * Exit qualification: SDM table 28-7. Memory is mapped and the instruction
 * retried.
 */
static bool handle_ept_violation(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u64 qual = vmcs_read(EXIT_QUALIFICATION);
	u64 gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);

	vcpu->stats.pf_taken++;
	reblock_nmi(vcpu, qual);
	if (trace_minivmm_page_fault_enabled())
		trace_minivmm_page_fault(vcpu->id, vmcs_read(GUEST_RIP), gpa,
					 qual);

	vcpu->exit.fault.gpa = gpa;
	vcpu->exit.fault.write = qual & EPT_VIOLATION_ACC_WRITE;
	vcpu->exit.fault.fetch = qual & EPT_VIOLATION_ACC_INSTR;
	switch (mv_fault_in_atomic(vcpu)) {
	case MV_FAULT_MAPPED:
		vcpu->stats.pf_fixed++;
		return true;
	case MV_FAULT_SLEEP:
		return leave(vcpu, MV_EXIT_GPA_FAULT);
	case MV_FAULT_DEVICE:
		break;
	}
	if (vcpu->exit.vectoring)
		return leave_delivery(vcpu, EXIT_REASON_EPT_VIOLATION, gpa);
	vcpu->exit.fault.operand = qual & EPT_VIOLATION_GVA_TRANSLATED;
	return emulate_access(vcpu);
}

/* SDM 29.3.6. The write that found no room has not happened: retry. */
static bool handle_pml_full(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	reblock_nmi(vcpu, vmcs_read(EXIT_QUALIFICATION));
	vmx_pml_empty(vcpu);
	return true;
}

/*
 * The debugger's single step is over. Breakpoints of its own that the same
 * instruction met are still pending (SDM 26.5.2); a trap for the guest stays so.
 */
static bool handle_monitor_trap(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);
	u64 met = 0;

	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_HW_BP)) {
		met = pending & DR_TRAP_BITS;
		/* bit 12: a breakpoint that was enabled has been met */
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS,
			   pending & ~(DR_TRAP_BITS | BIT_ULL(12)));
	}
	return leave_debug(vcpu, X86_TRAP_DB, met | DR_STEP);
}

static bool handle_xsetbv(struct mv_vcpu *vcpu, struct vmx_host *host)
{
	return leave_insn(vcpu, MV_EXIT_XSETBV);
}

static const struct vmx_exit vmx_exits[] = {
	[EXIT_REASON_EXCEPTION_NMI] = { "exception or NMI",
		handle_exception_nmi, .vectoring = true },
	[EXIT_REASON_EXTERNAL_INTERRUPT] = { "external interrupt",
		handle_external_interrupt, .vectoring = true },
	[EXIT_REASON_TRIPLE_FAULT] = { "triple fault", handle_triple_fault },
	/* One CPU tells another to stop, which hosts do when they go down. */
	[EXIT_REASON_INIT_SIGNAL] = { "INIT signal", handle_host_work },
	[EXIT_REASON_SIPI_SIGNAL] = { "SIPI",
		.why = "no vCPU is in the wait-for-SIPI state" },
	[5] = { "I/O SMI", .why = "no dual-monitor SMM" },
	[6] = { "other SMI", .why = "no dual-monitor SMM" },
	[EXIT_REASON_INTERRUPT_WINDOW] = { "interrupt window",
		handle_interrupt_window },
	[EXIT_REASON_NMI_WINDOW] = { "NMI window", handle_nmi_window },
	[EXIT_REASON_TASK_SWITCH] = { "task switch", handle_task_switch,
		.vectoring = true },
	[EXIT_REASON_CPUID] = { "CPUID", handle_cpuid },
	[11] = { "GETSEC", inject_ud },
	[EXIT_REASON_HLT] = { "HLT", handle_hlt },
	[EXIT_REASON_INVD] = { "INVD", do_nothing },
	[EXIT_REASON_INVLPG] = { "INVLPG", .why = "INVLPG exiting is off" },
	[EXIT_REASON_RDPMC] = { "RDPMC", inject_gp },
	[EXIT_REASON_RDTSC] = { "RDTSC", .why = "RDTSC exiting is off" },
	[17] = { "RSM", .why = "no vCPU is in SMM" },
	[EXIT_REASON_VMCALL] = { "VMCALL", handle_vmcall },
	[EXIT_REASON_VMCLEAR] = { "VMCLEAR", inject_ud },
	[EXIT_REASON_VMLAUNCH] = { "VMLAUNCH", inject_ud },
	[EXIT_REASON_VMPTRLD] = { "VMPTRLD", inject_ud },
	[EXIT_REASON_VMPTRST] = { "VMPTRST", inject_ud },
	[EXIT_REASON_VMREAD] = { "VMREAD", inject_ud },
	[EXIT_REASON_VMRESUME] = { "VMRESUME", inject_ud },
	[EXIT_REASON_VMWRITE] = { "VMWRITE", inject_ud },
	[EXIT_REASON_VMOFF] = { "VMXOFF", inject_ud },
	[EXIT_REASON_VMON] = { "VMXON", inject_ud },
	[EXIT_REASON_CR_ACCESS] = { "control-register access",
		handle_cr_access },
	[EXIT_REASON_DR_ACCESS] = { "MOV DR", handle_dr_access },
	[EXIT_REASON_IO_INSTRUCTION] = { "I/O instruction", handle_io },
	[EXIT_REASON_MSR_READ] = { "RDMSR", handle_rdmsr },
	[EXIT_REASON_MSR_WRITE] = { "WRMSR", handle_wrmsr },
	[EXIT_REASON_INVALID_STATE] = { "entry failure: guest state",
		.why = "comes with bit 31 set, as a failed entry" },
	[EXIT_REASON_MSR_LOAD_FAIL] = { "entry failure: MSR loading",
		.why = "comes with bit 31 set, and the list is empty" },
	[EXIT_REASON_MWAIT_INSTRUCTION] = { "MWAIT", handle_mwait },
	[EXIT_REASON_MONITOR_TRAP_FLAG] = { "monitor trap flag",
		handle_monitor_trap },
	[EXIT_REASON_MONITOR_INSTRUCTION] = { "MONITOR", handle_mwait },
	[EXIT_REASON_PAUSE_INSTRUCTION] = { "PAUSE", handle_pause },
	[EXIT_REASON_MCE_DURING_VMENTRY] = { "entry failure: machine check",
		.why = "comes with bit 31 set, as a failed entry" },
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = { "TPR below threshold",
		handle_tpr_below_threshold },
	[EXIT_REASON_APIC_ACCESS] = { "APIC access", handle_apic_access,
		.vectoring = true },
	[EXIT_REASON_EOI_INDUCED] = { "virtualized EOI", handle_eoi },
	[EXIT_REASON_GDTR_IDTR] = { "access to GDTR or IDTR",
		.why = "descriptor-table exiting is off" },
	[EXIT_REASON_LDTR_TR] = { "access to LDTR or TR",
		.why = "descriptor-table exiting is off" },
	[EXIT_REASON_EPT_VIOLATION] = { "EPT violation", handle_ept_violation,
		.vectoring = true },
	[EXIT_REASON_EPT_MISCONFIG] = { "EPT misconfiguration",
		.why = "every EPT entry we write is valid", .vectoring = true },
	[EXIT_REASON_INVEPT] = { "INVEPT", inject_ud },
	[EXIT_REASON_RDTSCP] = { "RDTSCP", .why = "RDTSC exiting is off" },
	[EXIT_REASON_PREEMPTION_TIMER] = { "VMX-preemption timer",
		handle_preemption_timer },
	[EXIT_REASON_INVVPID] = { "INVVPID", inject_ud },
	[EXIT_REASON_WBINVD] = { "WBINVD or WBNOINVD", do_nothing },
	[EXIT_REASON_XSETBV] = { "XSETBV", handle_xsetbv },
	[EXIT_REASON_APIC_WRITE] = { "APIC write", handle_apic_write },
	[EXIT_REASON_RDRAND] = { "RDRAND", .why = "RDRAND exiting is off" },
	[EXIT_REASON_INVPCID] = { "INVPCID", .why = "INVLPG exiting is off" },
	[EXIT_REASON_VMFUNC] = { "VMFUNC", .why = "VM functions are off: #UD" },
	[EXIT_REASON_ENCLS] = { "ENCLS", inject_ud },
	[EXIT_REASON_RDSEED] = { "RDSEED", .why = "RDSEED exiting is off" },
	[EXIT_REASON_PML_FULL] = { "page-modification log full",
		handle_pml_full, .vectoring = true },
	[EXIT_REASON_XSAVES] = { "XSAVES", .why = "the XSS-exiting bitmap is 0" },
	[EXIT_REASON_XRSTORS] = { "XRSTORS", .why = "the XSS-exiting bitmap is 0" },
	[65] = { "PCONFIG", .why = "PCONFIG is off: #UD" },
	[66] = { "SPP-related event", .why = "sub-page permissions are off" },
	[EXIT_REASON_UMWAIT] = { "UMWAIT", .why = "user wait is off: #UD" },
	[EXIT_REASON_TPAUSE] = { "TPAUSE", .why = "user wait is off: #UD" },
	[69] = { "LOADIWKEY", .why = "LOADIWKEY exiting is off" },
	[70] = { "ENCLV", .why = "ENCLV exiting is off" },
	[72] = { "ENQCMD PASID translation failure",
		.why = "PASID translation is off" },
	[73] = { "ENQCMDS PASID translation failure",
		.why = "PASID translation is off" },
	[74] = { "bus lock", .why = "bus-lock detection is off" },
	[75] = { "instruction timeout", .why = "notify exiting is off" },
	[76] = { "SEAMCALL", inject_ud },
	[77] = { "TDCALL", inject_ud },
	[78] = { "RDMSRLIST", .why = "MSR-list instructions are off: #UD" },
	[79] = { "WRMSRLIST", .why = "MSR-list instructions are off: #UD" },
};

/**
 * vmx_exit_name() - what the SDM calls an exit reason
 * @reason: exit reason field; only the basic reason counts
 */
const char *vmx_exit_name(u32 reason)
{
	u16 basic = reason;

	if (basic < ARRAY_SIZE(vmx_exits) && vmx_exits[basic].name)
		return vmx_exits[basic].name;
	return "unknown";
}

static bool unexpected_exit(struct mv_vcpu *vcpu, u32 reason)
{
	u16 basic = reason;
	const char *why = basic < ARRAY_SIZE(vmx_exits) ?
			  vmx_exits[basic].why : NULL;

	pr_err_ratelimited("minivmm: unexpected exit %#x (%s), though %s\n",
			   reason, vmx_exit_name(reason),
			   why ?: "this CPU was never asked for it");
	vmx_dump(vcpu);
	vcpu->exit.internal.ndata = 2;
	vcpu->exit.internal.data[0] = reason;
	vcpu->exit.internal.data[1] = raw_smp_processor_id();
	return leave(vcpu, MV_EXIT_UNEXPECTED);
}

/**
 * vmx_handle_exit() - do what an exit asks for
 * @vcpu: its VMCS is current
 * @host: the host's state, put aside
 * @reason: exit reason field, entry succeeded
 *
 * Return: true to enter the guest again, false if vcpu->exit is for the core.
 */
bool vmx_handle_exit(struct mv_vcpu *vcpu, struct vmx_host *host, u32 reason)
{
	const struct vmx_exit *row;
	u16 basic = reason;

	if (trace_minivmm_exit_enabled())
		trace_minivmm_exit(vcpu->id, reason, vmx_exit_name(reason),
				   vmcs_read(GUEST_RIP),
				   vmcs_read(EXIT_QUALIFICATION),
				   vmcs_read(VM_EXIT_INTR_INFO));

	if (unlikely(basic >= ARRAY_SIZE(vmx_exits)))
		return unexpected_exit(vcpu, reason);
	row = &vmx_exits[array_index_nospec(basic, ARRAY_SIZE(vmx_exits))];
	if (unlikely(!row->handle))
		return unexpected_exit(vcpu, reason);
	if (row->vectoring)
		vmx_requeue(vcpu);
	return row->handle(vcpu, host);
}

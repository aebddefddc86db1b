// SPDX-License-Identifier: GPL-2.0-only
/*
 * MINIVMM_RUN: the loop around the run section.
 *
 * The back end runs the guest and handles what needs no sleep. What comes back
 * here is one neutral exit at a time: repaired, emulated, or handed to user
 * space.
 */
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <uapi/asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "core.h"
#include "decode.h"
#include "hostwork.h"

/*
 * What the CPU does at the end of each instruction, and of each iteration of a
 * repeated one: the shadow of a preceding STI or MOV SS ends, TF traps.
 */
void mv_finish_iteration(struct mv_vcpu *vcpu)
{
	if (vcpu->intr_shadow & (MV_SHADOW_STI | MV_SHADOW_MOVSS)) {
		vcpu->intr_shadow &= ~(MV_SHADOW_STI | MV_SHADOW_MOVSS);
		vcpu->dirty |= MV_STATE_SHADOW;
	}
	if (vcpu->rflags & X86_EFLAGS_TF)
		mv_queue_db(vcpu, DR_STEP);
	mv_step_over(vcpu);
}

/**
 * mv_skip_insn() - advance: the exit's instruction has been emulated
 * @vcpu: vcpu->exit.insn_len is its length
 *
 * RIP wraps at 4 GiB outside 64-bit mode; only a carry out of bit 31 can tell
 * the difference, so only then is the mode looked up.
 *
 * Context: any; inside the run section MV_STATE_HOT and MV_STATE_CODE are valid.
 */
void mv_skip_insn(struct mv_vcpu *vcpu)
{
	u64 next = vcpu->rip + vcpu->exit.insn_len;

	if (unlikely((vcpu->rip ^ next) & BIT_ULL(32))) {
		mv_need(vcpu, MV_STATE_CODE);
		if (!mv_is_64bit(vcpu))
			next = (u32)next;
	}
	vcpu->rip = next;
	vcpu->dirty |= MV_STATE_RIP;
	mv_finish_iteration(vcpu);
}

/**
 * mv_emulation_failure() - an instruction we do not know
 * @vcpu: the vCPU
 * @insn: its bytes, or NULL
 * @len: how many, at most MV_INSN_MAX
 *
 * A process in the guest must not be able to stop it, so it just gets #UD. If
 * it is the guest's kernel the client decides; should that go on, #UD it is.
 */
int mv_emulation_failure(struct mv_vcpu *vcpu, const u8 *insn, unsigned int len)
{
	struct minivmm_run *run = vcpu->run;

	vcpu->stats.insn_emulation_fail++;
	mv_queue_exception(vcpu, X86_TRAP_UD, false, 0);
	if (mv_cpl_access(vcpu))
		return 1;
	run->exit_reason = MINIVMM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = MINIVMM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 0;
	run->emulation_failure.flags = 0;
	if (len) {
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags =
			MINIVMM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = len;
		memset(run->emulation_failure.insn_bytes, 0x90, MV_INSN_MAX);
		memcpy(run->emulation_failure.insn_bytes, insn, len);
	}
	return 0;
}

/* For an instruction that the back end could not name: show the client all. */
static int unknown_instruction(struct mv_vcpu *vcpu)
{
	u8 insn[MV_INSN_MAX];
	struct mv_fault fault;
	int len = mv_fetch_insn(vcpu, insn, sizeof(insn), &fault);

	return mv_emulation_failure(vcpu, insn, max(len, 0));
}

static int internal_error(struct mv_vcpu *vcpu, u32 suberror)
{
	struct minivmm_run *run = vcpu->run;
	int i;

	run->exit_reason = MINIVMM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = vcpu->exit.internal.ndata;
	for (i = 0; i < vcpu->exit.internal.ndata; i++)
		run->internal.data[i] = vcpu->exit.internal.data[i];
	return 0;
}

static int exit_to_user(struct mv_vcpu *vcpu, u32 reason)
{
	vcpu->run->exit_reason = reason;
	return 0;
}

static int fail_entry(struct mv_vcpu *vcpu)
{
	vcpu->run->fail_entry.hardware_entry_failure_reason =
		vcpu->exit.fail.hw_reason;
	vcpu->run->fail_entry.cpu = vcpu->exit.fail.cpu;
	return exit_to_user(vcpu, MINIVMM_EXIT_FAIL_ENTRY);
}

static int backend_busy(void)
{
	pr_err_ratelimited("minivmm: another hypervisor owns this CPU's virtualization extension; unload it (modprobe -r kvm_intel), or load kvm with enable_virt_at_load=0\n");
	return -EBUSY;
}

static int backend_bug(struct mv_vcpu *vcpu)
{
	pr_err_ratelimited("minivmm: cannot turn on virtualization on CPU %d; VM killed\n",
			   raw_smp_processor_id());
	vcpu->vm->dead = true;
	return -EIO;
}

/* Who has the local APIC knows what ends a HLT. */
static int handle_hlt(struct mv_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return exit_to_user(vcpu, MINIVMM_EXIT_HLT);
	vcpu->mp_state = MINIVMM_MP_STATE_HALTED;
	return 1;
}

/* The client asked for it, to inject. */
static int window_open(struct mv_vcpu *vcpu)
{
	vcpu->stats.request_irq_exits++;
	return exit_to_user(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
}

static int handle_gpa_fault(struct mv_vcpu *vcpu)
{
	int ret = mv_handle_gpa_fault(vcpu);

	vcpu->stats.pf_fixed += ret == 1;
	return ret;
}

/* Every reason has its line; nothing goes back to the guest by default. */
static int handle_exit(struct mv_vcpu *vcpu)
{
	switch (vcpu->exit.reason) {
	case MV_EXIT_NONE:
		return 1;
	case MV_EXIT_WINDOW:
		return window_open(vcpu);
	case MV_EXIT_HLT:
		return handle_hlt(vcpu);
	case MV_EXIT_PAUSE:
		return mv_yield(vcpu);
	case MV_EXIT_YIELD:
		return mv_yield_to(vcpu, vcpu->exit.yield_to);
	case MV_EXIT_UD:
		return mv_handle_ud(vcpu);
	case MV_EXIT_PIO:
		return mv_handle_pio(vcpu);
	case MV_EXIT_GPA_FAULT:
		return handle_gpa_fault(vcpu);
	case MV_EXIT_MMIO:
		return mv_handle_mmio(vcpu);
	case MV_EXIT_DELIVERY:
		return internal_error(vcpu,
			MINIVMM_INTERNAL_ERROR_DELIVERY_EV);
	case MV_EXIT_CR:
		return mv_handle_cr(vcpu);
	case MV_EXIT_DR:
		return mv_handle_dr(vcpu);
	case MV_EXIT_XSETBV:
		return mv_handle_xsetbv(vcpu);
	case MV_EXIT_DEBUG:
		return mv_exit_debug(vcpu, vcpu->exit.debug.vector,
				     vcpu->exit.debug.dr6);
	case MV_EXIT_MSR:
		return mv_handle_msr(vcpu);
	case MV_EXIT_SHUTDOWN:
		return exit_to_user(vcpu, MINIVMM_EXIT_SHUTDOWN);
	case MV_EXIT_FAIL_ENTRY:
		return fail_entry(vcpu);
	case MV_EXIT_EMULATE:
		return unknown_instruction(vcpu);
	case MV_EXIT_UNEXPECTED:
		return internal_error(vcpu,
			MINIVMM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
	case MV_EXIT_BUSY:
		return backend_busy();
	case MV_EXIT_BUG:
		break;
	}
	return backend_bug(vcpu);
}

static void left_guest(void *unused)
{
}

/**
 * mv_leave_guest() - make every CPU leave this VM's run section
 * @vm: the VM
 *
 * Run sections have interrupts off, so when the IPI has been answered the CPU
 * is out of its section, and the next one sees what was written before the call.
 *
 * Context: interrupts on; does not sleep.
 */
void mv_leave_guest(struct mv_vm *vm)
{
	smp_mb();	/* pairs with enter_guest() */
	preempt_disable();
	smp_call_function_many(&vm->running, left_guest, NULL, true);
	preempt_enable();
}

/*
 * One run section. Interrupts that arrive in it are taken at its end, while
 * the time still counts as the guest's.
 */
static void enter_guest(struct mv_vcpu *vcpu)
{
	struct cpumask *running = &vcpu->vm->running;

	preempt_disable();
	local_irq_disable();
	current->flags |= PF_VCPU;
	vcpu->exit.reason = MV_EXIT_NONE;
	vcpu->exit.host_event = 0;
	WRITE_ONCE(vcpu->cpu, smp_processor_id());
	cpumask_set_cpu(smp_processor_id(), running);
	/* pairs with mv_leave_guest(), kick(): seen from here on, or they see us */
	smp_mb__after_atomic();
	if (likely(!mv_host_work_pending() && !mv_clock_stale(vcpu))) {
		/* with interrupts off already, which spares it softirqs */
		kernel_fpu_begin_mask(0);
		mv_fpu_enter(vcpu);
		mv_ops->run(vcpu);
		mv_fpu_leave(vcpu);
		kernel_fpu_end();
	}
	cpumask_clear_cpu(smp_processor_id(), running);
	WRITE_ONCE(vcpu->cpu, -1);
	/* Between guest instructions nobody holds an RCU reference. */
	if (vcpu->exit.reason == MV_EXIT_NONE)
		rcu_note_context_switch(false);
	if (vcpu->exit.host_event)
		mv_ops->host_event(vcpu->exit.host_event);
	local_irq_enable();
	current->flags &= ~PF_VCPU;
	preempt_enable();
}

/* What the guest reads of the host's time, before it can look */
static void update_time(struct mv_vcpu *vcpu)
{
	if (unlikely(mv_clock_stale(vcpu)))
		mv_clock_update(vcpu);
	if (unlikely(mv_steal_stale(vcpu)))
		mv_steal_update(vcpu);
}

/* Signals, rescheduling, task work. -EINTR if a signal waits. */
static int host_work(struct mv_vcpu *vcpu)
{
	int ret = 0;

	if (mv_host_work_pending())
		ret = mv_handle_host_work();
	if (ret) {
		vcpu->stats.signal_exits++;
		vcpu->run->exit_reason = MINIVMM_EXIT_INTR;
	}
	return ret;
}

/*
 * The client asked to be told when it can inject. With the 8259 pair in the
 * kernel it has nothing to inject; with a local APIC its interrupts must come
 * through LINT0.
 */
static bool wants_window(struct mv_vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->run->request_interrupt_window))
		return false;
	switch (vcpu->vm->irqchip) {
	case MV_IRQCHIP_USER:
		return true;
	case MV_IRQCHIP_SPLIT:
		return mv_extint_ready(vcpu);
	case MV_IRQCHIP_KERNEL:
		break;
	}
	return false;
}

static void set_want_window(struct mv_vcpu *vcpu, bool want)
{
	if (vcpu->want_window == want)
		return;
	vcpu->want_window = want;
	vcpu->check_events = true;
}

/* Returns as handlers do: 1 to enter (again). */
static int run_once(struct mv_vcpu *vcpu)
{
	bool window;
	int ret;

	/* Perhaps in the handler just now, which worked on garbage then */
	if (unlikely(vcpu->vm->dead))
		return -EIO;
	if (unlikely(READ_ONCE(vcpu->requests))) {
		ret = mv_handle_requests(vcpu);
		if (ret != 1)
			return ret;
	}
	/* Not before: an EOI that is on its way is in no state to be saved. */
	ret = host_work(vcpu);
	if (ret)
		return ret;
	if (vcpu->mp_state != MINIVMM_MP_STATE_RUNNABLE)
		return mv_wait(vcpu);
	if (vcpu->ev.triple_fault) {
		vcpu->ev.triple_fault = false;
		return exit_to_user(vcpu, MINIVMM_EXIT_SHUTDOWN);
	}
	window = wants_window(vcpu);
	if (window && mv_ready_for_interrupt(vcpu))
		return window_open(vcpu);
	set_want_window(vcpu, window);
	update_time(vcpu);
	ret = mv_prepare_faults(vcpu);
	if (ret)
		return ret;
	vcpu->has_run = true;
	enter_guest(vcpu);
	if (unlikely(vcpu->vm->dead))
		return -EIO;
	return handle_exit(vcpu);
}

/*
 * Ends the last exit's instruction, then runs the guest until user space is
 * needed again.
 */
static int run_loop(struct mv_vcpu *vcpu)
{
	int (*complete)(struct mv_vcpu *vcpu) = vcpu->complete;
	int ret = 1;

	if (complete) {
		vcpu->complete = NULL;
		ret = complete(vcpu);
	}
	if (ret != 1)
		return ret;
	/* The last exit's reason stays, for clients that look at it again. */
	if (READ_ONCE(vcpu->run->immediate_exit))
		return -EINTR;
	vcpu->run->exit_reason = MINIVMM_EXIT_UNKNOWN;
	while (ret == 1)
		ret = run_once(vcpu);
	return ret;
}

/* With the 8259 pair in the kernel the answer is KVM's. */
static bool ready_for_injection(struct mv_vcpu *vcpu)
{
	switch (vcpu->vm->irqchip) {
	case MV_IRQCHIP_KERNEL:
		return true;
	case MV_IRQCHIP_SPLIT:
		return mv_extint_ready(vcpu) && mv_ready_for_interrupt(vcpu);
	case MV_IRQCHIP_USER:
		break;
	}
	return mv_ready_for_interrupt(vcpu);
}

static void fill_run_page(struct mv_vcpu *vcpu)
{
	struct minivmm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->rflags & X86_EFLAGS_IF);
	run->ready_for_interrupt_injection = ready_for_injection(vcpu);
	run->flags = 0;
	run->cr8 = mv_get_cr8(vcpu);
	run->apic_base = vcpu->apic_base;
}

/*
 * The mask that the thread has otherwise goes where the kernel looks for it
 * when it decides whether a signal may be dropped, or may kill.
 */
static void activate_sigmask(struct mv_vcpu *vcpu)
{
	if (vcpu->sigmask_set)
		sigprocmask(SIG_SETMASK, &vcpu->sigmask,
			    &current->real_blocked);
}

static void restore_sigmask(struct mv_vcpu *vcpu)
{
	if (!vcpu->sigmask_set)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/* What the client wrote there before the call, each word read once */
static int load_run_page(struct mv_vcpu *vcpu, u64 *store)
{
	const struct minivmm_run *run = vcpu->run;
	u64 load = READ_ONCE(run->minivmm_dirty_regs);
	u64 cr8 = READ_ONCE(run->cr8);

	*store = READ_ONCE(run->minivmm_valid_regs);
	if (unlikely((load | *store) & ~MINIVMM_SYNC_X86_VALID_FIELDS))
		return -EINVAL;
	/* with a local APIC here, that is where the task priority is */
	if (!vcpu->lapic && cr8 > 15)
		return -EINVAL;
	if (unlikely(load) && mv_load_sync_regs(vcpu, load))
		return -EINVAL;
	if (!vcpu->lapic)
		vcpu->cr8 = cr8;
	return 0;
}

/**
 * mv_vcpu_run() - MINIVMM_RUN
 * @vcpu: the vCPU, its mutex held
 *
 * Return: 0 with the run page filled in; -EINTR for a signal or an immediate
 * exit; -EINVAL for an impossible run page; -EFAULT if the client's memory
 * fails; -EBUSY if another hypervisor owns the CPU; -EIO if the VM is dead.
 */
int mv_vcpu_run(struct mv_vcpu *vcpu)
{
	u64 store;
	int ret;

	ret = load_run_page(vcpu, &store);
	if (ret)
		return ret;
	mv_set_thread(vcpu);
	activate_sigmask(vcpu);
	ret = run_loop(vcpu);
	fill_run_page(vcpu);
	if (unlikely(store))
		mv_store_sync_regs(vcpu, store);
	restore_sigmask(vcpu);
	return ret;
}

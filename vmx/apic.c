// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC with the CPU's help (SDM chapter 30).
 *
 * The registers' page is the CPU's virtual-APIC page. At least the CPU keeps the
 * task priority there (TPR shadow). Where it offers more, and apicv is not 0, it
 * delivers interrupts itself (virtual-interrupt delivery), takes those that were
 * posted while the guest runs (posted interrupts), and does most reads and the
 * writes of EOI, TPR and self-IPIs without an exit. Other writes exit when they
 * are done (APIC-write VM exits), or instead (MSRs).
 *
 * An xAPIC's accesses are to the APIC-access page (SDM 30.4). Where that is not
 * mapped, see core/irqchip/apic_page.c, they are emulated as those to any device;
 * and so are those that make an APIC-access VM exit.
 *
 * The timer is the VMX-preemption timer.
 */
#include <linux/gfp.h>
#include <linux/smp.h>
#include <asm/apic.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "hw.h"
#include "vmx.h"

/* A PAUSE within so many TSC ticks of the last one is the same loop ... */
#define LOOP_GAP	128
/* ... and one that lasts so many exits (SDM 26.1.3) */
#define LOOP_LIMIT	4096

/* The timer's ticks when nothing is due: as late as it can be */
#define TIMER_NEVER	0xffffffffU

/* The VMX-preemption timer counts TSC ticks shifted right (SDM A.6). */
static u32 timer_ticks(u64 tsc)
{
	return min_t(u64, tsc >> (vmx_config.misc & 31), TIMER_NEVER - 1);
}

/* The longest time in the guest without an exit */
static u32 timer_limit(void)
{
	return vmx_irqoff_watchdog ? timer_ticks(10ULL * tsc_khz) : TIMER_NEVER;
}

static void set_timer(struct vmx_vcpu *vmx, u32 ticks)
{
	if (vmx->timer == ticks)
		return;
	vmcs_write(VMX_PREEMPTION_TIMER_VALUE, ticks);
	vmx->timer = ticks;
}

/* SDM A.3: no exit for x2APIC registers that the CPU reads and writes itself. */
static void pass_x2apic_msrs(unsigned long *bitmap)
{
	static const u16 readable[] = {
		APIC_ID, APIC_LVR, APIC_TASKPRI, APIC_PROCPRI, APIC_LDR,
		APIC_SPIV, APIC_ESR, APIC_ICR, APIC_LVTT, APIC_LVTTHMR,
		APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR, APIC_TMICT,
		APIC_TDCR,
	};
	static const u16 writable[] = { APIC_TASKPRI, APIC_EOI, APIC_SELF_IPI };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(readable); i++)
		vmx_pass_msr(bitmap, APIC_BASE_MSR + (readable[i] >> 4), true,
			     false);
	for (i = APIC_ISR; i < APIC_IRR + 0x80; i += 0x10)
		vmx_pass_msr(bitmap, APIC_BASE_MSR + (i >> 4), true, false);
	for (i = 0; i < ARRAY_SIZE(writable); i++)
		vmx_pass_msr(bitmap, APIC_BASE_MSR + (writable[i] >> 4), false,
			     true);
}

/**
 * vmx_apic_msr_bitmap() - add what x2APICs that the CPU virtualizes may access
 * @bitmap: MSR bitmap for these alone
 */
void vmx_apic_msr_bitmap(unsigned long *bitmap)
{
	pass_x2apic_msrs(bitmap);
}

/**
 * vmx_apic_secondary() - the secondary controls that the local APIC's mode needs
 * @vcpu: the vCPU
 * @secondary: all that there are
 */
u32 vmx_apic_secondary(const struct mv_vcpu *vcpu, u32 secondary)
{
	u32 off = 0;

	if (!vcpu->lapic ||
	    (vcpu->vm->disabled_exits & MINIVMM_X86_DISABLE_EXITS_PAUSE))
		off = SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	if (!vmx_apicv_on(vcpu))
		off |= SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
		       SECONDARY_EXEC_APIC_REGISTER_VIRT;
	if (!vmx_x2apic_virtualized(vcpu))
		off |= SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	if (!vcpu->lapic || !mv_apic_at_home(vcpu->apic_base))
		off |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	return secondary & ~off;
}

/**
 * vmx_apic_load_pin() - the pin-based controls
 * @vcpu: its VMCS is current
 */
void vmx_apic_load_pin(struct mv_vcpu *vcpu)
{
	u32 pin = vmx_config.pin;

	if (!vmx_apicv_on(vcpu))
		pin &= ~PIN_BASED_POSTED_INTR;
	if (!vcpu->lapic && !vmx_irqoff_watchdog)
		pin &= ~PIN_BASED_VMX_PREEMPTION_TIMER;
	vmcs_write(PIN_BASED_VM_EXEC_CONTROL, pin);
}

/**
 * vmx_apic_setup() - the fields of a new VMCS that are the local APIC's
 * @vcpu: its VMCS is current
 */
void vmx_apic_setup(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->timer = 0;
	if (vcpu->lapic || vmx_irqoff_watchdog)
		set_timer(vmx, timer_limit());
	if (!vcpu->lapic)
		return;

	vmcs_write(VIRTUAL_APIC_PAGE_ADDR, __pa(vcpu->lapic->regs));
	vmcs_write(TPR_THRESHOLD, 0);
	if (vmx_has_apic_page())
		vmcs_write(APIC_ACCESS_ADDR, __pa(vcpu->vm->apic_page));
	if (vmx_config.secondary & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vmcs_write(PLE_GAP, LOOP_GAP);
		vmcs_write(PLE_WINDOW, LOOP_LIMIT);
	}
	if (!vmx_has_apicv())
		return;
	vmcs_write(POSTED_INTR_NV, VMX_NOTIFICATION_VECTOR);
	vmcs_write(POSTED_INTR_DESC_ADDR, __pa(&vcpu->lapic->posted));
	vmcs_write(GUEST_INTR_STATUS, 0);
	vcpu->lapic->changed = true;
	vmx->eoi_loaded = false;
}

/* Which EOIs must exit; those that need not have a bit of 0 (SDM 25.6.8). */
static void load_eoi_vectors(struct mv_vcpu *vcpu)
{
	u32 gen = READ_ONCE(vcpu->vm->eoi_gen);
	int i;

	smp_rmb();	/* the generation before the vectors */
	for (i = 0; i < 4; i++)
		vmcs_write(EOI_EXIT_BITMAP0 + 2 * i,
			   READ_ONCE(vcpu->vm->eoi_vectors[i]));
	vcpu->eoi_gen = gen;
	to_vmx(vcpu)->eoi_loaded = true;
}

/* RVI and SVI: what the CPU knows of IRR and ISR (SDM 25.4.2) */
static void load_status(struct mv_vcpu *vcpu)
{
	u32 rvi = max(mv_apic_highest(vcpu, APIC_IRR), 0);
	u32 svi = max(mv_apic_highest(vcpu, APIC_ISR), 0);

	vmcs_write(GUEST_INTR_STATUS, rvi | svi << 8);
	vcpu->lapic->changed = false;
}

static void arm_timer(struct mv_vcpu *vcpu)
{
	struct mv_lapic *lapic = vcpu->lapic;
	u32 ticks = timer_limit();
	u64 now;

	if (lapic->deadline != MV_NEVER) {
		now = rdtsc();
		if (now >= lapic->deadline)
			mv_apic_timer_fire(vcpu, now);
		/* rounded up: early, it would exit for nothing */
		if (lapic->deadline != MV_NEVER)
			ticks = min(ticks,
				    timer_ticks(lapic->deadline - now) + 1);
	}
	set_timer(to_vmx(vcpu), ticks);
}

/**
 * vmx_apic_enter() - what the local APIC needs before the guest is entered
 * @vcpu: its VMCS is current
 *
 * Whoever posts or requests something from now on sends an IPI, which waits
 * until the guest runs.
 */
void vmx_apic_enter(struct mv_vcpu *vcpu)
{
	arm_timer(vcpu);
	mv_apic_pull(vcpu);
	if (!vmx_apicv_on(vcpu)) {
		vcpu->check_events |= vcpu->lapic->changed;
		vcpu->lapic->changed = false;
		return;
	}
	if (unlikely(vcpu->eoi_gen != READ_ONCE(vcpu->vm->eoi_gen) ||
		     !to_vmx(vcpu)->eoi_loaded))
		load_eoi_vectors(vcpu);
	if (vcpu->lapic->changed)
		load_status(vcpu);
}

/**
 * vmx_apic_waits() - is there an interrupt that we, not the CPU, must deliver?
 * @vcpu: its VMCS is current
 */
bool vmx_apic_waits(struct mv_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return false;
	return mv_extint_pending(vcpu) ||
	       (!vmx_apicv_on(vcpu) && mv_apic_pending(vcpu) >= 0);
}

/**
 * vmx_apic_take() - acknowledge it: it becomes the event to inject
 * @vcpu: vmx_apic_waits()
 *
 * Return: false if it is gone: the 8259 pair's INTR can fall at any time.
 */
bool vmx_apic_take(struct mv_vcpu *vcpu)
{
	int vector;

	if (mv_extint_pending(vcpu)) {
		vector = mv_extint_take(vcpu);
	} else {
		vector = vmx_apicv_on(vcpu) ? -1 : mv_apic_pending(vcpu);
		if (vector < 0)
			return false;
		mv_apic_accept(vcpu, vector);
	}
	vcpu->ev.interrupt.queued = true;
	vcpu->ev.interrupt.soft = false;
	vcpu->ev.interrupt.vector = vector;
	return true;
}

/**
 * vmx_apic_set_threshold() - exit when the guest lowers its task priority enough
 * @vcpu: its VMCS is current
 *
 * That is, below the class of an interrupt that it holds back now.
 */
void vmx_apic_set_threshold(struct mv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 threshold = 0, tpr;
	int irr;

	if (!vcpu->lapic || vmx_apicv_on(vcpu))
		return;
	irr = mv_apic_highest(vcpu, APIC_IRR);
	tpr = READ_ONCE(*(u32 *)(vcpu->lapic->regs + APIC_TASKPRI));
	if (irr >= 0 && (irr >> 4) <= (tpr >> 4))
		threshold = irr >> 4;
	if (vmx->threshold == threshold)
		return;
	vmcs_write(TPR_THRESHOLD, threshold);
	vmx->threshold = threshold;
}

/**
 * vmx_notify() - lapic->posted has news for a vCPU that may be in the guest
 * @cpu: where it runs, another CPU than this
 *
 * The CPU takes them without an exit. If it has left the guest by then the host
 * gets the IPI, and nothing happens: the vCPU looks for itself before it enters
 * again.
 *
 * Context: any; with posted interrupts only.
 */
void vmx_notify(int cpu)
{
	apic->send_IPI(cpu, VMX_NOTIFICATION_VECTOR);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map of the core: what a VM and a vCPU are, and every function that
 * crosses a file, grouped under the file that defines it. core/backend.h has
 * the seam to the back end.
 *
 * Handlers of the run loop return 1 to go on with the guest, 0 to return to
 * user space with the run page filled in, or a negative errno.
 */
#ifndef MINIVMM_CORE_H
#define MINIVMM_CORE_H

#include <linux/minivmm.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "backend.h"

#define MV_MAX_VCPUS		255
#define MV_MAX_SLOTS		32764	/* as KVM's */
#define MV_MAX_CPUID		256
#define MV_MAX_MSRS		256	/* entries in one GET/SET_MSRS */
#define MV_VCPU_MMAP_SIZE	(3 * PAGE_SIZE)

/* ---- main.c ------------------------------------------------------------- */

extern const struct mv_ops *mv_ops;

int mv_check_extension(long cap);

/* Debug register bits (SDM 18.2.3, 18.2.4): changeable; always 1 */
#define MV_DR6_VOLATILE	0x0000e00fULL
#define MV_DR6_FIXED		0xffff0ff0ULL
#define MV_DR7_VOLATILE	0xffff2bffULL
#define MV_DR7_FIXED		0x00000400ULL
#define MV_DR7_GD		0x00002000ULL

/* Brings lazy register groups into @vcpu; not inside the run section. */
static inline void mv_need(struct mv_vcpu *vcpu, u32 groups)
{
	groups &= MV_STATE_LAZY & ~vcpu->valid;
	if (groups)
		mv_ops->fetch(vcpu, groups);
}

/* Sets a register that is not part of an instruction's 8 or 16-bit result. */
static inline void mv_set_reg(struct mv_vcpu *vcpu, enum mv_reg reg, u64 value)
{
	vcpu->regs[reg] = value;
	if (reg == MV_RSP)
		vcpu->dirty |= MV_STATE_RSP;
}

/* ---- vm.c --------------------------------------------------------------- */

int mv_vm_create_fd(void);
void mv_vm_get(struct mv_vm *vm);
void mv_vm_put(struct mv_vm *vm);

/* ---- vcpu.c: file descriptor, ioctls ------------------------------------- */

int mv_vcpu_create_fd(struct mv_vm *vm, u32 id);
void mv_vcpu_destroy(struct mv_vcpu *vcpu);

/* ---- state.c: registers in and out --------------------------------------- */

void mv_state_init(struct mv_vcpu *vcpu);
void mv_state_reset(struct mv_vcpu *vcpu);
void mv_get_regs(struct mv_vcpu *vcpu, struct minivmm_regs *regs);
void mv_set_regs(struct mv_vcpu *vcpu, const struct minivmm_regs *regs);
void mv_get_sregs(struct mv_vcpu *vcpu, struct minivmm_sregs *sregs);
int mv_set_sregs(struct mv_vcpu *vcpu, const struct minivmm_sregs *sregs);
void mv_get_sregs2(struct mv_vcpu *vcpu, struct minivmm_sregs2 *sregs);
int mv_set_sregs2(struct mv_vcpu *vcpu, const struct minivmm_sregs2 *sregs);
void mv_get_debugregs(struct mv_vcpu *vcpu, struct minivmm_debugregs *dbg);
int mv_set_debugregs(struct mv_vcpu *vcpu, const struct minivmm_debugregs *dbg);

/* ---- sync_regs.c: registers in the run page ------------------------------- */

int mv_load_sync_regs(struct mv_vcpu *vcpu, u64 which);
void mv_store_sync_regs(struct mv_vcpu *vcpu, u64 which);

/* ---- run.c: MINIVMM_RUN -------------------------------------------------- */

int mv_vcpu_run(struct mv_vcpu *vcpu);
void mv_leave_guest(struct mv_vm *vm);
void mv_skip_insn(struct mv_vcpu *vcpu);
void mv_finish_iteration(struct mv_vcpu *vcpu);
int mv_emulation_failure(struct mv_vcpu *vcpu, const u8 *insn, unsigned int len);

/* ---- event.c: exceptions, NMIs, interrupts ------------------------------- */

void mv_queue_fault(struct mv_vcpu *vcpu, const struct mv_fault *fault);
bool mv_ready_for_interrupt(struct mv_vcpu *vcpu);
int mv_queue_interrupt(struct mv_vcpu *vcpu, u32 vector);
void mv_queue_nmi(struct mv_vcpu *vcpu);
void mv_pull_nmis(struct mv_vcpu *vcpu);
void mv_get_events(struct mv_vcpu *vcpu, struct minivmm_vcpu_events *ev);
bool mv_valid_events(struct mv_vcpu *vcpu, const struct minivmm_vcpu_events *ev);
int mv_set_events(struct mv_vcpu *vcpu, const struct minivmm_vcpu_events *ev);

/* ---- debug.c: the client's debugger ---------------------------------------- */

#define MV_DEBUG_FLAGS	(MINIVMM_GUESTDBG_ENABLE | \
			 MINIVMM_GUESTDBG_SINGLESTEP | \
			 MINIVMM_GUESTDBG_USE_SW_BP | \
			 MINIVMM_GUESTDBG_USE_HW_BP | \
			 MINIVMM_GUESTDBG_INJECT_DB | \
			 MINIVMM_GUESTDBG_INJECT_BP | \
			 MINIVMM_GUESTDBG_BLOCKIRQ)

int mv_set_guest_debug(struct mv_vcpu *vcpu,
		       const struct minivmm_guest_debug *dbg);
int mv_exit_debug(struct mv_vcpu *vcpu, u8 vector, u64 dr6);
void mv_set_bp_len(struct mv_vcpu *vcpu);

/* ---- cr.c: control, debug and extended control registers ------------------ */

u64 mv_cr0_bits(u64 cr0);
bool mv_valid_cr0(u64 cr0);
bool mv_valid_cr4(struct mv_vcpu *vcpu, u64 cr4);
bool mv_valid_efer(u64 efer);
bool mv_valid_xcr0(struct mv_vcpu *vcpu, u64 xcr0);
bool mv_load_pdptrs(struct mv_vcpu *vcpu);
int mv_handle_cr(struct mv_vcpu *vcpu);
int mv_handle_dr(struct mv_vcpu *vcpu);
int mv_handle_xsetbv(struct mv_vcpu *vcpu);

/* ---- slots.c: where guest memory is in the client ------------------------- */

int mv_slots_init(struct mv_vm *vm);
void mv_slots_destroy(struct mv_vm *vm);
int mv_set_memory_region(struct mv_vm *vm,
			 const struct minivmm_userspace_memory_region *mem);
bool mv_gpa_is_ram(struct mv_vcpu *vcpu, u64 gpa, bool write);

/*
 * Guest-physical access. -ENXIO where no slot is (or, for a write, a read-only
 * one): device memory; -EFAULT where the client's memory fails; 0 when done.
 * May sleep. A range may cross pages but never a slot's end.
 */
int mv_read_gpa(struct mv_vcpu *vcpu, u64 gpa, void *data, unsigned int len);
int mv_write_gpa(struct mv_vcpu *vcpu, u64 gpa, const void *data,
		 unsigned int len);
unsigned long mv_gpa_to_hva(struct mv_vcpu *vcpu, u64 gpa, bool write);

/* ---- mmu.c: guest pages come and go ----------------------------------------- */

int mv_mmu_init(struct mv_vm *vm);
void mv_mmu_destroy(struct mv_vm *vm);
int mv_prepare_faults(struct mv_vcpu *vcpu);
int mv_handle_gpa_fault(struct mv_vcpu *vcpu);
int mv_pre_fault(struct mv_vcpu *vcpu, struct minivmm_pre_fault_memory *range);
void mv_change_frames(struct mv_vm *vm, u64 start, u64 end, enum mv_change how);
void mv_protect_frames(struct mv_vm *vm, u64 start, u64 end,
		       const unsigned long *only);
void mv_lock_frames(struct mv_vm *vm);
void mv_unlock_frames(struct mv_vm *vm);
void mv_flush_guest_tlbs(struct mv_vm *vm);
void mv_page_cache_free(struct mv_vcpu *vcpu);

/* ---- pfnmap.c: device memory of the host -------------------------------------- */

int mv_get_device_frame(struct mm_struct *mm, unsigned long hva, bool write,
			u64 *pfn, bool *writable);

/* ---- dirty.c: which pages have been written ----------------------------------- */

#define MV_DIRTY_OPTIONS	(MINIVMM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | \
				 MINIVMM_DIRTY_LOG_INITIALLY_SET)

int mv_set_dirty_options(struct mv_vm *vm, u64 options);
int mv_get_dirty_log(struct mv_vm *vm, const struct minivmm_dirty_log *log);
int mv_clear_dirty_log(struct mv_vm *vm,
		       const struct minivmm_clear_dirty_log *log);

/* ---- gva.c: the guest's own page tables ----------------------------------- */

/* Access for a walk, in the bit positions of a #PF error code (SDM 4.7) */
#define MV_ACCESS_WRITE		BIT(1)
#define MV_ACCESS_USER		BIT(2)
#define MV_ACCESS_FETCH		BIT(4)
/* an access the CPU makes for itself (GDT, TSS …): SMAP applies whatever AC */
#define MV_ACCESS_IMPLICIT	BIT(16)

/*
 * 0: translated; -EFAULT: @fault holds what the guest must get. The CPU's
 * accessed and dirty bits are set as a CPU would.
 */
int mv_gva_to_gpa(struct mv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		  struct mv_fault *fault);

#define MV_PATH_MAX	4
#define MV_NO_PATH	(MV_PATH_MAX + 1)

/**
 * struct mv_path - the page-table entries that a walk has used
 * @nr: how many: none without paging; or MV_NO_PATH
 * @step: where the client has each, the root's first, and what it was
 */
struct mv_path {
	unsigned int nr;
	struct mv_path_step {
		unsigned long hva;
		u64 pte;
	} step[MV_PATH_MAX];
};

int mv_code_to_gpa(struct mv_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		   struct mv_path *path, struct mv_fault *fault);
int mv_translate(struct mv_vcpu *vcpu, struct minivmm_translation *tr);
u32 mv_cpl_access(struct mv_vcpu *vcpu);

/*
 * Memory through the guest's page tables. 0; -EFAULT: @fault for the guest;
 * -ENXIO: no RAM there. May sleep.
 */
int mv_read_gva(struct mv_vcpu *vcpu, u64 gva, void *data, unsigned int len,
		u32 access, struct mv_fault *fault);
int mv_write_gva(struct mv_vcpu *vcpu, u64 gva, const void *data,
		 unsigned int len, u32 access, struct mv_fault *fault);

/*
 * Segmentation (SDM 3.4, 5.3): adds the base of segment @seg to @offset and
 * checks limit, type and canonical form of the @len bytes there. @offset is
 * already cut to the address size.
 */
int mv_linearize(struct mv_vcpu *vcpu, enum mv_seg seg, u64 offset,
		 unsigned int len, bool write, u64 *gva,
		 struct mv_fault *fault);
u32 mv_linear_state(const struct mv_vcpu *vcpu, enum mv_seg seg);

/* ---- fetch.c: the bytes of an instruction ----------------------------------*/

/* Reads up to @max bytes of instruction at RIP; how many, or -errno as above */
int mv_fetch_insn(struct mv_vcpu *vcpu, u8 *buf, unsigned int max,
		  struct mv_fault *fault);

/* ---- pio.c: port I/O -------------------------------------------------------*/

int mv_handle_pio(struct mv_vcpu *vcpu);

/* ---- mmio.c: instructions that touch device memory -------------------------*/

/*
 * Emulates the instruction at RIP, which touched device memory. Exits to user
 * space with MINIVMM_EXIT_MMIO for each part of up to 8 bytes, and goes on in
 * vcpu->complete at the next MINIVMM_RUN. Registers, flags and RIP change only
 * when everything that can fail is over.
 */
int mv_handle_mmio(struct mv_vcpu *vcpu);

/* ---- irqchip/deliver.c: who gets an interrupt ------------------------------*/

/* Delivery modes, as in ICR, LVT, MSI data and I/O APIC entries (SDM 11.6.1) */
enum mv_delivery {
	MV_DELIVER_FIXED = 0, MV_DELIVER_LOWEST = 1, MV_DELIVER_SMI = 2,
	MV_DELIVER_NMI = 4, MV_DELIVER_INIT = 5, MV_DELIVER_SIPI = 6,
	MV_DELIVER_EXTINT = 7,
};

/**
 * struct mv_irq - an interrupt message on its way to local APICs
 * @dest: destination field; 8 bits unless @dest_32
 * @dest_32: from an x2APIC: broadcast is 0xffffffff, not 0xff
 * @logical: @dest is a logical destination
 * @level: level triggered: the EOI is broadcast
 */
struct mv_irq {
	u32 dest;
	u8 vector;
	enum mv_delivery mode;
	bool dest_32;
	bool logical;
	bool level;
};

/*
 * Delivers to all that @irq addresses, without searching for one that is named
 * by its ID. How many took it; 0 if it was pending already everywhere; -1 if
 * nobody is addressed. Context: any, interrupts on or off.
 */
int mv_irq_deliver(struct mv_vm *vm, const struct mv_irq *irq);
/* The same for an MSI (SDM 11.11) */
int mv_msi_deliver(struct mv_vm *vm, u64 address, u32 data);
/* The 8259 pair's INTR line rose: who takes external interrupts looks again. */
void mv_extint_raised(struct mv_vm *vm);
bool mv_extint_ready(struct mv_vcpu *vcpu);

/* ---- irqchip/lapic.c, apic_timer.c: the local APIC --------------------------*/

int mv_apic_create(struct mv_vcpu *vcpu);
void mv_apic_destroy(struct mv_vcpu *vcpu);
void mv_apic_reset(struct mv_vcpu *vcpu);
int mv_apic_set_base(struct mv_vcpu *vcpu, u64 value, bool client);
void mv_apic_set_tpr(struct mv_vcpu *vcpu, u32 tpr);
int mv_x2apic_read(struct mv_vcpu *vcpu, u32 index, u64 *data);
int mv_x2apic_write(struct mv_vcpu *vcpu, u32 index, u64 data);
bool mv_lapic_mmio_read(struct mv_vcpu *vcpu, u64 gpa, void *data,
			unsigned int len);
bool mv_lapic_mmio_write(struct mv_vcpu *vcpu, u64 gpa, const void *data,
			 unsigned int len);
int mv_get_lapic(struct mv_vcpu *vcpu, struct minivmm_lapic_state *state);
int mv_set_lapic(struct mv_vcpu *vcpu, const struct minivmm_lapic_state *state);
u64 mv_get_tsc_deadline(struct mv_vcpu *vcpu);
int mv_set_tsc_deadline(struct mv_vcpu *vcpu, u64 data, bool client);
void mv_apic_tsc_moved(struct mv_vcpu *vcpu);
void mv_apic_timer_check(struct mv_vcpu *vcpu);
bool mv_apic_timer_block(struct mv_vcpu *vcpu);
void mv_apic_timer_unblock(struct mv_vcpu *vcpu);

/* CR8 is the upper half of the task priority (SDM 11.8.6). */
static inline u64 mv_get_cr8(const struct mv_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return vcpu->cr8;
	return (READ_ONCE(*(u32 *)(vcpu->lapic->regs + 0x80)) >> 4) & 15;
}

static inline void mv_set_cr8(struct mv_vcpu *vcpu, u64 value)
{
	if (vcpu->lapic)
		mv_apic_set_tpr(vcpu, value << 4);
	else
		vcpu->cr8 = value;
}

/* ---- irqchip/apic_page.c: a page for CPUs that virtualize xAPICs ------------*/

int mv_apic_page_create(struct mv_vm *vm);
void mv_apic_page_destroy(struct mv_vm *vm);
void mv_apic_moved(struct mv_vcpu *vcpu, u64 from, u64 to);
void mv_apic_page_leave(struct mv_vcpu *vcpu);
void mv_apic_page_hide(struct mv_vm *vm);
void mv_apic_page_unhide(struct mv_vm *vm);

/* ---- mp.c: several vCPUs; waiting and waking ---------------------------------*/

void mv_kick_posted(struct mv_vcpu *vcpu);
void mv_request(struct mv_vcpu *vcpu, int request);
/* vm->eoi_vectors changed: returns when no vCPU runs with the old ones. */
void mv_eoi_vectors_changed(struct mv_vm *vm);
int mv_handle_requests(struct mv_vcpu *vcpu);
u32 mv_get_mp_state(struct mv_vcpu *vcpu);
int mv_set_mp_state(struct mv_vcpu *vcpu, u32 state);
int mv_wait(struct mv_vcpu *vcpu);
void mv_set_thread(struct mv_vcpu *vcpu);
int mv_yield(struct mv_vcpu *vcpu);
int mv_yield_to(struct mv_vcpu *vcpu, u32 id);

/* ---- irqchip/ioctl.c: the VM's ioctls of what follows -----------------------*/

int mv_irq_init(struct mv_vm *vm);
void mv_irq_destroy(struct mv_vm *vm);
int mv_irq_ioctl(struct mv_vm *vm, unsigned int cmd, void __user *argp);

/* Which chips are there? Constant, and all of them ready, once a vCPU exists. */
static inline enum mv_irqchip_mode mv_irqchip_mode(const struct mv_vm *vm)
{
	/* pairs with mv_create_irqchip(): who sees the mode sees the chips */
	return smp_load_acquire(&vm->irqchip);
}

/* ---- irqchip/chips.c: the I/O APIC and the 8259 pair ------------------------*/

/* Who holds a line. Those of the chips' inputs are ORed. */
enum mv_irq_source {
	MV_SOURCE_USER,		/* IRQ_LINE; pulses by irqfds */
	MV_SOURCE_RESAMPLE,	/* irqfds that hold a line until its EOI */
	MV_SOURCE_PIT,
};

int mv_create_irqchip(struct mv_vm *vm);
int mv_split_irqchip(struct mv_vm *vm, u64 pins);
void mv_chips_destroy(struct mv_vm *vm);
int mv_get_irqchip(struct mv_vm *vm, struct minivmm_irqchip *state);
int mv_set_irqchip(struct mv_vm *vm, const struct minivmm_irqchip *state);

/* Drive an input: > 0 delivered, 0 coalesced, < 0 ignored. Any context. */
int mv_pic_set(struct mv_vm *vm, unsigned int pin, enum mv_irq_source source,
	       bool level);
int mv_ioapic_set(struct mv_vm *vm, unsigned int pin,
		  enum mv_irq_source source, bool level);

/* The 8259 pair's INTR line, and its INTA cycle: the vector. Any context. */
bool mv_pic_intr(struct mv_vm *vm);
int mv_pic_acknowledge(struct mv_vcpu *vcpu);
/* What is left to do for MV_REQ_RESAMPLE. Sleeps. */
void mv_pic_resample(struct mv_vm *vm);

/* ---- irqchip/eoi.c: who must hear of the end of an interrupt ----------------*/

/*
 * A guest's EOI of a vector in vm->eoi_vectors. A handler of the run loop: 1,
 * or 0 with MINIVMM_EXIT_IOAPIC_EOI. May sleep.
 */
int mv_irqchip_eoi(struct mv_vcpu *vcpu, u8 vector);
void mv_eoi_widen(struct mv_vm *vm, const unsigned long *vectors);
void mv_eoi_narrow(struct mv_vm *vm, const unsigned long *vectors);

/* ---- irqchip/routing.c: what a GSI is connected to --------------------------*/

#define MV_MAX_ROUTES	4096

/* What vm->irq_lock protects, for those who hold it */
#define mv_irq_protected(vm, pointer) \
	rcu_dereference_protected(pointer, lockdep_is_held(&(vm)->irq_lock))

int mv_set_gsi_routing(struct mv_vm *vm,
		       const struct minivmm_irq_routing_entry *entries, u32 nr);
int mv_default_routing(struct mv_vm *vm);
void mv_routes_destroy(struct mv_vm *vm);
/* > 0 delivered, 0 coalesced, < 0 ignored. Context: any. */
int mv_gsi_set(struct mv_vm *vm, enum mv_irq_source source, u32 gsi,
	       bool level);
void mv_gsi_pulse(struct mv_vm *vm, enum mv_irq_source source, u32 gsi);
int mv_signal_msi(struct mv_vm *vm, const struct minivmm_msi *msi);
int mv_pin_to_gsi(struct mv_vm *vm, u32 chip, unsigned int pin);

/* ---- irqchip/i8254.c: the timer ---------------------------------------------*/

int mv_create_pit(struct mv_vm *vm, u32 flags);
void mv_pit_destroy(struct mv_vm *vm);
int mv_get_pit2(struct mv_vm *vm, struct minivmm_pit_state2 *state);
int mv_set_pit2(struct mv_vm *vm, const struct minivmm_pit_state2 *state);

/* ---- irqfd.c, ioeventfd.c: eventfds in and out ------------------------------*/

int mv_irqfd_init(void);
void mv_irqfd_exit(void);
int mv_irqfd(struct mv_vm *vm, const struct minivmm_irqfd *args);
void mv_irqfds_destroy(struct mv_vm *vm);
/* An interrupt has ended at a chip's pin. Sleeps; not under vm->irq_lock. */
void mv_resample(struct mv_vm *vm, u32 chip, unsigned int pin);
int mv_ioeventfd(struct mv_vm *vm, const struct minivmm_ioeventfd *args);

/* ---- iobus.c: devices in the kernel -----------------------------------------*/

enum mv_io_space { MV_SPACE_PORT, MV_SPACE_MEMORY };

bool mv_iobus_read(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		   unsigned int len, void *data);
bool mv_iobus_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
		    unsigned int len, const void *data);
bool mv_ring_memory(struct mv_vcpu *vcpu, u64 addr, unsigned int len, u64 data);
bool mv_iobus_has(struct mv_vm *vm, enum mv_io_space space, u64 addr);
void mv_iobus_destroy(struct mv_vm *vm);

/* ---- coalesced.c: writes that can wait ---------------------------------------*/

int mv_coalesced_create(struct mv_vm *vm);
void mv_coalesced_destroy(struct mv_vm *vm);
int mv_coalesced_zone(struct mv_vm *vm,
		      const struct minivmm_coalesced_mmio_zone *zone,
		      bool remove);
bool mv_coalesced_write(struct mv_vm *vm, enum mv_io_space space, u64 addr,
			unsigned int len, const void *data);

/* ---- cpuid.c ----------------------------------------------------------------*/

int mv_get_supported_cpuid(struct minivmm_cpuid2 __user *user);
int mv_set_cpuid(struct mv_vcpu *vcpu, struct minivmm_cpuid2 __user *user);
int mv_get_cpuid(struct mv_vcpu *vcpu, struct minivmm_cpuid2 __user *user);
struct minivmm_cpuid_entry2 *mv_cpuid_find(struct mv_vcpu *vcpu, u32 function,
					   u32 index);
void mv_cpuid_update(struct mv_vcpu *vcpu);
void mv_cpuid_reset(struct mv_vcpu *vcpu);
bool mv_guest_has_pv(const struct mv_vcpu *vcpu, u32 features);

/* ---- msr.c ------------------------------------------------------------------*/

void mv_msr_init(void);
int mv_msr_create(struct mv_vcpu *vcpu);
void mv_msr_destroy(struct mv_vcpu *vcpu);
void mv_msr_reset(struct mv_vcpu *vcpu);
bool mv_misc_enable_mwait(const struct mv_vcpu *vcpu);
int mv_msr_index_list(struct minivmm_msr_list __user *user);
int mv_msr_feature_list(struct minivmm_msr_list __user *user);
int mv_get_msr_features(struct minivmm_msrs __user *user);
bool mv_valid_apic_base(struct mv_vcpu *vcpu, u64 value);
int mv_get_msrs(struct mv_vcpu *vcpu, struct minivmm_msrs __user *user);
int mv_set_msrs(struct mv_vcpu *vcpu, struct minivmm_msrs __user *user);

bool mv_direct_msr_denied(const struct mv_msr_filter *filter);

/* ---- mce.c: machine-check banks ---------------------------------------------*/

void mv_mce_reset(struct mv_vcpu *vcpu);
int mv_mce_read(struct mv_vcpu *vcpu, u32 index, u64 *data);
int mv_mce_write(struct mv_vcpu *vcpu, u32 index, u64 data, bool client);
int mv_get_mce_cap_supported(u64 __user *user);
int mv_setup_mce(struct mv_vcpu *vcpu, u64 cap);
int mv_set_mce(struct mv_vcpu *vcpu, const struct minivmm_x86_mce *mce);

/* ---- msr_filter.c: MSR accesses that are the client's ------------------------*/

#define MV_MSR_EXIT_REASONS	(MINIVMM_MSR_EXIT_REASON_INVAL | \
				 MINIVMM_MSR_EXIT_REASON_UNKNOWN | \
				 MINIVMM_MSR_EXIT_REASON_FILTER)

int mv_set_msr_filter(struct mv_vm *vm, const struct minivmm_msr_filter *args);
void mv_msr_filter_destroy(struct mv_vm *vm);
bool mv_msr_allowed(const struct mv_msr_filter *filter, u32 index, u32 access);
int mv_handle_msr(struct mv_vcpu *vcpu);

/* ---- tsc.c: the guest's time-stamp counter ----------------------------------*/

void mv_tsc_init(struct mv_vm *vm);
void mv_tsc_reset(struct mv_vcpu *vcpu);
u64 mv_guest_tsc(const struct mv_vcpu *vcpu, u64 host_tsc);
u64 mv_host_tsc(const struct mv_vcpu *vcpu, u64 guest_tsc);
void mv_client_write_tsc(struct mv_vcpu *vcpu, u64 data);
void mv_client_set_tsc_offset(struct mv_vcpu *vcpu, u64 offset);
void mv_guest_write_tsc(struct mv_vcpu *vcpu, u64 data);
void mv_guest_write_tsc_adjust(struct mv_vcpu *vcpu, u64 data);
bool mv_tsc_can_scale(void);
bool mv_tsc_is_scaled(const struct mv_vcpu *vcpu);
int mv_set_tsc_khz(struct mv_vcpu *vcpu, u32 khz);
int mv_vm_set_tsc_khz(struct mv_vm *vm, u32 khz);

/* ---- clock.c: the paravirtual clock -----------------------------------------*/

#define MV_CLOCK_FLAGS	(MINIVMM_CLOCK_TSC_STABLE | MINIVMM_CLOCK_REALTIME | \
			 MINIVMM_CLOCK_HOST_TSC)

void mv_clock_init(void);
bool mv_clock_offered(void);
u32 mv_clock_features(void);
void mv_clock_create(struct mv_vm *vm);
void mv_clock_forget(struct mv_vcpu *vcpu);
void mv_clock_update(struct mv_vcpu *vcpu);
void mv_write_system_time(struct mv_vcpu *vcpu, u64 data);
void mv_write_wall_clock(struct mv_vcpu *vcpu, u64 data);
void mv_get_clock(struct mv_vm *vm, struct minivmm_clock_data *data);
int mv_set_clock(struct mv_vm *vm, const struct minivmm_clock_data *data);

/* Must mv_clock_update() be called before the guest goes on? Any context. */
static inline bool mv_clock_stale(const struct mv_vcpu *vcpu)
{
	return vcpu->clock.gen != READ_ONCE(vcpu->vm->clock.gen);
}

/* ---- steal.c: steal time ----------------------------------------------------*/

#define MV_STEAL_UNKNOWN	(~0ULL)

bool mv_steal_offered(void);
u32 mv_steal_features(void);
bool mv_valid_steal_time(u64 data);
void mv_write_steal_time(struct mv_vcpu *vcpu, u64 data);
void mv_steal_update(struct mv_vcpu *vcpu);

/* How long this thread has waited for a CPU so far, in ns */
static inline u64 mv_run_delay(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}

/* Must mv_steal_update() be called? By the vCPU's thread, in any context. */
static inline bool mv_steal_stale(const struct mv_vcpu *vcpu)
{
	return (vcpu->steal.msr & 1) && vcpu->steal.seen != mv_run_delay();
}

/* ---- stats.c: statistics ------------------------------------------------------*/

int mv_vm_stats_fd(struct mv_vm *vm);
int mv_vcpu_stats_fd(struct mv_vcpu *vcpu);

/* ---- caps.c: what clients turn on and off ------------------------------------*/

#define MV_QUIRKS	(MINIVMM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
			 MINIVMM_X86_QUIRK_FIX_HYPERCALL_INSN | \
			 MINIVMM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

#define MV_X2APIC_API_FLAGS	(MINIVMM_X2APIC_API_USE_32BIT_IDS | \
				 MINIVMM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

/*
 * MWAIT is not among them: the timer that ends a guest's run stops in the deeper
 * of the C-states that a guest could ask for (SDM 26.5.1).
 */
#define MV_DISABLE_EXITS	(MINIVMM_X86_DISABLE_EXITS_HLT | \
				 MINIVMM_X86_DISABLE_EXITS_PAUSE)

int mv_vm_enable_cap(struct mv_vm *vm, void __user *argp);
int mv_vcpu_enable_cap(struct mv_vcpu *vcpu, void __user *argp);
int mv_set_boot_cpu(struct mv_vm *vm, u32 id);
int mv_vcpu_device_attr(struct mv_vcpu *vcpu, unsigned int cmd,
			void __user *argp);

/* ---- hypercall.c -------------------------------------------------------------*/

u32 mv_hypercall_features(void);
int mv_handle_ud(struct mv_vcpu *vcpu);

/* ---- fpu.c ------------------------------------------------------------------*/

int mv_fpu_init(void);
u64 mv_fpu_features(void);
u32 mv_fpu_size(u64 features, bool compacted);
u32 mv_fpu_pkru(const struct mv_vcpu *vcpu);
int mv_fpu_create(struct mv_vcpu *vcpu);
void mv_fpu_destroy(struct mv_vcpu *vcpu);
void mv_fpu_enter(struct mv_vcpu *vcpu);
void mv_fpu_leave(struct mv_vcpu *vcpu);
void mv_get_fpu(struct mv_vcpu *vcpu, struct minivmm_fpu *fpu);
int mv_set_fpu(struct mv_vcpu *vcpu, const struct minivmm_fpu *fpu);
int mv_get_xsave(struct mv_vcpu *vcpu, void __user *user);
int mv_set_xsave(struct mv_vcpu *vcpu, void __user *user);
void mv_get_xcrs(struct mv_vcpu *vcpu, struct minivmm_xcrs *xcrs);
int mv_set_xcrs(struct mv_vcpu *vcpu, const struct minivmm_xcrs *xcrs);

#endif

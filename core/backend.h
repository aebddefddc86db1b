/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam between the core and a back end (VMX now, SVM next).
 *
 * The core owns everything that may sleep: file descriptors, user memory,
 * signals, the run page. A back end owns the CPU's virtualization extension
 * and never sleeps. In between stands struct mv_vcpu: the guest's registers in
 * neutral form, and struct mv_exit, why the guest stopped.
 *
 * Registers move lazily. Outside the run section a field is right in struct
 * mv_vcpu if it is always kept there, or if its group's bit is set in
 * vcpu->valid; mv_need() fetches a group. Whoever changes a field there sets
 * the group's bit in vcpu->dirty, and the back end loads it before the next
 * entry.
 */
#ifndef MINIVMM_BACKEND_H
#define MINIVMM_BACKEND_H

#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/minivmm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>

#define MV_MAX_VCPU_ID		1024

struct mv_chips;
struct mv_iobus;
struct mv_msr_filter;
struct mv_pit;
struct mv_routes;
struct mv_vcpu;
struct mv_vm;

/* General registers in the CPU's encoding order (SDM vol. 2, table 3-1) */
enum mv_reg {
	MV_RAX, MV_RCX, MV_RDX, MV_RBX, MV_RSP, MV_RBP, MV_RSI, MV_RDI,
	MV_R8, MV_R9, MV_R10, MV_R11, MV_R12, MV_R13, MV_R14, MV_R15,
	MV_NR_REGS
};

/* Segment registers: the first six in the CPU's encoding order */
enum mv_seg {
	MV_ES, MV_CS, MV_SS, MV_DS, MV_FS, MV_GS, MV_LDTR, MV_TR, MV_NR_SEGS
};

/**
 * struct mv_segment - a segment register with its hidden part
 * @base: linear base address
 * @limit: in bytes, granularity already applied
 * @selector: the visible part
 * @ar: type, S, DPL, P in bits 7:0 and AVL, L, D/B, G in bits 15:12 as in a
 *	descriptor's second doubleword (SDM 3.4.5); bit 16: unusable
 */
struct mv_segment {
	u64 base;
	u32 limit;
	u16 selector;
	u32 ar;
};

#define MV_AR_TYPE	0x000f
#define MV_AR_S		0x0010
#define MV_AR_DPL(ar)	(((ar) >> 5) & 3)
#define MV_AR_P		0x0080
#define MV_AR_AVL	0x1000
#define MV_AR_L		0x2000
#define MV_AR_DB	0x4000
#define MV_AR_G		0x8000
#define MV_AR_UNUSABLE	0x10000

struct mv_dtable {
	u64 base;
	u16 limit;
};

/*
 * State groups, for vcpu->dirty. Only MV_STATE_LAZY needs fetching; all others
 * are always right in struct mv_vcpu outside the run section.
 */
#define MV_STATE_RIP	BIT(0)
#define MV_STATE_RSP	BIT(1)
#define MV_STATE_RFLAGS	BIT(2)
#define MV_STATE_SHADOW	BIT(3)	/* intr_shadow */
#define MV_STATE_CODE	BIT(4)	/* seg[] of CS, SS: the mode, the CPL */
#define MV_STATE_CRS	BIT(5)	/* cr0, cr3, cr4, pdptr[], efer */
#define MV_STATE_MSRS	BIT(6)	/* pat, sysenter_*, tsc_offset, tsc_ratio */
#define MV_STATE_DR7	BIT(7)
#define MV_STATE_TLB	BIT(8)	/* forget the guest's cached translations */
#define MV_STATE_SYSCALL BIT(9)	/* star, lstar, sfmask, tsc_aux; also with efer */
#define MV_STATE_CPUID	BIT(10)	/* which instructions and MSRs the guest has */
#define MV_STATE_APIC	BIT(11)	/* the mode in apic_base */
#define MV_STATE_DATA	BIT(12)	/* seg[] of DS, ES */
#define MV_STATE_FSGS	BIT(13)	/* seg[] of FS, GS */
#define MV_STATE_TABLES	BIT(14)	/* seg[] of LDTR, TR; gdt, idt */
#define MV_STATE_DEBUG	BIT(15)	/* debug.control */
#define MV_STATE_AWAKE	BIT(16)	/* not in a HLT any more, if it was in one */
#define MV_STATE_ALL	(BIT(17) - 1)
#define MV_STATE_SEGS	(MV_STATE_CODE | MV_STATE_DATA | MV_STATE_FSGS | \
			 MV_STATE_TABLES)
#define MV_STATE_LAZY	(MV_STATE_SEGS | MV_STATE_CRS)
#define MV_STATE_HOT	(MV_STATE_RIP | MV_STATE_RSP | MV_STATE_RFLAGS | \
			 MV_STATE_SHADOW)

/* vcpu->intr_shadow: what holds events back after the last instruction */
#define MV_SHADOW_STI	BIT(0)
#define MV_SHADOW_MOVSS	BIT(1)
#define MV_SHADOW_NMI	BIT(3)	/* an NMI is being handled */

/* What the guest gets when an instruction of its faults. */
struct mv_fault {
	u8 vector;
	bool has_error;
	u32 error;
	u64 address;		/* CR2, for #PF */
};

/**
 * struct mv_events - what waits to be delivered to the guest
 * @exception: @pending has not been delivered; @injected was being delivered
 *	when the guest stopped, and is delivered again
 * @nmi: @pending counts up to two (one in service, one latched; SDM 6.7.1)
 * @interrupt: one external interrupt or, @soft, an INT n cut short
 * @insn_len: instruction length in bytes of a soft event, for its return RIP
 */
struct mv_events {
	struct {
		bool pending;
		bool injected;
		bool soft;
		u8 vector;
		bool has_error;
		u32 error;
	} exception;
	struct {
		u8 pending;
		bool injected;
	} nmi;
	struct {
		bool queued;
		bool soft;
		u8 vector;
	} interrupt;
	bool triple_fault;
	u8 insn_len;
};

/* Why the guest stopped, as the core sees it */
enum mv_exit_reason {
	MV_EXIT_NONE,		/* a host interrupt, or work for the host */
	MV_EXIT_WINDOW,		/* the guest can take an interrupt now */
	MV_EXIT_HLT,
	MV_EXIT_PAUSE,		/* spinning, perhaps for what another vCPU holds */
	MV_EXIT_YIELD,		/* the guest names a vCPU that should run instead */
	MV_EXIT_UD,		/* an instruction that the CPU does not know */
	MV_EXIT_PIO,
	MV_EXIT_GPA_FAULT,	/* memory that may need sleep to get */
	MV_EXIT_MMIO,		/* no memory there; lazy groups are valid */
	MV_EXIT_CR,
	MV_EXIT_DR,
	MV_EXIT_XSETBV,
	MV_EXIT_DEBUG,		/* the client's debugger wants this */
	MV_EXIT_MSR,		/* an RDMSR or WRMSR that failed */
	MV_EXIT_DELIVERY,	/* no memory to deliver an event with */
	MV_EXIT_SHUTDOWN,
	MV_EXIT_FAIL_ENTRY,
	MV_EXIT_EMULATE,	/* an instruction that nobody here knows */
	MV_EXIT_UNEXPECTED,	/* the back end never asked for this one */
	MV_EXIT_BUSY,		/* another hypervisor owns this CPU */
	MV_EXIT_BUG,		/* the back end caught itself in an error */
};

enum mv_cr_op { MV_CR_WRITE, MV_CR_READ, MV_CR_CLTS, MV_CR_LMSW };

/**
 * struct mv_exit - one exit
 * @reason: which member of the union holds
 * @insn_len: bytes of the instruction that made the exit, for mv_skip_insn()
 * @host_event: vector of what the host must handle first, 0: nothing
 * @vectoring: a fault hit the delivery of an event, which waits again
 */
struct mv_exit {
	enum mv_exit_reason reason;
	u8 insn_len;
	u8 host_event;
	bool vectoring;
	union {
		struct {
			u16 port;
			u8 size;	/* 1, 2, 4 */
			u8 addr_size;	/* 2, 4, 8; strings only */
			bool in, string, rep;
			enum mv_seg seg;
		} pio;
		struct {
			u64 gpa;
			bool write, fetch;
			bool operand;	/* gpa is not a page table's */
		} fault;
		struct {
			enum mv_cr_op op;
			u8 cr;
			enum mv_reg reg;
			u16 source;	/* LMSW */
		} cr;
		struct {
			u8 dr;
			bool write;
			enum mv_reg reg;
		} dr;
		struct {
			u8 vector;	/* #DB or #BP */
			u64 dr6;
		} debug;
		struct {
			bool write;
			u32 index;
			u64 data;
			int error;	/* what mv_read_msr(), ... returned */
		} msr;
		struct {
			u64 hw_reason;
			u32 cpu;
		} fail;
		u32 yield_to;
		struct {
			u8 ndata;
			u64 data[4];
		} internal;
	};
};

/* What became of a guest-physical fault inside the run section */
enum mv_fault_result {
	MV_FAULT_MAPPED,	/* retry the instruction */
	MV_FAULT_SLEEP,		/* MV_EXIT_GPA_FAULT */
	MV_FAULT_DEVICE,	/* MV_EXIT_MMIO */
};

#define MV_PAGE_CACHE	3	/* the tables below a four-level root */

/* Pages for second-level tables, set aside where sleeping is allowed. */
struct mv_page_cache {
	unsigned int nr;
	void *page[MV_PAGE_CACHE];
};

#define MV_MAX_MCE_BANKS	32

#define MV_NEVER	(~0ULL)		/* no host TSC value */

/**
 * struct mv_posted - interrupts on their way to a vCPU
 * @pir: a bit for each vector that was sent and has not arrived in IRR yet
 * @on: bit 0: @pir has news, and the vCPU has been told
 *
 * Any CPU posts here, with atomic operations; what is behind it, the APIC's
 * registers, belongs to the vCPU alone. The layout is that of Intel's
 * posted-interrupt descriptor (SDM 30.6), so a CPU can empty it by itself.
 */
struct mv_posted {
	unsigned long pir[MINIVMM_NR_INTERRUPTS / BITS_PER_LONG];
	unsigned long on;
	unsigned long reserved[3];
};

/**
 * struct mv_lapic - a local APIC
 * @posted: interrupts sent to it. First in the structure, which has a page for
 *	itself: CPUs want it aligned to 64 bytes, Bochs to a page
 * @vcpu: whose
 * @regs: a page with the registers at their xAPIC offsets (SDM table 11-1);
 *	a back end may let the CPU use it as its virtual-APIC page
 * @changed: software changed ISR or IRR: for the back end to look at, which
 *	clears it
 * @deadline: host TSC when the timer fires, or MV_NEVER
 * @period: in host TSC ticks, if the timer is periodic
 * @tsc_deadline: IA32_TSC_DEADLINE, in guest TSC; 0: not armed
 * @timer_mode: what the timer goes by, of its LVT entry ...
 * @divisor: ... and of its divide configuration. A CPU may write the registers
 *	before we hear of it
 * @wake_timer: wakes the vCPU at @deadline, if it is blocked then
 * @errors: errors since ESR was written last (SDM 11.5.3); atomic bits
 * @taken: lowest-priority interrupts taken, to share them out
 * @place: where the vCPU stands in vm->logical, or NULL; guarded by its lock
 */
struct mv_lapic {
	struct mv_posted posted;
	struct mv_vcpu *vcpu;
	void *regs;
	bool changed;
	u64 deadline;
	u64 period;
	u64 tsc_deadline;
	u32 timer_mode;
	u32 divisor;
	struct hrtimer wake_timer;
	unsigned long errors;
	u32 taken;
	struct mv_vcpu **place;
};

/* vcpu->requests: what a vCPU must look at before it enters the guest */
#define MV_REQ_EVENT	0	/* vcpu->nmis, or an external interrupt */
#define MV_REQ_INIT	1
#define MV_REQ_SIPI	2	/* with vcpu->sipi_vector */
#define MV_REQ_EOI	3	/* the I/O APIC must hear of vcpu->eoi_vector */
#define MV_REQ_MSRS	4	/* vm->msrs_exit */
#define MV_REQ_STEPPED	5	/* the debugger's single step is over */
#define MV_REQ_APIC_PAGE 6	/* vm->apic_page must not be mapped any more */
#define MV_REQ_RESAMPLE	7	/* an interrupt that it has taken is over */

/* Which interrupt controllers the kernel has; chosen before the first vCPU */
enum mv_irqchip_mode {
	MV_IRQCHIP_USER,	/* none: the client has them all */
	MV_IRQCHIP_SPLIT,	/* local APICs */
	MV_IRQCHIP_KERNEL,	/* and the I/O APIC and the 8259 pair */
};

/* How many ns a TSC tick takes: mul * 2^(shift - 32), as in pvclock's ABI */
struct mv_tick_length {
	u32 mul;
	s8 shift;
};

/**
 * struct mv_logical - who has which logical xAPIC ID (SDM 11.6.2.2)
 * @lock: serializes changes; readers take none
 * @flat: by bit number, in the flat model
 * @cluster: by cluster and bit number
 * @scan: an ID that is not one bit, or is had by two: ask every vCPU instead
 */
struct mv_logical {
	raw_spinlock_t lock;
	struct mv_vcpu *flat[8];
	struct mv_vcpu *cluster[16][4];
	bool scan;
};

/* Sizes of a mapping: 4 KiB, 2 MiB, 1 GiB are levels 0, 1, 2. */
#define MV_LEVELS	3
#define MV_LEVEL_PAGES(level)	(1ULL << (9 * (level)))

/* Faults in different regions of 2 MiB rarely share one of these locks. */
#define MV_REGIONS	16
struct mv_region {
	raw_spinlock_t lock;
} ____cacheline_aligned_in_smp;

/*
 * What a vCPU has done so far. Its own thread counts, anybody reads; stats.c
 * has the names.
 */
struct mv_vcpu_stats {
	u64 exits;
	u64 io_exits, mmio_exits, halt_exits, signal_exits;
	u64 irq_exits, irq_window_exits, nmi_window_exits, request_irq_exits;
	u64 irq_injections, nmi_injections;
	u64 pf_taken, pf_fixed, pf_emulate;
	u64 insn_emulation, insn_emulation_fail;
	u64 hypercalls;
	u64 tlb_flush;
	u64 directed_yield_attempted, directed_yield_successful;
	u64 halt_attempted_poll, halt_successful_poll;
	u64 halt_poll_success_ns, halt_poll_fail_ns;
	u64 halt_wakeup, halt_wait_ns;
	u64 blocking;		/* 1: just now */
};

/**
 * struct mv_vm - a virtual machine
 * @refs: the VM's file descriptor and one for each vCPU's
 * @mm: the address space that @slots point into
 * @pid: of the thread that made it, for its name
 * @lock: guards @vcpus and creation; taken before slots->lock
 * @slots: the memory slots; slots.h
 * @mmu_lock: guards @inv_active and its like, and is taken before all of
 *	@regions; raw, since interrupts may be off
 * @regions: locks of the second-level tables; mmu.c says which is when
 * @inv_active: MMU notifier invalidations under way
 * @inv_start: where they begin, in the client
 * @inv_end: and end
 * @inv_seq: invalidations finished
 * @tlb_gen: raised when translations were taken away; a vCPU that has seen
 *	less flushes before it enters
 * @flushed_gen: no CPU uses translations taken away before this
 * @mapped: leaves of each size in the second-level tables
 * @nr_tables: pages of these tables, and set aside for them
 * @nr_logging: slots whose writes are logged
 * @dirty_options: MINIVMM_DIRTY_LOG_* that the client chose
 * @nr_mmu_pages: what the client said of a cache that we do not have
 * @running: CPUs inside the run section for this VM
 * @time_lock: guards @tsc_sync and @clock
 * @tsc_base: host TSC at creation; the guest's starts at 0
 * @tsc_sync: offset and ratio of the TSC that the client wrote last, if it did
 *	(@written), which others are held to; see tsc.c
 * @clock: it was @ns when the host's TSC read @tsc; see clock.c. A vCPU that
 *	has seen less than @gen writes its page before it enters
 * @irqchip: enum mv_irqchip_mode; constant once a vCPU exists
 * @eoi_vectors: vectors whose EOI the I/O APIC, or the client's, must hear of
 * @eoi_gen: raised when @eoi_vectors changed; a vCPU that has seen less loads
 *	them before it enters
 * @apic_page: for back ends that have mv_caps.apic_page, see apic_page.c; or NULL
 * @apic_page_blockers: what keeps it from being mapped at MV_APIC_BASE
 * @x2apic_format_32: MSIs have 32 bits of destination, and so has a saved
 *	local APIC's ID
 * @x2apic_no_broadcast_quirk: destination 0xff is no broadcast in x2APIC mode
 * @disabled_quirks: those of MV_QUIRKS that the client does not want
 * @no_platform_info: RDMSR of MSR_PLATFORM_INFO faults
 * @boot_id: the vCPU that boots; constant once a vCPU exists
 * @id_limit: vCPU numbers are below this; 0: below MV_MAX_VCPU_ID. Guarded by
 *	@lock
 * @tsc_khz: the rate of new vCPUs' TSC; guarded by @time_lock, as is @tsc_ratio
 * @tsc_ratio: the same as a ratio
 * @split_pins: GSIs below this are pins of the client's I/O APIC
 * @chips: the I/O APIC and the 8259 pair; or NULL
 * @pit: the 8254; or NULL
 * @irq_lock: guards changes of @routes, @iobus and @zones, and adding and
 *	removing irqfds; taken after @lock
 * @irq_srcu: for readers of @routes, @iobus, @zones and @resamplers
 * @routes: what GSIs are connected to
 * @iobus: ports and memory of devices in the kernel; NULL: none
 * @irqfds: all irqfds; guarded by @irqfds_lock
 * @resamplers: those that want to hear of EOIs
 * @irqfds_lock: taken under an eventfd's wait-queue lock
 * @zones: where writes may wait in @coalesced_ring; NULL: nowhere
 * @coalesced_ring: a page shared with user space; guarded by @ring_lock
 * @msr_filter: which MSRs the client lets its guest access; NULL: all. Read in
 *	run sections, which are readers of RCU; replaced under @lock
 * @msrs_exit: that filter denies MSRs which otherwise need no exit
 * @msr_exits: failures of RDMSR and WRMSR that are the client's to handle,
 *	MINIVMM_MSR_EXIT_REASON_*
 * @disabled_exits: MINIVMM_X86_DISABLE_EXITS_*: what guests do without an exit;
 *	constant once a vCPU exists
 * @dead: a bug was caught: no vCPU runs again
 * @backend: the back end's
 */
struct mv_vm {
	struct kref refs;
	struct mm_struct *mm;
	pid_t pid;
	struct mutex lock;		/* vcpus, nr_vcpus */
	struct mv_slots *slots;
	raw_spinlock_t mmu_lock;
	struct mv_region regions[MV_REGIONS];
	unsigned long inv_active;
	unsigned long inv_start, inv_end;
	unsigned long inv_seq;
	struct mmu_notifier notifier;
	atomic64_t tlb_gen;
	u64 flushed_gen;
	atomic64_t mapped[MV_LEVELS];
	atomic64_t nr_tables;
	u32 nr_logging;
	u32 dirty_options;
	unsigned long nr_mmu_pages;
	struct cpumask running;
	spinlock_t time_lock;		/* tsc_sync, clock */
	u64 tsc_base;
	struct {
		u64 offset, ratio;
		bool written;
	} tsc_sync;
	struct {
		u64 tsc, ns;
		struct mv_tick_length tick;
		u32 gen;
		u64 wall_msr;	/* READ_ONCE: the vCPUs share the MSR */
	} clock;
	enum mv_irqchip_mode irqchip;
	unsigned long eoi_vectors[MINIVMM_NR_INTERRUPTS / BITS_PER_LONG];
	u32 eoi_gen;
	void *apic_page;
	atomic_t apic_page_blockers;
	bool x2apic_format_32;
	bool x2apic_no_broadcast_quirk;
	u64 disabled_quirks;
	bool no_platform_info;
	u32 boot_id;
	u32 id_limit;
	u32 tsc_khz;
	u64 tsc_ratio;
	u32 split_pins;
	struct mv_chips *chips;
	struct mv_pit *pit;
	struct mutex irq_lock;		/* writers of routes, iobus, zones */
	struct srcu_struct irq_srcu;
	struct mv_routes __rcu *routes;
	struct mv_iobus __rcu *iobus;
	struct list_head irqfds;
	struct list_head resamplers;
	spinlock_t irqfds_lock;		/* irqfds */
	struct mv_zones __rcu *zones;
	struct minivmm_coalesced_mmio_ring *coalesced_ring;
	spinlock_t ring_lock;		/* coalesced_ring */
	struct mv_msr_filter __rcu *msr_filter;
	bool msrs_exit;
	u32 msr_exits;
	bool triple_fault_event;	/* VCPU_EVENTS have it */
	u32 disabled_exits;
	bool dead;
	u32 nr_vcpus;
	u32 max_id;			/* highest vCPU number */
	struct mv_vcpu *vcpus[MV_MAX_VCPU_ID];
	struct mv_logical logical;
	u32 last_yield;			/* who was given a CPU last */
	void *backend;
};

/**
 * struct mv_vcpu - a virtual CPU
 *
 * @mutex serializes the file descriptor's ioctls and is held while the guest
 * runs, so everything else here belongs to whoever holds it, but for what other
 * CPUs tell this vCPU: @requests, @nmis, @sipi_vector, lapic->posted and
 * lapic->errors.
 */
struct mv_vcpu {
	u64 regs[MV_NR_REGS];	/* first: the entry stub knows the offsets */
	u64 rip;
	u64 rflags;
	u32 intr_shadow;
	u32 dirty;
	u32 valid;
	struct mv_exit exit;
	struct mv_events ev;
	bool check_events;	/* @ev or @want_window has news for the back end */
	bool want_window;	/* leave the guest when it can take an interrupt */

	unsigned long requests;	/* MV_REQ_*, atomic bits */
	int cpu;		/* in the run section there, or -1; see mp.c */
	struct mv_lapic *lapic;	/* NULL: the client has the interrupt chips */
	u32 eoi_gen;		/* the vm->eoi_gen that the back end has loaded */

	struct mv_vm *vm;
	struct minivmm_run *run;
	void *pio_data;		/* the page after *run, shared with user space */
	u32 id;
	struct mutex mutex;	/* one ioctl at a time */
	bool has_run;		/* from now on its CPUID stays */
	int (*complete)(struct mv_vcpu *vcpu);
	void *backend;

	struct mv_segment seg[MV_NR_SEGS];
	struct mv_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8;
	u64 efer;
	u64 pdptr[4];
	u64 xcr0;
	u64 dr[4], dr6, dr7;
	struct {
		u32 control;	/* MINIVMM_GUESTDBG_*, 0: no debugger */
		u64 dr[4], dr7;	/* USE_HW_BP: the ones that are in the CPU */
		u8 bp_len;	/* of the INT3 that the debugger was shown */
	} debug;

	u64 apic_base;
	u64 pat;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	u64 tsc_offset, tsc_ratio, tsc_adjust;	/* see tsc.c */
	u32 tsc_khz;		/* the guest's */
	struct {
		u64 msr;
		u32 gen;	/* the vm->clock.gen that the page shows */
		u64 wall_gpa;	/* where the wall clock is to be written, or 0 */
	} clock;
	struct {
		u64 msr;
		u64 seen;	/* ns of waiting that the guest knows of */
	} steal;
	struct {
		u64 cap, status, ctl;		/* IA32_MCG_* */
		u64 bank[MV_MAX_MCE_BANKS][4];	/* in the order of MSRs */
	} mce;
	struct mv_msr_store *msrs;	/* the ones only remembered; msr.c */

	void *fpu;		/* one page, XSAVE standard format */
	u64 fpu_features;	/* XCR0 bits the guest may set */
	u32 host_pkru;

	u32 mp_state;		/* MINIVMM_MP_STATE_* */
	struct rcuwait wait;	/* blocked in the kernel */
	struct pid __rcu *pid;	/* the thread that runs it, for a directed yield */
	u64 poll_ns;		/* how long to spin before blocking */
	atomic_t nmis;		/* sent by others, not in @ev yet */
	u8 sipi_vector;
	u8 eoi_vector;
	int extint;		/* vector of the client's 8259 pair, or -1 */
	bool sigmask_set;
	sigset_t sigmask;

	struct {
		struct minivmm_cpuid_entry2 *entries;
		u32 nent;
		u16 start[3][32];	/* first entry of leaf class/number + 1 */
		u64 cr4_allowed;	/* CR4 bits this guest's CPUID offers */
		u64 efer_allowed;
		u8 maxphyaddr;
		bool rdtscp;
		bool invpcid;
		bool xsaves;
		bool apic;	/* the client offers one; see mv_cpuid_update() */
		bool x2apic;
		bool tsc_deadline;
		bool sse3;
		bool mwait;
		u32 pv_features; /* KVM's, that it names */
		bool enforce_pv; /* others do not exist */
	} cpuid;

	struct mv_vcpu_stats stats;
	struct mv_page_cache page_cache;
	const struct mv_slot *slot;	/* found last; good while ... */
	unsigned long slot_gen;		/* ... this is vm->slots->gen */
	struct mv_mmio *mmio;	/* the instruction under emulation; mmio.c */
	struct {
		u64 gva;	/* where INS and OUTS move data */
		u32 count;	/* … and how many elements */
	} pio;
};

/**
 * struct mv_caps - what the back end's CPU can do for a guest
 * @rdtscp: RDTSCP and RDPID run in the guest
 * @invpcid: INVPCID runs in the guest
 * @xsaves: XSAVES and XRSTORS run in the guest
 * @cr4: CR4 bits a guest can have
 * @tsc_frac_bits: bits of fraction in vcpu->tsc_ratio; 0: the CPU cannot scale
 * @tsc_max_ratio: ratios are below this
 * @max_level: the largest mapping it can make
 * @split_exec: only mappings of 4 KiB can be executable
 * @accessed: the CPU marks what the guest has used
 * @logs_writes: the CPU reports the first write of pages mapped MV_MAP_CLEAN
 * @apic_page: it does itself what a guest does to vm->apic_page, to the vCPU's
 *	lapic->regs: no access ever reaches that page
 * @hypercall: the last of the hypercall instruction's three bytes, which differs
 *	between vendors
 */
struct mv_caps {
	bool rdtscp;
	bool invpcid;
	bool xsaves;
	u64 cr4;
	u8 tsc_frac_bits;
	u64 tsc_max_ratio;
	u8 max_level;
	bool split_exec;
	bool accessed;
	bool logs_writes;
	bool apic_page;
	u8 hypercall;
};

/* How a page is mapped; reading is always allowed */
#define MV_MAP_WRITE	BIT(0)
#define MV_MAP_CLEAN	BIT(1)	/* report the first write */
#define MV_MAP_UNCACHED	BIT(2)	/* a device of the host */
#define MV_MAP_DATA	BIT(3)	/* not to be executed */

/**
 * struct mv_mapping - consecutive guest frames to be mapped
 * @gfn: the first, below 2^36; all are in one region of 2 MiB
 * @nr: how many
 * @pfn: their host frames. What is mapped at any of them already is that
 * @level: how large the page is that the host has around them: if nothing smaller
 *	is mapped there, all of it is mapped in one piece
 * @prot: MV_MAP_*
 */
struct mv_mapping {
	u64 gfn;
	unsigned int nr;
	const u64 *pfn;
	int level;
	u32 prot;
};

/**
 * struct mv_frames - guest frames whose mappings are to be changed
 * @first: the first, or where to go on
 * @end: the one after the last
 * @only: a bit for each frame from @base on: is it meant? NULL: all are. For
 *	MV_PROTECT
 * @base: see @only
 */
struct mv_frames {
	u64 first, end;
	const unsigned long *only;
	u64 base;
};

/* What happens to mappings */
enum mv_change {
	MV_ZAP,			/* they go, and tables of 4 KiB mappings that are empty */
	MV_UNMAP,		/* the same, and all empty tables */
	MV_PROTECT,		/* the next write of each page shows */
	MV_AGE,			/* they count as unused; or go, see mv_caps */
	MV_TEST_AGE,		/* were they used since? nothing changes */
};

/**
 * struct mv_ops - a back end
 * @owner: holds the module while a VM exists
 * @name: for the log
 * @caps: filled in before registration
 * @vm_create: empty second-level tables; may sleep
 * @vm_destroy: no vCPU is left; may sleep
 * @vcpu_create: state of the CPU after reset is in the vCPU, all dirty
 * @vcpu_destroy: may sleep
 * @run: enter the guest until something needs the core. Interrupts are off,
 *	the guest's FPU state is loaded; must not sleep. Fills vcpu->exit and
 *	all register groups but the lazy ones.
 * @fetch: bring in lazy groups. Interrupts are on; does not sleep.
 * @host_event: let the host handle the interrupt, NMI or machine check that
 *	ended the guest's run, vcpu->exit.host_event. Called with interrupts
 *	off, which the return from an interrupt turns on.
 * @notify: lapic->posted has news for the vCPU that runs on @cpu, another one:
 *	it takes them without an exit. Any context. NULL: it must exit for that.
 * @map: see struct mv_mapping. Under the lock of the frames' region; of all
 *	regions for level 2. Takes table pages from @cache; false if that does not
 *	have enough. Rights are added to what is mapped already, never taken. Does
 *	nothing if another CPU changed the tables: the guest comes back.
 * @change: do @how to mappings of @frames. Under the lock of their region, or of
 *	all if they are in several or for MV_UNMAP. Stops early after a while;
 *	@frames->first is then where to go on, else @frames->end. True if anything
 *	changed (MV_TEST_AGE: if any was used), and the caller must flush. Tables
 *	that became empty are put on @tables, to be freed after the flush.
 */
struct mv_ops {
	struct module *owner;
	const char *name;
	struct mv_caps caps;
	int (*vm_create)(struct mv_vm *vm);
	void (*vm_destroy)(struct mv_vm *vm);
	int (*vcpu_create)(struct mv_vcpu *vcpu);
	void (*vcpu_destroy)(struct mv_vcpu *vcpu);
	void (*run)(struct mv_vcpu *vcpu);
	void (*fetch)(struct mv_vcpu *vcpu, u32 groups);
	void (*host_event)(u8 vector);
	void (*notify)(int cpu);
	bool (*map)(struct mv_vm *vm, const struct mv_mapping *map,
		    struct mv_page_cache *cache);
	bool (*change)(struct mv_vm *vm, struct mv_frames *frames,
		       enum mv_change how, struct list_head *tables);
};

/* ---- what the core gives a back end --------------------------------------- */

int mv_register_backend(const struct mv_ops *ops);
void mv_unregister_backend(const struct mv_ops *ops);

/* All of these are called inside the run section: interrupts off, no sleep. */
void mv_emulate_cpuid(struct mv_vcpu *vcpu);
bool mv_mwait_is_ud(const struct mv_vcpu *vcpu);
bool mv_hypercall(struct mv_vcpu *vcpu, unsigned int cpl, bool is_64bit);
int mv_read_msr(struct mv_vcpu *vcpu, u32 index, u64 *data);
int mv_write_msr(struct mv_vcpu *vcpu, u32 index, u64 data);
enum mv_fault_result mv_fault_in_atomic(struct mv_vcpu *vcpu);
void mv_mark_dirty(struct mv_vcpu *vcpu, u64 gpa);
void mv_mark_logged(struct mv_vcpu *vcpu, const u64 *gpa, unsigned int nr);
void *mv_table_alloc(struct mv_vm *vm);
void mv_table_free(struct mv_vm *vm, void *table);
void mv_queue_exception(struct mv_vcpu *vcpu, u8 vector, bool has_error,
			u32 error);
bool mv_ring_port(struct mv_vcpu *vcpu, u16 port, unsigned int len);
u32 mv_mmio_atomic(struct mv_vcpu *vcpu);
#define MV_DR6_BD	BIT(13)		/* general detect (SDM 18.2.3) */
void mv_queue_db(struct mv_vcpu *vcpu, u64 dr6);

/* The same, for vCPUs with a local APIC here (vcpu->lapic) */
bool mv_apic_pull(struct mv_vcpu *vcpu);
int mv_apic_highest(const struct mv_vcpu *vcpu, u32 set);
int mv_apic_pending(const struct mv_vcpu *vcpu);
void mv_apic_accept(struct mv_vcpu *vcpu, u8 vector);
void mv_apic_eoi_done(struct mv_vcpu *vcpu, u8 vector);
void mv_apic_written(struct mv_vcpu *vcpu, u32 offset);
void mv_apic_timer_fire(struct mv_vcpu *vcpu, u64 now);
bool mv_extint_pending(struct mv_vcpu *vcpu);
u8 mv_extint_take(struct mv_vcpu *vcpu);
bool mv_interrupt_waits(struct mv_vcpu *vcpu);

/* Could an access be for anyone in the kernel, but for a local APIC? */
static inline bool mv_has_devices(const struct mv_vm *vm)
{
	return rcu_access_pointer(vm->iobus) || rcu_access_pointer(vm->zones);
}

/* Where xAPICs are after a reset */
#define MV_APIC_BASE	0xfee00000ULL
#define MV_APIC_GFN	(MV_APIC_BASE >> 12)

/* Is a local APIC with this IA32_APIC_BASE there, enabled, and an xAPIC? */
static inline bool mv_apic_at_home(u64 base)
{
	/* bits 11 and 10: enabled, x2APIC (SDM 11.4.4) */
	return (base & (GENMASK_ULL(51, 12) | BIT(11) | BIT(10))) ==
	       (MV_APIC_BASE | BIT(11));
}

/* Has the debugger asked for one of these? */
static inline bool mv_debugging(const struct mv_vcpu *vcpu, u32 control)
{
	return unlikely(vcpu->debug.control & control);
}

/* The breakpoints that are in the CPU: the debugger's hide the guest's. */
static inline const u64 *mv_live_drs(const struct mv_vcpu *vcpu)
{
	return mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_HW_BP) ?
	       vcpu->debug.dr : vcpu->dr;
}

static inline u64 mv_live_dr7(const struct mv_vcpu *vcpu)
{
	return mv_debugging(vcpu, MINIVMM_GUESTDBG_USE_HW_BP) ?
	       vcpu->debug.dr7 : vcpu->dr7;
}

/*
 * An instruction was emulated, which no trap of the CPU's ends. Any context; the
 * guest is not entered again before the debugger has been told.
 */
static inline void mv_step_over(struct mv_vcpu *vcpu)
{
	if (mv_debugging(vcpu, MINIVMM_GUESTDBG_SINGLESTEP))
		set_bit(MV_REQ_STEPPED, &vcpu->requests);
}

/* PAE paging: the CPU has four PDPTEs of its own (SDM 4.4.1). Needs the CRs */
static inline bool mv_pae_paging(const struct mv_vcpu *vcpu)
{
	return (vcpu->cr0 & X86_CR0_PG) && (vcpu->cr4 & X86_CR4_PAE) &&
	       !(vcpu->efer & EFER_LMA);
}

/* Is the vCPU executing 64-bit code? Needs MV_SEGS; efer is always right. */
static inline bool mv_is_64bit(const struct mv_vcpu *vcpu)
{
	return (vcpu->efer & (1 << 10)) && (vcpu->seg[MV_CS].ar & MV_AR_L);
}

#endif

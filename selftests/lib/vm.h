/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's side of a test: VMs, vCPUs, and guests ready to run.
 *
 * Every VM starts with slot 0: VM_MEM_SIZE bytes at guest-physical 0, laid
 * out as below, all of it zero but for what a vcpu_setup_*() call needs.  All
 * paging modes map linear = physical, for the low 4 GiB, user-accessible and
 * writable; the low 16 MiB are mapped by 4 KiB pages so that a test can edit
 * single entries.
 *
 * Guests written in C: any function of the test program.  vcpu_setup_long()
 * copies the program's own image into guest memory at its own addresses, so
 * a guest function finds its code, strings and globals where the linker put
 * them; the copy is made per VM, and vm_guest_ptr(vm, &global) is where the
 * host finds the guest's copy.  The functions run in ring 0, 64-bit mode,
 * with exceptions and interrupts handled by lib/guest.c; see guest.h.
 *
 * Guests written in assembly: guest_code16(name, "text"), guest_code32(),
 * guest_code64() at file scope, then vcpu_setup_real(vcpu, &name) and the
 * like, which place the code at BLOB_GPA.  .org counts from the blob's start.
 *
 * All functions end the test as failed when a system call fails, so callers
 * need not check them.
 */
#ifndef SELFTESTS_VM_H
#define SELFTESTS_VM_H

#include <stddef.h>
#include <sys/ioctl.h>
#include <linux/minivmm.h>

#include "harness.h"
#include "x86.h"

#define VM_MEM_SIZE	(16UL << 20)
#define VM_MAX_VCPUS	16

/* Guest-physical layout of slot 0 */
#define BLOB_GPA	0x1000UL	/* assembly guests, up to 60 KiB */
#define GDT_GPA		0x10000UL
#define IDT_GPA		0x11000UL	/* 64-bit gates */
#define TSS_GPA		0x14000UL	/* a page per vCPU */
#define PML4_GPA	0x30000UL
#define PDPT_GPA	0x31000UL
#define PD_GPA		0x32000UL	/* 4 pages; PAE uses them too */
#define PT_GPA		0x36000UL	/* 8 pages: the low 16 MiB */
#define PGDIR32_GPA	0x40000UL	/* 32-bit paging */
#define PT32_GPA	0x41000UL	/* 4 pages: the low 16 MiB */
#define PDPT_PAE_GPA	0x46000UL
#define STACK_GPA	0x200000UL	/* 64 KiB per vCPU */
#define STACK_SIZE	0x10000UL
#define DATA_GPA	0x300000UL	/* 1 MiB for the test */
#define IMAGE_GPA	0x400000UL	/* the program, for C guests */

#define STACK_TOP(id)		(STACK_GPA + ((id) + 1) * STACK_SIZE)
#define STACK_TOP_RSP0(id)	(STACK_TOP(id) - 0x4000)
#define STACK_TOP_USER(id)	(STACK_TOP(id) - 0x8000)

/* Guest-physical addresses that no slot covers */
#define MMIO_GPA	0xd0000000UL

/*
 * The guest's GDT.  Its selectors, base and limit differ from any that Linux
 * uses, so that a guest which sees the host's gives itself away.
 */
#define GDT_LIMIT	0x11f
#define IDT_LIMIT	0xfff
#define SEL_CODE64	0x88
#define SEL_DATA	0x90
#define SEL_CODE32	0x98
#define SEL_CODE16	0xa0
#define SEL_DATA16	0xa8
#define SEL_UCODE32	(0xb0 | 3)
#define SEL_UDATA	(0xb8 | 3)
#define SEL_UCODE64	(0xc0 | 3)
#define SEL_TSS		0xd0		/* 16 bytes */
#define SEL_LDT		0xe0		/* 16 bytes; in the GDT, but not loaded */

struct vcpu;

struct vm {
	int dev_fd;
	int fd;
	void *mem;			/* slot 0 */
	bool image_loaded;
	struct vcpu *vcpus[VM_MAX_VCPUS];
};

struct vcpu {
	struct vm *vm;
	int fd;
	int id;
	struct minivmm_run *run;
	size_t run_size;
};

/* ------------------------------------------------------------------------ */
/* VMs and memory                                                            */

/** dev_open - open the device under test */
int dev_open(void);

/** vm_create - a VM with slot 0 and no vCPU */
struct vm *vm_create(void);

/** vm_create_bare - a VM without any memory */
struct vm *vm_create_bare(void);

/**
 * vm_create_irqchip - vm_create() with the interrupt controllers in the kernel
 *
 * vCPU 0 starts runnable, the others wait for INIT; the pages of the APICs are
 * uncached in the guest's page tables.
 */
struct vm *vm_create_irqchip(void);

/** vm_create_split - the same with local APICs alone in the kernel */
struct vm *vm_create_split(void);

/** vm_enable_cap - ENABLE_CAP: its return value, errno set */
int vm_enable_cap(struct vm *vm, u32 cap, u64 arg);

/** vm_free - close all file descriptors of a VM and unmap its memory */
void vm_free(struct vm *vm);

/** vm_set_slot - SET_USER_MEMORY_REGION: its return value, errno set */
int vm_set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		void *hva);

/** vm_gpa - where slot 0's guest-physical address is in this process */
void *vm_gpa(struct vm *vm, u64 gpa);

/** vm_guest_ptr - the guest's copy of an object of this program */
#define vm_guest_ptr(vm, object) \
	((__typeof__(object))vm_gpa(vm, (u64)(uintptr_t)(object)))

/** vm_load_image - copy this program into the guest (once per VM) */
void vm_load_image(struct vm *vm);

/** vm_pte - the entry that maps a 4 KiB page below 16 MiB (long and PAE) */
u64 *vm_pte(struct vm *vm, u64 gva);

/* ------------------------------------------------------------------------ */
/* vCPUs                                                                     */

/** vcpu_create - a vCPU in its reset state, with the supported CPUID set */
struct vcpu *vcpu_create(struct vm *vm, int id);

/** vcpu_create_bare - the same without CPUID */
struct vcpu *vcpu_create_bare(struct vm *vm, int id);

/** vcpu_setup_long - 64-bit mode, about to call fn(arg) in this program */
void vcpu_setup_long(struct vcpu *vcpu, void *fn, u64 arg);

/** struct blob - an assembly guest, made by guest_code16/32/64 */
struct blob {
	const void *start, *end;
};

/* Copy a blob to BLOB_GPA and point the vCPU at it, in ... */
/** vcpu_setup_real - real mode, all segment bases 0, SP 0xfff0 in 64 KiB */
void vcpu_setup_real(struct vcpu *vcpu, const struct blob *blob);
/** vcpu_setup_prot32 - 32-bit protected mode without paging */
void vcpu_setup_prot32(struct vcpu *vcpu, const struct blob *blob);
/** vcpu_setup_paging32 - 32-bit paging with 4 KiB pages, CR4.PSE set */
void vcpu_setup_paging32(struct vcpu *vcpu, const struct blob *blob);
/** vcpu_setup_pae - 32-bit protected mode, PAE paging */
void vcpu_setup_pae(struct vcpu *vcpu, const struct blob *blob);
/** vcpu_setup_blob64 - 64-bit mode */
void vcpu_setup_blob64(struct vcpu *vcpu, const struct blob *blob);

#define guest_code_bits(bits, name, text)				\
	asm(".pushsection .rodata.blob_" #name ", \"a\"\n"		\
	    ".code" #bits "\n"						\
	    "blob_start_" #name ":\n"					\
	    text "\n"							\
	    "blob_end_" #name ":\n"					\
	    ".code64\n"							\
	    ".popsection");						\
	extern const char blob_start_##name[], blob_end_##name[];	\
	static const struct blob name = {				\
		blob_start_##name, blob_end_##name			\
	}
#define guest_code16(name, text)	guest_code_bits(16, name, text)
#define guest_code32(name, text)	guest_code_bits(32, name, text)
#define guest_code64(name, text)	guest_code_bits(64, name, text)

struct minivmm_regs vcpu_regs(struct vcpu *vcpu);
void vcpu_set_regs(struct vcpu *vcpu, const struct minivmm_regs *regs);
struct minivmm_sregs vcpu_sregs(struct vcpu *vcpu);
void vcpu_set_sregs(struct vcpu *vcpu, const struct minivmm_sregs *sregs);
struct minivmm_vcpu_events vcpu_events(struct vcpu *vcpu);
void vcpu_set_events(struct vcpu *vcpu,
		     const struct minivmm_vcpu_events *events);

struct minivmm_lapic_state vcpu_lapic(struct vcpu *vcpu);
void vcpu_set_lapic(struct vcpu *vcpu, const struct minivmm_lapic_state *lapic);

/** vcpu_get_msr - read one MSR through GET_MSRS; false if it is refused */
bool vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *data);
/** vcpu_set_msr - write one MSR through SET_MSRS; false if it is refused */
bool vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 data);

/** supported_cpuid - GET_SUPPORTED_CPUID, in memory that is never freed */
struct minivmm_cpuid2 *supported_cpuid(void);

/** cpuid_entry - the entry for a leaf, or NULL */
struct minivmm_cpuid_entry2 *cpuid_entry(struct minivmm_cpuid2 *cpuid,
					 u32 function, u32 index);

/* ------------------------------------------------------------------------ */
/* Running                                                                   */

/** vcpu_run - MINIVMM_RUN: the exit reason, or -errno */
int vcpu_run(struct vcpu *vcpu);

/** exit_name - the exit reason as text */
const char *exit_name(int reason);

/** vcpu_describe_exit - print the run page and registers as diagnostics */
void vcpu_describe_exit(struct vcpu *vcpu, int reason);

/** vcpu_io_data - what an IO exit's data_offset points at */
void *vcpu_io_data(struct vcpu *vcpu);

void assert_exit(const char *file, int line, struct vcpu *vcpu, int expected);
void assert_out(const char *file, int line, struct vcpu *vcpu, u16 port,
		u32 value);

/** ASSERT_EXIT - run the vCPU; it must stop with this exit reason */
#define ASSERT_EXIT(vcpu, expected) \
	assert_exit(__FILE__, __LINE__, vcpu, expected)

/** ASSERT_OUT - run; it must stop at an OUT of this value (size 1, 2, 4) */
#define ASSERT_OUT(vcpu, port, value) \
	assert_out(__FILE__, __LINE__, vcpu, port, value)

/* What a C guest said last; see guest.h for how it says it. */
enum guest_call_type {
	GUEST_SYNC = 1,		/* guest_sync(stage, value) */
	GUEST_DONE,		/* returned from its function */
	GUEST_ABORT,		/* GUEST_ASSERT failed; never returned */
	GUEST_EXCEPTION,	/* unexpected exception; never returned */
};

struct guest_call {
	u32 type;
	u32 line;
	u64 file;
	u64 text;
	u64 args[4];
};

/**
 * vcpu_run_guest - run until a C guest calls the host or something else exits
 *
 * Returns the call (GUEST_SYNC, GUEST_DONE), its details in @call unless
 * NULL.  A failed GUEST_ASSERT, an unexpected exception and any exit that is
 * no call are printed and end the test.
 */
int vcpu_run_guest(struct vcpu *vcpu, struct guest_call *call);

/**
 * vcpu_guest_call - decode the exit that vcpu_run() gave, if it was a call
 *
 * Returns 0 if it was none.  Ends the test as vcpu_run_guest() does.
 */
int vcpu_guest_call(struct vcpu *vcpu, int reason, struct guest_call *call);

/** ASSERT_SYNC - run; the guest must stop at guest_sync(stage, ...) */
#define ASSERT_SYNC(vcpu, stage)					\
	({								\
		struct guest_call call_;				\
									\
		ASSERT_EQ(vcpu_run_guest(vcpu, &call_), GUEST_SYNC);	\
		ASSERT_EQ(call_.args[0], stage);			\
		call_.args[1];						\
	})

/** ASSERT_DONE - run; the guest's function must return */
#define ASSERT_DONE(vcpu) \
	ASSERT_EQ(vcpu_run_guest(vcpu, NULL), GUEST_DONE)

/** run_guest - a whole test: new VM, one vCPU, run fn(0) to its end */
void run_guest(void *fn);

#endif /* SELFTESTS_VM_H */

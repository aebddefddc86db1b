// SPDX-License-Identifier: GPL-2.0
/*
 * The state in which a vCPU starts: real mode, flat protected mode or 64-bit
 * mode with the first 4 GiB identity mapped; or what a start-up message makes.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "layout.h"
#include "vcpu.h"

#define CR0_PE			BIT(0)
#define CR0_ET			BIT(4)
#define CR0_NE			BIT(5)
#define CR0_PG			BIT(31)
#define CR0_INIT		0x60000010	/* ET, caches off */
#define CR4_PAE			BIT(5)
#define EFER_LME		BIT(8)
#define EFER_LMA		BIT(10)
#define RFLAGS_RESERVED		BIT(1)

#define PTE_PRESENT		BIT(0)
#define PTE_WRITE		BIT(1)
#define PTE_LARGE		BIT(7)
#define PAGE_SIZE		4096ULL
#define LARGE_PAGE_SIZE		(2 * MIB)
#define NR_PAGE_DIRS		4

#define DR6_INIT		0xffff0ff0
#define DR7_INIT		0x400
#define SIGNATURE_INIT		0x600		/* EDX: family 6 */

#define SEG_LDT			2
#define SEG_DATA_RW		3	/* with the accessed bit */
#define SEG_CODE_RX		11
#define SEG_TSS_BUSY		11

/* Selectors and descriptors as the Linux boot protocol wants them. */
#define SELECTOR_CODE		0x10
#define SELECTOR_DATA		0x18
#define GDT_CODE_32		0x00cf9b000000ffffULL
#define GDT_CODE_64		0x00af9b000000ffffULL
#define GDT_DATA		0x00cf93000000ffffULL

static void get_sregs(const struct vcpu *vcpu, struct minivmm_sregs *sregs)
{
	if (ioctl(vcpu->fd, MINIVMM_GET_SREGS, sregs))
		die(EXIT_INTERNAL, "cannot read the vCPU's state: %s", strerror(errno));
}

static void set_state(const struct vcpu *vcpu, struct minivmm_sregs *sregs,
		      const struct minivmm_regs *regs)
{
	if (ioctl(vcpu->fd, MINIVMM_SET_SREGS, sregs) || ioctl(vcpu->fd, MINIVMM_SET_REGS, regs))
		die(EXIT_INTERNAL, "cannot set the vCPU's state: %s", strerror(errno));
}

static void set_flat_segments(const struct vcpu *vcpu, struct minivmm_sregs *sregs, bool is_64bit)
{
	const struct minivmm_segment data = {
		.limit = 0xffffffff, .selector = SELECTOR_DATA, .type = SEG_DATA_RW,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
	u64 *gdt = ram_ptr(vcpu->ram, LAYOUT_GDT, 4 * sizeof(*gdt));

	gdt[SELECTOR_CODE / 8] = is_64bit ? GDT_CODE_64 : GDT_CODE_32;
	gdt[SELECTOR_DATA / 8] = GDT_DATA;
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = 4 * sizeof(*gdt) - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;

	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->cs = data;
	sregs->cs.selector = SELECTOR_CODE;
	sregs->cs.type = SEG_CODE_RX;
	sregs->cs.l = is_64bit;
	sregs->cs.db = !is_64bit;
	sregs->tr = (struct minivmm_segment){
		.limit = 0x67, .type = SEG_TSS_BUSY, .present = 1,
	};
	sregs->ldt = (struct minivmm_segment){ .unusable = 1 };
}

/* Page tables that map the first 4 GiB onto themselves in 2 MiB pages. */
static void write_page_tables(struct ram *ram)
{
	u64 *pml4 = ram_ptr(ram, LAYOUT_PAGE_TABLES, (2 + NR_PAGE_DIRS) * PAGE_SIZE);
	u64 *pdpt = pml4 + 512;
	u64 *pd = pdpt + 512;

	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (u64 i = 0; i < NR_PAGE_DIRS; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (u64 i = 0; i < NR_PAGE_DIRS * 512; i++)
		pd[i] = i * LARGE_PAGE_SIZE | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

/**
 * vcpu_setup_real - start in real mode, as a BIOS starts a boot sector
 * @vcpu: the vCPU
 * @entry: below 64 KiB; the stack grows down from there
 */
void vcpu_setup_real(struct vcpu *vcpu, u64 entry)
{
	struct minivmm_regs regs = {
		.rip = entry, .rsp = entry, .rflags = RFLAGS_RESERVED,
	};
	struct minivmm_sregs sregs;

	/* After reset all is real mode already; CS alone points at the BIOS. */
	get_sregs(vcpu, &sregs);
	sregs.cs.selector = 0;
	sregs.cs.base = 0;
	set_state(vcpu, &sregs, &regs);
}

/**
 * vcpu_setup_protected - start in 32-bit protected mode, flat, without paging
 * @vcpu: the vCPU
 * @entry: the stack grows down from there
 */
void vcpu_setup_protected(struct vcpu *vcpu, u64 entry)
{
	struct minivmm_regs regs = {
		.rip = entry, .rsp = entry, .rflags = RFLAGS_RESERVED,
	};
	struct minivmm_sregs sregs;

	get_sregs(vcpu, &sregs);
	set_flat_segments(vcpu, &sregs, false);
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	set_state(vcpu, &sregs, &regs);
}

/**
 * vcpu_setup_long - start in 64-bit mode, the first 4 GiB identity mapped
 * @vcpu: the vCPU
 * @ram: guest memory: the page tables are written there
 * @entry: the stack grows down from there
 * @rsi: the argument that the Linux boot protocol passes in RSI
 */
void vcpu_setup_long(struct vcpu *vcpu, struct ram *ram, u64 entry, u64 rsi)
{
	struct minivmm_regs regs = {
		.rip = entry, .rsp = entry, .rsi = rsi, .rflags = RFLAGS_RESERVED,
	};
	struct minivmm_sregs sregs;

	write_page_tables(ram);
	get_sregs(vcpu, &sregs);
	set_flat_segments(vcpu, &sregs, true);
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	sregs.cr3 = LAYOUT_PAGE_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	set_state(vcpu, &sregs, &regs);
}

static void set_init_segments(struct minivmm_sregs *sregs, u8 vector)
{
	const struct minivmm_segment data = {
		.limit = 0xffff, .type = SEG_DATA_RW, .present = 1, .s = 1,
	};

	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->cs = data;
	/* SDM 9.4.4: it starts at 000VV000H. */
	sregs->cs.selector = vector << 8;
	sregs->cs.base = vector << 12;
	sregs->cs.type = SEG_CODE_RX;
	sregs->tr = (struct minivmm_segment){
		.limit = 0xffff, .type = SEG_TSS_BUSY, .present = 1,
	};
	sregs->ldt = (struct minivmm_segment){
		.limit = 0xffff, .type = SEG_LDT, .present = 1,
	};
	sregs->gdt.base = 0;
	sregs->gdt.limit = 0xffff;
	sregs->idt = sregs->gdt;
}

/**
 * vcpu_setup_startup - start where a SIPI says, after an INIT
 * @vcpu: the vCPU; its last exit's instruction is complete
 * @vector: the SIPI's: the page to start at
 *
 * SDM table 10-1, column INIT: what is not named here stays, the FPU's state
 * and most MSRs. Context: the vCPU's thread.
 *
 * Return: whether the device took it; errno if not.
 */
bool vcpu_setup_startup(struct vcpu *vcpu, u8 vector)
{
	struct minivmm_vcpu_events events = {
		.flags = MINIVMM_VCPUEVENT_VALID_NMI_PENDING | MINIVMM_VCPUEVENT_VALID_SHADOW,
	};
	struct minivmm_debugregs debugregs = { .dr6 = DR6_INIT, .dr7 = DR7_INIT };
	struct minivmm_regs regs = { .rdx = SIGNATURE_INIT, .rflags = RFLAGS_RESERVED };
	struct minivmm_sregs sregs;

	if (ioctl(vcpu->fd, MINIVMM_GET_SREGS, &sregs))
		return false;
	set_init_segments(&sregs, vector);
	sregs.cr0 = CR0_INIT;
	sregs.cr2 = 0;
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.cr8 = 0;
	sregs.efer = 0;
	memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
	if (ioctl(vcpu->fd, MINIVMM_SET_SREGS, &sregs) ||
	    ioctl(vcpu->fd, MINIVMM_SET_REGS, &regs) ||
	    ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &debugregs) ||
	    ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &events))
		return false;
	/* As an exit from that state would leave it */
	vcpu->run->cr8 = sregs.cr8;
	vcpu->run->apic_base = sregs.apic_base;
	vcpu->run->ready_for_interrupt_injection = 0;
	return true;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boot loader of a host in Bochs, in place of GRUB, a disk and the kernel's
 * own decompressor, which together take longer than the kernel's boot.
 *
 * Bochs puts three files into memory before the machine starts: the unpacked
 * kernel, the initramfs and section .params below. Section .rom is an option ROM:
 * the BIOS calls it when it has set up the machine and its tables, and it never
 * returns. It asks the BIOS for the memory map, goes to 64-bit mode and jumps to
 * the kernel, as Documentation/arch/x86/boot.rst has it, "64-bit boot protocol".
 *
 * Symbols from the command line: INITRD, INITRD_SIZE, ENTRY; files vmlinuz and
 * cmdline in the include path.
 */
#define PARAMS		0x800000	/* where Bochs loads .params */
#define ROM		0xd0000		/* where it loads .rom */
#define E820_SEGMENT	0x7000		/* memory map, until 64-bit mode */

/* Offsets in struct boot_params. */
#define BP_E820_ENTRIES	0x1e8
#define BP_HEADER	0x1f1
#define BP_LOADER	0x210
#define BP_RAMDISK	0x218
#define BP_CMDLINE	0x228
#define BP_HEADER_END	0x270
#define BP_E820_TABLE	0x2d0
#define E820_MAX	128

#define CMDLINE		0x1000
#define PML4		0x3000
#define PDPT		0x4000
#define PAGES		0x5000
#define GDT		0x9000

/* The boot protocol's __BOOT_CS and __BOOT_DS. */
#define BOOT_CS		0x10
#define BOOT_DS		0x18

	.section .rom, "ax"
	.code16
rom:
	.byte 0x55, 0xaa, 1
	cli
	cld
	/* Memory map: INT 15h, AX=E820h; 20 bytes an entry, EBX=0 at the end. */
	movw	$E820_SEGMENT, %ax
	movw	%ax, %es
	xorl	%edi, %edi
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
1:	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	2f
	addw	$20, %di
	incw	%bp
	cmpw	$E820_MAX, %bp
	je	2f
	testl	%ebx, %ebx
	jnz	1b
2:	cli
	/* SDM Vol. 3A, 10.8.5: PAE, then EFER.LME, then paging. */
	lgdtl	%cs:gdt_pointer - rom
	movl	%cr4, %eax
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	$PARAMS + PML4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	/* The BIOS leaves the cache off (CR0.CD, CR0.NW). */
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmpl	$BOOT_CS, $ROM + long_mode - rom

	.code64
long_mode:
	movl	$BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$PARAMS, %edx
	movb	%bpl, BP_E820_ENTRIES(%rdx)
	imull	$20, %ebp, %ecx
	movl	$E820_SEGMENT * 16, %esi
	leal	BP_E820_TABLE(%rdx), %edi
	rep movsb
	movl	%edx, %esi
	movl	$ENTRY, %eax
	jmp	*%rax

gdt_pointer:
	.word	4 * 8 - 1
	.long	PARAMS + GDT
	.org	512		/* the last byte becomes the checksum */

	.section .params, "a"
	.org	BP_HEADER
	.incbin	"vmlinuz", BP_HEADER, BP_LOADER - BP_HEADER
	.byte	0xff		/* a loader without a number of its own */
	.incbin	"vmlinuz", BP_LOADER + 1, BP_RAMDISK - BP_LOADER - 1
	.long	INITRD, INITRD_SIZE
	.incbin	"vmlinuz", BP_RAMDISK + 8, BP_CMDLINE - BP_RAMDISK - 8
	.long	PARAMS + CMDLINE
	.incbin	"vmlinuz", BP_CMDLINE + 4, BP_HEADER_END - BP_CMDLINE - 4
	.org	CMDLINE
	.incbin	"cmdline"
	.byte	0
	/* The first 4 GiB, mapped to themselves. */
	.org	PML4
	.quad	PARAMS + PDPT + 3
	.org	PDPT
	.irp	i, 0, 1, 2, 3
	.quad	PARAMS + PAGES + \i * 0x1000 + 3
	.endr
	.org	PAGES
	.set	page, 0
	.rept	4 * 512
	.quad	page + 0x83
	.set	page, page + 0x200000
	.endr
	.org	GDT
	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tiny guests for launcher_machine.c. Those of 16 bits run at 0000:7c00, those of 32 and
 * 64 at 1 MiB; addresses are relative to their first byte.
 */
#define COM1		0x3f8
#define COM1_LSR	(COM1 + 5)
#define LSR_DR		0x01

#define APIC		0xfee00000
#define APIC_EOI	0x0b0
#define APIC_SVR	0x0f0
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_INITIAL	0x380
#define APIC_DIVIDE	0x3e0

#define IDT		0x6000

	.macro guest name
	.section .rodata
	.globl guest_\name, guest_\name\()_end
guest_\name:
	.endm

	.macro end name
guest_\name\()_end:
	.endm

	.macro putc char
	movw	$COM1, %dx
	movb	$\char, %al
	outb	%al, %dx
	.endm

	/* The 8259 pair as Linux sets it up, all but the inputs in @unmasked off. */
	.macro init_pic unmasked
	movb	$0x11, %al
	outb	%al, $0x20
	movb	$0x20, %al
	outb	%al, $0x21
	movb	$0x04, %al
	outb	%al, $0x21
	movb	$0x01, %al
	outb	%al, $0x21
	movb	$(0xff & ~(\unmasked)), %al
	outb	%al, $0x21
	.endm

	/* Real mode's vector @vector goes to @handler of guest @name. */
	.macro set_vector vector, name, handler
	movw	$(0x7c00 + \handler - guest_\name), \vector * 4
	movw	$0, \vector * 4 + 2
	.endm

	.macro eoi
	movb	$0x20, %al
	outb	%al, $0x20
	.endm

	/* Channel 0, mode 2, about 1 kHz. */
	.macro start_timer
	movb	$0x34, %al
	outb	%al, $0x43
	movb	$0xa9, %al
	outb	%al, $0x40
	movb	$0x04, %al
	outb	%al, $0x40
	.endm

	/* Protected mode's vector @vector goes to @handler of guest @name. */
	.macro set_gate vector, name, handler
	movl	$(0x100000 + \handler - guest_\name), %eax
	movw	%ax, IDT + \vector * 8
	movw	%cs, IDT + \vector * 8 + 2
	movw	$0x8e00, IDT + \vector * 8 + 4
	shrl	$16, %eax
	movw	%ax, IDT + \vector * 8 + 6
	.endm

	.code16
guest hello
	putc	'H'
	putc	'i'
	hlt
end hello

guest triple_fault
	lidt	%cs:0x7c00 + 1f - guest_triple_fault
	int3
1:	.word	0
	.long	0
end triple_fault

guest keyboard_reset
	movb	$0xfe, %al
	outb	%al, $0x64
	hlt
end keyboard_reset

guest acpi_reset
	movw	$0x60c, %dx
	movb	$1, %al
	outb	%al, %dx
	hlt
end acpi_reset

guest acpi_off
	movw	$0x604, %dx
	movw	$0x3400, %ax
	outw	%ax, %dx
	/* Not reached; if it is, not as a halt. */
	movb	$0xfe, %al
	outb	%al, $0x64
1:	jmp	1b
end acpi_off

	/* Ten interrupts of the timer, each of them ends a HLT. */
guest timer_halted
	set_vector 0x20, timer_halted, 2f
	init_pic 1
	start_timer
	xorw	%cx, %cx
1:	sti
	hlt
	cli
	cmpw	$10, %cx
	jb	1b
	putc	'T'
	hlt
2:	incw	%cx
	eoi
	iret
end timer_halted

	/* The same, but the guest never halts: each has to stop it. */
guest timer_running
	set_vector 0x20, timer_running, 2f
	init_pic 1
	start_timer
	xorw	%cx, %cx
	sti
1:	cmpw	$10, %cx
	jb	1b
	cli
	putc	'T'
	hlt
2:	incw	%cx
	eoi
	iret
end timer_running

	/*
	 * Interrupts off for longer than a period, again and again: the interrupt has
	 * to wait for the window, and be there once it opens.
	 */
guest timer_window
	set_vector 0x20, timer_window, 3f
	init_pic 1
	start_timer
	xorw	%cx, %cx
1:	cli
	movw	%cx, %bx
	movw	$50, %si
2:	inb	$0x80, %al
	decw	%si
	jnz	2b
	/* With interrupts off none may have come. */
	cmpw	%cx, %bx
	jne	4f
	sti
	nop
	nop
	cmpw	$10, %cx
	jb	1b
	cli
	putc	'T'
	hlt
3:	incw	%cx
	eoi
	iret
4:	putc	'!'
	hlt
end timer_window

	/* Echoes what comes, by receive interrupts, until 'q'. */
guest echo
	set_vector 0x24, echo, 2f
	init_pic 0x10
	movw	$COM1 + 2, %dx	/* FCR: FIFOs on, trigger level 1 */
	movb	$0x01, %al
	outb	%al, %dx
	movw	$COM1 + 4, %dx	/* MCR: OUT2 */
	movb	$0x08, %al
	outb	%al, %dx
	movw	$COM1 + 1, %dx	/* IER: received data */
	movb	$0x01, %al
	outb	%al, %dx
	putc	'>'
1:	sti
	hlt
	jmp	1b
2:	movw	$COM1_LSR, %dx
	inb	%dx, %al
	testb	$LSR_DR, %al
	jz	3f
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	je	4f
	outb	%al, %dx
	jmp	2b
3:	eoi
	iret
4:	cli
	hlt
end echo

	/* 200000 bytes in string writes of 1000, ignoring whether there is room. */
guest flood
	movb	$'x', %al
	movw	$0x1000, %di
	movw	$1000, %cx
	rep stosb
	movw	$200, %bx
1:	movw	$0x1000, %si
	movw	$1000, %cx
	movw	$COM1, %dx
	rep outsb
	decw	%bx
	jnz	1b
	hlt
end flood

	/* What Linux says when it panics, in polled mode, then a reset. */
guest panic
	movw	$0x7c00 + 2f - guest_panic, %si
	movw	$3f - 2f, %cx
	movw	$COM1, %dx
	rep outsb
	movb	$0xfe, %al
	outb	%al, $0x64
	hlt
2:	.ascii	"[    1.0] Kernel panic - not syncing: test\r\n"
3:
end panic

	/* The same words with the transmit interrupt on, as a program's are. */
guest not_a_panic
	movw	$COM1 + 1, %dx
	movb	$0x02, %al
	outb	%al, %dx
	movw	$0x7c00 + 2f - guest_not_a_panic, %si
	movw	$3f - 2f, %cx
	movw	$COM1, %dx
	rep outsb
	movb	$0xfe, %al
	outb	%al, $0x64
	hlt
2:	.ascii	"[    1.0] Kernel panic - not syncing: test\r\n"
3:
end not_a_panic

	/* The panic's last line: the end, though the guest spins on. */
guest panic_spins
	movw	$0x7c00 + 2f - guest_panic_spins, %si
	movw	$3f - 2f, %cx
	movw	$COM1, %dx
	rep outsb
	sti
1:	jmp	1b
2:	.ascii	"[    1.0] Kernel panic - not syncing: test\r\n"
	.ascii	"[    1.1] ---[ end Kernel panic - not syncing: test ]---\r\n"
3:
end panic_spins

guest spin
	putc	'>'
	sti
1:	jmp	1b
end spin

guest halt
	putc	'>'
1:	sti
	hlt
	jmp	1b
end halt

	.code32
	/* 32 bits, flat: the stack works, a far address is reached. */
guest flat
	pushl	$0x12345678
	popl	%eax
	cmpl	$0x12345678, %eax
	jne	1f
	movl	$0x5a5a5a5a, 0x300000
	cmpl	$0x5a5a5a5a, 0x300000
	jne	1f
	putc	'3'
1:	hlt
end flat

	/* The local APIC: ten interrupts of its timer end a HLT each, then one to itself. */
guest apic
	set_gate 0x40, apic, 2f
	lidt	0x100000 + 4f - guest_apic
	movl	$0x1ff, APIC + APIC_SVR
	movl	$0x0b, APIC + APIC_DIVIDE
	movl	$0x20040, APIC + APIC_LVT_TIMER
	movl	$10000, APIC + APIC_INITIAL
	xorl	%ecx, %ecx
1:	sti
	hlt
	cli
	cmpl	$10, %ecx
	jb	1b
	movl	$0, APIC + APIC_INITIAL
	putc	'T'
	sti
	movl	$0x40040, APIC + APIC_ICR
3:	cmpl	$11, %ecx
	jb	3b
	cli
	putc	'S'
	hlt
2:	incl	%ecx
	movl	$0, APIC + APIC_EOI
	iretl
4:	.word	0x41 * 8 - 1
	.long	IDT
end apic

	/*
	 * A second CPU: it starts, takes an NMI while it is halted, starts anew
	 * while it spins. All CPUs halted with interrupts off: the end.
	 */
guest two_cpus
	sti				/* spin with interrupts on: Documentation/testbed.md */
	movl	$0x100000 + 5f - guest_two_cpus, %esi
	movl	$0x8000, %edi
	movl	$7f - 5f, %ecx
	rep movsb
	movl	$0x08000000 + 6f - 5f, 2 * 4	/* real mode's vector of NMI */
	movl	$0x1ff, APIC + APIC_SVR
	movl	$0x01000000, APIC + APIC_ICR2

	movl	$0x4500, APIC + APIC_ICR	/* INIT */
	movl	$0x4608, APIC + APIC_ICR	/* SIPI */
1:	cmpb	$1, 0x7000
	jne	1b
	putc	'1'
	movl	$0x4400, APIC + APIC_ICR	/* NMI */
1:	cmpb	$1, 0x7001
	jne	1b
	putc	'N'
	movl	$0x4500, APIC + APIC_ICR
	movl	$0x4608, APIC + APIC_ICR
1:	cmpb	$2, 0x7000
	jne	1b
	putc	'2'
	cli
	hlt

	.code16
5:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7000, %sp
	incb	0x7000
1:	hlt
	jmp	1b
6:	incb	0x7001
	sti
1:	jmp	1b
7:
	.code32
end two_cpus

	.code64
	/* 64 bits: ports and addresses that nobody claims read as ones. */
guest unclaimed
	movw	$0xcf8, %dx
	inl	%dx, %eax
	cmpl	$-1, %eax
	jne	1f
	movabsq	$0xe0000000, %rdi
	cmpq	$-1, (%rdi)
	jne	1f
	movq	$0, (%rdi)
	cmpl	$-1, 4(%rdi)
	jne	1f
	movl	$0xa0000, %edi
	cmpb	$-1, (%rdi)
	jne	1f
	putc	'6'
1:	hlt
end unclaimed

	/* Instructions from an address where nothing is. */
guest nowhere
	movabsq	$0xe0000000, %rax
	jmp	*%rax
end nowhere

	.section .note.GNU-stack, "", @progbits

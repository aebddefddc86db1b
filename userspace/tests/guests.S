/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tiny guests for launcher_machine.c. Those of 16 bits run at 0000:7c00, those of 32 and
 * 64 at 1 MiB; addresses are relative to their first byte.
 */
#define COM1		0x3f8
#define COM1_LSR	(COM1 + 5)
#define LSR_DR		0x01

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

	/* The end that works whoever has the interrupt chips: ACPI's. */
	.macro power_off
	movw	$0x604, %dx
	movw	$0x3400, %ax
	outw	%ax, %dx
	/* Not reached; if it is, not as a halt. */
	movb	$0xfe, %al
	outb	%al, $0x64
1:	jmp	1b
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
	power_off
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
	power_off
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
	power_off
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
	power_off
3:	incw	%cx
	eoi
	iret
4:	putc	'!'
	power_off
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
	power_off
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

	/* What follows drives APICs, so 32 bits, where their addresses are in reach. */
#define APIC		0xfee00000
#define APIC_EOI	(APIC + 0x0b0)
#define APIC_SVR	(APIC + 0x0f0)
#define APIC_ICR	(APIC + 0x300)
#define APIC_ICR_HIGH	(APIC + 0x310)
#define APIC_LVT_TIMER	(APIC + 0x320)
#define APIC_INITIAL	(APIC + 0x380)
#define APIC_CURRENT	(APIC + 0x390)
#define APIC_DIVIDE	(APIC + 0x3e0)
#define IOAPIC		0xfec00000
#define IOAPIC_WINDOW	(IOAPIC + 0x10)
#define ENTRY_LEVEL	0x8000
#define ENTRY_MASKED	0x10000
#define PERIODIC	0x20000
#define DEADLINE	0x40000
#define TSC_DEADLINE	0x6e0		/* the MSR */
#define CPUID_DEADLINE	0x1000000	/* 1.ECX */
#define TO_SELF		0x40000
#define VECTOR		0x31
#define AP_CODE		0x8000
#define AP_FLAG		0x9000
#define AP_NMI_FLAG	0x9001
#define IDT		0xa000

	.macro write_ioapic reg, value
	movl	$\reg, IOAPIC
	movl	$\value, IOAPIC_WINDOW
	.endm

	/*
	 * Pin @pin sends VECTOR to the first CPU, and all pins of the 8259s are
	 * off; the vector goes to @handler of guest @name.
	 */
	.macro init_apics name, handler, pin, flags
	movb	$0xff, %al
	outb	%al, $0x21
	outb	%al, $0xa1
	movl	$(0x100000 + \handler - guest_\name), %eax
	movw	%ax, IDT + 8 * VECTOR
	movw	$0x10, IDT + 8 * VECTOR + 2
	movw	$0x8e00, IDT + 8 * VECTOR + 4
	shrl	$16, %eax
	movw	%ax, IDT + 8 * VECTOR + 6
	lidt	0x100000 + 9f - guest_\name
	movl	$0x1ff, APIC_SVR
	write_ioapic (0x11+2*\pin), 0
	write_ioapic (0x10+2*\pin), (VECTOR|\flags)
	jmp	8f
9:	.word	8 * 256 - 1
	.long	IDT
8:
	.endm

	.macro init_sipi
	movl	$0x01000000, APIC_ICR_HIGH
	movl	$0x4500, APIC_ICR
	movl	$0x01000000, APIC_ICR_HIGH
	movl	$(0x4600 | AP_CODE >> 12), APIC_ICR
	.endm

	/* INIT, then the start-up message: the second CPU runs what is at @from. */
	.macro start_second_cpu name, from, to
	movl	$(0x100000 + \from - guest_\name), %esi
	movl	$(\to - \from), %ecx
	movl	$AP_CODE, %edi
	rep movsb
	movl	$0x1ff, APIC_SVR
	init_sipi
	.endm

	.macro wait_for flag, value
77:	inb	$0x80, %al
	cmpb	$\value, \flag
	jne	77b
	.endm

	/* The second CPU says so, then the first ends the machine. */
guest two_cpus
	start_second_cpu two_cpus, 2f, 3f
1:	inb	$0x80, %al
	cmpb	$0, AP_FLAG
	je	1b
	putc	'1'
	power_off
	.code16
2:	putc	'2'
	movb	$1, AP_FLAG
	cli
4:	inb	$0x80, %al
	jmp	4b
	.code32
3:
end two_cpus

	/* The second CPU triple faults while the first goes on. */
guest second_faults
	start_second_cpu second_faults, 2f, 3f
1:	inb	$0x80, %al
	jmp	1b
	.code16
2:	lidt	%cs:4f - 2b
	int3
4:	.word	0
	.long	0
	.code32
3:
end second_faults

	/* The second CPU takes an NMI while it is halted, and starts anew from within. */
guest second_restarts
	start_second_cpu second_restarts, 2f, 4f
	movl	$(AP_CODE << 12 | (3f - 2f)), 2 * 4	/* real mode's vector of NMI */
	wait_for AP_FLAG, 1
	putc	'1'
	movl	$0x01000000, APIC_ICR_HIGH
	movl	$0x4400, APIC_ICR
	wait_for AP_NMI_FLAG, 1
	putc	'N'
	init_sipi
	wait_for AP_FLAG, 2
	putc	'2'
	power_off
	.code16
2:	movw	$AP_CODE, %sp
	incb	AP_FLAG
1:	hlt
	jmp	1b
3:	incb	AP_NMI_FLAG
1:	inb	$0x80, %al
	jmp	1b
	.code32
4:
end second_restarts

	/* Both CPUs halt with interrupts off. */
guest both_halt
	start_second_cpu both_halt, 2f, 3f
	wait_for AP_FLAG, 1
	putc	'H'
	hlt
	.code16
2:	movb	$1, AP_FLAG
	hlt
	.code32
3:
end both_halt

	/* The local APIC's timer ends ten HLTs; then an interrupt to itself. */
guest timer_apic
	init_apics timer_apic, 2f, 23, ENTRY_MASKED
	movl	$0x0b, APIC_DIVIDE
	movl	$(PERIODIC | VECTOR), APIC_LVT_TIMER
	movl	$100000, APIC_INITIAL
	xorl	%ecx, %ecx
1:	sti
	hlt
	cli
	cmpl	$10, %ecx
	jb	1b
	movl	$0, APIC_INITIAL
	putc	'T'
	sti			/* one that came before the timer stopped */
	nop
	nop
	xorl	%ecx, %ecx
	movl	$(TO_SELF | VECTOR), APIC_ICR
	wait_for %cl, 1
	putc	'S'
	power_off
2:	incl	%ecx
	movl	$0, APIC_EOI
	iret
end timer_apic

	/* To @none if there is no such timer. */
	.macro need_deadline none
	movl	$1, %eax
	cpuid
	testl	$CPUID_DEADLINE, %ecx
	jz	\none
	.endm

	.macro set_deadline ahead
	rdtsc
	addl	$\ahead, %eax
	adcl	$0, %edx
	movl	$TSC_DEADLINE, %ecx
	wrmsr
	.endm

	/* To @bad if a deadline is set. */
	.macro no_deadline bad
	movl	$TSC_DEADLINE, %ecx
	rdmsr
	orl	%edx, %eax
	jnz	\bad
	.endm

	/*
	 * A deadline ends ten HLTs, then one comes that is past. 'N': there are none;
	 * 'X': something else is wrong.
	 */
guest timer_deadline
	init_apics timer_deadline, 4f, 23, ENTRY_MASKED
	need_deadline 3f
	movl	$VECTOR, APIC_LVT_TIMER
	set_deadline 0
	no_deadline 2f		/* in another mode it is ignored */
	movl	$(DEADLINE | VECTOR), APIC_LVT_TIMER
	movl	$0x7fffffff, %edx
	movl	$0x12345678, %eax
	wrmsr
	xorl	%eax, %eax
	rdmsr
	cmpl	$0x12345678, %eax
	jne	2f
	cmpl	$0x7fffffff, %edx
	jne	2f
	movl	$VECTOR, APIC_LVT_TIMER
	no_deadline 2f		/* the mode's end disarms */
	movl	$(DEADLINE | VECTOR), APIC_LVT_TIMER
	no_deadline 2f
	xorl	%ebp, %ebp
1:	set_deadline 100000
	movl	%ebp, %ebx
	sti
	hlt
	cli
	incl	%ebx
	cmpl	%ebp, %ebx
	jne	2f
	no_deadline 2f
	cmpl	$10, %ebp
	jb	1b
	putc	'T'
	movl	$1, %eax
	xorl	%edx, %edx
	movl	$TSC_DEADLINE, %ecx
	wrmsr
	no_deadline 2f
	sti
	nop
	nop
	cli
	cmpl	$11, %ebp
	jne	2f
	putc	'P'
	movl	$1000, APIC_INITIAL
	cmpl	$0, APIC_CURRENT
	jne	2f
	putc	'C'
	power_off
2:	putc	'X'
	power_off
3:	putc	'N'
	power_off
4:	incl	%ebp
	movl	$0, APIC_EOI
	iret
end timer_deadline

	/* Ten interrupts of the timer by the I/O APIC, at pin 2. */
guest timer_ioapic
	init_apics timer_ioapic, 2f, 2, 0
	start_timer
	xorl	%ecx, %ecx
1:	sti
	hlt
	cli
	cmpl	$10, %ecx
	jb	1b
	putc	'T'
	power_off
2:	incl	%ecx
	movl	$0, APIC_EOI
	iret
end timer_ioapic

	/*
	 * Echo, with the serial port as a level: one byte for each interrupt, so that
	 * it takes every EOI to get the next one.
	 */
guest echo_level
	init_apics echo_level, 2f, 4, ENTRY_LEVEL
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
3:	sti
	hlt
	jmp	3b
2:	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	je	4f
	outb	%al, %dx
	movl	$0, APIC_EOI
	iret
4:	power_off
end echo_level

	/*
	 * Each round of the first CPU looks at all words from WALK to WALK_END, that each
	 * is as the last round left it, and changes them; then it waits for an interrupt
	 * of the timer, and for a round of the second CPU, if there is one, which does the
	 * same to 64 KiB at 0x30000. A dot is a round, 'X' a word that is wrong; 'q' ends it.
	 */
#define WALK		0x200000
#define WALK_END	0x280000
#define AP_ROUNDS	0x9002

guest walker
	init_apics walker, 6f, 2, 0
	start_second_cpu walker, 7f, 9f
	start_timer
	movl	$WALK, %edi
1:	movl	%edi, (%edi)
	addl	$4, %edi
	cmpl	$WALK_END, %edi
	jb	1b
	xorl	%ebp, %ebp
	putc	'>'
1:	sti
	movl	$WALK, %edi
2:	leal	(%ebp, %edi), %eax
	cmpl	%eax, (%edi)
	jne	5f
	incl	(%edi)
	addl	$4, %edi
	cmpl	$WALK_END, %edi
	jb	2b
	incl	%ebp
	cli
	movl	%ecx, %ebx
3:	sti
	hlt
	cli
	cmpl	%ebx, %ecx
	je	3b
	sti
	cmpb	$0, AP_FLAG
	je	4f
	movw	AP_ROUNDS, %bx
3:	inb	$0x80, %al
	cmpb	$2, AP_FLAG
	je	5f
	cmpw	AP_ROUNDS, %bx
	je	3b
4:	putc	'.'
	movw	$COM1_LSR, %dx
	inb	%dx, %al
	testb	$LSR_DR, %al
	jz	1b
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	jne	1b
	putc	'K'
	power_off
5:	putc	'X'
	power_off
6:	incl	%ecx
	movl	$0, APIC_EOI
	iret
	.code16
7:	movb	$1, AP_FLAG
	movw	$0x3000, %ax
	movw	%ax, %es
	xorw	%bx, %bx
	sti
1:	xorw	%di, %di
2:	cmpw	%bx, %es:(%di)
	jne	8f
	incw	%es:(%di)
	addw	$2, %di
	jnz	2b
	incw	%bx
	movw	%bx, AP_ROUNDS
	inb	$0x80, %al
	jmp	1b
8:	movb	$2, AP_FLAG
1:	inb	$0x80, %al
	jmp	1b
	.code32
9:
end walker

	/*
	 * Nothing but its deadline wakes the guest: one that is lost is its end. What it
	 * says is as the one above has it.
	 */
guest sleeper
	init_apics sleeper, 6f, 23, ENTRY_MASKED
	need_deadline 5f
	movl	$(DEADLINE | VECTOR), APIC_LVT_TIMER
	xorl	%ebp, %ebp
	putc	'>'
1:	movl	%ebp, %ebx
	set_deadline 0x800000
	sti
	hlt
	cli
	incl	%ebx
	cmpl	%ebp, %ebx
	jne	4f
	putc	'.'
	movw	$COM1_LSR, %dx
	inb	%dx, %al
	testb	$LSR_DR, %al
	jz	1b
	movw	$COM1, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	jne	1b
	putc	'K'
	power_off
4:	putc	'X'
	power_off
5:	putc	'N'
	power_off
6:	incl	%ebp
	movl	$0, APIC_EOI
	iret
end sleeper

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

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interrupt handlers of bench's guests.  They count the interrupt, say EOI
 * and change no register: HANDLER_INSNS instructions besides WRMSR.
 */

	.macro	handler name, counter
	.globl	\name
\name:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	incl	\counter
	movl	$0x80b, %ecx		/* IA32_X2APIC_EOI */
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
	popq	%rdx
	popq	%rcx
	popq	%rax
	iretq
	.endm

	.text
	handler	bench_irq_handler, guest_irqs
	handler	bench_reply_handler, guest_replies

	.section .note.GNU-stack, "", @progbits

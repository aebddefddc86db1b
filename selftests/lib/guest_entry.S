/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of a C guest that C cannot say: vectors, ring 3 and back. */

	.text

/* Vectors that push an error code, SDM volume 3, table 6-1 */
#define HAS_ERROR(vec) \
	((vec) == 8 || ((vec) >= 10 && (vec) <= 14) || (vec) == 17 || (vec) == 21)

	.globl	guest_vectors, guest_vectors_end
	.balign	16
guest_vectors:
	vec = 0
	.rept	256
	.balign	16
	.if	!(HAS_ERROR(vec))
	pushq	$0
	.endif
	pushq	$vec
	jmp	guest_vector_common
	vec = vec + 1
	.endr
guest_vectors_end:

guest_vector_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	guest_exception
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

/* guest_start(fn, arg): where every C guest begins */
	.globl	guest_start
guest_start:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
1:	call	guest_done
	jmp	1b

/*
 * u64 guest_to_user(u64 (*fn)(u64), u64 arg, u64 user_rsp): IRET to ring 3;
 * GUEST_USER_RETURN_VECTOR comes back.
 */
	.globl	guest_to_user
guest_to_user:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, guest_user_saved_rsp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	pushq	$0xbb			/* SEL_UDATA */
	pushq	%rdx
	pushq	$0x3002			/* IOPL 3: ring 3 may do guest calls */
	pushq	$0xc3			/* SEL_UCODE64 */
	pushq	$1f
	iretq
1:	call	*%rax
	int	$0xf0			/* GUEST_USER_RETURN_VECTOR */

	.globl	guest_user_return
guest_user_return:
	movq	guest_user_saved_rsp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.bss
	.balign	8
guest_user_saved_rsp:
	.quad	0

	/* So that the section, and its bounds, exist in every program */
	.section guest_extable, "a"
	.quad	0, 0

	.section .note.GNU-stack, "", @progbits

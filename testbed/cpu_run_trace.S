/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bochs's BX_CPU_C::cpu_run_trace(), one instruction of one of several CPUs, as
 * platform-bochs.sh puts it in place of the original in Debian's 3.0.
 *
 * An exception leaves an instruction by longjmp(). The loop for one CPU then
 * commits the new RIP; the one for several does not, and a VM exit that comes
 * next saves the RIP of the instruction that faulted, with the handler's RSP, CS
 * and RFLAGS. So it is committed here, first of all.
 */
#define RIP		0xe0
#define PREV_RIP	0x118
#define SPECULATIVE_RSP	0x130
#define ASYNC_EVENT	0x91e0

/* How far other functions are from this one */
#define GET_ICACHE_ENTRY	(0x168c00 - 0x168f80)
#define HANDLE_ASYNC_EVENT	(0x169b50 - 0x168f80)

cpu_run_trace:
	endbr64
	push	%rbx
	mov	%rdi, %rbx
	mov	RIP(%rbx), %rax
	mov	%rax, PREV_RIP(%rbx)
	movb	$0, SPECULATIVE_RSP(%rbx)
	cmpl	$0, ASYNC_EVENT(%rbx)
	je	1f
	call	cpu_run_trace + HANDLE_ASYNC_EVENT
	test	%al, %al
	jne	3f
1:	mov	%rbx, %rdi
	call	cpu_run_trace + GET_ICACHE_ENTRY
	mov	0x10(%rax), %rsi	/* the instruction */
	movzbl	0x22(%rsi), %eax	/* its length */
	add	%rax, RIP(%rbx)
	mov	0x8(%rsi), %rdi		/* a pointer to a member function */
	mov	(%rsi), %rax
	add	%rbx, %rdi
	test	$1, %al
	je	2f
	mov	(%rdi), %rdx
	mov	-1(%rdx,%rax), %rax
2:	call	*%rax
	andl	$0x7fffffff, ASYNC_EVENT(%rbx)	/* less BX_ASYNC_EVENT_STOP_TRACE */
3:	pop	%rbx
	ret

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and out of it.
 *
 * int vmx_enter(u64 *regs, struct vmx_vcpu *vmx, bool launched, u32 spec_ctrl)
 *
 * The VMCS carries RSP, RIP, RFLAGS, segments and control registers across;
 * the other fifteen general registers are ours to swap. Guest values must not
 * linger in registers afterwards: the host could use them speculatively.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/ibt.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

/* enum mv_reg: the CPU's encoding order */
#define REG(n)		(8 * (n))
#define REG_RAX		REG(0)
#define REG_RCX		REG(1)
#define REG_RDX		REG(2)
#define REG_RBX		REG(3)
#define REG_RBP		REG(5)
#define REG_RSI		REG(6)
#define REG_RDI		REG(7)

#define HOST_RSP	0x6c14	/* VMCS field encoding, SDM appendix B */
/* offsetof(struct vmx_vcpu, host_rsp); vmcs.c asserts it */
#define VMX_HOST_RSP	56

/* 6.19 tells apart what guests need from what user space needs. */
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
#define CLEAR_BUFFERS	X86_FEATURE_CLEAR_CPU_BUF_VM
#else
#define CLEAR_BUFFERS	X86_FEATURE_CLEAR_CPU_BUF
#endif

/* Kernels after 6.12 call it by another name. */
#ifdef X86_FEATURE_CLEAR_BHB_VMEXIT
#define CLEAR_HISTORY	X86_FEATURE_CLEAR_BHB_VMEXIT
#else
#define CLEAR_HISTORY	X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#endif

	.section .rodata, "a"
/* VERW clears buffers in its memory form only. */
verw_selector:
	.word __KERNEL_DS

	.section .text, "ax"

SYM_FUNC_START(vmx_enter)
	push %rbp
	mov %rsp, %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rcx		/* spec_ctrl */
	push %rdi		/* regs */

	/* The exit must find this stack again. It rarely moves between entries. */
	cmp %rsp, VMX_HOST_RSP(%rsi)
	je .Lhost_rsp_known
	mov %rsp, VMX_HOST_RSP(%rsi)
	mov $HOST_RSP, %eax
	vmwrite %rsp, %rax
.Lhost_rsp_known:

	/* CF decides below: loading registers keeps it, VERW changes only ZF. */
	bt $0, %edx

	mov REG_RAX(%rdi), %rax
	mov REG_RCX(%rdi), %rcx
	mov REG_RDX(%rdi), %rdx
	mov REG_RBX(%rdi), %rbx
	mov REG_RBP(%rdi), %rbp
	mov REG_RSI(%rdi), %rsi
	mov REG(8)(%rdi), %r8
	mov REG(9)(%rdi), %r9
	mov REG(10)(%rdi), %r10
	mov REG(11)(%rdi), %r11
	mov REG(12)(%rdi), %r12
	mov REG(13)(%rdi), %r13
	mov REG(14)(%rdi), %r14
	mov REG(15)(%rdi), %r15
	mov REG_RDI(%rdi), %rdi

	/* Leave nothing of the host in the buffers that VERW clears (MDS). */
	ALTERNATIVE "jmp .Lbuffers_clear", "", CLEAR_BUFFERS
	verw verw_selector(%rip)
.Lbuffers_clear:

	UNWIND_HINT_SAVE
	jc .Lresume
	vmlaunch
	jmp .Lfailed
.Lresume:
	vmresume
.Lfailed:
	/* Still here: VMfail. Nothing of the guest has run. */
	UNWIND_HINT_RESTORE
	mov $1, %eax
	jmp .Lclear

SYM_INNER_LABEL_ALIGN(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	push %rdi
	mov 8(%rsp), %rdi
	mov %rax, REG_RAX(%rdi)
	mov %rcx, REG_RCX(%rdi)
	mov %rdx, REG_RDX(%rdi)
	mov %rbx, REG_RBX(%rdi)
	mov %rbp, REG_RBP(%rdi)
	mov %rsi, REG_RSI(%rdi)
	mov %r8, REG(8)(%rdi)
	mov %r9, REG(9)(%rdi)
	mov %r10, REG(10)(%rdi)
	mov %r11, REG(11)(%rdi)
	mov %r12, REG(12)(%rdi)
	mov %r13, REG(13)(%rdi)
	mov %r14, REG(14)(%rdi)
	mov %r15, REG(15)(%rdi)
	pop REG_RDI(%rdi)
	xor %eax, %eax

.Lclear:
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %ebp, %ebp
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d

	/*
	 * Return and branch predictions made in the guest must not steer the
	 * host: refill the return stack, and on CPUs whose kernel runs with
	 * IBRS set it again, all before the first RET.
	 */
	FILL_RETURN_BUFFER %rbx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
		X86_FEATURE_RSB_VMEXIT_LITE
	ALTERNATIVE "jmp .Lspec_ctrl_done", "", X86_FEATURE_KERNEL_IBRS
	mov %eax, %ebx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	mov 8(%rsp), %eax
	xor %edx, %edx
	wrmsr
	mov %ebx, %eax
.Lspec_ctrl_done:
	/* Nor must the history of the guest's branches (BHI). */
	ALTERNATIVE "jmp .Lhistory_clear", "", CLEAR_HISTORY
	mov %eax, %ebx
	mov $5, %ecx
	call overwrite_history
	lfence
	mov %ebx, %eax
.Lhistory_clear:

	add $16, %rsp		/* regs, spec_ctrl */
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(vmx_enter)

/*
 * Taken branches enough to push all others out of the branch history: Intel's
 * sequence for CPUs without BHI_DIS_S, RCX (5) calls deep, ten branches in each.
 * The kernel's own is for no modules but KVM's, in Linux 7.
 */
SYM_FUNC_START_LOCAL(overwrite_history)
	push %rbp
	mov %rsp, %rbp
	mov $5, %eax
.Lbranch:
	jmp .Lloop
	int3
.Lloop:
	dec %eax
	jnz .Lbranch
	dec %ecx
	jz .Ldeep_enough
	call overwrite_history
.Ldeep_enough:
	pop %rbp
	RET
SYM_FUNC_END(overwrite_history)

/*
 * void vmx_call_handler(unsigned long handler)
 *
 * Makes the frame that the CPU makes for an interrupt (SDM 6.14.2), its return
 * address being the call's. The handler's IRET takes all of it off the stack,
 * and turns interrupts on. The frame must say IF = 1, as that of any interrupt
 * does: where it says 0, Linux 7 does not rearm its timer on the way out.
 */
SYM_FUNC_START(vmx_call_handler)
	push %rbp
	mov %rsp, %rbp
	and $-16, %rsp
	push $__KERNEL_DS
	push %rbp
	pushf
	orl $X86_EFLAGS_IF, (%rsp)
	push $__KERNEL_CS
	CALL_NOSPEC rdi
	/* Where RSP is already, but objtool cannot know that. */
	mov %rbp, %rsp
	pop %rbp
	RET
SYM_FUNC_END(vmx_call_handler)

// SPDX-License-Identifier: GPL-2.0
/*
 * core/alu.c against the CPU: each instruction is executed natively, on
 * operands at the edges and at random, and must give the same result and the
 * same flags, the ones that the SDM leaves undefined excepted.
 */
#include <asm/processor-flags.h>
#include <linux/kernel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "alu.h"
#include "kselftest.h"
#include "rand.h"

#define ARITHMETIC_FLAGS (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			  X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)
#define UNDEFINED_BIT_TEST (ARITHMETIC_FLAGS & ~(X86_EFLAGS_CF | X86_EFLAGS_ZF))

#define RANDOM_ROUNDS	20000

/* "op [rdi]" or "op [rdi], rcx": the opcode of the form with wide operands. */
static const struct test {
	const char *name;
	enum mv_insn_op op;
	bool two_byte;
	bool no_byte_form;
	u8 opcode;		/* minus one: byte operands */
	u8 modrm;
	u32 undefined;
} tests[] = {
	{ "ADD", MV_OP_ADD, .opcode = 0x01, .modrm = 0x0f },
	{ "OR", MV_OP_OR, .opcode = 0x09, .modrm = 0x0f,
	  .undefined = X86_EFLAGS_AF },
	{ "ADC", MV_OP_ADC, .opcode = 0x11, .modrm = 0x0f },
	{ "SBB", MV_OP_SBB, .opcode = 0x19, .modrm = 0x0f },
	{ "AND", MV_OP_AND, .opcode = 0x21, .modrm = 0x0f,
	  .undefined = X86_EFLAGS_AF },
	{ "SUB", MV_OP_SUB, .opcode = 0x29, .modrm = 0x0f },
	{ "XOR", MV_OP_XOR, .opcode = 0x31, .modrm = 0x0f,
	  .undefined = X86_EFLAGS_AF },
	{ "CMP", MV_OP_CMP, .opcode = 0x39, .modrm = 0x0f },
	{ "TEST", MV_OP_TEST, .opcode = 0x85, .modrm = 0x0f,
	  .undefined = X86_EFLAGS_AF },
	{ "NOT", MV_OP_NOT, .opcode = 0xf7, .modrm = 0x17 },
	{ "NEG", MV_OP_NEG, .opcode = 0xf7, .modrm = 0x1f },
	{ "INC", MV_OP_INC, .opcode = 0xff, .modrm = 0x07 },
	{ "DEC", MV_OP_DEC, .opcode = 0xff, .modrm = 0x0f },
	{ "XADD", MV_OP_XADD, true, .opcode = 0xc1, .modrm = 0x0f },
	{ "BT", MV_OP_BT, true, true, .opcode = 0xa3, .modrm = 0x0f,
	  .undefined = UNDEFINED_BIT_TEST },
	{ "BTS", MV_OP_BTS, true, true, .opcode = 0xab, .modrm = 0x0f,
	  .undefined = UNDEFINED_BIT_TEST },
	{ "BTR", MV_OP_BTR, true, true, .opcode = 0xb3, .modrm = 0x0f,
	  .undefined = UNDEFINED_BIT_TEST },
	{ "BTC", MV_OP_BTC, true, true, .opcode = 0xbb, .modrm = 0x0f,
	  .undefined = UNDEFINED_BIT_TEST },
};

static const u64 edges[] = {
	0, 1, 2, 7, 8, 0xf, 0x10, 0x7f, 0x80, 0x81, 0xff, 0x100,
	0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
	0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
	0xfffffffffffffffe, 0xffffffffffffffff,
};

/* Loads the flags, runs the instruction, stores the flags. */
typedef void (*native_fn)(u64 *dst, u64 src, u64 *rflags);

static u8 *code;

static u8 *append(u8 *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static native_fn assemble(const struct test *t, unsigned int size)
{
	u8 *p = code;

	if (mprotect(code, 4096, PROT_READ | PROT_WRITE))
		return NULL;
	p = append(p, "\x48\x89\xf1", 3);	/* mov rcx, rsi */
	p = append(p, "\xff\x32", 2);		/* push qword [rdx] */
	p = append(p, "\x9d", 1);		/* popfq */
	if (size == 2)
		*p++ = 0x66;
	if (size == 8)
		*p++ = 0x48;
	if (t->two_byte)
		*p++ = 0x0f;
	*p++ = size == 1 ? t->opcode - 1 : t->opcode;
	*p++ = t->modrm;
	p = append(p, "\x9c", 1);		/* pushfq */
	p = append(p, "\x8f\x02", 2);		/* pop qword [rdx] */
	p = append(p, "\xc3", 1);		/* ret */
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		return NULL;
	return (native_fn)code;
}

static bool stores(enum mv_insn_op op)
{
	return op != MV_OP_CMP && op != MV_OP_TEST;
}

static bool agree(const struct test *t, unsigned int size, native_fn native,
		  u64 dst, u64 src, u64 flags)
{
	u64 real = dst, real_flags = flags | X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	u64 ours, our_flags = real_flags;
	u64 keep = size == 8 ? 0 : ~0ULL << (8 * size);

	/* A larger bit offset addresses other memory: mmio.c's business. */
	if (t->undefined == UNDEFINED_BIT_TEST)
		src &= 8 * size - 1;

	native(&real, src, &real_flags);
	ours = mv_alu(t->op, size, dst, src, &our_flags);
	if (!stores(t->op))
		ours = mv_truncate(dst, size);
	ours |= dst & keep;

	if (ours == real && !((our_flags ^ real_flags) & ~(u64)t->undefined))
		return true;
	ksft_print_msg("%s%u %#llx, %#llx, flags %#llx: CPU %#llx, %#llx; we %#llx, %#llx\n",
		       t->name, 8 * size, (unsigned long long)dst,
		       (unsigned long long)src, (unsigned long long)flags,
		       (unsigned long long)real, (unsigned long long)real_flags,
		       (unsigned long long)ours, (unsigned long long)our_flags);
	return false;
}

static bool test_edges(const struct test *t, unsigned int size, native_fn native)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		for (j = 0; j < ARRAY_SIZE(edges); j++) {
			if (!agree(t, size, native, edges[i], edges[j], 0) ||
			    !agree(t, size, native, edges[i], edges[j],
				   ARITHMETIC_FLAGS))
				return false;
		}
	}
	return true;
}

static bool test_random(const struct test *t, unsigned int size,
			native_fn native)
{
	u64 state = size;
	unsigned int i;

	for (i = 0; i < RANDOM_ROUNDS; i++) {
		u64 dst = rand64(&state), src = rand64(&state);

		if (!agree(t, size, native, dst, src,
			   rand64(&state) & ARITHMETIC_FLAGS))
			return false;
	}
	return true;
}

static bool test_op(const struct test *t)
{
	unsigned int size;
	native_fn native;

	for (size = t->no_byte_form ? 2 : 1; size <= 8; size *= 2) {
		native = assemble(t, size);
		if (!native) {
			ksft_print_msg("mprotect failed\n");
			return false;
		}
		if (!test_edges(t, size, native) ||
		    !test_random(t, size, native))
			return false;
	}
	return true;
}

static bool test_extend(void)
{
	return mv_sign_extend(0x80, 1) == 0xffffffffffffff80 &&
	       mv_sign_extend(0xff7f, 1) == 0x7f &&
	       mv_sign_extend(0x8000, 2) == 0xffffffffffff8000 &&
	       mv_sign_extend(0x80000000, 4) == 0xffffffff80000000 &&
	       mv_sign_extend(0x8000000000000000, 8) == 0x8000000000000000 &&
	       mv_truncate(~0ULL, 1) == 0xff &&
	       mv_truncate(~0ULL, 2) == 0xffff &&
	       mv_truncate(~0ULL, 4) == 0xffffffff &&
	       mv_truncate(~0ULL, 8) == ~0ULL;
}

int main(void)
{
	unsigned int i;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED) {
		perror("test_alu: mmap");
		return 1;
	}

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests) + 1);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		ksft_test_result(test_op(&tests[i]), "alu %s\n", tests[i].name);
	ksft_test_result(test_extend(), "alu extend and truncate\n");
	ksft_finished();
}

// SPDX-License-Identifier: GPL-2.0
/*
 * core/decode.c by example, for the corners where fuzz_decode.c has no oracle:
 * each kind of refusal, and where real CPUs and the SDM differ from Zydis.
 */
#include <linux/kernel.h>
#include <string.h>

#include "decode.h"
#include "kselftest.h"

/* An instruction that is refused, and how. */
static const struct refusal {
	const char *name;
	enum mv_insn_mode mode;
	int ret;
	u8 len;
	const char *bytes;
} refusals[] = {
	{ "nothing", MV_INSN_64, MV_DECODE_TRUNCATED, 0, "" },
	{ "prefix only", MV_INSN_32, MV_DECODE_TRUNCATED, 1, "\x66" },
	{ "0F only", MV_INSN_32, MV_DECODE_TRUNCATED, 1, "\x0f" },
	{ "no ModRM", MV_INSN_32, MV_DECODE_TRUNCATED, 1, "\x8b" },
	{ "no SIB", MV_INSN_32, MV_DECODE_TRUNCATED, 2, "\x8b\x04" },
	{ "half a displacement", MV_INSN_32, MV_DECODE_TRUNCATED, 4,
	  "\x8b\x05\x00\x00" },
	{ "half an immediate", MV_INSN_32, MV_DECODE_TRUNCATED, 4,
	  "\xc7\x00\x01\x02" },
	{ "mov reg, reg", MV_INSN_64, MV_DECODE_UNCLAIMED, 2, "\x8b\xc0" },
	{ "push [rax]", MV_INSN_64, MV_DECODE_UNCLAIMED, 2, "\xff\x30" },
	{ "mul [rax]", MV_INSN_64, MV_DECODE_UNCLAIMED, 2, "\xf6\x20" },
	{ "cpuid", MV_INSN_64, MV_DECODE_UNCLAIMED, 2, "\x0f\xa2" },
	{ "movaps", MV_INSN_64, MV_DECODE_UNCLAIMED, 3, "\x0f\x28\x00" },
	{ "bt group /0", MV_INSN_64, MV_DECODE_UNCLAIMED, 4,
	  "\x0f\xba\x00\x01" },
	{ "66 movnti", MV_INSN_64, MV_DECODE_UNCLAIMED, 4, "\x66\x0f\xc3\x00" },
	{ "arpl", MV_INSN_32, MV_DECODE_UNCLAIMED, 2, "\x63\x00" },
	{ "82 in 64-bit mode", MV_INSN_64, MV_DECODE_UNCLAIMED, 3,
	  "\x82\x00\x01" },
	{ "vex", MV_INSN_64, MV_DECODE_UNCLAIMED, 4, "\xc5\xf8\x28\x00" },
	{ "lock mov", MV_INSN_64, MV_DECODE_UD, 3, "\xf0\x89\x00" },
	{ "lock add reg, mem", MV_INSN_32, MV_DECODE_UD, 3, "\xf0\x03\x00" },
	{ "lock cmp", MV_INSN_32, MV_DECODE_UD, 3, "\xf0\x39\x00" },
	{ "lock test", MV_INSN_16, MV_DECODE_UD, 4, "\xf0\xf6\x07\x01" },
	{ "lock bt", MV_INSN_32, MV_DECODE_UD, 4, "\xf0\x0f\xa3\x00" },
	{ "lock movs", MV_INSN_32, MV_DECODE_UD, 3, "\xf0\xf3\xa4" },
	{ "15 prefixes", MV_INSN_64, MV_DECODE_GP, 15,
	  "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66" },
	{ "the 16th byte is immediate", MV_INSN_32, MV_DECODE_GP, 15,
	  "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x2e\xc7\x03\x01" },
};

static bool test_refusal(const struct refusal *t)
{
	struct mv_insn insn;
	int ret = mv_decode(&insn, (const u8 *)t->bytes, t->len, t->mode);

	if (ret != t->ret)
		ksft_print_msg("%d instead of %d\n", ret, t->ret);
	return ret == t->ret;
}

/* MOVSXD r16 reads two bytes, not four (SDM vol. 2; seen on Intel CPUs). */
static bool test_movsxd16(void)
{
	struct mv_insn insn;

	return !mv_decode(&insn, (const u8 *)"\x66\x63\x02", 3, MV_INSN_64) &&
	       insn.op == MV_OP_MOVSX && insn.mem_size == 2 &&
	       insn.reg_size == 2;
}

/* SIB without base: REX.B does not turn it into R13. */
static bool test_sib_no_base(void)
{
	static const u8 code[] = {
		0x4b, 0x8b, 0x04, 0xdd, 0x78, 0x56, 0x34, 0x12,
	};
	struct mv_insn insn;

	return !mv_decode(&insn, code, sizeof(code), MV_INSN_64) &&
	       insn.mem.base == MV_NO_REG && insn.mem.index == 11 &&
	       insn.mem.scale == 8 && insn.mem.disp == 0x12345678 &&
	       insn.mem.seg == MV_INSN_DS;
}

/* A REX that is not last is ignored, but AH..BH need that there is none. */
static bool test_dead_rex(void)
{
	struct mv_insn insn;

	return !mv_decode(&insn, (const u8 *)"\x48\x66\x88\x20", 4,
			  MV_INSN_64) &&
	       insn.len == 4 && insn.reg == MV_REG_AX && insn.high_byte &&
	       insn.mem_size == 1;
}

int main(void)
{
	unsigned int i;

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(refusals) + 3);
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		ksft_test_result(test_refusal(&refusals[i]),
				 "decode refuses %s\n", refusals[i].name);
	ksft_test_result(test_movsxd16(), "decode movsxd r16, m16\n");
	ksft_test_result(test_sib_no_base(), "decode SIB without base\n");
	ksft_test_result(test_dead_rex(), "decode REX before 66\n");
	ksft_finished();
}

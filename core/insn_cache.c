// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoding an instruction that was decoded before.
 *
 * What an instruction is depends on its bytes and the mode only. The bytes are
 * fetched and compared each time, so nothing can become stale.
 */
#include <linux/kernel.h>

#include "insn_cache.h"

/**
 * mv_decode_again() - mv_decode(), or what it said last time
 * @cache: the vCPU's; all zeros in the beginning
 * @rip: where the instruction is; any hash of it would do
 * @bytes: the instruction, at most MV_INSN_MAX bytes and zeros behind them
 * @len: how many
 * @mode: default operand and address size
 * @error: why NULL was returned: MV_DECODE_*
 *
 * Context: any. Return: the instruction, good until the next call; or NULL.
 */
const struct mv_insn *mv_decode_again(struct mv_insn_cache *cache, u64 rip,
				      const u64 bytes[2], unsigned int len,
				      enum mv_insn_mode mode, int *error)
{
	struct mv_decoded *entry;

	entry = &cache->entry[(rip ^ rip >> 3) % MV_INSN_CACHE];
	if (entry->insn.len && entry->insn.len <= len &&
	    entry->bytes[0] == bytes[0] && entry->bytes[1] == bytes[1] &&
	    entry->mode == mode)
		return &entry->insn;

	*error = mv_decode(&entry->insn, (const u8 *)bytes, len, mode);
	entry->bytes[0] = bytes[0];
	entry->bytes[1] = bytes[1];
	entry->mode = mode;
	return *error ? NULL : &entry->insn;
}

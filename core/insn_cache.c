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
 * @insn: the instruction, good until the next call; or NULL
 *
 * Context: any. Return: 0, or MV_DECODE_* with @insn NULL.
 */
int mv_decode_again(struct mv_insn_cache *cache, u64 rip, const u64 bytes[2],
		    unsigned int len, enum mv_insn_mode mode,
		    const struct mv_insn **insn)
{
	struct mv_decoded *entry;
	int error = 0;

	entry = &cache->entry[(rip ^ rip >> 3) % MV_INSN_CACHE];
	if (entry->insn.len && entry->insn.len <= len &&
	    entry->bytes[0] == bytes[0] && entry->bytes[1] == bytes[1] &&
	    entry->mode == mode)
		goto done;

	error = mv_decode(&entry->insn, (const u8 *)bytes, len, mode);
	entry->bytes[0] = bytes[0];
	entry->bytes[1] = bytes[1];
	entry->mode = mode;
done:
	*insn = error ? NULL : &entry->insn;
	return error;
}

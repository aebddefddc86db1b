/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instructions decoded last: the few accessors of a driver come again and
 * again.
 */
#ifndef MINIVMM_INSN_CACHE_H
#define MINIVMM_INSN_CACHE_H

#include "decode.h"

#define MV_INSN_CACHE	8

/**
 * struct mv_decoded - an instruction that was decoded
 * @bytes: what it was, zeros behind it
 * @mode: and how
 * @insn: the result; @insn.len is 0 if there is none
 */
struct mv_decoded {
	u64 bytes[2];
	enum mv_insn_mode mode;
	struct mv_insn insn;
};

/* By a hash of RIP */
struct mv_insn_cache {
	struct mv_decoded entry[MV_INSN_CACHE];
};

int mv_decode_again(struct mv_insn_cache *cache, u64 rip, const u64 bytes[2],
		    unsigned int len, enum mv_insn_mode mode,
		    const struct mv_insn **insn);

#endif

#pragma once
/*
 * Arithmetic flags through the host's own: an operation's instruction runs with the guest's flags loaded
 * by SAHF (and OF by an addition that overflows), and they are read back by LAHF and SETO. So flags are
 * exact, those that the manuals leave undefined included.
 */
#include "cpu/soft/soft.h"

/* AH: SF ZF AF PF CF; AL: OF. */
static inline uint32_t flags_to_ax(uint64_t flags)
{
	return (uint32_t)((flags & 0xd5) << 8 | (flags >> 11 & 1));
}

static inline void flags_from_ax(struct vcpu *v, uint32_t ax)
{
	v->flags = (v->flags & ~(uint64_t)FL_ARITH) | (ax >> 8 & 0xd5) | (ax & 1) << 11;
}

#define FLAGS_IN "addb $0x7f, %%al; sahf; "
#define FLAGS_OUT "; lahf; seto %%al"

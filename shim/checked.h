/* SPDX-License-Identifier: MIT */
/* shim/checked.h - HAKMEM_CHECK: blocks of next and legacy with a seal at their end
 *
 * Off, nothing of this is ever asked on a path that a program can hit: in a process that starts with
 * HAKMEM_CHECK=cheap or full every route carries SHIM_CHECKED, so that each malloc takes the slow path, and
 * next's segments are entered in the address map as MAP_NEXT_CHECKED, so that each free does. What would be
 * the system's is next's then, since the system's blocks have no room for a seal.
 */
#ifndef SHIM_CHECKED_H
#define SHIM_CHECKED_H

#include "shim/base/compiler.h"
#include "shim/base/map.h"

enum checked_level {
	CHECKED_OFF = 0,
	CHECKED_CHEAP, /* a few bytes looked at a block, at its free */
	CHECKED_FULL,  /* all of it, junk in free blocks, and their reuse put off */
};
extern HIDDEN enum checked_level shim_checked; /* [const once next is there] */

INLINE bool checked_on(void)
{
	return shim_checked != CHECKED_OFF;
}

/* What a delete or a sized free says about its block. */
struct checked_claim {
	size_t bytes;	  /* CLAIM_NOTHING, or the size that was asked for */
	size_t alignment; /* CLAIM_NOTHING; or an alignment, of a delete 0 for none, with CLAIM_DELETE */
};
#define CLAIM_NOTHING SIZE_MAX
#define CLAIM_DELETE  ((size_t)1 << 63)
#define NO_CLAIM      ((struct checked_claim){ CLAIM_NOTHING, CLAIM_NOTHING })

/* Reads HAKMEM_CHECK. Once, by the initialising thread; before next_init() if there is an environment by then. */
void checked_start(void);

/* Once, when threads may be started and signals handled: whoever touches a guard page is told why. */
void checked_at_load(void);

/* alignment: 0 for malloc's, or a power of two. legacy: whether legacy is to serve it, if it can. NULL
 * without memory; errno is kept. */
MUST_USE void *checked_malloc(size_t bytes, size_t alignment, bool zero, bool legacy);

/* Frees a block in a slot of a kind that is not MAP_NEXT. False, and nothing happened, for a stranger there.
 * Misuse of a block of next under an armed guard (next/misuse.h) leaves everything as it is; else it does not return. */
MUST_USE bool checked_free(void *block, enum map_kind kind, struct checked_claim claim);

/* The bytes that were asked for, in *bytes; false for a stranger. Misuse as above: NEXT_MISUSED. */
MUST_USE bool checked_bytes(const void *block, enum map_kind kind, size_t *bytes);

/* The block, which checked_bytes() knows, holds `bytes` in place from now on. False, and nothing happened, if it cannot,
 * or had better move: then allocate, copy, free. at_any_price: there was no memory for that. */
MUST_USE bool checked_resize(void *block, enum map_kind kind, size_t bytes, bool at_any_price);

/* The block comes from an operator new with an alignment, and a delete has to say the same. */
void checked_mark_aligned_new(void *block, size_t alignment);

#endif

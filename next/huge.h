/* SPDX-License-Identifier: MIT */
/* next/huge.h - blocks with a mapping each: what no class is made for
 *
 *      slot n-1                 slot n              slot n+1
 *   ...............|  header  |-----------------|---------------......
 *                   4 KiB      ^ the block begins at a multiple of 4 MiB
 *
 * The header lies at the end of the slot before, outside of what the address map calls ours, so any
 * alignment up to the largest gives a block whose address is its own mask. The last slot may be shared
 * with strangers, who are told apart by the block's end.
 */
#ifndef NEXT_HUGE_H
#define NEXT_HUGE_H

#include "shim/base/compiler.h"

void huge_init(void); /* once, by one thread */

/* alignment: a power of two, at most 4 MiB counts as 4 MiB. *zero: every byte reads as zero. NULL if the
 * system refuses. */
MUST_USE void *huge_malloc(size_t bytes, size_t alignment, bool *zero);

/* The address lies in a slot of a kind MAP_NEXT_HUGE...; false for a stranger, misuse does not return. */
bool huge_free(void *block);
MUST_USE size_t huge_usable_bytes(const void *block);
/* False for a stranger behind the end of a mapping, in its last slot. Of any such slot. */
MUST_USE bool huge_covers(const void *address);

/* As next_resize(). */
MUST_USE void *huge_resize(void *block, size_t bytes);

MUST_USE size_t huge_count(void); /* of live blocks */

/* Gives back what freed blocks left; gives that many bytes. The other: what is half a second old. */
size_t huge_purge_all(void);
void huge_purge_old(void);

struct huge_counts {
	size_t blocks, bytes; /* live */
	size_t kept_bytes;    /* of freed blocks */
	uint64_t mallocs; /* since the start; spans, as huge_count_span() was told, among them */
};
/* A span was handed out; they are rare, and counted together with huge blocks. */
void huge_count_span(void);
void huge_read_counts(struct huge_counts *counts);

#endif

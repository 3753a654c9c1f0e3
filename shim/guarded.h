/* SPDX-License-Identifier: MIT */
/* shim/guarded.h - blocks on a page of their own, with pages that nobody may touch before and behind
 *
 * For a sample of the blocks of a program that runs with HAKMEM_CHECK. Half of them end where their page
 * ends, half begin where it begins; a freed one becomes untouchable itself, and is used again last of all. Any
 * thread may call any of these.
 */
#ifndef SHIM_GUARDED_H
#define SHIM_GUARDED_H

#include "shim/base/compiler.h"
#include "shim/base/os.h"

#define GUARDED_MAX_BYTES OS_PAGE_BYTES

struct guarded_block {
	size_t bytes;	  /* asked for */
	size_t alignment; /* 0: malloc's */
	bool from_new;	  /* by an operator new with an alignment */
};

/* Maps the pages and handles SIGSEGV: a fault on one of them ends in the one fatal line, any other goes to
 * whoever handled it before. Until then, and where there is no memory, guarded_malloc() gives NULL. */
void guarded_start(void);

/* bytes <= GUARDED_MAX_BYTES; alignment: 0 or a power of two up to OS_PAGE_BYTES. Zeroed. NULL if no page is to be had. */
MUST_USE void *guarded_malloc(size_t bytes, size_t alignment);

/* The block at that address, which lies in a MAP_NEXT_GUARDED slot. If there is none, or it is free, or was written past
 * its end, that is misuse found in next: false where it is survived, and the caller leaves everything as it is. */
MUST_USE bool guarded_look(const void *block, struct guarded_block *is);
/* The same, found by the caller. */
COLD void guarded_misuse(const void *block, const char *what, const char *detail);
/* False if it had to grow. */
MUST_USE bool guarded_shrink(void *block, size_t bytes);
void guarded_mark_aligned_new(void *block, size_t alignment);

/* After guarded_look(). */
void guarded_free(void *block);

#endif

/* SPDX-License-Identifier: MIT */
/* next/free.h - frees that the fast path leaves, and what an address says about its block */
#ifndef NEXT_FREE_H
#define NEXT_FREE_H

#include "next/types.h"

/* The address lies in a MAP_NEXT slot. Every reason of fast.h; misuse does not return. */
void free_in_segment(void *block);

/* The page of a live block that begins at the address; misuse does not return. */
MUST_USE struct next_page *page_of_live_block(const void *block, size_t *number);

#endif

/* SPDX-License-Identifier: MIT */
/* next/free.h - what an address says about its block; the frees themselves are declared in fast.h */
#ifndef NEXT_FREE_H
#define NEXT_FREE_H

#include "next/types.h"

/* The page of a live block that begins at the address; NULL after misuse that is survived (misuse.h). */
MUST_USE struct next_page *page_of_live_block(const void *block, size_t *number);

#endif

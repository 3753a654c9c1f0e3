/* SPDX-License-Identifier: MIT */
/* next/site.h - blocks of one call site side by side
 *
 * A heap keeps, beside the page in the slot of a class, a page for each pair of class and call site that
 * it met lately. A pair that finds no place in the table is served as if it had no site.
 * Blocks that a program makes at one place are often walked together, and then lie in the same cache
 * lines and pages of the kernel's. To free() such a page is one like any other of the heap.
 */
#ifndef NEXT_SITE_H
#define NEXT_SITE_H

#include "next/types.h"

/* Larger blocks share neither a cache line nor a page of the kernel's with their neighbours. */
#define SITE_MAX_BYTES (1 * KIB)

/* [owner] A block of the class from the page of this site. NULL if there is no memory. */
MUST_USE void *site_malloc(struct next_heap *heap, unsigned bin, uint32_t site);

/* [owner] Gives the pages of the table in which nothing lives back to their segments. */
void site_tidy(struct next_heap *heap);

/* [whoever took a heap without a thread] Takes a page out of the table; NULL if there is none left. */
MUST_USE struct next_page *site_take(struct next_heap *heap);

#endif

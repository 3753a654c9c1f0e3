/* SPDX-License-Identifier: MIT */
/* next/heap.h - heaps: their table, who has which, the doors, and where a heap finds blocks */
#ifndef NEXT_HEAP_H
#define NEXT_HEAP_H

#include "next/types.h"

void heap_init(void); /* once, by one thread */

/* The calling thread's heap; one is adopted or made if it has none. NULL if there is no memory. */
MUST_USE struct next_heap *heap_of_thread(void);

/* A block of the class for the calling thread, and the page it came from put into the slot if the class's
 * door is open for this heap. NULL if there is no memory. */
MUST_USE void *heap_refill(struct next_heap *heap, unsigned bin);

/* [owner] A page of the heap's, in no queue: enqueues it, gives it back or marks it full, by its bits. */
void heap_settle(struct next_heap *heap, struct next_page *page);

/* [owner] The page has no live block left and is in no slot: gives it back unless it is the last of its
 * class. */
void heap_page_quiet(struct next_heap *heap, struct next_page *page);

/* A page that was FULL got its first remote free; the caller set REMOTE on it. To the owner's ready stack,
 * or to the shared lists where the heap has no thread. Any thread. */
void heap_ready_push(struct next_heap *heap, struct next_page *page);

/* Takes what other heaps do not need: pages of heaps without a thread go to the shared lists or back to
 * their segments, and so do pages of sleeping threads in which nothing lives. Any thread. */
void heap_reap(struct next_heap *self);

struct next_heap *heap_numbered(uint32_t number); /* 1 .. heap_count() */
uint32_t heap_count(void);

#endif

/* SPDX-License-Identifier: MIT */
/* next/heap.h - heaps: their table, who has which, the doors, and where a heap finds blocks */
#ifndef NEXT_HEAP_H
#define NEXT_HEAP_H

#include "next/types.h"

void heap_init(void); /* once, by one thread */

/* [owner] Every slot of the class holds the empty page from here on. Only ever the empty page may be stored
 * without the exchange of the flip. */
INLINE void heap_clear_slots(struct next_heap *heap, unsigned bin)
{
	for (unsigned slot = slot_first(bin); slot <= slot_last(bin); slot++)
		store_relaxed(&heap->slot[slot], EMPTY_PAGE);
}

/* The calling thread's heap; one is adopted or made if it has none. NULL if there is no memory, or the
 * thread is gone. */
MUST_USE struct next_heap *heap_of_thread(void);

/* A heap without a thread, which is then the caller's alone until it is abandoned again, with its pages.
 * NULL if there is no memory. */
MUST_USE struct next_heap *heap_borrow(void);
void heap_abandon(struct next_heap *heap);

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

/* The page is the caller's alone (FULL | REMOTE, or of a heap without a thread, or popped from a shared
 * list): it goes where everybody can use what is free in it. */
void heap_share(struct next_page *page, uint32_t shard);

/* --- counting mallocs ---------------------------------------------------------------------------
 *
 * No malloc counts itself. A page counts while it is in a slot (or a call site's), which its countdown tells: it then
 * starts at COUNTDOWN_ENDLESS and stays above PAGE_BLOCKS. A block that was free at the beginning, or became free
 * since, is free now or was handed out:
 *
 *     mallocs from the page = free at the beginning + own frees + merged remote frees - free now
 *     own frees             = COUNTDOWN_ENDLESS - countdown
 *
 * The heap's count gets the first and third term when they come to be, the others at the end; statistics add them for the
 * pages that count as they look. The sum over heaps and pages is right modulo 2^64; a moment's look may be a page
 * wrong.
 */
INLINE bool page_counts(const struct next_page *page)
{
	return load_relaxed(&page->countdown) > PAGE_BLOCKS;
}

/* [owner] The page is about to be in a slot: its countdown begins anew, whether it counted before or not. */
void heap_count_begin(struct next_heap *heap, struct next_page *page);

/* [owner] It is so no longer, and that many of its blocks are free: its countdown is block_count until somebody
 * knows better. */
void heap_count_end(struct next_heap *heap, struct next_page *page, uint32_t free);

/* [owner] page_merge(), and counts. */
uint32_t heap_merge(struct next_heap *heap, struct next_page *page);

/* [owner] Settles the pages of the heap's ready stack. */
void heap_drain_ready(struct next_heap *heap);

/* Takes what nobody needs: pages of heaps without a thread go to the shared lists, and pages in which
 * nothing lives go back to their segments, be they of this thread, of sleeping ones,
 * or on the shared lists. `all`: look at every page; else at an eighth of them, another one each time, so
 * that a process that grows does not look at each of its pages for every segment. Any thread. */
void heap_reap(struct next_heap *self, bool all);

/* [owner] Gives back its pages of the largest blocks in which nothing lives, the last of a class too: such a
 * page may be 4 MiB, which a buffer that grew through all classes would leave in each of them. */
void heap_tidy_large(struct next_heap *heap);

/* [owner] Gives the memory of large blocks that were free for half a second back to the kernel. */
void heap_purge_idle(struct next_heap *heap);

/* A heap that its thread left with its pages, then the caller's alone; NULL if there is none. It goes back
 * without pages. */
MUST_USE struct next_heap *heap_take_abandoned(void);
void heap_put_idle(struct next_heap *heap);

struct next_heap *heap_numbered(uint32_t number); /* 1 .. heap_count() */
uint32_t heap_count(void);

#endif

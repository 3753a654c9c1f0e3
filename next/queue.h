/* SPDX-License-Identifier: MIT */
/* next/queue.h - a heap's pages of one class that have free blocks: a ring, owner only
 *
 * The page in the slot comes first. A page that was full and got a block back comes last, so that it
 * gathers more free blocks before its turn: taking it at once would refill for a single block.
 */
#ifndef NEXT_QUEUE_H
#define NEXT_QUEUE_H

#include "next/types.h"

INLINE void queue_append(struct next_heap *heap, struct next_page *page)
{
	struct next_page **first = &heap->queue[load_relaxed(&page->bin)];
	if (!*first) {
		page->queue_next = page->queue_prev = page;
		*first = page;
	} else {
		page->queue_next = *first;
		page->queue_prev = (*first)->queue_prev;
		page->queue_prev->queue_next = page;
		(*first)->queue_prev = page;
	}
	page->queued = true;
}

INLINE void queue_prepend(struct next_heap *heap, struct next_page *page)
{
	queue_append(heap, page);
	heap->queue[load_relaxed(&page->bin)] = page; /* in a ring the last place is before the first */
}

INLINE void queue_remove(struct next_heap *heap, struct next_page *page)
{
	struct next_page **first = &heap->queue[load_relaxed(&page->bin)];
	page->queued = false;
	if (page->queue_next == page) {
		*first = NULL;
		return;
	}
	page->queue_prev->queue_next = page->queue_next;
	page->queue_next->queue_prev = page->queue_prev;
	if (*first == page)
		*first = page->queue_next;
}

#endif

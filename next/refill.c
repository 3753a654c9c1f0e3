/* SPDX-License-Identifier: MIT */
/* next/refill.c - where a heap finds blocks when its slot has none
 *
 * In this order, the cheapest first:
 *   1. another word of the page in the slot (where malloc has not looked there itself, see fast.h), then what other
 *      threads freed in it
 *   2. pages that were full and got remote frees (the ready stack), then the next page in the queue
 *   3. a page that somebody left (the shared lists)
 *   4. fresh slices of the segments there are
 *   5. what heaps without a thread, or sleeping ones, do not need; then 3 and 4 again
 *   6. a new segment
 */
#include "next/heap.h"

#include "next/misuse.h"
#include "next/next.h"
#include "next/page.h"
#include "next/queue.h"
#include "next/segment.h"
#include "next/shared.h"
#include "shim/base/check.h"

void heap_count_begin(struct next_heap *heap, struct next_page *page)
{
	/* In a queue the countdown is the number of blocks that are not free. */
	uint32_t countdown = load_relaxed(&page->countdown);
	counter_add(&heap->mallocs[load_relaxed(&page->bin)],
		    page_counts(page) ? COUNTDOWN_ENDLESS - countdown :
					page->block_count - countdown);
	store_relaxed(&page->countdown, COUNTDOWN_ENDLESS);
}

void heap_count_end(struct next_heap *heap, struct next_page *page, uint32_t free)
{
	if (!page_counts(page))
		return;
	uint64_t own = COUNTDOWN_ENDLESS - load_relaxed(&page->countdown);
	counter_add(&heap->mallocs[load_relaxed(&page->bin)], own - free);
	store_relaxed(&page->countdown, page->block_count);
}

uint32_t heap_merge(struct next_heap *heap, struct next_page *page)
{
	uint32_t merged = page_merge(page, heap);
	if (page_counts(page))
		counter_add(&heap->mallocs[load_relaxed(&page->bin)], merged);
	counter_add(&heap->remote_frees[load_relaxed(&page->bin)], merged);
	return merged;
}

void heap_page_quiet(struct next_heap *heap, struct next_page *page)
{
	unsigned bin = load_relaxed(&page->bin);
	if (page->in_slot || (heap->queue[bin] == page && page->queue_next == page))
		return;
	if (page->queued)
		queue_remove(heap, page);
	segment_release(page);
}

/* The page is in no queue and no slot, and none of its blocks is free in bits[]. Merges until it either has a free block
 * (true) or is marked FULL (false); from then on the first free of a block decides what becomes of it. */
static bool has_free_or_full(struct next_heap *heap, struct next_page *page)
{
	do {
		if (page_mark_full(page, heap))
			return false;
		uint32_t merged = heap_merge(heap, page);
		store_relaxed(&page->countdown, load_relaxed(&page->countdown) - merged);
	} while (!page_advance(page));
	return true;
}

void heap_settle(struct next_heap *heap, struct next_page *page)
{
	heap_merge(heap, page);
	heap_count_end(heap, page, page_free_count(page));
	uint32_t live = page->block_count - page_free_count(page);
	store_relaxed(&page->countdown, live);
	if (live == 0 && heap->queue[load_relaxed(&page->bin)])
		segment_release(page);
	else if (live < page->block_count || has_free_or_full(heap, page)) {
		/* has_free_or_full() may have merged more. */
		store_relaxed(&page->countdown, page->block_count - page_free_count(page));
		queue_append(heap, page);
	}
}

void heap_drain_ready(struct next_heap *heap)
{
	if (!load_relaxed(&heap->ready))
		return;
	/* acquire: the pages' descriptors, from heap_ready_push() */
	struct next_page *page = exchange_acquire(&heap->ready, NULL);
	while (page) {
		struct next_page *after = load_relaxed(&page->ready_next);
		heap_settle(heap, page);
		page = after;
	}
}

/* The page in the slot has no free block: it leaves slot and queue first and is marked FULL then, for a FULL
 * page may be pushed on the ready stack and be given back by a thief. Unless others freed some of it. */
static struct next_page *from_current(struct next_heap *heap, unsigned bin)
{
	struct next_page *page = heap->queue[bin];
	if (!page || !page->in_slot)
		return NULL;
	page->in_slot = false;
	heap_count_end(heap, page, misuse_suspects(page) ? page_free_count(page) : 0);
	heap_clear_slots(heap, bin);
	queue_remove(heap, page);
	if (!misuse_suspects(page) && !has_free_or_full(heap, page))
		return NULL;
	queue_prepend(heap, page);
	return page;
}

static struct next_page *from_queue(struct next_heap *heap, unsigned bin)
{
	heap_drain_ready(heap);
	return heap->queue[bin];
}

static struct next_page *from_shared(struct next_heap *heap, unsigned bin)
{
	struct next_page *page;
	while ((page = shared_pop(bin, heap->number)) != NULL) {
		heap_settle(heap, page);
		if (heap->queue[bin])
			return heap->queue[bin];
	}
	return NULL;
}

static struct next_page *from_slices(struct next_heap *heap, unsigned bin, bool new_segment)
{
	bool zero;
	size_t slices = page_slices(bin);
	struct next_page *page = new_segment ? segment_claim(slices, 1, &zero) :
					       segment_claim_existing(slices, 1, &zero);
	if (!page)
		return NULL;
	page_make(page, bin, heap, zero);
	counter_add(&heap->mallocs[bin], page->block_count); /* it counts from here on */
	queue_prepend(heap, page);
	return page;
}

static struct next_page *find_page(struct next_heap *heap, unsigned bin)
{
	/* Often enough for half a second, and seldom enough that nobody notices. */
	if (unlikely(heap->refills++ % 64 == 0))
		heap_purge_idle(heap);
	struct next_page *page = from_current(heap, bin);
	if (!page)
		page = from_queue(heap, bin);
	if (!page)
		page = from_shared(heap, bin);
	if (page)
		return page;
	heap_tidy_large(heap);
	page = from_slices(heap, bin, false);
	if (page)
		return page;
	heap_reap(heap, false);
	page = from_shared(heap, bin);
	return page ? page : from_slices(heap, bin, true);
}

READ_MOSTLY bool next_slots_stay_empty;

/* Puts the page, which has a free block and is first in its queue, into the slots of its class. */
static void install(struct next_heap *heap, unsigned bin, struct next_page *page)
{
	/* In a slot frees are not counted down; a count below the endless one says there were some. */
	if (load_relaxed(&page->countdown) != COUNTDOWN_ENDLESS)
		page->zero = false;
	heap_count_begin(heap, page);
	page->in_slot = true;
	if (unlikely(next_slots_stay_empty))
		return;
	/* relaxed: only spares the exchanges where the door is known to be shut */
	if (unlikely(heap->cohort >= load_relaxed(&next_door[bin])))
		return;
	/* The flip, owner's side, for all of them; see heap.c */
	for (unsigned slot = slot_first(bin); slot <= slot_last(bin); slot++)
		exchange_seq_cst(&heap->slot[slot], page);
	if (heap->cohort < load_seq_cst(&next_door[bin]))
		return;
	for (unsigned slot = slot_first(bin); slot <= slot_last(bin); slot++)
		store_seq_cst(&heap->slot[slot], EMPTY_PAGE);
}

void next_restore_slot(unsigned bin)
{
	struct next_heap *heap = next_heap_self;
	struct next_page *page = heap->number != 0 && bin < NEXT_BINS ? heap->queue[bin] : NULL;
	if (page && page->in_slot && !misuse_suspects(page))
		install(heap, bin, page);
}

/* [owner] The page, in the heap's queue and perhaps in its slot, is not used any more. */
static COLD void give_up(struct next_heap *heap, struct next_page *page)
{
	if (page->in_slot)
		heap_clear_slots(heap, load_relaxed(&page->bin));
	queue_remove(heap, page);
	misuse_quarantine(page);
}

/* Of a page from the queue. As many blocks a word are worth the prefetch; with fewer it comes too late, and its loop ends where
 * no processor foresees it. Larger blocks lie in a page of the kernel's each, or nearly: so many looks into the TLB at once
 * would hold up this malloc for longer than they spare the next ones. Memory that was never used needs none. */
#define DENSE_BLOCKS	      4
#define DENSE_BLOCK_MAX_BYTES (1 * KIB)
static bool is_dense(const struct next_page *page)
{
	return page->block_bytes <= DENSE_BLOCK_MAX_BYTES && !page_counts(page) &&
	       page->block_count - load_relaxed(&page->countdown) >=
		       DENSE_BLOCKS * (uint32_t)load_relaxed(&page->words);
}

void *heap_refill(struct next_heap *heap, unsigned bin)
{
	struct next_page *page = heap->queue[bin];
	if (page && page->in_slot && !misuse_suspects(page) && page_advance(page)) {
		/* Where malloc had not looked into the slot; or the page was swept. */
		if (unlikely(load_relaxed(&heap->slot[slot_last(bin)]) != page))
			install(heap, bin, page);
		return page_pop(page);
	}
	while ((page = find_page(heap, bin)) != NULL && misuse_suspects(page))
		give_up(heap, page);
	if (unlikely(!page))
		return NULL;
	CHECK_CHEAP(heap->queue[bin] == page && page_owner(page) == (uintptr_t)heap);
	page->dense = is_dense(page);
	if (!page_advance(page))
		fatal_internal("a queued page has a free block", __FILE__, __LINE__);
	install(heap, bin, page);
	return page_pop(page);
}

/* SPDX-License-Identifier: MIT */
/* next/free.c - frees that the fast path leaves; see free.h */
#include "next/free.h"

#include "next/fast.h"
#include "next/heap.h"
#include "next/misuse.h"
#include "next/next.h"
#include "next/page.h"
#include "next/queue.h"
#include "next/segment.h"
#include "shim/base/check.h"

/* Says which kind of misuse it is. */
static COLD void no_block(struct next_page *page, const void *block)
{
	if (page_owner(page) == OWNER_NONE)
		misuse_found(NULL, "free of an address in no page", block,
			     "freed twice, or never allocated");
	else if ((uintptr_t)block % NEXT_ALIGNMENT)
		misuse_found(page, "free of a misaligned pointer", block,
			     "not a block of this allocator");
	else
		misuse_found(page, "free of an address that is not a block's first byte", block,
			     "interior pointer");
}

struct next_page *page_of_live_block(const void *block, size_t *number)
{
	struct next_page *page = page_of(block);
	if (unlikely(page_owner(page) == OWNER_NONE || !page_block_number(page, block, number))) {
		no_block(page, block);
		return NULL;
	}
	uint64_t bit = (uint64_t)1 << (*number % 64);
	if (unlikely((load_relaxed(&page->bits[*number / 64]) |
		      load_relaxed(&page->remote[*number / 64])) &
		     bit)) {
		misuse_found(page, "use of a block that is free", block, "freed before");
		return NULL;
	}
	return page;
}

void next_free_twice(void *block, struct next_page *page)
{
	misuse_double_free(page, block);
}

void next_free_announce(void *block, struct next_page *page)
{
	(void)block;
	uintptr_t owner;
	if (page_announce(page, &owner))
		heap_ready_push((struct next_heap *)owner, page);
}

void next_free_countdown(void *block, struct next_page *page)
{
	(void)block;
	if (page->in_slot) { /* the endless count ended: four thousand million frees without a refill */
		counter_add(&next_heap_self->mallocs[load_relaxed(&page->bin)], COUNTDOWN_ENDLESS - 1);
		store_relaxed(&page->countdown, COUNTDOWN_ENDLESS - 1);
	} else
		heap_page_quiet(next_heap_self, page);
}

/* The page's owner word is this thread's heap without a flag. */
static void free_own(struct next_page *page, size_t number, void *block)
{
	if (page_free_block(page, number, block) && count_down(&page->countdown))
		next_free_countdown(block, page);
}

/* The page is this thread's, or was a moment ago. */
static void free_mine(struct next_heap *heap, struct next_page *page, size_t number, void *block)
{
	uintptr_t mine = (uintptr_t)heap;
	/* seq_cst: an owner that sees REMOTE merges what it announces; pairs with page_announce() */
	uintptr_t owner = load_seq_cst(&page->owner);
	if (owner == mine) {
		free_own(page, number, block);
	} else if (owner == (mine | OWNER_FULL) && cas_seq_cst(&page->owner, &owner, mine)) {
		/* Claimed before any other thread: nobody pushes it on the ready stack now. It was full, so
		 * this is its one free block. */
		if (!page_free_block(page, number, block))
			fatal_internal("a full page has no free block", __FILE__, __LINE__);
		store_relaxed(&page->countdown, page->block_count - 1);
		if (page->block_count == 1)
			heap_settle(heap, page);
		else
			queue_append(heap, page);
	} else if (owner == (mine | OWNER_REMOTE)) {
		uint32_t merged = heap_merge(heap, page);
		if (!page->in_slot)
			store_relaxed(&page->countdown, load_relaxed(&page->countdown) - merged);
		free_own(page, number, block);
	} else {
		next_free_remote(page, number, block);
	}
}

static void free_span(struct next_page *page, void *block)
{
	/* One block: its bit in remote[] is the only word, and whoever sets it gives it back.
	 * acq_rel: a second free finds it, in whatever thread. */
	if (fetch_or_acq_rel(&page->remote[0], 1))
		misuse_double_free(page, block);
	else
		segment_release(page);
}

void next_free_in_page(void *block, struct next_page *page)
{
	size_t number;
	uintptr_t owner = page_owner(page);
	struct next_heap *heap = next_heap_self;
	if (unlikely(owner == OWNER_NONE || !page_block_number(page, block, &number)))
		no_block(page, block);
	else if (owner == (uintptr_t)heap)
		free_mine(heap, page, number, block);
	else if (owner == OWNER_SPAN)
		free_span(page, block);
	else /* it was the calling thread's a moment ago */
		next_free_remote(page, number, block);
}

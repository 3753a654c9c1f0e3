/* SPDX-License-Identifier: MIT */
/* next/fast.h - the inlined hit paths of malloc and free
 *
 * malloc: thread -> heap -> slot of the class -> page -> word of bits -> lowest bit. There is one reason
 * to leave: no bit is set. That one reason stands for all of these, and the slow path tells them apart:
 *   - the word, or the whole page, has no free block left
 *   - the slot holds the empty page: no page yet, the class is routed elsewhere, or it is watched
 *   - the thread has no heap yet (its heap is the empty heap)
 *   - the size is 0, too large for a page, or not a size at all
 *
 * free: address -> kind of its slot -> segment -> page -> is it mine -> number -> bit. Reasons to leave:
 *   - not a slot of ordinary segments: a stranger, legacy, a huge block (the caller looks first)
 *   - the page is not this thread's, or is full, or has remote frees pending, or there is no page
 *   - the address is no block's first byte, or the block is free already: misuse
 *   - this was the last block of a page that nobody allocates from: it may go back
 */
#ifndef NEXT_FAST_H
#define NEXT_FAST_H

#include "next/types.h"

INLINE void *next_malloc_fast(size_t bytes)
{
	size_t unit = (bytes - 1) >> 4, slot = unit; /* 0 bytes become far too large */
	if (unlikely(unit >= SLOT_UNITS)) {
		if (unlikely(unit >= NEXT_BIN_MAX_BYTES / 16))
			return NULL;
		slot = slot_of_large_unit(unit);
	}
	struct next_heap *heap = next_heap_self;
	/* relaxed: the page was put there by this thread, or is the read-only empty page */
	struct next_page *page = load_relaxed(&heap->slot[slot]);
	_Atomic uint64_t *current = page->current;
	uint64_t word = load_relaxed(current); /* written by this thread alone */
	if (unlikely(word == 0))
		return NULL;
	store_relaxed(current, word & (word - 1));
	void *block = page->current_start + lowest_bit(word) * page->block_bytes;
	if (!block)
		__builtin_unreachable(); /* so that the caller need not ask again */
	return block;
}

/* The same for a class whose slots are kept empty, so that every malloc of it comes to the slow path: from the page that
 * would be in them. */
INLINE void *next_malloc_unslotted(unsigned class)
{
	struct next_heap *heap = next_heap_self;
	struct next_page *page = class < NEXT_BINS ? heap->queue[class] : NULL;
	/* relaxed, all three: this thread's own page; of `suspect' see misuse.h */
	if (unlikely(!page || !page->in_slot || load_relaxed(&page->suspect)))
		return NULL;
	_Atomic uint64_t *current = page->current;
	uint64_t word = load_relaxed(current);
	if (unlikely(word == 0))
		return NULL;
	store_relaxed(current, word & (word - 1));
	return page->current_start + lowest_bit(word) * page->block_bytes;
}

/* The countdown of a page of this thread came to its end with a free that is done. */
void next_free_countdown(struct next_page *page);

/* The rest of a free that page_of() led to this page; see free.c. Misuse does not return. */
void next_free_in_page(struct next_page *page, void *block);

/* The free of an address in a slot of kind MAP_NEXT. Misuse does not return. */
INLINE void next_free_in_slot(void *p, uintptr_t slot)
{
	struct next_page *page = page_in((struct next_segment *)(slot << MAP_SLOT_SHIFT), p);
	size_t number;
	/* relaxed: this thread's own page, or not; nothing is read through it */
	if (unlikely(load_relaxed(&page->owner) != (uintptr_t)next_heap_self) ||
	    unlikely(!block_number(page, p, &number))) {
		next_free_in_page(page, p);
		return;
	}
	_Atomic uint64_t *bits = &page->bits[number / 64];
	uint64_t word = load_relaxed(bits); /* written by this thread alone */
	if (unlikely(test_and_set_bit(&word, number))) {
		next_free_in_page(page, p);
		return;
	}
	store_relaxed(bits, word);
	if (unlikely(count_down(&page->countdown)))
		next_free_countdown(page);
}

#endif

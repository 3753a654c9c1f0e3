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
 * free: address -> kind of its slot -> segment -> page -> number -> whose is it -> bit. Reasons to leave:
 *   - not a slot of ordinary segments: a stranger, legacy, a huge block (the caller looks first)
 *   - a span; or misuse: the address is no block's first byte, or in no page, or the block is free already
 *   - the page is this thread's, and is full or has remote frees pending
 *   - this was the last block of a page that nobody allocates from: it may go back
 *   - the page is another thread's, which has not heard yet that others free its blocks
 */
#ifndef NEXT_FAST_H
#define NEXT_FAST_H

#include "next/misuse.h"
#include "next/page.h"
#include "next/types.h"

/* SLOT_OF_NONE for 0 bytes, and for those too large for a page. */
INLINE size_t slot_of_bytes(size_t bytes)
{
	size_t unit = opaque((bytes - 1) >> 4); /* 0 bytes become far too large */
	if (likely(unit < SLOT_UNITS))
		return unit;
	/* Opaque, or the compiler multiplies it by 8 itself, and the others by an instruction of their own. */
	return likely(unit < NEXT_BIN_MAX_BYTES / 16) ? slot_of_large_unit(unit) : opaque(SLOT_OF_NONE);
}

/* The page in the slot, be it the empty one. */
INLINE struct next_page *next_at_hand(size_t slot)
{
	/* relaxed: the page was put there by this thread, or is the read-only empty page */
	return load_relaxed(&next_heap_self->slot[slot]);
}

INLINE void *next_malloc_at_hand(struct next_page *page)
{
	_Atomic uint64_t *current = page->current;
	uint64_t word = load_relaxed(current); /* written by this thread alone */
	size_t number;
	if (unlikely(!lowest_bit_if_any(word, &number)))
		return NULL;
	and_alone(current, word - 1);
	void *block = page->current_start + (uint32_t)number * page->block_bytes;
	if (!block)
		__builtin_unreachable(); /* so that the caller need not ask again */
	return block;
}

/* Where that had none, a page may have some in other words, but for the empty one, which has no words. Who serves the class
 * need not be asked: the look into the slot has answered that. */
INLINE void *next_malloc_other_word(struct next_page *page)
{
	if (page->block_bytes == 0 || misuse_suspects(page) || unlikely(!page_advance(page)))
		return NULL;
	return page_pop(page);
}

/* Both. */
INLINE void *next_malloc_fast(size_t bytes)
{
	struct next_page *page = next_at_hand(slot_of_bytes(bytes));
	void *block = next_malloc_at_hand(page);
	return likely(block != NULL) ? block : next_malloc_other_word(page);
}

/* The same for a class whose slots are kept empty, so that every malloc of it comes to the slow path: from the page that
 * would be in them. */
INLINE void *next_malloc_unslotted(unsigned class)
{
	struct next_heap *heap = next_heap_self;
	struct next_page *page = class < NEXT_BINS ? heap->queue[class] : NULL;
	if (unlikely(!page || !page->in_slot || misuse_suspects(page)))
		return NULL;
	/* relaxed, both: this thread's own page */
	_Atomic uint64_t *current = page->current;
	uint64_t word = load_relaxed(current);
	if (unlikely(word == 0))
		return NULL;
	store_relaxed(current, word & (word - 1));
	return page->current_start + (uint32_t)lowest_bit(word) * page->block_bytes;
}

/* What free does not do itself. The block comes first, as in free: so it stays in its register. */

/* The countdown of a page of this thread came to its end with a free that is done. */
void next_free_countdown(void *block, struct next_page *page);

/* A block of the page was freed by a thread that does not own it, and the owner does not know of any such. */
void next_free_announce(void *block, struct next_page *page);

/* The rest of a free that page_of() led to this page; see free.c. Misuse does not return. */
void next_free_in_page(void *block, struct next_page *page);

/* The block was freed before. */
COLD void next_free_twice(void *block, struct next_page *page);

INLINE void next_free_remote(struct next_page *page, size_t number, void *block)
{
	if (unlikely(!page_mark_remote(page, number)))
		next_free_twice(block, page);
	else if (!page_is_announced(page))
		next_free_announce(block, page);
}

/* The free of an address in a slot of kind MAP_NEXT. Misuse does not return. The segment is made of the slot, and not of a
 * copy of the address. */
INLINE void next_free_in_slot(void *p, uintptr_t slot)
{
	struct next_page *page = page_in(segment_at((char *)(opaque(slot) << MAP_SLOT_SHIFT)), p);
	size_t number;
	if (unlikely(!block_number(page, p, &number))) {
		next_free_in_page(p, page);
		return;
	}
	/* relaxed: this thread's own page, or not; nothing is read through it */
	uintptr_t owner = load_relaxed(&page->owner);
	if (likely(owner == (uintptr_t)next_heap_self)) {
		if (unlikely(test_and_set_bit(page->bits, number)))
			next_free_in_page(p, page);
		else if (unlikely(count_down(&page->countdown)))
			next_free_countdown(p, page);
		return;
	}
	compiler_barrier(); /* so that the comparison above need not keep the heap in a register */
	if (likely((owner ^ (uintptr_t)next_heap_self) > OWNER_FLAGS))
		next_free_remote(page, number, p);
	else
		next_free_in_page(p, page);
}

#endif

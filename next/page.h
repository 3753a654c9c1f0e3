/* SPDX-License-Identifier: MIT */
/* next/page.h - one page: its blocks' bits and the word that says whose it is
 *
 * SYNCHRONIZATION
 *
 *   word          written by                       read by
 *   bits[]        the owner                        any thread that frees, to find a second free
 *   remote[]      any thread: fetch_or             the owner: exchange with 0
 *   owner         whoever may, per the table       everybody
 *
 * A thread that frees another's block sets its bit in remote[] and then looks at owner; the owner clears
 * REMOTE (or sets FULL) in owner and then looks at remote[]. All four are sequentially consistent, so at
 * least one of the two sees the other: either the owner finds the bit, or the thread finds REMOTE clear
 * and sets it (and pushes the page on the ready stack when FULL was set). Nothing is freed unseen.
 *
 *                      by the owner                            by another thread
 *   in slot/queue      free: bits[]                            free: remote[], then REMOTE
 *     heap | REMOTE    free: page_merge(), then bits[]         free: remote[]
 *   full (heap | FULL) free: FULL -> heap by CAS, enqueue      free: remote[], then REMOTE + ready stack
 *     ... | REMOTE     free: as another thread                 free: remote[]
 *
 * The last free of a page by another thread may be seen by the owner, and the page go back and be used
 * anew, before that other thread looks at owner. It then finds the descriptor of another page, or of none:
 * descriptors are never unmapped, the REMOTE it sets there is a false alarm that the next merge clears,
 * and where it meets FULL it pushes the page like any other, to be found without news and marked FULL
 * again. So the owner word is only ever read with its flags masked off.
 *
 * PROPERTY (tests/verify/remote.c, ready.pml): every block that another thread frees is handed out again,
 * once, never while it is live, and with its contents handed over. A page with a free block is in exactly one
 * place where somebody finds it: its heap's queue, an open ready stack, a shared list, or back with its segment.
 */
#ifndef NEXT_PAGE_H
#define NEXT_PAGE_H

#include "next/types.h"

#define COUNTDOWN_ENDLESS UINT32_MAX

/* How many slices a page of this bin takes. */
MUST_USE size_t page_slices(unsigned bin);

/* A page of `bin` owned by `heap`, all blocks free, out of claimed slices (segment_claim(), which sees to it that no address
 * passes for a block of it before); `zero` as the claim said. */
void page_make(struct next_page *page, unsigned bin, struct next_heap *heap, bool zero);

/* One live block over all slices of the page; it belongs to nobody. */
void page_make_span(struct next_page *page, unsigned class);

/* The span's run of slices was made longer or shorter, for a size of this class. */
void page_resize_span(struct next_page *page, unsigned class);

INLINE uintptr_t page_owner(const struct next_page *page)
{
	return load_relaxed(&page->owner) & ~OWNER_FLAGS;
}

/* The same as block_number(), and for a span as well, be it in quarantine. Not for a descriptor of no page. */
INLINE bool page_block_number(const struct next_page *page, const void *p, size_t *number)
{
	if (likely(page->start != NULL))
		return block_number(page, p, number);
	*number = 0;
	return p == slice_address(page);
}

/* [owner] Malloc pops from `word` from now on. */
INLINE void page_go_to_word(struct next_page *page, _Atomic uint64_t *word)
{
	page->current = word;
	page->current_start = page->start + (size_t)(word - page->bits) * 64 * page->block_bytes;
}

/* [owner] What malloc hands out was freed a while ago, and nobody has touched it since: the first lines of the current word's
 * free blocks are fetched, all but that of the one that is handed out next. Of 64 in a row the processor sees that itself. */
INLINE void page_prefetch(const struct next_page *page)
{
	uint64_t rest = load_relaxed(page->current);
	if (rest == ~(uint64_t)0)
		return;
	while ((rest &= rest - 1) != 0)
		__builtin_prefetch(page->current_start + (uint32_t)lowest_bit(rest) * page->block_bytes, 1);
}

/* [owner] Moves `current` to the next word with a free block, round and round: by the time it comes back many of a word's
 * blocks are free again. To one that was not begun only where no other has any, for its blocks' memory is still untouched.
 * False if there is none. */
MUST_USE INLINE bool page_advance(struct next_page *page)
{
	_Atomic uint64_t *now = page->current, *end = page->bits + page->words_begun, *word;
	for (word = now + 1; word < end; word++)
		if (load_relaxed(word))
			goto found;
	for (word = page->bits; word <= now; word++)
		if (load_relaxed(word))
			goto found;
	if (page->words_begun == load_relaxed(&page->words))
		return false;
	page->words_begun++;
	page_go_to_word(page, end);
	return true;
found:
	page_go_to_word(page, word);
	if (page->dense)
		page_prefetch(page);
	return true;
}

/* [owner] The lowest free block of the current word, which has one. */
MUST_USE INLINE void *page_pop(struct next_page *page)
{
	uint64_t word = load_relaxed(page->current);
	store_relaxed(page->current, word & (word - 1));
	return page->current_start + (uint32_t)lowest_bit(word) * page->block_bytes;
}

/* [owner] Clears the flags, leaving the owner word at `heap`, and takes what other threads freed into
 * bits[]. Returns the number of blocks. */
uint32_t page_merge(struct next_page *page, struct next_heap *heap);

/* [owner] owner -> owner | FULL. False, and nothing changed, if other threads' frees are there to merge. */
MUST_USE bool page_mark_full(struct next_page *page, struct next_heap *heap);

/* [owner] Blocks that are free in bits[]. */
MUST_USE uint32_t page_free_count(const struct next_page *page);

/* [owner] Marks block `number` free. False, and nothing changed, if it was free already and that is survived
 * (misuse.h). */
MUST_USE bool page_free_block(struct next_page *page, size_t number, const void *block);

/* [any thread] First half of a free by a thread that does not own the page: marks block `number` freed. False, and
 * nothing changed, if it was free already. */
INLINE bool page_mark_remote(struct next_page *page, size_t number)
{
	/* relaxed: the other free of this block, if there was one, happened before this one, or the
	 * two race and the other test finds it when both are remote */
	if (unlikely(test_bit(page->bits, number)))
		return false;
	/* seq_cst, before owner is read: pairs with page_merge() and page_mark_full(), see above;
	 * the release in it hands the block's contents over */
	return likely(!test_and_set_bit_seq_cst(page->remote, number));
}

/* [any thread] Second half: true if the owner knows already that there are such blocks. */
INLINE bool page_is_announced(const struct next_page *page)
{
	/* seq_cst: as page_announce() */
	return test_flag_seq_cst(&page->owner, OWNER_REMOTE);
}

/* [any thread] The rest of it where the owner does not: sets REMOTE. True if the page was full and the caller
 * has to put it on the ready stack of *owner. */
MUST_USE bool page_announce(struct next_page *page, uintptr_t *owner);

/* [whoever took the page from a ready stack] True if every block was freed by other threads. */
MUST_USE bool page_wholly_remote(const struct next_page *page);

#endif

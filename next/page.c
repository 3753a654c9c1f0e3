/* SPDX-License-Identifier: MIT */
/* next/page.c - one page: its blocks' bits and the word that says whose it is; see page.h */
#include "next/page.h"

#include "next/misuse.h"

/* A page holds about as many blocks where they fit in a segment, and more where a slice does: a word of bits, so that a refill is
 * rare beside the mallocs it serves. Up to an eighth fewer if then one page more fits in a segment. Memory that no block was cut
 * from yet is not touched, so a large page costs address space only. */
#define PAGE_BLOCKS_WANTED 64
#define PAGE_BLOCKS_LEAST  56

const struct next_page next_empty_page = {
	.current = (_Atomic uint64_t *)(uintptr_t)&next_empty_page.bits[0],
};

size_t page_slices(unsigned bin)
{
	size_t bytes = next_class_bytes(bin), blocks = USABLE_SLICES * SLICE_BYTES / bytes;
	if (blocks > PAGE_BLOCKS_WANTED)
		blocks = PAGE_BLOCKS_WANTED;
	size_t slices = align_up(blocks * bytes, SLICE_BYTES) >> SLICE_SHIFT;
	size_t fewer = USABLE_SLICES / (USABLE_SLICES / slices + 1);
	return fewer * SLICE_BYTES / bytes >= PAGE_BLOCKS_LEAST ? fewer : slices;
}

/* One more than ceil(2^64 / block_bytes) for a power of two, so that e is not 0; see types.h. */
static uint64_t magic_of(size_t block_bytes)
{
	return UINT64_MAX / block_bytes + 1 + ((block_bytes & (block_bytes - 1)) == 0);
}

/* All but start and magic. Returns the address of block 0. */
static char *make(struct next_page *page, unsigned class, size_t block_bytes)
{
	size_t page_bytes = (size_t)load_relaxed(&page->slices) << SLICE_SHIFT;
	size_t count = page_bytes / block_bytes;
	if (count > PAGE_BLOCKS)
		count = PAGE_BLOCKS;
	page->block_bytes = (uint32_t)block_bytes;
	char *start = slice_address(page) + (page_bytes - count * block_bytes);
	page->block_count = (uint16_t)count;
	page->current = &page->bits[0];
	page->current_start = start;
	page->words_begun = 1;
	page->in_slot = false;
	page->queued = false;
	page->dense = false;
	page->zero = false;
	store_relaxed(&page->suspect, false);
	store_relaxed(&page->bin, (uint8_t)class);
	store_relaxed(&page->words, (uint8_t)((count + 63) / 64));
	return start;
}

void page_make(struct next_page *page, unsigned bin, struct next_heap *heap, bool zero)
{
	char *start = make(page, bin, next_class_bytes(bin));
	page->zero = zero;
	uint32_t words = load_relaxed(&page->words);
	for (uint32_t w = 0; w < words; w++) {
		store_relaxed(&page->bits[w], ~(uint64_t)0);
		store_relaxed(&page->remote[w], 0);
	}
	if (page->block_count % 64)
		store_relaxed(&page->bits[words - 1],
			      ((uint64_t)1 << (page->block_count % 64)) - 1);
	store_relaxed(&page->countdown, COUNTDOWN_ENDLESS);
	page->idle = 0;
	store_relaxed(&page->owner, (uintptr_t)heap);
	/* Until here no address passed, see take_page() in segment.c; start comes last, for with it alone addresses below
	 * it would. */
	page->magic = magic_of(page->block_bytes);
	compiler_barrier();
	page->start = start;
}

void page_make_span(struct next_page *page, unsigned class)
{
	(void)make(page, class, (size_t)load_relaxed(&page->slices) << SLICE_SHIFT);
	store_relaxed(&page->bits[0], 0);
	store_relaxed(&page->remote[0], 0);
	store_relaxed(&page->owner, OWNER_SPAN);
}

void page_resize_span(struct next_page *page, unsigned class)
{
	store_relaxed(&page->bin, (uint8_t)class);
	page->block_bytes = (uint32_t)load_relaxed(&page->slices) << SLICE_SHIFT;
}

static void *block_at(const struct next_page *page, uint32_t word, uint64_t bits)
{
	size_t number = (size_t)word * 64 + (size_t)__builtin_ctzll(bits);
	return page->start + number * page->block_bytes;
}

uint32_t page_merge(struct next_page *page, struct next_heap *heap)
{
	/* seq_cst, before the words are read: pairs with page_mark_remote(), see page.h */
	exchange_seq_cst(&page->owner, (uintptr_t)heap);
	uint32_t merged = 0, words = load_relaxed(&page->words);
	for (uint32_t w = 0; w < words; w++) {
		if (!load_seq_cst(&page->remote[w]))
			continue;
		/* acquire: what the other threads did with their blocks comes before our reuse */
		uint64_t freed = exchange_seq_cst(&page->remote[w], 0);
		uint64_t bits = load_relaxed(&page->bits[w]);
		if (unlikely(bits & freed))
			misuse_double_free(page, block_at(page, w, bits & freed));
		store_relaxed(&page->bits[w], bits | freed);
		merged += (uint32_t)__builtin_popcountll(freed & ~bits);
	}
	if (merged)
		page->zero = false;
	return merged;
}

bool page_mark_full(struct next_page *page, struct next_heap *heap)
{
	uintptr_t mine = (uintptr_t)heap;
	page->zero = false;
	/* seq_cst: pairs with page_announce(). A REMOTE that is there makes it fail; one that comes
	 * later meets FULL. A bit in remote[] whose REMOTE is still to come is found by that thread. */
	return cas_seq_cst(&page->owner, &mine, mine | OWNER_FULL);
}

uint32_t page_free_count(const struct next_page *page)
{
	uint32_t free = 0, words = load_relaxed(&page->words);
	for (uint32_t w = 0; w < words; w++)
		free += (uint32_t)__builtin_popcountll(load_relaxed(&page->bits[w]));
	return free;
}

bool page_free_block(struct next_page *page, size_t number, const void *block)
{
	uint64_t bits = load_relaxed(&page->bits[number / 64]);
	uint64_t bit = (uint64_t)1 << (number % 64);
	if (unlikely(bits & bit)) {
		misuse_double_free(page, block);
		return false;
	}
	store_relaxed(&page->bits[number / 64], bits | bit);
	return true;
}

bool page_announce(struct next_page *page, uintptr_t *owner)
{
	/* seq_cst, after remote[]: pairs with page_merge() and page_mark_full(), see page.h */
	uintptr_t before = fetch_or_seq_cst(&page->owner, OWNER_REMOTE);
	*owner = before & ~OWNER_FLAGS;
	return (before & OWNER_FLAGS) == OWNER_FULL;
}

bool page_wholly_remote(const struct next_page *page)
{
	uint32_t left = page->block_count;
	for (uint32_t w = 0; left; w++) {
		uint32_t here = left < 64 ? left : 64;
		/* acquire: what the other threads did with their blocks comes before our reuse */
		uint64_t remote = load_acquire(&page->remote[w]);
		if (__builtin_popcountll(remote) != (int)here)
			return false;
		left -= here;
	}
	return true;
}

/* SPDX-License-Identifier: MIT */
/* next/next.c - the calls of next.h, put together from heaps, spans and huge blocks
 *
 *   malloc(n) -+- n <= 1 MiB -----> slot's page -> heap_refill() (refill.c lists its six steps)
 *              +- more -----------> a mapping of its own (huge.c)
 *              +- where there are thousands of those, to 4,032 KiB:
 *                                   a span: a run of slices that is one block
 *
 *   free(p) ---+- slot of a segment -> page -+- mine, unflagged -> bits[], fast
 *              |                             +- span ------------> slices back
 *              |                             +- else ------------> remote[], or free.c
 *              +- slot of a huge block -> kept for half a second, then unmapped
 */
#include "next/next.h"

#include "next/fast.h"
#include "next/free.h"
#include "next/heap.h"
#include "next/huge.h"
#include "next/page.h"
#include "next/segment.h"
#include "next/site.h"
#include "shim/base/os.h"

#include <string.h>

bool next_init(void)
{
	if (!map_init())
		return false;
	segment_init();
	heap_init();
	huge_init();
	return true;
}

static void *span_malloc(size_t bytes, size_t alignment, bool *zero)
{
	size_t slices = align_up(bytes, SLICE_BYTES) >> SLICE_SHIFT;
	size_t align_slices = alignment > SLICE_BYTES ? alignment >> SLICE_SHIFT : 1;
	struct next_page *page = segment_claim_existing(slices, align_slices, zero);
	if (!page) {
		heap_reap(next_heap_self, false);
		page = segment_claim(slices, align_slices, zero);
	}
	if (!page)
		return NULL;
	page_make_span(page, next_class_of(bytes));
	huge_count_span();
	return slice_address(page);
}

/* What no class is made for. A mapping of its own is kept for the next such block, and grows where it is; but
 * a process has only so many (65,530 by default), so where there are a lot of them, segments hold the rest. */
#define MAPPINGS_FEW 4096

static void *large_malloc(size_t bytes, bool *zero)
{
	bool fits = bytes <= SPAN_MAX_BYTES;
	void *block = NULL;
	if (!fits || huge_count() < MAPPINGS_FEW)
		block = huge_malloc(bytes, MAP_SLOT_BYTES, zero);
	return block || !fits ? block : span_malloc(bytes, SLICE_BYTES, zero);
}

static void *bin_refill(size_t bytes)
{
	struct next_heap *heap = heap_of_thread();
	if (likely(heap != NULL))
		return heap_refill(heap, next_class_of(bytes));
	/* A thread that is gone, or no memory for one more heap. */
	heap = heap_borrow();
	if (!heap)
		return NULL;
	void *block = heap_refill(heap, next_class_of(bytes));
	heap_abandon(heap);
	return block;
}

static void *bin_malloc(size_t bytes)
{
	void *block = next_malloc_fast(bytes);
	return likely(block != NULL) ? block : bin_refill(bytes);
}

void *next_malloc(size_t bytes)
{
	bool zero;
	/* The caller has tried the page in the slot: there is nothing to be had there. */
	if (likely(bytes <= NEXT_BIN_MAX_BYTES))
		return bin_refill(bytes + (bytes == 0));
	return large_malloc(bytes, &zero);
}

void *next_malloc_site(size_t bytes, uint32_t site)
{
	struct next_heap *heap = bytes && bytes <= SITE_MAX_BYTES ? heap_of_thread() : NULL;
	return heap ? site_malloc(heap, next_class_of(bytes), site) : next_malloc(bytes);
}

/* Clearing more of what is used again would make memory resident that the program may never touch. */
#define CLEAR_MAX_BYTES (16 * MIB)

void *next_calloc(size_t bytes)
{
	bool zero = true;
	void *block;
	bytes += bytes == 0;
	if (likely(bytes <= NEXT_BIN_MAX_BYTES)) {
		block = bin_malloc(bytes);
		if (!block)
			return NULL;
		/* A page that was cut from zeroed slices and got no block back yet gives zeroed blocks. */
		struct next_page *page = page_of(block);
		zero = page_owner(page) == (uintptr_t)next_heap_self && page->zero &&
		       load_relaxed(&page->countdown) == COUNTDOWN_ENDLESS;
	} else {
		block = large_malloc(bytes, &zero);
		/* As sparse as the program will use it, as if it were new. */
		if (block && !zero && bytes > CLEAR_MAX_BYTES)
			zero = os_purge(block, align_up(bytes, OS_PAGE_BYTES)) == 0;
	}
	return block && !zero ? memset(block, 0, bytes) : block;
}

void *next_aligned(size_t alignment, size_t bytes)
{
	bool zero;
	bytes += bytes == 0;
	if (alignment <= NEXT_ALIGNMENT)
		return next_malloc(bytes);
	/* Pages end at a multiple of 64 KiB and blocks at their end: a block size that is a multiple of the
	 * alignment makes every block aligned. */
	if (alignment <= SLICE_BYTES && bytes <= NEXT_BIN_MAX_BYTES) {
		for (unsigned bin = next_class_of(bytes); bin < NEXT_BINS; bin++)
			if (next_class_bytes(bin) % alignment == 0)
				return bin_malloc(next_class_bytes(bin));
	}
	/* A run of slices from the first multiple of the alignment behind the header. */
	size_t first = alignment > HEADER_SLICES * SLICE_BYTES ? alignment :
								 HEADER_SLICES * SLICE_BYTES;
	if (first < SEGMENT_BYTES && bytes <= SEGMENT_BYTES - first)
		return span_malloc(bytes, alignment, &zero);
	return huge_malloc(bytes, alignment, &zero);
}

bool next_free(void *block)
{
	if (map_is_huge(block))
		return huge_free(block);
	next_free_in_slot(block, (uintptr_t)block >> MAP_SLOT_SHIFT);
	return true;
}

bool next_covers(const void *address)
{
	return map_is_huge(address) ? huge_covers(address) : map_kind_of(address) == MAP_NEXT;
}

size_t next_usable_bytes(const void *block)
{
	size_t number;
	if (map_is_huge(block))
		return huge_usable_bytes(block);
	struct next_page *page = page_of_live_block(block, &number);
	return likely(page != NULL) ? page->block_bytes : NEXT_MISUSED;
}

/* A span grows into free slices behind it, and gives back those it no longer needs. */
static bool span_resize(struct next_page *page, size_t bytes)
{
	size_t slices = align_up(bytes, SLICE_BYTES) >> SLICE_SHIFT;
	if (bytes <= NEXT_BIN_MAX_BYTES || bytes > SPAN_MAX_BYTES)
		return false;
	if (slices != load_relaxed(&page->slices) && !segment_resize(page, slices))
		return false;
	page_resize_span(page, next_class_of(bytes));
	return true;
}

void *next_resize(void *block, size_t bytes)
{
	size_t number;
	if (map_is_huge(block))
		return bytes > NEXT_BIN_MAX_BYTES / 2 ? huge_resize(block, bytes) : NULL;
	struct next_page *page = page_of_live_block(block, &number);
	if (unlikely(!page))
		return NULL;
	if (page_owner(page) == OWNER_SPAN)
		return span_resize(page, bytes) ? block : NULL;
	/* A block that shrinks to half or less moves to where it fits; the smallest have nowhere to go. */
	size_t room = page->block_bytes;
	return bytes <= room && (bytes > room / 2 || room <= 4 * NEXT_ALIGNMENT) ? block : NULL;
}

size_t next_trim(void)
{
	heap_reap(next_heap_self, true);
	return segment_purge_all() + huge_purge_all();
}

void next_purge_old(void)
{
	segment_purge_some();
}

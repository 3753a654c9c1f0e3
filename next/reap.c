/* SPDX-License-Identifier: MIT */
/* next/reap.c - finding memory that nobody needs, before the system is asked for more; see heap.h */
#include "next/heap.h"

#include "next/page.h"
#include "next/queue.h"
#include "next/segment.h"
#include "next/shared.h"
#include "next/site.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"

static _Atomic uint32_t rounds; /* which eighth is next */

/* Sheds a heap that no thread has and that the caller took from the stack. */
static void shed(struct next_heap *heap)
{
	struct next_page *sited;
	while ((sited = site_take(heap)) != NULL) {
		heap_count_end(heap, sited, page_free_count(sited));
		heap_share(sited, heap->number);
	}
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		struct next_page *page;
		while ((page = heap->queue[bin]) != NULL) {
			queue_remove(heap, page);
			if (page->in_slot)
				heap_clear_slots(heap, bin);
			page->in_slot = false;
			heap_count_end(heap, page, page_free_count(page));
			heap_share(page, heap->number);
		}
	}
}

/* A thread that sleeps cannot give back a page that others emptied. Whoever finds it on the ready stack
 * can: with no live block in it nobody has a reason to touch it any more. The others go back. */
static void steal_ready(struct next_heap *heap)
{
	struct next_page *page = load_relaxed(&heap->ready);
	/* acq_rel: the pages' descriptors, from heap_ready_push() */
	if (!page || page == READY_CLOSED || !cas_acq_rel(&heap->ready, &page, NULL))
		return;
	while (page) {
		struct next_page *after = load_relaxed(&page->ready_next);
		if (page_wholly_remote(page))
			segment_release(page);
		else
			heap_ready_push(heap, page);
		page = after;
	}
}

/* [owner] A page of this thread's queue: takes what others freed, and gives the page back if it is empty. */
static void tidy_page(struct next_heap *heap, struct next_page *page)
{
	if (load_relaxed(&page->owner) & OWNER_REMOTE) {
		uint32_t merged = heap_merge(heap, page);
		if (!page->in_slot)
			store_relaxed(&page->countdown, load_relaxed(&page->countdown) - merged);
	}
	if (page_free_count(page) != page->block_count)
		return;
	if (page->in_slot)
		heap_clear_slots(heap, load_relaxed(&page->bin));
	page->in_slot = false;
	heap_count_end(heap, page, page_free_count(page));
	queue_remove(heap, page);
	segment_release(page);
}

static void tidy_queue(struct next_heap *heap, unsigned bin)
{
	struct next_page *page = heap->queue[bin];
	size_t pages = 0;
	for (struct next_page *p = page; p && (p != page || pages == 0); p = p->queue_next)
		pages++;
	while (pages-- > 0) {
		struct next_page *after = page->queue_next;
		tidy_page(heap, page);
		page = after;
	}
}

void heap_tidy_large(struct next_heap *heap)
{
	for (unsigned bin = FINE_BINS; bin < NEXT_BINS; bin++)
		tidy_queue(heap, bin);
}

/* Pages on a shared list that others emptied in the meantime. */
static void sweep_shared(unsigned bin, uint32_t shard)
{
	struct next_page *taken = NULL, *page;
	while ((page = shared_pop_from(bin, shard)) != NULL) {
		page->queue_next = taken;
		taken = page;
	}
	while (taken) {
		page = taken;
		taken = page->queue_next;
		heap_share(page, shard);
	}
}

void heap_reap(struct next_heap *self, bool all)
{
	struct next_heap *heap;
	while ((heap = heap_take_abandoned()) != NULL) {
		shed(heap);
		heap_put_idle(heap);
	}
	uint32_t count = heap_count();
	for (uint32_t number = 1; number <= count; number++)
		if (heap_numbered(number) != self)
			steal_ready(heap_numbered(number));
	bool has_heap = self->number != 0;
	if (has_heap)
		heap_drain_ready(self);
	if (has_heap)
		site_tidy(self);
	uint32_t round = fetch_add_relaxed(&rounds, 1);
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		for (uint32_t shard = 0; shard < SHARED_SHARDS; shard++)
			if (all || (bin + shard + round) % 8 == 0)
				sweep_shared(bin, shard);
		if (has_heap && (all || (bin + round) % 8 == 0))
			tidy_queue(self, bin);
	}
}

/* --- blocks that rest in pages that do not ------------------------------------------------------- */

/* A smaller block may hold no whole page of the kernel's. */
#define IDLE_BLOCK_MIN (2 * OS_PAGE_BYTES)

static void purge_run(const struct next_page *page, size_t first, size_t count)
{
	uintptr_t start = (uintptr_t)page->start + first * page->block_bytes;
	uintptr_t end = start + count * page->block_bytes;
	start = align_up(start, OS_PAGE_BYTES);
	end &= ~(OS_PAGE_BYTES - 1);
	/* Refused, it stays as it is. */
	if (start < end && os_purge((void *)start, end - start) == 0) {
		segment_count_purged(load_relaxed(&page->bin), end - start);
		PROBE2(page_purged, start, end - start);
	}
}

static void purge_blocks(const struct next_page *page, uint64_t blocks)
{
	while (blocks) {
		size_t first = lowest_bit(blocks);
		uint64_t after = ~(blocks >> first);
		size_t count = after ? lowest_bit(after) : 64 - first;
		purge_run(page, first, count);
		blocks &= count == 64 ? 0 : ~((((uint64_t)1 << count) - 1) << first);
	}
}

/* A block that was free at two looks in a row may have been in use between; then giving it back was one fault
 * too many. Without a free since the last look there is nothing new. */
static void look_at_idle(struct next_page *page)
{
	uint64_t free = load_relaxed(&page->bits[0]), rested = page->idle & free;
	uint32_t countdown = load_relaxed(&page->countdown);
	uint32_t frees = page->idle_countdown - countdown;
	if (frees == 0 && page->idle_purged && free == rested)
		return;
	purge_blocks(page, rested);
	page->idle_purged = frees == 0;
	page->idle_countdown = countdown;
	page->idle = free;
}

void heap_purge_idle(struct next_heap *heap)
{
	uint32_t now = os_ticks();
	if (now - heap->looked_at_idle < NEXT_RESERVE_TICKS)
		return;
	heap->looked_at_idle = now;
	for (unsigned bin = next_class_of(IDLE_BLOCK_MIN); bin < NEXT_BINS; bin++) {
		struct next_page *page = heap->queue[bin];
		for (bool first = true; page && (first || page != heap->queue[bin]);
		     first = false, page = page->queue_next)
			if (load_relaxed(&page->words) == 1)
				look_at_idle(page);
	}
}

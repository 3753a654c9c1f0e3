/* SPDX-License-Identifier: MIT */
/* next/site.c - blocks of one call site side by side; see site.h */
#include "next/site.h"

#include "next/heap.h"
#include "next/next.h"
#include "next/misuse.h"
#include "next/page.h"
#include "next/queue.h"
#include "next/segment.h"
#include "shim/base/os.h"

#define SITE_ENTRIES 256  /* 4 KiB a heap that uses it */
#define SITE_WINDOW  8	  /* entries in which a pair may stand */
#define SITE_MISSES  1024 /* so many mallocs without an entry, and an old one has to go */

struct next_site {
	struct next_page *page; /* [owner] in no queue; its in_slot is set */
	uint32_t site;
};

_Static_assert(SITE_ENTRIES * sizeof(struct next_site) == OS_PAGE_BYTES, "one page of the kernel's");

static struct next_site *window_of(struct next_heap *heap, unsigned bin, uint32_t site)
{
	/* Return addresses differ in their low bits: a multiplication spreads them to the high ones. */
	uint32_t hash = (site * 128 + bin) * 0x9e3779b1u;
	return &heap->sites[hash / (UINT32_MAX / SITE_ENTRIES + 1) / SITE_WINDOW * SITE_WINDOW];
}

/* The page goes where every malloc of its class may use what is free in it. */
static void leave(struct next_heap *heap, struct next_site *entry)
{
	struct next_page *page = entry->page;
	entry->page = NULL;
	page->in_slot = false;
	heap_settle(heap, page);
}

/* A page of the queue with much room in it, else a fresh one: a page with a hole here and there would
 * scatter the site's blocks, but memory that is mostly free has to be used again. */
static struct next_page *find_page(struct next_heap *heap, unsigned bin)
{
	heap_drain_ready(heap);
	struct next_page *page = heap->queue[bin];
	if (page && page->in_slot)
		page = page->queue_next;
	if (page && !page->in_slot && page_free_count(page) * 4 >= page->block_count) {
		queue_remove(heap, page);
		return page;
	}
	bool zero;
	page = segment_claim(page_slices(bin), 1, &zero);
	if (page) {
		page_make(page, bin, heap, false);
		counter_add(&heap->mallocs[bin], page->block_count); /* it counts from here on */
	}
	return page;
}

static bool has_block(struct next_heap *heap, struct next_page *page)
{
	if (misuse_suspects(page))
		return false;
	if (page_advance(page))
		return true;
	return heap_merge(heap, page) && page_advance(page);
}

/* The entry of the pair, or a free one; NULL if the window is full of others. */
static struct next_site *find_entry(struct next_heap *heap, unsigned bin, uint32_t site)
{
	struct next_site *window = window_of(heap, bin, site), *free = NULL;
	for (size_t i = 0; i < SITE_WINDOW; i++) {
		if (!window[i].page)
			free = &window[i];
		else if (window[i].site == site && load_relaxed(&window[i].page->bin) == bin)
			return &window[i];
	}
	if (free || ++heap->site_misses % SITE_MISSES)
		return free;
	/* Whoever it hits comes back if it is still in use. Seldom, for it costs a page with few blocks. */
	free = &window[heap->site_misses / SITE_MISSES % SITE_WINDOW];
	leave(heap, free);
	return free;
}

static struct next_page *page_for(struct next_heap *heap, unsigned bin, uint32_t site)
{
	struct next_site *entry = find_entry(heap, bin, site);
	if (!entry)
		return NULL;
	if (entry->page && has_block(heap, entry->page))
		return entry->page;
	if (entry->page)
		leave(heap, entry);
	struct next_page *page = find_page(heap, bin);
	if (page)
		page->dense = false;
	if (!page || !page_advance(page))
		return NULL;
	/* Frees to it are not counted down, as if it were in a slot. */
	heap_count_begin(heap, page);
	page->zero = false;
	page->in_slot = true;
	entry->page = page;
	entry->site = site;
	return page;
}

void *site_malloc(struct next_heap *heap, unsigned bin, uint32_t site)
{
	if (unlikely(!heap->sites))
		heap->sites = os_map(NULL, SITE_ENTRIES * sizeof(struct next_site));
	struct next_page *page = heap->sites ? page_for(heap, bin, site) : NULL;
	return likely(page != NULL) ? page_pop(page) : heap_refill(heap, bin);
}

void site_tidy(struct next_heap *heap)
{
	for (size_t i = 0; heap->sites && i < SITE_ENTRIES; i++) {
		struct next_site *entry = &heap->sites[i];
		if (!entry->page)
			continue;
		heap_merge(heap, entry->page);
		if (page_free_count(entry->page) != entry->page->block_count)
			continue;
		entry->page->in_slot = false;
		heap_count_end(heap, entry->page, page_free_count(entry->page));
		segment_release(entry->page);
		entry->page = NULL;
	}
}

struct next_page *site_take(struct next_heap *heap)
{
	for (size_t i = 0; heap->sites && i < SITE_ENTRIES; i++) {
		struct next_page *page = heap->sites[i].page;
		if (!page)
			continue;
		heap->sites[i].page = NULL;
		page->in_slot = false;
		return page;
	}
	return NULL;
}

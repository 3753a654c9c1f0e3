/* SPDX-License-Identifier: MIT */
/* next/stats.c - what next holds, counted by walking it */
#include "next/heap.h"
#include "next/huge.h"
#include "next/next.h"
#include "next/page.h"
#include "next/segment.h"

static void add_page(struct next_page *page, void *argument)
{
	struct next_stats *stats = argument;
	unsigned class = load_relaxed(&page->bin);
	uint32_t words = load_relaxed(&page->words), slices = load_relaxed(&page->slices);
	size_t page_bytes = (size_t)slices << SLICE_SHIFT;
	bool span = page_owner(page) == OWNER_SPAN;
	size_t block_bytes = span ? page_bytes : next_class_bytes(class);
	size_t live = page_bytes / block_bytes;
	if (live > PAGE_BLOCKS)
		live = PAGE_BLOCKS;
	/* The page may be made anew while we look: then the figures are a moment's, not nonsense. */
	for (uint32_t w = 0; w < words && w < PAGE_WORDS; w++) {
		uint64_t free = load_relaxed(&page->bits[w]) | load_relaxed(&page->remote[w]);
		size_t count = (size_t)__builtin_popcountll(free);
		live = live > count ? live - count : 0;
	}
	stats->live_blocks += live;
	stats->live_bytes += live * block_bytes;
	stats->class_live_blocks[class] += live;
}

void next_read_stats(struct next_stats *stats)
{
	*stats = (struct next_stats){ .heaps = heap_count() };
	struct segment_counts segments;
	segment_read_counts(&segments);
	struct huge_counts huge;
	huge_read_counts(&huge);
	segment_each_page(add_page, stats);
	stats->segments = segments.segments;
	stats->resident_free_bytes = segments.resident_free_bytes + huge.kept_bytes;
	stats->purged_bytes = segments.purged_bytes;
	stats->huge_blocks = huge.blocks;
	stats->huge_bytes = huge.bytes;
	stats->live_blocks += huge.blocks;
	stats->live_bytes += huge.bytes;
	stats->class_live_blocks[NEXT_CLASS_HUGE] += huge.blocks;
	stats->mapped_bytes = segments.segments * SEGMENT_BYTES + huge.bytes + huge.kept_bytes;
}

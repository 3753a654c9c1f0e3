/* SPDX-License-Identifier: MIT */
/* next/stats.c - what next holds, counted by walking it */
#include "next/heap.h"
#include "next/huge.h"
#include "next/misuse.h"
#include "next/next.h"
#include "next/page.h"
#include "next/segment.h"
#include "shim/base/os.h"

/* Without what other threads freed. */
static size_t own_free_count(const struct next_page *page)
{
	uint32_t words = load_relaxed(&page->words);
	size_t free = 0;
	for (uint32_t w = 0; w < words && w < PAGE_WORDS; w++)
		free += (size_t)__builtin_popcountll(load_relaxed(&page->bits[w]));
	return free;
}

struct walk {
	struct next_stats *stats;
	const struct next_segment *last[NEXT_CLASSES]; /* with a live block of the class */
};

static void add_page(struct next_page *page, void *argument)
{
	struct walk *walk = argument;
	struct next_stats *stats = walk->stats;
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
	if (live > 0) {
		stats->class_pinned_pages[class]++;
		/* Pages come segment by segment. */
		stats->class_pinned_segments[class] += walk->last[class] != segment_of(page);
		walk->last[class] = segment_of(page);
	}
	if (!span && page_counts(page))
		stats->class_mallocs[class] += COUNTDOWN_ENDLESS - load_relaxed(&page->countdown) -
					       (uint64_t)own_free_count(page);
}

static void add_heaps(struct next_stats *stats)
{
	for (uint32_t number = 1; number <= stats->heaps; number++) {
		struct next_heap *heap = heap_numbered(number);
		for (unsigned bin = 0; bin < NEXT_BINS; bin++)
			stats->class_mallocs[bin] += load_relaxed(&heap->mallocs[bin]);
		for (unsigned bin = 0; bin < NEXT_BINS; bin++)
			stats->class_remote_frees[bin] += load_relaxed(&heap->remote_frees[bin]);
	}
	for (unsigned bin = 0; bin < NEXT_BINS; bin++)
		stats->remote_frees += stats->class_remote_frees[bin];
}

void next_read_stats(struct next_stats *stats)
{
	*stats = (struct next_stats){ .heaps = heap_count() };
	struct segment_counts segments;
	segment_read_counts(&segments);
	struct huge_counts huge;
	huge_read_counts(&huge);
	struct walk walk = { .stats = stats };
	segment_each_page(add_page, &walk);
	add_heaps(stats);
	stats->segments = segments.segments;
	stats->resident_free_bytes = segments.resident_free_bytes + huge.kept_bytes;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		stats->class_purged_bytes[class] = segments.purged_bytes[class];
		stats->purged_bytes += segments.purged_bytes[class];
	}
	stats->huge_blocks = huge.blocks;
	stats->huge_bytes = huge.bytes;
	stats->live_blocks += huge.blocks;
	stats->live_bytes += huge.bytes;
	stats->class_live_blocks[NEXT_CLASS_HUGE] += huge.blocks;
	stats->class_mallocs[NEXT_CLASS_HUGE] += huge.mallocs;
	stats->class_pinned_pages[NEXT_CLASS_HUGE] += huge.blocks;
	stats->class_pinned_segments[NEXT_CLASS_HUGE] += huge.blocks;
	stats->quarantined_pages = misuse_quarantined();
	stats->mapped_bytes = segments.segments * SEGMENT_BYTES + huge.bytes + huge.kept_bytes;
}

static void add_resident(struct next_page *page, void *argument)
{
	size_t *held_bytes = argument;
	unsigned class = load_relaxed(&page->bin);
	size_t bytes = (size_t)load_relaxed(&page->slices) << SLICE_SHIFT;

	/* first_slice is the page's number in its segment, as it ever was. */
	size_t first = (size_t)(page - segment_of(page)->pages);
	if (class < NEXT_CLASSES && first + (bytes >> SLICE_SHIFT) <= SEGMENT_SLICES)
		held_bytes[class] +=
			os_resident_bytes(segment_base(page) + (first << SLICE_SHIFT), bytes);
}

void next_read_held(size_t held_bytes[NEXT_CLASSES])
{
	struct huge_counts huge;

	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		held_bytes[class] = 0;
	segment_each_page(add_resident, held_bytes);
	huge_read_counts(&huge);
	held_bytes[NEXT_CLASS_HUGE] += huge.bytes;
}

/* SPDX-License-Identifier: MIT */
/* shim/info.c - what malloc's family tells about itself, and what it can be told
 *
 * The figures are sums over every allocator in the process: next, legacy, and the system behind us as
 * far as it reports itself.
 */
#include "legacy/legacy.h"
#include "next/next.h"
#include "shim/base/map.h"
#include "shim/export.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/system.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

HAKMEM_API const char *hakmem_version(void)
{
	return PACKAGE_VERSION;
}

HAKMEM_API enum hakmem_owner hakmem_owner(const void *address)
{
	switch (map_kind_of(address)) {
	case MAP_NEXT_HUGE:
	case MAP_NEXT_HUGE_REST:
		if (!next_covers(address))
			break;
		return HAKMEM_OWNER_NEXT;
	case MAP_NEXT:
	case MAP_NEXT_CHECKED:
	case MAP_NEXT_GUARDED:
		return HAKMEM_OWNER_NEXT;
	case MAP_LEGACY:
		return HAKMEM_OWNER_LEGACY;
	case MAP_NEXT_HUGE_GONE:
	case MAP_STRANGER:
		break;
	}
	return HAKMEM_OWNER_SYSTEM;
}

/* --- figures -------------------------------------------------------------------------------------- */

static void read_next(struct hakmem_stats *stats, struct mallinfo2 *info)
{
	struct next_stats next;
	if (!shim_next_available())
		return;
	next_read_stats(&next);
	stats->next_live_bytes = next.live_bytes;
	stats->next_live_blocks = next.live_blocks;
	stats->next_mapped_bytes = next.mapped_bytes;
	stats->next_resident_free_bytes = next.resident_free_bytes;
	info->arena += next.mapped_bytes - next.huge_bytes;
	info->hblks += next.huge_blocks;
	info->hblkhd += next.huge_bytes;
	info->uordblks += next.live_bytes;
	info->fordblks += next.resident_free_bytes;
	info->keepcost += next.resident_free_bytes;
}

/* The layers of legacy and of the public header are the same list. */
_Static_assert((int)HAKMEM_LEGACY_RING == (int)LEGACY_LAYER_RING &&
		       (int)HAKMEM_LEGACY_TRANSFER == (int)LEGACY_LAYER_TRANSFER &&
		       (int)HAKMEM_LEGACY_LAYERS == (int)LEGACY_LAYERS,
	       "hakmem.h and legacy.h disagree about the layers");

static void copy_counters(struct hakmem_stats *stats, const struct legacy_counters *counters)
{
	stats->legacy_contended_trylocks = counters->contended_trylocks;
	stats->legacy_shard_lock_waits = counters->lock_waits;
	stats->legacy_table_lock_waits = counters->table_waits;
	stats->legacy_hash_lookups = counters->hash_lookups;
	stats->legacy_headers_written = counters->headers_written;
	memcpy(stats->legacy_layer_mallocs, counters->layer_hits, sizeof(counters->layer_hits));
	stats->legacy_fresh_page_mallocs = counters->fresh_pages;
	stats->legacy_uncached_mallocs = counters->uncached_mallocs;
	stats->legacy_remote_frees = counters->remote_frees;
	stats->legacy_purged_bytes = counters->purged_bytes;
}

static void read_legacy(struct hakmem_stats *stats, struct mallinfo2 *info)
{
	struct legacy_counters counters;
	if (!shim_legacy_available())
		return;
	legacy_read_counters(&counters);
	for (int i = 0; i < LEGACY_CLASSES; i++) {
		stats->legacy_live_blocks += counters.class_live_blocks[i];
		stats->legacy_live_bytes += counters.class_live_bytes[i];
	}
	stats->legacy_mapped_bytes = counters.mapped_bytes;
	copy_counters(stats, &counters);
	info->arena += counters.mapped_bytes;
	info->uordblks += stats->legacy_live_bytes;
	info->fordblks += counters.resident_free_bytes;
	info->keepcost += counters.resident_free_bytes;
}

/* Ours alone. Both at once, since walking everything is what costs. */
static void read_ours(struct hakmem_stats *stats, struct mallinfo2 *info)
{
	memset(stats, 0, sizeof(*stats));
	memset(info, 0, sizeof(*info));
	shim_init();
	read_next(stats, info);
	if (HAKMEM_MIGRATION)
		read_legacy(stats, info);
}

HAKMEM_API int hakmem_stats(struct hakmem_stats *stats, size_t stats_bytes)
{
	struct hakmem_stats known;
	struct mallinfo2 unused;
	read_ours(&known, &unused);
	memset(stats, 0, stats_bytes);
	memcpy(stats, &known, stats_bytes < sizeof(known) ? stats_bytes : sizeof(known));
	return 0;
}

HAKMEM_API struct mallinfo2 hakmem_mallinfo2(void)
{
	struct hakmem_stats unused;
	struct mallinfo2 sum;
	read_ours(&unused, &sum);
	if (HAKMEM_MIGRATION && shim_system.mallinfo2) {
		struct mallinfo2 system = shim_system.mallinfo2();
		sum.arena += system.arena;
		sum.ordblks += system.ordblks;
		sum.smblks += system.smblks;
		sum.hblks += system.hblks;
		sum.hblkhd += system.hblkhd;
		sum.usmblks += system.usmblks;
		sum.fsmblks += system.fsmblks;
		sum.uordblks += system.uordblks;
		sum.fordblks += system.fordblks;
		sum.keepcost += system.keepcost;
	}
	return sum;
}
EXPORT_AS(mallinfo2, hakmem_mallinfo2);

/* glibc's wraps around; a figure that stops at the top is at least not small. */
static int clamp(size_t value)
{
	return value > INT_MAX ? INT_MAX : (int)value;
}

HAKMEM_API struct mallinfo hakmem_mallinfo(void)
{
	struct mallinfo2 info = hakmem_mallinfo2();
	return (struct mallinfo){
		.arena = clamp(info.arena),
		.ordblks = clamp(info.ordblks),
		.smblks = clamp(info.smblks),
		.hblks = clamp(info.hblks),
		.hblkhd = clamp(info.hblkhd),
		.usmblks = clamp(info.usmblks),
		.fsmblks = clamp(info.fsmblks),
		.uordblks = clamp(info.uordblks),
		.fordblks = clamp(info.fordblks),
		.keepcost = clamp(info.keepcost),
	};
}
EXPORT_AS(mallinfo, hakmem_mallinfo);

/* What legacy counts, by the names that malloc_stats and malloc_info print; bench/ reads them. */
static const struct {
	const char *name;
	size_t offset; /* of a uint64_t in struct hakmem_stats */
} legacy_figures[] = {
#define FIGURE(words, field)                                                                       \
	{                                                                                          \
		words, offsetof(struct hakmem_stats, field)                                        \
	}
	FIGURE("contended trylocks", legacy_contended_trylocks),
	FIGURE("shard lock waits", legacy_shard_lock_waits),
	FIGURE("table lock waits", legacy_table_lock_waits),
	FIGURE("hash lookups", legacy_hash_lookups),
	FIGURE("headers written", legacy_headers_written),
	FIGURE("mallocs from ring", legacy_layer_mallocs[HAKMEM_LEGACY_RING]),
	FIGURE("mallocs from lifo", legacy_layer_mallocs[HAKMEM_LEGACY_LIFO]),
	FIGURE("mallocs from active page a", legacy_layer_mallocs[HAKMEM_LEGACY_ACTIVE_A]),
	FIGURE("mallocs from active page b", legacy_layer_mallocs[HAKMEM_LEGACY_ACTIVE_B]),
	FIGURE("mallocs from transfer cache", legacy_layer_mallocs[HAKMEM_LEGACY_TRANSFER]),
	FIGURE("mallocs from shard freelist", legacy_layer_mallocs[HAKMEM_LEGACY_SHARD]),
	FIGURE("mallocs from remote stack", legacy_layer_mallocs[HAKMEM_LEGACY_REMOTE]),
	FIGURE("mallocs from a fresh page", legacy_fresh_page_mallocs),
	FIGURE("mallocs uncached", legacy_uncached_mallocs),
	FIGURE("remote frees", legacy_remote_frees),
	FIGURE("bytes purged", legacy_purged_bytes),
#undef FIGURE
};

#define LEGACY_FIGURES (sizeof(legacy_figures) / sizeof(legacy_figures[0]))

static uint64_t legacy_figure(const struct hakmem_stats *stats, size_t index)
{
	uint64_t value;
	memcpy(&value, (const char *)stats + legacy_figures[index].offset, sizeof(value));
	return value;
}

/* Before the system's own figures, whose format is its own. */
HAKMEM_API void hakmem_malloc_stats(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	fprintf(stderr,
		"hakmem %s\n"
		"next:   %zu bytes live in %zu blocks, %zu mapped, %zu resident and free\n",
		PACKAGE_VERSION, stats.next_live_bytes, stats.next_live_blocks,
		stats.next_mapped_bytes, stats.next_resident_free_bytes);
	if (!HAKMEM_MIGRATION)
		return;
	fprintf(stderr, "legacy: %zu bytes live in %zu blocks, %zu mapped\n",
		stats.legacy_live_bytes, stats.legacy_live_blocks, stats.legacy_mapped_bytes);
	for (size_t i = 0; i < LEGACY_FIGURES; i++)
		fprintf(stderr, "legacy: %s %" PRIu64 "\n", legacy_figures[i].name,
			legacy_figure(&stats, i));
	if (shim_system.stats)
		shim_system.stats();
}
EXPORT_AS(malloc_stats, hakmem_malloc_stats);

HAKMEM_API int hakmem_malloc_info(int options, FILE *stream)
{
	struct hakmem_stats stats;
	if (options != 0)
		return EINVAL;
	hakmem_stats(&stats, sizeof(stats));
	fprintf(stream, "<malloc version=\"hakmem-%s\">\n", PACKAGE_VERSION);
	fprintf(stream,
		"<pool name=\"next\" live=\"%zu\" blocks=\"%zu\" mapped=\"%zu\" free=\"%zu\"/>\n",
		stats.next_live_bytes, stats.next_live_blocks, stats.next_mapped_bytes,
		stats.next_resident_free_bytes);
	if (HAKMEM_MIGRATION) {
		fprintf(stream,
			"<pool name=\"legacy\" live=\"%zu\" blocks=\"%zu\" mapped=\"%zu\">\n",
			stats.legacy_live_bytes, stats.legacy_live_blocks,
			stats.legacy_mapped_bytes);
		for (size_t i = 0; i < LEGACY_FIGURES; i++)
			fprintf(stream, "<counter name=\"%s\" value=\"%" PRIu64 "\"/>\n",
				legacy_figures[i].name, legacy_figure(&stats, i));
		fprintf(stream, "</pool>\n");
	}
	/* The system's own document, a <malloc> of its own, is its part of ours. */
	if (HAKMEM_MIGRATION && shim_system.info)
		shim_system.info(0, stream);
	fprintf(stream, "</malloc>\n");
	return 0;
}
EXPORT_AS(malloc_info, hakmem_malloc_info);

/* --- requests ------------------------------------------------------------------------------------- */

HAKMEM_API int hakmem_malloc_trim(size_t pad_bytes)
{
	size_t released_bytes = 0;
	int system_released = 0;
	shim_init();
	if (shim_next_available())
		released_bytes += next_trim();
	if (HAKMEM_MIGRATION) {
		if (shim_legacy_available())
			released_bytes += legacy_trim();
		if (shim_system.trim)
			system_released = shim_system.trim(pad_bytes);
	}
	return released_bytes > 0 || system_released;
}
EXPORT_AS(malloc_trim, hakmem_malloc_trim);

/* 0 would tell the program that its tuning failed, and some stop at that. */
HAKMEM_API int hakmem_mallopt(int parameter, int value)
{
	shim_init();
	if (HAKMEM_MIGRATION && shim_system.mallopt)
		shim_system.mallopt(parameter, value);
	return 1;
}
EXPORT_AS(mallopt, hakmem_mallopt);

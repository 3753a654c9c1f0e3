/* SPDX-License-Identifier: MIT */
/* legacy/pages.c - chunks from the kernel, and runs of 64 KiB pages out of them; see pages.h */
#include "legacy/pages.h"

#include "legacy/table.h"
#include "shim/base/check.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"

/* Payload, stride and run are written out; the assertions below hold them together. */
#define CLASS(payload_kib, pages)                                                                  \
	{                                                                                          \
		.payload_bytes = (payload_kib)*1024, .stride_bytes = (payload_kib)*1024 + 16,      \
		.run_pages = (pages), .capacity = (pages)*65536 / ((payload_kib)*1024 + 16),       \
	}

const struct legacy_class legacy_classes[LEGACY_CLASSES] = {
	CLASS(2, 1),  /* 31 blocks */
	CLASS(4, 1),  /* 15 */
	CLASS(6, 1),  /* 10 */
	CLASS(8, 2),  /* 15 */
	CLASS(12, 1), /* 5 */
	CLASS(16, 4), /* 15 */
	CLASS(32, 8), /* 15 */
};

_Static_assert(65536 / (2 * 1024 + 16) == PAGE_BLOCKS_MAX,
	       "the smallest class has the most blocks");

static struct {
	CACHE_ALIGN struct lock lock;
	struct legacy_chunk *with_room;	    /* [lock] chunks with a free page */
	_Atomic(struct legacy_chunk *) all; /* [lock to write] every chunk ever mapped */
	_Atomic size_t chunk_count;	    /* [lock to write] */
	_Atomic size_t in_service;	    /* [lock to write] pages in runs that are taken */
	_Atomic size_t resident_free;	    /* [lock to write] pages that are free and dirty */
	_Atomic size_t class_in_service[LEGACY_CLASSES]; /* [any thread] of in_service */
	_Atomic size_t class_purged_bytes[LEGACY_CLASSES]; /* [lock to write] by the pages' last class */
} pool;

void legacy_pages_init(void)
{
	lock_join_fork(&pool.lock, 1, sizeof(pool.lock));
}

bool legacy_pages_interrupted(void)
{
	return lock_held_by_self(&pool.lock);
}

static void list_chunk(struct legacy_chunk *chunk)
{
	chunk->prev = NULL;
	chunk->next = pool.with_room;
	if (chunk->next)
		chunk->next->prev = chunk;
	pool.with_room = chunk;
}

static void unlist_chunk(struct legacy_chunk *chunk)
{
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		pool.with_room = chunk->next;
	if (chunk->next)
		chunk->next->prev = chunk->prev;
}

/* The pages [first, first + count) as bits. */
static uint64_t run_mask(unsigned first, unsigned count)
{
	return (((uint64_t)1 << count) - 1) << first;
}

/* The first of `count` adjacent set bits, or CHUNK_PAGES. After each step a set bit of `mask` means
 * that `have` bits from there on were set. */
static unsigned find_run(uint64_t mask, unsigned count)
{
	for (unsigned have = 1; have < count && mask;) {
		unsigned step = have < count - have ? have : count - have;
		mask &= mask >> step;
		have += step;
	}
	return mask ? (unsigned)__builtin_ctzll(mask) : CHUNK_PAGES;
}

static struct legacy_page *take_locked(unsigned count)
{
	for (struct legacy_chunk *chunk = pool.with_room; chunk; chunk = chunk->next) {
		/* Resident pages first: the others cost a fault for every 4 KiB. */
		unsigned first = find_run(chunk->free & chunk->dirty, count);
		if (first == CHUNK_PAGES)
			first = find_run(chunk->free, count);
		if (first == CHUNK_PAGES)
			continue;
		uint64_t run = run_mask(first, count);
		counter_add(&pool.resident_free, -(size_t)__builtin_popcountll(run & chunk->dirty));
		counter_add(&pool.in_service, count);
		chunk->dirty &= ~run;
		chunk->free &= ~run;
		if (!chunk->free)
			unlist_chunk(chunk);
		return &chunk->pages[first];
	}
	return NULL;
}

struct legacy_page *legacy_pages_take(unsigned class)
{
	lock_acquire(&pool.lock);
	struct legacy_page *page = take_locked(legacy_classes[class].run_pages);
	lock_release(&pool.lock);
	return page;
}

void legacy_pages_enter(struct legacy_page *page, unsigned class, unsigned shard, uintptr_t owner)
{
	fetch_add_relaxed(&pool.class_in_service[class], legacy_classes[class].run_pages);
	fetch_add_relaxed(&page->chunk->class_pages[class],
			  (uint8_t)legacy_classes[class].run_pages);
	page->class = (uint8_t) class;
	page->shard = (uint8_t)shard;
	page->capacity = (uint8_t)legacy_classes[class].capacity;
	page->home = 0;
	/* Whoever reads it has a block of this page from us, and the record with it. */
	store_relaxed(&page->owner, owner);
	for (unsigned i = 0; i < page->capacity; i++)
		store_relaxed(&page->state[i], BLOCK_UNUSED);
	for (unsigned i = 0; i < legacy_classes[class].run_pages; i++)
		store_relaxed(&page[i].head, page);
}

/* Purging under the lock holds others up for the length of an madvise. It is rare, and a page
 * that is neither free nor in service while it is purged would be lost to the child of a fork. */
static bool purge_locked(struct legacy_chunk *chunk, unsigned first, unsigned count)
{
	size_t bytes = count * PAGE_BYTES;
	if (os_purge(chunk->base + first * PAGE_BYTES, bytes) != 0)
		return false;
	for (unsigned i = first; i < first + count; i++)
		counter_add(&pool.class_purged_bytes[chunk->pages[i].class], PAGE_BYTES);
	PROBE2(page_purged, chunk->base + first * PAGE_BYTES, bytes);
	return true;
}

void legacy_pages_retire(struct legacy_page *page)
{
	struct legacy_chunk *chunk = page->chunk;
	unsigned first = (unsigned)(page - chunk->pages);
	unsigned count = legacy_classes[page->class].run_pages;

	fetch_sub_relaxed(&pool.class_in_service[page->class], count);
	fetch_sub_relaxed(&chunk->class_pages[page->class], (uint8_t)count);
	lock_acquire(&pool.lock);
	for (unsigned i = 0; i < count; i++) {
		store_relaxed(&page[i].head, NULL);
		page[i].class = page->class;
	}
	if (!chunk->free)
		list_chunk(chunk);
	chunk->free |= run_mask(first, count);
	counter_add(&pool.in_service, -(size_t)count);
	if (load_relaxed(&pool.resident_free) + count <= RESIDENT_FREE_PAGES_MAX ||
	    !purge_locked(chunk, first, count)) {
		chunk->dirty |= run_mask(first, count);
		counter_add(&pool.resident_free, count);
	}
	lock_release(&pool.lock);
}

static size_t trim_chunk_locked(struct legacy_chunk *chunk)
{
	size_t given_bytes = 0;
	uint64_t left = chunk->free & chunk->dirty;
	while (left) {
		unsigned first = (unsigned)__builtin_ctzll(left);
		uint64_t after = ~(left >> first);
		unsigned count = after ? (unsigned)__builtin_ctzll(after) : CHUNK_PAGES;
		uint64_t run = count == CHUNK_PAGES ? ~(uint64_t)0 : run_mask(first, count);
		left &= ~run;
		if (!purge_locked(chunk, first, count))
			continue;
		chunk->dirty &= ~run;
		counter_add(&pool.resident_free, -(size_t)count);
		given_bytes += count * PAGE_BYTES;
	}
	return given_bytes;
}

size_t legacy_pages_trim(void)
{
	size_t given_bytes = 0;
	/* acquire: pairs with the release in legacy_pages_grow() */
	for (struct legacy_chunk *chunk = load_acquire(&pool.all); chunk; chunk = chunk->all_next) {
		lock_acquire(&pool.lock);
		given_bytes += trim_chunk_locked(chunk);
		lock_release(&pool.lock);
	}
	return given_bytes;
}

static size_t chunk_descriptor_bytes(void)
{
	return align_up(sizeof(struct legacy_chunk), OS_PAGE_BYTES);
}

/* Maps a chunk and its descriptors. In the address map and in the table, in no list yet. */
static struct legacy_chunk *map_chunk(void)
{
	char *base = os_map_aligned(CHUNK_BYTES, CHUNK_BYTES, 0);
	if (!base)
		return NULL;
	struct legacy_chunk *chunk = os_map(NULL, chunk_descriptor_bytes());
	if (!chunk)
		goto no_descriptors;
	chunk->base = base;
	chunk->free = ~(uint64_t)0;
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		chunk->pages[i].start = base + i * PAGE_BYTES;
		chunk->pages[i].number = (uintptr_t)chunk->pages[i].start >> PAGE_SHIFT;
		chunk->pages[i].chunk = chunk;
	}
	if (!map_claim(base, CHUNK_BYTES, MAP_LEGACY))
		goto no_claim;
	if (!legacy_table_add(chunk))
		goto no_entries;
	return chunk;

no_entries:
	map_release(base, CHUNK_BYTES);
no_claim:
	os_unmap(chunk, chunk_descriptor_bytes());
no_descriptors:
	os_unmap(base, CHUNK_BYTES);
	return NULL;
}

bool legacy_pages_grow(void)
{
	struct legacy_chunk *chunk = map_chunk();
	if (!chunk)
		return false;
	lock_acquire(&pool.lock);
	chunk->all_next = load_relaxed(&pool.all);
	/* release: pairs with the acquire of those who walk all chunks without the lock */
	store_release(&pool.all, chunk);
	counter_add(&pool.chunk_count, 1);
	list_chunk(chunk);
	lock_release(&pool.lock);
	return true;
}

bool legacy_pages_any(void)
{
	return load_relaxed(&pool.all) != NULL;
}

void legacy_pages_count(struct legacy_counters *c)
{
	c->pages = load_relaxed(&pool.in_service);
	c->purged_bytes = 0;
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		c->class_pages[class] = load_relaxed(&pool.class_in_service[class]);
		c->class_purged_bytes[class] = load_relaxed(&pool.class_purged_bytes[class]);
		c->purged_bytes += c->class_purged_bytes[class];
	}
	/* acquire: pairs with the release in legacy_pages_grow() */
	for (struct legacy_chunk *chunk = load_acquire(&pool.all); chunk; chunk = chunk->all_next)
		for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
			c->class_chunks[class] += load_relaxed(&chunk->class_pages[class]) > 0;
	c->chunks = load_relaxed(&pool.chunk_count);
	c->mapped_bytes = c->chunks * (CHUNK_BYTES + chunk_descriptor_bytes());
	c->resident_free_bytes = load_relaxed(&pool.resident_free) * PAGE_BYTES;
}

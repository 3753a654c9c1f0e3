/* SPDX-License-Identifier: MIT */
/* legacy/cache.c - layers 1 to 4: ring, LIFO and active pages, and how they refill; see cache.h */
#include "legacy/cache.h"

#include "legacy/block.h"
#include "legacy/pages.h"
#include "legacy/remote.h"
#include "legacy/shards.h"
#include "legacy/thread.h"
#include "legacy/transfer.h"
#include "legacy/tunables.h"
#include "shim/base/check.h"

/* --- the four containers ---------------------------------------------------------------------- */

static unsigned ring_slots(void)
{
	return legacy_tunables.unified ? RING_SLOTS_UNIFIED : RING_SLOTS;
}

static bool ring_push(struct legacy_cache *cache, void *block)
{
	unsigned slots = ring_slots();
	if (cache->ring_count == slots)
		return false;
	store_relaxed(&cache->ring[(cache->ring_first + cache->ring_count++) % slots], block);
	return true;
}

/* The newest, whose lines are warm. */
static void *ring_pop(struct legacy_cache *cache)
{
	if (cache->ring_count == 0)
		return NULL;
	return load_relaxed(&cache->ring[(cache->ring_first + --cache->ring_count) % ring_slots()]);
}

static void *ring_pop_oldest(struct legacy_cache *cache)
{
	if (cache->ring_count == 0)
		return NULL;
	void *block = load_relaxed(&cache->ring[cache->ring_first]);
	cache->ring_first = (cache->ring_first + 1) % ring_slots();
	cache->ring_count--;
	return block;
}

/* With QF2 there is no LIFO: it never has room, so it is always empty. */
static bool lifo_push(struct legacy_cache *cache, void *block)
{
	unsigned count = cache->lifo_count;
	if (count == LIFO_SLOTS || legacy_tunables.unified)
		return false;
	store_relaxed(&cache->lifo[count], block);
	cache->lifo_count = count + 1;
	return true;
}

static void *lifo_pop(struct legacy_cache *cache)
{
	unsigned count = cache->lifo_count;
	if (count == 0)
		return NULL;
	cache->lifo_count = count - 1;
	return load_relaxed(&cache->lifo[count - 1]);
}

static void lifo_pop_oldest(struct legacy_cache *cache, void **blocks, unsigned count)
{
	unsigned left = cache->lifo_count - count;
	for (unsigned i = 0; i < count; i++)
		blocks[i] = load_relaxed(&cache->lifo[i]);
	for (unsigned i = 0; i < left; i++)
		store_relaxed(&cache->lifo[i], load_relaxed(&cache->lifo[i + count]));
	cache->lifo_count = left;
}

static void *bump(struct bump_run *run)
{
	struct legacy_page *page = load_relaxed(&run->page);
	if (!page)
		return NULL;
	void *block = block_at(page, run->next++);
	if (run->next == run->end)
		store_relaxed(&run->page, NULL);
	return block;
}

static void start_run(struct bump_run *run, struct legacy_page *page, unsigned next, unsigned end)
{
	run->next = next;
	run->end = end;
	store_relaxed(&run->page, page);
}

/* --- malloc: the layers below ----------------------------------------------------------------- */

/* With QF3 a ring pop writes no header, so what enters the ring by refill gets one here. What
 * enters it by free has one. */
static void ring_refill(struct legacy_thread *t, unsigned class, void *block)
{
	bool room = ring_push(&t->caches[class], block);
	CHECK_CHEAP(room);
	(void)room;
	if (legacy_tunables.skip_header)
		header_write(t, block, class, legacy_classes[class].payload_bytes, 0);
}

static void *take_transfer(struct legacy_thread *t, unsigned class)
{
	void *blocks[REFILL_BLOCKS];
	unsigned count = legacy_transfer_take(t->word, class, blocks);
	for (unsigned i = 0; i + 1 < count; i++)
		ring_refill(t, class, blocks[i]);
	return count ? blocks[count - 1] : NULL;
}

static void *take_shard(struct legacy_thread *t, unsigned class)
{
	struct bump_run *active_b = &t->caches[class].active_b;
	struct legacy_haul haul = { .wants_run = load_relaxed(&active_b->page) == NULL };
	if (!legacy_shards_pop(t, class, &haul))
		return NULL;
	struct legacy_page *page = load_relaxed(&haul.run.page);
	if (page) {
		start_run(active_b, page, haul.run.next, haul.run.end);
		return bump(active_b);
	}
	for (unsigned i = 0; i + 1 < haul.count; i++)
		ring_refill(t, class, haul.blocks[i]);
	return haul.blocks[haul.count - 1];
}

/* Takes the thread's whole remote stack over, which holds all classes: each to its own ring,
 * LIFO, or home. */
static void *take_remote(struct legacy_thread *t, unsigned class)
{
	void *kept = NULL, *block = legacy_remote_take(t);
	while (block) {
		struct legacy_page *page;
		unsigned index;
		void *below = legacy_remote_next(t, block, &page, &index);
		struct legacy_cache *cache = &t->caches[page->class];
		if (!kept && page->class == class)
			kept = block;
		else if (cache->ring_count < ring_slots())
			ring_refill(t, page->class, block);
		else if (!lifo_push(cache, block))
			legacy_shards_push(t, page, index);
		block = below;
	}
	return kept;
}

/* `page` is one that was taken already, or NULL. */
static void *take_fresh(struct legacy_thread *t, unsigned class, struct legacy_page *page)
{
	while (!page && !(page = legacy_pages_take(class)))
		if (!legacy_pages_grow())
			return NULL;
	legacy_pages_enter(page, class, t->shard, t->word);
	start_run(&t->caches[class].active_a, page, 0, page->capacity);
	return bump(&t->caches[class].active_a);
}

static NOINLINE void *take_slow(struct legacy_thread *t, unsigned class,
				struct legacy_source *source)
{
	void *block;
	source->layer = LEGACY_LAYER_TRANSFER;
	if ((block = take_transfer(t, class)))
		return block;
	source->layer = LEGACY_LAYER_SHARD;
	if ((block = take_shard(t, class)))
		return block;
	source->layer = LEGACY_LAYER_REMOTE;
	if ((block = take_remote(t, class)))
		return block;
	/* Before the process grows: owners may be asleep on what others gave back to them. */
	struct legacy_page *page = legacy_pages_take(class);
	if (!page && legacy_threads_reclaim(t)) {
		source->layer = LEGACY_LAYER_SHARD;
		if ((block = take_shard(t, class)))
			return block;
	}
	source->layer = LEGACY_LAYERS;
	return take_fresh(t, class, page);
}

void *legacy_cache_take(struct legacy_thread *t, unsigned class, struct legacy_source *source)
{
	struct legacy_cache *cache = &t->caches[class];
	void *block = ring_pop(cache);
	source->has_header = block != NULL;
	source->layer = LEGACY_LAYER_RING;
	if (block)
		return block;
	source->layer = LEGACY_LAYER_LIFO;
	if ((block = lifo_pop(cache)))
		return block;
	source->layer = LEGACY_LAYER_ACTIVE_A;
	if ((block = bump(&cache->active_a)))
		return block;
	source->layer = LEGACY_LAYER_ACTIVE_B;
	if ((block = bump(&cache->active_b)))
		return block;
	return take_slow(t, class, source);
}

/* --- free ------------------------------------------------------------------------------------- */

static void send_one_home(struct legacy_thread *t, const void *block)
{
	unsigned index;
	struct legacy_page *page = locate(t, block, &index);
	legacy_shards_push(t, page, index);
}

void legacy_cache_send_batch_home(struct legacy_thread *t, void *const *blocks)
{
	for (unsigned i = 0; i < REFILL_BLOCKS; i++)
		send_one_home(t, blocks[i]);
}

static NOINLINE void spill(struct legacy_thread *t, unsigned class)
{
	struct legacy_cache *cache = &t->caches[class];
	void *blocks[SPILL_BLOCKS];
	if (legacy_tunables.unified)
		for (unsigned i = 0; i < SPILL_BLOCKS; i++)
			blocks[i] = ring_pop_oldest(cache);
	else
		lifo_pop_oldest(cache, blocks, SPILL_BLOCKS);
	for (unsigned i = 0; i < SPILL_BLOCKS; i += REFILL_BLOCKS)
		if (!legacy_transfer_put(t, class, blocks + i))
			legacy_cache_send_batch_home(t, blocks + i);
}

void legacy_cache_put(struct legacy_thread *t, unsigned class, void *block)
{
	struct legacy_cache *cache = &t->caches[class];
	if (likely(ring_push(cache, block)) || lifo_push(cache, block))
		return;
	spill(t, class);
	if (!ring_push(cache, block) && !lifo_push(cache, block))
		send_one_home(t, block);
}

/* --- everything home -------------------------------------------------------------------------- */

void legacy_cache_send_home(struct legacy_thread *t, void *taken)
{
	while (taken) {
		struct legacy_page *page;
		unsigned index;
		void *below = legacy_remote_next(t, taken, &page, &index);
		legacy_shards_push(t, page, index);
		taken = below;
	}
}

static void flush_run(struct legacy_thread *t, struct bump_run *run)
{
	struct legacy_page *page = load_relaxed(&run->page);
	if (!page)
		return;
	store_relaxed(&run->page, NULL);
	/* The page stays in service until the last of them is home. */
	for (unsigned i = run->next; i < run->end; i++)
		legacy_shards_push(t, page, i);
}

void legacy_cache_flush(struct legacy_thread *t)
{
	void *block, *blocks[REFILL_BLOCKS];
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		struct legacy_cache *cache = &t->caches[class];
		while ((block = ring_pop(cache)))
			send_one_home(t, block);
		while ((block = lifo_pop(cache)))
			send_one_home(t, block);
		flush_run(t, &cache->active_a);
		flush_run(t, &cache->active_b);
		while (legacy_transfer_take_own(t->word, class, blocks))
			legacy_cache_send_batch_home(t, blocks);
	}
}

/* --- the child of a fork ---------------------------------------------------------------------- */

void legacy_cache_salvage_block(const void *block)
{
	struct legacy_page *page = block ? legacy_table_find(NULL, block) : NULL;
	page = page ? load_relaxed(&page->head) : NULL;
	if (!page)
		return;
	unsigned index = block_index(page, block);
	if (index < page->capacity && block_at(page, index) == block)
		legacy_shards_push_stray(page, index);
}

/* Which of the page's blocks the run still held is not certain, but none of them is anybody else's
 * unless it is live or at home. */
static void salvage_run(struct bump_run *run)
{
	struct legacy_page *page = load_relaxed(&run->page);
	unsigned capacity = page && load_relaxed(&page->head) == page ? page->capacity : 0;
	store_relaxed(&run->page, NULL);
	/* A page that retires on the way is not looked at again: it was the last block. */
	for (unsigned i = 0; i < capacity && load_relaxed(&page->head) == page; i++)
		legacy_shards_push_stray(page, i);
}

void legacy_cache_salvage(struct legacy_thread *absent)
{
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		struct legacy_cache *cache = &absent->caches[class];
		for (unsigned i = 0; i < ring_slots(); i++)
			legacy_cache_salvage_block(load_relaxed(&cache->ring[i]));
		for (unsigned i = 0; i < LIFO_SLOTS; i++)
			legacy_cache_salvage_block(load_relaxed(&cache->lifo[i]));
		salvage_run(&cache->active_a);
		salvage_run(&cache->active_b);
		cache->ring_first = cache->ring_count = cache->lifo_count = 0;
	}
}

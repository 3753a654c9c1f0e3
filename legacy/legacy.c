/* SPDX-License-Identifier: MIT */
/* legacy/legacy.c - the entry: malloc, free, trim and fork over the seven layers
 *
 * legacy_malloc(t, bytes)                           legacy_free(t, block)
 *  |                                                 |
 *  +- no t ---> shards, one block, live at once      +- look-up 2: page, boundary, state, header
 *  |                                                 |    and else the one fatal exit
 *  +- 1 ring --------------------- newest            |
 *  +- 2 LIFO --------------------- newest            +- no t ------> home, under the shard's lock
 *  +- 3 active A ----------------- bump              |
 *  +- 4 active B ----------------- bump              +- t owns the page
 *  +- 5 transfer cache ----------- a batch -> ring   |   +- ring, else LIFO has room: there
 *  +- 6 shards, probes, wait ----- run -> B,         |   +- else spill the 64 oldest:
 *  |                               or 16 -> ring     |       transfer cache, else (look-up 3) home
 *  +- 7 own remote stack, whole -- look-up 3 each,   |
 *  |                               -> ring, LIFO,    +- owner lives: its remote stack
 *  |                               home              |
 *  +- a page from a chunk -> A                       +- owner is gone: home
 *  |
 *  +- look-up 1: state live; header                  home: the shard of the block's page. A page
 *     (QF3: not if it came from the ring)            with all blocks home goes back to its chunk
 *
 * SYNCHRONIZATION
 *
 *   caches of a thread     that thread alone; the child of a fork reads those of absent threads
 *   block state            who owns the block: the program's own hand-over of the pointer orders
 *                          it; between threads of ours the remote stack, the transfer slot or the
 *                          shard's lock, whichever carries the block
 *   page->home and lists   the lock of the page's shard
 *   page->owner            any thread reads; written when the page enters service, and under the
 *                          shard's lock. Stale is harmless: the push compares the incarnation
 *   remote stack           lock-free, see remote.h
 *   transfer cache         claimed slot by slot, see transfer.h
 *   chunks, free pages     the pool's lock
 *   descriptor table       the table's lock
 *   records' free list     the records' lock
 *
 * A thread holds at most one lock at a time (the rule of lock.h): nothing is looked up under a
 * shard's lock, and a page leaves its shard before it enters the pool.
 */
#include "legacy/legacy.h"

#include "legacy/block.h"
#include "legacy/cache.h"
#include "legacy/counters.h"
#include "legacy/pages.h"
#include "legacy/remote.h"
#include "legacy/shards.h"
#include "legacy/table.h"
#include "legacy/thread.h"
#include "legacy/transfer.h"
#include "legacy/tunables.h"
#include "legacy/types.h"
#include "shim/base/check.h"

/* thread_token() of who moves blocks in legacy_trim(), or 0: it has no record to say so. */
static _Atomic uintptr_t trimmer;

bool legacy_init(void)
{
	if (!map_kinds)
		return false;
	legacy_shards_init();
	legacy_table_init();
	legacy_pages_init();
	legacy_threads_init();
	return true;
}

bool legacy_configure(const char *text, const char **error)
{
	struct legacy_tunables parsed;
	if (!legacy_tunables_parse(text, &parsed, error))
		return false;
	if (legacy_pages_any() || legacy_threads_first()) {
		*error = "too late: blocks are in use";
		return false;
	}
	legacy_tunables = parsed;
	return true;
}

size_t legacy_class_bytes(unsigned class)
{
	return legacy_classes[class].payload_bytes;
}

/* --- malloc ----------------------------------------------------------------------------------- */

static void *malloc_uncached(unsigned class, size_t bytes, uint32_t site)
{
	void *block = legacy_shards_malloc(class);
	if (!block)
		return NULL;
	header_write(NULL, block, class, bytes, site);
	COUNT((struct legacy_thread *)NULL, uncached_mallocs);
	COUNT((struct legacy_thread *)NULL, mallocs[class]);
	return block;
}

static void count_source(struct legacy_thread *t, unsigned layer)
{
	if (likely(layer < LEGACY_LAYERS))
		counter_add(&t->tally.layer_hits[layer], 1);
	else
		counter_add(&t->tally.fresh_pages, 1);
}

void *legacy_malloc(struct legacy_thread *t, size_t bytes, uint32_t site)
{
	if (unlikely(bytes > LEGACY_MAX_BYTES))
		return NULL;
	unsigned class = class_of(bytes);
	if (unlikely(!t))
		return malloc_uncached(class, bytes, site);

	thread_enter(t);
	struct legacy_source source;
	void *block = legacy_cache_take(t, class, &source);
	if (likely(block != NULL)) {
		unsigned index;
		struct legacy_page *page = locate(t, block, &index);
		store_relaxed(&page->state[index], BLOCK_LIVE);
		if (!legacy_tunables.skip_header || !source.has_header)
			header_write(t, block, class, bytes, site);
		count_source(t, source.layer);
		counter_add(&t->tally.mallocs[class], 1);
	}
	thread_leave(t);
	return block;
}

void legacy_layer_hits(const struct legacy_thread *t, uint64_t hits[LEGACY_LAYERS])
{
	for (unsigned layer = 0; layer < LEGACY_LAYERS; layer++)
		hits[layer] = t ? load_relaxed(&t->tally.layer_hits[layer]) : 0;
}

/* --- free and usable size --------------------------------------------------------------------- */

enum use { FREE, SIZE };

/* Says which kind of misuse it is; `page` is that of the run, or NULL. */
static COLD void not_live(enum use use, const struct legacy_page *page, const void *block)
{
	const char *what = use == FREE ? "invalid free" : "invalid pointer";
	unsigned index = page ? block_index(page, block) : 0;
	if ((uintptr_t)block % LEGACY_ALIGNMENT != 0)
		fatal_misuse(what, block, "misaligned pointer");
	if (!page || index >= page->capacity)
		fatal_misuse(what, block, "no block of legacy lies there");
	if (block_at(page, index) != block)
		fatal_misuse(what, block, "pointer into the middle of a block");
	if (load_relaxed(&page->state[index]) == BLOCK_FREE)
		fatal_misuse(use == FREE ? "double free" : "use of a freed block", block,
			     "the block is free already");
	if (load_relaxed(&page->state[index]) != BLOCK_LIVE)
		fatal_misuse(what, block, "the block was never handed out");
	fatal_misuse("corrupted block header", block, "something wrote below the block");
}

/* The program's pointer: nothing is read where it points before the table, the arithmetic and the
 * state in the descriptor have all said that a live block begins there. One division gives the index and the rest; an
 * address in the run has the index of a block or of the rest behind the last one. */
INLINE struct legacy_page *check_live(struct legacy_thread *t, enum use use, const void *block,
				      unsigned *index)
{
	struct legacy_page *page = legacy_table_find(t, block);
	page = page ? load_relaxed(&page->head) : NULL;
	if (unlikely(!page))
		not_live(use, NULL, block);
	unsigned offset = (unsigned)((uintptr_t)block - (uintptr_t)page->start);
	unsigned stride_bytes = legacy_classes[page->class].stride_bytes;
	*index = offset / stride_bytes;
	if (unlikely(offset % stride_bytes != HEADER_BYTES))
		not_live(use, page, block);
	if (unlikely(load_relaxed(&page->state[*index]) != BLOCK_LIVE))
		not_live(use, page, block);
	if (unlikely(!header_intact(block, page->class)))
		not_live(use, page, block);
	return page;
}

void legacy_free(struct legacy_thread *t, void *block)
{
	unsigned index;
	struct legacy_page *page = check_live(t, FREE, block, &index);
	unsigned class = page->class;
	COUNT(t, frees[class]);
	if (unlikely(!t)) {
		if (!legacy_shards_free(page, index))
			fatal_misuse("double free", block, "the block is free already");
		return;
	}

	thread_enter(t);
	store_relaxed(&page->state[index], BLOCK_FREE);
	/* acquire: pairs with the release in adopt(), for the record that the word names */
	uintptr_t owner = load_acquire(&page->owner);
	if (likely(owner == t->word))
		legacy_cache_put(t, class, block);
	else if (legacy_remote_push(owner, page, index, block))
		counter_add(&t->tally.remote_frees[class], 1);
	else
		legacy_shards_push(t, page, index);
	thread_leave(t);
}

size_t legacy_usable_bytes(const void *block)
{
	unsigned index;
	struct legacy_page *page = check_live(NULL, SIZE, block, &index);
	return legacy_classes[page->class].payload_bytes;
}

/* --- trim and fork ---------------------------------------------------------------------------- */

size_t legacy_trim(void)
{
	uintptr_t nobody = 0;
	/* Two at once would find nothing more, and one token is enough for the child of a fork. */
	if (cas_relaxed(&trimmer, &nobody, thread_token())) {
		void *blocks[REFILL_BLOCKS];
		legacy_threads_reclaim(NULL);
		for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
			while (legacy_transfer_take(0, class, blocks))
				legacy_cache_send_batch_home(NULL, blocks);
		store_relaxed(&trimmer, 0);
	}
	return legacy_pages_trim();
}

void legacy_fork_child(void)
{
	bool trimming = load_relaxed(&trimmer) == thread_token();
	if (!trimming)
		store_relaxed(&trimmer, 0);
	legacy_threads_fork_child(trimming || legacy_shards_interrupted() ||
				  legacy_table_interrupted() || legacy_pages_interrupted());
}

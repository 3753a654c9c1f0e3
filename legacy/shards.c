/* SPDX-License-Identifier: MIT */
/* legacy/shards.c - layer 6: the freelists, 7 classes x 8 shards, a lock each; see shards.h */
#include "legacy/shards.h"

#include "legacy/counters.h"
#include "legacy/pages.h"
#include "legacy/remote.h"
#include "legacy/tunables.h"
#include "shim/base/check.h"
#include "shim/base/probes.h"

#define BUMP_RUN_MIN 4 /* fewer adjacent blocks are popped one by one */

/* Padded: two locks never share a line. */
struct shard {
	struct lock lock;
	struct legacy_page *pages; /* [lock] with blocks at home */
	_Atomic size_t
		home_blocks; /* [lock to write] read without it as a hint: 0 is not worth a lock */
} CACHE_ALIGN;

static struct shard shards[LEGACY_CLASSES][SHARDS];

void legacy_shards_init(void)
{
	lock_join_fork(&shards[0][0].lock, LEGACY_CLASSES * SHARDS, sizeof(struct shard));
}

bool legacy_shards_interrupted(void)
{
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
		for (unsigned i = 0; i < SHARDS; i++)
			if (lock_held_by_self(&shards[class][i].lock))
				return true;
	return false;
}

static void wait_for_shard(struct legacy_thread *t, struct shard *shard)
{
	size_t number = (size_t)(shard - &shards[0][0]);

	if (!lock_acquire(&shard->lock))
		return;
	COUNT(t, lock_waits[number / SHARDS]);
	PROBE2(legacy_lock_waited, number / SHARDS, number % SHARDS);
}

static void lock_shard(struct legacy_thread *t, struct shard *shard)
{
	if (lock_try(&shard->lock))
		return;
	COUNT(t, contended_trylocks);
	wait_for_shard(t, shard);
}

/* --- under a shard's lock --------------------------------------------------------------------- */

static uint32_t all_home(const struct legacy_page *page)
{
	return ((uint32_t)1 << page->capacity) - 1;
}

static void list_page(struct shard *shard, struct legacy_page *page)
{
	page->prev = NULL;
	page->next = shard->pages;
	if (page->next)
		page->next->prev = page;
	shard->pages = page;
}

static void unlist_page(struct shard *shard, struct legacy_page *page)
{
	if (page->prev)
		page->prev->next = page->next;
	else
		shard->pages = page->next;
	if (page->next)
		page->next->prev = page->prev;
}

/* The blocks of `mask`, at home until now, leave the list. */
static void leave_home(struct shard *shard, struct legacy_page *page, uint32_t mask)
{
	CHECK_CHEAP((page->home & mask) == mask);
	page->home &= ~mask;
	counter_add(&shard->home_blocks, -(size_t)__builtin_popcount(mask));
	if (!page->home)
		unlist_page(shard, page);
}

/* The blocks of `mask` come home. True if the page is wholly free now; then it is in no list, and
 * the caller retires it once the lock is released. Its bits stay set until it enters service
 * again: in between, a fork's child must not take its blocks for stray ones. */
static MUST_USE bool come_home(struct shard *shard, struct legacy_page *page, uint32_t mask)
{
	CHECK_CHEAP((page->home & mask) == 0);
	if (!page->home)
		list_page(shard, page);
	page->home |= mask;
	counter_add(&shard->home_blocks, (size_t)__builtin_popcount(mask));
	if (page->home != all_home(page))
		return false;
	counter_add(&shard->home_blocks, -(size_t)page->capacity);
	unlist_page(shard, page);
	return true;
}

static bool pop_run(struct shard *shard, struct legacy_page *page, struct bump_run *run)
{
	unsigned first = (unsigned)__builtin_ctz(page->home);
	unsigned count = (unsigned)__builtin_ctz(~(page->home >> first));
	if (count < BUMP_RUN_MIN)
		return false;
	leave_home(shard, page, (((uint32_t)1 << count) - 1) << first);
	store_relaxed(&run->page, page);
	run->next = first;
	run->end = first + count;
	return true;
}

/* Frees of the page's blocks would go to a thread that is gone, so straight home, one by one. */
static void adopt(struct legacy_thread *t, struct legacy_page *page)
{
	if (legacy_remote_open(load_relaxed(&page->owner)))
		return;
	/* release: pairs with the acquire in legacy_free(). Who frees a block of this page may
	 * never have met `t`, and looks into its record. */
	store_release(&page->owner, t->word);
}

static bool pop_locked(struct legacy_thread *t, struct shard *shard, struct legacy_haul *haul)
{
	haul->count = 0;
	store_relaxed(&haul->run.page, NULL);
	while (shard->pages && haul->count < REFILL_BLOCKS) {
		struct legacy_page *page = shard->pages;
		adopt(t, page);
		if (haul->wants_run && haul->count == 0 && pop_run(shard, page, &haul->run))
			return true;
		while (haul->count < REFILL_BLOCKS) {
			unsigned index = (unsigned)__builtin_ctz(page->home);
			bool last = !(page->home & (page->home - 1));
			haul->blocks[haul->count++] = block_at(page, index);
			leave_home(shard, page, (uint32_t)1 << index);
			if (last)
				break;
		}
	}
	return haul->count > 0;
}

/* --- for threads with caches ------------------------------------------------------------------ */

/* Rank 1 of the plan's bottlenecks. With QF1 there is one probe. */
bool legacy_shards_pop(struct legacy_thread *t, unsigned class, struct legacy_haul *haul)
{
	struct shard *busy = NULL, *shard;
	bool found = false;
	for (unsigned i = 0; i < legacy_tunables.probes && !found; i++) {
		shard = &shards[class][(t->shard + i) % SHARDS];
		if (load_relaxed(&shard->home_blocks) == 0)
			continue;
		if (!lock_try(&shard->lock)) {
			COUNT(t, contended_trylocks);
			busy = busy ? busy : shard;
			continue;
		}
		found = pop_locked(t, shard, haul);
		lock_release(&shard->lock);
	}
	if (!found && busy) {
		wait_for_shard(t, busy);
		found = pop_locked(t, busy, haul);
		lock_release(&busy->lock);
	}
	/* Blocks further away cost a walk over all shards, but less than a new page does. */
	for (unsigned i = 0; i < SHARDS && !found; i++) {
		shard = &shards[class][(t->shard + i) % SHARDS];
		if (load_relaxed(&shard->home_blocks) == 0)
			continue;
		lock_shard(t, shard);
		found = pop_locked(t, shard, haul);
		lock_release(&shard->lock);
	}
	return found;
}

void legacy_shards_push(struct legacy_thread *t, struct legacy_page *page, unsigned index)
{
	struct shard *shard = &shards[page->class][page->shard];
	lock_shard(t, shard);
	bool wholly_free = come_home(shard, page, (uint32_t)1 << index);
	lock_release(&shard->lock);
	if (wholly_free)
		legacy_pages_retire(page);
}

void legacy_shards_push_stray(struct legacy_page *page, unsigned index)
{
	struct shard *shard = &shards[page->class][page->shard];
	bool wholly_free = false;
	lock_acquire(&shard->lock);
	if (load_relaxed(&page->state[index]) != BLOCK_LIVE && !(page->home >> index & 1))
		wholly_free = come_home(shard, page, (uint32_t)1 << index);
	lock_release(&shard->lock);
	if (wholly_free)
		legacy_pages_retire(page);
}

/* --- without caches ------------------------------------------------------------------------------
 *
 * There is no record to say that the thread is in the middle of something, and a fork from a
 * signal handler must not take a block home that is on its way. So a block changes between home
 * and live in one critical section, and a fresh page enters service in the one that makes its
 * first block live.
 */
static void *pop_live(struct shard *shard)
{
	struct legacy_page *page = shard->pages;
	if (!page)
		return NULL;
	unsigned index = (unsigned)__builtin_ctz(page->home);
	leave_home(shard, page, (uint32_t)1 << index);
	store_relaxed(&page->state[index], BLOCK_LIVE);
	return block_at(page, index);
}

static void *malloc_fresh(unsigned class, unsigned shard_number)
{
	struct shard *shard = &shards[class][shard_number];
	struct legacy_page *page = legacy_pages_take(class);
	while (!page) {
		if (!legacy_pages_grow())
			return NULL;
		page = legacy_pages_take(class);
	}
	COUNT((struct legacy_thread *)NULL, fresh_pages);
	lock_shard(NULL, shard);
	legacy_pages_enter(page, class, shard_number, 0);
	store_relaxed(&page->state[0], BLOCK_LIVE);
	bool wholly_free = come_home(shard, page, all_home(page) & ~(uint32_t)1);
	CHECK_CHEAP(!wholly_free);
	(void)wholly_free;
	void *block = block_at(page, 0);
	lock_release(&shard->lock);
	return block;
}

void *legacy_shards_malloc(unsigned class)
{
	/* Thread pointers differ in their higher bits. */
	unsigned first = (unsigned)(thread_token() >> 12) % SHARDS;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &shards[class][(first + i) % SHARDS];
		if (load_relaxed(&shard->home_blocks) == 0)
			continue;
		lock_shard(NULL, shard);
		void *block = pop_live(shard);
		lock_release(&shard->lock);
		if (block)
			return block;
	}
	return malloc_fresh(class, first);
}

bool legacy_shards_free(struct legacy_page *page, unsigned index)
{
	struct shard *shard = &shards[page->class][page->shard];
	lock_shard(NULL, shard);
	if (load_relaxed(&page->state[index]) != BLOCK_LIVE) {
		lock_release(&shard->lock);
		return false;
	}
	store_relaxed(&page->state[index], BLOCK_FREE);
	bool wholly_free = come_home(shard, page, (uint32_t)1 << index);
	lock_release(&shard->lock);
	if (wholly_free)
		legacy_pages_retire(page);
	return true;
}

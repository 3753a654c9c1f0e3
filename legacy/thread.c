/* SPDX-License-Identifier: MIT */
/* legacy/thread.c - thread records: start, exit, reuse, fork; see thread.h */
#include "legacy/thread.h"

#include "legacy/cache.h"
#include "legacy/remote.h"
#include "legacy/transfer.h"
#include "shim/base/check.h"
#include "shim/base/os.h"

static struct {
	CACHE_ALIGN struct lock lock;
	struct legacy_thread *free;	     /* [lock] records to be used again */
	_Atomic(struct legacy_thread *) all; /* [lock to write] */
	unsigned count;			     /* [lock] in `all` */
	_Atomic size_t started;		     /* [lock to write] */
} records;

static _Atomic uint32_t drain_round; /* [any thread] */

void legacy_threads_init(void)
{
	lock_join_fork(&records.lock, 1, sizeof(records.lock));
}

struct legacy_thread *legacy_threads_first(void)
{
	/* acquire: pairs with the release in publish() */
	return load_acquire(&records.all);
}

size_t legacy_threads_started(void)
{
	return load_relaxed(&records.started);
}

/* [lock: records] */
static void start(struct legacy_thread *t)
{
	t->word = word_make(word_tag(load_relaxed(&t->remote)), t);
	t->token = thread_token();
	t->started = true;
	store_relaxed(&t->drained, load_relaxed(&drain_round)); /* nothing is cached yet */
	counter_add(&records.started, 1);
}

/* [lock: records] */
static void publish(struct legacy_thread *t)
{
	t->shard = records.count++ % SHARDS;
	/* Tag 0 is of words that name nobody. */
	store_relaxed(&t->remote, word_make(1, NULL));
	t->all_next = load_relaxed(&records.all);
	/* release: pairs with the acquire in legacy_threads_first() */
	store_release(&records.all, t);
}

struct legacy_thread *legacy_thread_start(void)
{
	lock_acquire(&records.lock);
	struct legacy_thread *t = records.free;
	if (t) {
		records.free = t->free_next;
		start(t);
	}
	lock_release(&records.lock);
	if (t)
		return t;

	t = os_map(NULL, align_up(sizeof(*t), OS_PAGE_BYTES));
	if (!t)
		return NULL;
	lock_acquire(&records.lock);
	publish(t);
	start(t);
	lock_release(&records.lock);
	return t;
}

/* [lock: records, or the only thread] The caches are empty, the remote stack is closed. */
static void finish(struct legacy_thread *t)
{
	t->started = false;
	counter_add(&records.started, -(size_t)1);
	store_relaxed(&t->inside, false);
	/* With the tags used up it rests for good. */
	if (word_tag(load_relaxed(&t->remote)) == TAG_LAST)
		return;
	t->free_next = records.free;
	records.free = t;
}

void legacy_thread_exit(struct legacy_thread *t)
{
	thread_enter(t);
	legacy_cache_send_home(t, legacy_remote_close(t));
	legacy_cache_flush(t);
	lock_acquire(&records.lock);
	finish(t);
	lock_release(&records.lock);
}

bool legacy_threads_reclaim(struct legacy_thread *t)
{
	bool some = false;
	for (struct legacy_thread *owner = legacy_threads_first(); owner; owner = owner->all_next) {
		void *taken = legacy_remote_take(owner);
		some = some || taken;
		legacy_cache_send_home(t, taken);
	}
	return some;
}

/* --- draining ----------------------------------------------------------------------------------- */

void legacy_drain_begin(void)
{
	fetch_add_relaxed(&drain_round, 1);
}

void legacy_drain(struct legacy_thread *t)
{
	uint32_t round = load_relaxed(&drain_round);

	/* Inside: this came out of a handler that interrupted a call of the same thread. */
	if (load_relaxed(&t->drained) == round || load_relaxed(&t->inside))
		return;
	store_relaxed(&t->drained, round);
	thread_enter(t);
	legacy_cache_send_home(t, legacy_remote_take(t));
	legacy_cache_flush(t);
	thread_leave(t);
}

size_t legacy_drain_left(void)
{
	size_t left = 0;
	uint32_t round = load_relaxed(&drain_round);

	lock_acquire(&records.lock);
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next)
		left += t->started && load_relaxed(&t->drained) != round;
	lock_release(&records.lock);
	return left;
}

/* --- fork -------------------------------------------------------------------------------------
 *
 * The child has one thread. Records of the others were copied at any point of what their threads
 * did, so what they say is a hint: a slot may be stale, a count one off. What can be trusted is
 * each block's state and its bit at home, since both are single stores, the latter under a lock
 * that fork_prepare() held. Once the caches of this thread, every remote stack and every transfer
 * batch are home, a block that is neither live nor home is nobody's; so each pointer found in the
 * caches of absent threads is looked at by that rule and by nothing else. What an absent thread
 * had in hand at that moment, on its stack and in no cache, stays stranded: a batch, a stack just
 * taken, a page between two lists.
 *
 * If this thread itself was interrupted in legacy, it will go on with blocks in hand that the rule
 * would call nobody's. Then nothing is taken home: the caches stay stranded.
 */
static bool is_absent(const struct legacy_thread *t)
{
	return t->started && t->token != thread_token();
}

static bool own_call_interrupted(void)
{
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next)
		if (t->started && !is_absent(t) && load_relaxed(&t->inside))
			return true;
	return lock_held_by_self(&records.lock);
}

static void salvage_transfers(void)
{
	void *blocks[REFILL_BLOCKS];
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
		for (unsigned i = 0; i < TRANSFER_SLOTS; i++) {
			unsigned count = legacy_transfer_salvage(class, i, blocks);
			for (unsigned b = 0; b < count; b++)
				legacy_cache_salvage_block(blocks[b]);
		}
}

/* Owners that are not here must not be pushed to in any case. Returns true if there are some. */
static bool close_absent(bool strand)
{
	bool some = false;
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next) {
		if (!is_absent(t))
			continue;
		some = true;
		void *taken = legacy_remote_close(t);
		if (!strand) {
			legacy_cache_send_home(NULL, taken);
			continue;
		}
		t->started = false;
		counter_add(&records.started, -(size_t)1);
	}
	return some;
}

void legacy_threads_fork_child(bool interrupted)
{
	bool strand = interrupted || own_call_interrupted();
	if (!close_absent(strand) || strand)
		return;
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next) {
		if (!t->started || is_absent(t))
			continue;
		legacy_cache_send_home(t, legacy_remote_take(t));
		legacy_cache_flush(t);
	}
	salvage_transfers();
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next) {
		if (!is_absent(t))
			continue;
		legacy_cache_salvage(t);
		finish(t);
	}
}

/* SPDX-License-Identifier: MIT */
/* tests/next_heap_test.c - heaps: doors and their sweep, exit, adoption, and pages that others emptied */
#include "next/heap.h"

#include "next/next.h"
#include "next/page.h"
#include "next/segment.h"
#include "next/shared.h"
#include "shim/base/lock.h"
#include "tests/next_take.h"
#include "tests/support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES ((size_t)1000)
#define BIN   next_class_of(BYTES)

static void *take(size_t bytes)
{
	void *block = next_take(bytes);
	if (!block)
		abort();
	return block;
}

static void run(void *(*act)(void *), void *argument)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, act, argument), 0);
	pthread_join(thread, NULL);
}

/* --- doors ----------------------------------------------------------------------------- */

#define SLEEPERS 5
static pthread_barrier_t gate;

static void *fill_slots_and_wait(void *argument)
{
	void *blocks[2] = { take(BYTES), take(64) };
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	next_free(blocks[0]);
	next_free(blocks[1]);
	next_thread_exit();
	return argument;
}

static size_t filled_slots(unsigned bin)
{
	size_t filled = 0;
	for (uint32_t number = 1; number <= heap_count(); number++)
		filled += load_relaxed(&heap_numbered(number)->slot[slot_first(bin)]) != EMPTY_PAGE;
	return filled;
}

static void closing_a_door_sweeps_that_class_of_every_heap_and_no_other(void **state)
{
	(void)state;
	pthread_t threads[SLEEPERS];
	pthread_barrier_init(&gate, NULL, SLEEPERS + 1);
	for (int t = 0; t < SLEEPERS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, fill_slots_and_wait, NULL), 0);
	pthread_barrier_wait(&gate);
	size_t others = filled_slots(next_class_of(64));
	assert_true(filled_slots(BIN) >= SLEEPERS);
	assert_true(others >= SLEEPERS);
	next_door_set(BIN, 0);
	assert_int_equal(filled_slots(BIN), 0);
	assert_int_equal(filled_slots(next_class_of(64)), others);
	next_door_set(BIN, NEXT_DOOR_OPEN);
	pthread_barrier_wait(&gate);
	for (int t = 0; t < SLEEPERS; t++)
		pthread_join(threads[t], NULL);
}

static void behind_a_shut_door_blocks_come_from_the_slow_path_alone(void **state)
{
	(void)state;
	next_door_set(BIN, 0);
	assert_false(next_admits(BIN));
	void *first = next_malloc(BYTES);
	assert_non_null(first);
	assert_null(next_malloc_fast(BYTES));
	void *second = next_malloc(BYTES);
	/* The page is not lost by it: it is in the queue. */
	assert_ptr_equal(page_of(first), page_of(second));
	next_door_set(BIN, NEXT_DOOR_OPEN);
	assert_true(next_admits(BIN));
	void *third = next_malloc(BYTES), *fourth = next_malloc_fast(BYTES);
	assert_non_null(fourth);
	assert_ptr_equal(page_of(first), page_of(fourth));
	next_free(first);
	next_free(second);
	next_free(third);
	next_free(fourth);
}

static void a_door_in_between_admits_the_cohorts_below_it(void **state)
{
	(void)state;
	struct next_heap *heap = heap_of_thread();
	next_door_set(BIN, heap->cohort); /* the first share without this heap */
	assert_false(next_admits(BIN));
	next_free(next_malloc(BYTES));
	assert_null(next_malloc_fast(BYTES));
	next_door_set(BIN, heap->cohort + 1);
	assert_true(next_admits(BIN));
	next_free(next_malloc(BYTES));
	void *block = next_malloc_fast(BYTES);
	assert_non_null(block);
	next_free(block);
	next_door_set(BIN, NEXT_DOOR_OPEN);
}

static void a_sampled_malloc_finds_what_it_would_have_found_without(void **state)
{
	(void)state;
	size_t bytes = 64, taken = 0;
	unsigned bin = next_class_of(bytes);
	struct next_heap *heap = heap_of_thread();
	void *blocks[64];
	/* The word at hand is used up, and the page has others. */
	do
		assert_non_null(blocks[taken++] = next_take(bytes));
	while (load_relaxed(heap->queue[bin]->current) != 0 && taken < 64);
	assert_int_equal(load_relaxed(heap->queue[bin]->current), 0);
	bool classes[NEXT_CLASSES] = { false };
	classes[bin] = true;
	next_ask_for_sample(heap->number, classes);
	assert_null(next_malloc_fast(bytes));
	assert_true(next_take_sample());
	assert_false(next_take_sample());
	next_restore_slot(bin);
	void *block = next_malloc_fast(bytes);
	assert_non_null(block);
	assert_ptr_equal(page_of(block), page_of(blocks[0]));
	next_free(block);
	while (taken > 0)
		next_free(blocks[--taken]);
}

/* Odd: the door is shut, and next_door_set() has returned. */
static _Atomic uint32_t epoch;
static _Atomic bool stop;
static _Atomic uint64_t stale;
static _Atomic bool hit; /* some malloc found a page in its slot */

/* The class with the fewest blocks a page, and more of them live than a page has: then slots are filled
 * all the time, also while the door shuts. */
#define FLIPPED_BYTES NEXT_BIN_MAX_BYTES
#define FLIPPED_BIN   next_class_of(FLIPPED_BYTES)
#define FLIPPED_LIVE  9

static void *hammer(void *argument)
{
	uint64_t stale_here = 0;
	void *live[FLIPPED_LIVE] = { NULL };
	pthread_barrier_wait(&gate);
	for (size_t i = 0; !load_relaxed(&stop); i++) {
		uint32_t before = load_acquire(&epoch);
		void *block = next_malloc_fast(FLIPPED_BYTES);
		/* A read-modify-write, before which the load of the slot has to be done. */
		uint32_t after = fetch_or_seq_cst(&epoch, 0);
		if (block && !load_relaxed(&hit))
			store_relaxed(&hit, true);
		stale_here += block && before == after && before % 2 == 1;
		if (!block)
			block = next_malloc(FLIPPED_BYTES);
		if (live[i % FLIPPED_LIVE])
			next_free(live[i % FLIPPED_LIVE]);
		live[i % FLIPPED_LIVE] = block;
	}
	for (size_t i = 0; i < FLIPPED_LIVE; i++)
		if (live[i])
			next_free(live[i]);
	fetch_add_relaxed(&stale, stale_here);
	next_thread_exit();
	return argument;
}

static void no_malloc_that_starts_after_a_door_was_shut_finds_a_page_in_its_slot(void **state)
{
	(void)state;
	enum { FLIPS = 20000, HAMMERS = 2 };
	pthread_t threads[HAMMERS];
	pthread_barrier_init(&gate, NULL, HAMMERS + 1);
	store_relaxed(&stop, false);
	for (int t = 0; t < HAMMERS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, hammer, NULL), 0);
	pthread_barrier_wait(&gate);
	for (int flip = 0; flip < FLIPS || !load_relaxed(&hit); flip++) {
		next_door_set(FLIPPED_BIN, NEXT_DOOR_OPEN);
		for (int i = 0; i < flip % 61; i++)
			spin_pause();
		next_door_set(FLIPPED_BIN, 0);
		fetch_add_acq_rel(&epoch, 1);
		for (int i = 0; i < flip % 17; i++)
			spin_pause();
		fetch_add_acq_rel(&epoch, 1);
		if (flip % 64 == 0)
			sched_yield();
	}
	store_relaxed(&stop, true);
	for (int t = 0; t < HAMMERS; t++)
		pthread_join(threads[t], NULL);
	next_door_set(FLIPPED_BIN, NEXT_DOOR_OPEN);
	assert_int_equal(load_relaxed(&stale), 0);
}

/* --- coming and going ------------------------------------------------------------------ */

static void *take_and_leave(void *argument)
{
	void **block = argument;
	*block = take(BYTES);
	next_thread_exit();
	return heap_of_thread; /* not NULL: says nothing */
}

static struct next_heap *adopted;
static char *adopted_block;

static void *adopt(void *argument)
{
	adopted_block = take(BYTES);
	adopted = next_heap_self;
	/* Freed by the one who owns it now, though another allocated it. */
	uintptr_t owner = load_relaxed(&page_of(argument)->owner);
	if (owner == (uintptr_t)next_heap_self)
		next_free(argument);
	next_free(adopted_block);
	next_thread_exit();
	return NULL;
}

static void a_thread_adopts_the_heap_that_another_left_with_its_pages(void **state)
{
	(void)state;
	void *left;
	run(take_and_leave, &left);
	struct next_heap *heap = (struct next_heap *)page_owner(page_of(left));
	struct next_page *page = page_of(left);
	run(adopt, left);
	assert_ptr_equal(adopted, heap);
	assert_ptr_equal(page_of(adopted_block), page);
	/* It was the adopter's to free: twice is found. */
	assert_int_equal(page_free_count(page), page->block_count);
}

static void a_thread_may_allocate_after_it_left_and_free_without_a_heap(void **state)
{
	(void)state;
	void *block = take(BYTES);
	struct next_page *page = page_of(block);
	struct next_heap *heap = next_heap_self;
	next_thread_exit();
	assert_ptr_equal(next_heap_self, EMPTY_HEAP);
	next_free(block);
	assert_int_equal(load_relaxed(&page->owner), (uintptr_t)heap | OWNER_REMOTE);
	next_thread_exit(); /* again is harmless */
	block = take(BYTES);
	assert_ptr_equal(next_heap_self, heap);
	next_free(block);
}

static void *own_heap(void *argument)
{
	next_free(take(BYTES));
	*(struct next_heap **)argument = next_heap_self;
	next_thread_exit();
	return NULL;
}

static void ten_thousand_threads_share_a_few_heaps(void **state)
{
	(void)state;
	enum { AT_ONCE = 4, ROUNDS = 2500 };
	struct next_heap *heaps[AT_ONCE];
	uint32_t before = heap_count();
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[AT_ONCE];
		for (int t = 0; t < AT_ONCE; t++)
			assert_int_equal(pthread_create(&threads[t], NULL, own_heap, &heaps[t]), 0);
		for (int t = 0; t < AT_ONCE; t++)
			pthread_join(threads[t], NULL);
	}
	assert_true(heap_count() <= before + AT_ONCE);
}

static void heaps_are_spread_evenly_over_the_cohorts(void **state)
{
	(void)state;
	enum { HEAPS = 4000, SHARES = 10 };
	static struct next_heap *heaps[HEAPS];
	struct next_heap *self = next_heap_self;
	unsigned shares[SHARES] = { 0 };
	for (int i = 0; i < HEAPS; i++) {
		next_heap_self = EMPTY_HEAP;
		heaps[i] = heap_of_thread();
		assert_non_null(heaps[i]);
		assert_true(heaps[i]->cohort <= NEXT_COHORT_MAX);
		shares[(uint64_t)heaps[i]->cohort * SHARES >> 32]++;
	}
	for (int i = 0; i < HEAPS; i++) {
		next_heap_self = heaps[i];
		next_thread_exit();
	}
	next_heap_self = self;
	/* 400 each, and five standard deviations */
	for (int i = 0; i < SHARES; i++)
		assert_in_range(shares[i], 300, 500);
}

/* --- pages whose owner is away --------------------------------------------------------- */

#define BLOCKS 512
static char *blocks[BLOCKS];

static void *take_blocks_and_wait(void *argument)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = take(BYTES);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	/* What others freed meanwhile comes back before anything else is asked for. */
	for (int i = 0; i < BLOCKS; i++)
		if (!blocks[i])
			blocks[i] = take(BYTES);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	next_thread_exit();
	return argument;
}

static void *take_blocks_and_leave(void *argument)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = take(BYTES);
	next_thread_exit();
	return argument;
}

static size_t pages_in_use;

static void count_page(struct next_page *page, void *argument)
{
	(void)page;
	(void)argument;
	pages_in_use++;
}

static size_t count_pages(void)
{
	pages_in_use = 0;
	segment_each_page(count_page, NULL);
	return pages_in_use;
}

static void pages_freed_wholly_are_stolen_from_a_sleeping_owner_and_others_are_not(void **state)
{
	(void)state;
	pthread_t thread;
	heap_reap(next_heap_self, true); /* what the tests before left is not counted below */
	pthread_barrier_init(&gate, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, take_blocks_and_wait, NULL), 0);
	pthread_barrier_wait(&gate);
	struct next_page *first = page_of(blocks[100]), *kept = page_of(blocks[300]);
	assert_ptr_not_equal(first, kept);
	uintptr_t full = (uintptr_t)page_owner(first) | OWNER_FULL;
	assert_int_equal(load_relaxed(&first->owner), full);
	assert_int_equal(load_relaxed(&kept->owner), full);
	for (int i = 0; i < BLOCKS; i++) {
		if (page_of(blocks[i]) == first || (page_of(blocks[i]) == kept && i % 2)) {
			char *block = blocks[i];
			blocks[i] = NULL;
			next_free(block);
		}
	}
	size_t before = count_pages();
	heap_reap(next_heap_self, true);
	assert_int_equal(page_owner(first), OWNER_NONE);
	assert_int_equal(count_pages(), before - 1);
	assert_int_equal(load_relaxed(&kept->owner), full | OWNER_REMOTE);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	/* The owner found what was left of the other one. */
	assert_int_equal(load_relaxed(&kept->owner), full);
	for (int i = 0; i < BLOCKS; i++)
		next_free(blocks[i]);
	pthread_barrier_wait(&gate);
	pthread_join(thread, NULL);
}

static void a_false_alarm_on_a_full_page_leaves_it_full(void **state)
{
	(void)state;
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = take(BYTES);
	struct next_page *page = page_of(blocks[100]);
	uintptr_t full = (uintptr_t)next_heap_self | OWNER_FULL;
	assert_int_equal(load_relaxed(&page->owner), full);
	/* The last step of a thread whose bit was seen in the page's life before. */
	assert_int_equal(fetch_or_seq_cst(&page->owner, OWNER_REMOTE), full);
	heap_ready_push(next_heap_self, page);
	for (int i = 0; i < BLOCKS && load_relaxed(&page->owner) != full; i++) {
		void *block = take(BYTES);
		assert_ptr_not_equal(page_of(block), page);
	}
	assert_int_equal(load_relaxed(&page->owner), full);
	assert_null(load_relaxed(&next_heap_self->ready));
	for (int i = 0; i < BLOCKS; i++)
		next_free(blocks[i]);
}

static void a_heap_nobody_has_is_shed_and_its_pages_serve_others(void **state)
{
	(void)state;
	heap_reap(next_heap_self, true); /* heaps of the tests before */
	run(take_blocks_and_leave, NULL);
	struct next_heap *heap = (struct next_heap *)page_owner(page_of(blocks[0]));
	struct next_page *last = page_of(blocks[BLOCKS - 1]), *full = page_of(blocks[100]);
	assert_ptr_equal(page_owner(last), heap);
	assert_int_equal(load_relaxed(&full->owner), (uintptr_t)heap | OWNER_FULL);
	heap_reap(next_heap_self, true);
	assert_int_equal(page_owner(last), OWNER_SHARED);
	assert_null(heap->queue[BIN]);
	assert_ptr_equal(load_relaxed(&heap->slot[slot_last(BIN)]), EMPTY_PAGE);
	/* The first free of a full page finds the heap without a thread. */
	next_free(blocks[100]);
	assert_int_equal(load_relaxed(&full->owner), OWNER_SHARED);
	next_free(blocks[101]);
	assert_int_equal(load_relaxed(&full->owner), OWNER_SHARED | OWNER_REMOTE);
	next_free(blocks[BLOCKS - 1]);
	assert_int_equal(load_relaxed(&last->owner), OWNER_SHARED | OWNER_REMOTE);
	blocks[100] = blocks[101] = blocks[BLOCKS - 1] = NULL;
	/* Both are had again by whoever needs the class, with what was freed meanwhile. */
	bool found_last = false, found_full = false;
	static void *found[16 * BLOCKS];
	int count = 0;
	while (count < 16 * BLOCKS && !(found_last && found_full)) {
		void *block = take(BYTES);
		found[count++] = block;
		found_last |= page_of(block) == last;
		found_full |= page_of(block) == full;
	}
	assert_true(found_last && found_full);
	while (count > 0)
		next_free(found[--count]);
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i])
			next_free(blocks[i]);
}

/* --- exit against late frees ----------------------------------------------------------- */

#define CROWD	4
#define PARCELS 20000
static _Atomic(void *) parcels[PARCELS];

/* Short lives: each allocates, leaves its blocks to whoever comes by, and exits. */
static void *come_and_go(void *argument)
{
	uint64_t seed = 88172645463325252u * (uintptr_t)argument;
	for (int life = 0; life < 40; life++) {
		for (int i = 0; i < 1000; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			size_t bytes = seed >> 62 == 0 ? 4000 : 1000;
			void *block = take(bytes);
			memset(block, life, bytes);
			void *other = exchange_acq_rel(&parcels[(seed >> 33) % PARCELS], block);
			if (other)
				next_free(other);
		}
		next_thread_exit();
	}
	return NULL;
}

static void settle_page(struct next_page *page, void *argument)
{
	size_t *strays = argument;
	uintptr_t owner = page_owner(page);
	struct next_heap *heap = (struct next_heap *)owner;
	if (owner == OWNER_SPAN || owner == (uintptr_t)next_heap_self)
		return;
	if (owner == OWNER_SHARED || !page->queued)
		(*strays)++;
	else if (heap->queue[load_relaxed(&page->bin)] == NULL)
		(*strays)++;
}

static void after_exits_in_the_midst_of_frees_no_block_and_no_page_is_lost(void **state)
{
	(void)state;
	struct next_stats before, after;
	next_read_stats(&before);
	pthread_t threads[CROWD];
	for (uintptr_t t = 0; t < CROWD; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, come_and_go, (void *)(t + 1)),
				 0);
	for (int t = 0; t < CROWD; t++)
		pthread_join(threads[t], NULL);
	for (int i = 0; i < PARCELS; i++)
		if (load_relaxed(&parcels[i]))
			next_free(exchange_acq_rel(&parcels[i], NULL));
	next_read_stats(&after);
	assert_int_equal(after.live_blocks, before.live_blocks);

	/* Every page without a live block is to be found: in a heap, on a shared list, or given back. */
	heap_reap(next_heap_self, true);
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		struct next_page *page;
		while ((page = shared_pop(bin, 0)) != NULL)
			heap_settle(next_heap_self, page);
	}
	size_t strays = 0;
	segment_each_page(settle_page, &strays);
	assert_int_equal(strays, 0);
}

/* --- fork ------------------------------------------------------------------------------ */

static void use_every_class_once(void)
{
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class ++) {
		char *block = take(next_class_bytes(class));
		memset(block, 1, next_class_bytes(class));
		next_free(block);
	}
	next_free(take(5 * MIB));
}

static void *churn(void *argument)
{
	while (!load_relaxed(&stop)) {
		use_every_class_once();
		next_thread_exit();
	}
	return argument;
}

static void a_child_forked_in_the_midst_of_threads_can_allocate_at_once(void **state)
{
	(void)state;
	enum { FORKS = 15, THREADS = 3 };
	pthread_t threads[THREADS];
	store_relaxed(&stop, false);
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, churn, NULL), 0);
	for (int i = 0; i < FORKS; i++) {
		fork_prepare();
		pid_t child = fork();
		if (child == 0) {
			fork_child();
			next_fork_child();
			alarm(60); /* a hang is a failure, not a wait */
			use_every_class_once();
			next_door_set(BIN, 0);
			heap_reap(next_heap_self, true);
			_exit(0);
		}
		fork_parent();
		int status = -1;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		use_every_class_once();
	}
	store_relaxed(&stop, true);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
}

static int set_up(void **state)
{
	(void)state;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		next_door_set(class, NEXT_DOOR_OPEN);
	return next_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_a_door_sweeps_that_class_of_every_heap_and_no_other),
		cmocka_unit_test(behind_a_shut_door_blocks_come_from_the_slow_path_alone),
		cmocka_unit_test(a_door_in_between_admits_the_cohorts_below_it),
		cmocka_unit_test(a_sampled_malloc_finds_what_it_would_have_found_without),
		cmocka_unit_test(
			no_malloc_that_starts_after_a_door_was_shut_finds_a_page_in_its_slot),
		cmocka_unit_test(a_thread_adopts_the_heap_that_another_left_with_its_pages),
		cmocka_unit_test(a_thread_may_allocate_after_it_left_and_free_without_a_heap),
		cmocka_unit_test(ten_thousand_threads_share_a_few_heaps),
		cmocka_unit_test(
			pages_freed_wholly_are_stolen_from_a_sleeping_owner_and_others_are_not),
		cmocka_unit_test(a_false_alarm_on_a_full_page_leaves_it_full),
		cmocka_unit_test(a_heap_nobody_has_is_shed_and_its_pages_serve_others),
		cmocka_unit_test(after_exits_in_the_midst_of_frees_no_block_and_no_page_is_lost),
		cmocka_unit_test(a_child_forked_in_the_midst_of_threads_can_allocate_at_once),
		cmocka_unit_test(heaps_are_spread_evenly_over_the_cohorts),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

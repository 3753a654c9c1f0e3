/* SPDX-License-Identifier: MIT */
/* tests/legacy_threads_test.c - under threads: nothing lost or handed out twice, memory bounded */
#include "legacy/legacy.h"

#include "legacy/pages.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "tests/legacy_support.h"

#include <pthread.h>
#include <sched.h>

/* --- stress ----------------------------------------------------------------------------------- */

#define STRESS_THREADS 6
#define EXCHANGE_SLOTS 512
#define OWN_SLOTS      256
#define STRESS_NS      1200000000u

/* Blocks change hands here: put one in, free what was there. */
static _Atomic(void *) exchange[EXCHANGE_SLOTS];
static _Atomic bool stop;

static void *make(struct legacy_thread *t, uint32_t *seed, uint64_t maker)
{
	size_t bytes = random_bytes(seed);
	/* Now and then without caches. */
	void *block = legacy_malloc(next_random(seed) % 64 ? t : NULL, bytes, (uint32_t)maker);
	MUST(block);
	MUST(legacy_usable_bytes(block) >= bytes);
	pattern_write(block, bytes, maker);
	return block;
}

static void unmake(struct legacy_thread *t, uint32_t *seed, void *block)
{
	if (!block)
		return;
	MUST(pattern_holds(block));
	memset(block, 0, sizeof(struct pattern));
	legacy_free(next_random(seed) % 64 ? t : NULL, block);
}

static void *stress_thread(void *argument)
{
	uint32_t seed = (uint32_t)(uintptr_t)argument;
	uint64_t maker = (uint64_t)(uintptr_t)argument << 32;
	void *own[OWN_SLOTS] = { NULL };
	struct legacy_thread *t = legacy_thread_start();
	MUST(t);
	while (!load_relaxed(&stop)) {
		for (int i = 0; i < 200; i++) {
			uint32_t r = next_random(&seed);
			void **slot = &own[r % OWN_SLOTS];
			unmake(t, &seed, *slot);
			*slot = make(t, &seed, maker++);
			void *given = make(t, &seed, maker++);
			/* acq_rel: the contents go with the pointer, both ways */
			unmake(t, &seed, exchange_acq_rel(&exchange[r % EXCHANGE_SLOTS], given));
		}
		/* A new generation takes over the caches' record, and the old one's blocks stay. */
		if (next_random(&seed) % 16 == 0) {
			legacy_thread_exit(t);
			MUST((t = legacy_thread_start()));
		}
		if (next_random(&seed) % 256 == 0)
			legacy_trim();
	}
	for (int i = 0; i < OWN_SLOTS; i++)
		unmake(t, &seed, own[i]);
	legacy_thread_exit(t);
	return NULL;
}

static void stress(const char *tunables)
{
	pthread_t threads[STRESS_THREADS];
	legacy_begin(tunables);
	uint64_t end = os_now_ns() + STRESS_NS;
	for (uintptr_t i = 0; i < STRESS_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, stress_thread, (void *)(i + 1)) == 0);
	while (os_now_ns() < end)
		usleep(10000);
	store_relaxed(&stop, true);
	for (int i = 0; i < STRESS_THREADS; i++)
		pthread_join(threads[i], NULL);
	uint32_t seed = 1;
	for (int i = 0; i < EXCHANGE_SLOTS; i++)
		unmake(NULL, &seed, load_relaxed(&exchange[i]));

	/* A block that was lost would keep its page in service. */
	legacy_trim();
	struct legacy_counters c = counters_now();
	MUST(c.pages == 0 && c.threads == 0 && c.resident_free_bytes == 0);
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
		MUST(c.class_live_blocks[class] == 0);
	MUST(c.remote_frees > 0);
}

static void no_block_is_lost_or_handed_out_twice(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(stress, ""));
	assert_true(succeeds_in_child(stress, "probes=1,unified=1,skip_header=1"));
}

/* --- threads that come and go ----------------------------------------------------------------- */

#define GENERATIONS   1500
#define BLOCKS_A_LIFE 150

/* What each generation leaves behind is freed by the next. */
static void *left[BLOCKS_A_LIFE / 2];

static void *one_life(void *argument)
{
	uint32_t seed = (uint32_t)(uintptr_t)argument;
	struct legacy_thread *t = legacy_thread_start();
	void *mine[BLOCKS_A_LIFE];
	for (int i = 0; i < BLOCKS_A_LIFE; i++)
		mine[i] = make(t, &seed, seed);
	for (int i = 0; i < BLOCKS_A_LIFE / 2; i++) {
		unmake(t, &seed, left[i]);
		left[i] = mine[2 * i];
		unmake(t, &seed, mine[2 * i + 1]);
	}
	legacy_thread_exit(t);
	return NULL;
}

static void churn(const char *tunables)
{
	legacy_begin(tunables);
	size_t settled_rss = 0, settled_chunks = 0;
	for (uintptr_t life = 0; life < GENERATIONS; life++) {
		pthread_t threads[1];
		MUST(pthread_create(&threads[0], NULL, one_life, (void *)(life + 1)) == 0);
		pthread_join(threads[0], NULL);
		if (life == GENERATIONS / 10) {
			settled_rss = resident_bytes();
			settled_chunks = counters_now().chunks;
		}
	}
	struct legacy_counters c = counters_now();
	MUST(c.threads == 0);
	MUST(c.chunks <= settled_chunks + 1);
	MUST(c.resident_free_bytes <= RESIDENT_FREE_PAGES_MAX * 65536);
	if (!HAKMEM_SANITIZER)
		MUST(resident_bytes() < settled_rss + 4 * MIB);
	uint32_t seed = 1;
	for (int i = 0; i < BLOCKS_A_LIFE / 2; i++)
		unmake(NULL, &seed, left[i]);
	MUST(counters_now().pages == 0);
}

static void memory_is_bounded_while_threads_come_and_go(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(churn, ""));
	assert_true(succeeds_in_child(churn, "unified=1,skip_header=1"));
}

/* --- one allocates, one frees ----------------------------------------------------------------- */

#define QUEUE 256
#define ITEMS 60000

static _Atomic(void *) queue[QUEUE];

static void *consume(void *argument)
{
	uint32_t seed = 1;
	struct legacy_thread *t = legacy_thread_start();
	(void)argument;
	for (unsigned i = 0; i < ITEMS; i++) {
		void *block;
		/* acquire: pairs with the producer's release */
		while (!(block = load_acquire(&queue[i % QUEUE])))
			sched_yield();
		store_relaxed(&queue[i % QUEUE], NULL);
		unmake(t, &seed, block);
	}
	legacy_thread_exit(t);
	return NULL;
}

static void produce_and_consume(const char *tunables)
{
	pthread_t consumer;
	uint32_t seed = 7;
	legacy_begin(tunables);
	struct legacy_thread *t = legacy_thread_start();
	MUST(pthread_create(&consumer, NULL, consume, NULL) == 0);
	for (unsigned i = 0; i < ITEMS; i++) {
		void *block = make(t, &seed, i);
		while (load_relaxed(&queue[i % QUEUE]))
			sched_yield();
		/* release: pairs with the consumer's acquire */
		store_release(&queue[i % QUEUE], block);
	}
	pthread_join(consumer, NULL);
	/* 256 in the queue and at most what the caches of two threads hold in each class: 60,000
	 * blocks of 16 KiB would be 250 chunks. */
	MUST(counters_now().chunks < 30);
	MUST(counters_now().remote_frees > ITEMS / 2);
	legacy_thread_exit(t);
	legacy_trim();
	MUST(counters_now().pages == 0);
}

static void a_producer_and_a_consumer_stay_bounded(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(produce_and_consume, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_block_is_lost_or_handed_out_twice),
		cmocka_unit_test(memory_is_bounded_while_threads_come_and_go),
		cmocka_unit_test(a_producer_and_a_consumer_stay_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

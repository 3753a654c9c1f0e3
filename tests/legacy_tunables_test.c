/* SPDX-License-Identifier: MIT */
/* tests/legacy_tunables_test.c - HAKMEM_LEGACY's text, and that each fix changes what it says */
#include "legacy/tunables.h"

#include "shim/base/lock.h"
#include "tests/legacy_support.h"

#include <pthread.h>
#include <sched.h>

static void good_text_is_taken(void **state)
{
	(void)state;
	struct legacy_tunables t;
	const char *error;
	assert_true(legacy_tunables_parse(NULL, &t, &error));
	assert_int_equal(t.probes, 3);
	assert_false(t.unified);
	assert_false(t.skip_header);
	assert_true(legacy_tunables_parse(" probes = 1 , unified=1,\tskip_header=1 ", &t, &error));
	assert_int_equal(t.probes, 1);
	assert_true(t.unified);
	assert_true(t.skip_header);
	assert_true(legacy_tunables_parse("probes=8", &t, &error));
	assert_int_equal(t.probes, 8);
	assert_false(t.unified);
}

static void wrong_text_changes_nothing_and_says_why(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"probes",
		"probes=",
		"probes=0",
		"probes=9",
		"probes=x",
		"probes=1,",
		"probes=1,,unified=1",
		"unified=2",
		"skip_header=7",
		"header=1",
		"=1",
		",",
		"probes=1 unified=1",
		"probes=1;",
		"probes=99999999999999999999",
		"PROBES=1",
		"probes=-1",
		"probesx=1",
		"skip_header=1x",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct legacy_tunables t = { .probes = 5, .unified = true };
		const char *error = NULL;
		if (legacy_tunables_parse(wrong[i], &t, &error))
			fail_msg("'%s' was taken", wrong[i]);
		assert_non_null(error);
		assert_true(t.probes == 5 && t.unified && !t.skip_header);
	}
}

static void configure_late(const char *argument)
{
	(void)argument;
	const char *error = NULL;
	legacy_begin("probes=2");
	MUST(legacy_thread_start());
	MUST(!legacy_configure("probes=1", &error));
	MUST(error && strstr(error, "too late"));
	MUST(legacy_tunables.probes == 2);
}

static void after_the_first_thread_it_is_too_late(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(configure_late, NULL));
}

/* --- QF1 -------------------------------------------------------------------------------------- */

static _Atomic int held; /* 0: not yet, 1: all locks are held */
static uint64_t release_at;

/* Holds every lock that takes part in forks until the other thread has failed often enough. */
static void *hold_all_locks(void *argument)
{
	(void)argument;
	fork_prepare();
	store_release(&held, 1); /* pairs with the acquire in count_probes() */
	while (counters_now().contended_trylocks < release_at)
		sched_yield();
	for (int i = 0; i < 100; i++)
		sched_yield();
	fork_parent();
	return NULL;
}

/* A block at home in every shard, and all their locks taken: how many does a malloc try? */
static void count_probes(const char *tunables)
{
	struct legacy_thread *threads[8];
	legacy_begin(tunables);
	for (int i = 0; i < 8; i++)
		MUST((threads[i] = legacy_thread_start()) && legacy_malloc(threads[i], 4096, 0));
	for (int i = 0; i < 8; i++)
		legacy_thread_exit(threads[i]);
	struct legacy_thread *t = legacy_thread_start();
	MUST(t && counters_now().contended_trylocks == 0);

	pthread_t holder;
	release_at = legacy_tunables.probes;
	MUST(pthread_create(&holder, NULL, hold_all_locks, NULL) == 0);
	while (!load_acquire(&held)) /* pairs with the release in hold_all_locks() */
		sched_yield();
	MUST(legacy_malloc(t, 4096, 0));
	MUST(pthread_join(holder, NULL) == 0);
	struct legacy_counters c = counters_now();
	MUST(c.contended_trylocks == legacy_tunables.probes);
	MUST(c.lock_waits == 1);
	MUST(c.layer_hits[LEGACY_LAYER_SHARD] == 1);
}

static void a_malloc_tries_as_many_shards_as_there_are_probes(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(count_probes, ""));
	assert_true(succeeds_in_child(count_probes, "probes=1"));
	assert_true(succeeds_in_child(count_probes, "probes=8"));
}

/* --- QF2, QF3 --------------------------------------------------------------------------------- */

#define BURST 200

static void burst(struct legacy_thread *t)
{
	static void *blocks[BURST];
	for (int i = 0; i < BURST; i++)
		MUST((blocks[i] = legacy_malloc(t, 2000, 7)));
	for (int i = 0; i < BURST; i++)
		legacy_free(t, blocks[i]);
}

static void burst_with_lifo(const char *tunables)
{
	legacy_begin(tunables);
	struct legacy_thread *t = legacy_thread_start();
	burst(t);
	burst(t);
	struct legacy_counters c = counters_now();
	MUST(c.layer_hits[LEGACY_LAYER_RING] == 32);
	MUST(c.layer_hits[LEGACY_LAYER_LIFO] == BURST - 32);
}

static void burst_unified(const char *tunables)
{
	legacy_begin(tunables);
	struct legacy_thread *t = legacy_thread_start();
	burst(t);
	burst(t);
	struct legacy_counters c = counters_now();
	MUST(c.layer_hits[LEGACY_LAYER_RING] == BURST);
	MUST(c.layer_hits[LEGACY_LAYER_LIFO] == 0);
}

static void unified_serves_from_the_ring_what_the_lifo_did(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(burst_with_lifo, ""));
	assert_true(succeeds_in_child(burst_unified, "unified=1"));
}

static void count_headers(const char *tunables)
{
	legacy_begin(tunables);
	struct legacy_thread *t = legacy_thread_start();
	burst(t);
	burst(t);
	uint64_t written = counters_now().headers_written;
	MUST(written == (legacy_tunables.skip_header ? 2 * BURST - 32 : 2 * BURST));
}

/* Blocks that reach a ring by refill, from each layer that refills one, and then leave it. */
static void refilled_headers(const char *tunables)
{
	static void *blocks[600];
	legacy_begin(tunables);
	struct legacy_thread *a = legacy_thread_start(), *b = legacy_thread_start();
	/* Remote: all of them wait on a's stack, in a class that a bumps no more. */
	for (int i = 0; i < 600; i++)
		MUST((blocks[i] = legacy_malloc(a, 12000, 0)));
	for (int i = 0; i < 600; i++)
		legacy_free(b, blocks[i]);
	for (int i = 0; i < 600; i++) {
		MUST((blocks[i] = legacy_malloc(a, 12000, 0)));
		MUST(legacy_usable_bytes(blocks[i]) == 12 * KIB);
	}
	/* Transfer: more than a caches itself. Shard: every second one, so that no run can be
	 * bumped. */
	for (int i = 0; i < 600; i += 2)
		legacy_free(a, blocks[i]);
	for (int i = 0; i < 600; i += 2)
		MUST((blocks[i] = legacy_malloc(b, 12000, 0)));
	for (int i = 0; i < 600; i++)
		legacy_free(i % 3 ? a : b, blocks[i]);
	legacy_thread_exit(a);
	legacy_thread_exit(b);
	MUST(counters_now().pages == 0);
}

static void skip_header_writes_none_on_a_ring_pop(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(count_headers, ""));
	assert_true(succeeds_in_child(count_headers, "skip_header=1"));
	assert_true(succeeds_in_child(refilled_headers, ""));
	assert_true(succeeds_in_child(refilled_headers, "skip_header=1"));
	assert_true(succeeds_in_child(refilled_headers, "skip_header=1,unified=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_text_is_taken),
		cmocka_unit_test(wrong_text_changes_nothing_and_says_why),
		cmocka_unit_test(after_the_first_thread_it_is_too_late),
		cmocka_unit_test(a_malloc_tries_as_many_shards_as_there_are_probes),
		cmocka_unit_test(unified_serves_from_the_ring_what_the_lifo_did),
		cmocka_unit_test(skip_header_writes_none_on_a_ring_pop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

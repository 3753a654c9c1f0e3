/* SPDX-License-Identifier: MIT */
/* tests/shim_threads_test.c - threads come and go, and allocate until their very end */
#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/hakmem.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

/* --- churn ---------------------------------------------------------------------------------------- */

#define CHURN_THREADS (HAKMEM_SANITIZER ? 2000 : 10000)
#define CHURN_AT_ONCE 4
#define CHURN_BLOCKS  64
#define CHURN_RSS_MAX ((HAKMEM_SANITIZER ? 256 : 16) * MIB)

/* One block of each short-lived thread outlives it and is freed by a later one. */
static _Atomic(void *) heirloom[CHURN_AT_ONCE];

static void *live_shortly(void *argument)
{
	void *blocks[CHURN_BLOCKS];
	for (size_t i = 0; i < CHURN_BLOCKS; i++) {
		blocks[i] = hakmem_malloc(16 + i * i * 13);
		memset(blocks[i], 1, 16);
	}
	hakmem_free(exchange_acq_rel((_Atomic(void *) *)argument, blocks[0]));
	for (size_t i = 1; i < CHURN_BLOCKS; i++)
		hakmem_free(blocks[i]);
	return NULL;
}

static void churn(size_t threads)
{
	for (size_t done = 0; done < threads; done += CHURN_AT_ONCE) {
		pthread_t at_once[CHURN_AT_ONCE];
		for (size_t i = 0; i < CHURN_AT_ONCE; i++)
			assert_int_equal(pthread_create(&at_once[i], NULL, live_shortly,
							&heirloom[(done + i) % CHURN_AT_ONCE]),
					 0);
		for (size_t i = 0; i < CHURN_AT_ONCE; i++)
			assert_int_equal(pthread_join(at_once[i], NULL), 0);
	}
}

static void ten_thousand_threads_leave_no_memory_behind(void **state)
{
	(void)state;
	churn(200);
	size_t before = resident_bytes();
	size_t live_before = live_blocks();
	churn(CHURN_THREADS);
	size_t after = resident_bytes();
	print_message("resident: %zu KiB, then %zu KiB\n", before / 1024, after / 1024);
	assert_true(after < before + CHURN_RSS_MAX);
	assert_true(live_blocks() < live_before + 200);
}

/* --- the end of a thread -------------------------------------------------------------------------- */

#define KEYS 40 /* more than the 32 for which libc has room in the thread itself */

/* In the last of libc's rounds a sanitizer's runtime ends its own part of the thread, and faults on the
 * atomics of whoever comes after it. */
#define ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - (HAKMEM_SANITIZER ? 1 : 0))

static pthread_key_t keys[KEYS];
static _Atomic unsigned destroyed;

/* Frees what the thread left, allocates, and leaves it to the next round of destructors. */
static void destroy(void *value)
{
	size_t *left = value;
	size_t round = left[0], key = left[1];
	if (left[2] != 4711)
		abort();
	hakmem_free(left);
	fetch_add_relaxed(&destroyed, 1);
	void *others[8];
	for (size_t i = 0; i < 8; i++)
		others[i] = hakmem_malloc(10 + (i << (2 * i)));
	for (size_t i = 0; i < 8; i++)
		hakmem_free(others[i]);
	if (round + 1 == ROUNDS)
		return;
	left = hakmem_malloc(1000 * (1 + key % 5));
	left[0] = round + 1;
	left[1] = key;
	left[2] = 4711;
	pthread_setspecific(keys[key], left);
}

static void *leave_values(void *unused)
{
	for (size_t key = 0; key < KEYS; key++) {
		size_t *left = hakmem_malloc(1000 * (1 + key % 5));
		left[0] = 0;
		left[1] = key;
		left[2] = 4711;
		pthread_setspecific(keys[key], left);
	}
	return unused;
}

static void destructors_of_keys_may_allocate(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER && strcmp(route_set, "next") != 0)
		skip(); /* the sanitizer's malloc, our system there, may be gone by then */
	const unsigned threads = 500;
	size_t live_before = live_blocks();
	struct next_stats before, after;
	next_read_stats(&before);
	store_relaxed(&destroyed, 0);
	for (size_t key = 0; key < KEYS; key++)
		assert_int_equal(pthread_key_create(&keys[key], destroy), 0);
	for (unsigned i = 0; i < threads; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, leave_values, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	for (size_t key = 0; key < KEYS; key++)
		pthread_key_delete(keys[key]);
	assert_int_equal(destroyed, threads * KEYS * ROUNDS);
	assert_true(live_blocks() < live_before + 200);
	/* What was allocated after our own destructor's last round kept no heap. */
	next_read_stats(&after);
	assert_true(after.heaps <= before.heaps + 2);
}

/* What C++ compiles the destructor of a thread_local object to. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static void destroy_object(void *object)
{
	void *other = hakmem_malloc(3000);
	memset(other, 1, 3000);
	hakmem_free(object);
	hakmem_free(other);
	fetch_add_relaxed(&destroyed, 1);
}

static void *leave_object(void *unused)
{
	for (size_t i = 0; i < 10; i++)
		__cxa_thread_atexit_impl(destroy_object, hakmem_malloc((size_t)100 << i),
					 &__dso_handle);
	return unused;
}

static void destructors_of_thread_locals_may_allocate(void **state)
{
	(void)state;
	store_relaxed(&destroyed, 0);
	for (int i = 0; i < 200; i++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, leave_object, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_int_equal(destroyed, 2000);
}

/* --- hand-over ------------------------------------------------------------------------------------ */

static void *take_some(void *argument)
{
	void **blocks = argument;
	for (size_t i = 0; i < 100; i++)
		memset(blocks[i] = hakmem_malloc(64 + 100 * i), (int)i, 64 + 100 * i);
	return NULL;
}

/* The owner is gone, its heap perhaps another thread's by now: the blocks stay what they are. */
static void blocks_outlive_their_thread(void **state)
{
	(void)state;
	enum { OWNERS = 50 };
	static unsigned char *blocks[OWNERS][100];
	for (size_t o = 0; o < OWNERS; o++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, take_some, blocks[o]), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	for (size_t o = 0; o < OWNERS; o++) {
		for (size_t i = 0; i < 100; i++) {
			size_t bytes = 64 + 100 * i;
			assert_int_equal(blocks[o][i][0], i);
			assert_int_equal(blocks[o][i][bytes - 1], i);
			blocks[o][i] = hakmem_realloc(blocks[o][i], bytes * 2);
			assert_int_equal(blocks[o][i][bytes - 1], i);
			hakmem_free(blocks[o][i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_threads_leave_no_memory_behind),
		cmocka_unit_test(destructors_of_keys_may_allocate),
		cmocka_unit_test(destructors_of_thread_locals_may_allocate),
		cmocka_unit_test(blocks_outlive_their_thread),
	};
	return run_under_all_routes(tests, route_all);
}

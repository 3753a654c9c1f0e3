/* SPDX-License-Identifier: MIT */
/* tests/shim_pools_test.c - every block goes home, whoever frees it and wherever its class goes now */
#include "legacy/legacy.h"
#include "next/bin.h"
#include "shim/hakmem.h"
#include "shim/route.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MID_BYTES 5000 /* a size that every backend serves */

static const enum shim_backend backends[] = { SHIM_SYSTEM, SHIM_LEGACY, SHIM_NEXT };
static const enum hakmem_owner owners[] = { HAKMEM_OWNER_SYSTEM, HAKMEM_OWNER_LEGACY,
					    HAKMEM_OWNER_NEXT };
#define BACKENDS 3

static void route_mid(enum shim_backend backend)
{
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		if (shim_route_possible(class, SHIM_LEGACY))
			assert_true(shim_route_set(class, backend));
}

static int set_old(void **state)
{
	(void)state;
	return route_all("old") ? 0 : -1;
}

/* --- frees from the owner and from others --------------------------------------------------------- */

#define BLOCKS 2000

static size_t size_of(size_t i)
{
	return LEGACY_MIN_BYTES + i * 37 % (LEGACY_MAX_BYTES - LEGACY_MIN_BYTES + 1);
}

static void *free_all(void *argument)
{
	unsigned char **blocks = argument;
	for (size_t i = 0; i < BLOCKS; i++) {
		if (blocks[i][0] != (unsigned char)i ||
		    blocks[i][size_of(i) - 1] != (unsigned char)i)
			abort();
		hakmem_free(blocks[i]);
	}
	return NULL;
}

static void *allocate_all(void *argument)
{
	unsigned char **blocks = argument;
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = hakmem_malloc(size_of(i));
		if (!blocks[i])
			abort();
		blocks[i][0] = blocks[i][size_of(i) - 1] = (unsigned char)i;
	}
	return NULL;
}

static void in_other_thread(void *(*act)(void *), void *argument)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, act, argument), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

/* Old and new, each freed by its own thread, by another while the owner lives, and by another after the
 * owner has gone; and with the class routed elsewhere in between. */
static void blocks_go_home_from_any_thread_under_any_route(void **state)
{
	(void)state;
	unsigned char **blocks = malloc(BLOCKS * sizeof(*blocks));
	for (int from = 0; from < BACKENDS; from++) {
		for (int to = 0; to < BACKENDS; to++) {
			for (int way = 0; way < 4; way++) {
				route_mid(backends[from]);
				size_t before = live_blocks();
				if (way & 1)
					in_other_thread(allocate_all, blocks);
				else
					allocate_all(blocks);
				for (size_t i = 0; i < BLOCKS; i++)
					assert_int_equal(hakmem_owner(blocks[i]), owners[from]);
				route_mid(backends[to]);
				if (way & 2)
					in_other_thread(free_all, blocks);
				else
					free_all(blocks);
				/* next batches frees of other threads' blocks, never 100 of them */
				assert_true(live_blocks() < before + 100);
			}
		}
	}
	free(blocks);
}

/* --- realloc -------------------------------------------------------------------------------------- */

static void realloc_stays_while_it_fits_and_moves_by_policy(void **state)
{
	(void)state;
	for (int from = 0; from < BACKENDS; from++) {
		for (int to = 0; to < BACKENDS; to++) {
			route_mid(backends[from]);
			unsigned char *block = hakmem_malloc(MID_BYTES);
			for (size_t i = 0; i < MID_BYTES; i++)
				block[i] = (unsigned char)(i * 7);
			route_mid(backends[to]);

			block = hakmem_realloc(block, hakmem_malloc_usable_size(block));
			assert_int_equal(hakmem_owner(block), owners[from]);
			block = hakmem_realloc(block, MID_BYTES);
			assert_int_equal(hakmem_owner(block), owners[from]);

			block = hakmem_realloc(block, 6 * MID_BYTES);
			assert_int_equal(hakmem_owner(block), owners[to]);
			for (size_t i = 0; i < MID_BYTES; i++)
				assert_int_equal(block[i], (unsigned char)(i * 7));
			hakmem_free(block);
		}
	}
}

static void realloc_out_of_the_band_of_legacy_keeps_the_contents(void **state)
{
	(void)state;
	route_mid(SHIM_LEGACY);
	unsigned char *block = hakmem_malloc(10);
	size_t bytes = 10;
	memset(block, 9, bytes);
	for (; bytes < 100000; bytes = bytes * 3 / 2) {
		block = hakmem_realloc(block, bytes * 3 / 2);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(block[i], 9);
		memset(block, 9, bytes * 3 / 2);
	}
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_SYSTEM);
	hakmem_free(block);
}

/* A sanitizer's malloc may give a block of nothing where it marks the memory as freed still, and calls a byte of it usable. */
static void realloc_moves_a_block_of_nothing(void **state)
{
	(void)state;
	unsigned few = next_class_of(1);
	for (unsigned i = 0; i < 60; i++) {
		assert_true(shim_route_set(few, SHIM_SYSTEM));
		assert_true(shim_route_set(next_class_of(64), SHIM_SYSTEM));
		void *before = i % 3 == 2 ? hakmem_aligned_alloc(64, 64) : hakmem_malloc(1);
		memset(before, 1, 1);
		hakmem_free(before);
		void *block = i % 3 == 0 ? hakmem_malloc(0) :
			      i % 3 == 1 ? hakmem_calloc(i % 2, i % 2 ? 0 : 8) :
					   hakmem_aligned_alloc(64, 0);
		assert_non_null(block);
		assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_SYSTEM);
		assert_true(shim_route_set(few, SHIM_NEXT));
		assert_true(shim_route_set(next_class_of(64), SHIM_NEXT));
		assert_true(shim_route_set(next_class_of(100), SHIM_NEXT));
		block = hakmem_realloc(block, 100);
		assert_non_null(block);
		hakmem_free(block);
	}
}

/* --- routes --------------------------------------------------------------------------------------- */

static void legacy_is_no_route_outside_its_band(void **state)
{
	(void)state;
	assert_false(shim_route_set(next_class_of(1), SHIM_LEGACY));
	assert_false(shim_route_set(next_class_of(1024), SHIM_LEGACY));
	assert_true(shim_route_set(next_class_of(1025), SHIM_LEGACY));
	assert_true(shim_route_set(next_class_of(32768), SHIM_LEGACY));
	assert_false(shim_route_set(next_class_of(32769), SHIM_LEGACY));
	assert_false(shim_route_set(NEXT_CLASS_HUGE, SHIM_LEGACY));
	assert_false(shim_route_set(next_class_of(5000), SHIM_UNSET));
	assert_false(shim_route_set_old_side(next_class_of(1), SHIM_LEGACY));
	assert_int_equal(shim_route_of(next_class_of(1)), SHIM_SYSTEM);
}

static void alignments_that_legacy_lacks_come_from_the_system(void **state)
{
	(void)state;
	route_mid(SHIM_LEGACY);
	void *block = hakmem_aligned_alloc(16, MID_BYTES);
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_LEGACY);
	hakmem_free(block);
	block = hakmem_aligned_alloc(32, MID_BYTES);
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_SYSTEM);
	hakmem_free(block);
	route_mid(SHIM_NEXT);
	block = hakmem_aligned_alloc(4096, MID_BYTES);
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_NEXT);
	hakmem_free(block);
}

/* Whoever waits for a malloc to come by, waits through a flip as well. */
static void a_flip_keeps_what_stands_beside_the_route(void **state)
{
	(void)state;
	unsigned class = next_class_of(MID_BYTES);
	shim_attend(true);
	for (int i = 0; i < BACKENDS; i++) {
		assert_true(shim_route_set(class, backends[i]));
		assert_int_equal(shim_route_word_of(class), backends[i] | SHIM_ATTEND);
		assert_int_equal(shim_route_of(class), backends[i]);
	}
	shim_attend(false);
	for (unsigned other = 0; other < NEXT_CLASSES; other++)
		assert_false(shim_route_word_of(other) & SHIM_ATTEND);
	assert_int_equal(shim_route_word_of(class), backends[BACKENDS - 1]);
}

/* A class that was never flipped is not changed by one that was. */
static void a_flip_concerns_its_class_alone(void **state)
{
	(void)state;
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class ++) {
		assert_true(route_all("system"));
		assert_true(shim_route_set(class, SHIM_NEXT));
		for (unsigned other = 0; other < NEXT_CLASS_HUGE; other++) {
			void *largest = hakmem_malloc(next_class_bytes(other));
			void *smallest = hakmem_malloc(other ? next_class_bytes(other - 1) + 1 : 1);
			enum hakmem_owner want = other == class ? HAKMEM_OWNER_NEXT
								: HAKMEM_OWNER_SYSTEM;
			assert_int_equal(hakmem_owner(largest), want);
			assert_int_equal(hakmem_owner(smallest), want);
			hakmem_free(largest);
			hakmem_free(smallest);
		}
	}
}

/* --- flips while others allocate ------------------------------------------------------------------ */

#define FLIPPERS_PREY 3
#define FLIPS	      (HAKMEM_SANITIZER ? 2000 : 20000)

/* Odd while a flip is under way; else twice the number of flips so far. */
static _Atomic unsigned long flips;
static _Atomic int settled; /* enum hakmem_owner of MID_BYTES */
static _Atomic bool flipping;
static _Atomic unsigned long certain;

static void *allocate_while_flipping(void *unused)
{
	(void)unused;
	while (load_seq_cst(&flipping)) {
		unsigned long before = load_seq_cst(&flips);
		int want = load_seq_cst(&settled);
		void *blocks[8];
		for (size_t i = 0; i < 8; i++)
			blocks[i] = hakmem_malloc(MID_BYTES);
		bool calm = before % 2 == 0 && load_seq_cst(&flips) == before;
		for (size_t i = 0; i < 8; i++) {
			if (calm && (int)hakmem_owner(blocks[i]) != want)
				abort();
			hakmem_free(blocks[i]);
		}
		if (calm)
			fetch_add_relaxed(&certain, 1);
	}
	return NULL;
}

static void a_malloc_that_starts_after_a_flip_obeys_it(void **state)
{
	(void)state;
	pthread_t threads[FLIPPERS_PREY];
	route_mid(SHIM_LEGACY);
	store_seq_cst(&settled, HAKMEM_OWNER_LEGACY);
	store_seq_cst(&flipping, true);
	for (size_t i = 0; i < FLIPPERS_PREY; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, allocate_while_flipping, NULL),
				 0);
	for (int i = 0; i < FLIPS || load_relaxed(&certain) < 1000; i++) {
		int to = i % BACKENDS;
		fetch_add_acq_rel(&flips, 1);
		assert_true(shim_route_set(next_class_of(MID_BYTES), backends[to]));
		store_seq_cst(&settled, owners[to]);
		fetch_add_acq_rel(&flips, 1);
		for (int pause = i % 64; pause; pause--)
			spin_pause();
	}
	store_seq_cst(&flipping, false);
	for (size_t i = 0; i < FLIPPERS_PREY; i++)
		pthread_join(threads[i], NULL);
}

static void *set_at_random(void *argument)
{
	unsigned class = next_class_of(MID_BYTES);
	for (unsigned i = 0; i < 5000; i++)
		if (!shim_route_set(class, backends[(i * 7 + (uintptr_t)argument * i) % BACKENDS]))
			abort();
	return NULL;
}

/* Two setters may leave either's route, but never one's route with the other's door. */
static void setters_that_race_leave_one_route(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		pthread_t threads[2];
		for (uintptr_t i = 0; i < 2; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, set_at_random, (void *)i), 0);
		for (size_t i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		enum shim_backend left = shim_route_of(next_class_of(MID_BYTES));
		for (int i = 0; i < 100; i++) {
			void *block = hakmem_malloc(MID_BYTES);
			assert_int_equal(hakmem_owner(block), left == SHIM_NEXT ? HAKMEM_OWNER_NEXT
							      : left == SHIM_LEGACY
								      ? HAKMEM_OWNER_LEGACY
								      : HAKMEM_OWNER_SYSTEM);
			hakmem_free(block);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(blocks_go_home_from_any_thread_under_any_route, set_old),
		cmocka_unit_test_setup(realloc_stays_while_it_fits_and_moves_by_policy, set_old),
		cmocka_unit_test_setup(realloc_out_of_the_band_of_legacy_keeps_the_contents,
				       set_old),
		cmocka_unit_test_setup(realloc_moves_a_block_of_nothing, set_old),
		cmocka_unit_test_setup(legacy_is_no_route_outside_its_band, set_old),
		cmocka_unit_test_setup(alignments_that_legacy_lacks_come_from_the_system, set_old),
		cmocka_unit_test_setup(a_flip_keeps_what_stands_beside_the_route, set_old),
		cmocka_unit_test_setup(a_flip_concerns_its_class_alone, set_old),
		cmocka_unit_test_setup(a_malloc_that_starts_after_a_flip_obeys_it, set_old),
		cmocka_unit_test_setup(setters_that_race_leave_one_route, set_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

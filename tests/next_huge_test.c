/* SPDX-License-Identifier: MIT */
/* tests/next_huge_test.c - huge blocks: what of a freed one is kept, for whom and for how long */
#include "next/huge.h"

#include "next/next.h"
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "tests/support.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define BYTES (8 * MIB)

static struct huge_counts counts(void)
{
	struct huge_counts now;
	huge_read_counts(&now);
	return now;
}

static char *take(size_t bytes)
{
	bool zero;
	char *block = huge_malloc(bytes, 1, &zero);
	assert_non_null(block);
	for (size_t i = 0; zero && i < bytes; i += OS_PAGE_BYTES)
		assert_int_equal(block[i], 0);
	memset(block, 'd', bytes);
	return block;
}

static void a_freed_mapping_serves_the_next_block(void **state)
{
	(void)state;
	char *first = take(BYTES);
	assert_true(huge_free(first));
	assert_int_equal(counts().kept_bytes, BYTES);
	assert_int_equal(counts().blocks, 0);
	char *second = take(BYTES);
	assert_ptr_equal(second, first);
	assert_int_equal(counts().kept_bytes, 0);
	assert_true(huge_free(second));
	assert_int_equal(huge_purge_all(), BYTES);
	assert_int_equal(counts().kept_bytes, 0);
	assert_int_equal(map_kind_of(first), MAP_NEXT_HUGE_GONE);
}

static void a_smaller_block_grows_into_what_it_left(void **state)
{
	(void)state;
	char *large = take(4 * BYTES);
	assert_true(huge_free(large));
	char *small = take(BYTES);
	assert_ptr_equal(small, large);
	assert_int_equal(huge_usable_bytes(small), BYTES);
	assert_int_equal(counts().bytes, BYTES);
	assert_int_equal(counts().kept_bytes, 3 * BYTES);
	memset(small, 's', BYTES);
	for (size_t n = 2; n <= 5; n++) {
		small = huge_resize(small, n * BYTES);
		assert_non_null(small);
		for (size_t i = 0; i < BYTES; i += OS_PAGE_BYTES)
			assert_int_equal(small[i], 's');
		memset(small + BYTES, 'x', (n - 1) * BYTES);
		assert_int_equal(counts().kept_bytes, n < 4 ? (4 - n) * BYTES : 0);
		assert_int_equal(counts().bytes, n * BYTES);
	}
	/* Shrunk: the rest goes back at once, as the program asked. */
	assert_ptr_equal(huge_resize(small, BYTES), small);
	assert_int_equal(counts().kept_bytes, 0);
	assert_int_equal(small[BYTES - 1], 's');
	assert_true(huge_free(small));
	huge_purge_all();
}

static void what_is_kept_never_makes_the_peak_higher(void **state)
{
	(void)state;
	char *blocks[4];
	for (size_t i = 0; i < 4; i++)
		blocks[i] = take(BYTES);
	for (size_t i = 0; i < 4; i++)
		assert_true(huge_free(blocks[i]));
	assert_int_equal(counts().kept_bytes, 4 * BYTES);
	/* None of the kept ones has room for it. */
	char *large = take(3 * BYTES);
	assert_int_equal(counts().kept_bytes, BYTES);
	assert_true(huge_free(large));
	assert_true(counts().kept_bytes <= 4 * BYTES);
	huge_purge_all();
}

static void trimming_leaves_live_blocks_their_bytes(void **state)
{
	(void)state;
	assert_true(huge_free(take(4 * BYTES)));
	char *block = take(BYTES);
	assert_int_equal(counts().kept_bytes, 3 * BYTES);
	assert_int_equal(huge_purge_all(), 3 * BYTES);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(block[i], 'd');
	assert_int_equal(map_kind_of(block + BYTES), MAP_STRANGER);
	block = huge_resize(block, 2 * BYTES);
	assert_non_null(block);
	assert_int_equal(block[BYTES - 1], 'd');
	assert_int_equal(block[BYTES], 0);
	assert_true(huge_free(block));
	huge_purge_all();
}

static void half_a_second_old_goes_back_at_the_next_slow_path(void **state)
{
	(void)state;
	assert_true(huge_free(take(BYTES)));
	huge_purge_old();
	assert_int_equal(counts().kept_bytes, BYTES);
	/* However long the sleep really takes: only longer than asked for. */
	nanosleep(&(struct timespec){ .tv_nsec = 700 * 1000 * 1000 }, NULL);
	huge_purge_old();
	assert_int_equal(counts().kept_bytes, 0);
}

static void calloc_clears_what_is_used_again(void **state)
{
	(void)state;
	assert_true(huge_free(take(4 * BYTES)));
	char *block = next_calloc(BYTES);
	assert_non_null(block);
	assert_int_equal(counts().kept_bytes, 3 * BYTES);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(block[i], 0);
	assert_true(huge_free(block));
	huge_purge_all();
}

static unsigned remaps;

static int count_remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	remaps++;
	return os_real.remap(start, old_bytes, new_bytes, fixed_to);
}

/* As for a mapping that the program split by its own madvise() or mprotect(). */
static int refuse_remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	(void)start, (void)old_bytes, (void)new_bytes, (void)fixed_to;
	return -EFAULT;
}

static void a_larger_block_takes_a_shorter_mapping_along(void **state)
{
	(void)state;
	struct os_ops ops = os_real;
	ops.remap = count_remap;
	char *first = take(2 * BYTES);
	assert_true(huge_free(first));
	os_swap(&ops);
	char *block = next_calloc(3 * BYTES);
	os_swap(NULL);
	assert_non_null(block);
	assert_true(remaps > 0);
	assert_int_equal(counts().kept_bytes, 0);
	assert_int_equal(counts().bytes, 3 * BYTES);
	assert_int_equal(huge_usable_bytes(block), 3 * BYTES);
	for (size_t i = 0; i < 3 * BYTES; i++)
		assert_int_equal(block[i], 0);
	if (block != first)
		assert_int_equal(map_kind_of(first), MAP_NEXT_HUGE_GONE);
	assert_int_equal(map_kind_of(block), MAP_NEXT_HUGE);
	assert_int_equal(map_kind_of(block + 3 * BYTES - 1), MAP_NEXT_HUGE_REST);
	assert_true(huge_free(block));
	/* One of less than half is left for its like. */
	char *large = take(7 * BYTES);
	assert_ptr_not_equal(large, block);
	assert_true(huge_free(large));
	huge_purge_all();
}

static void a_mapping_that_may_not_grow_goes_back(void **state)
{
	(void)state;
	struct os_ops ops = os_real;
	ops.remap = refuse_remap;
	assert_true(huge_free(take(2 * BYTES)));
	os_swap(&ops);
	char *block = take(2 * BYTES + BYTES / 8);
	os_swap(NULL);
	assert_int_equal(counts().blocks, 1);
	assert_int_equal(counts().bytes, 2 * BYTES + BYTES / 8);
	assert_int_equal(counts().kept_bytes, 0);
	assert_true(huge_free(block));
	assert_int_equal(counts().kept_bytes, 2 * BYTES + BYTES / 8);
	huge_purge_all();
	assert_int_equal(counts().kept_bytes, 0);
	assert_int_equal(counts().bytes, 0);
}

static void alignment_is_kept_too(void **state)
{
	(void)state;
	size_t alignment = 64 * MIB;
	assert_true(huge_free(take(BYTES)));
	bool zero;
	char *block = huge_malloc(BYTES, alignment, &zero);
	assert_non_null(block);
	assert_int_equal((uintptr_t)block % alignment, 0);
	assert_true(huge_free(block));
	block = huge_malloc(BYTES + BYTES / 2, alignment, &zero);
	assert_non_null(block);
	assert_int_equal((uintptr_t)block % alignment, 0);
	assert_true(huge_free(block));
	huge_purge_all();
}

static void free_twice(void *block)
{
	huge_free(block);
}

static void free_inside(void *block)
{
	huge_free((char *)block + 5 * MIB);
}

static void a_kept_block_is_a_free_one(void **state)
{
	(void)state;
	char *block = take(BYTES);
	assert_true(huge_free(block));
	assert_true(dies_with(free_twice, block, "free already|double free"));
	assert_true(dies_with(free_inside, block, "interior pointer"));
	/* What a live block does not use is no block either. */
	char *small = take(5 * MIB);
	assert_ptr_equal(small, block);
	assert_true(dies_with(free_inside, small, "interior pointer"));
	assert_true(huge_free(small));
	huge_purge_all();
}

/* munmap() fails: the memory goes back all the same, and the place is used again later. */
static int refuse_unmap(void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
	return -12;
}

static void a_refused_unmap_loses_nothing(void **state)
{
	(void)state;
	struct os_ops ops = os_real;
	ops.unmap = refuse_unmap;
	assert_true(huge_free(take(4 * BYTES)));
	char *block = take(BYTES);
	os_swap(&ops);
	huge_purge_all();
	os_swap(NULL);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(block[i], 'd');
	assert_int_equal(block[BYTES], 0);
	assert_true(huge_free(block));
	huge_purge_all();
	assert_int_equal(map_kind_of(block), MAP_NEXT_HUGE_GONE);
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
		cmocka_unit_test(a_freed_mapping_serves_the_next_block),
		cmocka_unit_test(a_smaller_block_grows_into_what_it_left),
		cmocka_unit_test(what_is_kept_never_makes_the_peak_higher),
		cmocka_unit_test(trimming_leaves_live_blocks_their_bytes),
		cmocka_unit_test(half_a_second_old_goes_back_at_the_next_slow_path),
		cmocka_unit_test(calloc_clears_what_is_used_again),
		cmocka_unit_test(a_larger_block_takes_a_shorter_mapping_along),
		cmocka_unit_test(a_mapping_that_may_not_grow_goes_back),
		cmocka_unit_test(alignment_is_kept_too),
		cmocka_unit_test(a_kept_block_is_a_free_one),
		cmocka_unit_test(a_refused_unmap_loses_nothing),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/migrate_checked_test.c - what HAKMEM_CHECK finds in next under an armed guard: told, survived, and rolled back
 *
 * The level is full in the whole process. tests/migrate_checked_test.sh has every misuse, size and level from outside.
 */
#include "migrate/guard.h"
#include "migrate/state.h"
#include "next/next.h"
#include "next/types.h"
#include "shim/checked.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "tests/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES 4000 /* with its seal still of the class of 4 KiB */

static void *volatile hidden; /* from the compiler, which knows too much of blocks */

static void set_plan(const char *text)
{
	char error[256];
	if (hakmem_plan_set(text, error, sizeof(error)))
		fail_msg("%s: %s", text, error);
}

static int start_armed(void **state)
{
	(void)state;
	shim_init();
	assert_int_equal(shim_checked, CHECKED_FULL);
	assert_null(guard_set("misuse"));
	hakmem_unlatch(NULL);
	set_plan("all=next");
	return 0;
}

static uint64_t misuses(void)
{
	struct guard_counts counts;
	guard_read_counts(&counts);
	return counts.misuses;
}

/* Of one block in 128 the page lies between guards: not this one. */
static char *take(enum map_kind kind)
{
	char *block = hakmem_malloc(BYTES);
	if (map_kind_of(block) == MAP_NEXT_GUARDED)
		block = hakmem_malloc(BYTES);
	assert_int_equal(map_kind_of(block), kind);
	return memset(block, 7, BYTES);
}

static char *take_guarded(void)
{
	for (;;) {
		char *block = hakmem_malloc(BYTES);
		if (map_kind_of(block) == MAP_NEXT_GUARDED)
			return memset(block, 7, BYTES);
		hakmem_free(block);
	}
}

/* The class is latched by the guard, and the program's next block is legacy's. */
static void expect_rolled_back(void)
{
	static struct state whole;
	unsigned class = next_class_of(BYTES);

	state_read(&whole);
	assert_int_equal(whole.class[class].reason, REASON_LATCHED);
	assert_string_equal(whole.class[class].latch_cause, "guard: misuse");
	/* A seal may have made a block of it out of a request of the one below. */
	assert_int_equal(whole.class[class - 1].reason, REASON_LATCHED);
	assert_int_equal(whole.class[class + 1].reason, REASON_PLAN);
	assert_int_equal(whole.class[class - 2].reason, REASON_PLAN);
	char *other = hakmem_malloc(BYTES);
	if (map_kind_of(other) != MAP_NEXT_GUARDED)
		assert_int_equal(hakmem_owner(other), HAKMEM_OWNER_LEGACY);
	hakmem_free(other);
}

/* Back on next by hand, none of its page's blocks comes again. */
static void expect_never_again(const char *block)
{
	hakmem_unlatch(NULL);
	for (int i = 0; i < 300; i++) {
		char *other = hakmem_malloc(BYTES);
		if (map_kind_of(other) == MAP_NEXT_CHECKED)
			assert_ptr_not_equal(page_of(other), page_of(block));
	}
}

static void a_write_past_the_end_is_survived_and_the_class_goes_back(void **state)
{
	(void)state;
	uint64_t before = misuses();
	char *block = take(MAP_NEXT_CHECKED);

	hidden = block;
	((char *)hidden)[BYTES] = 0;
	errno = 42;
	hakmem_free(hidden);
	assert_int_equal(errno, 42);
	assert_int_equal(misuses(), before + 1);
	/* The free had no effect. */
	assert_int_equal(block[0], 7);
	assert_int_equal(block[BYTES - 1], 7);
	expect_rolled_back();
	expect_never_again(block);
}

static void a_wrong_size_is_survived(void **state)
{
	(void)state;
	uint64_t before = misuses();
	char *block = take(MAP_NEXT_CHECKED);

	hidden = block;
	hakmem_free_sized(hidden, BYTES - 1);
	assert_int_equal(misuses(), before + 1);
	assert_int_equal(block[BYTES - 1], 7);
	expect_rolled_back();
	/* It lives on, so that the right one frees it. */
	hakmem_free_sized(hidden, BYTES);
	assert_int_equal(misuses(), before + 1);
}

static void a_double_free_of_a_block_that_waits_is_survived(void **state)
{
	(void)state;
	uint64_t before = misuses();

	hidden = take(MAP_NEXT_CHECKED);
	hakmem_free(hidden);
	hakmem_free(hidden);
	assert_int_equal(misuses(), before + 1);
	expect_rolled_back();
}

static void a_write_to_a_free_block_is_survived(void **state)
{
	(void)state;
	uint64_t before = misuses();
	char *block = take(MAP_NEXT_CHECKED);

	hidden = block;
	hakmem_free(hidden);
	((char *)hidden)[100] = 1;
	/* It is found when the block has waited long enough. */
	for (int i = 0; i < 100000 && misuses() == before; i++)
		hakmem_free(hakmem_malloc(BYTES));
	assert_int_equal(misuses(), before + 1);
	expect_rolled_back();
	expect_never_again(block);
}

static void what_was_overrun_has_no_room_and_is_not_moved(void **state)
{
	(void)state;
	uint64_t before = misuses();

	hidden = take(MAP_NEXT_CHECKED);
	((char *)hidden)[BYTES] = 0;
	assert_int_equal(hakmem_malloc_usable_size(hidden), 0);
	errno = 0;
	assert_null(hakmem_realloc(hidden, 2 * BYTES));
	assert_int_equal(errno, ENOMEM);
	/* Found once by each of the two. */
	assert_int_equal(misuses(), before + 2);
	assert_int_equal(((char *)hidden)[BYTES - 1], 7);
}

static void the_largest_are_leaked_whole(void **state)
{
	(void)state;
	static const size_t sizes[] = { 200000, 1500000, 10 * MIB };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t before = misuses();
		char *block = memset(hakmem_malloc(sizes[i]), 7, sizes[i]);
		hidden = block;
		((char *)hidden)[sizes[i]] = 0;
		hakmem_free(hidden);
		assert_int_equal(misuses(), before + 1);
		assert_int_equal(block[0], 7);
		assert_int_equal(block[sizes[i] - 1], 7);
	}
}

static void a_block_between_guard_pages_is_survived_too(void **state)
{
	(void)state;
	uint64_t before = misuses();
	char *block = take_guarded();

	/* Not further: the page behind it nobody survives. */
	hidden = block;
	hakmem_free_sized(hidden, BYTES + 1);
	assert_int_equal(misuses(), before + 1);
	assert_int_equal(block[BYTES - 1], 7);
	hakmem_free((char *)hidden + 16);
	assert_int_equal(misuses(), before + 2);
	hakmem_free(hidden);
	assert_int_equal(misuses(), before + 2);
	hakmem_free(hidden);
	assert_int_equal(misuses(), before + 3);
	expect_rolled_back();
}

static void overrun(enum map_kind kind)
{
	hidden = take(kind);
	((char *)hidden)[BYTES] = 0;
	hakmem_free(hidden);
}

static void overrun_in_legacy(void *unused)
{
	(void)unused;
	set_plan("all=old");
	overrun(MAP_LEGACY);
}

static void overrun_in_next(void *unused)
{
	(void)unused;
	overrun(MAP_NEXT_CHECKED);
}

static void unarmed_it_is_the_end_and_in_legacy_always(void **state)
{
	(void)state;
	assert_true(dies_with(overrun_in_legacy, NULL, "write past the end of a block"));
	assert_null(guard_set(""));
	assert_true(dies_with(overrun_in_next, NULL, "write past the end of a block"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_write_past_the_end_is_survived_and_the_class_goes_back,
				       start_armed),
		cmocka_unit_test_setup(a_wrong_size_is_survived, start_armed),
		cmocka_unit_test_setup(a_double_free_of_a_block_that_waits_is_survived, start_armed),
		cmocka_unit_test_setup(a_write_to_a_free_block_is_survived, start_armed),
		cmocka_unit_test_setup(what_was_overrun_has_no_room_and_is_not_moved, start_armed),
		cmocka_unit_test_setup(the_largest_are_leaked_whole, start_armed),
		cmocka_unit_test_setup(a_block_between_guard_pages_is_survived_too, start_armed),
		cmocka_unit_test_setup(unarmed_it_is_the_end_and_in_legacy_always, start_armed),
	};

	(void)argc;
	/* The library reads it before main(). */
	if (!getenv("HAKMEM_CHECK")) {
		setenv("HAKMEM_CHECK", "full", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

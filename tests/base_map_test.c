/* SPDX-License-Identifier: MIT */
/* tests/base_map_test.c - the address map: what it answers, for every address there can be */
#include "shim/base/map.h"

#include "shim/base/os.h"
#include "tests/support.h"

#include <errno.h>
#include <pthread.h>

static char *slot(size_t number)
{
	return (char *)(uintptr_t)(number << MAP_SLOT_SHIFT);
}

static int refuse_protect(void *start, size_t bytes, int prot)
{
	(void)start;
	(void)bytes;
	(void)prot;
	return -ENOMEM;
}

static void *refuse_map(void *hint, size_t bytes, int prot, int extra_flags)
{
	(void)hint;
	(void)bytes;
	(void)prot;
	(void)extra_flags;
	return NULL;
}

static size_t large_pages(void)
{
	return 16 * KIB;
}

/* First: there is no table yet. */
static void without_a_table_everything_is_a_stranger_and_nothing_can_be_claimed(void **state)
{
	(void)state;
	struct os_ops changed = os_real;
	changed.map = refuse_map;
	os_swap(&changed);
	assert_false(map_init());
	changed = os_real;
	changed.page_bytes = large_pages;
	assert_false(map_init());
	os_swap(NULL);
	assert_int_equal(map_kind_of(slot(1)), MAP_STRANGER);
	assert_int_equal(map_kind_of(state), MAP_STRANGER);
	assert_false(map_claim(slot(1), 1, MAP_NEXT));
	assert_true(map_init());
	map_byte *table = map_kinds;
	assert_true(map_init());
	assert_ptr_equal(map_kinds, table);
}

static void a_claim_covers_every_slot_it_touches_and_no_other(void **state)
{
	(void)state;
	static const struct {
		size_t from, bytes, first, last;
	} cases[] = {
		{ 0, 1, 100, 100 },
		{ MAP_SLOT_BYTES - 1, 1, 100, 100 },
		{ 0, MAP_SLOT_BYTES, 100, 100 },
		{ 0, MAP_SLOT_BYTES + 1, 100, 101 },
		{ MAP_SLOT_BYTES - 1, 2, 100, 101 },
		{ 5, 3 * MAP_SLOT_BYTES, 100, 103 },
		{ 0, 5000 * MAP_SLOT_BYTES, 100, 5099 }, /* more than a page of the table */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *start = slot(100) + cases[i].from;
		assert_true(map_claim(start, cases[i].bytes, MAP_LEGACY));
		assert_int_equal(map_kind_of(slot(cases[i].first) - 1), MAP_STRANGER);
		for (size_t s = cases[i].first; s <= cases[i].last; s++) {
			assert_int_equal(map_kind_of(slot(s)), MAP_LEGACY);
			assert_int_equal(map_kind_of(slot(s + 1) - 1), MAP_LEGACY);
		}
		assert_int_equal(map_kind_of(slot(cases[i].last + 1)), MAP_STRANGER);
		map_set(start, cases[i].bytes, MAP_NEXT_HUGE);
		assert_int_equal(map_kind_of(slot(cases[i].last)), MAP_NEXT_HUGE);
		map_release(start, cases[i].bytes);
		for (size_t s = cases[i].first; s <= cases[i].last; s++)
			assert_int_equal(map_kind_of(slot(s)), MAP_STRANGER);
	}
}

static void the_last_user_address_can_be_claimed_and_none_above_it(void **state)
{
	(void)state;
	char *last = slot(MAP_SLOTS - 1);
	assert_true(map_claim(last, MAP_SLOT_BYTES, MAP_NEXT));
	assert_int_equal(map_kind_of(last + MAP_SLOT_BYTES - 1), MAP_NEXT);
	map_release(last, MAP_SLOT_BYTES);
	assert_false(map_claim(last, MAP_SLOT_BYTES + 1, MAP_NEXT));
	assert_int_equal(map_kind_of(last), MAP_STRANGER);
	assert_false(map_claim(slot(MAP_SLOTS), 1, MAP_NEXT));
	for (unsigned bit = MAP_ADDRESS_BITS; bit < 64; bit++)
		assert_int_equal(map_kind_of((void *)((uintptr_t)1 << bit)), MAP_STRANGER);
	assert_int_equal(map_kind_of((void *)UINTPTR_MAX), MAP_STRANGER);
	assert_int_equal(map_kind_of(NULL), MAP_STRANGER);
}

static void a_watched_slot_stays_watched_whoever_claims_it_until_it_is_unwatched(void **state)
{
	(void)state;
	const struct os_ops no_writing = { .protect = refuse_protect };
	os_swap(&no_writing);
	assert_false(map_watch(slot(2000000)));
	map_unwatch(slot(2000000)); /* the table is read-only there */
	os_swap(NULL);
	assert_true(map_watch(slot(2000000)));
	assert_int_equal(map_byte_of_slot(2000000), MAP_WATCHED);
	assert_int_equal(map_kind_of(slot(2000000)), MAP_STRANGER);
	assert_true(map_claim(slot(2000000), 1, MAP_NEXT));
	assert_int_equal(map_byte_of_slot(2000000), MAP_NEXT | MAP_WATCHED);
	assert_int_equal(map_kind_of(slot(2000000)), MAP_NEXT);
	map_unwatch(slot(2000000));
	assert_int_equal(map_byte_of_slot(2000000), MAP_NEXT);
	map_release(slot(2000000), 1);
}

static void a_claim_that_gets_no_memory_changes_nothing(void **state)
{
	(void)state;
	const struct os_ops no_writing = { .protect = refuse_protect };
	os_swap(&no_writing);
	assert_false(map_claim(slot(1000000), 1, MAP_NEXT));
	assert_false(map_prepare(slot(1000000), 1));
	os_swap(NULL);
	assert_int_equal(map_kind_of(slot(1000000)), MAP_STRANGER);
	assert_true(map_prepare(slot(1000000), 1));
	assert_int_equal(map_kind_of(slot(1000000)), MAP_STRANGER);
	map_set(slot(1000000), 1, MAP_NEXT);
	assert_int_equal(map_kind_of(slot(1000000)), MAP_NEXT);
	map_release(slot(1000000), 1);
}

enum { THREADS = 4, OWN = 3000 };

static void *claim_every_fourth(void *argument)
{
	uintptr_t self = (uintptr_t)argument, wrong = 0;
	for (size_t i = 0; i < OWN; i++)
		wrong += !map_claim(slot(20000 + i * THREADS + self), 1,
				    (enum map_kind)(1 + self % 2));
	return (void *)wrong;
}

static void neighbours_claimed_by_threads_at_once_do_not_disturb_each_other(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	for (uintptr_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, claim_every_fourth, (void *)t),
				 0);
	for (int t = 0; t < THREADS; t++) {
		void *wrong;
		pthread_join(threads[t], &wrong);
		assert_null(wrong);
	}
	for (size_t i = 0; i < OWN * THREADS; i++)
		assert_int_equal(map_kind_of(slot(20000 + i)), 1 + i % THREADS % 2);
	map_release(slot(20000), OWN * THREADS * MAP_SLOT_BYTES);
}

static void asking_costs_no_memory(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* its shadow of what is read counts too */
	size_t before = resident_bytes(), strangers = 0;
	for (size_t s = 0; s < MAP_SLOTS; s += 4096)
		strangers += map_kind_of(slot(s)) == MAP_STRANGER;
	assert_int_equal(strangers, MAP_SLOTS / 4096);
	/* 8,192 pages of the table were read; they are the kernel's page of zeroes. */
	assert_true(resident_bytes() < before + 4 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			without_a_table_everything_is_a_stranger_and_nothing_can_be_claimed),
		cmocka_unit_test(a_claim_covers_every_slot_it_touches_and_no_other),
		cmocka_unit_test(the_last_user_address_can_be_claimed_and_none_above_it),
		cmocka_unit_test(a_watched_slot_stays_watched_whoever_claims_it_until_it_is_unwatched),
		cmocka_unit_test(a_claim_that_gets_no_memory_changes_nothing),
		cmocka_unit_test(neighbours_claimed_by_threads_at_once_do_not_disturb_each_other),
		cmocka_unit_test(asking_costs_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

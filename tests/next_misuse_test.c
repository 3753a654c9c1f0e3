/* SPDX-License-Identifier: MIT */
/* tests/next_misuse_test.c - every wrong free of next's blocks ends in one line that says what and where */
#include "next/next.h"

#include "next/heap.h"
#include "next/page.h"
#include "shim/base/os.h"
#include "tests/next_take.h"
#include "tests/support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A size of each kind: the smallest, small with many words of bits, mid, the largest of a page, spans, and
 * mappings of their own. */
#define A_SPAN (3968 * KIB) /* an alignment no page has, which a span can give */
static const size_t sizes[] = { 1,	16,	 1000,	     4096,    32 * KIB, 256 * KIB,
				300000, 2 * MIB, A_SPAN,     5 * MIB, 64 * MIB };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

enum thread { OWN, OTHER };

struct wrong {
	char *block;
	size_t offset;
	enum thread first, second;
};

static char *take(size_t bytes)
{
	char *block = bytes == A_SPAN ? next_aligned(2 * SLICE_BYTES, bytes) : next_take(bytes);
	if (!block)
		abort();
	return block;
}

static void *free_it(void *block)
{
	if (!next_free(block))
		abort();
	next_thread_exit();
	return NULL;
}

static void free_by(char *block, enum thread thread)
{
	pthread_t other;
	if (thread == OWN) {
		if (!next_free(block))
			abort();
		return;
	}
	if (pthread_create(&other, NULL, free_it, block))
		abort();
	pthread_join(other, NULL);
}

static bool dies(void (*act)(void *), void *argument, const char *address, const char *words)
{
	char all[200];
	snprintf(all, sizeof(all), "%p|%s", (const void *)address, words);
	return dies_with(act, argument, all);
}

/* Both frees, each by its thread. The other is there before the first: its stack could take the place of a
 * huge block that is gone, and then the address is a stranger's. */
static pthread_barrier_t turn;

static void free_in_turn(struct wrong *wrong, enum thread self)
{
	const enum thread whose[2] = { wrong->first, wrong->second };
	for (int i = 0; i < 2; i++) {
		if (whose[i] == self && !next_free(wrong->block))
			abort();
		pthread_barrier_wait(&turn);
	}
}

static void *free_as_other(void *wrong)
{
	free_in_turn(wrong, OTHER);
	return NULL;
}

static void free_twice(void *argument)
{
	pthread_t other;
	pthread_barrier_init(&turn, NULL, 2);
	if (pthread_create(&other, NULL, free_as_other, argument))
		abort();
	free_in_turn(argument, OWN);
	pthread_join(other, NULL);
}

static void check_double_frees(char *block, size_t bytes)
{
	for (unsigned i = 0; i < 4; i++) {
		struct wrong wrong = { .block = block,
				       .first = i & 1 ? OTHER : OWN,
				       .second = i & 2 ? OTHER : OWN };
		if (!dies(free_twice, &wrong, block, "free"))
			fail_msg("%zu bytes, by %u then %u", bytes, wrong.first, wrong.second);
	}
}

static void a_second_free_dies_in_every_size_by_whatever_threads(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = take(sizes[i]);
		check_double_frees(block, sizes[i]);
		next_free(block);
	}
}

/* The page is in no slot: it is FULL, with all blocks live; and with one free, in the queue. */
static void a_second_free_dies_in_full_and_in_queued_pages(void **state)
{
	(void)state;
	static const size_t paged[] = { 16, 1000, 32 * KIB };
	for (size_t i = 0; i < sizeof(paged) / sizeof(paged[0]); i++) {
		static char *blocks[3 * PAGE_WORDS * 64];
		size_t count = 0;
		struct next_page *first = NULL;
		do {
			blocks[count++] = take(paged[i]);
			first = page_of(blocks[count / 2]);
		} while (!(load_relaxed(&first->owner) & OWNER_FULL) &&
			 count < sizeof(blocks) / sizeof(blocks[0]));
		assert_true(load_relaxed(&first->owner) & OWNER_FULL);
		check_double_frees(blocks[count / 2], paged[i]);
		size_t other = count / 2;
		while (page_of(blocks[--other]) != first)
			;
		next_free(blocks[other]);
		assert_true(first->queued);
		check_double_frees(blocks[count / 2], paged[i]);
		for (size_t b = 0; b < count; b++)
			if (b != other)
				next_free(blocks[b]);
	}
}

static void free_at_offset(void *argument)
{
	struct wrong *wrong = argument;
	free_by(wrong->block + wrong->offset, wrong->first);
}

static void use_at_offset(void *argument)
{
	struct wrong *wrong = argument;
	size_t usable = next_usable_bytes(wrong->block + wrong->offset);
	(void)usable;
}

static void resize_at_offset(void *argument)
{
	struct wrong *wrong = argument;
	void *moved = next_resize(wrong->block + wrong->offset, 3 * MIB);
	(void)moved;
}

static void an_address_within_a_block_dies_by_any_call_and_thread(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = take(sizes[i]);
		size_t usable = next_usable_bytes(block);
		const size_t offsets[] = { 1, 8, 16, 17, usable / 2, usable - 16, usable - 1 };
		for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
			if (offsets[o] % usable == 0)
				continue; /* the next block, where that is */
			if (usable == 16 && offsets[o] >= usable)
				continue;
			struct wrong wrong = { .block = block, .offset = offsets[o] };
			const char *at = block + offsets[o];
			assert_true(dies(free_at_offset, &wrong, at, ""));
			wrong.first = OTHER;
			assert_true(dies(free_at_offset, &wrong, at, ""));
			assert_true(dies(use_at_offset, &wrong, at, ""));
			assert_true(dies(resize_at_offset, &wrong, at, ""));
		}
		next_free(block);
	}
}

static void a_block_that_was_never_handed_out_dies(void **state)
{
	(void)state;
	char *block = take(1000);
	struct next_page *page = page_of(block);
	size_t last = page->block_count - 1;
	struct wrong wrong = { .block = page->start + last * page->block_bytes };
	assert_true(dies(free_at_offset, &wrong, wrong.block, "free already"));
	wrong.first = OTHER;
	assert_true(dies(free_at_offset, &wrong, wrong.block, "free already"));
	assert_true(dies(use_at_offset, &wrong, wrong.block, "free"));
	next_free(block);
}

static void what_belongs_to_no_page_dies(void **state)
{
	(void)state;
	char *span = take(A_SPAN);
	char *segment = segment_base(span);
	struct wrong wrong = { .block = segment };
	/* The header, its page descriptors, and the rest of its slice. */
	const size_t offsets[] = { 0, 64, 4096, SLICE_BYTES / 2, SLICE_BYTES - 16 };
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		wrong.offset = offsets[i];
		assert_true(dies(free_at_offset, &wrong, segment + offsets[i], "no page"));
		assert_true(dies(use_at_offset, &wrong, segment + offsets[i], "no page"));
	}
	/* Slices that were given back, purged or not. */
	next_free(span);
	wrong = (struct wrong){ .block = span };
	assert_true(dies(free_at_offset, &wrong, span, "no page"));
	next_trim();
	assert_true(dies(free_at_offset, &wrong, span, "no page"));
}

static void the_gap_before_a_pages_first_block_holds_no_block(void **state)
{
	(void)state;
	size_t checked = 0;
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		char *block = take(next_class_bytes(bin));
		struct next_page *page = page_of(block);
		char *gap = segment_base(page) + (size_t)page->first_slice * SLICE_BYTES;
		struct wrong wrong = { .block = gap };
		if (gap < page->start) {
			assert_true(dies(free_at_offset, &wrong, gap, "first byte"));
			wrong.offset = (size_t)(page->start - gap) - 16;
			assert_true(dies(free_at_offset, &wrong, gap + wrong.offset, "first byte"));
			checked++;
		}
		next_free(block);
	}
	assert_true(checked > 0);
}

static void addresses_that_cannot_be_ours_are_strangers(void **state)
{
	(void)state;
	static const uintptr_t addresses[] = { 0,
					       1,
					       (uintptr_t)1 << 47,
					       (uintptr_t)1 << 48,
					       0x8000000000000000u,
					       0xdeadbeefdeadbeefu,
					       UINTPTR_MAX };
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(map_kind_of((void *)addresses[i]), MAP_STRANGER);
	int on_stack;
	assert_int_equal(map_kind_of(&on_stack), MAP_STRANGER);
	assert_int_equal(map_kind_of(sizes), MAP_STRANGER);
}

static void strangers_behind_a_huge_blocks_end_are_let_pass(void **state)
{
	(void)state;
	char *block = take(5 * MIB);
	char *behind = block + next_usable_bytes(block), *end = block + 8 * MIB;
	assert_int_equal(map_kind_of(behind), MAP_NEXT_HUGE_REST);
	for (char *p = behind; p < end; p += 100 * KIB) {
		assert_false(next_free(p));
		assert_int_equal(next_usable_bytes(p), 0);
	}
	assert_false(next_free(end - 1));
	/* Given back, and something else lives where it began: not ours to judge. */
	next_free(block);
	next_trim();
	assert_int_equal(map_kind_of(block), MAP_NEXT_HUGE_GONE);
	char *other = os_map(block, OS_PAGE_BYTES);
	if (other == block)
		assert_false(next_free(block));
	os_unmap(other, OS_PAGE_BYTES);
}

/* Crash reporters allocate. */
static void allocate_in_handler(int number)
{
	(void)number;
	next_free(take(5 * MIB));
	next_free(take(100));
}

static void free_huge_twice_under_a_handler(void *argument)
{
	char *block = take(5 * MIB);
	(void)argument;
	signal(SIGABRT, allocate_in_handler);
	alarm(60); /* a hang dies of another signal */
	next_free(block);
	next_free(block);
}

static void a_handler_of_the_abort_may_allocate(void **state)
{
	(void)state;
	assert_true(dies_with(free_huge_twice_under_a_handler, NULL, "free already"));
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
		cmocka_unit_test(a_second_free_dies_in_every_size_by_whatever_threads),
		cmocka_unit_test(a_second_free_dies_in_full_and_in_queued_pages),
		cmocka_unit_test(an_address_within_a_block_dies_by_any_call_and_thread),
		cmocka_unit_test(a_block_that_was_never_handed_out_dies),
		cmocka_unit_test(what_belongs_to_no_page_dies),
		cmocka_unit_test(the_gap_before_a_pages_first_block_holds_no_block),
		cmocka_unit_test(addresses_that_cannot_be_ours_are_strangers),
		cmocka_unit_test(strangers_behind_a_huge_blocks_end_are_let_pass),
		cmocka_unit_test(a_handler_of_the_abort_may_allocate),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/next_page_test.c - one page: which addresses are blocks, and every step of its owner word */
#include "next/page.h"

#include "next/misuse.h"
#include "next/next.h"
#include "next/segment.h"
#include "tests/support.h"

#include <pthread.h>
#include <stdlib.h>

/* Heaps are only addresses here: nothing in page.c looks into one. */
static struct next_heap owner, stranger;

static struct next_page *page_for(unsigned bin)
{
	bool zero;
	struct next_page *page = segment_claim(page_slices(bin), 1, &zero);
	if (!page)
		abort();
	page_make(page, bin, &owner, zero);
	return page;
}

static uintptr_t word_of(const struct next_page *page)
{
	return load_relaxed(&page->owner);
}

static char *block_of(const struct next_page *page, size_t number)
{
	return page->start + number * page->block_bytes;
}

/* Pops every block, as malloc does. */
static void empty(struct next_page *page)
{
	while (page_advance(page))
		while (load_relaxed(page->current))
			assert_non_null(page_pop(page));
}

/* As free.c does it. True if the page is to be pushed on its owner's ready stack. */
static bool remote_free(struct next_page *page, size_t number)
{
	uintptr_t push_to = 0;
	if (!page_mark_remote(page, number))
		misuse_double_free(page, block_of(page, number));
	if (page_is_announced(page) || !page_announce(page, &push_to))
		return false;
	assert_int_equal(push_to, (uintptr_t)&owner);
	return true;
}

static void make_full(struct next_page *page)
{
	empty(page);
	assert_true(page_mark_full(page, &owner));
}

/* --- addresses ----------------------------------------------------------------------- */

static void check_every_offset(const struct next_page *page)
{
	size_t bytes = (size_t)load_relaxed(&page->slices) << SLICE_SHIFT, blocks = 0;
	const char *first = page_owner(page) == OWNER_SPAN ? slice_address(page) : page->start;
	const char *end = slice_address(page) + bytes, *next_block = first;
	for (const char *p = slice_address(page); p < end; p++) {
		size_t number;
		bool is_block = page_block_number(page, p, &number);
		if (is_block != (p == next_block) || (is_block && number != blocks))
			fail_msg("block size %zu, offset %td from the first block: %s %zu",
				 (size_t)page->block_bytes, p - first,
				 is_block ? "taken for block" : "refused, not taken for block",
				 is_block ? number : blocks);
		if (is_block) {
			blocks++;
			next_block += page->block_bytes;
		}
	}
	assert_int_equal(blocks, page->block_count);
	assert_ptr_equal(next_block, end);
}

static void in_every_page_exactly_the_first_bytes_of_blocks_are_accepted(void **state)
{
	(void)state;
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		struct next_page *page = page_for(bin);
		check_every_offset(page);
		segment_release(page);
	}
}

static void in_every_span_exactly_the_first_byte_is_accepted(void **state)
{
	(void)state;
	for (size_t slices = 1; slices <= USABLE_SLICES; slices += 3) {
		bool zero;
		struct next_page *page = segment_claim(slices, 1, &zero);
		assert_non_null(page);
		page_make_span(page, NEXT_CLASS_HUGE);
		check_every_offset(page);
		segment_release(page);
	}
}

static void no_address_passes_between_the_claim_and_the_page(void **state)
{
	(void)state;
	bool zero;
	for (unsigned bin = 0; bin < NEXT_BINS; bin += 9) {
		/* What a page of another class left there is not to be taken for this one's. */
		segment_release(page_for(bin ? 0 : NEXT_BINS - 1));
		struct next_page *page = segment_claim(page_slices(bin), 1, &zero);
		assert_non_null(page);
		size_t bytes = (size_t)load_relaxed(&page->slices) << SLICE_SHIFT, number;
		for (const char *p = slice_address(page); p < slice_address(page) + bytes; p++)
			assert_false(block_number(page, p, &number));
		page_make(page, bin, &owner, zero);
		check_every_offset(page);
		segment_release(page);
	}
}

static void a_span_in_quarantine_is_still_one_block(void **state)
{
	(void)state;
	bool zero;
	size_t number;
	struct next_page *page = segment_claim(3, 1, &zero);
	page_make_span(page, NEXT_CLASS_HUGE);
	store_relaxed(&page->owner, OWNER_QUARANTINE);
	assert_true(page_block_number(page, slice_address(page), &number));
	assert_int_equal(number, 0);
	assert_false(page_block_number(page, slice_address(page) + 16, &number));
	store_relaxed(&page->owner, OWNER_SPAN);
	segment_release(page);
}

static void a_page_holds_enough_blocks_and_its_bits_fit(void **state)
{
	(void)state;
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		struct next_page *page = page_for(bin);
		assert_in_range(page->block_count, 3, PAGE_BLOCKS);
		if (page->block_bytes <= 2 * KIB)
			assert_true(page->block_count >= 32);
		assert_int_equal(load_relaxed(&page->words), (page->block_count + 63) / 64);
		assert_int_equal(page_free_count(page), page->block_count);
		segment_release(page);
	}
}

/* --- bits ---------------------------------------------------------------------------- */

static void every_block_is_popped_once_in_order_and_can_be_freed_again(void **state)
{
	(void)state;
	for (unsigned bin = 0; bin < NEXT_BINS; bin++) {
		struct next_page *page = page_for(bin);
		size_t popped = 0;
		while (page_advance(page)) {
			while (load_relaxed(page->current))
				assert_ptr_equal(page_pop(page), block_of(page, popped++));
		}
		assert_int_equal(popped, page->block_count);
		assert_int_equal(page_free_count(page), 0);
		size_t odd = page->block_count / 2 | 1;
		assert_true(page_free_block(page, odd, block_of(page, odd)));
		assert_int_equal(page_free_count(page), 1);
		assert_true(page_advance(page));
		assert_ptr_equal(page_pop(page), block_of(page, odd));
		segment_release(page);
	}
}

/* Pops what the current word has. */
static void drain_word(struct next_page *page)
{
	while (load_relaxed(page->current))
		assert_non_null(page_pop(page));
}

static void pops_next(struct next_page *page, size_t number)
{
	assert_true(page_advance(page));
	assert_ptr_equal(page_pop(page), block_of(page, number));
	drain_word(page);
}

/* Blocks that were handed out before come first, so that untouched memory stays so; among them the words take turns. */
static void fresh_words_wait_until_the_others_have_no_free_block(void **state)
{
	(void)state;
	struct next_page *page = page_for(0);
	assert_true(page_advance(page));
	drain_word(page);
	assert_true(page_free_block(page, 5, block_of(page, 5)));
	pops_next(page, 5);
	pops_next(page, 64);
	pops_next(page, 128);
	const size_t free[] = { 7, 70, 130 };
	for (size_t i = 0; i < 3; i++)
		assert_true(page_free_block(page, free[i], block_of(page, free[i])));
	pops_next(page, 7); /* behind the word of 128 there are only fresh ones */
	assert_true(page_free_block(page, 9, block_of(page, 9)));
	pops_next(page, 70);
	pops_next(page, 130);
	pops_next(page, 9);
	pops_next(page, 192);
	segment_release(page);
}

static void a_page_is_wholly_remote_when_its_last_block_is_and_not_before(void **state)
{
	(void)state;
	for (unsigned bin = 0; bin < NEXT_BINS; bin += 5) {
		struct next_page *page = page_for(bin);
		make_full(page);
		for (size_t i = 0; i < page->block_count; i++) {
			assert_false(page_wholly_remote(page));
			assert_int_equal(remote_free(page, page->block_count - 1 - i),
					 i == 0);
		}
		assert_true(page_wholly_remote(page));
		assert_int_equal(page_merge(page, &owner), page->block_count);
		assert_false(page_wholly_remote(page));
		segment_release(page);
	}
}

/* --- the owner word: page.h's table, line by line -------------------------------------- */

static void in_use_a_remote_free_is_announced_once_and_merged(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	empty(page);
	assert_int_equal(word_of(page), (uintptr_t)&owner);
	assert_false(remote_free(page, 3));
	assert_int_equal(word_of(page), (uintptr_t)&owner | OWNER_REMOTE);
	assert_false(remote_free(page, 65));
	assert_int_equal(word_of(page), (uintptr_t)&owner | OWNER_REMOTE);
	assert_int_equal(page_owner(page), (uintptr_t)&owner);
	assert_int_equal(page_free_count(page), 0);

	assert_int_equal(page_merge(page, &owner), 2);
	assert_int_equal(word_of(page), (uintptr_t)&owner);
	assert_int_equal(page_free_count(page), 2);
	assert_true(page_advance(page));
	assert_ptr_equal(page_pop(page), block_of(page, 3));
	assert_true(page_advance(page));
	assert_ptr_equal(page_pop(page), block_of(page, 65));
	segment_release(page);
}

static void a_page_with_unseen_frees_cannot_be_marked_full(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	empty(page);
	assert_false(remote_free(page, 0));
	assert_false(page_mark_full(page, &owner));
	assert_int_equal(word_of(page), (uintptr_t)&owner | OWNER_REMOTE);
	assert_int_equal(page_merge(page, &owner), 1);
	segment_release(page);
}

static void the_first_remote_free_of_a_full_page_and_no_other_pushes_it(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	make_full(page);
	assert_int_equal(word_of(page), (uintptr_t)&owner | OWNER_FULL);
	assert_true(remote_free(page, 1));
	assert_int_equal(word_of(page), (uintptr_t)&owner | OWNER_FULL | OWNER_REMOTE);
	assert_false(remote_free(page, 2));
	assert_int_equal(page_merge(page, &stranger), 2);
	assert_int_equal(word_of(page), (uintptr_t)&stranger);
	segment_release(page);
}

static void what_is_freed_on_a_shared_list_comes_with_the_page(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	empty(page);
	assert_int_equal(page_merge(page, (struct next_heap *)OWNER_SHARED), 0);
	assert_false(remote_free(page, 5));
	assert_int_equal(page_owner(page), OWNER_SHARED);
	assert_int_equal(page_merge(page, &owner), 1);
	assert_int_equal(word_of(page), (uintptr_t)&owner);
	segment_release(page);
}

/* The thread whose bit was merged before it looked at the owner word finds another life of the page. */
static uintptr_t late_announcement(struct next_page *page)
{
	return fetch_or_seq_cst(&page->owner, OWNER_REMOTE);
}

static void a_false_alarm_is_cleared_and_hides_nothing(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	late_announcement(page);
	assert_int_equal(page_owner(page), (uintptr_t)&owner);
	assert_int_equal(page_merge(page, &owner), 0);
	assert_int_equal(word_of(page), (uintptr_t)&owner);

	/* Between the last block and FULL: not marked, nothing merged, then marked. */
	empty(page);
	late_announcement(page);
	assert_false(page_mark_full(page, &owner));
	assert_int_equal(page_merge(page, &owner), 0);
	assert_true(page_mark_full(page, &owner));

	/* On FULL: the late thread has to push; the taker finds nothing and marks it again. */
	assert_int_equal(late_announcement(page), (uintptr_t)&owner | OWNER_FULL);
	assert_false(remote_free(page, 9));
	assert_int_equal(page_merge(page, &owner), 1);
	assert_true(page_advance(page));
	assert_ptr_equal(page_pop(page), block_of(page, 9));
	segment_release(page);
	late_announcement(page);
	assert_int_equal(page_owner(page), OWNER_NONE);
}

static void a_merge_or_full_mark_ends_the_zero_promise(void **state)
{
	(void)state;
	struct next_page *page = page_for(10);
	page->zero = true;
	assert_int_equal(page_merge(page, &owner), 0);
	assert_true(page->zero);
	empty(page);
	assert_false(remote_free(page, 5));
	assert_int_equal(page_merge(page, &owner), 1);
	assert_false(page->zero);
	page->zero = true;
	make_full(page);
	assert_false(page->zero);
	segment_release(page);
}

/* --- double frees -------------------------------------------------------------------- */

enum by { OWN, REMOTE };

struct twice {
	enum by first, second;
	bool full, merged_between;
};

/* free.c's steps for a page of this thread and of another. */
static void free_by(struct next_page *page, size_t number, enum by by)
{
	if (by == REMOTE || (word_of(page) & OWNER_FULL)) {
		(void)remote_free(page, number);
		return;
	}
	if (word_of(page) & OWNER_REMOTE)
		page_merge(page, &owner);
	assert_true(page_free_block(page, number, block_of(page, number)));
}

static void free_twice(void *argument)
{
	struct twice *twice = argument;
	struct next_page *page = page_for(10);
	empty(page);
	if (twice->full && !page_mark_full(page, &owner))
		abort();
	free_by(page, 70, twice->first);
	if (twice->merged_between)
		page_merge(page, &owner);
	free_by(page, 70, twice->second);
}

static void a_double_free_dies_whoever_frees_first_and_second(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		struct twice twice = { .first = i & 1 ? REMOTE : OWN,
				       .second = i & 2 ? REMOTE : OWN,
				       .full = (i & 4) != 0,
				       .merged_between = (i & 8) != 0 };
		if (!dies_with(free_twice, &twice, "free already|0x|double free"))
			fail_msg("first %d second %d full %d merged %d", twice.first, twice.second,
				 twice.full, twice.merged_between);
	}
}

/* The two frees race: neither saw the other's bit. */
static void merge_of_a_block_in_both(void *argument)
{
	(void)argument;
	struct next_page *page = page_for(10);
	empty(page);
	(void)remote_free(page, 7);
	assert_true(page_free_block(page, 7, block_of(page, 7)));
	page_merge(page, &owner);
}

static void a_double_free_by_two_threads_at_once_dies_at_the_merge(void **state)
{
	(void)state;
	assert_true(dies_with(merge_of_a_block_in_both, NULL, "free already|0x|double free"));
}

/* --- frees and merges at once -------------------------------------------------------------------- */

#define SENDERS 2
#define HANDED	(HAKMEM_SANITIZER ? 20000 : 100000) /* blocks, to both together */
#define RING	1024				    /* more than the page has blocks: it is never full */

/* Numbers of blocks on their way to who frees them. */
struct sender {
	struct next_page *page;
	uint32_t ring[RING];
	_Atomic uint32_t put; /* [owner writes] */
	uint32_t taken;	      /* [sender] */
};

static _Atomic bool done;

static void *free_what_comes(void *argument)
{
	struct sender *sender = argument;
	for (;;) {
		bool last = load_acquire(&done);
		/* acquire: pairs with the owner's release */
		uint32_t put = load_acquire(&sender->put);
		for (; sender->taken != put; sender->taken++)
			(void)remote_free(sender->page, sender->ring[sender->taken % RING]);
		if (last)
			return NULL;
	}
}

/* Nothing is lost between a sender's bit and the owner's clearing of the word. */
static void a_merge_takes_every_free_that_comes_meanwhile(void **state)
{
	(void)state;
	static struct sender senders[SENDERS];
	struct next_page *page = page_for(10);
	pthread_t threads[SENDERS];
	assert_true(page->block_count < RING);
	for (size_t s = 0; s < SENDERS; s++) {
		senders[s].page = page;
		assert_int_equal(pthread_create(&threads[s], NULL, free_what_comes, &senders[s]), 0);
	}
	/* A loss leaves fewer and fewer blocks, and in the end none: then the merges run out. */
	uint32_t merges = 0;
	for (uint32_t handed = 0; handed < HANDED && merges < 100 * HANDED; merges++) {
		page_merge(page, &owner);
		while (page_advance(page)) {
			struct sender *sender = &senders[handed++ % SENDERS];
			uint32_t put = load_relaxed(&sender->put);
			size_t number;
			assert_true(block_number(page, page_pop(page), &number));
			sender->ring[put % RING] = (uint32_t)number;
			/* release: pairs with the sender's acquire */
			store_release(&sender->put, put + 1);
		}
	}
	store_release(&done, true);
	for (size_t s = 0; s < SENDERS; s++)
		pthread_join(threads[s], NULL);
	page_merge(page, &owner);
	assert_int_equal(page_free_count(page), page->block_count);
	segment_release(page);
}

static int set_up(void **state)
{
	(void)state;
	return next_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_every_page_exactly_the_first_bytes_of_blocks_are_accepted),
		cmocka_unit_test(in_every_span_exactly_the_first_byte_is_accepted),
		cmocka_unit_test(no_address_passes_between_the_claim_and_the_page),
		cmocka_unit_test(a_span_in_quarantine_is_still_one_block),
		cmocka_unit_test(a_page_holds_enough_blocks_and_its_bits_fit),
		cmocka_unit_test(every_block_is_popped_once_in_order_and_can_be_freed_again),
		cmocka_unit_test(fresh_words_wait_until_the_others_have_no_free_block),
		cmocka_unit_test(a_page_is_wholly_remote_when_its_last_block_is_and_not_before),
		cmocka_unit_test(in_use_a_remote_free_is_announced_once_and_merged),
		cmocka_unit_test(a_page_with_unseen_frees_cannot_be_marked_full),
		cmocka_unit_test(the_first_remote_free_of_a_full_page_and_no_other_pushes_it),
		cmocka_unit_test(what_is_freed_on_a_shared_list_comes_with_the_page),
		cmocka_unit_test(a_false_alarm_is_cleared_and_hides_nothing),
		cmocka_unit_test(a_merge_or_full_mark_ends_the_zero_promise),
		cmocka_unit_test(a_double_free_dies_whoever_frees_first_and_second),
		cmocka_unit_test(a_double_free_by_two_threads_at_once_dies_at_the_merge),
		cmocka_unit_test(a_merge_takes_every_free_that_comes_meanwhile),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

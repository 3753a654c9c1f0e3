/* SPDX-License-Identifier: MIT */
/* tests/next_site_test.c - call sites: blocks of one side by side, and no memory lost to the table */
#include "next/site.h"

#include "next/fast.h"
#include "next/heap.h"
#include "next/next.h"
#include "next/page.h"
#include "next/segment.h"
#include "tests/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BYTES ((size_t)48)
#define SITES 16u
#define EACH  200

static char *at(size_t bytes, uint32_t site)
{
	char *block = next_malloc_site(bytes, site);
	assert_non_null(block);
	memset(block, (int)(site + 1), bytes);
	return block;
}

static void check_and_free(char *block, size_t bytes, uint32_t site)
{
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal((unsigned char)block[i], (unsigned char)(site + 1));
	assert_true(next_free(block));
}

static size_t pages_of(char **blocks, size_t count)
{
	size_t pages = 0;
	for (size_t i = 0; i < count; i++) {
		size_t j = 0;
		while (j < i && page_of(blocks[j]) != page_of(blocks[i]))
			j++;
		pages += j == i;
	}
	return pages;
}

/* A thread of its own, so that its heap's table is empty; heaps that were left are shed first. */
static void in_a_fresh_heap(void *(*act)(void *))
{
	pthread_t thread;
	next_trim();
	assert_int_equal(pthread_create(&thread, NULL, act, NULL), 0);
	pthread_join(thread, NULL);
}

static void *take_in_turns(void *argument)
{
	static char *blocks[SITES][EACH];
	for (size_t i = 0; i < EACH; i++)
		for (uint32_t site = 0; site < SITES; site++)
			blocks[site][i] = at(BYTES, site);
	for (uint32_t site = 0; site < SITES; site++) {
		assert_int_equal(pages_of(blocks[site], EACH), 1);
		for (size_t i = 1; i < EACH; i++)
			assert_true(blocks[site][i] > blocks[site][i - 1]);
		for (uint32_t other = 0; other < site; other++)
			assert_ptr_not_equal(page_of(blocks[site][0]), page_of(blocks[other][0]));
	}
	for (uint32_t site = 0; site < SITES; site++)
		for (size_t i = 0; i < EACH; i++)
			check_and_free(blocks[site][i], BYTES, site);
	next_thread_exit();
	return argument;
}

static void blocks_of_a_site_lie_in_a_page_of_their_own(void **state)
{
	(void)state;
	in_a_fresh_heap(take_in_turns);
}

/* Far more pairs of class and site than the table holds, many mallocs each: everything is a block, and
 * memory stays near what is live. */
static void *take_from_everywhere(void *argument)
{
	static struct {
		char *block;
		size_t bytes;
		uint32_t site;
	} taken[4000];
	uint64_t random = 7;
	struct next_stats before, after;
	next_read_stats(&before);
	for (size_t i = 0; i < 400000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		size_t victim = (size_t)(random >> 33) % 4000;
		if (taken[victim].block)
			check_and_free(taken[victim].block, taken[victim].bytes, taken[victim].site);
		taken[victim].bytes = 1 + (size_t)(random >> 40) % 1500;
		taken[victim].site = (uint32_t)(random >> 50) % 1000;
		taken[victim].block = at(taken[victim].bytes, taken[victim].site);
	}
	next_read_stats(&after);
	assert_true(after.live_blocks - before.live_blocks >= 4000 * 9 / 10);
	/* 4,000 blocks of 750 bytes are 3 MB; the table's 256 pages of 64 KiB would be 16 MiB. */
	assert_true(after.mapped_bytes < before.mapped_bytes + 40 * MIB);
	for (size_t i = 0; i < 4000; i++)
		if (taken[i].block)
			check_and_free(taken[i].block, taken[i].bytes, taken[i].site);
	next_thread_exit();
	return argument;
}

static void more_sites_than_the_table_holds_are_served(void **state)
{
	(void)state;
	in_a_fresh_heap(take_from_everywhere);
}

static void *leave_blocks(void *argument)
{
	char **blocks = argument;
	for (uint32_t site = 0; site < SITES; site++)
		blocks[site] = at(BYTES, site);
	next_thread_exit();
	return NULL;
}

static void pages_of_a_site_outlive_their_thread_and_go_back(void **state)
{
	(void)state;
	static char *blocks[SITES];
	pthread_t thread;
	struct next_stats before, after;
	next_trim();
	next_read_stats(&before);
	assert_int_equal(pthread_create(&thread, NULL, leave_blocks, blocks), 0);
	pthread_join(thread, NULL);
	next_trim(); /* sheds the heap: its pages are on the shared lists now */
	for (uint32_t site = 0; site < SITES; site++)
		check_and_free(blocks[site], BYTES, site);
	next_trim();
	next_read_stats(&after);
	assert_int_equal(after.live_blocks, before.live_blocks);
	size_t pages = 0;
	for (uint32_t site = 0; site < SITES; site++)
		pages += page_owner(page_of(blocks[site])) != OWNER_NONE;
	assert_int_equal(pages, 0);
}

static void trim_gives_back_the_pages_of_sites_without_a_block(void **state)
{
	(void)state;
	char *block = at(BYTES, 77);
	struct next_page *page = page_of(block);
	assert_int_equal(page_owner(page), (uintptr_t)next_heap_self);
	check_and_free(block, BYTES, 77);
	assert_int_equal(page_owner(page), (uintptr_t)next_heap_self);
	next_trim();
	assert_int_equal(page_owner(page), OWNER_NONE);
	check_and_free(at(BYTES, 77), BYTES, 77);
}

static void *free_it(void *block)
{
	next_free(block);
	next_thread_exit();
	return NULL;
}

static void a_sites_full_page_that_others_emptied_is_used_again(void **state)
{
	(void)state;
	static char *blocks[PAGE_BLOCKS];
	pthread_t thread;
	blocks[0] = at(1024, 5);
	struct next_page *page = page_of(blocks[0]);
	uint32_t count = page->block_count;
	for (uint32_t i = 1; i < count; i++)
		blocks[i] = at(1024, 5);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(pthread_create(&thread, NULL, free_it, blocks[i]), 0);
		pthread_join(thread, NULL);
	}
	char *again = at(1024, 5);
	assert_ptr_equal(page_of(again), page);
	check_and_free(again, 1024, 5);
}

static void sizes_without_a_page_of_their_own_are_served(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, SITE_MAX_BYTES + 1, 64 * KIB, 2 * MIB, 9 * MIB };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *block = next_malloc_site(sizes[i], 3);
		assert_non_null(block);
		memset(block, 1, sizes[i]);
		assert_true(next_free(block));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_a_site_lie_in_a_page_of_their_own),
		cmocka_unit_test(more_sites_than_the_table_holds_are_served),
		cmocka_unit_test(pages_of_a_site_outlive_their_thread_and_go_back),
		cmocka_unit_test(trim_gives_back_the_pages_of_sites_without_a_block),
		cmocka_unit_test(a_sites_full_page_that_others_emptied_is_used_again),
		cmocka_unit_test(sizes_without_a_page_of_their_own_are_served),
	};
	if (!next_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

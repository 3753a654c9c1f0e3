/* SPDX-License-Identifier: MIT */
/* tests/legacy_legacy_test.c - legacy as one thread sees it: sizes, layers, memory given back */
#include "legacy/legacy.h"

#include "legacy/block.h"
#include "legacy/pages.h"
#include "legacy/remote.h"
#include "legacy/shards.h"
#include "legacy/table.h"
#include "tests/legacy_support.h"

static struct legacy_thread *thread;

static int begin(void **state)
{
	(void)state;
	legacy_begin(NULL);
	return 0;
}

/* Each test starts with a thread whose caches are empty, and leaves no page in service. */
static int start_thread(void **state)
{
	(void)state;
	thread = legacy_thread_start();
	return thread ? 0 : -1;
}

static int exit_thread(void **state)
{
	(void)state;
	legacy_thread_exit(thread);
	struct legacy_counters c = counters_now();
	return c.pages == 0 && c.threads == 0 ? 0 : -1;
}

static void every_size_is_aligned_and_holds_its_bytes(void **state)
{
	(void)state;
	static char *blocks[2 * 1024];
	size_t count = 0;
	for (size_t bytes = LEGACY_MIN_BYTES; bytes <= LEGACY_MAX_BYTES; bytes += 31) {
		char *block = legacy_malloc(count % 3 ? thread : NULL, bytes, (uint32_t)bytes);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % LEGACY_ALIGNMENT, 0);
		assert_int_equal(map_kind_of(block), MAP_LEGACY);
		assert_int_equal(map_kind_of(block + bytes - 1), MAP_LEGACY);
		size_t usable = legacy_usable_bytes(block);
		assert_true(usable >= bytes);
		assert_true(bytes <= 2048 || usable < 2 * bytes);
		memset(block, (int)count, usable);
		blocks[count++] = block;
	}
	for (size_t i = 0; i < count; i++) {
		size_t usable = legacy_usable_bytes(blocks[i]);
		for (size_t b = 0; b < usable; b++)
			assert_int_equal(blocks[i][b], (char)i);
		legacy_free(i % 2 ? thread : NULL, blocks[i]);
	}
	assert_null(legacy_malloc(thread, LEGACY_MAX_BYTES + 1, 0));
	assert_null(legacy_malloc(NULL, SIZE_MAX, 0));
	void *small = legacy_malloc(thread, 0, 0);
	assert_int_equal(legacy_usable_bytes(small), 2048);
	legacy_free(thread, small);
}

static void class_borders_are_where_the_plan_puts_them(void **state)
{
	(void)state;
	static const size_t payloads[LEGACY_CLASSES] = { 2, 4, 6, 8, 12, 16, 32 };
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		const struct legacy_class *c = &legacy_classes[class];
		assert_int_equal(legacy_class_bytes(class), payloads[class] * KIB);
		assert_int_equal(class_of(payloads[class] * KIB), class);
		if (class + 1 < LEGACY_CLASSES)
			assert_int_equal(class_of(payloads[class] * KIB + 1), class + 1);
		/* What is left of a run is less than a block, and under 6.3 % of it. */
		size_t run = c->run_pages * PAGE_BYTES;
		size_t rest = run - (size_t)c->capacity * c->stride_bytes;
		assert_true(rest < c->stride_bytes && rest * 1000 < run * 63);
		assert_true(c->capacity <= PAGE_BLOCKS_MAX);
	}
}

static void the_header_says_size_class_and_site(void **state)
{
	(void)state;
	void *block = legacy_malloc(thread, 5000, 4711);
	struct block_header *header = header_of(block);
	assert_int_equal(header->size_bytes, 5000);
	assert_int_equal(header->site, 4711);
	assert_int_equal(legacy_class_bytes(header->class), 6 * KIB);
	legacy_free(thread, block);
}

/* Brings a block through each layer in turn and looks which one served it. */
static void the_layers_are_tried_in_the_plans_order(void **state)
{
	(void)state;
	enum { FULL_PAGES = 27 * 15 }; /* so that active A is used up */
	static void *blocks[FULL_PAGES];
	struct legacy_thread *other = legacy_thread_start();
	struct legacy_counters c0 = counters_now(), c;

	blocks[0] = legacy_malloc(thread, 4096, 0); /* a fresh page ... */
	blocks[1] = legacy_malloc(thread, 4096, 0); /* ... then active A */
	c = counters_now();
	assert_int_equal(c.fresh_pages - c0.fresh_pages, 1);
	assert_int_equal(c.layer_hits[LEGACY_LAYER_ACTIVE_A] - c0.layer_hits[LEGACY_LAYER_ACTIVE_A],
			 1);

	for (int i = 2; i < FULL_PAGES; i++)
		blocks[i] = legacy_malloc(thread, 4096, 0);
	for (int i = 0; i < FULL_PAGES; i++) /* ring 32, LIFO 256, 117 more: 2 spills of 64 */
		legacy_free(thread, blocks[i]);
	c0 = counters_now();
	for (int i = 0; i < FULL_PAGES; i++)
		blocks[i] = legacy_malloc(thread, 4096, 0);
	c = counters_now();
	assert_int_equal(c.layer_hits[LEGACY_LAYER_LIFO] - c0.layer_hits[LEGACY_LAYER_LIFO],
			 256 - 2 * 64 + 117);
	assert_int_equal(c.layer_hits[LEGACY_LAYER_TRANSFER] - c0.layer_hits[LEGACY_LAYER_TRANSFER],
			 8);
	/* 32, and what each batch of 16 brought beyond the block it served */
	assert_int_equal(c.layer_hits[LEGACY_LAYER_RING] - c0.layer_hits[LEGACY_LAYER_RING],
			 32 + 8 * 15);
	assert_int_equal(c.fresh_pages, c0.fresh_pages);

	/* Another thread frees: the blocks come back through the remote stack. */
	for (int i = 0; i < 100; i++)
		legacy_free(other, blocks[i]);
	c = counters_now();
	assert_int_equal(c.remote_frees - c0.remote_frees, 100);
	assert_int_equal(c.class_remote_frees[1] - c0.class_remote_frees[1], 100); /* of 4 KiB */
	c0 = c;
	for (int i = 0; i < 100; i++)
		blocks[i] = legacy_malloc(thread, 4096, 0);
	c = counters_now();
	assert_true(c.layer_hits[LEGACY_LAYER_REMOTE] > c0.layer_hits[LEGACY_LAYER_REMOTE]);

	/* Without caches they go home, and a thread gets them in one run: B. */
	for (int i = 0; i < FULL_PAGES; i++)
		legacy_free(NULL, blocks[i]);
	struct legacy_thread *third = legacy_thread_start();
	c0 = counters_now();
	void *keep = legacy_malloc(NULL, 12288, 0);
	for (int i = 0; i < 3; i++)
		blocks[i] = legacy_malloc(third, 12288, 0);
	c = counters_now();
	assert_int_equal(c.layer_hits[LEGACY_LAYER_SHARD] - c0.layer_hits[LEGACY_LAYER_SHARD], 1);
	assert_int_equal(c.layer_hits[LEGACY_LAYER_ACTIVE_B] - c0.layer_hits[LEGACY_LAYER_ACTIVE_B],
			 2);
	assert_int_equal(c.uncached_mallocs - c0.uncached_mallocs, 1);
	for (int i = 0; i < 3; i++)
		legacy_free(third, blocks[i]);
	legacy_free(NULL, keep);
	legacy_thread_exit(third);
	legacy_thread_exit(other);
}

static void a_pair_costs_two_to_four_lookups(void **state)
{
	(void)state;
	static void *blocks[1000];
	struct legacy_counters c0 = counters_now();
	for (int i = 0; i < 1000; i++)
		legacy_free(thread, legacy_malloc(thread, 2048, 0));
	assert_int_equal(counters_now().hash_lookups - c0.hash_lookups, 2000);
	/* Through the shards and remote stacks: more, but never above 4. */
	struct legacy_thread *other = legacy_thread_start();
	c0 = counters_now();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			blocks[i] = legacy_malloc(thread, 2048, 0);
		for (int i = 0; i < 1000; i++)
			legacy_free(other, blocks[i]);
	}
	legacy_thread_exit(other);
	uint64_t lookups = counters_now().hash_lookups - c0.hash_lookups;
	assert_true(lookups > 2 * 3000 && lookups <= 4 * 3000);
}

static void counters_say_what_is_live(void **state)
{
	(void)state;
	struct legacy_thread *other = legacy_thread_start();
	void *a = legacy_malloc(thread, 2048, 0), *b = legacy_malloc(NULL, 32768, 0);
	void *d = legacy_malloc(other, 32768, 0);
	struct legacy_counters c = counters_now();
	assert_int_equal(c.class_live_blocks[0], 1);
	assert_int_equal(c.class_live_bytes[0], 2048);
	assert_int_equal(c.class_live_blocks[6], 2);
	assert_int_equal(c.class_live_bytes[6], 65536);
	assert_int_equal(c.threads, 2);
	/* b's page serves d as well: 1 page for the first class, a run of 8 for the last. */
	assert_int_equal(c.pages, 1 + 8);
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		bool used = class == 0 || class == 6;
		assert_int_equal(c.class_pages[class], class == 0 ? 1 : class == 6 ? 8 : 0);
		assert_int_equal(c.class_chunks[class], used ? 1 : 0);
	}
	assert_true(c.mapped_bytes >= c.chunks * 4 * MIB);
	legacy_free(other, a);
	legacy_free(thread, b);
	legacy_free(NULL, d);
	c = counters_now();
	assert_int_equal(c.class_live_blocks[0], 0);
	assert_int_equal(c.class_live_blocks[6], 0);
	legacy_thread_exit(other);
}

static void free_pages_go_back_beyond_a_small_budget(void **state)
{
	(void)state;
	enum { COUNT_BLOCKS = 2000 };
	static void *blocks[COUNT_BLOCKS];
	size_t before = resident_bytes();
	struct legacy_counters c0 = counters_now();
	for (int i = 0; i < COUNT_BLOCKS; i++)
		memset(blocks[i] = legacy_malloc(thread, 32768, 0), 1, 32768);
	size_t peak = resident_bytes();
	assert_true(peak - before > 60 * MIB);
	for (int i = 0; i < COUNT_BLOCKS; i++)
		legacy_free(thread, blocks[i]);
	legacy_thread_exit(thread);
	struct legacy_counters c = counters_now();
	assert_int_equal(c.pages, 0);
	assert_true(c.resident_free_bytes <= RESIDENT_FREE_PAGES_MAX * PAGE_BYTES);
	if (!HAKMEM_SANITIZER)
		assert_true(resident_bytes() < before + 8 * MIB);
	assert_int_equal(legacy_trim(), c.resident_free_bytes);
	c = counters_now();
	assert_int_equal(c.resident_free_bytes, 0);
	/* It was the class of 32 KiB whose memory went back. */
	assert_true(c.class_purged_bytes[6] - c0.class_purged_bytes[6] > 60 * MIB);
	assert_true(c.class_purged_bytes[6] - c0.class_purged_bytes[6] <=
		    c.purged_bytes - c0.purged_bytes);
	assert_int_equal(legacy_trim(), 0);
	thread = legacy_thread_start();
	/* Purged pages serve again. */
	void *block = legacy_malloc(thread, 32768, 0);
	memset(block, 2, 32768);
	legacy_free(thread, block);
}

static void trim_finds_what_waits_in_stacks_and_batches(void **state)
{
	(void)state;
	static void *blocks[1000];
	struct legacy_thread *other = legacy_thread_start();
	for (int i = 0; i < 1000; i++)
		blocks[i] = legacy_malloc(thread, 8192, 0);
	for (int i = 0; i < 400; i++)
		legacy_free(thread, blocks[i]); /* 112 of them are spilled to the transfer cache */
	for (int i = 400; i < 1000; i++)
		legacy_free(other, blocks[i]); /* all of them wait on the stack of `thread` */
	size_t pages = counters_now().pages;
	assert_true(legacy_trim() > 0);
	/* 288 blocks stay in the caches, at 15 to a run of 2 pages, and a little more where they
	 * share. */
	assert_true(counters_now().pages <= pages / 2);
	legacy_thread_exit(other);
}

/* The owner never allocates again; a third thread, which owns nothing, gets what waits on its stack
 * before the process grows. */
static void a_sleeping_owner_does_not_keep_what_others_freed(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	static void *blocks[MANY];
	struct legacy_thread *owner = legacy_thread_start(), *other = legacy_thread_start();
	for (int i = 0; i < MANY; i++)
		assert_non_null((blocks[i] = legacy_malloc(owner, 16384, 0)));
	size_t chunks = counters_now().chunks;
	for (int i = 0; i < MANY; i++)
		legacy_free(thread, blocks[i]);
	for (int i = 0; i < MANY; i++)
		assert_non_null((blocks[i] = legacy_malloc(other, 16384, 0)));
	assert_true(counters_now().chunks <= chunks + 1);
	for (int i = 0; i < MANY; i++)
		legacy_free(other, blocks[i]);
	legacy_thread_exit(other);
	legacy_thread_exit(owner);
}

static void a_reused_record_is_another_owner(void **state)
{
	(void)state;
	struct legacy_thread *first = legacy_thread_start();
	uintptr_t word = first->word;
	void *block = legacy_malloc(first, 32768, 0);
	void *keep = legacy_malloc(first, 32768, 0);
	assert_true(legacy_remote_open(word));
	legacy_thread_exit(first);
	assert_false(legacy_remote_open(word));

	struct legacy_thread *second = legacy_thread_start();
	assert_ptr_equal(first, second);
	assert_true(second->word != word);
	uint64_t remote_frees = counters_now().remote_frees;
	legacy_free(thread, block);
	assert_int_equal(counters_now().remote_frees, remote_frees);
	assert_null(legacy_remote_take(second));

	/* Who refills from an ownerless page becomes its owner. */
	void *again = legacy_malloc(second, 32768, 0);
	unsigned index;
	struct legacy_page *page = locate(NULL, again, &index);
	assert_ptr_equal(page, locate(NULL, keep, &index));
	assert_true(load_relaxed(&page->owner) == second->word);
	legacy_free(thread, keep);
	assert_ptr_equal(legacy_remote_take(second), keep);
	legacy_shards_push(NULL, page, index);
	legacy_free(second, again);
	legacy_thread_exit(second);
}

static void a_record_rests_when_its_tags_are_used_up(void **state)
{
	(void)state;
	struct legacy_thread *first = legacy_thread_start(), *t = first;
	uintptr_t word = 0;
	unsigned lives = 0;
	do {
		assert_true(t->word > word);
		word = t->word;
		lives++;
		legacy_thread_exit(t);
		t = legacy_thread_start();
		assert_non_null(t);
	} while (t == first);
	assert_true(lives > 60000 && lives < 65536);
	void *block = legacy_malloc(t, 4096, 0);
	legacy_free(t, block);
	legacy_thread_exit(t);
}

/* A page that is wholly free is unlisted first and retired after. A fork in between must not find
 * its blocks astray, so they stay marked as home. */
static void a_wholly_free_page_keeps_its_blocks_home(void **state)
{
	(void)state;
	unsigned index;
	void *block = legacy_malloc(NULL, 12288, 0);
	struct legacy_page *page = locate(NULL, block, &index);
	legacy_free(NULL, block);
	assert_null(load_relaxed(&page->head));
	assert_int_equal(page->home, (1u << page->capacity) - 1);
	/* And when it serves again they are not. */
	block = legacy_malloc(thread, 12288, 0);
	page = locate(NULL, block, &index);
	assert_int_equal(page->home, 0);
	legacy_free(thread, block);
}

static void the_table_knows_every_page_of_a_chunk_and_no_other(void **state)
{
	(void)state;
	char *block = legacy_malloc(thread, 4096, 0);
	char *chunk = (char *)((uintptr_t)block & ~MAP_SLOT_MASK);
	for (size_t i = 0; i < CHUNK_PAGES; i++) {
		struct legacy_page *page = legacy_table_find(NULL, chunk + i * PAGE_BYTES + 777);
		assert_non_null(page);
		assert_ptr_equal(page->start, chunk + i * PAGE_BYTES);
	}
	assert_null(legacy_table_find(NULL, (void *)(uintptr_t)16));
	assert_null(legacy_table_find(NULL, &chunk));
	legacy_free(thread, block);
}

static void runs_are_adjacent_aligned_to_pages_and_never_overlap(void **state)
{
	(void)state;
	static struct legacy_page *runs[300];
	static unsigned char taken[64 * 1024];
	struct legacy_counters c0 = counters_now();
	for (unsigned i = 0; i < 300; i++) {
		unsigned class = i % LEGACY_CLASSES;
		while (!(runs[i] = legacy_pages_take(class)))
			assert_true(legacy_pages_grow());
		legacy_pages_enter(runs[i], class, 0, 0);
		for (unsigned p = 0; p < legacy_classes[class].run_pages; p++) {
			assert_ptr_equal(load_relaxed(&runs[i][p].head), runs[i]);
			assert_ptr_equal(runs[i][p].chunk, runs[i]->chunk);
			assert_int_equal(taken[runs[i][p].number % sizeof(taken)]++, 0);
		}
	}
	for (unsigned i = 0; i < 300; i++) {
		legacy_pages_retire(runs[(i * 7) % 300]);
		assert_null(load_relaxed(&runs[(i * 7) % 300]->head));
	}
	assert_int_equal(counters_now().pages, c0.pages);
}

#define WITH_THREAD(test) cmocka_unit_test_setup_teardown(test, start_thread, exit_thread)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_THREAD(every_size_is_aligned_and_holds_its_bytes),
		WITH_THREAD(class_borders_are_where_the_plan_puts_them),
		WITH_THREAD(the_header_says_size_class_and_site),
		WITH_THREAD(the_layers_are_tried_in_the_plans_order),
		WITH_THREAD(a_pair_costs_two_to_four_lookups),
		WITH_THREAD(counters_say_what_is_live),
		WITH_THREAD(free_pages_go_back_beyond_a_small_budget),
		WITH_THREAD(trim_finds_what_waits_in_stacks_and_batches),
		WITH_THREAD(a_sleeping_owner_does_not_keep_what_others_freed),
		WITH_THREAD(a_reused_record_is_another_owner),
		WITH_THREAD(a_record_rests_when_its_tags_are_used_up),
		WITH_THREAD(a_wholly_free_page_keeps_its_blocks_home),
		WITH_THREAD(the_table_knows_every_page_of_a_chunk_and_no_other),
		WITH_THREAD(runs_are_adjacent_aligned_to_pages_and_never_overlap),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}

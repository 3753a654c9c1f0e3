/* SPDX-License-Identifier: MIT */
/* tests/legacy_misuse_test.c - every pointer that is no live block ends in one line and abort() */
#include "legacy/legacy.h"

#include "tests/legacy_support.h"

#include <pthread.h>

static struct legacy_thread *thread;

static int begin(void **state)
{
	(void)state;
	legacy_begin(NULL);
	thread = legacy_thread_start();
	return thread ? 0 : -1;
}

/* An action that frees `block`, or asks for its size, as the calling thread or as none. */
struct misuse {
	void *block;
	enum { FREE_CACHED, FREE_UNCACHED, USABLE } how;
};

static void commit(void *argument)
{
	struct misuse *m = argument;
	if (m->how == USABLE)
		exit(legacy_usable_bytes(m->block) != 0);
	legacy_free(m->how == FREE_CACHED ? thread : NULL, m->block);
}

/* All three ways die; the words are those of a free. */
static void each_way_dies(void *block, const char *words)
{
	assert_true(dies_with(commit, &(struct misuse){ block, FREE_CACHED }, words));
	assert_true(dies_with(commit, &(struct misuse){ block, FREE_UNCACHED }, words));
	assert_true(dies_with(commit, &(struct misuse){ block, USABLE }, "hakmem: "));
}

static const size_t sizes[] = { 1025, 2048, 4096, 6000, 8192, 12288, 16384, 32768 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void pointers_beside_a_block_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		char *block = legacy_malloc(thread, sizes[i], 0);
		each_way_dies(block + 1, "invalid free|misaligned");
		each_way_dies(block + 8, "invalid free|misaligned");
		each_way_dies(block + 16, "invalid free|middle");
		each_way_dies(block + sizes[i] / 2 / 16 * 16, "invalid free|middle");
		each_way_dies(block - 16, "invalid free|middle");
		legacy_free(thread, block);
	}
}

/* The bytes before an interior pointer are the program's: no header there is believed. */
static void a_forged_header_is_not_believed(void **state)
{
	(void)state;
	char *block = legacy_malloc(thread, 32768, 0);
	memcpy(block, block - 16, 16);
	each_way_dies(block + 16, "invalid free|middle");
	legacy_free(thread, block);
}

static void pointers_to_no_block_are_told(void **state)
{
	(void)state;
	char *block = legacy_malloc(thread, 16384, 0);
	char *chunk = (char *)((uintptr_t)block & ~MAP_SLOT_MASK);
	/* Pages that were never taken, and what is left of a run behind its last block. */
	each_way_dies(chunk + 4 * MIB - 16, "invalid free|no block");
	each_way_dies(chunk + 2 * MIB + 16, "invalid free");
	char *run = (char *)((uintptr_t)block - 16);
	if (((uintptr_t)run & 65535) == 0)
		each_way_dies(run + 15 * 16400 + 16, "invalid free|no block");
	/* The next of the bump run: a block's boundary, but it was never handed out. */
	each_way_dies(block + 16400, "invalid free");
	legacy_free(thread, block);
}

static void a_double_free_is_found_wherever_the_block_went(void **state)
{
	(void)state;
	static void *blocks[2000];
	/* In the ring. */
	void *block = legacy_malloc(thread, 4096, 0);
	legacy_free(thread, block);
	each_way_dies(block, "double free|0x");
	/* In ring, LIFO, transfer cache and shards, and some on pages that are gone. */
	for (int i = 0; i < 2000; i++)
		assert_non_null((blocks[i] = legacy_malloc(thread, 2048, 0)));
	for (int i = 0; i < 2000; i++)
		legacy_free(thread, blocks[i]);
	for (int i = 0; i < 2000; i += 97) {
		assert_true(dies_with(commit, &(struct misuse){ blocks[i], FREE_CACHED }, "free"));
		assert_true(
			dies_with(commit, &(struct misuse){ blocks[i], FREE_UNCACHED }, "free"));
	}
	/* Straight at home, on a page that another block keeps in service. */
	void *keep = legacy_malloc(NULL, 8192, 0);
	block = legacy_malloc(NULL, 8192, 0);
	legacy_free(NULL, block);
	each_way_dies(block, "double free");
	legacy_free(NULL, keep);
}

static void *free_it(void *block)
{
	struct legacy_thread *t = legacy_thread_start();
	legacy_free(t, block);
	legacy_thread_exit(t);
	return NULL;
}

static void free_by_another(void *block)
{
	pthread_t other;
	if (pthread_create(&other, NULL, free_it, block) == 0)
		pthread_join(other, NULL);
}

static void free_by_two(void *block)
{
	free_by_another(block);
	legacy_free(thread, block);
}

static void free_by_another_after_me(void *block)
{
	legacy_free(thread, block);
	free_by_another(block);
}

static void a_double_free_by_another_thread_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *block = legacy_malloc(thread, sizes[i], 0);
		assert_true(dies_with(free_by_two, block, "double free"));
		assert_true(dies_with(free_by_another_after_me, block, "double free"));
		legacy_free(thread, block);
	}
}

static void an_overwritten_header_is_called_corruption(void **state)
{
	(void)state;
	for (int byte = -16; byte < 0; byte++) {
		char *block = legacy_malloc(thread, 4096, 5);
		/* Size and site are for people: only class and magic can be told from garbage. */
		if (byte < -8) {
			legacy_free(thread, block);
			continue;
		}
		block[byte] ^= 0x55;
		each_way_dies(block, "corrupted block header|0x");
		block[byte] ^= 0x55;
		legacy_free(thread, block);
	}
}

/* What a program writes into a freed block must not lead us anywhere. */
static void writes_after_free_are_never_followed(void **state)
{
	(void)state;
	static char *blocks[500];
	for (int i = 0; i < 500; i++)
		assert_non_null((blocks[i] = legacy_malloc(thread, 6000, 0)));
	for (int i = 0; i < 500; i++)
		free_by_another(blocks[i]);
	for (int i = 0; i < 500; i++)
		memset(blocks[i] - 16, 0x41, 6000);
	for (int i = 0; i < 500; i++)
		assert_non_null((blocks[i] = legacy_malloc(thread, 6000, 0)));
	for (int i = 0; i < 500; i++) {
		memset(blocks[i], 0x42, 6000);
		legacy_free(thread, blocks[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers_beside_a_block_are_told),
		cmocka_unit_test(a_forged_header_is_not_believed),
		cmocka_unit_test(pointers_to_no_block_are_told),
		cmocka_unit_test(a_double_free_is_found_wherever_the_block_went),
		cmocka_unit_test(a_double_free_by_another_thread_is_found),
		cmocka_unit_test(an_overwritten_header_is_called_corruption),
		cmocka_unit_test(writes_after_free_are_never_followed),
	};
	return cmocka_run_group_tests(tests, begin, NULL);
}

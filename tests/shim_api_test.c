/* SPDX-License-Identifier: MIT */
/* tests/shim_api_test.c - malloc's family keeps glibc's manual, whoever serves
 *
 * Every test runs once under every set of routes.
 */
#include "shim/hakmem.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Around every border between classes, pools and paths, without being endless. */
static const size_t sizes[] = {
	0,	1,	 15,	  16,	   17,	    24,	     100,     255,	256,	257,
	512,	1000,	 1024,	  1025,	   1100,    2048,    2049,    4096,	5000,	8192,
	12288,	16384,	 16385,	  32768,   32769,   65536,   100000,  262144,	262145, 300000,
	524289, 1048576, 1048577, 3000000, 4194304, 4194305, 9000000, 33554432,
};
#define SIZES	  (sizeof(sizes) / sizeof(sizes[0]))
#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

/* What a sanitizer, as the system, reports as usable it does not always let you use. */
static size_t usable(void *block, size_t bytes)
{
	size_t usable_bytes = hakmem_malloc_usable_size(block);
	assert_true(usable_bytes >= bytes);
	return HAKMEM_SANITIZER && hakmem_owner(block) == HAKMEM_OWNER_SYSTEM ? bytes
									      : usable_bytes;
}

/* Fills all that may be used, and looks at the ends and a few places in between. */
static void fill(unsigned char *block, size_t bytes, size_t seed)
{
	memset(block, (int)(seed * 31 + 7) & 0xff, bytes);
}

static bool filled(const unsigned char *block, size_t bytes, size_t seed)
{
	unsigned char want = (unsigned char)(seed * 31 + 7);
	for (size_t i = 0; i < bytes; i += bytes < 4096 || i < 64 || i + 64 >= bytes ? 1 : 509)
		if (block[i] != want)
			return false;
	return true;
}

static void blocks_are_aligned_and_all_that_is_usable_may_be_used(void **state)
{
	(void)state;
	unsigned char *blocks[SIZES][3];
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t k = 0; k < 3; k++) {
			blocks[i][k] = hakmem_malloc(sizes[i]);
			assert_non_null(blocks[i][k]);
			assert_int_equal((uintptr_t)blocks[i][k] % 16, 0);
			fill(blocks[i][k], usable(blocks[i][k], sizes[i]), 3 * i + k);
		}
	}
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t k = 0; k < 3; k++) {
			size_t usable_bytes = usable(blocks[i][k], sizes[i]);
			assert_true(filled(blocks[i][k], usable_bytes, 3 * i + k));
			hakmem_free(blocks[i][k]);
		}
	}
	assert_int_equal(hakmem_malloc_usable_size(NULL), 0);
}

static void empty_blocks_are_unique(void **state)
{
	(void)state;
	void *blocks[100];
	for (size_t i = 0; i < 100; i++) {
		blocks[i] = i % 2 ? hakmem_malloc(0) : hakmem_calloc(i % 3, i % 3 ? 0 : 8);
		assert_non_null(blocks[i]);
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(blocks[i], blocks[k]);
	}
	for (size_t i = 0; i < 100; i++)
		hakmem_free(blocks[i]);
}

static void assert_enomem(void *block)
{
	assert_null(block);
	assert_int_equal(errno, ENOMEM);
	errno = 0;
}

static void what_no_process_can_have_is_enomem(void **state)
{
	(void)state;
	const size_t too_large[] = { TOO_LARGE,		  SIZE_MAX,
				     SIZE_MAX - 15,	  SIZE_MAX - 4096,
				     (size_t)PTRDIFF_MAX, (size_t)1 << 47,
				     refused_bytes() };
	errno = 0;
	for (size_t i = 0; i < sizeof(too_large) / sizeof(too_large[0]); i++) {
		assert_enomem(hakmem_malloc(too_large[i]));
		assert_enomem(hakmem_malloc_site(too_large[i], 1));
		assert_enomem(hakmem_calloc(1, too_large[i]));
		assert_enomem(hakmem_calloc(too_large[i], 1));
		assert_enomem(hakmem_realloc(NULL, too_large[i]));
		assert_enomem(hakmem_reallocarray(NULL, 1, too_large[i]));
		assert_enomem(hakmem_aligned_alloc(64, too_large[i]));
		assert_enomem(hakmem_memalign(4096, too_large[i]));
		assert_enomem(hakmem_valloc(too_large[i]));
		assert_enomem(hakmem_pvalloc(too_large[i]));
	}
	assert_enomem(hakmem_aligned_alloc((size_t)1 << 62, 16));
	assert_enomem(hakmem_memalign((size_t)1 << 63, 16));
}

static void products_that_overflow_are_enomem(void **state)
{
	(void)state;
	const size_t half = (size_t)1 << 32;
	unsigned char *block = hakmem_malloc(100);
	fill(block, 100, 1);
	errno = 0;
	assert_enomem(hakmem_calloc(half, half));
	assert_enomem(hakmem_calloc(SIZE_MAX, 2));
	assert_enomem(hakmem_calloc(3, SIZE_MAX / 2));
	assert_enomem(hakmem_reallocarray(block, half, half));
	assert_enomem(hakmem_reallocarray(NULL, SIZE_MAX / 2, 3));
	assert_true(filled(block, 100, 1));
	block = hakmem_reallocarray(block, 30, 10);
	assert_true(filled(block, 100, 1));
	hakmem_free(block);
}

static void calloc_gives_zeroes(void **state)
{
	(void)state;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			unsigned char *block = hakmem_calloc(sizes[i], 1);
			assert_non_null(block);
			assert_true(sizes[i] == 0 ||
				    (block[0] == 0 && !memcmp(block, block + 1, sizes[i] - 1)));
			memset(block, 0xa5, usable(block, sizes[i]));
			hakmem_free(block);
		}
	}
}

static void realloc_keeps_the_contents(void **state)
{
	(void)state;
	for (size_t from = 1; from < SIZES; from++) {
		for (size_t to = 1; to<SIZES; to += sizes[from]> 100000 ? 3 : 1) {
			size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
			unsigned char *block = hakmem_malloc(sizes[from]);
			fill(block, sizes[from], from);
			block = hakmem_realloc(block, sizes[to]);
			assert_non_null(block);
			assert_true(filled(block, kept, from));
			assert_true(hakmem_malloc_usable_size(block) >= sizes[to]);
			fill(block, sizes[to], to);
			hakmem_free(block);
		}
	}
}

static void realloc_that_fails_leaves_the_block_alone(void **state)
{
	(void)state;
	for (size_t i = 1; i < SIZES; i++) {
		unsigned char *block = hakmem_malloc(sizes[i]);
		fill(block, sizes[i], i);
		errno = 0;
		assert_enomem(hakmem_realloc(block, TOO_LARGE));
		assert_enomem(hakmem_realloc(block, SIZE_MAX));
		assert_enomem(hakmem_realloc(block, refused_bytes()));
		assert_true(filled(block, sizes[i], i));
		hakmem_free(block);
	}
}

/* In a child that may have no more address space and used up what there was. 0 if all went well. */
static int shrink_without_memory(size_t bytes)
{
	unsigned char *block = hakmem_malloc(bytes);
	setrlimit(RLIMIT_AS, &(struct rlimit){ .rlim_cur = 1, .rlim_max = 1 });
	for (size_t i = SIZES - 1; i > 0; i--)
		while (hakmem_malloc(sizes[i]))
			continue;
	memset(block, 47, bytes);
	errno = 4711;
	unsigned char *smaller = hakmem_realloc(block, bytes / 5);
	return !smaller || smaller[0] != 47 || smaller[bytes / 5 - 1] != 47 || errno != 4711;
}

static void realloc_to_less_needs_no_memory(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* its shadow needs address space */
	for (size_t bytes = 100; bytes < 10000000; bytes *= 7) {
		int status = -1;
		pid_t child = fork();
		if (child == 0)
			_exit(shrink_without_memory(bytes));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void realloc_to_nothing_frees(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		errno = 77;
		assert_null(hakmem_realloc(hakmem_malloc(sizes[i]), 0));
		assert_int_equal(errno, 77);
	}
	void *block = hakmem_realloc(NULL, 0);
	assert_non_null(block);
	hakmem_free(block);
}

static void posix_memalign_tells_by_its_result_alone(void **state)
{
	(void)state;
	static const size_t wrong[] = { 0, 1, 2, 4, 3, 9, 12, 24, 48, 100, SIZE_MAX };
	void *const untouched = (void *)0x123450;
	void *block = untouched;
	errno = 77;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(hakmem_posix_memalign(&block, wrong[i], 100), EINVAL);
	assert_int_equal(hakmem_posix_memalign(&block, 8, TOO_LARGE), ENOMEM);
	assert_int_equal(hakmem_posix_memalign(&block, 64, SIZE_MAX), ENOMEM);
	assert_int_equal(hakmem_posix_memalign(&block, 4096, refused_bytes()), ENOMEM);
	assert_int_equal(hakmem_posix_memalign(&block, (size_t)1 << 62, 100), ENOMEM);
	assert_ptr_equal(block, untouched);
	for (size_t alignment = 8; alignment <= 65536; alignment *= 2) {
		assert_int_equal(hakmem_posix_memalign(&block, alignment, 0), 0);
		assert_int_equal((uintptr_t)block % alignment, 0);
		hakmem_free(block);
	}
	assert_int_equal(errno, 77);
}

static void every_alignment_is_had_for_every_size(void **state)
{
	(void)state;
	for (size_t alignment = 1; alignment <= (size_t)16 << 20; alignment *= 2) {
		for (size_t i = 0; i<SIZES; i += alignment> 65536 ? 4 : 1) {
			unsigned char *block = hakmem_aligned_alloc(alignment, sizes[i]);
			assert_non_null(block);
			assert_int_equal((uintptr_t)block % alignment, 0);
			fill(block, usable(block, sizes[i]), i);
			block = hakmem_realloc(block, sizes[i] + 1000);
			assert_true(filled(block, sizes[i], i));
			hakmem_free_aligned_sized(block, 16, sizes[i] + 1000);
		}
	}
}

static void aligned_alloc_rejects_what_is_no_power_of_two(void **state)
{
	(void)state;
	static const size_t wrong[] = { 0, 3, 12, 24, 100, 4095, SIZE_MAX };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_null(hakmem_aligned_alloc(wrong[i], 100));
		assert_int_equal(errno, EINVAL);
	}
}

static void memalign_rounds_up_to_a_power_of_two(void **state)
{
	(void)state;
	static const size_t given[] = { 0, 1, 3, 17, 24, 33, 100, 4095, 4097 };
	static const size_t rounded[] = { 1, 1, 4, 32, 32, 64, 128, 4096, 8192 };
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		void *block = hakmem_memalign(given[i], 100);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % rounded[i], 0);
		hakmem_free(block);
	}
	errno = 0;
	assert_null(hakmem_memalign(SIZE_MAX, 100));
	assert_int_equal(errno, EINVAL);
}

static void valloc_and_pvalloc_know_the_page(void **state)
{
	(void)state;
	size_t page_bytes = (size_t)getpagesize();
	for (size_t i = 0; i < SIZES; i++) {
		void *block = hakmem_valloc(sizes[i]);
		void *rounded = hakmem_pvalloc(sizes[i]);
		assert_non_null(block);
		assert_non_null(rounded);
		assert_int_equal((uintptr_t)block % page_bytes, 0);
		assert_int_equal((uintptr_t)rounded % page_bytes, 0);
		assert_true(hakmem_malloc_usable_size(rounded) >= align_up(sizes[i], page_bytes));
		hakmem_free(block);
		hakmem_free(rounded);
	}
	errno = 0;
	assert_enomem(hakmem_pvalloc(SIZE_MAX - 100));
	assert_enomem(hakmem_pvalloc((size_t)PTRDIFF_MAX - 100));
}

static void free_keeps_errno(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *block = hakmem_malloc(sizes[i]);
		errno = 77;
		hakmem_free(block);
		assert_int_equal(errno, 77);
		block = hakmem_malloc(sizes[i]);
		errno = 77;
		hakmem_free_sized(block, sizes[i]);
		assert_int_equal(errno, 77);
	}
	hakmem_free(NULL);
	hakmem_free_sized(NULL, 0);
	hakmem_free_aligned_sized(NULL, 16, 0);
	assert_int_equal(errno, 77);
}

static void success_leaves_errno_alone(void **state)
{
	(void)state;
	for (size_t i = 1; i < SIZES; i++) {
		errno = 77;
		void *block = hakmem_realloc(hakmem_malloc(sizes[i]), sizes[i] + 5000);
		hakmem_free(block);
		hakmem_free(hakmem_calloc(1, sizes[i]));
		hakmem_free(hakmem_memalign(64, sizes[i]));
		assert_int_equal(errno, 77);
	}
}

static void figures_follow_the_blocks(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* the system is the sanitizer's malloc, which keeps its figures to itself */
	void *blocks[64];
	struct mallinfo2 before = hakmem_mallinfo2();
	for (size_t i = 0; i < 64; i++)
		blocks[i] = hakmem_malloc(5000 + 100 * i);
	struct mallinfo2 after = hakmem_mallinfo2();
	assert_true(after.uordblks >= before.uordblks + 64 * 5000);
	assert_true(hakmem_mallinfo().uordblks >= 64 * 5000);
	for (size_t i = 0; i < 64; i++)
		hakmem_free(blocks[i]);
	assert_true(hakmem_mallinfo2().uordblks <= before.uordblks + 1000);
}

static void stats_are_cut_and_filled_to_what_the_caller_knows(void **state)
{
	(void)state;
	struct {
		struct hakmem_stats stats;
		size_t later;
	} larger = { .later = 77 };
	struct hakmem_stats partly;
	memset(&partly, 0xff, sizeof(partly));
	assert_int_equal(hakmem_stats(&larger.stats, sizeof(larger)), 0);
	assert_int_equal(larger.later, 0);
	assert_int_equal(hakmem_stats(&partly, sizeof(size_t)), 0);
	assert_int_equal(partly.next_live_blocks, SIZE_MAX);
}

static void the_family_reports(void **state)
{
	(void)state;
	char text[4096] = "";
	FILE *stream = fmemopen(text, sizeof(text) - 1, "w");
	assert_non_null(stream);
	assert_int_equal(hakmem_malloc_info(1, stream), EINVAL);
	if (!HAKMEM_SANITIZER) {
		assert_int_equal(hakmem_malloc_info(0, stream), 0);
		fflush(stream);
		assert_memory_equal(text, "<malloc version=\"hakmem-", 24);
	}
	fclose(stream);
	int trimmed = hakmem_malloc_trim(0);
	assert_true(trimmed == 0 || trimmed == 1);
	assert_int_equal(hakmem_mallopt(-1, 128 * 1024), 1);
	assert_int_equal(hakmem_mallopt(12345, 0), 1);
	assert_non_null(strchr(hakmem_version(), '.'));
}

static void trim_gives_back_what_was_freed(void **state)
{
	(void)state;
	void *blocks[256];
	if (strcmp(route_set, "next") != 0)
		skip(); /* what the others give back, and when, is theirs to decide */
	for (size_t i = 0; i < 256; i++)
		memset(blocks[i] = hakmem_malloc(60000), 1, 60000);
	for (size_t i = 0; i < 256; i++)
		hakmem_free(blocks[i]);
	assert_int_equal(hakmem_malloc_trim(0), 1);
}

static void owners_are_told_without_touching(void **state)
{
	(void)state;
	int on_stack;
	assert_int_equal(hakmem_owner(NULL), HAKMEM_OWNER_SYSTEM);
	assert_int_equal(hakmem_owner(&on_stack), HAKMEM_OWNER_SYSTEM);
	for (int bit = 0; bit < 64; bit++)
		(void)hakmem_owner((void *)((uintptr_t)1 << bit));
	if (strcmp(route_set, "next") != 0)
		return;
	for (size_t i = 0; i < SIZES; i++) {
		void *block = hakmem_malloc(sizes[i]);
		assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_NEXT);
		hakmem_free(block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_aligned_and_all_that_is_usable_may_be_used),
		cmocka_unit_test(empty_blocks_are_unique),
		cmocka_unit_test(what_no_process_can_have_is_enomem),
		cmocka_unit_test(products_that_overflow_are_enomem),
		cmocka_unit_test(calloc_gives_zeroes),
		cmocka_unit_test(realloc_keeps_the_contents),
		cmocka_unit_test(realloc_that_fails_leaves_the_block_alone),
		cmocka_unit_test(realloc_to_less_needs_no_memory),
		cmocka_unit_test(realloc_to_nothing_frees),
		cmocka_unit_test(posix_memalign_tells_by_its_result_alone),
		cmocka_unit_test(every_alignment_is_had_for_every_size),
		cmocka_unit_test(aligned_alloc_rejects_what_is_no_power_of_two),
		cmocka_unit_test(memalign_rounds_up_to_a_power_of_two),
		cmocka_unit_test(valloc_and_pvalloc_know_the_page),
		cmocka_unit_test(free_keeps_errno),
		cmocka_unit_test(success_leaves_errno_alone),
		cmocka_unit_test(figures_follow_the_blocks),
		cmocka_unit_test(stats_are_cut_and_filled_to_what_the_caller_knows),
		cmocka_unit_test(the_family_reports),
		cmocka_unit_test(trim_gives_back_what_was_freed),
		cmocka_unit_test(owners_are_told_without_touching),
	};
	return run_under_all_routes(tests, route_all);
}

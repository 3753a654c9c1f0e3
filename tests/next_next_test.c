/* SPDX-License-Identifier: MIT */
/* tests/next_next_test.c - next as its callers see it: sizes, alignment, contents, threads */
#include "next/next.h"

#include "next/types.h"
#include "shim/base/os.h"
#include "tests/next_take.h"
#include "tests/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void fill(void *block, size_t bytes, unsigned char with)
{
	memset(block, with, bytes);
}

static bool holds(const void *block, size_t bytes, unsigned char what)
{
	const unsigned char *b = block;
	for (size_t i = 0; i < bytes; i++)
		if (b[i] != what)
			return false;
	return true;
}

/* Sizes around every class border, and a few of the larger kinds. */
static size_t sizes[512];
static size_t size_count;

static void collect_sizes(void)
{
	size_count = 0;
	sizes[size_count++] = 0;
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class++) {
		sizes[size_count++] = next_class_bytes(class) - 1;
		sizes[size_count++] = next_class_bytes(class);
		sizes[size_count++] = next_class_bytes(class) + 1;
	}
	static const size_t large[] = { 2 * MIB, 3968 * KIB, 3968 * KIB + 1, 4 * MIB,
					4 * MIB + 1, 5 * MIB, 9 * MIB };
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		sizes[size_count++] = large[i];
}

static void every_size_is_served_aligned_and_holds_its_bytes(void **state)
{
	(void)state;
	collect_sizes();
	static unsigned char *blocks[512];
	for (size_t i = 0; i < size_count; i++) {
		blocks[i] = next_take(sizes[i]);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % NEXT_ALIGNMENT, 0);
		size_t usable = next_usable_bytes(blocks[i]);
		assert_true(usable >= sizes[i]);
		fill(blocks[i], usable, (unsigned char)i);
	}
	for (size_t i = 0; i < size_count; i++) {
		assert_true(holds(blocks[i], next_usable_bytes(blocks[i]), (unsigned char)i));
		assert_true(next_free(blocks[i]));
	}
}

static void a_class_holds_what_it_says_and_no_block_overlaps(void **state)
{
	(void)state;
	for (unsigned class = 0; class < NEXT_BINS; class += 5) {
		size_t bytes = next_class_bytes(class), count = 64 + 3 * (size_t)class;
		if (bytes > 32 * KIB)
			count = 40;
		unsigned char **blocks = calloc(count, sizeof(*blocks));
		for (size_t i = 0; i < count; i++) {
			blocks[i] = next_take(bytes);
			assert_non_null(blocks[i]);
			fill(blocks[i], bytes, (unsigned char)(i * 7));
		}
		for (size_t i = 0; i < count; i++)
			assert_true(holds(blocks[i], bytes, (unsigned char)(i * 7)));
		for (size_t i = 0; i < count; i++)
			next_free(blocks[i]);
		free(blocks);
	}
}

static void calloc_is_zero_whatever_was_there_before(void **state)
{
	(void)state;
	collect_sizes();
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < size_count; i++) {
			unsigned char *a = next_calloc(sizes[i]), *b = next_calloc(sizes[i]);
			assert_true(holds(a, sizes[i], 0));
			assert_true(holds(b, sizes[i], 0));
			fill(a, next_usable_bytes(a), 0xa5);
			fill(b, next_usable_bytes(b), 0x5a);
			next_free(a);
			unsigned char *c = next_calloc(sizes[i]);
			assert_true(holds(c, sizes[i], 0));
			fill(c, next_usable_bytes(c), 0xc3);
			next_free(b);
			next_free(c);
		}
	}
}

static void aligned_blocks_are_aligned_at_every_power_of_two(void **state)
{
	(void)state;
	for (size_t alignment = 1; alignment <= 64 * MIB; alignment *= 2) {
		static const size_t wanted[] = { 0, 1, 100, 4096, 70000, 300000, 3000000, 5000000 };
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
			char *a = next_aligned(alignment, wanted[i]);
			char *b = next_aligned(alignment, wanted[i]);
			assert_non_null(a);
			assert_non_null(b);
			assert_int_equal((uintptr_t)a % alignment, 0);
			assert_int_equal((uintptr_t)b % alignment, 0);
			assert_true(next_usable_bytes(a) >= wanted[i]);
			fill(a, wanted[i], 1);
			fill(b, wanted[i], 2);
			assert_true(holds(a, wanted[i], 1));
			next_free(a);
			assert_true(holds(b, wanted[i], 2));
			next_free(b);
		}
	}
}

static void resize_keeps_contents_and_says_when_it_cannot(void **state)
{
	(void)state;
	size_t bytes = 5 * MIB;
	unsigned char *block = next_take(bytes);
	fill(block, bytes, 9);
	static const size_t to[] = { 6 * MIB, 40 * MIB, 39 * MIB, 8 * MIB, 4 * MIB + 1, 100 * MIB };
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		unsigned char *moved = next_resize(block, to[i]);
		assert_non_null(moved);
		size_t kept = bytes < to[i] ? bytes : to[i];
		assert_true(holds(moved, kept, 9));
		assert_true(next_usable_bytes(moved) >= to[i]);
		block = moved;
		bytes = to[i];
		fill(block, bytes, 9);
	}
	assert_null(next_resize(block, 1000));
	assert_true(holds(block, bytes, 9));
	next_free(block);

	block = next_take(100);
	assert_ptr_equal(next_resize(block, 112), block);
	assert_null(next_resize(block, 113));
	assert_null(next_resize(block, 50));
	next_free(block);
}

static void a_block_that_the_program_split_by_mprotect_is_left_where_it_is(void **state)
{
	(void)state;
	next_trim(); /* so that no longer mapping serves it, where it had room to grow */
	char *block = next_take(5 * MIB), *neighbour = next_take(5 * MIB);
	fill(block, 5 * MIB, 9);
	assert_int_equal(mprotect(block + 64 * KIB, 4096, PROT_READ), 0);
	assert_null(next_resize(block, 64 * MIB));
	assert_true(holds(block, 5 * MIB, 9));
	assert_true(next_usable_bytes(block) >= 5 * MIB);
	assert_true(next_free(block));
	assert_true(next_free(neighbour));
}

static void sizes_that_cannot_be_had_are_refused(void **state)
{
	(void)state;
	assert_null(next_take(refused_bytes()));
	assert_null(next_take(PTRDIFF_MAX));
	assert_null(next_calloc(PTRDIFF_MAX - 4096));
	assert_null(next_aligned(refused_bytes(), 100));
	assert_null(next_aligned((size_t)1 << 62, PTRDIFF_MAX));
}

/* --- threads ----------------------------------------------------------------------------------- */

#define LANES	  4
#define LANE_SIZE 4096

struct parcel {
	size_t bytes;
	unsigned char mark;
};

/* Every cell is exchanged by every thread: whoever takes a parcel out checks it and frees it. */
static _Atomic(unsigned char *) lanes[LANES * LANE_SIZE];

static uint64_t rng(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void check_and_free(unsigned char *block)
{
	struct parcel parcel;
	memcpy(&parcel, block, sizeof(parcel));
	if (!holds(block + sizeof(parcel), parcel.bytes - sizeof(parcel), parcel.mark))
		abort();
	next_free(block);
}

static void *swap_parcels(void *argument)
{
	uint64_t seed = 88172645463325252u + (uintptr_t)argument;
	for (int i = 0; i < 60000; i++) {
		uint64_t r = rng(&seed);
		size_t max = r % 64 == 0 ? 40000 : r % 8 == 0 ? 3000 : 200;
		size_t bytes = sizeof(struct parcel) + (r >> 8) % max;
		unsigned char *block = next_take(bytes);
		if (!block)
			abort();
		struct parcel parcel = { .bytes = bytes, .mark = (unsigned char)(r >> 40) };
		memcpy(block, &parcel, sizeof(parcel));
		fill(block + sizeof(parcel), bytes - sizeof(parcel), parcel.mark);
		size_t cell = (r >> 20) % (r % 3 ? LANES * LANE_SIZE : 64);
		unsigned char *other = exchange_acq_rel(&lanes[cell], block);
		if (other)
			check_and_free(other);
	}
	next_thread_exit();
	return NULL;
}

static void threads_free_each_others_blocks_and_none_is_lost(void **state)
{
	(void)state;
	struct next_stats before, after;
	next_read_stats(&before);
	for (int generation = 0; generation < 4; generation++) {
		pthread_t threads[LANES];
		for (uintptr_t t = 0; t < LANES; t++)
			assert_int_equal(pthread_create(&threads[t], NULL, swap_parcels,
							(void *)(t + 1 + 10 * (uintptr_t)generation)),
					 0);
		for (int t = 0; t < LANES; t++)
			pthread_join(threads[t], NULL);
	}
	for (size_t i = 0; i < LANES * LANE_SIZE; i++) {
		unsigned char *block = exchange_acq_rel(&lanes[i], NULL);
		if (block)
			check_and_free(block);
	}
	next_read_stats(&after);
	assert_int_equal(after.live_blocks, before.live_blocks);
	assert_int_equal(after.live_bytes, before.live_bytes);
}

static void *make_blocks(void *argument)
{
	unsigned char **blocks = argument;
	for (int i = 0; i < 20000; i++)
		blocks[i] = next_take(1000);
	next_thread_exit();
	return NULL;
}

static void what_an_exited_thread_left_is_used_again(void **state)
{
	(void)state;
	static unsigned char *blocks[20000];
	size_t segments = 0;
	for (int round = 0; round < 20; round++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, make_blocks, blocks), 0);
		pthread_join(thread, NULL);
		for (int i = 0; i < 20000; i++)
			next_free(blocks[i]);
		struct next_stats stats;
		next_read_stats(&stats);
		if (round == 1)
			segments = stats.segments;
	}
	struct next_stats stats;
	next_read_stats(&stats);
	assert_true(stats.segments <= segments + 1);
}

static pthread_barrier_t gate;

static void *sleeping_owner(void *argument)
{
	make_blocks(argument); /* its heap goes; a second one allocates and stays */
	unsigned char **blocks = argument;
	for (int i = 0; i < 20000; i++) {
		next_free(blocks[i]);
		blocks[i] = next_take(1000);
	}
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	next_thread_exit();
	return NULL;
}

static void pages_emptied_while_their_owner_sleeps_can_be_had_by_others(void **state)
{
	(void)state;
	static unsigned char *blocks[20000];
	pthread_t thread;
	pthread_barrier_init(&gate, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, sleeping_owner, blocks), 0);
	pthread_barrier_wait(&gate);
	for (int i = 0; i < 20000; i++)
		next_free(blocks[i]);
	next_trim();
	struct next_stats before, after;
	next_read_stats(&before);
	/* Other sizes, so that only whole pages help. */
	for (int i = 0; i < 9000; i++)
		blocks[i] = next_take(2000);
	next_read_stats(&after);
	assert_true(after.segments <= before.segments + 1);
	for (int i = 0; i < 9000; i++)
		next_free(blocks[i]);
	pthread_barrier_wait(&gate);
	pthread_join(thread, NULL);
}

static void trim_gives_the_memory_of_freed_blocks_back(void **state)
{
	(void)state;
	static unsigned char *blocks[2000];
	for (int i = 0; i < 2000; i++) {
		blocks[i] = next_take(20000);
		fill(blocks[i], 20000, 1);
	}
	size_t full = resident_bytes();
	for (int i = 0; i < 2000; i++)
		next_free(blocks[i]);
	next_trim();
	assert_true(resident_bytes() + 30 * MIB < full);
}

/* Each kind of block over and over, also freed by another thread: the address space does not grow with it. */
static void *free_in_thread(void *block)
{
	next_free(block);
	return NULL;
}

static void what_is_freed_is_used_again_at_every_size(void **state)
{
	(void)state;
	static const size_t each[] = { 64,	    5000,    300000,  1 * MIB,
				       1 * MIB + 1, 3 * MIB, 5 * MIB, 40 * MIB };
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct next_stats before, after;
		next_free(next_take(each[i]));
		next_read_stats(&before);
		for (int k = 0; k < 200; k++)
			next_free(next_take(each[i]));
		for (int k = 0; k < 20; k++) {
			pthread_t thread;
			void *block = next_take(each[i]);
			assert_int_equal(pthread_create(&thread, NULL, free_in_thread, block), 0);
			pthread_join(thread, NULL);
		}
		next_read_stats(&after);
		assert_true(after.mapped_bytes <= before.mapped_bytes + 8 * MIB);
		assert_int_equal(after.live_blocks, before.live_blocks);
		assert_int_equal(after.live_bytes, before.live_bytes);
	}
}

#define MANY 20000

static unsigned char *many[MANY];

static void make_many(void)
{
	for (int i = 0; i < MANY; i++) {
		many[i] = next_malloc(1000);
		fill(many[i], 1000, 1);
	}
	/* No page stays full: they are all in the queue, where a remote free is not announced. */
	for (int i = 0; i < MANY; i += 16)
		next_free(many[i]);
}

static void *make_many_and_exit(void *argument)
{
	make_many();
	next_thread_exit();
	return argument;
}

static void *free_the_rest(void *argument)
{
	for (int i = 0; i < MANY; i++)
		if (i % 16)
			next_free(many[i]);
	next_thread_exit();
	return argument;
}

static void run_thread(void *(*body)(void *))
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
	pthread_join(thread, NULL);
}

static void trim_finds_queued_pages_that_others_emptied(void **state)
{
	(void)state;
	make_many();
	size_t full = resident_bytes();
	run_thread(free_the_rest);
	next_trim();
	assert_true(resident_bytes() + 15 * MIB < full);
}

static void trim_finds_shared_pages_that_others_emptied(void **state)
{
	(void)state;
	run_thread(make_many_and_exit);
	next_trim(); /* sheds the heap: its pages are on the shared lists, with blocks in them */
	size_t full = resident_bytes();
	run_thread(free_the_rest);
	next_trim();
	assert_true(resident_bytes() + 15 * MIB < full);
}

/* --- counts --------------------------------------------------------------------------------------- */

#define COUNT_THREADS 4
#define COUNT_BLOCKS  2000
#define COUNT_ROUNDS  60000

static _Atomic(void *) common[COUNT_BLOCKS]; /* of all threads: each frees what others allocated */
static _Atomic uint64_t taken[NEXT_CLASSES];

static void *count_and_exit(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	for (unsigned i = 0; i < COUNT_ROUNDS; i++) {
		unsigned shift = (unsigned)rand_r(&seed) % (i % 64 == 0 ? 22 : 14);
		size_t bytes = 1 + (size_t)rand_r(&seed) % ((size_t)2 << shift);
		void *block = i % 8 == 0 ? next_malloc_site(bytes, i % 3) : next_take(bytes);
		assert_non_null(block);
		fetch_add_relaxed(&taken[next_class_of(bytes)], 1);
		/* Half of them lie about for a while, the others go at once. */
		if (rand_r(&seed) % 2)
			/* acq_rel: the block's new owner may free it */
			block = exchange_acq_rel(&common[(unsigned)rand_r(&seed) % COUNT_BLOCKS], block);
		if (block)
			(void)next_free(block);
	}
	next_thread_exit();
	return NULL;
}

static void every_malloc_is_counted_once_wherever_it_was_served(void **state)
{
	(void)state;
	struct next_stats before, after;
	pthread_t threads[COUNT_THREADS];

	next_read_stats(&before);
	/* The second time in heaps and pages that the first one left. */
	for (unsigned round = 0; round < 2; round++) {
		for (uintptr_t i = 0; i < COUNT_THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, count_and_exit,
							(void *)(i + 1 + round * COUNT_THREADS)),
					 0);
		for (unsigned i = 0; i < COUNT_THREADS; i++)
			pthread_join(threads[i], NULL);
		next_trim();
	}
	next_read_stats(&after);
	for (unsigned class = 0; class < NEXT_CLASSES; class++)
		assert_int_equal(after.class_mallocs[class] - before.class_mallocs[class],
				 load_relaxed(&taken[class]));
	assert_true(after.remote_frees > before.remote_frees);
	for (size_t i = 0; i < COUNT_BLOCKS; i++)
		if (common[i])
			(void)next_free(common[i]);
	next_trim();
	next_read_stats(&after);
	for (unsigned class = 0; class < NEXT_CLASSES; class++)
		assert_int_equal(after.class_mallocs[class] - before.class_mallocs[class],
				 load_relaxed(&taken[class]));
}

static size_t held_bytes_of(unsigned class)
{
	size_t held_bytes[NEXT_CLASSES];
	next_read_held(held_bytes);
	return held_bytes[class];
}

static void what_is_held_is_what_is_resident_from_a_pages_first_byte_to_its_last(void **state)
{
	(void)state;
	enum { BLOCKS = 2 * USABLE_SLICES, EACH = 64 * KIB };
	char *blocks[BLOCKS];
	unsigned class = next_class_of(EACH);
	size_t first = 0, last = 0;
	next_trim();
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = next_take(EACH);
		assert_non_null(blocks[i]);
		memset(blocks[i], 1, EACH);
	}
	/* Nothing is left out and nothing is counted that is another's: a block takes all of its slice. */
	size_t before = held_bytes_of(class);
	assert_true(before >= (size_t)BLOCKS * EACH);
	for (size_t i = 0; i < BLOCKS; i++) {
		const struct next_page *page = page_of(blocks[i]);
		char *end = page->start + page->block_count * page->block_bytes;
		assert_int_equal(page->block_bytes, EACH);
		if (blocks[i] == page->start) {
			assert_int_equal(os_purge(blocks[i], OS_PAGE_BYTES), 0);
			first++;
		}
		if (blocks[i] + EACH == end) {
			assert_int_equal(os_purge(end - OS_PAGE_BYTES, OS_PAGE_BYTES), 0);
			last++;
		}
	}
	assert_true(first > 0 && last > 0);
	assert_int_equal(held_bytes_of(class), before - (first + last) * OS_PAGE_BYTES);
	for (size_t i = 0; i < BLOCKS; i++)
		next_free(blocks[i]);
}

static int set_up(void **state)
{
	(void)state;
	/* Every third class has no page in its slot, so that all of it takes the slow path. */
	for (unsigned class = 0; class < NEXT_CLASSES; class++)
		next_door_set(class, class % 3 ? NEXT_DOOR_OPEN : 0);
	return next_init() ? 0 : -1;
}

/* A process may have 65,530 mappings. */
#define FIGURE_BLOCKS 600 /* of 4 KiB and of 100,000 bytes: pages of one slice and of more, several segments */

static void *free_half(void *blocks)
{
	for (size_t i = 0; i < FIGURE_BLOCKS; i += 2) {
		(void)next_free(((void **)blocks)[i]);
		((void **)blocks)[i] = NULL;
	}
	return NULL;
}

/* What blocks keep from going back, counted here by their addresses. */
static void expect_pinned(const struct next_stats *stats, unsigned class, void *const *blocks)
{
	static const void *pages[FIGURE_BLOCKS], *segments[FIGURE_BLOCKS];
	size_t page_count = 0, segment_count = 0;
	for (size_t i = 0; i < FIGURE_BLOCKS; i++) {
		size_t p = 0, s = 0;
		if (!blocks[i])
			continue;
		while (p < page_count && pages[p] != page_of(blocks[i]))
			p++;
		while (s < segment_count && segments[s] != segment_of(blocks[i]))
			s++;
		pages[p] = page_of(blocks[i]);
		segments[s] = segment_of(blocks[i]);
		page_count += p == page_count;
		segment_count += s == segment_count;
	}
	assert_int_equal(stats->class_pinned_pages[class], page_count);
	assert_int_equal(stats->class_pinned_segments[class], segment_count);
}

static void what_a_class_holds_is_told_by_class(void **state)
{
	(void)state;
	static const size_t kinds[] = { 4096, 100000 };
	static void *blocks[2][FIGURE_BLOCKS];
	static struct next_stats before, after;

	next_trim();
	next_read_stats(&before);
	for (size_t s = 0; s < 2; s++) {
		assert_int_equal(before.class_live_blocks[next_class_of(kinds[s])], 0);
		for (size_t i = 0; i < FIGURE_BLOCKS; i++) {
			blocks[s][i] = next_malloc(kinds[s]);
			memset(blocks[s][i], 1, kinds[s]);
		}
	}
	for (size_t s = 0; s < 2; s++) {
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, free_half, blocks[s]), 0);
		pthread_join(thread, NULL);
	}
	next_read_stats(&after);
	for (size_t s = 0; s < 2; s++)
		expect_pinned(&after, next_class_of(kinds[s]), blocks[s]);
	for (size_t s = 0; s < 2; s++)
		for (size_t i = 1; i < FIGURE_BLOCKS; i += 2)
			(void)next_free(blocks[s][i]);
	next_trim();
	next_read_stats(&after);
	size_t remote = 0, purged = 0;
	for (unsigned class = 0; class < NEXT_CLASSES; class++) {
		bool ours = class == next_class_of(kinds[0]) || class == next_class_of(kinds[1]);
		size_t more_purged = after.class_purged_bytes[class] - before.class_purged_bytes[class];
		remote += after.class_remote_frees[class];
		purged += after.class_purged_bytes[class];
		if (!ours)
			continue;
		assert_int_equal(after.class_pinned_pages[class], 0);
		assert_int_equal(after.class_pinned_segments[class], 0);
		/* Every page of it was resident, and is not any more. */
		assert_true(more_purged >= FIGURE_BLOCKS * next_class_bytes(class));
	}
	assert_int_equal(remote, after.remote_frees);
	assert_int_equal(purged, after.purged_bytes);
	/* Of the small ones nearly all came back to their pages' owner, which is this thread. */
	unsigned small = next_class_of(kinds[0]);
	assert_true(after.class_remote_frees[small] - before.class_remote_frees[small] > FIGURE_BLOCKS / 4);
}

static void not_every_block_of_thousands_takes_a_mapping(void **state)
{
	(void)state;
	enum { THOUSANDS = 6000 };
	static char *held[THOUSANDS];
	size_t in_segments = 0;
	for (size_t i = 0; i < THOUSANDS; i++) {
		held[i] = next_malloc(2 * MIB);
		assert_non_null(held[i]);
		memcpy(held[i] + 2 * MIB - sizeof(i), &i, sizeof(i));
		in_segments += map_kind_of(held[i]) == MAP_NEXT;
	}
	assert_in_range(in_segments, 1, THOUSANDS - 1);
	for (size_t i = 0; i < THOUSANDS; i++) {
		assert_memory_equal(held[i] + 2 * MIB - sizeof(i), &i, sizeof(i));
		assert_true(next_free(held[i]));
	}
	next_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_held_is_what_is_resident_from_a_pages_first_byte_to_its_last),
		cmocka_unit_test(every_size_is_served_aligned_and_holds_its_bytes),
		cmocka_unit_test(a_class_holds_what_it_says_and_no_block_overlaps),
		cmocka_unit_test(calloc_is_zero_whatever_was_there_before),
		cmocka_unit_test(aligned_blocks_are_aligned_at_every_power_of_two),
		cmocka_unit_test(resize_keeps_contents_and_says_when_it_cannot),
		cmocka_unit_test(a_block_that_the_program_split_by_mprotect_is_left_where_it_is),
		cmocka_unit_test(sizes_that_cannot_be_had_are_refused),
		cmocka_unit_test(threads_free_each_others_blocks_and_none_is_lost),
		cmocka_unit_test(what_an_exited_thread_left_is_used_again),
		cmocka_unit_test(pages_emptied_while_their_owner_sleeps_can_be_had_by_others),
		cmocka_unit_test(what_is_freed_is_used_again_at_every_size),
		cmocka_unit_test(trim_gives_the_memory_of_freed_blocks_back),
		cmocka_unit_test(trim_finds_queued_pages_that_others_emptied),
		cmocka_unit_test(trim_finds_shared_pages_that_others_emptied),
		cmocka_unit_test(not_every_block_of_thousands_takes_a_mapping),
		cmocka_unit_test(every_malloc_is_counted_once_wherever_it_was_served),
		cmocka_unit_test(what_a_class_holds_is_told_by_class),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

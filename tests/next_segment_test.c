/* SPDX-License-Identifier: MIT */
/* tests/next_segment_test.c - slices: claimed once, zero when said so, found when free, given back */
#include "next/segment.h"

#include "next/next.h"
#include "shim/base/os.h"
#include "tests/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The clock that os_now_ns() reads: the kernel's, and as much more as a test says. */
static _Atomic uint64_t clock_ahead_s;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	long result = syscall(SYS_clock_gettime, clock, now);
	now->tv_sec += (time_t)load_relaxed(&clock_ahead_s);
	return (int)result;
}

static char *memory_of(const struct next_page *page)
{
	return slice_address(page);
}

static size_t bytes_of(const struct next_page *page)
{
	return (size_t)load_relaxed(&page->slices) << SLICE_SHIFT;
}

static bool all_zero(const char *p, size_t bytes)
{
	return bytes == 0 || (*p == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static uint64_t rng(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* --- what there is, seen from outside -------------------------------------------------- */

#define SEGMENTS_MAX 256
static struct next_segment *segments[SEGMENTS_MAX];
static size_t segments_seen;
static pthread_mutex_t segments_lock = PTHREAD_MUTEX_INITIALIZER;

static void remember_segment(const struct next_page *page)
{
	struct next_segment *segment = segment_of(page);
	pthread_mutex_lock(&segments_lock);
	size_t i = 0;
	while (i < segments_seen && segments[i] != segment)
		i++;
	if (i == segments_seen) {
		if (segments_seen == SEGMENTS_MAX)
			abort();
		segments[segments_seen++] = segment;
	}
	pthread_mutex_unlock(&segments_lock);
}

static struct next_page *claim(size_t slices, size_t align_slices, bool *zero)
{
	struct next_page *page = segment_claim(slices, align_slices, zero);
	if (page)
		remember_segment(page);
	return page;
}

/* The longest run of slices that lead to no page. */
static size_t longest_free_run(void)
{
	size_t longest = 0;
	for (size_t i = 0; i < segments_seen; i++) {
		size_t run = 0;
		for (size_t s = HEADER_SLICES; s < SEGMENT_SLICES; s++) {
			char *slice = segment_base(segments[i]) + (s << SLICE_SHIFT);
			run = page_of(slice) == &segments[i]->pages[0] ? run + 1 : 0;
			if (run > longest)
				longest = run;
		}
	}
	return longest;
}

static void check_that_the_longest_run_is_found_and_no_longer_one(void)
{
	bool zero;
	size_t longest = longest_free_run();
	if (longest < USABLE_SLICES)
		assert_null(segment_claim_existing(longest + 1, 1, &zero));
	if (longest > 0) {
		struct next_page *page = segment_claim_existing(longest, 1, &zero);
		assert_non_null(page);
		segment_release(page);
	}
}

/* --- one thread ------------------------------------------------------------------------ */

static const struct os_ops *real = &os_real;
static bool refuse_map, refuse_tables, refuse_protect, refuse_guards, refuse_advise;

/* Of what is mapped here only segments are that large. */
static void *map_or_not(void *hint, size_t bytes, int prot, int extra_flags)
{
	return refuse_map || (refuse_tables && bytes < SEGMENT_BYTES)
		       ? NULL
		       : real->map(hint, bytes, prot, extra_flags);
}

static int protect_or_not(void *start, size_t bytes, int prot)
{
	return refuse_protect || (refuse_guards && prot == PROT_NONE)
		       ? -12
		       : real->protect(start, bytes, prot);
}

static int advise_or_not(void *start, size_t bytes, int advice)
{
	return refuse_advise ? -22 : real->advise(start, bytes, advice);
}

static int unmap(void *start, size_t bytes)
{
	return real->unmap(start, bytes);
}

static const struct os_ops moody = {
	.map = map_or_not, .unmap = unmap, .protect = protect_or_not, .advise = advise_or_not
};

/* The first test: the address map's page for the first segment is still read-only. */
static void the_first_segment_is_refused_when_the_map_or_the_tables_cannot_be_had(void **state)
{
	(void)state;
	bool zero;
	os_swap(&moody);
	refuse_protect = true;
	assert_null(segment_claim(1, 1, &zero));
	refuse_protect = false;
	refuse_map = true;
	assert_null(segment_claim(1, 1, &zero));
	refuse_map = false;
	refuse_tables = true;
	assert_null(segment_claim(1, 1, &zero));
	refuse_tables = false;
	os_swap(NULL);
	struct segment_counts counts;
	segment_read_counts(&counts);
	assert_int_equal(counts.segments, 0);

	struct next_page *page = claim(1, 1, &zero);
	assert_non_null(page);
	assert_true(zero);
	segment_release(page);
}

static void a_run_leads_to_its_descriptor_from_every_slice_and_to_none_after_release(void **state)
{
	(void)state;
	for (size_t slices = 1; slices <= USABLE_SLICES; slices++) {
		bool zero;
		struct next_page *page = claim(slices, 1, &zero);
		assert_non_null(page);
		assert_int_equal(load_relaxed(&page->slices), slices);
		char *memory = memory_of(page);
		for (size_t at = 0; at < bytes_of(page); at += SLICE_BYTES / 4)
			assert_ptr_equal(page_of(memory + at), page);
		segment_release(page);
		for (size_t s = 0; s < slices; s++)
			assert_int_equal(load_relaxed(&page_of(memory + (s << SLICE_SHIFT))->owner),
					 OWNER_NONE);
	}
}

/* As a program's write would have it, but with an errno instead of a signal. */
static bool can_be_written(char *p)
{
	int zeroes = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_true(zeroes >= 0);
	bool can = read(zeroes, p, 1) == 1;
	close(zeroes);
	return can;
}

static void what_runs_on_past_a_segment_meets_a_guard_before_the_next_ones_header(void **state)
{
	(void)state;
	struct next_page *pages[4];
	bool zero;
	for (size_t i = 0; i < 4; i++) {
		pages[i] = claim(USABLE_SLICES, 1, &zero);
		assert_non_null(pages[i]);
	}
	for (size_t i = 0; i < segments_seen; i++) {
		char *base = segment_base(segments[i]);
		assert_true((char *)segments[i] == base + OS_PAGE_BYTES);
		assert_false(can_be_written(base));
		assert_false(can_be_written(base + OS_PAGE_BYTES - 1));
		assert_true(can_be_written(base + SLICE_BYTES)); /* the first block's */
		assert_true(can_be_written(base + SEGMENT_BYTES - 1));
	}
	for (size_t i = 0; i < 4; i++)
		segment_release(pages[i]);
}

static void without_a_guard_a_segment_serves_just_the_same(void **state)
{
	(void)state;
	struct next_page *pages[SEGMENTS_MAX];
	struct segment_counts counts;
	size_t taken = 0;
	bool zero;
	/* All that there are, and one more. */
	segment_read_counts(&counts);
	while (taken < counts.segments)
		assert_non_null(pages[taken++] = claim(USABLE_SLICES, 1, &zero));
	os_swap(&moody);
	refuse_guards = true;
	assert_non_null(pages[taken++] = segment_claim(USABLE_SLICES, 1, &zero));
	refuse_guards = false;
	os_swap(NULL);
	char *memory = memory_of(pages[taken - 1]);
	assert_true(can_be_written(segment_base(memory)));
	assert_ptr_equal(page_of(memory + SLICE_BYTES), pages[taken - 1]);
	remember_segment(pages[taken - 1]);
	while (taken > 0)
		segment_release(pages[--taken]);
}

static void runs_begin_where_the_caller_wants_them(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 32; align *= 2) {
		struct next_page *pages[8];
		for (size_t i = 0; i < 8; i++) {
			bool zero;
			pages[i] = claim(1 + i * 3, align, &zero);
			assert_non_null(pages[i]);
			assert_int_equal((uintptr_t)memory_of(pages[i]) % (align * SLICE_BYTES), 0);
		}
		for (size_t i = 0; i < 8; i++)
			segment_release(pages[i]);
	}
}

static void zero_is_said_of_zeroed_memory_alone_also_after_a_purge(void **state)
{
	(void)state;
	bool zero;
	for (int round = 0; round < 4; round++) {
		segment_purge_all();
		struct next_page *page = claim(20, 1, &zero);
		assert_true(zero);
		assert_true(all_zero(memory_of(page), bytes_of(page)));
		memset(memory_of(page), 0x5a, bytes_of(page));
		char *memory = memory_of(page);
		segment_release(page);
		/* The same slices come first: they are resident. */
		page = claim(20, 1, &zero);
		assert_ptr_equal(memory_of(page), memory);
		assert_false(zero);
		segment_release(page);
		/* A purge that fails leaves them dirty. */
		os_swap(&moody);
		refuse_advise = true;
		assert_int_equal(segment_purge_all(), 0);
		refuse_advise = false;
		os_swap(NULL);
		page = claim(20, 1, &zero);
		assert_false(zero);
		segment_release(page);
	}
}

static void a_run_that_is_dirty_in_part_is_not_called_zero(void **state)
{
	(void)state;
	bool zero;
	struct next_page *whole = claim(USABLE_SLICES, 1, &zero);
	segment_release(whole);
	segment_purge_all();
	struct next_page *page = claim(1, 1, &zero);
	memset(memory_of(page), 1, bytes_of(page));
	segment_release(page);
	whole = segment_claim_existing(USABLE_SLICES, 1, &zero);
	assert_non_null(whole);
	assert_int_equal(zero, all_zero(memory_of(whole), bytes_of(whole)));
	segment_release(whole);
}

static void a_run_grows_into_free_slices_alone_and_its_rest_can_be_claimed(void **state)
{
	(void)state;
	bool zero;
	struct next_page *page = claim(USABLE_SLICES, 1, &zero);
	char *memory = memory_of(page);
	assert_false(segment_resize(page, USABLE_SLICES + 1));
	assert_true(segment_resize(page, 10));
	assert_int_equal(load_relaxed(&page_of(memory + 10 * SLICE_BYTES)->owner), OWNER_NONE);
	assert_true(segment_resize(page, USABLE_SLICES));
	assert_ptr_equal(page_of(memory + 61 * SLICE_BYTES), page);
	assert_true(segment_resize(page, 10));
	segment_release(page);

	/* A neighbour in the way, wherever it begins. */
	page = claim(USABLE_SLICES, 1, &zero);
	assert_true(segment_resize(page, 10));
	struct next_page *neighbour = claim(2, 1, &zero);
	while (memory_of(neighbour) != memory_of(page) + 10 * SLICE_BYTES)
		neighbour = claim(2, 1, &zero);
	assert_false(segment_resize(page, 11));
	assert_false(segment_resize(page, 40));
	assert_int_equal(load_relaxed(&page->slices), 10);
	assert_ptr_equal(page_of(memory_of(neighbour)), neighbour);
	segment_release(neighbour);
	assert_true(segment_resize(page, 40));
	segment_release(page);
}

static void the_bound_on_free_runs_never_hides_one_that_fits(void **state)
{
	(void)state;
	static struct next_page *held[600];
	size_t count = 0;
	uint64_t seed = 88172645463325252u;
	for (int step = 0; step < 20000; step++) {
		uint64_t r = rng(&seed);
		bool zero;
		if (count < 600 &&
		    (count == 0 || r % 100 < (uint64_t)(step % 4000 < 2000 ? 60 : 40))) {
			size_t slices = (r >> 8) % 16 == 0 ? 1 + (r >> 16) % 40 : 1 + (r >> 16) % 5;
			held[count] = claim(slices, 1, &zero);
			assert_non_null(held[count++]);
		} else {
			size_t i = (r >> 8) % count;
			segment_release(held[i]);
			held[i] = held[--count];
		}
		if (step % 50 == 0)
			check_that_the_longest_run_is_found_and_no_longer_one();
	}
	while (count > 0)
		segment_release(held[--count]);
}

#define MANY  4000 /* more than any test before this one held */
#define SLACK (2 * MIB)
static struct next_page *many[MANY], *runs[MANY];

static void claim_many(struct next_page **pages, size_t count, size_t slices)
{
	for (size_t i = 0; i < count; i++) {
		bool zero;
		pages[i] = claim(slices, 1, &zero);
		assert_non_null(pages[i]);
	}
}

static size_t reserve_bytes(void)
{
	struct segment_counts counts;
	segment_read_counts(&counts);
	return counts.resident_free_bytes;
}

/* Used and reserve together stay below the most ever used, by which the program itself set the peak, and an
 * eighth. */
static void the_resident_reserve_is_bounded_by_what_was_in_use(void **state)
{
	(void)state;
	segment_purge_all();
	size_t peak = MANY * SLICE_BYTES, used = peak;
	claim_many(many, MANY, 1);
	for (size_t i = 0; i < MANY; i += 2) {
		segment_release(many[i]);
		used -= SLICE_BYTES;
		assert_true(used + reserve_bytes() <= peak + peak / 8 + SLACK + SLICE_BYTES);
	}
	assert_true(reserve_bytes() >= peak / 4); /* or every burst pays for its faults again */
	/* These do not fit into the holes: where they come from cannot be resident, so holes go back. */
	for (size_t i = 0; i < MANY / 8; i++) {
		claim_many(&runs[i], 1, 5);
		used += 5 * SLICE_BYTES;
		size_t most = used > peak ? used : peak;
		assert_true(used + reserve_bytes() <= most + most / 8 + SLACK + 5 * SLICE_BYTES);
	}
	for (size_t i = 0; i < MANY / 8; i++)
		segment_release(runs[i]);
	for (size_t i = 1; i < MANY; i += 2)
		segment_release(many[i]);
}

static size_t purged_bytes(const struct segment_counts *counts)
{
	size_t sum = 0;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		sum += counts->purged_bytes[class];
	return sum;
}

static void the_reserve_goes_back_on_demand(void **state)
{
	(void)state;
	struct segment_counts before, after;
	claim_many(many, MANY, 1);
	for (size_t i = 0; i < MANY; i++)
		segment_release(many[i]);
	segment_read_counts(&before);
	assert_true(before.resident_free_bytes > 0);
	assert_int_equal(segment_purge_all(), before.resident_free_bytes);
	segment_read_counts(&after);
	assert_int_equal(after.resident_free_bytes, 0);
	assert_int_equal(purged_bytes(&after) - purged_bytes(&before), before.resident_free_bytes);
	assert_int_equal(segment_purge_all(), 0);
}

static void what_nobody_claims_for_a_while_goes_back(void **state)
{
	(void)state;
	claim_many(many, MANY, 1);
	for (size_t i = 0; i < MANY; i++)
		segment_release(many[i]);
	assert_true(reserve_bytes() > 0);
	store_relaxed(&clock_ahead_s, load_relaxed(&clock_ahead_s) + 10);
	segment_purge_some();
	assert_int_equal(reserve_bytes(), 0);
}

static void without_memory_what_there_is_is_still_served(void **state)
{
	(void)state;
	bool zero;
	size_t count = 0;
	os_swap(&moody);
	refuse_map = true;
	while (count < MANY && (many[count] = segment_claim(5, 1, &zero)) != NULL)
		count++;
	assert_in_range(count, 1, MANY - 1);
	segment_release(many[--count]);
	many[count] = segment_claim(5, 1, &zero);
	assert_non_null(many[count++]);
	refuse_map = false;
	os_swap(NULL);
	while (count > 0)
		segment_release(many[--count]);
}

/* --- threads ------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS	4000
#define HELD	24
#define STEP	4096

static _Atomic bool stop;

/* The first word of every slice says whose it is; the word behind it, and those of the other pages, are
 * there to be found by who is told that he gets zeroes. */
static void take_over(struct next_page *page, size_t from, uint64_t self, bool zero)
{
	for (size_t at = from; at < bytes_of(page); at += STEP) {
		_Atomic uint64_t *words = (_Atomic uint64_t *)(memory_of(page) + at);
		if (exchange_acq_rel(&words[0], self) != 0)
			abort(); /* somebody else's too */
		if (zero && load_relaxed(&words[1]) != 0)
			abort(); /* not zero */
		store_relaxed(&words[1], self);
	}
}

static void let_go(struct next_page *page, size_t from, uint64_t self)
{
	for (size_t at = from; at < bytes_of(page); at += STEP) {
		_Atomic uint64_t *words = (_Atomic uint64_t *)(memory_of(page) + at);
		if (exchange_acq_rel(&words[0], 0) != self)
			abort();
	}
}

static void change_length(struct next_page *page, size_t slices, uint64_t self)
{
	size_t before = bytes_of(page);
	if (slices << SLICE_SHIFT < before) {
		let_go(page, slices << SLICE_SHIFT, self);
		if (!segment_resize(page, slices))
			abort();
	} else if (slices << SLICE_SHIFT > before && segment_resize(page, slices)) {
		take_over(page, before, self, false);
	}
}

static void *claim_and_release(void *argument)
{
	uint64_t self = (uintptr_t)argument, seed = self * 88172645463325252u;
	struct next_page *held[HELD];
	size_t count = 0;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t r = rng(&seed);
		if (count < HELD && (count == 0 || r % 2)) {
			bool zero;
			size_t align = (size_t)1 << (r >> 8) % 4;
			held[count] = claim(1 + (r >> 16) % 6, align, &zero);
			if (!held[count] ||
			    (uintptr_t)memory_of(held[count]) % (align * SLICE_BYTES) != 0)
				abort();
			take_over(held[count++], 0, self, zero);
		} else if (r % 8 == 0) {
			change_length(held[(r >> 8) % count], 1 + (r >> 16) % 6, self);
		} else {
			size_t at = (r >> 8) % count;
			let_go(held[at], 0, self);
			segment_release(held[at]);
			held[at] = held[--count];
		}
	}
	while (count > 0) {
		let_go(held[--count], 0, self);
		segment_release(held[count]);
	}
	return NULL;
}

static void *purge_all_the_time(void *argument)
{
	while (!load_relaxed(&stop))
		segment_purge_all();
	return argument;
}

static void threads_never_share_a_slice_nor_see_anothers_bytes_in_a_zeroed_one(void **state)
{
	(void)state;
	pthread_t threads[THREADS], purger;
	/* The tests before left other bytes behind. */
	segment_purge_all();
	assert_int_equal(pthread_create(&purger, NULL, purge_all_the_time, NULL), 0);
	for (uintptr_t t = 0; t < THREADS; t++)
		assert_int_equal(
			pthread_create(&threads[t], NULL, claim_and_release, (void *)(t + 1)), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	store_relaxed(&stop, true);
	pthread_join(purger, NULL);

	/* Nothing is lost: every segment is whole again. */
	assert_int_equal(longest_free_run(), USABLE_SLICES);
	struct next_page *whole[SEGMENTS_MAX];
	for (size_t i = 0; i < segments_seen; i++) {
		bool zero;
		whole[i] = segment_claim_existing(USABLE_SLICES, 1, &zero);
		assert_non_null(whole[i]);
	}
	assert_int_equal(longest_free_run(), 0);
	for (size_t i = 0; i < segments_seen; i++)
		segment_release(whole[i]);
	segment_purge_all();
	struct segment_counts counts;
	segment_read_counts(&counts);
	assert_int_equal(counts.resident_free_bytes, 0);
	assert_int_equal(counts.segments, segments_seen);
}

static int set_up(void **state)
{
	(void)state;
	return next_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_first_segment_is_refused_when_the_map_or_the_tables_cannot_be_had),
		cmocka_unit_test(
			a_run_leads_to_its_descriptor_from_every_slice_and_to_none_after_release),
		cmocka_unit_test(
			what_runs_on_past_a_segment_meets_a_guard_before_the_next_ones_header),
		cmocka_unit_test(runs_begin_where_the_caller_wants_them),
		cmocka_unit_test(zero_is_said_of_zeroed_memory_alone_also_after_a_purge),
		cmocka_unit_test(a_run_that_is_dirty_in_part_is_not_called_zero),
		cmocka_unit_test(a_run_grows_into_free_slices_alone_and_its_rest_can_be_claimed),
		cmocka_unit_test(the_bound_on_free_runs_never_hides_one_that_fits),
		cmocka_unit_test(the_resident_reserve_is_bounded_by_what_was_in_use),
		cmocka_unit_test(the_reserve_goes_back_on_demand),
		cmocka_unit_test(what_nobody_claims_for_a_while_goes_back),
		cmocka_unit_test(without_memory_what_there_is_is_still_served),
		cmocka_unit_test(
			threads_never_share_a_slice_nor_see_anothers_bytes_in_a_zeroed_one),
		cmocka_unit_test(without_a_guard_a_segment_serves_just_the_same),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/migrate_drain_test.c - what a class leaves in legacy: caches emptied, empty pages given back, the rest told
 *
 * drain_tick() is called by hand, and as often as it takes.
 */
#include "legacy/legacy.h"
#include "migrate/drain.h"
#include "next/page.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/route.h"
#include "tests/support.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define BYTES  4096
#define BLOCKS 300

static unsigned class_of_test(void)
{
	return next_class_of(BYTES);
}

static void set_plan(const char *text)
{
	char error[256];
	if (hakmem_plan_set(text, error, sizeof(error)))
		fail_msg("%s: %s", text, error);
}

static struct legacy_counters counters(void)
{
	struct legacy_counters c;
	legacy_read_counters(&c);
	return c;
}

/* Those of all of legacy's classes. */
static size_t pages_in_service(void)
{
	struct legacy_counters c = counters();
	size_t sum = 0;
	for (unsigned i = 0; i < LEGACY_CLASSES; i++)
		sum += c.class_pages[i];
	assert_int_equal(sum, c.pages);
	return sum;
}

static int start_clean(void **state)
{
	(void)state;
	shim_init();
	set_plan("all=old");
	drain_tick();
	return 0;
}

static void fill_caches(void)
{
	void *blocks[BLOCKS];
	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = hakmem_malloc(BYTES);
	for (size_t i = 0; i < BLOCKS; i++)
		hakmem_free(blocks[i]);
}

/* --- a thread that allocates, and one that sleeps ------------------------------------------------- */

static sem_t filled, wake;
static _Atomic bool working;

static void *be_busy(void *argument)
{
	(void)argument;
	fill_caches();
	sem_post(&filled);
	while (load_relaxed(&working)) {
		hakmem_free(hakmem_malloc(64));
		usleep(100);
	}
	return NULL;
}

static void *be_asleep(void *argument)
{
	(void)argument;
	fill_caches();
	sem_post(&filled);
	sem_wait(&wake);
	return NULL;
}

/* A second after the flip threads are asked; then it goes on until nobody is asked any more. */
static void drain(void)
{
	uint64_t end_ns = os_now_ns() + UINT64_C(30000000000);
	bool asked = false;
	while (os_now_ns() < end_ns) {
		drain_tick();
		if (asked && !drain_wants_attention())
			return;
		asked |= drain_wants_attention();
		hakmem_free(hakmem_malloc(BYTES)); /* this thread's turn */
		usleep(5000);
	}
	fail_msg("it never drained");
}

static void caches_are_emptied_by_their_threads(void **state)
{
	(void)state;
	pthread_t busy;

	sem_init(&filled, 0, 0);
	store_relaxed(&working, true);
	fill_caches();
	pthread_create(&busy, NULL, be_busy, NULL);
	sem_wait(&filled);
	assert_true(pages_in_service() > 1);
	/* They are asked for a tenth of a second, in which a thread of a machine at its limit may not get to run. */
	for (int tries = 0; tries == 0 || (tries < 20 && drain_left() > 0); tries++) {
		set_plan("all=old");
		set_plan("all=next");
		drain();
	}
	assert_int_equal(drain_left(), 0);
	/* No block lives there, so no page is left. */
	assert_int_equal(pages_in_service(), 0);
	assert_int_equal(counters().resident_free_bytes, 0);
	/* And nobody comes through the slow path for it any more. */
	assert_int_equal(shim_route_word_of(class_of_test()), SHIM_NEXT);
	store_relaxed(&working, false);
	pthread_join(busy, NULL);
}

static void a_thread_that_sleeps_keeps_its_caches_and_is_counted(void **state)
{
	(void)state;
	pthread_t sleeper;

	sem_init(&filled, 0, 0);
	sem_init(&wake, 0, 0);
	pthread_create(&sleeper, NULL, be_asleep, NULL);
	sem_wait(&filled);
	set_plan("all=next");
	drain();
	assert_int_equal(drain_left(), 1);
	assert_true(pages_in_service() > 0);
	sem_post(&wake);
	pthread_join(sleeper, NULL);
	/* Its end takes them home. */
	assert_int_equal(drain_left(), 0);
	assert_int_equal(pages_in_service(), 0);
}

static void survivors_pin_their_pages_and_are_told(void **state)
{
	(void)state;
	static struct hakmem_class classes[NEXT_CLASSES];
	void *survivor = hakmem_malloc(BYTES);
	const struct hakmem_class *class = &classes[class_of_test()];

	assert_int_equal(hakmem_owner(survivor), HAKMEM_OWNER_LEGACY);
	set_plan("all=next");
	uint64_t flipped_ns = os_now_ns();
	drain();
	hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES);
	assert_int_equal(class->old_live_blocks, 1);
	assert_int_equal(class->old_live_bytes, BYTES);
	assert_int_equal(class->old_pinned_pages, 1);
	assert_int_equal(class->old_pinned_bytes, LEGACY_PAGE_BYTES);
	assert_int_equal(class->old_pinned_segments, 1);
	/* The system tells nothing of this. */
	assert_true(classes[0].old_pinned_segments == HAKMEM_UNKNOWN);
	/* At least as old as the flip, which was over when we looked at the clock. */
	assert_true(class->flipped_ns != HAKMEM_UNKNOWN && class->flipped_ns >= 1000000000 &&
		    class->flipped_ns <= os_now_ns() - flipped_ns + 1000000000);
	hakmem_free(survivor);
	hakmem_malloc_trim(0);
}

#define COUNT 192 /* three pages of next's */

/* The other way round: what a rollback leaves in next. */
static void survivors_of_a_rollback_pin_their_pages_in_next(void **state)
{
	(void)state;
	static struct hakmem_class classes[NEXT_CLASSES];
	const struct hakmem_class *class = &classes[class_of_test()];
	void *blocks[COUNT];

	assert_int_equal(page_slices(class_of_test()) * SLICE_BYTES, COUNT / 3 * BYTES);
	set_plan("all=next");
	for (size_t i = 0; i < COUNT; i++)
		blocks[i] = hakmem_malloc(BYTES);
	set_plan("all=old");
	hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES);
	assert_int_equal(class->next_live_blocks, COUNT);
	assert_int_equal(class->next_pinned_pages, 3);
	assert_int_equal(class->next_pinned_segments, 1);
	/* One survivor keeps its page and its segment. */
	for (size_t i = 1; i < COUNT; i++)
		hakmem_free(blocks[i]);
	hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES);
	assert_int_equal(class->next_live_blocks, 1);
	assert_int_equal(class->next_pinned_pages, 1);
	assert_int_equal(class->next_pinned_segments, 1);
	hakmem_free(blocks[0]);
	hakmem_malloc_trim(0);
	hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES);
	assert_int_equal(class->next_pinned_pages, 0);
	assert_int_equal(class->next_pinned_segments, 0);
	assert_true(class->next_purged_bytes >= COUNT * BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(caches_are_emptied_by_their_threads, start_clean),
		cmocka_unit_test_setup(a_thread_that_sleeps_keeps_its_caches_and_is_counted,
				       start_clean),
		cmocka_unit_test_setup(survivors_pin_their_pages_and_are_told, start_clean),
		cmocka_unit_test_setup(survivors_of_a_rollback_pin_their_pages_in_next,
				       start_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/migrate_guard_test.c - every guard: what arms it, what trips it, what it does then, and when it holds
 *
 * guard_tick() is called by hand here, so that no thread and no clock decides what is seen.
 */
#include "migrate/arms.h"
#include "migrate/drain.h"
#include "migrate/guard.h"
#include "migrate/state.h"
#include "next/next.h"
#include "next/page.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 4096 /* of a class that every pool serves */

static unsigned class_of_test(void)
{
	return next_class_of(BYTES);
}

static struct state_class state_now(void)
{
	static struct state state;
	state_read(&state);
	return state.class[class_of_test()];
}

static void set_plan(const char *text)
{
	char error[256];
	if (hakmem_plan_set(text, error, sizeof(error)))
		fail_msg("%s: %s", text, error);
}

/* What the program and the command are told of a class. */
static struct hakmem_class said_of(unsigned class)
{
	static struct hakmem_class classes[NEXT_CLASSES];
	hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES);
	return classes[class];
}

static void arm(const char *text)
{
	const char *wrong = guard_set(text);
	if (wrong)
		fail_msg("%s: %s", text, wrong);
}

/* --- what the program hears ----------------------------------------------------------------------- */

static unsigned heard;
static char heard_cause[40];

static void hear(const struct hakmem_rollback_event *event, void *argument)
{
	/* A handler may allocate: here it does. */
	hakmem_free(hakmem_malloc(BYTES));
	(*(unsigned *)argument)++;
	strncpy(heard_cause, event->cause, sizeof(heard_cause) - 1);
}

static int start_clean(void **state)
{
	(void)state;
	shim_init();
	os_swap(NULL);
	arm("");
	hakmem_unlatch(NULL);
	hakmem_on_rollback(NULL, NULL);
	heard = 0;
	set_plan("all=old");
	return 0;
}

static void expect_latched(const char *cause)
{
	struct state_class class = state_now();
	assert_int_not_equal(class.route, SHIM_NEXT);
	assert_int_equal(class.reason, REASON_LATCHED);
	assert_string_equal(class.latch_cause, cause);
	void *block = hakmem_malloc(BYTES);
	assert_int_not_equal(hakmem_owner(block), HAKMEM_OWNER_NEXT);
	hakmem_free(block);
	/* Latched: the plan alone does not bring it back. */
	set_plan("all=next");
	assert_int_not_equal(state_now().route, SHIM_NEXT);
}

/* --- the setting ---------------------------------------------------------------------------------- */

static void settings_are_read_as_they_are_written(void **state)
{
	(void)state;
	struct guard_setting s;

	assert_null(guard_read_setting(&s, " misuse , reservation=3,held=1.25/64M, latency=2/500,rss=2g "));
	assert_true(s.misuse);
	assert_int_equal(s.reservation, 3);
	assert_true(s.held_ratio > 1.249 && s.held_ratio < 1.251);
	assert_int_equal(s.held_min_bytes, 64 * MIB);
	assert_true(s.latency_ratio > 1.999 && s.latency_ratio < 2.001);
	assert_int_equal(s.latency_min_samples, 500);
	assert_int_equal(s.rss_bytes, 2048 * MIB);
	assert_null(guard_read_setting(&s, "all, latency/10"));
	assert_true(s.misuse && s.reservation == 1 && s.held_ratio > 1 && s.rss_bytes == 0);
	assert_int_equal(s.latency_min_samples, 10);
	assert_null(guard_read_setting(&s, ""));
	assert_false(s.misuse || s.reservation || s.held_ratio > 0 || s.latency_ratio > 0);
}

static void wrong_settings_are_refused_and_change_nothing(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"mis",		"misuse,",	"misuse;held", ",",	   "held=",	 "held=0.5",
		"held=1001",	"held=1.5/",	"held=1.5/0",  "held=x",   "latency=1.", "latency=2/x",
		"rss",		"rss=",		"rss=0",       "rss=5t",   "misuse=1",	 "reservation=0",
		"reservation=", "heldmisuse",	"held 1.5",    "all all",  "latency=-2", "rss=99999999999999999999",
		"held=1.5/18446744073709551615k",
	};
	char text[GUARD_TEXT_MAX + 1], much[400];
	struct guard_setting s;

	arm("misuse");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!guard_set(wrong[i]))
			fail_msg("taken: \"%s\"", wrong[i]);
		assert_non_null(guard_read_setting(&s, wrong[i]));
		assert_false(s.misuse || s.rss_bytes || s.held_ratio > 0 || s.latency_ratio > 0);
	}
	memset(much, ' ', sizeof(much));
	much[sizeof(much) - 1] = '\0';
	assert_non_null(guard_set(much));
	guard_text(text);
	assert_string_equal(text, "misuse");
	char error[256];
	assert_int_equal(hakmem_guard_set("nonsense", error, sizeof(error)), EINVAL);
	assert_non_null(strstr(error, "no such guard"));
}

/* --- misuse --------------------------------------------------------------------------------------- */

static bool is_in_quarantine(const void *block)
{
	return page_owner(page_of(block)) == OWNER_QUARANTINE;
}

/* Frees from outside of what the compiler knows about blocks. */
static void *volatile hidden;

static void free_again(void *block)
{
	hidden = block;
	hakmem_free(hidden);
}

static void a_double_free_is_survived_and_the_class_goes_back(void **state)
{
	(void)state;
	struct guard_counts before, after;

	arm("misuse");
	hakmem_on_rollback(hear, &heard);
	set_plan("all=next");
	guard_read_counts(&before);
	char *kept = hakmem_malloc(BYTES), *block = hakmem_malloc(BYTES);
	memset(kept, 7, BYTES);
	/* Of a class that next has served something of, and of one that it has not. */
	assert_int_equal(said_of(class_of_test()).guard_misuse, HAKMEM_GUARD_GO);
	assert_int_equal(said_of(next_class_of(7 * MIB)).guard_misuse, HAKMEM_GUARD_HOLD);
	hakmem_free(block);
	errno = 42;
	free_again(block);
	assert_int_equal(errno, 42);
	guard_read_counts(&after);
	assert_int_equal(after.misuses, before.misuses + 1);
	assert_int_equal(after.trips, before.trips + 1);
	assert_int_equal(said_of(class_of_test()).guard_misuse, HAKMEM_GUARD_ROLL_BACK);
	/* Not from within the free; with the next malloc that passes by. */
	assert_int_equal(heard, 0);
	expect_latched("guard: misuse");
	assert_int_equal(heard, 1);
	assert_string_equal(heard_cause, "guard: misuse");
	assert_int_equal(kept[BYTES - 1], 7);
	/* Back on next by hand, the page is given up and none of its blocks comes again. */
	hakmem_unlatch(NULL);
	for (int i = 0; i < 200; i++) {
		char *other = hakmem_malloc(BYTES);
		assert_int_equal(hakmem_owner(other), HAKMEM_OWNER_NEXT);
		assert_ptr_not_equal(page_of(other), page_of(kept));
	}
	assert_true(is_in_quarantine(kept));
	hakmem_free(kept);
	/* A second free in the quarantined page is found as well. */
	free_again(kept);
	guard_read_counts(&after);
	assert_int_equal(after.misuses, before.misuses + 2);
}

static void *free_in_thread(void *block)
{
	free_again(block);
	return NULL;
}

static void so_is_one_by_another_thread(void **state)
{
	(void)state;
	struct guard_counts before, after;
	pthread_t thread;

	arm("misuse");
	set_plan("all=next");
	guard_read_counts(&before);
	void *kept = hakmem_malloc(BYTES), *block = hakmem_malloc(BYTES);
	for (int i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, free_in_thread, block);
		pthread_join(thread, NULL);
	}
	guard_read_counts(&after);
	assert_int_equal(after.misuses, before.misuses + 1);
	expect_latched("guard: misuse");
	hakmem_free(kept);
}

static void other_misuse_is_survived_too(void **state)
{
	(void)state;
	static const size_t sizes[] = { 64, BYTES, 300000, 2 * MIB, 10 * MIB };
	struct guard_counts before, after;

	arm("misuse");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		hakmem_unlatch(NULL);
		set_plan("all=next");
		char *block = hakmem_malloc(sizes[i]);
		assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_NEXT);
		memset(block, 1, sizes[i]);
		guard_read_counts(&before);
		free_again(block + 16); /* interior */
		guard_read_counts(&after);
		assert_int_equal(after.misuses, before.misuses + 1);
		assert_int_equal(block[sizes[i] - 1], 1);
		assert_int_equal(state_now().reason == REASON_LATCHED, sizes[i] == BYTES);
		hakmem_free(block);
	}
}

/* Its page has gone back in between, so nobody can say which class it was: then all of next is suspect. */
static void where_the_class_is_not_known_all_go_back(void **state)
{
	(void)state;
	static struct state whole;

	arm("misuse");
	set_plan("all=next");
	void *block = hakmem_malloc(20000);
	assert_int_equal(hakmem_owner(block), HAKMEM_OWNER_NEXT);
	hakmem_free(block);
	hakmem_malloc_trim(0);
	free_again(block);
	state_read(&whole);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		assert_int_equal(whole.class[class].reason, REASON_LATCHED);
		assert_string_equal(whole.class[class].latch_cause, "guard: misuse");
	}
}

static void what_is_no_block_has_no_room_and_is_not_moved(void **state)
{
	(void)state;
	arm("misuse");
	set_plan("all=next");
	char *block = hakmem_malloc(BYTES);
	hakmem_free(block);
	hidden = block;
	assert_int_equal(hakmem_malloc_usable_size(hidden), 0);
	errno = 0;
	assert_null(hakmem_realloc(hidden, 2 * BYTES));
	assert_int_equal(errno, ENOMEM);
}

static void misuse_to_death(void *argument)
{
	(void)argument;
	set_plan("all=next");
	char *block = hakmem_malloc(BYTES);
	hakmem_free(block);
	free_again(block);
}

static void unarmed_it_is_the_end(void **state)
{
	(void)state;
	arm("misuse");
	arm("reservation");
	assert_true(dies_with(misuse_to_death, NULL, "free of a block that is free already|double free"));
}

/* --- reservation ---------------------------------------------------------------------------------- */

static void *no_map(void *hint, size_t bytes, int prot, int extra_flags)
{
	(void)hint;
	(void)bytes;
	(void)prot;
	(void)extra_flags;
	return NULL;
}

/* Blocks of the class until next's segments are full and the system serves. */
static size_t take_all(void **blocks, size_t count)
{
	size_t taken = 0;
	while (taken < count && (taken == 0 || hakmem_owner(blocks[taken - 1]) == HAKMEM_OWNER_NEXT)) {
		blocks[taken] = hakmem_malloc(MIB);
		assert_non_null(blocks[taken]);
		taken++;
	}
	return taken;
}

static void next_without_memory_goes_back(void **state)
{
	(void)state;
	static void *blocks[512];
	struct os_ops refusing = os_real;
	struct state whole;

	refusing.map = no_map;
	arm("reservation=2");
	set_plan("all=next");
	os_swap(&refusing);
	size_t taken = take_all(blocks, 512);
	assert_true(taken < 512);
	state_read(&whole);
	unsigned class = next_class_of(MIB);
	assert_int_equal(whole.class[class].route, SHIM_NEXT); /* once is not twice */
	assert_int_equal(said_of(class).guard_reservation, HAKMEM_GUARD_HOLD);
	void *second = hakmem_malloc(MIB);
	assert_non_null(second);
	state_read(&whole);
	assert_int_equal(whole.class[class].reason, REASON_LATCHED);
	assert_string_equal(whole.class[class].latch_cause, "guard: reservation");
	os_swap(NULL);
	assert_int_equal(said_of(class).guard_reservation, HAKMEM_GUARD_ROLL_BACK);
	assert_int_equal(said_of(class_of_test()).guard_reservation, HAKMEM_GUARD_GO);
	assert_int_equal(said_of(class).guard_misuse, HAKMEM_GUARD_OFF);
	hakmem_free(second);
	while (taken > 0)
		hakmem_free(blocks[--taken]);
	/* A size that nobody has is no failure of next's. */
	hakmem_unlatch(NULL);
	assert_true(route_all("next"));
	for (int i = 0; i < 5; i++)
		assert_null(hakmem_malloc((size_t)PTRDIFF_MAX / 2));
	state_read(&whole);
	assert_int_equal(whole.class[NEXT_CLASS_HUGE].route, SHIM_NEXT);
}

/* --- latency -------------------------------------------------------------------------------------- */

/* Samples as mallocs give them, of a class with two arms. */
static void take_samples(unsigned count, uint64_t canary_ns, uint64_t old_ns)
{
	/* As by a thread of the control arm, which is the last of the cohorts. */
	uint32_t cohort = next_heap_self->cohort;
	next_heap_self->cohort = NEXT_COHORT_MAX;
	for (unsigned i = 0; i < count; i++) {
		unsigned slow = i % 20 ? 1 : 10;
		shim_at_sample(class_of_test(), true, canary_ns * slow);
		shim_at_sample(class_of_test(), false, old_ns * slow);
	}
	next_heap_self->cohort = cohort;
}

/* The guard looks four times a second. */
static void look_again(void)
{
	usleep(260000);
	guard_tick();
}

static enum rollout_outcome latency_outcome(void)
{
	struct guard_class class;
	guard_read_class(class_of_test(), &class);
	assert_true(class.latency_armed);
	return class.latency;
}

static void a_slow_canary_goes_back(void **state)
{
	(void)state;
	arm("latency=1.5/500");
	hakmem_on_rollback(hear, &heard);
	set_plan("4k=next@25%:thread");
	look_again();
	assert_int_equal(latency_outcome(), ROLLOUT_HOLD); /* nothing seen */
	take_samples(400, 1000, 100);
	look_again();
	assert_int_equal(latency_outcome(), ROLLOUT_HOLD); /* too little seen, bad as it is */
	assert_int_equal(state_now().route, SHIM_SHARE);
	take_samples(20000, 1000, 100);
	look_again();
	assert_int_equal(latency_outcome(), ROLLOUT_ROLL_BACK);
	assert_int_equal(heard, 1);
	expect_latched("guard: latency");
}

static void a_canary_that_is_no_slower_may_go(void **state)
{
	(void)state;
	arm("latency=1.5/500");
	set_plan("4k=next@25%:thread");
	take_samples(50000, 100, 100);
	look_again();
	assert_int_equal(latency_outcome(), ROLLOUT_GO);
	assert_int_equal(state_now().route, SHIM_SHARE);
	/* A flip begins anew. */
	set_plan("4k=next@50%:thread");
	look_again();
	assert_int_equal(latency_outcome(), ROLLOUT_HOLD);
}

static _Atomic bool working;

static void *work(void *argument)
{
	(void)argument;
	while (load_relaxed(&working)) {
		void *block = hakmem_malloc(BYTES);
		memset(block, 1, 64);
		hakmem_free(block);
	}
	return NULL;
}

/* The whole way: heaps marked, mallocs timed in the slow path, counted in their arm. Half of eight threads at 50 % would
 * do; whoever is in which arm, both together get samples, and only marked mallocs are timed. */
static void samples_come_from_both_arms_of_real_threads(void **state)
{
	(void)state;
	static struct latency canary, old;
	pthread_t threads[8];

	memset(&canary, 0, sizeof(canary));
	memset(&old, 0, sizeof(old));
	arm("latency");
	store_relaxed(&working, true);
	set_plan("4k=next@50%:thread");
	for (size_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	uint64_t end_ns = os_now_ns() + UINT64_C(20000000000);
	while ((canary.count < 50 || old.count < 50) && os_now_ns() < end_ns) {
		usleep(1000);
		guard_tick();
		memset(&canary, 0, sizeof(canary));
		memset(&old, 0, sizeof(old));
		arms_read(class_of_test(), &canary, &old);
	}
	store_relaxed(&working, false);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	print_message("%llu samples of the canary, p50 %.0f ns; %llu of the old cohort, p50 %.0f ns\n",
		      (unsigned long long)canary.count, latency_quantile_ns(&canary, 0.5),
		      (unsigned long long)old.count, latency_quantile_ns(&old, 0.5));
	assert_true(canary.count >= 50 && old.count >= 50);
}

/* Nothing is sampled where nobody asked. */
static void without_a_guard_nothing_is_sampled(void **state)
{
	(void)state;
	static struct latency canary, old;
	set_plan("4k=next@50%:thread");
	hakmem_free(hakmem_malloc(BYTES)); /* this heap may have been marked by what was before */
	set_plan("4k=next@40%:thread");
	for (int i = 0; i < 1000; i++) {
		guard_tick();
		hakmem_free(hakmem_malloc(BYTES));
	}
	memset(&canary, 0, sizeof(canary));
	memset(&old, 0, sizeof(old));
	arms_read(class_of_test(), &canary, &old);
	assert_int_equal(canary.count + old.count, 0);
	assert_int_equal(guard_patience_ms(), -1);
}

/* --- held bytes ----------------------------------------------------------------------------------- */

#define MANY 8000

/* 32 MiB in the old pool, seen by the guard; then as much in next, of which all but one in eight is freed. */
static void next_that_holds_too_much_goes_back(void **state)
{
	(void)state;
	static void *blocks[MANY];
	struct guard_class seen;

	arm("held=1.5/2m");
	for (size_t i = 0; i < MANY; i++)
		memset(blocks[i] = hakmem_malloc(BYTES), 1, BYTES);
	guard_tick();
	for (size_t i = 0; i < MANY; i++)
		hakmem_free(blocks[i]);
	set_plan("4k=next");
	guard_read_class(class_of_test(), &seen);
	assert_int_equal(seen.held, ROLLOUT_HOLD); /* next has nothing yet */
	for (size_t i = 0; i < MANY; i++)
		memset(blocks[i] = hakmem_malloc(BYTES), 1, BYTES);
	usleep(1010000);
	guard_tick();
	guard_read_class(class_of_test(), &seen);
	assert_int_equal(seen.held, ROLLOUT_GO);
	assert_int_equal(state_now().route, SHIM_NEXT);
	for (size_t i = 0; i < MANY; i++)
		if (i % 8)
			hakmem_free(blocks[i]);
	/* Once is a moment; five times in a row is a state. */
	for (int looks = 1; looks <= 5; looks++) {
		usleep(1010000);
		assert_int_equal(state_now().route, SHIM_NEXT);
		guard_tick();
		guard_read_class(class_of_test(), &seen);
		assert_int_equal(seen.held, looks < 5 ? ROLLOUT_HOLD : ROLLOUT_ROLL_BACK);
	}
	expect_latched("guard: held bytes");
	for (size_t i = 0; i < MANY; i += 8)
		hakmem_free(blocks[i]);
}

/* --- resident set --------------------------------------------------------------------------------- */

static void the_resident_set_has_a_ceiling(void **state)
{
	(void)state;
	set_plan("all=next");
	arm("rss=1000g");
	assert_int_equal(said_of(class_of_test()).guard_rss, HAKMEM_GUARD_HOLD); /* nobody has looked */
	guard_tick();
	assert_int_equal(state_now().route, SHIM_NEXT);
	assert_int_equal(said_of(class_of_test()).guard_rss, HAKMEM_GUARD_GO);
	arm("rss=64k");
	usleep(110000);
	guard_tick();
	assert_int_equal(said_of(class_of_test()).guard_rss, HAKMEM_GUARD_ROLL_BACK);
	expect_latched("guard: rss");
}

/* --- the waiting thread --------------------------------------------------------------------------- */

/* Armed by the program, with no control asked for, it looks by itself. */
static void a_thread_looks_without_being_asked(void **state)
{
	(void)state;
	char error[256];

	set_plan("all=next");
	assert_int_equal(hakmem_guard_set("rss=64k", error, sizeof(error)), 0);
	uint64_t end_ns = os_now_ns() + UINT64_C(20000000000);
	while (state_now().route == SHIM_NEXT && os_now_ns() < end_ns)
		usleep(1000);
	expect_latched("guard: rss");
}

/* --- rollouts of the program's own ---------------------------------------------------------------- */

static struct hakmem_rollout_options quick_rollout(void)
{
	return (struct hakmem_rollout_options){
		.classes = "4k",
		.steps = "25%,50%,100%",
		.hold_ns = 1000000,
		.latency_ratio = 1000, /* whatever is measured is within it */
		.held_ratio = -1,
		.min_samples = 50,
	};
}

static void start_rollout(const struct hakmem_rollout_options *options)
{
	char error[256] = "";
	if (hakmem_rollout_start(options, sizeof(*options), error, sizeof(error)))
		fail_msg("rollout: %s", error);
}

static struct hakmem_rollout_status until_it_ends(uint32_t step)
{
	struct hakmem_rollout_status status;
	uint64_t end_ns = os_now_ns() + UINT64_C(30000000000);
	do {
		usleep(1000);
		assert_int_equal(hakmem_rollout_read(&status, sizeof(status)), 0);
		if (status.phase == HAKMEM_ROLLOUT_RUNNING && status.share && status.step >= step)
			break;
	} while (status.phase == HAKMEM_ROLLOUT_RUNNING && os_now_ns() < end_ns);
	return status;
}

/* Real threads in both arms, real samples, the library's own thread: it goes all the way. */
static void a_rollout_walks_its_steps(void **state)
{
	(void)state;
	struct hakmem_rollout_options options = quick_rollout();
	char text[256];
	pthread_t threads[8];

	set_plan("64=next");
	store_relaxed(&working, true);
	for (size_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	start_rollout(&options);
	struct hakmem_rollout_status status = until_it_ends(UINT32_MAX);
	store_relaxed(&working, false);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	if (status.phase != HAKMEM_ROLLOUT_DONE)
		fail_msg("step %u: %s, %u and %u samples", status.step, status.why,
			 (unsigned)status.canary_samples, (unsigned)status.old_samples);
	assert_int_equal(status.step, 2);
	assert_int_equal(state_now().route, SHIM_NEXT);
	/* What the live plan said before is still said. */
	hakmem_plan_get(HAKMEM_SOURCE_LIVE, text, sizeof(text));
	assert_string_equal(text, "64=next,4k=next");
}

static void a_rollout_of_what_is_worse_goes_back(void **state)
{
	(void)state;
	struct hakmem_rollout_options options = quick_rollout();
	options.latency_ratio = 1.5;
	hakmem_on_rollback(hear, &heard);
	start_rollout(&options);
	assert_int_equal(until_it_ends(0).phase, HAKMEM_ROLLOUT_RUNNING);
	uint64_t end_ns = os_now_ns() + UINT64_C(20000000000);
	while (state_now().route != SHIM_SHARE && os_now_ns() < end_ns)
		usleep(1000);
	take_samples(20000, 1000, 100);
	struct hakmem_rollout_status status = until_it_ends(UINT32_MAX);
	assert_int_equal(status.phase, HAKMEM_ROLLOUT_ROLLED_BACK);
	assert_int_equal(status.step, 0);
	assert_true(status.ratio_low > 1500);
	assert_int_equal(heard, 1);
	expect_latched("rollout: worse than before");
}

static void a_rollout_without_samples_stops_and_promotes_nothing(void **state)
{
	(void)state;
	struct hakmem_rollout_options options = quick_rollout();
	options.patience_ns = 10000000;
	start_rollout(&options);
	struct hakmem_rollout_status status = until_it_ends(UINT32_MAX);
	assert_int_equal(status.phase, HAKMEM_ROLLOUT_STOPPED);
	assert_int_equal(status.step, 0);
	assert_int_equal(state_now().route, SHIM_SHARE);
	options.roll_back_on_stop = 1;
	start_rollout(&options);
	assert_int_equal(until_it_ends(UINT32_MAX).phase, HAKMEM_ROLLOUT_ROLLED_BACK);
	expect_latched("rollout: no verdict in time");
}

static void a_rollout_can_be_ended_by_hand_and_there_is_one_at_a_time(void **state)
{
	(void)state;
	struct hakmem_rollout_options options = quick_rollout();
	char error[256];
	start_rollout(&options);
	assert_int_equal(hakmem_rollout_start(&options, sizeof(options), error, sizeof(error)), EINVAL);
	assert_string_equal(error, "there is a rollout already");
	assert_int_equal(hakmem_rollout_stop(1), 0);
	assert_int_equal(until_it_ends(UINT32_MAX).phase, HAKMEM_ROLLOUT_ROLLED_BACK);
	expect_latched("rollout: stopped");
	options.steps = "50%,25%";
	assert_int_equal(hakmem_rollout_start(&options, sizeof(options), error, sizeof(error)), EINVAL);
	options.steps = "50%";
	options.classes = "nonsense";
	assert_int_equal(hakmem_rollout_start(&options, sizeof(options), error, sizeof(error)), EINVAL);
	/* Latched before it began: it ends at once. */
	options.classes = "4k";
	start_rollout(&options);
	assert_int_equal(until_it_ends(UINT32_MAX).phase, HAKMEM_ROLLOUT_ROLLED_BACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(settings_are_read_as_they_are_written, start_clean),
		cmocka_unit_test_setup(wrong_settings_are_refused_and_change_nothing, start_clean),
		cmocka_unit_test_setup(a_double_free_is_survived_and_the_class_goes_back, start_clean),
		cmocka_unit_test_setup(so_is_one_by_another_thread, start_clean),
		cmocka_unit_test_setup(other_misuse_is_survived_too, start_clean),
		cmocka_unit_test_setup(where_the_class_is_not_known_all_go_back, start_clean),
		cmocka_unit_test_setup(what_is_no_block_has_no_room_and_is_not_moved, start_clean),
		cmocka_unit_test_setup(unarmed_it_is_the_end, start_clean),
		cmocka_unit_test_setup(next_without_memory_goes_back, start_clean),
		cmocka_unit_test_setup(a_slow_canary_goes_back, start_clean),
		cmocka_unit_test_setup(a_canary_that_is_no_slower_may_go, start_clean),
		cmocka_unit_test_setup(samples_come_from_both_arms_of_real_threads, start_clean),
		cmocka_unit_test_setup(without_a_guard_nothing_is_sampled, start_clean),
		cmocka_unit_test_setup(next_that_holds_too_much_goes_back, start_clean),
		cmocka_unit_test_setup(the_resident_set_has_a_ceiling, start_clean),
		cmocka_unit_test_setup(a_thread_looks_without_being_asked, start_clean),
		cmocka_unit_test_setup(a_rollout_walks_its_steps, start_clean),
		cmocka_unit_test_setup(a_rollout_of_what_is_worse_goes_back, start_clean),
		cmocka_unit_test_setup(a_rollout_without_samples_stops_and_promotes_nothing,
				       start_clean),
		cmocka_unit_test_setup(a_rollout_can_be_ended_by_hand_and_there_is_one_at_a_time,
				       start_clean),
	};

	return cmocka_run_group_tests(tests, start_clean, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/migrate_state_test.c - who wins: kill switch, latches, live, file, environment; and whom a share draws */
#include "migrate/identity.h"
#include "migrate/state.h"
#include "next/next.h"
#include "next/types.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES	    4096 /* of a class that every backend serves */
#define CHILD_LIMIT 60	 /* seconds until a child counts as hung */

static unsigned class_of_test(void)
{
	return next_class_of(BYTES);
}

static struct state_outcome set(enum state_source source, const char *text)
{
	struct state_outcome outcome;
	struct plan_error error;
	if (!state_set_plan(source, text, strlen(text), &error, &outcome))
		fail_msg("%s: %s", text, error.reason);
	return outcome;
}

static void only_the_test_class(bool named[NEXT_CLASSES])
{
	memset(named, 0, NEXT_CLASSES * sizeof(named[0]));
	named[class_of_test()] = true;
}

static int start_clean(void **state)
{
	bool all[NEXT_CLASSES];
	(void)state;
	shim_init();
	memset(all, true, sizeof(all));
	state_drop_plan(SOURCE_ENVIRONMENT, NULL);
	state_drop_plan(SOURCE_FILE, NULL);
	state_drop_plan(SOURCE_LIVE, NULL);
	state_unlatch(all, NULL);
	state_kill_switch(false, NULL);
	return 0;
}

static enum hakmem_owner served_by(void)
{
	void *block = hakmem_malloc(BYTES);
	enum hakmem_owner owner = hakmem_owner(block);
	hakmem_free(block);
	return owner;
}

/* --- precedence ----------------------------------------------------------------------------------- */

/* What a source may say of the class: nothing, a plan that does not name it, next, its old side, system. */
static const struct {
	const char *text;
	enum hakmem_owner owner;
	bool names_it;
} sayings[] = {
	{ .text = NULL },
	{ .text = "tiny=next" },
	{ .text = "4k=next", .owner = HAKMEM_OWNER_NEXT, .names_it = true },
	{ .text = "4k=old", .owner = HAKMEM_OWNER_LEGACY, .names_it = true },
	{ .text = "4k=system", .owner = HAKMEM_OWNER_SYSTEM, .names_it = true },
};
#define SAYINGS (sizeof(sayings) / sizeof(sayings[0]))

static void say(enum state_source source, size_t saying)
{
	if (sayings[saying].text)
		set(source, sayings[saying].text);
	else
		state_drop_plan(source, NULL);
}

static void expect(enum hakmem_owner owner, enum state_source source, enum state_reason reason)
{
	struct state state;
	state_read(&state);
	assert_int_equal(served_by(), owner);
	assert_int_equal(state.class[class_of_test()].source, source);
	assert_int_equal(state.class[class_of_test()].reason, reason);
}

/* Every combination of sources, latch and kill switch, against a model of three lines. */
static void the_highest_word_on_a_class_counts(void **state)
{
	(void)state;
	bool named[NEXT_CLASSES];

	only_the_test_class(named);
	for (size_t i = 0; i < SAYINGS * SAYINGS * SAYINGS * 4; i++) {
		size_t said[] = { 0, i % SAYINGS, i / SAYINGS % SAYINGS,
				  i / (SAYINGS * SAYINGS) % SAYINGS };
		bool latched = i / (SAYINGS * SAYINGS * SAYINGS) % 2;
		bool killed = i / (SAYINGS * SAYINGS * SAYINGS) / 2;
		enum state_source source = SOURCE_DEFAULT;

		for (unsigned s = SOURCE_ENVIRONMENT; s < STATE_SOURCES; s++) {
			say((enum state_source)s, said[s]);
			if (sayings[said[s]].names_it)
				source = (enum state_source)s;
		}
		if (latched)
			state_rollback(named, "by the test", NULL);
		else
			state_unlatch(named, NULL);
		state_kill_switch(killed, NULL);

		enum hakmem_owner owner = source == SOURCE_DEFAULT ? HAKMEM_OWNER_LEGACY
								   : sayings[said[source]].owner;
		if (killed || latched)
			owner = HAKMEM_OWNER_LEGACY;
		expect(owner, source,
		       killed	 ? REASON_KILL_SWITCH
		       : latched ? REASON_LATCHED
				 : REASON_PLAN);
	}
}

/* The same words in another order end in the same state. */
static void only_the_words_count_and_not_their_order(void **state)
{
	(void)state;
	bool named[NEXT_CLASSES];

	only_the_test_class(named);
	state_kill_switch(true, NULL);
	set(SOURCE_LIVE, "4k=next");
	expect(HAKMEM_OWNER_LEGACY, SOURCE_LIVE, REASON_KILL_SWITCH);
	state_rollback(named, "by the test", NULL);
	state_kill_switch(false, NULL);
	expect(HAKMEM_OWNER_LEGACY, SOURCE_LIVE, REASON_LATCHED);
	set(SOURCE_FILE, "4k=system");
	set(SOURCE_LIVE, "all=next");
	expect(HAKMEM_OWNER_LEGACY, SOURCE_LIVE, REASON_LATCHED);
	state_unlatch(named, NULL);
	expect(HAKMEM_OWNER_NEXT, SOURCE_LIVE, REASON_PLAN);
	state_drop_plan(SOURCE_LIVE, NULL);
	expect(HAKMEM_OWNER_SYSTEM, SOURCE_FILE, REASON_PLAN);
}

static void the_old_side_is_that_of_the_highest_source_that_names_it(void **state)
{
	(void)state;
	bool named[NEXT_CLASSES];

	only_the_test_class(named);
	set(SOURCE_ENVIRONMENT, "old=system, all=next");
	set(SOURCE_LIVE, "4k=old");
	expect(HAKMEM_OWNER_SYSTEM, SOURCE_LIVE, REASON_PLAN);
	set(SOURCE_FILE, "old=legacy");
	expect(HAKMEM_OWNER_LEGACY, SOURCE_LIVE, REASON_PLAN);
	set(SOURCE_LIVE, "tiny=old");
	expect(HAKMEM_OWNER_NEXT, SOURCE_ENVIRONMENT, REASON_PLAN);
	state_rollback(named, "by the test", NULL);
	expect(HAKMEM_OWNER_LEGACY, SOURCE_ENVIRONMENT, REASON_LATCHED);
	state_drop_plan(SOURCE_FILE, NULL);
	expect(HAKMEM_OWNER_SYSTEM, SOURCE_ENVIRONMENT, REASON_LATCHED);
}

/* --- changes -------------------------------------------------------------------------------------- */

static void only_what_differs_is_flipped(void **state)
{
	(void)state;
	unsigned tiny = next_class_of(1024) + 1;

	assert_int_equal(set(SOURCE_ENVIRONMENT, "").flipped, 0);
	assert_int_equal(set(SOURCE_ENVIRONMENT, "tiny=next").flipped, tiny);
	assert_int_equal(set(SOURCE_ENVIRONMENT, "tiny=next").flipped, 0);
	assert_int_equal(set(SOURCE_LIVE, "tiny=next, 4k=next").flipped, 1);
	assert_int_equal(set(SOURCE_LIVE, "4k=next@25%:thread").flipped, 1);
	assert_int_equal(set(SOURCE_LIVE, "4k=next@25%:thread/control").flipped, 0);
	assert_int_equal(set(SOURCE_LIVE, "4k=next@50%:thread").flipped, 1);
	assert_int_equal(set(SOURCE_LIVE, "4k=next@100%:thread").flipped, 1);
	assert_int_equal(set(SOURCE_LIVE, "4k=next").flipped, 0);
	assert_int_equal(set(SOURCE_LIVE, "64=old").flipped, 2);
}

static void a_wrong_plan_changes_nothing_and_is_remembered(void **state)
{
	(void)state;
	char text[STATE_ERROR_BYTES];
	struct plan_error error;
	struct state before, after;

	set(SOURCE_FILE, "4k=next");
	state_read(&before);
	assert_false(state_set_plan(SOURCE_FILE, "4k=nxt", 6, &error, NULL));
	state_read(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	expect(HAKMEM_OWNER_NEXT, SOURCE_FILE, REASON_PLAN);
	state_error(SOURCE_FILE, text);
	assert_non_null(strstr(text, "\"4k=nxt\": no such target"));
	assert_int_equal(state_plan_text(SOURCE_FILE, text, sizeof(text)), 7);
	assert_string_equal(text, "4k=next");
	set(SOURCE_FILE, "4k=old");
	state_error(SOURCE_FILE, text);
	assert_string_equal(text, "");
}

static void a_plan_that_is_only_tried_changes_nothing(void **state)
{
	(void)state;
	struct state before, would_be, after;
	struct plan_error error;

	set(SOURCE_ENVIRONMENT, "tiny=next");
	state_read(&before);
	assert_true(state_try_plan("4k=next,64=old", 14, &error, &would_be));
	state_read(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(would_be.class[class_of_test()].route, SHIM_NEXT);
	assert_int_equal(would_be.class[next_class_of(64)].route, SHIM_SYSTEM);
	assert_int_equal(would_be.class[next_class_of(128)].route, SHIM_NEXT);
	assert_false(state_try_plan("4k=nxt", 6, &error, &would_be));
}

static void a_latch_keeps_its_first_cause(void **state)
{
	(void)state;
	bool named[NEXT_CLASSES];
	struct state now;

	only_the_test_class(named);
	state_rollback(named, "first", NULL);
	state_rollback(named, "second", NULL);
	state_read(&now);
	assert_string_equal(now.class[class_of_test()].latch_cause, "first");
	assert_null(now.class[class_of_test() + 1].latch_cause);
	state_unlatch(named, NULL);
	state_read(&now);
	assert_null(now.class[class_of_test()].latch_cause);
}

/* --- shares --------------------------------------------------------------------------------------- */

#define THREADS 24

static struct {
	pthread_barrier_t gate;
	enum hakmem_owner owner[THREADS];
	uint32_t cohort[THREADS];
	_Atomic bool done;
} crowd;

/* One malloc of the class whenever the gate opens. Half of them have a page of the class in their slot. */
static void *be_one_of_the_crowd(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	for (;;) {
		pthread_barrier_wait(&crowd.gate);
		if (load_relaxed(&crowd.done))
			return NULL;
		crowd.owner[self] = served_by();
		crowd.cohort[self] = next_heap_self->cohort;
		pthread_barrier_wait(&crowd.gate);
	}
}

/* Everybody's owner under the plan; how many are next's. Whom `before` had, it has still. */
static unsigned ask_crowd(const char *plan, const struct share *share, bool keeps)
{
	enum hakmem_owner before[THREADS];
	unsigned in_next = 0;

	memcpy(before, crowd.owner, sizeof(before));
	set(SOURCE_LIVE, plan);
	pthread_barrier_wait(&crowd.gate);
	pthread_barrier_wait(&crowd.gate);
	for (size_t i = 0; i < THREADS; i++) {
		bool drawn = share_arm_of(share, crowd.cohort[i]) == ARM_CANARY;
		assert_int_equal(crowd.owner[i], drawn ? HAKMEM_OWNER_NEXT : HAKMEM_OWNER_LEGACY);
		if (keeps && before[i] == HAKMEM_OWNER_NEXT)
			assert_int_equal(crowd.owner[i], HAKMEM_OWNER_NEXT);
		in_next += drawn;
	}
	return in_next;
}

static void a_share_of_threads_is_theirs_and_grows(void **state)
{
	(void)state;
	static const uint32_t percents[] = { 0, 5, 25, 50, 75, 100 };
	pthread_t threads[THREADS];
	unsigned in_next = 0;

	pthread_barrier_init(&crowd.gate, NULL, THREADS + 1);
	store_relaxed(&crowd.done, false);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, be_one_of_the_crowd, (void *)i),
				 0);
	/* Everybody's slot gets a page, so that every step below has to take some away. */
	struct share all = { .of = SHARE_OF_ALL };
	assert_int_equal(ask_crowd("4k=next", &all, false), THREADS);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		struct share share = { .of = SHARE_OF_THREADS,
				       .size = percents[i] * SHARE_PERCENT };
		char plan[64];
		snprintf(plan, sizeof(plan), "4k=next@%u%%:thread", percents[i]);
		in_next = ask_crowd(plan, &share, i > 0);
		/* Neither none nor all of so many: else the test tells nothing. */
		if (percents[i] == 50)
			assert_in_range(in_next, 1, THREADS - 1);
	}
	assert_int_equal(in_next, THREADS);
	struct share half = { .of = SHARE_OF_THREADS, .size = SHARE_WHOLE / 2, .control = true };
	assert_in_range(ask_crowd("4k=next@50%:thread/control", &half, false), 1, THREADS - 1);
	/* Whom the share leaves out goes where the old side is. */
	set(SOURCE_LIVE, "old=system, 4k=next@0.000001%:thread");
	pthread_barrier_wait(&crowd.gate);
	pthread_barrier_wait(&crowd.gate);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(crowd.owner[i], HAKMEM_OWNER_SYSTEM);
	store_relaxed(&crowd.done, true);
	pthread_barrier_wait(&crowd.gate);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd.gate);
}

/* All ways in which a class with a share can be asked for memory. */
static void a_share_holds_for_the_whole_family(void **state)
{
	(void)state;
	served_by(); /* so that this thread has a heap */
	for (unsigned step = 0; step < 2; step++) {
		/* Just below this thread's own draw, and just above. */
		uint64_t end = (uint64_t)next_heap_self->cohort + 1;
		uint64_t size = end * SHARE_WHOLE / ((uint64_t)1 << 32) + 2 * step;
		enum hakmem_owner owner = step ? HAKMEM_OWNER_NEXT : HAKMEM_OWNER_SYSTEM;
		char plan[96];
		snprintf(plan, sizeof(plan), "old=system, all=next@%llu.%06llu%%:thread",
			 (unsigned long long)size / SHARE_PERCENT,
			 (unsigned long long)size % SHARE_PERCENT);
		set(SOURCE_LIVE, plan);
		for (size_t bytes = 1; bytes < 8 * MIB; bytes = bytes * 3 + 1) {
			void *blocks[5], *aligned = NULL;
			blocks[0] = hakmem_malloc(bytes);
			blocks[1] = hakmem_calloc(1, bytes);
			blocks[2] = hakmem_memalign(256, bytes);
			blocks[3] = hakmem_realloc(hakmem_malloc(1), bytes + 64);
			assert_int_equal(hakmem_posix_memalign(&aligned, 64, bytes), 0);
			blocks[4] = aligned;
			for (size_t i = 0; i < 5; i++) {
				assert_non_null(blocks[i]);
				assert_int_equal(hakmem_owner(blocks[i]), owner);
				hakmem_free(blocks[i]);
			}
		}
	}
}

static void a_host_is_in_or_out_as_a_whole(void **state)
{
	(void)state;
	char id[IDENTITY_HOST_BYTES], plan[96];
	size_t length = identity_host(id);
	unsigned in = 0;

	assert_true(length > 0 && length < sizeof(id) && id[length] == '\0');
	for (unsigned i = 0; i < 64; i++) {
		char salt[16];
		struct state now;
		struct share share = { .of = SHARE_OF_HOSTS,
				       .size = SHARE_WHOLE / 2,
				       .control = true };
		snprintf(salt, sizeof(salt), "salt %u", i);
		snprintf(plan, sizeof(plan), "salt=%s, 4k=next@50%%:host/control", salt);
		set(SOURCE_LIVE, plan);
		enum share_arm arm = share_arm_of(&share, identity_host_draw(id, length, salt));
		state_read(&now);
		assert_int_equal(now.class[class_of_test()].arm, arm);
		expect(arm == ARM_CANARY ? HAKMEM_OWNER_NEXT : HAKMEM_OWNER_LEGACY, SOURCE_LIVE,
		       arm == ARM_CANARY ? REASON_PLAN : REASON_NOT_DRAWN);
		in += arm == ARM_CANARY;
	}
	/* Salts draw anew: all alike would be one chance in 2^63. */
	assert_in_range(in, 1, 63);
}

/* --- fork ----------------------------------------------------------------------------------------- */

static int exit_status(pid_t child)
{
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void a_child_draws_for_itself(void **state)
{
	(void)state;
	unsigned in = 0;

	set(SOURCE_LIVE, "4k=next@50%:process");
	for (unsigned i = 0; i < 64; i++) {
		pid_t child = fork();
		if (child == 0) {
			struct share share = { .of = SHARE_OF_PROCESSES, .size = SHARE_WHOLE / 2 };
			struct identity_process self = identity_process();
			alarm(CHILD_LIMIT);
			bool drawn = share_arm_of(&share, identity_process_draw(&self, "")) ==
				     ARM_CANARY;
			bool served = served_by() == HAKMEM_OWNER_NEXT;
			_exit(served != drawn ? 2 : drawn);
		}
		assert_true(child > 0);
		int status = exit_status(child);
		assert_in_range(status, 0, 1);
		in += status == 1;
	}
	assert_in_range(in, 1, 63);
}

static _Atomic bool flipping;

static void *keep_flipping(void *argument)
{
	static const char *const texts[] = { "4k=next", "4k=old", "mid=next@50%:thread",
					     "all=system" };
	bool all[NEXT_CLASSES];

	memset(all, true, sizeof(all));
	for (uintptr_t i = (uintptr_t)argument; load_relaxed(&flipping); i++) {
		set(SOURCE_LIVE, texts[i % 4]);
		if (i % 16 == 3)
			state_rollback(all, "by the test", NULL);
		if (i % 16 == 11)
			state_unlatch(all, NULL);
		served_by();
	}
	return NULL;
}

/* The lock of flips is held by some thread nearly all the time. */
static void a_child_of_flipping_threads_can_flip_at_once(void **state)
{
	(void)state;
	pthread_t threads[3];
	int children = HAKMEM_SANITIZER ? 20 : 200;

	store_relaxed(&flipping, true);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_flipping, (void *)i), 0);
	for (int i = 0; i < children; i++) {
		pid_t child = fork();
		if (child == 0) {
			bool all[NEXT_CLASSES];
			alarm(CHILD_LIMIT);
			memset(all, true, sizeof(all));
			state_unlatch(all, NULL);
			set(SOURCE_LIVE, "4k=next");
			bool in_next = served_by() == HAKMEM_OWNER_NEXT;
			state_rollback(all, "by the child", NULL);
			_exit(!(in_next && served_by() == HAKMEM_OWNER_LEGACY));
		}
		assert_true(child > 0);
		assert_int_equal(exit_status(child), 0);
	}
	store_relaxed(&flipping, false);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* Whoever changed it last, what is in force is the sum of the sources, and the routes are that sum. */
static void threads_that_change_it_at_once_leave_one_state(void **state)
{
	(void)state;
	pthread_t threads[3];

	for (int round = 0; round < 20; round++) {
		struct state now;
		store_relaxed(&flipping, true);
		for (uintptr_t i = 0; i < 3; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, keep_flipping, (void *)i), 0);
		for (int i = 0; i < 100; i++) {
			state_read(&now);
			served_by();
		}
		store_relaxed(&flipping, false);
		for (size_t i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		state_read(&now);
		for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
			assert_int_equal(shim_route_word_of(class), now.class[class].route);
			uint32_t door = now.class[class].route == SHIM_NEXT ? NEXT_DOOR_OPEN
					: now.class[class].route == SHIM_SHARE
						? now.class[class].door
						: 0;
			assert_int_equal(load_relaxed(&next_door[class]), door);
		}
	}
}

/* --- identity ------------------------------------------------------------------------------------- */

static void the_start_time_is_found_behind_any_name(void **state)
{
	(void)state;
	static const struct {
		const char *stat;
		uint64_t ticks;
	} cases[] = {
		{ "7 (a) R 1 7 7 0 -1 4194304 5 0 0 0 0 0 0 0 20 0 1 0 4711 9 9", 4711 },
		{ "7 (a) R 1) S 1 7 7 0 -1 4194304 5 0 0 0 0 0 0 0 20 0 1 0 4711 9 9", 4711 },
		{ "7 (a\n(b) (c) R 1 7 7 0 -1 4194304 5 0 0 0 0 0 0 0 20 0 1 0 4711 9", 4711 },
		{ "7 (a) R 1 7 7 0 -1 4194304 5 0 0 0 0 0 0 0 20 0 1 0", 0 },
		{ "7 (a", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(identity_start_ticks(cases[i].stat, strlen(cases[i].stat)),
				 cases[i].ticks);
	struct identity_process self = identity_process();
	assert_int_equal(self.pid, getpid());
	assert_true(self.start_ticks > 0);
}

/* The draws are written down: another version of the library must not draw others. */
static void draws_never_change(void **state)
{
	(void)state;
	struct identity_process process = { .pid = 4711, .start_ticks = 123456789 };
	const char *host = "0123456789abcdef0123456789abcdef";

	assert_int_equal(identity_process_draw(&process, ""), 0x3115eae0);
	assert_int_equal(identity_process_draw(&process, "spring"), 0x6fc15383);
	assert_int_equal(identity_host_draw(host, 32, ""), 0xb3431dee);
	assert_int_equal(identity_host_draw(host, 32, "spring"), 0x8fef00ef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_highest_word_on_a_class_counts, start_clean),
		cmocka_unit_test_setup(only_the_words_count_and_not_their_order, start_clean),
		cmocka_unit_test_setup(the_old_side_is_that_of_the_highest_source_that_names_it,
				       start_clean),
		cmocka_unit_test_setup(only_what_differs_is_flipped, start_clean),
		cmocka_unit_test_setup(a_wrong_plan_changes_nothing_and_is_remembered, start_clean),
		cmocka_unit_test_setup(a_plan_that_is_only_tried_changes_nothing, start_clean),
		cmocka_unit_test_setup(a_latch_keeps_its_first_cause, start_clean),
		cmocka_unit_test_setup(a_share_of_threads_is_theirs_and_grows, start_clean),
		cmocka_unit_test_setup(a_share_holds_for_the_whole_family, start_clean),
		cmocka_unit_test_setup(a_host_is_in_or_out_as_a_whole, start_clean),
		cmocka_unit_test_setup(a_child_draws_for_itself, start_clean),
		cmocka_unit_test_setup(a_child_of_flipping_threads_can_flip_at_once, start_clean),
		cmocka_unit_test_setup(threads_that_change_it_at_once_leave_one_state, start_clean),
		cmocka_unit_test(the_start_time_is_found_behind_any_name),
		cmocka_unit_test(draws_never_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/migrate_rollout_test.c - a rollout promotes what was seen to be good, and nothing else */
#include "migrate/plan.h"
#include "migrate/rollout.h"
#include "tests/support.h"

#include <string.h>

static struct latency fast, slow, few;

/* A twentieth of them, spread over it, is ten times slower. */
static void fill(struct latency *latency, unsigned count, uint64_t ns)
{
	memset(latency, 0, sizeof(*latency));
	for (unsigned i = 0; i < count; i++)
		latency_add(latency, i % 20 ? ns : ns * 10 + i % 7 * ns / 4);
}

static int fill_all(void **state)
{
	(void)state;
	fill(&fast, 20000, 100);
	fill(&slow, 20000, 300);
	fill(&few, 100, 300);
	return 0;
}

static struct rollout_evidence good(void)
{
	return (struct rollout_evidence){
		.canary = &fast,
		.old = &fast,
		.next = { .held_bytes = 110 * MIB, .live_bytes = 100 * MIB },
		.before = { .held_bytes = 13 * MIB, .live_bytes = 10 * MIB },
	};
}

static enum rollout_outcome judged(const struct rollout_evidence *evidence)
{
	struct rollout_verdict verdict;
	rollout_judge(&rollout_default_limits, 0.05, evidence, &verdict);
	assert_non_null(verdict.why);
	assert_true((verdict.outcome == ROLLOUT_GO) == (verdict.why[0] == '\0'));
	return verdict.outcome;
}

static void what_is_as_good_as_before_may_go(void **state)
{
	(void)state;
	struct rollout_evidence evidence = good();
	assert_int_equal(judged(&evidence), ROLLOUT_GO);
	evidence.old = &slow; /* and what is better */
	assert_int_equal(judged(&evidence), ROLLOUT_GO);
}

static void what_is_worse_goes_back(void **state)
{
	(void)state;
	struct rollout_evidence evidence = good();
	evidence.canary = &slow;
	assert_int_equal(judged(&evidence), ROLLOUT_ROLL_BACK);
	evidence = good();
	evidence.next.held_bytes *= 2;
	assert_int_equal(judged(&evidence), ROLLOUT_ROLL_BACK);
	evidence = good();
	evidence.rolled_back = true;
	assert_int_equal(judged(&evidence), ROLLOUT_ROLL_BACK);
}

static void whatever_is_missing_holds(void **state)
{
	(void)state;
	static struct latency none;
	struct rollout_evidence evidence = good();
	evidence.canary = NULL;
	assert_int_equal(judged(&evidence), ROLLOUT_HOLD);
	evidence = good();
	evidence.old = &none;
	assert_int_equal(judged(&evidence), ROLLOUT_HOLD);
	evidence = good();
	evidence.canary = &few; /* slow, but too few to say so */
	assert_int_equal(judged(&evidence), ROLLOUT_HOLD);
	evidence = good();
	evidence.before.held_bytes = 0;
	assert_int_equal(judged(&evidence), ROLLOUT_HOLD);
	evidence = good();
	evidence.next.held_bytes = 50 * MIB;
	evidence.next.live_bytes = 10 * MIB;
	assert_int_equal(judged(&evidence), ROLLOUT_HOLD);
}

static void a_bad_sign_is_not_outweighed_by_a_missing_one(void **state)
{
	(void)state;
	struct rollout_evidence evidence = good();
	evidence.canary = &slow;
	evidence.before.held_bytes = 0;
	assert_int_equal(judged(&evidence), ROLLOUT_ROLL_BACK);
}

static void what_is_not_asked_for_has_no_say(void **state)
{
	(void)state;
	struct rollout_limits limits = rollout_default_limits;
	struct rollout_evidence evidence = { .canary = NULL };
	struct rollout_verdict verdict;
	limits.latency_ratio = limits.held_ratio = 0;
	rollout_judge(&limits, 0.05, &evidence, &verdict);
	assert_int_equal(verdict.outcome, ROLLOUT_GO);
}

/* --- steps ---------------------------------------------------------------------------------------- */

static struct rollout rollout_of(const char *steps)
{
	struct rollout rollout = { .limits = rollout_default_limits, .hold_ns = 100 };
	assert_null(rollout_read_steps(&rollout.steps, steps));
	return rollout;
}

static enum rollout_action at(struct rollout *rollout, uint64_t now_ns,
			      const struct rollout_evidence *evidence)
{
	struct rollout_verdict verdict;
	return rollout_advance(rollout, now_ns, evidence, &verdict);
}

static void it_walks_all_steps_and_is_done(void **state)
{
	(void)state;
	struct rollout rollout = rollout_of("1%, 5%, 100%");
	struct rollout_evidence evidence = good();
	assert_int_equal(at(&rollout, 1000, &evidence), ROLLOUT_SET);
	assert_int_equal(rollout.step, 0);
	assert_int_equal(at(&rollout, 1099, &evidence), ROLLOUT_WAIT);
	assert_int_equal(at(&rollout, 1100, &evidence), ROLLOUT_SET);
	assert_int_equal(rollout.step, 1);
	assert_int_equal(at(&rollout, 1150, &evidence), ROLLOUT_WAIT);
	assert_int_equal(at(&rollout, 1200, &evidence), ROLLOUT_SET);
	assert_int_equal(rollout.step, 2);
	/* There is no old cohort any more. */
	evidence.canary = evidence.old = NULL;
	assert_int_equal(at(&rollout, 1299, &evidence), ROLLOUT_WAIT);
	assert_int_equal(at(&rollout, 1300, &evidence), ROLLOUT_DONE);
}

static void it_goes_back_from_any_step_at_once(void **state)
{
	(void)state;
	struct rollout rollout = rollout_of("1%,100%");
	struct rollout_evidence evidence = good();
	assert_int_equal(at(&rollout, 0, &evidence), ROLLOUT_SET);
	evidence.canary = &slow;
	assert_int_equal(at(&rollout, 1, &evidence), ROLLOUT_BACK);
	rollout = rollout_of("1%,100%");
	evidence = good();
	assert_int_equal(at(&rollout, 0, &evidence), ROLLOUT_SET);
	assert_int_equal(at(&rollout, 100, &evidence), ROLLOUT_SET);
	evidence.rolled_back = true;
	assert_int_equal(at(&rollout, 101, &evidence), ROLLOUT_BACK);
	/* Latched before it began. */
	rollout = rollout_of("1%,100%");
	assert_int_equal(at(&rollout, 0, &evidence), ROLLOUT_BACK);
}

static void bytes_held_for_a_moment_only_hold(void **state)
{
	(void)state;
	struct rollout rollout = rollout_of("1%,100%");
	struct rollout_evidence evidence = good();
	assert_int_equal(at(&rollout, 1000, &evidence), ROLLOUT_SET);
	evidence.next.held_bytes *= 2;
	assert_int_equal(at(&rollout, 2000, &evidence), ROLLOUT_WAIT);
	assert_int_equal(at(&rollout, 2000 + ROLLOUT_HELD_NS - 1, &evidence), ROLLOUT_WAIT);
	evidence.next.held_bytes /= 2;
	rollout.hold_ns = 10 * ROLLOUT_HELD_NS;
	assert_int_equal(at(&rollout, 2000 + ROLLOUT_HELD_NS, &evidence), ROLLOUT_WAIT);
	evidence.next.held_bytes *= 2;
	assert_int_equal(at(&rollout, 3000 + ROLLOUT_HELD_NS, &evidence), ROLLOUT_WAIT);
	/* Something worse is not made to wait for it. */
	struct rollout other = rollout;
	evidence.canary = &slow;
	assert_int_equal(at(&other, 4000 + ROLLOUT_HELD_NS, &evidence), ROLLOUT_BACK);
	evidence.canary = &fast;
	assert_int_equal(at(&rollout, 3000 + 2 * ROLLOUT_HELD_NS, &evidence), ROLLOUT_BACK);
}

static void it_never_promotes_without_evidence(void **state)
{
	(void)state;
	struct rollout rollout = rollout_of("1%,100%");
	struct rollout_evidence evidence = good();
	evidence.canary = &few;
	assert_int_equal(at(&rollout, 0, &evidence), ROLLOUT_SET);
	for (uint64_t now_ns = 1; now_ns < 1000000; now_ns *= 2)
		assert_int_equal(at(&rollout, now_ns, &evidence), ROLLOUT_WAIT);
	assert_int_equal(rollout.step, 0);
	rollout.patience_ns = 2000000;
	assert_int_equal(at(&rollout, 1999999, &evidence), ROLLOUT_WAIT);
	assert_int_equal(at(&rollout, 2000000, &evidence), ROLLOUT_STOP);
}

static void steps_are_read_as_they_are_written(void **state)
{
	(void)state;
	struct rollout_steps steps;
	assert_null(rollout_read_steps(&steps, " 0.5% ,1%, 12.25%,100%"));
	assert_int_equal(steps.count, 4);
	assert_int_equal(steps.share[0], SHARE_PERCENT / 2);
	assert_int_equal(steps.share[1], SHARE_PERCENT);
	assert_int_equal(steps.share[2], 12 * SHARE_PERCENT + SHARE_PERCENT / 4);
	assert_int_equal(steps.share[3], SHARE_WHOLE);
	static const char *const wrong[] = {
		"",	"%",	 "5",	   "5%,",  ",5%",  "5%,5%", "5%,1%",	 "0%", "101%", "100.1%",
		"5%5%", "5 %",	 "-1%",	   "1.%",  ".5%",  "1e1%",  "1.1234567%", "5%;6%",
		"1%,2%,3%,4%,5%,6%,7%,8%,9%,10%,11%,12%,13%,14%,15%,16%,17%",
		"99999999999999999999%",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (!rollout_read_steps(&steps, wrong[i]))
			fail_msg("taken: \"%s\"", wrong[i]);
}

static void its_plans_are_plans(void **state)
{
	(void)state;
	static const struct {
		const char *classes;
		uint32_t share;
		const char *text;
	} cases[] = {
		{ "mid", 5 * SHARE_PERCENT, "mid=next@5%:thread/control" },
		{ "mid", 50 * SHARE_PERCENT, "mid=next@50%:thread/control" },
		{ "mid", 75 * SHARE_PERCENT, "mid=next@75%:thread" },
		{ "mid", SHARE_WHOLE, "mid=next" },
		{ "4k, 8k-16k", SHARE_PERCENT / 2,
		  "4k=next@0.5%:thread/control, 8k-16k=next@0.5%:thread/control" },
	};
	char text[128];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct plan plan;
		struct plan_error error;
		assert_true(rollout_plan_text(text, sizeof(text), cases[i].classes,
					      cases[i].share));
		assert_string_equal(text, cases[i].text);
		assert_true(plan_parse(&plan, text, strlen(text), true, &error));
		assert_int_equal(plan.class[next_class_of(4096)].share.size, cases[i].share);
	}
	for (size_t room = 0; room < strlen("mid=next") + 1; room++)
		assert_false(rollout_plan_text(text, room, "mid", SHARE_WHOLE));
	assert_true(rollout_plan_text(text, strlen("mid=next") + 1, "mid", SHARE_WHOLE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_as_good_as_before_may_go),
		cmocka_unit_test(what_is_worse_goes_back),
		cmocka_unit_test(whatever_is_missing_holds),
		cmocka_unit_test(a_bad_sign_is_not_outweighed_by_a_missing_one),
		cmocka_unit_test(what_is_not_asked_for_has_no_say),
		cmocka_unit_test(it_walks_all_steps_and_is_done),
		cmocka_unit_test(it_goes_back_from_any_step_at_once),
		cmocka_unit_test(bytes_held_for_a_moment_only_hold),
		cmocka_unit_test(it_never_promotes_without_evidence),
		cmocka_unit_test(steps_are_read_as_they_are_written),
		cmocka_unit_test(its_plans_are_plans),
	};

	return cmocka_run_group_tests(tests, fill_all, NULL);
}

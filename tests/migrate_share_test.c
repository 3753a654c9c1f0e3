/* SPDX-License-Identifier: MIT */
/* tests/migrate_share_test.c - who is in a share: grown shares keep whom they had, and arms are disjoint */
#include "migrate/share.h"
#include "tests/support.h"

#define DRAWS 200000u

static uint32_t draw_at(uint32_t i)
{
	/* Evenly spread, the borders included. */
	return (uint32_t)((uint64_t)i * UINT32_MAX / (DRAWS - 1));
}

static void a_share_holds_as_many_as_it_says(void **state)
{
	(void)state;
	static const uint32_t sizes[] = { 0,
					  1,
					  SHARE_PERCENT / 2,
					  SHARE_PERCENT,
					  25 * SHARE_PERCENT,
					  50 * SHARE_PERCENT,
					  75 * SHARE_PERCENT,
					  SHARE_WHOLE };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct share share = { .of = SHARE_OF_HOSTS, .size = sizes[s] };
		share.control = sizes[s] <= SHARE_WHOLE / 2;
		uint32_t canaries = 0, controls = 0;
		for (uint32_t i = 0; i < DRAWS; i++) {
			enum share_arm arm = share_arm_of(&share, draw_at(i));
			canaries += arm == ARM_CANARY;
			controls += arm == ARM_CONTROL;
		}
		double expected = (double)DRAWS * sizes[s] / SHARE_WHOLE;
		assert_true(canaries >= expected - 1 && canaries <= expected + 1);
		if (share.control)
			assert_true(controls >= expected - 1 && controls <= expected + 1);
		else
			assert_int_equal(controls, 0);
	}
}

static void nobody_is_in_a_share_of_nothing_and_everybody_in_the_whole(void **state)
{
	(void)state;
	struct share nothing = { .of = SHARE_OF_THREADS, .control = true };
	struct share whole = { .of = SHARE_OF_THREADS, .size = SHARE_WHOLE };
	struct share all = { .of = SHARE_OF_ALL };

	for (uint32_t i = 0; i < DRAWS; i++) {
		assert_int_equal(share_arm_of(&nothing, draw_at(i)), ARM_NEITHER);
		assert_int_equal(share_arm_of(&whole, draw_at(i)), ARM_CANARY);
		assert_int_equal(share_arm_of(&all, draw_at(i)), ARM_CANARY);
	}
	assert_int_equal(share_end(&nothing), 0);
	assert_true(share_end(&whole) == (uint64_t)1 << 32);
}

static uint64_t random_state = 20251024;

static uint32_t random_number(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 32);
}

/* For a million draws and pairs of sizes, those at the border of an arm among them. */
static void a_share_that_grows_keeps_whom_it_had(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		uint32_t a = random_number() % (SHARE_WHOLE / 2 + 1);
		uint32_t b = random_number() % (SHARE_WHOLE / 2 + 1);
		struct share small = { .of = SHARE_OF_THREADS,
				       .size = a < b ? a : b,
				       .control = true };
		struct share large = { .of = SHARE_OF_THREADS,
				       .size = a < b ? b : a,
				       .control = true };
		uint32_t draw = random_number();
		if (i % 4 == 1)
			draw = (uint32_t)share_end(&small) - i / 4 % 2;
		if (i % 4 == 2)
			draw = UINT32_MAX - (uint32_t)share_end(&small) + i / 4 % 2;
		enum share_arm before = share_arm_of(&small, draw);
		if (before != ARM_NEITHER)
			assert_int_equal(share_arm_of(&large, draw), before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_holds_as_many_as_it_says),
		cmocka_unit_test(nobody_is_in_a_share_of_nothing_and_everybody_in_the_whole),
		cmocka_unit_test(a_share_that_grows_keeps_whom_it_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

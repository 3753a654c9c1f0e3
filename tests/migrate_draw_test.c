/* SPDX-License-Identifier: MIT */
/* tests/migrate_draw_test.c - the gaps between drawn allocations are those of independent draws */
#include "migrate/record_draw.h"
#include "tests/support.h"

#include <math.h>

#define DRAWS 400000u

static void the_logarithm_is_libms(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit <= 32; bit++)
		assert_true(draw_log((uint64_t)1 << bit) == (uint64_t)(32 - bit) << 40);
	for (uint64_t i = 1; i < 100000; i++) {
		uint64_t value = (i * 42949) % ((uint64_t)1 << 32) + 1;
		long double wanted = (32 - log2l((long double)value)) * 0x1p40L;
		assert_true(fabsl((long double)draw_log(value) - wanted) < 64);
	}
}

/* Of a share p: the mean gap is (1 - p) / p with a standard deviation of sqrt(1 - p) / p, and none is left out between two
 * with probability p; all within five standard deviations of the mean of so many. */
static void gaps_are_geometric(void **state)
{
	(void)state;
	static const double shares[] = { 1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.999999 };

	for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++) {
		double p = shares[s], sum = 0, none = 0, long_ones = 0;
		uint64_t below = (uint64_t)(p * 0x1p32), rest = draw_log(((uint64_t)1 << 32) - below);
		assert_true(rest > 0);
		for (uint64_t i = 0; i < DRAWS; i++) {
			double gap = (double)draw_gap_of(0x1234567ull << 32 ^ i, rest);
			sum += gap;
			none += gap == 0;
			long_ones += gap >= 1 / p; /* with probability (1 - p)^ceil(1/p) */
		}
		double root = sqrt((double)DRAWS), tail = pow(1 - p, ceil(1 / p));
		assert_true(fabs(sum / DRAWS - (1 - p) / p) < 5 * sqrt(1 - p) / p / root + 1e-3 / p);
		assert_true(fabs(none / DRAWS - p) < 5 * sqrt(p * (1 - p)) / root + 1e-9);
		assert_true(fabs(long_ones / DRAWS - tail) < 5 * sqrt(tail * (1 - tail)) / root + 1e-3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_logarithm_is_libms),
		cmocka_unit_test(gaps_are_geometric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

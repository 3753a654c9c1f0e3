/* SPDX-License-Identifier: MIT */
/* tests/migrate_sequence_test.c - the intervals hold however often one looks, and the histogram loses nothing */
#include "migrate/sequence.h"
#include "tests/support.h"

#include <string.h>

/* xorshift64* (Vigna, 2016), seeded the same in every run: what holds today holds tomorrow. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double uniform(uint64_t *state)
{
	return ((double)(draw(state) >> 11) + 0.5) / 9007199254740992.0;
}

/* --- histograms ----------------------------------------------------------------------------------- */

static void buckets_follow_each_other_without_gap_or_overlap(void **state)
{
	(void)state;
	assert_int_equal(latency_low_ns(0), 0);
	for (unsigned i = 0; i + 1 < LATENCY_BUCKETS; i++) {
		assert_int_equal(latency_high_ns(i), latency_low_ns(i + 1));
		assert_int_equal(latency_bucket(latency_low_ns(i)), i);
		assert_int_equal(latency_bucket(latency_high_ns(i) - 1), i);
		/* No wider than a sixteenth of its times. */
		assert_true(latency_high_ns(i) - latency_low_ns(i) <=
			    (latency_low_ns(i) < 32 ? 1 : latency_low_ns(i) / 16));
	}
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void what_was_added_between_two_moments_is_their_difference(void **state)
{
	(void)state;
	static struct latency earlier, later, since, sum;
	memset(&sum, 0, sizeof(sum));
	latency_add(&earlier, 100);
	later = earlier;
	latency_add(&later, 100);
	latency_add(&later, 5000);
	latency_since(&since, &later, &earlier);
	assert_int_equal(since.count, 2);
	assert_int_equal(since.bucket[latency_bucket(100)], 1);
	assert_int_equal(since.bucket[latency_bucket(5000)], 1);
	latency_merge(&sum, &earlier);
	latency_merge(&sum, &since);
	assert_memory_equal(&sum, &later, sizeof(sum));
}

/* --- the sequence --------------------------------------------------------------------------------- */

/* Against sums of the binomial done one by one: at one fixed look the numbers of successes left out have less
 * probability than alpha together. */
static void a_single_look_leaves_out_less_than_alpha(void **state)
{
	(void)state;
	static const double quantiles[] = { 0.5, 0.9, 0.99 };
	for (size_t q = 0; q < 3; q++) {
		double p = quantiles[q], alpha = 0.05;
		for (uint64_t n = 1; n <= 600; n = n * 2 + 1) {
			uint64_t low, high;
			sequence_successes(n, p, alpha, &low, &high);
			assert_true(low <= high && high <= n);
			/* P(S = n - k), from k = 0 up */
			double term = 1, out = 0, all = 0;
			for (uint64_t i = 0; i < n; i++)
				term *= p;
			for (uint64_t k = 0; k <= n; k++) {
				uint64_t s = n - k;
				all += term;
				if (s < low || s > high)
					out += term;
				term *= (double)(n - k) / (double)(k + 1) * (1 - p) / p;
			}
			assert_true(all > 0.999 && all < 1.001);
			assert_true(out <= alpha);
		}
	}
}

#define RUNS  400
#define TURNS 6000

/* A latency with a long tail: 50 ns / (1 - u), so that the p-quantile is 50 / (1 - p). */
static uint64_t tailed(uint64_t *random)
{
	return (uint64_t)(50 / (1 - uniform(random)));
}

/* Looked at after every sixteenth sample, 375 times a run. */
static bool ever_misses(double p, double alpha, uint64_t *random)
{
	static struct latency latency;
	double truth = 50 / (1 - p);
	memset(&latency, 0, sizeof(latency));
	for (unsigned i = 0; i < TURNS; i++) {
		latency_add(&latency, tailed(random));
		if (i % 16 == 0) {
			struct interval interval = sequence_quantile(&latency, p, alpha);
			if (truth < interval.low || truth > interval.high)
				return true;
		}
	}
	return false;
}

static void looking_all_the_time_misses_no_more_often_than_alpha(void **state)
{
	(void)state;
	static const double quantiles[] = { 0.5, 0.9, 0.99 };
	uint64_t random = 88172645463325252u;
	for (size_t q = 0; q < 3; q++) {
		unsigned missed = 0;
		for (unsigned run = 0; run < RUNS; run++)
			missed += ever_misses(quantiles[q], 0.1, &random);
		print_message("quantile %.2f, alpha 10 %%: %u of %u runs were ever missed\n",
			      quantiles[q], missed, RUNS);
		/* 40 expected at most; 59 is three standard deviations above that. */
		assert_true(missed <= 59);
	}
}

/* The same looks with the interval that a single look allows: it has to fail here, or the test above shows nothing. */
static void an_ordinary_interval_does_not_hold_there(void **state)
{
	(void)state;
	uint64_t random = 88172645463325252u;
	unsigned missed = 0;
	for (unsigned run = 0; run < RUNS; run++) {
		double below = 0;
		bool out = false;
		for (unsigned i = 1; i <= TURNS; i++) {
			below += uniform(&random) < 0.9;
			double off = below - 0.9 * i;
			/* normal approximation, 90 %, from where it is good */
			out |= i >= 500 && off * off > 1.645 * 1.645 * 0.09 * i;
		}
		missed += out;
	}
	assert_true(missed > RUNS / 5);
}

static void intervals_shrink_with_the_samples(void **state)
{
	(void)state;
	static struct latency a, b;
	uint64_t random = 42;
	double width = SEQUENCE_UNBOUNDED;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_true(sequence_quantile(&a, 0.99, 0.05).high >= SEQUENCE_UNBOUNDED);
	for (unsigned n = 0; n < 1 << 17; n++) {
		latency_add(&a, tailed(&random));
		latency_add(&b, 3 * tailed(&random));
		if (n == (1 << 11) || n == (1 << 14) || n == (1 << 17) - 1) {
			struct interval ratio = sequence_ratio(&b, &a, 0.99, 0.05);
			print_message("%6u samples: three times as slow lies in %.2f .. %.2f\n",
				      n, ratio.low, ratio.high);
			assert_true(ratio.low <= 3 && ratio.high >= 3);
			assert_true(ratio.high - ratio.low < width);
			width = ratio.high - ratio.low;
		}
	}
	assert_true(width < 1.5);
}

static void without_samples_nothing_is_said(void **state)
{
	(void)state;
	static struct latency none, some;
	memset(&some, 0, sizeof(some));
	for (unsigned i = 0; i < 5; i++)
		latency_add(&some, 100);
	struct interval ratio = sequence_ratio(&none, &some, 0.99, 0.05);
	assert_true(ratio.low <= 0 && ratio.high >= SEQUENCE_UNBOUNDED);
	/* Five samples say nothing about the slowest hundredth, above. */
	assert_true(sequence_quantile(&some, 0.99, 0.05).high >= SEQUENCE_UNBOUNDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_follow_each_other_without_gap_or_overlap),
		cmocka_unit_test(what_was_added_between_two_moments_is_their_difference),
		cmocka_unit_test(a_single_look_leaves_out_less_than_alpha),
		cmocka_unit_test(looking_all_the_time_misses_no_more_often_than_alpha),
		cmocka_unit_test(an_ordinary_interval_does_not_hold_there),
		cmocka_unit_test(intervals_shrink_with_the_samples),
		cmocka_unit_test(without_samples_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

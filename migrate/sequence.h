/* SPDX-License-Identifier: MIT */
/* migrate/sequence.h - latencies of two arms, and intervals that stay valid however often one looks
 *
 * A histogram counts times in buckets, sixteen to a doubling, so a time is known to 1/16. Of a histogram's quantile
 * sequence_quantile() gives an interval with this promise: however many times it is asked while samples come in, and
 * whenever the looking is stopped, and for whatever reason, the probability that any of the answers missed the true
 * quantile is at most alpha. (An ordinary confidence interval keeps that for a single look that was fixed beforehand:
 * asked after every sample it is sure to miss in the end.)
 *
 * Why it holds. Let q be the true p-quantile, ties broken by a coin of the sample's own, so that a sample lies below q with
 * probability p whatever came before it. S of n samples below q make the factor
 *
 *     M(S, n) = B(a + S, b + n - S) / B(a, b) / (p^S (1 - p)^(n - S)),     a = Rp, b = R(1 - p)
 *
 * the likelihood of a beta mixture over that of p. It is a martingale that starts at 1, so it ever reaches 1 / alpha with a
 * probability of alpha at most (Ville's inequality). Where the factor is below 1 / alpha lies an interval of S, and q is
 * one of the values of which that many samples are smaller. (Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric,
 * nonasymptotic confidence sequences, 2021; Howard, Ramdas: Sequential estimation of quantiles, 2022.)
 *
 * What it assumes: that the arm's quantile stays what it is while the samples are taken. Where the load changes in between,
 * the interval is that of the mix. Both arms run at the same time in the same process, so a change hits both.
 *
 * Pure: no memory, no clock, no state but what is passed. Nothing of libm: the library is linked without it.
 */
#ifndef MIGRATE_SEQUENCE_H
#define MIGRATE_SEQUENCE_H

#include "shim/base/compiler.h"

/* 0 .. 31 ns a bucket each, then sixteen to a doubling up to 2^32 ns; longer times count as that. */
#define LATENCY_BUCKETS (32 + 16 * 27)

struct latency {
	uint64_t count; /* the sum of all buckets */
	uint32_t bucket[LATENCY_BUCKETS];
};

/* The bucket of a time, and the times that a bucket holds: from `low` up to, but not including, `high`. */
MUST_USE unsigned latency_bucket(uint64_t ns);
MUST_USE uint64_t latency_low_ns(unsigned bucket);
MUST_USE uint64_t latency_high_ns(unsigned bucket);

void latency_add(struct latency *latency, uint64_t ns);

/* *sum gets what `more` has as well. */
void latency_merge(struct latency *sum, const struct latency *more);

/* later - earlier, of the same histogram at two moments. */
void latency_since(struct latency *since, const struct latency *later,
		   const struct latency *earlier);

/* The middle of the bucket in which the p-quantile of the samples lies, 0 < p < 1; 0 without samples. Ns. */
MUST_USE double latency_quantile_ns(const struct latency *latency, double p);

struct interval {
	double low, high; /* high: SEQUENCE_UNBOUNDED as long as nothing bounds it */
};
#define SEQUENCE_UNBOUNDED 1e300

/* For the p-quantile in ns. 0 < p < 1, 0 < alpha < 1. Without samples [0, unbounded]. */
MUST_USE struct interval sequence_quantile(const struct latency *latency, double p, double alpha);

/* For the quotient of the p-quantiles of two arms, first / second; each has half of alpha. */
MUST_USE struct interval sequence_ratio(const struct latency *first, const struct latency *second,
					double p, double alpha);

/* How many successes out of n the factor above leaves possible, for a probability of p: `low` .. `high`. */
void sequence_successes(uint64_t n, double p, double alpha, uint64_t *low, uint64_t *high);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/estimate.h - ratios between two sides, with intervals that can be believed
 *
 * The method is that of bench/judge/estimator.py, where it is explained and its coverage tested: logarithms of the
 * quotients of one round, a mean that is trimmed by a fifth from 7 rounds on, a symmetric bootstrap-t interval over the
 * rounds, and no interval below 5 rounds. Where that method has none, since most rounds gave one number, the range of
 * the rounds takes its place here. The benchmarks have it in Python because they run from a source tree without
 * this command; tests/tool_estimate_test.py holds the two together, on the same numbers.
 */
#ifndef REPLAY_ESTIMATE_H
#define REPLAY_ESTIMATE_H

#include "shim/base/compiler.h"

#define ESTIMATE_LEAST_ROUNDS 5
#define ESTIMATE_MOST_ROUNDS  1000
/* An interval wider than this says nothing: it is shown as noise. */
#define ESTIMATE_NOISE 20

/* How many times as much. */
struct estimate {
	double point, low, high; /* NAN: not known; the last two also where rounds are too few */
	double most;		 /* in any round */
	unsigned rounds;
};

/* Of the logarithms of quotients, one a round; NAN where a round has none. `count` is at most ESTIMATE_MOST_ROUNDS. */
struct estimate estimate_ratio(const double *logs, unsigned count);

/* NAN of nothing; NANs do not count. */
double estimate_median(const double *values, unsigned count);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/estimate.c - ratios with intervals; see estimate.h */
#include "migrate/tool/replay/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIM	   0.2
#define TRIM_FROM  7
#define RESAMPLES  2000
#define CONFIDENCE 0.95
#define LEAST_FOR_RANGE 6
/* Of logarithms: what rounding leaves of an error that is none. */
#define NO_ERROR 1e-12

static int by_size(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;
	return (a > b) - (a < b);
}

/* The values that are numbers, in order. */
static unsigned sorted_numbers(const double *values, unsigned count, double *out)
{
	unsigned found = 0;
	for (unsigned i = 0; i < count; i++)
		if (!isnan(values[i]))
			out[found++] = values[i];
	qsort(out, found, sizeof(*out), by_size);
	return found;
}

double estimate_median(const double *values, unsigned count)
{
	double ordered[ESTIMATE_MOST_ROUNDS];
	unsigned found = sorted_numbers(values, count, ordered);

	if (!found)
		return NAN;
	return found % 2 ? ordered[found / 2] :
			   (ordered[found / 2 - 1] + ordered[found / 2]) / 2;
}

/* Trimmed mean and its standard error, by the winsorised variance (Yuen 1974). */
static double centre_and_error(double *values, unsigned count, unsigned cut, double *error)
{
	double sum = 0, mean, squares = 0;

	if (cut)
		qsort(values, count, sizeof(*values), by_size);
	for (unsigned i = cut; i < count - cut; i++)
		sum += values[i];
	double centre = sum / (count - 2 * cut);
	if (cut)
		sum += cut * (values[cut] + values[count - cut - 1]);
	mean = sum / count;
	for (unsigned i = 0; i < count; i++) {
		unsigned at = i < cut ? cut : i >= count - cut ? count - cut - 1 : i;
		squares += (values[at] - mean) * (values[at] - mean);
	}
	*error = sqrt(squares / (count - 1) / count) / (1 - 2.0 * cut / count);
	return centre;
}

/* splitmix64: the same numbers every time. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* How many standard errors the interval reaches to either side; infinite where that cannot be had. */
static double reach_of(const double *values, unsigned count, unsigned cut, double centre)
{
	static double distances[RESAMPLES];
	double again[ESTIMATE_MOST_ROUNDS];
	uint64_t state = 1;

	for (unsigned i = 0; i < RESAMPLES; i++) {
		double error;
		for (unsigned j = 0; j < count; j++)
			again[j] = values[(next_random(&state) >> 32) * count >> 32];
		double distance = fabs(centre_and_error(again, count, cut, &error) - centre);
		distances[i] = error > NO_ERROR    ? distance / error :
			       distance > NO_ERROR ? INFINITY :
						     0;
	}
	qsort(distances, RESAMPLES, sizeof(distances[0]), by_size);
	unsigned at = (unsigned)ceil(CONFIDENCE * RESAMPLES) - 1;
	return distances[at];
}

struct estimate estimate_ratio(const double *logs, unsigned count)
{
	double values[ESTIMATE_MOST_ROUNDS], error;
	struct estimate estimate = { NAN, NAN, NAN, NAN, 0 };

	count = sorted_numbers(logs, count, values);
	estimate.rounds = count;
	if (count == 0)
		return estimate;
	estimate.most = exp(values[count - 1]);
	if (count == 1) {
		estimate.point = exp(values[0]);
		return estimate;
	}
	unsigned cut = count >= TRIM_FROM ? (unsigned)(count * TRIM) : 0;
	double centre = centre_and_error(values, count, cut, &error);
	estimate.point = exp(centre);
	if (count < ESTIMATE_LEAST_ROUNDS)
		return estimate;
	double reach = error > NO_ERROR ? reach_of(values, count, cut, centre) * error : 0;
	if (isinf(reach)) {
		/* Most rounds gave the very same number, which pages do. The least and the largest of them hold the
		 * median in all but one of 2^(rounds - 1) cases. */
		if (count >= LEAST_FOR_RANGE) {
			estimate.low = exp(values[0]);
			estimate.high = exp(values[count - 1]);
		}
		return estimate;
	}
	estimate.low = exp(centre - reach);
	estimate.high = exp(centre + reach);
	return estimate;
}

/* SPDX-License-Identifier: MIT */
/* migrate/sequence.c - histograms of times and intervals that stay valid; see sequence.h */
#include "migrate/sequence.h"

#include <string.h>

#define SUB_SHIFT 4 /* sixteen buckets a doubling */
#define EXACT	  32

/* How many samples' worth of belief in p the mixture starts with: the interval is tightest, for its alpha, at about eight
 * times as many samples. It holds for any number. */
#define MIXTURE_SAMPLES 500.0

/* --- histograms ----------------------------------------------------------------------------------- */

unsigned latency_bucket(uint64_t ns)
{
	if (ns < EXACT)
		return (unsigned)ns;
	unsigned e = (unsigned)highest_bit(ns) - SUB_SHIFT; /* 1 from 32 on */
	unsigned bucket = EXACT + (e - 1) * 16 + (unsigned)((ns >> e) & 15);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

uint64_t latency_low_ns(unsigned bucket)
{
	if (bucket < EXACT)
		return bucket;
	unsigned e = (bucket - EXACT) / 16 + 1;
	return (uint64_t)(16 + (bucket - EXACT) % 16) << e;
}

uint64_t latency_high_ns(unsigned bucket)
{
	return bucket == LATENCY_BUCKETS - 1 ? UINT64_MAX : latency_low_ns(bucket + 1);
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->bucket[latency_bucket(ns)]++;
	latency->count++;
}

void latency_merge(struct latency *sum, const struct latency *more)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->bucket[i] += more->bucket[i];
	sum->count += more->count;
}

void latency_since(struct latency *since, const struct latency *later,
		   const struct latency *earlier)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		since->bucket[i] = later->bucket[i] - earlier->bucket[i];
	since->count = later->count - earlier->count;
}

double latency_quantile_ns(const struct latency *latency, double p)
{
	uint64_t below = 0;

	if (latency->count == 0)
		return 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS - 1; i++) {
		below += latency->bucket[i];
		if ((double)below >= p * (double)latency->count)
			return ((double)latency_low_ns(i) + (double)latency_high_ns(i) - 1) / 2;
	}
	return (double)latency_low_ns(LATENCY_BUCKETS - 1);
}

/* --- logarithms ----------------------------------------------------------------------------------- */

/* x > 0, finite and normal. x = m * 2^e with m in [sqrt(1/2), sqrt(2)]; ln m = 2 artanh((m - 1) / (m + 1)). */
static double logarithm(double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof(bits));
	int e = (int)(bits >> 52) - 1023;
	bits = (bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1023) << 52);
	double m;
	memcpy(&m, &bits, sizeof(m));
	if (m > 1.4142135623730951) {
		m /= 2;
		e++;
	}
	double t = (m - 1) / (m + 1), square = t * t, term = t, sum = 0;
	for (int k = 1; k < 40; k += 2) {
		sum += term / k;
		term *= square;
	}
	return 2 * sum + e * 0.6931471805599453;
}

/* ln of the gamma function, x > 0: Stirling's series from 16 on, below by x * gamma(x) = gamma(x + 1). */
static double log_gamma(double x)
{
	double product = 1;
	while (x < 16) {
		product *= x;
		x += 1;
	}
	double square = x * x;
	return (x - 0.5) * logarithm(x) - x + 0.9189385332046727 /* ln(2 pi) / 2 */ +
	       (1 / 12.0 - (1 / 360.0 - (1 / 1260.0 - 1 / (1680.0 * square)) / square) / square) /
		       x -
	       logarithm(product);
}

static double log_beta(double a, double b)
{
	return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

/* --- the sequence --------------------------------------------------------------------------------- */

/* ln M(S, n). Convex in S, with its least value near S = np. */
struct factor {
	double a, b, start, n, log_p, log_q;
};

static double log_factor(const struct factor *f, uint64_t successes)
{
	double s = (double)successes;
	return log_beta(f->a + s, f->b + f->n - s) - f->start - s * f->log_p -
	       (f->n - s) * f->log_q;
}

void sequence_successes(uint64_t n, double p, double alpha, uint64_t *low, uint64_t *high)
{
	struct factor f = {
		.a = MIXTURE_SAMPLES * p,
		.b = MIXTURE_SAMPLES * (1 - p),
		.n = (double)n,
		.log_p = logarithm(p),
		.log_q = logarithm(1 - p),
	};
	double limit = -logarithm(alpha);
	uint64_t middle = (uint64_t)((double)n * p + 0.5);

	f.start = log_beta(f.a, f.b);
	/* The smallest that is possible lies in (outside, inside], and so on the other side. */
	uint64_t outside = 0, inside = middle;
	while (outside < inside) {
		uint64_t s = outside + (inside - outside) / 2;
		if (log_factor(&f, s) < limit)
			inside = s;
		else
			outside = s + 1;
	}
	*low = inside;
	inside = middle;
	outside = n;
	while (inside < outside) {
		uint64_t s = inside + (outside - inside + 1) / 2;
		if (log_factor(&f, s) < limit)
			inside = s;
		else
			outside = s - 1;
	}
	*high = inside;
}

/* q can be in a bucket if the number of samples below q, which is at least those in the buckets before it and at most
 * those and the bucket's own, can be one of the possible numbers. */
struct interval sequence_quantile(const struct latency *latency, double p, double alpha)
{
	struct interval found = { .low = 0, .high = SEQUENCE_UNBOUNDED };
	uint64_t low, high, below = 0;
	bool has_low = false;

	if (latency->count == 0)
		return found;
	sequence_successes(latency->count, p, alpha, &low, &high);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t with = below + latency->bucket[i];
		if (!has_low && with >= low && low > 0) {
			found.low = (double)latency_low_ns(i);
			has_low = true;
		}
		if (below > high)
			break;
		found.high = i < LATENCY_BUCKETS - 1 && high < latency->count
				     ? (double)latency_high_ns(i)
				     : SEQUENCE_UNBOUNDED;
		below = with;
	}
	return found;
}

struct interval sequence_ratio(const struct latency *first, const struct latency *second, double p,
			       double alpha)
{
	struct interval a = sequence_quantile(first, p, alpha / 2);
	struct interval b = sequence_quantile(second, p, alpha / 2);
	struct interval ratio = { .low = 0, .high = SEQUENCE_UNBOUNDED };

	if (a.low > 0 && b.high < SEQUENCE_UNBOUNDED)
		ratio.low = a.low / b.high;
	if (a.high < SEQUENCE_UNBOUNDED && b.low > 0)
		ratio.high = a.high / b.low;
	return ratio;
}

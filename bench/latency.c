/* SPDX-License-Identifier: MIT */
/* bench/latency.c - how long single operations take, up to the slowest of ten thousand
 *
 * Threads, each with blocks of its own, replace random blocks of 16 bytes to --max (by doublings) and read the cycle counter
 * before and after each malloc and each free. The times go into a histogram of 64 buckets a
 * doubling (an error below 1.6 %). Nothing is subtracted. Beside the two calls nothing at all is
 * timed in the same way: what that takes (nothing_*) is the counter's own cost and, far out, the
 * machine's interruptions, below which no library can be seen. One operation is one malloc with its
 * free.
 */
#include "bench/common.h"

#include <stdio.h>
#include <stdlib.h>

#define SUB_BITS 6
#define SUB	 (1u << SUB_BITS)
#define BUCKETS	 ((64 - SUB_BITS) * SUB)

struct histogram {
	uint64_t count;
	uint64_t most;
	uint64_t bucket[BUCKETS];
};

struct pair_times {
	struct histogram of_malloc, of_free, of_nothing;
	void **blocks;
};

static uint64_t slots = 4096;
static uint64_t size_max = 32 * BENCH_KIB;

static const struct bench_option options[] = {
	{ "slots", 'n', BENCH_COUNT, &slots, NULL, "blocks a thread keeps" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block" },
	{ .name = NULL },
};

static struct pair_times *times;

/* Ticks of the cycle counter; what came before has finished when it is read. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint32_t low, high, cpu;

	__asm__ volatile("rdtscp\n\tlfence" : "=a"(low), "=d"(high), "=c"(cpu) : : "memory");
	return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
	uint64_t now;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(now) : : "memory");
	return now;
#else
	return bench_now_ns();
#endif
}

/* Values below 64 have a bucket each, then each doubling has 64. */
static unsigned bucket_of(uint64_t value)
{
	unsigned doubling;

	if (value < SUB)
		return (unsigned)value;
	doubling = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
	return (doubling + 1) * SUB + (unsigned)(value >> doubling) - SUB;
}

/* The middle of a bucket. */
static double value_of(unsigned bucket)
{
	unsigned doubling;

	if (bucket < 2 * SUB)
		return bucket;
	doubling = bucket / SUB - 1;
	return ((double)(bucket % SUB + SUB) + 0.5) * (double)((uint64_t)1 << doubling);
}

static void note(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->bucket[bucket_of(value)]++;
	if (value > histogram->most)
		histogram->most = value;
}

static void merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	if (from->most > into->most)
		into->most = from->most;
	for (unsigned i = 0; i < BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

static double percentile(const struct histogram *histogram, double pct)
{
	uint64_t wanted = (uint64_t)((double)histogram->count * pct / 100.0);
	uint64_t seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += histogram->bucket[i];
		if (seen > wanted)
			return value_of(i);
	}
	return (double)histogram->most;
}

static void setup(struct bench_worker *worker)
{
	times[worker->id].blocks = bench_map(slots * sizeof(void *));
	worker->own = &times[worker->id];
}

static uint64_t replace(struct bench_worker *worker)
{
	struct pair_times *own = worker->own;
	bool timed = worker->begin_ns != 0;

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t victim = bench_below(&worker->random, slots);
		size_t size = bench_log_between(&worker->random, 16, size_max);
		void *old = own->blocks[victim];
		uint64_t t0, t1, t2, t3;

		t0 = ticks();
		free(old);
		t1 = ticks();
		own->blocks[victim] = malloc(size);
		t2 = ticks();
		t3 = ticks();
		if (!own->blocks[victim])
			bench_die("malloc failed");
		bench_touch(own->blocks[victim], size, 1);
		if (timed) {
			note(&own->of_free, t1 - t0);
			note(&own->of_malloc, t2 - t1);
			note(&own->of_nothing, t3 - t2);
		}
	}
	return 2000;
}

static void teardown(struct bench_worker *worker)
{
	struct pair_times *own = worker->own;

	for (uint64_t i = 0; i < slots; i++)
		free(own->blocks[i]);
}

static double ticks_per_ns;

static void calibrate(void)
{
	uint64_t begin_ns = bench_now_ns();
	uint64_t begin = ticks();

	while (bench_now_ns() - begin_ns < 50000000u)
		continue;
	ticks_per_ns = (double)(ticks() - begin) / (double)(bench_now_ns() - begin_ns);
}

static void report(const char *what, const struct histogram *histogram)
{
	static const double points[] = { 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999 };
	static const char *const names[] = { "p50", NULL,    "p90", NULL,     "p99",
					     NULL,  "p99_9", NULL,  "p99_99", NULL };
	double curve[sizeof(points) / sizeof(points[0])][2];
	char key[32];

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		curve[i][0] = points[i];
		curve[i][1] = percentile(histogram, points[i]) / ticks_per_ns;
		if (names[i]) {
			snprintf(key, sizeof(key), "%s_%s_ns", what, names[i]);
			bench_result_real(key, curve[i][1]);
		}
	}
	snprintf(key, sizeof(key), "%s_most_ns", what);
	bench_result_real(key, (double)histogram->most / ticks_per_ns);
	snprintf(key, sizeof(key), "%s_curve", what);
	bench_result_pairs(key, (const double(*)[2])curve, sizeof(points) / sizeof(points[0]));
}

int main(int argc, char **argv)
{
	struct bench_work work = { .setup = setup,
				   .round = replace,
				   .teardown = teardown,
				   .threads = 2,
				   .seconds = 1,
				   .warmup_s = 0.5 };
	struct bench_score score;
	struct histogram *both;

	bench_options(argc, argv, "How long single operations take.", options, &work);
	if (slots == 0 || size_max < 16)
		bench_die("--slots: at least 1; --max: at least 16");
	times = bench_map(work.threads * sizeof(*times));
	both = bench_map(sizeof(*both));
	calibrate();
	score = bench_run(&work);
	for (uint64_t i = 1; i < work.threads; i++) {
		merge(&times[0].of_malloc, &times[i].of_malloc);
		merge(&times[0].of_free, &times[i].of_free);
		merge(&times[0].of_nothing, &times[i].of_nothing);
	}
	merge(both, &times[0].of_malloc);
	merge(both, &times[0].of_free);

	bench_result_open("latency");
	bench_result_count("threads", work.threads);
	bench_result_score(score);
	report("malloc", &times[0].of_malloc);
	report("free", &times[0].of_free);
	report("both", both);
	report("nothing", &times[0].of_nothing);
	bench_result_close();
	return 0;
}

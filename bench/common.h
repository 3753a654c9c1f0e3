/* SPDX-License-Identifier: MIT */
/* bench/common.h - clock, random numbers, options, threads and the result line of every workload
 *
 * A workload is a program on plain malloc and free, so that any library can be preloaded. What
 * stands here never calls malloc itself: what the harness needs for its own books comes from mmap
 * and is touched before anything is timed.
 *
 * Each run prints one JSON object on one line. Fields that every workload has: workload, ops,
 * seconds, ops_per_s, peak_rss_bytes, rss_bytes, minor_faults, major_faults, voluntary_switches,
 * involuntary_switches, user_s, system_s, malloc_from, hakmem. The rest is the workload's own.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_CACHE_LINE  64
#define BENCH_PAGE	  4096
#define BENCH_KIB	  ((size_t)1 << 10)
#define BENCH_MIB	  ((size_t)1 << 20)
#define BENCH_THREADS_MAX 256

/* ---- Options ---------------------------------------------------------------------------- */

enum bench_kind {
	BENCH_COUNT,  /* uint64_t; the suffixes k, m and g multiply by 2^10, 2^20 and 2^30 */
	BENCH_REAL,   /* double */
	BENCH_CHOICE, /* unsigned: index into the words of `choices`, which ends with NULL */
	BENCH_FLAG,   /* bool: takes no value */
};

/* One option of a workload. A table of these ends with an entry whose name is NULL. */
struct bench_option {
	const char *name; /* --name VALUE */
	char letter;	  /* -l VALUE, 0 for none */
	enum bench_kind kind;
	void *value; /* where the parsed value goes; holds the default before */
	const char *const *choices;
	const char *help;
};

/* Seed of every random number of this run: --seed. */
extern uint64_t bench_seed;

/* Call malloc_stats() at the end: --malloc-stats. */
extern bool bench_malloc_stats;

struct bench_work;

/*
 * Parse the command line into the table, which the options that all workloads share are added to
 * (--seed, --plant-pct, --malloc-stats, --identify, --help), and, unless `work` is NULL, those of
 * bench_run (--threads, --seconds, --rounds, --warmup), whose defaults it holds. Prints a message
 * and exits on a mistake. --identify prints which file serves malloc, waits until standard input is
 * closed and exits.
 */
void bench_options(int argc, char **argv, const char *summary, const struct bench_option *table,
		   struct bench_work *work);

/* ---- Clock ------------------------------------------------------------------------------ */

/* Nanoseconds of the monotonic clock. */
uint64_t bench_now_ns(void);

static inline double bench_seconds(uint64_t ns)
{
	return (double)ns * 1e-9;
}

/* Sleeps for that long, signals or not. */
void bench_sleep(double seconds);

/* ---- Random numbers --------------------------------------------------------------------- */

/* splitmix64: one addition, two multiplications; good enough and the same everywhere. */
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in [0, n), n below 2^32. */
static inline uint64_t bench_below(uint64_t *state, uint64_t n)
{
	return ((bench_random(state) >> 32) * n) >> 32;
}

/* Uniform in [low, high]. */
static inline size_t bench_between(uint64_t *state, size_t low, size_t high)
{
	return low + (size_t)bench_below(state, (uint64_t)(high - low) + 1);
}

/* Every doubling of [low, high] equally likely, uniform inside a doubling. */
size_t bench_log_between(uint64_t *state, size_t low, size_t high);

/* A state of its own for thread `id`. */
static inline uint64_t bench_seed_for(unsigned id)
{
	uint64_t state = bench_seed + id;

	return bench_random(&state);
}

/* ---- Memory of the harness -------------------------------------------------------------- */

/* Zeroed memory from mmap, every page touched. Exits when there is none. */
void *bench_map(size_t bytes);
void bench_unmap(void *at, size_t bytes);

/* malloc, or exit with a message: a workload cannot go on without its block. */
void *bench_malloc(size_t bytes);

/* Write one byte to each 4 KiB of a block and to its last byte, as a program that uses it would. */
static inline void bench_touch(void *block, size_t bytes, unsigned char value)
{
	unsigned char *at = block;

	for (size_t i = 0; i < bytes; i += BENCH_PAGE)
		at[i] = value;
	at[bytes - 1] = value;
}

/* Resident bytes of this process now, and the most there ever were (VmHWM). */
size_t bench_rss_bytes(void);
size_t bench_peak_rss_bytes(void);

void bench_die(const char *message) __attribute__((noreturn));

/* ---- Threads that run rounds ------------------------------------------------------------ */

/* One thread of a run. Each has cache lines of its own. */
struct bench_worker {
	unsigned id;
	uint64_t random; /* state for bench_random */
	void *own;	 /* for the workload */
	uint64_t ops;	 /* counted by the driver from what round() gives */
	uint64_t begin_ns, end_ns;
	const struct bench_work *work;
} __attribute__((aligned(BENCH_CACHE_LINE)));

/*
 * What the threads do. Each thread calls setup, runs untimed rounds for warmup_s (at least one),
 * waits for the others, and then runs timed rounds: `rounds` of them, or, when that is 0, until
 * `seconds` have passed. A round should take 20 us to 100 ms, so that reading the clock between
 * rounds costs nothing and the end is not missed by much.
 */
struct bench_work {
	uint64_t threads;
	double seconds;
	uint64_t rounds;
	double warmup_s;
	void (*setup)(struct bench_worker *worker);	/* may be NULL */
	uint64_t (*round)(struct bench_worker *worker); /* gives the operations it did */
	void (*teardown)(struct bench_worker *worker); /* may be NULL; after all threads are done */
};

struct bench_score {
	uint64_t ops;
	double seconds; /* first thread's begin to last thread's end */
};

struct bench_score bench_run(const struct bench_work *work);

/* Start a thread and die if there is none. */
pthread_t bench_thread(void *(*body)(void *), void *argument);

/*
 * A slowdown on purpose (--plant-pct P): called between rounds, wastes so much that P % of the
 * thread's CPU time is lost. The judge has to find it: that is the test of the judge.
 */
struct bench_plant {
	uint64_t last_ns;
};

void bench_plant_begin(struct bench_plant *plant);
void bench_plant_tick(struct bench_plant *plant);

/* ---- Series: a few hundred samples over time -------------------------------------------- */

#define BENCH_SAMPLES_MAX 256

struct bench_sample {
	double seconds;
	size_t rss_bytes;
	size_t live_bytes;
};

struct bench_series {
	unsigned count;
	uint64_t origin_ns;
	struct bench_sample at[BENCH_SAMPLES_MAX];
};

/* Take a sample; when the series is full it stays as it is. */
void bench_sample(struct bench_series *series, size_t live_bytes);

/* ---- The result line -------------------------------------------------------------------- */

void bench_result_open(const char *workload);
void bench_result_count(const char *key, uint64_t value);
void bench_result_real(const char *key, double value);
void bench_result_text(const char *key, const char *value);
void bench_result_series(const char *key, const struct bench_series *series);
/* rss_first_quarter and rss_last_quarter, the means of a series' first and last samples. */
void bench_result_quarters(const struct bench_series *series);
/* Pairs of numbers as [[x, y], ...]. */
void bench_result_pairs(const char *key, const double (*pairs)[2], unsigned count);
/* ops, seconds and ops_per_s. */
void bench_result_score(struct bench_score score);
/* Adds what every workload reports and prints the line. */
void bench_result_close(void);

#endif

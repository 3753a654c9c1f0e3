/* SPDX-License-Identifier: MIT */
/* bench/churn.c - a long-lived mixture: how much memory is held for each byte that is live?
 *
 * Each thread keeps its share of --live bytes: below it, it allocates; above it, it frees. Most
 * frees take a young block, the rest any, so that long-lived blocks are strewn over the heap. With
 * --turns the sizes asked for drift from phase to phase, and holes left by one phase have to serve
 * the next: no allocator that cannot move blocks comes out of that lean. A few blocks change hands
 * and are freed by another thread. Every block has all its pages touched. Fragmentation is
 * (RSS - live) / live, sampled at fixed operation counts, where live is what was asked for and RSS
 * is without the harness's own books. The library's code and tables are in it, as is the 1.5 MB
 * that any process has. One operation is one malloc with its free.
 */
#include "bench/common.h"

#include <stdatomic.h>
#include <stdlib.h>

#define EXCHANGE 1024
/* the mean size of every phase is above this: it bounds the number of blocks */
#define BLOCK_LEAST_MEAN 256

struct block {
	size_t size;
};

/* the sizes of a phase: three kinds and how often each is asked for, in per mille */
struct phase {
	unsigned small_pm, middle_pm; /* the rest is large */
	size_t small_max, middle_max, large_max;
};

static const struct phase phases[] = {
	{ 900, 95, 256, 4096, 65536 },	  { 700, 290, 512, 8192, 65536 },
	{ 850, 145, 1024, 2048, 131072 }, { 600, 390, 128, 32768, 65536 },
	{ 950, 45, 200, 16384, 262144 },  { 750, 245, 768, 6144, 98304 },
};

static uint64_t threads = 2;
static uint64_t ops_total = 4 * BENCH_MIB;
static uint64_t live_target = 96 * BENCH_MIB;
static uint64_t turns = 0;
static uint64_t hand_over_pct = 5;

static const struct bench_option options[] = {
	{ "threads", 't', BENCH_COUNT, &threads, NULL, "each with its share" },
	{ "ops", 'n', BENCH_COUNT, &ops_total, NULL, "mallocs in all" },
	{ "live", 'l', BENCH_COUNT, &live_target, NULL, "bytes kept alive" },
	{ "turns", 0, BENCH_COUNT, &turns, NULL,
	  "phases gone through, of six kinds; 0: always the first" },
	{ "hand-over", 0, BENCH_COUNT, &hand_over_pct, NULL,
	  "per cent of the blocks freed by another thread" },
	{ .name = NULL },
};

struct mind {
	struct block **blocks; /* [owner] dense; old ones below, young ones above */
	uint64_t count, most;
	size_t target;
	_Atomic size_t live; /* [written by owner] */
	uint64_t done;
} __attribute__((aligned(BENCH_CACHE_LINE)));

static struct mind minds[BENCH_THREADS_MAX];
static _Atomic(struct block *) exchange[EXCHANGE]; /* [any thread] */
static _Atomic int64_t exchange_live;
static uint64_t ops_each;
static size_t books_bytes; /* resident, and the harness's own */
static struct bench_series series;

static size_t pick_size(uint64_t *random, const struct phase *phase)
{
	uint64_t dice = bench_below(random, 1000);

	if (dice < phase->small_pm)
		return bench_log_between(random, 16, phase->small_max);
	if (dice < phase->small_pm + phase->middle_pm)
		return bench_between(random, phase->small_max, phase->middle_max);
	return bench_between(random, phase->middle_max, phase->large_max);
}

static void set_live(struct mind *mind, size_t live)
{
	atomic_store_explicit(&mind->live, live, memory_order_relaxed);
}

static void add_block(struct bench_worker *worker, struct mind *mind)
{
	const struct phase *phase =
		&phases[mind->done * turns / ops_each % (sizeof(phases) / sizeof(phases[0]))];
	size_t size = pick_size(&worker->random, phase);
	struct block *block = bench_malloc(size);

	bench_touch(block, size, 1);
	block->size = size;
	mind->blocks[mind->count++] = block;
	set_live(mind, atomic_load_explicit(&mind->live, memory_order_relaxed) + size);
	mind->done++;
}

static void drop_block(struct bench_worker *worker, struct mind *mind)
{
	bool young = bench_below(&worker->random, 100) < 90;
	uint64_t range = young ? mind->count / 8 + 1 : mind->count;
	uint64_t victim = mind->count - 1 - bench_below(&worker->random, range);
	struct block *block = mind->blocks[victim];

	mind->blocks[victim] = mind->blocks[--mind->count];
	set_live(mind, atomic_load_explicit(&mind->live, memory_order_relaxed) - block->size);
	if (bench_below(&worker->random, 100) < hand_over_pct) {
		int64_t size = (int64_t)block->size;

		/* acq_rel: the block's contents go with it, and come with what is taken */
		block = atomic_exchange_explicit(&exchange[bench_below(&worker->random, EXCHANGE)],
						 block, memory_order_acq_rel);
		if (block)
			size -= (int64_t)block->size;
		atomic_fetch_add_explicit(&exchange_live, size, memory_order_relaxed);
	}
	free(block);
}

static size_t live_bytes(void)
{
	int64_t live = atomic_load_explicit(&exchange_live, memory_order_relaxed);

	for (uint64_t i = 0; i < threads; i++)
		live += (int64_t)atomic_load_explicit(&minds[i].live, memory_order_relaxed);
	return (size_t)live;
}

static void setup(struct bench_worker *worker)
{
	struct mind *mind = &minds[worker->id];

	mind->target = live_target / threads;
	mind->most = mind->target / BLOCK_LEAST_MEAN;
	mind->blocks = bench_map(mind->most * sizeof(*mind->blocks));
	worker->own = mind;
}

/* A round is 1/120 of the run; thread 0 takes a sample after each. */
static uint64_t round_of(struct bench_worker *worker)
{
	struct mind *mind = worker->own;
	uint64_t until = mind->done + ops_each / 120;
	uint64_t begin = mind->done;

	while (mind->done < until) {
		if (atomic_load_explicit(&mind->live, memory_order_relaxed) < mind->target &&
		    mind->count < mind->most)
			add_block(worker, mind);
		else
			drop_block(worker, mind);
	}
	if (worker->id == 0 && worker->begin_ns)
		bench_sample(&series, live_bytes());
	return mind->done - begin;
}

/* The untimed first round: fill up, so that the timed part starts with everything alive. */
static uint64_t fill_or_round(struct bench_worker *worker)
{
	struct mind *mind = worker->own;

	if (worker->begin_ns)
		return round_of(worker);
	while (atomic_load_explicit(&mind->live, memory_order_relaxed) < mind->target &&
	       mind->count < mind->most)
		add_block(worker, mind);
	mind->done = 0;
	return 0;
}

static void teardown(struct bench_worker *worker)
{
	struct mind *mind = worker->own;

	while (mind->count)
		free(mind->blocks[--mind->count]);
}

static void report_fragmentation(void)
{
	double sum = 0, most = 0, last = 0;

	for (unsigned i = 0; i < series.count; i++) {
		const struct bench_sample *at = &series.at[i];

		last = ((double)at->rss_bytes - (double)books_bytes - (double)at->live_bytes) /
		       (double)at->live_bytes;
		sum += last;
		if (last > most)
			most = last;
	}
	bench_result_real("fragmentation", sum / series.count);
	bench_result_real("fragmentation_most", most);
	bench_result_real("fragmentation_last", last);
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.setup = setup, .round = fill_or_round, .teardown = teardown, .rounds = 120
	};
	struct bench_score score;

	bench_options(argc, argv, "A long-lived mixture.", options, NULL);
	if (threads == 0 || threads > BENCH_THREADS_MAX || live_target / threads < BENCH_MIB ||
	    ops_total / threads < 120 || hand_over_pct > 100)
		bench_die("--live: at least 1m a thread; --ops: at least 120 a thread");
	ops_each = ops_total / threads;
	work.threads = threads;
	/* bench_map touches all of it */
	books_bytes = threads * (live_target / threads / BLOCK_LEAST_MEAN) * sizeof(void *);
	score = bench_run(&work);

	bench_result_open("churn");
	bench_result_count("threads", threads);
	bench_result_count("live_target", live_target);
	bench_result_count("books_bytes", books_bytes);
	bench_result_score(score);
	report_fragmentation();
	bench_result_series("series", &series);
	bench_result_close();
	return 0;
}

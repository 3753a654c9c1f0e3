/* SPDX-License-Identifier: MIT */
/* bench/thread-churn.c - threads that come, allocate, leave something behind and go
 *
 * --at-once threads run at a time; each allocates --blocks blocks, frees most of them, leaves some
 * in a shared table (where the next visitor frees them, from another thread) and exits. What an
 * exited thread leaves has to find a new owner, and memory must not grow with the number of
 * threads there ever were. One operation is one thread's life.
 */
#include "bench/common.h"

#include <stdatomic.h>
#include <stdlib.h>

#define LEFT_BEHIND 512
#define BLOCKS_MAX  4096

static uint64_t total = 4000;
static uint64_t at_once = 4;
static uint64_t blocks = 200;
static uint64_t size_min = 16, size_max = 8192;
static uint64_t keep_pct = 10;

static const struct bench_option options[] = {
	{ "threads", 'n', BENCH_COUNT, &total, NULL, "that live in all" },
	{ "at-once", 't', BENCH_COUNT, &at_once, NULL, "of them at a time" },
	{ "blocks", 'b', BENCH_COUNT, &blocks, NULL, "allocated in each life" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block (by doublings)" },
	{ "keep", 'k', BENCH_COUNT, &keep_pct, NULL, "per cent of the blocks left behind" },
	{ .name = NULL },
};

static _Atomic(void *) left_behind[LEFT_BEHIND]; /* [any thread] */
static struct bench_series series;

static void *life(void *argument)
{
	uint64_t random = bench_seed_for((unsigned)(uintptr_t)argument);
	void *mine[BLOCKS_MAX];

	for (uint64_t i = 0; i < blocks; i++) {
		size_t size = bench_log_between(&random, size_min, size_max);

		mine[i] = bench_malloc(size);
		bench_touch(mine[i], size, 1);
	}
	for (uint64_t i = 0; i < blocks; i++) {
		void *block = mine[i];

		if (bench_below(&random, 100) < keep_pct)
			/* acq_rel: the block goes with what was written to it */
			block = atomic_exchange_explicit(
				&left_behind[bench_below(&random, LEFT_BEHIND)], block,
				memory_order_acq_rel);
		free(block);
	}
	return NULL;
}

/* A ring of threads: the oldest is joined and a new one takes its place. */
static uint64_t live_through(uint64_t count, uint64_t first, bool sampled)
{
	pthread_t threads[BENCH_THREADS_MAX];
	struct bench_plant plant;

	bench_plant_begin(&plant);
	for (uint64_t i = 0; i < count; i++) {
		if (i >= at_once)
			pthread_join(threads[i % at_once], NULL);
		threads[i % at_once] = bench_thread(life, (void *)(uintptr_t)(first + i));
		if (sampled && i % (count / 128 + 1) == 0)
			bench_sample(&series, 0);
		bench_plant_tick(&plant);
	}
	for (uint64_t i = count < at_once ? 0 : count - at_once; i < count; i++)
		pthread_join(threads[i % at_once], NULL);
	return count;
}

int main(int argc, char **argv)
{
	struct bench_score score;
	uint64_t begin;

	bench_options(argc, argv, "Threads that come and go.", options, NULL);
	if (at_once == 0 || at_once > BENCH_THREADS_MAX || blocks > BLOCKS_MAX || size_min == 0 ||
	    size_max < size_min || keep_pct > 100 || total < 16)
		bench_die("--at-once: from 1 to 256; --blocks: up to 4096; --threads: at least 16");
	live_through(total / 10, 0, false);
	begin = bench_now_ns();
	score.ops = live_through(total, total / 10, true);
	score.seconds = bench_seconds(bench_now_ns() - begin);
	for (unsigned i = 0; i < LEFT_BEHIND; i++)
		free(left_behind[i]);

	bench_result_open("thread-churn");
	bench_result_count("at_once", at_once);
	bench_result_score(score);
	bench_result_quarters(&series);
	bench_result_series("series", &series);
	bench_result_close();
	return 0;
}

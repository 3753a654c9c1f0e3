/* SPDX-License-Identifier: MIT */
/* bench/paced.c - so many mallocs and frees a second and no more: what a recording has to keep up with
 *
 * Each thread owns an array of blocks and, --rate times a second divided by the threads, frees a random one and
 * allocates another in its place: --rate / 2 of either a second in all. It works a millisecond's share at once and
 * sleeps until the next is due. One operation is one malloc or one free. */
#include "bench/common.h"

#include <stdlib.h>

#define CHUNKS	  4096
#define PERIOD_NS 1000000

struct pace {
	void *blocks[CHUNKS];
	uint64_t due_ns;
};

static uint64_t rate = 1000000;
static struct bench_work work;

static const struct bench_option options[] = {
	{ "rate", 0, BENCH_COUNT, &rate, NULL, "mallocs and frees a second, of all threads" },
	{ .name = NULL },
};

static void fill(struct bench_worker *worker)
{
	struct pace *pace = bench_map(sizeof(*pace));
	for (size_t i = 0; i < CHUNKS; i++)
		pace->blocks[i] = bench_malloc(bench_between(&worker->random, 16, 512));
	pace->due_ns = bench_now_ns();
	worker->own = pace;
}

static uint64_t one_period(struct bench_worker *worker)
{
	struct pace *pace = worker->own;
	uint64_t pairs = rate / 2 / work.threads * PERIOD_NS / 1000000000;

	for (uint64_t i = 0; i < pairs; i++) {
		size_t at = bench_below(&worker->random, CHUNKS);
		free(pace->blocks[at]);
		pace->blocks[at] = bench_malloc(bench_between(&worker->random, 16, 512));
	}
	pace->due_ns += PERIOD_NS;
	uint64_t now_ns = bench_now_ns();
	if (now_ns < pace->due_ns)
		bench_sleep(bench_seconds(pace->due_ns - now_ns));
	return 2 * pairs;
}

static void empty(struct bench_worker *worker)
{
	struct pace *pace = worker->own;
	for (size_t i = 0; i < CHUNKS; i++)
		free(pace->blocks[i]);
	bench_unmap(pace, sizeof(*pace));
}

int main(int argc, char **argv)
{
	work = (struct bench_work){
		.threads = 2,
		.seconds = 2,
		.setup = fill,
		.round = one_period,
		.teardown = empty,
	};
	bench_options(argc, argv, "Mallocs and frees at a given rate.", options, &work);
	if (rate / 2 / work.threads * PERIOD_NS / 1000000000 == 0)
		bench_die("--rate: at least 2,000 for each thread");
	struct bench_score score = bench_run(&work);
	bench_result_open("paced");
	bench_result_count("rate", rate);
	bench_result_count("threads", work.threads);
	bench_result_score(score);
	bench_result_close();
	return 0;
}

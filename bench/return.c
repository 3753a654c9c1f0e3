/* SPDX-License-Identifier: MIT */
/* bench/return.c - after a peak: does the memory come back?
 *
 * Threads build a peak of --bytes out of --min to --max blocks, all pages touched, and free all of
 * it. Resident memory is read before the peak, at it, right after the frees, after --idle seconds
 * in which the program calls nothing, after a little ordinary work (for a library that only acts
 * when it is called), and after malloc_trim(0). The threads stay alive, asleep, until the end, or
 * with --exit end before the frees are looked at. One operation is one malloc with its free; the
 * score is what building and freeing took.
 */
#include "bench/common.h"

#include <malloc.h>
#include <stdlib.h>

static uint64_t threads = 2;
static uint64_t peak_bytes = 256 * BENCH_MIB;
static uint64_t size_min = 16, size_max = 256 * BENCH_KIB;
static double idle_s = 2;
static bool exit_first;

static const struct bench_option options[] = {
	{ "threads", 't', BENCH_COUNT, &threads, NULL, "that build the peak" },
	{ "bytes", 'b', BENCH_COUNT, &peak_bytes, NULL, "of the peak" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block (by doublings)" },
	{ "idle", 'i', BENCH_REAL, &idle_s, NULL, "seconds of silence after the frees" },
	{ "exit", 'e', BENCH_FLAG, &exit_first, NULL, "the threads end before the silence" },
	{ .name = NULL },
};

struct block {
	struct block *next;
};

struct builder {
	pthread_t thread;
	struct block *first;
	uint64_t blocks;
	uint64_t random;
} __attribute__((aligned(BENCH_CACHE_LINE)));

static pthread_barrier_t step;

static void build(struct builder *builder, size_t bytes)
{
	for (size_t built = 0; built < bytes;) {
		size_t size = bench_log_between(&builder->random, size_min, size_max);
		struct block *block = bench_malloc(size);

		bench_touch(block, size, 1);
		block->next = builder->first;
		builder->first = block;
		builder->blocks++;
		built += size;
	}
}

static void tear_down(struct builder *builder)
{
	while (builder->first) {
		struct block *next = builder->first->next;

		free(builder->first);
		builder->first = next;
	}
}

static void await_step(void)
{
	pthread_barrier_wait(&step);
}

static void *body(void *argument)
{
	struct builder *builder = argument;

	/* a little first, so that what a thread costs anyway is in the figure before the peak */
	build(builder, 64 * BENCH_KIB);
	tear_down(builder);
	builder->blocks = 0;
	await_step(); /* warm */
	await_step(); /* go */
	build(builder, peak_bytes / threads);
	await_step(); /* built */
	await_step(); /* free */
	tear_down(builder);
	await_step(); /* freed */
	if (!exit_first)
		await_step(); /* end */
	return NULL;
}

/* What a program that has become quiet still does: 20000 small pairs and a few of each kind. */
static void little_work(void)
{
	struct builder builder = { .random = bench_seed_for(BENCH_THREADS_MAX) };

	for (unsigned i = 0; i < 100; i++) {
		build(&builder, 16 * BENCH_KIB);
		tear_down(&builder);
	}
}

static struct bench_series series;

static void join_all(struct builder *builders)
{
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(builders[i].thread, NULL);
}

int main(int argc, char **argv)
{
	static struct builder builders[BENCH_THREADS_MAX];
	size_t before, peak, freed, idle, worked, trimmed;
	struct bench_score score = { 0 };
	uint64_t begin, pause_ns;

	bench_options(argc, argv, "After a peak: does the memory come back?", options, NULL);
	if (threads == 0 || threads > BENCH_THREADS_MAX || size_min < sizeof(struct block) ||
	    size_max < size_min)
		bench_die("--threads: from 1 to 256; --min: from 8 to --max");
	pthread_barrier_init(&step, NULL, (unsigned)threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		builders[i].random = bench_seed_for(i);
		builders[i].thread = bench_thread(body, &builders[i]);
	}
	await_step(); /* warm */
	little_work();
	before = bench_rss_bytes();
	bench_sample(&series, 0);
	begin = bench_now_ns();
	await_step(); /* go */
	await_step(); /* built */
	pause_ns = bench_now_ns();
	peak = bench_rss_bytes();
	bench_sample(&series, peak_bytes);
	pause_ns = bench_now_ns() - pause_ns;
	await_step(); /* free */
	await_step(); /* freed */
	score.seconds = bench_seconds(bench_now_ns() - begin - pause_ns);
	if (exit_first)
		join_all(builders);
	freed = bench_rss_bytes();
	for (unsigned i = 0; i < 20; i++) {
		bench_sample(&series, 0);
		bench_sleep(idle_s / 20);
	}
	idle = bench_rss_bytes();
	bench_sample(&series, 0);
	little_work();
	worked = bench_rss_bytes();
	bench_sample(&series, 0);
	malloc_trim(0);
	trimmed = bench_rss_bytes();
	bench_sample(&series, 0);
	if (!exit_first) {
		await_step(); /* end */
		join_all(builders);
	}
	for (uint64_t i = 0; i < threads; i++)
		score.ops += builders[i].blocks;

	bench_result_open("return");
	bench_result_count("threads", threads);
	bench_result_score(score);
	bench_result_count("rss_before", before);
	bench_result_count("rss_peak", peak);
	bench_result_count("rss_freed", freed);
	bench_result_count("rss_idle", idle);
	bench_result_count("rss_worked", worked);
	bench_result_count("rss_trimmed", trimmed);
	bench_result_series("series", &series);
	bench_result_close();
	return 0;
}

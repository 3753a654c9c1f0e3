/* SPDX-License-Identifier: MIT */
/* bench/realloc.c - buffers that grow
 *
 * Several buffers grow in turns, as the strings and vectors of a program do: from 16 bytes, by
 * --growth per cent a step, up to --max. What is new is written to, what is old is checked. Small
 * blocks are allocated in between, so that growing in place is not a matter of luck. Each thread has
 * buffers of its own; in a round all of them grow once, and one operation is one realloc.
 */
#include "bench/common.h"

#include <stdlib.h>

#define BUFFERS_MAX 64

static uint64_t buffers = 2;
static uint64_t size_max = 64 * BENCH_MIB;
static uint64_t growth_pct = 50;

static const struct bench_option options[] = {
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "bytes a buffer grows to" },
	{ "growth", 'g', BENCH_COUNT, &growth_pct, NULL, "per cent a step" },
	{ "buffers", 'b', BENCH_COUNT, &buffers, NULL, "that grow in turns" },
	{ .name = NULL },
};

/* Grow one buffer from `from` to `to` bytes, write what is new, look whether the old is there. */
static unsigned char *grow(unsigned char *buffer, size_t from, size_t to)
{
	unsigned char *grown = realloc(buffer, to);

	if (!grown)
		bench_die("realloc failed");
	if (from && (grown[0] != 'h' || grown[from - 1] != 'h'))
		bench_die("realloc lost what was in the buffer");
	if (!from)
		grown[0] = 'h';
	bench_touch(grown + from, to - from, 'h');
	return grown;
}

static uint64_t grow_all(struct bench_worker *worker)
{
	unsigned char *at[BUFFERS_MAX] = { NULL };
	void *between[BUFFERS_MAX];
	uint64_t ops = 0;
	size_t from = 0;
	size_t to = 16;

	for (uint64_t i = 0; i < buffers; i++)
		between[i] = bench_malloc(bench_between(&worker->random, 16, 512));
	while (from < size_max) {
		for (uint64_t i = 0; i < buffers; i++) {
			at[i] = grow(at[i], from, to);
			free(between[i]);
			between[i] = bench_malloc(bench_between(&worker->random, 16, 512));
			ops++;
		}
		from = to;
		to += to * growth_pct / 100 + 1;
		if (to > size_max)
			to = size_max;
	}
	for (uint64_t i = 0; i < buffers; i++) {
		free(at[i]);
		free(between[i]);
	}
	return ops;
}

int main(int argc, char **argv)
{
	struct bench_work work = { .round = grow_all, .threads = 1, .seconds = 1, .warmup_s = 0.3 };
	struct bench_score score;

	bench_options(argc, argv, "Buffers that grow.", options, &work);
	if (buffers == 0 || buffers > BUFFERS_MAX || size_max < 16 || growth_pct == 0)
		bench_die("--buffers: from 1 to 64; --max: at least 16; --growth: at least 1");
	score = bench_run(&work);

	bench_result_open("realloc");
	bench_result_count("threads", work.threads);
	bench_result_count("max", size_max);
	bench_result_score(score);
	bench_result_close();
	return 0;
}

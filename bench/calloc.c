/* SPDX-License-Identifier: MIT */
/* bench/calloc.c - zeroed memory: checked, dirtied, given back, asked for again
 *
 * A round callocs --count blocks, checks that every page of each begins with a zero, writes to all
 * pages and frees them. What the kernel has just cleared need not be cleared again; what was used
 * must be. One operation is one calloc and its free.
 */
#include "bench/common.h"

#include <stdlib.h>

enum { BAND_TINY, BAND_MID, BAND_LARGE };

static const char *const bands[] = { "tiny", "mid", "large", NULL };
static const struct {
	size_t min, max, count;
} band_of[] = {
	[BAND_TINY] = { 16, 1024, 10000 },
	[BAND_MID] = { 1 * BENCH_KIB, 32 * BENCH_KIB, 1000 },
	[BAND_LARGE] = { 64 * BENCH_KIB, 4 * BENCH_MIB, 16 },
};

#define COUNT_MAX 10000

static unsigned band = BAND_TINY;

static const struct bench_option options[] = {
	{ "band", 'b', BENCH_CHOICE, &band, bands, "sizes: 16-1k, 1k-32k, 64k-4m (by doublings)" },
	{ .name = NULL },
};

static void setup(struct bench_worker *worker)
{
	worker->own = bench_map(COUNT_MAX * sizeof(void *));
}

static void *zeroed(size_t size)
{
	unsigned char *at = calloc(1, size);

	if (!at)
		bench_die("calloc failed");
	for (size_t i = 0; i < size; i += BENCH_PAGE)
		if (at[i])
			bench_die("calloc gave memory that is not zero");
	if (at[size - 1])
		bench_die("calloc gave memory that is not zero");
	bench_touch(at, size, 0xff);
	return at;
}

static uint64_t round_of(struct bench_worker *worker)
{
	void **blocks = worker->own;

	for (size_t i = 0; i < band_of[band].count; i++)
		blocks[i] = zeroed(
			bench_log_between(&worker->random, band_of[band].min, band_of[band].max));
	for (size_t i = 0; i < band_of[band].count; i++)
		free(blocks[i]);
	return band_of[band].count;
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.setup = setup, .round = round_of, .threads = 1, .seconds = 1, .warmup_s = 0.3
	};
	struct bench_score score;

	bench_options(argc, argv, "Zeroed memory.", options, &work);
	score = bench_run(&work);

	bench_result_open("calloc");
	bench_result_text("band", bands[band]);
	bench_result_count("threads", work.threads);
	bench_result_score(score);
	bench_result_close();
	return 0;
}

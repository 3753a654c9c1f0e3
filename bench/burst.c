/* SPDX-License-Identifier: MIT */
/* bench/burst.c - allocate many blocks at once, then free them all, again and again
 *
 * What a request, a frame or a parser does. A library that gives memory back to the kernel by
 * count loses here: the next burst faults it all in again. Each thread has bursts of its own; a
 * round is a burst, and one operation is one malloc and its free.
 */
#include "bench/common.h"

#include <stdlib.h>

enum order { ORDER_LIFO, ORDER_FIFO, ORDER_RANDOM, ORDER_MIXED };

static const char *const orders[] = { "lifo", "fifo", "random", "mixed", NULL };
static unsigned order = ORDER_MIXED;
static uint64_t count = 100000;
static uint64_t size_min = 16, size_max = 256;

static const struct bench_option options[] = {
	{ "count", 'n', BENCH_COUNT, &count, NULL, "blocks a burst" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block" },
	{ "order", 'o', BENCH_CHOICE, &order, orders, "in which they are freed" },
	{ .name = NULL },
};

struct bursts {
	uint64_t done;
	uint64_t malloc_ns, free_ns;
	uint32_t *sizes;
	uint32_t *permutation;
	void **blocks;
};

static struct bursts *all;

static void setup(struct bench_worker *worker)
{
	struct bursts *own = &all[worker->id];

	own->sizes = bench_map(count * sizeof(*own->sizes));
	own->permutation = bench_map(count * sizeof(*own->permutation));
	own->blocks = bench_map(count * sizeof(*own->blocks));
	for (uint64_t i = 0; i < count; i++) {
		uint64_t j = bench_below(&worker->random, i + 1);

		own->sizes[i] = (uint32_t)bench_between(&worker->random, size_min, size_max);
		own->permutation[i] = own->permutation[j];
		own->permutation[j] = (uint32_t)i;
	}
	worker->own = own;
}

static void free_all(struct bursts *own, enum order by)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = i;

		if (by == ORDER_LIFO)
			at = count - 1 - i;
		else if (by == ORDER_RANDOM)
			at = own->permutation[i];
		free(own->blocks[at]);
	}
}

static uint64_t one_burst(struct bench_worker *worker)
{
	struct bursts *own = worker->own;
	uint64_t begin = bench_now_ns();
	uint64_t between;

	for (uint64_t i = 0; i < count; i++) {
		own->blocks[i] = bench_malloc(own->sizes[i]);
		bench_touch(own->blocks[i], own->sizes[i], (unsigned char)i);
	}
	between = bench_now_ns();
	free_all(own, order == ORDER_MIXED ? own->done % ORDER_MIXED : order);
	own->malloc_ns += between - begin;
	own->free_ns += bench_now_ns() - between;
	own->done++;
	return count;
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.setup = setup, .round = one_burst, .threads = 1, .seconds = 1, .warmup_s = 0.3
	};
	struct bench_score score;
	uint64_t done = 0, malloc_ns = 0, free_ns = 0;

	bench_options(argc, argv, "Allocate many blocks, then free them all.", options, &work);
	if (count == 0 || count > UINT32_MAX || size_min == 0 || size_max < size_min ||
	    size_max > UINT32_MAX)
		bench_die("--count: at least 1; --min: from 1 to --max");
	all = bench_map(BENCH_THREADS_MAX * sizeof(*all));
	score = bench_run(&work);
	for (uint64_t i = 0; i < work.threads; i++) {
		done += all[i].done;
		malloc_ns += all[i].malloc_ns;
		free_ns += all[i].free_ns;
	}

	bench_result_open("burst");
	bench_result_text("order", orders[order]);
	bench_result_count("threads", work.threads);
	bench_result_count("count", count);
	bench_result_score(score);
	bench_result_real("malloc_ns", (double)malloc_ns / (double)(done * count));
	bench_result_real("free_ns", (double)free_ns / (double)(done * count));
	bench_result_close();
	return 0;
}

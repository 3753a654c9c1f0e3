/* SPDX-License-Identifier: MIT */
/* bench/remote.c - every thread frees what another one allocated
 *
 * The threads stand in a ring. Each allocates a batch, pushes it on its neighbour's stack and
 * frees what lies on its own: no block is freed by the thread that made it. The stacks are
 * lock-free and taken whole; a thread whose neighbour has --backlog batches waiting yields. One
 * operation is one block.
 */
#include "bench/common.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct block {
	struct block *next_block;
	struct block *next_batch; /* in a batch's first block */
};

struct inbox {
	_Atomic(struct block *) top; /* [any thread] batches; pushed singly, taken whole */
	_Atomic uint64_t waiting;    /* [any thread] batches pushed and not yet freed */
} __attribute__((aligned(BENCH_CACHE_LINE)));

static uint64_t batch = 128;
static uint64_t backlog = 128;
static uint64_t size_min = 16, size_max = 512;

static const struct bench_option options[] = {
	{ "batch", 'b', BENCH_COUNT, &batch, NULL, "blocks handed over at a time" },
	{ "backlog", 0, BENCH_COUNT, &backlog, NULL, "batches that may wait for one thread" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block" },
	{ .name = NULL },
};

static struct inbox inboxes[BENCH_THREADS_MAX];

/* Release: whoever takes the batch sees what was written into its blocks. */
static void push(struct inbox *inbox, struct block *batch_first)
{
	struct block *top = atomic_load_explicit(&inbox->top, memory_order_relaxed);

	atomic_fetch_add_explicit(&inbox->waiting, 1, memory_order_relaxed);
	do
		batch_first->next_batch = top;
	while (!atomic_compare_exchange_weak_explicit(&inbox->top, &top, batch_first,
						      memory_order_release, memory_order_relaxed));
}

static uint64_t free_inbox(struct inbox *inbox)
{
	/* acquire: pairs with the release in push */
	struct block *first = atomic_exchange_explicit(&inbox->top, NULL, memory_order_acquire);
	uint64_t batches = 0;

	while (first) {
		struct block *next_batch = first->next_batch;

		while (first) {
			struct block *next = first->next_block;

			free(first);
			first = next;
		}
		first = next_batch;
		batches++;
	}
	atomic_fetch_sub_explicit(&inbox->waiting, batches, memory_order_relaxed);
	return batches * batch;
}

static struct block *make_batch(uint64_t *random)
{
	struct block *first = NULL;

	for (uint64_t i = 0; i < batch; i++) {
		size_t size = bench_between(random, size_min, size_max);
		struct block *block = bench_malloc(size);

		block->next_block = first;
		first = block;
	}
	return first;
}

static uint64_t exchange(struct bench_worker *worker)
{
	struct inbox *mine = &inboxes[worker->id];
	struct inbox *neighbour = &inboxes[(worker->id + 1) % worker->work->threads];
	uint64_t freed;

	if (atomic_load_explicit(&neighbour->waiting, memory_order_relaxed) < backlog)
		push(neighbour, make_batch(&worker->random));
	freed = free_inbox(mine);
	if (freed == 0)
		sched_yield();
	return freed;
}

/* After the second barrier nobody pushes any more. */
static void empty(struct bench_worker *worker)
{
	free_inbox(&inboxes[worker->id]);
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.round = exchange, .teardown = empty, .threads = 4, .seconds = 1, .warmup_s = 0.3
	};
	struct bench_score score;

	bench_options(argc, argv, "Every thread frees what another one allocated.", options, &work);
	if (work.threads < 2 || batch == 0 || backlog == 0 || size_min < sizeof(struct block) ||
	    size_max < size_min)
		bench_die("--threads: at least 2; --min: from 16 to --max; others: at least 1");
	score = bench_run(&work);

	bench_result_open("remote");
	bench_result_count("threads", work.threads);
	bench_result_score(score);
	bench_result_close();
	return 0;
}

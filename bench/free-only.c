/* SPDX-License-Identifier: MIT */
/* bench/free-only.c - one thread only frees: does memory stay bounded?
 *
 * Producers allocate parcels of blocks, chained through their first words, and hand them over. One
 * thread frees them all and never allocates, so nothing of the allocator runs on it but free. Each
 * producer exits after some parcels and another takes its place, so its memory also has to find a
 * new owner. At most --parcels are under way: live memory is bounded, and resident memory has to
 * be. One operation is one block, and the score counts a fixed number of them (--blocks), for a
 * leak shows only over operations.
 */
#include "bench/common.h"

#include <stdlib.h>

struct block {
	struct block *next;
	size_t size;
};

struct parcel {
	struct block *first;
	size_t bytes;
};

static uint64_t producers = 2;
static uint64_t blocks = 4 * BENCH_MIB;
static uint64_t parcel_blocks = 512;
static uint64_t parcels = 64;
static uint64_t size_min = 16, size_max = 2048;
static uint64_t generation_parcels = 200;

static const struct bench_option options[] = {
	{ "producers", 'p', BENCH_COUNT, &producers, NULL, "threads that allocate" },
	{ "blocks", 'n', BENCH_COUNT, &blocks, NULL, "to be freed in all" },
	{ "parcel", 0, BENCH_COUNT, &parcel_blocks, NULL, "blocks handed over at a time" },
	{ "parcels", 0, BENCH_COUNT, &parcels, NULL, "under way at most" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block (by doublings)" },
	{ "generation", 'g', BENCH_COUNT, &generation_parcels, NULL,
	  "parcels until a producer exits" },
	{ .name = NULL },
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_full, not_empty;
	struct parcel *ring;
	uint64_t head, tail; /* [lock] */
	bool closed;	     /* [lock] */
	unsigned left;	     /* [lock] producers that were not told yet */
} post = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.not_full = PTHREAD_COND_INITIALIZER,
	.not_empty = PTHREAD_COND_INITIALIZER,
};

static struct bench_series series;

static bool hand_over(struct parcel parcel)
{
	bool open;

	pthread_mutex_lock(&post.lock);
	while (post.tail - post.head == parcels && !post.closed)
		pthread_cond_wait(&post.not_full, &post.lock);
	open = !post.closed;
	if (open) {
		post.ring[post.tail++ % parcels] = parcel;
		pthread_cond_signal(&post.not_empty);
	}
	pthread_mutex_unlock(&post.lock);
	return open;
}

static struct parcel collect(void)
{
	struct parcel parcel;

	pthread_mutex_lock(&post.lock);
	while (post.head == post.tail)
		pthread_cond_wait(&post.not_empty, &post.lock);
	parcel = post.ring[post.head++ % parcels];
	pthread_cond_signal(&post.not_full);
	pthread_mutex_unlock(&post.lock);
	return parcel;
}

static void free_parcel(struct parcel parcel)
{
	while (parcel.first) {
		struct block *next = parcel.first->next;

		free(parcel.first);
		parcel.first = next;
	}
}

static struct parcel fill_parcel(uint64_t *random)
{
	struct parcel parcel = { 0 };

	for (uint64_t i = 0; i < parcel_blocks; i++) {
		size_t size = bench_log_between(random, size_min, size_max);
		struct block *block = bench_malloc(size);

		bench_touch(block, size, 1);
		block->next = parcel.first;
		block->size = size;
		parcel.first = block;
		parcel.bytes += size;
	}
	return parcel;
}

static void *producer(void *argument)
{
	uint64_t *random = argument;
	bool open = true;

	for (uint64_t i = 0; open && i < generation_parcels; i++) {
		struct parcel parcel = fill_parcel(random);

		open = hand_over(parcel);
		if (!open)
			free_parcel(parcel);
	}
	if (open) {
		pthread_detach(bench_thread(producer, random));
		return NULL;
	}
	pthread_mutex_lock(&post.lock);
	post.left--;
	pthread_cond_signal(&post.not_empty);
	pthread_mutex_unlock(&post.lock);
	return NULL;
}

static void close_post(void)
{
	pthread_mutex_lock(&post.lock);
	post.closed = true;
	pthread_cond_broadcast(&post.not_full);
	while (post.left)
		pthread_cond_wait(&post.not_empty, &post.lock);
	while (post.head != post.tail)
		free_parcel(post.ring[post.head++ % parcels]);
	pthread_mutex_unlock(&post.lock);
}

static size_t live_bytes(void)
{
	size_t live = 0;

	pthread_mutex_lock(&post.lock);
	for (uint64_t i = post.head; i != post.tail; i++)
		live += post.ring[i % parcels].bytes;
	pthread_mutex_unlock(&post.lock);
	return live;
}

/* The thread that only frees. Gives the time after the warm-up, a tenth of all blocks. */
static struct bench_score free_them(void)
{
	uint64_t total = blocks / parcel_blocks;
	uint64_t warm = total / 10;
	uint64_t every = total / (BENCH_SAMPLES_MAX / 2) + 1;
	struct bench_plant plant;
	uint64_t begin = 0;

	for (uint64_t i = 0; i < total + warm; i++) {
		if (i == warm) {
			begin = bench_now_ns();
			bench_plant_begin(&plant);
		}
		if (i >= warm && (i - warm) % every == 0)
			bench_sample(&series, live_bytes());
		free_parcel(collect());
		if (i >= warm)
			bench_plant_tick(&plant);
	}
	return (struct bench_score){ .ops = total * parcel_blocks,
				     .seconds = bench_seconds(bench_now_ns() - begin) };
}

int main(int argc, char **argv)
{
	uint64_t random[BENCH_THREADS_MAX];
	struct bench_score score;

	bench_options(argc, argv, "One thread only frees.", options, NULL);
	if (producers == 0 || producers > BENCH_THREADS_MAX || parcels == 0 ||
	    size_min < sizeof(struct block) || size_max < size_min || parcel_blocks == 0 ||
	    blocks / parcel_blocks < 40)
		bench_die(
			"--min: from 16 to --max; --blocks: at least 40 parcels; others: at least 1");
	post.ring = bench_map(parcels * sizeof(*post.ring));
	post.left = (unsigned)producers;
	for (unsigned i = 0; i < producers; i++) {
		random[i] = bench_seed_for(i);
		pthread_detach(bench_thread(producer, &random[i]));
	}
	score = free_them();
	close_post();

	bench_result_open("free-only");
	bench_result_count("producers", producers);
	bench_result_score(score);
	bench_result_quarters(&series);
	bench_result_series("series", &series);
	bench_result_close();
	return 0;
}

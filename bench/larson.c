/* SPDX-License-Identifier: MIT */
/* bench/larson.c - a server under load: random replacement, handed over between threads
 *
 * After Larson and Krishnan, "Memory allocation for long-running server applications" (ISMM 1998).
 * Each of the --threads seats owns an array of blocks. Its thread frees a random block and
 * allocates one of random size in its place, --chunks times --rounds; then it starts a successor,
 * which inherits the array, and exits. So blocks are freed by threads that did not allocate them
 * and heaps are abandoned all the time. One operation is one free and one malloc.
 *
 * A generation is a number of operations and not a time, so that an operation is the same work for
 * every library, its share of a hand-over included: by time, a slow library would hand over more
 * often an operation. The bands have rounds of their own, so that even the slowest hands over
 * within the time measured; generations_timed says how often it did.
 */
#include "bench/common.h"

#include <stdatomic.h>
#include <stdlib.h>

struct seat {
	void **blocks;
	uint64_t random;
	_Atomic uint64_t ops;	      /* [written by the seat's thread, read by main] */
	_Atomic uint64_t generations; /* [the same] that have handed over */
} __attribute__((aligned(BENCH_CACHE_LINE)));

enum { BAND_TINY, BAND_MID, BAND_LARGE, BAND_OWN };

static const char *const bands[] = { "tiny", "mid", "large", "own", NULL };
static const struct {
	size_t min, max, chunks, rounds;
} band_of[] = {
	[BAND_TINY] = { 8, 1024, 5000, 100 },
	[BAND_MID] = { 1 * BENCH_KIB, 32 * BENCH_KIB, 2000, 100 },
	[BAND_LARGE] = { 64 * BENCH_KIB, 1 * BENCH_MIB, 1000, 10 },
	[BAND_OWN] = { 0, 0, 5000, 100 },
};

static unsigned band = BAND_TINY;
static uint64_t threads = 4;
static uint64_t size_min, size_max, chunks, rounds;
static double seconds = 2;
static double warmup_s = 0.5;
static bool touch_all;

static const struct bench_option options[] = {
	{ "band", 'b', BENCH_CHOICE, &band, bands, "sizes; own: by --min and --max" },
	{ "threads", 't', BENCH_COUNT, &threads, NULL, "seats" },
	{ "seconds", 's', BENCH_REAL, &seconds, NULL, "timed" },
	{ "warmup", 'w', BENCH_REAL, &warmup_s, NULL, "seconds before that" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest block; 0: the band's" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest block; 0: the band's" },
	{ "chunks", 'c', BENCH_COUNT, &chunks, NULL, "blocks a seat; 0: the band's" },
	{ "rounds", 'r', BENCH_COUNT, &rounds, NULL,
	  "a generation is chunks x rounds operations; 0: the band's" },
	{ "touch-all", 0, BENCH_FLAG, &touch_all, NULL,
	  "write each 4 KiB of a block, not only its first two bytes as the original does" },
	{ .name = NULL },
};

static atomic_bool stop;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_gone = PTHREAD_COND_INITIALIZER;
static unsigned seats_left; /* [lock: gate] */

static void *new_block(struct seat *seat)
{
	size_t size = bench_between(&seat->random, size_min, size_max);
	unsigned char *block = bench_malloc(size);

	block[0] = 'a';
	block[1] = 'b';
	if (touch_all)
		bench_touch(block, size, 'c');
	return block;
}

static void leave(void)
{
	pthread_mutex_lock(&gate);
	if (--seats_left == 0)
		pthread_cond_signal(&all_gone);
	pthread_mutex_unlock(&gate);
}

static void *generation(void *argument)
{
	struct seat *seat = argument;
	uint64_t ops = atomic_load_explicit(&seat->ops, memory_order_relaxed);
	uint64_t last = ops + chunks * rounds;
	struct bench_plant plant;

	bench_plant_begin(&plant);
	while (ops < last && !atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t victim = bench_below(&seat->random, chunks);

		free(seat->blocks[victim]);
		seat->blocks[victim] = new_block(seat);
		atomic_store_explicit(&seat->ops, ++ops, memory_order_relaxed);
		if (ops % 4096 == 0)
			bench_plant_tick(&plant);
	}
	if (ops == last)
		atomic_fetch_add_explicit(&seat->generations, 1, memory_order_relaxed);
	if (atomic_load_explicit(&stop, memory_order_relaxed))
		leave();
	else
		pthread_detach(bench_thread(generation, seat));
	return NULL;
}

static uint64_t sum_ops(struct seat *seats)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < threads; i++)
		sum += atomic_load_explicit(&seats[i].ops, memory_order_relaxed);
	return sum;
}

static uint64_t sum_generations(struct seat *seats)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < threads; i++)
		sum += atomic_load_explicit(&seats[i].generations, memory_order_relaxed);
	return sum;
}

/* main fills the arrays, so that the first generation frees blocks of another thread too */
static void fill(struct seat *seats)
{
	for (uint64_t i = 0; i < threads; i++) {
		seats[i].random = bench_seed_for((unsigned)i);
		seats[i].blocks = bench_map(chunks * sizeof(void *));
		for (uint64_t j = 0; j < chunks; j++)
			seats[i].blocks[j] = new_block(&seats[i]);
	}
}

static void empty(struct seat *seats)
{
	for (uint64_t i = 0; i < threads; i++)
		for (uint64_t j = 0; j < chunks; j++)
			free(seats[i].blocks[j]);
}

int main(int argc, char **argv)
{
	struct bench_score score;
	struct seat *seats;
	uint64_t begin_ns, begin_ops, generations;

	bench_options(argc, argv, "Random replacement, handed over between threads.", options,
		      NULL);
	if (threads == 0 || threads > BENCH_THREADS_MAX)
		bench_die("--threads: from 1 to 256");
	size_min = size_min ? size_min : band_of[band].min;
	size_max = size_max ? size_max : band_of[band].max;
	chunks = chunks ? chunks : band_of[band].chunks;
	rounds = rounds ? rounds : band_of[band].rounds;
	if (size_min < 2 || size_max < size_min)
		bench_die("--min: from 2 to --max");

	seats = bench_map(threads * sizeof(*seats));
	fill(seats);
	seats_left = (unsigned)threads;
	for (uint64_t i = 0; i < threads; i++)
		pthread_detach(bench_thread(generation, &seats[i]));
	bench_sleep(warmup_s);
	begin_ns = bench_now_ns();
	begin_ops = sum_ops(seats);
	generations = sum_generations(seats);
	bench_sleep(seconds);
	score.ops = sum_ops(seats) - begin_ops;
	score.seconds = bench_seconds(bench_now_ns() - begin_ns);
	generations = sum_generations(seats) - generations;

	atomic_store(&stop, true);
	pthread_mutex_lock(&gate);
	while (seats_left)
		pthread_cond_wait(&all_gone, &gate);
	pthread_mutex_unlock(&gate);

	bench_result_open("larson");
	bench_result_text("band", bands[band]);
	bench_result_count("threads", threads);
	bench_result_count("chunks", chunks);
	bench_result_score(score);
	bench_result_count("generations_timed", generations);
	bench_result_close();
	empty(seats);
	return 0;
}

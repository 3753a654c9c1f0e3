/* SPDX-License-Identifier: MIT */
/* bench/pairs.c - malloc/free pairs for bench/instructions to count, one known pattern a case
 *
 * Runs under callgrind. Each case is warmed up, then the counters are set to zero, then the case
 * runs, then the counters are dumped under the name "CASE PAIRS". Every malloc is called from
 * pair_malloc and every free from pair_free, which are never inlined, so that the reader can take
 * the calls out of these two functions with all that happens inside them, and leave out the loops.
 */
#include "bench/common.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS	      ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#define RUNNING_ON_VALGRIND	      0
#endif

#define BATCH	 100
#define MIX_LIVE 2000 /* as many as a seat of larson mid has */

static uint64_t rounds = 200;
static bool per_class;

static const struct bench_option options[] = {
	{ "rounds", 'r', BENCH_COUNT, &rounds, NULL, "batches a case (and as many to warm up)" },
	{ "per-class", 'c', BENCH_FLAG, &per_class, NULL, "one case a size instead" },
	{ .name = NULL },
};

/* The barriers keep the calls from becoming jumps, and the arguments alive. */
__attribute__((noinline)) void *pair_malloc(size_t size)
{
	void *block = malloc(size);

	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

__attribute__((noinline)) void pair_free(void *block)
{
	free(block);
	__asm__ volatile("" : : : "memory");
}

static void *blocks[MIX_LIVE];
static uint64_t state;
static size_t size_min, size_max;

static size_t next_size(void)
{
	return size_min == size_max ? size_min : bench_between(&state, size_min, size_max);
}

static uint64_t batches(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		for (unsigned j = 0; j < BATCH; j++)
			blocks[j] = pair_malloc(next_size());
		for (unsigned j = 0; j < BATCH; j++)
			pair_free(blocks[j]);
	}
	return count * BATCH;
}

static uint64_t ping_pong(uint64_t count)
{
	for (uint64_t i = 0; i < count * BATCH; i++)
		pair_free(pair_malloc(next_size()));
	return count * BATCH;
}

/* The array is filled by the first replacements, which belong to the warm-up. */
static uint64_t replacement(uint64_t count)
{
	for (uint64_t i = 0; i < count * BATCH; i++) {
		uint64_t victim = bench_below(&state, MIX_LIVE);

		pair_free(blocks[victim]);
		blocks[victim] = pair_malloc(next_size());
	}
	return count * BATCH;
}

/*
 * Another thread frees. The two threads take turns, one batch each: `turn` says whose it is. The
 * waiting goes on outside the two counted functions.
 */
enum { TURN_OWNER, TURN_OTHER, TURN_END };
static _Atomic int turn;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;

static void give_turn(int to)
{
	pthread_mutex_lock(&turn_lock);
	atomic_store_explicit(&turn, to, memory_order_relaxed);
	pthread_cond_broadcast(&turn_changed);
	pthread_mutex_unlock(&turn_lock);
}

static int await_turn(int not_this)
{
	int now;

	pthread_mutex_lock(&turn_lock);
	while ((now = atomic_load_explicit(&turn, memory_order_relaxed)) == not_this)
		pthread_cond_wait(&turn_changed, &turn_lock);
	pthread_mutex_unlock(&turn_lock);
	return now;
}

static void *other_thread(void *unused)
{
	while (await_turn(TURN_OWNER) == TURN_OTHER) {
		for (unsigned j = 0; j < BATCH; j++)
			pair_free(blocks[j]);
		give_turn(TURN_OWNER);
	}
	return unused;
}

static uint64_t remote_batches(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		for (unsigned j = 0; j < BATCH; j++)
			blocks[j] = pair_malloc(next_size());
		give_turn(TURN_OTHER);
		await_turn(TURN_OTHER);
	}
	return count * BATCH;
}

static void run_case(const char *name, uint64_t (*body)(uint64_t), size_t min, size_t max)
{
	char label[96];
	uint64_t pairs;

	size_min = min;
	size_max = max;
	state = bench_seed;
	memset(blocks, 0, sizeof(blocks));
	body(rounds);
	CALLGRIND_ZERO_STATS;
	pairs = body(rounds);
	snprintf(label, sizeof(label), "%s %llu", name, (unsigned long long)pairs);
	CALLGRIND_DUMP_STATS_AT(label);
	if (body == replacement)
		for (unsigned j = 0; j < MIX_LIVE; j++)
			free(blocks[j]); /* no pair's */
	if (!RUNNING_ON_VALGRIND)
		printf("%s\n", label);
}

static void run_remote(const char *name, size_t min, size_t max)
{
	pthread_t other;

	atomic_store_explicit(&turn, TURN_OWNER, memory_order_relaxed);
	other = bench_thread(other_thread, NULL);
	run_case(name, remote_batches, min, max);
	give_turn(TURN_END);
	pthread_join(other, NULL);
}

static void run_classes(void)
{
	static const unsigned eighths[] = { 4, 5, 6, 7 };
	char name[32];

	for (size_t power = 16; power < 1 * BENCH_MIB; power *= 2) {
		for (unsigned i = 0; i < 4; i++) {
			size_t size = power * eighths[i] / 4;

			snprintf(name, sizeof(name), "%zu", size);
			run_case(name, batches, size, size);
		}
	}
	run_case("1048576", batches, 1 * BENCH_MIB, 1 * BENCH_MIB);
}

int main(int argc, char **argv)
{
	bench_options(argc, argv, "Pairs of malloc and free for bench/instructions.", options,
		      NULL);
	if (per_class) {
		run_classes();
		return 0;
	}
	run_case("64-batch", batches, 64, 64);
	run_case("64-ping-pong", ping_pong, 64, 64);
	run_remote("64-remote", 64, 64);
	run_case("4k-batch", batches, 4 * BENCH_KIB, 4 * BENCH_KIB);
	run_case("4k-ping-pong", ping_pong, 4 * BENCH_KIB, 4 * BENCH_KIB);
	run_case("mix-replace", replacement, 2 * BENCH_KIB, 8 * BENCH_KIB);
	run_case("mix-batch", batches, 2 * BENCH_KIB, 8 * BENCH_KIB);
	bench_result_open("pairs");
	bench_result_close();
	return 0;
}

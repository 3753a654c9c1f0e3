/* SPDX-License-Identifier: MIT */
/* bench/mf1.c - what MF1 buys alone: a sharded free list under mutexes, and under a tagged CAS
 *
 * Threads pop a node from a shard, hold it for a moment and push it to a shard, as an allocator
 * whose caches are empty does with blocks. The nodes are type-stable: an array that is never
 * unmapped, named by index, so that reading the link of a node that somebody else has just popped
 * is harmless. A head packs
 *
 *	63          32 31           0
 *	|    tag      | index + 1   |	0 in the low half: empty
 *
 * and each successful exchange adds one to the tag, so that a head that was popped and pushed back
 * in between does not pass for the old one (ABA). The run ends with a walk: every node must be
 * there exactly once. One operation is one pop and one push.
 */
#include "bench/common.h"

#include <sched.h>
#include <stdatomic.h>

#define SHARDS_MAX 64
#define PROBES	   3
#define SPINS_MAX  1024
#define BATCH	   256

enum { UNDER_MUTEX, UNDER_CAS, UNDER_CAS_BACKOFF };

static const char *const ways[] = { "mutex", "cas", "cas-backoff", NULL };
static unsigned way = UNDER_MUTEX;
static uint64_t shards = 8;
static uint64_t nodes = 4096;
static uint64_t hold = 8;
static uint64_t patience = 4;

static const struct bench_option options[] = {
	{ "way", 'm', BENCH_CHOICE, &way, ways, "how a shard is shared" },
	{ "shards", 0, BENCH_COUNT, &shards, NULL, "lists; the plan's legacy has 8 a class" },
	{ "nodes", 'n', BENCH_COUNT, &nodes, NULL, "in all lists together" },
	{ "hold", 0, BENCH_COUNT, &hold, NULL, "random numbers drawn while a node is held" },
	{ "patience", 0, BENCH_COUNT, &patience, NULL, "failures in a row before backing off" },
	{ .name = NULL },
};

struct node {
	_Atomic uint32_t next; /* [owner while popped, shard while listed] index + 1, 0 ends */
} __attribute__((aligned(BENCH_CACHE_LINE)));

struct shard {
	_Atomic uint64_t head; /* [any thread] cas */
	pthread_mutex_t lock;
	uint32_t first; /* [lock] mutex: index + 1, 0 empty */
} __attribute__((aligned(2 * BENCH_CACHE_LINE)));

struct tally {
	uint64_t retries; /* failed exchanges, or trylocks that found the lock taken */
	uint64_t most;	  /* in one operation */
} __attribute__((aligned(BENCH_CACHE_LINE)));

static struct node *node_at;
static struct shard shard_at[SHARDS_MAX];
static struct tally tallies[BENCH_THREADS_MAX];

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Gives true when it backed off: what was read before is stale then. */
static bool retried(struct tally *tally, uint64_t failures)
{
	uint64_t spins;

	tally->retries++;
	if (failures > tally->most)
		tally->most = failures;
	if (way != UNDER_CAS_BACKOFF || failures < patience)
		return false;
	spins = (uint64_t)1 << (failures - patience < 10 ? failures - patience : 10);
	if (spins == SPINS_MAX)
		sched_yield();
	for (uint64_t i = 0; i < spins; i++)
		pause_cpu();
	return true;
}

/* Acquire on success and failure: the link read next was written before the head was released. */
static uint32_t cas_pop(struct shard *shard, struct tally *tally)
{
	uint64_t head = atomic_load_explicit(&shard->head, memory_order_acquire);
	uint64_t failures = 0;

	while ((uint32_t)head) {
		uint32_t next = atomic_load_explicit(&node_at[(uint32_t)head - 1].next,
						     memory_order_relaxed);
		uint64_t tag = (head >> 32) + 1;

		if (atomic_compare_exchange_weak_explicit(&shard->head, &head, tag << 32 | next,
							  memory_order_acquire,
							  memory_order_acquire))
			break;
		if (retried(tally, ++failures))
			head = atomic_load_explicit(&shard->head, memory_order_acquire);
	}
	return (uint32_t)head;
}

/* Release: pairs with the acquire in cas_pop. */
static void cas_push(struct shard *shard, uint32_t node, struct tally *tally)
{
	uint64_t head = atomic_load_explicit(&shard->head, memory_order_relaxed);
	uint64_t failures = 0;

	for (;;) {
		uint64_t tag = (head >> 32) + 1;

		atomic_store_explicit(&node_at[node - 1].next, (uint32_t)head,
				      memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(&shard->head, &head, tag << 32 | node,
							  memory_order_release,
							  memory_order_relaxed))
			return;
		if (retried(tally, ++failures))
			head = atomic_load_explicit(&shard->head, memory_order_relaxed);
	}
}

/* As legacy does: try the shard and its neighbours, then wait for the shard itself. */
static struct shard *lock_one(uint64_t wanted, struct tally *tally)
{
	struct shard *shard = &shard_at[wanted];

	for (uint64_t i = 0; i < PROBES; i++) {
		struct shard *probed = &shard_at[(wanted + i) % shards];

		if (pthread_mutex_trylock(&probed->lock) == 0)
			return probed;
		retried(tally, i + 1);
	}
	pthread_mutex_lock(&shard->lock);
	return shard;
}

static uint32_t mutex_pop(uint64_t wanted, struct tally *tally)
{
	struct shard *shard = lock_one(wanted, tally);
	uint32_t node = shard->first;

	if (node)
		shard->first = atomic_load_explicit(&node_at[node - 1].next, memory_order_relaxed);
	pthread_mutex_unlock(&shard->lock);
	return node;
}

static void mutex_push(uint64_t wanted, uint32_t node, struct tally *tally)
{
	struct shard *shard = lock_one(wanted, tally);

	atomic_store_explicit(&node_at[node - 1].next, shard->first, memory_order_relaxed);
	shard->first = node;
	pthread_mutex_unlock(&shard->lock);
}

static uint64_t pops_and_pushes(struct bench_worker *worker)
{
	struct tally warming_up = { 0 };
	struct tally *tally = worker->begin_ns ? &tallies[worker->id] : &warming_up;
	uint64_t done = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t from = bench_below(&worker->random, shards);
		uint64_t to = bench_below(&worker->random, shards);
		uint32_t node = way == UNDER_MUTEX ? mutex_pop(from, tally)
						   : cas_pop(&shard_at[from], tally);

		if (!node)
			continue;
		for (uint64_t j = 0; j < hold; j++)
			bench_random(&worker->random);
		if (way == UNDER_MUTEX)
			mutex_push(to, node, tally);
		else
			cas_push(&shard_at[to], node, tally);
		done++;
	}
	return done;
}

static void fill(void)
{
	struct tally unused = { 0 };

	node_at = bench_map(nodes * sizeof(*node_at));
	for (uint64_t i = 0; i < shards; i++)
		pthread_mutex_init(&shard_at[i].lock, NULL);
	for (uint32_t i = 0; i < nodes; i++) {
		if (way == UNDER_MUTEX)
			mutex_push(i % shards, i + 1, &unused);
		else
			cas_push(&shard_at[i % shards], i + 1, &unused);
	}
}

/* No node lost and none in two places. */
static void walk_all(void)
{
	unsigned char *seen = bench_map(nodes);
	uint64_t found = 0;

	for (uint64_t i = 0; i < shards; i++) {
		uint32_t node = way == UNDER_MUTEX
					? shard_at[i].first
					: (uint32_t)atomic_load_explicit(&shard_at[i].head,
									 memory_order_acquire);

		for (; node;
		     node = atomic_load_explicit(&node_at[node - 1].next, memory_order_relaxed)) {
			if (seen[node - 1])
				bench_die("a node is listed twice");
			seen[node - 1] = 1;
			found++;
		}
	}
	if (found != nodes)
		bench_die("a node was lost");
	bench_unmap(seen, nodes);
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.round = pops_and_pushes, .threads = 4, .seconds = 0.5, .warmup_s = 0.05
	};
	struct bench_score score;
	uint64_t retries = 0, most = 0;

	bench_options(argc, argv, "A sharded free list, shared in two ways.", options, &work);
	if (shards == 0 || shards > SHARDS_MAX || nodes < shards || nodes > UINT32_MAX - 1)
		bench_die("--shards: from 1 to 64; --nodes: at least as many");
	fill();
	score = bench_run(&work);
	walk_all();
	for (uint64_t i = 0; i < work.threads; i++) {
		retries += tallies[i].retries;
		if (tallies[i].most > most)
			most = tallies[i].most;
	}

	bench_result_open("mf1");
	bench_result_text("way", ways[way]);
	bench_result_count("threads", work.threads);
	bench_result_count("shards", shards);
	bench_result_score(score);
	bench_result_real("retries_per_op", (double)retries / (double)score.ops);
	bench_result_count("most_retries", most);
	bench_result_close();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* bench/producer-consumer.c - a bounded queue between threads that allocate and threads that free
 *
 * Producers make messages and write to them; consumers read and free them. The queue is a ring
 * under a mutex with two conditions. Both sides move --batch messages at a time and wake the other
 * side when the queue is half full, so that the queue costs little beside the allocator; it is the
 * same queue for every library. One operation is one
 * message: a malloc on one thread and a free on another.
 */
#include "bench/common.h"

#include <stdlib.h>

#define BATCH_MAX 256

enum { MIX_SMALL, MIX_MEDIUM, MIX_BROAD };

static const char *const mixes[] = { "small", "medium", "broad", NULL };
static const size_t mix_of[][2] = {
	[MIX_SMALL] = { 16, 256 },
	[MIX_MEDIUM] = { 256, 4096 },
	[MIX_BROAD] = { 16, 32768 },
};

static unsigned mix = MIX_SMALL;
static uint64_t producers = 1, consumers = 1;
static uint64_t capacity = 4096;
static uint64_t batch = 64;
static double seconds = 1;
static double warmup_s = 0.3;

static const struct bench_option options[] = {
	{ "mix", 'm', BENCH_CHOICE, &mix, mixes,
	  "sizes: 16-256, 256-4096, 16-32768 (by doublings)" },
	{ "producers", 'p', BENCH_COUNT, &producers, NULL, "threads" },
	{ "consumers", 'c', BENCH_COUNT, &consumers, NULL, "threads" },
	{ "capacity", 'q', BENCH_COUNT, &capacity, NULL, "messages the queue holds" },
	{ "batch", 'b', BENCH_COUNT, &batch, NULL, "messages moved at a time" },
	{ "seconds", 's', BENCH_REAL, &seconds, NULL, "timed" },
	{ "warmup", 'w', BENCH_REAL, &warmup_s, NULL, "seconds before that" },
	{ .name = NULL },
};

struct message {
	uint64_t size;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_full, not_empty;
	struct message **ring;
	uint64_t head, tail; /* [lock] taken and put so far */
	bool closed;	     /* [lock] no more will be put */
} queue = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.not_full = PTHREAD_COND_INITIALIZER,
	.not_empty = PTHREAD_COND_INITIALIZER,
};

/* Puts all or, once the queue is closed, nothing. */
static bool queue_put(struct message *const *messages, uint64_t count)
{
	bool open;

	pthread_mutex_lock(&queue.lock);
	while (queue.tail - queue.head + count > capacity && !queue.closed)
		pthread_cond_wait(&queue.not_full, &queue.lock);
	open = !queue.closed;
	for (uint64_t i = 0; open && i < count; i++)
		queue.ring[queue.tail++ % capacity] = messages[i];
	/* whoever waits because the queue is full has seen it more than half full: nobody is lost */
	if (queue.tail - queue.head >= capacity / 2)
		pthread_cond_signal(&queue.not_empty);
	pthread_mutex_unlock(&queue.lock);
	return open;
}

/* Gives how many were taken; 0 once the queue is closed and empty. */
static uint64_t queue_take(struct message **messages, uint64_t most)
{
	uint64_t count = 0;

	pthread_mutex_lock(&queue.lock);
	while (queue.head == queue.tail && !queue.closed)
		pthread_cond_wait(&queue.not_empty, &queue.lock);
	while (count < most && queue.head != queue.tail)
		messages[count++] = queue.ring[queue.head++ % capacity];
	if (queue.tail - queue.head <= capacity / 2)
		pthread_cond_signal(&queue.not_full);
	pthread_mutex_unlock(&queue.lock);
	return count;
}

static void *produce(void *argument)
{
	uint64_t random = bench_seed_for((unsigned)(uintptr_t)argument);
	struct message *messages[BATCH_MAX];
	struct bench_plant plant;

	bench_plant_begin(&plant);
	do {
		for (uint64_t i = 0; i < batch; i++) {
			size_t size = bench_log_between(&random, mix_of[mix][0], mix_of[mix][1]);

			messages[i] = bench_malloc(size);
			bench_touch(messages[i], size, 1);
			messages[i]->size = size;
		}
		bench_plant_tick(&plant);
	} while (queue_put(messages, batch));
	for (uint64_t i = 0; i < batch; i++)
		free(messages[i]);
	return NULL;
}

static void *consume(void *argument)
{
	struct message *messages[BATCH_MAX];
	uint64_t *bytes = argument;
	uint64_t sum = 0;
	uint64_t count;

	while ((count = queue_take(messages, batch)) != 0) {
		for (uint64_t i = 0; i < count; i++) {
			sum += messages[i]->size;
			free(messages[i]);
		}
	}
	*bytes = sum;
	return NULL;
}

static uint64_t taken_so_far(void)
{
	uint64_t taken;

	pthread_mutex_lock(&queue.lock);
	taken = queue.head;
	pthread_mutex_unlock(&queue.lock);
	return taken;
}

int main(int argc, char **argv)
{
	pthread_t threads[BENCH_THREADS_MAX];
	uint64_t bytes[BENCH_THREADS_MAX] = { 0 };
	struct bench_score score;
	uint64_t begin, ops, sum = 0;

	bench_options(argc, argv, "A bounded queue between threads.", options, NULL);
	if (producers == 0 || consumers == 0 || producers + consumers > BENCH_THREADS_MAX)
		bench_die("--producers, --consumers: at least 1, together at most 256");
	if (batch == 0 || batch > BATCH_MAX || capacity < 4 * batch)
		bench_die("--batch: from 1 to 256 and to a quarter of --capacity");
	queue.ring = bench_map(capacity * sizeof(*queue.ring));
	for (uint64_t i = 0; i < consumers; i++)
		threads[i] = bench_thread(consume, &bytes[i]);
	for (uint64_t i = 0; i < producers; i++)
		threads[consumers + i] = bench_thread(produce, (void *)(uintptr_t)i);

	bench_sleep(warmup_s);
	ops = taken_so_far();
	begin = bench_now_ns();
	bench_sleep(seconds);
	score.ops = taken_so_far() - ops;
	score.seconds = bench_seconds(bench_now_ns() - begin);

	pthread_mutex_lock(&queue.lock);
	queue.closed = true;
	pthread_cond_broadcast(&queue.not_full);
	pthread_cond_broadcast(&queue.not_empty);
	pthread_mutex_unlock(&queue.lock);
	for (uint64_t i = 0; i < producers + consumers; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < consumers; i++)
		sum += bytes[i];

	bench_result_open("producer-consumer");
	bench_result_text("mix", mixes[mix]);
	bench_result_count("producers", producers);
	bench_result_count("consumers", consumers);
	bench_result_score(score);
	bench_result_count("bytes", sum);
	bench_result_close();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* tests/legacy_transfer_test.c - a batch in the transfer cache is taken once, and whole */
#include "legacy/transfer.h"

#include "shim/base/atomic.h"
#include "tests/legacy_support.h"

#include <pthread.h>

#define THREADS 4
#define BATCHES (2 * TRANSFER_SLOTS) /* of each thread at the start: more than there are slots */
#define ROUNDS	(HAKMEM_SANITIZER ? 200000 : 2000000)

/* "Blocks": who takes one marks it, and finds it marked if somebody else has it. */
static _Atomic uint32_t held[THREADS * BATCHES * REFILL_BLOCKS];
static pthread_barrier_t gate;

static void take_marks(void *const *blocks)
{
	for (unsigned i = 0; i < REFILL_BLOCKS; i++)
		/* acquire, release: the batch's way through the cache orders them, if it works */
		MUST(exchange_acq_rel((_Atomic uint32_t *)blocks[i], 1) == 0);
}

static void drop_marks(void *const *blocks)
{
	for (unsigned i = 0; i < REFILL_BLOCKS; i++)
		MUST(exchange_acq_rel((_Atomic uint32_t *)blocks[i], 0) == 1);
}

static void *swap_batches(void *argument)
{
	uintptr_t self = (uintptr_t)argument;
	struct legacy_thread *t = legacy_thread_start();
	void *own[BATCHES][REFILL_BLOCKS];
	unsigned count = BATCHES;
	MUST(t);
	for (unsigned b = 0; b < BATCHES; b++) {
		for (unsigned i = 0; i < REFILL_BLOCKS; i++)
			own[b][i] = &held[(self * BATCHES + b) * REFILL_BLOCKS + i];
		take_marks(own[b]);
	}
	pthread_barrier_wait(&gate);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (count > 0 && (round & 1 || count == BATCHES)) {
			drop_marks(own[count - 1]);
			if (legacy_transfer_put(t, 0, own[count - 1]))
				count--;
			else
				take_marks(own[count - 1]);
		} else if (count < BATCHES && legacy_transfer_take(0, 0, own[count])) {
			take_marks(own[count++]);
		}
	}
	return (void *)(uintptr_t)count;
}

static void run(const char *unused)
{
	pthread_t threads[THREADS];
	uintptr_t batches = 0;
	void *rest[REFILL_BLOCKS];
	(void)unused;
	legacy_begin(NULL);
	pthread_barrier_init(&gate, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, swap_batches, (void *)i) == 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *count;
		MUST(pthread_join(threads[i], &count) == 0);
		batches += (uintptr_t)count;
	}
	for (; legacy_transfer_take(0, 0, rest); batches++)
		take_marks(rest);
	MUST(batches == THREADS * BATCHES);
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		MUST(load_relaxed(&held[i]) == 1);
}

static void batches_that_threads_swap_are_each_taken_once(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(run, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_that_threads_swap_are_each_taken_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

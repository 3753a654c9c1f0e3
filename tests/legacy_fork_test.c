/* SPDX-License-Identifier: MIT */
/* tests/legacy_fork_test.c - fork under load, and from a handler that interrupted legacy */
#include "legacy/legacy.h"

#include "shim/base/atomic.h"
#include "shim/base/lock.h"
#include "tests/legacy_support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* As the shim's pthread_atfork handlers do it. */
static pid_t fork_as_the_shim_does(void)
{
	fork_prepare();
	pid_t child = fork();
	if (child == 0) {
		fork_child();
		legacy_fork_child();
	} else {
		fork_parent();
	}
	return child;
}

static bool ended_well(pid_t child)
{
	int status = 0;
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A child's life: it allocates, on new pages and old, and everything is whole. */
static void allocate_in_child(struct legacy_thread *t, uint32_t seed)
{
	static void *blocks[400];
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 400; i++) {
			size_t bytes = random_bytes(&seed);
			MUST((blocks[i] = legacy_malloc(t, bytes, i)));
			pattern_write(blocks[i], bytes, i);
		}
		for (unsigned i = 0; i < 400; i++) {
			MUST(pattern_holds(blocks[i]));
			legacy_free(t, blocks[i]);
		}
	}
}

/* --- what absent threads had cached ----------------------------------------------------------- */

#define CACHED 900

static void *absent_blocks[CACHED];
static _Atomic int absent_ready;
static _Atomic bool stop;

/* Fills ring, LIFO, transfer cache, active pages and, with the help of main, the remote stack. */
static void *fill_caches(void *argument)
{
	struct legacy_thread *t = legacy_thread_start();
	MUST(t);
	(void)argument;
	for (unsigned i = 0; i < CACHED; i++)
		MUST((absent_blocks[i] = legacy_malloc(t, i % 2 ? 2048 : 12288, i)));
	for (unsigned i = 0; i < CACHED * 3 / 4; i++)
		legacy_free(t, absent_blocks[i]);
	store_release(&absent_ready, 1); /* pairs with the acquire in start_absent() */
	while (!load_relaxed(&stop))
		usleep(1000);
	legacy_thread_exit(t);
	return NULL;
}

static pthread_t start_absent(void)
{
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, fill_caches, NULL) == 0);
	while (!load_acquire(&absent_ready)) /* pairs with the release in fill_caches() */
		sched_yield();
	return thread;
}

static void salvage(const char *tunables)
{
	legacy_begin(tunables);
	pthread_t absent = start_absent();
	struct legacy_thread *t = legacy_thread_start();
	/* Some wait on the remote stack of the absent one, some in caches of this one. */
	for (unsigned i = CACHED * 3 / 4; i < CACHED * 7 / 8; i++)
		legacy_free(t, absent_blocks[i]);
	allocate_in_child(t, 3);

	pid_t child = fork_as_the_shim_does();
	if (child == 0) {
		MUST(counters_now().threads == 1);
		uint64_t remote_frees = counters_now().remote_frees;
		for (unsigned i = CACHED * 7 / 8; i < CACHED; i++)
			legacy_free(t, absent_blocks[i]);
		/* Nobody pushes to who is not here. */
		MUST(counters_now().remote_frees == remote_frees);
		allocate_in_child(t, 5);
		legacy_thread_exit(t);
		/* Each block of the absent thread's caches was found: or its page would be in
		 * service. */
		MUST(counters_now().pages == 0);
		_exit(0);
	}
	MUST(ended_well(child));
	store_relaxed(&stop, true);
	pthread_join(absent, NULL);
	for (unsigned i = CACHED * 7 / 8; i < CACHED; i++)
		legacy_free(t, absent_blocks[i]);
	legacy_thread_exit(t);
	legacy_trim();
	MUST(counters_now().pages == 0);
}

static void a_child_gets_what_absent_threads_had_cached(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(salvage, ""));
	assert_true(succeeds_in_child(salvage, "unified=1,skip_header=1"));
}

/* --- fork under load -------------------------------------------------------------------------- */

#define LOAD_THREADS 4
#define FORKS	     40

static _Atomic(void *) exchange[64];

static void *load_thread(void *argument)
{
	uint32_t seed = (uint32_t)(uintptr_t)argument;
	struct legacy_thread *t = legacy_thread_start();
	MUST(t);
	while (!load_relaxed(&stop)) {
		size_t bytes = random_bytes(&seed);
		void *block = legacy_malloc(next_random(&seed) % 8 ? t : NULL, bytes, 0);
		MUST(block);
		pattern_write(block, bytes, seed);
		/* acq_rel: the contents go with the pointer, both ways */
		block = exchange_acq_rel(&exchange[next_random(&seed) % 64], block);
		if (block) {
			MUST(pattern_holds(block));
			legacy_free(t, block);
		}
		if (next_random(&seed) % 1024 == 0)
			legacy_trim();
		if (next_random(&seed) % 512 == 0) {
			legacy_thread_exit(t);
			MUST((t = legacy_thread_start()));
		}
	}
	legacy_thread_exit(t);
	return NULL;
}

static void free_exchange(void)
{
	for (int i = 0; i < 64; i++) {
		void *block =
			load_acquire(&exchange[i]); /* pairs with the exchange in load_thread() */
		if (block)
			legacy_free(NULL, block);
	}
}

static void fork_under_load(const char *tunables)
{
	pthread_t threads[LOAD_THREADS];
	legacy_begin(tunables);
	struct legacy_thread *t = legacy_thread_start();
	for (uintptr_t i = 0; i < LOAD_THREADS; i++)
		MUST(pthread_create(&threads[i], NULL, load_thread, (void *)(i + 1)) == 0);
	for (uint32_t i = 0; i < FORKS; i++) {
		allocate_in_child(t, i);
		pid_t child = fork_as_the_shim_does();
		if (child == 0) {
			allocate_in_child(i % 3 ? t : NULL, i);
			/* Grandchildren too. */
			child = fork_as_the_shim_does();
			allocate_in_child(t, i + 1);
			if (child == 0)
				_exit(0);
			free_exchange();
			_exit(ended_well(child) ? 0 : 2);
		}
		MUST(ended_well(child));
	}
	store_relaxed(&stop, true);
	for (int i = 0; i < LOAD_THREADS; i++)
		pthread_join(threads[i], NULL);
	free_exchange();
	legacy_thread_exit(t);
	legacy_trim();
	MUST(counters_now().pages == 0);
}

static void children_allocate_at_once_and_parents_go_on(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(fork_under_load, ""));
}

/* --- fork from a signal handler --------------------------------------------------------------- */

#define INTERRUPTS 120

static _Atomic int in_child; /* set where the handler's fork returned 0 */
static _Atomic int forks, failures;
static pthread_t interrupted;

static void fork_in_handler(int signal_number)
{
	(void)signal_number;
	pid_t child = fork_as_the_shim_does();
	if (child == 0) {
		store_relaxed(&in_child, 1);
		return;
	}
	if (!ended_well(child))
		fetch_add_relaxed(&failures, 1);
	fetch_add_relaxed(&forks, 1);
}

static void *interrupt(void *argument)
{
	uint32_t seed = 99;
	(void)argument;
	for (int i = 0; i < INTERRUPTS; i++) {
		usleep(next_random(&seed) % 500);
		pthread_kill(interrupted, SIGUSR1);
		while (load_relaxed(&forks) <= i)
			sched_yield();
	}
	store_relaxed(&stop, true);
	return NULL;
}

/* Every kind of call, at any point of which the signal may come. In the child the loop goes on with
 * what it had in hand, and everything must still be whole. */
static void loop_until_interrupted(void)
{
	static void *blocks[600];
	uint32_t seed = 1;
	struct legacy_thread *t = legacy_thread_start();
	int rounds_left = 1000;
	while (!load_relaxed(&stop) && rounds_left > 0) {
		rounds_left -= load_relaxed(&in_child);
		size_t bytes = random_bytes(&seed);
		void **slot = &blocks[next_random(&seed) % 600];
		if (*slot) {
			MUST(pattern_holds(*slot));
			memset(*slot, 0, sizeof(struct pattern));
			legacy_free(next_random(&seed) % 4 ? t : NULL, *slot);
		}
		MUST((*slot = legacy_malloc(next_random(&seed) % 4 ? t : NULL, bytes, 0)));
		pattern_write(*slot, bytes, seed);
		if (next_random(&seed) % 64 == 0)
			legacy_trim();
		if (next_random(&seed) % 64 == 0) {
			legacy_thread_exit(t);
			MUST((t = legacy_thread_start()));
		}
	}
	for (int i = 0; i < 600; i++) {
		MUST(!blocks[i] || pattern_holds(blocks[i]));
		if (blocks[i])
			legacy_free(t, blocks[i]);
	}
	legacy_thread_exit(t);
	if (load_relaxed(&in_child))
		_exit(0);
}

static void fork_from_handlers(const char *tunables)
{
	pthread_t interrupter, others[2];
	legacy_begin(tunables);
	interrupted = pthread_self();
	struct sigaction action = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	MUST(sigaction(SIGUSR1, &action, NULL) == 0);
	for (uintptr_t i = 0; i < 2; i++)
		MUST(pthread_create(&others[i], NULL, load_thread, (void *)(i + 1)) == 0);
	MUST(pthread_create(&interrupter, NULL, interrupt, NULL) == 0);
	loop_until_interrupted();
	pthread_join(interrupter, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	free_exchange();
	MUST(load_relaxed(&forks) == INTERRUPTS && load_relaxed(&failures) == 0);
	legacy_trim();
	MUST(counters_now().pages == 0);
}

static void a_fork_from_a_handler_inside_legacy_hurts_neither(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(fork_from_handlers, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_gets_what_absent_threads_had_cached),
		cmocka_unit_test(children_allocate_at_once_and_parents_go_on),
		cmocka_unit_test(a_fork_from_a_handler_inside_legacy_hurts_neither),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

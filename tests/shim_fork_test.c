/* SPDX-License-Identifier: MIT */
/* tests/shim_fork_test.c - the child of a fork can allocate at once, and both go on
 *
 * HAKMEM_TEST_CHILDREN children of busy threads for every set of routes (1,000 if it is not set; `make
 * fork-storm` sets 10,000), one after the other, and as many again as HANDLER_CHILDREN says from a signal
 * handler. A child that hangs is killed by its own alarm, which is a failure.
 */
#include "shim/base/atomic.h"
#include "shim/hakmem.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS	    8
#define CHILD_LIMIT 60 /* seconds until a child counts as hung */

static int children;

/* A child that hangs is killed by this and makes the test fail. */
static void limit_child(void)
{
	alarm(CHILD_LIMIT);
}

static bool ends_well(pid_t child)
{
	int status = 0;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		print_error("child ended with status %#x\n", (unsigned)status);
	return status == 0;
}

/* A bit of everything; sizes of every path. */
static void allocate_a_bit(unsigned seed)
{
	unsigned char *blocks[32];
	for (unsigned i = 0; i < 32; i++) {
		size_t bytes = (size_t)1 << ((seed + i) % 18);
		blocks[i] = hakmem_malloc(bytes + i);
		if (!blocks[i])
			abort();
		memset(blocks[i], (int)i, bytes < 4096 ? bytes : 4096);
	}
	for (unsigned i = 0; i < 32; i++) {
		if (blocks[i][0] != i)
			abort();
		hakmem_free(blocks[i]);
	}
	/* Now and then a mapping of its own, with a lock of its own. */
	if (seed % 8)
		return;
	void *huge = hakmem_malloc(5 * MIB);
	if (!huge)
		abort();
	hakmem_free(huge);
}

/* --- fork while others allocate ------------------------------------------------------------------- */

static _Atomic bool busy;
static _Atomic(unsigned char *) handed_over[64];

/* Allocates and frees, also blocks of others. */
static void *keep_allocating(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	while (load_acquire(&busy)) {
		allocate_a_bit(seed);
		unsigned char *block = hakmem_malloc(1 + seed % 40000);
		hakmem_free(exchange_acq_rel(&handed_over[seed % 64], block));
		seed = seed * 1103515245 + 12345;
	}
	return NULL;
}

/* The child's threads are gone, their blocks are not. */
static void be_the_child(unsigned char *inherited)
{
	limit_child();
	for (unsigned i = 0; i < 20; i++)
		allocate_a_bit(i);
	for (size_t i = 0; i < 64; i++)
		hakmem_free(exchange_acq_rel(&handed_over[i], NULL));
	inherited = hakmem_realloc(inherited, 70000);
	_exit(inherited[0] == 42 ? 0 : 1);
}

static void *be_a_thread(void *unused)
{
	allocate_a_bit(3);
	return unused;
}

static void children_of_busy_threads_allocate_at_once(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	store_release(&busy, true);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, keep_allocating, (void *)(i + 1)), 0);
	for (int i = 0; i < children; i++) {
		unsigned char *inherited = hakmem_malloc(3000);
		inherited[0] = 42;
		pid_t child = fork();
		if (child == 0)
			be_the_child(inherited);
		assert_true(child > 0);
		allocate_a_bit((unsigned)i);
		assert_true(ends_well(child));
		hakmem_free(inherited);
	}
	store_release(&busy, false);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 64; i++)
		hakmem_free(exchange_acq_rel(&handed_over[i], NULL));
	print_message("%s: %d children of %d busy threads, none hung\n", route_set, children, THREADS);
}

/* Children that make threads and children of their own. */
static void children_may_do_what_their_parents_do(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* TSan refuses threads after a fork */
	pthread_t threads[THREADS];
	store_release(&busy, true);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, keep_allocating, (void *)(i + 1)), 0);
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();
		if (child == 0) {
			limit_child();
			pthread_t own[2];
			for (size_t k = 0; k < 2; k++)
				if (pthread_create(&own[k], NULL, be_a_thread, NULL))
					_exit(2);
			pid_t grandchild = fork();
			allocate_a_bit(5);
			if (grandchild == 0)
				_exit(0);
			for (size_t k = 0; k < 2; k++)
				pthread_join(own[k], NULL);
			_exit(ends_well(grandchild) ? 0 : 3);
		}
		assert_true(ends_well(child));
	}
	store_release(&busy, false);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* --- fork from a handler that interrupted malloc -------------------------------------------------- */

#define HANDLER_CHILDREN (HAKMEM_SANITIZER ? 100 : 400)

static volatile sig_atomic_t forks, failed_children, is_child;

static void fork_in_handler(int signal_number)
{
	int saved_errno = errno;
	(void)signal_number;
	pid_t child = fork();
	if (child == 0) {
		is_child = 1;
		limit_child();
	} else {
		int status = 1;
		while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		forks++;
		failed_children += status != 0;
	}
	errno = saved_errno;
}

/* The main loop, interrupted wherever it happens to be: every few operations the slow paths. */
static void allocate_until_enough_forks(timer_t timer)
{
	unsigned seed = 1;
	while (forks < HANDLER_CHILDREN) {
		allocate_a_bit(seed++);
		if (is_child) {
			/* The handler has returned, here. */
			for (unsigned i = 0; i < 50; i++)
				allocate_a_bit(i);
			_exit(0);
		}
		if (seed % 64 == 0) {
			struct itimerspec soon = { .it_value.tv_nsec = 1000 + seed * 7 % 20000 };
			timer_settime(timer, 0, &soon, NULL);
		}
	}
}

static void a_handler_that_interrupted_malloc_may_fork(void **state)
{
	(void)state;
	/* glibc's own fork deadlocks over glibc's own arenas here, which is not ours to mend: so
	 * only legacy and next. */
	if (strcmp(route_set, "system") == 0)
		skip();
	assert_true(route_without_system(route_set));

	struct sigaction action = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;
	forks = failed_children = 0;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	allocate_until_enough_forks(timer);
	timer_delete(timer);
	signal(SIGUSR1, SIG_IGN);
	assert_int_equal(failed_children, 0);
	print_message("%s: %d children of a handler that interrupted malloc, none hung\n", route_set,
		      (int)forks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_of_busy_threads_allocate_at_once),
		cmocka_unit_test(children_may_do_what_their_parents_do),
		cmocka_unit_test(a_handler_that_interrupted_malloc_may_fork),
	};
	const char *wanted = getenv("HAKMEM_TEST_CHILDREN");
	children = wanted ? atoi(wanted) : HAKMEM_SANITIZER ? 100 : 1000;
	if (children < 1) {
		fprintf(stderr, "HAKMEM_TEST_CHILDREN=%s: how many is that?\n", wanted);
		return 2;
	}
	/* As a system, a sanitizer's malloc does not survive a fork among threads. */
	return run_under_all_routes(tests, HAKMEM_SANITIZER ? route_without_system : route_all);
}

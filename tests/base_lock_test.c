/* SPDX-License-Identifier: MIT */
/* tests/base_lock_test.c - the futex lock, and the fork protocol over all locks */
#include "shim/base/lock.h"

#include "tests/support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two groups, one with a stride, as the shards of legacy have. */
struct padded {
	CACHE_ALIGN struct lock lock;
};
static struct lock single = LOCK_INIT;
static struct padded many[8];

static void a_lock_knows_whether_this_thread_holds_it(void **state)
{
	(void)state;
	assert_false(lock_held_by_self(&single));
	assert_false(lock_acquire(&single));
	assert_true(lock_held_by_self(&single));
	assert_false(lock_try(&single));
	lock_release(&single);
	assert_false(lock_held_by_self(&single));
	assert_true(lock_try(&single));
	lock_release(&single);
}

static void *try_and_look(void *argument)
{
	bool *found = argument;
	found[0] = lock_try(&single);
	found[1] = lock_held_by_self(&single);
	return NULL;
}

static void a_lock_held_by_another_is_not_ours(void **state)
{
	(void)state;
	bool found[2] = { true, true };
	pthread_t thread;
	lock_acquire(&single);
	assert_int_equal(pthread_create(&thread, NULL, try_and_look, found), 0);
	pthread_join(thread, NULL);
	assert_false(found[0]);
	assert_false(found[1]);
	lock_release(&single);
}

/* --- exclusion and waking -------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 30000 };
static uint64_t counted; /* plain: the lock is what protects it */
static _Atomic uint64_t waits;

static void *count(void *argument)
{
	uint64_t waited = 0;
	for (int i = 0; i < ROUNDS; i++) {
		waited += lock_acquire(&single);
		/* Whoever is the first stays until another waits. */
		while (counted == 0 && !(load_relaxed(&single.word) & LOCK_SLEEPER))
			sched_yield();
		uint64_t before = counted;
		if (i % 64 == 0)
			sched_yield(); /* so that the others meet it taken */
		counted = before + 1;
		lock_release(&single);
	}
	fetch_add_relaxed(&waits, waited);
	return argument;
}

static void one_thread_at_a_time_is_inside(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, count, NULL), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(counted, THREADS * ROUNDS);
	assert_true(load_relaxed(&waits) > 0);
	assert_int_equal(load_relaxed(&single.word), 0);
}

static void *acquire_once(void *argument)
{
	errno = 4711;
	bool waited = lock_acquire(&single);
	if (errno != 4711)
		abort();
	lock_release(&single);
	return waited ? argument : NULL;
}

static void sleepers_are_woken_one_after_the_other(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	lock_acquire(&single);
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, acquire_once, &single), 0);
	/* Until one of them says that it goes to sleep; the others may be anywhere by then. */
	while (!(load_relaxed(&single.word) & LOCK_SLEEPER))
		sched_yield();
	assert_true(lock_held_by_self(&single));
	lock_release(&single);
	size_t waited = 0;
	for (int t = 0; t < THREADS; t++) {
		void *result;
		pthread_join(threads[t], &result);
		waited += result != NULL;
	}
	assert_true(waited >= 1);
	assert_int_equal(load_relaxed(&single.word) & ~LOCK_SLEEPER, 0);
}

/* --- fork ------------------------------------------------------------------------------ */

static bool all_free(void)
{
	if (load_relaxed(&single.word))
		return false;
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		if (load_relaxed(&many[i].lock.word))
			return false;
	return true;
}

/* In the child: every lock can be had, except the one it holds itself. */
static void use_all_locks_and_exit(struct lock *held)
{
	alarm(60); /* a hang is a failure, not a wait */
	if (held) {
		if (!lock_held_by_self(held))
			_exit(1);
		lock_release(held);
	}
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		lock_acquire(&many[i].lock);
		lock_release(&many[i].lock);
	}
	lock_acquire(&single);
	lock_release(&single);
	_exit(all_free() ? 0 : 2);
}

/* As pthread_atfork() does it. Returns the child's status. */
static int fork_with_locks(struct lock *held)
{
	int status = -1;
	fork_prepare();
	pid_t child = fork();
	if (child == 0) {
		fork_child();
		use_all_locks_and_exit(held);
	}
	fork_parent();
	if (waitpid(child, &status, 0) != child)
		abort();
	return status;
}

static void a_fork_leaves_all_locks_free_on_both_sides(void **state)
{
	(void)state;
	assert_int_equal(fork_with_locks(NULL), 0);
	assert_true(all_free());
}

static void prepare_takes_every_lock(void **state)
{
	(void)state;
	fork_prepare();
	assert_true(lock_held_by_self(&single));
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		assert_true(lock_held_by_self(&many[i].lock));
	fork_parent();
	assert_true(all_free());
}

static void a_lock_held_before_the_fork_stays_held_on_both_sides(void **state)
{
	(void)state;
	struct lock *locks[] = { &single, &many[0].lock, &many[7].lock };
	for (size_t i = 0; i < 3; i++) {
		lock_acquire(locks[i]);
		assert_int_equal(fork_with_locks(locks[i]), 0);
		assert_true(lock_held_by_self(locks[i]));
		lock_release(locks[i]);
		assert_true(all_free());
	}
}

/* The handler interrupts a thread that holds a lock: raised there, so that it does. */
static _Atomic(struct lock *) interrupted;
static _Atomic int status_in_handler;

static void fork_in_handler(int number)
{
	(void)number;
	status_in_handler = fork_with_locks(interrupted);
}

static _Atomic bool stop;

static void *hold_one_after_the_other(void *argument)
{
	while (!load_relaxed(&stop)) {
		for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
			lock_acquire(&many[i].lock);
			lock_release(&many[i].lock);
		}
		lock_acquire(&single);
		lock_release(&single);
	}
	return argument;
}

static void *fork_and_fork(void *argument)
{
	uintptr_t failures = 0;
	for (int i = 0; i < 20; i++) {
		struct lock *held = i % 2 ? argument : NULL;
		if (held)
			lock_acquire(held);
		failures += fork_with_locks(held) != 0;
		if (held)
			lock_release(held);
	}
	return (void *)failures;
}

static void threads_that_fork_at_once_over_busy_locks_all_get_on(void **state)
{
	(void)state;
	pthread_t busy, forking[3];
	struct lock *held[] = { &single, &many[3].lock, &many[7].lock };
	store_relaxed(&stop, false);
	assert_int_equal(pthread_create(&busy, NULL, hold_one_after_the_other, NULL), 0);
	for (int t = 0; t < 3; t++)
		assert_int_equal(pthread_create(&forking[t], NULL, fork_and_fork, held[t]), 0);
	for (int t = 0; t < 3; t++) {
		void *failures;
		pthread_join(forking[t], &failures);
		assert_null(failures);
	}
	store_relaxed(&stop, true);
	pthread_join(busy, NULL);
	assert_true(all_free());
}

static void a_handler_that_interrupted_a_holder_may_fork(void **state)
{
	(void)state;
	signal(SIGUSR1, fork_in_handler);
	interrupted = &many[2].lock;
	lock_acquire(interrupted);
	status_in_handler = -1;
	raise(SIGUSR1);
	assert_int_equal(status_in_handler, 0);
	assert_true(lock_held_by_self(interrupted));
	lock_release(interrupted);
	assert_true(all_free());
}

/* A handler that comes while prepare has the locks: not run before they are given back. */
static void a_handler_does_not_fork_inside_another_fork(void **state)
{
	(void)state;
	signal(SIGUSR1, fork_in_handler);
	interrupted = NULL;
	status_in_handler = -1;
	alarm(60);
	fork_prepare();
	raise(SIGUSR1);
	assert_int_equal(status_in_handler, -1);
	fork_parent();
	assert_int_equal(status_in_handler, 0);
	alarm(0);
	assert_true(all_free());
}

/* Holds a lock that a fork waits for, and ends the process once the fork waits. */
static void *hold_and_terminate(void *forking)
{
	const struct timespec patience = { .tv_sec = 20 };
	sigset_t terminate;
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &terminate, NULL); /* for the thread that forks alone */
	lock_acquire(&many[7].lock);
	store_release(&stop, true);
	while (load_relaxed(&many[0].lock.word) != (uintptr_t)forking)
		sched_yield();
	kill(getpid(), SIGTERM);
	pselect(0, NULL, NULL, NULL, &patience, &terminate);
	kill(getpid(), SIGKILL);
	return NULL;
}

static void a_fork_that_waits_for_ever_can_be_ended(void **state)
{
	(void)state;
	if (HAKMEM_SANITIZER)
		skip(); /* TSan refuses threads after a fork */
	int status = 0;
	store_relaxed(&stop, false);
	pid_t child = fork();
	if (child == 0) {
		pthread_t thread;
		signal(SIGTERM, SIG_DFL);
		if (pthread_create(&thread, NULL, hold_and_terminate, (void *)thread_token()))
			_exit(1);
		while (!load_acquire(&stop))
			sched_yield();
		fork_prepare();
		_exit(2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* Is to be cancelled while it waits, but is in the middle of a fork. */
static _Atomic int waiter;

static void *fork_although_cancelled(void *argument)
{
	pthread_cancel(pthread_self());
	store_release(&waiter, gettid());
	fork_prepare();
	fork_parent();
	store_release(&stop, true);
	pthread_testcancel();
	return argument;
}

/* Or has ended. */
static bool is_asleep(int task)
{
	char path[64], line[256] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", task);
	FILE *f = fopen(path, "r");
	if (!f)
		return true;
	char *got = fgets(line, sizeof(line), f);
	fclose(f);
	const char *end = got ? strrchr(line, ')') : NULL;
	return end && end[2] == 'S';
}

static void a_thread_is_not_cancelled_inside_a_fork(void **state)
{
	(void)state;
	pthread_t thread;
	store_relaxed(&stop, false);
	store_relaxed(&waiter, 0);
	lock_acquire(&many[7].lock);
	assert_int_equal(pthread_create(&thread, NULL, fork_although_cancelled, NULL), 0);
	while (!load_acquire(&waiter) || !is_asleep(load_relaxed(&waiter)))
		sched_yield();
	lock_release(&many[7].lock);
	pthread_join(thread, NULL);
	assert_true(load_acquire(&stop));
	assert_true(all_free());
}

static int set_up(void **state)
{
	(void)state;
	lock_join_fork(&single, 1, sizeof(single));
	lock_join_fork(&many[0].lock, sizeof(many) / sizeof(many[0]), sizeof(many[0]));
	lock_join_fork(&single, 1, sizeof(single)); /* twice is once */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_knows_whether_this_thread_holds_it),
		cmocka_unit_test(a_lock_held_by_another_is_not_ours),
		cmocka_unit_test(one_thread_at_a_time_is_inside),
		cmocka_unit_test(sleepers_are_woken_one_after_the_other),
		cmocka_unit_test(prepare_takes_every_lock),
		cmocka_unit_test(a_fork_leaves_all_locks_free_on_both_sides),
		cmocka_unit_test(a_lock_held_before_the_fork_stays_held_on_both_sides),
		cmocka_unit_test(threads_that_fork_at_once_over_busy_locks_all_get_on),
		cmocka_unit_test(a_handler_that_interrupted_a_holder_may_fork),
		cmocka_unit_test(a_handler_does_not_fork_inside_another_fork),
		cmocka_unit_test(a_fork_that_waits_for_ever_can_be_ended),
		cmocka_unit_test(a_thread_is_not_cancelled_inside_a_fork),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

/* SPDX-License-Identifier: MIT */
/* shim/base/lock.c - the futex lock's slow paths and the fork protocol; see lock.h */
#include "shim/base/lock.h"

#include "shim/base/check.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS_BEFORE_SLEEP 64
#define FORK_GROUPS_MAX	   16

/* The kernel compares 32 bits: the low half, which holds the sleeper bit, lies at the word's own
 * address on the little-endian machines we build for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the word's low half");

static void futex(struct lock *lock, int op, uint32_t value)
{
	int saved_errno = errno;
	syscall(SYS_futex, &lock->word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
	errno = saved_errno;
}

void lock_wait(struct lock *lock)
{
	for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
		spin_pause();
		if (load_relaxed(&lock->word) == 0 && lock_try(lock))
			return;
	}
	for (;;) {
		uintptr_t word = load_relaxed(&lock->word);
		if (word == 0) {
			/* The winner keeps the sleeper bit: it cannot know whether others still sleep.
			 * acquire: pairs with the release in lock_release() */
			if (cas_acquire(&lock->word, &word, thread_token() | LOCK_SLEEPER))
				return;
		} else if ((word & LOCK_SLEEPER) ||
			   cas_relaxed(&lock->word, &word, word | LOCK_SLEEPER)) {
			futex(lock, FUTEX_WAIT, (uint32_t)(word | LOCK_SLEEPER));
		}
	}
}

void lock_wake(struct lock *lock)
{
	futex(lock, FUTEX_WAKE, 1);
}

/* --- fork -------------------------------------------------------------------------------------
 *
 * One thread forks at a time: it has the turn. It waits for each lock in turn while it keeps those it has,
 * which closes no circle: whoever else holds a lock holds no other and gets on, except one kind. A thread
 * may fork from a signal handler over a lock that it holds, and then stands still until it has the turn
 * itself. So it first writes itself into the list of those, and the forking thread passes its lock over:
 * nothing changes under it while its holder stands still. In the child such a lock is free, and what it
 * guards is as the holder left it in the middle of its work.
 *
 * No handler runs from prepare to parent and child, in the thread that forks: one that forks as well would
 * wait for the turn that the thread below it has, and one that jumps out would leave the locks behind. So
 * signals are blocked, except those that end processes, where they have no handler: in between libc waits for
 * locks of its own, for ever if the fork comes from a handler that interrupted libc's malloc, and there has to
 * be a way to end that. (Another thread may give such a signal a handler just then. It runs, and must not
 * fork.)
 */
#define STANDING_MAX	  64
#define YIELDS_BEFORE_NAP 64
#define NAP_NS		  50000

static struct {
	struct lock *first;
	size_t count;
	size_t stride_bytes;
} groups[FORK_GROUPS_MAX];
static size_t group_count;

static struct lock turn = LOCK_INIT;
static struct lock *kept;    /* [lock: turn] held by the forking thread before the fork */
static sigset_t mask_before; /* [lock: turn] */
static _Atomic uintptr_t standing[STANDING_MAX]; /* [any thread] tokens; 0: none */

void lock_join_fork(struct lock *first, size_t count, size_t stride_bytes)
{
	for (size_t i = 0; i < group_count; i++)
		if (groups[i].first == first)
			return;
	if (group_count == FORK_GROUPS_MAX)
		fatal_internal("group_count < FORK_GROUPS_MAX", __FILE__, __LINE__);
	groups[group_count].first = first;
	groups[group_count].count = count;
	groups[group_count].stride_bytes = stride_bytes;
	group_count++;
}

static struct lock *lock_at(size_t group, size_t i)
{
	return (struct lock *)((char *)groups[group].first + i * groups[group].stride_bytes);
}

static void each_lock(void (*visit)(struct lock *lock))
{
	for (size_t g = 0; g < group_count; g++)
		for (size_t i = 0; i < groups[g].count; i++)
			visit(lock_at(g, i));
}

static void wait_a_little(unsigned tries)
{
	int saved_errno = errno;
	if (tries < YIELDS_BEFORE_NAP)
		sched_yield();
	else /* The holder may have a lower priority than this thread. Not nanosleep(), where a thread that
	      * is to be cancelled would end with all its locks. */
		syscall(SYS_nanosleep, &(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	errno = saved_errno;
}

static bool stands_still(uintptr_t token)
{
	for (size_t i = 0; i < STANDING_MAX; i++)
		/* acquire: pairs with the release in stand_still(), see take() */
		if (load_acquire(&standing[i]) == token)
			return true;
	return false;
}

static void stand_still(void)
{
	for (unsigned tries = 0;; wait_a_little(tries++)) {
		for (size_t i = 0; i < STANDING_MAX; i++) {
			uintptr_t nobody = 0;
			/* release: what this thread did under its lock comes before the fork that passes
			 * the lock over */
			if (cas_release(&standing[i], &nobody, thread_token()))
				return;
		}
	}
}

static void move_on(void)
{
	for (size_t i = 0; i < STANDING_MAX; i++)
		if (load_relaxed(&standing[i]) == thread_token())
			store_relaxed(&standing[i], 0);
}

/* The lock this thread holds, if there is one: it holds one at most. */
static struct lock *held_by_self(void)
{
	for (size_t g = 0; g < group_count; g++)
		for (size_t i = 0; i < groups[g].count; i++)
			if (lock_held_by_self(lock_at(g, i)))
				return lock_at(g, i);
	return NULL;
}

static void take(struct lock *lock)
{
	for (unsigned tries = 0; lock != kept && !lock_try(lock); wait_a_little(tries++)) {
		uintptr_t holder = load_relaxed(&lock->word) & ~LOCK_SLEEPER;
		/* Nobody leaves the list without the turn, so who is found there stays. */
		if (holder && stands_still(holder))
			return;
	}
}

static void give_back(struct lock *lock)
{
	if (lock != kept && lock_held_by_self(lock))
		lock_release(lock);
}

/* In the child: taken by this thread, or held by one that is not here. */
static void make_free(struct lock *lock)
{
	if (lock != kept)
		store_relaxed(&lock->word, 0);
}

static void block_handlers(sigset_t *before)
{
	/* Those that people, terminals and alarms send to end a process. Asking about one costs a system
	 * call, and a fork has not many to spare. */
	static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGALRM, SIGTERM };
	sigset_t blocked;
	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		struct sigaction action;
		if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
			sigdelset(&blocked, ending[i]);
	}
	/* Added, not set: what the program has blocked stays so. */
	pthread_sigmask(SIG_BLOCK, &blocked, before);
}

static void end_turn(void)
{
	sigset_t mask = mask_before;
	lock_release(&turn);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void fork_prepare(void)
{
	sigset_t before;
	block_handlers(&before);
	struct lock *held = held_by_self();
	if (held)
		stand_still();
	lock_acquire(&turn);
	mask_before = before;
	kept = held;
	each_lock(take);
}

void fork_parent(void)
{
	each_lock(give_back);
	move_on();
	end_turn();
}

void fork_child(void)
{
	each_lock(make_free);
	for (size_t i = 0; i < STANDING_MAX; i++)
		store_relaxed(&standing[i], 0);
	end_turn();
}

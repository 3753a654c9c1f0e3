/* SPDX-License-Identifier: MIT */
/* shim/base/lock.c - the futex lock's slow paths and the fork protocol; see lock.h */
#include "shim/base/lock.h"

#include "shim/base/check.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
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
 * Two threads may fork at once, and one of them may do so from a signal handler over a lock that it
 * holds. Waiting for lock after lock could then close a circle: A holds x (below its handler) and
 * waits for y, B took y in its own prepare and waits for x. So prepare is all or nothing: whoever
 * meets a taken lock gives back all it took, waits for that one lock alone, and starts again. The
 * thread that holds x gets everything as soon as the others have given back.
 */
static struct {
	struct lock *first;
	size_t count;
	size_t stride_bytes;
} groups[FORK_GROUPS_MAX];
static size_t group_count;

/* Which locks prepare took is not written down in the locks: those this thread held before the fork
 * are told apart by this set, filled under no lock but only ever used by the thread that forks,
 * which holds all others. A thread holds at most one lock outside prepare. */
static _Atomic(struct lock *) held_before_fork;

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

/* Releases every lock before (end_group, end_i) except the one this thread held all along. */
static void release_until(size_t end_group, size_t end_i, const struct lock *keep)
{
	for (size_t g = 0; g <= end_group && g < group_count; g++) {
		size_t end = g == end_group ? end_i : groups[g].count;
		for (size_t i = 0; i < end; i++)
			if (lock_at(g, i) != keep)
				lock_release(lock_at(g, i));
	}
}

static bool try_all(const struct lock *keep, struct lock **busy)
{
	for (size_t g = 0; g < group_count; g++) {
		for (size_t i = 0; i < groups[g].count; i++) {
			struct lock *lock = lock_at(g, i);
			if (lock == keep || lock_try(lock))
				continue;
			release_until(g, i, keep);
			*busy = lock;
			return false;
		}
	}
	return true;
}

void fork_prepare(void)
{
	struct lock *keep = NULL, *busy = NULL;
	for (size_t g = 0; g < group_count && !keep; g++)
		for (size_t i = 0; i < groups[g].count && !keep; i++)
			if (lock_held_by_self(lock_at(g, i)))
				keep = lock_at(g, i);
	while (!try_all(keep, &busy)) {
		lock_acquire(busy);
		lock_release(busy);
		sched_yield();
	}
	store_relaxed(&held_before_fork, keep);
}

void fork_parent(void)
{
	release_until(group_count, 0, load_relaxed(&held_before_fork));
}

void fork_child(void)
{
	/* Nobody sleeps on these locks here, whatever their state says: a wake finds no one. */
	fork_parent();
}

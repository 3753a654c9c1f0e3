/* SPDX-License-Identifier: MIT */
/* shim/base/lock.h - a futex lock that knows its owner, and the fork protocol over all locks
 *
 * pthread_mutex_t cannot say whether *this* thread holds it without being an error-checking one,
 * and that kind cannot be unlocked by the child of a fork. Both are needed here: a signal handler
 * may fork while it interrupted a thread inside malloc, and that thread's child must neither wait
 * for the lock it holds itself nor lose it.
 *
 * Rule: outside of fork_prepare() a thread holds at most one lock at a time. So whoever holds a lock
 * gets on, and fork_prepare() may wait for it whatever else is held; see lock.c for who does not. One lock
 * may be held while another is taken: that of flips (shim/route.h), which joins first and whose holder
 * blocks all signals, so that it is no handler's to fork over.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

/* One word, so that owning and being known as the owner are one step: a signal between two would see
 * a lock that is held by nobody.
 *   0                     free
 *   thread_token()        held
 *   thread_token() | 1    held, and somebody may sleep on it */
struct lock {
	_Atomic uintptr_t word; /* [any thread] */
};

#define LOCK_INIT    { .word = 0 }
#define LOCK_SLEEPER ((uintptr_t)1)

/* A value that names the running thread and that no other living thread has: the thread pointer. It
 * is even, and the same in the child of a fork. */
INLINE uintptr_t thread_token(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

void lock_wait(struct lock *lock); /* the slow path of lock_acquire */
void lock_wake(struct lock *lock); /* the slow path of lock_release */

INLINE MUST_USE bool lock_try(struct lock *lock)
{
	uintptr_t free_word = 0;
	/* acquire: pairs with the release in lock_release() */
	return cas_acquire(&lock->word, &free_word, thread_token());
}

/* Returns true if it had to wait: legacy counts those. */
INLINE bool lock_acquire(struct lock *lock)
{
	if (likely(lock_try(lock)))
		return false;
	lock_wait(lock);
	return true;
}

INLINE void lock_release(struct lock *lock)
{
	/* release: pairs with the acquire in lock_try() and lock_wait() */
	if (unlikely(exchange_release(&lock->word, 0) & LOCK_SLEEPER))
		lock_wake(lock);
}

INLINE bool lock_held_by_self(struct lock *lock)
{
	return (load_relaxed(&lock->word) & ~LOCK_SLEEPER) == thread_token();
}

/* Makes `count` locks, `stride_bytes` apart, part of the fork protocol. At most 16 groups; call it
 * while there is one thread (start-up). */
void lock_join_fork(struct lock *first, size_t count, size_t stride_bytes);

/* The three pthread_atfork handlers. prepare takes every lock that this thread does not hold itself;
 * parent and child release what prepare took. No handler of a signal runs from prepare to the other two; a
 * signal that is sent to end the process ends it all the same, if it has no handler. */
void fork_prepare(void);
void fork_parent(void);
void fork_child(void);

#endif

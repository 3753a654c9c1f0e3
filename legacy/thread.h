/* SPDX-License-Identifier: MIT */
/* legacy/thread.h - thread records: start, exit, reuse, and their end in a forked child */
#ifndef LEGACY_THREAD_H
#define LEGACY_THREAD_H

#include "legacy/types.h"

void legacy_threads_init(void);

/* Every record there is, by all_next. */
MUST_USE struct legacy_thread *legacy_threads_first(void);

/* Started and not exited. */
MUST_USE size_t legacy_threads_started(void);

/* Takes all blocks that wait in the remote stacks of any thread home. True if there were some. */
bool legacy_threads_reclaim(struct legacy_thread *t);

/* In the child of a fork. `interrupted`: this thread was inside of legacy when it forked. */
void legacy_threads_fork_child(bool interrupted);

/* Around everything that moves blocks between the caches of `t` and elsewhere. A signal handler
 * that forks in between finds it in the child; so only the compiler has to keep the order. */
INLINE void thread_enter(struct legacy_thread *t)
{
	store_relaxed(&t->inside, true);
	__asm__ __volatile__("" ::: "memory");
}

INLINE void thread_leave(struct legacy_thread *t)
{
	__asm__ __volatile__("" ::: "memory");
	store_relaxed(&t->inside, false);
}

#endif

/* SPDX-License-Identifier: MIT */
/* tests/verify/fibers.h - the threads of a scenario, of which one runs at a time */
#ifndef VERIFY_FIBERS_H
#define VERIFY_FIBERS_H

#include "tests/verify/explore.h"

enum execution_end {
	EXECUTION_COMPLETE,
	EXECUTION_SEEN,	   /* it came to a state that was searched before */
	EXECUTION_LEARNED, /* one more place turned out to be shared */
};

/* Runs the threads from their beginnings, as search.h chooses. */
enum execution_end fibers_run(struct bounds bounds);

/* Ends the running execution, from within a thread. */
__attribute__((noreturn)) void fibers_leave(enum execution_end end);

/* The running thread is about to access a place that others can see: here another may go first. */
void fibers_point(void);

/* Which of `count` values, the first being the newest, the running thread takes. */
unsigned fibers_choose_stale(unsigned count);

/* True once after explore_wait_zero(). */
bool fibers_must_see_newest(void);

/* The running code does something; it must not do so for ever. */
void fibers_step(void);

/* Whether this is memory of one thread only: a stack, or a thread-local variable. */
bool fibers_own(const void *address);

#endif

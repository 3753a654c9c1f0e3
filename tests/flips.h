/* SPDX-License-Identifier: MIT */
/* tests/flips.h - every class of this process takes another side, again and again
 *
 * A thread of its own sets one plan after the other, FLIPS_PERIOD_MS apart, whatever the other threads are doing. With its
 * first one it adds the process's number to the file $FLIPS_LOG, if that is set. Only where there are two pools.
 */
#ifndef TESTS_FLIPS_H
#define TESTS_FLIPS_H

#include "shim/base/compiler.h"

#define FLIPS_PERIOD_MS 10

/* Lists of plans, each ended by NULL. Next and the old side, whole and by halves of the threads; no class of the mid band
 * is ever the system's. */
extern const char *const flips_plans[];
/* No class is ever the system's: for where that has to bear more than it can. */
extern const char *const flips_plans_without_system[];

/* Begins with a plan that differs from process to process. False if no thread is to be had. One at a time; a child of a
 * fork has none. */
MUST_USE bool flips_start(const char *const plans[]);

/* Returns when no more plan is set. Nothing if there are no flips. The last plan stays. */
void flips_stop(void);

/* In the child of a fork: goes on as its parent did, counting anew; nothing if no thread is to be had. */
void flips_fork_child(void);

/* How many plans this process has set. Any thread. */
unsigned long flips_made(void);

#endif

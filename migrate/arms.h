/* SPDX-License-Identifier: MIT */
/* migrate/arms.h - how long mallocs take, of a canary's threads and of the old cohort's, class by class
 *
 * Sampled through the side door: at random moments a heap is marked and its slots of the classes in question are emptied,
 * so that its next malloc of one of them comes through the slow path, where a marked heap's malloc is timed
 * (next_ask_for_sample()). Old mallocs of such a class come through the slow path anyway. So malloc and free carry no
 * instruction for it, and a heap that is not marked pays nothing at all. A malloc that had a block at hand when its slot was
 * emptied gets the slot back first, untimed, and then takes the fast path by the clock; one that had none is timed in its
 * search. So the canary's samples are those of the mallocs that would have been.
 *
 * Only classes that are next's for a share of the threads have two arms in one process. If the share has a control arm,
 * only that one is the old cohort, else everybody outside the share.
 */
#ifndef MIGRATE_ARMS_H
#define MIGRATE_ARMS_H

#include "migrate/sequence.h"
#include "migrate/share.h"
#include "next/bin.h"

/* How often a moment is chosen while sampling is wanted. */
#define ARMS_INTERVAL_MS 1

/* What the class's arms are from now on; `share` NULL: it has none. Where it was flipped, or its old cohort is another one,
 * what was counted before is forgotten. Between shim_flips_begin() and shim_flips_end(). A sample that is being taken may
 * still be counted. */
void arms_set(unsigned class, const struct share *share, bool flipped);

/* True if some class has two arms. Any thread. */
MUST_USE bool arms_any(void);

/* [waiting thread] One moment: marks some heaps. */
void arms_sample(void);

/* Adds what was counted since the class's last flip to the two. Any thread. */
void arms_read(unsigned class, struct latency *canary, struct latency *old);

#endif

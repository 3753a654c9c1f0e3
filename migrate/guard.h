/* SPDX-License-Identifier: MIT */
/* migrate/guard.h - guards: what next must not do, and the rollback that follows by itself
 *
 *   guard         trips when                                            judged                 goes back
 *   misuse        misuse or damage was found in a block of next's       at once, by who finds  the class; all if not known
 *   reservation   next had no memory and the system had, so many times  at once, by who asks   the class
 *   held          bytes held per live byte, over the old pool's,        once a second          the class; all if it is the sum
 *                 five looks in a row
 *   latency       p99 of a sampled malloc, over the old cohort's        four times a second    the class; all canaries if it is
 *                                                                                              all of them together
 *   rss           the resident set is above the ceiling                 ten times a second     all
 *
 * Every rollback of a guard is latched, said in one line, seen in the status with its cause, and two probes (guard_trip and
 * rollback). The first two need no thread; for the others the waiting thread (control.h) calls guard_tick().
 *
 * With the misuse guard armed misuse does not end the process: the block is leaked, its page quarantined (next/misuse.h).
 * The program's rollback handler is then called a little later, from a place where it may allocate: the thread that
 * found the misuse may be in the middle of a free.
 */
#ifndef MIGRATE_GUARD_H
#define MIGRATE_GUARD_H

#include "migrate/guard_setting.h"
#include "migrate/rollout.h"
#include "next/bin.h"

/* HAKMEM_GUARD. At the start. */
void guard_read_environment(void);

/* Arms what the text says and disarms the rest; "" disarms all. NULL, or what is wrong: then nothing changed. Any
 * thread. */
MUST_USE const char *guard_set(const char *text);

/* The text as it was set, and a NUL. */
void guard_text(char out[GUARD_TEXT_MAX + 1]);

/* True if something is armed, or a rollout going on, that has to be looked at now and then. */
MUST_USE bool guard_wants_thread(void);

/* [any waiting thread] When to come again, in ms, -1: never; and the looking. */
MUST_USE int guard_patience_ms(void);
void guard_tick(void);

/* Somebody compares the arms now: for the next ten seconds latency is sampled, whether a guard is armed or not. */
void guard_want_samples(void);

/* In the child of a fork. */
void guard_fork_child(void);

/* What the guards say of one class: latency, held and rss (which is the process's) as of the last look; misuse and
 * reservation since they were armed, go where nothing was found, whether there was anything to find or not. */
struct guard_class {
	bool misuse_armed, reservation_armed, latency_armed, held_armed, rss_armed;
	enum rollout_outcome misuse, reservation, latency, held, rss;
};
void guard_read_class(unsigned class, struct guard_class *out);

struct guard_counts {
	uint64_t trips, misuses, failed_reservations;
};
void guard_read_counts(struct guard_counts *out);

#endif

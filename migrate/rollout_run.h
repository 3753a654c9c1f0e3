/* SPDX-License-Identifier: MIT */
/* migrate/rollout_run.h - a rollout of the program's own, walked by the waiting thread (rollout.h decides)
 *
 * Its steps are live plans: the live plan as it was at the start, and behind it the rollout's items, which override it.
 * One at a time.
 */
#ifndef MIGRATE_ROLLOUT_RUN_H
#define MIGRATE_ROLLOUT_RUN_H

#include "migrate/rollout.h"
#include "next/bin.h"
#include "shim/hakmem.h"

/* `rollout` not begun; `classes` as plans name them. NULL, or what is wrong, and nothing happened. Any thread. */
MUST_USE const char *rollout_run_start(const struct rollout *rollout, const char *classes,
				       bool roll_back_on_stop);

/* Ends the one that is going on, if there is one. Any thread. */
void rollout_run_stop(bool roll_back);

void rollout_run_read(struct hakmem_rollout_status *out);

MUST_USE bool rollout_run_is_going(void);

/* [waiting thread, one at a time] A look, and what follows. Not more often than ten times a second. */
void rollout_run_tick(uint64_t now_ns);

#endif

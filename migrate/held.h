/* SPDX-License-Identifier: MIT */
/* migrate/held.h - bytes that pools hold per byte that lives in them, next's against the old ones'
 *
 *   next     resident memory of the class's pages, asked of the kernel (mincore): a page is cut long before it is touched
 *   legacy   its pages in service and those that are free and resident
 *   system   what its mallinfo2() says it has from the kernel
 *
 * An old pool gets worse by the migration itself: what leaves it leaves holes. So next is held against the best that the
 * old pool was seen at, with HELD_BASE_MIN_BYTES live in it at least.
 */
#ifndef MIGRATE_HELD_H
#define MIGRATE_HELD_H

#include "legacy/legacy.h"
#include "migrate/rollout.h"
#include "next/next.h"
#include "shim/route.h"

#define HELD_BASE_MIN_BYTES (1 * MIB)

/* Of the system; all 0 where it does not tell. Walks its arenas. Any thread. */
void held_of_system(struct rollout_held *held);
void held_of_legacy(const struct legacy_counters *counters, struct rollout_held *held);

/* Remembers how good the old pools are now. Any thread. */
void held_look_at_old(const struct legacy_counters *counters);

/* The old pool at its best; all 0 if it was not seen with so much in it. Any thread. */
void held_best_of(enum shim_backend side, struct rollout_held *held);

#endif

/* SPDX-License-Identifier: MIT */
/* legacy/transfer.h - layer 5: full batches of blocks on their way between threads
 *
 * A few slots a class, each with room for one batch. Owner-aware: a batch remembers who spilled
 * it, and a thread that refills takes its own back first, whose lines its CPU may still hold.
 *
 *   EMPTY --(put: CAS)--> BUSY --(release)--> FULL --(take: CAS)--> BUSY --(release)--> EMPTY
 *
 * BUSY is only ever skipped, never waited for.
 */
#ifndef LEGACY_TRANSFER_H
#define LEGACY_TRANSFER_H

#include "legacy/types.h"

#define TRANSFER_SLOTS 8 /* a class */

/* Puts REFILL_BLOCKS blocks in a slot; false if none is empty. */
MUST_USE bool legacy_transfer_put(struct legacy_thread *t, unsigned class, void *const *blocks);

/* Takes a batch: those that `owner` (an owner word) spilled first, then any. Returns the number
 * of blocks, REFILL_BLOCKS or 0. */
MUST_USE unsigned legacy_transfer_take(uintptr_t owner, unsigned class, void **blocks);

/* Only what `owner` spilled. */
MUST_USE unsigned legacy_transfer_take_own(uintptr_t owner, unsigned class, void **blocks);

/* In the child of a fork, slot by slot: what lies in slot i of the class, in whatever state it
 * is; the slot is empty afterwards. The blocks have to be checked. */
unsigned legacy_transfer_salvage(unsigned class, unsigned i, void **blocks);

#endif

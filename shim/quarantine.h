/* SPDX-License-Identifier: MIT */
/* shim/quarantine.h - freed blocks that wait before they are used again, the oldest first
 *
 * Bounded by number and by bytes. Any thread; none of this allocates.
 */
#ifndef SHIM_QUARANTINE_H
#define SHIM_QUARANTINE_H

#include "shim/base/compiler.h"
#include "shim/base/map.h"

#define QUARANTINE_BYTES     (16 * MIB)
#define QUARANTINE_BLOCK_MAX (1 * MIB) /* larger blocks hold address space alone, and count a 64th of it */

struct quarantined {
	void *block;
	size_t bytes;	    /* of the pool's block */
	enum map_kind kind; /* of its slot in the address map */
};

/* Before the first of the others, while there is one thread. */
void quarantine_start(void);

/* Puts one in. Whoever does so then takes as many as there are too many. */
void quarantine_put(struct quarantined entry);

/* The oldest, if there are too many; false if not. */
MUST_USE bool quarantine_take(struct quarantined *entry);

/* Whether the address lies in a block that waits. For a handler of a fault: false as well while the ring is changed. */
MUST_USE bool quarantine_covers(const void *address);

/* The oldest, if there is any. */
MUST_USE bool quarantine_take_any(struct quarantined *entry);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/record_marks.h - which blocks are in the recording: one bit for each 8 bytes of address space
 *
 * A free is recorded if and only if its malloc was. The malloc decides, by whatever means, and leaves a mark; the free
 * looks for it. So both ends are kept or neither, whatever was recorded when, and whatever was lost.
 *
 * The bits of a 4 MiB slot are 64 KiB, mapped when the first block of the slot is marked, resident where blocks are:
 * 1.6 % of the memory at most. The slot is watched (shim/base/map.h) as soon as it has a mark.
 *
 * SYNCHRONIZATION: whoever holds the block is the only one to touch its bit, but its word has 63 others: exchanges.
 * The tables' pointers are set once, by compare; their memory is never unmapped.
 */
#ifndef MIGRATE_RECORD_MARKS_H
#define MIGRATE_RECORD_MARKS_H

#include "shim/base/compiler.h"

/* True if the block is marked. `block`: any address. */
MUST_USE bool record_mark_is_set(const void *block);

/* False if there is no memory for the mark, or the address has none: it is misaligned, or too high. */
MUST_USE bool record_mark_set(const void *block);

void record_mark_clear(const void *block);

/* Frees are not told any more; marks stay. */
void record_marks_unwatch(void);

/* No mark is left. The memory goes back to the kernel. */
void record_marks_clear_all(void);

#endif

/* SPDX-License-Identifier: MIT */
/* shim/marks.h - which blocks are watched: one bit for each 8 bytes of address space
 *
 * A free is told if and only if its malloc was (watch.h). The malloc decides, by whatever means, and leaves a mark; the
 * free looks for it. So both ends are kept or neither, whatever was watched when, and whatever was lost.
 *
 * The bits of a 4 MiB slot are 64 KiB, mapped when the first block of the slot is marked, resident where blocks are:
 * 1.6 % of the memory at most. The slot is watched (shim/base/map.h) as soon as it has a mark.
 *
 * SYNCHRONIZATION: whoever holds the block is the only one to touch its bit, but its word has 63 others: exchanges.
 * The tables' pointers are set once, by compare; their memory is never unmapped.
 */
#ifndef SHIM_MARKS_H
#define SHIM_MARKS_H

#include "shim/base/map.h"

#define MARKS_GRANULE_SHIFT 3
#define MARKS_LEAF_SLOTS    4096
#define MARKS_LEAVES	    (MAP_SLOTS / MARKS_LEAF_SLOTS)

/* Two levels of pointers, to leaves and from them to a slot's words. [any thread, see above] */
typedef _Atomic uint64_t marks_word;
typedef _Atomic(void *) marks_entry;
extern HIDDEN marks_entry marks_leaves[MARKS_LEAVES];

INLINE marks_word *marks_words_of(uintptr_t slot)
{
	if (unlikely(slot >= MAP_SLOTS))
		return NULL;
	/* acquire: both pair with the exchange in make() */
	marks_entry *leaf = load_acquire(&marks_leaves[slot / MARKS_LEAF_SLOTS]);
	return likely(leaf != NULL) ? load_acquire(&leaf[slot % MARKS_LEAF_SLOTS]) : NULL;
}

INLINE size_t marks_word_at(uintptr_t address)
{
	return (address & MAP_SLOT_MASK) >> (MARKS_GRANULE_SHIFT + 6);
}

INLINE uint64_t marks_bit_at(uintptr_t address)
{
	return (uint64_t)1 << (address >> MARKS_GRANULE_SHIFT) % 64;
}

/* True if the block is marked. `block`: any address. */
INLINE bool marks_has(const void *block)
{
	uintptr_t address = (uintptr_t)block;
	marks_word *words = marks_words_of(address >> MAP_SLOT_SHIFT);
	/* relaxed: whoever has the block was handed it after the mark */
	return words && (load_relaxed(&words[marks_word_at(address)]) & marks_bit_at(address)) &&
	       address % (1 << MARKS_GRANULE_SHIFT) == 0;
}

/* False if there is no memory for the mark, or the address has none: it is misaligned, or too high. */
MUST_USE bool marks_set(const void *block);

void marks_clear(const void *block);

/* Frees are not told any more; marks stay. */
void marks_unwatch(void);

/* No mark is left. The memory goes back to the kernel. */
void marks_clear_all(void);

#endif

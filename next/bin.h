/* SPDX-License-Identifier: MIT */
/* next/bin.h - size classes: which class a size belongs to, and how large its blocks are
 *
 * Sizes are counted in units of 16 bytes, less one: unit = (bytes - 1) / 16.
 *
 *   unit    0 .. 15     class = unit               16, 32, ... 256
 *   unit   16 .. 2047   eight classes a doubling   288, 320, ... 512, 576, ... 32 KiB
 *   unit 2048 ..        two classes a doubling     48 KiB, 64, 96, 128, ... 1 MiB
 *
 *   e = floor(log2(unit)), e >= 4:   fine = (unit >> (e - 3)) + 8 (e - 3)
 *                                    8 .. 15 from the top four bits, 8 for each doubling
 *
 * Eight to a doubling waste 4.4 % on average, four 8.9 %. What a large block has too much costs address
 * space only, since nobody touches it; but each class of each thread keeps blocks that were used and are
 * free, and the fewer classes there are the fewer such blocks. So above 32 KiB four fine ones are one class.
 * Every border of legacy's classes (1, 2, 4, 6, 8, 12, 16, 32 KiB) is a border here too, so a class is never
 * split between two old backends.
 *
 * All of these have pages and slots in every heap (bins); the last class, NEXT_CLASS_HUGE, is everything
 * larger.
 */
#ifndef NEXT_BIN_H
#define NEXT_BIN_H

#include "shim/base/compiler.h"

#define NEXT_BIN_MAX_BYTES   (1 * MIB) /* the largest block that comes from a page */
#define NEXT_CLASS_MAX_BYTES (1 * MIB) /* the largest class with a size of its own */
#define FINE_BINS	     72	 /* those up to 32 KiB */
#define FINE_BINS_A_COARSE   4
#define NEXT_BINS	     82
#define NEXT_CLASS_HUGE	     82
#define NEXT_CLASSES	     83

/* As if there were eight to a doubling throughout; units from 16 on. */
INLINE size_t fine_of_large_unit(size_t unit)
{
	size_t e = highest_bit(unit);
	return (unit >> (e - 3)) + 8 * (e - 3);
}

INLINE size_t bin_of_unit(size_t unit)
{
	if (unit < 16)
		return unit;
	size_t fine = fine_of_large_unit(unit);
	return fine < FINE_BINS ? fine : FINE_BINS + (fine - FINE_BINS) / FINE_BINS_A_COARSE;
}

/* A heap has a slot for every unit below SLOT_UNITS, so that malloc need not find the class of a size up to
 * 1 KiB, and one for each fine class above. The slots of a class lie side by side. The last slot is that of the sizes
 * without a class, and holds the empty page for ever. */
#define SLOT_UNITS 64
#define SLOT_OF_NONE (SLOT_UNITS + (FINE_BINS - 32) + (NEXT_BINS - FINE_BINS) * FINE_BINS_A_COARSE)
#define NEXT_SLOTS (SLOT_OF_NONE + 1)

INLINE size_t slot_of_large_unit(size_t unit)
{
	return fine_of_large_unit(unit) + SLOT_UNITS - 32;
}

INLINE unsigned slot_first(unsigned bin)
{
	if (bin < 16)
		return bin;
	if (bin < 24)
		return 16 + (bin - 16) * 2;
	if (bin < 32)
		return 32 + (bin - 24) * 4;
	unsigned coarse = bin < FINE_BINS ? 0 : bin - FINE_BINS;
	return bin + SLOT_UNITS - 32 + coarse * (FINE_BINS_A_COARSE - 1);
}

INLINE unsigned slot_last(unsigned bin)
{
	return slot_first(bin + 1) - 1;
}

/* The class of any size; 0 counts as 1. */
INLINE unsigned next_class_of(size_t bytes)
{
	size_t unit = (bytes - (bytes != 0)) >> 4;
	return unit < NEXT_CLASS_MAX_BYTES / 16 ? (unsigned)bin_of_unit(unit) : NEXT_CLASS_HUGE;
}

/* The largest size of a class below NEXT_CLASS_HUGE: its block size, where it has pages. */
INLINE size_t next_class_bytes(unsigned class)
{
	if (class < 16)
		return ((size_t)class + 1) * 16;
	if (class >= FINE_BINS)
		class = FINE_BINS + (class - FINE_BINS) * FINE_BINS_A_COARSE + FINE_BINS_A_COARSE - 1;
	unsigned e = (class - 16) / 8 + 4;
	return ((size_t)((class - 16) % 8 + 9) << (e - 3)) * 16;
}

#endif

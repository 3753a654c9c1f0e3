/* SPDX-License-Identifier: MIT */
/* next/bin.h - size classes: which class a size belongs to, and how large its blocks are
 *
 * Sizes are counted in units of 16 bytes, less one: unit = (bytes - 1) / 16.
 *
 *   unit   0 .. 15   class = unit               16, 32, ... 256
 *   unit  16 ..      eight classes a doubling   288, 320, ... 512, 576, ... 1 MiB
 *
 *   e = floor(log2(unit)), e >= 4:   class = (unit >> (e - 3)) + 8 (e - 3)
 *                                    8 .. 15 from the top four bits, 8 for each doubling
 *
 * Eight to a doubling waste 4.4 % on average, four 8.9 %. Every border of legacy's classes (1, 2, 4, 6,
 * 8, 12, 16, 32 KiB) is a border here too, so a class is never split between two old backends.
 *
 * All of these have pages and a slot in every heap (bins); the last class, NEXT_CLASS_HUGE, is everything
 * larger.
 */
#ifndef NEXT_BIN_H
#define NEXT_BIN_H

#include "shim/base/compiler.h"

#define NEXT_BIN_MAX_BYTES   (1 * MIB) /* the largest block that comes from a page */
#define NEXT_CLASS_MAX_BYTES (1 * MIB) /* the largest class with a size of its own */
#define NEXT_BINS	     112
#define NEXT_CLASS_HUGE	     112
#define NEXT_CLASSES	     113

/* The class of a unit up to that of NEXT_CLASS_MAX_BYTES; the first is for units from 16 on. */
INLINE size_t bin_of_large_unit(size_t unit)
{
	size_t e = highest_bit(unit);
	return (unit >> (e - 3)) + 8 * (e - 3);
}

INLINE size_t bin_of_unit(size_t unit)
{
	return unit < 16 ? unit : bin_of_large_unit(unit);
}

/* A heap has a slot for every unit below SLOT_UNITS, so that malloc need not find the class of a size up to
 * 1 KiB, and one for each class above. The slots of a class lie side by side. */
#define SLOT_UNITS 64
#define NEXT_SLOTS (SLOT_UNITS + NEXT_BINS - 32)

INLINE size_t slot_of_large_unit(size_t unit)
{
	return bin_of_large_unit(unit) + SLOT_UNITS - 32;
}

INLINE unsigned slot_first(unsigned bin)
{
	if (bin < 16)
		return bin;
	if (bin < 24)
		return 16 + (bin - 16) * 2;
	return bin < 32 ? 32 + (bin - 24) * 4 : bin + SLOT_UNITS - 32;
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
	unsigned e = (class - 16) / 8 + 4;
	return ((size_t)((class - 16) % 8 + 9) << (e - 3)) * 16;
}

#endif

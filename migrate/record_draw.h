/* SPDX-License-Identifier: MIT */
/* migrate/record_draw.h - which allocations are drawn: the gaps between them
 *
 * If each of a row of allocations is drawn with probability p, by itself, the numbers of those that are left out between two
 * that are drawn have a geometric distribution: for u even in (0, 1]
 *
 *     gap = floor(ln u / ln (1 - p))
 *
 * So it is enough to draw the gaps, and what is left out costs no draw. All of it is in whole numbers: malloc calls no libm.
 */
#ifndef MIGRATE_RECORD_DRAW_H
#define MIGRATE_RECORD_DRAW_H

#include "shim/base/compiler.h"

/* Any number becomes one that is spread evenly over 0 .. 2^32 - 1: the finaliser of MurmurHash3. */
INLINE uint32_t draw_hash(uint64_t h)
{
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (uint32_t)(h >> 32);
}

/* -log2(value / 2^32), 1 <= value <= 2^32, in units of 2^-40. */
MUST_USE uint64_t draw_log(uint64_t value);

/* The gap that the hash of `number` makes, where draw_log() of the share that is left out, in 2^-32, is `log_of_rest` > 0. */
MUST_USE uint64_t draw_gap_of(uint64_t number, uint64_t log_of_rest);

#endif

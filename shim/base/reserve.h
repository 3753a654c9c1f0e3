/* SPDX-License-Identifier: MIT */
/* shim/base/reserve.h - large sparse tables: address space first, memory where it is written
 *
 * A reserved table reads as zero everywhere, at the price of address space alone: its pages are
 * mapped read-only, which the kernel does not count as committed. The 4 KiB page around an entry is
 * made writable before the entry is first written.
 */
#ifndef BASE_RESERVE_H
#define BASE_RESERVE_H

#include "shim/base/compiler.h"

/* Zeroed read-only address space, or NULL. */
MUST_USE void *reserve_table(size_t bytes);

/* Makes [start, start + bytes) of a reserved table writable; again is harmless. False if the kernel
 * refuses. Any thread. */
MUST_USE bool reserve_writable(void *start, size_t bytes);

#endif

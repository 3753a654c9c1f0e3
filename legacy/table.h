/* SPDX-License-Identifier: MIT */
/* legacy/table.h - from an address to the descriptor of its page: one uthash table, one lock
 *
 * This is rank 2 of the plan's bottlenecks: 2 to 4 look-ups for each block that goes out and comes
 * back, each under the lock. Who looks up, and why:
 *
 *   malloc, hand-out   1  to mark the block live; caches hold bare addresses
 *   free               1  to find page and class, to check the pointer, to compare the owner
 *   spill or flush     1  for each block that goes home, to find its shard
 *   remote stack       1  for each block that the owner takes over, to find its link
 *
 * So a block that stays in a thread's caches costs 2, one that travels 3 or 4.
 */
#ifndef LEGACY_TABLE_H
#define LEGACY_TABLE_H

#include "legacy/types.h"

void legacy_table_init(void);

/* True if the calling thread holds the lock. */
MUST_USE bool legacy_table_interrupted(void);

/* The descriptor of the 64 KiB page that holds `address`, or NULL. Type-stable: it may be looked at
 * after the lock is released. `t` is who pays in the counters, or NULL. */
MUST_USE struct legacy_page *legacy_table_find(struct legacy_thread *t, const void *address);

/* Enters all pages of a chunk; false, and none is entered, if there is no memory. */
MUST_USE bool legacy_table_add(struct legacy_chunk *chunk);

/* uthash's memory, from the kernel. [lock: table] */
void *legacy_table_memory(size_t bytes);
void legacy_table_memory_back(void *p, size_t bytes);

#endif

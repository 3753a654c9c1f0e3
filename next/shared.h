/* SPDX-License-Identifier: MIT */
/* next/shared.h - pages without an owner that have free blocks: eight stacks a class
 *
 * A heap without a thread sheds its pages here; a heap that has none left of a class looks here before it
 * takes fresh slices. Eight shards keep threads off each other's words; a thread begins at its own.
 */
#ifndef NEXT_SHARED_H
#define NEXT_SHARED_H

#include "next/types.h"

#define SHARED_SHARDS 8

/* The page is the caller's, its owner word OWNER_SHARED. */
void shared_push(struct next_page *page, uint32_t shard);

/* A page of the class that is then the caller's alone, still OWNER_SHARED; NULL if there is none. */
MUST_USE struct next_page *shared_pop(unsigned bin, uint32_t shard);

/* The same, from one shard. */
MUST_USE struct next_page *shared_pop_from(unsigned bin, uint32_t shard);

#endif

/* SPDX-License-Identifier: MIT */
/* shim/malloc.h - the slow path of malloc, for the other entry points */
#ifndef SHIM_MALLOC_H
#define SHIM_MALLOC_H

#include "shim/base/map.h"
#include "shim/route.h"

/* Any size; by policy. NULL with errno ENOMEM. */
MUST_USE void *shim_malloc_slow(size_t bytes);

/* What malloc does next with a miss of the page at hand (shim_malloc_miss), as the tail call of an entry point too. */
MUST_USE void *shim_malloc_other_word(size_t bytes, struct next_page *at_hand);
MUST_USE void *shim_malloc_system(size_t bytes, struct next_page *at_hand);

/* The free of a block that is not in a MAP_NEXT slot, with what it is told: see struct checked_claim. */
void shim_free_claimed(void *block, size_t bytes, size_t alignment);

/* Gives NULL and sets errno. */
COLD void *shim_out_of_memory(void);

/* For callers that have asked for the route, or the address map, already. */
MUST_USE void *shim_malloc_from(unsigned word, size_t bytes, uint32_t site, bool by_site);
MUST_USE void *shim_calloc_from(unsigned word, size_t bytes);
void shim_free_unwatched(void *block, enum map_kind kind);
MUST_USE void *shim_realloc_unwatched(void *block, size_t bytes, enum map_kind kind); /* bytes > 0 */

#endif

/* SPDX-License-Identifier: MIT */
/* shim/watch.h - malloc and free of classes and blocks that somebody watches
 *
 * The side door. A malloc comes here because its class's route has SHIM_RECORD, which shuts next's door, so that it
 * misses the fast path by itself. A free comes here because the slot of its address has MAP_WATCHED, which is
 * what makes its kind unequal to those that free looks for. Neither costs those an instruction that are not watched,
 * and a thread that only frees is seen like any other. (Shutting a thread's own door, with an owner that no page
 * carries, would not do: a thread that never comes into malloc would have to be told.)
 *
 * Everything here does what the unwatched call does and tells the hooks of it.
 */
#ifndef SHIM_WATCH_H
#define SHIM_WATCH_H

#include "shim/base/map.h"
#include "shim/hooks.h"
#include "shim/route.h"

/* word: the route's, as it is */
MUST_USE void *watch_malloc(unsigned word, size_t bytes, uint32_t site, bool by_site);
/* bytes: in all */
MUST_USE void *watch_calloc(size_t bytes, size_t each_bytes);
/* alignment: a power of two above NEXT_ALIGNMENT. NULL without memory; errno may be changed. */
MUST_USE void *watch_aligned(size_t alignment, size_t bytes);
void watch_free(void *block, enum map_kind kind);
/* Only tells of it. */
void watch_tell_free(void *block, enum map_kind kind);
/* Whose the block is, in a slot of that kind. */
MUST_USE enum shim_served watch_owner_of(const void *block, enum map_kind kind);
MUST_USE void *watch_realloc(void *block, size_t bytes, enum map_kind kind); /* bytes > 0 */

#endif

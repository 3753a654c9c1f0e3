/* SPDX-License-Identifier: MIT */
/* shim/watch.h - malloc and free of classes and blocks that somebody watches
 *
 * The side door. A malloc comes here because its class's route has SHIM_RECORD, which shuts next's door, so that it
 * misses the fast path by itself. A free comes here because the slot of its address has MAP_WATCHED, which is
 * what makes its kind unequal to those that free looks for. Neither costs those an instruction that are not watched,
 * and a thread that only frees is seen like any other. (Shutting a thread's own door, with an owner that no page
 * carries, would not do: a thread that never comes into malloc would have to be told.)
 *
 * Everything here does what the unwatched call does and tells the hooks of it; of a malloc, if the thread's passes are used
 * up, and of a free if the block has a mark. Most have passes, or none, so these two looks are what watching costs.
 */
#ifndef SHIM_WATCH_H
#define SHIM_WATCH_H

#include "shim/base/map.h"
#include "shim/hooks.h"
#include "shim/route.h"

/* The first word of a thread's room (next_thread_room()), in the upper half the era, in the lower one how many of the
 * thread's mallocs are not to be told in it. Nothing passes in another era, and with 0 left. [the thread] */
#define WATCH_PASSES_MAX ((uint64_t)UINT32_MAX)
extern HIDDEN _Atomic uint64_t watch_era; /* [hooks write] in the upper half; never the same one again, never 0 */

/* word: the class's route's, as it is */
MUST_USE void *watch_malloc(size_t bytes, uint32_t site, bool by_site, unsigned class, unsigned word);
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

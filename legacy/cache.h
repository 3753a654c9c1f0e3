/* SPDX-License-Identifier: MIT */
/* legacy/cache.h - layers 1 to 4: a thread's ring, LIFO and active pages, and how they refill */
#ifndef LEGACY_CACHE_H
#define LEGACY_CACHE_H

#include "legacy/types.h"

/* Where a block came from: one of the layers, or LEGACY_LAYERS for a fresh page. */
struct legacy_source {
	unsigned layer;
	bool has_header; /* a valid one: it lay in the ring */
};

/* A free block of `class`, its state unchanged; NULL without memory. */
MUST_USE void *legacy_cache_take(struct legacy_thread *t, unsigned class,
				 struct legacy_source *source);

/* Keeps a free block; without room the oldest are spilled to the transfer cache or the shards. */
void legacy_cache_put(struct legacy_thread *t, unsigned class, void *block);

/* Everything that `t` caches, in its caches and in batches that it spilled, goes home. */
void legacy_cache_flush(struct legacy_thread *t);

/* A batch of REFILL_BLOCKS cached blocks goes home. `t` pays, or NULL. */
void legacy_cache_send_batch_home(struct legacy_thread *t, void *const *blocks);

/* Blocks taken off a remote stack go home. `t` pays, or NULL. */
void legacy_cache_send_home(struct legacy_thread *t, void *taken);

/* In the child of a fork: takes home what a record of a thread that is not here caches, as far as
 * it is nobody's. Only sound while no cache holds anything else. */
void legacy_cache_salvage(struct legacy_thread *absent);
/* The same for one pointer found in a cache. */
void legacy_cache_salvage_block(const void *block);

#endif

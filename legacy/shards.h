/* SPDX-License-Identifier: MIT */
/* legacy/shards.h - layer 6: the freelists, 7 classes x 8 shards, a lock each
 *
 * A shard's freelist is threaded through its pages: a list of the pages that have blocks at home,
 * and in each page a bit for each of them. So a page whose blocks are all home leaves the list in
 * O(1), and nothing that a program writes into a freed block is ever followed.
 *
 * A page belongs to one shard as long as it is in service, and its blocks go home there and nowhere
 * else; mallocs take from any.
 */
#ifndef LEGACY_SHARDS_H
#define LEGACY_SHARDS_H

#include "legacy/types.h"

void legacy_shards_init(void);

/* What a visit to a shard brings: either `count` single blocks, or a run for the caller to bump. */
struct legacy_haul {
	bool wants_run;	     /* in: the caller has room for a run */
	unsigned count;	     /* blocks[0 .. count) */
	struct bump_run run; /* run.page is NULL if there is none */
	void *blocks[REFILL_BLOCKS];
};

/* Free blocks of `class` from the shards; false if all of them are empty. Tries the locks of as
 * many neighbours as there are probes, then waits. Pages whose owner is gone become the
 * caller's. */
MUST_USE bool legacy_shards_pop(struct legacy_thread *t, unsigned class, struct legacy_haul *haul);

/* A cached block goes home. If it was the page's last, the page is retired: the caller may not
 * touch it afterwards. */
void legacy_shards_push(struct legacy_thread *t, struct legacy_page *page, unsigned index);

/* A live block, without a cache on the way; NULL without memory. */
MUST_USE void *legacy_shards_malloc(unsigned class);
/* A live block goes home; false (and nothing happened) if it is not live. */
MUST_USE bool legacy_shards_free(struct legacy_page *page, unsigned index);

/* In the child of a fork: takes a block home unless it is live or at home. */
void legacy_shards_push_stray(struct legacy_page *page, unsigned index);

/* True if the calling thread holds one of the locks. */
MUST_USE bool legacy_shards_interrupted(void);

#endif

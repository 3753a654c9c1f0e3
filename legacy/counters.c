/* SPDX-License-Identifier: MIT */
/* legacy/counters.c - adds up what the threads and the pools have counted; see counters.h */
#include "legacy/counters.h"

#include "legacy/pages.h"
#include "legacy/thread.h"

#include <string.h>

struct legacy_tally legacy_uncached_tally;

static void add_tally(struct legacy_counters *c, struct legacy_tally *tally)
{
	c->contended_trylocks += load_relaxed(&tally->contended_trylocks);
	c->table_waits += load_relaxed(&tally->table_waits);
	c->hash_lookups += load_relaxed(&tally->hash_lookups);
	c->headers_written += load_relaxed(&tally->headers_written);
	for (unsigned layer = 0; layer < LEGACY_LAYERS; layer++)
		c->layer_hits[layer] += load_relaxed(&tally->layer_hits[layer]);
	c->fresh_pages += load_relaxed(&tally->fresh_pages);
	c->uncached_mallocs += load_relaxed(&tally->uncached_mallocs);
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		c->class_lock_waits[class] += load_relaxed(&tally->lock_waits[class]);
		c->class_remote_frees[class] += load_relaxed(&tally->remote_frees[class]);
		c->class_mallocs[class] += load_relaxed(&tally->mallocs[class]);
		/* May wrap for one thread, which frees what others allocate; the sum does not. */
		c->class_live_blocks[class] += load_relaxed(&tally->mallocs[class]);
		c->class_live_blocks[class] -= load_relaxed(&tally->frees[class]);
	}
}

void legacy_read_counters(struct legacy_counters *c)
{
	memset(c, 0, sizeof(*c));
	add_tally(c, &legacy_uncached_tally);
	for (struct legacy_thread *t = legacy_threads_first(); t; t = t->all_next)
		add_tally(c, &t->tally);
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++) {
		c->lock_waits += c->class_lock_waits[class];
		c->remote_frees += c->class_remote_frees[class];
		/* A free may be seen whose malloc was not yet. */
		if (c->class_live_blocks[class] > SIZE_MAX / 2)
			c->class_live_blocks[class] = 0;
		c->class_live_bytes[class] =
			c->class_live_blocks[class] * legacy_classes[class].payload_bytes;
	}
	c->threads = legacy_threads_started();
	legacy_pages_count(c);
}

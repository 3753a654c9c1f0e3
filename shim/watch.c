/* SPDX-License-Identifier: MIT */
/* shim/watch.c - malloc and free of classes and blocks that somebody watches; see watch.h */
#include "shim/watch.h"

#include "legacy/legacy.h"
#include "next/fast.h"
#include "shim/aligned.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/malloc.h"
#include "shim/marks.h"

_Static_assert(SHIM_SERVED_LEGACY - SHIM_SERVED_LEGACY_LAYER == LEGACY_LAYERS,
	       "one name for each of legacy's layers");

/* What is known before the act, from which the layer is told after it. */
struct before {
	const struct next_page *at_hand; /* next: the page that malloc would pop from; NULL: none */
	uint64_t hits[LEGACY_LAYERS];	 /* legacy: which layers served this thread so far */
};

static void look_before(struct before *before, enum shim_backend backend, size_t bytes)
{
	before->at_hand = NULL;
	if (backend == SHIM_NEXT && bytes <= NEXT_BIN_MAX_BYTES) {
		const struct next_page *page = next_heap_self->queue[next_class_of(bytes)];
		before->at_hand = page && page->in_slot ? page : NULL;
	} else if (backend == SHIM_LEGACY) {
		legacy_layer_hits(shim_legacy_thread(), before->hits);
	}
}

enum shim_served watch_owner_of(const void *block, enum map_kind kind)
{
	switch (kind) {
	case MAP_NEXT:
	case MAP_NEXT_CHECKED:
		return load_relaxed(&page_of(block)->owner) == OWNER_SPAN ? SHIM_SERVED_NEXT_SPAN
									  : SHIM_SERVED_NEXT;
	case MAP_NEXT_HUGE:
	case MAP_NEXT_HUGE_REST:
		return SHIM_SERVED_NEXT_HUGE;
	case MAP_NEXT_GUARDED:
		return SHIM_SERVED_NEXT;
	case MAP_LEGACY:
		return SHIM_SERVED_LEGACY;
	case MAP_STRANGER:
	case MAP_NEXT_HUGE_GONE:
		break;
	}
	return SHIM_SERVED_SYSTEM;
}

static enum shim_served legacy_layer(const struct before *before)
{
	uint64_t hits[LEGACY_LAYERS];
	legacy_layer_hits(shim_legacy_thread(), hits);
	for (unsigned layer = 0; layer < LEGACY_LAYERS; layer++)
		if (hits[layer] != before->hits[layer])
			return SHIM_SERVED_LEGACY_LAYER + layer;
	return SHIM_SERVED_LEGACY_FRESH;
}

static enum shim_served served_by(const void *block, const struct before *before)
{
	enum map_kind kind = map_kind_of(block);
	enum shim_served owner = watch_owner_of(block, kind);
	if (owner == SHIM_SERVED_NEXT && kind != MAP_NEXT_GUARDED)
		return page_of(block) == before->at_hand ? SHIM_SERVED_NEXT_HAND
							 : SHIM_SERVED_NEXT_REFILL;
	return owner == SHIM_SERVED_LEGACY ? legacy_layer(before) : owner;
}

_Atomic uint64_t watch_era;

/* A thread without a heap has no passes, and cannot use one up. */
INLINE bool may_pass(void)
{
	uint64_t *passes = next_heap_self->room;
	/* relaxed: an era begins before any route has SHIM_RECORD for it; who is late was in flight */
	if (*passes - load_relaxed(&watch_era) - 1 >= WATCH_PASSES_MAX)
		return false;
	--*passes;
	return true;
}

static bool is_told(void)
{
	return !may_pass() && shim_before_malloc();
}

static NOINLINE void *malloc_asked(size_t bytes, uint32_t site, bool by_site, unsigned class,
				   unsigned word)
{
	struct before before;
	if (!shim_before_malloc())
		return shim_malloc_from(word, bytes, site, by_site);
	look_before(&before, shim_route_resolve(class, word), bytes);
	void *block = shim_malloc_from(word, bytes, site, by_site);
	if (block)
		shim_at_malloc(block, bytes, served_by(block, &before));
	return block;
}

void *watch_malloc(size_t bytes, uint32_t site, bool by_site, unsigned class, unsigned word)
{
	if (unlikely(!may_pass()))
		return malloc_asked(bytes, site, by_site, class, word);
	/* What shim_malloc_from() comes to, for the most common case. */
	if (likely(word == (SHIM_NEXT | SHIM_RECORD) && !by_site)) {
		void *block = next_malloc_unslotted(class);
		if (likely(block != NULL))
			return block;
	}
	return shim_malloc_from(word, bytes, site, by_site);
}

static enum shim_backend backend_of(size_t bytes)
{
	unsigned class = next_class_of(bytes);
	return shim_route_resolve(class, shim_route_word_of(class));
}

void *watch_calloc(size_t bytes, size_t each_bytes)
{
	struct before before;
	unsigned class = next_class_of(bytes), word = shim_route_word_of(class);
	if (!is_told())
		return shim_calloc_from(word, bytes);
	look_before(&before, shim_route_resolve(class, word), bytes);
	void *block = shim_calloc_from(word, bytes);
	if (block)
		shim_at_calloc(block, each_bytes ? bytes / each_bytes : 0, each_bytes,
			       served_by(block, &before));
	return block;
}

void *watch_aligned(size_t alignment, size_t bytes)
{
	struct before before;
	enum shim_backend backend = backend_of(bytes);
	if (!is_told())
		return shim_aligned_from(backend, alignment, bytes);
	look_before(&before, backend, bytes);
	void *block = shim_aligned_from(backend, alignment, bytes);
	if (block)
		shim_at_aligned(block, alignment, bytes, served_by(block, &before));
	return block;
}

void watch_tell_free(void *block, enum map_kind kind)
{
	if (marks_has(block))
		shim_at_free(block, kind);
}

static NOINLINE void free_marked(void *block, enum map_kind kind)
{
	shim_at_free(block, kind);
	shim_free_unwatched(block, kind);
}

void watch_free(void *block, enum map_kind kind)
{
	if (unlikely(marks_has(block)))
		free_marked(block, kind);
	else if (likely(kind == MAP_NEXT))
		next_free_in_slot(block, (uintptr_t)block >> MAP_SLOT_SHIFT);
	else
		shim_free_unwatched(block, kind);
}

void *watch_realloc(void *block, size_t bytes, enum map_kind kind)
{
	struct before before;
	if (!marks_has(block) || !shim_at_realloc(block, kind))
		return shim_realloc_unwatched(block, bytes, kind);
	look_before(&before, backend_of(bytes), bytes);
	void *after = shim_realloc_unwatched(block, bytes, kind);
	enum shim_served served = SHIM_SERVED_UNKNOWN;
	if (after)
		served = after == block ? watch_owner_of(block, map_kind_of(block))
					: served_by(after, &before);
	shim_at_realloc_end(block, after, bytes, served);
	return after;
}

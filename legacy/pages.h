/* SPDX-License-Identifier: MIT */
/* legacy/pages.h - chunks from the kernel, and runs of 64 KiB pages out of them
 *
 * A run is taken, enters service (its blocks may be handed out), and is retired when all its
 * blocks are home. Free pages stay resident up to a small budget; beyond it they go back to the
 * kernel at once.
 */
#ifndef LEGACY_PAGES_H
#define LEGACY_PAGES_H

#include "legacy/types.h"

#define RESIDENT_FREE_PAGES_MAX 64 /* 4 MiB */

void legacy_pages_init(void);

/* True if the calling thread holds the lock. */
MUST_USE bool legacy_pages_interrupted(void);

/* A run for blocks of `class` out of the chunks there are; NULL if none has room. It is the
 * caller's, not yet in service. */
MUST_USE struct legacy_page *legacy_pages_take(unsigned class);

/* Maps one more chunk; false if there is no memory for it, its descriptors or their entries. */
MUST_USE bool legacy_pages_grow(void);

/* Puts a run that was just taken in service, with no block at home. */
void legacy_pages_enter(struct legacy_page *page, unsigned class, unsigned shard, uintptr_t owner);

/* Takes back a run that is in no shard's list and has all its blocks. */
void legacy_pages_retire(struct legacy_page *page);

/* Gives all resident free pages back to the kernel; returns the bytes. */
size_t legacy_pages_trim(void);

/* True once a chunk was mapped. */
MUST_USE bool legacy_pages_any(void);

/* Fills in pages, chunks, mapped, resident and purged bytes. */
void legacy_pages_count(struct legacy_counters *c);

#endif

/* SPDX-License-Identifier: MIT */
/* tests/verify/world.h - the whole of next, small: one segment, and a few pages of one size class
 *
 * All blocks are of that class, so that after an execution a simple count tells whether one is lost: with
 * all heaps left by their threads, a new thread must get exactly the blocks that nobody has, each once.
 */
#ifndef VERIFY_WORLD_H
#define VERIFY_WORLD_H

#include "shim/base/compiler.h"

#define WORLD_FEW  ((size_t)32768) /* block size: 4 blocks a page, and one slot for the class */
#define WORLD_MANY ((size_t)512)   /* 128 blocks, whose bits take two words, and two slots */

/* In setup, first: next begins to work, with memory for this many pages of blocks of this size, which all
 * that follows is about. */
void world_begin(size_t block_bytes, unsigned pages);
unsigned world_bin(void);
unsigned world_page_blocks(void);

/* In setup: from here on the caller plays a thread that has no heap yet, and world_thread() makes it one
 * of the scenario's. A thread that does nothing sleeps. */
void world_new_thread(void);
void world_thread(void (*body)(void));

/* malloc and free as the shim would call them. They see to it that no block is handed out while it is
 * live, and that its contents are handed over with it. NULL if there is none. */
void *world_malloc(void);
void *world_malloc_site(void); /* the same of a call site; WORLD_MANY only */
void world_free(void *block);

/* In check: every thread leaves its heap, and a new one gets all blocks that are not live. */
void world_check(void);
/* The same, but the threads keep their heaps: what they alone may use counts as lost. */
void world_check_asleep(void);

#endif

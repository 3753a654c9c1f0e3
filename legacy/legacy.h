/* SPDX-License-Identifier: MIT */
/* legacy/legacy.h - what the layers above may ask of legacy, the incumbent pool
 *
 * Nothing here sets errno: a failure is NULL or false. Misuse (a pointer that is no live block)
 * ends in fatal_misuse(). There is no thread-local storage in legacy: the caller keeps the
 * legacy_thread of each thread and passes it, always from the thread that started it. Every call
 * but legacy_init() and legacy_configure() may be made by any thread at any time; none is
 * async-signal safe.
 */
#ifndef LEGACY_LEGACY_H
#define LEGACY_LEGACY_H

#include "shim/base/compiler.h"

#define LEGACY_MIN_BYTES 1025
#define LEGACY_MAX_BYTES (32 * KIB)
#define LEGACY_ALIGNMENT 16 /* of every block */
#define LEGACY_PAGE_BYTES (64 * KIB)
#define LEGACY_CLASSES	 7  /* 2, 4, 6, 8, 12, 16 and 32 KiB of payload */

/* The layers of a malloc, in the order in which they are tried. */
enum legacy_layer {
	LEGACY_LAYER_RING,
	LEGACY_LAYER_LIFO,
	LEGACY_LAYER_ACTIVE_A,
	LEGACY_LAYER_ACTIVE_B,
	LEGACY_LAYER_TRANSFER,
	LEGACY_LAYER_SHARD,
	LEGACY_LAYER_REMOTE,
	LEGACY_LAYERS,
};

/* A thread's caches: ring, LIFO, active pages, and the remote stack that others push on. */
struct legacy_thread;

/* --- life ------------------------------------------------------------------------------------- */

/* Makes the locks part of the fork protocol. Once, by one thread, after map_init(). False if
 * there is no address map: then nothing else may be called. */
MUST_USE bool legacy_init(void);

/* Sets the tunables from "probes=1,unified=1,skip_header=1" (any of them, blanks allowed, NULL or
 * "" leaves the defaults 3, 0, 0). Before the first thread and the first block, by one thread.
 * Wrong text changes nothing; *error is then a constant text that says what is wrong. */
MUST_USE bool legacy_configure(const char *text, const char **error);

/* The caches of the calling thread; NULL if there is no memory. From legacy's own OS memory,
 * never from malloc; the record is type-stable and is used again after legacy_thread_exit(). */
MUST_USE struct legacy_thread *legacy_thread_start(void);

/* Everything the thread has cached goes back to the shards. `t` may not be used again; the thread
 * may start another. */
void legacy_thread_exit(struct legacy_thread *t);

/* In the child of a fork, after fork_child() has released the locks. Owners that are not here no
 * longer get remote frees, and what they had cached goes back to the shards. Where the fork came
 * from a signal handler that interrupted this thread inside legacy, those caches stay stranded
 * instead. */
void legacy_fork_child(void);

/* --- blocks ----------------------------------------------------------------------------------- */

/* A block for `bytes` <= LEGACY_MAX_BYTES (fewer than LEGACY_MIN_BYTES get the smallest), 16-byte
 * aligned, contents undefined; NULL for more or without memory. `t` is the calling thread's, or
 * NULL for a block straight from the shards. `site` goes into the block's header. */
MUST_USE void *legacy_malloc(struct legacy_thread *t, size_t bytes, uint32_t site);

/* `block` lies in a MAP_LEGACY slot of the address map. Keeps errno. */
void legacy_free(struct legacy_thread *t, void *block);

/* The bytes a program may use, by the block's class. Same condition as legacy_free(). */
MUST_USE size_t legacy_usable_bytes(const void *block);

/* Takes what waits in remote stacks and transfer caches back to the shards and gives every wholly
 * free page back to the kernel. Caches of threads stay. Returns the bytes given back. */
size_t legacy_trim(void);

/* How often each layer served the thread so far; all 0 if `t` is NULL. By the thread itself. */
void legacy_layer_hits(const struct legacy_thread *t, uint64_t hits[LEGACY_LAYERS]);

/* --- draining -----------------------------------------------------------------------------------
 *
 * Caches are their threads' own, so a thread is asked to empty its own: legacy_drain_begin() asks all of them, and
 * legacy_drain() is called by each, in an ordinary moment of its own, and does it once. */
void legacy_drain_begin(void);
void legacy_drain(struct legacy_thread *t);

/* Threads that were asked and have not done it yet: they sleep, or do not allocate. */
MUST_USE size_t legacy_drain_left(void);

/* --- counters --------------------------------------------------------------------------------- */

struct legacy_counters {
	/* Since the start. */
	uint64_t contended_trylocks; /* of shard locks */
	uint64_t lock_waits;	     /* of shard locks: somebody else held it long enough to wait */
	uint64_t table_waits;	     /* the same of the descriptor table's lock */
	uint64_t hash_lookups;
	uint64_t headers_written;
	uint64_t layer_hits[LEGACY_LAYERS]; /* which layer served a malloc */
	uint64_t fresh_pages;		    /* mallocs that no layer served: a page was taken */
	uint64_t uncached_mallocs;	    /* made without a legacy_thread */
	uint64_t remote_frees;		    /* pushed onto the owner's stack */
	uint64_t purged_bytes;		    /* given back to the kernel */
	uint64_t class_mallocs[LEGACY_CLASSES];
	/* Of the sums above, what is each class's. Memory that goes back is its last class's. */
	uint64_t class_lock_waits[LEGACY_CLASSES];
	uint64_t class_remote_frees[LEGACY_CLASSES];
	uint64_t class_purged_bytes[LEGACY_CLASSES];
	/* Now. Exact while no other thread allocates, else a moment's estimate. */
	size_t class_live_blocks[LEGACY_CLASSES];
	size_t class_live_bytes[LEGACY_CLASSES]; /* by payload */
	size_t class_pages[LEGACY_CLASSES];	 /* of these, in service: a block of theirs lives or is cached */
	size_t class_chunks[LEGACY_CLASSES];	 /* of 4 MiB, in which these pages lie; several classes may share one */
	size_t pages;				 /* of 64 KiB, in service */
	size_t chunks;
	size_t mapped_bytes; /* address space of chunks and their descriptors */
	size_t resident_free_bytes;
	size_t threads; /* started and not exited */
};

void legacy_read_counters(struct legacy_counters *c);

/* The payload of a class, in bytes. */
MUST_USE size_t legacy_class_bytes(unsigned class);

#endif

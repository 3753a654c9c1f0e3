/* SPDX-License-Identifier: MIT */
/* legacy/types.h - geometry, block headers, page descriptors, chunks and thread records
 *
 *   chunk, 4 MiB aligned, MAP_LEGACY       descriptors, a mapping of their own
 *  +-------+-------+-------+---   ---+    +----------------------------------+
 *  | 64 KiB| 64 KiB| 64 KiB|   ...   |    | free, dirty | page[0] .. page[63] |
 *  +-------+-------+-------+---   ---+    +----------------------------------+
 *   `--- a run of 1, 2, 4 or 8 pages holds the blocks of one class ---'
 *
 *   run    | header | payload        | header | payload        | ...  rest |
 *            16 B     class's bytes    16 B
 *
 * A run of pages is described by the descriptor of its first page; the others point to it. `page`
 * without more means such a run's first page.
 *
 * What the pool must be able to trust (a block's state, the links between free blocks) lies in the
 * descriptor, out of the program's reach. The inline header is the incumbent's: written on every
 * allocation and compared on free, never believed.
 *
 * Chunks, descriptors and thread records are type-stable: once mapped, they are never unmapped or
 * used for anything else. So whoever holds a stale pointer to one reads something of that kind,
 * and the map byte of a chunk never changes back. What it costs is address space and descriptors
 * (1 % of a chunk) after a peak; the memory of free pages itself goes back.
 */
#ifndef LEGACY_TYPES_H
#define LEGACY_TYPES_H

#include "legacy/legacy.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"

/* uthash as legacy uses it: memory from the kernel (table.c has the functions), and an insertion
 * that finds no memory is undone and reported. The macros expand in table.c alone. */
#define HASH_NONFATAL_OOM	   1
#define uthash_nonfatal_oom(added) (out_of_memory = true)
#define uthash_malloc(bytes)	   legacy_table_memory(bytes)
#define uthash_free(p, bytes)	   legacy_table_memory_back((p), (bytes))
#define uthash_fatal(message)	   fatal_internal((message), __FILE__, __LINE__)
#include <uthash.h>

#define PAGE_SHIFT	16
#define PAGE_BYTES	((size_t)1 << PAGE_SHIFT)
#define CHUNK_BYTES	MAP_SLOT_BYTES
#define CHUNK_PAGES	64
#define PAGE_BLOCKS_MAX 31 /* 2 KiB and its header, in 64 KiB */
#define SHARDS		8
#define HEADER_BYTES	((size_t)16)

#define RING_SLOTS	   32
#define RING_SLOTS_UNIFIED 256
#define LIFO_SLOTS	   256
#define REFILL_BLOCKS	   16 /* half a ring: what one visit to a shard or a batch brings */
#define SPILL_BLOCKS	   64 /* what leaves at once when ring and LIFO are full */

_Static_assert(LEGACY_PAGE_BYTES == PAGE_BYTES, "as others know it");
_Static_assert(CHUNK_PAGES *PAGE_BYTES == CHUNK_BYTES, "a chunk is one slot of the address map");

/* --- classes ---------------------------------------------------------------------------------- */

struct legacy_class {
	uint32_t payload_bytes;
	uint32_t stride_bytes; /* payload and header */
	uint32_t run_pages;    /* chosen so that the rest of a run is under 6.3 % of it */
	uint32_t capacity;     /* blocks in a run */
};

extern const struct legacy_class legacy_classes[LEGACY_CLASSES];

/* The class of bytes <= LEGACY_MAX_BYTES; all payloads are multiples of 2 KiB. */
INLINE unsigned class_of(size_t bytes)
{
	static const uint8_t class_of_2k[16] = { 0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6 };
	return class_of_2k[(bytes - (bytes != 0)) >> 11];
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Beside every block, below its payload. [who owns the block] */
struct block_header {
	uint32_t size_bytes; /* as asked for; of the class after a refill with skip_header */
	uint32_t site;
	uint32_t class;
	uint32_t magic; /* HEADER_MAGIC with the block's address: a copied header does not match */
};

_Static_assert(sizeof(struct block_header) == HEADER_BYTES, "the payload keeps its alignment");

#define HEADER_MAGIC 0x6b4d656du

enum block_state {
	BLOCK_UNUSED = 0, /* not handed out since its page entered service */
	BLOCK_LIVE = 1,	  /* the program's */
	BLOCK_FREE = 2,	  /* was handed out, is in a cache or at home */
};

/* --- pages ------------------------------------------------------------------------------------ */

struct legacy_chunk;

/* A page's blocks are, each in exactly one place:
 *
 *   capacity == live (state LIVE)
 *             + home (bit set in `home`)
 *             + cached (ring, LIFO, active run, transfer batch, remote stack: none of the above)
 *
 * Wholly free means home has all `capacity` bits. */
struct legacy_page {
	uintptr_t number;	    /* [const] address >> PAGE_SHIFT: the key */
	char *start;		    /* [const] */
	struct legacy_chunk *chunk; /* [const] */
	UT_hash_handle hh;	    /* [lock: table] */

	/* First page of the run in service that this one is part of, or NULL. [any thread reads;
	 * written by who takes the run out of the pool, and under the pool's lock when it goes
	 * back] */
	_Atomic(struct legacy_page *) head;

	/* Of a first page, [const while in service]. The class of one that is free is the last it was in service
	 * of, be it the first of its run or not. [lock: pool] */
	uint8_t class;
	uint8_t shard;
	uint8_t capacity;

	/* owner_word() of the thread that frees are routed to; 0 for none. [any thread reads;
	 * written under the shard's lock] */
	_Atomic uintptr_t owner;

	uint32_t home; /* [lock: shard] blocks in the shard's freelist; all: in no list */
	struct legacy_page *prev; /* [lock: shard] pages with home != 0 */
	struct legacy_page *next;

	/* enum block_state [who owns the block; a shard's lock for blocks handed out uncached].
	 * Plain loads and stores: two frees of one block that race are beyond what is promised. */
	_Atomic uint8_t state[PAGE_BLOCKS_MAX + 1]; /* what is behind the last block is never LIVE */

	/* The block below this one in a remote stack. [who pushes, until pushed; then who takes] */
	_Atomic(void *) link[PAGE_BLOCKS_MAX];
} CACHE_ALIGN;

struct legacy_chunk {
	char *base;		       /* [const] */
	struct legacy_chunk *all_next; /* [const after publication] */
	uint64_t free;		       /* [lock: pool] pages in no run */
	uint64_t dirty;		       /* [lock: pool] of these, resident */
	_Atomic uint8_t class_pages[LEGACY_CLASSES]; /* [any thread] in service, at most CHUNK_PAGES */
	struct legacy_chunk *prev;     /* [lock: pool] chunks with free != 0 */
	struct legacy_chunk *next;
	struct legacy_page pages[CHUNK_PAGES];
};

INLINE void *block_at(const struct legacy_page *page, unsigned index)
{
	return page->start + index * (size_t)legacy_classes[page->class].stride_bytes +
	       HEADER_BYTES;
}

/* Of a pointer that is known to be a block of the page. */
INLINE unsigned block_index(const struct legacy_page *page, const void *block)
{
	size_t offset = (size_t)((const char *)block - page->start);
	return (unsigned)offset / legacy_classes[page->class].stride_bytes;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* One writer, the thread; read by anyone. Cumulative over the threads that used the record. */
struct legacy_tally {
	_Atomic uint64_t contended_trylocks;
	_Atomic uint64_t lock_waits[LEGACY_CLASSES];
	_Atomic uint64_t table_waits;
	_Atomic uint64_t hash_lookups;
	_Atomic uint64_t headers_written;
	_Atomic uint64_t layer_hits[LEGACY_LAYERS];
	_Atomic uint64_t fresh_pages;
	_Atomic uint64_t uncached_mallocs;
	_Atomic uint64_t remote_frees[LEGACY_CLASSES];
	_Atomic uint64_t mallocs[LEGACY_CLASSES];
	_Atomic uint64_t frees[LEGACY_CLASSES];
};

/* Blocks [next, end) of a page, handed out one after the other. [owner; `page` is read by the
 * child of a fork] */
struct bump_run {
	_Atomic(struct legacy_page *) page;
	unsigned next, end;
};

/* One class's caches of one thread. [owner; every slot of ring and lifo, in use or not, is looked
 * at by the child of a fork, which believes none of them] */
struct legacy_cache {
	unsigned ring_first; /* the oldest entry; entries are ring[(ring_first + i) % slots] */
	unsigned ring_count;
	unsigned lifo_count;
	struct bump_run active_a; /* a fresh page, from its first block to its last */
	struct bump_run active_b; /* adjacent blocks from a shard */
	_Atomic(void *) ring[RING_SLOTS_UNIFIED];
	_Atomic(void *) lifo[LIFO_SLOTS];
};

/* A record outlives its thread and serves the next one. Each incarnation has a tag of its own,
 * and a record whose tags are used up (after 65,534 threads) is not used again: no page ever
 * carries an owner word that means another thread.
 *
 *   owner word     63     48 47                    0      `word`, and legacy_page.owner
 *                 +---------+-----------------------+
 *                 |   tag   | address of the record |
 *                 +---------+-----------------------+
 *   remote stack  |   tag   | address of a block    |      0: empty
 *                 +---------+-----------------------+
 */
#define TAG_SHIFT    48
#define TAG_LAST     0xffffu
#define ADDRESS_MASK (((uintptr_t)1 << TAG_SHIFT) - 1)

struct legacy_thread {
	uintptr_t word; /* [owner; const while started] */
	unsigned shard; /* [const] where its pages live and its refills begin */
	_Atomic bool
		inside; /* [owner] in a call that moves blocks: a fork now must leave them alone */

	/* The tag is the incarnation that may be pushed to. [any thread] */
	CACHE_ALIGN _Atomic uintptr_t remote;

	CACHE_ALIGN struct legacy_tally tally;
	struct legacy_thread *all_next;	 /* [const after publication] */
	struct legacy_thread *free_next; /* [lock: records] */
	_Atomic uint32_t drained; /* [owner; others read] the last round of draining it took part in */
	bool started;			 /* [lock: records] */
	uintptr_t token;		 /* [lock: records] thread_token() of the thread */

	struct legacy_cache caches[LEGACY_CLASSES]; /* [owner] */
};

INLINE uintptr_t word_tag(uintptr_t word)
{
	return word >> TAG_SHIFT;
}

INLINE void *word_address(uintptr_t word)
{
	return (void *)(word & ADDRESS_MASK);
}

INLINE uintptr_t word_make(uintptr_t tag, const void *address)
{
	return tag << TAG_SHIFT | (uintptr_t)address;
}

#endif

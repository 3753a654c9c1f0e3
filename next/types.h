/* SPDX-License-Identifier: MIT */
/* next/types.h - segments, pages and heaps, and the equations that hold between their fields
 *
 * A segment: 4 MiB, aligned to 4 MiB, 64 slices of 64 KiB. Never unmapped once mapped, and its header
 * slices never hold anything else, so a page descriptor may be read at any time.
 *
 *   slice 0                              1 ... 63
 *  +-------+---------------------+------+---------+-----------+------+-----------------+
 *  | guard | header: page_at[64],| gap  | page of | page of 3 | free |  span of one    |
 *  | 4 KiB | 64 page descriptors |      | 1 slice | slices    |      |  block          |
 *  +-------+---------------------+------+---------+-----------+------+-----------------+
 *
 * The segment below may end where this one begins, so a write that runs on past its last block comes to the guard, which
 * nobody may touch, before it comes to the header. A write that runs down from slice 1 has 35 KiB of gap to cross.
 *
 * A page: a run of slices cut into blocks of one size class. Its descriptor is that of its first slice;
 * page_at[] leads from every slice of the page to it, and from a slice without a page to the segment's
 * descriptor 0, which owns nothing and belongs to nobody. The descriptors lie close together: a free looks at
 * one, and each page of the kernel's that it looks at costs an entry of the TLB. Those of a fresh segment,
 * but for that one, are zero and not touched before their page is made.
 *
 * Which blocks are free is written in the descriptor and nowhere else: one bit a block. Nothing is ever
 * written into a free block, so a program that writes after a free or past a block's end can hurt its
 * own data only, and a block that was given back to the kernel stays given back.
 *
 *     bits[w]    set: the block is free and this page's owner may hand it out
 *     remote[w]  set: freed by another thread, not seen by the owner yet
 *
 *     live block    <=>  neither bit is set
 *     never both    a block freed twice is found at the second free, before either list is changed
 *
 * Blocks lie at the page's end, so a rest that is too small for a block is at its beginning:
 *
 *     start + block_count * block_bytes == end of the page's last slice
 *
 * The number of a block, and whether an address is a block's first byte at all, come from one
 * multiplication with magic, the least number with magic * block_bytes = 2^64 + e, 0 < e (Lemire, Kaser,
 * Kurz: Faster remainder by direct computation, 2019; there e may be 0). So e <= block_bytes, and with
 * n = address - start, of whatever sign, |n| < 2^22:
 *
 *     n = i * block_bytes          ->  n * magic = i * 2^64 + i * e;   0 <= i * e <= 4 MiB < 2^32
 *     n = i * block_bytes + r      ->  low half  = r * magic + i * e  >= 2^64 / 2^22 - 2^22 > 2^32   (0 < r)
 *     n = -i * block_bytes         ->  low half  = 2^64 - i * e  > 2^32    (in the rest before block 0)
 *
 * so the high half is the number and the low half is below 2^32 exactly for a block's first byte.
 *
 * Where no address is to pass, magic is 2^64 - 1 and start 0: for an address 0 < p < 2^63 the low half is 2^64 - p. So it
 * is in a segment's descriptor 0, in that of a span, and from the claim of slices until their page is made: whatever passes
 * is a block of a page that somebody owns or owned, and free need not ask.
 */
#ifndef NEXT_TYPES_H
#define NEXT_TYPES_H

#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"
#include "shim/base/os.h"

#define SEGMENT_BYTES	MAP_SLOT_BYTES
#define SEGMENT_MASK	(SEGMENT_BYTES - 1)
#define SLICE_SHIFT	16
#define SLICE_BYTES	((size_t)1 << SLICE_SHIFT)
#define SEGMENT_SLICES	64
#define HEADER_SLICES	1
#define USABLE_SLICES	(SEGMENT_SLICES - HEADER_SLICES)
#define GUARD_BYTES	OS_PAGE_BYTES /* before the header */
#define SPAN_MAX_BYTES	(USABLE_SLICES * SLICE_BYTES) /* larger blocks have a mapping of their own */
#define PAGE_BLOCKS	1024 /* at most: a page of the smallest classes leaves a part of its slice alone */
#define PAGE_WORDS	(PAGE_BLOCKS / 64)

#define MAGIC_OF_NO_BLOCK UINT64_MAX /* see above */

/* Half a second in os_ticks(): free memory that nobody wanted for that long goes back to the kernel. */
#define NEXT_RESERVE_TICKS 30

struct next_heap;

/* The owner word of a page: the heap's address, and what the next free of a thread must know. Every
 * free compares the whole word with its own heap's address, so that any bit leads the owner to the slow path.
 *
 *   owner            the heap's own; frees of its thread go into bits[]
 *   owner | REMOTE   as well, and remote[] has bits that the owner has not seen
 *   owner | FULL     no free block, in no queue: the first free must say so
 *   owner | FULL | REMOTE   the thread that set REMOTE puts the page on the owner's ready stack; until it
 *                    was taken from there nobody but the taker may touch the page, and the owner's frees
 *                    go into remote[] like everybody's
 *   OWNER_SHARED     on a shared list (shared.h): whoever pops it becomes the owner; frees go into remote[]
 *   OWNER_SPAN       one block, free when freed, belongs to nobody
 *   OWNER_QUARANTINE misuse was found in it: in no queue and no list, never used again; frees go into
 *                    remote[] and stay there (of a span too: there is one)
 *   OWNER_NONE       no page
 */
#define OWNER_NONE   ((uintptr_t)0)
#define OWNER_REMOTE ((uintptr_t)1)
#define OWNER_FULL   ((uintptr_t)2)
#define OWNER_FLAGS  (OWNER_REMOTE | OWNER_FULL)
#define OWNER_SPAN   ((uintptr_t)8)
#define OWNER_SHARED ((uintptr_t)16)
#define OWNER_QUARANTINE ((uintptr_t)32)

struct next_page {
	/* --- the fast paths' line, and what their next steps need --- */
	CACHE_ALIGN _Atomic uint64_t *current; /* [owner] the word of bits[] that malloc pops from */
	char *current_start;	 /* [owner] address of that word's first block */
	char *start;		 /* [const while in use] address of block 0; NULL in a span */
	uint64_t magic;		 /* [const while in use] see above */
	_Atomic uintptr_t owner; /* [any thread] see above */
	uint32_t block_bytes;	 /* [const while in use] */
	/* [owner] frees of the owner until next_free_countdown() is called: with the page in a slot an
	 * endless number, in a queue the number of blocks that are not free */
	_Atomic uint32_t countdown; /* statistics read it any time; see heap_count_mallocs() */
	uint16_t block_count;	/* [const while in use] */
	_Atomic uint8_t words;	/* [const while in use; statistics read it] of bits */
	uint8_t words_begun;	/* [owner] malloc was never pointed at the words from this one on */
	_Atomic uint8_t slices; /* [const while in use; statistics read it any time] */
	_Atomic uint8_t bin;	/* [const while in use; statistics read it any time] the size class */
	uint8_t first_slice;	/* [const while in use] */
	bool in_slot;		/* [owner] put in a slot (control may have swept it), or with a call site */
	bool queued;		/* [owner] in the heap's queue of its bin */
	bool zero;		/* [owner] blocks that were never handed out read as zero */
	bool dense;		/* [owner] many blocks a word were free when it came into the slot: prefetch */
	_Atomic bool suspect;	/* [any thread sets it, for good] misuse was found: to be quarantined */

	/* --- the slow paths' line --- */
	CACHE_ALIGN struct next_page *queue_next; /* [owner] */
	struct next_page *queue_prev;		/* [owner] */
	_Atomic(struct next_page *) ready_next; /* [whoever set OWNER_REMOTE on a FULL page] */
	_Atomic uint32_t shared_next;		/* [any thread] link of the shared lists */
	uint32_t idle_countdown; /* [owner] countdown when idle was written */
	uint64_t idle; /* [owner] of a page of one word: blocks that were free when last looked at */
	bool idle_purged; /* [owner] what is in idle was given back, and no block freed since */

	CACHE_ALIGN _Atomic uint64_t bits[PAGE_WORDS];	 /* [owner writes; any thread reads] */
	CACHE_ALIGN _Atomic uint64_t remote[PAGE_WORDS]; /* [any thread] */
};

_Static_assert(offsetof(struct next_page, queue_next) == CACHE_LINE, "the fast paths use one line");

struct next_segment {
	/* [whoever claimed the slice; any thread reads] the descriptor of the slice's page */
	_Atomic(struct next_page *) page_at[SEGMENT_SLICES];
	/* [whoever claimed the slice, until it is free; whoever purges it] the class whose page was there last */
	uint8_t last_class[SEGMENT_SLICES];
	uint32_t id; /* [const] index into the segment tables */
	struct next_page pages[SEGMENT_SLICES]; /* that of slice 0 is the one that belongs to nobody */
};

_Static_assert(GUARD_BYTES + sizeof(struct next_segment) <= HEADER_SLICES * SLICE_BYTES,
	       "header slices");

/* A thread's heap. Type-stable: never unmapped, listed for ever, handed from a thread that exits to one
 * that starts. */
struct next_heap {
	/* [owner puts pages, control puts the empty page; exchange on both sides, see heap.c] */
	_Atomic(struct next_page *) slot[NEXT_SLOTS];
	uint32_t cohort;	     /* [const] this heap's share of a canary: see next_door */
	uint32_t number;	     /* [const] from 1; its place in the table of heaps */
	_Atomic uint32_t stack_next; /* [any thread] link of the stacks of heaps without a thread */
	void *companion;	     /* [owner] the layer above keeps its own per-thread pointer here */
	uint64_t room[6];	     /* [owner] see next_thread_room() */
	struct next_site *sites;     /* [owner] pages of call sites (site.h); NULL until there is one */
	uint32_t site_misses;	     /* [owner] */
	uint32_t looked_at_idle;     /* [owner] tick */
	uint32_t refills;	     /* [owner] by another page than the one in the slot */
	_Atomic bool sample; /* [any thread sets it, the owner clears it] see next_ask_for_sample() */
	/* Pages that were FULL and got a remote free; READY_CLOSED while no thread has this heap. Pushed by
	 * anybody, only ever taken whole, so a head that comes back (ABA) links just the same. */
	CACHE_ALIGN _Atomic(struct next_page *) ready;
	/* What was counted of each class; see heap.h. [owner writes, modulo 2^64; any thread reads] */
	_Atomic uint64_t mallocs[NEXT_BINS];
	/* [owner] pages with free blocks, a ring through queue_next; the one in the slot comes first */
	CACHE_ALIGN struct next_page *queue[NEXT_BINS];
	/* [owner writes; any thread reads] Last: a heap that gets none does not touch it. */
	_Atomic uint64_t remote_frees[NEXT_BINS];
};

/* The page without a free block that a slot holds when it holds none, the heap of a thread that has none
 * yet, and that of a thread that will not get one any more: all their slots hold that page, their number
 * is 0. All three are read-only memory. */
extern HIDDEN const struct next_page next_empty_page;
extern HIDDEN const struct next_heap next_empty_heap;
extern HIDDEN const struct next_heap next_gone_heap;
#define EMPTY_PAGE ((struct next_page *)(uintptr_t)&next_empty_page)
#define READY_CLOSED EMPTY_PAGE
#define EMPTY_HEAP ((struct next_heap *)(uintptr_t)&next_empty_heap)
#define GONE_HEAP  ((struct next_heap *)(uintptr_t)&next_gone_heap)

/* The library's one thread-local variable. */
extern HIDDEN TLS_FAST struct next_heap *next_heap_self;

INLINE char *segment_base(const void *p)
{
	return (char *)((uintptr_t)p & ~SEGMENT_MASK);
}

INLINE struct next_segment *segment_at(char *base)
{
	return (struct next_segment *)(void *)(base + GUARD_BYTES);
}

INLINE struct next_segment *segment_of(const void *p)
{
	return segment_at(segment_base(p));
}

INLINE struct next_page *page_in(struct next_segment *segment, const void *p)
{
	size_t slice = ((uint32_t)(uintptr_t)p >> SLICE_SHIFT) % SEGMENT_SLICES;
	/* relaxed: whoever holds a block of the page got its address from its malloc, after the store */
	return load_relaxed(&segment->page_at[slice]);
}

/* The descriptor that an address in a MAP_NEXT slot leads to; OWNER_NONE where there is no page. */
INLINE struct next_page *page_of(const void *p)
{
	return page_in(segment_of(p), p);
}

INLINE char *slice_address(const struct next_page *page)
{
	return segment_base(page) + ((size_t)page->first_slice << SLICE_SHIFT);
}

/* The number of the block that starts at p; false if none does, and for a span. */
INLINE bool block_number(const struct next_page *page, const void *p, size_t *number)
{
	uint64_t low;
	*number = multiply((uintptr_t)p - (uintptr_t)page->start, &page->magic, &low);
	return likely(low >> 32 == 0);
}

#endif

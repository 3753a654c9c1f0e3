/* SPDX-License-Identifier: MIT */
/* next/next.h - what the layers above may ask of next
 *
 * Nothing here sets errno: a failure is NULL. Misuse (a free of what is no live block) ends in
 * fatal_misuse(), unless next_on_misuse says otherwise. Every call may be made by any thread at any time after next_init(), also from
 * destructors of thread-local storage; none is async-signal safe.
 */
#ifndef NEXT_NEXT_H
#define NEXT_NEXT_H

#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"
#include "shim/base/map.h"

#define NEXT_ALIGNMENT 16 /* of every block */

struct next_heap;

/* --- routing: the door ---------------------------------------------------------------------------
 *
 * A class of a heap is served by next iff heap->cohort < next_door[class]. 0 closes a class to every
 * heap, NEXT_DOOR_OPEN opens it to every heap, a value between opens it to that share of the cohorts
 * (they are spread evenly over 0 .. NEXT_COHORT_MAX). Asked in slow paths only.
 */
#define NEXT_DOOR_OPEN	UINT32_MAX
#define NEXT_COHORT_MAX (UINT32_MAX - 1)
extern HIDDEN _Atomic uint32_t next_door[NEXT_CLASSES]; /* [any thread] written by next_door_set alone */

/* Sets a class's door, and when it closes for some heap, sweeps the class's slot of every heap: a
 * malloc that starts after the return goes where the new value says. Flips are serialised inside. */
void next_door_set(unsigned class, uint32_t value);

/* Set before the first block is handed out: no class ever gets a page into a slot, so that every malloc
 * comes to the slow path, where its call site is known. */
extern HIDDEN bool next_slots_stay_empty;

/* The kind of next's segments in the address map: MAP_NEXT, or MAP_NEXT_CHECKED for those that are made from
 * then on, and no free takes the fast path with their blocks. Set while there is one thread. */
extern HIDDEN enum map_kind next_segment_kind;

/* --- misuse ----------------------------------------------------------------------------------------
 *
 * NULL: misuse of memory, and damage, end the process. Else this is told first, with the class, or NEXT_CLASSES where it is
 * not known, and what fatal_misuse() would print. True: the process goes on, the block stays as it is for ever, and its
 * page is quarantined: no block of it is handed out any more.
 *
 * It is called by the thread that found it, which may be in the middle of a malloc or free: it may set doors and write to
 * a descriptor, and may neither allocate nor free nor wait for anybody who does.
 */
typedef bool next_misuse_hook(unsigned class, const char *what, const void *block,
			      const char *detail);
extern HIDDEN _Atomic(next_misuse_hook *) next_on_misuse; /* [any thread] */

/* --- sampling --------------------------------------------------------------------------------------
 *
 * Marks one heap, 1 .. next_heaps(), and empties its slots of the classes that are set, so that the next malloc of one of
 * these by the heap's thread comes through the slow path, where next_take_sample() says so once. The fast path knows
 * nothing of it. Any thread.
 */
void next_ask_for_sample(uint32_t heap, const bool classes[NEXT_CLASSES]);
MUST_USE uint32_t next_heaps(void);

/* True once after the calling thread's heap was marked. */
MUST_USE bool next_take_sample(void);

/* If the slot of the class was emptied while there was a page in it, puts it back as it was, be there a block at hand or
 * not: what follows is what would have been without the sample. */
void next_restore_slot(unsigned class);

/* The calling thread's place among the cohorts; NEXT_COHORT_MAX if it has no heap. */
MUST_USE uint32_t next_cohort(void);

/* --- life ---------------------------------------------------------------------------------------- */

/* False if the address map or the first memory is refused; then nothing else may be called except
 * next_door_set(), and every door stays shut. Once, by one thread. */
MUST_USE bool next_init(void);

/* Called when a thread's heap is made or adopted, so that the layer above can arrange for
 * next_thread_exit(); set before next_init(). May itself allocate. */
extern HIDDEN void (*next_on_thread_start)(void);

/* Whether the calling thread has a heap now; asking does not make one. */
MUST_USE bool next_has_heap(void);

/* Hands the calling thread's heap over to whoever comes next. The thread may allocate afterwards: it
 * gets a heap again, and next_on_thread_start is called again. */
void next_thread_exit(void);

/* As next_thread_exit(), for good: called in the last round of a thread's destructors, after which nobody would hear of
 * the heap it got again. What it still allocates comes from a heap borrowed for that one block. */
void next_thread_gone(void);

/* The child of a fork: the heaps of threads that are not here are never adopted. */
void next_fork_child(void);

/* One pointer a thread for the layer above, kept with the heap, NULL at first and again when the heap
 * changes hands. NULL if no heap can be had. */
MUST_USE void **next_thread_slot(void);

/* The same for so many bytes, aligned to 8; all 0 at first and again when the heap changes hands. NULL also for
 * a thread that is gone. It is here so that the library needs no thread-local storage but one pointer. */
#define NEXT_THREAD_ROOM 48
MUST_USE void *next_thread_room(void);

/* True if the calling thread's heap sends this class to next; makes the heap if there is none yet. */
MUST_USE bool next_admits(unsigned class);
/* The same for a class with this door. */
MUST_USE bool next_cohort_is_below(uint32_t door);

/* --- blocks -------------------------------------------------------------------------------------- */

/* 0 <= bytes <= PTRDIFF_MAX; 0 gives a unique smallest block. Ignores the doors (the caller asked). */
MUST_USE void *next_malloc(size_t bytes);
MUST_USE void *next_calloc(size_t bytes); /* zeroed; the caller has multiplied */
/* The same, small blocks of one `site` side by side. */
MUST_USE void *next_malloc_site(size_t bytes, uint32_t site);
/* alignment: a power of two, any size. */
MUST_USE void *next_aligned(size_t alignment, size_t bytes);

/* The address lies in a slot of a segment or a MAP_NEXT_HUGE one. A stranger's address behind the end of a huge
 * block's last slot gives false (and nothing happened); everything else that is no live block does
 * not return. */
bool next_free(void *block);
/* 0 for such a stranger, NEXT_MISUSED after misuse that is survived. */
#define NEXT_MISUSED SIZE_MAX
/* False for a stranger behind the end of a huge mapping, where the slot alone does not tell. */
MUST_USE bool next_covers(const void *address);
MUST_USE size_t next_usable_bytes(const void *block);

/* The block with room for `bytes`, contents kept, possibly at another address (huge blocks move by
 * mremap); NULL if the caller has to allocate, copy and free. Never for a stranger. */
MUST_USE void *next_resize(void *block, size_t bytes);

/* Gives resident free memory back to the kernel now. Returns the bytes given back. */
size_t next_trim(void);

/* Gives back what nobody wanted for half a second. Slow paths do so by themselves; this is for a process
 * that rests. Any thread. */
void next_purge_old(void);

struct next_stats {
	size_t mapped_bytes;   /* address space of segments and huge blocks */
	size_t live_bytes;     /* in blocks handed out, by block size */
	size_t live_blocks;
	size_t huge_blocks, huge_bytes; /* of these, in mappings of their own */
	size_t resident_free_bytes; /* free slices that are not purged, and kept mappings */
	size_t purged_bytes;	    /* given back so far */
	size_t segments, heaps;
	size_t quarantined_pages;
	size_t class_live_blocks[NEXT_CLASSES];
	uint64_t class_mallocs[NEXT_CLASSES]; /* since the start */
	uint64_t remote_frees; /* of those, what their pages' owners have seen */
	/* The same of each class, and what a live block of it keeps from going back: pages, and segments of 4 MiB, of
	 * which several classes may share one. A huge block is in a segment of its own. */
	uint64_t class_remote_frees[NEXT_CLASSES];
	size_t class_purged_bytes[NEXT_CLASSES]; /* of memory that was the class's last */
	size_t class_pinned_pages[NEXT_CLASSES];
	size_t class_pinned_segments[NEXT_CLASSES];
};

/* Walks everything; exact when no other thread allocates, else a moment's estimate. */
void next_read_stats(struct next_stats *stats);

/* What the pages of each class have in memory, free blocks and all. Asks the kernel about each page: about 0.4 us for
 * 64 KiB. */
void next_read_held(size_t held_bytes[NEXT_CLASSES]);

#endif

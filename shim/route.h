/* SPDX-License-Identifier: MIT */
/* shim/route.h - which backend serves a size class, and which one did before the migration
 *
 * One byte a class, asked in slow paths only. A class that is routed to next has its door (next/next.h)
 * open as well, so that threads may keep a page of it at hand; every other class has its door shut and
 * all its requests arrive in the slow path.
 *
 *                  next's door   a malloc of the class
 *   SHIM_UNSET     shut          initialises the library first
 *   SHIM_SYSTEM    shut          slow path, one load, straight to the system's malloc
 *   SHIM_LEGACY    shut          slow path, one load, straight to legacy's
 *   SHIM_NEXT      open          fast path; slow path when a page is used up
 *   SHIM_SHARE     ajar          as SHIM_NEXT for heaps whose cohort is below the door; for the others
 *                                slow path, which asks for the cohort, then the class's old side
 *
 * Two bits may stand beside any of them. SHIM_ATTEND: somebody waits for a call out of a malloc's slow path.
 * SHIM_RECORD: somebody wants to hear of every malloc of the class (watch.h). They make the word unequal to those
 * above, so that they are asked for where none of them was found, and nowhere else; while one is there the door is
 * shut.
 *
 * SHIM_CHECKED is another such bit, in every word or in none, from the start: the process runs with HAKMEM_CHECK.
 * Legacy's classes are still legacy's then; all others are next's.
 *
 * legacy serves LEGACY_MIN_BYTES to LEGACY_MAX_BYTES at 16-byte alignment. What it cannot serve of a
 * class that is routed to it (larger alignments) goes to the system, in a static program to next.
 */
#ifndef SHIM_ROUTE_H
#define SHIM_ROUTE_H

#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

#include <signal.h>

enum shim_backend {
	SHIM_UNSET = 0, /* not initialised yet: what a zeroed table says */
	SHIM_SYSTEM,
	SHIM_LEGACY,
	SHIM_NEXT,
	SHIM_SHARE, /* next for a share of the heaps: no backend, but a route */
};
#define SHIM_ATTEND  0x80
#define SHIM_CHECKED 0x40
#define SHIM_RECORD  0x20
#define SHIM_BITS    (SHIM_ATTEND | SHIM_CHECKED | SHIM_RECORD)

typedef _Atomic uint8_t shim_route_word;
extern HIDDEN shim_route_word shim_routes[NEXT_CLASSES];   /* [any thread] who serves the class */
extern HIDDEN shim_route_word shim_old_side[NEXT_CLASSES]; /* [any thread] who served it before */

/* [any thread] Where malloc goes when the word at hand of the page at hand (next/fast.h) has no block: straight to the
 * system's malloc while every word is SHIM_SYSTEM alone, which is the flag switched off in a program that came from another
 * malloc; else to shim_malloc_other_word(). */
struct next_page;
typedef void *shim_malloc_function(size_t bytes, struct next_page *at_hand);
extern HIDDEN _Atomic(shim_malloc_function *) shim_malloc_miss;

/* The word as it is: a backend or SHIM_SHARE, perhaps with SHIM_BITS. */
INLINE unsigned shim_route_word_of(unsigned class)
{
	/* relaxed: backends are ready before any route names them, see shim_routes_start(); a thread
	 * that has not seen a flip yet is one that was in flight */
	return load_relaxed(&shim_routes[class]);
}

INLINE enum shim_backend shim_old_side_of(unsigned class)
{
	return (enum shim_backend)load_relaxed(&shim_old_side[class]);
}

/* Who serves a malloc of the class by the calling thread, for words above SHIM_NEXT. A backend. */
MUST_USE enum shim_backend shim_route_resolve(unsigned class, unsigned word);

/* Who serves a malloc of the class by the calling thread: a backend or SHIM_UNSET. */
INLINE enum shim_backend shim_route_of(unsigned class)
{
	unsigned word = shim_route_word_of(class);
	return likely(word <= SHIM_NEXT) ? (enum shim_backend)word
					 : shim_route_resolve(class, word);
}

/* --- flips ---------------------------------------------------------------------------------------
 *
 * Whoever decides about routes does so under one lock, the outermost of all: a flip takes next's own
 * lock inside. So it joins the fork protocol before the pools' locks do, and signals are blocked while it
 * is held: no handler can fork over it. Nothing is allocated or written to a file under it.
 */

/* Before the pools start. Once, by one thread. */
void shim_routes_init(void);

void shim_flips_begin(sigset_t *mask_before);
void shim_flips_end(const sigset_t *mask_before);

/* True if the backend exists in this process and can serve the class. Never for SHIM_UNSET; SHIM_SHARE
 * wherever SHIM_NEXT. */
MUST_USE bool shim_route_possible(unsigned class, enum shim_backend backend);

/* Routes a class from now on: a malloc that starts after the return goes to `backend`, one in flight
 * may finish where it was going. Blocks that live stay where they are. False, and nothing changed, if
 * the route is not possible, or is a share. Any thread, which has not begun flips. */
MUST_USE bool shim_route_set(unsigned class, enum shim_backend backend);

/* The same between shim_flips_begin() and shim_flips_end(). SHIM_SHARE: `door` is next's, above 0 and below
 * NEXT_DOOR_OPEN; else it is ignored. */
MUST_USE bool shim_route_change(unsigned class, enum shim_backend backend, uint32_t door);

/* Says what the class's old side is; changes no route, except for whom a share leaves out. False, and
 * nothing changed, if not possible. Between shim_flips_begin() and shim_flips_end(). */
MUST_USE bool shim_route_set_old_side(unsigned class, enum shim_backend backend);

/* next's door for the class. Between shim_flips_begin() and shim_flips_end(). */
MUST_USE uint32_t shim_route_door(unsigned class);

/* Sets or clears SHIM_ATTEND in every word: while it is set every malloc comes through the slow path and calls
 * shim_at_attention() (hooks.h), also of classes that are next's. Any thread, which has not begun flips. */
void shim_attend(bool wanted);

/* Sets SHIM_RECORD in the words of the named classes and clears it in the others: every malloc of those that
 * starts after the return tells shim_at_malloc() and its like (hooks.h). Any thread, which has not begun flips. */
void shim_record(const bool named[NEXT_CLASSES]);

/* Everything old: legacy for its band, the system for the rest, next where there is no system. With
 * everything_system nothing but the system. Once, by the initialising thread. */
void shim_routes_start(bool everything_system);

#endif

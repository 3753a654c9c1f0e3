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
 *
 * legacy serves LEGACY_MIN_BYTES to LEGACY_MAX_BYTES at 16-byte alignment. What it cannot serve of a
 * class that is routed to it (larger alignments) goes to the system, in a static program to next.
 */
#ifndef SHIM_ROUTE_H
#define SHIM_ROUTE_H

#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

enum shim_backend {
	SHIM_UNSET = 0, /* not initialised yet: what a zeroed table says */
	SHIM_SYSTEM,
	SHIM_LEGACY,
	SHIM_NEXT,
};

typedef _Atomic uint8_t shim_route_word;
extern HIDDEN shim_route_word shim_routes[NEXT_CLASSES];   /* [any thread] who serves the class */
extern HIDDEN shim_route_word shim_old_side[NEXT_CLASSES]; /* [any thread] who served it before */

/* [any thread] How many classes are not routed to the system. 0 is the flag switched off in a program
 * that came from another malloc: the slow path then need not even know the class. */
extern HIDDEN _Atomic uint32_t shim_classes_elsewhere;

INLINE bool shim_all_on_system(void)
{
	/* relaxed: as shim_route_of() */
	return HAKMEM_MIGRATION && load_relaxed(&shim_classes_elsewhere) == 0;
}

INLINE enum shim_backend shim_route_of(unsigned class)
{
	/* relaxed: backends are ready before any route names them, see shim_routes_start(); a thread
	 * that has not seen a flip yet is one that was in flight */
	return (enum shim_backend)load_relaxed(&shim_routes[class]);
}

INLINE enum shim_backend shim_old_side_of(unsigned class)
{
	return (enum shim_backend)load_relaxed(&shim_old_side[class]);
}

/* True if the backend exists in this process and can serve the class. Never for SHIM_UNSET. */
MUST_USE bool shim_route_possible(unsigned class, enum shim_backend backend);

/* Routes a class from now on: a malloc that starts after the return goes to `backend`, one in flight
 * may finish where it was going. Blocks that live stay where they are. False, and nothing changed, if
 * the route is not possible. Any thread. */
MUST_USE bool shim_route_set(unsigned class, enum shim_backend backend);

/* Says what the class's old side is; changes no route. False, and nothing changed, if not possible. */
MUST_USE bool shim_route_set_old_side(unsigned class, enum shim_backend backend);

/* Everything old: legacy for its band, the system for the rest, next where there is no system. With
 * everything_system nothing but the system. Once, by the initialising thread. */
void shim_routes_start(bool everything_system);

#endif

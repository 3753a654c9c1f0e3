/* SPDX-License-Identifier: MIT */
/* shim/route.c - which backend serves a size class; see route.h */
#include "shim/route.h"

#include "legacy/legacy.h"
#include "next/next.h"
#include "shim/base/lock.h"
#include "shim/checked.h"
#include "shim/init.h"
#include "shim/malloc.h"
#include "shim/system.h"

#include <pthread.h>

shim_route_word shim_routes[NEXT_CLASSES];
shim_route_word shim_old_side[NEXT_CLASSES];
static uint32_t classes_elsewhere = NEXT_CLASSES; /* [lock: flips] words that are not SHIM_SYSTEM alone */
READ_MOSTLY _Atomic(shim_malloc_function *) shim_malloc_miss = shim_malloc_other_word;

static struct lock flips = LOCK_INIT;
/* [any thread; lock: flips to write] next's, when no bit of SHIM_BITS shuts it */
static _Atomic uint32_t doors[NEXT_CLASSES];

/* No class straddles a border of legacy's (bin.h), so its largest size speaks for all of them. */
static bool legacy_serves(unsigned class)
{
	return class < NEXT_CLASS_HUGE && next_class_bytes(class) >= LEGACY_MIN_BYTES &&
	       next_class_bytes(class) <= LEGACY_MAX_BYTES;
}

bool shim_route_possible(unsigned class, enum shim_backend backend)
{
	switch (backend) {
	case SHIM_SYSTEM:
		return shim_system_available();
	case SHIM_LEGACY:
		return shim_legacy_available() && legacy_serves(class);
	case SHIM_NEXT:
	case SHIM_SHARE:
		return shim_next_available() && !shim_stands_aside();
	case SHIM_UNSET:
		break;
	}
	return false;
}

NOINLINE enum shim_backend shim_route_resolve(unsigned class, unsigned word)
{
	enum shim_backend route = (enum shim_backend)(word & ~(unsigned)SHIM_BITS);
	if (route != SHIM_SHARE)
		return route;
	/* relaxed: as the word */
	return next_cohort_is_below(load_relaxed(&doors[class])) ? SHIM_NEXT :
								   shim_old_side_of(class);
}

/* --- flips ---------------------------------------------------------------------------------------- */

void shim_routes_init(void)
{
	lock_join_fork(&flips, 1, sizeof(flips));
}

void shim_flips_begin(sigset_t *mask_before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, mask_before);
	lock_acquire(&flips);
}

void shim_flips_end(const sigset_t *mask_before)
{
	lock_release(&flips);
	pthread_sigmask(SIG_SETMASK, mask_before, NULL);
}

/* [lock: flips] A flip away from the system is counted before it returns. */
static void count_change(unsigned from, unsigned to)
{
	if ((from == SHIM_SYSTEM) == (to == SHIM_SYSTEM))
		return;
	classes_elsewhere += to == SHIM_SYSTEM ? (uint32_t)-1 : 1;
	/* relaxed: as the word */
	store_relaxed(&shim_malloc_miss,
		      classes_elsewhere == 0 ? shim_malloc_system : shim_malloc_other_word);
}

/* The word first, the door after, so a class that leaves next is refused by the slow path before the
 * slots are swept. SHIM_BITS are somebody else's and stay, and with them the shut door. */
static void route_store(unsigned class, enum shim_backend backend, uint32_t door)
{
	uint8_t before = load_relaxed(&shim_routes[class]);
	uint8_t word = (uint8_t)(backend | (before & SHIM_BITS));
	/* seq_cst: the flip's first step, see next/heap.c */
	exchange_seq_cst(&shim_routes[class], word);
	count_change(before, word);
	store_relaxed(&doors[class], door);
	next_door_set(class, word & SHIM_BITS ? 0 : door);
}

bool shim_route_change(unsigned class, enum shim_backend backend, uint32_t door)
{
	bool share = backend == SHIM_SHARE;
	if (!shim_route_possible(class, backend) ||
	    (share && (door == 0 || door == NEXT_DOOR_OPEN)))
		return false;
	route_store(class, backend, share ? door : backend == SHIM_NEXT ? NEXT_DOOR_OPEN : 0);
	return true;
}

bool shim_route_set(unsigned class, enum shim_backend backend)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	bool done = shim_route_change(class, backend, 0);
	shim_flips_end(&mask);
	return done;
}

bool shim_route_set_old_side(unsigned class, enum shim_backend backend)
{
	if (backend == SHIM_SHARE || !shim_route_possible(class, backend))
		return false;
	store_relaxed(&shim_old_side[class], (uint8_t)backend);
	return true;
}

/* With its door shut a class comes through the slow path each time. */
static void set_bit(unsigned class, unsigned bit, bool wanted)
{
	uint8_t before = load_relaxed(&shim_routes[class]);
	uint8_t word = (uint8_t)(wanted ? before | bit : before & ~bit);
	if (word == before)
		return;
	store_seq_cst(&shim_routes[class], word);
	count_change(before, word);
	uint32_t door = load_relaxed(&doors[class]);
	if (door != 0)
		next_door_set(class, word & SHIM_BITS ? 0 : door);
}

void shim_attend(bool wanted)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		set_bit(class, SHIM_ATTEND, wanted);
	shim_flips_end(&mask);
}

void shim_record(const bool named[NEXT_CLASSES])
{
	sigset_t mask;
	shim_flips_begin(&mask);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		set_bit(class, SHIM_RECORD, named[class]);
	shim_flips_end(&mask);
}

uint32_t shim_route_door(unsigned class)
{
	return load_relaxed(&doors[class]);
}

static enum shim_backend first_side(unsigned class, bool everything_system)
{
	if (!everything_system && shim_route_possible(class, SHIM_LEGACY))
		return SHIM_LEGACY;
	return shim_system_available() ? SHIM_SYSTEM : SHIM_NEXT;
}

void shim_routes_start(bool everything_system)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		enum shim_backend backend = first_side(class, everything_system);
		if (checked_on() && !everything_system)
			store_relaxed(&shim_routes[class], SHIM_CHECKED);
		store_relaxed(&shim_old_side[class], (uint8_t)backend);
		route_store(class, backend, backend == SHIM_NEXT ? NEXT_DOOR_OPEN : 0);
	}
	shim_flips_end(&mask);
}

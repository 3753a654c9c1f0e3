/* SPDX-License-Identifier: MIT */
/* shim/route.c - which backend serves a size class; see route.h */
#include "shim/route.h"

#include "legacy/legacy.h"
#include "next/next.h"
#include "shim/init.h"
#include "shim/system.h"

shim_route_word shim_routes[NEXT_CLASSES];
shim_route_word shim_old_side[NEXT_CLASSES];
_Atomic uint32_t shim_classes_elsewhere = NEXT_CLASSES;

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
		return shim_next_available() && !shim_stands_aside();
	case SHIM_UNSET:
		break;
	}
	return false;
}

/* Every change of a word is counted by whoever made it, so the sum of all changes is right whatever
 * their order; and a flip away from the system is counted before it returns. */
static void count_change(uint8_t from, uint8_t to)
{
	if (from == SHIM_SYSTEM && to != SHIM_SYSTEM)
		fetch_add_acq_rel(&shim_classes_elsewhere, 1);
	else if (from != SHIM_SYSTEM && to == SHIM_SYSTEM)
		fetch_sub_acq_rel(&shim_classes_elsewhere, 1);
}

/* The word first, the door after, so a class that leaves next is refused by the slow path before the
 * slots are swept. Two callers at once could leave one's word with the other's door; whoever finds, after
 * its door, that the word is no longer its own sets the door again for the word that is there. The last
 * one to set a door finds the word unchanged, so they agree.
 * All seq_cst: my word precedes my door and my second look in the one order everybody sees. */
static void route_store(unsigned class, enum shim_backend backend)
{
	uint8_t word = (uint8_t)backend;
	count_change(exchange_seq_cst(&shim_routes[class], word), word);
	for (;;) {
		next_door_set(class, word == SHIM_NEXT ? NEXT_DOOR_OPEN : 0);
		uint8_t seen = load_seq_cst(&shim_routes[class]);
		if (seen == word)
			return;
		word = seen;
	}
}

bool shim_route_set(unsigned class, enum shim_backend backend)
{
	if (!shim_route_possible(class, backend))
		return false;
	route_store(class, backend);
	return true;
}

bool shim_route_set_old_side(unsigned class, enum shim_backend backend)
{
	if (!shim_route_possible(class, backend))
		return false;
	store_relaxed(&shim_old_side[class], (uint8_t)backend);
	return true;
}

static enum shim_backend first_side(unsigned class, bool everything_system)
{
	if (!everything_system && shim_route_possible(class, SHIM_LEGACY))
		return SHIM_LEGACY;
	return shim_system_available() ? SHIM_SYSTEM : SHIM_NEXT;
}

void shim_routes_start(bool everything_system)
{
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		enum shim_backend backend = first_side(class, everything_system);
		store_relaxed(&shim_old_side[class], (uint8_t)backend);
		route_store(class, backend);
	}
}

/* SPDX-License-Identifier: MIT */
/* shim/quarantine.c - a ring of freed blocks; see quarantine.h
 *
 * One lock, which joins the fork protocol. A child that was forked over it by a handler finds the ring
 * between two of its stores: each leaves it such that at worst a block is lost, never found twice.
 */
#include "shim/quarantine.h"

#include "shim/base/lock.h"

#define ENTRIES	 8192 /* a power of two */
#define HEADROOM 256  /* so many threads may have put theirs in before the first of them takes one out */

static struct lock lock = LOCK_INIT;
static struct quarantined entries[ENTRIES]; /* [lock] those from taken to put, modulo ENTRIES */
static size_t put, taken;		    /* [lock] since the start */
static size_t bytes_held;		    /* [lock] */

void quarantine_start(void)
{
	lock_join_fork(&lock, 1, sizeof(lock));
}

static size_t charge(const struct quarantined *entry)
{
	return entry->bytes <= QUARANTINE_BLOCK_MAX ? entry->bytes : entry->bytes / 64;
}

/* [lock] */
static bool take_oldest(struct quarantined *entry)
{
	if (taken == put)
		return false;
	*entry = entries[taken % ENTRIES];
	taken++;
	bytes_held -= charge(entry);
	return true;
}

void quarantine_put(struct quarantined entry)
{
	lock_acquire(&lock);
	/* A full ring: threads without number are all between putting and taking. One block is lost. */
	if (put - taken < ENTRIES) {
		entries[put % ENTRIES] = entry;
		bytes_held += charge(&entry);
		put++;
	}
	lock_release(&lock);
}

bool quarantine_take(struct quarantined *entry)
{
	lock_acquire(&lock);
	bool taken_one = (put - taken > ENTRIES - HEADROOM || bytes_held > QUARANTINE_BYTES) &&
			 take_oldest(entry);
	lock_release(&lock);
	return taken_one;
}

bool quarantine_covers(const void *address)
{
	bool covered = false;
	if (!lock_try(&lock))
		return false;
	for (size_t i = taken; i != put && !covered; i++) {
		const struct quarantined *entry = &entries[i % ENTRIES];
		covered = (uintptr_t)address - (uintptr_t)entry->block < entry->bytes;
	}
	lock_release(&lock);
	return covered;
}

bool quarantine_take_any(struct quarantined *entry)
{
	lock_acquire(&lock);
	bool taken_one = take_oldest(entry);
	lock_release(&lock);
	return taken_one;
}

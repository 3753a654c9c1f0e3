/* SPDX-License-Identifier: MIT */
/* shim/base/map.c - the address map; see map.h */
#include "shim/base/map.h"

#include "shim/base/os.h"
#include "shim/base/reserve.h"

READ_MOSTLY map_byte *map_kinds;
READ_MOSTLY _Atomic uintptr_t map_bound;

bool map_init(void)
{
	if (!map_kinds && os_pages_fit())
		map_kinds = reserve_table(MAP_SLOTS);
	return map_kinds != NULL;
}

static size_t slots_of(const void *start, size_t bytes, uintptr_t *first)
{
	*first = (uintptr_t)start >> MAP_SLOT_SHIFT;
	return (((uintptr_t)start + bytes - 1) >> MAP_SLOT_SHIFT) - *first + 1;
}

bool map_prepare(const void *start, size_t bytes)
{
	uintptr_t first;
	size_t count = slots_of(start, bytes, &first);
	if (!map_kinds || first + count > MAP_SLOTS || !reserve_writable(&map_kinds[first], count))
		return false;
	/* release: pairs with the acquire in map_covers(), after which the table is read */
	if (unlikely(load_relaxed(&map_bound) == 0))
		store_release(&map_bound, MAP_SLOTS);
	return true;
}

void map_set(const void *start, size_t bytes, enum map_kind kind)
{
	uintptr_t first;
	size_t count = slots_of(start, bytes, &first);
	for (size_t i = 0; i < count; i++) {
		/* A guess, mostly right: to read first would fault fresh memory in twice. */
		unsigned char before = MAP_STRANGER;
		while (!cas_relaxed(&map_kinds[first + i], &before,
				    (unsigned char)((unsigned)kind | (before & MAP_WATCHED))))
			;
	}
}

bool map_watch(const void *address)
{
	uintptr_t slot = (uintptr_t)address >> MAP_SLOT_SHIFT;
	if (load_relaxed(&map_kinds[slot]) & MAP_WATCHED)
		return true;
	if (!map_prepare(address, 1))
		return false;
	fetch_or_relaxed(&map_kinds[slot], MAP_WATCHED);
	return true;
}

/* Where it is not set the table may be read-only. */
void map_unwatch(const void *address)
{
	map_byte *byte = &map_kinds[(uintptr_t)address >> MAP_SLOT_SHIFT];
	if (load_relaxed(byte) & MAP_WATCHED)
		fetch_and_relaxed(byte, (unsigned char)~MAP_WATCHED);
}

bool map_claim(const void *start, size_t bytes, enum map_kind kind)
{
	if (!map_prepare(start, bytes))
		return false;
	map_set(start, bytes, kind);
	return true;
}

void map_release(const void *start, size_t bytes)
{
	map_set(start, bytes, MAP_STRANGER);
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/map.c - a hash table from 64-bit keys to 32-bit numbers; see map.h */
#include "migrate/tool/trace/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SLOTS 1024

struct map_slot {
	uint64_t key;
	uint32_t number; /* MAP_NONE: free */
	uint32_t zero;
};

/* splitmix64's finaliser. */
static size_t hash(const struct map *map, uint64_t key)
{
	key ^= map->seed;
	key = (key ^ (key >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	key = (key ^ (key >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (size_t)(key ^ (key >> 31));
}

static struct map_slot *find_slot(const struct map *map, uint64_t key)
{
	size_t at = hash(map, key) & map->mask;
	while (map->slots[at].number != MAP_NONE && map->slots[at].key != key)
		at = (at + 1) & map->mask;
	return &map->slots[at];
}

static bool grow(struct map *map)
{
	struct map old = *map;
	size_t count = old.slots ? (old.mask + 1) * 2 : FIRST_SLOTS;
	struct map_slot *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < count; i++)
		slots[i].number = MAP_NONE;
	map->slots = slots;
	map->mask = count - 1;
	if (!old.slots) {
		/* Without random numbers the table works as well, for whoever does not fight it. */
		if (getrandom(&map->seed, sizeof(map->seed), GRND_NONBLOCK) !=
		    (ssize_t)sizeof(map->seed))
			map->seed = 0;
		return true;
	}
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].number != MAP_NONE)
			*find_slot(map, old.slots[i].key) = old.slots[i];
	free(old.slots);
	return true;
}

uint32_t map_find(const struct map *map, uint64_t key)
{
	return map->slots ? find_slot(map, key)->number : MAP_NONE;
}

bool map_add(struct map *map, uint64_t key, uint32_t number)
{
	if ((!map->slots || map->used >= map->mask / 8 * 5) && !grow(map))
		return false;
	*find_slot(map, key) = (struct map_slot){ .key = key, .number = number };
	map->used++;
	return true;
}

uint32_t map_remove(struct map *map, uint64_t key)
{
	if (!map->slots)
		return MAP_NONE;
	struct map_slot *slot = find_slot(map, key);
	uint32_t number = slot->number;
	if (number == MAP_NONE)
		return MAP_NONE;
	size_t hole = (size_t)(slot - map->slots);
	for (size_t at = (hole + 1) & map->mask; map->slots[at].number != MAP_NONE;
	     at = (at + 1) & map->mask) {
		/* One that is found from the hole as well moves into it. */
		size_t home = hash(map, map->slots[at].key) & map->mask;
		if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].number = MAP_NONE;
	map->used--;
	return number;
}

void map_free(struct map *map)
{
	free(map->slots);
	*map = (struct map){ .slots = NULL };
}

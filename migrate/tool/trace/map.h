/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/map.h - a hash table from 64-bit keys to 32-bit numbers
 *
 * Open addressing, linear probing, at most five eighths full; removal moves what follows back, so nothing is left
 * behind by a billion of them. The hash is mixed well enough that addresses chosen by whoever wrote the trace do not
 * pile up.
 */
#ifndef TRACE_MAP_H
#define TRACE_MAP_H

#include "shim/base/compiler.h"

struct map {
	struct map_slot *slots; /* NULL: empty */
	size_t mask, used;
	uint64_t seed;
};

#define MAP_NONE UINT32_MAX

/* The key's number, or MAP_NONE. */
MUST_USE uint32_t map_find(const struct map *map, uint64_t key);

/* The key is not in the map and the number is not MAP_NONE. False without memory. */
MUST_USE bool map_add(struct map *map, uint64_t key, uint32_t number);

/* Takes the key out and gives its number, or MAP_NONE. */
uint32_t map_remove(struct map *map, uint64_t key);
void map_free(struct map *map);

#endif

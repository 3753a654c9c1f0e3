/* SPDX-License-Identifier: MIT */
/* tests/verify/search.c - depth-first search by running again
 *
 * The path is the list of choices that the running execution makes. The next execution repeats it up to
 * the last choice that has an option left and takes that option; beyond, first options.
 *
 * A state that was searched before, with at least the budget that is left now, is not searched again. Its
 * key is 64 bits of hash of the execution so far (see memory.c): of ten million states, two have the same
 * key with a probability of 3 in a million, and only then would a state be passed over.
 */
#include "tests/verify/search.h"

#include "tests/verify/explore.h"

#include <stdlib.h>

#define PATH_MAX_CHOICES 4096

static struct {
	uint16_t taken, count;
} path[PATH_MAX_CHOICES];
static size_t length, position;

/* An open table, at most half full. Key 0 is an empty place. */
struct table {
	uint64_t *keys;
	uint8_t *budgets;
	size_t places, used;
};

static struct table seen, ends;
static uint64_t ends_fingerprint;
static bool merging;

static void *zeroed(size_t count, size_t bytes)
{
	void *p = calloc(count, bytes);
	if (!p)
		abort();
	return p;
}

static struct table table_of(size_t places)
{
	return (struct table){ .keys = zeroed(places, sizeof(uint64_t)),
			       .budgets = zeroed(places, 1),
			       .places = places };
}

static void table_drop(struct table *table)
{
	free(table->keys);
	free(table->budgets);
}

static size_t place_of(const struct table *table, uint64_t key)
{
	size_t i = key & (table->places - 1);
	while (table->keys[i] && table->keys[i] != key)
		i = (i + 1) & (table->places - 1);
	return i;
}

static void table_grow(struct table *table)
{
	struct table larger = table_of(table->places * 2);
	for (size_t i = 0; i < table->places; i++) {
		if (!table->keys[i])
			continue;
		size_t place = place_of(&larger, table->keys[i]);
		larger.keys[place] = table->keys[i];
		larger.budgets[place] = table->budgets[i];
	}
	larger.used = table->used;
	table_drop(table);
	*table = larger;
}

/* False if the key is there with at least this budget, else it is from now on. */
static bool table_add(struct table *table, uint64_t key, uint8_t budget)
{
	key += key == 0;
	size_t i = place_of(table, key);
	if (table->keys[i] && table->budgets[i] >= budget)
		return false;
	table->used += !table->keys[i];
	table->keys[i] = key;
	table->budgets[i] = budget;
	if (table->used * 2 > table->places)
		table_grow(table);
	return true;
}

void search_start(bool merge)
{
	merging = merge;
	table_drop(&seen);
	table_drop(&ends);
	seen = table_of(1 << 16);
	ends = table_of(1 << 10);
	ends_fingerprint = 0;
	length = position = 0;
}

bool search_next(void)
{
	position = 0;
	while (length > 0 && path[length - 1].taken + 1 == path[length - 1].count)
		length--;
	if (length == 0)
		return false;
	path[length - 1].taken++;
	return true;
}

unsigned search_choose(unsigned count)
{
	if (count == 1)
		return 0;
	if (position == length) {
		if (length == PATH_MAX_CHOICES)
			explore_fail("an execution with too many choices: does it end?");
		path[length].taken = 0;
		path[length++].count = (uint16_t)count;
	} else if (path[position].count != count) {
		explore_fail("the explorer's own fault: a repeated execution took another way");
	}
	return path[position++].taken;
}

bool search_is_new(void)
{
	return position == length;
}

bool search_seen(uint64_t state, uint8_t budget)
{
	return merging && !table_add(&seen, state, budget);
}

void search_end(uint64_t state)
{
	if (table_add(&ends, state, 0))
		ends_fingerprint += mix(state);
}

size_t search_states(void)
{
	return seen.used;
}

size_t search_ends(void)
{
	return ends.used;
}

uint64_t search_ends_fingerprint(void)
{
	return ends_fingerprint;
}

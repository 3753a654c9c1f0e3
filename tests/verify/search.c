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
static struct seen {
	uint64_t *keys;
	uint8_t *budgets;
	size_t places, used;
} seen;

static void *zeroed(size_t count, size_t bytes)
{
	void *p = calloc(count, bytes);
	if (!p)
		abort();
	return p;
}

static struct seen table_of(size_t places)
{
	return (struct seen){ .keys = zeroed(places, sizeof(uint64_t)),
			      .budgets = zeroed(places, 1),
			      .places = places };
}

static size_t place_of(const struct seen *table, uint64_t key)
{
	size_t i = key & (table->places - 1);
	while (table->keys[i] && table->keys[i] != key)
		i = (i + 1) & (table->places - 1);
	return i;
}

static void grow(void)
{
	struct seen larger = table_of(seen.places * 2);
	for (size_t i = 0; i < seen.places; i++) {
		if (!seen.keys[i])
			continue;
		size_t place = place_of(&larger, seen.keys[i]);
		larger.keys[place] = seen.keys[i];
		larger.budgets[place] = seen.budgets[i];
	}
	larger.used = seen.used;
	free(seen.keys);
	free(seen.budgets);
	seen = larger;
}

void search_start(void)
{
	free(seen.keys);
	free(seen.budgets);
	seen = table_of(1 << 16);
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
	uint64_t key = state ? state : 1;
	size_t i = place_of(&seen, key);
	if (seen.keys[i] && seen.budgets[i] >= budget)
		return true;
	if (!seen.keys[i]) {
		seen.keys[i] = key;
		seen.used++;
	}
	seen.budgets[i] = budget;
	if (seen.used * 2 > seen.places)
		grow();
	return false;
}

size_t search_states(void)
{
	return seen.used;
}

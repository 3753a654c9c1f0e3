/* SPDX-License-Identifier: MIT */
/* tests/verify/search.h - the choices of an execution, depth first, and the states that were seen */
#ifndef VERIFY_SEARCH_H
#define VERIFY_SEARCH_H

#include "shim/base/compiler.h"

/* Forgets everything: the next execution takes the first option of each choice. With `merge`, states that
 * were searched before are not searched again. */
void search_start(bool merge);

/* Back to the beginning of an execution; false if there is none left. */
MUST_USE bool search_next(void);

/* The option, below `count`, that this execution takes here. */
MUST_USE unsigned search_choose(unsigned count);

/* False while the execution repeats the choices that lead to its first new one. */
MUST_USE bool search_is_new(void);

/* True if a search from this state with at least this budget was begun before; else notes that now one
 * is. */
MUST_USE bool search_seen(uint64_t state, uint8_t budget);

/* The execution came to its end in this state. */
void search_end(uint64_t state);

size_t search_states(void);
size_t search_ends(void);	       /* different ones */
uint64_t search_ends_fingerprint(void);

/* A good mix of all bits (the finaliser of SplitMix64). */
INLINE uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif

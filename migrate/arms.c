/* SPDX-License-Identifier: MIT */
/* migrate/arms.c - how long mallocs take, in two arms; see arms.h */
#include "migrate/arms.h"

#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/hooks.h"

#include <string.h>

#define HEAPS_A_MOMENT 16

enum { CANARY, OLD, ARMS };

/* [any thread] Not touched, and so not there, before the first sample of the class. */
static _Atomic uint32_t samples[NEXT_CLASSES][ARMS][LATENCY_BUCKETS];

/* [any thread; written under the lock of flips] The old cohort's first place; 0 with `none`: no arms. */
static _Atomic uint32_t old_from[NEXT_CLASSES];
static _Atomic bool has_arms[NEXT_CLASSES];
static _Atomic uint32_t classes_with_arms;

static uint64_t random_state; /* [waiting thread] */

bool arms_any(void)
{
	return load_relaxed(&classes_with_arms) > 0;
}

/* Where nothing was counted nothing is written. */
static void forget(unsigned class)
{
	for (unsigned arm = 0; arm < ARMS; arm++)
		for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
			if (load_relaxed(&samples[class][arm][i]) != 0)
				store_relaxed(&samples[class][arm][i], 0);
}

void arms_set(unsigned class, const struct share *share, bool flipped)
{
	if (!share && !arms_any())
		return;
	bool had = load_relaxed(&has_arms[class]);
	uint32_t from = share && share->control ? (uint32_t)-share_end(share) : 0;

	if (had && (flipped || from != load_relaxed(&old_from[class])))
		forget(class);
	store_relaxed(&old_from[class], from);
	store_relaxed(&has_arms[class], share != NULL);
	if (had != (share != NULL))
		fetch_add_relaxed(&classes_with_arms, share ? 1 : (uint32_t)-1);
}

/* xorshift64 (Marsaglia, 2003) */
static uint64_t draw(void)
{
	if (random_state == 0)
		random_state = os_now_ns() | 1;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void arms_sample(void)
{
	bool wanted[NEXT_CLASSES];
	uint32_t heaps = next_heaps();

	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		wanted[class] = load_relaxed(&has_arms[class]);
	if (heaps <= HEAPS_A_MOMENT) {
		for (uint32_t heap = 1; heap <= heaps; heap++)
			next_ask_for_sample(heap, wanted);
		return;
	}
	for (unsigned i = 0; i < HEAPS_A_MOMENT; i++)
		next_ask_for_sample(1 + (uint32_t)(draw() % heaps), wanted);
}

void shim_at_sample(unsigned class, bool by_next, uint64_t ns)
{
	if (!load_relaxed(&has_arms[class]))
		return;
	if (!by_next && next_cohort() < load_relaxed(&old_from[class]))
		return;
	fetch_add_relaxed(&samples[class][by_next ? CANARY : OLD][latency_bucket(ns)], 1);
}

static void add(struct latency *latency, const _Atomic uint32_t *buckets)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint32_t count = load_relaxed(&buckets[i]);
		latency->bucket[i] += count;
		latency->count += count;
	}
}

void arms_read(unsigned class, struct latency *canary, struct latency *old)
{
	if (!load_relaxed(&has_arms[class]))
		return;
	add(canary, samples[class][CANARY]);
	add(old, samples[class][OLD]);
}

/* SPDX-License-Identifier: MIT */
/* migrate/held.c - bytes held per live byte; see held.h */
#include "migrate/held.h"

#include "shim/system.h"

static struct rollout_held best[SHIM_NEXT]; /* [lock: flips] by backend */

void held_of_system(struct rollout_held *held)
{
	*held = (struct rollout_held){ .held_bytes = 0 };
	if (!shim_system_available() || !shim_system.mallinfo2)
		return;
	struct mallinfo2 info = shim_system.mallinfo2();
	held->held_bytes = info.arena + info.hblkhd;
	held->live_bytes = info.uordblks + info.hblkhd;
}

void held_of_legacy(const struct legacy_counters *counters, struct rollout_held *held)
{
	*held = (struct rollout_held){
		.held_bytes = counters->pages * LEGACY_PAGE_BYTES + counters->resident_free_bytes,
	};
	for (unsigned i = 0; i < LEGACY_CLASSES; i++)
		held->live_bytes += counters->class_live_bytes[i];
}

/* a / b without a division by zero: nothing is held, or nothing lives. */
static bool is_better(const struct rollout_held *a, const struct rollout_held *b)
{
	return b->held_bytes == 0 || (double)a->held_bytes * (double)b->live_bytes <
					     (double)b->held_bytes * (double)a->live_bytes;
}

static void remember(enum shim_backend side, const struct rollout_held *now)
{
	sigset_t mask;

	if (now->held_bytes == 0 || now->live_bytes < HELD_BASE_MIN_BYTES)
		return;
	shim_flips_begin(&mask);
	if (is_better(now, &best[side]))
		best[side] = *now;
	shim_flips_end(&mask);
}

void held_look_at_old(const struct legacy_counters *counters)
{
	struct rollout_held now;
	held_of_legacy(counters, &now);
	remember(SHIM_LEGACY, &now);
	held_of_system(&now);
	remember(SHIM_SYSTEM, &now);
}

void held_best_of(enum shim_backend side, struct rollout_held *held)
{
	sigset_t mask;

	*held = (struct rollout_held){ .held_bytes = 0 };
	if (side >= SHIM_NEXT)
		return;
	shim_flips_begin(&mask);
	*held = best[side];
	shim_flips_end(&mask);
}

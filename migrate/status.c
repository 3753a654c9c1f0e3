/* SPDX-License-Identifier: MIT */
/* migrate/status.c - what there is to tell about every class; see status.h */
#include "migrate/status.h"

#include "migrate/arms.h"
#include "migrate/guard.h"
#include "shim/base/os.h"
#include "shim/init.h"

#include <string.h>

_Static_assert((int)SOURCE_LIVE == HAKMEM_SOURCE_LIVE && (int)SOURCE_FILE == HAKMEM_SOURCE_FILE &&
		       (int)SOURCE_ENVIRONMENT == HAKMEM_SOURCE_ENVIRONMENT,
	       "the public names of sources are ours");
_Static_assert((int)REASON_NOT_DRAWN == HAKMEM_REASON_NOT_DRAWN &&
		       (int)REASON_LATCHED == HAKMEM_REASON_LATCHED &&
		       (int)REASON_KILL_SWITCH == HAKMEM_REASON_KILL_SWITCH &&
		       (int)REASON_UNAVAILABLE == HAKMEM_REASON_UNAVAILABLE,
	       "the public names of reasons are ours");
_Static_assert((int)SHARE_OF_THREADS == HAKMEM_SHARE_OF_THREADS &&
		       (int)SHARE_OF_PROCESSES == HAKMEM_SHARE_OF_PROCESSES &&
		       (int)SHARE_OF_HOSTS == HAKMEM_SHARE_OF_HOSTS,
	       "the public names of shares are ours");

void status_read(struct status *status)
{
	memset(status, 0, sizeof(*status));
	state_read(&status->state);
	status->time_ns = os_now_ns();
	if (shim_next_available()) {
		next_read_stats(&status->next);
		next_read_held(status->held_bytes);
	}
	if (shim_legacy_available())
		legacy_read_counters(&status->legacy);
}

static uint32_t owner_of(enum shim_backend backend)
{
	switch (backend) {
	case SHIM_NEXT:
	case SHIM_SHARE:
		return HAKMEM_OWNER_NEXT;
	case SHIM_LEGACY:
		return HAKMEM_OWNER_LEGACY;
	case SHIM_SYSTEM:
	case SHIM_UNSET:
		break;
	}
	return HAKMEM_OWNER_SYSTEM;
}

static uint32_t state_of(const struct state_class *class)
{
	/* A process or host that was drawn serves all of the class from next, yet it is a canary. */
	if (class->route == SHIM_SHARE)
		return HAKMEM_STATE_CANARY;
	if (class->route != SHIM_NEXT)
		return HAKMEM_STATE_OLD;
	return class->arm == ARM_CANARY && class->said.share.size < SHARE_WHOLE
		       ? HAKMEM_STATE_CANARY
		       : HAKMEM_STATE_NEXT;
}

/* The classes below the last one have blocks of one size; what is left is the last one's. */
static uint64_t next_live_bytes(const struct status *status, unsigned number)
{
	uint64_t rest = status->next.live_bytes;

	if (number < NEXT_CLASS_HUGE)
		return status->next.class_live_blocks[number] * next_class_bytes(number);
	for (unsigned class = 0; class < NEXT_CLASS_HUGE; class ++) {
		uint64_t bytes = next_live_bytes(status, class);
		rest -= bytes < rest ? bytes : rest;
	}
	return rest;
}

/* legacy's class for the largest size of the class, if it is one of legacy's. */
static int legacy_class_of(unsigned number)
{
	if (number >= NEXT_CLASS_HUGE || next_class_bytes(number) < LEGACY_MIN_BYTES)
		return -1;
	for (unsigned class = 0; class < LEGACY_CLASSES; class ++)
		if (next_class_bytes(number) <= legacy_class_bytes(class))
			return (int)class;
	return -1;
}

/* --- guards and arms ------------------------------------------------------------------------------ */

static uint32_t guard_of(bool armed, enum rollout_outcome outcome)
{
	if (!armed)
		return HAKMEM_GUARD_OFF;
	return outcome == ROLLOUT_GO	      ? HAKMEM_GUARD_GO
	       : outcome == ROLLOUT_ROLL_BACK ? HAKMEM_GUARD_ROLL_BACK
					      : HAKMEM_GUARD_HOLD;
}

static uint64_t thousandths(double value)
{
	return value < 1e12 ? (uint64_t)(value * 1000) : HAKMEM_UNKNOWN;
}

static void fill_arms(unsigned number, struct hakmem_class *out)
{
	const struct rollout_limits *limits = &rollout_default_limits;
	struct latency canary = { .count = 0 }, old = { .count = 0 };

	out->ratio_high = HAKMEM_UNKNOWN;
	arms_read(number, &canary, &old);
	if (canary.count + old.count == 0)
		return;
	struct interval ratio = sequence_ratio(&canary, &old, limits->quantile, limits->alpha);
	out->canary_samples = canary.count;
	out->old_samples = old.count;
	out->canary_p99_ns = (uint64_t)latency_quantile_ns(&canary, limits->quantile);
	out->old_p99_ns = (uint64_t)latency_quantile_ns(&old, limits->quantile);
	out->ratio_low = thousandths(ratio.low);
	out->ratio_high = thousandths(ratio.high);
}

static void fill_guards(unsigned number, struct hakmem_class *out)
{
	struct guard_class guard;

	guard_read_class(number, &guard);
	/* Where next has served nothing there was nothing to be found. */
	if (out->next_mallocs == 0 && guard.misuse == ROLLOUT_GO)
		guard.misuse = ROLLOUT_HOLD;
	if (out->next_mallocs == 0 && guard.reservation == ROLLOUT_GO)
		guard.reservation = ROLLOUT_HOLD;
	out->guard_misuse = guard_of(guard.misuse_armed, guard.misuse);
	out->guard_reservation = guard_of(guard.reservation_armed, guard.reservation);
	out->guard_latency = guard_of(guard.latency_armed, guard.latency);
	out->guard_held = guard_of(guard.held_armed, guard.held);
	out->guard_rss = guard_of(guard.rss_armed, guard.rss);
}

void status_of_class(const struct status *status, unsigned number, struct hakmem_class *out)
{
	const struct state_class *class = &status->state.class[number];
	int legacy = shim_legacy_available() ? legacy_class_of(number) : -1;

	*out = (struct hakmem_class){
		.min_bytes = number == 0 ? 1 : next_class_bytes(number - 1) + 1,
		.max_bytes = number == NEXT_CLASS_HUGE ? PTRDIFF_MAX : next_class_bytes(number),
		.number = number,
		.state = state_of(class),
		.served_by = owner_of(class->route),
		.old_side = owner_of(class->old_side),
		.source = class->source,
		.reason = class->reason,
		.share_of = class->said.share.of,
		.share = class->said.share.size,
		.has_control = class->said.share.control,
		.arm = class->arm,
		.latched = class->latch_cause != NULL,
		.next_live_blocks = status->next.class_live_blocks[number],
		.next_live_bytes = next_live_bytes(status, number),
		.old_live_blocks = HAKMEM_UNKNOWN,
		.old_live_bytes = HAKMEM_UNKNOWN,
		.flipped_ns = class->flipped_at_ns ? status->time_ns - class->flipped_at_ns
						   : HAKMEM_UNKNOWN,
		.old_pinned_pages = HAKMEM_UNKNOWN,
		.old_pinned_bytes = HAKMEM_UNKNOWN,
		.next_held_bytes = status->held_bytes[number],
		.next_mallocs = status->next.class_mallocs[number],
		.old_mallocs = HAKMEM_UNKNOWN,
		.next_pinned_pages = status->next.class_pinned_pages[number],
		.next_pinned_segments = status->next.class_pinned_segments[number],
		.old_pinned_segments = HAKMEM_UNKNOWN,
		.next_remote_frees = status->next.class_remote_frees[number],
		.old_remote_frees = HAKMEM_UNKNOWN,
		.old_lock_waits = HAKMEM_UNKNOWN,
		.next_purged_bytes = status->next.class_purged_bytes[number],
		.old_purged_bytes = HAKMEM_UNKNOWN,
	};
	if (legacy >= 0) {
		out->old_class_bytes = (uint32_t)legacy_class_bytes((unsigned)legacy);
		out->old_live_blocks = status->legacy.class_live_blocks[legacy];
		out->old_live_bytes = status->legacy.class_live_bytes[legacy];
		out->old_pinned_pages = status->legacy.class_pages[legacy];
		out->old_pinned_bytes = out->old_pinned_pages * LEGACY_PAGE_BYTES;
		out->old_mallocs = status->legacy.class_mallocs[legacy];
		out->old_pinned_segments = status->legacy.class_chunks[legacy];
		out->old_remote_frees = status->legacy.class_remote_frees[legacy];
		out->old_lock_waits = status->legacy.class_lock_waits[legacy];
		out->old_purged_bytes = status->legacy.class_purged_bytes[legacy];
	}
	if (class->latch_cause)
		strncpy(out->cause, class->latch_cause, sizeof(out->cause) - 1);
	fill_arms(number, out);
	fill_guards(number, out);
}

/* SPDX-License-Identifier: MIT */
/* migrate/drain.c - what a class leaves behind in its old pool; see drain.h */
#include "migrate/drain.h"

#include "legacy/legacy.h"
#include "migrate/rollback.h"
#include "migrate/state.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/init.h"
#include "shim/route.h"
#include "shim/system.h"

#define MS		  UINT64_C(1000000)
#define LOOK_EVERY_MS	  500
#define IDLE_MS		  5000 /* a plan that the program sets itself wakes nobody */
#define SETTLED_NS	  (1000 * MS)
#define ATTENTION_NS	  (100 * MS)
#define TRIM_EVERY_NS	  (30000 * MS)

/* [working] */
static uint64_t seen_flip_ns; /* the flip that was dealt with last */
static uint64_t trim_due_ns;
static uint64_t look_due_ns;

static _Atomic bool working;
static _Atomic bool settling; /* [working writes] something was flipped and is not dealt with yet */
static _Atomic uint64_t attention_until_ns; /* [any thread] 0: nobody is asked */

struct draining {
	uint64_t last_flip_ns; /* of those that drain; 0: none does */
	bool legacy, system;
};

static void look(struct draining *found)
{
	static struct state state; /* [working] */

	*found = (struct draining){ .legacy = false };
	state_read(&state);
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct state_class *class = &state.class[i];
		if (class->route != SHIM_NEXT || !class->flipped_at_ns)
			continue;
		if (class->flipped_at_ns > found->last_flip_ns)
			found->last_flip_ns = class->flipped_at_ns;
		found->legacy |= class->old_side == SHIM_LEGACY;
		found->system |= class->old_side == SHIM_SYSTEM;
	}
}

static void trim(const struct draining *found)
{
	if (found->legacy && shim_legacy_available())
		(void)legacy_trim();
	if (found->system && shim_system.trim)
		shim_system.trim(0);
}

static void work(uint64_t now_ns)
{
	uint64_t asked_until_ns = load_relaxed(&attention_until_ns);
	struct draining found;

	if (asked_until_ns && (now_ns >= asked_until_ns || legacy_drain_left() == 0)) {
		store_relaxed(&attention_until_ns, 0);
		shim_attend(false);
		if (rollback_is_undelivered())
			shim_attend(true);
		look(&found);
		trim(&found);
		trim_due_ns = now_ns + TRIM_EVERY_NS;
		return;
	}
	if (asked_until_ns || now_ns < look_due_ns)
		return;
	look_due_ns = now_ns + LOOK_EVERY_MS * MS - 5 * MS; /* poll() counts whole ms */
	look(&found);
	store_relaxed(&settling, found.last_flip_ns != 0 && found.last_flip_ns != seen_flip_ns);
	if (!found.last_flip_ns || now_ns - found.last_flip_ns < SETTLED_NS)
		return;
	if (found.last_flip_ns != seen_flip_ns) {
		seen_flip_ns = found.last_flip_ns;
		trim_due_ns = now_ns;
		if (found.legacy && shim_legacy_available()) {
			legacy_drain_begin();
			store_relaxed(&attention_until_ns, now_ns + ATTENTION_NS);
			shim_attend(true);
			return;
		}
	}
	if (now_ns >= trim_due_ns) {
		trim(&found);
		trim_due_ns = now_ns + TRIM_EVERY_NS;
	}
}

int drain_patience_ms(void)
{
	if (load_relaxed(&attention_until_ns))
		return 10;
	return load_relaxed(&settling) ? LOOK_EVERY_MS : IDLE_MS;
}

void drain_tick(void)
{
	bool idle = false;
	/* acquire: what whoever worked before has written; pairs with the release below */
	if (!cas_acquire(&working, &idle, true))
		return;
	work(os_now_ns());
	/* release: see above */
	store_release(&working, false);
}

bool drain_wants_attention(void)
{
	return load_relaxed(&attention_until_ns) != 0;
}

void drain_this_thread(void)
{
	struct legacy_thread *t = drain_wants_attention() ? shim_legacy_thread_if_any() : NULL;
	if (t)
		legacy_drain(t);
}

size_t drain_left(void)
{
	return shim_legacy_available() ? legacy_drain_left() : 0;
}

void drain_fork_child(void)
{
	/* The thread that works is not here. */
	store_relaxed(&working, false);
	store_relaxed(&attention_until_ns, 0);
}

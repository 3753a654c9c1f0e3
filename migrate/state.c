/* SPDX-License-Identifier: MIT */
/* migrate/state.c - what is in force; see state.h
 *
 *   change a source, a latch or the kill switch  ->  decide() for every class, without side effects
 *                                                ->  flip those whose route differs
 */
#include "migrate/state.h"

#include "migrate/arms.h"
#include "migrate/identity.h"
#include "shim/base/os.h"
#include "shim/base/probes.h"
#include "shim/system.h"

#include <string.h>

/* The plan of one source. What is written for every plan comes first, so that a short one touches one page. */
struct layer {
	struct plan plan;
	size_t length;
	char error[STATE_ERROR_BYTES];
	char text[PLAN_TEXT_MAX];
};

/* What draws are drawn by. */
struct drawer {
	bool process_known, host_known;
	struct identity_process process;
	char host[IDENTITY_HOST_BYTES];
	size_t host_length;
};

/* [lock: flips] all of it */
static bool present[STATE_SOURCES];
static struct layer layers[STATE_SOURCES];
static const char *latches[NEXT_CLASSES]; /* the cause; NULL: none */
static bool kill_switch;
static struct drawer drawer;
static uint64_t changes, flips, flip_ns, last_flip_ns, worst_flip_ns, rollbacks;
static uint64_t flipped_at_ns[NEXT_CLASSES]; /* 0: never */

static const char *const source_names[STATE_SOURCES] = {
	[SOURCE_DEFAULT] = "default",
	[SOURCE_ENVIRONMENT] = "environment",
	[SOURCE_FILE] = "file",
	[SOURCE_LIVE] = "live",
};

static const char *const reason_names[STATE_REASONS] = {
	[REASON_PLAN] = "plan",
	[REASON_NOT_DRAWN] = "not drawn",
	[REASON_LATCHED] = "latched",
	[REASON_KILL_SWITCH] = "kill switch",
	[REASON_UNAVAILABLE] = "unavailable",
};

static const char *const backend_names[] = {
	[SHIM_UNSET] = "unset", [SHIM_SYSTEM] = "system", [SHIM_LEGACY] = "legacy",
	[SHIM_NEXT] = "next",	[SHIM_SHARE] = "share",
};

const char *state_source_name(enum state_source source)
{
	return source_names[source];
}

const char *state_reason_name(enum state_reason reason)
{
	return reason_names[reason];
}

const char *state_backend_name(enum shim_backend backend)
{
	return backend_names[backend];
}

/* --- deciding ------------------------------------------------------------------------------------- */

static enum shim_backend backend_of(enum plan_target target)
{
	switch (target) {
	case PLAN_NEXT:
		return SHIM_NEXT;
	case PLAN_LEGACY:
		return SHIM_LEGACY;
	case PLAN_SYSTEM:
		return SHIM_SYSTEM;
	case PLAN_OLD:
		break; /* the callers have resolved it */
	}
	return SHIM_UNSET;
}

static uint32_t draw_of(enum share_of of, const char *salt)
{
	return of == SHARE_OF_PROCESSES ? identity_process_draw(&drawer.process, salt)
					: identity_host_draw(drawer.host, drawer.host_length, salt);
}

/* The route of a class whose source sends a share of it to next. */
static void decide_share(struct state_class *class, const char *salt)
{
	const struct share *share = &class->said.share;
	uint64_t end = share_end(share);

	if (share->of == SHARE_OF_THREADS) {
		class->door = (uint32_t)end;
		class->route = end == 0 ? class->old_side : end >> 32 ? SHIM_NEXT : SHIM_SHARE;
		return;
	}
	class->arm = share_arm_of(share, draw_of(share->of, salt));
	class->route = class->arm == ARM_CANARY ? SHIM_NEXT : class->old_side;
	if (class->arm != ARM_CANARY)
		class->reason = REASON_NOT_DRAWN;
}

/* Where shim has settled on another old side, because the plan's has no memory, it stays there. */
static enum shim_backend old_side_of(const struct plan *plan, unsigned number)
{
	enum shim_backend side = backend_of(plan_old_side(plan, number));
	return shim_route_possible(number, side) ? side : shim_old_side_of(number);
}

/* Everything about a class but `said` and `source`, which are filled in. */
static void decide(struct state_class *class, unsigned number, const struct plan *plan)
{
	class->old_side = old_side_of(plan, number);
	class->latch_cause = latches[number];
	class->route = class->old_side;
	class->reason = kill_switch	     ? REASON_KILL_SWITCH
			: class->latch_cause ? REASON_LATCHED
					     : REASON_PLAN;
	if (class->reason != REASON_PLAN || class->said.target == PLAN_OLD)
		return;
	if (class->said.share.of == SHARE_OF_ALL)
		class->route = backend_of(class->said.target);
	else
		decide_share(class, plan->salt);
	if (!shim_route_possible(number, class->route)) {
		class->route = class->old_side;
		class->reason = REASON_UNAVAILABLE;
	}
}

/* The sum of all sources, with `live` in the place of the live plan if it is not NULL. */
static void decide_all(struct state *state, const struct plan *live)
{
	static struct plan sum; /* a guard may come here on a small stack */

	memset(state, 0, sizeof(*state));
	plan_init(&sum, shim_system_available());
	for (unsigned source = SOURCE_ENVIRONMENT; source < STATE_SOURCES; source++) {
		const struct plan *plan = present[source] ? &layers[source].plan : NULL;
		if (source == SOURCE_LIVE && live)
			plan = live;
		state->present[source] = plan != NULL;
		if (!plan)
			continue;
		plan_overlay(&sum, plan);
		for (unsigned number = 0; number < NEXT_CLASSES; number++)
			if (plan->class[number].named)
				state->class[number].source = (enum state_source)source;
	}
	for (unsigned number = 0; number < NEXT_CLASSES; number++) {
		state->class[number].said = sum.class[number];
		decide(&state->class[number], number, &sum);
		state->class[number].flipped_at_ns = flipped_at_ns[number];
	}
	memcpy(state->salt, sum.salt, sizeof(state->salt));
	state->kill_switch = kill_switch;
}

/* --- flipping ------------------------------------------------------------------------------------- */

static unsigned route_now(unsigned number)
{
	return shim_route_word_of(number) & ~(unsigned)SHIM_BITS;
}

static bool differs(unsigned number, const struct state_class *class)
{
	return route_now(number) != class->route ||
	       (class->route == SHIM_SHARE && shim_route_door(number) != class->door);
}

static const char *why(const struct state_class *class)
{
	return class->latch_cause	      ? class->latch_cause
	       : class->reason == REASON_PLAN ? source_names[class->source]
					      : reason_names[class->reason];
}

/* True if the route was another one. */
static bool flip(unsigned number, const struct state_class *class)
{
	unsigned before = route_now(number);

	if (shim_old_side_of(number) != class->old_side)
		(void)!shim_route_set_old_side(number, class->old_side);
	if (!differs(number, class) || !shim_route_change(number, class->route, class->door))
		return false;
	PROBE4(route_changed, number, before, class->route, why(class));
	return true;
}

static void apply(struct state_outcome *outcome)
{
	static struct state state; /* as in decide_all() */
	struct state_outcome done = { .flipped = 0 };
	uint64_t start_ns = os_now_ns();

	decide_all(&state, NULL);
	for (unsigned number = 0; number < NEXT_CLASSES; number++) {
		const struct state_class *class = &state.class[number];
		bool flipped = flip(number, class);
		if (flipped)
			flipped_at_ns[number] = start_ns;
		arms_set(number, class->route == SHIM_SHARE ? &class->said.share : NULL, flipped);
		done.flipped += flipped;
		done.unavailable += state.class[number].reason == REASON_UNAVAILABLE;
	}
	done.flip_ns = os_now_ns() - start_ns;
	changes++;
	if (done.flipped > 0) {
		flips += done.flipped;
		flip_ns += done.flip_ns;
		last_flip_ns = done.flip_ns;
		worst_flip_ns = worst_flip_ns > done.flip_ns ? worst_flip_ns : done.flip_ns;
		PROBE2(flip_done, done.flipped, done.flip_ns);
	}
	if (outcome)
		*outcome = done;
}

/* --- sources -------------------------------------------------------------------------------------- */

static bool draws(const struct plan *plan, enum share_of of)
{
	for (unsigned number = 0; number < NEXT_CLASSES; number++)
		if (plan->class[number].share.of == of)
			return true;
	return false;
}

/* Reads what the plan's shares are drawn by, outside of the lock: files may be slow. */
static void look_up(struct drawer *found, const struct plan *plan)
{
	found->process_known = draws(plan, SHARE_OF_PROCESSES);
	found->host_known = draws(plan, SHARE_OF_HOSTS);
	if (found->process_known)
		found->process = identity_process();
	if (found->host_known)
		found->host_length = identity_host(found->host);
}

/* Once known it stays, whatever becomes of the files. */
static void remember(const struct drawer *found)
{
	if (found->process_known && !drawer.process_known) {
		drawer.process = found->process;
		drawer.process_known = true;
	}
	if (found->host_known && !drawer.host_known) {
		memcpy(drawer.host, found->host, sizeof(drawer.host));
		drawer.host_length = found->host_length;
		drawer.host_known = true;
	}
}

bool state_set_plan(enum state_source source, const char *text, size_t length,
		    struct plan_error *error, struct state_outcome *outcome)
{
	struct layer *layer = &layers[source];
	struct drawer found;
	struct plan plan;
	sigset_t mask;

	if (!plan_parse(&plan, text, length, shim_system_available(), error)) {
		char line[PLAN_ERROR_BYTES];
		(void)plan_error_text(error, line);
		state_set_error(source, line);
		return false;
	}
	look_up(&found, &plan);
	shim_flips_begin(&mask);
	remember(&found);
	present[source] = true;
	layer->plan = plan;
	layer->length = length;
	memcpy(layer->text, text, length);
	layer->error[0] = '\0';
	apply(outcome);
	shim_flips_end(&mask);
	return true;
}

void state_drop_plan(enum state_source source, struct state_outcome *outcome)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	present[source] = false;
	layers[source].error[0] = '\0';
	apply(outcome);
	shim_flips_end(&mask);
}

bool state_try_plan(const char *text, size_t length, struct plan_error *error,
		    struct state *would_be)
{
	struct drawer found;
	struct plan plan;
	sigset_t mask;

	if (!plan_parse(&plan, text, length, shim_system_available(), error))
		return false;
	look_up(&found, &plan);
	shim_flips_begin(&mask);
	remember(&found);
	decide_all(would_be, &plan);
	shim_flips_end(&mask);
	return true;
}

/* --- latches, kill switch, fork ------------------------------------------------------------------- */

void state_rollback(const bool named[NEXT_CLASSES], const char *cause,
		    struct state_outcome *outcome)
{
	sigset_t mask;

	shim_flips_begin(&mask);
	for (unsigned number = 0; number < NEXT_CLASSES; number++) {
		/* The first cause is the one that matters. */
		if (named[number] && !latches[number])
			latches[number] = cause;
	}
	rollbacks++;
	apply(outcome);
	for (unsigned number = 0; number < NEXT_CLASSES; number++)
		if (named[number])
			PROBE2(rollback, number, cause);
	shim_flips_end(&mask);
}

void state_unlatch(const bool named[NEXT_CLASSES], struct state_outcome *outcome)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	for (unsigned number = 0; number < NEXT_CLASSES; number++)
		if (named[number])
			latches[number] = NULL;
	apply(outcome);
	shim_flips_end(&mask);
}

void state_kill_switch(bool on, struct state_outcome *outcome)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	kill_switch = on;
	apply(outcome);
	shim_flips_end(&mask);
}

/* No other thread is here, and the lock was freed before. Only who draws as a process may move. */
void state_fork_child(void)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	if (drawer.process_known) {
		drawer.process = identity_process();
		apply(NULL);
	}
	shim_flips_end(&mask);
}

/* --- asking --------------------------------------------------------------------------------------- */

void state_read(struct state *state)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	decide_all(state, NULL);
	state->changes = changes;
	state->flips = flips;
	state->flip_ns = flip_ns;
	state->last_flip_ns = last_flip_ns;
	state->worst_flip_ns = worst_flip_ns;
	state->rollbacks = rollbacks;
	shim_flips_end(&mask);
}

size_t state_plan_text(enum state_source source, char *out, size_t room)
{
	size_t length = 0;
	sigset_t mask;

	if (room > 0)
		out[0] = '\0';
	shim_flips_begin(&mask);
	if (present[source])
		length = layers[source].length;
	if (length > 0 && room > 0) {
		size_t copied = length < room ? length : room - 1;
		memcpy(out, layers[source].text, copied);
		out[copied] = '\0';
	}
	shim_flips_end(&mask);
	return length;
}

void state_set_error(enum state_source source, const char *text)
{
	size_t length = strnlen(text, STATE_ERROR_BYTES - 1);
	sigset_t mask;
	shim_flips_begin(&mask);
	memcpy(layers[source].error, text, length);
	layers[source].error[length] = '\0';
	shim_flips_end(&mask);
}

void state_error(enum state_source source, char out[STATE_ERROR_BYTES])
{
	sigset_t mask;
	shim_flips_begin(&mask);
	memcpy(out, layers[source].error, STATE_ERROR_BYTES);
	shim_flips_end(&mask);
}

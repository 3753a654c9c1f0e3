/* SPDX-License-Identifier: MIT */
/* migrate/rollout_run.c - a rollout of the program's own; see rollout_run.h */
#include "migrate/rollout_run.h"

#include "migrate/arms.h"
#include "migrate/held.h"
#include "migrate/rollback.h"
#include "migrate/state.h"
#include "shim/base/atomic.h"
#include "shim/init.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)ROLLOUT_HOLD + 1 == HAKMEM_GUARD_HOLD && (int)ROLLOUT_GO + 1 == HAKMEM_GUARD_GO &&
		       (int)ROLLOUT_ROLL_BACK + 1 == HAKMEM_GUARD_ROLL_BACK,
	       "the public names of outcomes are ours");

#define CLASSES_MAX 512 /* bytes of text */

/* [lock: flips] */
static struct {
	enum hakmem_rollout_phase phase;
	bool ending; /* RUNNING still, and somebody is at it to end it */
	uint64_t number; /* of the rollout: one that was stopped does not go on in another's name */
	struct rollout rollout;
	struct rollout_verdict verdict;
	bool named[NEXT_CLASSES];
	bool roll_back_on_stop;
	char classes[CLASSES_MAX];
	size_t base_length;
	char base[PLAN_TEXT_MAX + 1]; /* the live plan that was there before */
} run;

static _Atomic bool going; /* [any thread] RUNNING, and nobody ends it */

/* [the waiting thread that looks] */
static char plan_text[PLAN_TEXT_MAX + 1];
static struct latency canary, old;
static size_t held_bytes[NEXT_CLASSES];
static struct next_stats next_stats;
static struct legacy_counters legacy_counters;

/* --- starting and ending -------------------------------------------------------------------------- */

/* The plan of a step. Under the lock, or before anybody knows of the run. */
static bool compose(char out[PLAN_TEXT_MAX + 1], uint32_t share)
{
	size_t used = run.base_length;

	memcpy(out, run.base, used);
	if (used > 0)
		out[used++] = ',';
	return rollout_plan_text(out + used, PLAN_TEXT_MAX + 1 - used, run.classes, share);
}

static const char *prepare(const struct rollout *rollout, const char *classes)
{
	struct plan_error unused;

	memset(run.named, 0, sizeof(run.named));
	if (!plan_parse_classes(run.named, classes, strlen(classes), &unused))
		return "the classes are not such as plans name";
	memcpy(run.classes, classes, strlen(classes) + 1);
	/* The longest of its plans. */
	run.base_length = PLAN_TEXT_MAX / 2;
	memset(run.base, ' ', run.base_length);
	if (!compose(plan_text, SHARE_PERCENT / 3))
		return "the names of the classes are too long";
	run.rollout = *rollout;
	return NULL;
}

const char *rollout_run_start(const struct rollout *rollout, const char *classes,
			      bool roll_back_on_stop)
{
	const char *wrong = "there is a rollout already";
	sigset_t mask;

	if (strnlen(classes, CLASSES_MAX) == CLASSES_MAX)
		return "the names of the classes are too long";
	if (rollout->steps.count == 0)
		return "there is no step";
	char text[PLAN_TEXT_MAX + 1];
	size_t length = state_plan_text(SOURCE_LIVE, text, sizeof(text));
	shim_flips_begin(&mask);
	if (run.phase != HAKMEM_ROLLOUT_RUNNING) {
		wrong = prepare(rollout, classes);
		if (!wrong && length > PLAN_TEXT_MAX / 2)
			wrong = "the live plan is too long to be added to";
	}
	if (!wrong) {
		memcpy(run.base, text, length);
		run.base_length = length;
		run.roll_back_on_stop = roll_back_on_stop;
		run.number++;
		run.verdict = (struct rollout_verdict){ .ratio.high = SEQUENCE_UNBOUNDED, .why = "" };
		run.phase = HAKMEM_ROLLOUT_RUNNING;
		store_relaxed(&going, true);
	}
	shim_flips_end(&mask);
	return wrong;
}

/* Nobody goes on with it after that; true if the caller is the one who ends it. It runs to others until end(). */
static bool begin_end(uint64_t number, bool named[NEXT_CLASSES])
{
	sigset_t mask;
	bool mine;

	shim_flips_begin(&mask);
	mine = run.phase == HAKMEM_ROLLOUT_RUNNING && !run.ending &&
	       (number == 0 || run.number == number);
	if (mine) {
		run.ending = true;
		memcpy(named, run.named, sizeof(run.named));
		store_relaxed(&going, false);
	}
	shim_flips_end(&mask);
	return mine;
}

static void end(enum hakmem_rollout_phase phase)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	run.ending = false;
	run.phase = phase;
	shim_flips_end(&mask);
}

/* Rolls the classes back for `cause`, unless that is NULL. Whoever reads that it is over finds that done. */
static void finish(uint64_t number, enum hakmem_rollout_phase phase, const char *cause)
{
	bool named[NEXT_CLASSES];

	if (!begin_end(number, named))
		return;
	if (cause)
		rollback_classes(named, cause, NULL);
	end(cause ? HAKMEM_ROLLOUT_ROLLED_BACK : phase);
}

void rollout_run_stop(bool roll_back)
{
	finish(0, HAKMEM_ROLLOUT_STOPPED, roll_back ? "rollout: stopped" : NULL);
}

bool rollout_run_is_going(void)
{
	return load_relaxed(&going);
}

/* --- looking -------------------------------------------------------------------------------------- */

static void gather(const bool named[NEXT_CLASSES], const struct state *state,
		   struct rollout_evidence *evidence)
{
	struct rollout_held best;

	memset(&canary, 0, sizeof(canary));
	memset(&old, 0, sizeof(old));
	if (shim_legacy_available())
		legacy_read_counters(&legacy_counters);
	held_look_at_old(&legacy_counters);
	next_read_stats(&next_stats);
	next_read_held(held_bytes);
	*evidence = (struct rollout_evidence){ .canary = &canary, .old = &old };
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		if (!named[i])
			continue;
		arms_read(i, &canary, &old);
		evidence->rolled_back |= state->class[i].latch_cause != NULL;
		evidence->next.held_bytes += held_bytes[i];
		evidence->next.live_bytes += next_stats.class_live_blocks[i] *
					     (i < NEXT_CLASS_HUGE ? next_class_bytes(i) : MIB);
		held_best_of(shim_old_side_of(i), &best);
		if (best.live_bytes > evidence->before.live_bytes)
			evidence->before = best;
	}
}

static void set_step(uint32_t share, uint64_t number)
{
	struct plan_error unused;
	sigset_t mask;
	bool wanted;

	shim_flips_begin(&mask);
	wanted = run.phase == HAKMEM_ROLLOUT_RUNNING && !run.ending && run.number == number &&
		 compose(plan_text, share);
	shim_flips_end(&mask);
	if (wanted)
		(void)!state_set_plan(SOURCE_LIVE, plan_text, strlen(plan_text), &unused, NULL);
}

static void act(enum rollout_action action, const struct rollout *rollout, uint64_t number,
		bool roll_back_on_stop)
{
	switch (action) {
	case ROLLOUT_SET:
		set_step(rollout->steps.share[rollout->step], number);
		break;
	case ROLLOUT_WAIT:
		break;
	case ROLLOUT_DONE:
		finish(number, HAKMEM_ROLLOUT_DONE, NULL);
		break;
	case ROLLOUT_BACK:
		finish(number, HAKMEM_ROLLOUT_ROLLED_BACK, "rollout: worse than before");
		break;
	case ROLLOUT_STOP:
		finish(number, HAKMEM_ROLLOUT_STOPPED,
		       roll_back_on_stop ? "rollout: no verdict in time" : NULL);
		break;
	}
}

void rollout_run_tick(uint64_t now_ns)
{
	static struct state state; /* [the waiting thread that looks] */
	struct rollout_evidence evidence;
	struct rollout_verdict verdict;
	bool named[NEXT_CLASSES], roll_back_on_stop;
	struct rollout rollout;
	uint64_t number;
	sigset_t mask;

	shim_flips_begin(&mask);
	rollout = run.rollout;
	number = run.number;
	roll_back_on_stop = run.roll_back_on_stop;
	memcpy(named, run.named, sizeof(named));
	shim_flips_end(&mask);
	state_read(&state);
	gather(named, &state, &evidence);
	enum rollout_action action = rollout_advance(&rollout, now_ns, &evidence, &verdict);
	shim_flips_begin(&mask);
	if (run.number == number) {
		run.rollout = rollout;
		run.verdict = verdict;
	}
	shim_flips_end(&mask);
	act(action, &rollout, number, roll_back_on_stop);
}

/* --- asking --------------------------------------------------------------------------------------- */

static uint64_t thousandths(double value)
{
	return value < 1e12 ? (uint64_t)(value * 1000) : HAKMEM_UNKNOWN;
}

void rollout_run_read(struct hakmem_rollout_status *out)
{
	const struct rollout_verdict *verdict = &run.verdict;
	sigset_t mask;

	shim_flips_begin(&mask);
	*out = (struct hakmem_rollout_status){
		.phase = run.phase,
		.steps = run.rollout.steps.count,
		.step = run.rollout.step,
		.share = run.rollout.begun ? run.rollout.steps.share[run.rollout.step] : 0,
		.outcome = (uint32_t)verdict->outcome + 1,
		.latency = (uint32_t)verdict->latency + 1,
		.held = (uint32_t)verdict->held + 1,
		.canary_samples = verdict->canary_count,
		.old_samples = verdict->old_count,
		.canary_p99_ns = (uint64_t)verdict->canary_ns,
		.old_p99_ns = (uint64_t)verdict->old_ns,
		.ratio_low = thousandths(verdict->ratio.low),
		.ratio_high = thousandths(verdict->ratio.high),
		.held_ratio = thousandths(verdict->held_ratio),
	};
	(void)snprintf(out->why, sizeof(out->why), "%s", verdict->why ? verdict->why : "");
	shim_flips_end(&mask);
}

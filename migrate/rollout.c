/* SPDX-License-Identifier: MIT */
/* migrate/rollout.c - judging a step and going on to the next; see rollout.h */
#include "migrate/rollout.h"

#include <string.h>

const struct rollout_limits rollout_default_limits = {
	.latency_ratio = 1.5,
	.quantile = 0.99,
	.alpha = 0.05,
	.min_samples = 2000,
	.held_ratio = 1.5,
	.min_live_bytes = 16 * MIB,
};

static const char *const outcome_names[] = {
	[ROLLOUT_HOLD] = "hold",
	[ROLLOUT_GO] = "go",
	[ROLLOUT_ROLL_BACK] = "roll back",
};

const char *rollout_outcome_name(enum rollout_outcome outcome)
{
	return outcome_names[outcome];
}

/* --- judging -------------------------------------------------------------------------------------- */

static enum rollout_outcome judge_latency(const struct rollout_limits *limits, double alpha,
					  const struct rollout_evidence *evidence,
					  struct rollout_verdict *verdict)
{
	const struct latency *canary = evidence->canary, *old = evidence->old;

	if (limits->latency_ratio <= 0)
		return ROLLOUT_GO;
	verdict->canary_count = canary ? canary->count : 0;
	verdict->old_count = old ? old->count : 0;
	if (verdict->canary_count == 0 || verdict->old_count == 0) {
		verdict->why = verdict->canary_count ? "no sample of the old cohort"
						     : "no sample of the canary";
		return ROLLOUT_HOLD;
	}
	verdict->canary_ns = latency_quantile_ns(canary, limits->quantile);
	verdict->old_ns = latency_quantile_ns(old, limits->quantile);
	verdict->ratio = sequence_ratio(canary, old, limits->quantile, alpha);
	if (canary->count < limits->min_samples || old->count < limits->min_samples) {
		verdict->why = "too few samples of latency";
		return ROLLOUT_HOLD;
	}
	if (verdict->ratio.low > limits->latency_ratio) {
		verdict->why = "latency is above its limit";
		return ROLLOUT_ROLL_BACK;
	}
	if (verdict->ratio.high <= limits->latency_ratio)
		return ROLLOUT_GO;
	verdict->why = "the interval of the latencies' ratio has the limit in it";
	return ROLLOUT_HOLD;
}

static double per_live_byte(const struct rollout_held *held)
{
	return held->held_bytes && held->live_bytes
		       ? (double)held->held_bytes / (double)held->live_bytes
		       : 0;
}

static enum rollout_outcome judge_held(const struct rollout_limits *limits,
				       const struct rollout_evidence *evidence,
				       struct rollout_verdict *verdict)
{
	double next = per_live_byte(&evidence->next), before = per_live_byte(&evidence->before);

	if (limits->held_ratio <= 0)
		return ROLLOUT_GO;
	if (next <= 0 || before <= 0) {
		verdict->why = "bytes held per live byte are not known";
		return ROLLOUT_HOLD;
	}
	verdict->held_ratio = next / before;
	if (evidence->next.live_bytes < limits->min_live_bytes) {
		verdict->why = "too few live bytes";
		return ROLLOUT_HOLD;
	}
	if (verdict->held_ratio <= limits->held_ratio)
		return ROLLOUT_GO;
	verdict->why = "bytes held per live byte are above their limit";
	return ROLLOUT_ROLL_BACK;
}

void rollout_judge(const struct rollout_limits *limits, double alpha,
		   const struct rollout_evidence *evidence, struct rollout_verdict *verdict)
{
	const char *latency_why;

	*verdict = (struct rollout_verdict){ .ratio.high = SEQUENCE_UNBOUNDED, .why = "" };
	verdict->latency = judge_latency(limits, alpha, evidence, verdict);
	latency_why = verdict->why;
	verdict->why = "";
	verdict->held = judge_held(limits, evidence, verdict);
	/* The enumerators rise from HOLD over GO, and ROLL_BACK goes before both. */
	if (verdict->latency == ROLLOUT_ROLL_BACK || verdict->held == ROLLOUT_ROLL_BACK)
		verdict->outcome = ROLLOUT_ROLL_BACK;
	else
		verdict->outcome = verdict->latency == ROLLOUT_GO ? verdict->held : ROLLOUT_HOLD;
	if (verdict->latency == verdict->outcome && *latency_why)
		verdict->why = latency_why;
	if (evidence->rolled_back) {
		verdict->outcome = ROLLOUT_ROLL_BACK;
		verdict->why = "a class was rolled back";
	}
}

/* --- steps ---------------------------------------------------------------------------------------- */

/* "12.5%" in millionths of a percent; NULL if it is none, else what follows. */
static const char *read_percent(const char *text, uint32_t *share)
{
	uint64_t whole = 0;
	uint32_t unit = SHARE_PERCENT, rest = 0;
	const char *start = text;

	while (*text >= '0' && *text <= '9' && whole <= 100)
		whole = whole * 10 + (uint64_t)(*text++ - '0');
	if (text == start)
		return NULL;
	if (*text == '.') {
		start = ++text;
		while (*text >= '0' && *text <= '9' && unit > 1) {
			unit /= 10;
			rest += unit * (uint32_t)(*text++ - '0');
		}
		if (text == start)
			return NULL;
	}
	if (*text != '%' || whole > 100 || (whole == 100 && rest > 0))
		return NULL;
	*share = (uint32_t)whole * SHARE_PERCENT + rest;
	return text + 1;
}

const char *rollout_read_steps(struct rollout_steps *steps, const char *text)
{
	uint32_t before = 0;

	steps->count = 0;
	for (;;) {
		while (*text == ' ' || *text == '\t')
			text++;
		if (steps->count == ROLLOUT_STEPS_MAX)
			return "at most 16 steps";
		uint32_t *share = &steps->share[steps->count];
		text = read_percent(text, share);
		if (!text)
			return "a step is a percentage up to 100%, as in 1%,5%,25%,100%";
		if (*share <= before)
			return "every step is larger than the one before it, and above 0%";
		before = *share;
		steps->count++;
		while (*text == ' ' || *text == '\t')
			text++;
		if (!*text)
			return NULL;
		if (*text++ != ',')
			return "steps stand apart by commas";
	}
}

static bool append(char *out, size_t room, size_t *used, const char *text, size_t length)
{
	if (length >= room - *used)
		return false;
	memcpy(out + *used, text, length);
	*used += length;
	out[*used] = '\0';
	return true;
}

bool rollout_plan_text(char *out, size_t room, const char *classes, uint32_t share)
{
	struct share of_threads = { .of = share < SHARE_WHOLE ? SHARE_OF_THREADS : SHARE_OF_ALL,
				    .size = share,
				    .control = share <= SHARE_WHOLE / 2 };
	char suffix[SHARE_TEXT_BYTES];
	size_t used = 0, suffix_length = share_text(&of_threads, suffix);

	if (room == 0)
		return false;
	for (;;) {
		size_t length = strcspn(classes, ",");
		if (!append(out, room, &used, classes, length) ||
		    !append(out, room, &used, "=next", 5) ||
		    !append(out, room, &used, suffix, suffix_length))
			return false;
		classes += length;
		if (!*classes++)
			return true;
		if (!append(out, room, &used, ",", 1))
			return false;
	}
}

static enum rollout_action begin_step(struct rollout *rollout, uint64_t now_ns)
{
	rollout->begun = true;
	rollout->since_ns = now_ns;
	return ROLLOUT_SET;
}

/* Held bytes that are above their limit for a moment only hold. */
static void wait_for_held(struct rollout *rollout, uint64_t now_ns, struct rollout_verdict *verdict)
{
	if (verdict->held != ROLLOUT_ROLL_BACK) {
		rollout->held_bad_since_ns = 0;
		return;
	}
	if (rollout->held_bad_since_ns == 0)
		rollout->held_bad_since_ns = now_ns ? now_ns : 1;
	if (now_ns - rollout->held_bad_since_ns >= ROLLOUT_HELD_NS)
		return;
	verdict->held = ROLLOUT_HOLD;
	if (verdict->latency != ROLLOUT_ROLL_BACK) {
		verdict->outcome = ROLLOUT_HOLD;
		verdict->why = "bytes held per live byte are above their limit, not yet for long";
	}
}

enum rollout_action rollout_advance(struct rollout *rollout, uint64_t now_ns,
				    const struct rollout_evidence *evidence,
				    struct rollout_verdict *verdict)
{
	struct rollout_limits limits = rollout->limits;
	uint64_t for_ns = now_ns - rollout->since_ns;
	bool last = rollout->step + 1 >= rollout->steps.count;

	if (rollout->steps.share[rollout->step] == SHARE_WHOLE)
		limits.latency_ratio = 0;
	rollout_judge(&limits, limits.alpha / rollout->steps.count, evidence, verdict);
	if (!evidence->rolled_back)
		wait_for_held(rollout, now_ns, verdict);
	if (verdict->outcome == ROLLOUT_ROLL_BACK && (rollout->begun || evidence->rolled_back))
		return ROLLOUT_BACK;
	if (!rollout->begun)
		return begin_step(rollout, now_ns);
	if (verdict->outcome == ROLLOUT_GO && for_ns >= rollout->hold_ns) {
		if (last)
			return ROLLOUT_DONE;
		rollout->step++;
		return begin_step(rollout, now_ns);
	}
	return rollout->patience_ns && for_ns >= rollout->patience_ns ? ROLLOUT_STOP : ROLLOUT_WAIT;
}

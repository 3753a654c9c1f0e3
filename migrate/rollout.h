/* SPDX-License-Identifier: MIT */
/* migrate/rollout.h - a progressive rollout: what is compared at a step, and what follows from it
 *
 * One core for both who roll out: the thread inside the process (hakmem_rollout_start()) and the hakmem command. It
 * reads no clock and no pool and changes nothing: the caller brings the evidence of a step and does what comes back.
 *
 *            +---- ROLLOUT_WAIT ----+
 *            v                      |
 *   SET step 0 ... go after hold_ns -> SET step 1 ... -> SET the last ... after hold_ns -> DONE
 *                  rolled back, or the comparison says so -> BACK
 *                  patience_ns is over and still no word -> STOP: the step stays, nothing is promoted
 *
 * Three outcomes of every comparison. GO: there was enough to see, and it lies within the limit. ROLL_BACK: there was enough,
 * and it lies outside. HOLD: anything else. What is missing is HOLD: nothing is promoted because nobody looked. A limit that
 * is not asked for (0) is no comparison and has no part in it.
 *
 * alpha is shared out over the steps, so it bounds the probability that the whole rollout is ever rolled back by the latency
 * of an arm that is within its limit, or promoted by one that is not.
 */
#ifndef MIGRATE_ROLLOUT_H
#define MIGRATE_ROLLOUT_H

#include "migrate/sequence.h"
#include "migrate/share.h"

enum rollout_outcome {
	ROLLOUT_HOLD,
	ROLLOUT_GO,
	ROLLOUT_ROLL_BACK,
};

/* "hold", "go", "roll back". */
MUST_USE const char *rollout_outcome_name(enum rollout_outcome outcome);

struct rollout_limits {
	double latency_ratio;	/* of the canary's quantile over the old cohort's; 0: not asked */
	double quantile;	/* 0.99 */
	double alpha;		/* 0.05 */
	uint64_t min_samples;	/* of each arm */
	double held_ratio;	/* of bytes held per live byte, next over the old pool; 0: not asked */
	uint64_t min_live_bytes; /* of next's; below that nothing is said about its held bytes */
};

/* 1.5 at the 99th percentile of 2000 samples each, alpha 5 %; held bytes 1.5 from 16 MiB on. */
extern const struct rollout_limits rollout_default_limits;

struct rollout_held {
	uint64_t held_bytes, live_bytes; /* held 0: not known */
};

/* Since the step began, but for the bytes, which are as of now. */
struct rollout_evidence {
	const struct latency *canary, *old; /* NULL: not measured */
	struct rollout_held next, before;   /* `before`: the old pool */
	bool rolled_back;		    /* a class of the rollout was latched meanwhile, by whomever */
};

struct rollout_verdict {
	enum rollout_outcome outcome, latency, held; /* a comparison that is not asked for says GO */
	struct interval ratio;	      /* of the latency quantiles */
	double canary_ns, old_ns;     /* the quantiles themselves, 0 without samples */
	uint64_t canary_count, old_count;
	double held_ratio; /* 0: not known */
	const char *why;   /* static text, "" where all is GO */
};

/* Judges what is asked for; `alpha` instead of the limits' own. */
void rollout_judge(const struct rollout_limits *limits, double alpha,
		   const struct rollout_evidence *evidence, struct rollout_verdict *verdict);

/* --- steps ---------------------------------------------------------------------------------------- */

#define ROLLOUT_STEPS_MAX 16

struct rollout_steps {
	unsigned count;
	uint32_t share[ROLLOUT_STEPS_MAX]; /* in millionths of a percent, rising */
};

/* Reads "1%,5%,25%,100%": percentages as plans have them, rising, above 0. NULL, or what is wrong. */
MUST_USE const char *rollout_read_steps(struct rollout_steps *steps, const char *text);

/* Writes the item of a plan that sends a share of the threads to next: "mid=next@5%:thread/control", with a control arm
 * where there is room for one, "mid=next" for the whole; for several classes ("4k, 8k-16k") one item each. False if it does
 * not fit. */
MUST_USE bool rollout_plan_text(char *out, size_t room, const char *classes, uint32_t share);

#define ROLLOUT_HELD_NS UINT64_C(5000000000)

enum rollout_action {
	ROLLOUT_SET,  /* apply the share of `step`, and begin to count samples anew */
	ROLLOUT_WAIT, /* come again */
	ROLLOUT_BACK, /* roll the classes back; it is over */
	ROLLOUT_STOP, /* patience is over: leave it as it is, or roll back, as the caller was told; it is over */
	ROLLOUT_DONE, /* the last step has held; it is over */
};

struct rollout {
	struct rollout_steps steps;
	struct rollout_limits limits;
	uint64_t hold_ns;     /* every step lasts at least so long */
	uint64_t patience_ns; /* and at most so long without a word; 0: for ever */
	/* Written by rollout_advance(); begins as zero. */
	unsigned step;
	bool begun;
	uint64_t since_ns; /* the step's beginning */
	uint64_t held_bad_since_ns; /* 0: it is not */
};

/* What is to be done at `now_ns`, of any clock that does not go back. The first call says SET whatever the evidence. The
 * verdict is of the step that was in force. Bytes held count against it once they were above their limit for
 * ROLLOUT_HELD_NS without a break, for a load that comes and goes leaves holes in any pool; until then they hold. At a step of the whole nobody is left to compare with: it holds for hold_ns,
 * and its latency is not asked for. */
MUST_USE enum rollout_action rollout_advance(struct rollout *rollout, uint64_t now_ns,
					     const struct rollout_evidence *evidence,
					     struct rollout_verdict *verdict);

#endif

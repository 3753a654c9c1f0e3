/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compare.h - old against new: what was measured, what it comes to
 *
 * compare.c        the command: children, round by round, the order of the sides turning
 * guard.c          the thresholds, and the verdicts
 * compare_show.c   text and JSON
 * compare_plot.c, compare_html.c   the report
 *
 * A row is a class, or all of them. Times of a class are those of its calls in the replay of the whole trace; memory and
 * faults of a class are those of a replay of that class's blocks alone, since pages have no price tags.
 */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include "migrate/tool/replay/engine.h"
#include "migrate/tool/replay/estimate.h"
#include "migrate/tool/replay/prepare.h"
#include "migrate/tool/trace/info.h"

#define COMPARE_OLD   0
#define COMPARE_NEW   1
#define COMPARE_SIDES 10 /* old, new and peers */
#define COMPARE_TRACES 16
#define COMPARE_ROWS  (NEXT_CLASSES + 1)
#define COMPARE_ALL   NEXT_CLASSES

enum metric {
	METRIC_WALL, /* nanoseconds an operation, all threads together; all rows only */
	METRIC_TIME, /* mean of a call, nanoseconds */
	METRIC_P50,
	METRIC_P99,
	METRIC_P999,
	METRIC_RSS, /* peak, bytes */
	METRIC_MEAN_RSS,
	METRIC_HELD, /* mean RSS over mean live bytes */
	METRIC_FAULTS,
	METRICS,
};
extern const char *const compare_metric_names[METRICS];

enum verdict { VERDICT_PROMOTE, VERDICT_HOLD, VERDICT_ROLL_BACK };
extern const char *const compare_verdict_names[3];

/* new/old must stay below `most`; a difference of less than `slack`, in the metric's unit, is never held against it. */
struct guard {
	double most, slack;
};

struct guards {
	struct guard metric[METRICS]; /* most 0: does not matter */
	double least_allocations;     /* of a class, in all traces, for a verdict */
};

struct compare_row {
	uint64_t allocations; /* in all traces */
	bool is_replayed;     /* by itself */
	struct estimate ratio[METRICS];	    /* new / old */
	double median[COMPARE_SIDES][METRICS]; /* over rounds, the geometric mean over traces */
	enum verdict verdict;
	char reason[256];
};

struct compare_trace {
	struct prepare_source source;
	struct compile_scan scan;
	struct info *info;
	int fd[COMPARE_ROWS]; /* of the program of each row, -1: none */
	struct program_header header;
	struct replay_shared *last[COMPARE_SIDES]; /* of the whole trace, in the last round */
};

struct compare {
	const char *name; /* of the command, for messages */
	struct engine_side side[COMPARE_SIDES];
	unsigned sides;
	struct compare_trace trace[COMPARE_TRACES];
	unsigned traces;
	unsigned rounds, done; /* wanted; whole ones */
	bool interrupted;
	struct guards guards;
	double *values; /* see compare_value() */
	struct compare_row row[COMPARE_ROWS];
	struct estimate peer[COMPARE_SIDES][METRICS]; /* new / peer, of the whole */
	enum verdict verdict;
	char reason[256];
};

INLINE double *compare_value(const struct compare *compare, unsigned trace, unsigned side,
			     unsigned row, enum metric metric)
{
	size_t at = ((trace * COMPARE_SIDES + side) * COMPARE_ROWS + row) * METRICS + metric;
	return &compare->values[at * compare->rounds];
}

/* --- guard.c */
void guards_init(struct guards *guards);
/* The file that --guardrails takes, with the values that hold without one. */
void guards_print(void);
MUST_USE bool guards_read(const char *name, const char *path, struct guards *guards);
/* Fills in ratios, medians and verdicts. */
void compare_judge(struct compare *compare);

/* --- compare_show.c */
void compare_text(const struct compare *compare);
struct json_object *compare_object(const struct compare *compare);

/* --- compare_html.c, compare_plot.c */
MUST_USE bool compare_html(const struct compare *compare, const char *path);
enum compare_picture {
	PICTURE_RATIOS_TIME,
	PICTURE_RATIOS_MEMORY,
	PICTURE_RSS,
	PICTURE_MALLOC,
	PICTURE_FREE,
	PICTURE_TRACE, /* sizes, lifetimes, what lives */
};
/* SVG that the caller frees; NULL and words. Of one trace where a picture is of a trace. */
MUST_USE char *compare_picture(const struct compare *compare, enum compare_picture picture,
			       unsigned trace, char words[256]);

/* "64", "4k", "huge", "all". */
#define COMPARE_SIZE_BYTES 24
const char *compare_row_name(unsigned row, char out[COMPARE_SIZE_BYTES]);

#endif

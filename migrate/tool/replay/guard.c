/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/guard.c - thresholds, ratios and verdicts; see compare.h
 *
 * Of every metric that matters: surely above its threshold (the whole interval is) means roll back; surely below it means
 * promote; anything else means hold, too few rounds and too few allocations as well. The worst of a class's metrics is
 * the class's verdict, and it says which.
 */
#include "migrate/tool/replay/compare.h"
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const compare_metric_names[METRICS] = {
	[METRIC_WALL] = "wall",	      [METRIC_TIME] = "time",	    [METRIC_P50] = "p50",
	[METRIC_P99] = "p99",	      [METRIC_P999] = "p99.9",	    [METRIC_RSS] = "peak_rss",
	[METRIC_MEAN_RSS] = "mean_rss", [METRIC_HELD] = "held",	    [METRIC_FAULTS] = "faults",
};
const char *const compare_verdict_names[3] = { "promote", "hold", "roll back" };

/* One line a threshold: what it is called in the file, where it is, what it is without a file, what it means. */
static const struct setting {
	const char *name;
	int metric; /* -1: least_allocations */
	bool is_slack;
	double value;
	const char *about;
} settings[] = {
	{ "wall.most", METRIC_WALL, false, 1.05, "time of the whole replay, new / old" },
	{ "time.most", METRIC_TIME, false, 1.05, "mean time of a call" },
	{ "time.slack", METRIC_TIME, true, 5, "nanoseconds" },
	{ "p99.most", METRIC_P99, false, 1.25, "time that 99 % of the calls stay under" },
	{ "p99.slack", METRIC_P99, true, 100, "nanoseconds" },
	{ "p99.9.most", METRIC_P999, false, 0, "of 99.9 % of the calls; 0: does not matter" },
	{ "p99.9.slack", METRIC_P999, true, 1000, "nanoseconds" },
	{ "peak_rss.most", METRIC_RSS, false, 1.1, "most resident memory" },
	{ "peak_rss.slack", METRIC_RSS, true, 1048576, "bytes" },
	{ "held.most", METRIC_HELD, false, 1.1, "mean resident bytes for a live byte" },
	{ "held.slack", METRIC_HELD, true, 0.02, "bytes for a byte" },
	{ "faults.most", METRIC_FAULTS, false, 1.25, "page faults" },
	{ "faults.slack", METRIC_FAULTS, true, 512, "faults" },
	{ "allocations.least", -1, false, 1000, "a class with fewer is held" },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static double *place_of(struct guards *guards, const struct setting *setting)
{
	if (setting->metric < 0)
		return &guards->least_allocations;
	struct guard *guard = &guards->metric[setting->metric];
	return setting->is_slack ? &guard->slack : &guard->most;
}

void guards_init(struct guards *guards)
{
	*guards = (struct guards){ .least_allocations = 0 };
	for (size_t i = 0; i < SETTINGS; i++)
		*place_of(guards, &settings[i]) = settings[i].value;
}

void guards_print(void)
{
	puts("# Guardrails of hakmem compare: new / old has to stay below `most'; a difference of\n"
	     "# less than `slack' does not matter.");
	for (size_t i = 0; i < SETTINGS; i++)
		printf("%-18s = %-8.10g # %s\n", settings[i].name, settings[i].value,
		       settings[i].about);
}

/* "NAME = NUMBER", a comment behind # allowed. NULL, or what is wrong. */
static const char *read_line(struct guards *guards, const char *line)
{
	size_t length = strcspn(line, " \t=#");
	const char *at = line + length;
	char *end;

	if (length == 0 && (!*at || *at == '#'))
		return NULL;
	for (size_t i = 0; i < SETTINGS; i++) {
		if (strlen(settings[i].name) != length ||
		    memcmp(settings[i].name, line, length) != 0)
			continue;
		at += strspn(at, " \t");
		if (*at != '=')
			return "expected = behind the name";
		double value = strtod(at + 1, &end);
		if (end == at + 1 || !(value >= 0) || isinf(value))
			return "expected a number that is not negative";
		end += strspn(end, " \t");
		if (*end && *end != '#')
			return "something follows the number";
		*place_of(guards, &settings[i]) = value;
		return NULL;
	}
	return "no such threshold; see --print-guardrails";
}

bool guards_read(const char *name, const char *path, struct guards *guards)
{
	struct trace_error error;
	struct source source;
	enum trace_status status;
	const char *line, *why = NULL;
	size_t length;

	if (!source_open(&source, path, &error)) {
		tool_error(name, "%s: %s", path, error.text);
		return false;
	}
	while (!why && (status = source_line(&source, &line, &length, &error)) == TRACE_OK)
		why = read_line(guards, line + strspn(line, " \t"));
	if (why)
		tool_error(name, "%s: line %llu: %s", path, (unsigned long long)source.line, why);
	else if (status == TRACE_WRONG)
		tool_error(name, "%s: %s", path, error.text);
	bool done = !why && status == TRACE_END;
	source_close(&source);
	return done;
}

const char *compare_row_name(unsigned row, char out[COMPARE_SIZE_BYTES])
{
	if (row == COMPARE_ALL)
		return strcpy(out, "all");
	if (row == NEXT_CLASS_HUGE)
		return strcpy(out, "huge");
	return output_size(next_class_bytes(row), out);
}

/* --- ratios ------------------------------------------------------------------------------------- */

/* Round by round, the mean over the traces of the logarithm of ours / theirs; a round counts if all traces that ever
 * have the metric have it in this one. */
static struct estimate ratio_of(const struct compare *compare, unsigned ours, unsigned theirs,
				unsigned row, enum metric metric)
{
	double logs[ESTIMATE_MOST_ROUNDS];
	/* There may be no faults at all. */
	double more = metric == METRIC_FAULTS ? 1 : 0;

	for (unsigned round = 0; round < compare->done; round++) {
		double sum = 0;
		unsigned traces = 0;
		for (unsigned trace = 0; trace < compare->traces; trace++) {
			double a = compare_value(compare, trace, ours, row, metric)[round] + more;
			double b = compare_value(compare, trace, theirs, row, metric)[round] + more;
			if (isnan(a) || isnan(b) || a <= 0 || b <= 0)
				continue;
			sum += log(a / b);
			traces++;
		}
		logs[round] = traces ? sum / traces : NAN;
	}
	return estimate_ratio(logs, compare->done);
}

static double median_of(const struct compare *compare, unsigned side, unsigned row,
			enum metric metric)
{
	double sum = 0;
	unsigned traces = 0;

	for (unsigned trace = 0; trace < compare->traces; trace++) {
		double median = estimate_median(compare_value(compare, trace, side, row, metric),
						compare->done);
		if (isnan(median))
			continue;
		sum += median > 0 ? log(median) : 0;
		traces++;
	}
	return traces ? exp(sum / traces) : NAN;
}

/* --- verdicts ----------------------------------------------------------------------------------- */

static enum verdict judge_metric(const struct compare *compare, const struct compare_row *row,
				 enum metric metric, char reason[256])
{
	const struct guard *guard = &compare->guards.metric[metric];
	const struct estimate *ratio = &row->ratio[metric];
	double old = row->median[COMPARE_OLD][metric];
	const char *name = compare_metric_names[metric];

	double base = fmin(guard->most, 1); /* a threshold below 1 asks for a gain */

	if (guard->most == 0 || isnan(ratio->point))
		return VERDICT_PROMOTE;
	if (isnan(ratio->low) && old * (ratio->most - base) < guard->slack)
		return VERDICT_PROMOTE; /* in no round did it matter */
	if (isnan(ratio->low)) {
		(void)snprintf(reason, 256, "%s varies too much for an interval, around %.2f of old",
			       name, ratio->point);
		return VERDICT_HOLD;
	}
	/* What the ends of the interval come to in the metric's own unit. */
	if (ratio->high <= guard->most || old * (ratio->high - base) < guard->slack)
		return VERDICT_PROMOTE;
	bool surely = ratio->low > guard->most && old * (ratio->low - base) >= guard->slack;
	if (!surely && ratio->high > ESTIMATE_NOISE * ratio->low) {
		(void)snprintf(reason, 256, "%s is around %.2f of old, by rounds too unlike each other",
			       name, ratio->point);
		return VERDICT_HOLD;
	}
	(void)snprintf(reason, 256, "%s is %.2f [%.2f, %.2f] of old, %s %.2f", name, ratio->point,
		       ratio->low, ratio->high, surely ? "above" : "perhaps above", guard->most);
	return surely ? VERDICT_ROLL_BACK : VERDICT_HOLD;
}

static void judge_row(const struct compare *compare, struct compare_row *row)
{
	char reason[256];

	row->verdict = VERDICT_PROMOTE;
	(void)snprintf(row->reason, sizeof(row->reason), "within all guardrails");
	if ((double)row->allocations < compare->guards.least_allocations) {
		row->verdict = VERDICT_HOLD;
		(void)snprintf(row->reason, sizeof(row->reason),
			       "%llu allocations are too few: %.0f at least",
			       (unsigned long long)row->allocations,
			       compare->guards.least_allocations);
		return;
	}
	if (compare->done < ESTIMATE_LEAST_ROUNDS) {
		row->verdict = VERDICT_HOLD;
		(void)snprintf(row->reason, sizeof(row->reason),
			       "%u rounds are too few for an interval, which takes %d",
			       compare->done, ESTIMATE_LEAST_ROUNDS);
		return;
	}
	for (unsigned metric = 0; metric < METRICS; metric++) {
		enum verdict verdict = judge_metric(compare, row, (enum metric)metric, reason);
		if (verdict > row->verdict) {
			row->verdict = verdict;
			memcpy(row->reason, reason, sizeof(reason));
		}
	}
}

/* The whole is judged by itself; a class that has to be rolled back keeps the rest from being promoted as a whole. */
static void judge_whole(struct compare *compare)
{
	unsigned count[3] = { 0 };

	for (unsigned row = 0; row < NEXT_CLASSES; row++)
		if (compare->row[row].allocations)
			count[compare->row[row].verdict]++;
	compare->verdict = compare->row[COMPARE_ALL].verdict;
	(void)snprintf(compare->reason, sizeof(compare->reason),
		       "in all: %.120s; classes: %u promote, %u hold, %u roll back",
		       compare->row[COMPARE_ALL].reason, count[VERDICT_PROMOTE],
		       count[VERDICT_HOLD], count[VERDICT_ROLL_BACK]);
	if (count[VERDICT_ROLL_BACK] && compare->verdict == VERDICT_PROMOTE)
		compare->verdict = VERDICT_HOLD;
}

void compare_judge(struct compare *compare)
{
	for (unsigned number = 0; number < COMPARE_ROWS; number++) {
		struct compare_row *row = &compare->row[number];
		for (unsigned metric = 0; metric < METRICS; metric++) {
			row->ratio[metric] = ratio_of(compare, COMPARE_NEW, COMPARE_OLD, number,
						      (enum metric)metric);
			for (unsigned side = 0; side < compare->sides; side++)
				row->median[side][metric] =
					median_of(compare, side, number, (enum metric)metric);
		}
		judge_row(compare, row);
	}
	for (unsigned side = 2; side < compare->sides; side++)
		for (unsigned metric = 0; metric < METRICS; metric++)
			compare->peer[side][metric] = ratio_of(compare, COMPARE_NEW, side,
							       COMPARE_ALL, (enum metric)metric);
	judge_whole(compare);
}

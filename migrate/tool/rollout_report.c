/* SPDX-License-Identifier: MIT */
/* migrate/tool/rollout_report.c - what became of a rollout; see rollout_report.h */
#include "migrate/tool/rollout_report.h"

#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static const struct end {
	const char *name; /* as in JSON */
	const char *text;
	int exit_status;
	enum output_colour colour;
} ends[] = {
	[REPORT_GOES_ON] = { "goes on", "goes on", EXIT_FAILED, OUTPUT_PLAIN },
	[REPORT_PROMOTED] = { "promoted", "promoted: every step held", EXIT_OK, OUTPUT_GREEN },
	[REPORT_ROLLED_BACK] = { "rolled back", "rolled back", EXIT_ROLLED_BACK, OUTPUT_RED },
	[REPORT_HELD] = { "held", "held until patience was over", EXIT_HELD, OUTPUT_YELLOW },
	[REPORT_OVERRULED] = { "overruled", "stopped: somebody gave the process another live plan",
			       EXIT_HELD, OUTPUT_YELLOW },
	[REPORT_INTERRUPTED] = { "interrupted", "interrupted", EXIT_INTERRUPTED, OUTPUT_YELLOW },
	[REPORT_ENDED] = { "process ended", "the process ended meanwhile", EXIT_ENDED,
			   OUTPUT_YELLOW },
	[REPORT_REFUSED] = { "refused", "the process refused", EXIT_REFUSED, OUTPUT_RED },
	[REPORT_LOST] = { "no answer",
			  "the process does not answer: what was asked last may still come",
			  EXIT_NO_ANSWER, OUTPUT_RED },
};

int report_exit_status(enum report_end end)
{
	return ends[end].exit_status;
}

/* --- while it walks ------------------------------------------------------------------------------- */

static double seconds_of(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static const char *share_of_step(const struct report_step *step, char out[SHARE_TEXT_BYTES])
{
	(void)snprintf(out, SHARE_TEXT_BYTES, "%g%%", (double)step->share / SHARE_PERCENT);
	return out;
}

void report_begin_step(struct report *report, uint32_t share, uint64_t now_ns)
{
	if (report->steps < ROLLOUT_STEPS_MAX)
		report->step[report->steps++] = (struct report_step){ .share = share,
								      .begun_ns = now_ns,
								      .ended_ns = now_ns };
}

void report_look(struct report *report, const struct rollout_verdict *verdict, uint64_t now_ns,
		 bool aloud)
{
	char share[SHARE_TEXT_BYTES];

	if (report->steps == 0)
		return;
	struct report_step *step = &report->step[report->steps - 1];
	bool news = !step->looked || step->verdict.outcome != verdict->outcome ||
		    strcmp(step->verdict.why, verdict->why) != 0;
	step->verdict = *verdict;
	step->looked = true;
	step->ended_ns = now_ns;
	if (aloud && news)
		fprintf(stderr, "%s (%d): %s at %s after %.1f s: %s%s%s\n",
			report->client->header.program, (int)report->client->process.pid,
			report->classes, share_of_step(step, share),
			seconds_of(step->begun_ns, now_ns), rollout_outcome_name(verdict->outcome),
			verdict->why[0] ? ", " : "", verdict->why);
}

/* --- text ----------------------------------------------------------------------------------------- */

static const char *ns_text(double ns, char out[OUTPUT_BYTES])
{
	if (ns <= 0)
		return "?";
	if (ns < 1e4)
		(void)snprintf(out, OUTPUT_BYTES, "%.0f ns", ns);
	else if (ns < 1e7)
		(void)snprintf(out, OUTPUT_BYTES, "%.1f us", ns / 1e3);
	else
		(void)snprintf(out, OUTPUT_BYTES, "%.1f ms", ns / 1e6);
	return out;
}

static const char *interval_text(const struct interval *ratio, char out[2 * OUTPUT_BYTES])
{
	if (ratio->high >= SEQUENCE_UNBOUNDED)
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%.2f or more", ratio->low);
	else
		(void)snprintf(out, 2 * OUTPUT_BYTES, "%.2f to %.2f", ratio->low, ratio->high);
	return out;
}

static void print_step(const struct report *report, const struct report_step *step)
{
	const struct rollout_verdict *verdict = &step->verdict;
	char share[SHARE_TEXT_BYTES], canary[OUTPUT_BYTES], old[OUTPUT_BYTES],
		counts[2][OUTPUT_BYTES], ratio[2 * OUTPUT_BYTES], held[OUTPUT_BYTES] = "?";
	/* With the whole there is nobody left to compare with. */
	bool compared = report->limits->latency_ratio > 0 && step->share < SHARE_WHOLE;

	if (verdict->held_ratio > 0)
		(void)snprintf(held, sizeof(held), "%.2f", verdict->held_ratio);
	printf("%7s  %7.1f  %-9s  ", share_of_step(step, share),
	       seconds_of(step->begun_ns, step->ended_ns),
	       step->looked ? rollout_outcome_name(verdict->outcome) : "-");
	if (compared && step->looked)
		printf("%10s  %7s  %10s  %7s  %-14s  ", ns_text(verdict->canary_ns, canary),
		       output_count((double)verdict->canary_count, counts[0]),
		       ns_text(verdict->old_ns, old),
		       output_count((double)verdict->old_count, counts[1]),
		       interval_text(&verdict->ratio, ratio));
	else
		printf("%10s  %7s  %10s  %7s  %-14s  ", "-", "-", "-", "-", "-");
	printf("%5s  %s\n", held, verdict->why ? verdict->why : "");
}

void report_print(const struct report *report)
{
	const struct end *end = &ends[report->end];

	printf("%s%s (%d): %s%s\n", output_colour(OUTPUT_BOLD), report->client->header.program,
	       (int)report->client->process.pid, report->classes, output_colour(OUTPUT_PLAIN));
	if (report->steps > 0)
		printf("%s%7s  %7s  %-9s  %10s  %7s  %10s  %7s  %-14s  %5s  %s%s\n",
		       output_colour(OUTPUT_BOLD), "step", "seconds", "outcome", "canary",
		       "samples", "old", "samples", "their ratio", "held", "why",
		       output_colour(OUTPUT_PLAIN));
	for (unsigned i = 0; i < report->steps; i++)
		print_step(report, &report->step[i]);
	printf("%s%s%s", output_colour(end->colour), end->text, output_colour(OUTPUT_PLAIN));
	if (report->is_old && report->end != REPORT_ROLLED_BACK)
		printf("; rolled back");
	if (report->is_old && report->flip_ns > 0)
		printf(" in %.1f us, and latched", (double)report->flip_ns / 1e3);
	else if (report->is_old)
		printf(", and latched");
	else if (report->end != REPORT_PROMOTED && report->end != REPORT_ENDED && report->steps > 0)
		printf("; left at the last step");
	putchar('\n');
}

/* --- JSON ----------------------------------------------------------------------------------------- */

static void add(struct json_object *object, const char *name, struct json_object *value)
{
	json_object_object_add(object, name, value);
}

/* A number, or null where 0 means that it is not known. */
static struct json_object *known(double value)
{
	return value > 0 ? json_object_new_double(value) : NULL;
}

static struct json_object *json_of_step(const struct report_step *step)
{
	const struct rollout_verdict *verdict = &step->verdict;
	struct json_object *object = json_object_new_object();

	add(object, "share_pct", json_object_new_double((double)step->share / SHARE_PERCENT));
	add(object, "seconds", json_object_new_double(seconds_of(step->begun_ns, step->ended_ns)));
	add(object, "outcome",
	    step->looked ? json_object_new_string(rollout_outcome_name(verdict->outcome)) : NULL);
	if (!step->looked)
		return object;
	add(object, "why", json_object_new_string(verdict->why));
	add(object, "latency", json_object_new_string(rollout_outcome_name(verdict->latency)));
	add(object, "canary_ns", known(verdict->canary_ns));
	add(object, "canary_samples", json_object_new_uint64(verdict->canary_count));
	add(object, "old_ns", known(verdict->old_ns));
	add(object, "old_samples", json_object_new_uint64(verdict->old_count));
	add(object, "ratio_low", json_object_new_double(verdict->ratio.low));
	add(object, "ratio_high",
	    verdict->ratio.high < SEQUENCE_UNBOUNDED ? json_object_new_double(verdict->ratio.high)
						     : NULL);
	add(object, "held", json_object_new_string(rollout_outcome_name(verdict->held)));
	add(object, "held_ratio", known(verdict->held_ratio));
	return object;
}

void report_json(const struct report *report)
{
	struct json_object *object = json_object_new_object();
	struct json_object *steps = json_object_new_array();
	struct json_object *limits = json_object_new_object();

	for (unsigned i = 0; i < report->steps; i++)
		json_object_array_add(steps, json_of_step(&report->step[i]));
	add(limits, "latency_ratio", known(report->limits->latency_ratio));
	add(limits, "quantile", json_object_new_double(report->limits->quantile));
	add(limits, "alpha", json_object_new_double(report->limits->alpha));
	add(limits, "min_samples", json_object_new_uint64(report->limits->min_samples));
	add(limits, "held_ratio", known(report->limits->held_ratio));
	add(limits, "min_live_bytes", json_object_new_uint64(report->limits->min_live_bytes));
	add(object, "pid", json_object_new_int(report->client->process.pid));
	add(object, "program", json_object_new_string(report->client->header.program));
	add(object, "classes", json_object_new_string(report->classes));
	add(object, "verdict", json_object_new_string(ends[report->end].name));
	add(object, "rolled_back", json_object_new_boolean(report->is_old));
	add(object, "seconds",
	    json_object_new_double(seconds_of(report->begun_ns, report->ended_ns)));
	add(object, "limits", limits);
	add(object, "steps", steps);
	output_json(object, false);
}

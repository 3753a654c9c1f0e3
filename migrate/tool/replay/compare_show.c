/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compare_show.c - a comparison as text and as JSON; see compare.h */
#include "migrate/tool/replay/compare.h"
#include "migrate/tool/output.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>

/* --- text --------------------------------------------------------------------------------------- */

static enum output_colour colour_of(enum verdict verdict)
{
	return verdict == VERDICT_PROMOTE ? OUTPUT_GREEN :
	       verdict == VERDICT_HOLD	  ? OUTPUT_YELLOW :
					    OUTPUT_RED;
}

#define RATIO_BYTES 32
static const char *ratio_text(const struct estimate *ratio, char out[RATIO_BYTES])
{
	if (isnan(ratio->point))
		(void)snprintf(out, RATIO_BYTES, "-");
	else if (isnan(ratio->low))
		(void)snprintf(out, RATIO_BYTES, "%.2f", ratio->point);
	else if (ratio->high > ESTIMATE_NOISE * ratio->low)
		(void)snprintf(out, RATIO_BYTES, "%.2f (noise)", ratio->point);
	else
		(void)snprintf(out, RATIO_BYTES, "%.2f [%.2f,%.2f]", ratio->point, ratio->low,
			       ratio->high);
	return out;
}

static void show_row(const struct compare *compare, unsigned number)
{
	static const enum metric shown[] = { METRIC_TIME, METRIC_P99, METRIC_RSS, METRIC_HELD,
					     METRIC_FAULTS };
	const struct compare_row *row = &compare->row[number];
	char text[RATIO_BYTES], size[COMPARE_SIZE_BYTES];

	printf("%6s %11" PRIu64, compare_row_name(number, size), row->allocations);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		printf(" %17s", ratio_text(&row->ratio[shown[i]], text));
	printf("  %s%s%s\n", output_colour(colour_of(row->verdict)),
	       compare_verdict_names[row->verdict], output_colour(OUTPUT_PLAIN));
	if (row->verdict != VERDICT_PROMOTE)
		printf("%19s%s\n", "", row->reason);
}

static void show_sides(const struct compare *compare)
{
	const struct compare_row *all = &compare->row[COMPARE_ALL];
	char peak[OUTPUT_BYTES], mean[OUTPUT_BYTES];

	printf("%-24s %10s %9s %9s %9s %12s %12s %8s %9s\n", "", "M ops/s", "mean", "p99", "p99.9",
	       "peak RSS", "mean RSS", "held", "faults");
	for (unsigned side = 0; side < compare->sides; side++) {
		const double *median = all->median[side];
		printf("%-24.24s %10.2f %6.0f ns %6.0f ns %6.0f ns %12s %12s %8.3f %9.0f\n",
		       compare->side[side].label, 1e3 / median[METRIC_WALL], median[METRIC_TIME],
		       median[METRIC_P99], median[METRIC_P999],
		       output_bytes((uint64_t)median[METRIC_RSS], peak),
		       output_bytes((uint64_t)median[METRIC_MEAN_RSS], mean), median[METRIC_HELD],
		       median[METRIC_FAULTS]);
	}
}

static void show_peers(const struct compare *compare)
{
	char wall[RATIO_BYTES], time[RATIO_BYTES], rss[RATIO_BYTES], held[RATIO_BYTES];

	for (unsigned side = 2; side < compare->sides; side++)
		printf("new / %-18.18s whole %s, call %s, peak RSS %s, held %s\n",
		       compare->side[side].label,
		       ratio_text(&compare->peer[side][METRIC_WALL], wall),
		       ratio_text(&compare->peer[side][METRIC_TIME], time),
		       ratio_text(&compare->peer[side][METRIC_RSS], rss),
		       ratio_text(&compare->peer[side][METRIC_HELD], held));
}

void compare_text(const struct compare *compare)
{
	printf("old      %s\nnew      %s\n", compare->side[COMPARE_OLD].plan,
	       compare->side[COMPARE_NEW].plan);
	for (unsigned i = 0; i < compare->traces; i++)
		printf("trace    %s: %" PRIu64 " operations, %" PRIu32 " threads\n",
		       output_path(compare->trace[i].source.path), compare->trace[i].header.operations,
		       compare->trace[i].header.threads);
	printf("rounds   %u%s\n\n", compare->done, compare->interrupted ? ", interrupted" : "");
	show_sides(compare);
	printf("\nnew / old, below 1 is better, with the interval that holds the truth in 95 of 100 "
	       "cases\n%6s %11s %17s %17s %17s %17s %17s\n",
	       "to", "allocations", "time of a call", "p99", "peak RSS", "held", "faults");
	unsigned few = 0;
	for (unsigned row = 0; row < COMPARE_ROWS; row++) {
		bool is_few = (double)compare->row[row].allocations <
			      compare->guards.least_allocations;
		if (compare->row[row].allocations && (!is_few || row == COMPARE_ALL))
			show_row(compare, row);
		few += compare->row[row].allocations && is_few && row != COMPARE_ALL;
	}
	if (few)
		printf("%6s %u classes with fewer than %.0f allocations are held\n", "", few,
		       compare->guards.least_allocations);
	show_peers(compare);
	printf("\n%s%s%s: %s\n", output_colour(colour_of(compare->verdict)),
	       compare_verdict_names[compare->verdict], output_colour(OUTPUT_PLAIN), compare->reason);
}

/* --- JSON --------------------------------------------------------------------------------------- */

static struct json_object *real(double value)
{
	return isfinite(value) ? json_object_new_double(value) : NULL;
}

static struct json_object *ratios_object(const struct estimate ratio[METRICS])
{
	struct json_object *object = json_object_new_object();

	for (unsigned metric = 0; metric < METRICS; metric++) {
		if (isnan(ratio[metric].point))
			continue;
		struct json_object *one = json_object_new_object();
		json_object_object_add(one, "point", real(ratio[metric].point));
		json_object_object_add(one, "low", real(ratio[metric].low));
		json_object_object_add(one, "high", real(ratio[metric].high));
		json_object_object_add(object, compare_metric_names[metric], one);
	}
	return object;
}

static struct json_object *medians_object(const double median[METRICS])
{
	struct json_object *object = json_object_new_object();

	for (unsigned metric = 0; metric < METRICS; metric++)
		if (!isnan(median[metric]))
			json_object_object_add(object, compare_metric_names[metric],
					       real(median[metric]));
	return object;
}

static struct json_object *row_object(const struct compare *compare, unsigned number)
{
	const struct compare_row *row = &compare->row[number];
	struct json_object *object = json_object_new_object();

	if (number != COMPARE_ALL) {
		json_object_object_add(object, "class", json_object_new_int((int)number));
		json_object_object_add(object, "max_bytes",
				       number == NEXT_CLASS_HUGE ?
					       NULL :
					       json_object_new_int64(
						       (int64_t)next_class_bytes(number)));
	}
	json_object_object_add(object, "allocations",
			       json_object_new_int64((int64_t)row->allocations));
	json_object_object_add(object, "ratio", ratios_object(row->ratio));
	json_object_object_add(object, "old", medians_object(row->median[COMPARE_OLD]));
	json_object_object_add(object, "new", medians_object(row->median[COMPARE_NEW]));
	json_object_object_add(object, "verdict",
			       json_object_new_string(compare_verdict_names[row->verdict]));
	json_object_object_add(object, "reason", json_object_new_string(row->reason));
	return object;
}

static struct json_object *traces_array(const struct compare *compare)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < compare->traces; i++) {
		struct json_object *object = json_object_new_object();
		json_object_object_add(object, "trace",
				       json_object_new_string(compare->trace[i].source.path));
		json_object_object_add(
			object, "operations",
			json_object_new_int64((int64_t)compare->trace[i].header.operations));
		json_object_object_add(object, "threads",
				       json_object_new_int((int)compare->trace[i].header.threads));
		json_object_array_add(array, object);
	}
	return array;
}

struct json_object *compare_object(const struct compare *compare)
{
	struct json_object *object = json_object_new_object(), *classes = json_object_new_array();
	struct json_object *peers = json_object_new_array();

	json_object_object_add(object, "old",
			       json_object_new_string(compare->side[COMPARE_OLD].plan));
	json_object_object_add(object, "new",
			       json_object_new_string(compare->side[COMPARE_NEW].plan));
	json_object_object_add(object, "traces", traces_array(compare));
	json_object_object_add(object, "rounds", json_object_new_int((int)compare->done));
	json_object_object_add(object, "interrupted", json_object_new_boolean(compare->interrupted));
	for (unsigned row = 0; row < NEXT_CLASSES; row++)
		if (compare->row[row].allocations)
			json_object_array_add(classes, row_object(compare, row));
	json_object_object_add(object, "classes", classes);
	json_object_object_add(object, "all", row_object(compare, COMPARE_ALL));
	for (unsigned side = 2; side < compare->sides; side++) {
		struct json_object *peer = json_object_new_object();
		json_object_object_add(peer, "peer",
				       json_object_new_string(compare->side[side].label));
		json_object_object_add(peer, "ratio", ratios_object(compare->peer[side]));
		json_object_object_add(peer, "median",
				       medians_object(compare->row[COMPARE_ALL].median[side]));
		json_object_array_add(peers, peer);
	}
	json_object_object_add(object, "peers", peers);
	json_object_object_add(object, "verdict",
			       json_object_new_string(compare_verdict_names[compare->verdict]));
	json_object_object_add(object, "reason", json_object_new_string(compare->reason));
	return object;
}

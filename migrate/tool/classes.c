/* SPDX-License-Identifier: MIT */
/* migrate/tool/classes.c - hakmem classes: the size classes and what a plan makes of them
 *
 * Waste is counted against what was asked for: a block of 64 bytes for 50 wastes 28 %. The worst is
 * that of a class's smallest size, the mean that over all its sizes, each as likely as the next.
 */
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

struct arguments {
	const char *plan; /* NULL: not given */
	bool json;
};

/* What there is to say of a class. */
struct row {
	unsigned class;
	size_t min_bytes, max_bytes; /* of requests; max_bytes is 0 where there is no end */
	size_t block_bytes;	     /* 0: fitted to each request */
	double worst_pct, mean_pct;  /* of waste, where block_bytes is not 0 */
	const char *band, *target, *served_by, *rest; /* rest: who serves those outside the share */
	const struct share *share;
	char plan[PLAN_CLASS_TEXT_BYTES];
};

static void measure_waste(struct row *row)
{
	double sum = 0;

	for (size_t bytes = row->min_bytes; bytes <= row->max_bytes; bytes++)
		sum += (double)(row->block_bytes - bytes) / (double)bytes;
	row->mean_pct = 100 * sum / (double)(row->max_bytes - row->min_bytes + 1);
	row->worst_pct = 100 * (double)(row->block_bytes - row->min_bytes) / (double)row->min_bytes;
}

static struct row row_of(const struct plan *plan, unsigned class)
{
	struct row row = {
		.class = class,
		.min_bytes = class == 0 ? 1 : next_class_bytes(class - 1) + 1,
		.band = plan_band_name(class),
		.target = plan_target_name(plan->class[class].target),
		.served_by = plan_target_name(plan_served_by(plan, class)),
		.rest = plan_target_name(plan_old_side(plan, class)),
		.share = &plan->class[class].share,
	};
	plan_class_text(&plan->class[class], row.plan);
	if (class != NEXT_CLASS_HUGE) {
		row.max_bytes = row.block_bytes = next_class_bytes(class);
		measure_waste(&row);
	}
	return row;
}

/* --- for programs ----------------------------------------------------------------------------- */

/* Of a row whose blocks have no one size: null. */
static void add_known(struct json_object *object, const char *name, bool known,
		      struct json_object *value)
{
	if (!known) {
		json_object_put(value);
		value = NULL;
	}
	json_object_object_add(object, name, value);
}

static struct json_object *percent(double value)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%.3f", value);
	return json_object_new_double_s(value, text);
}

static struct json_object *json_of(const struct row *row)
{
	struct json_object *object = json_object_new_object();
	bool fixed = row->block_bytes != 0;

	json_object_object_add(object, "class", json_object_new_int((int)row->class));
	json_object_object_add(object, "band", json_object_new_string(row->band));
	json_object_object_add(object, "min_bytes", json_object_new_uint64(row->min_bytes));
	add_known(object, "max_bytes", fixed, json_object_new_uint64(row->max_bytes));
	add_known(object, "block_bytes", fixed, json_object_new_uint64(row->block_bytes));
	add_known(object, "waste_worst_pct", fixed, percent(row->worst_pct));
	add_known(object, "waste_mean_pct", fixed, percent(row->mean_pct));
	json_object_object_add(object, "target", json_object_new_string(row->target));
	json_object_object_add(object, "served_by", json_object_new_string(row->served_by));
	if (row->share->of == SHARE_OF_ALL)
		return object;
	json_object_object_add(object, "share_pct",
			       json_object_new_double((double)row->share->size / SHARE_PERCENT));
	json_object_object_add(object, "share_of",
			       json_object_new_string(share_of_name(row->share->of)));
	json_object_object_add(object, "control", json_object_new_boolean(row->share->control));
	json_object_object_add(object, "rest_served_by", json_object_new_string(row->rest));
	return object;
}

static void print_json(const struct plan *plan, const char *text)
{
	struct json_object *object = json_object_new_object();
	struct json_object *classes = json_object_new_array();

	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		struct row row = row_of(plan, class);
		json_object_array_add(classes, json_of(&row));
	}
	json_object_object_add(object, "plan", json_object_new_string(text));
	json_object_object_add(object, "salt", json_object_new_string(plan->salt));
	json_object_object_add(object, "old_mid",
			       json_object_new_string(plan_target_name(plan->old_mid)));
	json_object_object_add(object, "classes", classes);
	output_json(object, false);
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_row(const struct row *row, int plan_width)
{
	/* The eye looks for what a plan has moved: next stands out, the rest stays plain. */
	bool moved = row->served_by == plan_target_name(PLAN_NEXT);
	const char *colour = moved ? output_colour(OUTPUT_GREEN) : "";

	printf("%5u  %-5s  %8zu - ", row->class, row->band, row->min_bytes);
	if (row->block_bytes != 0)
		printf("%8zu  %8zu  %8.1f  %7.1f", row->max_bytes, row->block_bytes, row->worst_pct,
		       row->mean_pct);
	else
		printf("%8s  %8s  %8s  %7s", "", "fitted", "", "");
	printf("  %-*s  %s%s%s%s%s\n", plan_width, row->plan, colour, row->served_by,
	       moved ? output_colour(OUTPUT_PLAIN) : "",
	       row->share->of == SHARE_OF_ALL ? "" : ", else ",
	       row->share->of == SHARE_OF_ALL ? "" : row->rest);
}

/* The figure that the spacing of the classes was chosen by: small sizes, whose classes lie 16 bytes
 * apart for alignment's sake, are left out. */
static double spaced_mean_pct(const struct plan *plan)
{
	double sum = 0;
	unsigned first = next_class_of(256) + 1;

	for (unsigned class = first; class < NEXT_CLASS_HUGE; class ++)
		sum += row_of(plan, class).mean_pct;
	return sum / (NEXT_CLASS_HUGE - first);
}

/* Of the column that shows what the plan says. */
static int plan_width(const struct plan *plan)
{
	size_t width = 6;

	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		char text[PLAN_CLASS_TEXT_BYTES];
		plan_class_text(&plan->class[class], text);
		size_t length = strlen(text);
		width = length > width ? length : width;
	}
	return (int)width;
}

static void print_table(const struct plan *plan, const char *text)
{
	int width = plan_width(plan);

	printf("plan: %s\n", *text ? text : "none, so everything is old");
	printf("old:  %s for mid, system for the rest\n\n", plan_target_name(plan->old_mid));
	printf("%5s  %-5s  %-19s  %8s  %8s  %7s  %-*s  %s\n", "", "", "", "block", "worst", "mean",
	       width, "", "served");
	printf("%5s  %-5s  %8s %10s  %8s  %8s  %7s  %-*s  %s\n", "class", "band", "from",
	       "to bytes", "bytes", "waste %", "waste %", width, "plan", "by");
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		struct row row = row_of(plan, class);
		print_row(&row, width);
	}
	printf("\nmean waste of the classes above 256 bytes: %.1f %%\n", spaced_mean_pct(plan));
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'p':
		arguments->plan = argument;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "nothing to do with: %s", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int tool_classes(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "plan",
		  .key = 'p',
		  .arg = "PLAN",
		  .doc = "The plan to show; default: HAKMEM_PLAN, else everything old" },
		{ .name = "json", .key = 'j', .doc = "Print JSON" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Show the size classes: which sizes they take, how large their blocks in "
		       "next are, what is wasted by that, and what serves them under the plan."
		       "\vWaste is counted against what was asked for: 64 bytes for 50 waste 28 %. "
		       "Exit status: 0; 1 if writing fails; 2 for a wrong command line or plan.",
	};
	struct arguments arguments = { .plan = NULL };
	const char *text;
	struct plan plan;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!tool_read_plan(argv[0], arguments.plan, &plan, &text))
		return EXIT_USAGE;
	if (arguments.json)
		print_json(&plan, text);
	else
		print_table(&plan, text);
	return EXIT_OK;
}

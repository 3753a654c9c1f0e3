/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/advise.c - hakmem advise: a comparison becomes a plan and an order of rollout
 *
 * In goes what `hakmem compare --json' printed. The classes to promote that lie side by side are one step; between them
 * may lie classes without traffic, but none that is held or rolled back. The first steps are those with the most to gain
 * for the least that could go wrong: time saved, against the memory that the class moves.
 */
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arguments {
	const char *path;
	bool json;
};

struct advised {
	bool seen, promote;
	double saved_ns; /* over all calls of the traces; negative: lost */
	double rss_bytes;
	double allocations;
};

struct step {
	unsigned first, last; /* classes */
	double saved_ns, rss_bytes, allocations;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->path)
			argp_error(state, "one comparison at a time");
		arguments->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->path)
			argp_error(state, "which comparison? (- is standard input)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The member of an object, or 0. */
static double number_of(struct json_object *object, const char *outer, const char *inner)
{
	struct json_object *one = NULL, *two = NULL;

	if (!json_object_object_get_ex(object, outer, &one))
		return 0;
	if (!inner)
		return json_object_get_double(one);
	return json_object_object_get_ex(one, inner, &two) ? json_object_get_double(two) : 0;
}

static bool read_class(struct json_object *object, struct advised advised[NEXT_CLASSES])
{
	struct json_object *class, *verdict;

	if (!json_object_object_get_ex(object, "class", &class) ||
	    !json_object_object_get_ex(object, "verdict", &verdict))
		return false;
	int number = json_object_get_int(class);
	if (number < 0 || number >= NEXT_CLASSES)
		return false;
	struct advised *one = &advised[number];
	const char *word = json_object_get_string(verdict);
	one->seen = true;
	one->promote = word && strcmp(word, "promote") == 0;
	one->allocations = number_of(object, "allocations", NULL);
	one->saved_ns = one->allocations *
			(number_of(object, "old", "time") - number_of(object, "new", "time"));
	one->rss_bytes = number_of(object, "old", "peak_rss");
	return true;
}

static bool read_comparison(const char *name, const char *path,
			    struct advised advised[NEXT_CLASSES])
{
	struct json_object *root = strcmp(path, "-") == 0 ? json_object_from_fd(STDIN_FILENO) :
							    json_object_from_file(path);
	struct json_object *classes;
	bool fine = root && json_object_object_get_ex(root, "classes", &classes) &&
		    json_object_is_type(classes, json_type_array);

	for (size_t i = 0; fine && i < json_object_array_length(classes); i++)
		fine = read_class(json_object_array_get_idx(classes, i), advised);
	if (!fine)
		tool_error(name, "%s: is not what `hakmem compare --json' prints", path);
	json_object_put(root);
	return fine;
}

/* --- steps -------------------------------------------------------------------------------------- */

static unsigned find_steps(const struct advised advised[NEXT_CLASSES], struct step *steps)
{
	unsigned count = 0;
	bool open = false;

	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		const struct advised *one = &advised[i];
		if (one->seen && !one->promote)
			open = false;
		if (!one->seen || !one->promote)
			continue;
		if (!open || i == NEXT_CLASS_HUGE)
			steps[count++] = (struct step){ .first = i };
		open = true;
		struct step *step = &steps[count - 1];
		step->last = i;
		step->saved_ns += one->saved_ns;
		step->rss_bytes += one->rss_bytes;
		step->allocations += one->allocations;
	}
	return count;
}

/* Nanoseconds saved for a byte that moves: more comes first. */
static int by_worth(const void *left, const void *right)
{
	const struct step *a = left, *b = right;
	double worth_a = a->saved_ns / (a->rss_bytes + 65536);
	double worth_b = b->saved_ns / (b->rss_bytes + 65536);
	return (worth_a < worth_b) - (worth_a > worth_b);
}

#define ITEM_BYTES (2 * OUTPUT_BYTES + 16)
static const char *item_of(const struct step *step, const char *share, char out[ITEM_BYTES])
{
	char first[OUTPUT_BYTES], last[OUTPUT_BYTES];

	if (step->first == NEXT_CLASS_HUGE)
		(void)snprintf(out, ITEM_BYTES, "huge=next%s", share);
	else if (step->first == step->last)
		(void)snprintf(out, ITEM_BYTES, "%s=next%s",
			       output_size(next_class_bytes(step->first), first), share);
	else
		(void)snprintf(out, ITEM_BYTES, "%s-%s=next%s",
			       output_size(next_class_bytes(step->first), first),
			       output_size(next_class_bytes(step->last), last), share);
	return out;
}

/* The items of the first `count` steps, in the order of sizes. */
static char *plan_of(const struct step *steps, unsigned count)
{
	char item[ITEM_BYTES], *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	const char *between = "";

	if (!out)
		return NULL;
	for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
		for (unsigned i = 0; i < count; i++) {
			if (steps[i].first != class)
				continue;
			fprintf(out, "%s%s", between, item_of(&steps[i], "", item));
			between = ", ";
		}
	}
	if (fclose(out) != 0)
		return NULL;
	return text;
}

static void show_text(const struct step *steps, unsigned count, const char *plan,
		      const struct advised advised[NEXT_CLASSES])
{
	char item[ITEM_BYTES], bytes[OUTPUT_BYTES];
	unsigned held = 0;

	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		held += advised[i].seen && !advised[i].promote;
	if (!count) {
		printf("nothing to promote: all %u classes with traffic are held or rolled back\n",
		       held);
		return;
	}
	printf("plan     %s\n", plan);
	if (held)
		printf("         %u classes stay old\n", held);
	puts("\norder of rollout; each step at 1 %, 10 %, 50 % of the threads, then whole:");
	for (unsigned i = 0; i < count; i++) {
		printf("%4u  %-32s %12.0f allocations, ", i + 1, item_of(&steps[i], "", item),
		       steps[i].allocations);
		printf("%s %.3f ms of calls, moves %s\n", steps[i].saved_ns >= 0 ? "saves" : "costs",
		       (steps[i].saved_ns >= 0 ? 1 : -1) * steps[i].saved_ns / 1e6,
		       output_bytes((uint64_t)steps[i].rss_bytes, bytes));
	}
	printf("\nfirst:   hakmem route PID \"%s\"\n",
	       item_of(&steps[0], "@1%:thread/control", item));
}

static void show_json(const struct step *steps, unsigned count, const char *plan)
{
	struct json_object *object = json_object_new_object(), *array = json_object_new_array();
	char item[ITEM_BYTES];

	json_object_object_add(object, "plan", json_object_new_string(plan));
	for (unsigned i = 0; i < count; i++) {
		struct json_object *one = json_object_new_object();
		char *so_far = plan_of(steps, i + 1);
		json_object_object_add(one, "item",
				       json_object_new_string(item_of(&steps[i], "", item)));
		json_object_object_add(one, "plan_so_far",
				       json_object_new_string(so_far ? so_far : ""));
		json_object_object_add(one, "allocations",
				       json_object_new_int64((int64_t)steps[i].allocations));
		json_object_object_add(one, "saved_ns", json_object_new_double(steps[i].saved_ns));
		json_object_object_add(one, "moves_bytes",
				       json_object_new_int64((int64_t)steps[i].rss_bytes));
		json_object_array_add(array, one);
		free(so_far);
	}
	json_object_object_add(object, "steps", array);
	output_json(object, false);
}

int tool_advise(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "json", .key = 'j', .doc = "Print one JSON object" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "COMPARISON",
		.doc = "Turn what `hakmem compare --json' printed into a plan and an order of rollout."
		       "\vExample: hakmem compare redis.trace --old all=old --new all=next --json | "
		       "hakmem advise -",
	};
	struct arguments arguments = { .path = NULL };
	struct advised advised[NEXT_CLASSES] = { { .seen = false } };
	struct step steps[NEXT_CLASSES];

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!read_comparison(argv[0], arguments.path, advised))
		return EXIT_FAILED;
	unsigned count = find_steps(advised, steps);
	qsort(steps, count, sizeof(steps[0]), by_worth);
	char *plan = plan_of(steps, count);
	if (!plan) {
		tool_error(argv[0], "%s", strerror(errno));
		return EXIT_FAILED;
	}
	if (arguments.json)
		show_json(steps, count, plan);
	else
		show_text(steps, count, plan, advised);
	free(plan);
	return EXIT_OK;
}

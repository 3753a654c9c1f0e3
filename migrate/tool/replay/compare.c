/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compare.c - hakmem compare: old against new on traces
 *
 * Everything is compiled first, once. Then rounds: in each, every trace is replayed on every side, one after the other,
 * so that what slows the machine down for minutes cancels in the quotient of a round; the side that goes first turns.
 */
#include "migrate/tool/replay/compare.h"
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/progress.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS	    9
#define ROUNDS_MOST 200
/* One call in so many is timed. */
#define TIME_EVERY 8

struct arguments {
	struct compare *compare;
	struct prepare_source source; /* of all traces, but for their paths */
	struct prepare_manner manner;
	const char *old, *new, *html;
	const char *peers[COMPARE_SIDES];
	unsigned peer_count;
	bool json;
};

enum { KEY_OLD = 256, KEY_NEW, KEY_PEER, KEY_HTML, KEY_GUARDS, KEY_PRINT_GUARDS };

static void add_trace(struct argp_state *state, struct compare *compare, const char *path)
{
	if (compare->traces == COMPARE_TRACES)
		argp_error(state, "at most %d traces", COMPARE_TRACES);
	struct compare_trace *trace = &compare->trace[compare->traces++];
	trace->source.path = path;
	for (unsigned row = 0; row < COMPARE_ROWS; row++)
		trace->fd[row] = -1;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct compare *compare = arguments->compare;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->source;
		state->child_inputs[1] = &arguments->manner;
		return 0;
	case KEY_OLD:
		arguments->old = argument;
		return 0;
	case KEY_NEW:
		arguments->new = argument;
		return 0;
	case KEY_PEER:
		if (arguments->peer_count + 2 == COMPARE_SIDES)
			argp_error(state, "at most %d peers", COMPARE_SIDES - 2);
		arguments->peers[arguments->peer_count++] = argument;
		return 0;
	case 'r':
		compare->rounds = prepare_number(state, "--rounds", argument, ROUNDS_MOST);
		return 0;
	case KEY_HTML:
		arguments->html = argument;
		return 0;
	case KEY_GUARDS:
		if (!guards_read(compare->name, argument, &compare->guards))
			exit(EXIT_USAGE);
		return 0;
	case KEY_PRINT_GUARDS:
		guards_print();
		exit(EXIT_OK);
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		add_trace(state, compare, argument);
		return 0;
	case ARGP_KEY_END:
		if (!compare->traces)
			argp_error(state, "which trace?");
		if (!arguments->old || !arguments->new)
			argp_error(state, "--old and --new say which plans");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ .name = "old", .key = KEY_OLD, .arg = "PLAN", .doc = "The plan that is in force" },
	{ .name = "new", .key = KEY_NEW, .arg = "PLAN", .doc = "The plan that may follow it" },
	{ .name = "peer",
	  .key = KEY_PEER,
	  .arg = "LIB",
	  .doc = "Another malloc library to hold the new plan against, or `glibc'; may be repeated" },
	{ .name = "rounds",
	  .key = 'r',
	  .arg = "N",
	  .doc = "How often every side replays every trace; default 9, and below 5 there are no "
		 "intervals" },
	{ .name = "html", .key = KEY_HTML, .arg = "FILE", .doc = "Write a report with pictures" },
	{ .name = "guardrails",
	  .key = KEY_GUARDS,
	  .arg = "FILE",
	  .doc = "The thresholds; default: what --print-guardrails prints" },
	{ .name = "print-guardrails",
	  .key = KEY_PRINT_GUARDS,
	  .doc = "Print the thresholds, as the file has them, and do nothing else" },
	{ .name = "json", .key = 'j', .doc = "Print one JSON object" },
	{ .name = NULL },
};

/* --- sides -------------------------------------------------------------------------------------- */

static bool set_sides(struct arguments *arguments)
{
	static char library[PATH_MAX], paths[COMPARE_SIDES][PATH_MAX];
	struct compare *compare = arguments->compare;
	const char *text;
	struct plan plan;

	if (!tool_read_plan(compare->name, arguments->old, &plan, &text) ||
	    !tool_read_plan(compare->name, arguments->new, &plan, &text))
		exit(EXIT_USAGE);
	if (!library_find(compare->name, arguments->manner.library, library))
		return false;
	compare->side[COMPARE_OLD] = (struct engine_side){
		.label = "old", .plan = arguments->old, .library = library
	};
	compare->side[COMPARE_NEW] = (struct engine_side){
		.label = "new", .plan = arguments->new, .library = library
	};
	compare->sides = 2;
	for (unsigned i = 0; i < arguments->peer_count; i++) {
		struct engine_side *side = &compare->side[compare->sides];
		const char *slash = strrchr(arguments->peers[i], '/');
		side->label = slash ? slash + 1 : arguments->peers[i];
		if (!engine_read_preload(compare->name, arguments->peers[i], paths[compare->sides],
					 &side->preload))
			return false;
		compare->sides++;
	}
	return true;
}

/* --- programs ----------------------------------------------------------------------------------- */

/* The whole, and each class with enough to tell something. */
static bool prepare_trace(struct arguments *arguments, struct compare_trace *trace)
{
	struct compare *compare = arguments->compare;
	static struct prepare_program programs[COMPARE_ROWS];
	unsigned rows[COMPARE_ROWS];
	size_t count = 0;

	trace->source.format = arguments->source.format;
	trace->source.process = arguments->source.process;
	trace->info = info_read(compare->name, &trace->source);
	if (!trace->info || engine_is_interrupted() ||
	    !prepare_scan(compare->name, &trace->source, &trace->scan))
		return false;
	for (unsigned row = 0; row < COMPARE_ROWS; row++) {
		compare->row[row].allocations += trace->scan.operations[row];
		if (row != COMPARE_ALL &&
		    (double)trace->scan.operations[row] < compare->guards.least_allocations)
			continue;
		trace->fd[row] = engine_make_file(compare->name);
		if (trace->fd[row] < 0)
			return false;
		compare->row[row].is_replayed = true;
		programs[count] = (struct prepare_program){
			.options = { .threads = arguments->manner.threads,
				     .only = row,
				     .pace = row == COMPARE_ALL && arguments->manner.pace },
			.fd = trace->fd[row],
		};
		rows[count++] = row;
	}
	if (!prepare_compile(compare->name, &trace->source, &trace->scan, programs, count))
		return false;
	trace->header = programs[count - 1].header; /* that of all */
	return rows[count - 1] == COMPARE_ALL;
}

/* --- rounds ------------------------------------------------------------------------------------- */

static void set_value(struct compare *compare, unsigned trace, unsigned side, unsigned row,
		      enum metric metric, double value)
{
	compare_value(compare, trace, side, row, metric)[compare->done] = value;
}

static void note_memory(struct compare *compare, unsigned trace, unsigned side, unsigned row,
			const struct replay_shared *result)
{
	set_value(compare, trace, side, row, METRIC_RSS, (double)result->peak_rss_bytes);
	set_value(compare, trace, side, row, METRIC_MEAN_RSS, (double)result->mean_rss_bytes);
	if (result->mean_live_bytes)
		set_value(compare, trace, side, row, METRIC_HELD,
			  (double)result->mean_rss_bytes / (double)result->mean_live_bytes);
	set_value(compare, trace, side, row, METRIC_FAULTS, (double)result->faults);
}

static void note_times(struct compare *compare, unsigned trace, unsigned side, unsigned row,
		       const struct replay_shared *result)
{
	struct engine_times times;

	engine_times(result, REPLAY_CALLS, row, &times); /* NEXT_CLASSES and COMPARE_ALL are one */
	if (!times.count)
		return;
	set_value(compare, trace, side, row, METRIC_TIME, times.mean_ns);
	set_value(compare, trace, side, row, METRIC_P50, engine_percentile(&times, 50));
	set_value(compare, trace, side, row, METRIC_P99, engine_percentile(&times, 99));
	set_value(compare, trace, side, row, METRIC_P999, engine_percentile(&times, 99.9));
}

/* One replay. False: it failed, or somebody interrupts. */
static bool run_one(struct compare *compare, const char *child, unsigned number, unsigned side,
		    unsigned row)
{
	struct compare_trace *trace = &compare->trace[number];
	struct trace_error error;
	struct replay_shared *result = engine_run(child, trace->fd[row], &compare->side[side], NULL,
						  0, TIME_EVERY, &error);

	if (!result || engine_is_interrupted()) {
		progress_end();
		if (!result && error.text[0] && !engine_is_interrupted())
			tool_error(compare->name, "%s on %s: %s", trace->source.path,
				   compare->side[side].label, error.text);
		engine_free(result);
		return false;
	}
	note_memory(compare, number, side, row, result);
	if (row != COMPARE_ALL) {
		engine_free(result);
		return true;
	}
	for (unsigned each = 0; each < COMPARE_ROWS; each++)
		note_times(compare, number, side, each, result);
	if (result->operations)
		set_value(compare, number, side, row, METRIC_WALL,
			  (double)result->wall_ns / (double)result->operations);
	engine_free(trace->last[side]);
	trace->last[side] = result;
	return true;
}

/* How many replays a round is. */
static uint64_t replays_of_round(const struct compare *compare)
{
	uint64_t replays = 0;

	for (unsigned trace = 0; trace < compare->traces; trace++)
		for (unsigned row = 0; row < COMPARE_ROWS; row++)
			if (compare->trace[trace].fd[row] >= 0)
				replays += row == COMPARE_ALL ? compare->sides : 2;
	return replays;
}

static bool run_round(struct compare *compare, const char *child)
{
	uint64_t each = replays_of_round(compare), done = each * compare->done;
	char text[64];

	(void)snprintf(text, sizeof(text), "round %u of %u", compare->done + 1, compare->rounds);
	for (unsigned trace = 0; trace < compare->traces; trace++) {
		for (unsigned row = COMPARE_ROWS; row-- > 0;) {
			unsigned sides = row == COMPARE_ALL ? compare->sides : 2;
			if (compare->trace[trace].fd[row] < 0)
				continue;
			for (unsigned i = 0; i < sides; i++, done++) {
				progress_show(text, done, each * compare->rounds);
				if (!run_one(compare, child, trace, (i + compare->done) % sides, row))
					return false;
			}
		}
	}
	return true;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static int show(struct compare *compare, const struct arguments *arguments)
{
	static const int codes[] = { EXIT_OK, EXIT_HELD, EXIT_ROLLED_BACK };

	compare_judge(compare);
	if (arguments->json)
		output_json(compare_object(compare), false);
	else
		compare_text(compare);
	if (arguments->html && !compare_html(compare, arguments->html))
		return EXIT_FAILED;
	return codes[compare->verdict];
}

static bool make_values(struct compare *compare)
{
	size_t count = (size_t)compare->traces * COMPARE_SIDES * COMPARE_ROWS * METRICS *
		       compare->rounds;

	compare->values = malloc(count * sizeof(*compare->values));
	if (!compare->values) {
		tool_error(compare->name, "%s", strerror(errno));
		return false;
	}
	for (size_t i = 0; i < count; i++)
		compare->values[i] = NAN;
	return true;
}

static int run_all(struct arguments *arguments)
{
	static char child[PATH_MAX];
	struct compare *compare = arguments->compare;

	if (!set_sides(arguments))
		return EXIT_NO_LIBRARY;
	if (!engine_find_child(compare->name, child) || !make_values(compare))
		return EXIT_FAILED;
	engine_catch_interrupts();
	for (unsigned trace = 0; trace < compare->traces; trace++)
		if (!prepare_trace(arguments, &compare->trace[trace]))
			return EXIT_FAILED;
	while (compare->done < compare->rounds && run_round(compare, child))
		compare->done++;
	progress_end();
	compare->interrupted = engine_is_interrupted();
	if (compare->interrupted && compare->done)
		tool_warning(compare->name, "interrupted: %u of %u rounds", compare->done,
			     compare->rounds);
	else if (compare->done < compare->rounds)
		return EXIT_FAILED;
	return show(compare, arguments);
}

static void free_all(struct compare *compare)
{
	for (unsigned i = 0; i < compare->traces; i++) {
		struct compare_trace *trace = &compare->trace[i];
		for (unsigned row = 0; row < COMPARE_ROWS; row++)
			if (trace->fd[row] >= 0)
				close(trace->fd[row]);
		for (unsigned side = 0; side < COMPARE_SIDES; side++)
			engine_free(trace->last[side]);
		compile_scan_free(&trace->scan);
		info_free(trace->info);
	}
	free(compare->values);
	free(compare);
}

int tool_compare(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &prepare_traces_argp },
		{ .argp = &prepare_manner_argp },
		{ .argp = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "TRACE...",
		.doc = "Replay traces on an old plan and a new one, in turns, and say of every size "
		       "class whether to promote, hold or roll back."
		       "\vThe exit status is 0 for promote, 10 for roll back and 11 for hold. Ctrl-C "
		       "keeps the rounds that are whole.\n\n"
		       "Example: hakmem compare redis.trace --old all=old --new all=next --peer glibc "
		       "--html report.html",
	};
	struct arguments arguments = { .compare = calloc(1, sizeof(*arguments.compare)) };

	if (!arguments.compare)
		return EXIT_FAILED;
	arguments.compare->name = argv[0];
	arguments.compare->rounds = ROUNDS;
	guards_init(&arguments.compare->guards);
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	int code = run_all(&arguments);
	free_all(arguments.compare);
	return code;
}

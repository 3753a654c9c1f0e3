/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/replay.c - hakmem replay: a trace once more, on a plan or on another library */
#include "migrate/tool/output.h"
#include "migrate/tool/replay/engine.h"
#include "migrate/tool/replay/prepare.h"
#include "migrate/tool/replay/report.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the calls, one in so many is timed; all of them around a flip. */
#define TIME_EVERY 16

struct arguments {
	struct prepare_source source;
	struct prepare_manner manner;
	const char *plan, *preload;
	bool in_order, json;
	struct replay_flip *flips;
	struct compile_flip moments[REPLAY_FLIPS];
	double percents[REPLAY_FLIPS]; /* NAN: the moment is a time */
	unsigned flip_count;
};

enum { KEY_FLIP = 256, KEY_ORDER };

/* "2.5s", "300ms", "50%" up to the colon, then a plan. */
static const char *read_flip(struct arguments *arguments, const char *text)
{
	unsigned number = arguments->flip_count;
	char *end;

	if (number == REPLAY_FLIPS)
		return "too many flips";
	double value = strtod(text, &end);
	if (end == text || !(value >= 0) || value > 1e9)
		return "expected MOMENT:PLAN, the moment as in 1.5s, 200ms or 50%";
	arguments->percents[number] = NAN;
	arguments->moments[number] = (struct compile_flip){ TRACE_UNKNOWN, TRACE_UNKNOWN };
	if (strncmp(end, "s:", 2) == 0)
		arguments->moments[number].at_ns = (uint64_t)(value * 1e9);
	else if (strncmp(end, "ms:", 3) == 0)
		arguments->moments[number].at_ns = (uint64_t)(value * 1e6);
	else if (strncmp(end, "%:", 2) == 0 && value <= 100)
		arguments->percents[number] = value;
	else
		return "expected MOMENT:PLAN, the moment as in 1.5s, 200ms or 50%";
	const char *plan = strchr(end, ':') + 1;
	if (strlen(plan) >= sizeof(arguments->flips[0].plan))
		return "the plan is too long";
	strcpy(arguments->flips[number].plan, plan);
	arguments->flip_count++;
	return NULL;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	const char *why;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->source;
		state->child_inputs[1] = &arguments->manner;
		return 0;
	case 'p':
		arguments->plan = argument;
		return 0;
	case 'P':
		arguments->preload = argument;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case KEY_FLIP:
		why = read_flip(arguments, argument);
		if (why)
			argp_error(state, "--flip: %s", why);
		return 0;
	case KEY_ORDER:
		if (strcmp(argument, "recorded") != 0)
			argp_error(state, "--order: there is only `recorded'");
		arguments->in_order = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ .name = "plan",
	  .key = 'p',
	  .arg = "PLAN",
	  .doc = "Replay on the hakmem library with this plan" },
	{ .name = "flip",
	  .key = KEY_FLIP,
	  .arg = "MOMENT:PLAN",
	  .doc = "At this moment of the trace (1.5s, 200ms, 50%) give it this live plan; may be "
		 "repeated, in the order of the moments" },
	{ .name = "preload",
	  .key = 'P',
	  .arg = "LIB",
	  .doc = "Replay on another malloc library, or `glibc' for none; with a plan, behind "
		 "hakmem's as its system" },
	{ .name = "order",
	  .key = KEY_ORDER,
	  .arg = "recorded",
	  .doc = "All operations one after the other in the order of recording, so that what lives "
		 "at any moment is what lived then" },
	{ .name = "json", .key = 'j', .doc = "Print one JSON object" },
	{ .name = NULL },
};

static bool check_flips(const char *name, struct arguments *arguments)
{
	struct plan_error error;
	struct plan plan;
	char line[PLAN_ERROR_BYTES];

	for (unsigned i = 0; i < arguments->flip_count; i++) {
		const char *text = arguments->flips[i].plan;
		if (plan_parse(&plan, text, strlen(text), true, &error))
			continue;
		(void)plan_error_text(&error, line);
		tool_error(name, "--flip: %s", line);
		return false;
	}
	return true;
}

/* Which moments percentages are; whether all are in their order. */
static bool place_flips(const char *name, struct arguments *arguments,
			const struct compile_scan *scan)
{
	for (unsigned i = 0; i < arguments->flip_count; i++) {
		struct compile_flip *moment = &arguments->moments[i];
		if (!isnan(arguments->percents[i]))
			moment->at_operation = (uint64_t)((double)scan->counts.operations *
							  arguments->percents[i] / 100);
		else if (!scan->traits.has_times) {
			tool_error(name, "--flip: the trace has no times; say how much of it is to "
					 "pass, as in 50%%");
			return false;
		}
	}
	return true;
}

static bool read_side(const char *name, const struct arguments *arguments, struct engine_side *side,
		      char *library, char *preload)
{
	const char *plan_text = NULL;
	struct plan plan;

	*side = (struct engine_side){ .label = "replay" };
	if (arguments->plan || arguments->flip_count || !arguments->preload) {
		if (!tool_read_plan(name, arguments->plan, &plan, &plan_text) ||
		    !library_find(name, arguments->manner.library, library))
			return false;
		side->plan = plan_text;
		side->library = library;
	}
	return engine_read_preload(name, arguments->preload, preload, &side->preload);
}

static int replay(const char *name, struct arguments *arguments)
{
	static char library[PATH_MAX], preload[PATH_MAX], child[PATH_MAX];
	struct prepare_program program = { .options = { .threads = arguments->manner.threads,
							.only = COMPILE_ALL,
							.pace = arguments->manner.pace,
							.in_order = arguments->in_order,
							.flips = arguments->moments,
							.flip_count = arguments->flip_count } };
	struct compile_scan scan;
	struct engine_side side;
	struct trace_error error;

	if (!check_flips(name, arguments))
		return EXIT_USAGE;
	if (!read_side(name, arguments, &side, library, preload))
		return EXIT_NO_LIBRARY;
	if (!engine_find_child(name, child))
		return EXIT_FAILED;
	engine_catch_interrupts();
	if (!prepare_scan(name, &arguments->source, &scan))
		return EXIT_FAILED;
	program.fd = engine_make_file(name);
	int code = EXIT_FAILED;
	if (program.fd >= 0 && place_flips(name, arguments, &scan) &&
	    prepare_compile(name, &arguments->source, &scan, &program, 1)) {
		struct replay_shared *result =
			engine_run(child, program.fd, &side, arguments->flips, arguments->flip_count,
				   TIME_EVERY, &error);
		struct report report = { .path = arguments->source.path,
					 .scan = &scan,
					 .program = &program.header,
					 .side = &side,
					 .result = result };
		if (result && arguments->json)
			replay_json(&report);
		else if (result)
			replay_text(&report);
		else if (error.text[0])
			tool_error(name, "%s", error.text);
		code = result ? EXIT_OK : EXIT_FAILED;
		engine_free(result);
	}
	if (program.fd >= 0)
		close(program.fd);
	compile_scan_free(&scan);
	return code;
}

int tool_replay(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &prepare_trace_argp },
		{ .argp = &prepare_manner_argp },
		{ .argp = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "TRACE",
		.doc = "Replay a trace and report speed and memory."
		       "\vA free waits for its malloc and nothing else waits. Every page of a block is "
		       "touched once, or as many as the trace says. Without a plan and a library it is "
		       "the hakmem library with HAKMEM_PLAN.\n\n"
		       "Example: hakmem replay trace --plan all=old --flip 50%:all=next",
	};
	struct arguments arguments = { .plan = NULL };

	arguments.flips = calloc(REPLAY_FLIPS, sizeof(*arguments.flips));
	if (!arguments.flips)
		return EXIT_FAILED;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	int code = replay(argv[0], &arguments);
	free(arguments.flips);
	return code;
}

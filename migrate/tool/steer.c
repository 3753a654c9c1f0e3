/* SPDX-License-Identifier: MIT */
/* migrate/tool/steer.c - hakmem status, route, rollback, unlatch, kill-switch, watch: one process, by its page
 *
 * All of them open the page, ask one thing and say what became of it.
 */
#include "migrate/tool/client.h"
#include "migrate/tool/output.h"
#include "migrate/tool/show.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum option_key {
	KEY_DRY_RUN = 256,
	KEY_CLEAR,
	KEY_ALL,
	KEY_EACH,
	KEY_OFF,
	KEY_JSON_LINES,
	KEY_COUNT
};

struct arguments {
	pid_t pid;
	const char *plan;
	char classes[PLAN_TEXT_MAX + 2]; /* with commas between them */
	bool json, dry_run, clear, all, each, off, json_lines;
	double interval_s;
	unsigned long count; /* 0: no end */
	unsigned words;	     /* arguments that are no options, so far */
};

static struct client client;
static struct page_status status, before; /* the newest look, and the one before it */
static struct page_answer answer;
static bool end_is_no_error; /* of the process, while it is asked */

/* --- asking --------------------------------------------------------------------------------------- */

/* EXIT_OK, and the page is open; or the exit code, and the error told. */
static int open_process(const char *name, pid_t pid)
{
	char error[CLIENT_ERROR_BYTES];
	if (client_open(&client, pid, error))
		return EXIT_OK;
	tool_error(name, "%s", error);
	return EXIT_NO_PROCESS;
}

static int ask(const char *name, enum page_operation operation, const char *text,
	       struct page_status *figures)
{
	char error[CLIENT_ERROR_BYTES];

	if (!client_ask(&client, operation, text, &answer, figures, error)) {
		int code = client_attended(&client) ? EXIT_NO_ANSWER : EXIT_NO_PROCESS;
		if (code == EXIT_NO_ANSWER || !end_is_no_error)
			tool_error(name, "%s", error);
		return code;
	}
	output_make_safe(answer.text);
	if (figures)
		show_make_safe(&client, figures);
	output_make_safe(client.header.program);
	if (answer.result == PAGE_APPLIED)
		return EXIT_OK;
	tool_error(name, "%s (%d) refuses: %s", client.header.program, (int)client.process.pid,
		   answer.text);
	return EXIT_REFUSED;
}

/* Opens the page, asks, closes it again. */
static int ask_process(const char *name, pid_t pid, enum page_operation operation, const char *text,
		       struct page_status *figures)
{
	int code = open_process(name, pid);
	if (code != EXIT_OK)
		return code;
	code = ask(name, operation, text, figures);
	client_close(&client);
	return code;
}

static void say_flipped_json(void)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "pid", json_object_new_int(client.process.pid));
	json_object_object_add(object, "program", json_object_new_string(client.header.program));
	json_object_object_add(object, "flipped", json_object_new_uint64(answer.flipped));
	json_object_object_add(object, "flip_ns", json_object_new_uint64(answer.flip_ns));
	json_object_object_add(object, "unavailable", json_object_new_uint64(answer.unavailable));
	output_json(object, false);
}

static int say_flipped(const char *name, const struct arguments *arguments, const char *what)
{
	if (arguments->json)
		say_flipped_json();
	else
		printf("%s (%d): %s; %u class%s flipped in %.1f us\n", client.header.program,
		       (int)client.process.pid, what, answer.flipped,
		       answer.flipped == 1 ? "" : "es", (double)answer.flip_ns / 1e3);
	if (answer.unavailable > 0)
		tool_warning(name, "%u classes stay old: what is to serve them is not there",
			     answer.unavailable);
	return EXIT_OK;
}

/* --- options -------------------------------------------------------------------------------------- */

static void read_pid(struct arguments *arguments, const char *word, struct argp_state *state)
{
	char *end;
	errno = 0;
	long pid = strtol(word, &end, 10);
	if (errno || *end || end == word || pid <= 0 || pid > INT_MAX)
		argp_error(state, "no process id: %s", word);
	arguments->pid = (pid_t)pid;
}

static void add_classes(struct arguments *arguments, const char *word, struct argp_state *state)
{
	size_t used = strlen(arguments->classes);
	size_t room = sizeof(arguments->classes) - used;
	int length = snprintf(arguments->classes + used, room, "%s%s", used > 0 ? "," : "", word);
	if (length < 0 || (size_t)length >= room)
		argp_error(state, "too many classes");
}

static error_t parse_word(struct arguments *arguments, const char *word, struct argp_state *state,
			  unsigned max_words, bool classes)
{
	if (arguments->words == 0)
		read_pid(arguments, word, state);
	else if (classes)
		add_classes(arguments, word, state);
	else if (arguments->words < max_words)
		arguments->plan = word;
	else
		argp_error(state, "nothing to do with: %s", word);
	arguments->words++;
	return 0;
}

static error_t parse_option(int key, const char *value, struct arguments *arguments,
			    struct argp_state *state)
{
	char *end;
	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case KEY_DRY_RUN:
		arguments->dry_run = true;
		return 0;
	case KEY_CLEAR:
		arguments->clear = true;
		return 0;
	case KEY_ALL:
		arguments->all = true;
		return 0;
	case KEY_EACH:
		arguments->each = true;
		return 0;
	case KEY_OFF:
		arguments->off = true;
		return 0;
	case KEY_JSON_LINES:
		arguments->json_lines = true;
		return 0;
	case 'i':
		arguments->interval_s = strtod(value, &end);
		if (*end || end == value || !(arguments->interval_s >= 0) ||
		    !(arguments->interval_s <= 86400))
			argp_error(state, "an interval is 0 to 86400 seconds, not %s", value);
		return 0;
	case KEY_COUNT:
		arguments->count = strtoul(value, &end, 10);
		if (*end || end == value || arguments->count == 0)
			argp_error(state, "no count: %s", value);
		return 0;
	case ARGP_KEY_END:
		if (arguments->words == 0)
			argp_error(state, "which process?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_pid_only(int key, char *value, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		return parse_word(state->input, value, state, 1, false);
	return parse_option(key, value, state->input, state);
}

static error_t parse_route(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	if (key == ARGP_KEY_ARG)
		return parse_word(arguments, value, state, 2, false);
	if (key == ARGP_KEY_END && arguments->words > 0) {
		if (!arguments->plan && !arguments->clear)
			argp_error(state, "which plan? --clear for none");
		if (arguments->clear && (arguments->plan || arguments->dry_run))
			argp_error(state, "--clear goes with neither a plan nor --dry-run");
	}
	return parse_option(key, value, arguments, state);
}

static error_t parse_guard(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	if (key == ARGP_KEY_ARG)
		return parse_word(arguments, value, state, 2, false);
	if (key == ARGP_KEY_END && arguments->words > 0) {
		if (!arguments->plan && !arguments->off)
			argp_error(state, "which guards? --off for none");
		if (arguments->plan && arguments->off)
			argp_error(state, "--off goes with no guards");
	}
	return parse_option(key, value, arguments, state);
}

static error_t parse_classes(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	if (key == ARGP_KEY_ARG)
		return parse_word(arguments, value, state, UINT_MAX, true);
	if (key == ARGP_KEY_END && arguments->words > 0) {
		if (arguments->words == 1 && !arguments->all)
			argp_error(state, "which classes? --all for all");
		if (arguments->words > 1 && arguments->all)
			argp_error(state, "--all goes with no classes");
	}
	return parse_option(key, value, arguments, state);
}

static error_t parse_watch(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	if (key == ARGP_KEY_END && arguments->words > 0 && !arguments->json_lines)
		argp_error(state, "as what? --json-lines is all there is");
	if (key == ARGP_KEY_END && arguments->interval_s < 0.01)
		argp_error(state, "an interval of 0.01 seconds at least");
	return parse_pid_only(key, value, state);
}

#define EXIT_TEXT                                                                                  \
	"Exit status: 0; 1 if writing fails; 2 for a wrong command line; 3 if there is no such "   \
	"process or it has no control page; 4 if it refuses; 5 if it does not answer."

static struct arguments parse(const struct argp *argp, int argc, char **argv, double interval_s)
{
	struct arguments arguments = { .interval_s = interval_s };
	argp_parse(argp, argc, argv, 0, NULL, &arguments);
	return arguments;
}

#define JSON_OPTION                                                                                \
	{                                                                                          \
		.name = "json", .key = 'j', .doc = "Print JSON"                                    \
	}

static void wait_until(struct timespec *next, double interval_s)
{
	time_t whole = (time_t)interval_s;
	next->tv_sec += whole;
	next->tv_nsec += (long)((interval_s - (double)whole) * 1e9);
	if (next->tv_nsec >= 1000000000) {
		next->tv_nsec -= 1000000000;
		next->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) == EINTR)
		;
}

/* --- commands ------------------------------------------------------------------------------------- */

int tool_status(int argc, char **argv)
{
	static const struct argp_option options[] = {
		JSON_OPTION,
		{ .name = "each", .key = KEY_EACH, .doc = "A line for every class" },
		{ .name = "interval",
		  .key = 'i',
		  .arg = "SECONDS",
		  .doc = "Between the two looks that tell how much there is of a thing a second; "
			 "default: 0.2, 0: one look" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_pid_only,
		.args_doc = "PID",
		.doc = "Show what is in force in a process: its plans, who serves which sizes and why, "
		       "and what lives in either pool.\v" EXIT_TEXT,
	};
	struct arguments arguments = parse(&argp, argc, argv, 0.2);
	struct timespec next;

	int code = open_process(argv[0], arguments.pid);
	if (code != EXIT_OK)
		return code;
	code = ask(argv[0], PAGE_STATUS, NULL, &status);
	if (code == EXIT_OK && arguments.interval_s > 0) {
		before = status;
		clock_gettime(CLOCK_MONOTONIC, &next);
		wait_until(&next, arguments.interval_s);
		code = ask(argv[0], PAGE_STATUS, NULL, &status);
	}
	const struct page_status *earlier = arguments.interval_s > 0 ? &before : NULL;
	if (code == EXIT_OK && arguments.json)
		output_json(show_json(&client, &status, earlier), false);
	else if (code == EXIT_OK)
		show_status(&client, &status, earlier, arguments.each);
	client_close(&client);
	return code;
}

int tool_route(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "dry-run",
		  .key = KEY_DRY_RUN,
		  .doc = "Only say what would move, and what would stay behind" },
		JSON_OPTION,
		{ .name = "clear", .key = KEY_CLEAR, .doc = "No live plan any more" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_route,
		.args_doc = "PID PLAN\nPID --clear",
		.doc = "Give a process its live plan, instead of the one it had. It goes before the "
		       "plan file and HAKMEM_PLAN, class by class."
		       "\vWhat starts after the command has returned goes where the plan says. " EXIT_TEXT
		       "\n\nExample: hakmem route 4711 'mid=next@5%:thread/control'",
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	enum page_operation operation = arguments.clear	    ? PAGE_DROP_PLAN
					: arguments.dry_run ? PAGE_TRY
							    : PAGE_PLAN;
	int code = ask_process(argv[0], arguments.pid, operation, arguments.plan,
			       arguments.dry_run ? &status : NULL);
	if (code != EXIT_OK)
		return code;
	if (!arguments.dry_run)
		return say_flipped(argv[0], &arguments,
				   arguments.clear ? "no live plan" : "applied");
	if (arguments.json)
		output_json(show_trial_json(&status), false);
	else
		show_trial(&status);
	return EXIT_OK;
}

static const struct argp_option class_options[] = {
	{ .name = "all", .key = KEY_ALL, .doc = "All classes" },
	JSON_OPTION,
	{ .name = NULL },
};

int tool_rollback(int argc, char **argv)
{
	static const struct argp argp = {
		.options = class_options,
		.parser = parse_classes,
		.args_doc = "PID CLASS...\nPID --all",
		.doc = "Send classes of a process to their old side and latch them there: no plan "
		       "moves them until they are unlatched."
		       "\vNo malloc that starts after the command has returned is served by next. "
		       "Classes are named as in plans. " EXIT_TEXT
		       "\n\nExample: hakmem rollback 4711 2k-8k",
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	int code = ask_process(argv[0], arguments.pid, PAGE_ROLLBACK, arguments.classes, NULL);
	return code == EXIT_OK ? say_flipped(argv[0], &arguments, "rolled back and latched") : code;
}

int tool_unlatch(int argc, char **argv)
{
	static const struct argp argp = {
		.options = class_options,
		.parser = parse_classes,
		.args_doc = "PID CLASS...\nPID --all",
		.doc = "Let classes of a process that were rolled back go where its plans send them.\v" EXIT_TEXT,
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	int code = ask_process(argv[0], arguments.pid, PAGE_UNLATCH, arguments.classes, NULL);
	return code == EXIT_OK ? say_flipped(argv[0], &arguments, "unlatched") : code;
}

int tool_kill_switch(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "off", .key = KEY_OFF, .doc = "Back to what plans and latches say" },
		JSON_OPTION,
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_pid_only,
		.args_doc = "PID",
		.doc = "Everything old in a process, over all plans and latches, until it is switched "
		       "off again.\v" EXIT_TEXT,
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	int code = ask_process(argv[0], arguments.pid, PAGE_KILL_SWITCH,
			       arguments.off ? "off" : "on", NULL);
	if (code != EXIT_OK)
		return code;
	return say_flipped(argv[0], &arguments,
			   arguments.off ? "the kill switch is off" : "everything is old");
}

int tool_guard(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "off", .key = KEY_OFF, .doc = "None any more" },
		JSON_OPTION,
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_guard,
		.args_doc = "PID GUARDS\nPID --off",
		.doc = "Arm guards in a process, instead of those it had: it rolls classes back by itself when next "
		       "misbehaves."
		       "\vGUARDS are misuse, reservation, held=R/BYTES, latency=R/SAMPLES, rss=BYTES, with commas "
		       "between them, or all for the first four. " EXIT_TEXT
		       "\n\nExample: hakmem guard 4711 'misuse, latency=1.5/2000, rss=2g'",
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	int code = ask_process(argv[0], arguments.pid, PAGE_GUARD,
			       arguments.off ? "" : arguments.plan, NULL);
	if (code != EXIT_OK)
		return code;
	if (arguments.json)
		say_flipped_json();
	else
		printf("%s (%d): %s\n", client.header.program, (int)client.process.pid,
		       arguments.off ? "no guards any more" : "guarded");
	return EXIT_OK;
}

int tool_watch(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "json-lines",
		  .key = KEY_JSON_LINES,
		  .doc = "One JSON object a line, as status --json prints it" },
		{ .name = "interval",
		  .key = 'i',
		  .arg = "SECONDS",
		  .doc = "Between them; default: 1" },
		{ .name = "count",
		  .key = KEY_COUNT,
		  .arg = "N",
		  .doc = "So many, instead of no end" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_watch,
		.args_doc = "PID --json-lines",
		.doc = "Print the status of a process again and again, until it ends.\v" EXIT_TEXT
		       " When the process ends while it is watched: 0.",
	};
	struct arguments arguments = parse(&argp, argc, argv, 1);
	struct timespec next;

	int code = open_process(argv[0], arguments.pid);
	if (code != EXIT_OK)
		return code;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned long i = 0; arguments.count == 0 || i < arguments.count; i++) {
		if (i > 0)
			wait_until(&next, arguments.interval_s);
		/* Its end is what is waited for. */
		end_is_no_error = i > 0;
		code = ask(argv[0], PAGE_STATUS, NULL, &status);
		if (code != EXIT_OK)
			break;
		output_json(show_json(&client, &status, i > 0 ? &before : NULL), true);
		before = status;
		/* Nobody reads on; main() says so. */
		if (fflush(stdout) != 0)
			break;
	}
	if (end_is_no_error && code == EXIT_NO_PROCESS)
		code = EXIT_OK;
	client_close(&client);
	return code;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/run.c - hakmem run: start a program on the library
 *
 * Everything that can be found wrong is found before the program starts; after exec() there is only
 * the library's one line on stderr.
 */
#include "migrate/guard_setting.h"
#include "migrate/record_options.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_RECORD_OPTIONS 256

struct arguments {
	const char *plan, *plan_file, *guard, *library; /* NULL: not given */
	const char *record, *record_options;		/* the same */
	bool control;
	char **command; /* NULL-terminated, at least one */
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'p':
		arguments->plan = argument;
		return 0;
	case 'f':
		arguments->plan_file = argument;
		return 0;
	case 'c':
		arguments->control = true;
		return 0;
	case 'g':
		arguments->guard = argument;
		return 0;
	case 'r':
		arguments->record = argument;
		return 0;
	case KEY_RECORD_OPTIONS:
		arguments->record_options = argument;
		return 0;
	case 'l':
		arguments->library = argument;
		return 0;
	case ARGP_KEY_ARG:
		arguments->command = state->argv + state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which program?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Ours first, so that it is before any other malloc in symbol order; theirs behind it is then the
 * system that plans speak of. */
static bool preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *value;

	if (!others || !*others)
		return setenv("LD_PRELOAD", library, 1) == 0;
	if (asprintf(&value, "%s:%s", library, others) < 0)
		return false;
	bool done = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	return done;
}

/* The program may change its directory. What is named need not be there yet. */
static bool set_path(const char *name, const char *value)
{
	char path[PATH_MAX];

	if (value[0] == '/')
		return setenv(name, value, 1) == 0;
	size_t length = getcwd(path, sizeof(path)) ? strlen(path) : sizeof(path);
	errno = ENAMETOOLONG;
	if (length + strlen(value) + 2 > sizeof(path))
		return false;
	path[length] = '/';
	strcpy(path + length + 1, value);
	return setenv(name, path, 1) == 0;
}

/* What the library reads from the environment. */
static bool set_environment(const struct arguments *arguments)
{
	if (arguments->plan && setenv("HAKMEM_PLAN", arguments->plan, 1) != 0)
		return false;
	if (arguments->control && setenv("HAKMEM_CONTROL", "1", 1) != 0)
		return false;
	if (arguments->guard && setenv("HAKMEM_GUARD", arguments->guard, 1) != 0)
		return false;
	if (arguments->record_options &&
	    setenv("HAKMEM_RECORD_OPTIONS", arguments->record_options, 1) != 0)
		return false;
	if (arguments->record && !set_path("HAKMEM_RECORD", arguments->record))
		return false;
	return !arguments->plan_file || set_path("HAKMEM_PLAN_FILE", arguments->plan_file);
}

int tool_run(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "plan",
		  .key = 'p',
		  .arg = "PLAN",
		  .doc = "Which allocator serves which sizes; default: HAKMEM_PLAN, else "
			 "everything old" },
		{ .name = "plan-file",
		  .key = 'f',
		  .arg = "FILE",
		  .doc = "The same in a file, read again whenever it changes" },
		{ .name = "control",
		  .key = 'c',
		  .doc = "With a control page, so that this command finds and steers the process" },
		{ .name = "guard",
		  .key = 'g',
		  .arg = "GUARDS",
		  .doc = "What makes it roll back by itself: see `hakmem guard'" },
		{ .name = "record",
		  .key = 'r',
		  .arg = "DIR",
		  .doc = "Record what the program allocates, and all that it starts, each process "
			 "into a folder of its own in this one" },
		{ .name = "record-options",
		  .key = KEY_RECORD_OPTIONS,
		  .arg = "WORDS",
		  .doc = "What to record: \"share=1% by=thread classes=2k-8k ring\", see "
			 "docs/RECORD.md" },
		{ .name = "lib",
		  .key = 'l',
		  .arg = "FILE",
		  .doc = "The library to preload; default: HAKMEM_LIB, else the one this command "
			 "was built or installed with" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[--] PROGRAM [ARGUMENT...]",
		.doc = "Start PROGRAM with the hakmem library preloaded."
		       "\vThe exit status is PROGRAM's; 2 for a wrong command line or plan, 125 if "
		       "there is no library, 126 if PROGRAM cannot be executed, 127 if it cannot "
		       "be found.\n\nExample: hakmem run --plan 'tiny=next' -- redis-server",
	};
	struct arguments arguments = { .plan = NULL };
	const char *plan_text;
	char library[PATH_MAX], error[RECORD_ERROR_BYTES];
	struct record_options unused;
	struct plan plan;
	struct guard_setting guards;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	if (!tool_read_plan(argv[0], arguments.plan, &plan, &plan_text))
		return EXIT_USAGE;
	const char *problem = guard_read_setting(&guards, arguments.guard ? arguments.guard : "");
	if (problem) {
		tool_error(argv[0], "--guard: %s", problem);
		return EXIT_USAGE;
	}
	if (!record_options_parse(&unused, arguments.record_options ? arguments.record_options : "",
				  error)) {
		tool_error(argv[0], "--record-options: %s", error);
		return EXIT_USAGE;
	}
	if (!library_find(argv[0], arguments.library, library))
		return EXIT_NO_LIBRARY;
	if (!preload(library) || !set_environment(&arguments)) {
		tool_error(argv[0], "%s", strerror(errno));
		return EXIT_NO_LIBRARY;
	}
	target_check(argv[0], arguments.command[0]);
	execvp(arguments.command[0], arguments.command);
	int reason = errno;
	tool_error(argv[0], "%s: %s", arguments.command[0], strerror(reason));
	return reason == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_STARTED;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/record.c - hakmem record: start, stop, dump, status of a recording in a process */
#include "migrate/record_options.h"
#include "migrate/tool/client.h"
#include "migrate/tool/output.h"
#include "migrate/tool/tool.h"

#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum option_key {
	KEY_SHARE = 256,
	KEY_BY,
	KEY_CLASSES,
	KEY_BUFFER,
	KEY_MEMORY,
	KEY_DISK,
	KEY_RING,
	KEY_RAW,
};

struct arguments {
	enum page_operation operation;
	pid_t pid; /* 0: not given */
	const char *directory;
	bool json, verb_given, options_given;
	char options[RECORD_OPTIONS_BYTES];
};

/* As the process tells it. */
struct told {
	unsigned on, ring;
	unsigned long long events, lost, bytes, streams;
	const char *folder;
};

static void add_option(struct arguments *arguments, const char *name, const char *value,
		       struct argp_state *state)
{
	size_t used = strlen(arguments->options), room = sizeof(arguments->options) - used;
	int length = snprintf(arguments->options + used, room, "%s%s%s%s", used > 0 ? " " : "",
			      name, value ? "=" : "", value ? value : "");
	if (length < 0 || (size_t)length >= room || (value && strpbrk(value, " \t\n")))
		argp_error(state, "--%s: %s", name, value ? value : "too long");
	arguments->options_given = true;
}

static void read_verb(struct arguments *arguments, const char *word, struct argp_state *state)
{
	static const struct {
		const char *name;
		enum page_operation operation;
	} verbs[] = {
		{ "start", PAGE_RECORD_START },
		{ "stop", PAGE_RECORD_STOP },
		{ "dump", PAGE_RECORD_DUMP },
		{ "status", PAGE_RECORD_READ },
	};
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(word, verbs[i].name) == 0) {
			arguments->operation = verbs[i].operation;
			arguments->verb_given = true;
			return;
		}
	}
	argp_error(state, "start, stop, dump or status, not %s", word);
}

static void read_pid(struct arguments *arguments, const char *word, struct argp_state *state)
{
	char *end;
	errno = 0;
	long pid = strtol(word, &end, 10);
	if (errno || *end || end == word || pid <= 0 || pid > INT_MAX)
		argp_error(state, "no process id: %s", word);
	arguments->pid = (pid_t)pid;
}

static void check(struct arguments *arguments, struct argp_state *state)
{
	struct record_options unused;
	char error[RECORD_ERROR_BYTES];

	if (!arguments->verb_given)
		argp_error(state, "start, stop, dump or status?");
	if (arguments->pid == 0)
		argp_error(state, "which process?");
	bool start = arguments->operation == PAGE_RECORD_START;
	if (start && !arguments->directory)
		argp_error(state, "--dir: where to?");
	if (!start && (arguments->directory || arguments->options_given))
		argp_error(state, "this goes with start alone");
	if (!record_options_parse(&unused, arguments->options, error))
		argp_error(state, "%s", error);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	static const char *const names[] = {
		[KEY_SHARE - KEY_SHARE] = "share",     [KEY_BY - KEY_SHARE] = "by",
		[KEY_CLASSES - KEY_SHARE] = "classes", [KEY_BUFFER - KEY_SHARE] = "buffer",
		[KEY_MEMORY - KEY_SHARE] = "memory",   [KEY_DISK - KEY_SHARE] = "disk",
		[KEY_RING - KEY_SHARE] = "ring",       [KEY_RAW - KEY_SHARE] = "raw",
	};
	switch (key) {
	case 'd':
		arguments->directory = value;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case KEY_SHARE:
	case KEY_BY:
	case KEY_CLASSES:
	case KEY_BUFFER:
	case KEY_MEMORY:
	case KEY_DISK:
	case KEY_RING:
	case KEY_RAW:
		add_option(arguments, names[key - KEY_SHARE], value, state);
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->verb_given)
			read_verb(arguments, value, state);
		else if (arguments->pid == 0)
			read_pid(arguments, value, state);
		else
			argp_error(state, "nothing to do with: %s", value);
		return 0;
	case ARGP_KEY_END:
		check(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The process may have another working directory. */
static bool request_text(const struct arguments *arguments, char *text, size_t room)
{
	char here[PATH_MAX] = "";
	if (arguments->operation != PAGE_RECORD_START) {
		text[0] = '\0';
		return true;
	}
	bool absolute = arguments->directory[0] == '/';
	if (!absolute && !getcwd(here, sizeof(here)))
		return false;
	int length = snprintf(text, room, "%s\n%s%s%s", arguments->options, here,
			      absolute ? "" : "/", arguments->directory);
	errno = ENAMETOOLONG;
	return length > 0 && (size_t)length < room;
}

/* The answer's text is the process's: whatever it says is looked at and not believed. */
static bool read_answer(char *text, struct told *told)
{
	int at = -1;
	output_make_safe(text);
	if (sscanf(text, "%u %u %llu %llu %llu %llu %n", &told->on, &told->ring, &told->events,
		   &told->lost, &told->bytes, &told->streams, &at) < 6 ||
	    at < 0)
		return false;
	told->folder = text + at;
	return true;
}

static void show(const struct arguments *arguments, const struct told *told)
{
	if (arguments->json) {
		struct json_object *root = json_object_new_object();
		json_object_object_add(root, "on", json_object_new_boolean(told->on != 0));
		json_object_object_add(root, "ring", json_object_new_boolean(told->ring != 0));
		json_object_object_add(root, "events",
				       json_object_new_int64((int64_t)told->events));
		json_object_object_add(root, "lost", json_object_new_int64((int64_t)told->lost));
		json_object_object_add(root, "bytes", json_object_new_int64((int64_t)told->bytes));
		json_object_object_add(root, "streams",
				       json_object_new_int64((int64_t)told->streams));
		json_object_object_add(root, "folder", json_object_new_string(told->folder));
		output_json(root, false);
		return;
	}
	if (arguments->operation == PAGE_RECORD_START) {
		printf("recording%s%s\n", told->folder[0] ? " into " : " into memory",
		       told->folder);
		return;
	}
	if (!told->folder[0]) {
		printf("%s\n", told->on ? "a flight recorder is on" : "nothing is recorded");
		return;
	}
	printf("%s: %llu events of %llu threads, %llu bytes, %llu lost%s\n", told->folder,
	       told->events, told->streams, told->bytes, told->lost,
	       told->on && !told->ring ? "; recording" : "");
}

int tool_record(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "dir",
		  .key = 'd',
		  .arg = "DIR",
		  .doc = "start: make the trace's folder in this one" },
		{ .name = "share",
		  .key = KEY_SHARE,
		  .arg = "PERCENT%",
		  .doc = "Only this share of the blocks" },
		{ .name = "by",
		  .key = KEY_BY,
		  .arg = "block|thread",
		  .doc = "What the share is of; default: blocks" },
		{ .name = "classes",
		  .key = KEY_CLASSES,
		  .arg = "CLASSES",
		  .doc = "Only these classes, named as in plans: 2k-8k,mid" },
		{ .name = "buffer",
		  .key = KEY_BUFFER,
		  .arg = "SIZE",
		  .doc = "Memory for each thread; default 1m" },
		{ .name = "memory",
		  .key = KEY_MEMORY,
		  .arg = "SIZE",
		  .doc = "Memory for all threads; default 64m" },
		{ .name = "disk",
		  .key = KEY_DISK,
		  .arg = "SIZE",
		  .doc = "Of all files; default 4g" },
		{ .name = "ring",
		  .key = KEY_RING,
		  .doc = "A flight recorder: write nothing but by dump, or when a class is rolled "
			 "back" },
		{ .name = "raw", .key = KEY_RAW, .doc = "Addresses as they are, not ids" },
		{ .name = "json", .key = 'j', .doc = "Print JSON" },
		{ .name = NULL },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "start PID --dir DIR\nstop PID\ndump PID\nstatus PID",
		.doc = "Record what a process allocates and frees, as a trace that babeltrace2 "
		       "reads."
		       "\vExit status: 0; 1 if writing fails; 2 for a wrong command line; 3 if there "
		       "is no such process or it has no control page; 4 if it refuses; 5 if it does "
		       "not answer.\n\nExample: hakmem record start 4711 --dir /tmp/traces --share 1%",
	};
	static struct client client;
	static struct page_answer answer;
	struct arguments arguments = { .pid = 0 };
	char error[CLIENT_ERROR_BYTES], text[PLAN_TEXT_MAX];
	struct told told;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!request_text(&arguments, text, sizeof(text))) {
		tool_error(argv[0], "%s: %s", arguments.directory, strerror(errno));
		return EXIT_FAILED;
	}
	if (!client_open(&client, arguments.pid, error)) {
		tool_error(argv[0], "%s", error);
		return EXIT_NO_PROCESS;
	}
	bool answered = client_ask(&client, arguments.operation, text, &answer, NULL, error);
	client_close(&client);
	if (!answered) {
		tool_error(argv[0], "%s", error);
		return EXIT_NO_ANSWER;
	}
	if (answer.result != PAGE_APPLIED) {
		output_make_safe(answer.text);
		tool_error(argv[0], "%d refuses: %s", (int)arguments.pid, answer.text);
		return EXIT_REFUSED;
	}
	if (!read_answer(answer.text, &told)) {
		tool_error(argv[0], "%d answers what is no answer", (int)arguments.pid);
		return EXIT_NO_ANSWER;
	}
	show(&arguments, &told);
	return EXIT_OK;
}

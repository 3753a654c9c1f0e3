/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/prepare.c - from the name of a trace to programs in files; see prepare.h */
#include "migrate/tool/replay/prepare.h"

#include "migrate/tool/replay/engine.h"
#include "migrate/tool/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the command line --------------------------------------------------------------------------- */

#define THREADS_MOST 4096

enum { KEY_FORMAT = 256, KEY_PROCESS, KEY_THREADS, KEY_PACE };

static const struct argp_option source_options[] = {
	{ .name = "format",
	  .key = KEY_FORMAT,
	  .arg = "FORMAT",
	  .doc = "memory_replay, mtrace or logalloc; default: what it looks like" },
	{ .name = "process",
	  .key = KEY_PROCESS,
	  .arg = "PID",
	  .doc = "Of a trace of several processes, this one's part; default: the first" },
	{ .name = NULL },
};

static const struct argp_option manner_options[] = {
	{ .name = "threads",
	  .key = KEY_THREADS,
	  .arg = "N",
	  .doc = "Let N threads do what the trace's own did" },
	{ .name = "pace", .key = KEY_PACE, .doc = "Not as fast as possible, but as it was recorded" },
	{ .name = "lib", .key = 'l', .arg = "FILE", .doc = "The hakmem library, as for hakmem run" },
	{ .name = NULL },
};

unsigned prepare_number(struct argp_state *state, const char *option, const char *text,
			unsigned most)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < 1 || value > most)
		argp_error(state, "%s: expected a number from 1 to %u", option, most);
	return (unsigned)value;
}

static error_t parse_source(int key, char *argument, struct argp_state *state)
{
	struct prepare_source *source = state->input;

	switch (key) {
	case KEY_FORMAT:
		source->format = argument;
		return 0;
	case KEY_PROCESS:
		source->process = prepare_number(state, "--process", argument, UINT32_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_trace(int key, char *argument, struct argp_state *state)
{
	struct prepare_source *source = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (source->path)
			argp_error(state, "one trace at a time");
		source->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!source->path)
			argp_error(state, "which trace?");
		return 0;
	default:
		return parse_source(key, argument, state);
	}
}

static error_t parse_manner(int key, char *argument, struct argp_state *state)
{
	struct prepare_manner *manner = state->input;

	switch (key) {
	case KEY_THREADS:
		manner->threads = prepare_number(state, "--threads", argument, THREADS_MOST);
		return 0;
	case KEY_PACE:
		manner->pace = true;
		return 0;
	case 'l':
		manner->library = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp prepare_traces_argp = { .options = source_options, .parser = parse_source };
const struct argp prepare_trace_argp = { .options = source_options, .parser = parse_trace };
const struct argp prepare_manner_argp = { .options = manner_options, .parser = parse_manner };

/* --- reading ------------------------------------------------------------------------------------ */

struct trace_reader *prepare_open(const char *name, const struct prepare_source *source)
{
	struct trace_error error;
	struct trace_reader *reader = trace_open(source->path, source->format, &error);

	if (!reader)
		tool_error(name, "%s", error.text);
	else
		trace_only_process(reader, source->process);
	return reader;
}

static void say_wrong(const char *name, const struct prepare_source *source,
		      const struct trace_error *error)
{
	tool_error(name, "%s: %s", source->path, error->text);
}

bool prepare_scan(const char *name, const struct prepare_source *source, struct compile_scan *scan)
{
	struct trace_error error;

	if (strcmp(source->path, "-") == 0) {
		tool_error(name, "standard input cannot be read twice: `hakmem trace import' it "
				 "first");
		return false;
	}
	struct trace_reader *reader = prepare_open(name, source);
	if (!reader)
		return false;
	bool done = compile_scan(scan, reader, &error);
	trace_close(reader);
	if (!done)
		say_wrong(name, source, &error);
	return done;
}

static bool feed_all(struct compiler **compilers, size_t count, struct trace_reader *reader,
		     struct trace_error *error)
{
	struct track_operation operation;
	enum trace_status status;
	struct track track;

	track_open(&track, reader);
	while ((status = track_next(&track, &operation, error)) == TRACE_OK) {
		for (size_t i = 0; i < count && status == TRACE_OK; i++)
			if (!compile_feed(compilers[i], &track, &operation, error))
				status = TRACE_WRONG;
		if (status != TRACE_OK || engine_is_interrupted())
			break;
	}
	track_close(&track);
	return status == TRACE_END;
}

bool prepare_compile(const char *name, const struct prepare_source *source,
		     const struct compile_scan *scan, struct prepare_program *programs, size_t count)
{
	struct trace_reader *reader = prepare_open(name, source);
	struct compiler **compilers = calloc(count + 1, sizeof(*compilers));
	struct trace_error error = { "not enough memory" };
	bool fine = reader && compilers;
	size_t begun = 0;

	for (; fine && begun < count; begun++) {
		compilers[begun] = compile_begin(programs[begun].fd, scan, &programs[begun].options,
						 &error);
		fine = compilers[begun] != NULL;
	}
	fine = fine && feed_all(compilers, count, reader, &error);
	for (size_t i = 0; i < begun; i++)
		if (compilers[i] && !compile_end(compilers[i], fine ? &programs[i].header : NULL, &error))
			fine = false;
	if (!fine && reader && !engine_is_interrupted())
		say_wrong(name, source, &error);
	free(compilers);
	trace_close(reader);
	return fine;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/prepare.c - from the name of a trace to programs in files; see prepare.h */
#include "migrate/tool/replay/prepare.h"

#include "migrate/tool/replay/engine.h"
#include "migrate/tool/tool.h"

#include <stdlib.h>
#include <string.h>

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

/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/import.c - hakmem trace import: other tools' traces into our own format, docs/TRACE.md
 *
 * Every command reads every format; but ours is read several times as fast, in pieces, and by all that knows CTF.
 */
#include "migrate/tool/replay/prepare.h"
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/command.h"
#include "migrate/tool/trace/ctf.h"
#include "migrate/tool/trace/progress.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct arguments {
	struct prepare_source source;
	const char *out;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'o':
		arguments->out = argument;
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->source;
		return 0;
	case ARGP_KEY_SUCCESS:
		if (!arguments->out && strcmp(arguments->source.path, "-") == 0)
			argp_error(state, "of standard input, --output has to say where to");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool copy(struct trace_reader *reader, struct ctf_writer *writer, uint64_t *events,
		 struct trace_error *error)
{
	struct trace_event event;
	enum trace_status status;
	uint64_t done, all;

	while ((status = trace_next(reader, &event, error)) == TRACE_OK) {
		if (!ctf_write(writer, &event, error))
			return false;
		if ((++*events & 0xffff) == 0) {
			trace_progress(reader, &done, &all);
			progress_show("importing", done, all);
		}
	}
	return status == TRACE_END;
}

/* What was written before a file turned out to be damaged is kept, and is a trace. */
static int import(const char *name, const struct arguments *arguments, struct trace_reader *reader,
		  const char *out)
{
	const struct trace_traits *traits = trace_traits(reader);
	struct trace_error error, late;
	uint64_t events = 0;

	if (strcmp(traits->format, "hakmem") == 0) {
		tool_error(name, "%s: is in our format already", arguments->source.path);
		return EXIT_USAGE;
	}
	struct ctf_writer *writer = ctf_create(out, traits->format, traits->process, &error);
	if (!writer) {
		tool_error(name, "%s: %s", out, error.text);
		return EXIT_FAILED;
	}
	bool fine = copy(reader, writer, &events, &error);
	progress_end();
	if (!fine)
		tool_error(name, "%s: %s", arguments->source.path, error.text);
	if (!ctf_finish(writer, traits->discarded, &late)) {
		tool_error(name, "%s: %s", out, late.text);
		return EXIT_FAILED;
	}
	printf("%s: %" PRIu64 " events from %s\n", out, events, traits->title);
	if (traits->other_processes)
		tool_warning(name, "%" PRIu64 " events of other processes than %" PRIu64
				   " were left out (see --process)",
			     traits->other_processes, traits->process);
	if (!fine)
		tool_warning(name, "what stands before that is in %s", out);
	return fine ? EXIT_OK : EXIT_FAILED;
}

int trace_import(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "output",
		  .key = 'o',
		  .arg = "DIR",
		  .doc = "The folder to write; default: the file's name with .hakmem behind it" },
		{ .name = NULL },
	};
	static const struct argp_child children[] = { { .argp = &prepare_trace_argp }, { .argp = NULL } };
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "TRACE",
		.doc = "Convert a trace into hakmem's own format, which is read faster: Android "
		       "memory_replay text, glibc mtrace, Firefox logalloc, or CTF of another tracer "
		       "such as LTTng-UST's libc wrapper."
		       "\vTRACE may be - for standard input.",
	};
	struct arguments arguments = { .out = NULL };
	char *out = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	struct trace_reader *reader = prepare_open(argv[0], &arguments.source);
	if (!reader)
		return EXIT_FAILED;
	if (!arguments.out && asprintf(&out, "%s.hakmem", arguments.source.path) < 0)
		return EXIT_FAILED;
	int code = import(argv[0], &arguments, reader, out ? out : arguments.out);
	free(out);
	trace_close(reader);
	return code;
}

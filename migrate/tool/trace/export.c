/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/export.c - hakmem trace export: a trace as the text of Android's memory_replay
 *
 * What is written makes sense whatever the trace was like: it is what track.h gives. Pointers are numbers of blocks,
 * times 16, so none is ever used twice and no address leaves the house.
 */
#include "migrate/tool/replay/prepare.h"
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/command.h"
#include "migrate/tool/trace/track.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static uint64_t pointer_of(const struct track_block *block)
{
	return (block->number + 1) * 16;
}

static void put_operation(FILE *out, const struct track_operation *operation)
{
	const struct track_block *block = &operation->block, *old = &operation->given_back;

	switch (operation->kind) {
	case TRACK_ALLOCATE:
		if (operation->zeroed)
			fprintf(out, "calloc 0x%" PRIx64 " %" PRIu64 " %" PRIu64, pointer_of(block),
				operation->count,
				operation->count ? block->bytes / operation->count : 0);
		else if (block->alignment)
			fprintf(out, "memalign 0x%" PRIx64 " %" PRIu64 " %" PRIu64,
				pointer_of(block), block->alignment, block->bytes);
		else
			fprintf(out, "malloc 0x%" PRIx64 " %" PRIu64, pointer_of(block),
				block->bytes);
		break;
	case TRACK_REALLOCATE:
		fprintf(out, "realloc 0x%" PRIx64 " 0x%" PRIx64 " %" PRIu64, pointer_of(block),
			pointer_of(old), block->bytes);
		break;
	case TRACK_FREE:
		fprintf(out, "free 0x%" PRIx64, pointer_of(old));
		break;
	case TRACK_FREE_NULL:
		fputs("free 0x0", out);
		break;
	case TRACK_THREAD_END:
		fputs("thread_done 0x0", out);
		break;
	}
}

static void put_times(FILE *out, const struct track_operation *operation)
{
	uint64_t took = operation->duration_ns == TRACE_UNKNOWN ? 0 : operation->duration_ns;

	fprintf(out, " %" PRIu64, operation->time_ns);
	if (operation->kind == TRACK_THREAD_END)
		return;
	fprintf(out, " %" PRIu64, operation->time_ns + took);
	if ((operation->kind == TRACK_FREE || operation->kind == TRACK_REALLOCATE) &&
	    operation->present_bytes != TRACE_UNKNOWN)
		fprintf(out, " %" PRIu64, operation->present_bytes);
}

static int export(const char *name, const struct arguments *arguments, struct trace_reader *reader,
		  FILE *out)
{
	struct track_operation operation;
	struct trace_error error;
	enum trace_status status;
	struct track track;

	track_open(&track, reader);
	while ((status = track_next(&track, &operation, &error)) == TRACE_OK && !ferror(out)) {
		fprintf(out, "%" PRIu64 ": ", track.threads[operation.thread].name);
		put_operation(out, &operation);
		if (trace_traits(reader)->has_times)
			put_times(out, &operation);
		putc('\n', out);
	}
	track_close(&track);
	if (status == TRACE_WRONG)
		tool_error(name, "%s: %s", arguments->source.path, error.text);
	return status == TRACE_END ? EXIT_OK : EXIT_FAILED;
}

int trace_export(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "output",
		  .key = 'o',
		  .arg = "FILE",
		  .doc = "Where to; default: standard output" },
		{ .name = NULL },
	};
	static const struct argp_child children[] = { { .argp = &prepare_trace_argp }, { .argp = NULL } };
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "TRACE",
		.doc = "Write a trace as the text that Android's memory_replay reads."
		       "\vPointers are the numbers of the blocks, times 16.",
	};
	struct arguments arguments = { .out = NULL };

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	struct trace_reader *reader = prepare_open(argv[0], &arguments.source);
	if (!reader)
		return EXIT_FAILED;
	FILE *out = arguments.out ? fopen(arguments.out, "we") : stdout;
	int code = EXIT_FAILED;
	if (out)
		code = export(argv[0], &arguments, reader, out);
	else
		tool_error(argv[0], "%s: %s", arguments.out, strerror(errno));
	if (out && (fflush(out) != 0 || ferror(out)) && code == EXIT_OK) {
		tool_error(argv[0], "%s: %s", arguments.out ? arguments.out : "standard output",
			   strerror(errno));
		code = EXIT_FAILED;
	}
	if (arguments.out && out)
		(void)fclose(out);
	trace_close(reader);
	return code;
}

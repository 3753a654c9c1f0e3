/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/info.c - hakmem trace info: what is in a trace */
#include "migrate/tool/trace/info.h"

#include "migrate/tool/replay/prepare.h"
#include "migrate/tool/tool.h"
#include "migrate/tool/trace/command.h"
#include "migrate/tool/trace/progress.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
	struct prepare_source source;
	const char *picture;
	bool json;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'p':
		arguments->picture = argument;
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->source;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- counting ----------------------------------------------------------------------------------- */

static void count_in(struct info *info, unsigned class, const struct track_block *block)
{
	struct info_class *one = &info->class[class];

	one->allocations++;
	one->bytes += block->bytes;
	one->live_blocks++;
	one->live_bytes += block->bytes;
	if (one->live_bytes > one->peak_bytes)
		one->peak_bytes = one->live_bytes;
}

static void count_out(struct info *info, unsigned class, const struct track_operation *operation)
{
	const struct track_block *block = &operation->given_back;
	struct info_class *one = &info->class[class];
	uint64_t life = info->traits.has_times ? operation->time_ns - block->time_ns :
						 operation->number - block->operation;

	one->freed++;
	one->freed_by_others += block->thread != operation->thread;
	one->live_blocks--;
	one->live_bytes -= block->bytes;
	one->lifetime[info_bucket(life)]++;
}

static void note_peak(struct info *info, const struct track_operation *operation)
{
	const struct info_class *all = &info->class[INFO_ALL];

	if (all->live_bytes <= info->peak_bytes)
		return;
	info->peak_bytes = all->live_bytes;
	info->peak_blocks = all->live_blocks;
	info->peak_ns = operation->time_ns;
	info->peak_operation = operation->number;
}

/* When the samples are too many every other one goes, and they come half as often. */
static void take_sample(struct info *info, const struct track_operation *operation)
{
	if (operation->number % info->sample_every != 0)
		return;
	if (info->samples == INFO_SAMPLES) {
		for (unsigned i = 0; i < INFO_SAMPLES / 2; i++)
			info->sample[i] = info->sample[2 * i];
		info->samples = INFO_SAMPLES / 2;
		info->sample_every *= 2;
		if (operation->number % info->sample_every != 0)
			return;
	}
	info->sample[info->samples++] = (struct info_sample){
		.time_ns = operation->time_ns,
		.operation = operation->number,
		.live_bytes = info->class[INFO_ALL].live_bytes,
		.live_blocks = info->class[INFO_ALL].live_blocks,
	};
}

static void count(struct info *info, const struct track_operation *operation)
{
	bool takes = operation->kind == TRACK_ALLOCATE || operation->kind == TRACK_REALLOCATE;

	info->supplied += operation->supplied;
	if (takes)
		info->served[operation->served]++;
	else if (operation->kind == TRACK_FREE)
		info->freed_of[operation->served]++;
	if (operation->kind == TRACK_FREE || operation->kind == TRACK_REALLOCATE) {
		count_out(info, next_class_of(operation->given_back.bytes), operation);
		count_out(info, INFO_ALL, operation);
	}
	if (takes) {
		info->callocs += operation->zeroed;
		info->memaligns += operation->block.alignment != 0;
		count_in(info, next_class_of(operation->block.bytes), &operation->block);
		count_in(info, INFO_ALL, &operation->block);
		note_peak(info, operation);
	}
	take_sample(info, operation);
}

/* The classes as they were at the peak are known only once the peak is: they are counted in a second pass. */
static enum trace_status count_peak(struct info *info, const struct prepare_source *source,
				    struct trace_error *error)
{
	struct trace_reader *reader = trace_open(source->path, source->format, error);
	struct track_operation operation;
	enum trace_status status = TRACE_WRONG;
	struct track track;

	if (!reader)
		return TRACE_WRONG;
	trace_only_process(reader, source->process);
	track_open(&track, reader);
	while ((status = track_next(&track, &operation, error)) == TRACE_OK) {
		if (operation.kind == TRACK_FREE || operation.kind == TRACK_REALLOCATE) {
			struct info_class *class =
				&info->class[next_class_of(operation.given_back.bytes)];
			class->at_peak_blocks--;
			class->at_peak_bytes -= operation.given_back.bytes;
		}
		if (operation.kind == TRACK_ALLOCATE || operation.kind == TRACK_REALLOCATE) {
			struct info_class *class = &info->class[next_class_of(operation.block.bytes)];
			class->at_peak_blocks++;
			class->at_peak_bytes += operation.block.bytes;
		}
		if (operation.number >= info->peak_operation) {
			status = TRACE_END;
			break;
		}
	}
	track_close(&track);
	trace_close(reader);
	return status;
}

static enum trace_status read_all(struct info *info, struct trace_reader *reader,
				  struct trace_error *error)
{
	struct track_operation operation;
	enum trace_status status;
	struct track track;
	size_t running = 0, seen = 0;
	uint64_t done, all;

	track_open(&track, reader);
	info->sample_every = 1;
	while ((status = track_next(&track, &operation, error)) == TRACE_OK) {
		info->traits = *trace_traits(reader);
		running += track.thread_count - seen;
		seen = track.thread_count;
		if (running > info->most_threads)
			info->most_threads = running;
		if (operation.kind == TRACK_THREAD_END)
			running--;
		count(info, &operation);
		if ((operation.number & 0xffff) == 0) {
			trace_progress(reader, &done, &all);
			progress_show("reading", done, all);
		}
	}
	progress_end();
	info->traits = *trace_traits(reader);
	info->counts = track.counts;
	info->span_ns = track.last_ns;
	info->threads = track.thread_count;
	info->each = track.threads;
	track.threads = NULL;
	track_close(&track);
	return status;
}

double info_lifetime(const struct info_class *class, double percent)
{
	double before = 0, want = (double)class->freed * percent / 100;

	for (unsigned i = 0; class->freed && i < INFO_BUCKETS; i++) {
		before += (double)class->lifetime[i];
		if (before >= want && class->lifetime[i])
			return info_bucket_value(i);
	}
	return NAN;
}

struct info *info_read(const char *name, const struct prepare_source *source)
{
	struct trace_reader *reader = prepare_open(name, source);
	struct info *info = reader ? calloc(1, sizeof(*info)) : NULL;
	struct trace_error error;

	if (!info) {
		trace_close(reader);
		return NULL;
	}
	info->path = source->path;
	enum trace_status status = read_all(info, reader, &error);
	trace_close(reader);
	if (status == TRACE_END && strcmp(source->path, "-") != 0)
		status = count_peak(info, source, &error);
	if (status == TRACE_END)
		return info;
	tool_error(name, "%s: %s", source->path, error.text);
	info_free(info);
	return NULL;
}

void info_free(struct info *info)
{
	if (info)
		free(info->each);
	free(info);
}

static int show(const char *name, const struct arguments *arguments, struct info *info)
{
	if (arguments->json)
		info_json(info);
	else
		info_text(info);
	if (arguments->picture && !info_picture(name, info, arguments->picture))
		return EXIT_FAILED;
	return EXIT_OK;
}

int trace_info(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "json", .key = 'j', .doc = "Print one JSON object" },
		{ .name = "picture",
		  .key = 'p',
		  .arg = "FILE.svg",
		  .doc = "Draw sizes, lifetimes and live bytes over time (needs gnuplot)" },
		{ .name = NULL },
	};
	static const struct argp_child children[] = { { .argp = &prepare_trace_argp }, { .argp = NULL } };
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "TRACE",
		.doc = "Show what is in a trace: threads, operations, sizes, lifetimes, what lives "
		       "when, and what was lost.",
	};
	struct arguments arguments = { .json = false };

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	struct info *info = info_read(argv[0], &arguments.source);
	int code = info ? show(argv[0], &arguments, info) : EXIT_FAILED;
	info_free(info);
	return code;
}

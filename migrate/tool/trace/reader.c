/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/reader.c - which format a trace is in, and its events; see reader.h */
#include "migrate/tool/trace/ctf.h"
#include "migrate/tool/trace/format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct trace_format *const text_formats[] = {
	&trace_android,
	&trace_mtrace,
	&trace_logalloc,
};
#define TEXT_FORMATS (sizeof(text_formats) / sizeof(text_formats[0]))

const char *const trace_format_names[] = { "memory_replay", "mtrace", "logalloc", NULL };

/* A folder: ours, or another's if there is a library that reads it. */
static struct trace_reader *open_folder(const char *path, struct trace_error *error)
{
	char found[PATH_MAX]; /* where in the folder the trace is */
	bool foreign;
	struct trace_reader *reader = ctf_open(path, found, &foreign, error);

	if (!foreign)
		return reader;
#if HAVE_BABELTRACE
	return trace_open_babeltrace(found, error);
#else
	trace_error_set(error, "is CTF of another tracer: this command was built without "
			       "libbabeltrace2, which reads it");
	return NULL;
#endif
}

static const struct trace_format *find_format(const char *name)
{
	for (size_t i = 0; i < TEXT_FORMATS; i++)
		if (strcmp(text_formats[i]->name, name) == 0)
			return text_formats[i];
	return NULL;
}

/* From the first line that is not empty. */
static const struct trace_format *detect(struct source *source, struct trace_error *error)
{
	char line[SOURCE_LINE_MAX + 1];
	const char *bytes;
	size_t length;

	if (!source_peek(source, SOURCE_LINE_MAX, &bytes, &length, error))
		return NULL;
	const char *end = bytes + length;
	while (bytes < end && (*bytes == '\n' || *bytes == '\r'))
		bytes++;
	if (bytes == end) {
		trace_error_set(error, "there is nothing in it");
		return NULL;
	}
	if (end - bytes >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
		trace_error_set(error, "is a zip archive: unpack it first, as in `unzip -p FILE | "
				       "hakmem trace import - -o OUT'");
		return NULL;
	}
	const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
	length = (size_t)((newline ? newline : end) - bytes);
	if (length > SOURCE_LINE_MAX)
		length = SOURCE_LINE_MAX;
	memcpy(line, bytes, length);
	if (length && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	for (size_t i = 0; i < TEXT_FORMATS; i++)
		if (text_formats[i]->recognises((struct cursor){ line, line + length }))
			return text_formats[i];
	trace_error_set(error, "line 1: in no format that is known here");
	return NULL;
}

static enum trace_status next_of_text(struct trace_reader *reader, struct trace_event *event,
				      struct trace_error *error)
{
	const char *line, *why = "";
	size_t length;

	for (;;) {
		enum trace_status status = source_line(&reader->source, &line, &length, error);
		if (status != TRACE_OK)
			return status;
		status = reader->format->parse(reader, (struct cursor){ line, line + length }, event,
					       &why);
		if (status == TRACE_END)
			continue;
		if (status == TRACE_OK && event->kind != TRACE_THREAD_END &&
		    (event->bytes >= TRACE_BYTES_LIMIT || event->alignment >= TRACE_BYTES_LIMIT)) {
			why = "a size that no machine has";
			status = event->address ? TRACE_WRONG : TRACE_OK;
		}
		if (status == TRACE_WRONG)
			trace_error_set(error, "line %llu: %s",
					(unsigned long long)reader->source.line, why);
		return status;
	}
}

static void text_progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all)
{
	*done = reader->source.read_bytes;
	*all = (uint64_t)reader->source.file_bytes;
}

static bool begin_text(struct trace_reader *reader, const char *format, struct trace_error *error)
{
	reader->format = format ? find_format(format) : detect(&reader->source, error);
	if (!reader->format) {
		if (format)
			trace_error_set(error, "there is no text format '%s'", format);
		return false;
	}
	reader->next = next_of_text;
	reader->progress = text_progress;
	reader->traits.format = reader->format->name;
	reader->traits.title = reader->format->title;
	reader->traits.has_threads = reader->format->has_threads;
	return true;
}

struct trace_reader *trace_open(const char *path, const char *format, struct trace_error *error)
{
	struct trace_reader *reader;
	struct trace_error inner;
	struct stat stat_of;

	if (strcmp(path, "-") != 0 && stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
		reader = open_folder(path, &inner);
		if (!reader)
			trace_error_set(error, "%s: %s", path, inner.text);
		return reader;
	}
	reader = calloc(1, sizeof(*reader));
	if (!reader) {
		trace_error_set(error, "%s", strerror(errno));
		return NULL;
	}
	reader->source.fd = -1;
	if (!source_open(&reader->source, path, &inner) || !begin_text(reader, format, &inner)) {
		trace_error_set(error, "%s: %s", path, inner.text);
		trace_close(reader);
		return NULL;
	}
	return reader;
}

struct trace_reader *trace_open_memory(const void *data, size_t bytes, const char *format,
				       struct trace_error *error)
{
	if (format && strcmp(format, "hakmem") == 0)
		return ctf_open_memory(data, bytes, error);
	struct trace_reader *reader = calloc(1, sizeof(*reader));

	if (!reader || !source_open_memory(&reader->source, data, bytes)) {
		trace_error_set(error, "%s", strerror(ENOMEM));
		free(reader);
		return NULL;
	}
	if (!begin_text(reader, format, error)) {
		trace_close(reader);
		return NULL;
	}
	return reader;
}

void trace_close(struct trace_reader *reader)
{
	if (!reader)
		return;
	if (reader->close)
		reader->close(reader);
	source_close(&reader->source);
	free(reader);
}

enum trace_status trace_next(struct trace_reader *reader, struct trace_event *event,
			     struct trace_error *error)
{
	enum trace_status status = reader->next(reader, event, error);
	if (status == TRACE_OK && event->time_ns != TRACE_UNKNOWN)
		reader->traits.has_times = true;
	return status;
}

const struct trace_traits *trace_traits(const struct trace_reader *reader)
{
	return &reader->traits;
}

void trace_progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all)
{
	reader->progress(reader, done, all);
}

void trace_only_process(struct trace_reader *reader, uint64_t process)
{
	reader->only_process = process;
}

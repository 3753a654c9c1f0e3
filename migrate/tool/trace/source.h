/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/source.h - the lines of a file, a pipe or a piece of memory */
#ifndef TRACE_SOURCE_H
#define TRACE_SOURCE_H

#include "migrate/tool/trace/event.h"

#include <sys/types.h>

/* No format has longer lines; mtrace's hold the path of a library. */
#define SOURCE_LINE_MAX 8192

struct source {
	int fd; /* -1: all is in the buffer already */
	char *buffer;
	size_t start, end, room; /* unread bytes of the buffer; its size */
	uint64_t line;		 /* of the line that source_line() gave last, from 1 */
	off_t file_bytes;	 /* of a regular file, else 0 */
	uint64_t read_bytes;
};

/* Opens a file, "-" for standard input. False: *error says why. */
MUST_USE bool source_open(struct source *source, const char *path, struct trace_error *error);

/* A copy of the bytes. False without memory. */
MUST_USE bool source_open_memory(struct source *source, const void *data, size_t bytes);
void source_close(struct source *source);

/* The bytes that come first, at least `want` of them unless the source ends before. Only before the first line. */
MUST_USE bool source_peek(struct source *source, size_t want, const char **bytes, size_t *length,
			  struct trace_error *error);

/* The next line, without its end and with a NUL behind it; valid until the next call. Lines may end in "\r\n", and
 * the last one need not end at all. */
MUST_USE enum trace_status source_line(struct source *source, const char **line, size_t *length,
				       struct trace_error *error);

#endif

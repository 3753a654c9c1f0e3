/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/source.c - the lines of a file, a pipe or a piece of memory; see source.h */
#include "migrate/tool/trace/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (256 * KIB)
_Static_assert(ROOM > 2 * SOURCE_LINE_MAX, "a line fits");

void trace_error_set(struct trace_error *error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	for (char *at = error->text; *at; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '?';
}

bool source_open(struct source *source, const char *path, struct trace_error *error)
{
	struct stat stat;

	*source = (struct source){ .fd = -1 };
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		trace_error_set(error, "%s", strerror(errno));
		return false;
	}
	source->buffer = malloc(ROOM + 1); /* and a NUL behind the last line */
	if (!source->buffer || fstat(fd, &stat) != 0) {
		trace_error_set(error, "%s", strerror(errno));
		close(fd);
		free(source->buffer);
		return false;
	}
	source->fd = fd;
	source->room = ROOM;
	source->file_bytes = S_ISREG(stat.st_mode) ? stat.st_size : 0;
	return true;
}

bool source_open_memory(struct source *source, const void *data, size_t bytes)
{
	*source = (struct source){ .fd = -1, .buffer = malloc(bytes + 1), .end = bytes };
	if (!source->buffer)
		return false;
	if (bytes)
		memcpy(source->buffer, data, bytes);
	source->room = bytes;
	source->read_bytes = bytes;
	return true;
}

void source_close(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	free(source->buffer);
	*source = (struct source){ .fd = -1 };
}

/* One more read behind what is unread. False on an error; at the end of the file the descriptor is closed. */
static bool fill(struct source *source, struct trace_error *error)
{
	if (source->start > 0) {
		memmove(source->buffer, source->buffer + source->start, source->end - source->start);
		source->end -= source->start;
		source->start = 0;
	}
	ssize_t got;
	do
		got = read(source->fd, source->buffer + source->end, source->room - source->end);
	while (got < 0 && errno == EINTR);
	if (got < 0) {
		trace_error_set(error, "cannot be read: %s", strerror(errno));
		return false;
	}
	if (got == 0) {
		close(source->fd);
		source->fd = -1;
	}
	source->end += (size_t)got;
	source->read_bytes += (uint64_t)got;
	return true;
}

bool source_peek(struct source *source, size_t want, const char **bytes, size_t *length,
		 struct trace_error *error)
{
	while (source->fd >= 0 && source->end - source->start < want)
		if (!fill(source, error))
			return false;
	*bytes = source->buffer + source->start;
	*length = source->end - source->start;
	return true;
}

enum trace_status source_line(struct source *source, const char **line, size_t *length,
			      struct trace_error *error)
{
	char *newline;

	for (;;) {
		size_t unread = source->end - source->start;
		newline = unread ? memchr(source->buffer + source->start, '\n', unread) : NULL;
		size_t found = newline ? (size_t)(newline - source->buffer) - source->start : unread;
		if (found > SOURCE_LINE_MAX) {
			trace_error_set(error, "line %llu: longer than %d bytes",
					(unsigned long long)source->line + 1, SOURCE_LINE_MAX);
			return TRACE_WRONG;
		}
		if (newline || source->fd < 0)
			break;
		if (!fill(source, error))
			return TRACE_WRONG;
	}
	if (!newline && source->start == source->end)
		return TRACE_END;
	char *begin = source->buffer + source->start;
	char *end = newline ? newline : source->buffer + source->end;
	source->start = newline ? (size_t)(newline - source->buffer) + 1 : source->end;
	if (end > begin && end[-1] == '\r')
		end--;
	*end = '\0';
	source->line++;
	*line = begin;
	*length = (size_t)(end - begin);
	return TRACE_OK;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/format.h - what reader.c asks of a format; private to the readers */
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H

#include "migrate/tool/trace/reader.h"
#include "migrate/tool/trace/text.h"

struct trace_format {
	const char *name, *title;
	bool has_threads;
	/* Whether a text is in this format, from its first line that is not empty. */
	bool (*recognises)(struct cursor line);
	/* Reads one line. TRACE_OK: an event; TRACE_END: the line has none, go on; TRACE_WRONG: *why says so. */
	enum trace_status (*parse)(struct trace_reader *reader, struct cursor line,
				   struct trace_event *event, const char **why);
};

struct trace_reader {
	const struct trace_format *format; /* NULL: a binary format, which `next` reads */
	enum trace_status (*next)(struct trace_reader *reader, struct trace_event *event,
				  struct trace_error *error);
	void (*close)(struct trace_reader *reader);
	void (*progress)(const struct trace_reader *reader, uint64_t *done, uint64_t *all);
	void *own; /* the binary format's */
	struct source source;
	struct trace_traits traits;
	uint64_t only_process;
	/* mtrace: the block that a line "<" gave back, until its line ">" comes. */
	uint64_t pending_address;
	bool pending;
};

/* CTF of any tracer, through libbabeltrace2, in a process of its own: it dies of some files. */
MUST_USE struct trace_reader *trace_open_babeltrace(const char *path, struct trace_error *error);
/* The same in this process. */
MUST_USE struct trace_reader *trace_open_babeltrace_here(const char *path, struct trace_error *error);

extern const struct trace_format trace_android, trace_mtrace, trace_logalloc;

#endif

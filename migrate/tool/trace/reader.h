/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/reader.h - the events of a trace, in whatever format it is
 *
 * A reader belongs to one thread.
 */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include "migrate/tool/trace/source.h"

struct trace_reader;

/* What the trace says about itself; complete when its last event was read. */
struct trace_traits {
	const char *format;	     /* its name, as --format takes it */
	const char *title;	     /* the same in words */
	bool has_threads;	     /* it tells one thread from another */
	bool has_times;		     /* some event has a time */
	uint64_t discarded;	     /* events that the recorder says it lost */
	uint64_t cut;		     /* events after the moment until which the recording is whole */
	uint64_t other_processes;    /* events of processes that were left out */
	uint64_t process;	     /* whose events these are; 0: unknown */
};

/* Opens a trace: a file, a folder of CTF, or "-". `format` NULL: told from its first bytes. NULL: *error says why. */
MUST_USE struct trace_reader *trace_open(const char *path, const char *format,
					 struct trace_error *error);

/* The same for the bytes of a text format, or for those of one packet stream. */
MUST_USE struct trace_reader *trace_open_memory(const void *data, size_t bytes, const char *format,
						struct trace_error *error);
void trace_close(struct trace_reader *reader);

/* The next event. TRACE_WRONG: the error names the line or the byte; nothing more can be read. */
MUST_USE enum trace_status trace_next(struct trace_reader *reader, struct trace_event *event,
				      struct trace_error *error);

const struct trace_traits *trace_traits(const struct trace_reader *reader);

/* How much of a file has been read, of how much in all; *all is 0 where that is not known. */
void trace_progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all);

/* Only this process's events from now on; 0: those of the first process there is. */
void trace_only_process(struct trace_reader *reader, uint64_t process);

/* The names of the formats that can be read, NULL behind the last. */
extern const char *const trace_format_names[];

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/event.h - one recorded operation, whatever the format it was recorded in
 *
 *   source.c     bytes and lines of a file, a pipe or a piece of memory
 *   text.h       numbers and words of a line
 *   android.c mtrace.c logalloc.c   the text formats, one event a line
 *   ctf.c        our own binary format, docs/TRACE.md
 *   reader.c     which format a file is in; hands out its events
 *   track.c      addresses become numbered blocks; what cannot be is counted and left out
 *
 * A reader gives events in the order of recording and says nothing about whether they make sense together: that is
 * track.c's part.
 */
#ifndef TRACE_EVENT_H
#define TRACE_EVENT_H

#include "shim/base/compiler.h"

enum trace_kind {
	TRACE_MALLOC,
	TRACE_CALLOC,
	TRACE_MEMALIGN,
	TRACE_REALLOC,
	TRACE_FREE,
	TRACE_THREAD_END,
	TRACE_REALLOC_BEGIN, /* from here on the old address may be another block's; its REALLOC follows in the thread */
};

#define TRACE_UNKNOWN UINT64_MAX

/* Sizes from here on are nobody's: an importer refuses them. */
#define TRACE_BYTES_LIMIT (UINT64_C(1) << 47)

struct trace_event {
	enum trace_kind kind;
	uint64_t thread;	/* as the trace names it */
	uint64_t time_ns;	/* when it began, by the trace's clock; TRACE_UNKNOWN */
	uint64_t duration_ns;	/* TRACE_UNKNOWN */
	uint64_t address;	/* the block it gave, 0 for none; FREE: the block given back */
	uint64_t old_address;	/* REALLOC, REALLOC_BEGIN: the block given back; REALLOC: TRACE_UNKNOWN if its begin said so */
	uint64_t bytes;		/* asked for; CALLOC: in all */
	uint64_t count;		/* CALLOC: of so many elements; else 1 */
	uint64_t alignment;	/* MEMALIGN: asked for, as it was asked; else 0 */
	unsigned served;	/* the pool and the layer, by record_served_names; 0: not known */
	uint64_t present_bytes; /* FREE, REALLOC, REALLOC_BEGIN: of the block given back, what was resident; TRACE_UNKNOWN */
};

/* What is wrong, with the line or the byte where: one line of printable ASCII. */
#define TRACE_ERROR_BYTES 256
struct trace_error {
	char text[TRACE_ERROR_BYTES];
};

enum trace_status {
	TRACE_OK,
	TRACE_END,
	TRACE_WRONG, /* the error says what */
};

/* Fills in an event that has nothing but its kind and thread. */
INLINE struct trace_event trace_event_of(enum trace_kind kind, uint64_t thread)
{
	return (struct trace_event){
		.kind = kind,
		.thread = thread,
		.time_ns = TRACE_UNKNOWN,
		.duration_ns = TRACE_UNKNOWN,
		.count = 1,
		.present_bytes = TRACE_UNKNOWN,
	};
}

void trace_error_set(struct trace_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

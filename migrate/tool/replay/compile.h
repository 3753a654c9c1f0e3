/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/compile.h - from a trace to programs for hakmem-replay; program.h says what these are
 *
 * In two passes: a scan finds the moments at which the most bytes live, and how much of each large block was used; then
 * one or more compilers are fed with the same operations. Memory grows with what lives at one time, not with the trace.
 */
#ifndef REPLAY_COMPILE_H
#define REPLAY_COMPILE_H

#include "migrate/tool/replay/program.h"
#include "migrate/tool/trace/track.h"

/* All classes together, where an array has a place for each class and one for all. */
#define COMPILE_ALL NEXT_CLASSES

struct compile_scan {
	struct track_counts counts;
	struct trace_traits traits;
	uint64_t span_ns;
	size_t threads;
	uint64_t operations[NEXT_CLASSES + 1]; /* allocations */
	uint64_t peak_bytes[NEXT_CLASSES + 1], peak_operation[NEXT_CLASSES + 1];
	uint64_t live_bytes[NEXT_CLASSES + 1];
	struct map pages; /* of blocks of which not all pages were used: how many were */
};

MUST_USE bool compile_scan(struct compile_scan *scan, struct trace_reader *reader,
			   struct trace_error *error);
void compile_scan_free(struct compile_scan *scan);

struct compile_flip {
	/* The moment: one of these, the other TRACE_UNKNOWN. */
	uint64_t at_ns;	       /* by the trace's clock, from its first event */
	uint64_t at_operation; /* the number of the operation before which it happens */
};

struct compile_options {
	unsigned threads; /* 0: as many as the trace has */
	unsigned only;	  /* blocks of this class alone, or COMPILE_ALL */
	bool pace;	  /* wait for the recorded time */
	bool in_order;	  /* all operations one after the other, as they were recorded */
	const struct compile_flip *flips;
	unsigned flip_count;
};

struct compiler;

/* `fd` is an empty file, which stays the caller's. The scan is of the same trace and outlives the compiler. */
MUST_USE struct compiler *compile_begin(int fd, const struct compile_scan *scan,
					const struct compile_options *options,
					struct trace_error *error);
MUST_USE bool compile_feed(struct compiler *compiler, const struct track *track,
			   const struct track_operation *operation, struct trace_error *error);

/* Writes what is left and frees the compiler. `header` gets what was written, and may be NULL: then nothing is
 * written, after an error. */
MUST_USE bool compile_end(struct compiler *compiler, struct program_header *header,
			  struct trace_error *error);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/engine.h - programs compiled and child processes run, for replay and compare */
#ifndef REPLAY_ENGINE_H
#define REPLAY_ENGINE_H

#include "migrate/tool/replay/compile.h"

#include <limits.h>

/* What serves malloc in a child. */
struct engine_side {
	const char *label;
	const char *plan;	/* NULL: without the hakmem library */
	const char *preload;	/* another library, behind hakmem's if there is a plan; NULL or "": none */
	const char *library;	/* hakmem's, with a plan */
};

/* Of calls: merged from a child's histograms. */
struct engine_times {
	uint64_t count;
	double mean_ns;
	uint64_t bucket[REPLAY_BUCKETS];
};

/* Where hakmem-replay is: beside the command in its build tree, or where it was installed. `path` has PATH_MAX
 * bytes. False, and the error told, if there is none. */
MUST_USE bool engine_find_child(const char *name, char *path);

/* An unlinked file in TMPDIR for a program. -1, and the error told. */
MUST_USE int engine_make_file(const char *name);

/* A side from the options of a command: `preload` may be "glibc" for no library at all, or a path, which is made
 * absolute in `path` (PATH_MAX bytes). False, and the error told. */
MUST_USE bool engine_read_preload(const char *name, const char *preload, char *path,
				  const char **result);

/* Runs one child to its end. `flips` may be NULL. The result is mapped; engine_free() gives it back. NULL: *error says
 * what went wrong; it is "" if the child was ended by a signal that ends us, too. */
MUST_USE struct replay_shared *engine_run(const char *child, int program,
					  const struct engine_side *side,
					  const struct replay_flip *flips, unsigned flip_count,
					  unsigned time_every, struct trace_error *error);
void engine_free(struct replay_shared *result);

/* True once an interrupt (SIGINT, SIGTERM, SIGHUP) was asked for; engine_catch_interrupts() asks to be told. */
void engine_catch_interrupts(void);
bool engine_is_interrupted(void);

/* The times of some calls of some classes: REPLAY_CALLS for all calls, NEXT_CLASSES for all classes. */
void engine_times(const struct replay_shared *result, unsigned call, unsigned class,
		  struct engine_times *times);
/* The time that so many percent of the calls stayed under, in nanoseconds; NAN of nothing. */
double engine_percentile(const struct engine_times *times, double percent);

#endif

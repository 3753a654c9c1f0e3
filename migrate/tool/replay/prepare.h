/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/prepare.h - from the name of a trace to programs in files */
#ifndef REPLAY_PREPARE_H
#define REPLAY_PREPARE_H

#include "migrate/tool/replay/compile.h"

/* Which trace. */
struct prepare_source {
	const char *path, *format; /* format NULL: told from the trace */
	uint64_t process;	   /* 0: the first that is in it */
};

struct prepare_program {
	struct compile_options options;
	int fd;
	struct program_header header; /* filled in */
};

/* Reads the trace once. False, and the error told. */
MUST_USE bool prepare_scan(const char *name, const struct prepare_source *source,
			   struct compile_scan *scan);

/* Reads it again and compiles it as often as is asked. False, and the error told. */
MUST_USE bool prepare_compile(const char *name, const struct prepare_source *source,
			      const struct compile_scan *scan, struct prepare_program *programs,
			      size_t count);

/* Opens it for a command that reads it once. NULL, and the error told. */
MUST_USE struct trace_reader *prepare_open(const char *name, const struct prepare_source *source);

#endif

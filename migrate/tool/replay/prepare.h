/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/prepare.h - from the name of a trace to programs in files */
#ifndef REPLAY_PREPARE_H
#define REPLAY_PREPARE_H

#include "migrate/tool/replay/compile.h"

#include <argp.h>

/* Which trace. */
struct prepare_source {
	const char *path, *format; /* format NULL: told from the trace */
	uint64_t process;	   /* 0: the first that is in it */
};

/* The part of a command line that says so, a command's argp_child: --format, --process, and TRACE, which there has to be.
 * Its input is a struct prepare_source. The second takes no TRACE: the command does. */
extern const struct argp prepare_trace_argp, prepare_traces_argp;

/* How it is replayed. */
struct prepare_manner {
	const char *library; /* NULL: not said */
	unsigned threads;    /* 0: the trace's own */
	bool pace;
};

/* The same for that: --threads, --pace, --lib. */
extern const struct argp prepare_manner_argp;

/* A whole number from 1 to `most`, or the end of the command. */
unsigned prepare_number(struct argp_state *state, const char *option, const char *text,
			unsigned most);

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

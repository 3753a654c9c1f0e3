/* SPDX-License-Identifier: MIT */
/* migrate/tool/tool.h - what the subcommands of hakmem(1) share
 *
 * main.c      the table of subcommands
 * common.c    messages, plans from the command line
 * run.c       hakmem run: start a program on the library
 * library.c   which library that is
 * target.c    whether the program can be preloaded at all
 * classes.c   hakmem classes: the size classes and what a plan makes of them
 * ps.c        hakmem ps: the processes that run on the library
 * steer.c     hakmem status, route, rollback, unlatch, kill-switch, watch: one of them
 * rollout.c   hakmem rollout: one of them, step by step (rollout_report.c what became of it)
 * record.c    hakmem record: what one of them allocates
 * client.c    its control page
 * top.c       hakmem top: one of them, live (screen.c what it draws, terminal.c on what)
 * show.c, show_json.c, table.c, output.c   how all that is shown
 * trace/      hakmem trace: traces of all formats, read, shown, converted
 * replay/     hakmem replay, compare, advise: traces compiled, run again in a child process, and judged
 */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include "migrate/plan.h"
#include "shim/base/compiler.h"

/* Exit codes, those of env(1) where it has one; documented in hakmem.1. */
enum tool_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,	/* something went wrong that is none of those below */
	EXIT_USAGE = 2,		/* the command line or the plan is wrong: nothing was started */
	EXIT_NO_PROCESS = 3,	/* no such process, or it has no control page */
	EXIT_REFUSED = 4,	/* the process refuses what is asked */
	EXIT_NO_ANSWER = 5,	/* the process does not answer */
	EXIT_ROLLED_BACK = 10,	/* rollout: and the next three; compare: new has to be rolled back */
	EXIT_HELD = 11,		/* patience was over, or somebody gave another plan; compare: hold */
	EXIT_INTERRUPTED = 12,
	EXIT_ENDED = 13,	/* the process ended meanwhile */
	EXIT_NO_LIBRARY = 125,	/* run: no library to preload */
	EXIT_NOT_STARTED = 126, /* run: the command exists and cannot be executed */
	EXIT_NOT_FOUND = 127,	/* run: there is no such command */
};

struct tool_command {
	const char *name;
	const char *summary;
	/* argv[0] is "hakmem NAME", for messages. Returns an exit code. */
	int (*main)(int argc, char **argv);
};

int tool_run(int argc, char **argv);
int tool_classes(int argc, char **argv);
int tool_ps(int argc, char **argv);
int tool_status(int argc, char **argv);
int tool_route(int argc, char **argv);
int tool_rollback(int argc, char **argv);
int tool_unlatch(int argc, char **argv);
int tool_kill_switch(int argc, char **argv);
int tool_guard(int argc, char **argv);
int tool_watch(int argc, char **argv);
int tool_top(int argc, char **argv);
int tool_rollout(int argc, char **argv);
int tool_record(int argc, char **argv);
int tool_trace(int argc, char **argv);
int tool_replay(int argc, char **argv);
int tool_compare(int argc, char **argv);
int tool_advise(int argc, char **argv);

/* --- common.c --------------------------------------------------------------------------------- */

/* "hakmem COMMAND: TEXT" on stderr; `name` is the argv[0] of the subcommand. */
void tool_error(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tool_warning(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The plan of --plan, of HAKMEM_PLAN where `option` is NULL, or everything old. *text is its text,
 * "" for none. False, and the error told, if it is wrong. */
MUST_USE bool tool_read_plan(const char *name, const char *option, struct plan *plan,
			     const char **text);

/* --- library.c -------------------------------------------------------------------------------- */

/* The path of the library to preload, in `path` (PATH_MAX bytes): `option`, HAKMEM_LIB, beside a
 * tool in its build tree, as installed. False, and the error told, if there is none. */
MUST_USE bool library_find(const char *name, const char *option, char *path);

/* --- target.c --------------------------------------------------------------------------------- */

/* Warns if the program that execvp(command) starts will not load the library. */
void target_check(const char *name, const char *command);

#endif

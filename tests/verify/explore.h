/* SPDX-License-Identifier: MIT */
/* tests/verify/explore.h - runs small programs of a few threads in every way that they can go
 *
 * What runs is the library's own source. Compiled with -fsanitize=thread it calls a function for each
 * access to memory; those functions are ours (hooks.c), no sanitizer is linked.
 *
 *   hooks.c   what the compiler calls
 *     memory.c    atomic accesses: what a load may see, where a store may go, who knows what
 *     shadow.c    other accesses: unordered ones are reported, all writes are undone afterwards
 *   fibers.c  the threads: one runs at a time and may be stopped before each access that others can see
 *   search.c  the choices, depth first, and the states that were seen
 *   explore.c the loop around all of it, the report, main()
 *
 * A scenario is set up once, with the memory as it then stays. An execution runs its threads to their
 * ends and its check after them; the writes of both are taken back and the next execution begins.
 */
#ifndef VERIFY_EXPLORE_H
#define VERIFY_EXPLORE_H

#include "shim/base/compiler.h"

#define THREADS_MAX 4
#define UNBOUNDED   255

/* How far a search goes. */
struct bounds {
	uint8_t preemptions; /* times that a thread stops though it could go on */
	uint8_t stale;	     /* times that a load or store passes over newer values of its place */
};

struct scenario {
	const char *name;
	const char *promise;   /* what holds in every execution */
	void (*setup)(void);   /* once; names the threads by explore_thread() */
	void (*check)(void);   /* after all threads of an execution; may be NULL */
	struct bounds full, quick;
};

/* In setup: one more thread. What explore_local() named has, in this thread, the value it has now. */
void explore_thread(void (*body)(void));

/* In setup: a thread-local variable of the code under test. At most 64 bytes in all. */
void explore_local(void *variable, size_t bytes);

/* In a thread: its number from 1 in the order of explore_thread(); 0 in setup and check. */
unsigned explore_self(void);

/* In a thread: sleeps until the newest value of the word is 0, which the next access to it then sees. */
void explore_wait_zero(const void *word);

/* Ends the search with the execution that led here. */
COLD __attribute__((noreturn)) void explore_fail(const char *what);

#define REQUIRE(condition, what)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			explore_fail(what);                                                        \
	} while (0)

/* In check: what this execution ended with, 0 <= outcome < 64. */
void explore_outcome(unsigned outcome);

/* What a search should end with; all zero: with no violation. */
struct expectation {
	uint64_t outcomes;     /* the set of outcomes, where it is not empty */
	const char *violation; /* a violation whose text has this in it */
};

/* Searches one scenario in a process of its own and prints a line. Returns 0 if it ended as expected, else
 * 1. */
int explore_scenario(const struct scenario *scenario, struct bounds bounds,
		     struct expectation expectation);

/* main() of a program of scenarios:
 *
 *   [--quick] [--preemptions N|any] [--stale N|any] [--no-merge] [--expect VIOLATION] [NAME...]
 *
 * All of them unless some are named. --no-merge searches states again and again, and has to come to the
 * same ends. Ends with 0 if each held, or with --expect if each was violated so;
 * else 1; 2 if it could not be run. */
int explore_main(int argc, char **argv, const struct scenario *scenarios, size_t count);

#endif

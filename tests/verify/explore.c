/* SPDX-License-Identifier: MIT */
/* tests/verify/explore.c - the loop of executions, the report of a violation, main() of the scenarios */
#include "tests/verify/explore.h"

#include "tests/verify/fibers.h"
#include "tests/verify/memory.h"
#include "tests/verify/search.h"
#include "tests/verify/shadow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct scenario *scenario;
static struct expectation expected;
static uint64_t executions, outcomes;
static bool merge = true;

/* --- the report -------------------------------------------------------------------------------- */

void explore_fail(const char *what)
{
	if (expected.violation && strstr(what, expected.violation)) {
		printf("%-32s found: %s (%ju executions)\n", scenario->name, what,
		       (uintmax_t)executions + 1);
		fflush(stdout);
		_exit(0);
	}
	fflush(stdout);
	fprintf(stderr, "%s: VIOLATED: %s\n  promise: %s\n  execution %ju, by T%u:\n",
		scenario->name, what, scenario->promise, (uintmax_t)executions, explore_self());
	memory_print_events();
	_exit(1);
}

/* The code under test ends in abort() where it finds misuse or its own invariants broken. */
static void on_signal(int signal)
{
	explore_fail(signal == SIGABRT ? "the code under test aborted" :
					 "a wild access by the code under test");
}

static void catch_signals(void)
{
	static char stack[64 * 1024];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	sigaltstack(&alternate, NULL);
	sigaction(SIGABRT, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* --- the loop ---------------------------------------------------------------------------------- */

void explore_outcome(unsigned outcome)
{
	outcomes |= (uint64_t)1 << outcome;
}

static enum execution_end execute(struct bounds bounds)
{
	memory_start();
	shadow_start();
	enum execution_end end = fibers_run(bounds);
	executions++;
	if (end == EXECUTION_COMPLETE) {
		search_end(memory_state());
		if (scenario->check)
			scenario->check();
	}
	shadow_undo();
	return end;
}

static void search(struct bounds bounds)
{
	search_start(merge);
	do {
		while (execute(bounds) == EXECUTION_LEARNED) {
			search_start(merge);
			outcomes = 0;
		}
	} while (search_next());
}

static void print_bound(uint8_t bound, const char *what)
{
	if (bound == UNBOUNDED)
		printf(", any %s", what);
	else
		printf(", %s <= %u", what, bound);
}

static int search_and_print(struct bounds bounds)
{
	catch_signals();
	scenario->setup();
	search(bounds);
	if (expected.violation) {
		printf("%-32s NOT FOUND: %s (%ju executions)\n", scenario->name,
		       expected.violation, (uintmax_t)executions);
		return 1;
	}
	if (expected.outcomes && outcomes != expected.outcomes) {
		printf("%-32s WRONG: outcomes %#jx, not %#jx\n", scenario->name,
		       (uintmax_t)outcomes, (uintmax_t)expected.outcomes);
		return 1;
	}
	printf("%-32s holds", scenario->name);
	print_bound(bounds.preemptions, "preemptions");
	print_bound(bounds.stale, "stale reads");
	printf(": %zu states, %ju executions, %zu shared places, %zu ends %016jx\n",
	       search_states(), (uintmax_t)executions, memory_shared_count(), search_ends(),
	       (uintmax_t)search_ends_fingerprint());
	return 0;
}

int explore_scenario(const struct scenario *wanted, struct bounds bounds,
		     struct expectation expectation)
{
	scenario = wanted;
	expected = expectation;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		int status = search_and_print(bounds);
		fflush(stdout);
		_exit(status);
	}
	int status = -1;
	if (child > 0)
		waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return WEXITSTATUS(status);
	fprintf(stderr, "%s: the explorer broke down (wait status %#x)\n", wanted->name,
		(unsigned)status);
	exit(2);
}

/* --- main -------------------------------------------------------------------------------------- */

static uint8_t bound_of(const char *text)
{
	char *end;
	unsigned long bound = strtoul(text, &end, 10);
	if (*text && !*end && bound < UNBOUNDED)
		return (uint8_t)bound;
	if (strcmp(text, "any") == 0)
		return UNBOUNDED;
	fprintf(stderr, "a bound is 0 to %d or any, not '%s'\n", UNBOUNDED - 1, text);
	exit(2);
}

static bool is_named(const char *name, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return count == 0;
}

int explore_main(int argc, char **argv, const struct scenario *scenarios, size_t count)
{
	bool quick = false;
	struct expectation expectation = { 0 };
	int preemptions = -1, stale = -1, i = 1, violated = 0, searched = 0;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			quick = true;
		} else if (strcmp(argv[i], "--no-merge") == 0) {
			merge = false;
		} else if (strcmp(argv[i], "--preemptions") == 0 && i + 1 < argc) {
			preemptions = bound_of(argv[++i]);
		} else if (strcmp(argv[i], "--stale") == 0 && i + 1 < argc) {
			stale = bound_of(argv[++i]);
		} else if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc) {
			expectation.violation = argv[++i];
		} else {
			fprintf(stderr,
				"usage: %s [--quick] [--preemptions N|any] [--stale N|any] "
				"[--no-merge] [--expect VIOLATION] [NAME...]\n",
				argv[0]);
			return 2;
		}
	}
	for (size_t s = 0; s < count; s++) {
		if (!is_named(scenarios[s].name, argv + i, argc - i))
			continue;
		struct bounds bounds = quick ? scenarios[s].quick : scenarios[s].full;
		if (preemptions >= 0)
			bounds.preemptions = (uint8_t)preemptions;
		if (stale >= 0)
			bounds.stale = (uint8_t)stale;
		searched++;
		violated |= explore_scenario(&scenarios[s], bounds, expectation);
	}
	if (!searched) {
		fprintf(stderr, "%s: no such scenario\n", argv[0]);
		return 2;
	}
	return violated;
}

/* SPDX-License-Identifier: MIT */
/* tests/configurations.h - the four configurations in which everything holds, for tests that run themselves anew
 *
 * all-old, all-next, flips (every class takes another side between one step and the next: tests/workload.h) and
 * flips-recorded. For whole programs it is tests/configurations.sh, for tests within one process tests/routes.h.
 */
#ifndef TESTS_CONFIGURATIONS_H
#define TESTS_CONFIGURATIONS_H

#include "tests/support.h"

struct configuration {
	const char *name, *plan;
	bool flips, recorded;
};

/* The one that the tests run in, or, after configuration_become(), that this process is in. */
extern const struct configuration *configuration;

/* The environment of a process in it. Before exec(), in the child of a fork. */
void configuration_enter(void);

/* In that process: the one of this name, which has to be one of the four. */
void configuration_become(const char *name);

/* Runs an array of cmocka tests as a group in each of the four, or in the one that is named; the process may then be
 * run anew as configuration_program(). Gives the number of tests that failed, -1 if that is no configuration. */
#define run_in_configurations(tests, name)                                                         \
	run_group_in_configurations((tests), sizeof(tests) / sizeof((tests)[0]), (name))
MUST_USE int run_group_in_configurations(const struct CMUnitTest *tests, size_t count,
					 const char *name);
const char *configuration_program(void);

#endif

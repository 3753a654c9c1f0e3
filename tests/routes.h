/* SPDX-License-Identifier: MIT */
/* tests/routes.h - the ways to route all classes at once that tests run under */
#ifndef TESTS_ROUTES_H
#define TESTS_ROUTES_H

#include "tests/support.h"

/* "next", "old" (legacy for its band, the system for the rest), "system", "mixed" (class by class, old
 * and next by turns), "flips" (every class takes another side each 10 ms: tests/flips.h), "flips-recorded" (and what is
 * allocated is recorded meanwhile); "next" alone in a build without migration. Ends with NULL. */
extern const char *const route_sets[];

/* Routes every class so, from now on. False for a name that is none of route_sets[]. Not while another thread is in here,
 * and as flips end and begin by it, in the process that they are in. */
MUST_USE bool route_all(const char *name);

/* The same with no class at the system: next, or legacy where it can, has its part. */
MUST_USE bool route_without_system(const char *name);

/* The set of routes that the running tests are under. */
extern const char *route_set;

/* Runs an array of cmocka tests as a group once under every set of routes, or under $HAKMEM_TEST_ROUTES alone, each set up
 * by `route`, as a rule route_all. Gives the number of tests that failed. */
#define run_under_all_routes(tests, route)                                                         \
	run_group_under_all_routes((tests), sizeof(tests) / sizeof((tests)[0]), (route))
MUST_USE int run_group_under_all_routes(const struct CMUnitTest *tests, size_t count,
					bool (*route)(const char *name));

#endif

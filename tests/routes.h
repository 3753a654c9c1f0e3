/* SPDX-License-Identifier: MIT */
/* tests/routes.h - the ways to route all classes at once that tests run under */
#ifndef TESTS_ROUTES_H
#define TESTS_ROUTES_H

#include "shim/base/compiler.h"

#include <stddef.h>

/* "next", "old" (legacy for its band, the system for the rest), "system", "mixed" (class by class, old
 * and next by turns); "next" alone in a build without migration. Ends with NULL. */
extern const char *const route_sets[];

/* Routes every class so. False for a name that is none of route_sets[]. Any thread. */
MUST_USE bool route_all(const char *name);

#endif

/* SPDX-License-Identifier: MIT */
/* tests/routes.c - the ways to route all classes at once; see routes.h */
#include "tests/routes.h"

#include "shim/init.h"
#include "shim/route.h"

#include <string.h>

/* A malloc that cannot be served is part of the contract, not a finding. Read by the sanitizers'
 * runtimes, and by nobody else. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1:die_after_fork=0";
}

const char *const route_sets[] = {
	"next",
#if HAKMEM_MIGRATION
	"old",	"system", "mixed",
#endif
	NULL,
};

static enum shim_backend backend_in(const char *name, unsigned class)
{
	enum shim_backend old = shim_route_possible(class, SHIM_LEGACY) ? SHIM_LEGACY : SHIM_SYSTEM;
	if (strcmp(name, "next") == 0 || (strcmp(name, "mixed") == 0 && class % 2 == 0))
		return SHIM_NEXT;
	if (strcmp(name, "old") == 0 || strcmp(name, "mixed") == 0)
		return old;
	return strcmp(name, "system") == 0 ? SHIM_SYSTEM : SHIM_UNSET;
}

bool route_all(const char *name)
{
	bool done = true;
	shim_init();
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		done &= shim_route_set(class, backend_in(name, class));
	return done;
}

const char *route_set;
static bool (*route_of_group)(const char *name);

static int set_routes(void **state)
{
	(void)state;
	return route_of_group(route_set) ? 0 : -1;
}

int run_group_under_all_routes(const struct CMUnitTest *tests, size_t count,
			       bool (*route)(const char *name))
{
	int failures = 0;
	route_of_group = route;
	for (const char *const *set = route_sets; *set; set++) {
		route_set = *set;
		print_message("--- routes: %s\n", route_set);
		failures += _cmocka_run_group_tests(route_set, tests, count, set_routes, NULL);
	}
	return failures;
}

/* SPDX-License-Identifier: MIT */
/* tests/routes.c - the ways to route all classes at once; see routes.h */
#include "tests/routes.h"

#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/route.h"
#if HAKMEM_MIGRATION
#include "tests/flips.h"
#endif

#include <stdio.h>
#include <stdlib.h>
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
	"old",	"system", "mixed", "flips", "flips-recorded",
#endif
	NULL,
};

/* --- flips and recordings ------------------------------------------------------------------------- */

#if HAKMEM_MIGRATION
static char folder[32]; /* of recordings; "" if there is none */

/* False if nothing was recorded: then the tests were not what they are said to be. */
static bool end_recording(void)
{
	char command[64];
	struct hakmem_record record;
	if (!folder[0])
		return true;
	bool done = hakmem_record_stop(&record, sizeof(record)) == 0 && record.events > 0;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	done &= system(command) == 0;
	folder[0] = '\0';
	return done;
}

static bool begin_recording(void)
{
	char error[256];
	strcpy(folder, "/tmp/hakmem-routes-XXXXXX");
	if (mkdtemp(folder) && hakmem_record_start(folder, "buffer=64k memory=16m disk=16m", error,
						   sizeof(error)) == 0)
		return true;
	fprintf(stderr, "flips-recorded: %s\n", error);
	return false;
}

static bool end_flips(void)
{
	flips_stop();
	return end_recording();
}

/* As the name says, if it is one of these two. */
static bool begin_flips(const char *name, const char *const plans[])
{
	if (strcmp(name, "flips-recorded") == 0 ? !begin_recording() : strcmp(name, "flips") != 0)
		return false;
	return flips_start(plans);
}
#else
static const char *const flips_plans[] = { NULL }, *const flips_plans_without_system[] = { NULL };

static bool end_flips(void)
{
	return true;
}

static bool begin_flips(const char *name, const char *const plans[])
{
	(void)name;
	(void)plans;
	return false;
}

static unsigned long flips_made(void)
{
	return 0;
}
#endif

static bool is_flips(const char *name)
{
	return strncmp(name, "flips", 5) == 0;
}

/* --- routes --------------------------------------------------------------------------------------- */

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
	shim_init();
	bool done = end_flips();
	if (is_flips(name))
		return done && begin_flips(name, flips_plans);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		done &= shim_route_set(class, backend_in(name, class));
	return done;
}

bool route_without_system(const char *name)
{
	bool done = route_all("next");
	if (is_flips(name))
		return done && begin_flips(name, flips_plans_without_system);
	for (unsigned class = 0; strcmp(name, "next") != 0 && class < NEXT_CLASSES; class ++)
		if (shim_route_possible(class, SHIM_LEGACY) &&
		    (class % 2 || strcmp(name, "old") == 0))
			done &= shim_route_set(class, SHIM_LEGACY);
	return done;
}

/* --- groups --------------------------------------------------------------------------------------- */

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
	bool known = false;
	const char *wanted = getenv("HAKMEM_TEST_ROUTES");
	route_of_group = route;
	for (const char *const *set = route_sets; *set; set++) {
		unsigned long before = flips_made();
		route_set = *set;
		if (wanted && strcmp(wanted, route_set) != 0)
			continue;
		known = true;
		print_message("--- routes: %s\n", route_set);
		failures += _cmocka_run_group_tests(route_set, tests, count, set_routes, NULL);
		if (is_flips(route_set) && flips_made() == before) {
			print_error("%s: nothing flipped\n", route_set);
			failures++;
		}
	}
	if (!known || !route_all("next")) {
		print_error("%s: %s\n", known ? route_set : wanted,
			    known ? "nothing was recorded" : "no such routes");
		failures++;
	}
	return failures;
}

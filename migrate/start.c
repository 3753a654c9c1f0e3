/* SPDX-License-Identifier: MIT */
/* migrate/start.c - the plan a process is started with: HAKMEM_PLAN
 *
 * Runs once, inside the first allocation of the process, so nothing here allocates: the plan lies
 * on the stack and what is wrong is told through report_line(). When it begins every class is old
 * already, and a wrong plan leaves that as it is: a typing mistake may cost the migration, never
 * the program.
 */
#include "migrate/plan.h"
#include "shim/base/check.h"
#include "shim/hooks.h"
#include "shim/route.h"
#include "shim/system.h"

#include <stdlib.h>
#include <string.h>

static enum shim_backend backend_of(enum plan_target target)
{
	switch (target) {
	case PLAN_NEXT:
		return SHIM_NEXT;
	case PLAN_LEGACY:
		return SHIM_LEGACY;
	case PLAN_SYSTEM:
		return SHIM_SYSTEM;
	case PLAN_OLD:
		break; /* the callers have resolved it */
	}
	return SHIM_UNSET;
}

/* True if the class is where the plan wants it. A backend may be missing although the plan is
 * right, where the kernel refused it its first memory. shim has settled on an old side that exists
 * then, so only a class that was to leave the old side is worth a word. */
static bool apply_class(const struct plan *plan, unsigned class)
{
	bool old_set = shim_route_set_old_side(class, backend_of(plan_old_side(plan, class)));
	bool route_set = shim_route_set(class, backend_of(plan_served_by(plan, class)));

	return (old_set && route_set) || plan->class[class].target == PLAN_OLD;
}

static void apply_plan(const struct plan *plan)
{
	unsigned refused = 0;

	for (unsigned class = 0; class < NEXT_CLASSES; class++)
		refused += !apply_class(plan, class);
	if (refused > 0)
		report_line("HAKMEM_PLAN: what serves some classes has no memory; they stay old",
			    NULL);
}

void shim_at_start(void)
{
	const char *text = getenv("HAKMEM_PLAN");
	char line[PLAN_ERROR_BYTES];
	struct plan_error error;
	struct plan plan;

	if (!text)
		return;
	/* One byte more than a plan may have, so that the parser sees that it is too long. */
	if (plan_parse(&plan, text, strnlen(text, PLAN_TEXT_MAX + 1), shim_system_available(),
		       &error)) {
		apply_plan(&plan);
		return;
	}
	(void)plan_error_text(&error, line);
	report_line("HAKMEM_PLAN: ", line, "; everything stays old", NULL);
}

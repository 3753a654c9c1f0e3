/* SPDX-License-Identifier: MIT */
/* migrate/start.c - what shim calls (shim/hooks.h): the start of a process, its load, its forks
 *
 * shim_at_start() runs inside the first allocation of the process, so nothing here allocates. When it begins
 * every class is old already, and a wrong plan leaves that as it is: a typing mistake may cost the
 * migration, never the program.
 */
#include "migrate/control.h"
#include "migrate/drain.h"
#include "migrate/file.h"
#include "migrate/guard.h"
#include "migrate/record.h"
#include "migrate/rollback.h"
#include "migrate/state.h"
#include "shim/base/check.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/route.h"

#include <errno.h>
#include <string.h>

static void take_environment(const char *text)
{
	char line[PLAN_ERROR_BYTES];
	struct state_outcome outcome;
	struct plan_error error;

	/* One byte more than a plan may have, so that the parser sees that it is too long. */
	if (state_set_plan(SOURCE_ENVIRONMENT, text, strnlen(text, PLAN_TEXT_MAX + 1), &error,
			   &outcome)) {
		if (outcome.unavailable > 0)
			report_line(
				"HAKMEM_PLAN: what serves some classes has no memory; they stay old",
				NULL);
		return;
	}
	(void)plan_error_text(&error, line);
	report_line("HAKMEM_PLAN: ", line, "; everything stays old", NULL);
}

void shim_at_start(void)
{
	const char *text = shim_setting("HAKMEM_PLAN");

	if (text)
		take_environment(text);
	control_read_settings();
	record_read_settings();
	guard_read_environment();
	if (file_path()[0])
		file_load();
}

void shim_at_load(void)
{
	control_start_by_settings();
	record_start_by_settings();
}

void shim_at_fork_child(void)
{
	state_fork_child();
	control_fork_child();
}

/* The wish is taken back before it is done: what comes meanwhile wishes anew. */
void shim_at_attention(void)
{
	int saved_errno = errno;

	drain_this_thread();
	if (!control_is_young() && !drain_wants_attention()) {
		shim_attend(false);
		if (rollback_is_undelivered() || drain_wants_attention())
			shim_attend(true);
		control_attention();
	}
	rollback_deliver();
	errno = saved_errno;
}

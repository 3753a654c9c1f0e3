/* SPDX-License-Identifier: MIT */
/* migrate/rollback.c - rolling back, and whoever has to hear of it; see rollback.h */
#include "migrate/rollback.h"

#include "migrate/record.h"
#include "migrate/report.h"

#include <errno.h>
#include <stdio.h>

/* [lock: flips] both, so that a handler never gets another one's argument */
static hakmem_rollback_handler *handler;
static void *handler_argument;

void rollback_set_handler(hakmem_rollback_handler *new_handler, void *argument)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	handler = new_handler;
	handler_argument = argument;
	shim_flips_end(&mask);
}

static void tell_program(const struct hakmem_rollback_event *event)
{
	sigset_t mask;
	shim_flips_begin(&mask);
	hakmem_rollback_handler *call = handler;
	void *argument = handler_argument;
	shim_flips_end(&mask);
	if (call)
		call(event, argument);
}

void rollback_classes(const bool named[NEXT_CLASSES], const char *cause,
		      struct state_outcome *outcome)
{
	struct state_outcome done;
	unsigned count = 0;
	char line[160];

	state_rollback(named, cause, &done);
	record_dump_soon();
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		count += named[class];
	(void)snprintf(line, sizeof(line),
		       "rolled back %u class%s (%u left next), %s; latched until unlatched", count,
		       count == 1 ? "" : "es", done.flipped, cause);
	report_text(line);
	tell_program(&(struct hakmem_rollback_event){
		.classes = count,
		.flipped = done.flipped,
		.cause = cause,
	});
	if (outcome)
		*outcome = done;
}

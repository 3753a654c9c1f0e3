/* SPDX-License-Identifier: MIT */
/* migrate/rollback.c - rolling back, and whoever has to hear of it; see rollback.h */
#include "migrate/rollback.h"

#include "migrate/record.h"
#include "migrate/report.h"
#include "shim/base/atomic.h"

#include <errno.h>
#include <stdio.h>

/* [lock: flips] both, so that a handler never gets another one's argument */
static hakmem_rollback_handler *handler;
static void *handler_argument;

/* [lock: flips] Told later: of several rollbacks the sum, with the first one's cause. */
static struct hakmem_rollback_event undelivered;
static _Atomic bool is_undelivered; /* [any thread] */

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

static void tell_later(const struct hakmem_rollback_event *event)
{
	sigset_t mask;
	bool wanted;

	shim_flips_begin(&mask);
	wanted = handler != NULL;
	if (!undelivered.cause)
		undelivered.cause = event->cause;
	undelivered.classes += event->classes;
	undelivered.flipped += event->flipped;
	store_relaxed(&is_undelivered, wanted);
	if (!wanted)
		undelivered = (struct hakmem_rollback_event){ .cause = NULL };
	shim_flips_end(&mask);
	if (wanted)
		shim_attend(true);
}

bool rollback_is_undelivered(void)
{
	return load_relaxed(&is_undelivered);
}

void rollback_deliver(void)
{
	struct hakmem_rollback_event event;
	sigset_t mask;

	if (!rollback_is_undelivered())
		return;
	shim_flips_begin(&mask);
	event = undelivered;
	undelivered = (struct hakmem_rollback_event){ .cause = NULL };
	store_relaxed(&is_undelivered, false);
	shim_flips_end(&mask);
	if (event.cause)
		tell_program(&event);
}

static struct hakmem_rollback_event roll_back(const bool named[NEXT_CLASSES], const char *cause,
					      const char *detail, struct state_outcome *done)
{
	struct hakmem_rollback_event event = { .cause = cause };
	char line[400], which[48] = "";
	size_t first = 0;

	state_rollback(named, cause, done);
	record_dump_soon();
	for (unsigned class = NEXT_CLASSES; class-- > 0;) {
		event.classes += named[class];
		first = named[class] ? class : first;
	}
	event.flipped = done->flipped;
	if (event.classes == 1 && first < NEXT_CLASS_HUGE)
		(void)snprintf(which, sizeof(which), " of %zu bytes",
			       next_class_bytes((unsigned)first));
	(void)snprintf(line, sizeof(line),
		       "rolled back %zu class%s%s (%zu left next), %s%s%s; latched until unlatched",
		       event.classes, event.classes == 1 ? "" : "es", which, event.flipped, cause,
		       detail ? ": " : "", detail ? detail : "");
	report_text(line);
	return event;
}

void rollback_classes(const bool named[NEXT_CLASSES], const char *cause,
		      struct state_outcome *outcome)
{
	struct state_outcome done;
	struct hakmem_rollback_event event = roll_back(named, cause, NULL, &done);

	tell_program(&event);
	if (outcome)
		*outcome = done;
}

void rollback_by_guard(const bool named[NEXT_CLASSES], const char *cause, const char *detail,
		       enum rollback_caller caller)
{
	struct state_outcome done;
	int saved_errno = errno;
	struct hakmem_rollback_event event = roll_back(named, cause, detail, &done);

	if (caller == ROLLBACK_FROM_MALLOC)
		tell_later(&event);
	else
		tell_program(&event);
	errno = saved_errno;
}

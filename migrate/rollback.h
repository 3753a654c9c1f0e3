/* SPDX-License-Identifier: MIT */
/* migrate/rollback.h - rolling back, and whoever has to hear of it: the log and the program */
#ifndef MIGRATE_ROLLBACK_H
#define MIGRATE_ROLLBACK_H

#include "migrate/state.h"
#include "shim/hakmem.h"

/* state_rollback(), then a line in the log, then the program's handler. Not under a lock. */
void rollback_classes(const bool named[NEXT_CLASSES], const char *cause,
		      struct state_outcome *outcome);

/* The same by a guard, with what it saw, which may be NULL. A thread in the middle of a malloc or free must not call the
 * program's handler: it is called by the next malloc that comes through the slow path, or by a waiting thread. */
enum rollback_caller {
	ROLLBACK_FROM_ELSEWHERE,
	ROLLBACK_FROM_MALLOC,
};
void rollback_by_guard(const bool named[NEXT_CLASSES], const char *cause, const char *detail,
		       enum rollback_caller caller);

/* Calls the handler if that is still to do. From a place where it may allocate. */
void rollback_deliver(void);
MUST_USE bool rollback_is_undelivered(void);

/* NULL: nobody. Any thread. */
void rollback_set_handler(hakmem_rollback_handler *handler, void *argument);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/rollback.h - rolling back, and whoever has to hear of it: the log and the program */
#ifndef MIGRATE_ROLLBACK_H
#define MIGRATE_ROLLBACK_H

#include "migrate/state.h"
#include "shim/hakmem.h"

/* state_rollback(), then a line in the log, then the program's handler. Not under a lock. */
void rollback_classes(const bool named[NEXT_CLASSES], const char *cause,
		      struct state_outcome *outcome);

/* NULL: nobody. Any thread. */
void rollback_set_handler(hakmem_rollback_handler *handler, void *argument);

#endif

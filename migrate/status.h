/* SPDX-License-Identifier: MIT */
/* migrate/status.h - what there is to tell about every class: the state, and the pools' figures beside it */
#ifndef MIGRATE_STATUS_H
#define MIGRATE_STATUS_H

#include "legacy/legacy.h"
#include "migrate/state.h"
#include "next/next.h"
#include "shim/hakmem.h"

/* About 16 KiB: mind small stacks. */
struct status {
	struct state state;
	struct next_stats next;
	struct legacy_counters legacy;
	size_t held_bytes[NEXT_CLASSES]; /* next_read_held() */
	uint64_t time_ns;
};

/* Walks both pools. Any thread; allocates nothing. */
void status_read(struct status *status);

void status_of_class(const struct status *status, unsigned number, struct hakmem_class *out);

#endif

/* SPDX-License-Identifier: MIT */
/* legacy/counters.h - counting, in the thread's own tally or in the one that all others share */
#ifndef LEGACY_COUNTERS_H
#define LEGACY_COUNTERS_H

#include "legacy/types.h"

extern struct legacy_tally legacy_uncached_tally; /* [any thread] calls without a legacy_thread */

/* One more of `field` for the calling thread `t`, which may be NULL. */
#define COUNT(t, field)                                                                            \
	do {                                                                                       \
		if (likely(t))                                                                     \
			counter_add(&(t)->tally.field, 1);                                         \
		else                                                                               \
			fetch_add_relaxed(&legacy_uncached_tally.field, 1);                        \
	} while (0)

#endif

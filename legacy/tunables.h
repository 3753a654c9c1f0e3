/* SPDX-License-Identifier: MIT */
/* legacy/tunables.h - the plan's quick fixes QF1 to QF3, each off by default */
#ifndef LEGACY_TUNABLES_H
#define LEGACY_TUNABLES_H

#include "shim/base/compiler.h"

#define PROBES_DEFAULT 3
#define PROBES_MAX     8 /* all shards of a class */

struct legacy_tunables {
	unsigned probes;  /* QF1: trylocks over neighbouring shards before a wait; 1 with the fix */
	bool unified;	  /* QF2: ring and LIFO are one ring of 256 */
	bool skip_header; /* QF3: a block popped from the ring keeps the header it has */
};

extern struct legacy_tunables legacy_tunables; /* [const after the first thread or block] */

/* Parses `text` into `out`; false leaves `out` alone and sets *error to a constant text. */
MUST_USE bool legacy_tunables_parse(const char *text, struct legacy_tunables *out,
				    const char **error);

#endif

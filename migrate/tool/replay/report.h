/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/report.h - what one replay came to, in words and as JSON */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "migrate/tool/replay/engine.h"

struct report {
	const char *path;
	const struct compile_scan *scan;
	const struct program_header *program;
	const struct engine_side *side;
	const struct replay_shared *result;
};

void replay_text(const struct report *report);
void replay_json(const struct report *report);

/* "next, plan all=next", "glibc", the name of a library: who serves malloc on a side; in `out`. */
#define REPORT_SIDE_BYTES 160
const char *replay_side_name(const struct engine_side *side, const struct replay_shared *result,
			char out[REPORT_SIDE_BYTES]);

#endif

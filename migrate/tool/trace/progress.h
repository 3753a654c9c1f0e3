/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/progress.h - how far long work has come, on a terminal's last line; silent elsewhere */
#ifndef TRACE_PROGRESS_H
#define TRACE_PROGRESS_H

#include "shim/base/compiler.h"

/* Shows "TEXT  42 %", at most a few times a second; `all` 0: how much there is is not known. */
void progress_show(const char *text, uint64_t done, uint64_t all);

/* Takes the line away. */
void progress_end(void);

#endif

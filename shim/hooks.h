/* SPDX-License-Identifier: MIT */
/* shim/hooks.h - what shim calls and a folder above implements
 *
 * shim never includes migrate; the link joins them. In a build without migration nobody calls these. None is
 * called when the program brings its own malloc; those that obey the environment look at AT_SECURE
 * themselves, through shim_setting().
 */
#ifndef SHIM_HOOKS_H
#define SHIM_HOOKS_H

#include "shim/base/compiler.h"

/* Reads the settings of the process and applies the plan through shim_route_change(). Called once, at the
 * end of the first allocation's initialisation, by the thread that made it; other threads may be
 * allocating already. Every backend is ready: it may allocate. Implemented by migrate/start.c. */
void shim_at_start(void);

/* Called once, out of the library's constructor and after shim_at_start(): the first moment at which a
 * thread may be started. Implemented by migrate/start.c. */
void shim_at_load(void);

/* In the child of a fork, when the pools can be used again. It may have been forked by a signal handler that
 * interrupted malloc: nothing may be allocated. Implemented by migrate/start.c. */
void shim_at_fork_child(void);

/* Called by mallocs that come through the slow path after shim_attend(true), until shim_attend(false): an
 * ordinary place in an ordinary thread, which may allocate; it does so for several threads at once, and for a
 * thread that is in the hook already. Implemented by migrate/start.c. */
void shim_at_attention(void);

/* next had no memory for a request of the class and the system behind us had: called when the request is served. At any
 * time after the first allocation; nothing may be allocated. Implemented by migrate/guard.c. */
void shim_at_next_failure(unsigned class);

/* A malloc that was sampled (next_ask_for_sample()) took so long, once it was known who serves it; by_next:
 * next served it. Nothing may be allocated. Implemented by migrate/arms.c. */
void shim_at_sample(unsigned class, bool by_next, uint64_t ns);

#endif

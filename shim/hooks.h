/* SPDX-License-Identifier: MIT */
/* shim/hooks.h - what shim calls and a folder above implements
 *
 * shim never includes migrate; the link joins them. In a build without migration nobody calls these. None is
 * called when the program brings its own malloc; those that obey the environment look at AT_SECURE
 * themselves, through shim_setting().
 */
#ifndef SHIM_HOOKS_H
#define SHIM_HOOKS_H

#include "shim/base/map.h"

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

/* --- what watch.h sees ----------------------------------------------------------------------------
 *
 * Between shim_record() and its end: mallocs after the act, frees before it, reallocs on both sides; only
 * calls that gave a block. Frees and reallocs of the blocks that have a mark (marks.h), which these
 * functions set and clear, whoever allocated them. Out of malloc and free themselves: errno is kept, nothing waits for anybody, what is allocated inside
 * is not told again if the implementation sees to that. Implemented by migrate/record.c. */

/* The pool and the layer that served a block, or serves its free. */
enum shim_served {
	SHIM_SERVED_UNKNOWN,
	SHIM_SERVED_SYSTEM,
	SHIM_SERVED_NEXT_HAND,	 /* the page that the thread has at hand */
	SHIM_SERVED_NEXT_REFILL, /* another page */
	SHIM_SERVED_NEXT_SPAN,
	SHIM_SERVED_NEXT_HUGE,
	SHIM_SERVED_LEGACY_FRESH, /* none of its layers */
	SHIM_SERVED_LEGACY_LAYER, /* + enum legacy_layer */
	SHIM_SERVED_LEGACY = SHIM_SERVED_LEGACY_LAYER + 7,
	SHIM_SERVED_NEXT,
};

/* Before a malloc that watch_may_pass() did not let pass: whether one of the next three is to be called. It says there, too,
 * how many of the thread's mallocs that follow pass without it. */
MUST_USE bool shim_before_malloc(void);
void shim_at_malloc(void *block, size_t bytes, enum shim_served served);
void shim_at_calloc(void *block, size_t count, size_t bytes, enum shim_served served);
void shim_at_aligned(void *block, size_t alignment, size_t bytes, enum shim_served served);
/* Who serves it is what watch_owner_of() says. */
void shim_at_free(void *block, enum map_kind kind);
/* True: shim_at_realloc_end() has to be called; `after` is NULL if there was no memory. */
MUST_USE bool shim_at_realloc(void *block, enum map_kind kind);
void shim_at_realloc_end(void *before, void *after, size_t bytes, enum shim_served served);

#endif

/* SPDX-License-Identifier: MIT */
/* shim/init.h - the library's first breath, and what every thread and every fork has to do
 *
 *   first call of malloc or free, or the library's constructor, whichever is earlier
 *     -> shim_init():  key for thread exit -> next -> whose malloc is it -> the allocator behind
 *                      -> legacy -> routes -> fork handlers -> shim_at_start()
 *
 * Before the routes are set every request is served by next, whoever makes it: dlsym() and
 * pthread_atfork() may allocate, and the address map finds the owner of such a block like any other's.
 * A process in which next has no memory (an address-space limit) lives on the system alone.
 */
#ifndef SHIM_INIT_H
#define SHIM_INIT_H

#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

struct legacy_thread;

/* What is there to allocate from. Written by the initialising thread alone. */
struct shim_state {
	_Atomic bool routed; /* [any thread] the routes are set, backends are ready */
	_Atomic bool next;   /* [any thread] next has its first memory */
	bool legacy;	     /* [const once routed] */
	bool stands_aside;   /* [const once routed] see shim_stands_aside() */
};
extern HIDDEN struct shim_state shim_state;

/* Initialises the library if nobody did. Returns when the routes are set, except: to the thread that is
 * initialising just now (it came back through its own allocation), to others as soon as next can serve
 * them, and to everybody while libc has no environment yet, which holds our settings. Keeps errno. */
void shim_init(void);

/* A variable of the environment; NULL if it is not set, or the program changes user or gains capabilities
 * (AT_SECURE): then nothing from outside is obeyed. */
MUST_USE const char *shim_setting(const char *name);

/* False as long as a request has to be served without routes. */
INLINE bool shim_routed(void)
{
	/* acquire: pairs with the release in set_routes(): a thread that finds no route of its own to
	 * blame on start-up has seen the backends as well */
	return load_acquire(&shim_state.routed);
}

INLINE bool shim_next_available(void)
{
	/* acquire: pairs with the release in start_next() */
	return load_acquire(&shim_state.next);
}

INLINE bool shim_legacy_available(void)
{
	return HAKMEM_MIGRATION && shim_state.legacy;
}

/* The process runs on a malloc of its own, and we are merely in the line of symbols: what the program
 * lacks (its pvalloc, say) is handed on to the system, what it has (operator new's malloc) to it, and
 * not one block of ours gets into its hands. */
INLINE bool shim_stands_aside(void)
{
	return HAKMEM_MIGRATION && HAKMEM_EXPORT_MALLOC && shim_state.stands_aside;
}

/* legacy's part of the calling thread, made at its first use; NULL if there is no memory for it. */
MUST_USE struct legacy_thread *shim_legacy_thread(void);

/* The same, NULL if it was not used yet. */
MUST_USE struct legacy_thread *shim_legacy_thread_if_any(void);

#endif

/* SPDX-License-Identifier: MIT */
/* shim/init.c - start-up, thread exit and fork; see init.h */
#include "shim/init.h"

#include "legacy/legacy.h"
#include "next/next.h"
#include "shim/base/check.h"
#include "shim/base/lock.h"
#include "shim/base/map.h"
#include "shim/checked.h"
#include "shim/hakmem.h"
#include "shim/hooks.h"
#include "shim/linker.h"
#include "shim/route.h"
#include "shim/system.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

READ_MOSTLY struct shim_state shim_state;

/* The two stages of start-up. 0: nobody has begun; else the token of the thread that does it, or did. */
static _Atomic uintptr_t next_starter, initialiser;

/* --- threads --------------------------------------------------------------------------------------
 *
 * A key's destructor tells us when a thread ends. Other destructors may run after it and allocate: the
 * thread gets a heap again, so we come back in each of libc's rounds and take that one too. After the
 * last round nobody calls us any more, and the thread is told that it gets no further heap. The key's
 * value is the number of the round to come. The key is made before anything else, so that it is one of
 * the first 32: for later ones pthread_setspecific() allocates (and comes back to a heap that is there
 * already).
 */
static pthread_key_t exit_key;
static bool exit_key_made;

static void thread_exits(void *value)
{
	uintptr_t round = (uintptr_t)value;
	if (HAKMEM_MIGRATION && next_has_heap()) {
		void **slot = next_thread_slot();
		if (slot && *slot) {
			struct legacy_thread *t = *slot;
			*slot = NULL;
			legacy_thread_exit(t);
		}
	}
	if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
		next_thread_exit();
		pthread_setspecific(exit_key, (void *)(round + 1));
	} else {
		next_thread_gone();
	}
}

/* Without a key (all 1,024 are taken) the heaps of threads that end are lost to the others. */
static void thread_starts(void)
{
	int saved_errno = errno;
	/* It is set already in a thread that is on its way out. */
	if (exit_key_made && !pthread_getspecific(exit_key))
		pthread_setspecific(exit_key, (void *)1);
	errno = saved_errno;
}

struct legacy_thread *shim_legacy_thread(void)
{
	if (!HAKMEM_MIGRATION || !shim_next_available())
		return NULL;
	void **slot = next_thread_slot();
	if (unlikely(!slot))
		return NULL;
	if (unlikely(!*slot))
		*slot = legacy_thread_start();
	return *slot;
}

struct legacy_thread *shim_legacy_thread_if_any(void)
{
	void **slot = HAKMEM_MIGRATION && next_has_heap() ? next_thread_slot() : NULL;
	return slot ? *slot : NULL;
}

/* --- fork ----------------------------------------------------------------------------------------- */

static void child_starts(void)
{
	fork_child();
	if (shim_next_available())
		next_fork_child();
	if (HAKMEM_MIGRATION && shim_legacy_available())
		legacy_fork_child();
	if (HAKMEM_MIGRATION && shim_routed() && !shim_stands_aside())
		shim_at_fork_child();
}

/* --- start-up ------------------------------------------------------------------------------------- */

extern void __tsan_init(void) __attribute__((weak));

/* A program for ThreadSanitizer, with us before its runtime: it has taken over the system calls that next makes,
 * and faults in them until its own malloc was the first to be called. (AddressSanitizer notices by itself.) */
static void refuse_sanitizer(void)
{
	if (!HAKMEM_EXPORT_MALLOC || !__tsan_init || (void *)malloc != (void *)hakmem_malloc)
		return;
	report_line("the program is built with ThreadSanitizer, which needs its own malloc: "
		    "start it without this library",
		    NULL);
	syscall(SYS_exit_group, 1);
}

static void start_next(void)
{
	refuse_sanitizer();
	exit_key_made = pthread_key_create(&exit_key, thread_exits) == 0;
	next_on_thread_start = thread_starts;
	shim_routes_init();
	/* release: pairs with the acquire in shim_next_available() */
	store_release(&shim_state.next, next_init());
}

/* A program that defines malloc itself wins over a preload. Asked by allocating: that a name has another address
 * proves nothing (it may be a wrapper that ends in our malloc, or a jump table of the program's), the block's
 * owner does. No route is set yet, so our malloc answers from next. */
static bool malloc_is_ours(void)
{
	/* The name is bound to us: then it is so for everybody, and the probe would only cost memory. */
	if (!shim_next_available() || (void *)malloc == (void *)hakmem_malloc)
		return true;
	void *probe = malloc(1);
	/* NULL says little: next may have no memory, and then our own malloc gives NULL as well. */
	bool ours = probe ? map_is_segment(map_kind_of(probe)) : !next_malloc(1);
	free(probe);
	return ours;
}

/* Somebody who merely opened the library late, for hakmem_malloc and the like, has us in no line. The
 * program's scope is asked, for RTLD_DEFAULT would include our own. */
static bool names_are_in_line(void)
{
	void *program = linker_loaded(NULL);
	return program && linker_symbol(program, "hakmem_malloc") == (void *)hakmem_malloc;
}

static void start_system(void)
{
	bool in_order = HAKMEM_EXPORT_MALLOC;
	if (HAKMEM_EXPORT_MALLOC && !malloc_is_ours()) {
		shim_state.stands_aside = names_are_in_line();
		in_order = shim_state.stands_aside;
	}
	shim_system_resolve(in_order);
}

const char *shim_setting(const char *name)
{
	return getauxval(AT_SECURE) ? NULL : getenv(name);
}

static void start_legacy(void)
{
	const char *error = NULL;
	/* Without next there is no address map, or next to no memory. */
	if (!shim_next_available() || !legacy_init())
		return;
	if (!legacy_configure(shim_setting("HAKMEM_LEGACY"), &error))
		report_line("HAKMEM_LEGACY ignored: ", error, NULL);
	shim_state.legacy = true;
}

static void start_sites(void)
{
	const char *site = shim_setting("HAKMEM_SITE");
	if (!site || !*site)
		return;
	next_slots_stay_empty = strcmp(site, "return-address") == 0;
	if (!next_slots_stay_empty)
		report_line("HAKMEM_SITE ignored: it can be return-address only", NULL);
}

static void set_routes(void)
{
	shim_routes_start(shim_stands_aside());
	/* release: pairs with the acquire in shim_routed() */
	store_release(&shim_state.routed, true);
}

/* True if the stage is the calling thread's to do. */
static bool begin(_Atomic uintptr_t *stage)
{
	uintptr_t nobody = 0;
	return cas_relaxed(stage, &nobody, thread_token());
}

static void start(void)
{
	checked_start();
	if (begin(&next_starter))
		start_next();
	if (HAKMEM_MIGRATION) {
		start_system();
		start_legacy();
	}
	start_sites();
	set_routes();
	/* As early as possible: handlers that are registered first prepare last and go on first, and
	 * those of other libraries may allocate. */
	pthread_atfork(fork_prepare, fork_parent, child_starts);
	if (!HAKMEM_MIGRATION)
		return;
	if (!shim_stands_aside())
		shim_at_start();
	else if (shim_setting("HAKMEM_PLAN"))
		report_line("the program brings its own malloc: HAKMEM_PLAN ignored", NULL);
	if (shim_stands_aside() && checked_on())
		report_line("the program brings its own malloc: HAKMEM_CHECK ignored", NULL);
}

/* Another thread is at it. It may be waiting for a lock of the dynamic linker that this one holds, so
 * do not wait for more than next. */
static void wait_for_initialiser(void)
{
	while (load_relaxed(&initialiser) != thread_token() && !shim_routed() &&
	       !shim_next_available())
		sched_yield();
}

static void start_or_wait(void)
{
	int saved_errno = errno;
	if (begin(&initialiser))
		start();
	else
		wait_for_initialiser();
	errno = saved_errno;
}

void shim_init(void)
{
	if (shim_routed())
		return;
	/* Someone allocates before libc's own constructor; ours comes after it. */
	if (environ)
		start_or_wait();
	else if (begin(&next_starter))
		start_next();
}

__attribute__((constructor)) static void at_load(void)
{
	if (!shim_routed())
		start_or_wait();
	if (shim_routed() && !shim_stands_aside())
		checked_at_load();
	if (HAKMEM_MIGRATION && shim_routed() && !shim_stands_aside())
		shim_at_load();
}

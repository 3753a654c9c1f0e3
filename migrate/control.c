/* SPDX-License-Identifier: MIT */
/* migrate/control.c - the waiting thread; see control.h
 *
 * SYNCHRONIZATION
 *   page_state   OFF -> STARTING by whoever starts the page, exchanged by compare; -> ON or -> OFF with start_error by
 *                the thread that serves it. Whoever started waits on it as on a futex
 *   file_on      set by whoever starts the watch on the plan file, once in a process
 *   pending      set in the child of a fork, cleared by the one malloc that starts what the parent had
 */
#include "migrate/control.h"

#include "migrate/apart.h"
#include "migrate/attend.h"
#include "migrate/drain.h"
#include "migrate/file.h"
#include "migrate/guard.h"
#include "migrate/record.h"
#include "migrate/report.h"
#include "next/next.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/route.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES  (HAKMEM_SANITIZER ? 1 * MIB : 128 * KIB)
#define CHILD_AGE_NS 100000000u
#define POLL_MS	     50	 /* where the page cannot be watched */
#define GUARD_MS     500
#define PURGE_MS     1000 /* a program that rests gives nothing back by itself */
#define PAUSE_MS     100 /* before a page that was removed is made again */

/* What a waiting thread does. */
#define WAIT_FOR_PAGE 1u
#define WAIT_FOR_FILE 2u
#define WAIT_ON_GUARD 4u /* nothing of its own: every one of them looks after the guards */

enum page_state { PAGE_OFF, PAGE_STARTING, PAGE_ON };

static _Atomic uint32_t page_state;
static _Atomic int start_error; /* written before the state it belongs to */
static _Atomic bool file_on, guard_on;
static _Atomic bool pending;

static bool settings_ask_for_page; /* [const after the start] */
static uint64_t forked_ns;	   /* [const after the fork's handler] */

/* --- the thread ----------------------------------------------------------------------------------- */

/* One waiting thread: what it waits for. */
struct waiter {
	unsigned what;
	int inotify; /* -1: nothing can be watched, so look now and then */
	int page_wd; /* -1: the same for the page alone */
};

static void set_page_state(enum page_state state, int error)
{
	store_relaxed(&start_error, error);
	/* release: pairs with the acquire in control_start() */
	store_release(&page_state, state);
	syscall(SYS_futex, &page_state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static bool open_page(struct waiter *waiter)
{
	char line[200];
	const char *why = NULL;
	int error = attend_open(&why);

	if (error) {
		(void)snprintf(line, sizeof(line), "no control of this process: %s", why);
		if (error != ECANCELED)
			report_text(line);
		set_page_state(PAGE_OFF, error);
		waiter->what &= ~WAIT_FOR_PAGE;
		return false;
	}
	waiter->page_wd = waiter->inotify >= 0 ? attend_watch(waiter->inotify) : -1;
	set_page_state(PAGE_ON, 0);
	return true;
}

static void serve_page(struct waiter *waiter)
{
	if ((waiter->what & WAIT_FOR_PAGE) && !attend_serve()) {
		/* Not in a hurry: whoever removes it may do so again. */
		poll(NULL, 0, PAUSE_MS);
		if (open_page(waiter))
			(void)!attend_serve();
	}
}

/* -1: never. */
static int sooner(int a_ms, int b_ms)
{
	if (a_ms < 0 || b_ms < 0)
		return a_ms < 0 ? b_ms : a_ms;
	return a_ms < b_ms ? a_ms : b_ms;
}

static int patience_ms(const struct waiter *waiter)
{
	int file_ms = waiter->what & WAIT_FOR_FILE ? file_patience_ms() : -1;
	int page_ms = waiter->what & WAIT_FOR_PAGE && waiter->page_wd < 0 ? POLL_MS : -1;

	/* Whoever arms a guard later, or starts a rollout, cannot wake it. */
	int own_ms = waiter->what & WAIT_ON_GUARD ? GUARD_MS : -1;

	return sooner(sooner(sooner(file_ms, page_ms), sooner(own_ms, PURGE_MS)),
		      sooner(guard_patience_ms(), drain_patience_ms()));
}

static void take_events(struct waiter *waiter)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t length = read(waiter->inotify, events, sizeof(events));

	for (ssize_t at = 0; at < length;) {
		const struct inotify_event *event =
			(const struct inotify_event *)(const void *)(events + at);
		at += (ssize_t)(sizeof(*event) + event->len);
		if (waiter->what & WAIT_FOR_FILE)
			(void)!file_event(waiter->inotify, event);
	}
}

static void wait_for_ever(struct waiter *waiter)
{
	struct pollfd ready = { .fd = waiter->inotify, .events = POLLIN };

	if (waiter->what & WAIT_FOR_FILE)
		file_watch(waiter->inotify);
	while (waiter->what) {
		serve_page(waiter);
		if (poll(&ready, waiter->inotify >= 0, patience_ms(waiter)) > 0)
			take_events(waiter);
		if (waiter->what & WAIT_FOR_FILE)
			file_tick(waiter->inotify);
		guard_tick();
		drain_tick();
		if (shim_next_available())
			next_purge_old();
	}
}

static void *be_the_waiting_thread(void *what)
{
	struct waiter waiter = { .what = (unsigned)(uintptr_t)what, .page_wd = -1 };

	prctl(PR_SET_NAME, "hakmem");
	if (!apart_take_table()) {
		report_text("no control of this process: it cannot have descriptors of its own");
		if (waiter.what & WAIT_FOR_PAGE)
			set_page_state(PAGE_OFF, EPERM);
		return NULL;
	}
	waiter.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (waiter.what & WAIT_FOR_PAGE)
		(void)!open_page(&waiter);
	wait_for_ever(&waiter);
	return NULL;
}

/* --- starting it ---------------------------------------------------------------------------------- */

/* A program with much thread-local storage needs more of a stack than we do. */
static int make_thread(unsigned what, size_t stack_bytes)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	int error = pthread_attr_init(&attributes);
	if (error)
		return error;
	(void)!pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (stack_bytes > 0)
		(void)!pthread_attr_setstacksize(&attributes, stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, be_the_waiting_thread,
			       (void *)(uintptr_t)what);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

static int start_thread(unsigned what)
{
	int error = make_thread(what, STACK_BYTES);
	if (error == EINVAL)
		error = make_thread(what, 0);
	if (error && (what & WAIT_FOR_PAGE))
		set_page_state(PAGE_OFF, error);
	return error;
}

static bool claim_page(void)
{
	uint32_t off = PAGE_OFF;
	return cas_relaxed(&page_state, &off, PAGE_STARTING);
}

static bool claim_file(void)
{
	bool off = false;
	return file_path()[0] && cas_relaxed(&file_on, &off, true);
}

static bool claim_guard(void)
{
	bool off = false;
	return cas_relaxed(&guard_on, &off, true);
}

static void start_wanted(void)
{
	unsigned what = 0;

	if (settings_ask_for_page && claim_page())
		what |= WAIT_FOR_PAGE;
	if (claim_file())
		what |= WAIT_FOR_FILE;
	if (guard_wants_thread() && claim_guard())
		what |= WAIT_ON_GUARD;
	if (what && start_thread(what) != 0)
		report_text("no control of this process: no thread can be made");
}

void control_read_settings(void)
{
	const char *wanted = shim_setting("HAKMEM_CONTROL"),
		   *plan = shim_setting("HAKMEM_PLAN_FILE"), *log = shim_setting("HAKMEM_LOG");

	if (log && strcmp(log, "syslog") == 0)
		report_to_syslog(true);
	else if (log && *log && strcmp(log, "stderr") != 0)
		report_text("HAKMEM_LOG: stderr or syslog; lines go to stderr");
	attend_set_runtime_directory(shim_setting("XDG_RUNTIME_DIR"));
	if (wanted && strcmp(wanted, "1") == 0)
		settings_ask_for_page = true;
	else if (wanted && *wanted && strcmp(wanted, "0") != 0)
		report_text("HAKMEM_CONTROL: 1 or 0; no control of this process");
	if (plan && *plan && !file_name(plan))
		report_text("HAKMEM_PLAN_FILE: the path is too long; it has no say");
}

void control_start_by_settings(void)
{
	start_wanted();
}

int control_start(void)
{
	if (getauxval(AT_SECURE))
		return EPERM;
	if (claim_page()) {
		int error = start_thread(WAIT_FOR_PAGE);
		if (error)
			return error;
	}
	/* acquire: pairs with the release in set_page_state() */
	while (load_acquire(&page_state) == PAGE_STARTING)
		syscall(SYS_futex, &page_state, FUTEX_WAIT_PRIVATE, PAGE_STARTING, NULL, NULL, 0);
	return load_acquire(&page_state) == PAGE_ON ? 0 : load_relaxed(&start_error);
}

int control_start_guards(void)
{
	if (!guard_wants_thread() || !claim_guard())
		return 0;
	int error = getauxval(AT_SECURE) ? EPERM : start_thread(WAIT_ON_GUARD);
	if (error)
		store_relaxed(&guard_on, false);
	return error;
}

HAKMEM_API int hakmem_control_start(void)
{
	int saved_errno = errno;
	shim_init();
	int error = !shim_routed() || shim_stands_aside() ? ENOTSUP : control_start();
	errno = saved_errno;
	return error;
}

/* --- fork, exit ----------------------------------------------------------------------------------- */

void control_fork_child(void)
{
	bool had_page = load_relaxed(&page_state) != PAGE_OFF;
	bool had_file = load_relaxed(&file_on), had_guard = load_relaxed(&guard_on);
	bool recorded = record_fork_child();

	report_fork_child();
	attend_fork_child();
	store_relaxed(&page_state, PAGE_OFF);
	store_relaxed(&file_on, false);
	store_relaxed(&guard_on, false);
	guard_fork_child();
	drain_fork_child();
	if (!had_page && !had_file && !had_guard && !recorded && !load_relaxed(&pending))
		return;
	settings_ask_for_page |= had_page;
	forked_ns = os_now_ns();
	store_relaxed(&pending, true);
	shim_attend(true);
}

bool control_is_young(void)
{
	return load_relaxed(&pending) && os_now_ns() - forked_ns < CHILD_AGE_NS;
}

void control_attention(void)
{
	bool yes = true;

	if (cas_relaxed(&pending, &yes, false)) {
		start_wanted();
		record_start_again();
	}
}

__attribute__((destructor)) static void at_exit(void)
{
	record_at_exit();
	attend_remove();
}

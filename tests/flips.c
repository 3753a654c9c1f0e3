/* SPDX-License-Identifier: MIT */
/* tests/flips.c - every class of this process takes another side, again and again; see flips.h */
#include "tests/flips.h"

#include "shim/base/atomic.h"
#include "shim/hakmem.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const char *const flips_plans[] = {
	"all=next",
	"all=old",
	"all=next@50%:thread",
	"tiny=next, large=next, mid=legacy",
	"mid=next, huge=next",
	"all=next@25%:thread/control",
	NULL,
};

const char *const flips_plans_without_system[] = {
	"all=next",
	"all=next, mid=legacy",
	"all=next, 2k-8k=legacy",
	NULL,
};

static _Atomic bool flipping;
static _Atomic unsigned long made;
static const char *const *plans; /* [const while flipping] */
static pthread_t thread;

/* For whoever has to know that it was so, also of processes that end by a signal. */
static void log_first_flip(void)
{
	char line[32];
	const char *path = getenv("FLIPS_LOG");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	int length = snprintf(line, sizeof(line), "%d\n", (int)getpid());
	if (write(fd, line, (size_t)length) != length)
		abort();
	close(fd);
}

static void *flip(void *unused)
{
	const struct timespec period = { .tv_nsec = FLIPS_PERIOD_MS * 1000000L };
	size_t count = 0;
	while (plans[count])
		count++;
	/* A process that is over before the next period still flips by itself, each another way. */
	for (size_t i = (size_t)getpid(); load_relaxed(&flipping); i++) {
		if (hakmem_plan_set(plans[i % count], NULL, 0) == 0 && fetch_add_relaxed(&made, 1) == 0)
			log_first_flip();
		clock_nanosleep(CLOCK_MONOTONIC, 0, &period, NULL);
	}
	return unused;
}

bool flips_start(const char *const list[])
{
	sigset_t all, before;
	plans = list;
	store_relaxed(&flipping, true);
	/* The process's signals are for the threads it knows of. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, NULL, flip, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	store_relaxed(&flipping, error == 0);
	return error == 0;
}

void flips_stop(void)
{
	if (!load_relaxed(&flipping))
		return;
	store_relaxed(&flipping, false);
	pthread_join(thread, NULL);
}

void flips_fork_child(void)
{
	store_relaxed(&made, 0);
	if (load_relaxed(&flipping))
		(void)!flips_start(plans);
}

unsigned long flips_made(void)
{
	return load_relaxed(&made);
}

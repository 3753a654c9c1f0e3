/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/progress.c - how far long work has come; see progress.h */
#include "migrate/tool/trace/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 200000000

static uint64_t last_ns;
static bool is_shown;

void progress_show(const char *text, uint64_t done, uint64_t all)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	uint64_t now = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
	if (now - last_ns < PERIOD_NS || !isatty(STDERR_FILENO))
		return;
	last_ns = now;
	is_shown = true;
	if (all)
		fprintf(stderr, "\r\033[K%s  %3.0f %%", text,
			100 * (double)(done < all ? done : all) / (double)all);
	else
		fprintf(stderr, "\r\033[K%s  %llu MiB", text, (unsigned long long)(done >> 20));
}

void progress_end(void)
{
	if (is_shown)
		fputs("\r\033[K", stderr);
	is_shown = false;
}

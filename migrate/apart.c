/* SPDX-License-Identifier: MIT */
/* migrate/apart.c - a thread with a descriptor table of its own; see apart.h */
#include "migrate/apart.h"

#include "migrate/report.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1u << 1)
#endif

static bool unshare_and_close_everything(void)
{
#if defined(SYS_close_range)
	return syscall(SYS_close_range, 0u, ~0u, CLOSE_RANGE_UNSHARE) == 0;
#else
	return false;
#endif
}

/* Kernels before 5.9: one by one, as /proc lists them, else as far as numbers go. */
static void close_one_by_one(void)
{
	struct rlimit limit;
	int max = 65536;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)max)
		max = (int)limit.rlim_cur;
	for (int fd = 0; fd < max; fd++)
		close(fd);
}

static bool take_own_table(void)
{
	if (unshare_and_close_everything())
		return true;
	if (unshare(CLONE_FILES) != 0)
		return false;
	close_one_by_one();
	return true;
}

/* Nothing of ours becomes number 2: a sanitizer, or a check that fails, would write there. */
static void take_standard_numbers(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd < STDERR_FILENO)
		fd = dup(fd);
}

/* ThreadSanitizer knows one table a process: with two it takes equal numbers for one descriptor. */
bool apart_take_table(void)
{
	if (THREAD_SANITIZER)
		return true;
	if (!take_own_table())
		return false;
	take_standard_numbers();
	report_from_apart();
	return true;
}

/* SPDX-License-Identifier: MIT */
/* migrate/report.c - lines for people; see report.h */
#include "migrate/report.h"

#include "shim/base/atomic.h"
#include "shim/base/check.h"
#include "shim/base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_BYTES  512
#define PATIENCE_MS 20

#define APART_MAX 3

static _Atomic uintptr_t apart[APART_MAX]; /* [any thread] thread tokens; 0: none */

void report_from_apart(void)
{
	for (size_t i = 0; i < APART_MAX; i++) {
		uintptr_t nobody = 0;
		if (cas_relaxed(&apart[i], &nobody, thread_token()))
			return;
	}
}

void report_ends(void)
{
	for (size_t i = 0; i < APART_MAX; i++) {
		uintptr_t self = thread_token();
		(void)!cas_relaxed(&apart[i], &self, 0);
	}
}

void report_fork_child(void)
{
	for (size_t i = 0; i < APART_MAX; i++)
		store_relaxed(&apart[i], 0);
}

static bool is_apart(void)
{
	for (size_t i = 0; i < APART_MAX; i++)
		if (load_relaxed(&apart[i]) == thread_token())
			return true;
	return false;
}

/* By name it can be had without waiting, and where the kernel allows no descriptors to be taken, but not if it is
 * a socket; as a descriptor of the program's, whatever it is. */
static int open_standard_error(void)
{
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/2", (int)getpid());
	int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_getfd)
	if (fd < 0) {
		int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
		if (self >= 0) {
			fd = (int)syscall(SYS_pidfd_getfd, self, STDERR_FILENO, 0);
			close(self);
		}
	}
#endif
	return fd;
}

/* The whole line or nothing: a pipe or socket that takes some takes PIPE_BUF. */
static void write_apart(const char *line, size_t length)
{
	int fd = open_standard_error();
	if (fd < 0)
		return;
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	if (poll(&writable, 1, PATIENCE_MS) == 1 && (writable.revents & POLLOUT))
		(void)!write(fd, line, length);
	close(fd);
}

void report_text(const char *text)
{
	static const char prefix[] = "hakmem: ";
	char line[LINE_BYTES];
	int saved_errno = errno;

	if (!is_apart()) {
		report_line(text, NULL);
		return;
	}
	size_t length = strnlen(text, sizeof(line) - sizeof(prefix));
	memcpy(line, prefix, sizeof(prefix) - 1);
	memcpy(line + sizeof(prefix) - 1, text, length);
	line[sizeof(prefix) - 1 + length] = '\n';
	write_apart(line, sizeof(prefix) + length);
	errno = saved_errno;
}

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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_BYTES  512
#define PATIENCE_MS 20
#define THREADS	    4

static _Atomic bool to_syslog; /* [any thread] */
static _Atomic uintptr_t apart[THREADS]; /* [any thread] thread tokens; 0: none */

void report_from_apart(void)
{
	for (size_t i = 0; i < THREADS; i++) {
		uintptr_t nobody = 0;
		if (cas_relaxed(&apart[i], &nobody, thread_token()))
			return;
	}
}

void report_ends(void)
{
	for (size_t i = 0; i < THREADS; i++) {
		uintptr_t self = thread_token();
		(void)!cas_relaxed(&apart[i], &self, 0);
	}
}

void report_fork_child(void)
{
	for (size_t i = 0; i < THREADS; i++)
		store_relaxed(&apart[i], 0);
}

static bool is_apart(void)
{
	bool found = false;
	for (size_t i = 0; i < THREADS; i++)
		found |= load_relaxed(&apart[i]) == thread_token();
	return found;
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

void report_to_syslog(bool wanted)
{
	store_relaxed(&to_syslog, wanted);
}

/* The protocol of /dev/log (RFC 3164), by hand: syslog(3) allocates. Never waits. */
static bool write_syslog(const char *text)
{
	struct sockaddr_un log = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	char line[LINE_BYTES + 64];
	bool done;

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	int length = snprintf(line, sizeof(line), "<%d>hakmem[%d]: %s", LOG_DAEMON | LOG_WARNING,
			      (int)getpid(), text);
	done = length > 0 && sendto(fd, line, strlen(line), MSG_NOSIGNAL,
				    (const struct sockaddr *)(const void *)&log, sizeof(log)) > 0;
	close(fd);
	return done;
}

void report_text(const char *text)
{
	static const char prefix[] = "hakmem: ";
	char line[LINE_BYTES];
	int saved_errno = errno;

	if (load_relaxed(&to_syslog) && write_syslog(text)) {
		errno = saved_errno;
		return;
	}
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

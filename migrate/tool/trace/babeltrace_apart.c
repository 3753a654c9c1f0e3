/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/babeltrace_apart.c - libbabeltrace2 in a process of its own
 *
 * There are files that the library dies of: a clock without a frequency makes it divide by zero. So a child reads, and
 * hands over one event after the other; what it dies of is an error like any other.
 *
 *   child    opens the trace ----> answer: TRACE_OK, or TRACE_WRONG and the error
 *   parent   reads on -----------> which process's events it wants
 *   child    reads --------------> an answer for each event; the last one is not TRACE_OK
 */
#include "migrate/tool/trace/format.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child is a fork: pointers to constants mean the same on both sides. */
struct answer {
	enum trace_status status;
	struct trace_event event;   /* TRACE_OK */
	struct trace_traits traits;
};

struct apart {
	pid_t child; /* 0: it was waited for */
	FILE *answers;
	bool asked;
};

/* --- the child ---------------------------------------------------------------------------------- */

static void answer_wrong(FILE *out, const struct trace_error *error)
{
	const struct answer answer = { .status = TRACE_WRONG };

	(void)fwrite(&answer, sizeof(answer), 1, out);
	(void)fwrite(error, sizeof(*error), 1, out);
}

static void serve(const char *path, int fd)
{
	struct trace_error error = { "" };
	struct answer answer = { .status = TRACE_OK };
	uint64_t process;

	FILE *out = fdopen(fd, "w");
	struct trace_reader *reader = out ? trace_open_babeltrace_here(path, &error) : NULL;
	if (!reader && out) {
		answer_wrong(out, &error);
		(void)fflush(out);
	}
	if (!reader)
		return;
	if (fwrite(&answer, sizeof(answer), 1, out) != 1 || fflush(out) != 0 ||
	    read(fd, &process, sizeof(process)) != (ssize_t)sizeof(process))
		return;
	trace_only_process(reader, process);
	do {
		answer.status = trace_next(reader, &answer.event, &error);
		answer.traits = *trace_traits(reader);
		if (answer.status == TRACE_WRONG)
			answer_wrong(out, &error);
		else if (fwrite(&answer, sizeof(answer), 1, out) != 1)
			return;
	} while (answer.status == TRACE_OK);
	(void)fflush(out);
}

static _Noreturn void run_child(const char *path, int fd)
{
	/* The first two are the command's to catch, the others a sanitizer's, which would tell of the library's faults. */
	static const int signals[] = { SIGINT, SIGPIPE, SIGFPE,
				       SIGSEGV, SIGBUS, SIGILL, SIGABRT };
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_DFL);
	/* Nor is anybody to read the library's last words. */
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere >= 0)
		(void)dup2(nowhere, STDERR_FILENO);
	serve(path, fd);
	_exit(0);
}

/* --- the parent --------------------------------------------------------------------------------- */

static void end_child(struct apart *own, int *status)
{
	while (own->child && waitpid(own->child, status, 0) < 0 && errno == EINTR)
		;
	own->child = 0;
}

static enum trace_status take_answer(struct apart *own, struct answer *answer,
				     struct trace_error *error)
{
	int status = 0;

	if (fread(answer, sizeof(*answer), 1, own->answers) == 1 &&
	    (answer->status != TRACE_WRONG || fread(error, sizeof(*error), 1, own->answers) == 1))
		return answer->status;
	end_child(own, &status);
	if (WIFSIGNALED(status))
		trace_error_set(error, "libbabeltrace2: died of this trace: %s",
				strsignal(WTERMSIG(status)));
	else
		trace_error_set(error, "libbabeltrace2: ended in the middle of this trace");
	return TRACE_WRONG;
}

static enum trace_status next(struct trace_reader *reader, struct trace_event *event,
			      struct trace_error *error)
{
	struct apart *own = reader->own;
	struct answer answer;

	if (!own->asked) {
		own->asked = true;
		/* Where it has gone already the answer says so. */
		(void)send(fileno(own->answers), &reader->only_process,
			   sizeof(reader->only_process), MSG_NOSIGNAL);
	}
	enum trace_status status = take_answer(own, &answer, error);
	if (status == TRACE_WRONG)
		return status;
	reader->traits = answer.traits;
	if (status == TRACE_OK)
		*event = answer.event;
	return status;
}

/* A child that still has something to say is told by the closed socket. */
static void close_apart(struct trace_reader *reader)
{
	struct apart *own = reader->own;
	int status;

	if (own->answers)
		(void)fclose(own->answers);
	end_child(own, &status);
	free(own);
}

static void progress(const struct trace_reader *reader, uint64_t *done, uint64_t *all)
{
	(void)reader;
	*done = *all = 0;
}

static bool start(struct apart *own, const char *path)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	own->answers = fdopen(pair[0], "r");
	own->child = own->answers ? fork() : -1;
	if (own->child == 0) {
		close(pair[0]);
		run_child(path, pair[1]);
	}
	int reason = errno;
	close(pair[1]);
	if (!own->answers)
		close(pair[0]);
	if (own->child > 0)
		return true;
	own->child = 0;
	errno = reason;
	return false;
}

struct trace_reader *trace_open_babeltrace(const char *path, struct trace_error *error)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	struct apart *own = calloc(1, sizeof(*own));
	struct answer answer;

	if (!reader || !own) {
		trace_error_set(error, "%s", strerror(ENOMEM));
		free(reader);
		free(own);
		return NULL;
	}
	reader->source.fd = -1;
	reader->own = own;
	reader->next = next;
	reader->close = close_apart;
	reader->progress = progress;
	reader->traits = (struct trace_traits){ .format = "ctf", .title = "CTF" };
	if (!start(own, path))
		trace_error_set(error, "%s", strerror(errno));
	else if (take_answer(own, &answer, error) == TRACE_OK)
		return reader;
	trace_close(reader);
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/engine.c - programs compiled and child processes run; see engine.h */
#include "migrate/tool/replay/engine.h"

#include "migrate/tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_NAME "hakmem-replay"
#ifndef HAKMEM_LIBEXECDIR
#define HAKMEM_LIBEXECDIR "/usr/local/libexec/hakmem" /* the build passes its own */
#endif

static volatile sig_atomic_t interrupted;

/* --- files -------------------------------------------------------------------------------------- */

static bool is_program(char *path, const char *folder, const char *below)
{
	return snprintf(path, PATH_MAX, "%s/%s" CHILD_NAME, folder, below) < PATH_MAX &&
	       access(path, X_OK) == 0;
}

bool engine_find_child(const char *name, char *path)
{
	char folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

	if (length > 0) {
		folder[length] = '\0';
		char *slash = strrchr(folder, '/');
		if (slash)
			*slash = '\0';
		size_t end = strlen(folder);
		if (end > 6 && strcmp(folder + end - 6, "/.libs") == 0)
			folder[end - 6] = '\0';
		if (is_program(path, folder, "") || is_program(path, folder, "../libexec/hakmem/"))
			return true;
	}
	if (is_program(path, HAKMEM_LIBEXECDIR, ""))
		return true;
	tool_error(name, "no " CHILD_NAME " beside this command nor in " HAKMEM_LIBEXECDIR);
	return false;
}

int engine_make_file(const char *name)
{
	const char *folder = getenv("TMPDIR");
	char path[PATH_MAX];

	if (!folder || !*folder)
		folder = "/tmp";
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* Not every file system has files without a name. */
	if (snprintf(path, sizeof(path), "%s/hakmem-replay-XXXXXX", folder) < (int)sizeof(path)) {
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0) {
			(void)unlink(path);
			return fd;
		}
	}
	tool_error(name, "no temporary file in %s: %s", folder, strerror(errno));
	return -1;
}

bool engine_read_preload(const char *name, const char *preload, char *path, const char **result)
{
	*result = NULL;
	if (!preload || strcmp(preload, "glibc") == 0)
		return true;
	*result = preload;
	if (!strchr(preload, '/')) { /* a name that the loader knows where to find */
		if (!preload[strcspn(preload, " :$")] && *preload)
			return true;
	} else if (!realpath(preload, path)) {
		tool_error(name, "%s: %s", preload, strerror(errno));
		return false;
	} else {
		*result = path;
		if (!path[strcspn(path, " :$")])
			return true;
	}
	tool_error(name, "%s: a path with a blank, ':' or '$' cannot be preloaded", *result);
	return false;
}

/* --- interrupts --------------------------------------------------------------------------------- */

static void on_interrupt(int number)
{
	interrupted = number;
}

void engine_catch_interrupts(void)
{
	struct sigaction action = { .sa_handler = on_interrupt }; /* no SA_RESTART: waits end */
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

bool engine_is_interrupted(void)
{
	return interrupted != 0;
}

/* --- the child ---------------------------------------------------------------------------------- */

static struct replay_shared *make_page(int *fd, struct trace_error *error)
{
	*fd = memfd_create("hakmem-replay", MFD_CLOEXEC);
	if (*fd >= 0 && ftruncate(*fd, sizeof(struct replay_shared)) == 0) {
		struct replay_shared *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
						  MAP_SHARED, *fd, 0);
		if (page != MAP_FAILED) {
			page->magic = PROGRAM_MAGIC;
			return page;
		}
	}
	trace_error_set(error, "no page to report in: %s", strerror(errno));
	if (*fd >= 0)
		close(*fd);
	return NULL;
}

static bool set_environment(const struct engine_side *side)
{
	const char *library = side->plan ? side->library : "";
	const char *other = side->preload ? side->preload : "";
	char both[2 * PATH_MAX];

	if (unsetenv("HAKMEM_PLAN_FILE") != 0 || unsetenv("HAKMEM_CONTROL") != 0 ||
	    unsetenv("HAKMEM_PLAN") != 0 || unsetenv("LD_PRELOAD") != 0)
		return false;
	if (side->plan && setenv("HAKMEM_PLAN", side->plan, 1) != 0)
		return false;
	int length = snprintf(both, sizeof(both), "%s%s%s", library, *library && *other ? ":" : "",
			      other);
	if (length < 0 || length >= (int)sizeof(both))
		return false;
	return !*both || setenv("LD_PRELOAD", both, 1) == 0;
}

static _Noreturn void become_child(const char *child, int program, int page,
				   const struct engine_side *side)
{
	char arguments[2][16];

	/* The child's own copies, without close-on-exec. */
	program = dup(program);
	page = dup(page);
	(void)snprintf(arguments[0], sizeof(arguments[0]), "%d", program);
	(void)snprintf(arguments[1], sizeof(arguments[1]), "%d", page);
	if (program >= 0 && page >= 0 && set_environment(side))
		execl(child, CHILD_NAME, arguments[0], arguments[1], (char *)NULL);
	_exit(127);
}

/* Whether malloc is where it should be, for the loader only warns of a library that it cannot preload. */
static bool check_preload(const struct replay_shared *page, const struct engine_side *side,
			  struct trace_error *error)
{
	const char *serves = page->serves_malloc;
	bool is_libc = strstr(serves, "/libc.so") || strstr(serves, "/libc-");

	if (side->plan && !page->hakmem[0]) {
		trace_error_set(error, "the hakmem library did not take effect: malloc is that of %s",
				serves);
		return false;
	}
	if (!side->plan && side->preload && is_libc) {
		trace_error_set(error, "%s did not take effect: malloc is that of %s", side->preload,
				serves);
		return false;
	}
	if (!side->plan && !side->preload && !is_libc) {
		trace_error_set(error, "malloc is that of %s, not libc's (/etc/ld.so.preload?)",
				serves);
		return false;
	}
	return true;
}

static bool check_end(const struct replay_shared *page, const struct engine_side *side, int status,
		      struct trace_error *error)
{
	if (page->stage == REPLAY_STAGE_FINISHED)
		return check_preload(page, side, error);
	if (page->error[0])
		trace_error_set(error, "%.*s", (int)sizeof(page->error) - 1, page->error);
	else if (interrupted)
		error->text[0] = '\0';
	else if (WIFSIGNALED(status) && page->stage == REPLAY_STAGE_RUNNING)
		trace_error_set(error, "ended by %s in the middle of the replay, by the allocator "
				       "or by somebody else",
				strsignal(WTERMSIG(status)));
	else if (WIFSIGNALED(status))
		trace_error_set(error, "ended by %s before the replay began",
				strsignal(WTERMSIG(status)));
	else
		trace_error_set(error, "ended with status %d before the replay began",
				WEXITSTATUS(status));
	return false;
}

struct replay_shared *engine_run(const char *child, int program, const struct engine_side *side,
				 const struct replay_flip *flips, unsigned flip_count,
				 unsigned time_every, struct trace_error *error)
{
	int fd, status = 0;
	struct replay_shared *page = make_page(&fd, error);

	if (!page)
		return NULL;
	page->time_every = time_every;
	page->flips = flip_count;
	if (flip_count)
		memcpy(page->flip, flips, flip_count * sizeof(*flips));
	pid_t pid = fork();
	if (pid == 0)
		become_child(child, program, fd, side);
	close(fd);
	if (pid < 0) {
		trace_error_set(error, "%s", strerror(errno));
		engine_free(page);
		return NULL;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		if (interrupted)
			(void)kill(pid, SIGKILL);
	if (check_end(page, side, status, error))
		return page;
	engine_free(page);
	return NULL;
}

void engine_free(struct replay_shared *result)
{
	if (result)
		(void)munmap(result, sizeof(*result));
}

/* --- times -------------------------------------------------------------------------------------- */

static void add_times(struct engine_times *times, const struct replay_times *more, double *ticks)
{
	times->count += more->count;
	*ticks += (double)more->ticks;
	for (unsigned i = 0; i < REPLAY_BUCKETS; i++)
		times->bucket[i] += more->bucket[i];
}

void engine_times(const struct replay_shared *result, unsigned call, unsigned class,
		  struct engine_times *times)
{
	double ticks = 0;

	*times = (struct engine_times){ .count = 0 };
	for (unsigned shard = 0; shard < REPLAY_SHARDS; shard++)
		for (unsigned i = 0; i < REPLAY_CALLS; i++)
			for (unsigned j = 0; j < NEXT_CLASSES; j++)
				if ((call == REPLAY_CALLS || call == i) &&
				    (class == NEXT_CLASSES || class == j))
					add_times(times, &result->times[shard][i][j], &ticks);
	if (times->count)
		times->mean_ns = ticks * 1e9 / (double)result->ticks_per_s / (double)times->count;
}

double engine_percentile(const struct engine_times *times, double percent)
{
	double before = 0, want = (double)times->count * percent / 100;

	if (!times->count)
		return NAN;
	for (unsigned i = 0; i < REPLAY_BUCKETS; i++) {
		double here = (double)times->bucket[i];
		if (here > 0 && before + here >= want) {
			/* Evenly over the bucket. */
			double low = (double)replay_bucket_ns(i);
			double high = (double)replay_bucket_ns(i + 1);
			return low + (high - low) * (want > before ? (want - before) / here : 0);
		}
		before += here;
	}
	return (double)replay_bucket_ns(REPLAY_BUCKETS - 1);
}

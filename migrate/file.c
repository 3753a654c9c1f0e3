/* SPDX-License-Identifier: MIT */
/* migrate/file.c - the plan file; see file.h
 *
 * What is watched: for every symbolic link on the way to the file the folder that holds the link, and the folder that
 * holds the file itself, each with the one name that matters in it. Any event on such a name means to look again from
 * the beginning. Folders that are no link and are exchanged as a whole are seen when the folder watched is the one that
 * moves.
 */
#include "migrate/file.h"

#include "migrate/report.h"
#include "migrate/state.h"
#include "shim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHES_MAX 16
#define LINKS_MAX   40 /* the kernel's own limit */
#define QUIET_NS    1000000000u
#define RETRY_MS    1000 /* where nothing can be watched */

#define WATCH_EVENTS                                                                               \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_TO | IN_MOVED_FROM |        \
	 IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* A name in a folder. */
struct watch {
	int wd;
	char name[NAME_MAX + 1];
};

/* [one thread at a time: the starting one, then the waiting one] */
static char path[PATH_MAX];
static char last_text[PLAN_TEXT_MAX + 1]; /* what was read last, right or wrong */
static size_t last_length;
static bool last_known;
static char last_problem[STATE_ERROR_BYTES];
static struct watch watches[WATCHES_MAX];
static unsigned watch_count;
static bool watches_complete; /* everything on the way is watched */
static uint64_t quiet_at_ns;  /* the file is being written: look then at the latest; 0: it is not */

bool file_name(const char *name)
{
	size_t used = 0;

	if (name[0] != '/') {
		if (!getcwd(path, sizeof(path) - 1))
			path[0] = '\0';
		used = strlen(path);
		path[used++] = '/';
	}
	size_t length = strlen(name);
	if (length == 0 || used + length >= sizeof(path)) {
		path[0] = '\0';
		return false;
	}
	memcpy(path + used, name, length + 1);
	return true;
}

const char *file_path(void)
{
	return path;
}

/* --- reading -------------------------------------------------------------------------------------- */

static const char *open_problem(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "there is no such file";
	case EACCES:
	case EPERM:
		return "it may not be read";
	case ELOOP:
		return "too many symbolic links";
	default:
		return "it cannot be read";
	}
}

static const char *check_stat(const struct stat *stat_of)
{
	if (!S_ISREG(stat_of->st_mode))
		return "it is no regular file";
	if (stat_of->st_uid != 0 && stat_of->st_uid != geteuid())
		return "it belongs neither to root nor to the user of the process";
	if (stat_of->st_mode & (S_IWGRP | S_IWOTH))
		return "others may write it";
	return NULL;
}

static bool same_version(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* All of it, or one byte more than a plan may have. */
static ssize_t read_all(int fd, char *text)
{
	size_t used = 0;
	while (used < PLAN_TEXT_MAX + 1) {
		ssize_t count = pread(fd, text + used, PLAN_TEXT_MAX + 1 - used, (off_t)used);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		used += (size_t)count;
	}
	return (ssize_t)used;
}

/* NULL and the text, or what is wrong. */
static const char *read_open_file(int fd, char *text, size_t *length)
{
	struct stat before, after;
	ssize_t count;

	if (fstat(fd, &before) != 0)
		return open_problem(errno);
	const char *problem = check_stat(&before);
	if (problem)
		return problem;
	count = read_all(fd, text);
	if (count < 0 || fstat(fd, &after) != 0)
		return open_problem(errno);
	if (!same_version(&before, &after))
		quiet_at_ns = os_now_ns() + QUIET_NS;
	*length = (size_t)count;
	return NULL;
}

/* Asked before it is opened as well: opening alone may do something to what is no regular file. */
static const char *read_file(char *text, size_t *length)
{
	struct stat stat_of;

	if (stat(path, &stat_of) != 0)
		return open_problem(errno);
	const char *problem = check_stat(&stat_of);
	if (problem)
		return problem;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return open_problem(errno);
	problem = read_open_file(fd, text, length);
	close(fd);
	return problem;
}

/* One line for each new problem, and what stays. The text of the file is not shown: it may be another one. */
static void complain(const char *problem)
{
	char line[512], start[8];
	bool has_plan = state_plan_text(SOURCE_FILE, start, sizeof(start)) > 0;

	state_set_error(SOURCE_FILE, problem);
	if (strcmp(problem, last_problem) == 0)
		return;
	(void)snprintf(last_problem, sizeof(last_problem), "%s", problem);
	(void)snprintf(line, sizeof(line), "HAKMEM_PLAN_FILE: %.200s: %s; %s", path, problem,
		       has_plan ? "the last good plan stays" : "it has no say");
	report_text(line);
}

/* Lines may end wherever blanks may stand. */
static void lines_to_blanks(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ' ';
}

static void take(const char *text, size_t length)
{
	struct state_outcome outcome;
	struct plan_error error;
	char problem[STATE_ERROR_BYTES];

	if (state_set_plan(SOURCE_FILE, text, length, &error, &outcome)) {
		last_problem[0] = '\0';
		if (outcome.unavailable > 0)
			complain("what serves some classes has no memory; they stay old");
		return;
	}
	(void)snprintf(problem, sizeof(problem), "%s (byte %zu)", error.reason, error.offset);
	complain(problem);
}

void file_load(void)
{
	char text[PLAN_TEXT_MAX + 1];
	size_t length = 0;
	int saved_errno = errno;
	const char *problem = read_file(text, &length);

	if (problem) {
		last_known = false;
		complain(problem);
	} else if (!last_known || length != last_length || memcmp(text, last_text, length) != 0) {
		last_known = true;
		last_length = length;
		memcpy(last_text, text, length);
		lines_to_blanks(text, length);
		take(text, length);
	}
	errno = saved_errno;
}

/* --- watching ------------------------------------------------------------------------------------- */

static void watch_folder(int inotify, const char *folder, const char *name)
{
	if (watch_count == WATCHES_MAX || strlen(name) > NAME_MAX) {
		watches_complete = false;
		return;
	}
	int wd = inotify_add_watch(inotify, folder[0] ? folder : "/", WATCH_EVENTS);
	if (wd < 0) {
		watches_complete = false;
		return;
	}
	watches[watch_count].wd = wd;
	strcpy(watches[watch_count].name, name);
	watch_count++;
}

/* Goes the way from the root to the file, link by link. `done` is a folder's path without links, `todo` what is left
 * to go from there. */
struct way {
	char done[PATH_MAX];
	char todo[PATH_MAX];
	unsigned links;
};

static void go_up(struct way *way)
{
	char *slash = strrchr(way->done, '/');
	if (slash)
		*slash = '\0';
}

/* Cuts the next name off what is left; false at the end. */
static bool next_name(struct way *way, char name[NAME_MAX + 2])
{
	const char *start = way->todo + strspn(way->todo, "/");
	size_t length = strcspn(start, "/");

	if (length == 0 || length > NAME_MAX)
		return false;
	memcpy(name, start, length);
	name[length] = '\0';
	memmove(way->todo, start + length, strlen(start + length) + 1);
	return true;
}

/* The link's target goes before what is left. False if that is too long. */
static bool follow(struct way *way, const char *target)
{
	size_t length = strlen(target), rest = strlen(way->todo);

	if (++way->links > LINKS_MAX || length + rest >= sizeof(way->todo))
		return false;
	memmove(way->todo + length, way->todo, rest + 1);
	memcpy(way->todo, target, length);
	if (target[0] == '/')
		way->done[0] = '\0';
	return true;
}

/* One step; false at the end of the way, or where it does not go on. */
static bool step(int inotify, struct way *way)
{
	char name[NAME_MAX + 2], link[PATH_MAX], target[PATH_MAX];

	if (!next_name(way, name))
		return false;
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		go_up(way);
		return true;
	}
	int used = snprintf(link, sizeof(link), "%s/%s", way->done, name);
	if (used < 0 || (size_t)used >= sizeof(link))
		return false;
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	bool last = way->todo[strspn(way->todo, "/")] == '\0';
	bool is_missing = length < 0 && errno == ENOENT;
	if (length < 0 && errno != ENOENT && errno != EINVAL)
		watches_complete = false; /* not allowed to look, for example */
	if (length >= 0 || last || is_missing)
		watch_folder(inotify, way->done, name);
	if (length >= 0) {
		target[length] = '\0';
		return follow(way, target);
	}
	strcpy(way->done, link);
	return !last && !is_missing;
}

static bool still_watched(int wd)
{
	for (unsigned i = 0; i < watch_count; i++)
		if (watches[i].wd == wd)
			return true;
	return false;
}

void file_watch(int inotify)
{
	static struct way way;
	int before[WATCHES_MAX];
	unsigned before_count = watch_count;

	for (unsigned i = 0; i < before_count; i++)
		before[i] = watches[i].wd;
	watch_count = 0;
	watches_complete = inotify >= 0;
	way.done[0] = '\0';
	way.links = 0;
	strcpy(way.todo, path);
	while (inotify >= 0 && step(inotify, &way))
		;
	for (unsigned i = 0; i < before_count; i++)
		if (!still_watched(before[i]))
			(void)!inotify_rm_watch(inotify, before[i]);
	/* What changed before the watches were there is found now. */
	file_load();
}

static bool concerns(const struct inotify_event *event)
{
	for (unsigned i = 0; i < watch_count; i++)
		if (watches[i].wd == event->wd &&
		    (event->len == 0 || strcmp(event->name, watches[i].name) == 0))
			return true;
	return false;
}

bool file_event(int inotify, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW) {
		file_watch(inotify);
		return false; /* others may have lost something as well */
	}
	if (!still_watched(event->wd))
		return false;
	if (!concerns(event) || event->mask & IN_IGNORED)
		return true;
	if (event->mask & (IN_MODIFY | IN_CREATE)) {
		/* Not yet: half a plan may be a plan. */
		quiet_at_ns = os_now_ns() + QUIET_NS;
		if (!(event->mask & IN_CREATE))
			return true;
		/* A link is whole when it is there. */
		struct stat stat_of;
		if (lstat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode))
			return true;
	}
	if (!(event->mask & IN_ATTRIB))
		quiet_at_ns = 0;
	if (quiet_at_ns == 0)
		file_watch(inotify);
	return true;
}

int file_patience_ms(void)
{
	uint64_t now_ns = os_now_ns();

	if (quiet_at_ns != 0)
		return quiet_at_ns <= now_ns ? 0 : (int)((quiet_at_ns - now_ns) / 1000000) + 1;
	return path[0] && !watches_complete ? RETRY_MS : -1;
}

void file_tick(int inotify)
{
	if (quiet_at_ns != 0 && os_now_ns() < quiet_at_ns)
		return;
	if (quiet_at_ns == 0 && watches_complete)
		return;
	quiet_at_ns = 0;
	file_watch(inotify);
}

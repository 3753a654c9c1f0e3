/* SPDX-License-Identifier: MIT */
/* migrate/tool/client.c - the command's side of the control page; see client.h */
#include "migrate/tool/client.h"

#include "migrate/identity.h"
#include "migrate/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 20 /* between looks, beside the events */

/* --- what /proc tells ----------------------------------------------------------------------------- */

/* The beginning of a file below /proc/PID, with a NUL. -1 if it cannot be read. */
static ssize_t read_proc(pid_t pid, const char *name, char *out, size_t room)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t used = 0;
	ssize_t count;
	while (used < room - 1 && (count = read(fd, out + used, room - 1 - used)) > 0)
		used += (size_t)count;
	close(fd);
	out[used] = '\0';
	return (ssize_t)used;
}

/* What stands behind "NAME:" in /proc/PID/status, or NULL. */
static const char *status_line(const char *text, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1;
	}
	return NULL;
}

static uint64_t last_number(const char *line)
{
	uint64_t number = 0;
	while (*line == ' ' || *line == '\t' || (*line >= '0' && *line <= '9')) {
		char *end;
		uint64_t value = strtoull(line, &end, 10);
		if (end == line)
			break;
		number = value;
		line = end;
	}
	return number;
}

/* A user's number inside of the process's user namespace. */
static uid_t inner_uid(pid_t pid, uid_t uid)
{
	char text[4096];
	char *save = NULL;

	if (read_proc(pid, "uid_map", text, sizeof(text)) <= 0)
		return uid;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long inner, outer, count;
		if (sscanf(line, "%lu %lu %lu", &inner, &outer, &count) == 3 && uid >= outer &&
		    uid - outer < count)
			return (uid_t)(inner + (uid - outer));
	}
	return uid;
}

bool client_look_up(pid_t pid, struct client_process *process)
{
	char text[8192];
	ssize_t length;

	*process = (struct client_process){ .pid = pid, .inner_pid = (uint64_t)pid };
	if (pid <= 0 || read_proc(pid, "status", text, sizeof(text)) <= 0)
		return false;
	const char *numbers = status_line(text, "NSpid"), *users = status_line(text, "Uid");
	unsigned real, effective;
	if (numbers)
		process->inner_pid = last_number(numbers);
	if (!users || sscanf(users, "%u %u", &real, &effective) != 2)
		return false;
	process->uid = effective;
	process->inner_uid = inner_uid(pid, effective);
	length = read_proc(pid, "comm", text, sizeof(process->name));
	if (length > 0) {
		text[strcspn(text, "\n")] = '\0';
		memcpy(process->name, text, strlen(text) + 1);
	}
	length = read_proc(pid, "stat", text, sizeof(text));
	if (length > 0)
		process->start_ticks = identity_start_ticks(text, (size_t)length);
	return true;
}

void client_read_usage(const struct client_process *process, struct client_usage *usage)
{
	char text[8192];
	struct timespec now;
	long ticks = sysconf(_SC_CLK_TCK);

	*usage = (struct client_usage){ .threads = 0 };
	if (read_proc(process->pid, "status", text, sizeof(text)) > 0) {
		const char *resident = status_line(text, "VmRSS");
		const char *threads = status_line(text, "Threads");
		usage->resident_bytes = resident ? strtoull(resident, NULL, 10) * KIB : 0;
		usage->threads = threads ? strtoull(threads, NULL, 10) : 0;
	}
	if (process->start_ticks && ticks > 0 && clock_gettime(CLOCK_BOOTTIME, &now) == 0) {
		uint64_t started = process->start_ticks / (uint64_t)ticks;
		usage->age_s = (uint64_t)now.tv_sec > started ? (uint64_t)now.tv_sec - started : 0;
	}
}

/* XDG_RUNTIME_DIR as the process was started with. A program that writes its title over its environment (redis-server,
 * postgres) does not tell: then our own, "" if there is none. What is found there is checked like everything else. */
static void runtime_directory_of(pid_t pid, char out[PLACE_BYTES])
{
	static const char name[] = "XDG_RUNTIME_DIR=";
	static char text[256 * 1024];
	ssize_t length = read_proc(pid, "environ", text, sizeof(text));

	out[0] = '\0';
	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(text + at) + 1) {
		const char *value = text + at + sizeof(name) - 1;
		if (strncmp(text + at, name, sizeof(name) - 1) == 0 && strlen(value) < PLACE_BYTES)
			memcpy(out, value, strlen(value) + 1);
	}
	const char *own = out[0] ? NULL : getenv("XDG_RUNTIME_DIR");
	if (own && strlen(own) < PLACE_BYTES)
		memcpy(out, own, strlen(own) + 1);
}

/* --- opening -------------------------------------------------------------------------------------- */

/* A folder below the root of the process, and no link leads out of there. Kernels before 5.6 cannot promise that: there
 * only the caller's own root is looked through. */
static int open_below(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	if (root < 0)
		return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* An open page that holds what it should, or -1 with *why. */
static int open_page(int folder, const char *name, uid_t uid, struct page_header *header,
		     const char **why)
{
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		*why = errno == EACCES ? "only its user and root may look at it"
				       : "it cannot be opened";
		return -1;
	}
	*why = place_check_file(fd, uid);
	if (!*why && !place_is_locked(fd, PAGE_LOCK_PROCESS))
		*why = "nobody attends to it, it was left behind";
	if (!*why) {
		ssize_t bytes = pread(fd, header, sizeof(*header), PAGE_AT_HEADER);
		*why = page_check_header(header, bytes > 0 ? (size_t)bytes : 0);
	}
	if (!*why)
		return fd;
	close(fd);
	return -1;
}

/* The page "PID-..." in the folder. */
static int find_in_folder(int folder, const struct client_process *process,
			  struct page_header *header, const char **why)
{
	char prefix[32];
	int length = snprintf(prefix, sizeof(prefix), "%" PRIu64 "-", process->inner_pid);
	int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0), fd = -1;
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return -1;
	}
	for (struct dirent *entry; fd < 0 && (entry = readdir(list));) {
		if (strncmp(entry->d_name, prefix, (size_t)length) != 0)
			continue;
		fd = open_page(folder, entry->d_name, process->uid, header, why);
		if (fd >= 0 && header->pid != process->inner_pid) {
			*why = "it is another process's";
			close(fd);
			fd = -1;
		}
	}
	closedir(list);
	return fd;
}

static int find_below(int root, const struct client_process *process, const char *xdg,
		      struct page_header *header, const char **why)
{
	int fd = -1;
	for (unsigned place = 0; fd < 0 && place < PLACES; place++) {
		char path[PLACE_BYTES];
		if (!place_path(place, xdg, process->inner_uid, path))
			continue;
		int folder = open_below(root, path);
		if (folder < 0) {
			if (errno == EACCES)
				*why = "only its user and root may look at it";
			continue;
		}
		const char *problem = place_check_folder(folder, process->uid);
		if (problem)
			*why = problem;
		else
			fd = find_in_folder(folder, process, header, why);
		close(folder);
	}
	return fd;
}

bool client_open(struct client *client, pid_t pid, char error[CLIENT_ERROR_BYTES])
{
	const char *why = NULL;
	char xdg[PLACE_BYTES], path[32];

	client->fd = -1;
	client->patience_ms = CLIENT_PATIENCE_MS;
	if (!client_look_up(pid, &client->process)) {
		(void)snprintf(error, CLIENT_ERROR_BYTES, "%d: no such process", (int)pid);
		return false;
	}
	runtime_directory_of(pid, xdg);
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0) {
		client->fd = find_below(root, &client->process, xdg, &client->header, &why);
		close(root);
	}
	/* Not allowed to enter, or too old a kernel: the caller's own root is the same one for most. */
	if (client->fd < 0)
		client->fd = find_below(-1, &client->process, xdg, &client->header, &why);
	if (client->fd >= 0)
		return true;
	if (why)
		(void)snprintf(error, CLIENT_ERROR_BYTES, "%d: its control page is of no use: %s",
			       (int)pid, why);
	else
		(void)snprintf(
			error, CLIENT_ERROR_BYTES,
			"%d: it has no control page (HAKMEM_CONTROL=1, hakmem run --control)",
			(int)pid);
	return false;
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

bool client_attended(const struct client *client)
{
	return place_is_locked(client->fd, PAGE_LOCK_PROCESS);
}

/* --- asking --------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* One command at a time. */
static bool take_turn(const struct client *client, uint64_t until_ns)
{
	while (!place_lock(client->fd, PAGE_LOCK_COMMAND)) {
		if (now_ns() > until_ns)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static bool read_answer(const struct client *client, struct page_answer *answer)
{
	ssize_t bytes = pread(client->fd, answer, sizeof(*answer), PAGE_AT_ANSWER);
	return !page_check_answer(answer, bytes > 0 ? (size_t)bytes : 0);
}

static int watch_page(const struct client *client)
{
	char path[40];
	int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", client->fd);
	if (inotify >= 0)
		(void)!inotify_add_watch(inotify, path, IN_MODIFY);
	return inotify;
}

static void wait_for_event(int inotify)
{
	struct pollfd ready = { .fd = inotify, .events = POLLIN };
	char events[1024];
	if (poll(&ready, inotify >= 0, inotify >= 0 ? POLL_MS : 1) > 0)
		(void)!read(inotify, events, sizeof(events));
}

static bool exchange(struct client *client, struct page_request *request,
		     struct page_answer *answer, uint64_t until_ns, char error[CLIENT_ERROR_BYTES])
{
	/* A number that no other request has: two that were the same to the byte would be one. */
	request->sequence = now_ns();
	if (read_answer(client, answer) && answer->sequence >= request->sequence)
		request->sequence = answer->sequence + 1;
	page_seal_request(request);
	int inotify = watch_page(client);
	bool answered = false, attended = true;
	ssize_t bytes = (ssize_t)page_request_bytes(request->length);
	if (pwrite(client->fd, request, (size_t)bytes, PAGE_AT_REQUEST) != bytes) {
		(void)snprintf(error, CLIENT_ERROR_BYTES,
			       "%d: the control page cannot be written: %s",
			       (int)client->process.pid, strerror(errno));
	} else {
		for (;;) {
			/* Asked before the answer is looked for: the last answer of a process that ends counts. */
			attended = client_attended(client);
			answered = read_answer(client, answer) &&
				   answer->sequence == request->sequence;
			if (answered || !attended || now_ns() > until_ns)
				break;
			wait_for_event(inotify);
		}
		if (!answered && !attended)
			(void)snprintf(error, CLIENT_ERROR_BYTES, "%d: it ended, or left its page",
				       (int)client->process.pid);
		else if (!answered)
			(void)snprintf(error, CLIENT_ERROR_BYTES,
				       "%d: no answer within %g s: is it stopped?",
				       (int)client->process.pid, client->patience_ms / 1e3);
	}
	if (inotify >= 0)
		close(inotify);
	return answered;
}

static bool read_status(struct client *client, uint64_t sequence, struct page_status *status,
			char error[CLIENT_ERROR_BYTES])
{
	ssize_t bytes = pread(client->fd, status, sizeof(*status), PAGE_AT_STATUS);
	const char *problem = page_check_status(status, bytes > 0 ? (size_t)bytes : 0);

	if (!problem && status->sequence != sequence)
		problem = "it is an old one";
	if (problem)
		(void)snprintf(error, CLIENT_ERROR_BYTES, "%d: the status cannot be read: %s",
			       (int)client->process.pid, problem);
	return !problem;
}

bool client_ask(struct client *client, enum page_operation operation, const char *text,
		struct page_answer *answer, struct page_status *status,
		char error[CLIENT_ERROR_BYTES])
{
	uint64_t until_ns = now_ns() + client->patience_ms * UINT64_C(1000000);
	struct page_request request = { .operation = operation };
	size_t length = text ? strlen(text) : 0;

	if (length > PLAN_TEXT_MAX + 1)
		length = PLAN_TEXT_MAX + 1; /* long enough to be told so */
	if (length > 0)
		memcpy(request.text, text, length);
	request.length = (uint32_t)length;
	if (!take_turn(client, until_ns)) {
		(void)snprintf(error, CLIENT_ERROR_BYTES,
			       "%d: another command keeps its control page",
			       (int)client->process.pid);
		return false;
	}
	bool done = exchange(client, &request, answer, until_ns, error);
	if (done && status && answer->result == PAGE_APPLIED)
		done = read_status(client, request.sequence, status, error);
	place_unlock(client->fd, PAGE_LOCK_COMMAND);
	return done;
}

/* --- what is left behind -------------------------------------------------------------------------- */

/* "PID-START" or "PID-START.N". */
static bool parse_name(const char *name, uint64_t *pid, uint64_t *start_ticks)
{
	char *end;
	if (name[0] < '0' || name[0] > '9')
		return false;
	*pid = strtoull(name, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9')
		return false;
	*start_ticks = strtoull(end + 1, &end, 10);
	return *end == '\0' || *end == '.';
}

/* Nobody holds it, and no process that may be about to hold it has its number and start time: not here. In another
 * process-id namespace that shares the folder it would hold it. */
static bool is_left_behind(int folder, const char *name)
{
	struct client_process process;
	uint64_t pid, start_ticks;

	if (!parse_name(name, &pid, &start_ticks) || pid > INT_MAX)
		return false;
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool is_page = !place_check_file(fd, geteuid());
	bool held = place_is_locked(fd, PAGE_LOCK_PROCESS);
	close(fd);
	if (!is_page || held)
		return false;
	return !client_look_up((pid_t)pid, &process) || process.start_ticks != start_ticks;
}

unsigned client_clean_up(void)
{
	unsigned removed = 0;

	for (unsigned place = 0; place < PLACES; place++) {
		char path[PLACE_BYTES];
		if (!place_path(place, getenv("XDG_RUNTIME_DIR"), geteuid(), path))
			continue;
		int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		DIR *list = folder >= 0 && !place_check_folder(folder, geteuid())
				    ? fdopendir(folder)
				    : NULL;
		if (!list) {
			if (folder >= 0)
				close(folder);
			continue;
		}
		for (struct dirent *entry; (entry = readdir(list));)
			if (is_left_behind(folder, entry->d_name) &&
			    unlinkat(folder, entry->d_name, 0) == 0)
				removed++;
		closedir(list);
	}
	return removed;
}

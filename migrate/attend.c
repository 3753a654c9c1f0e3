/* SPDX-License-Identifier: MIT */
/* migrate/attend.c - the process's side of the control page; see attend.h
 *
 * Whatever is read of the page is copied before it is looked at, so that what was checked is what is used. A request
 * that does not hold is refused once: the thread's own writing wakes it again, and it then finds the bytes it knows.
 */
#include "migrate/attend.h"

#include "migrate/arms.h"
#include "migrate/drain.h"
#include "migrate/file.h"
#include "migrate/guard.h"
#include "migrate/hash.h"
#include "migrate/held.h"
#include "migrate/identity.h"
#include "migrate/page.h"
#include "migrate/place.h"
#include "migrate/record.h"
#include "migrate/rollback.h"
#include "migrate/state.h"
#include "migrate/status.h"
#include "shim/base/lock.h"
#include "shim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTEMPTS   10
#define TORN_LOOKS 3 /* a millisecond apart */

/* [waiting thread] */
static int page_fd = -1;
static struct page_header header;
static uint32_t known_request; /* hash of the request that was dealt with last */
static struct page_request request;
static struct page_answer answer;
static struct page_status page_status;
static struct status status;
static struct state would_be;

static char runtime_directory[PLACE_BYTES]; /* [const after the start] */

/* What there is to remove at the end. Taken for moments, by the waiting thread and the one that ends the process. */
static struct lock made_lock = LOCK_INIT;
static char made_path[PLACE_BYTES + PLACE_NAME_BYTES]; /* [lock: made] "" for none */
static struct stat made_stat;			       /* [lock: made] */
static bool ending;				       /* [lock: made] */

void attend_set_runtime_directory(const char *xdg)
{
	size_t length = xdg ? strnlen(xdg, sizeof(runtime_directory)) : 0;
	if (length > 0 && length < sizeof(runtime_directory))
		memcpy(runtime_directory, xdg, length + 1);
}

/* --- making and removing -------------------------------------------------------------------------- */

static void fill_header(const struct identity_process *self)
{
	char name[16] = "";
	memset(&header, 0, sizeof(header));
	header.version = PAGE_VERSION;
	header.pid = self->pid;
	header.start_ticks = self->start_ticks;
	header.bytes = PAGE_BYTES;
	header.classes = NEXT_CLASSES;
	header.class_bytes = sizeof(struct hakmem_class);
	(void)snprintf(header.library, sizeof(header.library), "%s", PACKAGE_VERSION);
	/* The main thread's name, which ps shows. */
	char path[32];
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)getpid());
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t length = read(fd, name, sizeof(name) - 1);
		name[length > 0 && name[length - 1] == '\n' ? length - 1
		     : length > 0			    ? length
							    : 0] = '\0';
		close(fd);
	}
	memcpy(header.program, name, sizeof(name));
	page_seal_header(&header);
}

static void write_header(void)
{
	(void)!pwrite(page_fd, &header, sizeof(header), PAGE_AT_HEADER);
}

/* Left behind by this process before it called exec: the name is ours. */
static bool remove_own_remains(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool in_use = place_is_locked(fd, PAGE_LOCK_PROCESS);
	close(fd);
	return !in_use && unlinkat(folder, name, 0) == 0;
}

static int make_file(int folder, const struct identity_process *self, char name[PLACE_NAME_BYTES])
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
		place_name(name, self->pid, self->start_ticks, attempt);
		int fd = openat(folder, name, flags, 0600);
		if (fd < 0 && errno == EEXIST && remove_own_remains(folder, name))
			fd = openat(folder, name, flags, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* The page's file in the first place that can be had. */
static int make_anywhere(const struct identity_process *self, char *path, const char **why)
{
	char name[PLACE_NAME_BYTES];
	uid_t uid = geteuid();

	for (unsigned place = 0; place < PLACES; place++) {
		const char *problem;
		int folder = place_make(place, runtime_directory, uid, &problem);
		if (folder < 0) {
			*why = problem; /* of the last one: the others are not there in many systems */
			continue;
		}
		int fd = make_file(folder, self, name);
		*why = "no file can be made in the folder of control pages";
		close(folder);
		if (fd < 0)
			continue;
		char folder_path[PLACE_BYTES];
		if (place_path(place, runtime_directory, uid, folder_path))
			(void)snprintf(path, sizeof(made_path), "%s/%s", folder_path, name);
		return fd;
	}
	return -1;
}

static bool finish_file(int fd)
{
	/* The mode again, for the umask; the lock before anything is in the page, so that a page that says who it is
	 * is held by that process or stale. */
	return fchmod(fd, 0600) == 0 && place_lock(fd, PAGE_LOCK_PROCESS) &&
	       ftruncate(fd, PAGE_BYTES) == 0;
}

int attend_open(const char **why)
{
	struct identity_process self = identity_process();
	int error = 0;

	*why = "the process is ending";
	errno = 0;
	if (page_fd >= 0)
		close(page_fd);
	page_fd = -1;
	known_request = 0;
	lock_acquire(&made_lock);
	if (ending) {
		error = ECANCELED;
	} else {
		page_fd = make_anywhere(&self, made_path, why);
		if (page_fd < 0 || !finish_file(page_fd) || fstat(page_fd, &made_stat) != 0)
			error = errno ? errno : EIO;
	}
	if (error && page_fd >= 0) {
		(void)!unlink(made_path);
		close(page_fd);
		page_fd = -1;
		*why = "the control page cannot be written";
	}
	if (error)
		made_path[0] = '\0';
	lock_release(&made_lock);
	if (error)
		return error;
	fill_header(&self);
	write_header();
	return 0;
}

int attend_watch(int inotify)
{
	/* The path leads to the file made above; if it does not any more, attend_serve() sees it. */
	lock_acquire(&made_lock);
	int wd = inotify_add_watch(inotify, made_path,
				   IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF);
	lock_release(&made_lock);
	return wd;
}

void attend_remove(void)
{
	struct stat now;

	lock_acquire(&made_lock);
	ending = true;
	if (made_path[0] && stat(made_path, &now) == 0 && now.st_dev == made_stat.st_dev &&
	    now.st_ino == made_stat.st_ino)
		(void)!unlink(made_path);
	made_path[0] = '\0';
	lock_release(&made_lock);
}

void attend_fork_child(void)
{
	/* The waiting thread may have held it. */
	made_lock = (struct lock)LOCK_INIT;
	made_path[0] = '\0';
	page_fd = -1; /* of a table that is not here */
	ending = false;
}

/* --- figures -------------------------------------------------------------------------------------- */

static void fill_pools(void)
{
	const struct next_stats *next = &status.next;
	const struct legacy_counters *legacy = &status.legacy;

	page_status.next_live_bytes = next->live_bytes;
	page_status.next_live_blocks = next->live_blocks;
	page_status.next_mapped_bytes = next->mapped_bytes;
	page_status.next_resident_free_bytes = next->resident_free_bytes;
	page_status.next_purged_bytes = next->purged_bytes;
	page_status.next_segments = next->segments;
	page_status.next_heaps = next->heaps;
	page_status.next_huge_blocks = next->huge_blocks;
	page_status.next_huge_bytes = next->huge_bytes;
	page_status.next_remote_frees = next->remote_frees;
	page_status.next_quarantined_pages = next->quarantined_pages;
	for (unsigned i = 0; i < LEGACY_CLASSES; i++) {
		page_status.legacy_live_bytes += legacy->class_live_bytes[i];
		page_status.legacy_live_blocks += legacy->class_live_blocks[i];
	}
	page_status.legacy_mapped_bytes = legacy->mapped_bytes;
	page_status.legacy_resident_free_bytes = legacy->resident_free_bytes;
	page_status.legacy_purged_bytes = legacy->purged_bytes;
	page_status.legacy_pages = legacy->pages;
	page_status.legacy_segments = legacy->chunks;
	page_status.legacy_threads = legacy->threads;
	page_status.legacy_lock_waits = legacy->lock_waits;
	page_status.legacy_contended_trylocks = legacy->contended_trylocks;
	page_status.legacy_table_waits = legacy->table_waits;
	page_status.legacy_hash_lookups = legacy->hash_lookups;
	page_status.legacy_remote_frees = legacy->remote_frees;
}

static void fill_guards(void)
{
	struct guard_counts counts;

	guard_read_counts(&counts);
	page_status.guard_trips = counts.trips;
	page_status.guard_misuses = counts.misuses;
	page_status.guard_failed_reservations = counts.failed_reservations;
	guard_text(page_status.guard);
	page_status.drain_left = drain_left();
}

static void fill_sources(void)
{
	for (unsigned i = SOURCE_ENVIRONMENT; i < STATE_SOURCES; i++) {
		page_status.source[i].present = status.state.present[i];
		page_status.source[i].length =
			(uint32_t)state_plan_text((enum state_source)i, page_status.source[i].text,
						  sizeof(page_status.source[i].text));
		state_error((enum state_source)i, page_status.source[i].error);
	}
}

/* As if `planned` were in force; NULL: what is. */
static void fill_would_be(const struct state *planned)
{
	struct hakmem_class class;

	if (planned)
		status.state = *planned;
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		status_of_class(&status, i, &class);
		page_status.would_be[i].served_by = class.served_by;
		page_status.would_be[i].state = class.state;
	}
}

/* compared: NULL, or the classes that are compared. */
static void fill_compared(const bool *compared)
{
	struct rollout_held best;
	const struct hakmem_class *class;

	if (!compared)
		return;
	guard_want_samples();
	held_look_at_old(&status.legacy);
	for (unsigned i = 0; i < NEXT_CLASSES; i++) {
		class = &page_status.class[i];
		if (!compared[i])
			continue;
		page_status.compared.classes++;
		page_status.compared.latched += class->latched;
		page_status.compared.next_held_bytes += class->next_held_bytes;
		page_status.compared.next_live_bytes += class->next_live_bytes;
		arms_read(i, &page_status.compared.canary, &page_status.compared.old);
		held_best_of(shim_old_side_of(i), &best);
		/* Of several old pools that with the most in it. */
		if (best.live_bytes > page_status.compared.old_live_bytes) {
			page_status.compared.old_held_bytes = best.held_bytes;
			page_status.compared.old_live_bytes = best.live_bytes;
		}
	}
}

static void write_status(const struct state *planned, const bool *compared)
{
	memset(&page_status, 0, sizeof(page_status));
	status_read(&status);
	page_status.kill_switch = status.state.kill_switch;
	page_status.sequence = request.sequence;
	page_status.time_ns = status.time_ns;
	page_status.changes = status.state.changes;
	page_status.flips = status.state.flips;
	page_status.flip_ns = status.state.flip_ns;
	page_status.last_flip_ns = status.state.last_flip_ns;
	page_status.worst_flip_ns = status.state.worst_flip_ns;
	page_status.rollbacks = status.state.rollbacks;
	memcpy(page_status.salt, status.state.salt, sizeof(status.state.salt));
	(void)snprintf(page_status.plan_file, sizeof(page_status.plan_file), "%s", file_path());
	fill_pools();
	fill_guards();
	fill_sources();
	for (unsigned i = 0; i < NEXT_CLASSES; i++)
		status_of_class(&status, i, &page_status.class[i]);
	fill_compared(compared);
	fill_would_be(planned);
	page_seal_status(&page_status);
	(void)!pwrite(page_fd, &page_status, sizeof(page_status), PAGE_AT_STATUS);
}

/* --- requests ------------------------------------------------------------------------------------- */

static bool refuse(const char *why)
{
	(void)snprintf(answer.text, sizeof(answer.text), "%s", why);
	return false;
}

static bool refuse_plan(const struct plan_error *error)
{
	(void)plan_error_text(error, answer.text);
	return false;
}

static bool serve_plan(struct state_outcome *outcome)
{
	struct plan_error error;
	return state_set_plan(SOURCE_LIVE, request.text, request.length, &error, outcome) ||
	       refuse_plan(&error);
}

static bool serve_try(void)
{
	struct plan_error error;
	if (!state_try_plan(request.text, request.length, &error, &would_be))
		return refuse_plan(&error);
	write_status(&would_be, NULL);
	return true;
}

/* "": all. */
static bool read_named(bool named[NEXT_CLASSES])
{
	struct plan_error error;

	memset(named, request.length == 0, NEXT_CLASSES * sizeof(named[0]));
	return request.length == 0 ||
	       plan_parse_classes(named, request.text, request.length, &error) ||
	       refuse_plan(&error);
}

static bool serve_compare(void)
{
	bool named[NEXT_CLASSES];

	if (!read_named(named))
		return false;
	write_status(NULL, named);
	return true;
}

static bool serve_guard(void)
{
	const char *wrong = guard_set(request.text);
	return !wrong || refuse(wrong);
}

static bool serve_classes(struct state_outcome *outcome)
{
	bool named[NEXT_CLASSES];

	if (!read_named(named))
		return false;
	if (request.operation == PAGE_ROLLBACK)
		rollback_classes(named, "asked for by the command", outcome);
	else
		state_unlatch(named, outcome);
	return true;
}

static bool serve_kill_switch(struct state_outcome *outcome)
{
	bool on = strcmp(request.text, "on") == 0;
	if (!on && strcmp(request.text, "off") != 0)
		return refuse("the kill switch is on or off");
	state_kill_switch(on, outcome);
	return true;
}

/* How a recording goes, in a line that the command takes apart: "1 ring events lost bytes streams folder". */
static bool tell_record(const struct record_status *record)
{
	(void)snprintf(answer.text, sizeof(answer.text), "%u %u %llu %llu %llu %llu %.400s", record->on,
		       record->ring, (unsigned long long)record->events,
		       (unsigned long long)record->lost, (unsigned long long)record->bytes,
		       (unsigned long long)record->streams, record->folder);
	return true;
}

static bool serve_record(void)
{
	struct record_status record;
	char error[RECORD_ERROR_BYTES] = "no recording is on";
	char *newline = strchr(request.text, '\n');
	bool done;

	switch (request.operation) {
	case PAGE_RECORD_START:
		if (newline)
			*newline = '\0';
		done = newline && record_start(newline + 1, request.text, error) == 0;
		record_read_status(&record);
		break;
	case PAGE_RECORD_STOP:
		done = record_stop(&record);
		break;
	case PAGE_RECORD_DUMP:
		done = record_dump(&record, error) == 0;
		break;
	default:
		record_read_status(&record);
		done = true;
	}
	return done ? tell_record(&record) : refuse(error);
}

static bool serve_operation(struct state_outcome *outcome)
{
	switch ((enum page_operation)request.operation) {
	case PAGE_STATUS:
		write_status(NULL, NULL);
		return true;
	case PAGE_TRY:
		return serve_try();
	case PAGE_PLAN:
		return serve_plan(outcome);
	case PAGE_DROP_PLAN:
		state_drop_plan(SOURCE_LIVE, outcome);
		return true;
	case PAGE_ROLLBACK:
	case PAGE_UNLATCH:
		return serve_classes(outcome);
	case PAGE_KILL_SWITCH:
		return serve_kill_switch(outcome);
	case PAGE_COMPARE:
		return serve_compare();
	case PAGE_GUARD:
		return serve_guard();
	case PAGE_RECORD_START:
	case PAGE_RECORD_STOP:
	case PAGE_RECORD_DUMP:
	case PAGE_RECORD_READ:
		return serve_record();
	}
	return refuse("no such operation");
}

static void serve_request(const char *problem)
{
	struct state_outcome outcome = { .flipped = 0 };

	memset(&answer, 0, sizeof(answer));
	bool done = problem ? refuse(problem) : serve_operation(&outcome);
	answer.result = done ? PAGE_APPLIED : PAGE_REFUSED;
	answer.sequence = request.sequence;
	answer.flipped = outcome.flipped;
	answer.unavailable = outcome.unavailable;
	answer.flip_ns = outcome.flip_ns;
	page_seal_answer(&answer);
	(void)!pwrite(page_fd, &answer, sizeof(answer), PAGE_AT_ANSWER);
}

/* --- the page ------------------------------------------------------------------------------------- */

/* False if it has no name any more. A page of another length is made right; a header that is not ours is written again:
 * whoever looks for this process shall find it. */
static bool mend(void)
{
	struct page_header seen;
	struct stat now;

	if (fstat(page_fd, &now) != 0 || now.st_nlink == 0)
		return false;
	if (now.st_size != PAGE_BYTES)
		(void)!ftruncate(page_fd, PAGE_BYTES);
	if ((now.st_mode & 07777) != 0600)
		(void)!fchmod(page_fd, 0600);
	ssize_t bytes = pread(page_fd, &seen, sizeof(seen), PAGE_AT_HEADER);
	if (bytes != (ssize_t)sizeof(seen) || memcmp(&seen, &header, sizeof(seen)) != 0)
		write_header();
	return true;
}

/* The request as it is now, cut to what it says it is long, and its hash. */
static const char *read_request(uint32_t *hash)
{
	memset(&request, 0, sizeof(request));
	ssize_t bytes = pread(page_fd, &request, sizeof(request), PAGE_AT_REQUEST);
	const char *problem = page_check_request(&request, bytes > 0 ? (size_t)bytes : 0);
	*hash = hash_bytes(&request, problem ? sizeof(request) : page_request_bytes(request.length),
			   0);
	return problem;
}

bool attend_serve(void)
{
	uint32_t hash;

	if (page_fd < 0 || !mend())
		return false;
	const char *problem = read_request(&hash);
	/* It may be met in the middle of its writing. */
	for (int i = 0; problem && hash != known_request && i < TORN_LOOKS; i++) {
		poll(NULL, 0, 1);
		problem = read_request(&hash);
	}
	if (hash == known_request)
		return true;
	known_request = hash;
	if (request.magic != 0) /* a hole: nobody has asked yet */
		serve_request(problem);
	return true;
}

/* SPDX-License-Identifier: MIT */
/* tests/shim_fault_test.c - every call to the kernel refused in turn, under the whole API
 *
 *	shim_fault_test [CONFIGURATION]
 *
 * The same workload, every function of hakmem.h by three threads and a forked child, runs in a process of its own for
 * each call that it makes, from the library's start on, with that call refused, or that one and all after it. The calls:
 * mmap, munmap, mprotect, madvise and mremap through the table of shim/base/os.h; open, write, ftruncate and
 * pthread_create, which the control of a process needs, by the linker (-Wl,--wrap, see tests/local.mk).
 *
 * Whatever is refused: NULL comes with ENOMEM, blocks hold what was written, errno is kept where the manual says so, and
 * once the kernel relents everything works, nothing is live and no address space is lost but what munmap() itself
 * refused.
 */
#include "shim/hakmem.h"
#include "tests/configurations.h"
#include "tests/moody.h"
#include "tests/support.h"
#include "tests/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the kernel's moods ------------------------------------------------------------------------- */

/* What the library calls by these names comes here; the test itself calls the real ones. */
int __real_open(const char *path, int flags, ...);
int __real_openat(int folder, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __real_pwrite(int fd, const void *bytes, size_t count, off_t at);
int __real_ftruncate(int fd, off_t length);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument);

int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
	if (!moody_refuses(MOODY_OPEN))
		return __real_open(path, flags, mode);
	errno = EMFILE;
	return -1;
}

int __wrap_openat(int folder, const char *path, int flags, mode_t mode);
int __wrap_openat(int folder, const char *path, int flags, mode_t mode)
{
	if (!moody_refuses(MOODY_OPEN))
		return __real_openat(folder, path, flags, mode);
	errno = ENFILE;
	return -1;
}

static int disk_is_full(void)
{
	errno = ENOSPC;
	return -1;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
	return moody_refuses(MOODY_WRITE) ? disk_is_full() : __real_write(fd, bytes, count);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
	return moody_refuses(MOODY_WRITE) ? disk_is_full() : __real_pwrite(fd, bytes, count, at);
}

int __wrap_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length)
{
	return moody_refuses(MOODY_WRITE) ? disk_is_full() : __real_ftruncate(fd, length);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *), void *argument)
{
	return moody_refuses(MOODY_THREAD)
		       ? EAGAIN
		       : __real_pthread_create(thread, attributes, start, argument);
}

/* Before the library's constructor, whose calls count. */
__attribute__((constructor(101))) static void get_moody(void)
{
	unsigned kinds;
	long first, last;
	const char *mood = getenv("FAULTS");
	if (mood && sscanf(mood, "%u %ld %ld", &kinds, &first, &last) == 3)
		moody_refuse(kinds, first, last);
}

/* --- the workload ------------------------------------------------------------------------------- */

static void *another_thread(void *argument)
{
	workload_every_function(*(const char *)argument);
	return NULL;
}

/* Blocks of one thread that another one frees. */
static void *free_all(void *argument)
{
	struct workload_block *blocks = argument;
	errno = 4711;
	for (size_t i = 0; i < WORKLOAD_BLOCKS; i++)
		workload_free(&blocks[i]);
	return NULL;
}

static pthread_t thread_of(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	WORKLOAD_REQUIRE(__real_pthread_create(&thread, NULL, body, argument) == 0);
	return thread;
}

static void fork_and_allocate(void)
{
	int status = -1;
	pid_t child = fork();
	WORKLOAD_REQUIRE(child >= 0);
	if (child == 0) {
		workload_every_function('f');
		_exit(0);
	}
	WORKLOAD_REQUIRE(waitpid(child, &status, 0) == child);
	if (status)
		fprintf(stderr, "the child of the fork: status %#x\n", (unsigned)status);
	WORKLOAD_REQUIRE(status == 0);
}

/* Whatever became of the recording that the environment asked for: it can be stopped, and another be had. */
static void record_again(void)
{
	const char *where = getenv("HAKMEM_RECORD");
	if (!where)
		return;
	int error = hakmem_record_stop(NULL, 0);
	WORKLOAD_REQUIRE(error == 0 || error == EALREADY);
	char text[256] = "";
	error = hakmem_record_start(where, NULL, text, sizeof(text));
	/* The map is asked for once, at the start. */
	WORKLOAD_REQUIRE(error == 0 || strstr(text, "no address map"));
	hakmem_free(hakmem_malloc(100));
	WORKLOAD_REQUIRE(hakmem_record_stop(NULL, 0) == (error ? EALREADY : 0));
	errno = 4711;
}

/* What the process holds and nothing in it says why: tables, heaps, the legacy pool's descriptors. */
static int64_t overhead_bytes(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	WORKLOAD_REQUIRE(stats.next_live_blocks == 0 && stats.next_live_bytes == 0);
	WORKLOAD_REQUIRE(stats.legacy_live_blocks == 0 && stats.legacy_live_bytes == 0);
	return moody_held_bytes() - (int64_t)stats.next_mapped_bytes -
	       (int64_t)stats.legacy_mapped_bytes;
}

static int64_t run_workload(void)
{
	static struct workload_block theirs[WORKLOAD_BLOCKS];
	char b = 'b';
	errno = 4711;
	pthread_t second = thread_of(another_thread, &b);
	workload_every_function('c');
	workload_migrate();
	workload_allocate(theirs, 'd');
	pthread_join(thread_of(free_all, theirs), NULL);
	fork_and_allocate();
	workload_ask();
	pthread_join(second, NULL);

	/* What was refused is had now. */
	moody_relent();
	WORKLOAD_REQUIRE(hakmem_control_start() == 0);
	record_again();
	struct workload_block blocks[WORKLOAD_BLOCKS];
	size_t count = workload_allocate(blocks, 'e');
	for (size_t i = 0; i < count; i++) {
		WORKLOAD_REQUIRE(blocks[i].start);
		workload_free(&blocks[i]);
	}
	hakmem_malloc_trim(0);
	return overhead_bytes();
}

/* --- processes ---------------------------------------------------------------------------------- */

/* What a process of the workload says when it got to its end. */
struct outcome {
	long calls;		       /* of the kinds that are refused */
	int64_t overhead, unreturned; /* bytes: see overhead_bytes(), moody_unreturned_bytes() */
};

static int work(const char *name)
{
	struct outcome outcome = { .calls = 0 };
	struct rlimit no_core = { 0, 0 };
	setrlimit(RLIMIT_CORE, &no_core);
	alarm(100);
	configuration_become(name);
	outcome.overhead = run_workload();
	outcome.calls = moody_calls();
	outcome.unreturned = moody_unreturned_bytes();
	return __real_write(STDOUT_FILENO, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1;
}

/* Runs the workload with so many calls refused. False if it did not end well. */
static bool workload_with(unsigned kinds, long from, long to, struct outcome *outcome)
{
	int fds[2];
	char mood[64];
	if (pipe(fds))
		abort();
	fflush(NULL);
	snprintf(mood, sizeof(mood), "%u %ld %ld", kinds, from, to);
	pid_t child = fork();
	if (child == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		configuration_enter();
		setenv("FAULTS", mood, 1);
		setenv("HAKMEM_CONTROL", "1", 1);
		execl(configuration_program(), configuration_program(), configuration->name,
		      (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	int status = -1;
	bool told = read(fds[0], outcome, sizeof(*outcome)) == sizeof(*outcome);
	close(fds[0]);
	waitpid(child, &status, 0);
	if (told && status == 0)
		return true;
	print_error("%s: FAULTS=\"%s\": status %#x\n", configuration->name, mood, (unsigned)status);
	return false;
}

static struct outcome usual; /* with nothing refused */

/* What threads leave in tables differs from run to run, and by a megabyte for each that was recorded. Memory for blocks
 * comes and goes by 4 MiB at least. */
#define TABLES_BYTES ((int64_t)(3 * MIB))

static bool nothing_is_lost(unsigned kinds, long from, long to, long *calls)
{
	struct outcome outcome;
	if (!workload_with(kinds, from, to, &outcome))
		return false;
	*calls = outcome.calls;
	if (outcome.overhead <= usual.overhead + outcome.unreturned + TABLES_BYTES)
		return true;
	print_error("%s: FAULTS=\"%u %ld %ld\": %jd bytes are lost\n", configuration->name, kinds, from,
		    to, (intmax_t)(outcome.overhead - usual.overhead - outcome.unreturned));
	return false;
}

/* Until a run makes fewer calls, so that none was refused. */
static void check_each_call(long step, bool for_ever)
{
	long failures = 0, calls, tried = 0;
	for (long call = 0; failures < 3; call += step, tried++) {
		calls = LONG_MAX;
		failures += !nothing_is_lost(MOODY_ANY, call, for_ever ? LONG_MAX : call, &calls);
		if (calls <= call)
			break;
	}
	print_message("%s: %ld processes, %s refused\n", configuration->name, tried,
		      for_ever ? "all calls from one on" : "one call");
	assert_int_equal(failures, 0);
	assert_true(tried > usual.calls / step / 2);
}

static void any_one_call_may_be_refused(void **state)
{
	(void)state;
	check_each_call(1, false);
}

static void from_any_call_on_all_may_be_refused(void **state)
{
	(void)state;
	check_each_call(3, true);
}

static void a_kind_of_call_may_be_refused_always(void **state)
{
	long calls;
	(void)state;
	for (unsigned kind = 1; kind < MOODY_ANY; kind <<= 1) {
		assert_true(nothing_is_lost(kind, 0, LONG_MAX, &calls));
		assert_true(nothing_is_lost(MOODY_ANY & ~kind, 0, LONG_MAX, &calls));
	}
}

static void the_workload_makes_every_kind_of_call(void **state)
{
	(void)state;
	for (unsigned kind = 1; kind < MOODY_ANY; kind <<= 1) {
		struct outcome outcome;
		assert_true(workload_with(kind, LONG_MAX, LONG_MAX, &outcome));
		/* Without next's spans and huge blocks there is little to ask for. */
		if (kind >= MOODY_OPEN || strcmp(configuration->name, "all-next") == 0)
			assert_true(outcome.calls > 0);
	}
	assert_true(workload_with(MOODY_ANY, LONG_MAX, LONG_MAX, &usual));
	print_message("%s: %ld calls\n", configuration->name, usual.calls);
	assert_true(usual.calls > 10);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_workload_makes_every_kind_of_call),
		cmocka_unit_test(any_one_call_may_be_refused),
		cmocka_unit_test(from_any_call_on_all_may_be_refused),
		cmocka_unit_test(a_kind_of_call_may_be_refused_always),
	};
	if (argc == 2 && getenv("FAULTS"))
		return work(argv[1]);
	return run_in_configurations(tests, argc == 2 ? argv[1] : NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/next_fault_test.c - every mapping call that the kernel may refuse, refused in turn
 *
 * The same workload of every kind of call runs in a child for each call it makes, with that call refused,
 * or that one and all after it. Whatever happens: blocks hold what was written, NULL is the only failure,
 * and in the end nothing is live and no address space is lost but what munmap() itself refused.
 */
#include "next/next.h"

#include "shim/base/map.h"
#include "tests/moody.h"
#include "tests/next_take.h"
#include "tests/support.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the workload ---------------------------------------------------------------------- */

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct block {
	char *start;
	size_t bytes;
	char mark;
};

/* A byte every 64 KiB, and the last: what the workload costs is page faults, and it runs many times. */
#define STEP (64 * KIB)

static void write_marks(struct block *block)
{
	for (size_t at = 0; at < block->bytes; at += STEP)
		block->start[at] = block->mark;
	if (block->bytes)
		block->start[block->bytes - 1] = block->mark;
}

static bool marks_hold(const struct block *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += STEP)
		if (block->start[at] != block->mark)
			return false;
	return true;
}

static bool is_zero(const char *p, size_t bytes)
{
	for (size_t at = 0; at<bytes; at += bytes> STEP ? STEP : 1)
		if (p[at])
			return false;
	return true;
}

static void let_go(struct block *block)
{
	if (!block->start)
		return;
	require(marks_hold(block, block->bytes));
	require(next_free(block->start));
}

static void resize(struct block *block, size_t bytes)
{
	char *moved = block->start ? next_resize(block->start, bytes) : NULL;
	if (!moved)
		return; /* the old block stays as it is, and is checked when it goes */
	block->start = moved;
	require(marks_hold(block, bytes < block->bytes ? bytes : block->bytes));
	require(next_usable_bytes(moved) >= bytes);
	block->bytes = bytes;
	write_marks(block);
}

static void every_kind_of_call(char mark)
{
	static const size_t sizes[] = { 1,	   100,	      1000,	  8 * KIB, 100 * KIB,
					256 * KIB, 700 * KIB, 3900 * KIB, 5 * MIB, 9 * MIB };
	static const size_t alignments[] = { 64, 4096, 128 * KIB, 2 * MIB, 4 * MIB, 16 * MIB };
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
	enum { ALIGNMENTS = sizeof(alignments) / sizeof(alignments[0]) };
	struct block blocks[2 * SIZES + ALIGNMENTS] = { 0 };
	size_t count = 0;
	for (size_t i = 0; i < SIZES; i++) {
		blocks[count++] = (struct block){ next_take(sizes[i]), sizes[i], mark };
		blocks[count++] = (struct block){ next_calloc(sizes[i]), sizes[i], mark };
		if (blocks[count - 1].start)
			require(is_zero(blocks[count - 1].start, sizes[i]));
	}
	for (size_t i = 0; i < ALIGNMENTS; i++) {
		char *p = next_aligned(alignments[i], 3000);
		require((uintptr_t)p % alignments[i] == 0);
		blocks[count++] = (struct block){ p, 3000, mark };
	}
	for (size_t i = 0; i < count; i++)
		if (blocks[i].start)
			write_marks(&blocks[i]);
	struct block *huge = &blocks[2 * SIZES - 2], *span = &blocks[2 * SIZES - 8];
	resize(huge, 10 * MIB);
	resize(huge, 20 * MIB);
	resize(huge, 6 * MIB);
	resize(span, 900 * KIB);
	resize(span, 300 * KIB);
	for (size_t i = 0; i < count; i++)
		let_go(&blocks[i]);
}

static void *another_thread(void *argument)
{
	every_kind_of_call('b');
	next_thread_exit();
	return argument;
}

static void run_workload(void)
{
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		next_door_set(class, class % 2 ? NEXT_DOOR_OPEN : 0);
	if (!next_init()) {
		require(map_bound == 0);
		require(moody_held_bytes() == 0);
		return;
	}
	errno = 4711;
	pthread_t thread;
	require(pthread_create(&thread, NULL, another_thread, NULL) == 0);
	every_kind_of_call('c');
	pthread_join(thread, NULL);
	require(errno == 4711);
	next_trim();

	/* What was refused once is had now. */
	moody_relent();
	char *block = next_take(5 * MIB);
	require(block && next_free(block));
	block = next_take(1000);
	require(block && next_free(block));
	next_trim();
	struct next_stats stats;
	next_read_stats(&stats);
	require(stats.live_blocks == 0 && stats.live_bytes == 0);
	require(stats.huge_blocks == 0 && stats.huge_bytes == 0);
	require(stats.resident_free_bytes == 0);
	int64_t tables = (int64_t)(MAP_SLOTS + 1 * MIB);
	int64_t lost = moody_held_bytes() - (int64_t)stats.mapped_bytes - tables;
	require(lost <= moody_unreturned_bytes());
}

/* How many calls of the kinds the workload made, or -1 if it failed. */
static long workload_with(unsigned calls, long first, long last)
{
	int fds[2];
	if (pipe(fds))
		abort();
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the other tests here */
		signal(SIGABRT, SIG_DFL);
		alarm(60);
		moody_refuse(calls, first, last);
		run_workload();
		long count = moody_calls();
		_exit(write(fds[1], &count, sizeof(count)) != sizeof(count));
	}
	close(fds[1]);
	int status = -1;
	long count = -1;
	bool told = read(fds[0], &count, sizeof(count)) == sizeof(count);
	close(fds[0]);
	waitpid(child, &status, 0);
	if (told && status == 0)
		return count;
	print_error("calls %#x from %ld to %ld: status %#x\n", calls, first, last,
		    (unsigned)status);
	return -1;
}

static void check_each_call(unsigned calls, bool for_ever)
{
	long failures = 0, count;
	for (long call = 0;
	     (count = workload_with(calls, call, for_ever ? LONG_MAX : call)) > call || count == -1;
	     call++)
		if (count == -1 && ++failures == 3)
			break;
	assert_int_equal(failures, 0);
}

static void any_one_call_may_be_refused(void **state)
{
	(void)state;
	assert_true(workload_with(MOODY_MEMORY, LONG_MAX, LONG_MAX) > 30);
	check_each_call(MOODY_MEMORY, false);
}

static void from_any_call_on_all_may_be_refused(void **state)
{
	(void)state;
	check_each_call(MOODY_MEMORY, true);
}

static void a_kind_of_call_may_be_refused_always(void **state)
{
	(void)state;
	for (unsigned calls = 1; calls < MOODY_MEMORY; calls++)
		assert_int_not_equal(workload_with(calls, 0, LONG_MAX), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_one_call_may_be_refused),
		cmocka_unit_test(from_any_call_on_all_may_be_refused),
		cmocka_unit_test(a_kind_of_call_may_be_refused_always),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* tests/shim_info_test.c - what malloc_stats and malloc_info print of legacy is what legacy did
 *
 * The bench takes lock waits, hash lookups and hits per layer from these lines.
 */
#include "legacy/legacy.h"
#include "shim/hakmem.h"
#include "tests/routes.h"
#include "tests/support.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
	"contended trylocks",
	"shard lock waits",
	"table lock waits",
	"hash lookups",
	"headers written",
	"mallocs from ring",
	"mallocs from lifo",
	"mallocs from active page a",
	"mallocs from active page b",
	"mallocs from transfer cache",
	"mallocs from shard freelist",
	"mallocs from remote stack",
	"mallocs from a fresh page",
	"mallocs uncached",
	"remote frees",
	"bytes purged",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

#define TEXT_BYTES 65536

/* What malloc_stats prints to stderr. */
static void read_malloc_stats(char *text)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	int saved = dup(STDERR_FILENO);
	assert_true(saved >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	hakmem_malloc_stats();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(file);
	text[fread(text, 1, TEXT_BYTES - 1, file)] = '\0';
	fclose(file);
}

static void read_malloc_info(char *text)
{
	FILE *file = tmpfile();
	assert_non_null(file);
	assert_int_equal(hakmem_malloc_info(0, file), 0);
	rewind(file);
	text[fread(text, 1, TEXT_BYTES - 1, file)] = '\0';
	fclose(file);
}

/* The number behind `name` where `format` says how both are printed. */
static uint64_t printed(const char *text, const char *format, const char *name)
{
	char wanted[128];
	snprintf(wanted, sizeof(wanted), format, name);
	const char *at = strstr(text, wanted);
	if (!at)
		fail_msg("'%s' is not printed", wanted);
	return strtoull(at + strlen(wanted), NULL, 10);
}

static void read_printed(uint64_t *values)
{
	char text[TEXT_BYTES];
	read_malloc_stats(text);
	for (size_t i = 0; i < NAMES; i++)
		values[i] = printed(text, "\nlegacy: %s ", names[i]);
}

/* --- a workload that uses everything legacy has ----------------------------------------------------*/

#define THREADS 9 /* one more than there are shards, so that two threads share one */
#define BLOCKS	600

static void *blocks[THREADS][BLOCKS];
static pthread_barrier_t gate;

static size_t size_of(size_t i)
{
	return i % 8 ? 2000 : LEGACY_MAX_BYTES;
}

/* Fills its own row, frees half of the next one's, the rest of its own, and again. */
static void *use_all_layers(void *argument)
{
	size_t self = (size_t)argument, other = (self + 1) % THREADS;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < BLOCKS; i++)
			blocks[self][i] = hakmem_malloc(size_of(i));
		pthread_barrier_wait(&gate);
		for (size_t i = 0; i < BLOCKS; i += 2)
			hakmem_free(blocks[other][i]);
		for (size_t i = 1; i < BLOCKS; i += 2)
			hakmem_free(blocks[self][i]);
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_all_layers, (void *)i), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static bool all_moved(const uint64_t *before, const uint64_t *after)
{
	for (size_t i = 0; i < NAMES; i++)
		if (after[i] <= before[i])
			return false;
	return true;
}

/* Waiting for a lock is a matter of chance, so again until it has happened; the harness's timeout is
 * the end of it. */
static void every_counter_moves_under_a_workload(void **state)
{
	(void)state;
	uint64_t before[NAMES], after[NAMES];
	assert_true(route_all("old"));
	read_printed(before);
	pthread_barrier_init(&gate, NULL, THREADS);
	do {
		run_threads();
		void *uncached = legacy_malloc(NULL, 5000, 0);
		assert_non_null(uncached);
		legacy_free(NULL, uncached);
		hakmem_malloc_trim(0);
		read_printed(after);
		for (size_t i = 0; i < NAMES; i++)
			assert_true(after[i] >= before[i]);
	} while (!all_moved(before, after));
	pthread_barrier_destroy(&gate);
}

static void a_pair_of_calls_counts_as_what_it_does(void **state)
{
	(void)state;
	struct hakmem_stats before, after;
	assert_true(route_all("old"));
	hakmem_free(hakmem_malloc(5000));
	hakmem_stats(&before, sizeof(before));
	for (int i = 0; i < 100; i++)
		hakmem_free(hakmem_malloc(5000));
	hakmem_stats(&after, sizeof(after));
	assert_int_equal(after.legacy_hash_lookups - before.legacy_hash_lookups, 200);
	assert_int_equal(after.legacy_headers_written - before.legacy_headers_written, 100);
	assert_int_equal(after.legacy_layer_mallocs[HAKMEM_LEGACY_RING] -
				 before.legacy_layer_mallocs[HAKMEM_LEGACY_RING],
			 100);
	assert_int_equal(after.legacy_table_lock_waits, before.legacy_table_lock_waits);
	assert_int_equal(after.legacy_remote_frees, before.legacy_remote_frees);
}

static void malloc_stats_and_malloc_info_and_the_struct_agree(void **state)
{
	(void)state;
	char stats[TEXT_BYTES], info[TEXT_BYTES];
	struct hakmem_stats figures;
	read_malloc_stats(stats);
	read_malloc_info(info);
	hakmem_stats(&figures, sizeof(figures));
	for (size_t i = 0; i < NAMES; i++)
		assert_int_equal(printed(stats, "\nlegacy: %s ", names[i]),
				 printed(info, "<counter name=\"%s\" value=\"", names[i]));
	assert_int_equal(printed(stats, "\nlegacy: %s ", "hash lookups"),
			 figures.legacy_hash_lookups);
	assert_int_equal(printed(stats, "\nlegacy: %s ", "mallocs from shard freelist"),
			 figures.legacy_layer_mallocs[HAKMEM_LEGACY_SHARD]);
	assert_int_equal(printed(stats, "\nlegacy: %s ", "bytes purged"),
			 figures.legacy_purged_bytes);
}

static void ours_come_before_the_system_s_own(void **state)
{
	(void)state;
	char text[TEXT_BYTES];
	read_malloc_stats(text);
	assert_memory_equal(text, "hakmem ", 7);
	const char *arena = strstr(text, "Arena ");
	if (arena)
		assert_null(strstr(arena, "legacy:"));
	else if (!HAKMEM_SANITIZER)
		fail_msg("the system's own figures are missing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_of_calls_counts_as_what_it_does),
		cmocka_unit_test(every_counter_moves_under_a_workload),
		cmocka_unit_test(malloc_stats_and_malloc_info_and_the_struct_agree),
		cmocka_unit_test(ours_come_before_the_system_s_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

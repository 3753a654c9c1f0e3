/* SPDX-License-Identifier: MIT */
/* tests/shim_limits_test.c - the whole API where the system gives little: address space, mappings, memory, promises
 *
 *	shim_limits_test [CONFIGURATION]
 *
 * Each limit is met by a process of its own, under it from the library's start on, once for each configuration. Under a
 * limit the API's contract holds (tests/workload.h), what one thread after another takes until there is no more can be
 * taken again when it was freed, and with the limit gone everything is to be had.
 */
#include "shim/base/atomic.h"
#include "shim/hakmem.h"
#include "tests/configurations.h"
#include "tests/support.h"
#include "tests/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A sanitizer reserves more address space than any limit here, and maps what it likes. */
#define CAN_BE_LIMITED (!HAKMEM_SANITIZER)

/* --- taking all there is ------------------------------------------------------------------------- */

#define TAKEN_MAX 8192
static struct workload_block taken[TAKEN_MAX];

/* Blocks of many sizes until none of them is to be had, or `enough` bytes. Gives the bytes that next and legacy gave;
 * what the system makes of its own memory is not ours to promise. */
static size_t take_all(size_t enough)
{
	static const size_t sizes[] = { 100,	   3000,       20 * KIB,  256 * KIB,
					700 * KIB, 3900 * KIB, 5 * MIB, 9 * MIB };
	size_t bytes = 0, of_pools = 0, refused = 0;
	for (size_t i = 0; i < TAKEN_MAX && refused < 8 && bytes < enough; i++) {
		size_t size = sizes[i % 8];
		taken[i] = workload_given(hakmem_malloc(size), size, 't');
		refused = taken[i].start ? 0 : refused + 1;
		bytes += taken[i].start ? size : 0;
		if (taken[i].start && hakmem_owner(taken[i].start) != HAKMEM_OWNER_SYSTEM)
			of_pools += size;
		workload_flip();
	}
	return of_pools;
}

static void free_taken(void)
{
	for (size_t i = 0; i < TAKEN_MAX; i++)
		if (taken[i].start)
			workload_free(&taken[i]);
	hakmem_malloc_trim(0);
}

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

/* A route may be another one the second time, and old and next keep their memory for themselves. */
static void take_all_twice(size_t enough)
{
	errno = 4711;
	size_t first = take_all(enough);
	free_taken();
	size_t second = take_all(enough);
	free_taken();
	if (!workload_flips && second < first / 4 * 3) {
		fprintf(stderr, "%zu bytes at first, %zu the second time\n", first, second);
		_exit(1);
	}
	WORKLOAD_REQUIRE(live_blocks() == 0);
}

static void *one_more_thread(void *argument)
{
	workload_every_function(*(const char *)argument);
	return NULL;
}

/* --- limits -------------------------------------------------------------------------------------- */

static void limit_address_space(rlim_t bytes)
{
	struct rlimit limit;
	WORKLOAD_REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = bytes;
	WORKLOAD_REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void under_address_space_limit(long bytes)
{
	char a = 'a';
	pthread_t thread;
	workload_every_function('m');
	int error = pthread_create(&thread, NULL, one_more_thread, &a);
	workload_every_function('m');
	if (!error)
		pthread_join(thread, NULL);
	take_all_twice((size_t)bytes);
	workload_ask();
	limit_address_space(RLIM_INFINITY);
	struct workload_block blocks[WORKLOAD_BLOCKS];
	size_t count = workload_allocate(blocks, 'e');
	for (size_t i = 0; i < count; i++) {
		WORKLOAD_REQUIRE(blocks[i].start);
		workload_free(&blocks[i]);
	}
	WORKLOAD_REQUIRE(live_blocks() == 0);
}

/* Maps pages that cannot be merged until the kernel refuses, and gives `left` mappings back. */
static void exhaust_mappings(long left)
{
	static void *last[64];
	size_t count = 0;
	for (;;) {
		void *page = mmap(NULL, 4096, count % 2 ? PROT_READ : PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED)
			break;
		last[count++ % 64] = page;
	}
	WORKLOAD_REQUIRE(count > 64);
	for (long i = 0; i < left; i++)
		WORKLOAD_REQUIRE(munmap(last[(count - 1 - (size_t)i) % 64], 4096) == 0);
}

static void under_mapping_limit(long left)
{
	/* From which size on libc maps a block by itself moves with what it frees. The last mapping taken for one block keeps
	 * its heap from growing, so what it has to give the second time would be chance. */
	WORKLOAD_REQUIRE(mallopt(M_MMAP_MAX, 0) == 1);
	workload_every_function('m');
	exhaust_mappings(left);
	workload_every_function('m');
	take_all_twice(200 * MIB);
	workload_ask();
	workload_every_function('m');
	WORKLOAD_REQUIRE(live_blocks() == 0);
}

/* 40 MiB live at a time in sizes that change, in a group that may have `bytes`: what was freed has to be used again or
 * given back, or the kernel ends the process. */
static void under_memory_limit(long bytes)
{
	(void)bytes;
	errno = 4711;
	for (size_t round = 0; round < 60; round++) {
		size_t size = (size_t)1000 << (round % 11), used = 0;
		for (size_t i = 0; i < TAKEN_MAX && used < 40 * MIB; i++, used += size) {
			char *block = hakmem_malloc(size);
			taken[i] = workload_given(block, size, 't');
			WORKLOAD_REQUIRE(block);
			memset(block, 't', size);
		}
		workload_flip();
		for (size_t i = 0; i < TAKEN_MAX; i++)
			if (taken[i].start)
				workload_free(&taken[i]);
	}
}

/* What the kernel counts as promised to this process where vm.overcommit_memory is 2: its writable private mappings. */
static size_t promised_bytes(void)
{
	char line[256];
	size_t sum = 0, kib = 0;
	FILE *maps = fopen("/proc/self/smaps", "r");
	WORKLOAD_REQUIRE(maps);
	while (fgets(line, sizeof(line), maps)) {
		(void)!sscanf(line, "Size: %zu kB", &kib);
		if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ac"))
			sum += kib * KIB;
	}
	fclose(maps);
	return sum;
}

static size_t promised_at_start;

/* Before the library: what the program itself is promised. */
__attribute__((constructor(101))) static void remember_promises(void)
{
	if (getenv("LIMITED"))
		promised_at_start = promised_bytes();
}

static void under_promises(long unused)
{
	(void)unused;
	errno = 4711;
	workload_free(&(struct workload_block){ hakmem_malloc(100), 0, 0 });
	workload_free(&(struct workload_block){ hakmem_malloc(5000), 0, 0 });
	size_t more = promised_bytes() - promised_at_start;
	printf("%s: a first block of each pool: %zu KiB promised\n", configuration->name, more / KIB);
	fflush(stdout);
	/* A segment, a chunk of legacy's, tables. */
	WORKLOAD_REQUIRE(more < 12 * MIB);
}

static const struct limit {
	const char *name;
	void (*act)(long value);
} limits[] = {
	{ "address space", under_address_space_limit },
	{ "mappings", under_mapping_limit },
	{ "memory", under_memory_limit },
	{ "promises", under_promises },
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

/* --- processes ----------------------------------------------------------------------------------- */

/* In a child: this program again, under the limit from its start on. */
static _Noreturn void become_limited(const char *name, long value)
{
	char text[32];
	struct rlimit no_core = { 0, 0 };
	setrlimit(RLIMIT_CORE, &no_core);
	snprintf(text, sizeof(text), "%ld", value);
	setenv("LIMITED", text, 1);
	configuration_enter();
	if (strcmp(name, "address space") == 0)
		limit_address_space((rlim_t)value);
	execl(configuration_program(), configuration_program(), configuration->name, name,
	      (char *)NULL);
	_exit(127);
}

static int end_of(pid_t child, const char *name, long value)
{
	int status = -1;
	waitpid(child, &status, 0);
	if (status)
		print_error("%s, %s %ld: status %#x\n", configuration->name, name, value,
			    (unsigned)status);
	return status;
}

static bool lives_with(const char *name, long value)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		become_limited(name, value);
	return end_of(child, name, value) == 0;
}

static int be_limited(const char *configuration_name, const char *limit_name)
{
	alarm(120);
	configuration_become(configuration_name);
	for (size_t i = 0; i < LIMITS; i++)
		if (strcmp(limits[i].name, limit_name) == 0)
			limits[i].act(atol(getenv("LIMITED")));
	return 0;
}

static void skip_if(bool condition, const char *reason)
{
	if (!condition)
		return;
	print_message("skipped: %s\n", reason);
	skip();
}

/* --- tests --------------------------------------------------------------------------------------- */

static void address_space_from_64_MiB_to_2_GiB(void **state)
{
	static const long mib[] = { 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048 };
	(void)state;
	skip_if(!CAN_BE_LIMITED, "a sanitizer needs more address space than the limits leave");
	for (size_t i = 0; i < sizeof(mib) / sizeof(mib[0]); i++)
		assert_true(lives_with("address space", mib[i] * (long)MIB));
}

static void no_mapping_left_or_few(void **state)
{
	long max = 0;
	(void)state;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	if (file && fscanf(file, "%ld", &max) != 1)
		max = 0;
	if (file)
		fclose(file);
	skip_if(!CAN_BE_LIMITED, "a sanitizer makes mappings of its own");
	skip_if(max <= 0 || max > 300000, "vm.max_map_count is too large to be exhausted");
	static const long left[] = { 0, 1, 2, 3, 5, 8, 20, 60 };
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		assert_true(lives_with("mappings", left[i]));
}

static bool write_text(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/* A group of version 2 or 1 that may have so much. False if none can be made. */
static bool make_group(char group[64], long bytes)
{
	char text[32];
	snprintf(text, sizeof(text), "%ld", bytes);
	static const char *const roots[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };
	static const char *const files[] = { "memory.limit_in_bytes", "memory.max" };
	for (size_t i = 0; i < 2; i++) {
		snprintf(group, 64, "%s/hakmem-%d", roots[i], (int)getpid());
		if (mkdir(group, 0755) != 0)
			continue;
		if (write_text(group, files[i], text))
			return true;
		rmdir(group);
	}
	return false;
}

/* Where every class flips, each of the three pools keeps for a while what it had at most. */
static void a_memory_group_not_much_larger_than_what_lives(void **state)
{
	char group[64], pid_text[16];
	const long bytes = (long)((configuration->flips ? 256 : 128) * MIB);
	(void)state;
	skip_if(!CAN_BE_LIMITED, "a sanitizer keeps what was freed");
	skip_if(!make_group(group, bytes), "no memory group can be made under /sys/fs/cgroup");
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
		if (!write_text(group, "cgroup.procs", pid_text))
			_exit(77);
		become_limited("memory", bytes);
	}
	int status = end_of(child, "memory", bytes);
	rmdir(group);
	skip_if(WIFEXITED(status) && WEXITSTATUS(status) == 77, "no process may enter a group");
	assert_int_equal(status, 0);
}

static void little_is_promised_before_it_is_used(void **state)
{
	(void)state;
	skip_if(!CAN_BE_LIMITED, "a sanitizer is promised much");
	assert_true(lives_with("promises", 0));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_space_from_64_MiB_to_2_GiB),
		cmocka_unit_test(no_mapping_left_or_few),
		cmocka_unit_test(a_memory_group_not_much_larger_than_what_lives),
		cmocka_unit_test(little_is_promised_before_it_is_used),
	};
	if (argc == 3 && getenv("LIMITED"))
		return be_limited(argv[1], argv[2]);
	return run_in_configurations(tests, argc == 2 ? argv[1] : NULL);
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/child.c - hakmem-replay: replays one program on whatever malloc it is preloaded with
 *
 * Started by `hakmem replay' and `hakmem compare' with two descriptors: of the program and of the page to report in.
 * It writes nothing anywhere else. See child.h.
 */
#include "migrate/tool/replay/child.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_WRONG 2
/* Up to here the table of blocks is there from the beginning and stays; a larger one grows with its use, and goes page by
 * page, as the blocks do: what is there at one time grows with what lives. */
#define TABLE_NOW_BYTES (16 * MIB)
#define CALIBRATION_NS	2000000

struct run *run;

static void copy_text(char *to, size_t room, const char *from)
{
	size_t length = strnlen(from, room - 1);
	memcpy(to, from, length);
	to[length] = '\0';
}

_Noreturn void child_fail(const char *what, int reason)
{
	if (run && run->shared) {
		char *text = run->shared->error;
		size_t room = sizeof(run->shared->error);
		copy_text(text, room, what);
		if (reason) {
			const char *words = strerrordesc_np(reason);
			size_t used = strlen(text);
			if (used + 3 < room) {
				text[used++] = ':';
				text[used++] = ' ';
				copy_text(text + used, room - used, words ? words : "?");
			}
		}
	}
	_exit(EXIT_WRONG);
}

void *child_map(size_t bytes, bool now)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | (now ? MAP_POPULATE : 0), -1, 0);
	if (at == MAP_FAILED)
		child_fail("no memory for the replay itself", errno);
	return at;
}

uint64_t child_now_ns(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void child_futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void child_futex_wake(_Atomic uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* --- who serves malloc -------------------------------------------------------------------------- */

static void find_library(void)
{
	/* A union, since ISO C has no cast from an object pointer to a function pointer. */
	union {
		void *object;
		const char *(*version)(void);
		enum hakmem_owner (*owner)(const void *address);
		int (*plan_set)(const char *text, char *error, size_t error_bytes);
		int (*read_stats)(struct hakmem_stats *stats, size_t bytes);
		size_t (*read_classes)(struct hakmem_class *classes, size_t bytes, size_t count);
		void *(*malloc)(size_t bytes);
	} found;
	Dl_info info;

	found.malloc = malloc;
	if (dladdr(found.object, &info) && info.dli_fname)
		copy_text(run->shared->serves_malloc, sizeof(run->shared->serves_malloc),
			  info.dli_fname);
	found.object = dlsym(RTLD_DEFAULT, "hakmem_version");
	if (!found.object)
		return;
	copy_text(run->shared->hakmem, sizeof(run->shared->hakmem), found.version());
	found.object = dlsym(RTLD_DEFAULT, "hakmem_owner");
	run->owner = found.owner;
	found.object = dlsym(RTLD_DEFAULT, "hakmem_plan_set");
	run->plan_set = found.plan_set;
	found.object = dlsym(RTLD_DEFAULT, "hakmem_stats");
	run->read_stats = found.read_stats;
	found.object = dlsym(RTLD_DEFAULT, "hakmem_read_classes");
	run->read_classes = found.read_classes;
}

/* --- setting up --------------------------------------------------------------------------------- */

static int descriptor(const char *text)
{
	int value = 0;
	for (; *text >= '0' && *text <= '9' && value < 100000; text++)
		value = value * 10 + (*text - '0');
	return *text ? -1 : value;
}

static const void *read_table(uint64_t at, uint64_t bytes)
{
	char *table = child_map(bytes ? bytes : 1, true);
	for (uint64_t done = 0; done < bytes;) {
		ssize_t got = pread(run->program, table + done, bytes - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			child_fail("the program cannot be read", got < 0 ? errno : EIO);
		done += (uint64_t)got;
	}
	return table;
}

static void read_program(void)
{
	run->header = read_table(0, sizeof(*run->header));
	const struct program_header *header = run->header;
	if (header->magic != PROGRAM_MAGIC || header->threads > PROGRAM_THREADS_MAX ||
	    header->ended > header->threads || header->blocks > PROGRAM_BLOCKS_LIMIT / 16)
		child_fail("this is no program", 0);
	run->threads = read_table(header->threads_at, header->threads * sizeof(*run->threads));
	run->ended = read_table(header->ended_at, header->ended * sizeof(*run->ended));
	size_t bytes = (size_t)header->blocks * sizeof(*run->blocks);
	run->blocks = child_map(bytes ? bytes : 1, bytes <= TABLE_NOW_BYTES);
	if (bytes > TABLE_NOW_BYTES)
		run->gone = child_map((bytes / CHILD_TABLE_PAGE + 1) * sizeof(*run->gone), true);
	run->tokens = child_map((header->threads + 1) * sizeof(*run->tokens), true);
}

/* How long a tick is, and how long it takes to read two. */
static void calibrate(void)
{
	uint64_t least = UINT64_MAX, begin_ns = child_now_ns(), begin = child_ticks(), now_ns;

	for (unsigned i = 0; i < 1000; i++) {
		uint64_t first = child_ticks(), passed = child_ticks() - first;
		if (passed < least)
			least = passed;
	}
	do
		now_ns = child_now_ns();
	while (now_ns - begin_ns < CALIBRATION_NS);
	uint64_t ticks = child_ticks() - begin;
	if (ticks == 0)
		ticks = 1;
	run->shared->tick_overhead = least;
	run->shared->ticks_per_s = (uint64_t)((double)ticks * 1e9 / (double)(now_ns - begin_ns));
	run->ns_per_tick_32 =
		(uint64_t)((double)(now_ns - begin_ns) / (double)ticks * 4294967296.0);
}

/* --- threads ------------------------------------------------------------------------------------ */

static struct worker *take_worker(struct worker **unused)
{
	static unsigned count;
	struct worker *worker = *unused;

	if (worker) {
		*unused = worker->next_unused;
		return worker;
	}
	worker = child_map(sizeof(*worker), true);
	worker->chunk = child_map(PROGRAM_CHUNK_BYTES, true);
	worker->stack = child_map(CHILD_STACK_BYTES, true);
	worker->shard = count++ % REPLAY_SHARDS;
	worker->next_of_all = load_relaxed(&run->workers);
	/* Pairs with the loads of the sampler: it sees a whole worker. */
	store_release(&run->workers, worker);
	return worker;
}

static pthread_t start_worker(struct worker *worker, uint32_t thread)
{
	pthread_attr_t attributes;
	pthread_t handle;

	worker->thread = thread;
	(void)pthread_attr_init(&attributes);
	int reason = pthread_attr_setstack(&attributes, worker->stack, CHILD_STACK_BYTES);
	if (reason == 0)
		reason = pthread_create(&handle, &attributes, worker_main, worker);
	if (reason)
		child_fail("a thread cannot be started", reason);
	return handle;
}

/* Threads start in the order of the trace, each as soon as those have ended that had ended before it began there; so
 * there are never more of them at one time than there were. */
static void run_threads(void)
{
	struct handle {
		pthread_t thread;
		struct worker *worker;
	} *handles = child_map((run->header->threads + 1) * sizeof(*handles), true);
	struct worker *unused = NULL;
	uint32_t joined = 0, running = 0;

	for (uint32_t i = 0; i < run->header->threads; i++) {
		while (joined < run->threads[i].starts_after && joined < run->header->ended) {
			struct handle *handle = &handles[run->ended[joined++]];
			if (!handle->worker)
				continue;
			(void)pthread_join(handle->thread, NULL);
			handle->worker->next_unused = unused;
			unused = handle->worker;
			handle->worker = NULL;
			running--;
		}
		if (!run->threads[i].first)
			continue;
		handles[i].worker = take_worker(&unused);
		handles[i].thread = start_worker(handles[i].worker, i);
		if (++running > run->shared->most_threads)
			run->shared->most_threads = running;
	}
	for (uint32_t i = 0; i < run->header->threads; i++)
		if (handles[i].worker)
			(void)pthread_join(handles[i].thread, NULL);
}

static void add_up(void)
{
	struct replay_shared *shared = run->shared;
	struct hakmem_stats stats;

	for (struct worker *worker = load_relaxed(&run->workers); worker;
	     worker = worker->next_of_all) {
		shared->operations += worker->operations;
		shared->failed += worker->failed;
		shared->waits += worker->waits;
		shared->waited_ns += worker->waited_ns;
		shared->faults += worker->faults;
		shared->major_faults += worker->major_faults;
		shared->switches += worker->switches > worker->own_switches ?
					    worker->switches - worker->own_switches :
					    0;
		shared->cpu_ns += worker->cpu_ns;
		shared->live_bytes += (uint64_t)load_relaxed(&worker->live_bytes);
		shared->live_blocks += (uint64_t)load_relaxed(&worker->live_blocks);
		for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
			shared->end_blocks[class] +=
				(uint64_t)load_relaxed(&worker->class_blocks[class]);
			shared->end_class_bytes[class] +=
				(uint64_t)load_relaxed(&worker->class_bytes[class]);
			for (unsigned owner = 0; owner < 3; owner++)
				shared->end_owned_bytes[owner] += (uint64_t)load_relaxed(
					&worker->owned_bytes[owner][class]);
		}
	}
	/* What a table that was not there from the beginning has cost. */
	uint64_t table = run->header->blocks * sizeof(*run->blocks) / CHILD_TABLE_PAGE;
	if (run->gone)
		shared->faults -= shared->faults > table ? table : shared->faults;
	if (run->read_stats && run->read_stats(&stats, sizeof(stats)) == 0) {
		shared->lock_waits = stats.legacy_shard_lock_waits + stats.legacy_table_lock_waits;
		shared->contended_trylocks = stats.legacy_contended_trylocks;
	}
}

/* Every block that lives is in the table; nothing else is. */
static void check_table(void)
{
	uint64_t found = 0;

	for (uint64_t i = 0; i < run->header->blocks; i++) {
		if (run->gone && load_relaxed(&run->gone[i / CHILD_PAGE_BLOCKS]) == CHILD_PAGE_BLOCKS) {
			i |= CHILD_PAGE_BLOCKS - 1;
			continue;
		}
		void *pointer = load_relaxed(&run->blocks[i]);
		found += pointer != NULL && pointer != CHILD_FAILED;
	}
	if (found != run->shared->live_blocks)
		child_fail("blocks were lost in the replay", 0);
}

static void set_stage(enum replay_stage stage)
{
	/* Nobody reads on by it while we run: the command looks when we have ended. */
	__atomic_store_n(&run->shared->stage, (uint32_t)stage, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	static struct run only_run;
	int page = argc == 3 ? descriptor(argv[2]) : -1;

	run = &only_run;
	run->program = argc == 3 ? descriptor(argv[1]) : -1;
	if (page < 0 || run->program < 0)
		return EXIT_WRONG; /* a person started it */
	run->shared = mmap(NULL, sizeof(*run->shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, page, 0);
	if (run->shared == MAP_FAILED || run->shared->magic != PROGRAM_MAGIC)
		return EXIT_WRONG;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_stage(REPLAY_STAGE_STARTED);
	find_library();
	run->has_flips = run->shared->flips > 0;
	if (run->has_flips && !run->plan_set)
		child_fail("flips need the hakmem library", 0);
	if (run->shared->time_every == 0)
		run->shared->time_every = 1;
	read_program();
	calibrate();
	watch_begin();
	set_stage(REPLAY_STAGE_RUNNING);
	run->begin_ns = child_now_ns();
	run_threads();
	run->shared->wall_ns = child_now_ns() - run->begin_ns;
	watch_end();
	add_up();
	check_table();
	set_stage(REPLAY_STAGE_FINISHED);
	return 0; /* and a library that records writes the rest */
}

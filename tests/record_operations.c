/* SPDX-License-Identifier: MIT */
/* tests/record_operations.c - helper: allocates at random, records itself, and lists what it did
 *
 *	record_operations DIR OPTIONS [-t THREADS] [-n OPERATIONS] [-r ROUTES] [-l LIST] [-s SEED] [-p MICROSECONDS] [-f | -k | -d]
 *
 * Each thread does so many operations on blocks that all threads share, and writes each of them down, in the order in
 * which a recording has to have them: LIST gets a line for each, "TID NAME OLD ADDRESS COUNT SIZE", numbers in hex.
 * -f: then forks a child that does the same for half a second with its own recording. -k: goes on until it is killed. -d: a
 * flight recorder is dumped at the end. -p: a pause before every operation. Prints what hakmem_record_stop() says: "events lost bytes folder".
 */
#include "shim/hakmem.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "tests/routes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS	    1024
#define THREADS_MAX 64

struct operation {
	const char *name;
	uintptr_t old, address;
	size_t count, size;
};

struct worker {
	pthread_t thread;
	unsigned number;
	pid_t tid;
	uint64_t random;
	size_t done;
	struct operation *list; /* NULL: none is kept */
};

static size_t operations = 10000;
static uint64_t until_ns; /* 0: so many operations */
static unsigned pause_us;
static bool for_ever;
static _Atomic(void *) slots[SLOTS];

static uint64_t draw(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random * UINT64_C(0x2545f4914f6cdd1d) >> 24;
}

static void note(struct worker *worker, const char *name, const void *old, const void *address,
		 size_t count, size_t size)
{
	if (worker->list)
		worker->list[worker->done++] =
			(struct operation){ name, (uintptr_t)old, (uintptr_t)address, count, size };
}

/* Small ones mostly, and of every order up to 8 MiB. */
static size_t draw_size(struct worker *worker)
{
	unsigned bits = draw(worker) % 64 ? (unsigned)(draw(worker) % 12)
					  : (unsigned)(draw(worker) % 24);
	return (size_t)(draw(worker) & (((uint64_t)1 << bits) - 1)) + 1;
}

static void release(struct worker *worker, void *block)
{
	note(worker, "free", NULL, block, 0, 0);
	hakmem_free(block);
}

static void *resize(struct worker *worker, void *block)
{
	size_t size = draw_size(worker);
	/* The address as a number: after the call the pointer is no more. */
	uintptr_t old = (uintptr_t)block;
	note(worker, "realloc_begin", block, NULL, 0, 0);
	void *after = hakmem_realloc(block, size);
	if (!after)
		abort();
	note(worker, "realloc", (const void *)old, after, 0, size);
	return after;
}

static void *allocate(struct worker *worker)
{
	size_t size = draw_size(worker), count, alignment;
	void *block;

	switch (draw(worker) % 16) {
	case 0:
		count = draw(worker) % 8 + 1;
		block = hakmem_calloc(count, size);
		note(worker, "calloc", NULL, block, count, size);
		break;
	case 1:
		alignment = (size_t)32 << draw(worker) % 8;
		block = hakmem_aligned_alloc(alignment, size);
		note(worker, "aligned_alloc", NULL, block, alignment, size);
		break;
	default:
		block = hakmem_malloc(size);
		note(worker, "malloc", NULL, block, 0, size);
	}
	if (!block)
		abort();
	memset(block, 1, size < 64 ? size : 64);
	return block;
}

static void operate(struct worker *worker)
{
	_Atomic(void *) *slot = &slots[draw(worker) % SLOTS];
	/* acquire, release: the block goes from thread to thread */
	void *block = exchange_acq_rel(slot, NULL);

	if (!block)
		block = allocate(worker);
	else if (draw(worker) % 8 == 0)
		block = resize(worker, block);
	else {
		release(worker, block);
		block = NULL;
	}
	if (block && (block = exchange_acq_rel(slot, block)) != NULL)
		release(worker, block);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	worker->tid = (pid_t)syscall(SYS_gettid);
	for (size_t i = 0; for_ever || (until_ns ? os_now_ns() < until_ns : i < operations); i++) {
		if (pause_us > 0)
			usleep(pause_us);
		operate(worker);
	}
	return NULL;
}

static void print_list(FILE *file, const struct worker *worker)
{
	for (size_t i = 0; i < worker->done; i++) {
		const struct operation *operation = &worker->list[i];
		fprintf(file, "%d %s %zx %zx %zx %zx\n", (int)worker->tid, operation->name,
			(size_t)operation->old, (size_t)operation->address, operation->count,
			operation->size);
	}
}

static void run(struct worker *workers, unsigned threads, uint64_t seed, bool list)
{
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .number = i, .random = seed * 1000 + i + 1 };
		/* An operation of ours may be three events. */
		if (list)
			workers[i].list =
				os_map(NULL, (3 * operations + 1) * sizeof(struct operation));
		if (list && !workers[i].list)
			abort();
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
}

static void check(int error, const char *what, const char *line)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s (%d)\n", what, line, error);
	exit(1);
}

/* The child records by itself, some time after the fork. */
static void be_the_child(void)
{
	static struct worker workers[2];
	until_ns = os_now_ns() + 500000000u;
	run(workers, 2, 99, false);
	exit(0);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	unsigned threads = 4;
	uint64_t seed = 1;
	const char *list = NULL, *routes = route_sets[0];
	bool forks = false, dumps = false;
	char error[256] = "";
	struct hakmem_record record;
	int option;

	while ((option = getopt(argc, argv, "t:n:r:l:s:p:fkd")) != -1) {
		switch (option) {
		case 't':
			threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			operations = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			routes = optarg;
			break;
		case 'l':
			list = optarg;
			break;
		case 's':
			seed = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			pause_us = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			forks = true;
			break;
		case 'k':
			for_ever = true;
			break;
		case 'd':
			dumps = true;
			break;
		default:
			return 2;
		}
	}
	if (optind + 2 != argc || threads == 0 || threads > THREADS_MAX)
		return 2;
	hakmem_free(hakmem_malloc(1));
	if (!route_all(routes))
		return 2;
	check(hakmem_record_start(argv[optind], argv[optind + 1], error, sizeof(error)), "start",
	      error);
	run(workers, threads, seed, list != NULL);
	pid_t child = forks ? fork() : -1;
	if (child == 0)
		be_the_child();
	if (dumps)
		check(hakmem_record_dump(&record, sizeof(record), error, sizeof(error)), "dump",
		      error);
	else
		check(hakmem_record_stop(&record, sizeof(record)), "stop", "no recording");
	printf("%llu %llu %llu %s\n", (unsigned long long)record.events,
	       (unsigned long long)record.lost, (unsigned long long)record.bytes, record.folder);
	int status = 0;
	if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
		return 1;
	FILE *file = list ? fopen(list, "w") : NULL;
	if (list && !file)
		return 1;
	for (unsigned i = 0; file && i < threads; i++)
		print_list(file, &workers[i]);
	return file && fclose(file) != 0;
}

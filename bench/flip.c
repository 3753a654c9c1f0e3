/* SPDX-License-Identifier: MIT */
/* bench/flip.c - what a flip away from next costs, over the number of threads: `make flip`
 *
 * Every thread takes a block of every class before each flip, so that every slot that the flip sweeps holds a page and
 * lies in the cache of whoever ran that thread last. Then either they all sleep and the flip is timed, in CPU time of the
 * flipping thread, or --busy of them allocate without a pause and note when next served them last.
 *
 *   one class    4 KiB goes from next to its old side: hakmem_plan_set()
 *   all          everything does: hakmem_kill_switch()
 *   by call      from the call of hakmem_rollback() of that class to the start of its last malloc that next served, on any
 *                of the busy threads; 0 where none started after the call. The start, for a thread may have to wait for a
 *                processor between its malloc and its look at the clock
 *   by page      the same from outside: from the request in the control page, as the hakmem command writes it, which the
 *                library's waiting thread serves
 *
 * One core is kept idle for the request and for the thread that serves it, where there is more than one: the busy threads get
 * the others, and where the user may (root), what else the machine does has a lower priority on it. Without that a thread
 * that is woken may have to wait for the kernel's next tick behind one that is busy.
 *
 * Ends with 1 if something took longer than it may: --cpu-limit-us, --wall-limit-us.
 */
#include "bench/common.h"
#include "migrate/tool/client.h"
#include "shim/hakmem.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CLASS	    "4k"
#define CLASS_BYTES 4096
#define ROUNDS_MAX  10000

/* Weak: the library is preloaded. */
extern __typeof__(hakmem_plan_set) hakmem_plan_set __attribute__((weak));
extern __typeof__(hakmem_kill_switch) hakmem_kill_switch __attribute__((weak));
extern __typeof__(hakmem_owner) hakmem_owner __attribute__((weak));
extern __typeof__(hakmem_rollback) hakmem_rollback __attribute__((weak));
extern __typeof__(hakmem_unlatch) hakmem_unlatch __attribute__((weak));
extern __typeof__(hakmem_control_start) hakmem_control_start __attribute__((weak));

static uint64_t threads_max = 256, rounds = 300, busy_threads;
static double cpu_limit_us, wall_limit_us;

static const struct bench_option options[] = {
	{ "threads", 't', BENCH_COUNT, &threads_max, NULL, "at most, by doublings from 1" },
	{ "rounds", 'n', BENCH_COUNT, &rounds, NULL, "flips of each kind" },
	{ "busy", 'b', BENCH_COUNT, &busy_threads, NULL,
	  "threads that allocate meanwhile; default: all but one core; 0: no wall times" },
	{ "cpu-limit-us", 'c', BENCH_REAL, &cpu_limit_us, NULL, "of the median CPU time; 0: none" },
	{ "wall-limit-us", 'w', BENCH_REAL, &wall_limit_us, NULL, "of the p99 wall time; 0: none" },
	{ .name = NULL },
};

enum stage { FILL, ALLOCATE, END };

static pthread_barrier_t gate;
static enum stage stage; /* written between two gates */
static atomic_bool go_on;
static _Atomic uint64_t last_next_ns[BENCH_THREADS_MAX];

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fill_slots(void)
{
	for (size_t bytes = 16; bytes <= BENCH_MIB; bytes += bytes < 128 ? 16 : bytes / 8)
		free(malloc(bytes));
}

static void allocate(size_t self)
{
	while (atomic_load_explicit(&go_on, memory_order_relaxed)) {
		uint64_t start_ns = now_ns(CLOCK_MONOTONIC);
		void *block = malloc(CLASS_BYTES);
		if (hakmem_owner(block) == HAKMEM_OWNER_NEXT)
			atomic_store_explicit(&last_next_ns[self], start_ns, memory_order_relaxed);
		free(block);
	}
}

static cpu_set_t others; /* than the core that is kept; [const once threads start] */

/* What main() starts from here on, the library's waiting thread too, runs on the core that is kept. */
static void keep_a_core(void)
{
	cpu_set_t kept;
	size_t core = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(others), &others) != 0 || CPU_COUNT(&others) < 2)
		return;
	while (!CPU_ISSET(core, &others))
		core--;
	CPU_ZERO(&kept);
	CPU_SET(core, &kept);
	CPU_CLR(core, &others);
	if (sched_setaffinity(0, sizeof(kept), &kept) != 0)
		CPU_SET(core, &others);
	(void)setpriority(PRIO_PROCESS, 0, -15);
}

static void *work(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	(void)sched_setaffinity(0, sizeof(others), &others);
	(void)setpriority(PRIO_PROCESS, 0, 0); /* of this thread alone */
	for (;;) {
		pthread_barrier_wait(&gate);
		enum stage now = stage;
		if (now == END)
			return NULL;
		if (now == FILL)
			fill_slots();
		else if (self < busy_threads)
			allocate(self);
		pthread_barrier_wait(&gate);
	}
}

static void all_do(enum stage what)
{
	stage = what;
	pthread_barrier_wait(&gate);
	if (what != END)
		pthread_barrier_wait(&gate);
}

static void plan(const char *text)
{
	char error[256];
	if (hakmem_plan_set(text, error, sizeof(error))) {
		fprintf(stderr, "flip: %s\n", error);
		exit(1);
	}
}

/* --- the control page ------------------------------------------------------------------------------ */

static struct client client;

static void open_page(void)
{
	char error[CLIENT_ERROR_BYTES] = "no control page";
	/* The waiting thread makes it. */
	for (unsigned tries = 0; hakmem_control_start() == 0 && tries < 5000; tries++) {
		if (client_open(&client, getpid(), error))
			return;
		usleep(1000);
	}
	fprintf(stderr, "flip: %s\n", error);
	exit(1);
}

static void roll_back_by_page(void)
{
	char error[CLIENT_ERROR_BYTES];
	struct page_answer answer;
	if (!client_ask(&client, PAGE_ROLLBACK, CLASS, &answer, NULL, error) ||
	    answer.result != PAGE_APPLIED) {
		printf("flip: the control page refuses\n");
		exit(1);
	}
}

static void roll_back_by_call(void)
{
	hakmem_rollback(CLASS);
}

/* --- what is timed --------------------------------------------------------------------------------- */

enum what { ONE_CPU, ALL_CPU, BY_CALL, BY_PAGE, WHATS };
static uint64_t times[WHATS][ROUNDS_MAX];

static void time_one(size_t round)
{
	all_do(FILL);
	uint64_t start_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	plan("all=next, 4k=old");
	times[ONE_CPU][round] = now_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	plan("all=next");
}

static void time_all(size_t round)
{
	all_do(FILL);
	uint64_t start_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	hakmem_kill_switch(1);
	times[ALL_CPU][round] = now_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	hakmem_kill_switch(0);
}

/* The busy threads run from before the flip until well after it. */
static void time_last(uint64_t threads, size_t round, enum what what, void (*roll_back)(void))
{
	/* Until the others, which were woken with them, sleep again. */
	struct timespec settling = { .tv_nsec = (long)(300000 + threads * 20000) };
	struct timespec moment = { .tv_nsec = 300000 };
	uint64_t last_ns = 0;

	all_do(FILL);
	atomic_store(&go_on, true);
	stage = ALLOCATE;
	pthread_barrier_wait(&gate);
	nanosleep(&settling, NULL);
	uint64_t begun_ns = now_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < busy_threads; i++)
		while (atomic_load(&last_next_ns[i]) < begun_ns)
			nanosleep(&moment, NULL);
	uint64_t start_ns = now_ns(CLOCK_MONOTONIC);
	roll_back();
	nanosleep(&moment, NULL);
	atomic_store(&go_on, false);
	pthread_barrier_wait(&gate);
	for (size_t i = 0; i < busy_threads; i++) {
		uint64_t at_ns = atomic_load(&last_next_ns[i]);
		last_ns = at_ns > last_ns ? at_ns : last_ns;
	}
	times[what][round] = last_ns > start_ns ? last_ns - start_ns : 0;
	hakmem_unlatch(CLASS);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool too_long;

static void print_times(enum what what)
{
	double limit_us = what < BY_CALL ? cpu_limit_us : wall_limit_us;

	if (what >= BY_CALL && busy_threads == 0) {
		printf("  %9s %9s", "-", "-");
		return;
	}
	qsort(times[what], rounds, sizeof(times[what][0]), compare);
	double median_us = (double)times[what][rounds / 2] / 1e3;
	double p99_us = (double)times[what][(rounds * 99 + 99) / 100 - 1] / 1e3;
	printf("  %9.1f %9.1f", median_us, p99_us);
	too_long |= limit_us > 0 && (what < BY_CALL ? median_us : p99_us) > limit_us;
}

static void run(uint64_t threads)
{
	static pthread_t started[BENCH_THREADS_MAX];

	pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&started[i], NULL, work, (void *)i)) {
			fprintf(stderr, "flip: no thread\n");
			exit(1);
		}
	for (size_t i = 0; i < rounds; i++) {
		time_one(i);
		time_all(i);
		if (busy_threads == 0)
			continue;
		time_last(threads, i, BY_CALL, roll_back_by_call);
		time_last(threads, i, BY_PAGE, roll_back_by_page);
	}
	all_do(END);
	for (size_t i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
	pthread_barrier_destroy(&gate);
	printf("%7llu", (unsigned long long)threads);
	for (enum what what = 0; what < WHATS; what++)
		print_times(what);
	putchar('\n');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	busy_threads = cores > 1 ? (uint64_t)cores - 1 : 1;
	bench_options(argc, argv, "What a flip away from next costs, over the number of threads.",
		      options, NULL);
	if (!hakmem_plan_set || !hakmem_kill_switch || !hakmem_owner || !hakmem_rollback ||
	    !hakmem_unlatch || !hakmem_control_start) {
		fprintf(stderr, "flip: preload libhakmem.so\n");
		return 1;
	}
	if (threads_max < 1 || threads_max > BENCH_THREADS_MAX || rounds < 1 ||
	    rounds > ROUNDS_MAX || busy_threads > BENCH_THREADS_MAX) {
		fprintf(stderr, "flip: 1 to %d threads, 1 to %d rounds\n", BENCH_THREADS_MAX,
			ROUNDS_MAX);
		return 2;
	}
	keep_a_core();
	plan("all=next");
	open_page();
	/* Each rollback says so in a line, of which there would be thousands. */
	int complaints = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (complaints < 0 || nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
		return 1;
	printf("us             CPU, one class              CPU, all    wall, last by call    wall, last by page\n"
	       "threads     median       p99     median       p99     median       p99     median       p99\n");
	for (uint64_t threads = 1; threads <= threads_max; threads *= 2)
		run(threads);
	dup2(complaints, STDERR_FILENO);
	client_close(&client);
	if (!too_long)
		return 0;
	fprintf(stderr, "flip: longer than %g us of CPU (median) or %g us (p99)\n", cpu_limit_us,
		wall_limit_us);
	return 1;
}

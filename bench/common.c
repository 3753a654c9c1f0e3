/* SPDX-License-Identifier: MIT */
/* bench/common.c - clock, random numbers, options and threads of every workload */
#include "bench/common.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_seed = 4141;

static double plant_pct;

void bench_die(const char *message)
{
	/* stderr is unbuffered: no malloc here. */
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, message);
	exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_sleep(double seconds)
{
	struct timespec left = { .tv_sec = (time_t)seconds,
				 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		continue;
}

size_t bench_log_between(uint64_t *state, size_t low, size_t high)
{
	unsigned first = 63u - (unsigned)__builtin_clzll(low);
	unsigned last = 63u - (unsigned)__builtin_clzll(high);

	for (;;) {
		size_t base = (size_t)1 << bench_between(state, first, last);
		size_t size = bench_between(state, base, 2 * base - 1);

		if (size >= low && size <= high)
			return size;
	}
}

void *bench_map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		bench_die("mmap failed");
	return at;
}

void bench_unmap(void *at, size_t bytes)
{
	munmap(at, bytes);
}

void *bench_malloc(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block)
		bench_die("malloc failed");
	return block;
}

/* The number after `key` in a file of /proc/self, read without stdio's buffers. */
static size_t proc_number(const char *path, const char *key)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	const char *at;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	at = strstr(text, key);
	return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

size_t bench_rss_bytes(void)
{
	return proc_number("/proc/self/status", "VmRSS:") * BENCH_KIB;
}

size_t bench_peak_rss_bytes(void)
{
	return proc_number("/proc/self/status", "VmHWM:") * BENCH_KIB;
}

/* ---- Options ---------------------------------------------------------------------------- */

#define OPTIONS_MAX 32

static bool identify;
bool bench_malloc_stats;

static const struct bench_option shared_options[] = {
	{ .name = "seed",
	  .kind = BENCH_COUNT,
	  .value = &bench_seed,
	  .help = "of all random numbers" },
	{ .name = "plant-pct",
	  .kind = BENCH_REAL,
	  .value = &plant_pct,
	  .help = "lose this share of the time on purpose (the judge's own test)" },
	{ .name = "identify",
	  .kind = BENCH_FLAG,
	  .value = &identify,
	  .help = "say which file serves malloc, wait for the end of standard input" },
	{ .name = "malloc-stats",
	  .kind = BENCH_FLAG,
	  .value = &bench_malloc_stats,
	  .help = "let the library print its own figures at the end" },
	{ .name = NULL },
};

static void print_default(const struct bench_option *option)
{
	switch (option->kind) {
	case BENCH_COUNT:
		printf(" (%" PRIu64 ")", *(const uint64_t *)option->value);
		break;
	case BENCH_REAL:
		printf(" (%g)", *(const double *)option->value);
		break;
	case BENCH_CHOICE:
		printf(": one of");
		for (const char *const *word = option->choices; *word; word++)
			printf(" %s", *word);
		printf(" (%s)", option->choices[*(const unsigned *)option->value]);
		break;
	case BENCH_FLAG:
		break;
	}
}

static void print_help(const char *summary, const struct bench_option *const *all, unsigned count)
{
	printf("usage: %s [OPTION...]\n%s\n\n", program_invocation_short_name, summary);
	for (unsigned i = 0; i < count; i++) {
		if (all[i]->letter)
			printf("  -%c, --%-13s %s", all[i]->letter, all[i]->name, all[i]->help);
		else
			printf("      --%-13s %s", all[i]->name, all[i]->help);
		print_default(all[i]);
		putchar('\n');
	}
}

static bool parse_count(const char *text, uint64_t *value)
{
	char *end;
	unsigned shift = 0;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (end == text || errno || *text == '-')
		return false;
	if (*end == 'k' || *end == 'K')
		shift = 10;
	else if (*end == 'm' || *end == 'M')
		shift = 20;
	else if (*end == 'g' || *end == 'G')
		shift = 30;
	if (shift)
		end++;
	if (*end || *value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

static bool parse_choice(const char *text, const struct bench_option *option)
{
	for (unsigned i = 0; option->choices[i]; i++) {
		if (strcmp(text, option->choices[i]) == 0) {
			*(unsigned *)option->value = i;
			return true;
		}
	}
	return false;
}

static bool parse_value(const char *text, const struct bench_option *option)
{
	char *end;

	switch (option->kind) {
	case BENCH_COUNT:
		return parse_count(text, option->value);
	case BENCH_REAL:
		*(double *)option->value = strtod(text, &end);
		return end != text && !*end;
	case BENCH_CHOICE:
		return parse_choice(text, option);
	case BENCH_FLAG:
		*(bool *)option->value = true;
		return true;
	}
	return false;
}

static void identify_and_wait(void)
{
	char byte;

	bench_result_open("identify");
	bench_result_close();
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	exit(0);
}

/* Adds the entries of a table to `all`, which holds `count`; gives the new count. */
static unsigned add_options(const struct bench_option **all, unsigned count,
			    const struct bench_option *table)
{
	for (; table->name && count < OPTIONS_MAX; table++)
		all[count++] = table;
	return count;
}

void bench_options(int argc, char **argv, const char *summary, const struct bench_option *table,
		   struct bench_work *work)
{
	const struct bench_option of_work[] = {
		{ "threads", 't', BENCH_COUNT, work ? &work->threads : NULL, NULL, "at once" },
		{ "seconds", 's', BENCH_REAL, work ? &work->seconds : NULL, NULL, "timed" },
		{ "rounds", 'r', BENCH_COUNT, work ? &work->rounds : NULL, NULL,
		  "timed, of each thread; 0: as the seconds allow" },
		{ "warmup", 'w', BENCH_REAL, work ? &work->warmup_s : NULL, NULL,
		  "seconds before that" },
		{ .name = NULL },
	};
	const struct bench_option *all[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 2] = { 0 };
	char shorts[2 * OPTIONS_MAX + 2];
	unsigned count = 0;
	size_t letters = 0;
	int got;

	count = add_options(all, count, table);
	if (work)
		count = add_options(all, count, of_work);
	count = add_options(all, count, shared_options);
	for (unsigned i = 0; i < count; i++) {
		bool valued = all[i]->kind != BENCH_FLAG;

		longs[i] = (struct option){ .name = all[i]->name,
					    .has_arg = valued ? required_argument : no_argument,
					    .val = 1000 + (int)i };
		if (all[i]->letter) {
			shorts[letters++] = all[i]->letter;
			if (valued)
				shorts[letters++] = ':';
		}
	}
	longs[count] = (struct option){ .name = "help", .val = 'h' };
	shorts[letters++] = 'h';
	shorts[letters] = '\0';

	while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct bench_option *option = NULL;

		if (got == 'h') {
			print_help(summary, all, count);
			exit(0);
		}
		for (unsigned i = 0; i < count; i++)
			if (got == 1000 + (int)i || got == all[i]->letter)
				option = all[i];
		if (!option)
			exit(2);
		if (!parse_value(optarg, option)) {
			fprintf(stderr, "%s: --%s: cannot read '%s'\n",
				program_invocation_short_name, option->name, optarg);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: what is '%s'?\n", program_invocation_short_name, argv[optind]);
		exit(2);
	}
	if (plant_pct < 0 || plant_pct > 90)
		bench_die("--plant-pct: from 0 to 90");
	if (work && (work->threads == 0 || work->threads > BENCH_THREADS_MAX))
		bench_die("--threads: from 1 to 256");
	if (identify)
		identify_and_wait();
}

/* ---- Threads ---------------------------------------------------------------------------- */

static pthread_barrier_t barrier;

pthread_t bench_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, argument) != 0)
		bench_die("pthread_create failed");
	return thread;
}

/* CPU time of this thread: on a busy machine other programs' turns must not count as work done. */
static uint64_t thread_cpu_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

void bench_plant_begin(struct bench_plant *plant)
{
	plant->last_ns = plant_pct > 0 ? thread_cpu_ns() : 0;
}

void bench_plant_tick(struct bench_plant *plant)
{
	uint64_t now, until;

	if (plant_pct <= 0)
		return;
	now = thread_cpu_ns();
	/* worked w, so waste w * p / (100 - p): then p % of the sum is lost */
	until = now + (uint64_t)((double)(now - plant->last_ns) * plant_pct / (100 - plant_pct));
	while (now < until)
		now = thread_cpu_ns();
	plant->last_ns = now;
}

static void *worker_body(void *argument)
{
	struct bench_worker *worker = argument;
	const struct bench_work *work = worker->work;
	struct bench_plant plant;
	uint64_t now, until;
	uint64_t rounds = 0;

	if (work->setup)
		work->setup(worker);
	until = bench_now_ns() + (uint64_t)(work->warmup_s * 1e9);
	do
		work->round(worker);
	while (bench_now_ns() < until);

	pthread_barrier_wait(&barrier);
	now = worker->begin_ns = bench_now_ns();
	until = now + (uint64_t)(work->seconds * 1e9);
	bench_plant_begin(&plant);
	do {
		worker->ops += work->round(worker);
		bench_plant_tick(&plant);
		now = bench_now_ns();
	} while (work->rounds ? ++rounds < work->rounds : now < until);
	worker->end_ns = now;

	pthread_barrier_wait(&barrier);
	if (work->teardown)
		work->teardown(worker);
	return NULL;
}

struct bench_score bench_run(const struct bench_work *work)
{
	size_t bytes = work->threads * sizeof(struct bench_worker);
	struct bench_score score = { 0 };
	struct bench_worker *workers;
	pthread_t threads[BENCH_THREADS_MAX];
	uint64_t begin = UINT64_MAX;
	uint64_t end = 0;

	workers = bench_map(bytes);
	pthread_barrier_init(&barrier, NULL, (unsigned)work->threads);
	for (unsigned i = 0; i < work->threads; i++) {
		workers[i].id = i;
		workers[i].random = bench_seed_for(i);
		workers[i].work = work;
		threads[i] = bench_thread(worker_body, &workers[i]);
	}
	for (unsigned i = 0; i < work->threads; i++) {
		pthread_join(threads[i], NULL);
		score.ops += workers[i].ops;
		if (workers[i].begin_ns < begin)
			begin = workers[i].begin_ns;
		if (workers[i].end_ns > end)
			end = workers[i].end_ns;
	}
	score.seconds = bench_seconds(end - begin);
	pthread_barrier_destroy(&barrier);
	bench_unmap(workers, bytes);
	return score;
}

void bench_sample(struct bench_series *series, size_t live_bytes)
{
	struct bench_sample *at = &series->at[series->count];
	uint64_t now = bench_now_ns();

	if (series->count == BENCH_SAMPLES_MAX)
		return;
	if (!series->origin_ns)
		series->origin_ns = now;
	at->seconds = bench_seconds(now - series->origin_ns);
	at->rss_bytes = bench_rss_bytes();
	at->live_bytes = live_bytes;
	series->count++;
}

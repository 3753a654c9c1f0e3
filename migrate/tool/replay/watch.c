/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/watch.c - what memory the allocator holds over time, and the flips
 *
 * The kernel counts private memory (anonymous pages) apart from shared memory, and everything of ours is shared. What is
 * left is the allocator's, but for what libc, the loader and this program's own file have written to: that is the base,
 * which is taken once, mapping by mapping, and taken off.
 */
#include "migrate/tool/replay/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Threads take samples by the operation; the sampler is for when they wait. */
#define FIRST_PERIOD_NS 5000000
#define SAMPLES_WANTED	300
#define NEAR_FLIP_NS	10000000
/* In run->asked_flips: no more will come. */
#define ASKED_TO_STOP 0x80000000u
#define SMAPS_ROOM	(4 * MIB)

static struct watch {
	int statm;
	uint64_t page_bytes;
	pthread_t sampler, flipper;
	bool has_flipper;
	_Atomic uint32_t lock; /* 1: somebody takes a sample */
	uint64_t period_ns;
	double rss_sum, live_sum, count; /* of the samples that threads took, for the means */
	/* The pool that each class is sent to, after the last flip; 3: more than one. */
	_Atomic uint32_t route[NEXT_CLASSES];
	struct hakmem_class classes[NEXT_CLASSES];
} * watch;

/* --- private memory ----------------------------------------------------------------------------- */

static uint64_t digits(const char **at)
{
	uint64_t value = 0;
	while (**at == ' ')
		++*at;
	for (; **at >= '0' && **at <= '9'; ++*at)
		value = value * 10 + (uint64_t)(**at - '0');
	return value;
}

static uint64_t private_bytes(void)
{
	char text[256];
	const char *at = text;
	ssize_t length = pread(watch->statm, text, sizeof(text) - 1, 0);

	if (length <= 0)
		return 0;
	text[length] = '\0';
	(void)digits(&at); /* size */
	uint64_t resident = digits(&at), shared = digits(&at);
	return resident > shared ? (resident - shared) * watch->page_bytes : 0;
}

uint64_t watch_rss_bytes(void)
{
	uint64_t bytes = private_bytes(), base = run->shared->base_bytes;
	return bytes > base ? bytes - base : 0;
}

/* A mapping of the stack or of a file that is not the allocator's: the header line of /proc/self/smaps. */
static bool is_base(const char *line, const char *end, const char *allocator)
{
	const char *name = memchr(line, '/', (size_t)(end - line));
	if (name) {
		size_t length = strlen(allocator);
		return !((size_t)(end - name) >= length && memcmp(name, allocator, length) == 0) ||
		       length == 0;
	}
	return memmem(line, (size_t)(end - line), "[stack]", 7) != NULL;
}

static bool is_header(const char *line)
{
	return (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
}

/* Anonymous memory of all mappings that are no allocator's. libc's own data is base even where libc is the allocator:
 * what its malloc has taken lies elsewhere, but for a page. */
static uint64_t base_bytes(char *text, size_t length)
{
	const char *allocator = run->shared->serves_malloc, *end = text + length;
	uint64_t bytes = 0;
	bool counts = false;

	if (strstr(allocator, "/libc.so") || strstr(allocator, "/libc-"))
		allocator = "";
	for (char *line = text; line < end;) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			break;
		if (is_header(line)) {
			counts = is_base(line, newline, allocator);
		} else if (counts && strncmp(line, "Anonymous:", 10) == 0) {
			const char *at = line + 10;
			bytes += digits(&at) * KIB;
		}
		line = newline + 1;
	}
	return bytes;
}

static void take_base(void)
{
	char *text = child_map(SMAPS_ROOM, false);
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	if (fd < 0)
		child_fail("/proc/self/smaps", errno);
	while (length < SMAPS_ROOM - 1 &&
	       (got = read(fd, text + length, SMAPS_ROOM - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	run->shared->base_bytes = base_bytes(text, length);
}

/* --- samples ------------------------------------------------------------------------------------ */

static uint64_t positive(int64_t value)
{
	return value > 0 ? (uint64_t)value : 0;
}

/* Threads go on while their figures are added up, so a block that changed hands may count twice or not at all. */
static void read_live(struct replay_sample *sample)
{
	int64_t live = 0, owned[3] = { 0 }, stranded = 0;

	/* Pairs with the release in child.c: a worker that is on the list is whole. */
	for (struct worker *worker = load_acquire(&run->workers); worker;
	     worker = worker->next_of_all) {
		live += load_relaxed(&worker->live_bytes);
		if (!run->has_flips)
			continue;
		for (unsigned owner = 0; owner < 3; owner++) {
			for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
				int64_t bytes = load_relaxed(&worker->owned_bytes[owner][class]);
				uint32_t route = load_relaxed(&watch->route[class]);
				owned[owner] += bytes;
				if (route < 3 && route != owner)
					stranded += bytes;
			}
		}
	}
	sample->live_bytes = positive(live);
	for (unsigned owner = 0; owner < 3; owner++)
		sample->owned_bytes[owner] = positive(owned[owner]);
	sample->stranded_bytes = positive(stranded);
}

/* Of the two pools that the most lives in, what lives in the lesser one. */
static uint64_t overlap(const struct replay_sample *sample)
{
	uint64_t most = 0, second = 0;
	for (unsigned owner = 0; owner < 3; owner++) {
		uint64_t bytes = sample->owned_bytes[owner];
		if (bytes > most) {
			second = most;
			most = bytes;
		} else if (bytes > second) {
			second = bytes;
		}
	}
	return second;
}

/* Every other sample goes, and they come half as often from now on. */
static void thin_out(struct replay_shared *shared)
{
	for (uint32_t i = 0; i < REPLAY_SAMPLES / 2; i++)
		shared->sample[i] = shared->sample[2 * i];
	shared->samples = REPLAY_SAMPLES / 2;
	watch->period_ns *= 2;
}

enum moment { MOMENT_TIME, MOMENT_OPERATION, MOMENT_PEAK };

static void take_sample(enum moment moment)
{
	struct replay_shared *shared = run->shared;
	uint32_t unlocked = 0;

	/* Pairs with the release below. */
	while (!cas_acquire(&watch->lock, &unlocked, 1)) {
		unlocked = 0;
		child_relax();
	}
	if (shared->samples == REPLAY_SAMPLES)
		thin_out(shared);
	struct replay_sample *sample = &shared->sample[shared->samples++];
	sample->time_ns = child_now_ns() - run->begin_ns;
	sample->rss_bytes = watch_rss_bytes();
	read_live(sample);
	if (moment == MOMENT_OPERATION) {
		watch->rss_sum += (double)sample->rss_bytes;
		watch->live_sum += (double)sample->live_bytes;
		watch->count++;
	}
	if (sample->rss_bytes > shared->peak_rss_bytes)
		shared->peak_rss_bytes = sample->rss_bytes;
	if (run->has_flips && overlap(sample) > shared->peak_overlap_bytes)
		shared->peak_overlap_bytes = overlap(sample);
	if (moment == MOMENT_PEAK) {
		shared->rss_at_peak_bytes = sample->rss_bytes;
		shared->live_at_peak_bytes = sample->live_bytes;
	}
	store_release(&watch->lock, 0);
}

void watch_sample(void)
{
	take_sample(MOMENT_OPERATION);
}

void watch_peak(void)
{
	struct replay_shared *shared = run->shared;

	take_sample(MOMENT_PEAK);
	for (struct worker *worker = load_acquire(&run->workers); worker;
	     worker = worker->next_of_all) {
		shared->blocks_at_peak += (uint64_t)load_relaxed(&worker->live_blocks);
		for (unsigned class = 0; class < NEXT_CLASSES; class ++) {
			shared->at_peak_blocks[class] +=
				(uint64_t)load_relaxed(&worker->class_blocks[class]);
			shared->at_peak_class_bytes[class] +=
				(uint64_t)load_relaxed(&worker->class_bytes[class]);
		}
	}
}

static void *sample_main(void *argument)
{
	(void)argument;
	/* Pairs with the release in watch_end(). */
	while (!load_acquire(&run->stop)) {
		struct timespec time = {
			.tv_sec = (time_t)(watch->period_ns / 1000000000),
			.tv_nsec = (long)(watch->period_ns % 1000000000),
		};
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
		take_sample(MOMENT_TIME);
	}
	return NULL;
}

/* --- flips -------------------------------------------------------------------------------------- */

static void read_routes(void)
{
	size_t count = 0;

	if (run->read_classes)
		count = run->read_classes(watch->classes, sizeof(watch->classes[0]), NEXT_CLASSES);
	for (size_t class = 0; class < NEXT_CLASSES && class < count; class ++) {
		const struct hakmem_class *one = &watch->classes[class];
		store_relaxed(&watch->route[class],
			      one->state == HAKMEM_STATE_CANARY ? 3 : one->served_by);
	}
}

static void do_flip(struct replay_flip *flip)
{
	store_relaxed(&run->near_flip, 1);
	flip->asked_ns = child_now_ns() - run->begin_ns;
	if (run->plan_set(flip->plan, flip->error, sizeof(flip->error)) == 0)
		flip->done_ns = child_now_ns() - run->begin_ns;
	read_routes();
	take_sample(MOMENT_TIME);
}

/* Does what is asked for, and keeps the time around it open for NEAR_FLIP_NS. */
static void *flip_main(void *argument)
{
	uint32_t done = 0;

	(void)argument;
	for (;;) {
		/* Pairs with the releases of whoever asks and of watch_end(). */
		uint32_t word = load_acquire(&run->asked_flips), asked = word & ~ASKED_TO_STOP;
		if (done >= asked) {
			if (load_acquire(&run->stop))
				return NULL;
			child_futex_wait(&run->asked_flips, word);
			continue;
		}
		while (done < asked && done < run->shared->flips)
			do_flip(&run->shared->flip[done++]);
		done = asked;
		struct timespec time = { .tv_nsec = NEAR_FLIP_NS };
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
		store_relaxed(&run->near_flip, 0);
	}
}

/* --- begin and end ------------------------------------------------------------------------------ */

static pthread_t start(void *(*body)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;

	(void)pthread_attr_init(&attributes);
	int reason = pthread_attr_setstack(&attributes, child_map(CHILD_STACK_BYTES, true),
					   CHILD_STACK_BYTES);
	if (reason == 0)
		reason = pthread_create(&thread, &attributes, body, NULL);
	if (reason)
		child_fail("a thread cannot be started", reason);
	return thread;
}

void watch_begin(void)
{
	watch = child_map(sizeof(*watch), true);
	watch->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	watch->period_ns = FIRST_PERIOD_NS;
	watch->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (watch->statm < 0)
		child_fail("/proc/self/statm", errno);
	for (unsigned class = 0; class < NEXT_CLASSES; class ++)
		store_relaxed(&watch->route[class], 3);
	if (run->has_flips)
		read_routes();
	run->sample_every = run->header->operations / SAMPLES_WANTED + 1;
	take_base();
	run->begin_ns = child_now_ns();
	take_sample(MOMENT_TIME);
	watch->sampler = start(sample_main);
	if (run->has_flips) {
		watch->flipper = start(flip_main);
		watch->has_flipper = true;
	}
}

void watch_end(void)
{
	struct replay_shared *shared = run->shared;

	take_sample(MOMENT_TIME);
	shared->end_rss_bytes = shared->sample[shared->samples - 1].rss_bytes;
	/* Pairs with the loads in both threads. */
	store_release(&run->stop, 1);
	(void)pthread_join(watch->sampler, NULL);
	if (watch->has_flipper) {
		/* It may sleep since it looked at `stop': the word it sleeps on changes. */
		(void)fetch_or_release(&run->asked_flips, ASKED_TO_STOP);
		child_futex_wake(&run->asked_flips);
		(void)pthread_join(watch->flipper, NULL);
	}
	if (watch->count > 0) {
		shared->mean_rss_bytes = (uint64_t)(watch->rss_sum / watch->count);
		shared->mean_live_bytes = (uint64_t)(watch->live_sum / watch->count);
	}
}

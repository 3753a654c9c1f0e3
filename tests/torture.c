/* SPDX-License-Identifier: MIT */
/* tests/torture.c - classes flip both ways all the while, and no block is lost, hurt or from the wrong pool
 *
 *	torture [-s SECONDS | -n FLIPS] [-t THREADS] [-f FLIPS_PER_SECOND] [-r RANDOM]
 *
 * Threads allocate, resize, free their own and each other's blocks, start and exit; every block is full of a pattern
 * made of its address and of a number that no other block has had. Meanwhile one thread flips classes: live plans, shares
 * of threads, rollbacks, the kill switch.
 *
 * Who serves a malloc is checked whenever that is decided: the flipping thread says "in flux" about a class before it
 * flips it, and what holds afterwards. A thread that finds the same word before and after its malloc began that malloc
 * after a flip had returned and ended it before another one began, so its block is from where the word says.
 *
 * With HAKMEM_RECORD=FOLDER in the environment all of it is recorded meanwhile. Ends with 0 and the figures, or abort() at
 * the first thing found.
 */
#include "migrate/state.h"
#include "next/next.h"
#include "next/types.h"
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "shim/init.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX    64
#define KEPT_BLOCKS    64   /* a thread's own, at most */
#define SHARED_SLOTS   256  /* blocks that anybody may take */
#define LIFE	       3000 /* operations until a thread makes its successor and exits */
#define FLIP_TIMES_MAX 200000

static __attribute__((noreturn)) void found(const char *what, const void *block, uint64_t value)
{
	fprintf(stderr, "torture: block %p: %s (%#llx)\n", block, what, (unsigned long long)value);
	abort();
}

static uint64_t draw(uint64_t *state)
{
	/* xorshift64 (Marsaglia, 2003) */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* --- what flips ----------------------------------------------------------------------------------- */

/* Sizes of every band, each a class of its own. */
static const struct {
	const char *name;
	size_t bytes;
	enum hakmem_owner old;
} kinds[] = {
	{ "48", 48, HAKMEM_OWNER_SYSTEM },	 { "256", 256, HAKMEM_OWNER_SYSTEM },
	{ "1k", 1024, HAKMEM_OWNER_SYSTEM },	 { "2k", 2048, HAKMEM_OWNER_LEGACY },
	{ "4k", 4096, HAKMEM_OWNER_LEGACY },	 { "16k", 16384, HAKMEM_OWNER_LEGACY },
	{ "32k", 32768, HAKMEM_OWNER_LEGACY },	 { "64k", 65536, HAKMEM_OWNER_SYSTEM },
	{ "256k", 262144, HAKMEM_OWNER_SYSTEM }, { "512k", 524288, HAKMEM_OWNER_SYSTEM },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What is decided about a kind: 0 while it is in flux, else
 *
 *   63      40 39                       8 7      0
 *  +----------+--------------------------+--------+
 *  | number   | next's, if the cohort is | others'|
 *  |          | below                    | owner  |
 *  +----------+--------------------------+--------+
 */
static _Atomic uint64_t decided[KINDS];

static bool is_as_decided(uint64_t word, enum hakmem_owner owner)
{
	uint32_t door = (uint32_t)(word >> 8);
	/* A thread that has no heap was not asked for its cohort: all is next's, or nothing. */
	bool in_next = door == NEXT_DOOR_OPEN ||
		       (next_heap_self->number != 0 && next_heap_self->cohort < door);
	return owner == (in_next ? HAKMEM_OWNER_NEXT : (enum hakmem_owner)(word & 0xff));
}

/* --- blocks --------------------------------------------------------------------------------------- */

struct block {
	unsigned char *start;
	size_t bytes;
	uint64_t key;
};

static _Atomic(struct block *) shared[SHARED_SLOTS];
static _Atomic uint64_t next_key = 1, checked, allocated;

/* All of a small block; of a large one its beginning, its end and some of every page. */
static size_t stride(size_t word, size_t count)
{
	return count <= 256 || word < 8 || word + 64 >= count ? 1 : 57;
}

static uint64_t pattern(const struct block *block, size_t word)
{
	return (block->key * 0xbf58476d1ce4e5b9u) ^ (uintptr_t)block->start ^
	       (word * 0x9e3779b97f4a7c15u);
}

static void mark(const struct block *block)
{
	uint64_t *words = (uint64_t *)(void *)block->start;
	size_t count = block->bytes / 8;
	for (size_t i = 0; i < count; i += stride(i, count))
		words[i] = pattern(block, i);
}

/* The block's contents wherever they are now, as far as they were kept. */
static void look(const struct block *block, const unsigned char *place, size_t kept_bytes)
{
	const uint64_t *words = (const uint64_t *)(const void *)place;
	size_t count = block->bytes / 8;
	for (size_t i = 0; i < count && (i + 1) * 8 <= kept_bytes; i += stride(i, count))
		if (words[i] != pattern(block, i))
			found("somebody else wrote into it", place, words[i]);
}

static void fill(struct block *block, unsigned char *start, size_t bytes)
{
	block->start = start;
	block->bytes = bytes;
	block->key = fetch_add_relaxed(&next_key, 1);
	mark(block);
}

static unsigned char *get(size_t bytes, uint64_t way)
{
	switch (way % 8) {
	case 0:
		return hakmem_calloc(1, bytes);
	case 1:
		return hakmem_malloc_site(bytes, 7);
	default:
		return hakmem_malloc(bytes);
	}
}

static struct block *make(uint64_t *random)
{
	struct block *block = calloc(1, sizeof(*block));
	size_t kind = draw(random) % KINDS;
	uint64_t way = draw(random);
	/* Few of the largest. Those of 32 and 64 KiB come often: their pages are soon used up, and it is where a page
	 * is put into a slot that a flip may meet it. */
	if (kind >= 8 && way % 8)
		kind -= 2;
	/* acquire: pairs with the release in settle(): this malloc starts after that flip returned */
	uint64_t before = load_acquire(&decided[kind]);
	unsigned char *start = get(kinds[kind].bytes, way >> 8);
	/* acq_rel, and a write: nothing of the malloc comes after it */
	uint64_t after = fetch_add_acq_rel(&decided[kind], 0);
	if (!start)
		found("no memory", NULL, kinds[kind].bytes);
	if (before && before == after) {
		if (!is_as_decided(before, hakmem_owner(start)))
			found("from the wrong pool", start, before);
		fetch_add_relaxed(&checked, 1);
	}
	fetch_add_relaxed(&allocated, 1);
	fill(block, start, kinds[kind].bytes);
	return block;
}

static void drop(struct block *block)
{
	if (!block)
		return;
	look(block, block->start, block->bytes);
	hakmem_free(block->start);
	free(block);
}

static void resize(struct block *block, uint64_t *random)
{
	size_t kind = draw(random) % 8, bytes = kinds[kind].bytes - draw(random) % 16;
	look(block, block->start, block->bytes);
	unsigned char *moved = hakmem_realloc(block->start, bytes);
	if (!moved)
		found("no memory to resize it", block->start, bytes);
	look(block, moved, bytes < block->bytes ? bytes : block->bytes);
	fill(block, moved, bytes);
}

/* --- threads -------------------------------------------------------------------------------------- */

static _Atomic bool running;
static _Atomic unsigned alive, started;

static void operate(struct block **kept, uint64_t *random)
{
	uint64_t r = draw(random);
	struct block **slot = &kept[(r >> 8) % KEPT_BLOCKS];
	switch (r % 16) {
	case 0:
	case 1:
	case 2: /* acq_rel: the contents go with the block */
		*slot = exchange_acq_rel(&shared[(r >> 32) % SHARED_SLOTS], *slot);
		break;
	case 3:
	case 4:
		if (*slot)
			resize(*slot, random);
		break;
	default:
		drop(*slot);
		*slot = r % 16 < 11 ? make(random) : NULL;
		break;
	}
}

#define LESS_PRIORITY 10
static int own_priority; /* nice(2)'s, of the flipping thread */

static void *work(void *seed);

static void start_thread(uint64_t seed)
{
	pthread_t thread;
	pthread_attr_t attributes;
	fetch_add_acq_rel(&alive, 1);
	fetch_add_relaxed(&started, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, work, (void *)(uintptr_t)seed))
		found("no thread", NULL, seed);
	pthread_attr_destroy(&attributes);
}

static void *work(void *seed)
{
	struct block *kept[KEPT_BLOCKS] = { NULL };
	/* Of this thread alone: whoever flips goes first, or a machine with few cores sees few flips. */
	(void)setpriority(PRIO_PROCESS, 0, own_priority + LESS_PRIORITY);
	uint64_t random = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15u | 1;

	for (unsigned i = 0; i < LIFE && load_relaxed(&running); i++)
		operate(kept, &random);
	/* Some are left to whoever comes, most go with the thread. */
	for (size_t i = 0; i < KEPT_BLOCKS; i++)
		drop(i % 4 ? kept[i]
			   : exchange_acq_rel(&shared[draw(&random) % SHARED_SLOTS], kept[i]));
	if (load_relaxed(&running))
		start_thread(draw(&random));
	fetch_sub_acq_rel(&alive, 1);
	return NULL;
}

/* --- the flipping thread -------------------------------------------------------------------------- */

static const char *const targets[] = { "next", "old", "system", "next@25%:thread",
				       "next@50%:thread/control" };
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

static struct {
	size_t target[KINDS]; /* of the live plan */
	bool latched[KINDS], killed;
	uint64_t number, flips, rollbacks;
	size_t times;
	uint64_t cpu_ns[FLIP_TIMES_MAX], wall_ns[FLIP_TIMES_MAX];
} control;

static uint64_t cpu_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t decision(size_t kind)
{
	static const uint32_t doors[] = { NEXT_DOOR_OPEN, 0, 0, 1u << 30, 1u << 31 };
	uint32_t door = doors[control.target[kind]];
	enum hakmem_owner others = control.target[kind] == 2 ? HAKMEM_OWNER_SYSTEM
							     : kinds[kind].old;
	if (control.latched[kind] || control.killed) {
		door = 0;
		others = kinds[kind].old;
	}
	return (++control.number << 40) | (uint64_t)door << 8 | (uint64_t)others;
}

static void unsettle(size_t kind)
{
	/* seq_cst: before the flip's first step */
	store_seq_cst(&decided[kind], 0);
}

static void settle(size_t kind)
{
	/* release: pairs with the acquire in make() */
	store_release(&decided[kind], decision(kind));
}

static void set_plan(void)
{
	char text[512], error[256];
	size_t used = 0;
	for (size_t i = 0; i < KINDS; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%s", i ? "," : "",
					 kinds[i].name, targets[control.target[i]]);
	if (hakmem_plan_set(text, error, sizeof(error)))
		found(error, NULL, 0);
}

/* state_rollback() is what every rollback comes to; without the line that is said of it. */
static void set_latch(size_t kind, bool latched)
{
	bool named[NEXT_CLASSES] = { false };
	named[next_class_of(kinds[kind].bytes)] = true;
	if (latched)
		state_rollback(named, "by the torture", NULL);
	else
		state_unlatch(named, NULL);
}

static void flip(uint64_t *random)
{
	size_t kind = draw(random) % KINDS;
	unsigned what = (unsigned)(draw(random) % 16);
	bool all = what == 15;

	for (size_t i = 0; i < KINDS; i++)
		if (all || i == kind)
			unsettle(i);
	if (all)
		control.killed = !control.killed;
	else if (what < 4)
		control.latched[kind] = !control.latched[kind];
	else
		control.target[kind] = draw(random) % TARGETS;
	uint64_t cpu_ns = cpu_now_ns(), wall_ns = os_now_ns();
	if (all)
		hakmem_kill_switch(control.killed);
	else if (what < 4)
		set_latch(kind, control.latched[kind]);
	else
		set_plan();
	if (control.times < FLIP_TIMES_MAX) {
		control.wall_ns[control.times] = os_now_ns() - wall_ns;
		control.cpu_ns[control.times++] = cpu_now_ns() - cpu_ns;
	}
	for (size_t i = 0; i < KINDS; i++)
		if (all || i == kind)
			settle(i);
	control.flips++;
	control.rollbacks += what < 4 && control.latched[kind];
}

/* Until then, or until there were so many, whichever comes first. */
static void flip_until(uint64_t end_ns, uint64_t flips, uint64_t interval_ns, uint64_t random)
{
	uint64_t next_ns = os_now_ns();
	while (os_now_ns() < end_ns && control.flips < flips) {
		struct timespec at = { .tv_sec = (time_t)(next_ns / 1000000000u),
				       .tv_nsec = (long)(next_ns % 1000000000u) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		flip(&random);
		next_ns += interval_ns;
	}
}

/* --- the whole ------------------------------------------------------------------------------------ */

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void print_times(const char *what, uint64_t *times_ns)
{
	qsort(times_ns, control.times, sizeof(times_ns[0]), compare);
	printf("  a flip's %s: median %.1f us, p99 %.1f us, worst %.1f us\n", what,
	       (double)times_ns[control.times / 2] / 1e3,
	       (double)times_ns[control.times * 99 / 100] / 1e3,
	       (double)times_ns[control.times - 1] / 1e3);
}

/* Whether HAKMEM_RECORD asks for it and nothing is recorded. */
static bool recording_failed(void)
{
	struct hakmem_record record;
	if (!getenv("HAKMEM_RECORD"))
		return false;
	hakmem_record_stop(&record, sizeof(record));
	printf("  recorded: %llu events in %llu streams, %llu lost for want of room\n",
	       (unsigned long long)record.events, (unsigned long long)record.streams,
	       (unsigned long long)record.lost);
	return record.events == 0;
}

int main(int argc, char **argv)
{
	double seconds = 0, flips_per_second = 1000;
	int threads = 8;
	uint64_t random = 88172645463325252u, flips = 0;

	for (int option; (option = getopt(argc, argv, "s:n:t:f:r:")) != -1;) {
		if (option == 's')
			seconds = atof(optarg);
		else if (option == 'n')
			flips = strtoull(optarg, NULL, 0);
		else if (option == 't')
			threads = atoi(optarg);
		else if (option == 'f')
			flips_per_second = atof(optarg);
		else if (option == 'r')
			random ^= strtoull(optarg, NULL, 0) << 1;
		else
			return 2;
	}
	if (seconds == 0)
		seconds = flips ? 1e9 : 5;
	if (flips == 0)
		flips = UINT64_MAX;
	if (threads < 1 || threads > THREADS_MAX || !(seconds > 0) || !(flips_per_second > 0)) {
		fprintf(stderr,
			"usage: torture [-s SECONDS | -n FLIPS] [-t 1..%d] [-f FLIPS_PER_SECOND] [-r RANDOM]\n",
			THREADS_MAX);
		return 2;
	}
	own_priority = getpriority(PRIO_PROCESS, 0);
	shim_init();
	set_plan();
	size_t live_before = live_blocks();
	store_relaxed(&running, true);
	for (int i = 0; i < threads; i++)
		start_thread(draw(&random));
	uint64_t start_ns = os_now_ns();
	flip_until(start_ns + (uint64_t)(seconds * 1e9), flips, (uint64_t)(1e9 / flips_per_second),
		   random);
	seconds = (double)(os_now_ns() - start_ns) / 1e9;
	store_relaxed(&running, false);
	while (load_acquire(&alive) > 0)
		usleep(1000);
	for (size_t i = 0; i < SHARED_SLOTS; i++)
		drop(exchange_acq_rel(&shared[i], NULL));
	size_t live_after = live_blocks();
	printf("torture: %d threads, %u started in all, %.1f s, %llu flips, %.0f a second (%llu rollbacks)\n"
	       "  %llu blocks, of %llu of which the pool was decided and right\n",
	       threads, load_relaxed(&started), seconds, (unsigned long long)control.flips,
	       (double)control.flips / seconds, (unsigned long long)control.rollbacks,
	       (unsigned long long)load_relaxed(&allocated),
	       (unsigned long long)load_relaxed(&checked));
	print_times("CPU time", control.cpu_ns);
	print_times("wall time", control.wall_ns);
	if (live_after != live_before)
		found("blocks live before and after differ", NULL, live_after - live_before);
	if (load_relaxed(&checked) == 0)
		found("no malloc could be checked", NULL, 0);
	if (recording_failed())
		found("nothing was recorded", NULL, 0);
	return 0;
}

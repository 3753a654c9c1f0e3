/* SPDX-License-Identifier: MIT */
/* tests/stress.c - no block lost, none handed out twice, whoever serves and whoever frees
 *
 *	stress [-s SECONDS] [-t THREADS] [-r ROUTES]
 *
 * Every thread allocates, resizes, frees and hands blocks over to others at random. A block is full of a
 * pattern that is made of its address and of a number that no other block has had, and is looked at
 * before it is resized and before it is freed: two owners of one byte would each find the other's. When
 * all threads are gone as many blocks live as before.
 *
 * ROUTES: one of tests/routes.h, or "all" of these, one after the other (the default). SECONDS: of each; 5 for
 * all together if it is not given. Ends with 0, or abort() at the first thing found.
 */
#include "shim/base/atomic.h"
#include "shim/base/os.h"
#include "shim/hakmem.h"
#include "tests/routes.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_BLOCKS   256 /* a thread keeps at most so many */
#define SHARED_SLOTS  512
#define THREADS_MAX   256
#define RARE_BYTES    (6 * MIB)
#define TOTAL_SECONDS 5.0

/* What is known of a block beside the block itself. Comes from the allocator under test as well. */
struct entry {
	unsigned char *block;
	size_t bytes;
	uint64_t number;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	uint64_t numbers; /* the next block's number: thread in the upper bits */
	uint64_t operations;
	struct entry *kept[KEPT_BLOCKS];
};

static _Atomic(struct entry *) shared[SHARED_SLOTS];
static _Atomic bool running;

static uint64_t draw(uint64_t *state)
{
	/* xorshift64 (Marsaglia, 2003) */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static __attribute__((noreturn, format(printf, 2, 3))) void found(const struct entry *entry,
								  const char *format, ...)
{
	char what[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	fprintf(stderr, "stress: block %p of %zu bytes, number %#llx: %s\n", (void *)entry->block,
		entry->bytes, (unsigned long long)entry->number, what);
	abort();
}

/* --- the pattern ---------------------------------------------------------------------------------- */

/* Word by word, the rest byte by byte: a sanitizer pays for every access. */
static uint64_t pattern_at(uint64_t key, size_t word)
{
	return key + word * 0x9e3779b97f4a7c15u;
}

static uint64_t pattern_key(const struct entry *entry)
{
	return (entry->number * 0xbf58476d1ce4e5b9u) ^ (uint64_t)(uintptr_t)entry->block;
}

/* All of a small block; of a large one the beginning and some of every page. */
static size_t pattern_step(size_t word, size_t bytes)
{
	return bytes <= 4096 || word < 16 ? 1 : 61;
}

static void mark(const struct entry *entry)
{
	uint64_t key = pattern_key(entry), *words = (uint64_t *)(void *)entry->block;
	size_t count = entry->bytes / 8;
	for (size_t i = 0; i < count; i += pattern_step(i, entry->bytes))
		words[i] = pattern_at(key, i);
	for (size_t i = count * 8; i < entry->bytes; i++)
		entry->block[i] = (unsigned char)pattern_at(key, i);
}

static __attribute__((noreturn)) void differs(const struct entry *entry, const void *place,
					      size_t i, uint64_t is)
{
	found(entry, "at %zu is %#llx (the block is at %p now)", i, (unsigned long long)is, place);
}

/* The first `kept_bytes` of the block, wherever they are now. */
static void look(const struct entry *entry, const unsigned char *block, size_t kept_bytes)
{
	uint64_t key = pattern_key(entry);
	const uint64_t *words = (const uint64_t *)(const void *)block;
	size_t count = entry->bytes / 8;
	for (size_t i = 0; i < kept_bytes / 8; i += pattern_step(i, entry->bytes))
		if (words[i] != pattern_at(key, i))
			differs(entry, block, i * 8, words[i]);
	for (size_t i = count * 8; i < kept_bytes; i++)
		if (block[i] != (unsigned char)pattern_at(key, i))
			differs(entry, block, i, block[i]);
}

static void look_for_zeroes(const struct entry *entry)
{
	const uint64_t *words = (const uint64_t *)(const void *)entry->block;
	size_t count = entry->bytes / 8;
	for (size_t i = 0; i < count; i++)
		if (words[i])
			differs(entry, words, i * 8, words[i]);
	for (size_t i = count * 8; i < entry->bytes; i++)
		if (entry->block[i])
			differs(entry, words, i, entry->block[i]);
}

/* --- operations ----------------------------------------------------------------------------------- */

/* Mostly small, some of every class, a few huge. */
static size_t draw_size(uint64_t *random)
{
	uint64_t r = draw(random);
	unsigned kind = (unsigned)(r % 128);
	r >>= 8;
	if (kind < 80)
		return r % 1024;
	if (kind < 116)
		return 1 + r % (40 * KIB);
	if (kind < 127)
		return 1 + r % (600 * KIB);
	return 1 + r % RARE_BYTES;
}

static struct entry *make(struct worker *w)
{
	struct entry *entry = hakmem_malloc(sizeof(*entry));
	uint64_t way = draw(&w->random) % 8;
	if (!entry)
		abort();
	entry->bytes = draw_size(&w->random);
	entry->number = w->numbers++;
	size_t alignment = way == 1 ? (size_t)1 << draw(&w->random) % 15 : 16;
	if (way == 0)
		entry->block = hakmem_calloc(1, entry->bytes);
	else if (way == 1)
		entry->block = hakmem_memalign(alignment, entry->bytes);
	else
		entry->block = hakmem_malloc(entry->bytes);
	if (!entry->block)
		found(entry, "no memory");
	if ((uintptr_t)entry->block % alignment)
		found(entry, "not aligned to %zu", alignment);
	if (way == 0)
		look_for_zeroes(entry);
	if (way == 2 && hakmem_malloc_usable_size(entry->block) < entry->bytes)
		found(entry, "usable size is too small");
	mark(entry);
	return entry;
}

static void drop(struct entry *entry)
{
	if (!entry)
		return;
	look(entry, entry->block, entry->bytes);
	hakmem_free(entry->block);
	hakmem_free(entry);
}

static void resize(struct worker *w, struct entry *entry)
{
	size_t bytes = draw_size(&w->random) + 1;
	look(entry, entry->block, entry->bytes);
	unsigned char *block = hakmem_realloc(entry->block, bytes);
	if (!block)
		found(entry, "no memory for %zu bytes", bytes);
	look(entry, block, bytes < entry->bytes ? bytes : entry->bytes);
	entry->block = block;
	entry->bytes = bytes;
	entry->number = w->numbers++;
	mark(entry);
}

static void operate(struct worker *w)
{
	uint64_t r = draw(&w->random);
	struct entry **slot = &w->kept[(r >> 8) % KEPT_BLOCKS];
	switch (r % 16) {
	case 0:
	case 1: /* acq_rel: the block's contents go with it, and another's come back */
		*slot = exchange_acq_rel(&shared[(r >> 32) % SHARED_SLOTS], *slot);
		break;
	case 2:
	case 3:
		if (*slot)
			resize(w, *slot);
		break;
	default:
		drop(*slot);
		*slot = r % 16 < 10 ? make(w) : NULL;
		break;
	}
	w->operations++;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	while (load_relaxed(&running))
		for (int i = 0; i < 64; i++)
			operate(w);
	/* Every other thread leaves its blocks behind for the main thread to free. */
	if (w->numbers >> 48 & 1)
		for (size_t i = 0; i < KEPT_BLOCKS; i++) {
			drop(w->kept[i]);
			w->kept[i] = NULL;
		}
	return NULL;
}

/* --- a round -------------------------------------------------------------------------------------- */

static size_t live_blocks(void)
{
	struct hakmem_stats stats;
	hakmem_stats(&stats, sizeof(stats));
	return stats.next_live_blocks + stats.legacy_live_blocks;
}

static void run(const char *routes, double seconds, unsigned threads)
{
	static struct worker workers[THREADS_MAX];
	static unsigned rounds;
	uint64_t operations = 0, end_ns;
	size_t live_before;

	if (!route_all(routes)) {
		fprintf(stderr, "stress: no such routes: %s\n", routes);
		exit(2);
	}
	live_before = live_blocks();
	end_ns = os_now_ns() + (uint64_t)(seconds * 1e9);
	store_relaxed(&running, true);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){
			.random = 0x2545f4914f6cdd1du * (++rounds),
			.numbers = (uint64_t)(i + 1) << 48,
		};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			abort();
	}
	while (os_now_ns() < end_ns)
		usleep(20000);
	store_relaxed(&running, false);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		operations += workers[i].operations;
		for (size_t k = 0; k < KEPT_BLOCKS; k++)
			drop(workers[i].kept[k]);
	}
	for (size_t i = 0; i < SHARED_SLOTS; i++)
		drop(exchange_acq_rel(&shared[i], NULL));
	size_t live_after = live_blocks();
	printf("%-14s %u threads, %.1f s: %llu operations, %zu blocks live before, %zu after\n",
	       routes, threads, seconds, (unsigned long long)operations, live_before, live_after);
	fflush(stdout);
	if (live_after != live_before) {
		fprintf(stderr, "stress: blocks were lost\n");
		abort();
	}
}

int main(int argc, char **argv)
{
	const char *routes = "all";
	const char *given_seconds = NULL;
	int threads = 16, sets = 0;
	for (int option; (option = getopt(argc, argv, "s:t:r:")) != -1;) {
		if (option == 's')
			given_seconds = optarg;
		else if (option == 't')
			threads = atoi(optarg);
		else if (option == 'r')
			routes = optarg;
		else
			return 2;
	}
	bool all = strcmp(routes, "all") == 0;
	for (const char *const *set = route_sets; *set; set++)
		sets++;
	double seconds = given_seconds ? atof(given_seconds) : TOTAL_SECONDS / (all ? sets : 1);
	if (threads < 1 || threads > THREADS_MAX || !(seconds > 0)) {
		fprintf(stderr, "usage: stress [-s SECONDS] [-t 1..%d] [-r ROUTES]\n", THREADS_MAX);
		return 2;
	}
	for (const char *const *set = route_sets; all && *set; set++)
		run(*set, seconds, (unsigned)threads);
	if (!all)
		run(routes, seconds, (unsigned)threads);
	if (!route_all("next")) {
		fprintf(stderr, "stress: nothing was recorded\n");
		return 1;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* bench/locality.c - objects of several call sites, allocated interleaved, walked site by site
 *
 * Sixteen places in this program allocate objects of the same sizes in random turns, as the
 * constructors of a big program do. Later each site's objects are walked in the order in which
 * they were made. An allocator that places the blocks of one site together gives a walk with few
 * cache lines, pages and TLB entries. Only the walk is timed; one operation is one object visited.
 *
 * --age replaces that share of the objects, chosen at random, before the walk, so that the heap is
 * not fresh. By caller the sixteen are plain calls of malloc, each with a return address of its own,
 * which a library may take as the site. --by site calls hakmem_malloc_site where there is one, and is
 * otherwise the same program.
 */
#include "bench/common.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define SITES 16

struct object {
	struct object *next;
	uint64_t weight;
	uint32_t size;
	uint32_t site;
};

typedef void *malloc_site_fn(size_t size, uint32_t site); /* shim/hakmem.h */

enum { BY_CALLER, BY_SITE };

static const char *const ways[] = { "caller", "site", NULL };
static unsigned by = BY_CALLER;
static uint64_t count = 400000;
static uint64_t size_min = 32, size_max = 96;
static uint64_t age_pct = 0;
static double seconds = 1;

static const struct bench_option options[] = {
	{ "by", 'b', BENCH_CHOICE, &by, ways,
	  "how the library learns the site: by the caller's address, or told" },
	{ "count", 'n', BENCH_COUNT, &count, NULL, "objects" },
	{ "min", 0, BENCH_COUNT, &size_min, NULL, "smallest object" },
	{ "max", 0, BENCH_COUNT, &size_max, NULL, "largest object" },
	{ "age", 'a', BENCH_COUNT, &age_pct, NULL, "per cent of the objects replaced before" },
	{ "seconds", 's', BENCH_REAL, &seconds, NULL, "of walks" },
	{ .name = NULL },
};

static malloc_site_fn *malloc_site;
static struct object *head[SITES], *tail[SITES];
static uint64_t objects; /* in all lists */

/* A call of its own, at an address of its own: the comments differ, so it cannot be merged. */
#define SITE(number)                                                                               \
	case number:                                                                               \
		__asm__ volatile("# before site " #number : : : "memory");                         \
		at = malloc(size);                                                                 \
		__asm__ volatile("# after site " #number : "+r"(at));                              \
		break

static void *malloc_at(unsigned site, size_t size)
{
	void *at = NULL;

	if (malloc_site)
		return malloc_site(size, site + 1);
	switch (site) {
		SITE(0);
		SITE(1);
		SITE(2);
		SITE(3);
		SITE(4);
		SITE(5);
		SITE(6);
		SITE(7);
		SITE(8);
		SITE(9);
		SITE(10);
		SITE(11);
		SITE(12);
		SITE(13);
		SITE(14);
		SITE(15);
	}
	return at;
}

static struct object *new_object(unsigned site, uint64_t *random)
{
	size_t size = bench_between(random, size_min, size_max);
	struct object *object = malloc_at(site, size);

	if (!object)
		bench_die("malloc failed");
	memset(object, 0, size);
	object->size = (uint32_t)size;
	object->site = site;
	object->weight = size;
	return object;
}

static void append(struct object *object)
{
	unsigned site = object->site;

	if (tail[site])
		tail[site]->next = object;
	else
		head[site] = object;
	tail[site] = object;
	objects++;
}

/* Everything an object is used for: its list is followed and all of its words are read. */
static uint64_t walk(unsigned site)
{
	uint64_t sum = 0;

	for (const struct object *at = head[site]; at; at = at->next) {
		const uint64_t *word = (const uint64_t *)at;

		for (size_t i = 1; i < at->size / sizeof(*word); i++)
			sum += word[i];
	}
	return sum;
}

/* Replace objects at random, and keep the rest where they are in their lists. */
static void grow_old(uint64_t *random)
{
	objects = 0;
	for (unsigned site = 0; site < SITES; site++) {
		struct object *at = head[site];

		head[site] = tail[site] = NULL;
		while (at) {
			struct object *next = at->next;

			at->next = NULL;
			if (bench_below(random, 100) < age_pct) {
				free(at);
				at = NULL;
			} else {
				append(at);
			}
			at = next;
		}
	}
	for (uint64_t i = 0; i < count * age_pct / 100; i++)
		append(new_object((unsigned)bench_below(random, SITES), random));
}

int main(int argc, char **argv)
{
	struct bench_score score = { 0 };
	uint64_t random, begin, built_ns, sum = 0;
	struct bench_plant plant;

	bench_options(argc, argv, "Objects of several call sites, walked site by site.", options,
		      NULL);
	if (size_min < sizeof(struct object) || size_max < size_min || age_pct > 100)
		bench_die("--min: from 24 to --max; --age: up to 100");
	if (by == BY_SITE) {
		void *symbol = dlsym(RTLD_DEFAULT, "hakmem_malloc_site");

		memcpy(&malloc_site, &symbol, sizeof(malloc_site));
	}
	random = bench_seed_for(0);
	begin = bench_now_ns();
	for (uint64_t i = 0; i < count; i++)
		append(new_object((unsigned)bench_below(&random, SITES), &random));
	built_ns = bench_now_ns() - begin;
	if (age_pct)
		grow_old(&random);

	for (unsigned site = 0; site < SITES; site++)
		sum += walk(site);
	begin = bench_now_ns();
	bench_plant_begin(&plant);
	do {
		for (unsigned site = 0; site < SITES; site++)
			sum += walk(site);
		bench_plant_tick(&plant);
		score.ops += objects;
		score.seconds = bench_seconds(bench_now_ns() - begin);
	} while (score.seconds < seconds);
	__asm__ volatile("" : : "r"(sum));

	bench_result_open("locality");
	bench_result_text("by", by == BY_SITE && !malloc_site ? "caller, no symbol" : ways[by]);
	bench_result_count("count", count);
	bench_result_count("age_pct", age_pct);
	bench_result_score(score);
	bench_result_real("ns_per_object", score.seconds * 1e9 / (double)score.ops);
	bench_result_real("build_ns", (double)built_ns / (double)count);
	bench_result_close();
	return 0;
}

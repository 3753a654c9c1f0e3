/* SPDX-License-Identifier: MIT */
/* bench/mf2.c - what MF2 buys alone: from a block's address to its page descriptor, in two ways
 *
 * hash: the page's address is looked up in a uthash table under the table's mutex, as legacy does
 * two to four times an allocation. map: a byte for each 4 MiB of address space says that this is a
 * segment, a mask gives its header, a shift the page's index, and the descriptor lies in the
 * header; nothing is written and nothing is locked. Both ways look up the same random addresses
 * and read one field of the descriptor. One operation is one lookup.
 */
#include "bench/common.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SEGMENT_SHIFT 22
#define SEGMENT	      ((size_t)1 << SEGMENT_SHIFT)
#define SLICE_SHIFT   16
#define SLICES	      64
#define MAP_SLOTS     ((size_t)1 << (47 - SEGMENT_SHIFT))
#define ADDRESSES     65536
#define BATCH	      1024

/* uthash asks for its buckets here; what it gives up while it grows is not used again */
static void *table_memory(size_t bytes);
#define uthash_malloc(bytes)   table_memory(bytes)
#define uthash_free(at, bytes) ((void)(at), (void)(bytes))
#include <uthash.h>

struct descriptor {
	uintptr_t page; /* the key */
	uint32_t block_size;
	UT_hash_handle hh;
};

struct slice {
	uint32_t block_size;
	uint32_t fill[15];
};

struct segment {
	struct slice slices[SLICES];
};

enum { BY_HASH, BY_MAP };

static const char *const ways[] = { "hash", "map", NULL };
static unsigned way = BY_HASH;
static uint64_t segments = 32;

static const struct bench_option options[] = {
	{ "way", 'm', BENCH_CHOICE, &way, ways, "of finding the descriptor" },
	{ "segments", 'n', BENCH_COUNT, &segments, NULL, "of 4 MiB, 63 pages of 64 KiB in each" },
	{ .name = NULL },
};

static struct descriptor *table; /* [lock: table_lock] */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *map;   /* a byte for each 4 MiB */
static uintptr_t *addresses; /* [const after init] */

static void *table_memory(size_t bytes)
{
	return bench_map((bytes + BENCH_PAGE - 1) & ~((size_t)BENCH_PAGE - 1));
}

/* A segment's address space, aligned by mapping twice as much; only its header gets memory. */
static struct segment *new_segment(void)
{
	char *at = mmap(NULL, 2 * SEGMENT, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		bench_die("mmap failed");
	return (struct segment *)(((uintptr_t)at + SEGMENT - 1) & ~(SEGMENT - 1));
}

static void add_page(struct descriptor *descriptor, uintptr_t page, uint32_t block_size)
{
	descriptor->page = page;
	descriptor->block_size = block_size;
	HASH_ADD(hh, table, page, sizeof(descriptor->page), descriptor);
}

static void build(void)
{
	uint64_t random = bench_seed_for(0);
	uintptr_t *pages = bench_map(segments * SLICES * sizeof(*pages));
	struct descriptor *descriptors = bench_map(segments * SLICES * sizeof(*descriptors));
	uint64_t count = 0;

	map = mmap(NULL, MAP_SLOTS, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		bench_die("mmap failed");
	for (uint64_t i = 0; i < segments; i++) {
		struct segment *segment = new_segment();

		map[(uintptr_t)segment >> SEGMENT_SHIFT] = 1;
		for (unsigned j = 1; j < SLICES; j++) {
			segment->slices[j].block_size = 1024 * j;
			pages[count] = (uintptr_t)segment + ((uintptr_t)j << SLICE_SHIFT);
			add_page(&descriptors[count], pages[count], 1024 * j);
			count++;
		}
	}
	addresses = bench_map(ADDRESSES * sizeof(*addresses));
	for (unsigned i = 0; i < ADDRESSES; i++)
		addresses[i] = pages[bench_below(&random, count)] +
			       bench_below(&random, (uint64_t)1 << SLICE_SHIFT);
}

static uint32_t by_hash(uintptr_t address)
{
	uintptr_t page = address & ~(((uintptr_t)1 << SLICE_SHIFT) - 1);
	struct descriptor *found;
	uint32_t block_size;

	pthread_mutex_lock(&table_lock);
	HASH_FIND(hh, table, &page, sizeof(page), found);
	block_size = found ? found->block_size : 0;
	pthread_mutex_unlock(&table_lock);
	return block_size;
}

static uint32_t by_map(uintptr_t address)
{
	const struct segment *segment;

	if (address >> 47 || !map[address >> SEGMENT_SHIFT])
		return 0;
	segment = (const struct segment *)(address & ~(SEGMENT - 1));
	return segment->slices[address >> SLICE_SHIFT & (SLICES - 1)].block_size;
}

static uint64_t look_up(struct bench_worker *worker)
{
	uint64_t at = bench_below(&worker->random, ADDRESSES - BATCH);
	uint64_t sum = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		uint32_t block_size = way == BY_HASH ? by_hash(addresses[at + i])
						     : by_map(addresses[at + i]);

		if (!block_size)
			bench_die("a page was not found");
		sum += block_size;
	}
	__asm__ volatile("" : : "r"(sum));
	return BATCH;
}

int main(int argc, char **argv)
{
	struct bench_work work = {
		.round = look_up, .threads = 1, .seconds = 0.5, .warmup_s = 0.05
	};
	struct bench_score score;

	bench_options(argc, argv, "From an address to a page descriptor.", options, &work);
	if (segments == 0 || segments > 65536)
		bench_die("--segments: from 1 to 65536");
	build();
	score = bench_run(&work);

	bench_result_open("mf2");
	bench_result_text("way", ways[way]);
	bench_result_count("threads", work.threads);
	bench_result_count("pages", segments * (SLICES - 1));
	bench_result_score(score);
	bench_result_close();
	return 0;
}

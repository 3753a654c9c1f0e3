/* SPDX-License-Identifier: MIT */
/* tests/workload.c - every function of the API, with what each must give; see workload.h */
#include "tests/workload.h"

#include "next/bin.h"
#include "shim/base/atomic.h"
#include "shim/hakmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A byte every 64 KiB, and the last: what the workload costs is page faults, and it runs many times. */
#define STEP (64 * KIB)

static void write_marks(struct workload_block *block)
{
	for (size_t at = 0; at < block->bytes; at += STEP)
		block->start[at] = block->mark;
	if (block->bytes)
		block->start[block->bytes - 1] = block->mark;
}

static bool marks_hold(const struct workload_block *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += STEP)
		if (block->start[at] != block->mark)
			return false;
	return bytes < block->bytes || !bytes || block->start[bytes - 1] == block->mark;
}

static bool is_zero(const char *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += bytes > STEP ? STEP : 1)
		if (p[at])
			return false;
	return true;
}

struct workload_block workload_given(void *start, size_t bytes, char mark)
{
	struct workload_block block = { start, bytes, mark };
	WORKLOAD_REQUIRE(start || errno == ENOMEM);
	errno = 4711;
	if (!start)
		return block;
	WORKLOAD_REQUIRE((uintptr_t)start % 16 == 0);
	WORKLOAD_REQUIRE(hakmem_malloc_usable_size(start) >= bytes);
	write_marks(&block);
	return block;
}

void workload_free(struct workload_block *block)
{
	if (block->start)
		WORKLOAD_REQUIRE(marks_hold(block, block->bytes));
	hakmem_free(block->start);
	WORKLOAD_REQUIRE(errno == 4711);
	block->start = NULL;
}

void workload_resize(struct workload_block *block, size_t bytes)
{
	char *moved = hakmem_realloc(block->start, bytes);
	if (!moved) {
		WORKLOAD_REQUIRE(errno == ENOMEM);
		errno = 4711;
		if (block->start) /* still as it was */
			WORKLOAD_REQUIRE(marks_hold(block, block->bytes));
		return;
	}
	size_t kept = block->start ? (bytes < block->bytes ? bytes : block->bytes) : 0;
	block->start = moved;
	WORKLOAD_REQUIRE(marks_hold(block, kept));
	errno = ENOMEM;
	*block = workload_given(moved, bytes, block->mark);
}

bool workload_flips;

void workload_flip(void)
{
	static const char *const plans[] = { "all=next", "all=old", "all=next@50%:thread",
					     "tiny=next,mid=system", "mid=legacy,large=next" };
	static _Atomic unsigned turn;
	if (workload_flips)
		WORKLOAD_REQUIRE(hakmem_plan_set(plans[fetch_add_relaxed(&turn, 1) % 5], NULL, 0) == 0);
}

/* The last ones have mappings of their own, and cost many calls to the kernel. */
static const size_t sizes[] = { 0,	   1,	      100,	 1000,	    3000,  8 * KIB, 20 * KIB,
				100 * KIB, 256 * KIB, 700 * KIB, 3900 * KIB, 5 * MIB };
static const size_t alignments[] = { 64, 4096, 128 * KIB, 2 * MIB, 16 * MIB };
#define SIZES	   (sizeof(sizes) / sizeof(sizes[0]))
#define SMALL	   (SIZES - 2)
#define ALIGNMENTS (sizeof(alignments) / sizeof(alignments[0]))
#define MADE	   (2 * SIZES + 2 * SMALL + 2 * ALIGNMENTS + 2)
_Static_assert(WORKLOAD_BLOCKS == MADE, "what workload_allocate() makes");

static struct workload_block by_posix_memalign(size_t alignment, size_t bytes, char mark)
{
	void *block = NULL;
	int error = hakmem_posix_memalign(&block, alignment, bytes);
	WORKLOAD_REQUIRE(errno == 4711 && (error == 0 || error == ENOMEM) && (error == 0) == (block != NULL));
	errno = error ? ENOMEM : 4711;
	return workload_given(block, bytes, mark);
}

size_t workload_allocate(struct workload_block blocks[WORKLOAD_BLOCKS], char mark)
{
	size_t count = 0;
	for (size_t i = 0; i < SIZES; i++) {
		blocks[count++] = workload_given(hakmem_malloc(sizes[i]), sizes[i], mark);
		workload_flip();
		char *zeroed = hakmem_calloc(1, sizes[i]);
		WORKLOAD_REQUIRE(!zeroed || is_zero(zeroed, sizes[i]));
		blocks[count++] = workload_given(zeroed, sizes[i], mark);
	}
	for (size_t i = 0; i < SMALL; i++) {
		blocks[count++] = workload_given(hakmem_malloc_site(sizes[i], 17), sizes[i], mark);
		workload_flip();
		blocks[count++] = workload_given(hakmem_reallocarray(NULL, 1, sizes[i]), sizes[i], mark);
	}
	for (size_t i = 0; i < ALIGNMENTS; i++) {
		size_t alignment = alignments[i];
		blocks[count++] = by_posix_memalign(alignment, 3000, mark);
		workload_flip();
		void *block = i % 2 ? hakmem_aligned_alloc(alignment, 70000)
				    : hakmem_memalign(alignment, 70000);
		blocks[count++] = workload_given(block, 70000, mark);
		for (size_t k = count - 2; k < count; k++)
			WORKLOAD_REQUIRE((uintptr_t)blocks[k].start % alignment == 0);
	}
	blocks[count++] = workload_given(hakmem_valloc(500), 500, mark);
	blocks[count++] = workload_given(hakmem_pvalloc(500), 4096, mark);
	return count;
}

void workload_every_function(char mark)
{
	struct workload_block blocks[WORKLOAD_BLOCKS];
	errno = 4711;
	size_t count = workload_allocate(blocks, mark);
	for (size_t i = 0; i < 2 * SIZES; i += 3) {
		workload_flip();
		workload_resize(&blocks[i], sizes[(i * 5 + 1) % SIZES] + 1);
		workload_resize(&blocks[i], sizes[i % SIZES] * 2 + 1);
	}
	struct workload_block *huge = &blocks[2 * SIZES - 1];
	workload_resize(huge, 10 * MIB);
	workload_resize(huge, 20 * MIB);
	workload_resize(huge, 6 * MIB);
	hakmem_malloc_trim(0);
	for (size_t i = 0; i < count; i++) {
		workload_flip();
		workload_free(&blocks[i]);
	}
	hakmem_malloc_trim(0);
	errno = 4711; /* it may have changed */
}

void workload_migrate(void)
{
	char text[64];
	/* The page may be refused, the answer is an errno then. */
	int error = hakmem_control_start();
	WORKLOAD_REQUIRE(error >= 0 && error < 200);
	WORKLOAD_REQUIRE(hakmem_plan_set("all=nonsense", text, sizeof(text)) == EINVAL);
	WORKLOAD_REQUIRE(hakmem_rollback("4k") == 0 && hakmem_unlatch(NULL) == 0);
	WORKLOAD_REQUIRE(hakmem_kill_switch(1) == 0 && hakmem_kill_switch(0) == 0);
	WORKLOAD_REQUIRE(errno == 4711);
}

void workload_ask(void)
{
	struct hakmem_stats stats;
	static struct hakmem_class classes[NEXT_CLASSES];
	WORKLOAD_REQUIRE(hakmem_stats(&stats, sizeof(stats)) == 0);
	WORKLOAD_REQUIRE(hakmem_read_classes(classes, sizeof(classes[0]), NEXT_CLASSES) == NEXT_CLASSES);
	(void)hakmem_mallinfo2();
	hakmem_mallopt(-1, 0);
	errno = 4711;
}

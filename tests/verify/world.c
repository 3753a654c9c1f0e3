/* SPDX-License-Identifier: MIT */
/* tests/verify/world.c - the whole of next, small; see world.h
 *
 * Memory comes from a fixed address, so that every run of the explorer is the same, and after setup no
 * more of it comes. The clock stands still. Pages are smaller than next would make them; everything else is
 * next's own.
 */
#include "tests/verify/world.h"

#include "next/next.h"
#include "next/page.h"
#include "next/segment.h"
#include "shim/base/lock.h"
#include "shim/base/os.h"
#include "tests/next_take.h"
#include "tests/verify/explore.h"

#include <sys/mman.h>

#define MEMORY_START ((uintptr_t)1 << 40)
#define BLOCKS_MAX   ((size_t)USABLE_SLICES * 128)

static size_t block_bytes, page_bytes;
static unsigned page_count, thread_count;
static const char *first_page;
static unsigned content[BLOCKS_MAX]; /* of a block; 0: it is free */
static void (*bodies[THREADS_MAX])(void);
static struct next_heap *heap_of[THREADS_MAX];

/* --- what next finds in place of its own: by -Wl,--wrap, or through os.h's table ----------------- */

size_t __wrap_page_slices(unsigned bin);
size_t __wrap_page_slices(unsigned bin)
{
	size_t few = 4 * next_class_bytes(bin) >> SLICE_SHIFT;
	return few ? few : 1;
}

static uintptr_t memory_end = MEMORY_START;
static bool memory_is_out;

static void *give_memory(void *hint, size_t bytes, int prot, int extra_flags)
{
	(void)hint;
	if (memory_is_out)
		return NULL;
	void *p = mmap((void *)memory_end, bytes, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | extra_flags, -1, 0);
	if (p != (void *)memory_end)
		explore_fail("the explorer's own fault: its address range is in use");
	memory_end += align_up(bytes, SEGMENT_BYTES);
	return p;
}

/* What is given back to the kernel reads as zero afterwards, so no live block may lie in it. */
static int change_memory(void *start, size_t bytes, int how)
{
	(void)how;
	for (size_t i = 0; first_page && i < page_count * page_bytes / block_bytes; i++) {
		const char *block = first_page + i * block_bytes;
		REQUIRE(content[i] == 0 || block + block_bytes <= (char *)start ||
				block >= (char *)start + bytes,
			"a live block is given back to the kernel");
	}
	return 0;
}

static int take_memory(void *start, size_t bytes)
{
	(void)start, (void)bytes;
	return 0;
}

static size_t kernel_page_bytes(void)
{
	return OS_PAGE_BYTES;
}

static const struct os_ops one_segment = {
	.map = give_memory,
	.unmap = take_memory,
	.protect = mprotect,
	.advise = change_memory,
	.page_bytes = kernel_page_bytes,
};

uint64_t __wrap_os_now_ns(void);
uint64_t __wrap_os_now_ns(void)
{
	return 0;
}

uint32_t __wrap_os_ticks(void);
uint32_t __wrap_os_ticks(void)
{
	return 0;
}

void __wrap_lock_wait(struct lock *lock);
void __wrap_lock_wait(struct lock *lock)
{
	explore_wait_zero(&lock->word);
	REQUIRE(lock_try(lock), "the explorer's own fault: a free lock is not to be had");
}

/* --- blocks ------------------------------------------------------------------------------------ */

static unsigned *content_of(const void *block)
{
	return &content[(size_t)((const char *)block - first_page) / block_bytes];
}

unsigned world_bin(void)
{
	return next_class_of(block_bytes);
}

unsigned world_page_blocks(void)
{
	return (unsigned)(page_bytes / block_bytes);
}

static void *handed_out(void *block)
{
	if (!block)
		return NULL;
	REQUIRE(*content_of(block) == 0, "a live block is handed out");
	*content_of(block) = explore_self() + 1;
	return block;
}

void *world_malloc(void)
{
	void *block = next_malloc_fast(block_bytes);
	if (!block && next_admits(world_bin()))
		block = next_malloc(block_bytes);
	return handed_out(block);
}

void *world_malloc_site(void)
{
	return handed_out(next_malloc_site(block_bytes, 1));
}

void world_free(void *block)
{
	*content_of(block) = 0;
	next_free(block);
}

/* --- threads ----------------------------------------------------------------------------------- */

static void run_body(void)
{
	unsigned self = explore_self() - 1;
	if (bodies[self])
		bodies[self]();
	heap_of[self] = next_heap_self;
}

void world_thread(void (*body)(void))
{
	bodies[thread_count] = body;
	explore_thread(run_body);
	thread_count++;
}

void world_new_thread(void)
{
	next_heap_self = EMPTY_HEAP;
}

/* Claims all but the first `pages` pages' slices for good. */
static void claim_the_rest(unsigned pages)
{
	bool zero;
	for (unsigned p = 0; p < pages; p++)
		REQUIRE(slice_address(segment_claim(page_slices(world_bin()), 1, &zero)) ==
				first_page + p * page_bytes,
			"slices are not claimed from the first on");
	while (segment_claim(1, 1, &zero))
		;
	for (unsigned p = 0; p < pages; p++)
		segment_release(page_of(first_page + p * page_bytes));
}

void world_begin(size_t bytes, unsigned pages)
{
	block_bytes = bytes;
	page_bytes = page_slices(world_bin()) << SLICE_SHIFT;
	page_count = pages;
	REQUIRE((slot_first(world_bin()) == slot_last(world_bin())) == (bytes == WORLD_FEW),
		"the class has another number of slots than world.h says");
	os_swap(&one_segment);
	explore_local(&next_heap_self, sizeof(next_heap_self));
	REQUIRE(next_init(), "next does not begin");
	next_door_set(world_bin(), NEXT_DOOR_OPEN);
	/* A heap is made and left, so that the tables of heaps and of call sites have their memory. */
	world_new_thread();
	char *block = next_malloc(bytes);
	first_page = slice_address(page_of(block));
	REQUIRE(page_of(block)->block_count == world_page_blocks(), "a page of another size");
	next_free(block);
	next_free(next_malloc_site(bytes, 1));
	next_thread_exit();
	next_trim();
	memory_is_out = true;
	claim_the_rest(pages);
	world_new_thread();
}

/* --- check ------------------------------------------------------------------------------------- */

static void check_drained(void)
{
	world_new_thread();
	next_door_set(world_bin(), NEXT_DOOR_OPEN);
	while (world_malloc())
		;
	/* What is free in a call site's page is only that site's. */
	while (world_malloc_site())
		;
	for (unsigned block = 0; block < page_count * world_page_blocks(); block++)
		REQUIRE(content[block] != 0, "a block is lost");
}

void world_check(void)
{
	for (unsigned t = 0; t < thread_count; t++) {
		next_heap_self = heap_of[t];
		next_thread_exit();
	}
	check_drained();
}

void world_check_asleep(void)
{
	check_drained();
}

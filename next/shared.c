/* SPDX-License-Identifier: MIT */
/* next/shared.c - pages without an owner that have free blocks; see shared.h */
#include "next/shared.h"

#include "next/stack.h"

static struct {
	CACHE_ALIGN struct stack stack;
} shards[NEXT_BINS][SHARED_SHARDS];

/* A page was shared. Until then nobody looks at the eleven pages of stacks, which would have to be faulted in by
 * every process at its first malloc. A hint: who misses a page that is just being pushed is as if it had looked
 * before. */
static _Atomic bool ever_pushed;

/* A page's number is that of its first slice in the address space: 48 - 16 = 32 bits at most. */
static uint32_t number_of(const struct next_page *page)
{
	return (uint32_t)((uintptr_t)slice_address(page) >> SLICE_SHIFT);
}

static struct next_page *page_numbered(uint32_t number)
{
	struct next_segment *segment =
		segment_of((void *)((uintptr_t)number << SLICE_SHIFT));
	return &segment->pages[number % SEGMENT_SLICES];
}

static _Atomic uint32_t *link_of(uint32_t number)
{
	return &page_numbered(number)->shared_next;
}

void shared_push(struct next_page *page, uint32_t shard)
{
	struct stack *stack = &shards[load_relaxed(&page->bin)][shard % SHARED_SHARDS].stack;
	if (!load_relaxed(&ever_pushed))
		store_relaxed(&ever_pushed, true);
	stack_push(stack, number_of(page), &page->shared_next);
}

struct next_page *shared_pop_from(unsigned bin, uint32_t shard)
{
	if (!load_relaxed(&ever_pushed))
		return NULL;
	struct stack *stack = &shards[bin][shard % SHARED_SHARDS].stack;
	uint32_t number = stack_is_empty(stack) ? 0 : stack_pop(stack, link_of);
	return number ? page_numbered(number) : NULL;
}

struct next_page *shared_pop(unsigned bin, uint32_t shard)
{
	for (uint32_t i = 0; i < SHARED_SHARDS; i++) {
		struct next_page *page = shared_pop_from(bin, shard + i);
		if (page)
			return page;
	}
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/* tests/verify/flip.c - the flip: once next_door_set() returned, nobody is served behind a shut door
 *
 * world_malloc() asks as the shim does: the page in the slot first, then the door. Control says when it is
 * done; a thread that hears of it and starts a malloc then must find its slot empty. After every execution
 * no slot holds a page unless the door admits its heap.
 */
#include "tests/verify/explore.h"
#include "tests/verify/world.h"

#include "next/fast.h"
#include "next/heap.h"
#include "next/next.h"

static _Atomic uint32_t shut; /* set after the last flip of a scenario, which shuts the door to ... */
static uint32_t canary;	      /* ... cohorts from this one on */

static void malloc_1(void)
{
	bool was_shut = load_acquire(&shut) && heap_of_thread()->cohort >= canary;
	void *block = world_malloc();
	REQUIRE(!(block && was_shut), "a malloc that starts after the flip is served by next");
}

static void malloc_2(void)
{
	malloc_1();
	malloc_1();
}

static void malloc_3(void)
{
	malloc_2();
	malloc_1();
}

static void shut_door(void)
{
	next_door_set(world_bin(), 0);
	store_release(&shut, 1);
}

static void shut_once(void)
{
	next_door_set(world_bin(), 0);
}

static void open_door(void)
{
	next_door_set(world_bin(), NEXT_DOOR_OPEN);
}

static void shut_open_shut(void)
{
	shut_once();
	open_door();
	shut_door();
}

static void open_shut(void)
{
	open_door();
	shut_door();
}

static void shut_for_some(void)
{
	next_door_set(world_bin(), canary);
	store_release(&shut, 1);
}

static void leave(void)
{
	next_thread_exit();
}

static void leave_malloc(void)
{
	leave();
	malloc_1();
}

static void no_slot_holds_a_page_behind_the_door(void)
{
	uint32_t door = load_relaxed(&next_door[world_bin()]);
	for (uint32_t number = 1; number <= heap_count(); number++) {
		struct next_heap *heap = heap_numbered(number);
		for (size_t slot = 0; slot < sizeof(heap->slot) / sizeof(heap->slot[0]); slot++)
			REQUIRE(load_relaxed(&heap->slot[slot]) == EMPTY_PAGE ||
					heap->cohort < door,
				"a slot holds a page though the door is shut to its heap");
	}
	world_check();
}

/* --- scenarios --------------------------------------------------------------------------------- */

/* A thread that has a heap, whose first page has three blocks left in the slot. */
static void thread_with_heap(void (*body)(void))
{
	world_new_thread();
	(void)world_malloc();
	world_thread(body);
}

/* A thread that has a heap and no page. */
static void thread_with_empty_heap(void (*body)(void))
{
	world_new_thread();
	world_free(world_malloc());
	next_trim();
	world_thread(body);
}

static void thread_without_heap(void (*body)(void))
{
	world_new_thread();
	world_thread(body);
}

static void setup_refill(void)
{
	world_begin(WORLD_FEW, 1);
	thread_with_empty_heap(malloc_3);
	thread_without_heap(shut_door);
}

static void setup_refill_two_slots(void)
{
	world_begin(WORLD_MANY, 1);
	thread_with_empty_heap(malloc_3);
	thread_without_heap(shut_door);
}

static void setup_serving(void)
{
	world_begin(WORLD_FEW, 2);
	thread_with_heap(malloc_3);
	thread_without_heap(shut_open_shut);
}

static void setup_opening(void)
{
	world_begin(WORLD_FEW, 1);
	thread_with_empty_heap(malloc_3);
	shut_once();
	thread_without_heap(open_shut);
}

static void setup_two_owners(void)
{
	world_begin(WORLD_FEW, 2);
	thread_with_empty_heap(malloc_2);
	thread_with_empty_heap(malloc_2);
	thread_without_heap(shut_door);
}

static void setup_new_heap(void)
{
	world_begin(WORLD_FEW, 2);
	thread_with_empty_heap(malloc_1);
	thread_without_heap(malloc_2);
	thread_without_heap(shut_door);
}

static void setup_new_heap_two_slots(void)
{
	world_begin(WORLD_MANY, 2);
	thread_with_empty_heap(malloc_1);
	thread_without_heap(malloc_2);
	thread_without_heap(shut_door);
}

static void setup_adopted(void)
{
	world_begin(WORLD_FEW, 1);
	thread_with_heap(leave_malloc);
	thread_without_heap(malloc_2);
	thread_without_heap(shut_door);
}

static void setup_canary(void)
{
	uint32_t cohorts[2];
	world_begin(WORLD_FEW, 2);
	for (unsigned i = 0; i < 2; i++) {
		thread_with_empty_heap(malloc_2);
		cohorts[i] = next_heap_self->cohort;
	}
	canary = cohorts[0] > cohorts[1] ? cohorts[0] : cohorts[1];
	thread_without_heap(shut_for_some);
}

/* The second may find the door shut already, and has nothing to sweep. */
static void setup_two_controls(void)
{
	world_begin(WORLD_FEW, 1);
	thread_with_heap(malloc_2);
	canary = next_heap_self->cohort;
	thread_without_heap(shut_once);
	thread_without_heap(shut_for_some);
}

static void setup_open_and_shut(void)
{
	world_begin(WORLD_FEW, 1);
	thread_with_empty_heap(malloc_2);
	thread_without_heap(shut_once);
	thread_without_heap(open_door);
}

#define PROMISE "after next_door_set() no slot of the class holds a page unless the door admits the heap"
#define ALL	{ UNBOUNDED, UNBOUNDED }

static const struct scenario scenarios[] = {
	{ "refill", PROMISE, setup_refill, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "refill-two-slots", PROMISE, setup_refill_two_slots, no_slot_holds_a_page_behind_the_door,
	  ALL, ALL },
	{ "serving", PROMISE, setup_serving, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "opening", PROMISE, setup_opening, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "two-owners", PROMISE, setup_two_owners, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "new-heap", PROMISE, setup_new_heap, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "new-heap-two-slots", PROMISE, setup_new_heap_two_slots,
	  no_slot_holds_a_page_behind_the_door, ALL, { 3, 1 } },
	{ "adopted", PROMISE, setup_adopted, no_slot_holds_a_page_behind_the_door, { 3, 2 }, { 2, 1 } },
	{ "canary", PROMISE, setup_canary, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "two-controls", PROMISE, setup_two_controls, no_slot_holds_a_page_behind_the_door, ALL, ALL },
	{ "open-and-shut", PROMISE, setup_open_and_shut, no_slot_holds_a_page_behind_the_door, ALL,
	  ALL },
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

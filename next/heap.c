/* SPDX-License-Identifier: MIT */
/* next/heap.c - the table of heaps, their coming and going with threads, and the doors
 *
 * SYNCHRONIZATION: the flip
 *
 *   a slot holds a page with blocks  only ever by:   exchange(slot, page); load(door);
 *                                                    if the door is shut: store(slot, empty)   [owner]
 *   a door is shut                   only ever by:   exchange(door, value);
 *                                                    for each heap: exchange(slot, empty)      [control]
 *
 * All four are sequentially consistent, so there is one order of them all. If the owner's load misses the
 * new door, then in that order: owner's exchange < owner's load < control's exchange of the door <
 * control's exchange of the slot. So the empty page is stored after the page and stays. If the load sees
 * the new door the owner stores the empty page itself. Either way a malloc that starts after
 * next_door_set() returned finds the empty page and asks. An empty page too many costs one refill.
 *
 * A heap that is being made publishes itself (seq_cst) in heaps_made before its first load of a door, and
 * control reads heaps_made after its exchange of the door: the same pair, one level up. Heaps are never
 * unmapped, and a page stays in its heap's queue while it is in the slot, so a swept page is not lost.
 *
 * PROPERTY of the flip (tests/verify/flip.c, flip.pml): once next_door_set() returned, and until the next call
 * begins, no malloc that starts finds a page in its slot unless the door admits its heap.
 *
 * PROPERTY of coming and going (tests/verify/heaps.c, ready.pml): a block that is freed while its heap is
 * left, adopted, shed or stolen from is handed out again, once, and never while it is live.
 */
#include "next/heap.h"

#include "next/next.h"
#include "next/page.h"
#include "next/queue.h"
#include "next/segment.h"
#include "next/shared.h"
#include "next/stack.h"
#include "shim/base/check.h"
#include "shim/base/os.h"

#include <string.h>

#define CHUNK_HEAPS 32
#define CHUNKS	    8192 /* 262,144 heaps: more threads at a time than Linux has process ids by default */

_Atomic uint32_t next_door[NEXT_CLASSES];
void (*next_on_thread_start)(void);

TLS_FAST struct next_heap *next_heap_self = EMPTY_HEAP;

#define EMPTY_8	 EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE, EMPTY_PAGE
#define EMPTY_32 EMPTY_8, EMPTY_8, EMPTY_8, EMPTY_8

const struct next_heap next_empty_heap = {
	.slot = { EMPTY_32, EMPTY_32, EMPTY_32, EMPTY_32, EMPTY_8, EMPTY_8, EMPTY_PAGE },
};
const struct next_heap next_gone_heap = {
	.slot = { EMPTY_32, EMPTY_32, EMPTY_32, EMPTY_32, EMPTY_8, EMPTY_8, EMPTY_PAGE },
};
_Static_assert(NEXT_SLOTS == 145, "the empty heap's slots are written out");

static struct next_heap *chunks[CHUNKS]; /* [const once heaps_made covers it] */
static _Atomic uint32_t heaps_made;
static struct lock make_lock = LOCK_INIT; /* guards chunks[] and heaps_made */
static struct lock flip_lock = LOCK_INIT; /* serialises next_door_set() */

/* Heaps whose thread is gone. `abandoned` ones still have their pages, `idle` ones shed them. */
static struct stack abandoned, idle;

void heap_init(void)
{
	lock_join_fork(&make_lock, 1, sizeof(make_lock));
	lock_join_fork(&flip_lock, 1, sizeof(flip_lock));
}

struct next_heap *heap_numbered(uint32_t number)
{
	return &chunks[(number - 1) / CHUNK_HEAPS][(number - 1) % CHUNK_HEAPS];
}

uint32_t heap_count(void)
{
	/* seq_cst: pairs with the store in heap_make(), see the flip */
	return load_seq_cst(&heaps_made);
}

static _Atomic uint32_t *link_of(uint32_t number)
{
	return &heap_numbered(number)->stack_next;
}

/* Spreads heap numbers evenly over the cohorts, the same in every run (finaliser of MurmurHash3). */
static uint32_t cohort_of(uint32_t number)
{
	uint32_t h = number;
	h = (h ^ (h >> 16)) * 0x85ebca6bu;
	h = (h ^ (h >> 13)) * 0xc2b2ae35u;
	h ^= h >> 16;
	return h > NEXT_COHORT_MAX ? NEXT_COHORT_MAX : h;
}

static struct next_heap *heap_make(void)
{
	struct next_heap *heap = NULL;
	lock_acquire(&make_lock);
	uint32_t made = load_relaxed(&heaps_made);
	if (made / CHUNK_HEAPS < CHUNKS) {
		struct next_heap **chunk = &chunks[made / CHUNK_HEAPS];
		if (!*chunk)
			*chunk = os_map(NULL, CHUNK_HEAPS * sizeof(struct next_heap));
		if (*chunk)
			heap = &(*chunk)[made % CHUNK_HEAPS];
	}
	if (heap) {
		heap->number = made + 1;
		heap->cohort = cohort_of(made + 1);
		for (unsigned bin = 0; bin < NEXT_BINS; bin++)
			heap_clear_slots(heap, bin);
		store_relaxed(&heap->slot[SLOT_OF_NONE], EMPTY_PAGE);
		store_relaxed(&heap->ready, READY_CLOSED);
		/* seq_cst: before this heap's first look at a door; pairs with heap_count() */
		store_seq_cst(&heaps_made, made + 1);
	}
	lock_release(&make_lock);
	return heap;
}

static struct next_heap *pop_heap(struct stack *stack)
{
	uint32_t number = stack_is_empty(stack) ? 0 : stack_pop(stack, link_of);
	return number ? heap_numbered(number) : NULL;
}

static void push_heap(struct stack *stack, struct next_heap *heap)
{
	stack_push(stack, heap->number, &heap->stack_next);
}

struct next_heap *heap_borrow(void)
{
	struct next_heap *heap = pop_heap(&abandoned);
	if (!heap)
		heap = pop_heap(&idle);
	if (!heap)
		heap = heap_make();
	/* release: opens the stack; pairs with the acquire in heap_ready_push() */
	if (heap)
		store_release(&heap->ready, NULL);
	return heap;
}

void heap_abandon(struct next_heap *heap)
{
	heap->companion = NULL;
	memset(heap->room, 0, sizeof(heap->room));
	/* acquire: the pages' descriptors, from heap_ready_push(). From here on senders see it closed. */
	struct next_page *page = exchange_acq_rel(&heap->ready, READY_CLOSED);
	while (page) {
		struct next_page *after = load_relaxed(&page->ready_next);
		heap_share(page, heap->number);
		page = after;
	}
	push_heap(&abandoned, heap);
}

struct next_heap *heap_of_thread(void)
{
	if (likely(next_heap_self->number != 0))
		return next_heap_self;
	struct next_heap *heap = next_heap_self == GONE_HEAP ? NULL : heap_borrow();
	if (!heap)
		return NULL;
	/* The heap is the thread's before anybody is told: the hook may allocate. */
	next_heap_self = heap;
	if (next_on_thread_start)
		next_on_thread_start();
	return heap;
}

bool next_has_heap(void)
{
	return next_heap_self->number != 0;
}

void next_thread_exit(void)
{
	struct next_heap *heap = next_heap_self;
	if (heap->number == 0)
		return;
	next_heap_self = EMPTY_HEAP;
	heap_abandon(heap);
}

void next_thread_gone(void)
{
	next_thread_exit();
	next_heap_self = GONE_HEAP;
}

struct next_heap *heap_take_abandoned(void)
{
	return pop_heap(&abandoned);
}

void heap_put_idle(struct next_heap *heap)
{
	push_heap(&idle, heap);
}

void next_fork_child(void)
{
	/* Heaps of threads that are not here are on neither stack, so nobody ever adopts them: they may
	 * have been caught in the middle of anything. Their blocks can still be freed. */
}

void *next_thread_room(void)
{
	struct next_heap *heap = heap_of_thread();
	_Static_assert(sizeof(heap->room) == NEXT_THREAD_ROOM, "as promised");
	return heap ? heap->room : NULL;
}

void **next_thread_slot(void)
{
	struct next_heap *heap = heap_of_thread();
	return heap ? &heap->companion : NULL;
}

bool next_admits(unsigned class)
{
	return next_cohort_is_below(load_relaxed(&next_door[class]));
}

bool next_cohort_is_below(uint32_t door)
{
	if (door == 0 || door == NEXT_DOOR_OPEN)
		return door != 0;
	struct next_heap *heap = heap_of_thread();
	return heap && heap->cohort < door;
}

/* Control's side of the flip. */
static void sweep(struct next_heap *heap, unsigned class)
{
	for (unsigned slot = slot_first(class); slot <= slot_last(class); slot++)
		exchange_seq_cst(&heap->slot[slot], EMPTY_PAGE);
}

void next_door_set(unsigned class, uint32_t value)
{
	lock_acquire(&flip_lock);
	uint32_t before = exchange_seq_cst(&next_door[class], value);
	/* A door that opens needs no sweep: a heap that still asks finds it open. */
	if (value < before && class < NEXT_BINS) {
		uint32_t count = heap_count();
		for (uint32_t number = 1; number <= count; number++)
			sweep(heap_numbered(number), class);
	}
	lock_release(&flip_lock);
}

/* --- sampling ----------------------------------------------------------------------------------- */

void next_ask_for_sample(uint32_t number, const bool classes[NEXT_CLASSES])
{
	struct next_heap *heap = heap_numbered(number);
	/* relaxed: a malloc that comes between the two sweeps is sampled a little early */
	store_relaxed(&heap->sample, true);
	/* An empty page too many costs one refill, see the flip. */
	for (unsigned class = 0; class < NEXT_BINS; class ++)
		if (classes[class])
			sweep(heap, class);
}

uint32_t next_heaps(void)
{
	return heap_count();
}

bool next_take_sample(void)
{
	struct next_heap *heap = next_heap_self;
	if (!load_relaxed(&heap->sample))
		return false;
	store_relaxed(&heap->sample, false);
	return true;
}

uint32_t next_cohort(void)
{
	return next_heap_self->number != 0 ? next_heap_self->cohort : NEXT_COHORT_MAX;
}

/* --- ready stacks ------------------------------------------------------------------------------ */

void heap_share(struct next_page *page, uint32_t shard)
{
	page_merge(page, (struct next_heap *)OWNER_SHARED);
	if (page_free_count(page) == page->block_count)
		segment_release(page);
	else
		shared_push(page, shard);
}

void heap_ready_push(struct next_heap *heap, struct next_page *page)
{
	/* acquire: pairs with the release in heap_of_thread() */
	struct next_page *head = load_acquire(&heap->ready);
	do {
		if (head == READY_CLOSED) {
			heap_share(page, heap->number);
			return;
		}
		store_relaxed(&page->ready_next, head);
		/* release: hands over the descriptor; pairs with the acquires that take the stack */
	} while (!cas_acq_rel(&heap->ready, &head, page));
}

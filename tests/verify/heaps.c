/* SPDX-License-Identifier: MIT */
/* tests/verify/heaps.c - heaps that are left and adopted while others free into their pages
 *
 * A thread that exits closes its ready stack and leaves the heap with its pages; one that starts opens it
 * again; one that wants memory sheds the pages of heaps without a thread to the shared lists. Frees by
 * others arrive before, between and after these steps.
 */
#include "tests/verify/explore.h"
#include "tests/verify/world.h"

#include "next/next.h"

static void *a, *b, *c, *d;

/* The calling thread gets a heap with one page, which is FULL. */
static void own_full(void)
{
	a = world_malloc();
	b = world_malloc();
	c = world_malloc();
	d = world_malloc();
	(void)world_malloc();
}

static void leave(void)
{
	next_thread_exit();
}

static void malloc_1(void)
{
	(void)world_malloc();
}

static void malloc_leave(void)
{
	malloc_1();
	leave();
}

static void leave_malloc(void)
{
	leave();
	malloc_1();
}

static void free_d_leave(void)
{
	world_free(d);
	leave();
}

static void free_a(void)
{
	world_free(a);
}

static void free_b(void)
{
	world_free(b);
}

static void free_a_b(void)
{
	free_a();
	free_b();
}

static void free_a_malloc(void)
{
	free_a();
	malloc_1();
}

static void free_b_malloc(void)
{
	free_b();
	malloc_1();
}

static void free_a_b_c(void)
{
	free_a_b();
	world_free(c);
}

static void trim(void)
{
	next_trim();
}

/* --- scenarios --------------------------------------------------------------------------------- */

/* The first thread has the heap with the page; the others have none yet. */
static void threads(void (*owner)(void), void (*second)(void), void (*third)(void))
{
	world_begin(WORLD_FEW, 1);
	own_full();
	world_thread(owner);
	world_new_thread();
	world_thread(second);
	if (third) {
		world_new_thread();
		world_thread(third);
	}
}

static void setup_leaving(void)
{
	threads(leave, free_a_b, NULL);
}

static void setup_leaving_two(void)
{
	threads(free_d_leave, free_a, free_b);
}

static void setup_adopting(void)
{
	threads(leave, free_a_b, malloc_1);
}

/* What the thread did to its heap last, the next one needs. */
static void setup_handed_over(void)
{
	threads(free_d_leave, malloc_1, NULL);
}

static void setup_in_and_out(void)
{
	threads(leave_malloc, free_a, malloc_leave);
}

/* Each of the three leaves its heap or takes one. */
static void setup_exchanged(void)
{
	threads(leave_malloc, free_a_malloc, free_b_malloc);
}

static void setup_shedding(void)
{
	threads(free_d_leave, free_a_b_c, trim);
}

/* The page is on a shared list. */
static void setup_shared(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	world_free(d);
	leave();
	next_trim();
	world_new_thread();
	world_thread(free_a);
	world_new_thread();
	world_thread(malloc_1);
	world_new_thread();
	world_thread(malloc_1);
}

#define PROMISE                                                                                    \
	"every block that is freed while its heap is left or adopted is handed out again, once, and "  \
	"never while live"
#define ALL	{ UNBOUNDED, UNBOUNDED }

static const struct scenario scenarios[] = {
	{ "leaving", PROMISE, setup_leaving, world_check, ALL, ALL },
	{ "leaving-two", PROMISE, setup_leaving_two, world_check, ALL, ALL },
	{ "adopting", PROMISE, setup_adopting, world_check, ALL, { 3, 1 } },
	{ "handed-over", PROMISE, setup_handed_over, world_check, ALL, ALL },
	{ "in-and-out", PROMISE, setup_in_and_out, world_check, { 3, 2 }, { 2, 1 } },
	{ "exchanged", PROMISE, setup_exchanged, world_check, { 2, 2 }, { 1, 1 } },
	{ "shedding", PROMISE, setup_shedding, world_check, { 3, 1 }, { 1, 1 } },
	{ "shared", PROMISE, setup_shared, world_check, ALL, { 3, 1 } },
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

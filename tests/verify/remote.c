/* SPDX-License-Identifier: MIT */
/* tests/verify/remote.c - frees by other threads: page.h's table, the FULL bit and the ready stack
 *
 * Setup gives pages to an owner; other threads free blocks of them while the owner allocates, frees, or
 * sleeps.
 */
#include "tests/verify/explore.h"
#include "tests/verify/world.h"

#include "next/next.h"

static void *a, *b, *c, *d; /* the blocks of a page of four, or four of a page of many */
static void *e;		    /* one of a second page */

static void malloc_1(void)
{
	(void)world_malloc();
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

static void malloc_5(void)
{
	malloc_3();
	malloc_2();
}

static void free_a(void)
{
	world_free(a);
}

static void free_b(void)
{
	world_free(b);
}

static void free_c(void)
{
	world_free(c);
}

static void free_a_b(void)
{
	free_a();
	free_b();
}

static void free_c_b(void)
{
	free_c();
	free_b();
}

static void free_c_d(void)
{
	free_c();
	world_free(d);
}

static void free_b_c_d(void)
{
	free_b();
	free_c_d();
}

static void free_c_malloc_2(void)
{
	free_c();
	malloc_2();
}

static void free_d_malloc_5(void)
{
	world_free(d);
	malloc_5();
}

static void free_e(void)
{
	world_free(e);
}

static void trim(void)
{
	next_trim();
}

/* --- setup ------------------------------------------------------------------------------------- */

/* The owner has a page that is used up: not FULL yet, which its next malloc makes it. */
static void own_used_up(void)
{
	a = world_malloc();
	b = world_malloc();
	c = world_malloc();
	d = world_malloc();
}

/* ... and now it is FULL. With one page in the world that malloc failed, with two it began a second. */
static void own_full(void)
{
	own_used_up();
	e = world_malloc();
}

static void threads(void (*owner)(void), void (*second)(void), void (*third)(void))
{
	world_thread(owner);
	world_new_thread();
	world_thread(second);
	if (third) {
		world_new_thread();
		world_thread(third);
	}
}

static void setup_filling(void)
{
	world_begin(WORLD_FEW, 1);
	own_used_up();
	threads(malloc_2, free_a_b, NULL);
}

static void setup_full(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	threads(malloc_3, free_a_b, NULL);
}

static void setup_two_senders(void)
{
	world_begin(WORLD_FEW, 1);
	own_used_up();
	threads(malloc_2, free_a, free_b);
}

static void setup_three_frees(void)
{
	world_begin(WORLD_FEW, 1);
	own_used_up();
	threads(malloc_3, free_a_b, free_c);
}

/* FULL, and a is in the first word of bits, b in the last. */
static void own_two_words(void)
{
	world_begin(WORLD_MANY, 1);
	a = world_malloc();
	for (unsigned i = 1; i < world_page_blocks(); i++)
		b = world_malloc();
	malloc_1();
}

/* The page of a call site, in no queue, used up: a in its first word of bits, b in the last. */
static void own_sited(void)
{
	world_begin(WORLD_MANY, 1);
	a = world_malloc_site();
	for (unsigned i = 1; i < world_page_blocks(); i++)
		b = world_malloc_site();
}

static void malloc_site_2(void)
{
	(void)world_malloc_site();
	(void)world_malloc_site();
}

static void leave(void)
{
	next_thread_exit();
}

static void setup_sited(void)
{
	own_sited();
	threads(malloc_site_2, free_a_b, NULL);
}

static void setup_sited_two_senders(void)
{
	own_sited();
	threads(malloc_site_2, free_a, free_b);
}

static void setup_sited_left(void)
{
	own_sited();
	threads(leave, free_a_b, trim);
}

static void setup_two_words(void)
{
	own_two_words();
	threads(malloc_1, free_a_b, NULL);
}

static void setup_two_words_two_senders(void)
{
	own_two_words();
	threads(malloc_2, free_a, free_b);
}

static void setup_two_pages(void)
{
	world_begin(WORLD_FEW, 2);
	own_full();
	malloc_3();
	malloc_1(); /* fails: both are FULL */
	threads(malloc_2, free_a, free_e);
}

static void setup_claim(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	threads(free_c_malloc_2, free_a, free_b);
}

/* The owner gives the page back and makes a new one of its slices while a sender of its last block has
 * not looked at the owner word yet. */
static void setup_made_anew(void)
{
	world_begin(WORLD_FEW, 2);
	own_full();
	free_a();   /* the page is in the queue, behind that in the slot, ... */
	malloc_3(); /* ... which is used up */
	threads(free_d_malloc_5, free_c_b, NULL);
}

static void setup_sleeper(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	threads(NULL, free_a_b, free_c_d);
}

static void setup_thief(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	threads(malloc_1, free_b_c_d, trim);
}

static void free_d(void)
{
	world_free(d);
}

/* The page is on the ready stack already, and its last block is on its way. */
static void setup_thief_of_ready(void)
{
	world_begin(WORLD_FEW, 1);
	own_full();
	world_thread(malloc_1);
	world_new_thread();
	free_a();
	free_c_b();
	world_thread(free_d);
	world_new_thread();
	world_thread(trim);
}

#define ONCE "every block freed by another thread is handed out again, once, and never while live"
#define ALL  { UNBOUNDED, UNBOUNDED }

static const struct scenario scenarios[] = {
	{ "filling", ONCE, setup_filling, world_check, ALL, ALL },
	{ "full", ONCE, setup_full, world_check, ALL, ALL },
	{ "two-senders", ONCE, setup_two_senders, world_check, ALL, ALL },
	{ "three-frees", ONCE, setup_three_frees, world_check, { 3, 2 }, { 2, 1 } },
	{ "two-words", ONCE, setup_two_words, world_check, ALL, ALL },
	{ "two-words-two-senders", ONCE, setup_two_words_two_senders, world_check, ALL, ALL },
	{ "sited", ONCE, setup_sited, world_check, ALL, ALL },
	{ "sited-two-senders", ONCE, setup_sited_two_senders, world_check, { 3, 2 }, { 2, 1 } },
	{ "sited-left", ONCE, setup_sited_left, world_check, ALL, ALL },
	{ "two-pages", ONCE, setup_two_pages, world_check, ALL, ALL },
	{ "claim", ONCE, setup_claim, world_check, ALL, { 3, 1 } },
	{ "made-anew", ONCE, setup_made_anew, world_check, ALL, { 3, 1 } },
	{ "sleeper", "a page that others emptied is anybody's, though its owner sleeps", setup_sleeper,
	  world_check_asleep, ALL, ALL },
	{ "thief", ONCE, setup_thief, world_check, ALL, ALL },
	{ "thief-of-ready", ONCE, setup_thief_of_ready, world_check, ALL, { 2, 1 } },
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

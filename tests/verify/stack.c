/* SPDX-License-Identifier: MIT */
/* tests/verify/stack.c - next/stack.h: nothing on the stack is popped twice, and nothing is lost
 *
 * Each thing has a plain word that its owner writes: two owners at a time, or a thing that is handed over
 * without its contents, are a data race even where both find the word as it should be.
 */
#include "next/stack.h"

#include "tests/verify/explore.h"

#define THINGS 4

static struct stack stack;
static _Atomic uint32_t links[THINGS + 1];
static unsigned owner[THINGS + 1]; /* the thread that popped it, 0 on the stack */

static _Atomic uint32_t *link_of(uint32_t number)
{
	return &links[number];
}

static void push(uint32_t number)
{
	owner[number] = 0;
	stack_push(&stack, number, &links[number]);
}

static uint32_t pop(void)
{
	uint32_t number = stack_pop(&stack, link_of);
	if (number) {
		REQUIRE(number <= THINGS, "popped what was never pushed");
		REQUIRE(owner[number] == 0, "popped a thing that another thread owns");
		owner[number] = explore_self();
	}
	return number;
}

static void pop_push(void)
{
	uint32_t number = pop();
	if (number)
		push(number);
}

/* --- threads ----------------------------------------------------------------------------------- */

static void pop_once(void)
{
	(void)pop();
}

/* What makes a pop that slept see the old head again, with something else below. */
static void pop_pop_push(void)
{
	uint32_t first = pop();
	(void)pop();
	if (first)
		push(first);
}

static void pop_push_twice(void)
{
	pop_push();
	pop_push();
}

static void pop_push_thrice(void)
{
	pop_push_twice();
	pop_push();
}

static void pop_keep_pop_push(void)
{
	(void)pop();
	pop_push();
}

/* Pushes what setup gave to this thread, then pops. */
static void push_pop(void)
{
	push(THINGS + 1 - explore_self());
	(void)pop();
}

/* --- setup and check --------------------------------------------------------------------------- */

static void threads(uint32_t things_on_stack, void (*first)(void), void (*second)(void),
		    void (*third)(void))
{
	for (uint32_t number = 1; number <= THINGS; number++)
		owner[number] = number <= things_on_stack ? 0 : THINGS + 1 - number;
	for (uint32_t number = things_on_stack; number > 0; number--)
		push(number);
	explore_thread(first);
	explore_thread(second);
	if (third)
		explore_thread(third);
}

static void each_is_owned_or_on_the_stack(void)
{
	bool seen[THINGS + 1] = { false };
	uint32_t number;
	while ((number = stack_pop(&stack, link_of)) != 0) {
		REQUIRE(number <= THINGS && !seen[number], "on the stack twice");
		REQUIRE(owner[number] == 0, "on the stack, though a thread owns it");
		seen[number] = true;
	}
	for (number = 1; number <= THINGS; number++)
		REQUIRE(seen[number] || owner[number] != 0, "lost: nobody owns it, yet it is not on the stack");
}

static void setup_sleeper(void)
{
	threads(THINGS, pop_once, pop_pop_push, NULL);
}

static void setup_two(void)
{
	threads(2, pop_push_twice, pop_push_twice, NULL);
}

static void setup_two_long(void)
{
	threads(2, pop_push_thrice, pop_push_thrice, NULL);
}

static void setup_three(void)
{
	threads(3, pop_push_twice, pop_keep_pop_push, pop_pop_push);
}

static void setup_pushers(void)
{
	threads(1, push_pop, push_pop, push_pop);
}

#define PROMISE "each thing is owned by one thread or on the stack once, and comes with its contents"
#define ALL	{ UNBOUNDED, UNBOUNDED }

static const struct scenario scenarios[] = {
	{ "sleeper", PROMISE, setup_sleeper, each_is_owned_or_on_the_stack, ALL, ALL },
	{ "two", PROMISE, setup_two, each_is_owned_or_on_the_stack, ALL, ALL },
	{ "two-long", PROMISE, setup_two_long, each_is_owned_or_on_the_stack, { 4, 2 }, { 2, 1 } },
	{ "pushers", PROMISE, setup_pushers, each_is_owned_or_on_the_stack, ALL, ALL },
	{ "three", PROMISE, setup_three, each_is_owned_or_on_the_stack, { 3, 2 }, { 2, 1 } },
};

int main(int argc, char **argv)
{
	return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

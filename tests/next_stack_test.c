/* SPDX-License-Identifier: MIT */
/* tests/next_stack_test.c - the tagged stack: order, single ownership, and the ABA interleaving
 *
 * Built twice. With -DSTACK_TAG_STEP=0 (next_stack_untagged_test) the stack has no tag, and the test of the
 * interleaving has to fail: that program is an expected failure of `make check`.
 */
#include "next/stack.h"

#include "tests/support.h"

#include <pthread.h>
#include <stdlib.h>

#define THINGS 64

static struct stack stack;
static _Atomic uint32_t links[THINGS + 1];

static _Atomic uint32_t *link_of(uint32_t number)
{
	return &links[number];
}

static void push(uint32_t number)
{
	stack_push(&stack, number, &links[number]);
}

static void the_last_thing_pushed_is_popped_first(void **state)
{
	(void)state;
	assert_true(stack_is_empty(&stack));
	assert_int_equal(stack_pop(&stack, link_of), 0);
	for (uint32_t i = 1; i <= THINGS; i++)
		push(i);
	assert_false(stack_is_empty(&stack));
	for (uint32_t i = THINGS; i >= 1; i--)
		assert_int_equal(stack_pop(&stack, link_of), i);
	assert_true(stack_is_empty(&stack));
	assert_int_equal(stack_pop(&stack, link_of), 0);
}

static void the_largest_number_survives_beside_a_tag_that_wraps(void **state)
{
	(void)state;
	struct stack full = { .head = ~STACK_NUMBER_MASK };
	_Atomic uint32_t link = 7;
	assert_true(stack_is_empty(&full));
	stack_push(&full, (uint32_t)STACK_NUMBER_MASK, &link);
	assert_int_equal(load_relaxed(&full.head) & STACK_NUMBER_MASK, STACK_NUMBER_MASK);
	assert_int_equal(load_relaxed(&link), 0);
}

/* --- ABA ---------------------------------------------------------------------------------------
 *
 * stack_pop() asks for the link of the thing on top after its read of the head and before its CAS. That
 * is where T1 stalls: the callback plays T2.
 */
enum { A = 1, B = 2, C = 3 };

static bool stalled;
static bool owned_by_t2[THINGS + 1];

static _Atomic uint32_t *link_after_t2(uint32_t number)
{
	if (!stalled) {
		stalled = true;
		/* T1 reads the link before T2 changes it: that is the value that does the harm. */
		static _Atomic uint32_t read_before;
		store_relaxed(&read_before, load_relaxed(&links[number]));
		owned_by_t2[stack_pop(&stack, link_of)] = true;
		owned_by_t2[stack_pop(&stack, link_of)] = true;
		owned_by_t2[A] = false;
		push(A);
		return &read_before;
	}
	return &links[number];
}

static void a_pop_that_slept_through_pop_pop_push_does_not_hand_out_what_another_owns(void **state)
{
	(void)state;
	push(C);
	push(B);
	push(A);
	assert_int_equal(stack_pop(&stack, link_after_t2), A);
	assert_true(stalled);
	assert_true(owned_by_t2[B]);
	/* Without the tag B is on top, and it is T2's. */
	for (uint32_t number; (number = stack_pop(&stack, link_of)) != 0;)
		assert_false(owned_by_t2[number]);
}

/* --- threads ------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS	300000

static _Atomic uint32_t owner_of[THINGS + 1];
static uint64_t written_by_owner[THINGS + 1]; /* plain: the stack's orders are what protects it */
static _Atomic uint64_t pops;
static pthread_barrier_t gate;

static void *pop_and_push(void *argument)
{
	uint32_t self = (uint32_t)(uintptr_t)argument;
	uint64_t done = 0;
	pthread_barrier_wait(&gate);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t mine[3], count = 0;
		while (count < 1 + (uint32_t)i % 3) {
			uint32_t number = stack_pop(&stack, link_of);
			if (!number)
				break;
			/* It was nobody's, or two threads own it now. */
			if (exchange_acq_rel(&owner_of[number], self) != 0)
				abort();
			written_by_owner[number]++;
			mine[count++] = number;
		}
		done += count;
		while (count > 0) {
			uint32_t number = mine[--count];
			store_relaxed(&owner_of[number], 0);
			push(number);
		}
	}
	fetch_add_relaxed(&pops, done);
	return NULL;
}

static void each_thing_is_owned_by_one_thread_at_a_time_and_none_is_lost(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	store_relaxed(&stack.head, 0);
	pthread_barrier_init(&gate, NULL, THREADS);
	/* Few things, so that the same ones come back to the top all the time. */
	enum { FEW = 7 };
	for (uint32_t i = 1; i <= FEW; i++)
		push(i);
	for (uintptr_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, pop_and_push, (void *)(t + 1)),
				 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	bool seen[THINGS + 1] = { false };
	uint64_t writes = 0;
	for (int i = 1; i <= FEW; i++) {
		uint32_t number = stack_pop(&stack, link_of);
		assert_in_range(number, 1, FEW);
		assert_false(seen[number]);
		seen[number] = true;
		writes += written_by_owner[number];
	}
	assert_true(stack_is_empty(&stack));
	assert_int_equal(writes, load_relaxed(&pops));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_pop_that_slept_through_pop_pop_push_does_not_hand_out_what_another_owns),
		cmocka_unit_test(the_last_thing_pushed_is_popped_first),
		cmocka_unit_test(the_largest_number_survives_beside_a_tag_that_wraps),
		cmocka_unit_test(each_thing_is_owned_by_one_thread_at_a_time_and_none_is_lost),
	};
	/* Without the tag the first has to fail, and the threads of the last could go round in a circle of
	 * links for ever. */
	const struct CMUnitTest interleaving[] = { tests[0] };
	return STACK_TAG_STEP ? cmocka_run_group_tests(tests, NULL, NULL)
			      : cmocka_run_group_tests(interleaving, NULL, NULL);
}

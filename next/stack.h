/* SPDX-License-Identifier: MIT */
/* next/stack.h - a lock-free stack of numbered, type-stable things, safe against ABA by a tag
 *
 *   63          32 31            0
 *  +--------------+---------------+
 *  |  tag         | number        |     number 0: empty
 *  +--------------+---------------+
 *
 * Without the tag: T1 reads head A and A.next = B, and stalls; T2 pops A, pops B, pushes A; T1's CAS
 * succeeds and makes B, which T2 owns, the head. Every change adds one to the tag, so T1's CAS fails; to
 * be fooled T1 would have to sleep through exactly 2^32 changes.
 *
 *             push                                    pop
 *   push      CAS: the loser reads the head again     the same
 *   pop       the same                                the same; the winner owns the thing
 *
 * A pop reads the link of a thing that another thread may have popped already: the link is atomic and
 * the thing is type-stable (page descriptors, heaps), so the read is harmless, and the CAS fails.
 * The stack knows nothing of what it holds: the caller turns a number into its link.
 *
 * PROPERTY (tests/verify/stack.c): each thing is owned by one thread or is on the stack once, and comes with
 * what its last owner wrote.
 */
#ifndef NEXT_STACK_H
#define NEXT_STACK_H

#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

#ifndef STACK_TAG_STEP
#define STACK_TAG_STEP 1 /* the test of the ABA interleaving builds with 0, and must see it lose */
#endif

#define STACK_NUMBER_BITS 32
#define STACK_NUMBER_MASK (((uint64_t)1 << STACK_NUMBER_BITS) - 1)
#define STACK_SPINS_MAX	  64

struct stack {
	_Atomic uint64_t head; /* [any thread] */
};

INLINE uint64_t stack_word(uint64_t old_head, uint32_t number)
{
	return (((old_head >> STACK_NUMBER_BITS) + STACK_TAG_STEP) << STACK_NUMBER_BITS) | number;
}

/* Waits longer after each failure in a row: many threads on one word otherwise fail each other. */
INLINE void stack_back_off(unsigned *spins)
{
	for (unsigned i = 0; i < *spins; i++)
		spin_pause();
	if (*spins < STACK_SPINS_MAX)
		*spins *= 2;
}

INLINE bool stack_is_empty(struct stack *stack)
{
	return (load_relaxed(&stack->head) & STACK_NUMBER_MASK) == 0;
}

/* Puts the thing with this number, 1 <= number, and this link on top. */
INLINE void stack_push(struct stack *stack, uint32_t number, _Atomic uint32_t *link)
{
	unsigned spins = 1;
	uint64_t head = load_relaxed(&stack->head);
	for (;;) {
		store_relaxed(link, (uint32_t)(head & STACK_NUMBER_MASK));
		/* release: hands over the thing and its link; pairs with the acquire in stack_pop() */
		if (cas_release(&stack->head, &head, stack_word(head, number)))
			return;
		stack_back_off(&spins);
	}
}

/* The number on top, which is then the caller's alone; 0 if the stack is empty. */
INLINE uint32_t stack_pop(struct stack *stack, _Atomic uint32_t *(*link_of)(uint32_t number))
{
	unsigned spins = 1;
	/* acquire, also on failure: pairs with the release in stack_push(), before the link is read */
	uint64_t head = load_acquire(&stack->head);
	for (;;) {
		uint32_t number = (uint32_t)(head & STACK_NUMBER_MASK);
		if (!number)
			return 0;
		uint32_t below = load_relaxed(link_of(number));
		if (cas_acquire(&stack->head, &head, stack_word(head, below)))
			return number;
		stack_back_off(&spins);
	}
}

#endif

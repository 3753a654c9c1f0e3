/* SPDX-License-Identifier: MIT */
/* tests/verify/ready.pml - remote frees, the ready stack, and a heap that is left and adopted (next/page.h)
 *
 * Two pages of three blocks, all live, both FULL and so in no list. Two senders free a block of each; the
 * third belongs to the owner, who frees it or not, allocates, and then sleeps or exits; another thread may
 * adopt the heap and does the same; a thief empties the ready stack of a sleeper. Each access to a word
 * that threads share is one step: what they may see late is the explorer's business.
 *
 * Promise, once everybody has come to an end:
 *   a page with a free block is in exactly one place where somebody finds it: the queue of the heap, the
 *   open ready stack, a shared list, or back with its segment; one without is FULL and in none;
 *   a bit that the owner has not seen is announced by REMOTE or by the ready stack.
 * And at any time at most one process puts a page from one place into another.
 *
 * Bugs, each found with -D: NO_CLOSED_CHECK, NOT_CLOSED, IGNORE_FULL, LOOK_FIRST, MERGE_FIRST, STORE_FULL,
 * CLAIM_BY_STORE, THIEF_KEEPS.
 */
#define PAGES	3 /* pages 1 and 2: 0 is the end of the ready stack */
#define CLOSED	3
#define ALL	7
#define OWNERS	4 /* the block that only the owner frees */
#ifndef STEPS
#define STEPS 2
#endif

/* A page's words. The owner word is three: whose it is, FULL, REMOTE; changed in one step. */
byte free[PAGES], remote[PAGES];
bool shared[PAGES], is_full[PAGES], news[PAGES];
byte ready_next[PAGES];

/* Where a page is, besides the ready stack. */
bool in_queue[PAGES], on_shared_list[PAGES], given_back[PAGES];
bool moving[PAGES];

byte ready;		  /* the head: 0, a page, or CLOSED */
bool abandoned, has_thread = true;

inline begin_move(p)
{
	atomic { assert(!moving[p]); moving[p] = true }
}

/* ------------------------------------------------------------------------ a page changes its place */

inline merge(p, to_shared)
{
#ifdef MERGE_FIRST
	atomic { free[p] = free[p] | remote[p]; remote[p] = 0 };
#endif
	atomic { shared[p] = to_shared; is_full[p] = false; news[p] = false };
#ifndef MERGE_FIRST
	atomic { free[p] = free[p] | remote[p]; remote[p] = 0 }
#endif
}

/* Merges until there is a free block, or FULL says that there is none. */
inline queue_or_full(p)
{
	do
	:: atomic { free[p] != 0 -> in_queue[p] = true; moving[p] = false }; break
	:: free[p] == 0 ->
		if
#ifdef STORE_FULL
		:: atomic { free[p] == 0 -> is_full[p] = true; news[p] = false; moving[p] = false }; break
#else
		:: atomic { !news[p] -> is_full[p] = true; moving[p] = false }; break
#endif
		:: news[p] -> merge(p, false)
		fi
	od
}

inline settle(p)
{
	begin_move(p);
	merge(p, false);
	if
	:: atomic { free[p] == ALL -> given_back[p] = true; moving[p] = false }
	:: free[p] != ALL -> queue_or_full(p)
	fi
}

inline share(p)
{
	begin_move(p);
	merge(p, true);
	atomic {
		if
		:: free[p] == ALL -> given_back[p] = true
		:: else -> on_shared_list[p] = true
		fi;
		moving[p] = false
	}
}

/* ------------------------------------------------------------------------------------ a remote free */

inline push_ready(p)
{
	head = ready;
	do
#ifdef NO_CLOSED_CHECK
	:: true ->
		ready_next[p] = (head == CLOSED -> 0 : head);
#else
	:: head == CLOSED -> share(p); break
	:: head != CLOSED ->
		ready_next[p] = head;
#endif
		if
		:: atomic { ready == head -> ready = p }; break
		:: atomic { ready != head -> head = ready }
		fi
	od
}

inline send(p, block)
{
#ifdef LOOK_FIRST
	was_news = news[p];
	remote[p] = remote[p] | block;
#else
	remote[p] = remote[p] | block;
	was_news = news[p];
#endif
	if
	:: was_news
	:: !was_news ->
		atomic { was_full = is_full[p]; was_news = news[p]; news[p] = true };
#ifndef IGNORE_FULL
		if
		:: was_full && !was_news -> push_ready(p)
		:: !was_full || was_news
		fi
#endif
	fi
}

/* ------------------------------------------------------------------------------------- the owner's */

inline drain_ready()
{
	atomic { page = ready; ready = 0 };
	do
	:: page != 0 -> after = ready_next[page]; settle(page); page = after
	:: page == 0 -> break
	od
}

inline take_block(p)
{
	atomic { moving[p] = true; in_queue[p] = false };
	atomic {
		if
		:: free[p] & 1 -> free[p] = free[p] - 1
		:: else ->
			if
			:: free[p] & 2 -> free[p] = free[p] - 2
			:: else -> free[p] = free[p] - 4
			fi
		fi
	};
	queue_or_full(p)
}

inline malloc()
{
	if
	:: in_queue[1] -> take_block(1)
	:: !in_queue[1] && in_queue[2] -> take_block(2)
	:: !in_queue[1] && !in_queue[2] ->
		drain_ready();
		if
		:: in_queue[1] -> take_block(1)
		:: !in_queue[1] && in_queue[2] -> take_block(2)
		:: !in_queue[1] && !in_queue[2] /* fresh slices */
		fi
	fi
}

/* The owner frees its block of page 1: takes the page back if it is FULL and nobody was faster. */
inline free_own()
{
	if
	:: shared[1] || given_back[1] -> send(1, OWNERS)
#ifdef CLAIM_BY_STORE
	:: !shared[1] && is_full[1] && !news[1] ->
		begin_move(1);
		atomic { is_full[1] = false; news[1] = false; free[1] = free[1] | OWNERS };
		queue_or_full(1)
#else
	:: atomic { !shared[1] && is_full[1] && !news[1] -> is_full[1] = false; moving[1] = true };
		free[1] = free[1] | OWNERS;
		queue_or_full(1)
#endif
	:: !shared[1] && !given_back[1] && is_full[1] && news[1] -> send(1, OWNERS)
	:: !shared[1] && !given_back[1] && !is_full[1] && news[1] -> merge(1, false);
		free[1] = free[1] | OWNERS
	:: !shared[1] && !given_back[1] && !is_full[1] && !news[1] -> free[1] = free[1] | OWNERS
	fi
}

inline leave()
{
#ifdef NOT_CLOSED
	atomic { page = ready; ready = 0 };
#else
	atomic { page = ready; ready = CLOSED };
#endif
	do
	:: page != 0 -> after = ready_next[page]; share(page); page = after
	:: page == 0 -> break
	od;
	atomic { has_thread = false; abandoned = true }
}

inline use_heap()
{
	do
	:: steps < STEPS -> steps++; malloc()
	:: steps < STEPS && owns_a_block -> steps++; owns_a_block = false; free_own()
	:: steps == STEPS -> break
	od;
	if
	:: leave()
	:: true /* sleeps */
	fi
}

proctype owner()
{
	byte page, after, head, steps;
	bool owns_a_block = true, was_full, was_news;
	use_heap()
}

proctype adopter()
{
	byte page, after, head, steps;
	bool owns_a_block, was_full, was_news;
	if
	:: atomic { abandoned -> abandoned = false; has_thread = true }; ready = 0; use_heap()
	:: true
	fi
}

/* ------------------------------------------------------------------------------------- the others' */

proctype sender(byte block)
{
	byte head;
	bool was_full, was_news;
	if
	:: send(1, block); send(2, block)
	:: send(2, block); send(1, block)
	fi
}

proctype thief()
{
	byte page, after, head;
	if
	:: atomic { ready != 0 && ready != CLOSED -> page = ready; ready = 0 };
		do
		:: page != 0 ->
			after = ready_next[page];
			if
			:: remote[page] == ALL ->
				begin_move(page);
				atomic { given_back[page] = true; moving[page] = false; remote[page] = 0 }
			:: remote[page] != ALL ->
#ifdef THIEF_KEEPS
				skip
#else
				push_ready(page)
#endif
			fi;
			page = after
		:: page == 0 -> break
		od
	:: true
	fi
}

/* --------------------------------------------------------------------------------------- the end */

inline check(p)
{
	places = in_queue[p] + on_shared_list[p] + given_back[p] + on_ready[p];
	assert(places <= 1);
	assert(places == 1 || (is_full[p] && free[p] == 0 && remote[p] == 0));
	assert(!in_queue[p] || remote[p] == 0 || news[p])
}

init {
	byte p, places;
	bool on_ready[PAGES];
	atomic {
		is_full[1] = true;
		is_full[2] = true;
		run owner();
		run adopter();
		run sender(1);
		run sender(2);
		run thief()
	};
	atomic {
		_nr_pr == 1 ->
		p = (ready == CLOSED -> 0 : ready);
		assert(p == 0 || has_thread);
		do
		:: p != 0 -> assert(!on_ready[p]); on_ready[p] = true; p = ready_next[p]
		:: p == 0 -> break
		od;
		check(1);
		check(2)
	}
}

/* SPDX-License-Identifier: MIT */
/* tests/verify/flip.pml - the flip (next/heap.c) as a protocol: owners, a heap that is being made, control
 *
 * Each access to a slot, a door or the count of heaps is one step, in one order for all: they are seq_cst.
 * A step that is not an exchange but a store waits in its thread's buffer for any time; that is what the
 * exchange is there for, and with FLIP_STORE the owner stores.
 *
 * Doors are 0 to 2, as next_door: a class of a heap is served iff its cohort < door. Control sets any
 * value, then any other.
 *
 * Promise: once a flip has returned, and until the next begins, a malloc that starts finds no page in its
 * slot unless the door admits its heap.
 *
 * Bugs, each found with -D: FLIP_STORE, NO_SECOND_LOOK, LOOK_FIRST, SWEEP_FIRST, COUNT_FIRST, LIST_LATE,
 * NO_LOCK, NO_SWEEP_NARROWER.
 */
#ifndef MALLOCS
#define MALLOCS 2 /* of each owner */
#endif
#ifndef FLIPS
#define FLIPS 2 /* by each control */
#endif
#ifndef CONTROLS
#define CONTROLS 1
#endif
#define HEAPS	   3 /* heap h has cohort h % 2; the last one is being made */
#define NO_PROMISE 3

byte door = 2;
byte promised = 2; /* what the last flip set, once it returned; NO_PROMISE while one is under way */
bool page_in_slot[HEAPS];
bool store_waits[HEAPS]; /* the owner's store of a page, in its buffer */
byte heaps_made = 2;
bool lock_held;

inline put_page(h)
{
#ifdef FLIP_STORE
	store_waits[h] = true
#else
	page_in_slot[h] = true
#endif
}

/* The slot as its owner sees it, whose own stores it always sees. */
#define sees_page(h) (store_waits[h] || page_in_slot[h])

/* An owner's stores arrive in order. */
inline put_empty(h)
{
	atomic { !store_waits[h] -> page_in_slot[h] = false }
}

#ifdef FLIP_STORE
proctype buffer(byte h)
{
end:	do
	:: atomic { store_waits[h] -> page_in_slot[h] = true; store_waits[h] = false }
	od
}
#endif

inline refill(h)
{
#ifdef LOOK_FIRST
	seen = door;
	put_page(h);
#else
	put_page(h);
	seen = door;
#endif
#ifndef NO_SECOND_LOOK
	if
	:: h % 2 >= seen -> put_empty(h)
	:: else
	fi
#endif
}

proctype owner(byte h)
{
	byte mallocs, seen;
	bool served;

	if
	:: h < 2
	:: else
#ifdef LIST_LATE
		refill(h);
#endif
		heaps_made = h + 1
	fi;
	do
	:: mallocs < MALLOCS ->
		mallocs++;
		atomic {
			served = sees_page(h);
			assert(!(served && promised != NO_PROMISE && h % 2 >= promised))
		};
		if
		:: served /* the fast path; the page is used up or not */
		:: !served || mallocs > 1 ->
			if
			:: atomic { h % 2 < door -> skip }; refill(h) /* asked, admitted */
			:: h % 2 >= door		   /* asked, goes elsewhere */
			fi
		fi
	:: mallocs == MALLOCS -> break
	od
}

proctype control()
{
	byte flips, value, before, count, h;

	do
	:: flips < FLIPS ->
		flips++;
		if
		:: value = 0
		:: value = 1
		:: value = 2
		fi;
#ifndef NO_LOCK
		atomic { !lock_held -> lock_held = true };
#endif
		promised = NO_PROMISE;
#ifdef COUNT_FIRST
		count = heaps_made;
#endif
#ifndef SWEEP_FIRST
		atomic { before = door; door = value };
#else
		before = 2;
#endif
#ifndef COUNT_FIRST
		count = heaps_made;
#endif
#ifdef NO_SWEEP_NARROWER
		if
		:: value == 0
#else
		if
		:: value < before
#endif
			->
			h = 0;
			do
			:: h < count -> page_in_slot[h] = false; h++
			:: h == count -> break
			od
		:: else
		fi;
#ifdef SWEEP_FIRST
		door = value;
#endif
		atomic {
			promised = (door == value -> value : NO_PROMISE);
			lock_held = false
		}
	:: flips == FLIPS -> break
	od
}

init {
	atomic {
		run owner(0);
		run owner(1);
		run owner(2);
#ifdef FLIP_STORE
		run buffer(0);
		run buffer(1);
		run buffer(2);
#endif
		run control();
		if
		:: CONTROLS == 2 -> run control()
		:: else
		fi
	}
}

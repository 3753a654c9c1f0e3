/* SPDX-License-Identifier: MIT */
/* tests/verify/litmus.c - the explorer itself: known small programs, and exactly the outcomes C11 allows
 *
 * An outcome is the number whose digits, in base 2 or 3, are what the loads saw. A forbidden outcome that
 * is found would be a false alarm, an allowed one that is not found a bug that is overlooked. Each program
 * is searched with and without a bound that is too high to matter, since the two merge states differently.
 */
#include "tests/verify/explore.h"

#include "shim/base/atomic.h"


static _Atomic uint32_t x, y;
static _Atomic uint64_t lock_a, lock_b;
static uint32_t plain, r1, r2, r3, r4;

#define BITS(...) bits_of((const int[]){ __VA_ARGS__, -1 })

static uint64_t bits_of(const int *outcomes)
{
	uint64_t bits = 0;
	for (; *outcomes >= 0; outcomes++)
		bits |= (uint64_t)1 << *outcomes;
	return bits;
}

static void see_2(void)
{
	explore_outcome(r1 + 2 * r2);
}

static void see_3(void)
{
	explore_outcome(r1 + 2 * r2 + 4 * r3);
}

static void see_4(void)
{
	explore_outcome(r1 + 2 * r2 + 4 * r3 + 8 * r4);
}

static void see_x_y(void)
{
	explore_outcome(load_relaxed(&x) + 3 * load_relaxed(&y));
}

/* A program: its threads' bodies, and how its outcome is read. gcc's nested functions would need
 * executable stacks, so that each body has a name. */
#define THREADS(name, ...)                                                                         \
	static void name(void)                                                                     \
	{                                                                                          \
		void (*const bodies[])(void) = { __VA_ARGS__ };                                    \
		for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)                      \
			explore_thread(bodies[i]);                                                 \
	}

/* --- store buffering --------------------------------------------------------------------------- */

static void sb_relaxed_1(void)
{
	store_relaxed(&x, 1);
	r1 = load_relaxed(&y);
}

static void sb_relaxed_2(void)
{
	store_relaxed(&y, 1);
	r2 = load_relaxed(&x);
}

static void sb_release_1(void)
{
	store_release(&x, 1);
	r1 = load_acquire(&y);
}

static void sb_release_2(void)
{
	store_release(&y, 1);
	r2 = load_acquire(&x);
}

static void sb_seq_cst_1(void)
{
	store_seq_cst(&x, 1);
	r1 = load_seq_cst(&y);
}

static void sb_seq_cst_2(void)
{
	store_seq_cst(&y, 1);
	r2 = load_seq_cst(&x);
}

/* An exchange that is not seq_cst, or a load after one, is no fence. */
static void sb_exchange_1(void)
{
	exchange_acq_rel(&x, 1);
	r1 = load_acquire(&y);
}

static void sb_exchange_2(void)
{
	exchange_acq_rel(&y, 1);
	r2 = load_acquire(&x);
}

static void sb_half_1(void)
{
	exchange_seq_cst(&x, 1);
	r1 = load_acquire(&y);
}

static void sb_half_2(void)
{
	exchange_seq_cst(&y, 1);
	r2 = load_acquire(&x);
}

THREADS(sb_relaxed, sb_relaxed_1, sb_relaxed_2)
THREADS(sb_release, sb_release_1, sb_release_2)
THREADS(sb_seq_cst, sb_seq_cst_1, sb_seq_cst_2)
THREADS(sb_exchange, sb_exchange_1, sb_exchange_2)
THREADS(sb_half, sb_half_1, sb_half_2)

/* --- message passing --------------------------------------------------------------------------- */

static void mp_relaxed_1(void)
{
	store_relaxed(&x, 1);
	store_relaxed(&y, 1);
}

static void mp_release_1(void)
{
	store_relaxed(&x, 1);
	store_release(&y, 1);
}

static void mp_relaxed_2(void)
{
	r1 = load_relaxed(&y);
	r2 = load_relaxed(&x);
}

static void mp_acquire_2(void)
{
	r1 = load_acquire(&y);
	r2 = load_relaxed(&x);
}

THREADS(mp_relaxed, mp_relaxed_1, mp_relaxed_2)
THREADS(mp_no_acquire, mp_release_1, mp_relaxed_2)
THREADS(mp_no_release, mp_relaxed_1, mp_acquire_2)
THREADS(mp_release, mp_release_1, mp_acquire_2)

/* The release sequence goes on through another thread's relaxed read-modify-write, and ends at a store. */
static void mp_add(void)
{
	uint32_t one = 1;
	cas_relaxed(&y, &one, 2);
}

static void mp_overwrite(void)
{
	if (load_relaxed(&y) == 1)
		store_relaxed(&y, 2);
}

static void mp_reads_2(void)
{
	r1 = load_acquire(&y) == 2;
	r2 = load_relaxed(&x);
}

THREADS(mp_release_sequence, mp_release_1, mp_add, mp_reads_2)
THREADS(mp_no_sequence, mp_release_1, mp_overwrite, mp_reads_2)

/* --- one place --------------------------------------------------------------------------------- */

static void co_write(void)
{
	store_relaxed(&x, 1);
	store_relaxed(&x, 2);
}

static void co_read(void)
{
	r1 = load_relaxed(&x);
	r2 = load_relaxed(&x);
}

static void see_co(void)
{
	explore_outcome(r1 + 3 * r2);
}

THREADS(coherence, co_write, co_read)

static void add_2(void)
{
	fetch_add_relaxed(&x, 1);
	fetch_add_relaxed(&x, 1);
}

static void see_x(void)
{
	explore_outcome(load_relaxed(&x));
}

THREADS(no_add_is_lost, add_2, add_2)

static void cas_1(void)
{
	uint32_t expected = 0;
	r1 = cas_relaxed(&x, &expected, 1);
}

static void cas_2(void)
{
	uint32_t expected = 0;
	r2 = cas_relaxed(&x, &expected, 2);
}

THREADS(one_cas_wins, cas_1, cas_2)

/* --- stores that go before others -------------------------------------------------------------- */

static void w22_relaxed_1(void)
{
	store_relaxed(&x, 1);
	store_relaxed(&y, 2);
}

static void w22_relaxed_2(void)
{
	store_relaxed(&y, 1);
	store_relaxed(&x, 2);
}

static void w22_seq_cst_1(void)
{
	store_seq_cst(&x, 1);
	store_seq_cst(&y, 2);
}

static void w22_seq_cst_2(void)
{
	store_seq_cst(&y, 1);
	store_seq_cst(&x, 2);
}

THREADS(w22_relaxed, w22_relaxed_1, w22_relaxed_2)
THREADS(w22_seq_cst, w22_seq_cst_1, w22_seq_cst_2)

/* The flip with its exchange (0) and with a store in its place (1): x is the slot, 1 the page, 2 the empty
 * page; y is the door, 1 shut. Stale: the owner saw the door open (r1 = 0) and the page stays (x = 1). */
static void flip_exchange(void)
{
	exchange_seq_cst(&x, 1);
	r1 = load_seq_cst(&y);
}

static void flip_store(void)
{
	store_release(&x, 1);
	r1 = load_seq_cst(&y);
}

static void flip_control(void)
{
	exchange_seq_cst(&y, 1);
	exchange_seq_cst(&x, 2);
}

static void see_flip(void)
{
	explore_outcome(r1 + (load_relaxed(&x) == 1 ? 2 : 0));
}

THREADS(flip_with_exchange, flip_exchange, flip_control)
THREADS(flip_with_store, flip_store, flip_control)

/* --- three and four threads -------------------------------------------------------------------- */

static void wrc_1(void)
{
	store_relaxed(&x, 1);
}

static void wrc_2(void)
{
	r1 = load_relaxed(&x);
	store_release(&y, 1);
}

static void wrc_3(void)
{
	r2 = load_acquire(&y);
	r3 = load_relaxed(&x);
}

THREADS(write_to_read, wrc_1, wrc_2, wrc_3)

static void write_x_release(void)
{
	store_release(&x, 1);
}

static void write_y_release(void)
{
	store_release(&y, 1);
}

static void write_x_seq_cst(void)
{
	store_seq_cst(&x, 1);
}

static void write_y_seq_cst(void)
{
	store_seq_cst(&y, 1);
}

static void iriw_acquire_1(void)
{
	r1 = load_acquire(&x);
	r2 = load_acquire(&y);
}

static void iriw_acquire_2(void)
{
	r3 = load_acquire(&y);
	r4 = load_acquire(&x);
}

static void iriw_seq_cst_1(void)
{
	r1 = load_seq_cst(&x);
	r2 = load_seq_cst(&y);
}

static void iriw_seq_cst_2(void)
{
	r3 = load_seq_cst(&y);
	r4 = load_seq_cst(&x);
}

THREADS(iriw_acquire, write_x_release, write_y_release, iriw_acquire_1, iriw_acquire_2)
THREADS(iriw_seq_cst, write_x_seq_cst, write_y_seq_cst, iriw_seq_cst_1, iriw_seq_cst_2)

/* A load does not see a store that comes later in program order, whatever the orders. */
static void lb_1(void)
{
	r1 = load_relaxed(&x);
	store_relaxed(&y, 1);
}

static void lb_2(void)
{
	r2 = load_relaxed(&y);
	store_relaxed(&x, 1);
}

THREADS(load_buffering, lb_1, lb_2)

/* --- plain memory ------------------------------------------------------------------------------ */

static void race_write(void)
{
	plain = 1;
	store_release(&x, 1);
}

static void race_write_relaxed(void)
{
	plain = 1;
	store_relaxed(&x, 1);
}

static void race_read(void)
{
	if (load_acquire(&x))
		r1 = plain;
}

THREADS(ordered, race_write, race_read)
THREADS(unordered, race_write_relaxed, race_read)

/* --- waiting ----------------------------------------------------------------------------------- */

static void take(_Atomic uint64_t *lock)
{
	uint64_t nobody = 0;
	while (!cas_acquire(lock, &nobody, explore_self())) {
		explore_wait_zero(lock);
		nobody = 0;
	}
}

static void take_a_b(void)
{
	take(&lock_a);
	take(&lock_b);
	store_release(&lock_b, 0);
	store_release(&lock_a, 0);
}

static void take_b_a(void)
{
	take(&lock_b);
	take(&lock_a);
	store_release(&lock_a, 0);
	store_release(&lock_b, 0);
}

static void add_locked(void)
{
	take(&lock_a);
	plain++;
	store_release(&lock_a, 0);
}

static void see_plain(void)
{
	explore_outcome(plain);
}

THREADS(locked, add_locked, add_locked, add_locked)
THREADS(deadlock, take_a_b, take_b_a)

/* ----------------------------------------------------------------------------------------------- */

#define ALL_4 BITS(0, 1, 2, 3)

static int wrong;

static void search_twice(const char *name, void (*setup)(void), void (*check)(void),
			 struct expectation expectation)
{
	struct scenario scenario = { .name = name, .promise = "-", .setup = setup, .check = check };
	const struct bounds any = { UNBOUNDED, UNBOUNDED }, high = { 100, 100 };
	wrong |= explore_scenario(&scenario, any, expectation);
	wrong |= explore_scenario(&scenario, high, expectation);
}

static void expect(const char *name, void (*setup)(void), void (*check)(void), uint64_t outcomes)
{
	search_twice(name, setup, check, (struct expectation){ .outcomes = outcomes });
}

static void expect_violation(const char *name, void (*setup)(void), const char *violation)
{
	search_twice(name, setup, NULL, (struct expectation){ .violation = violation });
}

int main(void)
{
	/* r1 + 2 r2 */
	expect("SB relaxed", sb_relaxed, see_2, ALL_4);
	expect("SB release, acquire", sb_release, see_2, ALL_4);
	expect("SB seq_cst", sb_seq_cst, see_2, BITS(1, 2, 3));
	expect("SB exchange acq_rel", sb_exchange, see_2, ALL_4);
	expect("SB exchange seq_cst, load acquire", sb_half, see_2, ALL_4);
	expect("MP relaxed", mp_relaxed, see_2, ALL_4);
	expect("MP without acquire", mp_no_acquire, see_2, ALL_4);
	expect("MP without release", mp_no_release, see_2, ALL_4);
	expect("MP release, acquire", mp_release, see_2, BITS(0, 2, 3));
	expect("MP through a release sequence", mp_release_sequence, see_2, BITS(0, 2, 3));
	expect("MP through a store", mp_no_sequence, see_2, ALL_4);
	expect("load buffering", load_buffering, see_2, BITS(0, 1, 2));
	expect("one cas wins", one_cas_wins, see_2, BITS(1, 2));
	/* r1 + 3 r2: never backwards */
	expect("coherence", coherence, see_co, BITS(0, 3, 4, 6, 7, 8));
	expect("no add is lost", no_add_is_lost, see_x, BITS(4));
	/* x + 3 y: 4 is both first stores last, which only late stores give */
	expect("2+2W relaxed", w22_relaxed, see_x_y, BITS(4, 5, 7, 8));
	expect("2+2W seq_cst", w22_seq_cst, see_x_y, BITS(5, 7, 8));
	/* r1 + 2 (x == 1): 2 is stale */
	expect("flip with exchange", flip_with_exchange, see_flip, BITS(0, 1, 3));
	expect("flip with store", flip_with_store, see_flip, ALL_4);
	/* r1 + 2 r2 + 4 r3: 3 would be a value seen and then unseen along a chain */
	expect("WRC", write_to_read, see_3, 0xff & ~BITS(3));
	/* r1 + 2 r2 + 4 r3 + 8 r4: 5 is two readers who disagree about which store came first */
	expect("IRIW acquire", iriw_acquire, see_4, 0xffff);
	expect("IRIW seq_cst", iriw_seq_cst, see_4, 0xffff & ~BITS(5));
	/* r1 */
	expect("plain, published", ordered, see_2, BITS(0, 1));
	expect_violation("plain, published relaxed", unordered, "data race");
	expect("a lock orders plain adds", locked, see_plain, BITS(3));
	expect_violation("two locks in two orders", deadlock, "waits for another");
	return wrong;
}

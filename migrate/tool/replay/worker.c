/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/worker.c - a thread of the replay
 *
 * The table of blocks is the only place where threads meet: whoever allocates a block stores its pointer there
 * (release), whoever gives it back loads it (acquire) and waits while it is null. A thread waits for nothing else, in a
 * program that is not in recorded order and has no pace. No wait is for ever: in the trace the allocation came first,
 * so the order of the trace is one in which every step can be done.
 *
 * What is timed is the call and the first touch of the block, which is when its pages are paid for.
 */
#include "migrate/tool/replay/child.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE_BYTES 4096
/* How often a waiting thread looks before it lets others run, and before it sleeps. */
#define WAIT_SPINS  100
#define WAIT_YIELDS 200
#define WAIT_NS	    50000

struct timing {
	bool on;
	uint64_t begin;
};

static void load_chunk(struct worker *worker, uint64_t at)
{
	size_t done = 0;
	while (done < PROGRAM_CHUNK_BYTES) {
		ssize_t got = pread(run->program, (char *)worker->chunk + done,
				    PROGRAM_CHUNK_BYTES - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			child_fail("the program cannot be read", got < 0 ? errno : EIO);
		done += (size_t)got;
	}
	worker->at = worker->chunk;
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void sleep_a_little(struct worker *worker)
{
	struct timespec time = { .tv_nsec = WAIT_NS };
	worker->own_switches++;
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static NOINLINE void *wait_for_block(struct worker *worker, uint64_t block)
{
	uint64_t begin = child_now_ns();
	void *pointer;

	for (unsigned tries = 0;; tries++) {
		/* Pairs with the release in store_block(). */
		pointer = load_acquire(&run->blocks[block]);
		if (pointer)
			break;
		if (tries < WAIT_SPINS) {
			child_relax();
		} else if (tries < WAIT_SPINS + WAIT_YIELDS) {
			(void)sched_yield();
		} else {
			sleep_a_little(worker);
		}
	}
	worker->waits++;
	worker->waited_ns += child_now_ns() - begin;
	return pointer;
}

static void wait_for_time(struct worker *worker, uint64_t since_begin_ns)
{
	uint64_t until = run->begin_ns + since_begin_ns, now = child_now_ns();
	if (now >= until)
		return;
	struct timespec time = {
		.tv_sec = (time_t)(until / 1000000000),
		.tv_nsec = (long)(until % 1000000000),
	};
	worker->own_switches++;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		continue;
	worker->waits++;
	worker->waited_ns += child_now_ns() - now;
}

/* Tokens are counted, so that one that comes before it is waited for is not lost. */
static void wait_for_token(struct worker *worker)
{
	_Atomic uint32_t *tokens = &run->tokens[worker->thread];
	uint64_t begin = child_now_ns();

	for (unsigned tries = 0;; tries++) {
		/* Pairs with the addition in pass_token(): what was done before it is seen. */
		uint32_t have = load_acquire(tokens);
		if (have) {
			(void)fetch_sub_acq_rel(tokens, 1);
			break;
		}
		if (tries < WAIT_SPINS) {
			child_relax();
		} else {
			worker->own_switches++;
			child_futex_wait(tokens, 0);
		}
	}
	worker->waits++;
	worker->waited_ns += child_now_ns() - begin;
}

static void pass_token(uint32_t thread)
{
	/* Pairs with the load in wait_for_token(). */
	(void)fetch_add_acq_rel(&run->tokens[thread], 1);
	child_futex_wake(&run->tokens[thread]);
}

/* --- counting ----------------------------------------------------------------------------------- */

static void account(struct worker *worker, void *pointer, uint64_t bytes, int64_t sign)
{
	unsigned class = next_class_of(bytes);
	int64_t change = sign * (int64_t)bytes;

	counter_add(&worker->live_bytes, change);
	counter_add(&worker->live_blocks, sign);
	counter_add(&worker->class_bytes[class], change);
	counter_add(&worker->class_blocks[class], sign);
	if (run->has_flips && run->owner)
		counter_add(&worker->owned_bytes[run->owner(pointer)][class], change);
}

/* splitmix64 */
static uint64_t random_number(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Whether the next call is timed: one in time_every, at distances that no pattern of the program can follow. */
INLINE struct timing begin_timing(struct worker *worker)
{
	bool on = --worker->countdown == 0;

	if (unlikely(on)) {
		uint64_t every = run->shared->time_every;
		worker->countdown =
			1 + (uint32_t)((random_number(&worker->random) >> 32) * (2 * every - 1) >> 32);
	}
	if (run->has_flips && load_relaxed(&run->near_flip))
		on = true;
	return (struct timing){ on, on ? child_ticks() : 0 };
}

static void add_time(struct replay_times *times, uint64_t ticks, uint64_t ns)
{
	atomic_fetch_add_explicit((_Atomic uint64_t *)&times->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit((_Atomic uint64_t *)&times->ticks, ticks, memory_order_relaxed);
	atomic_fetch_add_explicit((_Atomic uint32_t *)&times->bucket[replay_bucket(ns)], 1,
				  memory_order_relaxed);
}

static NOINLINE void note_time(struct worker *worker, enum replay_call call, uint64_t bytes,
			       uint64_t ticks)
{
	struct replay_shared *shared = run->shared;

	ticks -= ticks > shared->tick_overhead ? shared->tick_overhead : ticks;
	uint64_t ns = (uint64_t)((unsigned __int128)ticks * run->ns_per_tick_32 >> 32);
	add_time(&shared->times[worker->shard][call][next_class_of(bytes)], ticks, ns);
	if (run->has_flips && load_relaxed(&run->near_flip))
		add_time(&shared->near_flip[call], ticks, ns);
}

INLINE void end_timing(struct worker *worker, struct timing timing, enum replay_call call,
		       uint64_t bytes)
{
	if (unlikely(timing.on))
		note_time(worker, call, bytes, child_ticks() - timing.begin);
}

/* --- calls -------------------------------------------------------------------------------------- */

static void touch(void *block, uint64_t bytes, uint64_t pages)
{
	/* volatile, or the compiler leaves out what nobody reads. */
	volatile unsigned char *at = block;
	uint64_t end = pages == PROGRAM_ALL_PAGES || pages * PAGE_BYTES > bytes ?
			       bytes :
			       pages * PAGE_BYTES;

	for (uint64_t i = 0; i < end; i += PAGE_BYTES)
		at[i] = 1;
}

/* Pairs with the loads in take_block(). */
INLINE void store_block(uint64_t number, void *pointer)
{
	store_release(&run->blocks[number], pointer);
}

/* One more block of a page of the table is gone. Whoever takes the last one takes the page away. */
static void leave_table(uint64_t number)
{
	uint64_t page = number / CHILD_PAGE_BLOCKS;

	/* Each of the others has loaded its pointer and stored null before it counted itself here. */
	if (fetch_add_acq_rel(&run->gone[page], 1) + 1 == (int)CHILD_PAGE_BLOCKS)
		(void)madvise((char *)run->blocks + page * CHILD_TABLE_PAGE, CHILD_TABLE_PAGE, MADV_REMOVE);
}

/* The pointer of a block that is given back; NULL if its allocation had failed. */
INLINE void *take_block(struct worker *worker, const struct program_step *step)
{
	uint64_t number = step->word >> PROGRAM_BLOCK_SHIFT;
	/* Pairs with the release in store_block(). */
	void *pointer = load_acquire(&run->blocks[number]);

	if (unlikely(!pointer))
		pointer = wait_for_block(worker, number);
	store_relaxed(&run->blocks[number], NULL);
	if (unlikely(run->gone != NULL))
		leave_table(number);
	return likely(pointer != CHILD_FAILED) ? pointer : NULL;
}

INLINE void give_block(struct worker *worker, const struct program_step *step, void *pointer,
		       uint64_t bytes)
{
	if (likely(pointer)) {
		account(worker, pointer, bytes, 1);
	} else {
		worker->failed++;
		pointer = CHILD_FAILED;
	}
	store_block(step->word >> PROGRAM_BLOCK_SHIFT, pointer);
}

static void do_allocate(struct worker *worker, const struct program_step *step)
{
	uint64_t bytes = step->value & PROGRAM_BYTES_MASK;
	unsigned alignment = step->word >> PROGRAM_ALIGN_SHIFT & PROGRAM_ALIGN_MASK;
	void *pointer;

	struct timing timing = begin_timing(worker);
	if (likely(!alignment))
		pointer = step->word & PROGRAM_ZEROED ? calloc(1, bytes) : malloc(bytes);
	else
		pointer = memalign((size_t)1 << alignment, bytes);
	if (likely(pointer))
		touch(pointer, bytes, step->value >> PROGRAM_BYTES_BITS);
	end_timing(worker, timing, REPLAY_MALLOC, bytes);
	give_block(worker, step, pointer, bytes);
}

static void do_free(struct worker *worker, const struct program_step *step)
{
	void *pointer = take_block(worker, step);

	if (unlikely(!pointer))
		return;
	account(worker, pointer, step->value, -1);
	struct timing timing = begin_timing(worker);
	free(pointer);
	end_timing(worker, timing, REPLAY_FREE, step->value);
}

static void do_reallocate(struct worker *worker, const struct program_step *step,
			  const struct program_step *old_step)
{
	uint64_t bytes = step->value & PROGRAM_BYTES_MASK;
	void *old = take_block(worker, old_step);

	if (old)
		account(worker, old, old_step->value, -1);
	struct timing timing = begin_timing(worker);
	void *pointer = realloc(old, bytes ? bytes : 1);
	if (likely(pointer))
		touch(pointer, bytes, step->value >> PROGRAM_BYTES_BITS);
	end_timing(worker, timing, REPLAY_REALLOC, bytes);
	if (unlikely(!pointer))
		free(old);
	give_block(worker, step, pointer, bytes);
}

static void ask_flip(uint64_t number)
{
	/* Pairs with the load in the thread that flips. */
	store_release(&run->asked_flips, (uint32_t)number + 1);
	child_futex_wake(&run->asked_flips);
}

INLINE void count_operation(struct worker *worker)
{
	worker->operations++;
	if (unlikely(--worker->until_sample == 0)) {
		worker->until_sample = run->sample_every;
		watch_sample();
	}
}

static void do_steps(struct worker *worker)
{
	for (;;) {
		const struct program_step *step = worker->at++;
		switch ((enum program_kind)(step->word & PROGRAM_KIND_MASK)) {
		case PROGRAM_ALLOCATE:
			count_operation(worker);
			do_allocate(worker, step);
			break;
		case PROGRAM_FREE:
			count_operation(worker);
			do_free(worker, step);
			break;
		case PROGRAM_REALLOCATE:
			count_operation(worker);
			do_reallocate(worker, step, worker->at++);
			break;
		case PROGRAM_FREE_NULL:
			count_operation(worker);
			free(NULL);
			break;
		case PROGRAM_JUMP:
			load_chunk(worker, step->value);
			break;
		case PROGRAM_TIME:
			wait_for_time(worker, step->value);
			break;
		case PROGRAM_WAIT:
			wait_for_token(worker);
			break;
		case PROGRAM_PASS:
			pass_token((uint32_t)step->value);
			break;
		case PROGRAM_PEAK:
			watch_peak();
			break;
		case PROGRAM_FLIP:
			ask_flip(step->value);
			break;
		case PROGRAM_END:
			return;
		case PROGRAM_OLD: /* never first */
		default:
			child_fail("the program has a step that is none", EINVAL);
		}
	}
}

void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct rusage before, after;
	struct timespec cpu;

	(void)getrusage(RUSAGE_THREAD, &before);
	worker->random = worker->thread;
	worker->until_sample = run->sample_every;
	worker->countdown =
		1 + (uint32_t)(random_number(&worker->random) % run->shared->time_every);
	load_chunk(worker, run->threads[worker->thread].first);
	do_steps(worker);
	(void)getrusage(RUSAGE_THREAD, &after);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	worker->faults += (uint64_t)(after.ru_minflt - before.ru_minflt);
	worker->major_faults += (uint64_t)(after.ru_majflt - before.ru_majflt);
	worker->switches += (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
	worker->cpu_ns += (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec;
	return NULL;
}

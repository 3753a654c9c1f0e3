/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/child.h - hakmem-replay: the process in which a program is replayed
 *
 * child.c    main: sets everything up, starts the threads in their order, adds the figures up
 * worker.c   a thread of the replay: the steps, and the waiting for other threads
 * watch.c    the sampler of memory and the thread that flips
 *
 * Nothing here calls an allocating function but to replay an operation. (pthread_create() does, once for each thread;
 * so does dlsym() may, before the base is taken.) All memory is shared memory, stacks too, so that private memory is
 * what the allocator, and libc, have taken.
 */
#ifndef REPLAY_CHILD_H
#define REPLAY_CHILD_H

#include "migrate/tool/replay/program.h"
#include "shim/base/atomic.h"
#include "shim/hakmem.h"

#include <time.h>

#define CHILD_STACK_BYTES (256 * KIB)

/* Pages in which a large table of blocks goes. */
#define CHILD_TABLE_PAGE  4096
#define CHILD_PAGE_BLOCKS (CHILD_TABLE_PAGE / sizeof(void *))

/* In the table of blocks: an allocation that gave nothing. */
#define CHILD_FAILED ((void *)1)

struct worker {
	/* [owner], read by others once it was joined or, the live figures, at any time */
	struct program_step *chunk;
	const struct program_step *at;
	uint32_t thread; /* of the program */
	uint32_t countdown;
	uint64_t until_sample; /* operations */
	uint64_t random;
	uint64_t operations, failed, waits, waited_ns, own_switches;
	uint64_t faults, major_faults, switches, cpu_ns;
	_Atomic int64_t live_bytes, live_blocks;
	_Atomic int64_t class_bytes[NEXT_CLASSES], class_blocks[NEXT_CLASSES];
	_Atomic int64_t owned_bytes[3][NEXT_CLASSES]; /* with flips only */
	/* [main] */
	struct worker *next_of_all, *next_unused;
	void *stack;
	unsigned shard;
} CACHE_ALIGN;

/* The one run of this process. */
struct run {
	struct replay_shared *shared;
	const struct program_header *header;
	const struct program_thread *threads;
	const uint32_t *ended;
	int program; /* its file */
	_Atomic(void *) *blocks;
	_Atomic uint16_t *gone; /* of each page of a large table, how many blocks have been given back; NULL: it stays */
	_Atomic uint32_t *tokens; /* of each thread, with a program in recorded order */
	struct worker *_Atomic workers;
	uint64_t begin_ns;
	uint64_t ns_per_tick_32; /* fixed point, 32 bits behind the point */
	bool has_flips;
	uint64_t sample_every; /* operations of a thread */
	_Atomic uint32_t near_flip;   /* 1: around a flip, every call is timed */
	_Atomic uint32_t asked_flips; /* how many were asked for, in their order */
	_Atomic uint32_t stop;

	/* Of the hakmem library, NULL without it. */
	enum hakmem_owner (*owner)(const void *address);
	int (*plan_set)(const char *text, char *error, size_t error_bytes);
	int (*read_stats)(struct hakmem_stats *stats, size_t bytes);
	size_t (*read_classes)(struct hakmem_class *classes, size_t class_bytes, size_t count);
};
extern struct run *run;

/* --- child.c */

/* Says in the shared page what went wrong and ends the process. */
_Noreturn void child_fail(const char *what, int reason);
/* Shared memory, zeroed; `now`: all of it is there at once, without faults later. */
MUST_USE void *child_map(size_t bytes, bool now);
uint64_t child_now_ns(void);

INLINE uint64_t child_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;
	__asm__ __volatile__("isb; mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return child_now_ns();
#endif
}

INLINE void child_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

void child_futex_wait(_Atomic uint32_t *word, uint32_t value);
void child_futex_wake(_Atomic uint32_t *word);

/* --- worker.c */

/* A thread of the replay; its argument is its struct worker. */
void *worker_main(void *argument);

/* --- watch.c */

/* Takes the base of private memory, and starts the sampler and, with flips, the thread that does them. */
void watch_begin(void);
/* A sample of memory that counts for the mean; any thread, every run->sample_every operations of its own. */
void watch_sample(void);
/* A sample for the peak of the trace; any thread. */
void watch_peak(void);
/* Ends both threads and fills in what they know. */
void watch_end(void);
/* Private memory of the process that the allocator has to answer for. */
uint64_t watch_rss_bytes(void);

#endif

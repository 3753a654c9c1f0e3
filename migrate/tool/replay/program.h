/* SPDX-License-Identifier: MIT */
/* migrate/tool/replay/program.h - what the command hands to hakmem-replay, and what it gets back
 *
 * A trace is compiled into a program: for each thread of the replay a row of steps. The file:
 *
 *       0   struct program_header, then a struct program_thread for each thread
 *   chunks  PROGRAM_CHUNK_BYTES each, of one thread; the last step of a chunk says which one is next
 *
 * A step is 16 bytes. Blocks have numbers, in the order of allocation; the child keeps a table with the pointer of each.
 * So the only thing that one thread ever waits for is a number in that table that another one has not filled in yet.
 *
 * The child has no memory of its own that an allocator could be blamed for: everything it uses is shared memory, and the
 * figures are of private memory alone.
 */
#ifndef REPLAY_PROGRAM_H
#define REPLAY_PROGRAM_H

#include "next/bin.h"
#include "shim/base/compiler.h"

#define PROGRAM_MAGIC	    UINT64_C(0x59414c5045524b48) /* "HKREPLAY" */
#define PROGRAM_CHUNK_BYTES (16 * KIB)
#define PROGRAM_CHUNK_STEPS (PROGRAM_CHUNK_BYTES / sizeof(struct program_step))
#define PROGRAM_THREADS_MAX 65536

enum program_kind {
	PROGRAM_END,	    /* the thread's last step */
	PROGRAM_JUMP,	    /* value: where the next chunk lies */
	PROGRAM_ALLOCATE,   /* block, bytes */
	PROGRAM_FREE,	    /* block, bytes: of the block given back */
	PROGRAM_REALLOCATE, /* block, bytes: of the new block; the step behind it is PROGRAM_OLD */
	PROGRAM_OLD,	    /* block, bytes: of the block given back */
	PROGRAM_FREE_NULL,
	PROGRAM_TIME, /* value: nanoseconds since the beginning, to wait for (--pace) */
	PROGRAM_WAIT, /* wait for a token (--order=recorded) */
	PROGRAM_PASS, /* value: the thread that gets one */
	PROGRAM_PEAK, /* here the most bytes live, in the trace */
	PROGRAM_FLIP, /* value: the number of the flip */
};

/* word: bits 0-3 kind, 4 zeroed, 5 the block given back may be another thread's, 6-11 log2 of the alignment or 0,
 * 12-63 the number of the block.
 * value: as above, or bits 0-47 bytes, 48-63 how many pages of the block are touched, PROGRAM_ALL_PAGES for all. */
struct program_step {
	uint64_t word, value;
};
_Static_assert(sizeof(struct program_step) == 16, "a step is 16 bytes");

#define PROGRAM_ZEROED	       (UINT64_C(1) << 4)
#define PROGRAM_OTHERS	       (UINT64_C(1) << 5)
#define PROGRAM_ALIGN_SHIFT    6
#define PROGRAM_ALIGN_MASK     63
#define PROGRAM_BLOCK_SHIFT    12
#define PROGRAM_KIND_MASK      15
#define PROGRAM_BYTES_BITS     48
#define PROGRAM_BYTES_MASK     ((UINT64_C(1) << PROGRAM_BYTES_BITS) - 1)
#define PROGRAM_ALL_PAGES      UINT64_C(0xffff)
#define PROGRAM_BLOCKS_LIMIT   (UINT64_C(1) << (64 - PROGRAM_BLOCK_SHIFT))

struct program_thread {
	uint64_t first;	       /* where its first chunk lies; 0: it does nothing */
	uint32_t starts_after; /* it starts when so many threads, of those in `ended`, have ended */
	uint32_t zero;
};

struct program_header {
	uint64_t magic;
	uint64_t blocks;     /* numbers of blocks that are used */
	uint64_t operations; /* calls of the allocator */
	uint64_t live_blocks, live_bytes; /* at the end */
	uint64_t peak_bytes, peak_blocks; /* when the most bytes live */
	uint64_t span_ns;		  /* first event to last */
	uint32_t threads;
	uint32_t ended; /* how many of them end before others start, in the order of their ends */
	uint64_t threads_at, ended_at; /* struct program_thread[threads]; uint32_t[ended] */
	/* What lives in each class, at the end and at the peak. */
	uint64_t end_blocks[NEXT_CLASSES], end_class_bytes[NEXT_CLASSES];
	uint64_t at_peak_blocks[NEXT_CLASSES], at_peak_class_bytes[NEXT_CLASSES];
};

/* --- what the child reports -------------------------------------------------------------------- */

enum replay_call {
	REPLAY_MALLOC, /* calloc and memalign as well */
	REPLAY_REALLOC,
	REPLAY_FREE,
	REPLAY_CALLS,
};

/* Times are counted in buckets: eight to a doubling, as next_class_of() has it. */
#define REPLAY_BUCKETS 256
INLINE unsigned replay_bucket(uint64_t ns)
{
	if (ns < 8)
		return (unsigned)ns;
	unsigned e = (unsigned)highest_bit(ns);
	unsigned bucket = (e - 2) * 8 + (unsigned)(ns >> (e - 3) & 7);
	return bucket < REPLAY_BUCKETS ? bucket : REPLAY_BUCKETS - 1;
}

/* The least time in a bucket. */
INLINE uint64_t replay_bucket_ns(unsigned bucket)
{
	if (bucket < 8)
		return bucket;
	unsigned e = bucket / 8 + 2;
	return (uint64_t)(8 + bucket % 8) << (e - 3);
}

struct replay_times {
	uint64_t count, ticks; /* how many were timed, and how long these took in all */
	uint32_t bucket[REPLAY_BUCKETS];
};

#define REPLAY_SHARDS  8
#define REPLAY_SAMPLES 512
#define REPLAY_FLIPS   16
#define REPLAY_TEXT    4352 /* of a plan */

struct replay_sample {
	uint64_t time_ns, rss_bytes, live_bytes;
	uint64_t owned_bytes[3]; /* of the live ones, by enum hakmem_owner; with flips only */
	uint64_t stranded_bytes; /* of the live ones, those in a pool that their class has left */
};

struct replay_flip {
	char plan[REPLAY_TEXT];
	char error[256];
	uint64_t asked_ns, done_ns; /* since the beginning; 0: it did not happen */
};

enum replay_stage {
	REPLAY_STAGE_NONE,     /* the child did not get as far as its main() */
	REPLAY_STAGE_STARTED,
	REPLAY_STAGE_RUNNING,  /* operations are being replayed */
	REPLAY_STAGE_FINISHED, /* everything below is filled in */
};

/* Shared by the command and the child. Written by the child but for the first group. */
struct replay_shared {
	/* What the command asks for. */
	uint64_t magic;
	uint32_t flips;
	uint32_t time_every;   /* one call in so many is timed, on average */
	uint32_t has_recorded_touches;
	struct replay_flip flip[REPLAY_FLIPS];

	uint32_t stage; /* enum replay_stage, atomic */
	char error[256];
	char serves_malloc[512]; /* the file that malloc() is in */
	char hakmem[32];	 /* hakmem_version(), or "" */

	uint64_t ticks_per_s;
	uint64_t tick_overhead; /* of one measurement, which is taken off */
	uint64_t operations, failed; /* allocations that gave nothing */
	uint64_t wall_ns, cpu_ns;
	uint32_t most_threads; /* at one time */
	uint64_t waits, waited_ns; /* for other threads' blocks, tokens or the recorded time */
	uint64_t faults, major_faults;
	uint64_t switches; /* voluntary, those of our own waits left out */
	uint64_t lock_waits, contended_trylocks; /* of legacy; 0 without it */
	uint64_t base_bytes; /* of the child itself, before its first operation: taken off all figures of rss */
	uint64_t peak_rss_bytes, end_rss_bytes;
	uint64_t mean_rss_bytes; /* over the operations, not over time: every side has the same moments */
	uint64_t rss_at_peak_bytes, live_at_peak_bytes, blocks_at_peak; /* at PROGRAM_PEAK */
	uint64_t mean_live_bytes; /* over the same moments as mean_rss_bytes */
	uint64_t live_bytes, live_blocks; /* at the end */
	uint64_t end_blocks[NEXT_CLASSES], end_class_bytes[NEXT_CLASSES];
	uint64_t at_peak_blocks[NEXT_CLASSES], at_peak_class_bytes[NEXT_CLASSES];
	uint64_t end_owned_bytes[3];
	uint64_t peak_overlap_bytes; /* the most that lived in the lesser of the two pools, see replay.c */
	uint32_t samples;
	struct replay_sample sample[REPLAY_SAMPLES];

	/* Atomic; added up by the command. */
	struct replay_times times[REPLAY_SHARDS][REPLAY_CALLS][NEXT_CLASSES];
	/* Within 10 ms of a flip. */
	struct replay_times near_flip[REPLAY_CALLS];
};

#endif

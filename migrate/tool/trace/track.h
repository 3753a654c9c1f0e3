/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/track.h - from recorded events to operations on numbered blocks
 *
 * An address names one block after the other; here each block has a number of its own, in the order of allocation. What
 * comes out makes sense whatever went in: a block is given back once and after it was allocated, times do not decrease,
 * threads are numbered from 0. What cannot be is left out, or put right, and counted:
 *
 *   a free, or a realloc, of an unknown address   left out (the realloc becomes an allocation): the block is older than
 *                                                 the trace, or the event of its allocation was lost
 *   an address that is handed out while it lives  its free was lost: it is supplied before the allocation
 *   an allocation that failed                     left out
 *
 * Memory used grows with the blocks that live at one time and with the number of threads, not with the trace.
 */
#ifndef TRACE_TRACK_H
#define TRACE_TRACK_H

#include "migrate/tool/trace/map.h"
#include "migrate/tool/trace/reader.h"

enum track_kind {
	TRACK_ALLOCATE,
	TRACK_REALLOCATE, /* gives `given_back` back and allocates `block` in one call */
	TRACK_FREE,	  /* gives `given_back` back */
	TRACK_FREE_NULL,
	TRACK_THREAD_END,
};

struct track_block {
	uint64_t number; /* from 0 */
	uint64_t bytes, alignment;
	uint64_t time_ns;   /* of its allocation */
	uint64_t operation; /* the number of the operation that allocated it */
	uint64_t owned_by;  /* for whoever keeps something with a block: compile.c a place in its file */
	uint32_t thread;
};

struct track_operation {
	enum track_kind kind;
	bool zeroed;	   /* calloc */
	bool supplied;	   /* the trace has no event for it */
	uint32_t thread;   /* from 0, in the order of their first events */
	uint64_t number;   /* of the operation, from 0 */
	uint64_t time_ns;  /* since the first event; counts operations where the trace has no times */
	uint64_t duration_ns, count;
	uint64_t address;  /* as the trace names the new block, or the one given back */
	uint64_t old_address;
	uint64_t present_bytes;	       /* of the block given back; TRACE_UNKNOWN */
	unsigned served;	       /* the pool and the layer, by record_served_names; 0: not known */
	struct track_block block;      /* of an allocation */
	struct track_block given_back; /* of a free */
	struct track_block *kept;      /* the new block, while it lives and until the next operation is read */
};

struct track_thread {
	uint64_t name; /* as the trace names it */
	uint64_t operations, first_ns, last_ns;
	bool ended; /* the trace says so */
	/* A realloc has begun: the block is out of `addresses`, and lives. */
	uint32_t moving; /* its slot, or MAP_NONE */
	uint64_t moving_address; /* 0: none has begun with the event before */
	uint64_t moving_present_bytes;
};

struct track_counts {
	uint64_t operations; /* that came out */
	uint64_t allocations, reallocations, frees, null_frees;
	uint64_t unknown_frees, lost_frees, failed; /* as above */
	uint64_t live_blocks, live_bytes;	    /* now */
};

struct track {
	struct trace_reader *reader;
	struct map addresses, threads_by_name;
	struct track_block *blocks; /* live ones, by the numbers in `addresses` */
	uint32_t *unused;	    /* of these, which are none */
	size_t blocks_room, unused_count, blocks_used;
	struct track_thread *threads;
	size_t thread_count, thread_room;
	struct track_counts counts;
	uint64_t first_ns, last_ns;
	bool has_first;
	struct trace_event pending; /* read, its turn comes after a free that was supplied */
	bool has_pending;
};

/* The reader stays the caller's. */
void track_open(struct track *track, struct trace_reader *reader);
void track_close(struct track *track);

MUST_USE enum trace_status track_next(struct track *track, struct track_operation *operation,
				      struct trace_error *error);

#endif

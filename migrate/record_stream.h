/* SPDX-License-Identifier: MIT */
/* migrate/record_stream.h - the streams of a recording: a ring of packets for each thread
 *
 *              tail            head
 *   ring  |  .  | k  | k+1 | ... | h  |  .  |  .  |      packet n lies in place n % packets
 *               closed, not      open: the thread
 *               written yet      appends here
 *
 * The thread appends without a lock and never waits: an event is there when content_bits covers it, a packet is
 * closed when head moves on. The writer (record_write.h) takes [tail, head) whole and copies what is there of the open
 * one. Where the ring is full the event is lost and counted, or, in a flight recorder, the oldest packet is.
 *
 * SYNCHRONIZATION
 *   head             [thread] release when a packet is opened; the writer acquires it and then owns the closed ones
 *   tail             [writer] release when packets are done with; the thread acquires it and then owns their places
 *   content_bits     [thread] release; the writer acquires it and then reads that much of the open packet
 *   generation       [thread] release when the stream is as a new one; which recording it is part of
 *   busy             [thread] around every event, the end a release; see record_write.c
 *   state            see below; release and acquire hand the whole stream over
 *   frozen, opening  a dump of a flight recorder and a thread that opens a packet, or begins a stream: each sets its own and then looks
 *                    at the other's (seq_cst), so either the thread sees the dump, and loses an event, or the dump
 *                    sees the thread, and waits the few instructions that it takes
 *
 *   FREE ---> OWNED ---> ENDED ---> CLOSING ---> FREE     memory is mapped once and never unmapped, so a thread
 *     claim()    thread's    writer        writer           that is late, after a stop, writes where nobody reads
 *                end
 *                            ENDED ---> OWNED               of an earlier recording, or a flight recorder's: claim()
 *
 * Whoever wants an ENDED stream, the writer or a thread, takes it by CAS, and so is alone with it.
 */
#ifndef MIGRATE_RECORD_STREAM_H
#define MIGRATE_RECORD_STREAM_H

#include "migrate/record_format.h"
#include "migrate/record_options.h"

#define RECORD_STREAMS_MAX 4096 /* at a time; what more threads do is lost, and counted */

/* Of one recording; constant while it is on. */
struct record_config {
	uint32_t generation; /* from 1; no other recording's */
	bool ring, raw, by_thread;
	uint64_t draw_below; /* of 2^32 */
	uint64_t log_of_rest; /* of the share that is not drawn, as draw_log() gives it; above 0 */
	uint64_t key[4];     /* of the ids; the first also seeds the draws */
	uint64_t zero_id;    /* what the network makes of 0 */
	unsigned char uuid[RECORD_UUID_BYTES];
	uint32_t packets; /* of a ring */
	size_t memory_bytes;
};

enum record_stream_state {
	RECORD_STREAM_FREE,
	RECORD_STREAM_OWNED,
	RECORD_STREAM_ENDED,
	RECORD_STREAM_CLOSING, /* the writer writes the last of it */
};

/* What the writer keeps about a stream's file. */
struct record_file {
	uint64_t packets;	    /* whole ones in it */
	uint64_t bytes;		    /* its length */
	bool made;		    /* it is there, perhaps empty */
	uint64_t lost;		    /* events that it has no room for */
	uint64_t told;		    /* losses that the file tells of */
	uint64_t open_bits;	    /* content of the open packet as it was written last; 0: not written */
	bool has_last;		    /* the head of its last whole packet is kept */
};

struct record_stream {
	_Atomic uint32_t state;
	_Atomic uint32_t generation;
	struct record_packet *ring; /* [const once made] */
	uint32_t packets;	    /* [const once made] */
	uint32_t tid;
	uint64_t number; /* of the thread, in this recording */

	CACHE_ALIGN uint32_t at; /* [thread] bytes used of the open packet; 0: none is open */
	uint64_t last_ns;	 /* [thread] time of the last event */
	uint32_t end_rounds;	 /* [thread] rounds of libc's destructors that have run */
	_Atomic uint64_t head;
	_Atomic uint64_t lost; /* [thread] */
	_Atomic bool opening;
	_Atomic bool busy; /* [thread] an event has its time and is not there yet */

	CACHE_ALIGN _Atomic uint64_t tail;
	struct record_file file; /* [writer] */
	unsigned char last_head[RECORD_HEAD_BYTES]; /* [writer] */
};

/* The recording that is on; 0: none. Set and cleared by record.c. */
extern HIDDEN _Atomic uint32_t record_active;
extern HIDDEN _Atomic bool record_frozen; /* a dump of a flight recorder is being made */
/* Losses of threads without a stream. */
extern HIDDEN _Atomic uint64_t record_lost_elsewhere;

/* Before a recording begins. */
void record_streams_start(const struct record_config *config);

/* The calling thread's next stream, in `*config`'s recording; `own` is the one it has of an earlier recording, or NULL.
 * NULL without memory. */
MUST_USE struct record_stream *record_stream_claim(const struct record_config *config,
						   struct record_stream *own, uint64_t number);

/* The thread has no more to say. */
void record_stream_end(struct record_stream *stream);

/* [thread] Appends one event: the payload's first `bytes` bytes. False if it is lost, which is counted. */
MUST_USE bool record_append(const struct record_config *config, struct record_stream *stream,
			    enum record_event event, unsigned served, const void *payload,
			    size_t bytes);

/* How many places of streams were ever taken. Whoever has appended an event has taken its place before. */
MUST_USE size_t record_stream_count(void);

/* The stream in place `i` of those; NULL while it is being made, or if there was no memory for it. */
MUST_USE struct record_stream *record_stream_at(size_t i);

/* In the child of a fork: `own` is this thread's, the others' threads are not here. */
void record_streams_fork_child(struct record_stream *own);

/* The writer sleeps until something is to be written, or its patience ends. */
void record_writer_wake(void);

#endif

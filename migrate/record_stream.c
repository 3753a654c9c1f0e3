/* SPDX-License-Identifier: MIT */
/* migrate/record_stream.c - the streams of a recording; see record_stream.h */
#include "migrate/record_stream.h"

#include "shim/base/os.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic uint32_t record_active;
_Atomic bool record_frozen;
_Atomic uint64_t record_lost_elsewhere;

static _Atomic(struct record_stream *) streams[RECORD_STREAMS_MAX];
static _Atomic uint32_t made;
static _Atomic size_t made_bytes;

/* --- claiming ------------------------------------------------------------------------------------- */

size_t record_stream_count(void)
{
	/* seq_cst: after the store to record_frozen, as the load of `opening`: either the dump sees the place, or its thread
	 * sees the dump. After the writer's barrier every place is seen whose thread has had the time for an event before. */
	return load_seq_cst(&made);
}

struct record_stream *record_stream_at(size_t i)
{
	/* acquire: pairs with the release in make_stream() */
	return load_acquire(&streams[i]);
}

/* The stream is the caller's, in state OWNED, and no writer looks at it: its generation is another. Its packets are numbered from
 * `first` on. */
static void begin(const struct record_config *config, struct record_stream *stream, uint64_t number,
		  uint64_t first)
{
	stream->number = number;
	stream->tid = (uint32_t)syscall(SYS_gettid);
	stream->at = 0;
	stream->last_ns = 0;
	memset(&stream->file, 0, sizeof(stream->file));
	store_relaxed(&stream->head, first);
	store_relaxed(&stream->tail, first);
	store_relaxed(&stream->lost, 0);
	store_relaxed(&stream->ring[first % stream->packets].content_bits, 0);
	/* release: pairs with the writer's acquire */
	store_release(&stream->generation, config->generation);
}

/* Rings of another size than this recording's stay, without memory behind them, and do not count. */
void record_streams_start(const struct record_config *config)
{
	uint32_t count = load_relaxed(&made);
	size_t bytes = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct record_stream *stream = record_stream_at(i);
		if (stream && stream->packets == config->packets)
			bytes += (size_t)stream->packets * RECORD_PACKET_BYTES;
	}
	store_relaxed(&made_bytes, bytes);
	store_relaxed(&record_lost_elsewhere, 0);
}

static struct record_stream *make_stream(const struct record_config *config)
{
	size_t ring_bytes = (size_t)config->packets * RECORD_PACKET_BYTES;
	uint32_t i = load_relaxed(&made);

	if (fetch_add_relaxed(&made_bytes, ring_bytes) + ring_bytes > config->memory_bytes)
		goto no_memory;
	do {
		if (i == RECORD_STREAMS_MAX)
			goto no_memory;
		/* seq_cst: pairs with record_stream_count() */
	} while (!cas_seq_cst(&made, &i, i + 1));
	/* The stream's own record and its ring, in one piece. */
	char *memory = os_map(NULL, RECORD_PACKET_BYTES + ring_bytes);
	if (!memory)
		goto no_memory; /* place i stays empty: one of thousands */
	struct record_stream *stream = (struct record_stream *)(void *)memory;
	stream->ring = (struct record_packet *)(void *)(memory + RECORD_PACKET_BYTES);
	stream->packets = config->packets;
	store_relaxed(&stream->state, RECORD_STREAM_OWNED);
	/* release: the stream is filled in; pairs with the acquire in record_stream_at() */
	store_release(&streams[i], stream);
	return stream;
no_memory:
	fetch_sub_relaxed(&made_bytes, ring_bytes);
	return NULL;
}

_Static_assert(sizeof(struct record_stream) <= RECORD_PACKET_BYTES, "it precedes its ring");

/* ENDED streams of this recording are still to be written; in a flight recorder nobody will, unless they are asked
 * for before somebody needs the memory. */
static bool may_take(const struct record_config *config, const struct record_stream *stream,
		     uint32_t state, bool ended_too)
{
	if (stream->packets != config->packets)
		return false;
	if (state == RECORD_STREAM_FREE)
		return true;
	return state == RECORD_STREAM_ENDED &&
	       (load_relaxed(&stream->generation) != config->generation ||
		(ended_too && config->ring));
}

static struct record_stream *take(const struct record_config *config, bool ended_too)
{
	uint32_t count = load_relaxed(&made);
	for (uint32_t i = 0; i < count; i++) {
		struct record_stream *stream = record_stream_at(i);
		/* acquire, both: pair with the release of whoever had it, and set its generation before */
		uint32_t state = stream ? load_acquire(&stream->state) : RECORD_STREAM_OWNED;
		if (!stream || !may_take(config, stream, state, ended_too) ||
		    !cas_acq_rel(&stream->state, &state, RECORD_STREAM_OWNED))
			continue;
		/* It may have been taken and ended once more in between, and be the writer's now. */
		if (may_take(config, stream, state, ended_too))
			return stream;
		record_stream_end(stream);
	}
	return NULL;
}

struct record_stream *record_stream_claim(const struct record_config *config,
					  struct record_stream *own, uint64_t number)
{
	struct record_stream *stream = own;
	uint64_t first = 0;
	if (own && own->packets != config->packets) {
		record_stream_end(own);
		stream = NULL;
	}
	if (!stream)
		stream = take(config, false);
	if (!stream)
		stream = make_stream(config);
	if (!stream) {
		stream = take(config, true);
		first = 1; /* what came before in this ring is missing, and so says a sequence that does not begin at 0 */
	}
	if (!stream)
		return NULL;
	/* As in next_packet(); where a dump is being made the stream stays as it was, for the dump to read. */
	store_seq_cst(&stream->opening, true);
	bool may = !load_seq_cst(&record_frozen);
	if (may)
		begin(config, stream, number, first);
	store_release(&stream->opening, false);
	if (may || stream == own)
		return stream;
	record_stream_end(stream);
	return NULL;
}

void record_stream_end(struct record_stream *stream)
{
	/* release: pairs with the writer's acquire, and with that in take() */
	store_release(&stream->state, RECORD_STREAM_ENDED);
}

void record_streams_fork_child(struct record_stream *own)
{
	uint32_t count = load_relaxed(&made);
	for (uint32_t i = 0; i < count; i++) {
		struct record_stream *stream = load_relaxed(&streams[i]);
		if (!stream)
			continue;
		/* What this thread has it keeps: the fork may have come from a handler that interrupted it here. */
		store_relaxed(&stream->state,
			      stream == own ? RECORD_STREAM_OWNED : RECORD_STREAM_FREE);
		if (stream != own)
			store_relaxed(&stream->generation, 0);
		if (stream != own)
			store_relaxed(&stream->busy, false);
	}
	store_relaxed(&record_frozen, false);
	store_relaxed(&record_lost_elsewhere, 0);
}

/* --- appending ------------------------------------------------------------------------------------ */

static void open_packet(const struct record_config *config, struct record_stream *stream,
			uint64_t sequence, uint64_t now_ns)
{
	struct record_packet *packet = &stream->ring[sequence % stream->packets];

	packet->magic = RECORD_MAGIC;
	memcpy(packet->uuid, config->uuid, sizeof(packet->uuid));
	packet->stream_id = 0;
	packet->stream = stream->number;
	packet->begin_ns = now_ns;
	store_relaxed(&packet->end_ns, now_ns);
	store_relaxed(&packet->content_bits, 0);
	packet->packet_bits = RECORD_PACKET_BYTES * 8;
	packet->sequence = sequence;
	packet->discarded = load_relaxed(&stream->lost);
	packet->tid = stream->tid;
	store_relaxed(&packet->events, 0);
	stream->at = RECORD_HEAD_BYTES;
	stream->last_ns = now_ns;
	/* release: the one before is closed, this one's head is filled in; pairs with the writer's acquire */
	store_release(&stream->head, sequence);
}

/* False if there is no room. */
static COLD bool next_packet(const struct record_config *config, struct record_stream *stream,
			     uint64_t now_ns)
{
	uint64_t next = load_relaxed(&stream->head) + (stream->at != 0);
	if (!config->ring) {
		/* acquire: pairs with the writer's release: it is done with the place */
		uint64_t waiting = next - load_acquire(&stream->tail);
		if (waiting >= stream->packets)
			return false;
		open_packet(config, stream, next, now_ns);
		if (waiting == stream->packets / 2)
			record_writer_wake();
		return true;
	}
	store_seq_cst(&stream->opening, true);
	bool may = !load_seq_cst(&record_frozen);
	if (may)
		open_packet(config, stream, next, now_ns);
	/* release: pairs with the dump's acquire */
	store_release(&stream->opening, false);
	return may;
}

bool record_append(const struct record_config *config, struct record_stream *stream,
		   enum record_event event, unsigned served, const void *payload, size_t bytes)
{
	store_relaxed(&stream->busy, true);
	/* The kernel's barrier does the rest; the compiler must not. */
	__asm__ __volatile__("" ::: "memory");
	uint64_t now_ns = os_now_ns();
	if (unlikely(stream->at == 0 ||
		     stream->at > RECORD_PACKET_BYTES - RECORD_EVENT_MAX_BYTES) &&
	    !next_packet(config, stream, now_ns)) {
		counter_add(&stream->lost, 1);
		/* release: as below */
		store_release(&stream->busy, false);
		return false;
	}
	struct record_packet *packet = &stream->ring[load_relaxed(&stream->head) % stream->packets];
	unsigned char *out = (unsigned char *)packet + stream->at;
	if (likely(now_ns - stream->last_ns < (uint64_t)1 << RECORD_TIME_BITS)) {
		uint32_t head = (uint32_t)event | (uint32_t)(now_ns << 8) >> 4 | served << 28;
		memcpy(out, &head, sizeof(head));
		out += sizeof(head);
	} else {
		out[0] = (unsigned char)(RECORD_EXTENDED | event << 4);
		memcpy(out + 1, &now_ns, sizeof(now_ns));
		out[9] = (unsigned char)served;
		out += 10;
	}
	memcpy(out, payload, bytes);
	stream->at = (uint32_t)(out + bytes - (unsigned char *)packet);
	stream->last_ns = now_ns;
	store_relaxed(&packet->end_ns, now_ns);
	counter_add(&packet->events, 1);
	/* release: the event is written; pairs with the writer's acquire */
	store_release(&packet->content_bits, (uint64_t)stream->at * 8);
	/* release: pairs with the acquire of who looks whether the stream is complete */
	store_release(&stream->busy, false);
	return true;
}

/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/ctf_write.c - writes our own binary format, docs/TRACE.md: what an import comes to
 *
 * No two events have one time: the order in which they came here is the order in which they are read again, by time
 * and over all streams. A packet of each thread is in memory; no file stays open.
 */
#include "migrate/tool/trace/ctf.h"

#include "migrate/record_metadata.h"
#include "migrate/tool/trace/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct out_stream {
	uint8_t *packet; /* NULL: the thread has ended */
	size_t at;	 /* 0: nothing in it */
	uint64_t packets, last_ns;
	uint32_t tid, events; /* in the packet */
};

struct ctf_writer {
	int folder;
	uint8_t uuid[RECORD_UUID_BYTES];
	struct map by_thread;
	struct out_stream *streams; /* number 0 is stream-1 */
	size_t count, room;
	uint64_t last_ns;
	bool has_last;
};

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, value >>= 8)
		at[i] = (uint8_t)value;
}

static bool write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;
	while (bytes > 0) {
		ssize_t done = write(fd, at, bytes);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		at += done;
		bytes -= (size_t)done;
	}
	return true;
}

static bool append(const struct ctf_writer *writer, const char *name, const void *data, size_t bytes,
		   struct trace_error *error)
{
	int fd = openat(writer->folder, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			0600);
	bool done = fd >= 0 && write_all(fd, data, bytes);
	if (!done)
		trace_error_set(error, "%s: %s", name, strerror(errno));
	if (fd >= 0 && close(fd) != 0 && done) {
		trace_error_set(error, "%s: %s", name, strerror(errno));
		done = false;
	}
	return done;
}

static bool write_metadata(struct ctf_writer *writer, const char *format, uint64_t process,
			   struct trace_error *error)
{
	const struct record_metadata metadata = {
		.uuid = writer->uuid,
		.process = process,
		.program = "",
		.addresses = "raw",
		.mode = "import",
		.by = "block",
		.share_millionths = 1000000,
		.classes = "all",
		.imported_from = format,
	};
	char text[RECORD_METADATA_BYTES];
	size_t length = record_metadata_text(&metadata, text);

	if (length == 0) {
		trace_error_set(error, "metadata: too long");
		return false;
	}
	return append(writer, "metadata", text, length, error);
}

struct ctf_writer *ctf_create(const char *path, const char *format, uint64_t process,
			      struct trace_error *error)
{
	struct ctf_writer *writer = calloc(1, sizeof(*writer));

	if (!writer || (mkdir(path, 0700) != 0 && errno != EEXIST)) {
		trace_error_set(error, "%s", strerror(errno));
		free(writer);
		return NULL;
	}
	writer->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (writer->folder < 0) {
		trace_error_set(error, "%s", strerror(errno));
	} else if (faccessat(writer->folder, "metadata", F_OK, 0) == 0) {
		trace_error_set(error, "holds a trace already");
	} else if (getrandom(writer->uuid, sizeof(writer->uuid), 0) !=
		   (ssize_t)sizeof(writer->uuid)) {
		trace_error_set(error, "no random numbers: %s", strerror(errno));
	} else {
		writer->uuid[6] = (uint8_t)((writer->uuid[6] & 15) | 0x40); /* RFC 4122, version 4 */
		writer->uuid[8] = (uint8_t)((writer->uuid[8] & 63) | 0x80);
		if (write_metadata(writer, format, process, error))
			return writer;
	}
	if (writer->folder >= 0)
		close(writer->folder);
	free(writer);
	return NULL;
}

/* --- streams ----------------------------------------------------------------------------------- */

static bool flush_packet(struct ctf_writer *writer, size_t number, uint64_t discarded,
			 struct trace_error *error)
{
	struct out_stream *stream = &writer->streams[number];
	uint8_t *packet = stream->packet;
	char name[32];

	if (stream->at == 0)
		return true;
	memset(packet + stream->at, 0, RECORD_PACKET_BYTES - stream->at);
	put(packet, RECORD_MAGIC, 4);
	memcpy(packet + CTF_AT_UUID, writer->uuid, sizeof(writer->uuid));
	put(packet + CTF_AT_STREAM_ID, 0, 4);
	put(packet + CTF_AT_INSTANCE, number + 1, 8);
	put(packet + CTF_AT_END, stream->last_ns, 8);
	put(packet + CTF_AT_CONTENT, stream->at * 8, 8);
	put(packet + CTF_AT_SIZE, RECORD_PACKET_BYTES * 8, 8);
	put(packet + CTF_AT_SEQUENCE, stream->packets++, 8);
	put(packet + CTF_AT_DISCARDED, discarded, 8);
	put(packet + CTF_AT_TID, stream->tid, 4);
	put(packet + CTF_AT_EVENTS, stream->events, 4);
	stream->at = 0;
	stream->events = 0;
	(void)snprintf(name, sizeof(name), "stream-%zu", number + 1);
	return append(writer, name, packet, RECORD_PACKET_BYTES, error);
}

static bool find_stream(struct ctf_writer *writer, uint64_t thread, size_t *number,
			struct trace_error *error)
{
	uint32_t found = map_find(&writer->by_thread, thread);

	if (found != MAP_NONE) {
		*number = found;
		return true;
	}
	if (writer->count == writer->room) {
		size_t room = writer->room ? writer->room * 2 : 16;
		struct out_stream *streams = realloc(writer->streams, room * sizeof(*streams));
		if (!streams) {
			trace_error_set(error, "%s", strerror(errno));
			return false;
		}
		writer->streams = streams;
		writer->room = room;
	}
	*number = writer->count;
	writer->streams[*number] = (struct out_stream){
		.packet = calloc(1, RECORD_PACKET_BYTES),
		.tid = (uint32_t)thread,
	};
	if (!writer->streams[*number].packet ||
	    !map_add(&writer->by_thread, thread, (uint32_t)*number)) {
		trace_error_set(error, "%s", strerror(ENOMEM));
		return false;
	}
	writer->count++;
	return true;
}

static bool put_event(struct ctf_writer *writer, size_t number, uint64_t time, enum record_event id,
		      const uint64_t field[4], struct trace_error *error)
{
	struct out_stream *stream = &writer->streams[number];
	size_t payload = 0;

	for (size_t i = 0; i < 4; i++)
		payload += ctf_fields[id][i];
	if (stream->at != 0 && stream->at + CTF_EXTENDED_BYTES + payload > RECORD_PACKET_BYTES &&
	    !flush_packet(writer, number, 0, error))
		return false;
	if (stream->at == 0) {
		stream->at = RECORD_HEAD_BYTES;
		stream->last_ns = time;
		put(stream->packet + CTF_AT_BEGIN, time, 8);
	}
	uint8_t *at = stream->packet + stream->at;
	if (time - stream->last_ns < UINT64_C(1) << RECORD_TIME_BITS) {
		put(at, (uint64_t)id | (time & ((1u << RECORD_TIME_BITS) - 1)) << 4, CTF_COMPACT_BYTES);
		at += CTF_COMPACT_BYTES;
	} else {
		at[0] = (uint8_t)(RECORD_EXTENDED | (unsigned)id << 4);
		put(at + 1, time, 8);
		at[9] = 0;
		at += CTF_EXTENDED_BYTES;
	}
	for (size_t i = 0; i < 4; i++) {
		put(at, field[i], ctf_fields[id][i]);
		at += ctf_fields[id][i];
	}
	stream->at = (size_t)(at - stream->packet);
	stream->last_ns = time;
	stream->events++;
	return true;
}

static enum record_event event_id(const struct trace_event *event, uint64_t field[4])
{
	bool known = event->present_bytes != TRACE_UNKNOWN;
	uint64_t each = event->count ? event->bytes / event->count : 0;

	switch (event->kind) {
	case TRACE_MALLOC:
		memcpy(field, (uint64_t[4]){ event->address, event->bytes }, 32);
		return event->bytes <= UINT16_MAX ? RECORD_MALLOC : RECORD_MALLOC_LARGE;
	case TRACE_CALLOC:
		memcpy(field, (uint64_t[4]){ event->address, event->count, each }, 32);
		return event->count <= UINT16_MAX && each <= UINT16_MAX ? RECORD_CALLOC :
									  RECORD_CALLOC_LARGE;
	case TRACE_MEMALIGN:
		memcpy(field, (uint64_t[4]){ event->address, event->alignment, event->bytes }, 32);
		return event->alignment <= UINT16_MAX && event->bytes <= UINT16_MAX ?
			       RECORD_ALIGNED :
			       RECORD_ALIGNED_LARGE;
	case TRACE_REALLOC:
		memcpy(field, (uint64_t[4]){ event->address, event->bytes }, 32);
		if (event->old_address == 0)
			return event->bytes <= UINT16_MAX ? RECORD_MALLOC : RECORD_MALLOC_LARGE;
		return event->bytes <= UINT16_MAX ? RECORD_REALLOC : RECORD_REALLOC_LARGE;
	case TRACE_REALLOC_BEGIN:
		memcpy(field, (uint64_t[4]){ event->old_address, event->present_bytes }, 32);
		return known ? RECORD_REALLOC_BEGIN_PRESENT : RECORD_REALLOC_BEGIN;
	case TRACE_FREE:
		memcpy(field, (uint64_t[4]){ event->address, event->present_bytes }, 32);
		return known ? RECORD_FREE_PRESENT : RECORD_FREE;
	case TRACE_THREAD_END:
		break;
	}
	memset(field, 0, 32);
	return RECORD_THREAD_END;
}

bool ctf_write(struct ctf_writer *writer, const struct trace_event *event,
	       struct trace_error *error)
{
	uint64_t field[4];
	size_t number;

	/* The other half of a realloc comes with it in formats that have only one line for it. */
	if (event->kind == TRACE_REALLOC && event->old_address != 0 &&
	    event->old_address != TRACE_UNKNOWN) {
		struct trace_event begin = *event;
		begin.kind = TRACE_REALLOC_BEGIN;
		if (!ctf_write(writer, &begin, error))
			return false;
	}
	uint64_t next = writer->has_last ? writer->last_ns + 1 : 0;
	uint64_t time = event->time_ns == TRACE_UNKNOWN || event->time_ns < next ? next :
										   event->time_ns;
	writer->last_ns = time;
	writer->has_last = true;
	if (!find_stream(writer, event->thread, &number, error))
		return false;
	enum record_event id = event_id(event, field);
	if (!put_event(writer, number, time, id, field, error))
		return false;
	if (event->kind != TRACE_THREAD_END)
		return true;
	bool done = flush_packet(writer, number, 0, error);
	free(writer->streams[number].packet);
	writer->streams[number].packet = NULL;
	map_remove(&writer->by_thread, event->thread);
	return done;
}

/* stream-0 has no events: it says until when all streams are whole, and what was lost before it came here. */
static bool write_ledger(struct ctf_writer *writer, uint64_t discarded, struct trace_error *error)
{
	uint8_t packet[RECORD_PACKET_BYTES] = { 0 };

	put(packet, RECORD_MAGIC, 4);
	memcpy(packet + CTF_AT_UUID, writer->uuid, sizeof(writer->uuid));
	put(packet + CTF_AT_BEGIN, writer->last_ns, 8);
	put(packet + CTF_AT_END, writer->last_ns, 8);
	put(packet + CTF_AT_CONTENT, RECORD_HEAD_BYTES * 8, 8);
	put(packet + CTF_AT_SIZE, RECORD_PACKET_BYTES * 8, 8);
	put(packet + CTF_AT_DISCARDED, discarded, 8);
	return append(writer, "stream-0", packet, sizeof(packet), error);
}

bool ctf_finish(struct ctf_writer *writer, uint64_t discarded, struct trace_error *error)
{
	bool done = true;

	for (size_t i = 0; i < writer->count; i++) {
		if (writer->streams[i].packet && done)
			done = flush_packet(writer, i, 0, error);
		free(writer->streams[i].packet);
	}
	if (done)
		done = write_ledger(writer, discarded, error);
	free(writer->streams);
	map_free(&writer->by_thread);
	close(writer->folder);
	free(writer);
	return done;
}

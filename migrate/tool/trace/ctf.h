/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/ctf.h - our own binary format, docs/TRACE.md: what reading and writing share
 *
 * Read and written byte by byte: what comes from a file need not be aligned, nor true. */
#ifndef TRACE_CTF_H
#define TRACE_CTF_H

#include "migrate/record_format.h"
#include "migrate/tool/trace/reader.h"

#define CTF_COMPACT_BYTES  4
#define CTF_EXTENDED_BYTES 10

/* Where the fields of a packet's header stand. */
#define CTF_AT_UUID	 offsetof(struct record_packet, uuid)
#define CTF_AT_STREAM_ID offsetof(struct record_packet, stream_id)
#define CTF_AT_INSTANCE	 offsetof(struct record_packet, stream)
#define CTF_AT_BEGIN	 offsetof(struct record_packet, begin_ns)
#define CTF_AT_END	 offsetof(struct record_packet, end_ns)
#define CTF_AT_CONTENT	 offsetof(struct record_packet, content_bits)
#define CTF_AT_SIZE	 offsetof(struct record_packet, packet_bits)
#define CTF_AT_SEQUENCE	 offsetof(struct record_packet, sequence)
#define CTF_AT_DISCARDED offsetof(struct record_packet, discarded)
#define CTF_AT_TID	 offsetof(struct record_packet, tid)
#define CTF_AT_EVENTS	 offsetof(struct record_packet, events)

/* The bytes of the fields of each event, in their order, 0 behind the last. */
extern const uint8_t ctf_fields[RECORD_EVENTS][4];

/* Opens a folder that holds one trace of ours, itself or somewhere below it; `found` (PATH_MAX bytes) is where. NULL
 * with `*foreign` true: it is CTF, and not ours. */
MUST_USE struct trace_reader *ctf_open(const char *path, char *found, bool *foreign,
				       struct trace_error *error);

/* One stream's bytes, for tests. */
MUST_USE struct trace_reader *ctf_open_memory(const void *data, size_t bytes,
					      struct trace_error *error);

/* --- writing ----------------------------------------------------------------------------------- */

struct ctf_writer;

/* Makes the folder, which is not there yet or is empty, and in it the metadata. `format` is what the events come
 * from. */
MUST_USE struct ctf_writer *ctf_create(const char *path, const char *format, uint64_t process,
				       struct trace_error *error);
MUST_USE bool ctf_write(struct ctf_writer *writer, const struct trace_event *event,
			struct trace_error *error);

/* Writes what is left and frees the writer, also after an error. `discarded`: events that were lost before they came
 * here. */
MUST_USE bool ctf_finish(struct ctf_writer *writer, uint64_t discarded, struct trace_error *error);

#endif

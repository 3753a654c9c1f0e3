/* SPDX-License-Identifier: MIT */
/* migrate/tool/trace/ctf.h - our own binary format, docs/TRACE.md: numbers that reading and writing share */
#ifndef TRACE_CTF_H
#define TRACE_CTF_H

#include "migrate/tool/trace/reader.h"

#define CTF_MAGIC	   0xC1FC1FC1
#define CTF_PACKET_BYTES   4096
#define CTF_HEADER_BYTES   88
#define CTF_COMPACT_BYTES  4
#define CTF_EXTENDED_BYTES 10
#define CTF_TIME_BITS	   24
#define CTF_VERSION	   1

/* Where the fields of a packet's header stand. */
#define CTF_AT_UUID	  4
#define CTF_AT_STREAM_ID  20
#define CTF_AT_INSTANCE	  24
#define CTF_AT_BEGIN	  32
#define CTF_AT_END	  40
#define CTF_AT_CONTENT	  48
#define CTF_AT_SIZE	  56
#define CTF_AT_SEQUENCE	  64
#define CTF_AT_DISCARDED  72
#define CTF_AT_TID	  80
#define CTF_AT_EVENTS	  84

enum ctf_id {
	CTF_FREE,
	CTF_MALLOC,
	CTF_MALLOC_LARGE,
	CTF_CALLOC,
	CTF_CALLOC_LARGE,
	CTF_ALIGNED,
	CTF_ALIGNED_LARGE,
	CTF_REALLOC_BEGIN,
	CTF_REALLOC,
	CTF_REALLOC_LARGE,
	CTF_THREAD_END,
	/* Only in what was imported. */
	CTF_FREE_PRESENT,
	CTF_REALLOC_BEGIN_PRESENT,
	CTF_IDS,
	CTF_EXTENDED = 15,
};

/* The bytes of the fields of each event, in their order, 0 behind the last. */
extern const uint8_t ctf_fields[CTF_IDS][4];

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

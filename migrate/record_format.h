/* SPDX-License-Identifier: MIT */
/* migrate/record_format.h - a recording's packets and events, as docs/TRACE.md has them */
#ifndef MIGRATE_RECORD_FORMAT_H
#define MIGRATE_RECORD_FORMAT_H

#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

#define RECORD_MAGIC	    0xc1fc1fc1u
#define RECORD_UUID_BYTES   16
#define RECORD_PACKET_BYTES 4096
#define RECORD_HEAD_BYTES   88
#define RECORD_VERSION	    2 /* of the layout: env.trace_version */

enum record_event {
	RECORD_FREE,
	RECORD_MALLOC,
	RECORD_MALLOC_LARGE,
	RECORD_CALLOC,
	RECORD_CALLOC_LARGE,
	RECORD_ALIGNED,
	RECORD_ALIGNED_LARGE,
	RECORD_REALLOC_BEGIN,
	RECORD_REALLOC,
	RECORD_REALLOC_LARGE,
	RECORD_THREAD_END,
	/* Only in what the tool has imported. */
	RECORD_FREE_PRESENT,
	RECORD_REALLOC_BEGIN_PRESENT,
	RECORD_EVENTS,
	RECORD_EXTENDED = 15,
};

/* Header and payload of the longest event: an extended header and a calloc. A packet with less room is full. */
#define RECORD_EVENT_MAX_BYTES 32

#define RECORD_TIME_BITS 24

/* One page, as it lies in the file. The thread writes it; the writer reads what content_bits covers. */
struct record_packet {
	uint32_t magic;
	uint8_t uuid[RECORD_UUID_BYTES];
	uint32_t stream_id;
	uint64_t stream;
	uint64_t begin_ns;
	_Atomic uint64_t end_ns;
	_Atomic uint64_t content_bits;
	uint64_t packet_bits;
	uint64_t sequence;
	uint64_t discarded;
	uint32_t tid;
	_Atomic uint32_t events;
	unsigned char event[RECORD_PACKET_BYTES - RECORD_HEAD_BYTES];
};

_Static_assert(offsetof(struct record_packet, event) == RECORD_HEAD_BYTES, "as docs/TRACE.md says");
_Static_assert(sizeof(struct record_packet) == RECORD_PACKET_BYTES, "a packet is a page");

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/record_metadata.c - the text that describes a trace of ours; see record_metadata.h */
#include "migrate/record_metadata.h"

#include "migrate/record_format.h"

#include <stdarg.h>
#include <stdio.h>

static const char types[] =
	"/* CTF 1.8 */\n"
	"typealias integer { size = 4; align = 1; signed = false; } := u4;\n"
	"typealias integer { size = 8; align = 8; signed = false; } := u8;\n"
	"typealias integer { size = 16; align = 8; signed = false; } := u16;\n"
	"typealias integer { size = 32; align = 8; signed = false; } := u32;\n"
	"typealias integer { size = 48; align = 8; signed = false; base = 16; } := id48;\n"
	"typealias integer { size = 64; align = 8; signed = false; } := u64;\n";

static const char layout[] =
	"typealias integer { size = 24; align = 1; signed = false; map = clock.monotonic.value; } := time24;\n"
	"typealias integer { size = 64; align = 8; signed = false; map = clock.monotonic.value; } := time64;\n"
	"typealias integer { size = 64; align = 1; signed = false; map = clock.monotonic.value; } := packed_time64;\n"
	"stream {\n"
	"	id = 0;\n"
	"	packet.context := struct {\n"
	"		time64 timestamp_begin;\n"
	"		time64 timestamp_end;\n"
	"		u64 content_size;\n"
	"		u64 packet_size;\n"
	"		u64 packet_seq_num;\n"
	"		u64 events_discarded;\n"
	"		u32 tid;\n"
	"		u32 events;\n"
	"	};\n"
	"	event.header := struct {\n"
	"		enum : u4 { compact = 0 ... 14, extended = 15 } id;\n"
	"		variant <id> {\n"
	"			struct {\n"
	"				time24 timestamp;\n"
	"			} compact;\n"
	"			struct {\n"
	"				u4 id;\n"
	"				packed_time64 timestamp;\n"
	"			} extended;\n"
	"		} v;\n"
	"	} align(8);\n"
	"	event.context := struct {\n"
	"		enum : u4 {";

/* By enum shim_served. */
const char *const record_served_names[RECORD_SERVED] = {
	"unknown",	"system",	   "next_hand",	      "next_refill",
	"next_span",	"next_huge",	   "legacy_fresh",    "legacy_ring",
	"legacy_lifo",	"legacy_active_a", "legacy_active_b", "legacy_transfer",
	"legacy_shard", "legacy_remote",   "legacy",	      "next",
};

/* By enum record_event. */
static const struct {
	const char *name, *fields;
} events[] = {
	[RECORD_FREE] = { "free", "id48 address;" },
	[RECORD_MALLOC] = { "malloc", "id48 address; u16 size;" },
	[RECORD_MALLOC_LARGE] = { "malloc", "id48 address; u64 size;" },
	[RECORD_CALLOC] = { "calloc", "id48 address; u16 count; u16 size;" },
	[RECORD_CALLOC_LARGE] = { "calloc", "id48 address; u64 count; u64 size;" },
	[RECORD_ALIGNED] = { "aligned_alloc", "id48 address; u16 alignment; u16 size;" },
	[RECORD_ALIGNED_LARGE] = { "aligned_alloc", "id48 address; u64 alignment; u64 size;" },
	[RECORD_REALLOC_BEGIN] = { "realloc_begin", "id48 old;" },
	[RECORD_REALLOC] = { "realloc", "id48 address; u16 size;" },
	[RECORD_REALLOC_LARGE] = { "realloc", "id48 address; u64 size;" },
	[RECORD_THREAD_END] = { "thread_end", "u8 reserved;" },
	[RECORD_FREE_PRESENT] = { "free", "id48 address; u64 present;" },
	[RECORD_REALLOC_BEGIN_PRESENT] = { "realloc_begin", "id48 old; u64 present;" },
};

static void print_uuid(const unsigned char *uuid, char out[37])
{
	size_t length = 0;
	for (size_t i = 0; i < RECORD_UUID_BYTES; i++)
		length += (size_t)snprintf(out + length, 37 - length, "%s%02x",
					   i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					   uuid[i]);
}

__attribute__((format(printf, 3, 4))) static void print(char *text, size_t *length,
							const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int count = vsnprintf(text + *length, RECORD_METADATA_BYTES - *length, format, arguments);
	va_end(arguments);
	if (count > 0)
		*length += (size_t)count;
}

static void print_env(const struct record_metadata *metadata, char *text, size_t *length)
{
	print(text, length,
	      "env {\n\ttracer_name = \"hakmem\";\n\ttracer_version = \"%s\";\n"
	      "\ttrace_version = %d;\n\tvpid = %llu;\n\tprocname = \"%s\";\n\taddresses = \"%s\";\n"
	      "\tmode = \"%s\";\n\tby = \"%s\";\n\tshare_millionths = %u;\n\tclasses = \"%s\";\n",
	      PACKAGE_VERSION, RECORD_VERSION, (unsigned long long)metadata->process,
	      metadata->program, metadata->addresses, metadata->mode, metadata->by,
	      metadata->share_millionths, metadata->classes);
	if (metadata->imported_from)
		print(text, length, "\timported_from = \"%s\";\n", metadata->imported_from);
	print(text, length, "};\n");
}

size_t record_metadata_text(const struct record_metadata *metadata, char text[RECORD_METADATA_BYTES])
{
	size_t count = metadata->imported_from ? sizeof(events) / sizeof(events[0]) :
						 RECORD_THREAD_END + 1;
	char uuid[37];
	size_t length = 0;

	print_uuid(metadata->uuid, uuid);
	print(text, &length, "%s", types);
	print(text, &length,
	      "trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"%s\";\n\tbyte_order = le;\n"
	      "\tpacket.header := struct {\n\t\tu32 magic;\n\t\tu8 uuid[16];\n\t\tu32 stream_id;\n"
	      "\t\tu64 stream_instance_id;\n\t};\n};\n",
	      uuid);
	print_env(metadata, text, &length);
	print(text, &length,
	      "clock {\n\tname = monotonic;\n\tfreq = 1000000000;\n\toffset_s = %llu;\n"
	      "\toffset = %llu;\n};\n",
	      (unsigned long long)(metadata->offset_ns / 1000000000),
	      (unsigned long long)(metadata->offset_ns % 1000000000));
	print(text, &length, "%s", layout);
	for (unsigned i = 0; i < RECORD_SERVED; i++)
		print(text, &length, "%s%s%s = %u", i > 0 ? "," : "", i % 4 == 0 ? "\n\t\t\t" : " ",
		      record_served_names[i], i);
	print(text, &length, "\n\t\t} served;\n\t};\n};\n");
	for (size_t i = 0; i < count; i++)
		print(text, &length,
		      "event { name = \"%s\"; id = %zu; stream_id = 0; fields := struct { %s }; };\n",
		      events[i].name, i, events[i].fields);
	return length < RECORD_METADATA_BYTES ? length : 0;
}

/* SPDX-License-Identifier: MIT */
/* migrate/record_metadata.h - the text that describes a trace of ours, docs/TRACE.md: recorded, or imported by the tool */
#ifndef MIGRATE_RECORD_METADATA_H
#define MIGRATE_RECORD_METADATA_H

#include "shim/base/compiler.h"

/* The pools and layers that serve a block, as events tell them. */
#define RECORD_SERVED 16
extern const char *const record_served_names[RECORD_SERVED];

/* Texts hold nothing that TSDL would take amiss: no quotes, no backslashes, no control characters. */
struct record_metadata {
	const unsigned char *uuid; /* RECORD_UUID_BYTES */
	uint64_t process;
	const char *program, *addresses, *mode, *by, *classes;
	const char *imported_from; /* NULL: recorded by the library itself */
	uint32_t share_millionths;
	uint64_t offset_ns; /* of the clock, to 1970 */
};

/* Writes the whole text, without a NUL. Its length; 0 if it does not fit. */
#define RECORD_METADATA_BYTES 8192
MUST_USE size_t record_metadata_text(const struct record_metadata *metadata,
				     char text[RECORD_METADATA_BYTES]);

#endif

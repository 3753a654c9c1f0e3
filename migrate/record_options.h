/* SPDX-License-Identifier: MIT */
/* migrate/record_options.h - what is recorded and how much room it may take, as text
 *
 * Words between blanks, in any order:
 *
 *     share=PERCENT%     of the blocks, or threads; default 100 %
 *     by=block|thread    what the share is of
 *     classes=CLASSES    only mallocs of these, named as in plans: "2k-8k,mid"; default all
 *     buffer=SIZE        in memory, for each thread; 16k to 1g, default 1m
 *     memory=SIZE        of all buffers together, default 64m
 *     disk=SIZE          of all files together, default 4g
 *     ring               nothing is written but when it is asked for: the newest events of each thread's buffer
 *     raw                addresses as they are
 *
 * Also the command reads it. Nothing here allocates.
 */
#ifndef MIGRATE_RECORD_OPTIONS_H
#define MIGRATE_RECORD_OPTIONS_H

#include "next/bin.h"
#include "shim/base/compiler.h"

#define RECORD_OPTIONS_BYTES 1024 /* of the text, with its NUL */
#define RECORD_ERROR_BYTES   256
#define RECORD_SHARE_WHOLE   1000000u /* millionths */

struct record_options {
	uint32_t share_millionths;
	bool by_thread, ring, raw;
	bool class[NEXT_CLASSES];
	size_t buffer_bytes, memory_bytes; /* buffer: a multiple of a packet */
	uint64_t disk_bytes;
	char classes[256]; /* as they were named; "all" */
};

/* False: `error` says why, in one line. */
MUST_USE bool record_options_parse(struct record_options *options, const char *text,
				   char error[RECORD_ERROR_BYTES]);

#endif

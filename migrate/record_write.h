/* SPDX-License-Identifier: MIT */
/* migrate/record_write.h - the writer of a recording: its thread, folder and files
 *
 * The one that makes system calls, so no malloc of the program ever waits for a disk, and no descriptor of ours lies in
 * the program's table, where it could be closed and its number be the program's next file.
 *
 * Nothing is mapped: a file that somebody cuts, or a disk that fills up under a mapping, would kill the program. The
 * writer wakes when a ring is half full, and else every 10 ms while there are events, so this much is missing when
 * the process is killed. A packet is one page of the file, which the kernel takes whole or not at all.
 */
#ifndef MIGRATE_RECORD_WRITE_H
#define MIGRATE_RECORD_WRITE_H

#include "migrate/record.h"
#include "migrate/record_stream.h"

enum record_request {
	RECORD_NO_REQUEST,
	RECORD_WRITE_DUMP,
	RECORD_WRITE_END, /* what is left, and the thread ends */
};

/* Starts the thread and waits until its folder is there. The arguments are kept, not copied. False: `error` has a line. */
MUST_USE bool record_writer_start(const struct record_config *config,
				  const struct record_options *options, const char *directory,
				  char error[RECORD_ERROR_BYTES]);

/* Asks for one thing; patience_ms < 0: waits until it is done, else at most so long. True if it is done. */
MUST_USE bool record_writer_ask(enum record_request request, int patience_ms);

/* The line of what went wrong, "" for nothing. */
const char *record_writer_error(void);

/* What is in the files, since the recording began or of the last dump. */
void record_writer_status(struct record_status *status);

void record_writer_fork_child(void);

#endif

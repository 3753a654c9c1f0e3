/* SPDX-License-Identifier: MIT */
/* migrate/record.h - recording what the program allocates and frees; docs/TRACE.md is the format
 *
 * One recording at a time in a process: off -> starting -> on -> stopping -> off. Starting and stopping wait for the
 * writer, the thread that has the files; nothing else does.
 */
#ifndef MIGRATE_RECORD_H
#define MIGRATE_RECORD_H

#include "migrate/record_options.h"

struct record_status {
	uint32_t on; /* 1: a recording is on */
	uint32_t ring;
	uint64_t events, bytes; /* in files, so far */
	uint64_t lost;
	uint64_t streams;
	char folder[512]; /* of this recording, or the last one; "" if there was none */
};

/* Takes HAKMEM_RECORD and HAKMEM_RECORD_OPTIONS: at the start, because a program may change its environment. */
void record_read_settings(void);

/* Starts what the settings ask for, unless this is the hakmem command. Out of the constructor. */
void record_start_by_settings(void);

/* Starts a recording into a folder of its own below `directory`; returns when every malloc that starts is seen.
 * options NULL: as "". 0, or an errno and a line in `error`. Any ordinary place of any thread. */
MUST_USE int record_start(const char *directory, const char *options,
			  char error[RECORD_ERROR_BYTES]);

/* Stops it; returns when the files are whole. False if none was on. */
MUST_USE bool record_stop(struct record_status *status);

/* Writes what a flight recorder holds into a folder of its own; returns when the files are whole. */
MUST_USE int record_dump(struct record_status *status, char error[RECORD_ERROR_BYTES]);

/* The same without waiting for it, and nothing if there is none; for who rolls back. Any thread, under no lock. */
void record_dump_soon(void);

void record_read_status(struct record_status *status);

/* In the child of a fork: no recording is on. True if it should start its own, by record_start_again(), when a thread can
 * be made. */
MUST_USE bool record_fork_child(void);
void record_start_again(void);

/* The end of the process: as record_stop(), without waiting for ever. */
void record_at_exit(void);

#endif

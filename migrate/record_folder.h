/* SPDX-License-Identifier: MIT */
/* migrate/record_folder.h - the folder of a recording and its metadata
 *
 * DIR is made if it is not there; in it a folder for this process is made that was not there before. No symbolic link
 * is followed for DIR's last name, nor for anything in it; what is made is the user's alone.
 */
#ifndef MIGRATE_RECORD_FOLDER_H
#define MIGRATE_RECORD_FOLDER_H

#include "migrate/record_options.h"
#include "migrate/record_stream.h"

/* A descriptor of the new folder, whose path is written to `path`, with the metadata in it; -1, and `error` has a line. */
MUST_USE int record_folder_make(const struct record_config *config,
				const struct record_options *options, const char *directory,
				char *path, size_t path_bytes, char error[RECORD_ERROR_BYTES]);

/* DIR alone, so that a flight recorder finds out in time that there is none. */
MUST_USE bool record_folder_check(const char *directory, char error[RECORD_ERROR_BYTES]);

#endif

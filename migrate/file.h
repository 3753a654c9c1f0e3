/* SPDX-License-Identifier: MIT */
/* migrate/file.h - the plan file: HAKMEM_PLAN_FILE, read when it changes
 *
 * The path may lead over symbolic links, as a Kubernetes ConfigMap's does (plan -> ..data/plan, ..data -> a folder
 * that is replaced as a whole). That is safe because nothing is taken from the path: what counts is the file at its
 * end, asked by its descriptor, and that must be a regular file of root's or of the effective user's that nobody else
 * may write. Whoever turns a link can only lead to another file that those two wrote, and none of its text is shown.
 *
 * A file that is not there, not right or not a plan changes nothing: the last good one stays. One that is being written
 * is taken when its writer closes it or has been quiet for a second.
 */
#ifndef MIGRATE_FILE_H
#define MIGRATE_FILE_H

#include "shim/base/compiler.h"

#include <stddef.h>

struct inotify_event;

/* Remembers the path of the plan file, made absolute; false if it is too long. Once, at the start. */
MUST_USE bool file_name(const char *path);
/* "" if there is none. */
const char *file_path(void);

/* Reads the file and makes it the plan of its source. What is wrong is reported, once. One thread at a time. */
void file_load(void);

/* [waiting thread] Looks at the path and sets or moves the watches, then loads. */
void file_watch(int inotify);
/* [waiting thread] True if the event is one of these watches', and dealt with. */
MUST_USE bool file_event(int inotify, const struct inotify_event *event);
/* [waiting thread] Milliseconds until file_tick() is due; -1: never. */
MUST_USE int file_patience_ms(void);
void file_tick(int inotify);

#endif

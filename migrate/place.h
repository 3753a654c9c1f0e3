/* SPDX-License-Identifier: MIT */
/* migrate/place.h - where the control pages of a user lie, and what such a folder has to be like
 *
 * In this order, the first that can be had:
 *
 *     $XDG_RUNTIME_DIR/hakmem    where that is the user's own and nobody else may write in it
 *     /run/user/UID/hakmem       the same without the variable
 *     /tmp/hakmem-UID
 *
 * The folder belongs to the user, is no symbolic link and lets nobody else in (0700), the files in it are 0600. Whoever
 * makes /tmp/hakmem-UID before its user does gets no page: there is then no control, and a line says so.
 */
#ifndef MIGRATE_PLACE_H
#define MIGRATE_PLACE_H

#include "shim/base/compiler.h"

#include <sys/types.h>

#define PLACES	    3
#define PLACE_BYTES 512 /* of a folder's path, and of a page's */

/* The path of place `number`; false if it does not apply: no such variable, or a path that is too long. `xdg` is what
 * the variable says, NULL or "" for nothing. `uid` is the user's as the process sees it. */
MUST_USE bool place_path(unsigned number, const char *xdg, uid_t uid, char out[PLACE_BYTES]);

/* Makes the folder if it is not there, opens and checks it: a descriptor (O_CLOEXEC), or -1 with *why. */
MUST_USE int place_make(unsigned number, const char *xdg, uid_t uid, const char **why);

/* The open folder is `uid`'s alone. NULL, or what is wrong. */
MUST_USE const char *place_check_folder(int fd, uid_t uid);

/* The name of a process's page: "PID-START", with attempt > 0 "PID-START.ATTEMPT". */
#define PLACE_NAME_BYTES 64
void place_name(char out[PLACE_NAME_BYTES], uint64_t pid, uint64_t start_ticks, unsigned attempt);

/* The open file is a regular one, `uid`'s, 0600, with one name. NULL, or what is wrong. */
MUST_USE const char *place_check_file(int fd, uid_t uid);

/* Locks of the page, see page.h: takes the one byte for the open file; false if somebody has it. */
MUST_USE bool place_lock(int fd, unsigned byte);
void place_unlock(int fd, unsigned byte);
/* True if another open file has it. */
MUST_USE bool place_is_locked(int fd, unsigned byte);

#endif

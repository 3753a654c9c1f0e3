/* SPDX-License-Identifier: MIT */
/* migrate/attend.h - the process's side of the control page: making it, serving requests in it, removing it */
#ifndef MIGRATE_ATTEND_H
#define MIGRATE_ATTEND_H

#include "shim/base/compiler.h"

/* Where the user's pages may lie, beside the usual places: XDG_RUNTIME_DIR. At the start. */
void attend_set_runtime_directory(const char *xdg);

/* [waiting thread] Makes the page. 0, or an errno with *why. */
MUST_USE int attend_open(const char **why);

/* [waiting thread] Watches it; -1 if that cannot be. */
MUST_USE int attend_watch(int inotify);

/* [waiting thread] Serves the request in the page, if there is a new one; mends the page where it is damaged. False if
 * the page was removed: then it has to be made again. */
MUST_USE bool attend_serve(void);

/* Removes the page if this process made it, for good. Any thread, at the end of the process. */
void attend_remove(void);

/* In the child of a fork: the page is the parent's. */
void attend_fork_child(void);

#endif

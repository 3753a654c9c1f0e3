/* SPDX-License-Identifier: MIT */
/* migrate/control.h - the waiting thread: it serves the control page and watches the plan file
 *
 * There is none unless somebody asked for it (HAKMEM_CONTROL=1, HAKMEM_PLAN_FILE, hakmem_control_start(), or a guard that
 * has to be looked after). It sleeps in
 * poll() on an inotify descriptor, so a request is served as soon as it is written and an idle process stays idle.
 *
 * It begins by giving itself a descriptor table of its own and closing everything in it. So a program that closes all
 * descriptors, or hands them to others, does not meet ours, its own pipes and sockets end when it closes them, and
 * its select() sees no number taken. All signals are blocked in it; it never allocates from the pools.
 *
 * When it starts
 *   in a program     out of the library's constructor, the first moment at which a thread may be made: in the
 *                    first malloc, where the plan is read, making one would allocate in the middle of
 *                    the start
 *   in a child       not in the fork's handler: a thread needs memory, and a handler may have forked over a malloc
 *                    in the middle of its work. Nor in most children at all, since they exec at once. The first
 *                    malloc through the slow path of a child that has lived for CHILD_AGE_NS starts it
 *   after exec       anew, if the new program has the library
 */
#ifndef MIGRATE_CONTROL_H
#define MIGRATE_CONTROL_H

#include "shim/base/compiler.h"

/* What the environment says: taken once, at the start, because a program may change its environment at any time. */
void control_read_settings(void);

/* Starts the thread if the settings ask for it. Once, out of the constructor. */
void control_start_by_settings(void);

/* Starts a page and its thread and waits until it is there. 0 or an errno. */
MUST_USE int control_start(void);

/* In the child of a fork. */
void control_fork_child(void);

/* Starts a thread that looks after the guards, if they need one and there is none. 0 or an errno. */
MUST_USE int control_start_guards(void);

/* A malloc came through the slow path that somebody asked to attend: in a child starts what the parent had, once it is not
 * young any more. */
MUST_USE bool control_is_young(void);
void control_attention(void);

#endif

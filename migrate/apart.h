/* SPDX-License-Identifier: MIT */
/* migrate/apart.h - a thread of ours with a descriptor table of its own
 *
 * A program that closes all descriptors, or hands them to others, does not meet ours; its own pipes and sockets end
 * when it closes them; its select() sees no number taken; and nothing of ours is written into what it opens.
 */
#ifndef MIGRATE_APART_H
#define MIGRATE_APART_H

#include "shim/base/compiler.h"

/* The calling thread's from now on, with nothing open in it but /dev/null as 0, 1 and 2. False if the kernel refuses. */
MUST_USE bool apart_take_table(void);

#endif

/* SPDX-License-Identifier: MIT */
/* tests/moody.h - a kernel that refuses: which calls of the library fail, counted from the first one on
 *
 * mmap, munmap, mprotect, madvise and mremap go through the table of shim/base/os.h, which moody_refuse() replaces. Calls
 * of other kinds are counted and refused by whoever stands in their way and asks moody_refuses().
 */
#ifndef TESTS_MOODY_H
#define TESTS_MOODY_H

#include "shim/base/compiler.h"

#include <stdint.h>

enum moody_call {
	MOODY_MAP = 1,
	MOODY_UNMAP = 2,
	MOODY_PROTECT = 4,
	MOODY_ADVISE = 8,
	MOODY_REMAP = 16,
	MOODY_MEMORY = 31, /* all of these */
	MOODY_OPEN = 32,
	MOODY_WRITE = 64,
	MOODY_THREAD = 128,
	MOODY_ANY = 255,
};

/* From now on: of the calls of these kinds, counted from 0, those from `first` to `last` are refused. Once in a process,
 * while it has one thread. */
void moody_refuse(unsigned kinds, long first, long last);

/* Nothing is refused or counted any more. Any thread. */
void moody_relent(void);

/* Counts a call of that kind, and says whether it is to be refused. Any thread. */
MUST_USE bool moody_refuses(enum moody_call call);

/* Any thread, since moody_refuse(). */
long moody_calls(void);		      /* of the kinds that are refused */
int64_t moody_held_bytes(void);	      /* mapped, and not unmapped */
int64_t moody_unreturned_bytes(void); /* that munmap() would not take */

#endif

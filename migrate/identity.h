/* SPDX-License-Identifier: MIT */
/* migrate/identity.h - which process and which host this is: what they draw by, and how a process is named
 *
 * Reads small files by plain system calls into the caller's buffer: nothing is allocated or kept, any thread
 * may ask, also in the child of a fork.
 */
#ifndef MIGRATE_IDENTITY_H
#define MIGRATE_IDENTITY_H

#include "shim/base/compiler.h"

/* A process id may be used again, but not in the same clock tick. */
struct identity_process {
	uint64_t pid;	      /* as the process sees itself */
	uint64_t start_ticks; /* since boot, field 22 of /proc/PID/stat; 0 where there is no /proc */
};

struct identity_process identity_process(void);

/* Field 22 out of the text of a /proc/PID/stat; 0 if it is none. A program's name may hold anything. */
MUST_USE uint64_t identity_start_ticks(const char *stat, size_t length);

/* The host's id: the 32 digits of /etc/machine-id, else of /var/lib/dbus/machine-id; where neither holds any
 * (containers), the host's name. Returns its length, 1 at least. */
#define IDENTITY_HOST_BYTES 65
size_t identity_host(char out[IDENTITY_HOST_BYTES]);

/* Their draws, see share.h. The same in every version: the MurmurHash3 of both numbers as 16 bytes, lowest
 * first, or of the host's id, with that of the salt as the seed. */
MUST_USE uint32_t identity_process_draw(const struct identity_process *process, const char *salt);
MUST_USE uint32_t identity_host_draw(const char *id, size_t length, const char *salt);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/report.h - lines for people, also from the thread that has no standard error of its own
 *
 * The waiting thread (control.h) keeps no descriptor of the program open: a pipe that the program closes has to
 * end. So for a line it looks where the program's standard error is just now.
 */
#ifndef MIGRATE_REPORT_H
#define MIGRATE_REPORT_H

#include "shim/base/compiler.h"

/* "hakmem: TEXT" and a newline on the program's standard error, cut to 512 bytes. Any thread; never waits for a
 * reader: from the waiting thread a line that nobody takes is lost. Keeps errno. */
COLD void report_text(const char *text);

/* To the system's log from now on, and to standard error only where that takes nothing. */
void report_to_syslog(bool wanted);

/* The calling thread has a descriptor table of its own from now on. Four threads of a process at most, at a time. */
void report_from_apart(void);
/* It ends. */
void report_ends(void);

/* In the child of a fork: none of those is here. */
void report_fork_child(void);

#endif

/* SPDX-License-Identifier: MIT */
/* migrate/drain.h - what a class leaves behind in its old pool: caches emptied, empty pages given back
 *
 * Blocks that live stay where they are, so a class that was sent to next drains for as long as they live. What does not live
 * need not stay: one second after classes have left their old pool for next, and not come back, each thread is asked to
 * empty what it has cached of legacy's, at its next malloc (shim_attend(): every malloc of the process takes the slow path
 * for that tenth of a second), and then the old pools' empty pages go back to the kernel; those that become empty
 * later go every thirty seconds, for as long as a class drains. A thread that does not allocate keeps its caches: they are
 * counted (drain_left()). The system's own caches are beyond our reach; its trim is called.
 *
 * Done by the waiting thread: without it nothing of this happens until the program calls malloc_trim().
 */
#ifndef MIGRATE_DRAIN_H
#define MIGRATE_DRAIN_H

#include "shim/base/compiler.h"

/* [any waiting thread] When to come again, in ms, -1: never; and the work. */
MUST_USE int drain_patience_ms(void);
void drain_tick(void);

/* True while threads are asked to empty their caches; the calling thread's turn. */
MUST_USE bool drain_wants_attention(void);
void drain_this_thread(void);

/* Threads with caches of legacy's that have not emptied them since they were asked last. */
MUST_USE size_t drain_left(void);

/* In the child of a fork. */
void drain_fork_child(void);

#endif

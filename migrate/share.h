/* SPDX-License-Identifier: MIT */
/* migrate/share.h - a share of the threads, processes or hosts: how large, of what, and who is in it
 *
 * Every thread, process and host has a draw, a number that stays its own and is spread evenly over
 * 0 .. 2^32 - 1 (cohort.h, and next's heaps for threads). With end = 2^32 * size / 100 %:
 *
 *     0            end                      2^32 - end          2^32
 *     |-- canary --|------- neither ---------|---- control ------|
 *
 * A share that grows keeps whoever it had, on both sides: 25 % is a part of 50 %. The arms are disjoint
 * because a share with a control arm is 50 % at most. Who is in neither arm stays old as the control arm
 * does, but nothing is measured against it.
 */
#ifndef MIGRATE_SHARE_H
#define MIGRATE_SHARE_H

#include "shim/base/compiler.h"

enum share_of {
	SHARE_OF_ALL, /* no share: everybody */
	SHARE_OF_THREADS,
	SHARE_OF_PROCESSES,
	SHARE_OF_HOSTS,
};
#define SHARE_OFS 4

enum share_arm {
	ARM_NEITHER,
	ARM_CANARY,
	ARM_CONTROL,
};

/* Sizes are counted in millionths of a percent. */
#define SHARE_DECIMALS 6
#define SHARE_PERCENT  1000000u
#define SHARE_WHOLE    (100 * SHARE_PERCENT)

struct share {
	enum share_of of;
	uint32_t size; /* 0 .. SHARE_WHOLE; SHARE_WHOLE where it is of all */
	bool control;  /* with a control arm of the same size */
};

/* Where the canary ends, 0 .. 2^32. */
MUST_USE uint64_t share_end(const struct share *share);

/* A share of everything, or of nothing, is no question of draws. */
MUST_USE enum share_arm share_arm_of(const struct share *share, uint32_t draw);

/* Threads, processes and hosts as plans name them: "thread", "process", "host"; "" for SHARE_OF_ALL. */
MUST_USE const char *share_of_name(enum share_of of);

/* Writes the share as a plan would have it, "@0.5%:thread/control", "" where it is of all, and a NUL.
 * Returns the length. */
#define SHARE_TEXT_BYTES 32
size_t share_text(const struct share *share, char out[SHARE_TEXT_BYTES]);

#endif

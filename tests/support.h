/* SPDX-License-Identifier: MIT */
/* tests/support.h - cmocka with what it wants included, and what several tests need */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "shim/base/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Resident set of this process in bytes, from /proc/self/statm. */
size_t resident_bytes(void);

/* More bytes than the kernel gives to any process: 2^46, or where it was told to promise whatever it is
 * asked for (vm.overcommit_memory=1) the whole address space. */
size_t refused_bytes(void);

/* Runs act(argument) in a child and returns true if it ended by abort() after a line on stderr that
 * starts with "hakmem: " and contains every one of the words (separated by '|') of `words`. Prints what
 * it got instead when not. */
bool dies_with(void (*act)(void *argument), void *argument, const char *words);

#endif

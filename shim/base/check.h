/* SPDX-License-Identifier: MIT */
/* shim/base/check.h - three tiers of checks, and the one exit for misuse of memory
 *
 * always  misuse by the program: fatal_misuse(), in every build
 * cheap   O(1) invariants of our own: CHECK_CHEAP(), in --enable-checks=cheap and full
 * full    walks of whole structures: CHECK_FULL(), in --enable-checks=full
 * A check that is off is still compiled.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "shim/base/compiler.h"

/* "hakmem: WHAT: 0xADDRESS: DETAIL" on stderr, then abort(). Allocates nothing; any thread, any
 * signal context. DETAIL may be NULL. */
COLD __attribute__((noreturn)) void fatal_misuse(const char *what, const void *address,
						  const char *detail);

/* "hakmem: internal: EXPRESSION (FILE:LINE)", then abort(). */
COLD __attribute__((noreturn)) void fatal_internal(const char *expression, const char *file,
						    int line);

/* A line for people: "hakmem: " and up to eight text pieces, the last NULL, in one write. */
COLD void report_line(const char *first, ...) __attribute__((sentinel));

#define CHECK_CHEAP(condition)                                                                     \
	do {                                                                                       \
		if (HAKMEM_CHECKS >= 1 && unlikely(!(condition)))                                  \
			fatal_internal(#condition, __FILE__, __LINE__);                            \
	} while (0)

#define CHECK_FULL(condition)                                                                      \
	do {                                                                                       \
		if (HAKMEM_CHECKS >= 2 && unlikely(!(condition)))                                  \
			fatal_internal(#condition, __FILE__, __LINE__);                            \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/* shim/export.h - the plain names of malloc's family
 *
 * Every function of the family is defined as hakmem_NAME and gets its plain name as an alias in the
 * same file: one body, and a caller inside the library that means our own function says so. Builds for
 * sanitizers and unit tests have no plain names, so that the sanitizer's own malloc stays in place.
 */
#ifndef SHIM_EXPORT_H
#define SHIM_EXPORT_H

#include "shim/base/compiler.h"

#if HAKMEM_EXPORT_MALLOC
#define EXPORT_AS(name, target)                                                                    \
	extern __typeof__(target) name __attribute__((alias(#target), visibility("default")))
#else
#define EXPORT_AS(name, target) _Static_assert(1, "not exported")
#endif

/* The same in the shared library alone: libtool compiles every file a second time for it, with PIC
 * defined. (An archive that configure --with-pic makes of those objects has these names as well.) */
#if defined(PIC)
#define EXPORT_SHARED_AS(name, target) EXPORT_AS(name, target)
#else
#define EXPORT_SHARED_AS(name, target) _Static_assert(1, "not exported")
#endif

/* A function that has no name but its aliases. */
#define FOR_EXPORT static __attribute__((unused))

#endif

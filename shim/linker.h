/* SPDX-License-Identifier: MIT */
/* shim/linker.h - the dynamic linker, asked by name; a static program may have none
 *
 * Both functions give NULL where there is no linker or nothing by that name. They may allocate.
 */
#ifndef SHIM_LINKER_H
#define SHIM_LINKER_H

#include "shim/base/compiler.h"

/* dlsym(). RTLD_NEXT is what follows this library. */
MUST_USE void *linker_symbol(void *scope, const char *name);

/* The handle of an object that is loaded already; NULL for the program and what came with it. */
MUST_USE void *linker_loaded(const char *object);

#endif

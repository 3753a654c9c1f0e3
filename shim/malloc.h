/* SPDX-License-Identifier: MIT */
/* shim/malloc.h - the slow path of malloc, for the other entry points */
#ifndef SHIM_MALLOC_H
#define SHIM_MALLOC_H

#include "shim/base/compiler.h"

/* Any size; by policy. NULL with errno ENOMEM. */
MUST_USE void *shim_malloc_slow(size_t bytes);

/* The free of a block that is not in a MAP_NEXT slot, with what it is told: see struct checked_claim. */
void shim_free_claimed(void *block, size_t bytes, size_t alignment);

/* Gives NULL and sets errno. */
COLD void *shim_out_of_memory(void);

#endif

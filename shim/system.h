/* SPDX-License-Identifier: MIT */
/* shim/system.h - the allocator behind us: libc's, or another one that is preloaded after us
 *
 * Found by name, in symbol order. Only names that every allocator has are asked for: a library that
 * lacks pvalloc would otherwise be answered for by the next one in order, and two allocators' blocks
 * mixed. Alignment is always posix_memalign's, the rest is computed from it.
 *
 * The table is written once, by the initialising thread, before any route names the system. Until then
 * its entries are stand-ins that allocate nothing; `free` and `realloc` may be called at any time.
 */
#ifndef SHIM_SYSTEM_H
#define SHIM_SYSTEM_H

#include "shim/base/compiler.h"

#include <malloc.h>
#include <stdio.h>

struct shim_system {
	void *(*malloc)(size_t bytes);
	void *(*calloc)(size_t count, size_t bytes);
	void *(*realloc)(void *block, size_t bytes);
	void (*free)(void *block); /* keeps errno */
	int (*posix_memalign)(void **result, size_t alignment, size_t bytes);
	size_t (*usable_bytes)(void *block);
	/* NULL where the allocator has none */
	int (*trim)(size_t pad_bytes);
	struct mallinfo2 (*mallinfo2)(void);
	void (*stats)(void);
	int (*info)(int options, FILE *stream);
	int (*mallopt)(int parameter, int value);
};

extern HIDDEN struct shim_system shim_system; /* [const after init] */

/* Looks the names up. in_order: those after this library; else those that the process uses (we are not
 * its malloc). May allocate: malloc's family must be able to serve the calling thread. Once. */
void shim_system_resolve(bool in_order);

/* False in a static program, where nothing stands behind us. */
MUST_USE bool shim_system_available(void);

/* False if the system's own checks would fault on an address that the process has mapped. */
MUST_USE bool shim_system_may_look_at(const void *block);

/* A block of the system, or NULL with errno as it was. alignment: a power of two above 16. */
MUST_USE void *shim_system_aligned(size_t alignment, size_t bytes);

#endif

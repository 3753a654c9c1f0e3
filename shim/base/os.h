/* SPDX-License-Identifier: MIT */
/* shim/base/os.h - the system calls that memory needs, behind one table that tests may swap
 *
 * Every call gives 0 or a pointer on success, and a negative errno or NULL on failure; none of them
 * touches errno, so that free() keeps it without saving it on every path.
 */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "shim/base/compiler.h"

#define OS_PAGE_BYTES ((size_t)4096)

/* The table. A test swaps it before any other thread runs; the product never does. */
struct os_ops {
	void *(*map)(void *hint, size_t bytes, int prot, int extra_flags);
	int (*unmap)(void *start, size_t bytes);
	int (*protect)(void *start, size_t bytes, int prot);
	int (*advise)(void *start, size_t bytes, int advice);
	/* Changes a mapping's length where it is; with FIXED_TO != NULL also its place, to that one. */
	int (*remap)(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to);
	size_t (*page_bytes)(void); /* of the kernel's pages */
};

extern const struct os_ops os_real; /* straight to the kernel */
void os_swap(const struct os_ops *ops); /* NULL: back to os_real. Not thread safe: tests only */

/* False where the kernel's pages are larger than OS_PAGE_BYTES: what is purged or protected here would take its neighbours along. */
MUST_USE bool os_pages_fit(void);

/* Anonymous private readable and writable memory, zeroed; NULL if the kernel refuses. */
MUST_USE void *os_map(void *hint, size_t bytes);
/* The same address space, but reading only and not counted as committed. */
MUST_USE void *os_reserve(size_t bytes);
/* Read-write memory whose address is a multiple of `alignment` (a power of two) when `offset_bytes`
 * are added to it. Maps more and trims. NULL if the kernel refuses, also to trim. */
MUST_USE void *os_map_aligned(size_t bytes, size_t alignment, size_t offset_bytes);
int os_unmap(void *start, size_t bytes);
MUST_USE int os_make_writable(void *start, size_t bytes);
MUST_USE int os_make_untouchable(void *start, size_t bytes); /* every access faults */
/* Gives the pages back to the kernel at once; they read as zero afterwards. */
MUST_USE int os_purge(void *start, size_t bytes);
MUST_USE int os_remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to);

/* Whether anything at all is mapped at the address: for reports of misuse, which are slow anyway. */
MUST_USE bool os_is_mapped(const void *start);

/* How much of [start, start + bytes) is in memory; all of it where the kernel does not tell. `start` is a multiple of
 * OS_PAGE_BYTES. */
MUST_USE size_t os_resident_bytes(const void *start, size_t bytes);

uint64_t os_now_ns(void);	 /* monotonic, nanoseconds */
uint32_t os_ticks(void);	 /* monotonic, units of 16.8 ms; wraps around. Cheap */
void os_write_stderr(const char *text, size_t bytes); /* async-signal safe, never allocates */

#endif

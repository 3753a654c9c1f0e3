/* SPDX-License-Identifier: MIT */
/* shim/hakmem.h - the public interface of libhakmem
 *
 * A program that preloads or links libhakmem needs nothing of this: malloc and its family are replaced.
 * The names below are the same functions under a name that nobody interposes, for programs that load
 * the library late (dlopen), build with a sanitizer, or want to know more than malloc's family tells.
 *
 * Unless it says otherwise, every function may be called by any thread at any time, also before main,
 * in destructors of thread-local storage and in atexit handlers; none is async-signal safe. Sizes and
 * alignments are bytes. A block from one of the allocating functions may be given to every freeing one,
 * and to the plain free(), realloc() and operator delete where those are the library's own.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <malloc.h> /* struct mallinfo */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__cplusplus)
extern "C" {
#define HAKMEM_NOEXCEPT noexcept
#else
#define HAKMEM_NOEXCEPT
#endif

#define HAKMEM_API __attribute__((visibility("default")))

/* "MAJOR.MINOR.PATCH", static text. */
HAKMEM_API const char *hakmem_version(void) HAKMEM_NOEXCEPT;

/* --- allocating ----------------------------------------------------------------------------------
 *
 * All of these give NULL and set errno to ENOMEM when there is no memory or the size (after any
 * multiplication or rounding) exceeds PTRDIFF_MAX. A size of 0 gives a unique block that may be freed.
 * Blocks are aligned to 16 bytes at least.
 */
HAKMEM_API void *hakmem_malloc(size_t bytes) HAKMEM_NOEXCEPT;

/* malloc(bytes) for a call site of the caller's choosing: legacy writes it into the block's header. */
HAKMEM_API void *hakmem_malloc_site(size_t bytes, uint32_t site) HAKMEM_NOEXCEPT;

/* count * bytes, zeroed. */
HAKMEM_API void *hakmem_calloc(size_t count, size_t bytes) HAKMEM_NOEXCEPT;

/* The block with room for `bytes` and its contents kept as far as they fit, perhaps elsewhere. On
 * failure the old block is untouched. block NULL: malloc(bytes). bytes 0: the block is freed and the
 * result is NULL, errno unchanged. */
HAKMEM_API void *hakmem_realloc(void *block, size_t bytes) HAKMEM_NOEXCEPT;

/* realloc(block, count * bytes). */
HAKMEM_API void *hakmem_reallocarray(void *block, size_t count, size_t bytes) HAKMEM_NOEXCEPT;

/* Stores the block in *result and gives 0, or gives EINVAL (alignment is no power of two, or no
 * multiple of sizeof(void *)) or ENOMEM and leaves *result alone. Never changes errno. */
HAKMEM_API int hakmem_posix_memalign(void **result, size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* EINVAL if the alignment is no power of two. bytes need not be a multiple of it. */
HAKMEM_API void *hakmem_aligned_alloc(size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* An alignment that is no power of two is rounded up to one; EINVAL if there is none. */
HAKMEM_API void *hakmem_memalign(size_t alignment, size_t bytes) HAKMEM_NOEXCEPT;

/* Aligned to the kernel's page; pvalloc also rounds the size up to whole pages. */
HAKMEM_API void *hakmem_valloc(size_t bytes) HAKMEM_NOEXCEPT;
HAKMEM_API void *hakmem_pvalloc(size_t bytes) HAKMEM_NOEXCEPT;

/* --- freeing -------------------------------------------------------------------------------------
 *
 * NULL is ignored, errno is kept. A pointer into memory of the library that is no live block ends the
 * process with one line on stderr and abort(); any other pointer is passed on to the allocator behind.
 */
HAKMEM_API void hakmem_free(void *block) HAKMEM_NOEXCEPT;
HAKMEM_API void hakmem_free_sized(void *block, size_t bytes) HAKMEM_NOEXCEPT;
HAKMEM_API void hakmem_free_aligned_sized(void *block, size_t alignment,
					  size_t bytes) HAKMEM_NOEXCEPT;

/* --- asking --------------------------------------------------------------------------------------*/

/* Bytes that may be used at `block`: the size asked for, or more. 0 for NULL. */
HAKMEM_API size_t hakmem_malloc_usable_size(void *block) HAKMEM_NOEXCEPT;

/* Gives free memory back to the kernel; pad_bytes is passed on to the allocator behind. 1 if anything
 * was given back, else 0. */
HAKMEM_API int hakmem_malloc_trim(size_t pad_bytes) HAKMEM_NOEXCEPT;

/* Prints totals to stderr. */
HAKMEM_API void hakmem_malloc_stats(void) HAKMEM_NOEXCEPT;

/* Writes totals to `stream` as XML and gives 0; EINVAL if options is not 0. */
HAKMEM_API int hakmem_malloc_info(int options, FILE *stream) HAKMEM_NOEXCEPT;

/* Sums over every allocator in the process. mallinfo stops at INT_MAX. */
HAKMEM_API struct mallinfo hakmem_mallinfo(void) HAKMEM_NOEXCEPT;
#if !defined(__GLIBC__) || __GLIBC_PREREQ(2, 33)
HAKMEM_API struct mallinfo2 hakmem_mallinfo2(void) HAKMEM_NOEXCEPT;
#endif

/* Passed on to the allocator behind, for which alone it has a meaning. Always 1. */
HAKMEM_API int hakmem_mallopt(int parameter, int value) HAKMEM_NOEXCEPT;

enum hakmem_owner {
	HAKMEM_OWNER_SYSTEM = 0, /* the allocator behind, or no allocator at all: the stack, NULL */
	HAKMEM_OWNER_NEXT = 1,
	HAKMEM_OWNER_LEGACY = 2,
};

/* Whose memory the address lies in. Never touches it, so any value may be asked about. Async-signal
 * safe. Told from the map of 4 MiB slots: what lies behind the end of a block of more than 4 MiB, in the
 * same slot, is taken for next's, whoever's it is. (free() looks, and is not misled.) */
HAKMEM_API enum hakmem_owner hakmem_owner(const void *address) HAKMEM_NOEXCEPT;

/* Exact when no other thread allocates, else the estimate of a moment. */
struct hakmem_stats {
	size_t next_live_bytes, next_live_blocks;
	size_t next_mapped_bytes;	 /* address space */
	size_t next_resident_free_bytes; /* free and not given back to the kernel */
	size_t legacy_live_bytes, legacy_live_blocks;
	size_t legacy_mapped_bytes;
};

/* Fills the first `stats_bytes` (pass sizeof(struct hakmem_stats): later versions append fields, and
 * what this version does not know becomes 0). Gives 0. */
HAKMEM_API int hakmem_read_stats(struct hakmem_stats *stats, size_t stats_bytes) HAKMEM_NOEXCEPT;

#if defined(__cplusplus)
}
#endif

#endif

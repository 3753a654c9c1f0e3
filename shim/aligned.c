/* SPDX-License-Identifier: MIT */
/* shim/aligned.c - the entry points that take an alignment
 *
 * They differ in what they accept and in how they fail, as glibc's manual has it:
 *
 *                    not a power of two   0          no memory      errno
 *   posix_memalign   EINVAL (result)      EINVAL     ENOMEM         never touched
 *   aligned_alloc    EINVAL               EINVAL     ENOMEM         set
 *   memalign         rounded up           as 1       ENOMEM         set
 */
#include "shim/aligned.h"

#include "next/next.h"
#include "shim/checked.h"
#include "shim/export.h"
#include "shim/hakmem.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/malloc.h"
#include "shim/route.h"
#include "shim/system.h"
#include "shim/watch.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

static void *aligned_from_system(size_t alignment, size_t bytes)
{
	return shim_system_available() ? shim_system_aligned(alignment, bytes) : NULL;
}

static void *aligned_from_next(size_t alignment, size_t bytes)
{
	void *block = shim_next_available() ? next_aligned(alignment, bytes) : NULL;
	if (likely(block != NULL))
		return block;
	block = aligned_from_system(alignment, bytes);
	if (HAKMEM_MIGRATION && block)
		shim_at_next_failure(next_class_of(bytes));
	return block;
}

/* legacy knows no alignment above 16, so its classes go to the system; where there is none, to next. */
void *shim_aligned_from(enum shim_backend route, size_t alignment, size_t bytes)
{
	if (unlikely(checked_on()) && shim_next_available()) {
		void *block = checked_malloc(bytes, alignment, false, false);
		return block ? block : aligned_from_system(alignment, bytes);
	}
	if (route == SHIM_SYSTEM || (route == SHIM_LEGACY && shim_system_available()))
		return aligned_from_system(alignment, bytes);
	return aligned_from_next(alignment, bytes);
}

static void *aligned_by_route(size_t alignment, size_t bytes)
{
	unsigned class = next_class_of(bytes);
	if (unlikely(shim_route_word_of(class) == SHIM_UNSET))
		shim_init();
	unsigned word = shim_route_word_of(class);
	if (HAKMEM_MIGRATION && unlikely(word > SHIM_NEXT)) {
		if (word & SHIM_RECORD)
			return watch_aligned(alignment, bytes);
		word = shim_route_resolve(class, word);
	}
	return shim_aligned_from((enum shim_backend)word, alignment, bytes);
}

void *shim_aligned(size_t alignment, size_t bytes)
{
	int saved_errno = errno;
	void *block = NULL;
	if (alignment <= NEXT_ALIGNMENT)
		block = hakmem_malloc(bytes);
	else if (alignment <= PTRDIFF_MAX && bytes <= PTRDIFF_MAX - alignment)
		block = aligned_by_route(alignment, bytes);
	errno = saved_errno;
	return block;
}

static void *aligned_or_enomem(size_t alignment, size_t bytes)
{
	void *block = shim_aligned(alignment, bytes);
	return block ? block : shim_out_of_memory();
}

HAKMEM_API int hakmem_posix_memalign(void **result, size_t alignment, size_t bytes)
{
	if (!is_power_of_two(alignment) || alignment < sizeof(void *))
		return EINVAL;
	void *block = shim_aligned(alignment, bytes);
	if (!block)
		return ENOMEM;
	*result = block;
	return 0;
}
EXPORT_AS(posix_memalign, hakmem_posix_memalign);

HAKMEM_API void *hakmem_aligned_alloc(size_t alignment, size_t bytes)
{
	if (!is_power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return aligned_or_enomem(alignment, bytes);
}
EXPORT_AS(aligned_alloc, hakmem_aligned_alloc);

static size_t power_of_two_from(size_t alignment)
{
	return alignment <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzll(alignment - 1));
}

HAKMEM_API void *hakmem_memalign(size_t alignment, size_t bytes)
{
	if (alignment > (SIZE_MAX >> 1) + 1) {
		errno = EINVAL;
		return NULL;
	}
	return aligned_or_enomem(power_of_two_from(alignment), bytes);
}
EXPORT_AS(memalign, hakmem_memalign);

HAKMEM_API void *hakmem_valloc(size_t bytes)
{
	return aligned_or_enomem((size_t)getpagesize(), bytes);
}
EXPORT_AS(valloc, hakmem_valloc);

HAKMEM_API void *hakmem_pvalloc(size_t bytes)
{
	size_t page_bytes = (size_t)getpagesize();
	if (bytes > PTRDIFF_MAX)
		return shim_out_of_memory();
	return aligned_or_enomem(page_bytes, align_up(bytes, page_bytes));
}
EXPORT_AS(pvalloc, hakmem_pvalloc);

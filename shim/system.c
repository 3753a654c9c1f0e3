/* SPDX-License-Identifier: MIT */
/* shim/system.c - the allocator behind us; see system.h */
#include "shim/system.h"

#include "shim/base/check.h"
#include "shim/base/os.h"
#include "shim/init.h"
#include "shim/linker.h"

#include <dlfcn.h>
#include <errno.h>

static bool available, is_glibc;
static void (*free_that_may_change_errno)(void *block);

/* --- stand-ins: before the look-up, and for ever where there is nothing to find ------------------- */

static void *no_malloc(size_t bytes)
{
	(void)bytes;
	errno = ENOMEM;
	return NULL;
}

static void *no_calloc(size_t count, size_t bytes)
{
	(void)count;
	return no_malloc(bytes);
}

static int no_posix_memalign(void **result, size_t alignment, size_t bytes)
{
	(void)result;
	(void)alignment;
	(void)bytes;
	return ENOMEM;
}

static COLD void strange(const void *block)
{
	fatal_misuse("invalid pointer", block, "no allocator in this process handed it out");
}

/* The first call into the library may be a free: of a block from before the library was loaded. While
 * this thread is looking the system up, such a block has to be lost. */
static COLD void no_free(void *block)
{
	if (!block)
		return;
	shim_init();
	if (shim_system.free != no_free)
		shim_system.free(block);
	else if (shim_routed())
		strange(block);
}

static COLD void *no_realloc(void *block, size_t bytes)
{
	shim_init();
	if (shim_system.realloc != no_realloc)
		return shim_system.realloc(block, bytes);
	if (shim_routed())
		strange(block);
	return no_malloc(bytes);
}

static COLD size_t no_usable_bytes(void *block)
{
	shim_init();
	if (shim_system.usable_bytes != no_usable_bytes)
		return shim_system.usable_bytes(block);
	if (shim_routed())
		strange(block);
	return 0;
}

struct shim_system shim_system = {
	.malloc = no_malloc,
	.calloc = no_calloc,
	.realloc = no_realloc,
	.free = no_free,
	.posix_memalign = no_posix_memalign,
	.usable_bytes = no_usable_bytes,
};

/* --- the look-up ---------------------------------------------------------------------------------- */

static void free_keeping_errno(void *block)
{
	int saved_errno = errno;
	free_that_may_change_errno(block);
	errno = saved_errno;
}

/* ThreadSanitizer's malloc says of a block of no bytes that one is usable, and holds all the same that the block has none: a
 * realloc that moves it is told that it reads what was freed there before. So under a sanitizer each has a byte. */
static struct shim_system of_none;

static void *malloc_at_least_one(size_t bytes)
{
	return of_none.malloc(bytes + (bytes == 0));
}

static void *calloc_at_least_one(size_t count, size_t bytes)
{
	return count && bytes ? of_none.calloc(count, bytes) : of_none.calloc(1, 1);
}

static int posix_memalign_at_least_one(void **result, size_t alignment, size_t bytes)
{
	return of_none.posix_memalign(result, alignment, bytes + (bytes == 0));
}

static void leave_none_out(struct shim_system *found)
{
	of_none = *found;
	found->malloc = malloc_at_least_one;
	found->calloc = calloc_at_least_one;
	found->posix_memalign = posix_memalign_at_least_one;
}

static bool look_up(struct shim_system *found, void *scope)
{
	found->malloc = linker_symbol(scope, "malloc");
	found->calloc = linker_symbol(scope, "calloc");
	found->realloc = linker_symbol(scope, "realloc");
	found->free = linker_symbol(scope, "free");
	found->posix_memalign = linker_symbol(scope, "posix_memalign");
	found->usable_bytes = linker_symbol(scope, "malloc_usable_size");
	return found->malloc && found->calloc && found->realloc && found->free &&
	       found->posix_memalign && found->usable_bytes;
}

/* These concern the allocator as a whole, so another one's answer is merely beside the point. */
static void look_up_extras(struct shim_system *found, void *scope)
{
	found->trim = linker_symbol(scope, "malloc_trim");
	found->mallinfo2 = linker_symbol(scope, "mallinfo2");
	found->stats = linker_symbol(scope, "malloc_stats");
	found->info = linker_symbol(scope, "malloc_info");
	found->mallopt = linker_symbol(scope, "mallopt");
}

void shim_system_resolve(bool in_order)
{
	struct shim_system found = { .malloc = NULL };
	void *scope = in_order ? RTLD_NEXT : RTLD_DEFAULT;

	if (!HAKMEM_MIGRATION || !look_up(&found, scope))
		return;
	look_up_extras(&found, scope);
	is_glibc = (void *)found.free == linker_symbol(scope, "__libc_free");
	/* glibc's own free keeps errno since 2.33, the version that brought mallinfo2, and is then called
	 * without a detour. */
	if (!is_glibc || !found.mallinfo2) {
		free_that_may_change_errno = found.free;
		found.free = free_keeping_errno;
	}
	if (HAKMEM_SANITIZER)
		leave_none_out(&found);
	shim_system = found;
	available = true;
}

bool shim_system_available(void)
{
	return HAKMEM_MIGRATION && available;
}

bool shim_system_may_look_at(const void *block)
{
	/* glibc looks at the word before a block. Others hand out blocks with nothing before them. */
	if (!is_glibc || ((uintptr_t)block & (OS_PAGE_BYTES - 1)) >= sizeof(size_t))
		return true;
	return os_is_mapped((const char *)block - sizeof(size_t));
}

void *shim_system_aligned(size_t alignment, size_t bytes)
{
	void *block = NULL;
	int saved_errno = errno;
	int failure = shim_system.posix_memalign(&block, alignment, bytes);
	errno = saved_errno;
	return failure ? NULL : block;
}

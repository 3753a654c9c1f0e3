/* SPDX-License-Identifier: MIT */
/* shim/base/os.c - the system calls that memory needs; see os.h */
#include "shim/base/os.h"

#include "shim/base/atomic.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* libc's wrappers set errno; malloc's slow paths run inside free(), which must keep it. */
#define KEEP_ERRNO(call)                                                                           \
	({                                                                                         \
		int saved_errno = errno;                                                           \
		__typeof__(call) result = (call);                                                  \
		failed_errno = errno;                                                              \
		errno = saved_errno;                                                               \
		result;                                                                            \
	})

static void *real_map(void *hint, size_t bytes, int prot, int extra_flags)
{
	int failed_errno;
	void *p = KEEP_ERRNO(
		mmap(hint, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0));
	(void)failed_errno;
	return p == MAP_FAILED ? NULL : p;
}

static int real_unmap(void *start, size_t bytes)
{
	int failed_errno;
	return KEEP_ERRNO(munmap(start, bytes)) == 0 ? 0 : -failed_errno;
}

static int real_protect(void *start, size_t bytes, int prot)
{
	int failed_errno;
	return KEEP_ERRNO(mprotect(start, bytes, prot)) == 0 ? 0 : -failed_errno;
}

static int real_advise(void *start, size_t bytes, int advice)
{
	int failed_errno;
	return KEEP_ERRNO(madvise(start, bytes, advice)) == 0 ? 0 : -failed_errno;
}

static int real_remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	int failed_errno;
	void *p = fixed_to ? KEEP_ERRNO(mremap(start, old_bytes, new_bytes,
					       MREMAP_MAYMOVE | MREMAP_FIXED, fixed_to)) :
			     KEEP_ERRNO(mremap(start, old_bytes, new_bytes, 0));
	return p == MAP_FAILED ? -failed_errno : 0;
}

static size_t real_page_bytes(void)
{
	return getauxval(AT_PAGESZ);
}

const struct os_ops os_real = {
	.map = real_map,
	.unmap = real_unmap,
	.protect = real_protect,
	.advise = real_advise,
	.remap = real_remap,
	.page_bytes = real_page_bytes,
};

static const struct os_ops *os = &os_real;

void os_swap(const struct os_ops *ops)
{
	os = ops ? ops : &os_real;
}

bool os_pages_fit(void)
{
	return os->page_bytes() <= OS_PAGE_BYTES;
}

void *os_map(void *hint, size_t bytes)
{
	/* Not MAP_NORESERVE: a size that the machine can never back is to be refused here, where
	 * malloc can still say so, and not at the first touch. */
	return os->map(hint, bytes, PROT_READ | PROT_WRITE, 0);
}

void *os_reserve(size_t bytes)
{
	return os->map(NULL, bytes, PROT_READ, MAP_NORESERVE);
}

#define NEAR_BYTES (4 * MIB)

void *os_map_aligned(size_t bytes, size_t alignment, size_t offset_bytes)
{
	/* Where the last mapping ended is usually where the next begins, so it is often aligned
	 * already: try the plain size before asking for more and trimming. */
	char *p = os_map(NULL, bytes);
	size_t above = ((uintptr_t)p + offset_bytes) & (alignment - 1);
	if (!p || above == 0)
		return p;
	os_unmap(p, bytes);

	/* Mappings grow downwards: what lies just below was free a moment ago. Further below may be where the stack
	 * or the heap of libc grows to. */
	if (alignment <= NEAR_BYTES && above < (uintptr_t)p) {
		char *below = p - above;
		p = os_map(below, bytes);
		if (!p || p == below)
			return p;
		os_unmap(p, bytes);
	}

	size_t more = bytes + alignment;
	if (more < bytes)
		return NULL;
	p = os_map(NULL, more);
	if (!p)
		return NULL;
	char *start = (char *)(align_up((uintptr_t)p + offset_bytes, alignment) - offset_bytes);
	char *end = p + more;
	/* Each trim may need one more mapping than the process may have; the whole does not. */
	if (start + bytes < end) {
		if (os_unmap(start + bytes, (size_t)(end - (start + bytes))) != 0)
			goto no_trim;
		end = start + bytes;
	}
	if (start == p || os_unmap(p, (size_t)(start - p)) == 0)
		return start;
no_trim:
	os_unmap(p, (size_t)(end - p));
	return NULL;
}

int os_unmap(void *start, size_t bytes)
{
	return os->unmap(start, bytes);
}

int os_make_writable(void *start, size_t bytes)
{
	return os->protect(start, bytes, PROT_READ | PROT_WRITE);
}

int os_make_untouchable(void *start, size_t bytes)
{
	return os->protect(start, bytes, PROT_NONE);
}

int os_purge(void *start, size_t bytes)
{
	return os->advise(start, bytes, MADV_DONTNEED);
}

int os_remap(void *start, size_t old_bytes, size_t new_bytes, void *fixed_to)
{
	return os->remap(start, old_bytes, new_bytes, fixed_to);
}

bool os_is_mapped(const void *start)
{
	unsigned char resident;
	int saved_errno = errno;
	bool mapped = mincore((void *)((uintptr_t)start & ~(OS_PAGE_BYTES - 1)), OS_PAGE_BYTES,
			      &resident) == 0;
	errno = saved_errno;
	return mapped;
}

size_t os_resident_bytes(const void *start, size_t bytes)
{
	unsigned char resident[256];
	size_t pages = 0, left = bytes / OS_PAGE_BYTES;
	char *at = (char *)(uintptr_t)start;
	int saved_errno = errno;

	while (left > 0) {
		size_t count = left < sizeof(resident) ? left : sizeof(resident);
		if (mincore(at, count * OS_PAGE_BYTES, resident) != 0) {
			errno = saved_errno;
			return bytes;
		}
		for (size_t i = 0; i < count; i++)
			pages += resident[i] & 1;
		at += count * OS_PAGE_BYTES;
		left -= count;
	}
	return pages * OS_PAGE_BYTES;
}

uint64_t os_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t os_ticks(void)
{
	struct timespec now;
	/* What the kernel's own last tick left: no look at the hardware's clock. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 24);
}

void os_write_stderr(const char *text, size_t bytes)
{
	int saved_errno = errno;
	while (bytes > 0) {
		/* Not write(), where a thread that is to be cancelled would end in the middle of this. */
		long n = syscall(SYS_write, STDERR_FILENO, text, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		text += n;
		bytes -= (size_t)n;
	}
	errno = saved_errno;
}

/* SPDX-License-Identifier: MIT */
/* tests/faulty.c - the library with a fault in next, to show that guards roll back
 *
 * The library's own objects, linked once more (tests/faulty.la) so that the calls below go through here first: the
 * product is not built otherwise for it and has no hook. The environment says which fault, and the file that begins it:
 *
 *	HAKMEM_FAULT=KIND[:BYTES]   of the class that serves BYTES, or of every class
 *	HAKMEM_FAULT_FILE=PATH      from when on it exists
 *
 *	double-free   next frees one of its own blocks twice, once
 *	no-memory     next gets no slices
 *	slow          a refill takes 200 us longer
 *	leak          what is given back is not taken, up to 256 MiB
 */
#include "next/heap.h"
#include "next/next.h"
#include "next/segment.h"
#include "shim/base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOW_NS	    200000
#define LEAK_SLICES 4096

/* The linker's --wrap makes these of the names in the library. */
void *__real_heap_refill(struct next_heap *heap, unsigned bin);
void *__wrap_heap_refill(struct next_heap *heap, unsigned bin);
struct next_page *__real_segment_claim(size_t slices, size_t align_slices, bool *zero);
struct next_page *__wrap_segment_claim(size_t slices, size_t align_slices, bool *zero);
struct next_page *__real_segment_claim_existing(size_t slices, size_t align_slices, bool *zero);
struct next_page *__wrap_segment_claim_existing(size_t slices, size_t align_slices, bool *zero);
void __real_segment_release(struct next_page *page);
void __wrap_segment_release(struct next_page *page);

static bool is_kind(const char *kind, const char *wanted, size_t length)
{
	return strlen(wanted) == length && memcmp(kind, wanted, length) == 0;
}

/* Whether this fault has begun, for this class; NEXT_CLASSES: whichever. */
static bool has_fault(const char *wanted, unsigned class)
{
	const char *kind = getenv("HAKMEM_FAULT"), *path = getenv("HAKMEM_FAULT_FILE");
	int saved_errno = errno;

	if (!kind || !path)
		return false;
	size_t length = strcspn(kind, ":");
	if (!is_kind(kind, wanted, length))
		return false;
	if (class < NEXT_CLASSES && kind[length] == ':' &&
	    next_class_of(strtoul(kind + length + 1, NULL, 10)) != class)
		return false;
	bool begun = access(path, F_OK) == 0;
	errno = saved_errno;
	return begun;
}

static void free_twice(struct next_heap *heap, unsigned bin)
{
	static _Atomic bool done;
	void *volatile block = __real_heap_refill(heap, bin);

	if (!block)
		return;
	next_free(block);
	if (!exchange_acq_rel(&done, true))
		next_free(block);
}

void *__wrap_heap_refill(struct next_heap *heap, unsigned bin)
{
	if (has_fault("double-free", bin))
		free_twice(heap, bin);
	if (has_fault("slow", bin)) {
		uint64_t end_ns = os_now_ns() + SLOW_NS;
		while (os_now_ns() < end_ns)
			;
	}
	return __real_heap_refill(heap, bin);
}

struct next_page *__wrap_segment_claim(size_t slices, size_t align_slices, bool *zero)
{
	return has_fault("no-memory", NEXT_CLASSES)
		       ? NULL
		       : __real_segment_claim(slices, align_slices, zero);
}

struct next_page *__wrap_segment_claim_existing(size_t slices, size_t align_slices, bool *zero)
{
	return has_fault("no-memory", NEXT_CLASSES)
		       ? NULL
		       : __real_segment_claim_existing(slices, align_slices, zero);
}

void __wrap_segment_release(struct next_page *page)
{
	static _Atomic uint32_t leaked_slices;

	if (has_fault("leak", NEXT_CLASSES) && load_relaxed(&leaked_slices) < LEAK_SLICES)
		fetch_add_relaxed(&leaked_slices, load_relaxed(&page->slices));
	else
		__real_segment_release(page);
}

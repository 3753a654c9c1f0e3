/* SPDX-License-Identifier: MIT */
/* shim/operators.c - operator new and delete, every form, under their mangled names
 *
 * C, because a C++ object would tie every C program that preloads us to the C++ runtime. The runtime is
 * there whenever one of these is called, and what is needed of it (the new-handler, throwing bad_alloc)
 * is only needed when memory has run out: references are weak, and where they came out empty (a program
 * in C that opens a C++ library late) the runtime is asked for by name.
 *
 *   new(bytes)   malloc's fast path; its slow path; then for ever:
 *                  handler = get_new_handler(); none: throw bad_alloc; handler(); try again
 *   nothrow      the same once without handler; with one, the runtime's own nothrow form: it calls our
 *                throwing form in a try block, which C has not, so a handler may throw and give NULL.
 *                In a static program two forms of one name cannot be, so there the runtime's is the one.
 *                A runtime that hides inside a program (-static-libstdc++) shows its form to nobody: a
 *                handler that throws out of ours then ends the program
 *   delete       free
 *
 * Names: Zn/Zd new/delete, w/l one object, a an array; m size, RKSt9nothrow_t, St11align_val_t.
 */
#include "next/fast.h"
#include "shim/aligned.h"
#include "shim/base/check.h"
#include "shim/checked.h"
#include "shim/export.h"
#include "shim/hakmem.h"
#include "shim/init.h"
#include "shim/linker.h"
#include "shim/malloc.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef void new_handler(void);
typedef void *nothrow_new(size_t bytes, const void *nothrow);
typedef void *nothrow_aligned_new(size_t bytes, size_t alignment, const void *nothrow);

extern new_handler *_ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, noreturn));

/* --- the C++ runtime ------------------------------------------------------------------------------ */

/* A name of the runtime, or NULL: in symbol order after us (our own operators would be found else), then
 * in a runtime that only some late library sees. */
static COLD void *runtime_symbol(const char *name)
{
	static const char *const runtimes[] = { "libstdc++.so.6", "libc++abi.so.1", "libc++.so.1" };
	void *symbol = linker_symbol(RTLD_NEXT, name);
	for (size_t i = 0; !symbol && i < sizeof(runtimes) / sizeof(*runtimes); i++) {
		void *runtime = linker_loaded(runtimes[i]);
		if (runtime)
			symbol = linker_symbol(runtime, name);
	}
	return symbol;
}

static new_handler *current_handler(void)
{
	if (_ZSt15get_new_handlerv)
		return _ZSt15get_new_handlerv();
	new_handler *(*get)(void) = runtime_symbol("_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

static __attribute__((noreturn)) void throw_bad_alloc(void)
{
	if (_ZSt17__throw_bad_allocv)
		_ZSt17__throw_bad_allocv();
	void (*thrower)(void) = runtime_symbol("_ZSt17__throw_bad_allocv");
	if (!thrower) /* libc++ */
		thrower = runtime_symbol("_ZNSt3__117__throw_bad_allocEv");
	if (thrower)
		thrower();
	report_line("operator new: out of memory, and no C++ runtime to throw bad_alloc", NULL);
	abort();
}

/* --- new ------------------------------------------------------------------------------------------ */

/* Alignment 0: no more than malloc's. A program with a malloc of its own gets that one. */
static void *try_once(size_t bytes, size_t alignment)
{
	if (unlikely(shim_stands_aside())) {
		void *block = NULL;
		if (!alignment)
			return malloc(bytes);
		return posix_memalign(&block, alignment, bytes) ? NULL : block;
	}
	if (!alignment)
		return shim_malloc_slow(bytes);
	void *block = shim_aligned(alignment, bytes);
	if (unlikely(checked_on()) && block)
		checked_mark_aligned_new(block, alignment);
	return block;
}

/* NULL when memory has run out and there is no handler (any more). */
static void *new_or_null(size_t bytes, size_t alignment)
{
	for (;;) {
		void *block = try_once(bytes, alignment);
		if (likely(block != NULL))
			return block;
		new_handler *handler = current_handler();
		if (!handler)
			return NULL;
		handler();
	}
}

static NOINLINE void *new_slow(size_t bytes, size_t alignment)
{
	void *block = new_or_null(bytes, alignment);
	if (unlikely(!block))
		throw_bad_alloc();
	return block;
}

/* The array forms' default is to call the others, so the others' names serve both. */
static NOINLINE void *new_nothrow_slow(size_t bytes, const void *nothrow)
{
	void *block = try_once(bytes, 0);
	if (likely(block != NULL) || !current_handler())
		return block;
	nothrow_new *form = runtime_symbol("_ZnwmRKSt9nothrow_t");
	return form ? form(bytes, nothrow) : new_or_null(bytes, 0);
}

static NOINLINE void *new_other_word(size_t bytes, struct next_page *at_hand)
{
	void *block = next_malloc_other_word(at_hand);
	return likely(block != NULL) ? block : new_slow(bytes, 0);
}

FOR_EXPORT void *new_plain(size_t bytes)
{
	struct next_page *page = next_at_hand(slot_of_bytes(bytes));
	void *block = next_malloc_at_hand(page);
	return likely(block != NULL) ? block : new_other_word(bytes, page);
}
EXPORT_AS(_Znwm, new_plain);
EXPORT_AS(_Znam, new_plain);

FOR_EXPORT void *new_nothrow(size_t bytes, const void *nothrow)
{
	void *block = next_malloc_fast(bytes);
	if (likely(block != NULL))
		return block;
	return new_nothrow_slow(bytes, nothrow);
}
EXPORT_SHARED_AS(_ZnwmRKSt9nothrow_t, new_nothrow);
EXPORT_SHARED_AS(_ZnamRKSt9nothrow_t, new_nothrow);

FOR_EXPORT void *new_aligned(size_t bytes, size_t alignment)
{
	if (unlikely(!is_power_of_two(alignment)))
		throw_bad_alloc();
	return new_slow(bytes, alignment);
}
EXPORT_AS(_ZnwmSt11align_val_t, new_aligned);
EXPORT_AS(_ZnamSt11align_val_t, new_aligned);

FOR_EXPORT void *new_aligned_nothrow(size_t bytes, size_t alignment, const void *nothrow)
{
	if (unlikely(!is_power_of_two(alignment)))
		return NULL;
	void *block = try_once(bytes, alignment);
	if (likely(block != NULL) || !current_handler())
		return block;
	nothrow_aligned_new *form = runtime_symbol("_ZnwmSt11align_val_tRKSt9nothrow_t");
	return form ? form(bytes, alignment, nothrow) : new_or_null(bytes, alignment);
}
EXPORT_SHARED_AS(_ZnwmSt11align_val_tRKSt9nothrow_t, new_aligned_nothrow);
EXPORT_SHARED_AS(_ZnamSt11align_val_tRKSt9nothrow_t, new_aligned_nothrow);

/* --- delete --------------------------------------------------------------------------------------- */

static NOINLINE void delete_other(void *block, size_t bytes, size_t alignment)
{
	if (unlikely(shim_stands_aside()))
		free(block);
	else
		shim_free_claimed(block, bytes, alignment | CLAIM_DELETE);
}

INLINE void delete_block(void *block, size_t bytes, size_t alignment)
{
	uintptr_t slot = (uintptr_t)block >> MAP_SLOT_SHIFT;
	if (likely(map_byte_of_slot(slot) == MAP_NEXT))
		next_free_in_slot(block, slot);
	else
		delete_other(block, bytes, alignment);
}

/* What a delete is told about size and alignment, the address map and the page know: it is only checked. */

FOR_EXPORT void delete_plain(void *block)
{
	delete_block(block, CLAIM_NOTHING, 0);
}
EXPORT_AS(_ZdlPv, delete_plain);
EXPORT_AS(_ZdaPv, delete_plain);

FOR_EXPORT void delete_sized(void *block, size_t bytes)
{
	delete_block(block, bytes, 0);
}
EXPORT_AS(_ZdlPvm, delete_sized);
EXPORT_AS(_ZdaPvm, delete_sized);

FOR_EXPORT void delete_nothrow(void *block, const void *nothrow)
{
	(void)nothrow;
	delete_block(block, CLAIM_NOTHING, 0);
}
EXPORT_AS(_ZdlPvRKSt9nothrow_t, delete_nothrow);
EXPORT_AS(_ZdaPvRKSt9nothrow_t, delete_nothrow);

FOR_EXPORT void delete_aligned(void *block, size_t alignment)
{
	delete_block(block, CLAIM_NOTHING, alignment);
}
EXPORT_AS(_ZdlPvSt11align_val_t, delete_aligned);
EXPORT_AS(_ZdaPvSt11align_val_t, delete_aligned);

FOR_EXPORT void delete_sized_aligned(void *block, size_t bytes, size_t alignment)
{
	delete_block(block, bytes, alignment);
}
EXPORT_AS(_ZdlPvmSt11align_val_t, delete_sized_aligned);
EXPORT_AS(_ZdaPvmSt11align_val_t, delete_sized_aligned);

FOR_EXPORT void delete_aligned_nothrow(void *block, size_t alignment, const void *nothrow)
{
	(void)nothrow;
	delete_block(block, CLAIM_NOTHING, alignment);
}
EXPORT_AS(_ZdlPvSt11align_val_tRKSt9nothrow_t, delete_aligned_nothrow);
EXPORT_AS(_ZdaPvSt11align_val_tRKSt9nothrow_t, delete_aligned_nothrow);

/* SPDX-License-Identifier: MIT */
/* shim/malloc.c - malloc, free, calloc, realloc, malloc_usable_size: who serves, and who served
 *
 * malloc chooses by policy (the route of the size's class), everything that gets a block chooses by
 * provenance (the kind of the block's slot in the address map), and never the other way round.
 *
 *   malloc(bytes)
 *     a free block in the word at hand (next_malloc_at_hand) ...................... done
 *     no class but on the system (shim_malloc_system) ......... its malloc, a tail call
 *     else another word of the page at hand (shim_malloc_other_word) .............. done
 *     else shim_malloc_slow, by the route of the class
 *       SYSTEM .......... the system's malloc, a tail call
 *       LEGACY .......... legacy_malloc
 *       NEXT ............ next_malloc: next page, next segment; no memory: the system's malloc
 *       else ............ malloc_otherwise: a share, asked for this thread; somebody waits for a call, or
 *                         watches (watch.h); HAKMEM_CHECK: checked_malloc; UNSET: shim_init, then again;
 *                         while it is at work: next
 *
 *   free(p)
 *     kind of p's slot
 *       next ............ a block of this thread's own page, or of another's that knows already ... done
 *                         else free.c: full page, last block, first of another thread's, a span, misuse
 *       stranger ........ no address at all: fatal; else the system's free, a tail call
 *       legacy .......... legacy_free
 *       huge ............ next_free
 *       watched ......... watch.h, then as above
 *       any of ours, with HAKMEM_CHECK ........... checked_free
 *
 *   realloc(p, bytes)
 *     NULL: malloc. 0 bytes: free. Stays in its pool while it fits, or while its pool would serve the
 *     new size anyway; else malloc by policy, copy, free.
 *
 * What a malloc and free on the system's side pay beside the system's own work, in instructions of
 * x86-64 by gcc 12 -O2 (callgrind, the pair): 21 while every class is there and nothing was ever ours, else 43.
 * For malloc the look into the empty page (11) and two jumps; where some classes are elsewhere, also that it has no other
 * words, which class and which route. For free a comparison with the map's bound; where something is ours, also the look
 * into the map.
 *
 * SYNCHRONIZATION
 *   shim_routes[], shim_malloc_miss
 *                   written by shim_route_change(), read relaxed here: a malloc in flight may miss a flip
 *   shim_system     written before any route names the system; a free of a stranger may come earlier
 *                   and meets a stand-in that initialises
 *   address map     see shim/base/map.h
 * Nothing here takes a lock.
 */
#include "shim/malloc.h"

#include "legacy/legacy.h"
#include "next/fast.h"
#include "next/next.h"
#include "shim/base/check.h"
#include "shim/base/map.h"
#include "shim/base/os.h"
#include "shim/checked.h"
#include "shim/export.h"
#include "shim/hakmem.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/route.h"
#include "shim/system.h"
#include "shim/watch.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Larger blocks are worth asking next whether their memory is zero already. */
#define CALLOC_FAST_MAX_BYTES (1 * KIB)

/* No allocator hands out such an address. jemalloc aligns its smallest blocks to 8 only. Elsewhere than
 * on x86-64 the upper bits may be a tag. */
#define NEVER_IN_OFFSET ((uintptr_t)7)
#if defined(__x86_64__)
#define NEVER_IN_ADDRESS ((~(uintptr_t)0 << MAP_ADDRESS_BITS) | NEVER_IN_OFFSET)
#else
#define NEVER_IN_ADDRESS NEVER_IN_OFFSET
#endif

void *shim_out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* --- malloc, by policy ---------------------------------------------------------------------------- */

/* next could not: an address-space limit, or no memory at all. The system may still have some. */
static COLD void *next_failed(size_t bytes)
{
	if (bytes > PTRDIFF_MAX || !shim_system_available())
		return shim_out_of_memory();
	void *block = shim_system.malloc(bytes);
	if (HAKMEM_MIGRATION && block)
		shim_at_next_failure(next_class_of(bytes));
	return block;
}

static NOINLINE void *malloc_from_next(size_t bytes)
{
	if (likely(bytes <= PTRDIFF_MAX)) {
		void *block = next_malloc(bytes);
		if (likely(block != NULL))
			return block;
	}
	return next_failed(bytes);
}

static NOINLINE void *malloc_from_site(size_t bytes, uint32_t site)
{
	if (likely(bytes <= PTRDIFF_MAX)) {
		void *block = next_malloc_site(bytes, site);
		if (likely(block != NULL))
			return block;
	}
	return next_failed(bytes);
}

static NOINLINE void *malloc_from_legacy(size_t bytes, uint32_t site)
{
	void *block = legacy_malloc(shim_legacy_thread(), bytes, site);
	return likely(block != NULL) ? block : shim_out_of_memory();
}

static NOINLINE void *malloc_checked(size_t bytes, size_t alignment, bool zero, bool legacy)
{
	void *block = checked_malloc(bytes, alignment, zero, legacy);
	return likely(block != NULL) ? block : next_failed(bytes);
}

/* Start-up is under way, further up this stack or in another thread. */
static COLD void *malloc_early(size_t bytes)
{
	if (checked_on() && shim_next_available())
		return malloc_checked(bytes, 0, false, false);
	return shim_next_available() ? malloc_from_next(bytes) : shim_out_of_memory();
}

static COLD void *malloc_unset(size_t bytes)
{
	shim_init();
	return shim_routed() ? shim_malloc_slow(bytes) : malloc_early(bytes);
}

static NOINLINE void *malloc_from(enum shim_backend side, size_t bytes, uint32_t site,
				  bool by_site)
{
	switch (side) {
	case SHIM_SYSTEM:
		return shim_system.malloc(bytes);
	case SHIM_LEGACY:
		return malloc_from_legacy(bytes, site);
	case SHIM_NEXT:
		return by_site ? malloc_from_site(bytes, site) : malloc_from_next(bytes);
	case SHIM_SHARE:
	case SHIM_UNSET:
		break;
	}
	return malloc_unset(bytes);
}

/* Somebody wants to know how long a malloc takes, of those that next serves and of the others. It came here because its slot
 * was emptied for that; one that had a block at hand gets it as fast as ever, and one that had none looks for one. */
static COLD void *malloc_sampled(size_t bytes, uint32_t site, bool by_site)
{
	unsigned class = next_class_of(bytes);
	enum shim_backend side = shim_route_of(class);
	if (side == SHIM_NEXT && !by_site)
		next_restore_slot(class);
	uint64_t start_ns = os_now_ns();
	void *block = side == SHIM_NEXT && !by_site ? next_malloc_fast(bytes) : NULL;
	if (!block)
		block = malloc_from(side, bytes, site, by_site);
	shim_at_sample(class, side == SHIM_NEXT, os_now_ns() - start_ns);
	return block;
}

void *shim_malloc_from(unsigned word, size_t bytes, uint32_t site, bool by_site)
{
	unsigned class = next_class_of(bytes);
	if (word & SHIM_CHECKED)
		return malloc_checked(bytes, 0, false,
				      shim_route_resolve(class, word) == SHIM_LEGACY);
	if (HAKMEM_MIGRATION && (word & ~(unsigned)SHIM_RECORD) == SHIM_SHARE &&
	    unlikely(next_take_sample()))
		return malloc_sampled(bytes, site, by_site);
	enum shim_backend backend = HAKMEM_MIGRATION ? shim_route_resolve(class, word) : SHIM_UNSET;
	void *block = NULL;
	if (word & SHIM_RECORD && backend == SHIM_NEXT && !by_site)
		block = next_malloc_unslotted(class);
	return block ? block : malloc_from(backend, bytes, site, by_site);
}

static NOINLINE void *malloc_attended(size_t bytes, uint32_t site, bool by_site, unsigned class,
				      unsigned word)
{
	shim_at_attention();
	if (word & SHIM_RECORD)
		return watch_malloc(bytes, site, by_site, class, word);
	return shim_malloc_from(word, bytes, site, by_site);
}

/* The word of the class is none of the three backends. Tail calls alone, for those that are only watched. */
static NOINLINE void *malloc_otherwise(size_t bytes, uint32_t site, bool by_site, unsigned class,
				       unsigned word)
{
	if (HAKMEM_MIGRATION && word & SHIM_ATTEND)
		return malloc_attended(bytes, site, by_site, class, word);
	if (HAKMEM_MIGRATION && likely(word & SHIM_RECORD))
		return watch_malloc(bytes, site, by_site, class, word);
	return shim_malloc_from(word, bytes, site, by_site);
}

INLINE void *malloc_by_route(size_t bytes, uint32_t site, bool by_site)
{
	unsigned class = next_class_of(bytes), route = shim_route_word_of(class);
	if (HAKMEM_MIGRATION && route == SHIM_SYSTEM)
		return shim_system.malloc(bytes);
	if (likely(route == SHIM_NEXT))
		return by_site ? malloc_from_site(bytes, site) : malloc_from_next(bytes);
	if (HAKMEM_MIGRATION && likely(route == SHIM_LEGACY))
		return malloc_from_legacy(bytes, site);
	return malloc_otherwise(bytes, site, by_site, class, route);
}

/* The one slow path of malloc, always a tail call: the return address is the program's, and serves
 * as the call site. */
NOINLINE void *shim_malloc_slow(size_t bytes)
{
	return malloc_by_route(bytes, (uint32_t)(uintptr_t)__builtin_return_address(0),
			       unlikely(next_slots_stay_empty));
}

/* Tail calls too, for they come before it. */
NOINLINE void *shim_malloc_other_word(size_t bytes, struct next_page *at_hand)
{
	void *block = next_malloc_other_word(at_hand);
	return likely(block != NULL) ? block : shim_malloc_slow(bytes);
}

void *shim_malloc_system(size_t bytes, struct next_page *at_hand)
{
	(void)at_hand;
	return shim_system.malloc(bytes);
}

INLINE void *malloc_missed(size_t bytes, struct next_page *at_hand)
{
	/* relaxed: as shim_route_word_of() */
	return HAKMEM_MIGRATION ? load_relaxed(&shim_malloc_miss)(bytes, at_hand) :
				  shim_malloc_other_word(bytes, at_hand);
}

HAKMEM_API void *hakmem_malloc(size_t bytes)
{
	struct next_page *page = next_at_hand(slot_of_bytes(bytes));
	void *block = next_malloc_at_hand(page);
	return likely(block != NULL) ? block : malloc_missed(bytes, page);
}
EXPORT_AS(malloc, hakmem_malloc);

HAKMEM_API void *hakmem_malloc_site(size_t bytes, uint32_t site)
{
	return malloc_by_route(bytes, site, true);
}

/* --- free, by provenance -------------------------------------------------------------------------- */

static COLD void no_address(const void *block)
{
	fatal_misuse("invalid pointer", block,
		     (uintptr_t)block & 7 ? "misaligned" : "not a user address");
}

INLINE void check_stranger(const void *block)
{
	if (unlikely((uintptr_t)block & NEVER_IN_ADDRESS))
		no_address(block);
}

INLINE void free_stranger(void *block)
{
	check_stranger(block);
	shim_system.free(block);
}

/* Where a huge block of next's has gone the system may keep blocks by the thousand. Only the first byte of
 * the slot can be the block that went, freed once more; next is asked about that alone. */
INLINE bool is_newcomer(const void *block, unsigned kind)
{
	return kind == MAP_NEXT_HUGE_GONE && ((uintptr_t)block & MAP_SLOT_MASK);
}

/* The address lies where a huge block of next's was, or ends, and next says that it is no block of its own. */
static COLD void check_neighbour(const void *block)
{
	if (!shim_system_may_look_at(block))
		fatal_misuse("invalid pointer", block, "freed twice, or never allocated");
}

/* With HAKMEM_CHECK. What was allocated before there was an environment lies in MAP_NEXT slots, unchecked. */
static bool is_checked(const void *block, unsigned kind)
{
	return kind != MAP_STRANGER && kind != MAP_NEXT && !is_newcomer(block, kind);
}

static COLD bool free_checked(void *block, unsigned kind)
{
	return is_checked(block, kind) && !(kind & MAP_WATCHED) &&
	       checked_free(block, (enum map_kind)kind, NO_CLAIM);
}

static NOINLINE void free_legacy(void *block)
{
	legacy_free(shim_legacy_thread(), block);
}

static NOINLINE void free_special(void *block)
{
	if (next_free(block))
		return;
	check_neighbour(block);
	free_stranger(block);
}

/* Tail calls alone, for those that are only watched. */
INLINE void free_unchecked(void *block, unsigned kind)
{
	if (HAKMEM_MIGRATION && kind == MAP_LEGACY)
		free_legacy(block);
	else if (is_newcomer(block, kind))
		free_stranger(block);
	else if (HAKMEM_MIGRATION && unlikely(kind & MAP_WATCHED))
		watch_free(block, (enum map_kind)(kind & ~(unsigned)MAP_WATCHED));
	else
		free_special(block);
}

static COLD void free_perhaps_checked(void *block, unsigned kind)
{
	if (!free_checked(block, kind))
		free_unchecked(block, kind);
}

static NOINLINE void free_ours(void *block, unsigned kind)
{
	if (unlikely(checked_on()))
		free_perhaps_checked(block, kind);
	else
		free_unchecked(block, kind);
}

void shim_free_unwatched(void *block, enum map_kind kind)
{
	if (kind == MAP_NEXT)
		next_free_in_slot(block, (uintptr_t)block >> MAP_SLOT_SHIFT);
	else if (kind == MAP_STRANGER)
		free_stranger(block);
	else
		free_ours(block, kind);
}

/* The address map is asked once; the system's free is a tail call. */
HAKMEM_API void hakmem_free(void *block)
{
	uintptr_t slot = (uintptr_t)block >> MAP_SLOT_SHIFT;
	if (!map_covers(slot)) {
		free_stranger(block);
		return;
	}
	if (map_is_next(slot)) {
		next_free_in_slot(block, slot);
		return;
	}
	unsigned kind = map_byte_of_covered(slot);
	if (kind == MAP_STRANGER) {
		if (unlikely((uintptr_t)block & NEVER_IN_OFFSET))
			no_address(block);
		shim_system.free(block);
	} else {
		free_ours(block, kind);
	}
}
EXPORT_AS(free, hakmem_free);

NOINLINE void shim_free_claimed(void *block, size_t bytes, size_t alignment)
{
	unsigned kind = map_byte_of_slot((uintptr_t)block >> MAP_SLOT_SHIFT);
	if (HAKMEM_MIGRATION && kind & MAP_WATCHED) {
		kind &= ~(unsigned)MAP_WATCHED;
		watch_tell_free(block, (enum map_kind)kind);
	}
	if (unlikely(checked_on()) && is_checked(block, kind) &&
	    checked_free(block, (enum map_kind)kind, (struct checked_claim){ bytes, alignment }))
		return;
	shim_free_unwatched(block, (enum map_kind)kind);
}

HAKMEM_API void hakmem_free_sized(void *block, size_t bytes)
{
	uintptr_t slot = (uintptr_t)block >> MAP_SLOT_SHIFT;
	if (likely(map_byte_of_slot(slot) == MAP_NEXT))
		next_free_in_slot(block, slot);
	else
		shim_free_claimed(block, bytes, CLAIM_NOTHING);
}

HAKMEM_API void hakmem_free_aligned_sized(void *block, size_t alignment, size_t bytes)
{
	uintptr_t slot = (uintptr_t)block >> MAP_SLOT_SHIFT;
	if (likely(map_byte_of_slot(slot) == MAP_NEXT))
		next_free_in_slot(block, slot);
	else
		shim_free_claimed(block, bytes, alignment);
}

#if HAKMEM_EXPORT_MALLOC
/* C23's; no header of this libc declares them. */
HAKMEM_API void free_sized(void *block, size_t bytes);
HAKMEM_API void free_aligned_sized(void *block, size_t alignment, size_t bytes);
#endif

/* A program that brings its own malloc may lack these; what it was handed goes to its own free. */
FOR_EXPORT void free_anyones(void *block)
{
	if (unlikely(shim_stands_aside()))
		free(block);
	else
		hakmem_free(block);
}
EXPORT_AS(cfree, free_anyones); /* programs from before glibc 2.26 ask for it */

FOR_EXPORT void free_anyones_sized(void *block, size_t bytes)
{
	if (unlikely(shim_stands_aside()))
		free(block);
	else
		hakmem_free_sized(block, bytes);
}
EXPORT_AS(free_sized, free_anyones_sized);

FOR_EXPORT void free_anyones_aligned_sized(void *block, size_t alignment, size_t bytes)
{
	if (unlikely(shim_stands_aside()))
		free(block);
	else
		hakmem_free_aligned_sized(block, alignment, bytes);
}
EXPORT_AS(free_aligned_sized, free_anyones_aligned_sized);

/* --- malloc_usable_size --------------------------------------------------------------------------- */

HAKMEM_API size_t hakmem_malloc_usable_size(void *block)
{
	if (!block)
		return 0;
	enum map_kind kind = map_kind_of(block);
	size_t bytes;
	if (unlikely(checked_on()) && is_checked(block, kind) && checked_bytes(block, kind, &bytes))
		return bytes != NEXT_MISUSED ? bytes : 0;
	if (HAKMEM_MIGRATION && kind == MAP_LEGACY)
		return legacy_usable_bytes(block);
	if (kind != MAP_STRANGER && !is_newcomer(block, kind)) {
		bytes = next_usable_bytes(block);
		if (likely(bytes != 0))
			return bytes != NEXT_MISUSED ? bytes : 0;
		check_neighbour(block);
	}
	check_stranger(block);
	return shim_system.usable_bytes(block);
}
EXPORT_AS(malloc_usable_size, hakmem_malloc_usable_size);

/* --- calloc --------------------------------------------------------------------------------------- */

static void *zeroed(void *block, size_t bytes)
{
	return block ? memset(block, 0, bytes) : NULL;
}

/* A calloc of members that are each_bytes long, `bytes` in all. */
static NOINLINE void *calloc_slow(size_t bytes, size_t each_bytes)
{
	unsigned class = next_class_of(bytes), route = shim_route_word_of(class);
	if (unlikely(route > SHIM_NEXT)) {
		if (HAKMEM_MIGRATION && route & SHIM_RECORD)
			return watch_calloc(bytes, each_bytes);
		if (route & SHIM_CHECKED)
			return malloc_checked(bytes, 0, true,
					      shim_route_resolve(class, route) == SHIM_LEGACY);
		route = shim_route_resolve(class, route);
	}
	if (HAKMEM_MIGRATION && route == SHIM_SYSTEM)
		return shim_system.calloc(1, bytes);
	if (likely(route == SHIM_NEXT) && bytes <= PTRDIFF_MAX) {
		void *block = next_calloc(bytes);
		if (likely(block != NULL))
			return block;
	}
	return zeroed(shim_malloc_slow(bytes), bytes);
}

void *shim_calloc_from(unsigned word, size_t bytes)
{
	void *block = NULL;
	enum shim_backend backend =
		HAKMEM_MIGRATION ? shim_route_resolve(next_class_of(bytes), word) : SHIM_UNSET;
	if (word & SHIM_CHECKED)
		return malloc_checked(bytes, 0, true, backend == SHIM_LEGACY);
	if (backend == SHIM_SYSTEM)
		return shim_system.calloc(1, bytes);
	if (word & SHIM_RECORD && backend == SHIM_NEXT && bytes <= CALLOC_FAST_MAX_BYTES) {
		block = zeroed(next_malloc_unslotted(next_class_of(bytes)), bytes);
		if (likely(block != NULL))
			return block;
	}
	if (backend == SHIM_NEXT && bytes <= PTRDIFF_MAX)
		block = next_calloc(bytes);
	return block ? block : zeroed(malloc_from(backend, bytes, 0, false), bytes);
}

HAKMEM_API void *hakmem_calloc(size_t count, size_t bytes)
{
	size_t total;
	if (unlikely(__builtin_mul_overflow(count, bytes, &total)))
		return shim_out_of_memory();
	if (likely(total <= CALLOC_FAST_MAX_BYTES)) {
		void *block = next_malloc_fast(total);
		if (likely(block != NULL))
			return memset(block, 0, total);
	}
	return calloc_slow(total, bytes);
}
EXPORT_AS(calloc, hakmem_calloc);

/* --- realloc -------------------------------------------------------------------------------------- */

static void *move(void *block, size_t usable_bytes, size_t bytes)
{
	void *moved = hakmem_malloc(bytes);
	if (!moved)
		return NULL;
	memcpy(moved, block, usable_bytes < bytes ? usable_bytes : bytes);
	hakmem_free(block);
	return moved;
}

/* The system moves a block by its own means where policy would come back to it anyway. */
static void *realloc_stranger(void *block, size_t bytes)
{
	check_stranger(block);
	enum shim_backend route = shim_route_of(next_class_of(bytes));
	if (route == SHIM_SYSTEM || route == SHIM_UNSET || !shim_system_available())
		return shim_system.realloc(block, bytes);
	size_t usable_bytes = shim_system.usable_bytes(block);
	if (bytes <= usable_bytes)
		return shim_system.realloc(block, bytes);
	return move(block, usable_bytes, bytes);
}

static void *realloc_legacy(void *block, size_t bytes)
{
	size_t usable_bytes = legacy_usable_bytes(block);
	return bytes <= usable_bytes ? block : move(block, usable_bytes, bytes);
}

static void *realloc_next(void *block, size_t bytes)
{
	size_t usable_bytes = next_usable_bytes(block);
	if (unlikely(!usable_bytes)) {
		check_neighbour(block);
		return realloc_stranger(block, bytes);
	}
	/* After misuse that is survived there is no block whose contents could be kept. */
	if (unlikely(bytes > PTRDIFF_MAX || usable_bytes == NEXT_MISUSED))
		return shim_out_of_memory();
	if (bytes <= usable_bytes || shim_route_of(next_class_of(bytes)) == SHIM_NEXT) {
		void *resized = next_resize(block, bytes);
		if (likely(resized != NULL))
			return resized;
	}
	int saved_errno = errno;
	void *moved = move(block, usable_bytes, bytes);
	if (likely(moved != NULL) || bytes > usable_bytes)
		return moved;
	/* No room for a smaller block: this one will do. */
	errno = saved_errno;
	return block;
}

static void *realloc_checked(void *block, enum map_kind kind, size_t usable_bytes, size_t bytes)
{
	int saved_errno = errno;
	if (checked_resize(block, kind, bytes, false))
		return block;
	void *moved = move(block, usable_bytes, bytes);
	if (likely(moved != NULL) || !checked_resize(block, kind, bytes, true))
		return moved;
	errno = saved_errno;
	return block;
}

void *shim_realloc_unwatched(void *block, size_t bytes, enum map_kind kind)
{
	size_t usable_bytes;
	if (kind == MAP_NEXT)
		return realloc_next(block, bytes);
	if (kind == MAP_STRANGER || is_newcomer(block, kind))
		return realloc_stranger(block, bytes);
	if (unlikely(checked_on()) && checked_bytes(block, kind, &usable_bytes))
		return usable_bytes != NEXT_MISUSED
			       ? realloc_checked(block, kind, usable_bytes, bytes)
			       : shim_out_of_memory();
	if (HAKMEM_MIGRATION && kind == MAP_LEGACY)
		return realloc_legacy(block, bytes);
	return realloc_next(block, bytes);
}

static NOINLINE void *realloc_otherwise(void *block, size_t bytes, unsigned kind)
{
	if (HAKMEM_MIGRATION && kind & MAP_WATCHED)
		return watch_realloc(block, bytes,
				     (enum map_kind)(kind & ~(unsigned)MAP_WATCHED));
	return shim_realloc_unwatched(block, bytes, (enum map_kind)kind);
}

HAKMEM_API void *hakmem_realloc(void *block, size_t bytes)
{
	if (!block)
		return hakmem_malloc(bytes);
	if (!bytes) {
		hakmem_free(block);
		return NULL;
	}
	unsigned kind = map_byte_of_slot((uintptr_t)block >> MAP_SLOT_SHIFT);
	if (likely(kind == MAP_NEXT))
		return realloc_next(block, bytes);
	if (kind == MAP_STRANGER)
		return realloc_stranger(block, bytes);
	return realloc_otherwise(block, bytes, kind);
}
EXPORT_AS(realloc, hakmem_realloc);

HAKMEM_API void *hakmem_reallocarray(void *block, size_t count, size_t bytes)
{
	size_t total;
	if (unlikely(__builtin_mul_overflow(count, bytes, &total)))
		return shim_out_of_memory();
	return hakmem_realloc(block, total);
}

/* A program that brings its own realloc may lack this one; libc's would call the program's realloc. */
FOR_EXPORT void *reallocarray_anyones(void *block, size_t count, size_t bytes)
{
	size_t total;
	if (likely(!shim_stands_aside()))
		return hakmem_reallocarray(block, count, bytes);
	if (__builtin_mul_overflow(count, bytes, &total))
		return shim_out_of_memory();
	return realloc(block, total);
}
EXPORT_AS(reallocarray, reallocarray_anyones);

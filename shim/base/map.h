/* SPDX-License-Identifier: MIT */
/* shim/base/map.h - the address map: who owns the 4 MiB slot that an address lies in
 *
 *   address   47           22 21                    0
 *            +---------------+-----------------------+
 *            |  slot number  |   within the slot     |
 *            +---------------+-----------------------+
 *                    |
 *   map_kinds[2^25]  +--> one byte: MAP_STRANGER, MAP_NEXT, MAP_LEGACY, MAP_NEXT_HUGE; MAP_WATCHED beside it
 *
 * The table takes 32 MiB of address space, reserved read-only; the 4 KiB around a slot's byte becomes
 * writable when the slot is first claimed (see reserve.h). It answers without touching the address
 * that is asked about. User addresses end at 2^47; above it is nothing of ours, and the index is
 * bounded there.
 *
 * Until the first slot is claimed map_bound is 0, so every address is a stranger, and the free of a process in which
 * nothing is ours is the shorter for it. It stays so if the reservation is refused, and then nothing of ours is ever
 * handed out: the process lives on the old side.
 *
 * SYNCHRONIZATION: a byte is written before any block of its slot is handed out and cleared after the
 * last one was given back. Whoever frees a block got its address through some synchronisation of the
 * program's own, which orders the byte before the look-up; so both are relaxed. MAP_WATCHED is set and cleared
 * by others than who claims the slot, so every change is an exchange by compare.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "shim/base/atomic.h"
#include "shim/base/compiler.h"

#define MAP_SLOT_SHIFT	22
#define MAP_SLOT_BYTES	((size_t)1 << MAP_SLOT_SHIFT)
#define MAP_SLOT_MASK	(MAP_SLOT_BYTES - 1)
#if defined(__aarch64__)
#define MAP_ADDRESS_BITS 48 /* a process without a hint of its own gets 48, also where there are 52 */
#else
#define MAP_ADDRESS_BITS 47
#endif
#define MAP_SLOTS	((size_t)1 << (MAP_ADDRESS_BITS - MAP_SLOT_SHIFT))

enum map_kind {
	MAP_STRANGER = 0,  /* not ours: the system's, the stack, anything */
	MAP_NEXT = 1,	   /* an ordinary segment of next */
	MAP_LEGACY = 2,	   /* a chunk of legacy's pages */
	MAP_NEXT_CHECKED = 6, /* a segment of next whose blocks are not for free's fast path */
	MAP_NEXT_GUARDED = 7, /* pages of single blocks between guards (shim/guarded.h) */
	MAP_NEXT_HUGE = 8, /* the first slot of a block of next that has a mapping of its own */
	MAP_NEXT_HUGE_REST = 9, /* its further slots; the last may be shared with strangers */
	MAP_NEXT_HUGE_GONE = 10, /* such a block began here and was given back: perhaps a stranger now */
};

#define MAP_HUGE_BIT 8 /* in all kinds of huge blocks and no other */

/* A bit beside any of them: somebody wants to hear of frees here (shim/watch.h). It makes the byte unequal to
 * MAP_NEXT and to MAP_STRANGER, so that free looks for it where it found neither, and nowhere else. */
#define MAP_WATCHED 0x80

typedef _Atomic unsigned char map_byte;
extern HIDDEN map_byte *map_kinds; /* [const after init] the table, NULL if there is none */
extern HIDDEN _Atomic uintptr_t map_bound; /* [any thread] 0, from the first claim on MAP_SLOTS */

/* Reserves the table. False if the kernel refuses. Called once, by one thread. */
MUST_USE bool map_init(void);

/* Claims the slots that [start, start + bytes) touches for `kind`. False (and nothing changed) if
 * the table's memory cannot be had or the range lies above the user addresses. Any thread, for a
 * range that belongs to it. */
MUST_USE bool map_claim(const void *start, size_t bytes, enum map_kind kind);

/* The same in two steps, for who must not fail half-way: map_prepare() changes nothing but makes room in
 * the table, and map_set() cannot fail where that was done, or where the slots were claimed before. */
MUST_USE bool map_prepare(const void *start, size_t bytes);
void map_set(const void *start, size_t bytes, enum map_kind kind);

/* Sets MAP_WATCHED in the slot of an address; false if the table's memory cannot be had. */
MUST_USE bool map_watch(const void *address);
void map_unwatch(const void *address);

/* Claimed slots are strangers again; call it before the memory is unmapped. */
void map_release(const void *start, size_t bytes);

/* False for what is no user address at all, or while nothing was claimed: a stranger. */
INLINE bool map_covers(uintptr_t slot)
{
	bool below;
#if defined(__x86_64__) && !THREAD_SANITIZER
	/* The compiler does not compare with an atomic object in memory; every load is an acquire here. */
	__asm__ volatile("cmpq %2, %1" : "=@ccb"(below) : "r"(slot), "m"(map_bound) : "memory");
#else
	/* acquire: pairs with the release in map_prepare(): the table is there */
	below = slot < load_acquire(&map_bound);
#endif
	return likely(below);
}

/* Of a slot that is covered: an ordinary segment of next, and nobody watches. */
INLINE bool map_is_next(uintptr_t slot)
{
	bool next;
#if defined(__x86_64__) && !HAKMEM_SANITIZER
	/* As in map_covers(): one instruction for two. */
	__asm__ volatile("cmpb %3, (%1, %2)"
			 : "=@cce"(next)
			 : "r"(map_kinds), "r"(slot), "i"(MAP_NEXT)
			 : "memory");
#else
	next = load_relaxed(&map_kinds[slot]) == MAP_NEXT;
#endif
	return likely(next);
}

/* The byte as it is, of a slot that is covered: a kind, perhaps with MAP_WATCHED. */
INLINE unsigned map_byte_of_covered(uintptr_t slot)
{
	return load_relaxed(&map_kinds[slot]);
}

INLINE unsigned map_byte_of_slot(uintptr_t slot)
{
	return map_covers(slot) ? map_byte_of_covered(slot) : MAP_STRANGER;
}

INLINE enum map_kind map_kind_of_slot(uintptr_t slot)
{
	return (enum map_kind)(map_byte_of_slot(slot) & ~(unsigned)MAP_WATCHED);
}

/* True in slots of huge blocks. */
INLINE bool map_is_huge(const void *address)
{
	return map_byte_of_slot((uintptr_t)address >> MAP_SLOT_SHIFT) & MAP_HUGE_BIT;
}

INLINE enum map_kind map_kind_of(const void *address)
{
	return map_kind_of_slot((uintptr_t)address >> MAP_SLOT_SHIFT);
}

INLINE bool map_is_segment(enum map_kind kind)
{
	return likely(kind == MAP_NEXT) || kind == MAP_NEXT_CHECKED;
}

#endif

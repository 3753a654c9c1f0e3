/* SPDX-License-Identifier: MIT */
/* shim/base/compiler.h - what we ask of the compiler, in one place */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define COLD	    __attribute__((cold, noinline))
#define NOINLINE    __attribute__((noinline))
#define INLINE	    static inline __attribute__((always_inline))
#define MUST_USE    __attribute__((warn_unused_result))
/* On the declaration of a variable that is defined elsewhere: -fvisibility=hidden speaks of definitions
 * only, and without this every use goes through the global offset table. */
#define HIDDEN	    __attribute__((visibility("hidden")))
#define CACHE_LINE  64
#define CACHE_ALIGN __attribute__((aligned(CACHE_LINE)))
/* For words that the fast paths read and next to nobody writes: with the initialised data, away from the locks and
 * counters that lie in .bss. */
#define READ_MOSTLY __attribute__((section(".data.read_mostly")))

/* One pointer a thread is all the thread-local storage the library asks for on its fast path:
 * initial-exec costs two loads, and the static TLS surplus of a late dlopen always has room. */
#define TLS_FAST _Thread_local __attribute__((tls_model("initial-exec")))

/* 1 in a build for ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER 0
#endif

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

/* The type and the constant that most of the library rounds with. */
INLINE size_t align_up(size_t value, size_t power_of_two)
{
	return (value + (power_of_two - 1)) & ~(power_of_two - 1);
}

INLINE bool is_power_of_two(size_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* The number of the lowest set bit; `word` is not 0. The builtin gives an int, and gcc extends it again
 * on malloc's critical path. "rep bsf" is tzcnt where there is one, bsf elsewhere. */
INLINE size_t lowest_bit(uint64_t word)
{
#if defined(__x86_64__)
	uint64_t number;
	__asm__("rep bsfq %1, %0" : "=r"(number) : "r"(word) : "cc");
	return number;
#else
	return (size_t)__builtin_ctzll(word);
#endif
}

/* The number of the highest set bit; `word` is not 0. */
INLINE size_t highest_bit(uint64_t word)
{
	return (size_t)(unsigned)(__builtin_clzll(word) ^ 63);
}

/* Sets bit `number` % 64 of *word; true if it was set before. */
INLINE bool test_and_set_bit(uint64_t *word, size_t number)
{
	bool before;
#if defined(__x86_64__)
	__asm__("btsq %2, %0" : "+r"(*word), "=@ccc"(before) : "r"(number));
#else
	uint64_t bit = (uint64_t)1 << (number % 64);
	before = (*word & bit) != 0;
	*word |= bit;
#endif
	return before;
}

#endif

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

/* The value, of which the compiler is not to know how it came about: it would compare what a shift was made from, and keep
 * both in registers. */
INLINE size_t opaque(size_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

INLINE void compiler_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

/* The upper 64 bits of a * *b; the lower ones in *low. Of a product of 128 bits gcc copies a half before it shifts it. */
INLINE uint64_t multiply(uint64_t a, const uint64_t *b, uint64_t *low)
{
#if defined(__x86_64__) && !HAKMEM_SANITIZER /* which is to see the load */
	uint64_t high;
	__asm__("mulq %3" : "=a"(*low), "=d"(high) : "0"(a), "m"(*b) : "cc");
	return high;
#else
	unsigned __int128 product = (unsigned __int128)a * *b;
	*low = (uint64_t)product;
	return (uint64_t)(product >> 64);
#endif
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

/* False if there is none. */
INLINE bool lowest_bit_if_any(uint64_t word, size_t *number)
{
#if defined(__x86_64__)
	bool none; /* bsf says it itself; what it leaves in the number then, no two processors agree */
	__asm__("bsfq %2, %0" : "=r"(*number), "=@ccz"(none) : "r"(word));
	return !none;
#else
	*number = word ? lowest_bit(word) : 0;
	return word != 0;
#endif
}

/* The number of the highest set bit; `word` is not 0. */
INLINE size_t highest_bit(uint64_t word)
{
#if defined(__x86_64__)
	uint64_t number;
	__asm__("bsrq %1, %0" : "=r"(number) : "r"(word) : "cc");
	return number;
#else
	return (size_t)(unsigned)(__builtin_clzll(word) ^ 63);
#endif
}

#endif

/* SPDX-License-Identifier: MIT */
/* shim/base/atomic.h - C11 atomics with the memory order in the name
 *
 * A caller says which order it needs by the function it calls, and says in a comment what the
 * operation pairs with. Nothing else in the library names a memory_order_ constant.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define load_relaxed(p)		   atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p)		   atomic_load_explicit((p), memory_order_acquire)
#define load_seq_cst(p)		   atomic_load_explicit((p), memory_order_seq_cst)
#define store_relaxed(p, v)	   atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v)	   atomic_store_explicit((p), (v), memory_order_release)
#define store_seq_cst(p, v)	   atomic_store_explicit((p), (v), memory_order_seq_cst)
#define exchange_acquire(p, v)	   atomic_exchange_explicit((p), (v), memory_order_acquire)
#define exchange_release(p, v)	   atomic_exchange_explicit((p), (v), memory_order_release)
#define exchange_acq_rel(p, v)	   atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define exchange_seq_cst(p, v)	   atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define fetch_add_relaxed(p, v)	   atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define fetch_sub_relaxed(p, v)	   atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define fetch_add_acq_rel(p, v)	   atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define fetch_sub_acq_rel(p, v)	   atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define fetch_or_relaxed(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define fetch_or_release(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_release)
#define fetch_or_acq_rel(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define fetch_or_seq_cst(p, v)	   atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define fetch_and_relaxed(p, v)	   atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define fetch_and_acq_rel(p, v)	   atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* Failure is an acquire wherever success reads something published: the retry uses what it saw. */
#define cas_relaxed(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed,        \
						memory_order_relaxed)
#define cas_acquire(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire,        \
						memory_order_acquire)
#define cas_release(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release,        \
						memory_order_relaxed)
#define cas_acq_rel(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel,        \
						memory_order_acquire)
#define cas_seq_cst(p, expected, v)                                                                \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst,        \
						memory_order_seq_cst)

/* --- a row of words as bits, bit `number` of whichever word it is in ---------------------------------
 *
 * An instruction of x86-64 finds the word, where the compiler takes three more. A sanitizer, and what explores the
 * interleavings, are to see loads and stores. */
#if defined(__x86_64__) && !HAKMEM_SANITIZER
#define BITS_BY_INSTRUCTION 1
#else
#define BITS_BY_INSTRUCTION 0
#endif

/* relaxed */
static inline bool test_bit(const _Atomic uint64_t *words, size_t number)
{
#if BITS_BY_INSTRUCTION
	bool set;
	__asm__ volatile("btq %2, %1" : "=@ccc"(set) : "m"(*words), "r"(number) : "memory");
	return set;
#else
	return load_relaxed(&words[number / 64]) >> (number % 64) & 1;
#endif
}

/* True if it was set before, and then nothing is changed. Of words with one writer, which other threads may read: a relaxed
 * load and a relaxed store. Not by the instruction in memory, which is four fewer and slower: 2 % of all that alloc-test
 * does (docs/NEXT.md). */
static inline bool test_and_set_bit(_Atomic uint64_t *words, size_t number)
{
	_Atomic uint64_t *word = &words[number / 64];
	uint64_t value = load_relaxed(word);
	bool before;
#if BITS_BY_INSTRUCTION
	__asm__("btsq %2, %0" : "+r"(value), "=@ccc"(before) : "r"(number));
#else
	uint64_t bit = (uint64_t)1 << (number % 64);
	before = (value & bit) != 0;
	value |= bit;
#endif
	if (__builtin_expect(before, 0))
		return true;
	store_relaxed(word, value);
	return false;
}

/* The same of words that any thread writes, sequentially consistent. */
static inline bool test_and_set_bit_seq_cst(_Atomic uint64_t *words, size_t number)
{
#if BITS_BY_INSTRUCTION
	bool before;
	__asm__ volatile("lock btsq %2, %0"
			 : "+m"(*words), "=@ccc"(before)
			 : "r"(number)
			 : "memory");
	return before;
#else
	uint64_t bit = (uint64_t)1 << (number % 64);
	return (fetch_or_seq_cst(&words[number / 64], bit) & bit) != 0;
#endif
}

/* *word & flag, of one byte. */
static inline bool test_flag_seq_cst(const _Atomic uintptr_t *word, unsigned char flag)
{
#if BITS_BY_INSTRUCTION
	bool clear;
	__asm__ volatile("testb %2, %1" : "=@ccz"(clear) : "m"(*word), "qi"(flag) : "memory");
	return !clear;
#else
	return (load_seq_cst(word) & flag) != 0;
#endif
}

/* *word &= value, of a word with one writer that other threads may read. In one instruction, where a load and a store are
 * compiled to two or three. */
static inline void and_alone(_Atomic uint64_t *word, uint64_t value)
{
#if defined(__x86_64__) && !HAKMEM_SANITIZER
	__asm__("andq %1, %0" : "+m"(*word) : "r"(value));
#else
	store_relaxed(word, load_relaxed(word) & value);
#endif
}

/* *count -= 1, of a count with one writer that other threads may read; true when that makes 0. In one instruction, where a
 * load and a store are compiled to three. A sanitizer is to see them. */
static inline bool count_down(_Atomic uint32_t *count)
{
#if defined(__x86_64__) && !HAKMEM_SANITIZER
	bool is_zero;
	__asm__("subl $1, %0" : "+m"(*(uint32_t *)(void *)count), "=@ccz"(is_zero));
	return is_zero;
#else
	uint32_t left = load_relaxed(count) - 1;
	store_relaxed(count, left);
	return left == 0;
#endif
}

/* A counter with one writer: a plain add that other threads may read without tearing. */
#define counter_add(p, v) store_relaxed((p), load_relaxed(p) + (v))

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
